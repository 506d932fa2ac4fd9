"""Do intervals hold what they say? Coverage of 90 % intervals of every kind, where specimens differ and where not.

Populations of bilinear curves are drawn, fitted, and each parameter's interval is asked whether it holds what the fit
of a whole population of 20,000 specimens gives. A good interval does so in 90 % of the draws. (That limit is not the
mean of the specimens' parameters: the mean of curves that bend at different strains has no sharp bend. The table says
how far apart the two are.) Run as ``python benchmarks/uncertainty.py``; about two minutes on a quiet core.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import scipy.stats

import pima_toolkit as pima

TRUTH = np.array([800.0, 0.035, 0.2])
STRAIN = np.linspace(0.0, 0.1, 60)
NOISE, LEVEL = 0.3, 0.9
KINDS = ("naive", "sandwich", "bootstrap", "profile")


def intervals(expert: pima.Expert, solution: pima.Solution, seed: int) -> dict[str, np.ndarray]:
    """Low and high of (E, sigma_y, H), shape (2, 3), by the kind of the interval."""
    specimens = solution.data.gamma.shape[0]
    quantile = scipy.stats.t.ppf(0.5 * (1 + LEVEL), specimens - 1)
    jacobian = expert.reported_jacobian(solution.parameters[0])
    naive = np.sqrt(np.diagonal(jacobian @ solution.naive_covariance[0] @ jacobian.T))
    centre = solution.reported[0]
    resampled, profiled = solution.bootstrap(400, seed, level=LEVEL), solution.confidence(level=LEVEL)
    return {
        "naive": np.stack([centre - quantile * naive, centre + quantile * naive]),
        "sandwich": np.stack([centre + sign * quantile * solution.reported_std_errors[0] for sign in (-1, 1)]),
        "bootstrap": np.stack([resampled.low.values[0], resampled.high.values[0]]),
        "profile": np.stack([profiled.low.values[0], profiled.high.values[0]]),
    }


def population(expert: pima.Expert, specimens: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Curves of specimens whose parameters differ by this share, with noise."""
    own = TRUTH * (1 + spread * rng.standard_normal((specimens, 3)))
    return expert.value_and_jacobian(STRAIN, own)[0] + NOISE * rng.standard_normal((specimens, STRAIN.size))


def coverage(
    expert: pima.Expert, target: np.ndarray, specimens: int, spread: float, draws: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Share of the draws whose interval holds the target, and median width over the true 90 % width, for each kind."""
    held, width, centres = {kind: [] for kind in KINDS}, {kind: [] for kind in KINDS}, []
    for draw in range(draws):
        rng = np.random.default_rng([draw, specimens, round(1000 * spread)])
        solution = expert.fit(STRAIN, population(expert, specimens, spread, rng), start=TRUTH)
        centres.append(solution.reported[0])
        for kind, (low, high) in intervals(expert, solution, draw).items():
            held[kind].append((low <= target) & (target <= high))
            width[kind].append(high - low)
    true = 2 * scipy.stats.norm.ppf(0.5 * (1 + LEVEL)) * np.std(centres, axis=0)
    return {kind: (np.mean(held[kind], axis=0), np.median(width[kind], axis=0) / true) for kind in KINDS}


def tell(text: str) -> None:
    """One line of output, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=60, help="populations drawn for each line")
    draws = parser.parse_args().draws
    began = time.process_time()
    tell(f"coverage of {100 * LEVEL:.0f} % intervals in % (and median width over the true one), {draws} draws of each;")
    tell(f"one standard error of a share near 90 % is {100 * np.sqrt(0.09 / draws):.1f}")
    tell(f"{'specimens':>9} {'scatter':>8}  {'kind':<10}" + "".join(f"{name:>16}" for name in ("E", "sigma_y", "H")))
    expert = pima.get_expert("linear_hardening")
    for spread in (0.0, 0.05, 0.15):
        whole = population(expert, 20_000, spread, np.random.default_rng(1))
        target = expert.fit(STRAIN, whole, start=TRUTH).reported[0]
        apart = 100 * (target / expert.to_reported(TRUTH) - 1)
        far = np.array2string(apart, precision=1)
        tell(f"scatter {100 * spread:.0f} %: the limit differs from the mean parameters by {far} %")
        for specimens in (12, 60):
            for kind, (share, width) in coverage(expert, target, specimens, spread, draws).items():
                cells = "".join(f"{100 * s:>9.0f} ({w:4.2f})" for s, w in zip(share, width, strict=True))
                tell(f"{specimens:>9} {100 * spread:>6.0f} %  {kind:<10}{cells}")
    tell(f"{time.process_time() - began:.0f} s of processor time")


if __name__ == "__main__":
    main()
