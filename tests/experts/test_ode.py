"""Laws that are differential equations: closed forms, stiff systems, kinks and jumps, sensitivities, fits, mistakes."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.integrate import solve_ivp

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, FileFormatError, FormulaError
from pima_toolkit.experts import expert_from_dict
from pima_toolkit.testing import parametrize_with_checks

GAS = 8.31446261815324e-3


class Pyrolysis(pima.OdeExpert):
    """One reaction of order n under constant heating, with a first guess, so that fits need no search."""

    name, t, start, covariates = "pyrolysis_by_ode", "temperature", 400.0, ("heating_rate",)
    slope = "exp(lnk - Ea / (R * temperature)) / (heating_rate / 60) * max(1 - x, 0)**n"
    equations, initial, sizes = {"x": slope}, {"x": 0}, {"x": 1}
    given, output = {"R": GAS}, "1 - (1 - residue) * x"
    parameters = (
        pima.Parameter("lnk", lower=10, upper=60),
        pima.Parameter("Ea", unit="kJ/mol", lower=80, upper=300),
        pima.Parameter("n", lower=0.5, upper=3),
        pima.Parameter("residue", lower=0, upper=1),
    )

    def initial_guess(self, t, y, weights):  # noqa: ARG002 - the same for all
        return np.tile([30.0, 180.0, 1.0, 0.05], (len(y), 1))


class Element(pima.OdeExpert):
    """A spring and a dashpot in series, pulled at a constant rate.

    Valid for: tests.
    """

    name, t, covariates, output = "maxwell_by_ode", "time", ("rate",), "s"
    equations, initial = {"s": "E * rate - s / tau"}, {"s": 0}
    parameters = pima.Parameter("E", unit="{y}", lower=0), pima.Parameter("tau", unit="{t}", lower=0.01, upper=100)
    example = pima.Example((0, 4), {"E": 100, "tau": 1.5}, covariates={"rate": 0.2}, points=20)


DECAY = pima.OdeExpert({"c": "-k * c"}, t="time", initial={"c": "c_0"}, output="c", name="decay_by_ode")
ROBERTSON = pima.OdeExpert(
    {
        "a": "-k1 * a + k3 * b * c",
        "b": "k1 * a - k3 * b * c - k2 * b**2",
        "c": "k2 * b**2",
    },
    t="time",
    initial={"a": 1, "b": 0, "c": 0},
    output="c + 1e4 * b",
    log=("k1", "k2", "k3"),
)
#: A Maxwell element pulled at a rate until t1, then held: the right-hand side jumps at a fitted time.
PULLED = pima.OdeExpert(
    {"s": "E * rate - s / tau"},
    t="time",
    initial={"s": 0},
    inputs={"rate": "r if time < t1 else 0"},
    output="s",
    events=("t1",),
    parameters=[pima.Parameter(name) for name in ("E", "tau", "r", "t1")],
)
CLOSED = pima.SympyExpert(
    "E*tau*r*(1 - exp(-time/tau)) if time < t1 else E*tau*r*(1 - exp(-t1/tau))*exp(-(time - t1)/tau)",
    t="time",
    parameters=PULLED.parameters,
)
#: Three of them under a measured rate.
PRONY = pima.OdeExpert(
    {f"s{i}": f"E{i} * rate - s{i} / tau{i}" for i in (1, 2, 3)},
    t="time",
    initial=dict.fromkeys(("s1", "s2", "s3"), 0),
    inputs={"rate": "strain_rate"},
    output="s1 + s2 + s3",
)
PRONY_THETA = np.array([800.0, 0.5, 300.0, 4.0, 100.0, 30.0])


@parametrize_with_checks([Element])
def test_it_conforms(expert, check):
    check(expert)


def test_decay_is_its_closed_form_in_any_order_of_points():
    rng = np.random.default_rng(0)
    t = rng.permutation(np.concatenate([np.linspace(-1, 5, 40), [2.0, 2.0]]))
    after = np.maximum(t, 0.0)  # before the start the state rests
    value, jacobian = DECAY.value_and_jacobian(t, [0.8, 3.0])
    expected = 3.0 * np.exp(-0.8 * after)
    np.testing.assert_allclose(value, expected, rtol=1e-7)
    np.testing.assert_allclose(jacobian, np.stack([-after * expected, expected / 3.0], axis=1), atol=1e-6)


def test_a_stiff_system_is_scipys():
    theta = np.array([0.04, 1e4, 3e7])  # k1, k3, k2
    t = np.logspace(-5, 6, 45)

    def slopes(_, y, k):
        a, b, c = y
        return [-k[0] * a + k[1] * b * c, k[0] * a - k[1] * b * c - k[2] * b**2, k[2] * b**2]

    def by_scipy(k):
        y = solve_ivp(slopes, (0, t[-1]), [1.0, 0, 0], "Radau", t, args=(k,), rtol=1e-10, atol=1e-14).y
        return y, y[2] + 1e4 * y[1]

    states, value = by_scipy(theta)
    found, jacobian = ROBERTSON.value_and_jacobian(t, theta)
    np.testing.assert_allclose(found, value, rtol=2e-6)
    for name, expected in zip("abc", states, strict=True):
        np.testing.assert_allclose(ROBERTSON.states(t, theta)[name], expected, rtol=2e-5, atol=1e-12)
    h = 1e-4
    up, down = (by_scipy(theta * [1.0, 1.0 + s * h, 1.0])[1] for s in (1, -1))
    slope = (up - down) / (2 * h)
    np.testing.assert_allclose(jacobian[:, 1] * theta[1], slope, atol=1e-5 * np.abs(slope).max())


def test_a_jump_at_a_fitted_time_is_the_closed_form():
    theta = np.array([100.0, 1.5, 0.2, 2.03])
    t = np.linspace(0, 6, 31)
    for found, expected in zip(PULLED.value_and_jacobian(t, theta), CLOSED.value_and_jacobian(t, theta), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * np.abs(expected).max())


def test_measured_inputs_with_jumps_and_ramps_are_integrated_piece_by_piece():
    """Pulled at one rate, held, pulled back on a ramp: where two points have the same time the rate jumps."""
    t = np.array([0.0, 1.0, 3.0, 3.0, 5.0, 5.0, 6.0, 9.0])
    rate = np.array([0.2, 0.2, 0.2, 0.0, 0.0, 0.0, -0.1, -0.1])
    value = PRONY.value_and_jacobian({"time": t, "strain_rate": rate}, PRONY_THETA)[0]
    expected = np.zeros(t.size)
    for E, tau in PRONY_THETA.reshape(3, 2):
        s = 0.0
        for k in range(1, t.size):
            h, a = t[k] - t[k - 1], rate[k - 1]
            b = (rate[k] - a) / h if h else 0.0
            # s' = E (a + b u) - s / tau
            rest = E * tau * (a - b * tau)
            s = (s - rest) * np.exp(-h / tau) + rest + E * tau * b * h
            expected[k] += s
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_a_state_that_leaves_zero_at_a_kink_is_scipys():
    """Perzyna's visco-plasticity: nothing flows below the yield stress, and the strain begins there as a power."""
    expert = pima.OdeExpert(
        {"p": "max((E * (strain - p) - s_y) / K, 0)**m"},
        t="time",
        initial={"p": 0},
        inputs={"strain": "0.01 * min(time, 5)"},
        output="E * (strain - p)",
        events=(5,),
    )
    t, theta = np.linspace(0, 10, 21), [1000.0, 10.0, 30.0, 3.0]

    def slope(at, p):
        return np.maximum((1000.0 * (0.01 * min(at, 5) - p) - 10.0) / 30.0, 0.0) ** 3

    p = solve_ivp(slope, (0, 10), [0.0], "Radau", t, rtol=1e-10, atol=1e-14, max_step=0.01).y[0]
    found = expert.value_and_jacobian(t, theta)
    np.testing.assert_allclose(found[0], 1000.0 * (0.01 * np.minimum(t, 5) - p), rtol=1e-6)
    up, down = (expert.value_and_jacobian(t, [1000.0, 10.0 + h, 30.0, 3.0])[0] for h in (1e-3, -1e-3))
    np.testing.assert_allclose(found[1][:, 1], (up - down) / 2e-3, atol=1e-4)


