"""A person's way in JupyterLab: own folder, fit, lasso, refit, predict from a photograph, export; the page anew."""

import pytest
from gestures import (
    canvases,
    choose_file,
    colour_count,
    expect,
    fill,
    lasso,
    picture_of,
    push,
    settled,
    status,
    until,
)
from lab import Notebook

import pima_toolkit as pima

_CELL = """import pima_toolkit as pima
data = pima.from_folder("measured", images=pima.ImageFiles(size=32), curves=pima.CurveFiles(grid=40), progress=False)
panel = pima.app(data)
panel"""


@pytest.fixture
def opened(browser, lab, pictures):
    """JupyterLab with an empty notebook, beside a folder of photographs and curves."""
    _, work = lab
    pima.datasets.write_folder(work / "measured", n=48, seed=3, mess=False)
    opened = Notebook(browser, lab, "way", pictures)
    yield opened
    opened.close()


def tab(page, name):
    page.locator(".pima-tabs").get_by_role("tab").filter(has_text=name).first.click()


def test_from_a_folder_to_a_prediction(opened):
    opened.run(_CELL)
    page = opened.page
    page.locator(".pima-tabs").wait_for()
    fill(page.get_by_label("epochs", exact=True), "6")
    push(page, "Fit")
    status(page, r"fitted after \d+ s", seconds=240)

    tab(page, "Clusters")
    (clusters,) = canvases(page, "map", 1)
    until(lambda: colour_count(clusters, 0) > 30, "the map is drawn")
    lasso(clusters)
    status(page, "48 selected")
    push(page, "Fit selection")
    outcome = page.locator(".pima-outcome").filter(has_text="lmfit report").first
    expect(outcome).to_be_visible()
    expect(outcome).to_contain_text("MPa")
    fill(page.get_by_label("file", exact=True).locator("visible=true"), "selection.csv")
    push(page, "Export selection")
    status(page, r"48 specimens written to .*selection\.csv")

    tab(page, "Predict")
    photograph = sorted((opened.folder / "measured" / "photos").iterdir())[5]
    choose_file(page, photograph)
    status(page, rf"{photograph.name} as image: population \d")
    fill(page.get_by_label("file", exact=True).locator("visible=true"), "predicted.csv")
    push(page, "Save prediction")
    status(page, r"written: .*predicted\.csv")
    assert len((opened.folder / "selection.csv").read_text().splitlines()) == 49
    assert len((opened.folder / "predicted.csv").read_text().splitlines()) == 2
    assert (opened.folder / "predicted_stress.csv").exists()

    # The page is loaded anew: the same picture, for what is shown is state.
    charts = page.locator(".pima-panel .pima-chart canvas")
    chart = charts.nth(next(k for k in range(charts.count()) if charts.nth(k).is_visible()))
    settled(chart)
    before = picture_of(chart)
    opened.reload()
    status(page, r"written: .*predicted\.csv")
    until(lambda: picture_of(chart) == before, "the same picture after the page is loaded anew")
    opened.theme("Dark")
    until(lambda: picture_of(chart) != before, "the ink follows the dark theme")
    opened.theme("Light")  # the theme is the server's, for all notebooks
