"""Files of named arrays: HDF5, NetCDF, and MATLAB's .mat, of which version 7.3 is HDF5 too.

Arrays of numbers of one length in a group are a table, their names its heading; attributes and single numbers are what
the file states beside it. Nothing a file holds is executed: objects of MATLAB and references are left out.
"""

from __future__ import annotations

import re
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...data.limits import MOST_INFLATED, MOST_MEMBERS, check_inflation
from ...data.reading_log import Unusable, count
from ...data.storage import netcdf_bytes
from ...errors import require
from .arrays import MOST_NUMBERS
from .reader import Columns, TablesReader
from .workbooks import CHECK

#: Fewest points of a table.
_FEWEST = 3
#: Bytes that a number takes: as float64 in its array, and in the table.
_EACH = 16
#: Most columns of an array of two dims.
_WIDEST = 1000
#: Kind of a compressed element of a MATLAB file, and bytes that are inflated at a time.
_COMPRESSED, _PIECE = 15, 2**20
#: How deep groups are followed.
_DEEPEST = 8
#: The library of HDF5 must be in one thread at a time.
_ALONE = threading.RLock()
_UNITS = ("units", "unit", "Units", "Unit", "UNITS", "Unit_string", "einheit")


@dataclass
class _ArrayGroup:
    """A group of a file: its arrays by name, their units, and what is stated of it."""

    path: str
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    stated: dict[str, tuple[float, str]] = field(default_factory=dict)
    grids: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


class _NamedArrays(TablesReader):
    """HDF5, NetCDF and MATLAB files; those of this toolkit, with a dim of specimens, are no measurements."""

    suffixes = (".h5", ".hdf5", ".hdf", ".he5", ".nc", ".nc4", ".mat")

    def recognises(self, path: Path) -> bool:
        """Whether it is no dataset of specimens."""
        if path.suffix.lower() == ".mat":
            return True
        netcdf = require("netCDF4", "HDF5 and NetCDF files")
        try:
            with _ALONE, netcdf.Dataset(path) as file:
                return "specimen" not in file.dimensions and "cluster" not in file.dimensions
        except (OSError, RuntimeError):  # damaged, or another program's: told when it is read
            return True

    def tables(self, path: Path, sheet: str | int | None = None) -> Iterator[Columns]:
        """Every table of a file; ``sheet`` is the name or number of a group."""
        groups = list(_groups_of(path, self.limits))
        tables = [table for group in groups for table in _tables(group)]
        if sheet is not None:
            names = list(dict.fromkeys(table.title for table in tables))
            wanted = names[sheet] if isinstance(sheet, int) and 0 <= sheet < len(names) else str(sheet)
            tables = [table for table in tables if table.title == wanted]
        if not tables:
            shown = ", ".join(f"{g.path or '/'}{n} {g.arrays[n].shape}" for g in groups for n in [*g.arrays][:4])
            within = f" in the group {sheet!r}" if sheet is not None else ""
            raise Unusable(f"has no two arrays of numbers of one length side by side{within} ({shown or 'no arrays'})")
        yield from tables


NAMED_ARRAYS = _NamedArrays()


def _groups_of(path: Path, limits: float) -> Iterator[_ArrayGroup]:
    """All groups of a file.

    Raises:
        Unusable: If it is none of these formats, damaged, or beyond the limits.
    """
    with path.open("rb") as file:
        head = file.read(520)
    if not head:
        raise Unusable("is empty (0 bytes)")
    if path.suffix.lower() == ".mat" and b"\x89HDF" not in head[510:520] and not head.startswith(b"\x89HDF"):
        yield from _matlab_groups(path, limits)
        return
    netcdf = require("netCDF4", "HDF5 and NetCDF files")
    try:
        with _ALONE, netcdf.Dataset(path) as file:
            _check_announced(file, path, limits)
            found = list(_netcdf_groups(file, "", 0, {}, limits))
    except Unusable:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise Unusable(f"is no HDF5 or NetCDF file or is damaged ({str(error).replace(str(path), 'it')})") from error
    yield from found


def _variables(node: Any, depth: int = 0) -> Iterator[Any]:
    """The variables of a group and of those below it."""
    yield from node.variables.values()
    for child in node.groups.values() if depth < _DEEPEST else ():
        yield from _variables(child, depth + 1)


