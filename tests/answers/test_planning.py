"""What to measure next: expected information against brute force, limits, and words."""

import numpy as np
import pytest

from pima_toolkit.answers.trust.planning import _population_gain, physics_gain
from pima_toolkit.errors import DataError, OptionError


def test_the_expected_information_is_that_of_a_brute_force_average():
    """Two populations, a measurement N(0, 1) or N(1.5, 1): the integral over it, by a fine grid."""
    x = np.linspace(-10, 12, 20001)
    density = np.stack([np.exp(-0.5 * (x - m) ** 2) / np.sqrt(2 * np.pi) for m in (0.0, 1.5)])
    pi = np.array([0.3, 0.7])
    gamma = np.array([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]])

    def entropy(p):
        return -np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0), axis=0)

    expected = []
    for g in gamma:
        joint = g[:, None] * density
        expected.append(entropy(g) - np.trapezoid(joint.sum(0) * entropy(joint / joint.sum(0)), x))
    rng = np.random.default_rng(0)
    drawn = np.array([0.0, 1.5])[:, None] + rng.standard_normal((2, 40_000))
    log_density = np.stack([-0.5 * (drawn - m) ** 2 for m in (0.0, 1.5)], -1)
    reading = log_density + np.log(pi)
    reading -= np.log(np.exp(reading).sum(-1, keepdims=True))  # log q(c given x), as infer says it
    found = _population_gain(gamma, reading - np.log(pi), np.log(pi))
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert found[2] == 0.0


def test_one_more_curve_of_a_population_is_worth_half_a_nat_per_parameter_and_specimen(fit):
    """Cov = F^-1 / (W - 1) gives log(1 + 1 / (W - 1)) / 2 for each parameter, here one."""
    weight = fit.specimens.responsibilities.values.sum(0)
    np.testing.assert_allclose(physics_gain(fit.predictor, "stress"), 0.5 * np.log1p(1 / (weight - 1)), rtol=1e-2)
    assert (physics_gain(fit.predictor, "feature") == 0).all()


def test_the_doubtful_come_before_the_certain(fit, test):
    features = test.feature.values.copy()
    features[0] = features.mean(0)  # halfway between the populations
    data = test[["feature"]].assign(feature=(test.feature.dims, features))
    ranked = fit.next_measurements(data, "stress")
    ordinary = ranked.isel(specimen=~ranked.out_of_population.values)
    assert (np.diff(ordinary.information.values) <= 0).all()
    np.testing.assert_allclose(ranked.information, ranked.about_population + ranked.about_physics)
    assert ranked.information.max() < np.log(2) + 0.1
    assert ranked.attrs["modality"] == "stress"
    again = fit.next_measurements(data, "stress", n=3)
    assert again.specimen.values.tolist() == ranked.specimen.values[:3].tolist()


def test_those_unlike_every_population_come_first(fit, test):
    features = test.feature.values.copy()
    features[7] = [40.0, 40.0, -30.0, 20.0]
    ranked = fit.next_measurements(test[["feature"]].assign(feature=(test.feature.dims, features)), "stress")
    assert ranked.specimen.values[0] == test.specimen.values[7]
    assert "unlike every population" in ranked.reason.values[0]


def test_only_specimens_without_the_measurement_are_ranked(fit, test):
    stress = test.stress.values.copy()
    stress[5:] = np.nan
    ranked = fit.next_measurements(test.assign(stress=(test.stress.dims, stress)), "stress")
    assert set(ranked.specimen.values) == set(test.specimen.values[5:])
    flagged = test.assign(feature_present=("specimen", np.arange(test.sizes["specimen"]) > 1))
    assert set(fit.next_measurements(flagged, "feature").specimen.values) == set(test.specimen.values[:2])


def test_with_one_population_all_teach_the_same_and_the_odd_come_first(train, test, small_model):
    one = small_model(clusters=1).fit(train, epochs=1, crossmodal_epochs=1, progress=False)
    ranked = one.next_measurements(test[["feature"]], "stress")
    ordinary = ranked.isel(specimen=~ranked.out_of_population.values)
    assert ordinary.sizes["specimen"] > 3
    assert np.ptp(ordinary.information.values) == 0
    assert (np.diff(ordinary.typicality.values) >= 0).all()
    assert np.ptp(ordinary.typicality.values) > 0
    assert all(reason.startswith("one population") for reason in ordinary.reason.values)


def test_what_is_certain_has_little_to_teach(fit, test):
    ranked = fit.next_measurements(test[["stress"]], "feature")
    assert float(ranked.information.max()) < 0.05
    assert any("little to learn" in reason for reason in ranked.reason.values)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda fit, data: fit.next_measurements(data, "sterss"), OptionError, "did you mean 'stress'"),
        (lambda fit, data: fit.next_measurements(data, "stress"), DataError, "nothing left to measure"),
        (lambda fit, data: fit.next_measurements(data[["label"]], "stress"), DataError, "holds nothing of these"),
        (lambda fit, data: fit.next_measurements(data[["feature"]], "stress", n=0), OptionError, "at least 1"),
    ],
)
def test_bad_input(fit, test, call, error, words):
    with pytest.raises(error, match=words):
        call(fit, test)
