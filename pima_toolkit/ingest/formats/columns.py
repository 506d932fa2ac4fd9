"""Columns of numbers, or of texts, out of text files and workbooks as instruments and people write them.

Encoding, delimiter and decimal sign are found by trying: the ones by which most rows are numbers throughout. The data
are the longest run of such rows; what stands right above it are names and units.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from ...data.reading_log import Unusable, count
from ...errors import require
from ...units import find_unit
from ..headers import canonical, read_header
from .reader import ColumnReader, Columns
from .texts import (
    COMMENT,
    DELIMITERS,
    GAPS,
    PARTING,
    TEXT_SUFFIXES,
    decode,
    detect,
    looks_like_number,
    number,
    split_line,
)


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Rows of texts; of a text file also its lines, and what parts their columns (None: blanks)."""

    rows: list[list[str]]
    decimal: str
    notes: tuple[str, ...] = ()
    lines: list[str] | None = None
    delimiter: str | None = None

    @property
    def blanks(self) -> bool:
        """Whether columns are parted by blanks, so that an empty cell moves those after it."""
        return self.lines is not None and self.delimiter is None


class _Text(ColumnReader):
    """Text files: encoding, delimiter and decimal sign are found by trying."""

    suffixes = TEXT_SUFFIXES

    def read(self, path: Path, sheet: str | int | None = None) -> Columns:  # noqa: ARG002
        columns = _columns(_text_sheet(path))
        if columns is None:
            raise Unusable("has no two columns of numbers side by side")
        return columns


class _Workbook(ColumnReader):
    """Excel workbooks; of several sheets the one with the most rows of numbers, if none is named."""

    suffixes = (".xlsx", ".xlsm")

    def read(self, path: Path, sheet: str | int | None = None) -> Columns:
        pages = _workbook(path, sheet).items()
        # cells of numbers have points; numbers that were typed in as texts may have commas
        found = [(name, _columns(page) or _columns(replace(page, decimal=","))) for name, page in pages]
        usable = [(name, columns) for name, columns in found if columns is not None]
        if not usable:
            raise Unusable(f"has no sheet with two columns of numbers (its sheets: {', '.join(n for n, _ in found)})")
        name, columns = max(usable, key=lambda item: len(item[1].values))
        if len(found) == 1:
            return columns
        return replace(columns, notes=(f"sheet {name!r} of {len(found)}", *columns.notes))


class _ColumnArray(ColumnReader):
    """NumPy arrays (point, column) without names and units."""

    suffixes = (".npy",)

    def read(self, path: Path, sheet: str | int | None = None) -> Columns:  # noqa: ARG002
        try:
            values = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise Unusable(f"is no NumPy array of numbers ({error})") from error
        if values.ndim != 2 or values.dtype.kind not in "iuf" or min(values.shape) < 2:
            raise Unusable(f"has shape {values.shape} of {values.dtype}, a curve is an array (points, columns)")
        width = values.shape[1]
        return Columns(("",) * width, (None,) * width, values.astype(np.float64))


TEXT, WORKBOOK, ARRAY = _Text(), _Workbook(), _ColumnArray()
#: Endings of files that may be the table of specimens.
TABLE_SUFFIXES = (*TEXT.suffixes, *WORKBOOK.suffixes)


