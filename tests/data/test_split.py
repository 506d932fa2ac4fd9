"""A split is a partition, by the seed; groups stay together."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.data import split
from pima_toolkit.errors import DataError, OptionError


def numbered(n: int, groups: list | np.ndarray | None = None) -> xr.Dataset:
    data = xr.Dataset({"x": ("specimen", np.arange(n))}, attrs={"title": "kept"})
    return data if groups is None else data.assign_coords(plate=("specimen", groups))


@given(n=st.integers(2, 200), test=st.floats(0.001, 0.999), seed=st.integers(0, 2**32))
def test_split_is_a_partition(n, test, seed):
    train, held = split(numbered(n), test=test, seed=seed)
    a, b = train["x"].values, held["x"].values
    assert np.array_equal(np.sort(np.r_[a, b]), np.arange(n))
    assert min(a.size, b.size) >= 1
    assert abs(b.size - np.clip(test * n, 1, n - 1)) <= 0.5 + 1e-9
    assert np.array_equal(np.sort(a), a)  # the order of the data
    again = split(numbered(n), test=test, seed=seed)[1]
    assert np.array_equal(again["x"], held["x"])


@given(groups=st.lists(st.integers(0, 6), min_size=2, max_size=60), seed=st.integers(0, 99))
def test_groups_stay_together(groups, seed):
    if len(set(groups)) < 2:
        return
    train, held = split(numbered(len(groups), groups), test=0.3, seed=seed, group="plate")
    a, b = set(train["plate"].values.tolist()), set(held["plate"].values.tolist())
    assert a
    assert b
    assert not a & b
    assert a | b == set(groups)


def test_seeds_differ_and_attributes_stay():
    first, second = (split(numbered(50), seed=s)[1]["x"].values for s in (0, 1))
    assert not np.array_equal(first, second)
    assert split(numbered(5))[0].attrs == {"title": "kept"}


def test_text_groups_near_the_share():
    groups = np.repeat(["a", "b", "c", "d", "e"], 10)
    assert split(numbered(50, groups), test=0.4, group="plate")[1].sizes["specimen"] == 20


@pytest.mark.parametrize("test", [0, 1, 1.0, -0.1, 2, "0.2", True, None, float("nan")])
def test_share_out_of_range(test):
    with pytest.raises(OptionError, match=r"test is .*, expected a share"):
        split(numbered(10), test=test)


def test_unknown_group_names_the_near_one():
    with pytest.raises(OptionError, match=r"group='plat' is no coordinate.*did you mean 'plate'\?"):
        split(numbered(3, [1, 2, 3]), group="plat")


def test_group_of_other_dims():
    data = numbered(3).assign_coords(angle=(("specimen", "axis"), np.zeros((3, 2))))
    with pytest.raises(OptionError, match=r"group='angle' is no coordinate"):
        split(data, group="angle")


def test_too_few():
    with pytest.raises(DataError, match=r"one group in 'plate'"):
        split(numbered(3, [1, 1, 1]), group="plate")
    with pytest.raises(DataError, match=r"one specimen, and a split needs two"):
        split(numbered(1))


def test_specimens_without_a_group():
    with pytest.raises(DataError, match=r"'plate' is missing for 1 of 3"):
        split(numbered(3, [1.0, np.nan, 2.0]), group="plate")


def test_no_dataset():
    with pytest.raises(DataError, match=r"expected an xarray\.Dataset"):
        split(np.zeros(3))
