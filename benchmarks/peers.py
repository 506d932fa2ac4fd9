"""Our training against MultiVae's MVAE and CMVAE in one run, beside k-means, PCA + Gaussian mixture and ridge.

    python benchmarks/peers.py                       # digits, 100 epochs, 3 rounds
    python benchmarks/peers.py --data mnist --epochs 5 --rounds 1 --only ours --only mvae
    python benchmarks/peers.py --table               # only print what was measured before

Makes an environment of its own for MultiVae (benchmarks/results/peers/venv, pinned versions, about 1 GB). All get the
same arrays, the same encoders and picture decoder, latent size, epochs, batch and threads, in float32, with the same
layout of memory. MultiVae keeps its own trainer, losses and distributions, a learning rate of 1e-3, and a curve decoder
where ours has the line's law; its best epoch is scored. CMVAE draws one sample instead of its ten where nothing else is
said. An epoch is one of joint training, the median of all but the first; seconds are those of the whole fit, ours with
its start and its cross-modal encoders. Rounds change the seed, and who goes first; each training is a process of its
own, so that memory is its own. Medians, and ratios to ours. Labels score; they train nothing. Appends to
benchmarks/results/peers.jsonl and repeats no run that is there.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import lines
import numpy as np
import torch
from paper_cases import NOISE, load
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.mixture import GaussianMixture

import pima_toolkit as pima

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "peers.jsonl"
FOLDER = Path(__file__).parent / "results" / "peers"
#: What MultiVae is made of here; torchvision only so that its data sets can be imported, which nothing here uses: this
#: version is the last that imports beside any torch, with or without CUDA.
PINNED = ("multivae==1.0.3", "pythae==0.1.2", "torchvision==0.15.2")
#: What these need, at the versions of constraints.txt where it names them.
NEEDED = (
    *("torch==2.13.0", "numpy", "scipy", "scikit-learn", "matplotlib", "pandas==3.1.1", "pillow", "tqdm", "requests"),
    *("pydantic==2.14.3", "cloudpickle==3.1.2", "nltk==3.10.4", "torchmetrics==1.9.0", "imageio==2.38.1"),
)
#: What runs in turn, by name: the model, the standard deviations of picture and line that MultiVae's decoders are told,
#: in the arrays' units, and options of the worker. It estimates none: with its default of 1, pictures between 0 and 1
#: are all noise; which of the others is best differs from score to score. ``None``: what the lines were made with.
KINDS: dict[str, tuple[str, tuple[float, float | None], tuple[str, ...]]] = {
    "ours": ("ours", (1.0, 1.0), ()),
    "mvae, noise 1": ("mvae", (1.0, 1.0), ()),
    "mvae, noise 0.2, 0.1": ("mvae", (0.2, 0.1), ()),
    "mvae, noise 0.2, known": ("mvae", (0.2, None), ()),
    "cmvae, noise 0.2, 0.1": ("cmvae", (0.2, 0.1), ()),
    "cmvae, noise 0.2, known": ("cmvae", (0.2, None), ()),
    "cmvae, 10 samples": ("cmvae", (0.2, 0.1), ("--samples=10",)),
}
SCORES = ("both", "image", "line", "curve_rmse")
COSTS = ("epoch", "specimens_per_cpu_second", "seconds", "memory")


def peer_python() -> Path:
    """The interpreter of MultiVae's environment, made where it is not there."""
    python = FOLDER / "venv" / "bin" / "python"
    ready = FOLDER / "venv" / "ready"
    if not ready.exists():
        print(f"making {FOLDER / 'venv'} with {', '.join(PINNED)}", flush=True)  # noqa: T201 - a benchmark prints
        subprocess.run([sys.executable, "-m", "venv", FOLDER / "venv"], check=True)  # noqa: S603 - our own interpreter
        pip = [python, "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", *NEEDED], check=True)  # noqa: S603 - the lists above
        subprocess.run([*pip, "--no-deps", *PINNED], check=True)  # noqa: S603 - likewise
        ready.touch()
    return python


def write_arrays(data_set: str, seed: int, path: Path) -> np.ndarray:
    """Pictures and lines (variance 0.01), both scaled to 0..1 by the training set; returns the test labels."""
    train, test = load(data_set, "clean", seed)
    low, high = float(train.line.min()), float(train.line.max())
    arrays = {"t": train.t.values, "low": low, "high": high}
    for name, part in (("train", train), ("test", test)):
        arrays[f"{name}_image"] = part.image.values.astype(np.float32)
        arrays[f"{name}_line"] = ((part.line.values - low) / (high - low)).astype(np.float32)
    np.savez(path, **arrays)
    return test.label.values


def scored(answers: dict, arrays: dict, labels: np.ndarray) -> dict:
    """Accuracy in per cent, RMSE of lines predicted from pictures in units of the digit, and what it cost."""
    out = {name: 100 * pima.metrics.cluster_accuracy(labels, answers[name]) for name in ("both", "image", "line")}
    predicted = answers["curve"] * (arrays["high"] - arrays["low"]) + arrays["low"]
    out["curve_rmse"] = pima.metrics.rmse(labels[:, None] * arrays["t"], predicted)
    out |= {name: float(answers[name]) for name in ("epoch", "seconds", "cpu", "memory")}
    out["specimens_per_cpu_second"] = len(arrays["train_image"]) / float(answers["epoch_cpu"])
    return out


