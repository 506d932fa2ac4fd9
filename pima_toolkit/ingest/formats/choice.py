"""Which table of a file, and which two of its columns, are the curve that is meant; what may be several is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...data.names import closest
from ...data.reading_log import Unusable, count
from ...errors import OptionError
from ...units import find_unit
from ..headers import canonical, slug
from .reader import Columns, largest
from .sheets import SPECIMEN
from .tables import FEWEST

#: Which column is taken for x, and which for y, where it is not said: the first of these words that is there.
_X_ORDER = ("strain", "displacement", "time", "temperature")
_Y_ORDER = ("stress", "force")
#: A table with this many times the rows of every other one is the curve, the others are values of a protocol.
_MUCH_LONGER = 10
#: Sensors at the specimen come before the way of the machine, which holds the machine's compliance.
_AT_SPECIMEN = {
    *("extensometer", "extens", "extenso", "feindehnung", "clip", "lvdt", "dic", "video", "local", "gauge", "gage"),
    "optical",
}
_AT_MACHINE = {
    *("crosshead", "traverse", "traversenweg", "standardweg", "grip", "machine", "stroke", "piston", "kolbenweg"),
    "actuator",
}
_ACROSS = {
    *("transverse", "lateral", "trans", "quer", "querdehnung", "width", "breite", "thickness", "dicke"),
    "transversal",
}
_TRUE = {"true", "wahr", "wahre", "log", "logarithmic", "hencky", "cauchy", "vraie", "vrai"}
_ENGINEERING = {"eng", "engineering", "nominal", "technisch", "technische"}
#: Columns that count the points.
_INDEX = {"no", "nr", "index", "pt", "point", "points", "number", "nummer", "count", "row", "rec", "", "#"}


def chosen_table(
    tables: Sequence[Columns], table: int | str | None, x: str | int | None, y: str | int | None
) -> Columns:
    """The table of a file that is meant.

    Args:
        tables: All of a file, in their order.
        table: Number from 0, title or sheet of the one that is wanted; None: the only one with the columns asked for;
            or with a strain and a stress, or the like; or far more rows than all others.
        x: Column asked for, by name or number, or None.
        y: The same for y.

    Raises:
        Unusable: If there is none, or it cannot be known which is meant: the sentence names all.
    """
    if not tables:
        raise Unusable("has no two columns of numbers side by side")
    if table is not None:
        return _named_table(tables, table)
    usable = [t for t in tables if len(t.values) >= FEWEST and len(_filled(t)) > 1]
    if len(usable) < 2:
        best = usable[0] if usable else largest(list(tables))
        return _with_others(best or tables[0], tables)
    asked = [t for t in usable if all(_has(t, w) for w in (x, y))] if (x, y) != (None, None) else []
    known = [t for t in usable if _is_known(t)]
    longest = max(usable, key=lambda t: len(t.values))
    others = [t for t in usable if t is not longest]
    far = all(len(longest.values) >= _MUCH_LONGER * len(t.values) and t.names != longest.names for t in others)
    for candidates in (asked, known, [longest] if far else []):
        if len(candidates) == 1:
            return _with_others(candidates[0], tables)
        if candidates:
            break
    same = len({t.names for t in (asked or known or usable)}) == 1
    ways = 'specimens="sheets"' if len({t.sheet for t in usable}) > 1 else 'specimens="blocks"'
    advice = f"; {ways} reads each as a specimen" if same else ""
    word = "sheets with tables" if len({t.sheet for t in usable}) == len(usable) > 1 else "tables"
    option = "sheet='...'" if word != "tables" else "table=0 (the first) or its title"
    raise Unusable(
        f"holds several {word}, {', '.join(map(_place, usable[:6]))}{' ...' if len(usable) > 6 else ''}: which one is "
        f"meant? {option} takes one{advice}"
    )


def _named_table(tables: Sequence[Columns], table: int | str) -> Columns:
    if isinstance(table, int):
        if not 0 <= table < len(tables):
            raise Unusable(f"has {count(len(tables), 'table')}, so no table {table} (they count from 0)")
        return tables[table]
    found = [t for t in tables if table.casefold() in (t.title.casefold(), t.sheet.casefold())]
    if len(found) != 1:
        titles = [t.title or t.sheet for t in tables if t.title or t.sheet]
        raise Unusable(f"has {'no' if not found else 'more than one'} table {table!r}: {closest(table, titles)}")
    return found[0]


def _with_others(best: Columns, tables: Sequence[Columns]) -> Columns:
    """The table, with a note of those that are left out."""
    others = [t for t in tables if t is not best]
    if not others:
        return best
    notes = list(best.notes)
    here = [t for t in others if t.sheet == best.sheet]
    rows = sum(len(t.values) for t in here)
    if rows:
        notes.append(f"{count(rows, 'row')} of numbers elsewhere in the file left out")
        long = [t for t in here if len(t.values) >= FEWEST]
        if long:
            notes.append(f"table in {best.place}; left out: {', '.join(map(_place, long))}")
    return replace(best, notes=tuple(notes))


def _place(table: Columns) -> str:
    name = table.title or table.sheet
    return f"{name!r} ({table.place or count(len(table.values), 'row')})" if name else table.place or "one"


def _filled(table: Columns) -> list[int]:
    return [k for k in range(len(table.names)) if np.isfinite(table.values[:, k]).mean() > 0.1]


def _words(table: Columns) -> list[str]:
    return [canonical(name, unit)[0] for name, unit in zip(table.names, table.units, strict=True)]


def _is_known(table: Columns) -> bool:
    """Whether a table has columns of known names for both x and y."""
    words = {word for k, word in enumerate(_words(table)) if k in _filled(table)}
    return any(w in words for w in _Y_ORDER) and any(w in words for w in _X_ORDER)


def _has(table: Columns, wanted: str | int | None) -> bool:
    if wanted is None:
        return True
    try:
        return bool(wanted_columns(table, wanted, "x"))
    except Unusable:
        return False


def wanted_columns(table: Columns, wanted: str | int | None, what: str) -> list[int]:
    """The numbers of the columns that fit a name or number that is asked for; none where nothing is.

    Raises:
        Unusable: If there is no such column.
    """
    if wanted is None:
        return []
    words = _words(table)
    if isinstance(wanted, int):
        if not 0 <= wanted < len(words):
            raise Unusable(f"has {len(words)} columns, so no column {wanted} for {what} (they count from 0)")
        return [wanted]
    exact = [k for k, name in enumerate(table.names) if name.casefold() == wanted.casefold() and name]
    alike = [k for k, name in enumerate(table.names) if slug(name) == slug(wanted) and name]
    ours = [k for k, word in enumerate(words) if word and word == canonical(wanted)[0]]
    found = exact or alike or ours
    if not found:
        raise Unusable(f"has no column {wanted!r} for {what}: {closest(wanted, filter(None, table.names))}")
    return found


def chosen_columns(
    table: Columns, x: str | int | None, y: str | int | None, modality: str = "", split: bool = False
) -> tuple[int, int, list[str]]:
    """The columns of x and y, and what to say of the choice.

    Args:
        table: The table.
        x: What is asked for, or None: strain, displacement, time or temperature, whichever comes first; the sensor at
            the specimen before the way of the machine; else the first column.
        y: The same: what the modality is called after, else stress or force, else the first column beside x.
        modality: Its name.
        split: Whether the table is one specimen's part of a file already.

    Raises:
        Unusable: If a column is missing, or several could be meant.
        OptionError: If both are the same.
    """
    filled, words = _filled(table), _words(table)
    asked = [wanted_columns(table, w, what) for w, what in ((x, "x"), (y, "y"))]
    if x is None and y is None:
        refuse_specimens(table)
        _refuse_rows(table)
    if not split:
        _refuse_long(table)
    pools, notes = _pools(table, asked, canonical(modality)[0] if modality else ""), []
    if not all(asked):
        pools, notes = _true_or_engineering(table, pools)
    chosen: list[int | None] = [None, None]
    for at in (1, 0):
        if pools[at]:
            chosen[at], said = _one_of(table, pools[at], words[pools[at][0]], "xy"[at])
            notes += said
    if chosen[0] is not None and x is None:
        _refuse_unnamed_strain(table, words, chosen[0], chosen[1], filled)
        _refuse_other_axis(table, words, chosen[0], chosen[1], filled)
    notes += _fill(table, chosen, y is None)
    first, second = chosen
    if first is None or second is None:
        raise Unusable("has only one column with numbers, a curve needs two")
    if first == second:
        raise OptionError(f"x and y are the same column, {x!r}: name two")
    return first, second, notes


def _pools(table: Columns, asked: Sequence[list[int]], wish: str) -> list[list[int]]:
    """The columns of the quantity that is meant as x, and as y; empty where none is known.

    Args:
        table: The table.
        asked: The columns that fit what is asked for.
        wish: Our word for the modality, or empty.
    """
    filled, words = _filled(table), _words(table)
    orders = [_X_ORDER, (*([wish] if wish and wish in words else []), *_Y_ORDER)]
    pools: list[list[int]] = [[], []]
    for at in (1, 0):  # y first: a column of stress is never x
        if asked[at]:
            pools[at] = asked[at]
            continue
        word = next((w for w in orders[at] if any(words[k] == w and k not in pools[1] for k in filled)), None)
        _refuse_lost(table, words, orders[at], word, "xy"[at])
        if word is None and (at == 1 or _measures(table, pools[1], ("stress", "force"))):
            pools[at] = _by_unit(table, filled, (("strain", "length"), ("stress", "force"))[at], pools[1])
        if word is not None:
            pools[at] = [k for k in filled if words[k] == word and k not in pools[1]]
    return pools


def _measures(table: Columns, columns: Sequence[int], quantities: Sequence[str]) -> bool:
    units = [find_unit(table.units[k] or "") for k in columns]
    return any(unit is not None and unit.quantity in quantities for unit in units)


def _by_unit(table: Columns, filled: list[int], quantities: Sequence[str], taken: Sequence[int]) -> list[int]:
    """The only column whose unit measures one of these quantities, in their order; empty where several do, or none."""
    for quantity in quantities:
        own = [
            k
            for k in filled
            if k not in taken and _measures(table, [k], (quantity,)) and table.units[k] not in ("1", "-")
        ]
        if own:
            return own if len(own) == 1 else []
    return []


def _fill(table: Columns, chosen: list[int | None], said: bool) -> list[str]:
    """The first columns that are left, for what is not chosen; and what to say where there are several for y."""
    rest = [k for k in _filled(table) if k not in chosen]
    counted = [k for k in rest if _counts(table, k)]
    if len(rest) - len(counted) >= chosen.count(None):
        rest = [k for k in rest if k not in counted]
    if chosen[0] is None and rest:
        chosen[0] = rest.pop(0)
    if chosen[1] is not None or not rest:
        return []
    words = _words(table)
    moving = [k for k in rest if words[k] != "time" and np.nanmin(table.values[:, k]) < np.nanmax(table.values[:, k])]
    rest = moving or rest
    chosen[1] = rest[0]
    if len(rest) == 1 or not said:
        return []
    names = [table.names[k] or f"column {k}" for k in rest]
    shown = ", ".join(names[:6]) + (" ..." if len(rest) > 6 else "")
    return [f"{len(rest)} columns may be y ({shown}): the first is taken, y=... takes another"]


def _refuse_other_axis(table: Columns, words: list[str], x: int, y: int | None, filled: list[int]) -> None:
    """Refuse time or temperature as x where the first column is of an unknown name and rises or falls throughout."""
    first = next((k for k in filled if not _counts(table, k)), None)
    known = y is not None and words[y] in _Y_ORDER
    if words[x] not in ("time", "temperature") or known or first in (None, x, y) or not table.names[first]:
        return
    steps = np.diff(table.values[np.isfinite(table.values[:, first]), first])
    if canonical(table.names[first], table.units[first])[1] is None and ((steps > 0).all() or (steps < 0).all()):
        raise Unusable(
            f"may have its x in {table.names[first]!r}, its first column, or in {table.names[x]!r}: which one? x=..."
        )


def _refuse_lost(table: Columns, words: list[str], order: Sequence[str], word: str | None, axis: str) -> None:
    """Refuse where the column that is meant holds texts, so that another would take its place."""
    before = list(order[: order.index(word)] if word is not None else order)
    for k, why in table.lost.items():
        if words[k] in before and why != "is empty":
            raise Unusable(
                f"has a column {table.names[k]!r} that {why}, and no other is taken for {axis} in its place: mend it, "
                f"or name the column, {axis}=..."
            )


def _refuse_unnamed_strain(table: Columns, words: list[str], x: int, y: int | None, filled: list[int]) -> None:
    """Refuse time as x of a stress or force where a column of an unknown name has the unit of a strain or a way."""
    if y is None or words[x] not in ("time", "temperature") or words[y] not in _Y_ORDER:
        return
    for k in filled:
        unit = find_unit(table.units[k] or "")
        if k in (x, y) or unit is None or canonical(table.names[k])[1] is not None or not table.names[k]:
            continue
        if unit.quantity == "strain" and unit.name != "1" and not _counts(table, k):
            raise Unusable(
                f"may have its x in column {table.names[k]!r} [{unit.name}], whose name is not known, or in "
                f"{table.names[x]!r}: which column is meant? x=..."
            )


def _kind(name: str) -> str:
    words = set(slug(name).split("_"))
    return "true" if words & _TRUE else "engineering" if words & _ENGINEERING else ""


def _true_or_engineering(table: Columns, pools: list[list[int]]) -> tuple[list[list[int]], list[str]]:
    """Columns of one kind for both axes: engineering where there are both, never one of each."""
    kinds = [{_kind(table.names[k]) for k in pool} for pool in pools]
    if not pools[0] or not pools[1] or not any("true" in kind for kind in kinds):
        return pools, []
    parts = [
        [[k for k in pool if (_kind(table.names[k]) == "true") == true] for pool in pools] for true in (False, True)
    ]
    for own, said in zip(parts, ("engineering", "true"), strict=True):
        if own[0] and own[1]:
            both = all(other for other in (parts[0][0] or parts[0][1], parts[1][0] or parts[1][1]))
            return own, [f"columns of {said} strain and stress, others left out"] if both else []
    if "engineering" in kinds[0] | kinds[1]:
        shown = " beside ".join(repr(table.names[pool[0]]) for pool in pools)
        raise Unusable(f"has true and engineering columns that do not belong together, {shown}: name two, x=..., y=...")
    return pools, [f"{table.names[pools[0][0]]!r} beside {table.names[pools[1][0]]!r}: taken to belong together"]


def _rank(name: str) -> int:
    words = set(slug(name).split("_"))
    if any(word.startswith("extensom") or word in _AT_SPECIMEN for word in words):
        return 0
    return 20 if words & _ACROSS else 2 if words & _AT_MACHINE else 1


def is_of_machine(name: str) -> bool:
    """Whether a column is the way of the machine, which holds the machine's compliance."""
    return not _AT_MACHINE.isdisjoint(slug(name).split("_"))


