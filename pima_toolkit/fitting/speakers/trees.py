r"""The speaker of trees: extremely randomised trees onto deviation and population, kept as plain arrays.

One forest learns the whitened deviation, another the responsibilities. Each tree learns from nine tenths of the
specimens, others each time, and errors and probabilities are judged by what the trees that have not met a specimen say
of it, so that nothing is grown only to be judged: :math:`p = (n\,\bar\gamma + \pi) / (n + 1)` of n trees is never 0,
and its power s, which makes up for an average of trees being more timid than it must, is the likeliest out of fold.

Source: Geurts, Ernst & Wehenkel 2006; Buehlmann & Yu 2002 for trees of parts of the specimens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ...errors import require
from .base import Learned, Lesson, Speaker, frame
from .features import flattened, moments

#: Trees that judge a specimen, and how many times as many there are.
JUDGES, PARTS = 12, 10
#: Most leaves of a tree, about: larger leaves where there are more specimens, for the size of a saved fit.
_LEAVES = 1000
#: Powers of the probabilities.
POWERS = np.array([0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0])
#: Cells along an axis: trees look at one feature at a time, and many of little use hide the few.
_CELLS = {1: 32, 2: 8, 3: 4}
#: Specimens that walk together.
_TOGETHER = 512


@dataclass(frozen=True)
class Forest:
    """Regression trees as arrays, one tree after the other.

    Args:
        feature: That a node asks about, shape (nodes,); -1 at a leaf.
        threshold: Up to which, as float32, a specimen goes left.
        left: Node it goes to then.
        right: Node it goes to otherwise.
        value: Prediction of a leaf, its number, shape (nodes,) into ``leaves``.
        leaves: Shape (leaves, outputs).
        roots: First node of each tree, shape (trees,).
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    leaves: np.ndarray
    roots: np.ndarray

    @staticmethod
    def of(estimators: Iterable[Any]) -> Forest:
        """Read scikit-learn's fitted regression trees, such as ``forest.estimators_``."""
        trees = [estimator.tree_ for estimator in estimators]
        sizes = np.array([tree.node_count for tree in trees])
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        left = np.concatenate([tree.children_left for tree in trees])
        right = np.concatenate([tree.children_right for tree in trees])
        leaf = left < 0
        start = np.repeat(roots, sizes)
        here = np.arange(len(leaf))
        return Forest(
            feature=np.where(leaf, -1, np.concatenate([tree.feature for tree in trees])).astype(np.int32),
            threshold=np.concatenate([tree.threshold for tree in trees]),
            left=np.where(leaf, here, left + start).astype(np.int32),
            right=np.where(leaf, here, right + start).astype(np.int32),
            value=np.where(leaf, np.cumsum(leaf) - 1, -1).astype(np.int32),
            leaves=np.concatenate([tree.value[:, :, 0] for tree in trees])[leaf],
            roots=roots,
        )

    @staticmethod
    def none(outputs: int) -> Forest:
        """A forest without trees."""
        whole, real = np.zeros(0, np.int32), np.zeros(0)
        return Forest(whole, real, whole, whole, whole, np.zeros((0, outputs)), whole)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Mean prediction of the trees, (M, outputs), bit by bit that of scikit-learn's forest."""
        x = features.astype(np.float32)
        total = np.zeros((len(x), self.leaves.shape[1]))
        for begin in range(0, len(x), _TOGETHER):
            rows = x[begin : begin + _TOGETHER]
            node = np.broadcast_to(self.roots[:, None], (len(self.roots), len(rows))).copy()
            tree, specimen = np.nonzero(self.feature[node] >= 0)
            while len(tree):
                at = node[tree, specimen]
                goes_left = rows[specimen, self.feature[at]] <= self.threshold[at]
                at = np.where(goes_left, self.left[at], self.right[at])
                node[tree, specimen] = at
                on = self.feature[at] >= 0
                tree, specimen = tree[on], specimen[on]
            for reached in node:  # one tree after the other, as scikit-learn adds them up
                total[begin : begin + _TOGETHER] += self.leaves[self.value[reached]]
        return total / max(len(self.roots), 1)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays under names that begin with ``name``."""
        return {f"{name}_{key}": values for key, values in vars(self).items()}

    @staticmethod
    def from_arrays(arrays: Mapping[str, np.ndarray], name: str) -> Forest:
        """Make it again from :meth:`arrays`."""
        return Forest(**{key: np.asarray(arrays[f"{name}_{key}"]) for key in Forest.__dataclass_fields__})


@dataclass(frozen=True)
class LearnedTrees(Learned):
    """Two forests as arrays: each field's meaning is that of :class:`Forest`.

    Args:
        power: Of the probabilities, shape (); 0 where it says nothing of the population.
    """

    power: np.ndarray
    deviation_feature: np.ndarray
    deviation_threshold: np.ndarray
    deviation_left: np.ndarray
    deviation_right: np.ndarray
    deviation_value: np.ndarray
    deviation_leaves: np.ndarray
    deviation_roots: np.ndarray
    population_feature: np.ndarray
    population_threshold: np.ndarray
    population_left: np.ndarray
    population_right: np.ndarray
    population_value: np.ndarray
    population_leaves: np.ndarray
    population_roots: np.ndarray

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Deviations, the same from each population, (M, 1, D), and log p(c given x)."""
        deviation = Forest.from_arrays(vars(self), "deviation").predict(features)
        if self.power == 0:
            return deviation[:, None], None
        population = Forest.from_arrays(vars(self), "population")
        share = population.predict(features)
        log_p = _log_probabilities(share, len(population.roots), self.log_weights, float(self.power))
        return deviation[:, None], log_p


