"""What the networks climb in one step: the ELBO of a batch, its responsibilities, and the consistency gap."""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.elbo import Elbo
from ..model.gaussian import DiagonalGaussian
from ..model.mixture import GaussianMixture, log_responsibilities
from .settings import ModelOptions


def anchored(log_gamma: Tensor, anchor: Tensor | None) -> Tensor:
    """Log responsibilities, or where they are known what the pictures' invariance says.

    Args:
        log_gamma: Shape (specimen, cluster).
        anchor: Responsibilities of the same shape, NaN where unknown (fitting/invariance.py); or None.
    """
    if anchor is None:
        return log_gamma
    return torch.where(anchor.isnan(), log_gamma, anchor.clamp_min(1e-300).log())


def objective(
    options: ModelOptions,
    mixture: GaussianMixture,
    neural: dict[str, Tensor],
    log_physics: Tensor,
    posterior: DiagonalGaussian,
    z: Tensor,
    anchor: Tensor | None,
) -> tuple[Elbo, Tensor, Tensor]:
    """The ELBO, the consistency gap KL(q(c|X) || p(c|Z)) and log responsibilities of a batch.

    Args:
        options: The model.
        mixture: The prior.
        neural: log p(X_i given Z) by modality, shape (specimen,).
        log_physics: Sum of log p(X_i given c) over the physics modalities, (specimen, cluster).
        posterior: q(Z given X), (specimen, latent).
        z: Its sample.
        anchor: See :func:`anchored`.
    """
    log_prior = mixture.expected_log_prob(posterior)
    latent = log_responsibilities(mixture, log_prior)
    if options.responsibilities == "exact":
        log_gamma = log_responsibilities(mixture, options.beta * log_prior, log_physics).detach()
    elif options.responsibilities == "latent":
        log_gamma = latent
    else:
        log_gamma = log_responsibilities(mixture, mixture.log_prob(z))
    log_gamma = anchored(log_gamma, anchor)
    elbo = Elbo.of(neural, log_physics, posterior, mixture, log_gamma, beta=options.beta, log_prior=log_prior)
    fixed = log_gamma.detach()
    gap = (fixed.exp() * (fixed - latent).clamp_min(-700.0)).sum(-1)
    return elbo, gap, log_gamma
