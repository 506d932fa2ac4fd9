"""What baselines learn from: the target as a table with gaps, and every given modality as a table of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...data import Measurement, Wanted, check_dataset, closest, common_grid, few, read, specimen_labels
from ...data.grids import is_numeric_coordinate
from ...errors import DataError, OptionError, ShapeError
from ...fitting.speakers.features import log_spectrum

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Most pixels along a side after pooling: of a line with channels, a picture, a volume.
SIDES = {1: 1024, 2: 32, 3: 10}
#: Fewest pixels along a side for a picture to have a spectrum.
TEXTURE = 32
#: Specimens that are pooled at a time.
_BLOCK = 256
#: More categories than this share of the specimens: a name of each specimen, which says nothing about others.
_NAMES = 0.5
#: Stand-ins for the names of a variable's dim and coordinate while it is read as a line of numbered entries.
_ENTRY = "entry"


@dataclass(frozen=True, eq=False)
class Target:
    r"""What is to be predicted, of N specimens at T points.

    Args:
        name: The variable.
        kind: ``"curve"``, ``"vector"`` or ``"scalar"``.
        values: Shape (N, T), in `unit`; 0 where nothing was measured.
        observed: Which of them were measured, shape (N, T).
        dims: Dims of one specimen's values, none for a scalar.
        coords: Coordinates along `dims`.
        unit: Of the values.
        long_name: For axes.
        measured: The curve as it was read, on its own grid; None for a vector or scalar.
    """

    name: str
    kind: str
    values: Array
    observed: Flags
    dims: tuple[str, ...]
    coords: dict[str, xr.DataArray]
    unit: str
    long_name: str
    measured: Measurement | None = None

    @property
    def resampled(self) -> bool:
        """Whether its curves had grids of their own, and were brought to one."""
        return self.measured is not None and self.measured.ragged

    def take(self, index: Flags) -> Target:
        """The specimens of ``index``."""
        return replace(self, values=self.values[index], observed=self.observed[index], measured=None)


@dataclass(frozen=True, eq=False)
class Given:
    """One modality that is given, as a table.

    Args:
        name: The variable or coordinate.
        kind: ``"picture"`` (and volumes), ``"curve"``, ``"vector"`` or ``"setting"``.
        values: Shape (N, F); pooled pixels, points, entries, one number, or one column for each category.
        observed: Which of them were measured, shape (N, F); all of a specimen that has the modality, but for gaps in
            curves and vectors.
        present: Which specimens have the modality, shape (N,).
        spectrum: Logarithm of the power spectrum of a picture of at least :data:`TEXTURE` pixels a side, (N, S), all of
            one variance; None of anything else.
    """

    name: str
    kind: str
    values: Array
    observed: Flags
    present: Flags
    spectrum: Array | None = None

    def take(self, index: Flags) -> Given:
        """The specimens of ``index``."""
        rows = (self.values[index], self.observed[index], self.present[index])
        return Given(self.name, self.kind, *rows, None if self.spectrum is None else self.spectrum[index])


def known_names(data: xr.Dataset) -> list[str]:
    """What may be named as target or given: variables of specimens, and coordinates of one value each."""
    names = [str(k) for k, v in data.data_vars.items() if "specimen" in v.dims and not str(k).endswith("_present")]
    return names + [str(k) for k, v in data.coords.items() if v.dims == ("specimen",) and k != "specimen"]


def check_names(data: xr.Dataset, target: str, given: str | Sequence[str]) -> list[str]:
    """Check what is to be predicted, and list what from.

    Raises:
        DataError: If the dataset has no such name.
        OptionError: If nothing is given, one name twice, or the target itself.
    """
    check_dataset(data)
    names = [given] if isinstance(given, str) else list(given)
    known = known_names(data)
    for name in (target, *names):
        if name not in known:
            what = "target" if name is target else "given"
            raise DataError(f"{what}={name!r} is no modality or setting of the dataset: {closest(name, known)}")
    if not names:
        others = [name for name in known if name != target]
        raise OptionError(f"given is empty: name what {target!r} is to be predicted from; {closest('', others)}")
    if target in names:
        raise OptionError(f"{target!r} is both target and given: leave it out of given")
    if len(set(names)) < len(names):
        raise OptionError(f"given holds a name twice: {', '.join(map(repr, names))}")
    return names


def read_target(data: xr.Dataset, name: str) -> Target:
    """Read what is to be predicted, by the checks of every modality.

    Raises:
        DataError: If its values cannot be used, or none was measured.
        ShapeError: If it is a picture or a volume.
    """
    variable = data[name]
    others = [str(d) for d in variable.dims if d != "specimen"]
    if len(others) > 1:
        raise ShapeError(
            f"the target {name!r} has dims {variable.dims}: expected a curve, a vector or a scalar, one value or one"
            " line of values for each specimen; make one of it, such as its mean"
        )
    attrs = variable.attrs
    words = str(attrs.get("units") or attrs.get("unit") or "1"), str(attrs.get("long_name") or name)
    if _is_single(variable):
        values, present = _single(data, name)
        return Target(name, "scalar", values[:, None], present[:, None], (), {}, *words)
    measured, is_curve = _line(data, name)
    if is_curve and measured.ragged:
        grid = common_grid(measured)
        values, observed = _on_grid(measured, grid)
        t_name = str(measured.schema.t_name)
        coords = {t_name: xr.DataArray(grid, dims=t_name, attrs={"units": measured.schema.t_unit})}
        return Target(name, "curve", values, observed, (t_name,), coords, *words, measured)
    values = np.asarray(measured.values, dtype=np.float64)
    along = {str(k): c.reset_coords(drop=True) for k, c in variable.coords.items() if c.dims == (others[0],)}
    observed = np.broadcast_to(measured.mask(), values.shape)
    kind = "curve" if is_curve else "vector"
    return Target(name, kind, values, observed, (others[0],), along, *words, measured if is_curve else None)


def read_given(data: xr.Dataset, name: str) -> Given:
    """Read one given modality or setting as a table; pictures are pooled to at most 32 pixels a side.

    Raises:
        DataError: If its values cannot be used, or it is text that names each specimen apart.
        ShapeError: If its dims cannot.
    """
    variable = data[name]
    if variable.dims == ("specimen",) and variable.dtype.kind not in "biuf":
        return _categories(name, variable)
    if _is_single(variable):
        values, present = _single(data, name)
        return Given(name, "setting", values[:, None], present[:, None], present)
    if variable.ndim == 2:
        measured, is_curve = _line(data, name)
        if is_curve and measured.ragged:
            values, observed = _on_grid(measured, common_grid(measured))
        else:
            values = np.asarray(measured.values, dtype=np.float64)
            observed = np.broadcast_to(measured.mask(), values.shape)
        return Given(name, "curve" if is_curve else "vector", values, observed, measured.present)
    measured = read(data, {name: Wanted()})[name]
    values, spectrum = _pooled(measured), None
    observed = np.broadcast_to(measured.present[:, None], values.shape)
    dims, sizes = measured.schema.dims, measured.schema.sizes
    if min(size for dim, size in zip(dims, sizes, strict=True) if dim != "channel") >= TEXTURE:
        spectrum = _spectrum(measured)
    return Given(name, "picture", values, observed, measured.present, spectrum)


def _is_single(variable: xr.DataArray) -> bool:
    """Whether a variable holds one value for each specimen."""
    return variable.dims == ("specimen",) or (variable.ndim == 2 and variable.size == variable.sizes["specimen"])


def _single(data: xr.Dataset, name: str) -> tuple[Array, Flags]:
    """One number for each specimen, in double precision, 0 where it is missing; and which have it."""
    kept = {n: data[n].variable for n in (name, f"{name}_present") if n in data.variables}
    alone = {n: (("specimen",), v.values.reshape(v.sizes["specimen"]), v.attrs) for n, v in kept.items()}
    numbers = xr.Dataset(alone, coords={"specimen": specimen_labels(data)})  # an error names specimens by their labels
    present = read(numbers, {name: Wanted()})[name].present
    return np.where(present, numbers[name].values.astype(np.float64), 0.0), present


def _line(data: xr.Dataset, name: str) -> tuple[Measurement, bool]:
    """One line of values for each specimen, gaps allowed; and whether it is a curve, which has a numeric coordinate."""
    variable = data[name]
    dim = next(str(d) for d in variable.dims if d != "specimen")
    along = variable.attrs.get("independent", dim)
    if dim != "channel" and along in data.variables and is_numeric_coordinate(data[along]):
        return read(data, {name: Wanted(physics=True)})[name], True
    kept = data[[n for n in (name, f"{name}_present") if n in data.data_vars]]
    kept = kept.drop_vars([c for c, v in kept.coords.items() if dim in v.dims])
    numbered = kept.rename({dim: _ENTRY}).assign_coords({_ENTRY: np.arange(variable.sizes[dim], dtype=np.float64)})
    numbered[name].attrs.pop("independent", None)
    return read(numbered, {name: Wanted(physics=True)})[name], False


def _on_grid(measured: Measurement, grid: Array) -> tuple[Array, Flags]:
    """Curves with grids of their own on one grid, by straight lines; nothing outside what was measured."""
    values, observed = np.zeros((len(measured), grid.size)), np.zeros((len(measured), grid.size), dtype=bool)
    own = np.asarray(measured.values, dtype=np.float64)
    seen = np.broadcast_to(measured.mask(), own.shape)
    t = np.broadcast_to(np.asarray(measured.t), own.shape)
    for n in np.flatnonzero(measured.present):
        at = t[n, seen[n]]
        observed[n] = (grid >= at[0]) & (grid <= at[-1])
        values[n] = np.where(observed[n], np.interp(grid, at, own[n, seen[n]]), 0.0)
    return values, observed


def _pooled(measured: Measurement) -> Array:
    """Pixels averaged in blocks, at most :data:`SIDES` along each side, a row for each specimen."""
    dims, sizes = measured.schema.dims, measured.schema.sizes
    axes = [axis for axis, dim in enumerate(dims, 1) if dim != "channel"]
    side = SIDES[len(axes)]
    rows = []
    for start in range(0, len(measured), _BLOCK):
        block = np.asarray(measured.values[start : start + _BLOCK], dtype=np.float64)
        for axis in axes:
            size = sizes[axis - 1]
            edges = np.arange(0, size, -(-size // side))
            shape = [-1 if a == axis else 1 for a in range(block.ndim)]
            block = np.add.reduceat(block, edges, axis=axis) / np.diff(np.append(edges, size)).reshape(shape)
        rows.append(block.reshape(len(block), -1))
    return np.concatenate(rows)


def _spectrum(measured: Measurement) -> Array:
    """Logarithm of the power spectrum, a row for each specimen."""
    rows = []
    for start in range(0, len(measured), _BLOCK):
        block = np.asarray(measured.values[start : start + _BLOCK], dtype=np.float64)
        if "channel" not in measured.schema.dims:
            block = block[:, None]
        rows.append(log_spectrum(np.where(np.isfinite(block), block, 0.0)))
    return np.concatenate(rows)


def _categories(name: str, variable: xr.DataArray) -> Given:
    """Text along the specimens: one column of 0 and 1 for each category."""
    if variable.dtype.kind not in "OUS":
        raise DataError(
            f"the setting {name!r} holds {variable.dtype.name} values, expected numbers or text: convert it, a date to"
            " days since the first one for example"
        )
    text = np.array([v.strip() if isinstance(v, str) else "" for v in variable.values.tolist()])
    present = text != ""
    levels = np.unique(text[present])
    if len(levels) > max(2, _NAMES * present.sum()):
        shown = few(levels)
        raise DataError(
            f"the setting {name!r} has {len(levels)} categories for {int(present.sum())} specimens ({shown}): it names"
            " specimens apart and says nothing about others; leave it out of given"
        )
    if len(levels) < 2:
        raise DataError(f"the setting {name!r} is the same for every specimen: leave it out of given")
    values = (text[:, None] == levels).astype(np.float64)
    return Given(name, "setting", values, np.broadcast_to(present[:, None], values.shape), present)


def usable(data: xr.Dataset, target: Target, given: Sequence[Given]) -> tuple[Flags, str]:
    """Which specimens have the target and everything that is given, (N,); and who is left out, in a sentence or "".

    Raises:
        DataError: If fewer than six do.
    """
    there = {target.name: target.observed.any(1), **{one.name: one.present for one in given}}
    use = np.all(list(there.values()), axis=0)
    counts = [f"{int((~flags).sum())} have no {name!r}" for name, flags in there.items() if not flags.all()]
    out = few(specimen_labels(data)[~use])
    words = f"{int((~use).sum())} of {len(use)} specimens are left out ({out}): {', '.join(counts)}" if counts else ""
    if use.sum() < 6:
        raise DataError(
            f"{int(use.sum())} specimens have {', '.join(map(repr, there))} together, too few to hold some out: at"
            f" least 6 are needed{'; ' + words if words else ''}"
        )
    return use, words
