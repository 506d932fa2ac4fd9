r"""The population that several curves are drawn from: each specimen's own parameters, their mean and their scatter.

A curve of the mean parameters is not the mean of the curves, and a fit of all curves at once takes their points for
independent. So every curve is fitted by itself, with the population as prior, and mean and scatter of the unbounded
parameters follow from what the curves say, by restricted maximum likelihood
(:mod:`~pima_toolkit.experts.solvers.random_effects`), with what parameters depend on where that is asked for; both are
repeated until the coefficients stand still. Of a law that is linear in its parameters the first round is exact.

Parameters that are held, at a bound of the curves' common fit, or open there stay where that fit left them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ..contract.bounds import Bounds
from ..contract.law import Law
from ..noise.base import CurveNoise
from ..noise.table import NOISES
from ..solvers.noisy_fits import learned_noise, noisy_fits
from ..solvers.optimum import Optimum
from ..solvers.own_fits import CurveInformation
from ..solvers.random_effects import Design, RandomEffects, profile, random_effects, restricted
from .curves import FittedCurves
from .dependence import SpecimenDesign
from .priors import Priors

Array = NDArray[np.float64]

#: Rounds of own fits and the population they are drawn from.
_ROUNDS = 12
#: The mean stands still when it moves by less than this share of its standard error.
_STILL = 1e-4
#: A round that makes the restricted likelihood worse by more than this, of twice a nat, is halved, at most so often.
_RISE, _HALVINGS = 1e-3, 6
#: Standard deviation of a bounded parameter's unbounded twin in the first round: a factor of e.
_BROAD = 1.0
#: The same of a parameter without bounds, in standard deviations that the common fit sees between specimens.
_WIDER = 3.0
#: Rise of twice the log likelihood that is rounding.
_NONE = 1e-6
#: Share of the largest responsibility below which a specimen does not take part.
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class Interval:
    """Interval of parameters, symmetric about the value in their unbounded coordinates.

    Args:
        value: Shape (..., Q).
        std_error: Standard error, in the parameter's unit; NaN where there is none to give.
        low: Lower end.
        high: Upper end.
        freedom: Degrees of freedom of Student's t.
    """

    value: Array
    std_error: Array
    low: Array
    high: Array
    freedom: Array


@dataclass(frozen=True, eq=False)
class CurvePopulation:
    """One cluster's population.

    Args:
        law: The physics.
        bounds: Bounds of the fitted parameters.
        free: Which were estimated, shape (P,).
        theta: The population's parameters, shape (P,).
        members: Numbers of the specimens that take part, shape (N,).
        effects: Mean and scatter of the free parameters, unbounded.
        steadied: The same by an adjusted likelihood that keeps the scatter from zero: what single specimens' own
            parameters are told from.
        spare: Points beyond the parameters, of all curves.
        information: What every curve says of the free parameters.
        width: Unit of each free parameter, shape (free,).
        known: Whether the noise was given.
        prior: Further equations of the mean, counted from it; None without priors.
        noise: Noise model of its curves, as learned.
        used: Numbers of the effects of covariates that were estimated, shape (K - free,).
        depends: What parameters depend on; None: nothing.
    """

    law: Law
    bounds: Bounds
    free: NDArray[np.bool_]
    theta: Array
    members: NDArray[np.int64]
    effects: RandomEffects
    steadied: RandomEffects
    spare: float
    information: CurveInformation
    width: Array
    known: bool
    prior: tuple[Array, Array] | None
    noise: CurveNoise
    used: NDArray[np.int64]
    depends: SpecimenDesign | None = None

    @property
    def covariance(self) -> Array:
        """Covariance of the population's fitted parameters, shape (P, P), by their slopes; 0 where not estimated."""
        slope = self.bounds.slope(self.theta)[self.free]
        return self._filled(self.effects.covariance * np.outer(slope, slope))

    @property
    def scatter(self) -> Array:
        """Covariance of one batch's specimens' unbounded parameters, shape (P, P); 0 where not estimated."""
        return self._filled(self.effects.scatter)

    @property
    def between(self) -> Array:
        """Covariance of the batches' unbounded parameters, shape (P, P); 0 without batches."""
        return self._filled(np.diag(self.effects.group_scatter))

    def at(self, terms: Array) -> tuple[Array, Array]:
        """Parameters under other conditions, shape (P,), and their derivatives by coefficients there.

        Args:
            terms: Values of the terms minus their reference, shape (effects,).

        Returns:
            Fitted parameters (P,), and D of the free ones, (free, K).
        """
        size = int(self.free.sum())
        design = np.zeros((size, size + len(self.used)))
        design[:, :size] = np.eye(size)
        if self.depends is not None:
            whole = self.depends.dependence.matrix(terms[None], len(self.free))[0]
            design[:, size:] = whole[self.free][:, len(self.free) + self.used]
        phi = self.bounds.to_unbounded(self.theta)
        phi[self.free] += design[:, size:] @ self.effects.coefficients[size:]
        return np.where(self.free, self.bounds.from_unbounded(phi), self.theta), design

    def interval(self, level: float, terms: Array | None = None) -> Interval:
        """Intervals of the reported parameters, shape (Q,) each, by Hartung and Knapp's correction.

        Args:
            level: Share of such intervals that hold the truth.
            terms: Conditions, values of the terms minus their reference, shape (effects,); None: the reference.
        """
        theta, gradient = self.theta, self._gradient(self.theta)
        if terms is not None:
            theta, design = self.at(terms)
            gradient = self._gradient(theta) @ design
        value = self.law.to_reported(theta)
        std, freedom = self.effects.contrast(gradient)
        return student(self.reported_bounds, value, std, freedom, level)

    def specimens(self, level: float) -> Interval:
        """Reported parameters of every specimen that takes part, and their intervals, shape (N, Q) each.

        Its own curve and the population say them together: a curve that says little is drawn towards the mean.
        """
        theta = self.own_parameters
        gradient = np.stack([self._gradient(row) for row in theta])
        value = self.law.to_reported(theta)

        def along(covariance: Array) -> Array:
            return np.einsum("nqp,npr,nqr->nq", gradient, covariance, gradient)

        whole, drawn = along(self.steadied.deviation_covariance), along(self.steadied.drawn)
        _, few = self.effects.contrast(self._gradient(self.theta))
        noise = np.maximum(whole - drawn, 0.0)
        square = np.square(drawn) / few + np.square(noise) / max(self.spare, 1.0)
        freedom = np.divide(np.square(whole), square, out=np.ones_like(whole), where=square > 0.0)
        return student(self.reported_bounds, value, np.sqrt(whole), freedom, level)

    def batches_differ(self) -> Array:
        """Test each free parameter for a difference between batches, p-values of shape (free,).

        Twice the restricted log likelihood ratio; where batches do not differ it is zero half of the time and has one
        degree of freedom else. Source: Self & Liang 1987 (J. Am. Stat. Assoc. 82, 605).
        """
        effects, out = self.effects, np.ones(int(self.free.sum()))
        for p in range(len(out)):
            alike = random_effects(
                self.information,
                effects.responsibilities,
                effects.coefficients,
                self.width,
                effects.variance,
                design=effects.design,
                known=self.known,
                prior=self.prior,
                start=effects,
                alike=p,
            )
            rise = alike.evidence - effects.evidence
            out[p] = 0.5 * float(scipy.stats.chi2.sf(rise, 1)) if rise > _NONE else 1.0
        return out

    def resampled(self, counts: Array) -> Array:
        """Reported parameters of the population of specimens drawn so often, shape (Q,).

        Args:
            counts: How often each specimen that takes part was drawn, shape (N,).
        """
        drawn, weight = np.flatnonzero(counts), counts * self.effects.responsibilities
        design = self.effects.design
        if design.group is not None:
            # A batch drawn twice is two batches.
            drawn = np.repeat(drawn, counts[drawn].astype(np.int64))
            weight, times = np.ones(len(counts)), np.concatenate([np.arange(n) for n in counts[counts > 0].astype(int)])
            group = np.unique(np.stack([design.group[drawn], times]), axis=1, return_inverse=True)[1].reshape(-1)
            design = Design(design.matrix[drawn], group)
        else:
            design = design.at(drawn)
        again = random_effects(
            self.information.at(drawn),
            weight[drawn],
            self.effects.coefficients,
            self.width,
            self.effects.variance,
            design=design,
            known=self.known,
            prior=self.prior,
            start=self.effects,
            tolerance=1e-7,  # of a replicate the mean is wanted, to much less than its error
        )
        phi = self.bounds.to_unbounded(self.theta)
        phi[self.free] = again.mean
        return self.law.to_reported(np.where(self.free, self.bounds.from_unbounded(phi), self.theta))

    def profile(self, number: int, level: float) -> tuple[float, float]:
        """Ends of one reported parameter's interval by the profile of the likelihood; NaN where it was not estimated.

        Args:
            number: Of the reported parameter.
            level: Share of such intervals that hold the truth.

        Source: Hardy & Thompson 1996 (Statistics in Medicine 15, 619), with the level of a few specimens: twice the
        log likelihood falls by (f + 1) log(1 + t^2 / f) where t is Student's with f degrees of freedom, exact for the
        mean of f + 1 normal numbers.
        """
        bounds, value = self.reported_bounds, self.law.to_reported(self.theta)
        slope = bounds.slope(value)[number]
        gradient = self._gradient(self.theta)[number]
        if not slope > 0.0 or not gradient.any():
            return np.nan, np.nan
        error, freedom = (float(part[0]) for part in self.effects.contrast(gradient[None]))
        quantile = float(scipy.stats.t.ppf(0.5 * (1.0 + level), freedom))
        fall = (freedom + 1.0) * np.log1p(quantile**2 / freedom)
        ends = profile(
            self.information,
            self.effects,
            gradient / slope,
            self.width,
            fall,
            step=error / slope,
            known=self.known,
            prior=self.prior,
        )
        centre = bounds.to_unbounded(value)
        ends = [
            float(bounds.from_unbounded(np.where(np.arange(len(value)) == number, centre + end, centre))[number])
            for end in ends
        ]
        return ends[0], ends[1]

    @property
    def own_parameters(self) -> Array:
        """Fitted parameters of every specimen that takes part, shape (N, P)."""
        phi = np.tile(self.bounds.to_unbounded(self.theta), (len(self.members), 1))
        phi[:, self.free] = self.steadied.centre + self.steadied.deviation
        return np.where(self.free, self.bounds.from_unbounded(phi), self.theta)

    def drawn(self, normal: Array, shrink: Array | float = 1.0) -> Array:
        """Fitted parameters of new specimens, shape (K, P).

        Args:
            normal: Standard normal numbers, shape (K, P).
            shrink: What every specimen's deviation is divided by, shape (K,): roots of chi-square over its freedom.
        """
        whole = self.effects.total + self.effects.covariance
        values, vectors = np.linalg.eigh(whole)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        away = normal[:, self.free] @ root.T / np.reshape(shrink, (-1, 1))
        phi = np.tile(self.bounds.to_unbounded(self.theta), (len(normal), 1))
        phi[:, self.free] = self.effects.mean + away
        return np.where(self.free, self.bounds.from_unbounded(phi), self.theta)

    @property
    def reported_bounds(self) -> Bounds:
        """Bounds of the reported parameters."""
        return reported_bounds(self.law, self.bounds)

    def _gradient(self, theta: Array) -> Array:
        """Derivatives of the reported parameters by the free unbounded ones, shape (Q, free)."""
        return (self.law.reported_jacobian(theta) * self.bounds.slope(theta))[:, self.free]

    def _filled(self, inner: Array) -> Array:
        out = np.zeros((len(self.free), len(self.free)))
        out[np.ix_(self.free, self.free)] = inner
        return out


