r"""A Gaussian with diagonal covariance and the closed forms the ELBO needs.

.. math:: \int f \log g \, dZ = -\tfrac12 \sum_j \left[\log 2\pi\,\mathrm{variance}_{g,j}
          + \frac{\mathrm{variance}_{f,j} + (\mathrm{mean}_{f,j} -
          \mathrm{mean}_{g,j})^2}{\mathrm{variance}_{g,j}}\right]

Source: Trask et al. 2022, Lemma B.1, eq. (28). Erratum: the printed ratio of the variances is inverted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, diag variance) over the last axis.

    Args:
        mean: Shape (..., latent), dimensionless.
        variance: Shape (..., latent), positive.
    """

    mean: Tensor
    variance: Tensor

    def __getitem__(self, index: Any) -> DiagonalGaussian:
        return DiagonalGaussian(self.mean[index], self.variance[index])

    def sample(self, noise: Tensor) -> Tensor:
        """Reparametrised sample ``mean + std * noise``; the noise is standard normal, broadcastable to ``mean``."""
        return self.mean + self.variance.sqrt() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """Log density at ``z``, shape (...), in nats."""
        return -0.5 * (LOG_2PI + self.variance.log() + (z - self.mean).square() / self.variance).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy, shape (...), in nats (Lemma B.4)."""
        return 0.5 * (1.0 + LOG_2PI + self.variance.log()).sum(-1)

    def expected_log_prob(self, other: DiagonalGaussian) -> Tensor:
        """E_self[log other], by Lemma B.1; the leading axes of the two broadcast."""
        spread = self.variance + (self.mean - other.mean).square()
        return -0.5 * (LOG_2PI + other.variance.log() + spread / other.variance).sum(-1)

    def kl(self, other: DiagonalGaussian) -> Tensor:
        """KL(self || other) in nats; the paper's eq. (18) prints its -1 outside the sum over dimensions."""
        return -self.entropy() - self.expected_log_prob(other)

    def detach(self) -> DiagonalGaussian:
        """The same Gaussian without its gradient."""
        return DiagonalGaussian(self.mean.detach(), self.variance.detach())

    def to(self, target: torch.dtype | torch.device) -> DiagonalGaussian:
        """The same Gaussian in another dtype or on another device."""
        return DiagonalGaussian(self.mean.to(target), self.variance.to(target))
