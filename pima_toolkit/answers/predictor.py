"""All that answers are computed from: the trained model, its uncertainties, and its references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..fitting.evidence.belief import Belief
from ..fitting.inputs.spec import InputSpec
from ..fitting.options import ModelOptions
from ..fitting.state import State

#: Share of the training specimens that make the tail of a reference distribution.
_TAIL = 0.1
#: Specimens that a tail needs to have a width.
_FEWEST = 5
#: Relative difference of scores that is the rounding of float32, which follows the number of specimens at a time.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Reference:
    """Reference distribution of one modality's score: how well the training specimens are explained.

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
class Predictor:
    """The trained model with everything else that an answer for any specimen is computed from.

    Args:
        options: The model's options.
        specs: How to read new data, by modality.
        state: Networks, mixture, experts, noise.
        encoders: Encoders of single modalities in the model's order; None where one modality is all there is, or where
            training was interrupted before they were trained.
        covariance: Covariance of each cluster's unbounded parameters, (cluster, P, P), by physics modality.
        covariates: Mean of every covariate over each cluster's specimens, (cluster,) by name, where its curves are
            shown.
        references: Scores of the training specimens by modality.
        belief: What was learned of modalities without physics, and how far to believe it; None in the paper's inference
            and where there are none.
        calibration: By physics modality, the share of the model's own distribution that 0, 1, ... 100 % of the training
            points lie in: bands are widened or narrowed to hold what they say.
        by_part: The same where only a part of the modalities without physics is heard, by their names in the model's
            order; a part that no training specimen was judged by has ``calibration``.
    """

    options: ModelOptions
    specs: Mapping[str, InputSpec]
    state: State
    encoders: nn.ModuleList | None
    covariance: Mapping[str, np.ndarray]
    covariates: Mapping[str, np.ndarray]
    references: Mapping[str, Reference]
    calibration: Mapping[str, np.ndarray]
    belief: Belief | None = None
    by_part: Mapping[tuple[str, ...], Mapping[str, np.ndarray]] = field(default_factory=dict)

    @property
    def any_subset(self) -> bool:
        """Whether it answers from any subset of the modalities; not where training ended before it could."""
        return self.options.by_evidence or self.encoders is not None

    @property
    def device(self) -> torch.device:
        """The device that answers are computed on."""
        return self.state.mixture.mean.device

    def nominal(self, name: str, coverage: float, heard: tuple[str, ...] = ()) -> float:
        """Share of the model's own distribution that a band must hold, so that it holds this share of measurements.

        Args:
            name: A physics modality.
            coverage: Share of new measurements that the band shall hold, between 0 and 1.
            heard: Modalities without physics that it is predicted from; none are named: whatever there is.
        """
        shares = self.by_part.get(heard, self.calibration).get(name, self.calibration[name])
        return float(np.interp(coverage, np.linspace(0.0, 1.0, len(shares)), shares))

    def parts(self, present: Mapping[str, Tensor]) -> dict[tuple[str, ...], Tensor]:
        """Specimens by the modalities without physics that they have: their numbers, by names in the model's order."""
        names = list(self.options.neural)
        if not names:
            return {(): torch.arange(len(next(iter(present.values()))))}
        flags = torch.stack([present[name] for name in names], 1)
        return {
            tuple(name for name, has in zip(names, row, strict=True) if has): torch.nonzero(
                (flags == flags.new_tensor(row)).all(1)
            ).flatten()
            for row in torch.unique(flags, dim=0).tolist()
        }
