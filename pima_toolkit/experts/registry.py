"""Experts by name: the installed ones, those of this session, those of a file, those of a saved fit."""

from __future__ import annotations

import difflib
import inspect
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from numpy.typing import ArrayLike

from ..errors import ExpertError, FileFormatError, PluginWarning
from ..plugins.hooks import hookimpl
from ..plugins.manager import OURS, Manager, load_file, manager, plugin_records, use_manager
from ..plugins.records import FILE, SESSION, Origin, PluginRecord
from ..plugins.registry import Registry
from ..signatures import tells_misfits
from .contract.parameters import Parameter
from .kinds.elastic_plastic import ElasticPlastic
from .kinds.expert import Expert
from .kinds.formula_expert import RestrictedExpert, SympyExpert
from .kinds.lmfit_expert import LmfitExpert
from .kinds.notation import is_made, read_law
from .kinds.ode_expert import OdeExpert
from .kinds.peak_search import found
from .kinds.peaks import Peaks
from .kinds.principal_curves import NAME_OF_LAW, LearnedInFit, read_principal_curves

__all__ = [
    "EXPERTS",
    "Manager",
    "PluginRecord",
    "elastic_plastic",
    "expert_from_dict",
    "experts",
    "find_peaks",
    "get_expert",
    "hookimpl",
    "load_plugin",
    "manager",
    "peaks",
    "plugin_records",
    "register",
    "use_manager",
]

Registered = TypeVar("Registered", bound="Expert | type[Expert]")


def instance(item: object) -> Expert:
    """Make an expert of a class or an instance.

    Raises:
        ExpertError: If it is neither, or what it declares cannot be used.
    """
    if inspect.isclass(item) and issubclass(item, Expert):
        try:
            item = item()
        except TypeError as error:
            raise ExpertError(f"the expert class {item.__name__} cannot be made without arguments: {error}") from error
    if not isinstance(item, Expert):
        what = f"the class {item.__name__}" if inspect.isclass(item) else f"{type(item).__name__} {item!r}"
        raise ExpertError(
            f"{what[:80]} is not an expert: expected a subclass of pima_toolkit.Expert, or an instance of one"
        )
    name = getattr(item, "name", None)
    if not isinstance(name, str) or not name.strip():
        raise ExpertError(f"the expert {type(item).__name__} has no name: write name = '...' in the class")
    if not getattr(item, "parameters", ()) and not isinstance(item, LearnedInFit):
        raise ExpertError(f"the expert {name!r} has no parameters")
    if len(item.reported_bounds) not in (0, len(item.reported)):
        raise ExpertError(
            f"the expert {name!r} has {len(item.reported_bounds)} reported_bounds: write one text for each of its"
            f" {len(item.reported)} reported parameters, '' where its numbers tell them, or none at all"
        )
    return item


def installable(item: object) -> Expert:
    """Make an expert that may be known by its name of a class or an instance.

    Raises:
        ExpertError: If it is none, or its name means a law that is learned.
    """
    made = instance(item)
    if made.name == NAME_OF_LAW:
        raise ExpertError(
            f"the name {NAME_OF_LAW!r} asks a fit to learn a law of its own: give yours another,"
            " pima.principal_curves(..., name='my_spectra')"
        )
    return made


def mark(expert: Expert, origin: Origin) -> None:
    """Write on an expert where it comes from, once; experts are immutable in all that counts for being equal."""
    if expert.origin is None:
        object.__setattr__(expert, "origin", origin)


#: The built-in experts are a plugin, pima_experts, and come through the hook as a stranger's do.
EXPERTS = Registry("expert", "pima_experts", installable, ExpertError, named=True, mark=mark)


def experts() -> dict[str, Expert]:
    """Return every installed expert by name.

    Returns:
        Name -> expert, sorted.
    """
    return dict(sorted(EXPERTS.all().items()))


