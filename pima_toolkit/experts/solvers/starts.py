r"""Starts of fits: variable projection, a spread around its answer, and a wider search for a few curves.

An expert that is linear in some of its parameters, together, needs a search over the others only; for each candidate
of those the linear ones follow from (bounded) linear least squares, for all rows at once. An expert linear in all of
them is solved outright (variable projection: Golub & Pereyra 1973).

The wider search is for a few curves without a start. Candidates over all scales are judged at the optimum of the linear
parameters; the best that differ are then improved by scanning one parameter at a time over all its plausible values,
the others held: terms that hardly overlap, such as two peaks, are found one after the other, which no number of random
points would do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, ShapeError
from ..contract.bounds import Bounds
from ..contract.inputs import Inputs, packed, variable
from ..contract.law import Law
from ..contract.numbers import numbers

Array = NDArray[np.float64]

#: Candidates per nonlinear parameter, by their number; beyond, a low-discrepancy set of so many.
_CANDIDATES = {0: 1, 1: 41, 2: 17, 3: 8}
_SET = 600
#: Rows projected at once.
_ROWS = 8192
#: Candidates with values beyond this are passed over: their squares would overflow.
_LARGEST = 1e100
#: Most numbers in the Jacobians of all candidates together that are computed at once.
_AT_ONCE = 20_000_000

#: Of the wider search: candidates of all rows together, those kept per row, and those of them that are scanned.
_SEARCHED, _KEPT, _SCANNED = 4000, 12, 6
#: Values per parameter in a scan, and rounds of scans.
_VALUES, _ROUNDS = 60, 3
#: More rows than this are not searched for: they have neighbours to start from, and a guess.
_FEW = 16
#: Candidates of the search that are evaluated at once, in numbers of their Jacobians.
_TRIED_AT_ONCE = 4_000_000


def halton(count: int, dimensions: int) -> Array:
    """The first points of the Halton sequence, (count, dimensions), in (0, 1): spread evenly, no random numbers.

    The sequence itself begins at zero, the end of every range: that point is left out.
    """
    return scipy.stats.qmc.Halton(dimensions, scramble=False).random(count + 1)[1:]


def place(u: Array, lower: float, upper: float, t: Array, unit: str = "1") -> Array:
    """Spread shares u in (0, 1) over the plausible values of a parameter.

    One bound, and the unit of t or of its inverse: decades around what t spans, or around its inverse.

    Two bounds: between them, in decades where they span more than two. One: six decades on either side of what t spans.
    None: two fifths within the range of t, where a location would be, two fifths over what changes a curve within that
        range as a rate or a frequency, three in four of them positive, the others over decades of either sign.
    """
    low, high = float(np.min(t)), float(np.max(t))
    span = high - low if high > low else max(abs(high), 1.0)
    small, large = np.log10(1e-3 * min(1.0, span)), np.log10(1e3 * max(1.0, span))
    if np.isfinite(lower) and np.isfinite(upper):
        if lower > 0 and upper > 100 * lower:
            return lower * (upper / lower) ** u
        return lower + (upper - lower) * u
    if unit == "{t}":
        small, large = np.log10(1e-3 * span), np.log10(max(30 * span, 3 * max(abs(low), abs(high))))
    elif unit == "1/{t}":
        small, large = np.log10(0.03 / span), np.log10(1e3 / span)
    if np.isfinite(lower):
        return lower + 10 ** (small + (large - small) * u)
    if np.isfinite(upper):
        return upper - 10 ** (small + (large - small) * u)
    v = (u - 0.4) / 0.4
    rate = np.where(v < 0.25, -(10 ** (12 * v - 1)), 10 ** (4 * v - 2)) / span
    v = np.abs(10 * (u - 0.9))
    decades = np.sign(u - 0.9) * 10 ** (small + (large - small) * v)
    return np.where(u < 0.4, low + 2.5 * u * span, np.where(u < 0.8, rate, decades))


def candidates(bounds: Bounds, nonlinear: list[int], t: Array, units: Sequence[str]) -> Array:
    """Trial values of the nonlinear parameters, shape (K, P); the others are 0."""
    m = len(nonlinear)
    if m in _CANDIDATES:
        n = _CANDIDATES[m]
        shares = (np.arange(n) + 0.5) / n
        grid = np.stack(np.meshgrid(*[shares] * m, indexing="ij"), -1).reshape(-1, m) if m else np.zeros((1, 0))
    else:
        grid = halton(_SET, m)
    theta = np.zeros((grid.shape[0], bounds.lower.size))
    for column, i in enumerate(nonlinear):
        theta[:, i] = place(grid[:, column], bounds.lower[i], bounds.upper[i], t, units[i])
    return theta


def project(law: Law, t: Array, y: Array, weights: Array) -> Array:
    """The best candidate of every row.

    Args:
        law: The physics.
        t: Packed grid, shape (V T,), or one per row, shape (N, V T).
        y: Curves, shape (N, T), no NaN.
        weights: Shape (N, T), not negative.

    Returns:
        Starting points inside the bounds, shape (N, P).
    """
    along = variable(law, t)
    bounds = law.bounds(along)
    linear = list(law.linear)
    trials = law.search_grid(along)
    best = np.tile(bounds.clip(np.zeros(bounds.lower.size), 0.25), (y.shape[0], 1))
    if t.ndim == 2 and len(law.inputs) > 1:
        # A test plan has few rates and temperatures: specimens of the same ones are searched together.
        grids, which = np.unique(t, axis=0, return_inverse=True)
        if 4 * len(grids) <= len(t):
            for g, grid in enumerate(grids):
                same = which.reshape(-1) == g
                best[same] = _best_of(law, trials, linear, bounds, grid, y[same], weights[same], best[same])
            return bounds.clip(best)
    for first in range(0, y.shape[0], _ROWS):
        rows = slice(first, first + _ROWS)
        best[rows] = _best_of(
            law, trials, linear, bounds, t if t.ndim == 1 else t[rows], y[rows], weights[rows], best[rows]
        )
    return bounds.clip(best)


def _best_of(
    law: Law, trials: Array, linear: list[int], bounds: Bounds, t: Array, y: Array, w: Array, default: Array
) -> Array:
    lowest = np.full(y.shape[0], np.inf)
    best = default.copy()
    same = t.ndim == 1 and bool(np.all(w == w[:1]))
    lower, upper = bounds.lower[linear], bounds.upper[linear]
    count = trials.size * (y.shape[1] if t.ndim == 1 else y.size)
    at_once = law.value_and_jacobian(t, trials) if count <= _AT_ONCE else None
    seen = np.any(w > 0.0, axis=0) if t.ndim == 1 else np.asarray(w > 0.0)
    for k, theta in enumerate(trials):
        value, jacobian = law.value_and_jacobian(t, theta) if at_once is None else (at_once[0][k], at_once[1][k])
        # What the law says where nothing was measured is nothing to it.
        value, basis = np.where(seen, value, 0.0), np.where(seen[..., None], jacobian[..., linear], 0.0)
        if not ((np.abs(value) < _LARGEST).all() and (np.abs(basis) < _LARGEST).all()):  # NaN is not less either
            continue
        rest = y - value
        cost = np.einsum("nt,nt,nt->n", w, rest, rest)
        trial = np.tile(theta, (y.shape[0], 1))
        if linear:
            if same:
                weighted = basis * w[0][:, None]
                normal, right = (basis.T @ weighted)[None], rest @ weighted
            elif t.ndim == 1:
                pairs = (basis[:, :, None] * basis[:, None, :]).reshape(basis.shape[0], -1)
                normal, right = (w @ pairs).reshape(-1, len(linear), len(linear)), (w * rest) @ basis
            else:
                normal = np.einsum("nt,ntl,ntm->nlm", w, basis, basis)
                right = np.einsum("nt,nt,ntl->nl", w, rest, basis)
            best_linear = bounded_linear(normal, right, lower, upper)
            normal = np.broadcast_to(normal, (y.shape[0], *normal.shape[1:]))
            cost = cost - 2 * np.sum(right * best_linear, 1)
            cost = cost + np.einsum("nl,nlm,nm->n", best_linear, normal, best_linear)
            trial[:, linear] = best_linear
        better = cost < lowest
        lowest[better], best[better] = cost[better], trial[better]
    return best


def bounded_linear(normal: Array, right: Array, lower: Array, upper: Array) -> Array:
    """Minimise x A x / 2 - b x within bounds, row by row.

    Args:
        normal: A, shape (N, L, L) or (1, L, L), not negative definite.
        right: b, shape (N, L).
        lower: Shape (L,).
        upper: Shape (L,).

    Returns:
        x, shape (N, L): exact where no bound is active, by coordinate descent elsewhere.
    """
    L = right.shape[1]
    size = np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 1e-300))
    scaled = normal / (size[:, :, None] * size[:, None, :]) + 1e-12 * np.eye(L)
    x = np.linalg.solve(scaled, (right / size)[..., None])[..., 0] / size
    clipped = np.clip(x, lower, upper)
    active = np.flatnonzero(np.any(clipped != x, axis=1))
    if active.size and L > 1:
        x, b = clipped[active], right[active]
        A = np.broadcast_to(normal, (right.shape[0], L, L))[active]
        for _ in range(25):
            before = x.copy()
            for i in range(L):
                slope = b[:, i] - np.einsum("nl,nl->n", A[:, i], x)
                x[:, i] = np.clip(x[:, i] + slope / np.maximum(A[:, i, i], 1e-300), lower[i], upper[i])
            if (x == before).all():  # as with two of them, one at its bound
                break
        clipped[active] = x
    return clipped


def prepare(law: Law, t: Inputs, y: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Curves as rows without NaN, and weights that are 0 where there was one.

    Args:
        law: The law whose inputs these are.
        t: Inputs by name, or packed, shape (V T,) or (N, V T).
        y: Shape (T,) or (N, T).
        weights: None, or broadcastable to y.

    Returns:
        t packed as float64, y (N, T), weights (N, T).

    Raises:
        ShapeError: If the shapes do not fit, or t is not finite.
        ExpertError: If there are no points at all.
    """
    t = packed(law, t, np.shape(y))
    rows = np.atleast_2d(numbers("y", y))
    if rows.ndim != 2 or variable(law, t).shape not in {rows.shape[1:], rows.shape}:
        raise ShapeError(
            f"y has the shape {np.shape(y)} and t {t.shape}: expected y (T,) or (N, T), and t (T,) or as y"
        )
    if rows.size == 0:
        raise ExpertError("there are no points to fit: y is empty")
    if not np.isfinite(t).all():
        raise ShapeError("t holds NaN or infinite values: repeat the last t where a curve is shorter, with y NaN there")
    w = numbers("weights", 1.0 if weights is None else weights, masked=0.0)
    try:
        w = np.array(np.broadcast_to(w, rows.shape))
    except ValueError:
        raise ShapeError(f"weights have the shape {w.shape}, expected {rows.shape}") from None
    missing = ~np.isfinite(rows)
    rows[missing], w[missing] = 0.0, 0.0
    return t, rows, w


