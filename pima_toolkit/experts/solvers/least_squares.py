r"""Bounded nonlinear least squares for many curves at once (eq. 17).

.. math:: \min_{\theta \in \mathrm{bounds}} \sum_n w_n \, (E(t_n; \theta) - y_n)^2

Levenberg-Marquardt, projected on the bounds: a parameter at a bound whose gradient points outward is held for the step,
the others move, and the trial point is clipped. The steps are in ``levenberg_marquardt``. The driver is compiled once
per installation and never per expert, which comes in as a first-class function over a whole curve
(``codegen.CURVE``). Every row and every start is solved on its own, so an answer does not
depend on the number of threads or on its neighbours. Parameters declared with ``log=True`` move in their logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ShapeError
from ..contract.bounds import Bounds
from ..contract.inputs import Inputs, packed, variable
from ..contract.law import Law
from ..formulas.compiled import call_compiled, evaluator
from .levenberg_marquardt import solver
from .optimum import Optimum
from .starts import starting_points
from .torch_batched import descend_rows, values_and_slopes

Array = NDArray[np.float64]


def solve(
    law: Law,
    t: Inputs,
    y: ArrayLike,
    weights: ArrayLike | None = None,
    start: ArrayLike | None = None,
    bounds: Bounds | None = None,
    *,
    fixed: Sequence[bool] | None = None,
    constant: ArrayLike | None = None,
    prior: tuple[Array, Array] | None = None,
    project: bool = False,
    whiten: Array | None = None,
    max_iterations: int = 1000,
    tolerance: float = 1e-12,
) -> Optimum:
    """Fit a law to every row.

    Args:
        law: The physics.
        t: Shared grid, shape (T,), or one grid per row, shape (C, T); with covariates the inputs by name, or packed.
        y: Curves, shape (C, T); NaN counts as weight zero.
        weights: Weights of the squares, shape (C, T) or broadcastable to it, not negative; all ones by default.
        start: Starting points, shape (C, S, P), clipped to the bounds; eight from the data by default.
        bounds: Bounds; the law's own on this grid by default.
        fixed: Which parameters keep their starting values, shape (P,); none by default.
        constant: Part of each row's sum of squares that no parameters change (``CurveStatistics.constant``), shape
            (C,): it says how small a difference in cost matters when starts are compared.
        prior: Further equations ``rows theta = target`` of the sum of squares, shapes (C, K, P) and (C, K).
        project: Go from every start twice, once with the jointly linear parameters solved for at every step, and keep
            the better: it reaches farther. One descent is enough from a warm start.
        whiten: Matrix (T, T) that weighted residuals are multiplied by, where the noise of points is correlated.
        max_iterations: Limit per start.
        tolerance: Relative change of the cost that ends a start.

    Returns:
        The best of the starts of every row. Rows without data keep their first start.

    Raises:
        ShapeError: If the arrays do not fit together, or weights are negative or not finite.

    Source: Trask et al. 2022, eq. (17).
    """
    t, y, w, missing = _rows(law, t, y, weights)
    bounds = law.bounds(variable(law, t)) if bounds is None else bounds
    if start is None:
        start = starting_points(law, t, np.where(missing, np.nan, y), w, 8)
    start, free = _starts(law, start, bounds, fixed, len(y))
    C, P, T = len(y), len(law.parameters), y.shape[1]
    rows, target = map(np.ascontiguousarray, prior or (np.zeros((C, 0, P)), np.zeros((C, 0))))
    if rows.shape[::2] != (C, P) or target.shape != rows.shape[:2]:
        raise ShapeError(f"the prior has the shapes {rows.shape} and {target.shape}, expected ({C}, K, {P}), ({C}, K)")
    declared, linear = np.array([p.log for p in law.parameters]), np.zeros(P, dtype=bool)

    def descend(solved: NDArray[np.bool_]) -> tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]:
        logs = declared & ~solved  # what is solved for at every step needs no coordinates to move in
        limits = np.stack([_coordinates(b, logs) for b in (bounds.lower, bounds.upper)])
        x, kinds = _coordinates(start, logs), np.stack([free, solved, logs])
        inputs = (t.reshape(-1, t.shape[-1]), y, w, x, limits, kinds, rows, target)
        curve = law.compiled_curve()
        if curve is None or whiten is not None:
            how = partial(evaluate, law), whiten
            cost, iterations, status = descend_rows(*how, *inputs, max_iterations, tolerance)
        else:
            cost = np.empty(start.shape[:2])
            iterations, status = np.empty(cost.shape, np.int64), np.empty(cost.shape, np.int64)
            out = cost, iterations, status
            call_compiled(solver, cost.size, start.size * T, curve, *inputs, max_iterations, tolerance, *out)
        theta = np.where(free, np.where(logs, np.exp(np.where(logs, x, 0.0)), x), start)
        return theta, cost, iterations, status

    theta, cost, iterations, status = descend(linear)
    linear[[p for p in law.linear if free[p]]] = True
    if project and linear.any() and law.compiled_curve() is not None and whiten is None:
        other = descend(linear)
        # The same optimum found twice is the plain descent's: terms that may trade places keep those of the start.
        better = ~(cost <= other[1] * (1 + 1e-9))
        theta = np.where(better[..., None], other[0], theta)
        pairs = zip((cost, iterations, status), other[1:], strict=True)
        cost, iterations, status = (np.where(better, b, a) for a, b in pairs)
    known = np.asarray(np.zeros(C) if constant is None else constant, dtype=np.float64)
    if known.size != C:
        raise ShapeError(f"constant has the shape {known.shape}, expected ({C},)")
    known = np.maximum(known.reshape(-1), 0.0)
    whole = np.sum(w * y * y, axis=1)
    return _choose(theta, cost, iterations, status, known, whole, w, free, bounds)


def _rows(
    law: Law, t: Inputs, y: ArrayLike, weights: ArrayLike | None
) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
    """Grids, curves (C, T) and weights (C, T), 0 where a point is missing, and which are."""
    y = np.array(y, dtype=np.float64, ndmin=2)
    C, T = y.shape
    t = packed(law, t, y.shape)
    size = len(law.inputs) * T
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
    return t, y, w, missing


def _starts(
    law: Law, start: ArrayLike, bounds: Bounds, fixed: Sequence[bool] | None, C: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Starting points inside the bounds, and which parameters are free."""
    P = len(law.parameters)
    start = np.array(start, dtype=np.float64)
    if start.ndim != 3 or start.shape[0] != C or start.shape[1] < 1 or start.shape[2] != P:
        raise ShapeError(f"start has the shape {start.shape}, expected ({C}, starts, {P})")
    if bounds.lower.shape != (P,):
        raise ShapeError(f"the bounds are of {bounds.lower.size} parameters, expert {law.name!r} has {P}")
    free = np.ones(P, dtype=bool) if fixed is None else ~np.asarray(fixed, dtype=bool)
    if free.shape != (P,):
        raise ShapeError(f"fixed has the shape {free.shape}, expected ({P},)")
    start[..., free] = np.clip(start[..., free], bounds.lower[free], bounds.upper[free])
    return start, free


