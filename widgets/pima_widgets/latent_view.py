"""The latent map of a fit: which two dimensions are shown, where specimens and populations lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets as ipw
import numpy as np
from numpy.typing import NDArray

from .canvas import LatentMap

if TYPE_CHECKING:
    import xarray as xr

    from pima_toolkit import Fit


class LatentView:
    """A map and the two boxes that choose its axes; the panels put them where they like.

    Args:
        fit: Whose populations are drawn as ellipses of two standard deviations.
        answer: What the fit says of the specimens, ``fit.infer(data)``.
        names: What to call the specimens.
        height: Of the map, in CSS pixels.
    """

    def __init__(self, fit: Fit, answer: xr.Dataset, names: list[str], *, height: int = 420) -> None:
        self.names = names
        self.position: NDArray[np.float64] = answer["posterior_mean"].transpose("specimen", "latent").values
        clusters = fit.clusters
        self.mean: NDArray[np.float64] = clusters["mean"].values
        self._std = np.sqrt(clusters["variance"].values)
        latent = self.position.shape[1]
        axes = [(f"latent {k}", k) for k in range(latent)]
        self.x_axis = ipw.Dropdown(options=axes, value=0, description="across")
        self.y_axis = ipw.Dropdown(options=axes, value=min(1, latent - 1), description="up")
        for box in (self.x_axis, self.y_axis):
            box.layout.width = "200px"
            box.layout.display = "flex" if latent > 1 else "none"
            box.observe(lambda _: self.place(), "value")
        self.map = LatentMap(height=height)
        self.place()

    @property
    def shown(self) -> list[int]:
        """The two dimensions shown."""
        return [self.x_axis.value, self.y_axis.value]

    def place(self) -> None:
        """Put specimens and populations on the map."""
        across, up = self.shown
        with self.map.hold_sync():
            self.map.place(self.position[:, [across, up]], self.names, labels=(f"latent {across}", f"latent {up}"))
            self.map.ellipses = [
                {
                    "x": float(self.mean[c, across]),
                    "y": float(self.mean[c, up]),
                    "cluster": c,
                    "label": str(c),
                    "x_std": float(self._std[c, across]),
                    "y_std": float(self._std[c, up]),
                }
                for c in range(len(self.mean))
            ]
