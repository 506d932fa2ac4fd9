"""CrossModalPanel: choose, upload, click, walk, save, refuse."""

import pytest
from gestures import click_at, colour_count, picture_of, push, status, until
from pima_widgets import CrossModalPanel
from playwright.sync_api import expect


@pytest.fixture
def opened(show, fit, specimens):
    panel = CrossModalPanel(fit, specimens)
    page = show(panel)
    expect(page.locator(".pima-bar")).to_have_count(3)
    return panel, page, page.locator(".pima-map canvas").first


def choose_file(page, path):
    with page.expect_file_chooser() as chooser:
        page.locator("button.widget-upload, .widget-upload button, .jupyter-button.widget-upload").first.click()
    chooser.value.set_files(str(path))


def test_a_specimen_is_chosen_and_predicted(opened, show):
    panel, page, _ = opened
    box = page.get_by_placeholder("name of a specimen")
    box.fill(panel.names[6])
    box.press("Enter")
    until(lambda: panel.selection == [6], "the specimen is chosen")
    chart = page.locator(".pima-chart canvas").first
    best = int(panel.result["responsibilities"].values[0].argmax())
    until(lambda: colour_count(chart, best) > 150, "its curve is drawn")
    expect(page.locator(".pima-pictures img")).to_have_count(2)
    expect(page.locator(".pima-near img")).to_have_count(6)
    page.get_by_label("line", exact=True).check()
    status(page, "from image and line")
    show.shot("predict")
    box.fill("nobody")
    box.press("Enter")
    expect(page.locator(".pima-error [role=alert] b")).to_contain_text("no specimen 'nobody'")


def test_a_photograph_and_a_curve_are_uploaded(opened, show, photograph, tmp_path):
    panel, page, _ = opened
    choose_file(page, photograph)
    status(page, r"photograph\.png as image: cluster \d")
    assert panel.selection == []
    expect(page.locator(".pima-pictures img")).to_have_count(2)
    show.shot("predict_upload")
    (tmp_path / "curve.csv").write_text("t,line\n" + "\n".join(f"{k / 9},{k / 9}" for k in range(10)))
    choose_file(page, tmp_path / "curve.csv")
    status(page, r"curve\.csv as line")
    (tmp_path / "broken.png").write_text("this is no picture")
    choose_file(page, tmp_path / "broken.png")
    expect(page.locator(".pima-error [role=alert] b")).to_contain_text("broken.png cannot be read")
    show.shot("predict_error")


def test_a_click_in_the_map_generates(opened, show):
    panel, page, canvas = opened
    click_at(canvas, 0.12, 0.06)
    status(page, r"generated at \(")
    assert panel.selection == []
    expect(page.locator(".pima-pictures img")).to_have_count(1)
    show.shot("predict_click")


def test_a_walk_by_slider_and_by_play(opened, show):
    panel, page, canvas = opened
    before = picture_of(canvas)
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    status(page, "10 % of the way from cluster 0 to cluster 2")
    assert picture_of(canvas) != before
    page.locator(".widget-play button").first.click()
    until(lambda: panel.slider.value > 8, "the walk goes on by itself")
    page.locator(".widget-play button").first.click()
    until(lambda: not panel.player.playing, "it pauses")
    show.shot("predict_walk")


def test_the_prediction_is_saved(opened, tmp_path):
    _panel, page, _ = opened
    file = page.get_by_label("file", exact=True)
    file.fill(str(tmp_path / "p.csv"))
    file.press("Tab")
    push(page, "Save prediction")
    status(page, r"written: .*p\.csv")
    assert (tmp_path / "p_line.csv").exists()
    file.fill("p.docx")
    file.press("Tab")
    push(page, "Save prediction")
    expect(page.locator(".pima-error [role=alert] b")).to_contain_text("ends in none of")
