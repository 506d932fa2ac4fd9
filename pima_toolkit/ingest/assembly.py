"""Modalities and settings put side by side by specimen: `assemble`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..data.names import closest
from ..data.reading_log import Entry
from ..errors import OptionError, encodable
from .discovery import specimen_key
from .headers import slug
from .reading import ModalityReading
from .specimens import SpecimenTable, in_order


@dataclass(frozen=True)
class ScalarColumns:
    """One modality of numbers out of the table, instead of settings beside the modalities.

    Attributes:
        columns: One column, a scalar (specimen,); or several, a vector (specimen, feature) whose numbers should be of
            like size, as they are scaled together.
    """

    columns: str | Sequence[str]


def assemble(
    reads: Mapping[str, ModalityReading],
    rows: SpecimenTable | None,
    asked: Mapping[str, ScalarColumns],
    entries: list[Entry],
) -> xr.Dataset:
    """All modalities side by side, specimens in the natural order of their names.

    Args:
        reads: The modalities as read, by name.
        rows: The table, whose columns become coordinates (specimen).
        asked: Modalities that are columns of the table, by name.
        entries: The reading log; what is missing is added here.

    Raises:
        OptionError: If a column asked for is not there or holds texts.
    """
    names = {specimen_key(n): n for n in rows.names} if rows else {}
    listed = set(names)
    keys = set()
    for read in reads.values():
        keys |= read.names.keys()
        names = {**read.names, **names}
    if not reads and rows:
        keys = listed
    order = in_order({k: n for k, n in names.items() if k in keys})
    variables: dict[str, xr.DataArray] = {}
    for read in reads.values():
        name = str(read.variable.name)
        variables[name] = _placed(read, order, variables)
        lost = {specimen_key(e.specimen) for e in entries if e.modality == name and e.status == "unusable"}
        for key in order:
            if key not in read.names:
                why = "its file cannot be used" if key in lost else "has no file"
                entries.append(Entry("", names[key], name, "missing", why))
    gone = "no measurement of it can be used: left out"
    unlisted_keys = {key: names[key] for key in order if key not in listed} if rows else {}
    entries += [
        Entry("", names[key], "", "missing", gone + _meant(names[key], unlisted_keys.values(), "files"))
        for key in sorted(listed - keys)
    ]
    if rows:
        unlisted = f"{rows.file} has no row for it"
        idle = [names[key] for key in sorted(listed - keys)]
        entries += [
            Entry("", name, "", "missing", unlisted + _meant(name, idle, "the table"))
            for name in unlisted_keys.values()
        ]
    data = xr.Dataset(variables).assign_coords(specimen=[encodable(names[key]) for key in order])
    for name, spec in asked.items():
        data[name] = _scalars(name, spec, rows, order)
    used = {c for spec in asked.values() for c in _columns_of(spec, rows)}
    if rows:
        for name in rows.settings:
            if name not in used:
                safe = f"{name}_setting" if name in data.variables or name in data.dims else name
                data = data.assign_coords({safe: rows.setting(name, order)})
    return data


def _meant(name: str, others: Iterable[str], where: str) -> str:
    """The end of a sentence on a name that only a table or only files have: the nearest that the other alone has.

    Names whose numbers differ, such as P3 and P4, are two specimens.
    """
    alike = [
        other for other in others if [*map(int, re.findall(r"\d+", other))] == [*map(int, re.findall(r"\d+", name))]
    ]
    near = difflib.get_close_matches(name, alike, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}, which {where} {'has' if where == 'the table' else 'have'}?" if near else ""


def _placed(read: ModalityReading, order: Sequence[str], others: Mapping[str, xr.DataArray]) -> xr.DataArray:
    """One modality with a row for every specimen; dims that another modality has in another size get its name."""
    row = {key: k for k, key in enumerate(read.names)}
    index = np.array([row.get(key, -1) for key in order])
    if np.array_equal(index, np.arange(read.variable.sizes["specimen"])):
        parts = read.variable  # as it is: a copy may take as much memory as all files
    else:
        parts = read.variable.isel(specimen=np.maximum(index, 0))  # a copy
        for variable in (parts, *parts.coords.values()):
            if "specimen" in variable.dims:
                variable.values[index < 0] = np.nan
    clash = {}
    for other in others.values():
        for label in {*parts.dims, *parts.coords} - {"specimen"}:
            both = label in other.coords and label in parts.coords
            same = other.coords[label].identical(parts.coords[label]) if both else label not in other.coords
            if label in (*other.dims, *other.coords) and not (
                same and other.sizes.get(label) == parts.sizes.get(label)
            ):
                clash[label] = f"{parts.name}_{label}"
    if parts.name in (*parts.dims, *parts.coords):
        clash[parts.name] = f"{parts.name}_axis"
    if parts.attrs.get("independent") in clash:
        parts.attrs["independent"] = clash[parts.attrs["independent"]]
    return parts.rename(clash) if clash else parts


def _columns_of(spec: ScalarColumns, rows: SpecimenTable | None) -> list[str]:
    columns = [spec.columns] if isinstance(spec.columns, str) else list(spec.columns)
    return [rows.headers.get(c, slug(c)) for c in columns] if rows else columns


def _scalars(name: str, spec: ScalarColumns, rows: SpecimenTable | None, order: Sequence[str]) -> xr.Variable:
    if rows is None:
        raise OptionError(f"{name!r} is described as scalars, and there is no table: table='specimens.csv'")
    columns = _columns_of(spec, rows)
    numbers = [c for c, values in rows.settings.items() if values.dtype.kind in "if"]
    for column in columns:
        if column not in numbers:
            raise OptionError(
                f"{rows.file} has no column of numbers {column!r} for {name!r}: {closest(column, numbers)}"
            )
    values = [rows.setting(column, order).astype(float) for column in columns]
    if isinstance(spec.columns, str):
        return values[0]
    both = np.stack([v.values for v in values], axis=1)
    both[np.isnan(both).any(axis=1)] = np.nan  # a vector is there whole or not at all
    return xr.Variable(("specimen", f"{name}_feature"), both, {"long_name": ", ".join(columns)})
