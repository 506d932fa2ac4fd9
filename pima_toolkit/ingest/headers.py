"""Names and units as people write them over columns: ``"Stress [MPa]"``, ``"Dehnung (%)"``, ``"Force/kN"``.

The units themselves are in the room of that name.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from ..units import find_unit

#: Our word -> the quantity it is when no unit is stated.
_QUANTITIES = {
    "strain": "strain",
    "stress": "stress",
    "force": "force",
    "displacement": "length",
    "time": "time",
    "temperature": "temperature",
}
#: Our word -> what it may be called, in the languages of machines.
_WORDS = {
    "strain": """
        strain dehnung stauchung eps epsilon ε allongement élongation elongation deformación deformacion deformazione
        deformação deformation déformation rek odkształcenie деформация ひずみ 歪 应变 應變 변형률 exx eyy exy
    """,
    "stress": """
        stress spannung sigma σ contrainte esfuerzo sforzo tensão spanning naprężenie napětí напряжение 応力 应力 應力
        응력
    """,
    "force": """
        force load kraft standardkraft last fuerza forza força kracht siła síla сила усилие нагрузка 荷重 試験力 载荷
        負荷 하중
    """,
    "displacement": """
        displacement extension crosshead extensometer travel weg standardweg traversenweg hub stroke disp déplacement
        deplacement desplazamiento spostamento deslocamento verplaatsing przemieszczenie prodloužení posuv перемещение
        удлинение 変位 ストローク 位移 변위
    """,
    "time": """
        time zeit testtime steptime timestamp uhrzeit zeitstempel prüfzeit temps tiempo tempo tijd czas čas время 時間
        时间 시간
    """,
    "temperature": """
        temperature temperatur temp température temperatura temperatuur teplota температура 温度 온도
    """,
}
#: Ends of German compounds: Prüfkraft, Druckspannung, Kolbenweg.
_ENDS = {
    "kraft": "force",
    "spannung": "stress",
    "dehnung": "strain",
    "stauchung": "strain",
    "weg": "displacement",
    "zeit": "time",
    "temperatur": "temperature",
}
#: Words that mean a quantity only where the unit says so: a charge is a force in kN, a tension a stress in MPa.
_WITH_UNIT = {
    "charge": "force",
    "carga": "force",
    "effort": "force",
    "tension": "stress",
    "tensión": "stress",
    "tensione": "stress",
    "pressure": "stress",
    "druck": "stress",
    "position": "displacement",
    "gauge": "strain",
    "extenso": "displacement",
    "lvdt": "displacement",
    "dic": "strain",
}
#: Beside one of these a word names a result, or how fast it changes, and no column of a curve.
_NO_CURVE = {
    *(
        "rate",
        "speed",
        "velocity",
        "geschwindigkeit",
        "vitesse",
        "modulus",
        "modul",
        "module",
        "max",
        "maximum",
        "mean",
    ),
    *("break", "bruch", "rupture", "failure", "yield", "ultimate", "error", "std", "deviation", "energy", "energie"),
    "digits",
}


#: Names that are remembered with what they mean: a folder has hundreds of files with the same ones.
_KEPT = 4096
#: Most letters of a header that may state a unit.
_LONGEST = 200
_BRACKETS = re.compile(r"^(?P<name>.*?)\s*\[(?P<unit>[^\[\]]*)\]\s*$")
_PARENTHESES = re.compile(r"^(?P<name>.*?)\s*\((?P<unit>[^()]*)\)\s*$")
_RATIO = re.compile(r"^(?P<name>.+?)[\s_,]+(?P<unit>\w+/\w+)$")
_SLASH = re.compile(r"^(?P<name>.+?)(?:\s*/\s*|\s+in\s+)(?P<unit>\S+)$")
_JOINED = re.compile(r"^(?P<name>.+?)[\s_]+(?P<unit>[^\s_]+)$")


@lru_cache(_KEPT)
def read_header(text: str) -> tuple[str, str | None]:
    """Name and unit of a column's header; the unit is None where none is stated.

    What stands in square brackets is a unit; what stands in parentheses, after a slash or after ``in`` is one if the
    table has it, and after a blank or an underscore if it suits the name too: ``"Kraft N"``, ``"stress_MPa"``.
    ``"Stress (true)"`` and ``"strain 1"`` have none.
    """
    text = " ".join(text.replace("\ufeff", "").split()).strip("\"'")
    if len(text) > _LONGEST:
        return text, None  # a sentence, or no header at all
    found = _BRACKETS.match(text)
    if found and found["name"]:
        return found["name"], found["unit"].strip() or "1"
    for pattern in (_PARENTHESES, _RATIO, _SLASH, _JOINED):
        found = pattern.match(text)
        unit = find_unit(found["unit"]) if found else None
        if found is None or unit is None or not found["name"].strip(" /_"):
            continue
        if found["name"].count("(") != found["name"].count(")"):
            continue  # within a parenthesis that is no unit: "Deriv. Weight (%/°C)"
        quantity = canonical(found["name"])[1]
        if found["unit"] in ("1", "-") and unit.quantity != quantity:
            continue  # the first of several columns of stress, not stress in units of strain
        if len(found["unit"]) == 1 and found["unit"].isalpha() and not _suits(quantity, unit.quantity):
            continue  # stress of specimen A, not in ampere
        suits = _suits(quantity, unit.quantity, known=True) and found["unit"] not in ("1", "-")
        counts = unit.quantity in ("count", "number of cycles")
        if pattern is not _JOINED or suits or (found["unit"] == unit.name and len(unit.name) > 2 and not counts):
            return found["name"].strip(" /_,"), found["unit"].strip()
    return text, None


def slug(name: str) -> str:
    """A name as a variable can have: lower case, words joined by underscores."""
    words = re.sub(r"\W+", "_", unicodedata.normalize("NFC", name).casefold())
    return re.sub(r"_+", "_", words).strip("_")


def _suits(named: str | None, measured: str, known: bool = False) -> bool:
    """Whether a unit measures what a column is called; a way may be told as a strain, a load in kg."""
    if named is None:
        return not known
    return named == measured or {named, measured} in ({"strain", "length"}, {"force", "mass"})


@lru_cache(_KEPT)
def canonical(name: str, unit: str | None = None) -> tuple[str, str | None]:
    """Our word for a column's name, and its quantity: ``"Standardkraft"`` is ("force", "force").

    A name that is none of ours stays, as a slug, without a quantity; so does a rate, or a largest value. A unit decides
    where a word has several meanings: an extension in % is a strain, a Spannung in V no stress.

    Args:
        name: The column's name.
        unit: Its unit as written, if one is stated.
    """
    name = name[:_LONGEST]
    words = slug(name).split("_")
    known = find_unit(unit) if unit else None
    measured = None if known is None else known.quantity
    if _NO_CURVE.isdisjoint(words):
        for ours in _meanings(words):
            quantity = _QUANTITIES[ours]
            if measured is None or measured == quantity:
                return ours, quantity
            if {measured, quantity} == {"strain", "length"}:
                return ("strain", "strain") if measured == "strain" else ("displacement", "length")
            if (quantity, measured) == ("force", "mass"):
                return ours, quantity
        for word in words:
            if word in _WITH_UNIT and _suits(_QUANTITIES[_WITH_UNIT[word]], measured or "") and measured is not None:
                ours = _WITH_UNIT[word]
                return ("strain", "strain") if (ours, measured) == ("displacement", "strain") else (ours, measured)
    return slug(name), None


def _meanings(words: list[str]) -> list[str]:
    """Our words that a name may mean."""
    found = [ours for ours, theirs in _WORDS.items() if any(_is(word, words) for word in theirs.split())]
    return found + [ours for end, ours in _ENDS.items() if any(w.endswith(end) for w in words) and ours not in found]


def _is(theirs: str, words: list[str]) -> bool:
    """Whether a word is among others; Chinese and Japanese are written without blanks."""
    return theirs in words or (theirs[0] > "\u3000" and any(theirs in word for word in words))
