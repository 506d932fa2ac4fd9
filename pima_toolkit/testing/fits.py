"""Checks of an expert as it is used: starts, fits, recovery of what made the data."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..api import PIMA
from ..model.modality import Neural, Physics
from .case import Array, Case, Failure, close, finite


def _noisy(case: Case) -> Array:
    """The curves with one per cent of noise and gaps, shape (V, T)."""
    rng = np.random.default_rng(0)
    y = case.values
    y += 0.01 * np.max(np.abs(y)) * rng.normal(size=y.shape)
    y[rng.uniform(size=y.shape) < 0.1] = np.nan
    return y


def guess_inside_bounds(case: Case) -> int:
    """guess() and starts() of noisy curves with gaps are finite and inside the box."""
    expert, t, y, box = case.expert, case.t, _noisy(case), case.box
    V, P = case.thetas.shape
    found = {
        "guess of one curve": (expert.guess(t, y[0]), (P,)),
        "guess of several curves": (expert.guess(t, y), (V, P)),
        "guess with one grid per curve": (expert.guess(np.tile(t, (V, 1)), y), (V, P)),
        "starts": (expert.starts(t, y, None, 5), (V, 5, P)),
    }
    for what, (theta, shape) in found.items():
        if np.shape(theta) != shape:
            raise Failure(f"{what} has the shape {np.shape(theta)}, expected {shape}")
        outside = ~((theta >= box.lower) & (theta <= box.upper))
        if outside.any():
            where = tuple(np.argwhere(outside)[0])
            p = expert.parameters[where[-1]]
            raise Failure(
                f"{what} puts {p.name!r} at {theta[where]:g}, outside {box.lower[where[-1]]:g} to"
                f" {box.upper[where[-1]]:g}"
            )
    return sum(theta.size for theta, _ in found.values())


def zero_weights_ignored(case: Case) -> int:
    """Points and specimens of weight zero change neither the guess nor the fit, whatever they hold."""
    expert, t, y = case.expert, case.t, case.values
    rubbish = 50.0 * np.max(np.abs(y))
    keep = np.ones(t.size)
    keep[1::3] = 0.0
    gaps, spoilt = y[0].copy(), y[0].copy()
    gaps[keep == 0], spoilt[keep == 0] = np.nan, rubbish
    compared = close(
        "guess with rubbish of weight zero", expert.guess(t, spoilt, keep), expert.guess(t, gaps), relative=1e-6
    )
    clean, dirty = expert.fit(t, gaps), expert.fit(t, spoilt, keep)
    compared += close("a fit with points of weight zero", *_curves(case, dirty, clean), relative=1e-6)
    both = np.stack([y[0], np.full(t.size, rubbish)])
    alone, beside = expert.fit(t, y[:1]), expert.fit(t, both, np.array([1.0, 0.0]))
    return compared + close("a fit beside a specimen of weight zero", *_curves(case, beside, alone), relative=1e-6)


def _curves(case: Case, *solutions: object) -> list[Array]:
    """The fitted curves: where a parameter is not determined they still are."""
    return [case.expert.value_and_jacobian(case.t, solution.parameters)[0] for solution in solutions]


def order_does_not_matter(case: Case) -> int:
    """Permuting specimens permutes their guesses; permuting specimens or points leaves a fit as it is."""
    expert, t, y, rng = case.expert, case.t, case.values, np.random.default_rng(0)
    rows, points = rng.permutation(y.shape[0]), rng.permutation(t.size)
    guesses = expert.guess(t, y)
    compared = close("guess of permuted specimens", expert.guess(t, y[rows]), guesses[rows], relative=1e-6)
    compared += close("guess of one specimen by itself", expert.guess(t, y[1]), guesses[1], relative=1e-6)
    value = expert.value_and_jacobian(t[points], case.thetas)[0]
    compared += close("values on permuted points", value, y[:, points], relative=1e-9)
    plain = expert.fit(t, y)
    for what, other in (
        ("specimens", expert.fit(t, y[rows])),
        ("points", expert.fit(t[points], y[:, points])),
    ):
        compared += close(f"a fit to permuted {what}", *_curves(case, other, plain), relative=1e-5)
    return compared


def recovers_its_parameters(case: Case) -> int:
    """From its own curves, without noise and without a start, a fit finds the parameters that made them."""
    expert, thetas = case.expert, case.thetas
    solution = expert.fit(case.t, case.values, weights=np.eye(thetas.shape[0]))
    (curves,) = _curves(case, solution)
    compared = close("the fitted curves", curves, case.values, relative=1e-5)
    for i, p in enumerate(expert.parameters):
        # A parameter that is zero in the example has no size of its own.
        absolute = 0.0 if thetas[:, i].any() else 1e-6
        found = solution.parameters[:, i]
        compared += close(f"the fitted {p.name!r}", found, thetas[:, i], relative=1e-3, absolute=absolute)
    return compared


def usable_in_pima(case: Case) -> int:
    """A small PIMA with two populations of this physics trains, and answers with finite curves and parameters."""
    expert, t, rng = case.expert, case.t, np.random.default_rng(0)
    specimens, label = 24, np.arange(24) % 2
    curves = case.values[label] * (1 + 0.01 * rng.normal(size=(specimens, 1)))
    curves += 1e-3 * np.max(np.abs(curves)) * rng.normal(size=curves.shape)
    feature = (label[:, None] - 0.5) * np.array([1.0, -1.0, 0.5]) + 0.1 * rng.normal(size=(specimens, 3))
    data = xr.Dataset(
        {"feature": (("specimen", "kind"), feature), "curve": (("specimen", expert.t), curves)},
        coords={expert.t: t},
    )
    model = PIMA({"feature": Neural(), "curve": Physics(expert)}, clusters=2, latent_dim=2)
    fit = model.fit(data, seed=0, epochs=2, progress=False)
    answer = fit.infer(data[["feature"]])
    return finite("the predicted curve", answer["curve"].values) + finite("the ELBO", np.array([fit.elbo]))
