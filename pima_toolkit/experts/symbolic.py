"""Experts from one formula: the compiled form, the torch form, LaTeX and the linear parameters all follow from it."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..errors import ExpertError, FormulaError
from .codegen import compile_curve, run_torch
from .derivatives import jointly_linear, with_jacobian
from .expert import Expert
from .formula import Formula, read_formula
from .parameters import Parameter
from .program import Program, lower
from .shown import show, show_jacobian, shown_program


@functools.lru_cache(maxsize=512)
def _read(text: str, inputs: tuple[str, ...]) -> Formula:
    return read_formula(text, inputs[0], inputs[1:])


@functools.lru_cache(maxsize=512)
def _programs(text: str, inputs: tuple[str, ...], names: tuple[str, ...]) -> tuple[Program, tuple[int, ...]]:
    """The compiled form's program with Jacobian, and the jointly linear parameters."""
    plain = lower(_read(text, inputs).expression, inputs, names)
    return with_jacobian(plain, len(names)), jointly_linear(plain, len(names))


class SympyExpert(Expert):
    """An expert written as a formula.

    Either from text, ``SympyExpert("K * strain**n", t="strain", units={"K": "MPa"}, bounds={"n": (0, 1)})``, or as a
    subclass with the class attributes ``name``, ``t``, ``formula`` and ``parameters``. Parameters have the order of
    their appearance in the text, or of ``parameters``. What differs from test to test and is known, a temperature or a
    strain rate, is a covariate::

        SympyExpert(
            "(A + B*strain**n) * (1 + C*log(strain_rate)) * (1 - T**m)", t="strain", covariates=("strain_rate", "T")
        )

    A subclass may fit other parameters than people know, where bounds depend on each other: ``shown`` lists the known
    ones, and ``shown_formulas`` has a formula of the fitted parameters for each: ``("sigma_y", "sigma_y + rise")``.

    Args:
        formula: The right-hand side, see :func:`~pima_toolkit.experts.formula.read_formula`.
        t: Name of the independent variable.
        covariates: Names of further inputs, all in the formula.
        name: How people ask for it; the formula itself by default.
        parameters: Parameters in the wanted order, instead of units and bounds.
        units: Units by name of the parameter; ``{y}`` and ``{t}`` stand for those of the data.
        bounds: Lower and upper bound by name of the parameter; None for none.
        descriptions: A few words by name of the parameter.

    Raises:
        FormulaError: If the formula cannot be read, or its names are not those of the parameters.
        ExpertError: If an option does not go with the others.
    """

    name: str = ""
    formula: str = ""
    parameters: tuple[Parameter, ...] = ()

    def __init__(
        self,
        formula: str | None = None,
        t: str | None = None,
        *,
        covariates: Sequence[str] | None = None,
        name: str | None = None,
        parameters: Sequence[Parameter] | None = None,
        units: Mapping[str, str] | None = None,
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        descriptions: Mapping[str, str] | None = None,
    ) -> None:
        text = type(self).formula if formula is None else formula
        variable = type(self).t if t is None else t
        if text == "" and type(self) is not SympyExpert:
            raise ExpertError(
                f"the expert class {type(self).__name__} has no formula: write formula = 'K * strain**n' in it"
            )
        given = type(self).parameters if parameters is None else parameters
        if given and (units or bounds or descriptions):
            raise ExpertError("give either parameters, or units, bounds and descriptions, not both")
        more = type(self).covariates if covariates is None else covariates
        if isinstance(more, str):
            raise ExpertError(f"covariates must be a tuple of names: ({more!r},)")
        read = _read(text, (variable, *more))
        if given:
            made = _matched(read, tuple(given))
        else:
            made = _made(read, units or {}, bounds or {}, descriptions or {})
        values = {
            "formula": text,
            "t": variable,
            "covariates": read.covariates,
            "name": name or type(self).name or re.sub(r"\s+", " ", text.strip()),
            "parameters": made,
        }
        # Made here and kept: torch.compile follows what predict reads, and cannot follow sympy.
        values["_torch_form"] = lower(read.expression, read.inputs, [p.name for p in made], safe=True)
        for key, value in values.items():
            object.__setattr__(self, key, value)
        if self.shown_formulas:
            self._shown_programs()  # what is wrong with them is told when the expert is made

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    @property
    def _programs(self) -> tuple[Program, tuple[int, ...]]:
        return _programs(self.formula, self.inputs, tuple(p.name for p in self.parameters))

    @property
    def linear(self) -> tuple[int, ...]:
        """Numbers of the parameters the formula is linear in, all together."""
        return self._programs[1]

    @property
    def latex(self) -> str:
        """The right-hand side as LaTeX."""
        return _read(self.formula, self.inputs).latex

    @property
    def mathml(self) -> str:
        """The right-hand side as MathML, which browsers draw by themselves."""
        return _read(self.formula, self.inputs).mathml

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch; see :meth:`Expert.predict`."""
        return run_torch(self._torch_form, t, theta, len(self.inputs))

    def curve(self) -> Callable[..., None]:
        """The compiled form; see :meth:`Expert.curve`."""
        return compile_curve(self._programs[0])

    def show(self, theta: ArrayLike) -> NDArray[np.float64]:
        """What people see, shape (..., Q), of fitted parameters (..., P); by ``shown_formulas``."""
        return show(self._shown_programs(), theta) if self.shown_formulas else super().show(theta)

    def show_jacobian(self, theta: ArrayLike) -> NDArray[np.float64]:
        """The derivative of :meth:`show`, shape (..., Q, P)."""
        return show_jacobian(self._shown_programs(), theta) if self.shown_formulas else super().show_jacobian(theta)

    def _shown_programs(self) -> list[Program]:
        names = tuple(p.name for p in self.parameters)
        if len(self.shown_formulas) != len(self.shown):
            raise ExpertError(
                f"expert {self.name!r} shows {len(self.shown)} parameters by {len(self.shown_formulas)} formulas: give"
                " one each"
            )
        return [shown_program(text, self.t, names) for text in self.shown_formulas]

    def to_dict(self) -> dict[str, object]:
        """The formula and parameters as JSON-able values; a subclass is found by its name, its formula compared."""
        kind = "formula" if type(self) is SympyExpert else "installed"
        return {**super().to_dict(), "kind": kind, "formula": self.formula}

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.formula)

    def _equation(self) -> str:
        return f"$y({html.escape(', '.join(self.inputs))}) = {html.escape(self.latex)}$"


def _role(read: Formula, name: str) -> str:
    return "the independent variable" if name == read.variable else "a covariate"


def _matched(read: Formula, given: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    if not all(isinstance(p, Parameter) for p in given):
        raise ExpertError("parameters must be Parameter objects: Parameter('K', unit='MPa', lower=0)")
    names = [p.name for p in given]
    if len(set(names)) != len(names):
        raise ExpertError(f"two parameters have the same name: {', '.join(names)}")
    taken = [name for name in names if name in read.inputs]
    if taken:
        raise FormulaError(f"a parameter is called {taken[0]!r}, which is {_role(read, taken[0])}: rename one of them")
    missing, extra = [n for n in read.parameters if n not in names], [n for n in names if n not in read.parameters]
    if missing or extra:
        said = [f"{', '.join(missing)} is in the formula but not declared"] if missing else []
        said += [f"{', '.join(extra)} is declared but not in the formula"] if extra else []
        raise FormulaError(f"parameters and formula {read.text!r} do not match: {'; '.join(said)}")
    return given


def _made(
    read: Formula,
    units: Mapping[str, str],
    bounds: Mapping[str, tuple[float | None, float | None]],
    descriptions: Mapping[str, str],
) -> tuple[Parameter, ...]:
    for what, table in (("units", units), ("bounds", bounds), ("descriptions", descriptions)):
        for name in table:
            if name in read.inputs:
                raise FormulaError(f"{what} are given for {name!r}, which is {_role(read, name)}, not a parameter")
            if name not in read.parameters:
                raise FormulaError(
                    f"{what} are given for {name!r}, which is not in the formula; its parameters are"
                    f" {', '.join(read.parameters)}"
                )
    made = []
    for name in read.parameters:
        try:
            low, high = bounds.get(name, (None, None))
        except (TypeError, ValueError):
            raise ExpertError(f"bounds of {name!r} must be a pair (lower, upper), got {bounds[name]!r}") from None
        limits = {"lower": low, "upper": high}
        made.append(
            Parameter(
                name,
                unit=units.get(name, "1"),
                description=descriptions.get(name, ""),
                **{key: value for key, value in limits.items() if value is not None},
            )
        )
    return tuple(made)
