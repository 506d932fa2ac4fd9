"""The text of a formula as a syntax tree, with the places of mistakes in the text as it was typed."""

from __future__ import annotations

import ast
import keyword

from ..errors import FormulaError

MAX_CHARACTERS, MAX_NODES = 500, 200


def parse(text: str) -> ast.expr:
    """Text to Python's syntax tree, one column to the right of the text (it is put in parentheses).

    Args:
        text: At most 500 characters of plain ASCII.

    Raises:
        FormulaError: If it is no expression of Python, or too long.
    """
    if not text.strip():
        raise FormulaError("the formula is empty: write for example 'K * strain**n'", 0)
    if len(text) > MAX_CHARACTERS:
        raise FormulaError(f"the formula has {len(text)} characters, at most {MAX_CHARACTERS} are possible")
    for position, character in enumerate(text):
        if character == "#" or not character.isascii() or not (character.isprintable() or character in "\n\t "):
            hint = f"spell {character!r} out" if character.isprintable() and character != "#" else "remove it"
            raise FormulaError(
                f"character {character!r} at position {position} cannot be read: {hint} (plain letters only)",
                position,
            )
    # Spaces for line ends and tabs keep every character where the person typed it; parentheses allow any layout.
    source = "".join(" " if c.isspace() else c for c in text).replace("^", "**")
    try:
        tree = ast.parse(f"({source}\n)", mode="eval")
    except SyntaxError as error:
        position = original(text, max((error.offset or 1) - 2, 0))
        raise FormulaError(explain(text, error, position), position) from None
    except (ValueError, RecursionError, MemoryError):
        raise FormulaError("the formula is nested too deeply: split it up or simplify it") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES * 2:
        raise FormulaError(f"the formula has too many parts, at most {MAX_NODES} names, numbers and signs are possible")
    return tree.body


def explain(text: str, error: SyntaxError, position: int) -> str:
    """Why the text is no expression."""
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text).split()
    for word in words:
        if keyword.iskeyword(word) and word not in {"if", "else", "and", "or", "not"}:
            return f"the name {word!r} is reserved: call it {word + '_'!r}"
    return f"the formula cannot be read at position {position}: {error.msg}"


def original(text: str, column: int) -> int:
    """Position in the text as typed; each ``^`` was written as two characters."""
    seen = 0
    for position, character in enumerate(text):
        seen += 2 if character == "^" else 1
        if seen > column:
            return position
    return max(len(text) - 1, 0)
