"""Measurement errors that come with curves: the variable ``<name>_std`` beside the curves ``<name>``.

They say how precise points are beside each other: a point counts as 1 / std^2, and how large the noise is as a whole
is learned from the residuals, as without them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..errors import DataError, ShapeError
from ..units import unit_of
from .measurement import Measurement, Schema, Wanted
from .names import few, specimen_labels

#: What the name of a modality has in the name of its errors.
SUFFIX = "_std"


def errors_of(data: xr.Dataset, name: str) -> str | None:
    """The variable whose measurement errors this one holds by its name, or None."""
    of = name.removesuffix(SUFFIX)
    return of if of != name and of in data.data_vars and "specimen" in data[of].dims else None


def with_errors(data: xr.Dataset, wanted: Mapping[str, Wanted | Schema]) -> set[str]:
    """Name the modalities whose errors are in the dataset: a variable that is wanted itself is no error of another."""
    of_themselves = {*wanted, *(name for one in wanted.values() for name in one.covariates)}
    return {name for name in wanted if f"{name}{SUFFIX}" in {*data.variables} - of_themselves}


def unused_errors(data: xr.Dataset, wanted: Mapping[str, Wanted]) -> list[str]:
    """Say which measurement errors a training does not use: those of neural modalities."""
    return [
        f"{name + SUFFIX!r} is not used: measurement errors count where a Physics expert describes the curve, and "
        f"{name!r} is a neural modality"
        for name in sorted(with_errors(data, wanted))
        if not wanted[name].physics
    ]


def read_errors(data: xr.Dataset, measurement: Measurement, like: Schema | None) -> Measurement:
    """Read the measurement errors of a physics curve.

    Standard deviations with the dims of the curve, or one for each specimen, or one for each point of a shared grid;
    ``attrs["units"]`` may be another unit of the same quantity. They must be positive wherever the curve was measured,
    and may be anything elsewhere.

    Args:
        data: The dataset, with ``<name>_std``.
        measurement: The curves.
        like: What a fit has learned of them; None in training.

    Returns:
        The measurement with ``std``; in training the schema has the typical error.

    Raises:
        DataError: If they are no positive numbers where the curve was measured, are in a unit of something else, or
            belong to a modality that was trained without.
        ShapeError: If their dims are others.
    """
    name, dims = measurement.schema.name, ("specimen", *measurement.schema.dims)
    key = f"{name}{SUFFIX}"
    variable = data[key]
    if like is not None and like.std is None:
        raise DataError(
            f"{key!r} holds measurement errors, and this fit was trained without those of {name!r}: "
            f"data.drop_vars({key!r}), or fit again to data with errors"
        )
    if not variable.dims or not set(variable.dims) <= set(dims):
        raise ShapeError(
            f"{key!r} has dims {variable.dims}, expected those of {name!r}, {dims}, or one of them: it is the standard "
            "deviation of every point"
        )
    if variable.dtype.kind not in "iuf":
        raise DataError(f"{key!r} holds {variable.dtype.name} values, expected standard deviations: real numbers")
    values = variable.astype(np.float64).broadcast_like(data[name]).transpose(*dims).values
    std = values * _factor(variable, measurement.schema, key)
    seen = np.broadcast_to(measurement.mask(), std.shape)
    bad = (seen & ~(np.isfinite(std) & (std > 0.0))).any(1)
    if bad.any():
        named = few(specimen_labels(data)[bad])
        raise DataError(
            f"{key!r} is no positive number where {name!r} was measured, in specimens {named}: "
            "give the standard deviation of every point, or make the point NaN in the curve"
        )
    typical = like.std if like is not None else None
    if typical is None:
        # Scaled by the smallest, whose square might be no number.
        least = std[seen].min(initial=np.inf)
        typical = float(least / np.sqrt(np.mean(np.square(least / std[seen])))) if seen.any() else 1.0
    schema = dataclasses.replace(measurement.schema, std=typical)
    return dataclasses.replace(measurement, schema=schema, std=np.where(seen, std, typical))


def _factor(variable: xr.DataArray, schema: Schema, key: str) -> float:
    """What the errors are multiplied by to be in the unit of the curves."""
    own = str(variable.attrs.get("units") or variable.attrs.get("unit") or schema.unit)
    if own == schema.unit or "1" in (own, schema.unit):
        return 1.0
    given, wanted = unit_of(own), unit_of(schema.unit)
    if given.quantity != wanted.quantity:
        raise DataError(
            f"{key!r} is in {own!r}, {schema.name!r} in {schema.unit!r}: convert it, and set attrs['units']"
        )
    return given.factor / wanted.factor
