"""Predictions of training specimens by what had not learned from them: how good they are, how wide bands must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...fitting.evidence.belief import told
from ...fitting.evidence.frame import Frame
from ...fitting.inputs.tensors import Tensors
from ...model.curves import Curves
from ...model.physics import Deviations
from ..curves import measured, predictions
from ..predictor import Predictor
from ..record import DescribedFigures, HeldOutFigures
from .calibration import LEVELS

#: Coverage of the band that is judged.
_BAND = 0.9


@torch.no_grad()
def judged(predictor: Predictor, tensors: Tensors) -> tuple[Predictor, dict[str, HeldOutFigures]]:
    """Calibrate the bands of predicted curves, and tell how good the predictions are, by specimens held out.

    Args:
        predictor: A fit by evidence.
        tensors: What it was trained on.

    Returns:
        The fit with its calibration, and figures by physics modality; both as they were where nothing was held out.
    """
    belief, decoders = predictor.belief, predictor.state.decoders
    if belief is None or not belief.out_of_fold:
        return predictor, {}
    frame = Frame(decoders, predictor.state.mixture.log_weights)
    present = {name: tensors.present[name] for name in predictor.options.neural}
    heard = told(belief, frame, belief.out_of_fold, present)
    gamma = (frame.log_weights + heard.psi).softmax(1)
    alone = frame.log_weights.softmax(0).expand_as(gamma)
    calibration, figures = dict(predictor.calibration), {}
    for name, decoder in decoders.items():
        rows = torch.nonzero(torch.stack(list(present.values())).any(0) & tensors.present[name]).flatten()
        if not len(rows):
            continue
        curves, others = tensors.curves[name].at(rows), frame.deviations(name, heard.deviation)[rows]
        error, inside = scores(predictor, name, curves, others, gamma[rows])
        seen = curves.seen
        calibration[name] = np.quantile(inside[seen].cpu().numpy(), LEVELS)
        scale = decoder.scale
        figures[name] = HeldOutFigures(
            specimens=len(rows),
            rmse=_rms(error[seen]) * scale,
            mean_curve=_rms(_from_others(curves)[seen]) * scale,
            without=_rms(scores(predictor, name, curves, None, alone[rows])[0][seen]) * scale,
            coverage=float((inside[seen] <= _BAND).double().mean()),
        )
    return replace(predictor, calibration=calibration, by_part=_by_part(predictor, frame, tensors)), figures


def _by_part(predictor: Predictor, frame: Frame, tensors: Tensors) -> dict[tuple[str, ...], dict[str, np.ndarray]]:
    """Calibration where only some of the modalities without physics are heard, for every part that was judged."""
    belief, out = predictor.belief, {}
    if belief is None or len(predictor.options.neural) < 2:
        return out
    for part in list(belief.parts):
        flags = {name: tensors.present[name] for name in predictor.options.neural}
        having = torch.stack([flags[name] for name in part]).all(0)
        heard = told(belief, frame, belief.out_of_fold, {n: having & (n in part) for n in flags})
        gamma = (frame.log_weights + heard.psi).softmax(1)
        out[part] = {}
        for name in predictor.state.decoders:
            rows = torch.nonzero(having & tensors.present[name]).flatten()
            if len(rows):
                curves, others = tensors.curves[name].at(rows), frame.deviations(name, heard.deviation)[rows]
                _, inside = scores(predictor, name, curves, others, gamma[rows])
                out[part][name] = np.quantile(inside[curves.seen].cpu().numpy(), LEVELS)
    return out


@torch.no_grad()
def described(predictor: Predictor, tensors: Tensors, gamma: Tensor) -> dict[str, DescribedFigures]:
    """Tell how well the training curves themselves are described, by physics modality.

    Args:
        predictor: The fit.
        tensors: What it was trained on.
        gamma: Responsibilities, (specimen, cluster).
    """
    out = {}
    for name, decoder in predictor.state.decoders.items():
        rows = torch.nonzero(tensors.present[name]).flatten()
        curves = tensors.curves[name].at(rows)
        # The likeliest population alone: half of one and half of another is no curve of any.
        sure = torch.nn.functional.one_hot(gamma[rows].argmax(1), gamma.shape[1]).double()
        own, population = torch.zeros_like(curves.x), torch.zeros_like(curves.x)
        for part, predictive in measured(decoder, curves.t, curves, None, sure):
            own[part] = curves.x[part] - predictive.centre(sure[part])
        for part, predictive in predictions(decoder, curves.t, None, sure, curves):
            population[part] = curves.x[part] - predictive.centre(sure[part])
        seen, scale = curves.seen, decoder.scale
        out[name] = DescribedFigures(
            own=_rms(own[seen]) * scale,
            population=_rms(population[seen]) * scale,
            mean_curve=_rms(_from_others(curves)[seen]) * scale,
        )
    return out


def scores(
    predictor: Predictor, name: str, curves: Curves, others: Deviations | None, gamma: Tensor
) -> tuple[Tensor, Tensor]:
    """Error of the prediction, and the share |2F - 1| of it that reaches each point, both (specimen, point)."""
    decoder = predictor.state.decoders[name]
    error, inside = torch.zeros_like(curves.x), torch.zeros_like(curves.x)
    for rows, predictive in predictions(decoder, curves.t, others, gamma, curves):
        error[rows] = curves.x[rows] - predictive.centre(gamma[rows])
        points = decoder.at_points(predictive, curves[rows])
        inside[rows] = (2.0 * points.probability(gamma[rows], curves.x[rows]) - 1.0).abs()
    return error, inside


def _from_others(curves: Curves) -> Tensor:
    """What each curve is away from the mean of the others, (specimen, point); NaN on grids of their own."""
    if curves.own_grids:
        return torch.full_like(curves.x, torch.nan)
    seen = curves.seen.double()
    count = seen.sum(0)
    mean = (curves.x * seen).sum(0) - curves.x
    return curves.x - mean / (count - 1.0).clamp_min(1.0)


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
