"""Curves as the solver sees them: one grid, a mean curve per cluster, and what of the cost no parameters change.

Exact in every case (EXPERTS.md §1): points measured at the same inputs are one point of their summed weight, whichever
specimens they belong to, whether these share a grid, have a few points missing, or have grids of their own that meet
now and then.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, ShapeError
from ..contract.inputs import Inputs, Named, packed, unpack, variable
from ..solvers.statistics import CurveStatistics

Array = NDArray[np.float64]


def responsibilities(weights: ArrayLike | None, shape: tuple[int, int], single: bool) -> tuple[Array, Array]:
    """Responsibilities (N, C) and weights per point (1, T) of what a person gave as weights.

    Raises:
        ExpertError: If they are negative or not finite.
        ShapeError: If their shape does not fit.
    """
    N, T = shape
    if weights is None:
        return np.ones((N, 1)), np.ones((1, T))
    w = np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise ExpertError("weights must be finite and not negative: use 0 for what should not count")
    if single and w.shape == (T,):
        return np.ones((1, 1)), w[None]
    if w.shape == (N,):
        return w[:, None], np.ones((1, T))
    if w.ndim == 2 and w.shape[0] == N and w.shape[1] >= 1:
        return w, np.ones((1, T))
    expected = f"({T},), one per point" if single else f"({N},), one per specimen, or ({N}, clusters)"
    raise ShapeError(f"weights have the shape {w.shape}, expected {expected}")


def precision(noise_std: ArrayLike, shape: tuple[int, int]) -> Array:
    """Weights of points of known noise, their inverse variance, (1, T) or (N, T).

    Raises:
        ExpertError: If a standard deviation is not above zero and finite.
        ShapeError: If they are not one number, one per point (T,), or one per point of each curve (N, T).
    """
    std = np.asarray(noise_std, dtype=np.float64)
    if not (np.isfinite(std).all() and (std > 0).all()):
        raise ExpertError("noise_std must be above zero and finite: it is the standard deviation of each point's noise")
    if std.shape not in {(), shape[1:], shape}:
        raise ShapeError(f"noise_std has the shape {std.shape}, expected one number, ({shape[1]},) or {shape}")
    return np.broadcast_to(std**-2, shape if std.shape == shape else (1, shape[1])).copy()


def reduce(expert: Named, t: Array, y: Array, weight: Array, gamma: Array) -> tuple[Array, Array, Array, Array]:
    """Sufficient statistics of curves.

    Args:
        expert: Whose inputs these are.
        t: Packed grid, (V T,) shared or (N, V T).
        y: Curves, (N, T), finite where the weight is above zero.
        weight: Of every point, (N, T), 0 where it does not count.
        gamma: Responsibilities, (N, C).

    Returns:
        One packed grid of T' points (V T',), mean curves (C, T'), their weights (C, T'), and the constant of the cost
        (C,).
    """
    if t.ndim == 1:
        parts = (torch.from_numpy(part) for part in (y, gamma, weight))
        statistics = CurveStatistics(gamma.shape[1], y.shape[1]).update(*parts)
        return t, statistics.mean.numpy(), statistics.weight.numpy(), statistics.constant.numpy()
    specimen, point = np.nonzero(weight > 0)
    inputs = np.stack([part[specimen, point] for part in unpack(t, len(expert.inputs))])
    grid, which = np.unique(inputs if len(inputs) > 1 else inputs[0], axis=-1, return_inverse=True)
    which, size = which.reshape(-1), grid.shape[-1]
    values = y[specimen, point]
    mean, total, constant = np.empty((gamma.shape[1], size)), np.empty((gamma.shape[1], size)), np.zeros(gamma.shape[1])
    for c in range(gamma.shape[1]):
        w = gamma[specimen, c] * weight[specimen, point]
        total[c] = np.bincount(which, w, size)
        mean[c] = np.bincount(which, w * values, size) / np.where(total[c] > 0, total[c], 1.0)
        constant[c] = w @ np.square(values - mean[c, which])
    return grid.reshape(-1), mean, total, constant


def prepare(expert: Named, t: Inputs, y: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Curves as rows without NaN, and weights that are 0 where there was one.

    Args:
        expert: Whose inputs these are.
        t: Inputs by name, or packed, shape (V T,) or (N, V T).
        y: Shape (T,) or (N, T).
        weights: None, or broadcastable to y.

    Returns:
        t packed as float64, y (N, T), weights (N, T).

    Raises:
        ShapeError: If the shapes do not fit, or t is not finite.
        ExpertError: If there are no points at all.
    """
    t = packed(expert, t, np.shape(y))
    rows = np.array(y, dtype=np.float64, ndmin=2)
    if rows.ndim != 2 or variable(expert, t).shape not in {rows.shape[1:], rows.shape}:
        raise ShapeError(
            f"y has the shape {np.shape(y)} and t {t.shape}: expected y (T,) or (N, T), and t (T,) or as y"
        )
    if rows.size == 0:
        raise ExpertError("there are no points to fit: y is empty")
    if not np.isfinite(t).all():
        raise ShapeError("t holds NaN or infinite values: repeat the last t where a curve is shorter, with y NaN there")
    try:
        w = (
            np.ones(rows.shape)
            if weights is None
            else np.array(np.broadcast_to(np.asarray(weights, dtype=np.float64), rows.shape))
        )
    except ValueError:
        raise ShapeError(f"weights have the shape {np.shape(weights)}, expected {rows.shape}") from None
    missing = ~np.isfinite(rows)
    rows[missing], w[missing] = 0.0, 0.0
    return t, rows, w
