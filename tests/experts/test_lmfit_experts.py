"""Every built-in model of lmfit as an expert: its values, its derivatives, and a fit that finds its own parameters."""

import json
import subprocess
import sys

import lmfit
import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit import LmfitExpert
from pima_toolkit.errors import ExpertError, FormulaError
from pima_toolkit.experts import expert_from_dict
from pima_toolkit.experts.kinds.callback import linear_by_trial
from pima_toolkit.experts.kinds.lmfit_expert import UNSUPPORTED

KNOTS = [0.0, 2.5, 5.0, 7.5, 10.0]
#: lmfit class -> constructor's arguments, true parameters in lmfit's order, range of x.
CASES = {
    "ConstantModel": ({}, [2.0], (0, 10)),
    "LinearModel": ({}, [2.0, -1.0], (0, 10)),
    "QuadraticModel": ({}, [0.5, -2.0, 1.0], (0, 10)),
    "PolynomialModel": ({"degree": 3}, [1.0, -2.0, 0.5, 0.1], (-2, 3)),
    "SplineModel": ({"xknots": KNOTS}, [1.0, 3.0, 2.0, 0.0, 4.0], (0, 10)),
    "GaussianModel": ({}, [5.0, 4.0, 1.2], (0, 10)),
    "LorentzianModel": ({}, [5.0, 4.0, 1.2], (0, 10)),
    "SplitLorentzianModel": ({}, [5.0, 4.3, 1.2, 0.7], (0, 10)),
    "VoigtModel": ({}, [5.0, 4.0, 0.8, 0.6], (0, 10)),
    "PseudoVoigtModel": ({}, [5.0, 4.0, 1.2, 0.4], (0, 10)),
    "MoffatModel": ({}, [5.0, 4.0, 1.2, 1.8], (0, 10)),
    "Pearson4Model": ({}, [5.0, 4.0, 1.2, 2.0, 0.7], (0, 10)),
    "Pearson7Model": ({}, [5.0, 4.0, 1.2, 2.0], (0, 10)),
    "StudentsTModel": ({}, [5.0, 4.0, 2.2], (0, 10)),
    "BreitWignerModel": ({}, [5.0, 4.0, 1.2, 0.8], (0, 10)),
    "LognormalModel": ({}, [5.0, 1.0, 0.6], (0.1, 10)),
    "DampedOscillatorModel": ({}, [5.0, 4.0, 0.15], (0.2, 10)),
    "DampedHarmonicOscillatorModel": ({}, [5.0, 4.0, 0.8, 2.0], (-8, 8)),
    "ExponentialGaussianModel": ({}, [5.0, 3.0, 0.8, 0.9], (0, 10)),
    "SkewedGaussianModel": ({}, [5.0, 3.0, 1.5, 2.0], (0, 10)),
    "SkewedVoigtModel": ({}, [5.0, 4.0, 0.9, 0.5, 1.5], (0, 10)),
    "ThermalDistributionModel": ({"form": "fermi"}, [0.7, 4.0, 1.1], (0, 10)),
    "BoseModel": ({}, [2.0, -2.0, 3.0], (0, 10)),
    "FermiModel": ({}, [2.0, 5.0, 1.1], (0, 10)),
    "DoniachModel": ({}, [5.0, 4.0, 0.9, 0.2], (0, 10)),
    "PowerLawModel": ({}, [2.0, 1.7], (0.1, 10)),
    "ExponentialModel": ({}, [3.0, 2.5], (0, 10)),
    "StepModel": ({"form": "erf"}, [2.0, 5.0, 1.1], (0, 10)),
    "RectangleModel": ({"form": "logistic"}, [2.0, 3.0, 0.6, 7.0, 0.4], (0, 10)),
    "ExpressionModel": ({"expr": "a*exp(-x/b) + c"}, [2.0, 3.0, 0.5], (0, 10)),
}
#: Further forms of the same models.
FORMS = [
    *(("StepModel", {"form": form}) for form in ("linear", "atan", "logistic")),
    *(("RectangleModel", {"form": form}) for form in ("linear", "atan", "erf")),
    *(("ThermalDistributionModel", {"form": form}) for form in ("bose", "maxwell")),
]
BY_FUNCTION = ["SplineModel", "VoigtModel", "Pearson4Model", "Pearson7Model", "StudentsTModel", "SkewedVoigtModel"]


