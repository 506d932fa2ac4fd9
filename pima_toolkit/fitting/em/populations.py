r"""Populations of specimens' parameters, found from what every curve says of its own: EM on information.

With the quadratics of :class:`~pima_toolkit.experts.CurveInformation`, gradients g and squares q about :math:`\phi_c`,
noise variance v, and specimens that scatter by :math:`S_c = L L^\top` about :math:`\phi_c`,

.. math:: B = I + L^\top \tfrac{H}{v} L, \quad V = L B^{-1} L^\top, \quad b = V\tfrac{g}{v}, \quad
          \log p(y \mid c) = -\tfrac12\Big[\tfrac{q - g^\top b}{v} + T\log 2\pi v - \textstyle\sum\log w
          + \log\det B\Big]

B is symmetric and at least the identity, whatever the units. The M-step moves :math:`\phi_c` by generalised least
squares in the same form, :math:`\big(\sum\gamma A\big)^{-1}\sum\gamma a` with
:math:`A = (I - \tfrac{H}{v}V)\tfrac{H}{v}` and :math:`a = (I - \tfrac{H}{v}V)\tfrac{g}{v}`: it neither stalls as
:math:`S_c \to 0`, where it is Gauss-Newton on the pooled curves, nor inverts H. The scatter of each population is
shrunk to a common one, the weights to equal ones, so that a population of few
specimens keeps its shape. A *background* of at most one specimen in twenty takes those that belong to no population; it
is a mixture of many widths, since a stranger may be anywhere.

What is known of specimens, covariates and the batch they are of, moves the parameters of all populations alike
(:mod:`~pima_toolkit.model.effects.known`): curves are then counted from there, and slopes and batches are solved for
together with the centres. A batch's effect is known by :math:`q(w) = N(m, W)`, and all that depends on it is averaged.

At fixed information no step lowers the penalised likelihood. Float64 numpy; the cost is N C P^3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
import torch
from numpy.typing import NDArray

from ...experts import Bounds, CurveInformation, Priors
from ...model.effects.known import KnownEffects
from ...model.gaussian import LOG_2PI
from ...model.noise.base import NoiseModel
from ...model.noise.pooled import PooledNoise

Array = NDArray[np.float64]

#: Specimens that the common scatter counts for in each population's own: fewest, and how many they are from where
#: populations look alike.
SHRINKAGE, ALIKE = 10.0, (10.0, 20.0, 40.0, 80.0)
#: Specimens that each population has before any is seen: the exponent of the Dirichlet prior minus one.
HEAD_START = 1.0
#: Smallest and largest share of specimens that belong to no population.
BACKGROUND_SHARES = 1e-4, 0.05
#: Variances of the background, in units of the robust one of all specimens: a Gaussian of one width would rather give a
#: specimen far away a population of its own.
WIDTHS = 9.0 * 4.0 ** np.arange(8)
#: Variance of a centre's prior, in the same units: a direction that no curve speaks about stays among the specimens.
HOLD = 9.0
#: Specimens at a time.
BLOCK = 1024
#: Smallest variance between batches, in the same units.
LEAST_BATCH = 1e-8
#: A population of less weight than this keeps its noise.
MINIMUM_WEIGHT = 1e-6


@dataclass(frozen=True)
class Rules:
    """What is given of one law's populations, and not found.

    Args:
        noise: The noise model of its curves.
        scale: Unit in which the noise model knows the noise, in the unit of the curves.
        scattered: Whether specimens of a population differ in their parameters; not in the paper's decoder (eq. 17).
        priors: Knowledge of every population's parameters, or None.
        bounds: Bounds of the parameters; priors need them.
    """

    noise: NoiseModel = PooledNoise()  # noqa: RUF009 - it holds nothing
    scale: float = 1.0
    scattered: bool = True
    priors: Priors | None = None
    bounds: Bounds | None = None

    def equations(self, centre: Array) -> tuple[Array, Array]:
        """The priors as equations in steps of unbounded parameters from ``centre`` (C, P), each of unit variance.

        Returns:
            Rows (C, K, P) and what they are to be, (C, K); none without priors.
        """
        if self.priors is None or self.bounds is None:
            return np.zeros((len(centre), 0, centre.shape[1])), np.zeros((len(centre), 0))
        theta = self.bounds.from_unbounded(centre)
        rows, target = self.priors.rows(theta)
        return rows * self.bounds.slope(theta)[:, None], target - np.einsum("ckp,cp->ck", rows, theta)

    def log_prob(self, centre: Array) -> float:
        """Logarithm of the priors' density at ``centre`` (C, P), up to a constant."""
        if self.priors is None or self.bounds is None:
            return 0.0
        return float(self.priors.log_prob(self.bounds.from_unbounded(centre)).sum())


