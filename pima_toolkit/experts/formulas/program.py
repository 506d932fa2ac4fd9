r"""A formula as a short straight program, and its derivatives.

Every subexpression of a sympy formula becomes one numbered step (operation, operands), equal steps are shared, and the
Jacobian follows step by step by forward differentiation: its length is at most steps x parameters, whatever the
nesting, which symbolic differentiation of nested conditions cannot promise. The same program is printed as numba code,
run on torch tensors, and searched for parameters the formula is linear in.

Conventions, the same in every form. ``min``, ``max`` and ``abs`` are conditions, so that derivatives at a tie are
one-sided. Where :math:`u = 0`, the derivatives of :math:`u^n` by u and by n are 0 (:math:`0 \log 0`,
:math:`0^{n-1}`): their limit for n > 1, and a finite value at the first point of a curve for n < 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import sympy
from sympy import Expr, Piecewise
from sympy.logic.boolalg import And, Boolean, BooleanFalse, BooleanTrue, Not, Or

from ...errors import FormulaError

#: operations of one operand that numba's math and torch both know, and their sympy classes.
ELEMENTARY = {
    "exp": sympy.exp,
    "log": sympy.log,
    "sin": sympy.sin,
    "cos": sympy.cos,
    "tan": sympy.tan,
    "sinh": sympy.sinh,
    "cosh": sympy.cosh,
    "tanh": sympy.tanh,
    "asin": sympy.asin,
    "acos": sympy.acos,
    "atan": sympy.atan,
    "erf": sympy.erf,
    "erfc": sympy.erfc,
}
_NAME_OF = {form: name for name, form in ELEMENTARY.items()}
_RELATIONS = {
    sympy.StrictLessThan: "lt",
    sympy.LessThan: "le",
    sympy.StrictGreaterThan: "gt",
    sympy.GreaterThan: "ge",
}

Step = tuple[str, tuple]


@dataclass(frozen=True)
class Program:
    """Straight-line program over one point of the inputs t and parameters p.

    Args:
        steps: Per step the operation and its operands: numbers of earlier steps; for ``"const"`` a float, for ``"t"``
            the number of the input, for ``"p"`` that of the parameter, for ``"ipow"`` a step and a whole exponent.
        outputs: Steps whose values are the results.
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def depends(self, on: str) -> list[bool]:
        """Per step, whether it depends on ``"t"`` or on any parameter, ``"p"``."""
        found: list[bool] = []
        for op, operands in self.steps:
            found.append(op == on or any(found[i] for i in inputs(op, operands)))
        return found


def inputs(op: str, operands: tuple) -> tuple[int, ...]:
    """The operands that are steps."""
    if op in {"const", "p", "t"}:
        return ()
    return operands[:1] if op == "ipow" else operands