def get_expert(expert: str | Expert | type[Expert]) -> Expert:
    """Find an expert.

    Args:
        expert: The name of an installed one, an expert, or an expert class; how one is made of others,
            ``"elastic(E) + voce"``, ``"peaks(3, gaussian)"``, ``"voce with sigma_y < 300"``
            (:mod:`~pima_toolkit.experts.kinds.notation`); ``"principal_curves"`` for a law that a fit learns from its
            curves.

    Returns:
        The expert.

    Raises:
        ExpertError: If no installed expert has this name; the message lists the known ones. If a law made of others
            cannot be read, or they do not go together.
    """
    if not isinstance(expert, str):
        made = instance(expert)
        if made.origin is None and type(made) is not SympyExpert:
            # The installed one where it is the same: it knows which plugin it comes from.
            there = experts().get(made.name)
            return there if there == made else made
        return made
    if expert == NAME_OF_LAW:
        return LearnedInFit()
    if expert not in EXPERTS and is_made(expert):
        return read_law(expert, get_expert)
    advice = ""
    if any(character in expert for character in "*/+("):
        advice = "; a formula is written SympyExpert('...', t='...')."
    elif difflib.get_close_matches(expert, [NAME_OF_LAW]):
        advice = f"; did you mean {NAME_OF_LAW!r}, a law that a fit learns?"
    return EXPERTS.get(expert, advice)


@tells_misfits
def elastic_plastic(
    law: str | SympyExpert, *, E: float | None = None, engineering: str | None = None
) -> ElasticPlastic:
    """Make a law over the total strain of one of hardening over the plastic strain; text says ``"elastic(E) + voce"``.

    Args:
        law: The law of hardening, true stress over plastic strain: a name or a formula.
        E: Elastic modulus where it is known, in the unit of the stress over that of the strain; None: fitted.
        engineering: ``"tension"`` or ``"compression"``: the curve is one of engineering stress and strain; None: true.

    Raises:
        ExpertError: If the law is no formula, or has a parameter ``E`` itself.
        OptionError: If an option is none of these.
    """
    return ElasticPlastic(get_expert(law), E, engineering)


@tells_misfits
def peaks(
    count: int,
    shape: str | SympyExpert = "pseudo_voigt",
    *,
    background: int | None = 1,
    shared: str | Sequence[str] = (),
) -> Peaks:
    """Make the law of a sum of peaks on a background; where they are is found in each curve. No starts are needed.

    Args:
        count: Number of peaks.
        shape: One peak: ``"gaussian"``, ``"lorentzian"``, ``"pseudo_voigt"``, or a formula with a height, a centre
            named in ``within``, and a width.
        background: Degree of the polynomial under them; None for none.
        shared: Parameters that all peaks have in common: ``"w"``, ``("w", "eta")``.

    Raises:
        ExpertError: If the shape is no peak.
        OptionError: If an option is out of range.
    """
    return Peaks(get_expert(shape), count, background, shared)


@tells_misfits
def find_peaks(
    t: ArrayLike,
    y: ArrayLike,
    shape: str | SympyExpert = "pseudo_voigt",
    *,
    background: int | None = 1,
    shared: str | Sequence[str] = (),
    most: int = 20,
) -> Peaks:
    """Find how many peaks a curve has, and make the law of them, each between its neighbours.

    From the peaks that stand above the noise one is added where the rest rises most, and left out where it is weakest,
    as Schwarz's criterion says. Of several curves the mean is looked at: the law then calls the same peak alike in all.

    Args:
        t: Where it was measured, (T,).
        y: A curve (T,), or several (N, T); NaN where not measured.
        shape: As in ``pima.peaks``, with the other options.
        background: As there.
        shared: As there.
        most: Peaks at most.

    Raises:
        ExpertError: If there is too little to look at, or no peak.
        OptionError: If an option is out of range.
    """
    return found(get_expert(shape), t, y, background, shared, most)


