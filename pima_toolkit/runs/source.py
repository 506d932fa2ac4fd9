"""Where the data of a run come from, and whether they are still the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from ..data import check_dataset, open_data
from ..errors import DataError


@dataclass(frozen=True)
class Source:
    """Data as read, and what they are known by.

    Args:
        path: Where they lie.
        data: The dataset.
        fingerprint: sha256 of every name, number and unit in the dataset.
    """

    path: Path
    data: xr.Dataset
    fingerprint: str


def read_source(path: Path) -> Source:
    """Read the data of a run.

    Args:
        path: A file ``.nc`` or a folder ``.zarr``.

    Raises:
        DataError: If there is nothing, or it holds no specimens.
        FileFormatError: If it is damaged.
    """
    path = path.expanduser()
    if not path.exists():
        raise DataError(f"there is no {path}: give the path of a dataset (.nc, .zarr) or of a folder of files")
    data = open_data(path)
    check_dataset(data)
    return Source(path.resolve(), data, dataset_fingerprint(data))


def dataset_fingerprint(data: xr.Dataset) -> str:
    """sha256 of a dataset: names, dims, types, values and attributes of its variables, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(map(str, data.variables)):
        variable = data.variables[name]
        values = variable.values.astype(str) if variable.dtype.kind == "O" else variable.values
        notes = sorted((str(k), repr(v)) for k, v in variable.attrs.items())
        digest.update(repr((name, variable.dims, values.dtype.str, values.shape, notes)).encode())
        digest.update(np.ascontiguousarray(values).data.tobytes())
    return digest.hexdigest()
