r"""One population from what its curves say of their specimens' parameters: coefficients, scatter and noise, by REML.

Specimens differ by what they were made of or tested under, by their batch, and by themselves,

.. math:: \phi_n = D_n\beta + w_{g(n)} + b_n, \qquad b_n \sim N(0, S), \quad w_g \sim N(0, T),

with D the identity where there is nothing but a mean, T diagonal. Each curve says what
:class:`~.own_fits.CurveInformation` holds, gradient g and information H over the noise variance v. With
:math:`S = L L^\top`, nothing is inverted that may be singular:

.. math:: B = I + L^\top \tfrac{H}{v} L, \quad V = L B^{-1} L^\top, \quad A = (I - \tfrac{H}{v} V)\tfrac{H}{v}, \quad
          d = (I - \tfrac{H}{v} V)\tfrac{g}{v};

and over a batch, with :math:`T = M^2`, :math:`A_g = \sum\gamma A`, :math:`G_g = \sum\gamma A D`,
:math:`Q_g = I + M A_g M`, :math:`W_g = M Q_g^{-1} M`,

.. math:: C^{-1} = \sum\gamma D^\top A D - \sum_g G_g^\top W_g G_g, \qquad
          w_g = W_g \textstyle\sum\gamma d, \qquad F = D - W_g G_g.

The coefficients solve :math:`\sum\gamma F^\top d = 0` (generalised least squares); S, T and v minimise twice the
negative restricted log likelihood

.. math:: \textstyle\sum\gamma\big[T_n\log v + (q - g^\top b)/v + \log\det B\big] + \sum_g\big[\log\det Q_g +
          w_g^\top T^{-1} w_g\big] - \log\det C,

whose derivative by S is :math:`\sum\gamma(A - A W A - A F C F^\top A - d d^\top)`, and by T the same of the sums over
each batch. Restricted: a variance is not too small because the coefficients were fitted to the same few specimens
(Patterson & Thompson 1971).

**Errors.** C is the covariance of the coefficients if S and T were known. Of a few specimens they are not: how far
scores really scatter over what the model expects of them rescales it, and the interval has Student's t
(:mod:`~.strata`). Curves that say as much as one another have N - 1 degrees of freedom, and the interval is the one
that every textbook has for the mean of N numbers; a parameter that two curves of ten speak about has about one.

Source: Laird & Ware 1982; Hartung & Knapp 2001 (Statistics in Medicine 20, 1771 and 3875) for one number a study, Knapp
& Hartung 2003 with covariates; the same correction of the sandwich, Bell & McCaffrey 2002, Pustejovsky & Tipton 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from .own_fits import CurveInformation
from .strata import standard_errors, strata_of, total

Array = NDArray[np.float64]

#: Specimens beyond the parameters from which S may be any matrix; it is diagonal with fewer.
SPARE = 3.0
#: Least and largest standard deviation between specimens, in units of the one that the search starts from.
_NARROW, _WIDE = 1e-5, 1e3
#: Standard deviation between batches that the search starts from, in the same units.
_BATCH = 0.5
#: Least noise variance, over the one that the search starts from.
_QUIET = 1e-12
#: Searches for the lowest point, each from where the one before ended, and the standard deviation that each starts
#: with at least, over one curve's error.
_SEARCHES, _FALL, _LIFTED = 8, 1e3, 0.1
#: Share of the largest eigenvalue, at a diagonal of ones, under which one is rounding.
_BLIND = 1e-12


@dataclass(frozen=True, eq=False)
class Design:
    """What specimens' parameters depend on.

    Args:
        matrix: D, shape (N, P, K): coefficients to unbounded parameters; the first P coefficients are the parameters
            where all covariates are zero.
        group: The batch of each specimen, numbers from 0, shape (N,); None: there are no batches.
    """

    matrix: Array
    group: NDArray[np.int64] | None = None

    @classmethod
    def plain(cls, specimens: int, parameters: int) -> Design:
        """Nothing but a mean."""
        return cls(np.broadcast_to(np.eye(parameters), (specimens, parameters, parameters)))

    @property
    def batches(self) -> int:
        """Number of batches, 0 where there are none."""
        return 0 if self.group is None else int(self.group.max(initial=-1)) + 1

    def units(self, width: Array) -> Array:
        """Units of the coefficients, shape (K,), in which each moves the parameters by about their ``width`` (P,)."""
        size = np.sqrt(np.mean(np.square(self.matrix / width[:, None]), axis=0).sum(0))
        return 1.0 / np.maximum(size, 1e-300)

    def at(self, rows: NDArray[np.int64]) -> Design:
        """The specimens of ``rows``; batches without any are left out."""
        group = None if self.group is None else np.unique(self.group[rows], return_inverse=True)[1]
        return Design(self.matrix[rows], group)

    def sums(self, values: Array) -> Array:
        """Sums over each batch of values (N, ...), shape (batches, ...)."""
        return values[:0] if self.group is None else total(values, self.group, self.batches)

    def spread(self, values: Array) -> Array | float:
        """Values of each specimen's batch, shape (N, ...), of those of batches; 0 where there are none."""
        return 0.0 if self.group is None else values[self.group]


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """Coefficients and scatter of one population of N specimens, and how sure the coefficients are.

    Args:
        coefficients: beta, shape (K,); the first P are the mean unbounded parameters where covariates are zero.
        scatter: S, shape (P, P); diagonal where specimens are few.
        variance: Noise variance of a point of weight one, squared unit of the curves.
        model_covariance: C, of the coefficients if S, T and v were known, shape (K, K).
        deviation: Every specimen's parameters minus D beta, with its batch's, shape (N, P).
        deviation_covariance: V, of that, with how sure the coefficients are, shape (N, P, P).
        drawn: Part of that covariance that the population is answerable for, scatter and coefficients; the rest is
            noise.
        evidence: Twice the negative restricted log likelihood, up to a constant.
        score: d of every specimen, shape (N, P).
        information: A of every specimen, shape (N, P, P).
        responsibilities: gamma, shape (N,).
        known: Part of the covariance that priors give, shape (K, K); no specimen's scatter rescales it.
        design: What parameters depend on.
        group_scatter: Diagonal of T, shape (P,); zero without batches.
        group_effects: w of every batch, shape (G, P).
        group_covariance: W of every batch, shape (G, P, P).
    """

    coefficients: Array
    scatter: Array
    variance: float
    model_covariance: Array
    deviation: Array
    deviation_covariance: Array
    drawn: Array
    evidence: float
    score: Array
    information: Array
    responsibilities: Array
    known: Array
    design: Design
    group_scatter: Array
    group_effects: Array
    group_covariance: Array

    @property
    def mean(self) -> Array:
        """Mean unbounded parameters where all covariates are zero, shape (P,)."""
        return self.coefficients[: len(self.scatter)]

    @property
    def total(self) -> Array:
        """Covariance between specimens of different batches, S + T, shape (P, P)."""
        return self.scatter + np.diag(self.group_scatter)

    @property
    def centre(self) -> Array:
        """Mean parameters of every specimen before its batch and itself count, D beta, shape (N, P)."""
        return self.design.matrix @ self.coefficients

    @property
    def contributions(self) -> Array:
        """How every specimen moved the coefficients, C D^T d times its responsibility, shape (N, K)."""
        own = np.einsum("npk,np->nk", self.design.matrix, self.score)
        return self.responsibilities[:, None] * own @ self.model_covariance

    def contrast(self, gradient: Array) -> tuple[Array, Array]:
        """Standard errors and degrees of freedom of linear functions of the coefficients.

        Args:
            gradient: Their derivatives by the coefficients, shape (Q, K), or by the first of them, (Q, P).

        Returns:
            Each of shape (Q,). A function that no specimen says anything of has the error 0 and no freedom to speak
            of: one.
        """
        gradient = np.pad(gradient, ((0, 0), (0, len(self.coefficients) - gradient.shape[1])))
        strata = strata_of(
            gradient,
            self.model_covariance,
            self._spread(),
            self.design.matrix,
            self.information,
            self.score,
            self.responsibilities,
            self.design.group,
            None if self.design.group is None else self.group_covariance,
        )
        std, freedom = standard_errors(strata)
        known = np.einsum("qk,kl,ql->q", gradient, self.known, gradient)
        return np.sqrt(np.maximum(np.square(std) + known, 0.0)), freedom

    @property
    def covariance(self) -> Array:
        r"""Covariance of the mean where covariates are zero, shape (P, P); see :attr:`coefficient_covariance`."""
        P = len(self.scatter)
        return self.coefficient_covariance[:P, :P]

    @property
    def coefficient_covariance(self) -> Array:
        r"""Covariance of the coefficients, shape (K, K), with the errors of :meth:`contrast`.

        Of nothing but a mean it is :math:`G (\sum x x^\top) G^\top` with G the root of what the model says over what it
        expects of the specimens' contributions x: of curves that say as much as one another the sample's covariance
        over N. Of more coefficients the correlations are the model's.
        """
        error, _ = self.contrast(np.eye(len(self.coefficients)))
        if len(self.coefficients) > len(self.scatter) or self.design.group is not None:
            whole = self._spread() + self.known
            found = np.sqrt(np.maximum(np.diagonal(whole), 1e-300))
            return whole * np.outer(error / found, error / found)
        size = np.sqrt(np.maximum(np.diagonal(self.model_covariance), 1e-300))
        model = self._spread() / np.outer(size, size)
        expected = self._expected_matrix() / np.outer(size, size)
        values, vectors = scipy.linalg.eigh(expected)
        used = values > 1e-12 * max(float(values[-1]), 1e-300)
        half = vectors[:, used] * np.sqrt(values[used])
        inverse = (vectors[:, used] / np.sqrt(values[used])).T
        # In coordinates where what is expected is the identity, the root is that of a symmetric matrix.
        inner, turn = scipy.linalg.eigh(inverse @ model @ inverse.T)
        turned = half @ (turn * np.sqrt(np.maximum(inner, 0.0))) @ turn.T @ inverse
        told = (turned @ (self.contributions / size).T) * size[:, None]
        covariance = told @ told.T
        found = np.sqrt(np.maximum(np.diagonal(covariance + self.known), 1e-300))
        return (covariance + self.known) * np.outer(error / found, error / found)

    def _spread(self) -> Array:
        """D: covariance of the coefficients under the model with responsibilities taken for weights, shape (K, K)."""
        if self.design.group is not None:
            return self.model_covariance - self.known
        D, weight = self.design.matrix, np.square(self.responsibilities)
        whole = np.einsum("n,npk,npl->kl", weight, D, self.information @ D)
        return self.model_covariance @ whole @ self.model_covariance

    def _expected_matrix(self) -> Array:
        """Expected sum of x x^T under the model, shape (P, P)."""
        gamma, A, C = self.responsibilities, self.information, self.model_covariance
        square, cube = np.square(gamma), gamma**3
        plain = np.einsum("n,npq->pq", square, A)
        twice = np.einsum("n,npq,qr,nrs->ps", cube, A, C, A)
        back = np.einsum("n,npq,qr,nrs->ps", square, A, self._spread(), A)
        return C @ (plain - 2.0 * twice + back) @ C


