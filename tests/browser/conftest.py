"""Chromium, JupyterLab, data and fits for the panels; without a browser the tests are skipped, or fail where promised.

PIMA_REQUIRE_BROWSER=1 promises one. Screenshots of the panels are written to the folder in PIMA_SCREENSHOTS, by default
one of pytest's own.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from lab import Notebook, jupyterlab

import pima_toolkit as pima

CHROMIUM = os.environ.get("PIMA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
#: The first lines of every notebook.
_SETUP = """import pima_toolkit as pima
from pima_widgets import App, ClusterPanel, CrossModalPanel, ExpertPanel, FitPanel
specimens = pima.open_data({data!r})
fit = pima.load({fit!r})"""


def missing():
    """Return what is missing, as the reason of a skip; None where nothing is."""
    packages = [name for name in ("playwright", "jupyterlab") if find_spec(name) is None]
    if packages:
        return f"no {', '.join(packages)}: pip install -c constraints.txt -e '.[browser]'"
    return None if CHROMIUM else "no chromium: apt-get install chromium, or set PIMA_CHROMIUM"


def pytest_collection_modifyitems(items):
    reason = missing()
    if reason is None:
        return
    if os.environ.get("PIMA_REQUIRE_BROWSER") == "1":
        raise pytest.UsageError(f"PIMA_REQUIRE_BROWSER=1, but {reason}")
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Take a screenshot of the page when a test fails."""
    report = yield
    if report.failed and "pictures" in item.funcargs:
        opened = [one for one in item.funcargs.values() if isinstance(one, Notebook)]
        for one in opened:
            one.page.screenshot(path=item.funcargs["pictures"] / f"failed_{item.name}.png")
    return report


@pytest.fixture(scope="session")
def browser():
    """A real Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """The folder of the screenshots."""
    folder = Path(os.environ.get("PIMA_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A JupyterLab of its own: its address and the folder it shows."""
    with jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def specimens():
    """Digits of three kinds with their lines."""
    data = pima.datasets.digits()
    return data.isel(specimen=data.label.values < 3).isel(specimen=slice(0, 90))


@pytest.fixture(scope="session")
def stored(specimens, tmp_path_factory):
    """Paths of a saved fit and of its data."""
    model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("affine")}, clusters=3, latent_dim=2)
    fit = model.fit(specimens, epochs=20, crossmodal_epochs=20, progress=False)
    folder = tmp_path_factory.mktemp("stored")
    return fit.save(folder / "digits.pima"), pima.save_data(specimens, folder / "digits.nc")


@pytest.fixture(scope="module")
def notebook(request, browser, lab, stored, pictures):
    """A notebook whose Python knows ``fit``, ``specimens`` and the panels; one for all tests of a file."""
    opened = Notebook(browser, lab, request.module.__name__.rpartition(".")[2], pictures)
    fit, data = stored
    opened.run(_SETUP.format(data=str(data), fit=str(fit)))
    yield opened
    opened.close()


@pytest.fixture
def photograph(specimens, tmp_path):
    """A photograph of a digit, larger than those of the training."""
    from PIL import Image

    pixels = np.round(255 * specimens["image"].values[4]).astype(np.uint8)
    path = tmp_path / "photograph.png"
    Image.fromarray(pixels.repeat(12, 0).repeat(12, 1)).save(path)
    return path
