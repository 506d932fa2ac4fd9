"""Noise models of curves with numbers of their own, learned from the specimens' own fits before populations are sought.

The scale is pooled; the shape, :class:`~pima_toolkit.experts.CurveNoise`, is the one that ``expert.fit`` has too.
"""

from __future__ import annotations

from ...experts import CurveNoise
from .pooled import PooledNoise


class ShapedNoise(PooledNoise):
    """One instrument measured all specimens, and its noise is not white.

    Args:
        curve_noise: The shape, with its numbers.
    """

    white = False

    def __init__(self, curve_noise: CurveNoise) -> None:
        self.curve_noise = curve_noise
