r"""What is known of a specimen from any subset of its modalities: which population, and where in it.

A specimen of population c has the parameters :math:`\phi_c + \delta`, and before its curves are seen
:math:`\delta \sim \mathcal N(m, R_c R_c^\top)`. Every modality speaks by a potential, for each population a quadratic
function of :math:`\delta`,

.. math:: \log f(\delta, c) = a_c + g_c^\top \delta - \tfrac12 \delta^\top H_c \delta,

a curve by its likelihood, a picture by what a regressor or a network makes of it. Potentials add. In
:math:`u = R_c^{-1}(\delta - m)` the prior is the identity, so that with :math:`B = I + R_c^\top H_c R_c`, which is at
least the identity whatever the units, and :math:`h = R_c^\top (g_c - H_c m)`

.. math:: \log \mathbb E_\delta\, f = a_c + g_c^\top m - \tfrac12 m^\top H_c m - \tfrac12\log\det B
          + \tfrac12 h^\top B^{-1} h, \qquad \delta \mid c \sim \mathcal N(m + R_c B^{-1} h,\; R_c B^{-1} R_c^\top).

What a picture says of :math:`\delta` must not decide c by the way: :math:`\log\mathbb E_\delta f - a_c` is taken out of
the sum of its potentials (:func:`silenced`), and then q(c given pictures) is the softmax of :math:`\log\pi_c + a_c`.

Source: Bayes' rule for a mixture of linear Gaussian models; Lindstrom & Bates 1990 for the quadratic of a curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Potential:
    """What modalities say of N specimens: a quadratic function of the deviation from each population.

    Args:
        constant: a, at the population's parameters, shape (N, C), nats.
        linear: g, shape (N, C, P).
        curvature: H, shape (N or 1, C or 1, P, P), symmetric, at least zero.
    """

    constant: Tensor
    linear: Tensor
    curvature: Tensor

    def __len__(self) -> int:
        return len(self.constant)

    def __add__(self, other: Potential) -> Potential:
        return Potential(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, share: float | Tensor) -> Potential:
        """Believe it by a share: a number, or one for each specimen, shape (N,)."""
        by = (
            share.reshape(-1, 1, 1, 1) if isinstance(share, Tensor) else torch.full((1, 1, 1, 1), share).to(self.linear)
        )
        return Potential(self.constant * by[..., 0, 0], self.linear * by[..., 0], self.curvature * by)

    def at(self, index: Tensor | slice) -> Potential:
        """The specimens of ``index``."""
        curvature = self.curvature if self.curvature.shape[0] == 1 else self.curvature[index]
        return Potential(self.constant[index], self.linear[index], curvature)

    def to(self, dtype: torch.dtype) -> Potential:
        """The same in another precision."""
        return Potential(*(getattr(self, f.name).to(dtype) for f in fields(self)))

    @staticmethod
    def silent(specimens: int, clusters: int, parameters: int, like: Tensor) -> Potential:
        """One that says nothing."""
        zeros = like.new_zeros(specimens, clusters, parameters)
        return Potential(zeros[..., 0] if parameters else like.new_zeros(specimens, clusters), zeros,
                         like.new_zeros(1, 1, parameters, parameters))  # fmt: skip

    @staticmethod
    def stacked(parts: Sequence[Potential]) -> Potential:
        """Those of several laws, whose deviations stand one below the other: independent given c."""
        specimens = max(part.curvature.shape[0] for part in parts)
        clusters = max(part.curvature.shape[1] for part in parts)
        sizes = [part.linear.shape[-1] for part in parts]
        curvature = parts[0].constant.new_zeros(specimens, clusters, sum(sizes), sum(sizes))
        at = 0
        for part, size in zip(parts, sizes, strict=True):
            curvature[..., at : at + size, at : at + size] = part.curvature
            at += size
        total = parts[0].constant
        for part in parts[1:]:
            total = total + part.constant
        return Potential(total, torch.cat([part.linear for part in parts], -1), curvature)


@dataclass(frozen=True)
class Deviation:
    """Distribution of the deviation from each population.

    Args:
        mean: Shape (N or 1, C, P).
        root: R with covariance R R^T, shape (N or 1, C, P, P).
    """

    mean: Tensor
    root: Tensor

    @property
    def covariance(self) -> Tensor:
        """Shape (N or 1, C, P, P)."""
        return self.root @ self.root.mT

    @staticmethod
    def prior(covariance: Tensor) -> Deviation:
        """Around the population's parameters, with covariances (C, P, P) that may be singular."""
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp_min(0.0).sqrt()[..., None, :]
        return Deviation(root.new_zeros(1, *root.shape[:-1]), root[None])


def conditioned(potential: Potential, prior: Deviation) -> tuple[Tensor, Deviation]:
    """Condition deviations on potentials.

    Args:
        potential: What was said.
        prior: What was known before.

    Returns:
        log E f over the prior, shape (N, C), nats, and the deviation after.
    """
    m, R = prior.mean, prior.root
    bent = (potential.curvature @ m[..., None]).squeeze(-1)
    about = potential.constant + ((potential.linear - 0.5 * bent) * m).sum(-1)
    if m.shape[-1] == 0:
        return about, prior
    h = (R.mT @ (potential.linear - bent)[..., None]).squeeze(-1)
    inner = R.mT @ potential.curvature @ R
    B = 0.5 * (inner + inner.mT) + torch.eye(R.shape[-1], dtype=R.dtype, device=R.device)
    lower = torch.linalg.cholesky(B)
    half = torch.linalg.solve_triangular(lower, h[..., None], upper=False)
    log_norm = 0.5 * half.square().sum((-1, -2)) - torch.diagonal(lower, dim1=-2, dim2=-1).log().sum(-1)
    # R B^-1 R^T = (R L^-T)(R L^-T)^T with B = L L^T.
    root = torch.linalg.solve_triangular(lower, R.mT.expand(*lower.shape[:-2], *R.shape[-2:]), upper=False).mT
    return about + log_norm, Deviation(m + (root @ half).squeeze(-1), root)


def silenced(potential: Potential, prior: Deviation) -> Potential:
    """Take out what the quadratic part says of the population by the way: log E f is then ``constant``.

    Args:
        potential: The sum of all that one subset of the modalities without physics says.
        prior: The deviations before anything is said.
    """
    log_norm, _ = conditioned(potential, prior)
    return Potential(2.0 * potential.constant - log_norm, potential.linear, potential.curvature)


def expected(potential: Potential, deviation: Deviation) -> Tensor:
    """E[log f] over the deviation of each population, shape (N, C), nats."""
    second = deviation.covariance + deviation.mean[..., None] * deviation.mean[..., None, :]
    bent = (potential.curvature * second).sum((-1, -2))
    return potential.constant + (potential.linear * deviation.mean).sum(-1) - 0.5 * bent


@dataclass(frozen=True)
class Joint:
    """q(deviation, c) of N specimens.

    Args:
        evidence: log of its normaliser, shape (N,), nats.
        log_gamma: log q(c), shape (N, C).
        deviation: Of each population.
    """

    evidence: Tensor
    log_gamma: Tensor
    deviation: Deviation


def join(log_weights: Tensor, potential: Potential, prior: Deviation) -> Joint:
    """Multiply prior and potentials.

    Args:
        log_weights: log pi_c, shape (C,).
        potential: The sum of all that is said; that of modalities without physics already :func:`silenced`.
        prior: The deviations before.
    """
    log_norm, deviation = conditioned(potential, prior)
    joint = log_weights + log_norm
    evidence = joint.logsumexp(1)
    return Joint(evidence, joint - evidence[:, None], deviation)
