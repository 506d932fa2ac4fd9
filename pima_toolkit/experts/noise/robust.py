r"""``noise="robust"``: Student's t, of which a few points far off are no surprise.

With :math:`\omega = (\nu + 1) / (\nu + r^2/s^2)` and :math:`u = (\nu + 1) / (\nu + 3)` the score of a point is
:math:`\omega r / s^2` and its Fisher information :math:`u / s^2`. So least squares on the working data

.. math:: \tilde y = E + \omega r / u

has the score and the information of the t likelihood, and the working noise the variance :math:`s^2 / u`: all that is
known of least squares, errors and populations of curves holds for it. Fit and working data take turns (Fisher scoring).

Source: Lange, Little & Taylor 1989 (JASA 84, 881); working data as Huber & Ronchetti 2009, Robust Statistics, 7.8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from .base import Array, CurveNoise, CurveResiduals, NoiseShape

#: Degrees of freedom: fewer are no noise any more, more are as good as Gaussian.
_FEWEST, _MOST = 1.0, 200.0


@dataclass(frozen=True)
class RobustNoise(CurveNoise):
    """Student's t.

    Args:
        freedom_t: Degrees of freedom nu; few: heavy tails.
        scale: s, in the unit of the curves for a point of weight one; 0: not known yet, and the noise is Gaussian.
    """

    name: ClassVar[str] = "robust"
    words: ClassVar[str] = "Student's t: some points are far off"
    follows_curve: ClassVar[bool] = True

    freedom_t: float = 4.0
    scale: float = 0.0

    def shape(self, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:  # noqa: ARG002 - the same for all
        """No shape: the working data have noise of one variance."""
        return NoiseShape(None, np.zeros(len(seen)))

    def working(self, y: Array, weights: Array, curve: Array) -> Array:
        """Draw points far off towards the curve, by their score."""
        if not self.scale > 0.0:
            return y
        nu = self.freedom_t
        r = np.where((weights > 0.0) & np.isfinite(curve), y - curve, 0.0)
        counts = (nu + 3.0) / (nu + weights * np.square(r / self.scale))
        return np.where(r == 0.0, y, y - r + counts * r)

    def spread(self, curve: Array) -> Array:
        """Variance of the Gaussian with the same 90 % band as t, over the working noise's."""
        if not self.scale > 0.0:
            return np.ones_like(curve)
        nu = self.freedom_t
        wide = scipy.stats.t.ppf(0.95, nu) / scipy.stats.norm.ppf(0.95)
        return np.full_like(curve, wide**2 * (nu + 1.0) / (nu + 3.0))

    def log_density(self, residual: Array, seen: NDArray[np.bool_]) -> Array:
        """Log density of weighted residuals, summed over the measured points, shape (N,), nats, without the weights."""
        density = scipy.stats.t.logpdf(residual / self.scale, self.freedom_t) - np.log(self.scale)
        return np.where(seen, density, 0.0).sum(1)

    def update(self, residuals: CurveResiduals) -> Self:
        """Learn scale and degrees of freedom by likelihood, from residuals set right for what the fit took."""
        r = residuals.standardised()[residuals.seen]
        share = np.broadcast_to(residuals.share[:, None], residuals.seen.shape)[residuals.seen]
        middle = 1.4826 * float(np.median(np.abs(r))) if r.size else 0.0
        middle = middle or float(np.sqrt(np.mean(np.square(r)))) if r.size else 0.0
        if not middle > 0.0 or not share.sum() > 0.0:
            return self
        count = float(share.sum())
        low, high = np.log([_FEWEST, 1e-3]), np.log([_MOST, 1e3])

        def cost(x: Array) -> float:
            inside = np.clip(x, low, high)
            nu, s2 = np.exp(inside[0]), np.exp(2.0 * inside[1]) * middle**2
            constant = scipy.special.gammaln(0.5 * (nu + 1)) - scipy.special.gammaln(0.5 * nu) - 0.5 * np.log(nu * s2)
            tails = 0.5 * (nu + 1.0) * float(share @ np.log1p(np.square(r) / (nu * s2)))
            return tails - count * float(constant) + 1e3 * float(np.square(x - inside).sum())

        trials = [np.array([np.log(nu), 0.0]) for nu in (1.5, 3.0, 8.0, 40.0)]
        best = min(trials, key=cost)
        options = {"xatol": 1e-4, "fatol": 1e-8, "maxiter": 400}
        found = scipy.optimize.minimize(cost, best, method="Nelder-Mead", options=options).x
        nu, s = np.exp(np.clip(found, low, high))
        return replace(self, freedom_t=float(nu), scale=float(s) * middle)
