"""Measured curves as the physics decoder takes them: one grid for all, or one for each specimen; with gaps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Curves:
    """Measured curves of one physics modality, divided by the residual scale.

    Args:
        x: Shape (specimen, point), float64, dimensionless; 0 where not observed.
        t: Physical independent variable, numpy float64: (point,) shared, or (specimen, point) own grids. With
            covariates always own grids, packed (specimen, inputs * point), see experts/inputs.py.
        observed: Shape (specimen, point), bool, or None where every point of every present curve is.
        present: Shape (specimen,), bool: whether the specimen has a curve at all.
        covariates: Conditions of each specimen's test, numpy float64 (specimen, inputs - 1), in their own units; NaN if
            unknown, which only specimens without the curve may be. None: there are no covariates.
        terms: What is known of each specimen and moves its parameters, minus its reference, numpy float64 (specimen,
            k); NaN if unknown, which only specimens without the curve may be. None: nothing is.
        batch: Number of each specimen's batch, numpy (specimen,); -1 for one that no training specimen was of. None:
            there are no batches.
        weights: How precise each point is, shape (specimen, point), float64, positive: a noise variance v is v / weight
            there. Anything where nothing was measured. None: all are one.
    """

    x: Tensor
    t: np.ndarray
    observed: Tensor | None
    present: Tensor
    covariates: np.ndarray | None = None
    weights: Tensor | None = None
    terms: np.ndarray | None = None
    batch: np.ndarray | None = None

    @cached_property
    def seen(self) -> Tensor:
        """The points that were measured: observed, of a curve that is present; (specimen, point), bool.

        The one mask for sums over points: x is 0 elsewhere, which is no measurement.
        """
        here = self.present[:, None]
        return here.expand_as(self.x) if self.observed is None else here & self.observed

    @cached_property
    def counted(self) -> Tensor:
        """What every point counts in a sum of squares: its weight, 0 where it was not measured; (specimen, point)."""
        seen = self.seen.to(self.x.dtype)
        return seen if self.weights is None else torch.where(self.seen, self.weights, 0.0)

    @cached_property
    def log_weight(self) -> Tensor | float:
        """Sum of the logarithms of the weights of the measured points, (specimen,), or 0 where all are one."""
        return 0.0 if self.weights is None else torch.where(self.seen, self.weights, 1.0).log().sum(1)

    @property
    def complete(self) -> bool:
        """Whether all present curves have all points: on a shared grid one matrix J^T J then serves all specimens."""
        return self.observed is None

    @property
    def own_grids(self) -> bool:
        """Whether each specimen has its own t."""
        return self.t.ndim == 2

    @property
    def along(self) -> np.ndarray:
        """The independent variable of every point, without covariates, (point,) or (specimen, point)."""
        return self.t[..., : self.x.shape[1]]

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: slice) -> Curves:
        return self._taken(index, index)

    def at(self, index: Tensor) -> Curves:
        """Take the specimens of ``index``, on the device of the curves."""
        return self._taken(index, index.cpu().numpy())

    def _taken(self, index: slice | Tensor, rows: slice | np.ndarray) -> Curves:
        return Curves(
            self.x[index],
            self.t[rows] if self.own_grids else self.t,
            None if self.observed is None else self.observed[index],
            self.present[index],
            None if self.covariates is None else self.covariates[rows],
            None if self.weights is None else self.weights[index],
            None if self.terms is None else self.terms[rows],
            None if self.batch is None else self.batch[rows],
        )

    def chunks(self, size: int = 4096) -> list[tuple[slice, Curves]]:
        """Cut into consecutive pieces, so that memory stays bounded."""
        return [(slice(i, i + size), self[i : i + size]) for i in range(0, len(self), size)]


def by_grid(t: np.ndarray, curves: Callable[[np.ndarray, np.ndarray], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Compute curves of specimens with grids of their own, all specimens of one grid at once.

    Args:
        t: Shape (specimen, point), packed where there are covariates.
        curves: From a grid (point,) and the specimens that have it, tensors (cluster, those or 1, ...).

    Returns:
        The tensors for all specimens, (cluster, specimen, ...).
    """
    grids, which = np.unique(t, axis=0, return_inverse=True)
    groups = [np.flatnonzero(which.reshape(-1) == g) for g in range(len(grids))]
    order = torch.as_tensor(np.argsort(np.concatenate(groups)))
    by_group = [
        [part.expand(-1, len(rows), *part.shape[2:]) for part in curves(grid, rows)]
        for grid, rows in zip(grids, groups, strict=True)
    ]
    return tuple(torch.cat(parts, 1)[:, order.to(parts[0].device)] for parts in zip(*by_group, strict=True))
