"""Curves that only Python can compute, in the compiled form that solvers take.

The compiled curve steps back into Python for every evaluation, so that everything that works with formulas works with
it too; a call costs some ten microseconds more than the function itself, and threads take turns. (Numba lets go of the
interpreter's lock around its parallel loops, so that no thread waits for another in vain.)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from numba import float64, njit, objmode, void
from numpy.typing import NDArray

from ...errors import ExpertError, PimaError, in_own_code

Array = NDArray[np.float64]

#: Functions from (t, theta) to value and Jacobian, by the number that the compiled curve knows.
_FUNCTIONS: dict[int, Callable[[Array, Array], tuple[Array, Array]]] = {}
_NUMBERS = itertools.count()


def _call(number: int, t: Array, theta: Array, value: Array, jacobian: Array) -> None:
    """Fill in value and Jacobian; NaN where the function fails, since no error can pass through compiled code."""
    try:
        with np.errstate(all="ignore"):
            value[:], jacobian[:] = _FUNCTIONS[number](t.copy(), theta.copy())
    except PimaError:
        raise
    except (ArithmeticError, ValueError):
        value[:], jacobian[:] = np.nan, np.nan
    except Exception as error:
        raise ExpertError(f"the expert's own function failed: {in_own_code(error)}") from error


def python_curve(function: Callable[[Array, Array], tuple[Array, Array]]) -> Callable[..., None]:
    """Make a compiled curve of a Python function.

    Args:
        function: Takes t (T,) and theta (P,), gives values (T,) and Jacobian (T, P); it stays in memory.

    Returns:
        A numba function of signature :data:`~pima_toolkit.experts.formulas.codegen.CURVE`.
    """
    number = next(_NUMBERS)
    _FUNCTIONS[number] = function

    @njit(void(float64[::1], float64[::1], float64[::1], float64[:, ::1]))
    def curve(t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled
        key = number
        with objmode():
            _call(key, t, theta, value, jacobian)

    return curve


def differences(
    function: Callable[[Array, Array], Array], t: Array, theta: Array, lower: Array, upper: Array
) -> tuple[Array, Array]:
    """Compute values and central differences by the parameters, one-sided at a bound; relative error about 1e-9.

    Args:
        function: Takes t (T,) and theta (P,), gives values (T,).
        t: Shape (T,).
        theta: Shape (P,).
        lower: Bounds, shape (P,).
        upper: Bounds, shape (P,).
    """
    value = np.asarray(function(t.copy(), theta), dtype=np.float64)
    value = np.broadcast_to(value, t.shape)
    span = float(np.ptp(t)) or 1.0
    jacobian = np.empty((t.size, theta.size))
    for p in range(theta.size):
        step = 6e-6 * max(abs(theta[p]), 1e-3 * min(span, 1.0))
        sides = [theta.copy(), theta.copy()]
        sides[0][p], sides[1][p] = max(theta[p] - step, lower[p]), min(theta[p] + step, upper[p])
        low, high = (np.asarray(function(t.copy(), side), dtype=np.float64) for side in sides)
        jacobian[:, p] = (high - low) / (sides[1][p] - sides[0][p])
    return value, jacobian


def linear_by_trial(function: Callable[[Array, Array], Array], t: Array, lower: Array, upper: Array) -> tuple[int, ...]:
    """Find the parameters a function is linear in, all together, as far as second differences at a few points tell.

    A kink that moves can escape it: what follows from it may only be tried, never relied on.

    Args:
        function: Takes t (T,) and theta (P,), gives values (T,).
        t: Shape (T,).
        lower: Bounds, shape (P,).
        upper: Bounds, shape (P,).
    """
    random, size = np.random.default_rng(0), lower.size
    low, high = np.where(np.isfinite(lower), lower, -1.0), np.where(np.isfinite(upper), upper, np.inf)
    high = np.where(np.isfinite(high), high, low + 2.5)
    chosen: list[int] = []
    for p in range(size):
        holds = True
        for _ in range(3):
            theta = low + (high - low) * random.uniform(0.3, 0.6, size)
            for q in (p, *chosen):
                a, b = np.zeros(size), np.zeros(size)
                a[p], b[q] = 0.15 * (high[p] - low[p]), 0.1 * (high[q] - low[q])
                with np.errstate(all="ignore"):
                    f = [np.asarray(function(t.copy(), theta + s)) for s in (0 * a, a, b, a + b)]
                # A power of a negative width is no number, or a complex one: nothing is known there.
                if any(np.iscomplexobj(part) or not np.isfinite(part).all() for part in f):
                    holds = False
                    continue
                bend = np.abs(f[3] - f[2] - f[1] + f[0]).max()
                holds = holds and bool(bend <= 1e-9 * max(np.abs(part).max() for part in f))
        if holds:
            chosen.append(p)
    return tuple(chosen)
