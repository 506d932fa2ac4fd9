"""Panels in daily use: where files go, specimens without a curve or a picture, choices of a fit that is there."""

from contextlib import nullcontext

import numpy as np
import pytest
from pima_widgets.cluster_panel import ClusterPanel
from pima_widgets.curves_and_pictures import curves_of, pictures_html
from pima_widgets.expert_panel import ExpertPanel
from pima_widgets.fit_panel import FitPanel
from pima_widgets.grouping import Grouping
from pima_widgets.refit import Refit

import pima_toolkit as pima
from pima_toolkit.errors import DataError


@pytest.fixture
def some_without(ragged):
    """Lines on grids of their own; the first specimen and the sixth have none."""
    data = ragged.copy(deep=True)
    for name in ("stress", "strain"):
        data[name].values[[0, 5]] = np.nan
    return data


def test_what_is_written_is_named_with_its_full_path(digits_fit, specimens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = ClusterPanel(digits_fit, specimens)
    panel.export_button.click()
    assert f"90 specimens written to {tmp_path / 'selection.csv'}" in panel.status.value
    assert (tmp_path / "selection.csv").exists()
    law = ExpertPanel(specimens)
    law.formula.value = "a * t"
    law.save_button.click()
    assert str(tmp_path / "my_law.py") in law.status.value
    assert (tmp_path / "my_law.py").exists()


def test_specimens_without_a_curve_are_left_out_of_a_formula(some_without):
    panel = ExpertPanel(some_without)
    panel.formula.value = "a * strain"
    assert panel.error.value == ""
    assert panel.chart.shape[0] == 11  # ten curves and the formula
    panel.fit_button.click()
    assert panel.error.value == ""
    t, y = (some_without[name].values for name in ("strain", "stress"))
    own = np.nansum(t * y, axis=1) / np.sum(np.where(np.isfinite(y), t**2, 0.0), axis=1).clip(1e-9)
    assert panel.result.fitted[0, 0] == pytest.approx(own[np.isfinite(y).any(1)].mean(), rel=2e-3)
    formula = np.frombuffer(panel.chart.y, dtype="<f4").reshape(panel.chart.shape)[-1]
    assert np.isfinite(formula).all()


def test_where_nobody_has_a_curve_there_are_no_data_to_fit(some_without):
    panel = ExpertPanel(some_without.isel(specimen=[0, 5]))
    with pytest.raises(DataError, match="no data to fit"):
        panel.fit()


def test_specimens_without_a_curve_are_left_out_of_a_group(some_without):
    model = pima.PIMA({"stress": pima.Physics("proportional")}, clusters=1, latent_dim=1)
    fit = model.fit(some_without.isel(specimen=curves_of(some_without, "stress").measured), epochs=2, progress=False)
    refit = Refit(fit, some_without, nullcontext)
    refit.show([], Grouping.of(np.ones((12, 1)), ["all"]))
    assert refit.chart.shape[0] == 10
    solution = refit.fit(np.ones(12), "all")
    t, y = (some_without[name].values for name in ("strain", "stress"))
    own = np.nansum(t * y, axis=1) / np.sum(np.where(np.isfinite(y), t**2, 0.0), axis=1).clip(1e-9)
    assert solution.fitted[0, 0] == pytest.approx(own[np.isfinite(y).any(1)].mean(), rel=2e-3)
    refit.show([0, 5], Grouping.of(np.ones((12, 1)), ["all"]))
    assert refit.chart.summary.startswith("0 curves")
    with pytest.raises(DataError, match="no specimen of the selection has a curve 'stress'"):
        refit.fit(np.eye(12)[0], "the selection")


def test_a_specimen_without_a_picture_is_no_black_photograph(specimens):
    images = specimens["image"].isel(specimen=slice(0, 3)).astype(float).copy(deep=True)
    images.values[1] = np.nan
    html = pictures_html(images, ["a", "b", "c"])
    assert html.count("<img") == 2
    assert html.count("no image") == 1
    assert html.index('alt="a"') < html.index("no image</span><small>b</small>") < html.index('alt="c"')
    assert "no image" in pictures_html(images.isel(specimen=[1]), ["b"])


def test_a_fit_that_is_there_is_what_the_tab_fit_begins_with(digits_fit, specimens):
    here = pima.app(digits_fit, specimens).fit_panel
    assert (here.clusters.value, here.latent_dim.value, here.epochs.value, here.seed.value) == (3, 2, 6, 0)
    assert here.model().options == digits_fit.model.options
    assert "epochs=6)" in here.code()
    assert "but for its own crossmodal_epochs" in here.status.value


def test_what_the_tab_fit_cannot_say_of_a_fit_is_named(lines):
    own = pima.SympyExpert("a * strain", t="strain", name="nobody_knows")
    model = pima.PIMA({"stress": pima.Physics(own)}, clusters=1, latent_dim=4, consistency=5.0)
    panel = FitPanel(lines)
    panel.adopt(model.fit(lines, epochs=2, seed=3, progress=False))
    assert panel.rows[0].kind.value == "leave out"
    assert (panel.clusters.value, panel.latent_dim.value, panel.seed.value) == (1, 4, 3)
    assert "but for its own stress, consistency<" in panel.status.value