@dataclass(frozen=True)
class Population:
    """How the parameters of one law are spread in each of C populations.

    Args:
        centre: phi_c, unbounded parameters, shape (C, P).
        scatter: S_c, shape (C, P, P).
        variance: Noise variance of the curves of each population, shape (C,), squared unit of the curves.
        pooled: The scatter that each S_c is shrunk to, shape (P, P).
        middle: Robust centre of all specimens, shape (P,): of the background, and of the centres' prior.
        width: Robust covariance of all specimens, shape (P, P).
        background_variance: Noise variance of curves of the background; held in EM, set anew with the information.
        rules: What is given.
        effects: How what is known of specimens moves their parameters; None: it does not.
        shrinkage: Specimens that the pooled scatter counts for in each population's own.
    """

    centre: Array
    scatter: Array
    variance: Array
    pooled: Array
    middle: Array
    width: Array
    background_variance: float
    rules: Rules = Rules()
    effects: KnownEffects | None = None
    shrinkage: float = SHRINKAGE

    def offset(self, information: CurveInformation) -> Array | None:
        """How far specimens are off the populations by what is known of them, shape (N, P); None: nothing is."""
        return None if self.effects is None else self.effects.offset(information.terms, information.batch)

    def centred(self, information: CurveInformation) -> CurveInformation:
        """The same, counted from what is known of each specimen."""
        offset = self.offset(information)
        return information if offset is None else replace(information, estimate=information.estimate - offset)

    def doubt(self, information: CurveInformation) -> Array | None:
        """W of each specimen's batch, shape (N, P, P); None without batches."""
        if self.effects is None or information.batch is None:
            return None
        return self.effects.unsure(information.batch)


@dataclass(frozen=True)
class Populations:
    """C populations by every law, and the share of specimens that belong to none.

    Args:
        log_weights: Logarithm of each population's share of the specimens that belong to one, shape (C,).
        outside: Share of specimens that belong to none; 0: there is no background.
        laws: By modality.
    """

    log_weights: Array
    outside: float
    laws: Mapping[str, Population]


@dataclass(frozen=True)
class Conditional:
    """What the curves of one law say under each population.

    Args:
        log_prob: log p(curve given c), shape (N, C), nats; 0 for a specimen without a curve.
        deviation: b, the specimens' parameters minus the population's, shape (N, C, P).
        covariance: V, shape (N, C, P, P).
    """

    log_prob: Array
    deviation: Array
    covariance: Array


@dataclass(frozen=True)
class Expectation:
    """What an E-step finds.

    Args:
        responsibilities: p(c given curves), shape (N, C); with ``stranger`` a row sums to one.
        stranger: p(background given curves), shape (N,).
        evidence: log p(curves), shape (N,), nats; where the background is held to its share, the bound on it.
        conditional: By modality.
    """

    responsibilities: Array
    stranger: Array
    evidence: Array
    conditional: Mapping[str, Conditional]

    @property
    def among_populations(self) -> Array:
        """Responsibilities of the populations alone, for a specimen that belongs to one: rows sum to one."""
        total = self.responsibilities.sum(1, keepdims=True)
        equal = np.full_like(self.responsibilities, 1.0 / self.responsibilities.shape[1])
        return np.divide(self.responsibilities, total, out=equal, where=total > 0.0)


def root_of(scatter: Array) -> Array:
    """L with scatter = L L^T, of symmetric matrices (..., P, P) that may be singular."""
    values, vectors = np.linalg.eigh(scatter)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


