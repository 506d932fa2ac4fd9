"""Whether a diagnosis tells a wrong law, and a defect of the data, from curves with which nothing is wrong.

    python benchmarks/alarm.py              # what is not measured yet, then the table
    python benchmarks/alarm.py --table      # only the table
    python benchmarks/alarm.py --trial      # other seeds, kept nowhere: to look at while something is changed

Twenty pairs of a true law and the one that is fitted, and ten defects of data fitted by the true law, each drawn anew
for every seed: 6 to 14 specimens whose parameters scatter by 2 to 5 %, 40 to 80 points. The noise is chosen so that
what the best fit leaves of noiseless curves (up to three that have the defect; of a unit slip, how far its file is off)
has 1, 2 or 4 times its standard deviation. Points far off are 3 % of all; repeated rows are 5, 10 and 20 %, which are
no misfit. The same curves fitted rightly, or without the defect, are the clean ones. AUC: how often the evidence of a
bad set is above that of a clean one of the same level. Every set appends a line to benchmarks/results/alarm.jsonl.
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import lines
import numpy as np
import scipy

import pima_toolkit as pima
from pima_toolkit.experts import example_of

RESULTS = Path(__file__).parent / "results" / "alarm.jsonl"
LEVELS = (1, 2, 4)
#: True law, fitted law.
PAIRS = (
    ("voce", "ludwik"),
    ("ludwik", "voce"),
    ("swift", "hollomon"),
    ("hollomon", "voce"),
    ("linear_hardening", "voce"),
    ("elastic_perfectly_plastic", "voce"),
    ("ramberg_osgood", "power_law"),
    ("mooney_rivlin", "neo_hookean"),
    ("herschel_bulkley", "affine"),
    ("exponential_decay", "maxwell"),
    ("prony", "exponential_decay"),
    ("stretched_exponential", "maxwell"),
    ("arrhenius", "power_law"),
    ("hill", "michaelis_menten"),
    ("langmuir", "freundlich"),
    ("freundlich", "langmuir"),
    ("logistic", "avrami"),
    ("gaussian", "lorentzian"),
    ("lorentzian", "gaussian"),
    ("avrami", "michaelis_menten"),
)
#: Laws that defects are made on.
LAWS = (
    "voce",
    "ludwik",
    "linear_hardening",
    "exponential_decay",
    "langmuir",
    "hill",
    "logistic",
    "stretched_exponential",
)
Array = np.ndarray


def drawn(law: pima.Expert, rng: np.random.Generator) -> tuple[Array, Array]:
    """Grid (T,) and noiseless curves (N, T) of specimens of one population."""
    example = example_of(law)
    low, high = example.t
    low = low if low > 0 else 0.01 * high
    points, specimens = int(rng.integers(40, 81)), int(rng.integers(6, 15))
    t = (np.geomspace if example.log else np.linspace)(low, high, points)
    theta = example.theta(law.parameters) * np.exp(0.1 * rng.normal(size=len(law.parameters)))
    scatter = rng.uniform(0.02, 0.05)
    own = theta * np.exp(scatter * rng.normal(size=(specimens, len(theta))))
    return t, law.value_and_jacobian(t, own)[0]


def left(law: pima.Expert, t: Array, curves: Array) -> float:
    """Root mean square of what the law's best fit to each leaves of noiseless curves."""
    fits = [law.fit(t, curve).fitted[0] for curve in curves]
    return float(np.sqrt(np.mean(np.square(curves - law.value_and_jacobian(t, np.stack(fits))[0]))))


# -- defects: from the grid and noiseless curves to a grid and curves with the defect ---------------------------------


