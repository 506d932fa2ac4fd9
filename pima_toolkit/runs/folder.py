"""The folder of a run: what lies in it, who works in it, how far it is.

.. code-block:: text

    options.toml   every option; ``pima fit --options run/options.toml`` repeats the run
    run.json       state, where the data lay and their fingerprint, versions, plugins
    data.nc        the dataset, where it was made from a folder of files, and files.csv: what became of every file
    checkpoint/    written after every epoch: a killed run goes on from here
    fit.pima       the fit
    report.html    the report
    tables/        the fit as CSV
    log.txt        what happened, with times
    track.csv, tensorboard/  numbers of every epoch, where asked for
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import xarray as xr

from ..api.pima import Fit, load
from ..api.saved_form import Checked
from ..data import with_lost_specimens
from ..data.files import UNFINISHED, refused, write_text
from ..errors import FileFormatError, OptionError, StorageError, require
from .source import Source, read_as, read_source, reading_like, together, with_measurements

try:
    import fcntl
except ModuleNotFoundError:  # Windows has no such locks
    fcntl = None

FORMAT, VERSION = "pima_toolkit run", 1


#: What a run writes into folders of its own.
_OWN = {
    "checkpoint": ("*.safetensors", "clusters-*/*.json", "clusters-*/*.safetensors"),
    "tables": ("parameters.csv", "specimens.csv", "history.csv", "populations*.csv", "predictions*.csv"),
    "tensorboard": ("events.out.tfevents.*",),
}


def _remove_empty(folder: Path) -> None:
    """Remove a folder with nothing in it; any other stays."""
    if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
        folder.rmdir()


def _check_about(root: Checked) -> None:
    """Check what is read of run.json.

    Raises:
        FileFormatError: Naming the field that is not as it was written.
    """
    root.part("state").text()
    for name in ("path", "fingerprint"):
        root.part("data").part(name).text()
    versions = root.part("versions")
    for name in versions.table():
        versions.part(name).text()
    if "files" in root.part("data").table():
        files = root.part("data").part("files")
        for name in files.table():
            files.part(name).parts(2)


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @property
    def options_file(self) -> Path:
        """Every option, as TOML."""
        return self.path / "options.toml"

    @property
    def checkpoint(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoint"

    @property
    def fit_file(self) -> Path:
        """The saved fit."""
        return self.path / "fit.pima"

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / "report.html"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.path / "tables"

    @property
    def data_file(self) -> Path:
        """The dataset, where it was made from a folder of files."""
        return self.path / "data.nc"

    @property
    def begun(self) -> bool:
        """Whether there is an epoch, or a fit, that other options must not overwrite."""
        return self.fit_file.exists() or any(self.checkpoint.glob("*.safetensors"))

    def about(self) -> dict | None:
        """What run.json says; None where there is no run.

        Raises:
            FileFormatError: If it is damaged, or of a newer version.
        """
        path = self.path / "run.json"
        if not path.exists():
            return None
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            root = Checked(about, file=path.name)
            known = root.part("format").value == FORMAT and root.part("version").whole(1) <= VERSION
            if known:
                _check_about(root)
        except FileFormatError as error:
            raise FileFormatError(f"{self.path} {error}: remove it and give another folder") from None
        except (OSError, ValueError, RecursionError) as error:
            raise FileFormatError(f"{path} is damaged ({error}): remove it and give another folder") from None
        if not known:
            raise FileFormatError(f"{path} was not written by this pima_toolkit, or by a newer one: update it")
        return about

    def options(self) -> dict:
        """The options of the run.

        Raises:
            FileFormatError: If the file is damaged.
        """
        try:
            return tomllib.loads(self.options_file.read_text(encoding="utf-8", errors="surrogateescape"))
        except (OSError, ValueError) as error:
            raise FileFormatError(
                f"{self.options_file} is damaged ({error}): start anew with --overwrite, or give another folder"
            ) from None

    def write(self, about: dict, options: dict | None = None) -> None:
        """Write run.json, and the options where given."""
        text = "" if options is None else require("tomli_w", "options of a run").dumps(options)
        head = {"format": FORMAT, "version": VERSION}
        # First what the folder is known by: whoever is stopped here finds it to be a run.
        write_text(self.path / "run.json", json.dumps(head | about, indent=1, allow_nan=False))
        if options is not None:
            write_text(self.options_file, text)

    def log(self, text: str) -> None:
        """Append a line to the log."""
        now = datetime.now(UTC).astimezone().isoformat(sep=" ", timespec="seconds")
        path = self.path / "log.txt"
        with refused(path), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{now}  {text}\n")

    def prepare(self) -> bool:
        """Make the folder, or see that it is a run's; whether it was made.

        Raises:
            StorageError: If it cannot be made or written.
            OptionError: If it holds other things than a run.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StorageError(f"{self.path} is a file, expected the folder of a run: give another name, -o NAME")
        with refused(self.path):
            made = not self.path.exists()
            self.path.mkdir(parents=True, exist_ok=True)
            others = sorted(p.name for p in self.path.iterdir() if not p.name.startswith("."))
        if others and self.about() is None:
            raise OptionError(
                f"{self.path} holds other files ({', '.join(others[:3])}) and no run: give a new folder, -o NAME"
            )
        return made

    def clear(self, *, with_data: bool = False) -> None:
        """Remove what a run wrote; other files stay, in its folders too.

        The one by which it is known to be a run goes last, so that whoever is stopped here can go on.

        Args:
            with_data: Whether the copy of the data goes too.
        """
        names = ["options.toml", "fit.pima", "report.html", "log.txt", "files.csv", "track.csv"]
        with refused(self.path):
            for name, patterns in _OWN.items():
                folder = self.path / name
                for file in (file for pattern in patterns for file in list(folder.glob(pattern))):
                    file.unlink()
                for inner in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
                    _remove_empty(inner)
                _remove_empty(folder)
            for name in [*names, *(["data.nc"] if with_data else []), "run.json"]:
                (self.path / name).unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the folder itself, made for a run that was refused, if nothing else is in it."""
        (self.path / ".lock").unlink(missing_ok=True)
        _remove_empty(self.path)

    def _tidy(self) -> None:
        """Remove what a killed process was writing; only who holds the lock may."""
        for folder in (self.path, self.checkpoint, self.tables):
            for file in folder.glob(f"{UNFINISHED}*"):
                if file.is_file():
                    file.unlink()

    def source(self, options: Mapping[str, Any], progress: bool = False) -> Source:
        """The data that options name, from the copy in this folder where they are made of files."""
        return read_source(Path(str(options["data"])), options.get("reading"), self.data_file, progress)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes out; the system lets go of the lock of a process that died.

        Raises:
            StorageError: If another process works here, or the folder cannot be written.
        """
        path = self.path / ".lock"
        if fcntl is None:
            yield
            return
        with refused(path):
            file = path.open("a+", encoding="utf-8")
        with file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                file.seek(0)
                raise StorageError(
                    f"{self.path} is in use by process {file.read().strip() or 'unknown'}: wait for it, stop it, or "
                    "give another folder"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            self._tidy()
            yield
            file.truncate(0)


def open_fit(path: str | Path) -> Fit:
    """Read the fit of a run folder, or a saved fit.

    Args:
        path: The folder, or the file.

    Raises:
        FileFormatError: If there is no fit, or it is damaged.
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return load(path)
    run = RunFolder(path)
    if not run.fit_file.exists():
        if run.about() is None:
            raise FileFormatError(f"{path} is no run: expected a folder that `pima fit` wrote, or a saved fit (.pima)")
        raise FileFormatError(f"{path} has no fit yet: it was not trained to its end, the same `pima fit` goes on")
    return load(run.fit_file)


def new_data(path: str | Path, fit: Fit, data: str | Path) -> xr.Dataset:
    """Specimens to answer for; a folder of files is read as the fit's own data were.

    A specimen of which no file can be used has a row too, with NaN.

    Args:
        path: The fit's run folder, or the saved fit.
        fit: The fit.
        data: A dataset, a folder of files, or a table.

    Raises:
        DataError, FileFormatError, OptionError: As :func:`read_source`.
    """
    run = RunFolder(Path(path).expanduser())
    reading = run.options().get("reading", {}) if run.options_file.exists() else {}
    reading = together(read_as(run.data_file), reading)
    return with_lost_specimens(read_source(Path(data), reading_like(fit, reading)).data)


def training_data(path: str | Path) -> xr.Dataset | None:
    """What the fit of a run folder was trained on; None for a saved fit, or where the data changed or went away."""
    run = RunFolder(Path(path).expanduser())
    about = run.about() if run.path.is_dir() else None
    if about is None or not Path(about["data"]["path"]).exists():
        return None
    options = run.options()
    source = run.source(options)
    if source.fingerprint != about["data"]["fingerprint"]:
        return None
    return with_measurements(source, options["modalities"])[0].data