def _coordinates(theta: Array, logs: NDArray[np.bool_]) -> Array:
    """Coordinates the driver moves: logarithms where wanted, of zero and infinity as far out as exp() gives back."""
    moved = np.where(logs, np.log(np.where(logs, np.clip(theta, 1e-300, 1e300), 1.0)), theta)
    return np.ascontiguousarray(moved)


def _choose(
    theta: Array,
    cost: Array,
    iterations: NDArray[np.int64],
    status: NDArray[np.int64],
    known: Array,
    whole: Array,
    w: Array,
    free: NDArray[np.bool_],
    bounds: Bounds,
) -> Optimum:
    """The best start of every row, and how many agree with it.

    Data without noise leave rounding, of which none is better than another: of the order of 1e-14 of what was measured
    (``whole``) where it changes who agrees, of its square where it changes who is best.
    """
    rows = np.arange(cost.shape[0])
    points = np.count_nonzero(w > 0, axis=1)
    finite = np.where(np.isfinite(cost), cost, np.inf)
    lowest = finite.min(axis=1)
    # Of starts that came to the same optimum the first: terms that may trade places keep the order of its parameters.
    best = np.argmax(finite <= (lowest + 1e-9 * np.abs(lowest) + 1e-28 * whole)[:, None], axis=1)
    # Within a thousandth of the cost: the tiny dents a kink makes between two grid points are no different optimum.
    agreement = np.mean(finite <= (lowest * (1 + 1e-3) + 1e-3 * known + 1e-14 * whole)[:, None], axis=1)
    code = status[rows, best]
    code = np.where((points < free.sum()) & (code >= 0), -3, code)
    empty = points == 0
    code[empty], best[empty], agreement[empty], lowest[empty] = -2, 0, 1.0, 0.0
    agreement[~np.isfinite(lowest)] = 0.0
    chosen = theta[rows, best]
    return Optimum(chosen, lowest, code, iterations[rows, best], agreement, bounds.at_bound(chosen) & free, ~free)


def evaluate(law: Law, t: Array, theta: Array) -> tuple[Array, Array]:
    """Values and Jacobians on every grid for every parameter vector.

    Args:
        law: The physics.
        t: Packed grids, shape (G, V T).
        theta: Parameters, shape (R, P).

    Returns:
        Values, shape (R, G, T), and Jacobians, shape (R, G, T, P), in the law's units.
    """
    curve = law.compiled_curve()
    if curve is None:
        return law.values_and_slopes(t, theta) or values_and_slopes(law, t, theta)
    R, P = theta.shape
    G, T = t.shape[0], t.shape[1] // len(law.inputs)
    value, jacobian = np.empty((R, G, T)), np.empty((R, G, T, P))
    call_compiled(evaluator, R * G, jacobian.size, curve, t, theta, value, jacobian)
    return value, jacobian
