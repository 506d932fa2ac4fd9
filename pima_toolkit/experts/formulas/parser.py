"""Text to sympy without evaluating it: a whitelist over Python's syntax tree builds the sympy objects one by one.

Neither ``eval`` nor ``sympify`` ever sees the text, and time and memory are bounded: the tree and its depth, the
numbers, the size after rewriting (``min``, ``max`` and ``abs`` repeat their arguments) and the seconds that reading
takes all have limits. Every mistake is told with its place in the text as it was typed. Constant parts are computed in
floating point here, so sympy is never asked for the exact value of a tower of powers.

Parts of a long formula may have names, ``I1 = l**2 + 2/l; C*(I1 - 3)``. A name stands for the tree that it was given,
which is shared, so that whoever looks at a tree sees one expression without such names.
"""

from __future__ import annotations

import ast
import difflib
import functools
import keyword
import math
import operator
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy
from sympy import Expr, Piecewise, Symbol
from sympy.logic.boolalg import Boolean
from sympy.printing.latex import LatexPrinter

from ...errors import FormulaError
from ..contract.parameters import NAME

#: Names, numbers and signs of a formula, its named parts written out; how deep they are nested; the length of a text
#: that is looked at, and the seconds that reading may take.
MAX_NODES, MAX_DEPTH, MAX_CHARACTERS, MAX_SECONDS = 3000, 100, 100_000, 10.0
#: Comments, quotes and line continuations are no part of a formula, and Python's reader loses its place in them.
_NEVER = "#'\"\\"
#: Python's words that a formula may hold.
_WORDS = {"if", "else", "and", "or", "not"}
#: The head of a named part; what comes before, or after, the end of a line that ends no part.
_HEAD = re.compile(r"\s*([A-Za-z_]\w*)\s*=(?!=)")
_BEFORE = re.compile(r"([-+*/^<>=,]|\b(if|else|and|or|not))\s*$")
_AFTER = re.compile(r"\s*([-+*/^<>=,]|(if|else|and|or)\b)")


def parse(text: str) -> ast.expr:
    """Turn text into Python's syntax tree, one column to the right of the text (it is put in parentheses).

    Args:
        text: Plain ASCII, an expression; before it there may be parts with names, ``name = expression``, each ended by
            ``;`` or by the end of a line.

    Raises:
        FormulaError: If it is no expression of Python, too large or too deep; ``position`` is always a character of the
            text.
    """
    if not text.strip():
        raise FormulaError("the formula is empty: write for example 'K * strain**n'", 0)
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(
            f"the formula has {len(text)} characters, at most {MAX_CHARACTERS} are possible", MAX_CHARACTERS
        )
    _check_characters(text)
    _check_brackets(text)
    parts = _Parts(text)
    try:
        for start, end in _pieces(text):
            parts.read(start, end)
    except RecursionError:
        raise FormulaError("the formula is too long a sum: give parts of it names", 0) from None
    return parts.whole()


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Beginnings and ends of the parts of a text; line ends are no more than spaces where no part has a name."""
    begin, depth, named = 0, 0, _HEAD.match(text)
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        line = character == "\n" and not (_BEFORE.search(text, begin, position) or _AFTER.match(text, position))
        if named and depth == 0 and (character == ";" or line):
            if text[begin:position].strip():
                yield begin, position
            begin = position + 1
    if text[begin:].strip() or not begin:
        yield begin, len(text)


class _Parts:
    """The parts of a text, read one after the other."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.trees: dict[str, ast.expr] = {}
        #: Twice the number of names, numbers and signs, as Python's tree has them, and depth, by name.
        self.sizes: dict[str, tuple[int, int]] = {}
        self.places: dict[str, int] = {}
        self.last: ast.expr | None = None
        self.used: set[str] = set()

    def read(self, start: int, end: int) -> None:
        """Read the next part."""
        if self.last is not None:
            raise FormulaError(
                f"the part before position {start} has no name, and more follows: write 'name = ' before it, or the"
                " sign that joins them",
                start,
            )
        head = _HEAD.match(self.text, start, end)
        name, place = (head[1], head.start(1)) if head else ("", start)
        if head and (name in RESERVED or not NAME.fullmatch(name) or "__" in name or keyword.iskeyword(name)):
            raise FormulaError(f"a part cannot be called {name[:40]!r} (position {place}): choose another name", place)
        if name in self.trees:
            raise FormulaError(f"two parts are called {name!r} (position {place}): rename one of them", place)
        tree = _tree(self.text, head.end() if head else start, end)
        size = self.size(tree)
        if head and name in self.used:
            raise FormulaError(f"{name!r} is used before its own part (position {place}) ends: put that first", place)
        if self.trees:
            tree = _Put(self.trees).visit(tree)
        if head:
            self.trees[name], self.sizes[name], self.places[name] = tree, size, place
        else:
            self.last = tree

    def size(self, tree: ast.expr) -> tuple[int, int]:
        """Nodes and depth of a part, with those of the named ones in it; a sum is as deep as its deepest term.

        Raises:
            FormulaError: If there are too many.
        """
        count, deepest, columns = 0, 0, []
        waiting: list[tuple[ast.AST, int]] = [(tree, 1)]
        while waiting:
            node, depth = waiting.pop()
            nodes, below = 1, 0
            if isinstance(node, ast.Name):
                self.used.add(node.id)
                nodes, below = self.sizes.get(node.id, (1, 0))
            count, deepest = count + nodes, max(deepest, depth + below)
            if isinstance(node, ast.expr):
                columns.append(node.col_offset)
                if depth + below > MAX_DEPTH:
                    position = original(self.text, node.col_offset - 1)
                    raise FormulaError(
                        f"the formula is nested too deeply at position {position}: simplify it", position
                    )
            for child in ast.iter_child_nodes(node):
                joined = isinstance(node, ast.BinOp) and child is node.left and isinstance(child, ast.BinOp)
                waiting.append((child, depth + (not joined)))
        if count > MAX_NODES * 2:
            columns.sort()
            position = original(self.text, columns[min(MAX_NODES, len(columns) - 1)] - 1)
            raise FormulaError(
                f"the formula has too many parts, at most {MAX_NODES} names, numbers and signs are possible (named"
                f" parts written out): leave out what follows position {position}",
                position,
            )
        return count, deepest

    def whole(self) -> ast.expr:
        """The last part, if it is there and every other is used."""
        if self.last is None:
            raise FormulaError(
                "every part has a name: end with the formula itself, as in 'I1 = l**2 + 2/l; C*(I1 - 3)'",
                max(self.places.values()),
            )
        for name, place in self.places.items():
            if name not in self.used:
                raise FormulaError(
                    f"{name!r} (position {place}) is used nowhere: leave it out, or spell it alike", place
                )
        return self.last


