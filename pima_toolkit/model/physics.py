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

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..experts import Box, Expert, own_lines
from .curves import Curves, by_grid
from .gaussian import LOG_2PI

#: Specimens that stand for a population when its mean curve has no closed form.
_POPULATION = 256


@dataclass(frozen=True)
class Conditioned:
    """What curves say under each cluster.

    Args:
        log_prob: log p(X given c), shape (specimen, cluster), nats; 0 for specimens without the modality.
        deviation: b, each specimen's own unbounded parameters minus the cluster's, shape (cluster, specimen, P).
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
class PhysicsDecoder:
    """p(X given c) of one physics modality.

    Args:
        expert: The physics model.
        box: Bounds of its parameters.
        scale: Residuals are divided by this, in the modality's unit.
        theta: Fitted parameters, shape (cluster, P), physical units, numpy float64.
        scatter: S_c in the unbounded parameters, shape (cluster, P, P), float64; zero for ``scatter="none"``.
        variance: v_c, shape (cluster,), float64, in units of scale squared.
    """

    expert: Expert
    box: Box
    scale: float
    theta: np.ndarray
    scatter: Tensor
    variance: Tensor
    _last: tuple[Curves, Tensor] | None = field(default=None, init=False, repr=False, compare=False)

    def predict(self, t: np.ndarray) -> tuple[Tensor, Tensor]:
        """Curves and their slopes in the unbounded parameters, both divided by ``scale``.

        A parameter at its bound leaves the unbounded parameters: its slope is zero.

        Returns:
            E of shape (cluster, 1, point) and J of shape (cluster, 1, point, P); own grids put the specimen where
            the 1 is.
        """
        value, jacobian = self.expert.value_and_jacobian(t, self.theta)
        slope = np.where(self.box.at_bound(self.theta), 0.0, self.box.slope(self.theta))
        if t.ndim == 1:
            value, jacobian = value[:, None], jacobian[:, None]
        jacobian = jacobian * slope[:, None, None, :]
        device = self.scatter.device
        return (
            torch.as_tensor(value / self.scale, device=device),
            torch.as_tensor(jacobian / self.scale, device=device),
        )

    def condition(self, curves: Curves) -> Conditioned:
        """Likelihood of curves under each cluster and each specimen's own deviation, in closed form."""
        points, squared, projected, normal = self._reduce(curves)
        variance = self.variance[:, None]
        identity = torch.eye(self.scatter.shape[-1], dtype=torch.float64, device=self.scatter.device)
        scatter = self.scatter[:, None]
        growth = identity + scatter @ normal / variance[..., None, None]
        covariance = torch.linalg.solve(growth, scatter.expand_as(growth))
        covariance = 0.5 * (covariance + covariance.mT)
        deviation = (covariance @ projected[..., None]).squeeze(-1) / variance[..., None]
        quadratic = (squared - (projected * deviation).sum(-1)) / variance
        log_prob = -0.5 * (quadratic + points * (LOG_2PI + variance.log()) + torch.linalg.slogdet(growth)[1])
        log_prob = torch.where(curves.present[:, None], log_prob.T, 0.0)
        return Conditioned(log_prob, deviation, covariance, normal, projected, squared)

    @property
    def one_line(self) -> bool:
        """Whether one linearisation serves all specimens: the expert is linear in phi, or nothing scatters."""
        free = not (np.isfinite(self.box.lower) | np.isfinite(self.box.upper)).any()
        return (free and len(self.expert.linear) == len(self.expert.parameters)) or not bool(self.scatter.any())

    def own_curves(self, t: np.ndarray, deviation: Tensor) -> tuple[Tensor, Tensor]:
        """Curves of specimens that deviate from each cluster, and their slopes in the unbounded parameters.

        Args:
            t: Shared grid (point,), or one per specimen.
            deviation: From the cluster's unbounded parameters, shape (cluster, specimen, P).

        Returns:
            E (cluster, specimen, point) and J (cluster, specimen, point, P), in units of ``scale``.
        """
        if t.ndim == 2:
            return by_grid(t, lambda grid, rows: self.own_curves(grid, deviation[:, rows]))
        fixed = self.box.at_bound(self.theta)[:, None]
        theta = self.box.from_unbounded(self.box.to_unbounded(self.theta)[:, None] + deviation.cpu().numpy())
        theta = np.where(fixed, self.theta[:, None], theta)
        value, jacobian = self.expert.value_and_jacobian(t, theta)
        jacobian = jacobian * np.where(fixed, 0.0, self.box.slope(theta))[:, :, None, :]
        device = deviation.device
        return (
            torch.as_tensor(value / self.scale, device=device),
            torch.as_tensor(jacobian / self.scale, device=device),
        )

    def _own_lines(self, curves: Curves) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As :meth:`_reduce`, each specimen linearised at its own most probable parameters (experts/scatter.py)."""
        values, vectors = torch.linalg.eigh(self.scatter.cpu())
        root = vectors * values.clamp_min(0.0).sqrt()[:, None, :]
        x = curves.x.cpu().numpy() * self.scale
        mask = np.ones_like(x) if curves.observed is None else curves.observed.cpu().numpy().astype(np.float64)
        precision = 1.0 / (self.variance.cpu().numpy() * self.scale**2)
        t = np.atleast_2d(curves.t)
        sums = own_lines(self.expert, self.box, t, x, mask, self.theta, root.numpy(), precision)
        device = curves.x.device
        squared, projected, normal = (torch.as_tensor(s / self.scale**2, device=device) for s in sums)
        return torch.as_tensor(mask.sum(1), device=device), squared, projected, normal

    def _reduce(self, curves: Curves) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Observed points (specimen,), ||r||^2, J^T r and J^T J: all that the likelihood needs of the residuals."""
        x = curves.x
        if not self.one_line:
            return self._own_lines(curves)
        value, jacobian = self.predict(curves.t)
        if curves.own_grids:
            mask = torch.ones_like(x) if curves.observed is None else curves.observed.to(x.dtype)
            residual = (x - value) * mask
            return (
                mask.sum(1),
                residual.square().sum(-1),
                torch.einsum("cntp,cnt->cnp", jacobian, residual),
                torch.einsum("nt,cntp,cntq->cnpq", mask, jacobian, jacobian),
            )
        # On a shared grid the residuals are never formed: matrix products of x (0 where not observed) and of the mask.
        # The difference of large sums is safe in float64 down to the floor of the noise variance.
        value, jacobian = value.squeeze(1), jacobian.squeeze(1)
        mask = torch.ones_like(x[:1]) if curves.observed is None else curves.observed.to(x.dtype)
        squared = x.square().sum(1) - 2.0 * value @ x.T + value.square() @ mask.T
        projected = x @ jacobian - mask @ (value[..., None] * jacobian)
        normal = torch.einsum("nt,ctp,ctq->cnpq", mask, jacobian, jacobian)
        return mask.sum(1).expand(len(curves)), squared.clamp_min(0.0), projected, normal

    def log_prob(self, curves: Curves) -> Tensor:
        """log p(X given c), shape (specimen, cluster), nats, float64; memory bounded.

        The last answer is kept: an EM iteration asks for the same one up to three times.
        """
        if self._last is None or self._last[0] is not curves:
            value = torch.cat([self.condition(piece).log_prob for _, piece in curves.chunks()])
            object.__setattr__(self, "_last", (curves, value))
        return self._last[1]

    def marginal(self, t: np.ndarray) -> tuple[Tensor, Tensor]:
        """Mean and pointwise variance of a new specimen's curve, each (cluster, 1, point), in units of ``scale``.

        Grids of their own, (specimen, point), put the specimen where the 1 is.

        Where the expert is not linear the population is averaged over, by the same quasi-random specimens every time:
        the mean of many curves with kinks is not the curve of the mean kink.
        """
        if self.one_line:
            value, jacobian = self.predict(t)
            spread = torch.einsum("cntp,cpq,cntq->cnt", jacobian, self.scatter, jacobian)
            return value, spread + self.variance[:, None, None]
        if t.ndim == 2:
            return by_grid(t, lambda grid, _: self.marginal(grid))
        sobol = torch.quasirandom.SobolEngine(self.theta.shape[1], scramble=True, seed=0)
        normal = torch.special.ndtri(sobol.draw(_POPULATION, dtype=torch.float64).clamp(1e-9, 1 - 1e-9))
        values, vectors = torch.linalg.eigh(self.scatter)
        root = vectors * values.clamp_min(0.0).sqrt()[:, None, :]
        curves, _ = self.own_curves(t, normal.to(root.device) @ root.mT)
        # Log-normal tails carry the variance but few specimens: the width is that of the middle 90 %.
        ordered = curves.sort(1).values
        low, high = (ordered[:, round(p * (_POPULATION - 1)), None] for p in (0.05, 0.95))
        std = (high - low) / (2.0 * 1.6448536269514722)
        return curves.mean(1, keepdim=True), std.square() + self.variance[:, None, None]
