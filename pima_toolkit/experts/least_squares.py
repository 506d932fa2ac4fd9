r"""Bounded nonlinear least squares for many curves at once (eq. 17).

.. math:: \min_{\theta \in \mathrm{box}} \sum_n w_n \, (E(t_n; \theta) - y_n)^2

Levenberg-Marquardt with Marquardt's scaling, projected on the box: a parameter at a bound whose gradient points
outward is held for the step, the others move, and the trial point is clipped. The driver is compiled once per
installation and never per expert, which comes in as a first-class function over a whole curve
(:data:`~pima_toolkit.experts.codegen.CURVE`). Every row and every start is solved on its own, so an answer does not
depend on the number of threads or on its neighbours.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numba import boolean, float64, int64, njit, prange, types
from numba.core.errors import NumbaWarning
from numpy.typing import ArrayLike, NDArray

from ..errors import ShapeError
from .codegen import CURVE
from .parameters import Box
from .solution import Showable, Solution


class Solvable(Showable, Protocol):
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
        t: Shared grid, shape (T,), or one grid per row, shape (C, T).
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
    t = np.ascontiguousarray(t, dtype=np.float64)
    if t.shape not in {(T,), (C, T)}:
        raise ShapeError(f"t has the shape {t.shape}, expected ({T},) or ({C}, {T}) to go with y of shape {y.shape}")
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
    box = expert.box(t) if box is None else box
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

    cost, iterations, status = _run(
        _driver, expert.curve(), t.reshape(-1, T), y, w, start, box.lower, box.upper, free, max_iterations, tolerance
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
        t: Grids, shape (G, T).
        theta: Parameters, shape (R, P).

    Returns:
        Values, shape (R, G, T), and Jacobians, shape (R, G, T, P), in the expert's units.
    """
    R, P = theta.shape
    G, T = t.shape
    value, jacobian = np.empty((R, G, T)), np.empty((R, G, T, P))
    _run(_evaluator, expert.curve(), t, theta, value, jacobian)
    return value, jacobian


# --- compiled once per installation
# -------------------------------------------------------------------------------------------

_LOCK = threading.Lock()


def _run(build: Callable[[], Callable], *arguments: object) -> tuple:
    """Call a driver; one at a time, since not every threading layer of numba may be entered twice."""
    with _LOCK:
        return build()(*arguments)


@functools.cache
def _driver() -> Callable:
    outputs = types.Tuple((float64[:, ::1], int64[:, ::1], int64[:, ::1]))
    signature = outputs(
        CURVE,
        float64[:, ::1],
        float64[:, ::1],
        float64[:, ::1],
        float64[:, :, ::1],
        types.Array(float64, 1, "C", readonly=True),
        types.Array(float64, 1, "C", readonly=True),
        boolean[::1],
        int64,
        float64,
    )
    return _compile(signature, _solve_rows)


@functools.cache
def _evaluator() -> Callable:
    return _compile(
        types.void(CURVE, float64[:, ::1], float64[:, ::1], float64[:, :, ::1], float64[:, :, :, ::1]), _evaluate_rows
    )


def _compile(signature: object, function: Callable) -> Callable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        return njit([signature], parallel=True, cache=True)(function)


