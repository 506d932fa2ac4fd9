"""Finding the files of measured data: an explicit path, ``PIMA_DATA``, the user's cache, a checked download."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError, FileFormatError, require


@dataclass(frozen=True)
class PublishedFile:
    """One file of measured data and where it comes from.

    Attributes:
        name: Path below the folder of data, such as ``"mnist.npz"``.
        source: Where the data were published, for the error's sentence.
        arrays: What the file must hold: the arrays' names and shapes, -1 for any size.
        url: Where this very file can be downloaded, if anywhere.
        sha256: Checksum of the download.
    """

    name: str
    source: str
    arrays: dict[str, tuple[int, ...]]
    url: str | None = None
    sha256: str | None = None

    def load(self, path: str | os.PathLike[str] | None = None) -> dict[str, np.ndarray]:
        """The file's arrays, found, read and checked.

        Args:
            path: The file, or a folder that holds it. None: look in the folder ``PIMA_DATA``, then in the user's cache,
                then download where that is possible.

        Raises:
            DataError: If it is nowhere, or cannot be downloaded.
            FileFormatError: If it is no such file.
        """
        return self._read(self.find(path))

    def find(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Where the file is; see `load`."""
        if path is not None:
            given = Path(path).expanduser()
            for candidate in (given, given / self.name, given / Path(self.name).name):
                if candidate.is_file():
                    return candidate
            raise DataError(f"there is no file {self.name!r} at path={str(path)!r}: give the file, or its folder")
        folder = os.environ.get("PIMA_DATA")
        if folder and (Path(folder) / self.name).is_file():
            return Path(folder) / self.name
        cached = cache_folder() / self.name
        if cached.is_file():
            return cached
        if self.url is None:
            raise DataError(self._absence(folder, cached))
        return self._download(cached)

    def _absence(self, folder: str | None, cached: Path) -> str:
        looked = f"PIMA_DATA ({folder})" if folder else "PIMA_DATA (not set)"
        holds = ", ".join(f"{k} {v}".replace("-1", "any") for k, v in self.arrays.items())
        return (
            f"the file {self.name!r} is not here: looked in the folder of {looked} and in {cached}; it cannot be "
            f"downloaded as one file. The data come from {self.source}. Save them as an npz of the arrays {holds}, and "
            "give path=, or set the environment variable PIMA_DATA to the folder that holds it"
        )

    def _download(self, to: Path) -> Path:
        pooch = require("pooch", "downloads")
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            got = pooch.retrieve(self.url, known_hash=f"sha256:{self.sha256}", fname=to.name, path=to.parent)
        except (OSError, ValueError) as error:  # no network, or another checksum
            raise DataError(
                f"{self.name!r} could not be downloaded from {self.url} ({error}): get it by other means, and give "
                "path=, or set the environment variable PIMA_DATA to its folder"
            ) from error
        return Path(got)

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        if not zipfile.is_zipfile(path):
            raise FileFormatError(
                f"{path} is no npz, expected one of the arrays {', '.join(self.arrays)}: fetch it again"
            )
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in self.arrays if name in archive.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise FileFormatError(f"{path} cannot be read as an npz ({error}): fetch it again") from error
        for name, shape in self.arrays.items():
            if name not in arrays:
                raise FileFormatError(f"{path} lacks the array {name!r}, expected {', '.join(self.arrays)}")
            got = arrays[name].shape
            if len(got) != len(shape) or any(want not in (-1, have) for want, have in zip(shape, got, strict=True)):
                raise FileFormatError(f"{path}: the array {name!r} has shape {got}, expected {shape}")
        return arrays


def cache_folder() -> Path:
    """The user's folder for downloaded data."""
    return Path(require("platformdirs", "cached data sets").user_cache_dir("pima_toolkit", appauthor=False))
