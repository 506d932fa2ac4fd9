"""Where the data of a run come from, and whether they are still the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..api.pima import Fit
from ..data import Wanted, blocks, check_dataset, on_disk, open_data, read, reading_log
from ..errors import DataError, FileFormatError
from ..experts import LearnedInFit
from ..ingest import from_folder, remembered
from ..ingest.discovery import list_files

#: Endings of a table with one row for each specimen, which names files beside it.
_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xls")
#: Attribute by which a dataset made from files remembers which.
_MADE_FROM = "made_from"


@dataclass(frozen=True)
class Source:
    """Data as read, and what they are known by.

    Args:
        path: Where they lie.
        data: The dataset.
        fingerprint: sha256 of every name, number and unit in the dataset; of a folder, of the files that were used
            and of how they were read: a note or a hidden file beside them changes nothing.
        from_files: Whether the dataset was made from files, and is worth keeping.
        files: Each file that was used -> its size and sha256; empty for a dataset.
    """

    path: Path
    data: xr.Dataset
    fingerprint: str
    from_files: bool
    files: Mapping[str, Sequence[object]] = field(default_factory=dict)


def read_source(
    path: Path, reading: Mapping[str, Any] | None = None, copy: Path | None = None, progress: bool = False
) -> Source:
    """Read the data of a run.

    Args:
        path: A dataset ``.nc`` or ``.zarr``; a folder of files; or a table with one row for each specimen.
        reading: Arguments of ``pima.from_folder``.
        copy: Where a dataset made from files may lie already; it is taken if the files are still the same.
        progress: Show a bar while files are read.

    Raises:
        DataError: If there is nothing, or it holds no specimens.
        FileFormatError: If it is damaged.
        OptionError: If ``reading`` is wrong.
    """
    path = path.expanduser().resolve()
    if not path.exists():
        raise DataError(f"there is no {path}: give the path of a dataset (.nc, .zarr) or of a folder of files")
    ending, reading = path.suffix.lower(), dict(reading or {})
    if path.is_file() and ending not in (".nc", ".zarr", *_TABLES):
        raise DataError(f"{path.name} is neither a dataset (.nc, .zarr) nor a table: give the folder it lies in")
    if ending == ".zarr" or (path.is_file() and ending not in _TABLES):
        data = open_data(path, lazy=ending == ".zarr")
        check_dataset(data)
        return Source(path, data, dataset_fingerprint(data), False)
    folder = path.parent if path.is_file() else path
    if path.is_file():
        reading["table"] = path.name
    data = _still(copy, folder, reading)
    if data is None:
        data = from_folder(folder, **reading, progress=progress)
        data = data.assign_attrs({_MADE_FROM: json.dumps(_files_of(data, folder, reading))})
    told = json.loads(data.attrs[_MADE_FROM])
    return Source(path, data, _files_fingerprint(told), True, told["used"])


def kept(path: Path | None, source: Source) -> bool:
    """Whether the copy of a dataset made from files is there, and of the same files, seen and used."""
    if path is None or not path.exists():
        return False
    try:
        return open_data(path).attrs.get(_MADE_FROM) == source.data.attrs[_MADE_FROM]
    except FileFormatError:  # damaged, so made anew
        return False


def _still(copy: Path | None, folder: Path, reading: Mapping[str, Any]) -> xr.Dataset | None:
    """The dataset made from the files of a folder before, where they are the same and no other has come; else None."""
    if copy is None or not copy.exists():
        return None
    try:
        data = open_data(copy)
        told = json.loads(str(data.attrs[_MADE_FROM]))
        known = {**told["used"], **told["unusable"]}
        seen = {*known, *told["ignored"]}
        here = {file.relative_to(folder).as_posix() for file in list_files(folder)[0]}
        same = told["reading"] == _reading_mark(reading) and here <= seen
        return data if same and all(_measure(folder / name) == list(about) for name, about in known.items()) else None
    except (FileFormatError, ValueError, KeyError, TypeError, AttributeError, OSError):
        return None  # damaged, or of an earlier version: made anew


def _files_of(data: xr.Dataset, folder: Path, reading: Mapping[str, Any]) -> dict[str, Any]:
    """What became of the files of a folder: those that were used, those that could not be, with their measures."""
    log = reading_log(data)
    by_status: dict[str, set[str]] = {}
    for file, status in zip(log["file"], log["status"], strict=True):
        if file and (folder / file).is_file():
            by_status.setdefault(status, set()).add(file)
    used = by_status.get("used", set())
    unusable = by_status.get("unusable", set()) - used
    return {
        "reading": _reading_mark(reading),
        "used": {file: _measure(folder / file) for file in sorted(used)},
        "unusable": {file: _measure(folder / file) for file in sorted(unusable)},
        "ignored": sorted(by_status.get("ignored", set()) - used - unusable),
    }


def _measure(file: Path) -> list[object]:
    """Size and sha256 of a file; nothing of one that cannot be read."""
    try:
        with file.open("rb") as content:
            return [file.stat().st_size, hashlib.file_digest(content, "sha256").hexdigest()]
    except OSError:
        return []


def _reading_mark(reading: Mapping[str, Any]) -> str:
    return json.dumps(reading, sort_keys=True, default=repr)


def _files_fingerprint(told: Mapping[str, Any]) -> str:
    """sha256 of the names, sizes and contents of the files that were used, and of how they were read."""
    return hashlib.sha256(json.dumps([told["reading"], told["used"]], sort_keys=True).encode()).hexdigest()


def changes(before: Mapping[str, Sequence[object]], now: Mapping[str, Sequence[object]]) -> list[str]:
    """What is new, changed and gone among the files of a run's data, in words."""
    new = [name for name in now if name not in before]
    changed = [name for name in now if name in before and list(before[name]) != list(now[name])]
    gone = [name for name in before if name not in now]
    words = ((new, "new"), (changed, "changed"), (gone, "not there any more"))
    return [f"{listed(names)} {'is' if len(names) == 1 else 'are'} {word}" for names, word in words if names]


