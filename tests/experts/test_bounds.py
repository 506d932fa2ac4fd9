"""Bounds and their unbounded coordinates, in numpy, torch and compiled loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.errors import ExpertError, ShapeError
from pima_toolkit.experts import Bounds
from pima_toolkit.experts.contract.bounds import fill_from_unbounded
from pima_toolkit.experts.solvers.own_fits import compiled_transform

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


def test_bad_boxes_say_why():
    with pytest.raises(ExpertError, match="number 1 are reversed"):
        Bounds([0, 2], [1, 1])
    with pytest.raises(ShapeError, match="got 2 and 1"):
        Bounds([0, 2], [1])


@pytest.mark.parametrize("loops", [fill_from_unbounded, None], ids=["python", "compiled"])
def test_the_three_forms_of_the_transform_agree(loops):
    loops = loops or compiled_transform()
    bounds = Bounds([-np.inf, 0.0, -np.inf, 2.0, 1.0], [np.inf, np.inf, 5.0, 3.0, 4.0])
    fixed, theta = np.array([False, False, False, False, True]), np.full(5, 2.5)
    phi = np.concatenate([np.random.default_rng(0).normal(0, 3, (50, 5)), np.full((1, 5), 1e6), np.full((1, 5), -1e6)])
    tensor = torch.tensor(phi, requires_grad=True)
    there = bounds.tensor_from_unbounded(tensor)
    (gradient,) = torch.autograd.grad(there[:50].sum(), tensor)
    expected, slopes = bounds.from_unbounded(phi), bounds.slope(bounds.from_unbounded(phi))
    assert torch.isfinite(there).all()
    np.testing.assert_allclose(there.detach(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(gradient[:50], slopes[:50], rtol=1e-9, atol=1e-12)
    for k, row in enumerate(phi):
        out, slope = np.empty(5), np.empty(5)
        with np.errstate(over="ignore"):
            loops(row, theta, fixed, bounds.lower.copy(), bounds.upper.copy(), out, slope)
        np.testing.assert_allclose(out[:4], expected[k, :4], rtol=1e-12, atol=1e-12)
        if k < 50:
            np.testing.assert_allclose(slope[:4], slopes[k, :4], rtol=1e-9, atol=1e-12)
        assert out[4] == 2.5
        assert slope[4] == 0.0
