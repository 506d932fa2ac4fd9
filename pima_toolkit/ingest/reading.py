"""The files of one modality read side by side: `read_modality`. Whatever happens to a file is an entry.

In threads of this process, or by the workers of a dask cluster that the user hands over.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import xarray as xr

from ..data.reading_log import Entry, Unusable, count
from ..errors import DataError, printable, require
from . import agreement
from .discovery import CandidateFile, specimen_key
from .formats import images as image_files
from .formats.curves import Curve, CurveFiles, read_curves, with_geometry, with_units
from .formats.images import ImageFiles
from .geometry import Stated, dimensions_of
from .headers import canonical

#: What a reader gives: what it read, or why it could not.
FileResult = tuple[object | None, str]


class Client(Protocol):
    """What is asked of a ``dask.distributed.Client``."""

    def map(self, function: Callable, *arguments: Sequence[object], pure: bool) -> list:
        """Futures of ``function`` of each argument."""

    def gather(self, futures: list) -> list:
        """Their results, in their order."""


@dataclass(frozen=True, eq=False)
class ModalityReading:
    """One modality as read.

    Attributes:
        variable: (specimen, ...) of the specimens that have it.
        names: Key of each of these specimens -> its name.
        quantity: What the values are called in the files, for curves.
        entries: One per file.
    """

    variable: xr.DataArray
    names: dict[str, str]
    quantity: str
    entries: list[Entry]


@contextmanager
def progress_bar(files: int, show: bool | None) -> Iterator[Callable[[], None]]:
    """A function to call after every file; it draws nothing where nobody looks or rich is missing."""
    if show is None:
        show = sys.stderr.isatty()
    if not show or importlib.util.find_spec("rich") is None:
        yield lambda: None
        return
    rich = require("rich.progress", "progress bars")
    console = require("rich.console", "progress bars").Console(stderr=True)
    with rich.Progress(*rich.Progress.get_default_columns(), rich.MofNCompleteColumn(), console=console) as bar:
        task = bar.add_task("reading files", total=files)
        yield lambda: bar.advance(task)


def read_modality(
    name: str,
    members: Sequence[CandidateFile],
    spec: ImageFiles | CurveFiles,
    workers: int,
    tick: Callable[[], None],
    client: Client | None = None,
    settings: Mapping[str, Stated] | None = None,
    source: str = "a table",
) -> ModalityReading:
    """All files of a modality.

    Args:
        name: The modality.
        members: Its files.
        spec: How to read them.
        workers: Threads.
        tick: Called after every file.
        client: Of a dask cluster whose workers see the same files; it reads them instead of the threads.
        settings: Key of a specimen -> its numbers in the table of settings, for the dimensions of curves.
        source: What that table is called.

    Raises:
        NothingUsable: If none can be used.
        DataError: If what is common to them (units, memory) does not work out.
    """
    reader = _read_images if _images(spec) else partial(_read_curves, settings=settings or {}, source=source)
    if client is not None:
        return reader(name, members, spec, partial(_by_cluster, client, _images(spec)), tick)
    with _quiet(_images(spec)), ThreadPoolExecutor(max_workers=workers) as pool:
        return reader(name, members, spec, partial(_by_threads, pool), tick)


@contextmanager
def _quiet(images: bool) -> Iterator[None]:
    """What openpyxl says of styles is of no use, and pillow warns of pictures that the limits allow."""
    with warnings.catch_warnings():  # of all threads
        warnings.filterwarnings("ignore", module="openpyxl")
        huge = getattr(require("PIL.Image", "photographs"), "DecompressionBombWarning", None) if images else None
        if huge is not None:
            warnings.simplefilter("ignore", huge)
        yield


def _by_threads(
    pool: Executor, read: Callable[[CandidateFile], object], files: Sequence[CandidateFile], tick: Callable[[], None]
) -> list[FileResult]:
    out = []
    for outcome in pool.map(partial(_attempt, read), files):
        out.append(outcome)
        tick()
    return out


def _by_cluster(
    client: Client,
    images: bool,
    read: Callable[[CandidateFile], object],
    files: Sequence[CandidateFile],
    tick: Callable[[], None],
) -> list[FileResult]:
    # Not pure: a file of the same name may have changed since.
    out = client.gather(client.map(partial(_elsewhere, images, read), list(files), pure=False))
    for _ in files:
        tick()
    return out


def _elsewhere(images: bool, read: Callable[[CandidateFile], object], found: CandidateFile) -> FileResult:
    """On a worker, which has its own rules for warnings."""
    with _quiet(images):
        return _attempt(read, found)


def _silent() -> None:
    """No step of the bar: sizes are read before the pictures."""


def _images(spec: ImageFiles | CurveFiles) -> bool:
    return isinstance(spec, ImageFiles)


def _attempt(read: Callable[[CandidateFile], object], found: CandidateFile) -> FileResult:
    try:
        return read(found), ""
    except Unusable as error:
        return None, str(error)
    except OSError as error:
        return None, f"cannot be read ({error.strerror or error})"


class NothingUsable(DataError):
    """None of the files of a modality can be used; ``entries`` says why, a line for each."""

    def __init__(self, message: str, entries: list[Entry]) -> None:
        super().__init__(message)
        self.entries = entries


class _Ledger:
    """What became of the files of one modality, while it is found out."""

    def __init__(self, name: str, members: Sequence[CandidateFile]) -> None:
        self.name = name
        self.members = members
        self.refused: dict[str, str] = {}
        self.ignored: dict[str, str] = {}

    def refuse(self, files: Sequence[CandidateFile], why: str) -> None:
        """These cannot be used."""
        self.refused |= dict.fromkeys((f.mark for f in files), why)

    def entries(
        self, used: dict[str, Sequence[str]], done: str = "", details: Mapping[str, Mapping] | None = None
    ) -> list[Entry]:
        """One entry per file.

        Args:
            used: Files that are used -> what was done to each.
            done: What was done to all of these.
            details: Files of curves -> what was read of each.

        Raises:
            NothingUsable: If none is used.
        """
        if not used:
            lost = [
                printable(f"{f.mark} {self.refused[f.mark]}", line=True) for f in self.members if f.mark in self.refused
            ]
            more = f"; and {len(lost) - 3} more" if len(lost) > 3 else ""
            raise NothingUsable(
                f"none of the {count(len(lost), 'file')} of {self.name!r} can be used: {'; '.join(lost[:3])}{more}",
                [
                    Entry(f.file, f.specimen, self.name, "unusable", self.refused[f.mark])
                    for f in self.members
                    if f.mark in self.refused
                ],
            )
        out = []
        for f in self.members:
            if f.mark in used:
                status, note = "used", "; ".join(filter(None, (*used[f.mark], done)))
            elif f.mark in self.ignored:
                status, note = "ignored", self.ignored[f.mark]
            else:
                status, note = "unusable", self.refused[f.mark]
            own = (details or {}).get(f.mark, {}) if status == "used" else {}
            out.append(Entry(f.file, f.specimen, self.name, status, note, own))
        return out


def _by_specimen(members: Sequence[CandidateFile]) -> dict[str, list[CandidateFile]]:
    groups: dict[str, list[CandidateFile]] = defaultdict(list)
    for f in sorted(members, key=lambda f: (f.view, f.file)):
        groups[f.key].append(f)
    return groups


def _drop_ambiguous(groups: dict[str, list[CandidateFile]], ledger: _Ledger, views: bool) -> None:
    """Several files of one specimen cannot all be meant, unless they are numbered views."""
    for key, group in list(groups.items()):
        if len(group) > 1 and not (views and len({f.view for f in group}) == len(group)):
            files = ", ".join(f.file for f in group)
            why = f"{len(group)} files are this measurement of {group[0].specimen!r} and differ ({files}): keep one"
            ledger.refuse(groups.pop(key), why)


def _outcomes(files: Sequence[CandidateFile], outcomes: Sequence[FileResult], ledger: _Ledger) -> dict[str, object]:
    """What could be read, by file; the ledger takes the rest."""
    out = {}
    for f, (value, why) in zip(files, outcomes, strict=True):
        if value is None:
            ledger.refuse([f], why)
        else:
            out[f.mark] = value
    return out


def _size(spec: ImageFiles, f: CandidateFile) -> object:
    return image_files.read_size(f.path, replace(spec, **dict(f.own)))


def _picture(spec: ImageFiles, size: tuple, f: CandidateFile) -> image_files.ReadPicture:
    return image_files.read_picture(f.path, replace(spec, **dict(f.own)), size)


def _curves(spec: CurveFiles, modality: str, f: CandidateFile) -> list[tuple[str, Curve]]:
    own = dict(f.own)
    units = own.pop("units", {})
    found = read_curves(f.path, replace(spec, **own), modality)
    return [(label, with_units(curve, units)) for label, curve in found] if units else found


def _read_images(
    name: str, members: Sequence[CandidateFile], spec: ImageFiles, every: Callable, tick: Callable[[], None]
) -> ModalityReading:
    ledger = _Ledger(name, members)
    groups = _by_specimen(members)
    if spec.views == "first":
        for key, (first, *rest) in groups.items():
            ledger.ignored |= {f.file: f"views='first' takes {first.file}" for f in rest}
            groups[key] = [first]
    _drop_ambiguous(groups, ledger, views=True)
    files = [f for group in groups.values() for f in group]
    sizes = _outcomes(files, every(partial(_size, spec), files, _silent), ledger)
    if not sizes:
        ledger.entries({})
    size = image_files.common_size(list(sizes.values()), spec)
    image_files.check_memory(len(groups), max(map(len, groups.values())), size, name, spec.limits)

    readable = [f for f in files if f.file in sizes]
    pictures = _outcomes(readable, every(partial(_picture, spec, size), readable, tick), ledger)
    pictures, bits = image_files.in_depth_of_camera(pictures, spec)
    whole = {}
    for key, group in groups.items():
        if all(f.file in pictures for f in group):
            whole[key] = image_files.combine_views([pictures[f.file] for f in group])
        else:
            left = [f for f in group if f.file in pictures]
            ledger.refuse(left, "another picture of the same specimen cannot be used")
    for trait, said in ((lambda p: len(p.pixels), "pictures"), (lambda p: p.levels, "levels of 0..1")):
        usual = Counter(map(trait, whole.values())).most_common(1)[0][0] if whole else None
        for key in [k for k, p in whole.items() if trait(p) != usual]:
            odd = trait(whole.pop(key))
            ledger.refuse(groups[key], f"differs from the others in {said} ({odd}, they {usual})")
    used = {f.file: pictures[f.file].notes for key in whole for f in groups[key]}
    ledger.entries(used)
    variable, done = image_files.combine(list(whole.values()), spec, name)
    variable.attrs |= {"bits": bits} if bits else {}
    return ModalityReading(variable, {k: groups[k][0].specimen for k in whole}, "image", ledger.entries(used, done))


def _read_curves(
    name: str,
    members: Sequence[CandidateFile],
    spec: CurveFiles,
    every: Callable,
    tick: Callable[[], None],
    settings: Mapping[str, Stated],
    source: str,
) -> ModalityReading:
    ledger = _Ledger(name, members)
    groups = _by_specimen(members)
    _drop_ambiguous(groups, ledger, views=False)
    files = [group[0] for group in groups.values()]

    found = _outcomes(files, every(partial(_curves, spec, name), files, tick), ledger)
    parts, raw = _parts([f for f in files if f.file in found], found)
    ledger.members = [*(f for f in members if f.file not in found), *parts]
    found.clear()
    if not raw:
        ledger.entries({})
    as_read = raw
    if spec.geometry or any("geometry" in dict(f.own) for f in parts):
        attempts = [_attempt(lambda f: _by_dimensions(raw[f.mark], f, spec, settings, source), f) for f in parts]
        raw = _outcomes(parts, attempts, ledger)
        parts = [f for f in parts if f.mark in raw]
        if not parts:
            ledger.entries({})
        spec = replace(spec, units=_units_left(spec.units, list(raw.values()), list(as_read.values())))
    agreed = agreement.agree(list(raw.values()), spec, name)
    attempts = [_attempt(lambda f: agreement.shape_curve(raw[f.mark], agreed, spec), f) for f in parts]
    curves = _outcomes(parts, attempts, ledger)
    odd = {f.mark: why for f in parts if f.mark in curves and (why := _odd(curves, f.mark))}
    ledger.refused |= odd
    parts = [f for f in parts if f.mark in curves and f.mark not in odd]
    used = {f.mark: curves[f.mark].notes for f in parts}
    ledger.entries(used)
    variable, done = agreement.combine([curves[f.mark] for f in parts], agreed, spec, name)
    details = {f.mark: agreement.details(as_read[f.mark], curves[f.mark], agreed) for f in parts}
    names = {f.key: f.specimen for f in parts}
    return ModalityReading(variable, names, agreed.names[1], ledger.entries(used, done, details))


def _parts(files: Sequence[CandidateFile], found: dict) -> tuple[list[CandidateFile], dict[str, Curve]]:
    """A candidate for each specimen of each file, and its curve; names that two files have get their file's before.

    Curves with the x of the first one share its array: that of a machine may come hundreds of times.
    """
    times = Counter(specimen_key(label) for f in files for label, _ in found[f.file])
    parts: list[CandidateFile] = []
    curves: dict[str, Curve] = {}
    first: np.ndarray | None = None
    for f in files:
        for label, curve in found[f.file]:
            part = f
            if label:
                alone = times[specimen_key(label)] == 1
                part = replace(f, specimen=label if alone else f"{f.specimen}/{label}", part=label)
            parts.append(part)
            first = curve.x if first is None else first
            curves[part.mark] = replace(curve, x=first) if np.array_equal(curve.x, first) else curve
    return parts, curves


def _by_dimensions(
    curve: Curve, f: CandidateFile, spec: CurveFiles, settings: Mapping[str, Stated], source: str
) -> Curve:
    """A curve of force and displacement by the dimensions of its specimen."""
    geometry = dict(f.own).get("geometry", spec.geometry)
    if not geometry:
        return curve
    return with_geometry(curve, dimensions_of(geometry, settings.get(f.key, {}), curve.stated, source), spec.units)


def _units_left(units: Mapping[str, str], now: Sequence[Curve], before: Sequence[Curve]) -> dict[str, str]:
    """Units asked for, without those of a force or a displacement that there is no more."""
    names, gone = ({name for curve in curves for name in curve.names} for curves in (now, before))
    return {name: unit for name, unit in units.items() if canonical(name)[0] not in gone - names}


def _odd(curves: dict[str, Curve], file: str) -> str | None:
    return agreement.odd_one(curves[file], list(curves.values()))
