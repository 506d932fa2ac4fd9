r"""Curves and physical parameters of specimens whose curve was measured, or is predicted from their other modalities.

The other modalities set what a specimen's unbounded parameters are expected to be: the cluster's population, or, with
``vary="latent"``, :math:`\phi_c + A_c (Z - \mathrm{origin}_c)` with Z from their own encoders. A measured curve then
conditions them exactly, so that it is counted once; one that was not measured is predicted from them.

An answer is a mixture over clusters, whose distribution function is, point by point along a curve,

.. math:: F(x) = \sum_c \gamma_c\, \Phi\!\left(\frac{x - \mathrm{mean}_c}{\mathrm{std}_c}\right)

and whose moments are eqs. (13) and (14) of Trask et al. 2022, arXiv:2202.03242. Erratum: eq. (14) prints variance - E^2
for variance + E^2.
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..experts import with_covariates
from ..fitting.inputs.tensors import Tensors
from ..model.gaussian import DiagonalGaussian
from ..model.physics import PhysicsDecoder
from .predictor import Predictor
from .tables import parameter_coords, shown_std

#: Specimens at a time: many where each has a closed form, few where each is averaged over a population of its own.
_CHUNK, _FEW = 1024, 64


def mixture_moments(weights: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a mixture.

    Args:
        weights: Shape (specimen, cluster), rows sum to one.
        mean: Shape (cluster, specimen or 1, point).
        variance: The same shape.

    Returns:
        Both of shape (specimen, point).
    """
    w = weights.T[..., None]
    centre = (w * mean).sum(0)
    return centre, (w * (variance + mean.square())).sum(0) - centre.square()


