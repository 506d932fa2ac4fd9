"""Errors of a fit's parameters, from the curves themselves: naive, between curves that differ, and with priors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .intervals import Measurements
from .priors import Priors
from .solution import Solution
from .uncertainty import inverse_information, sandwich, unidentified

Array = NDArray[np.float64]

#: Rounds in which noise variance and the degrees of freedom the data pay for settle each other.
_ROUNDS = 20


def linearised(solution: Solution, data: Measurements, c: int) -> tuple[Array, Array]:
    """Derivatives of every point of cluster c times the root of its weight, (points, P), and scores J^T r, (N, P)."""
    value, jacobian = solution.expert.value_and_jacobian(data.t, solution.parameters[c])
    mask, gamma = data.observed * data.points, data.gamma[:, c]
    if data.t.ndim == 1:
        return np.sqrt(gamma @ mask)[:, None] * jacobian, (mask * (data.y - value)) @ jacobian
    weighted = (np.sqrt(mask * gamma[:, None])[..., None] * jacobian).reshape(-1, jacobian.shape[-1])
    return weighted, np.einsum("nt,nt,ntp->np", mask, data.y - value, jacobian)


def noise_variance(solution: Solution, data: Measurements, *, known: bool, priors: Priors | None = None) -> Array:
    """Variance of a point of weight one, (C,), as far as it is independent of the others.

    Args:
        solution: Where the residuals are taken.
        data: What it was fitted to.
        known: Whether the weights are inverse variances already.
        priors: With priors, for what several curves that differ count, multiplied by their design effect (priors.py),
            and the degrees of freedom are those the data pay for.
    """
    C = len(solution.parameters)
    out = np.ones(C)
    for c in range(C):
        free = ~(solution.at_bound[c] | solution.fixed)
        paid, cost = float(free.sum()), solution.cost[c] + data.constant[c]
        if not known:
            out[c] = cost / max(data.count[c] - paid, 1e-300)
        if priors is None:
            continue
        weighted, scores = linearised(solution, data, c)
        normal, rows = weighted[:, free].T @ weighted[:, free], priors.rows(solution.parameters[c])[0][:, free]
        size = np.sqrt(np.maximum(np.diagonal(normal) + out[c] * np.square(rows).sum(0), 1e-300))
        scaled, tied = normal / np.outer(size, size), rows / size
        for _ in range(_ROUNDS if not known else 0):
            both = scaled + out[c] * tied.T @ tied
            paid = float(np.trace(np.linalg.lstsq(both, scaled, rcond=None)[0]))
            out[c] = cost / max(data.count[c] - paid, 1e-300)
        if not data.single and data.effective[c] > 1 + 1e-9:
            meat = (data.gamma[:, c, None] * scores[:, free] / size).T @ (
                data.gamma[:, c, None] * scores[:, free] / size
            )
            values, vectors = np.linalg.eigh(scaled)
            used = values > 1e-10 * values[-1]
            spread = np.einsum("pk,pq,qk->k", vectors[:, used], meat, vectors[:, used]) / values[used]
            n = data.effective[c]
            out[c] *= max(float(spread.mean()) / out[c] * n / (n - 1), 1.0)
    return out


def with_errors(
    solution: Solution, data: Measurements, variance: Array, *, known: bool, priors: Priors | None
) -> Solution:
    """Add covariances, naive and between curves where there are several, and what the data do not determine.

    Args:
        solution: Without errors.
        data: What it was fitted to.
        variance: From :func:`noise_variance`, shape (C,).
        known: Whether the noise was given: then few points are no reason for doubt.
        priors: What entered the solve.
    """
    C, P = solution.parameters.shape
    free = ~(solution.at_bound | solution.fixed)
    naive, robust, lost = np.zeros((C, P, P)), np.zeros((C, P, P)), np.zeros((C, P), dtype=bool)
    for c in range(C):
        weighted, scores = linearised(solution, data, c)
        rows = np.zeros((0, P)) if priors is None else priors.rows(solution.parameters[c])[0]
        unit = np.sqrt(variance[c]) if variance[c] > 0 else 1.0
        inverse, lost[c] = inverse_information(np.concatenate([weighted, rows * unit]), free[c])
        enough = known or priors is not None or data.count[c] > free[c].sum()
        with np.errstate(invalid="ignore"):  # nothing known, and no noise to go by: NaN
            naive[c] = np.where(inverse != 0, inverse * variance[c] if enough else np.inf, 0.0)
        if data.single:
            robust[c] = naive[c]
            continue
        robust[c] = sandwich(inverse, scores, data.gamma[:, c])
        if len(rows):
            inside = np.where(np.isfinite(inverse), inverse, 0.0) * unit
            robust[c] += inside @ rows.T @ rows @ inside * variance[c]
    std = np.sqrt(np.maximum(np.diagonal(robust, axis1=1, axis2=2), 0.0))
    open_ = free & unidentified(lost, std, solution.parameters, data.bounds)
    return replace(solution, covariance=robust, naive_covariance=naive, unidentified=open_)
