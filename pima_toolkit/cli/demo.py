"""`pima demo`: a curve predicted from a photograph, then the paper's two experiments, on data that need no download.

Lattices (photograph and stress-strain curve, two populations) and digits (image and line, ten). Each is learned without
labels from 80 % of the specimens and judged by accuracy, eq. (21), on the other 20 %: from both modalities, from the
image alone, from the curve alone. The first figure is of the first specimens held out, as they come. Figures of the
paper are for other data of the same kind and stand for orientation.
Only public names are used: a user could have written this file.

Source: Trask et al. 2022, sections 3.1 and 3.2.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import xarray as xr

import pima_toolkit as pima

from ..errors import require

typer = require("typer", "the command line")
rich_console = require("rich.console", "the command line")
rich_table = require("rich.table", "the command line")


#: What to type after it.
NEXT = """
Next, a folder of your own, with curves, pictures or a table of settings, whatever program wrote them:

  pima data check FOLDER
  pima fit FOLDER --physics stress=linear_hardening --clusters auto

The first says how every file is read, or why it cannot be. The second, with your curve's name and its law, ends with a
report to read and print: FOLDER-run/report.html. `pima experts list` has the laws; a formula does as well, and where
nobody has a law, principal_curves. No folder at hand? This writes a messy one of synthetic specimens:

  python -c "import pima_toolkit; pima_toolkit.datasets.write_folder('lab')"
"""
#: Epochs of a quick run.
_QUICK = 10


@dataclass(frozen=True)
class Study:
    """One experiment: the data, the model, and what the paper reports.

    Attributes:
        name: Prefix of its figures.
        load: Loads the data, given a number of specimens.
        specimens: Their number, in full and in the quick run.
        curve: Name of the physics modality.
        expert: Its physics.
        clusters: Number of clusters.
        latent_dim: Number of latent dimensions.
        paper: The paper's accuracies in %, from both modalities, the image alone, the curve alone.
        remark: What is synthetic, and how far the paper's data are the same.
    """

    name: str
    load: Callable[[int], xr.Dataset]
    specimens: tuple[int, int]
    curve: str
    expert: str
    clusters: int
    latent_dim: int
    paper: tuple[str, str, str]
    remark: str


@dataclass(frozen=True)
class DemoResult:
    """What an experiment gave: accuracies in % on ``specimens`` held out, the figures' paths, seconds in all."""

    study: Study
    accuracies: tuple[float, float, float]
    specimens: int
    figures: tuple[Path, ...]
    seconds: float


def _lattice(specimens: int) -> xr.Dataset:
    return pima.datasets.lattice(specimens)


def _digits(specimens: int) -> xr.Dataset:
    return pima.datasets.digits().isel(specimen=slice(specimens))


STUDIES = (
    Study(
        name="lattice",
        load=_lattice,
        specimens=(91, 40),
        curve="stress",
        expert="linear_hardening",
        clusters=2,
        latent_dim=2,
        paper=("94.74", "94.74", "94.74"),
        remark="pictures and curves are synthetic; the paper's 91 measured pairs are not public",
    ),
    Study(
        name="digits",
        load=_digits,
        specimens=(1797, 600),
        curve="line",
        expert="proportional",
        clusters=10,
        latent_dim=3,
        paper=("100.0 best, 96.74 ± 4.72", "79.62 best", "99.98 best"),
        remark="8×8 digits stand in for MNIST; the images are real, the lines are synthetic, as the paper's were",
    ),
)


