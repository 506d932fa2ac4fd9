"""The check: `read(data, wanted)` turns a dataset into measurements; nothing else looks into a dataset's values.

Everything after this file may rely on finite numbers, native float types, one order of the dims, a strictly
increasing independent variable, and masks that say what was observed. Bad input ends here, in one sentence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..errors import DataError, ShapeError
from .covariates import read_batches, read_covariates
from .grids import independent_variable, is_numeric_coordinate, same_grid, shared_grid, union_grid
from .measurement import Measurement, Schema, Wanted
from .measurement_errors import SUFFIX, errors_of, read_errors, with_errors
from .names import closest, few, measured_names, specimen_labels
from .streaming import OnDisk, block_rows, blocks, on_disk

#: Fewest points for which a numeric coordinate makes a neural modality a curve; below, convolutions have no room.
CURVE_POINTS = 8

_KINDS = ("scalar", "curve", "image", "volume")


def check_dataset(data: object) -> None:
    """Check what holds for the dataset as a whole.

    Raises:
        DataError: If it is no Dataset, has no ``specimen`` dim, no specimens, or labels that occur twice.
    """
    if isinstance(data, xr.DataArray):
        raise DataError("data is an xarray.DataArray, expected a Dataset: name it with data.to_dataset(name='image')")
    if not isinstance(data, xr.Dataset):
        raise DataError(
            f"data is {type(data).__module__}.{type(data).__name__}, expected an xarray.Dataset with a 'specimen' dim: "
            "xr.Dataset({'image': (('specimen', 'y', 'x'), images)})"
        )
    if "specimen" not in data.dims:
        dims = ", ".join(map(str, data.dims)) or "none"
        raise DataError(f"the dataset has no 'specimen' dim (its dims: {dims}): rename one, data.rename(n='specimen')")
    if data.sizes["specimen"] == 0:
        raise DataError("the dataset holds no specimens (dim 'specimen' has size 0): check the selection it came from")
    if "specimen" in data.coords:
        labels = data.indexes["specimen"]
        if not labels.is_unique:
            twice = few(labels[labels.duplicated()].unique())
            raise DataError(
                f"specimen labels occur more than once: {twice}; give each specimen its own, or "
                "data.drop_vars('specimen')"
            )


def read(data: xr.Dataset, wanted: Mapping[str, Wanted | Schema]) -> dict[str, Measurement]:
    """Check a dataset and take from it what is wanted; called once at every public door.

    The kind of a modality follows from the dims besides ``specimen`` and ``channel``: none a scalar, one a curve
    (numeric coordinate of at least 8 points; for physics any) or else a vector, two an image, three a volume. A
    specimen lacks a modality if all its values are NaN or the boolean variable ``<name>_present`` (specimen) says so.

    A physics curve is ``y(specimen, t)`` on a shared grid, the coordinate ``t``, or ``y(specimen, point)`` with the
    independent variable as a coordinate of dims (specimen, point), NaN at the end, named in ``attrs["independent"]``.
    Rows that are all alike count as a shared grid. Points that are NaN are masked.

    Neural modalities that are on disk stay there: they are looked through once, and read again where they are needed.

    A variable ``<name>_std`` that is not wanted itself holds the measurement errors of the physics curve ``<name>``:
    see :func:`~pima_toolkit.data.measurement_errors.read_errors`.

    Args:
        data: Dataset with a ``specimen`` dim.
        wanted: By the variable's name, what a training set is to hold (:class:`Wanted`), or what a fit has learned of
            it (:class:`Schema`): then dims, sizes and units must fit, a missing variable means that no specimen has
            it, and constant or absent values are no error. A neural curve must have the trained grid. A physics curve
            on the trained grid (to 1e-6 of its range) keeps it; on any other grid t has the shape (specimen, T):
            expert and encoder can use it. Where no specimen has a ragged modality, t is the grid of the training.

    Returns:
        One measurement by name for every modality that is wanted, in that order, of the same specimens.

    Raises:
        DataError: If the values, the independent variable or the errors cannot be used.
        ShapeError: If the dims do not suit the modality, or do not fit the schema.
    """
    check_dataset(data)
    given = with_errors(data, wanted)
    staying = [name for name, one in wanted.items() if on_disk(data, name) and not one.physics]
    rows = block_rows(data, staying) if staying else 0  # blocks of several are shuffled together
    return {
        name: _looked_through(data, name, one, rows)
        if name in staying
        else _measured(data, name, one, errors=name in given)
        for name, one in wanted.items()
    }


def _measured(
    data: xr.Dataset, name: str, wanted: Wanted | Schema, *, part: bool = False, errors: bool = False
) -> Measurement:
    """Read one modality into memory, and the errors of a curve; a part of the specimens may hold nothing to learn."""
    like = wanted if isinstance(wanted, Schema) else None
    if name not in data.data_vars:
        if like is not None and errors and like.physics:
            raise DataError(
                f"{name + SUFFIX!r} holds measurement errors of {name!r}, which the dataset does not have: add the "
                f"curves, or data.drop_vars({name + SUFFIX!r})"
            )
        if like is not None:
            return _absent(data, like)
        inside = [v for v in measured_names(data) if errors_of(data, v) is None]
        raise DataError(f"the dataset has no modality {name!r}: {closest(name, inside)}")
    variable = data[name]
    if "specimen" not in variable.dims:
        raise ShapeError(f"{name!r} has dims {variable.dims} and lacks 'specimen': one value per specimen is needed")
    if variable.dtype.kind not in "biuf":
        raise DataError(
            f"{name!r} holds {variable.dtype.name} values, expected real numbers: convert with "
            f"data[{name!r}].astype(float), or leave it out of the modalities"
        )
    dims = _ordered_dims(variable, like)
    raw = variable.transpose("specimen", *dims).values
    if raw.size == 0:
        raise ShapeError(f"{name!r} has an empty dim: sizes {dict(variable.sizes)}")
    present = _present_flags(data, name)
    read_values = _neural
    if wanted.physics:
        read_values = _numbered if _is_numbered(data, variable, dims, wanted) else _physics
    measurement = read_values(data, variable, dims, raw, present, like)
    covariates, units = read_covariates(
        data, name, wanted.covariates, measurement.present, given_later=like is not None
    )
    batch = None
    if wanted.batch is not None:
        batch = read_batches(data, name, wanted.batch, measurement.present, given_later=like is not None)
    schema = dataclasses.replace(measurement.schema, covariate_units=units, batch=wanted.batch)
    measurement = dataclasses.replace(measurement, schema=schema, covariates=covariates, batch=batch)
    if errors and wanted.physics:
        measurement = read_errors(data, measurement, like)
    if like is not None:
        _check_units(schema, like)
    elif not part:
        _check_informative(measurement)
    return measurement


def _looked_through(data: xr.Dataset, name: str, wanted: Wanted | Schema, rows: int) -> Measurement:
    """Read a neural modality on disk by one pass over its blocks, and leave its values there."""
    schema, present, lowest, highest = None, [], [], []
    for block in blocks(data, name):
        part = _measured(block, name, wanted, part=True)
        schema = schema or part.schema
        low, high = part.lowest_and_highest()
        present.append(part.present)
        lowest.append(low)
        highest.append(high)
    parts = [np.concatenate(pieces) for pieces in (present, lowest, highest)]
    values = OnDisk(data[name].variable, ("specimen", *schema.dims), *parts, rows)
    measurement = Measurement(schema, values, parts[0], t=schema.t)
    if isinstance(wanted, Wanted):
        _check_informative(measurement)
    return measurement


def _named(data: xr.Dataset, bad: np.ndarray) -> str:
    return few(specimen_labels(data)[bad])


def _text(attrs: dict, *names: str, default: str) -> str:
    return next((str(attrs[n]) for n in names if attrs.get(n) not in (None, "")), default)


def _ordered_dims(variable: xr.DataArray, like: Schema | None) -> tuple[str, ...]:
    dims = tuple(str(d) for d in variable.dims if d != "specimen")
    if like is None:
        return tuple(sorted(dims, key=lambda d: d != "channel"))  # a stable sort: only the channel moves
    if like.kind == "curve" and dims == (like.t_name,):
        return dims  # on a shared grid, as answers are, where the training's were each on its own
    if set(dims) != set(like.dims):
        raise ShapeError(
            f"{variable.name!r} has dims {('specimen', *dims)}, trained with {('specimen', *like.dims)}: rename or "
            "reshape it"
        )
    return like.dims


def _present_flags(data: xr.Dataset, name: str) -> np.ndarray:
    """What ``<name>_present`` says, all True without it; (specimen,) bool."""
    key = f"{name}_present"
    if key not in data.variables:
        return np.ones(data.sizes["specimen"], dtype=bool)
    flags = data[key]
    if flags.dims != ("specimen",) or flags.dtype.kind not in "biu" or not np.isin(flags.values, (0, 1)).all():
        raise DataError(f"{key!r} must be boolean with dims ('specimen',), got {flags.dtype.name} with {flags.dims}")
    return flags.values.astype(bool)


def _neural(
    data: xr.Dataset,
    variable: xr.DataArray,
    dims: tuple[str, ...],
    raw: np.ndarray,
    present: np.ndarray,
    like: Schema | None,
) -> Measurement:
    name = str(variable.name)
    spatial = [d for d in dims if d != "channel"]
    if len(spatial) > 3:
        raise ShapeError(
            f"{name!r} has {len(spatial)} dims besides 'specimen' and 'channel' ({', '.join(spatial)}), at most 3 are "
            "supported: call one 'channel', or stack two"
        )
    own = variable.attrs.get("independent")
    if own in data.variables and "specimen" in data[own].dims:
        raise DataError(
            f"{name!r} is ragged ({own!r} differs from specimen to specimen), which a neural modality cannot be: "
            "interpolate it to a shared grid (of files: --curve-grid 100), or describe it by a Physics expert"
        )
    flat = raw.reshape(len(raw), -1)
    if raw.dtype.kind == "f":
        nan = np.isnan(flat)
        present = present & ~nan.all(axis=1)
        bad = present & nan.any(axis=1)
        if bad.any():
            raise DataError(
                f"{name!r} holds NaN inside present specimens: {_named(data, bad)}; a neural modality is there whole "
                "or not at all: fill the gaps, or set the whole specimen to NaN"
            )
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit float32 becomes inf, reported below
        values = np.require(raw, np.float32, ["C", "W"])  # torch takes no other
    if not present.all():
        values = np.where(present.reshape(-1, *[1] * len(dims)), values, np.float32(0))
    _check_finite(data, name, values.reshape(len(values), -1), "float32 numbers")
    kind, t, t_name, t_unit = _neural_kind(variable, spatial, like)
    if like is not None and values.shape[1:] != like.sizes:
        raise ShapeError(
            f"{name!r} has sizes {dict(zip(dims, values.shape[1:], strict=True))}, trained with "
            f"{dict(zip(dims, like.sizes, strict=True))}: crop or interpolate it to the trained size"
        )
    schema = Schema(
        name,
        kind,
        False,
        dims,
        values.shape[1:],
        t,
        t_name,
        t_unit,
        unit=_text(variable.attrs, "units", "unit", default="1"),
        long_name=_text(variable.attrs, "long_name", default=name),
        coords=_coords_along(variable, dims),
    )
    return Measurement(schema, values, present, t=t)


def _neural_kind(
    variable: xr.DataArray, spatial: list[str], like: Schema | None
) -> tuple[str, np.ndarray | None, str | None, str]:
    """(kind, t, t_name, t_unit) by the dims; one dim is a curve only with a numeric coordinate of 8 points or more."""
    if like is not None and like.kind != "curve":
        return like.kind, None, None, "1"
    if len(spatial) == 0:
        return ("vector" if "channel" in variable.dims else "scalar"), None, None, "1"
    if len(spatial) > 1:
        return _KINDS[len(spatial)], None, None, "1"
    name = variable.attrs.get("independent", spatial[0])
    along = name in variable.coords and variable.coords[name].dims == (spatial[0],)
    if like is not None:  # the grid may be left out at inference; if it is there, it must be the trained one
        if along and like.t is not None and not same_grid(variable.coords[name].values, like.t):
            raise DataError(
                f"{variable.name!r} has another {name!r} than in training ({like.t.size} points from {like.t[0]:g} to "
                f"{like.t[-1]:g}): interpolate it, data.interp({name}=...)"
            )
        return like.kind, like.t, like.t_name, like.t_unit
    if not along or not is_numeric_coordinate(variable.coords[name]) or variable.sizes[spatial[0]] < CURVE_POINTS:
        return "vector", None, None, "1"
    t = variable.coords[name]
    return "curve", shared_grid(t, str(variable.name)), name, _text(t.attrs, "units", "unit", default="1")


def _physics(
    data: xr.Dataset,
    variable: xr.DataArray,
    dims: tuple[str, ...],
    raw: np.ndarray,
    present: np.ndarray,
    like: Schema | None,
) -> Measurement:
    name = str(variable.name)
    if len(dims) != 1 or dims == ("channel",):
        raise ShapeError(
            f"{name!r} has dims {variable.dims}; a physics modality is one curve per specimen, dims ('specimen', t): "
            'use Neural for it, Physics("principal_curves") for a number or a vector, or make one variable per curve'
        )
    values = np.array(raw, dtype=np.float64)
    observed, present = _masked(data, name, values, present)
    coordinate = independent_variable(data, variable, dims[0])
    t, inside = coordinate.read(present)
    stray = (observed & ~inside).any(axis=1)
    if stray.any():
        raise DataError(
            f"{name!r} has values where {coordinate.name!r} is NaN, in specimens {_named(data, stray)}: give those "
            "points a coordinate, or make the values NaN too"
        )
    if like is not None:
        if t.ndim == 1 and same_grid(t, like.t):
            t = like.t
        elif t.ndim == 1:
            t = np.tile(t, (len(values), 1))
    coords = _coords_along(variable, dims)
    if t.ndim == 1 and coordinate.name not in coords:  # equal rows of a 2-D coordinate
        coords[coordinate.name] = xr.DataArray(t, dims=dims, name=coordinate.name, attrs=coordinate.attrs)
    grid = t if like is None else like.t
    if grid.ndim == 2:
        grid = union_grid(t[present]) if present.any() else t[0]
    schema = Schema(
        name,
        "curve",
        True,
        dims,
        grid.shape,
        grid,
        t_name=coordinate.name,
        t_unit=_text(coordinate.attrs, "units", "unit", default="1"),
        unit=_text(variable.attrs, "units", "unit", default="1"),
        long_name=_text(variable.attrs, "long_name", default=name),
        coords=coords,
    )
    return Measurement(schema, values, present, None if bool(observed[present].all()) else observed, t)


def _masked(data: xr.Dataset, name: str, values: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which values (specimen, T) were measured, and which specimens have any; what was not measured becomes 0."""
    observed = ~np.isnan(values) & present[:, None]
    values[~observed] = 0.0
    _check_finite(data, name, values, "float64 numbers")
    return observed, observed.any(axis=1)


