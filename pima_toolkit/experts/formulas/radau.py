r"""A system of differential equations as a compiled curve: implicit Runge-Kutta steps with forward sensitivities.

The method is Radau IIA of three stages: order 5, L-stable, so that stiff systems need no other one. With the stages
:math:`Y_i = y + Z_i` a step solves

.. math:: Z_i = h \sum_j a_{ij}\, f(t + c_j h,\; Y_j, \theta), \qquad y_{new} = y + Z_3

by Newton's method with the exact derivative of :math:`f` at every stage. The sensitivities :math:`S = dy/d\theta`
follow from the derivative of the same equations, by the matrix that Newton's last iteration has factored,

.. math:: (\delta_{ij} I - h a_{ij} J_j)\, dZ_j = h \sum_j a_{ij}\, (J_j S + \partial f_j / \partial\theta),

so that they are those of the values as computed, and no second derivatives are needed. Steps end at every point of the
grid and at every event: measured inputs are straight between points, and a right-hand side with kinks is integrated
piece by piece, each piece seen from its inside. Where the right-hand side jumps at an event whose time depends on
parameters, the sensitivities jump by :math:`(f_- - f_+)\, d\tau/d\theta`.

Compiled once per installation: the equations come in as first-class functions over one point (:data:`POINT`), written
by ``codegen``.

Source: Hairer & Wanner 1996, Solving Ordinary Differential Equations II, sections IV.5 and IV.8 (method, error
estimate, extrapolated start of Newton's iteration).
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numba import float64, int64, njit, types, void
from numba.core.ccallback import CFunc

from ...compiling import callback

#: Signature of a function over one point: ``(point (V,), z (n + P,), value (m,), jacobian (m, n + P))``, the last two
#: written into; the point holds the V inputs, z the n states and then the P parameters.
POINT = types.FunctionType(void(float64[::1], float64[::1], float64[::1], float64[:, ::1]))

_ROOT = math.sqrt(6.0)
_EPSILON, _TINY = float(np.finfo(np.float64).eps), 1e-300
_C = np.array([(4 - _ROOT) / 10, (4 + _ROOT) / 10, 1.0])
_A = np.array(
    [
        [(88 - 7 * _ROOT) / 360, (296 - 169 * _ROOT) / 1800, (-2 + 3 * _ROOT) / 225],
        [(296 + 169 * _ROOT) / 1800, (88 + 7 * _ROOT) / 360, (-2 - 3 * _ROOT) / 225],
        [(16 - _ROOT) / 36, (16 + _ROOT) / 36, 1 / 9],
    ]
)
#: Of the error estimate: weights of the stages, and the real eigenvalue of the inverse of A.
_E = np.array([-13 - 7 * _ROOT, -13 + 7 * _ROOT, -1.0]) / 3
_GAMMA = 3 + 3 ** (2 / 3) - 3 ** (1 / 3)
#: Newton's iterations at most, and the last correction, relative to each state's size, that ends them: what it leaves
#: is of the order of its square.
_ITERATIONS, _CORRECTION = 8, 1e-6
#: Change of Newton's matrix up to which it is not factored anew: it stays the same where the system is linear.
_CHANGE = 1e-8
#: Steps at most between two points of the grid, and the shortest one, relative to the time reached.
_STEPS, _SHORTEST = 20_000, 1e-14

_compiled = njit(error_model="numpy")
_inlined = njit(error_model="numpy", inline="always")

#: Rows of an array over the states: values and slopes at the beginning of the step, the largest absolute value of each
#: so far, slopes at the three stages and at a point tried, the stages Z of this step, and of the one before.
_Y, _START, _SIZE, _SLOPE, _STAGE, _BEFORE, _ROWS = 0, 1, 2, 3, 7, 10, 13
#: Planes (n, n + P) of another: derivatives of the slopes at the stages and at a point tried, at the beginning of the
#: step, and, in the last P columns, the sensitivities.
_TRIED, _FIRST, _S, _PLANES = 3, 4, 5, 6
#: Of an array (3, V) over the inputs: at the point looked at, at the grid's point before and at the next one.
_POINT, _LOW, _HIGH = 0, 1, 2


@_compiled
def _factor(matrix, pivots, size):  # noqa: ANN001, ANN202 - compiled, as all below
    """Factor the leading square of a matrix in place, with row exchanges; False where it is singular or not finite."""
    for k in range(size):
        p = k
        for i in range(k + 1, size):
            if abs(matrix[i, k]) > abs(matrix[p, k]):
                p = i
        pivots[k] = p
        if not 0.0 < abs(matrix[p, k]) < np.inf:
            return False
        if p != k:
            for j in range(size):
                matrix[k, j], matrix[p, j] = matrix[p, j], matrix[k, j]
        inverse = 1.0 / matrix[k, k]
        for i in range(k + 1, size):
            factor = matrix[i, k] * inverse
            matrix[i, k] = factor
            if factor != 0.0:
                for j in range(k + 1, size):
                    matrix[i, j] -= factor * matrix[k, j]
    return True


@_inlined
def _subtract(factor, right, i, k, columns):  # noqa: ANN001, ANN202
    """Take row k, times a factor, from row i."""
    if factor != 0.0:
        for c in range(columns):
            right[i, c] -= factor * right[k, c]


@_compiled
def _solve(matrix, pivots, size, right, columns, low):  # noqa: ANN001, ANN202
    """Solve with a factored matrix, in place of the first columns of the right-hand side; rows from low on alone."""
    for k in range(size):
        p = pivots[k]
        if p != k:
            for c in range(columns):
                right[k, c], right[p, c] = right[p, c], right[k, c]
    for i in range(size):
        for k in range(i):
            _subtract(matrix[i, k], right, i, k, columns)
    for i in range(size - 1, low - 1, -1):
        for k in range(i + 1, size):
            _subtract(matrix[i, k], right, i, k, columns)
        inverse = 1.0 / matrix[i, i]
        for c in range(columns):
            right[i, c] *= inverse


@_compiled
def _evaluate(slopes, ends, z, rows, planes, k, now, first, last):  # noqa: ANN001, ANN202
    """Slopes at the states in z and their derivatives, into row and plane k.

    The time stays inside the piece from first to last, so that no branch of the right-hand side beyond it is seen.
    """
    nudge = 4.0 * _EPSILON * max(abs(first), abs(last))
    ends[_POINT, 0] = max(min(now, last - nudge), first + nudge) if last - first > 2.0 * nudge else now
    span = ends[_HIGH, 0] - ends[_LOW, 0]
    share = min(max((now - ends[_LOW, 0]) / span, 0.0), 1.0) if span > 0.0 else 0.0
    for v in range(1, ends.shape[1]):
        ends[_POINT, v] = ends[_LOW, v] + share * (ends[_HIGH, v] - ends[_LOW, v])
    slopes(ends[_POINT], z, rows[k], planes[k])


@_inlined
def _predict(rows, h, before):  # noqa: ANN001, ANN202
    """Start the stages from the polynomial of the step before, of that length; from nothing where it is 0."""
    c0, c1 = _C[0], _C[1]
    for i in range(3):
        x = 1.0 + _C[i] * h / before
        # Lagrange's polynomial through 0 at 0 and the three stages, less what the step before has gained.
        w0 = x * (x - c1) * (x - 1.0) / (c0 * (c0 - c1) * (c0 - 1.0))
        w1 = x * (x - c0) * (x - 1.0) / (c1 * (c1 - c0) * (c1 - 1.0))
        w2 = x * (x - c0) * (x - c1) / ((1.0 - c0) * (1.0 - c1)) - 1.0
        for s in range(rows.shape[1]):
            start = w0 * rows[_BEFORE, s] + w1 * rows[_BEFORE + 1, s] + w2 * rows[_BEFORE + 2, s]
            rows[_STAGE + i, s] = start if before > 0.0 else 0.0


@_inlined
def _residual(rows, planes, right, factored, h):  # noqa: ANN001, ANN202
    """What the stages lack, into the right-hand side; whether the derivatives are others than those factored last."""
    n, changed = rows.shape[1], False
    for i in range(3):
        for s in range(n):
            a = i * n + s
            right[a, 0] = -rows[_STAGE + i, s]
            for j in range(3):
                right[a, 0] += h * _A[i, j] * rows[_SLOPE + j, s]
            for r in range(n):
                change = abs(h * planes[i, s, r] - factored[a, r])
                changed |= not change <= _CHANGE * max(1.0, abs(factored[a, r]))
    return changed


@_inlined
def _assemble(n, planes, matrix, factored, h):  # noqa: ANN001, ANN202
    """Newton's matrix, and what it is made of, for comparison."""
    for i in range(3):
        for s in range(n):
            a = i * n + s
            for r in range(n):
                factored[a, r] = h * planes[i, s, r]
                for j in range(3):
                    matrix[a, j * n + r] = -h * _A[i, j] * planes[j, s, r]
            matrix[a, a] += 1.0


