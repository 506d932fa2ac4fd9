"""Every button of the panels, by the method behind it and by the click."""

import threading
import warnings
from html import escape

import numpy as np
import pandas as pd
import pytest
from pima_widgets.canvas import COLOURS, Chart, LatentMap
from pima_widgets.cluster_panel import ClusterPanel
from pima_widgets.curves_and_pictures import curve_names, curves_of, image_names, pictures_html
from pima_widgets.expert_panel import ExpertPanel, plugin_source
from pima_widgets.fit_panel import FitPanel
from pima_widgets.told_warnings import told_warnings

import pima_toolkit as pima
from pima_toolkit.errors import DataError, ExpertError, FormulaError, OptionError


def numbers(data):
    return np.frombuffer(data, dtype="<f4")


def click(button):
    button.click()


# ------------------------------------------------------------------ the live pieces


def test_the_map_holds_what_it_was_given():
    here = LatentMap()
    here.place(np.array([[0.0, 1.0], [2.0, 3.0]]), ["a", 7], labels=("latent 0", "latent 1"))
    here.paint([0, 1], "group", ["soft", "stiff"])
    np.testing.assert_array_equal(numbers(here.x), [0, 2])
    np.testing.assert_array_equal(numbers(here.y), [1, 3])
    assert here.names == ["a", "7"]
    assert not here.numeric
    here.paint([0.5, np.nan], "modulus (GPa)")
    assert here.numeric
    assert np.isnan(numbers(here.values)[1])


def test_the_chart_shares_a_grid_or_takes_one_for_each_curve():
    chart = Chart()
    chart.draw([0, 1, 2], [[1, 2, 3], [4, 5, np.nan]], [{"colour": 1}], labels=("t", "y"))
    assert chart.shape == [2, 3]
    np.testing.assert_array_equal(numbers(chart.x), [0, 1, 2, 0, 1, 2])
    band = {"x": [0, 1], "low": [0, 0], "high": [1, 1], "colour": 2}
    chart.draw([[0, 1], [5, 6]], [[1, 2], [3, 4]], [], bands=[band], labels=("t", "y"))
    np.testing.assert_array_equal(numbers(chart.x), [0, 1, 5, 6])
    assert chart.bands[0]["high"] == [1.0, 1.0]


def test_curves_and_pictures_are_found_in_a_dataset(specimens, ragged):
    assert curve_names(specimens) == ["line"]
    assert image_names(specimens) == ["image"]
    read = curves_of(ragged, "stress")
    assert np.isfinite(read.t).all()
    assert (read.t[0, -3:] == read.t[0, -4]).all()
    assert np.isnan(read.y[0, -3:]).all()
    assert read.y_label == "stress (MPa)"
    with pytest.raises(DataError, match="no curve of this dataset"):
        curves_of(specimens, "image")
    html = pictures_html(specimens["image"].isel(specimen=[0, 1]), ["<a>", "b"])
    assert html.count("<img") == 2
    assert "<a>" not in html


# ------------------------------------------------------------------ FitPanel


def test_the_fit_panel_fits_in_the_background_and_says_so(lines):
    panel = FitPanel(lines)
    assert panel.selection == ["feature", "stress"]
    panel.rows[1].expert.value = "proportional"
    panel.epochs.value = 4
    click(panel.start_button)
    fit = panel.wait(120)
    assert panel.result is fit
    assert "fitted after" in panel.status.value
    assert panel.elbo.shape == [1, 4]
    assert panel.occupancy.shape == [2, 4]
    assert not panel.start_button.disabled
    assert panel.cancel_button.disabled
    assert "population 0" in panel.report.value


def test_the_code_of_the_fit_panel_makes_the_same_fit(lines):
    panel = FitPanel(lines)
    panel.rows[1].expert.value = "proportional"
    panel.epochs.value, panel.seed.value, panel.latent_dim.value = 2, 3, 1
    fit = panel.start() and panel.wait(120)
    names = {"data": lines}
    exec(compile(panel.code(), "panel", "exec"), names)  # noqa: S102 - the panel's own text, which people paste
    np.testing.assert_array_equal(names["fit"].parameters["value"], fit.parameters["value"])
    assert panel.copy.text == panel.code()


