"""FitPanel: choose, fit, watch, stop, fail."""

import re

from gestures import colour_count, push, status, until
from pima_widgets import FitPanel
from playwright.sync_api import expect


def test_a_fit_is_started_watched_and_reported(show, specimens):
    panel = FitPanel(specimens)
    page = show(panel)
    expect(page.locator(".pima-panel select").nth(0)).to_have_value("neural")
    page.locator(".pima-panel select").nth(3).select_option("affine")
    clusters = page.locator(".pima-panel input[type=number]").nth(0)
    clusters.fill("3")
    clusters.press("Enter")
    epochs = page.locator(".pima-panel input[type=number]").nth(2)
    epochs.fill("12")
    epochs.press("Enter")
    until(lambda: panel.epochs.value == 12 and panel.clusters.value == 3, "the boxes reach the panel")
    push(page, "Fit")
    status(page, r"fitted after \d+ s")
    assert panel.result.model.options.physics["line"].expert.name == "affine"
    elbo, shares = page.locator(".pima-chart canvas").nth(0), page.locator(".pima-chart canvas").nth(1)
    until(lambda: colour_count(elbo, 0) > 100, "the ELBO is drawn")
    until(lambda: all(colour_count(shares, c) > 30 for c in range(3)), "the shares are drawn")
    page.get_by_text("as Python").click()
    expect(page.locator("pre").filter(has_text="pima.PIMA(")).to_be_visible()
    push(page, "Copy as code")
    expect(page.get_by_text(re.compile("Copied|Copy with Ctrl"))).to_be_visible()
    show.shot("fit")


def test_a_fit_is_stopped_and_kept(show, specimens):
    panel = FitPanel(specimens)
    page = show(panel)
    panel.epochs.value = 3000
    push(page, "Fit")
    status(page, r"training, epoch \d+ of 3000, about \d+ s left")
    push(page, "Stop")
    status(page, "stopped: the fit so far")
    assert panel.result.interrupted


def test_what_cannot_be_fitted_is_a_sentence(show, specimens):
    page = show(FitPanel(specimens))
    for k in (0, 2):
        page.locator(".pima-panel select").nth(k).select_option("leave out")
    push(page, "Fit")
    alert = page.locator(".pima-error [role=alert]")
    expect(alert.locator("b")).to_contain_text("modalit")
    alert.locator("summary").click()
    expect(alert.locator("pre")).to_contain_text("Traceback")
    show.shot("fit_error")
