"""The independent variable of a curve: one grid shared by all specimens, or one grid each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import DataError, ShapeError

#: Most points of the grid that ragged curves are interpolated to.
_MOST_POINTS = 256


def is_numeric_coordinate(coordinate: xr.DataArray) -> bool:
    """Whether a coordinate holds real numbers (labels, dates and booleans do not count)."""
    return coordinate.dtype.kind in "iuf"


def same_grid(t: np.ndarray, other: np.ndarray) -> bool:
    """Whether two grids agree to 1e-6 of the range of `other`: rounding to float32 and back does not count."""
    if t.dtype.kind not in "iuf" or t.shape != other.shape:
        return False
    return bool(np.abs(t.astype(np.float64) - other).max() <= 1e-6 * (other[-1] - other[0]))


def shared_grid(t: xr.DataArray, variable: str) -> np.ndarray:
    """A 1-D coordinate as float64 (T,), strictly increasing.

    Raises:
        DataError: If a point is NaN or infinite, occurs twice, or the order is not increasing.
    """
    name, values = t.name, t.values.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(f"coordinate {name!r} of {variable!r} holds NaN or infinity: drop or fill those points")
    _check_increasing(values[None], np.array([values.size]), f"coordinate {name!r} of {variable!r}")
    return values


def union_grid(t: np.ndarray) -> np.ndarray:
    """One grid for grids (specimen, T): equal steps over their union, T points, at most 256; float64 (T',)."""
    return np.linspace(t.min(), t.max(), min(t.shape[1], _MOST_POINTS))


def _check_increasing(t: np.ndarray, lengths: np.ndarray, what: str, labels: np.ndarray | None = None) -> None:
    """Every row strictly increasing in its first `lengths` points."""
    step = np.diff(t, axis=1)
    counted = np.arange(1, t.shape[1]) < lengths[:, None]
    bad = ((step <= 0) & counted).any(axis=1)
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    at = int(np.flatnonzero((step[row] <= 0) & counted[row])[0])
    where = "" if labels is None else f" in specimen {labels[row]}"
    if step[row, at] == 0:
        problem, fix = f"has the value {t[row, at]:g} twice", "keep one of the two points, or their mean"
    else:
        problem = f"falls from {t[row, at]:g} to {t[row, at + 1]:g}"
        fix = "sort it (data.sortby), or keep only the loading branch"
    raise DataError(f"{what} {problem}{where}, expected strictly increasing values: {fix}")


@dataclass(frozen=True, eq=False)
class Independent:
    """A coordinate found for a curve, not yet read."""

    name: str
    coordinate: xr.DataArray
    variable: str

    @property
    def attrs(self) -> dict:
        """Its attributes: units, long_name."""
        return dict(self.coordinate.attrs)

    def read(self, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The grid and the points it has.

        Args:
            present: (specimen,) bool; the grids of other specimens are not looked at.

        Returns:
            t: (T,) if shared or all rows are alike, else (specimen, T), padding repeating the last t; specimens that
                are not present get the grid of one that is, so that an expert can be evaluated everywhere.
            inside: Points with a coordinate, bool, of t's shape.

        Raises:
            DataError: If a grid is not finite, not increasing, or has NaN before its end.
        """
        if self.coordinate.ndim == 1:
            t = shared_grid(self.coordinate, self.variable)
            return t, np.ones(t.shape, dtype=bool)
        t = self.coordinate.values.astype(np.float64)
        what = f"coordinate {self.name!r} of {self.variable!r}"
        labels = self.coordinate["specimen"].values
        if np.isinf(t[present]).any():
            raise DataError(f"{what} holds infinities: drop those points")
        finite = np.isfinite(t)
        lengths = finite.sum(axis=1)
        inside = np.arange(t.shape[1]) < lengths[:, None]
        gaps = present & (finite != inside).any(axis=1)
        if gaps.any():
            raise DataError(
                f"{what} holds NaN before its end in specimen {labels[gaps][0]}: NaN may only pad the end of a "
                "shorter curve; drop those points"
            )
        if (present & (lengths == 0)).any():
            raise DataError(
                f"{what} is all NaN in specimen {labels[present & (lengths == 0)][0]}, which has values: give it a grid"
            )
        _check_increasing(t[present], lengths[present], what, labels[present])
        if not present.any():
            return np.tile(np.arange(t.shape[1], dtype=np.float64), (len(t), 1)), inside
        first = int(np.flatnonzero(present)[0])
        t = np.where(inside, t, np.take_along_axis(t, np.maximum(lengths - 1, 0)[:, None], axis=1))
        t[~present] = t[first]
        inside[~present] = inside[first]
        if inside.all() and np.array_equal(t, np.broadcast_to(t[first], t.shape)):
            return t[first].copy(), np.ones(t.shape[1], dtype=bool)
        return t, inside


def independent_variable(data: xr.Dataset, variable: xr.DataArray, dim: str) -> Independent:
    """Find the independent variable of a physics curve y(specimen, dim).

    It is the one named in ``attrs["independent"]``, else the coordinate of `dim`.

    Raises:
        DataError: If there is none, or it holds no numbers; the message says which coordinate to add.
        ShapeError: If its dims do not fit, or it has fewer than two points.
    """
    named = variable.attrs.get("independent")
    name = dim if named is None else str(named)
    if name not in data.variables:
        if named is not None:
            raise DataError(
                f"{variable.name!r} says attrs['independent'] = {name!r}, which the dataset does not have: add it as a "
                f"coordinate of dims ('specimen', {dim!r}), or correct the name"
            )
        own = [str(k) for k, c in variable.coords.items() if set(c.dims) == {"specimen", dim}]
        if own:
            raise DataError(
                f"{variable.name!r} does not say which coordinate is its independent variable: "
                f"data[{variable.name!r}].attrs['independent'] = {own[0]!r}"
            )
        raise DataError(
            f"{variable.name!r} has no coordinate {dim!r}, and an expert needs its independent variable: "
            f"data = data.assign_coords({dim}=values)"
        )
    coordinate = data[name]
    if set(coordinate.dims) not in ({dim}, {"specimen", dim}):
        raise ShapeError(
            f"coordinate {name!r} of {variable.name!r} has dims {coordinate.dims}, expected ({dim!r},) or "
            f"('specimen', {dim!r})"
        )
    if not is_numeric_coordinate(coordinate):
        raise DataError(
            f"coordinate {name!r} of {variable.name!r} holds {coordinate.dtype.name} values, expected real numbers: "
            "convert it, times to seconds for example"
        )
    if coordinate.sizes[dim] < 2:
        raise ShapeError(f"{variable.name!r} has one point along {dim!r}, a curve needs at least two")
    if coordinate.ndim == 2:
        coordinate = coordinate.transpose("specimen", dim)
    return Independent(name, coordinate, str(variable.name))
