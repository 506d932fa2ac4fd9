"""Modalities that do not fit into memory: their values stay on disk, and are read a block of specimens at a time.

xarray reads a Zarr folder lazily by itself (``pima.open_data(path, lazy=True)``); dask, where a dataset was opened with
it, is read the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

#: A block that training shuffles, in bytes as stored.
BLOCK_BYTES = 8 * 2**20
#: A block that is looked through once, in numbers: eight times as many bytes while it is.
_LOOKED_AT = 2**20


def on_disk(data: xr.Dataset, name: str) -> bool:
    """Whether the values of a variable are still on disk."""
    # xarray has no public question for it; an array in memory is numpy's.
    return name in data.data_vars and not isinstance(data[name].variable._data, np.ndarray)


def block_rows(data: xr.Dataset, names: Sequence[str]) -> int:
    """Specimens of a block of these variables that training shuffles."""
    return _whole_chunks(BLOCK_BYTES * data.sizes["specimen"] // sum(data[n].nbytes for n in names), data, names)


def _whole_chunks(rows: int, data: xr.Dataset, names: Sequence[str]) -> int:
    """So many specimens, less what would be part of a chunk of the store; at least one."""
    rows = max(1, rows)
    chunk = max(int(data[name].encoding.get("preferred_chunks", {}).get("specimen", 1)) for name in names)
    return rows - rows % chunk if chunk <= rows else rows


def blocks(data: xr.Dataset, name: str) -> Iterator[xr.Dataset]:
    """Consecutive specimens with one variable and its flags, each block in memory."""
    kept = data[[n for n in (name, f"{name}_present") if n in data.data_vars]]
    kept = kept.drop_vars([n for n, c in kept.coords.items() if "specimen" in c.dims])
    if "specimen" in data.coords:  # an error names specimens by their labels
        kept = kept.assign_coords(specimen=data["specimen"])
    rows = _whole_chunks(_LOOKED_AT * data.sizes["specimen"] // data[name].size, data, [name])
    for start in range(0, data.sizes["specimen"], rows):
        yield kept.isel(specimen=slice(start, start + rows)).load()


class OnDisk:
    r"""Values of a neural modality that stay on disk; indexed like an array, they are read.

    A picture of eight bits stays one until it is asked for. Two blocks at most are in memory.

    Args:
        variable: The modality, still on disk; it was read through once and found finite.
        dims: Its dims in the order of the values, ``specimen`` first.
        present: (specimen,) bool; the values of other specimens are read as 0.
        lowest: Smallest value of each specimen, float32 (specimen,); inf where it lacks the modality.
        highest: Largest value of each specimen likewise; -inf where it lacks the modality.
        rows: Specimens of a block.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        variable: xr.Variable,
        dims: tuple[str, ...],
        present: np.ndarray,
        lowest: np.ndarray,
        highest: np.ndarray,
        rows: int,
    ) -> None:
        self.variable, self.dims, self.present = variable, dims, present
        self.lowest, self.highest, self.rows = lowest, highest, rows
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.present)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array these values would be in memory."""
        return tuple(self.variable.sizes[dim] for dim in self.dims)

    def __getitem__(self, index: slice | np.ndarray) -> np.ndarray:
        """Read some specimens, float32 (specimen, ...)."""
        rows = np.arange(len(self))[index]
        out = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        block = rows // self.rows
        # Those in memory first, lest they make room for others.
        for k in sorted(np.unique(block).tolist(), key=lambda k: (k not in self._kept, k)):
            here = np.flatnonzero(block == k)
            with np.errstate(over="ignore", invalid="ignore"):  # of specimens that are not present
                out[here] = self._block(k)[rows[here] - k * self.rows]
        out[~self.present[rows]] = 0
        return out

    def _block(self, k: int) -> np.ndarray:
        if k not in self._kept:
            while len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
            block = self.variable.isel(specimen=slice(k * self.rows, (k + 1) * self.rows))
            self._kept[k] = block.load().transpose(*self.dims).values
        return self._kept[k]

    def take(self, index: slice | np.ndarray) -> OnDisk:
        """The specimens of `index`, still on disk."""
        rows = np.arange(len(self))[index]
        variable = self.variable.isel(specimen=rows)
        return OnDisk(variable, self.dims, self.present[rows], self.lowest[rows], self.highest[rows], self.rows)
