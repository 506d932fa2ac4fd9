"""Every built-in expert: its values by another road, its derivatives, its fit without a start, its words.

Adding an expert to the catalogue is adding a line to REFERENCE: the same curve by a formula or a library that is not
ours, of the independent variable and the fitted parameters.
"""

import inspect
import re

import numpy as np
import pima_experts
import pytest
import torch
from scipy import special, stats

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import card_of, example_of, solve

lmfit_lines = pytest.importorskip("lmfit.lineshapes")


def bilinear(strain, E, eps_y, h):
    return np.where(strain < eps_y, E * strain, E * eps_y + E * h * (strain - eps_y))


REFERENCE = {
    "proportional": lambda t, slope: slope * t,
    "affine": lambda t, slope, intercept: np.polyval([slope, intercept], t),
    "linear_hardening": bilinear,
    "elastic_perfectly_plastic": lambda t, E, eps_y: np.clip(E * t, None, E * eps_y),
    "ramberg_osgood": lambda t, C, s0, n: t * C + 0.002 * np.exp(n * np.log(np.maximum(t, 1e-300) / s0)),
    "hollomon": lambda t, K, n: K * np.exp(special.xlogy(n, t)),
    "ludwik": lambda t, sigma_y, K, n: sigma_y + K * np.power(t, n),
    "swift": lambda t, K, eps_0, n: K * np.exp(n * np.log(t + eps_0)),
    "voce": lambda t, sigma_y, rise, eps_c: sigma_y - rise * np.expm1(-t / eps_c),
    "johnson_cook": lambda t, A, B, n, C, m: (A + B * np.power(t, n)) * (1 + C * np.log(1000)) * (1 - 0.2**m),
    "zerilli_armstrong_bcc": lambda t, c0, c1, c3, c4, c5, n: (
        c0 + c1 * np.exp(-c3 * 300) * 1000 ** (c4 * 300) + c5 * np.power(t, n)
    ),
    "zerilli_armstrong_fcc": lambda t, c0, c2, c3, c4: c0 + c2 * t**0.5 * np.exp(-c3 * 300) * 1000 ** (c4 * 300),
    "norton_hoff": lambda t, K, e, n, m, beta: np.exp(np.log(K) + n * np.log(e + t) + beta / 1273),
    "gibson_ashby_modulus": lambda t, C, n: 7e4 * C * np.exp(n * np.log(t)),
    "gibson_ashby_strength": lambda t, C: 250 * C * t * np.sqrt(t),
    "densification": lambda t, E, eps_y, h, D, eps_D: bilinear(t, E, eps_y, h) + D * np.clip(t - eps_D, 0, None),
    "rusch": lambda t, A, m, B, n: A * np.power(t, m) + B * np.power(t, n),
    "neo_hookean": lambda t, mu: mu * (t**3 - 1) / t**2,
    "mooney_rivlin": lambda t, C_sum, C_01: 2 * (t - t**-2.0) * ((C_sum - C_01) + C_01 / t),
    "norton": lambda t, A, n: np.exp(np.log(A) + n * np.log(t)),
    "garofalo": lambda t, A, alpha, n: A * ((np.exp(alpha * t) - np.exp(-alpha * t)) / 2) ** n,
    "herschel_bulkley": lambda t, tau_y, K, n: tau_y + K * np.power(t, n),
    "exponential_decay": lambda t, A, tau, c: lmfit_lines.exponential(t, A, tau) + c,
    "maxwell": lambda t, G_0, tau: G_0 * stats.expon.sf(t, scale=tau),
    "prony": lambda t, E_inf, E_1, tau_1, E_2, ratio: (
        E_inf + E_1 * stats.expon.sf(t, scale=tau_1) + E_2 * stats.expon.sf(t, scale=tau_1 * ratio)
    ),
    "stretched_exponential": lambda t, A, tau, beta: A * stats.weibull_min.sf(t, beta, scale=tau),
    "damped_oscillation": lambda t, a, b, g, omega: np.real((a + 1j * b) * np.exp((1j * omega - g) * t)),
    "arrhenius": lambda t, A, E_a: A * np.exp(-E_a / (8.31446261815324 * t)),
    "vft": lambda t, A, B, T_0: A + B / (t - T_0),
    "avrami": lambda t, k, n: stats.weibull_min.cdf(t, n, scale=1 / k),
    "michaelis_menten": lambda t, V_max, K_m: V_max * special.expit(special.logit(t / (K_m + t))),
    "hill": lambda t, V_max, K, n: V_max * special.expit(n * np.log(np.maximum(t, 1e-300) / K)),
    "langmuir": lambda t, q_m, K: q_m - q_m / (1 + K * t),
    "freundlich": lambda t, K, n: K * np.exp(np.log(np.maximum(t, 1e-300)) / n),
    "power_law": lambda t, A, p: lmfit_lines.powerlaw(t, A, p),
    "paris": lambda t, C, m: lmfit_lines.powerlaw(t, C, m),
    "logistic": lambda t, L, k, t_0: L * special.expit(k * (t - t_0)),
    "weibull": lambda t, sigma_0, m: stats.weibull_min.cdf(t, m, scale=sigma_0),
    "gaussian": lambda t, A, mu, w: lmfit_lines.gaussian(t, A * w * np.sqrt(2 * np.pi), mu, w),
    "lorentzian": lambda t, A, mu, w: lmfit_lines.lorentzian(t, A * w * np.pi, mu, w),
    "voigt": lambda t, A, mu, s, gamma: A * special.voigt_profile(t - mu, s, gamma),
    "pseudo_voigt": lambda t, A, mu, w, eta: (
        lmfit_lines.lorentzian(t, eta * A * w * np.pi, mu, w)
        + (1 - eta) * A * stats.norm.pdf((t - mu) / w * np.sqrt(2 * np.log(2))) * np.sqrt(2 * np.pi)
    ),
}


