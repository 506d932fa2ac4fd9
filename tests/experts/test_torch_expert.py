"""Experts written in torch: the same optimum as the compiled way, a differential equation, a population."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit import Parameter, SympyExpert, TorchExpert, get_expert
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import Bounds, own_fits, solve

HARDENING = get_expert("linear_hardening")
T = np.linspace(0, 0.1, 50)


class Hardening(TorchExpert):
    """The bilinear curve again, by hand."""

    name, t, parameters = "hardening_by_hand", "strain", HARDENING.parameters

    def simulate(self, t, theta):
        E, eps_y, h = theta.unbind(-1)
        E, eps_y, h = E[..., None], eps_y[..., None], h[..., None]
        return E * torch.where(t <= eps_y, t, eps_y + h * (t - eps_y))

    def bounds(self, t):
        return HARDENING.bounds(t)


class Growth(TorchExpert):
    """dy/dt = k y (1 - y / L), y(0) = 0.1, integrated with steps chosen by the solver."""

    name, t = "growth", "time"
    parameters = (Parameter("L", lower=0.2, upper=10), Parameter("k", unit="1/{t}", lower=0, log=True))

    def simulate(self, t, theta):
        from torchdiffeq import odeint

        L, k = theta.unbind(-1)
        start = torch.full_like(L, 0.1)
        return odeint(lambda s, y: k * y * (1 - y / L), start, t, rtol=1e-8, atol=1e-9).movedim(0, -1)


CLOSED = SympyExpert(
    "L / (1 + (L/0.1 - 1)*exp(-k*time))", t="time", bounds={"L": (0.2, 10), "k": (0, None)}, name="growth_closed"
)


def population(rows, seed=0):
    rng = np.random.default_rng(seed)
    theta = np.array([800.0, 0.035, 0.2]) * (1 + 0.05 * rng.normal(size=(rows, 3)))
    return HARDENING.value_and_jacobian(T, theta)[0] + 0.2 * rng.normal(size=(rows, T.size))


def test_values_and_derivatives_are_the_compiled_ones():
    rng = np.random.default_rng(0)
    theta = np.array([800.0, 0.0351, 0.2]) * rng.uniform(0.8, 1.2, (2, 4, 3))
    grids = np.sort(rng.uniform(0, 0.1, (3, 20)), axis=1)
    for t in (T, grids):
        both = (e.value_and_jacobian(t, theta) for e in (Hardening(), HARDENING))
        for found, expected in zip(*both, strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("own_grids", [False, True])
def test_the_optimum_is_the_compiled_ones(own_grids):
    y = population(5)
    y[1, 10:14] = np.nan
    t = np.tile(T, (5, 1)) if own_grids else T
    weights = np.where(np.isfinite(y), 2.0, 0.0)
    weights[3, 5:] = 0.0
    start = np.array([[[700.0, 0.02, 0.4], [900.0, 0.05, 0.1], [500.0, 0.09, 0.9]]]).repeat(5, axis=0)
    compiled, torched = (solve(e, t, y, weights, start, HARDENING.bounds(T)) for e in (HARDENING, Hardening()))
    np.testing.assert_allclose(torched.cost, compiled.cost, rtol=1e-9)
    seen = [0, 1, 2, 4]
    np.testing.assert_allclose(torched.parameters[seen], compiled.parameters[seen], rtol=1e-6)
    assert (torched.status > 0).all()


def test_bounds_held_parameters_priors_and_logarithms():
    t = np.linspace(0, 3, 40)
    bounds = {"tau": (0.1, 0.5), "A": (0, None)}
    formula = SympyExpert("A * exp(-t/tau) + c", bounds=bounds, log=("A",))

    class ByHand(TorchExpert):
        name, parameters = "by_hand", formula.parameters

        def simulate(self, t, theta):
            A, tau, c = (theta[..., p, None] for p in range(3))
            return A * torch.exp(-t / tau) + c

    y = 2 * np.exp(-t / 0.7) + 0.3 + 0.02 * np.random.default_rng(0).normal(size=t.size)
    start = [1.0, 0.3, 0.0]
    for options in ({}, {"fixed": {"c": 0.25}}, {"priors": {"A": (3.0, 0.02)}}, {"noise_std": 0.02}):
        one, other = (e.fit(t, y, start=start, **options) for e in (formula, ByHand()))
        np.testing.assert_allclose(other.fitted, one.fitted, rtol=1e-7)
        np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-5, atol=1e-15)
        assert other.at_bound.tolist() == one.at_bound.tolist() == [[False, "priors" not in options, False]]


def test_troubles_have_the_same_codes():
    nowhere = np.full((1, 1, 3), np.nan)
    assert (
        solve(Hardening(), T, population(1), start=nowhere, bounds=Bounds([-np.inf] * 3, [np.inf] * 3)).status[0] == -1
    )
    y = population(2)
    short = solve(Hardening(), T, y, start=[[[700.0, 0.02, 0.4]]] * 2, max_iterations=1)
    assert short.status.tolist() == [0, 0]
    exact = HARDENING.value_and_jacobian(T, [[800.0, 0.0351, 0.2]])[0]
    assert solve(Hardening(), T, exact, start=[[[800.0, 0.0351, 0.2]]]).status[0] > 0


@pytest.mark.slow
def test_a_differential_equation_is_fitted():
    t = np.linspace(0, 8, 20)
    rng = np.random.default_rng(0)
    y = CLOSED.value_and_jacobian(t, [2.0, 1.1])[0] + 0.02 * rng.normal(size=(4, t.size))
    found, expected = Growth().fit(t, y, start=[1.5, 0.8]), CLOSED.fit(t, y)
    np.testing.assert_allclose(found.fitted, expected.fitted, rtol=1e-5)
    np.testing.assert_allclose(found.parameters.std_error.values, expected.parameters.std_error.values, rtol=1e-3)
    assert found.status[0] > 0


def test_specimens_own_fits_are_the_compiled_ones():
    y, theta = population(12), np.array([[800.0, 0.035, 0.2], [700.0, 0.03, 0.3]])
    bounds = HARDENING.bounds(T)
    root = np.linalg.cholesky(np.stack([0.02 * np.eye(3) + 0.005, 0.01 * np.eye(3)]))
    weights = (np.random.default_rng(1).random(y.shape) < 0.8) * 1.0
    which = np.arange(12) % 2
    precision = np.array([25.0, 10.0])[which]
    for t in (T[None], np.tile(T, (12, 1))):
        arguments = (bounds, t, y, weights, bounds.to_unbounded(theta), root, which, precision)
        (torched, cost), (compiled, expected) = (
            own_fits(e, *arguments, theta=theta, steps=8) for e in (Hardening(), HARDENING)
        )
        np.testing.assert_allclose(cost, expected, rtol=1e-9)
        for field in dataclasses.fields(compiled):
            one, other = getattr(torched, field.name), getattr(compiled, field.name)
            if one is None:
                assert other is None, field.name
                continue
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6 * np.abs(other).max())


@pytest.mark.parametrize("scatter", ["specimen", "none"])
def test_a_population_is_fitted_by_either(scatter):
    rng, t = np.random.default_rng(0), np.linspace(0.1, 2, 8)
    rate = np.repeat([0.5, 2.0], 3) * (1 + 0.05 * rng.normal(size=6))
    y = np.exp(-rate[:, None] * t) + 0.01 * rng.normal(size=(6, 8))
    data = xr.Dataset({"signal": (("specimen", "t"), y)}, coords={"t": t})
    formula = SympyExpert("exp(-rate*t)", bounds={"rate": (0, None)})

    class Decay(TorchExpert):
        name, parameters = "decay_by_hand", formula.parameters

        def simulate(self, t, theta):
            return torch.exp(-theta * t)

    def fit(expert):
        model = pima.PIMA({"signal": pima.Physics(expert, scatter=scatter)}, clusters=2, latent_dim=1)
        return model.fit(data, epochs=1, progress=False)

    torched, compiled = (fit(e).parameters.sortby(lambda x: x.value[:, 0]) for e in (Decay(), formula))
    np.testing.assert_allclose(torched.value, compiled.value, rtol=1e-5)
    np.testing.assert_allclose(torched.std_error, compiled.std_error, rtol=1e-3)
    np.testing.assert_allclose(torched.value[:, 0], [0.5, 2.0], rtol=0.1)


def test_what_cannot_be_is_told():
    class Flat(Hardening):
        name = "flat"

        def simulate(self, t, theta):
            return theta[..., 0] + t[0]

    with pytest.raises(ExpertError, match=r"returned the shape \(1,\), expected \(1, 50\)"):
        Flat().value_and_jacobian(T, np.ones(3))
    with pytest.raises(ExpertError, match=r"must have simulate\(t, theta\)"):

        class Predicts(TorchExpert):
            def predict(self, t, theta):
                return t + theta


def test_a_parameter_without_effect_has_no_slope():
    class Half(Hardening):
        name = "half"

        def simulate(self, t, theta):
            return theta[..., :1] * t

    _, jacobian = Half().value_and_jacobian(T, np.ones((2, 3)))
    np.testing.assert_array_equal(jacobian[..., 0], [T, T])
    assert not jacobian[..., 1:].any()
    assert Half().fit(T, 3 * T + 0.01 * np.cos(40 * T)).unidentified.tolist() == [[False, True, True]]


def test_a_row_that_cannot_be_integrated_spoils_no_other():
    class Fragile(Hardening):
        name = "fragile"

        def simulate(self, t, theta):
            assert (theta[..., 0] > 0).all(), "underflow in dt"
            return theta[..., :1] * t

    value, jacobian = Fragile().value_and_jacobian(T, [[1.0, 0, 0], [-1.0, 0, 0], [2.0, 0, 0]])
    assert np.isnan(value[1]).all()
    assert np.isnan(jacobian[1]).all()
    np.testing.assert_allclose(value[[0, 2]], np.array([[1.0], [2.0]]) * T)
