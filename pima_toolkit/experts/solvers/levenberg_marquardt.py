r"""The compiled part of the solver: Levenberg-Marquardt over rows and starts, for any expert; see ``least_squares``.

A step minimises :math:`\lVert r + J\delta\rVert^2 + \lambda\lVert D\delta\rVert^2` by Householder factors of J, never
of :math:`J^T J`, whose condition is the square of J's. D holds the largest column norms met (Moré 1978), and
:math:`\lambda` follows the ratio of actual to predicted fall (Nielsen 1999). Narrow curved valleys are followed by half
the geodesic acceleration (Transtrum & Sethna 2012), which only fits of more than ten steps pay for. Parameters marked
linear are solved for at every trial point and not damped: variable projection (Golub & Pereyra 1973, Kaufman 1975).
Where the cost no longer tells two points apart, undamped steps go on as long as the gradient falls: the cost alone,
rounded at 1e-16 of itself, leaves parameters at 1e-8 of their errors at best, and further off where steps are slow.

The loops of the whole solver are here, compiled once per installation. Coordinates x are the parameters, or their
logarithms where ``kinds[2]`` says so; ``rows theta = target`` are further equations of the sum of squares (priors).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import boolean, float64, int64, njit, types

from ...compiling import compiled
from ..formulas.codegen import CURVE

#: Sums may be reordered; NaN and infinities stay what they are.
_SUMS = {"reassoc", "contract"}

#: Steps after which curved valleys are worth a second evaluation each, and where it is made as a share of the step.
_EASY, _PROBE = 10, 0.1
#: A step is bent only where the acceleration is shorter than this share of it.
_BEND = 0.75
#: Dampings tried per step, and undamped steps at the end.
_TRIALS, _POLISH = 40, 30


@functools.cache
def solver() -> Callable:
    """The loop over rows and starts."""
    two, three, kinds, whole = float64[:, ::1], float64[:, :, ::1], boolean[:, ::1], int64[:, ::1]
    inputs = (CURVE, two, two, two, three, two, kinds, three, two, int64, float64)
    return compiled([types.void(int64, int64, *inputs, two, whole, whole)], nogil=True)(_solve_rows)


def _solve_rows(begin, end, curve, t, y, w, x, bounds, kinds, rows, target, max_iterations, tolerance, cost, iterations, status):  # fmt: skip  # noqa: ANN001, ANN202, E501 - as above
    S = x.shape[1]
    for q in range(begin, end):
        c, s = q // S, q % S
        grid, root = t[c] if t.shape[0] > 1 else t[0], np.ones(y.shape[1] + target.shape[1])
        for n in range(y.shape[1]):
            root[n] = np.sqrt(w[c, n])
        problem = (grid, y[c], root, bounds[0], bounds[1], kinds[0], kinds[1], kinds[2], rows[c])
        result = _solve_one(curve, problem, target[c], x[c, s], max_iterations, tolerance)
        cost[c, s], iterations[c, s], status[c, s] = result


@njit
def _copy(a, b):  # noqa: ANN001, ANN202 - compiled; a[:] = b takes seconds to compile, for the sake of its errors
    """Put the vector b into a."""
    for n in range(a.size):
        a[n] = b[n]


@njit(fastmath=_SUMS)
def _factor(M, rows, columns, b):  # noqa: ANN001, ANN202 - compiled
    """Factors of the matrix whose columns are the rows of M, in place, R on and before its diagonal; b -> Q^T b."""
    for j in range(min(rows, columns)):
        size = 0.0
        for n in range(j, rows):
            size += M[j, n] * M[j, n]
        size = np.sqrt(size)
        if size == 0.0:
            continue
        if M[j, j] > 0.0:
            size = -size
        top = M[j, j] - size
        scale = -1.0 / (size * top)
        for k in range(j + 1, columns + 1):
            column = M[k] if k < columns else b
            s = top * column[j]
            for n in range(j + 1, rows):
                s += M[j, n] * column[n]
            s *= scale
            column[j] -= s * top
            for n in range(j + 1, rows):
                column[n] -= s * M[j, n]
        M[j, j] = size


@njit
def _back(M, columns, b):  # noqa: ANN001, ANN202 - compiled
    """Solve R x = b in place, R as :func:`_factor` left it in M; False where R is singular or not finite."""
    for k in range(columns - 1, -1, -1):
        for m in range(k + 1, columns):
            b[k] -= M[m, k] * b[m]
        if not abs(M[k, k]) > 1e-300:
            return False
        b[k] /= M[k, k]
    return True


@njit(fastmath=_SUMS)
def _evaluate(curve, problem, target, x, f, J, r):  # noqa: ANN001, ANN202 - compiled
    """Weighted residuals r (T + K,) and their derivatives J (T + K, P), unweighted, at x; returns the cost."""
    t, y, root, _, _, _, _, logs, rows = problem
    P, T = x.size, y.size
    own, slope = np.empty(P), np.empty(P)
    for j in range(P):
        own[j], slope[j] = x[j], 1.0
        if logs[j]:
            own[j] = np.exp(x[j])
            slope[j] = own[j]
    curve(t, own, f, J[:T])
    cost = 0.0
    for n in range(r.size):
        r[n] = root[n] * (f[n] - y[n]) if n < T and root[n] > 0.0 else 0.0
        if n >= T:
            r[n] = -target[n - T]
            for j in range(P):
                J[n, j] = rows[n - T, j]
                r[n] += rows[n - T, j] * own[j]
        for j in range(P):
            J[n, j] *= slope[j]
        cost += r[n] * r[n]
    return cost


@njit
def _columns(problem, J, chosen, M):  # noqa: ANN001, ANN202 - compiled
    """The weighted columns of the chosen parameters as rows of M; returns how many."""
    root, c = problem[2], 0
    for j in range(chosen.size):
        if chosen[j]:
            for n in range(root.size):
                M[c, n] = root[n] * J[n, j] if root[n] > 0.0 else 0.0
            c += 1
    return c


@njit
def _project(curve, problem, target, x, f, J, r, cost, M, b):  # noqa: ANN001, ANN202 - compiled
    """Put the linear parameters at their optimum, where that lies inside the bounds; returns the cost."""
    _, _, _, lower, upper, _, linear, _, _ = problem
    c = _columns(problem, J, linear, M)
    for n in range(r.size):
        b[n] = -r[n]
    _factor(M, r.size, c, b)
    if c == 0 or c > r.size or not _back(M, c, b):
        return cost
    for put in range(2):
        c = 0
        for j in range(x.size):
            if linear[j]:
                value = x[j] + b[c]
                if not (value >= lower[j] and value <= upper[j]):
                    return cost
                if put == 1:
                    x[j] = value
                c += 1
    return _evaluate(curve, problem, target, x, f, J, r)


@njit(fastmath=_SUMS)
def _linearise(problem, J, x, r, cost, M, b, q, gradient, norm, moves):  # noqa: ANN001, ANN202 - compiled
    """R in M and q = Q^T r over all parameters, the gradient, the columns' norms, and which parameters move.

    Returns whether any has a gradient: MINPACK's gtol, the residual is at right angles to the column.
    """
    _, _, _, lower, upper, free, _, _, _ = problem
    rows, moving = r.size, False
    for j in range(x.size):
        moves[j] = True
    _columns(problem, J, moves, M)
    for j in range(x.size):
        norm[j], gradient[j] = 0.0, 0.0
        for n in range(rows):
            norm[j] += M[j, n] * M[j, n]
            gradient[j] += M[j, n] * r[n]
        norm[j] = np.sqrt(norm[j])
        outward = (x[j] <= lower[j] and gradient[j] > 0.0) or (x[j] >= upper[j] and gradient[j] < 0.0)
        moves[j] = free[j] and not outward and norm[j] > 0.0
        moving |= moves[j] and abs(gradient[j]) > 1e-14 * norm[j] * np.sqrt(cost)
    _copy(b[:rows], r)
    _factor(M, rows, x.size, b)
    for j in range(x.size):
        q[j] = b[j] if j < rows else 0.0
    return moving


@njit
def _damped_step(M, q, scale, moves, step, S, b):  # noqa: ANN001, ANN202 - compiled
    """The step of the moving parameters for R in M and damping scale**2; False where it is not determined."""
    P, c = q.size, 0
    for j in range(P):
        b[j], b[P + j], step[j] = -q[j], 0.0, 0.0
        if moves[j]:
            for i in range(P):
                S[c, i] = M[j, i] if i <= j and i < M.shape[1] else 0.0
                S[c, P + i] = 0.0
            S[c, P + c] = scale[j]
            c += 1
    _factor(S, 2 * P, c, b)
    if not _back(S, c, b):
        return False
    c = 0
    for j in range(P):
        if moves[j]:
            step[j] = b[c]
            c += 1
    return True


@njit
def _bend(curve, problem, target, x, J, r, M, D, scale, moves, step, f2, J2, r2, S, b):  # noqa: ANN001, ANN202 - compiled
    """Add half the geodesic acceleration to the step where it is the smaller part."""
    P, lower, upper = x.size, problem[3], problem[4]
    probe, push = np.empty(P), np.zeros(P)
    for j in range(P):
        probe[j] = min(max(x[j] + _PROBE * step[j], lower[j]), upper[j])
    if not np.isfinite(_evaluate(curve, problem, target, probe, f2, J2, r2)):
        return
    root = problem[2]
    for n in range(root.size):
        along = 0.0
        for j in range(P):
            along += root[n] * J[n, j] * step[j] if root[n] > 0.0 else 0.0
        second = 2.0 / _PROBE * ((r2[n] - r[n]) / _PROBE - along)
        for j in range(P):
            push[j] += root[n] * J[n, j] * second if root[n] > 0.0 else 0.0
    # J^T s = R^T (Q^T s): one triangular solve turns the push into the right side of a step.
    for i in range(P):
        for k in range(i):
            push[i] -= M[i, k] * push[k]
        push[i] = push[i] / M[i, i] if i < M.shape[1] and M[i, i] != 0.0 else 0.0
    if _damped_step(M, push, scale, moves, probe, S, b):
        long, short = 0.0, 0.0
        for j in range(P):
            long += (D[j] * step[j]) ** 2
            short += (D[j] * probe[j]) ** 2
        if short <= _BEND**2 * long:
            for j in range(P):
                step[j] += 0.5 * probe[j]


@njit
def _advance(problem, x, step, moves, M, q, trial):  # noqa: ANN001, ANN202 - compiled
    """Put x + step, clipped, into trial; returns the largest relative move and the fall of the cost it promises."""
    lower, upper = problem[3], problem[4]
    moved, predicted = 0.0, 0.0
    for j in range(x.size):
        trial[j] = min(max(x[j] + step[j], lower[j]), upper[j]) if moves[j] else x[j]
        step[j] = trial[j] - x[j]
        moved = max(moved, abs(step[j]) / (abs(x[j]) + 1e-300))
    for i in range(min(x.size, M.shape[1])):
        along = 0.0
        for j in range(i, x.size):
            along += M[j, i] * step[j]
        predicted -= along * (2.0 * q[i] + along)
    return moved, predicted


@njit
def _polish(curve, problem, target, x, f, J, r, cost, M, S, b):  # noqa: ANN001, ANN202 - compiled
    """Undamped steps as long as the gradient, as the fall it promises, gets smaller; returns cost and steps."""
    P = x.size
    q, gradient, norm, none = np.empty(P), np.empty(P), np.empty(P), np.zeros(P)
    step, kept, moves = np.empty(P), np.empty(P), np.empty(P, np.bool_)
    _copy(kept, x)
    lowest, best = cost, np.inf
    for k in range(_POLISH):
        moving = _linearise(problem, J, x, r, cost, M, b, q, gradient, norm, moves)
        determined = moving and _damped_step(M, q, none, moves, step, S, b)
        _, promised = _advance(problem, x, step, moves, M, q, gradient) if determined else (0.0, 0.0)
        if not (abs(promised) < 0.9 * best and cost <= lowest * (1.0 + 1e-10)):
            _copy(x, kept)
            return lowest, k
        _copy(kept, x)
        lowest, best = min(cost, lowest), abs(promised)
        if not moving or not determined or best <= 1e-30 * cost:
            return lowest, k
        _copy(x, gradient)
        cost = _evaluate(curve, problem, target, x, f, J, r)
    _copy(x, kept)
    return lowest, _POLISH


@njit
def _solve_one(curve, problem, target, x, max_iterations, tolerance):  # noqa: ANN001, ANN202, C901 - as above
    """Levenberg-Marquardt of one row from one start; x is moved in place. Returns cost, iterations, status."""
    _, y, root, _, _, _, linear, _, _ = problem
    P, T = x.size, y.size
    rows = T + target.size
    M, M2, S, b = np.empty((P, rows)), np.empty((P, rows)), np.empty((P, 2 * P)), np.empty(max(rows, 2 * P))
    q, gradient, norm, D, scale = np.empty(P), np.empty(P), np.empty(P), np.zeros(P), np.empty(P)
    step, trial, moves = np.empty(P), np.empty(P), np.empty(P, np.bool_)
    f, J, r, J2, r2 = np.empty(T), np.empty((rows, P)), np.empty(rows), np.empty((rows, P)), np.empty(rows)
    total, projected = 0.0, False
    for n in range(T):
        total += (root[n] * y[n]) ** 2
    for j in range(P):
        projected |= linear[j]
    cost = _evaluate(curve, problem, target, x, f, J, r)
    if not np.isfinite(cost):
        return cost, 0, -1
    if projected:
        cost = _project(curve, problem, target, x, f, J, r, cost, M, b)
    damping, growth, iterations, status, still = 1e-3, 2.0, 0, 0, 0
    while iterations < max_iterations and status == 0:
        # As good as exact: differences from here on are rounding.
        if cost <= 1e-31 * total:
            return cost, iterations, 1
        if not _linearise(problem, J, x, r, cost, M, b, q, gradient, norm, moves):
            return cost, iterations, 3
        iterations += 1
        for _ in range(_TRIALS):
            for j in range(P):
                D[j] = max(D[j], norm[j])
                scale[j] = 0.0 if linear[j] else np.sqrt(damping) * D[j]
            moved, predicted, new = np.inf, np.inf, np.inf
            if _damped_step(M, q, scale, moves, step, S, b):
                if iterations > _EASY and not projected:
                    _bend(curve, problem, target, x, J, r, M, D, scale, moves, step, f, J2, r2, S, b)
                moved, predicted = _advance(problem, x, step, moves, M, q, trial)
                new = _evaluate(curve, problem, target, trial, f, J2, r2)
                if projected and np.isfinite(new):
                    new = _project(curve, problem, target, trial, f, J2, r2, new, M2, b)
            if new < cost or moved <= 1e-12 or 0.0 <= predicted <= 1e-15 * cost:
                break
            damping *= growth
            growth *= 2.0
        if not new < cost:
            status = 2 if moved <= 1e-12 or 0.0 <= predicted <= 1e-15 * cost else -4
            break
        # Twice, since one step may be short for its damping alone.
        still = still + 1 if cost - new <= tolerance * cost else 0
        status = 1 if still == 2 else 0
        ratio = (cost - new) / predicted if predicted > 0.0 else 0.5
        damping = max(damping * max(0.2, 1.0 - (2.0 * ratio - 1.0) ** 3), 1e-15)
        growth, cost = 2.0, new
        _copy(x, trial)
        _copy(r, r2)
        for j in range(P):
            _copy(J[:, j], J2[:, j])
    if status > 0:
        cost, steps = _polish(curve, problem, target, x, f, J, r, cost, M, S, b)
        iterations += steps
    return cost, iterations, status
