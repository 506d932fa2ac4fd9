r"""Tables of the physics' parameters per cluster and per specimen, with standard errors and units.

A cluster's parameters have the covariance of eq. 17's optimum: the inverse information of specimens that differ,
:math:`[\sum_d \gamma_{cd} J^\top \Sigma_d^{-1} J]^{-1}` (on a shared grid :math:`(S_c + v (J^\top J)^{-1}) / W_c`),
or, with ``scatter="none"``, the curve-clustered sandwich. A specimen's own are the cluster's plus its deviation b, with
covariance V. Both are conditional on the responsibilities, and carried to what people see by the delta method.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..experts import resolve_unit, unidentified
from ..fitting.em.steps import MINIMUM_WEIGHT, prior_rows
from ..fitting.inputs.spec import InputSpec
from ..fitting.inputs.tensors import Tensors
from ..fitting.options import ModelOptions
from ..model.physics import PhysicsDecoder, scores
from .predictor import Predictor
from .record import TrainingRecord


def cluster_covariance(decoder: PhysicsDecoder, tensors: Tensors, name: str, gamma: Tensor) -> np.ndarray:
    """Covariance of each cluster's unbounded parameters, (cluster, P, P); NaN where the data say nothing."""
    curves = tensors.curves[name]
    gamma = gamma.double() * curves.present[:, None]
    clusters, size = decoder.theta.shape
    bread = torch.zeros(clusters, size, size, dtype=torch.float64, device=gamma.device)
    meat = torch.zeros_like(bread)
    for index, piece in curves.chunks():
        information, score = scores(decoder, decoder.condition(piece), decoder.total[:, None])
        part = gamma[index].T
        bread += torch.einsum("cn,cnpq->cpq", part, information.expand(-1, len(piece), -1, -1))
        meat += torch.einsum("cn,cnp,cnq->cpq", part.square(), score, score)
    rows, _ = prior_rows(decoder)
    bread, meat = bread + rows.mT @ rows, meat + rows.mT @ rows
    bread, meat = bread.cpu().numpy(), meat.cpu().numpy()
    weight = gamma.sum(0).cpu().numpy()
    scattered = bool(decoder.total.any())
    out = np.full((clusters, size, size), np.nan)
    for c in range(clusters):
        moves = np.diagonal(bread[c]) > 0
        if weight[c] < MINIMUM_WEIGHT or not moves.any():
            continue
        inner = np.ix_(moves, moves)
        # With a diagonal of ones: what counts as singular must not depend on the units of the parameters.
        size = np.sqrt(np.diagonal(bread[c])[moves])
        inverse = np.linalg.pinv(bread[c][inner] / np.outer(size, size), hermitian=True) / np.outer(size, size)
        out[c][inner] = inverse if scattered else inverse @ meat[c][inner] @ inverse
    return out


