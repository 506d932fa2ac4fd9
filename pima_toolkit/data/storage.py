"""A dataset on disk: NetCDF (one file) or Zarr (a folder), written whole or not at all; reading executes nothing.

What is read back equals what was written: numbers, texts, booleans, missing values, units and notes.
"""

from __future__ import annotations

import json
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import DataError, FileFormatError, OptionError, encodable, require
from ..signatures import tells_misfits
from .files import path_of, refused, replacing, safe_name
from .limits import check_factor, check_inflation, check_limit
from .names import closest

#: Suffix -> the library that reads and writes it.
_ENGINES = {".nc": "netCDF4", ".zarr": "zarr"}
#: Variables of fewer values than this are not worth compressing.
_COMPRESSED = 1024
#: Variables of more bytes than this stay on disk where that is asked for.
LAZY_BYTES = 64 * 2**20
#: Variables of fewer bytes than this may be read whatever they take on disk; of more, so many for each byte there.
_UNASKED, _MOST_INFLATION = 64 * 2**20, 200.0
_OPTION = "pima.open_data(path, limits={})"
#: Attribute with the names that variables had, where a file could not hold them.
_NAMES = "pima_names"
#: Bytes of one file of a Zarr folder's notes.
_MOST_JSON = 16 * 2**20
#: Bytes of a chunk of Zarr: consecutive specimens are read without their neighbours.
_CHUNK_BYTES = 2**20


@tells_misfits
def save_data(data: xr.Dataset, path: str | os.PathLike[str]) -> Path:
    """Write a dataset to a file ``.nc`` or a folder ``.zarr``, whole or not at all; an earlier one is replaced.

    Args:
        data: Any dataset; attributes that no file can hold (None, lists of mixed things) are kept as their text.
        path: Where to; the suffix says how. Missing folders are made.

    Returns:
        The path.

    Raises:
        OptionError: If the suffix is another, or the path is a folder that holds something else.
        DataError: If a variable holds what no file can, such as Python objects.
        StorageError: If it could not be written: no space, no permission.
        MissingDependency: If netCDF4 or zarr is missing.
    """
    path = path_of(path)
    engine = _engine(path)
    if not isinstance(data, xr.Dataset):
        raise DataError(
            f"data is {type(data).__name__}, expected an xarray.Dataset: name it, data.to_dataset(name=...)"
        )
    if path.is_dir() and (strange := _not_ours(path, engine)):
        raise OptionError(f"{path} is a folder that holds other things ({strange}): give another name")
    storable = _with_safe_names(_storable(data), engine)
    require(engine, f"files {path.suffix}")
    try:
        with replacing(path, folder=engine == "zarr") as temporary:
            if engine == "zarr":
                chunks = {
                    str(n): {"chunks": _chunks(v)} for n, v in storable.data_vars.items() if v.nbytes > _CHUNK_BYTES
                }
                storable.to_zarr(temporary, mode="w", zarr_format=2, consolidated=False, encoding=chunks)
            else:
                packed = {"zlib": True, "complevel": 1, "shuffle": True}
                encoding = {
                    name: packed
                    for name, v in storable.variables.items()
                    if v.size >= _COMPRESSED and v.dtype.kind in "biuf"
                }
                storable.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
    except RuntimeError as error:  # what HDF5 makes of a full disk
        with refused(path):
            raise OSError(str(error)) from None
    except (ValueError, TypeError, AttributeError) as error:  # a name with a slash, attributes that netCDF keeps
        raise DataError(
            f"{path.suffix} files cannot hold this dataset ({error}): rename or drop what it names"
        ) from error
    return path