def test_linear_parameters_are_found_through_the_equations():
    assert PRONY.linear == (0, 2, 4)  # the moduli
    assert DECAY.linear == (1,)
    assert Pyrolysis().linear == (3,)  # in the output alone
    assert PULLED.linear == (0,)  # r would do, but not both; t1 is the time of an event


def test_sensitivities_are_finite_differences_under_a_programme():
    expert = pima.OdeExpert(
        {"x": "k * exp(B * (1 / T_ref - 1 / T)) * max(1 - x, 0)**n", "z": "x - z / 2"},
        t="time",
        initial={"x": "x_0", "z": 0},
        inputs={"T": "min(300 + rate * time, T_hold)", "T_ref": 350},
        covariates=("rate", "T_hold"),
        output="x + w * z",
        events=("(T_hold - 300) / rate",),
        tolerance=1e-9,
    )
    inputs = {"time": np.linspace(0, 20, 25), "rate": 5.0, "T_hold": 360.0}
    theta = np.array([0.2, 5000.0, 1.7, 0.05, 0.3])
    assert [p.name for p in expert.parameters] == ["k", "B", "n", "x_0", "w"]
    jacobian = expert.value_and_jacobian(inputs, theta)[1]
    for p in range(theta.size):
        step = np.where(np.arange(theta.size) == p, 1e-4 * theta[p], 0.0)
        up, down = (expert.value_and_jacobian(inputs, theta + s * step)[0] for s in (1, -1))
        slope = (up - down) / (2 * step[p])
        np.testing.assert_allclose(jacobian[:, p], slope, atol=2e-6 * np.abs(slope).max())


