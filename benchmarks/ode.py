"""Differential equations as experts beside Runge-Kutta steps written by hand, and beside scipy.

    python benchmarks/ode.py
    python benchmarks/ode.py --plot pyrolysis.png     # instead: PMMA of the folder PIMA_DATA, one reaction and two

Curve and sensitivities of one specimen, CPU seconds of one thread, medians of several runs, measured in turns. What is
written by hand is the classical method of order 4 and Dormand and Prince's of order 5 with control of the step, each
with the sensitivities beside the states, compiled by numba for this one law: each as coarse as its values are still at
least as right as the expert's. One line is appended to benchmarks/results/ode.jsonl.
"""

# ruff: noqa: ANN001, ANN202 - functions that numba compiles
from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lines
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from numba import njit
from scipy.integrate import solve_ivp

import pima_toolkit as pima
from pima_toolkit.experts import expert_from_dict, pack

RESULTS = Path(__file__).parent / "results" / "ode.jsonl"
GAS = 8.31446261815324

PYROLYSIS = pima.OdeExpert(
    {"x": "exp(lnk - Ea / (R * temperature)) / (heating_rate / 60) * max(1 - x, 0)**n"},
    t="temperature",
    start=330.0,
    initial={"x": 0},
    inputs={"R": GAS / 1000},
    covariates=("heating_rate",),
    output="1 - (1 - residue) * x",
    sizes={"x": 1.0},
    name="pyrolysis",
)
MAXWELL = pima.OdeExpert(
    {f"s{i}": f"E{i} * rate - s{i} / tau{i}" for i in (1, 2, 3)},
    t="time",
    initial=dict.fromkeys(("s1", "s2", "s3"), 0),
    inputs={"rate": "strain_rate"},
    output="s1 + s2 + s3",
    name="maxwell",
)


@njit
def pyrolysis_slope(t, u, p, y, S, dy, dS) -> None:
    """Slopes of the state and of its sensitivities, by hand."""
    k = math.exp(p[0] - p[1] / (GAS / 1000 * t)) / (u / 60)
    left = max(1 - y[0], 0.0)
    power = left ** p[2]
    slope = -k * p[2] * power / left if left > 0 else 0.0
    dy[0] = k * power
    dS[0, 0] = dy[0] + slope * S[0, 0]
    dS[0, 1] = -dy[0] / (GAS / 1000 * t) + slope * S[0, 1]
    dS[0, 2] = (dy[0] * math.log(left) if left > 0 else 0.0) + slope * S[0, 2]


@njit
def maxwell_slope(_, u, p, y, S, dy, dS) -> None:
    """Slopes of three branches and of their sensitivities, by hand; p = (E1, tau1, E2, tau2, E3, tau3)."""
    dS[:] = 0.0
    for i in range(3):
        E, tau = p[2 * i], p[2 * i + 1]
        dy[i] = E * u - y[i] / tau
        dS[i, 2 * i] = u - S[i, 2 * i] / tau
        dS[i, 2 * i + 1] = y[i] / tau**2 - S[i, 2 * i + 1] / tau


@njit
def pyrolysis_output(y, S, p, value, jacobian, k) -> None:
    """Mass and its derivatives, by hand."""
    value[k] = 1 - (1 - p[3]) * y[0]
    for q in range(3):
        jacobian[k, q] = -(1 - p[3]) * S[0, q]
    jacobian[k, 3] = y[0]


