"""Checks of an expert as it is used: starts, fits, recovery of what made the data."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..api.pima import PIMA
from ..experts import by_name
from ..model.modality import Neural, Physics
from .case import Array, Case, Failure, close, finite


def _noisy(case: Case) -> Array:
    """Add one per cent of noise and gaps to the curves, shape (V, T)."""
    rng = np.random.default_rng(0)
    y = case.values
    y += 0.01 * np.max(np.abs(y)) * rng.normal(size=y.shape)
    y[rng.uniform(size=y.shape) < 0.1] = np.nan
    return y


def guess_inside_bounds(case: Case) -> int:
    """guess() and starts() of noisy curves with gaps are finite and inside the bounds."""
    expert, t, y, bounds = case.expert, case.t, _noisy(case), case.bounds
    V, P = case.thetas.shape
    own = expert.around(expert.guess(t, y))
    count = 5 if own is None else min(5, own.shape[1])
    started = {
        "guess of one curve": (expert.guess(t, y[0]), (P,)),
        "guess of several curves": (expert.guess(t, y), (V, P)),
        "guess with one grid per curve": (expert.guess(np.tile(t, (V, 1)), y), (V, P)),
        "starts": (expert.starts(t, y, None, 5), (V, count, P)),
    }
    for what, (theta, shape) in started.items():
        if np.shape(theta) != shape:
            raise Failure(f"{what} has the shape {np.shape(theta)}, expected {shape}")
        outside = ~((theta >= bounds.lower) & (theta <= bounds.upper))
        if outside.any():
            where = tuple(np.argwhere(outside)[0])
            p = expert.parameters[where[-1]]
            raise Failure(
                f"{what} puts {p.name!r} at {theta[where]:g}, outside {bounds.lower[where[-1]]:g} to"
                f" {bounds.upper[where[-1]]:g}"
            )
    return sum(theta.size for theta, _ in started.values())


def zero_weights_ignored(case: Case) -> int:
    """Points and specimens of weight zero change neither the guess nor the fit, whatever they hold."""
    expert, t, y = case.expert, case.t, case.values
    inputs = case.named(t)
    rubbish = 50.0 * np.max(np.abs(y))
    keep = np.ones(case.points)
    keep[1::3] = 0.0
    gaps, spoilt = y[0].copy(), y[0].copy()
    gaps[keep == 0], spoilt[keep == 0] = np.nan, rubbish
    guesses = expert.guess(t, spoilt, keep), expert.guess(t, gaps)
    compared = _same(case, "guess with rubbish of weight zero", *guesses)
    clean, dirty = expert.fit(inputs, gaps), expert.fit(inputs, spoilt, keep)
    compared += _same(case, "a fit with points of weight zero", dirty.fitted, clean.fitted)
    both = np.stack([y[0], np.full(case.points, rubbish)])
    alone, beside = expert.fit(inputs, y[:1]), expert.fit(inputs, both, np.array([1.0, 0.0]))
    return compared + _same(case, "a fit beside a specimen of weight zero", beside.fitted, alone.fitted)


def _same(case: Case, what: str, theta: Array, expected: Array, relative: float = 1e-6) -> int:
    """Compare the curves of parameters: where a parameter is not determined they still are."""
    curves = [case.expert.value_and_jacobian(case.t, theta)[0] for theta in (theta, expected)]
    return close(what, *curves, relative=relative)


def order_does_not_matter(case: Case) -> int:
    """Permuting specimens permutes their guesses; permuting specimens or points leaves a fit as it is.

    An expert without a compiled form may be a solver that goes along the grid: its points stay in their order.
    """
    expert, t, y, rng = case.expert, case.t, case.values, np.random.default_rng(0)
    inputs = case.named(t)
    rows, points = rng.permutation(y.shape[0]), rng.permutation(case.points)
    guesses = expert.guess(t, y)
    compared = _same(case, "guess of permuted specimens", expert.guess(t, y[rows]), guesses[rows])
    compared += _same(case, "guess of one specimen by itself", expert.guess(t, y[1]), guesses[1])
    plain = expert.fit(inputs, y)
    others = {"specimens": expert.fit(inputs, y[rows])}
    if expert.compiled_curve() is not None:
        shuffled = case.moved(lambda x: x[points])
        value = expert.value_and_jacobian(shuffled, case.thetas)[0]
        compared += close("values on permuted points", value, y[:, points], relative=case.precision)
        others["points"] = expert.fit(case.named(shuffled), y[:, points])
    for what, other in others.items():
        compared += _same(case, f"a fit to permuted {what}", other.fitted, plain.fitted, relative=1e-5)
    return compared


def recovers_its_parameters(case: Case) -> int:
    """From its own curves, without noise and without a start, a fit finds the parameters that made them."""
    expert, thetas, grids = case.expert, case.thetas, case.conditions
    V, K = len(thetas), len(grids)
    if K == 1:
        solution = expert.fit(case.t, case.values, weights=np.eye(V))
    else:  # every row of parameters under every condition
        curves = expert.value_and_jacobian(grids, thetas)[0].reshape(V * K, -1)
        solution = expert.fit(case.named(np.tile(grids, (V, 1))), curves, weights=np.repeat(np.eye(V), K, axis=0))
    compared = _same(case, "the fitted curves", solution.fitted, thetas, relative=1e-5)
    for i, p in enumerate(expert.parameters):
        # A parameter that is zero in the example has no size of its own.
        absolute = 0.0 if thetas[:, i].any() else 1e-6
        fitted = solution.fitted[:, i]
        compared += close(f"the fitted {p.name!r}", fitted, thetas[:, i], relative=1e-3, absolute=absolute)
    return compared


def usable_in_pima(case: Case) -> int:
    """A small PIMA with two populations of this physics trains, and answers with finite curves and parameters."""
    expert, grids, rng = case.expert, case.conditions, np.random.default_rng(0)
    specimens, label = 24, np.arange(24) % 2
    own = grids[np.arange(specimens) // 2 % len(grids)]  # each specimen's condition, both populations under each
    curves = np.stack([expert.value_and_jacobian(t, case.thetas[k])[0] for t, k in zip(own, label, strict=True)])
    curves *= 1 + 0.01 * rng.normal(size=(specimens, 1))
    curves += 1e-3 * np.max(np.abs(curves)) * rng.normal(size=curves.shape)
    feature = (label[:, None] - 0.5) * np.array([1.0, -1.0, 0.5]) + 0.1 * rng.normal(size=(specimens, 3))
    own_inputs = by_name(expert.inputs, own)
    data = xr.Dataset(
        {"feature": (("specimen", "kind"), feature), "curve": (("specimen", expert.t), curves)},
        coords={
            expert.t: case.example.grid,
            **{name: ("specimen", own_inputs[name][:, 0]) for name in expert.covariates},
        },
    )
    model = PIMA({"feature": Neural(), "curve": Physics(expert)}, clusters=2, latent_dim=2)
    fit = model.fit(data, seed=0, epochs=2, progress=False)
    answer = fit.infer(data[["feature"]])
    return finite("the predicted curve", answer["curve"].values) + finite("the ELBO", np.array([fit.elbo]))
