"""``noise="pooled"``: one variance for all clusters, the same at every point."""

from __future__ import annotations

from torch import Tensor

from .base import VARIANCE_FLOOR, NoiseModel


class PooledNoise(NoiseModel):
    """One instrument measured all specimens: its noise does not depend on what they are."""

    def update(self, old: Tensor, squared: Tensor, points: Tensor, alive: Tensor) -> Tensor:  # noqa: ARG002 - pooled
        """The mean squared residual of all curves, for every cluster."""
        return (squared.sum() / points.sum()).expand_as(squared).clamp_min(VARIANCE_FLOOR).clone()
