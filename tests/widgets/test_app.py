"""The panels together: what one makes, the others show."""

import subprocess
import sys

import numpy as np
import pytest
from pima_widgets import App, open_app

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError, PimaError


def test_a_finished_fit_fills_the_other_panels(lines):
    app = pima.app(lines)
    assert isinstance(app, App)
    assert app.cluster_panel is None
    assert "no fit yet" in app.tabs.children[1].value
    app.fit_panel.rows[0].kind.value = "leave out"  # what is measured of the others can still be fitted and shown
    app.fit_panel.rows[1].expert.value = "proportional"
    app.fit_panel.epochs.value = 2
    app.fit_panel.start_button.click()
    fit = app.fit_panel.wait(120)
    assert app.result is fit
    assert app.error.value == ""
    assert app.tabs.children[1] is app.cluster_panel
    assert app.tabs.children[2] is app.crossmodal_panel
    assert app.cluster_panel.fit is app.crossmodal_panel.fit is fit
    assert app.expert.name == "proportional"


def test_one_specimen_selected_is_predicted_and_several_are_not(digits_fit, specimens):
    app = pima.app(digits_fit, specimens)
    assert app.result is digits_fit
    assert app.tabs.selected_index == 1
    app.cluster_panel.map.selection = [7]
    assert app.selection == app.crossmodal_panel.selection == [7]
    app.cluster_panel.map.selection = [1, 2, 3]
    assert app.selection == [1, 2, 3]
    assert app.crossmodal_panel.selection == [7]


def test_a_registered_expert_appears_where_experts_are_chosen(digits_fit, specimens):
    with pima.experts.use_manager(pima.experts.Manager()):
        app = pima.app(digits_fit, specimens)
        app.expert_panel.formula.value = "a * t + b * t**2"
        app.expert_panel.name.value = "my_parabola"
        app.expert_panel.register_button.click()
        row = next(one for one in app.fit_panel.rows if one.name == "line")
        assert row.expert.value == "my_parabola"
        assert 'pima.Physics("my_parabola")' in app.fit_panel.code()
        assert app.expert == app.fit_panel.expert == pima.get_expert("my_parabola")
        app.cluster_panel.refit.choice.value = "my_parabola"
        solution = app.cluster_panel.refit_group("population 0")
        assert solution.fitted.shape[-1] == 2
        assert app.fit_panel.model().options.physics["line"].expert.name == "my_parabola"


def test_a_fit_that_cannot_answer_for_the_data_is_a_sentence(digits_fit, lines):
    app = pima.app(lines)
    app.fit_panel.result = digits_fit
    assert "the dataset holds none of this fit" in app.error.value
    assert app.result is None
    with pytest.raises(PimaError):
        app.show(digits_fit)


def test_what_cannot_be_shown_says_why(digits_fit, specimens):
    with pytest.raises(DataError, match=r"pima\.app\(fit, data\)"):
        pima.app(digits_fit)
    with pytest.raises(DataError, match="expected a dataset or a fit, got list"):
        pima.app([1])
    with pytest.raises(OptionError, match="no tab 'Results'"):
        pima.app(specimens).turn_to("Results")


def test_what_lies_on_the_disk_is_opened(digits_fit, specimens, tmp_path):
    data, saved = pima.save_data(specimens, tmp_path / "d.nc"), digits_fit.save(tmp_path / "f.pima")
    assert open_app(data).result is None
    app = open_app(saved, data)
    np.testing.assert_array_equal(app.result.parameters["value"], digits_fit.parameters["value"])
    with pytest.raises(DataError, match="--data"):
        open_app(saved)
    with pytest.raises(DataError, match="there is no"):
        open_app(tmp_path / "nothing.nc")


def test_without_the_widget_libraries_it_says_what_to_install():
    code = (
        "import sys; sys.modules['anywidget'] = None\nimport pima_toolkit as pima\n"
        "try:\n    pima.app\nexcept pima.errors.MissingDependency as error:\n    print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert "the panels need the library 'anywidget'" in told.stdout