class _Put(ast.NodeTransformer):
    """Puts trees in the place of names; what they name is not replaced again, and a shared tree is visited once."""

    def __init__(self, trees: Mapping[str, ast.expr]) -> None:
        self.trees = trees
        self.done: dict[ast.AST, ast.AST] = {}

    def visit(self, node: ast.AST) -> ast.AST:
        if node not in self.done:
            made = super().visit(node)
            self.done[node] = self.done[made] = made
        return self.done[node]

    def visit_Call(self, node: ast.Call) -> ast.Call:
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.trees.get(node.id, node)


def _tree(text: str, start: int, end: int) -> ast.expr:
    """The syntax tree of a part of a text, its columns those of the whole."""
    # Spaces for line ends and tabs keep every character where the person typed it; parentheses allow any layout.
    blank = " " * (start + text.count("^", 0, start))
    source = blank + "".join(" " if c.isspace() else c for c in text[start:end]).replace("^", "**")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of, as "1if a < t", is a mistake here
            return ast.parse(f"({source}\n)", mode="eval").body
    except SyntaxError as error:
        position, reason = explain(text, error, start, end)
        raise FormulaError(reason, position) from None
    except (ValueError, RecursionError, MemoryError):
        raise FormulaError("the formula is nested too deeply: split it up or simplify it", start) from None


def _check_characters(text: str) -> None:
    for position, character in enumerate(text):
        if character in _NEVER or not character.isascii() or not (character.isprintable() or character in "\n\t "):
            foreign = character.isprintable() and character not in _NEVER
            hint = f"spell {character!r} out" if foreign else "remove it"
            raise FormulaError(
                f"character {character!r} at position {position} cannot be read: {hint} (plain letters only)",
                position,
            )


def _check_brackets(text: str) -> None:
    """Round brackets in pairs, before Python's reader, which has one more of them around the text."""
    opened: list[int] = []
    for position, character in enumerate(text):
        if character == "(":
            opened.append(position)
        elif character == ")":
            if not opened:
                raise FormulaError(f"the bracket ')' at position {position} was never opened", position)
            opened.pop()
        if len(opened) > MAX_DEPTH:
            raise FormulaError(f"the formula is nested too deeply at position {position}: split it up", position)
    if opened:
        raise FormulaError(f"the bracket '(' at position {opened[-1]} was never closed", opened[-1])


