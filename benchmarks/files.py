"""Reading of large files beside pandas and pyarrow: a CSV file of three million rows, and 500 files of 10,000 rows.

    python benchmarks/files.py            # half a minute on 2 cores
    python benchmarks/files.py --quick    # a tenth of the rows and files

Each reader has a process of its own, which has read one small file before. Seconds are those of the processors in all
threads, the best of five, so that other programs do not count; memory is by how much the process grew at most. ``pima,
columns`` gives names, units and numbers, with all checks of a file; ``pima, from_folder`` is the whole way to a
dataset, with units, order, gaps and the reading log, beside pandas with the numbers put side by side. Each run appends
one line to benchmarks/results/files.jsonl.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

RESULTS = Path(__file__).parent / "results" / "files.jsonl"
READERS = ("pandas", "pyarrow", "pima, columns", "pandas, stacked", "pima, from_folder")
ROUNDS = 5


def write(home: Path, rows: int, files: int, rows_each: int) -> None:
    """Write the files: a long logger's, and many tension curves."""
    rng = np.random.default_rng(0)
    for name in ("one", "many", "warm"):
        (home / name).mkdir()
    time_s = np.round(np.arange(rows) * 0.01, 2)
    force = np.round(100 * np.sin(time_s / 100) + rng.normal(0, 1, rows), 4)
    pd.DataFrame({"Time [s]": time_s, "Force [N]": force}).to_csv(home / "one" / "logger.csv", index=False)
    strain = np.linspace(0, 0.2, rows_each).round(7)
    for k in range(files):
        stress = (300 + k % 50) * (1 - np.exp(-50 * strain)) + rng.normal(0, 1, rows_each)
        frame = pd.DataFrame({"Strain [1]": strain, "Stress [MPa]": stress.round(4)})
        frame.to_csv(home / "many" / f"S{k:04}.csv", index=False)
    frame.to_csv(home / "warm" / "S.csv", index=False)


def reader(name: str) -> Callable[[Path], object]:
    """A function that reads all files of a folder."""
    if name == "pandas":
        return lambda folder: [pd.read_csv(path) for path in sorted(folder.glob("*.csv"))]
    if name == "pandas, stacked":

        def stacked(folder: Path) -> np.ndarray:
            return np.stack([frame.iloc[:, 1] for frame in map(pd.read_csv, sorted(folder.glob("*.csv")))])

        return stacked
    if name == "pyarrow":
        from pyarrow import csv

        return lambda folder: [csv.read_csv(path) for path in sorted(folder.glob("*.csv"))]
    if name == "pima, columns":
        from pima_toolkit.ingest.formats.registry import read_columns

        return lambda folder: [read_columns(path) for path in sorted(folder.glob("*.csv"))]
    import pima_toolkit as pima

    return lambda folder: pima.from_folder(folder, progress=False)


def memory(which: str) -> float:
    """Memory of this process in MB, ``VmRSS`` now or ``VmHWM`` at most; Linux."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which))
    return int(line.split()[1]) / 1024


def measure(name: str, home: Path, case: str) -> dict[str, float]:
    """Seconds of the processors, the best of five, and MB by which this process grew the first time."""
    read = reader(name)
    read(home / "warm")
    Path("/proc/self/clear_refs").write_text("5")  # the most so far counts from here
    before = memory("VmRSS")
    seconds, grown = [], 0.0
    for k in range(ROUNDS):
        began = time.process_time()
        kept = read(home / case)
        seconds.append(time.process_time() - began)
        if k == 0:
            grown = memory("VmHWM") - before
        del kept
    return {"seconds": round(min(seconds), 3), "megabytes": round(grown, 1)}


def main() -> None:
    """Write the files, ask each reader in a process of its own, show a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows and files")
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        name, home, case = arguments.ask
        sys.stdout.write(json.dumps(measure(name, Path(home), case)))
        return
    part = 10 if arguments.quick else 1
    row: dict[str, object] = {"date": date.today().isoformat(), "machine": platform.machine(), "cores": os.cpu_count()}
    row |= {"load_before": round(os.getloadavg()[0], 1), "quick": arguments.quick}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write(home, 3_000_000 // part, 500 // part, 10_000)
        for case, words in (("one", "one file of 3,000,000 rows"), ("many", "500 files of 10,000 rows")):
            sys.stdout.write(f"\n{words if part == 1 else f'{words}, a tenth of it'}\n")
            base: dict[str, float] = {}
            for asked in READERS:
                if asked == "pyarrow" and importlib.util.find_spec("pyarrow") is None:
                    sys.stdout.write("  pyarrow            not installed\n")
                    continue
                command = [sys.executable, __file__, "--ask", asked, str(home), case]
                done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own
                found = json.loads(done.stdout)
                base = found if asked.startswith("pandas") else base
                times, more = (found[k] / base[k] for k in ("seconds", "megabytes"))
                row[f"{case}: {asked}"] = found | {"times_pandas": round(times, 2), "memory_pandas": round(more, 2)}
                sys.stdout.write(
                    f"  {asked:18} {found['seconds']:7.3f} s ({times:.2f} x pandas), {found['megabytes']:7.1f} MB "
                    f"({more:.2f} x)\n"
                )
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
