"""Curves of one modality brought together: the names and units they share, and one variable of all of them.

y(specimen, x) on a shared grid, or y(specimen, point) where each keeps its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from ..data.grids import same_grid
from ..data.names import closest
from ..data.reading_log import Unusable
from ..errors import DataError, OptionError
from ..units import Unit, find_unit, unit_of
from . import shaping
from .formats.curves import Curve, CurveFiles
from .headers import canonical

#: A strain beyond this, in a file that states no unit, is taken for one in per cent.
_LARGEST_STRAIN = 10.0
#: What is said of a strain above 1 whose unit is not stated.
LARGE_STRAIN = "though it reaches"
#: A file that states no unit must not span this many times, or this part of, what the others span.
_ODD = 30.0
#: A strain without a unit is taken for one in a unit in which it spans at most this many times what the others span.
_ALIKE = 8.0


@dataclass(frozen=True, eq=False)
class Agreed:
    """What the curves of a modality have in common: names and units of x and y.

    Attributes:
        names: Of x and y.
        quantities: Of x and y, where known.
        units: The unit of the result, where one is stated or asked for; None for strain, which becomes 1.
        stated: The unit that most files state, of a strain too.
        spans: What curves that state a unit typically span, in the unit of the result; NaN where none does.
    """

    names: tuple[str, str]
    quantities: tuple[str | None, str | None]
    units: tuple[Unit | None, Unit | None]
    stated: tuple[Unit | None, Unit | None] = (None, None)
    spans: tuple[float, float] = (np.nan, np.nan)


def agree(curves: Sequence[Curve], spec: CurveFiles, modality: str) -> Agreed:
    """Names, quantities and units that most curves have.

    Raises:
        DataError: If no quantity has the majority: nobody can know which files are wrong.
        OptionError: If a unit asked for is of another quantity, or names no column; if true stress is asked for and
            the curves are no stress against strain.
    """
    first, second = (Counter(curve.names[k] for curve in curves).most_common(1)[0][0] for k in (0, 1))
    names = first, second
    known = {names[0]: 0, names[1]: 1, "x": 0, "y": 1}
    wanted: list[str | None] = [None, None]
    for name, unit in spec.units.items():
        key = canonical(name)[0]
        if key not in known:
            raise OptionError(
                f"units of {modality!r} name {name!r}, which is none of its columns: {closest(key, known)}"
            )
        wanted[known[key]] = unit
    quantities, units, most_stated, spans = [], [], [], []
    for k in (0, 1):
        votes = Counter(q for curve in curves if (q := curve.quantities[k]) is not None)
        quantity = None
        if votes:
            (quantity, most), *rest = votes.most_common()
            if rest and most <= sum(n for _, n in rest):
                shown = ", ".join(f"{n} files a {q}" for q, n in votes.most_common())
                raise DataError(
                    f"the files of {modality!r} do not hold the same quantity as {'xy'[k]}: {shown}; name the column "
                    f"({'xy'[k]}=...), or part the files"
                )
        stated = Counter(u for c in curves if (u := c.units[k]) is not None and quantity in (None, c.quantities[k]))
        unit = stated.most_common(1)[0][0] if stated and quantity != "strain" else None
        asked = wanted[k]
        if asked is not None:
            unit = unit_of(asked)
            if quantity is not None and unit.quantity != quantity:
                raise OptionError(
                    f"units of {modality!r} give {asked!r} for {names[k]!r}, which is a {quantity} in the files"
                )
        quantities.append(quantity)
        units.append(unit)
        most_stated.append(stated.most_common(1)[0][0] if stated else None)
        spans.append(_typical_span(curves, k, find_unit("1") if quantity == "strain" else unit))
    if spec.true is not None and (quantities[0] not in (None, "strain") or quantities[1] not in (None, "stress")):
        raise OptionError(
            f"true={spec.true!r} needs stress against strain; {modality!r} has {names[1]!r} against {names[0]!r}"
        )
    return Agreed(names, tuple(quantities), tuple(units), tuple(most_stated), tuple(spans))


def _typical_span(curves: Sequence[Curve], k: int, to: Unit | None) -> float:
    """What the curves that state a unit typically span along an axis, in another; NaN where there is none."""
    spans = [
        float(np.ptp(values[np.isfinite(values)]))
        for c in curves
        if to is not None and (unit := c.units[k]) is not None and unit.quantity == to.quantity
        if np.isfinite(values := unit.to(to, (c.x, c.y)[k])).any()
    ]
    return float(np.median(spans)) if spans else np.nan


def shape_curve(curve: Curve, agreed: Agreed, spec: CurveFiles) -> Curve:
    """One curve in the agreed units, cleaned and cut as asked for; its notes say what was done.

    Raises:
        Unusable: If it is of another quantity, or too little of it is left.
    """
    values, notes = [curve.x, curve.y], list(curve.notes)
    for k, axis in enumerate("xy"):
        quantity, unit = curve.quantities[k], curve.units[k]
        if None not in (quantity, agreed.quantities[k]) and quantity != agreed.quantities[k]:
            stated = "" if unit is None else f" in {unit.name}"
            raise Unusable(
                f"has as {axis} the column {curve.headers[k]!r}, a {quantity}{stated}; the others have a "
                f"{agreed.quantities[k]}"
            )
        values[k], done = _in_result_unit(values[k], unit, agreed, k)
        notes += done
    x, y = values
    x, y, done = shaping.drop_gaps(x, y)
    notes += done
    if agreed.quantities[0] in ("strain", "length") and agreed.quantities[1] in ("stress", "force"):
        x, y, done = shaping.positive(x, y, each=curve.names[0] in ("strain", "displacement"))
        notes += done
    if agreed.quantities[0] == "time":
        shaping.one_clock(x)
    x, y, done = shaping.first_rise(x, y, spec.loading_only)
    notes += done
    if spec.zero == "toe":
        x, y, done = shaping.correct_toe(x, y)
        notes += done
    elif spec.zero == "preload":
        x, y, done = shaping.correct_preload(x, y)
        notes += done
    elif curve.names[0] in ("strain", "displacement") and curve.names[1] in ("stress", "force"):
        notes += shaping.found_at_zero(x, y)
    if spec.true is not None:
        x, y, done = shaping.to_true(x, y, spec.true)
        notes += done
    if spec.window is not None and spec.window != "common":
        x, y, done = shaping.inside(x, y, (float(spec.window[0]), float(spec.window[1])))
        notes += done
    return replace(curve, x=x, y=y, notes=tuple(notes))


def _in_result_unit(values: np.ndarray, unit: Unit | None, agreed: Agreed, k: int) -> tuple[np.ndarray, list[str]]:
    """Values in the unit of the result, and what was done to them; unit is what the file states.

    Raises:
        Unusable: If the unit cannot be turned into that of the result, or a strain without one cannot be in 1.
    """
    name, to = agreed.names[k], result_unit(agreed, k)
    if to is None:
        return values, []
    notes: list[str] = []
    source = unit or agreed.units[k]
    if source is None:
        source, notes = _unstated_strain(values, agreed, k, to)
    if source.quantity != to.quantity:
        raise Unusable(
            f"states the unit {source.name!r} of {name}, which cannot be turned into {to.name!r}: correct it there"
        )
    values = source.to(to, values)
    if source != to:
        notes.append(f"{name} from {source.name} to {to.name}")
    if unit is not None or (source != to and agreed.units[k] is None):
        return values, notes
    most = np.nanmax(np.abs(values), initial=0)
    if source.name != "1":
        notes.append(f"states no unit of {name}, taken as {source.name}")
    elif most > _LARGEST_STRAIN:
        raise Unusable(f'states no unit of {name}, and {most:.4g} is no strain in 1: say units={{"{name}": "%"}}')
    elif most > 1:
        notes.append(f"states no unit of {name}, taken as 1, {LARGE_STRAIN} {most:.4g}")
    return values, notes


def _unstated_strain(values: np.ndarray, agreed: Agreed, k: int, to: Unit) -> tuple[Unit, list[str]]:
    """The unit of a strain whose file states none: 1, or that of the other files where it alone fits what they span.

    Raises:
        Unusable: If neither fits, or both do.
    """
    other, typical = agreed.stated[k], agreed.spans[k]
    if other is None or other == to or not np.isfinite(typical) or typical <= 0:
        return to, []
    finite = values[np.isfinite(values)]
    span = float(np.ptp(finite)) if finite.size else 0.0
    fits = [unit for unit in (to, other) if 1 / _ALIKE < float(unit.to(to, np.array(span))) / typical < _ALIKE]
    if not fits and np.abs(finite).max(initial=0) > _LARGEST_STRAIN:
        return to, []  # refused as no strain at all
    if len(fits) != 1:
        raise Unusable(
            f"states no unit of {agreed.names[k]}, and spans {span:.4g}, which may be in {to.name} or, as in the other "
            f"files, in {other.name}: write it in the file"
        )
    unit = fits[0]
    return unit, [f"states no unit of {agreed.names[k]}, taken as {unit.name}, as what the other files span tells"]


def result_unit(agreed: Agreed, k: int) -> Unit | None:
    """The unit of the result: the agreed one, but strain in 1."""
    return find_unit("1") if agreed.quantities[k] == "strain" else agreed.units[k]


def details(raw: Curve, shaped: Curve, agreed: Agreed) -> dict[str, str | int]:
    """What was read of a file, by the columns of `pima.reading_details`."""
    out: dict[str, str | int] = {"place": raw.place}
    for k, axis in enumerate("xy"):
        before, after = raw.units[k], result_unit(agreed, k)
        out |= {axis: raw.headers[k], f"{axis}_unit": before.name if before else ""}
        out[f"{axis}_unit_after"] = after.name if after else ""
    return out | {"points_read": raw.read, "points_kept": int(shaped.x.size)}


def odd_one(curve: Curve, curves: Sequence[Curve]) -> str | None:
    """Why a curve that states no unit cannot have that of the others: it spans far more or far less; else None."""
    if len(curves) < 4:
        return None
    for k, axis in enumerate("xy"):
        if curve.units[k] is not None:
            continue
        typical = np.median([np.ptp((c.x, c.y)[k]) for c in curves])
        ratio = np.ptp((curve.x, curve.y)[k]) / typical if typical > 0 else 1.0
        if not 1 / _ODD < ratio < _ODD:
            return f"states no unit of {axis} ({curve.headers[k]!r}), and spans {ratio:.3g} times what the others span"
    return None


def combine(
    curves: Sequence[Curve | None], agreed: Agreed, spec: CurveFiles, modality: str
) -> tuple[xr.DataArray, str]:
    """All curves of a modality as one variable; None is a specimen without.

    Args:
        curves: Of `shape_curve`, in the order of the specimens.
        agreed: Of `agree`.
        spec: The options.
        modality: The variable's name.

    Returns:
        The variable, dims (specimen, x) with the coordinate x, or (specimen, point) with x as a coordinate of both
        dims, named in ``attrs["independent"]``; and what was done to all of them, for the reading log.
    """
    there = [curve for curve in curves if curve is not None]
    starts, ends = (np.array([curve.x[k] for curve in there]) for k in (0, -1))
    low, high = starts.min(), ends.max()
    if spec.window == "common":
        low, high = starts.max(), ends.min()
        if low >= high:
            raise DataError(
                f"the curves of {modality!r} have no range of {agreed.names[0]!r} in common: give window=(lower, upper)"
            )
    elif spec.window is not None:
        low, high = float(spec.window[0]), float(spec.window[1])
    grid = None
    spacing = ""
    if isinstance(spec.grid, int):
        grid, spacing = shaping.common_grid([(c.x, c.y) for c in there], low, high, spec.grid)
    elif spec.grid is not None:
        grid = np.asarray(spec.grid, dtype=float)
    name, done = agreed.names[0], ""
    coords_attrs, attrs = _attrs(agreed, spec)
    own = [_cut(curve, low, high) if spec.window == "common" else (curve.x, curve.y) for curve in there]
    if grid is None and all(same_grid(x, own[0][0]) for x, _ in own):
        grid = own[0][0]
        rows = [y for _, y in own]
    elif grid is not None:
        rows = [shaping.on_grid(curve.x, curve.y, grid) for curve in there]
        done = f"interpolated to {grid.size} points of {name} from {grid[0]:.4g} to {grid[-1]:.4g}{spacing}"
    if grid is not None:
        values = np.full((len(curves), grid.size), np.nan)
        for k, row in zip([k for k, curve in enumerate(curves) if curve is not None], rows, strict=True):
            values[k] = row
        coords = {name: (name, grid, coords_attrs)}
        return xr.DataArray(values, dims=("specimen", name), coords=coords, name=modality, attrs=attrs), done
    longest = max(x.size for x, _ in own)
    t, values = (np.full((len(curves), longest), np.nan) for _ in range(2))
    present = [k for k, curve in enumerate(curves) if curve is not None]
    for k, (x, y) in zip(present, own, strict=True):
        t[k, : x.size], values[k, : y.size] = x, y
    coords = {name: (("specimen", "point"), t, coords_attrs)}
    attrs["independent"] = name
    return xr.DataArray(values, dims=("specimen", "point"), coords=coords, name=modality, attrs=attrs), done


def _cut(curve: Curve, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    keep = (curve.x >= low) & (curve.x <= high)
    if keep.sum() < shaping.FEWEST:
        raise DataError(
            f"the range that all curves have, {low:g} to {high:g}, leaves one of them {int(keep.sum())} points: give "
            "window=(lower, upper), or grid="
        )
    return curve.x[keep], curve.y[keep]


def _attrs(agreed: Agreed, spec: CurveFiles) -> tuple[dict[str, str], dict[str, str]]:
    """Attributes of x and y: units where they are known, and a long name."""
    out = []
    for k in (0, 1):
        unit = result_unit(agreed, k)
        kind = "true " if spec.true is not None else ""
        attrs = {"long_name": f"{kind}{agreed.names[k].replace('_', ' ')}"}
        attrs |= {"loading": spec.true} if spec.true is not None and k == 1 else {}
        out.append(attrs | ({} if unit is None else {"units": unit.name}))
    return out[0], out[1]
