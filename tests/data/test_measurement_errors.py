"""Measurement errors that come with curves: read beside them, positive wherever a point was measured."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data import Wanted, read, unused_errors
from pima_toolkit.errors import DataError, PimaWarning, ShapeError
from pima_toolkit.runs.options import choose

CURVE = np.arange(12.0).reshape(4, 3)
STD = np.array([[0.1, 0.2, 0.4], [0.1, 0.1, 0.1], [0.3, 0.2, 0.1], [0.2, 0.2, 0.2]])
DIMS = ("specimen", "strain")


def dataset(std=STD, dims=DIMS, **attrs):
    return xr.Dataset(
        {"stress": (DIMS, CURVE.copy(), {"units": "MPa"}), "stress_std": (dims, std, attrs)},
        coords={"strain": [0.0, 1.0, 2.0], "specimen": list("abcd")},
    )


def measure(data, like=None, **wanted):
    return read(data, {"stress": Wanted(physics=True, **wanted) if like is None else like.schema})["stress"]


def test_they_are_read_and_their_typical_size_is_learned():
    found = measure(dataset())
    np.testing.assert_array_equal(found.std, STD)
    assert np.mean((found.schema.std / STD) ** 2) == pytest.approx(1.0)
    np.testing.assert_array_equal(found.take(np.array([2, 0])).std, STD[[2, 0]])
    later = measure(dataset(2 * STD), found)
    np.testing.assert_array_equal(later.std, 2 * STD)
    assert later.schema.std == found.schema.std
    assert measure(dataset().drop_vars("stress_std"), found).std is None
    assert measure(dataset().drop_vars("stress_std")).schema.std is None


@pytest.mark.parametrize(
    ("std", "dims"), [(STD[:, 0], "specimen"), (STD[0], "strain"), (STD.T, DIMS[::-1])], ids=["specimen", "t", "turned"]
)
def test_one_for_each_specimen_or_point_will_do(std, dims):
    expected = {"specimen": np.tile(STD[:, :1], 3), "strain": np.tile(STD[0], (4, 1))}.get(dims, STD)
    np.testing.assert_array_equal(measure(dataset(std, dims)).std, expected)


def test_they_may_be_in_another_unit_of_the_same_quantity():
    np.testing.assert_allclose(measure(dataset(1e3 * STD, units="kPa")).std, STD)
    with pytest.raises(DataError, match="'stress_std' is in 'mm', 'stress' in 'MPa': convert it"):
        measure(dataset(units="mm"))


def test_where_nothing_was_measured_they_may_be_anything():
    data = dataset(STD.copy())
    data["stress"][1, 2] = np.nan
    data["stress"][3] = np.nan
    data["stress_std"][1, 2] = np.nan
    data["stress_std"][3] = -1.0
    found = measure(data)
    seen = found.mask()
    assert np.mean((found.schema.std / STD[seen]) ** 2) == pytest.approx(1.0)
    np.testing.assert_array_equal(found.std[seen], STD[seen])
    assert (found.std[~seen] == found.schema.std).all()


@pytest.mark.parametrize("bad", [np.nan, 0.0, -0.1, np.inf])
def test_where_the_curve_was_measured_they_are_positive_numbers(bad):
    data = dataset(STD.copy())
    data["stress_std"][[1, 3], 1] = bad
    with pytest.raises(DataError, match=r"is no positive number where 'stress' was measured, in specimens b, d: give"):
        measure(data)


def test_own_grids_have_them_too():
    own = {"time": (("specimen", "point"), np.array([[0.0, 1.0, 2.0], [0.0, 2.0, np.nan]]))}
    values = np.array([[1.0, 2.0, 3.0], [2.0, 5.0, np.nan]])
    data = xr.Dataset(
        {"v": (("specimen", "point"), values, {"independent": "time"}), "v_std": (("specimen", "point"), values)}, own
    )
    found = read(data, {"v": Wanted(physics=True)})["v"]
    np.testing.assert_array_equal(found.std[found.mask()], values[np.isfinite(values)])


def test_trouble_is_one_clear_sentence():
    with pytest.raises(ShapeError, match=r"has dims \('x',\), expected those of 'stress'"):
        measure(dataset(np.ones(2), "x"))
    with pytest.raises(DataError, match="holds bool values, expected standard deviations"):
        measure(dataset(STD > 0))
    trained = measure(dataset())
    with pytest.raises(DataError, match="holds measurement errors of 'stress', which the dataset does not have"):
        measure(dataset().drop_vars("stress"), trained)
    plain = measure(dataset().drop_vars("stress_std"))
    with pytest.raises(DataError, match="this fit was trained without those of 'stress'"):
        measure(dataset(), plain)


def test_a_network_does_not_use_them_and_says_so():
    found = read(dataset(), {"stress": Wanted()})["stress"]
    assert found.std is None
    assert unused_errors(dataset(), {"stress": Wanted(physics=True)}) == []
    model = pima.PIMA({"stress": pima.Neural()}, clusters=1, latent_dim=1)
    with pytest.warns(PimaWarning, match="'stress_std' is not used"):
        model.fit(dataset(), epochs=1, progress=False)
    assert read(dataset(), {"stress": found.schema})["stress"].std is None


def test_a_variable_that_is_wanted_itself_is_no_error_of_another():
    found = read(dataset(), {"stress": Wanted(physics=True), "stress_std": Wanted()})
    assert found["stress"].std is None
    assert found["stress_std"].schema.kind == "vector"


def test_they_are_no_modality_of_their_own():
    assert pima.summary(dataset()).role.to_dict() == {"stress": "modality", "stress_std": "error", "strain": "axis"}
    data = dataset().assign(other=("specimen", [1.0, 2.0, 3.0, 5.0]))
    chosen, sentences = choose({"modalities": {"stress": {"expert": "affine"}}}, data)
    assert chosen["modalities"]["stress_std"] == {"kind": "none"}
    assert "stress_std: the measurement errors of stress" in sentences
    with pytest.raises(DataError, match="the dataset has no modality 'strss'") as caught:
        read(dataset(), {"strss": Wanted()})
    assert "stress_std" not in str(caught.value)