@_inlined
def _correct(rows, right):  # noqa: ANN001, ANN202
    """Add the correction to the stages; its size relative to the states', infinite where it is no number."""
    n, size = rows.shape[1], 0.0
    for i in range(3):
        for s in range(n):
            change = right[i * n + s, 0]
            rows[_STAGE + i, s] += change
            relative = abs(change) / max(rows[_SIZE, s], abs(rows[_Y, s] + rows[_STAGE + i, s]), _TINY)
            size = max(size, relative) if relative < np.inf else np.inf
    return size


@_compiled
def _newton(slopes, ends, z, rows, planes, matrix, pivots, right, now, h, first, last):  # noqa: ANN001, ANN202
    """Solve for the stages; False where it does not converge. Leaves the factored matrix behind."""
    n, previous = rows.shape[1], np.inf
    factored = matrix[4 * n :]
    for _ in range(_ITERATIONS):
        for i in range(3):
            for s in range(n):
                z[s] = rows[_Y, s] + rows[_STAGE + i, s]
            _evaluate(slopes, ends, z, rows[_SLOPE:], planes, i, now + _C[i] * h, first, last)
        if _residual(rows, planes, right, factored, h):
            _assemble(n, planes, matrix, factored, h)
            if not _factor(matrix, pivots, 3 * n):
                factored[0, 0] = np.nan
                return False
        _solve(matrix, pivots, 3 * n, right, 1, 0)
        size = _correct(rows, right)
        if size <= _CORRECTION:
            return True
        if size == np.inf or size > 4.0 * previous:
            return False
        previous = size
    return False


