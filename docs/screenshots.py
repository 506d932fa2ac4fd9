"""Pictures of the panels for the pages, with Chromium and the extra ``browser``.

    python docs/screenshots.py FOLDER [fit_panel] [clusters] [crossmodal] [expert] [app]     # all by default

Takes every panel in a notebook of JupyterLab, wide and narrow, light and dark; a person looks at them and copies the
good ones to ``docs/_static``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import pima_toolkit as pima

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "browser"))
from gestures import choose_file, fill, lasso, push, status
from lab import Notebook, jupyterlab

_SETUP = """import pima_toolkit as pima
from pima_widgets import App, ClusterPanel, CrossModalPanel, ExpertPanel, FitPanel
data = pima.open_data({data!r})
fit = pima.load({fit!r})"""
#: A line around some specimens, in shares of the map.
_SOME = ((0.07, 0.62), (0.4, 0.62), (0.4, 0.86), (0.07, 0.86), (0.07, 0.63))


def fit_panel(notebook: Notebook) -> None:
    """Show a fit that has ended."""
    page = notebook.show("FitPanel(data)")
    fill(page.get_by_label("epochs", exact=True), "20")
    push(page, "Fit")
    status(page, "fitted after", seconds=600)


def clusters(notebook: Notebook) -> None:
    """Show a lasso, and the refit of what it encloses."""
    page = notebook.show("ClusterPanel(fit, data)")
    lasso(page.locator(".pima-map canvas").first, _SOME)
    status(page, "selected")
    push(page, "Fit selection")
    page.locator(".pima-outcome details").first.wait_for()


def crossmodal(notebook: Notebook) -> None:
    """Show the answer for an uploaded photograph."""
    page = notebook.show("CrossModalPanel(fit, data)")
    choose_file(page, notebook.folder / "photograph.png")
    status(page, "photograph.png")


def expert(notebook: Notebook) -> None:
    """Show a fitted formula."""
    page: Page = notebook.show("ExpertPanel(data)")
    page.locator(".pima-formula textarea").fill("s0 + h * (1 - exp(-strain / e0))")
    push(page, "Guess")
    push(page, "Fit")
    page.locator(".pima-outcome table").first.wait_for()


def app(notebook: Notebook) -> None:
    """Show all panels, in tabs."""
    notebook.show("App(data, fit)").locator(".pima-map canvas").first.wait_for()


def main(folder: Path, names: list[str]) -> None:
    """Write pictures into a folder, their colours reduced to a palette.

    Args:
        folder: Made where it is missing.
        names: Names of the functions above.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        here = Path(scratch)
        data = pima.datasets.lattice()
        model = pima.PIMA({"image": pima.Neural(), "stress": pima.Physics("linear_hardening")}, clusters=2)
        fit = model.fit(data, seed=0, epochs=60)
        source = _SETUP.format(data=str(pima.save_data(data, here / "d.nc")), fit=str(fit.save(here / "f.pima")))
        with jupyterlab(here) as lab:
            Image.fromarray(data["image"].values[6].astype("uint8")).save(lab[1] / "photograph.png")
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            notebook = Notebook(browser, lab, "panels", folder)
            notebook.run(source)
            for show in (one for one in (fit_panel, clusters, crossmodal, expert, app) if one.__name__ in names):
                notebook.page.set_viewport_size({"width": 1400, "height": 2600})
                show(notebook)
                for width, size in (("wide", 1400), ("narrow", 700)):
                    notebook.page.set_viewport_size({"width": size, "height": 2600})
                    for theme in ("Dark", "Light"):
                        notebook.theme(theme)
                        name = f"{show.__name__}_{width}_{theme.lower()}"
                        notebook.shot(name)
                        path = folder / f"{name}.png"
                        Image.open(path).convert("RGB").quantize(160, kmeans=1).save(path, optimize=True)
            notebook.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["fit_panel", "clusters", "crossmodal", "expert", "app"])
