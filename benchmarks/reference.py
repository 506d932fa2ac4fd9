"""Reference results: what a fit finds in four measured data sets, and what it could not tell, as pages of the guide.

    python benchmarks/reference.py              # every set that is not there yet; writes its page and figure
    python benchmarks/reference.py macfp        # some sets, whether they are there or not
    python benchmarks/reference.py --pages      # only the pages, from what was measured before

Each set is fitted once with the lines that its page prints. Its text is in
benchmarks/reference_pages; numbers go to benchmarks/results/reference.jsonl, figures to docs/_static/results, pages to
docs/results. The data need the folder in PIMA_DATA; its PROVENANCE.md files say what is in each. Labels are used for
the tables and figures alone.
"""

from __future__ import annotations

import argparse
import inspect
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import lines
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.metrics import adjusted_rand_score

import pima_toolkit as pima
from pima_toolkit.data.files import write_text
from pima_toolkit.drawing import GREY, colour_of, marker_of, new_figure
from pima_toolkit.report import population_names

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "reference.jsonl"
TEXTS = ROOT / "benchmarks" / "reference_pages"
PAGES, FIGURES = ROOT / "docs" / "results", ROOT / "docs" / "_static" / "results"


def opened(name: str) -> xr.Dataset:
    """A set of the folder in PIMA_DATA."""
    return xr.load_dataset(Path(os.environ["PIMA_DATA"]) / name / f"{name}.nc")


# -- the fits, as the pages print them ---------------------------------------------------------------------------------


def macfp(data: xr.Dataset) -> pima.Fit:
    """Mass while heated at ``rate``, in 10 K/min: one reaction of order n, its integral as Senum and Yang give it."""
    x = "(a * T_p / temperature)"
    integral = f"temperature * exp(a - {x}) * ({x}**2 + 10*{x} + 18) / ({x}**3 + 12*{x}**2 + 36*{x} + 24)"
    there = "T_p * (a**2 + 10*a + 18) / (a**3 + 12*a**2 + 36*a + 24)"
    law = pima.SympyExpert(
        f"residue + (1 - residue) * max(1 + (n - 1) / rate * {integral} / ({there}), 1e-6)**(1 / (1 - n))",
        t="temperature",
        covariates=("rate",),
        units={"T_p": "K"},
        bounds={"a": (4, 80), "T_p": (400, 900), "n": (0.3, 6), "residue": (-0.2, 0.9)},
        name="one_reaction",
    )
    model = pima.PIMA({"mass_fraction": pima.Physics(law)}, clusters=4)
    return model.fit(data[["mass_fraction"]], seed=0, progress=False)


def fegapd(data: xr.Dataset) -> pima.Fit:
    """Diffraction patterns of an alloy spread: the root of the counts, whose noise is alike everywhere."""
    model = pima.PIMA({"pattern": pima.Physics("principal_curves")}, clusters=4)
    return model.fit(data[["pattern"]], seed=0, progress=False)


def metal_tension(data: xr.Dataset) -> pima.Fit:
    """Tension curves of 304L bar at five strain rates, each on its own grid."""
    model = pima.PIMA({"stress": pima.Physics("hollomon")}, clusters="auto")
    return model.fit(data, seed=0, progress=False)


def spinodoid(data: xr.Dataset) -> pima.Fit:
    """Compression curves of shells from pictures drawn from their design; whole morphologies are held out."""
    model = pima.PIMA(
        {
            "image": pima.Neural(encoder="pooled", flips=("x",), shift=0.04),
            "stress": pima.Physics("principal_curves", components=4),
        },
        clusters=1,
    )
    return model.fit(data, seed=0, groups="morphology", progress=False)


# -- what is told of them ----------------------------------------------------------------------------------------------

Numbers = dict[str, Any]