@tells_misfits
def open_data(path: str | os.PathLike[str], *, lazy: bool = False, limits: float = 1.0) -> xr.Dataset:
    """Read a dataset from a file ``.nc`` or a folder ``.zarr``, whole, into memory.

    Args:
        path: The file or folder.
        lazy: Of a ``.zarr``, leave variables of more than 64 MiB on disk, to be read a block of specimens at a time
            by ``PIMA.fit`` and ``Fit.infer``.
        limits: Factor on how much more the variables may take than the file does, for files that you trust: one of a
            few kB can announce terabytes.

    Returns:
        The dataset, variables of a ``.zarr`` in the order of their names; texts as numpy's, times in seconds or days
        as the numbers they were.

    Raises:
        FileFormatError: If it is not there, is damaged, announces far more than it holds, leads elsewhere by a link, or
            would have to be unpickled.
        OptionError: If the suffix is another, or ``lazy`` is asked of a ``.nc``.
        MissingDependency: If netCDF4 or zarr is missing.
    """
    path = path_of(path)
    check_factor(limits)
    engine = _engine(path)
    if lazy and engine != "zarr":
        raise OptionError(
            f"{path.name} is read whole: lazy=True needs a folder .zarr, pima.save_data(data, 'data.zarr')"
        )
    if not path.exists():
        near = closest(path.name, (p.name for p in path.parent.glob(f"*{path.suffix}")))
        raise FileFormatError(f"{path} does not exist; of such names in {path.parent} {near}")
    if engine == "zarr":
        if not _is_zarr(path):
            raise FileFormatError(f"{path} is no Zarr folder, expected one written by pima.save_data")
        _check_zarr(path)
    require(engine, f"files {path.suffix}")
    options: dict[str, Any] = {"engine": "zarr", "consolidated": False} if engine == "zarr" else {"engine": "netcdf4"}
    try:
        _check_announced(path, _zarr_sizes(path, lazy) if engine == "zarr" else _netcdf_sizes(path), limits)
        if lazy:
            data = xr.open_dataset(path, decode_timedelta=False, cache=False, **options)
            small = {n: v.load() for n, v in data.variables.items() if v.nbytes <= LAZY_BYTES or v.dtype.kind in "OT"}
            data = data.assign({n: v for n, v in small.items() if n in data.data_vars})
            data = data.assign_coords({n: v for n, v in small.items() if n in data.coords and n not in data.indexes})
        else:
            data = xr.load_dataset(path, decode_timedelta=False, **options)
    except FileFormatError:
        raise
    except Exception as error:  # what HDF5, zlib and zarr raise on damaged bytes has no common base
        raise FileFormatError(
            f"{path} cannot be read ({type(error).__name__}: {error}): it is damaged or no {path.suffix[1:]} file"
        ) from error
    data = _with_own_names(data, path)
    if engine == "zarr":
        # A folder is listed in the order in which its answers arrive; a model takes its modalities, and their random
        # numbers, in the order of the data.
        named = {name: data.variables[name] for name in sorted(data.data_vars, key=str)}
        data = data.drop_vars(named).assign(named)
    texts = {str(n): _text(v) for n, v in data.variables.items() if v.dtype.kind in "OT"}
    chunks = {n: v.encoding["preferred_chunks"] for n, v in data.variables.items() if lazy and v.nbytes > LAZY_BYTES}
    data = data.assign({n: v for n, v in texts.items() if n in data.data_vars})
    data = data.assign_coords({n: v for n, v in texts.items() if n in data.coords})
    for name, variable in data.variables.items():
        # Not by drop_encoding, with which xarray of 2025 reads the values. Blocks of specimens hold whole chunks.
        variable.encoding = {"preferred_chunks": chunks[name]} if name in chunks else {}
    return data


def _engine(path: Path) -> str:
    engine = _ENGINES.get(path.suffix.lower())
    if engine is None:
        raise OptionError(
            f"{path.name!r} ends neither in .nc (NetCDF, one file) nor in .zarr (a folder): name it data.nc, say"
        )
    if engine == "netCDF4" and encodable(str(path)) != str(path):
        raise OptionError(f"{path} has a name that is no UTF-8, which NetCDF cannot open: rename what is above it")
    return engine


