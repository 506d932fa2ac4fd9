"""What stands under a picture, and in the place of one that was not taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Letters of a specimen's name under its picture.
_NAME = 14


def caption(axis: Axes, picture: NDArray[np.float64], dataset: xr.Dataset | None, index: int) -> None:
    """Write a specimen's name under its picture; where there is no picture, say so instead of leaving it blank.

    Args:
        axis: Of the picture.
        picture: Its values, NaN where it was not taken.
        dataset: Where the specimen's name stands, if it has one and not only a number; None for no name.
        index: Which specimen.
    """
    labels = np.arange(0) if dataset is None or "specimen" not in dataset.coords else dataset["specimen"].values
    if labels.dtype.kind in "UO":
        name = str(labels[index])
        short = name if len(name) <= _NAME else f"{name[: _NAME // 2]}…{name[1 - _NAME // 2 :]}"
        axis.set_xlabel(short, fontsize=7, labelpad=2)
    if np.isnan(picture).all():
        place = {"transform": axis.transAxes, "ha": "center", "va": "center"}
        axis.text(0.5, 0.5, "not\nmeasured", fontsize=7, color="0.4", **place)
