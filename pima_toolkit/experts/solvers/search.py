r"""A wider search for where to start, for a few curves without a start: candidates over all scales, then one by one.

Each candidate of the nonlinear parameters is judged at the optimum of the linear ones (variable projection). The best
that differ are then improved by scanning one parameter at a time over all its plausible values, the others held: terms
that hardly overlap, such as two peaks, are found one after the other, which no number of random points would do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..contract.inputs import variable
from ..contract.parameters import Bounds
from .starting import LARGEST, Projectable, bounded_linear, halton, place

Array = NDArray[np.float64]

#: Candidates of all rows together, those kept per row, and those of them that are scanned.
_CANDIDATES, _KEPT, _SCANNED = 4000, 12, 6
#: Values per parameter in a scan, and rounds of scans.
_VALUES, _ROUNDS = 60, 3
#: More rows than this are not searched for: they have neighbours to start from, and a guess.
ROWS = 16
#: Candidates evaluated at once, in numbers of their Jacobians.
_AT_ONCE = 4_000_000


def search(expert: Projectable, t: Array, y: Array, weights: Array, bounds: Bounds, held: NDArray[np.bool_]) -> Array:
    """Starting points of a few rows on a shared grid.

    Args:
        expert: The physics.
        t: Packed grid, shape (V T,).
        y: Curves, shape (C, T), finite where the weight is above zero.
        weights: Shape (C, T), not negative.
        bounds: Bounds.
        held: Parameters that are given and not searched, shape (P,).

    Returns:
        Starts inside the bounds, shape (C, 12, P), held parameters 0; or (C, 0, P) where there is nothing to search.
    """
    P, along = len(expert.parameters), variable(expert, t)
    linear = [p for p in expert.linear if not held[p]]
    nonlinear = [p for p in range(P) if p not in expert.linear and not held[p]]
    if not nonlinear or len(y) > ROWS or held.any():
        return np.zeros((len(y), 0, P))
    shares = halton(_CANDIDATES // len(y), len(nonlinear))
    trials = np.zeros((len(shares), P))
    even = (np.arange(_VALUES) + 0.5) / _VALUES
    units = [p.unit for p in expert.parameters]
    values = {p: place(even, bounds.lower[p], bounds.upper[p], along, units[p]) for p in nonlinear}
    for column, p in enumerate(nonlinear):
        trials[:, p] = place(shares[:, column], bounds.lower[p], bounds.upper[p], along, units[p])
    out = np.empty((len(y), _KEPT, P))
    for c in range(len(y)):
        judge = _Judge(expert, t, y[c], weights[c], bounds, linear)
        cost, found = judge(trials)
        chosen = _different(cost, shares)
        kept, costs = found[chosen], cost[chosen]
        for k in range(min(_SCANNED, len(kept))):
            kept[k], costs[k] = _scanned(judge, kept[k], costs[k], values)
        out[c] = kept[np.argsort(costs, kind="stable")]
    return bounds.clip(np.nan_to_num(out))


class _Judge:
    """Costs of candidates of one row, the linear parameters at their optimum."""

    def __init__(self, expert: Projectable, t: Array, y: Array, w: Array, bounds: Bounds, linear: list[int]) -> None:
        self.expert, self.t, self.y, self.w, self.linear = expert, t, np.where(w > 0, y, 0.0), w, linear
        self.lower, self.upper = bounds.lower[linear], bounds.upper[linear]

    def __call__(self, trials: Array) -> tuple[Array, Array]:
        """Costs (K,), infinite where the expert is not finite, and the completed candidates (K, P)."""
        size = max(1, _AT_ONCE // (self.y.size * trials.shape[1]))
        parts = [self._some(trials[k : k + size].copy()) for k in range(0, len(trials), size)]
        return np.concatenate([cost for cost, _ in parts]), np.concatenate([found for _, found in parts])

    def _some(self, trials: Array) -> tuple[Array, Array]:
        trials[:, self.linear] = 0.0
        value, jacobian = self.expert.value_and_jacobian(self.t, trials)
        basis, seen = jacobian[..., self.linear], self.w > 0
        fine = (np.abs(value[:, seen]) < LARGEST).all(1) & (np.abs(basis[:, seen]) < LARGEST).all((1, 2))
        cost = np.full(len(trials), np.inf)
        value, basis = value[fine][:, seen], basis[fine][:, seen]
        w, rest = self.w[seen], self.y[seen] - value
        if self.linear and fine.any():
            weighted = basis * w[:, None]
            found = bounded_linear(
                np.swapaxes(weighted, 1, 2) @ basis,
                (rest[:, None] @ weighted)[:, 0],
                self.lower,
                self.upper,
            )
            trials[np.ix_(fine, self.linear)] = found
            rest = rest - (basis @ found[..., None])[..., 0]
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
            costs, found = judge(trials)
            k = int(np.argmin(costs))
            if costs[k] < cost:
                theta, cost = found[k], float(costs[k])
        if not cost < before * (1 - 1e-3):
            break
    return theta, cost