def test_the_page_runs_and_finds_the_known_parameters_again(guide):
    _, names = guide("ode")
    np.testing.assert_allclose(names["solution"].fitted[0] / names["truth"], 1.0, atol=0.03)
    assert (np.diff(names["conversion"]) >= 0).all()


def test_torch_has_the_same_numbers_and_gradient():
    theta = torch.tensor(PRONY_THETA).repeat(2, 1).requires_grad_()
    t = np.concatenate([np.linspace(0, 5, 9), np.linspace(0.1, 0.2, 9)])
    value = PRONY.predict(torch.tensor(np.stack([t, 1.5 * t])), theta)
    (slope,) = torch.autograd.grad(value.sum(), theta)
    for row, grid in enumerate((t, 1.5 * t)):
        expected, jacobian = PRONY.value_and_jacobian(grid, PRONY_THETA)
        np.testing.assert_array_equal(value[row].detach().numpy(), expected)
        np.testing.assert_allclose(slope[row].numpy(), jacobian.sum(0), rtol=1e-12)


def test_wild_parameters_give_numbers_or_nan():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(300, 4)) * 10.0 ** rng.uniform(-300, 300, size=(300, 4))
    value, jacobian = Pyrolysis().value_and_jacobian(
        {"temperature": np.linspace(1, 900, 12), "heating_rate": 10}, theta
    )
    assert value.shape == (300, 12)
    assert jacobian.shape == (300, 12, 4)
    nan = Pyrolysis().value_and_jacobian({"temperature": np.linspace(400, 900, 12), "heating_rate": 10}, [np.nan] * 4)
    assert np.isnan(nan[0]).all()


def test_an_integration_that_fails_says_where():
    expert = pima.OdeExpert({"x": "k * x**2"}, t="time", initial={"x": "x_0"}, output="x", name="runaway")
    t = np.linspace(0, 3, 13)  # infinite at 1 / (k x_0) = 2
    value = expert.value_and_jacobian(t, [0.5, 1.0])[0]
    np.testing.assert_array_equal(np.isfinite(value), t < 2)
    np.testing.assert_allclose(value[t < 2], 1 / (1 - 0.5 * t[t < 2]), rtol=1e-5)
    with pytest.raises(ExpertError, match=r"'runaway' cannot be integrated beyond time = 2 with k = 0.5, x_0 = 1"):
        expert.states(t, [0.5, 1.0])
    negative = pima.OdeExpert({"x": "k * (0 - 1 - x)**0.3"}, t="time", initial={"x": 0}, output="x", name="root")
    with pytest.raises(ExpertError, match=r"'root' cannot be integrated beyond time = 0 .* write max\(1 - x, 0\)"):
        negative.fit(t, t)


