"""Intervals by the profile of the cost.

The parameter is held, all others are fitted again, and lmfit's root finder finds where the cost has risen enough.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ...errors import require
from ..contract.parameters import Bounds
from ..formulas.derived import solved_for
from .lmfit_bridge import Bridged, lmfit_result

if TYPE_CHECKING:
    from lmfit.model import ModelResult

Array = NDArray[np.float64]


def profile(
    expert: Bridged,
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
    """Interval of one shown parameter by the profile of the cost, through lmfit's ``conf_interval``.

    Args:
        expert: The physics; the other arguments up to ``held`` are as in :func:`lmfit_result`.
        inputs: As there.
        mean: As there.
        weight: As there.
        constant: As there.
        count: As there.
        start: The best parameters, shape (P,).
        bounds: As there.
        held: As there.
        name: A shown parameter. One that is a formula takes the place of a fitted one in which it is linear.
        level: Share of such intervals that hold the truth.
        variance: Of a point of weight one, estimated or known.
        stretch: Variance of the parameter between curves over that of independent points.
        freedom: Degrees of freedom of the former.

    Returns:
        Both ends; a bound where the profile does not rise enough before it, NaN where lmfit finds no errors.
    """
    result = lmfit_result(
        expert, inputs, mean, weight, std=1.0, constant=constant, count=count, start=start, bounds=bounds, held=held
    )
    _vary_shown(expert, result, name)
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


def _vary_shown(expert: Bridged, result: ModelResult, name: str) -> None:
    """Let lmfit vary a shown parameter that is a formula, and a fitted one follow from it."""
    if result.params[name].expr is None:
        return
    text = expert.reported_formulas[[p.name for p in expert.reported].index(name)]
    fitted, inverse = solved_for(text, name, [n for n in result.model.fitted if result.params[n].vary])
    parameters, best = result.params.copy(), result.params[name].value
    parameters[name].set(expr="", value=best, vary=True)
    parameters[fitted].set(expr=inverse)
    result.kws.pop("Dfun", None)
    result.fit(params=parameters)


def _lone(result: ModelResult, name: str, level: float, share: Callable[..., float]) -> tuple[float, float]:
    """The same where nothing else varies, which lmfit does not do."""
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