def toe(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The beginning rises late."""
    reach = rng.uniform(0.04, 0.1) * np.ptp(t)
    start = y[:, :1]
    return t, start * 0.5 + (y - start * 0.5) * (1.0 - np.exp(-np.square((t - t[0] + 0.02 * np.ptp(t)) / reach)))


def drift(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Each curve wanders slowly in its own way."""
    x = (t - t[0]) / np.ptp(t)
    phase = rng.uniform(0.0, 2.0 * np.pi, (len(y), 1))
    return t, y + np.ptp(y) * 0.05 * np.sin(2.0 * np.pi * rng.uniform(0.7, 2.0, (len(y), 1)) * x + phase)


def saturation(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The instrument gives less and less of what is large."""
    middle, half = 0.5 * (y.max() + y.min()), 0.5 * np.ptp(y)
    return t, middle + half * np.tanh(rng.uniform(1.2, 2.0) * (y - middle) / half)


def unit_slip(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """One file is in another unit: inches for centimetres, or the other way."""
    out, n = y.copy(), rng.integers(len(y))
    out[n] *= 2.54 ** rng.choice([-1.0, 1.0])
    return t, out


def outliers(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Three percent of the points are anywhere."""
    far = rng.random(y.shape) < 0.03
    far.flat[rng.integers(y.size)] = True
    away = np.where(far, rng.normal(size=y.shape), 0.0)
    return t, y + np.ptp(y) * away / np.sqrt(np.mean(np.square(away)))


def slip(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Grips slip once: from some point on, a curve is that of an earlier t."""
    out = y.copy()
    for n in range(len(y)):
        at, by = rng.uniform(0.3, 0.7), rng.uniform(0.05, 0.12) * np.ptp(t)
        late = t > t[0] + at * np.ptp(t)
        out[n] = np.where(late, np.interp(t - by, t, y[n]), y[n])
    return t, out


def wrong_column(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """One file's curve is another channel: something that rises, falls and rises."""
    out, n, x = y.copy(), rng.integers(len(y)), (t - t[0]) / np.ptp(t)
    out[n] = y.min() + np.ptp(y) * (0.5 + 0.4 * np.sin(2.0 * np.pi * (rng.uniform(0.8, 1.5) * x + rng.random())))
    return t, out


def unloading(t: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """The last fifth of the rows is a way back, where the curve falls steeply."""
    T = len(t)
    back = int(0.2 * T)
    path = np.concatenate(
        [t[: T - back], t[T - back - 1] - rng.uniform(0.1, 0.2) * np.ptp(t) * np.arange(1, back + 1) / back]
    )
    fall = 0.5 * np.ptp(y) * np.concatenate([np.zeros(T - back), np.arange(1, back + 1) / back])
    return path, np.stack([np.interp(path, t, row) for row in y]) - fall


#: By name; those below need the noise, and are made after it.
DEFECTS: dict[str, Callable[[Array, Array, np.random.Generator], tuple[Array, Array]] | None] = {
    "toe": toe,
    "drift": drift,
    "saturation": saturation,
    "unit slip of one file": unit_slip,
    "outliers": outliers,
    "slip": slip,
    "duplicated points": None,
    "wrong column": wrong_column,
    "unloading": unloading,
    "clipped": None,
}


def clipped(y: Array) -> tuple[float, float]:
    """Limits of an instrument that is too small."""
    low, high = y.min(), y.max()
    return (low, low + 0.85 * (high - low)) if y[:, -1].mean() > y[:, 0].mean() else (low + 0.15 * (high - low), high)


def evidence(law: pima.Expert, t: Array, y: Array) -> tuple[float, list[str]]:
    """Evidence of a diagnosis, and the names of what it found wrong."""
    found = law.fit(t, y).diagnose()
    return found.evidence, [finding.name for finding in found.wrong]


def defective(
    name: str, level: int, law: pima.Expert, rng: np.random.Generator
) -> tuple[Array, Array, Array, Array, float]:
    """Grid and curves without, grid and curves with a defect, and the noise."""
    t, y = drawn(law, rng)
    make = DEFECTS[name]
    if name == "duplicated points":
        noise = 0.02 * float(np.ptp(y))
        clean = y + noise * rng.normal(size=y.shape)
        bad = clean.copy()
        for n, i in zip(*np.nonzero(rng.random(y.shape) < 0.05 * level), strict=True):
            bad[n, i] = bad[n, max(i - 1, 0)]
        return t, clean, t, bad, noise
    if name == "clipped":
        limits = clipped(y)
        noise = left(law, t, np.clip(y[:3], *limits)) / level
        clean = y + noise * rng.normal(size=y.shape)
        return t, clean, t, np.clip(clean, *limits), noise
    path, other = make(t, y, rng)
    changed = np.flatnonzero(np.abs(other - y).max(1) > 0.0)
    if name == "outliers":
        size = float(np.ptp(y))
        noise = 0.02 * size
        other = y + (other - y) * level * noise / size
    elif name == "unit slip of one file":
        noise = float(np.sqrt(np.mean(np.square(other - y)[changed]))) / level
    else:
        noise = left(law, path, other[changed[:3]]) / level
    e = noise * rng.normal(size=y.shape)
    return t, y + e, path, other + e, noise


def run(case: str, level: int, seed: int) -> dict:
    """One set."""
    rng = np.random.default_rng([seed, level, zlib.crc32(case.encode())])
    began = time.process_time()
    if case in DEFECTS:
        fitted = true = pima.get_expert(str(rng.choice(LAWS)))
        t, y, path, bad, noise = defective(case, level, true, rng)
    else:
        true, fitted = (pima.get_expert(name) for name in case.split(" fitted by "))
        t, y = drawn(true, rng)
        noise = left(fitted, t, y[:1]) / level
        y = y + noise * rng.normal(size=y.shape)
        path, bad = t, y
    clean, falsely = evidence(true, t, y)
    odd, told = evidence(fitted, path, bad)
    return {
        "law": true.name,
        "specimens": len(y),
        "points": len(t),
        "noise_share": round(noise / float(np.ptp(y)), 4),
        "clean": round(clean, 3),
        "falsely": falsely,
        "evidence": round(odd, 3),
        "told": told,
        "cpu_seconds": round(time.process_time() - began, 2),
    }


def auc(bad: Array, clean: Array) -> float:
    """How often a bad one is above a clean one; half where they are alike."""
    rank = scipy.stats.rankdata(np.concatenate([bad, clean]))[: len(bad)]
    return float((rank.sum() - len(bad) * (len(bad) + 1) / 2) / (len(bad) * len(clean)))


def table(rows: list[dict]) -> None:
    """AUC and alarms of every case by level, and false alarms."""
    out = [f"{'AUC (alarms %) at a misfit of':45s}" + "".join(f"{level} std".rjust(16) for level in LEVELS)]
    names = [f"{a} fitted by {b}" for a, b in PAIRS] + list(DEFECTS)
    groups = {"all wrong laws": names[: len(PAIRS)], "all defects": names[len(PAIRS) :], "all": names}
    for name, cases in {**{name: [name] for name in names}, **groups}.items():
        cells = []
        for level in LEVELS:
            clean = np.array([row["clean"] for row in rows if row["level"] == level])
            some = [row for row in rows if row["level"] == level and row["case"] in cases]
            if some and clean.size:
                alarms = 100.0 * np.mean([bool(row["told"]) for row in some])
                cells.append(f"{auc(np.array([row['evidence'] for row in some]), clean):.3f} ({alarms:3.0f})".rjust(16))
        out.append(f"{name:45s}" + "".join(cells))
    false = [bool(row["falsely"]) for row in rows]
    names = [name for row in rows for name in row["falsely"]]
    counts = ", ".join(f"{name} {names.count(name)}" for name in sorted(set(names)))
    out.append(f"false alarms: {sum(false)} of {len(false)} clean sets, {100 * np.mean(false):.1f} % ({counts})")
    out.append(f"median {np.median([row['cpu_seconds'] for row in rows]):.2f} CPU s")
    print("\n".join(out))  # noqa: T201 - a program


def main() -> None:
    """Run what is not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--trial", action="store_true")
    asked = parser.parse_args()
    cases = [f"{a} fitted by {b}" for a, b in PAIRS] + list(DEFECTS)
    seeds = range(1000, 1000 + asked.seeds) if asked.trial else range(asked.seeds)
    every = [{"case": case, "level": level, "seed": seed} for seed in seeds for level in LEVELS for case in cases]
    if asked.trial:
        table([{**key, **run(**key)} for key in every])
        return
    known = {(row["case"], row["level"], row["seed"]) for row in lines.read(RESULTS)}
    for key in () if asked.table else every:
        if tuple(key.values()) not in known:
            lines.append(RESULTS, {**key, **run(**key)})
    table(lines.read(RESULTS))


if __name__ == "__main__":
    main()