def _one_of(table: Columns, pool: list[int], word: str, axis: str) -> tuple[int, list[str]]:
    """One of several columns of a quantity.

    Raises:
        Unusable: If nothing tells which.
    """
    ranks = [_rank(table.names[k]) for k in pool]
    best = [k for k, rank in zip(pool, ranks, strict=True) if rank == min(ranks)]
    if word in ("time", "temperature"):
        best = [k for k in best if slug(table.names[k]) == word] or best
        best = best[:1]
    values = [table.values[:, k] for k in best]
    if len(best) > 1 and not all(np.array_equal(v, values[0], equal_nan=True) for v in values[1:]):
        shown = ", ".join(repr(table.names[k]) for k in best)
        ways = ', or specimens="columns", which reads each as a specimen' if axis == "y" else ""
        raise Unusable(f"has {len(best)} columns of {word}, {shown}: which one is meant? {axis}=...{ways}")
    left = [repr(table.names[k]) for k in pool if k != best[0]]
    return best[0], [f"{table.names[best[0]]!r} taken for {axis}, not {', '.join(left)}"] if left else []


def _counts(table: Columns, k: int) -> bool:
    """Whether a column counts the points: named so, and whole numbers in steps of one."""
    words = set(slug(table.names[k]).split("_"))
    steps = np.diff(table.values[:, k])
    return bool(words <= _INDEX and any(table.names) and (steps == 1).all())


