"""Every error the toolkit raises on purpose, each also a standard kind.

A message says what happened, what was expected, and what to do.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class PimaError(Exception):
    """Base of all errors raised on purpose by pima_toolkit."""


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
    """Something a careful person would want to know."""


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