def _evaluate_rows(curve, t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled: see the signature in _evaluator
    G = t.shape[0]
    for q in prange(theta.shape[0] * G):
        r, g = q // G, q % G
        curve(t[g], theta[r], value[r, g], jacobian[r, g])


def _solve_rows(curve, t, y, w, theta, lower, upper, free, max_iterations, tolerance):  # noqa: ANN001, ANN202 - as above
    C, S, _ = theta.shape
    cost, iterations, status = np.empty((C, S)), np.empty((C, S), np.int64), np.empty((C, S), np.int64)
    for q in prange(C * S):
        c, s = q // S, q % S
        grid = t[c] if t.shape[0] > 1 else t[0]
        result = _solve_one(curve, grid, y[c], w[c], theta[c, s], lower, upper, free, max_iterations, tolerance)
        cost[c, s], iterations[c, s], status[c, s] = result
    return cost, iterations, status


@njit(cache=True)
def _solve_one(curve, t, y, w, theta, lower, upper, free, max_iterations, tolerance):  # noqa: ANN001, ANN202, C901 - as above
    """Levenberg-Marquardt of one row from one start; theta is moved in place. Returns cost, iterations, status."""
    P, T = theta.size, t.size
    A, L = np.empty((P, P)), np.zeros((P, P))
    gradient, step, trial = np.empty(P), np.empty(P), np.empty(P)
    moves = np.empty(P, np.bool_)
    f, J = np.empty(T), np.empty((T, P))
    total = 0.0
    for n in range(T):
        total += w[n] * y[n] * y[n]
    curve(t, theta, f, J)
    cost = _cost(f, y, w)
    if not np.isfinite(cost):
        return cost, 0, -1
    _normal_equations(f, J, y, w, A, gradient)
    damping, iterations = 1e-3, 0
    while iterations < max_iterations:
        # As good as exact: differences from here on are rounding.
        if cost <= 1e-31 * total:
            return cost, iterations, 1
        iterations += 1
        moving = False
        for i in range(P):
            outward = (theta[i] <= lower[i] and gradient[i] > 0.0) or (theta[i] >= upper[i] and gradient[i] < 0.0)
            moves[i] = free[i] and not outward and A[i, i] > 0.0
            # The gradient is zero when the residual is at right angles to the column: MINPACK's gtol.
            if moves[i] and abs(gradient[i]) > 1e-14 * np.sqrt(A[i, i] * cost):
                moving = True
        if not moving:
            return cost, iterations, 3
        accepted, status = False, 0
        for _ in range(40):
            if _damped_step(A, gradient, moves, damping, step, L):
                moved = 0.0
                for i in range(P):
                    trial[i] = min(max(theta[i] + step[i], lower[i]), upper[i]) if moves[i] else theta[i]
                    moved = max(moved, abs(trial[i] - theta[i]) / (abs(theta[i]) + 1e-300))
                curve(t, trial, f, J)
                new = _cost(f, y, w)
                if new < cost:
                    accepted = True
                    if cost - new <= tolerance * cost:
                        status = 1
                    damping = max(damping * 0.2, 1e-15)
                    break
                if moved <= 1e-12:
                    return cost, iterations, 2
            damping *= 5.0
        if not accepted:
            return cost, iterations, -4
        for i in range(P):
            theta[i] = trial[i]
        cost = new
        _normal_equations(f, J, y, w, A, gradient)
        if status > 0:
            return cost, iterations, status
    return cost, iterations, 0


@njit(cache=True)
def _cost(f, y, w):  # noqa: ANN001, ANN202 - compiled
    cost = 0.0
    for n in range(y.size):
        if w[n] > 0.0:
            cost += w[n] * (f[n] - y[n]) ** 2
    return cost


@njit(cache=True)
def _normal_equations(f, J, y, w, A, gradient):  # noqa: ANN001, ANN202 - compiled
    P = gradient.size
    for i in range(P):
        gradient[i] = 0.0
        for j in range(P):
            A[i, j] = 0.0
    for n in range(y.size):
        if w[n] > 0.0:
            r = f[n] - y[n]
            for i in range(P):
                a = w[n] * J[n, i]
                gradient[i] += a * r
                for j in range(i + 1):
                    A[i, j] += a * J[n, j]


@njit(cache=True)
def _damped_step(A, gradient, moves, damping, step, L):  # noqa: ANN001, ANN202 - compiled
    """Solve (A + damping diag A) step = -gradient by Cholesky over the moving parameters; False if not definite."""
    P = gradient.size
    for i in range(P):
        for j in range(i + 1):
            if moves[i] and moves[j]:
                s = A[i, j] * (1.0 + damping) if i == j else A[i, j]
            else:
                s = 1.0 if i == j else 0.0
            for k in range(j):
                s -= L[i, k] * L[j, k]
            if i == j:
                if not s > 0.0:
                    return False
                L[i, i] = np.sqrt(s)
            else:
                L[i, j] = s / L[j, j]
    for i in range(P):
        s = -gradient[i] if moves[i] else 0.0
        for k in range(i):
            s -= L[i, k] * step[k]
        step[i] = s / L[i, i]
    for i in range(P - 1, -1, -1):
        s = step[i]
        for k in range(i + 1, P):
            s -= L[k, i] * step[k]
        step[i] = s / L[i, i]
    return True
