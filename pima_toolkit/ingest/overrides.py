"""``pima-reading.toml``: how a folder is read, in a file in that folder; written once, edited by a person, read by all.

::

    table = "films.csv"            # any argument of pima.from_folder

    [modalities.stress]
    kind = "curves"
    y = "Stress"

    [files."A3.csv"]               # what differs for single files; also patterns such as "late/*.csv"
    units = { Strain = "%" }

    [files."A4.csv"]
    skip = true
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import xarray as xr

from ..data.files import path_of
from ..data.names import closest
from ..data.reading_log import Entry, reading_details, reading_log
from ..errors import OptionError, require
from .discovery import CandidateFile

#: The file's name.
NAME = "pima-reading.toml"
_ATTRIBUTE = "ingest_reading"
#: What may be said of the whole folder, by the names of `pima.from_folder`.
_ARGUMENTS = ("modalities", "table", "images", "curves", "strict")
#: What may be said of single files.
_OF_CURVES = ("x", "y", "sheet", "table", "specimens", "units", "geometry")
_OF_FILES = ("skip", "specimen", "crop", *_OF_CURVES)


@dataclass(frozen=True)
class Overrides:
    """How a folder is to be read.

    Attributes:
        arguments: Of `pima.from_folder`, by name.
        files: File or pattern -> what differs for it.
        source: The file's name; empty where there is none.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""


def read_overrides(folder: Path, source: Path | bool | None) -> Overrides:
    """How a folder is to be read, from its file.

    Args:
        folder: The folder.
        source: The file; None: the folder's own, if there is one; False: none.

    Raises:
        OptionError: If the file is not there or no TOML, or an option is misspelt.
    """
    if source is False:
        return Overrides()
    path = folder / NAME if source is None or source is True else path_of(source)
    if not path.is_file():
        if source is None:
            return Overrides()
        raise OptionError(f"there is no {path}: `pima data check FOLDER --write` writes one")
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(f"{path.name} is no TOML file: {error}") from None
    _check(options, (*_ARGUMENTS, "files"), path.name)
    files = options.pop("files", {})
    for name, own in files.items():
        if not isinstance(own, dict):
            raise OptionError(f'{path.name}: files."{name}" is {own!r}, expected a table such as {{ skip = true }}')
        _check(own, _OF_FILES, f'{path.name}, files."{name}"')
    return Overrides(options, files, path.name)


def _check(options: Mapping[str, object], known: Sequence[str], where: str) -> None:
    for key in options:
        if key not in known:
            raise OptionError(f"{where} has the option {key!r}: {closest(key, known)}")


