r"""Errors of a fit's parameters: naive, between curves that differ, and with priors; and what the data leave open.

Naive, if every point is independent: :math:`s^2 A^{-1}` with :math:`A = J^T W J`. Curves of one population differ, so
their residuals are correlated along t, and that is three times too small. The curve-clustered sandwich holds for any
correlation within a curve:

.. math:: A^{-1} \Big[ \sum_d \gamma_d^2 \, (J_d^T r_d)(J_d^T r_d)^T \Big] A^{-1} \cdot \frac{n}{n - 1},
          \qquad n = (\sum\gamma)^2 / \sum\gamma^2

Both take the responsibilities as given; that it is uncertain which specimen belongs to which cluster adds to them.
Source: Liang & Zeger 1986.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contract.bounds import Bounds
from ..contract.law import Law
from ..solvers.optimum import Optimum
from .curves import FittedCurves
from .priors import Priors

Array = NDArray[np.float64]

#: Rounds in which noise variance and the degrees of freedom the data pay for settle each other.
_ROUNDS = 20
#: Standard error over the distance to the only bound from which a parameter counts as not determined.
_FAR = 100.0
#: Relative singular value of a direction the data do not see, and the share of a parameter in it that matters.
_SINGULAR, _PART = 1e-10, 1e-3


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of the parameters of C fits.

    Args:
        covariance: Covariance of the parameters, shape (C, P, P); rows of held parameters are 0. Of several curves it
            is the curve-clustered sandwich.
        naive_covariance: The same as if every point were independent.
        unidentified: Whether the data leave a free parameter open, shape (C, P): it can be moved together with others
            without any change of the curve, or its standard error is wider than its bounds are apart, or a hundred
            times its distance to its only bound.
    """

    covariance: Array
    naive_covariance: Array
    unidentified: NDArray[np.bool_]


def linearised(law: Law, optimum: Optimum, data: FittedCurves, c: int) -> tuple[Array, Array]:
    """Derivatives of every point of cluster c times the root of its weight, (points, P), and scores J^T r, (N, P)."""
    if data.single and data.noises:
        value, jacobian = law.value_and_jacobian(data.grid, optimum.parameters[c])
        root = np.sqrt(data.weight[c])
        seen = root > 0.0
        weighted = root[:, None] * np.where(seen[:, None], jacobian, 0.0)
        residual = root * np.where(seen, data.mean[c] - value, 0.0)
        if data.whiten is not None:
            weighted, residual = data.whiten @ weighted, data.whiten @ residual
        return weighted, (residual @ weighted)[None]
    value, jacobian = law.value_and_jacobian(data.t, optimum.parameters[c])
    mask, gamma = data.observed * data.points, data.gamma[:, c]
    # A point that was not measured says nothing, also where the law has no value.
    left = np.where(mask > 0.0, data.y - value, 0.0)
    if data.t.ndim == 1:
        seen = np.any(mask > 0.0, axis=0)
        jacobian = np.where(seen[:, None], jacobian, 0.0)
        return np.sqrt(gamma @ mask)[:, None] * jacobian, (mask * left) @ jacobian
    jacobian = np.where((mask > 0.0)[..., None], jacobian, 0.0)
    weighted = (np.sqrt(mask * gamma[:, None])[..., None] * jacobian).reshape(-1, jacobian.shape[-1])
    return weighted, np.einsum("nt,nt,ntp->np", mask, left, jacobian)


def noise_variance(
    law: Law, optimum: Optimum, data: FittedCurves, *, known: bool, priors: Priors | None = None
) -> Array:
    """Variance of a point of weight one, (C,), as far as it is independent of the others.

    Args:
        law: The physics.
        optimum: Where the residuals are taken.
        data: What it was fitted to.
        known: Whether the weights are inverse variances already.
        priors: With priors, for what several curves that differ count, multiplied by their design effect,
            and the degrees of freedom are those the data pay for.
    """
    C = len(optimum.parameters)
    out = np.ones(C)
    for c in range(C):
        free = optimum.free[c]
        paid, cost = float(free.sum()), optimum.cost[c] + data.constant[c]
        if not known:
            out[c] = cost / max(data.count[c] - paid, 1e-300)
        if priors is None:
            continue
        weighted, scores = linearised(law, optimum, data, c)
        normal, rows = weighted[:, free].T @ weighted[:, free], priors.rows(optimum.parameters[c])[0][:, free]
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


