"""The family of panels: each opens, tells an error in words, and shows its title, ours and strangers' alike."""

import re
from pathlib import Path
from typing import NamedTuple

import pima_widgets
import pytest
from pima_widgets import PANELS, App, ClusterPanel, CrossModalPanel, ExpertPanel, FitPanel, Panel, add_panel
from pima_widgets.app import load_panel

from pima_toolkit.errors import OptionError


class PanelCase(NamedTuple):
    """How a panel is opened alone, and a click that cannot succeed.

    Args:
        open: Takes a fit and data.
        fail: Clicks or types what ends in an error.
        words: A part of the sentence that is shown then.
    """

    open: object
    fail: object
    words: str


def _leave_all_out(panel):
    for row in panel.rows:
        row.kind.value = "leave out"
    panel.start_button.click()


def _name_badly(panel):
    panel.name.value = "My Law"
    panel.save_button.click()


#: Name of the class -> its case; every panel of PANELS has one.
PANEL_CASES = {
    "FitPanel": PanelCase(lambda fit, data: FitPanel(data), _leave_all_out, "modalit"),
    "ClusterPanel": PanelCase(ClusterPanel, lambda panel: panel.undo_button.click(), "nothing to undo"),
    "CrossModalPanel": PanelCase(
        CrossModalPanel, lambda panel: setattr(panel.specimen, "value", "nobody"), "there is no specimen"
    ),
    "ExpertPanel": PanelCase(lambda fit, data: ExpertPanel(data), _name_badly, "lower-case letters"),
}


@pytest.fixture(params=PANEL_CASES)
def case(request):
    return request.param, PANEL_CASES[request.param]


def test_every_panel_has_a_case_and_a_public_name():
    assert list(PANEL_CASES) == list(PANELS)
    assert {*PANELS} < {*dir(pima_widgets)}
    assert all(issubclass(getattr(pima_widgets, name), Panel) for name in PANELS)
    with pytest.raises(AttributeError, match="no attribute 'PiePanel'"):
        pima_widgets.PiePanel  # noqa: B018 - the lookup is the test


def test_it_opens_alone_and_without_an_error(case, digits_fit, specimens):
    name, one = case
    panel = one.open(digits_fit, specimens)
    assert type(panel) is getattr(pima_widgets, name) is load_panel(name)
    assert panel.error.value == ""
    assert panel.error in panel.children


def test_it_tells_an_error_in_words(case, digits_fit, specimens):
    _, one = case
    panel = one.open(digits_fit, specimens)
    one.fail(panel)
    assert one.words in panel.error.value
    assert 'role="alert"' in panel.error.value


def test_its_title_is_on_its_tab(case, digits_fit, specimens):
    name, _ = case
    app = App(specimens, digits_fit)
    title = load_panel(name).title
    app.turn_to(title)
    assert app.tabs.titles[app.tabs.selected_index] == title
    assert app.tabs.children[app.tabs.selected_index] is app.panels[name]


class CountPanel(Panel):
    """A stranger's panel: counts what the others pick, and picks the first specimen."""

    title = "Count"
    needs_fit = True

    def __init__(self, *_, **__):
        super().__init__()
        self.names = []
        self.children = [self.status, self.error, self.button("First", lambda: setattr(self, "picked", [0]))]

    def follow(self, specimens):
        self.say(f"{len(specimens)} picked")

    def offer(self, expert):
        self.names.append(expert.name)


@pytest.fixture
def table():
    """The table of panels, which is put back after the test."""
    ours = dict(PANELS)
    yield PANELS
    PANELS.clear()
    PANELS.update(ours)


@pytest.fixture
def stranger(table):
    return add_panel(CountPanel)


def test_a_stranger_s_panel_stands_beside_ours_and_is_linked(stranger, digits_fit, specimens):
    app = App(specimens)
    assert app.tabs.titles[-1] == "Count"
    assert "no fit yet" in app.tabs.children[-1].value
    app.show(digits_fit)
    panel = app.panels["CountPanel"]
    assert isinstance(panel, stranger)
    app.cluster_panel.select([1, 2])
    assert "2 picked" in panel.status.value
    panel.children[-1].click()
    assert app.selection == app.crossmodal_panel.selection == [0]
    assert "2 picked" in panel.status.value
    app.offer(app.expert)
    assert panel.names == [app.expert.name]


def test_the_panel_of_the_how_to_page_opens_and_is_linked(table, digits_fit, specimens):
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "panels.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "add_panel" in block)
    exec(compile(code, "panels.md", "exec"), {})  # noqa: S102 - our own page
    assert list(table)[-1] == "OddPanel"
    app = App(specimens, digits_fit)
    panel = app.panels["OddPanel"]
    panel.children[1].click()
    assert panel.error.value == ""
    assert app.selection == app.crossmodal_panel.selection == [panel.choice.value]
    app.cluster_panel.select([1, 2])
    assert "2 selected elsewhere" in panel.status.value


def test_what_cannot_be_a_panel_is_refused(stranger):
    with pytest.raises(OptionError, match="a subclass of"):
        add_panel(object)
    with pytest.raises(OptionError, match="has no title"):
        add_panel(type("Nameless", (Panel,), {}))
    with pytest.raises(OptionError, match="a panel CountPanel already"):
        add_panel(CountPanel)
    with pytest.raises(OptionError, match="the title 'Predict' is taken"):
        add_panel(type("Other", (Panel,), {"title": "Predict"}))
