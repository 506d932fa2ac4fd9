"""One modality of a dataset, read and checked: `measure(data, "stress", physics=True) -> Measured`.

Everything after this file may rely on finite numbers, native float types, one order of the dims, a strictly
increasing independent variable, and masks that say what was observed. Bad input ends here, in one sentence.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import xarray as xr

from ..errors import DataError, ShapeError
from .covariates import read_covariates
from .grids import independent_variable, is_numeric_coordinate, same_grid, shared_grid, union_grid
from .measurement import Measurement
from .names import closest, few, specimen_labels

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


def measure(
    data: xr.Dataset,
    name: str,
    *,
    physics: bool,
    covariates: tuple[str, ...] = (),
    like: Measurement | None = None,
    part: bool = False,
) -> Measurement:
    """Read one modality.

    The kind follows from the dims besides ``specimen`` and ``channel``: none a scalar, one a curve (numeric coordinate
    of at least 8 points; for physics any) or else a vector, two an image, three a volume. A specimen lacks a modality
    if all its values are NaN or the boolean variable ``<name>_present`` (specimen) says so.

    A physics curve is ``y(specimen, t)`` on a shared grid, the coordinate ``t``, or ``y(specimen, point)`` with the
    independent variable as a coordinate of dims (specimen, point), NaN at the end, named in ``attrs["independent"]``.
    Rows that are all alike count as a shared grid. Points that are NaN are masked.

    Args:
        data: Dataset with a ``specimen`` dim.
        name: Name of the variable.
        physics: Whether an expert will describe it: float64, gaps and own grids allowed.
        covariates: Further inputs of that expert, see :func:`~pima_toolkit.data.covariates.read_covariates`; at
            inference those of `like`.
        like: The modality as trained, at inference: dims, sizes and units must fit, a missing variable means that
            no specimen has it, and constant or absent values are no error. A neural curve must have the trained
            grid. A physics curve on the trained grid (to 1e-6 of its range) keeps it; on any other grid, or when
            the training was ragged, it is returned with t of shape (specimen, T): expert and encoder can use it.
            Where no specimen has a ragged modality, t is the common grid of the training.
        part: These are some of the specimens, and may hold nothing to learn from.

    Raises:
        DataError: If the values or the independent variable cannot be used.
        ShapeError: If the dims do not suit the modality, or do not fit `like`.

    Source: MODEL.md §8.
    """
    check_dataset(data)
    if name not in data.data_vars:
        if like is not None:
            return _absent(data, like)
        inside = [v for v, a in data.data_vars.items() if "specimen" in a.dims and not str(v).endswith("_present")]
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
    read = _physics if physics else _neural
    measured = read(data, variable, dims, raw, present, like)
    names = covariates if like is None else tuple(like.covariates)
    values, units = read_covariates(data, name, names, measured.present, given_later=like is not None)
    measured = dataclasses.replace(measured, covariates=values, covariate_units=units)
    if like is None and not part:
        seen = np.broadcast_to(measured.mask(), measured.values.shape)
        low, high = (f(measured.values, where=seen, initial=i) for f, i in ((np.min, np.inf), (np.max, -np.inf)))
        check_informative(name, bool(measured.present.any()), low, high, measured.values.dtype.name)
    elif like is not None:
        _check_units(measured, like)
    return measured


def _named(data: xr.Dataset, bad: np.ndarray) -> str:
    return few(specimen_labels(data)[bad])


def _text(attrs: dict, *names: str, default: str) -> str:
    return next((str(attrs[n]) for n in names if attrs.get(n) not in (None, "")), default)


def _ordered_dims(variable: xr.DataArray, like: Measurement | None) -> tuple[str, ...]:
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
    like: Measurement | None,
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
            "interpolate it to a shared grid, or describe it by a Physics expert"
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
    if like is not None and values.shape[1:] != like.values.shape[1:]:
        raise ShapeError(
            f"{name!r} has sizes {dict(zip(dims, values.shape[1:], strict=True))}, trained with "
            f"{dict(zip(dims, like.values.shape[1:], strict=True))}: crop or interpolate it to the trained size"
        )
    return Measurement(
        name,
        kind,
        dims,
        values,
        present,
        None,
        t,
        t_name,
        t_unit,
        unit=_text(variable.attrs, "units", "unit", default="1"),
        long_name=_text(variable.attrs, "long_name", default=name),
        coords=_coords_along(variable, dims),
    )


def _neural_kind(
    variable: xr.DataArray, spatial: list[str], like: Measurement | None
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
    like: Measurement | None,
) -> Measurement:
    name = str(variable.name)
    if len(dims) != 1 or dims == ("channel",):
        raise ShapeError(
            f"{name!r} has dims {variable.dims}; a physics modality is one curve per specimen, dims ('specimen', t): "
            "use Neural for it, or make one variable per curve"
        )
    values = np.array(raw, dtype=np.float64)
    observed = ~np.isnan(values) & present[:, None]
    present = observed.any(axis=1)
    values[~observed] = 0.0
    _check_finite(data, name, values, "float64 numbers")
    coordinate = independent_variable(data, variable, dims[0])
    t, inside = coordinate.read(present)
    stray = (observed & ~inside).any(axis=1)
    if stray.any():
        raise DataError(
            f"{name!r} has values where {coordinate.name!r} is NaN, in specimens {_named(data, stray)}: give those "
            "points a coordinate, or make the values NaN too"
        )
    if like is not None and like.t is not None:
        if t.ndim == 1 and like.t.ndim == 1 and same_grid(t, like.t):
            t = like.t
        elif t.ndim == 1:
            t = np.tile(t, (len(values), 1))
    coords = _coords_along(variable, dims)
    if t.ndim == 1 and coordinate.name not in coords:  # equal rows of a 2-D coordinate
        coords[coordinate.name] = xr.DataArray(t, dims=dims, name=coordinate.name, attrs=coordinate.attrs)
    return Measurement(
        name,
        "curve",
        dims,
        values,
        present,
        observed=None if bool(observed[present].all()) else observed,
        t=t,
        t_name=coordinate.name,
        t_unit=_text(coordinate.attrs, "units", "unit", default="1"),
        unit=_text(variable.attrs, "units", "unit", default="1"),
        long_name=_text(variable.attrs, "long_name", default=name),
        coords=coords,
    )


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


def check_informative(name: str, anything: bool, low: float, high: float, dtype: str) -> None:
    """Refuse a modality that no specimen has, or whose smallest and largest value are the same.

    Raises:
        DataError: Naming it.
    """
    if not anything:
        raise DataError(f"{name!r} is missing for every specimen: leave it out of the modalities, or check the file")
    if low == high:
        raise DataError(
            f"{name!r} is constant: every value is {low:g} in {dtype}, there is nothing to learn: "
            "leave it out, or subtract its mean if small differences matter"
        )


def _check_units(measured: Measurement, like: Measurement) -> None:
    pairs = [(measured.name, measured.unit, like.unit), (measured.t_name, measured.t_unit, like.t_unit)]
    pairs += [(name, unit, like.covariate_units[name]) for name, unit in measured.covariate_units.items()]
    for name, unit, trained in pairs:
        if unit != trained and "1" not in (unit, trained):
            raise DataError(f"{name!r} is in {unit!r}, trained in {trained!r}: convert it, and set attrs['units']")


def _absent(data: xr.Dataset, like: Measurement) -> Measurement:
    """`like` for specimens none of which has it."""
    specimens = data.sizes["specimen"]
    present = np.zeros(specimens, dtype=bool)
    covariates, units = read_covariates(data, like.name, tuple(like.covariates), present, given_later=True)
    t, shape = like.t, like.values.shape[1:]
    if t is not None and t.ndim == 2:
        t = union_grid(t[like.present])
        shape = t.shape
    absent = dataclasses.replace(
        like,
        values=np.zeros((specimens, *shape), dtype=like.values.dtype),
        present=present,
        observed=None,
        t=t,
        covariates=covariates,
        covariate_units=units,
    )
    _check_units(absent, like)
    return absent
