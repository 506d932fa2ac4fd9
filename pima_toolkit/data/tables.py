"""Columns of numbers, or of texts, out of text files and workbooks as instruments and people write them.

Encoding, delimiter and decimal sign are found by trying: the ones by which most rows are numbers throughout. The data
are the longest run of such rows; what stands right above it are names and units.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import require
from .accounts import Unusable, count
from .units import find_unit, read_header

#: Largest text file read, in bytes.
MOST_BYTES = 300_000_000
TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".asc")
SHEET_SUFFIXES = (".xlsx", ".xlsm")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_THOUSANDS = {".": re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+"), ",": re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+")}
#: What programs write where there is no value.
_GAPS = {"", "-", "--", "---", "?", "nan", "na", "n/a", "#n/a", "null", "none", "inf", "-inf", "#value!", "#div/0!"}
_GAPS |= {"#num!", "1.#qnan", "-1.#ind", "overload", "overflow", "err", "error", "#ref!"}
_DELIMITERS = ("\t", ";", ",", "|", None)  # None: blanks
_COMMENT = re.compile(r"^\s*(#+|%+|//+|!+|\*+)\s*")


@dataclass(frozen=True, eq=False)
class Numbers:
    """The columns of a file.

    Attributes:
        names: Header of each column as written, without its unit; empty where there is none.
        units: Unit of each column as written, or None.
        values: (row, column) float64; gaps are NaN.
        notes: What was noticed on the way, for the account.
    """

    names: tuple[str, ...]
    units: tuple[str | None, ...]
    values: np.ndarray
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Sheet:
    """Rows of texts, and how a line above the numbers is split where it is not split like them."""

    rows: list[list[str]]
    decimal: str
    notes: tuple[str, ...] = ()
    lines: list[str] | None = None


def read_numbers(path: Path, sheet: str | int | None = None) -> Numbers:
    """The columns of numbers of a text file or workbook.

    Args:
        path: The file; its suffix says which it is.
        sheet: Name or number (0-based) of the sheet of a workbook; None: the one with the most rows of numbers.

    Raises:
        Unusable: If it is empty, no text, or holds no columns of numbers.
        MissingDependency: If openpyxl is missing and needed.
    """
    if path.suffix.lower() in SHEET_SUFFIXES:
        found = [(name, _numbers(page)) for name, page in _workbook(path, sheet).items()]
        usable = [(name, numbers) for name, numbers in found if numbers is not None]
        if not usable:
            raise Unusable(f"has no sheet with two columns of numbers (its sheets: {', '.join(n for n, _ in found)})")
        name, numbers = max(usable, key=lambda item: len(item[1].values))
        if len(found) == 1:
            return numbers
        note = f"sheet {name!r} of {len(found)}"
        return Numbers(numbers.names, numbers.units, numbers.values, (note, *numbers.notes))
    numbers = _numbers(_text_sheet(path))
    if numbers is None:
        raise Unusable("has no two columns of numbers side by side")
    return numbers


def read_texts(path: Path, sheet: str | int | None = None) -> list[list[str]]:
    """The rows of a table with one header line, cells as texts with decimal points, empty rows left out.

    Raises:
        Unusable: If it is empty or no table.
        MissingDependency: If openpyxl is missing and needed.
    """
    if path.suffix.lower() in SHEET_SUFFIXES:
        page = next(iter(_workbook(path, sheet).values()))
        return [row for row in page.rows if any(row)]
    text, _ = decode(path)
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    by_delimiter = {d: [_split(line, d) for line in lines] for d in _DELIMITERS[:-1]}
    rows = max(by_delimiter.values(), key=lambda r: (len(r[0]) > 1) * Counter(map(len, r)).most_common(1)[0][1])
    plain, german = (sum(_number(cell, d) is not None for row in rows for cell in row) for d in ".,")
    if german <= plain:
        return rows
    return [[cell if (v := _number(cell, ",")) is None else repr(v) for cell in row] for row in rows]


def to_number(text: str) -> float | None:
    """A cell of `read_texts` as a number: NaN for a gap, None for a text."""
    return np.nan if text.strip().lower() in _GAPS else _number(text, ".")


def decode(path: Path) -> tuple[str, str | None]:
    """A file's text, and its encoding where that had to be guessed.

    Raises:
        Unusable: If the file is empty, very large, or no text.
    """
    size = path.stat().st_size
    if size == 0:
        raise Unusable("is empty (0 bytes)")
    if size > MOST_BYTES:
        raise Unusable(f"has {size / 1e6:.0f} MB, more than the {MOST_BYTES / 1e6:.0f} MB a text may have: thin it out")
    content = path.read_bytes()
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
    marks |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((name for mark, name in marks.items() if content.startswith(mark)), None)
    guessed = None
    head = content[:4096]
    if encoding is None and head.count(0) > 0.2 * len(head):  # Latin letters in UTF-16 have every other byte zero
        zeros = [head[k::2].count(0) for k in (0, 1)]
        guessed = encoding = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    for name in (encoding,) if encoding else ("utf-8", None):
        if name is None:  # no Unicode: an old code page
            best = require("charset_normalizer", "text files").from_bytes(content, cp_isolation=_CODE_PAGES).best()
            guessed = name = best.encoding if best is not None else "latin-1"
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if text.count("\0") == 0:
            return text, guessed
    raise Unusable("is no text: it holds zero bytes or broken characters")


#: Code pages of laboratories; without the list a short file may come out in any of a hundred.
_CODE_PAGES = ["cp1252", "cp1250", "cp1251", "mac_roman", "shift_jis", "gb18030"]


def _text_sheet(path: Path) -> _Sheet:
    text, guessed = decode(path)
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        raise Unusable("is empty: it holds blank lines alone")
    delimiter, decimal = _detect(lines)
    rows = [_split(line, delimiter) for line in lines]
    notes = (f"read as {guessed}",) if guessed else ()
    notes += ("decimal commas",) if decimal == "," else ()
    return _Sheet(rows, decimal, notes, lines if delimiter is None else None)


def _detect(lines: list[str]) -> tuple[str | None, str]:
    """Delimiter and decimal sign by which most fields of most lines are numbers."""
    middle = max(0, len(lines) // 2 - 150)
    sample = [line for line in lines[middle : middle + 300] if line.strip()]
    quoted = any('"' in line for line in sample)
    best, best_score = (None, "."), 0.0
    for delimiter in _DELIMITERS:
        rows = [_split(line, delimiter) for line in sample]
        for decimal in ".,":
            if delimiter == decimal and not quoted:
                continue
            score = 0.0
            for row in rows:
                filled = sum(_number(field, decimal) is not None for field in row)
                gaps = sum(field.lower() in _GAPS for field in row)
                score += (filled + gaps) / len(row) if filled and filled + gaps >= 2 else 0.0
            if score > best_score + 1e-9:
                best, best_score = (delimiter, decimal), score
    return best


def _split(line: str, delimiter: str | None) -> list[str]:
    line = _COMMENT.sub("", line)
    if delimiter is None:
        return line.split()
    if '"' in line:
        fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    else:
        fields = line.split(delimiter)
    fields = [field.strip() for field in fields]
    while len(fields) > 1 and not fields[-1]:  # a delimiter at the end of the line
        fields.pop()
    return fields


def _number(text: str, decimal: str) -> float | None:
    """A real number, or None; ``1.234,5`` has thousands in groups."""
    if _THOUSANDS[decimal].fullmatch(text):
        text = text.replace("." if decimal == "," else ",", "")
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    return value if np.isfinite(value) else None


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
        return {name: _Sheet([_cells(row) for row in book[name].iter_rows(values_only=True)], ".") for name in wanted}
    finally:
        book.close()


def _cells(row: tuple) -> list[str]:
    cells = []
    for value in row:
        if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
            cells.append(repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value)))
        else:
            cells.append("" if value is None else str(value).strip())
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _numbers(sheet: _Sheet) -> Numbers | None:
    """The longest run of rows of numbers, with the names and units above it; None if there is none."""

    def parse(row: list[str]) -> list[float] | None:
        values = [_number(field, sheet.decimal) for field in row]
        filled = sum(v is not None for v in values)
        gaps = sum(field.lower() in _GAPS for field in row)
        if filled == 0 or filled + gaps < 2:
            return None
        return [np.nan if v is None else v for v in values]

    parsed = [parse(row) for row in sheet.rows]
    widths = Counter(len(row) for row in parsed if row is not None)
    if not widths:
        return None
    # A row may lack its last cells; the widest shape that many rows have is the table's.
    most = widths.most_common(1)[0][1]
    width = max(w for w, n in widths.items() if n >= 0.5 * most)
    runs, headers = _runs(sheet, parsed, width)
    best = max(range(len(runs)), key=lambda k: len(runs[k]))
    used = runs[best]
    values = np.full((len(used), width), np.nan)
    for k, at in enumerate(used):
        values[k, : len(parsed[at])] = parsed[at][:width]
    names, units = _names_and_units(headers[best], width)
    notes = list(sheet.notes)
    beside = sum(row is not None for row in parsed) - len(used)
    after = sum(1 for at in range(used[0], len(sheet.rows)) if parsed[at] is None and any(sheet.rows[at]))
    if beside:
        notes.append(f"{count(beside, 'row')} of numbers elsewhere in the file left out")
    if after:
        notes.append(f"{count(after, 'row')} of text among or after the numbers left out")
    return Numbers(names, units, values, tuple(notes))


def _runs(sheet: _Sheet, parsed: list, width: int) -> tuple[list[list[int]], list[list[list[str]]]]:
    """Rows of each table in the sheet, and the header lines above each; a new header begins a new table."""
    split = _header_splitter(sheet, width)
    runs: list[list[int]] = [[]]
    headers: list[list[list[str]]] = [[]]
    for at, row in enumerate(sheet.rows):
        if parsed[at] is not None:
            if len(row) <= width:
                runs[-1].append(at)
            continue
        fields = split(at)
        is_header = len(fields) == width and width > 1 and sum(bool(f) for f in fields) > 1
        is_header = is_header and not any(_number(f, sheet.decimal) is not None for f in fields)
        if is_header and not all(f.lower() in _GAPS for f in fields):
            if runs[-1]:
                runs.append([])
                headers.append([])
            headers[-1].append(fields)
    return runs, headers


def _header_splitter(sheet: _Sheet, width: int) -> Callable[[int], list[str]]:
    if sheet.lines is None:
        return lambda at: sheet.rows[at] + [""] * (width - len(sheet.rows[at]) if len(sheet.rows[at]) > 1 else 0)

    def split(at: int) -> list[str]:
        """Names over columns parted by blanks may hold blanks: ``Strain (%)  Stress (MPa)``."""
        line = _COMMENT.sub("", sheet.lines[at]).strip()
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
