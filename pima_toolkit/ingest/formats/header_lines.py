"""The header of a table: the names and units that stand by its numbers and fit its columns, in whatever lines.

Of the lines above the numbers the one that is mostly units is the line of units, whatever else stands there (one
unknown unit, how a channel was sampled, when it was started); the names are above it. A protocol may state names and
units too: ``columns=time,strain``, ``Strain unit: %``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

import numpy as np

from ...data.reading_log import Unusable
from ...units import find_unit
from ..headers import canonical, read_header
from .clock import is_clock
from .sheets import Sheet, knowledge, unit_share
from .texts import number

#: Lines of a header above the numbers.
_DEEPEST = 7
#: A line that names all columns, or their units, after a word for it.
_KEY_VALUES = re.compile(r"(?i)\W*(columns?|names?|channels?|fields|header|spalten|units?|einheiten)\s*[=:]\s*(.+)")
#: A line that names one column by its number: ``Sig2  Temperature (°C)``, ``# Column 3: Stress [MPa]``.
_NUMBERED = re.compile(r"(?i)\W*(sig|signal|columns?|col|channel|name|spalte|kanal)\s*(\d{1,3})\b\s*[=:;,\t]?\s*(\S.*)")


@dataclass(frozen=True)
class Header:
    """Names, units and headings over them, and what to say."""

    names: tuple[str, ...]
    units: tuple[str | None, ...]
    groups: tuple[str, ...] = ()
    top: int | None = None
    notes: tuple[str, ...] = ()


def header_of(sheet: Sheet, first: int, above: int, width: int) -> Header:
    """The names and units that stand by a table and fit its columns."""
    lines: list[tuple[int, list[str]]] = []
    near = max(above, 0)  # the first row by the numbers: only what fits the columns is between
    for at in range(first - 1, max(above, 0) - 1, -1):
        if not any(sheet.rows[at]):
            if lines:
                break
            continue
        fields = sheet.fields(at, width)
        if not fields or sheet.is_mark(at) or _KEY_VALUES.fullmatch(sheet.line(at)):
            if lines:
                break
            near = near if sheet.is_mark(at) else max(near, at)
            continue
        lines.append((at, fields))
        if len(lines) == _DEEPEST:
            break
    numbered = _numbered_names(sheet, first, above, width)
    lines = [(at, fields) for at, fields in lines if at not in numbered]
    named = [(at, fields) for at, fields in lines if sheet.is_names(fields)]
    pairs = _key_values(sheet, first, above, width, list(numbered.values()))
    if pairs is not None and not (named and knowledge(named[0][1])):
        return pairs
    if not named:
        return Header(("",) * width, (None,) * width)
    # Columns of texts, such as states of alarms, have no units.
    cells = sheet.rows[first][:width]
    numeric = [k for k, cell in enumerate(cells) if sheet.number(cell) is not None or is_clock(cell)]
    told = [[fields[k] for k in numeric] for _, fields in named]
    shares = [
        unit_share(fields, under_names=k + 1 < len(named) and unit_share(told[k + 1]) < 0.5)
        for k, fields in enumerate(told)
    ]
    k = next((k for k, share in enumerate(shares) if share >= 0.5), None)
    names_row = None
    if k is None:  # no line of units: the nearest line that is known for names, or the nearest
        k = next((k for k, (_, fields) in enumerate(named) if knowledge(fields)), 0)
        if (named[k] != lines[0] or named[k][0] < near) and not knowledge(named[k][1]):
            return Header(("",) * width, (None,) * width)  # a value of a protocol
        names_row = k
        units: tuple[str | None, ...] = (None,) * width
    else:
        at, fields = named[k]
        units = tuple(field.strip("[](){} ") or None for field in fields)
        over = [j for j in range(k + 1, len(named)) if shares[j] < 0.5 and named[j][0] >= at - 3]
        # How a channel was sampled may be the same for all of them, which is no name of a column.
        plain = [j for j in over if len(set(named[j][1])) == width and knowledge(named[j][1])]
        alike = bool(over) and len(set(filter(None, named[over[0]][1]))) == 1
        names_row = plain[0] if alike and plain else over[0] if over else None
    if names_row is None:
        return Header(("",) * width, units, top=named[k][0])
    at, fields = named[names_row]
    read = [read_header(field) for field in fields]
    names = tuple(name for name, _ in read)
    units = tuple(unit or own for unit, (_, own) in zip(units, read, strict=True))
    groups = _groups(sheet, at, above, width, names)
    units, notes = _units_above(sheet, at, above, names, units)
    skipped = [at for at, _ in named[: min(k, names_row)]]
    notes += [f"{sheet.word} {at + 1} below the names left out" for at in skipped]
    return Header(names, units, groups, at - bool(groups), tuple(notes))


def _groups(sheet: Sheet, at: int, above: int, width: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """Headings over the names, each over the columns up to the next, where names come more than once."""
    if at - 1 < above or len(set(filter(None, names))) == len(list(filter(None, names))):
        return ()
    row = (sheet.rows[at - 1] + [""] * width)[:width]
    if not row[0] or sum(map(bool, row)) < 2:
        return ()
    out: list[str] = []
    for field in row:
        out.append(field or out[-1])
    return tuple(out)


def _units_above(
    sheet: Sheet, names_at: int, above: int, names: tuple[str, ...], units: tuple[str | None, ...]
) -> tuple[tuple[str | None, ...], list[str]]:
    """Units that a protocol states above the names, for columns that state none: ``Strain unit: %``."""
    found, notes = list(units), []
    label = next((row for row in reversed(sheet.rows[:names_at]) if row[:1] == ["Y_Unit_Label"]), [])  # of LabVIEW
    for k, unit in enumerate(label[1 : len(names)], 1):
        if found[k] is None and find_unit(unit) is not None:
            found[k] = unit
    for at in range(max(0, min(above, names_at)), names_at):
        match = re.fullmatch(
            r"(?i)\W*(?P<name>.+?)[\s_]+(units?|einheit|unité)\s*[:=;,\t]\s*(?P<unit>\S.*?)[;,\s]*", sheet.phrase(at)
        )
        if match is None or find_unit(match["unit"]) is None:
            continue
        word = canonical(match["name"])[0]
        for k, name in enumerate(names):
            if found[k] is None and name and canonical(name)[0] == word:
                found[k] = match["unit"]
                notes.append(f"unit of {name!r} from {sheet.word} {at + 1}: {match['unit']}")
    return tuple(found), notes


def _numbered_names(sheet: Sheet, first: int, above: int, width: int) -> dict[int, str]:
    """Rows that name all columns by their numbers, a row each, and these names; empty where there are none."""
    every = {at: match for at in range(max(above, 0), first) if (match := _NUMBERED.fullmatch(sheet.phrase(at)))}
    numbers = [int(match[2]) for match in every.values()]
    if len(numbers) != width or numbers != list(range(numbers[0], numbers[0] + width)):
        return {}
    return {at: match[3].strip(" \"'") for at, match in every.items()}


def _key_values(sheet: Sheet, first: int, above: int, width: int, numbered: list[str]) -> Header | None:
    """Names and units of lines such as ``columns=time,strain,stress`` and ``units=s,%,MPa``.

    Args:
        sheet: The sheet.
        first: The first row of numbers.
        above: The first row above it that belongs to the table.
        width: How many columns there are.
        numbered: Of `_numbered_names`.
    """
    found = {"names": numbered} if numbered else {}
    for at in range(max(above, 0), first):
        match = _KEY_VALUES.fullmatch(sheet.line(at))
        if match is not None:
            fields = [field.strip(" \"'") for field in re.split(r"[,;\t|]", match[2])]
            if len(fields) == width:
                found["units" if match[1].lower().startswith(("unit", "einheit")) else "names"] = fields
    if "names" not in found:
        return None
    read = [read_header(field) for field in found["names"]]
    own = found.get("units", [""] * width)
    units = tuple(unit or stated for unit, (_, stated) in zip(own, read, strict=True))
    return Header(tuple(name for name, _ in read), tuple(u or None for u in units))


def title_of(sheet: Sheet, above: int, top: int, parsed: list) -> str:
    """What a table is called: the line nearest above its header that is a title."""
    for at in range(top - 1, max(above, top - 6) - 1, -1):
        if sheet.is_title(at):
            return " ".join(filter(None, sheet.rows[at]))[:80]
        if parsed[at] is not None:
            break
    return ""


def mentioned_above(sheet: Sheet, above: int, first: int) -> str:
    """The line above a table without names that has words for its columns; empty where none has."""
    for at in range(max(above, first - 200), first):
        for field in re.split(r"[=:;,\t]+", sheet.phrase(at)):
            name, unit = read_header(field)
            if len(name.split()) < 4 and canonical(name, unit)[1] in ("strain", "stress", "force", "length"):
                return f"{sheet.word} {at + 1}, {sheet.line(at)[:40]!r}"
    return ""


def check_header(sheet: Sheet, first: int, above: int, values: np.ndarray, header: Header) -> list[str]:
    """What to say of a line right above the numbers that has another number of fields.

    Raises:
        Unusable: If it has fewer, and it cannot be known which columns they name: commas may stand in numbers as well
            as between them, or a first column may have no name.
    """
    has_names = any(header.names) or any(header.units)
    at = next((at for at in range(first - 1, above - 1, -1) if any(sheet.rows[at]) and not sheet.is_mark(at)), None)
    names = [] if at is None else [field for field in sheet.rows[at] if field]
    width = values.shape[1]
    finite = values[np.isfinite(values)]
    whole = sheet.delimiter == "," and bool((finite == np.round(finite)).all())
    if any(number(field, sheet.decimal) is not None for field in names):
        names = []
    if len(names) < 2:
        lone = len(names) == 1 and width == 2 and at == first - 1 and canonical(read_header(names[0])[0])[1] is not None
        if whole and width % 2 == 0 and (lone or _fractions(sheet, first, len(values))):
            raise Unusable(
                f"has whole numbers alone in {width} columns: decimal commas and commas between columns cannot be told "
                "apart; save it with semicolons"
            )
        return []
    if at is None or sheet.lines is None or sheet.delimiter is None:
        return [] if has_names else [f"{len(names)} names over {width} columns, so none is used"]
    try:
        places = len(next(csv.reader([sheet.lines[at]], delimiter=sheet.delimiter), []))
    except csv.Error:  # a quote that is never closed, or a very long field
        places = len(sheet.lines[at].split(sheet.delimiter))
    places = max(places, len(sheet.fields(at, width)) if "#" in sheet.lines[at][:4] else 0)
    if places < width and np.isfinite(values[:, places:]).mean() > 0.1 and not _said_elsewhere(header, at):
        within = "commas in numbers and commas between columns cannot be told apart; save it with semicolons"
        raise Unusable(
            f"has {len(names)} names over {width} columns: "
            + (within if sheet.delimiter == "," else "which they name is not known; give every column a name")
        )
    return [] if has_names else [f"{len(names)} names over {width} columns, so none is used"]


def _said_elsewhere(header: Header, at: int) -> bool:
    """Whether names were found in another line than the one above the numbers."""
    return any(header.names) and header.top != at


def _fractions(sheet: Sheet, first: int, count: int) -> bool:
    """Whether numbers in every other column look like what follows a decimal comma: some begin with a zero."""
    return any(re.fullmatch(r"0\d+", field) for row in sheet.rows[first : first + count] for field in row[1::2])
