"""Populations found from curves alone, by own fits and EM on what they say: what PIMA.fit is to stand on.

    python benchmarks/physics_core.py                # every case; one that is there already is not repeated
    python benchmarks/physics_core.py macfp          # one case

Perovskite: films by a logistic law, outer folds of the data set; macfp: one reaction of order n, four groups;
strangers: three populations of hardening curves and five curves of anything, 20 sets, whole and with a tenth of the
curves cut short; simulated: two populations of nonlinear laws, 50 sets each, what is found beside what was put in;
m_step: seconds and memory of one step of EM at 20,000 curves.
Beside each stands the baseline: the mean curve, k-means and a mixture on every specimen's own parameters. Every run
appends one line to benchmarks/results/physics_core.jsonl. Nothing was chosen on these data but that the case runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import lines
import numpy as np
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import RobustScaler, StandardScaler

import pima_toolkit as pima
from pima_toolkit.experts import Law, pack
from pima_toolkit.fitting.em.members import members
from pima_toolkit.fitting.em.populations import Population, Populations, expect, maximise, root_of
from pima_toolkit.fitting.starts.populations import MeasuredCurves, PhysicsFit, Renewal, find_populations

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


#: Formula of each simulated law, its end of t, and typical parameters; all positive, lognormal in a population.
SIMULATED = {
    "logistic": ("b / (1 + exp(-(t - m) / w))", 4.0, {"b": 10.0, "m": 2.0, "w": 0.3}),
    "voce": ("y0 + q * (1 - exp(-t / e))", 0.3, {"y0": 100.0, "q": 80.0, "e": 0.05}),
    "hollomon": ("k * t**n", 0.3, {"k": 400.0, "n": 0.2}),
}
#: Scatter of every parameter's logarithm, specimens, and distance of the populations in standard deviations of it.
SIMULATIONS = (0.05, 100, 4.0), (0.2, 30, 4.0), (0.3, 100, 3.0), (0.8, 300, 2.5)


def simulated() -> Iterator[tuple[dict, Callable[[], dict]]]:
    """Two populations, three in five specimens in the first; noise of 3 % of what the typical curve rises."""

    def run(name: str, scatter: float, specimens: int, distance: float, seed: int) -> dict:
        rng = np.random.default_rng(seed)
        formula, end, typical = SIMULATED[name]
        law = pima.SympyExpert(formula, "t", parameters=[pima.Parameter(p, lower=0.0) for p in typical], name=name)
        t, size = np.linspace(end / 50, end, 50), len(typical)
        middle = np.log(list(typical.values()))
        apart = distance * scatter * (-1.0) ** np.arange(size) / np.sqrt(size)
        truth = np.stack([middle - 0.5 * apart, middle + 0.5 * apart])
        label = (rng.random(specimens) < 0.4).astype(int)
        phi = truth[label] + scatter * rng.standard_normal((specimens, size))
        clean = law.value_and_jacobian(t, np.exp(phi))[0]
        noise = 0.03 * np.ptp(law.value_and_jacobian(t, np.exp(middle))[0])
        y = clean + noise * rng.standard_normal(clean.shape)
        curves = measured(law, t, y)
        fit = find_populations({"y": curves}, 2, seed=seed)
        found = fit.populations.laws["y"]
        # Which is which: the nearer way round.
        turned = np.square(found.centre - truth).sum() > np.square(found.centre[::-1] - truth).sum()
        order = [1, 0] if turned else [0, 1]
        std = np.sqrt(np.einsum("cpp->cp", found.scatter[order]))
        # Least squares of every curve; a prior of e^5 to either side for those that leave a parameter open.
        nowhere, wide = np.zeros(specimens, dtype=int), 5.0 * np.eye(size)
        own = curves.fitted(
            middle[None], wide[None], nowhere, np.full(specimens, noise**-2), curves.starts, 60
        ).estimate
        # Scaled by quartiles and cut: fits far out would otherwise leave the simple methods nothing to see.
        scaled = np.clip(RobustScaler().fit_transform(own), -3.0, 3.0)
        mixture = GaussianMixture(2, n_init=5, random_state=seed, reg_covar=1e-4).fit_predict(scaled)
        return {
            "ari": pima.metrics.ari(label, fit.found.among_populations.argmax(1)),
            "k-means on own parameters": pima.metrics.ari(
                label, KMeans(2, n_init=10, random_state=seed).fit_predict(scaled)
            ),
            "mixture on own parameters": pima.metrics.ari(label, mixture),
            "off": (found.centre[order] - truth).round(5).tolist(),
            "scatter off": np.log(std / scatter).round(4).tolist(),
            "share off": float(np.exp(fit.populations.log_weights[order[1]]) - label.mean()),
            "noise off": float(0.5 * np.log(found.variance).mean() - np.log(noise)),
            "beyond": float((fit.beyond["y"] > 0.5).mean()),
            "strangers": int((fit.found.stranger > 0.5).sum()),
        }

    for seed in range(50):
        for name in SIMULATED:
            for scatter, specimens, distance in SIMULATIONS:
                key = {"law": name, "scatter": scatter, "specimens": specimens, "distance": distance, "seed": seed}
                at = (name, scatter, specimens, distance, seed)
                yield key, lambda at=at: run(*at)


def bias(rows: list[dict]) -> str:
    """Largest bias of the populations' parameters, of a share of themselves and in Monte-Carlo errors; of scatter."""
    off = np.array([row["off"] for row in rows])
    mean, error = off.mean(0), off.std(0, ddof=1) / np.sqrt(len(off))
    worst = np.unravel_index(np.argmax(np.where(np.abs(mean) > 2.0 * error, np.abs(mean), 0.0)), mean.shape)
    std = np.array([row["scatter off"] for row in rows]).mean(0)
    return (
        f"; largest bias beyond 2 Monte-Carlo errors {100 * np.expm1(mean[worst]):.1f} % (+- {100 * error[worst]:.1f}),"
        f" of the scatter's standard deviations {100 * np.expm1(std.min()):.0f} to {100 * np.expm1(std.max()):.0f} %"
    )


