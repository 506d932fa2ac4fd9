"""Times as clocks write them: ``14:05:33.5``, ``2021-03-12 14:05:33``, in seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import numpy as np

_CLOCK = re.compile(r"(?P<h>\d{1,4}):(?P<m>[0-5]\d):(?P<s>[0-5]\d(?:[.,]\d+)?)(?P<half>\s*[aApP]\.?[mM]\.?)?")
_DATE = (
    r"(?:(?P<y>\d{4})[-/.](?P<mo>\d{1,2})[-/.](?P<d>\d{1,2})|(?P<d2>\d{1,2})[./-](?P<mo2>\d{1,2})[./-](?P<y2>\d{4}))"
)
_BOTH = re.compile(
    _DATE + r"[ T]+(?P<clock>\d{1,2}:[0-5]\d:[0-5]\d(?:[.,]\d+)?(?:\s*[aApP]\.?[mM]\.?)?)(?:Z|[+-]\d\d:?\d\d)?"
)
#: Days and a clock's time, as cyclers of batteries and spreadsheets write what has passed.
_DAYS = re.compile(r"(?P<days>\d{1,4})\s?(?:d|days?,)\s+(?P<clock>\d{1,2}:\S+)")
#: A date alone, or a time of day; a line of a header that holds one is no line of names.
MOMENT = re.compile(_DATE.replace("?P<", "?P<a_") + r"|\d{1,2}:\d\d(:\d\d([.,]\d+)?)?(\s*[aApP][mM])?")
#: ``05:30`` may be minutes and seconds, or hours and minutes.
HALF_TOLD = re.compile(r"\d{1,3}:[0-5]\d([.,]\d+)?")
_DAY = 86400.0


def is_clock(text: str) -> bool:
    """Whether a field is a time of a clock, whether or not it can be told in seconds."""
    return ":" in text and (HALF_TOLD.fullmatch(text) is not None or seconds(text) is not None)


def seconds(text: str) -> float | None:
    """A clock's time in seconds since midnight, with a date since 1970; None where it is none.

    The order of day and month in ``03/12/2021`` is of no account: only differences within a table are used, and a table
    that goes past midnight is made increasing by :func:`elapsed`.
    """
    found = _BOTH.fullmatch(text)
    if found is not None:
        y, mo, d = (int(found[a] or found[b]) for a, b in (("y", "y2"), ("mo", "mo2"), ("d", "d2")))
        try:
            day = datetime(y, mo, d, tzinfo=UTC)
        except ValueError:
            try:
                day = datetime(y, d, mo, tzinfo=UTC)
            except ValueError:
                return None
        within = seconds(found["clock"])
        return None if within is None else day.timestamp() + within
    found = _DAYS.fullmatch(text)
    if found is not None:
        within = seconds(found["clock"])
        return None if within is None else _DAY * int(found["days"]) + within
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hours = int(found["h"])
    half = (found["half"] or "").strip().lower()[:1]
    if half:
        hours = hours % 12 + (12 if half == "p" else 0)
    return 3600.0 * hours + 60.0 * int(found["m"]) + float(found["s"].replace(",", "."))


def elapsed(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Seconds since the first time of a column, and what was done; midnight is passed, not gone back from.

    Args:
        values: Of :func:`seconds`, (row,), NaN where there was none.
    """
    out = values.copy()
    there = np.flatnonzero(np.isfinite(out))
    if there.size == 0:
        return out, ""
    days = np.concatenate([[0.0], np.cumsum(np.diff(out[there]) < -0.5 * _DAY)])
    out[there] += _DAY * days
    first = out[there[0]]
    note = "clock times as seconds" + ("" if first == 0 else " since the first of them")
    return out - first, note
