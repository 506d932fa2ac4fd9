r"""How far each speaker is believed, and what scatter is left of a specimen's parameters once they were heard.

What a speaker says is taken to a power :math:`\tau`, its temperature: 0 is not to believe it, 1 is to take it at its
word, more that it is surer than it says. Judged on specimens that the speakers have not learned from, by the log
predictive score of their curves,

.. math:: \log p(\text{curve} \mid \text{pictures}) = \log\sum_c \mathbb E\, f_{\text{curve}}\, \tilde f(\tau)
          - \log\sum_c \mathbb E\, \tilde f(\tau), \qquad \tilde f = \text{silenced} \prod_k f_k^{\tau_k},

which is proper: in expectation nothing scores higher than what is true, and a speaker that says nothing true lowers it.
A normal distribution is never wrong by much, and measured specimens are: what is said of parameters is scored as if it
missed the point for one specimen in twenty, :math:`0.95\,p(\text{curve}\mid\text{all}) +
0.05\,p(\text{curve}\mid\text{what is said of populations})`.

Where the curve is a linear function of its parameters, what is said of these is judged by how far the curve at the
likeliest parameters m misses the measured one, in units of the noise,

.. math:: e = \sum_c \gamma_c\, (m_c - b_c)^\top H_c\, (m_c - b_c), \qquad b_c = H_c^+ g_c.

How sure one may be of m is found afterwards (:func:`residual_scatter`), and a density would count every direction
alike, those that move no curve too. Whether anybody is believed at all is one question of each kind, asked once:
temperatures chosen on some groups must do better on others.

Source: Good 1952; Gneiting & Raftery 2007 for proper scores; Wolpert 1992 for combining out of fold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
import torch
from torch import Tensor

from ..model.joint import Deviation, Potential, conditioned, join

#: Temperatures that are tried; above one for speakers that are too shy, as penalised regressions are.
GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0, 3.0)
#: Those among which a speaker finds its place before all are tuned together.
COARSE = (0.1, 0.3, 0.6, 1.0, 2.0)
#: Fewest specimens that a temperature can be judged by, and fewest groups where there are some: Student's t with one
#: freedom less than groups asks the more of the gain the fewer there are.
LEAST_SPECIMENS, LEAST_GROUPS = 10, 5
#: Share of fits that may believe anything where nothing is true.
CHANCE = 0.05
#: Share of specimens of which what is said of parameters may miss the point.
DOUBT = 0.05
#: Standard errors by which a further speaker must raise the score of those that it is chosen by.
JOINS = 1.64
#: Parts of the groups, each of which judges temperatures that were chosen on the others.
PARTS = 5
#: Specimens that temperatures are sought on; whether they are believed is judged on all.
_SOUGHT = 2000
#: Specimens times sets of temperatures whose scores are kept.
_KEPT = 1_000_000
#: Weight of the pooled scatter in each population's, in specimens.
KAPPA = 10.0


@dataclass(frozen=True)
class Heard:
    """What was said of specimens that the speakers have not learned from.

    Args:
        speakers: Name -> potential of N specimens, all in the same coordinates.
        curves: What the curves say of them; nothing of those without.
        log_weights: log pi, shape (C,), or (N, C) where each specimen's fold has its own.
        prior: The deviations before anything is said, with the total scatter.
        known: Specimens that have a curve to judge by, shape (N,), bool.
        linear: Whether curves are linear functions of their parameters.
    """

    speakers: Mapping[str, Potential]
    curves: Potential
    log_weights: Tensor
    prior: Deviation
    known: Tensor
    linear: bool = False

    def __len__(self) -> int:
        return len(self.curves)

    def at(self, index: Tensor) -> Heard:
        """The specimens of ``index``."""
        mean, root = (x if x.shape[0] == 1 else x[index] for x in (self.prior.mean, self.prior.root))
        return Heard(
            {name: potential.at(index) for name, potential in self.speakers.items()},
            self.curves.at(index),
            self.log_weights if self.log_weights.ndim == 1 else self.log_weights[index],
            Deviation(mean, root),
            self.known[index],
            self.linear,
        )

    def together(self, taus: Mapping[str, float]) -> Potential:
        """Sum of all speakers at their temperatures, not yet silenced: what they say of c is its ``constant``.

        Args:
            taus: By name; a speaker that is not named is not heard.
        """
        sizes = self.curves.linear.shape
        total = Potential.silent(*sizes, like=self.curves.constant)
        for name, tau in taus.items():
            if tau > 0:
                total = total + self.speakers[name] * float(tau)
        return total

    @property
    def of_parameters(self) -> list[str]:
        """Those who speak of parameters."""
        return [name for name, part in self.speakers.items() if bool(part.linear.any() or part.curvature.any())]


class Score:
    """Log predictive score of the curves given the speakers, nats.

    What is said of parameters enters as log p(curve given c, what was said), one number for each population, which is
    kept for every set of temperatures: to try what is said of populations then costs no matrix.

    Args:
        heard: What was said.
        doubt: Probability that for a specimen nothing that is said of parameters holds.
    """

    def __init__(self, heard: Heard, doubt: float = DOUBT) -> None:
        self.heard, self.doubt = heard, doubt
        self.bent = set(heard.of_parameters)
        self._given: dict[tuple[tuple[str, float], ...], Tensor] = {}

    def of(self, taus: Mapping[str, float]) -> Tensor:
        """Scores at temperatures by name, (N,); 0 for specimens without a curve."""
        believed = {name: float(tau) for name, tau in taus.items() if tau > 0}
        about = tuple((name, tau) for name, tau in believed.items() if name in self.bent)
        score = self._mixed(believed, self._about(about))
        if self.doubt > 0 and about:
            rest = {name: tau for name, tau in believed.items() if name not in self.bent}
            without = self._mixed(rest, self._about(()))
            score = torch.logaddexp(math.log1p(-self.doubt) + score, math.log(self.doubt) + without)
        return torch.where(self.heard.known, score, 0.0)

    def _mixed(self, taus: Mapping[str, float], given: Tensor) -> Tensor:
        prior = self.heard.log_weights
        for name, tau in taus.items():
            prior = prior + tau * self.heard.speakers[name].constant
        # log p(curve) of the mixture whose weights are those after what was said of c.
        return (prior + given).logsumexp(1) - prior.logsumexp(-1)

    def _about(self, taus: tuple[tuple[str, float], ...]) -> Tensor:
        """log p(curve given c, what was said of parameters), (N, C), nats."""
        if taus not in self._given:
            heard = self.heard
            said = heard.together(dict(taus))
            said = replace(said, constant=torch.zeros_like(said.constant))
            found = conditioned(heard.curves + said, heard.prior)[0]
            if taus:
                # Both times over the prior: the second takes out what a precise statement says of c by the way.
                found = found - conditioned(said, heard.prior)[0]
            if len(heard) * len(self._given) > _KEPT:
                self._given.clear()
            self._given[taus] = found
        return self._given[taus]


class Misfit:
    """How near the curve at predicted parameters comes to the measured one, as a share.

    In units in which the specimens' mean squared distance from their population's curve is 1.

    Args:
        heard: What was said.
    """

    def __init__(self, heard: Heard) -> None:
        self.heard, curves = heard, heard.curves
        self._gamma = (heard.log_weights + conditioned(curves, heard.prior)[0]).softmax(1)
        inverse = torch.linalg.pinv(curves.curvature, hermitian=True, rtol=1e-10)
        own = (inverse @ curves.linear[..., None]).squeeze(-1)
        self._least = 0.5 * (curves.linear * own).sum(-1)
        self._unit = 1.0
        self._unit = float(-self.of({})[heard.known].mean()) if bool(heard.known.any()) else 1.0

    def of(self, taus: Mapping[str, float]) -> Tensor:
        """Minus the squared distance at temperatures by name, (N,); 0 for specimens without a curve."""
        heard, curves = self.heard, self.heard.curves
        mean = conditioned(heard.together(taus), heard.prior)[1].mean
        bent = (curves.curvature @ mean[..., None]).squeeze(-1)
        off = self._least - (curves.linear * mean).sum(-1) + 0.5 * (bent * mean).sum(-1)
        distance = (self._gamma * off.clamp_min(0.0)).sum(1) / max(self._unit, 1e-300)
        return torch.where(heard.known, -distance, 0.0)


@dataclass(frozen=True)
class Temperatures:
    """How far speakers are believed, and what that rests on.

    Args:
        taus: By speaker.
        gain: What the curves' log predictive score gains over the populations alone, nats per specimen, of specimens
            that had no part in choosing temperatures.
        error: Its standard error over groups (specimens, without groups); NaN where nothing was judged.
        explained: Share of the specimens' squared distance from their population's curve that what is said of
            parameters takes away, of the same specimens; where that is what is judged by, and 0 elsewhere.
        explained_error: Its standard error.
        alone: By speaker, the gain or share of the best temperature by itself, and its standard error.
        by_distance: Those who are judged by that share.
        judged: Groups (specimens) that it was judged by.
        groups: Whether those are groups.
    """

    taus: Mapping[str, float]
    gain: float
    error: float
    explained: float
    explained_error: float
    alone: Mapping[str, tuple[float, float]]
    by_distance: tuple[str, ...]
    judged: int
    groups: bool

    @staticmethod
    def unjudged(taus: Mapping[str, float], judged: int, groups: bool) -> Temperatures:
        """Where there was nothing, or too little, to judge by."""
        unknown = dict.fromkeys(taus, (0.0, math.nan))
        return Temperatures(taus, 0.0, math.nan, 0.0, math.nan, unknown, (), judged, groups)

    @property
    def claims(self) -> bool:
        """Whether there was enough to judge by."""
        return self.judged >= self._least

    @property
    def too_few(self) -> str:
        """Why nothing is claimed, where nothing is."""
        of = "group" if self.groups else "specimen"
        one = f"1 {of} with a curve is" if self.judged == 1 else f"{self.judged} {of}s with a curve are"
        return f"{one} too few to judge by, at least {self._least} needed"

    @property
    def _least(self) -> int:
        return LEAST_GROUPS if self.groups else LEAST_SPECIMENS

    @property
    def sentences(self) -> dict[str, str]:
        """What a person should know of each speaker."""
        of = "groups" if self.groups else "specimens"
        if not self.claims:
            few = f"not believed: {self.too_few}"
            unchecked = "believed as it is: nothing was held out to check it"
            return {name: unchecked if tau > 0 else few for name, tau in self.taus.items()}
        out = {}
        for name, tau in self.taus.items():
            gain, error = self.alone[name]
            kind = [other for other in self.taus if (other in self.by_distance) == (name in self.by_distance)]
            if name in self.by_distance:
                figures = f"it foretells {100 * gain:.2g} ± {100 * error:.2g} % of how curves differ in a population"
            else:
                figures = f"{gain:+.2g} ± {error:.2g} nats per specimen"
            figures += f" on {self.judged} {of} held out"
            if tau > 0:
                out[name] = f"believed at {tau:g} of what it says; by itself {figures}"
            elif any(self.taus[other] for other in kind) and gain > JOINS * error:
                out[name] = f"not believed: the others say it already; by itself {figures}"
            else:
                out[name] = f"not believed: it says nothing of the curves that is confirmed ({figures})"
        return out


def temperatures(heard: Heard, groups: np.ndarray | None = None) -> Temperatures:
    """Choose how far each speaker is believed, and judge whether any is to be believed.

    Those who are scored and those who are judged by distances apart. Chosen by forward selection and coordinate
    search (:func:`_chosen`). Judged by choosing again without each fifth of the groups and scoring that fifth: nobody
    is believed unless the score gains so many standard errors that one in twenty fits would gain them by chance
    (Student's t; of two kinds, one in forty each).

    Args:
        heard: Potentials out of fold.
        groups: Group of each specimen, shape (N,): errors are those of sums over groups. None: specimens.

    Returns:
        Temperatures; all 0 where fewer than ten specimens, or five groups, have a curve.
    """
    rows = torch.nonzero(heard.known).flatten()
    kept = rows.cpu().numpy()
    code = np.arange(len(kept)) if groups is None else np.unique(np.asarray(groups)[kept], return_inverse=True)[1]
    code = code.reshape(-1)
    judged = int(code.max()) + 1 if len(code) else 0
    if len(code) < LEAST_SPECIMENS or judged < (LEAST_SPECIMENS if groups is None else LEAST_GROUPS):
        return Temperatures.unjudged(dict.fromkeys(heard.speakers, 0.0), judged, groups is not None)
    everybody = heard.at(rows)
    near = heard.of_parameters if heard.linear else []
    scored = [name for name in heard.speakers if name not in near]
    chance = CHANCE / max(bool(near) + bool(scored), 1)
    taus, alone, (gain, error) = _judged(everybody, code, Score, scored, chance)
    closer, share, (explained, explained_error) = _judged(everybody, code, Misfit, near, chance)
    taus, alone = taus | closer, alone | share
    return Temperatures(taus, gain, error, explained, explained_error, alone, tuple(near), judged, groups is not None)


def _judged(
    heard: Heard, code: np.ndarray, measure: type[Score | Misfit], names: Sequence[str], chance: float
) -> tuple[dict[str, float], dict[str, tuple[float, float]], tuple[float, float]]:
    """Temperatures of one kind of speakers, 0 unless they do better; each by itself; gain of all and its error."""
    nobody = dict.fromkeys(names, 0.0)
    if not names:
        return nobody, {}, (0.0, 0.0)
    taus, alone = _chosen(heard, code, measure, names)
    part = np.random.default_rng(0).permutation(int(code.max()) + 1)[code] % PARTS
    gains = np.zeros(len(code))
    if any(taus.values()):
        # In one unit for all parts.
        score = measure(heard)
        none = score.of(nobody).cpu().numpy()
        for k in range(PARTS):
            others, left = np.flatnonzero(part != k), np.flatnonzero(part == k)
            some = heard.at(torch.as_tensor(others, device=heard.known.device))
            without, _ = _chosen(some, np.unique(code[others], return_inverse=True)[1], measure, names)
            gains[left] = score.of(without).cpu().numpy()[left] - none[left]
    gain, error = _mean_and_error(gains, code)
    if not gain > scipy.special.stdtrit(int(code.max()), 1.0 - chance) * error:
        return nobody, alone, (0.0, 0.0)
    return taus, alone, (gain, error)


def _chosen(
    heard: Heard, code: np.ndarray, measure: type[Score | Misfit], names: Sequence[str]
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Temperatures by forward selection: the speaker that raises the mean most joins, while it raises it surely.

    Then each in turn takes its best temperature, perhaps 0, until nothing changes.

    Args:
        heard: Potentials out of fold, of specimens with curves.
        code: Number of each specimen's group, shape (N,).
        measure: What is raised.
        names: Those who speak.

    Returns:
        Temperatures, and the gain of each speaker by itself with its standard error.
    """
    everybody, kept = measure(heard), _some(code)
    some = everybody if len(kept) == len(code) else measure(heard.at(torch.as_tensor(kept, device=heard.known.device)))
    nobody = dict.fromkeys(names, 0.0)
    taus, waiting, alone = dict(nobody), list(names), {}
    score = base = everybody.of(nobody)

    def best(name: str, grid: Sequence[float]) -> tuple[float, float]:
        """Mean and temperature, the least belief of equal ones."""
        tried = [(float(some.of({**taus, name: tau}).mean()), tau) for tau in grid]
        return max(tried, key=lambda pair: (pair[0], -pair[1]))

    while waiting:
        offers = {name: best(name, COARSE) for name in waiting}
        scores = {name: everybody.of({**taus, name: tau}) for name, (_, tau) in offers.items()}
        gains = {name: _mean_and_error((new - score).cpu().numpy(), code) for name, new in scores.items()}
        if not alone:
            # Who does worse by itself than nobody is not asked again.
            alone, waiting = gains, [name for name in names if gains[name][0] > 0.0]
        sure = [name for name in waiting if gains[name][0] > JOINS * gains[name][1]]
        if not sure:
            break
        name = max(sure, key=lambda n: offers[n][0])
        taus[name], score = offers[name][1], scores[name]
        waiting.remove(name)
    believed = [name for name in names if taus[name] > 0]
    for _ in range(10 * len(believed)):
        before = dict(taus)
        for name in believed:
            taus[name] = best(name, GRID)[1]
        if taus == before or len(believed) == 1:
            break
    if believed and not float((everybody.of(taus) - base).mean()) > 0.0:
        taus = nobody  # what was sought on some must hold on all
    return taus, alone


def residual_scatter(heard: Heard, taus: Mapping[str, float], *, kappa: float = KAPPA, sweeps: int = 50) -> Tensor:
    r"""Scatter of the parameters about what the speakers predict, by EM on specimens that they have not learned from.

    With m the mean deviation given the speakers, :math:`p(\delta \mid \text{pictures}, c) = \mathcal N(m, R_c)`.
    E-step: b, V and responsibilities given the curve too. M-step:
    :math:`R_c = (\sum\gamma[(b - m)(b - m)^\top + V] + \kappa R_{\text{pooled}}) / (\sum\gamma + \kappa)`, in no
    direction more than the total scatter.

    Args:
        heard: Potentials out of fold.
        taus: Temperatures by speaker.
        kappa: Weight of the pooled scatter, specimens.
        sweeps: EM steps, at most; it ends when the scatter moves by less than 1e-4 of the total.

    Returns:
        R, shape (C, P, P); the total scatter where no specimen has a curve.
    """
    total = heard.prior.covariance.mean(0)
    rows = torch.nonzero(heard.known).flatten()
    if len(rows) == 0 or total.shape[-1] == 0:
        return total
    heard = heard.at(rows)
    pictures = heard.together(taus)
    _, given = conditioned(pictures, heard.prior)  # to silence it would not move its mean
    said = replace(heard.curves, constant=heard.curves.constant + pictures.constant)
    root = Deviation.prior(total).root[0]
    # Directions in which the total scatter is nothing but rounding stay closed.
    inverse = torch.linalg.pinv(root, rtol=1e-8)
    white = inverse @ root @ root.mT @ inverse.mT
    for _ in range(sweeps):
        inner = Deviation.prior(white).root
        deviation = Deviation(given.mean, root @ inner)
        after = join(heard.log_weights, said, deviation)
        gamma, off = after.log_gamma.exp(), after.deviation.mean - given.mean
        second = off[..., None] * off[..., None, :] + after.deviation.covariance
        sums, weight = torch.einsum("nc,ncpq->cpq", gamma, second), gamma.sum(0)
        pooled = sums.sum(0) / weight.sum()
        raw = (sums + kappa * pooled) / (weight[:, None, None] + kappa)
        values, vectors = torch.linalg.eigh(inverse @ raw @ inverse.mT)
        new = (vectors * values.clamp(0.0, 1.0)[..., None, :]) @ vectors.mT
        moved = float((new - white).abs().max())
        white = new
        if moved < 1e-4:
            break
    return root @ white @ root.mT


def _mean_and_error(differences: np.ndarray, code: np.ndarray) -> tuple[float, float]:
    """Mean of differences per specimen, and its standard error from sums over groups."""
    sums = np.bincount(code, differences)
    n, g = len(differences), len(sums)
    return float(differences.mean()), float(np.sqrt(g / (g - 1.0) * np.square(sums - sums.mean()).sum()) / n)


def _some(code: np.ndarray) -> np.ndarray:
    """Rows of whole groups, about 2000, drawn in the same way every time."""
    if len(code) <= _SOUGHT:
        return np.arange(len(code))
    order = np.random.default_rng(0).permutation(code.max() + 1)
    size = np.bincount(code)[order]
    chosen = np.zeros(len(order), bool)
    chosen[order[: int(np.searchsorted(np.cumsum(size), _SOUGHT)) + 1]] = True
    return np.flatnonzero(chosen[code])
