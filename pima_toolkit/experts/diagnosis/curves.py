"""The curves of one population, each at its own parameters, as a diagnosis looks at them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ..contract.bounds import Bounds
from ..contract.law import Law
from ..noise.base import CurveNoise, CurveResiduals
from ..noise.robust import RobustNoise
from ..solvers.noisy_fits import curves_at
from .noise_evidence import NoiseEvidence, evidence_of

Array = NDArray[np.float64]

#: Relative singular value under which a direction of slopes counts as not seen.
_BLIND = 1e-6
#: Smooth functions along a curve, at most, and at least so many points of a curve for each.
_SMOOTH, _POINTS_EACH = 12, 3
#: Share of a function's square that is rounding.
_NOTHING = 1e-10
#: Residuals up to this share of the largest value of the curves are rounding.
_ROUNDING = 1e-9
#: Draws of every curve that predictions are made of, and specimens at most that they are made for.
_DRAWS, _DRAWN = 200, 60
#: Residuals beyond so many standard deviations are all alike.
_FAR = 35.0


@dataclass(frozen=True, eq=False)
class PopulationCurves:
    """Curves of N specimens of one population, or one curve.

    Args:
        law: The physics.
        bounds: Of its P parameters.
        packed: Packed inputs, (1, V T) or (N, V T), in the order of measuring.
        y: Curves, shape (N, T).
        weights: Weights of the points, shape (N, T).
        variance: Noise variance of a point of weight one, squared unit of the curves.
        left: What their own fits leave of them.
        phi: Own unbounded parameters of each, shape (N, P).
        held: Parameters (N, P) that stay, NaN where they do not.
        free: Which parameters were fitted, shape (P,).
        noise: Noise model.
        names: Of the specimens, (N,).
        centre: What each one's parameters were expected to be before its curve was seen, shape (N, P).
        scatter: Covariance between specimens, shape (P, P); None of one curve.
        label: What to call the population; empty where it is the only one.
        y_unit: Unit of the curves.
        t_unit: Unit of the independent variable.
    """

    law: Law
    bounds: Bounds
    packed: Array
    y: Array
    weights: Array
    variance: float
    left: CurveResiduals
    phi: Array
    held: Array
    free: NDArray[np.bool_]
    noise: CurveNoise
    names: list[str]
    centre: Array
    scatter: Array | None
    label: str = ""
    y_unit: str = "1"
    t_unit: str = "1"

    @property
    def t(self) -> Array:
        """Independent variable of every point, shape (N, T)."""
        return np.broadcast_to(self.left.t, self.y.shape)

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which points count, shape (N, T)."""
        return self.left.seen

    def white(self, values: Array) -> Array:
        """Functions along the curves, shape (N, T, K), weighted and whitened as residuals are."""
        root = np.sqrt(np.where(self.seen, self.weights, 0.0))
        shape = self.noise.shape(self.left.t, self.seen, self.left.curve)
        weighted = values * root[..., None]
        return weighted if shape.whiten is None else shape.whiten(weighted)

    @functools.cached_property
    def residual(self) -> Array:
        """Whitened residuals, shape (N, T), 0 where not seen; of a noise with heavy tails turned into Gaussian ones."""
        shape = self.noise.shape(self.left.t, self.seen, self.left.curve)
        r, _ = self.left.whitened(shape)
        if isinstance(self.noise, RobustNoise) and self.noise.scale > 0.0:
            log_tail = scipy.stats.t.logsf(np.abs(r) / self.noise.scale, self.noise.freedom_t)
            r = np.sign(r) * np.minimum(-scipy.special.ndtri_exp(log_tail), _FAR)
        return r

    @functools.cached_property
    def slopes(self) -> Array:
        """Orthonormal directions in which the parameters move the whitened curves, shape (N, T, P)."""
        shape = self.noise.shape(self.left.t, self.seen, self.left.curve)
        return orthonormal(self.left.whitened(shape)[1])

    @functools.cached_property
    def smooth(self) -> Array:
        """Smooth functions along the curves, cosines of the share of all points that lie before t; (N, T, K)."""
        along = np.sort(self.t[self.seen])
        place = (np.searchsorted(along, self.t, side="left") + np.searchsorted(along, self.t, side="right")) / 2.0
        points = int(np.median(self.seen.sum(1)))
        number = int(np.clip((points - self.free.sum()) // _POINTS_EACH, 1, _SMOOTH))
        return np.cos(np.pi * np.arange(number) * (place / max(along.size, 1))[..., None])

    @functools.cached_property
    def remainder(self) -> tuple[float, float]:
        """Variance of the whitened residuals beyond what is smooth, and its degrees of freedom; none of rounding."""
        if self.exact:
            return np.nan, 0.0
        own = orthonormal(self.beyond_slopes(self.smooth))
        r = self.without_slopes(self.residual[..., None])[..., 0]
        rest = np.square(r).sum(1) - np.square(own.mT @ r[..., None])[..., 0].sum(1)
        freedom = self.seen.sum(1) - (np.square(self.slopes).sum(1) > 0.5).sum(1) - (np.square(own).sum(1) > 0.5).sum(1)
        used = freedom > 0
        total = float(freedom[used].sum())
        return (float(np.maximum(rest[used], 0.0).sum()) / total if total else np.nan), total

    def without_slopes(self, values: Array) -> Array:
        """Functions (N, T, K) without what the parameters could say as well."""
        return values - self.slopes @ (self.slopes.mT @ values)

    def beyond_slopes(self, functions: Array) -> Array:
        """Functions (N, T, K) whitened, without what the parameters say as well; zero where that is all they are."""
        whitened = self.white(functions)
        rest = self.without_slopes(whitened)
        some = np.square(rest).sum(1, keepdims=True) > _NOTHING * np.square(whitened).sum(1, keepdims=True)
        return np.where(some, rest, 0.0)

    @functools.cached_property
    def standardised(self) -> Array:
        """Residuals in standard deviations of what they are after a fit, shape (N, T); 0 where not seen."""
        leverage = np.square(self.slopes).sum(-1)
        r = self.without_slopes(self.residual[..., None])[..., 0] / np.sqrt(np.maximum(1.0 - leverage, 0.05))
        mean = float(np.mean(np.square(r[self.seen]))) if self.seen.any() else 0.0
        return r / np.sqrt(mean) if mean > 0.0 else r

    @functools.cached_property
    def exact(self) -> bool:
        """Whether nothing but rounding is left of the curves."""
        curve = self.left.curve[self.seen]
        return not np.abs(self.y[self.seen] - curve).max(initial=0.0) > _ROUNDING * np.abs(curve).max(initial=0.0)

    @functools.cached_property
    def noise_evidence(self) -> NoiseEvidence:
        """What the residuals say of the noise model."""
        return evidence_of(self.noise, self.left)

    @property
    def deviation(self) -> Array:
        """Own parameters less what was expected, unbounded, those that were fitted; (N, free)."""
        return (self.phi - self.centre)[:, self.free]

    @property
    def parameters(self) -> list[str]:
        """Names of the fitted parameters that are free."""
        return [p.name for p, free in zip(self.law.parameters, self.free, strict=True) if free]

    @functools.cached_property
    def drawn(self) -> tuple[NDArray[np.int64], Array]:
        """Some specimens, evenly, and measured curves of others of the population in their place, noise and all.

        Returns:
            Their numbers (K,), and curves (draw, K, T) at their t; the same every time.
        """
        rng = np.random.default_rng(0)
        N, P = self.phi.shape
        rows = np.unique(np.linspace(0, N - 1, min(N, _DRAWN)).astype(np.int64))
        values, vectors = np.linalg.eigh(np.zeros((P, P)) if self.scatter is None else self.scatter)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        packed = self.packed if len(self.packed) == 1 else self.packed[rows]
        centre, held, size = self.centre[rows], self.held[rows], self.spread[rows]
        out = np.empty((_DRAWS, len(rows), self.y.shape[1]))
        for k in range(_DRAWS):
            phi = centre + rng.normal(size=centre.shape) @ root.T
            out[k] = curves_at(self.law, self.bounds, packed, phi, held) + size * rng.normal(size=size.shape)
        return rows, out

    @property
    def spread(self) -> Array:
        """Standard deviation of a measured point about its own curve, shape (N, T), in the unit of the curves."""
        weight = np.where(self.seen, self.weights, 1.0)
        return np.sqrt(self.noise.spread(self.left.curve) * self.variance / weight)


def orthonormal(values: Array) -> Array:
    """Orthonormal directions of functions (N, T, K); zero where there are fewer."""
    size = np.sqrt(np.square(values).sum(1, keepdims=True))
    left, singular, _ = np.linalg.svd(values / np.where(size > 0.0, size, 1.0), full_matrices=False)
    return np.where((singular > _BLIND)[:, None], left, 0.0)
