"""`pima data`: a folder of files becomes a dataset; what is in a dataset."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pima_toolkit as pima

from ..data import read_entries, what_was_read
from ..data.files import write_text
from ..data.reading_log import Entry
from ..errors import OptionError, PimaError, PimaWarning, require
from ..ingest import overrides
from ..ingest.reading import NothingUsable
from .options import CommandOutput, Folder, Json, Quiet, cell_of
from .reading_options import with_reading

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

typer = require("typer", "the command line")
rich_table = require("rich.table", "the command line")
rich_box = require("rich.box", "the command line")

#: Letters of a name that is shown on one line.
_NAME = 28

app = typer.Typer(no_args_is_help=True, help="Datasets: from a folder of files, and what is in them.")

EXAMPLES = r"""
Examples:

  pima data from-folder tests-2024 -o tests.nc

  pima data from-folder tests-2024 -o tests.nc --image-size 64x64 --curve-grid 100 --window common --zero toe

  pima data from-folder tests-2024 -o tests.nc --table specimens.xlsx --unit stress=MPa --strict

  pima data from-folder tests-2024 -o tests.nc --geometry --true tension     (force and extension, area in the table)

A TOML file holds the same and more, by the names of pima.from_folder:

  table = "specimens.xlsx"

  \[modalities.stress]

  kind = "curves"

  files = "curves/{id}_raw.csv"
"""

CHECK_EXAMPLES = r"""
Examples:

  pima data check tests-2024

  pima data check tests-2024 --write     (then edit tests-2024/pima-reading.toml)

  pima data check tests-2024 --json > account.json
"""


@app.command("from-folder", epilog=EXAMPLES)
@with_reading
def from_folder(
    folder: Folder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Dataset to write: .nc or .zarr.", show_default=False)],
    toml: Annotated[
        Path | None, typer.Option("--toml", help="TOML file with options, in place of the folder's own.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop if any measurement cannot be used.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    reading: dict | None = None,
) -> None:
    """Read a folder of files into one dataset, and say what became of every file."""
    output = CommandOutput(quiet, as_json)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PimaWarning)  # said below, file by file
        data = pima.from_folder(folder, **(reading or {}), strict=strict, overrides=toml, progress=output.progress)
    written = pima.save_data(data, out)
    log = pima.reading_log(data)
    _show(output, data, log)
    output.say(f"written: {written}")
    output.end({"files": [written], **_facts(data, log)})


@app.command("check", epilog=CHECK_EXAMPLES)
@with_reading
def check(
    folder: Folder,
    write: Annotated[bool, typer.Option("--write", help="Write pima-reading.toml into the folder, to edit.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    reading: dict | None = None,
) -> None:
    """Say of every file how it is read: lines, columns, units, points left out; or why it cannot be used.

    Nothing is written but pima-reading.toml, which all commands and pima.from_folder follow. The exit status is 1
    where a measurement cannot be used.
    """
    output = CommandOutput(quiet, as_json)
    path = folder.expanduser() / overrides.NAME
    if write and path.exists():
        raise OptionError(f"{path} is there already: edit it, or remove it and write it anew")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PimaWarning)  # said below, file by file
        try:
            data = pima.from_folder(folder, **(reading or {}), progress=output.progress)
        except NothingUsable as error:
            _show_account(output, error.entries)
            if write:
                notes = [f"cannot be used: {e.file} {e.note}" for e in error.entries]
                write_text(path, overrides.as_text(reading or {}, notes))
                output.say(f"written: {path}")
            raise
        log, details = pima.reading_log(data), pima.reading_details(data)
        _show_account(output, read_entries(data))
        if write:
            written = _write_overrides(data, folder, path, reading or {})
            output.say(f"written: {written}")
    facts = _facts(data, log) | {"reading_details": details.to_dict(orient="records")}
    output.end(facts | ({"files": [path]} if write else {}))
    if (log.status == "unusable").any():
        raise typer.Exit(1)


def _show_account(output: CommandOutput, entries: list[Entry]) -> None:
    """A table of files: status, file, what was read, and what was done or why not."""
    if output.silent:
        return
    table = rich_table.Table()
    for name in ("status", "file or specimen", "read", "what was done, or why not"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        table.add_row(*map(cell_of, (entry.status, _place(entry), what_was_read(entry), entry.note)))
    output.console.print(table)


def _place(entry: Entry) -> str:
    """The file, or what is missing of which specimen."""
    return entry.file or f"{entry.specimen}: {entry.modality or 'everything'}"


def _write_overrides(data: xr.Dataset, folder: Path, path: Path, reading: Mapping[str, Any]) -> Path:
    """Write pima-reading.toml with what gives this dataset again, as is tried at once."""
    arguments = overrides.arguments_of(data, reading)
    notes = [f"cannot be used: {e.file} {e.note}" for e in read_entries(data) if e.status == "unusable"]
    write_text(path, overrides.as_text(arguments, notes))
    try:
        same = pima.from_folder(folder, progress=False).drop_attrs().identical(data.drop_attrs())
    except PimaError:
        same = False
    if not same:  # the modalities cannot be told by their names alone
        write_text(path, overrides.as_text({"table": arguments["table"], **reading}, notes))
    return path


@app.command("show")
def show(
    data: Annotated[Path, typer.Argument(help="Dataset: .nc or .zarr.", show_default=False)],
    all_files: Annotated[bool, typer.Option("--all", help="Every file, not only those left out.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show what a dataset holds: modalities, units, what is missing, and what became of the files it is from."""
    output = CommandOutput(quiet, as_json)
    opened = pima.open_data(data)
    log = pima.reading_log(opened) if read_entries(opened) else None
    _show(output, opened, log, all_files)
    output.end(_facts(opened, log))


