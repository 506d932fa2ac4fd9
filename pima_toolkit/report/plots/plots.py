"""Figures of what was measured and what a fit says of it: latent space, curves, pictures, confusion, history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...data import count, population_names
from ...drawing import GREY, colour_of, marker_of, new_figure
from ...errors import DataError, require
from ...metrics.scores import cluster_accuracy, confusion, match_clusters
from .canvas import axis_label, field_of_view, independent_of, leave_out, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Behind a population's name, so that it reads on top of specimens.
_BOX = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.8, "edgecolor": "none"}
#: Letters of a specimen's name under its picture.
_NAME = 14


def plot_latent(answer: xr.Dataset, clusters: xr.Dataset, colour: str | None = None) -> Figure:
    """Draw specimens in latent space, with an ellipse of two standard deviations around every population.

    Args:
        answer: Result of ``fit.infer``: ``posterior_mean`` (specimen, latent) and ``cluster`` (specimen).
        clusters: ``fit.clusters``: ``mean`` and ``variance`` (cluster, latent).
        colour: Name of a coordinate or variable along specimen to colour by; the population if None.

    Returns:
        One panel for two latent dimensions, three for the pairs of three; of more, the three in which the cluster
        means differ most. A single latent dimension is drawn against the population.

    Raises:
        DataError: If there is no such coordinate.
    """
    position = answer["posterior_mean"].transpose("specimen", "latent").values
    mean = clusters["mean"].transpose("cluster", "latent").values
    std = np.sqrt(clusters["variance"].transpose("cluster", "latent").values)
    shown = np.sort(np.argsort(-mean.var(0), kind="stable")[:3])
    pairs = [(int(a), int(b)) for i, a in enumerate(shown) for b in shown[i + 1 :]] or [(0, None)]
    names = population_names(clusters)
    values, unit = _specimen_values(answer, colour)

    figure = new_figure(4.2 * len(pairs) + 1.2, 4.2)
    axes = figure.subplots(1, len(pairs), squeeze=False)[0]
    ellipse = require("matplotlib.patches", "plots").Ellipse
    mappable: Any = None
    for axis, (first, second) in zip(axes, pairs, strict=True):
        y = answer["cluster"].values if second is None else position[:, second]
        mappable = _scatter(axis, position[:, first], y, values, names if colour is None else None)
        for cluster in range(len(mean)):
            if second is None:
                centre, height = (mean[cluster, first], cluster), 0.4
            else:
                centre, height = (mean[cluster, first], mean[cluster, second]), 4 * std[cluster, second]
            edge = colour_of(cluster) if colour is None else "0.2"
            axis.add_patch(ellipse(centre, 4 * std[cluster, first], height, fill=False, edgecolor=edge, linewidth=1.6))
            short = names[cluster].removeprefix("population ")
            axis.annotate(short, centre, ha="center", va="center", weight="bold", bbox=_BOX)
        axis.set(xlabel=f"latent dimension {first}", ylabel="" if second is None else f"latent dimension {second}")
        if second is None:
            axis.set_yticks(range(len(mean)), names)
    if values.dtype.kind == "f":
        figure.colorbar(mappable, ax=list(axes), label=unit)
    else:
        axes[-1].legend(title=colour, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle("Ellipses: two standard deviations of a population")
    return signed(figure, answer, clusters)


def plot_curves(data: xr.Dataset, clusters: xr.Dataset, modality: str, assigned: ArrayLike | None = None) -> Figure:
    """Draw the specimens' curves under the law's curve and band of their population, one panel a population.

    Args:
        data: Measured or inferred curves, ``modality`` (specimen, t), shared grid or ragged; NaN is left out.
        clusters: ``fit.clusters``: ``modality``, and its ``_low`` and ``_high``, (cluster, t).
        modality: Name of the curve.
        assigned: Cluster of each specimen, shape (specimen,); ``data["cluster"]`` if None. Without either, all
            specimens are drawn in one panel.

    Raises:
        DataError: If the modality is not in the data or the clusters, or is not a curve.
    """
    curves = _variable(data, modality)
    if curves.ndim != 2:
        raise DataError(f"{modality!r} has dims {curves.dims}; a curve has (specimen, t): use plot_images for pictures")
    curves = curves.transpose("specimen", ...)
    expert = _variable(clusters, modality).transpose("cluster", ...)
    t = independent_of(data, curves)
    axis_t = clusters[expert.dims[1]] if expert.dims[1] in clusters.coords else None
    grid = np.arange(expert.shape[1]) if axis_t is None else axis_t.values
    if assigned is None and "cluster" in data and data["cluster"].dims == ("specimen",):
        assigned = data["cluster"].values
    number, called = expert.sizes["cluster"], population_names(clusters)
    panels = 1 if assigned is None else number

    columns = min(panels, 4 if panels % 4 == 0 or panels > 6 else 3, 5)
    rows = -(-panels // columns)
    figure = new_figure(max(3.1 * columns, 5.0), max(2.6 * rows, 3.6))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    leave_out(axes, panels, columns)
    for panel, axis in enumerate(axes[:panels]):
        members = np.arange(len(t)) if assigned is None else np.flatnonzero(np.asarray(assigned) == panel)
        _bundle(axis, t[members], curves.values[members])
        for cluster in range(number) if assigned is None else [panel]:
            names = (called[cluster], "") if assigned is None else ("population's curve", "90 % band")
            _band(axis, grid, clusters, modality, cluster, names)
        title = called[panel] + (f": {count(len(members), 'specimen')}" if len(t) else "")
        axis.set_title("all specimens" if assigned is None else title, fontsize=10)
        axis.autoscale_view()
    axes[0].legend(fontsize=8, frameon=False)
    name = str(curves.attrs.get("independent", expert.dims[1]))
    figure.supxlabel(axis_label(data.coords.get(name, axis_t), "t" if axis_t is None else name))
    figure.supylabel(axis_label(curves, modality))
    return signed(figure, data, clusters)


def plot_prediction(
    truth: xr.Dataset, answer: xr.Dataset, modality: str, maximum: int = 8, picture: str | None = None
) -> Figure:
    """Draw curves predicted from other modalities, with their band, beside the measured ones, one panel a specimen.

    Args:
        truth: Measured curves, ``modality`` (specimen, t).
        answer: As ``fit.infer`` of the same specimens: ``modality``, and its ``_low`` and ``_high``, (specimen, t).
        modality: Name of the curve.
        maximum: Number of specimens shown, the first ones.
        picture: Name of a picture (specimen, y, x) of ``truth`` that is shown above each one's curve.

    Raises:
        DataError: If a modality is unknown, or the two hold different numbers of specimens.
    """
    measured = _variable(truth, modality).transpose("specimen", ...)
    predicted = _variable(answer, modality).transpose("specimen", ...)
    if measured.sizes["specimen"] != predicted.sizes["specimen"]:
        raise DataError(
            f"{measured.sizes['specimen']} measured and {predicted.sizes['specimen']} predicted curves: "
            "infer the specimens that were measured"
        )
    number = min(maximum, measured.sizes["specimen"])
    columns = min(number, 4)
    rows = -(-number // columns)
    each = 1 if picture is None else 2
    figure = new_figure(max(2.8 * columns, 4.0), max(2.4 * rows * each, 3.2))
    grid_of_axes = figure.subplots(rows * each, columns, squeeze=False)
    axes, above = grid_of_axes[each - 1 :: each].ravel(), grid_of_axes[::each].ravel()
    for axis in axes:
        axis.sharex(axes[0])
        axis.sharey(axes[0])
        axis.label_outer()
    t, grid = independent_of(truth, measured), independent_of(answer, predicted)
    low, high = (_variable(answer, f"{modality}_{edge}").transpose("specimen", ...).values for edge in ("low", "high"))
    for part in (axes, above):
        leave_out(part, number, columns)
    for index, axis in enumerate(axes[:number]):
        axis.fill_between(
            grid[index], low[index], high[index], color=colour_of(0), alpha=0.22, linewidth=0, label="band"
        )
        axis.plot(grid[index], predicted.values[index], color=colour_of(0), linewidth=2, label="predicted")
        axis.plot(t[index], measured.values[index], color="black", linewidth=1, linestyle="--", label="measured")
        if picture is not None:
            above[index].imshow(_variable(truth, picture).isel(specimen=index), cmap="gray")
            above[index].set(xticks=[], yticks=[])
        if "label" in truth.coords:
            above[index].set_title(str(truth["label"].values[index]), fontsize=10)
    axes[0].legend(fontsize=8, frameon=False)
    name = str(measured.attrs.get("independent", measured.dims[1]))
    figure.supxlabel(axis_label(truth[name] if name in truth.coords else None, name))
    figure.supylabel(axis_label(measured, modality))
    return signed(figure, truth, answer)


def plot_images(dataset: xr.Dataset, modality: str, maximum: int = 32) -> Figure:
    """Show pictures side by side on one grey scale: measured, inferred, generated, or along the latent axes.

    Args:
        dataset: ``modality`` (specimen, y, x), as ``fit.generate`` or the data themselves, or (latent, step, y, x) as
            ``fit.traverse``; a dim ``channel`` of size 3 is colour, of size 1 grey.
        modality: Name of the image.
        maximum: Number of specimens shown, the first ones.

    Raises:
        DataError: If the modality is unknown or is not an image.
    """
    images = _variable(dataset, modality)
    if "channel" in images.dims:
        images = images.transpose(..., "channel")
        images = images.isel(channel=0) if images.sizes["channel"] == 1 else images
    colour = "channel" in images.dims
    if images.ndim - colour not in (3, 4) or (colour and images.sizes["channel"] != 3):
        raise DataError(
            f"{modality!r} has dims {images.dims}; an image has (specimen, y, x) or (latent, step, y, x), "
            "and 1 or 3 channels: use plot_curves for curves"
        )
    table = images.ndim - colour == 4
    values = images.values.astype(np.float64) if table else images.values[:maximum].astype(np.float64)
    rows, columns = values.shape[:2] if table else (-(-len(values) // 8), min(len(values), 8))
    low, high = np.nanmin(values), np.nanmax(values)
    values = (values - low) / (high - low) if high > low else np.zeros_like(values)
    names = [] if table else _shown_populations(dataset)

    figure = new_figure(max(1.15 * columns + 0.4, 4.0), (1.3 if len(names) else 1.15) * rows + 0.9)
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.ravel()):
        axis.set(xticks=[], yticks=[])
        axis.set_visible(table or index < len(values))
        if not axis.get_visible():
            continue
        picture = values[divmod(index, columns)] if table else values[index]
        axis.imshow(picture, cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
        _caption(axis, picture, None if table else dataset, index)
        if len(names) and (index % columns == 0 or names[index] != names[index - 1]):
            axis.set_title(names[index], fontsize=8)
        if table and index % columns == 0:
            axis.set_ylabel(f"{images.dims[0]} dimension {index // columns}", fontsize=8)
        if table and index >= columns * (rows - 1) and images.dims[1] in dataset.coords:
            axis.set_xlabel(f"{float(dataset[images.dims[1]][index % columns]):.3g}", fontsize=8)
    figure.supxlabel(field_of_view(images, colour, table), fontsize=9)
    figure.suptitle(str(images.attrs.get("long_name", modality)))
    return signed(figure, dataset)


def _shown_populations(dataset: xr.Dataset) -> list[str]:
    """The name of each specimen's population; nothing where it is not known."""
    for given in ("belongs_to", "population"):
        if given in dataset and dataset[given].dims == ("specimen",):
            return dataset[given].values.astype(str).tolist()
    known = "cluster" in dataset and dataset["cluster"].dims == ("specimen",)
    return [f"population {c}" for c in dataset["cluster"].values] if known else []


