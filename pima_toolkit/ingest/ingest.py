"""`from_folder`: a folder of files, or a table of specimens, becomes a dataset with a reading log of every file.

Names are sorted out first (discovery, table), then each modality is read on its own (reading), then everything is put
side by side by specimen.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import xarray as xr

from ..data.files import path_of
from ..data.names import closest
from ..data.reading_log import Entry, count, write_reading_log
from ..errors import DataError, OptionError, PimaWarning, encodable, printable
from ..signatures import tells_misfits
from . import agreement
from .assembly import ScalarColumns, assemble
from .discovery import CandidateFile, by_pattern, drop_copies, list_files, sort_out, specimen_key
from .formats.curves import NAMELESS, CurveFiles
from .formats.images import ImageFiles
from .formats.registry import kinds
from .headers import slug
from .overrides import NAME, apply, merged, read_overrides, remember
from .reading import Client, ModalityReading, NothingUsable, progress_bar, read_modality
from .specimens import SpecimenTable, guess_tables, joined, read_specimens, without_lost_zeros

if TYPE_CHECKING:
    import pandas as pd

    OneTable = str | os.PathLike[str] | pd.DataFrame
    #: A table of specimens: its file or a frame, several, or whether to look for one.
    TableSource = OneTable | Sequence[OneTable] | bool | None


_KINDS: dict[str, type] = {"images": ImageFiles, "curves": CurveFiles, "scalars": ScalarColumns}
Modality = ImageFiles | CurveFiles | ScalarColumns
Kind = TypeVar("Kind", ImageFiles, CurveFiles, ScalarColumns)


@tells_misfits
def from_folder(
    path: str | os.PathLike[str],
    modalities: Mapping[str, Modality | Mapping[str, object] | str] | None = None,
    *,
    table: TableSource = None,
    images: ImageFiles | Mapping[str, object] | None = None,
    curves: CurveFiles | Mapping[str, object] | None = None,
    strict: bool = False,
    workers: int | None = None,
    client: Client | None = None,
    progress: bool | None = None,
    overrides: str | os.PathLike[str] | bool | None = None,
) -> xr.Dataset:
    """Read a folder of measurements: pictures and curves of specimens, in whatever files they are.

    With a folder alone, modality and specimen are told by sub-folders, names and endings (see `discovery`), and a table
    that names the specimens is found. Every file is read if that is possible; the reading log, `pima.reading_log`, says
    what was done to it, or why it could not be used. A specimen whose file is missing or unusable stays, with NaN.

    Args:
        path: The folder.
        modalities: What to read, by the name of the modality: `ImageFiles`, `CurveFiles` or `ScalarColumns`, or the
            same as a plain dict ``{"kind": "images", "size": [64, 64]}``. None: everything found.
        table: CSV, Excel or DataFrame with one row per specimen, or a list of several, which are joined by the names.
            Columns that name files become modalities, other columns coordinates. None: the tables in the folder that
            name its specimens, whatever they are called; False: none.
        images: Options for all pictures whose modality is not described in `modalities`.
        curves: The same for curves.
        strict: Raise if any measurement cannot be used.
        workers: Threads that read; None: as many as processors, at most 8. The result does not depend on it.
        client: A ``dask.distributed.Client``: its workers, which must see the same folder, read the files instead; the
            result is the same to the bit.
        progress: Show a bar; None: on a terminal.
        overrides: TOML file with arguments for what the call leaves open, and with what differs for single files. None:
            ``pima-reading.toml`` in the folder, if it is there; False: none. `pima data check` writes one.

    Returns:
        Modalities with dims (specimen, ...), float; ``specimen`` in the natural order of the names; the table's columns
        as coordinates (specimen); the reading log in ``attrs["ingest_account"]``.

    Raises:
        DataError: If the folder is missing, empty or holds nothing usable; the table is none; units have no majority;
            the pictures would not fit into memory; with `strict`, if a measurement is lost.
        OptionError: If an option is wrong, names a column, a file or a modality that is not there, or ``client`` is
            no dask client.
        MissingDependency: If a library for one of the files is missing.

    Warns:
        PimaWarning: If measurements could not be used; the reading log names all.
    """
    folder = path_of(path)
    if not folder.is_dir():
        near = closest(folder.name, (p.name for p in folder.parent.iterdir())) if folder.parent.is_dir() else ""
        raise DataError(
            f"{folder} is {'a file' if folder.exists() else 'not there'}, expected a folder of files"
            + (f"; in {folder.parent} {near}" if near and not folder.exists() else "")
        )
    if client is not None and not (
        callable(getattr(client, "map", None)) and callable(getattr(client, "gather", None))
    ):
        raise OptionError(
            f"client={client!r} is no dask client: expected dask.distributed.Client(...), or leave it out"
        )
    stated = read_overrides(folder, overrides if isinstance(overrides, bool) or overrides is None else Path(overrides))
    given = {"modalities": modalities, "table": table, "images": images, "curves": curves, "strict": strict}
    modalities, table, images, curves, strict = (merged(stated, given)[name] for name in given)
    defaults = {
        "images": _of_kind("images", {} if images is None else images, ImageFiles),
        "curves": _of_kind("curves", {} if curves is None else curves, CurveFiles),
    }
    wanted = None if modalities is None else {n: _described(n, spec) for n, spec in modalities.items()}
    files, entries = list_files(folder)
    files = [p for p in files if p != folder / NAME]
    if stated.source:
        entries.append(
            Entry(stated.source, "", "", "used", f"how to read: {', '.join(stated.arguments) or 'single files'}")
        )
    if not files:
        hidden = f" but for {count(len(entries), 'hidden file')}" if entries else ""
        raise DataError(f"{folder} is empty{hidden}: put files of curves, pictures or a table of settings into it")
    rows, found, unsorted = _sort(folder, files, table)
    entries += [*(rows.entries if rows else []), *unsorted]
    groups, scalars = _groups(found, files, folder, wanted, defaults, rows)
    taken = {f.file for g in groups.values() for f in g[1]} | {e.file for e in entries}
    entries += [_idle(f, wanted, rows) for f in found if f.file not in taken]
    reads: dict[str, ModalityReading] = {}
    nothing: list[tuple[type, NothingUsable]] = []
    kinds_read: set[type] = set()
    known = [p.relative_to(folder).as_posix() for p in files]
    stated_of, table_name = (rows.stated(), rows.file) if rows else ({}, "a table")
    with progress_bar(sum(len(members) for _, members in groups.values()), progress) as tick:
        for name, (spec, members) in groups.items():
            members, left = apply(stated, members, known)
            members, copies = drop_copies(members)
            entries += [*left, *copies]
            try:
                threads = workers or min(os.cpu_count() or 1, 8)
                read = read_modality(name, members, spec, threads, tick, client, stated_of, table_name)
            except NothingUsable as error:
                if wanted is not None:
                    raise
                nothing.append((type(spec), error))  # a folder of something else, beside others of the kind
                continue
            kinds_read.add(type(spec))
            final = _final_name(name, read, {**groups, **reads}) if wanted is None else name
            reads[final] = replace(read, variable=read.variable.rename(final))
            entries += [replace(e, modality=final) for e in read.entries]
    for error in [error for kind, error in nothing if kind not in kinds_read]:
        raise error
    entries += [entry for _, error in nothing for entry in error.entries]
    data = assemble(reads, rows, scalars, entries)
    data.attrs["title"] = encodable(f"Measurements from the files of {folder.resolve().name!r}")
    remember(data, stated)
    write_reading_log(data, sorted(entries, key=lambda e: (e.file == "", e.file, e.specimen, e.modality)))
    _tell(entries, strict)
    return data


def _described(name: str, spec: Modality | Mapping[str, object] | str) -> Modality:
    """A modality's description from its object, plain dict or kind alone.

    Raises:
        OptionError: If it is none, or an option is misspelt.
    """
    if isinstance(spec, Modality):
        return spec
    options = {"kind": spec} if isinstance(spec, str) else spec
    if not isinstance(options, Mapping):
        raise OptionError(
            f"modality {name!r} is {type(spec).__name__}, expected ImageFiles, CurveFiles, ScalarColumns or a dict"
        )
    options = dict(options)
    word = options.pop("kind", None)
    if not isinstance(word, str) or word not in _KINDS:
        raise OptionError(f"modality {name!r} has kind={word!r}: {closest(str(word), _KINDS)}")
    return _of_kind(name, options, _KINDS[word])


def _of_kind(name: str, spec: Modality | Mapping[str, Any], kind: type[Kind]) -> Kind:
    """A description of one kind from its object or plain dict.

    Raises:
        OptionError: If it is of another kind, or an option is misspelt.
    """
    if isinstance(spec, kind):
        return spec
    if not isinstance(spec, Mapping):
        raise OptionError(f"{name}= takes {kind.__name__}, got {type(spec).__name__}")
    known = [f.name for f in fields(kind)]
    for option in spec:
        if option not in known:
            raise OptionError(f"{kind.__name__} of {name!r} has no option {option!r}: {closest(option, known)}")
    return kind(**spec)


def _sort(
    folder: Path, files: list[Path], table: TableSource
) -> tuple[SpecimenTable | None, list[CandidateFile], list[Entry]]:
    """The table, if there is one, and which file is what."""
    found, left_out = sort_out(files, folder)
    if table is True:
        raise OptionError("table is True, expected the table's file, or None to look for one")
    by_itself = table is None
    sources = guess_tables(folder, files, found) if by_itself else [] if table is False else _listed(table)
    if not sources:
        return None, found, left_out
    read = []
    try:
        for source in sources:
            rows = read_specimens(source, folder, files, found)
            if by_itself:
                rows.entries[0] = replace(
                    rows.entries[0], note=f"{rows.entries[0].note}; found by itself (table=False leaves it out)"
                )
            read.append(rows)
        rows = joined(read)
    except DataError as error:
        raise DataError(f"{error} (found by itself: table=False leaves it out)") if by_itself else error from None
    tables = {r.file for r in read}
    others = [p for p in files if p.relative_to(folder).as_posix() not in tables]
    found, left_out = sort_out(others, folder, {specimen_key(name) for name in rows.names})
    return without_lost_zeros(rows, found), found, left_out


def _listed(table: TableSource) -> list:
    """One table, or several, as a list."""
    return list(table) if isinstance(table, Sequence) and not isinstance(table, str) else [table]


def _groups(
    found: list[CandidateFile],
    files: list[Path],
    folder: Path,
    wanted: Mapping[str, Modality] | None,
    defaults: Mapping[str, ImageFiles | CurveFiles],
    rows: SpecimenTable | None,
) -> tuple[dict[str, tuple[ImageFiles | CurveFiles, list[CandidateFile]]], dict[str, ScalarColumns]]:
    """The files of each modality with its description; and the modalities that are columns of the table."""
    named = dict(rows.files) if rows else {}
    if not named:
        for f in found:
            named.setdefault(f.modality or {"images": "image", "curves": "curve"}[f.kind], []).append(f)
    for name in [n for n, members in named.items() if len({f.kind for f in members}) > 1]:
        for f in named.pop(name):  # S1_test.png and S1_test.csv
            named.setdefault(f"{name}_{f.kind[:-1]}", []).append(f)
    if wanted is None:
        if not named:
            endings = sorted({p.suffix.lower() or "none" for p in files})
            raise DataError(
                f"{folder} holds no pictures and no curves: its {count(len(files), 'file')} have the endings "
                f"{', '.join(endings)}, expected some of {', '.join(kinds())}"
            )
        return {name: (defaults[members[0].kind], members) for name, members in named.items()}, {}
    groups: dict[str, tuple[ImageFiles | CurveFiles, list[CandidateFile]]] = {}
    asked = {name: spec for name, spec in wanted.items() if isinstance(spec, ScalarColumns)}
    for name, spec in wanted.items():
        if not isinstance(spec, ScalarColumns):
            groups[name] = spec, _members(name, spec, named, files, folder, set(wanted) - {name}, rows)
    return groups, asked


def _members(
    name: str,
    spec: ImageFiles | CurveFiles,
    named: Mapping[str, list[CandidateFile]],
    files: list[Path],
    folder: Path,
    other_names: set[str],
    rows: SpecimenTable | None,
) -> list[CandidateFile]:
    """The files of one described modality: of its column, folder or pattern, or name, or the only ones of its kind.

    Several folders, columns or patterns of pictures are views of each specimen, in their order.
    """
    if isinstance(spec, ImageFiles) and spec.files is not None and not isinstance(spec.files, str):
        views = [
            _members(name, replace(spec, files=one), named, files, folder, other_names, rows) for one in spec.files
        ]
        return [replace(f, view=k) for k, members in enumerate(views, 1) for f in members]
    kind = "images" if isinstance(spec, ImageFiles) else "curves"
    pattern = spec.files if isinstance(spec.files, str) else None
    is_column = rows is not None and pattern in rows.headers
    if pattern is not None and not is_column and any(c in pattern for c in "*?{/."):
        members = by_pattern(files, folder, pattern, name, kind)
        if not members:
            raise OptionError(f"no file of {folder} fits files={pattern!r} of {name!r}")
        return members
    if pattern is not None:
        column = (rows.headers.get(pattern) if rows else None) or slug(pattern)
        by_folder = [f for f in (f for fs in named.values() for f in fs) if slug(Path(f.file).parts[0]) == column]
        members = named.get(column) or by_folder
        if not members:
            raise OptionError(
                f"files={pattern!r} of {name!r} is no column, folder or pattern: {closest(column, named)}"
            )
    elif name in named:
        members = named[name]
    else:
        free = [n for n, fs in named.items() if fs[0].kind == kind and n not in other_names]
        if len(free) != 1:
            listed = ", ".join(f'"{n}"' for n in free)
            views = f" (files=[{listed}] takes them as views of one picture)" if kind == "images" and free else ""
            raise OptionError(
                f"which files are {name!r}? There is {'none' if not free else 'more than one'} of {kind} that no other "
                f"modality is called after: give files={views}; {closest(name, named)}"
            )
        members = named[free[0]]
    if any(f.kind != kind for f in members):
        raise OptionError(f"{name!r} is described as {kind}, but its files are {members[0].kind}: {members[0].file}")
    return [replace(f, modality=name) for f in members]


def _idle(found: CandidateFile, wanted: Mapping[str, object] | None, rows: SpecimenTable | None) -> Entry:
    why = f"the table {rows.file} does not name it" if rows and rows.files else "no modality asks for it"
    return Entry(found.file, found.specimen, "" if wanted is None else found.modality, "ignored", why)


def _final_name(name: str, read: ModalityReading, taken: Mapping[str, object]) -> str:
    """Curves that nothing but their kind names are called after what they measure."""
    nameless = read.quantity in ("", NAMELESS)
    return name if name != "curve" or nameless or read.quantity in taken else read.quantity


def _tell(entries: Sequence[Entry], strict: bool) -> None:
    """Raise, or warn, for measurements that are lost; every one of them is in the reading log."""
    lost = [e for e in entries if e.status == "unusable"]
    large = [e for e in entries if e.status == "used" and agreement.LARGE_STRAIN in e.note]
    if large:
        warnings.warn(
            f"{count(len(large), 'file')} state no unit of strain, and reach more than 1, such as "
            f"{printable(large[0].file, line=True)}: "
            'taken as 1; if they are in per cent, say curves={"units": {"strain": "%"}}',
            PimaWarning,
            stacklevel=3,
        )
    if not lost:
        return
    shown = "; ".join(printable(f"{e.file}: {e.note}", line=True) for e in lost[:5]) + (
        f"; and {len(lost) - 5} more" if len(lost) > 5 else ""
    )
    text = f"{count(len(lost), 'file')} could not be used: {shown}"
    if strict:
        raise DataError(f"{text}. Mend or remove them, or leave out strict")
    warnings.warn(f"{text}. pima.reading_log(data) has all", PimaWarning, stacklevel=3)