def condition(information: CurveInformation, population: Population) -> Conditional:
    """Integrate every specimen's parameters out, and say where they are, in each population."""
    N, (C, P) = len(information), population.centre.shape
    information = population.centred(information)
    out = Conditional(np.empty((N, C)), np.empty((N, C, P)), np.empty((N, C, P, P)))
    for rows in _blocks(N):
        part = _condition(information.at(rows), population)
        out.log_prob[rows], out.deviation[rows], out.covariance[rows] = part.log_prob, part.deviation, part.covariance
    return out


def _blocks(count: int) -> Iterator[slice]:
    """Some specimens at a time: what is computed on the way is several times as large as the answer."""
    for first in range(0, count, BLOCK):
        yield slice(first, first + BLOCK)


def _condition(information: CurveInformation, population: Population) -> Conditional:
    squared, gradient = information.about(population.centre)
    variance, root = population.variance, root_of(population.scatter)
    inner = root.mT @ (information.normal[:, None] / variance[:, None, None]) @ root
    lower = np.linalg.cholesky(0.5 * (inner + inner.mT) + np.eye(root.shape[-1]))
    half = np.linalg.solve(lower, np.broadcast_to(root.mT, lower.shape))
    covariance = half.mT @ half
    deviation = (covariance @ gradient[..., None])[..., 0] / variance[:, None]
    constant = information.points[:, None] * (LOG_2PI + np.log(variance)) - information.log_weight[:, None]
    quadratic = (squared - (gradient * deviation).sum(-1)) / variance
    log_prob = -0.5 * (quadratic + constant) - np.log(np.einsum("ncpp->ncp", lower)).sum(-1)
    if information.shift is not None:
        log_prob = log_prob + information.shift
    doubt = population.doubt(information)
    if doubt is not None:
        precision = information.normal[:, None] / variance[:, None, None]
        told = (np.eye(covariance.shape[-1]) - precision @ covariance) @ precision
        log_prob = log_prob - 0.5 * np.einsum("ncpq,nqp->nc", told, doubt)
    return Conditional(log_prob, deviation, covariance)


def expect(
    information: Mapping[str, CurveInformation], populations: Populations, heard: Array | float = 0.0
) -> Expectation:
    """E-step: what every specimen is, and where its parameters are.

    Args:
        information: By modality, of the same N specimens.
        populations: The populations.
        heard: What else is known of each specimen's population, log evidence (N, C), nats.
    """
    conditional = {name: condition(part, populations.laws[name]) for name, part in information.items()}
    joint = populations.log_weights + heard + sum(part.log_prob for part in conditional.values())
    within = _logsumexp(joint)
    if populations.outside == 0.0:
        return Expectation(np.exp(joint - within[:, None]), np.zeros(len(joint)), within, conditional)
    stay = math.log1p(-populations.outside)
    parts = (background(part, populations.laws[name]) for name, part in information.items())
    outside = math.log(populations.outside) + sum(parts, start=np.zeros(len(joint)))
    capped, price = _capped(within + stay, outside)
    evidence = np.logaddexp(within + stay, capped)
    gamma = np.exp(joint + stay - evidence[:, None])
    return Expectation(gamma, np.exp(capped - evidence), evidence + price, conditional)


def most_outside(specimens: int) -> float:
    """Largest share of N specimens that may belong to no population: one in twenty, or one.

    Whole specimens: one that is half outside would be fitted as a stranger and as one of a population by turns.
    """
    return max(math.floor(BACKGROUND_SHARES[1] * specimens), 1.0) / specimens


def _capped(within: Array, outside: Array) -> tuple[Array, float]:
    r"""Lower the background's log evidence (N,) by one number, so that no more than its share are strangers.

    Without that a population with heavy tails gives them all away, and what is left of it is its core. With the
    multiplier :math:`\lambda` of the constraint, :math:`\log(e^{\text{within}} + e^{\text{outside}-\lambda}) +
    \lambda\,\text{share}` is the best bound on a specimen's evidence among the posteriors that keep to it, and EM
    raises that. Source: Ganchev, Graca, Gillenwater, Taskar 2010, posterior regularisation.

    Returns:
        The background's evidence as it counts, and what every specimen's bound gains by the multiplier.
    """
    share = most_outside(len(within))
    odds = outside - within

    def strangers(price: float) -> float:
        return float(scipy.special.expit(odds - price).mean())

    if strangers(0.0) <= share:
        return outside, 0.0
    low, high = 0.0, max(float(odds.max()), 0.0) + 50.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if strangers(middle) > share else (low, middle)
    return outside - high, high * share


