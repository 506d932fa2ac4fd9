"""What became of every file: a reading log that travels with the dataset, and a summary of what the dataset holds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..errors import DataError, require
from .check import check_dataset
from .grids import is_numeric_coordinate
from .measurement_errors import errors_of
from .names import ANSWER_NAMES, specimen_labels

if TYPE_CHECKING:
    import pandas as pd

#: Attribute of a dataset that holds the reading log, as JSON: text survives every kind of file.
ATTRIBUTE = "ingest_account"


class Unusable(DataError):
    """A file cannot be used; the message is the reason, as it stands in the reading log."""


@dataclass(frozen=True)
class Entry:
    """One line of the reading log.

    Attributes:
        file: Path from the folder, with forward slashes; empty for a measurement that is missing.
        specimen: Specimen it belongs to, or empty.
        modality: Modality it belongs to, or empty.
        status: ``"used"``, ``"unusable"`` (a measurement that is lost), ``"ignored"`` (no measurement, or not asked
            for), ``"missing"`` (there is no file).
        note: What was done to it, or why it was not used.
        details: Of a curve what of the file was read, by the columns of `reading_details`; empty for others.
    """

    file: str
    specimen: str
    modality: str
    status: str
    note: str
    details: Mapping[str, object] = field(default_factory=dict)


def count(n: int, what: str) -> str:
    """``"1 row"``, ``"2 rows"``."""
    return f"{n} {what}" + ("" if n == 1 else "s")


def write_reading_log(data: xr.Dataset, entries: Iterable[Entry]) -> None:
    """Store a reading log in the dataset's attributes."""
    rows = [
        [e.file, e.specimen, e.modality, e.status, e.note, *([dict(e.details)] if e.details else [])] for e in entries
    ]
    data.attrs[ATTRIBUTE] = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def read_entries(data: xr.Dataset) -> list[Entry]:
    """The entries of a dataset's reading log; none where it was made from no files."""
    return [Entry(*row) for row in json.loads(data.attrs.get(ATTRIBUTE, "[]"))]


def _all_entries(data: xr.Dataset) -> list[Entry]:
    """The same.

    Raises:
        DataError: If the dataset was not made from files.
    """
    if ATTRIBUTE not in data.attrs:
        raise DataError("the dataset has no reading log: only those of pima.from_folder have one")
    return read_entries(data)


def what_was_read(entry: Entry) -> str:
    """One line on a file of curves: columns with their units before and after, lines, points; empty for other files."""
    told = entry.details
    if not told:
        return ""

    def column(axis: str) -> str:
        before, after = told[f"{axis}_unit"], told[f"{axis}_unit_after"]
        unit = f" [{before or '?'}]" if before or after else ""
        return f"{told[axis]}{unit}" + (f" in {after}" if after != before else "")

    specimen = f"{entry.specimen}: " if entry.specimen != PurePosixPath(entry.file).stem else ""
    place = f", {told['place']}" if told["place"] else ""
    kept = f"{told['points_kept']} of " if told["points_kept"] != told["points_read"] else ""
    return f"{specimen}{column('y')} against {column('x')}{place}, {kept}{told['points_read']} points"


def reading_log(data: xr.Dataset) -> pd.DataFrame:
    """What `pima.from_folder` did to each file: one row per file, and one per measurement that is missing.

    Args:
        data: A dataset of `pima.from_folder`, also after saving, opening or selecting.

    Returns:
        Columns ``file``, ``specimen``, ``modality``, ``status`` ("used", "unusable", "ignored", "missing"), ``note``.

    Raises:
        DataError: If the dataset was not made from files.
    """
    rows = [(e.file, e.specimen, e.modality, e.status, e.note) for e in _all_entries(data)]
    columns = ["file", "specimen", "modality", "status", "note"]
    return require("pandas", "tables").DataFrame(rows, columns=columns, dtype=object)


#: What is known of each curve that was read.
DETAILS = ("place", "x", "x_unit", "x_unit_after", "y", "y_unit", "y_unit_after", "points_read", "points_kept")


