"""The table of specimens: one row each, naming files and settings; read from CSV, Excel or a pandas DataFrame."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..data.files import path_of
from ..data.names import closest
from ..data.reading_log import Entry, Unusable
from ..errors import DataError, OptionError
from ..units import find_unit, unit_of
from .discovery import CandidateFile, modality_name, natural, specimen_key, view_of
from .formats.columns import TABLE_SUFFIXES, read_texts, to_number
from .formats.registry import kind_by_name
from .formats.texts import TEXT_SUFFIXES, number
from .headers import read_header, slug

if TYPE_CHECKING:
    import pandas as pd

#: Headers of the column that names the specimens.
_IDS = (
    *("specimen", "sample", "specimen_id", "sample_id", "id", "specimen_name", "sample_name", "specimen_no"),
    *("sample_no", "probe", "proben_nr", "probe_nr", "probennummer", "probenname", "bezeichnung", "name", "nr", "no"),
)
#: Names of files that are tables of specimens rather than curves.
_TABLES = re.compile(r"(?i)specimen|sample|table|tabelle|meta|setting|overview|proben|liste|list|index|summary|process")


@dataclass(eq=False)
class SpecimenTable:
    """A table of specimens.

    Attributes:
        file: Its name, for the reading log.
        names: The specimens, one per row.
        settings: Columns that name no files, by name: numbers or texts, one per row; with their units.
        units: Unit of a setting, where stated.
        headers: Header of a column as written -> its name.
        files: Columns that name files -> the measurements they name.
        entries: What became of its rows and of files it names that are not there.
    """

    file: str
    names: list[str]
    settings: dict[str, np.ndarray] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    files: dict[str, list[CandidateFile]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def setting(self, name: str, keys: Sequence[str]) -> xr.Variable:
        """A setting for specimens in another order; NaN, or an empty text, for those without a row."""
        values = self.settings[name]
        row = {specimen_key(n): k for k, n in enumerate(self.names)}
        gap = "" if values.dtype.kind == "U" else np.nan
        cells = [values[row[key]] if key in row else gap for key in keys]
        attrs = {"long_name": name.replace("_", " ")} | ({"units": self.units[name]} if name in self.units else {})
        return xr.Variable(("specimen",), np.array(cells), attrs)

    def stated(self) -> dict[str, dict[str, tuple[float, str]]]:
        """Key of each specimen -> its settings that are numbers: value and unit, empty where none is stated."""
        numbers = {name: values for name, values in self.settings.items() if values.dtype.kind in "if"}
        return {
            specimen_key(specimen): {name: (float(v[k]), self.units.get(name, "")) for name, v in numbers.items()}
            for k, specimen in enumerate(self.names)
        }


def read_specimens(
    source: str | os.PathLike[str] | pd.DataFrame,
    folder: Path,
    files: Sequence[Path],
    found: Sequence[CandidateFile] = (),
) -> SpecimenTable:
    """A table of specimens.

    Args:
        source: Path, from the folder or from here, or a DataFrame.
        folder: Where the files are that it names.
        files: All files of the folder.
        found: Measurements of the folder; of a workbook, the sheet that names most of their specimens is read.

    Raises:
        OptionError: If there is no such file.
        DataError: If it is no table of specimens: no names, a name twice, a header twice, files of which none is there.
    """
    if isinstance(source, (str, os.PathLike)):
        path = next((p for p in (folder / source, path_of(source)) if p.is_file()), None)
        if path is None:
            tables = [p.name for p in files if p.suffix.lower() in TABLE_SUFFIXES]
            near = [n for n in tables if _TABLES.search(n)] or tables[:10]
            raise OptionError(f"there is no table {str(source)!r} in {folder} or here: {closest(str(source), near)}")
        try:
            rows = read_texts(path, lambda page: len({f.key for f in found if f.path != path} & _keys(page)))
            if not rows:
                raise Unusable("is empty")
        except Unusable as error:
            raise DataError(f"the table {path.name} {error}") from error
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    elif not hasattr(source, "columns"):
        raise OptionError(f"table={source!r}: expected the path of a table, a pandas DataFrame, or False for none")
    else:
        frame = source.reset_index() if source.index.name else source
        cells = frame.astype(object).where(frame.notna(), "").astype(str)
        rows, name = [[str(c) for c in frame.columns], *cells.values.tolist()], "the table"
    return _read_rows(rows, name, folder, files)


def _read_rows(rows: list[list[str]], name: str, folder: Path, files: Sequence[Path]) -> SpecimenTable:
    filled = [sum(map(bool, row)) for row in rows]
    title = next(k for k, n in enumerate(filled) if n >= min(2, max(filled)) and 2 * n >= max(filled))
    rows = rows[title:]  # what stands above the header is a title
    if len(rows) < 2:
        raise DataError(f"{name} has no rows below its header: expected one row per specimen")
    headers = [h or f"column {k}" for k, h in enumerate(rows[0])]
    twice = [h for h, n in Counter(slug(read_header(h)[0]) for h in headers).items() if n > 1]
    if twice:
        raise DataError(f"{name} has more than one column {twice[0]!r}: give each a header of its own")
    columns = {h: [row[k].strip() if k < len(row) else "" for row in rows[1:]] for k, h in enumerate(headers)}
    at = _id_column(columns, name)
    named = [k for k, cell in enumerate(columns[at]) if cell]
    table = SpecimenTable(name, [columns[at][k] for k in named])
    stated = {}
    for k in [k for k in range(len(rows) - 1) if k not in named]:
        cells = {header: column[k] for header, column in columns.items() if column[k]}
        if k == 0 and cells and all(find_unit(cell) is not None for cell in cells.values()):
            stated = cells  # a row of units under the header
        elif cells:
            note = f"row {k + title + 2} names no specimen in {at!r}"
            table.entries.append(Entry(name, "", "", "unusable", note))
    again = [n for n, times in Counter(map(specimen_key, table.names)).items() if times > 1]
    if again:
        shown = ", ".join(again[:5]) + (f" and {len(again) - 5} more" if len(again) > 5 else "")
        raise DataError(f"{name} names specimens more than once in {at!r}: {shown}; give each its own name")
    by_name = {p.name.casefold(): p for p in reversed(files)}
    for header, column in columns.items():
        if header != at:
            _read_column(table, header, [column[k] for k in named], folder, by_name)
            if header in stated and table.headers[header] in table.settings:
                table.units.setdefault(table.headers[header], unit_of(stated[header]).name)
    used = ", ".join([*table.files, *table.settings]) or "no other columns"
    table.entries.insert(0, Entry(name, "", "", "used", f"table of {len(table.names)} specimens: {used}"))
    return table


def _id_column(columns: dict[str, list[str]], name: str) -> str:
    words = {slug(header): header for header in columns}
    known = [words[word] for word in _IDS if word in words]
    free = [
        header
        for header, cells in columns.items()
        if all(cells) and len(set(cells)) == len(cells) and not any(map(kind_by_name, cells))
    ]
    if not known and not free:
        raise DataError(
            f"{name} has no column that names the specimens: call one 'specimen' (its columns: {', '.join(columns)})"
        )
    return (known or free)[0]


def _read_column(table: SpecimenTable, header: str, cells: list[str], folder: Path, by_name: dict[str, Path]) -> None:
    written, unit = read_header(header)
    name = slug(written) or slug(header)
    table.headers[header] = name
    filled = [cell for cell in cells if cell]
    if filled and sum(kind_by_name(part) is not None for c in filled for part in _parts(c)) > 0.5 * len(filled):
        name = re.sub(r"_?(files?|filename|path|datei|name)$", "", name) or name
        found = _named_files(table, name, cells, folder, by_name)
        kind = found[0].kind
        plain = {"images": "image", "curves": "curve"}[kind]
        name = modality_name(name, kind) or (plain if plain not in table.files else name)
        table.headers[header] = name
        table.files[name] = [replace(f, modality=name) for f in found]
        return
    numbers = [to_number(cell) for cell in cells]
    german = [v if v is not None else number(cell, ",") for cell, v in zip(cells, numbers, strict=True)]
    if None in numbers and None not in german:  # typed as text into a spreadsheet that expects points
        numbers = german
        table.entries.append(Entry(table.file, "", "", "used", f"column {header!r} has decimal commas"))
    values = np.array([v for v in numbers if v is not None], dtype=np.float64)
    if filled and len(values) == len(numbers) and not np.isnan(values).all():
        whole = not np.isnan(values).any() and bool((values == np.round(values)).all()) and unit is None
        table.settings[name] = values.astype(np.int64) if whole else values
        if unit is not None:
            table.units[name] = unit_of(unit).name
    else:
        table.settings[name] = np.array(cells, dtype=str)
        odd = [c for c, v in zip(cells, numbers, strict=True) if v is None]
        if 0 < len(odd) < 0.2 * len(filled):
            note = f"column {header!r} is text, since it holds {odd[0]!r} among numbers"
            table.entries.append(Entry(table.file, "", "", "used", note))


def _parts(cell: str) -> list[str]:
    return [part.strip() for part in re.split(r"[;|\n]", cell) if part.strip()]


def _named_files(
    table: SpecimenTable, modality: str, cells: list[str], folder: Path, by_name: dict[str, Path]
) -> list[CandidateFile]:
    """The measurements of one column; several files in a cell are parted by semicolons."""
    found, lost = [], []
    for specimen, cell in zip(table.names, cells, strict=True):
        parts = _parts(cell)
        for view, part in enumerate(parts):
            written = part.replace("\\", "/")
            path = next((p for p in (folder / written, Path(written)) if p.is_file()), None)
            path = path or by_name.get(Path(written).name.casefold())
            kind = kind_by_name(written)
            if path is None or kind is None:
                why = "the table names it, but it is not there" if kind else "no kind of file that is read here"
                lost.append(Entry(part, specimen, modality, "unusable", why))
                continue
            file = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
            found.append(CandidateFile(path, file, kind, modality, specimen, view + 1 if len(parts) > 1 else 0))
    if not found:
        raise DataError(
            f"{table.file}: none of the files of column {modality!r} is in {folder}, such as {lost[0].file!r}; "
            f"{closest(Path(lost[0].file).name, (p.name for p in by_name.values()))}"
        )
    table.entries += lost
    kinds = Counter(f.kind for f in found)
    kind = kinds.most_common(1)[0][0]
    for f in found:
        if f.kind != kind:
            note = f"is one of {f.kind}, the others of column {modality!r} are {kind}"
            table.entries.append(Entry(f.file, f.specimen, modality, "unusable", note))
    return [f for f in found if f.kind == kind]


def without_lost_zeros(table: SpecimenTable, found: Sequence[CandidateFile]) -> SpecimenTable:
    """The table with the files' names where a spreadsheet made 7 of 007, and the names can be paired one to one."""
    keys = {f.key: f.specimen for f in found}
    bare: dict[str, list[str]] = {}
    for key in keys:
        bare.setdefault(_bare(key), []).append(key)
    new = []
    for name in table.names:
        meant = bare.get(_bare(specimen_key(name)), [])
        new.append(keys[meant[0]] if specimen_key(name) not in keys and len(meant) == 1 else name)
    changed = [(old, own) for old, own in zip(table.names, new, strict=True) if old != own]
    if not changed or len({specimen_key(n) for n in new}) < len(new):
        return table
    old, own = changed[0]
    note = f"{len(changed)} names without the zeros that the files have, such as {old} for {own}: joined"
    return replace(table, names=new, entries=[*table.entries, Entry(table.file, "", "", "used", note)])


