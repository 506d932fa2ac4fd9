"""``noise="unit"``: variance 1 in units of the curves' largest absolute value squared, as in the paper."""

from __future__ import annotations

from torch import Tensor

from .base import NoiseModel


class UnitNoise(NoiseModel):
    """The noise is given and never learned."""

    def update(self, old: Tensor, squared: Tensor, points: Tensor, alive: Tensor) -> Tensor:  # noqa: ARG002 - given
        """The variance as it is."""
        return old

    def start(self, variance: float) -> float:  # noqa: ARG002 - given
        """One, whatever the curves say."""
        return 1.0
