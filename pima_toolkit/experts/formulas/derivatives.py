"""Derivatives of programs by forward differentiation, step by step, and what they tell: where a formula is linear.

The Jacobian's length is at most steps x parameters, whatever the nesting.
"""

from __future__ import annotations

import math

from .program import Builder, Program, inputs, pruned


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