@dataclass(frozen=True, eq=False)
class _Roots:
    """What the curves say, counted from a centre in units of a width, in roots: H = R R^T and R z = the gradient there.

    Nothing below is then a small difference of large numbers, however little noise there is beside the scatter.

    Args:
        root: R, shape (N, P, P); columns of 0 in directions that a curve says nothing about.
        pull: z, shape (N, P).
        least: Residual sum of squares at each curve's own best parameters, shape (N,).
        points: T, shape (N,).
    """

    root: Array
    pull: Array
    least: Array
    points: Array


@dataclass(frozen=True, eq=False)
class _Point:
    """All that one evaluation at (S, T, v) gives; S = L L^T."""

    coefficients: Array
    evidence: float
    information: Array
    score: Array
    covariance: Array
    followed: Array
    effects: Array
    shared: Array
    by_scatter: Array
    by_group: Array
    by_log_variance: float


@dataclass(frozen=True, eq=False)
class _Units:
    """A design in units of the parameters' widths.

    Args:
        width: Units of the parameters, shape (P,).
        size: Units of the coefficients, shape (K,).
        design: The design in them.
    """

    width: Array
    size: Array
    design: Design

    @classmethod
    def of(cls, design: Design, width: Array) -> _Units:
        """In units of ``width``."""
        size = np.concatenate([width, design.units(width)[len(width) :]])
        return cls(width, size, Design(design.matrix / width[:, None] * size, design.group))


