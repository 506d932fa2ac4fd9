r"""Every curve's own fit: the estimate of its specimen's parameters, and what the curve says about them.

With :math:`\phi` the unbounded parameters, weights w and a population :math:`\phi_c, S_c = L L^\top` as prior,

.. math:: \hat\phi_n = \arg\min_\phi \; \tfrac1{v}\sum_t w_{nt}\,\big(y_{nt} - E(t_{nt};\phi)\big)^2 + \lVert u\rVert^2,
          \qquad \phi = \phi_c + L u

by damped Gauss-Newton steps in u, where the prior is the identity: a population without scatter needs no inverse, and a
direction that the curve leaves open stays where the population puts it. About :math:`\hat\phi_n` the log likelihood is
taken as quadratic in :math:`\phi` (:class:`CurveInformation`): everything above this file is linear and Gaussian in the
parameters, whatever the grid, the gaps, the weights or the number of points. About the population's own parameters it
would be another one: a kink that moves by one grid point costs a curve of low noise tens of nats when the line is drawn
through another specimen's kink.

Source: first-order conditional estimation of nonlinear mixed-effects models, Lindstrom & Bates 1990.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numba import boolean, float64, int64, njit, types
from numpy.typing import ArrayLike, NDArray

from ...compiling import compiled
from ..contract.bounds import FROM_UNBOUNDED, Bounds, fill_from_unbounded
from ..contract.law import Law
from ..formulas.codegen import CURVE
from ..formulas.compiled import call_compiled

Array = NDArray[np.float64]

#: Steps of a fit from a cold start; a warm one ends by itself after a few.
STEPS = 60
#: Trials beyond them: a step that is too long is tried again shorter, and a warm fit that ended there would stay where
#: it is for ever.
RETRIES = 12
#: A step shorter than this, in standard deviations of the population, is the last.
TOLERANCE = 1e-6
LOG_2PI = math.log(2.0 * math.pi)


@dataclass(frozen=True)
class CurveInformation:
    r"""What N curves say about their specimens' parameters, quadratic about an estimate of each.

    .. math:: \log p(y_n \mid \phi, v) = -\tfrac12\Big[\tfrac{q_n - 2 g_n^\top\delta + \delta^\top H_n\delta}{v}
              + T_n\log 2\pi v - \textstyle\sum_t\log w_{nt}\Big], \qquad \delta = \phi - \hat\phi_n

    Args:
        estimate: :math:`\hat\phi_n`, unbounded parameters, shape (N, P).
        squared: :math:`q_n`, weighted residual sum of squares at the estimate, shape (N,), squared unit of the curves.
        gradient: :math:`g_n = J^\top W r`, shape (N, P); zero where the population did not pull.
        normal: :math:`H_n = J^\top W J`, shape (N, P, P); never inverted; zero in a direction that the curve
            says nothing about.
        points: :math:`T_n`, points with weight, shape (N,).
        log_weight: Sum of the logarithms of the weights over those points, shape (N,).
        shift: What is added to the curve's log evidence under each of C populations where the quadratic was matched to
            integrals (:func:`~pima_toolkit.experts.integrated`), shape (N, C), nats; 0 elsewhere. None: nothing.
        outside: The same under any other prior, shape (N,), nats. None: nothing.
        terms: What is known of the specimens and moves their parameters, values of covariates or of formulas of them,
            shape (N, k). None: nothing.
        batch: Number of the batch of each, shape (N,). None: there are none.
    """

    estimate: Array
    squared: Array
    gradient: Array
    normal: Array
    points: Array
    log_weight: Array
    shift: Array | None = None
    outside: Array | None = None
    terms: Array | None = None
    batch: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.estimate)

    def at(self, index: ArrayLike | slice) -> CurveInformation:
        """The specimens of ``index``."""
        rows = index if isinstance(index, slice) else np.asarray(index)
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: part[rows] for name, part in parts.items() if part is not None})

    def about(self, phi: Array) -> tuple[Array, Array]:
        """Residual sum of squares (N, C) and gradient (N, C, P) of the same quadratics at other parameters (C, P)."""
        step = phi[None] - self.estimate[:, None]
        gradient = self.gradient[:, None] - (self.normal[:, None] @ step[..., None])[..., 0]
        return self.squared[:, None] - ((self.gradient[:, None] + gradient) * step).sum(-1), gradient

    def marginal(self, centre: Array, scatter: Array, variance: float) -> Array:
        """log p(y) of every curve if parameters are N(centre, scatter), shape (N,), nats.

        Args:
            centre: Shape (P,).
            scatter: Shape (P, P).
            variance: Noise variance.
        """
        squared, gradient = (part[:, 0] for part in self.about(centre[None]))
        values, vectors = np.linalg.eigh(scatter)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        grown = np.eye(len(centre)) + root.T @ self.normal @ root / variance
        pull = (gradient @ root)[..., None] / variance
        explained = (pull * np.linalg.solve(grown, pull))[..., 0].sum(-1)
        constant = self.points * (LOG_2PI + np.log(variance)) - self.log_weight
        return -0.5 * (squared / variance + constant - explained + np.linalg.slogdet(grown)[1])

    def log_prob(self, phi: Array, variance: Array) -> Array:
        """log p(y given phi), shape (N, C), nats, at parameters (C, P) with noise variances (C,) or (N, C)."""
        squared, _ = self.about(phi)
        return -0.5 * (
            squared / variance + self.points[:, None] * (LOG_2PI + np.log(variance)) - self.log_weight[:, None]
        )


def own_fits(
    law: Law,
    bounds: Bounds,
    t: Array,
    y: Array,
    weights: Array,
    centre: Array,
    root: Array,
    which: NDArray[np.int64],
    precision: Array,
    start: Array | None = None,
    *,
    theta: Array | None = None,
    steps: int = STEPS,
    whiten: Callable[[Array], Array] | None = None,
) -> tuple[CurveInformation, Array]:
    """Fit every curve by itself, with its population as prior.

    Args:
        law: The physics.
        bounds: Bounds of its parameters.
        t: Packed inputs: a shared grid (1, V T), or one for each specimen (N, V T).
        y: Curves, shape (N, T), in the unit of the law; anything where the weight is zero.
        weights: Weights of the squared residuals, shape (N, T); 0 where nothing was measured.
        centre: Unbounded parameters of K populations, shape (K, P).
        root: L with scatter S = L L^T, shape (K, P, P).
        which: The population that is each specimen's prior, shape (N,).
        precision: 1 / noise variance of each specimen's curve, shape (N,), inverse squared unit of the curves.
        start: Where to start, unbounded parameters, shape (N, S, P): the best of S ends is kept; by default the
            population.
        theta: The populations' parameters, shape (K, P), where some are at a bound: those stay there. None: none is.
        steps: At most so many steps from every start, and :data:`RETRIES` that are not taken.
        whiten: From weighted residuals or slopes (N, T, ...) to whitened ones, where the noise is not white.

    Returns:
        What each curve says, and the penalised cost of each at its estimate, shape (N,): the weighted residuals over
        the noise variance plus the squared distance from the population.
    """
    (N, T), (K, P) = y.shape, centre.shape
    start = centre[which][:, None] if start is None else start
    t, y, weights, centre, root, start = (
        np.require(a, np.float64, ["C", "W"]) for a in (t, y, weights, centre, root, start)
    )
    at, held = (np.zeros((K, P)), np.zeros((K, P), dtype=bool)) if theta is None else (theta, bounds.at_bound(theta))
    at, held = np.require(at, np.float64, ["C", "W"]), np.ascontiguousarray(held)
    which = np.ascontiguousarray(which, dtype=np.int64)
    # In u: the pseudo-inverse leaves out the directions in which a population does not scatter.
    offset = start - centre[which][:, None]
    begin = np.ascontiguousarray(np.einsum("npq,nsq->nsp", np.linalg.pinv(root, rcond=1e-12)[which], offset))
    # Before the fits: no two arrays as large as the curves at a time.
    seen = weights > 0.0
    log_weight = np.log(weights, out=np.zeros_like(weights), where=seen).sum(1)
    phi, squared, gradient = np.empty((N, P)), np.empty(N), np.empty((N, P))
    normal, cost = np.empty((N, P, P)), np.empty(N)
    out = (phi, squared, gradient, normal, cost)
    prior = (centre, root, at, held, which)
    precision = np.ascontiguousarray(precision, dtype=np.float64)
    curve = law.compiled_curve()
    if curve is None or whiten is not None:
        _fit_batch(law, bounds, t, y, weights, *prior, precision, begin, steps, *out, whiten)
    else:
        limits = bounds.lower.copy(), bounds.upper.copy()
        inputs = (t, y, np.sqrt(weights), *prior, *limits, precision, begin, steps)
        call_compiled(_driver, N, N * start.shape[1] * T * P, curve, compiled_transform(), *inputs, *out)
    return CurveInformation(phi, squared, gradient, normal, seen.sum(1).astype(np.float64), log_weight), cost


@functools.cache
def compiled_transform() -> Callable:
    """The compiled form of :func:`~pima_toolkit.experts.contract.bounds.fill_from_unbounded`."""
    return compiled([FROM_UNBOUNDED.signature])(fill_from_unbounded)


@functools.cache
def _driver() -> Callable:
    one, two, three = float64[::1], float64[:, ::1], float64[:, :, ::1]
    inputs = (CURVE, FROM_UNBOUNDED, two, two, two, two, three, two, boolean[:, ::1], int64[::1], one, one, one, three)
    signature = types.void(int64, int64, *inputs, int64, two, one, two, three, one)
    return compiled([signature], nogil=True)(_all_fits)


def _all_fits(begin, end, curve, back, t, y, w, centre, root, theta, fixed, which, low, high, precision, start, steps, phi, squared, gradient, normal, cost):  # fmt: skip  # noqa: ANN001, ANN202, E501 - compiled
    for n in range(begin, end):
        k = which[n]
        grid = t[n] if t.shape[0] > 1 else t[0]
        squared[n], cost[n] = _one_fit(
            curve, back, grid, y[n], w[n], centre[k], root[k], theta[k], fixed[k], low, high, precision[n], start[n],
            steps, phi[n], gradient[n], normal[n],
        )  # fmt: skip


@njit
def _evaluate(curve, back, grid, y, w, centre, root, theta, fixed, low, high, u, phi, own, slope, f, J):  # noqa: ANN001, ANN202 - compiled
    """Weighted residual (f) and Jacobian by the unbounded parameters (J) at u; returns the sum of squares.

    A point without weight is nothing, also where the law has no value. A derivative that is not a number, where a steep
    law overflows, says nothing at that point: one such would leave the whole curve without information.
    """
    size = u.size
    for p in range(size):
        phi[p] = centre[p]
        for k in range(size):
            phi[p] += root[p, k] * u[k]
    back(phi, theta, fixed, low, high, own, slope)
    curve(grid, own, f, J)
    total = 0.0
    for n in range(y.size):
        if w[n] > 0.0:
            f[n] = (y[n] - f[n]) * w[n]
            for p in range(size):
                J[n, p] *= slope[p] * w[n]
                if not np.isfinite(J[n, p]):
                    J[n, p] = 0.0
            total += f[n] * f[n]
        else:
            f[n] = 0.0
            for p in range(size):
                J[n, p] = 0.0
    return total


@njit
def _solve(A, b):  # noqa: ANN001, ANN202 - compiled
    """Solve a positive definite system in place by Cholesky; the answer is in b.

    A pivot lost to rounding, where parameters cannot be told apart at this noise, is what rounding leaves of it.
    """
    size = b.size
    for i in range(size):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= A[i, k] * A[j, k]
            if i > j:
                A[i, j] = s / A[j, j]
            else:
                least = 1e-15 * A[i, i] + 1e-300
                A[i, j] = np.sqrt(s if s > least else least)
    for i in range(size):
        for k in range(i):
            b[i] -= A[i, k] * b[k]
        b[i] /= A[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            b[i] -= A[k, i] * b[k]
        b[i] /= A[i, i]


@njit
def _one_fit(curve, back, grid, y, w, centre, root, theta, fixed, low, high, precision, start, steps, best, gradient, normal):  # fmt: skip  # noqa: ANN001, ANN202, C901, E501 - compiled
    """The best end of all starts of one curve; returns its sum of squares and its penalised cost."""
    size, points = centre.size, y.size
    u, trial, step = np.zeros(size), np.zeros(size), np.zeros(size)
    phi, own, slope = np.zeros(size), np.zeros(size), np.zeros(size)
    f, J, g, K = np.empty(points), np.empty((points, size)), np.empty(points), np.empty((points, size))
    A, M = np.empty((size, size)), np.empty((points, size))
    lowest, squared = np.inf, np.inf
    for p in range(size):
        best[p] = centre[p]
    gradient.fill(0.0)
    normal.fill(0.0)
    for s in range(start.shape[0]):
        prior = 0.0
        for i in range(size):
            u[i] = start[s, i]
            prior += u[i] * u[i]
        total = _evaluate(curve, back, grid, y, w, centre, root, theta, fixed, low, high, u, phi, own, slope, f, J)
        cost = precision * total + prior
        if not np.isfinite(cost):
            continue
        damping, taken = 1e-3, 0
        for _ in range(steps + RETRIES if steps > 0 else 0):
            for n in range(points):
                for i in range(size):
                    M[n, i] = 0.0
                    for p in range(size):
                        M[n, i] += J[n, p] * root[p, i]
            for i in range(size):
                step[i] = -u[i]
                for n in range(points):
                    step[i] += precision * M[n, i] * f[n]
                for j in range(i + 1):
                    A[i, j] = 1.0 + damping if i == j else 0.0
                    for n in range(points):
                        A[i, j] += precision * M[n, i] * M[n, j]
            _solve(A, step)
            prior, moved = 0.0, 0.0
            for i in range(size):
                trial[i] = u[i] + step[i]
                prior += trial[i] * trial[i]
                moved = max(moved, abs(step[i]))
            more = _evaluate(
                curve, back, grid, y, w, centre, root, theta, fixed, low, high, trial, phi, own, slope, g, K
            )
            new = precision * more + prior
            if new < cost:
                cost, total = new, more
                damping *= 0.2
                taken += 1
                # Element by element: u[:] = trial takes seconds to compile, for the sake of its errors.
                for i in range(size):
                    u[i] = trial[i]
                for n in range(points):
                    f[n] = g[n]
                    for i in range(size):
                        J[n, i] = K[n, i]
            else:
                damping = 8.0 * damping + 1.0
            if moved < TOLERANCE or taken == steps:
                break
        if cost < lowest:
            lowest, squared = cost, total
            for p in range(size):
                best[p] = centre[p]
                for k in range(size):
                    best[p] += root[p, k] * u[k]
                gradient[p] = 0.0
                for q in range(size):
                    normal[p, q] = 0.0
            for n in range(points):
                for p in range(size):
                    gradient[p] += J[n, p] * f[n]
                    for q in range(size):
                        normal[p, q] += J[n, p] * J[n, q]
    return squared, lowest


def _fit_batch(
    law: Law,
    bounds: Bounds,
    t: Array,
    y: Array,
    weights: Array,
    centre: Array,
    root: Array,
    theta: Array,
    fixed: NDArray[np.bool_],
    which: NDArray[np.int64],
    precision: Array,
    start: Array,
    steps: int,
    phi: Array,
    squared: Array,
    gradient: Array,
    normal: Array,
    cost: Array,
    whiten: Callable[[Array], Array] | None,
) -> None:
    """Do what :func:`_one_fit` does for all curves at once: for a law without a compiled form, or coloured noise."""
    cost[:], squared[:], gradient[:], normal[:], phi[:] = np.inf, np.inf, 0.0, 0.0, centre[which]
    L, identity, held = root[which], np.eye(centre.shape[1]), fixed[which]
    seen, w = weights > 0.0, np.sqrt(weights)

    def evaluate(u: Array) -> tuple[Array, Array, Array]:
        at = centre[which] + np.einsum("npq,nq->np", L, u)
        own = np.where(held, theta[which], bounds.from_unbounded(at))
        if len(t) == 1:
            value, slopes = law.value_and_jacobian(t[0], own)
        else:
            pairs = [law.value_and_jacobian(grid, row) for grid, row in zip(t, own, strict=True)]
            value, slopes = (np.stack([pair[k] for pair in pairs]) for k in (0, 1))
        slope = np.where(held, 0.0, bounds.slope(own))
        f = w * np.where(seen, y - value, 0.0)
        J = slope[:, None] * w[..., None] * np.where(seen[..., None] & np.isfinite(slopes), slopes, 0.0)
        return (at, f, J) if whiten is None else (at, whiten(f), whiten(J))

    for s in range(start.shape[1]):
        u = start[:, s].copy()
        at, f, J = evaluate(u)
        total, damping = np.square(f).sum(1), np.full(len(y), 1e-3)
        penalised, taken = precision * total + np.square(u).sum(1), np.zeros(len(y), dtype=np.int64)
        for _ in range(steps + RETRIES if steps > 0 else 0):
            M = J @ L
            A = precision[:, None, None] * (M.mT @ M) + (1.0 + damping)[:, None, None] * identity
            downhill = precision[:, None] * (M.mT @ f[..., None])[..., 0] - u
            step = np.asarray(np.linalg.solve(A, downhill[..., None])[..., 0], dtype=np.float64)
            trial, g, K = evaluate(u + step)
            more = np.square(g).sum(1)
            new = precision * more + np.square(u + step).sum(1)
            better = (new < penalised) & (taken < steps)
            taken += better
            damping = np.where(better, 0.2 * damping, 8.0 * damping + 1.0)
            u, at = np.where(better[:, None], u + step, u), np.where(better[:, None], trial, at)
            f, J = np.where(better[:, None], g, f), np.where(better[:, None, None], K, J)
            total, penalised = np.where(better, more, total), np.where(better, new, penalised)
            if not np.nanmax(np.abs(step[taken < steps]), initial=0.0) >= TOLERANCE:
                break
        lower = penalised < cost
        cost[lower], squared[lower], phi[lower] = penalised[lower], total[lower], at[lower]
        gradient[lower] = (J.mT @ f[..., None])[lower, :, 0]
        normal[lower] = (J.mT @ J)[lower]
