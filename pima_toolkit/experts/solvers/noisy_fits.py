"""Own fits of curves whose noise is not white, and the noise learned from what they leave.

A correlated noise whitens residuals and slopes. One that depends on the fitted curve takes turns with it: weights or
working data at the curve, a fit, and again until the parameters stand still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..contract.bounds import Bounds
from ..contract.inputs import variable
from ..contract.law import Law
from ..noise.base import CurveNoise, CurveResiduals, NoiseShape
from ..noise.robust import RobustNoise
from .own_fits import LOG_2PI, STEPS, CurveInformation, own_fits

Array = NDArray[np.float64]

#: Turns of fit and working data; they end when no estimate moves by more than this share of its standard error.
_TURNS, _STILL = 25, 1e-3
#: Rounds of own fits and the noise learned from them; they end when its numbers change by less than this share.
_ROUNDS, _SETTLED = 8, 0.02
#: Curves that a noise is learned from.
_ENOUGH = 400


@dataclass(frozen=True, eq=False)
class WorkingCurves:
    """Curves as least squares is given them, at curves fitted so far.

    Args:
        y: Shape (N, T).
        weights: Shape (N, T).
        shape: What whitens their weighted residuals.
    """

    y: Array
    weights: Array
    shape: NoiseShape


def working_curves(noise: CurveNoise, t: Array, y: Array, weights: Array, curve: Array) -> WorkingCurves:
    """Make curves ready for least squares.

    Args:
        noise: The noise model.
        t: Independent variable, shape (1, T) or (N, T).
        y: Curves, shape (N, T); anything where the weight is zero.
        weights: Shape (N, T).
        curve: Fitted curves, shape (N, T).
    """
    shape = noise.shape(t, weights > 0.0, curve)
    if shape.whiten is not None and not noise.correlated:
        # A diagonal is a weight: compiled fits take it as it is.
        root = shape.whiten(np.sqrt(weights))
        return WorkingCurves(y, np.square(root), NoiseShape(None, shape.log_det))
    return WorkingCurves(noise.working(y, weights, curve), weights, shape)


def curves_at(law: Law, bounds: Bounds, t: Array, phi: Array, held: Array | None = None) -> Array:
    """Curves at unbounded parameters of each specimen, shape (N, T); parameters that are not NaN in ``held`` stay so.

    Args:
        law: The physics.
        bounds: Of its parameters.
        t: Packed inputs, (1, V T) or (N, V T).
        phi: Shape (N, P).
        held: Parameters (N, P), or None.
    """
    theta = bounds.from_unbounded(phi)
    theta = theta if held is None else np.where(np.isnan(held), theta, held)
    with np.errstate(all="ignore"):
        if len(t) == 1:
            return law.value_and_jacobian(t[0], theta)[0]
        return np.stack([law.value_and_jacobian(*pair)[0] for pair in zip(t, theta, strict=True)])


def noisy_fits(
    noise: CurveNoise,
    law: Law,
    bounds: Bounds,
    t: Array,
    y: Array,
    weights: Array,
    centre: Array,
    root: Array,
    which: NDArray[np.int64],
    precision: Array,
    start: Array | None = None,
    *,
    theta: Array | None = None,
    steps: int = STEPS,
) -> tuple[CurveInformation, Array]:
    """Fit every curve by itself under a noise model; arguments and result are those of :func:`own_fits`.

    Args:
        noise: The noise model, its numbers known.
        law: The other arguments are as there.
        bounds: As there.
        t: As there.
        y: As there.
        weights: As there.
        centre: As there.
        root: As there.
        which: As there.
        precision: As there.
        start: As there.
        theta: As there.
        steps: As there.
    """
    prior = centre, root, which, precision
    along = variable(law, t)
    if not noise.follows_curve:
        at = working_curves(noise, along, y, weights, y)
        options = {"theta": theta, "steps": steps, "whiten": at.shape.whiten}
        found, cost = own_fits(law, bounds, t, at.y, at.weights, *prior, start, **options)
        return replace(found, log_weight=found.log_weight - at.shape.log_det), cost
    held = None
    if theta is not None:
        held = np.where(bounds.at_bound(theta), theta, np.nan)[which]
    estimate = centre[which] if start is None else start[:, 0]
    if start is None or start.shape[1] > 1:  # where the best of several starts leads
        estimate = own_fits(law, bounds, t, y, weights, *prior, start, theta=theta, steps=steps)[0].estimate
    for _ in range(_TURNS):
        curve = curves_at(law, bounds, t, estimate, held)
        at = working_curves(noise, along, y, weights, curve)
        found, cost = own_fits(
            law, bounds, t, at.y, at.weights, *prior, estimate[:, None], theta=theta, steps=min(steps, 10)
        )
        step, estimate = found.estimate - estimate, found.estimate
        size = np.einsum("np,npq,nq->n", step, found.normal, step) * precision
        inside = np.einsum("npq,nq->np", np.linalg.pinv(root, rcond=1e-12)[which], step)
        if float(np.minimum(size, np.square(inside).sum(1)).max(initial=0.0)) < _STILL**2:
            break
    if isinstance(noise, RobustNoise) and noise.scale > 0.0:
        # The quadratic about the estimate has the height of the t likelihood there.
        seen = weights > 0.0
        residual = np.sqrt(weights) * np.where(seen, y - curves_at(law, bounds, t, estimate, held), 0.0)
        height = noise.log_density(residual, seen)
        height += 0.5 * np.where(seen, np.log(np.where(seen, weights, 1.0)), 0.0).sum(1)
        level = found.squared * precision + found.points * (LOG_2PI - np.log(precision))
        return replace(found, log_weight=2.0 * height + level), cost
    # Weights of the shape are counted in those of the points already.
    return found, cost


def residuals_of(
    law: Law,
    bounds: Bounds,
    t: Array,
    y: Array,
    weights: Array,
    estimate: Array,
    share: Array,
    *,
    held: Array | None = None,
    free: NDArray[np.bool_] | None = None,
) -> CurveResiduals:
    """What is left of curves at unbounded parameters of each.

    Args:
        law: The physics.
        bounds: Of its parameters.
        t: Packed inputs, (1, V T) or (N, V T).
        y: Curves, shape (N, T).
        weights: Shape (N, T).
        estimate: Shape (N, P).
        share: How much each curve counts, shape (N,).
        held: Parameters (N, P) that stay, NaN where they do not; None: none does.
        free: Which parameters count as fitted, (P,); None: all.
    """
    seen = weights > 0.0
    theta = bounds.from_unbounded(estimate)
    slope = bounds.slope(theta)
    if held is not None:
        theta, slope = np.where(np.isnan(held), theta, held), np.where(np.isnan(held), slope, 0.0)
    with np.errstate(all="ignore"):
        if len(t) == 1:
            value, jacobian = law.value_and_jacobian(t[0], theta)
        else:
            pairs = [law.value_and_jacobian(*pair) for pair in zip(t, theta, strict=True)]
            value, jacobian = (np.stack([pair[k] for pair in pairs]) for k in (0, 1))
        jacobian = jacobian * slope[:, None]
    seen = seen & np.isfinite(value)
    root = np.sqrt(weights)
    jacobian = root[..., None] * np.where(seen[..., None] & np.isfinite(jacobian), jacobian, 0.0)
    if free is not None:
        jacobian = jacobian[..., free]
    residual = np.where(seen, (np.where(seen, y, 0.0) - np.where(seen, value, 0.0)) * root, 0.0)
    return CurveResiduals(variable(law, t), seen, value, residual, jacobian, share)


def learned_noise(
    noise: CurveNoise,
    law: Law,
    bounds: Bounds,
    t: Array,
    y: Array,
    weights: Array,
    centre: Array,
    root: Array,
    variance: float,
    start: Array | None = None,
    *,
    share: Array | None = None,
    theta: Array | None = None,
) -> tuple[CurveNoise, float]:
    """Learn a noise model's numbers from curves: own fits under one wide population and the noise take turns.

    Args:
        noise: The noise model to start from.
        law: The physics.
        bounds: Of its parameters.
        t: Packed inputs, (1, V T) or (N, V T).
        y: Curves, shape (N, T).
        weights: Shape (N, T).
        centre: Unbounded parameters of the population, shape (P,).
        root: L with its scatter L L^T, wide, shape (P, P).
        variance: Noise variance of a point of weight one, about.
        start: Starts of the fits, shape (N, S, P); by default the centre.
        share: How much each curve counts, shape (N,); all ones by default.
        theta: The population's parameters (P,), where some are held or at a bound; None: none is.

    Returns:
        The noise, and the variance of a point of weight one under it.
    """
    share = np.ones(len(y)) if share is None else share
    some = np.flatnonzero((weights > 0.0).any(1) & (share > 0.0))
    some = some[np.unique(np.linspace(0, len(some) - 1, min(len(some), _ENOUGH)).astype(int))]
    t = t if len(t) == 1 else t[some]
    y, weights, share = y[some], weights[some], share[some]
    which = np.zeros(len(y), dtype=np.int64)
    start = None if start is None else start[some]
    held = None if theta is None else np.where(bounds.at_bound(theta), theta, np.nan)[None].repeat(len(y), 0)
    moves = np.abs(root).sum(1) > 0.0
    place = None if theta is None else theta[None]
    for _ in range(_ROUNDS):
        at = law, bounds, t, y, weights, centre[None], root[None], which, np.full(len(y), 1.0 / variance)
        found, _ = noisy_fits(noise, *at, start, theta=place)
        left = residuals_of(law, bounds, t, y, weights, found.estimate, share, held=held, free=moves)
        last, noise = noise, noise.update(left)
        variance = working_variance(noise, left, y, weights, variance)
        start = found.estimate[:, None]
        before, after = (np.array(list(one.numbers().values())) for one in (last, noise))
        if (np.abs(after - before) <= _SETTLED * np.abs(after)).all():
            break
    return noise, variance


def working_variance(noise: CurveNoise, left: CurveResiduals, y: Array, weights: Array, otherwise: float) -> float:
    """Variance of a point of weight one under a noise model, from what fits leave, degrees of freedom counted.

    Args:
        noise: The noise model.
        left: What is left.
        y: Curves, shape (N, T).
        weights: Shape (N, T).
        otherwise: The answer where no curve has a point to spare.
    """
    curve = np.where(left.seen, left.curve, 0.0)
    at = working_curves(noise, left.t, np.where(left.seen, y, 0.0), np.where(left.seen, weights, 0.0), curve)
    residual = np.where(left.seen, np.sqrt(at.weights) * (at.y - curve), 0.0)
    ratio = np.sqrt(np.divide(at.weights, weights, out=np.zeros_like(weights), where=left.seen))
    fresh = replace(left, residual=residual, jacobian=left.jacobian * ratio[..., None])
    squared, _, rank = fresh.projected(*fresh.whitened(at.shape))
    points = left.seen.sum(1)
    share = left.share * (points > rank)
    freedom = float(share @ (points - rank))
    total = float(share @ squared)
    return total / freedom if freedom > 0.0 and total > 0.0 else otherwise