def register(expert: Registered) -> Registered:
    """Make an expert known by name in this session, from a notebook cell; also a class decorator.

    Args:
        expert: An expert or an expert class; running the cell again replaces it.

    Returns:
        The argument.

    Raises:
        ExpertError: If it is no expert, or a plugin or another module has one of this name.
    """
    EXPERTS.add(expert)
    return expert


def load_plugin(path: str | os.PathLike[str]) -> list[Expert]:
    """Load a plugin from a Python file, without packaging; loading it again replaces it. The file's code is run.

    Args:
        path: The file.

    Returns:
        Its experts.

    Raises:
        ExpertError: If there is no such file, or the plugin is broken; nothing of it stays.
    """
    names = load_file(path).experts
    return [EXPERTS.get(name) for name in names]


def expert_from_dict(values: dict[str, object], *, installed: Mapping[str, Expert] | None = None) -> Expert:
    """Read back what :meth:`Expert.to_dict` wrote; text goes through the formula's whitelist, never through ``eval``.

    Args:
        values: The table.
        installed: Experts by name to take instead of the installed ones.

    Returns:
        An expert equal to the one saved. A PluginWarning says when its plugin has another version now.

    Raises:
        FileFormatError: If it is no such table.
        ExpertError: If it needs an expert that is not installed, or that has changed since; it names the plugin.
        FormulaError: If its formula cannot be read.
    """
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind in _OF_OTHERS:
        return _OF_OTHERS[kind](values, installed)
    if kind == NAME_OF_LAW:
        return read_principal_curves(values)
    if (
        not isinstance(values, dict)
        or values.get("kind") not in {"formula", "installed", "lmfit", "ode"}
        or not isinstance(values.get("name"), str)
    ):
        raise FileFormatError(
            f"a saved expert must be a table with kind 'formula', 'ode', 'installed' or 'lmfit' and a name, got"
            f" {str(values)[:80]}"
        )
    parameters = values.get("parameters")
    covariates = values.get("covariates", [])
    named = isinstance(covariates, list) and all(isinstance(name, str) for name in covariates)
    if not isinstance(parameters, list) or not isinstance(values.get("t"), str) or not named:
        raise FileFormatError(f"the saved expert {values['name']!r} lacks its parameters or its variable")
    read, origin = tuple(Parameter.from_dict(p) for p in parameters), _read_origin(values.get("origin"))
    if values["kind"] in ("ode", "lmfit"):
        return (_ode if values["kind"] == "ode" else _lmfit)(values, read)
    if values["kind"] == "formula":
        if not isinstance(values.get("formula"), str):
            raise FileFormatError(f"the saved expert {values['name']!r} lacks its formula")
        options = {"covariates": covariates, "name": values["name"], "parameters": read}
        made = SympyExpert(values["formula"], values["t"], quantity=str(values.get("quantity", "")), **options)
        if origin is not None:
            mark(made, origin)
        return made
    try:
        expert = get_expert(values["name"]) if installed is None else installed[values["name"]]
    except (ExpertError, KeyError) as error:
        raise ExpertError(
            f"this was saved with the expert {values['name']!r}{_of(origin)}, which is not installed:"
            f" {_how_to_get(origin)}. {error}"
        ) from None
    same = (
        expert.parameters == read
        and getattr(expert, "formula", None) == values.get("formula")
        and expert.inputs == (values["t"], *covariates)
    )
    if not same:
        raise ExpertError(
            f"the installed expert {expert.name!r}{_of(expert.origin)} is not the one this was saved with (its formula"
            f" or parameters changed): {_how_to_get(origin)}"
        )
    if origin is not None and origin != expert.origin and OURS not in (origin.distribution, _distribution(expert)):
        warnings.warn(
            f"this was saved with the expert {expert.name!r}{_of(origin)}, and is read with that{_of(expert.origin)};"
            f" formula and parameters are the same",
            PluginWarning,
            stacklevel=2,
        )
    return expert


