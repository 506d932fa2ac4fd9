r"""Deviations of specimens drawn from a Gaussian, the same ones every time.

.. math:: b_k = m + V^{1/2} u_k, \qquad u_{k + K/2} = -u_k

with u from scrambled Sobol points through the normal quantile function. Points come in pairs about the centre, so the
median of anything linear in b is its value at m, exactly. The root is the symmetric one: it moves as little as V does,
where eigenvectors or their signs may jump, so that a rounding in V does not deal other draws.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor


@functools.cache
def standard_draws(count: int, size: int) -> Tensor:
    """Standard normal numbers that fill the space evenly, shape (count, size), float64.

    Args:
        count: An even number; powers of two fill best.
        size: Dimensions.
    """
    sobol = torch.quasirandom.SobolEngine(size, scramble=True, seed=0)
    half = torch.special.ndtri(sobol.draw(count // 2, dtype=torch.float64).clamp(1e-9, 1 - 1e-9))
    return torch.cat([half, -half])


def symmetric_root(covariance: Tensor) -> Tensor:
    """The matrix R with R R^T = V that is symmetric in the units of the standard deviations.

    Args:
        covariance: V, shape (..., P, P), float64, positive semidefinite; what is constant has zeros.

    Returns:
        The same shape.
    """
    std = covariance.diagonal(dim1=-2, dim2=-1).clamp_min(0.0).sqrt()
    # Correlations: parameters of very different sizes would lose the digits of the smaller ones.
    unit = torch.where(std > 0, std, 1.0)
    values, vectors = torch.linalg.eigh(covariance / (unit[..., :, None] * unit[..., None, :]))
    root = (vectors * values.clamp_min(0.0).sqrt()[..., None, :]) @ vectors.mT
    return std[..., :, None] * root


def drawn(centre: Tensor, covariance: Tensor, count: int) -> Tensor:
    """Draw from N(centre, covariance), shape (..., count, P).

    Args:
        centre: Shape (..., P), float64.
        covariance: Shape (..., P, P).
        count: Draws of each, an even number.
    """
    normal = standard_draws(count, centre.shape[-1]).to(centre.device)
    return centre[..., None, :] + normal @ symmetric_root(covariance).mT