def merged(overrides: Overrides, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a call, and those of the file for what the call leaves open; options of a kind are put together."""
    out = dict(given)
    for name, value in overrides.arguments.items():
        own = out.get(name)
        if own is None or (name == "strict" and own is False):
            out[name] = value
        elif name in ("images", "curves") and isinstance(own, Mapping):
            out[name] = {**value, **own}
    return out


def apply(
    overrides: Overrides, members: Sequence[CandidateFile], known: Sequence[str]
) -> tuple[list[CandidateFile], list[Entry]]:
    """The files of a modality with what differs for each, without those to be skipped; and what to say of these.

    Args:
        overrides: Of `read_overrides`.
        members: The files.
        known: All files of the folder.

    Raises:
        OptionError: If an option does not suit the kind of file, or a name fits no file of the folder.
    """
    for name in overrides.files:
        if not any(fits(name, file) for file in known):
            raise OptionError(
                f"{overrides.source} names {name!r}, which is no file of the folder: {closest(name, known)}"
            )
    out, entries = [], []
    for f in members:
        own: dict[str, Any] = {}
        for name, options in overrides.files.items():
            if fits(name, f.file):
                own |= options
        if own.pop("skip", False):
            entries.append(Entry(f.file, f.specimen, f.modality, "ignored", f"left out by {overrides.source}"))
            continue
        strange = [key for key in own if key in (_OF_CURVES if f.kind == "images" else ("crop",))]
        if strange:
            raise OptionError(f"{overrides.source} gives {strange[0]!r} for {f.file}, which does not suit {f.kind}")
        specimen = str(own.pop("specimen", f.specimen))
        out.append(replace(f, specimen=specimen, own=tuple(own.items())))
    return out, entries


def fits(pattern: str, file: str) -> bool:
    """Whether a name or pattern means a file, told from the folder: the whole path, or the name alone."""
    return pattern == file or fnmatchcase(file, pattern) or ("/" not in pattern and pattern == Path(file).name)


def remember(data: xr.Dataset, overrides: Overrides) -> None:
    """Write into the dataset's attributes how its folder is read, beyond what its call said: see `remembered`."""
    arguments: dict[str, dict[str, Any]] = {}
    specs = [spec for spec in overrides.arguments.get("modalities", {}).values() if isinstance(spec, Mapping)]
    for kind in ("images", "curves"):
        own = [spec for spec in specs if spec.get("kind") == kind]
        # options of the only modality of a kind stand for the kind: new specimens may lack others
        alone = {k: v for k, v in own[0].items() if k not in ("kind", "files")} if len(own) == 1 else {}
        if kind in overrides.arguments or alone:
            arguments[kind] = {**overrides.arguments.get(kind, {}), **alone}
    bits = [int(v.attrs["bits"]) for v in data.data_vars.values() if "bits" in v.attrs]
    if bits:
        arguments["images"] = {"bits": bits[0], **arguments.get("images", {})}
    if arguments:
        data.attrs[_ATTRIBUTE] = json.dumps(arguments)


def remembered(data: xr.Dataset) -> dict[str, Any]:
    """Arguments by which new specimens are read as those of a dataset were.

    They are those that its folder's ``pima-reading.toml`` gave, and the depth of the camera that was found.
    """
    return json.loads(str(data.attrs.get(_ATTRIBUTE, "{}")))


def arguments_of(data: xr.Dataset, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of `pima.from_folder` that say how a dataset was read from its folder, as far as they can be told.

    Args:
        data: Of `pima.from_folder`.
        given: Arguments of its call, which are kept; those of a kind go to each modality of it.

    Returns:
        ``table``; ``modalities`` with the columns that all files of each have, their units in the dataset, and the size
        of pictures.
    """
    details = reading_details(data)
    log = reading_log(data)
    tables = log.file[(log.status == "used") & log.note.str.startswith("table of ")].tolist()
    given = given or {}
    out: dict[str, Any] = {"table": tables if len(tables) > 1 else tables[0] if tables else False}
    modalities: dict[str, dict[str, Any]] = {}
    for name, variable in data.data_vars.items():
        own = details[details.modality == name]
        if len(own):
            spec: dict[str, Any] = {"kind": "curves"}
            for axis in "xy":
                headers = set(own[axis])
                if len(headers) == 1:
                    header = headers.pop()
                    number = re.fullmatch(r"column (\d+)", header)
                    spec[axis] = int(number[1]) if number else header
            modalities[str(name)] = spec | dict(given.get("curves", {}))
        elif {"y", "x"} <= {str(d).rsplit("_", 1)[-1] for d in variable.dims}:
            height, width = variable.shape[-2:]
            own_spec = {"kind": "images", "size": [height, width]}
            modalities[str(name)] = own_spec | dict(given.get("images", {}))
    return out | {"modalities": modalities}


def as_text(arguments: Mapping[str, Any], notes: Sequence[str]) -> str:
    """The text of a file that reads a folder with these arguments.

    Args:
        arguments: Of `pima.from_folder`, plain: texts, numbers, lists and dicts.
        notes: Lines that are put in as comments.
    """
    tomli_w = require("tomli_w", "files of options")
    head = [
        "How this folder is read: by pima.from_folder, pima data from-folder and pima fit. Edit it as you need.",
        "Any argument of pima.from_folder may stand here. What differs for single files stands at the end, such as",
        '  [files."A3.csv"]',
        '  units = { Strain = "%" }     # also: x, y, sheet, table, specimens, geometry, crop, specimen, skip = true',
        *notes,
    ]
    return "".join(f"# {line}\n" for line in head) + "\n" + tomli_w.dumps(dict(arguments))
