"""Objective of the networks in one step: the ELBO of a batch, its responsibilities, and the consistency gap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..model.elbo import Elbo
from ..model.evidence import Evidence
from ..model.gaussian import DiagonalGaussian
from ..model.mixture import GaussianMixture, log_responsibilities
from .options import ModelOptions


def with_held(log_gamma: Tensor, held: Tensor | None) -> Tensor:
    """Replace log responsibilities by those that are held while training, where there are any.

    Args:
        log_gamma: Shape (specimen, cluster).
        held: Responsibilities found before training (starts/invariance.py, starts/curveless.py), of the same shape, NaN
            where there are none; or None.
    """
    if held is None:
        return log_gamma
    return torch.where(held.isnan(), log_gamma, held.clamp_min(1e-300).log())


def released(held: Tensor | None, clusters: Sequence[int]) -> Tensor | None:
    """Release the clusters that were seeded anew and are others now, and the specimens that were mostly in them.

    Args:
        held: Responsibilities held while training, as in :func:`with_held`.
        clusters: Clusters seeded anew.
    """
    if held is None or not clusters:
        return held
    held = held.clone()
    held[:, list(clusters)] = 0.0
    left = held.sum(1, keepdim=True)
    return torch.where(left > 0.5, held / left, torch.nan)


def objective(
    options: ModelOptions,
    mixture: GaussianMixture,
    neural: dict[str, Tensor],
    log_physics: Tensor,
    posterior: DiagonalGaussian,
    z: Tensor,
    held: Tensor | None,
) -> tuple[Elbo, Tensor, Tensor]:
    """Compute the ELBO, the consistency gap KL(q(c|X) || p(c|Z)) and log responsibilities of a batch.

    Args:
        options: The model.
        mixture: The prior.
        neural: log p(X_i given Z) by modality, shape (specimen,).
        log_physics: Sum of log p(X_i given c) over the physics modalities, (specimen, cluster).
        posterior: q(Z given X), (specimen, latent).
        z: Its sample.
        held: Responsibilities held while training, as in :func:`with_held`.
    """
    log_prior = mixture.expected_log_prob(posterior)
    latent = log_responsibilities(mixture, log_prior)
    log_gamma = with_held(options.rule.batch(mixture, log_prior, log_physics, options.beta, z), held)
    elbo = Elbo.of(neural, log_physics, posterior, mixture, log_gamma, beta=options.beta, log_prior=log_prior)
    fixed = log_gamma.detach()
    gap = (fixed.exp() * (fixed - latent).clamp_min(-700.0)).sum(-1)
    return elbo, gap, log_gamma


def physics_of_z(evidence: Sequence[Evidence], log_physics: Tensor, log_gamma: Tensor) -> Tensor | float:
    """Part of the curves' log-likelihood that depends on Z, mean over a batch, nats; 0 where no parameters follow Z.

    A picture has thousands of pixels to say where Z goes, a curve a few nats: without weight Z would learn the picture
    by heart and leave the physics to chance.

    Args:
        evidence: Evidence of each physics modality; empty where Adam learns the experts.
        log_physics: Sum of log p(X_i given Z, c), (specimen, cluster).
        log_gamma: Log responsibilities, likewise.
    """
    if all(part.linear is None for part in evidence):
        return 0.0
    about_z = log_physics - sum(part.constant for part in evidence)
    return (log_gamma.detach().exp() * about_z).sum(-1).mean()
