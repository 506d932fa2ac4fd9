"""Physics first: every curve's own fit, candidate populations among them, EM from each, the likeliest kept.

The first own fits have one wide prior, from robust statistics of where the law would start. Candidates are k-means and
Gaussian mixtures on the estimates, with and without the twentieth of the specimens that lies loneliest. Then EM and own
fits take turns: every curve is fitted again with its own population as prior, one step of EM follows, and a step after
which the renewed likelihood is lower is halved, so that two renewals cannot alternate.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ...errors import require
from ...experts import (
    BEYOND,
    Bounds,
    CurveInformation,
    Law,
    curves_at,
    integrated,
    noisy_fits,
    own_fits,
    variable,
    working_curves,
)
from ...model.effects.known import KnownEffects
from ...model.noise.base import VARIANCE_FLOOR
from ..em.populations import (
    SHRINKAGE,
    WIDTHS,
    Expectation,
    Population,
    Populations,
    Rules,
    alike,
    background,
    expect,
    log_prior,
    maximise,
    root_of,
)
from ..threads import one_thread

Array = NDArray[np.float64]

#: How far a guess of a parameter without bounds may be off, as a share of it.
GUESSED = 0.3
#: Rounds of own fits under one wide population, before any population is looked for.
WIDE_ROUNDS = 4
#: EM steps at fixed information from a candidate; renewals after them; and the change of parameters that ends both, in
#: standard deviations of the scatter and in logarithms of scatter and noise.
SWEEPS, RENEWALS, SETTLED = 25, 60, 3e-3
#: Halvings of a step after which the likelihood fell.
HALVINGS = 3
#: Steps of an own fit in a renewal: it starts at the last estimate.
WARM_STEPS = 3
#: Share of specimens that half of the candidates leave out.
LONELY = 0.05
#: Variance between batches that EM starts from, in that of all specimens.
STARTING_BATCHES = 0.05
#: Restarts of each candidate's own search.
SEARCHES = 3
#: Specimens that choose among the candidates.
SCREENED = 4000
#: So few specimens may be told better by a scatter without correlations, if Schwarz's criterion says so.
FEW = 500
#: Nats by which candidates differ that are the same.
EQUAL = 0.01
#: Responsibility from which it matters what a curve says under a population.
RELEVANT = 0.01
#: Share of the renewals that are kept for those with integrals; points of curves that are integrated in all of them,
#: and in one: some seconds each.
INTEGRATED, AFFORDABLE, AT_ONCE = 0.4, 200_000, 50_000
#: Nats by which the likelihood may be lower after a step for each curve that is integrated: integrals are not exact.
SLACK = 0.5
#: Standard deviations beyond which a specimen is no farther from its population, where the first scatter is told.
OUTLYING = 3.0
#: Changes of its prior after which a specimen keeps it.
TURNS = 3


@dataclass(frozen=True)
class MeasuredCurves:
    """Curves of one law as own fits take them.

    Args:
        law: The physics.
        bounds: Bounds of its parameters.
        t: Packed inputs (1, V T), or one grid for each specimen (N, V T).
        y: Curves, shape (N, T); anything where the weight is zero.
        weights: Weights of the squared residuals, shape (N, T); all zero for a specimen without the curve.
        starts: Where cold fits start, unbounded parameters, shape (N, S, P).
        rules: What is given of its populations.
        terms: What is known of the specimens and moves their parameters, minus its reference, shape (N, k); None:
            nothing.
        places: Number of the parameter that each term moves, shape (k,).
        batch: Number of each specimen's batch, shape (N,), -1 without a curve; None: there are no batches.
        pooled: Parameters that all curves were fitted with together, (P,), and a spread about them, (P,), unbounded:
            for curves that do not tell their own alone, as one test at one rate does not tell how the rate matters.
            None: every curve tells its own.
    """

    law: Law
    bounds: Bounds
    t: Array
    y: Array
    weights: Array
    starts: Array
    rules: Rules = Rules()  # noqa: RUF009 - frozen
    pooled: tuple[Array, Array] | None = None
    terms: Array | None = None
    places: NDArray[np.int64] | None = None
    batch: NDArray[np.int64] | None = None

    @property
    def batches(self) -> int:
        """G, the number of batches."""
        return 0 if self.batch is None else int(self.batch.max(initial=-1)) + 1

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which specimens have a curve at all, shape (N,)."""
        return np.any(self.weights > 0.0, axis=1)

    def at(self, index: NDArray[np.int64]) -> MeasuredCurves:
        """The specimens of ``index``."""
        own = self.t if len(self.t) == 1 else self.t[index]
        terms, batch = (None if part is None else part[index] for part in (self.terms, self.batch))
        parts = {"y": self.y[index], "weights": self.weights[index], "starts": self.starts[index]}
        return replace(self, t=own, terms=terms, batch=batch, **parts)

    def fitted(
        self, centre: Array, root: Array, which: NDArray[np.int64], precision: Array, start: Array, steps: int
    ) -> CurveInformation:
        """What every curve says, with these populations as priors; see :func:`own_fits`."""
        at = (self.law, self.bounds, self.t, self.y, self.weights)
        prior = centre, root, which, precision, start
        if self.rules.noise.curve_noise is not None:
            found = noisy_fits(self.rules.noise.curve_noise, *at, *prior, steps=steps)[0]
        else:
            found = own_fits(*at, *prior, steps=steps)[0]
        return replace(found, terms=self.terms, batch=self.batch)

    def integrated(
        self, information: CurveInformation, law: Population, which: NDArray[np.int64], asked: NDArray[np.bool_]
    ) -> tuple[CurveInformation, Array]:
        """The same with integrals for curves that are not quadratic, and how far each was; see :func:`integrated`."""
        y, weights, noise = self.y, self.weights, self.rules.noise.curve_noise
        if noise is not None:
            # Weights and working data stay those of the estimates.
            curve = curves_at(self.law, self.bounds, self.t, information.estimate)
            working = working_curves(noise, variable(self.law, self.t), y, weights, curve)
            y, weights = working.y, working.weights
            noise = noise if noise.correlated else None
        at = (self.law, self.bounds, self.t, y, weights)
        asked = asked & self.there[:, None]
        of = law.centre, root_of(law.scatter), 1.0 / law.variance
        options = {"most": max(AT_ONCE // y.shape[1], 1), "noise": noise, "offset": law.offset(information)}
        found, far = integrated(*at, law.centred(information), *of, which, asked, **options)
        return replace(found, estimate=information.estimate), far


@dataclass(frozen=True)
class PhysicsFit:
    """Populations found from curves alone.

    Args:
        populations: Weights, centres, scatter and noise.
        found: The E-step at them.
        information: What every curve says, by modality.
        objective: Penalised log likelihood after each renewal, nats; the last is that of the answer.
        beyond: How far each curve's log likelihood is from its quadratic, by modality, (N,), nats, as
            :func:`~pima_toolkit.experts.integrated` says; 0 for strangers and specimens without the curve.
        interrupted: Whether Ctrl-C ended the renewals.
    """

    populations: Populations
    found: Expectation
    information: Mapping[str, CurveInformation]
    objective: tuple[float, ...]
    beyond: Mapping[str, Array]
    interrupted: bool = False


def find_populations(
    curves: Mapping[str, MeasuredCurves],
    clusters: int,
    *,
    seed: int = 0,
    background: bool = True,
    renewals: int = RENEWALS,
    callback: Callable[[int, float, Populations], bool] | None = None,
) -> PhysicsFit:
    """Find C populations in curves, from nothing.

    Args:
        curves: By modality, of the same N specimens.
        clusters: C.
        seed: Of the candidates.
        background: Whether specimens may belong to no population; never where the specimens of a population do not
            differ, who would all be strangers.
        renewals: At most so many renewals of the own fits.
        callback: Told the number of each renewal, the penalised log likelihood and the populations; one that returns
            True ends it.
    """
    wide = {name: wide_fits(part) for name, part in curves.items()}
    information = {name: part[0] for name, part in wide.items()}
    background = background and all(part.rules.scattered for part in curves.values())
    some = _screened(curves, seed)
    screened = {name: part.at(some) for name, part in information.items()}
    known = np.any([part.there[some] for part in curves.values()], axis=0)
    tried: list[tuple[float, Populations]] = []
    coordinates = sought_in(curves, screened, wide)
    few = len(some) <= FEW and all(part.rules.scattered for part in curves.values())
    for labels in candidates(coordinates, clusters, seed, known):
        laws = {
            name: from_labels(screened[name], *wide[name][1:], labels, clusters, part) for name, part in curves.items()
        }
        weights = np.bincount(labels[labels >= 0], minlength=clusters) + 1.0
        start = Populations(np.log(weights / weights.sum()), 0.02 if background else 0.0, laws)
        for diagonal in (False, True) if few else (False,):
            populations, found = _settle(screened, start, diagonal=diagonal)
            value = float(found.evidence.sum()) + log_prior(populations)
            if few and not diagonal:
                value += sum(_correlated(law.pooled, len(some)) for law in populations.laws.values())
            tried.append((value, populations))
    # Of candidates as good as the best the first: which one rounding prefers must not say who is called what.
    highest = max(value for value, _ in tried)
    best = next(populations for value, populations in tried if value > highest - EQUAL)
    best = alike(screened, best, expect(screened, best))
    return _alternate(curves, information, best, renewals, callback)


def _correlated(scatter: Array, specimens: int) -> float:
    """What correlations of a scatter (P, P) cost: Schwarz's criterion, and a prior against them, nats.

    As good as the likelihood of a few specimens may be for two crossed populations, correlations are rarely strong: the
    prior, the determinant of the correlations to a power, counts as many specimens as shrink a scatter.
    """
    P, std = len(scatter), np.sqrt(np.diag(scatter))
    log_det = float(np.linalg.slogdet(scatter / np.outer(std, std))[1])
    return 0.5 * SHRINKAGE * log_det - 0.25 * P * (P - 1) * math.log(specimens)


def _screened(curves: Mapping[str, MeasuredCurves], seed: int) -> NDArray[np.int64]:
    """The specimens that choose among candidates: all, or some thousands of those with a curve."""
    known = np.flatnonzero(np.any([part.there for part in curves.values()], axis=0))
    count = len(next(iter(curves.values())).y)
    if count <= SCREENED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(known, min(SCREENED, len(known)), replace=False))


def wide_fits(curves: MeasuredCurves) -> tuple[CurveInformation, Array, Array, float]:
    """Own fits under one wide prior; information, robust centre (P,) and spread (P,), and the noise variance."""
    N, _, P = curves.starts.shape
    which, there = np.zeros(N, dtype=np.int64), curves.there
    least = np.where(np.isfinite(curves.bounds.lower) | np.isfinite(curves.bounds.upper), 1e-3, 0.0)
    centre, spread = _robust(curves.starts[there, 0])
    # Guesses are of a grid of candidates: where all curves have the same one, that is no knowledge.
    unsure = np.array([p not in curves.law.linear for p in range(P)]) & (least == 0.0)
    spread = np.maximum(3.0 * spread, np.where(unsure, GUESSED * np.abs(centre), 500.0 * least))
    if curves.pooled is not None:
        # A direction that no curve speaks about alone stays as wide: its centre would be held where it began.
        centre, least = curves.pooled
        spread = np.maximum(spread, least)
    floor = VARIANCE_FLOOR * curves.rules.scale**2
    noise, start, steps = max(1e-2 * _size_of(curves), floor), curves.starts, 60
    for _ in range(WIDE_ROUNDS + 1):
        prior = centre[None], np.diag(spread)[None], which, np.full(N, 1.0 / noise)
        information = curves.fitted(*prior, start, steps)
        noise = max(_pooled_noise(information.at(there), P), floor)
        centre, seen = _robust(information.estimate[there])
        # Estimates are shrunk to the centre by what their curves leave open: that is spread too.
        said = information.normal[there] * spread[:, None] * spread / noise
        left = np.einsum("npp->np", np.linalg.inv(np.eye(P) + said)) * spread**2
        spread = np.maximum(np.sqrt(seen**2 + np.median(left, axis=0)), least)
        start, steps = information.estimate[:, None], 20
    return information, centre, spread, noise


def _robust(values: Array) -> tuple[Array, Array]:
    """Medians, and standard deviations from median absolute ones, shape (P,) each."""
    centre = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - centre), axis=0)
    return centre, np.maximum(spread, 1e-6 * np.maximum(np.abs(centre), 1e-3))


