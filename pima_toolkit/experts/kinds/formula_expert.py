"""Experts from one formula: the compiled form, the torch form, LaTeX and the linear parameters all follow from it."""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import Expr
from torch import Tensor

from ...errors import ExpertError, FormulaError
from ...signatures import tells_misfits
from ..contract.bounds import Bounds
from ..contract.example import Example
from ..contract.parameters import Parameter
from ..formulas.codegen import compile_curve, run_torch
from ..formulas.consistency import contradicted
from ..formulas.derived import Quantity, reported_jacobian, reported_program, to_reported
from ..formulas.parser import Formula, names_in, read_formula, substituted
from ..formulas.program import Program, jointly_linear, lower, with_jacobian
from ..formulas.relations import Substitute, relate
from .expert import Expert


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

    A subclass may fit other parameters than people know, where bounds depend on each other: ``reported`` lists the
    known ones, and ``reported_formulas`` has a formula of the fitted parameters for each:
    ``("sigma_y", "sigma_y + rise")``.

    Args:
        formula: The right-hand side, see :func:`~pima_toolkit.experts.formulas.parser.read_formula`.
        t: Name of the independent variable.
        covariates: Names of further inputs, all in the formula.
        name: How people ask for it; the formula itself by default.
        parameters: Parameters in the wanted order, instead of units and bounds.
        units: Units by name of the parameter; ``{y}`` and ``{t}`` stand for those of the data.
        bounds: Lower and upper bound by name of the parameter; None for none.
        descriptions: A few words by name of the parameter.
        log: Names of parameters to be solved for in their logarithms, see :class:`Parameter`.
        quantity: What the law is written in, where curves may be of another: see :class:`Law`.
        example: A plausible curve, for figures and tests; one is made from the bounds by default.

    Raises:
        FormulaError: If the formula cannot be read, or its names are not those of the parameters.
        ExpertError: If an option does not go with the others.
    """

    name: str = ""
    formula: str = ""
    parameters: tuple[Parameter, ...] = ()

    @tells_misfits
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
        log: Sequence[str] = (),
        quantity: str | None = None,
        example: Example | None = None,
    ) -> None:
        text = type(self).formula if formula is None else formula
        variable = type(self).t if t is None else t
        if text == "" and type(self) is not SympyExpert:
            raise ExpertError(
                f"the expert class {type(self).__name__} has no formula: write formula = 'K * strain**n' in it"
            )
        given = type(self).parameters if parameters is None else parameters
        more = type(self).covariates if covariates is None else covariates
        if isinstance(more, str):
            raise ExpertError(f"covariates must be a tuple of names: ({more!r},)")
        read = _read(text, (variable, *more))
        parameters = declared(read, given, units or {}, bounds or {}, descriptions or {}, log)
        values = {
            "formula": text,
            "t": variable,
            "covariates": read.covariates,
            "name": name or type(self).name or re.sub(r"\s+", " ", text.strip()),
            "parameters": parameters,
            **({} if example is None else {"example": example}),
            **({} if quantity is None else {"quantity": quantity}),
        }
        # Made here and kept: torch.compile follows what predict reads, and cannot follow sympy.
        values["_torch_form"] = lower(read.expression, read.inputs, [p.name for p in parameters], safe=True)
        for key, value in values.items():
            object.__setattr__(self, key, value)
        if self.reported_formulas:
            self._reported_programs()  # what is wrong with them is told when the expert is made

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    @property
    def expression(self) -> Expr:
        """The formula as sympy has it, over real symbols."""
        return _read(self.formula, self.inputs).expression

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
        """Evaluate in torch, differentiably; shapes as in :meth:`Law.predict`."""
        return run_torch(self._torch_form, t, theta, len(self.inputs))

    def compiled_curve(self) -> Callable[..., None]:
        """Compile the formula with its Jacobian, or take it from the cache."""
        return compile_curve(self._programs[0])

    def check_units(self, t: ArrayLike, units: Mapping[str, str], y_unit: str) -> None:
        """Refuse data whose units contradict the declared ones, by how the formula scales.

        Args:
            t: Independent variable, any shape.
            units: Units of the inputs, by name.
            y_unit: Unit of the curves.

        Raises:
            ExpertError: If they do.
        """
        wrong = contradicted(self._torch_form, self.inputs, self.parameters, t, units, y_unit, self.bounds)
        if not wrong:
            return
        declared = " and ".join(f"{p.name} in {p.unit}" for p in wrong)
        data = " and ".join(f"{name} in {units[name]}" for name in self.inputs if name in units)
        raise ExpertError(
            f"expert {self.name!r} declares {declared}, which contradicts curves in {y_unit} over {data}: nothing is"
            " converted, so convert the data, or declare units that follow them, such as '{y}' or '{y}/{t}'"
        )

    def fixed(self, **values: float) -> RestrictedExpert:
        """Hold some fitted parameters at known values: an expert in which they are constants of the formula.

        Args:
            **values: By name of the fitted parameter, ``fixed(E=210e3)``, in its unit.

        Raises:
            ExpertError: If a name is no fitted parameter, a value not finite, or nothing is left to fit.
        """
        return RestrictedExpert(self, fixed=values)

    def tied(self, **formulas: str) -> RestrictedExpert:
        """Give some fitted parameters by formulas of others, ``tied(h="0.1 * n")``.

        They are still reported, with the error that the others give them. Their own bounds are not kept: they
        follow from the others.

        Args:
            **formulas: By name of the fitted parameter, formulas of the others.

        Raises:
            ExpertError: If a name is no fitted parameter, or nothing is left to fit.
            FormulaError: If a formula cannot be read, or names something else.
        """
        return RestrictedExpert(self, tied=formulas)

    def related(self, *relations: str) -> RestrictedExpert:
        """Keep relations between fitted parameters: ``related("tau_1 < tau_2", "w_1 + w_2 = 1", "H < 0.5*E")``.

        Others are fitted in their place, which plain bounds keep
        (:mod:`~pima_toolkit.experts.formulas.relations`); reported are those of before, with errors. Bounds are kept.

        Args:
            *relations: Comparisons of formulas, with ``<``, ``>``, ``<=``, ``>=`` or ``=``; also chains of them.

        Raises:
            ExpertError: If one contradicts the bounds, or is linear in no parameter.
            FormulaError: If one cannot be read, or names something else.
        """
        return RestrictedExpert(self, relations=relations)

    def to_reported(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Turn fitted parameters (..., P) into reported ones, shape (..., Q), by ``reported_formulas``."""
        return to_reported(self._reported_programs(), theta) if self.reported_formulas else super().to_reported(theta)

    def reported_jacobian(self, theta: ArrayLike) -> NDArray[np.float64]:
        """Derivative of :meth:`to_reported` by the fitted parameters, shape (..., Q, P)."""
        return (
            reported_jacobian(self._reported_programs(), theta)
            if self.reported_formulas
            else super().reported_jacobian(theta)
        )

    def _reported_programs(self) -> list[Program]:
        names = tuple(p.name for p in self.parameters)
        if len(self.reported_formulas) != len(self.reported):
            raise ExpertError(
                f"expert {self.name!r} shows {len(self.reported)} parameters by {len(self.reported_formulas)} formulas:"
                " give one each"
            )
        return [reported_program(text, self.t, names) for text in self.reported_formulas]

    def to_dict(self) -> dict[str, object]:
        """Give formula and parameters as JSON-able values; a subclass is found by its name, its formula compared."""
        kind = "formula" if type(self) is SympyExpert else "installed"
        said = {"quantity": self.quantity} if self.quantity and kind == "formula" else {}
        return {**super().to_dict(), "kind": kind, "formula": self.formula, **said}

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.formula, self.quantity)

    def _equation(self) -> str:
        return f"$y({html.escape(', '.join(self.inputs))}) = {html.escape(self.latex)}$"


