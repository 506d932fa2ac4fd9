"""Files and folders appear whole or not at all, nothing of the user's is lost, and a full disk is one sentence."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import OptionError, StorageError

#: How the names begin that files have while they are written; what a killed process left is known by it.
UNFINISHED = ".pima-unfinished-"
#: What to do about what the system says; anything else may be helped by another place.
_ADVICE = {
    errno.ENOSPC: "free some space, or go elsewhere",
    errno.EDQUOT: "free some space, or go elsewhere",
    errno.EROFS: "the place is read-only: go elsewhere",
    errno.EACCES: "close it where it is open, as in Excel, or go where you may write",
    errno.EPERM: "close it where it is open, as in Excel, or go where you may write",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOTDIR: "a part of the path is a file: give another folder",
    errno.EEXIST: "a part of the path is a file: give another folder",
}


def path_of(path: str | os.PathLike[str]) -> Path:
    """A path as the user gave it, ``~`` replaced by the home folder.

    Raises:
        OptionError: If it is no path.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or "\0" in os.fspath(path):
        raise OptionError(f"{path!r} is no path of a file or folder: give a text such as 'results/fit.pima', or a Path")
    try:
        out = Path(path).expanduser()
        out.exists()
        return out
    except OSError as error:  # longer than any name may be
        raise OptionError(f"{os.fspath(path)[:60]!r}... is no path here ({error.strerror}): give another") from None
    except RuntimeError as error:  # ~somebody who is not known here
        raise OptionError(f"{os.fspath(path)!r} is no path here ({error}): write the folder out") from None


@contextmanager
def replacing(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """A temporary name beside ``path`` to write a file or a folder to; it takes the place of ``path`` if all went well.

    After an error, an interrupt or a power cut ``path`` holds what it held, or the whole new one. Folders above it are
    made as needed. A link stays a link: what it leads to is replaced.

    Args:
        path: The file or folder to write; the temporary name has its suffix.
        folder: Whether it is a folder that is written, which takes the place of one that the caller knows for its own;
            otherwise a folder is refused, whatever it holds.

    Raises:
        StorageError: If ``path`` is a folder where a file is to be, or no file at all such as a device; if the disk is
            full, or the folder cannot be written.
    """
    with refused(path):
        path = path.resolve() if path.is_symlink() else path
        if path.is_dir() and not folder:
            raise StorageError(f"{path} is a folder, expected a file: give a name in it, such as {path / 'result'}")
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise StorageError(f"{path} is no file but a device or a pipe: give the name of a file")
        suffix = path.suffix if len(path.suffix) < 20 else ""
        temporary = path.with_name(f"{UNFINISHED}{secrets.token_hex(6)}{suffix}")
        old = path.with_name(f"{UNFINISHED}{secrets.token_hex(6)}.old")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if path.is_dir():  # a folder cannot be replaced in one step as a file can
                path.rename(old)
                temporary.rename(path)
            else:
                temporary.replace(path)
        finally:
            if old.exists() and not path.exists():  # stopped between the two steps
                old.rename(path)
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
        advice = _ADVICE.get(error.errno or 0, "free some space, or go elsewhere")
        raise StorageError(
            f"{path} could not be written ({error.strerror or error}); what stood there before still does: {advice}"
        ) from None


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        # Names of files may hold bytes that are no UTF-8; they go back as they came.
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def safe_name(name: str, taken: set[str] | None = None) -> str:
    """A name of a file made of any text: it stays in its folder, on every system, and no two are one.

    Args:
        name: Such as the name of a modality in a saved fit.
        taken: Names that were given before, in lower case; the new one is added. None: none were.

    Returns:
        The name itself where it is harmless; otherwise signs that name folders, steer terminals or are reserved become
        ``_``, and it is at most 100 letters.
    """
    kept = "".join(sign if sign.isprintable() and sign not in '<>:"/\\|?*' else "_" for sign in name)
    kept = kept.encode("utf-8", "replace").decode("utf-8").strip(" .")[:100].rstrip(" .") or "_"
    while len(kept.encode("utf-8")) > 150:
        kept = kept[:-1]
    reserved = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(10))}
    if kept.partition(".")[0].strip().lower() in reserved:
        kept = f"_{kept}"
    if taken is None:
        return kept
    first, number = kept, 1
    while kept.lower() in taken:
        number += 1
        kept = f"{first}_{number}"
    taken.add(kept.lower())
    return kept
