r"""Least squares for laws without a compiled form: whole batches in torch, float64.

The derivatives of all rows follow from one evaluation: :math:`g(u) = J^\top u` is what a backward pass gives, linear in
u, so :math:`J e_p` is the derivative of :math:`g_p` by u, one more backward pass for each parameter. It follows
whatever the expert did, decisions on values included, such as the steps of a differential equation's solver. The
descent is bounded Levenberg-Marquardt as in ``levenberg_marquardt``, without bends and projections: the same steps,
damping, bounds and undamped end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ExpertError
from ..contract.law import Law

Array = NDArray[np.float64]

#: Dampings tried for each step, and undamped steps at the end.
_TRIALS, _POLISH = 40, 30


def values_and_slopes(law: Law, t: Array, theta: Array) -> tuple[Array, Array]:
    """Values (R, G, T) and Jacobians (R, G, T, P) on packed grids (G, V T) at parameters (R, P).

    Raises:
        ExpertError: If the expert returns another shape.
    """
    at = torch.as_tensor(theta, dtype=torch.float64)
    pairs = [_one_grid(law, torch.tensor(grid, dtype=torch.float64), at) for grid in t]
    values, slopes = (torch.stack([pair[k] for pair in pairs], dim=1) for k in (0, 1))
    return values.numpy(), slopes.numpy()


def _one_grid(law: Law, t: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Values (R, T) and Jacobians (R, T, P); NaN for parameters at which the expert gives up."""
    R, P = theta.shape
    expected = (R, t.shape[-1] // len(law.inputs))
    try:
        with torch.inference_mode(False), torch.enable_grad():
            at = theta.clone().requires_grad_()
            value = law.predict(t, at)
            _check(law, value, expected)
            push = torch.zeros_like(value, requires_grad=True)
            (pulled,) = _gradient(value, at, push, create_graph=True)
            slopes = [_gradient(pulled[:, p].sum(), push, retain_graph=True)[0] for p in range(P)]
    except (AssertionError, ArithmeticError):
        # One row of a batch that a solver cannot follow must not take the others with it.
        if R == 1:
            return torch.full(expected, torch.nan).double(), torch.full((*expected, P), torch.nan).double()
        halves = [_one_grid(law, t, part) for part in theta.chunk(2)]
        return torch.cat([value for value, _ in halves]), torch.cat([slope for _, slope in halves])
    return value.detach().double(), torch.stack(slopes, dim=-1).detach().double()


def _gradient(
    output: Tensor, at: Tensor, push: Tensor | None = None, *, create_graph: bool = False, retain_graph: bool = False
) -> tuple[Tensor, ...]:
    """The gradient, zero where the output does not depend on ``at``."""
    if not output.requires_grad:
        return (torch.zeros_like(at, requires_grad=create_graph),)
    return torch.autograd.grad(
        output,
        at,
        push,
        create_graph=create_graph,
        retain_graph=retain_graph or create_graph,
        allow_unused=True,
        materialize_grads=True,
    )


def _check(law: Law, value: Tensor, expected: tuple[int, int]) -> None:
    if value.shape != expected:
        raise ExpertError(
            f"expert {law.name!r} returned the shape {tuple(value.shape)}, expected {expected}: one value for each"
            " point of t and each row of theta (..., P)"
        )


def descend_rows(
    evaluate: Callable[[Array, Array], tuple[Array, Array]],
    whiten: Array | None,
    t: Array,
    y: Array,
    w: Array,
    x: Array,
    bounds: Array,
    kinds: NDArray[np.bool_],
    rows: Array,
    target: Array,
    max_iterations: int,
    tolerance: float,
) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """Descend from every start of every row; arguments and result as the compiled driver's, x (C, S, P) is moved.

    Before them: how values and Jacobians follow from grids and parameters, as :func:`values_and_slopes` says, and a
    matrix (T, T) that weighted residuals are multiplied by, or None.

    Returns:
        Cost, iterations and status, each (C, S).
    """
    C, S, P = x.shape
    descent = _Descent(evaluate, whiten, t, y, w, bounds, kinds, rows, target, S)
    start = torch.as_tensor(x.reshape(C * S, P))
    best, cost, iterations, status = descent.run(start, max_iterations, tolerance)
    x[...] = best.reshape(C, S, P).numpy()
    return cost.reshape(C, S).numpy(), iterations.reshape(C, S).numpy(), status.reshape(C, S).numpy()


class _Descent:
    """One batch of B = C S problems."""

    def __init__(
        self,
        evaluate: Callable[[Array, Array], tuple[Array, Array]],
        whiten: Array | None,
        t: Array,
        y: Array,
        w: Array,
        bounds: Array,
        kinds: NDArray[np.bool_],
        rows: Array,
        target: Array,
        starts: int,
    ) -> None:
        self.values, self.t = evaluate, t
        self.whiten = None if whiten is None else torch.tensor(whiten)
        self.low, self.high = torch.tensor(bounds)
        self.free, self.logs = torch.tensor(kinds[0]), torch.tensor(kinds[2])
        self.row = torch.arange(len(y)).repeat_interleave(starts)
        self.y, self.root = torch.tensor(y), torch.tensor(np.sqrt(w))
        self.rows, self.target = torch.tensor(rows), torch.tensor(target)

    def evaluate(self, x: Tensor, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residuals (b, T + K), their derivatives (b, T + K, P) and costs (b,) of the problems ``which``."""
        own = torch.where(self.logs, torch.where(self.logs, x, 0.0).exp(), x)
        slope = torch.where(self.logs, own, 1.0)
        row = self.row[which]
        if len(self.t) == 1:
            value, jacobian = (a[:, 0] for a in self.values(self.t, own.numpy()))
        else:
            value, jacobian = np.empty((len(x), self.y.shape[1])), np.empty((len(x), self.y.shape[1], x.shape[1]))
            for c in row.unique().tolist():
                mine = (row == c).numpy()
                pair = self.values(self.t[c : c + 1], own.numpy()[mine])
                value[mine], jacobian[mine] = (a[:, 0] for a in pair)
        root, seen = self.root[row], self.root[row] > 0
        residual = torch.where(seen, root * (torch.as_tensor(value) - self.y[row]), 0.0)
        derivative = torch.where(seen[..., None], root[..., None] * torch.as_tensor(jacobian), 0.0)
        if self.whiten is not None:
            residual, derivative = residual @ self.whiten.mT, self.whiten @ derivative
        known = (self.rows[row] @ own[..., None])[..., 0] - self.target[row]
        residual = torch.cat([residual, known], dim=1)
        derivative = torch.cat([derivative, self.rows[row]], dim=1) * slope[:, None]
        return residual, derivative, residual.square().sum(1)

    def moving(self, x: Tensor, r: Tensor, J: Tensor, cost: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flags of the parameters that move (b, P), the columns' norms (b, P), and whether any has a gradient (b,)."""
        gradient, norm = (J.mT @ r[..., None])[..., 0], J.norm(dim=1)
        outward = ((x <= self.low) & (gradient > 0)) | ((x >= self.high) & (gradient < 0))
        moves = self.free & ~outward & (norm > 0)
        steep = moves & (gradient.abs() > 1e-14 * norm * cost.sqrt()[:, None])
        return moves, norm, steep.any(1)

    def step(self, x: Tensor, r: Tensor, J: Tensor, moves: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clipped trial point for damping scale**2 (b, P), its largest relative move and the fall it promises."""
        held = torch.where(moves[:, None], J, 0.0)
        below = torch.diag_embed(torch.where(moves, scale, 1.0))
        Q, R = torch.linalg.qr(torch.cat([held, below], dim=1))
        right = -(Q[:, : r.shape[1]].mT @ r[..., None])
        fine = (R.diagonal(dim1=1, dim2=2).abs() > 1e-300).all(1) & right.isfinite().all(1)[:, 0]
        safe = torch.where(fine[:, None, None], R, torch.eye(R.shape[-1], dtype=R.dtype))
        step = torch.linalg.solve_triangular(safe, right, upper=True)[..., 0]
        trial = torch.where(moves, torch.clamp(x + step, self.low, self.high), x)
        along = ((trial - x)[:, None] @ J.mT)[:, 0]
        promised = torch.where(fine, -(along * (2 * r + along)).sum(1), torch.inf)
        moved = ((trial - x).abs() / (x.abs() + 1e-300)).amax(1)
        return torch.where(fine[:, None], trial, torch.nan), torch.where(fine, moved, torch.inf), promised

    def run(self, x: Tensor, max_iterations: int, tolerance: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All problems until each has ended."""
        everyone = torch.arange(len(x))
        r, J, cost = self.evaluate(x, everyone)
        total = (self.root * self.y).square().sum(1)[self.row]
        status = torch.where(cost.isfinite(), 99, -1)
        iterations, still = torch.zeros_like(status), torch.zeros_like(status)
        damping, growth, D = torch.full_like(cost, 1e-3), torch.full_like(cost, 2.0), torch.zeros_like(x)
        trials = torch.zeros_like(status)
        while True:
            exact = (status == 99) & (cost <= 1e-31 * total)
            status[exact] = 1
            status[(status == 99) & (iterations >= max_iterations)] = 0
            live = torch.nonzero(status == 99).flatten()
            if not len(live):
                break
            moves, norm, steep = self.moving(x[live], r[live], J[live], cost[live])
            status[live[~steep]] = 3
            D[live] = torch.maximum(D[live], norm)
            iterations[live] += (trials[live] == 0).long()
            scale = damping[live].sqrt()[:, None] * D[live]
            trial, moved, promised = self.step(x[live], r[live], J[live], moves, scale)
            new_r, new_J, new = self.evaluate(torch.where(trial.isfinite(), trial, x[live]), live)
            new = torch.where(trial.isfinite().all(1), new, torch.inf)
            better, before = new < cost[live], cost[live]
            small = (moved <= 1e-12) | ((promised >= 0) & (promised <= 1e-15 * before))
            self._reject(live[~better & steep], small[~better & steep], damping, growth, trials, status)
            up = better & steep
            good = live[up]
            ratio = torch.where(promised > 0, (before - new) / promised.clamp_min(1e-300), 0.5)[up]
            damping[good] = (damping[good] * (1 - (2 * ratio - 1) ** 3).clamp_min(0.2)).clamp_min(1e-15)
            growth[good], trials[good] = 2.0, 0
            still[good] = torch.where((before - new)[up] <= tolerance * before[up], still[good] + 1, 0)
            x[good], r[good], J[good], cost[good] = trial[up], new_r[up], new_J[up], new[up]
            status[good[still[good] >= 2]] = 1
        self._polish(x, r, J, cost, iterations, torch.nonzero(status > 0).flatten())
        return x, cost, iterations, status

    @staticmethod
    def _reject(bad: Tensor, small: Tensor, damping: Tensor, growth: Tensor, trials: Tensor, status: Tensor) -> None:
        damping[bad] *= growth[bad]
        growth[bad] *= 2.0
        trials[bad] += 1
        status[bad[small]] = 2
        status[bad[~small & (trials[bad] >= _TRIALS)]] = -4

    def _polish(self, x: Tensor, r: Tensor, J: Tensor, cost: Tensor, iterations: Tensor, live: Tensor) -> None:
        """Undamped steps in place, as long as the fall the gradient promises gets smaller."""
        kept, best = x.clone(), torch.full_like(cost, torch.inf)
        lowest = cost.clone()
        for _ in range(_POLISH):
            if not len(live):
                break
            moves, _, steep = self.moving(x[live], r[live], J[live], cost[live])
            trial, _, promised = self.step(x[live], r[live], J[live], moves, torch.zeros_like(x[live]))
            promised = torch.where(steep, promised.abs(), 0.0)
            good = (promised < 0.9 * best[live]) & (cost[live] <= lowest[live] * (1 + 1e-10))
            ok = live[good]
            kept[ok], best[ok], lowest[ok] = x[ok], promised[good], torch.minimum(cost[ok], lowest[ok])
            onward = good & (promised > 1e-30 * cost[live]) & trial.isfinite().all(1)
            live, trial = live[onward], trial[onward]
            if len(live):
                x[live] = trial
                r[live], J[live], cost[live] = self.evaluate(x[live], live)
                iterations[live] += 1
        x[:], cost[:] = kept, lowest
