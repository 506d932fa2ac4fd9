"""Quantities of a fitted curve: closed forms of the bilinear law, textbook errors, and what does not go."""

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit import SympyExpert, quantities
from pima_toolkit.errors import ExpertError, FormulaError, OptionError

T = np.linspace(0, 0.1, 60)
HARDENING = pima.get_expert("linear_hardening")


@pytest.fixture(scope="module")
def solution():
    rng = np.random.default_rng(0)
    theta = np.array([800.0, 0.035, 0.2]) * (1 + 0.05 * rng.standard_normal((40, 3)))
    y = HARDENING.value_and_jacobian(T, theta)[0] + 0.3 * rng.standard_normal((40, 60))
    return HARDENING.fit(T, y, y_unit="MPa", t_unit="1")


#: Measure -> its closed form for the bilinear law, of (E, sigma_y, H).
CLOSED = {
    "yield": (quantities.offset_yield(0.002), "(E*0.002*H + sigma_y*(E - H)) / (E - H) + 0*E"),
    "resilience": (quantities.resilience(0.002), "((E*0.002*H + sigma_y*(E - H)) / (E - H))**2 / (2*E)"),
    "toughness": (quantities.toughness(0.08), "sigma_y*0.08 - sigma_y**2/(2*E) + H/2*(0.08 - sigma_y/E)**2"),
    "ultimate": (quantities.ultimate(), "sigma_y + H*(0.1 - sigma_y/E)"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_measures_of_the_curve_are_the_closed_forms_with_their_errors(solution, name):
    measure, formula = CLOSED[name]
    found = solution.derive({"measured": measure, "closed": formula})
    value, error = found.value[0].values, found.std_error[0].values
    np.testing.assert_allclose(value[0], value[1], rtol=1e-6)
    np.testing.assert_allclose(error[0], error[1], rtol=1e-3)
    assert found.unit[0] == "MPa"


def test_the_offset_yield_lies_on_both_lines(solution):
    E, sigma_y, H = solution.parameters.value.values[0]
    stress = solution.derive({"y": quantities.offset_yield(0.002)}).value.item()
    strain = stress / E + 0.002
    assert stress == pytest.approx(sigma_y + H * (strain - sigma_y / E), rel=1e-10)


def test_errors_of_formulas_are_propagated_with_correlations(solution):
    found = solution.derive({"energy": "sigma_y**2/(2*E)", "same": "E"}, units={"energy": "MJ/m^3"})
    E, sigma_y, _ = solution.parameters.value.values[0]
    J = HARDENING.reported_jacobian(solution.fitted[0])
    gradient = np.array([-(sigma_y**2) / (2 * E**2), sigma_y / E, 0]) @ J
    expected = np.sqrt(gradient @ solution.covariance[0] @ gradient)
    np.testing.assert_allclose(found.std_error[0], [expected, solution.parameters.std_error.values[0, 0]], rtol=1e-10)
    np.testing.assert_allclose(found.value[0, 0], sigma_y**2 / (2 * E))
    assert list(found.unit.values) == ["MJ/m^3", ""]
    resampled = solution.bootstrap(400).replicates
    spread = (resampled.sel(parameter="sigma_y") ** 2 / (2 * resampled.sel(parameter="E"))).std()
    assert float(found.std_error[0, 0]) == pytest.approx(float(spread), rel=0.2)


def test_a_curve_that_ends_before_has_no_offset_yield():
    t = np.linspace(0, 0.01, 20)
    elastic = pima.get_expert("proportional").fit(t, 200e3 * t + np.random.default_rng(0).normal(size=20))
    assert np.isnan(elastic.derive({"y": quantities.offset_yield()}).value).all()


def test_laws_without_an_elastic_line_need_a_modulus():
    t = np.linspace(0, 0.1, 40)
    power = SympyExpert("K * t**n", bounds={"K": (0, None), "n": (0, 1)})
    y = 500 * t**0.2 + 0.1 * np.random.default_rng(0).normal(size=40)
    fitted = power.fit(t, y)
    with pytest.raises(ExpertError, match=r"no elastic line through zero.*give its modulus"):
        fitted.derive({"y": quantities.offset_yield()})
    stress = fitted.derive({"y": quantities.offset_yield(modulus=200e3)}).value.item()
    assert stress == pytest.approx(500 * (0.002 + stress / 200e3) ** 0.2, rel=1e-3)


def test_covariates_are_given_by_name():
    law = SympyExpert("A * t * (1 + C * log(rate))", covariates=("rate",))
    t = np.linspace(0, 1, 20)
    rate = np.repeat([1.0, 10.0], 5)
    y = 3 * t * (1 + 0.1 * np.log(rate[:, None])) + 0.01 * np.random.default_rng(0).normal(size=(10, 20))
    fitted = law.fit({"t": t, "rate": rate}, y)
    found = fitted.derive({"top": quantities.ultimate()}, at={"rate": 10.0})
    assert found.value.item() == pytest.approx(3 * (1 + 0.1 * np.log(10)), rel=0.01)
    assert found.std_error.item() > 0
    with pytest.raises(OptionError, match="depends on rate: give at="):
        fitted.derive({"top": quantities.ultimate()})


def test_a_quantity_of_a_held_parameter_has_no_error():
    t = np.linspace(0, 1, 20)
    fitted = pima.get_expert("affine").fit(t, 2 * t + 1, fixed={"intercept": 1.0})
    assert np.isnan(fitted.derive({"twice": "2*intercept"}).std_error).all()


@pytest.mark.parametrize(
    ("ask", "kind", "message"),
    [
        (
            lambda s: s.derive({"a": "sigma**2"}),
            FormulaError,
            "names sigma, which is not known here: use E, sigma_y",
        ),
        (lambda s: s.derive({}), OptionError, "expected formulas by name"),
        (lambda s: s.derive({"a": 3}), OptionError, "the quantity 'a' is 3: expected a formula or one of"),
        (lambda s: s.derive({"a": "E"}, units={"b": "MPa"}), OptionError, "'b', which is no quantity asked for: a"),
        (lambda s: quantities.offset_yield(0.0), OptionError, "offset=0.0: expected a number above zero"),
        (lambda s: quantities.toughness("all"), OptionError, "to='all': expected a number above zero"),
    ],
)
def test_bad_questions(solution, ask, kind, message):
    with pytest.raises(kind, match=message):
        ask(solution)


def test_a_fit_derives_as_a_solution_does(two_populations):
    """Quantities of every cluster, with the errors of the fit."""
    data = two_populations(40)
    model = pima.PIMA({"stress": pima.Physics("affine")}, 2, latent_dim=1)
    fit = model.fit(data, epochs=2, progress=False)
    found = fit.derive({"half": "slope/2", "sum": "slope + intercept", "end": quantities.ultimate()})
    np.testing.assert_allclose(found.value[:, 0], fit.parameters.value[:, 0] / 2)
    np.testing.assert_allclose(found.std_error[:, 0], fit.parameters.std_error[:, 0] / 2, rtol=1e-9)
    covariance = fit.predictor.covariance["stress"]
    np.testing.assert_allclose(found.std_error[:, 1], np.sqrt(covariance.sum((1, 2))), rtol=1e-9)
    np.testing.assert_allclose(found.value[:, 2], found.value[:, 1], rtol=1e-9)
    assert list(found.unit.values) == ["", "", "MPa"]
