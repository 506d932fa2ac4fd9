r"""``noise="misfit"``: white noise, and a smooth curve by which the law misses each specimen.

.. math:: R_{ij} = \delta_{ij} + a \exp\big(-\tfrac12 (t_i - t_j)^2 / \ell^2\big)

A Gaussian process stands for what the law leaves out, with its size and its length. What the law's parameters could say
as well as the process, nobody can tell apart: errors grow by that. Each specimen has a misfit of its own; one that all
share shows in none of them. Source: Kennedy & O'Hagan 2001 (J. R. Stat. Soc. B 63, 425).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from .base import Array, CurveNoise, CurveResiduals, NoiseShape


@dataclass(frozen=True)
class MisfitNoise(CurveNoise):
    """White noise and a smooth misfit.

    Args:
        amplitude: a, variance of the misfit over that of the noise; 0: there is none.
        length: l, in the unit of t.
    """

    name: ClassVar[str] = "misfit"
    words: ClassVar[str] = "white noise, and a smooth curve by which the law misses each specimen"
    correlated: ClassVar[bool] = True

    amplitude: float = 0.0
    length: float = 0.0

    def spread(self, curve: Array) -> Array:
        """Variance of both over the noise's."""
        return np.full_like(curve, 1.0 + self.amplitude)

    def shape(self, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:  # noqa: ARG002 - t says it
        """A triangle for each grid and each pattern of gaps."""
        N, T = seen.shape
        if not (self.amplitude > 0.0 and self.length > 0.0):
            return NoiseShape(None, np.zeros(N))
        grid = np.broadcast_to(t, seen.shape)
        rows, which = np.concatenate([np.where(seen, grid, 0.0), seen], axis=1), np.zeros(N, dtype=np.int64)
        if (rows == rows[:1]).all():
            rows = rows[:1]
        else:
            rows, which = np.unique(rows, axis=0, return_inverse=True)
            which = which.reshape(-1)
        along, there = rows[:, :T], rows[:, T:] > 0.0
        apart = np.square((along[:, :, None] - along[:, None, :]) / self.length)
        both = there[:, :, None] & there[:, None, :]
        R = np.eye(T) + np.where(both, self.amplitude * np.exp(-0.5 * apart), 0.0)
        lower = np.linalg.cholesky(R)
        log_det = 2.0 * np.log(np.einsum("gtt->gt", lower)).sum(1)
        inverse = np.stack([scipy.linalg.solve_triangular(one, np.eye(T), lower=True) for one in lower])

        def whiten(values: Array) -> Array:
            flat = values.reshape(N, T, -1)
            if len(rows) == 1:
                return (inverse[0] @ flat).reshape(values.shape)
            out = np.empty_like(flat)
            for g in range(len(rows)):
                mine = which == g
                out[mine] = inverse[g] @ flat[mine]
            return out.reshape(values.shape)

        return NoiseShape(whiten, log_det[which])

    def limits(self, residuals: CurveResiduals) -> dict[str, tuple[float, float]]:
        """A length from the points' distance to half the curve's."""
        low = residuals.spacing
        return {"amplitude": (1e-3, 1e5), "length": (low, max(0.5 * residuals.reach, 2.0 * low))}
