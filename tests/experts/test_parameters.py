import math

import pytest

from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import Parameter, resolve_unit


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("{y}/{t}", "MPa/s"),
        ("{y}", "MPa"),
        ("{t}", "s"),
        ("1/{t}", "1/s"),
        ("{y}*{t}", "MPa*s"),
        ("{y}/{t}**2", "MPa/s**2"),
        ("mm", "mm"),
        ("1", "1"),
    ],
)
def test_units_of_the_data_are_put_in(unit, expected):
    assert resolve_unit(unit, "MPa", "s") == expected


def test_units_of_one_are_left_out():
    assert resolve_unit("{y}/{t}", "MPa", "1") == "MPa"
    assert resolve_unit("{y}/{t}", "1", "s") == "1/s"
    assert resolve_unit("{y}/{t}", "1", "1") == "1"
    assert resolve_unit("{y}/{t}", "mm", "mm") == "1"
    assert resolve_unit("{y}/{t}", "N/mm", "m/s") == "(N/mm)/(m/s)"
    assert resolve_unit("{y}", "N/mm", "1") == "N/mm"
    assert resolve_unit("{y.__class__}", "MPa", "1") == "{y.__class__}"


BAD = {
    "reversed bounds": ({"name": "a", "lower": 1, "upper": 0}, "lower must be below upper"),
    "empty bounds": ({"name": "a", "lower": 1, "upper": 1}, "fixed="),
    "bounds not numbers": ({"name": "a", "lower": "x"}, "two numbers"),
    "NaN": ({"name": "a", "lower": math.nan}, "lower must be below upper"),
    "no name": ({"name": ""}, "cannot be called"),
    "code as a name": ({"name": "a);import os"}, "cannot be called"),
    "long name": ({"name": "a" * 33}, "at most 32"),
    "no unit": ({"name": "a", "unit": ""}, "'1' for none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_say_why(case):
    options, words = BAD[case]
    with pytest.raises(ExpertError, match=words.replace("=", ".")):
        Parameter(**options)


def test_parameters_go_through_dicts():
    for parameter in (Parameter("K", unit="MPa", lower=0), Parameter("n", upper=1, description="exponent")):
        assert Parameter.from_dict(parameter.to_dict()) == parameter
    for broken in ({}, {"name": "K", "surprise": 1}, "K", {"name": "K", "lower": []}, {"name": 3}):
        with pytest.raises(ExpertError):
            Parameter.from_dict(broken)
