"""What is kept: groups over a new fit, a session in a folder, a fit in files."""

import numpy as np
import pandas as pd
import pytest
from pima_widgets import App, FitPanel
from pima_widgets.grouping import Grouping
from pima_widgets.saving import SAVES

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError, StorageError


@pytest.fixture
def edited(digits_fit, specimens):
    """An app in which a group was made by hand, named and annotated."""
    app = App(specimens, digits_fit)
    app.cluster_panel.select([0, 1, 2])
    app.cluster_panel.move("odd")
    app.cluster_panel.annotate("odd", "=look again")
    return app


def test_a_new_fit_keeps_the_groups_edited_by_hand(edited, digits_fit):
    before, old = edited.cluster_panel.grouping, edited.cluster_panel
    edited.fit_panel.result = digits_fit
    after = edited.cluster_panel
    assert after is not old
    assert after.grouping.names == before.names
    assert after.grouping.notes == before.notes
    np.testing.assert_array_equal(after.grouping.responsibilities, before.responsibilities)
    assert "your groups are kept" in after.status.value
    after.undo()
    assert after.grouping.names == ("population 0", "population 1", "population 2")
    assert edited.error.value == ""


def test_groups_not_edited_follow_the_new_fit(digits_fit, specimens):
    app = App(specimens, digits_fit)
    app.fit_panel.result = digits_fit
    assert app.cluster_panel.undo_button.disabled


def test_a_session_is_there_again_after_the_kernel_is_gone(edited, digits_fit, specimens, tmp_path):
    folder = tmp_path / "mine"
    edited.folder.value = str(folder)
    edited.children[1].children[1].click()
    assert f"kept in {folder}" in edited.status.value
    edited.cluster_panel.rename("odd", "strange")  # after: kept as it goes
    again = pima.app(specimens, session=folder)
    assert again.cluster_panel.grouping.names[-1] == "strange"
    assert again.cluster_panel.grouping.notes[-1] == "=look again"
    np.testing.assert_array_equal(again.result.parameters["value"], digits_fit.parameters["value"])
    np.testing.assert_allclose(
        again.cluster_panel.grouping.responsibilities, edited.cluster_panel.grouping.responsibilities
    )
    again.cluster_panel.undo()
    assert pima.app(specimens, session=folder).cluster_panel.undo_button.disabled


def test_a_session_of_other_data_is_a_sentence_and_stays_as_it_was(edited, lines, specimens, tmp_path):
    folder = edited.keep_in(tmp_path / "mine")
    held = {file.name: file.read_bytes() for file in folder.iterdir()}
    other = pima.app(lines, session=folder)
    assert "the dataset holds none of this fit" in other.error.value
    assert other.session is None
    fewer = pima.app(specimens.isel(specimen=slice(0, 80)), session=folder)
    assert "of other specimens" in fewer.error.value
    fewer.cluster_panel.select([1])
    fewer.cluster_panel.move("odd")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == held
    with pytest.raises(OptionError, match="no folder was named"):
        fewer.keep_in(" ")


def test_a_saved_fit_is_opened_and_kept(edited, digits_fit, specimens, tmp_path):
    app = App(specimens)
    app.keep_in(tmp_path / "mine")
    app.path.value = str(digits_fit.save(tmp_path / "f.pima"))
    app.children[1].children[3].click()
    assert app.tabs.titles[app.tabs.selected_index] == "Clusters"
    assert app.fit_panel.clusters.value == 3
    assert (tmp_path / "mine" / "fit.pima").exists()
    app.path.value = str(tmp_path / "nothing.pima")
    app.children[1].children[3].click()
    assert "nothing.pima" in app.error.value
    assert app.error in app.children[1].children  # beside what was clicked


def test_groups_are_written_with_names_and_notes_and_read_again(edited, specimens, tmp_path):
    panel = edited.cluster_panel
    panel.select([])
    frame = pd.read_csv(panel.export(tmp_path / "groups.csv"))
    assert frame.group.tolist() == panel.assignment().group.values.tolist()
    assert frame.note.dropna().unique().tolist() == ["'=look again"]  # no spreadsheet computes it
    assert pd.read_excel(panel.export(tmp_path / "groups.xlsx")).group.tolist() == frame.group.tolist()
    saved = pima.open_data(pima.save_data(panel.assignment(), tmp_path / "groups.nc"))
    read = Grouping.read(saved, panel.names)
    assert (read.names, read.notes, read.number, read.counted) == (
        panel.grouping.names, panel.grouping.notes, panel.grouping.number, panel.grouping.counted,
    )  # fmt: skip
    with pytest.raises(DataError, match="there is no note_of_group, number, of_group, probability"):
        Grouping.read(specimens, panel.names)


@pytest.mark.parametrize("kind", ["everything", "fit", "tables (Excel)", "figures (PDF)"])
def test_a_fit_is_saved_by_its_own_writers(kind, digits_fit, specimens, tmp_path):
    panel = FitPanel(specimens)
    panel.adopt(digits_fit)
    panel.save_row.kind.value = kind
    panel.save_row.path.value = str(tmp_path / SAVES[kind])
    panel.save_row.button.click()
    assert panel.error.value == ""
    assert str(tmp_path) in panel.status.value
    endings = {file.suffix for file in tmp_path.rglob("*") if file.is_file()}
    expected = {
        "everything": {".pima", ".html", ".csv", ".xlsx", ".png", ".svg", ".pdf"},
        "fit": {".pima"},
        "tables (Excel)": {".xlsx"},
        "figures (PDF)": {".pdf"},
    }
    assert endings == expected[kind]


def test_what_cannot_be_saved_is_a_sentence_beside_the_button(digits_fit, specimens, tmp_path):
    panel = FitPanel(specimens)
    panel.save_row.button.click()
    assert "no fit to save yet" in panel.error.value
    assert panel.save_row.children[-1] is panel.error
    panel.adopt(digits_fit)
    panel.save_row.kind.value = "tables (CSV)"
    (tmp_path / "taken").write_text("")
    panel.save_row.path.value = str(tmp_path / "taken")
    with pytest.raises(StorageError, match="is a file, expected a folder"):
        panel.save_row.save()
