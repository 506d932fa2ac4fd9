"""A fit as a person asks for it: checked input, one row per cluster, errors between curves (EXPERTS.md §1, §3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..errors import ExpertError, ShapeError
from .inputs import Inputs, pack, unpack, variable
from .intervals import Measurements
from .least_squares import solve
from .parameters import Box
from .search import search
from .solution import Solution
from .starting import Projectable
from .statistics import CurveStatistics
from .uncertainty import inverse_information, sandwich

Array = NDArray[np.float64]


def fit(
    expert: Projectable,
    t: Inputs,
    y: ArrayLike,
    weights: ArrayLike | None,
    start: ArrayLike | Mapping[str, float] | None,
    fixed: Mapping[str, float] | None,
    *,
    y_unit: str | None,
    t_unit: str | None,
) -> Solution:
    """Fit an expert to curves; the arguments are those of :meth:`~pima_toolkit.experts.expert.Expert.fit`."""
    y_unit = y_unit or str(getattr(y, "attrs", {}).get("units", "1"))
    along = t.get(expert.t) if isinstance(t, Mapping) else t
    t_unit = t_unit or str(getattr(along, "attrs", {}).get("units", "1"))
    single = np.ndim(y) == 1
    y = np.array(y, dtype=np.float64, ndmin=2)
    t = pack(expert, t, y.shape)
    if y.ndim != 2 or variable(expert, t).shape not in {y.shape[1:], y.shape}:
        raise ShapeError(
            f"y has the shape {y.shape} and t {t.shape}: expected y (T,) or (specimen, T), and t (T,) or as y"
        )
    if not np.isfinite(t).all():
        raise ShapeError("t holds NaN or infinite values: repeat the last t where a curve is shorter, with y NaN there")
    if np.isinf(y).any():
        raise ExpertError("y holds infinite values: use NaN where a point was not measured")
    gamma, points = _weights(weights, y.shape, single)
    observed = np.isfinite(y) & (points > 0)
    _check_amount(expert, observed, gamma, fixed or {})

    solution, reduced = _rows(expert, t, y, observed, points, fixed or {}, gamma, start)
    data = Measurements(
        t=t,
        y=np.where(observed, y, 0.0),
        observed=observed,
        gamma=gamma,
        points=points,
        single=single,
        **reduced,
        again=lambda weights, begin: _rows(expert, t, y, observed, points, fixed or {}, weights, begin)[0],
    )
    return replace(_with_errors(solution, data), y_unit=y_unit, t_unit=t_unit, data=data)


def _rows(
    expert: Projectable,
    t: Array,
    y: Array,
    observed: NDArray[np.bool_],
    points: Array,
    fixed: Mapping[str, float],
    gamma: Array,
    start: ArrayLike | Mapping[str, float] | None,
) -> tuple[Solution, dict[str, Array | Box]]:
    """One fit per column of gamma, without errors; and the reduced curves it is a fit of."""
    grid, mean, weight, constant = _reduce(expert, t, y, observed, gamma, points)
    box = expert.box(variable(expert, grid))
    held = _held(expert, fixed)
    starts = _starts(expert, grid, mean, weight, start, box, held)
    for name, value in fixed.items():
        starts[..., _number(expert, name)] = float(value)
    solution = solve(expert, grid, mean, weight, starts, box, fixed=held, constant=constant, project=True)
    return solution, {"grid": grid, "mean": mean, "weight": weight, "constant": constant, "box": box}


def _weights(weights: ArrayLike | None, shape: tuple[int, ...], single: bool) -> tuple[Array, Array]:
    """Responsibilities (N, C) and weights per point (1, T)."""
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


def _check_amount(expert: Projectable, observed: NDArray[np.bool_], gamma: Array, fixed: Mapping[str, float]) -> None:
    if not observed.any():
        raise ExpertError("there is nothing to fit: no point of y is both finite and of a weight above zero")
    empty = np.flatnonzero(gamma.T @ observed.sum(1) == 0)
    if empty.size:
        raise ExpertError(
            f"cluster {empty[0]} has no data: all its weights are zero; leave the cluster out, or give it a specimen"
        )
    needed = len(expert.parameters) - len(fixed)
    for c in range(gamma.shape[1]):
        count = int(observed[gamma[:, c] > 0].sum())
        if count < needed:
            raise ExpertError(
                f"expert {expert.name!r} has {needed} free parameters but only {count} points were measured:"
                f" measure more, or hold a"
                " parameter by fixed={name: value}"
            )


def _reduce(
    expert: Projectable, t: Array, y: Array, observed: NDArray[np.bool_], gamma: Array, points: Array
) -> tuple[Array, Array, Array, Array]:
    """One packed grid of T' points, the mean curves (C, T'), their weights (C, T') and the constant of the cost (C,).

    Specimens of the same grid and covariates, usually all of them or those of one test condition, are reduced to their
    mean curve exactly; where hardly any two share one, every measured point stays.
    """
    if t.ndim == 1:
        grids, which = t[None], np.zeros(len(y), dtype=np.int64)
    else:
        grids, which = np.unique(t, axis=0, return_inverse=True)
        which = which.reshape(-1)
    if t.ndim == 2 and 4 * len(grids) > len(t):
        inputs = [part[observed] for part in unpack(t, len(expert.inputs))]
        order = np.argsort(inputs[0], kind="stable")
        specimen = np.nonzero(observed)[0][order]
        return (
            np.concatenate([part[order] for part in inputs]),
            np.tile(y[observed][order], (gamma.shape[1], 1)),
            np.ascontiguousarray(gamma[specimen].T),
            np.zeros(gamma.shape[1]),
        )
    groups = []
    for g in range(len(grids)):
        same = which == g
        parts = (torch.from_numpy(part[same]) for part in (y, gamma, observed))
        groups.append(CurveStatistics(gamma.shape[1], y.shape[1]).update(*parts))
    mean, weight = (np.concatenate([getattr(g, what).numpy() for g in groups], 1) for what in ("mean", "weight"))
    weight = weight * np.tile(points, len(grids))
    scatter = sum(g.constant.numpy() for g in groups) if (points == 1).all() else np.zeros(gamma.shape[1])
    return np.concatenate(unpack(grids, len(expert.inputs)), axis=None), mean, weight, scatter


def _number(expert: Projectable, name: str) -> int:
    names = [p.name for p in expert.parameters]
    if name not in names:
        raise ExpertError(f"expert {expert.name!r} has no fitted parameter {name!r}; it has {', '.join(names)}")
    return names.index(name)


def _held(expert: Projectable, fixed: Mapping[str, float]) -> NDArray[np.bool_]:
    held = np.zeros(len(expert.parameters), dtype=bool)
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise ExpertError(f"parameter {name!r} cannot be held at {value}: give a finite number")
        held[_number(expert, name)] = True
    return held


def _starts(
    expert: Projectable,
    grid: Array,
    mean: Array,
    weight: Array,
    start: ArrayLike | Mapping[str, float] | None,
    box: Box,
    held: NDArray[np.bool_],
) -> Array:
    C = len(mean)
    P = len(expert.parameters)
    if start is None:
        near = expert.starts(grid, mean, weight, 8)
        return near if expert.guesses else np.concatenate([near, search(expert, grid, mean, weight, box, held)], axis=1)
    if isinstance(start, Mapping):
        starts = expert.starts(grid, mean, weight, 1)
        for name, value in start.items():
            starts[..., _number(expert, name)] = float(value)
    else:
        try:
            starts = np.array(np.broadcast_to(np.asarray(start, dtype=np.float64), (C, P)))[:, None]
        except ValueError:
            raise ShapeError(f"start has the shape {np.shape(start)}, expected ({P},) or ({C}, {P})") from None
    outside = ~((starts >= box.lower) & (starts <= box.upper))
    if outside.any():
        c, _, i = np.argwhere(outside)[0]
        raise ExpertError(
            f"the start {starts[c, 0, i]:g} of parameter {expert.parameters[i].name!r} is outside its bounds"
            f" {box.lower[i]:g} to"
            f" {box.upper[i]:g}: start inside, or leave start out"
        )
    return starts


def _with_errors(solution: Solution, data: Measurements) -> Solution:
    """Add covariances: naive, and between curves where there are several."""
    C, P = solution.parameters.shape
    free = ~(solution.at_bound | solution.fixed)
    naive, robust = np.zeros((C, P, P)), np.zeros((C, P, P))
    mask, gamma = data.observed * data.points, data.gamma
    for c in range(C):
        value, jacobian = solution.expert.value_and_jacobian(data.t, solution.parameters[c])
        if data.t.ndim == 1:
            weighted = np.sqrt(gamma[:, c] @ mask)[:, None] * jacobian
            scores = (mask * (data.y - value)) @ jacobian
        else:
            weighted = (np.sqrt(mask * gamma[:, c : c + 1])[..., None] * jacobian).reshape(-1, P)
            scores = np.einsum("nt,nt,ntp->np", mask, data.y - value, jacobian)
        inverse, _ = inverse_information(weighted, free[c])
        count = data.count[c]
        residual = (solution.cost[c] + data.constant[c]) / max(count - free[c].sum(), 1e-300)
        naive[c] = np.where(inverse != 0, inverse * residual if count > free[c].sum() else np.inf, 0.0)
        robust[c] = naive[c] if data.single else sandwich(inverse, scores, gamma[:, c])
    return replace(solution, covariance=robust, naive_covariance=naive)
