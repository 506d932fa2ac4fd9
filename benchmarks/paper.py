"""The paper's section 3 again, with one command: Table 1, Figures 3 to 6, what each choice adds, and more.

    python benchmarks/paper.py                  # MNIST, 10 seeds: several hours on 2 cores; stop and start it at will
    python benchmarks/paper.py --quick          # scikit-learn's digits, 1 seed: 3 minutes
    python benchmarks/paper.py --only "no physics" --seeds 5
    python benchmarks/paper.py --together 2     # two runs side by side, each with a share of the processors
    python benchmarks/paper.py --table          # only print and draw what was measured before

Every run appends one line to benchmarks/results/paper.jsonl and is not repeated; a run that was killed goes on from its
last epoch. Fits of seed 0, figures and the report paper-DATASET.html are kept in benchmarks/results/paper/. Labels
score the results; they choose nothing. MNIST is found in the folder PIMA_DATA, or downloaded (11 MB).
"""

from __future__ import annotations

import argparse
import fcntl
import multiprocessing
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
from paper_cases import PAPER, TIME_OF_THE_PAPER, Case, cases, run
from paper_figures import all_figures

import pima_toolkit as pima
from pima_toolkit.report.page import Picture, Section, Table, write_page

RESULTS = Path(__file__).parent / "results" / "paper.jsonl"
KEPT = Path(__file__).parent / "results" / "paper"
#: Columns of the printed tables: key of a result, heading, digits.
ACCURACY = (("both", "both, %", 2), ("image", "picture, %", 2), ("line", "curve, %", 2))
COLUMNS = {
    "table": (*ACCURACY, ("line_bayes", "Bayes limit of the line, %", 2), ("centroid", "picture by eq. 20, %", 2)),
    "latent": ACCURACY,
    "ablation": (*ACCURACY, ("curve_rmse", "RMSE of curves from pictures", 4)),
    "missing": (*ACCURACY, ("curve_rmse", "RMSE of curves from pictures", 4)),
    "no physics": (("image", "picture, %", 2),),
    "lattice": (*ACCURACY, ("curve_rmse", "RMSE of curves from pictures, MPa", 3)),
    "order": (("order", "latent order", 3), ("order_shuffled", "shuffled", 3), ("order_shuffled_95", "its 95 %", 3)),
}
#: What the rows of a group are compared with: cases of other groups.
WHOLE = {"ablation": ("variance 0.5",), "missing": ("variance 0.5", "lattice")}
TITLES = {
    "table": "Table 1",
    "latent": "Figure 3: latent sizes",
    "ablation": "What each choice adds: ours with one of the paper's in its place, lines of variance 0.5",
    "missing": "Training with measurements missing",
    "no physics": "Pictures alone, no physics",
    "lattice": "Lattices (generated; the paper's are not public)",
    "order": "Latent order: rank correlation of distances of centres and of curves, against shuffled clusters",
}


def say(*words: object) -> None:
    """A benchmark prints."""
    print(*words, flush=True)  # noqa: T201


@contextmanager
def alone() -> Iterator[None]:
    """Two processes writing the same results would repeat each other's runs: the second is refused."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another paper.py writes to {KEPT}: wait for it, or stop it")
        yield


def slug(data_set: str, case: Case) -> str:
    """Name of a case's files."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in f"{data_set} {case.name.removeprefix(data_set)}")
    return "-".join(part for part in kept.split("-") if part)


def summary(rows: Sequence[dict], key: str, digits: int) -> str:
    """Mean ± std and best of a number over the seeds."""
    values = [row[key] for row in rows if key in row]
    if not values:
        return ""
    mean = f"{np.mean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    best = min(values) if "rmse" in key else max(values)
    return f"{mean} ± {np.std(values):.{digits}f}, best {best:.{digits}f}"


def tables(rows: Sequence[dict], plan: Sequence[Case]) -> Iterator[tuple[str, Table]]:
    """One table of each group that has results, the paper's figures beside ours."""
    for group, columns in COLUMNS.items():
        named = [case.name for case in plan if case.group == ("table" if group == "order" else group)]
        compared = WHOLE.get(group, ())
        found = {name: [row for row in rows if row["case"] == name] for name in [*compared, *named]}
        found = {name: runs for name, runs in found.items() if runs}
        if not found.keys() - set(compared):
            continue
        head = ["", "runs", *(title for _, title, _ in columns), "seconds a run", "the paper"]
        body = []
        for name, runs in found.items():
            cells = [summary(runs, key, digits) for key, _, digits in columns]
            said = [f"{title.split(',')[0]} {PAPER[name, key]}" for key, title, _ in columns if (name, key) in PAPER]
            # A run beside others says nothing of the time of one.
            alone_in_time = [row["seconds"] for row in runs if row["together"] == 1]
            seconds = f"{np.median(alone_in_time):.0f}" if alone_in_time else ""
            body.append([name, str(len(runs)), *cells, seconds, "; ".join(said) if group != "order" else ""])
        yield group, Table(head, body)


