r"""Intervals of a fit, beyond standard errors: resampled curves, profiles of the likelihood, bands.

The bootstrap draws specimens with replacement, so it needs no formula for how their curves differ. A profile is the
smallest cost with one parameter held, all others fitted again, and lmfit's root finder finds where the cost has risen
enough; of curves that differ it is stretched so that it agrees with the curve-clustered variance at its bottom
(Chandler & Bate 2007), and so keeps its asymmetry:

.. math:: \frac{\mathrm{cost}(q) - \mathrm{cost}_{\min}}{s^2} \cdot
          \frac{\mathrm{var}_{\mathrm{naive}}(q)}{\mathrm{var}_{\mathrm{curves}}(q)} \le F_{1,\nu}

A band of the mean curve holds the curve of the population; a band of a new specimen also how specimens differ,
:math:`J S J^\top + s^2`, with S from the specimens' own steps :math:`(J^\top J)^{-1} J^\top r`.
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
from ..contract.inputs import Inputs, by_name, pack
from ..contract.law import Law
from ..contract.parameters import resolve_unit
from ..formulas.derived import solved_for
from ..solvers.optimum import Optimum
from .covariance import Errors
from .curves import FittedCurves
from .lmfit_bridge import lmfit_result

if TYPE_CHECKING:
    from lmfit.model import ModelResult

Array = NDArray[np.float64]

#: Replicates fitted at once: bounds the memory that their weights take.
_AT_ONCE = 50
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


def _coords(law: Law, data: FittedCurves) -> dict[str, object]:
    return {
        "cluster": np.arange(data.gamma.shape[1]),
        "parameter": [p.name for p in law.reported],
        "unit": ("parameter", reported_units(law, data)),
    }


def bootstrap(law: Law, optimum: Optimum, data: FittedCurves, n: int, seed: int, level: float) -> xr.Dataset:
    """Refits of curves drawn with replacement; see :meth:`~pima_toolkit.Solution.bootstrap`."""
    level = check_level(level)
    if not isinstance(n, int) or n < 2:
        raise OptionError(f"n={n!r}: expected a whole number of replicates, at least 2")
    if data.single:
        raise ExpertError("one curve cannot be resampled: fit several, or use confidence(), which needs only one")
    N, C = data.gamma.shape
    random = np.random.default_rng(seed)
    values = np.empty((n, C, len(law.reported)))
    for first in range(0, n, _AT_ONCE):
        m = min(_AT_ONCE, n - first)
        counts = random.multinomial(N, np.full(N, 1.0 / N), size=m).astype(np.float64)
        weights = (counts.T[:, :, None] * data.gamma[:, None, :]).reshape(N, m * C)
        replicate = data.again(weights, np.tile(data.bounds.clip(optimum.parameters), (m, 1)))
        drawn = replicate.status[:, None] != -2  # some of its specimens were
        reported = np.where(drawn, law.to_reported(replicate.parameters), np.nan)
        values[first : first + m] = reported.reshape(m, C, -1)
    dims = ("cluster", "parameter")
    tails = 0.5 * (1 - level), 0.5 * (1 + level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cluster that was never drawn has NaN throughout
        low, high = np.nanquantile(values, tails, axis=0)
        std = np.nanstd(values, axis=0, ddof=1)
    return xr.Dataset(
        {
            "value": (dims, law.to_reported(optimum.parameters)),
            "std_error": (dims, std),
            "low": (dims, low),
            "high": (dims, high),
            "replicates": (("replicate", *dims), values),
        },
        coords=_coords(law, data),
        attrs={"level": level, "method": f"bootstrap over {N} curves, {n} replicates, seed {seed}"},
    )


def confidence(
    law: Law, optimum: Optimum, errors: Errors, data: FittedCurves, names: Sequence[str], level: float
) -> xr.Dataset:
    """Intervals by profile likelihood; see :meth:`~pima_toolkit.Solution.confidence`."""
    level = check_level(level)
    if data.priors:
        raise ExpertError(
            "a profile is of the curves alone and leaves the priors out: use the standard errors"
            + ("" if data.single else ", or bootstrap()")
        )
    known = [p.name for p in law.reported]
    names = list(names) or known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ExpertError(f"there is no parameter {unknown[0]!r} to look at: use {', '.join(known)}")
    freedoms = freedom(optimum, data)
    value, slopes = law.to_reported(optimum.parameters), law.reported_jacobian(optimum.parameters)
    out = np.full((2, len(value), len(names)), np.nan)
    inputs = by_name(law.inputs, data.grid)
    for c in range(len(value)):
        seen = data.weight[c] > 0
        grids = {name: t[seen] for name, t in inputs.items()}
        for k, name in enumerate(names):
            slope = slopes[c, known.index(name)]
            naive, robust = (float(slope @ cov[c] @ slope) for cov in (errors.naive_covariance, errors.covariance))
            if not (0 < naive < np.inf and 0 < robust < np.inf):
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
                stretch=robust / naive,
                freedom=float(freedoms[c]),
            )
    picked, units = [known.index(name) for name in names], reported_units(law, data)
    dims = ("cluster", "parameter")
    return xr.Dataset(
        {"value": (dims, value[:, picked]), "low": (dims, out[0]), "high": (dims, out[1])},
        coords={**_coords(law, data), "parameter": names, "unit": ("parameter", [units[k] for k in picked])},
        attrs={"level": level, "method": "profile likelihood"},
    )


def specimen_scatter(law: Law, optimum: Optimum, data: FittedCurves) -> tuple[Array, Array]:
    """Estimate how the parameters of specimens differ, (C, P, P), and the variance of a point of weight one, (C,).

    Raises:
        ExpertError: If there is one curve only.
    """
    if data.single:
        raise ExpertError("how specimens differ cannot be told from one curve: fit several for a specimen's band")
    C, P = optimum.parameters.shape
    scatter, noise = np.zeros((C, P, P)), np.zeros(C)
    mask = data.observed * data.points
    for c in range(C):
        value, jacobian = law.value_and_jacobian(data.t, optimum.parameters[c])
        free = np.flatnonzero(optimum.free[c])
        J = np.broadcast_to(jacobian[..., free], (*data.y.shape, free.size))
        residual = data.y - value
        normal = np.einsum("nt,ntp,ntq->npq", mask, J, J, optimize=True)
        size = np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 1e-300))
        inverse = np.linalg.pinv(normal / (size[:, :, None] * size[:, None, :]), rcond=1e-10, hermitian=True)
        inverse = inverse / (size[:, :, None] * size[:, None, :])
        right = np.einsum("nt,nt,ntp->np", mask, residual, J, optimize=True)
        step = np.einsum("npq,nq->np", inverse, right)
        g = data.gamma[:, c] * (data.observed.sum(1) > free.size)
        left = np.einsum("nt,nt->n", mask, residual**2) - np.sum(right * step, axis=1)
        noise[c] = np.sum(g * left) / max(np.sum(g * (data.observed.sum(1) - free.size)), 1e-300)
        n = g.sum() ** 2 / max(np.square(g).sum(), 1e-300)
        if n <= 1 + 1e-9:
            continue
        mean = g @ step / g.sum()
        spread = np.einsum("n,np,nq->pq", g, step - mean, step - mean) / g.sum() * n / (n - 1)
        # Less what noise adds, a variance may be below zero where specimens hardly differ: the units are from before.
        unit = np.sqrt(np.where(np.diagonal(spread) > 0, np.diagonal(spread), 1.0))
        spread = spread - noise[c] * np.einsum("n,npq->pq", g, inverse) / g.sum()
        values, vectors = np.linalg.eigh(spread / np.outer(unit, unit))
        scatter[c][np.ix_(free, free)] = (vectors * values.clip(0)) @ vectors.T * np.outer(unit, unit)
    return scatter, noise


def band(
    law: Law, optimum: Optimum, errors: Errors, data: FittedCurves, t: Inputs | None, level: float, of: str
) -> xr.Dataset:
    """The fitted curves with pointwise bands; see :meth:`~pima_toolkit.Solution.band`."""
    level = check_level(level)
    if of not in ("mean", "specimen"):
        raise OptionError(f'of={of!r}: expected "mean", the band of the mean curve, or "specimen", of a new specimen')
    grid = np.unique(data.grid) if t is None and len(law.inputs) == 1 else t
    if grid is None:
        raise OptionError(f"give t, the inputs by name: {', '.join(law.inputs)}")
    grid = pack(law, grid)
    along = grid[: grid.size // len(law.inputs)]
    value, jacobian = law.value_and_jacobian(grid, optimum.parameters)
    covariance, noise = np.where(np.isfinite(errors.covariance), errors.covariance, 0.0), np.zeros(len(value))
    if of == "specimen":
        scatter, noise = specimen_scatter(law, optimum, data)
        covariance = covariance + scatter
        weights = np.broadcast_to(data.points, data.observed.shape)[data.observed]
        noise = noise * np.mean(1 / weights)  # that of a point of weight one, turned into the mean of the points'
    variance = np.einsum("ctp,cpq,ctq->ct", jacobian, covariance, jacobian) + noise[:, None]
    unknown = ~np.isfinite(errors.covariance).all((1, 2))
    half = scipy.stats.t.ppf(0.5 * (1 + level), freedom(optimum, data))[:, None] * np.sqrt(np.maximum(variance, 0.0))
    half[unknown] = np.nan
    name = law.inputs[0]
    dims, attrs = ("cluster", name), {"units": data.y_unit}
    return xr.Dataset(
        {"mean": (dims, value, attrs), "low": (dims, value - half, attrs), "high": (dims, value + half, attrs)},
        coords={"cluster": np.arange(len(value)), name: (name, along, {"units": data.t_unit})},
        attrs={"level": level, "of": of},
    )


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
    stretch: float,
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
        stretch: Variance of the parameter between curves over that of independent points.
        freedom: Degrees of freedom of the former.

    Returns:
        Both ends; a bound where the profile does not rise enough before it, NaN where lmfit finds no errors.
    """
    result = lmfit_result(
        law, inputs, mean, weight, std=1.0, constant=constant, count=count, start=start, bounds=bounds, held=held
    )
    _vary_reported(law, result, name)
    library = require("lmfit", "profiles")

    def share(best: ModelResult, new: ModelResult) -> float:
        rise = (new.chisqr - best.chisqr) / variance / stretch
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
