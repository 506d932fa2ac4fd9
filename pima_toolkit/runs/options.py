"""The options of a run as plain data: read from TOML, checked, completed, made into a model.

.. code-block:: toml

    data = "specimens.nc"            # or a folder; the command line's comes first
    plugins = ["hollomon.py"]        # files with experts of your own; their code is run

    [modalities.stress]
    kind = "physics"                 # "neural", "physics", or "none" to leave it out
    expert = "linear_hardening"      # or "elastic(E) + voce", "peaks(3, gaussian)", "voce with sigma_y < 300",
                                     # or a table: {formula = "K * strain**n with n < 0.5", bounds = {K = [0, 900]}}
    window = [0.0, 0.2]              # any argument of pima.Physics

    [model]                          # any argument of pima.PIMA
    clusters = 2

    [training]                       # any argument of PIMA.fit
    seed = 0

    [reading.images]                 # any argument of pima.from_folder, where the data are a folder of files
    size = 64

Which keys there are follows from the signatures of what they are passed to: no list of options is kept here.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from ..api.pima import PIMA
from ..data import ANSWER_NAMES, Wanted, closest, errors_of, measured_names, read
from ..errors import FormulaError, OptionError
from ..experts import Expert, SympyExpert, get_expert, is_made, with_relations
from ..fitting.options import TrainingSettings
from ..ingest import from_folder
from ..model.modality import Modality, Neural, Physics
from ..signatures import misfit

Options = dict[str, Any]
#: Arguments that a run sets itself.
_OWN = {"self", "data", "modalities", "checkpoint", "callbacks", "tracker", "progress", "expert", "path", "workers"}
_OWN |= {"client"}


@dataclass(frozen=True)
class Key:
    """One option: its type as the signature says it, and its default (``inspect.Parameter.empty`` for none)."""

    annotation: str
    default: object

    def check(self, path: str, value: object) -> None:
        """Refuse a value of another type; what the value may be is checked by what it is passed to."""
        expected = misfit(self.annotation, value, plain=True)
        if expected is not None:
            raise OptionError(f"{path} = {value!r}: expected {expected}")


def keys_of(function: Callable) -> dict[str, Key]:
    """The options that a function or a class takes."""
    signature = inspect.signature(function).parameters.items()
    return {name: Key(str(p.annotation), p.default) for name, p in signature if name not in _OWN}


def read_options(path: Path) -> Options:
    """Read a TOML file of options.

    Args:
        path: The file; a relative ``data`` or plugin in it is looked for beside it.

    Returns:
        The options, checked by :func:`check`.

    Raises:
        OptionError: If it cannot be read, is no TOML, or holds a key or a type that does not belong there.
    """
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"the options file {path} cannot be read ({error.strerror}): give a TOML file") from None
    except UnicodeDecodeError:
        raise OptionError(f"the options file {path} is not text in UTF-8: save it as such") from None
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"the options file {path} is not TOML: {error}") from None
    check(options, f"{path}: ")
    if "data" in options:
        options["data"] = str((path.parent / str(options["data"])).resolve())
    if "plugins" in options:
        options["plugins"] = [str((path.parent / name).resolve()) for name in options["plugins"]]
    return options


def check(options: Mapping[str, Any], where: str = "") -> None:
    """Refuse keys and types that do not belong there.

    Args:
        options: The options.
        where: Beginning of the sentence, such as the file's name.

    Raises:
        OptionError: With the key's path and the nearest name.
    """
    top = {"data": Key("str", ""), "plugins": Key("Sequence", []), "reading": Key("Mapping", {})}
    top |= {name: Key("Mapping", {}) for name in ("modalities", "model", "training")}
    _section(options, top, where)
    _section(options.get("model", {}), keys_of(PIMA), f"{where}model.")
    _section(options.get("training", {}), keys_of(PIMA.fit), f"{where}training.")
    _section(options.get("reading", {}), keys_of(from_folder), f"{where}reading.")
    for name, values in dict(options.get("modalities", {})).items():
        path = f"{where}modalities.{name}"
        Key("Mapping", {}).check(path, values)
        kind = values.get("kind", "physics" if "expert" in values else "neural")
        if kind not in ("neural", "physics", "none"):
            raise OptionError(f"{path}.kind = {kind!r}: {closest(kind, ['neural', 'physics', 'none'])}")
        keys = {"kind": Key("str", kind)} | _keys_of_kind(kind)
        _section(values, keys, f"{path}.")
        if kind == "physics" and "expert" not in values:
            raise OptionError(f"{path}.expert is missing: name the physics, such as expert = 'linear_hardening'")


def _keys_of_kind(kind: object) -> dict[str, Key]:
    if kind == "none":
        return {}
    return {"expert": Key("str | Mapping", "")} | keys_of(Physics) if kind == "physics" else keys_of(Neural)


def _section(values: Mapping[str, Any], keys: Mapping[str, Key], path: str) -> None:
    for name, value in values.items():
        if name not in keys:
            raise OptionError(f"{path}{name} is no option: {closest(name, keys)}")
        keys[name].check(f"{path}{name}", value)


def merge(options: Mapping[str, Any], over: Mapping[str, Any]) -> Options:
    """``options`` with the values of ``over`` in their place, table by table; a modality of another kind is another."""
    out = dict(options)
    for name, value in over.items():
        old = out.get(name)
        if (
            isinstance(old, Mapping)
            and isinstance(value, Mapping)
            and value.get("kind", old.get("kind")) == old.get("kind")
        ):
            out[name] = merge(old, value)
        else:
            out[name] = value
    return out


def complete(options: Mapping[str, Any]) -> Options:
    """With every default written out, apart from None (chosen by the data, or off), which TOML cannot say."""
    out = {name: value for name, value in options.items() if not isinstance(value, Mapping)}
    out |= {name: options[name] for name in ("reading",) if name in options}
    out["model"] = _defaults(keys_of(PIMA)) | dict(options.get("model", {}))
    out["training"] = _defaults(keys_of(PIMA.fit)) | dict(options.get("training", {}))
    out["modalities"] = {
        name: {"kind": values["kind"]} | _defaults(_keys_of_kind(values["kind"]), "expert") | dict(values)
        for name, values in dict(options.get("modalities", {})).items()
    }
    return out


def _defaults(keys: Mapping[str, Key], *without: str) -> Options:
    plain = {n: k.default for n, k in keys.items() if k.default is not None and n not in without}
    values = {n: list(v) if isinstance(v, tuple) else v for n, v in plain.items()}
    return {n: v for n, v in values.items() if isinstance(v, str | int | float | list)}


def choose(options: Mapping[str, Any], data: xr.Dataset) -> tuple[Options, list[str]]:
    """Say of every variable of the data what it is: as named, else neural, or left out with the reason.

    Returns:
        Options with every modality, and a sentence about each that was not named.

    Raises:
        OptionError: If a modality is named that the data do not have.
    """
    named = {name: dict(values) for name, values in dict(options.get("modalities", {})).items()}
    measured = measured_names(data)
    for name, values in named.items():
        values.setdefault("kind", "physics" if "expert" in values else "neural")
        if name not in measured and values["kind"] != "none":
            raise OptionError(f"the data have no modality {name!r}: {closest(name, measured)}")
        if values["kind"] == "physics":
            values["expert"] = _with_variable(values["expert"], data, name)
    sentences = []
    depended = {c: name for name, v in named.items() if v["kind"] == "physics" for c in _depended(name, v)}
    inputs = {c: name for name, v in named.items() if v["kind"] == "physics" for c in _covariates(name, v["expert"])}
    for name in measured:
        if name in named:
            continue
        if name in inputs:
            named[name] = {"kind": "none"}
            sentences.append(f"{name}: what the expert of {inputs[name]} needs to know of each test")
            continue
        if name in depended:
            named[name] = {"kind": "none"}
            sentences.append(f"{name}: what parameters of {depended[name]} depend on")
            continue
        of = errors_of(data, name)
        if of is not None:
            named[name] = {"kind": "none"}
            sentences.append(f"{name}: the measurement errors of {of}")
            continue
        if name in ANSWER_NAMES:
            named[name] = {"kind": "none"}
            sentences.append(f"{name}: left out, part of a fit's answer and no measurement")
            continue
        try:
            kind = read(data, {name: Wanted()})[name].schema.kind
        except ValueError as error:
            named[name] = {"kind": "none"}
            sentences.append(f"{name}: left out, {error}")
            continue
        named[name] = {"kind": "neural"}
        hint = f"; if its physics is known: --physics {name}=EXPERT" if kind == "curve" else ""
        sentences.append(f"{name}: {'an' if kind == 'image' else 'a'} {kind}, taken as neural{hint}")
    # In the order of the data, whatever the order on the command line: it decides which random numbers each gets.
    ordered = {name: named.pop(name) for name in measured} | named
    return {**options, "modalities": ordered}, sentences


def _with_variable(expert: Any, data: xr.Dataset, name: str) -> Any:
    """A formula knows its independent variable: that of the curve, where it does not say."""
    if isinstance(expert, str) and (re.fullmatch(r"[\w.-]+", expert) or is_made(expert)):
        return expert
    table = {"formula": expert} if isinstance(expert, str) else dict(expert)
    if "t" not in table:
        table["t"] = str(read(data, {name: Wanted(physics=True)})[name].schema.t_name)
    return table


def build(options: Mapping[str, Any]) -> tuple[PIMA, Options]:
    """The model, and the arguments of its ``fit``.

    Raises:
        OptionError: If ``clusters`` is missing or a value is out of range.
        ExpertError: If an expert is unknown, or its formula is wrong.
    """
    model = dict(options.get("model", {}))
    if "clusters" not in model:
        raise OptionError(
            "say how many populations to look for: --clusters 2, or clusters = 2 under [model];"
            " --clusters auto finds the number in the curves"
        )
    modalities = {
        name: _modality(name, values)
        for name, values in dict(options["modalities"]).items()
        if values["kind"] != "none"
    }
    training = dict(options.get("training", {}))
    TrainingSettings.among(training)  # refused here, not later
    return PIMA(modalities, **model), training


def _modality(name: str, values: Mapping[str, Any]) -> Modality:
    arguments: Options = {
        k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k not in ("kind", "expert")
    }
    if values["kind"] == "neural":
        return Neural(**arguments)
    return Physics(_expert(f"modalities.{name}.expert.", values["expert"]), **arguments)


def _expert(path: str, expert: Any) -> Expert:
    if isinstance(expert, str):
        return get_expert(expert)
    _section(expert, {name: key for name, key in keys_of(SympyExpert).items() if name != "parameters"}, path)
    if "formula" not in expert:
        raise OptionError(f"{path}formula is missing: write one, such as formula = 'K * strain**n'")
    formula, relations = with_relations(expert["formula"])
    given = {**expert, "formula": formula, "bounds": _bounds(path, expert)}
    try:
        law = SympyExpert(**given)
        return law.related(*relations) if relations else law
    except FormulaError as error:
        raise OptionError(f"{path}formula = {expert['formula']!r}: {error}") from None


def _covariates(name: str, expert: Any) -> tuple[str, ...]:
    return _expert(f"modalities.{name}.expert.", expert).covariates


def _depended(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of what the parameters of a modality depend on: covariates in terms, and what tells batches."""
    if not values.get("depends_on") and not values.get("groups"):
        return ()
    option = _modality(name, values)
    if not isinstance(option, Physics):
        return ()
    return (*option.dependence.covariates, *([option.groups] if option.groups else []))


def _bounds(path: str, expert: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    bounds = {}
    for name, pair in dict(expert.get("bounds", {})).items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, int | float) for v in pair)):
            raise OptionError(f"{path}bounds.{name} = {pair!r}: expected two numbers, [0, 1], or inf for none")
        bounds[name] = (float(pair[0]), float(pair[1]))
    return bounds


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What two sets of options disagree on, apart from where the data lie: ``training.seed: 0 there, 1 now``."""
    one, two = (_flat({k: v for k, v in options.items() if k != "data"}) for options in (old, new))
    changed = [key for key in sorted(one.keys() | two.keys()) if one.get(key) != two.get(key)]
    # Of a modality of another kind only that.
    other = {key.removesuffix("kind") for key in changed if key.startswith("modalities.") and key.endswith(".kind")}
    told = [key for key in changed if key.endswith(".kind") or not key.startswith(tuple(other))]
    return [f"{key}: {one.get(key, 'not given')} there, {two.get(key, 'not given')} now" for key in told]


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, object]:
    out: dict[str, object] = {}
    for name, value in values.items():
        out |= _flat(value, f"{path}{name}.") if isinstance(value, Mapping) else {f"{path}{name}": value}
    return out