def _size_of(curves: MeasuredCurves) -> float:
    """Median of the curves' weighted variances."""
    count = np.maximum((curves.weights > 0.0).sum(1), 1)
    y = np.where(curves.weights > 0.0, curves.y, 0.0)
    centred = np.where(curves.weights > 0.0, y - (y.sum(1) / count)[:, None], 0.0)
    each = (centred**2 * curves.weights).sum(1) / count
    return max(float(np.median(each[each > 0.0])) if (each > 0.0).any() else 0.0, 1e-300)


def _pooled_noise(information: CurveInformation, parameters: int) -> float:
    """Noise variance of the curves that the law describes; the others must not make these uncertain."""
    freedom = np.maximum(information.points - parameters, 0.5)
    each = information.squared / freedom
    good = each <= 25.0 * np.median(each)
    return max(float(information.squared[good].sum() / freedom[good].sum()), 1e-300)


def sought_in(
    curves: Mapping[str, MeasuredCurves],
    information: Mapping[str, CurveInformation],
    wide: Mapping[str, tuple[CurveInformation, Array, Array, float]],
) -> list[Array]:
    """Coordinates (N, P) that populations are sought in.

    Args:
        curves: By modality.
        information: What they say, of some or all of their specimens.
        wide: As :func:`wide_fits` gave it.
    """
    seen = [information]
    if any(part.terms is not None for part in curves.values()):
        seen.append({name: _adjusted(part, curves[name]) for name, part in information.items()})
    return [
        z
        for parts in seen
        for z in (
            by_spread(parts, {name: part[1:3] for name, part in wide.items()}),
            by_curves(parts, {name: part[3] for name, part in wide.items()}),
        )
    ]


