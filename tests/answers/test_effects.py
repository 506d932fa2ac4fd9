"""Covariates and batches of a model's parameters: found, told, used for new specimens, saved, and refused."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, ExpertError, OptionError

LAW = pima.SympyExpert("a * t / (b + t)", bounds={"a": (0, None), "b": (0, None)})
T = np.linspace(0.05, 3.0, 20)
SLOPES = np.array([-0.004, 0.05])
OPTIONS = {"depends_on": {"a": ["temperature"], "b": ["log(rate)"]}, "groups": "heat"}
BATCHES = 0.1 * np.random.default_rng(99).standard_normal((6, 2))


def specimens(N, seed):
    """Two populations whose a falls with temperature and b rises with the rate, in six heats; their parameters."""
    rng = np.random.default_rng(seed)
    temperature, rate, heat = rng.uniform(300, 400, N), 10 ** rng.uniform(-3, 0, N), rng.integers(0, 6, N)
    phi = np.log([[2.0, 0.7], [2.6, 1.1]])[np.arange(N) % 2] + 0.05 * rng.standard_normal((N, 2)) + BATCHES[heat]
    phi += SLOPES * np.stack([temperature - 350.0, np.log(rate)], 1)
    y = LAW.value_and_jacobian(T, np.exp(phi))[0] + 0.02 * rng.standard_normal((N, T.size))
    data = xr.Dataset(
        {"stress": (("specimen", "t"), y, {"units": "MPa"})},
        coords={
            "t": T,
            "temperature": ("specimen", temperature, {"units": "K"}),
            "rate": ("specimen", rate, {"units": "1/s"}),
            "heat": ("specimen", np.array([f"H{k}" for k in heat])),
        },
    )
    return data, np.exp(phi)


DATA, TRUTH = specimens(80, 0)
NEW, NEW_TRUTH = specimens(40, 5)


@pytest.fixture(scope="module")
def fit():
    return pima.PIMA({"stress": pima.Physics(LAW, **OPTIONS)}, clusters=2).fit(DATA, progress=False)


def test_effects_and_batches_are_found(fit):
    effects = fit.effects
    assert effects.effect.values.tolist() == ["a ~ temperature", "b ~ log(rate)"]
    assert effects.unit.values.tolist() == ["1/K", "1"]
    assert effects.slope_unit.values.tolist() == ["1/K", "1"]
    assert (np.abs(effects.value.values - SLOPES) < 3.0 * effects.std_error.values).all()
    assert (effects.std_error.values < 0.1 * np.abs(SLOPES)).all()
    assert (effects.p_value.values < 1e-6).all()
    assert float(effects.reference[0]) == pytest.approx(float(DATA.temperature.mean()))
    np.testing.assert_allclose(effects.slope[:, 0], effects.value[0] * fit.parameters.value[:, 0])
    assert fit.parameters.attrs["at"].startswith(f"temperature = {float(DATA.temperature.mean()):.5g}; log(rate) = ")
    batches = fit.batches
    assert batches.group.values.tolist() == [f"H{k}" for k in range(6)]
    off = (batches.effect - batches.effect.mean("group")).values - (BATCHES - BATCHES.mean(0))
    assert np.abs(off).max() < 0.05
    # Six heats tell the populations' means, not eighty specimens.
    least = BATCHES.std(0, ddof=1) / np.sqrt(6) * fit.parameters.value
    assert float((fit.parameters.std_error / least).min()) > 0.6


def test_specimens_have_parameters_under_their_own_conditions(fit):
    own = fit.specimens
    assert np.abs(np.log(own.value.values / TRUTH)).std() < 0.03
    held = (own.low.values < TRUTH) & (own.high.values > TRUTH)
    assert 0.82 < held.mean() < 0.97
    answer = fit.infer(NEW)
    assert np.abs(np.log(answer.parameters.values / NEW_TRUTH)).std() < 0.04


def test_a_curve_is_predicted_from_covariates_alone(fit):
    blank = NEW.assign(stress=NEW.stress * np.nan)
    answer = fit.infer(blank)
    assert (answer.remark.str.startswith("predicted from its covariates alone")).all()
    inside = (answer.stress_low < NEW.stress) & (NEW.stress < answer.stress_high)
    assert 0.82 < float(inside.mean()) < 0.97
    # Two equal populations cannot be told apart, but what is known of a specimen moves both.
    middle = NEW.stress.mean()
    error, spread = (
        float(np.sqrt(np.square(part).mean())) for part in (answer.stress - NEW.stress, NEW.stress - middle)
    )
    assert error < 0.6 * spread
    hot, cold = (
        fit.infer(blank.isel(specimen=[0]).assign_coords(temperature=("specimen", [t]))) for t in (390.0, 310.0)
    )
    moved = np.exp(80.0 * float(fit.effects.value[0]))
    np.testing.assert_allclose(hot.stress / cold.stress, moved, rtol=1e-2)


def test_an_unknown_batch_is_as_unsure_as_batches_differ(fit):
    blank = NEW.assign(stress=NEW.stress * np.nan)
    other = blank.assign_coords(heat=("specimen", ["new"] * 40))
    known, new = fit.infer(blank), fit.infer(other)
    wide, narrow = ((one.parameters_std / one.parameters).mean("specimen") for one in (new, known))
    assert (wide > narrow).all()
    np.testing.assert_allclose(new.stress, fit.infer(blank.drop_vars("heat")).stress)


def test_populations_are_shown_where_one_asks(fit):
    hot, mean = (fit.decode([[0.0] * 3], at=at).stress for at in ({"temperature": 390.0}, None))
    moved = np.exp((390.0 - float(DATA.temperature.mean())) * float(fit.effects.value[0]))
    np.testing.assert_allclose(hot / mean, moved, rtol=1e-2)
    assert fit.generate(0, 2, at={"temperature": 390.0}).stress.attrs["at"] == "temperature = 390 K"


def test_a_saved_fit_says_the_same(fit, tmp_path):
    again = pima.load(fit.save(tmp_path / "a.pima"))
    xr.testing.assert_identical(again.effects, fit.effects)
    xr.testing.assert_identical(again.batches, fit.batches)
    xr.testing.assert_allclose(again.infer(NEW), fit.infer(NEW))


def test_the_report_tells_them(fit, tmp_path):
    text = fit.report()
    assert "What parameters depend on" in text
    assert "a ~ temperature" in text
    assert "batches differ by" in text
    page = fit.save_report(tmp_path / "r.html").read_text()
    assert "a ~ temperature" in page


def test_what_is_missing_is_said(fit):
    blank = NEW.assign(stress=NEW.stress * np.nan)
    with pytest.raises(DataError, match="'stress' depends on the covariate 'temperature', which is not given"):
        fit.infer(blank.drop_vars("temperature"))
    with pytest.raises(DataError, match="'stress' needs the covariate 'rate' of every specimen"):
        fit.infer(NEW.drop_vars("rate"))
    gap = DATA.assign_coords(rate=DATA.rate.where(DATA.specimen != 3))
    model = pima.PIMA({"stress": pima.Physics(LAW, **OPTIONS)}, clusters=2)
    with pytest.raises(DataError, match="covariate 'rate' is not known for specimens that have 'stress': 3"):
        model.fit(gap)
    with pytest.raises(DataError, match="has groups='heat', which the dataset does not have"):
        model.fit(DATA.drop_vars("heat"))
    lost = DATA.assign_coords(heat=DATA.heat.where(DATA.specimen != 4, ""))
    with pytest.raises(DataError, match="batch 'heat' is not known for specimens that have 'stress': 4"):
        model.fit(lost)
    with pytest.raises(ExpertError, match="'stress': 'temperature' is the same for all 80 specimens"):
        model.fit(DATA.assign_coords(temperature=DATA.temperature * 0.0 + 300.0))
    plain = pima.PIMA({"stress": pima.Physics(LAW)}, clusters=2).fit(DATA, epochs=1, progress=False)
    with pytest.raises(OptionError, match="depend on no covariate"):
        _ = plain.effects
    with pytest.raises(OptionError, match="knows no batches"):
        _ = plain.batches


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depends_on": {"c": ["x"]}}, "names 'c', which is none of its parameters"),
        ({"groups": 3}, "groups=3: expected the name of a variable"),
        ({"depends_on": {"a": ["x"]}, "vary": "latent"}, 'vary="latent" and depends_on or groups do not go together'),
        ({"groups": "heat", "scatter": "none"}, 'scatter="none" and depends_on or groups do not go together'),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises((OptionError, ExpertError), match=message):
        pima.Physics(LAW, **options)


def test_the_papers_inference_knows_none():
    with pytest.raises(OptionError, match='which inference="paper" does not know'):
        pima.PIMA({"stress": pima.Physics(LAW, **OPTIONS)}, clusters=2, inference="paper")
    with pytest.raises(OptionError, match="principal curves are learned in the fit"):
        pima.Physics("principal_curves", depends_on={"a": ["x"]})
