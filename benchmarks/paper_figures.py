"""Figures 3 to 6 of the paper, redrawn from the fits of seed 0, and the figure of missing measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper_cases import PLURAL, SHARES, load

import pima_toolkit as pima

plots = pima.plots


class Drawn(NamedTuple):
    """A figure: file name without ending, and what it shows."""

    name: str
    words: str
    figure: Figure


def in_order(fit: pima.Fit) -> list[int]:
    """Clusters by the slope of their line: digit 0 first where all is well."""
    return np.argsort(fit.clusters.line.isel(t=-1).values).tolist()


def clusters_in_order(fit: pima.Fit) -> xr.Dataset:
    """``fit.clusters``, numbered in the order of their lines' slopes."""
    return fit.clusters.isel(cluster=in_order(fit)).assign_coords(cluster=np.arange(fit.clusters.sizes["cluster"]))


def answer_in_order(fit: pima.Fit, data: xr.Dataset) -> xr.Dataset:
    """``fit.infer`` with clusters numbered likewise."""
    answer, rank = fit.infer(data, predict=()), np.argsort(in_order(fit))
    return answer.assign(cluster=("specimen", rank[answer.cluster.values]))


def latent_maps(fits: Mapping[int, pima.Fit], data_set: str) -> Iterator[Drawn]:
    """Figure 3: the test specimens in latent spaces of 1 to 4 dimensions, clean."""
    _, test = load(data_set, "clean", 0)
    shown = test.isel(specimen=slice(0, 2000))
    for latent, fit in sorted(fits.items()):
        figure = plots.plot_latent(answer_in_order(fit, shown), clusters_in_order(fit))
        yield Drawn(f"figure-3-latent-{latent}", f"Figure 3: clean, latent size {latent}; test specimens", figure)


def centres(fit: pima.Fit, words: str, name: str) -> Drawn:
    """Figure 4, left: the clusters in the two latent dimensions that spread them most, a picture at each centre."""
    clusters = clusters_in_order(fit)
    mean, std = clusters["mean"].values, np.sqrt(clusters["variance"].values)
    first, second = np.sort(np.argsort(-mean.var(0))[:2]) if mean.shape[1] > 1 else (0, 0)
    figure = Figure(figsize=(7.5, 6.4), layout="constrained")
    axis = figure.subplots()
    room = 0.15 * np.ptp(mean, axis=0) + 0.25 * std.mean(0)
    low, high = mean.min(0) - room, mean.max(0) + room
    axis.set_xlim(low[first], high[first])
    axis.set_ylim(low[second], high[second])
    axis.plot(mean[:, first], mean[:, second], color="0.6", linewidth=1.0, zorder=1)
    pictures = clusters.image.values
    for c in range(len(mean)):
        inset = axis.inset_axes(
            [mean[c, first] - 0.04 * (high - low)[first], mean[c, second] - 0.048 * (high - low)[second],
             0.08 * (high - low)[first], 0.096 * (high - low)[second]],
            transform=axis.transData,
        )  # fmt: skip
        inset.imshow(pictures[c], cmap="gray", vmin=0.0, vmax=1.0)
        inset.set(xticks=[], yticks=[])
        inset.set_title(str(c), fontsize=8, pad=1.5)
    axis.set(xlabel=f"latent {first}", ylabel=f"latent {second}")
    axis.set_title("Pictures at the centres, joined in the order of the lines' slopes", fontsize=10)
    return Drawn(name, words, figure)


def experts(fit: pima.Fit, test: xr.Dataset, words: str, name: str) -> Drawn:
    """Figure 4, centre: every cluster's line, its 90 % band and test lines of the cluster."""
    shown = test.isel(specimen=slice(0, 400))
    assigned = answer_in_order(fit, shown).cluster
    return Drawn(name, words, plots.plot_curves(shown, clusters_in_order(fit), "line", assigned))


def along(fit: pima.Fit, words: str, name: str) -> Drawn:
    """Figure 4, right: pictures along the first latent axis in which clusters differ most, centre -3 to +3 std."""
    axis = int(np.argmax(fit.clusters["mean"].values.var(0)))
    path = in_order(fit)
    steps = [fit.traverse(c, std=3.0, steps=7).image.isel(latent=axis) for c in path]
    table = xr.concat(steps, "cluster").transpose("cluster", "step", "y", "x")
    figure = Figure(figsize=(7.0, 9.6), layout="constrained")
    axes = figure.subplots(len(path), table.sizes["step"])
    for (row, column), place in np.ndenumerate(axes):
        place.imshow(table.values[row, column], cmap="gray", vmin=0.0, vmax=1.0)
        place.set(xticks=[], yticks=[])
        if column == 0:
            place.set_ylabel(f"cluster {row}", fontsize=8)
        if row == len(path) - 1:
            place.set_xlabel(f"{table.step.values[column]:+.0f} std", fontsize=8)
    figure.suptitle(f"Along latent {axis}, clusters in the order of their lines' slopes", fontsize=10)
    return Drawn(name, words, figure)


