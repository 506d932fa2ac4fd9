"""Whether the law fits: nothing is said where it holds, however specimens differ; a misfit is told in its unit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.answers.trust.cautions import cautions
from pima_toolkit.answers.trust.goodness_of_fit import quality
from pima_toolkit.experts import Bounds, inverse_information, unidentified

T = np.linspace(0, 0.05, 40)
EXPERT = pima.get_expert("linear_hardening")


def data(bump=0.0, spread=0.05, specimens=60, own=False, seed=0):
    rng = np.random.default_rng(seed)
    theta = np.array([200.0, 0.02, 0.1]) * np.exp(spread * rng.standard_normal((specimens, 3)))
    stress = EXPERT.value_and_jacobian(T, theta)[0] + 0.05 * rng.standard_normal((specimens, 40))
    stress = stress - bump * np.exp(-(((T - 0.02) / 0.004) ** 2))
    found = xr.Dataset({"stress": (("specimen", "strain"), stress, {"units": "GPa"})}, coords={"strain": T})
    if own:
        found = found.rename(strain="point").drop_vars("point")
        found = found.assign_coords(strain=(("specimen", "point"), T + 1e-5 * np.arange(specimens)[:, None]))
        found.stress.attrs["independent"] = "strain"
    return found


def fitted(found, expert=EXPERT, scatter="specimen"):
    return pima.PIMA({"stress": pima.Physics(expert, scatter=scatter)}, 1, latent_dim=1).fit(
        found, epochs=8, progress=False
    )


@pytest.mark.parametrize("scatter", ["specimen", "none"])
@pytest.mark.parametrize("spread", [0.0, 0.1])
def test_a_law_that_holds_is_not_accused(scatter, spread):
    found = data(spread=spread)
    fit = fitted(found, scatter=scatter)
    assert float(fit.parameters.misfit_ratio[0, 0]) < 1.5
    assert spread > 0.0 or not fit.diagnose(found).wrong
    assert "fit.diagnose(data)" not in fit.summary()
    assert float(fit.parameters.agreement[0, 0]) >= 0.5
    assert not fit.parameters.unidentified.any()
    text = fit.report()
    assert "what chance explains" not in text
    assert "% of starts agree" in text


@pytest.mark.parametrize("own", [False, True])
def test_a_law_that_misses_its_curves_says_by_how_much(own):
    found = data(bump=0.3, own=own)
    fit = fitted(found)
    diagnosis = fit.diagnose(found)
    assert diagnosis["residuals_t"].wrong
    assert "in all curves alike" in diagnosis["residuals_t"].sentence
    assert diagnosis["validity"].population == "stress, population 0"
    assert "fit.diagnose(data) draws the curves behind this" in fit.summary()
    row = fit.parameters.isel(cluster=0, curve=0)
    assert 0.03 < float(row.misfit) < 0.15
    assert float(row.misfit_ratio) > 5
    text = fit.report()
    assert "stress, population 0: the law linear_hardening misses the curves by 0.0" in text
    assert "try another law" in text


def test_a_misfit_speaks_against_the_fit_only_where_it_is_large_against_the_curves():
    """Five per cent of what the curves span: 0.3 GPa in places are told, 3 GPa of 4 to 5 are too much."""
    small, large = fitted(data(bump=0.3)), fitted(data(bump=3.0))
    for fit, serious in ((small, False), (large, True)):
        told = [c for c in cautions(fit.predictor, fit.record) if "misses the curves" in c.words]
        assert [c.serious for c in told] == [serious]
        curve = EXPERT.value_and_jacobian(T, fit.predictor.state.decoders["stress"].theta[0])[0]
        share = 100 * float(fit.parameters.misfit[0, 0]) / np.ptp(curve)
        assert f"{float(f'{share:.2g}'):g} % of their range" in told[0].words
        assert (share > 5) == serious


def test_the_misfit_is_the_mean_residual_over_its_error():
    """Twenty stretches of two points, every specimen of weight one, written out."""
    fit = fitted(data(), scatter="none")
    decoder = fit.predictor.state.decoders["stress"]
    residual = data().stress.values - EXPERT.value_and_jacobian(T, decoder.theta[0])[0]
    each = residual.reshape(60, 20, 2).mean(2)
    mean, error = each.mean(0), each.std(0, ddof=1) / np.sqrt(60)
    row = fit.parameters.isel(cluster=0, curve=0)
    assert float(row.misfit) == pytest.approx(np.sqrt(np.mean(mean**2)), rel=1e-9)
    assert float(row.misfit_ratio) == pytest.approx(np.sqrt(np.mean(mean**2) / np.mean(error**2)), rel=1e-9)


def test_weights_count_and_specimens_without_weight_do_not():
    fit = fitted(data(), scatter="none")
    curves, decoder = fit.record.curves["stress"], fit.predictor.state.decoders["stress"]
    half = torch.zeros(60, 1, dtype=torch.float64)
    half[:30] = 0.5
    ones = quality(decoder, curves.at(torch.arange(30)), torch.ones(30, 1, dtype=torch.float64))
    found = quality(decoder, curves, half)
    np.testing.assert_allclose(found["misfit"], ones["misfit"], rtol=1e-12)
    np.testing.assert_allclose(found["misfit_ratio"], ones["misfit_ratio"], rtol=1e-9)
    nothing = quality(decoder, curves, 0 * half)
    assert np.isnan(nothing["misfit"]).all()
    assert nothing["unidentified"] == [[False] * 3]
    one = torch.zeros(60, 1, dtype=torch.float64)
    one[3] = 1.0
    assert np.isnan(quality(decoder, curves, one)["misfit_ratio"]).all()


def test_a_parameter_the_curves_do_not_determine_is_named():
    """Two slopes of which only the sum is seen."""
    twice = pima.SympyExpert("(a + b) * strain", t="strain")
    fit = fitted(data(spread=0.0), expert=twice, scatter="none")
    assert fit.parameters.unidentified.values.tolist() == [[True, True]]
    text = fit.report()
    assert "not determined by these curves" in text
    assert "stress, population 0: the curves do not determine a, b: hold a parameter, or measure more." in text


def test_an_error_wider_than_the_bounds_says_as_little_as_none():
    """What a Solution calls unidentified, a model's cluster is, too."""
    fit = fitted(data())
    assert not fit.parameters.unidentified.any()
    fit.predictor.covariance["stress"][:, 0, 0] = 200.0**2  # E: the error is 200 times what is known to be above zero
    assert fit.parameters.unidentified.values.tolist() == [[True, True, True]]  # sigma_y and H are made of E


