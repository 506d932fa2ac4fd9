"""Scaling goes there and back; encoders see [0, 1], zeros for what is missing, and where a curve was observed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pima_toolkit.data import Scaling, Wanted, common_grid, encoder_input, needs_presence, read, residual_scale
from pima_toolkit.errors import DataError


def measure(data, name, *, physics, covariates=(), like=None):
    """One modality, read as it is wanted or as an earlier measurement was."""
    return read(data, {name: Wanted(physics, covariates) if like is None else like.schema})[name]


finite = st.floats(-1e6, 1e6, allow_subnormal=False)


def curves(values: np.ndarray, t: np.ndarray | None = None) -> xr.Dataset:
    t = np.linspace(0, 1, values.shape[1]) if t is None else t
    return xr.Dataset({"y": (("specimen", "t"), values)}, coords={"t": t})


@given(
    low=finite, width=st.floats(1e-3, 1e6), x=hnp.arrays(np.float64, st.integers(1, 20), elements=finite)
)  # fmt: skip
def test_scaling_round_trip(low, width, x):
    s = Scaling(low, low + width)
    np.testing.assert_allclose(s.from_unit(s.to_unit(x)), x, rtol=1e-9, atol=1e-9 * (abs(low) + width))
    np.testing.assert_allclose(s.to_unit(np.array([s.minimum, s.maximum])), [0, 1])


@pytest.mark.parametrize("pair", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (np.nan, 1.0)])
def test_scaling_needs_a_range(pair):
    with pytest.raises(DataError, match=r"finite minimum below its maximum"):
        Scaling(*pair)


def test_scaling_ignores_what_was_not_observed():
    y = np.array([[5.0, 6.0, np.nan], [7.0, 9.0, 8.0], [np.nan] * 3])
    m = measure(curves(y), "y", physics=True)
    assert Scaling.of(m) == Scaling(5.0, 9.0)
    assert residual_scale(m) == 9.0
    s = Scaling(6.0, 8.0)
    assert list(s.outside(m)) == [True, True, False]


def pictures(values):
    return read(xr.Dataset({"image": (("specimen", "y", "x"), values)}), {"image": Wanted()})["image"]


def test_a_hot_pixel_of_one_picture_does_not_set_the_scale():
    values = np.random.default_rng(0).uniform(2.0, 18.0, (30, 6, 6))
    values[0, 0, 0], values[1, 0, 0] = 2.0, 18.0
    whole = Scaling.of(pictures(values))
    assert whole == Scaling(2.0, 18.0)
    values[7, 3, 3], values[9, 1, 2] = 1e6, -1e6
    hot = pictures(values)
    assert Scaling.of(hot) == whole
    assert np.flatnonzero(whole.outside(hot)).tolist() == [7, 9]
    seen = encoder_input(hot, whole)
    assert seen[7, 0, 3, 3] == 2.0
    assert seen[9, 0, 1, 2] == -1.0
    others = np.delete(seen, [7, 9], 0)
    assert (others.min(), others.max()) == (0.0, 1.0)
    bright = values.clip(2.0, 18.0)
    bright[:3] *= 8.0  # a few that are really brighter are not faulty
    assert Scaling.of(pictures(bright)).maximum == bright.max()
    flat = np.full((9, 4, 4), 3.0)
    flat[0] = 1.0
    assert Scaling.of(pictures(flat)) == Scaling(1.0, 3.0)


def test_residual_scale_is_the_largest_absolute_value():
    assert residual_scale(measure(curves(np.array([[-4.0, 1.0], [2.0, 3.0]])), "y", physics=True)) == 4.0


@given(values=hnp.arrays(np.float64, (5, 9), elements=st.one_of(finite, st.just(np.nan))), physics=st.booleans())
def test_encoder_input_invariants(values, physics):
    if not physics:
        values = np.where(np.isnan(values).any(axis=1, keepdims=True), np.nan, values)
    seen = values[~np.isnan(values)]
    if seen.size == 0 or np.float32(seen.min()) == np.float32(seen.max()):
        return
    m = measure(curves(values), "y", physics=physics)
    s = Scaling.of(m)
    out = encoder_input(m, s)
    channels = 2 if needs_presence(m) else 1
    assert out.shape == (5, channels, 9)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert out.min() >= -1e-6
    assert out.max() <= 1 + 1e-6
    assert (out[~m.present] == 0).all()
    if channels == 2:
        assert np.array_equal(out[:, 1] == 1, ~np.isnan(values))
        assert (out[:, 0][np.isnan(values)] == 0).all()
    both = encoder_input(m, s, presence=True) if physics else out  # the training decides the channels
    assert both.shape[1] == (2 if physics else 1)
    # a specimen's input depends on that specimen alone
    np.testing.assert_array_equal(encoder_input(m.take(np.array([3])), s, presence=channels == 2), out[3:4])


def test_gaps_are_bridged_without_a_presence_channel():
    t = np.linspace(0, 1, 9)
    y = np.stack([t, 2 * t])
    y[0, 3:5] = np.nan
    y[1, :2] = np.nan
    m = measure(curves(y, t), "y", physics=True)
    out = encoder_input(m, Scaling(0.0, 2.0), presence=False)
    np.testing.assert_allclose(out[0, 0], t / 2, atol=1e-6)
    np.testing.assert_allclose(out[1, 0], np.maximum(t, 0.25), atol=1e-6)  # the end is held


def test_ragged_curves_are_interpolated_never_extrapolated():
    t = np.array([[0, 1, 2, 3.0], [0, 2, np.nan, np.nan], [1, 2, 3, 4]])
    data = xr.Dataset(
        {"y": (("specimen", "point"), 10 * t, {"independent": "t"})}, coords={"t": (("specimen", "point"), t)}
    )
    m = measure(data, "y", physics=True)
    assert needs_presence(m)
    out = encoder_input(m, Scaling(0.0, 40.0), np.linspace(0, 4, 5))
    assert out.shape == (3, 2, 5)
    np.testing.assert_array_equal(out[:, 1], [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [0, 1, 1, 1, 1]])
    np.testing.assert_allclose(out[1, 0], [0, 0.25, 0.5, 0, 0])
    np.testing.assert_allclose(out[2, 0], [0, 0.25, 0.5, 0.75, 1])


def test_another_grid_at_inference_gives_the_trained_shape():
    t = np.linspace(0, 1, 21)
    train = measure(curves(np.stack([t, 2 * t]), t), "y", physics=True)
    new = measure(curves((1.5 * t)[None, ::4], t[::4]), "y", physics=True, like=train)
    out = encoder_input(new, Scaling.of(train), common_grid(train), needs_presence(train))
    np.testing.assert_allclose(out, 0.75 * t[None, None], atol=1e-6)


def test_vectors_scalars_and_channels():
    rng = np.random.default_rng(0)
    data = xr.Dataset(
        {
            "v": (("specimen", "f"), rng.random((4, 3))),
            "s": ("specimen", [1.0, np.nan, 3.0, 2.0]),
            "c": (("specimen", "y", "channel", "x"), rng.random((4, 5, 2, 6))),
            "k": (("specimen", "t", "channel"), rng.random((4, 10, 2))),
        },
        coords={"t": np.arange(10.0)},
    )
    got = {n: encoder_input(m, Scaling.of(m)) for n in data if (m := measure(data, n, physics=False))}
    assert {n: a.shape for n, a in got.items()} == {"v": (4, 3), "s": (4, 1), "c": (4, 2, 5, 6), "k": (4, 2, 10)}
    np.testing.assert_array_equal(got["s"][:, 0], [0, 0, 1, 0.5])


def test_common_grid_needs_a_curve():
    m = measure(xr.Dataset({"v": (("specimen", "f"), np.eye(3))}), "v", physics=False)
    with pytest.raises(DataError, match=r"'v' is no curve \(vector\)"):
        common_grid(m)
