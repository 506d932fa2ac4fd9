"""The cases of paper.py: what is trained, what is measured of it, and what the paper says of the same.

Trask, Martinez, Lee, Boyce 2022, arXiv:2202.03242, section 3. Labels score; they choose nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data.files import replacing

#: "N(0, 0.5)" is a variance in the paper's text and a std in its authors' code.
NOISE = {"clean": 0.01, "variance 0.5": 0.5, "std 0.5": 0.25}
#: Shares of the training specimens without one of their modalities.
SHARES = (0, 30, 60, 90)
PLURAL = {"image": "images", "line": "lines", "stress": "curves"}
#: What the paper says, in per cent: best, mean and std of accuracy where it gives them.
PAPER = {
    ("clean", "both"): "100.0 best, 96.74 ± 4.72",
    ("clean", "image"): "79.62 best",
    ("clean", "line"): "99.98 best",
    ("variance 0.5", "both"): "98.53 best, 93.15 ± 7.07",
    ("variance 0.5", "image"): "84.85 best",
    ("variance 0.5", "line"): "78.33 best",
    ("std 0.5", "both"): "98.53 best, 93.15 ± 7.07",
    ("std 0.5", "image"): "84.85 best",
    ("std 0.5", "line"): "78.33 best",
    ("lattice", "both"): "94.74",
    ("lattice", "image"): "94.74",
    ("lattice", "line"): "94.74",
    ("latent 1", "both"): "99.9",
    ("latent 2", "both"): "100.0",
    ("latent 3", "both"): "99.9",
    ("latent 4", "both"): "100.0",
    (
        "no physics",
        "image",
    ): "VaDE 94.46 claimed (71.6 ± 4.4 reproduced), GMVAE 82.31 ± 3.75, DEC 84.30, VAE + GMM 72.94",
}
TIME_OF_THE_PAPER = "10-14 h on a P100 / V100"


@dataclass(frozen=True)
class Case:
    """One row of a table.

    Args:
        name: What the row is called; with the data set it is what a result is kept under.
        group: ``"table"``, ``"latent"``, ``"ablation"``, ``"missing"``, ``"no physics"`` or ``"lattice"``.
        seeds: How many runs make the row.
        noise: Key of :data:`NOISE`.
        latent_dim: L.
        model: Options of ``pima.PIMA``.
        fit: Options of ``PIMA.fit``.
        line: Options of ``pima.Physics``.
        without: The modality that training specimens lack, and the share of them in per cent.
    """

    name: str
    group: str
    seeds: int
    noise: str = "clean"
    latent_dim: int = 3
    model: dict = field(default_factory=dict)
    fit: dict = field(default_factory=dict)
    line: dict = field(default_factory=dict)
    without: tuple[str, int] | None = None

    def data(self, data_set: str) -> str:
        """What it is measured on: the lattices are the same beside the digits and beside MNIST."""
        return "lattice" if self.name.startswith("lattice") else data_set


#: What each of our choices adds: the paper's own in the place of one, then in all places; the whole is "variance 0.5".
ABLATION: dict[str, dict[str, dict]] = {
    "random start": {"fit": {"start": "random"}},
    "latent responsibilities": {"model": {"responsibilities": "latent"}},
    "sampled responsibilities": {"model": {"responsibilities": "sampled"}},
    "no consistency": {"model": {"consistency": 0.0}},
    "theta by Adam": {"fit": {"update": "adam"}},
    "no scatter of specimens": {"line": {"scatter": "none"}},
    "unit variance of curves": {"line": {"scatter": "none", "noise": "unit"}},
    "one Gaussian (eq. 18)": {"model": {"crossmodal": "gaussian", "combine": "posterior"}},
    "modality dropout": {"model": {"crossmodal": "dropout", "combine": "posterior"}},
    "fused posterior": {"model": {"combine": "posterior"}},
    "all of the paper's": {
        "model": {
            "responsibilities": "latent",
            "consistency": 0.0,
            "crossmodal": "gaussian",
            "combine": "posterior",
        },
        "fit": {"start": "random", "update": "adam", "em": "epoch"},
        "line": {"scatter": "none", "noise": "unit"},
    },
}


#: What ``--quick`` runs, in its three minutes, of the groups with many rows; ``--seeds`` runs the others too.
QUICK = ("ablation: all of the paper's", "without 60 % of images", "without 60 % of lines")


def cases(quick: bool) -> Iterator[Case]:
    """All rows, those of Table 1 first."""

    def seeds(many: int, name: str = "") -> int:
        return many if not quick else 1 if not name or name in QUICK else 0

    for noise in NOISE:
        yield Case(noise, "table", seeds(10), noise)
    for latent in (1, 2, 4):
        yield Case(f"latent {latent}", "latent", seeds(10), latent_dim=latent)
    yield Case("no physics", "no physics", seeds(5))
    yield Case("lattice", "lattice", seeds(10))
    for choice, parts in ABLATION.items():
        name = f"ablation: {choice}"
        yield Case(name, "ablation", seeds(3, name), "variance 0.5", **parts)
    for modality in ("image", "line"):
        for share in SHARES[1:]:
            name = f"without {share} % of {PLURAL[modality]}"
            yield Case(name, "missing", seeds(3, name), "variance 0.5", without=(modality, share))
    for modality in ("image", "stress"):
        for share in SHARES[1:]:
            name = f"lattice without {share} % of {PLURAL[modality]}"
            yield Case(name, "missing", seeds(5, name), without=(modality, share))


def load(data_set: str, noise: str, seed: int) -> tuple[xr.Dataset, xr.Dataset]:
    """Train and test set of the digits or of MNIST; MNIST's own 10,000 test pictures."""
    if data_set == "digits":
        return pima.split(pima.datasets.digits(noise_variance=NOISE[noise], seed=seed), test=0.2, seed=seed)
    data = pima.datasets.mnist(noise_variance=NOISE[noise], seed=seed)
    return data.sel(specimen=data.split == "train"), data.sel(specimen=data.split == "test")


