"""A messy folder of 200 specimens to a report, in one command: how long it takes, and what comes of it.

    python benchmarks/folder_to_report.py               # two or three minutes on 2 cores
    python benchmarks/folder_to_report.py --twice       # the same command twice: are all tables the same to the bit?

Photographs and curves are synthetic (pima.datasets.folder); the mess is what laboratories leave. Each run appends one
line to benchmarks/results/folder_to_report.jsonl. Labels score the result; they choose nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import pima_toolkit as pima
from pima_toolkit.datasets.folder import write_folder

RESULTS = Path(__file__).parent / "results" / "folder_to_report.jsonl"
ENTRY = "from pima_toolkit.cli import main; main()"


def fit(folder: Path, out: Path) -> dict[str, float]:
    """Run `pima fit` in a process of its own; seconds on the clock and of the processors."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["fit", str(folder), "-p", "stress=linear_hardening", "-c", "2", "-l", "2", "-o", str(out), "--quiet"]
    subprocess.run([sys.executable, "-c", ENTRY, *command], check=True)  # noqa: S603 - our own command
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return {"seconds": round(time.perf_counter() - began, 1), "cpu_seconds": round(cpu, 1)}


def scores(run: Path, truth: dict[str, str]) -> dict[str, object]:
    """What the run made of the folder, judged by the labels that made the files."""
    specimens = pima.runs.open_fit(run).specimens
    labels = [truth[str(name)] for name in specimens["specimen"].values]
    data = pima.runs.training_data(run)
    status = pima.reading_log(data)["status"].value_counts()
    return {
        "specimens": specimens.sizes["specimen"],
        "files": {str(name): int(count) for name, count in status.items()},
        "accuracy": round(100 * pima.metrics.cluster_accuracy(labels, specimens["cluster"].values), 2),
        "report_kilobytes": (run / "report.html").stat().st_size // 1000,
    }


def main() -> None:
    """Make the folder, run the command, say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specimens", type=int, default=200)
    parser.add_argument("--twice", action="store_true", help="run the command twice and compare the tables")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        made = write_folder(home / "messy", arguments.specimens)
        truth = {str(s): str(label) for s, label in zip(made["specimen"].values, made["label"].values, strict=True)}
        row = {"date": date.today().isoformat(), "machine": platform.machine(), "cores": os.cpu_count()}
        row |= {"threads": os.environ.get("OMP_NUM_THREADS", "all"), "load_before": round(os.getloadavg()[0], 1)}
        row |= fit(home / "messy", home / "run") | scores(home / "run", truth)
        if arguments.twice:
            fit(home / "messy", home / "again")
            tables = sorted(p.relative_to(home / "run") for p in (home / "run").rglob("*.csv"))
            same = [(home / "run" / t).read_bytes() == (home / "again" / t).read_bytes() for t in tables]
            row |= {"tables": len(tables), "tables_equal": sum(same)}
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    sys.stdout.write(json.dumps(row, indent=1) + "\n")


if __name__ == "__main__":
    main()
