"""Laws made of others: whether what they find is true, how often their intervals hold it, and how long it takes.

    python benchmarks/laws.py                       # peaks, relations, elastic and plastic strain, on generated curves
    python benchmarks/laws.py --peaks peaks.png     # instead: diffraction patterns of the folder PIMA_DATA
    python benchmarks/laws.py --tension plastic.png # instead: measured tension of steel 304L

Peaks: patterns of 12 pseudo-Voigt peaks at least 2 degrees apart, heights 100 to 1000 over noise of 5; whether 12 are
found, the share of all true parameters inside the 90 % intervals, and CPU seconds of one thread, warm. Relations: two
decays that keep their order, intervals of their ratio and their area. Elastic and plastic strain: Voce's law over total
strain, the modulus fitted. One line is appended to benchmarks/results/laws.jsonl.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import lines
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import pima_toolkit as pima

RESULTS = Path(__file__).parent / "results" / "laws.jsonl"
#: Curves of each kind.
PATTERNS, CURVES = 100, 1000
#: Where the (110) line of the body-centred iron phase lies, in degrees.
LINE = (44.0, 45.4)


def cpu(act: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    act()
    return time.process_time() - begun


def peaks(points: int) -> dict[str, float]:
    """Twelve peaks on a sloping background."""
    rng, x, law = np.random.default_rng(0), np.linspace(10, 90, points), pima.peaks(12)
    fit, find, held, right = [], [], [], []
    for _ in range(PATTERNS):
        centres = np.sort(rng.uniform(14, 86, 12))
        while np.diff(centres).min() < 2:
            centres = np.sort(rng.uniform(14, 86, 12))
        own = [rng.uniform(100, 1000, 12), centres, rng.uniform(0.3, 0.6, 12), rng.uniform(0.2, 0.8, 12)]
        theta = np.concatenate([[30.0, 0.2], np.stack(own, 1).ravel()])
        y = law.value_and_jacobian(x, theta)[0] + 5.0 * rng.normal(size=points)
        fit.append(cpu(lambda y=y: law.fit(x, y)))
        find.append(cpu(lambda y=y: pima.find_peaks(x, y)))
        right.append(pima.find_peaks(x, y).count == 12)
        table = law.fit(x, y).parameters.isel(cluster=0)
        held.append((table.low.values <= theta) & (theta <= table.high.values))
    return {
        "points": points,
        "fit_seconds": statistics.median(fit[1:]),
        "slowest_fit": max(fit[1:]),
        "find_seconds": statistics.median(find[1:]),
        "right_number": float(np.mean(right)),
        "coverage": float(np.mean(held)),
    }


def relations() -> dict[str, float]:
    """Ratio and area of two decays in order, by ``derive``."""
    low = dict.fromkeys(("a_1", "a_2", "tau_1", "tau_2"), (0, None))
    law = pima.SympyExpert("a_1*exp(-t/tau_1) + a_2*exp(-t/tau_2)", bounds=low).related("tau_1 < tau_2")
    rng, t, held = np.random.default_rng(1), np.linspace(0, 10, 80), []
    clean = 2 * np.exp(-t / 0.5) + np.exp(-t / 3)
    for _ in range(CURVES):
        found = law.fit(t, clean + 0.02 * rng.normal(size=t.size), start=[2.0, 0.5, 1.0, 2.5])
        table = found.derive({"ratio": "tau_2/tau_1", "area": "a_1*tau_1 + a_2*tau_2"}).isel(cluster=0)
        held.append((table.low.values <= [6.0, 4.0]) & (table.high.values >= [6.0, 4.0]))
    return dict(zip(("ratio", "area"), np.mean(held, 0).tolist(), strict=True))


def elastic_plastic() -> dict[str, float]:
    """Voce's law over the total strain, the modulus fitted."""
    law, truth, held = pima.get_expert("elastic(E) + voce"), np.array([70e3, 120, 180, 0.05]), []
    t = np.concatenate([np.linspace(0, 0.004, 15), np.linspace(0.005, 0.15, 45)])
    rng, clean = np.random.default_rng(2), law.value_and_jacobian(t, truth)[0]
    for _ in range(CURVES):
        table = law.fit(t, clean + rng.normal(size=t.size)).parameters.isel(cluster=0)
        shown = law.to_reported(truth)
        held.append((table.low.values <= shown) & (shown <= table.high.values))
    return dict(zip((p.name for p in law.reported), np.mean(held, 0).tolist(), strict=True))


