"""Methods fitted fold by fold: inner parts choose a candidate and make its band, then the fold is predicted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .folds import Folds
from .inputs import Given, Target
from .learned import learn
from .methods import METHODS, Prediction

Array = NDArray[np.float64]
Index = NDArray[np.int64]

#: Share of held-out points that the bands are to hold.
SHARE = 0.9


@dataclass(eq=False)
class Predicted:
    """What one method says of specimens that it did not know.

    Args:
        values: Predictions, shape (N, T), in the target's unit; NaN for who was never held out.
        half_width: Half the width of the band, shape (N, T).
        seconds: Time of the method alone.
    """

    values: Array
    half_width: Array
    seconds: float = 0.0


@dataclass(eq=False)
class HeldOut:
    """The task: what is predicted from what, and who is held out when.

    Args:
        target: Of N specimens.
        given: Of the same specimens.
        folds: Of the same specimens.
        methods: Names of those to try.
        parameters: Fitted parameters of each curve, shape (N, P), or None.
    """

    target: Target
    given: Sequence[Given]
    folds: Folds
    methods: Sequence[str]
    parameters: Array | None
    _fitted: dict[bytes, dict[str, list[Prediction]]] = field(default_factory=dict)

    def run(self) -> dict[str, Predicted]:
        """Predict every fold by every method."""
        shape = self.target.values.shape
        out = {name: Predicted(np.full(shape, np.nan), np.full(shape, np.nan)) for name in self.methods}
        for fold in self.folds.labels:
            train, held = self.folds.training(fold), np.flatnonzero(self.folds.number == fold)
            inner = [(np.setdiff1d(train, part), part) for part in self.folds.inner(fold)]
            for learned_from in (train, *(rest for rest, _ in inner)):
                self._fit(learned_from, out)
            for name, one in out.items():
                began = time.perf_counter()
                best, one.half_width[held] = self._choice(name, inner)
                one.values[held] = self._candidate(name, train, held, best)
                one.seconds += time.perf_counter() - began
            if not self.folds.paired:  # no other fold will ask for these
                self._fitted.clear()
        return out

    def _fit(self, train: Index, out: dict[str, Predicted]) -> None:
        """Fit all methods to some specimens, to predict all others; once, whoever asks."""
        key = train.tobytes()
        if key in self._fitted:
            return
        others = self._others(train)
        learned = learn(self.target, self.given, train, others, self.parameters, self.folds.seed)
        fitted = {}
        for name in self.methods:
            began = time.perf_counter()
            fitted[name] = [learned.average] if learned.empty else METHODS[name](learned)
            out[name].seconds += time.perf_counter() - began
        self._fitted[key] = fitted

    def _others(self, train: Index) -> Index:
        return np.setdiff1d(np.arange(len(self.target.values)), train)

    def _candidate(self, name: str, train: Index, held: Index, number: int) -> Array:
        """Predict some of those that were not learned from, by one candidate, shape (held, T)."""
        fitted = self._fitted[train.tobytes()][name]
        made = fitted[min(number, len(fitted) - 1)]  # where there was nothing to learn, the mean is all there is
        return made()[np.searchsorted(self._others(train), held)]

    def _choice(self, name: str, inner: Sequence[tuple[Index, Index]]) -> tuple[int, Array]:
        """The candidate of least squared error on inner parts, and half the band's width (T,) from its residuals."""
        count = max(len(self._fitted[rest.tobytes()][name]) for rest, _ in inner)
        tried = []
        for number in range(count):
            parts = [self._candidate(name, rest, part, number) - self.target.values[part] for rest, part in inner]
            tried.append(np.concatenate(parts))
        seen = np.concatenate([self.target.observed[part] for _, part in inner])
        best = int(np.argmin([np.square(residual[seen]).sum() for residual in tried]))
        return best, half_width(np.abs(tried[best]), seen)


def half_width(residuals: Array, seen: NDArray[np.bool_]) -> Array:
    """Half the width of a 90 % band at each point, (T,): the ceil(0.9 (n + 1))-th of n residuals, at most the largest.

    Args:
        residuals: Absolute residuals of specimens that were not learned from, shape (n, T).
        seen: Which of them were measured; where none was, the band is the widest of all points.
    """
    count = seen.sum(0)
    ordered = np.sort(np.where(seen, residuals, np.inf), axis=0)
    rank = np.minimum(np.ceil(SHARE * (count + 1)).astype(np.int64), count) - 1
    width = np.take_along_axis(ordered, np.maximum(rank, 0)[None], axis=0)[0]
    return np.where(count > 0, width, width[count > 0].max(initial=0.0))
