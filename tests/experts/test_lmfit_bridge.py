"""Experts as lmfit models: bounds, guesses, exact Jacobians, derived parameters, and statistics of all points."""

import sys

import lmfit
import numpy as np
import pytest

from pima_toolkit import SympyExpert, get_expert
from pima_toolkit.errors import FormulaError, MissingDependency
from pima_toolkit.experts import lmfit_result
from pima_toolkit.experts.formulas.derived import Quantity
from pima_toolkit.experts.regression import lmfit_bridge

T = np.linspace(0, 0.1, 50)
HARDENING = get_expert("linear_hardening")
TRUTH = np.array([800.0, 0.035, 0.2])


def curves(n, noise=0.3, seed=0):
    return HARDENING.value_and_jacobian(T, TRUTH)[0] + noise * np.random.default_rng(seed).normal(size=(n, T.size))


def test_a_fit_by_lmfit_is_our_fit():
    y = curves(1)[0]
    ours, theirs = HARDENING.fit(T, y), HARDENING.to_lmfit().fit(y, strain=T)
    assert isinstance(theirs, lmfit.model.ModelResult)
    np.testing.assert_allclose([theirs.params[n].value for n in ("E", "eps_y", "h")], ours.fitted[0], rtol=1e-6)
    np.testing.assert_allclose(theirs.covar, ours.covariance[0], rtol=1e-4)
    shown = ("E", "sigma_y", "H")
    np.testing.assert_allclose([theirs.params[n].value for n in shown], ours.parameters.value.values[0], rtol=1e-6)
    np.testing.assert_allclose([theirs.params[n].stderr for n in shown], ours.parameters.std_error.values[0], rtol=1e-3)
    assert theirs.params["sigma_y"].expr == "E * eps_y"
    assert theirs.nfev < 10  # from the guess, with the exact Jacobian


def test_bounds_are_those_of_the_expert_on_the_data():
    model = HARDENING.to_lmfit()
    declared, guessed = model.make_params(), model.guess(curves(1)[0], T)
    assert (declared["h"].min, declared["h"].max) == (0, 1)
    assert declared["E"].min == 0
    assert declared["eps_y"].max == np.inf
    assert (guessed["eps_y"].min, guessed["eps_y"].max) == (T[1], T[-2])
    assert guessed["E"].value == pytest.approx(800, rel=0.1)
    assert model.guess(curves(1)[0], strain=T, E=5.0, h={"value": 0.5, "vary": False})["h"].vary is False


