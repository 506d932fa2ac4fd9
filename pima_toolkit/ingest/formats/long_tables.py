"""Long tables of plain numbers, read in C: the same as line by line, where nothing but numbers is between their ends.

The first and the last lines are read as all files are: they tell header, units, delimiter and decimal sign. What lies
between goes to pandas, which refuses whatever is no number; then, or where the ends are not a single plain table, the
file is read line by line, which a very long one is too long for: what its first lines refuse is refused at once.
What the ends told is kept: a folder has hundreds of files with one header.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...data.reading_log import Unusable
from ...errors import require
from .encodings import code_page
from .reader import Columns
from .sheets import Sheet
from .tables import tables_of, without_fillers

#: Files below this many bytes are read line by line; up to so many bytes numbers alone are read.
_LONG, MOST_BYTES = 60_000, 300_000_000
#: Bytes of the beginning that are read, tried in turn, and of the end.
_HEADS = (2_000, 32_000)
_TAIL = 800
#: Files up to this many bytes are read by pandas at once, larger ones so many rows at a time.
_AT_ONCE, _ROWS = 20_000_000, 250_000
#: Fewest rows of numbers at the beginning.
_FEWEST = 20
#: Headers that are remembered.
_KEPT = 32
#: What may be said of a plain table; all else is about lines that lie between numbers.
_PLAIN = re.compile(r"decimal commas|read as [\w-]+")
_PLACE = re.compile(r"lines (\d+) to (\d+)")
#: Lines that may be numbers.
_NUMBERS = re.compile(rb"[\s\d.,;|+\-eE]+")


@dataclass(frozen=True)
class _PlainTable:
    """How the files of one header are written.

    Attributes:
        table: Names, units and all that is said, with the values of one file.
        delimiter: What parts columns; None: blanks.
        decimal: The decimal sign.
        first: Number of the first line of numbers, from 0.
        forms: Lines of numbers with which this was found, every digit a 0.
    """

    table: Columns
    delimiter: str | None
    decimal: str
    first: int
    forms: frozenset[bytes]


class LongTables:
    """Reader of long tables.

    Args:
        sheet_of: Makes a sheet of a text, and of the name of its encoding where that was guessed.
    """

    def __init__(self, sheet_of: Callable[[str, str | None], Sheet]) -> None:
        self._sheet_of = sheet_of
        self._layouts: dict[bytes, _PlainTable] = {}

    def read(self, path: Path, limits: float = 1.0) -> Columns | None:
        """The only table of a long file of plain numbers; None of any other file.

        Args:
            path: The file.
            limits: Factor on the bytes that are read.

        Raises:
            Unusable: If it is very long, and its first lines by themselves cannot be used.
        """
        size = path.stat().st_size
        if not _LONG < size <= MOST_BYTES * limits:
            return None
        with path.open("rb") as file:
            content = file.read(min(size, _HEADS[-1]))
            file.seek(size - _TAIL)
            tail = file.read()
        if content.count(0) or tail.count(0) or re.search(rb"\r(?!\n)", content):
            return None
        tail = tail[tail.find(b"\n") + 1 :]
        for length in _HEADS:
            head = content[: content[:length].rfind(b"\n") + 1]
            layout = self._layout(head, tail, size)
            if layout is not None:
                return _whole(path, size, layout, head)
        return None

    def _layout(self, head: bytes, tail: bytes, size: int) -> _PlainTable | None:
        """How a file is written, by its first and last lines."""
        lines = head.splitlines()
        first = next((k for k, line in enumerate(lines) if line.strip() and _NUMBERS.fullmatch(line)), len(lines))
        if len(lines) - first < _FEWEST:
            return None
        rows = [*lines[first:], *tail.splitlines()]
        forms = frozenset(re.sub(rb"\d", b"0", re.sub(rb"\d{4,}", b"0000", b"\n".join(rows))).split(b"\n"))
        key = b"\n".join(lines[:first])
        known = self._layouts.get(key)
        if known is not None and forms <= known.forms:
            return known
        found = self._ends(head, tail)
        if found is None:
            if size > _AT_ONCE:
                list(tables_of(self._sheet(head)))  # refused by its first lines, it is not read to its last
            return None
        if known is not None and _same(known, found):
            found = replace(found, forms=forms | known.forms)
        else:
            found = replace(found, forms=forms)
        if len(self._layouts) >= _KEPT:
            self._layouts.clear()
        self._layouts[key] = found
        return found

    def _sheet(self, content: bytes) -> Sheet:
        """Some lines of a file, read as any file."""
        try:
            return self._sheet_of(content.decode("utf-8-sig"), None)
        except UnicodeDecodeError:
            guessed = code_page(content)
            return self._sheet_of(content.decode(guessed, errors="replace"), guessed)

    def _ends(self, head: bytes, tail: bytes) -> _PlainTable | None:
        """The table of the first and last lines, read as any file; None where it is not a single plain one."""
        try:
            sheet = self._sheet(head + tail)
            tables = list(tables_of(sheet))
        except Unusable:  # told when the file is read line by line
            return None
        if len(tables) != 1 or any(not _PLAIN.fullmatch(note) for note in tables[0].notes):
            return None
        table = tables[0]
        place = _PLACE.fullmatch(table.place)
        if place is None or table.labels or table.lost or not np.isfinite(table.values).all():
            return None
        first, last = int(place[1]) - 1, int(place[2])
        if last - first != len(table.values) or any(any(row) for row in sheet.rows[last:]):
            return None
        return _PlainTable(table, sheet.delimiter, sheet.decimal, first, frozenset())


def _same(one: _PlainTable, other: _PlainTable) -> bool:
    """Whether two files are written alike."""
    told = [(x.table.names, x.table.units, x.table.notes, x.delimiter, x.decimal, x.first) for x in (one, other)]
    return told[0] == told[1]


def _whole(path: Path, size: int, layout: _PlainTable, head: bytes) -> Columns | None:
    """All rows of the table, read by pandas; None where a line is no row of numbers."""
    pandas = require("pandas", "long tables")
    table = layout.table
    width = len(table.names)
    options = {
        "sep": r"\s+" if layout.delimiter is None else layout.delimiter,
        "decimal": layout.decimal,
        "header": None,
        "names": range(width),
        "index_col": False,
        "dtype": np.float64,
        "na_filter": False,
        "skipinitialspace": re.search(rb"[,;\t|] ", head) is not None,  # a quarter slower
    }
    begins = sum(map(len, head.splitlines(keepends=True)[: layout.first]))
    try:
        with path.open("rb") as file:
            if size <= _AT_ONCE:
                file.seek(begins)
                values = pandas.read_csv(io.BytesIO(file.read()), **options).to_numpy()
            else:
                file.seek(begins)
                parts: list[list[np.ndarray]] = [[] for _ in range(width)]
                with pandas.read_csv(file, **options, chunksize=_ROWS) as chunks:
                    for chunk in chunks:
                        for k in range(width):
                            parts[k].append(chunk[k].to_numpy())
                columns = np.empty((width, sum(map(len, parts[0]))))
                for k in range(width):
                    np.concatenate(parts[k], out=columns[k])
                    parts[k].clear()
                values = columns.T
    except (ValueError, OverflowError, pandas.errors.ParserError, pandas.errors.ParserWarning):
        return None
    begin = head.count(b"\n") - layout.first
    if not np.isfinite(values).all() or len(values) < begin:
        return None
    some = values[:begin]
    if layout.delimiter == "," and bool((some == np.round(some)).all()):
        return None  # commas may stand in numbers as well: looked at line by line
    values, notes = without_fillers(values, table.names)
    place = f"lines {layout.first + 1} to {layout.first + len(values)}"
    return replace(table, values=values, notes=(*table.notes, *notes), place=place)
