r"""What is predicted of a curve: populations weighted by responsibilities, of each its curve and how specimens differ.

Where the law is linear in its parameters a population's curve is a Gaussian,

.. math:: F(x) = \sum_c \gamma_c\, \Phi\!\left(\frac{x - \mathrm{mean}_c}{\mathrm{std}_c}\right)

with moments as in eqs. (13) and (14) of Trask et al. 2022, arXiv:2202.03242 (erratum: eq. (14) prints variance - E^2
for variance + E^2). Else it is many curves, of parameters drawn from the population and sent through the law, each with
the noise. A population's curve is then the median of its draws, point by point: the mean of exponentials is that of
their largest. The prediction is the responsibilities' mean of the populations' medians, a band the quantiles of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .quantiles import NEGLIGIBLE, PHI, probabilities, quantiles


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
    """Distribution function of a mixture of Gaussians at x, shape (specimen, point); see :func:`mixture_quantile`."""
    return (weights.T[..., None] * torch.special.ndtr((x - mean) / variance.sqrt())).sum(0)


def needed(weights: Tensor) -> Tensor:
    """Tell which populations' draws count for which specimens.

    Args:
        weights: Responsibilities, (specimen, cluster).

    Returns:
        Shape (cluster, specimen), bool.
    """
    return weights.T > NEGLIGIBLE


@dataclass(frozen=True)
class Predictive:
    """Distribution of curves in each cluster, in units of the decoder's scale.

    Args:
        draws: Curves, sorted point by point, (cluster, specimen or 1, point, draw), float64. One draw: a Gaussian about
            it. A law that has no value for some draws counts them as infinite.
        variance: Of the noise about each draw, of a Gaussian all its variance; (cluster, specimen or 1, point).
    """

    draws: Tensor
    variance: Tensor

    @property
    def gaussian(self) -> bool:
        """Whether each cluster's distribution is a Gaussian, in closed form."""
        return self.draws.shape[-1] == 1

    @property
    def median(self) -> Tensor:
        """Each cluster's median curve, (cluster, specimen or 1, point)."""
        half = self.draws.shape[-1] // 2
        if self.gaussian:
            return self.draws[..., 0]
        return 0.5 * (self.draws[..., half - 1] + self.draws[..., half])

    def __getitem__(self, rows: slice) -> Predictive:
        """Take some specimens; what all share stays."""
        return Predictive(*(part if part.shape[1] == 1 else part[:, rows] for part in (self.draws, self.variance)))

    def centre(self, weights: Tensor) -> Tensor:
        """Mean of the clusters' medians, (specimen, point).

        Args:
            weights: Responsibilities, (specimen, cluster).
        """
        if self.gaussian:
            return mixture_moments(weights, self.median, self.variance)[0]
        w = torch.where(weights > NEGLIGIBLE, weights, 0.0).T[..., None]
        # A cluster that does not count has no draws, or some that are infinite.
        return torch.where(w > 0, w * self.median, 0.0).sum(0) / w.sum(0)

    def quantile(self, weights: Tensor, probability: Tensor | float) -> Tensor:
        """Quantile of the mixture, (specimen, point).

        Args:
            weights: Responsibilities, (specimen, cluster).
            probability: Between 0 and 1; one number, or one for each specimen, shape (specimen,).
        """
        if self.gaussian:
            return mixture_quantile(weights, self.median, self.variance, probability)
        each = torch.as_tensor(probability, dtype=torch.float64).cpu().expand(len(weights)).contiguous()
        out = np.empty((len(weights), self.draws.shape[2]))
        quantiles(*self._arrays(weights), each.numpy(), PHI, out)
        return torch.as_tensor(out, device=self.draws.device)

    def probability(self, weights: Tensor, x: Tensor) -> Tensor:
        """Distribution function of the mixture at x, (specimen, point).

        Args:
            weights: Responsibilities, (specimen, cluster).
            x: Shape (specimen, point).
        """
        if self.gaussian:
            return mixture_probability(weights, self.median, self.variance, x)
        out = np.empty(tuple(x.shape))
        probabilities(*self._arrays(weights), np.ascontiguousarray(x.cpu().numpy()), PHI, out)
        return torch.as_tensor(out, device=x.device)

    def _arrays(self, weights: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draws, standard deviations and weights as the loops take them."""

        def array(part: Tensor) -> np.ndarray:
            return np.ascontiguousarray(part.cpu().numpy())

        return array(self.draws), array(self.variance.sqrt()), array(weights.double())

    def at(self, grid: np.ndarray, t: np.ndarray) -> Predictive:
        """Interpolate linearly along the curve what all specimens share, point by point of the sorted draws.

        Args:
            grid: Where it is, (point,), increasing.
            t: Where it is wanted, (specimen or 1, point'); ends are held.
        """
        place = np.clip(np.searchsorted(grid, t, side="right") - 1, 0, len(grid) - 2)
        share = np.clip((t - grid[place]) / (grid[place + 1] - grid[place]), 0.0, 1.0)
        low = torch.as_tensor(place, device=self.draws.device)
        part = torch.as_tensor(share, device=self.draws.device)

        def between(values: Tensor, part: Tensor) -> Tensor:
            mixed = values[:, 0][:, low] * (1.0 - part) + values[:, 0][:, low + 1] * part
            return mixed.nan_to_num(torch.inf, torch.inf, -torch.inf)  # 0 times infinity

        return Predictive(between(self.draws, part[..., None]), between(self.variance, part))
