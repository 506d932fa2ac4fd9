r"""Curves and physical parameters of specimens whose curve was measured, or is predicted from their other modalities.

The other modalities set what a specimen's unbounded parameters are expected to be: the cluster's population, or, with
``vary="latent"``, :math:`\phi_c + A_c (Z - \mathrm{origin}_c)` with Z from their own encoders. A measured curve then
conditions them exactly, so that it is counted once; one that was not measured is predicted from them.

An answer is a mixture over clusters, see :mod:`pima_toolkit.model.predictive`: the mean of the clusters' median curves,
and quantiles of all that may be measured. Where two populations are likely and their curves differ, the mean of both is
the curve of neither: the second one's is told beside.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..fitting.inputs.tensors import Tensors
from ..model.curves import Curves
from ..model.gaussian import DiagonalGaussian
from ..model.physics import OWN_DRAWS, POPULATION_DRAWS, Deviations, PhysicsDecoder
from ..model.predictive import Predictive, mixture_moments, needed
from .predictor import Predictor
from .tables import parameter_coords, shown_std

#: Specimens at a time, and numbers in the curves that are drawn for them.
_CHUNK, _NUMBERS = 1024, 2**24
#: Probability from which the second population's curve is told beside.
SECOND = 0.2


def predictions(
    decoder: PhysicsDecoder,
    t: np.ndarray,
    others: DiagonalGaussian | Deviations | None,
    gamma: Tensor,
    curves: Curves | None = None,
    offset: Tensor | None = None,
) -> Iterator[tuple[slice, Predictive]]:
    """Yield what every specimen's other modalities alone say of its curve, some specimens at a time.

    Args:
        decoder: The physics.
        t: The grid of the answer (point,), or one per specimen where there are covariates.
        others: q(Z given c and the other modalities), (specimen, cluster or none, latent); None: p(Z given c).
        gamma: Responsibilities, (specimen, cluster): where they are nothing, nothing is drawn.
        curves: Theirs, with what is known of each specimen beforehand; None: of populations, at the reference, or
        offset: How far from there, (1, P).
    """
    latent = others if decoder.own_prior(others) else None
    known = None if curves is None or decoder.known is None else curves
    if latent is None and t.ndim == 1 and known is None and offset is None:
        population = decoder.marginal(t)
        yield from ((rows, population) for rows in _pieces(len(gamma), _CHUNK))
        return
    for rows in _pieces(len(gamma), at_once(decoder, t, POPULATION_DRAWS)):
        prior = None if latent is None else decoder.prior(latent[rows])
        away = None if offset is None else offset.expand(len(gamma[rows]), -1)
        if known is not None:
            away = decoder.offset(known[rows])
            if prior is not None or known.batch is not None:
                prior = decoder.prior(None if latent is None else latent[rows], known[rows])
        yield rows, decoder.marginal(t if t.ndim == 1 else t[rows], prior, needed(gamma[rows]), away)


def measured(
    decoder: PhysicsDecoder, t: np.ndarray, curves: Curves, others: DiagonalGaussian | Deviations | None, gamma: Tensor
) -> Iterator[tuple[slice, Predictive]]:
    """Yield what every specimen's own curve says of the curve without noise, some specimens at a time.

    Args:
        decoder: The physics.
        t: The grid of the answer (point,), or one per specimen where there are covariates.
        curves: As they were measured, at the points where they were.
        others: As in :func:`predictions`.
        gamma: Responsibilities, (specimen, cluster).
    """
    few = at_once(decoder, t, OWN_DRAWS)
    for block in _pieces(len(gamma), _CHUNK):
        here = curves[block]
        own = decoder.condition(here, decoder.prior(None if others is None else others[block], here))
        offset = decoder.offset(here)
        each = gamma[block]
        covariance = own.covariance.expand(-1, len(each), -1, -1)
        for rows in _pieces(len(each), few):
            grid = t if t.ndim == 1 else t[block][rows]
            prior = own.deviation[:, rows], covariance[:, rows]
            yield (
                slice(block.start + rows.start, block.start + rows.stop),
                decoder.marginal(grid, prior, needed(each[rows]), None if offset is None else offset[rows]),
            )


def _pieces(count: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, count)) for i in range(0, count, size)]


def at_once(decoder: PhysicsDecoder, t: np.ndarray, draws: int) -> int:
    """Number of specimens whose curves are held in memory at once.

    Args:
        decoder: The physics.
        t: The grid, its last axis of the points.
        draws: Curves of each specimen in each cluster.
    """
    each = decoder.theta.shape[0] * t.shape[-1] * (1 if decoder.one_line else draws)
    return min(_CHUNK, max(1, _NUMBERS // each))


@torch.no_grad()
def curve_answers(
    predictor: Predictor,
    name: str,
    tensors: Tensors,
    gamma: Tensor,
    others: DiagonalGaussian | Deviations | None,
    coverage: float,
) -> dict[str, np.ndarray]:
    """Curves of a physics modality: denoised where the curve was measured, else predicted.

    Args:
        predictor: The fit.
        name: The modality.
        tensors: The specimens.
        gamma: Responsibilities, (specimen, cluster).
        others: What their other modalities say, q(Z given c, the others), (specimen, cluster, latent).
        coverage: Share of new measurements between low and high.

    Returns:
        By what follows the modality's name: ``""``, ``"_low"``, ``"_high"`` and ``"_second"``, (specimen, point) in the
        modality's unit, and ``"_second_probability"`` (specimen,).
    """
    decoder, curves = predictor.state.decoders[name], tensors.curves[name]
    grid = predictor.specs[name].grid(curves.covariates)
    points = len(predictor.specs[name].t)
    shape = {"": points, "_low": points, "_high": points, "_second": points, "_second_probability": 1}
    out = {key: gamma.new_empty(len(gamma), width) for key, width in shape.items()}
    # A curve that was measured has its own posterior; the calibration is of curves that were not.
    unmeasured = {part: rows[~curves.present[rows]] for part, rows in predictor.parts(tensors.present).items()}
    measured_too = [(True, coverage, torch.nonzero(curves.present).flatten())]
    predicted = [(False, predictor.nominal(name, coverage, part), rows) for part, rows in unmeasured.items()]
    for present, share, index in measured_too + predicted:
        if not len(index):
            continue
        t = grid if grid.ndim == 1 else grid[index.cpu().numpy()]
        known, each = None if others is None else others[index], gamma[index]
        some = curves.at(index)
        said = measured(decoder, t, some, known, each) if present else predictions(decoder, t, known, each, some)
        offset = decoder.offset(some)
        for rows, predictive in said:
            away = None if offset is None else offset[rows]
            weights, noise = each[rows], decoder.noise_variance(t if t.ndim == 1 else t[rows], away)
            second, probability = second_population(predictive.median, noise, weights)
            values = {
                "": predictive.centre(weights),
                "_low": predictive.quantile(weights, 0.5 * (1.0 - share)),
                "_high": predictive.quantile(weights, 0.5 * (1.0 + share)),
                "_second": second,
                "_second_probability": probability[:, None],
            }
            for key, value in values.items():
                out[key][index[rows]] = value
    scaled = {key: value.cpu().numpy() * decoder.scale for key, value in out.items() if key != "_second_probability"}
    return scaled | {"_second_probability": out["_second_probability"][:, 0].cpu().numpy()}


def second_population(median: Tensor, noise: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Curve of the second population and its probability, where a prediction has two humps; NaN where it has one.

    Two humps: the second most probable population has more than :data:`SECOND`, and its median is somewhere more than
    two standard deviations of the noise from the first one's, which is where two equal Gaussians part.

    Args:
        median: Each cluster's median curve, (cluster, specimen or 1, point).
        noise: Variance of the noise, (cluster, specimen or 1, point).
        weights: Responsibilities, (specimen, cluster).

    Returns:
        Shapes (specimen, point) and (specimen,).
    """
    if weights.shape[1] == 1:
        nothing = weights.new_full((len(weights),), torch.nan)
        return nothing[:, None].expand(-1, median.shape[-1]), nothing
    probability, cluster = weights.topk(2, 1)
    each = torch.arange(len(weights), device=weights.device)
    first, second = (median.expand(-1, len(weights), -1)[cluster[:, k], each] for k in (0, 1))
    wide = noise.expand(-1, len(weights), -1)
    width = torch.maximum(wide[cluster[:, 0], each], wide[cluster[:, 1], each]).sqrt()
    apart = ((first - second).abs() > 2.0 * width).any(1) & (probability[:, 1] > SECOND)
    return torch.where(apart[:, None], second, torch.nan), torch.where(apart, probability[:, 1], torch.nan)


