"""Rules for all tests: where the shared data are promised, a test that skips for want of them has failed."""

import os
import re
import runpy
import shutil
from pathlib import Path

# Before anything imports torch: the tests run beside each other, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import xarray as xr

#: A skip counts as "for want of data" when the test is marked ``data`` or its reason names the variable.
VARIABLE = "PIMA_DATA"


def _wants_data(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return report.skipped and ("data" in getattr(report, "keywords", ()) or VARIABLE in str(report.longrepr))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if os.environ.get("PIMA_REQUIRE_DATA") == "1" and _wants_data(report):
        report.longrepr = f"{item.nodeid} was skipped although PIMA_REQUIRE_DATA=1: {report.longrepr}"
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if os.environ.get("PIMA_REQUIRE_DATA") == "1" and _wants_data(report):
        report.longrepr = f"{collector.nodeid} was skipped although PIMA_REQUIRE_DATA=1: {report.longrepr}"
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def browser():
    """A real Chromium; without one the test is skipped, under PIMA_REQUIRE_BROWSER=1 it fails."""
    required = os.environ.get("PIMA_REQUIRE_BROWSER") == "1"
    path = os.environ.get("PIMA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        (pytest.fail if required else pytest.skip)("no chromium: apt-get install chromium, or set PIMA_CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as driver:
        options = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        chromium = driver.chromium.launch(executable_path=path, args=options)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def two_populations():
    """A function that makes a dataset: lines of two populations, and a vector that tells them apart."""

    def make(specimens=48, seed=0, noise=0.05, points=12, spread=0.15):
        rng = np.random.default_rng(seed)
        label = np.arange(specimens) % 2
        slope = np.where(label == 0, 2.0, 5.0) + spread * rng.standard_normal(specimens)
        t = np.linspace(0.0, 1.0, points)
        stress = slope[:, None] * t + noise * rng.standard_normal((specimens, points))
        feature = (label[:, None] - 0.5) * np.array([1.0, -1.0, 0.5, 0.0]) + 0.2 * rng.standard_normal((specimens, 4))
        return xr.Dataset(
            {
                "feature": (("specimen", "kind"), feature),
                "stress": (("specimen", "strain"), stress, {"units": "MPa", "long_name": "stress"}),
            },
            coords={
                "strain": ("strain", t, {"units": "1"}),
                "specimen": [f"s{d:03d}" for d in range(specimens)],
                "label": ("specimen", label),
                "slope": ("specimen", slope),
            },
        )

    return make


@pytest.fixture(scope="session")
def small_model():
    """A function that makes the model of ``two_populations``."""

    import pima_toolkit as pima  # here, since tests of a lean import collect this file too

    def make(expert="proportional", **options):
        return pima.PIMA(
            {"feature": pima.Neural(), "stress": pima.Physics(expert)}, **{"clusters": 2, "latent_dim": 2, **options}
        )

    return make


# Fits that several rooms ask: one of lines and vectors, one of digits.


@pytest.fixture(scope="session")
def train(two_populations):
    return two_populations(96, seed=1)


@pytest.fixture(scope="session")
def test(two_populations):
    """Specimens of the same populations, not trained on."""
    return two_populations(80, seed=2)


@pytest.fixture(scope="session")
def fit(train, small_model):
    return small_model().fit(train, epochs=25, progress=False)


@pytest.fixture(scope="session")
def digits():
    import pima_toolkit as pima

    data = pima.datasets.digits()
    return data.isel(specimen=data.label.values < 3).isel(specimen=slice(0, 150))


@pytest.fixture(scope="session")
def digits_fit(digits):
    import pima_toolkit as pima

    model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=3, latent_dim=2)
    return model.fit(digits, epochs=10, progress=False)


@pytest.fixture
def guide(tmp_path):
    """Run the program of a page of the guide as printed: the page's text, and the names that the program leaves."""

    def run(page):
        text = (Path(__file__).parents[1] / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
        (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        file = tmp_path / f"{page}.py"
        file.write_text(program, encoding="utf-8")
        return text, runpy.run_path(str(file))

    return run
