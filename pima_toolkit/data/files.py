"""Files and folders appear whole or not at all, and a disk that refuses is one sentence."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write a file or a folder to; it takes the place of ``path`` if all went well.

    After an error, an interrupt or a power cut ``path`` holds what it held, or the whole new one. Folders above it are
    made as needed.

    Args:
        path: The file or folder to write; the temporary name has its suffix.

    Raises:
        StorageError: If the disk is full, or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    old = path.with_name(f".{path.stem}.{os.getpid()}.old{path.suffix}")
    with refused(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if path.is_dir():  # a folder cannot be replaced in one step as a file can
                path.rename(old)
                try:
                    temporary.rename(path)
                except OSError:
                    old.rename(path)
                    raise
            else:
                temporary.replace(path)
        finally:
            for rest in (temporary, old):
                if rest.is_dir():
                    shutil.rmtree(rest)
                else:
                    rest.unlink(missing_ok=True)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Say in one sentence why the system would not write ``path``.

    Raises:
        StorageError: For every OSError of the block.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}); what stood there before still does: "
            "free some space, or go elsewhere"
        ) from None


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
