"""Names and units as people write them over columns: ``"Stress [MPa]"``, ``"Dehnung (%)"``, ``"Force/kN"``.

A small table of the units of mechanical tests. A unit not in it is kept as its text and equals itself alone.
"""

from __future__ import annotations

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
#: Spellings that differ in case alone, such as mN and MN, are not guessed; mPa would be a millionth of what was meant.
_FOLDED: dict[str, Unit] = {}
for _spelling in _EXACT:
    if sum(other.casefold() == _spelling.casefold() for other in _EXACT) == 1:
        _FOLDED[_spelling.casefold()] = _EXACT[_spelling]
_AMBIGUOUS = {"mPa"}

#: Our word -> what it may be called, and the quantity it is when no unit is stated.
_WORDS = {
    "strain": ("strain", "strain dehnung stauchung deformation eps epsilon ε"),
    "stress": ("stress", "stress spannung sigma σ contrainte"),
    "force": ("force", "force load kraft standardkraft last"),
    "displacement": ("length", "displacement extension crosshead travel weg standardweg traversenweg hub disp"),
    "time": ("time", "time zeit testtime prüfzeit temps"),
    "temperature": ("temperature", "temperature temperatur temp"),
}


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
    """As `find_unit`; a unit not in the table is a quantity of its own."""
    return find_unit(text) or Unit(_plain(text), _plain(text))


_BRACKETS = re.compile(r"^(?P<name>.*?)\s*\[(?P<unit>[^\[\]]*)\]\s*$")
_PARENTHESES = re.compile(r"^(?P<name>.*?)\s*\((?P<unit>[^()]*)\)\s*$")
_RATIO = re.compile(r"^(?P<name>.+?)[\s_,]+(?P<unit>\w+/\w+)$")
_SLASH = re.compile(r"^(?P<name>.+?)(?:\s*/\s*|\s+in\s+)(?P<unit>\S+)$")
_JOINED = re.compile(r"^(?P<name>.+?)[\s_]+(?P<unit>[^\s_]+)$")


def read_header(text: str) -> tuple[str, str | None]:
    """Name and unit of a column's header; the unit is None where none is stated.

    What stands in square brackets is a unit; what stands in parentheses, after a slash or after ``in`` is one if the
    table has it, and after a blank or an underscore if it suits the name too: ``"Kraft N"``, ``"stress_MPa"``.
    ``"Stress (true)"`` and ``"strain 1"`` have none.
    """
    text = " ".join(text.replace("\ufeff", "").split()).strip("\"'")
    found = _BRACKETS.match(text)
    if found and found["name"]:
        return found["name"], found["unit"].strip() or "1"
    for pattern in (_PARENTHESES, _RATIO, _SLASH, _JOINED):
        found = pattern.match(text)
        unit = find_unit(found["unit"]) if found else None
        if found is None or unit is None or not found["name"].strip(" /_"):
            continue
        if found["unit"] in ("1", "-") and unit.quantity != canonical(found["name"])[1]:
            continue  # the first of several columns of stress, not stress in units of strain
        suits = unit.quantity == canonical(found["name"])[1] and found["unit"] not in ("1", "-")
        if pattern is not _JOINED or suits or (found["unit"] == unit.name and len(unit.name) > 2):
            return found["name"].strip(" /_"), found["unit"].strip()
    return text, None


def slug(name: str) -> str:
    """A name as a variable can have: lower case, words joined by underscores."""
    words = re.sub(r"\W+", "_", unicodedata.normalize("NFC", name).casefold())
    return re.sub(r"_+", "_", words).strip("_")


def canonical(name: str) -> tuple[str, str | None]:
    """Our word for a column's name, and its quantity: ``"Standardkraft"`` is ("force", "force").

    A name that is none of ours stays, as a slug, without a quantity; so does a rate.
    """
    words = slug(name).split("_")
    if "rate" not in words:
        for ours, (quantity, theirs) in _WORDS.items():
            if any(word in words for word in theirs.split()):
                return ours, quantity
    return slug(name), None
