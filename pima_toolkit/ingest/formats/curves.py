"""`CurveFiles`: how files of curves become one modality; and one of them: two columns of a file, `read_curve`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...data.names import closest
from ...data.reading_log import Unusable
from ...errors import OptionError
from ...units import Unit, find_unit, unit_of
from ..headers import canonical, slug
from .reader import Columns
from .registry import read_columns

#: Which column is taken for x, and which for y, where it is not said: the first of these quantities that is there.
_X_ORDER = ("strain", "displacement", "time", "temperature")
_Y_ORDER = ("stress", "force")
#: What y is called in files without a header.
NAMELESS = "value"


@dataclass(frozen=True)
class CurveFiles:
    """One modality of curves; every option has a default that suits a folder of tests.

    Attributes:
        files: Column of the table, name of a sub-folder, or pattern from the folder such as ``"tests/{id}_raw.csv"``.
            None: the folder's files of curves.
        x: Column of the independent variable: its name (without unit) or number from 0. None: strain, displacement,
            time or temperature, whichever comes first; else the first column.
        y: Column of the values. None: stress or force; else the first column beside x.
        grid: A number of points: equal steps over the window, or over the range of all curves. An array: these x.
            Values are interpolated inside a curve's measured range, NaN outside. None: every curve keeps its points.
        window: (lower, upper) x that is kept; ``"common"``: the range that all curves have.
        loading_only: Keep the first rise of x, without unloading and loops. False: such a curve is not used.
        toe: Move the origin of x to where the steepest tangent meets y = 0; see `shaping.correct_toe`.
        true: ``"tension"`` or ``"compression"``: engineering to true stress and strain.
        units: Unit by name, such as ``{"stress": "MPa"}``: of files that state none, and of the result. Without it the
            result is in the unit that most files state. Strain always becomes 1; where none is stated it is 1 already.
        sheet: Sheet of a workbook, by name or number from 0. None: the one with the most numbers.
    """

    files: str | None = None
    x: str | int | None = None
    y: str | int | None = None
    grid: int | Sequence[float] | None = None
    window: Sequence[float] | str | None = None
    loading_only: bool = True
    toe: bool = False
    true: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    sheet: str | int | None = None

    def __post_init__(self) -> None:
        if self.true not in (None, "tension", "compression"):
            raise OptionError(f"true is {self.true!r}, expected 'tension', 'compression' or None")
        if isinstance(self.grid, bool) or (isinstance(self.grid, int) and self.grid < 2):
            raise OptionError(f"grid is {self.grid!r}, expected a number of points of at least 2, or the points")
        if self.grid is not None and not isinstance(self.grid, int):
            points = np.asarray(self.grid, dtype=float)
            if points.ndim != 1 or points.size < 2 or not np.isfinite(points).all() or (np.diff(points) <= 0).any():
                raise OptionError("grid is no row of at least two increasing numbers")
        if self.window is not None and self.window != "common":
            pair = () if isinstance(self.window, str) else tuple(self.window)
            if len(pair) != 2 or not pair[0] < pair[1]:
                raise OptionError(f"window is {self.window!r}, expected (lower, upper) or 'common'")


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve as read: two columns with their names and units, and what was done.

    Attributes:
        x: (T,) in x_unit.
        y: (T,) in y_unit.
        headers: Of x and y, as the file has them.
        names: Of x and y, our words where we have them.
        units: Of x and y; None where the file states none.
        quantities: Of x and y by unit, else by name, else None.
        notes: For the reading log.
    """

    x: np.ndarray
    y: np.ndarray
    headers: tuple[str, str]
    names: tuple[str, str]
    units: tuple[Unit | None, Unit | None]
    quantities: tuple[str | None, str | None]
    notes: tuple[str, ...]


