r"""The linear speakers: ridge regression onto the deviation and logistic regression onto the population.

Features x become at most 40 principal components. Inside a population, ridge regression

.. math:: \hat\epsilon_c(x) = B x + a + a_c,

so that what tells populations apart is not taken for what varies within them; each direction has its own penalty, the
one of least squared error with each specimen (each group) left out. The level a has no penalty and the :math:`a_c` a
small one: features and targets are centred, and where components are as many as specimens, a regression without a level
could read off those that are left in what the one left out must be. Populations by multinomial logistic regression,
its penalty by likelihood out of inner folds.

Source: Hoerl & Kennard 1970; Allen 1974 for the residuals left out; Hastie, Tibshirani & Friedman 2009, section 4.4.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ...errors import require
from .base import Learned, Lesson, Speaker, frame
from .features import log_spectrum

#: Principal components, at most.
COMPONENTS = 40
#: Penalties of the ridge regression: the first component has the variance one.
RIDGE = np.logspace(-8, 4, 37)
#: Strengths of the logistic regression, the inverse of penalties.
LOGISTIC = np.logspace(-4, 2, 7)
#: Penalty of what is a population's own in the level; the level of all has none.
_LEVEL_PENALTY = 0.01
#: Responsibilities below this teach nothing.
_LEAST_SHARE = 1e-3
#: Folds of the inner cross-validations: of populations, and of deviations where specimens are in groups.
_CLASS_FOLDS, _GROUP_FOLDS = 4, 50
_ITERATIONS = 300


@dataclass(frozen=True)
class LearnedLinear(Learned):
    """Matrices of the linear speaker.

    Args:
        mean: Of the features, shape (F,).
        components: Shape (K, F), scaled: features minus mean, times their transpose, are the scores.
        slope: From scores to whitened deviation, shape (K, D).
        level: Deviation from each population at the mean of the features, shape (C, D).
        logits: From scores to populations, shape (C, K).
        bias: Shape (C,).
        taught: Populations that there was anything to learn of, shape (C,), bool; others keep their weight.
    """

    mean: np.ndarray
    components: np.ndarray
    slope: np.ndarray
    level: np.ndarray
    logits: np.ndarray
    bias: np.ndarray
    taught: np.ndarray

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Deviations from each population (M, C, D), and log p(c given x)."""
        scores = (features - self.mean) @ self.components.T
        deviation = (scores @ self.slope)[:, None] + self.level
        if self.taught.sum() < 2:
            return deviation, None
        return deviation, _log_probabilities(scores, self.logits, self.bias, self.taught, self.log_weights)


class Linear(Speaker):
    """Principal components, ridge and logistic regression; of any kind of modality."""

    name: ClassVar[str] = "linear"
    learned: ClassVar[type[Learned]] = LearnedLinear

    def regress(self, features: np.ndarray, lesson: Lesson, seed: int) -> LearnedLinear:
        """Learn matrices from specimens of which everything is known."""
        mean = features.mean(0)
        components = _components(features - mean, min(COMPONENTS, len(features) - 2), seed)
        scores = (features - mean) @ components.T
        slope, level, residual, silent = ridge(scores, lesson, seed)
        logits, bias, taught = logistic(scores, lesson, seed)
        left = np.where(silent, 1.0, lesson.left(residual))
        return LearnedLinear(
            **frame(lesson, features, left), mean=mean, components=components, slope=slope, level=level,
            logits=logits, bias=bias, taught=taught,
        )  # fmt: skip


class Spectrum(Linear):
    """The linear speaker of the log power spectrum: for textures, blind to where and sharp-eyed for how large."""

    name: ClassVar[str] = "spectrum"
    hears: ClassVar[frozenset[str]] = frozenset({"image", "volume"})

    def hear(self, values: Tensor | np.ndarray, kind: str) -> np.ndarray:  # noqa: ARG002 - pictures are alike
        """Logarithm of the power spectrum, shape (N, F)."""
        return log_spectrum(values)