def mixture_quantile(weights: Tensor, mean: Tensor, variance: Tensor, probability: Tensor | float) -> Tensor:
    """Quantile of a mixture of Gaussians, shape (specimen, point), by bisection to float64's last digits.

    Args:
        weights: Shape (specimen, cluster).
        mean: Shape (cluster, specimen or 1, point).
        variance: The same shape.
        probability: Between 0 and 1; one number, or one for each specimen, shape (specimen,).
    """
    probability = torch.as_tensor(probability, dtype=mean.dtype, device=mean.device).expand(len(weights))[:, None]
    std = variance.sqrt()
    w = weights.T[..., None]
    # Every component's own quantile brackets the mixture's; components without weight do not count.
    reach = torch.special.ndtri(probability)
    own = (mean + reach * std).expand(-1, weights.shape[0], -1)
    used = (w > 1e-12).expand_as(own)
    low = own.where(used, torch.inf).amin(0)
    high = own.where(used, -torch.inf).amax(0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = (w * torch.special.ndtr((middle - mean) / std)).sum(0) < probability
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


def mixture_probability(weights: Tensor, mean: Tensor, variance: Tensor, x: Tensor) -> Tensor:
    """Distribution function of a mixture of Gaussians at x, shape (specimen, point); see :func:`mixture_quantile`."""
    return (weights.T[..., None] * torch.special.ndtr((x - mean) / variance.sqrt())).sum(0)


def predicted(decoder: PhysicsDecoder, t: np.ndarray, others: DiagonalGaussian | None) -> tuple[Tensor, Tensor]:
    """Mean and variance of every specimen's curve in each cluster from its other modalities alone.

    Args:
        decoder: The physics.
        t: The grid of the answer (point,), or one per specimen where there are covariates.
        others: q(Z given c and the other modalities), (specimen, cluster, latent); None: p(Z given c).

    Returns:
        Both (cluster, specimen or 1, point), in units of ``decoder.scale``; the variance counts the noise.
    """
    if not decoder.own_prior(others):
        return decoder.marginal(t)
    size = _CHUNK if decoder.one_line else _FEW
    pieces = []
    for i in range(0, others.mean.shape[0 if isinstance(others, DiagonalGaussian) else 1], size):
        part = slice(i, i + size)
        pieces.append(decoder.marginal(t if t.ndim == 1 else t[part], decoder.prior(others[part])))
    return torch.cat([p[0] for p in pieces], 1), torch.cat([p[1] for p in pieces], 1)


@torch.no_grad()
def curve_answers(
    predictor: Predictor, name: str, tensors: Tensors, gamma: Tensor, others: DiagonalGaussian | None, coverage: float
) -> list[np.ndarray]:
    """Mean, low and high of a physics modality: denoised where the curve was measured, else predicted.

    Args:
        predictor: The fit.
        name: The modality.
        tensors: The specimens.
        gamma: Responsibilities, (specimen, cluster).
        others: What their other modalities say, q(Z given c, the others), (specimen, cluster, latent).
        coverage: Share of new measurements between low and high.

    Returns:
        Three arrays (specimen, point) in the modality's unit, of the mixture over clusters.
    """
    decoder, spec = predictor.state.decoders[name], predictor.specs[name]
    nominal = predictor.nominal(name, coverage)
    pieces: list[list[Tensor]] = []
    for index, piece in tensors.curves[name].chunks(_CHUNK):
        known = None if others is None else others[index]
        own = decoder.condition(piece, decoder.prior(known))
        grid = with_covariates(spec.t, piece.covariates)
        own_mean, jacobian = decoder.own_curves(grid, own.deviation)
        covariance = own.covariance.expand(-1, len(piece), -1, -1)
        spread = torch.einsum("cntp,cnpq,cntq->cnt", jacobian, covariance, jacobian)
        own_variance = spread + decoder.noise_variance(grid)
        value, wide = own_mean, own_variance
        if not bool(piece.present.all()):
            value, wide = predicted(decoder, grid, known)
        here = piece.present[None, :, None]
        mean, variance = torch.where(here, own_mean, value), torch.where(here, own_variance, wide)
        weights = gamma[index]
        centre, _ = mixture_moments(weights, mean, variance)
        # A curve that was measured has its own posterior; the calibration is of curves that were not.
        share = torch.where(piece.present, coverage, nominal).to(centre.dtype)
        bounds = (mixture_quantile(weights, mean, variance, 0.5 * (1.0 + side * share)) for side in (-1, 1))
        pieces.append([centre, *bounds])
    return [torch.cat([p[k] for p in pieces]).cpu().numpy() * decoder.scale for k in range(3)]


@torch.no_grad()
def parameter_answers(
    predictor: Predictor, tensors: Tensors, gamma: Tensor, others: dict[str, DiagonalGaussian]
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
        widened = _widened(predictor, name)
        for index, piece in tensors.curves[name].chunks(_CHUNK):
            prior = decoder.prior(others[name][index] if name in others else None)
            own = decoder.condition(piece, prior)
            here = piece.present[None, :, None]
            deviation = torch.where(here, own.deviation, prior[0]).cpu().numpy()
            covariance = torch.where(here[..., None], own.covariance, widened**2 * prior[1]).cpu().numpy()
            if not bool(decoder.total.any()):
                # Without scatter a specimen's parameters are its cluster's, and as sure.
                covariance = np.broadcast_to(predictor.covariance[name][:, None], covariance.shape)
            theta = np.where(fixed, decoder.theta[:, None], decoder.bounds.from_unbounded(centre + deviation))
            shown = torch.as_tensor(decoder.expert.to_reported(theta))
            std = torch.as_tensor(shown_std(decoder, theta, covariance))
            weights = gamma[index].cpu()
            known = std.isfinite().any(0)
            mean, variance = mixture_moments(weights, shown, std.nan_to_num().square())
            pieces.append((mean, torch.where(known, variance.clamp_min(0.0).sqrt(), torch.nan)))
        values.append(torch.cat([p[0] for p in pieces]).numpy())
        stds.append(torch.cat([p[1] for p in pieces]).numpy())
    dims, coords = ("specimen", "parameter"), parameter_coords(predictor.options, predictor.specs)
    names = {"parameters": "the specimen's own", "parameters_std": "standard deviation of the specimen's own"}
    return {
        name: xr.DataArray(np.concatenate(part, 1), dims=dims, coords=coords, attrs={"long_name": label})
        for (name, label), part in zip(names.items(), (values, stds), strict=True)
    }


def _widened(predictor: Predictor, name: str) -> float:
    """Factor by which a prediction's standard deviation grows, so that it holds the share that one should hold."""
    one = torch.tensor(predictor.nominal(name, 0.6826894921370859), dtype=torch.float64)
    return float(torch.special.ndtri(0.5 * (1.0 + one)))
