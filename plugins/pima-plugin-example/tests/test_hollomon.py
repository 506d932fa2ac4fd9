"""What every plugin should test: it loads, it fits its own curve, its errors are honest."""

import numpy as np
import pytest
from pima_plugin_example import Hollomon

import pima_toolkit as pima

STRAIN = np.linspace(0, 0.2, 50)


def test_it_fits_its_own_curve():
    stress = 530 * STRAIN**0.26
    solution = Hollomon().fit(STRAIN, stress, y_unit="MPa")
    assert solution.parameters[0] == pytest.approx([530, 0.26], rel=1e-6)
    assert solution.units == ["MPa", "1"]


def test_its_errors_cover_the_truth():
    noise = np.random.default_rng(0).normal(size=(200, STRAIN.size))
    truth = np.array([530, 0.26])
    inside = 0
    for one in noise:
        solution = Hollomon().fit(STRAIN, 530 * STRAIN**0.26 + one, start=truth)
        inside += np.all(np.abs(solution.parameters[0] - truth) < 3 * solution.std_errors[0])
    assert inside >= 190


def test_pima_toolkit_finds_it():
    if "hollomon" not in pima.experts.experts():
        pytest.skip("the plugin is not installed: pip install -e .")
    assert pima.get_expert("hollomon") == Hollomon()