def confusions(fit: pima.Fit, test: xr.Dataset, noise: str) -> Iterator[Drawn]:
    """Figure 5: from both modalities, from the picture, from the line."""
    for said, part in (("both", ["image", "line"]), ("the picture", ["image"]), ("the line", ["line"])):
        found = answer_in_order(fit, test[part]).cluster
        figure = plots.plot_confusion(test.label.values, found.values)
        slug = f"figure-5-{noise.replace(' ', '-')}-{said.split()[-1]}"
        yield Drawn(slug, f"Figure 5: {noise} lines, inference from {said}", figure)


def lattice(fit: pima.Fit) -> Iterator[Drawn]:
    """Figure 6: test specimens in latent space, curves with their experts, pictures at the two centres."""
    _, test = pima.split(pima.datasets.lattice(seed=0), test=0.2, seed=0)
    answer, clusters = fit.infer(test, predict=()).assign_attrs(synthetic=True), fit.clusters
    yield Drawn("figure-6-latent", "Figure 6: lattice, test specimens", plots.plot_latent(answer, clusters))
    curves = plots.plot_curves(test, clusters, "stress", answer.cluster)
    yield Drawn("figure-6-curves", "Figure 6: measured curves of the test specimens, each cluster's expert", curves)
    pictures = clusters[["image"]].rename(cluster="specimen").assign_attrs(synthetic=True)
    pictures["image"].attrs["long_name"] = "clusters 0 and 1"
    figure = plots.plot_images(pictures, "image")
    yield Drawn("figure-6-pictures", "Figure 6: pictures at the centres of the clusters", figure)


def missing(rows: Sequence[dict], data_set: str) -> Iterator[Drawn]:
    """Accuracy and error of predicted curves against the share of training specimens without a modality."""
    kinds = {
        "lines": (data_set, "", ("image", "line"), "variance 0.5"),
        "lattice": ("lattice", "lattice ", ("image", "stress"), "lattice"),
    }
    for kind, (words, prefix, modalities, whole) in kinds.items():
        figure = Figure(figsize=(9.6, 4.2), layout="constrained")
        axes = figure.subplots(1, 2)
        drawn = False
        for style, modality in zip(("-", "--"), modalities, strict=True):
            found = {0: [r for r in rows if r["case"] == whole]}
            for share in SHARES[1:]:
                found[share] = [r for r in rows if r["case"] == f"{prefix}without {share} % of {PLURAL[modality]}"]
            found = {share: runs for share, runs in found.items() if runs}
            if len(found) > 1:
                drawn = True
                _lines(axes, found, style, modality)
        axes[0].set(xlabel="training specimens without it, %", ylabel="accuracy on test specimens, %")
        unit = "MPa" if kind == "lattice" else "units of the digit"
        axes[1].set(xlabel="training specimens without it, %", ylabel=f"RMSE of curves, {unit}")
        axes[1].set_title("curves predicted from pictures", fontsize=10)
        axes[1].set_ylim(bottom=0.0)
        if drawn:
            figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
        figure.suptitle(f"{words}; grey: the error of the mean curve", fontsize=10)
        if drawn:
            yield Drawn(f"missing-{kind}", f"{words}: training with modalities missing", figure)


def _lines(axes: Sequence[Axes], found: Mapping[int, list[dict]], style: str, modality: str) -> None:
    mean = lambda key: [np.mean([r[key] for r in runs]) for runs in found.values()]  # noqa: E731
    for key, colour in (("both", "#0072B2"), ("image", "#D55E00"), ("line", "#009E73")):
        told = {"both": "from both", "image": "from the picture", "line": "from the curve"}[key]
        axes[0].plot(
            list(found), mean(key), style, marker="o", color=colour, label=f"{told}, without {PLURAL[modality]}"
        )
    axes[1].plot(list(found), mean("curve_rmse"), style, marker="o", color="#D55E00")
    axes[1].axhline(np.mean(mean("curve_rmse_mean")), color="0.6", linewidth=1.0)


def all_figures(fits: Mapping[str, pima.Fit], rows: Sequence[dict], data_set: str) -> Iterator[Drawn]:
    """What can be drawn from the fits there are, by the name of the case.

    Args:
        fits: Of seed 0, by case.
        rows: All results of this data set.
        data_set: ``"digits"`` or ``"mnist"``.
    """
    by_latent = {int(name[-1]): fit for name, fit in fits.items() if name.startswith("latent ")}
    if "clean" in fits:
        by_latent[3] = fits["clean"]
    yield from latent_maps(by_latent, data_set)
    for noise in ("clean", "variance 0.5"):
        if noise not in fits:
            continue
        fit, slug = fits[noise], noise.replace(" ", "-")
        _, test = load(data_set, noise, 0)
        yield centres(fit, f"Figure 4: {noise} lines, pictures at the centres of the clusters", f"figure-4-{slug}-map")
        yield experts(fit, test, f"Figure 4: {noise} lines, experts", f"figure-4-{slug}-lines")
        yield along(fit, f"Figure 4: {noise} lines, pictures along a latent axis", f"figure-4-{slug}-along")
        yield from confusions(fit, test, noise)
    if "lattice" in fits:
        yield from lattice(fits["lattice"])
    yield from missing(rows, data_set)