def _is_numbered(data: xr.Dataset, variable: xr.DataArray, dims: tuple[str, ...], wanted: Wanted | Schema) -> bool:
    """Whether these are a vector or single numbers that an expert takes as they are."""
    if isinstance(wanted, Schema):
        return wanted.kind != "curve"
    if not wanted.numbered or len(dims) > 1:
        return False
    along = variable.attrs.get("independent", dims[0] if dims else "")
    return along not in data.variables or not is_numeric_coordinate(data[along]) or data[along].size < 2


def _numbered(
    data: xr.Dataset,
    variable: xr.DataArray,
    dims: tuple[str, ...],
    raw: np.ndarray,
    present: np.ndarray,
    like: Schema | None,
) -> Measurement:
    """Read a vector or single numbers as a curve over 0, 1, 2 ...; missing entries are gaps."""
    name = str(variable.name)
    values = np.array(raw, dtype=np.float64).reshape(len(raw), -1)
    if like is not None and values.shape[1:] != like.grid.shape:
        raise ShapeError(f"{name!r} has {values.shape[1]} entries, trained with {like.grid.size}")
    observed, present = _masked(data, name, values, present)
    t = np.arange(values.shape[1], dtype=np.float64)
    schema = Schema(
        name,
        "vector" if dims else "scalar",
        True,
        dims,
        raw.shape[1:],
        t,
        t_name=dims[0] if dims else "entry",
        t_unit="1",
        unit=_text(variable.attrs, "units", "unit", default="1"),
        long_name=_text(variable.attrs, "long_name", default=name),
        coords=_coords_along(variable, dims),
    )
    return Measurement(schema, values, present, None if bool(observed[present].all()) else observed, t)


