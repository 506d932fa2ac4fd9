r"""Whether several tests of one material agree: each fitted alone, beside the parameters they have in common.

A test that is fitted alone has an optimum of its own. Moving from there to the common parameters costs it

.. math:: D_k = \frac{Q_k(\theta) - Q_k(\theta_k)}{s_k^2}, \qquad
          D_k \sim \sum_i (1 - \lambda_i)\, \chi^2_1, \qquad
          \lambda_i = \operatorname{eig}\big(J_k A^{-1} J_k^\top / s_k^2\big)

if nothing but its noise, as it tells that alone, drives the two apart; A is the information of all tests. For all tests
together :math:`\sum_k D_k` has as many degrees of freedom as parameters are saved by sharing (Chow 1960,
Econometrica 28, 591). With the noise learned, chi-square becomes Fisher's F; and points whose residuals go together,
because the law misses the test also where it is fitted alone, count as so many independent ones: n (1 - r) / (1 + r), r
their correlation with the next (Bayley & Hammersley 1946, Suppl. J. R. Stat. Soc. 8, 184).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ...errors import ExpertError
from ..noise.base import CurveNoise
from ..noise.misfit import MisfitNoise
from ..regression.coloured import residuals_at
from ..regression.solution import Solution
from .joined import TestCurve

Array = NDArray[np.float64]

#: Directions that count as seen, by their singular values and eigenvalues.
_SEEN, _KNOWN = 1e-5, 1e-10
#: Smallest noise of a test over its size: rounding is no noise.
_ROUNDING = 1e-8


@dataclass(frozen=True, eq=False)
class Alone:
    """A test's fit by itself beside the common parameters.

    Args:
        own: The fit; None where there is none.
        reason: Why there is none.
        rise: Sum of squares at the common parameters less that at its own, over the variance of its noise.
        slopes: Whitened slopes in all parameters at the common ones, over its noise, (T, P).
        spare: Independent points less parameters.
    """

    own: Solution | None
    reason: str
    rise: float
    slopes: Array
    spare: float


def fit_alone(
    test: TestCurve, kind: CurveNoise, common: Array, numbers: Sequence[int], free: NDArray[np.bool_], held: NDArray
) -> Alone:
    """Fit one test by itself.

    Args:
        test: What was measured.
        kind: Noise model, nothing learned yet.
        common: Common parameters, (P,).
        numbers: Which of them are the law's.
        free: Flags of those that were estimated, (P,).
        held: Flags of those that were held, (P,); they are held here too.
    """
    law, theta, seen = test.law, common[list(numbers)], np.isfinite(test.y)
    fixed = {p.name: float(theta[i]) for i, p in enumerate(law.parameters) if held[numbers[i]]}
    spare = float(seen.sum() - len(law.parameters) + len(fixed))
    nothing = np.zeros((0, len(common)))
    if spare < 1.0:
        return Alone(None, "it has too few points to be fitted by itself", np.nan, nothing, np.nan)

    def fitted(noise: str | CurveNoise) -> Solution:
        return law.fit(test.inputs, test.y, start=theta, fixed=fixed, noise=noise, noise_std=test.noise_std)

    try:
        own = fitted(kind)
        # A misfit that takes what is left for its own would leave nothing to judge by.
        judge = fitted("constant") if isinstance(kind, MisfitNoise) else own
    except ExpertError as error:
        return Alone(None, str(error), np.nan, nothing, np.nan)
    mine = free[list(numbers)]
    there, here = (residuals_at(law, judge.data, at, mine) for at in (theta, judge.fitted[0]))
    shape = judge.noise[0].shape(here.t, here.seen, here.curve)
    (moved, J), (best, _) = there.whitened(shape), here.whitened(shape)
    variance = 1.0 if judge.data.known else max(float(np.square(best).sum()), (_ROUNDING * test.size) ** 2) / spare
    if not judge.data.known:
        along = best[0, np.argsort(test.x, kind="stable")]
        together = np.clip(along[1:] @ along[:-1] / max(float(along @ along), 1e-300), 0.0, 0.99)
        few = max((spare + mine.sum()) * (1.0 - together) / (1.0 + together) - mine.sum(), 1.0)
        variance, spare = variance * spare / few, few
    slopes = np.zeros((test.y.size, len(common)))
    slopes[:, np.array(numbers)[mine]] = J[0] / np.sqrt(variance)
    rise = max(float(np.square(moved).sum() - np.square(best).sum()), 0.0) / variance
    return Alone(own, "", rise, slopes, spare)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Tests fitted alone, compared with the common parameters.

    Args:
        tests: Each of them.
        known: Whether their noise was given.
    """

    tests: tuple[Alone, ...]
    known: bool

    def judged(self) -> tuple[Array, float]:
        """Statistic, degrees of freedom and probability of each test, (K, 3), NaN where it says nothing; and of all."""
        size = np.sqrt(np.maximum(sum(np.square(one.slopes).sum(0) for one in self.tests), 1e-300))
        scaled = [one.slopes / size for one in self.tests]
        rows = np.concatenate(scaled)
        values, vectors = np.linalg.eigh(rows.T @ rows)
        used = values > _KNOWN * max(values[-1], 1e-300)
        inverse = (vectors[:, used] / values[used]) @ vectors[:, used].T
        out, determined = np.full((len(self.tests), 3), np.nan), 0
        for k, (one, slopes) in enumerate(zip(self.tests, scaled, strict=True)):
            left, singular, _ = np.linalg.svd(slopes, full_matrices=False)
            own = left[:, singular > _SEEN * singular.max(initial=1e-300)].T @ slopes
            # 1 - lambda of each direction that the test determines: 0 where nobody else does.
            share = np.clip(1.0 - np.linalg.eigvalsh(own @ inverse @ own.T), 0.0, 1.0)
            determined += len(share)
            if (total := float(share.sum())) > _SEEN:
                freedom = total**2 / float(np.square(share).sum())  # Satterthwaite
                out[k] = one.rise / total, freedom, self.probability(one.rise / total, freedom, one.spare)
        saved = determined - int(used.sum())
        if saved < 1:
            return out, np.nan
        there = [one for one in self.tests if one.own is not None]
        rise, spare = sum(one.rise for one in there), sum(one.spare for one in there)
        return out, self.probability(rise / saved, saved, spare)

    def probability(self, statistic: float, freedom: float, spare: float) -> float:
        """Probability of as large a statistic by noise alone."""
        if self.known:
            return float(scipy.stats.chi2.sf(statistic * freedom, freedom))
        return float(scipy.stats.f.sf(statistic, freedom, spare))
