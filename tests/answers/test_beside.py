"""A fit beside simple methods: the same specimens and folds, paired errors, and what it says of itself afterwards."""

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.answers.inference import read_new
from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.fitting.evidence.belief import told
from pima_toolkit.fitting.evidence.frame import Frame

pytestmark = pytest.mark.slow

T = np.linspace(0.0, 1.0, 12)


def settings_and_lines(specimens=80, seed=0):
    """Lines whose slope follows one setting by a curve, and three settings that say nothing; pairs of one batch."""
    rng = np.random.default_rng(seed)
    setting = rng.uniform(-1.0, 1.0, (specimens, 4))
    slope = 2.0 + np.sin(3.0 * setting[:, 0]) + 0.1 * rng.standard_normal(specimens)
    line = slope[:, None] * T + 0.02 * rng.standard_normal((specimens, T.size))
    return xr.Dataset(
        {
            "line": (("specimen", "t"), line, {"units": "MPa"}),
            "setting": (("specimen", "knob"), setting),
        },
        coords={"t": T, "specimen": np.arange(specimens), "batch": ("specimen", np.arange(specimens) // 2)},
    )


@pytest.fixture(scope="module")
def data():
    return settings_and_lines()


@pytest.fixture(scope="module")
def fit(data):
    model = pima.PIMA({"setting": pima.Neural(), "line": pima.Physics("proportional")}, clusters=1)
    return model.fit(data, groups="batch", epochs=10, progress=False)


@pytest.fixture(scope="module")
def table(fit, data):
    return fit.check(data)


def test_the_fit_stands_first_and_its_error_is_that_of_its_summary(fit, table):
    assert table.baseline.values[0] == "this fit"
    own = table.sel(baseline="this fit")
    assert float(own.rmse) == pytest.approx(fit.record.facts["held_out"]["line"]["rmse"])
    assert float(own.coverage) == pytest.approx(fit.record.facts["held_out"]["line"]["coverage"])
    assert table.rmse.attrs["units"] == "MPa"
    assert float(table.rmse_above_best.min()) == 0.0


def test_simple_methods_have_the_folds_of_the_fit(fit, data, table):
    fold = fit.predictor.belief.judges.fold.numpy()
    again = pima.baselines(data, "line", ["setting"], groups="batch", folds=fold, expert="proportional")
    np.testing.assert_allclose(table.rmse.values[1:], again.rmse.values)
    np.testing.assert_allclose(table.rmse_std_error.values[1:], again.rmse_std_error.values)


def test_the_difference_is_paired_over_groups(fit, data, table):
    """The error of a difference of root mean squares, once more by leaving out one group at a time."""
    best = fit.record.facts["beside"]["line"]["best"]
    fold = fit.predictor.belief.judges.fold.numpy()
    theirs = pima.baselines(data, "line", ["setting"], groups="batch", folds=fold, methods=best, predictions=True)
    squares = {best: np.square(theirs.prediction.values[0] - data.line.values).sum(1)}
    squares["this fit"] = _held_out_squares(fit, data)
    assert np.sqrt(squares["this fit"].mean() / T.size) == pytest.approx(float(table.rmse[0]))
    groups = np.arange(40)
    left = [[np.sqrt(s[data.batch.values != g].mean() / T.size) for g in groups] for s in squares.values()]
    apart = np.subtract(*left)
    jackknife = np.sqrt(39 / 40 * np.square(apart - apart.mean()).sum())
    found = fit.record.facts["beside"]["line"]["above_best_std_error"]
    assert found == pytest.approx(jackknife, rel=0.1)


def _held_out_squares(fit, data):
    """Summed squares of what the fit foretold of specimens held out, by its own potentials."""
    predictor = fit.predictor
    frame = Frame(predictor.state.decoders, predictor.state.mixture.log_weights)
    tensors = read_new(predictor, data)
    heard = told(predictor.belief, frame, predictor.belief.out_of_fold, {"setting": tensors.present["setting"]})
    slope = float(fit.parameters.value[0, 0]) + frame.deviations("line", heard.deviation).mean[0, :, 0]
    return torch.square(slope[:, None] * torch.as_tensor(T) - torch.as_tensor(data.line.values)).sum(1).numpy()


def test_it_is_remembered_told_and_saved(fit, data, table, tmp_path):
    reading = table.attrs["reading"]
    assert reading.startswith("this fit misses specimens held out by ")
    assert f"Simple methods on the same specimens, line: {reading}" in fit.summary().splitlines()
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    assert f"line: {reading}" in loaded.report()
    assert "line, predicted by this fit: missed by" in loaded.report()
    assert (pima.load(tmp_path / "fit.pima").check(data).rmse == table.rmse).all()


def test_what_cannot_be_set_beside_anything_is_refused(fit, data):
    with pytest.raises(DataError, match="data are not what this fit was trained on \\(40 specimens, expected 80"):
        fit.check(data.isel(specimen=slice(0, 40)))
    with pytest.raises(OptionError, match="'setting' is no curve with known physics of this fit: use one of line"):
        fit.check(data, "setting")
    alone = pima.PIMA({"line": pima.Physics("proportional")}, clusters=1).fit(data[["line"]], progress=False)
    with pytest.raises(DataError, match="no specimen was held out in this fit"):
        alone.check(data)
