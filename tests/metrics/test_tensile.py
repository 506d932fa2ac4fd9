"""What every test report has, on generated curves whose quantities are known, and on measured ones."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.metrics.tensile import UNITS, tensile_test

E, YIELD, GAIN, RATE = 70e3, 240.0, 120.0, 30.0
NECK, BREAK = 0.12, 0.15


def plastic(p):
    """Stress at a plastic strain: Voce's law with a little slope at first, then a neck."""
    p = np.asarray(p, dtype=float)
    rise = YIELD * (1 - np.exp(-p / 2e-6)) + GAIN * (1 - np.exp(-RATE * p))
    return np.where(p <= NECK, rise, plastic_at_neck() * (1 - 40 * (p - NECK) ** 2))


def plastic_at_neck():
    return YIELD + GAIN * (1 - np.exp(-RATE * NECK))


def generated(foot=0.0, noise=0.0, seed=0, breaks=True):
    """Strain and stress: elastic strain beside a plastic one, which is what is stepped."""
    p = np.concatenate([np.geomspace(1e-9, 2e-3, 4000), np.linspace(2e-3, BREAK, 4000)[1:]])
    stress = plastic(p)
    strain = p + stress / E + foot
    first = np.linspace(0, stress[0], 400, endpoint=False)[1:]
    strain, stress = np.concatenate([first / E + foot, strain]), np.concatenate([first, stress])
    if breaks:
        strain, stress = np.append(strain, strain[-1] + [1e-4, 2e-4]), np.append(stress, [1.0, 0.5])
    return strain, stress + noise * np.random.default_rng(seed).normal(size=stress.size)


def linear(foot=0.0, modulus=E, proof=250.0, hardening=1500.0, end=0.08, n=4001):
    """Bilinear, increasing throughout."""
    strain = np.linspace(0, end, n)
    bend = proof / modulus
    return strain + foot, np.where(strain < bend, modulus * strain, proof + hardening * (strain - bend))


def test_a_bilinear_curve_in_closed_form():
    """The line moved by 0.2 % meets the hardening line where E (e - 0.002) = Y + H (e - Y/E)."""
    for foot in (0.0, 0.013):
        found = tensile_test(*linear(foot))
        e = (250.0 - 1500.0 * 250.0 / E + 0.002 * E) / (E - 1500.0)
        assert found.values["E"] == pytest.approx(70.0, rel=1e-9)
        assert found.values["Rp0.2"] == pytest.approx(E * (e - 0.002), rel=1e-6)
        assert found.values["Rm"] == pytest.approx(250 + 1500 * (0.08 - 250 / E))
        assert "lower bound" in found.about["Rm"]
        assert np.isnan([found.values["Ag"], found.values["A"]]).all()
        assert "was not passed" in found.about["Ag"]
        assert "no fracture in the curve, which ends at 100 % of Rm" in found.about["A"]


def test_a_curve_with_a_neck_and_a_fracture():
    strain, stress = generated(foot=0.004)
    found = tensile_test(strain, stress)
    assert found.values["E"] == pytest.approx(70.0, rel=0.002)
    assert found.values["Rp0.2"] == pytest.approx(float(plastic([0.002])[0]), rel=1e-3)
    assert found.values["Rm"] == pytest.approx(plastic_at_neck(), rel=1e-3)
    assert found.values["Ag"] == pytest.approx(100 * NECK, rel=0.02)
    assert found.values["A"] == pytest.approx(100 * BREAK, rel=0.01)
    assert "10 to 40 % of Rp0.2" in found.about["E"]


def test_the_range_is_the_first_rise_between_two_shares_of_the_proof_strength():
    found = tensile_test(*linear())
    low, high = 0.1 * found.values["Rp0.2"], 0.4 * found.values["Rp0.2"]
    assert f"slope from {low:.3g} to {high:.3g} MPa" in found.about["E"]
    stress = linear()[1]
    inside = (stress >= low) & (stress <= high)
    assert f"{inside.sum()} points" in found.about["E"]


@pytest.mark.parametrize("seed", range(3))
def test_the_error_of_the_slope_holds_what_it_says(seed):
    """Monte Carlo: the scatter of E over noise is its standard error."""
    strain, stress = linear(n=2001)
    rng = np.random.default_rng(seed)
    tests = [tensile_test(strain, stress + rng.normal(0, 1.0, stress.size)) for _ in range(200)]
    values = np.array([t.values["E"] for t in tests])
    assert values.mean() == pytest.approx(70.0, abs=4 * values.std() / np.sqrt(200))
    assert values.std() == pytest.approx(np.mean([t.std_error for t in tests]), rel=0.2)


