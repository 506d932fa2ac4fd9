"""ExpertPanel and App: type, fit, register, save, load the page anew; and what one panel makes the others show."""

import pytest
from gestures import button, canvases, colour_count, expect, fill, nameless, picture_of, push, refused, status, until


@pytest.fixture
def page(notebook):
    page = notebook.show("ExpertPanel(specimens)")
    canvases(page, "chart", 1)
    return page


def test_a_formula_is_typed_drawn_fitted_and_there_after_a_reload(notebook, page):
    formula = page.locator(".pima-formula textarea")
    formula.fill("a * t + b * sqrt(t)")
    expect(page.locator(".pima-equation msqrt")).to_have_count(1)
    until(lambda: notebook.ask("[row.name for row in panel.table.rows]") == ["a", "b"], "the table follows")
    (chart,) = canvases(page, "chart", 1)
    until(lambda: colour_count(chart, 1) > 100, "the formula is drawn")
    before = picture_of(chart)
    page.locator(".pima-parameters .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    until(lambda: picture_of(chart) != before, "a slider moves the curve")
    push(page, "Guess")
    push(page, "Fit")
    expect(page.locator(".pima-outcome")).to_contain_text("±")
    notebook.shot("expert")
    drawn = picture_of(chart)
    notebook.reload()
    until(lambda: picture_of(chart) == drawn, "the same picture after the page is loaded anew")
    expect(formula).to_have_value("a * t + b * sqrt(t)")
    expect(page.locator(".pima-outcome")).to_contain_text("±")
    formula.fill("a * t + b * sqrt(t) + c")
    expect(page.locator(".pima-outcome")).not_to_contain_text("±")
    formula.fill("a * t + b * sqrt(")
    expect(page.locator(".pima-fault pre")).to_contain_text("^")


def test_the_keyboard_alone_types_a_formula_and_fits_it(notebook, page):
    page.locator(".pima-formula textarea").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("a * t")
    until(lambda: notebook.ask("[row.name for row in panel.table.rows]") == ["a"], "the table follows")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip() == "Fit":
            break
    page.keyboard.press("Enter")
    expect(page.locator(".pima-outcome")).to_contain_text("±")
    assert notebook.ask("'converged' in panel.result.advice[0]")


def test_bounds_names_and_files_that_cannot_be_are_sentences(notebook, page, tmp_path):
    lower = page.get_by_placeholder("none").first
    fill(lower, "many")
    refused(page, lower, "expected a number")
    fill(lower, "")
    fill(page.get_by_label("file", exact=True), str(tmp_path / "law.py"))
    push(page, "Save as plugin")
    status(page, r"saved: pima\.load_plugin")
    push(page, "Save as plugin")
    refused(page, button(page, "Save as plugin"), "exists already")
    assert nameless(page) == []
    assert "class MyLaw(pima.SympyExpert)" in (tmp_path / "law.py").read_text()
    assert notebook.ask("panel.expert is not None")


def test_the_panels_of_the_app_are_linked(notebook):
    page = notebook.show("App(specimens)")
    tab = page.get_by_role("tab")
    tab.filter(has_text="Clusters").click()
    expect(page.get_by_text("There is no fit yet").first).to_be_visible()
    assert notebook.ask("setattr(panel.fit_panel, 'result', fit)") is None
    (canvas,) = canvases(page, "map", 1)
    until(lambda: colour_count(canvas, 0) > 50, "the map of the fit is drawn")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(lambda: len(notebook.ask("panel.selection")) == 1, "one specimen is selected")
    tab.filter(has_text="Predict").click()
    chosen = notebook.ask("panel.cluster_panel.names[panel.selection[0]]")
    expect(page.get_by_placeholder("name of a specimen")).to_have_value(chosen)
    tab.filter(has_text="Expert").click()
    page.locator(".pima-formula textarea").fill("a * t**2")
    fill(page.get_by_label("name", exact=True), "my_square")
    push(page, "Register")
    until(lambda: notebook.ask("panel.expert and panel.expert.name") == "my_square", "it is registered")
    assert notebook.ask("pima.get_expert('my_square') == panel.expert")
    tab.filter(has_text="Fit").click()
    expect(page.get_by_title("law of line", exact=True)).to_have_value("my_square")
    assert nameless(page) == []
    notebook.shot("app")
