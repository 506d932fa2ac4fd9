r"""Experts from differential equations: the right-hand sides are formulas, and every form of the law follows from them.

A system :math:`\dot x = f(t, u(t), x, \theta)` with initial states :math:`x(t_0) = g(\theta)` and a curve
:math:`y = h(t, u(t), x, \theta)`. All of f, g and h go the way of every formula: read by the parser, differentiated
step by step, printed as compiled functions. The steps over them, with sensitivities, are in ``formulas/radau.py``; in
torch the same numbers are one operation, and the sensitivities its derivative, since steps in torch would be others,
and hundreds of times slower.
"""

from __future__ import annotations

import functools
import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sympy import Add, Expr, Symbol
from torch import Tensor

from ...errors import ExpertError, FormulaError
from ...signatures import tells_misfits
from ..contract.inputs import Inputs, packed, variable
from ..contract.parameters import NAME, Parameter
from ..formulas.differential import System, compile_system
from ..formulas.parser import (
    MAX_PARAMETERS,
    RESERVED,
    Formula,
    latex_name,
    mathml_of,
    names_in,
    read_expression,
    substituted,
)
from ..formulas.program import jointly_linear, lower, with_jacobian
from .evaluated import evaluated
from .expert import Expert
from .formula_expert import declared

Array = NDArray[np.float64]

#: States that one system may have: its steps solve 3 n equations.
MAX_STATES = 16

#: Of a class: a formula may also be a number.
Formulas = Mapping[str, str | float]


