"""Lines of text as instruments write them: the delimiter of their columns, the sign of their decimals, numbers."""

from __future__ import annotations

import csv
import re

import numpy as np

from ...units import find_unit
from .clock import is_clock

TEXT_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".dat", ".asc", ".xy", ".xye", ".mpt", ".dta", ".prn", ".lvm"),
    *(".tra", ".dpt", ".uxd", ".tab"),
)
#: A number; the exponent of Fortran is a D.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
#: Most signs of a number.
_LONGEST = 100
_THOUSANDS = {".": re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+"), ",": re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+")}
#: Thousands without decimals: only to be read so where the decimal sign is certain.
_WHOLE_THOUSANDS = {".": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+"), ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")}
#: Thousands parted by what is no decimal sign: blanks of all widths, apostrophes.
_PARTED = re.compile(r"[+-]?\d{1,3}([ \u00a0\u2009\u202f'\u2019])\d{3}(\1\d{3})*([.,]\d+)?")
#: What is meant as a number, whether or not it can be read.
_NUMBER_LIKE = re.compile(r"[+-]?\d[\d.,' \u00a0\u2009\u202f\u2019]*([eEdD][+-]?\d+)?")
#: What programs write where there is no value.
GAPS = {"", "-", "--", "---", "?", "nan", "na", "n/a", "#n/a", "null", "none", "inf", "-inf", "#value!", "#div/0!"}
GAPS |= {"#num!", "1.#qnan", "-1.#ind", "1.#inf", "-1.#inf", "1.#ind", "overload", "overflow", "err", "error", "#ref!"}
GAPS |= {
    "over",
    "under",
    "ovld",
    "ovr",
    "ol",
    "<low",
    ">high",
    "low",
    "high",
    "out of range",
    "invalid",
    "missing",
    "n.a.",
}
GAPS |= {"+inf", "infinity", "-infinity", "nil", "n.d.", "bad", "open", "k.a.", "#name?", "***", "****", "*****"}
DELIMITERS: tuple[str | None, ...] = ("\t", ";", ",", "|", None)  # None: blanks
#: Fields of a line by which delimiter and decimal sign are told.
_SAMPLED = 2000
#: Those that stand in no number and between no words.
PARTING = ("\t", ";", "|")
COMMENT = re.compile(r"^\s*(#+|%+|//+|!+|\*+)\s*")


def detect(lines: list[str]) -> tuple[str | None, str]:
    """Delimiter and decimal sign by which most lines are numbers throughout; if none is, by which most fields are."""
    middle = max(0, len(lines) // 2 - 150)
    sample = [line for line in lines[middle : middle + 300] if line.strip()]
    quoted = any('"' in line for line in sample)
    best, best_score = (None, "."), (0, 0.0)
    for delimiter in DELIMITERS:
        rows = [split_line(line, delimiter)[:_SAMPLED] for line in sample]
        blanks = delimiter in PARTING
        for decimal in ".,":
            if delimiter == decimal and not quoted:
                continue
            whole, score = 0, 0.0  # lines of numbers throughout tell more than dates and counts within texts
            for row in rows:
                filled = sum(number(field, decimal, blanks=blanks) is not None or is_clock(field) for field in row)
                gaps = sum(field.lower() in GAPS for field in row)
                if filled and filled + gaps >= 2:
                    whole += filled + gaps == len(row)
                    score += (filled + gaps) / len(row)
            more = score > best_score[1] + 1e-9 and (whole == 0 or delimiter == best[0])
            if whole > best_score[0] or (whole == best_score[0] and more):
                best, best_score = (delimiter, decimal), (whole, score)
    return best


def split_line(line: str, delimiter: str | None, *, comment: bool = True) -> list[str]:
    """The fields of a line, without a comment sign before and a delimiter after; None parts at blanks.

    Args:
        line: The line.
        delimiter: What parts its fields.
        comment: Whether signs such as ``#`` before the first field are taken for those of a comment.
    """
    if comment and not _begins_with_per_cent(line, delimiter):
        line = COMMENT.sub("", line)
    if delimiter is None:
        return line.split()
    if '"' in line:
        try:
            fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:  # a quote that is never closed, in what is no table
            fields = line.split(delimiter)
    else:
        fields = line.split(delimiter)
    fields = [field.strip() for field in fields]
    while len(fields) > 1 and not fields[-1]:  # a delimiter at the end of the line
        fields.pop()
    return fields


def _begins_with_per_cent(line: str, delimiter: str | None) -> bool:
    """Whether a line is ``%;MPa``, units of columns, and not a comment after a percent sign."""
    if not line.lstrip().startswith("%"):
        return False
    first, *others = [field.strip() for field in (line.split() if delimiter is None else line.split(delimiter))]
    return first == "%" and any(others) and all(find_unit(field) is not None for field in others if field)


def number(text: str, decimal: str, *, blanks: bool = False, certain: bool = False) -> float | None:
    """A real number, or None; ``1.234,5`` has thousands in groups.

    Args:
        text: A field.
        decimal: The decimal sign.
        blanks: Whether ``1 024`` is a number: columns are parted by a sign that parts nothing else.
        certain: Whether the decimal sign is settled, so that ``1,024`` beside points can only be thousands.
    """
    if len(text) > _LONGEST:
        return None
    text = text.replace("\u2212", "-")  # the minus of typesetters
    found = _plain_number(text, decimal)
    if found is None:
        groups = (_THOUSANDS, _WHOLE_THOUSANDS) if certain else (_THOUSANDS,)
        if any(group[decimal].fullmatch(text) for group in groups):
            return _plain_number(text.replace("." if decimal == "," else ",", ""), decimal)
        parted = _PARTED.fullmatch(text)
        if parted and (blanks or parted[1] != " "):
            return _plain_number(text.replace(parted[1], ""), decimal)
    return found


def _plain_number(text: str, decimal: str) -> float | None:
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace("D", "e").replace("d", "e"))
    return value if np.isfinite(value) else None


def looks_like_number(text: str) -> bool:
    """Whether a field is meant as a number, though perhaps with signs that cannot be read: ``1,024.5,3``; no date."""
    if len(text) > _LONGEST:
        return False
    text = text.replace("\u2212", "-")
    return _NUMBER_LIKE.fullmatch(text) is not None and not re.fullmatch(r"\d{1,2}\.\d{1,2}\.(\d{2}|\d{4})", text)