class Trees(Speaker):
    """Extremely randomised trees; for vectors and settings, and for pictures of few cells."""

    name: ClassVar[str] = "trees"
    learned: ClassVar[type[Learned]] = LearnedTrees
    least: ClassVar[int] = 10

    def hear(self, values: Tensor | np.ndarray, kind: str) -> np.ndarray:  # noqa: ARG002 - as the shape says
        """Vectors as they are; curves, pictures and volumes in 32, 8 x 8 and 4 x 4 x 4 cells, and by their moments."""
        return np.concatenate([flattened(values, _CELLS), moments(values)], 1)

    def regress(self, features: np.ndarray, lesson: Lesson, seed: int) -> LearnedTrees:
        """Learn two forests from specimens of which everything is known."""
        gamma, y = lesson.responsibilities, lesson.deviation
        if y.shape[1]:
            weight = lesson.reliability.mean(1)
            deviation, predicted = _forest(features, y, weight, lesson.groups, seed)
            left = lesson.left(y - predicted)
        else:
            left, deviation = np.ones(0), Forest.none(0)
        power, population = 0.0, Forest.none(gamma.shape[1])
        if gamma.shape[1] > 1:
            population, share = _forest(features, gamma, None, lesson.groups, seed)
            scores = [(gamma * _log_probabilities(share, JUDGES, lesson.log_weights, s)).sum() for s in POWERS]
            power = float(POWERS[int(np.argmax(scores))])
        arrays = deviation.arrays("deviation") | population.arrays("population")
        return LearnedTrees(**frame(lesson, features, left), power=np.array(power), **arrays)


def _forest(
    x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, groups: np.ndarray | None, seed: int
) -> tuple[Forest, np.ndarray]:
    """Grow trees, each without a part of the groups; all of them, and what those say that have not met a specimen."""
    tree = require("sklearn.tree", "trees").ExtraTreeRegressor
    x, y = np.ascontiguousarray(x, np.float32), np.ascontiguousarray(y)
    code = np.arange(len(x)) if groups is None else groups
    draw, grown, judged = np.random.default_rng(seed), [], np.zeros_like(y)
    for number in draw.integers(2**31, size=JUDGES * PARTS).tolist():
        if len(grown) % PARTS == 0:
            part = draw.permutation(code.max() + 1)[code] % PARTS
        inside = part != len(grown) % PARTS
        # One by one: a forest of scikit-learn's takes most of its time, of few specimens, to look at its own settings.
        one = tree(min_samples_leaf=max(2, np.count_nonzero(inside) // _LEAVES), max_features=1.0, random_state=number)
        one.fit(x[inside], y[inside], None if weight is None else weight[inside], check_input=False)
        judged[~inside] += one.tree_.predict(x[~inside]).reshape(-1, y.shape[1])
        grown.append(one)
    return Forest.of(grown), judged / JUDGES


def _log_probabilities(share: np.ndarray, trees: int, log_weights: np.ndarray, power: float) -> np.ndarray:
    """Log of smoothed shares to a power, normalised."""
    log_p = power * (np.log((trees * share + np.exp(log_weights)) / (trees + 1)) - log_weights) + log_weights
    return log_p - np.logaddexp.reduce(log_p, axis=1, keepdims=True)
