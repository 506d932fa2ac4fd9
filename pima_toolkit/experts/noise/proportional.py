r"""``noise="proportional"``: a constant part and one in proportion to the curve.

.. math:: R_{ii} = (1 - s) + s\, E_i^2 / m^2

m is the curves' root mean square, so that v is the variance of a point of that size, and s the share of it that is in
proportion. Fits and weights take turns: generalised least squares with weights at the fitted curve, which is not drawn
to small curves for the sake of small noise. Source: Carroll & Ruppert 1988, Transformation and Weighting in Regression,
chapters 2 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .base import Array, CurveNoise, CurveResiduals, NoiseShape

#: Constant variance for each unit of proportional one: the least and the largest that is told from none at all.
_LEAST, _MOST = 1e-6, 1e4


@dataclass(frozen=True)
class ProportionalNoise(CurveNoise):
    """Additive and proportional noise.

    Args:
        additive: Variance of the constant part over that of the part in proportion to the curve, at ``size``.
        size: Root mean square of the curves, in their unit; 0: not known yet, and the noise is constant.
    """

    name: ClassVar[str] = "proportional"
    words: ClassVar[str] = "a constant part and one in proportion to the curve"
    follows_curve: ClassVar[bool] = True

    additive: float = 1.0
    size: float = 0.0

    def spread(self, curve: Array) -> Array:
        """Variance over that of a point as large as ``size``."""
        if not self.size > 0.0:
            return np.ones_like(curve)
        with np.errstate(over="ignore", invalid="ignore"):
            return (self.additive + np.square(curve / self.size)) / (self.additive + 1.0)

    def shape(self, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:  # noqa: ARG002 - the curve says it
        """A diagonal."""
        variance = np.where(seen, self.spread(np.where(seen & np.isfinite(curve), curve, 0.0)), 1.0)
        root = 1.0 / np.sqrt(variance)

        def whiten(values: Array) -> Array:
            return values * (root if values.ndim == 2 else root[..., None])

        return NoiseShape(whiten, np.log(variance).sum(1))

    def limits(self, residuals: CurveResiduals) -> dict[str, tuple[float, float]]:  # noqa: ARG002 - it has no unit
        """From purely proportional to purely constant."""
        return {"additive": (_LEAST, _MOST)}

    def update(self, residuals: CurveResiduals) -> Self:
        """Measure the curves' size, then learn the share."""
        size = float(np.sqrt(np.mean(np.square(residuals.curve[residuals.seen])))) if residuals.seen.any() else 0.0
        return super(ProportionalNoise, replace(self, size=size)).update(residuals) if size > 0.0 else self