@pytest.fixture(params=sorted(REFERENCE))
def expert(request):
    return pima.get_expert(request.param)


def around(expert, number, seed=0):
    """Random truths about the example, inside the bounds."""
    example, rng = expert.example, np.random.default_rng(seed)
    theta, bounds = example.theta(expert.parameters), expert.bounds(example.grid)
    width = np.where(np.isfinite(bounds.upper) & np.isfinite(bounds.lower), bounds.upper - bounds.lower, np.inf)
    by_factor = theta * 10 ** rng.uniform(-0.4, 0.4, (number, theta.size))
    by_width = theta + rng.uniform(-0.2, 0.2, (number, theta.size)) * np.where(np.isfinite(width), width, 0.0)
    return bounds.clip(np.where(np.abs(theta) > 0.1 * width, by_width, by_factor), 0.02)


def test_every_built_in_has_a_reference():
    assert {made().name for made in pima_experts.pima_experts()} == set(REFERENCE)


def test_its_values_are_those_of_an_independent_formula(expert):
    example = example_of(expert)
    for theta in (example.theta(expert.parameters), *around(expert, 3)):
        expected = REFERENCE[expert.name](example.grid, *theta)
        found = expert.value_and_jacobian(example.inputs(expert), theta)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


def test_its_derivatives_agree_and_are_finite_to_the_ends(expert):
    example = example_of(expert)
    t, theta = example.inputs(expert), example.theta(expert.parameters)
    value, jacobian = expert.value_and_jacobian(t, theta)
    assert np.isfinite(value).all()
    assert np.isfinite(jacobian).all()
    grid, fitted = torch.from_numpy(t), torch.from_numpy(theta).requires_grad_()
    np.testing.assert_allclose(expert.predict(grid, fitted).detach(), value, rtol=1e-12)
    slopes = torch.stack([torch.autograd.grad(y, fitted, retain_graph=True)[0] for y in expert.predict(grid, fitted)])
    np.testing.assert_allclose(slopes, jacobian, rtol=1e-9, atol=1e-12 * np.abs(jacobian).max())
    for i, at in enumerate(theta):
        step = np.zeros_like(theta)
        step[i] = 1e-6 * abs(at)
        change = (expert.value_and_jacobian(t, theta + step)[0] - expert.value_and_jacobian(t, theta - step)[0]) / 2
        size = np.abs(jacobian[:, i]).max()
        inside = np.abs(jacobian[:, i] - change / step[i]) <= 1e-5 * size
        assert inside.sum() >= inside.size - 1, "all but a point on a kink"


