"""Several inputs: one formula of a strain, a rate and a temperature, in every form, and fitted."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

from pima_toolkit import SympyExpert
from pima_toolkit.errors import ExpertError, FormulaError, ShapeError
from pima_toolkit.experts import expert_from_dict, pack, solve, unpack

# torch's own forward-mode rules still call torch.jit.script, which warns about itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")

COOK = SympyExpert(
    "(A + B*strain**n) * (1 + C*log(strain_rate)) * (1 - T**m)",
    t="strain",
    covariates=("strain_rate", "T"),
    name="cook",
    units={"A": "{y}", "B": "{y}"},
    bounds={"A": (0, None), "B": (0, None), "n": (0, 1), "C": (0, 1), "m": (0.1, 5)},
)
TRUE = np.array([300.0, 500.0, 0.3, 0.02, 1.1])
STRAIN = np.linspace(0.0, 0.3, 25)


def cook(strain, rate, temperature, theta=TRUE):
    A, B, n, C, m = theta
    return (A + B * strain**n) * (1 + C * np.log(rate)) * (1 - temperature**m)


def specimens_at(count, seed=0, conditions=None):
    """Rates and temperatures (count,), and exact curves (count, 25)."""
    rng = np.random.default_rng(seed)
    rates, temperatures = 10.0 ** rng.uniform(-2, 3, count), rng.uniform(0.0, 0.6, count)
    if conditions:
        rates, temperatures = rates[:conditions], temperatures[:conditions]
        rates, temperatures = (np.resize(x, count) for x in (rates, temperatures))
    return rates, temperatures, cook(STRAIN, rates[:, None], temperatures[:, None])


def test_all_forms_of_a_formula_of_three_inputs_agree():
    rates, temperatures, expected = specimens_at(6)
    inputs = {"strain": STRAIN, "strain_rate": rates, "T": temperatures}
    value, jacobian = COOK.value_and_jacobian(inputs, TRUE)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert np.isfinite(jacobian).all(), "at zero strain and at temperature zero too"
    t = torch.from_numpy(pack(COOK, inputs))
    theta = torch.from_numpy(TRUE)
    np.testing.assert_allclose(COOK.predict(t, theta).numpy(), expected, rtol=1e-12)
    found = torch.func.jacfwd(lambda x: COOK.predict(t, x))(theta).numpy()
    np.testing.assert_allclose(found, jacobian, rtol=1e-9, atol=1e-9)
    each = torch.func.vmap(lambda row: COOK.predict(row, theta))(t)
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-12)


def test_several_parameters_on_grids_of_several_inputs():
    rates, temperatures, expected = specimens_at(4)
    thetas = np.stack([TRUE, 2 * TRUE])
    value, jacobian = COOK.value_and_jacobian({"strain": STRAIN, "strain_rate": rates, "T": temperatures}, thetas)
    assert value.shape == (2, 4, 25)
    assert jacobian.shape == (2, 4, 25, 5)
    np.testing.assert_allclose(value[0], expected, rtol=1e-12)
    np.testing.assert_allclose(value[1], cook(STRAIN, rates[:, None], temperatures[:, None], 2 * TRUE), rtol=1e-12)


@pytest.mark.parametrize("conditions", [None, 5], ids=["each its own", "five conditions"])
def test_a_fit_over_test_conditions_recovers_them_without_a_start(conditions):
    rates, temperatures, y = specimens_at(30, conditions=conditions)
    y = y + np.random.default_rng(1).normal(0, 2.0, y.shape)
    inputs = {"strain": STRAIN, "strain_rate": rates, "T": temperatures}
    solution = COOK.fit(inputs, y, y_unit="MPa")
    assert solution.status[0] > 0
    assert (np.abs(solution.fitted[0] - TRUE) < 5 * solution.parameters.std_error.values[0]).all()
    assert (solution.parameters.std_error.values[0] < 0.1 * TRUE).all()
    assert solution.units == ["MPa", "MPa", "1", "1", "1"]


def test_grouping_equal_conditions_changes_nothing():
    """The reduced fit has the optimum and the errors of the fit to every point."""
    rates, temperatures, y = specimens_at(30, conditions=5)
    y = y + np.random.default_rng(1).normal(0, 2.0, y.shape)
    y[3, 4:9] = np.nan
    gamma = np.random.default_rng(2).uniform(0.1, 1, (30, 2))
    together = COOK.fit({"strain": STRAIN, "strain_rate": rates, "T": temperatures}, y, gamma)
    # A hair of difference that changes no curve: now every specimen is a group of its own.
    apart = temperatures + 1e-13 * np.arange(30)
    single = COOK.fit({"strain": STRAIN, "strain_rate": rates, "T": apart}, y, gamma)
    np.testing.assert_allclose(together.fitted, single.fitted, rtol=1e-5)
    std = np.sqrt(np.diagonal(single.covariance, axis1=1, axis2=2))
    unit = std[:, :, None] * std[:, None, :]
    np.testing.assert_allclose(together.covariance / unit, single.covariance / unit, atol=3e-3)
    np.testing.assert_allclose(together.naive_covariance, single.naive_covariance, rtol=1e-3)


def test_two_variables_along_one_curve():
    """An input may vary along the curve: two independent variables."""
    rng = np.random.default_rng(0)
    x, z = rng.uniform(0, 1, 80), rng.uniform(0, 2, 80)
    plane = SympyExpert("a*x + b*z**k + c", t="x", covariates=("z",), bounds={"k": (0.5, 4)})
    assert plane.linear == (0, 1, 3)
    solution = plane.fit({"x": x, "z": z}, 2 * x - 3 * z**2.5 + 1)
    np.testing.assert_allclose(solution.fitted[0], [2, -3, 2.5, 1], rtol=1e-6)


def test_covariates_equal_for_all_leave_a_shared_grid():
    inputs = {"strain": STRAIN, "strain_rate": np.full(7, 10.0), "T": 0.2}
    grid = pack(COOK, inputs, (7, 25))
    assert grid.shape == (75,)
    strain, rate, temperature = unpack(grid, 3)
    assert strain.tolist() == STRAIN.tolist()
    assert set(rate) == {10.0}
    assert set(temperature) == {0.2}
    y = np.tile(cook(STRAIN, 10.0, 0.2), (7, 1))
    alone = SympyExpert("(A + B*strain**n)", t="strain", bounds={"n": (0, 1)}).fit(STRAIN, y / cook(0, 10, 0.2) * 300)
    held = COOK.fit(inputs, y, fixed={"C": 0.02, "m": 1.1})
    np.testing.assert_allclose(held.fitted[0, :3], alone.fitted[0], rtol=1e-6)


SHAPES = {
    "one number": 10.0,
    "per specimen": np.full(4, 10.0),
    "a column": np.full((4, 1), 10.0),
    "along the curve": np.full(25, 10.0),
    "a row": np.full((1, 25), 10.0),
    "every point": np.full((4, 25), 10.0),
    "xarray": xr.DataArray(np.full(4, 10.0), dims="specimen"),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_inputs_of_every_shape_mean_the_same(kind):
    value, _ = COOK.value_and_jacobian({"strain": STRAIN, "strain_rate": SHAPES[kind], "T": 0.2}, TRUE)
    expected = cook(STRAIN, 10.0, 0.2)
    np.testing.assert_allclose(np.atleast_2d(value)[0], expected, rtol=1e-12)
    y = np.tile(expected, (4, 1))
    held = {"A": 300.0, "n": 0.3, "C": 0.02, "m": 1.1}
    assert COOK.fit({"strain": STRAIN, "strain_rate": SHAPES[kind], "T": 0.2}, y, fixed=held).fitted[
        0, 1
    ] == pytest.approx(500)


def test_bounds_from_the_data_see_the_independent_variable_alone():
    seen = []

    class Watching(SympyExpert):
        name, t, covariates, formula = "watching", "x", ("z",), "a*x + b*z"

        def bounds(self, t):
            seen.append(np.unique(t).tolist())
            return super().bounds(t)

    expert = Watching()
    x, z = np.array([0.0, 1.0, 2.0]), np.array([[5.0], [7.0]])
    y = 2 * x + 3 * z
    expert.fit({"x": x, "z": z}, y)
    grid = pack(expert, {"x": x, "z": z}, y.shape)
    expert.guess(grid, y)
    assert expert.starts({"x": x, "z": z}, y).shape == (2, 8, 2)
    solution = solve(expert, grid, y)
    np.testing.assert_allclose(solution.parameters[:, :1] * x + solution.parameters[:, 1:] * z, y, rtol=1e-6)
    assert len(seen) >= 4
    assert all(values == [0.0, 1.0, 2.0] for values in seen)


def test_covariates_are_part_of_an_expert():
    assert repr(COOK) == "<expert 'cook': A, B, n, C, m of strain, strain_rate, T>"
    assert "strain, strain_rate, T" in COOK._repr_html_()
    again = expert_from_dict(json.loads(json.dumps(COOK.to_dict())))
    assert again == COOK
    assert again.covariates == ("strain_rate", "T")
    assert SympyExpert("a*x*z", t="x", covariates=("z",)) != SympyExpert("a*x*z", t="x")


Y = np.ones((4, 25))
TROUBLE = {
    "bare": (lambda: COOK.fit(STRAIN, Y), ShapeError, "needs the inputs {'strain': ..., 'strain_rate': ..., 'T': ...}"),
    "missing": (lambda: COOK.fit({"strain": STRAIN, "T": 1.0}, Y), ShapeError, "strain_rate missing"),
    "unknown": (
        lambda: COOK.fit({"strain": STRAIN, "strain_rate": 1.0, "T": 0.1, "p": 2}, Y),
        ShapeError,
        "p unknown",
    ),
    "NaN": (
        lambda: COOK.fit({"strain": STRAIN, "strain_rate": np.array([1, 2, np.nan, 3]), "T": 0.1}, Y),
        ShapeError,
        "'strain_rate' holds NaN",
    ),
    "shape": (
        lambda: COOK.fit({"strain": STRAIN, "strain_rate": np.ones(3), "T": 0.1}, Y),
        ShapeError,
        "'strain_rate' has the shape (3,): expected (25,) or (4, 25), (4,), or one number",
    ),
    "variable": (
        lambda: COOK.fit({"strain": STRAIN[:3], "strain_rate": 1.0, "T": 0.1}, Y),
        ShapeError,
        "'strain' has the shape (3,): expected (25,) or (4, 25)",
    ),
    "either way": (
        lambda: COOK.fit({"strain": STRAIN, "strain_rate": np.ones(25), "T": 0.1}, np.ones((25, 25))),
        ShapeError,
        "as (25, 1), one per specimen, or as (1, 25)",
    ),
    "specimens": (
        lambda: COOK.value_and_jacobian({"strain": STRAIN, "strain_rate": np.ones(3), "T": np.ones(4)}, TRUE),
        ShapeError,
        "not of the same specimens: 'strain' (25,), 'strain_rate' (3,), 'T' (4,)",
    ),
    "no grid": (
        lambda: COOK.value_and_jacobian({"strain": 1.0, "strain_rate": 1.0, "T": 0.1}, TRUE),
        ShapeError,
        "the input 'strain' has the shape ()",
    ),
    "packed": (lambda: COOK.value_and_jacobian(STRAIN, TRUE), ShapeError, "has 3 inputs (strain, strain_rate, T)"),
    "solve": (lambda: solve(COOK, np.ones(72), Y), ShapeError, "expected (75,) or (4, 75)"),
    "absent": (
        lambda: SympyExpert("a*x", t="x", covariates=("z",)),
        FormulaError,
        "does not contain its covariate 'z'",
    ),
    "twice": (lambda: SympyExpert("a*x", t="x", covariates=("x",)), FormulaError, "two inputs have the name 'x'"),
    "name": (lambda: SympyExpert("a*x", t="x", covariates=("exp",)), FormulaError, "a covariate cannot be called"),
    "text": (lambda: SympyExpert("a*x*z", t="x", covariates="z"), ExpertError, "must be a tuple of names: ('z',)"),
    "unit": (
        lambda: SympyExpert("a*x*z", t="x", covariates=("z",), units={"z": "K"}),
        FormulaError,
        "'z', which is a covariate, not a parameter",
    ),
    "no parameter": (
        lambda: SympyExpert("x*z", t="x", covariates=("z",)),
        FormulaError,
        "every name in it is an input (x, z)",
    ),
}


@pytest.mark.parametrize("case", TROUBLE)
def test_trouble_with_inputs_is_one_clear_sentence(case):
    act, kind, words = TROUBLE[case]
    with pytest.raises(kind) as caught:
        act()
    assert words in str(caught.value)
