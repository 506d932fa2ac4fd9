"""Do intervals hold what they say? Coverage of nominal 90 % intervals, cell by cell.

    python benchmarks/interval_coverage.py                    # every case; a cell that is there already is not repeated
    python benchmarks/interval_coverage.py experts            # one case
    python benchmarks/interval_coverage.py experts --minutes 10

experts: `expert.fit` on curves of a few specimens that differ; beside it what lmfit and scipy say of the same points,
value ± t times standard error, which take all points for independent. populations: `PIMA.fit` on three populations of
lines that overlap, separated by 2 to 3.5 standard deviations, against the truth of each. noises: `expert.fit(noise=)`
on curves whose noise is of each kind, one alone and five of a population; beside it the fit under constant noise.
Specimens are drawn normal in the unbounded parameters; what an interval is to hold are the parameters of the middle
one. Every cell appends one line to benchmarks/results/coverage.jsonl.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import lines
import numpy as np
import scipy.optimize
import scipy.stats
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import PimaWarning

RESULTS = Path(__file__).parent / "results" / "coverage.jsonl"
LEVEL, SETS, BESIDE, MIXTURES = 0.9, 300, 100, 150
Cell = tuple[dict, Callable[[], dict]]


def inside(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Whether an interval holds the truth."""
    return (low <= truth) & (truth <= high)


def others(law: pima.Expert, t: np.ndarray, y: np.ndarray, start: np.ndarray, truth: np.ndarray) -> tuple:
    """Whether the intervals of lmfit and of scipy's curve_fit hold the fitted parameters, all points in one fit."""
    flat, points = np.tile(t, len(y)), y.reshape(-1)
    quantile = scipy.stats.t.ppf(0.5 * (1 + LEVEL), points.size - len(start))
    model = law.to_lmfit()
    names = [p.name for p in law.parameters]
    result = model.fit(points, model.make_params(**dict(zip(names, start, strict=True))), **{law.t: flat})
    error = np.array([result.params[name].stderr or np.nan for name in names])
    value = np.array([result.params[name].value for name in names])
    by_lmfit = np.abs(value - truth) <= quantile * error

    def curve(x: np.ndarray, *theta: float) -> np.ndarray:
        return law.value_and_jacobian(x, np.array(theta))[0]

    bounds = law.bounds(t)
    value, covariance = scipy.optimize.curve_fit(curve, flat, points, start, bounds=(bounds.lower, bounds.upper))
    return by_lmfit, np.abs(value - truth) <= quantile * np.sqrt(np.diag(covariance))


def experts() -> Iterator[Cell]:
    """Curves of N specimens of one population."""
    for name in ("affine", "linear_hardening", "hollomon", "voce"):
        law = pima.get_expert(name)
        example = pima.experts.example_of(law)
        t = np.linspace(max(example.grid[0], 1e-3 * example.grid[-1]), example.grid[-1], 50)
        theta, bounds = example.theta(law.parameters), law.bounds(t)
        bounded = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
        centre, size = bounds.to_unbounded(theta), np.where(bounded, 1.0, np.abs(theta))
        noise = 0.01 * np.abs(law.value_and_jacobian(t, theta)[0]).max()

        def run(
            specimens: int,
            scatter: float,
            law: pima.Expert = law,
            t: np.ndarray = t,
            theta: np.ndarray = theta,
            bounds: pima.experts.Bounds = bounds,
            centre: np.ndarray = centre,
            size: np.ndarray = size,
            noise: float = noise,
        ) -> dict:
            held, own_held, beside = [], [], []
            truth = law.to_reported(theta)
            for k in range(SETS):
                rng = np.random.default_rng([k, specimens, round(100 * scatter)])
                own = bounds.from_unbounded(centre + scatter * size * rng.standard_normal((specimens, len(theta))))
                y = law.value_and_jacobian(t, own)[0] + noise * rng.standard_normal((specimens, len(t)))
                solution = law.fit(t, y)
                table, each = solution.parameters, solution.specimens
                held.append(inside(table.low.values[0], table.high.values[0], truth))
                own_held.append(inside(each.low.values, each.high.values, law.to_reported(own)).mean(0))
                if k < BESIDE:
                    beside.append(others(law, t, y, solution.fitted[0], theta))
            names = [p.name for p in law.reported]
            lmfit, scipy_ = np.mean(beside, axis=0)
            return {
                "sets": SETS,
                "held": dict(zip(names, np.mean(held, 0).round(4).tolist(), strict=True)),
                "specimens_held": dict(zip(names, np.mean(own_held, 0).round(4).tolist(), strict=True)),
                "lmfit_held": dict(zip([p.name for p in law.parameters], lmfit.round(4).tolist(), strict=True)),
                "scipy_held": dict(zip([p.name for p in law.parameters], scipy_.round(4).tolist(), strict=True)),
            }

        for specimens in (2, 3, 5, 10, 50):
            for scatter in (0.05, 0.2):
                key = {"law": name, "specimens": specimens, "scatter": scatter}
                yield key, lambda n=specimens, s=scatter, run=run: run(n, s)