def random_effects(
    information: CurveInformation,
    responsibilities: Array,
    centre: Array,
    width: Array,
    variance: float,
    *,
    design: Design | None = None,
    known: bool = False,
    prior: tuple[Array, Array] | None = None,
    start: RandomEffects | None = None,
    adjusted: bool = False,
    alike: int | None = None,
    tolerance: float = 1e-11,
) -> RandomEffects:
    """Estimate coefficients, scatter and noise of one population by restricted maximum likelihood.

    Args:
        information: What every curve says, N specimens.
        responsibilities: How much each belongs to the population, shape (N,), not negative.
        centre: Coefficients to count from, shape (K,).
        width: Standard deviations between specimens to start from, shape (P,), above zero.
        variance: Noise variance of a point of weight one, to start from.
        design: What the parameters depend on; by default nothing but a mean.
        known: Whether the noise variance is given, and stays.
        prior: Further equations of the coefficients, of unit variance: rows (R, K) and what they are to be when
            ``centre`` is zero, (R,).
        start: An answer to start from in place of ``width`` and ``variance``.
        adjusted: Multiply the likelihood by the root of det S and of det T. The scatter of few specimens is then never
            zero, nor its standard deviation too small by half, and neither is what is said of single specimens (Chung
            et al. 2013, Psychometrika 78, 685); as an estimate of the scatter it is too large.
        alike: A parameter whose batches do not differ; None: all may.
        tolerance: Relative fall of the likelihood that ends the search.

    Returns:
        The population.
    """
    width = np.maximum(width, 1e-300)
    design = Design.plain(len(information), len(width)) if design is None else design
    units = _Units.of(design, width)
    curves = _roots(information, design.matrix @ centre, width)
    equations = (np.zeros((0, len(centre))), np.zeros(0)) if prior is None else (prior[0] * units.size, prior[1])
    few, batches = _diagonal(responsibilities, len(width)), design.batches > 0
    search = _Search(few, len(width), variance, known, batches, alike, tolerance, logarithmic=adjusted)

    def objective(root: Array, batch: Array, noise: float) -> tuple[float, _Point]:
        point = _evaluate(curves, responsibilities, units.design, root, batch, noise, *equations)
        if not adjusted:
            return point.evidence, point
        back = np.linalg.inv(root)
        volume = 2.0 * float(np.log(np.diagonal(root)).sum())
        point = replace(point, by_scatter=point.by_scatter - back.T @ back)
        if batches:
            volume += 2.0 * float(np.log(batch).sum())
            point = replace(point, by_group=point.by_group - batch**-2.0)
        return point.evidence - volume, point

    root, batch, noise, _ = search.lowest(objective, start, width)
    point = _evaluate(curves, responsibilities, units.design, root, batch, noise, *equations)
    return _finished(point, root, batch, noise, curves.root, responsibilities, equations[0], centre, units, design)