def without(train: xr.Dataset, modality: str, share: int, seed: int) -> xr.Dataset:
    """The same with a share of the specimens lacking a modality; which ones is drawn."""
    rng = np.random.default_rng([seed, share])
    gone = rng.permutation(train.sizes["specimen"]) < share / 100 * train.sizes["specimen"]
    kept = xr.DataArray(~gone, dims="specimen")
    return train.assign({modality: train[modality].astype(np.float32).where(kept)})


def accuracies(fit: pima.Fit, test: xr.Dataset, curve: str) -> dict[str, float]:
    """Per cent right from both modalities, from the picture, from the curve."""
    out = {}
    for name, part in (("both", ["image", curve]), ("image", ["image"]), ("line", [curve])):
        answer = fit.infer(test[part], predict=())
        out[name] = 100 * pima.metrics.cluster_accuracy(test.label.values, answer.cluster.values)
    return out


def by_centroid(fit: pima.Fit, test: xr.Dataset) -> float:
    """Eq. (20): the picture's cluster is the centroid most likely to have made it, noise variance 1; per cent right."""
    clusters = fit.clusters
    centres = clusters.image.values.reshape(clusters.sizes["cluster"], -1)
    pictures = test.image.values.reshape(test.sizes["specimen"], -1)
    squared = (pictures**2).sum(1)[:, None] - 2 * pictures @ centres.T + (centres**2).sum(1)
    found = (np.log(clusters.weight.values) - 0.5 * squared).argmax(1)
    return 100 * pima.metrics.cluster_accuracy(test.label.values, found)


def order(fit: pima.Fit, curve: str, shuffles: int = 1000) -> dict[str, float]:
    """Latent order, and what it is by chance: with the clusters' curves in random order (mean, 95 % quantile)."""
    clusters = fit.clusters
    rng = np.random.default_rng(0)
    chance = []
    for _ in range(shuffles):
        mixed = clusters[curve].isel(cluster=rng.permutation(clusters.sizes["cluster"]))
        chance.append(pima.metrics.latent_order(clusters.assign({curve: (mixed.dims, mixed.values)}), curve))
    return {
        "order": pima.metrics.latent_order(clusters, curve),
        "order_shuffled": float(np.mean(chance)),
        "order_shuffled_95": float(np.quantile(chance, 0.95)),
    }


