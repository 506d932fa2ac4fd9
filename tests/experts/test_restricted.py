"""Experts of fewer parameters, fixed or tied, and parameters solved for in their logarithms."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit import Parameter, SympyExpert, get_expert
from pima_toolkit.errors import ExpertError, FileFormatError, FormulaError
from pima_toolkit.experts import expert_from_dict

HARDENING = get_expert("linear_hardening")
T = np.linspace(0, 0.1, 60)
RNG = np.random.default_rng(0)
Y = HARDENING.value_and_jacobian(T, [800.0, 0.035, 0.2])[0] + 0.3 * RNG.normal(size=T.size)
RESTRICTED = {
    "fixed": (HARDENING.fixed(E=800.0), [0.035, 0.2], [800.0, 0.035, 0.2]),
    "tied": (HARDENING.tied(h="0.1 + 2 * eps_y"), [800.0, 0.035], [800.0, 0.035, 0.17]),
    "both": (HARDENING.fixed(E=800.0).tied(h="E / 4000"), [0.035], [800.0, 0.035, 0.2]),
    "negative": (SympyExpert("a * t**n + b").fixed(n=2).tied(b="-a"), [3.0], [3.0, 2.0, -3.0]),
}


@pytest.mark.parametrize("case", RESTRICTED)
def test_every_form_is_the_whole_experts(case):
    expert, theta, whole = RESTRICTED[case]
    value, jacobian = expert.value_and_jacobian(T, theta)
    np.testing.assert_allclose(value, expert.base.value_and_jacobian(T, whole)[0], rtol=1e-12)
    step = 1e-6 * np.abs(theta)
    for p in range(len(theta)):
        up, down = (
            expert.value_and_jacobian(T, np.array(theta) + s * np.eye(len(theta))[p] * step)[0] for s in (1, -1)
        )
        np.testing.assert_allclose(jacobian[:, p], (up - down) / (2 * step[p]), rtol=1e-5, atol=1e-5)
    by_torch = expert.predict(torch.as_tensor(T), torch.tensor(theta, dtype=torch.float64))
    np.testing.assert_allclose(by_torch.numpy(), value, rtol=1e-12)
    again = expert_from_dict(json.loads(json.dumps(expert.to_dict())))
    assert again == expert
    assert hash(again) == hash(expert)
    assert again != expert.base


def test_a_fixed_parameter_is_a_constant_and_not_shown():
    expert = HARDENING.fixed(E=800.0)
    assert [p.name for p in expert.parameters] == ["eps_y", "h"]
    assert [(p.name, p.unit) for p in expert.reported] == [("sigma_y", "{y}"), ("H", "{y}/{t}")]
    assert expert.name == "linear_hardening with E = 800"
    found, held = expert.fit(T, Y, y_unit="MPa"), HARDENING.fit(T, Y, fixed={"E": 800.0})
    np.testing.assert_allclose(found.fitted[0], held.fitted[0, 1:], rtol=1e-8)
    np.testing.assert_allclose(found.parameters.std_error.values[0], held.parameters.std_error.values[0, 1:], rtol=1e-6)
    assert found.units == ["MPa", "MPa"]


def test_a_tied_parameter_is_shown_with_the_error_the_others_give():
    line = SympyExpert("a * t + b", units={"a": "{y}/{t}", "b": "{y}"})
    expert = line.tied(b="a / 2 + 1")
    assert [p.name for p in expert.reported] == ["a", "b"]
    found = expert.fit(T, 3 * T + 2.5 + 0.01 * RNG.normal(size=T.size), y_unit="MPa")
    a, error = found.fitted[0, 0], found.parameters.std_error.values[0, 0]
    np.testing.assert_allclose(found.parameters.value.values[0], [a, a / 2 + 1], rtol=1e-12)
    np.testing.assert_allclose(found.parameters.std_error.values[0], [error, error / 2], rtol=1e-9)
    assert found.units == ["MPa", "MPa"]


def test_bounds_and_starts_are_the_whole_experts():
    expert = HARDENING.tied(h="0.2")
    bounds, whole = expert.bounds(T), HARDENING.bounds(T)
    np.testing.assert_array_equal(bounds.upper, whole.upper[:2])
    np.testing.assert_allclose(expert.guess(T, Y), HARDENING.guess(T, Y)[:2])
    assert expert.starts(T, Y, None, 5).shape == (1, 5, 2)


def test_pima_fits_with_a_known_modulus(tmp_path):
    rng = np.random.default_rng(1)
    theta = np.repeat([[800.0, 0.03, 0.1], [800.0, 0.05, 0.4]], 15, axis=0)
    theta[:, 1:] *= 1 + 0.03 * rng.normal(size=(30, 2))
    y = HARDENING.value_and_jacobian(T, theta)[0] + 0.2 * rng.normal(size=(30, T.size))
    data = xr.Dataset({"stress": (("specimen", "strain"), y, {"units": "MPa"})}, coords={"strain": T})
    model = pima.PIMA({"stress": pima.Physics(HARDENING.fixed(E=800.0))}, clusters=2, latent_dim=1)
    fit = model.fit(data, epochs=2, progress=False)
    assert fit.parameters.parameter.values.tolist() == ["sigma_y", "H"]
    np.testing.assert_allclose(np.sort(fit.parameters.value.values[:, 0]), [24, 40], rtol=0.03)
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    np.testing.assert_array_equal(loaded.parameters.value, fit.parameters.value)


WRONG = {
    "unknown": (lambda: HARDENING.fixed(H=1.0), ExpertError, "fits no parameter 'H'; it fits E, eps_y, h"),
    "not finite": (lambda: HARDENING.fixed(E=np.nan), ExpertError, "cannot be held at nan"),
    "not a number": (lambda: HARDENING.fixed(E="stiff"), ExpertError, "cannot be held at 'stiff'"),
    "nothing left": (lambda: HARDENING.fixed(E=1, eps_y=1, h=1), ExpertError, "nothing is left to fit"),
    "twice": (lambda: HARDENING.fixed(E=1.0).tied(E="h"), ExpertError, "both fixed and tied"),
    "itself": (lambda: HARDENING.tied(h="h + 1"), FormulaError, "which uses 'h': use E, eps_y"),
    "variable": (lambda: HARDENING.tied(h="strain"), FormulaError, "which uses 'strain'"),
    "hostile": (lambda: HARDENING.tied(h="__import__('os')"), FormulaError, "position"),
    "two formulas": (lambda: HARDENING.tied(h="E) + (eps_y"), FormulaError, "position"),
    "both ways": (
        lambda: SympyExpert("A*t", parameters=[Parameter("A")], log=("A",)),
        ExpertError,
        "descriptions and log, not both",
    ),
    "no such logarithm": (lambda: SympyExpert("A*t", log=("B",)), FormulaError, "'B', which is not in the formula"),
    "negative": (lambda: Parameter("A", lower=-1, log=True), ExpertError, "0 <= lower < upper"),
    "file": (lambda: expert_from_dict({"kind": "restricted", "base": {}}), FileFormatError, "fixed at or tied to"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused(case):
    act, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        act()


def test_a_factor_of_any_size_is_found_in_its_logarithm():
    """Norton's A s**n over 30 decades of A; a start 15 decades off."""
    expert = SympyExpert("A * s**n", t="s", bounds={"n": (1, 20)}, log=("A",))
    assert expert.parameters[0].lower == 0
    stress = np.linspace(50, 200, 30)
    for A in (1e-25, 1e-5, 1e5):
        rate = A * stress**5.5 * (1 + 1e-3 * RNG.normal(size=30))
        weights = rate**-2
        for start in (None, [A * 1e15, 1.5], [A * 1e-9, 12.0]):
            found = expert.fit(stress, rate, weights=weights, start=start)
            np.testing.assert_allclose(found.fitted[0], [A, 5.5], rtol=2e-2)
            assert 0 < found.parameters.std_error.values[0, 0] < 0.05 * A
            assert not found.at_bound.any()
    saved = expert_from_dict(json.loads(json.dumps(expert.to_dict())))
    assert saved.parameters[0].log
    assert saved == expert


def test_logarithms_change_the_way_and_not_the_optimum():
    plain = SympyExpert("A * exp(-t/tau) + c", bounds={"A": (0, None), "tau": (0, None)})
    logs = SympyExpert("A * exp(-t/tau) + c", log=("A", "tau"))
    t = np.linspace(0, 3, 40)
    y = 2 * np.exp(-t / 0.7) + 0.3 + 0.01 * RNG.normal(size=40)
    one, other = plain.fit(t, y), logs.fit(t, y)
    np.testing.assert_allclose(other.fitted, one.fitted, rtol=1e-7)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-5)
    known = [e.fit(t, y, priors={"tau": (0.6, 0.01)}).fitted for e in (plain, logs)]
    np.testing.assert_allclose(known[1], known[0], rtol=1e-6)
