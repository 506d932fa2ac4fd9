"""What every plugin should test: it loads, it fits its own curve, its errors are honest."""

import numpy as np
import pytest
from pima_plugin_example import HallPetch

import pima_toolkit as pima

GRAIN_SIZE = np.geomspace(1, 100, 50)  # micrometres
TRUTH = np.array([70, 740])  # MPa, MPa um**0.5: mild steel
STRESS = TRUTH[0] + TRUTH[1] / np.sqrt(GRAIN_SIZE)


def test_it_fits_its_own_curve():
    solution = HallPetch().fit(GRAIN_SIZE, STRESS, y_unit="MPa", t_unit="um")
    assert solution.parameters[0] == pytest.approx(TRUTH, rel=1e-6)
    assert solution.units == ["MPa", "MPa*um**0.5"]


def test_its_errors_cover_the_truth():
    noise = np.random.default_rng(0).normal(size=(200, GRAIN_SIZE.size))
    inside = 0
    for one in noise:
        solution = HallPetch().fit(GRAIN_SIZE, STRESS + one, start=TRUTH)
        inside += np.all(np.abs(solution.parameters[0] - TRUTH) < 3 * solution.std_errors[0])
    assert inside >= 190


def test_pima_toolkit_finds_it():
    if "hall_petch" not in pima.experts.experts():
        pytest.skip("the plugin is not installed: pip install -e .")
    assert pima.get_expert("hall_petch") == HallPetch()
