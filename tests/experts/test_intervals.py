"""Bootstrap, profiles and bands against textbook values and against new data."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from pima_toolkit import SympyExpert, get_expert
from pima_toolkit.errors import ExpertError, FormulaError, OptionError
from pima_toolkit.experts import solve
from pima_toolkit.experts.formulas.derived import solved_for

T = np.linspace(0, 0.1, 40)
HARDENING = get_expert("linear_hardening")
AFFINE = get_expert("affine")
TRUTH = np.array([800.0, 0.035, 0.2])


def population(n, seed=0, spread=0.05, noise=0.3):
    rng = np.random.default_rng(seed)
    theta = TRUTH * (1 + spread * rng.standard_normal((n, 3)))
    return HARDENING.value_and_jacobian(T, theta)[0] + noise * rng.standard_normal((n, T.size))


@pytest.fixture(scope="module")
def solution():
    return HARDENING.fit(T, population(60), y_unit="MPa")


def test_the_bootstrap_agrees_with_the_errors_of_the_mean(solution):
    found = solution.bootstrap(400, seed=1)
    np.testing.assert_allclose(found.std_error, solution.parameters.std_error.values, rtol=0.2)
    np.testing.assert_array_equal(found.value, solution.parameters.value.values)
    assert (found.low < found.value).all()
    assert (found.value < found.high).all()
    assert found.replicates.sizes == {"replicate": 400, "cluster": 1, "parameter": 3}
    assert list(found.unit.values) == ["MPa", "MPa", "MPa"]


def test_the_bootstrap_is_a_refit_of_drawn_curves(solution):
    """Each replicate is the fit of the curves drawn, the same seed written out, up to where they are expanded."""
    y = population(60)
    drawn = np.random.default_rng(3).multinomial(60, np.full(60, 1 / 60), size=50)[17]
    one = HARDENING.fit(T, np.repeat(y, drawn, axis=0), start=solution.fitted[0])
    found = solution.bootstrap(50, seed=3).replicates[17, 0]
    far = np.abs(found - one.parameters.value.values[0])
    assert (far < 0.05 * solution.parameters.std_error.values[0]).all()


def test_clusters_and_held_parameters_are_resampled_too():
    y = np.concatenate([population(30), 0.5 * population(30, 1)])
    gamma = np.repeat([[1.0, 0.0], [0.0, 1.0]], 30, axis=0)
    both = HARDENING.fit(T, y, weights=gamma, fixed={"h": 0.2})
    found = both.bootstrap(60, seed=0)
    assert found.sizes["cluster"] == 2
    ratio = found.replicates.sel(parameter="H") / found.replicates.sel(parameter="E")
    np.testing.assert_allclose(ratio, 0.2, rtol=1e-12)
    np.testing.assert_allclose(found.std_error, both.parameters.std_error.values, rtol=0.4)


def test_a_profile_of_a_line_is_the_textbooks_interval():
    """One curve: value ± t times standard error, exactly, since a line is linear in its parameters."""
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, 25)
    y = 2 * t + 1 + 0.1 * rng.standard_normal(25)
    line = AFFINE.fit(t, y)
    found = line.profile(level=0.95)
    half = scipy.stats.t.ppf(0.975, 23) * line.parameters.std_error.values
    np.testing.assert_allclose(found.low, line.fitted - half, rtol=1e-3)
    np.testing.assert_allclose(found.high, line.fitted + half, rtol=1e-3)
    lone = AFFINE.fit(t, y, fixed={"intercept": 1.0}).profile("slope", "intercept", level=0.95)
    fixed = AFFINE.fit(t, y, fixed={"intercept": 1.0})
    half = scipy.stats.t.ppf(0.975, 24) * fixed.parameters.std_error.values[0, 0]
    np.testing.assert_allclose(lone.low[0, 0], fixed.fitted[0, 0] - half, rtol=1e-6)
    np.testing.assert_allclose(lone.high[0, 0], fixed.fitted[0, 0] + half, rtol=1e-6)
    assert np.isnan(lone.low[0, 1])


def test_a_profile_of_a_curved_law_is_the_level_of_the_cost():
    """Asymmetric, found again by brute force: the fit with the rate held, where the cost has risen by s^2 t^2."""
    law = SympyExpert("a * (1 - exp(-k * t))", bounds={"a": (0, None), "k": (0, None)})
    rng = np.random.default_rng(0)
    t = np.linspace(0.1, 1, 15)
    y = 3 * (1 - np.exp(-1.0 * t)) + 0.1 * rng.standard_normal(15)
    fitted = law.fit(t, y)
    found = fitted.profile("k", level=0.9)
    s2, best = fitted.cost[0] / 13, fitted.fitted[0]
    rise = s2 * scipy.stats.f.ppf(0.9, 1, 13)

    def excess(k):
        start = np.array([[[best[0] * best[1] / k, k]]])
        return solve(law, t, y[None], None, start, law.bounds(t), fixed=[False, True]).cost[0] - fitted.cost[0] - rise

    low = scipy.optimize.brentq(excess, 1e-3, best[1])
    high = scipy.optimize.brentq(excess, best[1], 20)
    np.testing.assert_allclose([found.low.item(), found.high.item()], [low, high], rtol=2e-3)
    assert high - best[1] > 1.05 * (best[1] - low)


def test_profiles_of_curves_that_differ_are_those_of_the_population(solution):
    found = solution.profile(level=0.9)
    for end in ("low", "high"):
        np.testing.assert_allclose(found[end], solution.parameters[end], rtol=2e-3)
    half = 0.5 * (found.high - found.low).values
    naive = np.sqrt(np.diagonal(solution.naive_covariance, axis1=1, axis2=2))
    assert half[0, 0] > 2 * naive[0, 0]
    assert list(found.parameter.values) == ["E", "sigma_y", "H"]


def test_a_profile_stops_at_a_bound():
    law = SympyExpert("a * t + b", bounds={"b": (0, None)})
    t = np.linspace(0, 1, 12)
    y = t + 0.05 + 0.1 * np.random.default_rng(0).standard_normal(12)
    fitted = law.fit(t, y)
    assert fitted.fitted[0, 1] > 0
    assert fitted.profile("b", level=0.99).low.item() == 0.0


def test_bands_hold_what_they_say():
    """The mean band the true mean curve, the specimen band new measurements, over replicates of 15 curves."""
    truth = HARDENING.value_and_jacobian(T, TRUTH * (1 + 0.05 * np.random.default_rng(9).standard_normal((20000, 3))))[
        0
    ]
    new = population(400, seed=10)
    mean, specimen = [], []
    for seed in range(60):
        fitted = HARDENING.fit(T, population(15, seed=100 + seed), start=TRUTH)
        band = fitted.band()
        mean.append((band.low.values[0] <= truth.mean(0)) & (truth.mean(0) <= band.high.values[0]))
        band = fitted.band(of="specimen")
        specimen.append(((band.low.values <= new) & (new <= band.high.values)).mean(0))
    # At the kink the mean of many curves is no kinked curve; there no band of one holds it.
    away = np.abs(T - 0.035) > 0.006
    assert 0.8 < np.mean(np.array(mean)[:, away & (T > 0)]) < 0.97
    assert 0.87 < np.mean(specimen) < 0.94


def test_a_line_has_the_textbooks_band():
    rng = np.random.default_rng(2)
    t = np.linspace(0, 1, 20)
    y = 2 * t + 1 + 0.1 * rng.standard_normal(20)
    fitted = AFFINE.fit(t, y, y_unit="N", t_unit="s")
    band = fitted.band(np.array([0.0, 0.5, 2.0]), level=0.95)
    s2 = fitted.cost[0] / 18
    spread = s2 * (1 / 20 + (band.t.values - 0.5) ** 2 / np.sum((t - 0.5) ** 2))
    np.testing.assert_allclose(
        band.high[0] - band["mean"][0], scipy.stats.t.ppf(0.975, 18) * np.sqrt(spread), rtol=1e-6
    )
    assert band["mean"].attrs["units"] == "N"
    assert band.t.attrs["units"] == "s"


@pytest.mark.parametrize("own", [False, True])
def test_how_specimens_differ_is_found_again(own):
    rng = np.random.default_rng(4)
    theta = np.array([5.0, 1.0]) + rng.standard_normal((800, 2)) @ np.array([[0.5, 0.2], [0.0, 0.3]])
    t = np.tile(np.linspace(0, 1, 12), (800, 1)) + (0.01 * rng.random((800, 1)) if own else 0)
    y = theta[:, :1] * t + theta[:, 1:] + 0.2 * rng.standard_normal(t.shape)
    solution = AFFINE.fit(t if own else t[0], y)
    population = solution.populations[0]
    np.testing.assert_allclose(population.scatter, np.cov(theta.T), rtol=0.15, atol=0.01)
    assert population.effects.variance == pytest.approx(0.04, rel=0.1)
    np.testing.assert_allclose(solution.parameters.scatter_std[0], theta.std(0), rtol=0.05)


@pytest.mark.parametrize("noise_std", [None, 0.05])
def test_specimens_that_hardly_differ_have_a_band(noise_std):
    """The likelihood then puts some variances at zero; the band is the noise and what little is left."""
    t, shares = np.linspace(0, 1, 30), []
    for seed in range(40):
        y = 2 * t + 1 + 0.05 * np.random.default_rng(seed).standard_normal((15, 30))
        band = AFFINE.fit(t, y, noise_std=noise_std).band(of="specimen")
        new = 2 * t + 1 + 0.05 * np.random.default_rng(100 + seed).standard_normal((50, 30))
        shares.append(((band.low.values <= new) & (new <= band.high.values)).mean())
    assert 0.88 < np.mean(shares) < 0.95


def test_a_profile_knows_the_noise_that_was_given_and_refuses_priors():
    t = np.linspace(0, 1, 12)
    y = 2 * t + 1 + 0.1 * np.random.default_rng(3).standard_normal(12)
    line = AFFINE.fit(t, y, noise_std=0.5)
    found = line.profile(level=0.95)
    half = scipy.stats.norm.ppf(0.975) * line.parameters.std_error.values
    np.testing.assert_allclose(0.5 * (found.high - found.low), half, rtol=1e-3)
    width = line.band(level=0.95)
    assert 0.5 * float(width.high[0, 0] - width.low[0, 0]) == pytest.approx(
        scipy.stats.norm.ppf(0.975) * line.parameters.std_error.values[0, 1]
    )
    with pytest.raises(ExpertError, match=r"leaves the priors out: use the interval of parameters$"):
        AFFINE.fit(t, y, priors={"slope": (2, 0.1)}).profile()


def test_the_report_says_it_all(solution):
    text = solution.report()
    for words in (
        "60.0 effective specimens",
        "100% of the starts agree",
        "converged",
        "sigma_y",
        " ± ",
        "MPa",
        f"y(strain) = {HARDENING.formula}, with sigma_y = E * eps_y, H = E * h",
    ):
        assert words in text
    assert "\\" not in text


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (lambda s: s.profile("sigma"), ExpertError, "there is no parameter 'sigma' to look at: use E, sigma_y, H"),
        (lambda s: s.profile(level=95), OptionError, "level=95: expected a share between 0 and 1"),
        (lambda s: s.band(of="noise"), OptionError, "of='noise': expected \"mean\""),
        (lambda s: s.bootstrap(1), OptionError, "n=1: expected a whole number of replicates, at least 2"),
    ],
)
def test_bad_questions(solution, ask, kind, message):
    with pytest.raises(kind, match=message):
        ask(solution)


def test_one_curve_has_no_specimens():
    one = HARDENING.fit(T, population(1)[0])
    with pytest.raises(ExpertError, match="one curve cannot be resampled"):
        one.bootstrap()
    with pytest.raises(ExpertError, match="how specimens differ cannot be told from one curve"):
        one.band(of="specimen")


def test_formulas_are_solved_for_a_name_they_are_linear_in():
    assert solved_for("E * eps_y", "sigma_y", ["E", "eps_y", "h"]) == ("eps_y", "sigma_y/E")
    assert solved_for("a + exp(b)", "q", ["a", "b"]) == ("a", "q - exp(b)")
    with pytest.raises(FormulaError, match="linear in none of its parameters, so its profile cannot be drawn"):
        solved_for("exp(a) + b**2", "q", ["a", "b"])