def background(information: CurveInformation, population: Population) -> Array:
    """log p(curve given the background), shape (N,): the mean over all its widths, one eigenproblem a curve for all."""
    information = population.centred(information)
    parts = [_background(information.at(rows), population) for rows in _blocks(len(information))]
    return np.concatenate([np.zeros(0), *parts])


def _background(information: CurveInformation, population: Population) -> Array:
    variance = population.background_variance
    squared, gradient = (part[:, 0] for part in information.about(population.middle[None]))
    root = root_of(population.width)
    values, vectors = np.linalg.eigh(root.T @ information.normal @ root / variance)
    grown = np.maximum(values, 0.0)[..., None] * WIDTHS
    along = np.square(np.einsum("npk,np->nk", vectors, gradient @ root))[..., None] * WIDTHS / variance**2
    constant = information.points * (LOG_2PI + math.log(variance)) - information.log_weight
    explained = (along / (1.0 + grown)).sum(1)
    log_prob = -0.5 * ((squared / variance + constant)[:, None] - explained + np.log1p(grown).sum(1))
    if information.outside is not None:
        log_prob = log_prob + information.outside[:, None]
    return _logsumexp(log_prob) - math.log(len(WIDTHS))


def log_prior(populations: Populations) -> float:
    """Logarithm of the priors on weights, centres and scatter about the pooled one, nats, up to a constant."""
    total = HEAD_START * float(populations.log_weights.sum())
    for law in populations.laws.values():
        off = law.centre - law.middle
        total -= 0.5 * float((off * np.linalg.solve(HOLD * law.width, off.T).T).sum())
        total += law.rules.log_prob(law.centre)
        total += 0.0 if law.effects is None else _effects_log_prior(law, law.effects)
        if not law.rules.scattered:
            continue
        ratio = np.linalg.solve(law.scatter, np.broadcast_to(law.pooled, law.scatter.shape))
        # Of its own pooled scatter, so that fits with different ones can be compared.
        total -= 0.5 * law.shrinkage * float((np.trace(ratio, axis1=1, axis2=2) - np.linalg.slogdet(ratio)[1]).sum())
    return total


def _effects_log_prior(law: Population, effects: KnownEffects) -> float:
    """Logarithm of the slopes' prior, and the batches' part of the bound, minus KL(q(w) || p(w))."""
    total = -0.5 * float((np.square(effects.slopes) * _slope_hold(law, effects)).sum())
    if len(effects.batches):
        W, T = effects.batch_covariance, effects.batch_scatter
        second = np.square(effects.batches) + np.einsum("gpp->gp", W)
        total -= 0.5 * float((second / T + np.log(T)).sum() - np.linalg.slogdet(W)[1].sum())
    return total


def _slope_hold(law: Population, effects: KnownEffects) -> Array:
    """Inverse variance of each slope's prior, shape (k,): its term moves specimens no more than they are apart."""
    return np.square(effects.reach) / (HOLD * np.diag(law.width)[effects.places])


def maximise(
    information: Mapping[str, CurveInformation],
    populations: Populations,
    found: Expectation,
    *,
    tied: bool = False,
    diagonal: bool = False,
) -> Populations:
    """M-step from an E-step's answer.

    Args:
        information: By modality.
        populations: Those of the E-step.
        found: Its answer.
        tied: One scatter for all populations, which is also what they are shrunk to afterwards.
        diagonal: Of that the standard deviations alone: parameters scatter independently.
    """
    gamma = found.responsibilities
    laws = {
        name: _maximise_law(part, populations.laws[name], gamma, found.conditional[name], tied, diagonal)
        for name, part in information.items()
    }
    weight = gamma.sum(0)
    share = (weight + HEAD_START) / (weight.sum() + HEAD_START * len(weight))
    most = most_outside(len(gamma))
    outside = populations.outside and float(np.clip(found.stranger.mean(), BACKGROUND_SHARES[0], most))
    return replace(populations, log_weights=np.log(share), outside=outside, laws=laws)


