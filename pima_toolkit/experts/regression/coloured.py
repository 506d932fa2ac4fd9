"""One curve under a noise model: the fit and the noise take turns, from the fit under constant noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..contract.inputs import variable
from ..contract.law import Law
from ..noise.base import CurveNoise, CurveResiduals
from ..solvers.least_squares import solve
from ..solvers.noisy_fits import WorkingCurves, working_curves
from ..solvers.optimum import Optimum
from .curves import FittedCurves
from .priors import Priors

Array = NDArray[np.float64]

#: Rounds of fit and noise; they end when neither moves by more than this share, of a standard error and of its numbers.
_ROUNDS, _STILL = 30, 1e-3
#: Starts beside the last fit, where they are cheap.
_STARTS = 4


def residuals_at(law: Law, data: FittedCurves, theta: Array, free: NDArray[np.bool_]) -> CurveResiduals:
    """What is left of one curve at parameters (P,), slopes in the free ones."""
    value, jacobian = law.value_and_jacobian(data.grid, theta)
    weight = (data.observed * data.points)[0]
    seen = (weight > 0.0) & np.isfinite(value)
    root = np.sqrt(weight)
    residual = np.where(seen, (data.y[0] - np.where(seen, value, 0.0)) * root, 0.0)
    jacobian = root[:, None] * np.where(seen[:, None] & np.isfinite(jacobian), jacobian, 0.0)[:, free]
    t = variable(law, data.grid)[None]
    return CurveResiduals(t, seen[None], value[None], residual[None], jacobian[None], np.ones(1))


def whitening_matrix(working: WorkingCurves) -> Array | None:
    """Matrix (T, T) that whitens one curve's weighted residuals; None where they are white."""
    if working.shape.whiten is None:
        return None
    return working.shape.whiten(np.eye(working.y.shape[1])[None])[0]


def fit_one_curve(
    law: Law,
    noise: CurveNoise,
    optimum: Optimum,
    starts: Array,
    data: FittedCurves,
    priors: Priors | None,
    variance_of: Callable[[Optimum, FittedCurves], Array],
) -> tuple[Optimum, FittedCurves, Array]:
    """Fit one curve under a noise model.

    Args:
        law: The physics.
        noise: The noise model to start from.
        optimum: The fit under constant noise.
        starts: Where that started, shape (1, S, P).
        data: The curve.
        priors: Prior knowledge, or None.
        variance_of: Variance of a point of weight one, shape (1,), at a fit of working data.

    Returns:
        The fit; the curve with what least squares was given, working data, their weights and what whitens them; and
        the parameters' covariance with the noise's numbers integrated out, shape (1, P, P), without priors.
    """
    free, fixed = optimum.free[0], optimum.held.tolist()
    weight = (data.observed * data.points).astype(np.float64)
    along = variable(law, data.grid)[None]
    curve = law.value_and_jacobian(data.grid, optimum.parameters)[0]
    agreement, variance = optimum.agreement, variance_of(optimum, data)
    for number in range(_ROUNDS):
        last, noise = noise, noise.update(residuals_at(law, data, optimum.parameters[0], free))
        at = working_curves(noise, along, data.y, weight, np.where(weight > 0.0, curve, 0.0))
        whiten, prior = whitening_matrix(at), None
        if priors is not None:
            rows, target = priors.rows(optimum.parameters)
            unit = np.sqrt(variance)[:, None]
            prior = rows * unit[..., None], target * unit
        begin = optimum.parameters[:, None]
        if number == 0 and whiten is None:
            begin = np.concatenate([begin, starts[:, :_STARTS]], axis=1)
        before = optimum.parameters
        optimum = solve(law, data.grid, at.y, at.weights, begin, data.bounds, fixed=fixed, prior=prior, whiten=whiten)
        value, jacobian = law.value_and_jacobian(data.grid, optimum.parameters)
        curve, root = np.where(weight > 0.0, value, 0.0), np.sqrt(at.weights[0])
        residual = root * np.where(weight[0] > 0.0, at.y[0] - value[0], 0.0)
        slopes = root[:, None] * np.where((weight[0] > 0.0)[:, None], jacobian[0], 0.0)
        residual, slopes = (part if whiten is None else whiten @ part for part in (residual, slopes))
        optimum = replace(optimum, cost=np.array([residual @ residual]))
        data = replace(data, mean=at.y, weight=at.weights, constant=np.zeros(1), whiten=whiten, noises=(noise,))
        variance = variance_of(optimum, data)
        moved = np.square(slopes @ (optimum.parameters - before)[0]).sum() / max(float(variance[0]), 1e-300)
        pair = (np.array(list(one.numbers().values())) for one in (last, noise))
        old, new = pair
        if moved < _STILL**2 and (np.abs(new - old) <= 10 * _STILL * np.abs(new)).all():
            break
    free = optimum.free[0]  # a parameter may have come to a bound, or left one, meanwhile
    left = residuals_at(law, data, optimum.parameters[0], free)
    # Working data of a noise without a shape are what it is judged by.
    white = np.sqrt(at.weights) * np.where(weight > 0.0, at.y - curve, 0.0)
    left = replace(left, residual=white) if noise.follows_curve and not noise.limits(left) else left
    whole = np.zeros((1, len(free), len(free)))
    whole[0][np.ix_(free, free)] = noise.integrated(left)
    return replace(optimum, agreement=agreement), data, whole