def by_spread(information: Mapping[str, CurveInformation], wide: Mapping[str, tuple[Array, Array]]) -> Array:
    """Unbounded parameters of every law side by side, (N, P), in standard deviations between specimens.

    Args:
        information: What every curve says, by modality.
        wide: Middle (P,) and spread (P,) by modality.
    """
    return np.concatenate(
        [(information[name].estimate - middle) / spread for name, (middle, spread) in wide.items()], 1
    )


def by_curves(information: Mapping[str, CurveInformation], noise: Mapping[str, float]) -> Array:
    """The same in coordinates in which distances are those of the curves, in units of their median distance.

    What tells populations apart is wide, and in units of its own spread no wider than the rest.

    Args:
        information: What every curve says, by modality.
        noise: Noise variance by modality.
    """
    parts = []
    for name, part in information.items():
        values, vectors = np.linalg.eigh(part.normal.mean(0) / noise[name])
        parts.append((part.estimate - np.median(part.estimate, axis=0)) @ (vectors * np.sqrt(np.maximum(values, 0.0))))
    z = np.concatenate(parts, axis=1)
    return z / max(float(np.median(np.linalg.norm(z, axis=1))), 1e-300)


def candidates(
    coordinates: Sequence[Array], clusters: int, seed: int, known: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """Labels (N,) from which EM starts; -1 for specimens that are left to the first E-step.

    Args:
        coordinates: Parameters (N, P) in each of the coordinates that populations are sought in.
        clusters: C.
        seed: Of the searches.
        known: Which specimens have a curve, shape (N,); the others are left.
    """
    if clusters == 1:
        return [np.where(known, 0, -1)]
    if known.sum() <= clusters:
        return [np.where(known, np.cumsum(known) - 1, -1)]
    with one_thread():
        return [labels for z in coordinates for labels in _searched(np.clip(z, -20.0, 20.0), clusters, seed, known)]


def _searched(z: Array, clusters: int, seed: int, known: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Labels by k-means and by mixtures, of all and without the loneliest."""
    N = len(known)
    neighbours = scipy.spatial.cKDTree(z[known]).query(z, k=min(6, int(known.sum())))[0][:, -1]
    cluster, mixture = require("sklearn.cluster", "starts"), require("sklearn.mixture", "starts")
    for core in (known & (neighbours <= np.quantile(neighbours[known], 1.0 - LONELY)), known):
        if core.sum() <= clusters and core is not known:
            continue
        searches = [cluster.KMeans(clusters, n_init=5 * SEARCHES, random_state=seed)]
        searches += [
            mixture.GaussianMixture(clusters, covariance_type=kind, n_init=SEARCHES, random_state=seed, reg_covar=1e-3)
            for kind in ("tied", "full")
        ]
        for search in searches:
            labels = np.full(N, -1)
            with warnings.catch_warnings():
                # Fewer different specimens than populations: told of once, where clusters end empty or alike.
                warnings.simplefilter("ignore", require("sklearn.exceptions", "starts").ConvergenceWarning)
                labels[core] = search.fit_predict(z[core])
            yield labels


def from_labels(
    information: CurveInformation,
    middle: Array,
    spread: Array,
    noise: float,
    labels: NDArray[np.int64],
    clusters: int,
    curves: MeasuredCurves,
) -> Population:
    """Populations of labelled specimens."""
    rules, effects, values = curves.rules, None, information.estimate
    if curves.terms is not None and curves.places is not None and information.terms is not None:
        slopes = _slopes(values, information.terms, curves.places, labels)
        start = STARTING_BATCHES * spread**2
        effects = KnownEffects.start(curves.places, information.terms, slopes, curves.batches, start)
        values = values - effects.offset(information.terms, None)
    centre = np.stack(
        [np.median(values[labels == c], axis=0) if (labels == c).any() else middle for c in range(clusters)]
    )
    held = labels >= 0
    away = values[held] - centre[labels[held]]
    inside = np.clip(1.4826 * np.median(np.abs(away), axis=0), 0.05 * spread, spread)
    # Populations may lie beside each other across the direction in which each is long.
    near = np.clip(away / inside, -OUTLYING, OUTLYING)
    shape = near.T @ near / len(near) + 1e-3 * np.eye(len(inside))
    std = np.sqrt(np.diag(shape))
    pooled = shape * np.outer(inside / std, inside / std) * float(rules.scattered)
    scatter = np.repeat(pooled[None], clusters, axis=0)
    variance = np.full(clusters, rules.noise.start(noise / rules.scale**2) * rules.scale**2)
    return Population(centre, scatter, variance, pooled, middle, np.diag(spread**2), noise, rules, effects)


def _slopes(values: Array, terms: Array, places: NDArray[np.int64], labels: NDArray[np.int64]) -> Array:
    """Slopes of estimates (N, P) on the terms (N, k) inside labelled populations, least squares, (k,)."""
    held = labels >= 0
    inside = np.zeros((len(labels), int(labels.max(initial=0)) + 1))
    inside[np.flatnonzero(held), labels[held]] = 1.0
    out = np.zeros(len(places))
    for place in np.unique(places):
        own = np.flatnonzero(places == place)
        columns = np.column_stack([terms[:, own], inside])[held]
        out[own] = np.linalg.lstsq(columns, values[held, place], rcond=None)[0][: len(own)]
    return out


def _adjusted(information: CurveInformation, curves: MeasuredCurves) -> CurveInformation:
    """Estimates less what terms explain of them, as if there were one population: where populations may show better."""
    if information.terms is None or curves.places is None:
        return information
    alike = np.where(information.points > 0.0, 0, -1)
    slopes = _slopes(information.estimate, information.terms, curves.places, alike)
    start = KnownEffects.start(curves.places, information.terms, slopes, 0, np.zeros(information.estimate.shape[1]))
    return replace(information, estimate=information.estimate - start.offset(information.terms, None))


def _settle(
    information: Mapping[str, CurveInformation], populations: Populations, *, diagonal: bool
) -> tuple[Populations, Expectation]:
    """EM with one scatter for all populations, at fixed information, until the parameters stand still."""
    found = expect(information, populations)
    for _ in range(SWEEPS):
        fresh = maximise(information, populations, found, tied=True, diagonal=diagonal)
        moved = change(populations, fresh)
        populations, found = fresh, expect(information, fresh)
        if moved < SETTLED:
            break
    return populations, found


def _alternate(
    curves: Mapping[str, MeasuredCurves],
    information: Mapping[str, CurveInformation],
    populations: Populations,
    renewals: int,
    callback: Callable[[int, float, Populations], bool] | None,
) -> PhysicsFit:
    """One step of EM for each renewal of the own fits, until the parameters stand still; then with integrals."""
    renewal = Renewal(curves, populations, expect(information, populations))
    information = renewal.fits(information, populations, steps=10)
    found = expect(information, populations)
    values = [float(found.evidence.sum()) + log_prior(populations)]
    last, tried, interrupted = renewals, False, False
    try:
        for number in range(renewals):
            if number > last:
                break
            fresh = _with_background_noise(maximise(information, populations, found))
            renewal.follow(found)
            for halving in range(HALVINGS + 1):
                moved = change(populations, fresh)
                again = renewal.fits(information, fresh)
                if renewal.integrates:
                    again = renewal.integrals(again, fresh, found)
                after = expect(again, fresh)
                value = float(after.evidence.sum()) + log_prior(fresh)
                if value >= values[-1] - renewal.slack or moved < SETTLED or halving == HALVINGS:
                    break
                fresh = _halfway(populations, fresh)
            if renewal.integrates and value < values[-1] - renewal.slack:
                break
            populations, information, found = fresh, again, after
            values.append(value)
            if callback is not None and callback(number, value, populations) is True:
                break
            if not tried and (moved < SETTLED or number + 1 >= (1.0 - INTEGRATED) * renewals):
                tried = True
                information = renewal.integrals(information, populations, found)
                found = expect(information, populations)
                values.append(float(found.evidence.sum()) + log_prior(populations))
                last = number + renewal.affordable
            elif moved < SETTLED:
                break
            if moved < SETTLED and not renewal.integrates:
                break
    except KeyboardInterrupt:
        interrupted = True
    return PhysicsFit(populations, found, information, tuple(values), renewal.beyond, interrupted)


class Renewal:
    """Own fits again, and whose prior each specimen is fitted with.

    Args:
        curves: By modality.
        populations: The first ones.
        found: The E-step at them.
    """

    def __init__(self, curves: Mapping[str, MeasuredCurves], populations: Populations, found: Expectation) -> None:
        self.curves, self.outside = curves, len(populations.log_weights)
        self.which = self._likeliest(found)
        self.turns = np.zeros(len(self.which), dtype=np.int64)
        self.integrates = False
        #: How far each curve's log likelihood is from its quadratic, by modality, (N,), nats.
        self.beyond = {name: np.zeros(len(self.which)) for name in curves}

    def _likeliest(self, found: Expectation) -> NDArray[np.int64]:
        return np.where(found.stranger > 0.5, self.outside, found.responsibilities.argmax(1))

    def follow(self, found: Expectation) -> None:
        """Give each specimen the prior of its likeliest population, a stranger that of the widest background.

        One that goes to and fro stays: of a curve with several optima the fit with each prior may speak for the other.
        """
        now = self._likeliest(found)
        self.turns += now != self.which
        self.which = np.where(self.turns > TURNS, self.which, now)

    def fits(
        self, information: Mapping[str, CurveInformation], populations: Populations, steps: int = WARM_STEPS
    ) -> dict[str, CurveInformation]:
        """Own fits, from the last estimates."""
        fresh = {}
        for name, part in self.curves.items():
            law = populations.laws[name]
            centre = np.concatenate([law.centre, law.middle[None]])
            scatter = np.concatenate([law.scatter, WIDTHS[-1] * law.width[None]])
            precision = 1.0 / np.append(law.variance, law.background_variance)[self.which]
            root, which, offset = root_of(scatter), self.which, law.offset(information[name])
            if offset is not None:
                # A population of each specimen's own.
                centre, root, which = centre[which] + offset, root[which], np.arange(len(which))
            fresh[name] = part.fitted(centre, root, which, precision, information[name].estimate[:, None], steps)
        return fresh

    def integrals(
        self, information: Mapping[str, CurveInformation], populations: Populations, found: Expectation
    ) -> dict[str, CurveInformation]:
        """Integrals in place of quadratics that do not describe their curves, under the populations that matter."""
        out = {}
        inside = self.which < self.outside
        own = np.minimum(self.which, self.outside - 1)
        asked = found.responsibilities > RELEVANT
        asked[np.arange(len(own)), own] = True
        for name, part in self.curves.items():
            law, plain = populations.laws[name], information[name]
            right, self.beyond[name] = part.integrated(plain, law, own, asked & inside[:, None])
            # Whether a curve is a stranger's is said by its own quadratic.
            out[name] = replace(right, outside=background(plain, law) - background(right, law))
        self.integrates = any(bool((part > BEYOND).any()) for part in self.beyond.values())
        return out

    @property
    def slack(self) -> float:
        """Nats by which the likelihood may fall by what integrals are off: errors of curves are independent."""
        if not self.integrates:
            return 0.0
        return SLACK * math.sqrt(sum(int((part > BEYOND).sum()) for part in self.beyond.values()))

    @property
    def affordable(self) -> int:
        """Renewals with integrals that take no more than some seconds; without limit where every curve is quadratic."""
        numbers = [(self.beyond[name] > BEYOND).sum() * part.y.shape[1] for name, part in self.curves.items()]
        return AFFORDABLE // max(sum(min(int(points), AT_ONCE) for points in numbers), 1)


def _with_background_noise(populations: Populations) -> Populations:
    """The background's noise as the populations' now is."""
    laws = {
        name: replace(law, background_variance=math.exp(np.log(law.variance).mean()))
        for name, law in populations.laws.items()
    }
    return replace(populations, laws=laws)


def _halfway(old: Populations, new: Populations) -> Populations:
    laws = {
        name: replace(
            law,
            centre=0.5 * (law.centre + old.laws[name].centre),
            scatter=0.5 * (law.scatter + old.laws[name].scatter),
            variance=np.sqrt(law.variance * old.laws[name].variance),
            effects=_effects_halfway(old.laws[name].effects, law.effects),
        )
        for name, law in new.laws.items()
    }
    return replace(new, laws=laws)


def _effects_halfway(old: KnownEffects | None, new: KnownEffects | None) -> KnownEffects | None:
    return new if old is None or new is None else old.lerp(new, 0.5)


def change(old: Populations, new: Populations) -> float:
    """Largest change of centres, in standard deviations of the scatter, and of logarithms of scatter and noise."""
    largest = 0.0
    for name, law in new.laws.items():
        before = old.laws[name]
        least = 1e-3 * np.sqrt(np.diag(law.width))  # for populations without scatter
        std, was = (np.maximum(np.sqrt(np.einsum("cpp->cp", part.scatter)), least) for part in (law, before))
        parts = np.abs(law.centre - before.centre) / std, np.abs(np.log(std / was))
        parts += (np.abs(np.log(law.variance / before.variance)),)
        if law.effects is not None and before.effects is not None:
            widest, moved = std.max(0), np.abs(law.effects.slopes - before.effects.slopes)
            parts += (np.append(moved * law.effects.reach / widest[law.effects.places], 0.0),)
            parts += (np.append(np.abs(law.effects.batches - before.effects.batches) / widest, 0.0),)
        largest = max(largest, *(float(part.max()) for part in parts))
    return largest
