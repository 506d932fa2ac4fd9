"""Chromium, data and fits for the panels; without a browser the tests are skipped, under PIMA_REQUIRE_BROWSER=1 fail.

Screenshots of every panel are written to the folder in PIMA_SCREENSHOTS, by default one that pytest names at the end.
"""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("SOLARA_TELEMETRY_MIXPANEL_ENABLE", "False")

import numpy as np
import pytest

import pima_toolkit as pima

CHROMIUM = os.environ.get("PIMA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def missing():
    """What is not there, as the reason of a skip; None where everything is."""
    packages = [name for name in ("playwright", "pytest_playwright", "solara") if find_spec(name) is None]
    if packages:
        return f"no {', '.join(packages)}: pip install 'pima-toolkit[browser]'"
    return None if CHROMIUM else "no chromium: apt-get install chromium, or set PIMA_CHROMIUM"


def pytest_collection_modifyitems(items):
    reason = missing()
    if reason is None:
        return
    if os.environ.get("PIMA_REQUIRE_BROWSER") == "1":
        raise pytest.UsageError(f"PIMA_REQUIRE_BROWSER=1, but {reason}")
    for item in items:
        item.fixturenames.clear()  # what a missing plugin would give is not asked for
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": list(OPTIONS)}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1180, "height": 1500}}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Where screenshots go."""
    folder = Path(os.environ.get("PIMA_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def show(solara_test, page_session, pictures):
    """A function that puts a panel on the page; its ``shot`` writes a screenshot."""
    from IPython.display import display

    page_session.set_default_timeout(20_000)

    def put(panel):
        display(panel)
        page_session.locator(".pima-panel").first.wait_for()
        return page_session

    def shot(name):
        page_session.wait_for_timeout(300)  # the last frame is drawn
        page_session.locator(".pima-panel").first.screenshot(path=pictures / f"{name}.png")

    put.shot = shot
    return put


@pytest.fixture(scope="session")
def specimens():
    """Digits of three kinds with their lines."""
    data = pima.datasets.digits()
    return data.isel(specimen=data.label.values < 3).isel(specimen=slice(0, 90))


@pytest.fixture(scope="session")
def fit(specimens):
    model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("affine")}, clusters=3, latent_dim=2)
    return model.fit(specimens, epochs=20, crossmodal_epochs=20, progress=False)


@pytest.fixture
def registry():
    """Experts that are registered during a test are forgotten after it."""
    with pima.experts.use_manager(pima.experts.Manager()):
        yield


@pytest.fixture
def photograph(specimens, tmp_path):
    """A photograph of a digit, larger than those of the training."""
    from PIL import Image

    pixels = np.round(255 * specimens["image"].values[4]).astype(np.uint8)
    path = tmp_path / "photograph.png"
    Image.fromarray(pixels.repeat(12, 0).repeat(12, 1)).save(path)
    return path
