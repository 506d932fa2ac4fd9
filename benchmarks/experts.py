"""The experts' solver beside lmfit and scipy in one run: certified problems, starts, speed, errors, imports.

    python benchmarks/experts.py                  # everything: some minutes
    python benchmarks/experts.py --only strd      # one part; several may be named

CPU seconds of one thread unless a name says wall; medians of several runs. Every part appends one line to
benchmarks/results/experts.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lines
import lmfit
import numpy as np
import pima_experts
import scipy
import scipy.optimize
import torch
import xarray as xr
from bilinear_law import bilinear, errors, mstep, speed
from strd_problems import Problem, digits, problems

import pima_toolkit as pima
from pima_toolkit.experts import pack, solve

RESULTS = Path(__file__).parent / "results" / "experts.jsonl"


def say(*words: object) -> None:
    """Print at once."""
    print(*words, flush=True)  # noqa: T201 - a benchmark prints


def expert_of(p: Problem) -> pima.SympyExpert:
    """The formula of a certified problem, without bounds."""
    parameters = [pima.Parameter(name) for name in p.names]
    return pima.SympyExpert(p.formula, t=p.inputs[0], covariates=p.inputs[1:], parameters=parameters)


def by_scipy(expert: pima.SympyExpert, p: Problem, start: np.ndarray) -> np.ndarray:
    """scipy's least_squares, its defaults but tight tolerances, with our Jacobian."""
    found = scipy.optimize.least_squares(
        lambda x: expert.value_and_jacobian(p.named, x)[0] - p.y,
        start,
        jac=lambda x: expert.value_and_jacobian(p.named, x)[1],
        x_scale="jac",
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
        max_nfev=5000,
    )
    return found.x


def by_lmfit(expert: pima.SympyExpert, p: Problem, start: np.ndarray) -> np.ndarray:
    """lmfit's default method, which differentiates by differences."""
    names = lmfit.Parameters()
    for name, value in zip(p.names, start, strict=True):
        names.add(name, value=value)

    def residual(values: lmfit.Parameters) -> np.ndarray:
        return expert.value_and_jacobian(p.named, [values[n].value for n in p.names])[0] - p.y

    result = lmfit.minimize(residual, names, max_nfev=20000)
    return np.array([result.params[n].value for n in p.names])


def quietly(act: Callable[[], np.ndarray], certified: np.ndarray) -> float:
    """Digits of a peer's answer, 0 where it raises."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return digits(act(), certified)
        except (ValueError, TypeError, np.linalg.LinAlgError):
            return 0.0


def alone(expert: pima.SympyExpert, p: Problem, start: np.ndarray) -> np.ndarray:
    """Our solver from the given start and no other, as the peers go; ``fit`` tries the expert's own starts beside."""
    return solve(expert, pack(expert, p.named), p.y, None, start[None, None], project=True).parameters[0]


def strd() -> dict:
    """Digits from each certified start: the fit, our solver from that start alone, and the peers."""
    rows, enough = [], {"ours": 0, "alone": 0, "errors": 0, "scipy": 0, "lmfit": 0}
    for p in problems().values():
        expert = expert_of(p)
        for k, start in enumerate(p.starts):
            fit = expert.fit(p.named, p.y, start=start)
            row = {
                "ours": digits(fit.fitted[0], p.certified),
                "alone": digits(alone(expert, p, np.asarray(start)), p.certified),
                "errors": digits(fit.parameters.std_error.values[0], p.std_errors),
                "scipy": quietly(lambda e=expert, p=p, s=start: by_scipy(e, p, s), p.certified),
                "lmfit": quietly(lambda e=expert, p=p, s=start: by_lmfit(e, p, s), p.certified),
            }
            say(f"  {p.name:<10} start {k + 1}  " + "  ".join(f"{n} {v:4.1f}" for n, v in row.items()))
            rows.append({"problem": p.name, "start": k + 1, **row})
            for name, value in row.items():
                enough[name] += value >= 6
    return {"runs": len(rows), "at_least_6_digits": enough, "rows": rows}


def nostart() -> dict:
    """The certified optimum from the formula and the data alone; terms that trade places count as the same."""
    reached, missed, seconds = 0, [], []
    for p in problems().values():
        began = time.process_time()
        fit = expert_of(p).fit(p.named, p.y)
        seconds.append(time.process_time() - began)
        rounding = 1e-28 * float(p.y @ p.y)
        good = bool(fit.cost[0] <= p.residual_squares * (1 + 1e-6) + rounding)
        reached += good
        missed += [] if good else [p.name]
    return {"problems": len(seconds), "reached": reached, "missed": missed, "median_cpu_s": statistics.median(seconds)}


