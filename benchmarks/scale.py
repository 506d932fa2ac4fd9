"""Time and memory against the number of specimens N, clusters C and modalities D; resumes where it was stopped.

    python benchmarks/scale.py                        # N = 10^3, 10^4; C = 2 to 64; D = 2 to 8
    python benchmarks/scale.py --largest 1000000      # up to N = 10^6: hours, and 8 GB
    python benchmarks/scale.py --table                # only print what was measured before
    python benchmarks/scale.py --plot scale.png       # and draw it

Generated specimens of C populations: a curve of 50 points whose law is known, and D - 1 vectors of 16 numbers. Every
case runs in a process of its own and appends one line to benchmarks/results/scale.jsonl; one that is already there is
not repeated. Seconds are the processor's, so that other work beside it counts little; memory is the peak of the process
less what it held before it made data.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
import xarray as xr

import pima_toolkit as pima

RESULTS = Path(__file__).parent / "results" / "scale.jsonl"
#: Where the other two stand while one is varied.
N, C, D = 4000, 4, 2


def generated(specimens: int, clusters: int, modalities: int) -> xr.Dataset:
    """Specimens of populations whose slopes and vectors differ; float32, as cameras and testers write."""
    rng = np.random.default_rng(0)
    label = rng.integers(clusters, size=specimens)
    t = np.linspace(0.0, 1.0, 50)
    slope = 1.0 + 2.0 * label + 0.1 * rng.standard_normal(specimens)
    curve = (slope[:, None] * t + 0.05 * rng.standard_normal((specimens, 50))).astype(np.float32)
    variables = {"curve": (("specimen", "t"), curve)}
    for k in range(modalities - 1):
        centre = rng.standard_normal((clusters, 16)).astype(np.float32)
        vector = centre[label] + 0.3 * rng.standard_normal((specimens, 16), dtype=np.float32)
        variables[f"vector{k}"] = (("specimen", f"entry{k}"), vector)
    return xr.Dataset(variables, coords={"t": t, "label": ("specimen", label)})


def peak() -> float:
    """Largest resident memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def one(specimens: int, clusters: int, modalities: int) -> dict:
    """Fit once: three epochs, and one of the cross-modal encoders."""
    warm = generated(200, 2, 2)
    names = {f"vector{k}": pima.Neural() for k in range(modalities - 1)}
    first = pima.PIMA({"curve": pima.Physics("proportional"), "vector0": pima.Neural()}, 2, 3, inference="paper")
    first.fit(warm, epochs=1, progress=False)  # libraries and compiled code are not counted
    before = peak()
    data = generated(specimens, clusters, modalities)
    model = pima.PIMA(
        {"curve": pima.Physics("proportional"), **names}, clusters=clusters, latent_dim=3, inference="paper"
    )
    clock = [time.process_time()]
    fit = model.fit(
        data,
        epochs=3,
        crossmodal_epochs=1,
        precision="float32",
        callbacks=[lambda _: clock.append(time.process_time())],
        progress=False,
    )
    seconds = time.process_time() - clock[0]
    epochs = np.diff(clock[1:4])  # the first one holds the start of the clusters
    accuracy = pima.metrics.cluster_accuracy(data.label.values, fit.specimens.cluster.values)
    return {
        "seconds": seconds,
        "epoch": float(epochs.mean()),
        "rest": float(seconds - 3 * epochs.mean()),
        "memory": peak() - before,
        "data": data.nbytes / 1e6,
        "accuracy": 100 * accuracy,
    }


def cases(largest: int) -> list[tuple[int, int, int]]:
    """(N, C, D): each varied alone."""
    by_n = [(n, C, D) for n in (1000, 4000, 10_000, 100_000, 1_000_000) if n <= largest]
    return by_n + [(N, c, D) for c in (2, 16, 64)] + [(N, C, d) for d in (4, 8)]


def known() -> dict[tuple[int, int, int], dict]:
    """What was measured before."""
    return {tuple(row["case"]): row for row in lines.read(RESULTS)}


def measure(case: Sequence[int]) -> None:
    """Run one case in a process of its own and append its line."""
    command = [sys.executable, __file__, "--one", *map(str, case)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=one_thread)  # noqa: S603 - itself
    about = {
        "case": list(case),
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, 1 thread, load {os.getloadavg()[0]:.1f}",
        "torch": torch.__version__,
    }
    lines.append(RESULTS, about | json.loads(run.stdout.splitlines()[-1]))


def table() -> str:
    """All that was measured, as Markdown."""
    rows = [
        "| N | C | D | epoch, CPU s | all else, CPU s | memory, MB | data, MB | accuracy, % |",
        "|" + " ---: |" * 8,
    ]
    for (n, c, d), r in sorted(known().items()):
        numbers = f"{r['epoch']:.2f} | {r['rest']:.1f} | {r['memory']:.0f} | {r['data']:.1f} | {r['accuracy']:.1f}"
        rows.append(f"| {n} | {c} | {d} | {numbers} |")
    return "\n".join(rows)


def plot(path: Path) -> None:
    """Seconds of an epoch and memory against N, C and D."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots(2, 3, sharey="row")
    names = ("specimens N", "clusters C", "modalities D")
    for k, (name, column) in enumerate(zip(names, axes.T, strict=True)):
        fixed = [(N, C, D)[j] for j in range(3) if j != k]
        found = {case[k]: r for case, r in known().items() if [case[j] for j in range(3) if j != k] == fixed}
        x = sorted(found)
        for axis, what, label in zip(column, ("epoch", "memory"), ("CPU s an epoch", "memory, MB"), strict=True):
            axis.loglog(x, [max(found[v][what], 1e-3) for v in x], "o-")
            axis.set(xlabel=name, ylabel=label if k == 0 else None)
            if k:  # few and small: each by its number
                axis.set_xticks(x, [str(v) for v in x])
                axis.set_xticks([], minor=True)
    figure.savefig(path)


def main() -> None:
    """Measure the cases that are not known yet, print the table, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=10_000, help="largest N")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    parser.add_argument("--plot", type=Path, help="draw it to this file")
    parser.add_argument("--one", nargs=3, type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(one(*asked.one)))  # noqa: T201
        return
    for case in [] if asked.table else cases(asked.largest):
        if case not in known():
            measure(case)
    print(table())  # noqa: T201
    if asked.plot:
        plot(asked.plot)


if __name__ == "__main__":
    main()
