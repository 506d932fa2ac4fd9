"""Units as people write them, what they measure, and in which proportion: ``"MPa"``, ``"N/mm²"``, ``"MPa/s"``.

A small table has the units of mechanical tests in all their spellings; products and what else laboratories measure in
(``mm/min``, ``1/s``, ``mA/cm²``, ``W/m²``) are looked up in the library pint: only symbols, no words. A unit that
neither knows is kept as its text and equals itself alone; nothing is concluded from it. Below, numbers as people write
them: with two digits, and with their standard error.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from .errors import require
from .signatures import tells_misfits


@dataclass(frozen=True)
class Unit:
    r"""A unit; a value in the quantity's base unit is :math:`\mathrm{factor} \cdot v + \mathrm{offset}`.

    Attributes:
        name: How it is written in ``attrs["units"]``.
        quantity: What it measures, such as ``"stress"``; for units that nobody knows, its own text.
        factor: See above.
        offset: See above; nonzero for temperatures alone.
    """

    name: str
    quantity: str
    factor: float = 1.0
    offset: float = 0.0

    def to(self, other: Unit, values: np.ndarray) -> np.ndarray:
        """Values in another unit of the same quantity."""
        if self == other:
            return values
        return (values * self.factor + self.offset - other.offset) / other.factor


_POUND = 4.4482216152605  # in N
_POUND_PER_INCH = 6.894757293168361e-3  # in MPa
#: Quantity -> unit -> (factor, offset, other spellings). The first of each is its base.
_TABLE: dict[str, dict[str, tuple[float, float, str]]] = {
    "strain": {
        "1": (1.0, 0.0, "- mm/mm m/m in/in cm/cm"),
        "%": (0.01, 0.0, "percent pct prozent %strain"),
        "permille": (1e-3, 0.0, "‰ mm/m mstrain mε 10^-3 1e-3 10-3"),
        "microstrain": (1e-6, 0.0, "ue ustrain uε um/m µstrain uin/in 10^-6 1e-6 10-6"),
    },
    "stress": {
        "MPa": (1.0, 0.0, "N/mm2 N/mm^2 N/mm**2 MN/m2 МПа Н/мм2"),
        "Pa": (1e-6, 0.0, "N/m2 N/m^2"),
        "kPa": (1e-3, 0.0, "kN/m2 кПа"),
        "GPa": (1e3, 0.0, "kN/mm2 ГПа"),
        "psi": (_POUND_PER_INCH, 0.0, "lbf/in2 lbf/in^2 lb/in2 lbs/in2 psig psia"),
        "ksi": (1e3 * _POUND_PER_INCH, 0.0, "kip/in2"),
        "bar": (0.1, 0.0, ""),
        "kgf/mm2": (9.80665, 0.0, "kgf/mm^2 kp/mm2"),
    },
    "force": {
        "N": (1.0, 0.0, "newton Н"),
        "kN": (1e3, 0.0, "кН"),
        "mN": (1e-3, 0.0, ""),
        "MN": (1e6, 0.0, ""),
        "lbf": (_POUND, 0.0, ""),
        "kip": (1e3 * _POUND, 0.0, "kips klbf"),
        "kgf": (9.80665, 0.0, "kp"),
        "gf": (9.80665e-3, 0.0, ""),
        "mgf": (9.80665e-6, 0.0, ""),
    },
    "mass": {
        "g": (1.0, 0.0, "gram grams gramm"),
        "kg": (1e3, 0.0, ""),
        "mg": (1e-3, 0.0, ""),
        "lb": (453.59237, 0.0, "lbs pound pounds"),
    },
    "length": {
        "mm": (1.0, 0.0, "millimeter millimetre мм"),
        "um": (1e-3, 0.0, "micron"),
        "nm": (1e-6, 0.0, ""),
        "cm": (10.0, 0.0, ""),
        "m": (1e3, 0.0, ""),
        "inch": (25.4, 0.0, "in inches"),
        "ft": (304.8, 0.0, ""),
    },
    "time": {
        "s": (1.0, 0.0, "sec secs second seconds sek с"),
        "ms": (1e-3, 0.0, ""),
        "us": (1e-6, 0.0, ""),
        "min": (60.0, 0.0, "minute minutes mins"),
        "h": (3600.0, 0.0, "hr hour hours std"),
        "d": (86400.0, 0.0, "day days tage"),
    },
    "angle": {
        "deg": (1.0, 0.0, "° degree degrees grad°"),
        "rad": (180 / math.pi, 0.0, ""),
    },
    "rotational speed": {
        "rpm": (1.0, 0.0, "r/min rev/min u/min"),
    },
    "number of cycles": {
        "cycles": (1.0, 0.0, "cycle cyc zyklen"),
    },
    "count": {
        "#": (1.0, 0.0, ""),
        "counts": (1.0, 0.0, "count cts"),
        "bits": (1.0, 0.0, ""),
        "points": (1.0, 0.0, ""),
    },
    "charge": {
        "Ah": (1.0, 0.0, "A·h"),
        "mAh": (1e-3, 0.0, "mA·h"),
    },
    "voltage": {
        "V": (1.0, 0.0, "volt volts"),
        "mV": (1e-3, 0.0, ""),
    },
    "current": {
        "A": (1.0, 0.0, "ampere amp"),
        "mA": (1e-3, 0.0, ""),
    },
    "resistance": {
        "Ohm": (1.0, 0.0, "Ω ohms"),
        "kOhm": (1e3, 0.0, "kΩ"),
    },
    "frequency": {
        "Hz": (1.0, 0.0, "hertz"),
        "kHz": (1e3, 0.0, ""),
        "MHz": (1e6, 0.0, ""),
    },
    "torque": {
        "N*m": (1.0, 0.0, "Nm N·m N.m N-m"),
        "N*mm": (1e-3, 0.0, "Nmm N·mm"),
    },
    "power": {
        "W": (1.0, 0.0, "watt"),
        "kW": (1e3, 0.0, ""),
        "mW": (1e-3, 0.0, ""),
        "MW": (1e6, 0.0, ""),
    },
    "density": {
        "g/cm3": (1.0, 0.0, "g/cm^3"),
        "kg/m3": (1e-3, 0.0, "kg/m^3"),
    },
    "temperature": {
        "degC": (1.0, 0.0, "°C C celsius"),
        "K": (1.0, -273.15, "kelvin"),
        "degF": (5 / 9, -160 / 9, "°F F fahrenheit"),
    },
}
_EXACT: dict[str, Unit] = {}
for _quantity, _units in _TABLE.items():
    for _name, (_factor, _offset, _spellings) in _units.items():
        for _spelling in (_name, *_spellings.split()):
            _EXACT[_spelling] = Unit(_name, _quantity, _factor, _offset)
#: Spellings that differ in case alone, such as mN and MN, are not guessed; mPa would be a millionth of what was meant.
_FOLDED: dict[str, Unit] = {}
for _spelling in _EXACT.keys() - {"A", "V", "g", "d"}:  # a small a, or a large D, is a letter of a list
    if sum(other.casefold() == _spelling.casefold() for other in _EXACT) == 1:
        _FOLDED[_spelling.casefold()] = _EXACT[_spelling]
_AMBIGUOUS = {"mPa", "NM", "pH"}

#: Quantity -> exponents of force, length, time and temperature, and its base unit in N, mm, s and K.
_DIMENSIONS: dict[str, tuple[tuple[int, int, int, int], float]] = {
    "strain": ((0, 0, 0, 0), 1.0),
    "stress": ((1, -2, 0, 0), 1.0),
    "force": ((1, 0, 0, 0), 1.0),
    "length": ((0, 1, 0, 0), 1.0),
    "time": ((0, 0, 1, 0), 1.0),
    "power": ((1, 1, -1, 0), 1e3),
    "density": ((1, -4, 2, 0), 1e-9),
    "temperature": ((0, 0, 0, 1), 1.0),
    "mass": ((1, -1, 2, 0), 1e-6),
    "frequency": ((0, 0, -1, 0), 1.0),
    "torque": ((1, 1, 0, 0), 1e3),
}
_FACTOR = re.compile(r"\s*(?P<how>[*/·]?)\s*(?P<unit>[^\s*/·^()]+)\s*(?:(?:\*\*|\^)\s*\(?(?P<power>-?[\d.]+)\)?)?\s*")


def _plain(text: str) -> str:
    """One spelling of what looks alike: superscripts, the two mu, non-breaking blanks."""
    return unicodedata.normalize("NFKC", text).replace("μ", "u").replace("−", "-").strip()


#: Most signs of what may be a unit.
_LONGEST = 100


def find_unit(text: str) -> Unit | None:
    """The unit a text names, or None if neither the table nor pint has it.

    Args:
        text: ``"MPa"``, ``"N/mm²"``, ``"mm/min"``, also in brackets.

    Raises:
        MissingDependency: If pint is missing and the text looks like a product of symbols.
    """
    if len(text) > _LONGEST:
        return None
    tabled = _tabled(text)
    return tabled if tabled is not None else _of_library(_plain(text).strip("[](){} "))


def _tabled(text: str) -> Unit | None:
    text = _plain(text).strip("[](){} ")
    if text in _AMBIGUOUS:
        return None
    return _EXACT.get(text) or _FOLDED.get(text.casefold())


def unit_of(text: str) -> Unit:
    """The unit a text names; one that nobody knows is a quantity of its own."""
    return find_unit(text) or Unit(_plain(text), _plain(text))


#: Symbols that are looked up in pint, with or without a prefix; its words (point, are, count) are no units of columns.
_SYMBOLS = (
    "m g s A K mol cd V W J N Pa Hz C F S H T Wb lm lx Bq Gy Sv L l bar eV cal Torr torr atm ohm Ohm Ω rad deg min h d"
    " in ft yd lb lbf kgf oz psi degC degF dyn erg Oe P St hp BTU Btu inch rpm"
)
_PREFIXES = ("", *"numkcdMGTpfh", "da")
_PREFIXED = {p + symbol: symbol for symbol in reversed(_SYMBOLS.split()) for p in reversed(_PREFIXES)}
_FACTORS = re.compile(r"(?P<how>[*/·.])?(?P<unit>[A-Za-zΩ%°]+|1)(?P<sign>\*\*|\^)?(?P<power>\(?[+-]?\d+(?:\.\d+)?\)?)?")


@cache
def _of_library(text: str) -> Unit | None:
    """A unit out of pint, as a quantity of the table where it has the same dimension; None if it is no such product."""
    expression = _expression(text)
    if expression is None or text in _AMBIGUOUS:
        return None
    pint = require("pint", "units such as mm/min")
    try:
        found = _registry(pint).Quantity(1.0, expression).to_base_units()
    except Exception:  # noqa: BLE001 - pint's errors for what is no unit have no common base
        return None
    dimensions = found.dimensionality
    if not dimensions:  # a ratio or an angle: neither is known to be a strain
        return None
    quantity, factor = _quantities(pint).get(str(dimensions), (str(dimensions), 1.0))
    return Unit(text, quantity, float(found.magnitude) / factor)


def _expression(text: str) -> str | None:
    """A product of symbols as pint writes it, ``"mm / min"``; None where one of its parts is no symbol."""
    place, parts = 0, []
    text = re.sub(r"\s*([*/·.^])\s*", r"\1", text)
    text = re.sub(r"\s+(?=[A-Za-zΩ°])", "*", text)
    if not text or len(text) > 30:
        return None
    while place < len(text):
        if text[place] in "()":
            return None
        found = _FACTORS.match(text, place)
        if found is None or not (found["how"] or place == 0):
            return None
        name = found["unit"]
        if name == "1" and found["power"]:
            return None
        if name != "1":
            if name not in _PREFIXED:
                return None
            symbol = _PREFIXED[name]
            bare = found["power"] and not found["sign"] and found["power"].isdigit()
            if bare and symbol not in ("m", "in", "ft") and (symbol, found["how"]) != ("s", "/"):
                return None  # S2 and A3 are specimens, cm2 and m/s2 are units
        parts.append(("/" if found["how"] == "/" else "*") + name + (f"**{found['power']}" if found["power"] else ""))
        place = found.end()
    whole = "".join(parts)
    return None if whole == "*1" else "1" + whole


@cache
def _registry(pint: ModuleType) -> Any:
    """All units of pint, read once: it takes a second; and what it spells in small letters alone."""
    registry = pint.UnitRegistry()
    for spelling in ("ohm = Ohm", "torr = Torr"):
        registry.define(f"@alias {spelling}")
    return registry


@cache
def _quantities(pint: ModuleType) -> dict[str, tuple[str, float]]:
    """Dimension in pint -> our quantity, and its base unit in the base units of pint."""
    bases = {
        "stress": "MPa",
        "force": "N",
        "mass": "g",
        "length": "mm",
        "time": "s",
        "power": "W",
        "voltage": "V",
        "current": "A",
        "resistance": "ohm",
        "frequency": "Hz",
        "torque": "N*m",
        "density": "g/cm**3",
    }
    out = {}
    for quantity, base in bases.items():
        whole = _registry(pint).Quantity(1.0, base).to_base_units()
        out[str(whole.dimensionality)] = quantity, float(whole.magnitude)
    speed = _registry(pint).Quantity(1.0, "mm/s").to_base_units()
    return out | {str(speed.dimensionality): ("speed", float(speed.magnitude))}


def dimension(text: str) -> np.ndarray | None:
    """What a unit, also a product of several, measures.

    Args:
        text: ``"kN"``, ``"1/s"``, ``"MPa*um**0.5"``.

    Returns:
        Logarithm of the unit in N, mm, s and K, then the exponents of these four, shape (5,); None if the table does
        not have one of its units, or the text is no product. Zero points, as of degC, do not count.
    """
    whole = _tabled(text)
    if whole is not None:
        return _logarithms(whole)
    total, place, text = np.zeros(5), 0, _plain(text)
    while place < len(text):
        found = _FACTOR.match(text, place)
        unit = _tabled(found["unit"]) if found and (found["how"] or place == 0) else None
        if found is None or unit is None:
            return None
        try:
            power = float(found["power"] or 1)
        except ValueError:
            return None
        own = _logarithms(unit)
        if own is None:
            return None
        total = total + own * (-power if found["how"] == "/" else power)
        place = found.end()
    return total if text else None


def _logarithms(unit: Unit) -> np.ndarray | None:
    """What :func:`dimension` returns, for one unit of the table; None where it takes more than N, mm, s and K."""
    if unit.quantity not in _DIMENSIONS:
        return None
    exponents, base = _DIMENSIONS[unit.quantity]
    return np.array([np.log(unit.factor * base), *exponents])


def two_digits(value: float) -> str:
    """A number with two significant digits, without an exponent where people write none: ``360``, ``1.2e+07``."""
    return f"{float(f'{value:.2g}'):g}"


@tells_misfits
def value_with_error(value: float, error: float | None, unit: str = "1") -> str:
    """``198.2 ± 3.1 MPa``: two digits of the standard error, the value to the same place.

    Args:
        value: The number, in ``unit``.
        error: Its standard error; None, not finite or not positive where it is unknown, which gives ``198.2 ± ? MPa``.
        unit: The unit of both, ``"1"`` for none.

    Returns:
        The text; with exponents where the numbers would be long without, ``1.235e+06 ± 1.2e+04``.
    """
    after = "" if unit == "1" else f" {unit}"
    if error is None or not np.isfinite(error) or error <= 0 or not np.isfinite(value):
        return f"{value:.4g} ± ?{after}"
    places = 1 - int(np.floor(np.log10(error)))
    size = max(abs(value), error)
    if size >= 1e6 or size < 1e-4 or places > 8:
        leading = int(np.floor(np.log10(abs(value)))) + 1 if value else 0
        return f"{value:.{min(max(leading + places, 4), 15)}g} ± {error:.2g}{after}"
    return f"{round(value, places):.{max(places, 0)}f} ± {round(error, places):.{max(places, 0)}f}{after}"


def interval_text(low: float, high: float) -> str:
    """Write an interval as text behind a value, such as `` (68.1 to 71.4)``.

    Args:
        low: Lower end, in the value's unit.
        high: Upper end.

    Returns:
        The text with a space before it; empty where an end is not known, or is infinite.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f" ({low:.4g} to {high:.4g})"
