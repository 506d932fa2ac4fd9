"""What a reader of one file format is, and what it gives: `Columns` of numbers, or `Pixels`.

A format is added by a file here and a line in ``FORMATS`` (registry.py), or from a package by the hook
``pima_readers``::

    import numpy as np
    from pima_toolkit import hookimpl
    from pima_toolkit.ingest import ColumnReader, Columns


    class Relaxation(ColumnReader):
        suffixes = (".rlx",)

        def read(self, path, sheet=None):
            values = np.loadtxt(path, skiprows=1)
            return Columns(("time", "stress"), ("h", "MPa"), values)


    @hookimpl
    def pima_readers():
        return {"relaxation": Relaxation}
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from ...data.reading_log import Unusable, count


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of numbers of a file.

    Args:
        names: Header of each column as written, without its unit; empty where there is none.
        units: Unit of each column as written, or None.
        values: (row, column) float64; gaps are NaN.
        notes: What was noticed on the way, for the reading log.
        title: What stands above the table, such as ``"Specimen P2"``; empty where nothing does.
        place: Where the table is in the file, such as ``"lines 4 to 27"``.
        sheet: The sheet it is on, where a file has several.
        groups: Heading over each column above its name, such as a specimen's over its two columns; empty for none.
        labels: Text at the beginning of each row, or under a name for specimens, where nearly all rows have one.
        above: Where names of columns are mentioned above a table without names; empty where they are not.
        lost: Columns with a name whose cells are filled and cannot be read as numbers -> why.
        stated: Numbers with a name above the table, such as a width -> value and unit as written, empty for none.
    """

    names: tuple[str, ...]
    units: tuple[str | None, ...]
    values: np.ndarray
    notes: tuple[str, ...] = ()
    title: str = ""
    place: str = ""
    sheet: str = ""
    groups: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    above: str = ""
    lost: Mapping[int, str] = field(default_factory=dict)
    stated: Mapping[str, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pixels:
    """The picture of a file.

    Args:
        pages: (page, y, x, channel), upright, in the numbers that the file holds; one channel is grey, three colours.
        notes: What was noticed on the way, for the reading log.
    """

    pages: np.ndarray
    notes: tuple[str, ...] = ()


class Reader(ABC):
    """One format of files.

    Attributes:
        suffixes: Endings of its files, in lower case with their point.
        kind: What its files hold: ``"curves"`` or ``"images"``.
        limits: Factor on what a file may hold, as the user gives it; a reader looks at it before it reads.
    """

    suffixes: ClassVar[tuple[str, ...]]
    kind: ClassVar[str]
    limits: float = 1.0

    def within(self, limits: float) -> Self:
        """The reader with its limits so many times as high."""
        if limits == self.limits:
            return self
        other = copy.copy(self)
        other.limits = limits
        return other

    def recognises(self, path: Path) -> bool:  # noqa: ARG002
        """Whether a file with one of the suffixes is of this format; readers of plugins are asked first."""
        return True


class ColumnReader(Reader):
    """A format of files that hold columns of numbers, two of which are a curve."""

    kind = "curves"

    @abstractmethod
    def read(self, path: Path, sheet: str | int | None = None) -> Columns:
        """Read the columns of a file.

        Args:
            path: The file.
            sheet: Name or number (0-based) of a sheet, where a file has several; None: the reader's choice.

        Raises:
            Unusable: If the file cannot be used; the message says why, as it stands in the reading log.
        """

    def tables(self, path: Path, sheet: str | int | None = None) -> Iterator[Columns]:
        """Every table of a file, in its order; a format whose files have one needs `read` alone.

        Args:
            path: The file.
            sheet: As for `read`; None: the tables of all sheets.

        Raises:
            Unusable: As `read`.
        """
        yield self.read(path, sheet)


class TablesReader(ColumnReader):
    """A format of files that may hold several tables."""

    def read(self, path: Path, sheet: str | int | None = None) -> Columns:
        """The longest table of a file; see `ColumnReader.read`."""
        found = largest(list(self.tables(path, sheet)))
        if found is None:
            raise Unusable("has no two columns of numbers side by side")
        return found

    @abstractmethod
    def tables(self, path: Path, sheet: str | int | None = None) -> Iterator[Columns]:
        """Every table of a file, in its order; see `ColumnReader.tables`."""


def largest(tables: list[Columns]) -> Columns | None:
    """The table with most rows, and how many rows of numbers the others have; None of none."""
    if not tables:
        return None
    best = max(tables, key=lambda t: len(t.values))
    beside = sum(len(t.values) for t in tables) - len(best.values)
    if not beside:
        return best
    return replace(best, notes=(*best.notes, f"{count(beside, 'row')} of numbers elsewhere in the file left out"))


class PixelReader(Reader):
    """A format of files that hold a picture, or several pages of one size."""

    kind = "images"

    @abstractmethod
    def size(self, path: Path) -> tuple[int, int]:
        """(height, width) of a file's picture, upright, without reading its pixels.

        Raises:
            Unusable: If it is no picture, or a very large one.
        """

    @abstractmethod
    def read(self, path: Path) -> Pixels:
        """Read the picture of a file.

        Raises:
            Unusable: If it is damaged or no picture.
        """