def read_texts(path: Path, worth: Callable[[list[list[str]]], int] | None = None) -> list[list[str]]:
    """The rows of a table with one header line, cells as texts with decimal points, empty rows left out.

    Args:
        path: The file.
        worth: Of the sheets of a workbook, the one whose rows are worth most is the table; None: the first.

    Raises:
        Unusable: If it is empty or no table.
        MissingDependency: If openpyxl is missing and needed.
    """
    if path.suffix.lower() in WORKBOOK.suffixes:
        pages = [[row for row in page.rows if any(row)] for page in _workbook(path, None).values()]
        return max(pages, key=worth) if worth is not None else pages[0]
    text, _ = decode(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    by_delimiter = {d: [split_line(line, d) for line in lines] for d in DELIMITERS[:-1]}

    def fit(rows: list[list[str]]) -> int:  # how many rows have the shape that most have, if that is a table's
        width, times = Counter(map(len, rows)).most_common(1)[0]
        return times if width > 1 else 0

    rows = max(by_delimiter.values(), key=fit) if lines else []
    plain, german = (sum(number(cell, d) is not None for row in rows for cell in row) for d in ".,")
    if german <= plain:
        return rows
    return [[cell if (v := number(cell, ",")) is None else repr(v) for cell in row] for row in rows]


def to_number(text: str) -> float | None:
    """A cell of `read_texts` as a number: NaN for a gap, None for a text."""
    return np.nan if text.strip().lower() in GAPS else number(text, ".")


def _text_sheet(path: Path) -> _Sheet:
    text, guessed = decode(path)
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        raise Unusable("is empty: it holds blank lines alone")
    delimiter, decimal = detect(lines)
    rows = [split_line(line, delimiter) for line in lines]
    struck = 0  # numbers behind a comment sign were taken out by somebody
    for at, line in enumerate(lines):
        if COMMENT.match(line) and rows[at] and all(number(field, decimal) is not None for field in rows[at]):
            rows[at], struck = [], struck + 1
    notes = (f"read as {guessed}",) if guessed else ()
    notes += ("decimal commas",) if decimal == "," else ()
    notes += (f"{count(struck, 'row')} of numbers behind a comment sign left out",) if struck else ()
    return _Sheet(rows, decimal, notes, lines, delimiter)


def _workbook(path: Path, sheet: str | int | None) -> dict[str, _Sheet]:
    """The sheets of a workbook, or the one wanted; formulas as the values they had when it was saved."""
    openpyxl = require("openpyxl", "Excel files")
    if path.stat().st_size == 0:
        raise Unusable("is empty (0 bytes)")
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # zipfile, XML and openpyxl errors of a damaged file have no common base
        raise Unusable(f"is no readable Excel workbook ({type(error).__name__}): save it again as .xlsx") from error
    try:
        names = [page.title for page in book.worksheets]
        if sheet is not None and sheet not in (range(len(names)) if isinstance(sheet, int) else names):
            raise Unusable(f"has no sheet {sheet!r} (its sheets: {', '.join(names)})")
        wanted = names if sheet is None else [names[sheet] if isinstance(sheet, int) else sheet]
        return {name: _Sheet(_cells_of(book[name]), ".") for name in wanted}
    finally:
        book.close()


def _columns(sheet: _Sheet) -> Columns | None:
    """The longest run of rows of numbers, with the names and units above it; None if there is none."""

    def parse(row: list[str], *, certain: bool) -> list[float] | None:
        values = [number(field, sheet.decimal, blanks=sheet.delimiter in PARTING, certain=certain) for field in row]
        filled = sum(v is not None for v in values)
        gaps = sum(field.lower() in GAPS for field in row)
        if filled == 0 or filled + gaps < 2:
            return None
        return [np.nan if v is None else v for v in values]

    parsed = [parse(row, certain=False) for row in sheet.rows]
    read = (field for row, values in zip(sheet.rows, parsed, strict=True) if values is not None for field in row)
    if any(sheet.decimal in field and number(field, sheet.decimal) is not None for field in read):
        parsed = [
            parse(row, certain=True) if values is None or np.isnan(values).any() else values
            for row, values in zip(sheet.rows, parsed, strict=True)
        ]
    widths = Counter(len(row) for row in parsed if row is not None)
    if not widths:
        return None
    # A row may lack its last cells; the widest shape that many rows have is the table's.
    width, most = widths.most_common(1)[0]
    width = width if sheet.blanks else max(w for w, n in widths.items() if n >= 0.5 * most)
    runs, headers = _runs(sheet, parsed, width)
    best = max(range(len(runs)), key=lambda k: len(runs[k]))
    used = runs[best]
    labelled = _labelled(sheet, used)
    used = [at for at in used if at not in labelled]
    values = np.full((len(used), width), np.nan)
    for k, row in enumerate(parsed[at] for at in used):
        if row is not None:  # as in all runs
            values[k, : len(row)] = row[:width]
    _check_numbers(sheet, used[0], values)
    names, units = _names_and_units(headers[best], width)
    notes = list(sheet.notes)
    notes += _check_header(sheet, used[0], values, bool(headers[best]))
    if labelled:
        notes.append(f"{count(len(labelled), 'row')} that begin with a text left out")
    beside = sum(row is not None for row in parsed) - len(used) - len(labelled)
    after = sum(1 for at in range(used[0], len(sheet.rows)) if parsed[at] is None and any(sheet.rows[at]))
    if beside:
        notes.append(f"{count(beside, 'row')} of numbers elsewhere in the file left out")
    if after:
        notes.append(f"{count(after, 'row')} of text among or after the numbers left out")
    return Columns(names, units, values, tuple(notes))


def _check_header(sheet: _Sheet, first: int, values: np.ndarray, has_names: bool) -> list[str]:
    """What to say of a line right above the numbers that has another number of fields.

    Raises:
        Unusable: If it has fewer, and it cannot be known which columns they name: commas may stand in numbers as well
            as between them, or a first column may have no name.
    """
    at = next((at for at in range(first - 1, -1, -1) if any(sheet.rows[at])), None)
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
    places = len(next(csv.reader([sheet.lines[at]], delimiter=sheet.delimiter), []))
    if places < width and np.isfinite(values[:, places:]).mean() > 0.1:
        within = "commas in numbers and commas between columns cannot be told apart; save it with semicolons"
        raise Unusable(
            f"has {len(names)} names over {width} columns: "
            + (within if sheet.delimiter == "," else "which they name is not known; give every column a name")
        )
    return [] if has_names else [f"{len(names)} names over {width} columns, so none is used"]


def _fractions(sheet: _Sheet, first: int, count: int) -> bool:
    """Whether numbers in every other column look like what follows a decimal comma: some begin with a zero."""
    return any(re.fullmatch(r"0\d+", field) for row in sheet.rows[first : first + count] for field in row[1::2])


def _labelled(sheet: _Sheet, used: list[int]) -> set[int]:
    """Rows such as ``Mean;0.15;12`` among rows that begin with a number: they are no points of a curve."""

    def text(at: int) -> bool:
        field = sheet.rows[at][0]
        return not (field.lower() in GAPS or looks_like_number(field) or number(field, sheet.decimal) is not None)

    texts = {at for at in used if text(at)}
    return texts if 2 * len(texts) < len(used) else set()


def _check_numbers(sheet: _Sheet, first: int, values: np.ndarray) -> None:
    """Refuse a table with cells that are meant as numbers and cannot be read: they would be missing from the curve.

    Raises:
        Unusable: Naming the first of them.
    """
    width = values.shape[1]
    numeric = [k for k in range(width) if np.isfinite(values[:, k]).any()]
    for at in range(first, len(sheet.rows)):
        row = sheet.rows[at]
        if len(row) != width:
            continue
        fields = [row[k] for k in numeric if row[k].lower() not in GAPS]
        strange = [
            field
            for field in fields
            if number(field, sheet.decimal, blanks=sheet.delimiter in PARTING, certain=True) is None
        ]
        if strange and all(map(looks_like_number, strange)):
            sign = "points" if sheet.decimal == "." else "commas"
            raise Unusable(
                f"holds {strange[0]!r} in line {at + 1}, while the other numbers have decimal {sign}: write all alike, "
                "without signs between thousands"
            )


def _runs(sheet: _Sheet, parsed: list, width: int) -> tuple[list[list[int]], list[list[list[str]]]]:
    """Rows of each table in the sheet, and the header lines above each; a new header begins a new table."""
    split = _header_splitter(sheet, width)
    runs: list[list[int]] = [[]]
    headers: list[list[list[str]]] = [[]]
    for at, row in enumerate(sheet.rows):
        if parsed[at] is not None:
            if len(row) == width or (len(row) < width and not sheet.blanks):
                runs[-1].append(at)
            continue
        fields = split(at)
        is_header = len(fields) == width and width > 1 and sum(bool(f) for f in fields) > 1
        is_header = is_header and not any(number(f, sheet.decimal) is not None for f in fields)
        if is_header and not all(f.lower() in GAPS for f in fields):
            if runs[-1]:
                runs.append([])
                headers.append([])
            headers[-1].append(fields)
    return runs, headers


def _header_splitter(sheet: _Sheet, width: int) -> Callable[[int], list[str]]:
    lines = sheet.lines
    if lines is None or not sheet.blanks:
        return lambda at: sheet.rows[at] + [""] * (width - len(sheet.rows[at]) if len(sheet.rows[at]) > 1 else 0)

    def split(at: int) -> list[str]:
        """Names over columns parted by blanks may hold blanks: ``Strain (%)  Stress (MPa)``."""
        line = lines[at].strip()
        if len(sheet.rows[at]) == width and sheet.rows[at][0] == "%":
            return sheet.rows[at]
        line = COMMENT.sub("", line).strip()
        ways = (re.split(r"\t|\s{2,}", line), re.findall(r"[^\s\[(]+(?:\s*[\[(][^\])]*[\])])?", line), line.split())
        return next((way for way in ways if len(way) == width), [])

    return split


def _names_and_units(header: list[list[str]], width: int) -> tuple[tuple[str, ...], tuple[str | None, ...]]:
    """Names and units from the last lines above the numbers; a line of units alone stands under the names."""
    if not header:
        return ("",) * width, (None,) * width
    last = header[-1]
    written = [field for field in last if field]
    only_units = all(find_unit(field) is not None or re.fullmatch(r"[\[(].*[\])]", field) for field in written)
    if only_units and len(header) > 1:
        pairs = [read_header(field) for field in header[-2]]
        units = tuple(field.strip("[](){} ") or own for field, (_, own) in zip(last, pairs, strict=True))
        return tuple(name for name, _ in pairs), units
    if only_units and all(find_unit(field) for field in written):
        return ("",) * width, tuple(field.strip("[](){} ") or None for field in last)
    pairs = [read_header(field) for field in last]
    return tuple(name for name, _ in pairs), tuple(unit for _, unit in pairs)


class _Page(Protocol):
    """A sheet as openpyxl reads it."""

    def iter_rows(self, *, values_only: bool = False) -> Iterable[tuple]:
        """Its rows, as cells or as their values."""
        raise NotImplementedError


def _cells_of(page: _Page) -> list[list[str]]:
    """The rows of a sheet; formulas as the values they had when it was saved, empty cells at the end left out.

    A cell formatted as a percentage holds 0.05 and shows 5 %. Under a header that says ``[%]`` the 5 is meant: with the
    0.05 the number would be divided by a hundred twice.
    """
    rows = [_cell_texts(row) for row in page.iter_rows(values_only=True)]
    columns = {k for row in rows for k, text in enumerate(row) if _says_percent(text)}
    if not columns:
        return rows
    for texts, cells in zip(rows, page.iter_rows(), strict=True):
        for k in columns & set(range(len(texts))):
            value = cells[k].value
            if isinstance(value, int | float) and "%" in str(cells[k].number_format):
                # 100 * 0.07 is 7.000000000000001: what was typed has fewer digits.
                texts[k] = _cell_text(float(f"{100 * value:.14g}"))
    return rows


def _says_percent(text: str) -> bool:
    """Whether a header, or a line of units under it, says that numbers are percentages."""
    units = [find_unit(part) for part in (text, read_header(text)[1]) if part]
    return any(unit is not None and unit.name == "%" for unit in units)


def _cell_texts(row: tuple) -> list[str]:
    texts = [_cell_text(value) for value in row]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _cell_text(value: object) -> str:
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
    return "" if value is None else str(value).strip().removesuffix(" 00:00:00")  # of a date alone
