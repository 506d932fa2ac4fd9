"""Several specimens in one file: one a sheet, tables below each other, one a row, one a column or pair of columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...data.reading_log import Unusable
from ..headers import canonical, read_header
from .choice import blocks_of, chosen_columns, chosen_table, specimen_of_rows, wanted_columns
from .reader import Columns
from .tables import FEWEST

#: How specimens may lie in a file.
WAYS = ("sheets", "blocks", "rows", "columns", "long")
_LEAD = re.compile(
    r"(?i)^\W*(specimen|sample|probekörper|probe|prüfling|versuch|test|éprouvette|échantillon|curve|kurve)s?"
    r"(\s*(no|nr|number|id|name))?[\s.:;#_=-]*"
)
_X_WORDS = ("strain", "displacement", "time", "temperature")


def split(
    tables: Sequence[Columns], way: str, table: int | str | None, x: str | int | None, y: str | int | None
) -> list[tuple[str, Columns]]:
    """The specimens of a file, each with its name there and its own table of columns.

    Args:
        tables: All of the file.
        way: One of `WAYS`.
        table: For rows and columns, which table.
        x: Column of x, where one is asked for.
        y: Column of y, where one is asked for; for sheets and blocks it is looked for in each.

    Raises:
        Unusable: If the file is not made so.
    """
    if way in ("sheets", "blocks"):
        found = _tables_as_specimens(tables, way, x, y)
    else:
        whole = chosen_table(tables, table, x, None if way == "rows" else y)
        parts = {"rows": _rows, "long": _long}
        found = parts[way](whole) if way in parts else _columns(whole, x, y)
    names = [name for name, _ in found]
    if len(set(names)) < len(names):
        found = [(f"{name} {k + 1}" if names.count(name) > 1 else name, t) for k, (name, t) in enumerate(found)]
    return found


def _tables_as_specimens(
    tables: Sequence[Columns], way: str, x: str | int | None, y: str | int | None
) -> list[tuple[str, Columns]]:
    usable = [t for t in tables if len(t.values) >= FEWEST]
    most = max((sum(t.names == other.names for t in usable) for other in usable), default=0)
    if way == "sheets":
        sheets = dict.fromkeys(t.sheet for t in usable if sum(t.names == u.names for u in usable) == most)
        return [(sheet, chosen_table([t for t in usable if t.sheet == sheet], None, x, y)) for sheet in sheets]
    alike = [t for t in usable if sum(t.names == u.names for u in usable) == most]
    if len(alike) < 2:
        raise Unusable('has no tables of one kind below each other, as specimens="blocks" asks for')
    return [(_LEAD.sub("", t.title).strip() or str(k), t) for k, t in enumerate(alike, 1)]


def _rows(table: Columns) -> list[tuple[str, Columns]]:
    """A specimen a row: the axis in the first row, names in the first column; without names they are numbered."""
    steps = np.diff(table.values[0]) if len(table.values) else np.zeros(0)
    bare = not table.labels and not any(table.names) and bool((steps > 0).all() or (steps < 0).all())
    if bare and len(table.values) > 1:
        numbers = tuple(str(k) for k in range(len(table.values)))
        table = replace(table, labels=("", *numbers[1:]), notes=(*table.notes, "rows without names, numbered from 1"))
    if not table.labels or len(table.values) < 2:
        raise Unusable('has no names in its first column and an axis in its first row, as specimens="rows" asks for')
    axis, *others = table.values[:, np.isfinite(table.values).any(axis=0)]
    name, unit = read_header(table.labels[0])
    labels = table.labels
    return [
        (
            label,
            replace(
                table,
                names=(name, ""),
                units=(unit, None),
                values=np.column_stack([axis, row]),
                labels=(),
                groups=(),
                lost={},
                notes=(*table.notes, f"row {label!r}"),
            ),
        )
        for label, row in zip(labels[1:], others, strict=True)
    ]


def _long(table: Columns) -> list[tuple[str, Columns]]:
    """All specimens below each other in one table, with a column that names the specimen of each row."""
    ids = specimen_of_rows(table)
    if ids is None:
        raise Unusable('has no column that names the specimen of each row, as specimens="long" asks for')
    own = np.array(ids)
    out = []
    for label in dict.fromkeys(ids):
        rows = own == label
        labels = tuple(label for _ in range(int(rows.sum()))) if table.labels else ()
        note = f"{int(rows.sum())} rows of {label!r}"
        part = replace(table, values=table.values[rows], labels=labels, lost={}, notes=(*table.notes, note))
        out.append((label, part))
    return out


def _columns(table: Columns, x: str | int | None, y: str | int | None) -> list[tuple[str, Columns]]:
    """A specimen a column, or several columns of which two are its curve."""
    words = [canonical(re.sub(r"\d+", "", n), u)[0] for n, u in zip(table.names, table.units, strict=True)]
    pairs: list[tuple[int, int]] = []
    notes: list[list[str]] = []
    for block in blocks_of(table, words):
        first, second, said = chosen_columns(_part(table, block), x, y, split=True)
        pairs.append((block[first], block[second]))
        notes.append(said)
    if not pairs:
        pairs = _beside(table, x)
        notes = [[]] * len(pairs)
    if len(pairs) < 2:
        raise Unusable('has no columns side by side for several specimens, as specimens="columns" asks for')
    every = zip(pairs, notes, strict=True)
    return [(_label(table, pair, k), _pair(table, pair, said)) for k, (pair, said) in enumerate(every, 1)]


def _beside(table: Columns, x: str | int | None) -> list[tuple[int, int]]:
    """Each column beside one x, or each x and the next column."""
    words = [canonical(n, u)[0] for n, u in zip(table.names, table.units, strict=True)]
    filled = [k for k in range(len(words)) if np.isfinite(table.values[:, k]).mean() > 0.02]
    asked = next(iter(wanted_columns(table, x, "x")), None)
    axes = [k for k in filled if words[k] in _X_WORDS]
    if asked is None and len(axes) > 1:
        same = [word for word in _X_WORDS if sum(words[k] == word for k in axes) > 1]
        axes = [k for k in axes if words[k] == same[0]] if same else axes[:1]
    pairs: list[tuple[int, int]] = []
    if asked is None and len(axes) > 1:
        for k, following in zip(axes, [*axes[1:], len(words)], strict=True):
            inner = [j for j in filled if k < j < following and words[j] not in _X_WORDS]
            if inner:
                pairs.append((k, inner[0]))
    else:
        axis = asked if asked is not None else axes[0] if axes else filled[0]
        pairs = [(axis, k) for k in filled if k != axis]
    return pairs


def _label(table: Columns, pair: tuple[int, int], k: int) -> str:
    if table.groups:
        return _LEAD.sub("", table.groups[pair[0]]).strip() or str(k)
    name = table.names[pair[1]]
    quantity = canonical(name, table.units[pair[1]])
    if quantity[1] is None:
        return name or str(k)
    rest = [part for part in re.split(r"[\s_]+", name) if canonical(part)[0] != quantity[0]]
    return " ".join(rest).strip(" ()-") or str(k)


def _pair(table: Columns, pair: tuple[int, int], said: Sequence[str]) -> Columns:
    own = _part(table, pair)
    return replace(own, notes=(*own.notes, *said, f"columns {pair[0] + 1} and {pair[1] + 1}"))


def _part(table: Columns, columns: Sequence[int]) -> Columns:
    """Some columns of a table."""
    return replace(
        table,
        names=tuple(table.names[k] for k in columns),
        units=tuple(table.units[k] for k in columns),
        values=table.values[:, list(columns)],
        groups=(),
        lost={},
    )