def _is_read(variable: Any, limits: float) -> bool:
    """Whether a variable may be a column, a table or a single number, and is no very large one."""
    lengths = [size for size in variable.shape if size != 1]
    text = variable.dtype is str
    return len(lengths) <= (0 if text else 2) and netcdf_bytes(variable, 1) <= MOST_NUMBERS * limits


def _check_announced(file: Any, path: Path, limits: float) -> None:
    """Refuse a file whose arrays take far more memory than it has bytes; very large ones are left out anyway."""
    variables = list(_variables(file))
    check = partial(CHECK, limits=limits)
    check(len(variables), MOST_MEMBERS, "arrays")
    announced = sum(netcdf_bytes(v, _EACH) for v in variables if _is_read(v, limits))
    check_inflation(announced, path.stat().st_size, check)


def _netcdf_groups(
    node: Any, path: str, depth: int, above: Mapping[str, tuple[float, str]], limits: float
) -> Iterator[_ArrayGroup]:
    """A group and those below it, which state what it states."""
    group = _ArrayGroup(path, stated=dict(above))
    for name in node.ncattrs():
        _state(group, name, node.getncattr(name), "")
    for name, variable in node.variables.items():
        unit = next((_text(variable.getncattr(key)) for key in _UNITS if key in variable.ncattrs()), "")
        unit = re.sub(r"\s+since\s.*", "", unit)
        if not _is_read(variable, limits):
            group.left += [name] if variable.size > MOST_NUMBERS else []
            continue
        values = variable[...]
        values = np.ma.filled(values.astype(float), np.nan) if _is_masked(values) else np.asarray(values)
        if values.dtype.names is not None:
            _add_records(group, name, values)
        else:
            _add(group, name, values, unit)
        if len(variable.dimensions) == 2:
            group.grids[name] = variable.dimensions[1]
    yield group
    for name, child in node.groups.items():
        if not name.startswith("#") and depth < _DEEPEST:
            yield from _netcdf_groups(child, f"{path}{name}/", depth + 1, group.stated, limits)


def _is_masked(values: object) -> bool:
    return isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "iuf"


def _add_records(group: _ArrayGroup, name: str, records: np.ndarray) -> None:
    """A table that is stored row by row: its fields are columns."""
    for part in records.dtype.names or ():
        _add(group, str(part), np.asarray(records[part]), "")
    group.stated.pop(name, None)


def _matlab_bytes(path: Path, most: float) -> int:
    """Bytes of a MATLAB file before version 7.3 when inflated; counted up to ``most``."""
    out = 128
    with path.open("rb") as file:
        head = file.read(out)
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        while order is not None and out <= most and len(tag := file.read(8)) == 8:
            kind, length = struct.unpack(f"{order}II", tag)
            out += 8 if kind == _COMPRESSED else 8 + length
            end = file.tell() + length
            inflating = zlib.decompressobj()
            while kind == _COMPRESSED and out <= most and (piece := file.read(min(_PIECE, end - file.tell()))):
                while piece and out <= most:
                    out += len(inflating.decompress(piece, _PIECE))
                    piece = inflating.unconsumed_tail
            file.seek(end)
    return out


def _matlab_groups(path: Path, limits: float) -> Iterator[_ArrayGroup]:
    """Groups of a MATLAB file before version 7.3: its variables, and each struct."""
    scipy = require("scipy.io", "MATLAB files")
    size = path.stat().st_size
    try:
        inflated = _matlab_bytes(path, MOST_INFLATED * limits + 1)
    except zlib.error:
        inflated = size  # told when it is read
    check = partial(CHECK, limits=limits)
    check(inflated, MOST_INFLATED, "bytes when inflated")
    check_inflation(inflated, size, check)
    try:
        found = scipy.loadmat(path, squeeze_me=True, struct_as_record=False)
    except Exception as error:  # scipy's errors for damaged files have no common base
        raise Unusable(f"is no MATLAB file or is damaged ({type(error).__name__}: {error})") from error
    check_inflation(_EACH * _numbers_in(found), size, check)
    yield from _structs({k: v for k, v in found.items() if not k.startswith("__")}, "", 0, {})