def refuse_specimens(table: Columns) -> None:
    """Refuse a table that holds a specimen a column, or a specimen a pair of columns: none of them is the one.

    Raises:
        Unusable: If there are such columns.
    """
    words, filled = _words(table), _filled(table)
    ways = 'specimens="columns" reads each as a specimen'
    for x in _X_ORDER:
        for y in _Y_ORDER:
            columns = [[k for k in filled if words[k] == word] for word in (x, y)]
            if len(columns[0]) != len(columns[1]) or len(columns[0]) < 2:
                continue
            left = [
                sorted(_without(table.names[k], word) for k in ks) for ks, word in zip(columns, (x, y), strict=True)
            ]
            kinds = {_kind(table.names[k]) for ks in columns for k in ks}
            if left[0] == left[1] and "true" not in kinds:
                alike = (
                    "all called the same"
                    if len({re.sub(r"\d+", "", n) for n in left[0]}) == 1
                    else (f"of {', '.join(left[0][:4])}")
                )
                raise Unusable(
                    f"holds {len(columns[0])} columns of {x} and {len(columns[1])} of {y}, {alike}: {ways}; or part it "
                    "into a file per curve, or name the columns (x=..., y=...)"
                )
    blocks = blocks_of(table, [*zip(table.names, table.units, strict=True)])
    if blocks:
        shown = ", ".join(table.names[k] for k in blocks[0])
        raise Unusable(
            f"holds {len(blocks)} times columns called {shown}, side by side: {ways}; or part it into a file per curve"
        )
    known = [k for k in filled if canonical(table.names[k], table.units[k])[1] is not None]
    others = [k for k in filled[1:] if k not in known and not table.units[k]]
    names = [table.names[k] for k in others]
    if len(others) >= 2 and len(filled) - len(others) <= 1 and (all(map(_is_label, names)) or _counted(names)):
        names = ", ".join(table.names[k] for k in others[:4])
        raise Unusable(
            f"holds {len(others)} columns beside {table.names[filled[0]]!r} that are called after specimens ({names}"
            f"{' ...' if len(others) > 4 else ''}): {ways}; y=... takes one of them"
        )