def lines_case(case: Case, data_set: str, seed: int, keep: Path) -> tuple[pima.Fit, dict]:
    """Pictures and lines."""
    train, test = load(data_set, case.noise, seed)
    if case.without is not None:
        train = without(train, *case.without, seed)
    curve = pima.Physics("proportional", **case.line)
    options = {"clusters": 10, "latent_dim": case.latent_dim, "inference": "paper", **case.model}
    model = pima.PIMA({"image": pima.Neural(), "line": curve}, **options)
    fit, seconds = timed(model, train, seed, keep, case.fit)
    t = test.t.values
    truth = test.label.values[:, None] * t
    predicted = fit.infer(test[["image"]], predict="line").line.values
    slope = test.line.values @ t / (t @ t)
    out = {
        "seconds": seconds,
        **accuracies(fit, test, "line"),
        "centroid": by_centroid(fit, test),
        # The best any reader of the line can do: the nearest of the ten true slopes.
        "line_bayes": 100 * float((np.clip(np.rint(slope), 0, 9) == test.label.values).mean()),
        "curve_rmse": float(np.sqrt(((predicted - truth) ** 2).mean())),
        "curve_rmse_mean": float(np.sqrt(((train.line.mean("specimen").values - truth) ** 2).mean())),
        **order(fit, "line"),
    }
    return fit, out


def picture_case(case: Case, data_set: str, seed: int, keep: Path) -> tuple[pima.Fit, dict]:
    """Pictures alone."""
    train, test = load(data_set, case.noise, seed)
    model = pima.PIMA({"image": pima.Neural()}, clusters=10, latent_dim=case.latent_dim, **case.model)
    fit, seconds = timed(model, train[["image"]], seed, keep, case.fit)
    answer = fit.infer(test[["image"]], predict=())
    score = 100 * pima.metrics.cluster_accuracy(test.label.values, answer.cluster.values)
    return fit, {"seconds": seconds, "image": score}


def lattice_case(case: Case, seed: int, keep: Path) -> tuple[pima.Fit, dict]:
    """Generated lattices, 80/20 as in the paper."""
    train, test = pima.split(pima.datasets.lattice(seed=0), test=0.2, seed=seed)
    mean = train.stress.values.mean(0)
    if case.without is not None:
        train = without(train, *case.without, seed)
    modalities = {"image": pima.Neural(), "stress": pima.Physics("linear_hardening")}
    model = pima.PIMA(modalities, clusters=2, latent_dim=2, inference="paper")
    fit, seconds = timed(model, train, seed, keep, case.fit)
    predicted = fit.infer(test[["image"]], predict="stress").stress.values
    truth = test.stress.values
    return fit, {
        "seconds": seconds,
        **accuracies(fit, test, "stress"),
        "curve_rmse": float(np.sqrt(((predicted - truth) ** 2).mean())),
        "curve_rmse_mean": float(np.sqrt(((mean - truth) ** 2).mean())),
    }


def timed(model: pima.PIMA, train: xr.Dataset, seed: int, keep: Path, options: dict) -> tuple[pima.Fit, float]:
    """Fit with a checkpoint in ``keep``, where a killed run goes on; seconds, those before the kill included."""
    before = keep / "seconds"
    spent = float(before.read_text()) if before.exists() else 0.0
    keep.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()

    def remember(_: object) -> None:
        with replacing(before) as temporary:
            temporary.write_text(str(spent + time.perf_counter() - began))

    fit = model.fit(train, seed=seed, progress=False, checkpoint=keep, callbacks=[remember], **options)
    if fit.interrupted:
        raise KeyboardInterrupt  # half of a run is no result
    return fit, spent + time.perf_counter() - began


def run(case: Case, data_set: str, seed: int, keep: Path) -> tuple[pima.Fit, dict]:
    """Train and score one run of a case."""
    if case.data(data_set) == "lattice":
        return lattice_case(case, seed, keep)
    kind: Callable = picture_case if case.group == "no physics" else lines_case
    return kind(case, data_set, seed, keep)