@njit
def maxwell_output(y, S, _, value, jacobian, k) -> None:
    """Stress and its derivatives, by hand."""
    value[k] = y[0] + y[1] + y[2]
    for q in range(6):
        jacobian[k, q] = S[q // 2, q]


def classical(slope: Callable, output: Callable, n: int, P: int, _: float) -> Callable:
    """The method of order 4, a number of equal steps between two points."""

    @njit
    def curve(t, u, p, start, value, jacobian, steps):
        y, S = np.zeros(n), np.zeros((n, P))
        yy, SS = np.zeros(n), np.zeros((n, P))
        dy, dS = np.zeros((4, n)), np.zeros((4, n, P))
        now, low = start, u[0]
        for k in range(t.size):
            h = (t[k] - now) / steps
            if h > 0:
                rise = (u[k] - low) / (t[k] - now)
                for m in range(steps):
                    at = now + m * h
                    for i in range(4):
                        c = (0.0, 0.5, 0.5, 1.0)[i] * h
                        for a in range(n):
                            yy[a] = y[a] + (c * dy[i - 1, a] if i else 0.0)
                            for q in range(P):
                                SS[a, q] = S[a, q] + (c * dS[i - 1, a, q] if i else 0.0)
                        slope(at + c, low + rise * (at + c - now), p, yy, SS, dy[i], dS[i])
                    for a in range(n):
                        y[a] += h / 6 * (dy[0, a] + 2 * dy[1, a] + 2 * dy[2, a] + dy[3, a])
                        for q in range(P):
                            S[a, q] += h / 6 * (dS[0, a, q] + 2 * dS[1, a, q] + 2 * dS[2, a, q] + dS[3, a, q])
            now, low = t[k], u[k]
            output(y, S, p, value, jacobian, k)

    return curve


_C = np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
_A = np.zeros((7, 7))
_A[1, :1] = 1 / 5
_A[2, :2] = 3 / 40, 9 / 40
_A[3, :3] = 44 / 45, -56 / 15, 32 / 9
_A[4, :4] = 19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729
_A[5, :5] = 9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656
_A[6, :6] = 35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84
_B = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])


@njit(inline="always")
def dormand_prince_error(y, yy, size, dy, h) -> float:
    """Estimated error of a step relative to the states' sizes."""
    error = 0.0
    for a in range(y.size):
        off = 0.0
        for j in range(7):
            off += h * _B[j] * dy[j, a]
        error = max(error, abs(off) / max(size[a], abs(yy[a]), 1e-300))
    return error


def dormand_prince(slope: Callable, output: Callable, n: int, P: int, floor: float) -> Callable:  # noqa: C901 - compiled
    """The method of order 5 with control of the step, which ends at every point; errors relative to at least floor."""

    @njit
    def curve(t, u, p, start, value, jacobian, tolerance):
        y, S, size = np.zeros(n), np.zeros((n, P)), np.full(n, floor)
        yy, SS = np.zeros(n), np.zeros((n, P))
        dy, dS = np.zeros((7, n)), np.zeros((7, n, P))
        now, low, step = start, u[0], 0.0
        for k in range(t.size):
            first = now
            if t[k] > first:
                rise = (u[k] - low) / (t[k] - first)
                slope(now, low, p, y, S, dy[0], dS[0])
                step = t[k] - first if step == 0.0 else step
            while now < t[k]:
                h = min(step, t[k] - now)
                for i in range(1, 7):
                    for a in range(n):
                        yy[a] = y[a]
                        for j in range(i):
                            yy[a] += h * _A[i, j] * dy[j, a]
                        for q in range(P):
                            SS[a, q] = S[a, q]
                            for j in range(i):
                                SS[a, q] += h * _A[i, j] * dS[j, a, q]
                    at = now + _C[i] * h
                    slope(at, low + rise * (at - first), p, yy, SS, dy[i], dS[i])
                error = dormand_prince_error(y, yy, size, dy, h) / tolerance
                factor = min(max(0.9 * max(error, 1e-10) ** -0.2, 0.2), 8.0)
                step = max(step, factor * h) if error <= 1.0 else factor * h
                if error <= 1.0:
                    now = t[k] if h == t[k] - now else now + h
                    for a in range(n):
                        y[a], dy[0, a], size[a] = yy[a], dy[6, a], max(size[a], abs(yy[a]))
                        for q in range(P):
                            S[a, q], dS[0, a, q] = SS[a, q], dS[6, a, q]
            low = u[k]
            output(y, S, p, value, jacobian, k)

    return curve


