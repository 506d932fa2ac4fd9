r"""Closed-form M-steps from additive statistics (eq. 16, Algorithm 1).

.. math:: W_c = \sum_d\gamma_{cd},\quad \mathrm{mean}_c = \tfrac1{W_c}\sum_d\gamma_{cd}\,\mathrm{mean}_d,\quad
          \mathrm{variance}_c = \tfrac1{W_c}\sum_d\gamma_{cd}\big[\mathrm{variance}_d +
          (\mathrm{mean}_d-\mathrm{mean}_c)^2\big], \quad \pi_c = W_c / N

Everything is float64 and additive over batches and processes, and equals the full-batch result whatever the batch size.
Source: Trask et al. 2022, eq. (16). Erratum: Algorithm 1 prints M <- W_old M + gamma mean / W_new; the bracket is
missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...experts import CurveStatistics, solve
from ...model.curves import Curves
from ...model.evidence import Evidence
from ...model.gaussian import DiagonalGaussian
from ...model.mixture import GaussianMixture
from ...model.physics import PhysicsDecoder, scores
from ..parallel.distributed import ALONE, Processes
from .effects import own_deviations, update_trend
from .gradient import AdamExperts
from .steps import HALVINGS, MINIMUM_WEIGHT, ROUNDING, accepted, expected_log_prob, prior_rows, solved, stepped

#: A cluster's latent variance never falls below this.
LATENT_VARIANCE_FLOOR = 1e-4


class MixtureStatistics:
    """Sufficient statistics of the mixture prior: sums over specimens of gamma, gamma mean, gamma second moment."""

    def __init__(self, clusters: int, latent_dim: int, device: torch.device | str = "cpu") -> None:
        self.weight = torch.zeros(clusters, dtype=torch.float64, device=device)
        self.first = torch.zeros(clusters, latent_dim, dtype=torch.float64, device=device)
        self.second = torch.zeros_like(self.first)

    def update(self, posterior: DiagonalGaussian, responsibilities: Tensor) -> MixtureStatistics:
        """Add a batch: q(Z given X) of shape (specimen, latent), responsibilities (specimen, cluster)."""
        gamma = responsibilities.double().T
        mean, variance = posterior.mean.double(), posterior.variance.double()
        self.weight += gamma.sum(1)
        self.first += gamma @ mean
        self.second += gamma @ (variance + mean.square())
        return self

    def merge(self, other: MixtureStatistics) -> MixtureStatistics:
        """Add the statistics of another process or batch."""
        self.weight += other.weight
        self.first += other.first
        self.second += other.second
        return self

    def over(self, processes: Processes) -> MixtureStatistics:
        """Add the statistics of all processes together, by one all-reduce."""
        self.weight, self.first, self.second = processes.total(self.weight, self.first, self.second)
        return self

    def finish(self, previous: GaussianMixture | None = None) -> GaussianMixture:
        """Return the mixture of highest expected likelihood; a cluster without weight keeps ``previous``."""
        weight = self.weight.clamp_min(MINIMUM_WEIGHT)
        mean = self.first / weight[:, None]
        variance = (self.second / weight[:, None] - mean.square()).clamp_min(LATENT_VARIANCE_FLOOR)
        if previous is not None:
            empty = (self.weight < MINIMUM_WEIGHT)[:, None]
            mean = torch.where(empty, previous.mean, mean)
            variance = torch.where(empty, previous.variance, variance)
        return GaussianMixture((weight / weight.sum()).log(), mean, variance)


class EpochStatistics:
    """Results that one pass of Adam over all specimens leaves: the mixture's statistics, q(Z given X) and gamma.

    Args:
        specimens: Number in the data set; each process sees its own part.
        clusters: C.
        latent_dim: L.
        device: Where it is kept.
    """

    def __init__(self, specimens: int, clusters: int, latent_dim: int, device: torch.device) -> None:
        self.statistics = MixtureStatistics(clusters, latent_dim, device)
        self.mean = torch.zeros(specimens, latent_dim, device=device)
        self.variance = torch.zeros_like(self.mean)
        self.gamma = torch.zeros(specimens, clusters, dtype=torch.float64, device=device)

    def add(self, index: Tensor, posterior: DiagonalGaussian, responsibilities: Tensor) -> None:
        """Add a batch: the specimens of ``index``."""
        self.statistics.update(posterior, responsibilities)
        self.mean[index], self.variance[index] = posterior.mean, posterior.variance
        self.gamma[index] = responsibilities

    def over(self, processes: Processes) -> tuple[MixtureStatistics, DiagonalGaussian, Tensor]:
        """Statistics, posterior (specimen, latent) and responsibilities (specimen, cluster) of all processes."""
        mean, variance, gamma = processes.total(self.mean, self.variance, self.gamma)
        return self.statistics.over(processes), DiagonalGaussian(mean, variance), gamma


def update_mixture(
    old: GaussianMixture, posterior: DiagonalGaussian, responsibilities: Tensor, processes: Processes = ALONE
) -> GaussianMixture:
    """M-step of the mixture prior (eq. 16).

    Args:
        old: The mixture until now, which clusters that are empty keep.
        posterior: q(Z given X) of all specimens, or of this process's, (specimen, latent).
        responsibilities: Theirs, (specimen, cluster).
        processes: The processes that have the other specimens; one all-reduce joins their statistics.
    """
    clusters, latent_dim = old.mean.shape
    statistics = MixtureStatistics(clusters, latent_dim, old.mean.device)
    return statistics.update(posterior, responsibilities).over(processes).finish(old)


class Update(ABC):
    """Rule by which the M-step moves parameters that do not follow the latent; the option ``update`` chooses it."""

    #: What learns the parameters between the M-steps; None where nothing does.
    learner: ClassVar[type[AdamExperts] | None] = None

    @abstractmethod
    def move(
        self, decoder: PhysicsDecoder, curves: Curves, gamma: Tensor, processes: Processes, evidence: Evidence | None
    ) -> tuple[PhysicsDecoder, Evidence | None]:
        """Move the parameters; return the decoder and its evidence, where that is known.

        Args:
            decoder: The old parameters.
            curves: Curves of all specimens, or of this process's.
            gamma: Shape (specimen, cluster); 0 for specimens without the curve.
            processes: The processes that have the other specimens.
            evidence: Evidence of the curves under the old parameters, where it is known.
        """


class Gradient(Update):
    """``update="adam"``: the M-step leaves the parameters to gradients, as the paper did."""

    learner = AdamExperts

    def move(
        self,
        decoder: PhysicsDecoder,
        curves: Curves,  # noqa: ARG002 - Adam has seen them
        gamma: Tensor,  # noqa: ARG002
        processes: Processes,  # noqa: ARG002
        evidence: Evidence | None,
    ) -> tuple[PhysicsDecoder, Evidence | None]:
        """Leave the decoder as it is."""
        return decoder, evidence


class LeastSquares(Update):
    """``update="wls"``: weighted least squares (eq. 17), solved exactly where it can be, else by a step."""

    def move(
        self, decoder: PhysicsDecoder, curves: Curves, gamma: Tensor, processes: Processes, evidence: Evidence | None
    ) -> tuple[PhysicsDecoder, Evidence | None]:
        """Accept a proposal cluster by cluster only where the likelihood does not fall; else halve it towards the old.

        The likelihood is that of the curves times the priors.
        """
        rule = ReducedSolve() if ReducedSolve.serves(decoder, curves) else GaussNewton()
        proposal = rule.propose(decoder, curves, gamma, processes)
        weight = processes.total(gamma.sum(0))[0].cpu().numpy()
        proposal = np.where((weight < MINIMUM_WEIGHT)[:, None], decoder.theta, proposal)
        start, end = decoder.bounds.to_unbounded(decoder.theta), decoder.bounds.to_unbounded(proposal)

        def trial(share: float) -> PhysicsDecoder:
            halved = decoder.bounds.from_unbounded(start + share * (end - start))
            return replace(decoder, theta=proposal if share == 1.0 else halved)

        return accepted(decoder, trial, curves, gamma, None, processes, evidence)


#: The rules by the name that :class:`~pima_toolkit.fitting.options.TrainingSettings` knows them by.
UPDATES: Mapping[str, Update] = {"wls": LeastSquares(), "adam": Gradient()}


class Proposal(ABC):
    """Way to the parameters of each cluster that weighted least squares asks for."""

    @abstractmethod
    def propose(self, decoder: PhysicsDecoder, curves: Curves, gamma: Tensor, processes: Processes) -> np.ndarray:
        """Return parameters (cluster, P) in their units.

        Args:
            decoder: The old parameters.
            curves: Curves of all specimens, or of this process's.
            gamma: Shape (specimen, cluster).
            processes: The processes that have the other specimens.
        """


class ReducedSolve(Proposal):
    """Exact solution of eq. 17, as a T-point problem per cluster; priors, linearised, are further equations."""

    @staticmethod
    def serves(decoder: PhysicsDecoder, curves: Curves) -> bool:
        """Tell whether ordinary least squares on a shared grid has the same solution.

        The noise must be white. Sigma_c maps the columns of J into themselves, so scatter does not count, as long as
        no point is missing or weighs more than others, and no prior counts against it.
        """
        scattered = bool(decoder.scatter.any())
        uneven = not curves.complete or curves.weights is not None
        weighed = scattered and (uneven or decoder.priors is not None)
        return not curves.own_grids and decoder.one_line and decoder.noise.white and not weighed

    def propose(self, decoder: PhysicsDecoder, curves: Curves, gamma: Tensor, processes: Processes) -> np.ndarray:
        """Solve as for single curves, each cluster's mean curve with its weights."""
        statistics = CurveStatistics(gamma.shape[1], curves.x.shape[1], device=curves.x.device)
        for index, piece in curves.chunks():
            even = piece.complete and piece.weights is None
            statistics.update(piece.x, gamma[index], None if even else piece.counted)
        weight, mean = statistics.weight, statistics.mean
        if processes.several:
            weight, first = processes.total(weight, weight * mean)
            mean = first / torch.where(weight > 0, weight, 1.0)
        prior = None
        if decoder.priors is not None:
            unit = np.sqrt(decoder.variance.cpu().numpy())[:, None] * decoder.scale
            rows, target = decoder.priors.rows(decoder.theta)
            prior = rows * unit[..., None], target * unit
        solution = solve(
            decoder.expert,
            curves.t,
            (mean * decoder.scale).cpu().numpy(),
            weight.cpu().numpy(),
            decoder.theta[:, None, :],
            decoder.bounds,
            prior=prior,
        )
        return solution.parameters


