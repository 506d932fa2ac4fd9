r"""How many populations the curves hold: mixtures of one more and one less, compared by the integrated likelihood.

With the curves' own fits under one wide prior, EM finds the best mixture of C populations for each number C, once with
one scatter for all and once with a scatter each, shrunk to the common one. The better of both by

.. math:: \mathrm{ICL} = -2 \log p(\text{curves}) + k \log N - 2 \sum_{nc} \gamma_{nc} \log \gamma_{nc}

stands for C. A population too many overlaps others, and the last term, the uncertainty of who belongs where, counts
that. Of the k parameters those of a scatter that is shrunk count by the share that its own specimens have in it. A
number is searched from the candidates of any fit and from the next larger one with two near populations made one.

Differences below 6, odds of one to twenty, decide nothing.

Source: Biernacki, Celeux, Govaert 2000, IEEE Trans. Pattern Anal. 22, 719; Fraley, Raftery 2002, J. Am. Stat. Assoc.
97, 611; what a difference is worth, Kass, Raftery 1995, J. Am. Stat. Assoc. 90, 773.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..em.populations import SHRINKAGE, Expectation, Populations, expect, log_prior, maximise
from .populations import MeasuredCurves, candidates, from_labels, sought_in, wide_fits

Array = NDArray[np.float64]

#: Differences of the criterion below this decide nothing.
DECISIVE = 6.0
#: Specimens that are looked at, most.
LOOKED_AT = 1000
#: EM steps of every candidate; of the best ones, how many those are, and the change of the log likelihood, nats, that
#: ends them.
_FIRST, _STEPS, _BEST, _STILL = 25, 100, 2, 1e-3
#: Pairs of populations that are made one, for the next smaller number.
_PAIRS = 4
#: Largest number that is tried where the largest asked for is the best.
_MOST = 16


@dataclass(frozen=True)
class CountedMixture:
    """The best mixture of one number of populations.

    Args:
        clusters: C.
        log_likelihood: log p(curves), nats, of all specimens looked at.
        parameters: Effective number of them.
        bic: Schwarz's criterion, of the better scatter.
        icl: The same with the entropy of who belongs where.
        weights: Specimens in each population, (C,), largest first.
        assigned: Population of each specimen looked at, (N,); -1 for strangers.
        shared: Whether all populations have one scatter.
    """

    clusters: int
    log_likelihood: float
    parameters: float
    bic: float
    icl: float
    weights: tuple[float, ...]
    assigned: NDArray[np.int64]
    shared: bool


@dataclass(frozen=True)
class PopulationNumber:
    """How many populations curves hold.

    Args:
        mixtures: Of every number that was tried, ascending.
        specimens: Numbers of the specimens looked at, (N,).
    """

    mixtures: tuple[CountedMixture, ...]
    specimens: NDArray[np.int64]

    @property
    def clusters(self) -> int:
        """The number with the lowest criterion."""
        return min(self.mixtures, key=lambda one: one.icl).clusters

    @property
    def possible(self) -> tuple[int, ...]:
        """The numbers that it cannot be told from, itself included."""
        lowest = min(one.icl for one in self.mixtures)
        return tuple(one.clusters for one in self.mixtures if one.icl - lowest < DECISIVE)


def population_number(
    curves: Mapping[str, MeasuredCurves], numbers: Sequence[int], seed: int = 0, *, more: bool = False
) -> PopulationNumber:
    """Compare numbers of populations.

    Args:
        curves: By modality, of the same specimens.
        numbers: To compare, each at least 1.
        seed: Of the candidates, and of the choice among very many specimens.
        more: Go on to larger numbers while the largest is the best.
    """
    there = np.flatnonzero(np.any([part.there for part in curves.values()], axis=0))
    looked_at = there
    if len(there) > LOOKED_AT:
        looked_at = np.sort(np.random.default_rng(seed).choice(there, LOOKED_AT, replace=False))
    search = _NumberSearch({name: part.at(looked_at) for name, part in curves.items()}, seed)
    wanted = sorted({number for number in numbers if number <= len(looked_at)} or {1})
    found: dict[int, CountedMixture] = {}
    while True:
        found |= search.down_from(max(wanted), {*wanted} - {*found})
        answer = PopulationNumber(tuple(found[number] for number in wanted), looked_at)
        most = min(_MOST, len(looked_at), max(wanted) + 4)
        if not more or answer.clusters < max(wanted) or most == max(wanted):
            return answer
        wanted = list(range(wanted[0], most + 1))


class _NumberSearch:
    """Search for the best mixtures of some curves.

    Args:
        curves: By modality.
        seed: Of the candidates.
    """

    def __init__(self, curves: Mapping[str, MeasuredCurves], seed: int) -> None:
        self.curves, self.seed = curves, seed
        self.wide = {name: wide_fits(part) for name, part in curves.items()}
        self.information = {name: part[0] for name, part in self.wide.items()}
        self.coordinates = sought_in(curves, self.information, self.wide)
        self.known = np.any([part.there for part in curves.values()], axis=0)

    def down_from(self, most: int, wanted: set[int]) -> dict[int, CountedMixture]:
        """Find the mixtures of the numbers wanted, each also from the next larger one."""
        out, larger = {}, None
        for clusters in range(most, min(wanted, default=most) - 1, -1):
            mixture, larger = self._best(clusters, larger)
            if clusters in wanted:
                out[clusters] = mixture
        return out

    def _best(self, clusters: int, larger: Array | None) -> tuple[CountedMixture, Array]:
        """The best mixture, and its responsibilities."""
        labels = candidates(self.coordinates, clusters, self.seed, self.known)
        labels += [] if larger is None else _merged(larger, self.coordinates[0])
        distinct = {one.tobytes(): one for one in labels}
        begun = [self._climbed(self._from(one, clusters), _FIRST, shared=True) for one in distinct.values()]
        begun.sort(key=lambda pair: -float(pair[1].evidence.sum()))
        mixtures = []
        for shared in (True, False):
            ends = [self._climbed(populations, _STEPS, shared=shared) for populations, _ in begun[:_BEST]]
            populations, found = max(ends, key=lambda pair: self._height(*pair, shared=shared))
            mixtures.append((self._mixture(populations, found, shared=shared), found.among_populations))
        return min(mixtures, key=lambda pair: pair[0].icl)

    def _from(self, labels: NDArray[np.int64], clusters: int) -> Populations:
        laws = {
            name: from_labels(self.information[name], *self.wide[name][1:], labels, clusters, part)
            for name, part in self.curves.items()
        }
        weights = np.bincount(labels[labels >= 0], minlength=clusters) + 1.0
        scattered = all(part.rules.scattered for part in self.curves.values())
        return Populations(np.log(weights / weights.sum()), 0.02 if scattered else 0.0, laws)

    def _climbed(self, populations: Populations, steps: int, *, shared: bool) -> tuple[Populations, Expectation]:
        """EM until the likelihood stands still."""
        found, last = expect(self.information, populations), -math.inf
        for _ in range(steps):
            populations = maximise(self.information, populations, found, tied=shared)
            found = expect(self.information, populations)
            value = float(found.evidence.sum())
            if abs(value - last) < _STILL:
                break
            last = value
        return populations, found

    def _height(self, populations: Populations, found: Expectation, *, shared: bool) -> float:
        return float(found.evidence.sum()) + (0.0 if shared else log_prior(populations))

    def _mixture(self, populations: Populations, found: Expectation, *, shared: bool) -> CountedMixture:
        gamma, weights = found.responsibilities, found.responsibilities.sum(0)
        C, value = len(weights), float(found.evidence.sum())
        own = weights / (weights + SHRINKAGE)
        count = C - 1.0
        for name, part in self.curves.items():
            P = populations.laws[name].centre.shape[1]
            scatter = P * (P + 1) / 2 if part.rules.scattered else 0.0
            count += 0 if part.places is None else len(part.places)
            count += C * P + scatter * (1.0 if shared or C == 1 else float(own.sum() + 1.0 - own.mean()))
        bic = count * math.log(len(gamma)) - 2.0 * value
        entropy = -float((gamma * np.log(np.maximum(gamma, 1e-300))).sum())
        assigned = np.where(found.stranger > 0.5, -1, gamma.argmax(1))
        ordered = tuple(sorted(weights.tolist(), reverse=True))
        return CountedMixture(C, value, count, bic, bic + 2.0 * entropy, ordered, assigned, shared)


def _merged(gamma: Array, z: Array) -> list[NDArray[np.int64]]:
    """Labels with two populations made one: those nearest to each other, and those that share most specimens."""
    C, weight = gamma.shape[1], np.maximum(gamma.sum(0), 1e-12)
    middle = gamma.T @ z / weight[:, None]
    pairs = [(i, j) for i in range(C) for j in range(i)]
    near = sorted(pairs, key=lambda pair: float(np.linalg.norm(middle[pair[0]] - middle[pair[1]])))
    mixed = sorted(
        pairs,
        key=lambda pair: -float(gamma[:, pair[0]] @ gamma[:, pair[1]]) / min(weight[pair[0]], weight[pair[1]]),
    )
    labels = gamma.argmax(1)
    out = []
    for i, j in dict.fromkeys([*near[:_PAIRS], *mixed[:_PAIRS]]):
        one = np.where(labels == i, j, labels)
        out.append(np.where(one > i, one - 1, one))  # i > j: the last number is free
    return out
