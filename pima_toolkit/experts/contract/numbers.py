"""Numbers as people hand them in: masked arrays are respected, dates and what else is no number is refused."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError

Array = NDArray[np.float64]


def numbers(what: str, given: ArrayLike, masked: float = np.nan) -> Array:
    """Read an array of real numbers.

    Args:
        what: Its name in messages.
        given: Anything numpy takes for an array; a masked one too.
        masked: What stands where it is masked.

    Returns:
        A float64 array of its own.

    Raises:
        ExpertError: If it holds dates, durations, complex numbers or text, or its rows differ in length.
    """
    if isinstance(given, np.ma.MaskedArray):
        hidden = np.ma.getmaskarray(given)
        return np.where(hidden, masked, numbers(what, np.ma.getdata(given)))
    try:
        values = np.asarray(given)
    except ValueError:
        raise ExpertError(f"{what} has rows of different lengths: fill the shorter ones with NaN") from None
    if values.dtype.kind in "mM" or (values.dtype == object and _dated(values)):
        raise ExpertError(
            f"{what} holds dates or durations, and a law is of numbers: convert them, ({what} - {what}[0]) /"
            ' np.timedelta64(1, "s") for seconds'
        )
    if values.dtype.kind in "cUS":
        kind = "complex numbers" if values.dtype.kind == "c" else "text"
        raise ExpertError(f"{what} holds {kind}, expected real numbers")
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ExpertError(f"{what} holds values that are no numbers: expected real numbers, NaN where none") from None


def hidden_points(*given: ArrayLike) -> NDArray[np.bool_] | None:
    """Which points any of several arrays masks, broadcast together; None where none is masked."""
    masks = [np.ma.getmaskarray(one) for one in given if isinstance(one, np.ma.MaskedArray)]
    return np.logical_or.reduce(np.broadcast_arrays(*masks)) if masks else None


def _dated(values: NDArray[np.object_]) -> bool:
    return any(isinstance(value, date | timedelta | np.datetime64 | np.timedelta64) for value in values.flat)
