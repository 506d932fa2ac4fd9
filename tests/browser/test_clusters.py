"""ClusterPanel: lasso, click, keys, groups, sliders, refits, export, load the page anew."""

import re

import pytest
from gestures import (
    button,
    canvases,
    colour_count,
    expect,
    fill,
    lasso,
    nameless,
    picture_of,
    push,
    refused,
    settled,
    status,
    until,
)

_LEFT = ((0.05, 0.05), (0.42, 0.05), (0.42, 0.9), (0.05, 0.9), (0.05, 0.06))


@pytest.fixture
def page(notebook):
    page = notebook.show("ClusterPanel(fit, specimens)")
    (canvas,) = canvases(page, "map", 1)
    until(lambda: all(colour_count(canvas, c) > 50 for c in range(3)), "three clusters are drawn")
    return page


@pytest.fixture
def canvas(page):
    return page.locator(".pima-map canvas").first


def test_a_lasso_selects_what_it_encloses_and_a_reload_shows_it(notebook, page, canvas):
    lasso(canvas)
    status(page, "90 selected")
    assert notebook.ask("panel.selection") == list(range(90))
    expect(page.locator(".pima-pictures img")).to_have_count(24)
    lasso(canvas, _LEFT)
    until(lambda: 0 < len(notebook.ask("panel.selection")) < 90, "a part is selected")
    right, left = notebook.ask(
        "[float(f(p[[k for k in range(90) if (k in panel.selection) == chosen]])) for p in [panel.view.position[:, 0]]"
        " for f, chosen in ((min, False), (max, True))]"
    )
    assert left < right
    (chart,) = canvases(page, "chart", 1)
    page.mouse.move(1, 1)
    settled(canvas)
    drawn = [picture_of(canvas), picture_of(chart)]
    notebook.shot("clusters")
    notebook.reload()
    until(lambda: [picture_of(canvas), picture_of(chart)] == drawn, "the same picture after the page is loaded anew")
    expect(page.locator(".pima-pictures img").first).to_be_visible()


def test_specimens_are_selected_by_keys(notebook, page, canvas):
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(lambda: len(notebook.ask("panel.selection")) == 1, "one is selected")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+Enter")
    until(lambda: len(notebook.ask("panel.selection")) == 2, "another is added")
    page.keyboard.press("Escape")
    until(lambda: notebook.ask("panel.selection") == [], "none is selected")


def test_the_map_is_coloured_anew(notebook, page, canvas):
    before = picture_of(canvas)
    page.get_by_label("colour", exact=True).select_option("typicality")
    until(lambda: picture_of(canvas) != before, "other colours")
    assert notebook.ask("panel.map.numeric")


def test_the_map_is_zoomed_moved_and_shown_whole_again(notebook, page, canvas):
    whole = picture_of(canvas)
    push(page, "Zoom in")
    until(lambda: picture_of(canvas) != whole, "a part is shown")
    box, part = settled(canvas), picture_of(canvas)
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"], steps=4)
    page.mouse.up(button="right")
    until(lambda: picture_of(canvas) != part, "it is moved")
    left, right = notebook.ask("panel.map.shown[:2]")
    canvas.focus()
    page.mouse.wheel(0, -200)
    until(lambda: notebook.ask("panel.map.shown[1] - panel.map.shown[0]") < right - left, "the wheel zooms")
    page.keyboard.press("0")
    page.mouse.move(1, 1)
    canvas.blur()
    until(lambda: picture_of(canvas) == whole, "all specimens are shown")


def test_every_button_of_the_groups(notebook, page, canvas, tmp_path):
    lasso(canvas, _LEFT)
    status(page, "selected")
    fill(page.get_by_placeholder("name", exact=True), "odd")
    push(page, "New group of the selection")
    table = page.locator(".pima-table")
    expect(table).to_contain_text("odd")
    page.get_by_label("group", exact=True).select_option("odd")
    push(page, "Select group")
    until(
        lambda: notebook.ask("len(panel.selection) == int((panel.grouping.best == 3).sum())"), "the group is selected"
    )
    fill(page.get_by_placeholder("name", exact=True), "strange")
    push(page, "Rename")
    expect(table).to_contain_text("strange")
    page.get_by_label("with", exact=True).select_option("population 1")
    before = colour_count(canvas, 2)
    push(page, "Merge")
    expect(table).not_to_contain_text("population 1")
    until(lambda: colour_count(canvas, 3) > 30, "the group has the colour it was given")
    assert colour_count(canvas, 2) >= before  # where population 2 is, nothing has changed its colour
    fill(page.get_by_placeholder("note on the group"), "to look at again")
    push(page, "Note")
    expect(table).to_contain_text("to look at again")
    push(page, "Undo")
    push(page, "Undo")
    expect(table).to_contain_text("population 1")
    page.get_by_label("group", exact=True).select_option("population 2")
    push(page, "Split")
    expect(table).to_contain_text("population 2 b")
    push(page, "Move selection here")
    moved = "panel.grouping.best[panel.selection[0]] == panel.grouping.place('population 2')"
    until(lambda: notebook.ask(f"bool({moved})"), "they have moved")
    file = page.get_by_label("file", exact=True)
    fill(file, str(tmp_path / "chosen.csv"))
    push(page, "Export selection")
    status(page, r"specimens written to .*chosen\.csv")
    rows = (tmp_path / "chosen.csv").read_text().splitlines()
    assert len(rows) == notebook.ask("len(panel.selection)") + 1
    fill(file, str(tmp_path / "chosen.docx"))
    push(page, "Export selection")
    refused(page, button(page, "Export selection"), "ends in none of")


def test_a_slider_moves_the_curve_and_the_solver_finds_it(notebook, page):
    chart, residuals = canvases(page, "chart", 2)
    for drawn, what in ((chart, "a curve or a law"), (residuals, "a residual")):
        until(lambda drawn=drawn: all(colour_count(drawn, c) > 50 for c in range(3)), f"every group has {what}")
    before = picture_of(chart)
    page.locator(".pima-parameters .noUi-handle").first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    until(lambda: notebook.ask("panel.refit.chart.shape[0]") == 94, "the curve at the sliders is drawn")
    until(lambda: picture_of(chart) != before, "the picture changes")
    push(page, "Refit group")
    until(lambda: notebook.ask("panel.result is not None"), "a refit")
    expect(page.locator(".pima-outcome")).to_contain_text("slope")
    page.get_by_text(re.compile("lmfit report")).click()
    expect(page.locator(".pima-outcome pre").last).to_contain_text("Fit Statistics")
    for name in ("population 1", "population 2"):
        page.get_by_label("group", exact=True).select_option(name)
        push(page, "Refit group")
        expect(page.get_by_text(f"{name}: ").first).to_be_visible()
    push(page, "Fit selection")
    refused(page, button(page, "Fit selection"), "no specimens are selected")
    assert nameless(page) == []
