r"""Experts as ``lmfit`` models, and a cluster's fit as an lmfit result: for a closer look at one cluster.

lmfit multiplies residuals by its weights, so a weight is the root of ours. A cluster of N curves on a shared grid
enters as its mean curve with the weights :math:`\sqrt{W_t}/\mathrm{std}`, plus the part of the sum of squares that no
parameters change: chi-square, degrees of freedom, F-tests and scaled covariances are then those of all
the curves' points. From the mean curve alone lmfit would take the scatter of a mean for that of the data.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import require
from ..contract.bounds import Bounds
from ..contract.inputs import Inputs
from ..contract.law import Law
from ..solvers.starts import guess

if TYPE_CHECKING:
    import lmfit
    from lmfit.model import ModelResult

Array = NDArray[np.float64]

#: Methods that take an analytic Jacobian of the residuals.
_WITH_JACOBIAN = {"leastsq", "least_squares"}


def lmfit_model(expert: Law, prefix: str = "") -> lmfit.Model:
    """Make an ``lmfit.Model`` of an expert, its parameters' names after a prefix."""
    return _classes()[0](expert, prefix=prefix)


def lmfit_result(
    expert: Law,
    inputs: Mapping[str, Array],
    mean: Array,
    weight: Array,
    *,
    std: float,
    constant: float,
    count: float,
    start: Array,
    bounds: Bounds,
    held: NDArray[np.bool_],
    method: str = "leastsq",
) -> ModelResult:
    """Fit the curves of one cluster by lmfit.

    Args:
        expert: The physics.
        inputs: The independent variable and the covariates by name, each of shape (T,).
        mean: Mean curve, shape (T,), in the unit of the curves.
        weight: Sum of responsibilities per point, shape (T,), above zero.
        std: Standard deviation of the noise, in the unit of the curves.
        constant: Sum of squares about the mean curve, in the squared unit of the curves.
        count: Sum of responsibilities over all points of all curves: lmfit's number of data.
        start: Fitted parameters to start from, shape (P,).
        bounds: Their bounds.
        held: Parameters that do not vary, shape (P,).
        method: As in ``lmfit.Model.fit``.

    Returns:
        The result; ``data``, ``best_fit`` and ``weights`` are of the mean curve, the statistics of all points.
    """
    model = _classes()[0](expert, constant=constant / std**2)
    parameters = model.make_params()
    model.place(parameters, start, bounds, held)
    weights = np.sqrt(weight) / std
    options = {"Dfun": model.jacobian} if method in _WITH_JACOBIAN else {}
    result = _classes()[1](model, parameters, method=method, fcn_kws=dict(inputs), count=count, **options)
    result.fit(data=mean, weights=weights)
    result.components = model.components
    return result


@functools.cache
def _classes() -> tuple[type, type]:
    """The two classes, made on first use: lmfit is not there on every machine."""
    library = require("lmfit", "fits by lmfit")
    return _model_class(library), _result_class(require("lmfit.model", "fits by lmfit"))


def _model_class(library: ModuleType) -> type:
    class ExpertModel(library.Model):
        """An expert as an lmfit model, with its bounds, its derivatives and its own guess."""

        def __init__(self, expert: Law, *, prefix: str = "", constant: float = 0.0) -> None:
            self.expert, self.constant = expert, constant
            self.fitted = [p.name for p in expert.parameters]
            super().__init__(_function(expert), independent_vars=list(expert.inputs), name=expert.name, prefix=prefix)
            for name, hint in _hints(expert, prefix).items():
                self.set_param_hint(name, **hint)

        def guess(self, data: ArrayLike, x: ArrayLike | None = None, **kws: ArrayLike) -> library.Parameters:
            """Start values and bounds from the data, by the expert's own guess.

            Args:
                data: One curve, shape (T,).
                x: The independent variable; also by its name.
                **kws: ``weights`` as in ``fit``; anything else as in ``make_params``.
            """
            given = {name: kws.pop(name) for name in self.expert.inputs if name in kws}
            inputs = given if x is None else {self.expert.inputs[0]: x, **given}
            weights = kws.pop("weights", None)
            squares = None if weights is None else np.asarray(weights, dtype=np.float64) ** 2
            parameters = self.make_params()
            bounds, start = self.expert.bounds(inputs[self.expert.inputs[0]]), guess(self.expert, inputs, data, squares)
            self.place(parameters, start, bounds, np.zeros(len(start), dtype=bool))
            for name, value in kws.items():
                parameters[name].set(**value) if isinstance(value, dict) else parameters[name].set(value=value)
            return parameters

        def place(self, parameters: library.Parameters, start: Array, bounds: Bounds, held: NDArray[np.bool_]) -> None:
            """Put values and bounds into lmfit's parameters."""
            for i, name in enumerate(self.fitted):
                parameters[self.prefix + name].set(
                    value=float(start[i]), min=bounds.lower[i], max=bounds.upper[i], vary=not held[i]
                )

        def fit(self, data: ArrayLike, params: library.Parameters | None = None, **kws: object) -> ModelResult:
            """Fit as lmfit does; without parameters from the guess, and with exact derivatives where possible."""
            if params is None:
                given = {name: kws.pop(name) for name in self.param_names if name in kws}
                inputs = {name: kws[name] for name in self.expert.inputs}
                params = self.guess(data, weights=kws.get("weights"), **inputs, **given)
            free = all(params[self.prefix + name].expr is None for name in self.fitted)
            if free and kws.get("method", "leastsq") in _WITH_JACOBIAN:
                kws["fit_kws"] = {"Dfun": self.jacobian, **(kws.get("fit_kws") or {})}
            return super().fit(data, params, **kws)

        def jacobian(self, params: library.Parameters, *inputs: Array | None, **kws: Array) -> Array:
            """Derivatives of the residuals by the parameters that vary, shape (T, varying); inputs are as in lmfit."""
            weights, values = inputs[1], [params[self.prefix + name] for name in self.fitted]
            slopes = _slopes(self.expert, {name: kws[name] for name in self.expert.inputs}, values, weights)
            return np.append(slopes, np.zeros((1, slopes.shape[1])), axis=0) if self.constant else slopes

        def _residual(self, params: library.Parameters, data: Array, weights: Array | None, **kws: Array) -> Array:
            residual = super()._residual(params, data, weights, **kws)
            return np.append(residual, np.sqrt(self.constant)) if self.constant else residual

    return ExpertModel


