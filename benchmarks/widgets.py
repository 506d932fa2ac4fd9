"""How smooth the panels are with many specimens: from the end of a gesture to what it draws, in a notebook.

    python benchmarks/widgets.py                       # 10,000 specimens, some minutes with the start of everything
    python benchmarks/widgets.py --specimens 1000

JupyterLab in Chromium; needs the extra ``browser``. Milliseconds of wall time, medians of several gestures:

lasso    the mouse button is let go -> Python has the selection -> its curves and status are drawn
slider   an arrow key on a parameter's slider -> Python has computed the curve -> it is drawn
recolour another quantity is chosen -> the map has its colours
frame    one movement of the mouse while the lasso is drawn -> the map is drawn again (the browser alone)

One line is appended to benchmarks/results/widgets.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import lines
import numpy as np
import xarray as xr
from playwright.sync_api import Page, sync_playwright

import pima_toolkit as pima

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from gestures import colour_count, lasso, settled, until  # noqa: E402 - found only now
from lab import Notebook, jupyterlab  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "widgets.jsonl"
_SETUP = """import pima_toolkit as pima
from pima_widgets import ClusterPanel
data = pima.open_data({data!r})
fit = pima.load({fit!r})"""
#: A clock that starts at an event of the page and stops when a canvas has been drawn anew.
_CLOCK = """([event, began, ended]) => {
  const context = document.querySelector(ended).getContext("2d");
  window.pimaClock = { start: 0, took: 0 };
  const start = () => (window.pimaClock = { start: performance.now(), took: 0 });
  document.querySelector(began).addEventListener(event, start, true);
  const clear = context.clearRect;
  context.clearRect = function (...box) {
    const clock = window.pimaClock;
    // The microtask comes after the drawing that this clearing begins.
    if (clock.start && !clock.took) queueMicrotask(() => (clock.took = performance.now() - clock.start));
    return clear.apply(context, box);
  };
}"""
#: Stripes of the map, in shares of its width; each has other specimens, none has all: all is what is drawn at first.
_STRIPES = [(0.06, 0.5), (0.3, 0.9), (0.06, 0.55), (0.35, 0.9), (0.06, 0.45), (0.4, 0.9), (0.06, 0.6)]
_MAP, _CHART = ".pima-map canvas", ".pima-chart canvas"


def many(specimens: int, seed: int = 0) -> xr.Dataset:
    """Lines of two populations with a vector that tells them apart.

    Args:
        specimens: How many.
        seed: Of the numbers.
    """
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 2
    t = np.linspace(0.0, 1.0, 20)
    slope = np.where(label == 0, 2.0, 5.0) + 0.15 * rng.standard_normal(specimens)
    line = slope[:, None] * t + 0.05 * rng.standard_normal((specimens, t.size))
    feature = (label[:, None] - 0.5) * np.array([1.0, -1.0, 0.5, 0.0]) + 0.2 * rng.standard_normal((specimens, 4))
    return xr.Dataset(
        {"feature": (("specimen", "kind"), feature), "line": (("specimen", "t"), line, {"units": "N"})},
        coords={"t": ("t", t, {"units": "mm"}), "specimen": [f"s{k}" for k in range(specimens)]},
    )


def clock(page: Page, event: str, began: str, ended: str) -> None:
    """Start the clock at an event of one element, stop it at the next drawing of another."""
    page.evaluate(_CLOCK, [event, began, ended])


def taken(page: Page) -> float:
    """Milliseconds of the last gesture, once it is drawn."""
    page.wait_for_function("window.pimaClock.took > 0")
    page.wait_for_timeout(300)  # nothing is left over for the next
    return page.evaluate("window.pimaClock.took")


def lassos(page: Page) -> list[float]:
    """Milliseconds of each lasso."""
    clock(page, "pointerup", _MAP, _CHART)
    out = []
    for a, b in _STRIPES:
        lasso(page.locator(_MAP).first, ((a, 0.04), (b, 0.04), (b, 0.88), (a, 0.88), (a, 0.05)))
        out.append(taken(page))
    return out


def frames(page: Page) -> list[float]:
    """Milliseconds of each movement while a lasso is drawn."""
    clock(page, "pointermove", _MAP, _MAP)
    box, out = settled(page.locator(_MAP).first), []
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for k in range(8):
        page.mouse.move(box["x"] + (0.25 + 0.05 * k) * box["width"], box["y"] + (0.3 + 0.02 * k) * box["height"])
        out.append(taken(page))
    page.mouse.up()
    page.wait_for_timeout(1000)
    return out


def recolours(page: Page) -> list[float]:
    """Milliseconds of each change of the map's colours."""
    box = page.get_by_label("colour", exact=True)
    box.evaluate("(one) => one.classList.add('pima-colour')")
    clock(page, "change", ".pima-colour", _MAP)
    out = []
    for name in ("typicality", "group") * 3:
        box.select_option(name)
        out.append(taken(page))
    return out


def sliders(page: Page) -> list[float]:
    """Milliseconds of each step of a parameter's slider."""
    clock(page, "keydown", ".pima-parameters .noUi-handle", _CHART)
    page.locator(".pima-parameters .noUi-handle").first.focus()
    out = []
    for _ in range(7):
        page.keyboard.press("ArrowRight")
        out.append(taken(page))
    return out


def main() -> None:
    """Measure, and append the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specimens", type=int, default=10_000)
    count = parser.parse_args().specimens
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        here = Path(scratch)
        data = many(count)
        model = pima.PIMA({"feature": pima.Neural(), "line": pima.Physics("proportional")}, clusters=2, latent_dim=2)
        fit = model.fit(data.isel(specimen=slice(0, 400)), epochs=10, crossmodal_epochs=10, progress=False)
        source = _SETUP.format(data=str(pima.save_data(data, here / "d.nc")), fit=str(fit.save(here / "f.pima")))
        with jupyterlab(here) as lab:
            browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            notebook = Notebook(browser, lab, "widgets", here, height=2200)
            notebook.run(source)
            page = notebook.show("ClusterPanel(fit, data)")
            until(lambda: colour_count(page.locator(_MAP).first, 0) > 50, "the specimens are drawn")
            times = {part.__name__.rstrip("s"): part(page) for part in (lassos, frames, recolours, sliders)}
            version = browser.version
            notebook.close()
    line = {"specimens": count, **{name: round(statistics.median(part), 1) for name, part in times.items()}}
    line |= {f"{name}_all": [round(one, 1) for one in part] for name, part in times.items()}
    line |= {"date": str(date.today()), "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    line |= {"chromium": version, "python": platform.python_version()}
    lines.append(RESULTS, line)
    print(json.dumps(line, indent=1))  # noqa: T201 - a program with an output


if __name__ == "__main__":
    main()
