"""The tables of a sheet: runs of rows of numbers, parted by headers, titles and marks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...data.reading_log import Unusable, count
from ...units import find_unit
from ..headers import canonical, read_header, slug
from .clock import HALF_TOLD, MOMENT, elapsed, seconds
from .header_lines import Header, check_header, header_of, mentioned_above, title_of
from .preamble import stated_above
from .reader import Columns
from .sheets import SPECIMEN, Sheet, knowledge, unit_share
from .texts import GAPS, looks_like_number, number

#: A header may have so many more columns than most rows, whose last cells are empty.
_WIDER = 8
#: Fewest rows of a table that is one of several; shorter ones are values of a protocol.
FEWEST = 3
#: What SCPI instruments write for no value and for an overflow.
_NO_VALUE = 9.9e37
#: What loggers write for no value, where it is far from all other values.
_FILLERS = (-9999.0, -999.0, -99999.0, 9999.0, 99999.0, 999999.0, -999.25, 1e30, -1e30)


@dataclass(frozen=True)
class _Run:
    """Rows of numbers, and where the lines between them and the run before begin."""

    rows: tuple[int, ...]
    above: int


def tables_of(sheet: Sheet) -> Iterator[Columns]:
    """Every table of a sheet, in its order, with what was left out of each; nothing if there is no row of numbers.

    Raises:
        Unusable: If what is meant as a number cannot be read, or it cannot be known which columns the names name.
    """
    parsed = sheet.parsed()
    start = _announced(sheet, parsed)
    runs = [run for run in _runs(sheet, parsed) if start is None or run.rows[-1] >= start]
    if start is not None and runs:
        first = runs[0]
        runs[0] = _Run(tuple(at for at in first.rows if at >= start), first.above)
    longest = max(runs, key=lambda run: len(run.rows), default=None)
    tables = []
    for run in runs:
        try:
            tables.append(_table(sheet, parsed, run, run is longest))
        except Unusable:
            if run is longest or len(run.rows) >= FEWEST:
                raise  # a few numbers of a protocol are no reason to refuse the table below them
    yield from _pages([table for table in tables if table is not None])


def _announced(sheet: Sheet, parsed: list) -> int | None:
    """The row after a header whose number of lines the file states in its first lines; None where it states none.

    The number is believed if the line before is no line of numbers, and that row is one.
    """
    for at in range(min(3, len(sheet.rows))):
        found = re.fullmatch(
            r"(\d{1,4})|.*header.*?lines?\s*[:=;,]?\s*(\d{1,4})", sheet.phrase(at).strip(), re.IGNORECASE
        )
        lines = int(found[1] or found[2]) if found else 0
        if 1 < lines < len(parsed) and parsed[lines] is not None and parsed[lines - 1] is None:
            return lines
    return None


def _runs(sheet: Sheet, parsed: list) -> list[_Run]:
    """Rows of numbers, parted by headers, by titles and by marks such as START and END."""
    runs: list[_Run] = []
    rows: list[int] = []
    above = 0
    for at, row in enumerate(sheet.rows):
        if parsed[at] is not None:
            rows.append(at)
            continue
        if not rows or not any(row):
            continue
        width = max(len(sheet.rows[k]) for k in rows[-2:])
        fields = sheet.fields(at, width)
        if not fields and not sheet.blanks and width < len(row) <= width + _WIDER and knowledge(row[:width]) > 0:
            fields = row  # its last columns are empty in the rows of numbers
        header = sheet.is_names(fields) and len(list(filter(None, fields))) >= min(2, width)
        if header or sheet.is_title(at) or sheet.is_mark(at):
            runs.append(_Run(tuple(rows), above))
            rows, above = [], at
    return [*runs, _Run(tuple(rows), above)] if rows else runs


def _table(sheet: Sheet, parsed: list, run: _Run, longest: bool) -> Columns | None:
    """One run as a table; None where no two of its columns stand side by side."""
    widths = Counter(len(parsed[at]) for at in run.rows)
    # A row may lack its last cells; the widest shape that many rows have is the table's.
    width, most = widths.most_common(1)[0]
    width = width if sheet.blanks else max(w for w, n in widths.items() if n >= 0.5 * most)
    width = _named_width(sheet, run.rows[0], run.above, width)
    fits = [at for at in run.rows if len(parsed[at]) == width or (len(parsed[at]) < width and not sheet.blanks)]
    # Values of a protocol above the first row that has all columns are none of the table's.
    usual = max(len(parsed[at]) for at in fits) if sheet.blanks else _usual(widths)
    whole = next((k for k, at in enumerate(fits) if len(parsed[at]) >= usual), 0)
    early = 0 if len(fits) - whole < FEWEST else whole
    used = fits[early:]
    above = run.above if early == 0 else fits[early - 1] + 1
    header = header_of(sheet, used[0], above, width)
    notes = list(header.notes)
    if _numbers_channels(sheet, used, width):
        notes.append(f"{sheet.word} {used[0] + 1}, the numbers of the channels, left out")
        used = used[1:]
    labelled = _labelled(sheet, used)
    used = [at for at in used if at not in labelled]
    values = np.full((len(used), width), np.nan)
    for k, at in enumerate(used):
        values[k, : len(parsed[at])] = parsed[at][:width]
    if width < 2:
        return None
    _check_numbers(sheet, used, values)
    notes += check_header(sheet, used[0], above, values, header)
    values, header, done = _clocks(sheet, used, values, header)
    notes += done
    values, done = without_fillers(values, header.names)
    notes += done
    if labelled:
        notes.append(f"{count(len(labelled), 'row')} that begin with a text left out")
    beside = len(run.rows) - len(used) - len(labelled)
    if beside > 0:
        notes.append(f"{count(beside, 'row')} of numbers elsewhere in the file left out")
    until = len(sheet.rows) if longest else used[-1]
    after = sum(1 for at in range(used[0], until) if parsed[at] is None and any(sheet.rows[at]))
    if after:
        notes.append(f"{count(after, 'row')} of text among or after the numbers left out")
    labels = _labels(sheet, used, header.names)
    if labels and not any(header.names) and knowledge(list(labels)) >= min(2, len(labels)) > 1 and width > len(labels):
        return _turned(sheet, labels, values, (*sheet.notes, *notes), used)
    return Columns(
        header.names,
        header.units,
        values,
        (*sheet.notes, *notes),
        labels=labels,
        title=title_of(sheet, run.above, used[0] if header.top is None else header.top, parsed),
        place=f"{sheet.word}s {used[0] + 1} to {used[-1] + 1}",
        sheet=sheet.name,
        groups=header.groups,
        above="" if any(header.names) else mentioned_above(sheet, run.above, used[0]),
        lost=_lost(sheet, used, values, header.names, header.units),
        stated=stated_above(sheet, used[0]),
    )


def _usual(widths: Counter) -> int:
    """The fewest fields of a whole row: rows that lack their last cells are not much rarer than the others."""
    most = max(widths.values())
    return max(w for w, n in widths.items() if n >= 0.5 * most)


def _named_width(sheet: Sheet, first: int, above: int, width: int) -> int:
    """Columns of a table whose last ones are empty in most rows, as remarks are: those that its header names."""
    if sheet.blanks:
        return width
    for at in range(first - 1, max(above, first - 4) - 1, -1):
        row = sheet.rows[at]
        if not any(row):
            continue
        known = knowledge(row[:width]) > 0 or unit_share(row) >= 0.5
        if width < len(row) <= width + _WIDER and sheet.is_names(row) and known and all(row[:width]):
            return len(row)
        if len(row) != width:
            break
    return width


def _numbers_channels(sheet: Sheet, used: list[int], width: int) -> bool:
    """Whether the first row counts the columns, 1, 2, 3, while the others hold decimals."""
    if len(used) < FEWEST + 1:
        return False
    fields = [field for field in sheet.rows[used[0]] if field]
    if len(fields) < 2 or not all(field.isdecimal() and len(field) < 10 for field in fields):
        return False
    numbers = [int(field) for field in fields]
    if len(fields) < width - 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
        return False
    following = [field for at in used[1:4] for field in sheet.rows[at] if field]
    return sum(sheet.decimal in field for field in following) > 0.6 * len(following)


def _clocks(sheet: Sheet, used: list[int], values: np.ndarray, header: Header) -> tuple[np.ndarray, Header, list[str]]:
    """Columns of clock times in seconds from their first; the rest as it was."""
    units, notes = list(header.units), []
    values = values.copy()
    for k in range(values.shape[1]):
        texts = [sheet.rows[at][k] for at in used[:50] if k < len(sheet.rows[at])]
        if sum(":" in field and seconds(field) is not None for field in texts) <= 0.5 * len(texts):
            continue
        values[:, k], note = elapsed(values[:, k])
        units[k] = "s"
        name = header.names[k] or f"column {k}"
        notes.append(f"{name!r}: {note}")
    return values, replace(header, units=tuple(units)), notes


def without_fillers(values: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Numbers that stand for no value taken out: 9.91E37 of instruments, -9999 of loggers where nothing is near it."""
    notes = []
    with np.errstate(invalid="ignore"):
        ends = [
            float(v) for column in values.T if column.size for v in (np.fmin.reduce(column), np.fmax.reduce(column))
        ]
    if not any(abs(v) >= _NO_VALUE or v in _FILLERS for v in ends):
        return values, []  # a number that stands for no value is far from all others
    values = values.copy()
    for k in range(values.shape[1]):
        column = values[:, k]
        gone = np.abs(column) >= _NO_VALUE
        finite = column[np.isfinite(column) & ~gone]
        for filler in _FILLERS:
            others = finite[finite != filler]
            if others.size < 0.5 * finite.size or others.size == finite.size:
                continue
            if abs(filler) > 10 * np.abs(others).max(initial=0) and others.size >= FEWEST:
                gone |= column == filler
                finite = others
        if gone.any():
            shown = ", ".join(f"{v:g}" for v in np.unique(column[gone]))
            name = names[k] or f"column {k}"
            notes.append(f"{count(int(gone.sum()), 'number')} in {name!r} ({shown}) taken for no value")
            column[gone] = np.nan
    return values, notes


