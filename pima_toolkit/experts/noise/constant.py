"""``noise="constant"``: independent from point to point, of one size along the curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Array, CurveNoise, NoiseShape


@dataclass(frozen=True)
class ConstantNoise(CurveNoise):
    """White noise: R = 1. There is nothing to learn beside its variance."""

    name: ClassVar[str] = "constant"
    words: ClassVar[str] = "independent from point to point, of one size along the curve"

    def shape(self, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:  # noqa: ARG002 - the same for all
        """No shape."""
        return NoiseShape(None, np.zeros(len(seen)))
