r"""The contract of a noise model: how the points of a curve scatter about it, up to one variance.

.. math:: y_n = E(t_n; \theta_n) + e_n, \qquad \operatorname{cov} e_n = v\, W_n^{-1/2} R_n W_n^{-1/2}

W are the weights of the points, R the shape of the noise (:class:`NoiseShape`), v the variance of a point of weight
one, which whoever fits the curves estimates. A solver asks for three things: to **whiten** residuals and slopes,
:math:`R^{-1/2} W^{1/2} r`, after which everything is ordinary least squares; the **log determinant** of R; and to
**update** the noise model's few numbers from what is left of the curves.

The numbers maximise the restricted likelihood of all curves together, each with parameters of its own,

.. math:: -\tfrac12\sum_n\gamma_n\big[\log\det R_n + \log\det J_n^\top R_n^{-1} J_n\big] - \tfrac f2\log v, \qquad
          f = \sum_n\gamma_n (T_n - \operatorname{rank} J_n),

with v at its best: a noise that is learned from residuals of a fit is not too small because of that fit, and needs no
population. Source: Patterson & Thompson 1971 (Biometrika 58, 545).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import ClassVar, Self

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Relative eigenvalue of J^T R^-1 J, at a diagonal of ones, under which a direction counts as not seen.
_BLIND = 1e-10
#: Points of the coarse search along each of one or two numbers.
_GRID = {1: 13, 2: 9}
#: First step, in logarithms, from the best numbers to those whose likelihood has fallen by chi-square's 90 % quantile,
#: and how many are tried between, along each of one or two numbers.
_STEP, _FALLEN, _TRIALS = 0.05, 2.71, {1: 25, 2: 9}


@dataclass(frozen=True, eq=False)
class NoiseShape:
    """Shape R of the noise of N curves.

    Args:
        whiten: From weighted residuals or slopes (N, T, ...), zero where nothing was measured, to whitened ones of the
            same shape; None where R = 1.
        log_det: Logarithm of the determinant of R over the measured points, shape (N,).
    """

    whiten: Callable[[Array], Array] | None
    log_det: Array


@dataclass(frozen=True, eq=False)
class CurveResiduals:
    """What N curves' own fits leave.

    Args:
        t: Independent variable, shape (1, T) or (N, T).
        seen: Which points count, shape (N, T).
        curve: The fitted curves, shape (N, T).
        residual: Measured minus fitted, times the root of the weight; 0 where not seen. Shape (N, T).
        jacobian: Slopes in the free parameters, times the root of the weight; 0 where not seen. Shape (N, T, P).
        share: How much each curve counts, shape (N,).
    """

    t: Array
    seen: NDArray[np.bool_]
    curve: Array
    residual: Array
    jacobian: Array
    share: Array

    def whitened(self, shape: NoiseShape) -> tuple[Array, Array]:
        """Residuals and slopes, whitened."""
        if shape.whiten is None:
            return self.residual, self.jacobian
        return shape.whiten(self.residual), shape.whiten(self.jacobian)

    @staticmethod
    def projected(r: Array, J: Array) -> tuple[Array, Array, Array]:
        """Sum of squares left by the best straight step in the parameters, log det of J^T J, and rank; (N,) each.

        The step makes it no matter towards what the fit was drawn.

        Args:
            r: Whitened residuals, shape (N, T).
            J: Whitened slopes, shape (N, T, P).
        """
        normal, pull = J.mT @ J, (J.mT @ r[..., None])[..., 0]
        size = np.sqrt(np.diagonal(normal, axis1=1, axis2=2))
        dead = ~(size > 0.0)
        size = np.where(dead, 1.0, size)
        values, vectors = np.linalg.eigh(normal / (size[:, :, None] * size[:, None, :]))
        used = values > _BLIND
        along = np.square((vectors.mT @ (pull / size)[..., None])[..., 0])
        left = np.square(r).sum(1) - np.where(used, along / np.where(used, values, 1.0), 0.0).sum(1)
        log_det = np.where(used, np.log(np.where(used, values, 1.0)), 0.0).sum(1)
        log_det += np.where(dead, 0.0, 2.0 * np.log(size)).sum(1)
        return np.maximum(left, 0.0), log_det, used.sum(1).astype(np.float64)

    def standardised(self) -> Array:
        """Residuals over the root of one minus their leverage, shape (N, T): as wide as the noise, after a fit too."""
        J = self.jacobian
        size = np.sqrt(np.maximum(np.square(J).sum(1, keepdims=True), 1e-300))
        left, values, _ = np.linalg.svd(J / size, full_matrices=False)
        leverage = np.square(np.where((values > 1e-5)[:, None], left, 0.0)).sum(-1)
        return self.residual / np.sqrt(np.maximum(1.0 - leverage, 0.05))

    @property
    def spacing(self) -> float:
        """Median distance of neighbouring points along t, over the curves."""
        steps = [np.diff(np.sort(row)) for row in self._measured()]
        steps = np.concatenate([step[step > 0.0] for step in steps] or [np.zeros(0)])
        return float(np.median(steps)) if steps.size else 1.0

    @property
    def reach(self) -> float:
        """Longest stretch of t that a curve was measured along."""
        return max((float(np.ptp(row)) for row in self._measured() if row.size), default=0.0) or 1.0

    def _measured(self) -> list[Array]:
        t = np.broadcast_to(self.t, self.seen.shape)
        return [row[seen] for row, seen in zip(t, self.seen, strict=True)]


@dataclass(frozen=True)
class CurveNoise(ABC):
    """A noise model with its numbers; a subclass is the whole of a new one.

    To write one: a frozen dataclass whose fields are its numbers (floats with defaults to start from), ``shape``, and
    ``limits`` of the numbers that :meth:`update` may choose among. A noise that is no Gaussian of a given shape
    replaces ``working`` and ``update`` as well, as :class:`~pima_toolkit.experts.noise.robust.RobustNoise` does.

    Attributes:
        name: How people ask for it.
        words: What it says of the noise.
        correlated: Whether R is no diagonal.
        follows_curve: Whether the shape depends on the fitted curve, so that fits and shapes take turns.
    """

    name: ClassVar[str]
    words: ClassVar[str]
    correlated: ClassVar[bool] = False
    follows_curve: ClassVar[bool] = False

    @abstractmethod
    def shape(self, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:
        """Shape of the noise of N curves.

        Args:
            t: Independent variable, shape (1, T) or (N, T).
            seen: Which points were measured, shape (N, T).
            curve: Curves as fitted so far, shape (N, T); anything where not seen.
        """

    def limits(self, residuals: CurveResiduals) -> dict[str, tuple[float, float]]:  # noqa: ARG002 - nothing to learn
        """Lowest and highest value of each number that is learned, all above zero: they move in their logarithms."""
        return {}

    def working(self, y: Array, weights: Array, curve: Array) -> Array:  # noqa: ARG002 - Gaussian
        """Data that ordinary least squares is given in place of y, shape (N, T)."""
        return y

    def spread(self, curve: Array) -> Array:
        """Variance of a measured point over v, shape of ``curve``, for bands of new measurements."""
        return np.ones_like(curve)

    def update(self, residuals: CurveResiduals) -> Self:
        """Learn the numbers by the restricted likelihood of all curves together; the same where they say nothing."""
        limits = self.limits(residuals)
        if not limits or self._cost(residuals) is None:
            return self
        low, high = np.log(np.array(list(limits.values()))).T

        def made(x: Array) -> Self:
            return replace(self, **dict(zip(limits, np.exp(np.clip(x, low, high)).tolist(), strict=True)))

        def cost(x: Array) -> float:
            found = made(x)._cost(residuals)
            outside = np.square(x - np.clip(x, low, high)).sum()
            return np.inf if found is None else found + 1e3 * float(outside)

        known = np.array([getattr(self, name) for name in limits])
        if (known > 0.0).all() and any(getattr(self, name) != getattr(type(self)(), name) for name in limits):
            best, reach = np.clip(np.log(known), low, high), np.full(len(low), 0.3)
        else:
            axes = [np.linspace(a, b, _GRID[len(low)]) for a, b in zip(low, high, strict=True)]
            trials = np.stack(np.meshgrid(*axes), -1).reshape(-1, len(low))
            best, reach = (
                trials[int(np.argmin([cost(x) for x in trials]))],
                np.array([0.6 * (a[1] - a[0]) for a in axes]),
            )
        simplex = np.concatenate([best[None], best + np.diag(np.where(best + reach > high, -reach, reach))])
        options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-6, "maxiter": 80 * len(low)}
        return made(scipy.optimize.minimize(cost, best, method="Nelder-Mead", options=options).x)

    def _cost(self, residuals: CurveResiduals) -> float | None:
        """Twice the negative restricted log likelihood at the best variance; None without a degree of freedom."""
        shape = self.shape(residuals.t, residuals.seen, residuals.curve)
        left, log_det, rank = residuals.projected(*residuals.whitened(shape))
        points = residuals.seen.sum(1)
        share = residuals.share * (points > rank)
        freedom = float(share @ (points - rank))
        if not freedom > 0.0:
            return None
        total = max(float(share @ left), 1e-300)
        return float(share @ (shape.log_det + log_det)) + freedom * float(np.log(total / freedom))

    def integrated(self, residuals: CurveResiduals) -> Array:
        r"""Covariance of one curve's parameters with the noise's numbers integrated out, shape (P, P).

        The numbers were learned from the same points, and errors that take them as given are too small. Over the
        numbers that are inside the 90 % interval of their restricted likelihood, which is their weight, it is the mean
        of :math:`s^2 (J^\top R^{-1} J)^{-1}` and the scatter of the best parameters. Without numbers to learn it is
        :math:`s^2 (J^\top J)^{-1}`.

        Args:
            residuals: Of one curve.
        """
        trials = [self, *self._about(residuals)]
        costs, covariances, steps = [], [], []
        for noise in trials:
            shape = noise.shape(residuals.t, residuals.seen, residuals.curve)
            whitened = residuals.whitened(shape)
            r, J = (part[0] for part in whitened)
            left, log_det, rank = (float(part[0]) for part in residuals.projected(*whitened))
            size = np.sqrt(np.maximum(np.square(J).sum(0), 1e-300))
            inverse = np.linalg.pinv(J.T @ J / np.outer(size, size), rcond=_BLIND, hermitian=True)
            inverse /= np.outer(size, size)
            most = max(float(residuals.seen.sum()) - rank, 1.0)
            costs.append(float(shape.log_det[0]) + log_det + most * np.log(max(left, 1e-300) / most))
            covariances.append(inverse * left / most)
            steps.append(inverse @ (J.T @ r))
        weight = np.exp(-0.5 * (np.array(costs)[1:] - np.min(costs)))
        weight /= weight.sum()
        within, away = np.array(covariances)[1:], np.array(steps)[1:] - steps[0]
        return np.einsum("k,kpq->pq", weight, within) + np.einsum("k,kp,kq->pq", weight, away, away)

    def _about(self, residuals: CurveResiduals) -> list[Self]:
        """This noise, and others as far about it as its numbers are uncertain."""
        limits = self.limits(residuals)
        if not limits or self._cost(residuals) is None:
            return [self]
        centre = np.log([getattr(self, name) for name in limits])
        low, high = np.log(np.array(list(limits.values()))).T

        def made(x: Array) -> Self:
            return replace(self, **dict(zip(limits, np.exp(x).tolist(), strict=True)))

        middle, axes = self._cost(residuals) or 0.0, []
        for k in range(len(centre)):
            ends = []
            for sign, limit in ((-1.0, low[k]), (1.0, high[k])):
                reach = _STEP
                while True:
                    there = centre.copy()
                    there[k] = np.clip(centre[k] + sign * reach, low[k], high[k])
                    cost = made(there)._cost(residuals)
                    if cost is None or cost > middle + _FALLEN or there[k] == limit:
                        break
                    reach *= 1.4
                ends.append(there[k])
            axes.append(np.linspace(ends[0], ends[1], _TRIALS[len(centre)]))
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(centre))
        return [made(x) for x in grid]

    def numbers(self) -> dict[str, float]:
        """Return the noise's numbers by name, beside its variance."""
        return {f.name: float(getattr(self, f.name)) for f in fields(self)}

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} {value:.3g}" for name, value in self.numbers().items())
        return f"{self.name} noise" + (f", {numbers}" if numbers else "")
