"""What there is to read about an expert: for the command line, the documentation and the panels.

Taken from its docstring where that says it: the first line, the equation, the parameter table, ``Valid for:`` and
``Source:``; else from the formula and the parameters.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

from .contract.parameters import Parameter


class Described(Protocol):
    """What a card is made of."""

    name: str
    t: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """The independent variable, then the covariates."""

    @property
    def reported(self) -> tuple[Parameter, ...]:
        """What people see."""


@dataclass(frozen=True)
class Card:
    """An expert in words.

    Args:
        name: How people ask for it.
        field: The first line of the file it is written in, or of its module's name.
        summary: One sentence.
        equation: LaTeX as the docstring has it, else of the formula; empty where there is neither.
        formula: The formula as text, with the fitted parameters; empty where there is none.
        remarks: Further sentences of the docstring.
        rows: Name, unit, bounds and meaning of each shown parameter.
        valid_for: The regime.
        source: Who found it.
    """

    name: str
    field: str
    summary: str
    equation: str
    formula: str
    remarks: str
    rows: tuple[tuple[str, str, str, str], ...]
    valid_for: str
    source: str


def card_of(expert: Described) -> Card:
    """Read an expert's card.

    Args:
        expert: Any expert.
    """
    made_from_text = type(expert).__module__.startswith("pima_toolkit.")
    text = "" if made_from_text else inspect.cleandoc(type(expert).__doc__ or "")
    text, equation = _cut(text, r"^\.\. math::(.*(?:\n[ \t]+\S.*)*)")
    text, table = _cut(text, r"^(=+ =[= ]*\n(?:.*\S.*\n)*?=+ =[= ]*\n(?:.*\S.*\n)*?=+ =[= ]*)$")
    text, source = _cut(text, r"^Source: ((?:.*\S.*\n?)+)")
    text, valid_for = _cut(text, r"^Valid for: ((?:.*\S.*\n?)+)")
    summary, _, remarks = text.partition("\n\n")
    formula = getattr(expert, "formula", "")
    return Card(
        name=expert.name,
        field=_field(expert, made_from_text),
        summary=_line(summary) or f"A formula of {', '.join(expert.inputs)}.",
        equation=_line(equation) or (f"y = {expert.latex}" if formula else ""),
        formula=formula,
        remarks=re.sub(r"\s*Shown as$", "", _line(remarks)),
        rows=_rows(expert, table),
        valid_for=_line(valid_for),
        source=_line(source),
    )


def bounds_text(parameter: Parameter) -> str:
    """Bounds as people write them: ``K >= 0``, ``0 <= n <= 1``, ``none``."""
    p, low, high = parameter, isfinite(parameter.lower), isfinite(parameter.upper)
    if low and high:
        return f"{p.lower:g} <= {p.name} <= {p.upper:g}"
    return f"{p.name} >= {p.lower:g}" if low else f"{p.name} <= {p.upper:g}" if high else "none"


def _cut(text: str, pattern: str) -> tuple[str, str]:
    """The text without the first match, and what the match holds."""
    found = re.search(pattern, text, re.MULTILINE)
    return (text, "") if found is None else (text[: found.start()] + text[found.end() :], found[1])


def _line(text: str) -> str:
    """One line; of reStructuredText only the marks of code stay."""
    return re.sub(r":\w+:(?=`)", "", " ".join(text.split())).replace("``", "`")


def _field(expert: Described, made_from_text: bool) -> str:
    module = sys.modules.get(type(expert).__module__)
    first = (getattr(module, "__doc__", None) or "").strip().partition("\n")[0].rstrip(".")
    return "Formulas of this session" if made_from_text else first or type(expert).__module__


def _rows(expert: Described, table: str) -> tuple[tuple[str, str, str, str], ...]:
    """The docstring's table where it has a row for every parameter, else one made from them."""
    lines = table.split("\n")
    starts = [m.start() for m in re.finditer("=+", lines[0])]
    if len(starts) == 4 and len(lines) == len(expert.reported) + 4:
        ends = [*starts[1:], None]
        cells = [tuple(line[a:b].strip() for a, b in zip(starts, ends, strict=True)) for line in lines[3:-1]]
        if [row[0] for row in cells] == [p.name for p in expert.reported]:
            return tuple(cells)
    return tuple((p.name, p.unit, bounds_text(p), p.description) for p in expert.reported)