def profile(
    information: CurveInformation,
    found: RandomEffects,
    gradient: Array,
    width: Array,
    fall: float,
    *,
    step: float,
    known: bool = False,
    prior: tuple[Array, Array] | None = None,
) -> tuple[float, float]:
    """Where twice the log likelihood has fallen, along one linear function of the coefficients, all else fitted again.

    Args:
        information: What every curve says.
        found: The population.
        gradient: Of the function by the coefficients, shape (K,), or by the first of them, (P,).
        width: Units of the parameters, shape (P,), above zero.
        fall: By how much twice the log likelihood falls at the ends.
        step: Standard error of the function, where the search begins.
        known: Whether the noise variance is given.
        prior: Further equations of the coefficients, counted from those of ``found``.

    Returns:
        Both ends, as differences from the function's value at ``found``; infinite where it never falls so far.
    """
    gamma, P, K = found.responsibilities, len(width), len(found.coefficients)
    curves, units = _roots(information, found.centre, width), _Units.of(found.design, width)
    rows, target = (np.zeros((0, K)), np.zeros(0)) if prior is None else (prior[0] * units.size, prior[1])
    search = _Search(_diagonal(gamma, P), P, found.variance, known, found.design.batches > 0, logarithmic=False)
    along = np.pad(gradient, (0, K - len(gradient))) * units.size

    def lowest(value: float | None) -> float:
        def objective(root: Array, batch: Array, noise: float) -> tuple[float, _Point]:
            at = curves, gamma, units.design, root, batch, noise, rows, target
            point = _evaluate(*at, whole=True)
            if value is not None:
                turned = point.covariance @ along
                off = (along @ point.coefficients - value) / (along @ turned)
                point = _evaluate(*at, point.coefficients - turned * off, whole=True)
            return point.evidence, point

        return search.lowest(objective, found, width)[3]

    bottom = lowest(None)

    def excess(value: float) -> float:
        return lowest(value) - bottom - fall

    ends = []
    for sign in (-1.0, 1.0):
        far = step
        while excess(sign * far) < 0.0 and far < 1e6 * step:
            far *= 2.0
        inside = far / 2.0 if far > step else 0.0
        low, high = sorted((sign * inside, sign * far))
        reached = excess(sign * far) >= 0.0
        ends.append(scipy.optimize.brentq(excess, low, high, rtol=1e-6) if reached else sign * np.inf)
    return float(ends[0]), float(ends[1])


