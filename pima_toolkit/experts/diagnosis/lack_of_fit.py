r"""Whether residuals follow functions that the law does not have: a score test.

With whitened residuals r and functions B of a curve, both without what the parameters could say as well,

.. math:: F = \frac{r^\top P_B\, r / \operatorname{rank} B}{s^2}, \qquad P_B = B (B^\top B)^+ B^\top,

and s^2 what is left of the residuals beyond everything smooth. Once with coefficients that all curves share, once with
each curve's own. Of a law linear in its parameters and white Gaussian noise F has its distribution exactly.

Source: Seber & Wild 1989, Nonlinear Regression, chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from .curves import PopulationCurves, orthonormal

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LackOfFit:
    """What residuals hold of some functions.

    Args:
        shared: log10 of the p-value with coefficients that all curves share.
        own: The same with each curve's own.
        size: Root mean square of what they hold, each curve's own, in standard deviations of the noise.
        alike: Share of its square that all curves have in common.
        curve: What all curves have in common, in the same unit, shape (N, T).
    """

    shared: float
    own: float
    size: float
    alike: float
    curve: Array


def lack_of_fit(curves: PopulationCurves, functions: Array) -> LackOfFit | None:
    """Test functions (N, T, K) along the curves; None where no residual is left to judge them by."""
    noise, freedom = curves.remainder
    B = curves.beyond_slopes(functions)
    r = curves.without_slopes(curves.residual[..., None])[..., 0]
    if not (freedom >= 1.0 and noise > 0.0) or not B.any():
        return None
    normal, pull = np.einsum("ntk,ntl->kl", B, B), np.einsum("ntk,nt->k", B, r)
    coefficients = np.linalg.pinv(normal, rcond=1e-8, hermitian=True) @ pull
    shared = float(coefficients @ pull)
    rank = int(np.linalg.matrix_rank(normal, tol=1e-8 * np.trace(normal), hermitian=True))
    U = orthonormal(B)
    along = np.square(U.mT @ r[..., None])[..., 0]
    own, ranks = float(along.sum()), int((np.square(U).sum(1) > 0.5).sum())
    points = float(curves.seen.sum())
    return LackOfFit(
        log_tail(shared / max(rank, 1) / noise, rank, freedom),
        log_tail(own / max(ranks, 1) / noise, ranks, freedom),
        float(np.sqrt(max(own / noise - ranks, 0.0) / points)),
        float(np.clip((shared - rank * noise) / max(own - ranks * noise, 1e-300), 0.0, 1.0)),
        (B @ coefficients) / np.sqrt(noise),
    )


def log_tail(ratio: float, above: float, below: float) -> float:
    """log10 of the probability that F with these degrees of freedom is beyond a ratio; 0 without any."""
    if not (above > 0 and below > 0 and ratio > 0.0):
        return 0.0
    return log10_of(scipy.stats.f.logsf(ratio, above, below))


def log10_of(log_p: float) -> float:
    """Turn the natural logarithm of a probability into log10, at least -300, so that sums stay numbers."""
    return float(np.clip(log_p / np.log(10.0), -300.0, 0.0))
