r"""``noise="auto"``: noise models compared by the likelihood of what was held out.

Of four specimens and more, specimens are held out: log p(curve) under the population and the noise that the others
gave. Of fewer, points of each curve, every fifth: log p(points | the others), Gaussian with

.. math:: K C K^\top + v\,(R_{oo} - R_{oi} R_{ii}^{-1} R_{io}), \qquad K = J_o - R_{oi} R_{ii}^{-1} J_i

about what the law and neighbouring residuals say, C the parameters' covariance; Student's t where that is the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import NDArray

from ...errors import ExpertError
from ..contract.law import Law
from ..noise.base import CurveNoise
from ..noise.robust import RobustNoise
from ..noise.table import NOISES
from ..solvers.noisy_fits import noisy_fits
from .coloured import residuals_at
from .solution import Solution

Array = NDArray[np.float64]

#: Folds; specimens from which they are held out whole; nats by which a simpler model may be worse and is taken.
_FOLDS, _WHOLE, _SLACK = 5, 4, 2.0


def compare_noises(
    law: Law,
    y: Array,
    observed: NDArray[np.bool_],
    refit: Callable[[CurveNoise, NDArray[np.bool_], int | None], Solution],
) -> tuple[CurveNoise, xr.Dataset]:
    """Compare all noise models and choose one: the simplest that is as good as the best.

    As good: within two nats, or one standard error of the difference over what was held out.

    Args:
        law: The physics.
        y: Curves, shape (N, T).
        observed: Which points were measured, shape (N, T).
        refit: Fits a noise model to the points of a mask (N, T); of one curve alone where its number is given.

    Returns:
        The noise model, and the table: ``log_score``, log likelihood per held-out point, ``difference`` from the best
        in nats and ``difference_error``, along ``noise``.

    Raises:
        ExpertError: If a curve has too few points to hold any out.
    """
    N, scores = len(observed), {}
    for name, noise in NOISES.items():
        if N >= _WHOLE:
            scores[name] = _by_specimens(law, noise, y, observed, refit)
        else:
            scores[name] = np.concatenate([_by_points(law, noise, y, observed, n, refit) for n in range(N)])
    return _chosen(scores, int(observed.sum()))


def _chosen(scores: Mapping[str, Array], points: int) -> tuple[CurveNoise, xr.Dataset]:
    """The simplest noise that is as good as the best, and the table."""
    names = list(scores)
    total = np.array([scores[name].sum() for name in names])
    best = int(np.argmax(total))
    error = np.array([_error(scores[name] - scores[names[best]]) for name in names])
    enough = total[best] - total <= np.maximum(_SLACK, error)
    chosen = names[int(np.argmax(enough))]
    table = xr.Dataset(
        {
            "log_score": ("noise", total / points, {"long_name": "log likelihood per held-out point", "units": "nat"}),
            "difference": ("noise", total - total[best], {"units": "nat"}),
            "difference_error": ("noise", error, {"units": "nat"}),
        },
        coords={"noise": names},
        attrs={"chosen": chosen},
    )
    return NOISES[chosen], table


def _error(difference: Array) -> float:
    """Standard error of a sum over independent units."""
    return float(np.std(difference, ddof=1) * np.sqrt(difference.size)) if difference.size > 1 else 0.0


def _by_specimens(
    law: Law,
    noise: CurveNoise,
    y: Array,
    observed: NDArray[np.bool_],
    refit: Callable[[CurveNoise, NDArray[np.bool_], int | None], Solution],
) -> Array:
    """Log likelihood of every specimen's curve under what the others gave, shape (N,), nats."""
    there = np.flatnonzero(observed.any(1))
    fold = np.arange(len(there)) % min(_FOLDS, len(there))
    out = np.zeros(len(there))
    for k in range(fold.max() + 1):
        test = there[fold == k]
        kept = observed.copy()
        kept[test] = False
        solution = refit(noise, kept, None)
        population, data = solution.populations[0], solution.data
        if population is None:
            raise ExpertError("noise models cannot be compared: too few specimens have a curve of their own")
        centre = population.bounds.to_unbounded(population.theta)
        wide = population.scatter
        free = np.flatnonzero(population.free)
        wide[np.ix_(free, free)] += population.effects.covariance
        values, vectors = np.linalg.eigh(wide)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        variance = population.effects.variance
        found, _ = noisy_fits(
            population.noise,
            law,
            population.bounds,
            data.t[None] if data.t.ndim == 1 else data.t[test],
            np.where(observed, y, 0.0)[test],
            (observed * data.points)[test],
            centre[None],
            root[None],
            np.zeros(len(test), dtype=np.int64),
            np.full(len(test), 1.0 / variance),
            theta=population.theta[None],
        )
        out[fold == k] = found.marginal(centre, wide, variance)
    return out


