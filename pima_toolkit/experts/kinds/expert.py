"""The contract of a physics expert E(t; theta) and everything that follows from it.

An author gives parameters, a torch form and a compiled form; batching, bounds, starting points, the fit, its
uncertainty and its tables are written here once. ``SympyExpert`` gives both forms
from one formula.
"""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ShapeError
from ...faces import tells_new_names
from ...plugins.records import Origin
from ..contract.bounds import Bounds
from ..contract.example import Example
from ..contract.inputs import Inputs, packed, variable
from ..contract.parameters import Parameter
from ..regression.fit import fit
from ..regression.lmfit_bridge import lmfit_model
from ..regression.solution import Solution
from ..solvers.least_squares import evaluate
from ..solvers.starts import candidates, prepare, project, spread

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]


@tells_new_names
class Expert(ABC):
    """A physics model of one modality: stateless, immutable, compared by content.

    Attributes:
        name: How people ask for it, unique among the installed experts.
        t: Name of the independent variable, the coordinate of the data it is matched with.
        covariates: Names of further inputs, such as a temperature or a strain rate; usually one number per specimen.
        parameters: The fitted parameters theta, P of them.
        within: Names of parameters that lie within the measured t: the centre of a peak, the time of half growth.
        linear: Numbers of parameters the expert is linear in, all together: they need no search.
        example: A plausible curve, for figures and tests; ``experts.example_of`` makes one
            where the author gives none.
        reported_formulas: A formula of the fitted parameters for each shown one; none where those are what is shown.
        reported_bounds: Bounds of each reported parameter in words, ``"0 <= H <= E"``, for tables to read; ``""`` where
            the numbers tell them. None where they tell all.
        origin: The plugin it comes from, written by the plugin manager; None for one made from text or by hand.
    """

    name: str
    t: str = "t"
    covariates: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...]
    within: tuple[str, ...] = ()
    linear: tuple[int, ...] = ()
    example: Example | None = None
    reported_formulas: tuple[str, ...] = ()
    reported_bounds: tuple[str, ...] = ()
    origin: Origin | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the V inputs: the independent variable, then the covariates."""
        return (self.t, *self.covariates)

    @property
    def latex(self) -> str:
        """The right-hand side as LaTeX; empty where the expert is no formula."""
        return ""

    @property
    def reported(self) -> tuple[Parameter, ...]:
        """What people see, Q of them; the fitted parameters unless the expert says otherwise."""
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

        An expert without one is evaluated, differentiated and fitted by :meth:`predict`
        (:class:`~pima_toolkit.experts.kinds.torch_expert.TorchExpert`).
        """

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
        t = packed(self, t)
        theta = np.asarray(theta, dtype=np.float64)
        P = len(self.parameters)
        if t.ndim not in (1, 2) or theta.ndim < 1 or theta.shape[-1] != P:
            raise ShapeError(
                f"expert {self.name!r} needs t (T,) or (N, T) and parameters (..., {P}), got {t.shape} and"
                f" {theta.shape}"
            )
        grids = t.reshape(-1, t.shape[-1])
        value, jacobian = evaluate(self, grids, np.ascontiguousarray(theta.reshape(-1, P)))
        shape = (*theta.shape[:-1], *t.shape[:-1], value.shape[-1])
        return value.reshape(shape), jacobian.reshape(*shape, P)

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

    def guess(self, t: Inputs, y: ArrayLike, weights: ArrayLike | None = None) -> Array:
        """Where to start, from the data, by :meth:`initial_guess`.

        Args:
            t: Shared grid, shape (T,), or one per row, shape (N, T); with covariates as in :meth:`value_and_jacobian`.
            y: One curve, shape (T,), or rows, shape (N, T); NaN where not measured.
            weights: Weights of the squares, like y.

        Returns:
            Parameters inside the bounds, shape (P,) or (N, P).
        """
        t, rows, w = prepare(self, t, y, weights)
        found = self.bounds(variable(self, t)).clip(self.initial_guess(t, rows, w))
        return found[0] if np.ndim(y) == 1 else found

    def initial_guess(self, t: Array, y: Array, weights: Array) -> Array:
        """The method an author may replace: variable projection over the nonlinear parameters unless it is.

        Args:
            t: Shared grid, shape (T,), or one per row, shape (N, T); packed where there are covariates, as in
                :meth:`predict`.
            y: Rows without NaN, shape (N, T).
            weights: Weights of the squares, shape (N, T); 0 where nothing was measured.

        Returns:
            Parameters, shape (N, P); those outside the bounds are clipped.
        """
        return project(self, t, y, weights)

    def search_grid(self, t: Array) -> Array:
        """Where variable projection searches; an author who knows better replaces it.

        Args:
            t: Independent variable without covariates, any shape.

        Returns:
            Values of the parameters it is not linear in, shape (K, P); those of the linear ones do not matter.
        """
        nonlinear = [i for i in range(len(self.parameters)) if i not in self.linear]
        return candidates(self.bounds(t), nonlinear, t, [p.unit for p in self.parameters])

    @property
    def guesses(self) -> bool:
        """Whether the author says where to start, so that fits of few curves need no wider search."""
        return type(self).initial_guess is not Expert.initial_guess or type(self).search_grid is not Expert.search_grid

    def starts(self, t: Inputs, y: ArrayLike, weights: ArrayLike | None = None, count: int = 8) -> Array:
        """The guess and a deterministic spread of starts around it, shape (N, count, P) for y (N, T)."""
        t = packed(self, t, np.shape(y))
        guess = np.atleast_2d(self.guess(t, y, weights))
        return spread(guess, self.bounds(variable(self, t)), count, variable(self, t))

    def to_reported(self, theta: ArrayLike) -> Array:
        """What people see, shape (..., Q), of fitted parameters (..., P)."""
        return np.array(theta, dtype=np.float64)

    def reported_jacobian(self, theta: ArrayLike) -> Array:
        """The derivative of :meth:`to_reported`, shape (..., Q, P)."""
        shape = np.shape(theta)
        return np.broadcast_to(np.eye(shape[-1]), (*shape, shape[-1])).copy()

    def check_units(self, t: ArrayLike, units: Mapping[str, str], y_unit: str) -> None:  # noqa: B027 - nothing to say
        """Refuse data whose units contradict those the parameters declare; only a formula can tell.

        Nothing is ever converted: a declared unit is a promise about the data. ``{y}`` and ``{t}`` follow the data.

        Args:
            t: Independent variable, any shape.
            units: Of the inputs, by name.
            y_unit: Of the curves.

        Raises:
            ExpertError: If they do; a unit that is not known contradicts nothing.
        """

    def fit(
        self,
        t: Inputs,
        y: ArrayLike,
        weights: ArrayLike | None = None,
        start: ArrayLike | Mapping[str, float] | None = None,
        fixed: Mapping[str, float] | None = None,
        *,
        priors: Mapping[str, tuple[float, float]] | None = None,
        noise_std: ArrayLike | None = None,
        y_unit: str | None = None,
        t_unit: str | None = None,
    ) -> Solution:
        """Fit the expert to curves, with honest errors.

        Args:
            t: Shared grid, shape (T,), or one per specimen, shape (N, T). With covariates all inputs by name,
                ``{"strain": t, "strain_rate": rate}``, each (T,) along the curve, (N, T), one per specimen (N,), or one
                number.
            y: One curve (T,) or specimens (N, T); NaN where not measured. An ``xarray.DataArray`` brings its units.
            weights: Weight per specimen (N,) or responsibilities (N, C): one fit per cluster. All ones by default; for
                a single curve weights per point (T,).
            start: Fitted parameters by name, or as (P,) or (C, P). A given start is tried beside the expert's own, so
                that a start far off does no harm: the lowest cost wins, and of equal ones the given start's, which
                keeps the order of terms that may trade places. ``experts.solve`` goes from given starts alone.
            fixed: Fitted parameters to hold, by name.
            priors: What is known beforehand of parameters, fitted or shown: mean and standard deviation of a Gaussian
                by name, in the parameter's unit, ``{"E": (200e3, 10e3)}``. They enter the solve and the errors as
                further observations; how much the curves count against them follows from their noise (priors.py).
            noise_std: Known standard deviation of the noise, in the unit of the curves: one number, one per point (T,),
                or one per point of each curve (N, T). Points weigh by it, and for a single curve the errors are
                absolute: not rescaled by how well the curve fits.
            y_unit: Unit of the curves.
            t_unit: Unit of the independent variable.

        Returns:
            The solution, one row per cluster, with standard errors: from the residuals for one curve, by the
            curve-clustered sandwich for several.

        Raises:
            ExpertError: If there is nothing to fit, too little of it, or a start or name is unusable.
            ShapeError: If the arrays do not fit together.
        """
        options = {"priors": priors, "noise_std": noise_std, "y_unit": y_unit, "t_unit": t_unit}
        return fit(self, t, y, weights, start, fixed, **options)

    def to_lmfit(self, prefix: str = "") -> lmfit.Model:
        """The expert as an ``lmfit.Model``, to combine with lmfit's own or to fit with its methods.

        Bounds are parameter hints; shown parameters that are formulas of fitted ones are lmfit expressions, with
        errors. Inputs have their own names: ``model.guess(y, strain=t)`` is the expert's guess, from which
        ``model.fit(y, strain=t)`` starts unless it is given parameters; ``leastsq`` and ``least_squares`` use the exact
        Jacobian. lmfit's weights multiply residuals: they are the roots of the weights of :meth:`fit`.

        Args:
            prefix: Of all parameter names, as in lmfit's composite models.

        Raises:
            MissingDependency: If lmfit is not installed.
        """
        return lmfit_model(self, prefix)

    def to_dict(self) -> dict[str, object]:
        """The expert as JSON-able values, read back by ``expert_from_dict``; it is found by its name."""
        return {
            "kind": "installed",
            "name": self.name,
            "t": self.t,
            "covariates": list(self.covariates),
            "parameters": [p.to_dict() for p in self.parameters],
            **({} if self.origin is None else {"origin": self.origin.to_dict()}),
        }

    def _content(self) -> tuple[object, ...]:
        return type(self), self.name, self.inputs, self.parameters

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expert) and self._content() == other._content()

    def __hash__(self) -> int:
        return hash(self._content())

    def __repr__(self) -> str:
        return f"<expert {self.name!r}: {', '.join(p.name for p in self.parameters)} of {', '.join(self.inputs)}>"

    def _equation(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        rows = ""
        for p in self.parameters:
            unit = p.unit.replace("{y}", "y").replace("{t}", self.t)
            cells = p.name, unit, f"{p.lower:g} … {p.upper:g}", p.description
            rows += f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        heads = "".join(f"<th>{head}</th>" for head in ("parameter", "unit", "bounds", "meaning"))
        title = f"<b>{html.escape(self.name)}</b> {self._equation()}"
        return f"{title}<table><tr>{heads}</tr>{rows}</table>"
