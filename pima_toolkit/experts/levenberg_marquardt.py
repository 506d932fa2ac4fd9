"""The compiled part of the solver: Levenberg-Marquardt over rows and starts, for any expert; see ``least_squares``.

Compiled once per installation and kept in numba's cache: an expert comes in as a first-class function over a whole
curve (:data:`~pima_toolkit.experts.codegen.CURVE`), so a new one compiles in a fraction of a second and the driver not
again.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable

import numpy as np
from numba import boolean, float64, get_num_threads, int64, njit, prange, set_num_threads, types
from numba.core.errors import NumbaWarning

from .codegen import CURVE

# -------------------------------------------------------------------------------------------

_LOCK = threading.Lock()

#: Numbers in all Jacobians together from which threads pay.
_WORTH_THREADS = 200_000


def run(size: int, build: Callable[[], Callable], *arguments: object) -> tuple:
    """Call a driver; one at a time, since not every threading layer of numba may be entered twice.

    Small problems run on one thread: waking the others costs more, on a busy machine milliseconds.

    Args:
        size: Numbers in all Jacobians together.
        build: :func:`solver` or :func:`evaluator`.
        arguments: What the driver takes.
    """
    with _LOCK:
        threads = get_num_threads()
        set_num_threads(threads if size > _WORTH_THREADS else 1)
        try:
            return build()(*arguments)
        finally:
            set_num_threads(threads)


@functools.cache
def solver() -> Callable:
    """The driver of many rows and starts."""
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
    return compile_driver(signature, _solve_rows)


@functools.cache
def evaluator() -> Callable:
    """The driver of values and Jacobians."""
    return compile_driver(
        types.void(CURVE, float64[:, ::1], float64[:, ::1], float64[:, :, ::1], float64[:, :, :, ::1]), _evaluate_rows
    )


def compile_driver(signature: object, function: Callable) -> Callable:
    """Compile a driver, with the functions it calls, from numba's cache where there is one to write into."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        try:
            return njit([signature], parallel=True, cache=True)(function)
        except Exception:  # noqa: BLE001 - no folder for a cache, or a damaged one; a mistake of our own is raised again
            return njit([signature], parallel=True)(function)


def _evaluate_rows(curve, t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled: see the signature in evaluator
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


@njit
def _solve_one(curve, t, y, w, theta, lower, upper, free, max_iterations, tolerance):  # noqa: ANN001, ANN202, C901 - as above
    """Levenberg-Marquardt of one row from one start; theta is moved in place. Returns cost, iterations, status."""
    P, T = theta.size, y.size
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


@njit
def _cost(f, y, w):  # noqa: ANN001, ANN202 - compiled
    cost = 0.0
    for n in range(y.size):
        if w[n] > 0.0:
            cost += w[n] * (f[n] - y[n]) ** 2
    return cost


@njit
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


@njit
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