def _diagonal(gamma: Array, size: int) -> bool:
    """Whether the specimens are too few for a scatter of any shape."""
    return float(gamma.sum() ** 2 / max(np.square(gamma).sum(), 1e-300)) < size + SPARE


@dataclass(frozen=True)
class _Search:
    """Search for scatter and noise: the root's diagonal or its logarithm, what stands below it, and logarithms.

    Those are of the standard deviations between batches, and of the noise.

    Args:
        diagonal: Whether nothing stands below.
        size: P.
        variance: Noise variance to count from.
        known: Whether it stays.
        batches: Whether there are batches.
        alike: A parameter whose batches do not differ; None: all may.
        tolerance: Relative fall of the likelihood that ends it.
        unit: Unit of every row of the root, shape (P, 1).
        logarithmic: Whether the diagonal is searched by its logarithm.
    """

    diagonal: bool
    size: int
    variance: float
    known: bool
    batches: bool = False
    alike: int | None = None
    tolerance: float = 1e-11
    unit: Array | float = 1.0
    logarithmic: bool = True

    @property
    def below(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns below the diagonal that are searched."""
        rows, columns = np.tril_indices(self.size, -1)
        return (rows[:0], columns[:0]) if self.diagonal else (rows, columns)

    @property
    def between(self) -> slice:
        """Places of the batches' logarithms."""
        first = self.size + len(self.below[0])
        return slice(first, first + self.size * self.batches)

    def unpacked(self, x: Array) -> tuple[Array, Array, float]:
        """Root of the scatter (P, P), standard deviations between batches (P,) and noise variance."""
        P, below = self.size, self.below
        root = np.diag(np.exp(x[:P]) if self.logarithmic else x[:P])
        root[below] = x[P : P + len(below[0])]
        batch = np.exp(x[self.between]) if self.batches else np.zeros(P)
        if self.alike is not None:
            batch[self.alike] = 0.0
        return root * self.unit, batch, self.variance if self.known else self.variance * float(np.exp(x[-1]))

    def packed(self, root: Array, batch: Array, variance: float) -> Array:
        """Put a root, standard deviations and a noise variance into what is searched."""
        root, noise = root / self.unit, np.full(0 if self.known else 1, np.log(variance / self.variance))
        diagonal = np.maximum(np.diagonal(root), 1e-300)
        between = np.log(np.maximum(batch, 1e-300)) if self.batches else np.zeros(0)
        return np.concatenate([np.log(diagonal) if self.logarithmic else diagonal, root[self.below], between, noise])

    def limits(self) -> Array:
        """Least and largest value of all that is searched, shape (.., 2)."""
        unit, rows = np.broadcast_to(self.unit, (self.size, 1))[:, 0], self.below[0]
        diagonal = np.stack([_NARROW / unit, _WIDE / unit], 1)
        diagonal = np.log(diagonal) if self.logarithmic else diagonal
        noise = np.log([_QUIET, 1.0 / _QUIET])[None][: 0 if self.known else 1]
        between = np.log([[_NARROW, _WIDE]] * (self.size * self.batches)).reshape(-1, 2)
        return np.concatenate([diagonal, np.outer(_WIDE / unit[rows], [-1.0, 1.0]), between, noise])

    def gradient(self, root: Array, batch: Array, point: _Point) -> Array:
        """Derivatives of the evidence by what is searched."""
        slope = 2.0 * point.by_scatter @ root
        noise = np.zeros(0 if self.known else 1) + point.by_log_variance
        by_diagonal = np.diagonal(slope * (root if self.logarithmic else self.unit))
        between = 2.0 * np.square(batch) * point.by_group if self.batches else np.zeros(0)
        return np.concatenate([by_diagonal, (slope * self.unit)[self.below], between, noise])

    def lowest(
        self,
        objective: Callable[[Array, Array, float], tuple[float, _Point]],
        start: RandomEffects | None,
        width: Array,
    ) -> tuple[Array, Array, float, float]:
        """Root of the scatter, deviations between batches, noise variance and objective at the lowest point.

        The search starts again from where it ended until it falls no further: in units of the scatter that it found,
        since those of the start may be a hundred times too large for it to see where it is going, and with every
        direction lifted to a tenth of one curve's error, since one that has become very small has no slope to return
        by.

        Args:
            objective: What is to be lowest, and all beside it, by root, deviations between batches and noise variance.
            start: An earlier answer to start from, in place of the scatter ``width``.
            width: Units of the parameters, shape (P,).
        """
        root: Array = np.eye(self.size)
        batch, variance = np.full(self.size, _BATCH * self.batches), self.variance
        if start is not None:
            scatter = start.scatter / np.outer(width, width)
            own = np.diagonal(scatter)
            root = np.diag(np.sqrt(own))
            if not self.diagonal:
                root = np.asarray(np.linalg.cholesky(scatter + np.diag(1e-6 * own + 1e-12)), dtype=np.float64)
            variance = start.variance
            if self.batches:
                # Not from next to nothing: there the likelihood is flat.
                batch = np.maximum(np.sqrt(start.group_scatter) / width, _LIFTED * _LIFTED)
        lowest, best = np.inf, (root, batch, variance)
        for turn in range(_SEARCHES):
            unit = np.clip(np.sqrt(np.square(root).sum(1, keepdims=True)), _NARROW, _WIDE)
            search = replace(self, unit=unit, logarithmic=self.logarithmic or (turn == 0 and start is None))
            found = search.descended(objective, root, batch, variance)
            value, point = objective(*found)
            fallen = lowest - value
            if value < lowest:
                lowest, best = value, found
            if not fallen > _FALL * self.tolerance * max(abs(value), 1.0):
                break
            root, batch, variance = best
            curve = np.sqrt(np.diagonal(point.covariance)[: self.size] * len(point.score))
            root = root + np.diag(np.maximum(_LIFTED * curve - np.diagonal(root), 0.0))
            batch = np.maximum(batch, _LIFTED * curve) * self.batches
        return best[0], best[1], best[2], lowest

    def descended(
        self,
        objective: Callable[[Array, Array, float], tuple[float, _Point]],
        root: Array,
        batch: Array,
        variance: float,
    ) -> tuple[Array, Array, float]:
        """Root of the scatter, deviations between batches and noise variance where one search from these ends."""

        def of(x: Array) -> tuple[float, Array]:
            at = self.unpacked(x)
            value, point = objective(*at)
            return value, self.gradient(at[0], at[1], point)

        limits = self.limits()
        start = np.clip(self.packed(root, batch, variance), *limits.T)
        options = {"maxiter": 200, "ftol": self.tolerance, "gtol": 1e-6}
        found = scipy.optimize.minimize(of, start, jac=True, method="L-BFGS-B", bounds=limits, options=options)
        return self.unpacked(found.x)


def restricted(
    information: CurveInformation, responsibilities: Array, coefficients: Array, width: Array, found: RandomEffects
) -> float:
    """Twice the negative restricted log likelihood at coefficients, with the scatter and noise of ``found``.

    What the curves say may be an expansion about other estimates than that answer was found from: of two expansions the
    better one has the lower number. Priors are left out.

    Args:
        information: What every curve says.
        responsibilities: Shape (N,).
        coefficients: Shape (K,).
        width: Units of the parameters, shape (P,), above zero.
        found: Whose design, scatter and noise count.
    """
    units = _Units.of(found.design, width)
    curves = _roots(information, found.design.matrix @ coefficients, width)
    root, batch = _root(found.scatter / np.outer(width, width)), np.sqrt(found.group_scatter) / width
    none = np.zeros((0, len(coefficients))), np.zeros(0)
    at = curves, responsibilities, units.design, root, batch, found.variance, *none
    return _evaluate(*at, np.zeros(len(coefficients))).evidence


def _root(scatter: Array) -> Array:
    values, vectors = np.linalg.eigh(scatter)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _roots(information: CurveInformation, centre: Array, width: Array) -> _Roots:
    normal = information.normal * np.outer(width, width)
    size = np.sqrt(np.maximum(np.diagonal(normal, axis1=1, axis2=2), 1e-300))
    values, vectors = np.linalg.eigh(normal / (size[:, :, None] * size[:, None, :]))
    seen = values > _BLIND * np.maximum(values[:, -1:], 1e-300)
    length = np.sqrt(np.where(seen, values, 0.0))
    root = size[:, :, None] * vectors * length[:, None, :]
    back = np.where(seen, 1.0 / np.where(seen, length, 1.0), 0.0)[:, :, None] * (vectors / size[:, :, None]).mT
    own = (back @ (information.gradient * width)[..., None])[..., 0]
    step = (information.estimate - centre) / width
    pull = own + (root.mT @ step[..., None])[..., 0]
    least = np.maximum(information.squared - np.square(own).sum(1), 0.0)
    return _Roots(root, pull, least, information.points)


def _evaluate(
    curves: _Roots,
    gamma: Array,
    design: Design,
    root: Array,
    batch: Array,
    variance: float,
    rows: Array,
    target: Array,
    at: Array | None = None,
    *,
    whole: bool = False,
) -> _Point:
    """Restricted likelihood and all beside it, at the best coefficients or given ones; ``whole``: the unrestricted one.

    Its derivatives by the scatter of batches are those by T's diagonal.
    """
    P, D, each = root.shape[0], design.matrix, gamma[:, None, None]
    R, z = curves.root / np.sqrt(variance), curves.pull / np.sqrt(variance)
    lower = _factor(root.T @ R)  # of K = I + R^T S R
    back = np.linalg.inv(lower)
    half = back @ R.mT
    A = half.mT @ half
    AD = A @ D
    told = (half.mT @ (back @ z[..., None]))[..., 0]
    normal = np.einsum("npk,npl->kl", each * D, AD)
    sum_A = inner = shared = np.zeros((0, P, P))
    sum_AD, sum_told = np.zeros((0, *D.shape[1:])), np.zeros((0, P))
    pull = np.einsum("n,npk,np->k", gamma, D, told)
    if design.group is not None:
        sum_A, sum_AD, sum_told = design.sums(each * A), design.sums(each * AD), design.sums(gamma[:, None] * told)
        inner = np.linalg.inv(np.eye(P) + batch[:, None] * sum_A * batch)
        shared = batch[:, None] * inner * batch  # W
        normal = normal - np.einsum("gpk,gpl->kl", sum_AD, shared @ sum_AD)
        pull = pull - np.einsum("gpk,gp->k", sum_AD, (shared @ sum_told[..., None])[..., 0])
    C, log_det = _inverse(normal + rows.T @ rows)
    found = C @ (pull + rows.T @ target) if at is None else at
    effects, penalty = np.zeros((0, P)), 0.0
    if design.group is not None:
        unit = (inner @ (batch * (sum_told - sum_AD @ found))[..., None])[..., 0]
        effects, penalty = batch * unit, float(np.square(unit).sum() - np.linalg.slogdet(inner)[1].sum())
    left = back @ (z - (R.mT @ (D @ found + design.spread(effects))[..., None])[..., 0])[..., None]
    shrunk = (back.mT @ left)[..., 0]  # K^-1 z
    d = (R @ shrunk[..., None])[..., 0]
    least = curves.least / variance
    determinant = 2.0 * np.log(np.abs(np.einsum("npp->np", lower))).sum(1)
    beyond = target - rows @ found
    misfit = least + np.square(left[..., 0]).sum(1)
    evidence = float(gamma @ (curves.points * np.log(variance) + misfit + determinant)) + beyond @ beyond + penalty
    by_scatter = np.einsum("n,npq->pq", gamma, A) - (gamma[:, None] * d).T @ d
    quiet = curves.points - P + np.square(back).sum((1, 2))
    turned = half.mT @ back  # R K^-1
    by_log_variance = gamma @ (quiet - least - np.square(shrunk).sum(1))
    followed, by_group = D, np.zeros(P)
    if design.group is not None:
        W = shared[design.group]
        followed = D - W @ sum_AD[design.group]
        by_scatter -= np.einsum("npq,npr->qr", each * A, W @ A)
        by_log_variance -= gamma @ np.einsum("npq,npr,nqr->n", W, turned, turned, optimize=True)
        scores = design.sums(gamma[:, None] * d)
        by_group = np.einsum("gpp->p", sum_A - sum_A @ shared @ sum_A) - np.square(scores).sum(0)
    if not whole:
        evidence += log_det
        E = A @ followed
        by_scatter -= np.einsum("npk,nqk->pq", each * E, E @ C)
        by_log_variance -= gamma @ np.einsum("nqk,kl,nql->n", turned.mT @ followed, C, turned.mT @ followed)
        if design.group is not None:
            E = design.sums(each * E)
            by_group -= np.einsum("gpk,gpk->p", E, E @ C)
    return _Point(
        found, float(evidence), A, d, C, followed, effects, shared, by_scatter, by_group, float(by_log_variance)
    )


def _factor(matrix: Array) -> Array:
    """Lower triangular F with I + M^T M = F F^T, shape (N, P, P); the sum would lose the identity beside a large M."""
    unit = np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape)
    upper = np.asarray(np.linalg.qr(np.concatenate([matrix, unit], axis=1), mode="r"))
    return upper.mT