def _numbers_in(value: object, depth: int = 0) -> int:
    """Numbers in the arrays of a file, its structs and cells."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.size
    names = getattr(value, "_fieldnames", None)
    inner = [getattr(value, name) for name in names] if names else value.values() if isinstance(value, dict) else ()
    inner = value.ravel() if isinstance(value, np.ndarray) else inner
    return sum(_numbers_in(one, depth + 1) for one in inner) if depth <= 2 * _DEEPEST else 0


def _structs(
    values: Mapping[str, object], path: str, depth: int, above: Mapping[str, tuple[float, str]]
) -> Iterator[_ArrayGroup]:
    group, below = _ArrayGroup(path, stated=dict(above)), []
    for name, value in values.items():
        fields = getattr(value, "_fieldnames", None)
        if fields is not None:
            below.append((name, {part: getattr(value, part) for part in fields}))
        elif isinstance(value, np.ndarray) and value.dtype == object:
            for k, item in enumerate(value.ravel()):
                inner = getattr(item, "_fieldnames", None)
                if inner is not None:
                    below.append((f"{name}({k + 1})", {part: getattr(item, part) for part in inner}))
        elif isinstance(value, np.ndarray):
            _add(group, name, value, "")
        else:
            _state(group, name, value, "")
    yield group
    for name, inner in below if depth < _DEEPEST else []:
        yield from _structs(inner, f"{path}{name}/", depth + 1, group.stated)


def _add(group: _ArrayGroup, name: str, values: np.ndarray, unit: str) -> None:
    """An array of numbers, without dims of one; a single number, or a text, is stated."""
    values = np.squeeze(values)
    if values.dtype.kind in "iuf" and values.ndim in (1, 2) and max(values.shape) >= _FEWEST:
        group.arrays[name] = values.astype(np.float64)
        group.units |= {name: unit} if unit else {}
    elif values.ndim == 0:
        _state(group, name, values.item(), unit)


def _state(group: _ArrayGroup, name: str, value: object, unit: str) -> None:
    """A number with a name, or a text such as ``6.0 mm``."""
    if isinstance(value, np.ndarray | np.generic) and np.size(value) == 1:
        value = np.asarray(value).item()
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        group.stated[name] = float(value), unit
    elif isinstance(value, str | bytes):
        found = re.fullmatch(r"\s*([+-]?\d[\d.]{0,20}(?:[eE][+-]?\d+)?)\s*([^\s\d]\S{0,12})\s*", _text(value)[:60])
        if found is not None and found[1].count(".") < 2:
            group.stated[name] = float(found[1]), found[2]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _tables(group: _ArrayGroup) -> Iterator[Columns]:
    """Tables of a group: its arrays of one length; arrays of two dims, over the array along their second one."""
    lengths: dict[int, list[str]] = {}
    for name, values in group.arrays.items():
        if values.ndim == 1:
            lengths.setdefault(values.size, []).append(name)
    for names in lengths.values():
        wide = [] if len(names) > 1 else [n for n in group.arrays if _is_along(group, n, names[0])]
        if len(names) > 1:
            yield _columns(group, names, [group.arrays[n] for n in names], [group.units.get(n) for n in names])
        for name in wide:
            rows = group.arrays[name]
            titles = [names[0], *(f"{name} {k + 1}" for k in range(len(rows)))]
            units = [group.units.get(names[0]), *[group.units.get(name)] * len(rows)]
            yield _columns(group, titles, [group.arrays[names[0]], *rows], units)
    along = {n for names in lengths.values() if len(names) == 1 for n in group.arrays if _is_along(group, n, names[0])}
    for name, values in group.arrays.items():
        if values.ndim == 2 and name not in along:
            values = values if values.shape[0] >= values.shape[1] else values.T
            if values.shape[1] <= _WIDEST:
                yield _columns(group, [""] * values.shape[1], list(values.T), [None] * values.shape[1], name)


def _is_along(group: _ArrayGroup, name: str, axis: str) -> bool:
    values = group.arrays[name]
    return values.ndim == 2 and group.grids.get(name) == axis and len(values) < _WIDEST


def _columns(
    group: _ArrayGroup, names: list[str], columns: list[np.ndarray], units: list[str | None], title: str = ""
) -> Columns:
    called = f"{group.path}{title}".strip("/")
    left = (
        (f"{count(len(group.left), 'very large array')} left out: {', '.join(group.left[:3])}",) if group.left else ()
    )
    return Columns(
        tuple(names),
        tuple(units),
        np.column_stack(columns),
        left,
        title=called,
        place=f"group {called!r}" if called else "arrays at the top",
        stated=group.stated,
    )
