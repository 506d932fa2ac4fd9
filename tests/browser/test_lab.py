"""A person's way in JupyterLab, from a folder of files to a prediction on the disk; and the page loaded anew."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from gestures import colour_count, lasso, picture_of, push, settled, status, until
from playwright.sync_api import expect

import pima_toolkit as pima

_READY = """() => {
  const notebook = window.jupyterapp?.shell.currentWidget, kernel = notebook?.context?.sessionContext?.session?.kernel;
  return notebook?.context?.isReady && kernel?.status === "idle";
}"""
_CELL = """import pima_toolkit as pima
data = pima.from_folder("measured", images=pima.Images(size=32), curves=pima.Curves(grid=40), progress=False)
app = pima.app(data)
app"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab of its own: its address and the folder it shows."""
    folder = tmp_path_factory.mktemp("lab")
    work = folder / "work"
    work.mkdir()
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    own |= {"JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    own |= {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--expose-app-in-browser"]
    log = (folder / "log.txt").open("w")
    server = subprocess.Popen(command, cwd=work, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 90
    try:
        while True:
            assert server.poll() is None, (folder / "log.txt").read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{address}/api", timeout=1)  # noqa: S310 - our own server
                break
            except OSError:
                assert time.monotonic() < end, (folder / "log.txt").read_text()[-2000:]
                time.sleep(0.1)
        yield address, work
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def notebook(path, text):
    """A notebook of one cell."""
    cell = {"cell_type": "code", "execution_count": None, "id": "panels", "metadata": {}, "outputs": [], "source": text}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(
        json.dumps({"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5})
    )


@pytest.fixture
def page(browser, lab):
    """A notebook, run, in a page of its own."""
    address, work = lab
    pima.datasets.write_folder(work / "measured", n=48, seed=3, mess=False)
    notebook(work / "way.ipynb", _CELL)
    context = browser.new_context(viewport={"width": 1280, "height": 1700})
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}/doc/tree/way.ipynb")
    page.wait_for_function(_READY)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.locator(".pima-tabs").wait_for()
    yield page
    context.close()


def tab(page, name):
    page.locator(".pima-tabs").get_by_role("tab").filter(has_text=name).first.click()


def fill(page, box, text):
    box.fill(text)
    box.press("Tab")


def test_from_a_folder_to_a_prediction(page, lab, pictures):
    _, work = lab
    fill(page, page.locator(".pima-panel input[type=number]").nth(2), "6")
    push(page, "Fit")
    status(page, r"fitted after \d+ s")
    page.screenshot(path=pictures / "lab_fit.png")

    tab(page, "Clusters")
    clusters = page.locator(".pima-map canvas").first
    until(lambda: colour_count(clusters, 0) > 30, "the map is drawn")
    lasso(clusters)
    status(page, "48 selected")
    push(page, "Fit selection")
    outcome = page.locator(".pima-outcome").filter(has_text="lmfit report").first
    expect(outcome).to_be_visible()
    page.screenshot(path=pictures / "lab_clusters.png")

    tab(page, "Predict")
    photograph = sorted((work / "measured" / "photos").iterdir())[5]
    with page.expect_file_chooser() as chooser:
        page.locator("button.widget-upload, .widget-upload button").first.click()
    chooser.value.set_files(str(photograph))
    status(page, rf"{photograph.name} as image: cluster \d")
    fill(page, page.get_by_label("file", exact=True).last, "predicted.csv")
    push(page, "Save prediction")
    status(page, r"written: .*predicted\.csv")
    written = work / "predicted.csv"
    until(written.exists, "the prediction is on the disk")
    assert (work / "predicted_stress.csv").exists()

    # The page is loaded anew: the same picture, for what is shown is state.
    charts = page.locator(".pima-panel .pima-chart canvas")
    visible = [k for k in range(charts.count()) if charts.nth(k).is_visible()]
    settled(charts.nth(visible[0]))
    before = picture_of(charts.nth(visible[0]))
    shown = page.locator(".pima-status").filter(has_text="written").first.inner_text()
    page.screenshot(path=pictures / "lab_predict.png")
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_timeout(1000)
    page.reload()
    page.wait_for_function(_READY)
    page.locator(".pima-tabs").wait_for()
    expect(page.locator(".pima-status").filter(has_text="written").first).to_have_text(shown)
    until(lambda: picture_of(charts.nth(visible[0])) == before, "the same picture after loading the page anew")
    page.screenshot(path=pictures / "lab_reloaded.png")

    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.locator("body[data-jp-theme-light=false]").wait_for()
    until(lambda: picture_of(charts.nth(visible[0])) != before, "the ink follows the dark theme")
    for name in ("Fit", "Clusters", "Predict", "Expert"):
        tab(page, name)
        page.wait_for_timeout(500)
        page.screenshot(path=pictures / f"dark_{name.lower()}.png")
    assert Path(written).read_text().count("\n") == 2
