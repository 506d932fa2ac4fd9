"""Values that a protocol states above a table: ``Width: 6.02 mm``, ``Thickness [mm];1,5``, ``# area = 21 mm2``."""

from __future__ import annotations

import re

from .sheets import Sheet
from .texts import COMMENT

#: Lines above a table that are looked at, the nearest ones.
_LINES = 400
#: Most letters of a line that states a value.
_LONGEST = 200
_WITH_UNIT = re.compile(r"(?P<value>[+-]?\d[\d.,]*)(?P<unit>[^\W\d_][\w/²³^*·]{0,12}|%)")

#: Name as written -> value and unit as written; the unit is empty where none is stated.
Stated = dict[str, tuple[float, str]]


def stated_above(sheet: Sheet, first: int) -> Stated:
    """One number with a name, line by line, above a row of numbers; of a name that comes twice the lower one.

    Args:
        sheet: The sheet.
        first: The row of numbers.

    Returns:
        The values by their names, where a unit in brackets still stands: ``{"Width [mm]": (6.02, "")}``.
    """
    out: Stated = {}
    for at in range(max(0, first - _LINES), first):
        filled = [field for field in sheet.rows[at] if field]
        line = " ".join(filled)
        if not filled or len(line) > _LONGEST:
            continue
        found = _stated(sheet, COMMENT.sub("", line).replace("=", " ").replace(":", " ").split())
        if found is not None:
            out[found[0]] = found[1], found[2]
    return out


def _stated(sheet: Sheet, words: list[str]) -> tuple[str, float, str] | None:
    """Name, value and unit of words such as ``Width 6.0 mm``; None of others."""
    at = next((k for k, word in enumerate(words) if k and _number(sheet, word) is not None), None)
    if at is None or len(words) > at + 2 or not any(letter.isalpha() for letter in words[0]):
        return None
    value, unit = _number(sheet, words[at]) or (0.0, "")
    if len(words) == at + 2:
        if unit or _number(sheet, words[-1]) is not None:
            return None
        unit = words[-1].strip("[](){}")
    return " ".join(words[:at]).strip(" ,;"), value, unit


def _number(sheet: Sheet, word: str) -> tuple[float, str] | None:
    """A number, and the unit that is written right behind it."""
    value = sheet.number(word)
    if value is not None:
        return value, ""
    parts = _WITH_UNIT.fullmatch(word)
    value = sheet.number(parts["value"]) if parts else None
    return None if parts is None or value is None else (value, parts["unit"])