@_compiled
def _error(slopes, ends, z, rows, planes, matrix, pivots, right, now, h, first, last, tried, reach):  # noqa: ANN001, ANN202
    """Estimate the error of a step relative to the states' sizes; by another look at the slopes where ``tried``.

    A state is at least as large as its slope makes it over a length ``reach``.
    """
    n, size = rows.shape[1], 0.0
    for s in range(n):
        for r in range(n):
            matrix[s, r] = -planes[_FIRST, s, r]
        matrix[s, s] += _GAMMA / h
        if tried:
            z[s] = rows[_Y, s] + right[s, 0]
    if not _factor(matrix, pivots, n):
        return np.inf
    if tried:
        _evaluate(slopes, ends, z, rows[_SLOPE:], planes, _TRIED, now, first, last)
    for s in range(n):
        right[s, 0] = rows[_SLOPE + _TRIED, s] if tried else rows[_START, s]
        for i in range(3):
            right[s, 0] += _E[i] * rows[_STAGE + i, s] / h
    _solve(matrix, pivots, n, right, 1, 0)
    for s in range(n):
        own = max(rows[_SIZE, s], abs(rows[_Y, s] + rows[_STAGE + 2, s]), _TINY)
        relative = abs(right[s, 0]) / max(own, reach * max(abs(rows[_START, s]), abs(rows[_SLOPE + 2, s])))
        size = max(size, relative) if relative < np.inf else np.inf
    return size


@_inlined
def _sensitivities(planes, matrix, pivots, right, n, h):  # noqa: ANN001, ANN202
    """Take the sensitivities over to the end of the step."""
    P = planes.shape[2] - n
    for j in range(3):  # J_j S + df_j/dtheta, in place of the latter
        for s in range(n):
            for r in range(n):
                factor = planes[j, s, r]
                if factor != 0.0:
                    for p in range(n, n + P):
                        planes[j, s, p] += factor * planes[_S, r, p]
    for i in range(3):
        for s in range(n):
            for p in range(P):
                q = n + p
                right[i * n + s, p] = h * (
                    _A[i, 0] * planes[0, s, q] + _A[i, 1] * planes[1, s, q] + _A[i, 2] * planes[2, s, q]
                )
    _solve(matrix, pivots, 3 * n, right, P, 2 * n)
    for s in range(n):
        for p in range(P):
            planes[_S, s, n + p] += right[2 * n + s, p]


