"""Excel workbooks: their sheets that can be seen, formulas as the values they had when the file was saved."""

from __future__ import annotations

import math
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from ...data.limits import check_archive, check_limit
from ...data.reading_log import Unusable, count
from ...errors import require
from ...units import find_unit
from ..headers import read_header
from .reader import Columns, TablesReader
from .sheets import Sheet
from .tables import tables_of
from .texts import number


class _Workbook(TablesReader):
    """Excel workbooks."""

    suffixes = (".xlsx", ".xlsm")

    def tables(self, path: Path, sheet: str | int | None = None) -> Iterator[Columns]:
        pages = sheets_of(path, sheet, self.limits)
        if not any(found := [_tables(page) for page in pages]):
            raise Unusable(f"has no sheet with two columns of numbers (its sheets: {', '.join(p.name for p in pages)})")
        for tables in found:
            if any(table.lost for table in tables):
                _refuse_formulas(path, tables)
            for table in tables:
                of = (f"sheet {table.sheet!r} of {len(pages)}",) if len(pages) > 1 else ()
                yield replace(table, notes=(*of, *table.notes))


WORKBOOK = _Workbook()
#: How the user raises the limits of files of curves, and `check_limit` that says so.
OPTION = "curves={{'limits': {}}}"
CHECK = partial(check_limit, error=Unusable, option=OPTION)
#: Cells of a sheet, those that are empty before filled ones included.
_MOST_CELLS = 5_000_000
#: A cell that stands below so many empty rows was not meant.
_FAR = 10_000


def _tables(page: Sheet) -> list[Columns]:
    """The tables of a sheet: cells of numbers have points; numbers that were typed in as texts may have commas."""
    found = list(tables_of(_with_points(page)))
    return found or list(tables_of(replace(page, decimal=",")))


def _with_points(page: Sheet) -> Sheet:
    """The sheet with decimal points in columns that were typed as texts with commas."""
    filled, commas, points = Counter[int](), Counter[int](), set[int]()
    for row in page.rows:
        for k, cell in enumerate(row):
            if cell:
                filled[k] += 1
                if "," in cell and number(cell, ".") is None and number(cell, ",") is not None:
                    commas[k] += 1
                elif "." in cell and number(cell, ".") is not None:
                    points.add(k)
    typed = {k for k, n in commas.items() if n >= 3 and n > 0.5 * filled[k] and k not in points}
    if not typed:
        return page
    rows = [
        [repr(value) if k in typed and (value := number(cell, ",")) is not None else cell for k, cell in enumerate(row)]
        for row in page.rows
    ]
    note = f"{count(len(typed), 'column')} typed as text with decimal commas"
    return replace(page, rows=rows, notes=(*page.notes, note))


def _refuse_formulas(path: Path, tables: list[Columns]) -> None:
    """Refuse a sheet with columns of formulas that no program has calculated.

    Raises:
        Unusable: Naming them.
    """
    openpyxl = require("openpyxl", "Excel files")
    book = openpyxl.load_workbook(path, read_only=True)
    try:
        for table in tables:
            if not table.lost:
                continue
            page = book[table.sheet]
            formulas = [
                table.names[k]
                for k in table.lost
                if any(
                    isinstance(cell, str) and cell.startswith("=")
                    for (cell,) in page.iter_rows(min_col=k + 1, max_col=k + 1, max_row=200, values_only=True)
                )
            ]
            if formulas:
                shown = ", ".join(map(repr, formulas))
                raise Unusable(
                    f"holds formulas in {shown} that no program has calculated: open it in Excel, and save it again"
                )
    finally:
        book.close()


def sheets_of(path: Path, sheet: str | int | None, limits: float = 1.0) -> list[Sheet]:
    """The sheets of a workbook that can be seen, or the one wanted; formulas as the values they had when it was saved.

    Args:
        path: The file.
        sheet: Name or number of the one wanted, None for all.
        limits: Factor on what the workbook may hold.

    Raises:
        Unusable: If it is no workbook, has no such sheet, or holds more than is read.
    """
    openpyxl = require("openpyxl", "Excel files")
    if path.stat().st_size == 0:
        raise Unusable("is empty (0 bytes)")
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path.stat().st_size, partial(CHECK, limits=limits))
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (Unusable, MemoryError):
        raise
    except Exception as error:  # zipfile, XML and openpyxl errors of a damaged file have no common base
        raise Unusable(f"is no readable Excel workbook ({type(error).__name__}): save it again as .xlsx") from error
    try:
        names = [page.title for page in book.worksheets]
        if not names:
            raise Unusable("has no sheet that can be read: save it again as .xlsx")
        if sheet is not None and sheet not in (range(len(names)) if isinstance(sheet, int) else names):
            raise Unusable(f"has no sheet {sheet!r} (its sheets: {', '.join(names)})")
        wanted = names if sheet is None else [names[sheet] if isinstance(sheet, int) else sheet]
        hidden = [n for n in wanted if sheet is None and getattr(book[n], "sheet_state", "visible") != "visible"]
        seen = [n for n in wanted if n not in hidden] or wanted
        notes = tuple(f"hidden sheet {n!r} left out" for n in hidden if n not in seen)
        try:
            return [Sheet(_cells_of(book[name], limits), ".", notes, name=name) for name in seen]
        except (Unusable, MemoryError, OSError):
            raise
        except Exception as error:  # openpyxl reads a sheet only now
            raise Unusable(f"is a damaged Excel workbook ({type(error).__name__}): save it again as .xlsx") from error
    finally:
        book.close()


class _Page(Protocol):
    """A sheet as openpyxl reads it."""

    def iter_rows(self, *, values_only: bool = False) -> Iterable[tuple]:
        """Its rows, as cells or as their values."""
        ...

    def reset_dimensions(self) -> None:
        """Forget what the sheet says of its size: a row then ends with its last cell, and the rows with the last."""
        ...


def _cells_of(page: _Page, limits: float) -> list[list[str]]:
    """The rows of a sheet; formulas as the values they had when it was saved, empty cells at the end left out.

    A cell formatted as a percentage holds 0.05 and shows 5 %. Under a header that says ``[%]`` the 5 is meant: with the
    0.05 the number would be divided by a hundred twice.
    """
    page.reset_dimensions()
    rows: list[list[str]] = []
    empty = cells = 0
    for at, row in enumerate(page.iter_rows(values_only=True), 1):
        texts = _cell_texts(row)
        if not texts:
            empty += 1
            continue
        if empty > _FAR * limits and rows:
            raise Unusable(
                f"has something in row {at}, below {empty:,} empty rows: delete it if it was not meant, or raise the "
                f"limits, {OPTION.format(math.ceil(empty / _FAR))}"
            )
        rows += [[] for _ in range(empty)]
        rows.append(texts)
        cells, empty = cells + len(texts), 0
        CHECK(cells, _MOST_CELLS, "cells", limits=limits)
    columns = {k for row in rows for k, text in enumerate(row) if _says_percent(text)}
    if not columns:
        return rows
    for texts, cells_here in zip(rows, page.iter_rows(), strict=False):  # rows without texts at the end are left out
        for k in columns & set(range(len(texts))):
            value = cells_here[k].value
            if isinstance(value, int | float) and "%" in str(cells_here[k].number_format):
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
