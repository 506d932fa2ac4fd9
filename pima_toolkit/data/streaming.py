"""Modalities that do not fit into memory: their values stay on disk, and are read a block of specimens at a time.

xarray reads a Zarr folder lazily by itself (``pima.open_data(path, lazy=True)``); dask, where a dataset was opened with
it, is read the same way. Everything learned of such a modality before training comes from one pass over its blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from .check import check_informative, measure
from .measurement import Measurement
from .normalise import Scaling

#: A block that training shuffles, in bytes as stored.
BLOCK_BYTES = 8 * 2**20
#: A block that is looked through once, in numbers: eight times as many bytes while it is.
_LOOKED_AT = 2**20


def stored(data: xr.Dataset, name: str) -> bool:
    """Whether the values of a variable are still on disk."""
    # xarray has no public question for it; an array in memory is numpy's.
    return name in data.data_vars and not isinstance(data[name].variable._data, np.ndarray)


def block_rows(data: xr.Dataset, names: list[str]) -> int:
    """Specimens of a block of these variables that training shuffles."""
    return _whole_chunks(BLOCK_BYTES * data.sizes["specimen"] // sum(data[n].nbytes for n in names), data, names)


def _whole_chunks(rows: int, data: xr.Dataset, names: list[str]) -> int:
    """So many specimens, less what would be part of a chunk of the store; at least one."""
    rows = max(1, rows)
    chunk = max(int(data[name].encoding.get("preferred_chunks", {}).get("specimen", 1)) for name in names)
    return rows - rows % chunk if chunk <= rows else rows


def alone(data: xr.Dataset, name: str) -> xr.Dataset:
    """One variable with its flags, without what else is known of the specimens."""
    kept = data[[n for n in (name, f"{name}_present") if n in data.data_vars]]
    return kept.drop_vars([n for n, c in kept.coords.items() if "specimen" in c.dims])


def blocks(data: xr.Dataset, name: str) -> Iterator[xr.Dataset]:
    """Consecutive specimens with one variable, each block in memory."""
    kept, rows = alone(data, name), _whole_chunks(_LOOKED_AT * data.sizes["specimen"] // data[name].size, data, [name])
    if "specimen" in data.coords:  # an error names specimens by their labels
        kept = kept.assign_coords(specimen=data["specimen"])
    for start in range(0, data.sizes["specimen"], rows):
        yield kept.isel(specimen=slice(start, start + rows)).load()


def survey(data: xr.Dataset, name: str) -> tuple[Measurement, Scaling]:
    """What a neural modality on disk is, by one pass.

    Args:
        data: A dataset.
        name: The variable.

    Returns:
        The first specimen that has it, and the scaling of all.

    Raises:
        DataError, ShapeError: As :func:`measure`.
    """
    first, low, high = None, np.inf, -np.inf
    for block in blocks(data, name):
        measured = measure(block, name, physics=False, part=True)
        seen = measured.mask()
        low = min(low, float(measured.values.min(where=seen, initial=np.inf)))
        high = max(high, float(measured.values.max(where=seen, initial=-np.inf)))
        if first is None or not first.present.any():
            first = measured.take(np.flatnonzero(measured.present)[:1] if measured.present.any() else np.arange(1))
    check_informative(name, bool(first.present.any()), low, high, first.values.dtype.name)
    return first, Scaling(low, high)


def presence(data: xr.Dataset, name: str, *, physics: bool) -> np.ndarray:
    """Which specimens have a modality, (specimen,) bool.

    Raises:
        DataError, ShapeError: As :func:`measure`.
    """
    if physics or not stored(data, name):
        return measure(data, name, physics=physics).present
    return np.concatenate([measure(block, name, physics=False, part=True).present for block in blocks(data, name)])


def kind_of(data: xr.Dataset, name: str) -> str:
    """The kind of a neural modality, see :func:`measure`, which says why it cannot be one."""
    return (survey(data, name)[0] if stored(data, name) else measure(data, name, physics=False)).kind
