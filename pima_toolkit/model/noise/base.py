r"""The contract of a noise model of curves.

.. math:: X - E(t;\phi) \sim \mathcal N\big(0,\; v_c R(t)\big), \qquad R(t) \text{ diagonal}

The noise is independent from point to point. Its shape :math:`R(t)` is the noise model's; its scale :math:`v_c`, one
number for each cluster, is the decoder's ``variance``, which the M-step asks the noise model to update. A noise that is
correlated, has heavy tails or follows the curve has a ``curve_noise`` instead, which the specimens' own fits ask.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from torch import Tensor

from ...experts import CurveNoise

#: Smallest scale of the noise, in units of the curves' largest absolute value squared.
VARIANCE_FLOOR = 1e-8


class NoiseModel(ABC):
    """Noise of the points of a curve; a subclass is the whole of a new noise model.

    To write one: ``update`` says how the scale is learned. A noise whose size varies along the curve sets
    ``white = False`` and has ``whiten`` and ``log_det`` too. A model holds nothing that training changes.
    """

    #: Whether the noise is the same at every point, R = 1.
    white: ClassVar[bool] = True
    #: Shape that own fits ask to whiten, with numbers that are learned from them; None: ``whiten`` says all.
    curve_noise: CurveNoise | None = None

    def whiten(self, values: Tensor, t: np.ndarray) -> Tensor:  # noqa: ARG002 - white noise is so everywhere
        r"""Divide by the shape of the noise, :math:`R(t)^{-1/2}`, point by point.

        Args:
            values: Shape (..., specimen or 1, point): residuals, curves or slopes, in units of the decoder's scale.
            t: Independent variable in the data's unit, (point,) or (specimen, point).

        Returns:
            The same shape; of a residual, noise of variance v_c.
        """
        return values

    def log_det(self, t: np.ndarray, seen: Tensor) -> Tensor | float:  # noqa: ARG002 - log 1 = 0
        """Logarithm of the determinant of R over the points that were measured.

        Args:
            t: Independent variable, (point,) or (specimen, point).
            seen: Which points were measured, (specimen, point), bool.

        Returns:
            Shape (specimen,), or 0 where R = 1.
        """
        return 0.0

    @abstractmethod
    def update(self, old: Tensor, squared: Tensor, points: Tensor, alive: Tensor) -> Tensor:
        """The scale of the noise that makes the curves most probable.

        Args:
            old: The scale until now, (cluster,), float64, in units of the decoder's scale squared.
            squared: Sum over specimens of responsibility times expected squared whitened residual, (cluster,).
            points: Sum of responsibility times measured points, (cluster,).
            alive: Whether the cluster has any weight, (cluster,), bool; others keep what they had where it is theirs.

        Returns:
            The new scale, (cluster,), at least :data:`VARIANCE_FLOOR`.
        """

    def start(self, variance: float) -> float:
        """The scale that training begins with, from the mean squared residual of curves fitted alone."""
        return max(variance, VARIANCE_FLOOR)
