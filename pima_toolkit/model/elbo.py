r"""The evidence lower bound, term by term, per specimen and in nats.

.. math:: \mathrm{ELBO} = \sum_{\text{neural}} \mathbb E[\log p(X_i \mid Z)]
   + \sum_{\text{physics}} \sum_c \gamma_c \log p(X_i \mid c)
   + \beta \sum_c \gamma_c \mathbb E[\log p(Z \mid c)] + \sum_c \gamma_c \log \pi_c
   + \beta H(q(Z \mid X)) - \sum_c \gamma_c \log\gamma_c

Source: Trask et al. 2022, section 2.3 and appendix B. Errata: eqs. (1) and (22) print log p(X, Z) for log p(X, Z, c);
eq. (27) prints +KL for -KL; eq. (30) prints pi_c for log pi_c.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .gaussian import LOG_2PI, DiagonalGaussian
from .mixture import GaussianMixture


def neural_log_prob(x: Tensor, mean: Tensor, variance: Tensor | float, present: Tensor) -> Tensor:
    """Compute log N(x; mean, variance I) per specimen, shape (specimen,), 0 where the modality is absent (eq. 12)."""
    # A number stays one: as a tensor it would make the host wait for the device at every step.
    log_variance = variance.log() if isinstance(variance, Tensor) else math.log(variance)
    squared = (x - mean.float()).square().flatten(1).sum(1)
    points = x[0].numel()
    return torch.where(present, -0.5 * (squared / variance + points * (LOG_2PI + log_variance)), 0.0)


@dataclass(frozen=True)
class Elbo:
    """The terms, each of shape (specimen,), nats.

    Args:
        neural: E[log p(X_i given Z)] by modality, one sample of Z.
        physics: Sum over clusters of gamma_c log p(X_i given c), summed over the physics modalities.
        latent_prior: beta sum_c gamma_c E[log p(Z given c)].
        cluster_prior: sum_c gamma_c log pi_c.
        latent_entropy: beta H(q(Z given X)).
        cluster_entropy: -sum_c gamma_c log gamma_c.
    """

    neural: Mapping[str, Tensor]
    physics: Tensor
    latent_prior: Tensor
    cluster_prior: Tensor
    latent_entropy: Tensor
    cluster_entropy: Tensor

    @staticmethod
    def of(
        neural: Mapping[str, Tensor],
        log_physics: Tensor,
        posterior: DiagonalGaussian,
        mixture: GaussianMixture,
        log_gamma: Tensor,
        *,
        beta: float = 1.0,
        log_prior: Tensor | None = None,
    ) -> Elbo:
        """Assemble the terms.

        Args:
            neural: log p(X_i given Z) by modality, shape (specimen,).
            log_physics: Sum of log p(X_i given c) over physics modalities present, shape (specimen, cluster).
            posterior: q(Z given X), shape (specimen, latent).
            mixture: The prior.
            log_gamma: Log responsibilities, shape (specimen, cluster).
            beta: Weight of the latent terms.
            log_prior: E[log p(Z given c)] where already at hand.
        """
        gamma = log_gamma.exp()
        if log_prior is None:
            log_prior = mixture.expected_log_prob(posterior)
        return Elbo(
            neural=neural,
            physics=(gamma * log_physics).sum(-1),
            latent_prior=beta * (gamma * log_prior).sum(-1),
            cluster_prior=(gamma * mixture.log_weights).sum(-1),
            latent_entropy=beta * posterior.entropy(),
            cluster_entropy=-(gamma * log_gamma.clamp_min(-700.0)).sum(-1),
        )

    def terms(self) -> dict[str, Tensor]:
        """Return all terms by name; a neural one is named ``neural:<modality>``."""
        named = {f"neural:{name}": term for name, term in self.neural.items()}
        for name in ("physics", "latent_prior", "cluster_prior", "latent_entropy", "cluster_entropy"):
            named[name] = getattr(self, name)
        return named

    @property
    def total(self) -> Tensor:
        """The ELBO of each specimen, shape (specimen,)."""
        return sum(self.terms().values(), start=torch.zeros_like(self.physics))

    def paper_objective(self, points: int) -> Tensor:
        r"""The paper's L_d of section 2.3, which leaves the data's Gaussian constants out and doubles the rest.

        With all noise variances 1 and beta = 1, :math:`\mathcal L_d = 2\,\mathrm{ELBO} + T \log 2\pi`.

        Args:
            points: T, all pixels and points of one specimen.
        """
        return 2.0 * self.total + points * LOG_2PI