class GaussNewton(Proposal):
    r"""One step weighted by :math:`\Sigma^{-1}` in the unbounded parameters: for gaps, own grids and own lines too.

    .. math:: \Delta\phi_c =
        \Big[\sum_d\gamma_{cd}\,J^\top\Sigma_d^{-1}J\Big]^{-1}\sum_d\gamma_{cd}\,J^\top\Sigma_d^{-1}r_d
    """

    def propose(self, decoder: PhysicsDecoder, curves: Curves, gamma: Tensor, processes: Processes) -> np.ndarray:
        """Make the step."""
        clusters, size = decoder.theta.shape
        matrix = torch.zeros(clusters, size, size, dtype=torch.float64, device=gamma.device)
        vector = torch.zeros(clusters, size, dtype=torch.float64, device=gamma.device)
        for index, piece in curves.chunks():
            information, score = scores(decoder, decoder.condition(piece), decoder.scatter[:, None])
            matrix += torch.einsum("nc,cnpq->cpq", gamma[index], information.expand(-1, len(piece), -1, -1))
            vector += torch.einsum("nc,cnp->cp", gamma[index], score)
        matrix, vector = processes.total(matrix, vector)
        rows, off = prior_rows(decoder)
        matrix, vector = matrix + rows.mT @ rows, vector + (rows.mT @ off[..., None]).squeeze(-1)
        return stepped(decoder, solved(matrix, vector))