def plot_tension(path: Path) -> None:
    """The slowest tests of a steel with laws of hardening, as measured and over total engineering strain."""
    data = pima.datasets.metal_tension("304L")
    slowest = np.flatnonzero(data["strain_rate"].values == data["strain_rate"].values.min())
    figure, axes = plt.subplots(2, 1, figsize=(6.8, 5.4), sharex=True, height_ratios=(2, 1), layout="constrained")
    for name in ("voce", "ludwik", "swift"):
        for text in (name, f"engineering(elastic(200e3) + {name})"):
            law, left, shown = pima.get_expert(text), [], []
            for k in slowest:
                t, y = data["strain"].values[k], data["stress"].values[k]
                seen = np.isfinite(t) & np.isfinite(y)
                found = law.fit(t[seen], y[seen])
                left.append(np.sqrt(found.cost[0] / seen.sum()))
                shown.append(found.parameters.value.values[0])
            numbers = ", ".join(
                f"{p.name} {v:.4g}" for p, v in zip(law.reported, np.median(shown, axis=0), strict=True)
            )
            print(f"{text}: misses {len(left)} curves by {np.median(left):.1f} MPa; {numbers}")  # noqa: T201
            if name == "voce":
                fine, style = np.linspace(0, t[seen].max(), 800), {"ls": "--" if text == name else "-", "lw": 1.2}
                axes[0].plot(fine, law.value_and_jacobian(fine, found.fitted[0])[0], label=text, **style)
                axes[1].plot(t[seen], y[seen] - law.value_and_jacobian(t[seen], found.fitted[0])[0], **style)
    axes[0].plot(t[seen], y[seen], ".", color="0.4", ms=4, label="measured, 304L at 1e-4 1/s", zorder=0)
    axes[0].set(ylabel="engineering stress (MPa)", ylim=(0, None))
    axes[0].legend(fontsize=8, loc="lower right")
    axes[1].axhline(0, color="0.4", lw=0.8)
    axes[1].set(xlabel="engineering strain", ylabel="measured less law (MPa)", ylim=(-45, 45))
    figure.savefig(path, dpi=130)


def plot_peaks(path: Path) -> None:
    """Three patterns with their peaks, and where the iron phase's line is over the content of gallium."""
    data = xr.open_dataset(Path(os.environ["PIMA_DATA"]) / "fegapd" / "fegapd.nc").load()
    x, gallium = data["two_theta"].values, data["composition"].sel(element="Ga").values
    figure = plt.figure(figsize=(9.6, 6.2), layout="constrained")
    axes = figure.subplot_mosaic([["a", "b", "c"], ["line", "line", "line"]])
    for axis, k in zip((axes[key] for key in "abc"), (100, 201, 226), strict=True):
        y = data["xrd"].values[k].astype(float)
        law = pima.find_peaks(x, y)
        theta = law.fit(x, y).fitted[0]
        axis.plot(x, y, color="0.7", lw=0.6)
        base = np.polyval(theta[1::-1], (x - law.offset) / law.scale)
        for own in theta[2:].reshape(law.count, 4):
            axis.fill_between(x, base, base + law.shape.value_and_jacobian(x, own)[0], alpha=0.35, lw=0)
        axis.plot(x, law.value_and_jacobian(x, theta)[0], color="k", lw=1.0)
        axis.set(title=f"place {k}: {law.count} peaks", xlabel="2θ (degrees)")
    axes["a"].set_ylabel("counts")
    counts = np.zeros(len(gallium), dtype=int)
    places, begun = [], time.process_time()
    for k, y in enumerate(data["xrd"].values.astype(float)):
        law = pima.find_peaks(x, y)
        counts[k] = law.count
        table = law.fit(x, y).parameters.isel(cluster=0).set_index(parameter="parameter")
        lines_there = [
            (float(table.value.sel(parameter=f"A_{j}")), k, float(row.value), float(row.std_error))
            for j in range(1, law.count + 1)
            if LINE[0] <= float((row := table.sel(parameter=f"mu_{j}")).value) <= LINE[1] and row.std_error < 0.1
        ]
        places += [max(lines_there)[1:]] if lines_there else []
    index, centre, error = (np.array(part) for part in zip(*places, strict=True))
    region = data["phase_region"].values[index.astype(int)]
    for value in np.unique(region):
        here = region == value
        kept = index[here].astype(int)
        axes["line"].errorbar(
            gallium[kept], centre[here], error[here], fmt="o", ms=3, lw=0.8, label=f"computed phase region {value}"
        )
    axes["line"].set(xlabel="share of gallium", ylabel="strongest line at 44.0 to 45.4 degrees")
    axes["line"].legend(fontsize=8)
    figure.savefig(path, dpi=130)
    print(f"{len(counts)} patterns, {counts.min()} to {counts.max()} peaks, {time.process_time() - begun:.0f} CPU s")  # noqa: T201


def measure() -> None:
    """All three on generated curves."""
    row = {"date": date.today().isoformat(), "peaks": [peaks(1000), peaks(2000)]}
    row |= {"relations": relations(), "elastic_plastic": elastic_plastic()}
    print(row)  # noqa: T201 - a benchmark prints
    lines.append(RESULTS, row)


def main() -> None:
    """Measure and append one line, or draw."""
    parser = argparse.ArgumentParser(description="Laws made of others: found again, held by their intervals, timed.")
    parser.add_argument("--peaks", type=Path, help="draw measured diffraction patterns into this file instead")
    parser.add_argument("--tension", type=Path, help="draw measured tension curves into this file instead")
    asked = parser.parse_args()
    if asked.peaks is not None:
        plot_peaks(asked.peaks)
    elif asked.tension is not None:
        plot_tension(asked.tension)
    else:
        measure()


if __name__ == "__main__":
    main()
