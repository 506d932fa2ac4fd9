"""Three built-in experts in detail, and what goes to files; test_catalogue.py asks every one."""

import json
import re

import numpy as np
import pima_experts
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, FileFormatError, FormulaError
from pima_toolkit.experts import card_of, expert_from_dict, experts, solve

T = np.linspace(0, 0.1, 100)
TRUTH = {"proportional": [3.0], "affine": [3.0, -1.0], "linear_hardening": [800.0, 0.04, 0.2]}


@pytest.fixture(params=sorted(TRUTH))
def expert(request):
    return pima.get_expert(request.param)


def test_all_of_them_are_found():
    assert set(experts()) >= {made().name for made in pima_experts.pima_experts()} > set(TRUTH)


def test_it_recovers_its_own_curve(expert):
    truth = np.array(TRUTH[expert.name])
    y = expert.value_and_jacobian(T, truth)[0]
    np.testing.assert_allclose(solve(expert, T, y).parameters[0], truth, rtol=1e-6)
    np.testing.assert_allclose(expert.fit(T, y).fitted[0], truth, rtol=1e-6)


def test_its_guess_is_inside_and_close(expert):
    rng = np.random.default_rng(0)
    theta = np.array(TRUTH[expert.name]) * rng.uniform(0.7, 1.3, (200, len(expert.parameters)))
    y = expert.value_and_jacobian(T, theta)[0]
    y += 0.01 * np.abs(y).max() * rng.normal(size=y.shape)
    y[rng.uniform(size=y.shape) < 0.1] = np.nan
    box, guess = expert.bounds(T), expert.guess(T, y)
    assert ((guess >= box.lower) & (guess <= box.upper)).all()
    np.testing.assert_allclose(np.median(guess / theta, axis=0), 1, atol=0.1)
    np.testing.assert_allclose(expert.guess(T, y[3]), guess[3], rtol=1e-9)
    np.testing.assert_allclose(expert.guess(np.tile(T, (200, 1)), y), guess, rtol=1e-6)
    starts = expert.starts(T, y[:4], None, 5)
    assert starts.shape == (4, 5, len(expert.parameters))
    assert ((starts >= box.lower) & (starts <= box.upper)).all()


def test_its_forms_agree(expert):
    theta = np.array(TRUTH[expert.name])
    value, _ = expert.value_and_jacobian(T, theta)
    np.testing.assert_allclose(expert.predict(torch.from_numpy(T), torch.from_numpy(theta)).numpy(), value, rtol=1e-12)


def test_what_is_shown_has_the_derivative_it_says(expert):
    theta = np.array(TRUTH[expert.name]) * np.array([[1.0], [1.3]])
    shown, jacobian = expert.to_reported(theta), expert.reported_jacobian(theta)
    assert shown.shape == (2, len(expert.reported))
    assert jacobian.shape == (2, len(expert.reported), theta.shape[1])
    for i in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[i] = 1e-6 * abs(theta[0, i])
        change = (expert.to_reported(theta + step) - expert.to_reported(theta - step)) / (2 * step[i])
        np.testing.assert_allclose(jacobian[..., i], change, rtol=1e-6, atol=1e-9)


def test_it_goes_through_json(expert):
    text = json.dumps(expert.to_dict(), allow_nan=False)
    assert expert_from_dict(json.loads(text)) == expert


def test_it_has_a_table_and_a_docstring(expert):
    assert all(p.name in expert._repr_html_() for p in expert.parameters)
    assert "Valid for:" in type(expert).__doc__
    assert all(p.description for p in (*expert.parameters, *expert.reported))
    for name, _, bounds, _ in card_of(expert).rows:
        assert (
            bounds == "none" or bounds.startswith("within ") or re.search(rf"\b{name}\b.*[<>]|[<>].*\b{name}\b", bounds)
        )


def test_linear_hardening_shows_what_the_paper_names():
    hardening = pima.get_expert("linear_hardening")
    assert [p.name for p in hardening.reported] == ["E", "sigma_y", "H"]
    np.testing.assert_allclose(hardening.to_reported([800.0, 0.04, 0.2]), [800, 32, 160])
    box = hardening.bounds(T)
    assert box.lower.tolist() == [0, T[1], 0]
    assert box.upper.tolist() == [np.inf, T[-2], 1]
    assert hardening.bounds(T[:3]).upper[1] > hardening.bounds(T[:3]).lower[1]


def test_linear_hardening_is_found_from_anywhere():
    """Found from its own guess always; from random starts inside the bounds nearly always."""
    hardening, rng = pima.get_expert("linear_hardening"), np.random.default_rng(0)
    theta = np.array([800.0, 0.04, 0.2]) * rng.uniform(0.5, 1.5, (50, 3))
    y = hardening.value_and_jacobian(T, theta)[0]
    np.testing.assert_allclose(
        solve(hardening, T, y, start=hardening.guess(T, y)[:, None]).parameters, theta, rtol=1e-5
    )
    box = hardening.bounds(T)
    random = np.stack(
        [
            800 * 10 ** rng.uniform(-1.5, 1.5, (50, 20)),
            rng.uniform(box.lower[1], box.upper[1], (50, 20)),
            rng.uniform(size=(50, 20)),
        ],
        -1,
    )
    assert solve(hardening, T, y, start=random).agreement.mean() > 0.9


def test_formulas_go_through_json():
    made = pima.SympyExpert("K * strain**n", t="strain", units={"K": "MPa"}, bounds={"n": (0, 1)}, name="mine")
    assert expert_from_dict(json.loads(json.dumps(made.to_dict(), allow_nan=False))) == made


def test_files_cannot_smuggle_anything_in():
    good = pima.SympyExpert("K * t", name="line").to_dict()
    for change, kind in {
        "code": ({"formula": "__import__('os').system('id')*K*t"}, FormulaError),
        "no formula": ({"formula": None}, FileFormatError),
        "no parameters": ({"parameters": None}, FileFormatError),
        "odd parameters": ({"parameters": ["K"]}, ExpertError),
        "kind": ({"kind": "pickle"}, FileFormatError),
        "not installed": ({"kind": "installed", "name": "nobody"}, ExpertError),
        "changed": ({"kind": "installed", "name": "proportional"}, ExpertError),
    }.values():
        with pytest.raises(kind):
            expert_from_dict({**good, **change})
    with pytest.raises(FileFormatError):
        expert_from_dict([good])


class Custom(pima.Expert):
    """Forms written by hand, without a formula."""

    name, t = "custom", "t"
    parameters = (pima.Parameter("a", lower=0),)

    def predict(self, t, theta):
        return theta * t**2

    def compiled_curve(self):
        return _square()


def _square():
    from numba import float64, njit, void

    @njit(void(float64[::1], float64[::1], float64[::1], float64[:, ::1]))
    def curve(t, theta, value, jacobian):
        for k in range(t.size):
            value[k] = theta[0] * t[k] ** 2
            jacobian[k, 0] = t[k] ** 2

    return curve


def test_an_expert_without_a_formula_fits_too():
    """It knows of no linear parameters, so its start comes from the search alone."""
    t = np.linspace(0, 1, 20)
    assert pima.get_expert(Custom) == Custom()
    solution = Custom().fit(t, 4 * t**2)
    assert solution.fitted[0, 0] == pytest.approx(4)
    assert json.dumps(Custom().to_dict(), allow_nan=False)