@dataclass(frozen=True)
class _SystemTexts:
    """A system as text, in a form that can be compared and looked up.

    Args:
        slopes: Right-hand side by state.
        initial: Initial value by state.
        output: The curve.
        events: Times of kinks and jumps.
        given: What stands for a name in all these: an input, a formula or a number.
        t: The independent variable.
        covariates: Names of further inputs beside those of ``given``.
    """

    slopes: tuple[tuple[str, str], ...]
    initial: tuple[tuple[str, str], ...]
    output: str
    events: tuple[str, ...]
    given: tuple[tuple[str, str], ...]
    t: str
    covariates: tuple[str, ...]

    @property
    def states(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.slopes)

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the measured inputs: what is given for a name and is a name alone, then the covariates."""
        names = [text for _, text in self.given if NAME.fullmatch(text)]
        return tuple(dict.fromkeys((*names, *self.covariates)))

    @property
    def text(self) -> str:
        slopes = ", ".join(f"d{name}/d{self.t} = {text}" for name, text in self.slopes)
        given = "".join(f", {name} = {text}" for name, text in self.given if not NAME.fullmatch(text))
        first = ", ".join(f"{name} = {text}" for name, text in self.initial)
        return f"{self.output} with {slopes}{given}; at first {first}"


@dataclass(frozen=True)
class _SystemRead:
    """A system that was read: its expressions, over the inputs, the states and the parameters."""

    slopes: tuple[Expr, ...]
    initial: tuple[Expr, ...]
    events: tuple[Expr, ...]
    output: Formula


class OdeExpert(Expert):
    """An expert written as differential equations.

    The states' derivatives by the independent variable, their initial values, and the curve, all as formulas::

        OdeExpert(
            {"x": "exp(lnk - Ea / (R * T)) * max(1 - x, 0)**n"},
            t="time",
            initial={"x": 0},
            inputs={"T": "temperature", "R": 8.314e-3},
            output="1 - (1 - residue) * x",
        )

    Either so, or as a subclass with the class attributes ``name``, ``t``, ``equations``, ``initial``, ``given`` (what
    ``inputs`` gives), ``output`` and ``parameters``. Measured inputs are covariates: one number for each specimen, or,
    in ``fit``, values along the curve, which are straight between the points; loading and unloading may have kinks
    there, and jumps where two points have the same time. A kink or jump of the right-hand side anywhere else, such as
    the end of a ramp, is told by ``events``. Systems may be stiff. Where the base of a power may fall below zero by
    rounding, write ``max(1 - x, 0)**n``.

    Args:
        equations: Right-hand side by state, a formula of states, parameters, inputs and the independent variable; see
            :func:`~pima_toolkit.experts.formulas.parser.read_formula` for what a formula may hold.
        t: Name of the independent variable.
        initial: Initial value by state, a number or a formula of parameters and of the inputs at the first point.
        inputs: What stands for a name in the formulas: the name of a measured input, a formula (the programme of a
            temperature, ``"T_0 + rate * time"``), or a number.
        covariates: Names of further measured inputs, as they stand in the formulas.
        output: The curve, a formula of states, parameters and inputs.
        events: Times at which the right-hand side has a kink or a jump, numbers or formulas of parameters and of the
            inputs at the first point; the integration ends and begins anew there.
        start: Where the initial values hold; before it the states keep them. 0 by default.
        tolerance: Error of one step, relative to the largest value of each state so far.
        sizes: Size by name of the state, where a smaller one does not count: a conversion from 0 to 1 that begins at
            1e-12 is integrated in fewer steps by ``{"x": 1}``. The largest value so far without.
        name: How people ask for it; the formulas themselves by default.
        parameters: Parameters in the wanted order, instead of units and bounds.
        units: Units by name of the parameter; ``{y}`` and ``{t}`` stand for those of the data.
        bounds: Lower and upper bound by name of the parameter; None for none.
        descriptions: A few words by name of the parameter.
        log: Names of parameters to be solved for in their logarithms, see :class:`Parameter`.

    Raises:
        FormulaError: If a formula cannot be read, or names do not fit together.
        ExpertError: If an option does not go with the others.
    """

    name: str = ""
    equations: Formulas = MappingProxyType({})
    initial: Formulas = MappingProxyType({})
    given: Formulas = MappingProxyType({})
    output: str = ""
    events: Sequence[str | float] = ()
    start: float = 0.0
    tolerance: float = 1e-6
    sizes: Mapping[str, float] = MappingProxyType({})
    parameters: tuple[Parameter, ...] = ()
    texts: _SystemTexts
    floors: tuple[float, ...]

    @tells_misfits
    def __init__(
        self,
        equations: Formulas | None = None,
        t: str | None = None,
        *,
        initial: Formulas | None = None,
        inputs: Formulas | None = None,
        covariates: Sequence[str] | None = None,
        output: str | None = None,
        events: Sequence[str | float] | None = None,
        start: float | None = None,
        tolerance: float | None = None,
        sizes: Mapping[str, float] | None = None,
        name: str | None = None,
        parameters: Sequence[Parameter] | None = None,
        units: Mapping[str, str] | None = None,
        bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
        descriptions: Mapping[str, str] | None = None,
        log: Sequence[str] = (),
    ) -> None:
        cls = type(self)
        texts = _SystemTexts(
            slopes=_texts("equations", cls.equations if equations is None else equations),
            initial=_texts("initial", cls.initial if initial is None else initial),
            output=_text("output", cls.output if output is None else output),
            events=tuple(_text("events", one) for one in _sequence("events", cls.events if events is None else events)),
            given=_texts("inputs", cls.given if inputs is None else inputs),
            t=cls.t if t is None else t,
            covariates=tuple(_sequence("covariates", cls.covariates if covariates is None else covariates)),
        )
        read = _read(texts)
        made = declared(
            read.output,
            cls.parameters if parameters is None else parameters,
            units or {},
            bounds or {},
            descriptions or {},
            log,
        )
        begin, allowed = cls.start if start is None else start, cls.tolerance if tolerance is None else tolerance
        values = {
            "texts": texts,
            "t": texts.t,
            "covariates": texts.measured,
            "start": _number("start", begin, -math.inf, math.inf),
            "tolerance": _number("tolerance", allowed, 0.0, 1e-2),
            "floors": _sizes(texts.states, cls.sizes if sizes is None else sizes),
            "name": name or cls.name or texts.text,
            "parameters": made,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    @property
    def formula(self) -> str:
        """The output and the equations, as text for people."""
        return self.texts.text

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(p.name for p in self.parameters)

    @property
    def linear(self) -> tuple[int, ...]:
        """Numbers of the parameters that the curve is linear in, all together, as far as the formulas tell."""
        return _linear(self.texts, self._names)

    @property
    def latex(self) -> str:
        """The output and the equations as LaTeX."""
        read, t = _read(self.texts), latex_name(self.texts.t)
        slopes = [
            rf"\frac{{\mathrm{{d}} {latex_name(name)}}}{{\mathrm{{d}} {t}}} = {_latex(e)}"
            for name, e in zip(self.texts.states, read.slopes, strict=True)
        ]
        return r",\quad ".join([read.output.latex, *slopes])

    @property
    def mathml(self) -> str:
        """The output and the equations as MathML, one after the other."""
        read = _read(self.texts)
        sides = [
            "<mfrac>"
            + "".join(f"<mrow><mo>d</mo>{mathml_of(Symbol(one))}</mrow>" for one in (name, self.texts.t))
            + f"</mfrac><mo>=</mo>{mathml_of(slope)}"
            for name, slope in zip(self.texts.states, read.slopes, strict=True)
        ]
        return ", ".join([read.output.mathml, *(f"<math>{side}</math>" for side in sides)])

    def _compiled(self) -> tuple[Callable[..., None], Callable[..., float]]:
        return compile_system(_system(self.texts, self._names, self.start, self.tolerance, self.floors))

    def compiled_curve(self) -> Callable[..., None]:
        """Compile the equations with their sensitivities, or take them from the cache."""
        return self._compiled()[0]

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch, once differentiable, on the CPU; shapes as in :meth:`Law.predict`."""
        return evaluated(self, t, theta)

    def states(self, t: Inputs, theta: ArrayLike) -> dict[str, Array]:
        """Integrate the states of one specimen.

        Args:
            t: Independent variable, shape (T,); with covariates all inputs by name, or packed.
            theta: Parameters, shape (P,).

        Returns:
            By name of the state, shape (T,).

        Raises:
            ExpertError: If the integration fails; it says where.
        """
        grid, theta = packed(self, t), np.array(theta, dtype=np.float64)
        if grid.ndim != 1 or theta.shape != (len(self.parameters),):
            raise ExpertError(
                f"states of expert {self.name!r} need one grid and {len(self.parameters)} parameters, got shapes"
                f" {grid.shape} and {theta.shape}"
            )
        table, reached = self._traced(grid, theta)
        if np.isfinite(reached):
            raise ExpertError(self._failure(reached, theta))
        return dict(zip(self.texts.states, table.T, strict=True))

    def _traced(self, grid: Array, theta: Array) -> tuple[Array, float]:
        T = variable(self, grid).size
        table = np.empty((T, len(self.texts.states)))
        return table, self._compiled()[1](grid, theta, np.empty(T), np.empty((T, theta.size)), table)

    def _failure(self, reached: float, theta: Array) -> str:
        at = ", ".join(f"{p.name} = {x:.4g}" for p, x in zip(self.parameters, theta, strict=True))
        return (
            f"expert {self.name!r} cannot be integrated beyond {self.t} = {reached:.6g} with {at}: there a right-hand"
            " side is no number (a power or logarithm of what is below zero: write max(1 - x, 0)**n), or a state grows"
            " beyond all bounds; correct the equations, or bound the parameters"
        )

    def why_not_finite(self, t: Array, theta: Array) -> str:
        """Where the integration fails, as a sentence; shapes as in :meth:`Law.why_not_finite`."""
        reached = self._traced(t, theta)[1]
        return self._failure(reached, theta) if np.isfinite(reached) else ""

    def to_dict(self) -> dict[str, object]:
        """Give equations and parameters as JSON-able values; a subclass is found by its name, and compared."""
        if type(self) is not OdeExpert:
            return {**super().to_dict(), "formula": self.formula}
        texts = self.texts
        return {
            **super().to_dict(),
            "kind": "ode",
            "equations": dict(texts.slopes),
            "initial": dict(texts.initial),
            "inputs": dict(texts.given),
            "covariates": list(texts.covariates),
            "output": texts.output,
            "events": list(texts.events),
            "start": self.start,
            "tolerance": self.tolerance,
            "sizes": dict(zip(texts.states, self.floors, strict=True)),
        }

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.texts, self.start, self.tolerance, self.floors)

    def _equation(self) -> str:
        return f"$y({html.escape(', '.join(self.inputs))}) = {html.escape(self.latex)}$"


