"""What is done to curves: against closed forms, and on paths as tests leave them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.errors import OptionError
from pima_toolkit.ingest import CurveFiles, shaping


def test_unloading_and_loops_are_left_out():
    x = np.array([0, 1, 2, 1.5, 2, 3, 4, 3, 2.0])
    y = np.array([0, 10, 20, 12, 22, 30, 40, 15, 0.0])
    kept, mean, notes = shaping.first_rise(x, y, loading_only=True)
    np.testing.assert_array_equal(kept, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(mean, [0, 10, 21, 30, 40])
    assert notes == [
        "2 points after the farthest x left out (unloading)",
        "1 point where x went back left out",
        "1 point at an x that was there already averaged with it",
    ]
    with pytest.raises(Unusable, match=r"goes back in x at point 4 of 9 .*loading_only=True"):
        shaping.first_rise(x, y, loading_only=False)


def test_x_may_run_down_and_tremble():
    x = np.array([10, 9, 9.001, 8, 5, 2.0])
    kept, mean, _ = shaping.first_rise(x, np.arange(6.0), loading_only=False)
    np.testing.assert_array_equal(kept, [2, 5, 8, 9, 10])
    np.testing.assert_array_equal(mean, [5, 4, 3, 1, 0])
    with pytest.raises(Unusable, match="has the same x, 3, at every point"):
        shaping.first_rise(np.full(5, 3.0), np.arange(5.0), loading_only=True)
    with pytest.raises(Unusable, match="has 2 points at different x"):
        shaping.first_rise(np.array([0.0, 0.0, 1.0]), np.arange(3.0), loading_only=True)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=3, max_size=40))
def test_what_is_kept_is_a_function_of_x(points):
    x, y = np.array(points).T
    try:
        kept, mean, _ = shaping.first_rise(x, y, loading_only=True)
    except Unusable:
        assert np.unique(x).size < 3 or (np.sort(x) != x).any()
        return
    assert (np.diff(kept) > 0).all()
    assert set(kept) <= set(x)
    assert y.min() - 1e-9 <= mean.min() <= mean.max() <= y.max() + 1e-9


def test_compression_of_either_sign_is_positive():
    x, y = np.linspace(0, -0.3, 20), np.linspace(0, -50, 20)
    turned_x, turned_y, notes = shaping.positive(x, y)
    np.testing.assert_array_equal((turned_x, turned_y), (-x, -y))
    assert notes == ["x and y were negative (compression): signs turned"]
    assert shaping.positive(-x, y)[2] == []


def test_gaps():
    x, y = np.array([0, np.nan, 2, 3, 4]), np.array([0, 1, np.nan, 3, 4])
    kept_x, kept_y, notes = shaping.drop_gaps(x, y)
    np.testing.assert_array_equal((kept_x, kept_y), ([0, 3, 4], [0, 3, 4]))
    assert notes == ["2 points without a value left out"]
    with pytest.raises(Unusable, match="has 2 points with numbers for x and y, at least 3"):
        shaping.drop_gaps(x[:4], y[:4])


@pytest.mark.parametrize("points", [60, 400])
@pytest.mark.parametrize("densifies", [False, True])
def test_the_toe_is_taken_off(points, densifies):
    """A specimen that seats over a strain of 0.01 and then is elastic with E = 1000 from an origin at 0.006."""
    x = np.linspace(0, 0.5, points) ** 1.5
    line = 1000 * (x - 0.006)
    foot = 1000 * 0.004 * np.exp((x - 0.01) / 0.004)  # meets the line at 0.01 with its slope
    y = np.where(x > 0.01, line, foot)
    y = np.minimum(y, 40 + 100 * (x - 0.046))
    if densifies:
        y = y + 3000 * np.clip(x - 0.25, 0, None) ** 1.5
    new_x, new_y, notes = shaping.correct_toe(x, y)
    assert x[0] - new_x[0] + x[x >= 0.0059][0] == pytest.approx(0.006 + x[0], abs=x[1])
    assert notes[0].startswith("toe: origin of x moved to 0.00")
    elastic = (new_y > 10) & (new_y < 35)
    np.testing.assert_allclose(new_y[elastic], 1000 * new_x[elastic], rtol=0.05)


def test_a_curve_without_a_toe_keeps_its_origin_and_one_that_falls_has_none():
    x = np.linspace(0, 0.2, 100)
    y = np.minimum(500 * x, 30)
    new_x, new_y, _ = shaping.correct_toe(x, y)
    np.testing.assert_allclose(new_x, x, atol=1e-12)
    np.testing.assert_array_equal(new_y, y)
    with pytest.raises(Unusable, match="does not rise, so the toe correction finds no tangent"):
        shaping.correct_toe(x, -y)


def test_true_stress_against_the_definition():
    e, s = np.linspace(0, 0.5, 6), np.linspace(0, 100, 6)
    strain, stress, _ = shaping.to_true(e, s, "tension")
    np.testing.assert_allclose((strain, stress), (np.log(1 + e), s * (1 + e)))
    strain, stress, _ = shaping.to_true(e, s, "compression")
    np.testing.assert_allclose((strain, stress), (-np.log(1 - e), s * (1 - e)))
    notes = shaping.to_true(e, np.array([0, 50, 90, 100, 80, 60.0]), "tension")[2]
    assert notes[1] == "true stress holds up to necking, at the latest strain 0.3"
    with pytest.raises(Unusable, match="in compression leaves no length: is it in per cent"):
        shaping.to_true(100 * e, s, "compression")


def test_nothing_is_extrapolated():
    x, y = np.array([0.1, 0.2, 0.4]), np.array([1.0, 2.0, 6.0])
    np.testing.assert_allclose(
        shaping.on_grid(x, y, np.array([0, 0.1, 0.15, 0.3, 0.4, 0.41])), [np.nan, 1, 1.5, 4, 6, np.nan]
    )
    kept, _, notes = shaping.inside(np.arange(5.0), np.arange(5.0), (1, 3))
    np.testing.assert_array_equal(kept, [1, 2, 3])
    assert notes == ["2 points outside the window left out"]
    with pytest.raises(Unusable, match=r"has 1 point with x from 4 to 9 \(its x: 0 to 4\)"):
        shaping.inside(np.arange(5.0), np.arange(5.0), (4, 9))


def elastic_plastic(x, modulus=50.0, strength=10.0):
    """A curve that is a straight line first."""
    return np.minimum(modulus * x, strength + 2 * (x - strength / modulus))


def test_a_bent_foot_and_a_preload_are_told_and_can_be_corrected():
    x = np.linspace(0, 1, 201)
    assert shaping.found_at_zero(x, elastic_plastic(x)) == []
    bent = np.where(x < 0.06, elastic_plastic(0.03 * (x / 0.06) ** 2), elastic_plastic(x - 0.03))
    (note,) = shaping.found_at_zero(x, bent)
    assert "its foot is bent: the steepest tangent meets y = 0 at x = 0.0" in note
    moved, y, _ = shaping.correct_toe(x, bent)
    np.testing.assert_allclose(y[-50:], elastic_plastic(moved[-50:]), rtol=5e-3)
    loaded = elastic_plastic(x + 0.04)
    (note,) = shaping.found_at_zero(x, loaded)
    assert "begins at y = 2, as after a preload" in note
    moved, y, notes = shaping.correct_preload(x, loaded)
    np.testing.assert_allclose(moved, x + 0.04, rtol=1e-9)
    assert notes == ["preload: origin of x moved to -0.04, where the tangent meets y = 0"]
    assert shaping.correct_preload(x, bent)[2] == []


def test_zero_names_one_correction():
    with pytest.raises(OptionError, match="expected 'toe', 'preload' or None"):
        CurveFiles(zero="both")


def test_a_common_grid_does_not_thin_a_short_elastic_part():
    """Young's modulus 70 GPa up to a strain of 0.004 of 0.6: equal steps would leave one point in it."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 0.6, 20_000)
    rise = np.where(x < 0.004, 70e3 * x, 280 + 200 * (1 - np.exp(-(x - 0.004) / 0.1)))
    curves = [(x, rise + rng.normal(0, 1, x.size)) for _ in range(3)]
    grid, said = shaping.common_grid(curves, 0.0, 0.6, 100)
    assert grid.size == 100
    assert (grid[0], grid[-1]) == (0.0, 0.6)
    assert (np.diff(grid) > 0).all()
    assert (grid < 0.004).sum() > 20
    assert ((grid > 0.3) & (grid < 0.6)).sum() > 20
    assert said == ", closer where the curves are steep"


def test_a_common_grid_has_equal_steps_where_they_are_enough():
    x = np.linspace(0, 1, 500)
    grid, said = shaping.common_grid([(x, np.sin(x)), (x, x**2)], 0.0, 1.0, 50)
    np.testing.assert_allclose(grid, np.linspace(0, 1, 50))
    assert said == ""
    few, said = shaping.common_grid([(x, np.sin(x))], 0.0, 1.0, 5)
    assert few.size == 5
    assert "still up to" in said


def test_a_common_grid_of_constant_curves():
    x = np.linspace(0, 1, 9)
    np.testing.assert_allclose(shaping.common_grid([(x, 0 * x)], 0.0, 1.0, 7)[0], np.linspace(0, 1, 7))