def cases() -> dict[str, tuple]:
    """Expert, inputs, parameters, its own laws by hand, and their sizes, by name."""
    T = np.linspace(330.0, 1070.0, 149)
    time_ = np.linspace(0.0, 20.0, 200)
    rate = np.where(time_ < 5, 0.2, np.where(time_ < 12, 0.0, -0.1)) + 0.01 * np.sin(3 * time_)
    return {
        "pyrolysis": (
            PYROLYSIS,
            {"temperature": T, "heating_rate": 10.0},
            np.array([30.0, 180.0, 1.2, 0.05]),
            (pyrolysis_slope, pyrolysis_output, 1, 4, 1.0),
        ),
        "maxwell": (
            MAXWELL,
            {"time": time_, "strain_rate": rate},
            np.array([800.0, 0.5, 300.0, 4.0, 100.0, 30.0]),
            (maxwell_slope, maxwell_output, 3, 6, 0.0),
        ),
    }


def exact(expert: pima.OdeExpert, inputs: dict[str, np.ndarray], theta: np.ndarray) -> np.ndarray:
    """The curve with a tolerance a thousand times smaller."""
    finer = expert_from_dict({**expert.to_dict(), "tolerance": 1e-9})
    return finer.value_and_jacobian(inputs, theta)[0]


def in_turns(calls: dict[str, Callable[[], None]], rounds: int = 25, each: int = 20) -> dict[str, float]:
    """Median CPU seconds of one call of each, all measured in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.process_time()
            for _ in range(each):
                call()
            seconds[name].append((time.process_time() - begin) / each)
    return {name: statistics.median(values) for name, values in seconds.items()}


def by_scipy(name: str, inputs: dict[str, np.ndarray], theta: np.ndarray) -> float:
    """CPU seconds of scipy's LSODA on states and sensitivities together, in Python, to 1e-8."""
    slope, _, n, P, _ = cases()[name][3]
    t, u = inputs.values()
    u = np.broadcast_to(u, t.shape)

    def augmented(at: float, z: np.ndarray) -> np.ndarray:
        dy, dS = np.zeros(n), np.zeros((n, P))
        slope(at, np.interp(at, t, u), theta, z[:n], z[n:].reshape(n, P), dy, dS)
        return np.concatenate([dy, dS.ravel()])

    begin = time.process_time()
    solve_ivp(augmented, (t[0], t[-1]), np.zeros(n * (1 + P)), "LSODA", t, rtol=1e-8, atol=1e-10)
    return time.process_time() - begin


def measured(name: str) -> dict[str, object]:
    """Microseconds, errors and ratio of one case."""
    expert, inputs, theta, hand = cases()[name]
    begin = time.process_time()
    curve = expert.compiled_curve()
    ready = time.process_time() - begin
    t, points = pack(expert, inputs), len(next(iter(inputs.values())))
    value, jacobian = np.empty(points), np.empty((points, theta.size))
    right = exact(expert, inputs, theta)
    curve(t, theta, value, jacobian)
    errors, slopes = {"expert": np.abs(value - right).max()}, jacobian.copy()
    calls: dict[str, Callable] = {"expert": partial(curve, t, theta, value, jacobian)}
    for method, make, settings in (
        ("classical", classical, (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)),
        ("dormand_prince", dormand_prince, [10.0**-k for k in np.arange(4, 12, 0.5)]),
    ):
        by_hand = partial(make(*hand), t[:points].copy(), t[points:].copy(), theta, expert.start, value, jacobian)
        for setting in settings:
            by_hand(setting)
            errors[method] = np.abs(value - right).max()
            if errors[method] <= errors["expert"]:
                break
        if not np.allclose(jacobian, slopes, rtol=1e-4, atol=1e-4 * np.abs(slopes).max()):
            raise SystemExit(f"{name}: the sensitivities by hand are not the expert's")
        calls[method] = partial(by_hand, setting)
    seconds = in_turns(calls)
    ratio = seconds["expert"] / min(seconds["classical"], seconds["dormand_prince"])
    return {
        "microseconds": {k: round(1e6 * v, 1) for k, v in seconds.items()},
        "errors": {k: float(f"{v:.2g}") for k, v in errors.items()},
        "ratio_to_the_faster": round(ratio, 2),
        "scipy_microseconds": round(1e6 * by_scipy(name, inputs, theta)),
        "ready_seconds": round(ready, 2),
    }


