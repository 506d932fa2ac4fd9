"""Columns of numbers, or of texts, out of text files and arrays as instruments and people write them.

Encoding, delimiter and decimal sign are found by trying: the ones by which most rows are numbers throughout.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from ...data.reading_log import Unusable, count
from .arrays import MOST_NUMBERS, open_array
from .encodings import decode
from .long_tables import LongTables
from .reader import ColumnReader, Columns, TablesReader
from .sheets import Sheet
from .tables import tables_of
from .texts import COMMENT, DELIMITERS, GAPS, TEXT_SUFFIXES, detect, number, split_line
from .workbooks import CHECK, OPTION, WORKBOOK, sheets_of

#: Most columns of a table, and what is said of more.
_WIDEST = 50_000
_COLUMNS = "columns in a row, which may have to be turned, one point a row"
#: How a web page or another file of tags begins, whatever it is called.
_PAGE = re.compile(r"(?i)\s*<((?P<html>!doctype\s+html|html|head|body|table|div|script)\b|[a-z!?])")


class _Text(TablesReader):
    """Text files: encoding, delimiter and decimal sign are found by trying."""

    suffixes = TEXT_SUFFIXES

    def __init__(self) -> None:
        self._long = LongTables(lambda text, guessed: _sheet_of(text, guessed))

    def tables(self, path: Path, sheet: str | int | None = None) -> Iterator[Columns]:  # noqa: ARG002
        plain = self._long.read(path, self.limits)
        if plain is not None:
            yield plain
            return
        yield from tables_of(_text_sheet(path, self.limits))


class _ColumnArray(ColumnReader):
    """NumPy arrays (point, column) without names and units."""

    suffixes = (".npy",)

    def read(self, path: Path, sheet: str | int | None = None) -> Columns:  # noqa: ARG002
        values = open_array(path, MOST_NUMBERS, "numbers", self.limits, OPTION)
        if values.ndim != 2 or values.dtype.kind not in "iuf" or min(values.shape) < 2:
            raise Unusable(f"has shape {values.shape} of {values.dtype}, a curve is an array (points, columns)")
        width = values.shape[1]
        CHECK(width, _WIDEST, "columns", limits=self.limits)
        return Columns(("",) * width, (None,) * width, np.array(values, dtype=np.float64))


TEXT, ARRAY = _Text(), _ColumnArray()
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
        pages = [[row for row in page.rows if any(row)] for page in sheets_of(path, None)]
        return max(pages, key=worth) if worth is not None else pages[0]
    text, _ = decode(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    CHECK(max(map(_parted, lines), default=0), _WIDEST, _COLUMNS, option="")  # of a table of specimens it stays
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


def _parted(line: str) -> int:
    """How many fields a very long line may have; 0 for shorter ones.

    A table of a million columns is known by them before it is taken apart in every way there is.
    """
    if len(line) <= _WIDEST:
        return 0
    return max(*(line.count(sign) + 1 for sign in "\t;|,"), len(line.split()))


def _text_sheet(path: Path, limits: float = 1.0) -> Sheet:
    return _sheet_of(*decode(path, limits, OPTION, "bytes of text with other lines among its numbers"), limits)


def _sheet_of(text: str, guessed: str | None, limits: float = 1.0) -> Sheet:
    """The rows of a text, and the name of its encoding where that was guessed."""
    lines = text.splitlines()
    CHECK(max(map(_parted, lines), default=0), _WIDEST, _COLUMNS, limits=limits)
    if not any(line.strip() for line in lines):
        raise Unusable("is empty: it holds blank lines alone")
    page = _PAGE.match(text)
    if page is not None:
        what = "a web page (HTML)" if page["html"] else "XML"
        raise Unusable(f"is {what}, not a table: what was downloaded is not the file, or save its table as CSV")
    delimiter, decimal = detect(lines)
    rows = [split_line(line, delimiter) for line in lines]
    CHECK(max(map(len, rows)), _WIDEST, _COLUMNS, limits=limits)
    struck = 0  # numbers behind a comment sign were taken out by somebody
    for at, line in enumerate(lines):
        if COMMENT.match(line) and rows[at] and all(number(field, decimal) is not None for field in rows[at]):
            rows[at], struck = [], struck + 1
    notes = (f"read as {guessed}",) if guessed else ()
    notes += ("decimal commas",) if decimal == "," else ()
    notes += (f"{count(struck, 'row')} of numbers behind a comment sign left out",) if struck else ()
    return Sheet(rows, decimal, notes, lines, delimiter)
