"""What the paper's inference reaches on five datasets, one table row per case; resumes where it was stopped.

    python benchmarks/main_job.py                       # everything: about an hour on 2 cores
    python benchmarks/main_job.py digits lattice --seeds 10
    python benchmarks/main_job.py --table               # only print what was measured before

What a fit does by default is measured by honesty.py.

Every run appends one line to benchmarks/results/main_job.jsonl; a run that is already there is not repeated. Labels
score the result; they choose nothing. MNIST, spinodoid and the metal curves need the folder in PIMA_DATA (see README).
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
import xarray as xr

import pima_toolkit as pima

cluster_accuracy, coverage = pima.metrics.cluster_accuracy, pima.metrics.coverage
RESULTS = Path(__file__).parent / "results" / "main_job.jsonl"


def line_case(load: Callable[..., xr.Dataset], variance: float, seed: int, **options: object) -> dict:
    """Images and noisy lines: accuracy on the test split from both, from the image, from the line."""
    data = load(noise_variance=variance, seed=seed)
    if "split" in data.coords:
        train, test = data.sel(specimen=data.split == "train"), data.sel(specimen=data.split == "test")
    else:
        train, test = pima.split(data, test=0.2, seed=seed)
    modalities = {"image": pima.Neural(), "line": pima.Physics("proportional")}
    model = pima.PIMA(modalities, clusters=10, latent_dim=3, inference="paper")
    began = time.perf_counter()
    fit = model.fit(train, seed=seed, progress=False, **options)
    out = {"seconds": time.perf_counter() - began, "elbo": fit.elbo}
    for name, part in (("both", ["image", "line"]), ("image", ["image"]), ("line", ["line"])):
        answer = fit.infer(test[part], predict=())
        out[name] = 100 * cluster_accuracy(test.label.values, answer.cluster.values)
        out[f"flagged_{name}"] = 100 * float(answer.out_of_population.mean())
    # The best any reader of the line can do: the nearest of the ten true slopes.
    t = test.t.values
    slope = test.line.values @ t / (t @ t)
    out["line_bayes"] = 100 * float((np.clip(np.rint(slope), 0, 9) == test.label.values).mean())
    return out


def curve_scores(truth: np.ndarray, answer: xr.Dataset, mean_curve: np.ndarray) -> dict:
    """RMSE and coverage of predicted curves, beside predicting the mean curve."""
    return {
        "rmse": float(np.sqrt(((answer.stress.values - truth) ** 2).mean())),
        "rmse_mean_curve": float(np.sqrt(((mean_curve - truth) ** 2).mean())),
        # The first point is zero by construction: it would count as covered for nothing.
        "coverage": 100 * coverage(truth[:, 1:], answer.stress_low.values[:, 1:], answer.stress_high.values[:, 1:]),
    }


def lattice(seed: int) -> dict:
    """Generated lattices, 80/20: accuracy, and the curve predicted from the photograph."""
    train, test = pima.split(pima.datasets.lattice(seed=0), test=0.2, seed=seed)
    modalities = {"image": pima.Neural(), "stress": pima.Physics("linear_hardening")}
    model = pima.PIMA(modalities, clusters=2, latent_dim=2, inference="paper")
    began = time.perf_counter()
    fit = model.fit(train, seed=seed, progress=False)
    out = {"seconds": time.perf_counter() - began, "elbo": fit.elbo}
    for name, part in (("both", ["image", "stress"]), ("image", ["image"]), ("curve", ["stress"])):
        answer = fit.infer(test[part], predict="stress")
        out[name] = 100 * cluster_accuracy(test.label.values, answer.cluster.values)
        out[f"flagged_{name}"] = 100 * float(answer.out_of_population.mean())
        if name == "image":
            out |= curve_scores(test.stress.values, answer, train.stress.values.mean(0))
    return out


def spinodoid(fold: int, clusters: int = 8) -> dict:
    """Measured spinodoid compression, pictures rendered from the design: one of five folds by morphology."""
    data = pima.datasets.spinodoid()
    groups = np.random.default_rng(0).permutation(np.unique(data.morphology))
    held = np.isin(data.morphology.values, groups[fold::5])
    train, test = data.isel(specimen=~held), data.isel(specimen=held)
    model = pima.PIMA(
        {"image": pima.Neural(flips=("x",), shift=0.04), "stress": pima.Physics("linear_hardening")},
        clusters=clusters,
        latent_dim=3,
        inference="paper",
    )
    began = time.perf_counter()
    fit = model.fit(train, seed=fold, progress=False)
    seconds = time.perf_counter() - began
    answer = fit.infer(test[["image"]], predict="stress")
    scores = curve_scores(test.stress.values, answer, train.stress.values.mean(0))
    flagged = 100 * float(answer.out_of_population.mean())
    return {"seconds": seconds, "elbo": fit.elbo, **scores, "flagged_image": flagged, "specimens": len(answer.specimen)}


def metal(seed: int) -> dict:
    """304L tension up to the peak, one ragged modality, 3 clusters: which strain rates fall together."""
    data = pima.datasets.metal_tension("304L")
    model = pima.PIMA({"stress": pima.Physics("linear_hardening")}, clusters=3, latent_dim=2)
    began = time.perf_counter()
    fit = model.fit(data, seed=seed, restarts=3, progress=False)
    seconds = time.perf_counter() - began
    specimens = fit.specimens
    rates = np.unique(specimens.strain_rate.values)
    table = {
        f"{rate:g}/s": [int(((specimens.cluster == c) & (specimens.strain_rate == rate)).sum()) for c in range(3)]
        for rate in rates
    }
    return {"seconds": seconds, "elbo": fit.elbo, "rates": table, "report": fit.report()}


CASES: dict[str, tuple[Callable[[int], dict], int]] = {
    "digits clean": (lambda seed: line_case(pima.datasets.digits, 0.01, seed), 10),
    "digits variance 0.5": (lambda seed: line_case(pima.datasets.digits, 0.5, seed), 10),
    "mnist clean": (lambda seed: line_case(pima.datasets.mnist, 0.01, seed), 1),
    "mnist variance 0.5": (lambda seed: line_case(pima.datasets.mnist, 0.5, seed), 1),
    "lattice": (lattice, 10),
    "spinodoid": (spinodoid, 5),
    "metal": (metal, 1),
}


def table() -> None:
    """Mean ± std of every number of every case."""
    rows = defaultdict(list)
    for row in lines.read(RESULTS):
        rows[row["case"]].append(row)
    for case, found in rows.items():
        print(f"\n{case}: {len(found)} runs")  # noqa: T201 - a benchmark prints
        for key in found[0]:
            values = [row[key] for row in found]
            if key == "seed" or not isinstance(values[0], int | float):
                continue
            print(f"  {key:<18} {np.mean(values):10.3f} ± {np.std(values):.3f}   min {min(values):.3f}")  # noqa: T201
        if case == "spinodoid" and len(found) == 5:
            n = [row["specimens"] for row in found]
            for key in ("rmse", "rmse_mean_curve"):
                pooled = np.sqrt(np.average([row[key] ** 2 for row in found], weights=n))
                print(f"  {key}, all specimens of all folds: {pooled:.3f}")  # noqa: T201
        if "report" in found[-1]:
            print(found[-1]["rates"], found[-1]["report"], sep="\n")  # noqa: T201


def main() -> None:
    """Run what is asked for and not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"beginnings of: {', '.join(CASES)}")
    parser.add_argument("--seeds", type=int, help="how many runs of each")
    parser.add_argument("--table", action="store_true", help="only print")
    asked = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    machine = f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"
    done = {(row["case"], row["seed"]) for row in lines.read(RESULTS)}
    chosen = [c for c in CASES if not asked.cases or any(c.startswith(a) for a in asked.cases)]
    for case in [] if asked.table else chosen:
        run, count = CASES[case]
        for seed in range(min(count, asked.seeds or count)):
            if (case, seed) in done:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pima.PimaWarning)
                row = {"case": case, "seed": seed, **run(seed), "date": str(date.today()), "machine": machine}
            lines.append(RESULTS, row)
            print({k: round(v, 2) if isinstance(v, float) else v for k, v in row.items() if k != "report"}, flush=True)  # noqa: T201
    table()


if __name__ == "__main__":
    main()
