"""Tables of what parameters depend on: effects of covariates, and how batches differ.

Both are in each parameter's unbounded coordinate, in which they are linear: the logarithm of a positive parameter, so
that an effect of 0.01 per kelvin is one percent per kelvin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import NDArray

from ...errors import ExpertError
from ..contract.bounds import Bounds
from ..contract.law import Law
from ..contract.parameters import resolve_unit
from .curves import FittedCurves
from .population import CurvePopulation

Array = NDArray[np.float64]


def scales(law: Law, bounds: Bounds) -> list[str]:
    """Each fitted parameter's unbounded coordinate in words, such as ``"log(E)"``."""
    out = []
    for p, low, high in zip(law.parameters, bounds.lower, bounds.upper, strict=True):
        below = p.name if low == 0.0 else f"{p.name} - {low:g}" if low > 0.0 else f"{p.name} + {-low:g}"
        if np.isfinite(low) and np.isfinite(high):
            out.append(f"log(({below}) / ({high:g} - {p.name}))")
        elif np.isfinite(low):
            out.append(f"log({below})")
        else:
            out.append(f"-log({high:g} - {p.name})" if np.isfinite(high) else p.name)
    return out


def scale_units(law: Law, bounds: Bounds, y_unit: str, t_unit: str) -> list[str]:
    """Unit of each of those coordinates: that of the parameter where it has no bounds, else none."""
    free = ~(np.isfinite(bounds.lower) | np.isfinite(bounds.upper))
    units = [resolve_unit(p.unit, y_unit, t_unit) for p in law.parameters]
    return [unit if plain else "1" for unit, plain in zip(units, free, strict=True)]


def per(unit: str, below: str) -> str:
    """Unit of a change by one ``below``, such as ``"MPa/K"``."""
    if below == "1":
        return unit
    return f"{unit}/({below})" if any(sign in below for sign in "*/ ") else f"{unit}/{below}"


def effects_table(
    law: Law, data: FittedCurves, populations: Sequence[CurvePopulation | None], level: float
) -> xr.Dataset:
    """Effects of covariates; see :attr:`~pima_toolkit.Solution.effects`."""
    depends = data.depends
    if depends is None or not len(depends.dependence):
        raise ExpertError(
            "the parameters of this fit depend on no covariate: fit with depends_on, such as"
            f' depends_on={{"{law.parameters[0].name}": ["temperature"]}}'
        )
    names, C, K = depends.dependence, len(populations), len(depends.dependence)
    table = {name: np.full((C, K), np.nan) for name in ("value", "std_error", "freedom", "slope")}
    for c, population in enumerate(populations):
        if population is None or not len(population.used):
            continue
        size = int(population.free.sum())
        chosen = np.eye(size + len(population.used))[size:]
        error, freedom = population.effects.contrast(chosen)
        value = population.effects.coefficients[size:]
        place = np.array(names.places)[population.used]
        table["value"][c, population.used] = value
        table["std_error"][c, population.used], table["freedom"][c, population.used] = error, freedom
        table["slope"][c, population.used] = value * data.bounds.slope(population.theta)[place]
    with np.errstate(divide="ignore", invalid="ignore"):
        half = scipy.stats.t.ppf(0.5 * (1.0 + level), table["freedom"]) * table["std_error"]
        p_value = 2.0 * scipy.stats.t.sf(np.abs(table["value"] / table["std_error"]), table["freedom"])
    units = scale_units(law, data.bounds, data.y_unit, data.t_unit)
    own = [resolve_unit(p.unit, data.y_unit, data.t_unit) for p in law.parameters]
    dims = ("cluster", "effect")
    return xr.Dataset(
        {
            "value": (dims, table["value"], {"long_name": "change of the parameter's scale by one unit of the term"}),
            "std_error": (dims, table["std_error"], {"long_name": "standard error"}),
            "low": (dims, table["value"] - half, {"long_name": "lower end of the interval"}),
            "high": (dims, table["value"] + half, {"long_name": "upper end of the interval"}),
            "p_value": (dims, p_value, {"long_name": "two-sided, of no effect"}),
            "freedom": (dims, table["freedom"], {"long_name": "degrees of freedom of Student's t"}),
            "slope": (dims, table["slope"], {"long_name": "change of the parameter itself, at the reference"}),
        },
        coords={
            "cluster": np.arange(C),
            "effect": list(names.labels),
            "parameter": ("effect", list(names.names)),
            "term": ("effect", list(names.terms)),
            "scale": ("effect", [scales(law, data.bounds)[k] for k in names.places]),
            "unit": ("effect", [per(units[k], below) for k, below in zip(names.places, depends.units, strict=True)]),
            "slope_unit": (
                "effect",
                [per(own[k], below) for k, below in zip(names.places, depends.units, strict=True)],
            ),
            "reference": ("effect", depends.reference, {"long_name": "value of the term at which parameters are said"}),
        },
        attrs={"level": level, "method": "REML over specimens, Knapp-Hartung, Student's t"},
    )


