r"""Goodness of fit of a law: whether it misses its clusters by more than chance, and whether its parameters are found.

Each specimen's residual from its own line (from the cluster's, where specimens do not scatter) is averaged over
stretches k of the independent variable, then over the specimens of a cluster:

.. math:: m_{ck} = \frac{\sum_d \gamma_{cd}\, \bar r_{dk}}{\sum_d \gamma_{cd}}, \qquad
          s_{ck}^2 = \frac{n}{n-1}\,\frac{\sum_d \gamma_{cd}^2\, (\bar r_{dk} - m_{ck})^2}{(\sum_d \gamma_{cd})^2},
          \qquad n = \frac{(\sum\gamma)^2}{\sum\gamma^2}

The misfit is the root mean square of m over the stretches, its ratio that to the root mean square of s. Where the law
holds, m is what chance leaves, and the ratio about 1 or less, since parameters follow part of it. Standard errors know
nothing of a misfit: they say how well the best curve of this law is found, not how near the truth it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ...experts import NOISES, Expert, PopulationCurves, inverse_information, residuals_of, solve
from ...model.curves import Curves
from ...model.physics import PhysicsDecoder
from ..laws.cluster_curves import reduced

#: Stretches of the independent variable, of as many points each.
_STRETCHES = 20
#: A specimen of less responsibility is left out: it has next to no weight, and costs as much as any.
_LEAST = 1e-3
#: Starts of which the share that agrees is told.
_STARTS = 8
#: Points that the starts are tried on where specimens have grids of their own.
_POINTS = 20_000
#: A misfit of this many standard errors is told; with fewer effective specimens the standard error itself is a guess.
MISFIT_RATIO, FEWEST = 3.0, 5.0

#: Responsibility from which a specimen's residuals are looked at, and at most about so many specimens.
_MEMBER, _JUDGED = 0.5, 400

Quality = dict[str, list]


@torch.no_grad()
def quality(decoder: PhysicsDecoder, curves: Curves, gamma: torch.Tensor) -> Quality:
    """Judge the fit of one physics modality by plain numbers, a row for each cluster.

    Args:
        decoder: The fitted law.
        curves: All training specimens' curves.
        gamma: Responsibilities (specimen, cluster), 0 for specimens without the curve.

    Returns:
        ``misfit`` in the unit of the curves, ``misfit_ratio``, ``agreement`` (share of starts that end at the best
        optimum), ``unidentified`` (a flag for each fitted parameter that the curves say nothing about) and ``noise``
        (what speaks against the noise model, in sentences); NaN and False for an empty cluster.
    """
    out: Quality = {"misfit": [], "misfit_ratio": [], "agreement": [], "unidentified": [], "noise": []}
    for c in range(gamma.shape[1]):
        weight = gamma[:, c]
        use = torch.nonzero(weight > _LEAST).flatten()
        size = decoder.theta.shape[1]
        if len(use) == 0:
            row = (np.nan, np.nan, np.nan, [False] * size, [])
        else:
            member = curves.at(use)
            row = (
                *_misfit(decoder, member, weight[use], c),
                *_starts(decoder, member, weight[use], c),
                _noise(decoder, member, weight[use], c),
            )
        for values, value in zip(out.values(), row, strict=True):
            values.append(value)
    return out


def _misfit(decoder: PhysicsDecoder, curves: Curves, weight: torch.Tensor, c: int) -> tuple[float, float]:
    """Misfit and ratio of one cluster; NaN where fewer than two specimens cover any stretch."""
    own = _own_parameters(decoder, curves, c)
    x = curves.x.cpu().numpy() * decoder.scale
    seen = curves.seen.cpu().numpy()
    residual = np.where(seen, x - _values(decoder.expert, curves, own), 0.0)
    count = len(decoder.expert.inputs)
    t = np.broadcast_to(curves.t[..., : curves.t.shape[-1] // count], x.shape)
    edges = np.unique(np.quantile(t[seen], np.linspace(0, 1, _STRETCHES + 1)[1:-1]))
    stretch = np.searchsorted(edges, t, side="right")
    rows, stretches = len(x), len(edges) + 1
    place = (np.arange(rows)[:, None] * stretches + stretch)[seen]
    counted = curves.counted.cpu().numpy()[seen]
    points = np.bincount(place, counted, rows * stretches).reshape(rows, stretches)
    sums = np.bincount(place, counted * residual[seen], rows * stretches).reshape(rows, stretches)
    each = sums / np.where(points > 0.0, points, 1.0)
    g = weight.cpu().numpy()[:, None] * (points > 0)
    total, squares = g.sum(0), np.square(g).sum(0)
    effective = total**2 / np.maximum(squares, 1e-300)
    use = effective > 2.0 - 1e-9
    if not use.any():
        return np.nan, np.nan
    total, effective = total[use], effective[use]
    mean = (g * each).sum(0)[use] / total
    spread = (np.square(g[:, use]) * np.square(each[:, use] - mean)).sum(0) / total**2
    chance = np.mean(spread * effective / (effective - 1))
    misfit = float(np.sqrt(np.mean(mean**2)))
    return misfit, float(misfit / np.sqrt(chance)) if chance > 0 else np.nan


def _noise(decoder: PhysicsDecoder, curves: Curves, weight: torch.Tensor, c: int) -> list[str]:
    """What the residuals of one cluster's specimens say against the noise model; nothing of one that a plugin brings.

    Where specimens of a population do not differ, their residuals hold what they differ by, and nothing is said; nor
    where no curve has more points than there are parameters, which leaves no residuals.
    """
    if not (decoder.noise.white or decoder.noise.curve_noise) or not bool(decoder.total[c].any()):
        return []
    member = some_members(weight)
    if len(member) == 0:
        return []
    curves = curves.at(member)
    if int(curves.counted.sum(1).max()) <= decoder.theta.shape[1]:
        return []
    return population_curves(decoder, curves, c).noise_evidence.sentences()


def some_members(weight: torch.Tensor) -> torch.Tensor:
    """Numbers of specimens that belong to a population, by their responsibilities (specimen,): evenly some of many."""
    member = torch.nonzero(weight > _MEMBER).flatten()
    return member[:: max(1, -(-len(member) // _JUDGED))]


def population_curves(decoder: PhysicsDecoder, curves: Curves, c: int, **described: Any) -> PopulationCurves:
    """Specimens of one population as a diagnosis looks at them.

    Args:
        decoder: The fitted law.
        curves: Their curves.
        c: The population.
        **described: ``names`` of the specimens, ``label`` of the population, ``y_unit`` and ``t_unit``.
    """
    theta, bounds, noise = decoder.theta[c], decoder.bounds, decoder.noise
    bound = bounds.at_bound(theta)
    own = bounds.to_unbounded(_own_parameters(decoder, curves, c))
    offset = decoder.offset(curves)
    centre = np.repeat(bounds.to_unbounded(theta)[None], len(curves), axis=0)
    centre = centre if offset is None else centre + offset.cpu().numpy()
    held = np.where(bound, theta, np.nan)[None].repeat(len(curves), 0)
    y, t = curves.x.cpu().numpy() * decoder.scale, np.atleast_2d(curves.t)
    root = noise.whiten(torch.ones_like(curves.x), curves.along).cpu().numpy()
    weights = curves.counted.cpu().numpy() * np.square(root)
    share = np.ones(len(curves))
    free = ~bound
    return PopulationCurves(
        law=decoder.expert,
        bounds=bounds,
        packed=t,
        y=y,
        weights=weights,
        variance=float(decoder.variance[c]) * decoder.scale**2,
        left=residuals_of(decoder.expert, bounds, t, y, weights, own, share, held=held, free=free),
        phi=own,
        held=held,
        free=free,
        noise=noise.curve_noise or NOISES["constant"],
        centre=centre,
        scatter=decoder.total[c].cpu().numpy(),
        **{"names": [str(n) for n in range(len(curves))], **described},
    )


def _own_parameters(decoder: PhysicsDecoder, curves: Curves, c: int) -> np.ndarray:
    """Parameters of every specimen if it belongs to this cluster, (specimen, P)."""
    theta = decoder.theta[c]
    if not bool(decoder.total[c].any()):
        return np.tile(theta, (len(curves), 1))
    deviation = torch.cat([decoder.condition(piece).deviation[c] for _, piece in curves.chunks()]).cpu().numpy()
    offset = decoder.offset(curves)
    deviation = deviation if offset is None else deviation + offset.cpu().numpy()
    own = decoder.bounds.from_unbounded(decoder.bounds.to_unbounded(theta) + deviation)
    return np.where(decoder.bounds.at_bound(theta), theta, own)


def _values(expert: Expert, curves: Curves, own: np.ndarray) -> np.ndarray:
    """Each specimen's curve at its own parameters, (specimen, point)."""
    if curves.own_grids:
        return np.stack([expert.value_and_jacobian(t, theta)[0] for t, theta in zip(curves.t, own, strict=True)])
    pieces = np.array_split(own, max(1, len(own) // 4096))
    return np.concatenate([expert.value_and_jacobian(curves.t, piece)[0] for piece in pieces])


def _starts(decoder: PhysicsDecoder, curves: Curves, weight: torch.Tensor, c: int) -> tuple[float, list[bool]]:
    """Share of starts that find the best optimum of the cluster's curves, and the parameters these leave open."""
    every = 1
    if curves.own_grids:
        every = -(-curves.x.numel() // _POINTS)
    inputs, mean, w, constant = reduced(curves.at(torch.arange(0, len(curves), every)), weight[::every], decoder)
    t = np.concatenate(list(inputs.values()))
    expert, size = decoder.expert, decoder.theta.shape[1]
    if len(mean) < size:
        return np.nan, [True] * size
    starts = expert.starts(t, mean[None], w[None], _STARTS)
    solution = solve(expert, t, mean[None], w[None], starts, decoder.bounds, constant=[constant])
    _, jacobian = expert.value_and_jacobian(t, decoder.theta[c])
    free = ~decoder.bounds.at_bound(decoder.theta[c])
    _, lost = inverse_information(np.sqrt(w)[:, None] * jacobian, free)
    return float(solution.agreement[0]), [bool(flag) for flag in lost]