def _text(what: str, value: object) -> str:
    """A formula as text; a number as its digits.

    Raises:
        FormulaError: If it is neither.
    """
    if isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value):
        return repr(float(value))
    if not isinstance(value, str) or not value.strip():
        raise FormulaError(f"{what} must hold formulas as text, such as '-k * x', or numbers, got {value!r}")
    return value.strip()


def _texts(what: str, values: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(values, Mapping):
        raise FormulaError(f"{what} must be a table of formulas by name, such as {{'x': '-k * x'}}, got {values!r}")
    for name in values:
        if not isinstance(name, str) or not NAME.fullmatch(name) or "__" in name or name in RESERVED:
            raise FormulaError(
                f"a name in {what} cannot be {name!r}: use a letter, then letters, digits or single underscores, not a"
                " function's name"
            )
    return tuple((name, _text(what, value)) for name, value in values.items())


def _sequence(what: str, values: object) -> Sequence:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ExpertError(f"{what} must be a tuple: ({values!r},)")
    return values


def _number(what: str, value: float, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low < number < high:
        raise ExpertError(f"{what}={value!r}: expected a number above {low:g} and below {high:g}")
    return number


def _sizes(states: Sequence[str], given: object) -> tuple[float, ...]:
    if not isinstance(given, Mapping):
        raise ExpertError(f"sizes must be a table of numbers by name of the state, {{'x': 1}}, got {given!r}")
    unknown = [name for name in given if name not in states]
    if unknown:
        raise ExpertError(f"a size is given for {unknown[0]!r}, which is no state; states are {', '.join(states)}")
    return tuple(_number(f"sizes[{name!r}]", given.get(name, 0.0), -1.0, math.inf) for name in states)


@functools.lru_cache(maxsize=128)
def _read(texts: _SystemTexts) -> _SystemRead:
    """Read a system, and see that its names fit together.

    Raises:
        FormulaError: If a formula cannot be read, or a name is missing, taken or never used.
    """
    states, measured, given = texts.states, texts.measured, dict(texts.given)
    names = [texts.t, *measured, *states, *(name for name in given if name not in measured)]
    _check_names(texts, names)
    n = len(states)
    # In the order in which parameters are met.
    formulas = [(f"the equation of {name!r}", text) for name, text in texts.slopes]
    formulas += [(f"the initial value of {name!r}", dict(texts.initial)[name]) for name in states]
    formulas += [("the event", text) for text in texts.events]
    formulas += [("the output", texts.output)]
    used = [_names(what, text) for what, text in formulas]
    _check_states(states, formulas, used)
    read, positions = [], {}
    for what, text in formulas:
        expression, met = _expression(what, text, given)
        read.append(expression)
        positions |= dict.fromkeys(met)
    idle = [name for name in given if not any(name in found for found in used)]
    idle += [name for name in measured if name not in positions]
    if idle:
        raise FormulaError(f"the input {idle[0]!r} is in no formula: correct the name, or leave it out")
    parameters = tuple(name for name in positions if name not in names)
    if not 1 <= len(parameters) <= MAX_PARAMETERS:
        raise FormulaError(
            f"the equations have {len(parameters)} parameters to fit, expected 1 to {MAX_PARAMETERS}: every name that"
            f" is none of {', '.join(names)} is one"
        )
    output = Formula(texts.text, texts.t, read[-1], parameters, measured)
    return _SystemRead(tuple(read[:n]), tuple(read[n : 2 * n]), tuple(read[2 * n : -1]), output)


def _check_names(texts: _SystemTexts, names: Sequence[str]) -> None:
    """Refuse names that cannot be, that come twice, and initial values that are not those of the states."""
    states, initial = texts.states, dict(texts.initial)
    if not 1 <= len(states) <= MAX_STATES:
        raise FormulaError(
            f"there are {len(states)} equations, expected 1 to {MAX_STATES}: give the derivative of each state,"
            " {'x': '-k * x'}"
        )
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
            raise FormulaError(
                f"an input cannot be called {name!r}: use a letter, then letters and digits, no function"
            )
        if names.count(name) > 1:
            raise FormulaError(f"{name!r} is the name of two things among variable, states and inputs: rename one")
    for name in states:
        if name not in initial:
            raise FormulaError(f"the state {name!r} has no initial value: add it to initial, {{{name!r}: 0}}")
    for name in initial:
        if name not in states:
            raise FormulaError(f"an initial value is given for {name!r}, of which there is no equation: leave it out")


def _check_states(states: Sequence[str], formulas: Sequence[tuple[str, str]], used: Sequence[set[str]]) -> None:
    """Refuse states that nothing follows from, and formulas that name one where none has a value."""
    if not set(states) & used[-1]:
        raise FormulaError(
            f"the output {formulas[-1][1]!r} names no state ({', '.join(states)}): the curve must follow one"
        )
    for k in range(len(states), len(formulas) - 1):
        if set(states) & used[k]:
            what, text = formulas[k]
            raise FormulaError(f"{what}, {text!r}, names a state: it may hold parameters and inputs only")
    for k, name in enumerate(states):
        if not any(name in found for i, found in enumerate(used) if i != k):
            raise FormulaError(
                f"the state {name!r} is named in no other equation and not in the output: use it, or leave it out"
            )


def _names(what: str, text: str) -> set[str]:
    try:
        return names_in(text)
    except FormulaError as error:
        raise _told(what, text, error) from None


def _told(what: str, text: str, error: FormulaError) -> FormulaError:
    return FormulaError(f"{what}, {text!r}: {error}", error.position)


def _expression(what: str, text: str, given: Mapping[str, str]) -> tuple[Expr, list[str]]:
    """One formula with what is given put in, and its names in the order of their appearance."""
    try:
        expression, positions = read_expression(text)  # as it was typed: mistakes are told with their place in it
        if any(name in given for name in positions):
            expression, positions = read_expression(substituted(text, given))
    except FormulaError as error:
        raise _told(what, text, error) from None
    return expression, list(positions)


def _latex(expression: Expr) -> str:
    return Formula("", "", expression, ()).latex


@functools.lru_cache(maxsize=128)
def _system(
    texts: _SystemTexts, parameters: tuple[str, ...], start: float, tolerance: float, sizes: tuple[float, ...]
) -> System:
    read = _read(texts)
    names = (*texts.states, *parameters)
    programs = [
        with_jacobian(lower(part, read.output.inputs, names), len(names))
        for part in (read.slopes, read.initial, read.events, (read.output.expression,))
    ]
    slopes, initial, events, output = programs
    return System(slopes, initial, events, output, len(texts.states), len(parameters), start, tolerance, sizes)


@functools.lru_cache(maxsize=128)
def _linear(texts: _SystemTexts, parameters: tuple[str, ...]) -> tuple[int, ...]:
    """Parameters that the curve is linear in, all together.

    Where right-hand sides, initial values and output are linear in the states and some parameters, all together, so is
    the curve in these. Else those are left that stand in the output alone.
    """
    read, states = _read(texts), texts.states
    everything = (*read.slopes, *read.initial, read.output.expression)
    weights = [Symbol(f"_{k}", real=True) for k in range(len(everything))]
    whole = Add(*(weight * part for weight, part in zip(weights, everything, strict=True)))
    held = {name for event in read.events for name in map(str, event.free_symbols)}
    free = [name for name in parameters if name not in held]
    inputs = (*read.output.inputs, *map(str, weights), *sorted(held & set(parameters)))
    chosen = jointly_linear(lower(whole, inputs, (*states, *free)), len(states) + len(free))
    n = len(states)
    if set(range(n)) <= set(chosen):
        return tuple(parameters.index(free[k - n]) for k in chosen if k >= n)
    elsewhere = held.union(*(map(str, part.free_symbols) for part in (*read.slopes, *read.initial)))
    alone = [name for name in parameters if name not in elsewhere]
    others = (*read.output.inputs, *states, *(name for name in parameters if name in elsewhere))
    return tuple(
        parameters.index(alone[k]) for k in jointly_linear(lower(read.output.expression, others, alone), len(alone))
    )
