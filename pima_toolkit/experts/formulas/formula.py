"""Text to sympy without evaluating it: a whitelist over Python's syntax tree builds the sympy objects one by one.

Neither ``eval`` nor ``sympify`` ever sees the text, and time and memory are bounded: the text, the tree, the numbers
and the size after rewriting (``min``, ``max`` and ``abs`` repeat their arguments) all have limits.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import sympy
from sympy import Expr, Symbol
from sympy.printing.latex import LatexPrinter

from ...errors import FormulaError
from ..contract.parameters import NAME
from .reader import RESERVED, read_expression

MAX_PARAMETERS = 16


class _Latex(LatexPrinter):
    """Without the value at 0, which sympy would print as a second argument."""

    def _print_Heaviside(self, step: sympy.Heaviside, exp: str | None = None) -> str:  # noqa: N802 - sympy's name
        printed = rf"\theta\left({self._print(step.args[0])}\right)"
        return printed if exp is None else rf"\left({printed}\right)^{{{exp}}}"


@dataclass(frozen=True)
class Formula:
    """A formula that was read.

    Args:
        text: The text as given.
        variable: Name of the independent variable.
        expression: The sympy expression, over real symbols.
        parameters: Names of the parameters, in the order of their first appearance in the text.
        covariates: Names of the further inputs.
    """

    text: str
    variable: str
    expression: Expr
    parameters: tuple[str, ...]
    covariates: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The independent variable, then the covariates."""
        return (self.variable, *self.covariates)

    @property
    def latex(self) -> str:
        """The right-hand side as LaTeX."""
        names = {symbol: latex_name(symbol.name) for symbol in self.expression.free_symbols}
        return _Latex({"symbol_names": names}).doprint(self.expression)

    @property
    def mathml(self) -> str:
        """The right-hand side as MathML, which browsers draw by themselves."""
        greek = {s: Symbol(s.name.replace("eps", "epsilon", 1)) for s in self.expression.free_symbols}
        return f"<math>{sympy.mathml(self.expression.xreplace(greek), printer='presentation')}</math>"


def latex_name(name: str) -> str:
    """A name as LaTeX: Greek letters and indices as such, words upright."""
    stem, _, index = name.partition("_")
    read = sympy.latex(Symbol(name.replace("eps", "varepsilon", 1)))
    if len(stem) > 2 and not read.startswith("\\"):
        return r"\mathrm{" + name.replace("_", r"\ ") + "}"
    if len(index) > 1 and index.isalpha():
        return read.replace("{" + index + "}", r"{\infty}" if index == "inf" else r"{\mathrm{" + index + "}}")
    return read


def read_formula(text: str, variable: str, covariates: tuple[str, ...] = ()) -> Formula:
    """Read a formula.

    Args:
        text: Arithmetic (``+ - * / **``, ``^`` for ``**``), comparisons, ``and``/``or``, ``a if condition else b``,
            ``where(condition, a, b)``, ``min``, ``max``, ``abs``, ``heaviside`` (1 from 0 on), ``exp``, ``log``,
            ``sqrt``, ``sin`` and kin, ``erf``, ``pi``.
        variable: Name of the independent variable.
        covariates: Names of further inputs; every other name is a parameter.

    Returns:
        The formula.

    Raises:
        FormulaError: If the text is not such a formula; ``position`` is the offending character, 0 where the whole is.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula must be text such as 'K * strain**n', got {type(text).__name__}")
    names = (variable, *covariates)
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name) or "__" in name or name in RESERVED:
            what = "the independent variable" if name is variable else "a covariate"
            raise FormulaError(
                f"{what} cannot be called {name!r}: use a letter, then letters and digits, not a function's name"
            )
        if names.count(name) > 1:
            raise FormulaError(f"two inputs have the name {name!r}: name each of {', '.join(names)} once")
    expression, found = read_expression(text)
    parameters = tuple(name for name in found if name not in names)
    absent = [name for name in covariates if name not in found]
    if absent:
        raise FormulaError(
            f"the formula does not contain its covariate {absent[0]!r}: correct the name, or leave it out", 0
        )
    if variable not in found:
        known = f"the names found are {', '.join(found)}" if found else "no names were found"
        near = difflib.get_close_matches(variable, parameters, n=1, cutoff=0.7)
        if near:  # either may be the misspelt one
            raise FormulaError(
                f"the formula does not contain its independent variable {variable!r} ({known}): did you mean"
                f" {near[0]!r} and {variable!r} to be the same? spell both alike",
                found[near[0]],
            )
        raise FormulaError(
            f"the formula does not contain its independent variable {variable!r} ({known}): call the variable so in the"
            f" formula (in Python t='...' says what it is called), or add '+ 0*{variable}' for a constant",
            0,
        )
    if not parameters:
        raise FormulaError(
            f"the formula has no parameters to fit: every name in it is an input ({', '.join(sorted(names))}); write"
            f" for example 'slope * {variable}'",
            0,
        )
    if len(parameters) > MAX_PARAMETERS:
        raise FormulaError(
            f"the formula has {len(parameters)} parameters, at most {MAX_PARAMETERS} are possible",
            found[parameters[MAX_PARAMETERS]],
        )
    return Formula(text, variable, expression, parameters, tuple(covariates))
