r"""Each specimen's most probable parameters under each population, and the line drawn there.

With :math:`S_c = L_c L_c^\top` and :math:`\phi = \phi_c + L_c u`, :math:`u \sim \mathcal N(0, I)`,

.. math:: \hat u_{dc} = \arg\min_u \; \frac{1}{v_c}\,\lVert x_d - E(t;\phi_c + L_c u)\rVert^2 + \lVert u\rVert^2 .

A nonlinear expert is linearised there and not at the population's own parameters: a kink that moves by one grid point
already costs a curve of low noise tens of nats when the line is drawn through another specimen's kink. For
:math:`S_c \to 0` the point is the population's. (First-order conditional estimation of nonlinear mixed-effects models,
Lindstrom & Bates 1990.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numba import boolean, float64, njit, prange, types
from numpy.typing import NDArray

from ..contract.bounds import FROM_UNBOUNDED, Bounds, fill_from_unbounded
from ..contract.law import Law
from ..formulas.codegen import CURVE
from ..formulas.compiled import call_compiled, compile_driver

Array = NDArray[np.float64]

#: Damped Gauss-Newton steps to a specimen's most probable parameters; from the cluster's, few are needed.
_STEPS = 8


def own_lines(
    law: Law, bounds: Bounds, t: Array, x: Array, mask: Array, theta: Array, root: Array, precision: Array
) -> tuple[Array, Array, Array]:
    """Residuals of every specimen from its own line, drawn to each cluster's parameters, as sums over its points.

    Args:
        law: The physics.
        bounds: Bounds of its parameters; one at its bound does not move.
        t: Shared grid (1, T), or one per specimen (N, T).
        x: Curves (N, T), in the expert's unit.
        mask: Observed points (N, T), 0 or 1.
        theta: Cluster parameters (C, P).
        root: L_c with S_c = L_c L_c^T, shape (C, P, P).
        precision: 1 / noise variance of each cluster (C,), in inverse squared units of x.

    Returns:
        r^T r (C, N), J^T r (C, N, P) and J^T J (C, N, P, P); r from the line at the cluster's parameters, J by the
        unbounded parameters.
    """
    curve = law.compiled_curve()
    if curve is None:
        return _without_loops(law, bounds, t, x, mask, theta, root, precision)
    clusters, size = theta.shape
    specimens, points = x.shape
    squared = np.empty((clusters, specimens))
    projected = np.empty((clusters, specimens, size))
    normal = np.empty((clusters, specimens, size, size))
    call_compiled(
        clusters * specimens * points * size,
        _driver,
        curve,
        compiled_transform(),
        *(np.require(a, np.float64, ["C", "W"]) for a in (t, x, mask, theta, bounds.to_unbounded(theta), root)),
        np.ascontiguousarray(bounds.at_bound(theta)),
        bounds.lower.copy(),
        bounds.upper.copy(),
        np.ascontiguousarray(precision, dtype=np.float64),
        squared,
        projected,
        normal,
    )
    return squared, projected, normal


def _without_loops(
    law: Law, bounds: Bounds, t: Array, x: Array, mask: Array, theta: Array, root: Array, precision: Array
) -> tuple[Array, Array, Array]:
    """Do what :func:`_one_line` does for all specimens at once, for laws without a compiled form."""
    C, P = theta.shape
    N = len(x)
    fixed, centre = bounds.at_bound(theta)[:, None], bounds.to_unbounded(theta)[:, None]
    precision = precision[:, None]

    def evaluate(u: Array) -> tuple[Array, Array]:
        own = np.where(fixed, theta[:, None], bounds.from_unbounded(centre + u @ root.mT))
        slope = np.where(fixed, 0.0, bounds.slope(own))
        if len(t) == 1:
            value, jacobian = law.value_and_jacobian(t[0], own)
        else:
            pairs = [law.value_and_jacobian(t[d], own[:, d]) for d in range(N)]
            value, jacobian = (np.stack([pair[k] for pair in pairs], axis=1) for k in (0, 1))
        return (x - value) * mask, jacobian * slope[:, :, None] * mask[..., None]

    def cost_of(u: Array, f: Array) -> Array:
        return np.square(u).sum(-1) + precision * np.square(f).sum(-1)

    u = np.zeros((C, N, P))
    f, J = evaluate(u)
    cost, damping = cost_of(u, f), np.full((C, N), 1e-3)
    for _ in range(_STEPS):
        M = J @ root[:, None]
        normal = precision[..., None, None] * (M.mT @ M) + (1 + damping)[..., None, None] * np.eye(P)
        right = precision[..., None] * (M.mT @ f[..., None])[..., 0] - u
        step = np.linalg.solve(normal, right[..., None])[..., 0]
        g, K = evaluate(u + step)
        new = cost_of(u + step, g)
        better = new < cost
        damping = np.where(better, 0.2 * damping, 8.0 * damping + 1.0)
        cost = np.where(better, new, cost)
        u = np.where(better[..., None], u + step, u)
        f, J = np.where(better[..., None], g, f), np.where(better[..., None, None], K, J)
        if np.abs(step).max() < 1e-6:
            break
    # Back along each line to the cluster's own parameters.
    r = f + (J @ (u @ root.mT)[..., None])[..., 0]
    return np.square(r).sum(-1), (J.mT @ r[..., None])[..., 0], J.mT @ J


@functools.cache
def compiled_transform() -> Callable:
    """The compiled form of :func:`~pima_toolkit.experts.contract.bounds.fill_from_unbounded`."""
    return compile_driver(FROM_UNBOUNDED.signature, fill_from_unbounded, parallel=False)


@functools.cache
def _driver() -> Callable:
    one, two, three, four = float64[::1], float64[:, ::1], float64[:, :, ::1], float64[:, :, :, ::1]
    inputs = (CURVE, FROM_UNBOUNDED, two, two, two, two, two, three, boolean[:, ::1], one, one, one)
    return compile_driver(types.void(*inputs, two, three, four), _all_lines)


def _all_lines(curve, back, t, x, mask, theta, centre, root, fixed, low, high, precision, squared, projected, normal):  # noqa: ANN001, ANN202 - compiled
    specimens = x.shape[0]
    for q in prange(centre.shape[0] * specimens):
        c, d = q // specimens, q % specimens
        grid = t[d] if t.shape[0] > 1 else t[0]
        squared[c, d] = _one_line(
            curve,
            back,
            grid,
            x[d],
            mask[d],
            theta[c],
            centre[c],
            root[c],
            fixed[c],
            low,
            high,
            precision[c],
            projected[c, d],
            normal[c, d],
        )


@njit
def _evaluate(curve, back, grid, x, mask, theta, centre, root, fixed, low, high, u, phi, own, slope, f, J):  # noqa: ANN001, ANN202 - compiled
    """Residual (in f) and Jacobian by the unbounded parameters (in J) at u, masked; returns the sum of squares."""
    size = u.size
    for p in range(size):
        phi[p] = centre[p]
        for k in range(size):
            phi[p] += root[p, k] * u[k]
    back(phi, theta, fixed, low, high, own, slope)
    curve(grid, own, f, J)
    total = 0.0
    for n in range(x.size):
        f[n] = (x[n] - f[n]) * mask[n]
        total += f[n] * f[n]
        for p in range(size):
            J[n, p] *= slope[p] * mask[n]
    return total


@njit
def _solve(A, b):  # noqa: ANN001, ANN202 - compiled
    """Solve a positive definite system in place by Cholesky; the answer is in b."""
    size = b.size
    for i in range(size):
        for j in range(i + 1):
            s = A[i, j]
            for k in range(j):
                s -= A[i, k] * A[j, k]
            A[i, j] = np.sqrt(s) if i == j else s / A[j, j]
    for i in range(size):
        for k in range(i):
            b[i] -= A[i, k] * b[k]
        b[i] /= A[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            b[i] -= A[k, i] * b[k]
        b[i] /= A[i, i]


@njit
def _one_line(curve, back, grid, x, mask, theta, centre, root, fixed, low, high, precision, projected, normal):  # noqa: ANN001, ANN202, C901 - compiled
    size, points = centre.size, x.size
    u, trial, step = np.zeros(size), np.zeros(size), np.zeros(size)
    phi, own, slope = np.zeros(size), np.zeros(size), np.zeros(size)
    f, J, g, K = np.empty(points), np.empty((points, size)), np.empty(points), np.empty((points, size))
    A, M = np.empty((size, size)), np.empty((points, size))
    cost = precision * _evaluate(
        curve, back, grid, x, mask, theta, centre, root, fixed, low, high, u, phi, own, slope, f, J
    )
    damping = 1e-3
    for _ in range(_STEPS):
        # By u instead of phi the prior is the identity, and a population without scatter needs no inverse.
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
        prior = 0.0
        moved = 0.0
        for i in range(size):
            trial[i] = u[i] + step[i]
            prior += trial[i] * trial[i]
            moved = max(moved, abs(step[i]))
        new = prior + precision * _evaluate(
            curve, back, grid, x, mask, theta, centre, root, fixed, low, high, trial, phi, own, slope, g, K
        )
        if new < cost:
            cost = new
            damping *= 0.2
            u[:] = trial
            f[:] = g
            J[:] = K
        else:
            damping = 8.0 * damping + 1.0
        if moved < 1e-6:
            break
    squared = 0.0
    projected[:] = 0.0
    normal[:] = 0.0
    for p in range(size):
        phi[p] = 0.0
        for k in range(size):
            phi[p] += root[p, k] * u[k]
    for n in range(points):
        # Back along the line to the cluster's own parameters.
        r = f[n]
        for p in range(size):
            r += J[n, p] * phi[p]
        squared += r * r
        for p in range(size):
            projected[p] += J[n, p] * r
            for k in range(size):
                normal[p, k] += J[n, p] * J[n, k]
    return squared
