"""How many peaks a curve has, and where.

From the peaks that stand above the noise one is added where the rest of the curve rises most, as long as Schwarz's
criterion falls, and those without which it falls are left out. The rest is noise and what the shape misses, of which
neighbouring points have alike: it counts as so many points as it would have independent ones.

Source: Schwarz 1978, Ann. Stat. 6, 461.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, OptionError
from ..solvers.least_squares import solve
from .expert import Expert
from .peaks import CLEAR, MOST_PEAKS, Peaks, SeenPeak, candidates, noise_of

Array = NDArray[np.float64]

#: Fewest points to look at.
_FEWEST = 8


def found(
    shape: Expert,
    x: ArrayLike,
    y: ArrayLike,
    background: int | None = 1,
    shared: Sequence[str] = (),
    most: int = 20,
) -> Peaks:
    """Find how many peaks a curve has, and where: see ``pima.find_peaks``.

    Raises:
        ExpertError: If there is too little to look at, or no peak.
        OptionError: If an option is out of range.
    """
    x, y = np.asarray(x, dtype=np.float64), np.atleast_2d(np.asarray(y, dtype=np.float64))
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != x.size:
        raise ExpertError(f"y has the shape {y.shape} and x {x.shape}: expected one grid (T,), and y (T,) or (N, T)")
    if not isinstance(most, int) or not 1 <= most <= MOST_PEAKS:
        raise OptionError(f"most={most!r}: expected a number of peaks from 1 to {MOST_PEAKS}")
    seen = np.isfinite(x) & np.isfinite(y).any(0)
    order = np.flatnonzero(seen)[np.argsort(x[seen], kind="stable")]
    if order.size < _FEWEST:
        raise ExpertError(f"there are {order.size} points: at least {_FEWEST} are needed to look for peaks")
    x, mean = x[order], np.asarray(np.nanmean(y[:, order], axis=0))
    options = {"background": background, "shared": shared, "offset": 0.5 * (x[0] + x[-1]), "scale": 0.5 * np.ptp(x)}
    centres = _PeakSearch(x, mean, functools.partial(Peaks, shape, **options), most).run()
    ends = np.concatenate([x[:1], 0.5 * (centres[1:] + centres[:-1]), x[-1:]])
    return Peaks(shape, len(centres), places=list(itertools.pairwise(ends)), **options)


@dataclass(frozen=True)
class _FittedPeaks:
    """Peaks fitted to a curve: the law, its parameters (P,), and what they leave of the curve (T,)."""

    law: Peaks
    theta: Array
    left: Array

    @property
    def common(self) -> Array:
        """Parameters of the background, and those that the peaks share."""
        return self.theta[: self.law.common]

    @property
    def peaks(self) -> Array:
        """Parameters of each peak's own, (count, each)."""
        return self.theta[self.law.common :].reshape(self.law.count, -1)


@dataclass(frozen=True)
class _PeakSearch:
    """The search for the number of peaks of one curve.

    Args:
        x: Increasing, (T,).
        y: The curve, (T,).
        law: Makes the law of a number of peaks.
        most: Peaks at most.
    """

    x: Array
    y: Array
    law: Callable[[int], Peaks]
    most: int

    def run(self) -> Array:
        """The centres of the peaks, increasing.

        Raises:
            ExpertError: If there is no peak.
        """
        base, coefficients = self.law(1).under(self.x, self.y)
        clear = self.clear(self.y - base)[: self.most]
        if not clear:
            raise ExpertError(
                f"there is no peak: nothing rises above the background by {CLEAR:g} standard deviations of the noise"
            )
        law = self.law(len(clear))
        at = self.fitted(law, law.at(clear, coefficients))
        while at.law.count < self.most and (rest := self.clear(at.left)):
            more = self.law(at.law.count + 1)
            new = more.at(rest[:1], coefficients)[-at.peaks.shape[1] :]
            tried = self.fitted(more, np.append(at.theta, new))
            if not self.better(tried, at):
                break
            at = tried
        while at.law.count > 1:
            outside = self.outside(at)
            left_out = int(outside[0]) if outside.size else self.weakest(at)
            peaks = np.delete(at.peaks, left_out, axis=0)
            tried = self.fitted(self.law(len(peaks)), np.append(at.common, peaks))
            if not outside.size and self.better(at, tried):
                break
            at = tried
        return np.sort(self.centres(at))

    def centres(self, at: _FittedPeaks) -> Array:
        """Centres of the peaks, in their order, (count,)."""
        return at.theta[[p.name in at.law.within for p in at.law.parameters]]

    def outside(self, at: _FittedPeaks) -> NDArray[np.int64]:
        """Numbers of the peaks whose centres are at an end of the curve: flanks of others, or of the background."""
        return np.flatnonzero((self.centres(at) < self.x[1]) | (self.centres(at) > self.x[-2]))

    def clear(self, y: Array) -> list[SeenPeak]:
        """Peaks that rise clearly above the noise, the strongest first."""
        noise = CLEAR * noise_of(self.y)
        return sorted((one for one in candidates(self.x, y) if one.rise > noise), key=lambda one: -one.rise)

    def fitted(self, law: Peaks, start: Array) -> _FittedPeaks:
        """The best fit from one start."""
        theta = solve(law, self.x, self.y, start=start[None, None]).parameters[0]
        return _FittedPeaks(law, theta, self.y - law.value_and_jacobian(self.x, theta)[0])

    def better(self, more: _FittedPeaks, fewer: _FittedPeaks) -> bool:
        """Whether Schwarz's criterion is lower with more peaks; neighbouring residuals that go together count less."""
        left = more.left
        alike = max(float(left[1:] @ left[:-1]) / float(left @ left), 0.0)
        points = max(left.size * (1.0 - alike) / (1.0 + alike), 2.0)
        gain = points * math.log(float(fewer.left @ fewer.left) / float(left @ left))
        return gain > (more.theta.size - fewer.theta.size) * math.log(points)

    def weakest(self, at: _FittedPeaks) -> int:
        """Number of the peak whose height is the fewest standard errors above zero."""
        jacobian = at.law.value_and_jacobian(self.x, at.theta)[1]
        size = np.maximum(np.sqrt(np.square(jacobian).sum(0)), 1e-300)
        error = np.sqrt(np.diagonal(np.linalg.pinv((jacobian / size).T @ (jacobian / size)))) / size
        heights = list(at.law.heights)
        return int(np.argmin(at.theta[heights] / np.maximum(error[heights], 1e-300)))