@_inlined
def _accept(rows, planes, matrix, pivots, right, h):  # noqa: ANN001, ANN202
    """Take the states and their sensitivities over to the end of the step."""
    n = rows.shape[1]
    for s in range(n):
        # The last stage is the end of the step: its slope, after the correction that Newton's iteration added to it.
        rows[_START, s] = rows[_SLOPE + 2, s]
        for r in range(n):
            rows[_START, s] += planes[2, s, r] * right[2 * n + r, 0]
            planes[_FIRST, s, r] = planes[2, s, r]
    _sensitivities(planes, matrix, pivots, right, n, h)
    for s in range(n):
        rows[_Y, s] += rows[_STAGE + 2, s]
        rows[_SIZE, s] = max(rows[_SIZE, s], abs(rows[_Y, s]))
        for i in range(3):
            rows[_BEFORE + i, s] = rows[_STAGE + i, s]


@_compiled
def _advance(slopes, ends, z, rows, planes, matrix, pivots, right, steps, first, last, tolerance):  # noqa: ANN001, ANN202
    """Integrate over a piece without kinks; the time reached, short of its end where the integration fails.

    ``steps`` holds the length of the next step, and that of the step before, 0 where the polynomial of that is no help.
    """
    now, careful, n = first, steps[1] == 0.0, rows.shape[1]
    for _ in range(_STEPS):
        rest = last - now
        h = rest if steps[0] > 0.9 * rest else min(steps[0], 0.5 * rest)
        if not h > _SHORTEST * abs(now):
            return now
        _predict(rows, h, steps[1])
        if not _newton(slopes, ends, z, rows, planes, matrix, pivots, right, now, h, first, last):
            # The polynomial may lead astray: without it first, then by shorter steps.
            steps[0], steps[1], careful = (h if steps[1] > 0.0 else 0.5 * h), 0.0, True
            continue
        # A state that leaves zero at a kink has no size that an error could be small beside, however short the step.
        reach = last - first if h < tolerance * (last - first) else 0.0
        error = np.inf
        for trial in range(2):
            if trial == 0 or (careful and error > tolerance):
                error = _error(
                    slopes, ends, z, rows, planes, matrix[3 * n :], pivots[3 * n :], right[3 * n :],
                    now, h, first, last, trial == 1, reach,
                )  # fmt: skip
        factor = min(max(0.9 * (error / tolerance) ** -0.25, 0.2), 8.0) if error > 0.0 else 8.0
        if not error <= tolerance:
            steps[0], careful = h * (factor if error < np.inf else 0.5), True
            continue
        _accept(rows, planes, matrix, pivots, right, h)
        longer = h * (min(factor, 1.0) if careful else factor)
        steps[0], steps[1], careful = max(steps[0], longer) if h == rest else longer, h, False
        if h == rest:
            return last
        now += h
    return now


@_inlined
def _begin(initial, events, ends, z, rows, planes, sizes, times, moved):  # noqa: ANN001, ANN202
    """States, sensitivities, sizes and times of the events at the start."""
    n = rows.shape[1]
    for s in range(n):
        z[s] = 0.0
    initial(ends[_LOW], z, rows[_Y], planes[_S])
    for s in range(n):
        rows[_SIZE, s] = max(sizes[s], abs(rows[_Y, s]))
    if times.size > 0:
        events(ends[_LOW], z, times, moved)


@_inlined
def _next(times, now, target):  # noqa: ANN001, ANN202
    """Number of the first event after now, up to the target; -1 where there is none."""
    chosen = -1
    for e in range(times.size):
        if now < times[e] <= target and (chosen < 0 or times[e] < times[chosen]):
            chosen = e
    return chosen


@_inlined
def _jump(slopes, ends, z, rows, planes, moved, first, at):  # noqa: ANN001, ANN202
    """Let the sensitivities jump at an event, by the slopes on its two sides and how it moves with the parameters."""
    n = rows.shape[1]
    for s in range(n):
        z[s] = rows[_Y, s]
    _evaluate(slopes, ends, z, rows[_SLOPE:], planes, 0, at, first, at)
    _evaluate(slopes, ends, z, rows[_SLOPE:], planes, 1, at, at, at + abs(at) + 1.0)
    for s in range(n):
        for p in range(n, planes.shape[2]):
            planes[_S, s, p] += (rows[_SLOPE, s] - rows[_SLOPE + 1, s]) * moved[p]


@_inlined
def _write(output, ends, z, rows, planes, shown, slope, jacobian):  # noqa: ANN001, ANN202
    """The curve at a point of the grid, and its derivatives by the parameters."""
    n = rows.shape[1]
    for s in range(n):
        z[s] = rows[_Y, s]
    output(ends[_HIGH], z, shown, slope)
    for p in range(jacobian.size):
        jacobian[p] = slope[0, n + p]
        for s in range(n):
            jacobian[p] += slope[0, s] * planes[_S, s, n + p]
    return shown[0]


