"""Covariates: what is known of a specimen's test besides its curve, such as a temperature or a strain rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..errors import DataError, ShapeError
from .names import closest, few, specimen_labels


def read_covariates(
    data: xr.Dataset, modality: str, names: Sequence[str], present: np.ndarray, *, given_later: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the covariates of a physics modality.

    Args:
        data: Dataset with a ``specimen`` dim.
        modality: Name of the modality whose expert needs them.
        names: Their names, variables or coordinates of dims (specimen,).
        present: Which specimens have the curve, (specimen,) bool: only they must have every covariate.
        given_later: At inference: a covariate that the dataset lacks is unknown, no error, if no specimen has the
            curve.

    Returns:
        By name the values, float64 (specimen,), NaN where unknown, and the units, ``"1"`` if not stated.

    Raises:
        DataError: If one is missing, holds no numbers, or is not finite for a specimen that has the curve.
        ShapeError: If it has other dims.
    """
    values: dict[str, np.ndarray] = {}
    units: dict[str, str] = {}
    for name in names:
        if name not in data.variables and given_later and not present.any():
            values[name], units[name] = np.full(data.sizes["specimen"], np.nan), "1"
            continue
        needs = f"{modality!r} needs the covariate {name!r} of every specimen"
        variable = _of_specimens(data, name, needs, f"the covariate {name!r} of {modality!r}", "number")
        if variable.dtype.kind not in "iuf":
            raise DataError(
                f"the covariate {name!r} of {modality!r} holds {variable.dtype.name} values, expected real numbers"
            )
        numbers = variable.values.astype(np.float64)
        finite = np.isfinite(numbers)
        if (present & ~finite).any():
            raise DataError(
                f"the covariate {name!r} is not known for specimens that have {modality!r}:"
                f" {few(specimen_labels(data)[present & ~finite])}; fill it in, or make their {modality!r} NaN"
            )
        values[name] = np.where(finite, numbers, np.nan)
        units[name] = next((str(variable.attrs[k]) for k in ("units", "unit") if variable.attrs.get(k)), "1")
    return values, units


def read_batches(
    data: xr.Dataset, modality: str, name: str, present: np.ndarray, *, given_later: bool = False
) -> np.ndarray:
    """Read which batch each specimen is of.

    Args:
        data: Dataset with a ``specimen`` dim.
        modality: Name of the modality whose parameters batches share.
        name: The variable or coordinate that tells it, numbers or texts of dims (specimen,).
        present: Which specimens have the curve, (specimen,) bool: only they must be of a batch.
        given_later: At inference: of an unknown batch is then a specimen that nothing is said of.

    Returns:
        Labels, text (specimen,); empty where unknown.

    Raises:
        DataError: If it is missing, or not known of a specimen that has the curve.
        ShapeError: If it has other dims.
    """
    if name not in data.variables and given_later:
        return np.full(data.sizes["specimen"], "")
    has = f"{modality!r} has groups={name!r}"
    variable = _of_specimens(data, name, has, f"the batch {name!r} of {modality!r}", "label")
    labels = np.array(
        ["" if value is None or value != value else str(value).strip() for value in variable.values.tolist()]
    )
    lost = present & (labels == "")
    if lost.any() and not given_later:
        raise DataError(
            f"the batch {name!r} is not known for specimens that have {modality!r}: {few(specimen_labels(data)[lost])};"
            f" fill it in, or make their {modality!r} NaN"
        )
    return labels


def _of_specimens(data: xr.Dataset, name: str, needs: str, what: str, thing: str) -> xr.DataArray:
    """A variable of dims (specimen,).

    Args:
        data: The dataset.
        name: The variable.
        needs: Who needs it, for the sentence where it is missing.
        what: What it is, for the sentence where it has other dims.
        thing: What each specimen has: a number, or a label.

    Raises:
        DataError: If it is missing.
        ShapeError: If it has other dims.
    """
    if name not in data.variables:
        known = [v for v in data.variables if data[v].dims == ("specimen",)]
        raise DataError(
            f"{needs}, which the dataset does not have: data = data.assign_coords({name}=('specimen', {thing}s)); of"
            f" dims ('specimen',) {closest(name, known)}"
        )
    if data[name].dims != ("specimen",):
        raise ShapeError(f"{what} has dims {data[name].dims}, expected ('specimen',): one {thing} per specimen")
    return data[name]
