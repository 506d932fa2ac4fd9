"""A single number or a vector as what is predicted: Physics("principal_curves") describes them as it does curves."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima

TRUE = np.array([3.0, -6.0, 1.5, 0.0, 0.0])


def alloys(seed: int, specimens: int) -> xr.Dataset:
    """Five settings, a strength that is linear in them but for noise of 1 MPa, and a vector of three properties."""
    rng = np.random.default_rng(seed)
    settings = rng.normal(size=(specimens, 5))
    strength = 40.0 + settings @ TRUE + rng.normal(0.0, 1.0, specimens)
    tested = np.stack([strength, 2.0 * strength + rng.normal(0.0, 0.5, specimens), rng.normal(size=specimens)], 1)
    return xr.Dataset(
        {
            "settings": (("specimen", "setting"), settings),
            "strength": ("specimen", strength, {"units": "MPa"}),
            "tested": (("specimen", "property"), tested, {"units": "MPa"}),
        },
        coords={"specimen": [f"s{i}" for i in range(specimens)], "property": ["yield", "tensile", "other"]},
    )


def learned(data: xr.Dataset, target: str) -> pima.Fit:
    model = pima.PIMA({"settings": pima.Neural(), target: pima.Physics("principal_curves")}, clusters=1)
    return model.fit(data[["settings", target]], seed=0, progress=False)


@pytest.fixture(scope="module")
def strength() -> pima.Fit:
    data = alloys(0, 120)
    data["strength"][3] = np.nan  # never tested
    return learned(data, "strength")


def test_a_number_is_predicted_with_a_band_that_holds(strength):
    new = alloys(1, 2000)
    answer = strength.infer(new[["settings"]], predict="strength")
    assert answer.strength.dims == ("specimen",)
    assert answer.strength.attrs["units"] == "MPa"
    error = float(np.sqrt(np.mean((answer.strength - new.strength) ** 2)))
    assert 0.95 < error < 1.1  # the noise of a test is 1 MPa
    inside = (new.strength >= answer.strength_low) & (new.strength <= answer.strength_high)
    assert 0.85 < float(inside.mean()) < 0.95


def test_its_parameter_is_the_number(strength):
    values = alloys(0, 120).strength.values
    values = np.delete(values, 3)
    (value,), (error,) = strength.parameters.value.values[0], strength.parameters.std_error.values[0]
    assert value == pytest.approx(values.mean(), abs=0.01)
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(119), rel=0.02)
    assert "the number itself" in strength.report()
    own = strength.specimens.value.values[:, 0]
    np.testing.assert_allclose(np.delete(own, 3), values, atol=0.01)


def test_a_number_that_was_measured_is_kept(strength):
    new = alloys(2, 5)
    answer = strength.infer(new[["settings", "strength"]], predict="strength")
    np.testing.assert_allclose(answer.strength, new.strength, atol=0.01)


def test_saved_and_loaded_it_says_the_same(strength, tmp_path):
    strength.save(tmp_path / "alloys.pima")
    new = alloys(1, 20)[["settings"]]
    again = pima.load(tmp_path / "alloys.pima").infer(new, predict="strength")
    xr.testing.assert_allclose(again, strength.infer(new, predict="strength"), rtol=1e-12)


def test_report_export_and_check(strength, tmp_path):
    data = alloys(0, 120)
    data["strength"][3] = np.nan
    data = data[["settings", "strength"]]
    page = strength.save_report(tmp_path / "alloys.html", data).read_text()
    assert "scalar" in page
    names = {path.name for path in strength.export(tmp_path / "out", data)}
    assert "predictions.csv" in names
    table = strength.check(data)
    assert float(table.rmse.sel(baseline="this fit")) < 1.05 * float(table.rmse.sel(baseline="ridge"))


def test_a_vector_with_gaps(tmp_path):
    data, new = alloys(0, 120), alloys(1, 500)
    data["tested"][5, 1] = np.nan
    fit = learned(data, "tested")
    answer = fit.infer(new[["settings"]], predict="tested")
    assert answer.tested.dims == ("specimen", "property")
    assert answer.tested.property.values.tolist() == ["yield", "tensile", "other"]
    error = np.sqrt(np.square(answer.tested.values - new.tested.values).mean(0))
    assert error[0] < 1.15
    assert error[1] < 2.3
    # What was measured of a specimen tells the rest of it: twice the yield strength, but for a noise of 0.5.
    part = new[["tested"]].copy(deep=True)
    part["tested"][:, 1] = np.nan
    filled = fit.infer(part, predict="tested").tested.values[:, 1]
    assert np.sqrt(np.mean((filled - new.tested.values[:, 1]) ** 2)) < 0.8


def test_a_law_with_a_formula_needs_an_independent_variable():
    with pytest.raises(pima.errors.ShapeError, match="principal_curves"):
        pima.PIMA({"settings": pima.Neural(), "strength": pima.Physics("affine")}, clusters=1).fit(
            alloys(0, 60)[["settings", "strength"]], progress=False
        )


def test_other_sizes_later_are_refused(strength):
    new = alloys(1, 4)
    twice = new[["settings"]].assign(strength=new.strength.expand_dims(test=2).transpose("specimen", "test"))
    with pytest.raises(pima.errors.ShapeError, match="strength"):
        strength.infer(twice)
