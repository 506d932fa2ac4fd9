"""The case of a check: an expert, its example, and a few plausible parameters around it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ExpertError
from ..experts import Bounds, Expert, Inputs, by_name, example_of

Array = NDArray[np.float64]

#: Relative changes of the parameters of the example, one row per plausible curve; few, so that checks are quick.
_CHANGES = np.array([0.0, 0.11, -0.13, 0.07, -0.05])

#: Factors on each covariate in turn.
_CONDITIONS = (1.5, 0.6)


def without_compiled_form(expert: Expert) -> str | None:
    """Tell why there is no compiled form to compare with; None where there is one."""
    try:
        curve = expert.compiled_curve()
    except (NotImplementedError, ExpertError):
        curve = None
    return "it has no compiled form" if curve is None else None


class Failure(AssertionError):
    """The answer to a check is wrong; the message tells how, as a sentence."""


class Case:
    """An expert with its example, made once for all checks. Every array handed out is a fresh copy.

    Args:
        expert: The expert.

    Raises:
        ExpertError: If it has no usable example: none at all, or one outside the bounds.
    """

    def __init__(self, expert: Expert) -> None:
        self.expert = expert
        #: Relative difference allowed between two ways to the same number, and relative noise of a value. What only
        #: torch computes may be a differential equation, whose solver chooses its steps by what else is in the batch.
        compiled = without_compiled_form(expert) is None
        self.precision, self.noise = (1e-9, 1e-12) if compiled else (1e-6, 1e-7)
        self.example = example_of(expert)
        self._t = self.example.inputs(expert)
        theta, bounds = self.example.theta(expert.parameters), expert.bounds(self.example.grid)
        for p, value, low, high in zip(expert.parameters, theta, bounds.lower, bounds.upper, strict=True):
            if not low <= value <= high:
                raise ExpertError(
                    f"{p.name!r} is {value:g} in the example, outside its bounds {low:g} to {high:g} on that grid"
                )
        self._thetas = _around(theta, bounds)
        self._grids = self._conditions()

    @property
    def t(self) -> Array:
        """The example's grid, packed: shape (T,), with covariates (V T,)."""
        return self._t.copy()

    @property
    def conditions(self) -> Array:
        """The packed grid with each covariate in turn larger and smaller, shape (K, V T): the example's own first.

        A covariate's effect shows only between specimens that differ in it. Conditions in which the expert is not
        finite are left out.
        """
        return self._grids.copy()

    def _conditions(self) -> Array:
        rows = [self._t]
        for v in range(1, len(self.expert.inputs)):
            part = slice(v * self.points, (v + 1) * self.points)
            for factor in _CONDITIONS:
                row = self.t
                row[part] = np.where(row[part] == 0, factor - 1, factor * row[part])
                rows.append(row)
        finite_ones = [row for row in rows if np.isfinite(self.expert.value_and_jacobian(row, self._thetas)[0]).all()]
        return np.array(finite_ones or rows[:1])

    @property
    def points(self) -> int:
        """Number T of points of the example's grid."""
        return self.example.points

    def moved(self, change: Callable[[Array], Array]) -> Array:
        """The grid with a function applied to the independent variable (T,), the covariates as they are."""
        return np.concatenate([change(self.example.grid), self._t[self.points :]])

    def named(self, grid: Array) -> Inputs:
        """A packed grid as ``fit`` takes it: the inputs by name, or the independent variable alone."""
        names = self.expert.inputs
        return grid if len(names) == 1 else by_name(names, grid)

    @property
    def bounds(self) -> Bounds:
        """The bounds on the example's grid."""
        return self.expert.bounds(self.example.grid)

    @property
    def thetas(self) -> Array:
        """Plausible parameters inside the bounds, the example's first, shape (V, P)."""
        return self._thetas.copy()

    @functools.cached_property
    def _values(self) -> Array:
        return self.expert.value_and_jacobian(self.t, self.thetas)[0]

    @property
    def values(self) -> Array:
        """The curves of the plausible parameters, shape (V, T)."""
        return self._values.copy()

    def predict(self, theta: Array, t: Array | None = None) -> Array:
        """Evaluate the torch form with numpy: theta (..., P) gives (..., T)."""
        grid = torch.from_numpy(self.t if t is None else t.copy())
        return self.expert.predict(grid, torch.from_numpy(theta.copy())).detach().numpy()

    def torch_jacobian(self, theta: Array) -> Array:
        """Differentiate forward in torch: theta (P,) gives the Jacobian (T, P)."""
        t = torch.from_numpy(self.t)
        with quiet_torch():
            jacobian = torch.func.jacfwd(lambda x: self.expert.predict(t, x))(torch.from_numpy(theta.copy()))
        return jacobian.detach().numpy()


