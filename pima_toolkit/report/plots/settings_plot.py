"""The figure of process settings and populations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...data import population_names
from ...drawing import GREY, colour_of, marker_of, new_figure
from ...errors import DataError
from ...metrics.association import setting_table, weighted_quantiles
from .canvas import axis_label, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Categories drawn; the rarest of more are one bar, "other".
_BARS = 10


def plot_settings(specimens: xr.Dataset, associations: xr.Dataset, maximum: int = 6) -> Figure:
    """Draw how each setting is spread over the populations, one panel a setting, the largest effect first.

    A number: the specimens of every population, with median and quartiles. A category, or a number of few values: the
    share of every population among the specimens that had it.

    Args:
        specimens: ``responsibilities`` (specimen, cluster), and the settings along ``specimen``.
        associations: Result of ``fit.associations()``.
        maximum: Number of panels at most.

    Raises:
        DataError: If there are no settings to draw.
    """
    names = [str(name) for name in associations["setting"].values[:maximum]]
    if not names:
        raise DataError("there are no settings to draw: the specimens have no coordinates that vary among them")
    table = setting_table(specimens, names)
    gamma = specimens["responsibilities"].transpose("specimen", "cluster").values
    called = population_names(specimens)
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = new_figure(3.9 * columns, 3.0 * rows)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        values = table[name]
        one = associations.sel(setting=name)
        if one["kind"].item() == "number":
            _strips(axis, gamma, values.astype(np.float64), called)
            axis.set(xlabel=axis_label(specimens[name], name))
        else:
            _bars(axis, gamma, values, called)
            axis.set(ylabel=axis_label(specimens[name], name), xlabel="share of each population")
        p = float(one["p_value"])
        smallest = 1.0 / (1 + int(associations.attrs["permutations"]))
        shown = f"p ≤ {smallest:.2g}" if p <= 1.01 * smallest else f"p = {p:.2g}"
        axis.set_title(f"populations explain {100 * float(one['effect']):.0f} %, {shown}", fontsize=10)
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    return signed(figure, specimens)


def _missing(values: NDArray) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.array([str(v).strip() == "" for v in values.tolist()])


def _strips(axis: Axes, gamma: NDArray, values: NDArray, names: list[str]) -> None:
    """Draw a dot for each specimen at its most probable population; median and quartiles by the responsibilities."""
    known = np.isfinite(values)
    gamma, values = gamma[known], values[known]
    # Golden-ratio steps: dots side by side without random numbers.
    offset = 0.5 * ((np.arange(len(values)) * 0.618034) % 1.0 - 0.5)
    best = gamma.argmax(1)
    for cluster, weight in enumerate(gamma.T):
        here = best == cluster
        colour, marker = colour_of(cluster), marker_of(cluster)
        axis.scatter(values[here], cluster + offset[here], s=9, alpha=0.5, linewidths=0, color=colour, marker=marker)
        if weight.sum() >= 0.5:
            low, middle, high = weighted_quantiles(values, weight, (0.25, 0.5, 0.75))
            axis.plot([low, high], [cluster, cluster], color="black", linewidth=1.5)
            axis.plot([middle], [cluster], color="black", marker="|", markersize=14, markeredgewidth=2)
    axis.set_yticks(range(gamma.shape[1]), names)
    axis.set_ylim(gamma.shape[1] - 0.5, -0.5)


def _bars(axis: Axes, gamma: NDArray, values: NDArray, names: list[str]) -> None:
    """Draw a bar for each value, divided among the populations."""
    known = ~_missing(values)
    gamma, values = gamma[known], values[known]
    kinds, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    common = np.sort(np.argsort(-counts, kind="stable")[: _BARS if len(kinds) <= _BARS else _BARS - 1])
    groups = [(f"{kinds[k]:g}" if values.dtype.kind == "f" else str(kinds[k]), inverse == k) for k in common]
    if len(common) < len(kinds):
        groups.append(("other", ~np.isin(inverse, common)))
    for row, (_, here) in enumerate(groups):
        share = gamma[here].mean(0)
        left = np.concatenate([[0.0], np.cumsum(share)[:-1]])
        colours = [colour_of(cluster) for cluster in range(len(share))]
        axis.barh(np.full(len(share), row), share, left=left, color=colours, edgecolor="white", linewidth=0.6)
        for cluster, name in enumerate(names):
            short = name.removeprefix("population ")
            if share[cluster] < 0.08 + 0.04 * len(short):  # no room for it
                continue
            ink = "black" if cluster % 8 in (3, 4, 5, 7) else "white"
            middle = left[cluster] + share[cluster] / 2
            axis.text(middle, row, short, ha="center", va="center", color=ink, fontsize=8)
    axis.set_yticks(range(len(groups)), [f"{name[:18]} ({int(here.sum())})" for name, here in groups], fontsize=8)
    axis.set_xlim(0.0, 1.0)
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right"]].set_color(GREY)