def _maximise_law(
    information: CurveInformation,
    law: Population,
    gamma: Array,
    conditional: Conditional,
    tied: bool,
    diagonal: bool,
) -> Population:
    weight = gamma.sum(0)
    centre, effects = _moved(information, law, gamma, conditional)
    law = replace(law, effects=effects)
    information = law.centred(information)
    outer, misfit = np.zeros_like(law.scatter), np.zeros(len(centre))
    for rows in _blocks(len(gamma)):
        parts = _spread(information.at(rows), law, gamma[rows], conditional.covariance[rows], centre)
        outer, misfit = outer + parts[0], misfit + parts[1]
    pooled, scatter = law.pooled, law.scatter
    if law.rules.scattered and tied:
        # The floor: no population is a point, and the next covariance can be factorised.
        pooled = outer.sum(0) / max(float(weight.sum()), MINIMUM_WEIGHT) + 1e-12 * law.width
        pooled = pooled * np.eye(len(pooled)) if diagonal else pooled
        scatter = np.repeat(pooled[None], len(centre), axis=0)
    elif law.rules.scattered:
        scatter = (outer + law.shrinkage * pooled) / (weight + law.shrinkage)[:, None, None]
    unit, points = law.rules.scale**2, gamma.T @ information.points
    parts = law.variance / unit, misfit / unit, points, points > MINIMUM_WEIGHT
    variance = law.rules.noise.update(*(torch.as_tensor(part) for part in parts)).numpy() * unit
    return replace(law, centre=centre, scatter=scatter, pooled=pooled, variance=np.maximum(variance, 1e-300))


def alike(information: Mapping[str, CurveInformation], populations: Populations, found: Expectation) -> Populations:
    r"""Let the curves say how alike the scatters of populations are, and so how far each is shrunk to the pooled one.

    Each population's second moments M about its centre, of w specimens, are those of a scatter drawn from an inverse
    Wishart distribution of :math:`\kappa + P` degrees of freedom and scale :math:`\kappa S`; the likeliest
    :math:`\kappa` of a few is taken. Moments hold what curves leave open, so that populations look alike where the
    curves cannot tell.

    Args:
        information: By modality.
        populations: With one scatter for all.
        found: The E-step at them.
    """
    weight, laws = found.responsibilities.sum(0), {}
    for name, law in populations.laws.items():
        laws[name] = law
        P = len(law.pooled)
        if len(weight) == 1 or not law.rules.scattered:
            continue
        part, gamma, conditional = law.centred(information[name]), found.responsibilities, found.conditional[name]
        outer = np.zeros_like(law.scatter)
        for rows in _blocks(len(gamma)):
            outer += _spread(part.at(rows), law, gamma[rows], conditional.covariance[rows], law.centre)[0]

        def log_prob(kappa: float, pooled: Array = law.pooled, outer: Array = outer, P: int = P) -> float:
            before, after = kappa + P, kappa + P + weight
            gammaln = scipy.special.multigammaln
            told = [gammaln(0.5 * one, P) - gammaln(0.5 * before, P) for one in after]
            shape = before * np.linalg.slogdet(kappa * pooled)[1] - after * np.linalg.slogdet(kappa * pooled + outer)[1]
            return float(np.sum(told) + 0.5 * shape.sum())

        laws[name] = replace(law, shrinkage=max(ALIKE, key=log_prob))
    return replace(populations, laws=laws)