def m_step() -> Iterator[tuple[dict, Callable[[], dict]]]:
    """One step of EM and the renewal of own fits: 20,000 curves of 100 points, ten populations; seconds and memory."""
    specimens, points, clusters = 20_000, 100, 10

    def run(seed: int) -> dict:
        rng = np.random.default_rng(seed)
        limits = [pima.Parameter(name, lower=0) for name in ("E", "s", "h")]
        law, t = pima.SympyExpert("s * tanh(E * t / s) + h * t", "t", parameters=limits), np.linspace(0.0, 0.1, points)
        centre = np.log([2000.0, 40.0, 150.0]) + rng.normal(0, 0.4, (clusters, 3))
        label = rng.integers(0, clusters, specimens)
        phi = centre[label] + rng.normal(0, 0.06, (specimens, 3))
        y = law.value_and_jacobian(t, np.exp(phi))[0] + rng.normal(0, 0.5, (specimens, points))
        curves = MeasuredCurves(law, law.bounds(t), t[None], y, np.ones_like(y), phi[:, None] + 0.02)
        scatter = np.repeat(0.06**2 * np.eye(3)[None], clusters, 0)
        start = Population(
            centre + 0.01, scatter, np.full(clusters, 0.25), scatter[0], centre.mean(0), 0.2 * np.eye(3), 0.25
        )
        populations = Populations(np.full(clusters, -np.log(clusters)), 0.01, {"y": start})
        first = curves.fitted(centre, root_of(scatter), label, np.full(specimens, 4.0), curves.starts, 20)
        information = {"y": first}
        found = expect(information, populations)
        renewal = Renewal({"y": curves}, populations, found)
        fresh = maximise(information, populations, found)
        steps = {
            "maximise": lambda: maximise(information, populations, found),
            "own fits": lambda: renewal.fits(information, fresh),
            "expect": lambda: expect(information, fresh),
            "integrals": lambda: renewal.integrals(information, fresh, found),
        }
        out = {}
        for name, step in steps.items():
            step()
            began = time.process_time()
            step()
            out[f"{name}, CPU s"] = round(time.process_time() - began, 3)
            tracemalloc.start()
            step()
            out[f"{name}, peak of the curves' bytes"] = round(tracemalloc.get_traced_memory()[1] / y.nbytes, 2)
            tracemalloc.stop()
        return out

    for seed in range(3):
        yield {"seed": seed}, lambda s=seed: run(s)


CASES = {
    "perovskite": perovskite, "macfp": macfp, "strangers": strangers, "simulated": simulated, "m_step": m_step,
}  # fmt: skip


def main() -> None:
    """Run what is not there yet, and print the means of every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all by default")
    parser.add_argument("--minutes", type=float, default=60.0, help="processor time after which no run begins")
    asked = parser.parse_args()
    wanted = asked.cases or list(CASES)
    for name in wanted:
        there = [row["key"] for row in lines.read(RESULTS) if row["case"] == name]
        for key, run in CASES[name]():
            if key in there:
                continue
            if time.process_time() > 60.0 * asked.minutes:
                break
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
            more = bias(rows) if "off" in rows[0] and len(rows) > 1 else ""
            print(f"{name} {kept}: {means} ({len(rows)} runs){more}", flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