def _result_class(library: ModuleType) -> type:
    class ClusterResult(library.ModelResult):
        """lmfit's result of a weighted mean curve, with the number of data of all the curves it is the mean of."""

        def __init__(self, *arguments: object, count: float, **options: object) -> None:
            self._count = round(count)
            super().__init__(*arguments, **options)

        def prepare_fit(self, params: lmfit.Parameters | None = None) -> lmfit.minimizer.MinimizerResult:
            """Prepare as lmfit does; the statistics count the points of all curves."""
            result = super().prepare_fit(params)
            plain, count = result._calculate_statistics, self._count

            def counted() -> None:
                plain()
                result.ndata, result.nfree = count, count - result.nvarys
                result.redchi = result.chisqr / max(1, result.nfree)
                likelihood = count * np.log(result.chisqr / count)
                result.aic = likelihood + 2 * result.nvarys
                result.bic = likelihood + np.log(count) * result.nvarys

            result._calculate_statistics = counted
            return result

        def fit(self, *arguments: object, **options: object) -> None:
            """Fit as lmfit does; the share of variance explained is that of all points."""
            super().fit(*arguments, **options)
            squares = self.weights**2
            middle = np.average(self.data, weights=squares)
            total = np.sum(squares * (self.data - middle) ** 2) + self.model.constant
            self.rsquared = 1.0 - self.chisqr / total if total > 0 else np.nan

    return ClusterResult


def _function(expert: Law) -> object:
    """The expert as a function of named arguments, as lmfit reads them from the signature."""
    names = [p.name for p in expert.parameters]

    def curve(*arguments: ArrayLike, **named: ArrayLike) -> Array:
        values = {**dict(zip([*expert.inputs, *names], arguments, strict=False)), **named}
        inputs = {name: values[name] for name in expert.inputs}
        return expert.value_and_jacobian(inputs, np.array([values[name] for name in names]))[0]

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    curve.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in (*expert.inputs, *names)])
    curve.__name__ = expert.name
    return curve


def _hints(expert: Law, prefix: str) -> dict[str, dict[str, object]]:
    """Bounds and a value between them; formulas for what is reported and not fitted."""
    hints = {}
    for p in expert.parameters:
        both = np.isfinite(p.lower) and np.isfinite(p.upper)
        value = 0.5 * (p.lower + p.upper) if both else np.clip(1.0, p.lower, p.upper)
        hints[p.name] = {"value": float(value), "min": p.lower, "max": p.upper}
    names = set(hints)

    def prefixed(match: re.Match[str]) -> str:
        return prefix + match[0] if match[0] in names else match[0]

    for reported, text in zip(expert.reported, expert.reported_formulas, strict=False):
        if reported.name not in names:
            hints[reported.name] = {"expr": re.sub(r"[A-Za-z]\w*", prefixed, text.replace("^", "**"))}
    return hints


def _slopes(expert: Law, inputs: Inputs, parameters: Sequence[lmfit.Parameter], weights: ArrayLike | None) -> Array:
    _, slopes = expert.value_and_jacobian(inputs, np.array([p.value for p in parameters]))
    slopes = -slopes[:, [p.vary for p in parameters]]
    return slopes if weights is None else slopes * np.asarray(weights)[:, None]