def test_what_cannot_be_had_says_why():
    strain, stress = linear(n=21)
    found = tensile_test(strain, stress)
    assert np.isnan(found.values["E"])
    assert "at least 5 are needed" in found.about["E"]
    assert found.about["Rp0.2"].startswith("needs E")
    known = tensile_test(strain, stress, modulus=E)
    assert known.values["Rp0.2"] == pytest.approx(252.4, rel=0.02)
    assert "as given" in known.about["E"]
    brittle = tensile_test(np.linspace(0, 0.003, 200), E * np.linspace(0, 0.003, 200))
    assert "the plastic strain reaches" in brittle.about["Rp0.2"]
    assert np.isnan(brittle.values["Rp0.2"])
    assert tensile_test(np.arange(3.0), np.arange(3.0)).about == dict.fromkeys(UNITS, "the curve has 3 points")
    noisy = tensile_test(*(lambda x, y: (x, y + np.random.default_rng(0).normal(0, 20, y.size)))(*linear()))
    assert "ISO 6892-1 asks for 1 %" in noisy.about["E"]
    bent = np.geomspace(1e-7, 0.1, 4000)
    assert "not straight, the slope of its upper half is -" in tensile_test(bent, 2000 * np.sqrt(bent)).about["E"]
    coarse = tensile_test(
        np.array([0, 0.01, 0.02, 0.03, 0.04, 0.05]), np.array([0.0, 300, 310, 320, 330, 325]), modulus=E
    )
    assert coarse.about["Rp0.2"] == "too coarse: the 0.2 % offset lies between points of 0 and 300 MPa"


def dataset(x, y, x_unit="1", y_unit="MPa", **attrs):
    coords = {"specimen": ["a", "b"], "strain": (("specimen", "point"), np.array([x, x]), {"units": x_unit})}
    stress = xr.DataArray(
        np.array([y, 2 * y]),
        dims=("specimen", "point"),
        coords=coords,
        attrs={"units": y_unit, "independent": "strain"},
    )
    return xr.Dataset({"stress": stress.assign_attrs(attrs)})


def test_units_and_true_stress_make_no_difference():
    x, y = generated()
    plain = pima.tensile_quantities(dataset(x, y))
    assert plain.tensile_quantity.values.tolist() == list(UNITS)
    assert plain.tensile_unit.values.tolist() == list(UNITS.values())
    other = pima.tensile_quantities(dataset(100 * x, y / 6.894757293168361, "%", "ksi"))
    np.testing.assert_allclose(other.tensile_value, plain.tensile_value, rtol=1e-9)
    true = dataset(np.log1p(x), y * (1 + x), long_name="true stress", loading="tension")
    np.testing.assert_allclose(pima.tensile_quantities(true).tensile_value, plain.tensile_value, rtol=1e-9)
    pressed = pima.tensile_quantities(dataset(x, y, long_name="true stress", loading="compression"))
    assert "true stress" in str(pressed.tensile_about.values[0, 0])


def test_curves_that_are_none():
    x, y = linear(n=50)
    with pytest.raises(DataError, match="no curve of stress against strain"):
        pima.tensile_quantities(dataset(x, y, y_unit="N"))
    with pytest.raises(OptionError, match="did you mean 'stress'"):
        pima.tensile_quantities(dataset(x, y), "stres")


@pytest.mark.data
def test_measured_tension_of_two_metals():
    """100 points to half the peak: too coarse for E, and said; with the E of handbooks Rp0.2 is that of the alloys."""
    for alloy, modulus, low, high in (("304L", 193.0, 220, 480), ("6061", 69.0, 40, 320)):
        data = pima.datasets.metal_tension(alloy, until_peak=False)
        plain = pima.tensile_quantities(data)
        values = plain.tensile_value.to_series().unstack()
        np.testing.assert_allclose(values["Rm"], data.stress.max("point"))
        assert "at least 5 are needed" in str(plain.tensile_about.sel(tensile_quantity="E").values[0])
        given = pima.tensile_quantities(data, modulus=modulus).tensile_value.to_series().unstack()
        there = given["Rp0.2"].notna()
        assert given["Rp0.2"][there].between(low, high).all()
        assert (given["Rp0.2"] < given["Rm"])[there].all()
        about = pima.tensile_quantities(data, modulus=modulus).tensile_about.sel(tensile_quantity="Rp0.2").values
        assert all("too coarse" in str(text) for text in about[~there.values])
        assert given["Ag"].dropna().gt(0).all()
        assert given["A"].isna().all()  # the curves end at half the peak, before fracture
