"""A sheet of texts, from a text file or a workbook, and what its fields are: numbers, gaps, clock times, names."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ...units import find_unit
from ..headers import canonical, read_header
from .clock import HALF_TOLD, MOMENT, seconds
from .texts import COMMENT, GAPS, PARTING, number, split_line

#: Most signs of a line that is a title, a mark or a remark about a unit.
LONGEST_PHRASE = 300
#: A line that begins or ends the numbers, and holds nothing else.
_MARK = re.compile(r"(?i)\W*(start|begin|data|daten|end|ende|stop|fin|eof|(end|start)[ _]of[ _]\w+|ende der \w+)\W*")
#: What stands above one of several tables of a file.
TITLE = re.compile(
    r"(?i)\W*(specimen|sample|probe|probekörper|prüfling|cycle|zyklus|curve|kurve|run|scan|versuch|block|loop|segment|"
    r"test|seite|page|éprouvette|échantillon|serie|series|film|cell|zelle|part|teil)s?\b\W*"
)
#: A column that names the specimen of each row.
SPECIMEN = re.compile(
    r"(specimen|sample|probe|prüfling|probekörper|éprouvette|échantillon|film|cell)(_?(id|no|nr|number|name|nummer))?"
)


@dataclass(frozen=True, eq=False)
class Sheet:
    """Rows of texts; of a text file also its lines, and what parts their columns (None: blanks)."""

    rows: list[list[str]]
    decimal: str
    notes: tuple[str, ...] = ()
    lines: list[str] | None = None
    delimiter: str | None = None
    name: str = ""

    @property
    def blanks(self) -> bool:
        """Whether columns are parted by blanks, so that an empty cell moves those after it."""
        return self.lines is not None and self.delimiter is None

    @property
    def word(self) -> str:
        """What a row is called."""
        return "row" if self.lines is None else "line"

    def number(self, field: str, *, certain: bool = True) -> float | None:
        """A field as a number, None where it is none."""
        return number(field, self.decimal, blanks=self.delimiter in PARTING, certain=certain)

    def parse(self, row: list[str], *, certain: bool) -> list[float] | None:
        """A row of numbers, NaN where a field is none; None for a row without."""
        values = [self.number(field, certain=certain) for field in row]
        if None in values:
            values = [seconds(field) if v is None and ":" in field else v for field, v in zip(row, values, strict=True)]
        filled = sum(v is not None for v in values)
        gaps = sum(field.lower() in GAPS or (":" in field and bool(HALF_TOLD.fullmatch(field))) for field in row)
        if filled == 0 or filled + gaps < 2:
            return None
        return [np.nan if v is None else v for v in values]

    def parsed(self) -> list[list[float] | None]:
        """All rows as numbers; where the decimal sign is settled, ``1,024`` beside points is thousands."""
        out = [self.parse(row, certain=False) for row in self.rows]
        read = (field for row, values in zip(self.rows, out, strict=True) if values is not None for field in row)
        if any(self.decimal in field and number(field, self.decimal) is not None for field in read):
            return [
                self.parse(row, certain=True) if values is None or np.isnan(values).any() else values
                for row, values in zip(self.rows, out, strict=True)
            ]
        return out

    def fields(self, at: int, width: int) -> list[str]:
        """The texts of a row over so many columns; empty where it does not fit them.

        A ``#`` before a delimiter is a field where the row would lack one without it.
        """
        row = self.rows[at]
        if self.lines is None or not self.blanks:
            if len(row) < width and self.lines is not None:
                raw = split_line(self.lines[at], self.delimiter, comment=False)
                if len(raw) == width and "#" in raw[:2]:
                    return raw
            if len(row) <= width:
                return row + [""] * (width - len(row)) if len(row) > 1 else []
            return row[:width] if not any(row[width:]) else []
        line = self.lines[at].strip()
        if len(row) == width and row[0] == "%":
            return row
        bare = COMMENT.sub("", line).strip()
        ways = [
            re.split(r"\t|\s{2,}", bare),
            re.findall(r"[^\s\[(]+(?:\s{0,9}[\[(][^\])]{0,99}[\])])?", bare),
            bare.split(),
            line.split(),
            self._aligned(at, width),
        ]
        return next((way for way in ways if len(way) == width), [])

    def _aligned(self, at: int, width: int) -> list[str]:
        """A row parted by blanks that has no text over some columns, by where the columns of a row below end."""
        lines = self.lines or []
        below = next((line for line in lines[at + 1 : at + 5] if len(line.split()) == width), "")
        ends = [word.end() for word in re.finditer(r"\S+", below)]
        texts = {word.end(): word[0] for word in re.finditer(r"\S+", lines[at])}
        return [texts.get(end, "") for end in ends] if len(texts) > 1 and texts.keys() <= set(ends) else []

    def is_names(self, fields: list[str]) -> bool:
        """Whether fields are texts over columns: no number, no moment, more than one filled."""
        filled = [field for field in fields if field]
        return (
            len(filled) > 1
            and not all(field.lower() in GAPS for field in filled)
            and not any(self.number(field) is not None or MOMENT.fullmatch(field) for field in filled)
        )

    def line(self, at: int) -> str:
        """The text of a row as it is written."""
        return self.lines[at].strip() if self.lines is not None else " ".join(filter(None, self.rows[at]))

    def phrase(self, at: int) -> str:
        """The text of a row that is short enough to say something of the table; empty for a longer one.

        Patterns that try every way to part a text take minutes for one of a hundred thousand signs.
        """
        text = self.line(at)
        return text if len(text) <= LONGEST_PHRASE else ""

    def is_mark(self, at: int) -> bool:
        """Whether a row says that the numbers begin or end."""
        return _MARK.fullmatch(self.phrase(at)) is not None

    def is_title(self, at: int) -> bool:
        """Whether a row without numbers says which table follows: ``Cycle 2``, ``Specimen;P3``."""
        filled = [field for field in self.rows[at] if field]
        return 0 < len(filled) <= 2 and TITLE.match(COMMENT.sub("", filled[0][:LONGEST_PHRASE])) is not None


def unit_share(fields: list[str], *, under_names: bool = False) -> float:
    """Share of the filled fields that are units, alone or in brackets; 0 where none is certain to be one.

    Args:
        fields: Texts over columns.
        under_names: Whether a line of names stands above, so that ``V`` and ``A`` are units, if all of them are.
    """
    filled = [field for field in fields if field]
    if not filled:
        return 0.0
    units = [field for field in filled if find_unit(field) is not None or re.fullmatch(r"[\[(].*[\])]", field)]
    certain = [field for field in units if len(field) > 1 or field in ("%", "s", "N")]
    return len(units) / len(filled) if certain or (under_names and len(units) == len(filled)) else 0.0


def knowledge(fields: list[str]) -> int:
    """How many fields are names that are known, or state a unit."""
    pairs = [read_header(field) for field in fields if field]
    return sum(unit is not None or canonical(name)[1] is not None for name, unit in pairs)
