"""Relations between parameters: kept for every value, whatever the bounds; what is found under them; derived errors."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit import SympyExpert, get_expert
from pima_toolkit.errors import ExpertError, FormulaError
from pima_toolkit.experts import expert_from_dict

POSITIVE = dict.fromkeys(("a_1", "a_2", "tau_1", "tau_2"), (0, None))
DECAYS = SympyExpert("a_1*exp(-t/tau_1) + a_2*exp(-t/tau_2)", bounds=POSITIVE, units={"tau_1": "{t}", "tau_2": "{t}"})
T = np.linspace(0, 10, 80)
TRUTH = np.array([2.0, 0.5, 1.0, 3.0])  # a_1, tau_1, a_2, tau_2
CLEAN = DECAYS.value_and_jacobian(T, TRUTH)[0]

BOUNDS = [
    {},
    {"a": (0, None)},
    {"a": (0, None), "b": (0, 5)},
    {"a": (0, 5), "b": (0, None), "c": (None, 3)},
    {"a": (-1, 1), "b": (0, 2), "c": (0, 3)},
]
RELATIONS = {
    "a < b": lambda a, b, c: b - a,
    "a >= b": lambda a, b, c: a - b,
    "a < b < c": lambda a, b, c: np.minimum(b - a, c - b),
    "a + b < c": lambda a, b, c: c - a - b,
    "2*a < b - c": lambda a, b, c: b - c - 2 * a,
    "0.1 < a < b < c < 0.8": lambda a, b, c: np.min([a - 0.1, b - a, c - b, 0.8 - c], 0),
    "a + b = 1": lambda a, b, c: -abs(a + b - 1),
    "a + b + c = 2": lambda a, b, c: -abs(a + b + c - 2),
}


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("bounds", BOUNDS, ids=range(len(BOUNDS)))
def test_relations_and_bounds_hold_for_every_value_of_what_is_fitted(bounds, relation):
    law = SympyExpert("a + b*t + c*t**2", bounds=bounds).related(relation)
    phi = 3 * np.random.default_rng(0).normal(size=(500, len(law.parameters)))
    shown = law.to_reported(law.bounds(T).from_unbounded(phi))
    a, b, c = shown.T
    assert [p.name for p in law.reported] == ["a", "b", "c"]
    assert (RELATIONS[relation](a, b, c) >= -1e-9 * (1 + np.abs(shown).max(1))).all()
    assert np.linalg.matrix_rank(shown - shown.mean(0)) == len(law.parameters)
    for value, name in zip(shown.T, "abc", strict=True):
        low, high = bounds.get(name, (None, None))
        assert low is None or (value >= low - 1e-9).all()
        assert high is None or (value <= high + 1e-9).all()


@pytest.mark.parametrize("bounds", [(0, 10), (1, 5), (0, None), (None, 10)])
def test_a_long_chain_keeps_its_order_and_all_bounds(bounds):
    law = SympyExpert("a + b*t + c*t**2 + d*t**3", bounds=dict.fromkeys("abcd", bounds)).related("a < b < c < d")
    phi = 3 * np.random.default_rng(0).normal(size=(500, 4))
    shown = law.to_reported(law.bounds(T).from_unbounded(phi))
    assert (np.diff(shown, axis=1) >= 0.0).all()
    assert bounds[0] is None or (shown >= bounds[0]).all()
    assert bounds[1] is None or (shown <= bounds[1]).all()


def test_a_relation_that_would_take_hours_is_refused():
    law = SympyExpert("a + b*t + c*t**2")
    for text in ("(a + b + c)**60 < 1", "((a + b)**9)**9 = c", "(a + b + c)*(a - b + c)*(a + b - c)**30 > 0"):
        with pytest.raises(FormulaError, match="more than 200 terms when multiplied out"):
            law.related(text)


def test_every_form_is_the_whole_laws_and_it_is_saved():
    law = DECAYS.fixed(a_1=2.0).related("tau_1 < tau_2", "a_2 <= a_1/2")
    theta = np.array([[0.5, 0.7, 2.5], [1.0, 0.2, 0.1]])
    whole = np.stack([np.full(2, 2.0), theta[:, 0], theta[:, 1], theta[:, 0] + theta[:, 2]], 1)
    assert [p.name for p in law.parameters] == ["tau_1", "a_2", "tau_2_gap"]
    assert (law.parameters[1].lower, law.parameters[1].upper) == (0.0, 1.0)
    np.testing.assert_allclose(law.value_and_jacobian(T, theta)[0], DECAYS.value_and_jacobian(T, whole)[0], rtol=1e-12)
    by_torch = law.predict(torch.as_tensor(T), torch.as_tensor(theta))
    np.testing.assert_allclose(by_torch.numpy(), law.value_and_jacobian(T, theta)[0], rtol=1e-12)
    again = expert_from_dict(json.loads(json.dumps(law.to_dict())))
    assert again == law != DECAYS.fixed(a_1=2.0)
    assert hash(again) == hash(law)
    assert law.reported_bounds == ("tau_1 < tau_2", "a_2 <= a_1/2", "tau_1 < tau_2")


def test_an_order_decides_which_term_is_which():
    """The same curve has two best fits, the terms in one order and in the other; under the relation there is one."""
    y = CLEAN + 0.01 * np.random.default_rng(1).normal(size=T.size)
    found = DECAYS.related("tau_1 < tau_2").fit(T, y, start={"tau_1": 5.0})
    other = DECAYS.related("tau_1 > tau_2").fit(T, y)
    np.testing.assert_allclose(found.parameters.value.values[0], TRUTH, rtol=0.05)
    swapped = other.parameters.value.values[0][[2, 3, 0, 1]]
    np.testing.assert_allclose(found.parameters.value.values[0], swapped, rtol=1e-5)
    errors = [one.parameters.std_error.values[0] for one in (found, other)]
    np.testing.assert_allclose(errors[0], errors[1][[2, 3, 0, 1]], rtol=1e-3)
    free = DECAYS.fit(T, y, start=TRUTH)
    np.testing.assert_allclose(errors[0], free.parameters.std_error.values[0], rtol=1e-3)


def test_a_sum_is_kept_and_its_parts_have_the_errors_of_a_fit_without_one_of_them():
    law = DECAYS.related("a_1 + a_2 = 3")
    by_hand = SympyExpert(
        "a_1*exp(-t/tau_1) + (3 - a_1)*exp(-t/tau_2)", bounds=dict.fromkeys(("tau_1", "tau_2"), (0, None))
    )
    y = CLEAN + 0.01 * np.random.default_rng(2).normal(size=T.size)
    one, other = law.fit(T, y), by_hand.fit(T, y)
    np.testing.assert_allclose(one.parameters.sel(parameter=["a_1", "a_2"]).value.sum(), 3.0, rtol=1e-12)
    for name in ("a_1", "tau_1", "tau_2"):
        np.testing.assert_allclose(one[name].std_error, other[name].std_error, rtol=1e-4)
    np.testing.assert_allclose(one["a_2"].std_error, one["a_1"].std_error, rtol=1e-9)


def test_the_laws_own_guess_is_where_a_fit_begins_also_where_it_breaks_the_relation():
    law = get_expert("linear_hardening")
    t = np.linspace(0, 0.1, 60)
    y = law.value_and_jacobian(t, [800.0, 0.035, 0.2])[0]
    related = law.related("H < 0.5*E", "sigma_y < 40")  # reported parameters are known by name
    np.testing.assert_allclose(related.fit(t, y).parameters.value.values[0], [800, 28, 160], rtol=1e-4)
    strict = law.related("sigma_y < 20").fit(t, y)
    assert strict["sigma_y"].value <= 20.0
    assert related.example.theta(related.parameters).shape == (3,)


@pytest.mark.slow
def test_derived_quantities_hold_the_truth_as_often_as_they_say():
    """Ratio and sum of two decays that keep their order, 60 curves: the 90 % intervals within two standard errors."""
    law, rng, held = DECAYS.related("tau_1 < tau_2"), np.random.default_rng(3), []
    quantities = {"ratio": "tau_2/tau_1", "area": "a_1*tau_1 + a_2*tau_2"}
    truth = np.array([TRUTH[3] / TRUTH[1], TRUTH[0] * TRUTH[1] + TRUTH[2] * TRUTH[3]])
    for _ in range(60):
        y = CLEAN + 0.02 * rng.normal(size=T.size)
        table = law.fit(T, y, start=[2.0, 0.5, 1.0, 2.5]).derive(quantities).isel(cluster=0)
        held.append((table.low.values <= truth) & (truth <= table.high.values))
    assert (np.abs(np.mean(held, 0) - 0.9) < 2 * np.sqrt(0.9 * 0.1 / 60)).all()


def test_a_prior_on_a_derived_quantity_is_a_further_observation_of_it():
    """Slope over intercept of a line: the score of curve and prior cancel, and the covariance is that of both."""
    law, t = get_expert("affine"), np.linspace(0, 1, 30)
    y = 2 * t + 1 + 0.1 * np.random.default_rng(0).normal(size=30)
    found = law.fit(t, y, noise_std=0.1, priors={"slope/intercept": (2.5, 0.1), "slope": (2.0, 0.2)})
    slope, intercept = found.fitted[0]
    gradient, X = np.array([1 / intercept, -slope / intercept**2]), np.stack([t, np.ones(30)], 1)
    score = X.T @ (y - X @ found.fitted[0]) / 0.1**2 + gradient * (2.5 - slope / intercept) / 0.1**2
    score[0] += (2.0 - slope) / 0.2**2
    np.testing.assert_allclose(score, 0.0, atol=1e-3)
    precision = X.T @ X / 0.1**2 + np.outer(gradient, gradient) / 0.1**2 + np.diag([0.2**-2, 0.0])
    np.testing.assert_allclose(found.covariance[0], np.linalg.inv(precision), rtol=1e-5)
    with pytest.raises(FormulaError, match="names E, which is not known here: use slope, intercept"):
        law.fit(t, y, priors={"slope/E": (1.0, 1.0)})


def test_pima_fits_laws_with_relations_and_priors_on_derived_quantities(tmp_path):
    rng = np.random.default_rng(4)
    theta = np.repeat([[2.0, 0.5, 1.0, 3.0], [1.0, 1.0, 2.0, 6.0]], 12, axis=0)
    theta *= np.exp(0.03 * rng.normal(size=theta.shape))
    y = DECAYS.value_and_jacobian(T, theta)[0] + 0.01 * rng.normal(size=(24, T.size))
    data = xr.Dataset({"signal": (("specimen", "t"), y)}, coords={"t": T})
    physics = pima.Physics(DECAYS.related("tau_1 < tau_2"), priors={"tau_2/tau_1": (6.0, 1.0)})
    fit = pima.PIMA({"signal": physics}, clusters=2, latent_dim=1).fit(data, epochs=2, progress=False)
    found = fit.parameters.value.values
    order = np.argsort(found[:, 1])
    np.testing.assert_allclose(found[order], [[2.0, 0.5, 1.0, 3.0], [1.0, 1.0, 2.0, 6.0]], rtol=0.05)
    ratio = fit.derive({"ratio": "tau_2/tau_1"})
    assert ((ratio.low < 6) & (ratio.high > 6)).all()
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    np.testing.assert_array_equal(loaded.parameters.value, fit.parameters.value)


WRONG = {
    "no sign": ("tau_1 + tau_2", FormulaError, "one of < > <= >= =, such as"),
    "unknown": ("tau_1 < k", FormulaError, "names 'k', which is no fitted parameter: use a_1, "),
    "hostile": ("tau_1 < __import__('os')", FormulaError, "position"),
    "never": ("tau_1 < -tau_2 - 1", ExpertError, "contradicts the bounds"),
    "not linear": ("log(tau_1) < log(tau_2)", ExpertError, "is linear in no parameter"),
    "sign unknown": ("c*d < c*e", ExpertError, "bounds that tell the sign"),
    "a number": ("tau_1 = -1", ExpertError, "contradicts the bounds"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_kept_is_refused(case):
    relation, kind, words = WRONG[case]
    law = SympyExpert("c*t + d*t**2 + e*t**3") if case == "sign unknown" else DECAYS
    with pytest.raises(kind, match=words):
        law.related(relation)
