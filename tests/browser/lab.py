"""A JupyterLab for the tests alone, and a notebook in it: show a panel, ask its Python, load the page anew."""

import ast
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

_READY = """() => {
  const notebook = window.jupyterapp?.shell.currentWidget, kernel = notebook?.context?.sessionContext?.session?.kernel;
  return notebook?.context?.isReady && kernel?.status === "idle";
}"""
_ASK = """async (expression) => {
  const kernel = window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel;
  const request = { code: "", user_expressions: { answer: expression }, store_history: false };
  return (await kernel.requestExecute(request).done).content.user_expressions.answer;
}"""
_RUN = """async (source) => {
  const notebook = window.jupyterapp.shell.currentWidget;
  const cell = notebook.content.model.cells.get(0);
  cell.sharedModel.setSource(source);
  await window.jupyterapp.commands.execute("notebook:run-all-cells");
  const fault = cell.outputs.toJSON().find((output) => output.output_type === "error");
  return fault ? fault.ename + ": " + fault.evalue : "";
}"""
_THEME = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def jupyterlab(folder):
    """Start JupyterLab with settings of its own; yields its address and the folder it shows."""
    work, settings = folder / "work", folder / "settings" / "@jupyterlab" / "apputils-extension"
    work.mkdir()
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    own = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    own |= {"JUPYTER_RUNTIME_DIR": str(folder / "runtime"), "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    own |= {"JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces")}
    port = free_port()
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--expose-app-in-browser"]
    log, address = folder / "log.txt", f"http://127.0.0.1:{port}"
    with log.open("w") as words:
        server = subprocess.Popen(command, cwd=work, env=os.environ | own, stdout=words, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + 90
            while not _answers(f"{address}/api"):
                if server.poll() is not None or time.monotonic() > end:
                    raise AssertionError(log.read_text()[-2000:])
                time.sleep(0.1)
            yield address, work
        finally:
            server.terminate()
            server.wait(20)


def _answers(address):
    try:
        with urllib.request.urlopen(address, timeout=1):  # noqa: S310 - our own server
            return True
    except OSError:
        return False


class Notebook:
    """A notebook of one cell, open in a page of its own with a kernel of its own.

    ``show`` puts a panel there, ``ask`` reads what Python holds, ``reload`` loads the page anew, ``shot`` writes a
    screenshot of the panel.
    """

    def __init__(self, browser, lab, name, pictures, *, width=1280, height=1700):
        address, self.folder = lab
        self.pictures = pictures
        cell = {"cell_type": "code", "execution_count": None, "id": "panels", "metadata": {}, "outputs": []}
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        book = {
            "cells": [cell | {"source": ""}],
            "metadata": {"kernelspec": kernel},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        (self.folder / f"{name}.ipynb").write_text(json.dumps(book))
        self.context = browser.new_context(viewport={"width": width, "height": height})
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.page.goto(f"{address}/doc/tree/{name}.ipynb")
        self.page.wait_for_function(_READY)

    def run(self, source):
        """Run the cell with this source; its error is raised here."""
        if fault := self.page.evaluate(_RUN, source):
            raise AssertionError(fault)

    def show(self, source):
        """Put the panel that the source makes on the page, as ``panel``; returns the page."""
        self.run(f"panel = {source}\npanel")
        self.page.locator(".pima-panel").first.wait_for()
        return self.page

    def ask(self, expression):
        """Return the value of an expression in the notebook's Python, by way of JSON."""
        answer = self.page.evaluate(_ASK, f"__import__('json').dumps({expression})")
        assert answer["status"] == "ok", answer
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def reload(self):
        """Save, and load the page anew; Python goes on as it was."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        self.page.reload()
        self.page.wait_for_function(_READY)
        self.page.locator(".pima-panel").first.wait_for()

    def theme(self, name):
        """Put on a theme, "Light" or "Dark"."""
        self.page.evaluate(_THEME, f"JupyterLab {name}")
        light = "true" if name == "Light" else "false"
        self.page.locator(f"body[data-jp-theme-light={light}]").wait_for(state="attached")

    def shot(self, name):
        """Write a screenshot of the panel."""
        self.page.mouse.move(1, 1)
        self.page.wait_for_timeout(300)  # the last frame is drawn
        safe = re.sub(r"\W+", "_", name)
        self.page.locator(".pima-panel").first.screenshot(path=self.pictures / f"{safe}.png")

    def close(self):
        """Close the page; the server ends the kernel with itself."""
        self.context.close()
