r"""Calibration of bands: how much wider than the model says a band must be to hold what it says.

Of every known point, :math:`|2F(x) - 1|` is the share of the model's distribution that a band just reaching it holds;
the quantiles of these shares are the calibration. Where the parameters of a specimen follow its latent, the points are
of specimens that the encoder in question has not learned from: those it has learned from it knows too well.

Source: Kuleshov, Fenner, Ermon 2018, recalibration by the probability integral transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ...fitting.inputs.spec import InputSpec
from ...fitting.inputs.tensors import Tensors
from ...model.curves import Curves
from ...model.physics import POPULATION_DRAWS, PhysicsDecoder
from ..curves import at_once, predictions
from ..posterior import answer_tensors
from ..predictor import Predictor

#: Coverages that a calibration is kept at.
LEVELS = np.linspace(0.0, 1.0, 101)


def training_calibration(decoder: PhysicsDecoder, curves: Curves, spec: InputSpec, gamma: Tensor) -> np.ndarray:
    """Shares of the model's distribution that hold 0, 1, ... 100 % of the training points, under their own clusters.

    Args:
        decoder: The physics.
        curves: The training specimens' curves.
        spec: How the modality is read.
        gamma: Responsibilities, (specimen, cluster).
    """
    here = torch.nonzero(curves.present).flatten()
    curves, gamma = curves.at(here), gamma[here]
    grid, own = spec.t, curves.own_grids
    if len(decoder.expert.inputs) == 1 and decoder.known is None:
        population = decoder.marginal(grid)
        if not own and len(curves.t) != len(grid):
            population = population.at(grid, curves.t[None])
        size = at_once(decoder, curves.t, POPULATION_DRAWS) if own else 1024
        said = ((index, population.at(grid, piece.t) if own else population) for index, piece in curves.chunks(size))
    else:
        said = predictions(decoder, curves.t, None, gamma, curves)
    shares = []
    for index, predictive in said:
        piece = curves[index]
        inside = decoder.at_points(predictive, piece).probability(gamma[index], piece.x)
        shares.append((2.0 * inside[piece.seen] - 1.0).abs())
    return np.quantile(torch.cat(shares).cpu().numpy(), LEVELS)


@torch.no_grad()
def held_out_calibration(
    predictor: Predictor, tensors: Tensors, alone: Sequence[tuple[nn.ModuleList, Tensor]]
) -> Predictor:
    """Calibrate the physics that varies with the latent on curves predicted by encoders that have not seen them.

    Args:
        predictor: The fit.
        tensors: What it was trained on.
        alone: Encoders of single modalities, each with the specimens that they have not learned from.
    """
    calibration = dict(predictor.calibration)
    for name, option in predictor.options.physics.items():
        others = [flags for other, flags in tensors.present.items() if other != name]
        if not option.varies or not others:
            continue
        usable = torch.stack(others).any(0) & tensors.present[name]
        pairs = [(encoders, index[usable[index]]) for encoders, index in alone]
        shares = [
            _shares(replace(predictor, encoders=encoders), name, tensors.at(index))
            for encoders, index in pairs
            if len(index)
        ]
        if shares:
            calibration[name] = np.quantile(torch.cat(shares).cpu().numpy(), LEVELS)
    return replace(predictor, calibration=calibration)


def predicted_shares(predictor: Predictor, name: str, tensors: Tensors) -> np.ndarray:
    """Compute |2F(x) - 1| at all observed points of the specimens that have a curve and something to predict it from.

    Args:
        predictor: The fit, with encoders of single modalities.
        name: The physics modality.
        tensors: Specimens, with what was measured of them.
    """
    others = [flags for other, flags in tensors.present.items() if other != name]
    if not others:
        return np.zeros(0)
    usable = torch.nonzero(torch.stack(others).any(0) & tensors.present[name]).flatten()
    if len(usable) == 0:
        return np.zeros(0)
    with torch.no_grad():
        return _shares(predictor, name, tensors.at(usable)).cpu().numpy()


def _shares(predictor: Predictor, name: str, tensors: Tensors) -> Tensor:
    """Compute |2F(x) - 1| at all observed points of specimens whose curve is predicted from their other modalities."""
    curves = tensors.curves[name]
    absent = torch.zeros_like(curves.present)
    hidden = replace(
        tensors,
        present={**tensors.present, name: absent},
        curves={**tensors.curves, name: replace(curves, present=absent)},
    )
    answers = answer_tensors(predictor, hidden)
    gamma, decoder = answers.log_gamma.exp(), predictor.state.decoders[name]
    said = predictions(decoder, curves.t, answers.others[name], gamma, curves)
    inside = torch.cat(
        [
            decoder.at_points(predictive, curves[rows]).probability(gamma[rows], curves.x[rows])
            for rows, predictive in said
        ]
    )
    return (2.0 * inside[curves.seen] - 1.0).abs()