def _lost(
    sheet: Sheet, used: list[int], values: np.ndarray, names: tuple[str, ...], units: tuple[str | None, ...]
) -> dict[int, str]:
    """Named columns of known quantities whose cells hold no numbers -> what they hold."""
    out = {}
    for k, name in enumerate(names):
        if not name or canonical(name, units[k])[1] is None or np.isfinite(values[:, k]).any():
            continue
        texts = [sheet.rows[at][k] for at in used if k < len(sheet.rows[at]) and sheet.rows[at][k].lower() not in GAPS]
        half = bool(texts) and HALF_TOLD.fullmatch(texts[0]) is not None
        why = ", which may be min:s or h:min" if half else ", no number"
        out[k] = f"holds {texts[0][:60]!r}{why}" if texts else "is empty"
    return out


def _pages(tables: list[Columns]) -> list[Columns]:
    """Tables with the same header, of which each goes on where the one before ended, are one printed on pages."""
    out: list[Columns] = []
    for table in tables:
        last = out[-1] if out else None
        if last is not None and _continues(last, table):
            values = np.concatenate([last.values, table.values])
            pages = f"{last.place}, {table.place}"
            notes = tuple(dict.fromkeys([*last.notes, *table.notes]))
            out[-1] = replace(last, values=values, place=pages, notes=notes)
        else:
            out.append(table)
    for k, table in enumerate(out):
        if ", " in table.place:
            pages = table.place.count(", ") + 1
            out[k] = replace(
                table, notes=(*table.notes, f"one table on {pages} pages ({table.place}), its header again on each")
            )
    return out


