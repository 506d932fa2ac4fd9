"""Every error the toolkit raises on purpose, each also a standard kind.

A message says what happened, what was expected, and what to do.
"""

from __future__ import annotations

import importlib
import re
import traceback
from types import ModuleType

#: Signs that steer a terminal or turn the direction of writing, and halves of signs that no terminal can print; those
#: that break a line or part words stand apart.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKING = re.compile("[\t\n\u2028\u2029]")


def printable(text: str, *, line: bool = False) -> str:
    """A text with what would steer a terminal written out: names of files may hold anything, ESC becomes its number.

    Args:
        text: Any text.
        line: Whether it is to stay on one line: tabs and line breaks are written out too.
    """
    text = _STEERING.sub(_written_out, text)
    return _BREAKING.sub(_written_out, text) if line else text


def encodable(text: str) -> str:
    """A text that any file can hold: bytes of a file's name that are no UTF-8 are written out by number."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("ascii", "backslashreplace").decode("ascii") if found[0] > "\x7f" else ascii(found[0])[1:-1]


class PimaError(Exception):
    """Base of all errors raised on purpose by pima_toolkit; its message can be printed anywhere."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


def in_own_code(error: BaseException) -> str:
    """An error of a user's or a stranger's code within a sentence: what it is, and where it was raised.

    Args:
        error: As caught.

    Returns:
        ``"KeyError: 'tau' (relaxation.py, line 12)"``.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error)[:300]}{place}"


class DataError(PimaError, ValueError):
    """The data cannot be used as they are."""


class ShapeError(PimaError, ValueError):
    """Arrays do not fit together."""


class OptionError(PimaError, ValueError):
    """An option is misspelt or out of range."""


class ExpertError(PimaError, ValueError):
    """A physics expert is wrong, or cannot be found."""


class FormulaError(ExpertError):
    """A formula's text cannot be read; ``position`` is the offending character (0-based) or None."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class PluginError(ExpertError):
    """A plugin is broken, or cannot be loaded; an ExpertError, since plugins once gave nothing but experts."""


class TrainingError(PimaError, RuntimeError):
    """Training cannot start, go on, or be resumed."""


class FileFormatError(PimaError, ValueError):
    """A file is not what it should be."""


class StorageError(PimaError, OSError):
    """A file cannot be written: the disk is full, the folder is read-only, or another process works in it."""


class MissingDependency(PimaError, ImportError):
    """An optional library is not installed."""


class PimaWarning(UserWarning):
    """Something a careful person would want to know; it can be printed anywhere."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


class PluginWarning(PimaWarning):
    """A plugin was left out."""


#: Import names whose distribution is called something else.
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "charset_normalizer": "charset-normalizer"}


def require(module: str, feature: str) -> ModuleType:
    """Import an optional library where it is used.

    Args:
        module: Import name, dots allowed, such as ``"matplotlib.figure"``.
        feature: What needs it, as the sentence's subject: ``"plots"``.

    Raises:
        MissingDependency: If it is not installed; the message holds the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        name = _DISTRIBUTIONS.get(top, top)
        raise MissingDependency(
            f"{feature} need the library {name!r}, which is not installed: pip install {name}"
        ) from None