def test_a_fit_can_be_stopped_and_what_it_reached_is_kept(lines):
    panel = FitPanel(lines)
    panel.rows[1].expert.value = "proportional"
    panel.epochs.value = 5000
    panel.start()
    with pytest.raises(RuntimeError, match="under way"):
        panel.start()
    while not panel.task.reports:
        panel.task.join(0.05)
    click(panel.cancel_button)
    fit = panel.wait(120)
    assert fit.interrupted
    assert "stopped: the fit so far" in panel.status.value


def test_a_fit_without_clusters_yet_is_stopped_at_once(lines, monkeypatch):
    found = threading.Event()
    usual = pima.PIMA.fit
    monkeypatch.setattr(pima.PIMA, "fit", lambda *args, **more: found.wait(30) and usual(*args, **more))
    panel = FitPanel(lines)
    click(panel.start_button)
    click(panel.cancel_button)
    assert panel.wait(5) is None
    assert "nothing to keep" in panel.status.value
    assert not panel.start_button.disabled
    found.set()
    panel.task._thread.join(60)
    assert panel.result is None


def test_a_choice_that_cannot_be_is_a_sentence(lines):
    panel = FitPanel(lines)
    for one in panel.rows:
        one.kind.value = "leave out"
    click(panel.start_button)
    assert "modalit" in panel.error.value
    assert panel.selection == []
    assert panel.expert is None
    with pytest.raises(OptionError):
        panel.start()


def test_a_fit_that_fails_is_a_sentence_in_the_panel(lines):
    bad = lines.copy(deep=True)
    bad["feature"][0, 0] = np.nan
    panel = FitPanel(bad)
    panel.start()
    with pytest.raises(pima.PimaError):
        panel.wait(60)
    assert panel.status.value.count("failed") == 1
    assert "NaN" in panel.error.value
    assert not panel.start_button.disabled


def test_there_must_be_something_to_fit_and_someone_to_wait_for(lines):
    with pytest.raises(DataError, match="no numeric variable"):
        FitPanel(lines[["label"]])
    with pytest.raises(RuntimeError, match="no fit was started"):
        FitPanel(lines).wait()
    with pytest.raises(AttributeError, match=r"called panel\.task since"):
        FitPanel(lines).job  # noqa: B018 - the lookup is the test


# ------------------------------------------------------------------ ExpertPanel


def test_typing_a_formula_makes_parameters_equation_and_curve(lines):
    panel = ExpertPanel(lines)
    panel.formula.value = "a * strain + b"
    assert [one.name for one in panel.table.rows] == ["a", "b"]
    assert panel.equation.value.count("<math>") == 1
    assert panel.expert.formula == "a * strain + b"
    assert panel.chart.shape[0] == 33  # 32 specimens and the formula
    panel.table.rows[1].lower.value = "0"
    panel.formula.value = "a * strain + b + c * strain**2"
    assert panel.table.rows[1].lower.value == "0"  # what was typed stays
    assert panel.expert.parameters[1].lower == 0.0


def test_a_fault_in_the_formula_is_shown_where_it_is(lines):
    panel = ExpertPanel(lines)
    panel.formula.value = "a * strain + q("
    assert panel.expert is None
    assert "\n              ^" in panel.fault.value
    panel.formula.value = "x = 2\nx * foo(strain)\n + b"
    assert "foo(strain)\n    ^\n + b<" in panel.fault.value
    panel.formula.value = "a * strain"
    assert panel.fault.value == ""
    assert panel.expert is not None


def test_the_formula_is_fitted_as_by_hand(lines):
    panel = ExpertPanel(lines)
    panel.formula.value = "a * strain + b"
    panel.table.rows[1].set(0.25)
    panel.table.rows[1].fixed.value = True
    click(panel.fit_button)
    by_hand = pima.SympyExpert("a * strain + b", t="strain").fit(
        lines.strain.values, lines.stress.values, fixed={"b": 0.25}
    )
    np.testing.assert_allclose(panel.result.fitted, by_hand.fitted, rtol=1e-8)
    assert panel.table.rows[0].value == pytest.approx(by_hand.fitted[0, 0], rel=1e-5)
    assert "±" in panel.outcome.value