def update_physics(
    decoder: PhysicsDecoder,
    curves: Curves,
    responsibilities: Tensor,
    *,
    scattered: bool,
    update: Update = UPDATES["wls"],
    slope: bool = True,
    posterior: DiagonalGaussian | None = None,
    components: DiagonalGaussian | None = None,
    processes: Processes = ALONE,
    evidence: Evidence | None = None,
) -> tuple[PhysicsDecoder, Evidence]:
    """M-step of one physics modality: theta_c and A_c, then S_c and the noise variance.

    Args:
        decoder: The old parameters.
        curves: Curves of all specimens, or of this process's.
        responsibilities: Shape (specimen, cluster).
        scattered: Whether specimens of one cluster differ in their parameters: S_c stays as it is otherwise.
        update: Rule that moves theta_c where it does not follow the latent.
        slope: Whether A_c is solved for; it stays otherwise.
        posterior: q(Z given X) of all specimens, (specimen, latent); used where the decoder has a trend.
        components: p(Z given c), likewise.
        processes: The processes that have the other specimens; one all-reduce joins their statistics.
        evidence: Evidence of the curves under the old parameters, where it is known.

    Returns:
        The decoder, and the evidence of the curves under it.

    Source: Trask et al. 2022, eq. (17), with specimens that differ.
    """
    gamma = responsibilities.double() * curves.present[:, None]
    if decoder.trend is None:
        posterior = None
        decoder, evidence = update.move(decoder, curves, gamma, processes, evidence)
    else:
        if posterior is None or components is None:
            raise ValueError("parameters that follow the latent need q(Z given X) and p(Z given c): give both")
        decoder, evidence = update_trend(
            decoder, curves, gamma, posterior, components, slope=slope, processes=processes, evidence=evidence
        )
    outer = torch.zeros_like(decoder.scatter)
    squared = torch.zeros_like(decoder.variance)
    points = torch.zeros_like(decoder.variance)
    for index, piece in curves.chunks():
        conditioned, beyond, covariance, spread = own_deviations(
            decoder, piece, None if posterior is None else posterior[index]
        )
        part = gamma[index].T
        outer += torch.einsum("cn,cnp,cnq->cpq", part, beyond, beyond)
        outer += torch.einsum("cn,cnpq->cpq", part, covariance.expand(-1, len(piece), -1, -1))
        second = torch.einsum("cnp,cnq->cnpq", conditioned.deviation, conditioned.deviation) + spread
        misfit = (
            conditioned.squared
            - 2.0 * (conditioned.projected * conditioned.deviation).sum(-1)
            + (conditioned.normal * second).sum((-1, -2))
        )
        squared += (part * misfit).sum(1)
        points += (part * piece.seen.double().sum(1)).sum(1)
    outer, squared, points, weight = processes.total(outer, squared, points, gamma.sum(0))
    alive = weight >= MINIMUM_WEIGHT
    fresh = replace(decoder, variance=decoder.noise.update(decoder.variance, squared, points, alive))
    if scattered:
        spread = outer / weight.clamp_min(MINIMUM_WEIGHT)[:, None, None]
        fresh = replace(fresh, scatter=torch.where(alive[:, None, None], spread, decoder.scatter))
    if decoder.one_line:
        return fresh, fresh.evidence(curves)
    return _no_worse(decoder, fresh, curves, gamma, posterior, processes, evidence or decoder.evidence(curves))


