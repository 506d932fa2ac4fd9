r"""Where a fit starts: variable projection, then a spread of starts around it.

An expert that is linear in some of its parameters, together, needs a search over the others only; for each candidate
of those the linear ones follow from (bounded) linear least squares, for all rows at once. An expert linear in all of
them is solved outright. Golub & Pereyra 1973.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..contract.inputs import variable
from ..contract.parameters import Bounds
from .least_squares import Solvable

Array = NDArray[np.float64]

#: Candidates per nonlinear parameter, by their number; beyond, a low-discrepancy set.
_CANDIDATES = {0: 1, 1: 41, 2: 17, 3: 8}
_SET = 600
_ROWS = 8192
#: Candidates with values beyond this are passed over: their squares would overflow.
LARGEST = 1e100
#: Most numbers in the Jacobians of all candidates together that are computed at once.
_AT_ONCE = 20_000_000


class Projectable(Solvable, Protocol):
    """What variable projection needs of an expert."""

    guesses: bool

    def value_and_jacobian(self, t: Array, theta: Array) -> tuple[Array, Array]:
        """Values and derivatives."""

    def search_grid(self, t: Array) -> Array:
        """Where to search."""

    def check_units(self, t: ArrayLike, units: Mapping[str, str], y_unit: str) -> None:
        """Refuse data in units that contradict the parameters'."""


def halton(count: int, dimensions: int) -> Array:
    """The first points of the Halton sequence, (count, dimensions), in (0, 1): spread evenly, no random numbers."""
    primes = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)
    points = np.zeros((count, dimensions))
    for d in range(dimensions):
        base = primes[d % len(primes)]
        index, factor = np.arange(1, count + 1), 1.0 / base
        while index.any():
            points[:, d] += factor * (index % base)
            index, factor = index // base, factor / base
    return points


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


def project(expert: Projectable, t: Array, y: Array, weights: Array) -> Array:
    """The best candidate of every row.

    Args:
        expert: The physics.
        t: Packed grid, shape (V T,), or one per row, shape (N, V T).
        y: Curves, shape (N, T), no NaN.
        weights: Shape (N, T), not negative.

    Returns:
        Starting points inside the bounds, shape (N, P).
    """
    along = variable(expert, t)
    bounds = expert.bounds(along)
    linear = list(expert.linear)
    trials = expert.search_grid(along)
    best = np.tile(bounds.clip(np.zeros(bounds.lower.size), 0.25), (y.shape[0], 1))
    if t.ndim == 2 and len(expert.inputs) > 1:
        # A test plan has few rates and temperatures: specimens of the same ones are searched together.
        grids, which = np.unique(t, axis=0, return_inverse=True)
        if 4 * len(grids) <= len(t):
            for g, grid in enumerate(grids):
                same = which.reshape(-1) == g
                best[same] = _best_of(expert, trials, linear, bounds, grid, y[same], weights[same], best[same])
            return bounds.clip(best)
    for first in range(0, y.shape[0], _ROWS):
        rows = slice(first, first + _ROWS)
        best[rows] = _best_of(
            expert, trials, linear, bounds, t if t.ndim == 1 else t[rows], y[rows], weights[rows], best[rows]
        )
    return bounds.clip(best)


def _best_of(
    expert: Projectable, trials: Array, linear: list[int], bounds: Bounds, t: Array, y: Array, w: Array, default: Array
) -> Array:
    lowest = np.full(y.shape[0], np.inf)
    best = default.copy()
    same = t.ndim == 1 and bool(np.all(w == w[:1]))
    lower, upper = bounds.lower[linear], bounds.upper[linear]
    numbers = trials.size * (y.shape[1] if t.ndim == 1 else y.size)
    at_once = expert.value_and_jacobian(t, trials) if numbers <= _AT_ONCE else None
    for k, theta in enumerate(trials):
        value, jacobian = expert.value_and_jacobian(t, theta) if at_once is None else (at_once[0][k], at_once[1][k])
        basis = jacobian[..., linear]
        if not ((np.abs(value) < LARGEST).all() and (np.abs(basis) < LARGEST).all()):  # NaN is not less either
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
            found = bounded_linear(normal, right, lower, upper)
            normal = np.broadcast_to(normal, (y.shape[0], *normal.shape[1:]))
            cost = cost - 2 * np.sum(right * found, 1) + np.einsum("nl,nlm,nm->n", found, normal, found)
            trial[:, linear] = found
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
            for i in range(L):
                slope = b[:, i] - np.einsum("nl,nl->n", A[:, i], x)
                x[:, i] = np.clip(x[:, i] + slope / np.maximum(A[:, i, i], 1e-300), lower[i], upper[i])
        clipped[active] = x
    return clipped


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