def reading_details(data: xr.Dataset) -> pd.DataFrame:
    """What was read of each file of curves: lines, columns, and units before and after.

    Args:
        data: A dataset of `pima.from_folder`, also after saving, opening or selecting.

    Returns:
        One row per curve. Columns ``file``, ``specimen``, ``modality``; ``place`` (lines, or rows of a sheet);
        ``x``, ``y`` (headers as written); ``x_unit``, ``y_unit`` (as stated, by their usual names; empty if none is);
        ``x_unit_after``, ``y_unit_after`` (in the dataset); ``points_read``, ``points_kept``; ``note``.

    Raises:
        DataError: If the dataset was not made from files.
    """
    rows = [
        (e.file, e.specimen, e.modality, *(e.details.get(name, "") for name in DETAILS), e.note)
        for e in _all_entries(data)
        if e.details
    ]
    columns = ["file", "specimen", "modality", *DETAILS, "note"]
    return require("pandas", "tables").DataFrame(rows, columns=columns, dtype=object)


def with_lost_specimens(data: xr.Dataset) -> xr.Dataset:
    """A dataset made from files, with a row for every specimen of which no file could be used.

    Args:
        data: As `pima.from_folder` made it; any other stays as it is.

    Returns:
        The specimens in the same order, then those that were lost: NaN, False or an empty text in every variable.
    """
    known = {"", *map(str, specimen_labels(data))}
    lost = dict.fromkeys(e.specimen for e in read_entries(data) if e.status == "unusable" and e.specimen not in known)
    if not lost:
        return data
    gaps = {"b": False, "U": "", "S": "", "O": ""}
    blank = {k: gaps.get(v.dtype.kind, np.nan) for k, v in data.variables.items() if "specimen" in v.dims}
    return data.reindex(specimen=[*data["specimen"].values, *lost], fill_value=blank)


def summary(data: xr.Dataset) -> pd.DataFrame:
    """What a dataset holds: one row per variable that has specimens, modalities first.

    Args:
        data: Dataset with a ``specimen`` dim.

    Returns:
        Index: the variable's name. Columns ``role`` ("modality", "axis", "setting", "error" for the measurement errors
        ``<name>_std`` of a modality, or "answer" for what a fit said of the specimens, such as ``latent_position``),
        ``sizes`` (without specimen), ``unit``, ``present`` and
        ``missing`` (specimens), ``range`` (of the values, or of texts the first few).

    Raises:
        DataError: If it is no such dataset.
    """
    check_dataset(data)
    pandas = require("pandas", "tables")
    axes = {str(v.attrs["independent"]) for v in data.data_vars.values() if "independent" in v.attrs}
    axes |= {str(d) for v in data.data_vars.values() for d in v.dims if d in data.coords} - {"specimen"}
    rows, n = {}, data.sizes["specimen"]
    for name in [*data.data_vars, *sorted(axes), *(c for c in data.coords if c not in axes)]:
        variable = data[name]
        if str(name).endswith("_present") or (name not in axes and "specimen" not in variable.dims):
            continue
        if name == "specimen":
            continue
        role = "axis" if name in axes else "modality" if name in data.data_vars else "setting"
        if role == "modality" and name in ANSWER_NAMES:
            role = "answer"
        elif role == "modality" and errors_of(data, str(name)) is not None:
            role = "error"
        present = _present(data, str(name)) if "specimen" in variable.dims else np.ones(n, dtype=bool)
        sizes = " x ".join(f"{d} {n}" for d, n in variable.sizes.items() if d != "specimen")
        unit = str(variable.attrs.get("units", ""))
        row = (role, sizes, unit, int(present.sum()), int((~present).sum()), _range(variable, present))
        rows[str(name)] = row
    columns = ["role", "sizes", "unit", "present", "missing", "range"]
    return pandas.DataFrame.from_dict(rows, orient="index", columns=columns)


def _present(data: xr.Dataset, name: str) -> np.ndarray:
    values = data[name].transpose("specimen", ...).values.reshape(data.sizes["specimen"], -1)
    if values.dtype.kind == "f":
        present = ~np.all(np.isnan(values), axis=1)
    else:
        present = np.ones(len(values), dtype=bool) if values.dtype.kind in "biu" else np.any(values != "", axis=1)
    flags = f"{name}_present"
    return present & data[flags].values.astype(bool) if flags in data.variables else present


def _range(variable: xr.DataArray, present: np.ndarray) -> str:
    if is_numeric_coordinate(variable):
        values = variable.transpose("specimen", ...).values[present] if "specimen" in variable.dims else variable.values
        finite = values[np.isfinite(values)]
        return f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "none"
    kinds, counts = np.unique(variable.values.astype(str), return_counts=True)
    shown = ", ".join(f"{kinds[i]} ({counts[i]})" for i in np.argsort(-counts, kind="stable")[:4])
    return shown + (f" and {kinds.size - 4} more" if kinds.size > 4 else "")
