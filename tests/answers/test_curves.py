"""Curves of laws that are not linear, asked of a fit: medians, bands, two humps; company changes nothing."""

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import norm

import pima_toolkit as pima
from pima_toolkit.answers import curves
from pima_toolkit.answers.curves import second_population

MODULUS = np.array([1.0, 3.0])
NOISE = 0.02
STRAIN = np.linspace(0.0, 1.0, 12)


def foams(specimens, seed, covariate=False):
    """Two populations of exp(a strain), a = log modulus + 0.3 of scatter; a feature tells most of them apart."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 2
    rate = MODULUS[label] + 0.3 * rng.standard_normal(specimens)
    stress = np.exp(rate[:, None] * STRAIN) + NOISE * rng.standard_normal((specimens, 12))
    feature = (label[:, None] - 0.5) + 0.1 * rng.standard_normal((specimens, 3))
    coords = {"strain": STRAIN, "label": ("specimen", label), "rate": ("specimen", rate)}
    return xr.Dataset(
        {"feature": (("specimen", "kind"), feature), "stress": (("specimen", "strain"), stress, {"units": "MPa"})},
        coords,
    )


def model(vary):
    law = pima.SympyExpert("exp(a * strain)", t="strain")
    return pima.PIMA({"feature": pima.Neural(), "stress": pima.Physics(law, vary=vary)}, clusters=2, latent_dim=2)


@pytest.fixture(scope="module", params=["none", "latent"])
def fit(request):
    return model(request.param).fit(foams(80, 0), epochs=8, crossmodal_epochs=4, progress=False)


@pytest.fixture(scope="module")
def new():
    return foams(30, 1)


def test_a_population_is_shown_by_its_median_and_the_quantiles_of_its_specimens(fit):
    decoder, nominal = fit.predictor.state.decoders["stress"], fit.predictor.nominal("stress", 0.9)
    for c in range(2):
        rate, std = decoder.theta[c, 0], float(decoder.total[c, 0, 0]) ** 0.5
        # By evidence drawn from the specimens that were seen, about a hundred.
        np.testing.assert_allclose(fit.clusters.stress[c], np.exp(rate * STRAIN), rtol=0.02)
        for side, name in ((-1, "stress_low"), (1, "stress_high")):
            z = norm.ppf(0.5 * (1 + side * nominal))
            edge = np.exp((rate + z * std) * STRAIN)
            # Beyond the middle the noise is small beside the scatter.
            np.testing.assert_allclose(fit.clusters[name][c, 6:], edge[6:], rtol=0.1)


def test_a_curve_that_was_measured_is_the_median_of_its_own_posterior(fit, new):
    answer = fit.infer(new[["stress"]], predict="stress")
    truth = np.exp(new.rate.values[:, None] * STRAIN)
    error = np.abs(answer.stress.values - truth)
    assert np.median(error) < NOISE
    own = fit.infer(new[["stress"]], predict="stress").parameters.values[:, 0]
    np.testing.assert_allclose(answer.stress, np.exp(own[:, None] * STRAIN), rtol=2e-3)
    assert np.isnan(answer.stress_second).all()
    assert pima.metrics.coverage(new.stress, answer.stress_low, answer.stress_high) > 0.8


def test_bands_of_predicted_curves_hold_new_measurements(fit, new):
    answer = fit.infer(new[["feature"]], predict="stress")
    found = pima.metrics.coverage(new.stress[:, 1:], answer.stress_low[:, 1:], answer.stress_high[:, 1:])
    assert 0.8 < float(found) < 0.98
    # An exponential's band leans upwards: a linear one would be even.
    above, below = answer.stress_high - answer.stress, answer.stress - answer.stress_low
    assert float((above[:, -1] / below[:, -1]).median()) > 1.1


@pytest.mark.parametrize("given", ["feature", "stress"])
def test_order_company_and_size_of_a_batch_change_nothing(fit, new, given, monkeypatch):
    names = ["stress", "stress_low", "stress_high"]
    every = fit.infer(new[[given]], predict="stress")[names]
    for rows in ([7, 3, 21], [29], list(range(29, -1, -1))):
        few = fit.infer(new[[given]].isel(specimen=rows), predict="stress")[names]
        for name in names:
            np.testing.assert_allclose(few[name].values, every[name].values[rows], rtol=2e-5, atol=1e-6)
    monkeypatch.setattr(curves, "_NUMBERS", 10_000)  # three specimens at once
    again = fit.infer(new[[given]], predict="stress")[names]
    xr.testing.assert_allclose(again, every, rtol=1e-9, atol=1e-9)


def test_what_is_measured_and_what_is_not_are_answered_as_if_alone(fit, new):
    half = new.copy(deep=True)
    half["stress"][::2] = np.nan
    answer = fit.infer(half, predict="stress")
    both, one = fit.infer(new, predict="stress"), fit.infer(new[["feature"]], predict="stress")
    for name in ("stress", "stress_low", "stress_high"):
        np.testing.assert_allclose(answer[name][1::2], both[name][1::2], rtol=2e-5, atol=1e-6)
        np.testing.assert_allclose(answer[name][::2], one[name][::2], rtol=2e-5, atol=1e-6)


def test_both_humps_are_told_where_the_feature_says_nothing(fit, new):
    """A feature between the populations: a mean of both medians, and the second one's beside it."""
    between = new[["feature"]].isel(specimen=[0, 1]).copy(deep=True)
    axis = np.linspace(-0.5, 0.5, 101)
    many = xr.Dataset({"feature": (("specimen", "kind"), np.repeat(axis[:, None], 3, 1))})
    gamma = fit.infer(many, predict=()).responsibilities.values
    middle = int(np.abs(gamma[:, 0] - 0.6).argmin())
    between["feature"][0] = axis[middle]
    answer = fit.infer(between, predict="stress")
    gamma = answer.responsibilities.values
    assert gamma[0].min() > 0.2
    second = gamma[0].argmin()
    assert float(answer.stress_second_probability[0]) == pytest.approx(gamma[0].min(), rel=1e-6)
    ends = answer.stress.values[0, -1], answer.stress_second.values[0, -1]
    assert (ends[1] > ends[0]) == (fit.clusters.stress.values[second, -1] > fit.clusters.stress.values[1 - second, -1])
    assert np.isnan(answer.stress_second[1]).all()
    assert np.isnan(answer.stress_second_probability[1])
    assert answer.stress_second.attrs["units"] == "MPa"


def test_the_second_population_is_told_where_it_is_likely_and_another():
    median = torch.tensor([[0.0, 0.0], [0.0, 3.0], [0.1, 0.1]], dtype=torch.float64)[:, None]
    noise = torch.full((3, 1, 2), 1.0, dtype=torch.float64)
    weights = torch.tensor([[0.7, 0.3, 0.0], [0.3, 0.7, 0.0], [0.81, 0.19, 0.0], [0.6, 0.0, 0.4]], dtype=torch.float64)
    curve, probability = second_population(median, noise, weights)
    np.testing.assert_allclose(probability, [0.3, 0.3, np.nan, np.nan])
    np.testing.assert_allclose(curve, [[0, 3], [0, 0], [np.nan] * 2, [np.nan] * 2])
    one = second_population(median[:1], noise[:1], weights[:, :1])
    assert all(torch.isnan(part).all() for part in one)
    assert one[0].shape == (4, 2)