def _caption(axis: Axes, picture: NDArray[np.float64], dataset: xr.Dataset | None, index: int) -> None:
    """Write a specimen's name under its picture; where there is no picture, say so instead of leaving it blank.

    Args:
        axis: The picture's axes.
        picture: Its values, NaN where it was not taken.
        dataset: Holds the specimen's name, if it has one and not only a number; None to write no name.
        index: Number of the specimen.
    """
    labels = np.arange(0) if dataset is None or "specimen" not in dataset.coords else dataset["specimen"].values
    if labels.dtype.kind in "UO":
        name = str(labels[index])
        short = name if len(name) <= _NAME else f"{name[: _NAME // 2]}…{name[1 - _NAME // 2 :]}"
        axis.set_xlabel(short, fontsize=7, labelpad=2)
    if np.isnan(picture).all():
        place = {"transform": axis.transAxes, "ha": "center", "va": "center"}
        axis.text(0.5, 0.5, "not\nmeasured", fontsize=7, color="0.4", **place)


def plot_confusion(labels: ArrayLike, clusters: ArrayLike) -> Figure:
    """Draw how many specimens of each label are in each population, in the order of the labels they stand for.

    Args:
        labels: Shape (specimen,).
        clusters: Shape (specimen,).

    Raises:
        ShapeError: If the two differ in length.
    """
    table = confusion(labels, clusters)
    names = {label: row for row, label in enumerate(table["label"].values.tolist())}
    match = match_clusters(labels, clusters)
    order = sorted(table["cluster"].values.tolist(), key=lambda c: names[match[c]] if c in match else len(names))
    table = table.sel(cluster=order)
    share = table / table.sum("cluster")

    figure = new_figure(2.4 + 0.55 * table.sizes["cluster"], 1.9 + 0.4 * table.sizes["label"])
    axis = figure.subplots()
    image = axis.imshow(share.values, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), number in np.ndenumerate(table.values):
        ink = "white" if share.values[row, column] > 0.5 else "black"
        axis.text(column, row, str(number), ha="center", va="center", color=ink if number else GREY, fontsize=9)
    axis.set_xticks(range(len(order)), [str(name) for name in order])
    axis.set_yticks(range(len(names)), [str(name) for name in names])
    axis.set(xlabel="population", ylabel="label")
    axis.set_title(
        f"accuracy {100 * cluster_accuracy(labels, clusters):.2f} %, {int(table.sum())} specimens", fontsize=10
    )
    figure.colorbar(image, ax=axis, label="share of the label")
    return figure


