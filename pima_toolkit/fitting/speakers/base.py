r"""The contract of a speaker: a regression from features to what curves say, and what it says of specimens without one.

A curve places its specimen in a population and tells the deviation :math:`\delta` of its parameters from that
population. A speaker learns both from features of other modalities. It works in coordinates
:math:`\epsilon = R^+\delta` in which the deviations of one population have mean 0 and covariance 1, and predicts
:math:`\hat\epsilon_{jc}(x)` with an error of variance :math:`e_j` on specimens that it has not learned from. What it
then says, over the population's own :math:`\mathcal N(0, 1)`, is

.. math:: \log f(\epsilon, c) = \psi_c + \sum_j \frac{\hat\epsilon_{jc}}{e_j}\,\epsilon_j
          - \tfrac12 \Big(\frac1{e_j} - 1\Big)\epsilon_j^2, \qquad \psi_c = \log p(c \mid x) - \log\pi_c,

nothing of a direction with :math:`e_j \ge 1`.

Source: Bayes' rule; a regression's prediction is N(prediction, error) where prior and what is said are put together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError, ShapeError, require
from ...model.joint import Potential
from ..threads import one_thread
from .features import flattened

#: Smallest log p(c given x): no regression is surer than this.
LEAST_LOG_PROBABILITY = -12.0
#: Farthest prediction in standard deviations of a population; beyond it a regression extrapolates.
FARTHEST = 5.0
#: Smallest variance of a prediction's error, of a population's variance.
LEAST_LEFT = 1e-4
#: Least reliability of what a curve says of a direction, for the specimen to count as a hundredth of one.
_LEAST_RELIABILITY = 1e-2
#: Specimens, counted by reliability, below which a direction is left out.
_LEAST_COUNT = 5.0


@dataclass(frozen=True)
class Targets:
    """What the curves alone say of N training specimens, float64.

    Args:
        responsibilities: gamma, shape (N, C).
        deviation: Sum over populations of gamma times the posterior mean of the deviation from each, shape (N, P).
        log_weights: log pi, shape (C,).
        root: R with R R^T the scatter inside populations, pooled, shape (P, P); directions without scatter are left
            out.
        curve_known: Specimens that have a curve to learn from, shape (N,), bool.
        covariance: Posterior covariance of the deviation, that between populations included, shape (N, P, P); None
            where the curves leave no doubt. A posterior mean is drawn to zero by its doubt: with the covariance
            speakers learn the deviation itself.
    """

    responsibilities: np.ndarray
    deviation: np.ndarray
    log_weights: np.ndarray
    root: np.ndarray
    curve_known: np.ndarray
    covariance: np.ndarray | None = None

    def __post_init__(self) -> None:
        (n, c), p = self.responsibilities.shape, self.deviation.shape[1]
        expected = {"deviation": (n, p), "log_weights": (c,), "root": (p, p), "curve_known": (n,)}
        if self.covariance is not None:
            expected["covariance"] = (n, p, p)
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ShapeError(
                    f"{name} of the targets has the shape {getattr(self, name).shape}, expected {shape}:"
                    f" {n} specimens, {c} populations, {p} parameters"
                )

    def __len__(self) -> int:
        return len(self.responsibilities)

    def at(self, index: np.ndarray) -> Targets:
        """The specimens of ``index``, numbers or bool."""
        rows = {f: getattr(self, f)[index] for f in ("responsibilities", "deviation", "curve_known")}
        return replace(self, **rows, covariance=None if self.covariance is None else self.covariance[index])


def whitening(root: np.ndarray) -> np.ndarray:
    """Matrix from deviations to coordinates of covariance 1, those of the correlation's principal axes.

    Args:
        root: R with R R^T the scatter, shape (P, P).

    Returns:
        W with W R R^T W^T = 1, shape (D, P), D the number of directions with scatter.
    """
    std = np.sqrt(np.square(root).sum(1))
    alive = std > 0
    # Correlations, so that units do not decide what counts as no scatter.
    u, s, _ = np.linalg.svd(root[alive] / std[alive, None], full_matrices=False)
    kept = s > 1e-6 * s.max(initial=0.0)
    out = np.zeros((int(kept.sum()), len(root)))
    out[:, alive] = (u[:, kept] / s[kept]).T / std[alive]
    return out


def kept_together(specimens: int, groups: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    """Deal specimens out to folds of about one size, groups kept together.

    Args:
        specimens: N.
        groups: Group of each specimen, shape (N,), any values that can be sorted; None: all by themselves.
        folds: How many, at most; no more than there are groups.
        seed: Of the order of groups of one size.

    Returns:
        Number of each specimen's fold, shape (N,).
    """
    code = np.arange(specimens) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
    size = np.bincount(code)
    shuffled = np.random.default_rng(seed).permutation(len(size))
    order = shuffled[np.argsort(-size[shuffled], kind="stable")]
    load, fold = np.zeros(min(folds, len(size)), int), np.zeros(len(size), int)
    for group in order:
        fold[group] = load.argmin()
        load[fold[group]] += size[group]
    return fold[code]


@dataclass(frozen=True)
class Lesson:
    """Targets as a regression takes them: n specimens with curve and features.

    Args:
        deviation: In whitened coordinates, shape (n, D).
        reliability: How much of each the curve tells, 0 to 1, shape (n, D): the variance of ``deviation`` about the
            truth is (1 - reliability) / reliability. Weights for the regression.
        responsibilities: Shape (n, C).
        log_weights: Shape (C,).
        groups: Numbers of groups, shape (n,); None: specimens do not belong together.
        whitening: Shape (D, P).
    """

    deviation: np.ndarray
    reliability: np.ndarray
    responsibilities: np.ndarray
    log_weights: np.ndarray
    groups: np.ndarray | None
    whitening: np.ndarray

    @staticmethod
    def of(targets: Targets, groups: np.ndarray | None) -> Lesson:
        """Whiten targets, and undo how far they are drawn to zero by what the curves leave open."""
        to = whitening(targets.root)
        y = targets.deviation @ to.T
        reliability = np.ones_like(y)
        if targets.covariance is not None:
            doubt = np.einsum("dp,npq,dq->nd", to, targets.covariance, to)
            reliability = np.clip(1.0 - doubt, _LEAST_RELIABILITY, 1.0)
        code = None if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
        # Of one group none can be held out whole; nobody is believed then (temperatures counts groups).
        if code is not None and len(np.unique(code)) in (1, len(code)):
            code = None
        return Lesson(y / reliability, reliability, targets.responsibilities, targets.log_weights, code, to)

    def folds(self, most: int, seed: int) -> np.ndarray:
        """Number of each specimen's inner fold, groups kept together, shape (n,)."""
        return kept_together(len(self.deviation), self.groups, most, seed)

    def left(self, residual: np.ndarray) -> np.ndarray:
        """Variance of a prediction's error about the true deviation.

        Args:
            residual: Of predictions out of fold, shape (n, D), whitened.

        Returns:
            Shape (D,), no less than one standard error of its own; 1, which is silence, where the curves hardly tell.
        """
        w = self.reliability
        count = w.sum(0)
        own = np.square(residual) - (1.0 - w) / w
        mean = (w * own).sum(0) / np.maximum(count, 1e-300)
        error = np.sqrt(np.square(w * (own - mean)).sum(0)) / np.maximum(count, 1e-300)
        return np.where(count < _LEAST_COUNT, 1.0, np.maximum(np.maximum(mean, error), LEAST_LEFT))