def _components(centred: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Leading principal axes (K, F), divided by the standard deviation of the first score."""
    most = min(most, centred.shape[1])
    if not np.any(centred) or most < 1:
        return np.zeros((0, centred.shape[1]))
    small = min(centred.shape) <= 500
    if small:
        _, s, axes = np.linalg.svd(centred, full_matrices=False)
    else:
        extmath = require("sklearn.utils.extmath", "linear speakers")
        _, s, axes = extmath.randomized_svd(centred, most, n_iter=7, random_state=seed)
    kept = s[:most] > 1e-10 * s[0]
    return axes[:most][kept] * (np.sqrt(len(centred)) / s[0])


def ridge(x: np.ndarray, lesson: Lesson, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ridge regression with a level for each population, each direction with the penalty of least error left out.

    Args:
        x: Scores, shape (n, K).
        lesson: Whitened deviations with weights.
        seed: Of the inner folds, where specimens are in groups.

    Returns:
        Slopes (K, D); levels (C, D); residuals of specimens (groups) left out (n, D); which directions have no
        regression that is better than none, (D,), bool: there everything is zero, and residuals are the deviations.
    """
    y, weight, gamma = lesson.deviation, lesson.reliability, lesson.responsibilities
    slope, level = np.zeros((x.shape[1], y.shape[1])), np.zeros((gamma.shape[1], y.shape[1]))
    residual, silent = y.copy(), np.ones(y.shape[1], bool)
    if x.shape[1] == 0:
        return slope, level, residual, silent
    levels = np.c_[np.ones(len(x)), gamma]
    fold = None if lesson.groups is None else lesson.folds(_GROUP_FOLDS, seed)
    for j in range(y.shape[1]):
        root = np.sqrt(weight[:, j])
        moments = _Moments.of(x * root[:, None], levels * root[:, None], y[:, j] * root)
        out = moments.left_out() if fold is None else moments.groups_left_out(fold)
        loss = np.square(out).sum(0)
        best = int(loss.argmin())
        if loss[best] < np.square(moments.y).sum():
            silent[j] = False
            slopes, offsets = moments.solved(RIDGE[best : best + 1])
            slope[:, j], level[:, j] = slopes[:, 0], offsets[0, 0] + offsets[1:, 0]
            residual[:, j] = out[:, best] / root
    return slope, level, residual, silent


@dataclass(frozen=True)
class _Moments:
    """Weighted rows of a regression on x, penalised, and on levels g, and their products."""

    x: np.ndarray
    g: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xg: np.ndarray
    gg: np.ndarray
    xy: np.ndarray
    gy: np.ndarray

    @staticmethod
    def of(x: np.ndarray, g: np.ndarray, y: np.ndarray) -> _Moments:
        penalty = np.diag([0.0, *[_LEVEL_PENALTY] * (g.shape[1] - 1)])
        return _Moments(x, g, y, x.T @ x, x.T @ g, g.T @ g + penalty, x.T @ y, g.T @ y)

    def without(self, rows: np.ndarray) -> _Moments:
        """The same without some rows, which stay in x, g and y."""
        x, g, y = self.x[rows], self.g[rows], self.y[rows]
        return _Moments(self.x, self.g, self.y, self.xx - x.T @ x, self.xg - x.T @ g, self.gg - g.T @ g,
                        self.xy - x.T @ y, self.gy - g.T @ y)  # fmt: skip

    def solved(self, penalties: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slopes (K, penalties) and levels (1 + C, penalties)."""
        to_g = np.linalg.solve(self.gg, self.xg.T)
        values, axes = np.linalg.eigh(self.xx - self.xg @ to_g)
        rest = axes.T @ (self.xy - to_g.T @ self.gy)
        slopes = axes @ (rest[:, None] / (np.maximum(values, 0.0)[:, None] + penalties))
        return slopes, np.linalg.solve(self.gg, self.gy[:, None] - self.xg.T @ slopes)

    def left_out(self) -> np.ndarray:
        """Residuals of each row by the regression on all others, (n, penalties): residual / (1 - leverage)."""
        to_g = np.linalg.solve(self.gg, self.xg.T)
        values, axes = np.linalg.eigh(self.xx - self.xg @ to_g)
        inside = (self.x - self.g @ to_g) @ axes
        of_levels = np.einsum("ng,gn->n", self.g, np.linalg.solve(self.gg, self.g.T))
        leverage = of_levels[:, None] + np.square(inside) @ (1.0 / (np.maximum(values, 0.0)[:, None] + RIDGE))
        slopes, offsets = self.solved(RIDGE)
        return (self.y[:, None] - self.x @ slopes - self.g @ offsets) / np.maximum(1.0 - leverage, 1e-10)

    def groups_left_out(self, fold: np.ndarray) -> np.ndarray:
        """Residuals of each fold by the regression on all others, (n, penalties)."""
        out = np.empty((len(self.x), len(RIDGE)))
        for k in range(fold.max() + 1):
            rows = fold == k
            slopes, offsets = self.without(rows).solved(RIDGE)
            out[rows] = self.y[rows, None] - self.x[rows] @ slopes - self.g[rows] @ offsets
        return out


def logistic(x: np.ndarray, lesson: Lesson, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Multinomial logistic regression onto responsibilities, its penalty by likelihood out of inner folds.

    Args:
        x: Scores, shape (n, K).
        lesson: With responsibilities (n, C).
        seed: Of the inner folds.

    Returns:
        Slopes (C, K), bias (C,), and which populations were taught, (C,), bool. No slopes where none are better.
    """
    gamma = lesson.responsibilities
    clusters = gamma.shape[1]
    logits = np.zeros((clusters, x.shape[1]))
    taught = np.any(gamma > _LEAST_SHARE, axis=0)
    bias = np.where(taught, np.log(np.maximum(gamma.mean(0), 1e-300)), 0.0)
    if taught.sum() < 2 or x.shape[1] == 0:
        return logits, bias, np.zeros(clusters, bool)
    fold = lesson.folds(_CLASS_FOLDS, seed)
    score = np.zeros(len(LOGISTIC) + 1)
    for k in range(fold.max() + 1):
        inside, held = fold != k, fold == k
        fits = [_no_slopes(x[inside], gamma[inside]), *_regressions(x[inside], gamma[inside], LOGISTIC)]
        for i, (slopes, offset, known) in enumerate(fits):
            # A population that a fold lacks gets no more than one specimen's share of it.
            log_p = _log_probabilities(x[held], slopes, offset, known, np.full(clusters, -np.log(inside.sum() + 1)))
            score[i] += (gamma[held] * log_p).sum()
    best = int(score.argmax())
    if best == 0:
        return _no_slopes(x, gamma)
    return next(_regressions(x, gamma, LOGISTIC[best - 1 : best]))


def _no_slopes(x: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    taught = np.any(gamma > _LEAST_SHARE, axis=0)
    return np.zeros((gamma.shape[1], x.shape[1])), np.log(np.maximum(gamma.mean(0), 1e-300)), taught


def _regressions(x: np.ndarray, gamma: np.ndarray, strengths: np.ndarray) -> Any:
    """Yield slopes, bias and what was taught for each strength, warm-started."""
    linear_model = require("sklearn.linear_model", "linear speakers")
    not_settled = require("sklearn.exceptions", "linear speakers").ConvergenceWarning
    row, cluster = np.nonzero(gamma > _LEAST_SHARE)
    taught = np.zeros(gamma.shape[1], bool)
    taught[cluster] = True
    if taught.sum() < 2:
        for _ in strengths:
            yield _no_slopes(x, gamma)
        return
    model = linear_model.LogisticRegression(max_iter=_ITERATIONS, warm_start=True)
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", not_settled)  # what has not settled is judged out of fold like the rest
            model.set_params(C=float(strength)).fit(x[row], cluster, sample_weight=gamma[row, cluster])
        logits, bias = np.zeros((gamma.shape[1], x.shape[1])), np.zeros(gamma.shape[1])
        if taught.sum() == 2:  # one logit for two populations
            second = np.flatnonzero(taught)[1]
            logits[second], bias[second] = model.coef_[0], model.intercept_[0]
        else:
            logits[taught], bias[taught] = model.coef_, model.intercept_
        yield logits, bias, taught


def _log_probabilities(
    scores: np.ndarray, logits: np.ndarray, bias: np.ndarray, taught: np.ndarray, log_weights: np.ndarray
) -> np.ndarray:
    """Log p(c given x), (M, C): populations that were not taught have their weight, the others share the rest."""
    log_p = np.where(taught, scores @ logits.T + bias, -np.inf)
    log_p = log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True)
    unknown = np.exp(log_weights[~taught]).sum()
    return np.where(taught, log_p + np.log1p(-min(unknown, 1.0 - 1e-12)), log_weights)
