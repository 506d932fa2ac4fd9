"""A law with the verbs of its users: fit, guess, starts, to_lmfit, tables.

An author gives what :class:`~pima_toolkit.experts.contract.law.Law` asks for: parameters, a torch form and a compiled
form. Starting points, the fit, its errors and its tables follow from that, for every kind of expert. ``SympyExpert``
gives both forms from one formula.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ShapeError
from ...faces import tells_new_names
from ...plugins.records import Origin
from ...signatures import tells_misfits
from ..contract.inputs import Inputs, packed
from ..contract.law import Law
from ..noise.base import CurveNoise
from ..regression.dependence import DependsOn
from ..regression.fit import fit
from ..regression.lmfit_bridge import lmfit_model
from ..regression.solution import Solution
from ..solvers.least_squares import evaluate
from ..solvers.starts import candidates, guess, project, starting_points

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]


@tells_new_names
class Expert(Law):
    """A law with everything a person asks of it: fits with errors, starts, tables. Compared by content.

    An author's checklist is that of :class:`~pima_toolkit.experts.contract.law.Law`.

    Attributes:
        origin: The plugin it comes from, written by the plugin manager; None for one made from text or by hand.
        numbered: Whether it is a table over the points, whatever they stand for: it then describes vectors and single
            numbers as well as curves.
    """

    origin: Origin | None = None
    numbered: bool = False

    @property
    def parts(self) -> tuple[Expert, ...]:
        """The experts that it is made of, without itself; none of most."""
        return ()

    def value_and_jacobian(self, t: Inputs, theta: ArrayLike) -> tuple[Array, Array]:
        """Values and derivatives by the parameters, as :class:`Law` says."""
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

    def guess(self, t: Inputs, y: ArrayLike, weights: ArrayLike | None = None) -> Array:
        """Guess parameters from the data, by :meth:`initial_guess`, inside the bounds.

        Args:
            t: Shared grid, shape (T,), or one per row, shape (N, T); with covariates as in :meth:`value_and_jacobian`.
            y: One curve, shape (T,), or rows, shape (N, T); NaN where not measured.
            weights: Weights of the squares, like y.

        Returns:
            Parameters inside the bounds, shape (P,) or (N, P).
        """
        return guess(self, t, y, weights)

    def initial_guess(self, t: Array, y: Array, weights: Array) -> Array:
        """Guess by variable projection over the nonlinear parameters; an author who knows better replaces it."""
        return project(self, t, y, weights)

    def search_grid(self, t: Array) -> Array:
        """Spread the parameters it is not linear in between their bounds; an author who knows better replaces it."""
        nonlinear = [i for i in range(len(self.parameters)) if i not in self.linear]
        return candidates(self.bounds(t), nonlinear, t, [p.unit for p in self.parameters])

    @property
    def guesses(self) -> bool:
        """Whether the class has its own ``initial_guess`` or ``search_grid``."""
        return type(self).initial_guess is not Expert.initial_guess or type(self).search_grid is not Expert.search_grid

    def starts(self, t: Inputs, y: ArrayLike, weights: ArrayLike | None = None, count: int = 8) -> Array:
        """The guess and starts around it, no random ones, shape (N, count, P) for y (N, T); fewer of some laws."""
        return starting_points(self, t, y, weights, count)

    @tells_misfits
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
        noise: str | CurveNoise = "constant",
        y_unit: str | None = None,
        t_unit: str | None = None,
        depends_on: DependsOn | None = None,
        groups: str | ArrayLike | None = None,
        covariates: Mapping[str, ArrayLike] | None = None,
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
            priors: Prior knowledge of parameters, fitted or reported, by name, or of formulas of reported ones: mean
                and standard deviation of a Gaussian in its own unit, ``{"E": (200e3, 10e3), "tau_2/tau_1": (5, 1)}``.
                They enter the solve and the errors as
                further observations; how much the curves count against them follows from their noise.
            noise_std: Known standard deviation of the noise, in the unit of the curves: one number, one per point (T,),
                or one per point of each curve (N, T). Points weigh by it, and for a single curve the errors are
                absolute: not rescaled by how well the curve fits.
            noise: How points scatter about their curve, learned where it is not known: ``"constant"``;
                ``"proportional"``, a constant part and one in proportion to the curve; ``"robust"``, Student's t, where
                some points are far off; ``"autocorrelated"``, where neighbours along t are off the same way;
                ``"misfit"``, where the law misses each specimen by a smooth curve of its own; ``"auto"``, the one that
                says best what is held out (:attr:`~pima_toolkit.Solution.noise_comparison`).
            y_unit: Unit of the curves.
            t_unit: Unit of the independent variable.
            depends_on: Of several curves, what fitted parameters depend on: covariates, or formulas of them, by
                parameter, ``{"E": ["temperature"], "H": ["log(rate)"]}``. Linear in each parameter's unbounded
                coordinate, the logarithm of a positive one; how much is in :attr:`~pima_toolkit.Solution.effects`.
            groups: Of several curves, the batch of each, (N,) labels, or the name of a covariate. Specimens of one
                batch share what their parameters are off by, and count for less than as many of different batches
                (:attr:`~pima_toolkit.Solution.batches`).
            covariates: What is known of the specimens, by name, (N,) each; coordinates of ``y`` along its specimens
                need not be given again.

        Returns:
            The solution, one row per cluster: of one curve its parameters, with errors from the residuals; of several
            the parameters of their population, with errors from how the specimens differ, and every specimen's own.

        Raises:
            ExpertError: If there is nothing to fit, too little of it, or a start or name is unusable.
            ShapeError: If the arrays do not fit together.
        """
        options = {"priors": priors, "noise_std": noise_std, "y_unit": y_unit, "t_unit": t_unit}
        options |= {"noise": noise, "depends_on": depends_on, "groups": groups, "covariates": covariates}
        return fit(self, t, y, weights, start, fixed, **options)

    def to_lmfit(self, prefix: str = "") -> lmfit.Model:
        """Make an ``lmfit.Model`` of the expert, to combine with lmfit's own or to fit with its methods.

        Bounds are parameter hints; reported parameters that are formulas of fitted ones are lmfit expressions, with
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
        """Give the expert as JSON-able values, read back by ``expert_from_dict``; it is found by its name."""
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
