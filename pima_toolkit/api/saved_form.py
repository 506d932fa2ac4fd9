"""What about.json of a saved fit must hold, checked before anything is built from it.

Every field that sizes are taken from is compared with the arrays beside it, so that a file of a few kB cannot ask for
a network of gigabytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from typing import Any, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

from torch import Tensor

from ..answers.record import Facts
from ..errors import FileFormatError
from ..fitting.options import ModelOptions, TrainingSettings

#: Field of a template's measurement -> what it holds; those that a file may lack stand in the second table.
_TEXTS = ("name", "kind")
_TEXTS_OR_NONE = ("t_name", "t_unit", "unit", "long_name")


class Checked:
    """A value of a file with the place where it stands, ``about.json: templates.stress.shape``.

    Args:
        value: The value.
        where: Its place, from the root.
        file: Name of the file, for the sentence.
    """

    def __init__(self, value: object, where: str = "", file: str = "about.json") -> None:
        self.value = value
        self.where = where
        self.file = file

    def fail(self, expected: str) -> FileFormatError:
        """The error for a value that is not what it should be."""
        shown = repr(self.value)
        shown = shown if len(shown) <= 60 else f"{shown[:60]}..."
        place = f" {self.where}" if self.where else ""
        return FileFormatError(f"is damaged, {self.file}{place} is {shown} and not {expected}")

    def table(self) -> dict:
        """The value as a table."""
        if not isinstance(self.value, dict) or not all(isinstance(key, str) for key in self.value):
            raise self.fail("a table")
        return self.value

    def part(self, key: str) -> Checked:
        """A field of a table."""
        where = f"{self.where}.{key}" if self.where else key
        if key not in self.table():
            raise FileFormatError(f"is damaged, {self.file} lacks the field {where}")
        return Checked(self.table()[key], where, self.file)

    def parts(self, *lengths: int) -> list[Checked]:
        """The items of a list, of one of the lengths where some are given."""
        if not isinstance(self.value, list) or (lengths and len(self.value) not in lengths):
            raise self.fail(f"a list of {' or '.join(map(str, lengths))}" if lengths else "a list")
        return [Checked(item, f"{self.where}[{k}]", self.file) for k, item in enumerate(self.value)]

    def text(self) -> str:
        """The value as a text."""
        if not isinstance(self.value, str):
            raise self.fail("a text")
        return self.value

    def flag(self) -> bool:
        """The value as true or false."""
        if not isinstance(self.value, bool):
            raise self.fail("true or false")
        return self.value

    def number(self) -> float:
        """The value as a finite number."""
        number = self.figure()
        if not math.isfinite(number):
            raise self.fail("a finite number")
        return number

    def figure(self) -> float:
        """The value as a number, which may be none or infinite."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail("a number")
        if isinstance(value, int) and abs(value) >= 2**63:
            raise self.fail("a number")
        return float(value)

    def whole(self, least: int) -> int:
        """The value as a whole number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not least <= self.value < 2**63:
            raise self.fail(f"a whole number of at least {least}")
        return self.value

    def known(self, names: Collection[str]) -> None:
        """A table may have these fields only."""
        for key in self.table():
            if key not in names:
                raise FileFormatError(
                    f"is damaged, about.json {self.where} has the field {key[:60]!r}, which no fit has"
                )


def version_of(about: object, form: str) -> int:
    """The version of the format that a file says it has.

    Args:
        about: What its about.json holds.
        form: The format that it must be.

    Raises:
        FileFormatError: If about.json is no table that says so.
    """
    root = Checked(about)
    if root.part("format").text() != form:
        raise FileFormatError("is not a saved fit")
    return root.part("version").whole(1)


def check_about(about: Mapping) -> None:
    """Check the fields of about.json that a fit is built from.

    Raises:
        FileFormatError: Naming the first field that is missing or not what it should be.
    """
    root = Checked(about)
    names = []
    for item in root.part("modalities").parts():
        name, option = item.parts(2)
        names.append(name.text())
        if option.part("kind").text() == "physics":
            option.part("expert").table()
    if not names or len(set(names)) < len(names):
        raise root.part("modalities").fail("modalities with a name each")
    root.part("options").known([f.name for f in fields(ModelOptions) if f.name != "modalities"])
    root.part("settings").known([f.name for f in fields(TrainingSettings)])
    root.part("encoders").flag()
    _check_like(root.part("notes"), Facts)
    if "quality" in root.part("notes").table():
        _check_quality(root.part("notes").part("quality"), root.part("options").part("clusters"))
    templates = root.part("templates")
    if sorted(templates.table()) != sorted(names):
        raise templates.fail(f"one for each of the modalities {', '.join(names)}")
    for name in names:
        _check_template(templates.part(name))
    optional: dict[str, Callable[[Checked], object]] = {
        "belief": lambda part: part.value is None or part.table(),
        "parts": lambda part: [name.text() for own in part.parts() for name in own.parts()],
    }
    for key, check in optional.items():
        if key in about:
            check(root.part(key))


def _check_template(template: Checked) -> None:
    measured = template.part("measured")
    for key in _TEXTS:
        measured.part(key).text()
    for key in _TEXTS_OR_NONE:
        if measured.part(key).value is not None:
            measured.part(key).text()
    dims = [dim.text() for dim in measured.part("dims").parts()]
    sizes = [size.whole(1) for size in template.part("sizes").parts()]
    if len(sizes) != len(dims):
        raise template.part("sizes").fail(f"a size for each of the dims {', '.join(dims)}")
    for size in template.part("shape").parts():
        size.whole(1)
    for number in (*template.part("scaling").parts(2), template.part("scale")):
        number.number()
    template.part("presence").flag()


def _check_like(value: Checked, kind: Any) -> None:
    """Check a value against a hint of JSON: a TypedDict, a list, a dict by texts, or a plain type."""
    inner = get_args(kind)
    if is_typeddict(kind):
        for key, hint in get_type_hints(kind, include_extras=True).items():
            # Not __required_keys__, which takes hints that are kept as texts for required, all of them.
            spare = get_origin(hint) is NotRequired
            if key in value.table() or not spare:
                _check_like(value.part(key), get_args(hint)[0] if spare else hint)
    elif get_origin(kind) is list:
        for item in value.parts():
            _check_like(item, inner[0])
    elif get_origin(kind) is dict:
        for key in value.table():
            _check_like(value.part(key), inner[1])
    elif kind is float:
        value.figure()
    else:
        checks: dict[type, Callable[[], object]] = {str: value.text, bool: value.flag, int: lambda: value.whole(0)}
        checks[kind]()


def _check_quality(quality: Checked, clusters: Checked) -> None:
    """How well each law fits, a row for each cluster: numbers, what is unidentified, and remarks on the noise."""
    for name in quality.table():
        own = quality.part(name)
        for key in ("misfit", "misfit_ratio", "agreement"):
            for row in own.part(key).parts(clusters.whole(1)):
                row.figure()
        widths = [[item.flag() for item in row.parts()] for row in own.part("unidentified").parts(clusters.whole(1))]
        if len({len(row) for row in widths}) > 1:
            raise own.part("unidentified").fail("a row of equal length for each cluster")
        if "noise" in own.table():
            for row in own.part("noise").parts(clusters.whole(1)):
                for remark in row.parts():
                    remark.text()


def check_sizes(about: Mapping, options: ModelOptions, arrays: Mapping[str, Tensor]) -> None:
    """Compare the sizes that about.json states with the arrays that the file holds.

    Args:
        about: After `check_about`.
        options: Made from it.
        arrays: Those of the file by name.

    Raises:
        FileFormatError: Naming what does not fit.
    """
    mean = arrays.get("state.mixture.mean")
    if mean is None:
        raise FileFormatError("is damaged, its arrays lack state.mixture.mean")
    if tuple(mean.shape) != (options.clusters, options.latent_dim):
        raise FileFormatError(
            f"is damaged, about.json options state {options.clusters} clusters and {options.latent_dim} latent"
            f" dimensions, and the mixture has the shape {tuple(mean.shape)}"
        )
    for name, template in about["templates"].items():
        t, sizes, shape = arrays.get(f"template.{name}.t"), template["sizes"], template["shape"]
        points = math.prod(sizes)
        if math.prod(shape) % points:
            raise FileFormatError(
                f"is damaged, about.json templates.{name} states the sizes {sizes} and the shape {shape}"
            )
        if name in options.physics and (t is None or t.ndim != 1 or len(t) != (sizes or [1])[-1]):
            held = "none" if t is None else f"shape {tuple(t.shape)}"
            raise FileFormatError(f"is damaged, about.json templates.{name}.sizes is {sizes}, and its t has {held}")
    for name, quality in about["notes"].get("quality", {}).items():
        widths = {len(row) for row in quality["unidentified"]}
        if name not in options.physics or widths != {len(options.physics[name].expert.parameters)}:
            raise FileFormatError(f"is damaged, about.json notes.quality.{name} does not fit the expert's parameters")


def check_weights(wanted: Mapping[str, Tensor], arrays: Mapping[str, Tensor]) -> None:
    """Compare the weights of a network with the arrays that they are to be taken from, before any is made.

    Args:
        wanted: The network's, of a device without memory.
        arrays: Those of the file, by the same names.

    Raises:
        FileFormatError: Naming the first that is missing or has another shape.
    """
    for name, weight in wanted.items():
        held = arrays.get(name)
        if held is None or held.shape != weight.shape:
            found = "is missing" if held is None else f"has the shape {tuple(held.shape)}"
            raise FileFormatError(
                f"is damaged, the weight {name} of the network {found}, and about.json asks for {tuple(weight.shape)}"
            )
