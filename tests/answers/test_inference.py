"""Answers from any subset of the modalities, each against its formula written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal

import pima_toolkit as pima
from pima_toolkit.answers.inference import expected
from pima_toolkit.errors import DataError, OptionError, PimaWarning
from pima_toolkit.model.fusion import fuse
from pima_toolkit.model.predictive import mixture_quantile

SUBSETS = [("feature",), ("stress",), ("feature", "stress")]


def parts(fit, data):
    """What each encoder and each expert says of the specimens, straight from the networks."""
    predictor = fit.predictor
    state, names = predictor.state, list(predictor.options.modalities)
    mixture = state.mixture
    feature = predictor.specs["feature"].scaling.to_unit(data.feature.values).astype(np.float32)
    stress = predictor.specs["stress"].scaling.to_unit(data.stress.values).astype(np.float32)[:, None]
    inputs = {"feature": torch.as_tensor(feature), "stress": torch.as_tensor(stress)}
    with torch.no_grad():
        encoded = {name: predictor.encoders[names.index(name)](inputs[name]) for name in names}
        embeddings = state.network.eval().embeddings(inputs)
    decoder = state.decoders["stress"]
    log_curve = np.empty((data.sizes["specimen"], 2))
    t, x = data.strain.values, data.stress.values
    for c in range(2):
        # slope * t with slope ~ N(theta, S), noise v: everything in MPa.
        S, v = decoder.scatter[c, 0, 0].item(), decoder.variance[c].item() * decoder.scale**2
        covariance = S * np.outer(t, t) + v * np.eye(len(t))
        log_curve[:, c] = multivariate_normal(decoder.theta[c, 0] * t, covariance).logpdf(x) + len(t) * np.log(
            decoder.scale
        )
    return mixture.log_weights.numpy(), encoded, embeddings, log_curve, mixture


@pytest.fixture(scope="module")
def fit(train, small_model):
    """By the paper's rules; answers by evidence are tested with how they are learned."""
    return small_model(inference="paper").fit(train, epochs=25, progress=False)


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_responsibilities_are_the_product_rule_written_out(fit, test, subset):
    log_pi, encoded, _, log_curve, _ = parts(fit, test)
    expected = np.tile(log_pi, (80, 1))
    if "feature" in subset:
        expected = expected + encoded["feature"][0].numpy() - log_pi
    if "stress" in subset:
        expected = expected + log_curve
    found = fit.infer(test[list(subset)], predict=()).responsibilities
    np.testing.assert_allclose(found, np.exp(log_softmax(expected, axis=1)), rtol=1e-4, atol=1e-9)


