"""The inputs of an expert: its independent variable, and covariates such as a temperature or a strain rate.

A covariate is a further named input of the formula. Usually it is one number per specimen; in a fit of curves it may
also vary along the curve, and then the expert has several independent variables. Inside the toolkit a grid of V inputs
of T points is *packed*: its V rows one after another along the last axis, (V T,) shared or (N, V T) one per specimen.
With one input that is the grid itself, so experts without covariates see no difference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ShapeError
from .numbers import numbers

Array = NDArray[np.float64]
Rows = TypeVar("Rows", Array, Tensor)

#: What a person may give as the inputs of an expert: the independent variable alone, or every input by name.
Inputs = ArrayLike | Mapping[str, ArrayLike]


class NamedInputs(ABC):
    """Something with named inputs, the independent variable first: a law."""

    name: str

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """The independent variable, then the covariates."""


def pack(expert: NamedInputs, given: Inputs, shape: tuple[int, ...] | None = None) -> Array:
    """Pack the inputs of an expert into one grid.

    Args:
        expert: Its ``inputs`` name what is needed, the independent variable first.
        given: The inputs by name, each (T,) along the curve, (N, T), one per specimen (N,) or (N, 1), or one number;
            for an expert without covariates the independent variable alone will do.
        shape: Of the curves, (T,) or (N, T); without it 1-D inputs as long as the independent variable lie along it.

    Returns:
        Float64, shape (V T,) where all specimens have the same inputs, else (N, V T). The independent variable alone
        comes back as it is, (T,) or (N, T).

    Raises:
        ShapeError: If an input is missing, unknown, not finite, of a shape that does not fit, or of length N = T, so
            that it could be meant either way.
    """
    names = expert.inputs
    values = dict(given) if isinstance(given, Mapping) else {names[0]: given}
    missing, unknown = [n for n in names if n not in values], [str(n) for n in values if n not in names]
    if missing or unknown:
        wrong = [f"{', '.join(missing)} missing"] if missing else []
        wrong += [f"{', '.join(unknown)} unknown"] if unknown else []
        needed = ", ".join(f"{name!r}: ..." for name in names)
        raise ShapeError(f"expert {expert.name!r} needs the inputs {{{needed}}} ({'; '.join(wrong)})")
    t = np.require(numbers(names[0], values[names[0]]), np.float64, ["C", "W"])
    if len(names) == 1:
        return t
    if t.ndim not in (1, 2) or t.shape[-1] == 0:
        raise ShapeError(f"the input {names[0]!r} has the shape {t.shape}, expected (T,) or (specimen, T)")
    rows, points = (None, t.shape[-1]) if shape is None else (1, *shape)[-2:]
    parts = [_laid_out(name, values[name], rows, points, variable=name == names[0]) for name in names]
    try:
        together = np.broadcast_shapes((rows or 1, points), *(part.shape for part in parts))
    except ValueError:
        shapes = ", ".join(f"{name!r} {np.shape(values[name])}" for name in names)
        raise ShapeError(f"the inputs are not of the same specimens: {shapes}") from None
    whole = np.concatenate([np.broadcast_to(part, together) for part in parts], axis=1)
    return whole[0].copy() if (whole == whole[:1]).all() else whole


def _laid_out(name: str, value: ArrayLike, rows: int | None, points: int, *, variable: bool) -> Array:
    """Lay out one input of ``rows`` specimens (None: any number) and ``points`` points, as (1 or N, 1 or T)."""
    value = numbers(name, value)
    if not np.isfinite(value).all():
        raise ShapeError(
            f"the input {name!r} holds NaN or infinite values: leave those specimens out; where a curve is shorter,"
            f" repeat its last point with y NaN there"
        )
    if value.ndim == 1 and value.size == points == rows and points > 1 and not variable:
        raise ShapeError(
            f"the input {name!r} has {points} values for {points} specimens of {points} points: give it as"
            f" ({rows}, 1), one per specimen, or as (1, {points}), along the curve"
        )
    along = variable or value.shape == (points,)
    laid = value if value.ndim == 2 else value.reshape((1, -1) if along else (-1, 1))
    widths, heights = (points,) if variable else (1, points), None if rows is None else (1, rows)
    if value.ndim > 2 or laid.shape[1] not in widths or (heights and laid.shape[0] not in heights):
        count = "specimen" if rows is None else rows
        kinds = f"({points},) or ({count}, {points})" + ("" if variable else f", ({count},), or one number")
        raise ShapeError(f"the input {name!r} has the shape {value.shape}: expected {kinds}")
    return laid


def packed(expert: NamedInputs, given: Inputs, shape: tuple[int, ...] | None = None) -> Array:
    """Pack inputs by name, or take a grid that is packed already: a float64 array, C-contiguous, writable.

    Raises:
        ShapeError: As :func:`pack`; or if the length of an array is no multiple of the number of inputs.
    """
    if isinstance(given, Mapping):
        return pack(expert, given, shape)
    t = np.require(
        numbers(expert.inputs[0], given), np.float64, ["C", "W"]
    )  # the compiled loop takes no read-only arrays
    if t.ndim == 0 or t.shape[-1] % len(expert.inputs):
        raise ShapeError(
            f"expert {expert.name!r} has {len(expert.inputs)} inputs ({', '.join(expert.inputs)}), but the grid has the"
            f" shape {t.shape}: give them by name, {{{expert.inputs[0]!r}: ..., ...}}"
        )
    return t


def unpack(t: Rows, count: int) -> tuple[Rows, ...]:
    """Take a packed grid (..., V T) apart into its V inputs: views (..., T), numpy or torch."""
    points = t.shape[-1] // count
    return tuple(t[..., v * points : (v + 1) * points] for v in range(count))


def by_name(inputs: Sequence[str], t: Rows) -> dict[str, Rows]:
    """Take a packed grid (..., V T) apart into its inputs by name, views (..., T), numpy or torch.

    Args:
        inputs: Names of the V inputs, as a law has them.
        t: Packed grid.
    """
    return dict(zip(inputs, unpack(t, len(inputs)), strict=True))


def take_inputs(names: Sequence[str], t: Array, wanted: Sequence[str]) -> Array:
    """Pack some of the inputs of a packed grid anew.

    Args:
        names: Names of the V inputs of ``t``.
        t: Packed grid, (V T,) or (N, V T).
        wanted: Which of them, in the order they are wanted in.
    """
    there = by_name(names, t)
    return np.concatenate([there[name] for name in wanted], axis=-1)


def with_covariates(t: Array, covariates: Array | None) -> Array:
    """Pack a grid with one number per specimen and covariate: a packed grid per specimen.

    Args:
        t: Independent variable, shape (T,) or (N, T).
        covariates: Shape (N, V - 1), or None.

    Returns:
        Shape (N, V T); t itself where there are no covariates.
    """
    if covariates is None or covariates.shape[1] == 0:
        return t
    own = np.broadcast_to(t, (len(covariates), t.shape[-1]))
    return np.concatenate([own, np.repeat(covariates, t.shape[-1], axis=1)], axis=1)


def variable(expert: NamedInputs, t: Array) -> Array:
    """Independent variable of a packed grid, without the covariates, (..., T)."""
    return t[..., : t.shape[-1] // len(expert.inputs)]
