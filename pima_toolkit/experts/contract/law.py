"""The law of a modality's curves, E(t; theta): what an author declares and what a solver takes.

A law says which parameters it has and how curves follow from them. How it is fitted, with which errors, and how the
result is presented is no part of it: :class:`~pima_toolkit.experts.kinds.expert.Expert` adds that.
"""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ExpertError, PimaWarning
from ...faces import RENAMED
from .bounds import Bounds
from .example import Example
from .inputs import Inputs, NamedInputs
from .parameters import Parameter

Array = NDArray[np.float64]


class Law(NamedInputs):
    """A law: stateless, immutable.

    Attributes:
        name: How people ask for it, unique among the installed experts.
        t: Name of the independent variable, the coordinate of the data it is matched with.
        covariates: Names of further inputs, such as a temperature or a strain rate; usually one number per specimen.
        parameters: The fitted parameters theta, P of them.
        within: Names of parameters that lie within the measured t: the centre of a peak, the time of half growth.
        linear: Numbers of parameters the law is linear in, all together: they need no search.
        example: A plausible curve, for figures and tests; ``experts.example_of`` makes one
            where the author gives none.
        quantity: What the law is written in, where curves may be of another: ``"true stress over plastic strain"``.
            Empty where it holds for any.
        reported_formulas: A formula of the fitted parameters for each reported one; none where those are reported.
        reported_bounds: Bounds of each reported parameter in words, ``"0 <= H <= E"``, for tables to read; ``""`` where
            the numbers tell them. None where they tell all.
    """

    name: str
    t: str = "t"
    covariates: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...]
    within: tuple[str, ...] = ()
    linear: tuple[int, ...] = ()
    example: Example | None = None
    quantity: str = ""
    reported_formulas: tuple[str, ...] = ()
    reported_bounds: tuple[str, ...] = ()

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse a class written for version 0.1, whose declarations would be passed over in silence."""
        super().__init_subclass__(**options)
        for old, new in RENAMED["expert"].items():
            if old in vars(cls):
                raise ExpertError(
                    f"the expert class {cls.__name__} declares {old!r}, which is called {new!r} since 0.2"
                )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the V inputs: the independent variable, then the covariates."""
        return (self.t, *self.covariates)

    @property
    def latex(self) -> str:
        """Right-hand side as LaTeX; empty where the law is no formula."""
        return ""

    if TYPE_CHECKING:  # an author may write a tuple in place of the property
        reported: tuple[Parameter, ...]
    else:

        @property
        def reported(self) -> tuple[Parameter, ...]:
            """Parameters people see, Q of them; the fitted ones unless the law says otherwise."""
            return self.parameters

    @abstractmethod
    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch, differentiably.

        Args:
            t: Independent variable, shape (T,) or (..., T), in its own unit; with covariates the V inputs one after
                another, (V T,) or (..., V T), which ``experts.unpack(t, V)`` takes apart.
            theta: Parameters, shape (..., P).

        Returns:
            Values, shape (..., T), in the unit of the data.
        """

    @abstractmethod
    def compiled_curve(self) -> Callable[..., None] | None:
        """The compiled form: a numba function of signature ``codegen.CURVE``; None without.

        A law without one is evaluated, differentiated and fitted by :meth:`predict`
        (:class:`~pima_toolkit.experts.kinds.torch_expert.TorchExpert`).
        """

    @abstractmethod
    def value_and_jacobian(self, t: Inputs, theta: ArrayLike) -> tuple[Array, Array]:
        """Values and derivatives by the parameters, float64, compiled where there is a compiled form.

        Args:
            t: Shared grid, shape (T,), or one grid per specimen, shape (N, T); with covariates the inputs by name, see
                :func:`~pima_toolkit.experts.contract.inputs.pack`, or a grid that is packed already.
            theta: Parameters, shape (..., P).

        Returns:
            Values (..., T) and Jacobians (..., T, P); with one grid per specimen (..., N, T) and (..., N, T, P).

        Raises:
            ShapeError: If the shapes do not fit.
        """

    def values_and_slopes(self, t: Array, theta: Array) -> tuple[Array, Array] | None:  # noqa: ARG002 - of others
        """Values (R, G, T) and Jacobians (R, G, T, P) on packed grids (G, V T) at parameters (R, P).

        For a law without a compiled form that has a better way to them than :meth:`predict`; None where it has not.
        """
        return None

    def bounds(self, t: ArrayLike) -> Bounds:
        """Bounds of the fitted parameters on a grid: as declared, those named in ``within`` also by the grid's ends.

        Args:
            t: Independent variable without covariates, any shape.
        """
        bounds = Bounds.of(self.parameters)
        for i, p in enumerate(self.parameters):
            if p.name in self.within:
                bounds = bounds.narrowed(i, float(np.min(t)), float(np.max(t)))
        return bounds

    @property
    @abstractmethod
    def guesses(self) -> bool:
        """Whether the author says where to start, so that fits of few curves need no wider search."""

    @abstractmethod
    def initial_guess(self, t: Array, y: Array, weights: Array) -> Array:
        """Guess parameters from which a fit of each curve may start.

        Args:
            t: Shared grid, shape (T,), or one per row, shape (N, T); packed where there are covariates, as in
                :meth:`predict`.
            y: Rows without NaN, shape (N, T).
            weights: Weights of the squares, shape (N, T); 0 where nothing was measured.

        Returns:
            Parameters, shape (N, P); those outside the bounds are clipped.
        """

    def around(self, guess: Array) -> Array | None:  # noqa: ARG002 - of others
        """Starts around a guess (N, P), the guess first, shape (N, S, P); None for the usual spread.

        For a law whose guess is found in the curve, a point of so many dimensions that a spread would only lose it.
        """
        return None

    @abstractmethod
    def search_grid(self, t: Array) -> Array:
        """List the candidates among which variable projection searches.

        Args:
            t: Independent variable without covariates, any shape.

        Returns:
            Values of the parameters it is not linear in, shape (K, P); those of the linear ones do not matter.
        """

    def to_reported(self, theta: ArrayLike) -> Array:
        """Turn fitted parameters (..., P) into reported ones, shape (..., Q)."""
        return np.array(theta, dtype=np.float64)

    def reported_jacobian(self, theta: ArrayLike) -> Array:
        """Derivative of :meth:`to_reported` by the fitted parameters, shape (..., Q, P)."""
        shape = np.shape(theta)
        return np.broadcast_to(np.eye(shape[-1]), (*shape, shape[-1])).copy()

    def why_not_finite(self, t: Array, theta: Array) -> str:
        """Why the law has no value somewhere, as a sentence; empty where it cannot tell, or has one.

        Args:
            t: Packed grid, shape (V T,).
            theta: Parameters, shape (P,).
        """
        del t, theta
        return ""

    def check_units(self, t: ArrayLike, units: Mapping[str, str], y_unit: str) -> None:
        """Refuse data whose units contradict those the parameters declare; only a formula can tell.

        Nothing is ever converted: a declared unit is a promise about the data. ``{y}`` and ``{t}`` follow the data.

        Args:
            t: Independent variable, any shape.
            units: Units of the inputs, by name.
            y_unit: Unit of the curves.

        Raises:
            ExpertError: If they do; a unit that is not known contradicts nothing.
        """

    def check_quantity(self, y: str, t: str, stacklevel: int = 2) -> None:
        """Warn where the names of curves say that they are of another quantity than the law; nothing is converted.

        Args:
            y: Name of what was measured, such as ``"engineering stress"``.
            t: Name of the independent variable.
            stacklevel: Of the warning.
        """
        wanted, said = self.quantity, f"{y} over {t}".lower()
        told = [
            ("true" in wanted and re.search(r"\b(engineering|nominal)\b", said)),
            ("engineering" in wanted and re.search(r"\btrue\b", said)),
            ("plastic" in wanted and re.search(r"\b(engineering|nominal|true|total) strain\b", said)),
            (wanted and "plastic" not in wanted and "plastic strain" in said),
        ]
        if any(told):
            warnings.warn(
                f"the law {self.name!r} is one of {wanted}, and the curves are of {y} over {t}: nothing is converted."
                " Where curves are of total strain, fit 'elastic(E) + LAW'; where they are engineering ones,"
                " 'engineering(elastic(E) + LAW)'; a law of plastic strain needs stress / E taken off the strain",
                PimaWarning,
                stacklevel=stacklevel,
            )


def example_of(expert: Law) -> Example:
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