def test_curves_of_their_own_grids_are_fitted_too(ragged):
    panel = ExpertPanel(ragged)
    panel.formula.value = "a * strain"
    solution = panel.fit()
    read = curves_of(ragged, "stress")
    own = np.nansum(read.t * read.y, axis=1) / np.sum(np.where(np.isfinite(read.y), read.t**2, 0.0), axis=1)
    assert solution.fitted[0, 0] == pytest.approx(own.mean(), rel=2e-3)


def test_reversed_bounds_are_a_sentence(lines):
    panel = ExpertPanel(lines)
    panel.formula.value = "a * strain"
    panel.table.rows[0].lower.value, panel.table.rows[0].upper.value = "5", "1"
    assert "bound" in panel.error.value
    panel.table.rows[0].upper.value = "many"
    assert "expected a number" in panel.error.value


def test_a_formula_is_registered_and_saved_as_a_plugin(lines, tmp_path):
    with pima.experts.use_manager(pima.experts.Manager()):
        panel = ExpertPanel(lines)
        panel.formula.value = "a * strain**n"
        panel.table.rows[1].lower.value, panel.table.rows[1].upper.value = "0", "1"
        panel.table.rows[0].unit.value = "MPa"
        panel.name.value = "panel_law"
        registered = panel.register()
        assert pima.get_expert("panel_law") == registered
    panel.file.value = str(tmp_path / "panel_law.py")
    click(panel.save_button)
    with pima.experts.use_manager(pima.experts.Manager()):
        (loaded,) = pima.load_plugin(tmp_path / "panel_law.py")
        assert loaded.parameters == registered.parameters
        assert loaded.formula == "a * strain**n"
    click(panel.save_button)
    assert "exists already" in panel.error.value
    with pytest.raises(ExpertError, match="lower-case"):
        plugin_source(pima.SympyExpert("a*t", name="My Law"))


def test_without_data_a_formula_is_drawn_but_not_fitted():
    panel = ExpertPanel()
    panel.formula.value = "a * t**2"
    assert panel.chart.shape == [1, 200]
    with pytest.raises(DataError, match="no data to fit"):
        panel.fit()
    panel.formula.value = "a *"
    with pytest.raises((FormulaError, DataError)):
        panel.guess()


def test_a_dataset_without_curves_is_refused(specimens):
    with pytest.raises(DataError, match="no curves"):
        ExpertPanel(specimens[["image"]])


# ------------------------------------------------------------------ ClusterPanel


@pytest.fixture
def panel(digits_fit, specimens):
    return ClusterPanel(digits_fit, specimens)


def test_it_opens_with_the_clusters_of_the_fit(panel, digits_fit):
    assert panel.grouping.names == ("population 0", "population 1", "population 2")
    np.testing.assert_array_equal(panel.grouping.responsibilities, digits_fit.specimens["responsibilities"])
    for value, error in zip(*(digits_fit.parameters[k].values[:, 0] for k in ("value", "std_error")), strict=True):
        assert pima.value_with_error(value, error, "1") in panel.table.value
    assert len(panel.map.ellipses) == 3
    assert panel.refit.chart.shape[0] == 90 + 3  # the curves, and each population's law
    assert [band["colour"] for band in panel.refit.chart.bands] == [0, 1, 2]


def test_a_lasso_selects_and_shows(panel):
    panel.map.selection = [4, 2, 9]
    assert panel.selection == [2, 4, 9]
    assert "3 selected" in panel.status.value
    assert panel.pictures.value.count("<img") == 3
    assert panel.refit.chart.shape[0] == 3 + len(set(panel.grouping.best[[2, 4, 9]]))
    panel.map.selection = []
    assert panel.pictures.value == ""


