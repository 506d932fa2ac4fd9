"""How many tests advice saves: specimens until a standard error is reached, advised against drawn at random.

    python benchmarks/next_test.py             # 25 materials of each design
    python benchmarks/next_test.py --trials 5

A material is tested a few times at random conditions; then one specimen after another, as next_test advises or at
conditions drawn at random, until the fit's own standard error is as small as asked. Every test is simulated and the law
fitted anew after it. temperature: how a modulus falls with temperature; hot: what it is at the hottest; range: the
saturation stress of a hardening law, tests of three lengths; rate: an effect of the logarithm of the rate on one of two
parameters, temperature and rate to choose. One line is appended to benchmarks/results/next_test.jsonl.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lines
import numpy as np

import pima_toolkit as pima

RESULTS = Path(__file__).parent / "results" / "next_test.jsonl"
#: Tests before any advice, and at most.
BEFORE, MOST = 6, 60
STRAIN = np.linspace(0.0, 0.1, 40)


def law(formula: str, *names: str) -> pima.SympyExpert:
    """A law whose parameters are positive."""
    return pima.SympyExpert(formula, "strain", parameters=[pima.Parameter(name, lower=0.0) for name in names])


RISE = law("s*(1 - exp(-E*strain/s))", "E", "s")
HARDENING = law("s0 + R*(1 - exp(-b*strain))", "s0", "R", "b")


@dataclass(frozen=True)
class Design:
    """A question.

    Args:
        law: The physics.
        about: What is asked.
        choices: Conditions to choose among.
        usual: Indices of those that the first tests are drawn from; of each condition.
        truth: Logarithms of the parameters under conditions, (P,).
        scatter: Of the logarithms, between specimens.
        noise: Of a point.
        share: The standard error to reach, as a share of that after the first tests.
        depends_on: What parameters depend on.
        at: Conditions that are asked about.
    """

    law: pima.Expert
    about: str
    choices: dict[str, list]
    usual: dict[str, tuple[int, ...]]
    truth: Callable[[dict], np.ndarray]
    scatter: float
    noise: float
    share: float
    depends_on: dict[str, list[str]] | None = None
    at: dict[str, float] | None = None


HEAT = {"temperature": [280.0, 300.0, 320.0, 340.0, 360.0]}


def falling(conditions: dict) -> np.ndarray:
    """The modulus falls with temperature."""
    return np.log([2000.0, 60.0]) - np.array([0.004, 0.0]) * (conditions["temperature"] - 300.0)


DESIGNS = {
    "temperature": Design(RISE, "E ~ temperature", HEAT, {"temperature": (0, 1, 2, 3, 4)}, falling, 0.06, 0.5, 0.5,
                          {"E": ["temperature"]}),
    "hot": Design(RISE, "E", HEAT, {"temperature": (0, 1, 2)}, falling, 0.06, 0.5, 0.3, {"E": ["temperature"]},
                  {"temperature": 360.0}),
    "range": Design(HARDENING, "R", {"strain": [STRAIN * 0.2, STRAIN * 0.5, STRAIN]}, {"strain": (0, 1, 2)},
                    lambda _: np.log([300.0, 150.0, 20.0]), 0.03, 6.0, 0.5),
    "rate": Design(RISE, "s ~ log(rate)", {**HEAT, "rate": [0.001, 0.01, 0.1, 1.0]},
                   {"temperature": (0, 1, 2, 3, 4), "rate": (0, 1, 2, 3)},
                   lambda c: falling(c) + np.array([0.0, 0.02]) * np.log(c["rate"] / 0.01), 0.06, 0.5, 0.5,
                   {"E": ["temperature"], "s": ["log(rate)"]}),
}  # fmt: skip


def drawn(design: Design, rng: np.random.Generator, among: dict[str, tuple[int, ...]] | None = None) -> dict:
    """Conditions at random."""
    return {
        name: values[rng.choice(among[name]) if among else rng.integers(len(values))]
        for name, values in design.choices.items()
    }


def tested(design: Design, conditions: dict, rng: np.random.Generator) -> tuple[dict, np.ndarray]:
    """Test a specimen: conditions and its curve on the longest grid, NaN beyond its own."""
    truth = design.truth(conditions)
    theta = np.exp(truth + design.scatter * rng.standard_normal(truth.size))
    grid = np.asarray(conditions.get("strain", STRAIN))
    clean = design.law.value_and_jacobian(grid, theta[None])[0][0]
    return conditions, clean + design.noise * rng.standard_normal(grid.size)


def fitted(design: Design, tests: list[tuple[dict, np.ndarray]]) -> pima.Solution:
    """The law fitted to all tests."""
    grid = np.stack([np.asarray(conditions.get("strain", STRAIN)) for conditions, _ in tests])
    known = {name: np.array([c[name] for c, _ in tests]) for name in design.choices if name != "strain"}
    return design.law.fit(grid, np.stack([y for _, y in tests]), depends_on=design.depends_on, covariates=known or None)


def error(design: Design, solution: pima.Solution) -> float:
    """The standard error that was asked about."""
    if "~" in design.about:
        return float(solution.effects.std_error.sel(effect=design.about)[0])
    return float(solution.confidence(design.about, at=design.at).std_error[0, 0])


def advised(design: Design, solution: pima.Solution) -> dict:
    """Conditions of the test that is advised."""
    best = solution.next_test(design.choices, about=design.about, at=design.at, n=1).isel(test=0)
    out = {name: float(best[name]) for name in design.choices if name != "strain"}
    for grid in design.choices.get("strain", []):
        if float(best["strain_to"]) == grid[-1]:
            out["strain"] = grid
    return out


def count(design: Design, seed: int, by_advice: bool) -> int:
    """How many tests after the first were made until the error was reached."""
    rng = np.random.default_rng(seed)
    tests = [tested(design, drawn(design, rng, design.usual), rng) for _ in range(BEFORE)]
    solution = fitted(design, tests)
    goal = design.share * error(design, solution)
    for made in range(1, MOST + 1):
        conditions = advised(design, solution) if by_advice else drawn(design, rng)
        tests.append(tested(design, conditions, rng))
        solution = fitted(design, tests)
        if error(design, solution) <= goal:
            return made
    return MOST


def main() -> None:
    """Measure every design, print the table, append a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=25, help="materials of each design; fewer are not kept")
    trials = parser.parse_args().trials
    row = {}
    for name, design in DESIGNS.items():
        pairs = np.array([[count(design, seed, way) for way in (True, False)] for seed in range(trials)])
        share = np.array([one.sum(0)[0] / one.sum(0)[1] for one in _resampled(pairs)])
        row[name] = {
            "advised": pairs[:, 0].tolist(),
            "random": pairs[:, 1].tolist(),
            "share": float(pairs[:, 0].sum() / pairs[:, 1].sum()),
            "share_std_error": float(share.std(ddof=1)),
        }
        means = pairs.mean(0)
        print(  # noqa: T201 - a program
            f"{name}: {means[0]:.1f} tests advised, {means[1]:.1f} at random,"
            f" {100 * row[name]['share']:.0f} +- {100 * row[name]['share_std_error']:.0f} %",
            flush=True,
        )
    if trials >= 25:
        lines.append(RESULTS, {**row, "trials": trials, "date": date.today().isoformat()})


def _resampled(pairs: np.ndarray) -> np.ndarray:
    """Materials drawn with replacement, 500 times."""
    return pairs[np.random.default_rng(0).integers(len(pairs), size=(500, len(pairs)))]


if __name__ == "__main__":
    main()
