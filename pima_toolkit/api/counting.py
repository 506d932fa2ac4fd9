"""The number of populations by what curves with known physics say: the table, the reasons, the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..data import read, specimen_labels
from ..drawing import colour_of, new_figure
from ..errors import DataError
from ..fitting.evidence.number import count_populations
from ..fitting.inputs.spec import wanted
from ..fitting.options import ModelOptions, TrainingSettings
from ..fitting.prepared import prepare
from ..fitting.starts.number import DECISIVE, PopulationNumber
from ..report.plots.canvas import signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def counted(options: ModelOptions, data: xr.Dataset, numbers: Sequence[int], seed: int) -> PopulationNumber:
    """Compare numbers of populations of a dataset; nothing but its curves with known physics is read.

    Args:
        options: The model; its own number does not count.
        data: As for a fit.
        numbers: To compare.
        seed: Of the search.
    """
    physics = replace(options, modalities=options.physics, clusters=1) if options.physics else options
    measurements = read(data, wanted(physics.modalities))
    there = np.any([one.present for one in measurements.values()], axis=0)
    measurements = {name: one.take(np.flatnonzero(there)) for name, one in measurements.items()}
    device = TrainingSettings().torch_device()
    if max(numbers) > there.sum():
        raise DataError(
            f"{there.sum()} specimens cannot fill {max(numbers)} clusters: ask for fewer clusters, or measure more"
        )
    prepared = prepare(measurements, specimen_labels(data)[there], physics, device)
    return count_populations(prepared, numbers, seed)


def table_of(found: PopulationNumber, data: xr.Dataset) -> xr.Dataset:
    """Table along ``clusters``, see :class:`~.selection.Selection`."""
    mixtures = found.mixtures
    nats, icl = {"units": "nat"}, np.array([one.icl for one in mixtures])
    labels = specimen_labels(data)[found.specimens]
    return xr.Dataset(
        {
            "icl": ("clusters", icl, {"long_name": "integrated completed likelihood", "units": "1"}),
            "above_best": ("clusters", icl - icl.min(), {"long_name": "ICL above the best", "units": "1"}),
            "bic": ("clusters", [one.bic for one in mixtures], {"units": "1"}),
            "log_likelihood": ("clusters", [one.log_likelihood for one in mixtures], nats),
            "parameters": ("clusters", [one.parameters for one in mixtures], {"long_name": "effective parameters"}),
            "shared_scatter": ("clusters", [one.shared for one in mixtures]),
            "smallest": ("clusters", [min(one.weights) for one in mixtures], {"units": "specimens"}),
            "strangers": ("clusters", [int((one.assigned < 0).sum()) for one in mixtures], {"units": "specimens"}),
            "assigned": (("clusters", "specimen"), np.stack([one.assigned for one in mixtures])),
        },
        coords={"clusters": [one.clusters for one in mixtures], "specimen": labels},
        attrs={"best": found.clusters, "possible": list(found.possible)}
        | {k: data.attrs[k] for k in ("title", "synthetic") if k in data.attrs},
    )


def reasons_of(found: PopulationNumber, specimens: int) -> list[str]:
    """Why that number, in sentences."""
    icl = {one.clusters: one.icl for one in found.mixtures}
    best = found.clusters
    out = [f"The curves are described best by {populations(best)} (lowest ICL)."]
    others = [number for number in found.possible if number != best]
    if others:
        named = " and ".join(
            f"{populations(number)} (ICL higher by {icl[number] - icl[best]:.1f})" for number in others
        )
        out.append(
            f"Not decided: {named} would do as well, less than {DECISIVE:g} tells nothing: measure more specimens, or"
            " look at both."
        )
    for number, side in ((best - 1, "fewer"), (best + 1, "more")):
        if number in icl and number not in others:
            out.append(f"With one {side} ICL is higher by {icl[number] - icl[best]:.0f}.")
    mixture = next(one for one in found.mixtures if one.clusters == best)
    if strangers := int((mixture.assigned < 0).sum()):
        out.append(f"{strangers} specimens belong to none of them.")
    if best == max(icl) and len(icl) > 1:
        out.append(f"It is the largest number tried: try more, clusters=range(1, {best + 5}).")
    if len(found.specimens) < specimens:
        out.append(
            f"{len(found.specimens)} of {specimens} specimens were looked at, drawn at random or those with curves."
        )
    return out


def populations(number: int) -> str:
    """The number in words."""
    return "1 population" if number == 1 else f"{number} populations"


def plot_number(table: xr.Dataset, clusters: int) -> Figure:
    """Draw the criterion and the smallest population against the number; shaded: not told from the best."""
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    numbers, above = table["clusters"].values, table["above_best"].values
    left.axhspan(0.0, DECISIVE, color="0.9", zorder=0, label=f"not told apart (less than {DECISIVE:g})")
    left.plot(numbers, above, color=colour_of(0), marker="o")
    left.set(xlabel="populations", ylabel="ICL above the best (1)")
    left.set_yscale("symlog", linthresh=10.0)
    left.set_ylim(bottom=-0.5)
    right.plot(numbers, table["smallest"].values, color=colour_of(0), marker="o")
    right.set(xlabel="populations", ylabel="smallest population (specimens)")
    right.set_ylim(bottom=0.0)
    for axis in (left, right):
        axis.axvline(clusters, color="0.6", linestyle="--", linewidth=1, zorder=0, label="best")
        axis.set_xticks(numbers)
    left.legend(fontsize=8, frameon=False)
    return signed(figure, table)
