"""`CurveFiles`: how files of curves become one modality; and one of them: two columns of a file, `read_curve`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...data.limits import check_factor
from ...data.names import closest
from ...data.reading_log import Unusable
from ...errors import OptionError
from ...signatures import tells_misfits
from ...units import Unit, find_unit, unit_of
from ..geometry import Dimensions, check_geometry, to_strain, to_stress
from ..headers import canonical
from .choice import chosen_columns, chosen_table, is_of_machine
from .reader import Columns
from .registry import read_tables
from .splitting import WAYS, split

#: A load that is told as a mass is the weight of it.
_WEIGHTS = {"kg": "kgf", "g": "gf", "lb": "lbf", "mg": "mgf"}
#: What is said of a curve whose modality is called after another quantity.
_CALLED = "called {!r} all the same"
#: What y is called in files without a header.
NAMELESS = "value"


@tells_misfits
@dataclass(frozen=True)
class CurveFiles:
    """One modality of curves; every option has a default that suits a folder of tests.

    Attributes:
        files: Column of the table, name of a sub-folder, or pattern from the folder such as ``"tests/{id}_raw.csv"``.
            None: the folder's files of curves.
        x: Column of the independent variable: its name (without unit) or number from 0. None: strain, displacement,
            time or temperature, whichever comes first; else the first column.
        y: Column of the values. None: the one that the modality is called after, else stress or force; else the first
            column beside x.
        grid: A number of points over the window, or over the range of all curves: in equal steps, or closer where the
            curves are steep if equal steps left less than about twenty points to their rise. An array: these x.
            Values are interpolated inside a curve's measured range, NaN outside. None: every curve keeps its points.
        window: (lower, upper) x that is kept; ``"common"``: the range that all curves have.
        loading_only: Keep the first rise of x, without unloading and loops. False: such a curve is not used.
        true: ``"tension"`` or ``"compression"``: engineering to true stress and strain.
        units: Unit by name, such as ``{"stress": "MPa"}``: of files that state none, and of the result. Without it the
            result is in the unit that most files state. Strain always becomes 1; where none is stated it is 1 already.
        sheet: Sheet of a workbook, by name or number from 0. None: the only one with a curve.
        table: Table of a file that holds several, by number from 0 or title. None: the only one with a curve.
        specimens: How several specimens lie in each file: ``"sheets"``, ``"blocks"`` (tables below each other),
            ``"rows"`` (the first row is x), ``"columns"`` (pairs of columns, or several beside one x) or ``"long"`` (a
            column names the specimen of each row). Their names are those of the sheets, titles, rows or columns.
            None: a file is one specimen, and refused if it is not.
        zero: ``"toe"``: move the origin of x to where the steepest tangent meets y = 0, and leave out what was measured
            before; ``"preload"``: the same where that is before the first point, as x was set to 0 under a preload.
            None: nothing is moved, and what is found of either is told.
        geometry: True: a force becomes an engineering stress and a displacement a strain, by the cross-section (or
            width and thickness, or diameter) and gauge length that the table of settings, or the lines above a file's
            numbers, state for each specimen; one without them is not used. A table such as ``{"area": "A0",
            "gauge_length": "50 mm"}`` names columns, or gives values, for some. False: curves stay as measured.
        limits: Factor on what a file may hold (bytes, cells, columns, what it inflates to), for files that you trust.
    """

    files: str | None = None
    x: str | int | None = None
    y: str | int | None = None
    grid: int | Sequence[float] | None = None
    window: Sequence[float] | str | None = None
    loading_only: bool = True
    true: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    sheet: str | int | None = None
    table: str | int | None = None
    specimens: str | None = None
    zero: str | None = None
    geometry: bool | Mapping[str, str | float] = False
    limits: float = 1.0

    def __post_init__(self) -> None:
        check_geometry(self.geometry)
        check_factor(self.limits)
        if self.true not in (None, "tension", "compression"):
            raise OptionError(f"true is {self.true!r}, expected 'tension', 'compression' or None")
        if self.zero not in (None, "toe", "preload"):
            raise OptionError(f"zero is {self.zero!r}, expected 'toe', 'preload' or None")
        if self.specimens is not None and self.specimens not in WAYS:
            raise OptionError(f"specimens is {self.specimens!r}: {closest(self.specimens, WAYS)}")
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
        place: Where the table is in the file.
        read: Number of points in the file.
        stated: Numbers with a name above the table -> value and unit as written.
    """

    x: np.ndarray
    y: np.ndarray
    headers: tuple[str, str]
    names: tuple[str, str]
    units: tuple[Unit | None, Unit | None]
    quantities: tuple[str | None, str | None]
    notes: tuple[str, ...]
    place: str = ""
    read: int = 0
    stated: Mapping[str, tuple[float, str]] = field(default_factory=dict)


def read_curve(path: Path, spec: CurveFiles, modality: str = "") -> Curve:
    """Two columns of a file that holds one curve; see `CurveFiles`.

    Args:
        path: The file.
        spec: The options.
        modality: What the curves are called: a column of that name is taken for y.

    Raises:
        Unusable: If the file cannot be read, lacks a column, or could be read in several ways.
    """
    tables = read_tables(path, spec.sheet, spec.limits)
    return _curve(chosen_table(tables, spec.table, spec.x, spec.y), spec, modality)