def test_equation_19_a_curve_alone_needs_no_network(fit, test):
    """p(c given X) is pi_c p(X given c) over its sum: encoders of other weights do not matter."""
    log_pi, _, _, log_curve, _ = parts(fit, test)
    joint = log_pi + log_curve
    expected = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(fit.infer(test[["stress"]]).responsibilities, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_latent_position_of_a_subset(fit, test, subset):
    """Per cluster the product of the encoders' Gaussians over the prior they all counted; the full set is q(Z|X)."""
    _, encoded, embeddings, _, mixture = parts(fit, test)
    if len(subset) == 2:
        everyone = {name: torch.ones(80, dtype=torch.bool) for name in subset}
        fused = fuse(embeddings, everyone)
        mean = fused.mean[:, None].double().numpy().repeat(2, 1)
        variance = fused.variance[:, None].double().numpy().repeat(2, 1)
    else:
        own = encoded[subset[0]][1]
        prior = 1 / mixture.variance.numpy()
        precision = np.maximum(1 / own.variance.double().numpy(), prior)
        mean, variance = own.mean.double().numpy(), 1 / precision
    answer = fit.infer(test[list(subset)], predict=())
    gamma = answer.responsibilities.values[..., None]
    centre = (gamma * mean).sum(1)
    np.testing.assert_allclose(answer.posterior_mean, centre, rtol=1e-4, atol=1e-4)
    spread = (gamma * (variance + (mean - centre[:, None]) ** 2)).sum(1)
    np.testing.assert_allclose(answer.posterior_variance, spread, rtol=1e-3, atol=1e-4)
    assert (answer.posterior_variance > 0).all()


def test_three_modalities_of_which_two_are_there(two_populations):
    """log q(c|X_S) = log pi + sum of log q(c|X_i) - log pi: from the answers of each modality alone."""
    data = two_populations(60, seed=5)
    rng = np.random.default_rng(0)
    other = data.label.values[:, None] * 0.6 + 0.5 * rng.standard_normal((60, 2))
    data = data.assign(other=(("specimen", "way"), other))
    model = pima.PIMA(
        {"feature": pima.Neural(), "stress": pima.Physics("proportional"), "other": pima.Neural()}, 2, latent_dim=2,
        inference="paper",
    )  # fmt: skip
    fit = model.fit(data, epochs=6, progress=False)
    log_pi = np.log(fit.clusters.weight.values)
    alone = {
        name: np.log(fit.infer(data[[name]], predict=()).responsibilities.values) for name in model.options.modalities
    }
    for subset in (["feature", "other"], ["other", "stress"], ["feature", "stress", "other"]):
        expected = log_pi + sum(alone[name] - log_pi for name in subset)
        found = fit.infer(data[subset], predict=()).responsibilities
        np.testing.assert_allclose(found, np.exp(log_softmax(expected, axis=1)), rtol=1e-3, atol=1e-6)


def test_combine_posterior_is_the_training_rule_for_the_full_set_only(fit, test):
    predictor = fit.predictor
    other = pima.Fit(replace(predictor, options=replace(predictor.options, combine="posterior")), fit.record)
    log_pi, _, embeddings, log_curve, mixture = parts(fit, test)
    fused = fuse(embeddings, {name: torch.ones(80, dtype=torch.bool) for name in embeddings})
    joint = log_pi + mixture.expected_log_prob(fused.to(torch.float64)).numpy() + log_curve
    found = other.infer(test, predict=()).responsibilities
    np.testing.assert_allclose(found, np.exp(log_softmax(joint, axis=1)), rtol=1e-3, atol=1e-9)
    for subset in (["feature"], ["stress"]):
        xr.testing.assert_identical(other.infer(test[subset]), fit.infer(test[subset]))


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_new_specimens_are_told_apart_from_any_subset(fit, test, subset):
    answer = fit.infer(test[list(subset)])
    assert pima.metrics.cluster_accuracy(test.label, answer.cluster) >= 0.97
    # A curve that was not measured is predicted to the slope's scatter, one that was to a fraction of it.
    error = np.abs(answer.stress[:, -1] - test.slope).mean()
    assert error < (0.1 if "stress" in subset else 0.2)


# -- predictions -----------------------------------------------------------------------------------------------------


def test_an_observed_curve_is_denoised_by_its_own_deviation(fit, test):
    decoder = fit.predictor.state.decoders["stress"]
    t = test.strain.values
    answer = fit.infer(test[["stress"]])
    gamma = answer.responsibilities.values
    v = decoder.variance.numpy() * decoder.scale**2
    mean, variance = [], []
    for c in range(2):
        S = decoder.scatter[c, 0, 0].item()
        V = 1 / (1 / S + t @ t / v[c])
        slope = decoder.theta[c, 0] + V * (test.stress.values - decoder.theta[c, 0] * t) @ t / v[c]
        mean.append(slope[:, None] * t)
        variance.append(np.tile(V * t**2 + v[c], (80, 1)))
    mean, variance = np.stack(mean), np.stack(variance)
    np.testing.assert_allclose(answer.stress, np.einsum("nc,cnt->nt", gamma, mean), rtol=1e-6, atol=1e-9)
    for name, probability in (("stress_low", 0.05), ("stress_high", 0.95)):
        expected = mixture_quantile(*(torch.as_tensor(a) for a in (gamma, mean, variance)), probability)
        np.testing.assert_allclose(answer[name], expected, rtol=1e-6, atol=1e-6)
    error = lambda y: float(((y - test.slope * test.strain) ** 2).mean())  # noqa: E731
    assert error(answer.stress) < 0.3 * error(test.stress)


def test_equations_13_and_14_an_unobserved_curve_is_the_mixture_of_populations(fit, test):
    decoder = fit.predictor.state.decoders["stress"]
    t = test.strain.values
    answer = fit.infer(test[["feature"]], coverage=0.5)
    gamma = torch.as_tensor(answer.responsibilities.values)
    mean = torch.tensor(decoder.theta * t)[:, None]
    variance = torch.stack(
        [decoder.scatter[c, 0, 0] * torch.tensor(t) ** 2 + decoder.variance[c] * decoder.scale**2 for c in range(2)]
    )[:, None]
    np.testing.assert_allclose(
        answer.stress, torch.einsum("nc,cnt->nt", gamma, mean.expand(-1, 80, -1)), rtol=1e-6, atol=1e-9
    )
    nominal = fit.predictor.nominal("stress", 0.5)
    for name, side in (("stress_low", -1), ("stress_high", 1)):
        expected = mixture_quantile(gamma, mean, variance, 0.5 * (1 + side * nominal))
        np.testing.assert_allclose(answer[name], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("coverage", [0.1, 0.5, 0.9])
def test_calibrated_bands_hold_their_share_of_the_training_points(fit, train, coverage):
    decoder = fit.predictor.state.decoders["stress"]
    gamma = torch.as_tensor(fit.specimens.responsibilities.values)
    said = decoder.marginal(train.strain.values)
    assert said.gaussian
    nominal = fit.predictor.nominal("stress", coverage)
    x = train.stress.values / decoder.scale
    low, high = (said.quantile(gamma, 0.5 * (1 + side * nominal)).numpy() for side in (-1, 1))
    assert ((x >= low) & (x <= high)).mean() == pytest.approx(coverage, abs=0.01)
    assert 0 <= nominal <= 1


@pytest.mark.parametrize("coverage", [0.5, 0.9])
@pytest.mark.parametrize("subset", [["feature"], ["stress"]], ids="+".join)
def test_bands_cover_new_measurements(fit, test, two_populations, subset, coverage):
    """The measurement is repeated on the same specimen, with noise drawn anew."""
    answer = fit.infer(test[subset], coverage=coverage)
    rng = np.random.default_rng(3)
    again = test.slope * test.strain + 0.05 * xr.DataArray(rng.standard_normal((80, 12)), dims=("specimen", "strain"))
    found = pima.metrics.coverage(again, answer.stress_low, answer.stress_high)
    assert abs(float(found) - coverage) < 0.1


def test_units_and_grid_of_a_prediction_are_those_of_the_data(fit, test):
    answer = fit.infer(test[["feature"]])
    for name in ("stress", "stress_low", "stress_high"):
        assert answer[name].attrs["units"] == "MPa"
        assert answer[name].dims == ("specimen", "strain")
    np.testing.assert_array_equal(answer.strain, test.strain)
    assert "5 % quantile" in answer.stress_low.attrs["long_name"]
    assert answer.feature.dims == ("specimen", "kind")
    assert (answer.stress_low <= answer.stress).all()
    assert (answer.stress <= answer.stress_high).all()


def test_neural_predictions_are_near_the_population(fit, train, test):
    answer = fit.infer(test[["stress"]])
    centre = train.feature.groupby(train.label).mean()
    expected = centre.sel(label=test.label.values).values
    assert float(np.abs(answer.feature.values - expected).mean()) < 0.12


def test_predict_chooses_and_nothing_else_changes(fit, test):
    everything = fit.infer(test)
    nothing = fit.infer(test, predict=())
    assert not {"stress", "feature", "stress_low"} & set(nothing.data_vars)
    xr.testing.assert_identical(nothing, everything[list(nothing.data_vars)])
    for one in (fit.infer(test, predict="stress"), fit.infer(test, predict=["stress"])):
        assert "feature" not in one
        xr.testing.assert_identical(one.stress, everything.stress)


# -- what must not matter --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subset", SUBSETS, ids="+".join)
def test_the_company_of_other_specimens_does_not_matter(fit, test, subset):
    whole = fit.infer(test[list(subset)])
    for index in ([0], [7, 3], list(range(20, 60))):
        part = fit.infer(test[list(subset)].isel(specimen=index))
        xr.testing.assert_allclose(part, whole.isel(specimen=index), rtol=1e-5, atol=1e-6)


def test_the_company_does_not_matter_for_images(digits_fit, digits):
    for subset in (["image"], ["image", "line"]):
        whole = digits_fit.infer(digits[subset])
        part = digits_fit.infer(digits[subset].isel(specimen=[5, 2, 77]))
        xr.testing.assert_allclose(part, whole.isel(specimen=[5, 2, 77]), rtol=1e-5, atol=1e-5)


def test_permuting_specimens_permutes_the_answers(fit, test):
    order = np.random.default_rng(0).permutation(80)
    xr.testing.assert_allclose(
        fit.infer(test.isel(specimen=order)), fit.infer(test).isel(specimen=order), rtol=1e-5, atol=1e-6
    )


def test_same_seed_same_answer_and_only_neural_predictions_draw(fit, test):
    one, again, other = (
        fit.infer(test[["stress"]], seed=4),
        fit.infer(test[["stress"]], seed=4),
        fit.infer(test[["stress"]], seed=5),
    )
    xr.testing.assert_identical(one, again)
    assert not np.allclose(one.feature, other.feature, rtol=1e-4)
    xr.testing.assert_identical(one.drop_vars("feature"), other.drop_vars("feature"))


def test_variables_and_order_of_the_dataset_do_not_matter(fit, test):
    turned = test[["stress", "feature"]].assign(extra=("specimen", np.arange(80.0)), junk=("thing", ["a", "b"]))
    xr.testing.assert_identical(fit.infer(turned), fit.infer(test))


def test_coordinates_of_the_specimens_are_carried(fit, test):
    answer = fit.infer(test[["feature"]])
    for name in ("specimen", "label", "slope"):
        xr.testing.assert_identical(answer[name].variable, test[name].variable)


# -- missing ---------------------------------------------------------------------------------------------------------


def holes(test):
    """Specimen 0 has all, 1 only the vector, 2 only the curve, 3 nothing."""
    some = test.isel(specimen=slice(0, 4)).copy(deep=True)
    some.stress[[1, 3]] = np.nan
    some.feature[[2, 3]] = np.nan
    return some


def test_each_specimen_is_answered_from_what_it_has(fit, test):
    with pytest.warns(PimaWarning, match="have none of this fit's modalities"):
        answer = fit.infer(holes(test))
    for d, subset in ((0, ["feature", "stress"]), (1, ["feature"]), (2, ["stress"])):
        alone = fit.infer(test[subset].isel(specimen=[d]))
        xr.testing.assert_allclose(answer.isel(specimen=[d]), alone, rtol=1e-5, atol=1e-6)


def test_what_is_expected_of_a_specimen_without_anything_is_the_prior(fit, test):
    answer = expected(fit.predictor, holes(test)).isel(specimen=3)
    clusters = fit.clusters
    np.testing.assert_allclose(answer.responsibilities, clusters.weight)
    mean = (clusters.weight * clusters["mean"]).sum("cluster")
    np.testing.assert_allclose(answer.posterior_mean, mean, atol=1e-9)
    np.testing.assert_allclose(answer.stress, (clusters.weight * clusters.stress).sum("cluster"), rtol=1e-9)
    assert np.isnan(answer.typicality)
    assert not answer.out_of_population


def test_a_modality_that_is_not_there_is_no_error(fit, test):
    assert fit.infer(test[["feature"]]).sizes["specimen"] == 80


def test_none_of_the_modalities_is_an_error(fit, test):
    with pytest.raises(DataError, match=r"none of this fit's modalities \(feature, stress\).*'picture'"):
        fit.infer(test[["feature"]].rename(feature="picture"))


def test_a_specimen_of_which_nothing_was_measured_keeps_its_row(fit, test):
    gaps = test.isel(specimen=slice(0, 4)).copy(deep=True)
    gaps.feature[1], gaps.stress[1] = np.nan, np.nan
    with pytest.warns(PimaWarning, match=r"1 specimens have none .*\(feature, stress\): s001; their answers are NaN"):
        answer = fit.infer(gaps)
    assert answer.remark.values.tolist() == ["", "nothing was measured of it", "", ""]
    assert answer.cluster[1] == -1
    lost = answer.isel(specimen=1)
    for name in ("responsibilities", "posterior_mean", "typicality", "stress", "stress_low", "feature", "parameters"):
        assert np.isnan(lost[name]).all()
    others = [0, 2, 3]
    alone = fit.infer(test.isel(specimen=others))
    xr.testing.assert_allclose(answer.isel(specimen=others), alone, rtol=1e-5, atol=1e-6)


# -- unlike every population -----------------------------------------------------------------------------------------


def test_specimens_unlike_every_cluster_are_flagged(fit, test):
    wild = test.isel(specimen=slice(0, 3)).copy(deep=True)
    wild.stress[0] = 40.0
    wild.stress[1] = 9.0 * np.sin(20 * test.strain)
    answer = fit.infer(wild[["stress"]])
    assert answer.out_of_population.values.tolist() == [True, True, False]
    assert answer.outside_range.sel(modality="stress").values.tolist() == [True, True, False]
    assert not answer.outside_range.sel(modality="feature").any()
    assert (answer.typicality[:2] < 1e-3).all()
    assert answer.remark[0] == "unlike every population; values beyond the training range"
    assert answer.remark[2] == ""


def test_specimens_of_the_populations_are_not_flagged(fit, test):
    answer = fit.infer(test)
    assert answer.out_of_population.mean() < 0.05
    alone = fit.infer(test[["stress"]])
    assert 0.3 < float(alone.typicality.mean()) < 0.7
    assert ((alone.typicality >= 0) & (alone.typicality <= 1)).all()


# -- options ---------------------------------------------------------------------------------------------------------


def test_options_of_infer_are_checked(fit, test):
    with pytest.raises(OptionError, match=r"predict names 'stres'.*did you mean 'stress'"):
        fit.infer(test, predict=["stres"])
    for coverage in (0.0, 1.0, 90, -0.5, float("nan")):
        with pytest.raises(OptionError, match=r"coverage=.*between 0 and 1"):
            fit.infer(test, coverage=coverage)
    with pytest.raises(OptionError, match=r"coverage=95: .*such as 0\.95"):
        fit.infer(test, coverage=95)


def test_another_unit_or_size_is_refused(fit, test):
    kilo = test.copy()
    kilo["stress"] = kilo.stress.assign_attrs(units="kPa")
    with pytest.raises(DataError, match=r"'stress' is in 'kPa', trained in 'MPa'"):
        fit.infer(kilo)
    with pytest.raises(pima.errors.ShapeError, match=r"'feature' has sizes.*trained with"):
        fit.infer(test.isel(kind=slice(0, 3)))


def test_a_curve_on_another_grid_is_answered(fit, test):
    """An expert can be evaluated anywhere, and the encoder sees the curve interpolated."""
    fine = np.linspace(0.0, 1.0, 31)
    rng = np.random.default_rng(0)
    noise = 0.05 * rng.standard_normal((80, 31))
    other = xr.Dataset(
        {"stress": (("specimen", "strain"), test.slope.values[:, None] * fine + noise, {"units": "MPa"})},
        coords={"strain": ("strain", fine, {"units": "1"})},
    )
    answer = fit.infer(other)
    assert pima.metrics.cluster_accuracy(test.label, answer.cluster) == 1.0
    np.testing.assert_array_equal(answer.strain, test.strain)
    assert np.abs(answer.stress[:, -1] - test.slope.values).mean() < 0.1


def test_screening_leaves_out_how_typical_each_is_and_nothing_else(fit, test):
    """Without a look at the decoders; the rest is the same to the bit."""
    whole, screened = fit.infer(test, predict=()), fit.infer(test, predict=(), typical=False)
    xr.testing.assert_identical(screened.drop_vars("remark"), whole[list(screened.data_vars)].drop_vars("remark"))
    assert set(whole.data_vars) - set(screened.data_vars) == {"typicality", "out_of_population"}
    assert not screened.remark.str.contains("unlike").any()


def test_coarse_precision_says_nearly_the_same(fit, test):
    fine, coarse = (fit.infer(test[["feature"]], precision=p) for p in ("float32", "bfloat16"))
    assert not fine.responsibilities.equals(coarse.responsibilities)
    np.testing.assert_allclose(coarse.responsibilities, fine.responsibilities, atol=0.03)
    with pytest.raises(OptionError, match="precision='half' is unknown"):
        fit.infer(test, precision="half")
