"""Examples of experts: plausible parameters on a grid, for figures, tests and conformance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ...errors import ExpertError
from .inputs import NamedInputs, pack
from .parameters import Parameter


@dataclass(frozen=True)
class Example:
    """One plausible curve of an expert.

    Args:
        t: First and last value of the independent variable, in ``t_unit``.
        parameters: Value of every fitted parameter by name, in the units that follow from the other two.
        y: What the curve is, for the axis of a figure.
        y_unit: Its unit.
        t_unit: Unit of the independent variable.
        covariates: Value of every covariate by name.
        log: Whether the grid is even in the logarithm of t, and both axes of a figure are logarithmic.
        points: Number of points of the grid.

    Raises:
        ExpertError: If the range of t is empty, or reaches zero although ``log`` is wanted.
    """

    t: tuple[float, float]
    parameters: Mapping[str, float]
    y: str = "y"
    y_unit: str = "1"
    t_unit: str = "1"
    covariates: Mapping[str, float] = field(default_factory=dict)
    log: bool = False
    points: int = 60

    def __post_init__(self) -> None:
        low, high = self.t
        if not low < high or (self.log and low <= 0) or self.points < 2:
            raise ExpertError(
                f"an example needs two values of t, the first below the last (and above zero if log), and two points or"
                f" more, got {self.t} and {self.points}"
            )

    @property
    def grid(self) -> NDArray[np.float64]:
        """Values of the independent variable, shape (points,), in ``t_unit``."""
        return (np.geomspace if self.log else np.linspace)(*self.t, self.points)

    def inputs(self, expert: NamedInputs) -> NDArray[np.float64]:
        """The grid and the covariates as the expert takes them, packed: shape (V T,), without covariates the grid.

        Raises:
            ShapeError: If a covariate is missing or unknown.
        """
        return pack(expert, {expert.inputs[0]: self.grid, **self.covariates})

    def theta(self, parameters: Sequence[Parameter]) -> NDArray[np.float64]:
        """The values in the order of the parameters, shape (P,).

        Raises:
            ExpertError: If a parameter has no value, or a value no parameter.
        """
        names = [p.name for p in parameters]
        if sorted(names) != sorted(self.parameters):
            raise ExpertError(f"an example has values for {sorted(self.parameters)}, the expert fits {sorted(names)}")
        return np.array([float(self.parameters[name]) for name in names])