def show(rows: Sequence[dict], plan: Sequence[Case]) -> None:
    """Print the tables."""
    for group, table in tables(rows, plan):
        say(f"\n{TITLES[group]}")
        widths = [max(len(row[k]) for row in [table.head, *table.rows]) for k in range(len(table.head))]
        for row in [table.head, *table.rows]:
            say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    say(f"\nA run of the paper took {TIME_OF_THE_PAPER}.")


def write_report(rows: Sequence[dict], plan: Sequence[Case], data_set: str) -> Path:
    """Tables and figures as one HTML file, and the figures as files beside it."""
    fits = {}
    for case in plan:
        path = KEPT / f"{slug(case.data(data_set), case)}.pima"
        if path.exists() and case.group in ("table", "latent", "lattice"):
            fits[case.name] = pima.load(path)
    sections = [Section(TITLES[group], tables=[table]) for group, table in tables(rows, plan)]
    figures = Section("Figures")
    for drawn in all_figures(fits, rows, data_set):
        pima.save_figure(drawn.figure, KEPT / f"{data_set}-{drawn.name}.png")
        figures.figures.append(Picture(lambda figure=drawn.figure: figure, drawn.words))
    machines = sorted({f"{row['machine']}, {row['date']}" for row in rows})
    sections.append(figures)
    sections.append(Section("Machine", [*machines, f"A run of the paper took {TIME_OF_THE_PAPER}."]))
    return write_page(
        KEPT / f"paper-{data_set}.html",
        title=f"The paper's experiments on {data_set}",
        subtitle=f"pima_toolkit against Trask, Martinez, Lee, Boyce 2022; {len(rows)} runs, labels used only to score",
        cautions=["The lattices are generated, not measured."],
        sections=sections,
    )


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="scikit-learn's digits instead of MNIST, one seed")
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="cases or groups of this beginning")
    parser.add_argument("--seeds", type=int, help="how many runs of each case; else 10, 5 or 3, with --quick 1 or none")
    parser.add_argument("--together", type=int, default=1, metavar="N", help="runs side by side, each timed as such")
    parser.add_argument("--table", action="store_true", help="train nothing")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run what is asked for and not there yet, then print and draw everything there is."""
    asked = arguments(words)
    data_set = "digits" if asked.quick else "mnist"
    plan = list(cases(asked.quick))
    chosen = [c for c in plan if not asked.only or any(c.name.startswith(o) or c.group == o for o in asked.only)]
    if not chosen:
        sys.exit(f"--only {asked.only}: no such case; there are {', '.join(case.name for case in plan)}")
    with alone():
        if not asked.table:
            train_all(chosen, data_set, asked.seeds, asked.together)
        rows = [row for row in lines.read(RESULTS) if row["data"] in (data_set, "lattice")]
        show(rows, plan)
        if rows:
            say(f"\n{write_report(rows, plan, data_set)}")


def train_all(chosen: Sequence[Case], data_set: str, seeds: int | None, together: int) -> None:
    """Every run that is not there yet; the first error of the data ends it with what to do."""
    done = {(row["data"], row["case"], row["seed"]) for row in lines.read(RESULTS)}
    runs = [(case, data_set, seed, together) for case in chosen for seed in range(seeds or case.seeds)]
    runs = [run for run in runs if (run[0].data(data_set), run[0].name, run[2]) not in done]
    try:
        if together == 1:
            for run in runs:
                told(train_one(run), run[0])
        else:
            # Fresh processes: what torch keeps of one run weighs on no other, and one that dies ends this one.
            # Set before they import torch, or its pool of threads has the size of the machine all the same.
            os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // together))
            start = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(together, mp_context=start, max_tasks_per_child=1) as pool:
                asked = {pool.submit(train_one, run): run[0] for run in runs}
                try:
                    for future in as_completed(asked):
                        told(future.result(), asked[future])
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)  # else all others would be trained first
                    raise
    except pima.errors.DataError as error:
        sys.exit(f"{error}\nWithout MNIST: python benchmarks/paper.py --quick")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on from the last epoch")
    except BrokenProcessPool:
        sys.exit("a worker died, killed or out of memory; the same command goes on from its last epoch")


def told(row: dict, case: Case) -> None:
    """Keep and print a result; only then its checkpoint may go."""
    lines.append(RESULTS, row)
    shutil.rmtree(checkpoint_of(case, row["data"], row["seed"]))
    say({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})


def checkpoint_of(case: Case, data: str, seed: int) -> Path:
    """Folder where a killed run goes on."""
    return KEPT / f"{slug(data, case)}-{seed}"


def train_one(asked: tuple[Case, str, int, int]) -> dict:
    """One run: its result; the fit of seed 0 is kept."""
    case, data_set, seed, together = asked
    data = case.data(data_set)
    keep = checkpoint_of(case, data, seed)
    load_before = os.getloadavg()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pima.PimaWarning)
        fit, scores = run(case, data_set, seed, keep)
    if seed == 0:
        fit.save(KEPT / f"{slug(data, case)}.pima")
    machine = f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}"
    row = {"data": data, "case": case.name, "seed": seed, **scores, "elbo": fit.elbo, "together": together}
    return row | {"date": str(date.today()), "machine": machine, "load": round(load_before, 1)}


if __name__ == "__main__":
    main()
