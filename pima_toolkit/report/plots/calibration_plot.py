"""The figure on whether probabilities and bands hold what they say: a reliability diagram, and coverage of bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ...drawing import GREY, colour_of, marker_of, new_figure
from ...errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_calibration(calibration: xr.Dataset) -> Figure:
    """Draw what was measured against what the fit had said; on the diagonal both are the same.

    Args:
        calibration: Result of ``fit.calibration``: ``accuracy`` and ``confidence`` (bin), or
            ``held`` (modality, coverage), or both.

    Raises:
        DataError: If there is neither.
    """
    panels = [name for name in ("accuracy", "held") if name in calibration and calibration[name].size]
    if not panels:
        raise DataError(f"nothing to draw; expected accuracy or held, got {sorted(map(str, calibration.data_vars))}")
    figure = new_figure(4.6 * len(panels), 4.4)
    for axis, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axis.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as said")
        (_probabilities if name == "accuracy" else _bands)(axis, calibration)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.legend(fontsize=8, frameon=False, loc="upper left")
    return figure


def _probabilities(axis: Axes, calibration: xr.Dataset) -> None:
    some = calibration["specimens"].values > 0
    count = calibration["specimens"].values[some]
    confidence, accuracy = (calibration[name].values[some] for name in ("confidence", "accuracy"))
    # The standard error that chance alone gives as many specimens.
    chance = np.sqrt(np.clip(confidence * (1.0 - confidence), 1e-4, None) / count)
    axis.errorbar(confidence, accuracy, chance, color=colour_of(0), marker="o", capsize=2, label="specimens")
    for x, y, n in zip(confidence, accuracy, count, strict=True):
        axis.annotate(str(n), (x, y), textcoords="offset points", xytext=(5, -10), fontsize=7, color="0.35")
    error = calibration.attrs.get("calibration_error")
    told = "" if error is None else f", calibration error {100 * float(error):.1f} %"
    axis.set_title(f"Probability of the population{told}", fontsize=10)
    axis.set(xlabel="probability said (1)", ylabel="share that was right (1)")


def _bands(axis: Axes, calibration: xr.Dataset) -> None:
    held = calibration["held"].transpose("modality", "coverage")
    for row, name in enumerate(held["modality"].values):
        style = {"color": colour_of(row), "marker": marker_of(row), "markersize": 3}
        axis.plot(held["coverage"].values, held.values[row], label=str(name), **style)
    axis.set_title("Bands of curves predicted from other modalities", fontsize=10)
    axis.set(xlabel="coverage said (1)", ylabel="share of measured points inside (1)")