def errors_of(
    law: Law, optimum: Optimum, data: FittedCurves, variance: Array, *, known: bool, priors: Priors | None
) -> Errors:
    """Covariances, naive and between curves where there are several, and the parameters the data do not determine.

    Args:
        law: The physics.
        optimum: The parameters.
        data: What it was fitted to.
        variance: From :func:`noise_variance`, shape (C,).
        known: Whether the noise was given: then few points are no reason for doubt.
        priors: What entered the solve.
    """
    C, P = optimum.parameters.shape
    free = optimum.free
    naive, robust, lost = np.zeros((C, P, P)), np.zeros((C, P, P)), np.zeros((C, P), dtype=bool)
    for c in range(C):
        weighted, scores = linearised(law, optimum, data, c)
        rows = np.zeros((0, P)) if priors is None else priors.rows(optimum.parameters[c])[0]
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
    open_ = free & unidentified(lost, std, optimum.parameters, data.bounds)
    return Errors(robust, naive, open_)


def inverse_information(weighted: Array, free: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """Invert the information of one cluster over its free parameters, from the derivatives themselves.

    Args:
        weighted: Root of the weights times J, shape (points, P): J^T J has the square of its condition.
        free: Which parameters were estimated, shape (P,).

    Returns:
        The inverse of J^T W J, shape (P, P), rows and columns of parameters that are not free 0; and which free
        parameters the data say nothing about, shape (P,): their variance is infinite. They are those with a part in a
        direction whose singular value, J's columns at length one, is below 1e-10 of the largest.
    """
    P = free.size
    inverse, lost = np.zeros((P, P)), np.zeros(P, dtype=bool)
    index = np.flatnonzero(free)
    size = np.linalg.norm(weighted[:, index], axis=0) if np.isfinite(weighted).all() else np.zeros(index.size)
    seen = index[size > 0]
    lost[index[~(size > 0)]] = True
    if seen.size:
        size = size[size > 0]
        # The triangular factor first: the vectors of every point are not needed.
        triangle = np.linalg.qr(weighted[:, seen] / size, mode="r")
        _, values, vectors = np.linalg.svd(triangle, full_matrices=True)
        values = np.append(values, np.zeros(seen.size - values.size))
        null = values <= _SINGULAR * values[0]
        scaled = vectors[~null] / values[~null, None]
        inverse[np.ix_(seen, seen)] = scaled.T @ scaled / np.outer(size, size)
        lost[seen] = (np.abs(vectors[null]) > _PART).any(0)
    inverse[lost] = inverse[:, lost] = 0.0
    inverse[lost, lost] = np.inf
    return inverse, lost


def unidentified(lost: NDArray[np.bool_], std: Array, theta: Array, bounds: Bounds) -> NDArray[np.bool_]:
    """Find the parameters that the data leave open, of a fit of an expert as of a model's clusters.

    Args:
        lost: Those in a direction the data say nothing about, from :func:`inverse_information`, shape (..., P).
        std: Standard errors, shape (..., P); NaN where there is none.
        theta: Parameters, shape (..., P).
        bounds: Their bounds; a parameter at one is not open.

    Returns:
        Flags, shape (..., P): the lost ones, and those whose standard error is wider than the bounds, or a hundred
        times the distance to the only bound.
    """
    both = np.isfinite(bounds.lower) & np.isfinite(bounds.upper)
    width = np.where(both, np.where(both, bounds.upper, 0.0) - np.where(both, bounds.lower, 0.0), np.inf)
    distance = np.minimum(
        np.where(np.isfinite(bounds.lower), theta - np.where(np.isfinite(bounds.lower), bounds.lower, 0.0), np.inf),
        np.where(np.isfinite(bounds.upper), np.where(np.isfinite(bounds.upper), bounds.upper, 0.0) - theta, np.inf),
    )
    return (lost | (std > np.where(both, width, _FAR * distance))) & ~bounds.at_bound(theta)


def sandwich(inverse: Array, scores: Array, responsibilities: Array) -> Array:
    """Compute the curve-clustered covariance of one cluster.

    Args:
        inverse: Inverse information, shape (P, P).
        scores: :math:`J_d^T r_d` per specimen, shape (N, P).
        responsibilities: Shape (N,), of this cluster.

    Returns:
        Covariance, shape (P, P); infinite with fewer than two effective specimens.
    """
    total = responsibilities.sum()
    effective = total**2 / max(np.sum(responsibilities**2), 1e-300)
    if effective <= 1 + 1e-9:
        return np.where(inverse != 0, np.inf, 0.0)
    known = np.where(np.isfinite(inverse), inverse, 0.0)
    weighted = responsibilities[:, None] * scores
    covariance = known @ (weighted.T @ weighted) @ known * (effective / (effective - 1))
    return np.where(np.isfinite(inverse), covariance, np.inf)
