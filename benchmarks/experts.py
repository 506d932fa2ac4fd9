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
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import lmfit
import numpy as np
import scipy
import scipy.optimize
import torch
from strd_problems import Problem, digits, problems

import pima_toolkit as pima
from pima_toolkit.experts import CurveStatistics, pack, solve

RESULTS = Path(__file__).parent / "results" / "experts.jsonl"
HARDENING = pima.get_expert("linear_hardening")
GRID = np.linspace(0.0, 0.1, 100)


def say(*words: object) -> None:
    """Print at once."""
    print(*words, flush=True)  # noqa: T201 - a benchmark prints


def cpu(act: Callable[[], object], runs: int = 7) -> float:
    """Median CPU seconds of a call, the first not counted."""
    act()
    seconds = []
    for _ in range(runs):
        began = time.process_time()
        act()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


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
                "ours": digits(fit.parameters[0], p.certified),
                "alone": digits(alone(expert, p, np.asarray(start)), p.certified),
                "errors": digits(fit.std_errors[0], p.std_errors),
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


def clusters(C: int, D: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True parameters (C, 3), curves (D, 100) and soft responsibilities (D, C)."""
    rng = np.random.default_rng(seed)
    theta = np.stack([rng.uniform(300, 1500, C), rng.uniform(0.015, 0.07, C), rng.uniform(0.02, 0.5, C)], 1)
    label = rng.integers(0, C, D)
    x = HARDENING.value_and_jacobian(GRID, theta)[0][label] + rng.normal(size=(D, GRID.size))
    gamma = rng.dirichlet(np.full(C, 0.05), D)
    gamma[np.arange(D), label] += 20.0
    return theta, x, gamma / gamma.sum(1, keepdims=True)


def bilinear(starts: int = 200) -> dict:
    """Share of random starts in a 3-decade box that end at the global optimum, by default settings.

    ``ours`` is ``expert.fit(start=...)``, which tries the expert's own starts beside the given one; ``ours_alone`` is
    ``experts.solve`` from the given start and no other, as the peers go.
    """
    _theta, x, gamma = clusters(10, 1000)
    rng, box = np.random.default_rng(1), HARDENING.box(GRID)
    free = HARDENING.fit(GRID, x, weights=gamma)
    lowest = free.cost
    good = {"ours": 0, "ours_alone": 0, "scipy": 0, "lmfit": 0}
    tried = dict.fromkeys(good, 0)
    mean = CurveStatistics(10, GRID.size).update(torch.as_tensor(x), torch.as_tensor(gamma))
    y, root = mean.mean.numpy(), np.sqrt(mean.weight.numpy())
    for k in range(starts):
        begin = np.stack(
            [10 ** rng.uniform(1.5, 4.5, 10), 0.1 * 10 ** rng.uniform(-3, 0, 10), 10 ** rng.uniform(-3, 0, 10)]
        )
        begin = box.clip(begin.T)
        given = {
            "ours": HARDENING.fit(GRID, x, weights=gamma, start=begin),
            "ours_alone": solve(HARDENING, GRID, y, root**2, begin[:, None], box, project=True),
        }
        for name, found in given.items():
            good[name] += int(np.sum(found.cost <= lowest * (1 + 1e-6)))
            tried[name] += 10
        for name in ("scipy", "lmfit") if k < 10 else ():
            for c in range(10):
                cost = peer_cost(name, y[c], root[c], begin[c], box)
                good[name] += bool(cost <= lowest[c] * (1 + 1e-6))
                tried[name] += 1
    return {"share": {n: good[n] / tried[n] for n in good}, "fits": tried}


def peer_cost(name: str, y: np.ndarray, root: np.ndarray, start: np.ndarray, box: pima.experts.Box) -> float:
    """Cost that a peer reaches on one reduced cluster."""
    inside = box.clip(start, 1e-9)
    if name == "lmfit":
        names = lmfit.Parameters()
        for i, p in enumerate(HARDENING.parameters):
            names.add(p.name, value=inside[i], min=box.lower[i], max=box.upper[i])
        values = [p.name for p in HARDENING.parameters]

        def residual(given: lmfit.Parameters) -> np.ndarray:
            return root * (HARDENING.value_and_jacobian(GRID, [given[n].value for n in values])[0] - y)

        return float(lmfit.minimize(residual, names).chisqr)
    found = scipy.optimize.least_squares(
        lambda th: root * (HARDENING.value_and_jacobian(GRID, th)[0] - y),
        np.maximum(inside, 1e-12),
        jac=lambda th: root[:, None] * HARDENING.value_and_jacobian(GRID, th)[1],
        bounds=(box.lower, box.upper),
        x_scale="jac",
    )
    return 2 * float(found.cost)


def mstep() -> dict:
    """The experts' M-step, D = 20,000, T = 100, C = 10, warm, against the float64 matrix product of its statistics."""
    from_truth, x, gamma = clusters(10, 20_000)
    X, g, box = torch.as_tensor(x), torch.as_tensor(gamma), HARDENING.box(GRID)
    state = {"theta": from_truth}

    def step() -> None:
        sums = CurveStatistics(10, GRID.size).update(X, g)
        found = solve(HARDENING, GRID, sums.mean.numpy(), sums.weight.numpy(), state["theta"][:, None], box)
        state["theta"] = found.parameters

    out = {"gemm_s": cpu(lambda: g.T @ X), "none_s": cpu(step), "specimen_s": cpu(specimen_step(x, g, from_truth), 3)}
    return {
        **out,
        "none_over_gemm": out["none_s"] / out["gemm_s"],
        "specimen_over_gemm": out["specimen_s"] / out["gemm_s"],
    }


def specimen_step(x: np.ndarray, gamma: torch.Tensor, theta: np.ndarray) -> Callable[[], object]:
    """A whole M-step with specimens that scatter, as a fit does it."""
    from pima_toolkit.fitting.em import update_physics
    from pima_toolkit.model.curves import Curves
    from pima_toolkit.model.physics import PhysicsDecoder

    scale, C = float(np.abs(x).max()), len(theta)
    present = torch.ones(len(x), dtype=torch.bool)
    curves = Curves(torch.as_tensor(x / scale), GRID, None, present)
    scatter = (1e-3 * torch.eye(3, dtype=torch.float64)).expand(C, 3, 3).clone()
    noise = torch.full((C,), 1.0 / scale**2, dtype=torch.float64)
    decoder = PhysicsDecoder(HARDENING, HARDENING.box(GRID), scale, theta, scatter, noise)
    return lambda: update_physics(decoder, curves, gamma, scatter="specimen", noise="pooled")


def speed() -> dict:
    """CPU time of one cluster's fit against lmfit on all curves and on their mean, to the same optimum."""
    _, x, gamma = clusters(2, 4000)
    X, g, box = torch.as_tensor(x), torch.as_tensor(gamma), HARDENING.box(GRID)
    start = np.array([800.0, 0.04, 0.1])
    names = [p.name for p in HARDENING.parameters]

    def ours() -> np.ndarray:
        sums = CurveStatistics(2, GRID.size).update(X, g)
        begin = np.tile(start, (2, 1, 1))
        return solve(HARDENING, GRID, sums.mean.numpy(), sums.weight.numpy(), begin, box).parameters

    def reduced_ours() -> np.ndarray:
        return solve(HARDENING, GRID, mean, weight, np.tile(start, (2, 1, 1)), box).parameters

    def peer(values: np.ndarray, root: np.ndarray) -> np.ndarray:
        given = lmfit.Parameters()
        for i, name in enumerate(names):
            given.add(name, value=start[i], min=box.lower[i], max=box.upper[i])

        def residual(at: lmfit.Parameters) -> np.ndarray:
            curve = HARDENING.value_and_jacobian(GRID, [at[n].value for n in names])[0]
            return (root * (curve - values)).ravel()

        result = lmfit.minimize(residual, given, ftol=1e-12, xtol=1e-12)
        return np.array([result.params[n].value for n in names])

    sums = CurveStatistics(2, GRID.size).update(X, g)
    mean, weight = sums.mean.numpy(), sums.weight.numpy()
    theta = ours()
    raw = [peer(x, np.sqrt(gamma[:, c, None])) for c in range(2)]
    seconds = {
        "ours": cpu(ours),
        "ours_reduced": cpu(reduced_ours),
        "lmfit_raw": cpu(lambda: [peer(x, np.sqrt(gamma[:, c, None])) for c in range(2)], 1),
        "lmfit_reduced": cpu(lambda: [peer(mean[c], np.sqrt(weight[c])) for c in range(2)], 3),
    }
    return {
        **seconds,
        "raw_ratio": seconds["lmfit_raw"] / seconds["ours"],
        "reduced_ratio": seconds["lmfit_reduced"] / seconds["ours_reduced"],
        "same_optimum": float(np.max(np.abs(theta / np.array(raw) - 1))),
    }


def errors(replicates: int = 100) -> dict:
    """Curve-clustered standard error over the spread of the estimates, at 5, 10 and 15 % between specimens."""
    out = {}
    for scatter in (0.05, 0.10, 0.15):
        estimates, said = [], []
        for seed in range(replicates):
            rng = np.random.default_rng(seed)
            theta = np.array([800.0, 0.035, 0.2]) * (1 + scatter * rng.normal(size=(200, 3)))
            y = HARDENING.value_and_jacobian(GRID, theta)[0] + 0.3 * rng.normal(size=(200, GRID.size))
            fit = HARDENING.fit(GRID, y, start=[800.0, 0.035, 0.2])
            estimates.append(fit.shown[0])
            said.append(fit.shown_std_errors[0])
        ratio = np.mean(said, 0) / np.std(estimates, 0, ddof=1)
        out[f"{scatter:.0%}"] = dict(zip([p.name for p in HARDENING.shown], ratio.tolist(), strict=True))
    return out


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
    """Wall seconds of the import, and of the first model against torch's own import."""
    with tempfile.TemporaryDirectory() as folder:
        made = 'import pima_toolkit as p; p.PIMA({"a": p.Physics("affine")}, clusters=2)'
        out = {
            "import_wall_s": timed(_CLOCK.format(act="import pima_toolkit"), folder),
            "torch_wall_s": timed(_CLOCK.format(act="import torch"), folder),
            "first_model_wall_s": timed(_CLOCK.format(act=made), folder),
        }
    return {**out, "first_model_over_torch": out["first_model_wall_s"] / out["torch_wall_s"]}


PARTS = {f.__name__: f for f in (strd, nostart, bilinear, mstep, speed, errors, formula, imports)}


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    torch.set_num_threads(1)
    versions = {m.__name__: m.__version__ for m in (lmfit, scipy, np, torch)}
    RESULTS.parent.mkdir(exist_ok=True)
    for name in parser.parse_args().only:
        say(f"{name}: {PARTS[name].__doc__.splitlines()[0]}")
        found = PARTS[name]()
        line = {"part": name, **found, "date": str(date.today()), "machine": platform.machine(), "versions": versions}
        with RESULTS.open("a") as file:
            file.write(json.dumps(line) + "\n")
        say("  " + json.dumps({k: v for k, v in found.items() if k != "rows"}, indent=2).replace("\n", "\n  "))


if __name__ == "__main__":
    main()
