"""Covariates of a physics modality: read by name, one number per specimen, known wherever there is a curve."""

import numpy as np
import pytest
import xarray as xr

from pima_toolkit.data import Wanted, read
from pima_toolkit.errors import DataError, ShapeError


def measure(data, name, *, physics, covariates=(), like=None):
    """One modality, read as it is wanted or as an earlier measurement was."""
    return read(data, {name: Wanted(physics, covariates) if like is None else like.schema})[name]


CURVE = np.arange(12.0).reshape(4, 3)


def dataset(**coords):
    rate = ("specimen", [1.0, 10.0, 100.0, 1000.0], {"units": "1/s"})
    return xr.Dataset(
        {"stress": (("specimen", "strain"), CURVE.copy()), "dose": ("specimen", [1, 2, 3, 4])},
        coords={"strain": [0.0, 1.0, 2.0], "rate": rate, "specimen": list("abcd"), **coords},
    )


def test_coordinates_and_variables_are_read_with_their_units():
    measured = measure(dataset(), "stress", physics=True, covariates=("rate", "dose"))
    assert measured.covariates["rate"].tolist() == [1, 10, 100, 1000]
    assert measured.covariates["dose"].tolist() == [1, 2, 3, 4]
    assert measured.covariates["dose"].dtype == np.float64
    assert measured.schema.covariate_units == {"rate": "1/s", "dose": "1"}
    assert measured.take(np.array([2, 0])).covariates["rate"].tolist() == [100, 1]


def test_a_specimen_without_the_curve_may_lack_them():
    data = dataset(rate=("specimen", [1.0, np.nan, np.inf, 4.0]))
    data["stress"][[1, 2]] = np.nan
    measured = measure(data, "stress", physics=True, covariates=("rate",))
    np.testing.assert_array_equal(measured.covariates["rate"], [1, np.nan, np.nan, 4])


def test_at_inference_they_are_needed_where_there_is_a_curve():
    like = measure(dataset(), "stress", physics=True, covariates=("rate",)).take(np.arange(0))
    found = measure(dataset(), "stress", physics=True, like=like)
    assert found.covariates["rate"].tolist() == [1, 10, 100, 1000]
    without = dataset().drop_vars("rate")
    with pytest.raises(DataError, match="needs the covariate 'rate'"):
        measure(without, "stress", physics=True, like=like)
    absent = measure(without.drop_vars("stress"), "stress", physics=True, like=like)
    assert np.isnan(absent.covariates["rate"]).all()
    known = measure(dataset().drop_vars("stress"), "stress", physics=True, like=like)
    assert known.covariates["rate"].tolist() == [1, 10, 100, 1000]


TROUBLE = {
    "missing": (lambda: (dataset(), ("rates",)), DataError, "did you mean 'rate'"),
    "dims": (lambda: (dataset(), ("strain",)), ShapeError, "has dims ('strain',), expected ('specimen',)"),
    "text": (lambda: (dataset(), ("specimen",)), DataError, "holds str"),
    "flags": (lambda: (dataset(rate=("specimen", [True] * 4)), ("rate",)), DataError, "holds bool"),
    "NaN": (
        lambda: (dataset(rate=("specimen", [1, np.nan, 2, np.inf])), ("rate",)),
        DataError,
        "not known for specimens that have 'stress': b, d",
    ),
}


@pytest.mark.parametrize("case", TROUBLE)
def test_trouble_is_one_clear_sentence(case):
    make, kind, words = TROUBLE[case]
    data, names = make()
    with pytest.raises(kind) as caught:
        measure(data, "stress", physics=True, covariates=names)
    assert words in str(caught.value)


def test_other_units_than_in_training_are_refused():
    like = measure(dataset(), "stress", physics=True, covariates=("rate",)).take(np.arange(0))
    other = dataset(rate=("specimen", np.ones(4), {"units": "1/min"}))
    for data in (other, other.drop_vars("stress")):
        with pytest.raises(DataError, match=r"'rate' is in '1/min', trained in '1/s'"):
            measure(data, "stress", physics=True, like=like)
