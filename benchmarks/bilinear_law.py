"""Parts of ``experts.py`` about the bilinear law: its starts, its M-step, its speed beside lmfit, its errors."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import lmfit
import numpy as np
import scipy.optimize
import torch

import pima_toolkit as pima
from pima_toolkit.experts import CurveStatistics, solve

HARDENING = pima.get_expert("linear_hardening")
GRID = np.linspace(0.0, 0.1, 100)


def cpu(act: Callable[[], object], runs: int = 7) -> float:
    """Median CPU seconds of a call, the first not counted."""
    act()
    seconds = []
    for _ in range(runs):
        began = time.process_time()
        act()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def once(act: Callable[[], object]) -> float:
    """CPU seconds of one call, for what takes seconds."""
    began = time.process_time()
    act()
    return time.process_time() - began


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
    rng, bounds = np.random.default_rng(1), HARDENING.bounds(GRID)
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
        begin = bounds.clip(begin.T)
        given = {
            "ours": HARDENING.fit(GRID, x, weights=gamma, start=begin),
            "ours_alone": solve(HARDENING, GRID, y, root**2, begin[:, None], bounds, project=True),
        }
        for name, found in given.items():
            good[name] += int(np.sum(found.cost <= lowest * (1 + 1e-6)))
            tried[name] += 10
        for name in ("scipy", "lmfit") if k < 10 else ():
            for c in range(10):
                cost = peer_cost(name, y[c], root[c], begin[c], bounds)
                good[name] += bool(cost <= lowest[c] * (1 + 1e-6))
                tried[name] += 1
    return {"share": {n: good[n] / tried[n] for n in good}, "fits": tried}


def peer_cost(name: str, y: np.ndarray, root: np.ndarray, start: np.ndarray, bounds: pima.experts.Bounds) -> float:
    """Cost that a peer reaches on one reduced cluster."""
    inside = bounds.clip(start, 1e-9)
    if name == "lmfit":
        names = lmfit.Parameters()
        for i, p in enumerate(HARDENING.parameters):
            names.add(p.name, value=inside[i], min=bounds.lower[i], max=bounds.upper[i])
        values = [p.name for p in HARDENING.parameters]

        def residual(given: lmfit.Parameters) -> np.ndarray:
            return root * (HARDENING.value_and_jacobian(GRID, [given[n].value for n in values])[0] - y)

        return float(lmfit.minimize(residual, names).chisqr)
    found = scipy.optimize.least_squares(
        lambda th: root * (HARDENING.value_and_jacobian(GRID, th)[0] - y),
        np.maximum(inside, 1e-12),
        jac=lambda th: root[:, None] * HARDENING.value_and_jacobian(GRID, th)[1],
        bounds=(bounds.lower, bounds.upper),
        x_scale="jac",
    )
    return 2 * float(found.cost)


def mstep() -> dict:
    """The experts' M-step, D = 20,000, T = 100, C = 10, warm: from parameters a few per cent off, as between epochs.

    Against the float64 matrix product of its statistics, and against ``lmfit.Model`` on all curves, a fit for each
    cluster from the same start to the same optimum.
    """
    theta, x, gamma = clusters(10, 20_000)
    warm = theta * (1 + 0.05 * np.random.default_rng(2).uniform(-1, 1, theta.shape))
    X, g, bounds = torch.as_tensor(x), torch.as_tensor(gamma), HARDENING.bounds(GRID)
    found, lmfit_found = {}, np.empty_like(theta)

    def by_lmfit() -> None:
        for c, start in enumerate(warm):
            lmfit_found[c] = model_of_lmfit(x, gamma[:, c], start)

    def step() -> None:
        sums = CurveStatistics(10, GRID.size).update(X, g)
        solution = solve(HARDENING, GRID, sums.mean.numpy(), sums.weight.numpy(), warm[:, None], bounds)
        found["theta"] = solution.parameters

    out = {"gemm_s": cpu(lambda: g.T @ X), "none_s": cpu(step), "specimen_s": cpu(specimen_step(x, g, warm), 3)}
    out["lmfit_model_s"] = once(by_lmfit)
    return {
        **out,
        "none_over_gemm": out["none_s"] / out["gemm_s"],
        "specimen_over_gemm": out["specimen_s"] / out["gemm_s"],
        "lmfit_model_over_none": out["lmfit_model_s"] / out["none_s"],
        "largest_relative_difference": float(np.max(np.abs(HARDENING.to_reported(found["theta"]) / lmfit_found - 1))),
    }


def specimen_step(x: np.ndarray, gamma: torch.Tensor, theta: np.ndarray) -> Callable[[], object]:
    """A whole M-step with specimens that scatter, as a fit does it."""
    from pima_toolkit.fitting.em.physics import update_physics
    from pima_toolkit.model.curves import Curves
    from pima_toolkit.model.physics import PhysicsDecoder

    scale, C = float(np.abs(x).max()), len(theta)
    present = torch.ones(len(x), dtype=torch.bool)
    curves = Curves(torch.as_tensor(x / scale), GRID, None, present)
    scatter = (1e-3 * torch.eye(3, dtype=torch.float64)).expand(C, 3, 3).clone()
    noise = torch.full((C,), 1.0 / scale**2, dtype=torch.float64)
    decoder = PhysicsDecoder(HARDENING, HARDENING.bounds(GRID), scale, theta, scatter, noise)
    return lambda: update_physics(decoder, curves, gamma, scattered=True)[0]


def bilinear_by_numpy(strain: np.ndarray, E: float, sigma_y: float, H: float) -> np.ndarray:
    """The law as a user of lmfit writes it."""
    return np.where(E * strain < sigma_y, E * strain, sigma_y + H * (strain - sigma_y / E))


def model_of_lmfit(x: np.ndarray, gamma: np.ndarray, start: np.ndarray) -> np.ndarray:
    """E, sigma_y and H of one cluster by ``lmfit.Model`` of a numpy function: default method, all curves, weights."""
    law = lmfit.Model(bilinear_by_numpy)
    given = law.make_params(**dict(zip(("E", "sigma_y", "H"), HARDENING.to_reported(start), strict=True)))
    given["E"].min = given["sigma_y"].min = given["H"].min = 0
    weights = np.repeat(np.sqrt(gamma), GRID.size)
    result = law.fit(x.ravel(), given, strain=np.tile(GRID, len(x)), weights=weights)
    return np.array([result.params[n].value for n in ("E", "sigma_y", "H")])


def speed() -> dict:
    """CPU time of the fit of two clusters against lmfit, from one start to the same optimum.

    ``lmfit_model`` is what a user of lmfit writes: ``lmfit.Model`` of a numpy function, default method and tolerances,
    the curves of the cluster one after another, weights. ``lmfit_compiled`` hands lmfit our compiled curve and numpy's
    broadcasting, which repeats no grid. Both on all curves; ``lmfit_reduced`` on their weighted mean alone.
    """
    return {f"{D} curves": speed_of(D) for D in (4000, 20_000)}


def speed_of(D: int) -> dict:
    """The comparison at one number of curves."""
    _, x, gamma = clusters(2, D)
    X, g, bounds = torch.as_tensor(x), torch.as_tensor(gamma), HARDENING.bounds(GRID)
    start = np.array([800.0, 0.04, 0.1])
    names = [p.name for p in HARDENING.parameters]

    def ours() -> np.ndarray:
        sums = CurveStatistics(2, GRID.size).update(X, g)
        begin = np.tile(start, (2, 1, 1))
        return solve(HARDENING, GRID, sums.mean.numpy(), sums.weight.numpy(), begin, bounds).parameters

    def reduced_ours() -> np.ndarray:
        return solve(HARDENING, GRID, mean, weight, np.tile(start, (2, 1, 1)), bounds).parameters

    def compiled(values: np.ndarray, root: np.ndarray) -> np.ndarray:
        given = lmfit.Parameters()
        for i, name in enumerate(names):
            given.add(name, value=start[i], min=bounds.lower[i], max=bounds.upper[i])

        def residual(at: lmfit.Parameters) -> np.ndarray:
            curve = HARDENING.value_and_jacobian(GRID, [at[n].value for n in names])[0]
            return (root * (curve - values)).ravel()

        result = lmfit.minimize(residual, given, ftol=1e-12, xtol=1e-12)
        return np.array([result.params[n].value for n in names])

    sums = CurveStatistics(2, GRID.size).update(X, g)
    mean, weight = sums.mean.numpy(), sums.weight.numpy()
    theta = ours()
    found = {
        "compiled": HARDENING.to_reported(np.array([compiled(x, np.sqrt(gamma[:, c, None])) for c in range(2)])),
        "model": np.array([model_of_lmfit(x, gamma[:, c], start) for c in range(2)]),
    }
    seconds = {
        "ours": cpu(ours),
        "ours_reduced": cpu(reduced_ours),
        "lmfit_model": once(lambda: [model_of_lmfit(x, gamma[:, c], start) for c in range(2)]),
        "lmfit_compiled": once(lambda: [compiled(x, np.sqrt(gamma[:, c, None])) for c in range(2)]),
        "lmfit_reduced": cpu(lambda: [compiled(mean[c], np.sqrt(weight[c])) for c in range(2)], 3),
    }
    off = {name: float(np.max(np.abs(HARDENING.to_reported(theta) / values - 1))) for name, values in found.items()}
    return {
        **seconds,
        "model_ratio": seconds["lmfit_model"] / seconds["ours"],
        "compiled_ratio": seconds["lmfit_compiled"] / seconds["ours"],
        "reduced_ratio": seconds["lmfit_reduced"] / seconds["ours_reduced"],
        "largest_relative_difference": off,
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
            estimates.append(fit.parameters.value.values[0])
            said.append(fit.parameters.std_error.values[0])
        ratio = np.mean(said, 0) / np.std(estimates, 0, ddof=1)
        out[f"{scatter:.0%}"] = dict(zip([p.name for p in HARDENING.reported], ratio.tolist(), strict=True))
    return out
