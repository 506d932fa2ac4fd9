"""A fit as a person asks for it: values, honest errors, clear sentences."""

import numpy as np
import pytest
import xarray as xr

from pima_toolkit import Parameter, SympyExpert, get_expert
from pima_toolkit.errors import ExpertError, ShapeError
from pima_toolkit.experts import solve

T = np.linspace(0, 0.1, 60)
HARDENING = get_expert("linear_hardening")
POWER = SympyExpert("K * strain**n", t="strain", units={"K": "{y}"}, bounds={"K": (0, None), "n": (0, 1)})
AFFINE = get_expert("affine")


def population(n, seed, scatter=0.05, noise=0.3):
    rng = np.random.default_rng(seed)
    theta = np.array([800.0, 0.035, 0.2]) * (1 + scatter * rng.normal(size=(n, 3)))
    return HARDENING.value_and_jacobian(T, theta)[0] + noise * rng.normal(size=(n, T.size))


def test_a_curve_gives_its_parameters_with_errors_and_units():
    y = xr.DataArray(500 * T**0.3 + np.random.default_rng(0).normal(size=T.size), dims="strain", attrs={"units": "MPa"})
    solution = POWER.fit(T, y)
    assert abs(solution.fitted[0, 0] - 500) < 4 * solution.parameters.std_error.values[0, 0]
    assert 0 < solution.parameters.std_error.values[0, 0] < 10
    assert solution.units == ["MPa", "1"]
    text = str(solution)
    assert "K = " in text
    assert "± " in text
    assert "MPa" in text
    html = solution._repr_html_()
    assert "<td>" in html
    assert "<th>0</th>" not in html
    assert "<th>1</th>" in POWER.fit(T, np.stack([y, 2 * y]), np.eye(2))._repr_html_()
    assert solution.advice[0].startswith("converged")


def test_naive_errors_of_a_line_are_the_textbooks():
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, 30)
    y = 2 * t + 1 + 0.1 * rng.normal(size=30)
    _, covariance = np.polyfit(t, y, 1, cov=True)
    np.testing.assert_allclose(AFFINE.fit(t, y).covariance[0], covariance, rtol=1e-6)
    weights = rng.uniform(0.5, 2, 30)
    _, covariance = np.polyfit(t, y, 1, w=np.sqrt(weights), cov=True)
    np.testing.assert_allclose(AFFINE.fit(t, y, weights=weights).covariance[0], covariance, rtol=1e-6)


@pytest.mark.slow
def test_errors_between_curves_cover_and_naive_ones_do_not():
    """Over 200 replicates of 40 curves that differ the sandwich is the true spread, the naive error a third of it."""
    estimates, robust, naive = [], [], []
    for seed in range(200):
        solution = HARDENING.fit(T, population(40, seed), start=[800.0, 0.035, 0.2])
        estimates.append(solution.parameters.value.values[0])
        robust.append(solution.parameters.std_error.values[0])
        jacobian = HARDENING.reported_jacobian(solution.fitted[0])
        naive.append(np.sqrt(np.diag(jacobian @ solution.naive_covariance[0] @ jacobian.T)))
    spread = np.std(estimates, axis=0)
    np.testing.assert_allclose(np.mean(robust, axis=0) / spread, 1, atol=0.2)
    assert (np.mean(naive, axis=0) / spread)[:2].max() < 0.6


def test_clusters_are_fitted_by_their_responsibilities():
    soft, hard = population(50, 0), 0.5 * population(40, 1)
    y = np.concatenate([soft, hard])
    gamma = np.repeat([[1.0, 0.0], [0.0, 1.0]], [50, 40], axis=0)
    both = HARDENING.fit(T, y, weights=gamma)
    for c, part in enumerate((soft, hard)):
        alone = HARDENING.fit(T, part)
        np.testing.assert_allclose(both.fitted[c], alone.fitted[0], rtol=1e-7)
        np.testing.assert_allclose(both.covariance[c], alone.covariance[0], rtol=1e-5)
    assert (both.agreement > 0.5).all()
    assert "[1] E = " in str(both)


