"""The syntax tree of a formula to sympy objects: a whitelist, node by node, with the place of every mistake.

Constant parts are computed in floating point here, so sympy is never asked for the exact value of a tower of powers.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
from dataclasses import dataclass

import sympy
from sympy import Expr, Piecewise, Symbol
from sympy.logic.boolalg import Boolean

from ...errors import FormulaError
from ..contract.parameters import NAME
from .syntax import original, parse

MAX_SIZE, MAX_EXPONENT = 3000, 64
_LARGEST = 1e100
#: Whole powers that sympy may gather from several: ``t**64 * t**64``.
_TALLEST = 1024

#: name -> (sympy function, floating-point function of constants).
_ELEMENTARY = ["exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "erf", "erfc"]
FUNCTIONS = {name: (getattr(sympy, name), getattr(math, name)) for name in _ELEMENTARY} | {
    "abs": (sympy.Abs, abs),
    "heaviside": (functools.partial(sympy.Heaviside, H0=1, evaluate=False), lambda u: 1.0 if u >= 0 else 0.0),
}
_MANY = {"min", "max"}
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS = {
    ast.Lt: (sympy.StrictLessThan, operator.lt),
    ast.LtE: (sympy.LessThan, operator.le),
    ast.Gt: (sympy.StrictGreaterThan, operator.gt),
    ast.GtE: (sympy.GreaterThan, operator.ge),
}
RESERVED = {"pi", "where", *FUNCTIONS, *_MANY}
_NO_NUMBERS = (sympy.I, sympy.zoo, sympy.nan, sympy.oo, -sympy.oo)


@dataclass(frozen=True)
class _Part:
    """A subexpression: its sympy form, its value when it has no names in it, and its size after rewriting."""

    form: Expr | Boolean
    constant: float | None
    size: int


def read_expression(text: str) -> tuple[Expr, dict[str, int]]:
    """Read a text.

    Args:
        text: The formula.

    Returns:
        The sympy expression over real symbols, and the position of every name's first appearance, in order.

    Raises:
        FormulaError: With the position of the mistake.
    """
    reader = _Reader(text)
    expression = reader.read()
    first = sorted(reader.first.items(), key=lambda item: item[1])
    return expression, {name: original(text, column - 1) for name, column in first}


class _Reader(ast.NodeVisitor):
    def __init__(self, text: str) -> None:
        self.text = text
        self.symbols: dict[str, Symbol] = {}
        self.first: dict[str, int] = {}
        self.at: ast.AST = ast.Constant(None, col_offset=1)

    def read(self) -> Expr:
        tree = parse(self.text)
        try:
            part = self.visit(tree)
        except RecursionError:
            raise self.fail(self.at, "the formula is nested too deeply: split it up or simplify it") from None
        except (TypeError, ValueError, ArithmeticError, NotImplementedError, AttributeError) as error:
            if isinstance(error, FormulaError):
                raise
            raise self.fail(self.at, f"the formula cannot be simplified ({error}): write it in simpler parts") from None
        if not isinstance(part.form, Expr):
            raise self.fail(tree, "the formula is a condition, not a number: write 'a if condition else b'")
        if part.form.has(*_NO_NUMBERS):
            raise self.fail(tree, "the formula is not a finite real number")
        return part.form

    def fail(self, node: ast.AST, message: str) -> FormulaError:
        # The tree is one column right of the text.
        position = original(self.text, max(node.col_offset - 1, 0))
        return FormulaError(f"{message} (position {position})", position)

    def visit(self, node: ast.expr) -> _Part:
        method = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            kind = {"Attribute": "a dot between names", "Subscript": "an index in [ ]", "Lambda": "lambda"}
            raise self.fail(node, f"{kind.get(type(node).__name__, type(node).__name__)} is not allowed in a formula")
        self.at = node
        part = method(node)
        self.at = node
        if part.size > MAX_SIZE:
            raise self.fail(node, "the formula grows too large here: nest fewer min, max, abs and conditions")
        for form in (part.form, *part.form.args):
            self.check_power(node, form)
            if form in _NO_NUMBERS:
                raise self.fail(node, "this part is not a finite real number")
        return part

    def check_power(self, node: ast.expr, form: Expr | Boolean) -> None:
        """What sympy made of several powers must still be one that can be computed."""
        if not form.is_Pow:
            return
        if form.exp.is_Integer and abs(form.exp) > _TALLEST:
            raise self.fail(node, f"the powers make the exponent {form.exp} here, at most {_TALLEST} is possible")
        if form.exp.is_Rational and not form.exp.is_Integer and form.base.is_Number and form.base < 0:
            raise self.fail(node, "this part is not a real number")

    def number(self, node: ast.expr) -> _Part:
        part = self.visit(node)
        if not isinstance(part.form, Expr):
            raise self.fail(node, "a condition stands where a number is needed")
        return part

    def condition(self, node: ast.expr) -> _Part:
        part = self.visit(node)
        if isinstance(part.form, Expr):
            raise self.fail(node, "a number stands where a condition such as strain < eps_y is needed")
        return part

    def constant(self, node: ast.AST, value: float, exact: Expr | None = None) -> _Part:
        """A constant part; the exact form is kept where it is a small one, for readable LaTeX."""
        if isinstance(value, complex) or not math.isfinite(value) or abs(value) > _LARGEST:
            raise self.fail(node, "a number here is out of range or not real")
        if exact is None:
            exact = sympy.Integer(int(value)) if value == int(value) and abs(value) < 1e15 else sympy.Float(value)
        return _Part(exact, float(value), 1)

    def visit_Constant(self, node: ast.Constant) -> _Part:
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise self.fail(node, f"only numbers, names and functions are allowed, got {str(node.value)[:20]!r}")
        if isinstance(node.value, int) and abs(node.value) > _LARGEST:
            raise self.fail(node, "a number here is out of range or not real")
        return self.constant(node, node.value)

    def visit_Name(self, node: ast.Name) -> _Part:
        name = node.id
        if name == "pi":
            return _Part(sympy.pi, math.pi, 1)
        if name in RESERVED:
            raise self.fail(node, f"{name!r} is a function: write {name}(...)")
        if not NAME.fullmatch(name) or "__" in name:
            raise self.fail(
                node, f"the name {name[:40]!r} is not allowed: a letter, then letters, digits or single underscores"
            )
        self.first.setdefault(name, node.col_offset)
        self.first[name] = min(self.first[name], node.col_offset)
        return _Part(self.symbols.setdefault(name, Symbol(name, real=True)), None, 1)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> _Part:
        if isinstance(node.op, ast.Not):
            part = self.condition(node.operand)
            return _Part(sympy.Not(part.form), None, part.size + 1)
        if not isinstance(node.op, ast.USub | ast.UAdd):
            raise self.fail(node, "the sign ~ is not allowed")
        part = self.number(node.operand)
        if isinstance(node.op, ast.UAdd):
            return part
        return _Part(-part.form, None if part.constant is None else -part.constant, part.size + 1)

    def visit_BinOp(self, node: ast.BinOp) -> _Part:
        kind = type(node.op)
        if kind not in _ARITHMETIC:
            raise self.fail(node, f"the operation {kind.__name__} is not allowed: use + - * / **")
        left, right = self.number(node.left), self.number(node.right)
        a, b = left.constant, right.constant
        if kind is ast.Pow and b is not None and abs(b) > MAX_EXPONENT:
            raise self.fail(node.right, f"the exponent {b:g} is too large, at most {MAX_EXPONENT} is possible")
        if kind is ast.Div and b == 0:
            raise self.fail(node.right, "division by zero")
        combine = _ARITHMETIC[kind]
        if a is not None and b is not None:
            try:
                return self.constant(node, combine(a, b), self.exact(kind, left, right))
            except (OverflowError, ZeroDivisionError):
                raise self.fail(node, "a number here is out of range or not real") from None
        if kind is ast.Div and right.form.is_zero:
            raise self.fail(node.right, "division by zero")
        size = left.size + right.size + 1
        if kind is ast.Pow and left.form.has(Piecewise, sympy.Min, sympy.Max):
            # sympy would move the exponent into every branch and compare the conditions again
            return _Part(sympy.Pow(left.form, right.form, evaluate=False), None, size)
        return _Part(combine(left.form, right.form), None, size)

    @staticmethod
    def exact(kind: type, left: _Part, right: _Part) -> Expr | None:
        """The exact form of small fractions and multiples of pi (2*pi, 1/3); None where a float is as good."""
        if kind is ast.Pow or max(abs(left.constant), abs(right.constant)) > 1e6:
            return None
        if kind is ast.Div and right.form.is_Integer and (left.form.is_Integer or left.form is sympy.pi):
            return left.form / right.form
        if kind is ast.Mult and sympy.pi in (left.form, right.form) and (left.form.is_Integer or right.form.is_Integer):
            return left.form * right.form
        return None

    def visit_Compare(self, node: ast.Compare) -> _Part:
        parts = [self.number(n) for n in (node.left, *node.comparators)]
        if any(part.form.has(Piecewise) for part in parts):
            # sympy would fold it: as many pieces as there are combinations
            raise self.fail(node, "a condition compares another 'if' or 'where': compare plain expressions")
        relations = []
        for op, a, b in zip(node.ops, parts, parts[1:], strict=False):
            if type(op) not in _COMPARISONS:
                raise self.fail(node, "only the comparisons < <= > >= are allowed")
            relation, holds = _COMPARISONS[type(op)]
            if a.constant is not None and b.constant is not None:
                relations.append(sympy.true if holds(a.constant, b.constant) else sympy.false)
            else:
                relations.append(relation(a.form, b.form, evaluate=False))
        size = 1 + 2 * sum(part.size for part in parts)
        return _Part(relations[0] if len(relations) == 1 else sympy.And(*relations, evaluate=False), None, size)

    def visit_BoolOp(self, node: ast.BoolOp) -> _Part:
        parts = [self.condition(n) for n in node.values]
        join = sympy.And if isinstance(node.op, ast.And) else sympy.Or
        return _Part(join(*(p.form for p in parts), evaluate=False), None, 1 + sum(p.size for p in parts))

    def piecewise(self, test: ast.expr, body: ast.expr, other: ast.expr) -> _Part:
        parts = self.condition(test), self.number(body), self.number(other)
        if parts[0].form in (sympy.true, sympy.false):
            return parts[1] if parts[0].form == sympy.true else parts[2]
        form = Piecewise((parts[1].form, parts[0].form), (parts[2].form, True), evaluate=False)
        return _Part(form, None, 1 + 2 * parts[0].size + parts[1].size + parts[2].size)

    def visit_IfExp(self, node: ast.IfExp) -> _Part:
        return self.piecewise(node.test, node.body, node.orelse)

    def visit_Call(self, node: ast.Call) -> _Part:
        if not isinstance(node.func, ast.Name):
            raise self.fail(node, "only plain functions can be called")
        name = node.func.id
        if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
            raise self.fail(node, f"{name}(...) takes plain arguments only")
        if name == "where" and len(node.args) == 3:
            return self.piecewise(*node.args)
        if name in _MANY and 2 <= len(node.args) <= 4:
            return self.extreme(name, node)
        if name not in FUNCTIONS:
            if name in RESERVED:
                raise self.fail(
                    node, f"{name}() was given {len(node.args)} arguments: where takes 3, min and max take 2 to 4"
                )
            known = ", ".join(sorted({*FUNCTIONS, *_MANY, "where"}))
            raise self.fail(node, f"unknown function {name[:40]!r}; known: {known} (a product needs a *)")
        if len(node.args) != 1:
            raise self.fail(node, f"{name}() takes one argument, got {len(node.args)}")
        part = self.number(node.args[0])
        symbolic, numeric = FUNCTIONS[name]
        if part.constant is not None:
            try:
                return self.constant(node, numeric(part.constant))
            except (ValueError, OverflowError):
                raise self.fail(node, f"{name}({part.constant:g}) is not a real number") from None
        size = part.size * (3 if name == "abs" else 1) + 2
        return _Part(sympy.sqrt(part.form) if name == "sqrt" else symbolic(part.form), None, size)

    def extreme(self, name: str, node: ast.Call) -> _Part:
        """min and max, kept as such for LaTeX; two arguments at a time, since rewriting repeats them."""
        part = self.number(node.args[0])
        for argument in node.args[1:]:
            other = self.number(argument)
            if part.constant is not None and other.constant is not None:
                part = self.constant(node, (min if name == "min" else max)(part.constant, other.constant))
                continue
            form = (sympy.Min if name == "min" else sympy.Max)(part.form, other.form, evaluate=False)
            part = _Part(form, None, 2 * (part.size + other.size) + 3)
            if part.size > MAX_SIZE:
                raise self.fail(node, "the formula grows too large here: nest fewer min, max, abs and conditions")
        return part
