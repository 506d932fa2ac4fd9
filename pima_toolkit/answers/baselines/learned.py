r"""What every method shares in one fold, learned from its training specimens alone: scales and principal components.

The given modalities are centred, a vector's entries are brought to unit variance, each modality to unit total variance,

.. math:: x_m \leftarrow (x_m - \bar x_m) \Big/ \sqrt{\textstyle\sum_f \operatorname{var}(x_{mf})},

and the principal components of all of them side by side are taken. Gaps are filled by the training mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import require
from .inputs import Flags, Given, Target

Array = NDArray[np.float64]
Index = NDArray[np.int64]

#: Most principal components of what is given, and of a picture or curve that extra trees see.
COMPONENTS, TREE_COMPONENTS = 200, 50
#: Principal components of the target: this share of the variance, at most so many.
SHARE, TARGET_COMPONENTS = 0.999, 40
#: A component of less than this share of the variance is rounding.
_NOTHING = 1e-12


@dataclass(frozen=True, eq=False)
class TrainingFold:
    """Training specimens n and others h in one fold.

    Args:
        scores: Principal components of what is given, training, shape (n, R).
        held_scores: Of the others in the same coordinates, shape (h, R).
        table: Numbers as extra trees see them, training, shape (n, F).
        held_table: Of the others, shape (h, F).
        target: Training target, gaps filled by the mean, shape (n, T).
        seen: Which of its points were measured, shape (n, T).
        mean: Mean of the measured training values at each point, shape (T,).
        axes: Principal components of the training target, shape (K, T).
        target_scores: Coordinates of the training target along them, shape (n, K).
        parameters: Fitted unbounded parameters of the training curves, shape (n, P), or None.
        seed: Of what is drawn.
        spectra: What is given with the spectra of pictures in their place, training, shape (n, S); None without any.
        held_spectra: Of the others, shape (h, S), or None.
    """

    scores: Array
    held_scores: Array
    table: Array
    held_table: Array
    target: Array
    seen: Flags
    mean: Array
    axes: Array
    target_scores: Array
    parameters: Array | None
    seed: int
    spectra: Array | None = None
    held_spectra: Array | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to learn: what is given, or the target, is the same for all training specimens."""
        return self.scores.shape[1] == 0 or self.axes.shape[0] == 0

    def curves(self, target_scores: Array) -> Array:
        """Target values (h, T) from coordinates along the principal components (h, K)."""
        return self.mean + target_scores @ self.axes

    def averages(self, weight: Array, which: Index | slice = slice(None)) -> Array:
        """Weighted averages of measured training values, shape (h, T); the training mean where none was measured.

        Args:
            weight: Of k training specimens in each of h averages, not negative, shape (h, k).
            which: Their numbers, shape (h, k); all n, in order, by default.
        """
        if isinstance(which, slice):
            total, share = weight @ (self.target * self.seen), weight @ self.seen
        else:
            seen = self.seen[which]
            total, share = (np.einsum("hk,hkt->ht", weight, part) for part in (self.target[which] * seen, seen))
        return np.where(share > 0.0, total / np.where(share > 0.0, share, 1.0), self.mean)

    def average(self) -> Array:
        """The training mean for each of the others, shape (h, T)."""
        return np.tile(self.mean, (len(self.held_scores), 1))


def learn(
    target: Target, given: Sequence[Given], train: Index, held: Index, parameters: Array | None, seed: int
) -> TrainingFold:
    """Learn scales and components from some specimens, and apply them to others.

    Args:
        target: Of all N specimens.
        given: Of all N specimens.
        train: Numbers of those learned from, shape (n,).
        held: Numbers of the others, shape (h,).
        parameters: Fitted parameters of every specimen's own curve, shape (N, P), or None.
        seed: Of the random parts of the principal components of large tables.
    """
    scaled, held_scaled, table, held_table, spectra = [], [], [], [], []
    for one in given:
        x, mean = filled(one.values, one.observed, train)
        inside, outside = x[train] - mean, x[held] - mean
        if one.kind == "vector":
            spread = inside.std(0)
            spread[spread == 0.0] = np.inf
            inside, outside = inside / spread, outside / spread
        size = np.sqrt(np.square(inside).sum() / len(train)) or np.inf
        scaled.append(inside / size)
        held_scaled.append(outside / size)
        spectra.append((scaled[-1], held_scaled[-1]) if one.spectrum is None else _scaled(one.spectrum, train, held))
        if one.kind in ("picture", "curve") and x.shape[1] > TREE_COMPONENTS:
            parts = components(scaled[-1], held_scaled[-1], TREE_COMPONENTS, seed)
        else:
            parts = x[train], x[held]
        table.append(parts[0])
        held_table.append(parts[1])
    scores, held_scores = components(np.hstack(scaled), np.hstack(held_scaled), COMPONENTS, seed)
    y, mean = filled(target.values, target.observed, train)
    centred = y[train] - mean
    axes = _target_axes(centred)
    own = None if parameters is None else parameters[train]
    tables = np.hstack(table), np.hstack(held_table)
    textured = any(one.spectrum is not None for one in given)
    seen = [np.hstack(part) for part in zip(*spectra, strict=True)] if textured else [None, None]
    return TrainingFold(
        scores, held_scores, *tables, y[train], target.observed[train], mean, axes, centred @ axes.T, own, seed, *seen
    )


def _scaled(values: Array, train: Index, held: Index) -> tuple[Array, Array]:
    """Training rows and others, centred and to a total variance of one."""
    mean = values[train].mean(0)
    size = np.sqrt(np.square(values[train] - mean).sum() / len(train)) or np.inf
    return (values[train] - mean) / size, (values[held] - mean) / size


def filled(values: Array, observed: Flags, train: Index) -> tuple[Array, Array]:
    """Values with gaps filled by the mean of the training specimens, and that mean, shape (F,).

    Where no training specimen was measured the mean goes straight from one measured neighbour to the next.
    """
    count = observed[train].sum(0)
    mean = np.where(observed[train], values[train], 0.0).sum(0) / np.maximum(count, 1)
    if not count.all() and count.any():
        at = np.flatnonzero(count)
        mean = np.interp(np.arange(len(mean)), at, mean[at])
    return np.where(observed, values, mean), mean


def components(train: Array, held: Array, most: int, seed: int) -> tuple[Array, Array]:
    """Principal components of centred training rows (n, F), at most so many; those rows' and others' coordinates."""
    total = np.square(train).sum()
    if total == 0.0:
        return np.zeros((len(train), 0)), np.zeros((len(held), 0))
    count = min(most, len(train) - 1, train.shape[1])
    pca = require("sklearn.decomposition", "baselines").PCA(count, random_state=seed).fit(train)
    kept = pca.components_[pca.singular_values_**2 > _NOTHING * total]
    return train @ kept.T, held @ kept.T


def _target_axes(centred: Array) -> Array:
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    variance = np.square(size)
    total = variance.sum()
    if total == 0.0:
        return np.zeros((0, centred.shape[1]))
    enough = int(np.searchsorted(np.cumsum(variance) / total, SHARE)) + 1
    return axes[: min(enough, TARGET_COMPONENTS, int((variance > _NOTHING * total).sum()))]