@_inlined
def _give_up(points, value, jacobian, states, reached):  # noqa: ANN001, ANN202
    """No numbers at the points that are left."""
    for i in points:
        value[i] = np.nan
        for p in range(jacobian.shape[1]):
            jacobian[i, p] = np.nan
        for s in range(states.shape[1] if states.shape[0] > 0 else 0):
            states[i, s] = np.nan
    return reached


def _integrate(slopes, initial, events, output, counts, sizes, start, tolerance, t, theta, value, jacobian, states):  # noqa: ANN001, ANN202
    """Integrate over a grid.

    Args:
        slopes: The right-hand sides, a function of signature :data:`POINT` with n values.
        initial: The states at the start, n values of the parameters and the first inputs.
        events: Times at which the right-hand side has a kink or a jump, E values of the parameters and first inputs.
        output: The curve, one value of the states.
        counts: n and E.
        sizes: Of each state (n,), which its error is relative to where it has not been larger.
        start: Where the initial states hold; before it they rest.
        tolerance: Error of a step, relative to the size of each state.
        t: Packed grid (V T,), in any order; inputs are straight between its points, and as at its ends beyond them.
        theta: Parameters (P,).
        value: Written into, (T,); NaN from where the integration failed.
        jacobian: Written into, (T, P).
        states: Written into, (T, n) or (0, n) where they are not wanted.

    Returns:
        The time at which the integration failed; NaN where it did not.
    """
    n, E = counts
    T, P = jacobian.shape
    V = t.size // T
    ends, z, steps = np.empty((3, V)), np.empty(n + P), np.zeros(2)
    rows, planes = np.zeros((_ROWS, n)), np.zeros((_PLANES, n, n + P))
    matrix, pivots, right = np.zeros((7 * n, 3 * n)), np.zeros(4 * n, np.int64), np.empty((4 * n, max(P, 1)))
    times, moved, shown, slope = np.empty(E), np.empty((E, n + P)), np.empty(1), np.empty((1, n + P))
    matrix[4 * n, 0] = np.nan  # nothing is factored yet
    order = np.argsort(t[:T], kind="mergesort")
    for v in range(V):
        ends[_LOW, v] = ends[_HIGH, v] = t[v * T + order[0]] if v > 0 else start
    for p in range(P):
        z[n + p] = theta[p]
    _begin(initial, events, ends, z, rows, planes, sizes, times, moved)
    now, jumped = start, True
    for k in range(T):
        i = order[k]
        for v in range(V):
            ends[_HIGH, v] = t[v * T + i]
        while now < ends[_HIGH, 0]:
            event = _next(times, now, ends[_HIGH, 0])
            last = times[event] if event >= 0 else ends[_HIGH, 0]
            if jumped:
                for s in range(n):
                    z[s] = rows[_Y, s]
                _evaluate(slopes, ends, z, rows[_START:], planes[_FIRST:], 0, now, now, last)
            steps[0] = last - now if steps[0] == 0.0 else steps[0]
            reached = _advance(slopes, ends, z, rows, planes, matrix, pivots, right, steps, now, last, tolerance)
            if reached < last:
                return _give_up(order[k:], value, jacobian, states, reached)
            if event >= 0:
                _jump(slopes, ends, z, rows, planes, moved[event], now, last)
                steps[1] = 0.0
            now, jumped = last, event >= 0
        # Measured inputs may jump where two points have the same time.
        jumped |= k + 1 < T and V > 1 and t[order[k + 1]] == ends[_HIGH, 0]
        value[i] = _write(output, ends, z, rows, planes, shown, slope, jacobian[i])
        for v in range(V):
            ends[_LOW, v] = ends[_HIGH, v]
        for s in range(n if states.shape[0] > 0 else 0):
            states[i, s] = rows[_Y, s]
    return np.nan


#: Of the integrator, as :func:`_integrate` says; the functions first.
_SIGNATURE = float64(
    *[POINT] * 4, types.UniTuple(int64, 2), float64[::1], float64, float64, float64[::1], float64[::1],
    float64[::1], float64[:, ::1], float64[:, ::1],
)  # fmt: skip


@functools.cache
def integrator() -> CFunc:
    """The loop over a grid, compiled."""
    return callback(_SIGNATURE)(_integrate)