def test_unidentified_is_a_question_of_directions_and_of_bounds():
    J = np.random.default_rng(0).normal(size=(30, 3)) * [1e6, 1.0, 1e-6]
    free = np.ones(3, dtype=bool)
    assert not inverse_information(J, free)[1].any()
    J[:, 2] = 1e-12 * J[:, 0]
    assert inverse_information(J, free)[1].tolist() == [True, False, True]
    assert inverse_information(J, np.array([True, True, False]))[1].tolist() == [False, False, False]
    J[:, 1] = 0
    assert inverse_information(J, np.array([True, True, False]))[1].tolist() == [False, True, False]
    bounds = Bounds([0.0, 0.0, -np.inf], [1.0, np.inf, np.inf])
    theta, none = np.array([0.5, 2.0, 1.0]), np.zeros(3, dtype=bool)
    assert unidentified(none, np.array([0.9, 199.0, 1e9]), theta, bounds).tolist() == [False, False, False]
    assert unidentified(none, np.array([1.1, 201.0, 1e9]), theta, bounds).tolist() == [True, True, False]
    assert unidentified(~none, np.full(3, np.nan), np.array([1.0, 2.0, 1.0]), bounds).tolist() == [False, True, True]


def test_quality_survives_the_file_and_older_files_have_none(tmp_path):
    fit = fitted(data())
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    for name in ("misfit", "misfit_ratio", "agreement", "unidentified"):
        np.testing.assert_array_equal(loaded.parameters[name], fit.parameters[name])
    loaded = pima.Fit(loaded.predictor, replace(loaded.record, quality={}))
    assert np.isnan(loaded.parameters.misfit).all()
    assert not loaded.parameters.unidentified.any()
    assert "misfit" not in loaded.report()


def test_the_report_has_the_formula():
    text = fitted(data()).report()
    assert "stress = E * " in text
    assert r"LaTeX: E \left(" in text
    assert r"\varepsilon_{y}" in text