def _no_worse(
    old: PhysicsDecoder,
    new: PhysicsDecoder,
    curves: Curves,
    gamma: Tensor,
    posterior: DiagonalGaussian | None,
    processes: Processes,
    evidence: Evidence,
) -> tuple[PhysicsDecoder, Evidence]:
    """Move scatter and noise from old to new, as far as the likelihood does not fall.

    Specimens with lines of their own are linearised elsewhere once scatter and noise change, so the closed forms alone
    promise nothing.

    Args:
        old: Before the update.
        new: Proposal of the closed forms.
        curves: Curves of all specimens, or of this process's.
        gamma: Shape (specimen, cluster).
        posterior: q(Z given X), where the parameters follow it.
        processes: The processes that have the other specimens.
        evidence: Evidence of the curves under ``old``.

    Returns:
        The decoder, and the evidence of the curves under it.
    """
    before = expected_log_prob(evidence, gamma, posterior, processes).sum()
    for halving in range(HALVINGS):
        share = 0.5**halving
        trial = replace(
            old, scatter=old.scatter.lerp(new.scatter, share), variance=old.variance.lerp(new.variance, share)
        )
        after = trial.evidence(curves)
        if expected_log_prob(after, gamma, posterior, processes).sum() >= before - ROUNDING * before.abs():
            return trial, after
    return old, evidence