def _facts(data: xr.Dataset, log: pd.DataFrame | None) -> dict[str, object]:
    facts = {"specimens": data.sizes["specimen"], "variables": pima.summary(data).to_dict(orient="index")}
    if log is not None:
        facts["reading_log"] = log.to_dict(orient="records")
    return facts


def _show(output: CommandOutput, data: xr.Dataset, log: pd.DataFrame | None, all_files: bool = False) -> None:
    if output.silent:
        return
    summary = pima.summary(data)
    title = str(data.attrs.get("title", "Dataset"))
    title = cell_of(f"{title}: {data.sizes['specimen']} specimens")
    table = rich_table.Table(title=title, box=rich_box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    # Eighty columns are enough: a name stays whole unless it is very long, what folds is the range.
    widest = max(map(len, map(str, summary.index)), default=0)
    table.add_column("name", no_wrap=widest <= _NAME, overflow="fold")
    for column in ("role", "unit", "present"):
        table.add_column(column, no_wrap=True)
    table.add_column("sizes", overflow="fold")
    table.add_column("range", overflow="fold")
    for name, row in summary.iterrows():
        present = f"{row.present} of {row.present + row.missing}"
        cells = (name, row.role, row.unit, present, row.sizes, row.range)
        table.add_row(*(cell_of(cell) for cell in cells))
    output.console.print(table)
    if log is None:
        return
    counts = log.status.value_counts()
    words = {"used": "used", "unusable": "could not be used", "ignored": "left alone", "missing": "missing"}
    output.say("files: " + ", ".join(f"{counts[status]} {word}" for status, word in words.items() if status in counts))
    entries = [e for e in read_entries(data) if all_files or e.status != "used"]
    if not entries:
        return
    files = rich_table.Table()
    for column in ("status", "file or specimen", "why" if not all_files else "what was done, or why not"):
        files.add_column(column, overflow="fold")
    for entry in entries:
        files.add_row(*map(cell_of, (entry.status, _place(entry), entry.note)))
    output.console.print(files)
