"""Noise of a neural modality about its reconstruction from Z: one variance for all entries of a specimen."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

#: A learned noise variance never falls below this, in units of the range squared.
RECONSTRUCTION_FLOOR = 1e-4


class ReconstructionNoise(ABC):
    """Rule for the noise variance of a neural modality, in units of the range squared."""

    @abstractmethod
    def update(self, variance: float, log_prob: float, points: int) -> float:
        """The variance of the next epoch.

        Args:
            variance: That of this epoch, which the ELBO term was computed with.
            log_prob: Mean of log p(X_i given Z) over the specimens that have the modality, nats.
            points: Entries of one specimen.
        """


class GivenNoise(ReconstructionNoise):
    """``noise="unit"``: variance 1, as in the paper, never learned."""

    def update(self, variance: float, log_prob: float, points: int) -> float:  # noqa: ARG002 - given
        """The variance as it is."""
        return variance


class LearnedNoise(ReconstructionNoise):
    """``noise="learned"``: the mean squared error of each epoch."""

    def update(self, variance: float, log_prob: float, points: int) -> float:
        """The mean squared error, read off the ELBO term itself."""
        squared = -2.0 * variance * (log_prob + 0.5 * points * math.log(2.0 * math.pi * variance))
        return max(squared / points, RECONSTRUCTION_FLOOR)


#: Name, as ``Neural(noise=...)`` knows it, to rule.
RECONSTRUCTION: Mapping[str, ReconstructionNoise] = {"unit": GivenNoise(), "learned": LearnedNoise()}
