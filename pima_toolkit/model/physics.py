r"""The decoder of a physics modality: an expert per cluster.

One curve :math:`X` of a specimen in cluster c, with :math:`J_c = \partial E / \partial \phi` at :math:`\theta_c`:

.. math:: p(X \mid c) = \mathcal N\big(E(t; \theta_c),\; \Sigma_c\big), \qquad
          \Sigma_c = J_c S_c J_c^\top + v_c \mathbf I

:math:`S_c` lets the specimens of one population differ, as real ones do; :math:`S_c = 0` is the paper's decoder. With
:math:`M = I + S_c J^\top J / v` everything is a P x P problem per cluster (Woodbury), and never needs the inverse of
S_c:

.. math:: V = M^{-1} S_c,\quad b = V J^\top r / v,\quad
          \log p = -\tfrac12\Big[\tfrac{\lVert r\rVert^2 - r^\top J b}{v} + T\log 2\pi v + \log\det M\Big]

Source: Trask et al. 2022, eq. (11).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..experts import Bounds, Expert, Priors, noisy_fits, own_fits
from .curves import Curves, by_grid
from .draws import drawn
from .effects.known import KnownEffects
from .effects.latent import Trend
from .evidence import Evidence
from .gaussian import LOG_2PI, DiagonalGaussian
from .noise.base import NoiseModel
from .noise.pooled import PooledNoise
from .noise.shaped import ShapedNoise
from .predictive import Predictive

Array = NDArray[np.float64]

#: Damped Gauss-Newton steps to a specimen's most probable parameters; from the cluster's, few are needed.
_STEPS = 8
#: Share of a two-sided bound, or of the unit, that the law's own starts keep away from it; and how many times the
#: variance of all specimens a curve that is fitted alone may be off.
_MARGIN, _WIDE = 1e-6, 9.0
#: Specimens that stand for a population where its curves have no closed form.
POPULATION_DRAWS = 256
#: And for what one specimen may be, of which more is known.
OWN_DRAWS = 128


@dataclass(frozen=True)
class CurvePosterior:
    """Likelihood of curves, and deviation of their specimens, under each cluster.

    Args:
        log_prob: log p(X given c), shape (specimen, cluster), nats; 0 for specimens without the modality.
        deviation: Each specimen's own unbounded parameters minus the cluster's, shape (cluster, specimen, P).
        covariance: V of the deviation, shape (cluster, specimen or 1, P, P).
        normal: J^T J, shape (cluster, specimen or 1, P, P).
        projected: J^T r, shape (cluster, specimen, P).
        squared: ||r||^2, shape (cluster, specimen).
    """

    log_prob: Tensor
    deviation: Tensor
    covariance: Tensor
    normal: Tensor
    projected: Tensor
    squared: Tensor


@dataclass(frozen=True)
class Deviations:
    """What is known of specimens' deviations from each cluster before their curve is seen.

    Args:
        mean: Shape (cluster, specimen, P).
        covariance: Shape (cluster, specimen, P, P).
    """

    mean: Tensor
    covariance: Tensor

    def __getitem__(self, rows: slice | Tensor) -> Deviations:
        return Deviations(self.mean[:, rows], self.covariance[:, rows])


@dataclass(frozen=True)
class PhysicsDecoder:
    """p(X given c) of one physics modality.

    Args:
        expert: The physics model.
        bounds: Bounds of its parameters.
        scale: Residuals are divided by this, in the modality's unit.
        theta: Fitted parameters, shape (cluster, P), physical units, numpy float64.
        scatter: S_c in the unbounded parameters, shape (cluster, P, P), float64; zero for ``scatter="none"``.
        variance: v_c, shape (cluster,), float64, in units of scale squared.
        trend: How the parameters follow the latent, ``vary="latent"``; None where they do not. What is asked without a
            latent is then answered for Z from p(Z given c): specimens differ by ``total``.
        priors: Prior knowledge of each cluster's parameters, or None.
        noise: How points scatter about a specimen's curve; ``variance`` is its scale.
        members: Specimens drawn from each population, their deviations from its unbounded parameters, shape (cluster,
            draw, P), float64: what a specimen may be of which nothing is known. None: what ``total`` says, a Gaussian.
        known: How covariates and batches move the parameters of all clusters; None: they do not. A specimen's deviation
            is counted from there.
        starts: From how many of the law's own starts each curve is fitted besides the populations, to look at more than
            one optimum. 0: from the populations alone.
    """

    expert: Expert
    bounds: Bounds
    scale: float
    theta: np.ndarray
    scatter: Tensor
    variance: Tensor
    trend: Trend | None = None
    priors: Priors | None = None
    noise: NoiseModel = PooledNoise()  # noqa: RUF009 - it holds nothing
    members: Tensor | None = None
    starts: int = 0
    known: KnownEffects | None = None

    def arrays(self) -> dict[str, Tensor]:
        """Return all that training learned, by name, for files; :meth:`from_arrays` is the way back."""
        out = {"theta": torch.as_tensor(self.theta), "scatter": self.scatter, "variance": self.variance}
        if self.noise.curve_noise is not None:
            out["noise"] = torch.tensor(list(self.noise.curve_noise.numbers().values()), dtype=torch.float64)
        if self.trend is not None:
            out |= {f.name: getattr(self.trend, f.name) for f in fields(Trend)}
        if self.members is not None:
            out["members"] = self.members
        if self.known is not None:
            out |= self.known.arrays()
        if self.starts:
            out["starts"] = torch.tensor(self.starts)
        return out

    @staticmethod
    def from_arrays(
        arrays: Mapping[str, Tensor],
        expert: Expert,
        bounds: Bounds,
        scale: float,
        priors: Priors | None = None,
        noise: NoiseModel = PooledNoise(),  # noqa: B008 - it holds nothing
        device: torch.device | str = "cpu",
    ) -> PhysicsDecoder:
        """Rebuild a decoder from its :meth:`arrays` and from all that is no result of training.

        Args:
            arrays: By name; those of a trend are there where the parameters follow the latent.
            expert: The physics model.
            bounds: Bounds of its parameters.
            scale: Unit of the residuals.
            priors: Prior knowledge of the parameters, or None.
            noise: The noise model.
            device: Where scatter, variance and trend go.
        """
        if noise.curve_noise is not None and "noise" in arrays:
            numbers = dict(zip(noise.curve_noise.numbers(), arrays["noise"].tolist(), strict=True))
            noise = ShapedNoise(replace(noise.curve_noise, **numbers))
        names = [f.name for f in fields(Trend)]
        varies = all(name in arrays for name in names)
        return PhysicsDecoder(
            expert,
            bounds,
            scale,
            arrays["theta"].cpu().numpy().copy(),
            arrays["scatter"].to(device),
            arrays["variance"].to(device),
            Trend(*(arrays[name].to(device) for name in names)) if varies else None,
            priors,
            noise,
            arrays["members"].to(device) if "members" in arrays else None,
            int(arrays["starts"]) if "starts" in arrays else 0,
            KnownEffects.from_arrays(arrays),
        )

    def with_arrays(self, arrays: Mapping[str, Tensor]) -> PhysicsDecoder:
        """Replace all that training learned by the :meth:`arrays` of another decoder of the same law."""
        return self.from_arrays(
            arrays, self.expert, self.bounds, self.scale, self.priors, self.noise, self.scatter.device
        )

    @property
    def total(self) -> Tensor:
        """Covariance between the specimens of a cluster, what Z explains and what it does not, (cluster, P, P)."""
        return self.scatter if self.trend is None else self.scatter + self.trend.spread

    def own_prior(self, others: DiagonalGaussian | Deviations | None) -> bool:
        """Whether other modalities say something of each specimen's deviation."""
        return isinstance(others, Deviations) or (others is not None and self.trend is not None)

    def offset(self, curves: Curves) -> Tensor | None:
        """How far specimens are off their clusters by what is known of them, (specimen, P); None: nothing is."""
        if self.known is None:
            return None
        return torch.as_tensor(self.known.offset(curves.terms, curves.batch), device=self.scatter.device)

    def unsure(self, curves: Curves) -> Tensor | None:
        """How unsure their batch leaves that, (specimen, P, P); None without batches."""
        if self.known is None or curves.batch is None:
            return None
        return torch.as_tensor(self.known.unsure(curves.batch), device=self.scatter.device)

    def prior(
        self, latent: DiagonalGaussian | Deviations | None = None, curves: Curves | None = None
    ) -> tuple[Tensor, Tensor]:
        """Distribution of a specimen's deviation from its cluster before its curve is seen.

        Args:
            latent: q(Z given the other modalities), (specimen, latent) or (specimen, cluster, latent), or what they say
                of the deviation itself; p(Z given c) if None.
            curves: The specimens' curves, seen or not, with the batch that each is of; None: of batches nothing is
                counted.

        Returns:
            Mean (cluster, specimen or 1, P) and covariance (cluster, specimen or 1, P, P).
        """
        mean, spread = self._prior(latent)
        unsure = None if curves is None else self.unsure(curves)
        if unsure is None:
            return mean, spread
        return mean.expand(-1, len(unsure), -1), spread + unsure

    def _prior(self, latent: DiagonalGaussian | Deviations | None) -> tuple[Tensor, Tensor]:
        """The same without batches."""
        if isinstance(latent, Deviations):
            return latent.mean, latent.covariance
        if self.trend is None or latent is None:
            total = self.total[:, None]
            return total.new_zeros(total.shape[:-1]), total
        mean, spread = self.trend.deviation(latent)
        return mean, spread + self.scatter[:, None]

    def predict(self, t: np.ndarray) -> tuple[Tensor, Tensor]:
        """Compute curves and their slopes in the unbounded parameters, both divided by ``scale``.

        A parameter at its bound leaves the unbounded parameters: its slope is zero.

        Returns:
            E of shape (cluster, 1, point) and J of shape (cluster, 1, point, P); own grids put the specimen where
            the 1 is.
        """
        value, jacobian = self.expert.value_and_jacobian(t, self.theta)
        slope = np.where(self.bounds.at_bound(self.theta), 0.0, self.bounds.slope(self.theta))
        if t.ndim == 1:
            value, jacobian = value[:, None], jacobian[:, None]
        jacobian = jacobian * slope[:, None, None, :]
        device = self.scatter.device
        return (
            torch.as_tensor(value / self.scale, device=device),
            torch.as_tensor(jacobian / self.scale, device=device),
        )

    def where(self, chosen: Tensor, other: PhysicsDecoder) -> PhysicsDecoder:
        """Take these parameters in the clusters of ``chosen``, shape (cluster,), and another decoder's in the rest."""
        if bool(chosen.all()):
            return self
        one, two = chosen[:, None], chosen[:, None, None]
        trend = self.trend
        if trend is not None and other.trend is not None:
            trend = Trend(
                torch.where(two, trend.slope, other.trend.slope),
                torch.where(one, trend.origin, other.trend.origin),
                torch.where(one, trend.reach, other.trend.reach),
            )
        members = None
        if self.members is not None and other.members is not None:
            members = torch.where(two, self.members, other.members)
        return replace(
            self,
            theta=np.where(one.cpu().numpy(), self.theta, other.theta),
            scatter=torch.where(two, self.scatter, other.scatter),
            variance=torch.where(chosen, self.variance, other.variance),
            trend=trend,
            members=members,
        )

    def condition(self, curves: Curves, prior: tuple[Tensor, Tensor] | None = None) -> CurvePosterior:
        """Compute the likelihood of curves under each cluster and each specimen's own deviation, in closed form.

        Args:
            curves: Measured curves.
            prior: Mean and covariance of the deviations, as :meth:`prior` gives; by default the population's.
        """
        centre, spread = self.prior(None, curves) if prior is None else prior
        points, squared, projected, normal, log_det = self._reduce(curves)
        variance = self.variance[:, None]
        identity = torch.eye(spread.shape[-1], dtype=torch.float64, device=spread.device)
        growth = identity + spread @ normal / variance[..., None, None]
        covariance = torch.linalg.solve(growth, spread.expand_as(growth))
        covariance = 0.5 * (covariance + covariance.mT)
        # From the line's value at the prior's centre: sums at the cluster's own parameters are all it takes.
        turned = (normal @ centre[..., None]).squeeze(-1)
        left = projected - turned
        misfit = squared - ((projected + left) * centre).sum(-1)
        own = (covariance @ left[..., None]).squeeze(-1) / variance[..., None]
        quadratic = (misfit - (left * own).sum(-1)) / variance
        volume = points * (LOG_2PI + variance.log()) + log_det
        log_prob = -0.5 * (quadratic + volume + torch.linalg.slogdet(growth)[1])
        log_prob = torch.where(curves.present[:, None], log_prob.T, 0.0)
        return CurvePosterior(log_prob, centre + own, covariance, normal, projected, squared)

    @property
    def one_line(self) -> bool:
        """Whether one linearisation serves all specimens: the expert is linear in phi, or nothing scatters.

        Never under a noise whose shape own fits ask for.
        """
        if self.noise.curve_noise is not None:
            return False
        free = not (np.isfinite(self.bounds.lower) | np.isfinite(self.bounds.upper)).any()
        return (free and len(self.expert.linear) == len(self.expert.parameters)) or not bool(self.total.any())

    def _own_lines(self, curves: Curves) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | float]:
        """Reduce as :meth:`_reduce` does, each specimen linearised at its own most probable parameters.

        Most probable in its population, whatever its Z: the line depends on the curve alone, so that log p(X given Z,
        c) is one quadratic function of Z, and the encoders learn by its exact gradient.
        """
        values, vectors = torch.linalg.eigh(self.total.cpu())
        root = (vectors * values.clamp_min(0.0).sqrt()[:, None, :]).numpy()
        x = curves.x.cpu().numpy() * self.scale
        seen = curves.seen
        # Weights of squared residuals: whitened, hence squared.
        weights = self.noise.whiten(seen.to(curves.x.dtype), curves.along).square()
        weights = (weights if curves.weights is None else weights * curves.counted).cpu().numpy()
        precision = 1.0 / (self.variance.cpu().numpy() * self.scale**2)
        centre, t = self.bounds.to_unbounded(self.theta), np.atleast_2d(curves.t)
        known = self.offset(curves)
        offset = np.zeros((1, centre.shape[1])) if known is None else known.cpu().numpy()
        # One population for all specimens, or with what is known of each one of its own.
        which = np.zeros(len(curves), dtype=np.int64) if known is None else np.arange(len(curves))
        alone = self._alone(curves, t, x, weights)
        sums, log_det = [], []
        fits = own_fits if self.noise.curve_noise is None else partial(noisy_fits, self.noise.curve_noise)
        for c in range(len(self.theta)):
            here = slice(c, c + 1)
            information, _ = fits(
                self.expert,
                self.bounds,
                t,
                x,
                weights,
                centre[here] + offset,
                np.repeat(root[here], len(offset), axis=0),
                which,
                np.full(len(curves), precision[c]),
                None if alone is None else np.stack([np.broadcast_to(centre[c] + offset, alone.shape), alone], axis=1),
                theta=np.repeat(self.theta[here], len(offset), axis=0),
                steps=_STEPS,
            )
            information = replace(information, estimate=information.estimate - offset)
            squared, gradient = information.about(centre[here])
            sums.append((squared[:, 0], gradient[:, 0], information.normal))
            log_det.append(-information.log_weight)
        squared, projected, normal = (
            torch.as_tensor(np.stack(parts) / self.scale**2, device=curves.x.device)
            for parts in zip(*sums, strict=True)
        )
        volume = self.log_det(curves)
        if self.noise.curve_noise is not None:
            volume = torch.as_tensor(np.stack(log_det), device=curves.x.device)
        return seen.to(curves.x.dtype).sum(1), squared, projected, normal, volume

    def _alone(self, curves: Curves, t: Array, x: Array, weights: Array) -> Array | None:
        """Fit each curve under one wide population from the law's own starts, unbounded parameters (specimen, P)."""
        seen = curves.seen.cpu().numpy()
        there = np.flatnonzero(seen.any(1))
        if not self.starts or not len(there):
            return None
        centre = self.bounds.to_unbounded(self.theta)
        out = np.tile(centre.mean(0), (len(seen), 1))
        counted = None if curves.weights is None else curves.counted.cpu().numpy()[there]
        grid = t[there] if curves.own_grids else t
        measured = np.where(seen, x, np.nan)[there]
        found = self.expert.starts(grid if curves.own_grids else grid[0], measured, counted, self.starts)
        found = self.bounds.to_unbounded(self.bounds.clip(found, _MARGIN))
        apart = centre - centre.mean(0)
        wide = _WIDE * (self.total.cpu().numpy().mean(0) + apart.T @ apart / len(apart))
        values, vectors = np.linalg.eigh(wide)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        precision = np.full(len(there), 1.0 / (float(self.variance.mean()) * self.scale**2))
        prior = centre.mean(0)[None], root[None], np.zeros(len(there), dtype=np.int64), precision
        at = self.expert, self.bounds, grid, x[there], weights[there]
        out[there] = own_fits(*at, *prior, found, steps=_STEPS)[0].estimate
        return out

    def _reduce(self, curves: Curves) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | float]:
        """Seen points (specimen,), ||r||^2, J^T r and J^T J, whitened, and the log determinant of the noise's shape.

        That is all the likelihood needs of the residuals.

        The shape of the noise, the same for all specimens on a grid, is divided out first; weights of single points
        count in the sums.
        """
        if not self.one_line or self.known is not None:
            return self._own_lines(curves)
        value, jacobian = self.predict(curves.t)
        x, value = (self.noise.whiten(part, curves.along) for part in (curves.x, value))
        jacobian = self.noise.whiten(jacobian.movedim(-1, 0), curves.along).movedim(0, -1)
        if curves.own_grids:
            counted = curves.counted
            residual = x - value
            weighted = residual * counted
            return (
                curves.seen.to(x.dtype).sum(1),
                (weighted * residual).sum(-1),
                torch.einsum("cntp,cnt->cnp", jacobian, weighted),
                torch.einsum("nt,cntp,cntq->cnpq", counted, jacobian, jacobian),
                self.log_det(curves),
            )
        # On a shared grid the residuals are never formed: matrix products of x (0 where not observed) and of the mask.
        # The difference of large sums is safe in float64 down to the floor of the noise variance. Complete curves share
        # one row of the mask, the specimens without a curve too: what is made of those counts nowhere.
        value, jacobian = value.squeeze(1), jacobian.squeeze(1)
        alike = curves.complete and curves.weights is None
        mask = torch.ones_like(x[:1]) if alike else curves.counted
        weighted = x if curves.weights is None else x * mask
        squared = (weighted * x).sum(1) - 2.0 * value @ weighted.T + value.square() @ mask.T
        projected = weighted @ jacobian - mask @ (value[..., None] * jacobian)
        normal = torch.einsum("nt,ctp,ctq->cnpq", mask, jacobian, jacobian)
        points = mask.sum(1).expand(len(curves)) if curves.weights is None else curves.seen.to(x.dtype).sum(1)
        return points, squared.clamp_min(0.0), projected, normal, self.log_det(curves)

    def evidence(self, curves: Curves) -> Evidence:
        """log p(X given Z, c) as a function of Z, float64; memory bounded."""
        if self.trend is None:
            return Evidence(self.log_prob(curves))
        pieces = []
        for _, piece in curves.chunks():
            conditioned = self.condition(
                piece, (self.scatter.new_zeros(self.theta.shape)[:, None], self.scatter[:, None])
            )
            information, score = scores(self, conditioned, self.scatter[:, None])
            slope = self.trend.slope
            linear = torch.einsum("cpl,cnp->ncl", slope, score)
            curvature = torch.einsum("cpl,cnpq,cqk->nclk", slope, information, slope)
            here = piece.present[:, None, None]
            if not bool(here.all()):
                linear = torch.where(here, linear, 0.0)
                curvature = torch.where(here[..., None], curvature, 0.0)
            pieces.append(Evidence(conditioned.log_prob, linear, curvature, self.trend.origin))
        return Evidence.joined(pieces)

    def log_prob(self, curves: Curves) -> Tensor:
        """log p(X given c), shape (specimen, cluster), nats, float64, averaged over p(Z given c); memory bounded."""
        return torch.cat([self.condition(piece).log_prob for _, piece in curves.chunks()])

    def log_det(self, curves: Curves) -> Tensor | float:
        """Logarithm of the determinant of the noise's shape and weights over the measured points, (specimen,)."""
        return self.noise.log_det(curves.along, curves.seen) - curves.log_weight

    def at_points(self, predictive: Predictive, curves: Curves) -> Predictive:
        """Exchange the noise of a point of weight one for that of every measured point, in what is said of them.

        Args:
            predictive: What is said of these curves, at their points.
            curves: Measured curves.
        """
        if curves.weights is None:
            return predictive
        more = 1.0 / torch.where(curves.seen, curves.weights, 1.0) - 1.0
        return replace(predictive, variance=predictive.variance + self.noise_variance(curves.t) * more)

    def noise_variance(self, t: np.ndarray, offset: Tensor | None = None) -> Tensor:
        """Variance of the noise at each point, (cluster, specimen or 1, point), in units of ``scale`` squared.

        Of a point of weight one: where errors came with the data, one that is as precise as their typical point.

        Args:
            t: Grid (point,), or one per specimen; packed where there are covariates.
            offset: How far specimens are off their clusters by what is known of them, (specimen, P).
        """
        along = t[..., : t.shape[-1] // len(self.expert.inputs)]
        if self.noise.curve_noise is not None:
            if offset is None:
                value, _ = self.expert.value_and_jacobian(t, self.theta)
                value = value[:, None] if t.ndim == 1 else value
            else:
                value = self._moved_curves(t, offset)
            spread = torch.as_tensor(self.noise.curve_noise.spread(value), device=self.variance.device)
            return self.variance[:, None, None] * spread
        shape = self.noise.whiten(torch.ones(along.shape, dtype=torch.float64, device=self.variance.device), along)
        return self.variance[:, None, None] / shape.square()

    def _moved_curves(self, t: np.ndarray, offset: Tensor) -> np.ndarray:
        """Each cluster's curve for specimens of which something is known, (cluster, specimen, point)."""
        phi = self.bounds.to_unbounded(self.theta)[:, None] + offset.cpu().numpy()
        fixed = self.bounds.at_bound(self.theta)[:, None]
        theta = np.where(fixed, self.theta[:, None], self.bounds.from_unbounded(phi))
        if t.ndim == 1:
            return self.expert.value_and_jacobian(t, theta)[0]
        each = [self.expert.value_and_jacobian(grid, theta[:, n])[0] for n, grid in enumerate(t)]
        return np.stack(each, axis=1)

    def marginal(
        self,
        t: np.ndarray,
        prior: tuple[Tensor, Tensor] | None = None,
        used: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> Predictive:
        """Predict a new specimen's curve in each cluster.

        In closed form where the expert is linear in phi; else curves of the population's members, or of parameters
        drawn from what is known, bounded ones inside their bounds: the same draws every time, whatever other specimens
        are asked about.

        Args:
            t: Grid (point,), or one per specimen.
            prior: Means and covariances of the specimens' deviations, as :meth:`prior` gives or a curve has left; by
                default the population's, which all specimens share on one grid.
            used: Which clusters count for which specimens, (cluster, specimen), bool: the draws of others are not
                computed, and hold zeros. None: all.
            offset: How far specimens are off their clusters by what is known of them, (specimen, P); None: nothing is.
        """
        centre, spread = self.prior() if prior is None else prior
        noise = self.noise_variance(t, offset)
        if offset is not None:
            centre = centre + offset
        if self.one_line:
            value, jacobian = self.predict(t)
            moved = value + (jacobian @ centre[..., None]).squeeze(-1)
            wide = ((jacobian @ spread) * jacobian).sum(-1)
            return Predictive(moved[..., None], wide + noise)
        if prior is None and self.members is not None:
            deviation = self.members[:, None]
            deviation = deviation if offset is None else deviation + offset[None, :, None]
        else:
            deviation = drawn(centre, spread, POPULATION_DRAWS if prior is None else OWN_DRAWS)
        if t.ndim == 1:
            return Predictive(self._sorted_curves(t, deviation, used if deviation.shape[1] > 1 else None), noise)

        def on_grid(grid: np.ndarray, rows: np.ndarray) -> tuple[Tensor]:
            some = None if used is None else used[:, rows]
            if deviation.shape[1] > 1:
                return (self._sorted_curves(grid, deviation[:, rows], some),)
            return (self._sorted_curves(grid, deviation, None if some is None else some.any(1, keepdim=True)),)

        return Predictive(by_grid(t, on_grid)[0], noise)

    def _sorted_curves(self, t: np.ndarray, deviation: Tensor, used: Tensor | None) -> Tensor:
        """Compute curves of drawn specimens, sorted point by point, (cluster, specimen, point, draw).

        Args:
            t: Grid (point,).
            deviation: From the cluster's unbounded parameters, (cluster, specimen, draw, P).
            used: See :meth:`marginal`.
        """
        away = deviation.cpu().numpy()
        clusters, specimens, count = away.shape[:3]
        points = t.shape[-1] // len(self.expert.inputs)
        out = np.zeros((clusters, specimens, points, count))  # what is never written takes no memory
        fixed, centre = self.bounds.at_bound(self.theta), self.bounds.to_unbounded(self.theta)
        for c in range(clusters):
            rows = np.arange(specimens) if used is None else np.flatnonzero(used[c].cpu().numpy())
            if not len(rows):
                continue
            theta = np.where(fixed[c], self.theta[c], self.bounds.from_unbounded(centre[c] + away[c, rows]))
            value, _ = self.expert.value_and_jacobian(t, theta)
            ordered = np.sort(value.swapaxes(-1, -2) / self.scale, axis=-1)
            out[c, rows] = np.where(np.isnan(ordered), np.inf, ordered)
        return torch.as_tensor(out, device=deviation.device)


def scores(decoder: PhysicsDecoder, conditioned: CurvePosterior, spread: Tensor) -> tuple[Tensor, Tensor]:
    r"""Information :math:`J^\top\Sigma^{-1}J` and score :math:`J^\top\Sigma^{-1}r` of each curve about a cluster's phi.

    Args:
        decoder: The noise variance is taken from it.
        conditioned: Curves and deviations under the decoder; only ``normal`` and ``projected`` are used.
        spread: Covariance of the specimens' deviations, shape (cluster, specimen or 1, P, P).

    Returns:
        Shapes (cluster, specimen or 1, P, P) and (cluster, specimen, P).
    """
    variance = decoder.variance[:, None, None]
    identity = torch.eye(spread.shape[-1], dtype=torch.float64, device=spread.device)
    shrink = identity + conditioned.normal @ spread / variance[..., None]
    information = torch.linalg.solve(shrink, conditioned.normal) / variance[..., None]
    full = shrink.expand(-1, conditioned.projected.shape[1], -1, -1)
    score = torch.linalg.solve(full, conditioned.projected[..., None]).squeeze(-1) / variance
    return 0.5 * (information + information.mT), score