def _chunks(variable: xr.DataArray) -> tuple[int, ...]:
    """Whole specimens, as many as make about a megabyte."""
    if "specimen" not in variable.dims:
        return variable.shape
    rows = max(1, int(_CHUNK_BYTES * variable.sizes["specimen"] / variable.nbytes))
    return tuple(rows if dim == "specimen" else size for dim, size in variable.sizes.items())


def _not_ours(path: Path, engine: str) -> str:
    """What a folder holds that is no Zarr, which would go if it were replaced; empty where there is nothing."""
    if engine != "zarr":
        return "a file is expected"
    marks = (".zgroup", ".zarray", ".zattrs", ".zmetadata", "zarr.json")
    if not _is_zarr(path):
        return "no Zarr"
    inner = [p for p in path.iterdir() if p.name not in marks]
    strange = [p.name for p in inner if p.is_symlink() or not any((p / name).is_file() for name in marks)]
    return ", ".join(sorted(strange)[:3])


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def _netcdf_sizes(path: Path) -> int:
    """Bytes of all variables of a NetCDF file, from its head."""
    with require("netCDF4", "files .nc").Dataset(path) as file:
        return sum(netcdf_bytes(variable) for variable in file.variables.values())


def netcdf_bytes(variable: Any, each: int | None = None) -> int:
    """Bytes that a variable of a NetCDF file takes when it is read: a chunk is decoded whole, even a larger one.

    Args:
        variable: A ``netCDF4.Variable``.
        each: Bytes of one of its numbers; those of its type by default.
    """
    if each is None:
        each = 8 if variable.dtype is str else np.dtype(variable.dtype).itemsize
    chunk = variable.chunking()
    return each * max(int(variable.size), math.prod(chunk) if isinstance(chunk, list | tuple) else 0)


def _zarr_sizes(path: Path, lazy: bool) -> int:
    """Bytes of all variables of a Zarr folder that are to be read at once, from their notes, chunks as above."""
    out = 0
    for name in (".zarray", "zarr.json"):
        for file in path.rglob(name):
            told = json.loads(file.read_text(encoding="utf-8"))
            if name == "zarr.json" and told.get("node_type") != "array":
                continue
            chunks = told["chunks"] if "chunks" in told else told["chunk_grid"]["configuration"]["chunk_shape"]
            kind = told["dtype"] if "dtype" in told else told["data_type"]
            try:
                each = np.dtype(kind).itemsize or 8
            except TypeError:  # texts of any length, or a type of zarr's own
                each = 8
            whole, part = (each * math.prod(map(int, sizes)) for sizes in (told["shape"], chunks))
            out += part if lazy and whole > LAZY_BYTES else max(whole, part)
    return out


def _check_announced(path: Path, announced: int, limits: float) -> None:
    """Refuse a file whose variables would take far more memory than what it holds says, before one is read.

    Args:
        path: The file or folder.
        announced: Bytes of its variables.
        limits: The user's factor.

    Raises:
        FileFormatError: If numbers that were never written, or inflate by more than any measurement does, would fill
            the memory.
    """
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    check = partial(check_limit, error=FileFormatError, limits=limits, option=_OPTION, file=str(path))
    check_inflation(announced, sum(p.stat().st_size for p in files), check, unasked=_UNASKED, most=_MOST_INFLATION)


