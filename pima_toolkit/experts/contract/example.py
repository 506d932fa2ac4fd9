"""What an expert looks like in practice: plausible parameters on a grid, for figures, tests and conformance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError
from .bounds import Bounds
from .inputs import Inputs, Named, pack
from .parameters import Parameter


class Exemplary(Named, Protocol):
    """What :func:`example_of` needs of an expert."""

    t: str
    covariates: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    example: Example | None

    def bounds(self, t: ArrayLike) -> Bounds:
        """Bounds on a grid."""

    def value_and_jacobian(self, t: Inputs, theta: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Values and derivatives."""


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

    def inputs(self, expert: Named) -> NDArray[np.float64]:
        """The grid and the covariates as the expert takes them, packed: shape (V T,), without covariates the grid.

        Raises:
            ShapeError: If a covariate is missing or unknown.
        """
        return pack(expert, {expert.t: self.grid, **self.covariates})

    def theta(self, parameters: Sequence[Parameter]) -> NDArray[np.float64]:
        """The values in the order of the parameters, shape (P,).

        Raises:
            ExpertError: If a parameter has no value, or a value no parameter.
        """
        names = [p.name for p in parameters]
        if sorted(names) != sorted(self.parameters):
            raise ExpertError(f"an example has values for {sorted(self.parameters)}, the expert fits {sorted(names)}")
        return np.array([float(self.parameters[name]) for name in names])


def example_of(expert: Exemplary) -> Example:
    """The example an expert declares, or one made from its bounds, on t from 0 to 1.

    Args:
        expert: Any expert.

    Returns:
        Its ``example``; without one, parameters in the middle of their bounds, or one above or below a single bound,
        covariates of one, and t from 0.01 where the expert is not finite at 0.

    Raises:
        ExpertError: If the expert is not finite on either grid: it must declare an example.
    """
    if expert.example is not None:
        expert.example.theta(expert.parameters)
        expert.example.inputs(expert)
        return expert.example
    for low in (0.0, 0.01):
        made = Example((low, 1.0), {}, covariates=dict.fromkeys(expert.covariates, 1.0))
        bounds = expert.bounds(made.grid)
        single = np.where(
            np.isfinite(bounds.lower), bounds.lower + 1, np.where(np.isfinite(bounds.upper), bounds.upper - 1, 1.0)
        )
        with np.errstate(invalid="ignore"):
            both = np.isfinite(bounds.lower) & np.isfinite(bounds.upper)
            theta = np.where(both, (bounds.lower + bounds.upper) / 2, single)
        if all(np.isfinite(part).all() for part in expert.value_and_jacobian(made.inputs(expert), theta)):
            values = {p.name: float(v) for p, v in zip(expert.parameters, theta, strict=True)}
            return replace(made, parameters=values)
    raise ExpertError(
        f"expert {expert.name!r} is not finite for t between 0.01 and 1 and parameters inside their bounds: give it"
        " an example = Example(t=(first, last), parameters={...})"
    )