def test_weights_are_roots_of_ours():
    y, w = curves(1)[0], np.random.default_rng(1).uniform(0.2, 3, T.size)
    ours = HARDENING.fit(T, y, weights=w)
    theirs = HARDENING.to_lmfit().fit(y, strain=T, weights=np.sqrt(w))
    np.testing.assert_allclose([theirs.params[n].value for n in ("E", "eps_y", "h")], ours.fitted[0], rtol=1e-6)
    assert theirs.chisqr == pytest.approx(ours.cost[0], rel=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_jacobian_is_that_of_the_residuals(weighted):
    model = HARDENING.to_lmfit("a_")
    parameters = model.guess(curves(1)[0], T)
    parameters["a_eps_y"].set(value=0.0351, vary=False)
    weights = np.linspace(1, 2, T.size) if weighted else None
    exact = model.jacobian(parameters, curves(1)[0], weights, strain=T)
    assert exact.shape == (T.size, 2)
    for column, name in enumerate(("a_E", "a_h")):
        step = 1e-6 * parameters[name].value
        sides = []
        for sign in (1, -1):
            moved = parameters.copy()
            moved[name].value += sign * step
            sides.append(model._residual(moved, curves(1)[0], weights, strain=T))
        np.testing.assert_allclose(exact[:, column], (sides[0] - sides[1]) / (2 * step), atol=1e-7 * abs(exact).max())


def test_tied_parameters_and_other_methods_need_no_jacobian():
    y = curves(1)[0]
    model = HARDENING.to_lmfit()
    parameters = model.guess(y, T)
    parameters["h"].set(expr="E / 4000")
    tied = model.fit(y, parameters, strain=T)
    assert tied.params["h"].value == pytest.approx(tied.params["E"].value / 4000)
    nelder = model.fit(y, strain=T, method="nelder")
    assert nelder.params["E"].value == pytest.approx(HARDENING.fit(T, y).fitted[0, 0], rel=1e-5)


def test_an_expert_adds_to_lmfits_own_models():
    y = curves(1, noise=0.01)[0] + 7
    sum_ = HARDENING.to_lmfit("a_") + lmfit.models.ConstantModel()
    start = sum_.make_params(a_E=700, a_eps_y={"value": 0.03, "max": 0.09}, c=5)
    result = sum_.fit(y, start, strain=T, x=T)
    np.testing.assert_allclose([result.params[n].value for n in ("a_E", "c")], [800, 7], rtol=0.01)
    assert result.params["a_H"].value == pytest.approx(160, rel=0.05)


def whole(y, gamma, **options):
    """The same by lmfit on every point of every curve."""
    model = HARDENING.to_lmfit()
    start = model.guess(y.mean(0), T)
    weights = np.repeat(np.sqrt(gamma), T.size)
    return model.fit(y.ravel(), start, strain=np.tile(T, len(y)), weights=weights, **options)


def test_a_mean_curve_has_the_statistics_of_all_curves():
    """The mean curve alone would give the errors and the chi-square of a mean."""
    y = curves(12) + np.random.default_rng(3).normal(size=(12, 1))
    raw = whole(y, np.ones(12))
    mean = y.mean(0)
    result = lmfit_result(
        HARDENING,
        {"strain": T},
        mean,
        np.full(T.size, 12.0),
        std=1.0,
        constant=float(((y - mean) ** 2).sum()),
        count=y.size,
        start=TRUTH,
        bounds=HARDENING.bounds(T),
        held=np.zeros(3, dtype=bool),
    )
    for name in ("chisqr", "redchi", "ndata", "nfree", "aic", "bic", "rsquared"):
        assert getattr(result, name) == pytest.approx(getattr(raw, name), rel=1e-9), name
    np.testing.assert_allclose(result.covar, raw.covar, rtol=1e-5)
    mine, theirs = result.conf_interval(sigmas=[2]), raw.conf_interval(sigmas=[2])
    for name in ("E", "eps_y", "h"):
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-4)
    alone = HARDENING.to_lmfit().fit(mean, strain=T)
    assert alone.params["E"].stderr < 0.5 * result.params["E"].stderr  # the trap


def test_a_sentence_where_lmfit_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "lmfit", None)
    lmfit_bridge._classes.cache_clear()
    with pytest.raises(MissingDependency, match=r"fits by lmfit need the library 'lmfit'.*pip install lmfit"):
        HARDENING.to_lmfit()


def test_covariates_are_independent_variables():
    expert = SympyExpert("(A + B * strain) * (1 + C * log(rate))", t="strain", covariates=("rate",))
    model = expert.to_lmfit()
    assert model.independent_vars == ["strain", "rate"]
    rate = np.repeat([1.0, 10.0], T.size)
    strain = np.tile(T, 2)
    y = expert.value_and_jacobian({"strain": strain, "rate": rate}, np.array([300.0, 900.0, 0.02]))[0]
    found = model.fit(y, strain=strain, rate=rate).params.valuesdict()
    np.testing.assert_allclose([found[n] for n in "ABC"], [300, 900, 0.02], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "message", "position"),
    [
        ("sigma**2 / E", "names sigma, which is not known here: use E, h", None),
        ("E * / h", "cannot be read", 4),
        ("E * open(h)", "unknown function 'open'", 4),
        ("3 * 2", "names no parameter: use E, h", None),
        ("", "a quantity must be text", None),
        ("E.h", "a dot between names", 0),
    ],
)
def test_quantities_are_read_by_the_whitelist(text, message, position):
    with pytest.raises(FormulaError, match=message) as caught:
        Quantity(text, ["E", "h"])
    assert caught.value.position == position


def test_a_quantity_and_its_gradient():
    value, gradient = Quantity("h^2 / (2*E)", ["E", "h", "other"]).value_and_gradient([[4.0, 2.0, 9.0]])
    np.testing.assert_allclose(value, [0.5])
    np.testing.assert_allclose(gradient, [[-0.125, 0.5, 0]])
