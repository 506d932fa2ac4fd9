"""The formats that are read here: ``FORMATS``, and which reader is whose."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ...data.reading_log import Unusable
from ...errors import DataError, PimaError
from ...plugins.registry import Registry
from .reader import ColumnReader, Columns, PixelReader, Pixels, Reader

Content = TypeVar("Content")
Asked = TypeVar("Asked", bound=Reader)


def _checked(thing: object) -> Reader:
    """A reader from an object or its class."""
    made = thing() if inspect.isclass(thing) and issubclass(thing, Reader) and not inspect.isabstract(thing) else thing
    if not isinstance(made, ColumnReader | PixelReader):
        raise DataError(
            f"{thing!r} is no reader: expected a subclass of ColumnReader or PixelReader, or an object of it"
        )
    suffixes = getattr(made, "suffixes", ())
    if not suffixes or isinstance(suffixes, str) or any(s != s.lower() or not s.startswith(".") for s in suffixes):
        raise DataError(f"{thing!r} has suffixes={suffixes!r}: expected endings in lower case such as ('.csv',)")
    return made


_HERE = "pima_toolkit.ingest.formats"
#: The readers by name. An ending that two of ours have is first what the upper one reads.
FORMATS: Registry[Reader] = Registry(
    "reader",
    hook="pima_readers",
    check=_checked,
    error=DataError,
    ours={
        "photograph": f"{_HERE}.pictures:PHOTOGRAPH",
        "tiff": f"{_HERE}.pictures:TIFF",
        "array_of_pixels": f"{_HERE}.pictures:ARRAY",
        "jcamp": f"{_HERE}.jcamp:JCAMP",
        "text": f"{_HERE}.columns:TEXT",
        "workbook": f"{_HERE}.columns:WORKBOOK",
        "named_arrays": f"{_HERE}.named_arrays:NAMED_ARRAYS",
        "array_of_columns": f"{_HERE}.columns:ARRAY",
    },
)


def _readers() -> dict[str, Reader]:
    """All readers, those of plugins first: they know more of their files than we do."""
    every = FORMATS.all()
    return dict(sorted(every.items(), key=lambda item: FORMATS.source(item[0]) is None))


def kinds() -> dict[str, str]:
    """Ending -> what files of it hold: ``"images"`` or ``"curves"``."""
    out: dict[str, str] = {}
    for reader in _readers().values():
        for suffix in reader.suffixes:
            out.setdefault(suffix, reader.kind)
    return out


def kind_by_name(file: str) -> str | None:
    """What a file of this name would hold; it need not be there."""
    return kinds().get(Path(file).suffix.lower())


def kind_of(path: Path) -> str | None:
    """What a file holds: ``"images"`` or ``"curves"``; None where nobody reads it."""
    suffix = path.suffix.lower()
    return next((r.kind for r in _readers().values() if suffix in r.suffixes and r.recognises(path)), None)


def read_tables(path: Path, sheet: str | int | None = None, limits: float = 1.0) -> list[Columns]:
    """Read every table of numbers of a file; one of an unknown ending is read as a text.

    Args:
        path: The file.
        sheet: Name or number of a sheet, where the file has several.
        limits: Factor on what the file may hold.

    Raises:
        Unusable: If the file cannot be used.
    """
    return _ask(path, ColumnReader, "text", lambda reader: list(reader.within(limits).tables(path, sheet)))


def read_columns(path: Path, sheet: str | int | None = None) -> Columns:
    """Read the columns of the longest table of a file; one of an unknown ending is read as a text.

    Raises:
        Unusable: If the file cannot be used.
    """
    return _ask(path, ColumnReader, "text", lambda reader: reader.read(path, sheet))


def picture_size(path: Path, limits: float = 1.0) -> tuple[int, int]:
    """(height, width) of a file's picture, from its header; one of an unknown ending is tried as a photograph.

    Raises:
        Unusable: If it is no picture, or a very large one.
    """
    return _ask(path, PixelReader, "photograph", lambda reader: reader.within(limits).size(path))


def read_pixels(path: Path, limits: float = 1.0) -> Pixels:
    """Read the picture of a file; one of an unknown ending is tried as a photograph.

    Raises:
        Unusable: If it is damaged or no picture.
    """
    return _ask(path, PixelReader, "photograph", lambda reader: reader.within(limits).read(path))


def _ask(path: Path, kind: type[Asked], otherwise: str, question: Callable[[Asked], Content]) -> Content:
    """Ask the reader of a file; a stranger's that fails costs no more than the file."""
    suffix, of_kind = path.suffix.lower(), {n: r for n, r in _readers().items() if isinstance(r, kind)}
    fitting = (name for name, reader in of_kind.items() if suffix in reader.suffixes and reader.recognises(path))
    name = next(fitting, otherwise)
    reader = of_kind[name]
    record = FORMATS.source(name)
    if record is None:
        return question(reader)
    try:
        return question(reader)
    except (PimaError, OSError, MemoryError):
        raise
    except Exception as error:  # a stranger's code
        raise Unusable(
            f"cannot be read by the reader {name!r} of {record.origin} ({type(error).__name__}: {error})"
        ) from error