def baselines(arrays: dict, labels: np.ndarray, seed: int) -> dict:
    """What needs no network: pictures alone."""
    train, test = (arrays[f"{part}_image"].reshape(len(arrays[f"{part}_image"]), -1) for part in ("train", "test"))
    some = np.random.default_rng(seed).permutation(len(train))[:20_000]
    means = KMeans(10, n_init=10, random_state=seed).fit(train[some])
    pca = PCA(min(20, train.shape[1]), random_state=seed).fit(train[some])
    mixture = GaussianMixture(10, n_init=3, reg_covar=1e-4, random_state=seed).fit(pca.transform(train[some]))
    ridge = RidgeCV(np.logspace(-2, 4, 13)).fit(train[some], arrays["train_line"][some])
    predicted = ridge.predict(test) * (arrays["high"] - arrays["low"]) + arrays["low"]
    accuracy = pima.metrics.cluster_accuracy
    return {
        "k-means": {"image": 100 * accuracy(labels, means.predict(test))},
        "PCA + mixture": {"image": 100 * accuracy(labels, mixture.predict(pca.transform(test)))},
        "ridge": {"curve_rmse": pima.metrics.rmse(labels[:, None] * arrays["t"], predicted)},
    }


def about_of(asked: argparse.Namespace) -> dict:
    """What runs must share to be compared."""
    return {name: getattr(asked, name) for name in ("data", "epochs", "batch", "latent", "threads")}


def measured(about: dict) -> list[dict]:
    """All lines of runs like these."""
    return [row for row in lines.read(RESULTS) if all(row[name] == value for name, value in about.items())]


def keep(row: dict) -> None:
    """Append a line and print it."""
    lines.append(RESULTS, row)
    print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)  # noqa: T201


def turns(only: Sequence[str], seed: int) -> list[str]:
    """Kinds whose names begin as asked, all where nothing is; another one first in every round."""
    chosen = [kind for kind in KINDS if not only or any(kind.startswith(word) for word in only)]
    first = seed % max(1, len(chosen))
    return chosen[first:] + chosen[:first]


def train_all(asked: argparse.Namespace) -> None:
    """Every run that is not there yet, in turn."""
    about = about_of(asked)
    done = {(r["kind"], r["seed"]) for r in measured(about)}
    theirs = peer_python()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])}
    environment |= {"OMP_NUM_THREADS": str(asked.threads)}
    for seed in range(asked.rounds):
        paths = FOLDER / f"{asked.data}-{seed}.npz", FOLDER / "answers.npz"
        labels = write_arrays(asked.data, seed, paths[0])
        with np.load(paths[0]) as file:
            arrays = dict(file)
        common = about | {"seed": seed, "date": str(date.today())}
        common["machine"] = f"{platform.machine()}, torch {torch.__version__}"
        for name, scores in baselines(arrays, labels, seed).items() if ("ridge", seed) not in done else ():
            keep(common | {"kind": name, **scores})
        for kind in turns(asked.only, seed):
            if (kind, seed) in done:
                continue
            model, (image, line), more = KINDS[kind]
            python = sys.executable if model == "ours" else theirs
            known = NOISE["clean"] ** 0.5 / (arrays["high"] - arrays["low"])
            options = [f"--{n}={getattr(asked, n)}" for n in ("epochs", "batch", "latent", "threads")]
            options += [f"--image-std={image}", f"--line-std={known if line is None else line}", *more]
            worker = [python, Path(__file__).with_name("peers_worker.py"), model, *paths, *options, f"--seed={seed}"]
            # MultiVae draws its bars on both streams: they are of interest only where it fails.
            ran = subprocess.run(worker, env=environment, capture_output=True, text=True)  # noqa: S603 - our own file
            if ran.returncode:
                sys.exit(f"the training of {kind!r} ended with an error:\n{ran.stderr[-2000:]}")
            with np.load(paths[1]) as file:
                scores = scored(dict(file), arrays, labels)
            keep(common | {"kind": kind, **scores, "load": round(os.getloadavg()[0], 1)})


def table(about: dict) -> None:
    """Medians over the rounds, and costs as ratios to ours."""
    rows = measured(about)
    kinds = sorted({row["kind"] for row in rows}, key=lambda k: [*KINDS, k].index(k))
    median = {
        kind: {
            key: float(np.median([row[key] for row in rows if row["kind"] == kind and key in row]))
            for key in (*SCORES, *COSTS)
            if any(key in row for row in rows if row["kind"] == kind)
        }
        for kind in kinds
    }
    print(f"\n{about}, medians; in brackets times ours")  # noqa: T201
    print("  " + "".join(f"{name:>26}" for name in ("", *SCORES, *COSTS)))  # noqa: T201
    for kind, values in median.items():
        cells = [kind]
        for key in (*SCORES, *COSTS):
            own = median.get("ours", {}).get(key)
            ratio = f" ({values[key] / own:.2f}x)" if key in values and own and key in COSTS else ""
            cells.append(f"{values[key]:.3f}{ratio}" if key in values else "")
        print("  " + "".join(f"{cell:>26}" for cell in cells))  # noqa: T201


def main(words: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits")
    for name, default in (("rounds", 3), ("epochs", 100), ("batch", 128), ("latent", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", action="append", default=[], metavar="KIND", help="kinds of this beginning")
    parser.add_argument("--table", action="store_true", help="train nothing")
    asked = parser.parse_args(words)
    if not turns(asked.only, 0):
        sys.exit(f"--only {asked.only}: no such kind; there are {'; '.join(KINDS)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    if not asked.table:
        train_all(asked)
    table(about_of(asked))


if __name__ == "__main__":
    main()
