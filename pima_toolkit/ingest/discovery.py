"""Which file is which: the files of a folder, each with its modality and specimen, as far as names and folders tell.

Four ways to keep measurements are told apart: a sub-folder per modality (``photos/S1.png``, ``curves/S1.csv``), one per
specimen (``S1/photo.png``, ``S1/curve.csv``), the modality in the name (``S1_photo.png``) or in the ending alone
(``S1.png``, ``S1.csv``).
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..data.reading_log import Entry
from ..errors import DataError
from .formats.registry import kind_of
from .headers import slug

#: Names that say no more than the kind does; a modality of such files is called "image", or as its curve's y.
_PLAIN = {
    "images": "image images photo photos photograph photographs picture pictures pics img imgs bild bilder foto fotos "
    "png jpg jpeg tif tiff",
    "curves": "curve curves kurve kurven data daten csv txt xlsx excel raw test tests test_data messung messungen "
    "measurement measurements result results ergebnisse versuche",
}
#: What operating systems and programs leave behind.
_LEFT_BEHIND = {"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r", "__macosx"}
_COPY = re.compile(r"(?i)^(?:copy of |kopie von )?(.+?)(?: - copy| - kopie| copy| kopie)?(?: ?\(\d+\))?$")
#: Stands for the modality of files beside folders that are modalities or specimens.
_BESIDE = "/"
_SEPARATOR = re.compile(r"[\s_\-]+")
#: The number of a picture of a specimen after its name: ``S1_2``, ``S1 (2)``, ``S1b``.
_VIEW = re.compile(r"(?P<name>.+?)(?:[\s_\-.]*\(?(?<!\d)(?P<number>\d{1,4})\)?|[\s_\-]*(?P<letter>[a-zA-Z]))")


@dataclass(frozen=True)
class CandidateFile:
    """A file that may be a measurement.

    Attributes:
        path: Where it is.
        file: The same from the folder, for the reading log.
        kind: ``"images"`` or ``"curves"``.
        modality: Its name, or ``""`` where the kind alone tells.
        specimen: The specimen's name as written.
        view: Number of the picture, for several of one specimen.
        part: The specimen's name inside of the file, where a file holds several.
        own: Options that differ for this file, as pairs.
    """

    path: Path
    file: str
    kind: str
    modality: str
    specimen: str
    view: int = 0
    part: str = ""
    own: tuple[tuple[str, object], ...] = ()

    @property
    def mark(self) -> str:
        """The file, and the specimen inside of it where there are several."""
        return f"{self.file}: {self.part}" if self.part else self.file

    @property
    def key(self) -> str:
        """The specimen's name without what people vary: case, blanks, the two ways to store an umlaut."""
        return specimen_key(self.specimen)


