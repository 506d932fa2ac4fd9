r"""Intervals of a fit: of the parameters, by any level; by profiles and resampling, which check them; bands of curves.

Of several curves the interval is that of the population's mean (:mod:`~.population`). Checks of it are the bootstrap,
which draws specimens with replacement and so needs no formula for how they differ, and the profile of the population's
likelihood. Of one curve a profile is the smallest cost with one parameter held, all others fitted again, and lmfit's
root finder finds where it has risen enough:

.. math:: \frac{\mathrm{cost}(q) - \mathrm{cost}_{\min}}{s^2} \le F_{1,\nu}

A band of the mean holds the curve of the population's parameters; a band of a new specimen holds its measurements: its
parameters are drawn from the population, with how sure that is, run through the law, and noise is added.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import NDArray

from ...errors import ExpertError, OptionError, require
from ..contract.bounds import Bounds
from ..contract.inputs import Inputs, by_name, pack, variable
from ..contract.law import Law
from ..contract.parameters import resolve_unit
from ..formulas.derived import solved_for
from ..solvers.optimum import Optimum
from .covariance import Errors
from .curves import FittedCurves
from .lmfit_bridge import lmfit_result
from .population import CurvePopulation, Interval, student

if TYPE_CHECKING:
    from lmfit.model import ModelResult

Array = NDArray[np.float64]

#: Specimens drawn for the band of a new one.
_DRAWS = 4000
#: Degrees of freedom that are as good as infinite.
_MANY = 1e9


def check_level(level: float) -> float:
    """A share between 0 and 1.

    Raises:
        OptionError: If it is none.
    """
    if not isinstance(level, int | float) or not 0 < level < 1:
        raise OptionError(f"level={level!r}: expected a share between 0 and 1, such as 0.9")
    return float(level)


def freedom(optimum: Optimum, data: FittedCurves) -> Array:
    """Degrees of freedom of the errors, (C,).

    Specimens less one; for a single curve points less parameters, or as good as infinite where the noise is known.
    """
    if data.single and data.known:
        return np.full(len(optimum.cost), _MANY)
    free = np.sum(optimum.free, axis=1)
    return np.maximum(data.count - free if data.single else data.effective - 1, 1.0)


def reported_units(law: Law, data: FittedCurves) -> list[str]:
    """Units of the reported parameters, with those of the data put in."""
    return [resolve_unit(p.unit, data.y_unit, data.t_unit) for p in law.reported]


def coords(law: Law, data: FittedCurves) -> dict[str, object]:
    """Coordinates of tables of the reported parameters."""
    return {
        "cluster": np.arange(data.gamma.shape[1]),
        "parameter": [p.name for p in law.reported],
        "unit": ("parameter", reported_units(law, data)),
    }


def said_of(level: float, method: str) -> dict[str, float | str]:
    """Attributes of a table of intervals: every interval says its level and its method."""
    return {"level": level, "method": method}


def interval(
    law: Law,
    optimum: Optimum,
    errors: Errors,
    data: FittedCurves,
    populations: Sequence[CurvePopulation | None],
    level: float,
    terms: Array | None = None,
) -> tuple[Interval, str]:
    """Interval of every reported parameter, shape (C, Q) each, and the method in words.

    Of several curves it is that of the population's mean, at the terms' reference or where ``terms`` (effects,) say; of
    one, the linearised least squares' with Student's t.
    """
    level = check_level(level)
    value, jacobian = law.to_reported(optimum.parameters), law.reported_jacobian(optimum.parameters)
    finite = np.where(np.isfinite(errors.covariance), errors.covariance, 0.0)
    std = np.sqrt(np.maximum(np.einsum("cqp,cpr,cqr->cq", jacobian, finite, jacobian), 0.0))
    freedoms = np.repeat(freedom(optimum, data)[:, None], value.shape[1], axis=1)
    bounds = Bounds.of(law.reported)
    with np.errstate(invalid="ignore"):
        half = scipy.stats.t.ppf(0.5 * (1.0 + level), freedoms) * std
    low, high = np.clip(value - half, bounds.lower, bounds.upper), np.clip(value + half, bounds.lower, bounds.upper)
    for c, population in enumerate(populations):
        if population is None:
            continue
        own = population.interval(level, terms)
        value[c], std[c], low[c], high[c] = own.value, own.std_error, own.low, own.high
        freedoms[c] = own.freedom
    # Infinite where a cause is open. Where every cause is at a bound there is no error to give.
    open_ = np.isinf(np.diagonal(errors.covariance, axis1=1, axis2=2))
    lost = np.any(open_[:, None, :] & (jacobian != 0), axis=2)
    std, low, high = (
        np.where(lost, end, part) for end, part in ((np.inf, std), (bounds.lower, low), (bounds.upper, high))
    )
    stuck = np.any(optimum.at_bound[:, None, :] & (jacobian != 0), axis=2) & ~(std > 0)
    std, low, high = (np.where(stuck | np.isnan(std), np.nan, part) for part in (std, low, high))
    if not data.single:
        method = "REML over specimens, Hartung-Knapp, Student's t"
    elif data.known:
        method = "linearised least squares, known noise, normal"
    else:
        of = f", {data.noises[0].name} noise" if data.noises and data.noises[0].numbers() else ""
        method = f"linearised least squares{of}, Student's t"
    method += ", with priors" if data.priors else ""
    return Interval(value, std, low, high, freedoms), method


def bootstrap(
    law: Law,
    optimum: Optimum,
    data: FittedCurves,
    populations: Sequence[CurvePopulation | None],
    n: int,
    seed: int,
    level: float,
) -> xr.Dataset:
    """Populations of specimens drawn with replacement; see :meth:`~pima_toolkit.Solution.bootstrap`."""
    level = check_level(level)
    if not isinstance(n, int) or n < 2:
        raise OptionError(f"n={n!r}: expected a whole number of replicates, at least 2")
    if data.single:
        raise ExpertError("one curve cannot be resampled: fit several, or use profile(), which needs only one")
    N, C = data.gamma.shape
    value, Q = law.to_reported(optimum.parameters), len(law.reported)
    random = np.random.default_rng(seed)
    grouped = data.depends is not None and data.depends.group is not None
    # Specimens of one batch are drawn together: alone they would say that batches tell more than they do.
    unit = data.depends.group if grouped else np.arange(N)
    units = int(unit.max()) + 1
    drawn = random.multinomial(units, np.full(units, 1.0 / units), size=n).astype(np.float64)
    counts = np.where(unit >= 0, drawn[:, unit], 0.0)
    values, low, high = np.full((n, C, Q), np.nan), np.full((C, Q), np.nan), np.full((C, Q), np.nan)
    std = np.full((C, Q), np.nan)
    for c, population in enumerate(populations):
        if population is None:
            continue
        own = counts[:, population.members]
        for k in np.flatnonzero(own.any(1)):  # of a small cluster none may have been drawn
            values[k, c] = population.resampled(own[k])
        gamma = population.effects.responsibilities
        effective = float(gamma.sum() ** 2 / np.square(gamma).sum())
        effective = float(len(np.unique(unit[population.members]))) if grouped else effective
        # Draws with replacement scatter as if divided by N where a sample's variance is divided by N - 1.
        std[c] = np.nanstd(values[:, c], axis=0, ddof=1) * np.sqrt(effective / (effective - 1.0))
        ends = student(population.reported_bounds, value[c], std[c], population.interval(level).freedom, level)
        low[c], high[c] = ends.low, ends.high
    dims = ("cluster", "parameter")
    return xr.Dataset(
        {
            "value": (dims, value),
            "std_error": (dims, std, {"long_name": "standard error"}),
            "low": (dims, low),
            "high": (dims, high),
            "replicates": (("replicate", *dims), values),
        },
        coords=coords(law, data),
        attrs=said_of(
            level,
            f"bootstrap over {units} {'batches' if grouped else 'specimens'}, {n} replicates, seed {seed}, Student's t",
        ),
    )


def chosen(law: Law, names: Sequence[str]) -> list[int]:
    """Numbers of reported parameters by their names; all where none is named.

    Raises:
        ExpertError: If there is none of a name.
    """
    known = [p.name for p in law.reported]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ExpertError(f"there is no parameter {unknown[0]!r} to look at: use {', '.join(known)}")
    return [known.index(name) for name in names] or list(range(len(known)))


def profiles(
    law: Law,
    optimum: Optimum,
    errors: Errors,
    data: FittedCurves,
    populations: Sequence[CurvePopulation | None],
    names: Sequence[str],
    level: float,
) -> xr.Dataset:
    """Intervals by profile likelihood; see :meth:`~pima_toolkit.Solution.profile`."""
    level = check_level(level)
    picked, known = chosen(law, names), [p.name for p in law.reported]
    names = [known[k] for k in picked]
    if data.priors and data.single:
        raise ExpertError("a profile of one curve leaves the priors out: use the interval of parameters")
    if data.whiten is not None:
        raise ExpertError("a profile of one curve takes points for independent: use the interval of parameters")
    freedoms = freedom(optimum, data)
    value, slopes = law.to_reported(optimum.parameters), law.reported_jacobian(optimum.parameters)
    out = np.full((2, len(value), len(names)), np.nan)
    inputs = by_name(law.inputs, data.grid)
    for c, population in enumerate(populations or [None] * len(value)):
        if not data.single:
            if population is not None:
                out[:, c] = np.transpose([population.profile(k, level) for k in picked])
            continue
        seen = data.weight[c] > 0
        grids = {name: t[seen] for name, t in inputs.items()}
        for k, name in enumerate(names):
            slope = slopes[c, known.index(name)]
            if not 0 < float(slope @ errors.covariance[c] @ slope) < np.inf:
                continue
            out[:, c, k] = profile(
                law,
                grids,
                data.mean[c, seen],
                data.weight[c, seen],
                constant=float(data.constant[c]),
                count=float(data.count[c]),
                start=optimum.parameters[c],
                bounds=data.bounds,
                held=~optimum.free[c],
                name=name,
                level=level,
                variance=float(data.variance[c]),
                freedom=float(freedoms[c]),
            )
    units = reported_units(law, data)
    dims = ("cluster", "parameter")
    return xr.Dataset(
        {"value": (dims, value[:, picked]), "low": (dims, out[0]), "high": (dims, out[1])},
        coords={**coords(law, data), "parameter": names, "unit": ("parameter", [units[k] for k in picked])},
        attrs=said_of(level, "profile likelihood" + ("" if data.single else " of the population")),
    )


def band(
    law: Law,
    optimum: Optimum,
    errors: Errors,
    data: FittedCurves,
    populations: Sequence[CurvePopulation | None],
    t: Inputs | None,
    level: float,
    of: str,
) -> xr.Dataset:
    """The fitted curves with pointwise bands; see :meth:`~pima_toolkit.Solution.band`."""
    level = check_level(level)
    if of not in ("mean", "specimen"):
        raise OptionError(f'of={of!r}: expected "mean", the band of the mean curve, or "specimen", of a new specimen')
    if of == "specimen" and data.single:
        raise ExpertError("how specimens differ cannot be told from one curve: fit several for a specimen's band")
    grid = np.unique(data.grid) if t is None and len(law.inputs) == 1 else t
    if grid is None:
        raise OptionError(f"give t, the inputs by name: {', '.join(law.inputs)}")
    grid = pack(law, grid)
    along = grid[: grid.size // len(law.inputs)]
    value, jacobian = law.value_and_jacobian(grid, optimum.parameters)
    low, high = np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    known = np.isfinite(errors.covariance).all((1, 2))
    method = "linearised, Student's t"
    for c in np.flatnonzero(known):
        population = populations[c] if populations else None
        if population is None:
            spread = np.einsum("tp,pq,tq->t", jacobian[c], errors.covariance[c], jacobian[c])
            half = scipy.stats.t.ppf(0.5 * (1 + level), freedom(optimum, data)[c]) * np.sqrt(np.maximum(spread, 0.0))
            low[c], high[c] = value[c] - half, value[c] + half
        elif of == "mean":
            gradient = (jacobian[c] * data.bounds.slope(optimum.parameters[c]))[:, population.free]
            std, few = population.effects.contrast(gradient)
            half = scipy.stats.t.ppf(0.5 * (1 + level), few) * std
            low[c], high[c] = value[c] - half, value[c] + half
            method = "REML over specimens, Hartung-Knapp, Student's t"
        else:
            weights = np.broadcast_to(data.points, data.observed.shape)[data.observed]
            typical = float(np.mean(1 / weights))  # of a point as precise as the typical one
            noise = population.effects.variance * typical * population.noise.spread(value[c])
            low[c], high[c] = _new_specimens(law, population, grid, noise, level)
            method = f"quantiles of {_DRAWS} drawn specimens with noise, seed 0"
    name = law.inputs[0]
    dims, attrs = ("cluster", name), {"units": data.y_unit}
    measured = variable(law, data.grid)[(data.weight > 0.0).any(0)]
    beyond = (along < measured.min()) | (along > measured.max())
    return xr.Dataset(
        {
            "mean": (dims, value, attrs),
            "low": (dims, low, attrs),
            "high": (dims, high, attrs),
            "outside_range": (name, beyond, {"long_name": "beyond what was measured"}),
        },
        coords={"cluster": np.arange(len(value)), name: (name, along, {"units": data.t_unit})},
        attrs={**said_of(level, method), "of": of},
    )


def _new_specimens(
    law: Law, population: CurvePopulation, grid: Array, noise: Array, level: float
) -> tuple[Array, Array]:
    """Quantiles of the measured curves of new specimens, (T,) each: parameters drawn, run through the law."""
    random = np.random.default_rng(0)
    P = len(population.free)
    freedom = float(np.median(population.effects.contrast(np.eye(int(population.free.sum())))[1]))
    shrink = np.sqrt(random.chisquare(freedom, _DRAWS) / freedom)
    theta = population.drawn(random.standard_normal((_DRAWS, P)), shrink)
    curves = law.value_and_jacobian(grid, theta)[0]
    curves = curves + np.sqrt(noise) * random.standard_normal(curves.shape)
    # A law may have no value where a parameter was drawn far out: such a curve counts as infinitely far up.
    low, high = np.quantile(np.where(np.isnan(curves), np.inf, curves), (0.5 * (1 - level), 0.5 * (1 + level)), axis=0)
    return low, high


def profile(
    law: Law,
    inputs: Mapping[str, Array],
    mean: Array,
    weight: Array,
    *,
    constant: float,
    count: float,
    start: Array,
    bounds: Bounds,
    held: NDArray[np.bool_],
    name: str,
    level: float,
    variance: float,
    freedom: float,
) -> tuple[float, float]:
    """Interval of one reported parameter by the profile of the cost, through lmfit's ``conf_interval``.

    Args:
        law: The physics; the other arguments up to ``held`` are as in :func:`lmfit_result`.
        inputs: As there.
        mean: As there.
        weight: As there.
        constant: As there.
        count: As there.
        start: The best parameters, shape (P,).
        bounds: As there.
        held: As there.
        name: A reported parameter. One that is a formula takes the place of a fitted one in which it is linear.
        level: Share of such intervals that hold the truth.
        variance: Of a point of weight one, estimated or known.
        freedom: Degrees of freedom of the variance.

    Returns:
        Both ends; a bound where the profile does not rise enough before it, NaN where lmfit finds no errors.
    """
    result = lmfit_result(
        law, inputs, mean, weight, std=1.0, constant=constant, count=count, start=start, bounds=bounds, held=held
    )
    _vary_reported(law, result, name)
    library = require("lmfit", "profiles")

    def share(best: ModelResult, new: ModelResult) -> float:
        rise = (new.chisqr - best.chisqr) / variance
        return float(scipy.stats.f.cdf(max(rise, 0.0), 1, freedom))

    if result.nvarys == 1:
        return _lone(result, name, level, share)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a bound was reached: the bound is the answer
            # A kink dents the profile between two grid points: going down a little is no reason to stop looking.
            options = {"p_names": [name], "sigmas": [level], "min_rel_change": -np.inf}
            ends = library.conf_interval(result, result, prob_func=share, **options)[name]
    except library.MinimizerException:
        return np.nan, np.nan
    low, high = ends[0][1], ends[-1][1]
    limit = result.params[name]
    return float(limit.min if np.isneginf(low) else low), float(limit.max if np.isposinf(high) else high)


def _vary_reported(law: Law, result: ModelResult, name: str) -> None:
    """Let lmfit vary a reported parameter that is a formula, and a fitted one follow from it."""
    if result.params[name].expr is None:
        return
    text = law.reported_formulas[[p.name for p in law.reported].index(name)]
    fitted, inverse = solved_for(text, name, [n for n in result.model.fitted if result.params[n].vary])
    parameters, best = result.params.copy(), result.params[name].value
    parameters[name].set(expr="", value=best, vary=True)
    parameters[fitted].set(expr=inverse)
    result.kws.pop("Dfun", None)
    result.fit(params=parameters)


def _lone(result: ModelResult, name: str, level: float, share: Callable[..., float]) -> tuple[float, float]:
    """Interval of the only parameter that varies, which lmfit does not compute."""
    best = copy.copy(result)
    parameter = result.params[name]
    step = parameter.stderr
    if not step:
        return np.nan, np.nan

    def excess(value: float) -> float:
        moved = result.params.copy()
        moved[name].set(value=value)
        residual = result.model._residual(moved, result.data, result.weights, **result.userkws)
        return share(best, SimpleNamespace(chisqr=np.sum(residual**2))) - level

    ends = []
    for sign, limit in ((-1, parameter.min), (1, parameter.max)):
        far = step
        while excess(_inside(parameter.value + sign * far, limit, sign)) < 0 and far < 1e9 * step:
            far *= 2
            if sign * (parameter.value + sign * far - limit) >= 0:
                break
        end = _inside(parameter.value + sign * far, limit, sign)
        ends.append(end if excess(end) <= 0 else scipy.optimize.brentq(excess, parameter.value, end, rtol=1e-8))
    return float(ends[0]), float(ends[1])


def _inside(value: float, limit: float, sign: int) -> float:
    return max(value, limit) if sign < 0 else min(value, limit)
