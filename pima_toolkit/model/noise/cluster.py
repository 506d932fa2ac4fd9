"""``noise="cluster"``: one variance for each cluster, the same at every point."""

from __future__ import annotations

import torch
from torch import Tensor

from .base import VARIANCE_FLOOR, NoiseModel


class ClusterNoise(NoiseModel):
    """Specimens of one population scatter more than those of another, such as foams beside solids."""

    def update(self, old: Tensor, squared: Tensor, points: Tensor, alive: Tensor) -> Tensor:
        """The mean squared residual of each cluster's curves; a cluster without any keeps what it had."""
        return torch.where(alive, squared / points.clamp_min(1e-300), old).clamp_min(VARIANCE_FLOOR)
