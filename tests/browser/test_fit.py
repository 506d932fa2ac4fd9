"""FitPanel: choose, fit, watch, stop, fail, load the page anew."""

import re

from gestures import (
    button,
    canvases,
    colour_count,
    expect,
    fill,
    nameless,
    picture_of,
    push,
    refused,
    status,
    until,
)


def number_box(page, label, value):
    """Type into a box of a number."""
    box = page.get_by_label(label, exact=True)
    box.fill(str(value))
    box.press("Enter")


def test_a_fit_is_started_watched_reported_and_there_after_a_reload(notebook, tmp_path):
    page = notebook.show("FitPanel(specimens)")
    expect(page.locator(".pima-panel select").nth(0)).to_have_value("neural")
    page.get_by_title("law of line", exact=True).select_option("affine")
    number_box(page, "clusters", 3)
    number_box(page, "epochs", 12)
    until(lambda: notebook.ask("[panel.epochs.value, panel.clusters.value]") == [12, 3], "the boxes reach the panel")
    push(page, "Fit")
    status(page, r"fitted after \d+ s")
    assert notebook.ask("panel.result.model.options.physics['line'].expert.name") == "affine"
    elbo, shares = canvases(page, "chart", 2)
    until(lambda: colour_count(elbo, 0) > 100, "the ELBO is drawn")
    until(lambda: all(colour_count(shares, c) > 30 for c in range(3)), "the shares are drawn")
    expect(page.locator(".pima-verdict")).to_contain_text("Checked on 90 specimens held out")
    page.get_by_label("save", exact=True).select_option("report")
    fill(page.get_by_label("as", exact=True), str(tmp_path / "told.html"))
    push(page, "Save")
    status(page, r"written: .*told\.html")
    assert "held out" in (tmp_path / "told.html").read_text()
    assert nameless(page) == []
    page.get_by_text("as Python").click()
    expect(page.locator("pre").filter(has_text=re.compile("^import pima_toolkit"))).to_be_visible()
    push(page, "Copy as code")
    expect(page.get_by_text(re.compile("Copied|Copy with Ctrl"))).to_be_visible()
    notebook.shot("fit")
    page.mouse.move(1, 1)
    drawn = [picture_of(elbo), picture_of(shares)]
    notebook.reload()
    status(page, r"written: .*told\.html")
    until(lambda: [picture_of(elbo), picture_of(shares)] == drawn, "the same curves after the page is loaded anew")


def test_a_fit_is_stopped_and_kept(notebook):
    page = notebook.show("FitPanel(specimens)")
    number_box(page, "epochs", 3000)
    push(page, "Fit")
    status(page, r"check on specimens held out, fold 1, epoch \d+ of 3000, about .+ left")
    push(page, "Stop")
    status(page, "stopped: the fit so far")
    assert notebook.ask("panel.result.interrupted")


def test_what_cannot_be_fitted_is_a_sentence(notebook):
    page = notebook.show("FitPanel(specimens)")
    for name in ("image", "line"):
        page.get_by_title(f"description of {name}", exact=True).select_option("leave out")
    push(page, "Fit")
    refused(page, button(page, "Fit"), "modalit")
    alert = page.locator(".pima-error [role=alert]")
    alert.locator("summary").click()
    expect(alert.locator("pre")).to_contain_text("Traceback")
