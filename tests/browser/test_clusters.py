"""ClusterPanel: lasso, click, keys, groups, sliders, refits, export."""

import re

import numpy as np
import pytest
from gestures import colour_count, lasso, picture_of, push, status, until
from pima_widgets import ClusterPanel
from playwright.sync_api import expect


@pytest.fixture
def opened(show, fit, specimens):
    panel = ClusterPanel(fit, specimens)
    page = show(panel)
    canvas = page.locator(".pima-map canvas").first
    until(lambda: all(colour_count(canvas, c) > 50 for c in range(3)), "three clusters are drawn")
    return panel, page, canvas


def test_a_lasso_selects_what_it_encloses(opened, show):
    panel, page, canvas = opened
    lasso(canvas)
    status(page, "90 selected")
    assert panel.selection == list(range(90))
    expect(page.locator(".pima-pictures img")).to_have_count(24)
    lasso(canvas, ((0.05, 0.05), (0.45, 0.05), (0.45, 0.9), (0.05, 0.9), (0.05, 0.06)))
    until(lambda: 0 < len(panel.selection) < 90, "a part is selected")
    x = np.frombuffer(panel.map.x, "<f4")
    assert x[panel.selection].max() < np.delete(x, panel.selection).max()
    show.shot("clusters")


def test_specimens_are_selected_by_keys(opened):
    panel, page, canvas = opened
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    until(lambda: len(panel.selection) == 1, "one is selected")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+Enter")
    until(lambda: len(panel.selection) == 2, "another is added")
    page.keyboard.press("Escape")
    until(lambda: panel.selection == [], "none is selected")


def test_the_map_is_coloured_anew(opened):
    panel, page, canvas = opened
    before = picture_of(canvas)
    page.locator(".pima-panel select").nth(2).select_option("typicality")
    until(lambda: picture_of(canvas) != before, "other colours")
    assert panel.map.numeric


def test_every_button_of_the_groups(opened, tmp_path):
    panel, page, canvas = opened
    lasso(canvas, ((0.05, 0.05), (0.4, 0.05), (0.4, 0.9), (0.05, 0.9), (0.05, 0.06)))
    until(lambda: len(panel.selection) > 0, "some are selected")
    name = page.get_by_placeholder("name")
    name.fill("odd")
    name.press("Tab")
    push(page, "New group of the selection")
    expect(page.locator(".pima-table")).to_contain_text("odd")
    page.get_by_label("group", exact=True).select_option("odd")
    push(page, "Select group")
    until(lambda: len(panel.selection) == (panel.grouping.best == 3).sum(), "the group is selected")
    name.fill("strange")
    name.press("Tab")
    push(page, "Rename")
    expect(page.locator(".pima-table")).to_contain_text("strange")
    page.get_by_label("with", exact=True).select_option("cluster 1")
    push(page, "Merge")
    expect(page.locator(".pima-table")).not_to_contain_text("cluster 1")
    push(page, "Undo")
    expect(page.locator(".pima-table")).to_contain_text("cluster 1")
    page.get_by_label("group", exact=True).select_option("cluster 2")
    push(page, "Split")
    expect(page.locator(".pima-table")).to_contain_text("cluster 2 b")
    push(page, "Move selection here")
    until(lambda: panel.grouping.best[panel.selection[0]] == panel.grouping.place("cluster 2"), "they have moved")
    file = page.get_by_label("file", exact=True)
    file.fill(str(tmp_path / "chosen.csv"))
    file.press("Tab")
    push(page, "Export selection")
    status(page, r"specimens written to .*chosen\.csv")
    assert len((tmp_path / "chosen.csv").read_text().splitlines()) == len(panel.selection) + 1
    file.fill(str(tmp_path / "chosen.docx"))
    file.press("Tab")
    push(page, "Export selection")
    expect(page.locator(".pima-error [role=alert] b")).to_contain_text("no ending that says")


def test_a_slider_moves_the_curve_and_the_solver_finds_it(opened, show):
    panel, page, _ = opened
    chart = page.locator(".pima-chart canvas").first
    before = picture_of(chart)
    handle = page.locator(".pima-parameters .noUi-handle").first
    handle.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    until(lambda: panel.refit.chart.shape[0] == 91, "the curve at the sliders is drawn")
    until(lambda: picture_of(chart) != before, "the picture changes")
    push(page, "Refit group")
    until(lambda: panel.result is not None, "a refit")
    expect(page.locator(".pima-outcome")).to_contain_text("slope")
    page.get_by_text(re.compile("lmfit report")).click()
    expect(page.locator(".pima-outcome pre").last).to_contain_text("Fit Statistics")
    show.shot("clusters_refit")
    push(page, "Fit selection")
    expect(page.locator(".pima-error [role=alert] b")).to_contain_text("no specimens are selected")