def _read_origin(values: object) -> Origin | None:
    if values is None:
        return None
    names = ("plugin", "distribution", "version")
    if not isinstance(values, dict) or not all(isinstance(values.get(name), str) for name in names):
        raise FileFormatError(f"the origin of a saved expert must be a table with {', '.join(names)}, got {values!r}")
    return Origin(*(values[name] for name in names))


def _distribution(expert: Expert) -> str | None:
    return None if expert.origin is None else expert.origin.distribution


def _of(origin: Origin | None) -> str:
    return "" if origin is None else f" of {origin}"


def _how_to_get(origin: Origin | None) -> str:
    """Tell how to bring an expert back."""
    if origin is None:
        return "install its plugin, or register it again"
    if origin.distribution == SESSION:
        return "run the cell or program that registers it with pima.register"
    if origin.distribution == FILE:
        return f"load it with pima.load_plugin({origin.plugin!r})"
    return f"pip install {origin.distribution}=={origin.version}"


def _lmfit(values: dict[str, object], parameters: tuple[Parameter, ...]) -> LmfitExpert:
    """Read back the model that ``LmfitExpert.to_dict`` wrote."""
    limits = {p.name: (p.lower, p.upper) for p in parameters}
    return LmfitExpert(values["model"], values["t"], name=values["name"], bounds=limits, **values["options"])


def _ode(values: dict[str, object], parameters: tuple[Parameter, ...]) -> OdeExpert:
    """Read back the equations that ``OdeExpert.to_dict`` wrote."""
    names = ("equations", "initial", "inputs", "covariates", "output", "events", "start", "tolerance", "sizes")
    missing = [name for name in names if name not in values]
    if missing:
        raise FileFormatError(f"the saved expert {values['name']!r} lacks its {missing[0]}")
    return OdeExpert(
        t=values["t"], name=values["name"], parameters=parameters, **{name: values[name] for name in names}
    )


def _restricted(values: dict[str, object], installed: Mapping[str, Expert] | None) -> RestrictedExpert:
    """Read back an expert not all of whose parameters are free: see ``SympyExpert.fixed``, ``tied`` and ``related``."""
    fixed, tied, relations = values.get("fixed"), values.get("tied"), values.get("relations", [])
    numbers = isinstance(fixed, dict) and all(isinstance(v, int | float) for v in fixed.values())
    texts = isinstance(tied, dict) and isinstance(relations, list)
    if not numbers or not texts or not all(isinstance(v, str) for v in (*tied.values(), *relations)):
        raise FileFormatError(f"a saved expert lacks what its parameters are fixed at or tied to: {str(values)[:80]}")
    base = expert_from_dict(values.get("base"), installed=installed)
    if not isinstance(base, SympyExpert):
        raise FileFormatError(f"a saved expert restricts {base.name!r}, which is no formula")
    return RestrictedExpert(base, fixed=fixed, tied=tied, relations=relations)


def _made_of(kind: type[ElasticPlastic] | type[Peaks], of: str, *options: str) -> Callable[..., Expert]:
    """How to read back what ``to_dict`` of a law made of another wrote, with its options by name."""

    def read(values: dict[str, object], installed: Mapping[str, Expert] | None) -> Expert:
        missing = [name for name in (of, *options) if name not in values]
        if missing:
            raise FileFormatError(f"the saved expert {str(values.get('name'))!r} lacks its {missing[0]}")
        other = expert_from_dict(values[of], installed=installed)
        try:
            return kind(other, **{name: values[name] for name in options})
        except (TypeError, ValueError) as error:
            raise FileFormatError(f"the saved expert {str(values.get('name'))!r} cannot be read: {error}") from None

    return read


#: Kind of a law that is made of another, as it is saved -> how it is read back.
_OF_OTHERS: dict[object, Callable[..., Expert]] = {
    "restricted": _restricted,
    "elastic_plastic": _made_of(ElasticPlastic, "law", "E", "engineering"),
    "peaks": _made_of(Peaks, "shape", "count", "background", "shared", "places", "offset", "scale"),
}
