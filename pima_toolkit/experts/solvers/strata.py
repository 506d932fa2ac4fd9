r"""How far a linear function of a population's coefficients really scatters: the parts of the data that tell it.

Specimens n have parameters :math:`D_n\beta + w_{g(n)} + b_n`. With A what a curve says of its specimen's place and
d its score there, coefficients deviate by :math:`C\sum\gamma D^\top d`, so that specimen n moves the function
:math:`c^\top\beta` by :math:`\gamma\rho_n^\top d_n` where :math:`\rho_n = D_n C c`. How large scores are in the
directions :math:`\bar R = \sum\gamma\rho\rho^\top/\sum\gamma`, over what the model expects of them, is one number for
all specimens,

.. math:: \frac{\sum\gamma^2 d^\top\bar R\,d}{\operatorname{tr}\Omega}, \qquad
          \Omega_{nm} = \delta_{nm}\gamma_n^2\,\bar R^{1/2}A_n\bar R^{1/2} - (\text{what fitting } \beta \text{ takes}),

with :math:`(\operatorname{tr}\Omega)^2/\operatorname{tr}\Omega^2` degrees of freedom (Satterthwaite). Of N numbers it
is the sample's variance with N - 1, of a regression the mean square of its residuals with N less coefficients.

Specimens of one batch share :math:`w`. Sums over a batch and what is left inside batches are then told apart, two
independent strata as in an analysis of variance: a function has a share of its variance in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Where scores are expected to show less than this share of what they would if nothing had been fitted to them, the
#: function rests on one unit (two that share it evenly have a half), and their scatter never makes an error smaller.
_ALONE = 0.25
#: Numbers of one block of functions.
_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class Stratum:
    """Scores of U units, independent of those of other strata.

    Args:
        score: Weighted scores, shape (U, P).
        alone: Their covariances if nothing were fitted, shape (U, P, P).
        basis: What fitting takes from them, factor by factor, shape (U, P, B).
        weight: The middle of those factors, shape (B, B): Omega = alone + basis weight basis^T.
        direction: Of each function in each unit, shape (Q, U, P).
        middle: Of units inside batches: the batch's inverse information, shape (G, P, P). None: no batches inside.
        group: The batch of each unit, shape (U,); None likewise.
    """

    score: Array
    alone: Array
    basis: Array
    weight: Array
    direction: Array
    middle: Array | None = None
    group: NDArray[np.int64] | None = None

    @property
    def share(self) -> Array:
        """Variance of each function that is told here, shape (Q,)."""
        return np.einsum("qup,upr,qur->q", self.direction, self.alone, self.direction)

    def ratio(self, counts: Array) -> tuple[Array, Array]:
        """Size of the scores over what is expected of it, and its degrees of freedom, for each function (Q,).

        Args:
            counts: Weights with which units are averaged over, shape (U,).
        """
        (units, P), functions = self.score.shape, len(self.direction)
        ratio, freedom = np.ones(functions), np.ones(functions)
        step = max(1, _BLOCK // max(units * P * max(self.basis.shape[-1], P), 1))
        for first in range(0, functions, step):
            part = slice(first, first + step)
            ratio[part], freedom[part] = self._ratio(_directions(self.direction[part], counts))
        return ratio, freedom

    def _ratio(self, along: Array) -> tuple[Array, Array]:
        """The same along directions (Q, r, P)."""
        told = np.square(np.einsum("qrp,up->qur", along, self.score)).sum((1, 2))
        alone = np.einsum("qrp,upo,qso->qurs", along, self.alone, along, optimize=True)
        basis = np.einsum("qrp,upb->qurb", along, self.basis)
        inner = np.einsum("qurb,qurd->qbd", basis, basis)
        whole = np.einsum("qurr->q", alone)
        trace = whole + np.einsum("bd,qdb->q", self.weight, inner)
        turned = self.weight @ inner
        square = np.square(alone).sum((1, 2, 3)) + np.einsum("qbd,qdb->q", turned, turned)
        square += 2.0 * np.einsum("qurs,qusb,bd,qurd->q", alone, basis, self.weight, basis, optimize=True)
        if self.middle is not None and self.group is not None:
            own = np.einsum("qrp,upo->quro", along, self.alone)
            both = total(np.einsum("quro,qurs->uqos", own, own), self.group, len(self.middle))
            held = np.einsum("gpo,gqos->gqps", self.middle, both)
            trace -= np.einsum("gqpp->q", held)
            square += np.einsum("gqps,gqsp->q", held, held)
            inside = np.einsum("quro,qurs,qusp->uqop", own, alone, own, optimize=True)
            square -= 2.0 * np.einsum("gpo,gqop->q", self.middle, total(inside, self.group, len(self.middle)))
            cross = total(np.einsum("quro,qurb->uqob", own, basis), self.group, len(self.middle))
            square -= 2.0 * np.einsum("gqpb,gpo,gqod,bd->q", cross, self.middle, cross, self.weight, optimize=True)
        good = (trace > 1e-12 * whole) & (square > 0.0)
        ratio = np.divide(told, trace, out=np.ones_like(told), where=good)
        ratio = np.where(trace < _ALONE * whole, np.maximum(ratio, 1.0), ratio)
        freedom = np.divide(np.square(trace), square, out=np.ones_like(trace), where=good)
        return ratio, np.maximum(freedom, 1.0)


def _directions(direction: Array, counts: Array) -> Array:
    """Root of the mean square of directions (Q, U, P) over units: (Q, r, P), r = 1 where they are all the same."""
    if (direction == direction[:, :1]).all():
        return direction[:, :1]
    square = np.einsum("u,qup,quo->qpo", counts / counts.sum(), direction, direction)
    size = np.sqrt(np.maximum(np.einsum("qpp->qp", square), 1e-300))
    values, vectors = np.linalg.eigh(square / (size[:, :, None] * size[:, None]))
    return np.sqrt(np.maximum(values, 0.0))[..., None] * (size[..., None] * vectors).mT


def total(values: Array, group: NDArray[np.int64], count: int) -> Array:
    """Sum values (U, ...) over the units of each of so many groups, shape (G, ...)."""
    out = np.zeros((count, *values.shape[1:]))
    np.add.at(out, group, values)
    return out


def standard_errors(strata: Sequence[tuple[Stratum, Array]]) -> tuple[Array, Array]:
    """Standard errors of linear functions of the coefficients and their degrees of freedom, (Q,) each.

    Args:
        strata: Of `strata_of`.
    """
    variance, freedom = (np.zeros(len(strata[0][0].direction)) for _ in range(2))
    for part, counts in strata:
        ratio, few = part.ratio(counts)
        own = part.share * ratio
        variance += own
        freedom += np.square(own) / few
    freedom = np.divide(np.square(variance), freedom, out=np.ones_like(variance), where=freedom > 0.0)
    return np.sqrt(np.maximum(variance, 0.0)), np.maximum(freedom, 1.0)


def strata_of(
    gradient: Array,
    covariance: Array,
    spread: Array,
    design: Array,
    information: Array,
    score: Array,
    gamma: Array,
    group: NDArray[np.int64] | None,
    shared: Array | None,
) -> list[tuple[Stratum, Array]]:
    """The strata that tell linear functions of the coefficients, and the weights of their units.

    Args:
        gradient: Of the functions by the coefficients, shape (Q, K).
        covariance: C, of the coefficients under the model, shape (K, K).
        spread: The same with responsibilities taken for weights, shape (K, K).
        design: D, shape (N, P, K).
        information: A, shape (N, P, P).
        score: d, shape (N, P).
        gamma: Responsibilities, shape (N,); ones where there are batches.
        group: The batch of each specimen, shape (N,); None: no batches.
        shared: Covariance of each batch's effect given the curves, shape (G, P, P); None likewise.
    """
    along = np.einsum("npk,qk->qnp", design, gradient @ covariance)
    seen = information @ design
    if group is None or shared is None:
        K, square = len(covariance), np.square(gamma)
        basis = np.concatenate([gamma[:, None, None] * seen, square[:, None, None] * seen], axis=2)
        weight = np.block([[spread, -covariance], [-covariance, np.zeros((K, K))]])
        alone = square[:, None, None] * information
        return [(Stratum(gamma[:, None] * score, alone, basis, weight, along), gamma)]
    count = len(shared)
    whole, fitted = total(information, group, count), total(seen, group, count)
    middle = np.asarray(np.linalg.pinv(whole, rcond=1e-12, hermitian=True), dtype=np.float64)
    share = total(np.einsum("npo,qno->nqp", information, along), group, count)
    mean = np.einsum("gpo,gqo->qgp", middle, share)
    sums = total(score, group, count)
    held = whole @ shared
    between = Stratum(sums, whole - held @ whole, fitted - held @ fitted, -covariance, mean)
    taken = information @ middle[group]
    inside = Stratum(
        score - (taken @ sums[group][..., None])[..., 0],
        information,
        seen - taken @ fitted[group],
        -covariance,
        along - mean[:, group],
        middle,
        group,
    )
    return [(between, np.ones(count)), (inside, gamma)]