def _coords_along(variable: xr.DataArray, dims: tuple[str, ...]) -> dict[str, xr.DataArray]:
    along = {str(k): c for k, c in variable.coords.items() if c.dims and set(c.dims) <= set(dims)}
    return {k: c.reset_coords(drop=True) for k, c in along.items()}


def _check_finite(data: xr.Dataset, name: str, values: np.ndarray, what: str) -> None:
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise DataError(
            f"{name!r} holds values that are no finite {what}, in specimens {_named(data, bad)}: remove them or make "
            "the specimen NaN"
        )


def _check_informative(measurement: Measurement) -> None:
    """Refuse a modality that no specimen has, or whose smallest and largest value are the same."""
    name = measurement.schema.name
    if not measurement.present.any():
        raise DataError(f"{name!r} is missing for every specimen: leave it out of the modalities, or check the file")
    lowest, highest = measurement.lowest_and_highest()
    low, high = lowest.min(), highest.max()
    if low == high:
        raise DataError(
            f"{name!r} is constant: every value is {low:g} in {measurement.values.dtype.name}, there is nothing to"
            " learn: leave it out, or subtract its mean if small differences matter"
        )


def _check_units(schema: Schema, like: Schema) -> None:
    pairs = [(schema.name, schema.unit, like.unit), (schema.t_name, schema.t_unit, like.t_unit)]
    pairs += [(name, unit, like.covariate_units[name]) for name, unit in schema.covariate_units.items()]
    for name, unit, trained in pairs:
        if unit != trained and "1" not in (unit, trained):
            raise DataError(f"{name!r} is in {unit!r}, trained in {trained!r}: convert it, and set attrs['units']")


def _absent(data: xr.Dataset, like: Schema) -> Measurement:
    """Make a measurement of specimens none of which has the modality."""
    specimens = data.sizes["specimen"]
    present = np.zeros(specimens, dtype=bool)
    covariates, units = read_covariates(data, like.name, like.covariates, present, given_later=True)
    schema = dataclasses.replace(like, covariate_units=units)
    _check_units(schema, like)
    shape = like.grid.shape if like.physics else like.sizes
    values = np.zeros((specimens, *shape), dtype=np.float64 if like.physics else np.float32)
    batch = None
    if like.batch is not None:
        batch = read_batches(data, like.name, like.batch, present, given_later=True)
    return Measurement(schema, values, present, t=like.t, covariates=covariates, batch=batch)
