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

Array = NDArray[np.float64]

#: A direction with less than this share of the information of the best known one is not known at all.
_NOTHING_KNOWN = 1e-12
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


def unidentified(information: Array, free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Parameters that could be moved together without any change of the curve at the measured points.

    Args:
        information: :math:`J^T W J`, shape (P, P).
        free: Which parameters were estimated, shape (P,).

    Returns:
        Flags, shape (P,): those with a share of at least a tenth in a direction the data say nothing about.
    """
    flags = np.zeros(free.shape, dtype=bool)
    size = np.sqrt(np.maximum(np.diagonal(information), 0.0))
    flags |= free & ~(np.isfinite(size) & (size > 0))
    index = np.flatnonzero(free & ~flags)
    if index.size:
        values, vectors = np.linalg.eigh(information[np.ix_(index, index)] / np.outer(size[index], size[index]))
        open_ = values <= _NOTHING_KNOWN * values[-1]
        flags[index] |= np.any(np.abs(vectors[:, open_]) > 0.1, axis=1)
    return flags


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
