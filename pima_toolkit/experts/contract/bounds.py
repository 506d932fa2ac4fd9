r"""Bounds of parameters, and the unbounded coordinates in which parameters move freely and specimens scatter.

A parameter :math:`\theta` between bounds has an unbounded twin :math:`\varphi`:

=====================  ==============================================  ==============================
bounds                 :math:`\varphi(\theta)`                         :math:`d\theta/d\varphi`
=====================  ==============================================  ==============================
none                   :math:`\theta`                                  :math:`1`
lower only             :math:`\log(\theta-l)`                          :math:`\theta-l`
upper only             :math:`-\log(u-\theta)`                         :math:`u-\theta`
both                   :math:`\log\frac{\theta-l}{u-\theta}`           :math:`(\theta-l)(u-\theta)/(u-l)`
=====================  ==============================================  ==============================

The way back to :math:`\theta` is written three times, for those who need it: numpy (:meth:`Bounds.from_unbounded`),
torch, differentiable (:meth:`Bounds.tensor_from_unbounded`), and plain loops that numba compiles
(:func:`fill_from_unbounded`). One test holds them to each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numba import boolean, float64, types, void
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ExpertError, ShapeError
from .parameters import Parameter

#: Distance kept from a bound where the unbounded coordinate must be finite: of the width of a pair of bounds, of a
#: bound's own size, and of a bound at zero, which has no size (parameters of 1e-40, as in creep laws, must still fit
#: above it).
_HAIR_OF_WIDTH, _HAIR_OF_BOUND, _HAIR_AT_ZERO = 1e-9, 1e-12, 1e-100


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of P parameters and their unbounded coordinates.

    Args:
        lower: Lower bounds, shape (P,), in the parameters' units; ``-inf`` for none.
        upper: Upper bounds, shape (P,); ``inf`` for none.

    Raises:
        ShapeError: If the two differ in length.
        ExpertError: If a lower bound is not below its upper one.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    def __post_init__(self) -> None:
        lower = np.array(self.lower, dtype=np.float64).reshape(-1)
        upper = np.array(self.upper, dtype=np.float64).reshape(-1)
        if lower.shape != upper.shape:
            raise ShapeError(f"bounds need as many lower as upper bounds, got {lower.size} and {upper.size}")
        if not np.all(lower < upper):
            bad = np.flatnonzero(~(lower < upper))[0]
            raise ExpertError(
                f"bounds of parameter number {bad} are reversed or empty: lower {lower[bad]:g}, upper {upper[bad]:g}"
            )
        lower.setflags(write=False)
        upper.setflags(write=False)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> Bounds:
        """Make the bounds that the parameters declare."""
        return cls(np.array([p.lower for p in parameters]), np.array([p.upper for p in parameters]))

    def narrowed(self, number: int, lower: float, upper: float) -> Bounds:
        """Narrow one parameter to what lies between two further bounds.

        Args:
            number: Of the parameter.
            lower: Lower bound; these stay where it is higher.
            upper: Upper bound.

        Raises:
            ExpertError: If nothing is left between them.
        """
        lowers, uppers = self.lower.copy(), self.upper.copy()
        lowers[number], uppers[number] = max(lowers[number], lower), min(uppers[number], upper)
        return Bounds(lowers, uppers)

    @property
    def _hairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The smallest distances kept from the lower and from the upper bound, each (P,)."""
        both = np.isfinite(self.lower) & np.isfinite(self.upper)
        width = np.where(both, np.where(both, self.upper, 0.0) - np.where(both, self.lower, 0.0), 0.0) * _HAIR_OF_WIDTH

        def hair(bound: NDArray[np.float64]) -> NDArray[np.float64]:
            size = np.where(np.isfinite(bound), np.abs(bound), 0.0)
            return np.where(both, width, np.maximum(size * _HAIR_OF_BOUND, _HAIR_AT_ZERO))

        return hair(self.lower), hair(self.upper)

    def clip(self, theta: ArrayLike, margin: float = 0.0) -> NDArray[np.float64]:
        """Move parameters into the bounds.

        Args:
            theta: Parameters, shape (..., P).
            margin: Distance kept from both bounds, as a share of the width where both exist (0 to 0.5).
        """
        width = np.where(np.isfinite(self.upper) & np.isfinite(self.lower), self.upper - self.lower, 0.0) * margin
        return np.clip(np.asarray(theta, dtype=np.float64), self.lower + width, self.upper - width)

    def at_bound(self, theta: ArrayLike) -> NDArray[np.bool_]:
        """Whether each parameter sits on a bound, (..., P): within 1e-6 of the width, or a hair if one is open."""
        theta = np.asarray(theta, dtype=np.float64)
        low, high = self._hairs
        both = np.isfinite(self.lower) & np.isfinite(self.upper)
        low, high = np.where(both, 1e3 * low, 2 * low), np.where(both, 1e3 * high, 2 * high)
        return (theta <= self.lower + low) | (theta >= self.upper - high)

    def to_unbounded(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Unbounded coordinates of parameters, shape (..., P); values on a bound are first moved a hair inside."""
        theta = np.asarray(theta, dtype=np.float64)
        hair_low, hair_high = self._hairs
        has_low, has_high = np.isfinite(self.lower), np.isfinite(self.upper)
        above = np.maximum(theta - np.where(has_low, self.lower, 0.0), hair_low)
        below = np.maximum(np.where(has_high, self.upper, 0.0) - theta, hair_high)
        log_above = np.where(has_low, np.log(np.where(has_low, above, 1.0)), 0.0)
        log_below = np.where(has_high, np.log(np.where(has_high, below, 1.0)), 0.0)
        return np.where(has_low | has_high, log_above - log_below, theta)

    def from_unbounded(self, phi: ArrayLike) -> NDArray[np.float64]:
        """Parameters of unbounded coordinates, shape (..., P); the inverse of :meth:`to_unbounded`."""
        phi = np.asarray(phi, dtype=np.float64)
        has_low, has_high = np.isfinite(self.lower), np.isfinite(self.upper)
        lower, upper = np.where(has_low, self.lower, 0.0), np.where(has_high, self.upper, 0.0)
        grown = np.exp(np.clip(np.where(has_high & ~has_low, -phi, phi), -700.0, 700.0))
        share = np.exp(-np.logaddexp(0.0, -phi))  # the logistic function, without overflow
        both = lower + (upper - lower) * share
        return np.where(
            has_low & has_high, both, np.where(has_low, lower + grown, np.where(has_high, upper - grown, phi))
        )

    def slope(self, theta: ArrayLike) -> NDArray[np.float64]:
        """The derivative of each parameter by its unbounded coordinate, shape (..., P); not negative."""
        theta = np.asarray(theta, dtype=np.float64)
        has_low, has_high = np.isfinite(self.lower), np.isfinite(self.upper)
        above = np.maximum(theta - np.where(has_low, self.lower, 0.0), 0.0)
        below = np.maximum(np.where(has_high, self.upper, 0.0) - theta, 0.0)
        width = np.where(has_low & has_high, self.upper - self.lower, 1.0)
        return np.where(
            has_low & has_high, above * below / width, np.where(has_low, above, np.where(has_high, below, 1.0))
        )

    def tensor_from_unbounded(self, phi: Tensor) -> Tensor:
        """Parameters of unbounded coordinates in torch, differentiable, on the device of phi; shape (..., P).

        The numbers are those of :meth:`from_unbounded`.
        """
        # Copies: bounds are read-only, which torch would warn about.
        lower = torch.tensor(self.lower, device=phi.device)
        upper = torch.tensor(self.upper, device=phi.device)
        has_low, has_high = lower.isfinite(), upper.isfinite()
        low, high = torch.where(has_low, lower, 0.0), torch.where(has_high, upper, 0.0)
        one_sided = torch.where(has_low, low + phi.clamp(max=700).exp(), high - (-phi).clamp(max=700).exp())
        both = low + (high - low) * phi.sigmoid()
        return torch.where(has_low & has_high, both, torch.where(has_low | has_high, one_sided, phi))


#: Signature of :func:`fill_from_unbounded`, compiled: compiled loops are given it as they are given an expert's curve.
#: Called by name, it would be part of their machine code, and numba's cache would not notice when it changes here.
FROM_UNBOUNDED = types.FunctionType(
    void(float64[::1], float64[::1], boolean[::1], float64[::1], float64[::1], float64[::1], float64[::1])
)


def fill_from_unbounded(phi, theta, fixed, low, high, out, slope):  # noqa: ANN001, ANN201 - compiled: see FROM_UNBOUNDED
    """Write parameters and their slopes at unbounded coordinates phi (P,) into ``out`` and ``slope`` (P,), in loops.

    Where ``fixed`` says so, the parameter stays that of ``theta``, and its slope is 0.
    """
    for p in range(phi.size):
        has_low, has_high = np.isfinite(low[p]), np.isfinite(high[p])
        if fixed[p]:
            out[p], slope[p] = theta[p], 0.0
        elif has_low and has_high:
            share = 1.0 / (1.0 + np.exp(-phi[p]))
            out[p] = low[p] + (high[p] - low[p]) * share
            slope[p] = (high[p] - low[p]) * share * (1.0 - share)
        elif has_low:
            slope[p] = np.exp(min(phi[p], 700.0))
            out[p] = low[p] + slope[p]
        elif has_high:
            slope[p] = np.exp(min(-phi[p], 700.0))
            out[p] = high[p] - slope[p]
        else:
            out[p], slope[p] = phi[p], 1.0