def test_the_map_is_coloured_by_what_is_known(panel, specimens):
    for name in panel.colour.options:
        panel.colour.value = name
        assert len(numbers(panel.map.values)) == 90
    panel.colour.value = "label"
    assert panel.map.groups == sorted(set(specimens.label.values.astype(str)))
    assert "slope [1]" in panel.colour.options


def test_the_selection_is_fitted_as_by_hand(panel, specimens):
    panel.select([0, 1, 2, 3, 4])
    click(panel.refit_selection_button)
    by_hand = pima.get_expert("proportional").fit(specimens.t.values, specimens.line.values[:5])
    np.testing.assert_allclose(panel.result.fitted, by_hand.fitted, rtol=1e-8)
    assert "[[Fit Statistics]]" in panel.refit.outcome.value
    assert panel.refit.residuals.shape[0] == 5


def test_a_group_is_refitted_with_its_responsibilities(panel, specimens):
    solution = panel.refit_group("population 1")
    gamma = panel.grouping.responsibilities[:, 1]
    by_hand = pima.get_expert("proportional").fit(specimens.t.values, specimens.line.values, gamma)
    np.testing.assert_allclose(solution.fitted, by_hand.fitted, rtol=1e-5)


def test_a_held_parameter_stays_in_a_refit(panel):
    panel.refit.sliders.rows[0].set(0.123)
    panel.refit.sliders.rows[0].fixed.value = True
    solution = panel.refit_group("population 0")
    assert solution.fitted[0, 0] == pytest.approx(0.123)


def test_groups_are_moved_merged_split_renamed_and_taken_back(panel):
    panel.select([0, 1, 2, 3, 4, 5])
    panel.new_name.value = "odd"
    click(panel.new_button)
    assert panel.grouping.names[-1] == "odd"
    assert "refit" in panel.table.value
    panel.target.value, panel.other.value = "odd", "population 2"
    click(panel.merge_button)
    assert panel.grouping.names == ("population 0", "population 1", "odd")
    panel.target.value = "population 0"
    click(panel.split_button)
    assert "population 0 b" in panel.grouping.names
    panel.target.value, panel.new_name.value = "odd", "strange"
    click(panel.rename_button)
    assert "strange" in panel.target.options
    for _ in range(4):
        click(panel.undo_button)
    assert panel.grouping.names == ("population 0", "population 1", "population 2")
    assert panel.undo_button.disabled
    click(panel.redo_button)
    assert panel.grouping.names[-1] == "odd"
    click(panel.undo_button)
    with pytest.raises(OptionError, match="nothing to undo"):
        panel.undo()


def test_whole_specimens_are_counted_whole_and_shares_are_not(panel):
    panel.select(list(range(90)))
    panel.new_name.value = "all"
    click(panel.new_button)
    assert "all</th><td>90</td>" in panel.table.value
    gamma = np.full((90, 2), 0.5)
    gamma[0] = 0.7, 0.3
    panel.grouping = type(panel.grouping).of(gamma, ["population 0", "population 1"])
    assert "population 0</th><td>45.2</td>" in panel._table()


def test_a_group_is_selected_whole(panel):
    panel.target.value = "population 1"
    click(panel.select_button)
    np.testing.assert_array_equal(panel.selection, np.flatnonzero(panel.grouping.best == 1))


def test_the_selection_is_exported_as_a_table_or_with_all_data(panel, tmp_path, specimens):
    panel.select([3, 5])
    frame = pd.read_csv(panel.export(tmp_path / "a.csv"))
    assert frame.specimen.tolist() == specimens.specimen.values[[3, 5]].tolist()
    np.testing.assert_allclose(frame[[f"probability population {c}" for c in range(3)]].sum(axis=1), 1.0)
    read = pima.open_data(panel.export(tmp_path / "a.nc"))
    np.testing.assert_array_equal(read.image.values, specimens.image.values[[3, 5]])
    assert read.group.values.tolist() == panel.assignment().group.values[[3, 5]].tolist()
    panel.path.value = "a.docx"
    click(panel.export_button)
    assert "ends in none of" in panel.error.value


