"""digits and lattice: what they hold, that they say what is made up, and that a seed means the same data."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr

from pima_toolkit import datasets
from pima_toolkit.data import Wanted, read
from pima_toolkit.datasets import _photograph
from pima_toolkit.errors import MissingDependency, OptionError


@pytest.fixture(scope="module")
def lattice() -> xr.Dataset:
    return datasets.lattice(specimens=24, seed=0)


def test_digits(check_stated):
    data = datasets.digits(noise_variance=0.25, seed=3)
    check_stated(data)
    assert data["image"].dims == ("specimen", "y", "x")
    assert data["image"].shape == (1797, 8, 8)
    assert data["image"].dtype == np.float32
    assert (float(data["image"].min()), float(data["image"].max())) == (0, 1)
    np.testing.assert_array_equal(data["t"], np.linspace(0, 1, 20))
    residual = data["line"] - data["label"] * data["t"]
    assert float(residual.var()) == pytest.approx(0.25, rel=0.03)  # 35,940 numbers: four standard errors
    assert abs(float(residual.mean())) < 4 * np.sqrt(0.25 / residual.size)
    assert "0.25" in data.attrs["notes"]


def test_digits_without_noise_are_lines():
    data = datasets.digits(noise_variance=0)
    np.testing.assert_allclose(data["line"], data["label"] * data["t"], atol=1e-6)


def test_digits_by_seed():
    xr.testing.assert_identical(datasets.digits(seed=1), datasets.digits(seed=1))
    assert not datasets.digits(seed=1)["line"].equals(datasets.digits(seed=2)["line"])


@pytest.mark.parametrize("variance", [-0.1, np.nan, np.inf])
def test_noise_is_a_variance(variance):
    with pytest.raises(OptionError, match=r"noise_variance is .*variance, not a std"):
        datasets.digits(noise_variance=variance)


def test_digits_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    with pytest.raises(MissingDependency, match=r"pip install scikit-learn"):
        datasets.digits()


def test_lattice_holds_what_it_says(lattice, check_stated):
    check_stated(lattice)
    assert lattice["image"].shape == (24, 152, 152)
    assert lattice["image"].dtype == np.uint8
    assert lattice["stress"].dims == ("specimen", "strain")
    assert lattice.sizes["strain"] == 100
    assert lattice["stress"].attrs["units"] == "MPa"
    assert sorted(np.unique(lattice["label"], return_counts=True)[1]) == [12, 12]
    assert lattice["strain"].values[[0, -1]].tolist() == [0, 0.3]


def test_lattice_says_that_it_is_synthetic(lattice):
    assert "synthetic" in lattice.attrs["title"].lower()
    for name in ("image", "stress"):
        assert "synthetic" in lattice[name].attrs["long_name"]


def test_lattice_curves_follow_their_true_parameters(lattice):
    strain = lattice["strain"].values
    late = strain > 0.15
    for d in range(lattice.sizes["specimen"]):
        one = lattice.isel(specimen=d)
        modulus, yield_stress = float(one["modulus"]), float(one["yield_stress"])
        rising = (one["stress"].values > 0.2 * yield_stress) & (one["stress"].values < 0.6 * yield_stress)
        slope = np.polyfit(strain[rising], one["stress"].values[rising], 1)[0]
        assert 0.7 < slope / modulus < 1.15  # the rounded knee lowers it
        if one["label"] == "gyroid":  # no softening
            hardening = np.polyfit(strain[late], one["stress"].values[late], 1)[0]
            assert hardening == pytest.approx(float(one["hardening_modulus"]), rel=0.25)


def test_lattice_pictures_differ_by_kind_and_by_specimen(lattice):
    images = lattice["image"].values.astype(float)
    flat = (images - images.mean((1, 2), keepdims=True)).reshape(24, -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    alike = flat @ flat.T
    octet = lattice["label"].values == "octet"
    within = np.r_[
        alike[np.ix_(octet, octet)][np.triu_indices(12, 1)], alike[np.ix_(~octet, ~octet)][np.triu_indices(12, 1)]
    ]
    across = alike[np.ix_(octet, ~octet)].ravel()
    assert within.mean() > across.mean() + 0.15
    assert within.max() < 0.98
    assert images.mean((1, 2)).std() > 3  # brightness varies
    assert images.std((1, 2)).min() > 15  # no empty picture


def test_lattice_by_seed_whatever_the_threads(lattice, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    xr.testing.assert_identical(datasets.lattice(specimens=24, seed=0), lattice)
    assert not np.array_equal(datasets.lattice(specimens=2, seed=1)["image"], datasets.lattice(specimens=2)["image"])


@pytest.mark.parametrize("specimens", [1, 0, -3, 2.5, True, "91"])
def test_lattice_needs_two_specimens(specimens):
    with pytest.raises(OptionError, match=r"specimens is .*at least 2"):
        datasets.lattice(specimens=specimens)


@pytest.mark.parametrize("name", ["image", "stress"])
def test_lattice_is_good_data(lattice, name):
    assert read(lattice, {name: Wanted(physics=name == "stress")})[name].present.all()


def test_half_thickness_gives_the_density():
    density, gyroid, octet = _photograph.thickness_tables()
    points = np.random.default_rng(7).random((20_000, 3))
    for table, distance in ((gyroid, _photograph.gyroid_distance), (octet, _photograph.octet_distance)):
        half = np.interp(0.3, density, table)
        solid = np.mean([distance(*p) < half for p in points])
        assert solid == pytest.approx(0.3, abs=0.015)


def test_octet_distance_against_all_struts():
    corners = np.array(np.meshgrid(*[np.arange(-1, 2.5, 0.5)] * 3)).reshape(3, -1).T
    nodes = corners[np.isclose((2 * corners).sum(1) % 2, 0)]  # face-centred cubic, nearest neighbours sqrt(1/2) apart
    gaps = np.linalg.norm(nodes[:, None] - nodes[None], axis=-1)
    i, j = np.nonzero(np.triu(np.isclose(gaps, np.sqrt(0.5))))
    start, along = nodes[i], nodes[j] - nodes[i]
    for p in np.random.default_rng(0).random((50, 3)):
        t = np.clip(((p - start) * along).sum(1) * 2, 0, 1)
        want = np.linalg.norm(p - start - t[:, None] * along, axis=1).min()
        assert _photograph.octet_distance(*p) == pytest.approx(want, abs=1e-9)