def _around(theta: Array, bounds: Bounds) -> Array:
    """Vary parameters plausibly, shape (V, P), each in its own way; none leaves or newly reaches its bounds."""
    V, P = len(_CHANGES), theta.size
    changes = np.stack([np.roll(_CHANGES[1:], i) for i in range(P)], axis=1)
    changes = np.concatenate([np.zeros((1, P)), changes])
    thetas = np.tile(theta, (V, 1)) * (1 + changes)
    outside = ~((thetas > bounds.lower) & (thetas < bounds.upper))
    return np.where(outside, theta, thetas)


def quiet_torch() -> warnings.catch_warnings:
    """Silence a warning of torch: its forward-mode rules call torch.jit.script; the expert cannot help it."""
    return warnings.catch_warnings(action="ignore", category=DeprecationWarning)


def close(what: str, answer: Array, expected: Array, *, relative: float, absolute: float = 0.0) -> int:
    """Compare where both are finite; whether they are is a question of its own.

    Args:
        what: Beginning of the sentence of a failure: "the torch form differs from the compiled one".
        answer: Any shape.
        expected: The same shape.
        relative: Allowed difference over the largest absolute expected value.
        absolute: Allowed difference, added.

    Returns:
        How many numbers were compared.

    Raises:
        Failure: If shapes differ, or a difference is larger.
    """
    if np.shape(answer) != np.shape(expected):
        raise Failure(f"{what}: shape {np.shape(answer)}, expected {np.shape(expected)}")
    answer, expected = np.asarray(answer, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    both = np.isfinite(answer) & np.isfinite(expected)
    if not both.any():
        return 0
    size = np.max(np.abs(expected[both]))
    off = np.where(both, np.abs(answer - np.where(both, expected, 0.0)), 0.0)
    allowed = relative * size + absolute
    if not (off <= allowed).all():
        where = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
        raise Failure(f"{what}: {answer[where]:.9g} instead of {expected[where]:.9g} at {where}, allowed {allowed:.2g}")
    return int(both.sum())


def finite(what: str, values: Array | Tensor) -> int:
    """Count numbers that are all finite.

    Raises:
        Failure: If one is not.
    """
    values = values.detach().numpy() if isinstance(values, Tensor) else np.asarray(values)
    good = np.isfinite(values)
    if not good.all():
        where = tuple(int(i) for i in np.argwhere(~good)[0])
        raise Failure(f"{what} holds {values[where]} at {where}")
    return values.size


def finite_difference(values: Callable[[Array], Array], theta: Array, steps: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Take central differences of a function of the parameters, and see where it has no kink within the step.

    Args:
        values: Takes theta (P,), gives values (T,).
        theta: Shape (P,).
        steps: Shape (P,).

    Returns:
        Derivatives (T, P), and where they can be trusted (T, P).
    """
    middle = values(theta)
    columns, smooth = [], []
    for i, step in enumerate(steps):
        change = np.zeros(theta.size)
        change[i] = step
        up, down = (values(theta + change) - middle) / step, (middle - values(theta - change)) / step
        columns.append((up + down) / 2)
        # Left and right slopes of a smooth function differ by the step times its curvature, those of a kink by a jump.
        smooth.append(np.abs(up - down) <= 1e-2 * max(np.max(np.abs(columns[-1])), 1e-300))
    return np.stack(columns, axis=-1), np.stack(smooth, axis=-1)
