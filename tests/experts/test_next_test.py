"""Plans of tests: what they promise is what comes of them, and the advised are better than others."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, ExpertError, OptionError

LINE = pima.SympyExpert("a + b*t", "t")
T = np.linspace(0.0, 1.0, 12)
RISE = pima.SympyExpert(
    "s*(1 - exp(-E*t/s))", "t", parameters=[pima.Parameter("E", lower=0.0), pima.Parameter("s", lower=0.0)]
)
HEAT = {"temperature": [250.0, 300.0, 350.0, 400.0]}


def specimens(temperature, seed=0, t=T, noise=0.02):
    """Lines whose slope falls with temperature and whose level does not."""
    rng = np.random.default_rng(seed)
    slope = 2.0 - 0.01 * (temperature - 300.0) + 0.1 * rng.standard_normal(len(temperature))
    level = 1.0 + 0.1 * rng.standard_normal(len(temperature))
    return level[:, None] + slope[:, None] * t + noise * rng.standard_normal((len(temperature), t.size))


def fitted(temperature, seed=0):
    y = specimens(temperature, seed)
    return LINE.fit(T, y, depends_on={"b": ["temperature"]}, covariates={"temperature": temperature})


@pytest.fixture(scope="module")
def few():
    return fitted(np.array([290.0, 300.0, 300.0, 310.0, 290.0, 310.0]))


def test_one_more_curve_of_a_single_specimen_halves_the_variance():
    alone = LINE.fit(T, specimens(np.array([300.0]))[0])
    plan = alone.next_test({"t": [T]})
    np.testing.assert_allclose(plan.std_error[0], plan.std_error_now / np.sqrt(2.0), rtol=1e-6)
    np.testing.assert_allclose(plan.gain[0], np.log(2.0), rtol=1e-6)


def test_it_is_the_information_of_generalised_least_squares(few):
    """Slow obvious code: the covariance of the coefficients with one more specimen of variance S + H^-1."""
    plan = few.next_test(HEAT, about="b ~ temperature")
    population = few.populations[0]
    J = np.stack([np.ones_like(T), T], 1)
    spread = population.effects.total + population.effects.variance * np.linalg.inv(J.T @ J)
    known = np.linalg.inv(population.effects.coefficient_covariance)
    reference = float(few.effects.reference[0])
    for k in range(plan.sizes["test"]):
        D = np.zeros((2, 3))
        D[0, 0] = D[1, 1] = 1.0
        D[1, 2] = float(plan.temperature[k]) - reference
        after = np.linalg.inv(known + D.T @ np.linalg.inv(spread) @ D)
        assert float(plan.std_error[k, 0]) == pytest.approx(np.sqrt(after[2, 2]), rel=1e-6)
    now = float(few.effects.std_error[0, 0])
    assert float(plan.std_error_now[0]) == pytest.approx(now, rel=1e-6)
    np.testing.assert_allclose(plan.gain, np.log(now / plan.std_error[:, 0]), rtol=1e-6, atol=1e-6)


def test_an_effect_is_asked_of_the_farthest_conditions_and_a_mean_of_its_own(few):
    effect = few.next_test(HEAT, about="b ~ temperature")
    assert effect.temperature.values[0] == 400.0
    assert bool(effect.outside_range[0])
    assert not bool(effect.outside_range.values[effect.temperature.values == 300.0][0])
    assert (np.diff(effect.gain) <= 0.0).all()
    here = few.next_test(HEAT, about="b", at={"temperature": 350.0})
    assert float(here.std_error_now[0]) > float(few.next_test(HEAT, about="b").std_error_now[0])
    both = few.next_test(HEAT | {"t": [T, T[:3]]}, about="b")
    assert float(both.t_to[0]) == 1.0  # a longer curve says more of a slope


def test_tests_planned_together_know_of_each_other(few):
    plan = few.next_test(HEAT, n=5)
    assert (np.diff(plan.gain) < 0.0).all()  # each tells less than the one before
    assert (np.diff(plan.std_error, axis=0) < 0.0).all()
    assert len(set(plan.temperature.values)) == 2  # both ends: D-optimal for a line
    np.testing.assert_allclose(plan.gain[0], few.next_test(HEAT).gain[0])


def test_what_was_promised_comes():
    """The expected error after three tests is that of fits with three more specimens, on average."""
    start = np.array([290.0, 300.0, 310.0, 290.0, 300.0, 310.0, 300.0, 305.0])
    ratio = []
    for seed in range(20):
        before = fitted(start, seed)
        plan = before.next_test(HEAT, about="b ~ temperature", n=3)
        after = fitted(np.concatenate([start, plan.temperature.values]), seed)
        ratio.append(float(after.effects.std_error[0, 0]) / float(plan.std_error[2, 0]))
    assert np.exp(np.mean(np.log(ratio))) == pytest.approx(1.0, abs=0.25)


def test_two_laws_are_told_apart_where_their_curves_differ_most():
    rng = np.random.default_rng(1)
    t = np.linspace(0.005, 0.05, 30)
    E, s = np.exp(np.log([2000.0, 60.0])[:, None] + 0.03 * rng.standard_normal((2, 8)))
    y = s[:, None] * (1 - np.exp(-E[:, None] * t / s[:, None])) + 0.3 * rng.standard_normal((8, 30))
    one = RISE.fit(t, y)
    limits = [pima.Parameter("E", lower=0.0), pima.Parameter("s", lower=0.0)]
    other = pima.SympyExpert("E*t/(1 + E*t/s)", "t", parameters=limits).fit(t, y)
    grids = [np.linspace(0.0, 0.005, 30), t, np.linspace(0.005, 0.2, 30)]
    plan = one.next_test({"t": grids}, versus=other)
    assert plan.t_to.values[0] == 0.2
    assert plan.t_to.values[-1] == 0.005
    back = other.next_test({"t": grids}, versus=one)
    np.testing.assert_allclose(plan.separation, back.separation, rtol=1e-9)
    np.testing.assert_allclose(plan.gain, 0.5 * plan.separation**2)
    assert bool(plan.outside_range[0])


def test_two_populations_are_told_apart_by_their_mahalanobis_distance():
    rng = np.random.default_rng(2)
    label = np.repeat([0, 1], 10)
    y = 1.0 + 0.2 * rng.standard_normal((20, 1)) + (1.0 + label)[:, None] * T + 0.05 * rng.standard_normal((20, 12))
    found = LINE.fit(T, y, np.eye(2)[label])
    plan = found.next_test({"t": [T[:4], T]}, versus=1)
    assert plan.t_to.values[0] == 1.0
    means = [found.fitted[c] for c in range(2)]
    curves = [LINE.value_and_jacobian(T, theta[None])[0][0] for theta in means]
    J = LINE.value_and_jacobian(T, means[0][None])[1][0]
    whole = sum(J @ (p.scatter + p.covariance) @ J.T for p in found.populations)
    noise = min(p.effects.variance for p in found.populations)
    expected = np.sqrt((curves[0] - curves[1]) @ np.linalg.solve(whole + noise * np.eye(12), curves[0] - curves[1]))
    assert float(plan.separation[0]) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (([300.0],), OptionError, "expected values by name, such as {'temperature'"),
        (({},), OptionError, "temperature missing"),
        (({"temperature": [300.0], "rate": [1.0]},), OptionError, "rate unknown"),
        (({"temperature": [np.nan]},), OptionError, "must have finite values"),
        (({"temperature": []},), OptionError, "must have finite values"),
        (({"temperature": np.linspace(250, 400, 200_000)},), OptionError, "more than the 100,000 that are looked at"),
    ],
)
def test_what_is_no_plan_is_refused(few, asked, error, words):
    with pytest.raises(error, match=words):
        few.next_test(*asked)


def test_what_cannot_be_asked_is_refused(few):
    with pytest.raises(ExpertError, match=r"about names 'c', which this fit does not tell: use 'a', 'b'"):
        few.next_test(HEAT, about="c")
    with pytest.raises(ExpertError, match="must give the covariates"):
        few.next_test(HEAT, about="b", at={"rate": 1.0})
    with pytest.raises(OptionError, match="there is no row 3"):
        few.next_test(HEAT, cluster=3)
    for wrong in (0, 1.5, True):
        with pytest.raises(OptionError, match="expected a whole number of tests"):
            few.next_test(HEAT, n=wrong)
    with pytest.raises(OptionError, match="not both"):
        few.next_test(HEAT, about="b", versus=0)
    with pytest.raises(OptionError, match="lists grids"):
        few.next_test(HEAT | {"t": [0.0, 1.0]})
    held = LINE.fit(T, specimens(np.full(6, 300.0)), fixed={"a": 1.0})
    with pytest.raises(ExpertError, match="was not estimated"):
        held.next_test({"t": [T]}, about="a")


def test_a_fit_of_populations_plans_by_its_own_law(tmp_path):
    rng = np.random.default_rng(3)
    heat = rng.choice([290.0, 300.0, 310.0], 40)
    label = np.arange(40) % 2
    y = specimens(heat, 3) + label[:, None]
    coords = {"t": T, "temperature": ("specimen", heat)}
    data = xr.Dataset({"curve": (("specimen", "t"), y, {"units": "MPa"})}, coords=coords)
    physics = pima.Physics(LINE, depends_on={"b": ["temperature"]})
    fit = pima.PIMA({"curve": physics}, 2, latent_dim=1).fit(data, progress=False)
    plan = fit.next_test(HEAT, about="b ~ temperature", data=data)
    assert plan.temperature.values[0] in (250.0, 400.0)
    gamma = fit.specimens.responsibilities.values
    again = LINE.fit(T, y, gamma, depends_on={"b": ["temperature"]}, covariates={"temperature": heat})
    np.testing.assert_allclose(plan.gain, again.next_test(HEAT, about="b ~ temperature").gain, rtol=1e-3)
    assert float(fit.next_test(HEAT, versus=1, data=data).separation[0]) > 1.0
    bent = pima.SympyExpert("a + b*t + c*t**2", "t")
    assert float(fit.next_test(HEAT, versus=bent, data=data).separation[0]) < 1.0  # these lines are straight
    with pytest.raises(DataError, match="pass data="):
        fit.next_test(HEAT)


def test_the_page_runs_as_printed(guide, capsys):
    _, names = guide("plan")
    plan = names["plan"]
    assert set(plan.temperature.values) == {250.0, 350.0}
    assert plan.outside_range.all()
    assert float(plan.std_error[-1, 0]) < 0.5 * float(plan.std_error_now[0])
    assert "gain" in capsys.readouterr().out
