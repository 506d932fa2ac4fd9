"""The cells of a workbook's sheet as texts, percentages as they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ...units import find_unit
from ..headers import read_header


class Page(Protocol):
    """A sheet as openpyxl reads it."""

    def iter_rows(self, *, values_only: bool = False) -> Iterable[tuple]:
        """Its rows, as cells or as their values."""


def cells_of(page: Page) -> list[list[str]]:
    """The rows of a sheet; formulas as the values they had when it was saved, empty cells at the end left out.

    A cell formatted as a percentage holds 0.05 and shows 5 %. Under a header that says ``[%]`` the 5 is meant: with the
    0.05 the number would be divided by a hundred twice.
    """
    rows = [_texts(row) for row in page.iter_rows(values_only=True)]
    columns = {k for row in rows for k, text in enumerate(row) if _says_percent(text)}
    if not columns:
        return rows
    for texts, cells in zip(rows, page.iter_rows(), strict=True):
        for k in columns & set(range(len(texts))):
            value = cells[k].value
            if isinstance(value, int | float) and "%" in str(cells[k].number_format):
                # 100 * 0.07 is 7.000000000000001: what was typed has fewer digits.
                texts[k] = _text(float(f"{100 * value:.14g}"))
    return rows


def _says_percent(text: str) -> bool:
    """Whether a header, or a line of units under it, says that numbers are percentages."""
    units = [find_unit(part) for part in (text, read_header(text)[1]) if part]
    return any(unit is not None and unit.name == "%" for unit in units)


def _texts(row: tuple) -> list[str]:
    texts = [_text(value) for value in row]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _text(value: object) -> str:
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
    return "" if value is None else str(value).strip().removesuffix(" 00:00:00")  # of a date alone