def test_own_grids_equal_a_shared_one_where_they_are():
    y = population(6, 2)
    y[1, 20:25] = np.nan
    shared = HARDENING.fit(T, y)
    own = HARDENING.fit(np.tile(T, (6, 1)), y)
    np.testing.assert_allclose(own.fitted, shared.fitted, rtol=1e-7)
    np.testing.assert_allclose(own.covariance, shared.covariance, rtol=1e-4)


def test_missing_points_are_ignored():
    y = population(5, 3)
    y[2] = np.nan
    y[0, :4] = np.nan
    solution = HARDENING.fit(T, y)
    without = HARDENING.fit(T, np.delete(y, 2, axis=0))
    np.testing.assert_allclose(solution.fitted, without.fitted, rtol=1e-8)


def test_held_parameters_have_no_error_and_bounds_are_told():
    y = 500 * T**0.3
    held = POWER.fit(T, y + np.random.default_rng(0).normal(size=T.size), fixed={"n": 0.3})
    assert held.fitted[0, 1] == 0.3
    assert held.parameters.std_error.values[0, 1] == 0
    assert held.parameters.std_error.values[0, 0] > 0
    straight = POWER.fit(T, 100 * T + 500 * T**2)
    assert straight.at_bound.tolist() == [[False, True]]
    assert np.isnan(straight.parameters.std_error.values[0, 1])
    assert "at a bound: n" in str(straight)


def test_an_elastic_curve_has_no_error_of_the_hardening():
    solution = HARDENING.fit(T, np.maximum(0, 800 * np.minimum(T, 0.05)), y_unit="MPa")
    np.testing.assert_allclose(solution.parameters.value.values[0], [800, 40, 0], rtol=1e-6, atol=1e-6)
    assert solution.at_bound[0, 2]
    assert np.isnan(solution.parameters.std_error.values[0, 2])
    assert "± ? MPa" in str(solution)


def test_a_given_start_is_tried_beside_the_experts_own():
    """A start from which the descent ends elsewhere does no harm, and is no longer the only one."""
    wave = SympyExpert("a*sin(w*x)", t="x", bounds={"w": (0.1, 10)})
    x = np.linspace(0, 10, 80)
    y = 2 * np.sin(5 * x) + 0.1 * np.cos(40 * x)
    alone, best = solve(wave, x, y, None, [[[1.0, 2.0]]], project=True), wave.fit(x, y)
    assert best.fitted[0, 1] == pytest.approx(5, abs=0.01)
    assert alone.cost[0] > 10 * best.cost[0]
    for start in ([1.0, 2.0], {"w": 2.0}):
        np.testing.assert_allclose(wave.fit(x, y, start=start).fitted, best.fitted, rtol=1e-5)


def test_of_equal_optima_the_given_starts_is_kept():
    """Two peaks may trade names: who gives a start has said which is which."""
    peaks = SympyExpert("a*exp(-(t-m)**2/2e-4) + b*exp(-(t-n)**2/2e-4)")
    y = 3 * np.exp(-((T - 0.03) ** 2) / 2e-4) + 2 * np.exp(-((T - 0.07) ** 2) / 2e-4) + 0.01 * np.cos(400 * T)
    one = peaks.fit(T, y, start={"m": 0.035, "n": 0.065}).fitted[0]
    other = peaks.fit(T, y, start={"m": 0.065, "n": 0.035}).fitted[0]
    names = [p.name for p in peaks.parameters]
    assert one[names.index("m")] == pytest.approx(0.03, abs=1e-3)
    assert other[names.index("m")] == pytest.approx(0.07, abs=1e-3)


TROUBLE = {
    "nothing": (lambda: POWER.fit(T, np.full(60, np.nan)), "nothing to fit"),
    "empty": (lambda: POWER.fit([], []), "nothing to fit"),
    "all weights zero": (lambda: POWER.fit(T, T, weights=np.zeros(60)), "nothing to fit"),
    "empty cluster": (
        lambda: POWER.fit(T, np.ones((3, 60)), weights=np.eye(3)[:, [0, 0]] * [1, 0]),
        "cluster 1 has no data",
    ),
    "negative weights": (lambda: POWER.fit(T, T, weights=-np.ones(60)), "not negative"),
    "too few points": (lambda: HARDENING.fit(T[:2], T[:2]), "3 free parameters but only 2 points"),
    "infinite y": (lambda: POWER.fit(T, np.full(60, np.inf)), "infinite"),
    "start outside": (lambda: POWER.fit(T, T, start=[1.0, 2.0]), "'n' is outside its bounds 0 to 1"),
    "start not a number": (lambda: POWER.fit(T, T, start=[1.0, np.nan]), "'n' is outside"),
    "unknown start": (lambda: POWER.fit(T, T, start={"m": 1.0}), "no fitted parameter 'm'; it has K, n"),
    "unknown held": (lambda: HARDENING.fit(T, T, fixed={"sigma_y": 1.0}), "it has E, eps_y, h"),
    "held at NaN": (lambda: POWER.fit(T, T, fixed={"n": np.nan}), "finite number"),
    "no yield strain": (lambda: HARDENING.fit(-T, T), "positive values of strain"),
}