def test_its_fit_finds_the_optimum_without_a_start(expert):
    """20 random truths, 2 % noise: never worse than a fit that starts at the truth, in 19 of 20 at least."""
    example, truth = example_of(expert), around(expert, 20, seed=1)
    t = example.inputs(expert)
    y = expert.value_and_jacobian(t, truth)[0]
    y += 0.02 * np.ptp(y, axis=1, keepdims=True) * np.random.default_rng(2).normal(size=y.shape)
    starts = expert.starts(t, y)
    bounds = expert.bounds(example.grid)
    assert ((starts >= bounds.lower) & (starts <= bounds.upper)).all()
    found, known = solve(expert, t, y, start=starts), solve(expert, t, y, start=truth[:, None])
    assert (found.cost <= known.cost * (1 + 1e-5)).mean() >= 0.95
    assert (found.status > 0).mean() >= 0.95
    named = {expert.t: example.grid, **example.covariates}
    one = expert.fit(named if example.covariates else example.grid, y[0])
    assert one.cost[0] == pytest.approx(found.cost[0], rel=1e-6)


def test_it_says_what_it_is(expert):
    """Its equation, a table that is that of its parameters, where it holds, and who found it."""
    text = inspect.cleandoc(type(expert).__doc__)
    assert ".. math::" in text
    assert re.search(r"^Valid for: .{10}", text, re.MULTILINE)
    assert re.search(r"^Source: .{4}", text, re.MULTILINE)
    assert not re.search(r"^name +unit", text, re.MULTILINE), "the table is printed from the declarations"
    for row, p in zip(card_of(expert).rows, expert.reported, strict=True):
        assert (row[0], row[1], row[3]) == (p.name, p.unit, p.description)
    assert all(p.description for p in (*expert.parameters, *expert.reported))


#: Values worked out by hand from the textbook form.
BY_HAND = [
    ("hollomon", {"K": 500, "n": 0.5}, 0.04, 100),
    ("voce", {"sigma_y": 100, "rise": 100, "eps_c": 0.1}, 0.1, 200 - 100 / np.e),
    ("ramberg_osgood", {"C": 1 / 70e3, "sigma_0": 350, "n": 10}, 350, 0.007),
    ("elastic_perfectly_plastic", {"E": 100, "eps_y": 0.5}, 0.9, 50),
    ("densification", {"E": 10, "eps_y": 0.1, "h": 0.1, "D": 20, "eps_D": 0.5}, 0.6, 1 + 0.5 + 2),
    ("mooney_rivlin", {"C_sum": 0.3, "C_01": 0.1}, 2, 2 * (0.2 + 0.05) * 1.75),
    ("norton", {"A": 1e-10, "n": 3}, 100, 1e-4),
    ("arrhenius", {"A": 1e13, "E_a": 8.31446261815324 * 1000}, 1000, 1e13 / np.e),
    ("vft", {"A": -2, "B": 4000, "T_0": 500}, 1000, 6),
    ("avrami", {"k": 0.1, "n": 2}, 10, 1 - 1 / np.e),
    ("freundlich", {"K": 3, "n": 2}, 16, 12),
    ("hill", {"V_max": 2, "K": 3, "n": 2.5}, 3, 1),
    ("pseudo_voigt", {"A": 8, "mu": 1, "w": 0.5, "eta": 0.3}, 1.5, 4),
    ("gaussian", {"A": 8, "mu": 1, "w": 0.5}, 1.5, 8 * np.exp(-0.5)),
    ("damped_oscillation", {"a": 0, "b": 1, "g": 0, "omega": np.pi / 2}, 1, -1),
    ("paris", {"C": 1e-8, "m": 3}, 10, 1e-5),
]


@pytest.mark.parametrize(("name", "parameters", "t", "y"), BY_HAND, ids=[row[0] for row in BY_HAND])
def test_values_by_hand(name, parameters, t, y):
    expert = pima.get_expert(name)
    theta = pima.Example((0, 1), parameters).theta(expert.parameters)
    assert expert.value_and_jacobian([t], theta)[0][0] == pytest.approx(y, rel=1e-12)