def _continues(one: Columns, next_one: Columns) -> bool:
    if (one.names, one.units, one.sheet) != (next_one.names, next_one.units, next_one.sheet) or not any(one.names):
        return False
    if any(
        re.match(r"(?i)\W*(specimen|sample|probe|cycle|zyklus|loop|curve|kurve|test)", t.title) for t in (one, next_one)
    ):
        return False
    for k in range(one.values.shape[1]):
        first, second = one.values[:, k], next_one.values[:, k]
        joined = np.concatenate([first, second])
        if len(first) >= FEWEST and np.isfinite(joined).all() and (np.diff(joined) > 0).all():
            step = second[0] - first[-1]
            return bool(step <= 10 * np.median(np.diff(first)))
    return False


def _labelled(sheet: Sheet, used: list[int]) -> set[int]:
    """Rows such as ``Mean;0.15;12`` among rows that begin with a number: they are no points of a curve."""

    def text(at: int) -> bool:
        field = sheet.rows[at][0]
        if field.lower() in GAPS or MOMENT.match(field):
            return False
        return not (looks_like_number(field) or number(field, sheet.decimal) is not None)

    texts = {at for at in used if text(at)}
    numbers = sum(number(sheet.rows[at][0], sheet.decimal) is not None for at in used)
    if texts and not numbers and any(sheet.rows[at][0] == "" for at in used):
        return set()  # a column of remarks
    return texts if 2 * len(texts) < len(used) else set()


