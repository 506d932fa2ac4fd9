"""A folder run ended at random moments by random signals, and begun again: nothing lost, the same numbers.

    python benchmarks/kills.py 100 --seed 1

ends so many times, five times a run, by SIGKILL, SIGTERM, SIGINT or SIGHUP, and lets every run go on to its end with
the same command. Prints as JSON how often it was ended by which signal and in which state of the folder, and what
differed from the run that nothing happened to. Every process is forked from this one, which has imported and not
computed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from PIL import Image

from pima_toolkit.cli import main as command

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
#: What a run imports, imported once, here.
IMPORTED = (
    *("pima_toolkit.runs.run", "pima_experts", "netCDF4", "tomli_w", "jinja2", "tqdm", "pint"),
    *("sklearn.ensemble", "sklearn.linear_model", "sklearn.mixture", "matplotlib.figure"),
    *("matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg"),
)
#: Signals that end one run before it may finish.
EACH = 5


def write_files(folder: Path, specimens: int = 40) -> None:
    """Curves and pictures of two populations, as files."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    x = np.linspace(0.0, 4.0, 15)
    for k in range(specimens):
        y = (50.0 + 50.0 * (k % 2) + rng.standard_normal()) * x + 0.5 * rng.standard_normal(x.size)
        rows = (f"{a:.3f};{b:.4f}\n" for a, b in zip(x, y, strict=True))
        (folder / f"S{k:02}.csv").write_text("Time [s];Stress [MPa]\n" + "".join(rows), encoding="utf-8")
        picture = 60.0 + 120.0 * (k % 2) + 20.0 * rng.standard_normal((8, 8))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"S{k:02}.png")


def begin(files: Path, target: Path) -> int:
    """Begin the command in a process of its own; its number."""
    process = os.fork()
    if process:
        return process
    code = 70  # none that the command ends with
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(target.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        options = ["-p", "stress=proportional", "-c", "2", "--epochs", "6"]
        sys.argv = ["pima", "fit", str(files), *options, "-o", str(target)]
        command()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """Wait for a process; its exit code, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def state(target: Path) -> str:
    """How far a run is, by what lies in its folder."""
    if not (target / "run.json").exists():
        return "before its first file"
    told = json.loads((target / "run.json").read_text(encoding="utf-8"))["state"]
    epochs = len(list((target / "checkpoint").glob("*.safetensors")))
    return f"{told}, {'an epoch or more' if epochs else 'no epoch'}"


def differences(target: Path, whole: Path) -> list[str]:
    """What a finished run has otherwise than the one that nothing happened to."""
    if state(target).partition(",")[0] != "finished":
        return [f"it is {state(target)}"]
    names = {p.relative_to(whole).as_posix() for p in whole.rglob("*") if p.is_file()}
    own = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    out = [f"{name} is there" for name in own - names] + [f"{name} is not there" for name in names - own]
    tables = [name for name in names & own if name.startswith("tables/") or name == "options.toml"]
    return out + [f"{n} differs" for n in tables if (target / n).read_bytes() != (whole / n).read_bytes()]


def whole_run(files: Path, target: Path) -> float:
    """Run to the end; its seconds by the clock."""
    began = time.perf_counter()
    if code := ended(begin(files, target)):
        said = target.with_suffix(".said").read_text(encoding="utf-8")
        raise SystemExit(f"the run ended with {code}: {said}")
    return time.perf_counter() - began


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = np.random.default_rng(asked.seed)
    for name in IMPORTED:
        importlib.import_module(name)
    by, where, wrong = Counter(), Counter(), []
    with tempfile.TemporaryDirectory() as place:
        files, whole = Path(place, "files"), Path(place, "whole")
        write_files(files)
        seconds = whole_run(files, whole)
        for kill in range(asked.kills):
            target = Path(place, f"run{kill // EACH}")
            process, sent = begin(files, target), SIGNALS[draw.integers(len(SIGNALS))]
            time.sleep(draw.uniform(0.0, seconds))
            os.kill(process, sent)
            code = ended(process)
            by[sent.name] += 1
            where[state(target)] += 1
            if code == 0:  # it had ended before: the machine has become quicker
                seconds *= 0.8
            told = [] if code in (0, -sent, 130) else [f"ended with {code}"]
            if kill % EACH == EACH - 1 or kill == asked.kills - 1:
                code = ended(begin(files, target))
                told += [f"ended with {code} at last"] if code else differences(target, whole)
            if "Traceback" in target.with_suffix(".said").read_text(encoding="utf-8"):
                told.append("a traceback was printed")
            wrong += [f"kill {kill} by {sent.name}, {target.name}: {text}" for text in told]
            if told:
                sys.stderr.write(target.with_suffix(".said").read_text(encoding="utf-8")[-3000:])
    result = {"kills": asked.kills, "signals": by, "states": where, "wrong": wrong, "seconds": round(seconds, 2)}
    print(json.dumps(result))  # noqa: T201 - a benchmark prints


if __name__ == "__main__":
    main()
