"""Clusters that are empty or the same as another: found, reported, seeded anew."""

from __future__ import annotations

import torch
from torch import Tensor

#: Two clusters are one when their responsibilities point this much the same way (cosine over specimens).
_SAME = 0.98


def empty_clusters(responsibilities: Tensor) -> list[int]:
    """Clusters that hold less than one specimen, or less than a hundredth of an equal share."""
    specimens, clusters = responsibilities.shape
    weight = responsibilities.sum(0)
    return torch.nonzero(weight < max(1.0, 0.01 * specimens / clusters)).flatten().tolist()


def duplicate_clusters(responsibilities: Tensor) -> list[int]:
    """Clusters that share their specimens with one of lower number."""
    unit = responsibilities / responsibilities.norm(dim=0).clamp_min(1e-300)
    same = torch.triu(unit.T @ unit, diagonal=1) > _SAME
    return torch.nonzero(same.any(0)).flatten().tolist()


def reseed(responsibilities: Tensor, log_evidence: Tensor) -> tuple[Tensor, list[int]]:
    """Give each empty or duplicate cluster the specimens that the mixture explains worst.

    Args:
        responsibilities: Shape (specimen, cluster).
        log_evidence: log sum_c of the joint, shape (specimen,): low where no cluster fits.

    Returns:
        Responsibilities with the seeds in place, and the clusters that were seeded.
    """
    specimens, clusters = responsibilities.shape
    if clusters == 1 or specimens < 2 * clusters:
        return responsibilities, []
    dead = sorted({*empty_clusters(responsibilities), *duplicate_clusters(responsibilities)})
    if not dead:
        return responsibilities, []
    responsibilities = responsibilities.clone()
    worst = log_evidence.argsort()
    share = max(1, specimens // (4 * clusters))
    for k, cluster in enumerate(dead):
        # A duplicate's specimens stay with its twin: both hold about half of each.
        responsibilities[:, cluster] = 0.0
        chosen = worst[k * share : (k + 1) * share]
        responsibilities[chosen] = 0.0
        responsibilities[chosen, cluster] = 1.0
    total = responsibilities.sum(1, keepdim=True)
    uniform = torch.full_like(responsibilities, 1.0 / clusters)
    return torch.where(total > 0, responsibilities / total.clamp_min(1e-300), uniform), dead