@pytest.mark.parametrize("case", TROUBLE)
def test_trouble_is_one_clear_sentence(case):
    act, words = TROUBLE[case]
    with pytest.raises(ExpertError, match=words):
        act()


MISFIT = {
    "t": (lambda: POWER.fit(T[:5], T), "y has the shape"),
    "t not finite": (lambda: POWER.fit(np.full(60, np.nan), T), "NaN or infinite"),
    "weights": (lambda: POWER.fit(T, np.ones((3, 60)), weights=np.ones(60)), "one per specimen"),
    "start": (lambda: POWER.fit(T, T, start=[1.0, 1.0, 1.0]), r"expected \(2,\)"),
    "three dimensions": (lambda: POWER.fit(T, np.ones((2, 2, 60))), "expected y"),
    "theta": (lambda: POWER.value_and_jacobian(T, [1.0]), r"parameters \(..., 2\)"),
    "guess": (lambda: POWER.guess(T, np.ones(5)), "y has the shape"),
    "guess weights": (lambda: POWER.guess(T, T, np.ones(5)), "weights have the shape"),
}


@pytest.mark.parametrize("case", MISFIT)
def test_arrays_that_do_not_fit_are_told(case):
    act, words = MISFIT[case]
    with pytest.raises(ShapeError, match=words):
        act()


def test_options_of_a_formula_are_checked():
    cases = {
        "which is the independent variable": {"units": {"strain": "MPa"}},
        "not in the formula; its parameters are K, n": {"bounds": {"m": (0, 1)}},
        "must be a pair": {"bounds": {"n": 3}},
        "lower must be below upper": {"bounds": {"n": (1, 0)}},
        "K is in the formula but not declared; m is declared": {"parameters": [Parameter("m"), Parameter("n")]},
        "same name": {"parameters": [Parameter("n"), Parameter("n")]},
        "rename one": {"parameters": [Parameter("K"), Parameter("n"), Parameter("strain")]},
        "not both": {"parameters": [Parameter("K"), Parameter("n")], "units": {"K": "MPa"}},
        "Parameter objects": {"parameters": ["K", "n"]},
    }
    for words, options in cases.items():
        with pytest.raises(ExpertError, match=words):
            SympyExpert("K * strain**n", t="strain", **options)


def test_an_empty_class_says_what_to_write():
    class Empty(SympyExpert):
        name = "empty"

    with pytest.raises(ExpertError, match="Empty has no formula"):
        Empty()


def test_experts_are_compared_by_content_and_do_not_change():
    again = SympyExpert("K * strain**n", t="strain", units={"K": "{y}"}, bounds={"K": (0, None), "n": (0, 1)})
    assert again == POWER
    assert hash(again) == hash(POWER)
    assert again != SympyExpert("K * strain**n", t="strain")
    assert POWER != HARDENING
    assert POWER != "K * strain**n"
    with pytest.raises(AttributeError, match="do not change"):
        POWER.formula = "other"
    with pytest.raises(AttributeError, match="do not change"):
        HARDENING.reported = ()
    assert "K, n of strain" in repr(POWER)


def test_a_law_that_is_not_finite_everywhere_says_so_without_a_warning_of_numpy():
    x = np.linspace(-0.05, 0.15, 100)
    law = SympyExpert("K * strain**n", t="strain", bounds={"n": (0.1, 0.9)})
    with pytest.raises(ExpertError, match=r"is not finite at strain = -0.05, whatever its parameters \(25 of 100"):
        law.fit(x, 500 + x)
    assert "not finite at any start" in law.fit(-1 - x, 500 + x).report()
