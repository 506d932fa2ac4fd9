"""The units of a formula's parameters, as far as they follow from those of the data."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import sympy
from numpy.typing import NDArray

from pima_toolkit.experts import read_formula, resolve_unit

Row = NDArray[np.float64]
#: How many powers whose exponent is no number are told apart.
_POWERS = 8


class _Dimensions:
    """The dimensions of the parts of a formula, and the equations between them.

    A dimension is a row of exponents: of the parameters, of t, and of each power whose exponent is no number.

    Args:
        inputs: Names of the parameters, then of t.
        strict: Whether the base of such a power must be without unit, as in ``K * strain**n``.
    """

    def __init__(self, inputs: list[str], *, strict: bool) -> None:
        self.inputs, self.strict = inputs, strict
        self.powers: list[sympy.Expr] = []
        self.zero: list[Row] = []

    def of(self, part: sympy.Basic) -> Row:
        """Return the dimension of a part of the formula; equations it implies are gathered in ``zero``."""
        row = np.zeros(len(self.inputs) + _POWERS)
        if part.is_Number or part.is_NumberSymbol:
            return row
        if part.is_Symbol:
            row[self.inputs.index(part.name)] = 1.0
            return row
        if isinstance(part, sympy.Piecewise):
            for _, condition in part.args:
                for compared in condition.atoms(sympy.core.relational.Relational):
                    self._alike(compared.args)
            return self._alike([value for value, _ in part.args])
        if part.is_Add or isinstance(part, sympy.Max | sympy.Min):
            return self._alike(part.args)
        if part.is_Mul:
            return np.sum([self.of(factor) for factor in part.args], axis=0)
        if part.is_Pow:
            return self._power(*part.as_base_exp())
        if isinstance(part, sympy.Abs):
            return self.of(part.args[0])
        # A step, or exp, log, sin, ...: numbers in, numbers out.
        inner = self.of(part.args[0])
        if not isinstance(part, sympy.Heaviside):
            self.zero.append(inner)
        return row

    def _alike(self, parts: Sequence[sympy.Basic]) -> Row:
        """Return the one dimension of parts that are added or compared; zero has any."""
        rows = [self.of(part) for part in parts if not part.is_zero]
        self.zero += [other - rows[0] for other in rows[1:]]
        return rows[0] if rows else np.zeros(len(self.inputs) + _POWERS)

    def _power(self, base: sympy.Expr, exponent: sympy.Expr) -> Row:
        below = self.of(base)
        if exponent.is_Number:
            return below * float(exponent)
        self.zero.append(self.of(exponent))
        row = np.zeros_like(below)
        if self.strict or not base.free_symbols:
            self.zero.append(below)
            return row
        if base**exponent not in self.powers:
            self.powers.append(base**exponent)
        if len(self.powers) <= _POWERS:
            row[len(self.inputs) + self.powers.index(base**exponent)] = 1.0
        return row


def units_of(formula: str, t: str, t_unit: str, y_unit: str) -> dict[str, str | None]:
    """Find the units of the parameters that give both sides of ``y = formula`` the same unit.

    Args:
        formula: The right-hand side.
        t: Name of the independent variable.
        t_unit: Its unit, ``"1"`` for none.
        y_unit: Unit of the curve.

    Returns:
        Units by name of the parameter; None where the formula leaves one open, such as that of ``K`` in ``K * t**n``
        with t in seconds.

    Raises:
        FormulaError: If the formula cannot be read.
    """
    read = read_formula(formula, t)
    names = list(read.parameters)
    if y_unit in ("", "1") and t_unit in ("", "1"):
        return dict.fromkeys(names, "1")
    for strict in (True, False):
        walk = _Dimensions([*names, t], strict=strict)
        equations = [walk.of(read.expression), *walk.zero]
        exponents = _solved(np.array(equations), len(names), t_unit in ("", "1"), y_unit in ("", "1"))
        if exponents is not None:
            return {name: _text(row, y_unit, t_unit) for name, row in zip(names, exponents, strict=True)}
    return dict.fromkeys(names, None)


def _solved(rows: Row, count: int, plain_t: bool, plain_y: bool) -> Row | None:
    """Solve for the exponents of y's and of t's unit.

    Args:
        rows: The equations, shape (equation, parameter and t and power); the first is that of the whole formula, whose
            dimension is y's, the others' is none.
        count: Number of parameters.
        plain_t: Whether t has no unit.
        plain_y: Whether y has no unit.

    Returns:
        Exponents, shape (parameter, 2), NaN where the equations leave them open; None if the equations contradict.
    """
    known = np.zeros((len(rows), 2))
    known[0, 0] = 0.0 if plain_y else 1.0
    known[:, 1] = 0.0 if plain_t else -rows[:, count]
    unknown = np.delete(rows, count, axis=1)
    answer, *_ = np.linalg.lstsq(unknown, known, rcond=None)
    if not np.allclose(unknown @ answer, known, atol=1e-9):
        return None
    _, sizes, axes = np.linalg.svd(unknown)
    null = axes[int((sizes > 1e-9).sum()) :]
    answer[(np.abs(null) > 1e-9).any(0)] = np.nan
    return answer[:count]


def _text(exponents: Row, y_unit: str, t_unit: str) -> str | None:
    if not np.isfinite(exponents).all():
        return None
    above, below = [], []
    for exponent, place in zip(exponents, ("{y}", "{t}"), strict=True):
        share = Fraction(float(exponent)).limit_denominator(12)
        if abs(share - exponent) > 1e-9:
            return None
        if share:
            size = abs(share)
            power = "" if size == 1 else f"**{size}" if size.denominator == 1 else f"**({size})"
            (above if share > 0 else below).append(place + power)
    return resolve_unit("/".join(["*".join(above) or "1", *below]), y_unit, t_unit)
