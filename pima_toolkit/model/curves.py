"""Measured curves as the physics decoder takes them: one grid for all, or one for each specimen; with gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Curves:
    """Measured curves of one physics modality, divided by the residual scale.

    Args:
        x: Shape (specimen, point), float64, dimensionless; 0 where not observed.
        t: Physical independent variable, numpy float64: (point,) shared, or (specimen, point) own grids.
        observed: Shape (specimen, point), bool, or None where every point is.
        present: Shape (specimen,), bool.
    """

    x: Tensor
    t: np.ndarray
    observed: Tensor | None
    present: Tensor

    @property
    def own_grids(self) -> bool:
        """Whether each specimen has its own t."""
        return self.t.ndim == 2

    def __len__(self) -> int:
        return self.x.shape[0]

    def __getitem__(self, index: slice) -> Curves:
        return Curves(
            self.x[index],
            self.t[index] if self.own_grids else self.t,
            None if self.observed is None else self.observed[index],
            self.present[index],
        )

    def at(self, index: Tensor) -> Curves:
        """The specimens of ``index``, on the device of the curves."""
        return Curves(
            self.x[index],
            self.t[index.cpu().numpy()] if self.own_grids else self.t,
            None if self.observed is None else self.observed[index],
            self.present[index],
        )

    def chunks(self, size: int = 4096) -> list[tuple[slice, Curves]]:
        """Consecutive pieces, so that memory stays bounded."""
        return [(slice(i, i + size), self[i : i + size]) for i in range(0, len(self), size)]