def case(kind, options=None):
    made, theta, (low, high) = CASES[kind]
    options = made if options is None else options
    return LmfitExpert(kind, **options), np.array(theta), np.linspace(low, high, 41)


def lmfits(kind, options, t, theta):
    if kind == "ExpressionModel":
        model = lmfit.models.ExpressionModel(options["expr"])
        return model.eval(x=t, **dict(zip("abc", theta, strict=True)))
    model = getattr(lmfit.models, kind)(**options)
    names = [p.name for p in LmfitExpert(kind, **options).parameters]
    assert set(model.param_names) <= set(names)
    return model.eval(x=t.copy(), **dict(zip(names, theta, strict=True)))


def test_no_model_of_lmfit_is_forgotten():
    every = {cls.__name__ for cls in lmfit.models.lmfit_models.values()}
    assert every == {*CASES, *UNSUPPORTED, "Gaussian2dModel"}


@pytest.mark.parametrize(("kind", "options"), [*((k, None) for k in CASES), *FORMS])
def test_values_are_lmfits_and_derivatives_are_right(kind, options):
    expert, theta, t = case(kind, options)
    value, jacobian = expert.value_and_jacobian(t, theta)
    expected = lmfits(kind, CASES[kind][0] if options is None else options, t, theta)
    np.testing.assert_allclose(value, np.broadcast_to(expected, t.shape), rtol=1e-10, atol=1e-12)
    for p in range(theta.size):
        step = np.zeros(theta.size)
        step[p] = 1e-5
        sides = [expert.value_and_jacobian(t, theta + sign * step)[0] for sign in (1, -1)]
        found = (sides[0] - sides[1]) / 2e-5
        np.testing.assert_allclose(jacobian[:, p], found, atol=1e-6 * (1 + np.abs(found).max()), err_msg=str(p))