def _inverse(matrix: Array) -> tuple[Array, float]:
    """Inverse and log determinant of a symmetric matrix, on what it is not blind to."""
    size = np.sqrt(np.maximum(np.diagonal(matrix), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    used = values > _BLIND * max(float(values[-1]), 1e-300)
    inverse = (vectors[:, used] / values[used]) @ vectors[:, used].T / np.outer(size, size)
    return inverse, float(np.log(values[used]).sum() + 2.0 * np.log(size).sum())


def _finished(
    point: _Point,
    root: Array,
    batch: Array,
    variance: float,
    seen: Array,
    gamma: Array,
    rows: Array,
    centre: Array,
    units: _Units,
    design: Design,
) -> RandomEffects:
    width, size, C = units.width, units.size, point.covariance
    unit, P = np.outer(width, width), len(width)
    lower = _factor(seen.mT @ root / np.sqrt(variance))
    half = np.linalg.solve(lower, np.broadcast_to(root.T, lower.shape))
    scatter = root @ root.T
    kept = np.eye(P) - scatter @ point.information  # how much a specimen follows its mean
    turned = kept @ point.followed
    followed = turned @ C @ turned.mT
    if design.group is not None:
        followed = followed + kept @ point.shared[design.group] @ kept.mT
    own = point.score @ scatter + design.spread(point.effects)
    return RandomEffects(
        coefficients=centre + point.coefficients * size,
        scatter=scatter * unit,
        variance=variance,
        model_covariance=C * np.outer(size, size),
        deviation=own * width,
        deviation_covariance=(half.mT @ half + followed) * unit,
        drawn=(kept @ scatter @ kept.mT + followed) * unit,
        evidence=point.evidence,
        score=point.score / width,
        information=point.information / unit,
        responsibilities=gamma,
        known=C @ rows.T @ rows @ C * np.outer(size, size),
        design=design,
        group_scatter=np.square(batch * width),
        group_effects=point.effects * width,
        group_covariance=point.shared * unit,
    )
