r"""Formulas of an expert's fitted parameters: the reported ones, and any quantity, with derivatives for the errors.

The reported parameters may be other than the fitted ones. A bound that couples two parameters (a saturation stress
above the yield stress) becomes a plain one when the fitted parameters are others (the rise from one to the other); the
formulas turn them back into the ones that people know. The error of a quantity is that which the parameters' covariance
gives it:

.. math:: q = f(\theta), \qquad \mathrm{var}(q) = \nabla f^\top \, \mathrm{cov}(\theta)\, \nabla f

The text goes through the same whitelist as every formula, and is never executed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import numpy as np
import sympy
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import FormulaError
from .codegen import run_torch
from .parser import parse, read_formula
from .program import Program, lower

Array = NDArray[np.float64]

#: Stands for the independent variable, which a quantity does not have.
_NOTHING = "independent0"


@functools.lru_cache(maxsize=512)
def reported_program(text: str, variable: str, names: tuple[str, ...]) -> Program:
    """Read the formula of one reported parameter into a program.

    Args:
        text: A formula of the fitted parameters, without the independent variable.
        variable: Name of the independent variable.
        names: Names of the fitted parameters, in order.

    Raises:
        FormulaError: If it cannot be read, or holds the independent variable or an unknown name.
    """
    read = read_formula(f"{text} + 0 * {variable}", variable)  # every formula must name its variable
    used = {str(symbol) for symbol in read.expression.free_symbols}
    unknown = sorted(used - set(names))
    if unknown:
        raise FormulaError(
            f"the shown parameter {text!r} uses {unknown[0]!r}, which is not fitted; fitted are {', '.join(names)}"
        )
    return lower(read.expression, (variable,), names, safe=True)


def to_reported(programs: list[Program], theta: ArrayLike) -> Array:
    """Values of the reported parameters, shape (..., Q), of fitted ones (..., P)."""
    fitted = torch.as_tensor(np.asarray(theta, dtype=np.float64))
    return torch.stack([_run(program, fitted) for program in programs], dim=-1).numpy()


def reported_jacobian(programs: list[Program], theta: ArrayLike) -> Array:
    """Derivative of :func:`to_reported`, shape (..., Q, P)."""
    with torch.inference_mode(False), torch.enable_grad():
        fitted = torch.tensor(np.asarray(theta, dtype=np.float64), requires_grad=True)
        rows = [torch.autograd.grad(_run(program, fitted).sum(), fitted)[0] for program in programs]
    return torch.stack(rows, dim=-2).numpy()


def _run(program: Program, theta: Tensor) -> Tensor:
    return run_torch(program, torch.ones(1, dtype=theta.dtype), theta)[..., 0]


class Quantity:
    """A formula of named numbers.

    Args:
        text: Such as ``"sigma_y**2 / (2 * E)"``; see :func:`~pima_toolkit.experts.formulas.parser.read_formula`.
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
    symbols = {str(symbol): symbol for symbol in expression.free_symbols}
    for candidate in reversed(candidates):
        symbol = symbols.get(candidate)
        if symbol is None:
            continue
        slope = sympy.diff(expression, symbol)
        inverse = (sympy.Symbol(name, real=True) - expression.subs(symbol, 0)) / slope
        if symbol not in slope.free_symbols and not inverse.has(sympy.Piecewise, sympy.Min, sympy.Max):
            return candidate, str(inverse)
    raise FormulaError(
        f"{name} = {text} is linear in none of its parameters, so its profile cannot be drawn: use bootstrap()"
    )


def _shifted(error: FormulaError, text: str, names: Sequence[str]) -> FormulaError:
    """Error with its position counted without the bracket put before the text."""
    if _NOTHING in str(error):
        return FormulaError(f"the quantity {text!r} names no parameter: use {', '.join(names)}")
    if error.position is None:
        return FormulaError(str(error))
    position = max(error.position - 1, 0)
    return FormulaError(re.sub(r"position \d+", f"position {position}", str(error)), position)


Array = NDArray[np.float64]
