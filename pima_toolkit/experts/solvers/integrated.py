r"""Curves that no quadratic describes: what they say of their parameters, by importance sampling.

At a bound, a kink or with several optima a curve's log likelihood is not the quadratic about one estimate. Under a
population :math:`\phi = \phi_c + L u`, u standard normal, draws give

.. math:: Z = \int N(u; 0, I)\, p(y \mid \phi_c + L u)\, du, \quad m = E[u \mid y], \quad
          \Sigma = \mathrm{cov}[u \mid y], \quad \bar q = E[q \mid y]

and the quadratic is exchanged for the one that has the same posterior under that population: mean m, covariance
:math:`\Sigma` (at most the population's own), expected residual sum of squares :math:`\bar q`, and a constant so that
the evidence is Z. Everything that is linear and Gaussian in the parameters then does with it what it would do with the
true likelihood: by Fisher's identity the derivatives of log Z by centre, scatter and noise are right too.

Draws are low-discrepancy points through Student t distributions, adapted in a few rounds and weighted together; beside
them the population itself, so that weights are bounded. The same points every time: nothing here is random.

Source: Cappe, Guillin, Marin, Robert 2004, population Monte Carlo; Cornuet, Marin, Mira, Robert 2012, adaptive multiple
importance sampling; Minka 2001, expectation propagation, for quadratics by their moments.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ..contract.bounds import Bounds
from ..contract.inputs import variable
from ..contract.law import Law
from ..noise.base import CurveNoise
from .own_fits import LOG_2PI, CurveInformation

Array = NDArray[np.float64]

#: Nats by which the likelihood of a curve may differ from the quadratic that stands for it before draws are taken.
BEYOND = 0.5
#: How much wider than the posterior the draws of each round are, in variance; draws in each; degrees of freedom.
WIDER, DRAWS, FREEDOM = (1.5, 6.0, 1.5, 1.5), 256, 3.0
#: Effective draws, for each parameter, that a round is adapted to: weights are tempered until there are as many.
ADAPTED = 10.0
#: Effective draws below which nothing is believed and the quadratic stays.
FEWEST = 30.0
#: Numbers in all Jacobians that are computed at once.
AT_ONCE = 1_000_000


def misfits(
    law: Law,
    bounds: Bounds,
    t: Array,
    y: Array,
    weights: Array,
    phi: Array,
    whiten: Callable[[Array], Array] | None = None,
) -> Array:
    """Weighted residual sums of squares of curves at many parameters each, shape (N, K).

    Args:
        law: The physics.
        bounds: Bounds of its parameters.
        t: Packed inputs: a shared grid (1, V T), or one for each specimen (N, V T).
        y: Curves, shape (N, T); anything where the weight is zero.
        weights: Weights of the squared residuals, shape (N, T).
        phi: Unbounded parameters, shape (N, K, P).
        whiten: From weighted residuals (N, T, K) to whitened ones, where the noise is not white.

    Returns:
        Infinite where the law has no value at a point with weight.
    """
    N, K, P = phi.shape
    out = np.empty((N, K))
    rows = max(1, AT_ONCE // (K * y.shape[1] * P)) if whiten is None else max(N, 1)
    for first in range(0, N, rows):
        part = slice(first, first + rows)
        theta = bounds.from_unbounded(phi[part])
        with np.errstate(all="ignore"):
            if len(t) == 1:
                value = law.value_and_jacobian(t[0], theta)[0]
            else:
                value = np.stack([law.value_and_jacobian(*pair)[0] for pair in zip(t[part], theta, strict=True)])
            left = np.where(weights[part, None] > 0.0, y[part, None] - value, 0.0)
            if whiten is None:
                squared = np.einsum("nkt,nt->nk", left**2, weights[part])
            else:
                squared = np.square(whiten(np.swapaxes(left, 1, 2) * np.sqrt(weights[part])[..., None])).sum(1)
        out[part] = np.where(np.isnan(squared), np.inf, squared)
    return out


def integrated(
    law: Law,
    bounds: Bounds,
    t: Array,
    y: Array,
    weights: Array,
    information: CurveInformation,
    centre: Array,
    root: Array,
    precision: Array,
    which: NDArray[np.int64],
    asked: NDArray[np.bool_],
    *,
    beyond: float = BEYOND,
    most: int | None = None,
    noise: CurveNoise | None = None,
    offset: Array | None = None,
) -> tuple[CurveInformation, Array]:
    """Exchange the quadratics of curves that are not quadratic for those by their moments.

    Args:
        law: The physics.
        bounds: Bounds of its parameters.
        t: Packed inputs: a shared grid (1, V T), or one for each specimen (N, V T).
        y: Curves, shape (N, T); anything where the weight is zero.
        weights: Weights of the squared residuals, shape (N, T).
        information: The quadratics.
        centre: Unbounded parameters of C populations, shape (C, P).
        root: L with scatter S = L L^T, shape (C, P, P).
        precision: 1 / noise variance of each population's curves, shape (C,).
        which: The population under which the moments are to be right, shape (N,).
        asked: Under which populations a curve is looked at, shape (N, C), and its evidence made right; those of none
            keep their quadratic.
        beyond: Nats by which a curve's log likelihood may differ from its quadratic.
        most: At most so many curves, those that are furthest off; None: all.
        noise: A correlated noise, which whitens the residuals; None: they are white.
        offset: Unbounded parameters of each specimen at which ``information`` and populations count from zero, shape
            (N, P); None: from zero itself.

    Returns:
        The information, with ``shift`` of shape (N, C), and how far each curve's log likelihood was from its quadratic,
        shape (N,), nats: the largest difference one posterior standard deviation from the most probable parameters, to
        both sides along each principal axis. Curves with too few effective draws keep their quadratic too.
    """
    specimen, c = np.nonzero(asked)
    far = np.zeros(len(y))
    at = _Pairs(law, bounds, t, y, weights, information, centre, root, precision, noise, offset)
    off = at.departure(specimen, c)
    np.maximum.at(far, specimen, off)
    shift = np.zeros((len(y), len(centre)))
    out = replace(information, shift=shift)
    chosen = np.flatnonzero(far > beyond)
    if most is not None and len(chosen) > most:
        chosen = chosen[np.argsort(-far[chosen], kind="stable")[:most]]
    kept = np.isin(specimen, chosen)
    if not kept.any():
        return out, far
    specimen, c = specimen[kept], c[kept]
    log_evidence, mean, covariance, squared, effective = at.sampled(specimen, c)
    out = replace(out, **{name: getattr(out, name).copy() for name in ("squared", "gradient", "normal")})
    own = np.flatnonzero((c == which[specimen]) & (effective >= FEWEST))
    n, k = specimen[own], c[own]
    _match(out, n, centre[k], root[k], precision[k], mean[own], covariance[own], squared[own])
    matched = _Pairs(law, bounds, t, y, weights, out, centre, root, precision, noise, offset)
    # Where a curve was not looked at, its evidence stays what it was.
    everywhere = np.repeat(n, len(centre)), np.tile(np.arange(len(centre)), len(n))
    shift[everywhere] = at.log_evidence(*everywhere) - matched.log_evidence(*everywhere)
    trusted = np.isin(specimen, n) & (effective >= FEWEST)
    specimen, c = specimen[trusted], c[trusted]
    shift[specimen, c] = log_evidence[trusted] - matched.log_evidence(specimen, c)
    return out, far


def _match(
    out: CurveInformation, n: NDArray[np.int64], centre: Array, root: Array, precision: Array, mean: Array,
    covariance: Array, squared: Array,
) -> None:  # fmt: skip
    """Write the quadratics of specimens n that have these moments of u; their estimates stay where they are."""
    inverse = np.linalg.pinv(root, rcond=1e-12)
    values, vectors = np.linalg.eigh(covariance)
    # Wider than the population a curve would speak against itself: that is left to the population.
    values = np.clip(values, 1e-14, 1.0)
    covariance = (vectors * values[:, None, :]) @ vectors.mT
    curved = (vectors * (1.0 / values - 1.0)[:, None, :]) @ vectors.mT
    pull = (vectors / values[:, None, :]) @ (vectors.mT @ mean[..., None])
    before = (inverse @ (out.estimate[n] - centre)[..., None])[..., 0]
    slope = (pull - curved @ before[..., None]) / precision[:, None, None]
    old_normal, old_gradient = out.normal[n], out.gradient[n]
    # Where a population does not scatter, the quadratic stays.
    more = curved / precision[:, None, None] - root.mT @ old_normal @ root
    normal = old_normal + inverse.mT @ more @ inverse
    gradient = old_gradient + (inverse.mT @ (slope - root.mT @ old_gradient[..., None]))[..., 0]
    step = centre + (root @ mean[..., None])[..., 0] - out.estimate[n]
    spread = root @ covariance @ root.mT
    expected = np.einsum("npq,np,nq->n", normal, step, step) + np.einsum("npq,npq->n", normal, spread)
    out.normal[n], out.gradient[n] = 0.5 * (normal + normal.mT), gradient
    out.squared[n] = squared + 2.0 * (gradient * step).sum(-1) - expected


class _Pairs:
    """Curves under populations, in standard normal coordinates u of the population.

    Args: those of :func:`integrated`.
    """

    def __init__(
        self, law: Law, bounds: Bounds, t: Array, y: Array, weights: Array, information: CurveInformation,
        centre: Array, root: Array, precision: Array, noise: CurveNoise | None, offset: Array | None,
    ) -> None:  # fmt: skip
        self.noise, self.offset = noise, offset
        self.law, self.bounds, self.t, self.y, self.weights = law, bounds, t, y, weights
        self.information, self.centre, self.root, self.precision = information, centre, root, precision

    def misfit(self, n: NDArray[np.int64], c: NDArray[np.int64], u: Array) -> Array:
        """Residual sums of squares over the noise variance of pairs (R,) at u (R, K, P), shape (R, K)."""
        phi = self.centre[c][:, None] + u @ self.root[c].mT
        phi = phi if self.offset is None else phi + self.offset[n][:, None]
        t = self.t if len(self.t) == 1 else self.t[n]
        y, weights, whiten = self.y[n], self.weights[n], None
        if self.noise is not None:
            whiten = self.noise.shape(variable(self.law, t), weights > 0.0, y).whiten
        squared = misfits(self.law, self.bounds, t, y, weights, phi, whiten)
        return squared * self.precision[c][:, None]

    def quadratic(self, n: NDArray[np.int64], c: NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """What the quadratics say in u: constant (R,), slope (R, P) and curvature (R, P, P), of minus half of each."""
        part, root, precision = self.information.at(n), self.root[c], self.precision[c]
        step = self.centre[c] - part.estimate
        left = part.gradient - (part.normal @ step[..., None])[..., 0]
        constant = part.squared - ((part.gradient + left) * step).sum(-1)
        slope = (root.mT @ left[..., None])[..., 0] * precision[:, None]
        return constant * precision, slope, root.mT @ part.normal @ root * precision[:, None, None]

    def posterior(self, n: NDArray[np.int64], c: NDArray[np.int64]) -> tuple[Array, Array]:
        """Mean (R, P) and covariance (R, P, P) of u by the quadratics."""
        _, slope, curved = self.quadratic(n, c)
        covariance = np.linalg.inv(np.eye(slope.shape[1]) + 0.5 * (curved + curved.mT)).astype(np.float64, copy=False)
        return (covariance @ slope[..., None])[..., 0], covariance

    def log_evidence(self, n: NDArray[np.int64], c: NDArray[np.int64]) -> Array:
        """log Z by the quadratics, shape (R,), nats, without what does not depend on the parameters."""
        constant, slope, curved = self.quadratic(n, c)
        mean, _ = self.posterior(n, c)
        log_det = np.linalg.slogdet(np.eye(slope.shape[1]) + 0.5 * (curved + curved.mT))[1]
        return -0.5 * (constant - (slope * mean).sum(-1) + log_det)

    def departure(self, n: NDArray[np.int64], c: NDArray[np.int64]) -> Array:
        """How far the likelihoods are from the quadratics, shape (R,), nats."""
        size = max(1, AT_ONCE // (self.centre.shape[1] ** 2 * 16))
        parts = [self._departure(n[i : i + size], c[i : i + size]) for i in range(0, len(n), size)]
        return np.concatenate([np.zeros(0), *parts])

    def _departure(self, n: NDArray[np.int64], c: NDArray[np.int64]) -> Array:
        mean, covariance = self.posterior(n, c)
        values, vectors = np.linalg.eigh(covariance)
        axes = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]).mT
        u = mean[:, None] + np.concatenate([np.zeros_like(axes[:, :1]), axes, -axes], axis=1)
        constant, slope, curved = self.quadratic(n, c)
        quadratic = constant[:, None] - 2.0 * (u @ slope[..., None])[..., 0] + ((u @ curved) * u).sum(-1)
        with np.errstate(invalid="ignore"):
            off = self.misfit(n, c, u) - quadratic
            off = 0.5 * np.abs(off[:, 1:] - off[:, :1]).max(1)
        return np.where(np.isnan(off), np.inf, off)

    def sampled(self, n: NDArray[np.int64], c: NDArray[np.int64]) -> tuple[Array, Array, Array, Array, Array]:
        """Draw: log Z (R,), mean (R, P), covariance (R, P, P), expected squares (R,), and effective draws (R,)."""
        P = self.centre.shape[1]
        size = max(1, AT_ONCE // (len(WIDER) * DRAWS * P * 4))
        parts = [self._sampled(n[i : i + size], c[i : i + size]) for i in range(0, len(n), size)]
        log_evidence, mean, covariance, squared, effective = (np.concatenate(part) for part in zip(*parts, strict=True))
        return log_evidence, mean, covariance, squared / self.precision[c], effective

    def _sampled(self, n: NDArray[np.int64], c: NDArray[np.int64]) -> tuple[Array, Array, Array, Array, Array]:
        P = self.centre.shape[1]
        normal, heavy = _points(P)
        mean, covariance = self.posterior(n, c)
        # The population itself first: a component that bounds the weights.
        places = [_Place.standard(len(n), P)]
        u = np.broadcast_to(normal[: places[0].count], (len(n), places[0].count, P))
        squares, mixed = self.misfit(n, c, u), places[0].log_share(u)
        for wider in WIDER:
            place = _Place.about(mean, wider * covariance)
            fresh = mean[:, None] + heavy @ place.lower.mT
            # What all draws were drawn from, weighted together.
            mixed = np.logaddexp(mixed, place.log_share(u))
            places.append(place)
            along = np.logaddexp.reduce([each.log_share(fresh) for each in places], axis=0)
            u, mixed = np.concatenate([u, fresh], axis=1), np.concatenate([mixed, along], axis=1)
            squares = np.concatenate([squares, self.misfit(n, c, fresh)], axis=1)
            log_weight = -0.5 * (squares + (u**2).sum(-1) + P * LOG_2PI) - mixed + math.log(u.shape[1])
            mean, covariance = _moments(_tempered(log_weight, ADAPTED * P), u)
        top = log_weight.max(1)
        top = np.where(np.isfinite(top), top, 0.0)
        weight = np.exp(log_weight - top[:, None])
        total = weight.sum(1)
        log_evidence = top + np.log(np.maximum(total, 1e-300) / u.shape[1])
        weight /= np.maximum(total, 1e-300)[:, None]
        mean, covariance = _moments(weight, u)
        squared = (weight * np.where(weight > 0.0, squares, 0.0)).sum(1)
        return log_evidence, mean, covariance, squared, 1.0 / np.maximum((weight**2).sum(1), 1e-300)


@functools.cache
def _points(size: int) -> tuple[Array, Array]:
    """Standard normal points (DRAWS, P), and of Student t with :data:`FREEDOM` degrees of freedom."""
    uniform = scipy.stats.qmc.Sobol(size + 1, seed=0).random(DRAWS)
    normal = scipy.special.ndtri(np.clip(uniform[:, :size], 1e-9, 1.0 - 1e-9))
    wide = scipy.stats.chi2.ppf(np.clip(uniform[:, size], 1e-9, 1.0 - 1e-9), FREEDOM)
    return normal, normal * np.sqrt(FREEDOM / wide)[:, None]


@dataclass(frozen=True)
class _Place:
    """Where draws of R pairs come from.

    Args:
        mean: Shape (R, P).
        lower: Shape (R, P, P), lower triangles; draws are mean + lower times standard ones.
        freedom: Of Student t; infinite: Gaussian.
        count: Draws of each pair.
    """

    mean: Array
    lower: Array
    freedom: float
    count: int

    @staticmethod
    def standard(rows: int, size: int) -> _Place:
        """The populations themselves."""
        lower = np.repeat(np.eye(size)[None], rows, axis=0)
        return _Place(np.zeros((rows, size)), lower, math.inf, DRAWS // 4)

    @staticmethod
    def about(mean: Array, covariance: Array) -> _Place:
        """About what is known of the posteriors so far."""
        lower = np.linalg.cholesky(covariance + 1e-12 * np.eye(mean.shape[1])).astype(np.float64, copy=False)
        return _Place(mean, lower, FREEDOM, DRAWS)

    def log_share(self, u: Array) -> Array:
        """Log of the density at u (R, K, P) times the number of draws, shape (R, K)."""
        P, nu = u.shape[-1], self.freedom
        if math.isinf(nu):
            return math.log(self.count) - 0.5 * ((u**2).sum(-1) + P * LOG_2PI)
        distance = np.square((u - self.mean[:, None]) @ np.linalg.inv(self.lower).mT).sum(-1)
        constant = math.lgamma(0.5 * (nu + P)) - math.lgamma(0.5 * nu) - 0.5 * P * math.log(nu * math.pi)
        log_det = np.log(np.einsum("rpp->rp", self.lower)).sum(-1)
        log_density = constant - log_det[:, None] - 0.5 * (nu + P) * np.log1p(distance / nu)
        return math.log(self.count) + log_density


def _tempered(log_weight: Array, least: float) -> Array:
    """Weights (R, K) that sum to one, to the largest power up to one that leaves ``least`` effective draws."""
    top = log_weight.max(1)
    relative = log_weight - np.where(np.isfinite(top), top, 0.0)[:, None]
    relative = np.where(np.isnan(relative), -np.inf, relative)

    def weights(rows: NDArray[np.bool_], power: Array) -> tuple[Array, NDArray[np.bool_]]:
        with np.errstate(invalid="ignore"):
            weight = np.exp(power[:, None] * relative[rows])
        weight /= np.maximum(weight.sum(1), 1e-300)[:, None]
        return weight, np.square(weight).sum(1) * least <= 1.0

    every = np.ones(len(relative), dtype=bool)
    out, enough = weights(every, np.ones(len(relative)))
    few = ~enough
    if few.any():
        low, high = np.zeros(int(few.sum())), np.ones(int(few.sum()))
        for _ in range(12):
            middle = 0.5 * (low + high)
            good = weights(few, middle)[1]
            low, high = np.where(good, middle, low), np.where(good, high, middle)
        out[few] = weights(few, np.maximum(low, 1e-6))[0]
    return out


def _moments(weight: Array, u: Array) -> tuple[Array, Array]:
    """Mean (R, P) and covariance (R, P, P) of weighted draws."""
    mean = (weight[..., None] * u).sum(1)
    away = u - mean[:, None]
    covariance = np.einsum("rk,rkp,rkq->rpq", weight, away, away)
    return mean, 0.5 * (covariance + covariance.mT)
