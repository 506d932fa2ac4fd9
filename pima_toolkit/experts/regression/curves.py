"""The curves a fit was made from, as the person gave them and as the solver saw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..contract.bounds import Bounds
from ..noise.base import CurveNoise
from .dependence import SpecimenDesign

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedCurves:
    """Curves of N specimens under C clusters, and their reduction to one curve per cluster.

    Args:
        t: Packed grid, (V T,) shared or (N, V T).
        y: Curves (N, T), 0 where not observed.
        observed: Which points count, (N, T).
        gamma: Responsibilities (N, C).
        points: Weights of the points, (1, T).
        single: Whether it is one curve: its errors come from its points, not from how curves differ.
        y_unit: Unit of the curves.
        t_unit: Unit of the independent variable.
        grid: Packed grid of the reduced curves, (V T',).
        mean: Reduced curves (C, T').
        weight: Their weights (C, T').
        constant: Cost no parameters change, (C,).
        bounds: Bounds on this grid.
        names: Names of the specimens, (N,); their numbers where they have none.
        variance: Variance of a point of weight one, (C,): what the errors were computed with.
        known: Whether that was given.
        noises: Noise model of each cluster's curves, as learned.
        whiten: Of one curve under correlated noise, the matrix (T, T) that weighted residuals are multiplied by; its
            ``mean`` and ``weight`` are then what least squares was given. None: nothing.
        priors: Whether priors entered.
        depends: What the specimens' parameters depend on besides themselves; None: nothing.
    """

    t: Array
    y: Array
    observed: NDArray[np.bool_]
    gamma: Array
    points: Array
    single: bool
    y_unit: str
    t_unit: str
    grid: Array
    mean: Array
    weight: Array
    constant: Array
    bounds: Bounds
    names: NDArray[np.generic]
    variance: Array | None = None
    known: bool = False
    priors: bool = False
    noises: tuple[CurveNoise, ...] = ()
    whiten: Array | None = None
    depends: SpecimenDesign | None = None

    @property
    def count(self) -> Array:
        """Number of points, by their responsibilities, (C,)."""
        return self.gamma.T @ self.observed.sum(1).astype(np.float64)

    @property
    def effective(self) -> Array:
        """Effective number of specimens, (C,)."""
        used = self.gamma * np.any(self.observed, axis=1)[:, None]
        return used.sum(0) ** 2 / np.maximum(np.square(used).sum(0), 1e-300)