#: What is shown where it is not what is fitted: fitted, then shown.
SHOWN = {
    "elastic_perfectly_plastic": ([100, 0.5], [100, 50]),
    "ramberg_osgood": ([1 / 70e3, 350, 10], [70e3, 350, 10, 0.4]),
    "voce": ([100, 50, 0.1], [100, 150, 0.1]),
    "mooney_rivlin": ([0.3, -0.1], [0.4, -0.1]),
    "prony": ([1, 2, 3, 4, 5], [1, 2, 3, 4, 15]),
    "densification": ([10, 0.1, 0.2, 3, 0.5], [10, 1, 2, 3, 0.5]),
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown(name):
    expert = pima.get_expert(name)
    np.testing.assert_allclose(expert.to_reported(SHOWN[name][0]), SHOWN[name][1])


@pytest.mark.parametrize("phase", [-3.0, -1.0, 0.0, 0.5, np.pi])
def test_amplitude_and_phase_of_an_oscillation(phase):
    expert = pima.get_expert("damped_oscillation")
    a, b = 2 * np.cos(phase), 2 * np.sin(phase)
    np.testing.assert_allclose(
        expert.to_reported([a, b if phase != np.pi else 0.0, 0.1, 3]), [2, 0.1, 3, phase], atol=1e-12
    )


@pytest.mark.parametrize(("s", "gamma"), [(0.5, 0), (0.01, 0.4), (2, 1e-3), (1e-3, 1)])
def test_the_voigt_line_from_gaussian_to_lorentzian(s, gamma):
    x, expert = np.linspace(0, 10, 200), pima.get_expert("voigt")
    expected = 7 * special.voigt_profile(x - 4, s, gamma)
    theta = np.array([7, 4, s, gamma])
    atol = 1e-12 * expected.max()
    np.testing.assert_allclose(expert.value_and_jacobian(x, theta)[0], expected, rtol=0, atol=atol)
    np.testing.assert_allclose(
        expert.predict(torch.from_numpy(x), torch.from_numpy(theta)), expected, rtol=0, atol=atol
    )


def test_a_factor_of_any_size_has_an_error():
    stress = np.geomspace(50, 100, 40)
    rate = 1e-35 * (stress**14 + 0.01 * 100**14 * np.random.default_rng(0).normal(size=40))
    found = pima.get_expert("norton").fit(stress, rate)
    assert not found.at_bound.any()
    assert abs(found.fitted[0, 1] - 14) < 4 * found.parameters.std_error.values[0, 1]
    assert abs(found.fitted[0, 0] - 1e-35) < 4 * found.parameters.std_error.values[0, 0] < 1e-34


def test_units_follow_those_of_the_data():
    hit = pima.get_expert("freundlich").fit(np.linspace(1, 9, 9), np.linspace(1, 9, 9) ** 0.5, y_unit="mg", t_unit="Pa")
    assert hit.units == ["mg/Pa**(1/n)", "1"]
    creep = pima.get_expert("norton").fit([1, 2, 3, 4], [1, 8, 27, 64], y_unit="1/s", t_unit="MPa")
    assert creep.units == ["(1/s)/MPa**n", "1"]


@pytest.mark.slow
def test_johnson_cook_is_found_from_a_plan_of_rates_and_temperatures():
    expert, strain = pima.get_expert("johnson_cook"), np.linspace(0, 0.3, 40)
    rate, temperature = np.repeat([1e-3, 1, 1e3], 4), np.tile([0, 0.2, 0.4, 0.6], 3)
    inputs = {"strain": strain, "strain_rate": rate, "temperature": temperature}
    truth = np.array([350, 275, 0.36, 0.022, 1.0])
    y = expert.value_and_jacobian(inputs, truth)[0] + 3 * np.random.default_rng(0).normal(size=(12, 40))
    found = expert.fit(inputs, y, y_unit="MPa")
    assert (np.abs(found.fitted[0] - truth) < 4 * found.parameters.std_error.values[0]).all()
    np.testing.assert_allclose(found.fitted[0], truth, rtol=0.05)
    assert found.units == ["MPa", "MPa", "1", "1", "1"]


def test_temperatures_must_be_absolute():
    with pytest.raises(ExpertError, match=r"vft needs temperatures in kelvin, above zero, got -20: add 273\.15"):
        pima.get_expert("vft").bounds([-20, 100])


def test_kinks_need_positive_strains():
    with pytest.raises(ExpertError, match="densification needs at least two positive values of strain, got 0"):
        pima.get_expert("densification").bounds([-0.2, -0.1, 0])


def test_a_parameter_within_the_measured_range():
    bounds = pima.get_expert("gaussian").bounds([2, 7, 3])
    assert (bounds.lower[1], bounds.upper[1]) == (2, 7)
    with pytest.raises(ExpertError, match="reversed or empty"):
        pima.get_expert("gaussian").bounds([2, 2])
