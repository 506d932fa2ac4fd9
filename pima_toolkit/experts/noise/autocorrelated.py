r"""``noise="autocorrelated"``: neighbouring points are off the same way, an Ornstein-Uhlenbeck process along t.

.. math:: R_{ij} = \exp(-|t_i - t_j| / \ell)

It has no memory but the last point, so whitening takes one look back, :math:`(r_i - \rho_i r_{i-1}) /
\sqrt{1 - \rho_i^2}` with :math:`\rho_i = \exp(-(t_i - t_{i-1})/\ell)` over the points that were measured: uneven grids
and gaps are no matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Array, CurveNoise, CurveResiduals, NoiseShape

#: Points at the same t count as this share of the curve's mean spacing apart: the process has one value there.
_TOGETHER = 1e-3


@dataclass(frozen=True)
class AutocorrelatedNoise(CurveNoise):
    """Ornstein-Uhlenbeck noise.

    Args:
        length: l, in the unit of t: the distance at which the correlation is 1/e; 0: not known yet, white noise.
    """

    name: ClassVar[str] = "autocorrelated"
    words: ClassVar[str] = "neighbouring points are off the same way (Ornstein-Uhlenbeck along t)"
    correlated: ClassVar[bool] = True

    length: float = 0.0

    def shape(self, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:  # noqa: ARG002 - t says it
        """One look back, in the order of t."""
        N, T = seen.shape
        if not self.length > 0.0:
            return NoiseShape(None, np.zeros(N))
        # One row serves all curves of a shared grid without gaps.
        alike = len(t) == 1 and bool((seen == seen[:1]).all())
        rows = seen[:1] if alike else seen
        along = np.where(rows, t, np.inf)
        order = np.argsort(along, axis=1, kind="stable")
        sorted_t, count = np.take_along_axis(along, order, 1), rows.sum(1)
        there = np.arange(T) < count[:, None]
        with np.errstate(invalid="ignore"):
            step = np.where(there[:, 1:], np.diff(sorted_t, axis=1), 0.0)
        mean = step.sum(1, keepdims=True) / np.maximum(count[:, None] - 1, 1)
        rho = np.exp(-np.maximum(step, _TOGETHER * mean) / self.length)
        left = np.where(there[:, 1:], -np.expm1(2.0 * np.log(np.maximum(rho, 1e-300))), 1.0)
        left = np.maximum(left, 1e-14)
        rho, back = np.where(there[:, 1:], rho, 0.0), np.argsort(order, axis=1)

        def whiten(values: Array) -> Array:
            shape = (len(order), T) + (1,) * (values.ndim - 2)
            ordered = np.take_along_axis(values, np.broadcast_to(order, (N, T)).reshape(N, *shape[1:]), 1)
            out = ordered.copy()
            look = (len(order), T - 1, *shape[2:])
            out[:, 1:] = (ordered[:, 1:] - rho.reshape(look) * ordered[:, :-1]) / np.sqrt(left).reshape(look)
            return np.take_along_axis(out, np.broadcast_to(back, (N, T)).reshape(N, *shape[1:]), 1)

        return NoiseShape(whiten, np.broadcast_to(np.log(left).sum(1), (N,)).copy())

    def limits(self, residuals: CurveResiduals) -> dict[str, tuple[float, float]]:
        """From a quarter of the points' distance, as good as white, to three times the curve's length."""
        low = 0.25 * residuals.spacing
        return {"length": (low, max(3.0 * residuals.reach, 2.0 * low))}
