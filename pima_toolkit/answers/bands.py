r"""Quantiles of a mixture of Gaussians, point by point along a curve.

.. math:: F(x) = \sum_c \gamma_c\, \Phi\!\left(\frac{x - \mathrm{mean}_c}{\mathrm{std}_c}\right)

The mixture's moments are eqs. (13) and (14) of Trask et al. 2022. Erratum: eq. (14) prints variance - E^2 for variance
+ E^2.
"""

from __future__ import annotations

import torch
from torch import Tensor


def mixture_moments(weights: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of a mixture.

    Args:
        weights: Shape (specimen, cluster), rows sum to one.
        mean: Shape (cluster, specimen or 1, point).
        variance: The same shape.

    Returns:
        Both of shape (specimen, point).
    """
    w = weights.T[..., None]
    centre = (w * mean).sum(0)
    return centre, (w * (variance + mean.square())).sum(0) - centre.square()


def mixture_quantile(weights: Tensor, mean: Tensor, variance: Tensor, probability: Tensor | float) -> Tensor:
    """Quantile of a mixture of Gaussians, shape (specimen, point), by bisection to float64's last digits.

    Args:
        weights: Shape (specimen, cluster).
        mean: Shape (cluster, specimen or 1, point).
        variance: The same shape.
        probability: Between 0 and 1; one number, or one for each specimen, shape (specimen,).
    """
    probability = torch.as_tensor(probability, dtype=mean.dtype, device=mean.device).expand(len(weights))[:, None]
    std = variance.sqrt()
    w = weights.T[..., None]
    # Every component's own quantile brackets the mixture's; components without weight do not count.
    reach = torch.special.ndtri(probability)
    own = (mean + reach * std).expand(-1, weights.shape[0], -1)
    used = (w > 1e-12).expand_as(own)
    low = own.where(used, torch.inf).amin(0)
    high = own.where(used, -torch.inf).amax(0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        below = (w * torch.special.ndtr((middle - mean) / std)).sum(0) < probability
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)


def mixture_probability(weights: Tensor, mean: Tensor, variance: Tensor, x: Tensor) -> Tensor:
    """Distribution function of a mixture of Gaussians at x, shape (specimen, point); arguments as above."""
    return (weights.T[..., None] * torch.special.ndtr((x - mean) / variance.sqrt())).sum(0)
