r"""Bounded nonlinear least squares for many curves at once (eq. 17).

.. math:: \min_{\theta \in \mathrm{box}} \sum_n w_n \, (E(t_n; \theta) - y_n)^2

Levenberg-Marquardt with Marquardt's scaling, projected on the box: a parameter at a bound whose gradient points
outward is held for the step, the others move, and the trial point is clipped. The driver is compiled once per
installation and never per expert, which comes in as a first-class function over a whole curve
(:data:`~pima_toolkit.experts.codegen.CURVE`). Every row and every start is solved on its own, so an answer does not
depend on the number of threads or on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ShapeError
from .inputs import Named, packed, variable
from .levenberg_marquardt import evaluator, run, solver
from .parameters import Box
from .solution import Showable, Solution


class Solvable(Named, Showable, Protocol):
    """What the solver needs of an expert."""

    def curve(self) -> Callable[..., None]:
        """The compiled curve."""

    def box(self, t: NDArray[np.float64]) -> Box:
        """Bounds on the grid."""

    def starts(
        self, t: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64] | None, count: int
    ) -> NDArray:
        """Starting points."""


def solve(
    expert: Solvable,
    t: ArrayLike,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    start: ArrayLike | None = None,
    box: Box | None = None,
    *,
    fixed: Sequence[bool] | None = None,
    constant: ArrayLike | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-12,
) -> Solution:
    """Fit an expert to every row.

    Args:
        expert: The physics.
        t: Shared grid, shape (T,), or one grid per row, shape (C, T); packed where the expert has covariates.
        y: Curves, shape (C, T); NaN counts as weight zero.
        weights: Weights of the squares, shape (C, T) or broadcastable to it, not negative; all ones by default.
        start: Starting points, shape (C, S, P), clipped to the box; the expert's own by default.
        box: Bounds; the expert's own on this grid by default.
        fixed: Which parameters keep their starting values, shape (P,); none by default.
        constant: Part of each row's sum of squares that no parameters change (``CurveStatistics.constant``), shape
            (C,): it says how small a difference in cost matters when starts are compared.
        max_iterations: Limit per start.
        tolerance: Relative change of the cost that ends a start.

    Returns:
        The best of the starts of every row. Rows without data keep their first start.

    Raises:
        ShapeError: If the arrays do not fit together, or weights are negative or not finite.

    Source: Trask et al. 2022, eq. (17); Marquardt 1963 with gradient projection.
    """
    y = np.array(y, dtype=np.float64, ndmin=2)
    C, T = y.shape
    t = packed(expert, t)
    size = len(expert.inputs) * T
    if t.shape not in {(size,), (C, size)}:
        raise ShapeError(
            f"t has the shape {t.shape}, expected ({size},) or ({C}, {size}) to go with y of shape {y.shape}"
        )
    if not np.isfinite(t).all():
        raise ShapeError("t holds NaN or infinite values: repeat the last t where a curve is shorter, with weight zero")
    w = np.ones((C, T)) if weights is None else np.asarray(weights, dtype=np.float64)
    try:
        w = np.array(np.broadcast_to(w, (C, T)))
    except ValueError:
        raise ShapeError(f"weights have the shape {w.shape}, expected {(C, T)} as y") from None
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise ShapeError("weights must be finite and not negative")
    missing = ~np.isfinite(y)
    w[missing], y[missing] = 0.0, 0.0
    box = expert.box(variable(expert, t)) if box is None else box
    P = len(expert.parameters)
    if start is None:
        start = expert.starts(t, np.where(missing, np.nan, y), w, 8)
    start = np.array(start, dtype=np.float64)
    if start.ndim != 3 or start.shape[0] != C or start.shape[1] < 1 or start.shape[2] != P:
        raise ShapeError(f"start has the shape {start.shape}, expected ({C}, starts, {P})")
    if box.lower.shape != (P,):
        raise ShapeError(f"the box has {box.lower.size} parameters, expert {expert.name!r} has {P}")
    free = np.ones(P, dtype=bool) if fixed is None else ~np.asarray(fixed, dtype=bool)
    if free.shape != (P,):
        raise ShapeError(f"fixed has the shape {free.shape}, expected ({P},)")
    start[..., free] = np.clip(start[..., free], box.lower[free], box.upper[free])

    cost, iterations, status = run(
        start.size * T,
        solver,
        expert.curve(),
        t.reshape(-1, size),
        y,
        w,
        start,
        box.lower,
        box.upper,
        free,
        max_iterations,
        tolerance,
    )
    known = np.zeros(C) if constant is None else np.maximum(np.asarray(constant, dtype=np.float64).reshape(-1), 0.0)
    if known.shape != (C,):
        raise ShapeError(f"constant has the shape {np.shape(constant)}, expected ({C},)")
    blur = 1e-3 * known + 1e-9 * np.sum(w * y * y, axis=1)
    return _choose(expert, start, cost, iterations, status, blur, w, free, box)


def _choose(
    expert: Solvable,
    theta: NDArray[np.float64],
    cost: NDArray[np.float64],
    iterations: NDArray[np.int64],
    status: NDArray[np.int64],
    blur: NDArray[np.float64],
    w: NDArray[np.float64],
    free: NDArray[np.bool_],
    box: Box,
) -> Solution:
    """The best start of every row, and how many agree with it."""
    rows = np.arange(cost.shape[0])
    points = np.count_nonzero(w > 0, axis=1)
    finite = np.where(np.isfinite(cost), cost, np.inf)
    best = np.argmin(finite, axis=1)
    lowest = finite[rows, best]
    # Within a thousandth of the cost: the tiny dents a kink makes between two grid points are no different optimum.
    agreement = np.mean(finite <= (lowest * (1 + 1e-3) + blur)[:, None], axis=1)
    code = status[rows, best]
    code = np.where((points < free.sum()) & (code >= 0), -3, code)
    empty = points == 0
    code[empty], best[empty], agreement[empty], lowest[empty] = -2, 0, 1.0, 0.0
    agreement[~np.isfinite(lowest)] = 0.0
    chosen = theta[rows, best]
    return Solution(expert, chosen, lowest, code, iterations[rows, best], agreement, box.at_bound(chosen) & free, ~free)


def evaluate(
    expert: Solvable, t: NDArray[np.float64], theta: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and Jacobians on every grid for every parameter vector.

    Args:
        expert: The physics.
        t: Packed grids, shape (G, V T).
        theta: Parameters, shape (R, P).

    Returns:
        Values, shape (R, G, T), and Jacobians, shape (R, G, T, P), in the expert's units.
    """
    R, P = theta.shape
    G, T = t.shape[0], t.shape[1] // len(expert.inputs)
    value, jacobian = np.empty((R, G, T)), np.empty((R, G, T, P))
    run(jacobian.size, evaluator, expert.curve(), t, theta, value, jacobian)
    return value, jacobian
