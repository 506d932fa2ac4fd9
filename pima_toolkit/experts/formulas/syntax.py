"""The text of a formula as a syntax tree, with the places of mistakes in the text as it was typed."""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from collections.abc import Mapping

from ...errors import FormulaError

MAX_CHARACTERS, MAX_NODES, MAX_DEPTH = 500, 200, 100
#: Comments, quotes and line continuations are no part of a formula, and Python's reader loses its place in them.
_NEVER = "#'\"\\"
#: Python's words that a formula may hold.
_WORDS = {"if", "else", "and", "or", "not"}


def parse(text: str) -> ast.expr:
    """Text to Python's syntax tree, one column to the right of the text (it is put in parentheses).

    Args:
        text: At most 500 characters of plain ASCII.

    Raises:
        FormulaError: If it is no expression of Python, or too long; ``position`` is always a character of the text.
    """
    if not text.strip():
        raise FormulaError("the formula is empty: write for example 'K * strain**n'", 0)
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(
            f"the formula has {len(text)} characters, at most {MAX_CHARACTERS} are possible", MAX_CHARACTERS
        )
    _check_characters(text)
    _check_brackets(text)
    # Spaces for line ends and tabs keep every character where the person typed it; parentheses allow any layout.
    source = "".join(" " if c.isspace() else c for c in text).replace("^", "**")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python only warns of, as "1if a < t", is a mistake here
            tree = ast.parse(f"({source}\n)", mode="eval")
    except SyntaxError as error:
        position, reason = explain(text, error)
        raise FormulaError(reason, position) from None
    except (ValueError, RecursionError, MemoryError):
        raise FormulaError("the formula is nested too deeply: split it up or simplify it", 0) from None
    nodes = list(ast.walk(tree))
    if len(nodes) > MAX_NODES * 2:
        columns = sorted(node.col_offset for node in nodes if isinstance(node, ast.expr))
        position = original(text, columns[min(MAX_NODES, len(columns) - 1)] - 1)
        raise FormulaError(
            f"the formula has too many parts, at most {MAX_NODES} names, numbers and signs are possible: leave out what"
            f" follows position {position}",
            position,
        )
    return tree.body


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


def explain(text: str, error: SyntaxError) -> tuple[int, str]:
    """Where and why the text is no expression."""
    # The closing bracket of ours, on a line of its own, stands where the text ended too early.
    early = (error.lineno or 1) > 1
    position = len(text.rstrip()) if early else original(text, max((error.offset or 1) - 2, 0))
    before = ""
    for match in re.finditer(r"[\w.]+|\S", text):
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
    """A formula with other formulas in the place of names, by their syntax trees; raises as :func:`parse`.

    Args:
        text: The formula.
        values: Formulas by the name they replace; what they name is not replaced again.
    """
    trees = {name: parse(value) for name, value in values.items()}

    class Put(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.Call:
            return ast.Call(node.func, [self.visit(argument) for argument in node.args], node.keywords)

        def visit_Name(self, node: ast.Name) -> ast.expr:
            return trees.get(node.id, node)

    # Python writes the tree with the brackets it needs: -3 stays one operand of a power.
    return ast.unparse(Put().visit(parse(text)))