@torch.no_grad()
def parameter_answers(
    predictor: Predictor, tensors: Tensors, gamma: Tensor, others: dict[str, DiagonalGaussian | Deviations]
) -> dict[str, xr.DataArray]:
    """Own parameters of each specimen: ``parameters`` and ``parameters_std`` (specimen, parameter), with units.

    From its curve where that was measured, else from its other modalities. The standard deviation is the specimen's:
    clusters that it may belong to, and how specimens of one cluster differ, are counted; the latter as wide as
    specimens not trained on have shown (:meth:`Predictor.nominal`).
    """
    values, stds = [], []
    for name in predictor.options.physics:
        pieces = []
        decoder = predictor.state.decoders[name]
        fixed = decoder.bounds.at_bound(decoder.theta)[:, None]
        centre = decoder.bounds.to_unbounded(decoder.theta)[:, None]
        widened = gamma.new_ones(len(gamma))
        for part, rows in predictor.parts(tensors.present).items():
            widened[rows] = _widened(predictor, name, part)
        for index, piece in tensors.curves[name].chunks(_CHUNK):
            prior = decoder.prior(others[name][index] if name in others else None, piece)
            own = decoder.condition(piece, prior)
            offset = decoder.offset(piece)
            away = 0.0 if offset is None else offset.cpu().numpy()
            here = piece.present[None, :, None]
            deviation = torch.where(here, own.deviation, prior[0]).cpu().numpy()
            wide = widened[index].square()[None, :, None, None] * prior[1]
            covariance = torch.where(here[..., None], own.covariance, wide).cpu().numpy()
            if not bool(decoder.total.any()):
                # Without scatter a specimen's parameters are its cluster's, and as sure.
                covariance = np.broadcast_to(predictor.covariance[name][:, None], covariance.shape)
            theta = np.where(fixed, decoder.theta[:, None], decoder.bounds.from_unbounded(centre + away + deviation))
            shown = torch.as_tensor(decoder.expert.to_reported(theta))
            std = torch.as_tensor(shown_std(decoder, theta, covariance))
            weights = gamma[index].cpu()
            known = std.isfinite().any(0)
            mean, variance = mixture_moments(weights, shown, std.nan_to_num().square())
            # Where a covariate is not known, neither is what depends on it.
            lost = torch.zeros(len(piece), dtype=torch.bool)
            if piece.terms is not None:
                lost = torch.as_tensor(~np.isfinite(piece.terms).all(1)) & ~piece.present.cpu()
            known = known & ~lost[:, None]
            mean = torch.where(lost[:, None], torch.nan, mean)
            pieces.append((mean, torch.where(known, variance.clamp_min(0.0).sqrt(), torch.nan)))
        values.append(torch.cat([p[0] for p in pieces]).numpy())
        stds.append(torch.cat([p[1] for p in pieces]).numpy())
    dims, coords = ("specimen", "parameter"), parameter_coords(predictor.options, predictor.specs)
    names = {"parameters": "the specimen's own", "parameters_std": "standard deviation of the specimen's own"}
    return {
        name: xr.DataArray(np.concatenate(part, 1), dims=dims, coords=coords, attrs={"long_name": label})
        for (name, label), part in zip(names.items(), (values, stds), strict=True)
    }


def _widened(predictor: Predictor, name: str, part: tuple[str, ...]) -> float:
    """Factor by which a prediction's standard deviation grows, so that it holds the share that one should hold."""
    one = torch.tensor(predictor.nominal(name, 0.6826894921370859, part), dtype=torch.float64)
    return float(torch.special.ndtri(0.5 * (1.0 + one)))