def _by_points(
    law: Law,
    noise: CurveNoise,
    y: Array,
    observed: NDArray[np.bool_],
    n: int,
    refit: Callable[[CurveNoise, NDArray[np.bool_], int | None], Solution],
) -> Array:
    """Log likelihood of every fifth point of curve n given the others, for each fifth, shape (5,), nats."""
    at = np.flatnonzero(observed[n])
    if len(at) < _FOLDS + len(law.parameters):
        raise ExpertError(
            f"noise models cannot be compared on a curve of {len(at)} points: choose one by its name,"
            f" {', '.join(map(repr, NOISES))}"
        )
    out = np.zeros(_FOLDS)
    for k in range(_FOLDS):
        test, train = at[k::_FOLDS], np.setdiff1d(at, at[k::_FOLDS])
        kept = np.zeros_like(observed)
        kept[n, train] = True
        out[k] = held_out_points(law, refit(noise, kept, n), y[n], test, train)
    return out


def held_out_points(law: Law, solution: Solution, y: Array, test: NDArray[np.int64], train: NDArray[np.int64]) -> float:
    """Log likelihood of points of one curve under a fit of others, nats.

    Args:
        law: The physics.
        solution: Fit of the curve's points ``train``.
        y: The whole curve, shape (T,).
        test: Numbers of the points that were held out.
        train: Numbers of those that were not.
    """
    data, theta = solution.data, solution.fitted[0]
    noise, variance = data.noises[0], 1.0 if data.variance is None else float(data.variance[0])
    observed = np.zeros_like(data.observed)
    observed[0, np.concatenate([test, train])] = True
    whole = residuals_at(
        law, replace(data, y=np.where(observed, y, 0.0), observed=observed), theta, np.ones(len(theta), dtype=bool)
    )
    weight = data.points[0]
    r, J = whole.residual[0], whole.jacobian[0]
    covariance = np.where(np.isfinite(solution.naive_covariance[0]), solution.naive_covariance[0], 0.0)
    jacobian_log = 0.5 * float(np.log(weight[test]).sum())
    if isinstance(noise, RobustNoise) and noise.scale > 0.0:
        more = np.einsum("tp,pq,tq->t", J[test], covariance, J[test])
        scale = np.sqrt(noise.scale**2 + more)
        return float((scipy.stats.t.logpdf(r[test] / scale, noise.freedom_t) - np.log(scale)).sum()) + jacobian_log
    shape = noise.shape(whole.t, whole.seen, whole.curve)
    inverse = np.eye(len(r)) if shape.whiten is None else shape.whiten(np.eye(len(r))[None])[0]
    lower = np.linalg.inv(inverse)
    R = lower @ lower.T
    back = np.linalg.solve(R[np.ix_(train, train)], R[np.ix_(train, test)]).T
    K = J[test] - back @ J[train]
    spread = K @ covariance @ K.T + variance * (R[np.ix_(test, test)] - back @ R[np.ix_(train, test)])
    left = r[test] - back @ r[train]
    factor = np.linalg.cholesky(0.5 * (spread + spread.T) + 1e-12 * np.trace(spread) / len(test) * np.eye(len(test)))
    scaled = scipy.linalg.solve_triangular(factor, left, lower=True)
    log_det = 2.0 * float(np.log(np.diagonal(factor)).sum())
    return -0.5 * (float(scaled @ scaled) + log_det + len(test) * float(np.log(2.0 * np.pi))) + jacobian_log