def _spread(
    information: CurveInformation, law: Population, gamma: Array, covariance: Array, centre: Array
) -> tuple[Array, Array]:
    """Second moments about new centres, (C, P, P), and expected squared residuals, (C,), summed with their weights."""
    squared, gradient = information.about(centre)
    deviation = (covariance @ gradient[..., None])[..., 0] / law.variance[:, None]
    outer = np.einsum("nc,ncp,ncq->cpq", gamma, deviation, deviation) + np.einsum("nc,ncpq->cpq", gamma, covariance)
    curved = ((information.normal[:, None] @ deviation[..., None])[..., 0] * deviation).sum(-1)
    misfit = np.maximum(squared - 2.0 * (gradient * deviation).sum(-1) + curved, 0.0)
    misfit += np.einsum("npq,ncqp->nc", information.normal, covariance)
    doubt = law.doubt(information)
    if doubt is not None:
        # A batch elsewhere moves the specimens' own deviations back, as far as their curves see it.
        back = covariance @ (information.normal[:, None] / law.variance[:, None, None])
        outer += np.einsum("nc,ncpq,nqr,ncsr->cps", gamma, back, doubt, back, optimize=True)
        kept = np.eye(back.shape[-1]) - back
        misfit += np.einsum("npq,ncqr,nrs,ncps->nc", information.normal, kept, doubt, kept, optimize=True)
    return outer, (gamma * misfit).sum(0)


@dataclass
class _Equations:
    """Normal equations of centres (C, P), slopes (k,) and batches (G, P), summed over specimens.

    Args:
        centres: Information about the centres, (C, P, P), and what pulls them, (C, P).
        slopes: The same of the slopes, (k, k) and (k,).
        batches: The same of the batches, (G, P, P) and (G, P).
        centre_slope: Between them, (C, P, k).
        centre_batch: (C, G, P, P).
        batch_slope: (G, P, k).
    """

    centres: tuple[Array, Array]
    slopes: tuple[Array, Array]
    batches: tuple[Array, Array]
    centre_slope: Array
    centre_batch: Array
    batch_slope: Array

    @classmethod
    def empty(cls, C: int, P: int, k: int, G: int) -> _Equations:
        """Equations of no specimen."""
        return cls(
            (np.zeros((C, P, P)), np.zeros((C, P))),
            (np.zeros((k, k)), np.zeros(k)),
            (np.zeros((G, P, P)), np.zeros((G, P))),
            np.zeros((C, P, k)),
            np.zeros((C, G, P, P)),
            np.zeros((G, P, k)),
        )

    def add(self, told: Array, pull: Array, U: Array | None, batch: NDArray[np.int64] | None) -> None:
        """Add specimens.

        Args:
            told: Information times responsibility, (N, C, P, P).
            pull: Score times responsibility, (N, C, P).
            U: From slopes to parameters, (N, P, k).
            batch: Number of each batch, (N,).
        """
        self.centres[0][:] += told.sum(0)
        self.centres[1][:] += pull.sum(0)
        if U is None:
            return
        whole, score = told.sum(1), pull.sum(1)
        turned = whole @ U
        self.slopes[0][:] += np.einsum("npk,npl->kl", U, turned)
        self.slopes[1][:] += np.einsum("npk,np->k", U, score)
        self.centre_slope += np.einsum("ncpq,nqk->cpk", told, U)
        if batch is None:
            return
        inside = np.flatnonzero(batch >= 0)
        number = batch[inside]
        np.add.at(self.batches[0], number, whole[inside])
        np.add.at(self.batches[1], number, score[inside])
        np.add.at(self.batch_slope, number, turned[inside])
        np.add.at(self.centre_batch.swapaxes(0, 1), number, told[inside])

    def whole(self) -> tuple[Array, Array]:
        """One matrix and one vector: centres, slopes, batches."""
        (C, P), k, G = self.centres[1].shape, len(self.slopes[1]), len(self.batches[1])
        size = C * P
        matrix = np.zeros((size + k + G * P,) * 2)
        for c in range(C):
            matrix[c * P : (c + 1) * P, c * P : (c + 1) * P] = self.centres[0][c]
        for g in range(G):
            here = slice(size + k + g * P, size + k + (g + 1) * P)
            matrix[here, here] = self.batches[0][g]
        s, w = slice(size, size + k), slice(size + k, None)
        matrix[s, s] = self.slopes[0]
        matrix[:size, s] = self.centre_slope.reshape(size, k)
        matrix[:size, w] = self.centre_batch.transpose(0, 2, 1, 3).reshape(size, G * P)
        matrix[w, s] = self.batch_slope.reshape(G * P, k)
        matrix[s, :size], matrix[w, :size], matrix[s, w] = matrix[:size, s].T, matrix[:size, w].T, matrix[w, s].T
        return matrix, np.concatenate([self.centres[1].ravel(), self.slopes[1], self.batches[1].ravel()])