def reported_bounds(law: Law, bounds: Bounds) -> Bounds:
    """Bounds of a law's reported parameters: as declared, and those of a fitted one of the same name on the grid.

    Args:
        law: The law.
        bounds: Bounds of its fitted parameters.
    """
    names, own = [p.name for p in law.parameters], Bounds.of(law.reported)
    for q, p in enumerate(law.reported):
        if p.name in names:
            own = own.narrowed(q, bounds.lower[names.index(p.name)], bounds.upper[names.index(p.name)])
    return own


def student(bounds: Bounds, value: Array, std: Array, freedom: Array, level: float) -> Interval:
    """Intervals by Student's t in each parameter's unbounded coordinate, or in itself where it sits at a bound.

    Args:
        bounds: Bounds of the Q parameters.
        value: Values, shape (..., Q).
        std: Standard errors in the parameters' units, of the same shape.
        freedom: Degrees of freedom, shape (Q,) or as the values.
        level: Share of such intervals that hold the truth.
    """
    quantile = scipy.stats.t.ppf(0.5 * (1.0 + level), freedom)
    inside = ~bounds.at_bound(value) & (value > bounds.lower) & (value < bounds.upper)
    slope = np.where(inside, bounds.slope(value), 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        half = quantile * std
        centre = bounds.to_unbounded(value)
        low, high = (bounds.from_unbounded(centre + sign * half / slope) for sign in (-1.0, 1.0))
        plain = [np.clip(value + sign * half, bounds.lower, bounds.upper) for sign in (-1.0, 1.0)]
        # Where nothing moves, the way there and back would leave rounding behind.
        bent = inside & (half > 0.0)
        low, high = np.where(bent, low, plain[0]), np.where(bent, high, plain[1])
    return Interval(value, std, low, high, np.broadcast_to(freedom, np.shape(value)).copy())


def find_population(
    law: Law,
    optimum: Optimum,
    data: FittedCurves,
    covariance: Array,
    c: int,
    *,
    known: bool,
    priors: Priors | None = None,
    noise: CurveNoise = NOISES["constant"],
) -> CurvePopulation | None:
    """Find the population of one cluster's curves.

    Args:
        law: The physics.
        optimum: The common fit of all curves, from which the search starts.
        data: The curves.
        covariance: Covariance of the common fit's parameters between curves, shape (C, P, P); infinite where open.
        c: The cluster.
        known: Whether the weights are inverse noise variances.
        priors: Prior knowledge of the population's parameters.
        noise: Noise model of its curves; its numbers are learned from them.

    Returns:
        The population; None where fewer than two specimens, or no parameter, take part.
    """
    theta = optimum.parameters[c]
    spread = np.diagonal(covariance[c])
    free = optimum.free[c] & np.isfinite(spread)
    gamma = data.gamma[:, c] * data.observed.any(1)
    members = np.flatnonzero(gamma > _LEAST * gamma.max())
    if len(members) < 2 or not free.any():
        return None
    gamma = gamma[members]
    centre, bounded = data.bounds.to_unbounded(theta), np.isfinite(data.bounds.lower) | np.isfinite(data.bounds.upper)
    effective = gamma.sum() ** 2 / np.square(gamma).sum()
    size = np.sqrt(effective * np.where(free & (spread > 0.0), spread, 0.0))
    size = np.where(size > 0.0, size, 1e-3 * np.maximum(np.abs(theta), 1e-3))
    width = np.where(bounded, _BROAD, _WIDER * size)
    plain = np.zeros(0, dtype=np.int64)
    design, used = Design.plain(len(members), int(free.sum())), plain
    if data.depends is not None:
        design, used = data.depends.design(members, free)
    own = _Curves(law, data, members, theta, free, design)
    variance = 1.0 if known else max(float(optimum.cost[c] + data.constant[c]) / max(data.count[c], 1.0), own.floor)
    if noise.numbers():
        own, variance = own.learned(noise, centre, np.diag(width), variance, gamma)
    beta = np.concatenate([centre[free], np.zeros(len(used))])
    size, wide = int(free.sum()), np.diag(width[free])
    information = own.fits(beta, wide, variance)

    def equations() -> tuple[Array, Array] | None:
        phi = centre.copy()
        phi[free] = beta[:size]
        return _prior_rows(priors, data.bounds, phi, free, len(used))

    def estimate(found: RandomEffects | None) -> RandomEffects:
        quiet = variance if known else max(_own_noise(information, gamma, variance), own.floor)
        options = {"design": design, "known": known, "prior": equations(), "start": found}
        return random_effects(information, gamma, beta, width[free], quiet, **options)

    found, merit = estimate(None), np.inf
    for _ in range(_ROUNDS):
        step = found.coefficients - beta
        error = np.sqrt(np.maximum(np.diagonal(found.model_covariance), 0.0))
        still = (np.abs(step) <= _STILL * error + 1e-12 * np.abs(beta)).all()
        if still or (own.exact and priors is None):
            beta = beta + step
            break
        # Far from where it was expanded, a law says what it likes: no further than the specimens are apart at once.
        step /= max(1.0, float(np.max(np.abs(design.matrix @ step) / width[free])))
        trial, after = information, np.inf
        for _ in range(_HALVINGS):
            trial = own.fits(beta + step, _root(found.total), found.variance, information)
            after = restricted(trial, gamma, beta + step, width[free], found)
            if after <= merit + _RISE:
                break
            step = 0.5 * step
        else:
            break
        beta, information, merit = beta + step, trial, after
        found = estimate(found)
    centre[free] = beta[:size]
    mean, rows = np.where(free, data.bounds.from_unbounded(centre), theta), equations()
    options = {"design": design, "known": True, "prior": rows, "start": found, "adjusted": True}
    steadied = random_effects(information, gamma, beta, width[free], found.variance, **options)
    spare = float(gamma @ information.points) - float(gamma.sum()) * free.sum()
    return CurvePopulation(
        law,
        data.bounds,
        free,
        mean,
        members,
        found,
        steadied,
        spare,
        information=information,
        width=width[free],
        known=known,
        prior=rows,
        noise=own.noise,
        used=used,
        depends=data.depends,
    )


@dataclass(frozen=True, eq=False)
class _Curves:
    """The curves of one population, ready for own fits.

    Args:
        law: The physics.
        data: All curves.
        members: Those that take part.
        theta: Parameters of the common fit, which those that are not free keep.
        free: Which are free.
        design: What the free ones depend on.
        noise: Noise model of the curves.
    """

    law: Law
    data: FittedCurves
    members: NDArray[np.int64]
    theta: Array
    free: NDArray[np.bool_]
    design: Design
    noise: CurveNoise = NOISES["constant"]

    @property
    def exact(self) -> bool:
        """Whether the law is linear in its unbounded parameters: every expansion point is as good."""
        bounded = np.isfinite(self.data.bounds.lower) | np.isfinite(self.data.bounds.upper)
        return not bounded.any() and len(self.law.linear) == len(self.law.parameters)

    @property
    def floor(self) -> float:
        """Least noise variance of a point of weight one that float64 can tell from none."""
        y, weight = self.data.y[self.members], (self.data.observed * self.data.points)[self.members]
        total = float((weight * np.square(y)).sum())
        return max(1e-26 * total / max(float((weight > 0).sum()), 1.0), 1e-290)

    def learned(
        self, noise: CurveNoise, centre: Array, root: Array, variance: float, gamma: Array
    ) -> tuple[_Curves, float]:
        """The same with a noise model learned from the curves, and the variance of a point of weight one."""
        data, members = self.data, self.members
        t = data.t[None] if data.t.ndim == 1 else data.t[members]
        weights = (data.observed * data.points)[members]
        root = root * self.free[:, None]
        at = self.law, data.bounds, t, data.y[members], weights, centre, root, variance
        noise, found = learned_noise(noise, *at, share=gamma, theta=self.theta)
        return replace(self, noise=noise), max(found, self.floor)

    def fits(
        self, coefficients: Array, root: Array, variance: float, last: CurveInformation | None = None
    ) -> CurveInformation:
        """Fit every curve by itself, about what its conditions make of it; what is not free stays at the common fit.

        Args:
            coefficients: Shape (K,).
            root: L of the scatter of the free parameters, shape (free, free).
            variance: Of the noise.
            last: Where to start.
        """
        data, members, free = self.data, self.members, np.flatnonzero(self.free)
        t = data.t[None] if data.t.ndim == 1 else data.t[members]
        # One population for all where nothing depends on anything.
        own = len(coefficients) > len(free)
        priors = len(members) if own else 1
        centre = np.tile(data.bounds.to_unbounded(self.theta), (priors, 1))
        centre[:, free] = self.design.matrix[:priors] @ coefficients
        spread = np.zeros((len(self.theta), len(self.theta)))
        spread[np.ix_(free, free)] = root
        which = np.arange(len(members)) if own else np.zeros(len(members), dtype=np.int64)
        start = None
        if last is not None:
            start = centre[which]
            start[:, free] = last.estimate
            start = start[:, None]
        found, _ = noisy_fits(
            self.noise,
            self.law,
            data.bounds,
            t,
            data.y[members],
            (data.observed * data.points)[members],
            centre,
            np.repeat(spread[None], priors, axis=0),
            which,
            np.full(len(members), 1.0 / variance),
            start,
            theta=np.tile(self.theta, (priors, 1)),
        )
        return CurveInformation(
            found.estimate[:, free],
            found.squared,
            found.gradient[:, free],
            found.normal[:, free[:, None], free],
            found.points,
            found.log_weight,
        )


def _root(scatter: Array) -> Array:
    """L of S = L L^T; a direction without scatter keeps a hair of it, so that specimens may still move there."""
    values, vectors = np.linalg.eigh(scatter)
    return vectors * np.sqrt(np.maximum(values, 1e-12 * max(float(values[-1]), 1e-300)))


def _own_noise(information: CurveInformation, gamma: Array, otherwise: float) -> float:
    """Noise variance of a point of weight one by what every curve's own fit leaves; of short curves the common fit's.

    It is where the search starts.
    """
    size = np.sqrt(np.maximum(np.diagonal(information.normal, axis1=1, axis2=2), 1e-300))
    values, vectors = np.linalg.eigh(information.normal / (size[:, :, None] * size[:, None, :]))
    seen = values > 1e-10 * np.maximum(values[:, -1:], 1e-300)
    along = np.square((vectors.mT @ (information.gradient / size)[..., None])[..., 0])
    left = information.squared - np.where(seen, along / np.where(seen, values, 1.0), 0.0).sum(1)
    spare = information.points - seen.sum(1)
    total = float(gamma @ spare)
    return float(gamma @ np.maximum(left, 0.0)) / total if total > 0.5 else otherwise


def _prior_rows(
    priors: Priors | None, bounds: Bounds, centre: Array, free: NDArray[np.bool_], effects: int
) -> tuple[Array, Array] | None:
    """The priors as equations in steps of the coefficients from ``centre``, each of unit variance.

    They are of the parameters where covariates are at their reference: of the effects they say nothing.
    """
    if priors is None:
        return None
    theta = bounds.from_unbounded(centre)
    rows, target = priors.rows(theta)
    return np.pad((rows * bounds.slope(theta))[:, free], ((0, 0), (0, effects))), target - rows @ theta