_RATE = "exp(lnk{k} - E{k} / R * (1 / temperature - 1 / 650)) / (heating_rate / 60) * max(1 - x{k}, 0)**n{k}"


def reactions(count: int) -> pima.OdeExpert:
    """One reaction, or two side by side, of which the first takes the share w; rates at 650 K."""
    numbers = range(1, count + 1)
    bounds = {f"lnk{k}": (-15, 5) for k in numbers} | {f"E{k}": (20, 400) for k in numbers}
    bounds |= {f"n{k}": (0.3, 3) for k in numbers} | {"residue": (-0.1, 1)} | ({"w": (0, 0.4)} if count > 1 else {})
    return pima.OdeExpert(
        {f"x{k}": _RATE.format(k=k) for k in numbers},
        t="temperature",
        start=400.0,
        initial={f"x{k}": 0 for k in numbers},
        inputs={"R": GAS / 1000},
        covariates=("heating_rate",),
        output="1 - (1 - residue) * x1" if count == 1 else "1 - w * x1 - (1 - w - residue) * x2",
        sizes={f"x{k}": 1 for k in numbers},
        bounds=bounds,
        units={f"E{k}": "kJ/mol" for k in numbers},
        name=("one reaction", "two reactions")[count - 1],
    )


def plot(path: str) -> None:
    """Draw PMMA in inert gas at four heating rates, one reaction and two fitted to all 63 specimens."""
    data = xr.load_dataset(Path(os.environ["PIMA_DATA"]) / "macfp" / "macfp.nc")
    chosen = (data.material == "pmma") & np.isin(data.gas, ["N2", "Ar"])
    data = data.isel(specimen=np.flatnonzero(chosen)).sel(temperature=slice(400, 900))
    y, T, nominal = data.mass_fraction.values, data.temperature.values, data.heating_rate_nominal.values
    figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), sharey=True, layout="constrained")
    guess = {"lnk": -4.0, "E": 150.0, "n": 1.0, "w": 0.05, "residue": 0.01}
    for count, colour in ((1, "tab:orange"), (2, "tab:blue")):
        expert = reactions(count)
        start = {p.name: guess[p.name.rstrip("12")] for p in expert.parameters}
        start |= {"lnk1": -3.0, "E1": 100.0} if count > 1 else {}
        solution = expert.fit({"temperature": T, "heating_rate": data.heating_rate.values}, y, start=start)
        print(solution.report())  # noqa: T201 - a benchmark prints
        for axis, rate in zip(axes, (2.5, 10.0, 20.0, 50.0), strict=True):
            these, own = y[nominal == rate], data.heating_rate.values[nominal == rate]
            curves = np.stack(
                [expert.value_and_jacobian({"temperature": T, "heating_rate": r}, solution.fitted[0])[0] for r in own]
            )
            if count == 1:
                axis.plot(T, these.T, color="0.7", lw=0.7)
                axis.set(title=f"{rate:g} K/min, {len(these)} specimens", xlabel="temperature (K)", xlim=(450, 800))
            error = np.sqrt(np.nanmean((these - curves) ** 2))
            label = f"{expert.name.split()[0]}: {error:.3f}"
            axis.plot(T, curves[np.argsort(own)[len(own) // 2]], color=colour, lw=1.6, label=label)
            axis.legend(frameon=False, fontsize=7, loc=(0.02, 0.17), title="reactions: RMSE", title_fontsize=7)
    axes[0].set_ylabel("mass / mass at 380 K")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure and append one line, or draw."""
    parser = argparse.ArgumentParser(description="Differential equations as experts beside steps written by hand.")
    parser.add_argument("--plot", help="draw measured pyrolysis into this file instead")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.plot)
        return
    row: dict[str, object] = {"date": date.today().isoformat()}
    for name in cases():
        row[name] = measured(name)
        print(name, row[name], flush=True)  # noqa: T201 - a benchmark prints
    lines.append(RESULTS, row)


if __name__ == "__main__":
    main()
