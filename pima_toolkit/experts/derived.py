r"""Quantities that are formulas of an expert's parameters, with the errors the parameters' covariance gives them.

.. math:: q = f(\theta), \qquad \mathrm{var}(q) = \nabla f^\top \, \mathrm{cov}(\theta)\, \nabla f

The text goes through the same whitelist as every formula, and is never executed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import FormulaError
from .codegen import run_torch
from .formula import read_formula
from .parameters import Parameter
from .program import lower
from .syntax import parse

Array = NDArray[np.float64]

#: Stands for the independent variable, which a quantity does not have.
_NOTHING = "independent0"


class Quantity:
    """A formula of named numbers.

    Args:
        text: Such as ``"sigma_y**2 / (2 * E)"``; see :func:`~pima_toolkit.experts.formula.read_formula`.
        names: What may stand in it, in the order of the values.

    Raises:
        FormulaError: If the text cannot be read, or names something else.
    """

    def __init__(self, text: str, names: Sequence[str]) -> None:
        self.text = text
        if not isinstance(text, str) or not text.strip():
            raise FormulaError(f"a quantity must be text such as 'sigma_y**2 / (2*E)', got {text!r}")
        parse(text)  # alone first: what is put around it below must not mend it
        try:
            formula = read_formula(f"({text}) + 0*{_NOTHING}", _NOTHING)
        except FormulaError as error:
            raise _shifted(error, text, names) from None
        unknown = [name for name in formula.parameters if name not in names]
        if unknown:
            raise FormulaError(
                f"the quantity {text!r} names {', '.join(unknown)}, which is not known here: use {', '.join(names)}"
            )
        self._program = lower(formula.expression, _NOTHING, list(names), safe=True)

    def value_and_gradient(self, values: ArrayLike) -> tuple[Array, Array]:
        """The quantity and its derivatives.

        Args:
            values: Shape (..., N), in the order of the names.

        Returns:
            Values (...) and gradients (..., N).
        """
        x = torch.tensor(np.asarray(values, dtype=np.float64), requires_grad=True)
        with torch.enable_grad():  # tables are made where gradients are switched off
            found = run_torch(self._program, torch.zeros(1, dtype=torch.float64), x)[..., 0]
            (gradient,) = torch.autograd.grad(found.sum(), x)
        return found.detach().numpy(), gradient.numpy()


class Showing(Protocol):
    """What an expert says about the parameters people see."""

    parameters: tuple[Parameter, ...]
    shown: tuple[Parameter, ...]
    shown_formulas: Mapping[str, str]


def shown_values(expert: Showing, theta: ArrayLike) -> tuple[Array, Array]:
    """What people see, each a fitted parameter of that name or a formula of the fitted ones.

    Args:
        expert: Its ``shown_formulas`` hold a formula for every shown parameter that is no fitted one.
        theta: Fitted parameters, shape (..., P).

    Returns:
        Values (..., Q) and derivatives (..., Q, P).
    """
    theta = np.asarray(theta, dtype=np.float64)
    names = tuple(p.name for p in expert.parameters)
    value = np.empty((*theta.shape[:-1], len(expert.shown)))
    jacobian = np.zeros((*value.shape, len(names)))
    for q, p in enumerate(expert.shown):
        if p.name in expert.shown_formulas:
            value[..., q], jacobian[..., q, :] = _quantity(expert.shown_formulas[p.name], names).value_and_gradient(
                theta
            )
        else:
            value[..., q], jacobian[..., q, names.index(p.name)] = theta[..., names.index(p.name)], 1.0
    return value, jacobian


@functools.lru_cache(maxsize=256)
def _quantity(text: str, names: tuple[str, ...]) -> Quantity:
    return Quantity(text, names)


def _shifted(error: FormulaError, text: str, names: Sequence[str]) -> FormulaError:
    """The same error, its position counted without the bracket put before the text."""
    if _NOTHING in str(error):
        return FormulaError(f"the quantity {text!r} names no parameter: use {', '.join(names)}")
    if error.position is None:
        return FormulaError(str(error))
    position = max(error.position - 1, 0)
    return FormulaError(re.sub(r"position \d+", f"position {position}", str(error)), position)