def blocks_of(table: Columns, marks: Sequence[object]) -> list[list[int]]:
    """The columns of each specimen, where the same ones come again and again side by side; empty where they do not.

    Args:
        table: The table; columns without name and numbers, which part specimens, are left out.
        marks: What is the same of each column.
    """
    own = [k for k, name in enumerate(table.names) if name or np.isfinite(table.values[:, k]).any()]
    for width in range(2, len(own) // 2 + 1):
        if len(own) % width or marks[own[width]] != marks[own[0]]:
            continue
        first = [marks[k] for k in own[:width]]
        parts = [own[at : at + width] for at in range(0, len(own), width)]
        if len(set(first)) > 1 and all([marks[k] for k in part] == first for part in parts):
            return parts
    return []


def specimen_of_rows(table: Columns) -> list[str] | None:
    """The specimen of each row, where the table has a column that names it; else None."""
    for k, name in enumerate(table.names):
        if not SPECIMEN.fullmatch(slug(name)):
            continue
        column = table.values[:, k]
        if np.isfinite(column).all() and (column == np.round(column)).all():
            return [f"{v:.0f}" for v in column]
        if table.labels:
            return list(table.labels)
    return None


def _refuse_long(table: Columns) -> None:
    """Refuse a table of several specimens below each other, which a column names.

    Raises:
        Unusable: If it is one.
    """
    ids = dict.fromkeys(specimen_of_rows(table) or [])
    if 1 < len(ids) <= len(table.values) / FEWEST:
        shown = ", ".join([*ids][:4]) + (" ..." if len(ids) > 4 else "")
        raise Unusable(
            f'holds {len(ids)} specimens below each other, which a column names ({shown}): specimens="long" reads each'
        )


def _refuse_rows(table: Columns) -> None:
    """Refuse a table without names of columns whose rows have names, or that is very wide: specimens may be its rows.

    Raises:
        Unusable: If it is such a table.
    """
    rows, width = table.values.shape
    if any(table.names):
        return
    if table.labels and width > 3:
        shown = ", ".join(filter(None, table.labels[1:5]))
        raise Unusable(
            f"has names at the beginning of its rows ({shown}{' ...' if len(table.labels) > 5 else ''}) and none over "
            f'its {width} columns: specimens="rows" reads the first row as x and each other as a specimen'
        )
    if len(_filled(table)) > (2 if table.above else 3):
        said = f", though they are mentioned above ({table.above})" if table.above else ""
        raise Unusable(
            f"has {count(rows, 'row')} of {width} numbers without names over the columns{said}: which are x and y? "
            "Name two columns by their numbers (x=0, y=1)" + (", or turn the table" if width > rows else "")
        )


def _without(name: str, word: str) -> str:
    """What a column's name says beside its quantity: ``north`` of ``North strain``."""
    return "_".join(part for part in slug(name).split("_") if canonical(part)[0] != word)


def _counted(names: Sequence[str]) -> bool:
    """Whether names are one word or several with a letter or number after it: Alloy A, Alloy B."""
    parts = [re.fullmatch(r"(.*?[^\W\d_].*?)[\s_\-#.]+([A-Za-z]|\d+)", name) for name in names]
    return all(parts) and len({part[1].casefold() for part in parts if part}) == 1


def _is_label(name: str) -> bool:
    """Whether a name could be that of a specimen: few letters and a number, or a word for specimens and a number."""
    word = r"(specimen|sample|probe|film|cell|zelle|test|run|scan|[A-Za-z]{0,3})"
    return re.fullmatch(rf"(?i){word}[\s_\-#.]*\d+[a-z]?([\s_\-.]\d+)?", name) is not None