@pytest.mark.parametrize("kind", CASES)
def test_the_torch_form_and_its_gradient_are_the_same(kind):
    expert, theta, t = case(kind)
    value, jacobian = expert.value_and_jacobian(t, theta)
    x, grid = torch.tensor(theta, requires_grad=True), torch.tensor(t)
    found = expert.predict(grid, x)
    np.testing.assert_allclose(found.detach(), value, rtol=1e-10, atol=1e-12)
    slope = torch.linspace(0.5, 1.5, t.size, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(found @ slope, x)
    np.testing.assert_allclose(gradient, slope.numpy() @ jacobian, rtol=1e-7, atol=1e-9)
    batch = expert.predict(grid, torch.tensor(np.stack([theta, theta * 1.01])))
    np.testing.assert_allclose(batch[0], value, rtol=1e-10, atol=1e-12)
    assert batch.shape == (2, t.size)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch itself, on its way to forward mode
@pytest.mark.parametrize("kind", BY_FUNCTION[:2])
def test_torch_transforms_work_where_lmfit_computes(kind):
    expert, theta, t = case(kind)
    grid, x = torch.tensor(t), torch.tensor(np.stack([theta, theta * 1.02]))
    jacobian = expert.value_and_jacobian(t, x.numpy())[1]
    found = torch.func.vmap(torch.func.jacrev(lambda p: expert.predict(grid, p)))(x)
    np.testing.assert_allclose(found, jacobian, rtol=1e-9, atol=1e-12)
    forward = torch.func.jacfwd(lambda p: expert.predict(grid, p))(x[0])
    np.testing.assert_allclose(forward, jacobian[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", [k for k in CASES if k not in (*BY_FUNCTION, "ExpressionModel")])
def test_linear_parameters_found_by_trial_are_the_formulas(kind):
    expert, _, _ = case(kind)
    lower, upper = (np.array([getattr(p, side) for p in expert.parameters]) for side in ("lower", "upper"))
    lower = np.where(np.isfinite(lower), lower, 0.1)  # where lmfit sets no bound a width may be negative, and no number
    found = linear_by_trial(expert.values, np.linspace(0.13, 3.7, 9), lower, upper)
    assert set(expert.linear) <= set(found)


@pytest.mark.parametrize("kind", CASES)
def test_a_fit_finds_its_own_parameters(kind):
    expert, theta, t = case(kind)
    value = expert.value_and_jacobian(t, theta)[0]
    noise = 1e-4 * np.ptp(value) if np.ptp(value) else 1e-4
    y = value + noise * np.random.default_rng(0).standard_normal(t.size)
    found = expert.fit(t, y)
    assert found.status[0] > 0
    again = expert.value_and_jacobian(t, found.fitted[0])[0]
    np.testing.assert_allclose(again, value, atol=5 * noise)
    if kind not in ("StepModel", "RectangleModel", "DampedOscillatorModel", "BoseModel"):  # signs may trade places
        far = np.abs(found.fitted[0] - theta) / np.maximum(found.parameters.std_error.values[0, : len(theta)], 1e-12)
        assert far.max() < 5


def test_derived_parameters_are_shown_with_errors():
    expert, theta, t = case("GaussianModel")
    found = expert.fit(t, expert.value_and_jacobian(t, theta)[0] + 0.01 * np.random.default_rng(0).normal(size=t.size))
    assert [p.name for p in expert.reported] == ["amplitude", "center", "sigma", "fwhm", "height"]
    model = lmfit.models.GaussianModel()
    y = expert.value_and_jacobian(t, theta)[0] + 0.01 * np.random.default_rng(0).normal(size=t.size)
    theirs = model.fit(y, model.guess(y, x=t), x=t).params
    np.testing.assert_allclose(found.parameters.value[0], [theirs[p.name].value for p in expert.reported], rtol=1e-5)
    np.testing.assert_allclose(
        found.parameters.std_error.values[0], [theirs[p.name].stderr for p in expert.reported], rtol=1e-3
    )


def test_bounds_names_units_and_the_variable():
    expert = LmfitExpert("pseudo-voigt", t="angle", bounds={"center": (3, 5)})
    assert expert.t == "angle"
    limits = {p.name: (p.lower, p.upper, p.unit) for p in expert.parameters}
    assert limits["fraction"] == (0, 1, "1")
    assert limits["center"] == (3, 5, "{t}")
    assert limits["sigma"] == (0, np.inf, "{t}")
    assert limits["amplitude"][2] == "{y}*{t}"
    assert "angle" in expert.latex
    assert LmfitExpert("voigt").latex == ""
    assert LmfitExpert("GaussianModel") == LmfitExpert("gaussian") != LmfitExpert("lorentzian")


def test_two_dimensions_are_a_variable_and_a_covariate():
    expert = LmfitExpert("gaussian2d")
    assert expert.inputs == ("x", "y")
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-2, 2, 9), np.linspace(-1, 3, 9)))
    theta = np.array([4.0, 0.2, 0.9, 0.8, 0.6])
    value = expert.value_and_jacobian({"x": x, "y": y}, theta)[0]
    model = lmfit.models.Gaussian2dModel()
    np.testing.assert_allclose(value, model.eval(x=x, y=y, **dict(zip(model.param_names, theta, strict=True))))
    found = expert.fit({"x": x, "y": y}, value + 1e-3 * np.random.default_rng(0).normal(size=x.size))
    np.testing.assert_allclose(found.fitted[0], theta, atol=0.02)