def dataset_fingerprint(data: xr.Dataset) -> str:
    """sha256 of a dataset: names, dims, types, values and attributes of its variables, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(map(str, data.variables)):
        variable = data.variables[name]
        notes = sorted((str(k), repr(v)) for k, v in variable.attrs.items())
        if on_disk(data, name) and variable.dims[:1] == ("specimen",):
            values = variable
            pieces = (block[name].values for block in blocks(data, name))
        else:
            values = variable.values.astype(str) if variable.dtype.kind == "O" else variable.values
            pieces = iter([values])
        digest.update(repr((name, variable.dims, values.dtype.str, values.shape, notes)).encode())
        for piece in pieces:
            digest.update(np.ascontiguousarray(piece).data.tobytes())
    return digest.hexdigest()


def with_measurements(source: Source, modalities: Mapping[str, Mapping]) -> tuple[Source, list[str]]:
    """The specimens that have any of the modalities, and the labels of the others."""
    kinds = {name: values["kind"] for name, values in modalities.items() if values["kind"] != "none"}
    if not kinds:
        return source, []
    wanted = {
        name: Wanted(physics=kind == "physics", numbered=modalities[name].get("expert") == LearnedInFit.name)
        for name, kind in kinds.items()
    }
    present = np.any([m.present for m in read(source.data, wanted).values()], axis=0)
    if present.all():
        return source, []
    lost = [str(label) for label in source.data["specimen"].values[~present]]
    return replace(source, data=source.data.isel(specimen=np.flatnonzero(present))), lost


def read_as(path: Path) -> dict[str, Any]:
    """How the folder of a run's data was read beyond what the run's options say; empty where they are no folder.

    Args:
        path: The copy of the data in the run's folder, which need not be there.

    Raises:
        FileFormatError: If it is damaged.
    """
    if not path.exists():
        return {}
    try:
        with xr.open_dataset(path, engine="netcdf4") as data:  # its attributes alone are read
            return remembered(data)
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path} is damaged ({error}): remove it, and start `pima fit` again") from error


def together(first: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``pima.from_folder`` of two sources: the later ones prevail, options of a kind are put together."""
    out = {**first, **then}
    for name in ("images", "curves"):
        if name in first and name in then:
            out[name] = {**first[name], **then[name]}
    return out


def reading_like(fit: Fit, reading: Mapping[str, Any]) -> dict[str, Any]:
    """How to read a folder of new specimens: as the training's was, to its picture size and its units."""
    out = dict(reading)
    centres = fit.clusters
    pictures = {_size(centres[str(n)]) for n in fit.model.options.neural if {"y", "x"} <= set(centres[str(n)].dims)}
    if len(pictures) == 1 and "modalities" not in out:
        size, grey = pictures.pop()
        out["images"] = {"size": list(size), "grey": grey} | dict(out.get("images", {}))
    units = {}
    for name in fit.model.options.physics:
        curve = centres[name]
        for variable in (curve, *curve.coords.values()):
            unit = variable.attrs.get("units", "1")
            units |= {} if unit == "1" else {str(variable.name): str(unit)}
    grids = [grid for name in fit.model.options.modalities if (grid := _grid(centres, str(name))) is not None]
    asked = dict(out.get("curves", {}))
    if len(grids) == 1 and "modalities" not in out and (isinstance(asked.get("grid"), int) or "window" in asked):
        # a number of points, or the range in common, would be that of the new curves
        out["curves"] = {k: v for k, v in asked.items() if v != "common"} | {"grid": grids[0].tolist()}
    if units and "modalities" not in out:
        curves = dict(out.get("curves", {}))
        out["curves"] = curves | {"units": units | dict(curves.get("units", {}))}
    return out


def _grid(centres: xr.Dataset, name: str) -> np.ndarray | None:
    """The points (T,) that all curves of a modality share; None where it has none."""
    dims = [str(d) for d in centres[name].dims if d != "cluster"] if name in centres else []
    own = centres[name].coords.get(dims[0]) if len(dims) == 1 else None
    return own.values.astype(float) if own is not None and own.dtype.kind == "f" and own.ndim == 1 else None


def _size(picture: xr.DataArray) -> tuple[tuple[int, int], bool]:
    """((height, width), whether it is grey) of a modality's pictures."""
    return (picture.sizes["y"], picture.sizes["x"]), picture.sizes.get("channel", 1) != 3


def listed(labels: Sequence[str]) -> str:
    """At most five labels, and how many more."""
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
