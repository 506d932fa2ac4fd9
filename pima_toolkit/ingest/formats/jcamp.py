"""JCAMP-DX: spectra with a head of ``##LABEL= value`` and ordinates as plain numbers, several a line.

Only AFFN, plain numbers, is read: ``(X++(Y..Y))``, x of the first ordinate of each line, and ``(XY..XY)``, pairs.
Numbers packed into letters (ASDF: SQZ, DIF, DUP) are refused.

Source: McDonald and Wilks (1988), Applied Spectroscopy 42, 151.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...data.reading_log import Unusable, count
from .encodings import decode
from .reader import Columns, TablesReader
from .workbooks import OPTION

_LABEL = re.compile(r"^\s*##(?P<label>[^=]*)=(?P<value>.*)$")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TABLES = ("XYDATA", "XYPOINTS", "PEAKTABLE")
#: Names of units that say what the axis is.
_AXES = {
    "1/CM": "wavenumber",
    "NANOMETERS": "wavelength",
    "MICROMETERS": "wavelength",
    "SECONDS": "time",
    "HZ": "frequency",
}
_UNITS = {"1/CM": "1/cm", "NANOMETERS": "nm", "MICROMETERS": "um", "SECONDS": "s", "HZ": "Hz"}


class _Jcamp(TablesReader):
    """JCAMP-DX of plain numbers, whatever its ending."""

    suffixes = (".jdx", ".dx", ".jcamp", ".jcm", ".txt", ".asc", ".dat", ".csv")

    def recognises(self, path: Path) -> bool:
        """Whether the first line is ``##TITLE=``."""
        if path.suffix.lower() in self.suffixes[:4]:
            return True
        try:
            with path.open("rb") as file:
                head = file.read(400)
        except OSError:
            return False
        return re.match(rb"(?:\xef\xbb\xbf)?\s*##\s*(?:TITLE|JCAMP)", head, re.IGNORECASE) is not None

    def tables(self, path: Path, sheet: str | int | None = None) -> Iterator[Columns]:  # noqa: ARG002
        text, _ = decode(path, self.limits, OPTION)
        head: dict[str, str] = {}
        number, lines = 0, text.splitlines()
        at = 0
        while at < len(lines):
            line = lines[at].split("$$")[0]
            at += 1
            found = _LABEL.match(line)
            if found is None:
                continue
            label = re.sub(r"[\s\-_/]", "", found["label"]).upper()
            if label == "TITLE":
                head = {}
            head[label] = found["value"].strip()
            if label not in _TABLES:
                continue
            first = at
            while at < len(lines) and not lines[at].lstrip().startswith("##"):
                at += 1
            number += 1
            yield _spectrum(head, label, [row.split("$$")[0] for row in lines[first:at]], first + 1)
        if not number:
            raise Unusable("is a JCAMP-DX file without a table of data (##XYDATA=, ##XYPOINTS=)")


JCAMP = _Jcamp()


def _spectrum(head: dict[str, str], label: str, rows: list[str], line: int) -> Columns:
    """One table of a file in the units of its head."""
    form = re.sub(r"\s", "", head[label]).upper()
    for row in rows:
        if re.sub(r"[eE](?=[+-]?\d)", "", row).upper().strip(" \t\r0123456789.,;+-?") != "" or re.search(
            r"[%@A-DF-Za-df-z]", row
        ):
            raise Unusable(
                "is a JCAMP-DX file whose ordinates are compressed (ASDF: differences in letters): save it as AFFN, "
                "plain numbers, or as CSV"
            )
    scale = [_factor(head, axis) for axis in ("XFACTOR", "YFACTOR")]
    notes: list[str] = []
    if form.startswith("(X++"):
        x, y, notes = _rows(head, rows, scale)
    else:
        numbers = [float(v) for row in rows for v in _NUMBER.findall(row.replace(";", " "))]
        if len(numbers) % 2:
            raise Unusable(f"is a JCAMP-DX file with an odd number of values in ##{label}=, expected pairs of x and y")
        pairs = np.array(numbers).reshape(-1, 2)
        x, y = pairs[:, 0] * scale[0], pairs[:, 1] * scale[1]
    written = head.get("XUNITS", "").strip()
    stated = head.get("NPOINTS", "")
    if stated.isdecimal() and float(stated[:20]) != x.size:
        raise Unusable(f"is a JCAMP-DX file of {count(x.size, 'point')}, though its head says {stated}: is it cut off?")
    y_name = head.get("YUNITS", "").strip().lower()
    return Columns(
        (_AXES.get(written.upper(), written.lower()), y_name),
        (_UNITS.get(written.upper(), written or None), None),
        np.column_stack([x, y]),
        ("JCAMP-DX", *notes),
        title=head.get("TITLE", ""),
        place=f"lines {line} to {line + len(rows) - 1}",
    )


def _factor(head: dict[str, str], label: str) -> float:
    try:
        return float(head.get(label, "1") or 1)
    except ValueError:
        raise Unusable(f"is a JCAMP-DX file whose ##{label}= is {head[label]!r}, no number") from None


def _rows(head: dict[str, str], rows: list[str], scale: list[float]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Lines of x and several y: the axis runs evenly from the first x to the last, checked at every line."""
    lines = [[float(v) for v in _NUMBER.findall(row)] for row in rows]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        raise Unusable("is a JCAMP-DX file without numbers")
    y = np.array([v for line in lines for v in line[1:]]) * scale[1]
    try:
        ends = float(head["FIRSTX"]), float(head["LASTX"])
    except (KeyError, ValueError):
        raise Unusable("is a JCAMP-DX file whose head lacks ##FIRSTX= or ##LASTX=, so its axis is not known") from None
    x = np.linspace(*ends, y.size)
    starts = np.cumsum([0, *(len(line) - 1 for line in lines[:-1])])
    step = abs(ends[1] - ends[0]) / max(y.size - 1, 1)
    off = np.abs(x[starts] - np.array([line[0] for line in lines]) * scale[0])
    if (off > 0.5 * step + 1e-9 * np.abs(x).max()).any():
        raise Unusable(
            "is a JCAMP-DX file whose lines do not begin at the x that their number of values says: damaged?"
        )
    return x, y, []
