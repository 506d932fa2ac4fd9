r"""Noise of several curves fitted as one: each has its own, of one kind, and its own size.

.. math:: R = \mathrm{blockdiag}(s_1^2 R_1, s_2^2 R_2, ...), \qquad
          s_k^2 = \frac{r_k^\top R_k^{-1} r_k}{n_k - \operatorname{tr}(A^{-1} A_k)}, \qquad
          A_k = \frac{J_k^\top R_k^{-1} J_k}{s_k^2}

so that a curve weighs by how well it was measured, and not by how many points it has. The divisor is what the curve's
own points pay of the common parameters. Source: Foerstner 1979, Z. Vermessungswesen 104, 149 (variance components).

A law that misses its curves misses all of them: then

.. math:: R_k = s_k^2 I + a \exp\big(-\tfrac12 (t_i - t_j)^2 / (\ell L_k)^2\big)

where the noise is each curve's own, while the misfit's variance a, and its length as a share of the curve's reach
:math:`L_k`, are of all curves: were they not, the curve that happens to be met best would decide alone. Points weigh
:math:`1 / (s_k^2 + n_k a)`, from every point alike to every curve alike, and not by the inverse of R, which would trust
the misfit to be exactly that smooth. Errors take all of R, as generalised estimating equations do (Liang & Zeger 1986).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from .base import Array, CurveNoise, CurveResiduals, NoiseShape
from .misfit import MisfitNoise

#: Smallest variance, in that of a point of weight one: rounding is no noise.
_FLOOR = 1e-8
#: Points that a curve must have to spare to tell its own noise.
_SPARE = 1.0
#: Variances of noise and of misfit that are tried, rounds of finer ones, and lengths of the misfit.
_VARIANCES, _FINER, _LENGTHS = np.geomspace(_FLOOR, 10.0, 28), 2, (0.06, 0.1, 0.16, 0.25, 0.4, 0.63, 1.0)
#: Turns of the misfit's size and the noises beside it.
_TURNS = 3
#: By how much twice the log likelihood must rise for a misfit: the 95 % quantile of chi-square of two numbers.
_WORTH = 5.99
#: Share of the largest singular value below which nothing is known.
_BLIND = 1e-12


@dataclass(frozen=True, eq=False)
class BlockNoise(CurveNoise):
    """Noise of its own for each of several curves that are one after the other.

    Args:
        names: Of the curves.
        ends: Number of the first point of each curve, and of all points.
        noises: Noise of each.
        variances: Of each, of a point of weight one.
    """

    name: ClassVar[str] = "each test's own"
    words: ClassVar[str] = "each test has its own, which says how much the test weighs"
    correlated: ClassVar[bool] = True
    follows_curve: ClassVar[bool] = True

    names: tuple[str, ...]
    ends: tuple[int, ...]
    noises: tuple[CurveNoise, ...]
    variances: tuple[float, ...]

    @classmethod
    def of(cls, noise: CurveNoise, names: Sequence[str], sizes: Sequence[int]) -> Self:
        """Make noise of one kind for curves of so many points each, nothing learned yet."""
        ends = (0, *np.cumsum(sizes).tolist())
        return cls(tuple(names), ends, (noise,) * len(sizes), (1.0,) * len(sizes))

    def blocks(self, residuals: CurveResiduals) -> list[CurveResiduals]:
        """Residuals of each curve."""
        return [
            replace(
                residuals, **{n: getattr(residuals, n)[:, a:b] for n in ("t", "seen", "curve", "residual", "jacobian")}
            )
            for a, b in zip(self.ends, self.ends[1:], strict=False)
        ]

    def block_shape(self, k: int, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:
        """Shape of the noise of curve k, its size included."""
        own, size = self.noises[k].shape(t, seen, curve), float(np.sqrt(self.variances[k]))

        def whiten(values: Array) -> Array:
            return (values if own.whiten is None else own.whiten(values)) / size

        return NoiseShape(whiten, own.log_det + 2.0 * np.log(size) * seen.sum(1))

    def shape(self, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:
        """Each curve's own."""
        pairs = list(zip(self.ends, self.ends[1:], strict=False))
        own = [self.block_shape(k, t[:, a:b], seen[:, a:b], curve[:, a:b]) for k, (a, b) in enumerate(pairs)]

        def whiten(values: Array) -> Array:
            parts = zip(own, pairs, strict=True)
            return np.concatenate([one.whiten(values[:, a:b]) for one, (a, b) in parts if one.whiten], axis=1)

        return NoiseShape(whiten, np.sum([one.log_det for one in own], axis=0))

    def paid(self, residuals: CurveResiduals) -> Array:
        """Parameters that each curve's points pay for, (K,)."""
        size = np.sqrt(np.maximum(np.square(residuals.jacobian[0]).sum(0), 1e-300))
        said = []
        for k, one in enumerate(self.blocks(residuals)):
            J = one.whitened(self.block_shape(k, one.t, one.seen, one.curve))[1][0] / size
            said.append(J.T @ J)
        inverse = np.linalg.pinv(np.sum(said, axis=0), rcond=_BLIND, hermitian=True)
        return np.array([np.sum(inverse * one) for one in said])

    def update(self, residuals: CurveResiduals) -> Self:
        """Learn each curve's noise at the common parameters, and its size, set right for what it pays of them."""
        noises, left, spare = [], [], []
        for noise, one, paid in zip(self.noises, self.blocks(residuals), self.paid(residuals), strict=True):
            # The parameters are held: that one curve alone would have others is what its noise must tell.
            learned = noise.update(replace(one, jacobian=one.jacobian[..., :0]))
            white, _ = one.whitened(learned.shape(one.t, one.seen, one.curve))
            noises.append(learned)
            left.append(float(np.square(white).sum()))
            spare.append(float(one.seen.sum()) - paid)
        common = sum(left) / max(sum(spare), _SPARE)
        variances = [a / b if b >= _SPARE else common for a, b in zip(left, spare, strict=True)]
        return replace(self, noises=tuple(noises), variances=tuple(max(v, _FLOOR) for v in variances))

    def integrated(self, residuals: CurveResiduals) -> Array:
        """Covariance of the parameters at the numbers as learned: each is known from its curve's many points."""
        r, J = (part[0] for part in residuals.whitened(self.shape(residuals.t, residuals.seen, residuals.curve)))
        size = np.sqrt(np.maximum(np.square(J).sum(0), 1e-300))
        inverse = np.linalg.pinv((J / size).T @ (J / size), rcond=_BLIND, hermitian=True) / np.outer(size, size)
        return inverse * float(r @ r) / max(float(residuals.seen.sum()) - J.shape[1], 1.0)

    def log_likelihood(self, residuals: CurveResiduals) -> float:
        """Logarithm of the likelihood of all curves at these residuals, nats; the roots of the weights are left out."""
        total = float(residuals.seen.sum() * np.log(2.0 * np.pi))
        for k, (one, v) in enumerate(zip(self.blocks(residuals), self.variances, strict=True)):
            shape = self.judged(k, one.t[one.seen]).shape(one.t, one.seen, one.curve)
            total += float(np.square(one.whitened(shape)[0]).sum() / v + shape.log_det[0] + one.seen.sum() * np.log(v))
        return -0.5 * total

    def judged(self, k: int, t: Array) -> CurveNoise:  # noqa: ARG002 - the same everywhere
        """Noise of curve k alone, by which its residuals are judged, at its t."""
        return self.noises[k]

    def typical(self, k: int, curve: Array) -> tuple[float, float]:
        """Variances of noise and of misfit of curve k, of a typical point of weight one."""
        return self.variances[k] * float(np.mean(self.noises[k].spread(curve))), 0.0

    def numbers(self) -> dict[str, float]:
        """Return the standard deviation of each curve, and its noise's own numbers."""
        out = {}
        for name, noise, v in zip(self.names, self.noises, self.variances, strict=True):
            out |= {f"{name}: std": float(np.sqrt(v)), **{f"{name}: {k}": n for k, n in noise.numbers().items()}}
        return out

    def __str__(self) -> str:
        return f"{self.noises[0].name} noise, each test's own"


