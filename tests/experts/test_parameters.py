import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.errors import ExpertError, ShapeError
from pima_toolkit.experts import Bounds, Parameter, resolve_unit

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@st.composite
def boxes(draw):
    """A one-parameter box of any kind, and a value well inside."""
    low = draw(st.none() | NUMBERS)
    high = draw(st.none() | st.floats(1e-3, 1e6).map(lambda w: (0.0 if low is None else low) + w))
    share = draw(st.floats(1e-3, 1 - 1e-3))
    if low is not None and high is not None:
        value = low + share * (high - low)
    elif low is not None:
        value = low + draw(st.floats(1e-3, 1e6))
    elif high is not None:
        value = high - draw(st.floats(1e-3, 1e6))
    else:
        value = draw(NUMBERS)
    return Bounds([-math.inf if low is None else low], [math.inf if high is None else high]), np.array([value])


@given(boxes())
def test_unbounded_coordinates_go_there_and_back(case):
    bounds, theta = case
    phi = bounds.to_unbounded(theta)
    assert np.isfinite(phi).all()
    np.testing.assert_allclose(bounds.from_unbounded(phi), theta, rtol=1e-8, atol=1e-8)
    assert not bounds.at_bound(theta).any()


@given(boxes())
def test_slope_is_the_derivative(case):
    bounds, theta = case
    phi, step = bounds.to_unbounded(theta), 1e-6
    change = (bounds.from_unbounded(phi + step) - bounds.from_unbounded(phi - step)) / (2 * step)
    size = np.abs(theta) + np.abs(change)
    assert np.all(np.abs(bounds.slope(theta) - change) <= 1e-4 * np.abs(change) + 1e-8 * size + 1e-9)
    assert (bounds.slope(theta) > 0).all()


@given(boxes(), st.floats(-1e3, 1e3))
def test_every_unbounded_point_is_inside(case, phi):
    bounds, _ = case
    theta = bounds.from_unbounded([phi])
    if np.isfinite(bounds.lower).any() or np.isfinite(bounds.upper).any():
        assert (theta >= bounds.lower).all()
        assert (theta <= bounds.upper).all()


def test_bounds_themselves_stay_finite_and_are_told():
    bounds = Bounds([0, 0, -np.inf, -np.inf], [1, np.inf, 2, np.inf])
    low, high = np.array([0.0, 0.0, 2.0, 5.0]), np.array([1.0, 0.0, 2.0, -5.0])
    for theta in (low, high):
        assert np.isfinite(bounds.to_unbounded(theta)).all()
        assert bounds.at_bound(theta).tolist() == [True, True, True, False]
        assert bounds.at_bound(bounds.from_unbounded(bounds.to_unbounded(theta))).tolist() == [True, True, True, False]
    assert bounds.clip([[2.0, -1.0, 3.0, 9.0]], margin=0.1).tolist() == [[0.9, 0.0, 2.0, 9.0]]
    assert bounds.slope(np.stack([low, high])).shape == (2, 4)


def test_tiny_parameters_stay_above_a_bound_at_zero():
    bounds = Bounds([0.0], [np.inf])
    assert not bounds.at_bound([1e-20])[0]
    assert bounds.from_unbounded(bounds.to_unbounded([1e-20]))[0] == pytest.approx(1e-20, rel=1e-10)


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


def test_bad_boxes_say_why():
    with pytest.raises(ExpertError, match="number 1 are reversed"):
        Bounds([0, 2], [1, 1])
    with pytest.raises(ShapeError, match="got 2 and 1"):
        Bounds([0, 2], [1])


def test_parameters_go_through_dicts():
    for parameter in (Parameter("K", unit="MPa", lower=0), Parameter("n", upper=1, description="exponent")):
        assert Parameter.from_dict(parameter.to_dict()) == parameter
    for broken in ({}, {"name": "K", "surprise": 1}, "K", {"name": "K", "lower": []}, {"name": 3}):
        with pytest.raises(ExpertError):
            Parameter.from_dict(broken)
