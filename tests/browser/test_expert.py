"""ExpertPanel and App: type, fit, register, save; and what one panel makes the others show."""

import pima_widgets
import pytest
from gestures import colour_count, picture_of, push, status, until
from pima_widgets import ExpertPanel
from playwright.sync_api import expect

import pima_toolkit as pima


@pytest.fixture
def opened(show, specimens, registry):
    panel = ExpertPanel(specimens)
    return panel, show(panel), show


def test_a_formula_is_typed_drawn_and_fitted(opened):
    panel, page, show = opened
    formula = page.locator(".pima-formula input")
    formula.fill("a * t + b * sqrt(t)")
    expect(page.locator(".pima-equation msqrt")).to_have_count(1)
    until(lambda: [row.name for row in panel.table.rows] == ["a", "b"], "the table follows")
    chart = page.locator(".pima-chart canvas").first
    until(lambda: colour_count(chart, 1) > 100, "the formula is drawn")
    before = picture_of(chart)
    handle = page.locator(".pima-parameters .noUi-handle").first
    handle.focus()
    page.keyboard.press("ArrowRight")
    until(lambda: picture_of(chart) != before, "a slider moves the curve")
    push(page, "Guess")
    push(page, "Fit")
    expect(page.locator(".pima-outcome")).to_contain_text("±")
    show.shot("expert")
    formula.fill("a * t + b * sqrt(")
    expect(page.locator(".pima-fault pre")).to_contain_text("^")
    show.shot("expert_fault")


def test_bounds_names_and_files_that_cannot_be_are_sentences(opened, tmp_path):
    panel, page, _ = opened
    lower = page.get_by_placeholder("no bound").first
    lower.fill("many")
    lower.press("Tab")
    expect(page.locator(".pima-error [role=alert] b")).to_contain_text("expected a number")
    lower.fill("")
    lower.press("Tab")
    file = page.get_by_label("file", exact=True)
    file.fill(str(tmp_path / "law.py"))
    file.press("Tab")
    push(page, "Save as plugin")
    status(page, r"saved: pima\.load_plugin")
    push(page, "Save as plugin")
    expect(page.locator(".pima-error [role=alert] b")).to_contain_text("exists already")
    assert "class MyLaw(pima.SympyExpert)" in (tmp_path / "law.py").read_text()
    assert panel.expert is not None


def test_the_panels_of_the_app_are_linked(show, specimens, fit, registry, pictures):
    app = pima_widgets.app(specimens)
    page = show(app)
    tab = page.get_by_role("tab")
    tab.filter(has_text="Clusters").click()
    expect(page.get_by_text("There is no fit yet").first).to_be_visible()
    app.fit_panel.result = fit
    canvas = page.locator(".pima-map canvas").first
    until(lambda: colour_count(canvas, 0) > 50, "the map of the fit is drawn")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(lambda: len(app.selection) == 1, "one specimen is selected")
    tab.filter(has_text="Predict").click()
    expect(page.get_by_placeholder("name of a specimen")).to_have_value(app.cluster_panel.names[app.selection[0]])
    tab.filter(has_text="Expert").click()
    page.locator(".pima-formula input").fill("a * t**2")
    name = page.get_by_label("name", exact=True)
    name.fill("my_square")
    name.press("Tab")
    push(page, "Register")
    until(lambda: app.expert is not None and app.expert.name == "my_square", "it is registered")
    assert pima.get_expert("my_square") == app.expert
    tab.filter(has_text="Fit").click()
    expect(page.locator(".pima-panel select").nth(3)).to_have_value("my_square")
    show.shot("app")