def _labels(sheet: Sheet, used: list[int], names: tuple[str, ...]) -> tuple[str, ...]:
    """Texts at the beginning of the rows, or under a name for specimens; empty where rows beside the first lack one."""
    k = next((k for k, name in enumerate(names) if SPECIMEN.fullmatch(slug(name))), 0)
    first = [sheet.rows[at][k] if k < len(sheet.rows[at]) else "" for at in used]
    texts = [field for field in first if field.lower() not in GAPS and not _is_value(sheet, field)]
    return tuple(first) if len(texts) >= max(2, len(first) - 1) else ()


def _is_value(sheet: Sheet, field: str) -> bool:
    return sheet.number(field) is not None or looks_like_number(field) or MOMENT.match(field) is not None


def _turned(
    sheet: Sheet, labels: tuple[str, ...], values: np.ndarray, notes: tuple[str, ...], used: list[int]
) -> Columns:
    """A table that lies on its side, each quantity in a row after its name, as columns."""
    read = [read_header(label) for label in labels]
    turned = values[:, 1:].T
    beside = [sheet.rows[at][1].strip("[](){} ") for at in used]
    stated = all(find_unit(text) is not None for text in beside)
    units = tuple(text if stated else unit for text, (_, unit) in zip(beside, read, strict=True))
    return Columns(
        tuple(name for name, _ in read),
        units,
        turned[np.isfinite(turned).any(axis=1)],
        (*notes, "quantities stand in rows: turned"),
        place=f"{sheet.word}s {used[0] + 1} to {used[-1] + 1}",
        sheet=sheet.name,
    )


def _check_numbers(sheet: Sheet, used: list[int], values: np.ndarray) -> None:
    """Refuse a table with cells that are meant as numbers and cannot be read: they would be missing from the curve.

    Raises:
        Unusable: Naming the first of them.
    """
    width = values.shape[1]
    numeric = [k for k in range(width) if np.isfinite(values[:, k]).any()]
    for at in range(used[0], used[-1] + 1):
        row = sheet.rows[at]
        if len(row) != width:
            continue
        fields = [row[k] for k in numeric if row[k].lower() not in GAPS]
        strange = [field for field in fields if sheet.number(field) is None and seconds(field) is None]
        if strange and all(map(looks_like_number, strange)):
            sign = "points" if sheet.decimal == "." else "commas"
            raise Unusable(
                f"holds {strange[0]!r} in line {at + 1}, while the other numbers have decimal {sign}: write all alike, "
                "without signs between thousands"
            )