def guess(law: Law, t: Inputs, y: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Guess parameters inside the bounds by :meth:`~pima_toolkit.experts.contract.law.Law.initial_guess`.

    Args:
        law: The physics.
        t: Shared grid, shape (T,), or one per row, shape (N, T); with covariates the inputs by name, or packed.
        y: One curve, shape (T,), or rows, shape (N, T); NaN where not measured.
        weights: Weights of the squares, like y.

    Returns:
        Parameters inside the bounds, shape (P,) or (N, P).
    """
    t, rows, w = prepare(law, t, y, weights)
    guesses = law.bounds(variable(law, t)).clip(law.initial_guess(t, rows, w))
    return guesses[0] if np.ndim(y) == 1 else guesses


def starting_points(law: Law, t: Inputs, y: ArrayLike, weights: ArrayLike | None = None, count: int = 8) -> Array:
    """The guess and a deterministic spread of starts around it, shape (N, count, P) for y (N, T).

    Of a law that has starts of its own around a guess it is those, at most as many.
    """
    t = packed(law, t, np.shape(y))
    first, bounds = np.atleast_2d(guess(law, t, y, weights)), law.bounds(variable(law, t))
    own = law.around(first)
    return spread(first, bounds, count, variable(law, t)) if own is None else bounds.clip(own[:, :count])


def spread(guess: Array, bounds: Bounds, count: int, t: Array) -> Array:
    """Several starts per row, the guess first.

    Args:
        guess: Shape (N, P).
        bounds: Bounds.
        count: Number of starts S.
        t: The independent variable, of any shape.

    Returns:
        Starts inside the bounds, shape (N, S, P).
    """
    P = guess.shape[1]
    starts = np.repeat(guess[:, None], max(count, 1), axis=1)
    if count > 1:
        shares = halton(count - 1, P)
        for i in range(P):
            lower, upper = bounds.lower[i], bounds.upper[i]
            if np.isfinite(lower) and np.isfinite(upper):
                starts[:, 1:, i] = place(shares[:, i], lower, upper, t)
                continue
            # Half a decade up and down of the guess's distance to its bound, or to zero.
            origin = lower if np.isfinite(lower) else upper if np.isfinite(upper) else 0.0
            distance = np.where(guess[:, i] == origin, 1.0, guess[:, i] - origin)
            if np.isfinite(upper):
                distance = -np.abs(distance)
            starts[:, 1:, i] = origin + distance[:, None] * 10 ** (shares[None, :, i] - 0.5)
    return bounds.clip(starts)


def search(law: Law, t: Array, y: Array, weights: Array, bounds: Bounds, held: NDArray[np.bool_]) -> Array:
    """Starting points of a few rows on a shared grid.

    Args:
        law: The physics.
        t: Packed grid, shape (V T,).
        y: Curves, shape (C, T), finite where the weight is above zero.
        weights: Shape (C, T), not negative.
        bounds: Bounds.
        held: Parameters that are given and not searched, shape (P,).

    Returns:
        Starts inside the bounds, shape (C, 12, P), held parameters 0; or (C, 0, P) where there is nothing to search.
    """
    P, along = len(law.parameters), variable(law, t)
    linear = [p for p in law.linear if not held[p]]
    nonlinear = [p for p in range(P) if p not in law.linear and not held[p]]
    if not nonlinear or len(y) > _FEW or held.any():
        return np.zeros((len(y), 0, P))
    shares = halton(_SEARCHED // len(y), len(nonlinear))
    trials = np.zeros((len(shares), P))
    even = (np.arange(_VALUES) + 0.5) / _VALUES
    units = [p.unit for p in law.parameters]
    values = {p: place(even, bounds.lower[p], bounds.upper[p], along, units[p]) for p in nonlinear}
    for column, p in enumerate(nonlinear):
        trials[:, p] = place(shares[:, column], bounds.lower[p], bounds.upper[p], along, units[p])
    out = np.empty((len(y), _KEPT, P))
    for c in range(len(y)):
        judge = _Judge(law, t, y[c], weights[c], bounds, linear)
        cost, completed = judge(trials)
        chosen = _different(cost, shares)
        kept, costs = completed[chosen], cost[chosen]
        for k in range(min(_SCANNED, len(kept))):
            kept[k], costs[k] = _scanned(judge, kept[k], costs[k], values)
        out[c] = kept[np.argsort(costs, kind="stable")]
    return bounds.clip(np.nan_to_num(out))


class _Judge:
    """Costs of candidates of one row, the linear parameters at their optimum."""

    def __init__(self, law: Law, t: Array, y: Array, w: Array, bounds: Bounds, linear: list[int]) -> None:
        self.law, self.t, self.y, self.w, self.linear = law, t, np.where(w > 0, y, 0.0), w, linear
        self.lower, self.upper = bounds.lower[linear], bounds.upper[linear]

    def __call__(self, trials: Array) -> tuple[Array, Array]:
        """Costs (K,), infinite where the expert is not finite, and the completed candidates (K, P)."""
        size = max(1, _TRIED_AT_ONCE // (self.y.size * trials.shape[1]))
        parts = [self._some(trials[k : k + size].copy()) for k in range(0, len(trials), size)]
        return np.concatenate([cost for cost, _ in parts]), np.concatenate([completed for _, completed in parts])

    def _some(self, trials: Array) -> tuple[Array, Array]:
        trials[:, self.linear] = 0.0
        value, jacobian = self.law.value_and_jacobian(self.t, trials)
        basis, seen = jacobian[..., self.linear], self.w > 0
        fine = np.all(np.abs(value[:, seen]) < _LARGEST, axis=1)
        fine &= np.all(np.abs(basis[:, seen]) < _LARGEST, axis=(1, 2))
        cost = np.full(len(trials), np.inf)
        value, basis = value[fine][:, seen], basis[fine][:, seen]
        w, rest = self.w[seen], self.y[seen] - value
        if self.linear and fine.any():
            weighted = basis * w[:, None]
            best_linear = bounded_linear(
                np.swapaxes(weighted, 1, 2) @ basis,
                (rest[:, None] @ weighted)[:, 0],
                self.lower,
                self.upper,
            )
            trials[np.ix_(fine, self.linear)] = best_linear
            rest = rest - (basis @ best_linear[..., None])[..., 0]
        cost[fine] = np.square(rest) @ w
        return np.where(np.isfinite(cost), cost, np.inf), trials


def _different(cost: Array, shares: Array) -> NDArray[np.int64]:
    """The best candidates that are not neighbours of better ones."""
    order = np.argsort(cost, kind="stable")
    chosen = [order[0]]
    for k in order[1 : 40 * _KEPT]:
        if len(chosen) == _KEPT:
            break
        if np.abs(shares[chosen] - shares[k]).max(1).min() > 0.05:
            chosen.append(k)
    rest = [k for k in order[: 2 * _KEPT] if k not in chosen]
    return np.array((chosen + rest)[:_KEPT])


def _scanned(judge: _Judge, theta: Array, cost: float, values: dict[int, Array]) -> tuple[Array, float]:
    """Improve one candidate by scanning its nonlinear parameters in turn."""
    for _ in range(_ROUNDS):
        before = cost
        for p, scan in values.items():
            trials = np.tile(theta, (len(scan), 1))
            trials[:, p] = scan
            costs, completed = judge(trials)
            k = int(np.argmin(costs))
            if costs[k] < cost:
                theta, cost = completed[k], float(costs[k])
        if not cost < before * (1 - 1e-3):
            break
    return theta, cost
