"""Names and units as people write them over columns: ``"Stress [MPa]"``, ``"Dehnung (%)"``, ``"Force/kN"``.

The units themselves are in the room of that name.
"""

from __future__ import annotations

import re
import unicodedata

from ..units import find_unit

#: Our word -> what it may be called, and the quantity it is when no unit is stated.
_WORDS = {
    "strain": ("strain", "strain dehnung stauchung deformation eps epsilon ε"),
    "stress": ("stress", "stress spannung sigma σ contrainte"),
    "force": ("force", "force load kraft standardkraft last"),
    "displacement": ("length", "displacement extension crosshead travel weg standardweg traversenweg hub disp"),
    "time": ("time", "time zeit testtime prüfzeit temps"),
    "temperature": ("temperature", "temperature temperatur temp"),
}


_BRACKETS = re.compile(r"^(?P<name>.*?)\s*\[(?P<unit>[^\[\]]*)\]\s*$")
_PARENTHESES = re.compile(r"^(?P<name>.*?)\s*\((?P<unit>[^()]*)\)\s*$")
_RATIO = re.compile(r"^(?P<name>.+?)[\s_,]+(?P<unit>\w+/\w+)$")
_SLASH = re.compile(r"^(?P<name>.+?)(?:\s*/\s*|\s+in\s+)(?P<unit>\S+)$")
_JOINED = re.compile(r"^(?P<name>.+?)[\s_]+(?P<unit>[^\s_]+)$")


def read_header(text: str) -> tuple[str, str | None]:
    """Name and unit of a column's header; the unit is None where none is stated.

    What stands in square brackets is a unit; what stands in parentheses, after a slash or after ``in`` is one if the
    table has it, and after a blank or an underscore if it suits the name too: ``"Kraft N"``, ``"stress_MPa"``.
    ``"Stress (true)"`` and ``"strain 1"`` have none.
    """
    text = " ".join(text.replace("\ufeff", "").split()).strip("\"'")
    found = _BRACKETS.match(text)
    if found and found["name"]:
        return found["name"], found["unit"].strip() or "1"
    for pattern in (_PARENTHESES, _RATIO, _SLASH, _JOINED):
        found = pattern.match(text)
        unit = find_unit(found["unit"]) if found else None
        if found is None or unit is None or not found["name"].strip(" /_"):
            continue
        if found["unit"] in ("1", "-") and unit.quantity != canonical(found["name"])[1]:
            continue  # the first of several columns of stress, not stress in units of strain
        suits = unit.quantity == canonical(found["name"])[1] and found["unit"] not in ("1", "-")
        if pattern is not _JOINED or suits or (found["unit"] == unit.name and len(unit.name) > 2):
            return found["name"].strip(" /_"), found["unit"].strip()
    return text, None


def slug(name: str) -> str:
    """A name as a variable can have: lower case, words joined by underscores."""
    words = re.sub(r"\W+", "_", unicodedata.normalize("NFC", name).casefold())
    return re.sub(r"_+", "_", words).strip("_")


def canonical(name: str) -> tuple[str, str | None]:
    """Our word for a column's name, and its quantity: ``"Standardkraft"`` is ("force", "force").

    A name that is none of ours stays, as a slug, without a quantity; so does a rate.
    """
    words = slug(name).split("_")
    if "rate" not in words:
        for ours, (quantity, theirs) in _WORDS.items():
            if any(word in words for word in theirs.split()):
                return ours, quantity
    return slug(name), None