def explain(text: str, error: SyntaxError, start: int, end: int) -> tuple[int, str]:
    """Find where a part of the text is no expression, and why."""
    # The closing bracket of ours, on a line of its own, stands where the text ended too early.
    early = (error.lineno or 1) > 1
    position = len(text[:end].rstrip()) if early else original(text, max((error.offset or 1) - 2, 0))
    before = ""
    for match in re.compile(r"[\w.]+|\S").finditer(text, start, end):
        word = match[0]
        if keyword.iskeyword(word) and word not in _WORDS:
            return match.start(), f"the name {word!r} is reserved: call it {word + '_'!r} (position {match.start()})"
        beside = _operand(before[-1:], ")") and _operand(word[0], "(")
        if "invalid syntax" in error.msg and beside and not (word == "(" or {before, word} & _WORDS):
            return match.start(), f"a sign such as * is missing at position {match.start()}, before {word[:20]!r}"
        before = word
    reason = "a sign is missing or misplaced" if "invalid syntax" in error.msg else error.msg
    return position, f"the formula cannot be read at position {position}: {reason}"


def _operand(character: str, bracket: str) -> bool:
    return character.isalnum() or character in {"_", ".", bracket}


def original(text: str, column: int) -> int:
    """Position in the text as typed; each ``^`` was written as two characters."""
    seen = 0
    for position, character in enumerate(text):
        seen += 2 if character == "^" else 1
        if seen > column:
            return position
    return max(len(text) - 1, 0)


def names_in(text: str) -> set[str]:
    """The names in a formula that are not functions called; raises as :func:`parse`."""
    tree = parse(text)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called} - {"pi"}


def substituted(text: str, values: Mapping[str, str]) -> str:
    """Put other formulas in the place of names, by their syntax trees; raises as :func:`parse`.

    Args:
        text: The formula.
        values: Formulas by the name they replace; what they name is not replaced again.
    """
    trees = {name: parse(value) for name, value in values.items()}

    # Python writes the tree with the brackets it needs: -3 stays one operand of a power.
    try:
        return ast.unparse(_Put(trees).visit(parse(text)))
    except RecursionError:
        raise FormulaError("the formula is too long a sum: give parts of it names", 0) from None


MAX_SIZE, MAX_EXPONENT = 6000, 64
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
        self.read_already: dict[ast.expr, _Part] = {}
        self.until = time.monotonic() + MAX_SECONDS

    def read(self) -> Expr:
        tree = parse(self.text)
        try:
            part = self.visit(tree)
        except RecursionError:
            raise self.fail(self.at, "the formula is too long a sum, or nested too deeply: give parts names") from None
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
        if node not in self.read_already:
            self.read_already[node] = self.read_part(node)
        return self.read_already[node]

    def read_part(self, node: ast.expr) -> _Part:
        """Read a subexpression; one with a name is read once."""
        if time.monotonic() > self.until:
            raise self.fail(node, f"reading takes longer than {MAX_SECONDS:g} s here: write it in simpler parts")
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
        """Refuse a power that sympy made of several and that cannot be computed."""
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


MAX_PARAMETERS = 16


class _Latex(LatexPrinter):
    """Without the value at 0, which sympy would print as a second argument."""

    def _print_Heaviside(self, step: sympy.Heaviside, exp: str | None = None) -> str:  # noqa: N802 - sympy's name
        printed = rf"\theta\left({self._print(step.args[0])}\right)"
        return printed if exp is None else rf"\left({printed}\right)^{{{exp}}}"

    def _print_Piecewise(self, cases: sympy.Piecewise, exp: str | None = None) -> str:  # noqa: N802 - sympy's name
        printed = super()._print_Piecewise(cases)
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
        return f"<math>{mathml_of(self.expression)}</math>"


def mathml_of(expression: Expr) -> str:
    """What stands inside a ``<math>`` of an expression."""
    greek = {s: Symbol(s.name.replace("eps", "epsilon", 1)) for s in expression.free_symbols}
    return sympy.mathml(expression.xreplace(greek), printer="presentation")


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
            ``sqrt``, ``sin`` and kin, ``erf``, ``pi``. Parts may have names, each ended by ``;`` or by the end of a
            line: ``I1 = l**2 + 2/l; C*(I1 - 3)``.
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
    expression, positions = read_expression(text)
    parameters = tuple(name for name in positions if name not in names)
    absent = [name for name in covariates if name not in positions]
    if absent:
        raise FormulaError(
            f"the formula does not contain its covariate {absent[0]!r}: correct the name, or leave it out", 0
        )
    if variable not in positions:
        known = f"the names found are {', '.join(positions)}" if positions else "no names were found"
        near = difflib.get_close_matches(variable, parameters, n=1, cutoff=0.7)
        if near:  # either may be the misspelt one
            raise FormulaError(
                f"the formula does not contain its independent variable {variable!r} ({known}): did you mean"
                f" {near[0]!r} and {variable!r} to be the same? spell both alike",
                positions[near[0]],
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
            positions[parameters[MAX_PARAMETERS]],
        )
    return Formula(text, variable, expression, parameters, tuple(covariates))