def equations_of(
    information: CurveInformation, law: Population, gamma: Array, conditional: Conditional
) -> tuple[_Equations, Array, Array]:
    """Sum what specimens say of centres and effects.

    Args:
        information: What every curve says.
        law: The populations.
        gamma: Responsibilities, (N, C).
        conditional: What curves say under each population.

    Returns:
        The equations; and information A (N, C, P, P) and score d (N, C, P) of each specimen under each population.
    """
    (C, P), effects = law.centre.shape, law.effects
    k, G = (0, 0) if effects is None else (len(effects.places), len(effects.batches))
    sums, centred = _Equations.empty(C, P, k, G), law.centred(information)
    every_told, every_score = np.empty((len(gamma), C, P, P)), np.empty((len(gamma), C, P))
    for rows in _blocks(len(gamma)):
        part, weight = centred.at(rows), gamma[rows]
        _, gradient = part.about(law.centre)
        precision = part.normal[:, None] / law.variance[:, None, None]
        left = np.eye(P) - precision @ conditional.covariance[rows]
        told, score = left @ precision, (left @ gradient[..., None])[..., 0] / law.variance[:, None]
        every_told[rows], every_score[rows] = told, score
        U = None
        if effects is not None:
            U = effects.matrix(np.zeros((len(weight), 0)) if part.terms is None else part.terms)
        sums.add(weight[..., None, None] * told, weight[..., None] * score, U, part.batch)
    return sums, every_told, every_score


def _moved(
    information: CurveInformation, law: Population, gamma: Array, conditional: Conditional
) -> tuple[Array, KnownEffects | None]:
    """phi_c, and the effects, after a step of generalised least squares with the centres' prior, shape (C, P)."""
    sums, _, _ = equations_of(information, law, gamma, conditional)
    (C, P), effects = law.centre.shape, law.effects
    # Scaled by the width of all specimens, so that units do not matter.
    size = np.sqrt(np.diag(law.width))
    hold = np.linalg.inv(HOLD * law.width)
    rows, target = law.rules.equations(law.centre)
    sums.centres[0][:] += rows.mT @ rows + hold
    sums.centres[1][:] += (rows.mT @ target[..., None])[..., 0] + (law.middle - law.centre) @ hold
    if effects is None:
        matrix, vector = sums.centres
        whole = 0.5 * (matrix + matrix.mT) * size[:, None] * size
        return law.centre + np.linalg.solve(whole, (vector * size)[..., None])[..., 0] * size, None
    k, G = len(effects.places), len(effects.batches)
    held = _slope_hold(law, effects)
    sums.slopes[0][:] += np.diag(held)
    sums.slopes[1][:] -= held * effects.slopes
    if G:
        inside = 1.0 / effects.batch_scatter
        sums.batches[0][:] += np.diag(inside)
        sums.batches[1][:] -= inside * effects.batches
    matrix, vector = sums.whole()
    unit = np.concatenate(
        [np.tile(size, C), size[effects.places] / np.maximum(effects.reach, 1e-300), np.tile(size, G)]
    )
    step = np.linalg.solve(0.5 * (matrix + matrix.T) * unit[:, None] * unit, vector * unit) * unit
    centre = law.centre + step[: C * P].reshape(C, P)
    fresh = replace(effects, slopes=effects.slopes + step[C * P : C * P + k])
    if G:
        batches = effects.batches + step[C * P + k :].reshape(G, P)
        covariance = np.linalg.inv(sums.batches[0])
        spread = (np.square(batches) + np.einsum("gpp->gp", covariance)).mean(0)
        floor = LEAST_BATCH * np.diag(law.width)
        fresh = replace(fresh, batches=batches, batch_covariance=covariance, batch_scatter=np.maximum(spread, floor))
    return centre, fresh


def _logsumexp(values: Array) -> Array:
    top = values.max(1)
    return top + np.log(np.exp(values - top[:, None]).sum(1))
