r"""The Gaussian-mixture prior and the responsibilities q(c given X).

.. math:: p(c) = \pi_c, \qquad p(Z \mid c) = \mathcal N(\mathrm{mean}_c, \operatorname{diag} \mathrm{variance}_c)

Source: Trask et al. 2022, eqs. (9), (10), (15). Everything stays in the log domain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ShapeError
from .gaussian import DiagonalGaussian


@dataclass(frozen=True)
class GaussianMixture:
    """C Gaussian clusters in the latent space, float64.

    Args:
        log_weights: log pi_c, shape (cluster,); normalised.
        mean: Shape (cluster, latent).
        variance: Shape (cluster, latent), positive.
    """

    log_weights: Tensor
    mean: Tensor
    variance: Tensor

    @property
    def components(self) -> DiagonalGaussian:
        """p(Z given c), shape (cluster, latent)."""
        return DiagonalGaussian(self.mean, self.variance)

    def expected_log_prob(self, posterior: DiagonalGaussian) -> Tensor:
        """E_q(Z)[log p(Z given c)], shape (specimen, cluster), in nats (Lemma B.1)."""
        if posterior.mean.shape[-1] != self.mean.shape[-1]:
            raise ShapeError(
                f"the posterior has {posterior.mean.shape[-1]} latent dimensions, the mixture {self.mean.shape[-1]}: "
                "both must come from the same model"
            )
        return posterior[..., None, :].expected_log_prob(self.components)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z given c), shape (specimen, cluster), in nats."""
        return self.components.log_prob(z[..., None, :])


def log_responsibilities(mixture: GaussianMixture, log_prior: Tensor, log_physics: Tensor | float = 0.0) -> Tensor:
    r"""Compute the log probability of each cluster, normalised by log-sum-exp.

    .. math:: \log\gamma_c = \log\pi_c + \beta\,\mathbb{E}_{q(Z)}[\log p(Z \mid c)]
              + \sum_{i\,\text{physics}} \log p(X_i \mid c) + \mathrm{const}

    Args:
        mixture: Mixture of C clusters.
        log_prior: beta E_q[log p(Z given c)] (rules "exact", "latent") or log p(z given c) of a sample ("sampled"),
            shape (specimen, cluster).
        log_physics: Sum of log p(X_i given c) over the physics modalities present ("exact"), same shape; 0 otherwise.

    Returns:
        Log responsibilities, shape (specimen, cluster), float64; exponentials of rows sum to one.

    Source: Trask et al. 2022, eq. (15). Erratum: the printed rule forgets that a physics modality depends on c.
    """
    return torch.log_softmax(mixture.log_weights + log_prior.to(mixture.log_weights.dtype) + log_physics, dim=-1)