def test_a_selection_out_of_range_is_refused(panel):
    panel.select([900])
    assert "numbered 0 to 89" in panel.error.value


def test_a_model_without_physics_has_a_panel_without_it(specimens):
    model = pima.PIMA({"image": pima.Neural(noise="learned")}, clusters=2, latent_dim=1)
    fit = model.fit(specimens[["image"]], epochs=2, progress=False)
    app = pima.app(fit, specimens[["image"]])
    assert app.error.value == ""
    assert app.expert_panel is None
    panel = app.cluster_panel
    assert panel.refit is None
    panel.select([1, 2])
    panel.split("population 0" if (panel.grouping.best == 0).sum() > 4 else "population 1")
    assert len(panel.grouping.names) == 3


def test_a_group_keeps_its_colour_in_every_view(panel):
    panel.merge("population 0", "population 1")
    assert panel.map.groups == ["population 0", "population 2"]
    assert panel.map.numbers == [0, 2]
    drawn = {style["colour"] for style in panel.refit.chart.styles}
    assert drawn == {0, 2}
    assert [COLOURS[n] in panel.table.value for n in range(3)] == [True, False, True]
    panel.select([0])
    panel.move("new")
    assert panel.map.numbers == [0, 2, 3]


def test_an_error_stands_beside_what_caused_it(panel):
    panel.select([])
    click(panel.refit_selection_button)
    (row,) = (one for one in panel.children if panel.refit_selection_button in getattr(one, "children", ()))
    assert row.children[-1] is panel.error
    click(panel.move_button)
    assert panel.error not in row.children
    (row,) = (one for one in panel.children if panel.move_button in getattr(one, "children", ()))
    assert row.children[-1] is panel.error


def test_an_outcome_goes_when_what_it_was_fitted_to_has_changed(panel):
    panel.refit_group("population 0")
    assert panel.refit.outcome.value
    panel.select([3, 4])
    assert panel.refit.outcome.value
    panel.move("population 0" if panel.grouping.best[3] else "population 1")
    assert panel.refit.outcome.value == ""
    panel.refit_selection()
    panel.select([3, 5])
    assert panel.refit.outcome.value == ""


def test_a_formula_s_outcome_goes_when_the_formula_changes(lines):
    law = ExpertPanel(lines)
    law.formula.value = "a * strain"
    law.fit()
    assert "±" in law.outcome.value
    law.formula.value = "a * strain + b"
    assert law.outcome.value == ""


def test_the_fit_panel_knows_the_number_the_noise_the_groups_and_says_what_was_checked(two_populations):
    data = two_populations(40, seed=4).drop_vars("feature")
    panel = FitPanel(data.assign_coords(batch=("specimen", np.arange(40) % 20)))
    (one,) = panel.rows
    one.expert.value, one.noise.value, panel.auto.value = "proportional", "robust", True
    panel.groups.value, panel.restarts.value = "batch", 2
    assert panel.clusters.disabled
    assert 'pima.Physics("proportional", noise="robust")' in panel.code()
    assert 'clusters="auto"' in panel.code()
    assert 'restarts=2, groups="batch"' in panel.code()
    panel.start()
    fit = panel.wait(120)
    assert fit.model.options.physics["stress"].noise == "robust"
    assert (fit.model.options.clusters, fit.settings.groups, fit.settings.restarts) == (2, "batch", 2)
    for line in fit.summary().splitlines():
        assert escape(line.removeprefix("- ")) in panel.verdict.value
    panel.seed.value = 1
    assert panel.verdict.value == panel.report.value == ""
    assert panel.result is fit


def test_warnings_are_sentences_of_the_thread_that_works():
    heard = {}

    def work(name):
        with told_warnings() as heard[name]:
            barrier.wait()
            for _ in range(2):
                warnings.warn(f"{name} speaks", pima.PimaWarning, stacklevel=1)
            barrier.wait()

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    usual = warnings.showwarning
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert heard == {"a": ["a speaks"], "b": ["b speaks"]}
    assert warnings.showwarning is usual
