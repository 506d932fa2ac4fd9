"""Agreement of restarts: on the whole by the adjusted Rand index, and specimen by specimen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .scores import ari, match_clusters


def pairwise_agreement(assigned: Sequence[NDArray[np.intp]]) -> NDArray[np.float64]:
    """Adjusted Rand index of every two groupings of the same specimens, (grouping, grouping); 1 on the diagonal."""
    out = np.eye(len(assigned))
    for a in range(len(assigned)):
        for b in range(a):
            out[a, b] = out[b, a] = ari(assigned[a], assigned[b])
    return out


def share_of_same(assigned: Sequence[NDArray[np.intp]], best: int) -> NDArray[np.float64]:
    """Share of the other groupings that put a specimen where the best one does, (specimen,).

    Clusters have no names of their own: those of another grouping are matched one to one so that most specimens agree.
    """
    same = np.zeros(len(assigned[best]))
    others = [r for r in range(len(assigned)) if r != best]
    for r in others:
        match = match_clusters(assigned[best], assigned[r])
        renamed = np.array([match.get(c, -1) for c in assigned[r].tolist()])
        same += renamed == assigned[best]
    return same / max(len(others), 1)


def compare_restarts(
    gammas: Sequence[NDArray[np.float64]], best: int
) -> tuple[list[list[float]], NDArray[np.float64] | None]:
    """Compare restarts by where they put the specimens.

    Args:
        gammas: Responsibilities (specimen, cluster) of each.
        best: Which of them is kept.

    Returns:
        :func:`pairwise_agreement` as lists, and :func:`share_of_same`, None where there is only one restart.
    """
    assigned = [gamma.argmax(1) for gamma in gammas]
    if len(assigned) < 2:
        return [[1.0]], None
    return pairwise_agreement(assigned).tolist(), share_of_same(assigned, best)