def crossed(labels: ArrayLike, found: ArrayLike, names: list[str], head: str) -> str:
    """How many specimens of each label are in each population, as a table."""
    labels, found = np.asarray(labels), np.asarray(found)
    rows = [f"| {head} | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for label in np.unique(labels):
        counts = [int(((labels == label) & (found == c)).sum()) for c in range(len(names))]
        rows.append(f"| {label} | {' | '.join(str(n) if n else '–' for n in counts)} |")
    return "\n".join(rows)


def parameters(fit: pima.Fit) -> str:
    """Mean parameters of the populations with their standard errors, as a table."""
    table = fit.parameters
    rows = [
        f"| population | {' | '.join(table.parameter.values)} |",
        f"| --- |{' --- |' * table.sizes['parameter']}",
    ]
    for c, name in enumerate(population_names(table)):
        one = table.isel(cluster=c)
        cells = [
            pima.value_with_error(float(v), float(e), str(u))
            for v, e, u in zip(one.value.values, one.std_error.values, one.unit.values, strict=True)
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def shared(fit: pima.Fit, data: xr.Dataset, curve: str, labels: ArrayLike, head: str) -> Numbers:
    """What all studies of populations tell."""
    counted = pima.select_clusters(fit.model, data[[curve]])
    found, names = fit.specimens["cluster"].values, population_names(fit.parameters)
    return {
        "ari": float(adjusted_rand_score(np.asarray(labels).astype(str), found)),
        "possible": " or ".join(map(str, counted.possible)),
        "table": crossed(labels, found, names, head),
        "summary": fit.summary(),
    }


def of_macfp(fit: pima.Fit, data: xr.Dataset) -> tuple[Numbers, Figure]:
    """Material and gas against populations, and the law's parameters."""
    groups = data.group.values
    found = fit.specimens["cluster"].values
    most = [str(max(np.unique(groups[found == c]), key=lambda g: (groups[found == c] == g).sum())) for c in range(4)]
    fit.names = [name if most.count(name) == 1 else f"{name} {most[:c].count(name) + 1}" for c, name in enumerate(most)]
    energy = fit.derive({"E_a": "0.008314462618 * a * T_p"}).isel(quantity=0)
    each = zip(energy.value.values, energy.std_error.values, strict=True)
    energies = ", ".join(pima.value_with_error(float(v), float(e), "kJ/mol") for v, e in each)
    numbers = shared(fit, data, "mass_fraction", groups, "material and gas")
    figure = pima.plots.plot_curves(data, fit.clusters, "mass_fraction", found)
    return {**numbers, "parameters": parameters(fit), "energies": energies}, figure


def of_fegapd(fit: pima.Fit, data: xr.Dataset) -> tuple[Numbers, Figure]:
    """Regions of the composition triangle: found in the patterns, and computed."""
    fraction = data.composition.values
    x, y = fraction[:, 2] + 0.5 * fraction[:, 1], np.sqrt(0.75) * fraction[:, 1]
    found, regions = fit.specimens["cluster"].values, data.phase_region.values
    figure = new_figure(11.0, 3.8)
    left, middle, right = figure.subplots(1, 3)
    # A region has the colour of the population that stands for it.
    match = pima.metrics.match_clusters(regions, found)
    computed = [f"region {match[c]}" for c in range(len(match))]
    stands_for = np.select([regions == match[c] for c in range(len(match))], list(range(len(match))))
    panels = (
        (left, found, population_names(fit.clusters), "found in the patterns"),
        (middle, stands_for, computed, "computed phase regions"),
    )
    for axis, group, names, title in panels:
        axis.plot([0, 1, 0.5, 0], [0, 0, np.sqrt(0.75), 0], color=GREY, linewidth=0.8)
        for c, name in enumerate(names):
            here = group == c
            axis.scatter(x[here], y[here], s=10, color=colour_of(c), marker=marker_of(c), label=name, linewidths=0)
        for place, corner in (((0, -0.05), "Fe"), ((1, -0.05), "Pd"), ((0.5, 0.9), "Ga")):
            axis.annotate(corner, place, ha="center", va="center")
        axis.set(title=title, aspect="equal", xlim=(-0.05, 1.05), ylim=(-0.1, 0.95))
        axis.axis("off")
        axis.legend(fontsize=7, frameon=False, loc="upper right")
    for c, name in enumerate(population_names(fit.clusters)):
        right.plot(data.two_theta.values, fit.clusters["pattern"].values[c], color=colour_of(c), label=name)
    right.set(xlabel="two theta (degrees)", ylabel="root of the counts (1)", title="populations' patterns")
    right.legend(fontsize=7, frameon=False)
    return shared(fit, data, "pattern", regions, "computed phase region"), figure


def of_metal_tension(fit: pima.Fit, data: xr.Dataset) -> tuple[Numbers, Figure]:
    """Strain rates against populations."""
    rates = data.strain_rate.values
    numbers = shared(fit, data, "stress", rates, "strain rate, 1/s")
    figure = pima.plots.plot_curves(data, fit.clusters, "stress", fit.specimens["cluster"].values)
    return {**numbers, "parameters": parameters(fit)}, figure


def of_folds() -> str:
    """Error and coverage of every method over the five folds of benchmarks/honesty.py, as a table."""
    rows = [row for row in lines.read(RESULTS.with_name("honesty.jsonl")) if row["case"] == "spinodoid"]
    methods: dict[str, list[dict]] = {"this fit": [row for row in rows if row["key"]["method"] == "evidence"]}
    simple = [row for row in rows if row["key"]["method"] == "baselines"]
    names = ("spectrum", "extra trees", "k nearest", "ridge", "PLS", "mean")
    methods |= {name: [row[name] for row in simple] for name in names}
    table = ["| method | RMSE, MPa | points in the 90 % band |", "| --- | --- | --- |"]
    for name, found in methods.items():
        error, held = (np.array([one[key] for one in found]) for key in ("rmse", "coverage"))
        table.append(f"| {name} | {error.mean():.2f} ({error.min():.2f} to {error.max():.2f}) | {held.mean():.0f} % |")
    return "\n".join(table)


def of_spinodoid(fit: pima.Fit, data: xr.Dataset) -> tuple[Numbers, Figure]:
    """Curves predicted from pictures of morphologies that were held out."""
    answer = fit.infer(data[["image"]], predict="stress")
    truth, value = data.stress.values, answer.stress.values
    seen = np.isfinite(truth)
    inside = (truth >= answer.stress_low.values) & (truth <= answer.stress_high.values)
    numbers = {
        "rmse": float(np.sqrt(np.square(truth - value)[seen].mean())),
        "coverage": 100 * float(inside[seen].mean()),
        "specimens": data.sizes["specimen"],
        "folds": of_folds(),
        "summary": fit.summary(),
    }
    some = np.linspace(0, data.sizes["specimen"] - 1, 8).astype(int)
    return numbers, pima.plots.plot_prediction(data.isel(specimen=some), answer.isel(specimen=some), "stress")


@dataclass(frozen=True)
class Reference:
    """One set, and its page.

    Args:
        load: The specimens; of those with a coordinate ``held`` the held ones are asked about, the others learned from.
        fit: As the page prints it.
        study: Numbers for the page, and its figure.
    """

    load: Callable[[], xr.Dataset]
    fit: Callable[[xr.Dataset], pima.Fit]
    study: Callable[[pima.Fit, xr.Dataset], tuple[Numbers, Figure]]


def burnt() -> xr.Dataset:
    """Curves of mass with the heating rate as a covariate, in 10 K/min."""
    data = opened("macfp")
    return data.assign_coords(rate=("specimen", data.heating_rate.values / 10, {"units": "1"}))


def patterns() -> xr.Dataset:
    """Diffraction patterns as roots of their counts."""
    data = opened("fegapd")
    return data.assign(pattern=(("specimen", "two_theta"), np.sqrt(data.xrd.values.astype(float)), {"units": "1"}))


def shells() -> xr.Dataset:
    """Spinodoid shells; a fifth of the morphologies is ``held``, as in the first fold of benchmarks/honesty.py."""
    data = pima.datasets.spinodoid()
    image = data.image.astype(np.float32).coarsen(y=2, x=2).mean()
    groups = np.random.default_rng(0).permutation(np.unique(data.morphology))
    held = np.isin(data.morphology.values, groups[::5])
    return data.drop_dims(["y", "x"]).assign(image=image).assign_coords(held=("specimen", held))


REFERENCES = {
    "macfp": Reference(burnt, macfp, of_macfp),
    "fegapd": Reference(patterns, fegapd, of_fegapd),
    "metal_tension": Reference(pima.datasets.metal_tension, metal_tension, of_metal_tension),
    "spinodoid": Reference(shells, spinodoid, of_spinodoid),
}


def measure(name: str) -> None:
    """Fit a set, and keep its numbers and its figure."""
    reference = REFERENCES[name]
    learned = asked = reference.load()
    if "held" in learned.coords:
        held = learned["held"].values
        asked, learned = (learned.isel(specimen=rows).drop_vars("held") for rows in (held, ~held))
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pima.PimaWarning)
        fit = reference.fit(learned)
        seconds = time.process_time() - began
        numbers, figure = reference.study(fit, asked)
    FIGURES.mkdir(parents=True, exist_ok=True)
    pima.save_figure(figure, FIGURES / f"{name}.png", dpi=90)
    lines.append(RESULTS, {"set": name, **numbers, "cpu_seconds": round(seconds, 1), "date": date.today().isoformat()})


def page(name: str, numbers: Numbers) -> str:
    """The page of a set: its text in reference_pages, with the fit's own source and the numbers put in."""
    code = f"import xarray as xr\n\nimport pima_toolkit as pima\n\n\n{inspect.getsource(REFERENCES[name].fit)}"
    text = (TEXTS / f"{name}.md").read_text(encoding="utf-8")
    return text.format(**numbers, code=f"```python\n{code}```", figure=f"../_static/results/{name}.png")


def measured() -> dict[str, Numbers]:
    """The last numbers of each set."""
    return {row["set"]: row for row in lines.read(RESULTS)}


def main() -> None:
    """Measure what is asked for, and write the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=[*REFERENCES, []], help="those that are not there yet, by default")
    parser.add_argument("--pages", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    for name in [] if asked.pages else asked.sets or [name for name in REFERENCES if name not in measured()]:
        measure(name)
    for name, numbers in measured().items():
        write_text(PAGES / f"{name}.md", page(name, numbers))


if __name__ == "__main__":
    main()
