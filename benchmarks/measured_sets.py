"""Predictions on measured data that no default was chosen on, beside simple methods on the same folds.

    python benchmarks/measured_sets.py                     # every task and fold that is not there yet
    python benchmarks/measured_sets.py severson macfp      # some sets
    python benchmarks/measured_sets.py --table             # only print what was measured before

macfp: mass against temperature from material, gas and heating rate, one laboratory left out; fegapd: diffraction
pattern, or magnetisation, from composition, random folds and regions left out; severson: the logarithm of the cycle
life from early discharge, a test set of the same batch and one of another; pvcracks: current against voltage, and
power, from luminescence pictures, one cell left out. All curves and numbers by Physics("principal_curves"), one
population, seed 0, no option set but the groups. The data need the folder in PIMA_DATA; its PROVENANCE.md files say
what is in each.
Every fold appends a line to benchmarks/results/measured_sets.jsonl; nothing was chosen by them.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
import xarray as xr

import pima_toolkit as pima

RESULTS = Path(__file__).parent / "results" / "measured_sets.jsonl"


@dataclass(frozen=True)
class Task:
    """One prediction from some variables to another.

    Args:
        data: Variables of all specimens.
        given: Names that are predicted from.
        target: Name that is predicted.
        folds: By name, the specimens learned from and those asked about, bool (specimen,) each.
        groups: Coordinate whose specimens are held out together inside a fit; None: every specimen by itself.
    """

    data: xr.Dataset
    given: list[str]
    target: str
    folds: dict[str, tuple[np.ndarray, np.ndarray]]
    groups: str | None = None


def opened(name: str) -> xr.Dataset:
    """A set of the folder in PIMA_DATA."""
    return xr.load_dataset(Path(os.environ["PIMA_DATA"]) / name / f"{name}.nc")


def left_out(values: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A fold for each value."""
    return {str(value): (values != value, values == value) for value in np.unique(values)}


def macfp() -> Iterator[tuple[str, Task]]:
    """Thermogravimetry of two materials in 21 laboratories."""
    data = opened("macfp")
    columns = [data.material.values == "wood", data.gas.values == "Ar", data.oxygen.values]
    settings = np.stack([*columns, np.log10(data.heating_rate.values)], 1).astype(float)
    data = data.assign(settings=(("specimen", "setting"), settings))
    yield "mass from settings", Task(data, ["settings"], "mass_fraction", left_out(data.lab.values), "lab")


def fegapd() -> Iterator[tuple[str, Task]]:
    """An alloy spread: pattern and magnetisation at 278 places."""
    data = opened("fegapd").drop_vars("element")
    for fold, groups in (("fold", None), ("block", "block")):
        for target in ("xrd", "magnetisation"):
            name = f"{target} from composition, {'random folds' if groups is None else 'regions left out'}"
            yield name, Task(data, ["composition"], target, left_out(data[fold].values), groups)


def severson() -> Iterator[tuple[str, Task]]:
    """Battery cells: 41 to learn from, two sets to be asked about."""
    data = opened("severson").assign(life=lambda d: np.log10(d.cycle_life))
    learned = data.split.values == "train"
    folds = {s: (learned, (data.split.values == s) & ~data.excluded.values) for s in ("test1", "test2")}
    for given in ("discharge_change", "discharge_100", "policy"):
        yield f"log10 of the cycle life from {given}", Task(data, [given], "life", folds)


def pvcracks() -> Iterator[tuple[str, Task]]:
    """Nine solar cells before and after two steps of cracking."""
    data = opened("pvcracks")
    data = data.assign(
        picture=data.electroluminescence.astype(np.float32), power=(data.maximum_power * 1e3).assign_attrs(units="mW")
    )
    for target in ("current", "power"):
        yield f"{target} from pictures", Task(data, ["picture"], target, left_out(data.cell.values), "cell")


SETS = {"macfp": macfp, "fegapd": fegapd, "severson": severson, "pvcracks": pvcracks}


def scored(truth: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, float]:
    """Error, and share and width of the 90 % band, over measured points."""
    seen = np.isfinite(truth)
    inside = (truth >= low) & (truth <= high)
    return {
        "rmse": float(np.sqrt(np.mean((value - truth)[seen] ** 2))),
        "coverage": 100 * float(inside[seen].mean()),
        "band_width": float((high - low)[seen].mean()),
    }


def fitted(task: Task, fold: str) -> dict:
    """The fit's own answer about one fold."""
    learn, ask = (task.data.isel(specimen=rows) for rows in task.folds[fold])
    model = pima.PIMA(
        {**{name: pima.Neural() for name in task.given}, task.target: pima.Physics("principal_curves")}, clusters=1
    )
    began = time.process_time()
    fit = model.fit(learn[[*task.given, task.target]], seed=0, groups=task.groups, progress=False)
    seconds = time.process_time() - began
    answer = fit.infer(ask[task.given], predict=task.target)
    parts = (answer[f"{task.target}{end}"].values for end in ("", "_low", "_high"))
    said = fit.record.facts.get("held_out", {}).get(task.target)
    told = {} if said is None else {"held_out_rmse": said["rmse"], "held_out_coverage": 100 * said["coverage"]}
    return {**scored(ask[task.target].values.astype(float), *parts), **told, "cpu_seconds": seconds}


def simple(task: Task, fold: str) -> dict:
    """Every method of pima.baselines about one fold."""
    learn, ask = task.folds[fold]
    kept = task.data.reset_coords()[[*task.given, task.target, *([task.groups] if task.groups else [])]]
    held = np.where(ask, 0, np.where(learn, -1, -2))
    data = kept.isel(specimen=held > -2).assign_coords(held=("specimen", held[held > -2]))
    return lines.of_baselines(pima.baselines(data, task.target, task.given, groups=task.groups, folds="held"))


def table(names: list[str]) -> None:
    """Mean and standard deviation over folds of each task and method."""
    rows = [row for row in lines.read(RESULTS) if row["set"] in names]
    for key in dict.fromkeys((row["set"], row["task"]) for row in rows):
        own = [row for row in rows if (row["set"], row["task"]) == key]
        methods: dict[str, list[dict]] = {"this fit": [row["fit"] for row in own]}
        for name in own[0]["simple"]:
            methods[name] = [row["simple"][name] for row in own if name in row["simple"]]
        print(f"{key[0]}, {key[1]} ({len(own)} folds)")  # noqa: T201 - a program
        for name, found in methods.items():
            error, held = (np.array([one[k] for one in found]) for k in ("rmse", "coverage"))
            about = f"{error.mean():.4g} ± {error.std():.2g}, {held.mean():.0f} ± {held.std():.0f} % in the band"
            print(f"  {name:<14} {about}, each {np.round(error, 4).tolist()}")  # noqa: T201 - a program


def main() -> None:
    """Run what is not there yet, and print the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", choices=[*SETS, []], help="all by default")
    parser.add_argument("--table", action="store_true", help="only print what was measured before")
    asked = parser.parse_args()
    names = asked.sets or list(SETS)
    machine = f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"
    known = {(row["set"], row["task"], row["fold"]) for row in lines.read(RESULTS)}
    for name in [] if asked.table else names:
        for about, task in SETS[name]():
            for fold in task.folds:
                if (name, about, fold) in known:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", pima.PimaWarning)
                    row = {"fit": fitted(task, fold), "simple": simple(task, fold)}
                when = {"date": date.today().isoformat(), "machine": machine}
                lines.append(RESULTS, {"set": name, "task": about, "fold": fold, **row, **when})
    table(names)


if __name__ == "__main__":
    main()
