"""Steps shared by every M-step of the physics: normal equations, moves of unbounded parameters, acceptance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ...model.curves import Curves
from ...model.evidence import Evidence
from ...model.gaussian import DiagonalGaussian
from ...model.physics import PhysicsDecoder
from ..parallel.distributed import ALONE, Processes

#: A cluster of less weight than this keeps its parameters: the data say nothing about it.
MINIMUM_WEIGHT = 1e-6
#: A likelihood that falls by less than this share of itself has not fallen: sums of 1e5 float64 terms round so.
ROUNDING = 1e-10
#: A step that still lowers the likelihood after this many halvings is not taken: near the optimum all are tiny.
HALVINGS = 4


def solved(matrix: Tensor, vector: Tensor) -> Tensor:
    """Solve normal equations (cluster, K, K) for (cluster, K); an empty row stays where it is.

    A parameter at its bound, or one the data do not see, has one. Scaled to a diagonal of ones, so that the units of
    the parameters do not matter.
    """
    diagonal = torch.diagonal(matrix, dim1=1, dim2=2)
    dead = diagonal <= 0.0
    size = torch.where(dead, 1.0, diagonal).sqrt()
    scaled = matrix / (size[:, :, None] * size[:, None, :]) + torch.diag_embed(torch.where(dead, 1.0, 1e-12))
    return torch.linalg.solve(scaled, (vector / size)[..., None]).squeeze(-1) / size


def stepped(decoder: PhysicsDecoder, step: Tensor) -> np.ndarray:
    """Move theta by a step (cluster, P) in the unbounded parameters.

    Logarithms and logits move by at most 2; a parameter without bounds has a unit, and no natural limit.
    """
    move = step.cpu().numpy()
    bounded = np.isfinite(decoder.bounds.lower) | np.isfinite(decoder.bounds.upper)
    move = np.where(bounded, np.clip(move, -2.0, 2.0), move)
    return decoder.bounds.from_unbounded(decoder.bounds.to_unbounded(decoder.theta) + move)


def log_prior(decoder: PhysicsDecoder) -> Tensor:
    """Logarithm of the priors' density at each cluster's parameters up to a constant, shape (cluster,), nats."""
    if decoder.priors is None:
        return torch.zeros_like(decoder.variance)
    return torch.as_tensor(decoder.priors.log_prob(decoder.theta), device=decoder.variance.device)


def prior_rows(decoder: PhysicsDecoder) -> tuple[Tensor, Tensor]:
    """Derivatives of the parameters with priors by the unbounded ones, (cluster, K, P), and how far off they are.

    The second, (cluster, K), is prior mean minus value; both are in units of the priors' standard deviations.
    """
    device = decoder.scatter.device
    if decoder.priors is None:
        none = decoder.scatter.new_zeros((len(decoder.theta), 0))
        return none[..., None].expand(-1, -1, decoder.theta.shape[1]), none
    rows, target = decoder.priors.rows(decoder.theta)
    off = target - np.einsum("ckp,cp->ck", rows, decoder.theta)
    slope = np.where(decoder.bounds.at_bound(decoder.theta), 0.0, decoder.bounds.slope(decoder.theta))
    return torch.as_tensor(rows * slope[:, None, :], device=device), torch.as_tensor(off, device=device)


def expected_log_prob(
    evidence: Evidence, gamma: Tensor, latent: DiagonalGaussian | None = None, processes: Processes = ALONE
) -> Tensor:
    """Sum over specimens of gamma E_q(Z)[log p(X given Z, c)], shape (cluster,), nats.

    Args:
        evidence: Evidence of all specimens, or of this process's.
        gamma: Shape (specimen, cluster).
        latent: q(Z given X); None where the parameters do not follow it.
        processes: The processes that have the other specimens.
    """
    log_prob = evidence.constant if latent is None else evidence.expected(latent)
    return processes.total((gamma * log_prob).sum(0))[0]


def accepted(
    old: PhysicsDecoder,
    trial: Callable[[float], PhysicsDecoder],
    curves: Curves,
    gamma: Tensor,
    latent: DiagonalGaussian | None = None,
    processes: Processes = ALONE,
    evidence: Evidence | None = None,
) -> tuple[PhysicsDecoder, Evidence]:
    """Take the longest share of a step, 1, 1/2, 1/4 ..., by which a cluster's likelihood does not fall; else none.

    The likelihood is that of the curves times the priors of the parameters.

    Args:
        old: Before the step.
        trial: From a share of the step to a decoder.
        curves: Curves of all specimens, or of this process's.
        gamma: Shape (specimen, cluster).
        latent: q(Z given X), where the parameters follow it.
        processes: The processes that have the other specimens.
        evidence: Evidence of the curves under the old decoder, where it is known.

    Returns:
        The decoder, and the evidence of the curves under it.
    """
    evidence = evidence or old.evidence(curves)
    before = expected_log_prob(evidence, gamma, latent, processes) + log_prior(old)
    best = trial(1.0)
    for halving in range(1, HALVINGS + 1):
        evidence = best.evidence(curves)
        after = expected_log_prob(evidence, gamma, latent, processes) + log_prior(best)
        fallen = after < before - ROUNDING * before.abs()
        if not fallen.any():
            return best, evidence
        best = best.where(~fallen, trial(0.5**halving) if halving < HALVINGS else old)
    return best, best.evidence(curves)