@pytest.mark.slow
def test_a_model_of_ones_own_goes_everywhere():
    peak = lmfit.models.GaussianModel(prefix="p_") + lmfit.models.LinearModel(prefix="b_")
    expert = LmfitExpert(peak, name="peak_on_line", bounds={"p_center": (2, 6), "p_sigma": (0.2, 4)})
    assert [expert.parameters[p].name for p in expert.linear] == ["p_amplitude", "b_slope", "b_intercept"]
    assert [p.name for p in expert.parameters] == ["p_amplitude", "p_center", "p_sigma", "b_slope", "b_intercept"]
    t = np.linspace(0, 10, 50)
    theta = np.array([5.0, 4.0, 1.0, 0.3, 1.0])
    rng = np.random.default_rng(0)
    own = theta * (1 + 0.03 * rng.standard_normal((12, 5)))
    y = expert.value_and_jacobian(t, own)[0] + 0.01 * rng.standard_normal((12, 50))
    found = expert.fit(t, y, start=theta)
    assert (np.abs(found.fitted[0] - theta) < 5 * found.parameters.std_error.values[0, :5]).all()
    assert found.bootstrap(20).std_error.notnull().all()
    data = xr.Dataset({"y": (("specimen", "x"), y)}, coords={"x": t})
    fit = pima.PIMA({"y": pima.Physics(expert)}, 1, latent_dim=1).fit(data, epochs=2, progress=False)
    np.testing.assert_allclose(fit.parameters.value[0, :5], theta, rtol=0.1)
    with pytest.raises(ExpertError, match="which is not installed"):
        expert_from_dict(expert.to_dict())
    assert expert_from_dict(expert.to_dict(), installed={"peak_on_line": expert}) == expert


@pytest.mark.parametrize("kind", ["VoigtModel", "GaussianModel", "SplineModel", "ExpressionModel"])
def test_built_in_models_come_back_from_a_file(kind):
    expert, _, _ = case(kind)
    assert expert_from_dict(json.loads(json.dumps(expert.to_dict()))) == expert


def test_curves_of_python_do_not_block_threads():
    """Two threads that both ask Python, in a process that may be stopped."""
    code = (
        "import numpy as np, pima_toolkit as pima, torch\n"
        "from pima_toolkit.experts import solve\n"
        "torch.set_num_threads(2)\n"
        "import pima_toolkit.experts.formulas.compiled as drivers\n"
        "drivers._WORTH_THREADS = 0\n"
        "e = pima.LmfitExpert('voigt')\n"
        "t = np.linspace(0, 10, 40)\n"
        "y = np.tile(e.value_and_jacobian(t, np.array([5.0, 4.0, 0.8, 0.6]))[0], (20, 1))\n"
        "s = solve(e, t, y, None, np.tile([[5.1, 4.1, 0.8, 0.6]], (20, 8, 1)), max_iterations=1)\n"
        "print(len(s.cost))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert run.stdout.strip() == "20", run.stderr


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("gauss",), ExpertError, "lmfit has no model 'gauss'; it has"),
        (
            ("complex constant",),
            ExpertError,
            "lmfit's ComplexConstantModel cannot be an expert",
        ),
        (("polynomial",), ExpertError, "lmfit's PolynomialModel needs degree"),
        ((3,), ExpertError, "3 is no lmfit model"),
    ],
)
def test_bad_models(arguments, kind, message):
    with pytest.raises(kind, match=message):
        LmfitExpert(*arguments)


def test_bad_options():
    with pytest.raises(ExpertError, match="bounds are given for 'centre', which is no parameter"):
        LmfitExpert("gaussian", bounds={"centre": (0, 1)})
    with pytest.raises(ExpertError, match="form='square' of lmfit's StepModel is unknown: use linear"):
        LmfitExpert("step", form="square")
    with pytest.raises(ExpertError, match="lmfit cannot make its SplineModel of"):
        LmfitExpert("spline", xknots=3)
    with pytest.raises(FormulaError, match="cannot be read: remove it"):
        LmfitExpert("expression", expr="__import__('os').system('true') * x")
