"""The command `pima app` answers on this machine, to those who have the token, with the same panels."""

import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from gestures import colour_count, expect, fill, lasso, picture_of, push, until

_MAIN = "from pima_toolkit.cli import main; main()"


@pytest.fixture
def served(stored, tmp_path):
    """Start `pima app`; the address and the token that it says."""
    saved, data = stored
    command = [sys.executable, "-c", _MAIN, "app", str(saved), "--data", str(data), "--no-browser"]
    command += ["--timeout", "0.4"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    try:
        until(lambda: any("open http" in line for line in lines) or process.poll() is not None, "an address", 300)
        address = re.search(r"open (http://127\.0\.0\.1:\d+/)\?token=(\S+)", "".join(lines))
        assert address, "".join(lines)
        until(lambda: answers(address[1]) != 0, "the server answers", 300)
        yield address[1], address[2], process
    finally:
        process.terminate()
        process.wait(60)
        reader.join(60)
        process.stdout.close()


def answers(address):
    """Return the status an address answers with; 0 if nobody does."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - our own server
            # Without the token the form that asks for it is shown, not the page.
            return 401 if "/login" in answer.url else answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def sessions(process):
    """Numbers of the kernels of a server that a command started."""
    children = lambda number: Path(f"/proc/{number}/task/{number}/children").read_text().split()  # noqa: E731
    grandchildren = [kernel for server in children(process.pid) for kernel in children(server)]
    return [kernel for kernel in grandchildren if "ipykernel" in Path(f"/proc/{kernel}/cmdline").read_text()]


def test_it_shows_the_panels_with_the_token_to_this_machine_alone_and_ends_with_its_page(served, browser, pictures):
    address, token, process = served
    assert answers(address) in (401, 403)
    assert answers(f"{address}?token=wrong") in (401, 403)
    assert answers(f"{address}api/kernels") in (401, 403)
    context = browser.new_context(viewport={"width": 1180, "height": 1300})
    page = context.new_page()
    page.set_default_timeout(90_000)
    asked, blocked = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: blocked.append(request.url))
    page.goto(f"{address}?token={token}")
    expect(page.locator(".pima-tabs")).to_be_visible(timeout=90_000)
    canvas = page.locator(".pima-map canvas").first
    until(lambda: colour_count(canvas, 0) > 30, "the map is drawn", 60)
    page.screenshot(path=pictures / "command.png")
    light = picture_of(canvas)
    page.emulate_media(color_scheme="dark")
    until(lambda: picture_of(canvas) != light, "the ink follows the reader's system")
    red = page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0]
    assert int(red) < 60
    page.screenshot(path=pictures / "command_dark.png")
    lasso(canvas)
    fill(page.get_by_placeholder("name", exact=True), "kept")
    push(page, "New group of the selection")
    expect(page.locator(".pima-table")).to_contain_text("kept")
    page.reload()  # another session, which goes on from what the first has kept
    expect(page.locator(".pima-table")).to_contain_text("kept", timeout=90_000)
    # What the page's libraries ask for elsewhere, the browser does not send.
    elsewhere = {url for url in asked if not url.startswith((address, "data:", "blob:", address.replace("http", "ws")))}
    assert elsewhere <= set(blocked)
    if sys.platform != "linux":
        context.close()
        return
    kernels = sessions(process)
    assert "-ipc-" in Path("/proc/net/unix").read_text()  # no port that other users of the machine could listen to
    context.close()
    for kernel in kernels:
        until(lambda kernel=kernel: not Path(f"/proc/{kernel}").exists(), "the session ends with its page", 60)
    until(lambda: process.poll() == 0, "the server ends without a page", 90)


def test_a_port_that_is_taken_is_a_sentence(stored):
    saved, data = stored
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-c", _MAIN, "app", str(saved), "--data", str(data), "--no-browser"]
        command += ["--port", str(taken.getsockname()[1])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert ended.returncode == 1
    assert "the server ended with code 1" in ended.stderr