class Builder:
    """Collects steps, shares equal ones, and folds constants."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.known: dict[Step, int] = {}

    def step(self, op: str, *operands: float) -> int:
        """Any operation."""
        key = (op, operands)
        if key not in self.known:
            self.known[key] = len(self.steps)
            self.steps.append(key)
        return self.known[key]

    def const(self, value: float) -> int:
        """A number."""
        return self.step("const", float(value))

    def value(self, i: int) -> float | None:
        """The number a step is, or None."""
        op, operands = self.steps[i]
        return operands[0] if op == "const" else None

    def add(self, a: int, b: int) -> int:
        """a + b."""
        va, vb = self.value(a), self.value(b)
        if va == 0:
            return b
        if vb == 0:
            return a
        return self.const(va + vb) if va is not None and vb is not None else self.step("add", *sorted((a, b)))

    def mul(self, a: int, b: int) -> int:
        """a * b."""
        va, vb = self.value(a), self.value(b)
        if 0 in (va, vb):
            return self.const(0)
        if va == 1:
            return b
        if vb == 1:
            return a
        return self.const(va * vb) if va is not None and vb is not None else self.step("mul", *sorted((a, b)))

    def scale(self, factor: float, a: int) -> int:
        """factor * a."""
        return self.mul(self.const(factor), a)

    def ipow(self, a: int, n: int) -> int:
        """a to a whole power."""
        value = self.value(a)
        if n == 0:
            return self.const(1)
        if n == 1:
            return a
        return self.const(value**n) if value else self.step("ipow", a, n)

    def select(self, condition: int, a: int, b: int) -> int:
        """a where the condition holds, else b."""
        return a if a == b else self.step("select", condition, a, b)

    def op(self, name: str, a: int) -> int:
        """A function of one operand."""
        return self.step(name, a)


class _Lowering:
    """sympy -> steps.

    ``safe`` is for automatic differentiation: inside a branch that is not taken, the argument of an operation with an
    infinite slope becomes 1, since 0 * inf in the backward pass would be NaN.
    """

    def __init__(self, order: dict[str, int], inputs: dict[str, int], safe: bool) -> None:
        self.order, self.inputs, self.safe = order, inputs, safe
        self.out = Builder()
        self.memo: dict[tuple[object, int | None], int] = {}

    def __call__(self, e: Expr | Boolean, mask: int | None = None) -> int:
        if mask is not None and not e.has(sympy.Pow, sympy.log, sympy.asin, sympy.acos, sympy.exp):
            mask = None
        key = (e, mask)
        if key not in self.memo:
            self.memo[key] = self.lower(e, mask)
        return self.memo[key]

    def guard(self, a: int, mask: int | None) -> int:
        return a if mask is None else self.out.select(mask, a, self.out.const(1))

    def lower(self, e: Expr | Boolean, mask: int | None) -> int:
        out = self.out
        if e.is_Symbol:
            known = e.name in self.inputs
            return out.step("t", self.inputs[e.name]) if known else out.step("p", self.order[e.name])
        if e.is_Number or e is sympy.pi or e is sympy.E:
            return out.const(float(e))
        if e.is_Add or e.is_Mul:
            join = out.add if e.is_Add else out.mul
            result = self(e.args[0], mask)
            for argument in e.args[1:]:
                result = join(result, self(argument, mask))
            return result
        if e.is_Pow:
            return self.power(e, mask)
        if type(e) in _NAME_OF:
            a = self(e.args[0], mask)
            return out.op(
                _NAME_OF[type(e)],
                self.guard(a, mask) if type(e) in (sympy.log, sympy.asin, sympy.acos, sympy.exp) else a,
            )
        if isinstance(e, Piecewise):
            return self.branches(e.args, mask)
        if isinstance(e, sympy.Abs):
            u = self(e.args[0], mask)
            return out.select(out.step("ge", u, out.const(0)), u, out.scale(-1, u))
        if isinstance(e, sympy.Min | sympy.Max):
            return self.extreme(e, mask)
        if isinstance(e, sympy.Heaviside):
            zero = out.const(0)
            return out.select(out.step("ge", self(e.args[0], mask), zero), out.const(1), zero)
        return self.logic(e, mask)

    def logic(self, e: Expr | Boolean, mask: int | None) -> int:
        out = self.out
        if type(e) in _RELATIONS:
            return out.step(_RELATIONS[type(e)], self(e.args[0], mask), self(e.args[1], mask))
        if isinstance(e, BooleanTrue | BooleanFalse):
            zero = out.const(0)
            return out.step("le" if e else "lt", zero, zero)
        if isinstance(e, Not):
            return out.step("not", self(e.args[0], mask))
        if isinstance(e, And | Or):
            result, *others = (self(a, mask) for a in e.args)
            for other in others:
                result = out.step("and" if isinstance(e, And) else "or", result, other)
            return result
        raise FormulaError(f"{type(e).__name__} cannot be computed: {str(e)[:60]}")

    def power(self, e: Expr, mask: int | None) -> int:
        out = self.out
        base, exponent = e.args
        if base is sympy.E:
            return out.op("exp", self.guard(self(exponent, mask), mask))
        a = self(base, mask)
        if exponent.is_Integer:
            n = int(exponent)
            if abs(n) > 1024:
                raise FormulaError(f"the exponent {str(exponent)[:20]} is too large")
            return out.ipow(self.guard(a, mask) if n < 0 else a, n)
        a = self.guard(a, mask)
        if exponent in (sympy.S.Half, -sympy.S.Half):
            root = out.op("sqrt", a)
            return root if exponent is sympy.S.Half else out.ipow(root, -1)
        return out.step("power", a, self(exponent, mask))

    def extreme(self, e: Expr, mask: int | None) -> int:
        """min and max; a fixed order of the arguments, so that the same formula always makes the same program."""
        out = self.out
        *others, last = sorted(e.args, key=sympy.default_sort_key)
        first = others[0] if len(others) == 1 else type(e)(*others, evaluate=False)
        condition = out.step("le" if isinstance(e, sympy.Min) else "ge", self(first, mask), self(last, mask))
        if not self.safe:
            return out.select(condition, self(first, mask), self(last, mask))
        sides = condition, out.step("not", condition)
        masks = sides if mask is None else tuple(out.step("and", mask, side) for side in sides)
        return out.select(condition, self(first, masks[0]), self(last, masks[1]))

    def branches(self, pairs: Sequence, mask: int | None) -> int:
        out = self.out
        conditions = [self(c, mask) if c != True else None for _, c in pairs]  # noqa: E712 - sympy.true equals True
        left: int | None = mask
        values = []
        for (e, _), condition in zip(pairs, conditions, strict=True):
            branch = None
            if self.safe:
                branch = left if condition is None else condition if left is None else out.step("and", left, condition)
                if condition is not None:
                    other = out.step("not", condition)
                    left = other if left is None else out.step("and", left, other)
            values.append(self(e, branch))
        result = values[-1] if conditions[-1] is None else out.const(math.nan)
        for value, condition in zip(reversed(values), reversed(conditions), strict=True):
            if condition is not None:
                result = out.select(condition, value, result)
        return result


def lower(
    expression: Expr, variables: str | Sequence[str], parameters: Sequence[str], *, safe: bool = False
) -> Program:
    """Turn a sympy expression into a program of one output.

    Args:
        expression: Over real symbols named ``variables`` and ``parameters``.
        variables: Names of the inputs, the independent variable first, or that alone.
        parameters: Names of the parameters, in order.
        safe: Guard branches that are not taken, as automatic differentiation needs.

    Raises:
        FormulaError: If the expression holds something that cannot be computed.
    """
    named = (variables,) if isinstance(variables, str) else variables
    order, places = ({name: i for i, name in enumerate(names)} for names in (parameters, named))
    lowering = _Lowering(order, places, safe)
    output = lowering(expression)
    return pruned(lowering.out.steps, (output,))


def pruned(steps: Sequence[Step], outputs: tuple[int, ...]) -> Program:
    """Leave out the steps no output needs."""
    needed = set(outputs)
    for i in range(len(steps) - 1, -1, -1):
        if i in needed:
            needed.update(inputs(*steps[i]))
    new = {old: position for position, old in enumerate(sorted(needed))}
    kept = []
    for old in sorted(needed):
        op, operands = steps[old]
        count = len(inputs(op, operands))
        kept.append((op, (*(new[k] for k in operands[:count]), *operands[count:])))
    return Program(tuple(kept), tuple(new[o] for o in outputs))
