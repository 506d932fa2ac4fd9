"""What a finished training leaves behind: all that answers are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from torch import nn

from ..fitting.inputs.tensors import InputSpec
from ..fitting.options import ModelOptions, TrainingSettings
from ..fitting.state import State
from ..model.curves import Curves

#: Share of the training specimens that make the tail of a reference distribution.
_TAIL = 0.1
#: Specimens that a tail needs to have a width.
_FEWEST = 5
#: Relative difference of scores that is the rounding of float32, which follows the number of specimens at a time.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Reference:
    """How well the training specimens are explained, by one modality's score.

    Args:
        scores: Sorted, shape (specimen,); large is typical.
    """

    scores: np.ndarray

    def typicality(self, score: np.ndarray) -> np.ndarray:
        """Share of the training specimens explained no better, shape of ``score``.

        Below the lowest tenth the rank goes on as an exponential tail, so that "worse than all hundred specimens" can
        be told from "worse by far".
        """
        n = len(self.scores)
        # A training specimen asked about again is no worse than itself, though other company rounds it otherwise.
        slack = _ROUNDING * np.maximum(np.abs(score), 1.0)
        rank = np.searchsorted(self.scores, score + slack, side="right") / n
        count = min(n, max(_FEWEST, int(_TAIL * n)))
        edge, share = self.scores[count - 1], count / n
        width = max(float((edge - self.scores[:count]).mean()), 1e-6 * abs(float(edge)), 1e-12)
        tail = share * np.exp(-np.clip(edge - score, 0.0, None) / width)
        return np.where(score < edge, tail, np.maximum(rank, share))


@dataclass(frozen=True)
class Trained:
    """A trained model and what it remembers of its training.

    Args:
        options: The model.
        settings: How it was trained.
        templates: How to read new data.
        state: Networks, mixture, experts, noise.
        encoders: Cross-modal encoders in the model's order; None where one modality is all there is, or where training
            was interrupted before they were trained.
        covariance: Of each cluster's unbounded parameters, (cluster, P, P), by physics modality.
        covariates: Mean of every covariate over each cluster's specimens, (cluster,) by name, where its curves are
            shown.
        references: Scores of the training specimens by modality.
        calibration: By physics modality, the share of the model's own distribution that 0, 1, ... 100 % of the training
            points lie in: bands are widened or narrowed to hold what they say.
        training: Training specimens: responsibilities and parameters, see ``Fit.specimens``.
        history: One row per epoch.
        notes: Facts for the report: seconds, versions, warnings.
        curves: The measured curves it was trained on, by physics modality; none in a fit read from a file.
    """

    options: ModelOptions
    settings: TrainingSettings
    templates: Mapping[str, InputSpec]
    state: State
    encoders: nn.ModuleList | None
    covariance: Mapping[str, np.ndarray]
    covariates: Mapping[str, np.ndarray]
    references: Mapping[str, Reference]
    calibration: Mapping[str, np.ndarray]
    training: xr.Dataset
    history: xr.Dataset
    notes: Mapping[str, object]
    curves: Mapping[str, Curves] = field(default_factory=dict)

    @property
    def quality(self) -> Mapping[str, Mapping[str, list]]:
        """By physics modality what quality.py found; nothing in a fit of a file that is older than that."""
        return self.notes.get("quality", {})

    def nominal(self, name: str, coverage: float) -> float:
        """The share of the model's distribution that a band of this coverage must hold."""
        return float(np.interp(coverage, np.linspace(0.0, 1.0, len(self.calibration[name])), self.calibration[name]))