def _bare(key: str) -> str:
    """A specimen's key without zeros before its numbers."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", key)


def joined(tables: Sequence[SpecimenTable]) -> SpecimenTable:
    """Several tables of specimens as one: a row for every specimen that one of them names.

    Raises:
        DataError: If two give different values for a setting of a specimen, or name files under one header.
    """
    first, *others = tables
    for table in others:
        first = _with_columns_of(first, table)
    return first


def _with_columns_of(one: SpecimenTable, other: SpecimenTable) -> SpecimenTable:
    names = {specimen_key(n): n for n in (*other.names, *one.names)}
    order = [*dict.fromkeys(specimen_key(n) for n in (*one.names, *other.names))]
    settings = {}
    for name in dict.fromkeys([*one.settings, *other.settings]):
        parts = [t.setting(name, order).values for t in (one, other) if name in t.settings]
        if len(parts) == 2:
            gaps = [p == "" if p.dtype.kind == "U" else np.isnan(p.astype(float)) for p in parts]
            differ = np.array([bool(a != b) for a, b in zip(*parts, strict=True)]) & ~gaps[0] & ~gaps[1]
            if differ.any() or {p.dtype.kind == "U" for p in parts} == {True, False}:
                at = int(np.argmax(differ))
                raise DataError(
                    f"{one.file} and {other.file} differ in {name!r} of {names[order[at]]!r} ({parts[0][at]}, "
                    f"{parts[1][at]}): keep one column, or say which table, table=..."
                )
            parts[0] = np.where(gaps[0], parts[1], parts[0])
        settings[name] = parts[0]
    both = one.files.keys() & other.files.keys()
    if both:
        raise DataError(f"{one.file} and {other.file} both name files as {sorted(both)[0]!r}: keep one of the columns")
    return SpecimenTable(
        f"{one.file}, {other.file}",
        [names[key] for key in order],
        settings,
        {**other.units, **one.units},
        {**other.headers, **one.headers},
        {**one.files, **other.files},
        [*one.entries, *other.entries],
    )


def guess_tables(folder: Path, files: Sequence[Path], found: Sequence[CandidateFile]) -> list[Path]:
    """The files that name at least half of the specimens in one of their columns, whatever they are called.

    Those in the folder itself; where none does, those in its sub-folders.
    """
    for places in ([folder], sorted({p.parent for p in files} - {folder})):
        fits = [p for place in places for p in _unlike_others(place, files) if _names_specimens(p, found)]
        if fits:
            return fits
    return []


#: Most candidates for the table that are read, and their largest size in bytes.
_MOST_CANDIDATES, _LARGEST = 12, 5_000_000


def _unlike_others(folder: Path, files: Sequence[Path]) -> list[Path]:
    """The files of a folder that may be a table: unlike curves, no three share their first line or a numbered name."""
    near = [p for p in files if p.parent == folder and p.suffix.lower() in TABLE_SUFFIXES]
    near = [p for p in near if p.stat().st_size <= _LARGEST]
    if len(near) <= 3:
        return near
    marks = {p: {_head(p), os.fsencode(re.sub(r"\d+", "0", p.stem))} for p in near}
    times = Counter(mark for own in marks.values() for mark in own)
    rare = [p for p in near if all(times[mark] < 3 for mark in marks[p])]
    called = [p for p in near if _TABLES.search(p.stem)]
    return [*called, *(p for p in rare if p not in called)][:_MOST_CANDIDATES]


def _head(path: Path) -> bytes:
    """What files of one kind share: the first line of a text, the name of a workbook."""
    if path.suffix.lower() not in TEXT_SUFFIXES:
        return os.fsencode(path.name)
    with path.open("rb") as file:
        return file.read(500).split(b"\n")[0]


def _names_specimens(path: Path, found: Sequence[CandidateFile]) -> bool:
    keys = {_bare(key) for f in found if f.path != path for key in {f.key, specimen_key(view_of(f))}}
    specimens = len({_bare(specimen_key(view_of(f))) for f in found if f.path != path})
    try:
        rows = read_texts(path, lambda page: len(keys & _keys(page)))
    except Unusable:
        return False
    width = max(map(len, rows), default=0)
    columns = [{_bare(specimen_key(Path(r[k]).stem)) for r in rows[1:] if k < len(r) and r[k]} for k in range(width)]
    return width > 1 and bool(keys) and max(len(keys & column) for column in columns) >= max(2, 0.5 * specimens)


def _keys(rows: list[list[str]]) -> set[str]:
    """What the cells of a table would be as names of specimens."""
    return {specimen_key(Path(cell).stem) for row in rows for cell in row if cell}


def in_order(names: dict[str, str]) -> list[str]:
    """Keys of specimens in the natural order of their names."""
    return sorted(names, key=lambda key: natural(names[key]))
