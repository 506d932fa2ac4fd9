"""What used to give a wrong answer without a word: masks, dates, points where a law has no value, bounds, units."""

from datetime import date, timedelta

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit import SympyExpert, get_expert, quantities
from pima_toolkit.errors import ExpertError

LAW = get_expert("linear_hardening")
T = np.linspace(0, 0.1, 40)
HIDDEN = np.isin(np.arange(40), [5, 20])


def curve(seed=0):
    rng = np.random.default_rng(seed)
    return LAW.value_and_jacobian(T, np.array([800.0, 0.035, 0.2]))[0] + 0.3 * rng.standard_normal(40)


def same(one, other):
    np.testing.assert_allclose(one.fitted, other.fitted, rtol=1e-9)
    np.testing.assert_allclose(one.parameters.std_error, other.parameters.std_error, rtol=1e-6)


def test_masked_is_not_measured_is_of_no_weight():
    """A masked point, NaN, and a point of weight zero are the same, whatever stands under the mask."""
    y = np.where(HIDDEN, 1e4, curve())
    plain = LAW.fit(T, np.where(HIDDEN, np.nan, y))
    same(LAW.fit(T, np.ma.array(y, mask=HIDDEN)), plain)
    same(LAW.fit(np.ma.array(np.where(HIDDEN, -1e9, T), mask=HIDDEN), y), plain)
    same(LAW.fit(T, y, weights=np.where(HIDDEN, 0.0, 1.0)), plain)
    same(LAW.fit(T, y, weights=np.ma.array(np.ones(40), mask=HIDDEN)), plain)
    known = LAW.fit(T, np.where(HIDDEN, np.nan, y), noise_std=0.3)
    same(LAW.fit(T, y, noise_std=np.ma.array(np.full(40, 0.3), mask=HIDDEN)), known)


def test_masks_of_several_curves_and_of_guesses():
    y = np.stack([curve(k) for k in range(4)])
    mask = np.random.default_rng(1).random(y.shape) < 0.1
    bad = np.where(mask, 1e4, y)
    same(LAW.fit(T, np.ma.array(bad, mask=mask)), LAW.fit(T, np.where(mask, np.nan, y)))
    np.testing.assert_array_equal(LAW.guess(T, np.ma.array(bad, mask=mask)), LAW.guess(T, np.where(mask, np.nan, y)))
    with pytest.raises(ExpertError, match="strain is masked everywhere"):
        LAW.fit(np.ma.array(T, mask=True), curve())


DAYS = np.arange("2020-01-01", "2020-02-10", dtype="datetime64[D]")
NO_NUMBERS = {
    "dates": (DAYS, "strain holds dates or durations"),
    "durations": (DAYS - DAYS[0], "strain holds dates or durations"),
    "python's dates": ([date(2020, 1, 1) + timedelta(k) for k in range(40)], "strain holds dates or durations"),
    "labelled": (xr.DataArray(DAYS, dims="strain"), r"convert them, .*np.timedelta64\(1, \"s\"\) for seconds"),
    "complex": (T + 1j, "strain holds complex numbers, expected real numbers"),
    "text": ([f"{t}" for t in T], "strain holds text, expected real numbers"),
    "objects": ([None, {}] * 20, "strain holds values that are no numbers"),
}


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_what_is_no_number_is_refused(case):
    given, says = NO_NUMBERS[case]
    with pytest.raises(ExpertError, match=says):
        LAW.fit(given, curve())
    if case == "dates":
        with pytest.raises(ExpertError, match="y holds dates"):
            LAW.fit(T, given)


def test_a_point_that_was_not_measured_where_the_law_has_no_value_changes_nothing():
    law, rng = SympyExpert("a*log(t) + b", t="t"), np.random.default_rng(2)
    t = np.linspace(0, 1, 20)
    y = np.full((5, 20), np.nan)
    own = np.array([2.0, 1.0]) + 0.2 * rng.standard_normal((5, 2))
    y[:, 1:] = law.value_and_jacobian(t[1:], own)[0] + 0.05 * rng.standard_normal((5, 19))
    for noise in ("constant", "robust"):
        same(law.fit(t, y[0], noise=noise), law.fit(t[1:], y[0, 1:], noise=noise))
        whole, cut = law.fit(t, y, noise=noise), law.fit(t[1:], y[:, 1:], noise=noise)
        same(whole, cut)
        np.testing.assert_allclose(whole.specimens.value, cut.specimens.value, rtol=1e-6)
        np.testing.assert_allclose(whole.specimens.std_error, cut.specimens.std_error, rtol=1e-5)
        np.testing.assert_allclose(whole.naive_covariance, cut.naive_covariance, rtol=1e-6)
    np.testing.assert_allclose(law.guess(t, y), law.guess(t[1:], y[:, 1:]))


