r"""One population from what its curves say of their specimens' parameters: mean, scatter and noise, by REML.

Specimens differ, :math:`\phi_n \sim N(\mu, S)`, and each curve says what :class:`~.own_fits.CurveInformation` holds,
gradient g and information H over the noise variance v. With :math:`S = L L^\top`, nothing is inverted that may be
singular:

.. math:: B = I + L^\top \tfrac{H}{v} L, \quad V = L B^{-1} L^\top, \quad A = (I - \tfrac{H}{v} V)\tfrac{H}{v}, \quad
          d = (I - \tfrac{H}{v} V)\tfrac{g}{v}, \quad C = \big(\textstyle\sum\gamma A\big)^{-1}

The mean solves :math:`\sum\gamma d = 0` (generalised least squares); S and v minimise

.. math:: \textstyle\sum\gamma\big[T\log v + (q - g^\top b)/v + \log\det B\big] - \log\det C, \qquad b = V g / v,

twice the negative restricted log likelihood, whose derivative by S is
:math:`\sum\gamma(A - A C A - d d^\top)`. Restricted: a variance is not too small because the mean was fitted to the
same few specimens (Patterson & Thompson 1971).

**Errors.** C is the covariance of the mean if S were known. Of a few specimens it is not: how far their contributions
:math:`x = \gamma\, c^\top C d` to a contrast :math:`c^\top\mu` really scatter, over what the model expects of them,
rescales it, and the interval has Student's t. Covariances of the contributions under the model,

.. math:: \Omega_{nm} = \delta_{nm}\gamma_n^2 v_n - \gamma_n\gamma_m\big[(\gamma_n + \gamma_m)\, r_n^\top C r_m
          - r_n^\top D r_m\big], \qquad r = A C c,\; v = r^\top A^{-1} r,\; D = C\textstyle\sum\gamma^2 A\, C,

give the degrees of freedom :math:`(\operatorname{tr}\Omega)^2 / \operatorname{tr}\Omega^2` (Satterthwaite). Curves that
say as much as one another have N - 1, and the interval is the one that every textbook has for the mean of N numbers;
a parameter that two curves of ten speak about has about one.

Source: Hartung & Knapp 2001 (Statistics in Medicine 20, 1771 and 3875) for one number a study; the same correction of
the sandwich, Bell & McCaffrey 2002, Pustejovsky & Tipton 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from .own_fits import CurveInformation

Array = NDArray[np.float64]

#: Specimens beyond the parameters from which S may be any matrix; it is diagonal with fewer.
SPARE = 3.0
#: Least and largest standard deviation between specimens, in units of the one that the search starts from.
_NARROW, _WIDE = 1e-5, 1e3
#: Least noise variance, over the one that the search starts from.
_QUIET = 1e-12
#: Searches for the lowest point, each from where the one before ended, and the standard deviation that each starts
#: with at least, over one curve's error.
_SEARCHES, _FALL, _LIFTED = 8, 1e3, 0.1
#: Share of the largest eigenvalue, at a diagonal of ones, under which one is rounding.
_BLIND = 1e-12
#: Where the scatter is expected to show in less than this share of the model's variance, the mean rests on one curve
#: (two that share it evenly have a half), and the specimens' own scatter never makes its error smaller.
_ALONE = 0.25


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """Mean and scatter of one population of N specimens, and how sure the mean is.

    Args:
        mean: mu, unbounded parameters, shape (P,).
        scatter: S, shape (P, P); diagonal where specimens are few.
        variance: Noise variance of a point of weight one, squared unit of the curves.
        model_covariance: Covariance of the mean if S and v were known, shape (P, P).
        deviation: b, every specimen's parameters minus the mean, shape (N, P).
        deviation_covariance: V, of that, with how sure the mean is, shape (N, P, P).
        drawn: Part of that covariance that the population is answerable for, scatter and mean; the rest is noise.
        evidence: Twice the negative restricted log likelihood, up to a constant.
        contributions: C d of every specimen times its responsibility, shape (N, P).
        information: A of every specimen, shape (N, P, P).
        responsibilities: gamma, shape (N,).
        known: Part of the covariance that priors give, shape (P, P); no specimen's scatter rescales it.
    """

    mean: Array
    scatter: Array
    variance: float
    model_covariance: Array
    deviation: Array
    deviation_covariance: Array
    drawn: Array
    evidence: float
    contributions: Array
    information: Array
    responsibilities: Array
    known: Array

    def contrast(self, gradient: Array) -> tuple[Array, Array]:
        """Standard errors and degrees of freedom of linear functions of the mean.

        Args:
            gradient: Their derivatives by the unbounded parameters, shape (K, P).

        Returns:
            Each of shape (K,). A function that no specimen says anything of has the error 0 and no freedom to speak
            of: one.
        """
        expected, freedom = self._expected(gradient)
        told = np.square(gradient @ self.contributions.T).sum(1)
        plain = np.einsum("kp,pq,kq->k", gradient, self._spread(), gradient)
        ratio = np.divide(told, expected, out=np.ones_like(told), where=expected > 0.0)
        ratio = np.where(expected < _ALONE * plain, np.maximum(ratio, 1.0), ratio)
        known = np.einsum("kp,pq,kq->k", gradient, self.known, gradient)
        return np.sqrt(np.maximum(plain * ratio + known, 0.0)), freedom

    @property
    def covariance(self) -> Array:
        r"""Covariance of the mean, shape (P, P), rescaled by how the specimens' contributions scatter.

        It is :math:`G (\sum x x^\top) G^\top` with G the root of what the model says over what it expects: of curves
        that say as much as one another the sample's covariance over N.
        """
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
        error, _ = self.contrast(np.eye(len(size)))
        found = np.sqrt(np.maximum(np.diagonal(covariance + self.known), 1e-300))
        return (covariance + self.known) * np.outer(error / found, error / found)

    def _expected(self, gradient: Array) -> tuple[Array, Array]:
        """Trace of Omega and its degrees of freedom for each contrast (K, P), (K,) each."""
        gamma, C = self.responsibilities, self.model_covariance
        turned = gradient @ C
        own = np.einsum("npq,kq->knp", self.information, turned)  # r
        alone = np.square(gamma) * np.einsum("kp,knp->kn", turned, own)
        D = self._spread()
        basis = np.concatenate([gamma[:, None] * own, np.square(gamma)[:, None] * own], axis=2)
        P = len(C)
        weight = np.block([[D, -C], [-C, np.zeros((P, P))]])
        inner = basis.mT @ basis
        low = np.einsum("knp,pq,knq->kn", basis, weight, basis)
        trace = alone.sum(1) + low.sum(1)
        square = (
            np.square(alone).sum(1)
            + 2.0 * (alone * low).sum(1)
            + np.trace(weight @ inner @ weight @ inner, axis1=1, axis2=2)
        )
        freedom = np.divide(np.square(trace), square, out=np.ones_like(trace), where=square > 0.0)
        return np.maximum(trace, 0.0), np.maximum(freedom, 1.0)

    def _spread(self) -> Array:
        """D: covariance of the mean under the model with responsibilities taken for weights, shape (P, P)."""
        whole = np.einsum("n,npq->pq", np.square(self.responsibilities), self.information)
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
    """All that one evaluation at (S, v) gives; S = L L^T."""

    mean: Array
    evidence: float
    information: Array
    score: Array
    covariance: Array
    by_scatter: Array
    by_log_variance: float


def random_effects(
    information: CurveInformation,
    responsibilities: Array,
    centre: Array,
    width: Array,
    variance: float,
    *,
    known: bool = False,
    prior: tuple[Array, Array] | None = None,
    start: RandomEffects | None = None,
    adjusted: bool = False,
    tolerance: float = 1e-11,
) -> RandomEffects:
    """Estimate mean, scatter and noise of one population by restricted maximum likelihood.

    Args:
        information: What every curve says, N specimens.
        responsibilities: How much each belongs to the population, shape (N,), not negative.
        centre: Unbounded parameters to count from, shape (P,).
        width: Standard deviations between specimens to start from, shape (P,), above zero.
        variance: Noise variance of a point of weight one, to start from.
        known: Whether the noise variance is given, and stays.
        prior: Further equations of the mean, of unit variance: rows (K, P) and what they are to be when ``centre`` is
            zero, (K,).
        start: An answer to start from in place of ``width`` and ``variance``.
        adjusted: Multiply the likelihood by the root of det S. The scatter of few specimens is then never zero, nor
            its standard deviation too small by half, and neither is what is said of single specimens (Chung et al.
            2013, Psychometrika 78, 685); as an estimate of the scatter it is too large.
        tolerance: Relative fall of the likelihood that ends the search.

    Returns:
        The population.
    """
    width = np.maximum(width, 1e-300)
    curves = _roots(information, centre, width)
    equations = (np.zeros((0, len(centre))), np.zeros(0)) if prior is None else (prior[0] * width, prior[1])
    search = _Search(
        _diagonal(responsibilities, len(centre)), len(centre), variance, known, tolerance, logarithmic=adjusted
    )

    def objective(root: Array, noise: float) -> tuple[float, _Point]:
        point = _evaluate(curves, responsibilities, root, noise, *equations)
        if not adjusted:
            return point.evidence, point
        back = np.linalg.inv(root)
        volume = 2.0 * float(np.log(np.diagonal(root)).sum())
        return point.evidence - volume, replace(point, by_scatter=point.by_scatter - back.T @ back)

    root, noise, _ = search.lowest(objective, start, width)
    point = _evaluate(curves, responsibilities, root, noise, *equations)
    return _finished(point, root, noise, curves.root, responsibilities, equations[0], centre, width)


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
    """Where twice the log likelihood has fallen, along one linear function of the mean, all else fitted again.

    Args:
        information: What every curve says.
        found: The population.
        gradient: Of the function by the unbounded parameters, shape (P,).
        width: Units of the parameters, shape (P,), above zero.
        fall: By how much twice the log likelihood falls at the ends.
        step: Standard error of the function, where the search begins.
        known: Whether the noise variance is given.
        prior: Further equations of the mean, counted from ``found.mean``.

    Returns:
        Both ends, as differences from the function's value at ``found.mean``; infinite where it never falls so far.
    """
    gamma, P = found.responsibilities, len(width)
    curves = _roots(information, found.mean, width)
    rows, target = (np.zeros((0, P)), np.zeros(0)) if prior is None else (prior[0] * width, prior[1])
    search = _Search(_diagonal(gamma, P), P, found.variance, known, logarithmic=False)
    along = gradient * width

    def lowest(value: float | None) -> float:
        def objective(root: Array, noise: float) -> tuple[float, _Point]:
            point = _evaluate(curves, gamma, root, noise, rows, target, whole=True)
            if value is not None:
                turned = point.covariance @ along
                mean = point.mean - turned * (along @ point.mean - value) / (along @ turned)
                point = _evaluate(curves, gamma, root, noise, rows, target, mean, whole=True)
            return point.evidence, point

        return search.lowest(objective, found, width)[2]

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
    """Search for scatter and noise: the root's diagonal or its logarithm, what stands below it, logarithm of the noise.

    Args:
        diagonal: Whether nothing stands below.
        size: P.
        variance: Noise variance to count from.
        known: Whether it stays.
        tolerance: Relative fall of the likelihood that ends it.
        unit: Unit of every row of the root, shape (P, 1).
        logarithmic: Whether the diagonal is searched by its logarithm.
    """

    diagonal: bool
    size: int
    variance: float
    known: bool
    tolerance: float = 1e-11
    unit: Array | float = 1.0
    logarithmic: bool = True

    @property
    def below(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns below the diagonal that are searched."""
        rows, columns = np.tril_indices(self.size, -1)
        return (rows[:0], columns[:0]) if self.diagonal else (rows, columns)

    def unpacked(self, x: Array) -> tuple[Array, float]:
        """Root of the scatter (P, P) and noise variance."""
        P, below = self.size, self.below
        root = np.diag(np.exp(x[:P]) if self.logarithmic else x[:P])
        root[below] = x[P : P + len(below[0])]
        return root * self.unit, self.variance if self.known else self.variance * float(np.exp(x[-1]))

    def packed(self, root: Array, variance: float) -> Array:
        """Put a root and a noise variance into what is searched."""
        root, noise = root / self.unit, np.full(0 if self.known else 1, np.log(variance / self.variance))
        diagonal = np.maximum(np.diagonal(root), 1e-300)
        return np.concatenate([np.log(diagonal) if self.logarithmic else diagonal, root[self.below], noise])

    def limits(self) -> Array:
        """Least and largest value of all that is searched, shape (.., 2)."""
        unit, rows = np.broadcast_to(self.unit, (self.size, 1))[:, 0], self.below[0]
        diagonal = np.stack([_NARROW / unit, _WIDE / unit], 1)
        diagonal = np.log(diagonal) if self.logarithmic else diagonal
        noise = np.log([_QUIET, 1.0 / _QUIET])[None][: 0 if self.known else 1]
        return np.concatenate([diagonal, np.outer(_WIDE / unit[rows], [-1.0, 1.0]), noise])

    def gradient(self, root: Array, point: _Point) -> Array:
        """Derivatives of the evidence by what is searched."""
        slope = 2.0 * point.by_scatter @ root
        noise = np.zeros(0 if self.known else 1) + point.by_log_variance
        by_diagonal = np.diagonal(slope * (root if self.logarithmic else self.unit))
        return np.concatenate([by_diagonal, (slope * self.unit)[self.below], noise])

    def lowest(
        self, objective: Callable[[Array, float], tuple[float, _Point]], start: RandomEffects | None, width: Array
    ) -> tuple[Array, float, float]:
        """Root of the scatter, noise variance and objective at the lowest point.

        The search starts again from where it ended until it falls no further: in units of the scatter that it found,
        since those of the start may be a hundred times too large for it to see where it is going, and with every
        direction lifted to a tenth of one curve's error, since one that has become very small has no slope to return
        by.

        Args:
            objective: What is to be lowest, and all beside it, by root and noise variance.
            start: An earlier answer to start from, in place of the scatter ``width``.
            width: Units of the parameters, shape (P,).
        """
        root: Array = np.eye(self.size)
        variance = self.variance
        if start is not None:
            scatter = start.scatter / np.outer(width, width)
            own = np.diagonal(scatter)
            root = np.diag(np.sqrt(own))
            if not self.diagonal:
                root = np.asarray(np.linalg.cholesky(scatter + np.diag(1e-6 * own + 1e-12)), dtype=np.float64)
            variance = start.variance
        lowest, best = np.inf, (root, variance)
        for turn in range(_SEARCHES):
            unit = np.clip(np.sqrt(np.square(root).sum(1, keepdims=True)), _NARROW, _WIDE)
            search = replace(self, unit=unit, logarithmic=self.logarithmic or (turn == 0 and start is None))
            found = search.descended(objective, root, variance)
            value, point = objective(*found)
            fallen = lowest - value
            if value < lowest:
                lowest, best = value, found
            if not fallen > _FALL * self.tolerance * max(abs(value), 1.0):
                break
            root, variance = best
            curve = np.sqrt(np.diagonal(point.covariance) * len(point.score))
            root = root + np.diag(np.maximum(_LIFTED * curve - np.diagonal(root), 0.0))
        return best[0], best[1], lowest

    def descended(
        self, objective: Callable[[Array, float], tuple[float, _Point]], root: Array, variance: float
    ) -> tuple[Array, float]:
        """Root of the scatter and noise variance where one search from these ends."""

        def of(x: Array) -> tuple[float, Array]:
            at = self.unpacked(x)
            value, point = objective(*at)
            return value, self.gradient(at[0], point)

        limits = self.limits()
        start = np.clip(self.packed(root, variance), *limits.T)
        options = {"maxiter": 200, "ftol": self.tolerance, "gtol": 1e-6}
        found = scipy.optimize.minimize(of, start, jac=True, method="L-BFGS-B", bounds=limits, options=options)
        return self.unpacked(found.x)


