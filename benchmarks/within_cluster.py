"""What a picture tells about its own specimen's curve, beyond its cluster: vary="latent" against vary="none".

    python benchmarks/within_cluster.py                     # both data sets, parameters that vary with the latent
    python benchmarks/within_cluster.py spinodoid --vary none
    python benchmarks/within_cluster.py --table             # only print what was measured before

Spinodoid: five folds by morphology, as in main_job.py; lattice: 80/20 splits. Every run appends one line to
benchmarks/results/within_cluster.jsonl; a run that is already there is not repeated, unless the method has changed. The
settings of the spinodoid, and the method, were chosen on splits inside the training parts of the folds, never on the
folds themselves: one cluster, three latent dimensions, pictures averaged over 2 x 2 pixels, and how long the encoders
are trained, which is the default since.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
import xarray as xr

import pima_toolkit as pima

RESULTS = Path(__file__).parent / "results" / "within_cluster.jsonl"
#: What predicts a curve, one line each; rows without a number are of the first. Only those with vary="latent" differ.
METHODS = {
    1: "the picture as it lies; a specimen's curve is the mean over what is not known of its parameters",
    2: "the picture and its mirror image together; the mean over the middle half of what is not known; encoders whose "
    "means learn from all specimens alike",
}
METHOD = max(METHODS)


def scores(fit: pima.Fit, train: xr.Dataset, test: xr.Dataset) -> dict:
    """RMSE and 90 % coverage of curves predicted from pictures, and how well the specimens' own parameters are."""
    answer = fit.infer(test[["image"]], predict="stress")
    own = fit.infer(test[["stress"]], predict="stress")
    truth = test.stress.values
    away = (answer.parameters - own.parameters) / answer.parameters_std
    return {
        "rmse": float(np.sqrt(((answer.stress.values - truth) ** 2).mean())),
        "rmse_mean_curve": float(np.sqrt(((train.stress.values.mean(0) - truth) ** 2).mean())),
        # The first point is zero by construction: it would count as covered for nothing.
        "coverage": 100
        * pima.metrics.coverage(truth[:, 1:], answer.stress_low.values[:, 1:], answer.stress_high.values[:, 1:]),
        "band_width": float((answer.stress_high - answer.stress_low).mean()),
        "specimens": len(truth),
        # Against what each specimen's own curve says: correlation, and root mean square of the error over the std.
        "parameters": {
            str(name): [
                float(np.corrcoef(answer.parameters.sel(parameter=name), own.parameters.sel(parameter=name))[0, 1]),
                float(np.sqrt((away.sel(parameter=name) ** 2).mean())),
            ]
            for name in answer.parameter.values
        },
    }


def spinodoid(fold: int, vary: str) -> dict:
    """One of five folds by morphology, those of main_job.py."""
    data = pima.datasets.spinodoid()
    size = data.image.shape[1] // 2
    image = data.image.values.astype(np.float32).reshape(len(data.specimen), size, 2, size, 2).mean((2, 4))
    data = data.drop_dims(["y", "x"]).assign(image=(("specimen", "y", "x"), image, data.image.attrs))
    groups = np.random.default_rng(0).permutation(np.unique(data.morphology))
    held = np.isin(data.morphology.values, groups[fold::5])
    train, test = data.isel(specimen=~held), data.isel(specimen=held)
    model = pima.PIMA(
        {
            "image": pima.Neural(flips=("x",), shift=0.04),
            "stress": pima.Physics("linear_hardening", vary=vary),
        },
        clusters=1 if vary == "latent" else 8,
        latent_dim=3,
        inference="paper",
    )
    return _timed(model, train, test, fold)


def lattice(seed: int, vary: str) -> dict:
    """Generated lattices, one 80/20 split, the model of main_job.py."""
    train, test = pima.split(pima.datasets.lattice(seed=0), test=0.2, seed=seed)
    physics = pima.Physics("linear_hardening", vary=vary)
    model = pima.PIMA({"image": pima.Neural(), "stress": physics}, 2, latent_dim=2, inference="paper")
    return _timed(model, train, test, seed)


def _timed(model: pima.PIMA, train: xr.Dataset, test: xr.Dataset, seed: int) -> dict:
    began = time.perf_counter(), time.process_time()
    fit = model.fit(train, seed=seed, progress=False)
    seconds = {"seconds": time.perf_counter() - began[0], "cpu_seconds": time.process_time() - began[1]}
    return {**seconds, "elbo": fit.elbo, **scores(fit, train, test)}


CASES: dict[str, tuple[Callable[[int, str], dict], int]] = {"spinodoid": (spinodoid, 5), "lattice": (lattice, 10)}


def table() -> None:
    """Pooled over all specimens of all folds or splits."""
    rows = lines.read(RESULTS)
    for case in CASES:
        print(f"\n{case:<10} runs  RMSE/MPa  mean curve  coverage/%  band/MPa  CPU s   correlation (error/std)")  # noqa: T201
        for vary, method in [("none", 1), *(("latent", method) for method in METHODS)]:
            found = [r for r in rows if (r["case"], r["vary"], r.get("method", 1)) == (case, vary, method)]
            if not found:
                continue
            n = [row["specimens"] for row in found]
            rmse, mean = (
                np.sqrt(np.average([r[k] ** 2 for r in found], weights=n)) for k in ("rmse", "rmse_mean_curve")
            )
            cover, width = (np.average([r[k] for r in found], weights=n) for k in ("coverage", "band_width"))
            cpu = np.mean([r["cpu_seconds"] for r in found])
            own = "  ".join(
                "{} {:.2f} ({:.2f})".format(name, *np.nanmean([r["parameters"][name] for r in found], axis=0))
                for name in found[0]["parameters"]
            )
            print(  # noqa: T201 - a benchmark prints
                f"  {f'{vary} {method}':<8} {len(found):>4}  {rmse:>8.3f}  {mean:>10.3f}  {cover:>10.1f}"
                f"  {width:>8.2f}  {cpu:>5.0f}   {own}"
            )


def main() -> None:
    """Run what is asked for and not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--vary", choices=("latent", "none"), default="latent")
    parser.add_argument("--seeds", type=int, help="how many folds or splits of each")
    parser.add_argument("--first", type=int, default=0, help="fold or split to begin with")
    parser.add_argument("--table", action="store_true", help="only print")
    asked = parser.parse_args()
    RESULTS.parent.mkdir(exist_ok=True)
    machine = f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"
    for case in [] if asked.table else asked.cases or CASES:
        run, count = CASES[case]
        for seed in range(asked.first, min(count, asked.seeds or count)):
            method = METHOD if asked.vary == "latent" else 1
            wanted = (case, asked.vary, seed, method)
            if any((r["case"], r["vary"], r["seed"], r.get("method", 1)) == wanted for r in lines.read(RESULTS)):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pima.PimaWarning)
                row = {"case": case, "vary": asked.vary, "seed": seed, "method": method, **run(seed, asked.vary)}
            lines.append(RESULTS, {**row, "date": str(date.today()), "machine": machine})
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)  # noqa: T201
    table()


if __name__ == "__main__":
    main()
