"""The expert conforms, and pima_toolkit finds it."""

import pytest
from pima_plugin_example import HallPetch

import pima_toolkit as pima
from pima_toolkit.testing import parametrize_with_checks


@parametrize_with_checks([HallPetch])
def test_it_conforms(expert, check):
    check(expert)


def test_pima_toolkit_finds_it():
    if "hall_petch" not in pima.experts.experts():
        pytest.skip("the plugin is not installed: pip install -e .")
    assert pima.get_expert("hall_petch") == HallPetch()
