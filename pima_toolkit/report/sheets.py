"""Tables in CSV and Excel files, with one header line with units, and nothing that a spreadsheet would execute.

A table is columns by name. Units stand in the header, ``stress [MPa]``; a unit of 1 is left out. In CSV a number has
all its digits, a missing one is empty, and text that a spreadsheet would take for a formula gets an apostrophe in
front; a file with letters beyond ASCII begins with the mark by which Excel knows UTF-8.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..data.files import replacing
from ..errors import encodable, require

#: A table: its columns by header, all of one length.
Columns = dict[str, NDArray]
#: Tables by name.
Tables = dict[str, Columns]

#: A modality of at most this many values is a row of a table; larger ones, such as pictures, stay in NetCDF.
WIDEST = 64
#: Rows of an Excel sheet below its header.
_ROWS = 2**20 - 1
#: Beginning of a text that a spreadsheet reads as a formula; Unicode has each sign in two widths.
_FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
#: Signs that an Excel cell cannot hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def header(name: str, unit: object) -> str:
    """Write a column's header, ``stress [MPa]``, or the name alone where the unit is 1 or unknown."""
    return name if unit in (None, "", "1") else f"{name} [{unit}]"


def tables_of(dataset: xr.Dataset, name: str, rows: str = "specimen") -> Tables:
    """Lay out a dataset as tables: one with a row for each specimen, and one long table for each curve.

    Args:
        dataset: An answer, generated specimens, or populations.
        name: Name of the table with one row each; a curve's is called ``<name>_<curve>``.
        rows: The dim that makes rows, ``"specimen"``, ``"cluster"`` or ``"epoch"``.

    Returns:
        The tables by name. A variable with more than 64 values a row that is no curve (a picture) is left out.
    """
    wide: Columns = {rows: dataset[rows].values}
    curves: dict[str, list[str]] = {}
    along = [(str(k), v) for k, v in dataset.coords.items() if k != rows and v.dims == (rows,)]
    for key, variable in [*along, *((str(k), v) for k, v in dataset.data_vars.items() if rows in v.dims)]:
        values = variable.transpose(rows, ...)
        unit = variable.attrs.get("units")
        if values.ndim == 1:
            wide[header(key, unit)] = values.values
        elif values.ndim == 2 and _independents(values):
            curve = re.sub(r"_(low|high|second)$", "", key)
            curves.setdefault(curve if curve in dataset else key, []).append(key)
        elif values[0].size <= WIDEST:
            flat = values.values.reshape(len(values), -1)
            # Parameters have a unit each.
            own = values["unit"] if "unit" in values.coords and "units" not in values.attrs else None
            units = [unit] * flat.shape[1] if own is None or own.dims != values.dims[1:] else own.values.tolist()
            for k, label in enumerate(_labels(values[0])):
                wide[header(f"{key} {label}", units[k])] = flat[:, k]
    return {name: wide} | {f"{name}_{curve}": _long(dataset, keys, rows) for curve, keys in curves.items()}


def _independents(values: xr.DataArray) -> list[xr.DataArray]:
    """Return the coordinates of numbers along the second dim, of which the first makes a curve; none for no curve."""
    dim = values.dims[1]
    return [c for c in values.coords.values() if c.dims == (dim,) and c.dtype.kind == "f"]


def _labels(values: xr.DataArray) -> Iterator[str]:
    """Yield a name for each of a few values: the coordinates' labels, or their numbers."""
    names = [[str(v) for v in values.get_index(d)] for d in values.dims]
    for index in np.ndindex(values.shape):
        yield " ".join(names[axis][k] for axis, k in enumerate(index))


def _long(dataset: xr.Dataset, keys: list[str], rows: str) -> Columns:
    """Lay out a curve with all that is told beside it, a row for each point of each specimen."""
    first = dataset[keys[0]].transpose(rows, ...)
    t = _independents(first)[0]
    count, points = first.shape
    out: Columns = {
        rows: np.repeat(dataset[rows].values, points),
        header(str(t.name), t.attrs.get("units")): np.tile(t.values, count),
    }
    for key in keys:
        out[header(key, dataset[key].attrs.get("units"))] = dataset[key].transpose(rows, ...).values.reshape(-1)
    return out


def write_csv(path: Path, columns: Columns) -> Path:
    """Write one table, whole or not at all.

    Raises:
        StorageError: If it cannot be written.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([_csv_text(name) for name in columns])
    writer.writerows(zip(*([_csv_cell(v) for v in values.tolist()] for values in columns.values()), strict=True))
    text = encodable(buffer.getvalue())
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8" if text.isascii() else "utf-8-sig"))
    return path


def _csv_cell(value: object) -> str:
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return "" if value != value else repr(value)
    return str(value) if isinstance(value, int) else _csv_text(str(value))


def _csv_text(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def write_excel(path: Path, tables: Mapping[str, Columns]) -> Path:
    """Write a workbook with one sheet a table, whole or not at all; a table too long for a sheet goes on in the next.

    Raises:
        StorageError: If it cannot be written.
        MissingDependency: If openpyxl is missing.
    """
    openpyxl = require("openpyxl", "Excel files")
    require("openpyxl.cell", "Excel files")
    with replacing(path) as temporary:  # first: a sheet that was begun and not saved complains
        book = openpyxl.Workbook(write_only=True)
        for name, columns in tables.items():
            values = [column.tolist() for column in columns.values()]
            for start in range(0, max(len(values[0]), 1), _ROWS):
                sheet = book.create_sheet(
                    _sheet_name(name if start == 0 else f"{name}_{start // _ROWS + 1}", book.sheetnames)
                )
                sheet.freeze_panes = "B2"
                sheet.append([_excel_cell(openpyxl, sheet, str(key), bold=True) for key in columns])
                for row in zip(*(column[start : start + _ROWS] for column in values), strict=True):
                    sheet.append([_excel_cell(openpyxl, sheet, value) for value in row])
        book.save(temporary)
    return path


def _sheet_name(name: str, taken: list[str]) -> str:
    """Shorten a name to what Excel allows: 31 letters, none of its own signs, no name twice."""
    short = re.sub(r"[\[\]:*?/\\']", "_", name)[:31]
    for k in range(2, len(taken) + 2):
        if short.lower() not in {t.lower() for t in taken}:
            break
        short = f"{short[:28]}_{k}"
    return short


def _excel_cell(openpyxl: Any, sheet: Any, value: object, bold: bool = False) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else None if value != value else str(value)
    # Typed as text: a label that begins with = stays a label.
    cell = openpyxl.cell.WriteOnlyCell(sheet, _CONTROL.sub("", encodable(str(value))))
    cell.data_type = "s"
    if bold:
        cell.font = openpyxl.styles.Font(bold=True)
    return cell