def plot_history(history: xr.Dataset) -> Figure:
    """Draw how the training went: the ELBO, its terms, the occupancy of the populations, the learning rate.

    Args:
        history: ``fit.history``: along epoch, ``elbo``, ``terms`` (epoch, term), ``occupancy`` (epoch, cluster), and
            ``learning_rate``; what is absent leaves its panel out.

    Raises:
        DataError: If there is none of them.
    """
    shown = [name for name in ("elbo", "terms", "occupancy", "learning_rate") if name in history]
    if not shown:
        raise DataError(f"no history to draw; expected elbo, terms, occupancy or learning_rate, got {list(history)}")
    epoch = history["epoch"].values if "epoch" in history.coords else np.arange(1, history.sizes["epoch"] + 1)
    columns = min(len(shown), 2)
    figure = new_figure(5.2 * columns, 3.4 * -(-len(shown) // columns))
    axes = figure.subplots(-(-len(shown) // columns), columns, squeeze=False).ravel()
    for axis, name in zip(axes, shown, strict=False):
        values = history[name].transpose("epoch", ...)
        if values.ndim == 1:
            axis.plot(epoch, values.values, color=colour_of(0), marker=".")
        else:
            other = values.dims[1]
            keys = values[other].values if other in values.coords else np.arange(values.shape[1])
            for column, key in enumerate(keys):
                style = {
                    "color": colour_of(column),
                    "marker": marker_of(column),
                    "markersize": 3,
                }
                axis.plot(epoch, values.values[:, column], label=str(key), **style)
            title = "population" if other == "cluster" else str(other)
            axis.legend(title=title, fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        if name == "occupancy":
            axis.set_ylim(0.0, 1.08 * float(np.nanmax(values.values)))
        if name == "terms":  # a picture has thousands of pixels and a cluster one: both must be seen
            axis.set_yscale("symlog", linthresh=1.0)
        axis.set_xlabel("epoch")
        axis.set_ylabel(axis_label(values, name.replace("_", " ")), fontsize=9)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    return signed(figure, history)


def _variable(dataset: xr.Dataset, name: str) -> xr.DataArray:
    if name not in dataset:
        raise DataError(f"there is no {name!r} here; there are {sorted(map(str, dataset.data_vars))}")
    return dataset[name]


def _specimen_values(answer: xr.Dataset, colour: str | None) -> tuple[NDArray, str]:
    """Return the values to colour by, and their label; numbers with a fraction make a colour bar, others groups."""
    variable = _variable(answer, colour or "cluster")  # the number of the population
    if variable.dims != ("specimen",):
        raise DataError(f"cannot colour by {colour!r} with dims {variable.dims}; expected ('specimen',)")
    return variable.values, axis_label(variable, str(colour or "cluster"))


def _scatter(axis: Axes, x: NDArray, y: NDArray, values: NDArray, names: list[str] | None = None) -> Any:
    """Draw groups in colours and markers, or numbers in shades; the last artist is returned for a colour bar.

    Args:
        axis: Where to.
        x: Shape (specimen,).
        y: Shape (specimen,).
        values: What to colour by, shape (specimen,).
        names: Of the groups where they are populations, numbered from 0.
    """
    if values.dtype.kind == "f":
        return axis.scatter(x, y, c=values, cmap="cividis", s=12, alpha=0.8, linewidths=0)
    artist = None
    groups = np.unique(values)
    for index, group in enumerate(groups):
        here = values == group
        # a cluster keeps its own colour even where clusters before it are empty
        number = int(group) if values.dtype.kind in "iu" and group >= 0 else index
        colour, marker = colour_of(number), marker_of(number)
        label = str(group) if names is None else names[number] if group >= 0 else "of no population"
        artist = axis.scatter(x[here], y[here], s=12, alpha=0.6, linewidths=0, color=colour, marker=marker, label=label)
    return artist


def _bundle(axis: Axes, t: NDArray, curves: NDArray, maximum: int = 200) -> None:
    """Draw thin lines of up to ``maximum`` specimens, evenly chosen."""
    if not len(t):
        return
    chosen = np.unique(np.linspace(0, len(t) - 1, maximum).astype(int)) if len(t) > maximum else np.arange(len(t))
    segments = [np.column_stack([t[i], curves[i]])[~np.isnan(curves[i])] for i in chosen]
    lines = require("matplotlib.collections", "plots").LineCollection
    drawn = f"specimens ({len(chosen)} of {len(t)} drawn)" if len(chosen) < len(t) else "specimens"
    axis.add_collection(lines(segments, colors=GREY, linewidths=0.7, alpha=0.6, label=drawn))


def _band(axis: Axes, t: NDArray, clusters: xr.Dataset, modality: str, cluster: int, names: tuple[str, str]) -> None:
    """Draw the law's curve and band of one population; ``names`` are theirs in the legend."""
    colour = colour_of(cluster)
    low, high = f"{modality}_low", f"{modality}_high"
    if low in clusters and high in clusters:
        edges = [clusters[name].transpose("cluster", ...).values[cluster] for name in (low, high)]
        axis.fill_between(t, *edges, alpha=0.22, linewidth=0, label=names[1], color=colour)
    curve = clusters[modality].transpose("cluster", ...).values[cluster]
    axis.plot(t, curve, linewidth=2, label=names[0], color=colour)
