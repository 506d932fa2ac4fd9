r"""Sufficient statistics of curves under soft clusters: all that eq. 17 needs to know of the data.

.. math::
    \sum_d \gamma_{dc} \sum_n m_{dn} (x_{dn} - E_n)^2 = \sum_n W_{cn} (\bar x_{cn} - E_n)^2 + K_c, \qquad
    W_{cn} = \sum_d \gamma_{dc} m_{dn}, \quad \bar x_{cn} = \sum_d \gamma_{dc} m_{dn} x_{dn} / W_{cn}

exactly, so the fit of a cluster is one of T points whatever the number of specimens. Everything is additive over
batches and processes and kept in float64; :math:`K_c`, a small difference of large sums, is accumulated by the
pairwise update of Chan, Golub & LeVeque 1983, which does not cancel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import ShapeError

#: Specimens added at once.
_BLOCK = 2048


class CurveStatistics:
    """Weight, mean and constant of C clusters on a shared grid of T points.

    Args:
        clusters: Number of clusters C.
        points: Number of points T.
        device: Where the sums live.
    """

    def __init__(self, clusters: int, points: int, device: torch.device | str = "cpu") -> None:
        #: Sum of responsibilities per point, shape (C, T), dimensionless.
        self.weight = torch.zeros(clusters, points, dtype=torch.float64, device=device)
        #: Mean curve, shape (C, T), in the unit of the curves; 0 where the weight is 0.
        self.mean = torch.zeros_like(self.weight)
        self._scatter = torch.zeros(clusters, dtype=torch.float64, device=device)

    @property
    def constant(self) -> Tensor:
        """The part of the sum of squares no expert can change, shape (C,), in the squared unit of the curves."""
        return self._scatter

    def update(self, x: Tensor, responsibilities: Tensor, observed: Tensor | None = None) -> CurveStatistics:
        """Add a batch of n specimens.

        Args:
            x: Curves, shape (n, T); unobserved values may be anything, NaN included.
            responsibilities: Shape (n, C), not negative; 0 for specimens without the curve.
            observed: Which points were measured, shape (n, T), bool, or how much each counts, not negative, such as the
                inverse of its known noise variance; all by default.

        Returns:
            This object.

        Raises:
            ShapeError: If the shapes differ from those of the statistics.
        """
        C, T = self.weight.shape
        n = x.shape[0]
        if x.shape != (n, T) or responsibilities.shape != (n, C) or (observed is not None and observed.shape != (n, T)):
            raise ShapeError(
                f"statistics of {C} clusters and {T} points need x (n, {T}) and responsibilities (n, {C}), got"
                f" {tuple(x.shape)} and"
                f" {tuple(responsibilities.shape)}"
                + ("" if observed is None else f", observed {tuple(observed.shape)}")
            )
        x = x.detach().to(self.weight)
        gamma = responsibilities.detach().to(self.weight)
        batch = CurveStatistics(C, T, self.weight.device)
        if n == 0:
            return self
        # One common shift per point keeps the sums of squares small without a pass per cluster. In blocks that stay in
        # the processor's cache, the curves are read once, and that costs no more than the matrix product itself.
        mask = None if observed is None else observed.to(self.weight)
        few = slice(0, _BLOCK // 32)
        if mask is None:
            shift = x[few].mean(0)
        else:
            shift = torch.where(mask[few] > 0, x[few], 0.0).sum(0) / (mask[few] > 0).sum(0).clamp(min=1)
        first, second = torch.zeros_like(batch.weight), torch.zeros_like(batch._scatter)
        for rows in (slice(i, i + _BLOCK) for i in range(0, n, _BLOCK)):
            centred, own = x[rows] - shift, gamma[rows].T
            if mask is None:
                first.addmm_(own, centred)
                second.addmv_(own, torch.linalg.vector_norm(centred, dim=1).square_())
                continue
            centred = torch.where(mask[rows] > 0, centred, 0.0)
            weighted = mask[rows] * centred
            first.addmm_(own, weighted)
            second.addmv_(own, (weighted * centred).sum(1))
            batch.weight.addmm_(own, mask[rows])
        if mask is None:
            batch.weight = gamma.sum(0)[:, None].expand(C, T).clone()
        used = batch.weight > 0
        divisor = torch.where(used, batch.weight, torch.ones_like(batch.weight))
        batch.mean = torch.where(used, shift + first / divisor, torch.zeros_like(first))
        batch._scatter = (second - (first.square() / divisor).sum(1)).clamp(min=0)
        return self.merge(batch)

    def merge(self, other: CurveStatistics) -> CurveStatistics:
        """Add the statistics of other specimens.

        Args:
            other: Statistics of the same clusters and points.

        Returns:
            This object.

        Raises:
            ShapeError: If the shapes differ.
        """
        if other.weight.shape != self.weight.shape:
            raise ShapeError(
                f"cannot merge statistics of shapes {tuple(self.weight.shape)} and {tuple(other.weight.shape)}"
            )
        total = self.weight + other.weight
        share = torch.where(
            total > 0, other.weight / torch.where(total > 0, total, torch.ones_like(total)), torch.zeros_like(total)
        )
        difference = other.mean - self.mean
        self._scatter = self._scatter + other._scatter + (difference.square() * self.weight * share).sum(1)
        self.mean = self.mean + difference * share
        self.weight = total
        return self
