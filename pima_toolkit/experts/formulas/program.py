r"""A formula as a short straight program, its derivatives, and where it is linear.

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
        """Flags of the steps: whether each depends on ``"t"`` or on any parameter, ``"p"``."""
        flags: list[bool] = []
        for op, operands in self.steps:
            flags.append(op == on or any(flags[i] for i in inputs(op, operands)))
        return flags


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
        """Add any operation."""
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
    expression: Expr | Sequence[Expr], variables: str | Sequence[str], parameters: Sequence[str], *, safe: bool = False
) -> Program:
    """Turn a sympy expression into a program of one output, or several into one of an output each.

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
    expressions = (expression,) if isinstance(expression, Expr) else expression
    outputs = tuple(lowering(one) for one in expressions)
    return pruned(lowering.out.steps, outputs)


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


def with_jacobian(program: Program, parameters: int) -> Program:
    """The program with further outputs: per output its derivative by each of the parameters, in order."""
    out = Builder()
    for op, operands in program.steps:
        out.step(op, *operands)
    zero = [None] * parameters
    slopes: list[list[int | None]] = []
    for i, (op, operands) in enumerate(program.steps):
        row = list(zero)
        if op == "p":
            row[operands[0]] = out.const(1)
        elif any(d is not None for k in inputs(op, operands) for d in slopes[k]):
            for p in range(parameters):
                d = [slopes[k][p] for k in inputs(op, operands)]
                if any(x is not None for x in d):
                    row[p] = _rule(out, op, operands, i, d)
        slopes.append(row)
    nothing = out.const(0)
    derivatives = [nothing if d is None else d for o in program.outputs for d in slopes[o]]
    return pruned(out.steps, (*program.outputs, *derivatives))


def _rule(out: Builder, op: str, operands: tuple, r: int, d: list[int | None]) -> int | None:
    """The derivative of step r by one parameter, from those of its operands; None is zero."""
    if op in {"lt", "le", "gt", "ge", "and", "or", "not"}:
        return None
    if op == "select":
        zero = out.const(0)
        _, a, b = d
        return (
            None
            if a is None and b is None
            else out.select(operands[0], zero if a is None else a, zero if b is None else b)
        )
    if op == "add":
        a, b = d
        return b if a is None else a if b is None else out.add(a, b)
    if op in {"mul", "power", "div0"}:
        a, b = operands
        if op == "mul":
            factors = (b, a)
        elif op == "power":
            factors = (out.mul(b, out.step("div0", r, a)), out.mul(r, out.step("log0", a)))
        else:
            inverse = out.step("div0", out.const(1), b)
            factors = (inverse, out.scale(-1, out.mul(r, inverse)))
        terms = [out.mul(f, x) for f, x in zip(factors, d, strict=True) if x is not None]
        return terms[0] if len(terms) == 1 else out.add(*terms)
    u, du = operands[0], d[0]
    return None if du is None else out.mul(_slope(out, op, operands, r, u), du)


def _slope(out: Builder, op: str, operands: tuple, r: int, u: int) -> int:
    """The derivative of a function r = op(u) of one operand."""
    one, minus = out.const(1), out.const(-1)

    def squared(a: int) -> int:
        return out.ipow(a, 2)

    def root(a: int, sign: float) -> int:
        return out.step("div0", out.const(sign), out.op("sqrt", out.add(one, out.mul(minus, squared(a)))))

    def bell(sign: float) -> int:
        return out.scale(sign * 2 / math.sqrt(math.pi), out.op("exp", out.mul(minus, squared(u))))

    rules = {
        "ipow": lambda: out.scale(operands[1], out.ipow(u, operands[1] - 1)),
        "exp": lambda: r,
        "log": lambda: out.ipow(u, -1),
        "log0": lambda: out.step("div0", one, u),
        "sqrt": lambda: out.step("div0", out.const(0.5), r),
        "sin": lambda: out.op("cos", u),
        "cos": lambda: out.mul(minus, out.op("sin", u)),
        "tan": lambda: out.add(one, squared(r)),
        "sinh": lambda: out.op("cosh", u),
        "cosh": lambda: out.op("sinh", u),
        "tanh": lambda: out.add(one, out.mul(minus, squared(r))),
        "asin": lambda: root(u, 1),
        "acos": lambda: root(u, -1),
        "atan": lambda: out.ipow(out.add(one, squared(u)), -1),
        "erf": lambda: bell(1),
        "erfc": lambda: bell(-1),
    }
    return rules[op]()


def jointly_linear(program: Program, parameters: int) -> tuple[int, ...]:
    """Parameters the program is linear in, all together: no condition and no derivative by one of them holds another.

    The second derivative alone would call the yield stress of a bilinear curve linear, although the kink moves with it.
    """
    first = with_jacobian(program, parameters)
    second = with_jacobian(Program(first.steps, first.outputs[1:]), parameters)
    moves_kinks: set[int] = set()
    held: list[frozenset[int]] = []
    for op, operands in program.steps:
        mine = frozenset(operands) if op == "p" else frozenset().union(*(held[k] for k in inputs(op, operands)))
        held.append(mine)
        if op == "select":
            moves_kinks |= held[operands[0]]
    curvature = second.outputs[parameters:]
    chosen: list[int] = []
    for p in range(parameters):
        if p not in moves_kinks and all(
            second.steps[curvature[q * parameters + k]] == ("const", (0.0,))
            for q, k in ((p, p), *((p, c) for c in chosen))
        ):
            chosen.append(p)
    return tuple(chosen)
