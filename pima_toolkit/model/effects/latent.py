r"""Parameters that vary with the latent inside a cluster: ``vary="latent"``.

.. math:: \phi = \phi_c + A_c (Z - \mathrm{origin}_c) + b, \qquad b \sim \mathcal N(0, S_c)

in the unbounded parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..gaussian import DiagonalGaussian


def by_cluster(latent: DiagonalGaussian) -> tuple[Tensor, Tensor]:
    """Mean and variance of Z, (specimen, cluster or 1, latent), float64: one for all clusters, or one for each."""
    mean, variance = latent.mean.double(), latent.variance.double()
    return (mean, variance) if mean.ndim == 3 else (mean[:, None], variance[:, None])


@dataclass(frozen=True)
class Trend:
    """Linear dependence of a cluster's unbounded parameters on the latent position.

    Args:
        slope: A_c, shape (cluster, P, latent), float64.
        origin: The Z at which the parameters are the cluster's own, shape (cluster, latent).
        reach: Variance of Z in the cluster, shape (cluster, latent).
    """

    slope: Tensor
    origin: Tensor
    reach: Tensor

    @staticmethod
    def start(scatter: Tensor, latent_dim: int) -> Trend:
        """Start along the leading directions of the specimens' scatter, one standard deviation to each unit of Z.

        Args:
            scatter: S_c, shape (cluster, P, P).
            latent_dim: L; latent dimensions beyond P start without a say.
        """
        values, vectors = torch.linalg.eigh(scatter)
        ranked = (vectors * values.clamp_min(0.0).sqrt()[:, None, :]).flip(-1)[..., :latent_dim]
        slope = ranked.new_zeros(*scatter.shape[:2], latent_dim)
        slope[..., : ranked.shape[-1]] = ranked
        zeros = slope.new_zeros(len(slope), latent_dim)
        return Trend(slope, zeros, torch.ones_like(zeros))

    @property
    def spread(self) -> Tensor:
        """Covariance that Z gives the parameters in each cluster, A diag(reach) A^T, shape (cluster, P, P)."""
        return (self.slope * self.reach[:, None]) @ self.slope.mT

    def deviation(self, latent: DiagonalGaussian) -> tuple[Tensor, Tensor]:
        """Compute mean (cluster, specimen, P) and covariance (cluster, specimen, P, P) of A_c (Z - origin_c).

        Args:
            latent: q(Z), shape (specimen, latent), or (specimen, cluster, latent).
        """
        mean, variance = by_cluster(latent)
        away = torch.einsum("cpl,ncl->cnp", self.slope, mean - self.origin)
        clusters = (len(variance), len(self.slope), variance.shape[-1])
        spread = torch.einsum("cpl,ncl,cql->cnpq", self.slope, variance.expand(clusters), self.slope)
        return away, spread
