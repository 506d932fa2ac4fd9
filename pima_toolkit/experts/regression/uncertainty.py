r"""How sure the parameters of a weighted fit are.

Naive, if every point is independent: :math:`s^2 A^{-1}` with :math:`A = J^T W J`. Curves of one population differ, so
their residuals are correlated along t, and that is three times too small. The curve-clustered sandwich holds for any
correlation within a curve:

.. math:: A^{-1} \Big[ \sum_d \gamma_d^2 \, (J_d^T r_d)(J_d^T r_d)^T \Big] A^{-1} \cdot \frac{n}{n - 1},
          \qquad n = (\sum\gamma)^2 / \sum\gamma^2

Both are given the responsibilities; which specimen belongs to which cluster adds to it (EXPERTS.md §3).
Source: Liang & Zeger 1986.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract.parameters import Bounds

Array = NDArray[np.float64]

#: Standard error over the distance to the only bound from which a parameter counts as not determined.
_FAR = 100.0
#: Relative singular value of a direction the data do not see, and the share of a parameter in it that matters.
_SINGULAR, _PART = 1e-10, 1e-3


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
    """Which parameters the data leave open: the one notion of it, of a fit of an expert as of a model's clusters.

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
    """The curve-clustered covariance of one cluster.

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
    found = known @ (weighted.T @ weighted) @ known * (effective / (effective - 1))
    return np.where(np.isfinite(inverse), found, np.inf)
