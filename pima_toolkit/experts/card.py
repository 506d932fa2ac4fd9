"""Cards of experts, to read on the command line, in the documentation and on figures.

The words come from the docstring: its first line, the equation, remarks, ``Valid for:`` and ``Source:``. The parameters
come from their declarations; a table of them in the docstring is left out.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import dataclass
from math import isfinite

from .contract.parameters import Parameter
from .kinds.expert import Expert
from .kinds.principal_curves import LearnedInFit, PrincipalCurves


@dataclass(frozen=True)
class Card:
    """An expert in words.

    Args:
        name: How people ask for it.
        field: The first line of the file it is written in, or the name of its module.
        summary: One sentence.
        equation: LaTeX as the docstring has it, else of the formula; empty where there is neither.
        formula: The formula as text, with the fitted parameters; empty where there is none.
        remarks: Further sentences of the docstring.
        rows: Name, unit, bounds and meaning of each reported parameter.
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


def card_of(expert: Expert) -> Card:
    """Make the card of any expert."""
    learned = isinstance(expert, LearnedInFit | PrincipalCurves)
    made_from_text = type(expert).__module__.startswith("pima_toolkit.") and not learned
    text = "" if made_from_text else inspect.cleandoc(type(expert).__doc__ or "")
    text, equation = _cut(text, r"^\.\. math::(.*(?:\n[ \t]+\S.*)*)")
    # A table of parameters, as docstrings written for 0.1 have it, says what is declared a second time.
    text, _ = _cut(text, r"^(=+ =[= ]*\n(?:.*\S.*\n)*?=+ =[= ]*\n(?:.*\S.*\n)*?=+ =[= ]*)$")
    text, source = _cut(text, r"^Source: ((?:.*\S.*\n?)+)")
    text, valid_for = _cut(text, r"^Valid for: ((?:.*\S.*\n?)+)")
    text = re.split(r"^Args:$", text, maxsplit=1, flags=re.MULTILINE)[0]
    summary, _, remarks = text.partition("\n\n")
    formula = getattr(expert, "formula", "")
    return Card(
        name=expert.name,
        field=_field(expert, made_from_text),
        summary=_line(summary) or f"A formula of {', '.join(expert.inputs)}.",
        equation=_line(equation) or (f"y = {expert.latex}" if formula else ""),
        formula=formula,
        remarks=re.sub(r"\s*Shown as$", "", _line(remarks)),
        rows=_rows(expert),
        valid_for=_line(valid_for),
        source=_line(source),
    )


def _rows(expert: Expert) -> tuple[tuple[str, str, str, str], ...]:
    words = expert.reported_bounds or ("",) * len(expert.reported)
    return tuple(
        (p.name, p.unit, text or (f"within {expert.t}" if p.name in expert.within else _bounds(p)), p.description)
        for p, text in zip(expert.reported, words, strict=True)
    )


def _bounds(p: Parameter) -> str:
    """Bounds as people write them: ``K >= 0``, ``0 <= n <= 1``, ``none``."""
    low, high = isfinite(p.lower), isfinite(p.upper)
    if low and high:
        return f"{_number(p.lower)} <= {p.name} <= {_number(p.upper)}"
    if low:
        return f"{p.name} {'>' if p.log else '>='} {_number(p.lower)}"
    return f"{p.name} <= {_number(p.upper)}" if high else "none"


def _number(x: float) -> str:
    """Digits as people write them: ``1e6`` for 1e+06."""
    return re.sub(r"e([+-])0*", lambda match: "e-" if match[1] == "-" else "e", f"{x:g}")


def _cut(text: str, pattern: str) -> tuple[str, str]:
    """The text without the first match, and what the match holds."""
    found = re.search(pattern, text, re.MULTILINE)
    return (text, "") if found is None else (text[: found.start()] + text[found.end() :], found[1])


def _line(text: str) -> str:
    """One line; of reStructuredText only the marks of code stay."""
    return re.sub(r":\w+:(?=`)", "", " ".join(text.split())).replace("``", "`")


def _field(expert: Expert, made_from_text: bool) -> str:
    module = sys.modules.get(type(expert).__module__)
    first = (getattr(module, "__doc__", None) or "").strip().partition("\n")[0].rstrip(".")
    return "Formulas of this session" if made_from_text else first or type(expert).__module__