def read_curves(path: Path, spec: CurveFiles, modality: str = "") -> list[tuple[str, Curve]]:
    """All curves of a file, each with its specimen's name in the file: empty where the file holds one.

    Raises:
        Unusable: As `read_curve`.
    """
    if spec.specimens is None:
        return [("", read_curve(path, spec, modality))]
    parts = split(read_tables(path, spec.sheet, spec.limits), spec.specimens, spec.table, spec.x, spec.y)
    alone = spec.specimens in ("rows", "columns")
    own = replace(spec, x=None, y=None) if alone else spec
    return [
        (name, _curve(table, replace(own, x=0, y=1) if alone else own, modality, several=alone, split=True))
        for name, table in parts
    ]


def with_units(curve: Curve, units: Mapping[str, str]) -> Curve:
    """A curve whose file is said to hold other units than it states.

    Args:
        curve: As read.
        units: Unit by the name of a column, or ``"x"``, ``"y"``.

    Raises:
        Unusable: If a name is none of its columns.
    """
    stated, quantities = list(curve.units), list(curve.quantities)
    notes = list(curve.notes)
    for name, written in units.items():
        names = [("xy"[k], curve.headers[k], curve.names[k]) for k in (0, 1)]
        k = next((k for k, own in enumerate(names) if name in own or canonical(name)[0] == own[2]), None)
        if k is None:
            raise Unusable(f"has no column {name!r} to give a unit: {closest(name, [n for own in names for n in own])}")
        before = stated[k]
        stated[k] = unit = unit_of(written)
        quantities[k] = unit.quantity if find_unit(written) is not None else quantities[k]
        notes.append(f"unit of {curve.headers[k]!r} given as {unit.name}" + (f", not {before.name}" if before else ""))
    return replace(curve, units=(stated[0], stated[1]), quantities=(quantities[0], quantities[1]), notes=tuple(notes))


def with_geometry(curve: Curve, dimensions: Dimensions, units: Mapping[str, str]) -> Curve:
    """A curve of stress against strain from one of force against displacement; what is neither stays.

    Args:
        curve: As read.
        dimensions: Of its specimen.
        units: Unit by name, for a force or a displacement whose file states none.

    Raises:
        Unusable: If a dimension or a unit that is needed is not known.
    """
    values, names, stated, quantities = [curve.x, curve.y], list(curve.names), list(curve.units), list(curve.quantities)
    notes = [note for note in curve.notes if not note.endswith("all the same")]
    asked = {canonical(name)[0]: unit for name, unit in units.items()}
    for k, quantity, convert, new in ((0, "length", to_strain, "strain"), (1, "force", to_stress, "stress")):
        if quantities[k] != quantity:
            continue
        unit, written = stated[k], asked.get(names[k])
        if unit is None and written is not None:
            unit = unit_of(written)
        if unit is None or unit.quantity != quantity:
            raise Unusable(
                f"states no unit of {names[k]}, which a {new} is made of: units={{{names[k]!r}: "
                f"{'mm' if k == 0 else 'N'!r}}}, or write it in the file"
            )
        values[k], stated[k], said = convert(values[k], unit, dimensions)
        names[k], quantities[k] = new, new
        notes.append(said)
        if new == "strain" and is_of_machine(curve.headers[k]):
            notes.append(f"{curve.headers[k]!r} is the way of the machine: the strain holds its compliance")
    return replace(
        curve,
        x=values[0],
        y=values[1],
        names=(names[0], names[1]),
        units=(stated[0], stated[1]),
        quantities=(quantities[0], quantities[1]),
        notes=tuple(notes),
    )


def _curve(numbers: Columns, spec: CurveFiles, modality: str, several: bool = False, split: bool = False) -> Curve:
    """Two columns of a table as a curve."""
    first, second, said = chosen_columns(numbers, spec.x, spec.y, modality, split)
    columns = first, second
    names, units, quantities = [], [], []
    notes = list(numbers.notes)
    for k in columns:
        written = numbers.units[k]
        name, quantity = canonical(numbers.names[k], written)
        unit = None if written is None else unit_of(written)
        if written is not None and unit is not None and find_unit(written) is not None:
            if quantity == "force" and unit.quantity == "mass":
                notes.append(f"a force in {unit.name}, taken as {_WEIGHTS[unit.name]}")
                unit = unit_of(_WEIGHTS[unit.name])
            quantity = unit.quantity
        name = "" if several and len(names) == 1 and quantity is None else name
        names.append(name or ("t", NAMELESS)[len(names)])
        units.append(unit)
        quantities.append(quantity)
    shown = [numbers.names[k] or f"column {k}" for k in columns]
    called, meant = canonical(modality) if modality else ("", None)
    if spec.y is None and meant is not None and None not in quantities[1:] and quantities[1] != meant:
        notes.append(f"holds a {names[1]} as y, {shown[1]!r}, and no {called}: {_CALLED.format(modality)}")
    if len(numbers.names) > 2 and (spec.x is None or spec.y is None):
        notes.append(f"{shown[1]!r} against {shown[0]!r}")
    x, y = (numbers.values[:, k].copy() for k in columns)  # so that the rest of the table need not be kept
    return Curve(
        x,
        y,
        headers=(shown[0], shown[1]),
        names=(names[0], names[1]),
        units=(units[0], units[1]),
        quantities=(quantities[0], quantities[1]),
        notes=(*notes, *said),
        place=" of ".join(filter(None, (numbers.place, f"sheet {numbers.sheet!r}" if numbers.sheet else ""))),
        read=x.size,
        stated=numbers.stated,
    )
