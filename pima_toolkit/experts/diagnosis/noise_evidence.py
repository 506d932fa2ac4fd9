"""What whitened residuals say of the noise model: neighbours that go together, heavy tails, growth with the curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ..noise.base import CurveNoise, CurveResiduals
from ..noise.robust import RobustNoise

Array = NDArray[np.float64]

#: Standard errors from which a figure is told, and what it must be at least: smaller ones change no interval.
_SIGNIFICANT, _TOGETHER, _HEAVY, _GROWING = 4.0, 0.2, 1.5, 0.2
#: Fewer residuals say nothing.
_FEWEST = 20


@dataclass(frozen=True)
class NoiseEvidence:
    """Figures that are zero if the noise model is right; NaN where there are too few residuals.

    Args:
        autocorrelation: Correlation of neighbouring whitened residuals along t.
        autocorrelation_error: Its standard error under white noise.
        tails: Excess kurtosis; of a noise with heavy tails against what those have, it is not computed.
        tails_error: Its standard error under Gaussian noise.
        growth: Rank correlation of the residuals' size with that of the curve.
        growth_error: Its standard error under noise of one size.
        points: Number of residuals.
    """

    autocorrelation: float
    autocorrelation_error: float
    tails: float
    tails_error: float
    growth: float
    growth_error: float
    points: int

    def sentences(self) -> list[str]:
        """What speaks against the noise model, in words; empty where nothing does."""
        told = []
        if self.autocorrelation > max(_SIGNIFICANT * self.autocorrelation_error, _TOGETHER):
            told.append(
                f"neighbouring residuals go together (lag-1 autocorrelation {self.autocorrelation:.2f}, expected 0 ±"
                f" {self.autocorrelation_error:.2f}): the points say less than they seem to"
                ' (noise="autocorrelated" or "misfit")'
            )
        if self.tails > max(_SIGNIFICANT * self.tails_error, _HEAVY):
            told.append(
                f"some points are far off (excess kurtosis {self.tails:.1f}, expected 0 ± {self.tails_error:.1f}): they"
                ' pull the fit (noise="robust")'
            )
        if self.growth > max(_SIGNIFICANT * self.growth_error, _GROWING):
            told.append(
                f"residuals grow with the curve (rank correlation {self.growth:.2f}, expected 0 ±"
                f' {self.growth_error:.2f}): large values weigh too much (noise="proportional")'
            )
        return told


def evidence_of(noise: CurveNoise, left: CurveResiduals) -> NoiseEvidence:
    """Judge a noise model by what fits leave.

    Args:
        noise: The noise model.
        left: What own fits leave; curves of a share of zero do not count.
    """
    shape = noise.shape(left.t, left.seen, left.curve)
    whitened, slopes = left.whitened(shape)
    # The slopes are whitened too: what a fit takes off the residuals is set right.
    r = CurveResiduals(left.t, left.seen, left.curve, whitened, slopes, left.share).standardised()
    counted = left.seen & (left.share > 0.0)[:, None]
    t = np.broadcast_to(left.t, left.seen.shape)
    values, curves, first, second = [], [], [], []
    for n in np.flatnonzero(counted.any(1)):
        at = np.flatnonzero(counted[n])
        at = at[np.argsort(t[n, at], kind="stable")]
        values.append(r[n, at])
        curves.append(np.abs(left.curve[n, at]))
        first.append(r[n, at[:-1]])
        second.append(r[n, at[1:]])
    r, curve = np.concatenate(values or [np.zeros(0)]), np.concatenate(curves or [np.zeros(0)])
    count = r.size
    square = float(np.mean(np.square(r))) if count else 0.0
    # What rounding leaves is no noise.
    rounding = 1e-22 * float(np.mean(np.square(curve))) if count else 0.0
    if count < _FEWEST or not square > rounding:
        return NoiseEvidence(*[np.nan] * 6, points=count)
    before, after = np.concatenate(first), np.concatenate(second)
    together = float(np.mean(before * after)) / square if before.size >= _FEWEST else np.nan
    tails = np.nan
    if not isinstance(noise, RobustNoise):
        tails = float(np.mean(r**4)) / square**2 - 3.0
    growth = np.nan
    if np.ptp(curve) > 1e-9 * float(np.max(curve)):
        growth = float(scipy.stats.spearmanr(np.abs(r), curve).statistic)
    return NoiseEvidence(
        autocorrelation=together,
        autocorrelation_error=1.0 / np.sqrt(max(before.size, 1)),
        tails=tails,
        tails_error=np.sqrt(24.0 / count),
        growth=growth,
        growth_error=1.0 / np.sqrt(count - 1),
        points=count,
    )