def read_curve(path: Path, spec: CurveFiles) -> Curve:
    """Two columns of a file; see `CurveFiles`.

    Raises:
        Unusable: If the file cannot be read, or lacks a column.
    """
    numbers = read_columns(path, spec.sheet)
    columns = _chosen(numbers, spec)
    names, units, quantities = [], [], []
    for k in columns:
        name, quantity = canonical(numbers.names[k])
        written = numbers.units[k]
        unit = None if written is None else unit_of(written)
        if written is not None and unit is not None and find_unit(written) is not None:
            quantity = unit.quantity
        names.append(name or ("t", NAMELESS)[len(names)])
        units.append(unit)
        quantities.append(quantity)
    notes = list(numbers.notes)
    shown = [numbers.names[k] or f"column {k}" for k in columns]
    if len(numbers.names) > 2 and (spec.x is None or spec.y is None):
        notes.append(f"{shown[1]!r} against {shown[0]!r}")
    x, y = numbers.values[:, columns[0]], numbers.values[:, columns[1]]
    return Curve(
        x,
        y,
        headers=(shown[0], shown[1]),
        names=(names[0], names[1]),
        units=(units[0], units[1]),
        quantities=(quantities[0], quantities[1]),
        notes=tuple(notes),
    )


def _chosen(numbers: Columns, spec: CurveFiles) -> tuple[int, int]:
    filled = [k for k in range(len(numbers.names)) if np.isfinite(numbers.values[:, k]).mean() > 0.1]
    words = [canonical(name)[0] for name in numbers.names]
    chosen = [_wanted(numbers, words, w, what) for w, what in ((spec.x, "x"), (spec.y, "y"))]
    _refuse_pairs(numbers, spec, words)
    for at, order in ((1, _Y_ORDER), (0, _X_ORDER)):  # y first: a column of stress is never x
        if chosen[at] is None:
            known = [k for word in order for k in filled if words[k] == word and k not in chosen]
            chosen[at] = known[0] if known else None
    rest = iter([k for k in filled if k not in chosen])
    x, y = (next(rest, None) if one is None else one for one in chosen)
    if x is None or y is None:
        raise Unusable("has only one column with numbers, a curve needs two")
    if x == y:
        raise OptionError(f"x and y are the same column, {spec.x!r}: name two")
    return x, y


def _refuse_pairs(numbers: Columns, spec: CurveFiles, words: list[str]) -> None:
    """Several columns of x and as many of y, all called the same, are several curves, and none of them is the one.

    Raises:
        Unusable: If there are such columns, and none was asked for.
    """
    if spec.x is not None or spec.y is not None:
        return
    for x in _X_ORDER:
        called = [[slug(re.sub(r"\d+", "", numbers.names[k])) for k in _at(words, w)] for w in (x, *_Y_ORDER)]
        for y, names in zip(_Y_ORDER, called[1:], strict=True):
            if len(names) == len(called[0]) > 1 and len(set(names)) == len(set(called[0])) == 1:
                raise Unusable(
                    f"holds {len(names)} columns of {x} and {len(names)} of {y}, all called the same: part it into a "
                    "file per curve, or name the columns (x=..., y=...)"
                )


def _at(words: list[str], word: str) -> list[int]:
    return [k for k, own in enumerate(words) if own == word]


def _wanted(numbers: Columns, words: list[str], wanted: str | int | None, what: str) -> int | None:
    if wanted is None:
        return None
    if isinstance(wanted, int):
        if not 0 <= wanted < len(words):
            raise Unusable(f"has {len(words)} columns, so no column {wanted} for {what} (they count from 0)")
        return wanted
    exact = [k for k, name in enumerate(numbers.names) if name.casefold() == wanted.casefold() and name]
    alike = [k for k, name in enumerate(numbers.names) if slug(name) == slug(wanted) and name]
    ours = [k for k, word in enumerate(words) if word and word == canonical(wanted)[0]]
    found = exact or alike or ours
    if not found:
        raise Unusable(f"has no column {wanted!r} for {what}: {closest(wanted, filter(None, numbers.names))}")
    return found[0]
