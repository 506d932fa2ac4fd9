"""Laws made of others, as text: in Python, in a file of options, on the command line.

.. code-block:: text

    elastic(E) + voce                        hardening over the total strain, the modulus fitted; elastic(210e3): given
    engineering(elastic(E) + voce)           the same over engineering strain; engineering(..., compression)
    peaks(12, pseudo_voigt, background=2, shared=w)
    voce with sigma_y < 300, rise = 200      relations between parameters

The text is read as Python's syntax tree, and nothing of it is executed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from ...errors import ExpertError
from .elastic_plastic import ElasticPlastic
from .expert import Expert
from .formula_expert import SympyExpert
from .peaks import Peaks

#: How such a text begins, where it is no name with relations.
_MADE = re.compile(r"\s*(elastic|engineering|peaks)\s*\(")
_NAME = re.compile(r"[\w.-]+")
#: Commas outside of brackets.
_COMMA = re.compile(r",(?![^()]*\))")


def with_relations(text: str) -> tuple[str, tuple[str, ...]]:
    """Take ``LAW with RELATION, RELATION`` apart."""
    head, sign, relations = text.partition(" with ")
    return head.strip(), tuple(one.strip() for one in _COMMA.split(relations)) if sign else ()


def is_made(text: str) -> bool:
    """Whether a text says how a law is made of others; a name alone does not, nor does a formula."""
    head, relations = with_relations(text)
    return bool(_MADE.match(text) or (relations and _NAME.fullmatch(head)))


def read_law(text: str, find: Callable[[str], Expert]) -> Expert:
    """Make the law that a text says.

    Args:
        text: As above.
        find: Gives an expert by its name.

    Raises:
        ExpertError: If it cannot be read.
        OptionError: If a number or a word in it is out of range.
    """
    head, relations = with_relations(text)
    law = find(head) if _NAME.fullmatch(head) else _LawReader(head, find).law(_tree(head))
    if not relations:
        return law
    if not isinstance(law, SympyExpert | ElasticPlastic):
        raise ExpertError(f"{head!r} is no formula, and relations are kept in formulas: leave out what follows 'with'")
    return law.related(*relations)


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _misread(text) from None


def _misread(text: str) -> ExpertError:
    return ExpertError(
        f"the law {text[:80]!r} cannot be read: expected 'elastic(E) + LAW', 'engineering(LAW)', 'peaks(3, gaussian)',"
        " and after any law ' with tau_1 < tau_2'"
    )


class _LawReader:
    """Reads the tree of a text."""

    def __init__(self, text: str, find: Callable[[str], Expert]) -> None:
        self.text, self.find = text, find

    def law(self, node: ast.expr) -> Expert:
        """A law: a name, a sum with the elastic strain, or a call."""
        if isinstance(node, ast.Name):
            return self.find(node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            name, arguments, options = self.call(node.left)
            if name == "elastic" and len(arguments) == 1 and not options:
                modulus = arguments[0]
                return ElasticPlastic(self.find(self.name(node.right)), None if modulus == "E" else modulus)
        name, arguments, options = self.call(node)
        if isinstance(node, ast.Call) and name == "engineering" and len(arguments) in (1, 2) and not options:
            law = self.law(node.args[0])
            if isinstance(law, ElasticPlastic):
                return ElasticPlastic(law.law, law.E, arguments[1] if len(arguments) == 2 else "tension")
            raise ExpertError(f"engineering() takes 'elastic(E) + LAW', and {law.name!r} is no such law")
        if name == "peaks" and 1 <= len(arguments) <= 2 and set(options) <= {"background", "shared"}:
            shape = self.find(arguments[1] if len(arguments) == 2 else "pseudo_voigt")
            return Peaks(shape, arguments[0], **options)
        raise _misread(self.text)

    def call(self, node: ast.expr) -> tuple[str, list, dict]:
        """Name and arguments of a call; laws among them are left to :meth:`law`."""
        if not isinstance(node, ast.Call):
            raise _misread(self.text)
        name = self.name(node.func)
        laws = 1 if name == "engineering" else 0
        arguments = [None] * min(laws, len(node.args)) + [self.value(argument) for argument in node.args[laws:]]
        return name, arguments, {str(option.arg): self.value(option.value) for option in node.keywords}

    def name(self, node: ast.expr) -> str:
        """A name alone."""
        if not isinstance(node, ast.Name):
            raise _misread(self.text)
        return node.id

    def value(self, node: ast.expr) -> object:
        """A number, None, a name, or several names in brackets."""
        if isinstance(node, ast.Constant) and (node.value is None or type(node.value) in (int, float)):
            return node.value
        if isinstance(node, ast.Tuple):
            return tuple(self.name(part) for part in node.elts)
        return self.name(node)
