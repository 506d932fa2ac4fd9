r"""Dimensions of specimens: what turns a force into a stress, and an extension into a strain.

.. math:: s = F / S_0,\qquad e = \Delta L / L_0

with the cross-section :math:`S_0` (stated, or width times thickness, or :math:`\pi d^2/4`) and the gauge length
:math:`L_0` that a table of settings or the lines above the numbers state for each specimen.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..data.names import closest, few
from ..data.reading_log import Unusable
from ..errors import DataError, OptionError, PimaWarning
from ..signatures import tells_misfits
from ..units import Unit, find_unit, unit_of
from .headers import canonical, read_header, slug
from .shaping import to_true

#: Dimension -> what it may be called; a symbol means the one whose unit it is told in: a0 in mm is a thickness (ISO),
#: in mm2 an area.
_WORDS = {
    "area": """
        area cross_section cross_sectional_area cross_section_area section_area initial_area a0 s0 a_0 s_0 querschnitt
        querschnittsfläche anfangsquerschnitt probenquerschnitt fläche section aire surface área sección
    """,
    "width": "width breite probenbreite b b0 b_0 w w0 largeur ancho larghezza largura",
    "thickness": "thickness dicke probendicke a a0 a_0 t0 épaisseur epaisseur espesor spessore espessura",
    "diameter": "diameter durchmesser probendurchmesser diam d0 d_0 ø diamètre diametre diámetro diametro",
    "gauge_length": """
        gauge_length gage_length original_gauge_length initial_gauge_length initial_length l0 l_0 messlänge messlaenge
        anfangsmesslänge anfangslänge extensometer_gauge_length le l_e lc l_c parallel_length versuchslänge
        einspannlänge grip_separation longueur_initiale longueur_de_base
    """,
}
#: What stands for a dimension where it has none of its own: the height of a cylinder that is pressed.
_INSTEAD = {"gauge_length": "height höhe hoehe probenhöhe h0 h_0 hauteur"}
#: The dimensions by name.
DIMENSIONS = tuple(_WORDS)
#: Words of a dimension that was measured afterwards, or is no dimension of the specimen.
_NOT_BEFORE = {
    *("final", "after", "end", "break", "rupture", "fracture", "bruch", "nach", "tolerance", "std", "error", "fehler"),
    *("hole", "notch", "kerb", "window", "beam", "pixel", "image", "bild"),
}
_SPECIMEN = re.compile(r"^(specimen|sample|probe|proben|prüfling)_")
#: Dimensions that differ by more than this share are told.
_ALIKE = 0.01

#: Name as written -> value, and unit as written, empty where none is stated.
Stated = Mapping[str, tuple[float, str]]


@dataclass(frozen=True)
class Dimensions:
    """What is known of one specimen.

    Attributes:
        area: Cross-section in mm²; None where it is not known.
        length: Gauge length in mm, likewise.
        how: Where both are from, in words.
        lacking: Why there is no area, and why no length; empty where there is.
    """

    area: float | None
    length: float | None
    how: tuple[str, str] = ("", "")
    lacking: tuple[str, str] = ("", "")


def check_geometry(geometry: bool | Mapping[str, str | float]) -> None:
    """Refuse what is no option ``geometry``.

    Raises:
        OptionError: If a dimension is unknown, or a value is neither text nor a number.
    """
    if isinstance(geometry, bool):
        return
    if not isinstance(geometry, Mapping):
        raise OptionError(f"geometry is {geometry!r}, expected True, or a table such as {{'area': 'A0'}}")
    for name, value in geometry.items():
        if name not in _WORDS:
            raise OptionError(f"geometry names {name!r}: {closest(name, _WORDS)}")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise OptionError(f"geometry gives {value!r} for {name}, expected a column, or a value such as '6 mm'")


def dimensions_of(
    geometry: bool | Mapping[str, str | float], settings: Stated, preamble: Stated, source: str = "the table"
) -> Dimensions:
    """Cross-section and gauge length of one specimen.

    Args:
        geometry: True: look for both by their usual names; a table: names of columns, or values, for some of them.
        settings: What the table of settings has of the specimen.
        preamble: What its file states above the numbers.
        source: What the table is called.
    """
    own = {} if isinstance(geometry, bool) else geometry
    found: dict[str, tuple[float, str]] = {}
    why: dict[str, str] = {}
    for name in DIMENSIONS:
        try:
            value = _given(name, own[name], settings, preamble) if name in own else _looked_up(name, settings, preamble)
        except Unusable as error:
            why[name] = str(error)
            continue
        if value is not None:
            found[name] = value
    area, how, lacking = _area(found, why)
    length = found.get("gauge_length")
    said = ("", "") if length is None else ("gauge length ", length[1])
    none = "" if length is not None else why.get("gauge_length") or f"no gauge length in {source} or above its numbers"
    return Dimensions(
        area,
        None if length is None else length[0],
        (how, "".join(said)),
        (lacking and f"{lacking} in {source} or above its numbers" if lacking == _NO_AREA else lacking, none),
    )


_NO_AREA = "no area, width and thickness, or diameter"


def _area(found: Mapping[str, tuple[float, str]], why: Mapping[str, str]) -> tuple[float | None, str, str]:
    """Cross-section in mm², where it is from, and why there is none."""
    ways: list[tuple[float, str]] = []
    if "area" in found:
        ways.append((found["area"][0], f"area {found['area'][1]}"))
    if "width" in found and "thickness" in found:
        (width, one), (thickness, other) = found["width"], found["thickness"]
        ways.append((width * thickness, f"width {one} x thickness {other}"))
    if "diameter" in found:
        ways.append((math.pi * found["diameter"][0] ** 2 / 4, f"diameter {found['diameter'][1]}"))
    if not ways:
        reasons = [why[name] for name in ("area", "width", "thickness", "diameter") if name in why]
        if not reasons and ("width" in found) != ("thickness" in found):
            there, gone = ("width", "thickness") if "width" in found else ("thickness", "width")
            return None, "", f"a {there} and no {gone}"
        return None, "", reasons[0] if reasons else _NO_AREA
    (area, how), *others = ways
    differ = [(value, said) for value, said in others if abs(value / area - 1) > _ALIKE]
    if differ and "area" not in found:
        return (
            None,
            "",
            f"{how} and {differ[0][1]} are both stated, which give other areas ({area:g}, {differ[0][0]:g})",
        )
    return area, how + "".join(f", though {said} gives {value:.4g} mm2" for value, said in differ), ""


def _given(name: str, value: str | float, settings: Stated, preamble: Stated) -> tuple[float, str]:
    """A dimension that the user names: a column, perhaps with the unit that it lacks, or a value with its unit."""
    if not isinstance(value, str):
        return _measured(name, float(value), "mm2" if name == "area" else "mm", "given")
    number = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(\S.*)?", value)
    if number is not None:
        if not number[2]:
            raise OptionError(f"geometry gives {value!r} for {name}, without a unit: write {value} mm, say")
        return _measured(name, float(number[1]), number[2], "given")
    asked, unit = read_header(value)
    for place, stated in (("", settings), ("above the numbers", preamble)):
        for written, (number_there, own) in stated.items():
            title, in_title = read_header(written)
            if slug(title) == slug(asked):
                return _measured(name, number_there, own or in_title or unit or "", f"{written!r} {place}".strip())
    raise Unusable(f"no {name.replace('_', ' ')} {value!r}: {closest(asked, [*settings, *preamble])}")


def _looked_up(name: str, settings: Stated, preamble: Stated) -> tuple[float, str] | None:
    """A dimension by its usual names, of the table before the file; None where neither has it.

    Raises:
        Unusable: If several of different values could be meant, or it states no unit.
    """
    for words in (_WORDS[name], _INSTEAD.get(name, "")):
        found = _by_words(name, words, settings, preamble)
        if found is not None:
            return found
    return None


def _by_words(name: str, words: str, settings: Stated, preamble: Stated) -> tuple[float, str] | None:
    """A dimension by some of its names; see `_looked_up`."""
    read = [
        [
            _measured(name, value, own or unit or "", repr(written) if where == "" else f"{written!r} {where}")
            for written, (value, own) in stated.items()
            for title, unit in [read_header(written)]
            if _means(name, words, title, own or unit or "")
            if not math.isnan(value)
        ]
        for where, stated in (("", settings), ("above the numbers", preamble))
    ]
    for values in read:
        if any(abs(v / values[0][0] - 1) > _ALIKE for v, _ in values[1:]):
            raise Unusable(
                f"several {name.replace('_', ' ')}s, {', '.join(how for _, how in values)}: which one is meant? "
                f"geometry={{{name!r}: ...}}"
            )
    table, file = read
    if not table:
        return file[0] if file else None
    if file and abs(file[0][0] / table[0][0] - 1) > _ALIKE:
        return table[0][0], f"{table[0][1]}, not {file[0][1]}"
    return table[0]


def _means(name: str, words: str, written: str, unit: str) -> bool:
    """Whether a name, by itself and by its unit, is one of those that a dimension has."""
    word = _SPECIMEN.sub("", slug(written))
    parts = word.split("_")
    if not _NOT_BEFORE.isdisjoint(parts):
        return False
    known = find_unit(unit) if unit else None
    if known is not None and not _measures(known, name):
        return False
    for own in words.split():
        if word == own:
            return known is not None or len(own) > 3
        if len(own) > 4 and (word.startswith(f"{own}_") or word.endswith(f"_{own}")):
            return True
    return False


def _measures(unit: Unit, name: str) -> bool:
    return unit.quantity == (unit_of("mm2") if name == "area" else unit_of("mm")).quantity


def _measured(name: str, value: float, unit: str, how: str) -> tuple[float, str]:
    """A dimension in mm or mm².

    Raises:
        Unusable: If it has no unit, one of something else, or is no positive number.
    """
    known = find_unit(unit) if unit else None
    words = name.replace("_", " ")
    if known is None or not _measures(known, name):
        stated = f"the unit {unit!r}" if unit else "no unit"
        titled = f"{words} [{'mm2' if name == 'area' else 'mm'}]"
        raise Unusable(
            f"{words} {how} has {stated}: write it into its header, {titled}, or geometry={{{name!r}: {titled!r}}}"
        )
    if not (math.isfinite(value) and value > 0):
        raise Unusable(f"{words} {how} is {value:g}, expected a positive number")
    base = unit_of("mm2") if name == "area" else unit_of("mm")
    return float(known.to(base, np.array(value))), f"{how} = {value:g} {unit}"


def to_stress(force: np.ndarray, unit: Unit, dimensions: Dimensions) -> tuple[np.ndarray, Unit, str]:
    """A force as an engineering stress.

    Args:
        force: (T,) in ``unit``.
        unit: Of a force.
        dimensions: Of the specimen.

    Returns:
        The stress (T,), its unit MPa, and what was done.

    Raises:
        Unusable: If the cross-section is not known.
    """
    if dimensions.area is None:
        raise Unusable(f"has a force that cannot be made a stress: {dimensions.lacking[0]}")
    newton = unit.to(unit_of("N"), force)
    return (
        newton / dimensions.area,
        unit_of("MPa"),
        f"stress is force over {dimensions.area:.6g} mm2 ({dimensions.how[0]})",
    )


def to_strain(extension: np.ndarray, unit: Unit, dimensions: Dimensions) -> tuple[np.ndarray, Unit, str]:
    """An extension as an engineering strain; arguments, results and errors as `to_stress`, in 1 over the length."""
    if dimensions.length is None:
        raise Unusable(f"has a displacement that cannot be made a strain: {dimensions.lacking[1]}")
    way = unit.to(unit_of("mm"), extension)
    said = f"strain is displacement over {dimensions.length:.6g} mm ({dimensions.how[1]})"
    return way / dimensions.length, unit_of("1"), said


@tells_misfits
def geometry(
    data: xr.Dataset,
    modalities: str | Sequence[str] | None = None,
    *,
    area: str | float | None = None,
    width: str | float | None = None,
    thickness: str | float | None = None,
    diameter: str | float | None = None,
    gauge_length: str | float | None = None,
    true: str | None = None,
) -> xr.Dataset:
    """Turn forces into stresses and displacements into strains, by the dimensions of each specimen.

    Args:
        data: Curves of force, or against displacement, with units; dimensions as coordinates (specimen) with units.
        modalities: Which curves; None: all that have a force as values or a displacement as independent variable.
        area: Coordinate with the cross-section, or one value for all such as ``"21 mm2"``; a bare number is in mm².
            None: the coordinate that is usually called so; the same for the others.
        width: With the thickness, instead of an area; a bare number is in mm.
        thickness: See ``width``.
        diameter: Of a round specimen, instead of both.
        gauge_length: What the displacement is divided by; a bare number is in mm.
        true: ``"tension"`` or ``"compression"``: true stress and strain; None: engineering ones.

    Returns:
        The dataset with these curves as stress in MPa, or over strain, each specimen on a grid of its own; specimens
        whose dimensions are not known have NaN. A curve called force is called stress then.

    Raises:
        DataError: If no curve is one of force or displacement with a unit, or no specimen has its dimensions.
        OptionError: If a modality or a coordinate is not there.

    Warns:
        PimaWarning: Naming the specimens without dimensions, and what they lack.

    Source: ISO 6892-1, engineering stress and strain; true ones at constant volume.
    """
    given = {"area": area, "width": width, "thickness": thickness, "diameter": diameter, "gauge_length": gauge_length}
    options = {name: value for name, value in given.items() if value is not None}
    if true not in (None, "tension", "compression"):
        raise OptionError(f"true is {true!r}, expected 'tension', 'compression' or None")
    chosen = [modalities] if isinstance(modalities, str) else modalities
    for name in chosen or ():
        if name not in data.data_vars:
            raise OptionError(f"the dataset has no curve {name!r}: {closest(name, data.data_vars)}")
    names = [str(n) for n in (chosen if chosen is not None else data.data_vars) if _is_of_force(data, str(n))]
    if not names or (chosen is not None and len(names) < len(chosen)):
        raise DataError(
            "there is no curve of a force, or against a displacement, with its unit: "
            "data['force'].attrs['units'] = 'N', data['displacement'].attrs['units'] = 'mm'"
        )
    rows = _rows(data)
    every = [dimensions_of(options or True, row, {}, "the coordinates") for row in rows]
    out = data
    for name in names:
        axis = _axis(out, name)
        out = out if axis is None else _converted(out, name, axis, every, true)
    return out


def _rows(data: xr.Dataset) -> list[dict[str, tuple[float, str]]]:
    """The settings of each specimen that are numbers."""
    columns = {str(k): v for k, v in data.coords.items() if v.dims == ("specimen",) and v.dtype.kind in "iuf"}
    units = {name: str(v.attrs.get("units", "")) for name, v in columns.items()}
    return [
        {name: (float(v.values[k]), units[name]) for name, v in columns.items()} for k in range(data.sizes["specimen"])
    ]


def _axis(data: xr.Dataset, name: str) -> xr.DataArray | None:
    """The independent variable of a curve, None where a variable is none."""
    variable = data[name]
    dims = [str(d) for d in variable.dims if d != "specimen"]
    if len(dims) != 1 or "specimen" not in variable.dims:
        return None
    own = str(variable.attrs.get("independent", dims[0]))
    return data[own] if own in data.coords else None


def _quantity(variable: xr.DataArray) -> str:
    unit = find_unit(str(variable.attrs.get("units", "")))
    return "" if unit is None else unit.quantity


def _is_of_force(data: xr.Dataset, name: str) -> bool:
    axis = _axis(data, name)
    return axis is not None and (_quantity(data[name]) == "force" or _quantity(axis) == "length")


def _converted(
    data: xr.Dataset, name: str, axis: xr.DataArray, every: Sequence[Dimensions], true: str | None
) -> xr.Dataset:
    """The dataset with one curve as stress, or over strain."""
    variable = data[name]
    dim = next(str(d) for d in variable.dims if d != "specimen")
    y = variable.transpose("specimen", dim).values.astype(float)
    x = np.broadcast_to(axis.transpose(..., dim).values.astype(float), y.shape)
    force, way = _quantity(variable) == "force", _quantity(axis) == "length"
    units = unit_of(str(variable.attrs["units"])) if force else None, unit_of(str(axis.attrs["units"])) if way else None
    new_x, new_y, lost = np.full(y.shape, np.nan), np.full(y.shape, np.nan), {}
    for k, dimensions in enumerate(every):
        there = np.isfinite(x[k]) & np.isfinite(y[k])
        if not there.any():
            continue
        one_x, one_y = x[k, there], y[k, there]
        try:
            if units[0] is not None:
                one_y = to_stress(one_y, units[0], dimensions)[0]
            if units[1] is not None:
                one_x = to_strain(one_x, units[1], dimensions)[0]
            if true is not None:
                one_x, one_y, _ = to_true(one_x, one_y, true)
        except Unusable as error:
            lost[str(data["specimen"].values[k])] = str(error)
            continue
        new_x[k, : one_x.size], new_y[k, : one_y.size] = one_x, one_y
    if len(lost) == len(every):
        raise DataError(f"no specimen of {name!r} has its dimensions: {next(iter(lost))} {next(iter(lost.values()))}")
    if lost:
        told = "; ".join(f"{label} {why}" for label, why in [*lost.items()][:5])
        warnings.warn(f"{name!r} is NaN for {few(lost)}: {told}", PimaWarning, stacklevel=4)
    called = "strain" if way else str(axis.name)
    new = called if called not in data.variables or called == axis.name else f"{name}_{called}"
    kind = "engineering " if true is None else "true "
    point = f"{name}_point" if data.sizes.get("point", y.shape[1]) != y.shape[1] else "point"
    attrs = {key: value for key, value in variable.attrs.items() if key not in ("units", "long_name", "independent")}
    attrs |= {"units": "MPa" if force else str(variable.attrs.get("units", "1")), "independent": new}
    measured = str(variable.attrs.get("long_name", name))
    attrs["long_name"] = f"{kind}stress" if force else measured if true is None else f"true {measured}"
    attrs |= {} if true is None else {"loading": true}
    x_attrs = {"units": "1", "long_name": f"{kind}strain"} if way else dict(axis.attrs)
    title = "stress" if force and canonical(name)[0] == "force" and "stress" not in data.variables else name
    drop = [axis.name] if sum(axis.name in v.coords for v in data.data_vars.values()) == 1 else []
    rest = data.drop_vars([name, *drop])
    made = xr.DataArray(
        new_y, dims=("specimen", point), coords={new: (("specimen", point), new_x, x_attrs)}, attrs=attrs
    )
    return rest.assign({title: made})