def populations() -> Iterator[Cell]:
    """Three populations of lines through the origin, their slopes one apart, scattered by one over d."""
    t = np.linspace(0.1, 1.0, 10)

    def run(specimens: int, apart: float) -> dict:
        held = []
        for k in range(MIXTURES):
            rng = np.random.default_rng([k, specimens, round(10 * apart)])
            label = rng.integers(0, 3, specimens)
            slope = 5.0 + label + rng.standard_normal(specimens) / apart
            y = slope[:, None] * t + 0.02 * rng.standard_normal((specimens, 10))
            data = xr.Dataset({"y": (("specimen", "t"), y)}, coords={"t": t})
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PimaWarning)
                fit = pima.PIMA({"y": pima.Physics("proportional")}, 3).fit(data, seed=k, progress=False)
            table = fit.parameters.sortby(fit.parameters.value[:, 0])
            held.append(inside(table.low.values[:, 0], table.high.values[:, 0], np.array([5.0, 6.0, 7.0])))
        return {"sets": MIXTURES, "held": dict(zip("abc", np.mean(held, 0).round(4).tolist(), strict=True))}

    for apart in (2.0, 2.5, 3.5):
        for specimens in (60, 240):
            yield {"separation": apart, "specimens": specimens}, lambda n=specimens, d=apart: run(n, d)


def scattered(kind: str, value: np.ndarray, t: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Curves with noise of a kind, of the order of ``size``.

    Args:
        kind: A noise model's name.
        value: Curves, shape (N, T).
        t: Grid, shape (T,).
        size: Of the noise, in the unit of the curves.
        rng: Of the draws.
    """
    white = rng.standard_normal(value.shape)
    apart = np.abs(t[:, None] - t) / np.ptp(t)
    if kind == "proportional":
        return value + white * np.sqrt((0.3 * size) ** 2 + (0.02 * value) ** 2)
    if kind == "robust":
        return value + size * rng.standard_t(3, value.shape)
    if kind == "autocorrelated":
        return value + size * white @ np.linalg.cholesky(np.exp(-apart / 0.05)).T
    if kind == "misfit":
        smooth = np.linalg.cholesky(np.exp(-0.5 * np.square(apart / 0.1)) + 1e-9 * np.eye(len(t)))
        return value + size * (white + 2.0 * rng.standard_normal(value.shape) @ smooth.T)
    return value + size * white


def noises() -> Iterator[Cell]:
    """Curves with noise of every kind, one alone or five of a population, fitted under the noise model of the kind."""
    for kind in ("constant", "proportional", "robust", "autocorrelated", "misfit"):
        for name in ("linear_hardening", "voce"):
            for specimens in (1, 5):
                key = {"noise": kind, "law": name, "specimens": specimens}
                yield key, lambda k=kind, law=name, n=specimens: noisy(k, pima.get_expert(law), n)


def noisy(kind: str, law: pima.Expert, specimens: int, first: int = 0, sets: int = SETS) -> dict:
    """Coverage of one law under one kind of noise; beside it that of the fit under constant noise."""
    example = pima.experts.example_of(law)
    t = np.linspace(max(example.grid[0], 1e-3 * example.grid[-1]), example.grid[-1], 60)
    theta, bounds = example.theta(law.parameters), law.bounds(t)
    bounded = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    centre, size = bounds.to_unbounded(theta), np.where(bounded, 1.0, np.abs(theta))
    noise, truth = 0.01 * np.abs(law.value_and_jacobian(t, theta)[0]).max(), law.to_reported(theta)
    held, plain, own_held = [], [], []
    for k in range(first, first + sets):
        rng = np.random.default_rng([k, specimens, 7, sum(map(ord, kind))])
        scatter = 0.05 * size * rng.standard_normal((specimens, len(theta))) * (specimens > 1)
        own = bounds.from_unbounded(centre + scatter)
        y = scattered(kind, law.value_and_jacobian(t, own)[0], t, noise, rng)
        y = y[0] if specimens == 1 else y
        for of, out in ((kind, held), ("constant", plain)):
            solution = law.fit(t, y, noise=of)
            table = solution.parameters
            out.append(inside(table.low.values[0], table.high.values[0], truth))
            if of == kind and specimens > 1 and len(own_held) < len(held):
                each = solution.specimens
                own_held.append(inside(each.low.values, each.high.values, law.to_reported(own)).mean(0))
    names = [p.name for p in law.reported]
    shares = {"held": held, "constant_held": plain, "specimens_held": own_held}
    rows = {
        what: dict(zip(names, np.mean(rows, 0).round(4).tolist(), strict=True)) for what, rows in shares.items() if rows
    }
    return {"sets": sets, **rows}


CASES = {"experts": experts, "populations": populations, "noises": noises}


def main() -> None:
    """Run what is not there yet, and print every cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="all by default")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no cell after so many minutes")
    options = parser.parse_args()
    started = time.perf_counter()
    for name in options.cases or list(CASES):
        for key, run in CASES[name]():
            kept = [row for row in lines.read(RESULTS) if row["case"] == name and row["key"] == key]
            if not kept and time.perf_counter() - started < 60 * options.minutes:
                began = time.process_time()
                scores = run()
                about = {"seconds": round(time.process_time() - began, 1), "date": date.today().isoformat()}
                kept = [{"case": name, "key": key, **scores, **about, "machine": platform.machine()}]
                lines.append(RESULTS, kept[0])
            for row in kept:
                shares = "; ".join(
                    f"{what} {' '.join(f'{100 * v:.0f}' for v in row[what].values())}" for what in row if "held" in what
                )
                print(f"{name} {key}: {shares} % of {row['sets']}", flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