class RestrictedExpert(SympyExpert):
    """An expert whose parameters are not all free: some held at values, some given by formulas of others, some related.

    Its formula is the other's with the values and formulas put in, so that every form of it follows. Starts and bounds
    taken from the data are the other's.

    Args:
        base: The expert with all parameters.
        fixed: Values by name of the fitted parameter.
        tied: Formulas of the other fitted parameters, by name.
        relations: Comparisons of formulas of fitted parameters.

    Raises:
        ExpertError: If a name is no fitted parameter, is given twice, a value not finite, a relation cannot be kept, or
            nothing is left to fit.
        FormulaError: If a formula cannot be read, or names what is no free parameter.
    """

    reported: tuple[Parameter, ...] = ()

    def __init__(
        self,
        base: SympyExpert,
        *,
        fixed: Mapping[str, float] | None = None,
        tied: Mapping[str, str] | None = None,
        relations: Sequence[str] = (),
    ) -> None:
        fixed, tied, relations = dict(fixed or {}), dict(tied or {}), tuple(relations)
        if isinstance(base, RestrictedExpert):
            fixed, tied, relations = {**base.held, **fixed}, {**base.ties, **tied}, (*base.relations, *relations)
            base = base.base
        fixed = {name: _number(name, value) for name, value in fixed.items()}
        names = [p.name for p in base.parameters]
        unknown, twice = [n for n in (*fixed, *tied) if n not in names], [n for n in fixed if n in tied]
        if unknown:
            raise ExpertError(f"expert {base.name!r} fits no parameter {unknown[0]!r}; it fits {', '.join(names)}")
        if twice:
            raise ExpertError(f"parameter {twice[0]!r} is both fixed and tied: do one of the two")
        free = [p for p in base.parameters if p.name not in fixed and p.name not in tied]
        if not free:
            raise ExpertError(f"nothing is left to fit of expert {base.name!r}: all its parameters are fixed or tied")
        allowed = {p.name for p in free} | set(fixed)
        for name, text in tied.items():
            other = sorted(names_in(text) - allowed)
            if other:
                raise FormulaError(
                    f"{name!r} is tied to {text!r}, which uses {other[0]!r}: use {', '.join(sorted(allowed))}"
                )
        values = {name: repr(value) for name, value in fixed.items()}
        values |= {name: substituted(text, values) for name, text in tied.items()}
        places: Mapping[str, Substitute] = {}
        formulas = base.reported_formulas or tuple(p.name for p in base.reported)
        if relations:
            named = zip((p.name for p in base.reported), formulas, strict=True)
            also = {name: substituted(text, values) for name, text in named if name not in names}
            related = relate(free, {**also, **values}, relations)
            free, places = list(related.parameters), related.substitutes
            values = {name: text for name, text in related.given.items() if name not in also}
        texts = [substituted(text, values) for text in formulas]
        # A parameter that no longer depends on anything fitted is not reported: it was given.
        kept = [k for k, text in enumerate(texts) if names_in(text) & {p.name for p in free}]
        given = [*(f"{n} = {v:g}" for n, v in fixed.items()), *(f"{n} = {text}" for n, text in tied.items())]
        for key, value in {
            "base": base,
            "held": fixed,
            "ties": tied,
            "relations": relations,
            "places": places,
            "reported": tuple(base.reported[k] for k in kept),
            "reported_formulas": tuple(texts[k] for k in kept),
            "reported_bounds": _with_relations(base, relations, kept) if relations else (),
            "within": tuple(name for name in base.within if name in {p.name for p in free}),
        }.items():
            object.__setattr__(self, key, value)
        given = ", ".join([*given, *relations])
        name = f"{base.name} with {given}" if given else base.name
        text = substituted(base.formula, values)
        options = {"covariates": base.covariates, "name": name, "parameters": free, "quantity": base.quantity}
        super().__init__(text, base.t, **options)

    def bounds(self, t: ArrayLike) -> Bounds:
        """The other expert's bounds of the parameters that are left, and those that relations leave them."""
        whole, own, names = self.base.bounds(t), Bounds.of(self.parameters), [p.name for p in self.base.parameters]
        for k, p in enumerate(self.parameters):
            if p.name in names:
                number = names.index(p.name)
                own = own.narrowed(k, whole.lower[number], whole.upper[number])
        return own

    @property
    def parts(self) -> tuple[Expert, ...]:
        """The other expert."""
        return (self.base,)

    @property
    def guesses(self) -> bool:
        """Whether the other expert's author says where to start."""
        return self.base.guesses

    def initial_guess(self, t: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray:
        """The other expert's guess, where its author wrote one; what it says of given parameters is not used."""
        if not self.base.guesses:
            return super().initial_guess(t, y, weights)
        return self._placed(self.base.initial_guess(t, y, weights))

    def _placed(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fitted parameters (..., P) of the other expert's; those that break a relation are put where it holds."""
        columns = dict(zip((p.name for p in self.base.parameters), np.moveaxis(theta, -1, 0), strict=True))
        for name, place in self.places.items():
            value = Quantity(place.formula, list(columns)).value_and_gradient(np.stack([*columns.values()], -1))[0]
            columns[name] = np.clip(value, 0.05, 0.95) if place.share else np.abs(value)
        return np.stack([columns[p.name] for p in self.parameters], -1)

    @property
    def example(self) -> Example | None:
        """The other expert's, without what is given."""
        example = self.base.example
        if example is None:
            return None
        theta = self._placed(example.theta(self.base.parameters))
        return replace(example, parameters={p.name: float(v) for p, v in zip(self.parameters, theta, strict=True)})

    def to_dict(self) -> dict[str, object]:
        """Give the other expert and the given parameters as JSON-able values."""
        return {
            "kind": "restricted",
            "name": self.name,
            "base": self.base.to_dict(),
            "fixed": self.held,
            "tied": self.ties,
            "relations": list(self.relations),
        }

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.base, tuple(self.held.items()), tuple(self.ties.items()), self.relations)


def _with_relations(base: SympyExpert, relations: Sequence[str], kept: Sequence[int]) -> tuple[str, ...]:
    """Words on the bounds of reported parameters: each in the relations that name it."""
    own = base.reported_bounds or ("",) * len(base.reported)
    named = [(text, set(re.findall(r"\w+", text))) for text in relations]
    also = [", ".join(text for text, names in named if p.name in names) for p in base.reported]
    return tuple(", ".join(filter(None, (own[k], also[k]))) for k in kept)


def _number(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise ExpertError(f"parameter {name!r} cannot be held at {value!r}: give a finite number")
    return number


def declared(
    read: Formula,
    given: Sequence[Parameter],
    units: Mapping[str, str],
    bounds: Mapping[str, tuple[float | None, float | None]],
    descriptions: Mapping[str, str],
    logs: Sequence[str],
) -> tuple[Parameter, ...]:
    """Parameters of a formula: those given, in their order, or made from tables by name.

    Raises:
        ExpertError: If both are given, or one is unusable.
        FormulaError: If they are not those of the formula.
    """
    if not given:
        return _made(read, units, bounds, descriptions, logs)
    if units or bounds or descriptions or logs:
        raise ExpertError("give either parameters, or units, bounds, descriptions and log, not both")
    return _matched(read, tuple(given))


def _role(read: Formula, name: str) -> str:
    return "the independent variable" if name == read.variable else "a covariate"


def _matched(read: Formula, given: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Declared parameters, in their order, if they are those of the formula.

    Raises:
        ExpertError: If they are no parameters, or two have one name.
        FormulaError: If one is missing, not in the formula, or called like an input.
    """
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
        wrong = [f"{', '.join(missing)} is in the formula but not declared"] if missing else []
        wrong += [f"{', '.join(extra)} is declared but not in the formula"] if extra else []
        raise FormulaError(f"parameters and formula {read.text!r} do not match: {'; '.join(wrong)}")
    return given


def _made(
    read: Formula,
    units: Mapping[str, str],
    bounds: Mapping[str, tuple[float | None, float | None]],
    descriptions: Mapping[str, str],
    logs: Sequence[str],
) -> tuple[Parameter, ...]:
    """Parameters of a formula in the order of their appearance, from tables by name.

    Raises:
        ExpertError: If bounds are no pair, or unusable.
        FormulaError: If a table names what is no parameter.
    """
    for what, table in (("units", units), ("bounds", bounds), ("descriptions", descriptions), ("logarithms", logs)):
        for name in table:
            if name in read.inputs:
                raise FormulaError(f"{what} are given for {name!r}, which is {_role(read, name)}, not a parameter")
            if name not in read.parameters:
                raise FormulaError(
                    f"{what} are given for {name!r}, which is not in the formula; its parameters are"
                    f" {', '.join(read.parameters)}"
                )
    declared = []
    for name in read.parameters:
        try:
            low, high = bounds.get(name, (None, None))
        except (TypeError, ValueError):
            raise ExpertError(f"bounds of {name!r} must be a pair (lower, upper), got {bounds[name]!r}") from None
        limits = {"lower": low, "upper": high}
        declared.append(
            Parameter(
                name,
                unit=units.get(name, "1"),
                description=descriptions.get(name, ""),
                log=name in logs,
                **{key: value for key, value in limits.items() if value is not None},
            )
        )
    return tuple(declared)