def run_study(
    study: Study,
    out: Path,
    quick: bool = False,
    seed: int = 0,
    progress: bool = True,
    say: Callable[[str], object] = lambda _: None,
) -> DemoResult:
    """Learn one experiment, judge it on held-out specimens, draw it.

    Args:
        study: Which.
        out: Folder of the figures; made where it is missing.
        quick: Fewer specimens and epochs.
        seed: Seed of the split, the training and the generated pictures.
        progress: Whether to show a progress bar.
        say: Called with what is being done.

    Raises:
        OSError: If the folder cannot be written.
    """
    start = time.perf_counter()
    data = study.load(study.specimens[quick])
    train, test = pima.split(data, test=0.2, seed=seed)
    say(f"learning from {train.sizes['specimen']} specimens, without labels; {test.sizes['specimen']} are kept aside")
    model = pima.PIMA(
        {"image": pima.Neural(), study.curve: pima.Physics(study.expert)},
        clusters=study.clusters,
        latent_dim=study.latent_dim,
    )
    fit = model.fit(train, seed=seed, epochs=_QUICK if quick else None, progress=progress)

    labels = test["label"].values
    both, image, curve = (fit.infer(test[names]) for names in (["image", study.curve], ["image"], [study.curve]))
    of_both, of_image, of_curve = (
        100 * pima.metrics.cluster_accuracy(labels, answer["cluster"].values) for answer in (both, image, curve)
    )

    synthetic = {"synthetic": study.remark}
    out.mkdir(parents=True, exist_ok=True)
    told, path = test.assign_attrs(synthetic), out / f"{study.name}_from_image.png"
    pima.save_figure(pima.plots.plot_prediction(told, image, study.curve, maximum=4, picture="image"), path)
    say(fit.summary().partition("\n")[0])
    say(f"{study.curve} predicted from pictures never seen, beside what was measured: {path}")
    say("drawing the rest")
    seen = fit.infer(train).assign_attrs(synthetic)
    measured = train.assign_attrs(synthetic)
    drawings = {
        "latent": lambda: pima.plots.plot_latent(seen, fit.clusters),
        "curves": lambda: pima.plots.plot_curves(measured, fit.clusters, study.curve, assigned=seen["cluster"].values),
        "generated": lambda: pima.plots.plot_images(
            _generated(fit, study, seed).assign_attrs(synthetic), "image", maximum=80
        ),
        "confusion": lambda: pima.plots.plot_confusion(labels, both["cluster"].values),
        "history": lambda: pima.plots.plot_history(fit.history),
    }
    rest = [pima.save_figure(draw(), out / f"{study.name}_{name}.png") for name, draw in drawings.items()]
    return DemoResult(study, (of_both, of_image, of_curve), labels.size, (path, *rest), time.perf_counter() - start)


def _generated(fit: pima.Fit, study: Study, seed: int) -> xr.Dataset:
    """Eight new pictures of every cluster, a row each."""
    rows = [fit.generate(cluster=c, n=8, seed=seed)[["image"]] for c in range(study.clusters)]
    return xr.concat(rows, dim="specimen").assign(cluster=("specimen", np.repeat(range(study.clusters), 8)))


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the figures; made where it is missing.")] = Path("demo-output"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer specimens and epochs: to see that it runs, not how well.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split and the training.", min=0)] = 0,
) -> None:
    """Predict curves from photographs, then run the paper's two experiments, without any download. Two minutes."""
    console = rich_console.Console()
    outcomes = []
    for study in STUDIES:
        console.rule(f"{study.name}: {study.clusters} clusters, {study.latent_dim} latent dimensions")
        console.print(f"[dim]{study.remark}[/dim]")
        said = functools.partial(console.print, markup=False, highlight=False, soft_wrap=True)
        outcomes.append(run_study(study, out, quick, seed, progress=console.is_terminal, say=said))

    table = rich_table.Table(title="Clustering accuracy in %, learned without labels, on specimens held out")
    for name in ("data", "specimens", "from", "here", "the paper"):
        table.add_column(name, justify="right" if name in ("specimens", "here") else "left")
    for outcome in outcomes:
        study = outcome.study
        rows = zip(("image and curve", "image only", "curve only"), outcome.accuracies, study.paper, strict=True)
        for row, (source, accuracy, paper) in enumerate(rows):
            first = (study.name, str(outcome.specimens)) if row == 0 else ("", "")
            table.add_row(*first, source, f"{accuracy:.2f}", paper, end_section=row == 2)
    console.print(table)
    console.print("The paper's figures are for its own data of the same kind (arXiv:2202.03242), for orientation:")
    for outcome in outcomes:
        console.print(f"  {outcome.study.name}: {outcome.study.remark}.", soft_wrap=True)
    for outcome in outcomes:
        console.print(f"{outcome.study.name}: {outcome.seconds:.0f} s, {len(outcome.figures)} figures:")
        for path in outcome.figures:
            console.print(f"  {path}", soft_wrap=True, highlight=False)
    console.print(NEXT, markup=False, highlight=False, soft_wrap=True)
