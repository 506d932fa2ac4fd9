"""What the networks climb in one step: the ELBO of a batch, its responsibilities, and the consistency gap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..model.elbo import Elbo
from ..model.evidence import Evidence
from ..model.gaussian import DiagonalGaussian
from ..model.mixture import GaussianMixture, log_responsibilities
from .options import ModelOptions


def anchored(log_gamma: Tensor, anchor: Tensor | None) -> Tensor:
    """Log responsibilities, or where they are known those that were found before.

    Args:
        log_gamma: Shape (specimen, cluster).
        anchor: Responsibilities of the same shape, NaN where unknown (fitting/invariance.py, curveless.py); or None.
    """
    if anchor is None:
        return log_gamma
    return torch.where(anchor.isnan(), log_gamma, anchor.clamp_min(1e-300).log())


def released(anchor: Tensor | None, clusters: Sequence[int]) -> Tensor | None:
    """The anchor without clusters that were seeded anew and are others now; who was mostly in them is held no more.

    Args:
        anchor: See :func:`anchored`.
        clusters: Seeded anew.
    """
    if anchor is None or not clusters:
        return anchor
    anchor = anchor.clone()
    anchor[:, list(clusters)] = 0.0
    left = anchor.sum(1, keepdim=True)
    return torch.where(left > 0.5, anchor / left, torch.nan)


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
    log_gamma = anchored(options.rule.batch(mixture, log_prior, log_physics, options.beta, z), anchor)
    elbo = Elbo.of(neural, log_physics, posterior, mixture, log_gamma, beta=options.beta, log_prior=log_prior)
    fixed = log_gamma.detach()
    gap = (fixed.exp() * (fixed - latent).clamp_min(-700.0)).sum(-1)
    return elbo, gap, log_gamma


def physics_of_z(evidence: Sequence[Evidence], log_physics: Tensor, log_gamma: Tensor) -> Tensor | float:
    """What the curves of a batch say about Z, mean over its specimens, nats; 0 where no parameters vary with it.

    A picture has thousands of pixels to say where Z goes, a curve a few nats: without weight Z would learn the picture
    by heart and leave the physics to chance.

    Args:
        evidence: Of each physics modality; empty where Adam learns the experts.
        log_physics: Sum of log p(X_i given Z, c), (specimen, cluster).
        log_gamma: Log responsibilities, likewise.
    """
    if all(part.linear is None for part in evidence):
        return 0.0
    about_z = log_physics - sum(part.constant for part in evidence)
    return (log_gamma.detach().exp() * about_z).sum(-1).mean()
