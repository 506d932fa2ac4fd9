r"""Quantities that are formulas of an expert's parameters, with the errors the parameters' covariance gives them.

.. math:: q = f(\theta), \qquad \mathrm{var}(q) = \nabla f^\top \, \mathrm{cov}(\theta)\, \nabla f

The text goes through the same whitelist as every formula, and is never executed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray

from ...errors import FormulaError
from .formula import read_formula
from .program import lower
from .reported import reported_jacobian, to_reported
from .syntax import parse

Array = NDArray[np.float64]

#: Stands for the independent variable, which a quantity does not have.
_NOTHING = "independent0"


class Quantity:
    """A formula of named numbers.

    Args:
        text: Such as ``"sigma_y**2 / (2 * E)"``; see :func:`~pima_toolkit.experts.formulas.formula.read_formula`.
        names: What may stand in it, in the order of the values.

    Raises:
        FormulaError: If the text cannot be read, or names something else.
    """

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text = text
        if not isinstance(text, str) or not text.strip():
            raise FormulaError(f"a quantity must be text such as 'sigma_y**2 / (2*E)', got {text!r}")
        parse(text)  # alone first: what is put after it must not mend it
        try:
            formula = read_formula(f"({text}) + 0*{_NOTHING}", _NOTHING)
        except FormulaError as error:
            raise _shifted(error, text, names) from None
        unknown = [name for name in formula.parameters if name not in names]
        if unknown:
            raise FormulaError(
                f"the quantity {text!r} names {', '.join(unknown)}, which is not known here: use {', '.join(names)}"
            )
        self._program = [lower(formula.expression, _NOTHING, list(names), safe=True)]

    def value_and_gradient(self, values: ArrayLike) -> tuple[Array, Array]:
        """The quantity and its derivatives.

        Args:
            values: Shape (..., N), in the order of the names.

        Returns:
            Values (...) and gradients (..., N).
        """
        return to_reported(self._program, values)[..., 0], reported_jacobian(self._program, values)[..., 0, :]


def solved_for(text: str, name: str, candidates: Sequence[str]) -> tuple[str, str]:
    """Turn ``name = text`` round into a formula of one of the names in it.

    Args:
        text: A formula that is linear in one of the candidates, such as ``"E * eps_y"``.
        name: What it is the formula of, such as ``"sigma_y"``.
        candidates: Names to solve for, the preferred ones last.

    Returns:
        The name solved for and its formula: ``("eps_y", "sigma_y/E")``.

    Raises:
        FormulaError: If it is linear in none of them.
    """
    expression = read_formula(f"({text}) + 0*{_NOTHING}", _NOTHING).expression
    symbols = {s.name: s for s in expression.free_symbols}
    for candidate in reversed(candidates):
        symbol = symbols.get(candidate)
        if symbol is None:
            continue
        slope = sympy.diff(expression, symbol)
        found = (sympy.Symbol(name, real=True) - expression.subs(symbol, 0)) / slope
        if symbol not in slope.free_symbols and not found.has(sympy.Piecewise, sympy.Min, sympy.Max):
            return candidate, str(found)
    raise FormulaError(
        f"{name} = {text} is linear in none of its parameters, so its profile cannot be drawn: use bootstrap()"
    )


def _shifted(error: FormulaError, text: str, names: Sequence[str]) -> FormulaError:
    """The same error, its position counted without the bracket put before the text."""
    if _NOTHING in str(error):
        return FormulaError(f"the quantity {text!r} names no parameter: use {', '.join(names)}")
    if error.position is None:
        return FormulaError(str(error))
    position = max(error.position - 1, 0)
    return FormulaError(re.sub(r"position \d+", f"position {position}", str(error)), position)