def _check_zarr(path: Path) -> None:
    """Refuse a Zarr folder with links, or that names pickle as a codec: reading it would execute what it holds."""
    for where, folders, names in os.walk(path):
        for name in (*folders, *names):
            if (Path(where) / name).is_symlink():
                raise FileFormatError(
                    f"{path} holds a link ({(Path(where) / name).relative_to(path)}), which may lead to anything: put "
                    "what it leads to in its place"
                )

    def named(node: object) -> bool:
        if isinstance(node, dict):
            own = (str(node.get(key, "")) for key in ("id", "name"))
            return any(name.rpartition(".")[2] == "pickle" for name in own) or any(map(named, node.values()))
        return isinstance(node, list) and any(map(named, node))

    for name in (".zarray", ".zmetadata", "zarr.json"):
        for file in path.rglob(name):
            try:
                if file.stat().st_size > _MOST_JSON:
                    raise ValueError(f"{file.stat().st_size:,} bytes")
                found = named(json.loads(file.read_text(encoding="utf-8")))
            except (ValueError, RecursionError) as error:
                raise FileFormatError(f"{path} is damaged: {file.relative_to(path)} is no JSON ({error})") from error
            if found:
                raise FileFormatError(
                    f"{path} holds pickled objects ({file.relative_to(path)}), which would be executed on reading: "
                    "save it again as plain numbers and texts"
                )


def _storable(data: xr.Dataset) -> xr.Dataset:
    """The dataset as files can hold it: texts as str, attributes as texts and numbers, no earlier encoding."""
    several = [n for n, index in data.indexes.items() if index.nlevels > 1]
    if several:
        raise DataError(f"coordinate {several[0]!r} is a multi-index, which no file holds: data.reset_index(...)")
    out = data.copy().drop_encoding()
    for name, variable in data.variables.items():
        if variable.dtype.kind in "OT":
            strange = {type(v).__name__ for v in variable.values.ravel() if not (isinstance(v, str) or _is_gap(v))}
            if strange:
                raise DataError(
                    f"{name!r} holds objects ({', '.join(sorted(strange))}), which no file holds: make them numbers or "
                    "texts"
                )
            text = _text(variable)
            out = out.assign_coords({name: text}) if name in data.coords else out.assign({name: text})
    out.attrs = _attributes(data.attrs)
    for name, variable in out.variables.items():
        variable.attrs = _attributes(data[name].attrs)
    return out


def _with_safe_names(data: xr.Dataset, engine: str) -> xr.Dataset:
    """A dataset whose names are those of files: ``a/b`` would be a folder; the names they had go with it."""
    taken: set[str] | None = set() if engine == "zarr" else None  # a folder may not tell capitals
    names = dict.fromkeys([*map(str, data.dims), *map(str, data.variables)])
    stored = {name: safe_name(name, taken) for name in names}
    changed = {name: other for name, other in stored.items() if name != other}
    data = data.copy()
    data.attrs.pop(_NAMES, None)  # of what these names are no longer
    if not changed:
        return data
    told = json.dumps({other: name for name, other in changed.items()})
    return data.rename(changed).assign_attrs({_NAMES: told})


def _with_own_names(data: xr.Dataset, path: Path) -> xr.Dataset:
    """A dataset with the names that it had before it was written.

    Raises:
        FileFormatError: If what the file says of them is damaged.
    """
    if _NAMES not in data.attrs:
        return data
    try:
        names = json.loads(str(data.attrs[_NAMES]))
        data = data.rename({str(other): str(name) for other, name in dict(names).items()})
    except (ValueError, TypeError, RecursionError) as error:
        raise FileFormatError(f"{path} is damaged: its note {_NAMES} does not fit its variables ({error})") from None
    data.attrs.pop(_NAMES)
    return data


def _is_gap(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _text(variable: xr.Variable) -> xr.Variable:
    """A variable of texts as numpy's fixed-length ones; gaps become empty."""
    flat = ["" if _is_gap(v) else encodable(str(v)) for v in variable.values.ravel()]
    values = np.array(flat, dtype=str).reshape(variable.shape)
    return xr.Variable(variable.dims, values, dict(variable.attrs))


def _attributes(attrs: dict) -> dict[str, object]:
    out = {}
    for name, value in attrs.items():
        plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
        numbers = isinstance(plain, list | tuple) and len(plain) > 0 and all(type(v) in (int, float) for v in plain)
        if numbers or type(plain) in (int, float):
            out[str(name)] = np.asarray(plain) if numbers else plain
        else:
            out[str(name)] = encodable(str(plain))
    return out
