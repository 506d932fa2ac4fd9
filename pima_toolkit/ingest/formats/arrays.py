"""The head of a NumPy file: shape and type of what it announces, compared with what it holds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ...data.limits import check_limit
from ...data.reading_log import Unusable

#: Numbers of an array of columns.
MOST_NUMBERS = 50_000_000


def open_array(path: Path, most: int, what: str, limits: float, option: str) -> np.ndarray:
    """A NumPy array that stays on disk until its numbers are asked for.

    Args:
        path: The file.
        most: Numbers that it may hold.
        what: What they are, in the plural.
        limits: Factor on ``most``.
        option: How the user raises it.

    Raises:
        Unusable: If it is no array of numbers, is shorter than it announces, or holds more than ``most``.
    """
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0), (3, 0)):
                raise ValueError(f"version {version}")
            # The head of version 3 differs in its encoding alone, which the names of fields are written in.
            head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = head(file)
            begin = file.tell()
    except OSError:
        raise
    except Exception as error:  # numpy reads the head as a literal of Python, whose errors have no common base
        raise Unusable(f"is no NumPy array of numbers ({type(error).__name__}: {str(error)[:100]})") from error
    if kind.hasobject or kind.kind not in "biuf":
        raise Unusable(f"is no NumPy array of numbers, but of {kind}: save plain numbers")
    numbers = math.prod(shape)
    if begin + numbers * kind.itemsize > path.stat().st_size:
        raise Unusable(
            f"announces shape {shape} of {kind}, {numbers * kind.itemsize:,} bytes, and has {path.stat().st_size:,}: "
            "it was cut short or is damaged"
        )
    if min(shape, default=1) < 1:
        raise Unusable(f"has shape {shape}, so it holds no number")
    check_limit(numbers, most, what, Unusable, limits=limits, option=option)
    return np.load(path, mmap_mode="r", allow_pickle=False)