def test_a_saved_expert_is_read_back():
    for expert in (PRONY, PULLED, Pyrolysis()):
        written = json.loads(json.dumps(expert.to_dict()))
        known = {"pyrolysis_by_ode": Pyrolysis()}
        assert expert_from_dict(written, installed=known) == expert
    assert (
        pima.OdeExpert({"s": "E * rate - s / tau"}, "time", initial={"s": 0}, inputs={"rate": "r"}, output="s")
        != PULLED
    )
    broken = PRONY.to_dict()
    del broken["initial"]
    with pytest.raises(FileFormatError, match="lacks its initial"):
        expert_from_dict(broken)
    with pytest.raises(AttributeError, match="do not change"):
        PRONY.output = "s1"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"equations": {}}, "there are 0 equations"),
        ({"equations": ["-k * x"]}, "equations must be a table of formulas by name"),
        ({"initial": {}}, "the state 'x' has no initial value: add it to initial"),
        ({"initial": {"x": 0, "z": 1}}, "an initial value is given for 'z', of which there is no equation"),
        ({"initial": {"x": "x"}}, "the initial value of 'x', 'x', names a state"),
        ({"initial": {"x": None}}, "initial must hold formulas as text"),
        ({"output": "k * T"}, "the output 'k \\* T' names no state"),
        ({"output": ""}, "output must hold formulas as text"),
        ({"output": "x("}, "the output, 'x\\(': the bracket .* was never closed"),
        ({"equations": {"x": "-k * T * sinus(x)"}}, "the equation of 'x', .*: unknown function 'sinus'"),
        ({"equations": {"x": "-k * T", "z": "z"}, "initial": {"x": 0, "z": 0}}, "'z' is named in no other equation"),
        ({"equations": {"exp": "-k"}}, "a name in equations cannot be 'exp'"),
        ({"inputs": {"T": "temperature", "U": "humidity"}}, "the input 'U' is in no formula"),
        ({"inputs": {"x": "temperature"}}, "'x' is the name of two things"),
        ({"covariates": ("rate",)}, "the input 'rate' is in no formula"),
        ({"covariates": "rate"}, "covariates must be a tuple"),
        ({"events": 5}, "events must be a tuple: \\(5,\\)"),
        ({"sizes": 1.0}, "sizes must be a table of numbers"),
        ({"inputs": {"T": float("inf")}}, "inputs must hold formulas as text"),
        ({"events": ("x / k",)}, "the event, 'x / k', names a state"),
        ({"equations": {"x": "-T * x"}}, "have 0 parameters to fit"),
        ({"tolerance": 2.0}, "tolerance=2.0: expected a number above 0"),
        ({"sizes": {"y": 1.0}}, "a size is given for 'y', which is no state"),
        ({"bounds": {"T": (0, 1)}}, "bounds are given for 'T'"),
        ({"units": {"temperature": "K"}}, "units are given for 'temperature', which is a covariate"),
        ({"parameters": [pima.Parameter("q")]}, "q is declared but not in the formula"),
        ({"t": "not a name"}, "an input cannot be called 'not a name'"),
        ({"equations": {"x": "__import__('os').system('true')"}}, "cannot be read"),
    ],
)
def test_mistakes_are_told(options, sentence):
    right = {"equations": {"x": "-k * T * x"}, "initial": {"x": 1}, "inputs": {"T": "temperature"}, "output": "x"}
    pima.OdeExpert(**right)
    with pytest.raises((ExpertError, FormulaError), match=sentence):
        pima.OdeExpert(**{**right, **options})


def test_an_input_that_is_missing_is_named():
    with pytest.raises(pima.errors.ShapeError, match="strain_rate missing"):
        PRONY.value_and_jacobian({"time": np.arange(3.0)}, PRONY_THETA)


@pytest.mark.data
def test_pyrolysis_of_one_material_says_each_curve():
    """PMMA in nitrogen at 10 K/min, each curve by a reaction of its own: as near as the data's own page says."""
    if "PIMA_DATA" not in os.environ:
        pytest.skip("PIMA_DATA is not set")
    data = xr.load_dataset(Path(os.environ["PIMA_DATA"]) / "macfp" / "macfp.nc")
    chosen = (data.material == "pmma") & (data.gas == "N2") & (data.heating_rate_nominal == 10)
    data = data.isel(specimen=np.flatnonzero(chosen)[::4]).sel(temperature=slice(400, 900))
    y, inputs = data.mass_fraction.values, {"temperature": data.temperature.values}
    inputs["heating_rate"] = data.heating_rate.values
    theta = Pyrolysis().fit(inputs, y, weights=np.eye(len(y))).fitted
    each = [
        Pyrolysis().value_and_jacobian({**inputs, "heating_rate": rate}, row)[0]
        for rate, row in zip(inputs["heating_rate"], theta, strict=True)
    ]
    error = np.sqrt(np.nanmean((np.stack(each) - y) ** 2, axis=1))
    assert np.median(error) < 0.02