def batches_table(law: Law, data: FittedCurves, populations: Sequence[CurvePopulation | None]) -> xr.Dataset:
    """How batches differ; see :attr:`~pima_toolkit.Solution.batches`."""
    depends = data.depends
    if depends is None or depends.group is None:
        raise ExpertError("this fit knows no batches: fit with groups, a label for each specimen")
    C, P, G = len(populations), len(law.parameters), len(depends.groups)
    std, p_value = np.full((C, P), np.nan), np.full((C, P), np.nan)
    effect, error = np.full((C, G, P), np.nan), np.full((C, G, P), np.nan)
    for c, population in enumerate(populations):
        if population is None:
            continue
        free = np.flatnonzero(population.free)
        std[c, free] = np.sqrt(population.effects.group_scatter)
        p_value[c, free] = population.batches_differ()
        here = np.unique(depends.group[population.members])
        effect[c][np.ix_(here, free)] = population.effects.group_effects
        spread = np.einsum("gpp->gp", population.effects.group_covariance)
        error[c][np.ix_(here, free)] = np.sqrt(np.maximum(spread, 0.0))
    dims = ("cluster", "parameter")
    return xr.Dataset(
        {
            "std": (dims, std, {"long_name": "standard deviation between batches"}),
            "p_value": (dims, p_value, {"long_name": "of batches that do not differ, restricted likelihood ratio"}),
            "effect": (("cluster", "group", "parameter"), effect, {"long_name": "best linear prediction"}),
            "effect_std": (
                ("cluster", "group", "parameter"),
                error,
                {"long_name": "standard deviation given the curves"},
            ),
        },
        coords={
            "cluster": np.arange(C),
            "group": depends.groups,
            "parameter": [p.name for p in law.parameters],
            "scale": ("parameter", scales(law, data.bounds)),
            "unit": ("parameter", scale_units(law, data.bounds, data.y_unit, data.t_unit)),
        },
        attrs={"grouped_by": depends.grouped_by, "method": "REML over specimens and batches"},
    )


def terms_at(data: FittedCurves, at: Mapping[str, float] | None) -> Array | None:
    """Values of the terms minus their reference under given conditions, shape (effects,); None without any.

    Args:
        data: The curves of the fit.
        at: Covariates by name.

    Raises:
        ExpertError: If the fit knows no covariates, or one of them is missing or unknown.
    """
    if at is None:
        return None
    known = () if data.depends is None else data.depends.dependence.covariates
    if set(at) != set(known) or data.depends is None:
        raise ExpertError(
            f"at={dict(at)!r} must give the covariates that parameters depend on, and no other: "
            f"{', '.join(known) or 'there are none, fit with depends_on'}"
        )
    values = data.depends.dependence.values({name: np.array([float(value)]) for name, value in at.items()})
    return values[0] - data.depends.reference
