r"""Tables of the physics' parameters per cluster and per specimen, with standard errors and units.

A cluster's parameters have the covariance of the mixture's likelihood (:mod:`~.mixture_information`). A specimen's own
are the cluster's plus its deviation b, with covariance V, given the responsibilities. Both are carried to what people
see by the delta method; intervals are Student's t in each parameter's unbounded coordinate.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..experts import reported_bounds, resolve_unit, student, unidentified
from ..fitting.inputs.spec import InputSpec
from ..fitting.inputs.tensors import Tensors
from ..fitting.options import ModelOptions
from ..model.physics import PhysicsDecoder
from .predictor import Predictor
from .record import TrainingRecord

#: Level of the intervals that tables give.
LEVEL = 0.9


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
    value, error, low, high, spread, bound, open_, noise = [], [], [], [], [], [], [], []
    for name in options.physics:
        decoder = decoders[name]
        value.append(decoder.expert.to_reported(decoder.theta))
        error.append(shown_std(decoder, decoder.theta, covariance[name]))
        few = np.maximum(weight_with(record, name) - 1.0, 1.0)
        if decoder.known is not None and len(decoder.known.centre_freedom):
            few = np.maximum(np.minimum(few, decoder.known.centre_freedom), 1.0)
        few = few[:, None]
        ends = student(reported_bounds(decoder.expert, decoder.bounds), value[-1], error[-1], few, LEVEL)
        known = np.isfinite(error[-1])
        low.append(np.where(known, ends.low, np.nan))
        high.append(np.where(known, ends.high, np.nan))
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
        value = error = low = high = spread = bound = open_ = [np.zeros(shape)]
        noise = [np.zeros(len(weight))] * 0

    def by_curve(key: str, about: str) -> tuple[tuple[str, str], np.ndarray, dict[str, str]]:
        rows = [quality[name][key] if name in quality else np.full(len(weight), np.nan) for name in options.physics]
        return ("cluster", "curve"), np.array(rows, dtype=float).reshape(-1, len(weight)).T, {"long_name": about}

    return xr.Dataset(
        {
            "value": (dims, np.concatenate(value, 1)),
            "std_error": (dims, np.concatenate(error, 1), {"long_name": "standard error"}),
            "low": (dims, np.concatenate(low, 1), {"long_name": "lower end of the interval"}),
            "high": (dims, np.concatenate(high, 1), {"long_name": "upper end of the interval"}),
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
                {"long_name": "standard deviation of the noise, in the curve's unit", **_noises(decoders)},
            ),
            "misfit": by_curve("misfit", "by how much the law misses the mean curve, in the curve's unit"),
            "misfit_ratio": by_curve("misfit_ratio", "misfit over its standard error; about 1 where the law holds"),
            "agreement": by_curve("agreement", "share of starts that end at the best optimum"),
            "effective_specimens": ("cluster", weight, {"long_name": "sum of responsibilities"}),
        },
        coords={"cluster": np.arange(len(weight)), "curve": list(options.physics), **coords},
        attrs={"level": LEVEL, "method": _method(decoders), **_said_at(predictor.specs)},
    )


def _said_at(specs: Mapping[str, InputSpec]) -> dict[str, str]:
    """Where parameters are said that depend on what is known of specimens; nothing where none does."""
    known = [spec.known for spec in specs.values() if spec.known is not None]
    pairs = {term: mean for one in known for term, mean in zip(one.dependence.terms, one.reference, strict=True)}
    return {"at": "; ".join(f"{term} = {mean:.5g}" for term, mean in pairs.items())} if pairs else {}


def _noises(decoders: Mapping[str, PhysicsDecoder]) -> dict[str, str]:
    """Noise models that learned more than a variance, in words, by curve."""
    return {
        name: str(decoder.noise.curve_noise)
        for name, decoder in decoders.items()
        if decoder.noise.curve_noise is not None
    }


def _method(decoders: Mapping[str, PhysicsDecoder]) -> str:
    """How the intervals of the populations' parameters were found: by the sandwich where specimens do not differ."""
    alike = [name for name, decoder in decoders.items() if not bool(decoder.total.any())]
    if alike and len(alike) == len(decoders):
        return "sandwich of the mixture's likelihood, Student's t"
    beside = f", sandwich for {', '.join(alike)}" if alike else ""
    return f"information of the mixture{beside}, Student's t"


def weight_with(record: TrainingRecord, name: str) -> np.ndarray:
    """Sum of the responsibilities of the specimens that have the curve, (cluster,)."""
    table = record.specimens
    mine = table.parameter_modality.values == name
    there = table.value.notnull().values[:, mine].any(1)
    return table.responsibilities.values[there].sum(0)


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
    value, error, low, high = [], [], [], []
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
            offset = decoder.offset(piece)
            own = own if offset is None else own + offset.cpu().numpy()
            here = decoder.bounds.from_unbounded(centre[c] + own)
            here = np.where(decoder.bounds.at_bound(decoder.theta)[c], decoder.theta[c], here)
            std.append(shown_std(decoder, here, spread))
            theta.append(decoder.expert.to_reported(here))
        absent = ~curves.present.cpu().numpy()[:, None]
        value.append(np.where(absent, np.nan, np.concatenate(theta)))
        error.append(np.where(absent, np.nan, np.concatenate(std)))
        # As many degrees of freedom as the specimens that its population is known from.
        few = (gamma * curves.present[:, None]).sum(0).cpu().numpy()[best.cpu().numpy()] - 1.0
        few = np.repeat(np.maximum(few, 1.0)[:, None], value[-1].shape[1], axis=1)
        bounds = reported_bounds(decoder.expert, decoder.bounds)
        known = np.isfinite(value[-1]) & np.isfinite(error[-1])
        ends = student(
            bounds, np.where(known, value[-1], bounds.clip(0.0)), np.where(known, error[-1], 0.0), few, LEVEL
        )
        low.append(np.where(known, ends.low, np.nan))
        high.append(np.where(known, ends.high, np.nan))
    dims = ("specimen", "parameter")
    nothing = np.zeros((len(gamma), 0))
    return xr.Dataset(
        {
            "value": (dims, np.concatenate(value, 1) if value else nothing),
            "std_error": (dims, np.concatenate(error, 1) if error else nothing, {"long_name": "standard error"}),
            "low": (dims, np.concatenate(low, 1) if low else nothing, {"long_name": "lower end of the interval"}),
            "high": (dims, np.concatenate(high, 1) if high else nothing, {"long_name": "upper end of the interval"}),
            "responsibilities": (("specimen", "cluster"), gamma.cpu().numpy(), {"units": "1"}),
            "cluster": ("specimen", best.cpu().numpy()),
        },
        coords=parameter_coords(options, predictor.specs),
        attrs={"level": LEVEL, "method": "empirical Bayes: own curve and population, Student's t"},
    )