@pytest.mark.parametrize("rows", [1, 3])
def test_a_measured_point_where_the_law_has_no_value_is_told(rows):
    """A strain of -1e-5, as extensometers give, made a power law return zeros."""
    law = get_expert("hollomon")
    t = np.linspace(-1e-5, 0.2, 40)
    y = 500 * np.maximum(t, 0.0) ** 0.2 * np.linspace(0.9, 1.1, rows)[:, None]
    y = y[0] if rows == 1 else y
    with pytest.raises(ExpertError, match=r"not finite at strain = -1e-05, whatever its parameters \(1 of 40 points\)"):
        law.fit(t, y)
    found = law.fit(t, np.where(t < 0, np.nan, y)).fitted[0]
    np.testing.assert_allclose(found, law.fit(t[1:], y[..., 1:]).fitted[0], rtol=1e-9)


def test_values_that_are_held_outside_their_bounds_are_refused():
    with pytest.raises(ExpertError, match="'h' cannot be held at -1, outside its bounds 0 to 1"):
        LAW.fit(T, curve(), fixed={"h": -1.0})
    with pytest.raises(ExpertError, match="'E' cannot be held at -100, outside its bounds 0 to inf"):
        LAW.fit(T, curve(), fixed={"E": -100.0})
    assert LAW.fit(T, curve(), fixed={"h": 0.0}).fitted[0, 2] == 0.0


def test_an_offset_yield_that_cannot_be_had_says_why():
    short = LAW.fit(
        T[:10], 800 * T[:10] + 0.1 * np.random.default_rng(0).standard_normal(10), fixed={"h": 0.2, "eps_y": 0.035}
    )
    row = short.derive({"Rp": quantities.offset_yield(), "E2": "2*E"})
    assert np.isnan(row.value.sel(quantity="Rp")).all()
    assert "does not meet the elastic line moved by 0.002 before it ends" in str(row.reason.sel(quantity="Rp").values)
    assert (row.reason.sel(quantity="E2") == "").all()
    fine = LAW.fit(T, curve()).derive({"Rp": quantities.offset_yield()})
    assert (fine.reason == "").all()


def test_derived_quantities_have_the_intervals_of_the_parameters():
    """A formula that is a parameter has that parameter's interval, where that is straight."""
    solution = LAW.fit(T, curve())
    row, table = solution.derive({"same": "E"}), solution.parameters.sel(parameter="E")
    np.testing.assert_allclose([row.low, row.high], np.array([table.low, table.high])[..., None], rtol=1e-9)
    assert row.attrs["level"] == 0.9
    assert "Student's t" in row.attrs["method"]


def logistic():
    """Growth in minutes, 0 to 7000, of a law that nobody gave bounds."""
    rng, law = np.random.default_rng(0), SympyExpert("L/(1 + exp(-k*(t - t0)))", t="t")
    t, label = np.linspace(0, 7000, 60), rng.integers(0, 2, 40)
    theta = np.stack([np.array([30.0, 45.0])[label], np.full(40, 0.002), np.array([3000.0, 3500.0])[label]], axis=1)
    theta[:, 0] *= 1 + 0.03 * rng.standard_normal(40)
    y = law.value_and_jacobian(t, theta)[0]
    return law, t, y + 0.3 * rng.standard_normal(y.shape)


def test_a_law_without_bounds_finds_its_scale():
    law, t, y = logistic()
    np.testing.assert_allclose(law.fit(t, y[0]).fitted[0, 1], 0.002, rtol=0.1)
    data = xr.Dataset({"y": (("specimen", "t"), y)}, coords={"t": t})
    for scatter in ("specimen", "none"):
        fit = pima.PIMA({"y": pima.Physics(law, scatter=scatter)}, clusters=2).fit(data, progress=False)
        value = fit.parameters.value.values
        value = value[np.argsort(value[:, 0])]
        np.testing.assert_allclose(value, [[30.0, 0.002, 3000.0], [45.0, 0.002, 3500.0]], rtol=0.05)


def test_gaps_where_a_law_has_no_value_change_nothing_in_a_model():
    rng = np.random.default_rng(0)
    t, label = np.linspace(-1e-5, 0.2, 30), rng.integers(0, 2, 40)
    y = np.array([500, 700])[label][:, None] * np.maximum(t, 0) ** 0.2 * (1 + 0.03 * rng.standard_normal((40, 1)))
    data = xr.Dataset({"y": (("specimen", "strain"), y + rng.standard_normal(y.shape))}, coords={"strain": t})
    model = pima.PIMA({"y": pima.Physics("hollomon")}, clusters=2)
    with pytest.raises(ExpertError, match="at strain = -1e-05 it is not finite, whatever its parameters"):
        model.fit(data, progress=False)
    cut = model.fit(data.isel(strain=slice(1, None)), progress=False)
    data["y"][:, 0] = np.nan
    whole = model.fit(data, progress=False)
    np.testing.assert_allclose(whole.parameters.value, cut.parameters.value, rtol=1e-6)
    np.testing.assert_allclose(whole.parameters.std_error, cut.parameters.std_error, rtol=1e-4)