@dataclass(frozen=True)
class Learned(ABC):
    """What a speaker has learned; a subclass is a frozen dataclass whose fields are all numpy arrays.

    A saved fit has these arrays and the speaker's name, nothing else.

    Args:
        whitening: From deviations to coordinates of covariance 1, shape (D, P).
        left: Variance of a prediction's error in each, shape (D,); 1 or more: nothing is said.
        log_weights: log pi, shape (C,).
        width: Number of features, shape ().
    """

    whitening: np.ndarray
    left: np.ndarray
    log_weights: np.ndarray
    width: np.ndarray

    @abstractmethod
    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Predict whitened deviations and populations.

        Args:
            features: Shape (M, F), finite.

        Returns:
            Deviations from each population, shape (M, C or 1, D), and log p(c given x), normalised, shape (M, C); None
            where it says nothing of the population.
        """

    def say(self, features: np.ndarray) -> Potential:
        """Say what the features tell.

        Args:
            features: Shape (M, F); a row with a missing value, NaN, is a specimen of which nothing is said.

        Returns:
            In the deviation's own coordinates, torch float64; its curvature is the same for all populations.

        Raises:
            ShapeError: If there are other features than it learned from.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != int(self.width):
            raise ShapeError(
                f"features have the shape {features.shape}, expected (specimens, {int(self.width)}) as in training"
            )
        heard = np.isfinite(features).all(1)
        specimens, clusters = len(features), len(self.log_weights)
        psi = np.zeros((specimens, clusters))
        linear = np.zeros((specimens, clusters, len(self.left)))
        precision = np.where(self.left < 1.0, 1.0 / self.left - 1.0, 0.0)
        if heard.any():
            deviation, log_p = self.predict(features[heard])
            if log_p is not None and clusters > 1:
                psi[heard] = np.maximum(log_p, LEAST_LOG_PROBABILITY) - self.log_weights
            linear[heard] = np.clip(deviation, -FARTHEST, FARTHEST) * np.where(precision > 0, 1.0 / self.left, 0.0)
        curvature = (self.whitening.T * precision) @ self.whitening
        shares = (np.ones(1) if heard.all() else heard.astype(np.float64)).reshape(-1, 1, 1, 1)
        return Potential(_tensor(psi), _tensor(linear @ self.whitening),
                         _tensor(shares * curvature))  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all that a file must hold."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Make it again from :meth:`arrays`.

        Raises:
            DataError: If one is missing.
        """
        missing = [field.name for field in fields(cls) if field.name not in arrays]
        if missing:
            raise DataError(
                f"the arrays of a {cls.__name__} lack {', '.join(missing)}: expected those that its arrays() returned"
            )
        return cls(**{field.name: np.asarray(arrays[field.name]) for field in fields(cls)})


class Speaker(ABC):
    """Recipe for a regression from features to what curves say; a subclass is the whole of a new speaker.

    To write one: ``regress`` learns and returns a :class:`Learned` of your own, whose ``predict`` answers. Missing
    modalities, specimens without curve, whitening, and what is then said are seen to here. How far a speaker is
    believed is decided on specimens that it has not learned from, so an honest error of its own is welcome but not
    all that stands between it and the answer. A recipe holds nothing that training changes.
    """

    #: Name, as the table of speakers knows it.
    name: ClassVar[str]
    #: Kinds of modality that it is meant for: ``"image"``, ``"volume"``, ``"vector"``, ``"scalar"``, ``"curve"``.
    hears: ClassVar[frozenset[str]] = frozenset({"image", "volume", "vector", "scalar", "curve"})
    #: Fewest specimens with curve and features that it learns from.
    least: ClassVar[int] = 8
    #: Class of what it learns.
    learned: ClassVar[type[Learned]]

    def hear(self, values: Tensor | np.ndarray, kind: str) -> np.ndarray:  # noqa: ARG002 - some look at the kind
        """Features of one modality.

        Args:
            values: As networks see them, shape (N, features) or ``(N, channels, *axes)``, finite.
            kind: Of the modality.

        Returns:
            Shape (N, F), float64, of bounded size.
        """
        return flattened(values)

    def learn(self, features: np.ndarray, targets: Targets, seed: int, groups: np.ndarray | None = None) -> Learned:
        """Learn from training specimens.

        Args:
            features: Shape (N, F), float64; rows with NaN, and specimens without curve, are left out.
            targets: What the curves say.
            seed: For whatever is drawn.
            groups: Group of each specimen, shape (N,): what is held out inside is whole groups.

        Raises:
            ShapeError: If features, targets and groups are not of the same specimens.
            DataError: If fewer than ``least`` specimens have curve and features.
        """
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or len(features) != len(targets) or (groups is not None and len(groups) != len(targets)):
            raise ShapeError(
                f"features of shape {features.shape} and groups of {'no' if groups is None else len(groups)} specimens"
                f" do not belong to targets of {len(targets)}: expected one row for each specimen"
            )
        kept = np.asarray(targets.curve_known, bool) & np.isfinite(features).all(1)
        if kept.sum() < self.least:
            raise DataError(
                f"the speaker {self.name!r} learns from at least {self.least} specimens with a curve and all that it"
                f" hears, and there are {int(kept.sum())}: measure more, or leave it out"
            )
        lesson = Lesson.of(targets.at(kept), None if groups is None else np.asarray(groups)[kept])
        # Of few specimens scikit-learn takes a third of its time to look at settings that are ours.
        quick = require("sklearn", "speakers").config_context(skip_parameter_validation=True)
        with quick, one_thread(features.size):
            return self.regress(features[kept], lesson, seed)

    @abstractmethod
    def regress(self, features: np.ndarray, lesson: Lesson, seed: int) -> Learned:
        """Learn from specimens of which everything is known.

        Args:
            features: Shape (n, F), finite.
            lesson: What to learn.
            seed: For whatever is drawn.
        """


def frame(lesson: Lesson, features: np.ndarray, left: np.ndarray) -> dict[str, Any]:
    """Collect the fields that every :class:`Learned` has."""
    return {"whitening": lesson.whitening, "left": left, "log_weights": lesson.log_weights,
            "width": np.array(features.shape[1])}  # fmt: skip


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float64)