def timed(code: str, cache: str, runs: int = 3) -> float:
    """Median wall seconds that code in a new process says it took."""
    seconds = []
    for _ in range(runs):
        environment = {**os.environ, "PIMA_CACHE_DIR": cache}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)  # noqa: S603
        seconds.append(float(run.stdout.split()[-1]))
    return statistics.median(seconds)


_FORMULA = """
import time, numpy as np, pima_toolkit as pima
pima.get_expert("affine").value_and_jacobian(np.linspace(0, 1, 5), np.ones(2))
began = time.perf_counter()
e = pima.SympyExpert("a*t**b + c*exp(-t/d) + {number}", bounds={{"d": (0.1, 10)}})
e.value_and_jacobian(np.linspace(0, 1, 50), np.ones(4))
print(time.perf_counter() - began)
"""
_CLOCK = "import time; began = time.perf_counter(); {act}; print(time.perf_counter() - began)"


def formula() -> dict:
    """Wall seconds of a new formula after the imports: never seen, and in a later process."""
    first = []
    with tempfile.TemporaryDirectory() as folder:
        timed(_FORMULA.format(number=0), folder, 1)  # the loops and the built-in line are compiled by now
        first += [timed(_FORMULA.format(number=number), folder, 1) for number in range(1, 4)]
        later = timed(_FORMULA.format(number=1), folder)
    return {"first_wall_s": statistics.median(first), "later_wall_s": later}


def imports() -> dict:
    """Wall seconds of the import, and of the first model against torch's own import; 7 runs of each in turn."""
    made = 'import pima_toolkit as p; p.PIMA({"a": p.Physics("affine")}, clusters=2)'
    acts = {"import": "import pima_toolkit", "torch": "import torch", "first_model": made}
    seconds = {name: [] for name in acts}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(7):
            for name, act in acts.items():
                seconds[name].append(timed(_CLOCK.format(act=act), folder, 1))
    out = {f"{name}_wall_s": statistics.median(values) for name, values in seconds.items()}
    return {**out, "first_model_over_torch": out["first_model_wall_s"] / out["torch_wall_s"]}


def catalogue() -> dict:
    """CPU seconds of a fit of two populations, 50 specimens of 200 points, for every law of the catalogue."""
    rows = {}
    for name in [made().name for made in pima_experts.pima_experts()]:
        expert = pima.get_expert(name)
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pima.PIMA({"curve": pima.Physics(expert)}, clusters=2).fit(two_populations(expert), progress=False)
        rows[name] = round(time.process_time() - began, 2)
        say(f"  {name}: {rows[name]} s")
    return {"median_s": statistics.median(rows.values()), "slowest_s": max(rows.values()), "rows": rows}


def two_populations(expert: pima.Expert, specimens: int = 50, points: int = 200) -> xr.Dataset:
    """Curves about an expert's example, parameters of the second population 30 % larger, each 3 % from its own."""
    example, rng = expert.example, np.random.default_rng(0)
    t = np.linspace(*example.t, points)
    theta, bounds = example.theta(expert.parameters), expert.bounds(t)
    shift = 1.3 ** (np.arange(specimens) % 2)[:, None] * np.exp(0.03 * rng.standard_normal((specimens, theta.size)))
    inputs = pack(expert, {expert.inputs[0]: t, **example.covariates})
    curves = np.stack([expert.value_and_jacobian(inputs, row)[0] for row in bounds.clip(theta * shift, 0.02)])
    curves += 0.01 * np.ptp(curves) * rng.standard_normal(curves.shape)
    covariates = {name: ("specimen", np.full(specimens, value)) for name, value in example.covariates.items()}
    return xr.Dataset({"curve": (("specimen", expert.inputs[0]), curves)}, {expert.inputs[0]: t, **covariates})


PARTS = {f.__name__: f for f in (strd, nostart, bilinear, mstep, speed, errors, formula, imports, catalogue)}


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    torch.set_num_threads(1)
    versions = {m.__name__: m.__version__ for m in (lmfit, scipy, np, torch)}
    for name in parser.parse_args().only:
        say(f"{name}: {PARTS[name].__doc__.splitlines()[0]}")
        found = PARTS[name]()
        line = {"part": name, **found, "date": str(date.today()), "machine": platform.machine(), "versions": versions}
        lines.append(RESULTS, line)
        say("  " + json.dumps({k: v for k, v in found.items() if k != "rows"}, indent=2).replace("\n", "\n  "))


if __name__ == "__main__":
    main()
