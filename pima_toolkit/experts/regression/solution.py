"""The result of fitting an expert: parameters, how sure they are, and what to do when something is wrong."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...faces import tells_new_names
from ...units import value_with_error
from ..contract.inputs import Inputs, variable
from ..contract.law import Law
from ..solvers.optimum import Optimum
from .covariance import Errors
from .curves import FittedCurves
from .intervals import band, bootstrap, confidence, reported_units
from .quantities import CurveQuantity, derive


@tells_new_names
@dataclass(frozen=True, eq=False)
class Solution:
    """A fit of C rows (clusters or specimens) with P fitted and Q reported parameters.

    Args:
        expert: The physics.
        optimum: The best parameters, and how the solver found them.
        errors: How sure they are.
        data: The curves it was fitted to.
    """

    expert: Law
    optimum: Optimum
    errors: Errors
    data: FittedCurves

    @property
    def parameters(self) -> NDArray[np.float64]:
        """Best fitted parameters, shape (C, P), in the expert's units."""
        return self.optimum.parameters

    @property
    def cost(self) -> NDArray[np.float64]:
        """Weighted sum of squares, shape (C,), in units of y squared times weight."""
        return self.optimum.cost

    @property
    def status(self) -> NDArray[np.int64]:
        """Codes of how the solver ended, shape (C,); positive means converged. :attr:`advice` says them in words."""
        return self.optimum.status

    @property
    def iterations(self) -> NDArray[np.int64]:
        """Iterations of the best start, shape (C,)."""
        return self.optimum.iterations

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of the starts that ended at the best cost, shape (C,).

        A low one means local minima, or a parameter the data do not determine.
        """
        return self.optimum.agreement

    @property
    def at_bound(self) -> NDArray[np.bool_]:
        """Whether a fitted parameter sits on a bound, shape (C, P)."""
        return self.optimum.at_bound

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Whether a fitted parameter was held, shape (P,)."""
        return self.optimum.held

    @property
    def advice(self) -> list[str]:
        """One sentence per row: converged, or what to do."""
        return self.optimum.advice

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the fitted parameters, shape (C, P, P); rows of held parameters are 0.

        Of several curves, which differ, it is the curve-clustered sandwich.
        """
        return self.errors.covariance

    @property
    def naive_covariance(self) -> NDArray[np.float64]:
        """Covariance of the fitted parameters as if every point were independent, shape (C, P, P)."""
        return self.errors.naive_covariance

    @property
    def unidentified(self) -> NDArray[np.bool_]:
        """Whether the data leave a free parameter open, shape (C, P).

        It can be moved together with others without any change of the curve, or its standard error is wider than its
        bounds are apart, or a hundred times its distance to its only bound.
        """
        return self.errors.unidentified

    @property
    def y_unit(self) -> str:
        """Unit of the curves."""
        return self.data.y_unit

    @property
    def t_unit(self) -> str:
        """Unit of the independent variable."""
        return self.data.t_unit

    @property
    def std_errors(self) -> NDArray[np.float64]:
        """Standard errors of the fitted parameters, shape (C, P); NaN for a parameter at a bound, 0 for a held one."""
        std = np.sqrt(np.maximum(np.diagonal(self.covariance, axis1=1, axis2=2), 0.0))
        return np.where(self.at_bound, np.nan, std)

    @property
    def reported(self) -> NDArray[np.float64]:
        """Reported parameters, shape (C, Q)."""
        return self.expert.to_reported(self.parameters)

    @property
    def reported_std_errors(self) -> NDArray[np.float64]:
        """Standard errors of the reported parameters, (C, Q), by the delta method.

        NaN where every cause is at a bound.
        """
        jacobian = self.expert.reported_jacobian(self.parameters)
        finite = np.where(np.isfinite(self.covariance), self.covariance, 0.0)
        variance = np.einsum("cqp,cpr,cqr->cq", jacobian, finite, jacobian)
        open_ = np.isinf(np.diagonal(self.covariance, axis1=1, axis2=2))
        variance[np.any(open_[:, None, :] & (jacobian != 0), axis=2)] = np.inf
        # A reported parameter whose own fitted one is at a bound has no error of its own, though its other factors may
        # have.
        stuck = np.any(self.at_bound[:, None, :] & (jacobian != 0), axis=2)
        return np.where(stuck & ~(variance > 0), np.nan, np.sqrt(np.maximum(variance, 0.0)))

    @property
    def units(self) -> list[str]:
        """Units of the reported parameters, with those of the data put in."""
        return reported_units(self.expert, self.data)

    def bootstrap(self, n: int = 200, seed: int = 0, *, level: float = 0.9) -> xr.Dataset:
        """Refit curves drawn with replacement, which asks for no formula of how curves differ.

        Args:
            n: Replicates; 200 for standard errors, 1000 for intervals.
            seed: Of the draws.
            level: Share of the replicates between ``low`` and ``high``.

        Returns:
            Along (cluster, parameter), the reported ones: ``value``, ``std_error``, ``low``, ``high``; ``replicates``.

        Raises:
            ExpertError: If there is one curve only.
        """
        return bootstrap(self.expert, self.optimum, self.data, n, seed, level)

    def confidence(self, *parameters: str, level: float = 0.9) -> xr.Dataset:
        """Intervals by profile likelihood, which need not be symmetric, through lmfit's ``conf_interval``.

        Of several curves the profile is scaled to the curve-clustered variance.

        Args:
            *parameters: Names of reported parameters; all by default.
            level: Share of such intervals that hold the truth.

        Returns:
            ``value``, ``low``, ``high`` (cluster, parameter); NaN where a parameter is held or at a bound.

        Raises:
            ExpertError: If there is no such parameter.
            MissingDependency: If lmfit is not installed.
        """
        return confidence(self.expert, self.optimum, self.errors, self.data, parameters, level)

    def band(self, t: Inputs | None = None, *, level: float = 0.9, of: str = "mean") -> xr.Dataset:
        """The fitted curves with pointwise bands.

        Args:
            t: Where, shape (T,); with covariates all inputs by name. The grid of the data by default.
            level: Share of such bands that hold a point of the curve.
            of: ``"mean"``: the curve at the population's parameters, how well it is known; ``"specimen"``: a new
                measurement of a new specimen, with how specimens differ and noise.

        Returns:
            ``mean``, ``low``, ``high`` (cluster, t), with units.

        Raises:
            ExpertError: If a specimen's band is asked of one curve.
        """
        return band(self.expert, self.optimum, self.errors, self.data, t, level, of)

    def derive(
        self,
        quantities: Mapping[str, str | CurveQuantity],
        units: Mapping[str, str] | None = None,
        *,
        at: Mapping[str, float] | None = None,
    ) -> xr.Dataset:
        """Further quantities with propagated errors, such as ``{"energy": "sigma_y**2 / (2*E)"}``.

        Args:
            quantities: By the name it shall have, a formula of the reported parameters, or a measure of the curve:
                ``pima.quantities.offset_yield()``, ``resilience()``, ``toughness()``, ``ultimate()``.
            units: Units of the formulas.
            at: Values of covariates, for measures of the curve.

        Returns:
            ``value``, ``std_error`` (cluster, quantity), with ``unit``.

        Raises:
            FormulaError: If a formula cannot be read, or names what is not reported.
            ExpertError: If the solution has no errors, or a measure does not go with the law.
        """
        reach = float(np.max(variable(self.expert, self.data.grid)))
        return derive(
            self.expert,
            self.parameters,
            self.covariance,
            quantities,
            units,
            reach=reach,
            y_unit=self.y_unit,
            t_unit=self.t_unit,
            at=at,
        )

    def _rows(self) -> list[list[str]]:
        """Texts of each fit's parameters, ``value ± error``; a value that is held stands alone."""
        values, errors = self.reported, self.reported_std_errors
        return [
            [
                f"{value:.6g}" if error == 0 else value_with_error(value, error)  # an error of zero: it was held
                for value, error in zip(row, row_errors, strict=True)
            ]
            for row, row_errors in zip(values, errors, strict=True)
        ]

    def __str__(self) -> str:
        names = [p.name for p in self.expert.reported]
        lines = [f"{self.expert.name}, {len(self.cost)} fit{'s' if len(self.cost) != 1 else ''}"]
        rows = self._rows()
        for c, row in enumerate(rows[:20]):
            head = f"  [{c}]" if len(rows) > 1 else " "
            texts = [
                f"{name} = {text}" + ("" if unit == "1" else f" {unit}")
                for name, text, unit in zip(names, row, self.units, strict=True)
            ]
            lines.append(f"{head} {', '.join(texts)}")
            lines += [f"      {note}" for note in self._notes(c)]
        if len(rows) > 20:
            lines.append(f"  ... and {len(rows) - 20} more")
        return "\n".join(lines)

    def report(self) -> str:
        """Formula, parameters with errors and units, how sure the fit is, and what to do, as text."""
        lines = [f"{self.expert.name}: {len(self.cost)} fit{'s' if len(self.cost) != 1 else ''}"]
        if law := law_of(f"y({', '.join(self.expert.inputs)})", self.expert):
            lines.append(f"  {law}")
        names = [p.name for p in self.expert.reported]
        for c, row in enumerate(self._rows()):
            head = "one curve"
            if not self.data.single:
                head = f"{self.data.effective[c]:.1f} effective specimens"
            lines += ["", f"[{c}] {head}; {self.agreement[c]:.0%} of the starts agree; {self.advice[c]}"]
            for name, text, unit in zip(names, row, self.units, strict=True):
                lines.append(f"  {name:<12} {text}{'' if unit == '1' else f' {unit}'}")
            lines += [f"  {note}" for note in self._notes(c) if note != self.advice[c]]
        return "\n".join(lines)

    def _notes(self, c: int) -> list[str]:
        notes = [] if self.status[c] > 0 else [self.advice[c]]
        bound = [p.name for p, at in zip(self.expert.parameters, self.at_bound[c], strict=True) if at]
        if bound:
            notes.append(f"at a bound: {', '.join(bound)}")
        lost = [p.name for p, flag in zip(self.expert.parameters, self.unidentified[c], strict=True) if flag]
        if lost:
            notes.append(f"not determined by these data: {', '.join(lost)}; hold it by fixed=, or give a prior")
        if self.status[c] > 0 and self.agreement[c] < 0.5:
            notes.append(
                f"only {self.agreement[c]:.0%} of the starts agree: a parameter may not be determined by these data"
            )
        return notes

    def _repr_html_(self) -> str:
        heads = [
            html.escape(p.name if unit == "1" else f"{p.name} [{unit}]")
            for p, unit in zip(self.expert.reported, self.units, strict=True)
        ]
        body = []
        for c, row in enumerate(self._rows()[:100]):
            notes = html.escape("; ".join(self._notes(c)))
            cells = "".join(f"<td>{html.escape(text)}</td>" for text in row)
            number = c if len(self.cost) > 1 else ""
            body.append(f"<tr><th>{number}</th>{cells}<td>{notes}</td></tr>")
        header = "".join(f"<th>{head}</th>" for head in heads)
        return (
            f"<table><caption>{html.escape(self.expert.name)}</caption><thead><tr><th></th>{header}<th></th></tr></thead>"
            f"<tbody>{''.join(body)}</tbody></table>"
        )


def law_of(name: str, expert: Law) -> str:
    """Write the law of a curve as people type it, with the formulas of reported parameters; empty where it has none.

    Args:
        name: What the curve is called, the left-hand side.
        expert: The physics; one that holds a formula inside, as lmfit's models do, has the law of that.
    """
    formula = getattr(getattr(expert, "inner", None) or expert, "formula", "")
    if not formula:
        return ""
    reported = zip((p.name for p in expert.reported), expert.reported_formulas, strict=False)
    also = [f"{parameter} = {text}" for parameter, text in reported if parameter != text]
    return f"{name} = {formula}" + (f", with {', '.join(also)}" if also else "")