@dataclass(frozen=True, eq=False)
class BlockMisfit(BlockNoise):
    """White noise of each curve's own, and a smooth misfit of one size, relative to their weights, in all curves.

    Args:
        amplitude: Variance a of the misfit of points of weight one; 0: there is none.
        length: Its length, as a share of each curve's reach along t.
    """

    words: ClassVar[str] = "white noise of each test's own, and a smooth curve by which the law misses each test"

    amplitude: float = 0.0
    length: float = 1.0

    def judged(self, k: int, t: Array) -> CurveNoise:
        """Noise and misfit of curve k alone, over the variance of its noise."""
        return MisfitNoise(self.amplitude / self.variances[k], self.length * (float(np.ptp(t)) or 1.0))

    def block_shape(self, k: int, t: Array, seen: NDArray[np.bool_], curve: Array) -> NoiseShape:  # noqa: ARG002
        """What the points of curve k weigh."""
        count = float(seen.sum())
        size = self.variances[k] + count * self.amplitude
        return NoiseShape(lambda values: values / np.sqrt(size), np.full(1, count * np.log(size)))

    def update(self, residuals: CurveResiduals) -> BlockMisfit:
        """Learn all numbers, the parameters held: the misfit's size by moments, the others by likelihood."""
        blocks, found = self.blocks(residuals), []
        squares = np.array([float(np.square(one.residual).sum() / max(one.seen.sum(), 1)) for one in blocks])
        for length in _LENGTHS:
            spectra, independent = [], -float(residuals.jacobian.shape[-1])
            for one in blocks:
                seen = one.seen[0]
                correlation = _correlation(one.t[0, seen], length)
                values, vectors = np.linalg.eigh(correlation)
                spectra.append((np.maximum(values, 0.0), np.square(vectors.T @ one.residual[0, seen])))
                independent += seen.sum() ** 2 / max(correlation.sum(), 1.0)
            # Parameters are paid by so many independent values: as many as the misfit has along all curves.
            paid = 1.0 + residuals.jacobian.shape[-1] / max(independent, 1.0)
            noises = np.zeros(len(blocks))
            for _ in range(_TURNS):
                amplitude = float(np.maximum(squares - noises, 0.0).mean() * paid)
                cost, noises = _noises_beside(amplitude, spectra)
            found.append((cost, amplitude, tuple(noises.tolist()), length))
        # A law that is right has no misfit: one must be worth its two numbers.
        cost, noises = _noises_beside(0.0, spectra)
        best = min([*found, (cost - _WORTH, 0.0, tuple(noises.tolist()), 1.0)], key=lambda one: one[0])
        return replace(self, amplitude=best[1], variances=best[2], length=best[3])

    def integrated(self, residuals: CurveResiduals) -> Array:
        """Covariance of the parameters under noise and misfit, of a fit with these weights."""
        size = np.sqrt(np.maximum(np.square(residuals.jacobian[0]).sum(0), 1e-300))
        normal, spread = np.zeros((2, size.size, size.size))
        for k, one in enumerate(self.blocks(residuals)):
            seen = one.seen[0]
            J = one.jacobian[0, seen] / size
            weight = 1.0 / (self.variances[k] + len(J) * self.amplitude)
            R = self.variances[k] * np.eye(len(J)) + self.amplitude * _correlation(one.t[0, seen], self.length)
            normal, spread = normal + weight * J.T @ J, spread + weight**2 * J.T @ R @ J
        inverse = np.linalg.pinv(normal, rcond=_BLIND, hermitian=True)
        return inverse @ spread @ inverse / np.outer(size, size)

    def typical(self, k: int, curve: Array) -> tuple[float, float]:  # noqa: ARG002 - the same everywhere
        """Variances of noise and of misfit of curve k, of a point of weight one."""
        return self.variances[k], self.amplitude

    def numbers(self) -> dict[str, float]:
        """Return the standard deviation of each curve, and variance and length of the misfit."""
        return {**super().numbers(), "amplitude": self.amplitude, "length": self.length}

    def __str__(self) -> str:
        return f"noise of each test's own, and a misfit of {np.sqrt(self.amplitude):.1%} of its curve"


def _correlation(t: Array, length: float) -> Array:
    """Correlation of the misfit of points, its length as a share of their reach."""
    reach = float(np.ptp(t)) if t.size else 0.0
    return np.exp(-0.5 * np.square((t[:, None] - t) / (length * (reach or 1.0))))


def _noises_beside(amplitude: float, spectra: Sequence[tuple[Array, Array]]) -> tuple[float, Array]:
    """Twice the negative log likelihood and the likeliest variance of every curve's noise beside a misfit, (K,).

    Args:
        amplitude: Variance of the misfit.
        spectra: Of each curve the eigenvalues of the misfit's correlation, and the squares of the residuals along them.
    """
    total, found = 0.0, []
    for values, squares in spectra:
        tried = _VARIANCES
        for _ in range(1 + _FINER):
            variance = tried[:, None] + amplitude * values
            costs = (np.log(variance) + squares / variance).sum(1)
            k, step = int(np.argmin(costs)), tried[1] / tried[0]
            cost, best, tried = (
                float(costs[k]),
                float(tried[k]),
                np.maximum(tried[k] * np.geomspace(1 / step, step, 7), _FLOOR),
            )
        total += cost
        found.append(best)
    return total, np.array(found)
