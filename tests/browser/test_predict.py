"""CrossModalPanel: choose, upload, click, walk, save, refuse, load the page anew."""

import numpy as np
import pytest
from gestures import (
    button,
    canvases,
    choose_file,
    click_at,
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
from PIL import Image


@pytest.fixture
def page(notebook):
    page = notebook.show("CrossModalPanel(fit, specimens)")
    expect(page.locator(".pima-bar")).to_have_count(3)
    canvases(page, "map", 1)
    return page


def test_a_specimen_is_chosen_and_predicted_and_there_after_a_reload(notebook, page):
    box = page.get_by_placeholder("name of a specimen")
    box.fill(notebook.ask("panel.names[6]"))
    box.press("Enter")
    until(lambda: notebook.ask("panel.selection") == [6], "the specimen is chosen")
    (chart,), (here,) = canvases(page, "chart", 1), canvases(page, "map", 1)
    best = notebook.ask("int(panel.result['responsibilities'].values[0].argmax())")
    until(lambda: colour_count(chart, best) > 150, "its curve is drawn")
    expect(page.locator(".pima-pictures img")).to_have_count(2)
    expect(page.locator(".pima-near img")).to_have_count(6)
    page.get_by_label("line", exact=True).check()
    status(page, "from image and line")
    notebook.shot("predict")
    drawn = [picture_of(here), picture_of(chart)]
    notebook.reload()
    until(lambda: [picture_of(here), picture_of(chart)] == drawn, "the same picture after the page is loaded anew")
    status(page, "from image and line")
    box.fill("nobody")
    box.press("Enter")
    refused(page, box, "no specimen 'nobody'")
    for name in ("line", "image"):
        page.get_by_label(name, exact=True).uncheck()
    refused(page, page.get_by_label("image", exact=True), "nothing to predict from")
    until(lambda: colour_count(chart, best) == 0, "the prediction of what is ticked no more is gone")


def test_a_photograph_and_a_curve_are_uploaded(notebook, page, photograph, tmp_path):
    choose_file(page, photograph)
    status(page, r"photograph\.png as image: population \d")
    expect(page.locator(".pima-belief")).to_contain_text("of the training specimens are explained no better")
    assert notebook.ask("panel.selection") == []
    expect(page.locator(".pima-pictures img")).to_have_count(2)
    (tmp_path / "curve.csv").write_text("t,line\n" + "\n".join(f"{k / 9},{k / 9}" for k in range(10)))
    choose_file(page, tmp_path / "curve.csv")
    status(page, r"curve\.csv as line")
    click_at(page.locator(".pima-map canvas").first, 0.12, 0.06)
    status(page, r"generated at \(")
    choose_file(page, tmp_path / "curve.csv")
    status(page, r"curve\.csv as line")  # the same file is heard again
    noise = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    choose_file(page, tmp_path / "noise.png")
    expect(page.locator(".pima-belief")).to_contain_text("Do not rely on it: unlike every population")
    (tmp_path / "broken.png").write_text("this is no picture")
    choose_file(page, tmp_path / "broken.png")
    refused(page, page.locator("button.widget-upload, .widget-upload button").first, "broken.png cannot be read")
    assert nameless(page) == []


def test_a_click_in_the_map_generates(notebook, page):
    click_at(page.locator(".pima-map canvas").first, 0.12, 0.06)
    status(page, r"generated at \(")
    assert notebook.ask("panel.selection") == []
    expect(page.locator(".pima-pictures img")).to_have_count(1)


def test_a_walk_by_slider_and_by_play(notebook, page):
    (canvas,) = canvases(page, "map", 1)
    before = picture_of(canvas)
    page.locator(".widget-slider .noUi-handle").first.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    status(page, "10 % of the way from population 0 to population 2")
    until(lambda: picture_of(canvas) != before, "the cross moves")
    page.locator(".widget-play button").first.click()
    until(lambda: notebook.ask("panel.slider.value") > 8, "the walk goes on by itself")
    page.locator(".widget-play button").first.click()
    until(lambda: not notebook.ask("panel.player.playing"), "it pauses")


def test_the_prediction_is_saved(page, tmp_path):
    file = page.get_by_label("file", exact=True)
    fill(file, str(tmp_path / "p.csv"))
    push(page, "Save prediction")
    status(page, r"written: .*p\.csv")
    assert (tmp_path / "p_line.csv").exists()
    fill(file, "p.docx")
    push(page, "Save prediction")
    refused(page, button(page, "Save prediction"), "ends in none of")
