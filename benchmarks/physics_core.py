"""Populations found from curves alone, by own fits and EM on what they say: what PIMA.fit is to stand on.

    python benchmarks/physics_core.py                # every case; one that is there already is not repeated
    python benchmarks/physics_core.py macfp          # one case

Perovskite: films by a logistic law, outer folds of the data set; macfp: one reaction of order n, four groups;
strangers: three populations of hardening curves and five curves of anything, 20 sets, whole and with a tenth of the
curves cut short. Beside each stands the baseline: the mean curve, k-means on every specimen's own parameters. Every run
appends one line to benchmarks/results/physics_core.jsonl. Nothing was chosen on these data but that the case runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import lines
import numpy as np
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

import pima_toolkit as pima
from pima_toolkit.experts import Law, pack
from pima_toolkit.fitting.em.members import members
from pima_toolkit.fitting.starts.populations import MeasuredCurves, PhysicsFit, find_populations

RESULTS = Path(__file__).parent / "results" / "physics_core.jsonl"


def measured(law: pima.Expert, t: np.ndarray, y: np.ndarray) -> MeasuredCurves:
    """Curves with gaps (NaN) as own fits take them; the law's own starts."""
    weights = np.isfinite(y).astype(float)
    bounds = law.bounds(t[..., : y.shape[1]])
    starts = bounds.to_unbounded(bounds.clip(law.starts(t, y, count=6), 1e-6))
    return MeasuredCurves(law, bounds, np.atleast_2d(t), np.where(weights > 0, y, 0.0), weights, starts)


def own_curves(curves: MeasuredCurves, fit: PhysicsFit, name: str) -> np.ndarray:
    """Every specimen's curve at its own estimate, shape (N, T)."""
    theta = curves.bounds.from_unbounded(fit.information[name].estimate)
    grids = curves.t if len(curves.t) > 1 else np.repeat(curves.t, len(theta), axis=0)
    return np.stack([curves.law.value_and_jacobian(t, p)[0] for t, p in zip(grids, theta, strict=True)])


def median_curves(law: Law, bounds: pima.experts.Bounds, t: np.ndarray, fit: PhysicsFit, name: str) -> np.ndarray:
    """Median of the curves of each population's members, shape (C, T)."""
    of = fit.populations.laws[name]
    drawn = members(of, fit.found.conditional[name], fit.found.responsibilities, 1024)
    theta = bounds.from_unbounded(of.centre[:, None] + drawn)
    return np.stack([np.median(law.value_and_jacobian(t, each)[0], axis=0) for each in theta])


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean squared difference of what was measured."""
    return float(np.sqrt(np.nanmean((a - b) ** 2)))


def perovskite() -> Iterator[tuple[dict, Callable[[], dict]]]:
    """Films by a logistic law: own curves, and each film against its own population's median, training films."""
    data = xr.load_dataset(Path(os.environ["PIMA_DATA"]) / "perovskite" / "perovskite.nc")
    y, t, fold = data["red"].values.astype(float), data["time"].values / 1000.0, data["fold"].values
    names = [pima.Parameter("a"), pima.Parameter("b"), pima.Parameter("m"), pima.Parameter("w", lower=0)]
    law = pima.SympyExpert("a + b / (1 + exp(-(t - m) / w))", "t", parameters=names)

    def run(clusters: int, number: int) -> dict:
        train = y[fold != number]
        curves = measured(law, t, train)
        fit = find_populations({"red": curves}, clusters)
        middle = median_curves(law, curves.bounds, t, fit, "red")[fit.found.responsibilities.argmax(1)]
        return {
            "own curve": rmse(own_curves(curves, fit, "red"), train),
            "own population's median": rmse(middle, train),
            "mean curve": rmse(train.mean(0), train),
            "strangers": int((fit.found.stranger > 0.5).sum()),
        }

    for clusters in (1, 4):
        for number in range(5):
            yield {"clusters": clusters, "fold": number}, lambda c=clusters, k=number: run(c, k)


