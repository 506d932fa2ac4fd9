r"""How far each speaker is believed, and what scatter is left of a specimen's parameters once they were heard.

What a speaker says is taken to a power :math:`\tau \in [0, 1]`, its temperature. Judged on specimens that the speakers
have not learned from, by the log predictive score of their curves,

.. math:: \log p(\text{curve} \mid \text{pictures}) = \log\sum_c \mathbb E\, f_{\text{curve}}\, \tilde f(\tau)
          - \log\sum_c \mathbb E\, \tilde f(\tau), \qquad \tilde f = \text{silenced} \prod_k f_k^{\tau_k},

which is proper: in expectation nothing scores higher than what is true, and a speaker that says nothing true lowers it.

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

from ..model.joint import Deviation, Potential, conditioned, join, silenced

#: Temperatures that are tried.
GRID = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: Fewest groups, or specimens where there are none, that a temperature can be judged by.
LEAST_GROUPS = 10
#: Share of fits that may believe anything where nothing is true.
CHANCE = 0.05
#: Specimens that temperatures are sought on; whether they are believed is judged on all.
_SOUGHT = 2000
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
    """

    speakers: Mapping[str, Potential]
    curves: Potential
    log_weights: Tensor
    prior: Deviation
    known: Tensor

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

    def score(self, taus: Mapping[str, float]) -> Tensor:
        """Log predictive score of the curves given the speakers.

        Returns:
            Shape (N,), nats; 0 for specimens without a curve.
        """
        pictures = self.together(taus)
        # The log of E f, once silenced, is what was said of c.
        alone = (self.log_weights + pictures.constant).logsumexp(1)
        both = join(self.log_weights, self.curves + silenced(pictures, self.prior), self.prior).evidence
        return torch.where(self.known, both - alone, 0.0)


@dataclass(frozen=True)
class Temperatures:
    """How far speakers are believed, and what that rests on.

    Args:
        taus: By speaker, 0 to 1.
        gain: What the curves' log predictive score gains over the populations alone, nats per specimen.
        error: Its standard error over groups (specimens, without groups); NaN where nothing was judged.
        alone: By speaker, the gain of the best temperature by itself, and its standard error.
        judged: Groups (specimens) that it was judged by.
        groups: Whether those are groups.
    """

    taus: Mapping[str, float]
    gain: float
    error: float
    alone: Mapping[str, tuple[float, float]]
    judged: int
    groups: bool

    @property
    def claims(self) -> bool:
        """Whether there was enough to judge by."""
        return self.judged >= LEAST_GROUPS

    @property
    def sentences(self) -> dict[str, str]:
        """What a person should know of each speaker."""
        of = "groups" if self.groups else "specimens"
        if not self.claims:
            few = (
                f"not believed: {self.judged} {of} with a curve are too few to judge by, at least {LEAST_GROUPS} needed"
            )
            unchecked = "believed as it is: nothing was held out to check it"
            return {name: unchecked if tau > 0 else few for name, tau in self.taus.items()}
        out = {}
        for name, tau in self.taus.items():
            gain, error = self.alone[name]
            figures = f"{gain:+.2g} ± {error:.2g} nats per specimen on {self.judged} {of} held out"
            if tau > 0:
                out[name] = f"believed at {tau:g} of what it says; by itself {figures}"
            elif gain > _errors_needed(self.judged, len(self.taus)) * error:
                out[name] = f"not believed: the others say it already; by itself {figures}"
            else:
                out[name] = f"not believed: it says nothing of the curves that is confirmed ({figures})"
        return out


def temperatures(heard: Heard, groups: np.ndarray | None = None) -> Temperatures:
    """Choose how far each speaker is believed, by forward selection and coordinate search.

    Of the speakers whose gain at their best temperature exceeds its standard error so far that of all of them one in
    twenty fits would have it by chance (Student's t, Bonferroni), the one joins that raises the mean score most; then
    each in turn takes its best temperature, perhaps 0, until nothing changes.

    Args:
        heard: Potentials out of fold.
        groups: Group of each specimen, shape (N,): errors are those of sums over groups. None: specimens.

    Returns:
        Temperatures; all 0 where fewer than ten groups have a curve.
    """
    names = list(heard.speakers)
    rows = torch.nonzero(heard.known).flatten()
    kept = rows.cpu().numpy()
    code = np.arange(len(kept)) if groups is None else np.unique(np.asarray(groups)[kept], return_inverse=True)[1]
    code = code.reshape(-1)
    judged = int(code.max()) + 1 if len(code) else 0
    nobody = dict.fromkeys(names, 0.0)
    if judged < LEAST_GROUPS:
        return Temperatures(nobody, 0.0, math.nan, dict.fromkeys(names, (0.0, math.nan)), judged, groups is not None)
    everybody = heard.at(rows)
    some = everybody.at(torch.as_tensor(_some(code)))
    needed = _errors_needed(judged, len(names))
    base = everybody.score(nobody)

    def gain(taus: Mapping[str, float], over: Tensor) -> tuple[float, float, Tensor]:
        score = everybody.score(taus)
        return *_mean_and_error((score - over).cpu().numpy(), code), score

    def best(name: str, taus: Mapping[str, float], grid: Sequence[float]) -> tuple[float, float]:
        """Score and temperature, the least belief of equal ones."""
        tried = [(float(some.score({**taus, name: tau}).mean()), tau) for tau in grid]
        return max(tried, key=lambda pair: (pair[0], -pair[1]))

    alone: dict[str, tuple[float, float]] = {}
    taus, score, waiting = dict(nobody), base, list(names)
    while waiting:
        offers = {name: best(name, taus, GRID[1:]) for name in waiting}
        if not alone:
            alone = {name: gain({**nobody, name: tau}, base)[:2] for name, (_, tau) in offers.items()}
        judgements = {name: gain({**taus, name: offers[name][1]}, score) for name in waiting}
        sure = [name for name, (more, error, _) in judgements.items() if more > needed * error]
        if not sure:
            break
        name = max(sure, key=lambda n: offers[n][0])
        taus[name], score = offers[name][1], judgements[name][2]
        waiting.remove(name)
    believed = [name for name in names if taus[name] > 0]
    for _ in range(10 * len(names)):
        before = dict(taus)
        for name in believed:
            taus[name] = best(name, taus, GRID)[1]
        if taus == before or len(believed) == 1:
            break
    more, error, _ = gain(taus, base)
    if not more > needed * error:  # what was sought on some must hold on all
        taus = nobody
        more, error = 0.0, 0.0
    return Temperatures(taus, more, error, alone, judged, groups is not None)


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


def _errors_needed(judged: int, speakers: int) -> float:
    """Standard errors that a gain must exceed: of several speakers one in twenty fits shall believe any by chance."""
    return float(scipy.special.stdtrit(judged - 1, 1.0 - CHANCE / max(speakers, 1)))


def _some(code: np.ndarray) -> np.ndarray:
    """Rows of whole groups, about 2000, drawn in the same way every time."""
    if len(code) <= _SOUGHT:
        return np.arange(len(code))
    order = np.random.default_rng(0).permutation(code.max() + 1)
    size = np.bincount(code)[order]
    chosen = np.zeros(len(order), bool)
    chosen[order[: int(np.searchsorted(np.cumsum(size), _SOUGHT)) + 1]] = True
    return np.flatnonzero(chosen[code])
