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


def inverse_information(information: Array, free: NDArray[np.bool_]) -> Array:
    """Invert the information over the free parameters; rows and columns of the others are 0.

    Args:
        information: :math:`J^T W J`, shape (C, P, P).
        free: Which parameters were estimated, shape (C, P).

    Returns:
        The inverse, shape (C, P, P); infinite variance where the data say nothing about a parameter.
    """
    both = free[:, :, None] & free[:, None, :]
    inverse = np.zeros_like(information)
    for c in range(information.shape[0]):
        index = np.flatnonzero(free[c])
        if index.size == 0:
            continue
        block = information[c][np.ix_(index, index)]
        size = np.sqrt(np.diagonal(block))
        if not (np.isfinite(block).all() and (size > 0).all()):
            inverse[c][both[c]] = np.inf
            continue
        values, vectors = np.linalg.eigh(block / np.outer(size, size))
        if values[0] <= index.size * 1e-14 * values[-1]:
            inverse[c][both[c]] = np.inf
            continue
        inverse[c][np.ix_(index, index)] = (vectors / values) @ vectors.T / np.outer(size, size)
    return inverse


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
    if not np.isfinite(inverse).all() or effective <= 1 + 1e-9:
        return np.where(inverse != 0, np.inf, 0.0)
    weighted = responsibilities[:, None] * scores
    return inverse @ (weighted.T @ weighted) @ inverse * (effective / (effective - 1))