def shown_std(decoder: PhysicsDecoder, theta: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Standard deviation of the reported parameters, (..., Q), from a covariance of the unbounded ones, (..., P, P)."""
    slope = np.where(decoder.bounds.at_bound(theta), 0.0, decoder.bounds.slope(theta))
    jacobian = decoder.expert.reported_jacobian(theta) * slope[..., None, :]
    # A parameter at its bound adds nothing, whatever its entry says.
    finite = np.where(np.isfinite(covariance), covariance, 0.0)
    variance = np.einsum("...qp,...pr,...qr->...q", jacobian, finite, jacobian)
    nothing = ~np.any(np.isfinite(covariance), axis=(-1, -2))
    stuck = ~(variance > 0)
    return np.where(nothing[..., None] | stuck, np.nan, np.sqrt(np.maximum(variance, 0.0)))


def parameter_coords(options: ModelOptions, specs: Mapping[str, InputSpec]) -> dict[str, tuple[str, list[str]]]:
    """Names, units and modality of every reported parameter; a name used twice is told apart by its modality."""
    rows = [(name, p) for name, option in options.physics.items() for p in option.expert.reported]
    names = [p.name for _, p in rows]
    labels = [p.name if names.count(p.name) == 1 else f"{name}.{p.name}" for name, p in rows]
    units = [resolve_unit(p.unit, specs[n].schema.unit, specs[n].schema.t_unit) for n, p in rows]
    return {
        "parameter": ("parameter", labels),
        "unit": ("parameter", units),
        "parameter_modality": ("parameter", [name for name, _ in rows]),
        "description": ("parameter", [p.description for _, p in rows]),
    }


def cluster_parameters(predictor: Predictor, record: TrainingRecord) -> xr.Dataset:
    """Table of the clusters' physical parameters, see :attr:`pima_toolkit.Fit.parameters`."""
    options, decoders, covariance = predictor.options, predictor.state.decoders, predictor.covariance
    weight, quality = record.specimens["responsibilities"].values.sum(0), record.quality
    value, error, spread, bound, open_, noise = [], [], [], [], [], []
    for name in options.physics:
        decoder = decoders[name]
        value.append(decoder.expert.to_reported(decoder.theta))
        error.append(shown_std(decoder, decoder.theta, covariance[name]))
        scatter = shown_std(decoder, decoder.theta, decoder.total.cpu().numpy())
        spread.append(np.nan_to_num(scatter))
        # A shown parameter is at its bound where one of the fitted ones it is made of, and of no other shown one, is.
        made_of = decoder.expert.reported_jacobian(decoder.theta) != 0
        own = made_of & (made_of.sum(-2, keepdims=True) == 1)
        lost = np.array(quality[name]["unidentified"]) if name in quality else np.zeros(decoder.theta.shape, bool)
        std = np.sqrt(np.maximum(np.diagonal(covariance[name], axis1=1, axis2=2), 0.0))  # of unbounded coordinates
        with np.errstate(invalid="ignore"):  # infinite at a bound, where the slope is zero
            std = std * decoder.bounds.slope(decoder.theta)
        unknown = unidentified(lost, std, decoder.theta, decoder.bounds)
        open_.append((made_of & unknown[:, None, :]).any(-1))
        bound.append((own & decoder.bounds.at_bound(decoder.theta)[:, None, :]).any(-1))
        noise.append(np.sqrt(decoder.variance.cpu().numpy()) * decoder.scale)
    dims = ("cluster", "parameter")
    coords = parameter_coords(options, predictor.specs)
    if not value:
        shape = (len(weight), 0)
        value = error = spread = bound = open_ = [np.zeros(shape)]
        noise = [np.zeros(len(weight))] * 0

    def by_curve(key: str, about: str) -> tuple[tuple[str, str], np.ndarray, dict[str, str]]:
        rows = [quality[name][key] if name in quality else np.full(len(weight), np.nan) for name in options.physics]
        return ("cluster", "curve"), np.array(rows, dtype=float).reshape(-1, len(weight)).T, {"long_name": about}

    return xr.Dataset(
        {
            "value": (dims, np.concatenate(value, 1)),
            "std_error": (dims, np.concatenate(error, 1), {"long_name": "standard error"}),
            "scatter_std": (dims, np.concatenate(spread, 1), {"long_name": "standard deviation between specimens"}),
            "at_bound": (dims, np.concatenate(bound, 1).astype(bool)),
            "unidentified": (
                dims,
                np.concatenate(open_, 1).astype(bool),
                {"long_name": "not determined"},
            ),
            "noise_std": (
                ("cluster", "curve"),
                np.stack(noise, 1) if noise else np.zeros((len(weight), 0)),
                {"long_name": "standard deviation of the noise, in the curve's unit"},
            ),
            "misfit": by_curve("misfit", "by how much the law misses the mean curve, in the curve's unit"),
            "misfit_ratio": by_curve("misfit_ratio", "misfit over its standard error; about 1 where the law holds"),
            "agreement": by_curve("agreement", "share of starts that end at the best optimum"),
            "effective_specimens": ("cluster", weight, {"long_name": "sum of responsibilities"}),
        },
        coords={"cluster": np.arange(len(weight)), "curve": list(options.physics), **coords},
    )


@torch.no_grad()
def specimen_parameters(predictor: Predictor, tensors: Tensors, gamma: Tensor) -> xr.Dataset:
    """Table of the training specimens' own parameters, see :attr:`pima_toolkit.Fit.specimens`.

    Args:
        predictor: The trained model.
        tensors: The training specimens; those without a curve get NaN.
        gamma: Their responsibilities, (specimen, cluster).
    """
    options, decoders = predictor.options, predictor.state.decoders
    best = gamma.argmax(1)
    value, error = [], []
    for name in options.physics:
        decoder = decoders[name]
        curves = tensors.curves[name]
        centre = decoder.bounds.to_unbounded(decoder.theta)
        theta, std = [], []
        for index, piece in curves.chunks():
            posterior = decoder.condition(piece)
            c = best[index]
            rows = torch.arange(len(piece), device=c.device)
            own = posterior.deviation[c, rows].cpu().numpy()
            spread = posterior.covariance.expand(-1, len(piece), -1, -1)[c, rows].cpu().numpy()
            c = c.cpu().numpy()
            if not bool(decoder.total.any()):
                # Without scatter a specimen's parameters are its cluster's, and as sure.
                spread = predictor.covariance[name][c]
            here = decoder.bounds.from_unbounded(centre[c] + own)
            here = np.where(decoder.bounds.at_bound(decoder.theta)[c], decoder.theta[c], here)
            std.append(shown_std(decoder, here, spread))
            theta.append(decoder.expert.to_reported(here))
        absent = ~curves.present.cpu().numpy()[:, None]
        value.append(np.where(absent, np.nan, np.concatenate(theta)))
        error.append(np.where(absent, np.nan, np.concatenate(std)))
    dims = ("specimen", "parameter")
    nothing = np.zeros((len(gamma), 0))
    return xr.Dataset(
        {
            "value": (dims, np.concatenate(value, 1) if value else nothing),
            "std_error": (dims, np.concatenate(error, 1) if error else nothing, {"long_name": "standard error"}),
            "responsibilities": (("specimen", "cluster"), gamma.cpu().numpy(), {"units": "1"}),
            "cluster": ("specimen", best.cpu().numpy()),
        },
        coords=parameter_coords(options, predictor.specs),
    )
