r"""The M-step of parameters that follow the latent position: ``vary="latent"`` (model/effects/latent.py)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...model.curves import Curves
from ...model.effects.latent import Trend, by_cluster
from ...model.evidence import Evidence
from ...model.gaussian import DiagonalGaussian
from ...model.physics import CurvePosterior, PhysicsDecoder, scores
from ..parallel.distributed import ALONE, Processes
from .steps import MINIMUM_WEIGHT, accepted, prior_rows, solved, stepped


def update_trend(
    decoder: PhysicsDecoder,
    curves: Curves,
    gamma: Tensor,
    posterior: DiagonalGaussian,
    components: DiagonalGaussian,
    *,
    slope: bool = True,
    processes: Processes = ALONE,
    evidence: Evidence | None = None,
) -> tuple[PhysicsDecoder, Evidence]:
    r"""One Gauss-Newton step of phi_c and A_c together, exact for experts linear in phi; never lowers the bound.

    With :math:`u = (1, Z - \mathrm{origin}_c)`, the new origin the cluster's mean, and
    :math:`B_c = (\Delta\phi_c, A_c)` the normal equations are

    .. math:: \sum_d\gamma_{cd}\,K_d\,B_c\,\mathbb E_q[u u^\top] = \sum_d\gamma_{cd}\,s_d\,\mathbb E_q[u]^\top,
              \qquad K = J^\top\Sigma^{-1}J,\quad s = J^\top\Sigma^{-1}r;

    where K is the same for all specimens, :math:`A_c =
    \sum\gamma\hat\phi w^\top[\sum\gamma(w w^\top + D)]^{-1}` with :math:`\hat\phi = K^{-1} s`.

    Args:
        decoder: The old parameters.
        curves: Curves of all specimens, or of this process's.
        gamma: Shape (specimen, cluster).
        posterior: q(Z given X), shape (specimen, latent).
        components: p(Z given c) of the mixture's own M-step.
        slope: Whether A_c moves; phi_c alone otherwise.
        processes: The processes that have the other specimens.
        evidence: Evidence of the curves under the old parameters, where it is known.

    Returns:
        The decoder, and the evidence of the curves under it.
    """
    old = decoder.trend
    if old is None:
        raise ValueError("parameters of this decoder do not follow the latent: move them by an Update of em/physics.py")
    fixed = torch.as_tensor(decoder.bounds.at_bound(decoder.theta), device=gamma.device)
    # The same parameters at every Z, counted from another origin.
    moved = torch.einsum("cpl,cl->cp", old.slope, components.mean - old.origin)
    theta = stepped(decoder, torch.where(fixed, 0.0, moved))
    trend = Trend(old.slope, components.mean, components.variance)
    start = replace(decoder, theta=theta, trend=trend)
    own = start.scatter[:, None]
    clusters, size, latent = old.slope.shape
    width = 1 + latent if slope else 1
    matrix = torch.zeros(clusters, size, width, size, width, dtype=torch.float64, device=gamma.device)
    vector = torch.zeros(clusters, size, width, dtype=torch.float64, device=gamma.device)
    for index, piece in curves.chunks():
        conditioned = start.condition(piece, (torch.zeros_like(own[..., 0]), own))
        information, score = scores(start, conditioned, own)
        information = information.expand(-1, len(piece), -1, -1)
        mean, variance = by_cluster(posterior[index])
        away = (mean - trend.origin).transpose(0, 1)
        if slope:
            first = torch.cat([torch.ones_like(away[..., :1]), away], -1)
            second = first[..., :, None] * first[..., None, :]
            second = second + torch.diag_embed(torch.nn.functional.pad(variance.transpose(0, 1), (1, 0)))
        else:
            first = torch.ones_like(away[..., :1])
            second = first[..., None]
            score = score - (information @ torch.einsum("cpl,cnl->cnp", old.slope, away)[..., None]).squeeze(-1)
        matrix += torch.einsum("nc,cnpq,cnkl->cpkql", gamma[index], information, second)
        vector += torch.einsum("nc,cnp,cnk->cpk", gamma[index], score, first)
    matrix, vector, weight = processes.total(matrix, vector, gamma.sum(0))
    rows, off = prior_rows(start)
    matrix[:, :, 0, :, 0] += rows.mT @ rows
    vector[:, :, 0] += (rows.mT @ off[..., None]).squeeze(-1)
    step = solved(matrix.flatten(3).flatten(1, 2), vector.flatten(1)).unflatten(1, (size, width))
    alive = (weight >= MINIMUM_WEIGHT)[:, None, None]
    target = torch.where(alive, step[..., 1:], old.slope) if slope else old.slope

    def trial(share: float) -> PhysicsDecoder:
        return replace(
            start,
            theta=stepped(start, share * step[..., 0]),
            trend=replace(trend, slope=old.slope.lerp(target, share)),
        )

    return accepted(decoder, trial, curves, gamma, posterior, processes, evidence)


def own_deviations(
    decoder: PhysicsDecoder, curves: Curves, posterior: DiagonalGaussian | None
) -> tuple[CurvePosterior, Tensor, Tensor, Tensor]:
    """Condition deviations on curves and q(Z), and give second moments of what Z does not explain.

    Returns:
        The deviations given the curves at the mean of Z; b, the deviation that Z does not explain, (cluster, specimen,
        P); its covariance and that of the whole deviation A w + b, both (cluster, specimen or 1, P, P), Z's uncertainty
        included.
    """
    if posterior is None or decoder.trend is None:
        conditioned = decoder.condition(curves)
        return conditioned, conditioned.deviation, conditioned.covariance, conditioned.covariance
    slope = decoder.trend.slope[:, None]
    away, _ = decoder.trend.deviation(posterior)
    conditioned = decoder.condition(curves, (away, decoder.scatter[:, None]))
    # b at another Z: it gives back what Z takes, as far as the curve sees it.
    back = conditioned.covariance @ conditioned.normal @ slope / decoder.variance[:, None, None, None]
    variance = posterior.variance.double()[None, :, None]
    own = conditioned.covariance + (back * variance) @ back.mT
    whole = conditioned.covariance + ((slope - back) * variance) @ (slope - back).mT
    return conditioned, conditioned.deviation - away, own, whole