def macfp() -> Iterator[tuple[dict, Callable[[], dict]]]:
    """Mass against temperature by one reaction of order n (Senum and Yang), four groups of material and gas."""
    data = xr.load_dataset(Path(os.environ["PIMA_DATA"]) / "macfp" / "macfp.nc")
    y, group = data.mass_fraction.values.astype(float), np.unique(data.group.values, return_inverse=True)[1]
    x, e = "(1000*E/8.314/temperature)", "(1000*E/8.314)"
    g = f"60/rate*10**k*{e}*exp({e}/620-{x})/{x}*({x}**2+10*{x}+18)/({x}**3+12*{x}**2+36*{x}+24)"
    limits = {"k": (-6, 1), "E": (40, 400), "n": (0.2, 4), "r": (-0.2, 0.5)}
    parameters = [pima.Parameter(name, lower=low, upper=high) for name, (low, high) in limits.items()]
    text = f"r + (1 - r) * max(1 + (n - 1) * ({g}), 1e-9)**(1 / (1 - n))"
    law = pima.SympyExpert(text, "temperature", covariates=("rate",), parameters=parameters)
    t = pack(law, {"temperature": data.temperature.values, "rate": data.heating_rate.values[:, None]}, y.shape)

    def run(seed: int) -> dict:
        curves = measured(law, t, y)
        fit = find_populations({"mass": curves}, 4, seed=seed)
        own = StandardScaler().fit_transform(curves.bounds.from_unbounded(fit.information["mass"].estimate))
        return {
            "ari": pima.metrics.ari(group, fit.found.among_populations.argmax(1)),
            "k-means on own parameters": pima.metrics.ari(
                group, KMeans(4, n_init=10, random_state=seed).fit_predict(own)
            ),
            "own curve": rmse(own_curves(curves, fit, "mass"), y),
            "strangers": int((fit.found.stranger > 0.5).sum()),
        }

    for seed in range(5):
        yield {"seed": seed}, lambda s=seed: run(s)


def strangers() -> Iterator[tuple[dict, Callable[[], dict]]]:
    """Five curves of anything among 240 of three populations, whole and with a tenth cut short."""
    limits = [pima.Parameter(name, lower=0) for name in ("E", "s", "h")]
    law, t = pima.SympyExpert("s * tanh(E * t / s) + h * t", "t", parameters=limits), np.linspace(0.0, 0.1, 60)
    middle = np.log([2000.0, 40.0, 150.0])

    def run(seed: int, cut: int) -> dict:
        rng = np.random.default_rng(seed)
        label = rng.integers(0, 3, 240)
        phi = middle + label[:, None] * np.array([0.3, 0.35, 0.0]) + rng.normal(0, 0.06, (240, 3))
        phi = np.concatenate([phi, middle + rng.uniform(-2, 3, (5, 3))])
        y = law.value_and_jacobian(t, np.exp(phi))[0] + rng.normal(0, 0.5, (245, 60))
        for n in rng.choice(240, cut, replace=False):
            y[n, rng.integers(8, 25) :] = np.nan
        fit = find_populations({"stress": measured(law, t, y)}, 3, seed=seed)
        listed = fit.found.stranger > 0.5
        return {
            "listed": float(listed[240:].mean()),
            "false": float(listed[:240].mean()),
            "ari": pima.metrics.ari(label, fit.found.responsibilities[:240].argmax(1)),
        }

    for cut in (0, 24):
        for seed in range(20):
            yield {"cut": cut, "seed": seed}, lambda s=seed, c=cut: run(s, c)


CASES = {"perovskite": perovskite, "macfp": macfp, "strangers": strangers}


def main() -> None:
    """Run what is not there yet, and print the means of every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all by default")
    wanted = parser.parse_args().cases or list(CASES)
    for name in wanted:
        for key, run in CASES[name]():
            if any(row["case"] == name and row["key"] == key for row in lines.read(RESULTS)):
                continue
            began = time.perf_counter()
            scores = run()
            about = {"seconds": round(time.perf_counter() - began, 2), "date": date.today().isoformat()}
            lines.append(RESULTS, {"case": name, "key": key, **scores, **about, "machine": platform.machine()})
        table: dict[str, list[dict]] = {}
        for row in lines.read(RESULTS):
            if row["case"] == name:
                kept = {k: v for k, v in row["key"].items() if k not in ("seed", "fold")}
                table.setdefault(str(kept or ""), []).append(row)
        for kept, rows in table.items():
            numbers = [k for k, v in rows[0].items() if isinstance(v, float | int)]
            means = ", ".join(f"{k} {np.mean([r[k] for r in rows]):.3f}" for k in numbers)
            print(f"{name} {kept}: {means} ({len(rows)} runs)", flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
