"""Units as people write them, what they measure, and in which proportion: ``"MPa"``, ``"N/mm²"``, ``"MPa/s"``.

A small table of the units of mechanical tests. A unit not in it is kept as its text and equals itself alone; nothing is
concluded from it. Below it, numbers as people write them: with two digits, and with their standard error.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    r"""A unit; a value in the quantity's base unit is :math:`\mathrm{factor} \cdot v + \mathrm{offset}`.

    Attributes:
        name: How it is written in ``attrs["units"]``.
        quantity: What it measures, such as ``"stress"``; for units not in the table, its own text.
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


_POUND_PER_INCH = 6.894757293168361e-3  # in MPa
#: Quantity -> unit -> (factor, offset, other spellings). The first of each is its base.
_TABLE: dict[str, dict[str, tuple[float, float, str]]] = {
    "strain": {
        "1": (1.0, 0.0, "- mm/mm m/m in/in"),
        "%": (0.01, 0.0, "percent pct prozent"),
        "permille": (1e-3, 0.0, "‰"),
        "microstrain": (1e-6, 0.0, "ue ustrain uε um/m"),
    },
    "stress": {
        "MPa": (1.0, 0.0, "N/mm2 N/mm^2 N/mm**2 MN/m2"),
        "Pa": (1e-6, 0.0, "N/m2 N/m^2"),
        "kPa": (1e-3, 0.0, "kN/m2"),
        "GPa": (1e3, 0.0, "kN/mm2"),
        "psi": (_POUND_PER_INCH, 0.0, "lbf/in2"),
        "ksi": (1e3 * _POUND_PER_INCH, 0.0, ""),
        "bar": (0.1, 0.0, ""),
    },
    "force": {
        "N": (1.0, 0.0, "newton"),
        "kN": (1e3, 0.0, ""),
        "mN": (1e-3, 0.0, ""),
        "MN": (1e6, 0.0, ""),
        "lbf": (4.4482216152605, 0.0, ""),
        "kgf": (9.80665, 0.0, ""),
    },
    "length": {
        "mm": (1.0, 0.0, "millimeter millimetre"),
        "um": (1e-3, 0.0, "micron"),
        "nm": (1e-6, 0.0, ""),
        "cm": (10.0, 0.0, ""),
        "m": (1e3, 0.0, ""),
        "inch": (25.4, 0.0, "in"),
    },
    "time": {
        "s": (1.0, 0.0, "sec second seconds sek"),
        "ms": (1e-3, 0.0, ""),
        "us": (1e-6, 0.0, ""),
        "min": (60.0, 0.0, "minutes"),
        "h": (3600.0, 0.0, "hr hour hours std"),
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
#: Spellings that differ in case alone, such as mN and MN, are not guessed; mPa would be a millionth of what was meant,
#: and Nm is a moment, no nanometre.
_FOLDED: dict[str, Unit] = {}
for _spelling in _EXACT:
    if sum(other.casefold() == _spelling.casefold() for other in _EXACT) == 1:
        _FOLDED[_spelling.casefold()] = _EXACT[_spelling]
_AMBIGUOUS = {"mPa", "Nm", "NM"}

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
}
_FACTOR = re.compile(r"\s*(?P<how>[*/·]?)\s*(?P<unit>[^\s*/·^()]+)\s*(?:(?:\*\*|\^)\s*\(?(?P<power>-?[\d.]+)\)?)?\s*")


def _plain(text: str) -> str:
    """One spelling of what looks alike: superscripts, the two mu, non-breaking blanks."""
    return unicodedata.normalize("NFKC", text).replace("μ", "u").strip()


def find_unit(text: str) -> Unit | None:
    """The unit a text names, or None if the table does not have it."""
    text = _plain(text).strip("[](){} ")
    if text in _AMBIGUOUS:
        return None
    return _EXACT.get(text) or _FOLDED.get(text.casefold())


def unit_of(text: str) -> Unit:
    """The unit a text names; one that is not in the table is a quantity of its own."""
    return find_unit(text) or Unit(_plain(text), _plain(text))


def dimension(text: str) -> np.ndarray | None:
    """What a unit, also a product of several, measures.

    Args:
        text: ``"kN"``, ``"1/s"``, ``"MPa*um**0.5"``.

    Returns:
        Logarithm of the unit in N, mm, s and K, then the exponents of these four, shape (5,); None if the table does
        not have one of its units, or the text is no product. Zero points, as of degC, do not count.
    """
    whole = find_unit(text)
    if whole is not None:
        return _logarithms(whole)
    total, place, text = np.zeros(5), 0, _plain(text)
    while place < len(text):
        found = _FACTOR.match(text, place)
        unit = find_unit(found["unit"]) if found and (found["how"] or place == 0) else None
        if found is None or unit is None:
            return None
        try:
            power = float(found["power"] or 1)
        except ValueError:
            return None
        total = total + _logarithms(unit) * (-power if found["how"] == "/" else power)
        place = found.end()
    return total if text else None


def _logarithms(unit: Unit) -> np.ndarray:
    """What :func:`dimension` returns, for one unit of the table."""
    exponents, base = _DIMENSIONS[unit.quantity]
    return np.array([np.log(unit.factor * base), *exponents])


def two_digits(value: float) -> str:
    """A number with two significant digits, without an exponent where people write none: ``360``, ``1.2e+07``."""
    return f"{float(f'{value:.2g}'):g}"


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
