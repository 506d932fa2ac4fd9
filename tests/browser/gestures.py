"""Gestures of the hand and what the eye sees: drags, clicks, and the colours on a canvas."""

import re
import time

import pytest
from pima_widgets.canvas import COLOURS

expect = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[browser]'").expect
expect.set_options(timeout=60_000)

_COUNT = """(canvas, [r, g, b, reach]) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 100 &&
        Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < reach) count++;
  return count;
}"""
_DRAWN = """(canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let hash = 0;
  for (let i = 0; i < data.length; i++) hash = (hash * 31 + data[i]) | 0;
  return hash;
}"""


def colour_count(canvas, number):
    """Count the pixels of a canvas that have the colour of a cluster."""
    rgb = [int(COLOURS[number][k : k + 2], 16) for k in (1, 3, 5)]
    return canvas.evaluate(_COUNT, [*rgb, 40])


def picture_of(canvas):
    """Return a number that changes with what is drawn."""
    return canvas.evaluate(_DRAWN)


def canvases(page, kind, count):
    """Wait for the first canvases of a kind, "map" or "chart", and return them."""
    drawn = page.locator(f".pima-{kind} canvas")
    expect(drawn.nth(count - 1)).to_be_visible()
    return [drawn.nth(k) for k in range(count)]


def until(true, what, seconds=60.0):
    """Wait for something that no locator can tell."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def settled(locator, quiet=0.4, seconds=60.0):
    """Wait until an element has stopped moving, and return its box."""
    locator.wait_for()
    locator.scroll_into_view_if_needed()
    last, since, end = None, time.monotonic(), time.monotonic() + seconds
    while time.monotonic() < end:
        box = locator.bounding_box()
        if box != last:
            last, since = box, time.monotonic()
        elif time.monotonic() - since > quiet:
            return box
        locator.page.wait_for_timeout(60)
    raise AssertionError("the element never came to rest")


def lasso(locator, path=((0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98), (0.02, 0.03))):
    """Draw a line around something; the path in shares of the element's box."""
    box, mouse = settled(locator), locator.page.mouse
    points = [(box["x"] + a * box["width"], box["y"] + b * box["height"]) for a, b in path]
    mouse.move(*points[0])
    mouse.down()
    for point in points[1:]:
        mouse.move(*point, steps=8)
    mouse.up()


def click_at(locator, a, b):
    """Click a place given in shares of the element's box."""
    box = settled(locator)
    locator.page.mouse.click(box["x"] + a * box["width"], box["y"] + b * box["height"])


def button(page, text):
    """Find the button of this text; before it stands the icon, a letter of the icons' font."""
    return page.get_by_role("button", name=re.compile(rf"^\W*{re.escape(text)}\s*$")).first


def push(page, text):
    """Press the button of this text."""
    button(page, text).click()


def refused(page, beside, words):
    """Wait for the error in these words, and look whether it stands beside what caused it."""
    alert = page.locator(".pima-error [role=alert] b").locator("visible=true")
    expect(alert).to_contain_text(words)
    cause, told = settled(beside), settled(alert)
    gap = max(told["y"] - cause["y"] - cause["height"], cause["y"] - told["y"] - told["height"])
    assert gap < 120, (cause, told)


def nameless(page):
    """List the controls of a panel that a reader of screens has no name for."""
    session = page.context.new_cdp_session(page)
    root = session.send("DOM.getDocument")["root"]["nodeId"]
    panel = session.send("DOM.querySelector", {"nodeId": root, "selector": ".pima-panel"})["nodeId"]
    out = []
    for role in ("button", "textbox", "combobox", "slider", "spinbutton", "checkbox", "application", "image"):
        found = session.send("Accessibility.queryAXTree", {"nodeId": panel, "role": role})["nodes"]
        out += [role for one in found if not one["ignored"] and not one.get("name", {}).get("value", "").strip()]
    return out


def status(page, pattern, seconds=60.0):
    """Wait for the status line of the panel to say something."""
    line = page.locator(".pima-status").filter(has_text=re.compile(pattern)).first
    expect(line).to_be_visible(timeout=1000 * seconds)


def fill(box, text):
    """Type into a box and leave it."""
    box.fill(text)
    box.press("Tab")


def choose_file(page, path):
    """Upload a file."""
    with page.expect_file_chooser() as chooser:
        page.locator("button.widget-upload, .widget-upload button").first.click()
    chooser.value.set_files(str(path))