def restricted(
    information: CurveInformation, responsibilities: Array, mean: Array, width: Array, found: RandomEffects
) -> float:
    """Twice the negative restricted log likelihood at a mean, with the scatter and noise of ``found``.

    What the curves say may be an expansion about other estimates than that answer was found from: of two expansions the
    better one has the lower number. Priors are left out.

    Args:
        information: What every curve says.
        responsibilities: Shape (N,).
        mean: Unbounded parameters, shape (P,).
        width: Units of the parameters, shape (P,), above zero.
        found: Whose scatter and noise count.
    """
    curves = _roots(information, mean, width)
    root = _root(found.scatter / np.outer(width, width))
    none = np.zeros((0, len(mean))), np.zeros(0)
    return _evaluate(curves, responsibilities, root, found.variance, *none, np.zeros(len(mean))).evidence


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
    root: Array,
    variance: float,
    rows: Array,
    target: Array,
    at: Array | None = None,
    *,
    whole: bool = False,
) -> _Point:
    """Restricted likelihood and all beside it, at the best mean or a given one; ``whole``: the unrestricted one."""
    P = root.shape[0]
    R, z = curves.root / np.sqrt(variance), curves.pull / np.sqrt(variance)
    lower = _factor(root.T @ R)  # of K = I + R^T S R
    back = np.linalg.inv(lower)
    half = back @ R.mT
    A = half.mT @ half
    C, log_det = _inverse(np.einsum("n,npq->pq", gamma, A) + rows.T @ rows)
    mean = C @ (gamma @ (half.mT @ (back @ z[..., None]))[..., 0] + rows.T @ target) if at is None else at
    left = back @ (z - R.mT @ mean)[..., None]
    shrunk = (back.mT @ left)[..., 0]  # K^-1 z
    d = (R @ shrunk[..., None])[..., 0]
    least = curves.least / variance
    determinant = 2.0 * np.log(np.abs(np.einsum("npp->np", lower))).sum(1)
    beyond = target - rows @ mean
    misfit = least + np.square(left[..., 0]).sum(1)
    evidence = float(gamma @ (curves.points * np.log(variance) + misfit + determinant)) + beyond @ beyond
    by_scatter = np.einsum("n,npq->pq", gamma, A) - (gamma[:, None] * d).T @ d
    quiet = curves.points - P + np.square(back).sum((1, 2))
    turned = half.mT @ back  # R K^-1
    by_log_variance = gamma @ (quiet - least - np.square(shrunk).sum(1))
    if not whole:
        evidence += log_det
        by_scatter -= np.einsum("n,npq->pq", gamma, A @ C @ A)
        by_log_variance -= gamma @ np.einsum("npq,nrq,pr->n", turned, turned, C)
    return _Point(mean, float(evidence), A, d, C, by_scatter, float(by_log_variance))


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
    variance: float,
    seen: Array,
    gamma: Array,
    rows: Array,
    centre: Array,
    width: Array,
) -> RandomEffects:
    unit, P, C = np.outer(width, width), len(width), point.covariance
    lower = _factor(seen.mT @ root / np.sqrt(variance))
    half = np.linalg.solve(lower, np.broadcast_to(root.T, lower.shape))
    scatter = root @ root.T
    kept = np.eye(P) - scatter @ point.information  # how much a specimen follows the mean
    followed = kept @ C @ kept.mT
    return RandomEffects(
        mean=centre + point.mean * width,
        scatter=scatter * unit,
        variance=variance,
        model_covariance=C * unit,
        deviation=point.score @ scatter * width,
        deviation_covariance=(half.mT @ half + followed) * unit,
        drawn=(kept @ scatter @ kept.mT + followed) * unit,
        evidence=point.evidence,
        contributions=gamma[:, None] * (point.score @ C) * width,
        information=point.information / unit,
        responsibilities=gamma,
        known=C @ rows.T @ rows @ C * unit,
    )