def specimen_key(name: str) -> str:
    """A specimen's name without case, with one sign for blanks, and umlauts stored in one way."""
    return _SEPARATOR.sub("_", unicodedata.normalize("NFKC", name).casefold().strip())


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which S2 comes before S10."""
    parts = re.split(r"(\d{1,15})", specimen_key(name))
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def list_files(folder: Path) -> tuple[list[Path], list[Entry]]:
    """All files below a folder in order of their names, and what was left out because no person put it there."""
    files, left_out = [], []

    def closed(error: OSError) -> None:
        where = Path(error.filename).relative_to(folder).as_posix()
        left_out.append(Entry(f"{where}/", "", "", "unusable", f"cannot be opened ({error.strerror})"))

    for where, folders, names in os.walk(folder, onerror=closed):
        here = Path(where)
        for name in sorted(folders):
            relative = (here / name).relative_to(folder).as_posix()
            if (here / name).is_symlink():  # a link may lead back up
                left_out.append(Entry(f"{relative}/", "", "", "ignored", "a link to another folder, not followed"))
            elif (here / name / "run.json").is_file():  # its tables are no measurements, whenever they are written
                left_out.append(Entry(f"{relative}/", "", "", "ignored", "the folder of a run of pima fit"))
                folders.remove(name)
            elif name.startswith(".") or name.casefold() in _LEFT_BEHIND or Path(name).suffix == ".zarr":
                left_out.append(Entry(f"{relative}/", "", "", "ignored", "hidden, or a folder of a program"))
                folders.remove(name)
        folders.sort()  # os.walk goes on in this order
        for name in sorted(names):
            file = here / name
            relative = file.relative_to(folder).as_posix()
            if name.startswith((".", "~$")) or name.casefold() in _LEFT_BEHIND:
                left_out.append(Entry(relative, "", "", "ignored", "left behind by the operating system or a program"))
            elif not file.is_file():
                left_out.append(Entry(relative, "", "", "unusable", "is no file: a link to nowhere, or a device"))
            else:
                files.append(file)
    return files, left_out


def by_pattern(files: Sequence[Path], folder: Path, pattern: str, modality: str, kind: str) -> list[CandidateFile]:
    """The files of a pattern such as ``"tests/{id}_raw.csv"``; without ``{id}`` the specimen is the file's stem."""
    parts = re.split(r"(\{id\}|\*\*/|\*|\?)", unicodedata.normalize("NFC", pattern))
    special = {"{id}": r"(?P<id>[^/]+?)", "**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}
    if parts.count("{id}") > 1:
        raise DataError(f"the pattern {pattern!r} of {modality!r} holds {{id}} twice, expected once")
    expression = re.compile("".join(special.get(part, re.escape(part)) for part in parts), re.IGNORECASE)
    found = []
    for path in files:
        file = path.relative_to(folder).as_posix()
        match = expression.fullmatch(unicodedata.normalize("NFC", file))
        if match:
            found.append(CandidateFile(path, file, kind, modality, match.groupdict().get("id") or path.stem))
    times = Counter(f.key for f in found)
    number: Counter[str] = Counter()
    for k, f in enumerate(found):
        if kind == "images" and times[f.key] > 1:  # the pattern asks for several of a specimen: views, in their order
            number[f.key] += 1
            found[k] = replace(f, view=number[f.key])
    return found


def sort_out(
    files: Sequence[Path], folder: Path, known: Collection[str] = ()
) -> tuple[list[CandidateFile], list[Entry]]:
    """Kind, modality and specimen of every file, by where it lies and what it is called.

    Args:
        files: All files.
        folder: Where they lie.
        known: Keys of specimens that a table names.

    Returns:
        What may be measurements; and entries for files of other kinds.
    """
    found, left_out = [], []
    for path in files:
        file = path.relative_to(folder).as_posix()
        kind = kind_of(path)
        if kind is None:
            ending = path.suffix or "no ending"
            advice = "; save it as .xlsx" if ending.lower() in (".xls", ".ods", ".xlsb") else ""
            left_out.append(Entry(file, "", "", "ignored", f"{ending}: no kind of file that is read here{advice}"))
        else:
            found.append(CandidateFile(path, file, kind, "", path.stem))
    found = _by_folder(found)
    beside = [f for f in found if f.modality == _BESIDE]
    why = "lies beside the folders of measurements; if it is the table of specimens: table=..."
    left_out += [Entry(f.file, "", "", "ignored", why) for f in beside]
    found = [f for f in found if f.modality != _BESIDE]
    flat = [f for f in found if not f.modality]
    by_name = iter(_by_name(flat))
    found = [f if f.modality else next(by_name) for f in found]
    found = _shared_names([replace(f, modality=modality_name(f.modality, f.kind)) for f in found])
    return _views(found, known), left_out


def modality_name(written: str, kind: str) -> str:
    """A modality's name as a variable; ``""`` if the word says no more than the kind does."""
    name = slug(written)
    return "" if name in _PLAIN[kind].split() else name


def _by_folder(found: list[CandidateFile]) -> list[CandidateFile]:
    """Modality or specimen from the sub-folders.

    Folders are modalities at the first level at which each holds one kind, they have specimens in common, and are not
    more than the specimens they would have; folders whose names come back in their files' names are specimens.
    """
    nested = [f for f in found if "/" in f.file]
    parts = {f.file: PurePosixPath(f.file).parts[:-1] for f in nested}
    named_alike = sum(specimen_key(parts[f.file][-1]) in specimen_key(f.path.stem) for f in nested) > 0.5 * len(nested)
    named_alike &= not _is_sparse([(parts[f.file], _drop(f.path.stem, parts[f.file][-1])) for f in nested])
    for level in range(0 if named_alike else min(map(len, parts.values()), default=0)):
        kinds = defaultdict(set)
        for f in nested:
            kinds[parts[f.file][level]].add(f.kind)
        specimens = {(*parts[f.file][:level], *parts[f.file][level + 1 :], f.path.stem) for f in nested}
        several = len(set().union(*kinds.values())) > 1
        alike = not several and len(kinds) <= len(specimens) and _meet(nested, parts, level)
        if all(len(k) == 1 for k in kinds.values()) and (several or alike):
            return _with_folders(found, parts, level)
    if named_alike or len({f.path.stem for f in nested}) < len(nested):  # folders are specimens
        return [
            replace(f, modality=_drop(f.path.stem, p[-1]), specimen="/".join(p))
            if (p := parts.get(f.file))
            else replace(f, modality=_BESIDE)
            for f in found
        ]
    return found


def _is_sparse(named: Sequence[tuple[object, str]]) -> bool:
    """Whether pairs of a specimen and a modality are at most half of all there could be, so that none are meant."""
    specimens, modalities = ({pair[k] for pair in named} for k in (0, 1))
    return 2 * len(named) <= len(specimens) * len(modalities)


def _meet(nested: list[CandidateFile], parts: dict[str, tuple[str, ...]], level: int) -> bool:
    """Whether folders have specimens in common, or most of them without the words that all names of a folder share.

    Folders that have none in common are batches of one modality.
    """
    folders = defaultdict(list)
    for f in nested:
        folders[parts[f.file][level]].append(f)
    keys = [{f.key for f in members} for members in folders.values()]
    short = [(f.key, folder) for folder, members in folders.items() for f in _without_shared(members)]
    return len(set().union(*keys)) < sum(map(len, keys)) or not _is_sparse(short)


def _with_folders(found: list[CandidateFile], parts: dict[str, tuple[str, ...]], level: int) -> list[CandidateFile]:
    """Modality from one level of the folders; the other levels join the specimen's name where it is not unique."""
    named = [replace(f, modality=parts[f.file][level] if f.file in parts else _BESIDE) for f in found]
    times = Counter((f.modality, f.key, f.path.suffix.lower()) for f in named)
    out = []
    for f in named:
        others = [p for k, p in enumerate(parts.get(f.file, ())) if k != level]
        twice = times[f.modality, f.key, f.path.suffix.lower()] > 1
        out.append(replace(f, specimen="/".join([*others, f.specimen])) if others and twice else f)
    return out


def _drop(stem: str, specimen: str) -> str:
    """``"photo"`` of ``"S1_photo"`` in the folder S1."""
    rest = re.sub(re.escape(specimen), "", stem, flags=re.IGNORECASE).strip("_- .")
    return rest or stem


def _by_name(found: list[CandidateFile]) -> list[CandidateFile]:
    """Modality from the last, or the first, word of names in one folder: ``S1_photo``, ``photo_S1``."""
    for at in (-1, 0):
        words = {f.file: _SEPARATOR.split(f.specimen) for f in found}
        if not words or any(len(w) < 2 for w in words.values()):
            continue
        kinds, times = defaultdict(set), Counter()
        for f in found:
            word = words[f.file][at].casefold()
            kinds[word].add(f.kind)
            times[word] += 1
        numbers = any(re.fullmatch(r"\(?[a-z]?\d+[a-z]?\)?", word) for word in times)
        named = [(_rest(f.specimen, words[f.file][at], at).casefold(), words[f.file][at].casefold()) for f in found]
        enough = len(kinds) > 1 and len(found) > len({name for name, _ in named}) and not _is_sparse(named)
        if not numbers and enough and all(len(k) == 1 for k in kinds.values()):
            return [
                replace(f, modality=words[f.file][at], specimen=_rest(f.specimen, words[f.file][at], at)) for f in found
            ]
    return found


def _rest(name: str, word: str, at: int) -> str:
    return (name[: -len(word)] if at == -1 else name[len(word) :]).strip("_- ")


def _shared_names(found: list[CandidateFile]) -> list[CandidateFile]:
    """Words that all names of one modality share are dropped if its specimens then meet those of the others."""
    groups = defaultdict(list)
    for f in found:
        groups[f.kind, f.modality].append(f)
    short = {group: _without_shared(members) for group, members in groups.items()}
    out = {f.file: f for f in found}
    for group, members in groups.items():
        others = {f.key for g in groups if g != group for f in (*groups[g], *short[g])}
        met, met_short = (len(others & {f.key for f in variant}) for variant in (members, short[group]))
        if met_short > met:
            out |= {f.file: f for f in short[group]}
    return list(out.values())


def _without_shared(members: list[CandidateFile]) -> list[CandidateFile]:
    words = [_SEPARATOR.split(f.specimen) for f in members]
    if len(members) < 2 or min(map(len, words)) < 2:
        return members
    lead = len({w[0].casefold() for w in words}) == 1
    tail = len({w[-1].casefold() for w in words}) == 1 and min(map(len, words)) > lead + 1
    return [replace(f, specimen="_".join(w[lead : len(w) - tail])) for f, w in zip(members, words, strict=True)]


def _views(found: list[CandidateFile], known: Collection[str]) -> list[CandidateFile]:
    """``S1_1``, ``S1-2`` and ``S1b`` are pictures of S1 if S1 has a curve or a row of the table, and they have none."""
    others = {f.key for f in found if f.kind == "curves"} | set(known)
    out = []
    for f in found:
        match = _VIEW.fullmatch(f.specimen) if f.kind == "images" else None
        if match and f.key not in others and specimen_key(match["name"]) in others:
            number = match["number"] or str(ord(match["letter"].lower()) - ord("a") + 1)
            f = replace(f, specimen=match["name"], view=int(number))
        out.append(f)
    return out


def view_of(found: CandidateFile) -> str:
    """The specimen that a picture's name would be a view of; the name itself for curves and for other names."""
    match = _VIEW.fullmatch(found.specimen) if found.kind == "images" else None
    return match["name"] if match else found.specimen


def drop_copies(found: Sequence[CandidateFile]) -> tuple[list[CandidateFile], list[Entry]]:
    """Files whose bytes are those of another one of the same specimen and modality, and the entries that say so.

    ``S1 - Copy.csv``, ``S1 (1).csv`` and ``Kopie von S1.csv`` are looked at as S1; different content stays.
    """
    known = {(f.kind, f.modality, f.key) for f in found}
    out, entries = [], []
    first: dict[tuple, CandidateFile] = {}
    # the plain name comes first, so that the copy is the one that goes
    for f in sorted(found, key=lambda f: (f.path.stem != _original(f.path.stem), f.file)):
        original = _original(f.specimen)
        if original != f.specimen and (f.kind, f.modality, specimen_key(original)) in known:
            f = replace(f, specimen=original)
        mark = (f.kind, f.modality, f.key)
        twin = first.setdefault(mark, f)
        if twin is not f and _same_bytes(twin.path, f.path):
            entries.append(Entry(f.file, f.specimen, f.modality, "ignored", f"the same, byte for byte, as {twin.file}"))
        else:
            out.append(f)
    return sorted(out, key=lambda f: f.file), entries


def _same_bytes(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
    except OSError:  # said when it is read
        return False


def _original(name: str) -> str:
    match = _COPY.match(name)
    return match[1] if match else name
