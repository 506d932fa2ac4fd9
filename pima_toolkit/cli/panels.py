"""The command `pima app`: the panels in a browser without a notebook, on this machine only, behind a token."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import pima_toolkit as pima

from ..errors import DataError, StorageError, require
from .options import CommandOutput, Plugin

typer = require("typer", "the command line")

APP = """
Examples:

  pima app run                      the fit of a run and its training data

  pima app lattice.pima --data lattice.nc

  pima app specimens/               a folder of files: fit it in the browser

What is fitted and edited is kept as it goes, by default in ./NAME-session, NAME being that of what is opened: the same
command goes on from there, as does a page that is loaded anew.

Ctrl-C ends it; each page that is opened has a session of its own, which ends with the page. The page asks this machine
alone, and nobody else who works on it can see what it shows.
"""


def app(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN_OR_DATA", help="Run, saved fit, dataset or folder of files.", show_default=False),
    ],
    data: Annotated[Path | None, typer.Option("--data", help="With a saved fit: the specimens to look at.")] = None,
    plugin: Plugin = None,
    session: Annotated[
        Path | None, typer.Option("--session", help="Folder that keeps fits and edits.", show_default="<NAME>-session")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port on this machine; 0: a free one.", min=0, max=65535)] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    timeout: Annotated[
        float, typer.Option("--timeout", help="Minutes without a page after which it ends; 0: never.", min=0.0)
    ] = 60.0,
) -> None:
    """Open the panels in a browser: fit, clusters, prediction, expert."""
    output = CommandOutput(quiet=False, as_json=False)
    # What cannot be shown is told here, not in the page.
    for path in [source, *([data] if data else []), *(plugin or [])]:
        if not path.expanduser().exists():
            raise DataError(f"there is no {path}: give the path of a run, a saved fit, a dataset or a folder of files")
    output.say(f"starting: reading {source}, loading the panels and starting a server takes some time; Ctrl-C ends it")
    try:
        call = _checked(_full(source), _full(data) if data else None, [_full(path) for path in plugin or []])
        call["session"] = str(_full(session or Path(f"{_full(source).stem}-session")))
        _serve(call, port, [str(60.0 * timeout)] if browser else ["--no-browser", str(60.0 * timeout)], output)
    except KeyboardInterrupt:
        # Caught here and not for all commands: nothing was written that the same command could go on from.
        output.say("ended")


def _full(path: Path) -> Path:
    return path.expanduser().resolve()


def _checked(source: Path, data: Path | None, plugins: list[Path]) -> dict:
    """Check what is to be shown.

    Args:
        source: A run, a saved fit, a dataset or a folder of files.
        data: With a fit: the specimens to look at, if given.
        plugins: Python files with experts.

    Returns:
        Arguments of ``pima_widgets.open_app``.
    """
    is_fit = source.suffix == ".pima" or (source / "run.json").exists()
    if is_fit:
        pima.runs.open_fit(source)
    if is_fit and data is None and (source.suffix == ".pima" or pima.runs.training_data(source) is None):
        raise DataError(f"the training data of {source} are not there or have changed: give them, --data PATH")
    call = {"source": str(source)}
    call |= {"data": str(data)} if data else {}
    return call | ({"plugins": [str(path) for path in plugins]} if plugins else {})


def _serve(call: dict, port: int, options: list[str], output: CommandOutput) -> None:
    """Serve the page until somebody ends it, or nobody looks at it any more.

    Args:
        call: Arguments of ``pima_widgets.open_app``.
        port: Port on this machine; 0 for a free one.
        options: Of the server, the last of them its seconds without a page.
        output: Says where the page is.
    """
    require("voila", "pages of their own")
    pima.app  # noqa: B018 - raises a sentence that says what to install where the widget libraries are missing
    with tempfile.TemporaryDirectory(prefix="pima-app-") as folder:
        token, port = secrets.token_urlsafe(32), port or _free_port()
        notebook = _write(Path(folder), call, token, port)
        output.say(f"open http://127.0.0.1:{port}/?token={token}\nCtrl-C ends it")
        command = [sys.executable, "-m", "pima_toolkit.cli.page_server", str(notebook), *options]
        # The settings with the token lie in the folder, which nobody else can read, and not on the command line.
        process = subprocess.Popen(command, cwd=folder)  # noqa: S603 - our own interpreter and file
        try:
            code = process.wait()
        finally:
            process.terminate()
            process.wait(20)
    if code:
        raise StorageError(f"the server ended with code {code}: its own words stand above")


def _write(folder: Path, call: dict, token: str, port: int) -> Path:
    """Write the server's settings and the one page it serves.

    Args:
        folder: Where they are written.
        call: Arguments of ``pima_widgets.open_app``.
        token: The page's token.
        port: Port on this machine.

    Returns:
        The page, a notebook.
    """
    # Whatever the page and its libraries ask for, the browser asks nobody but this server.
    own = f"'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws://127.0.0.1:{port} ws://localhost:{port}"
    headers = {"Content-Security-Policy": f"default-src {own}; frame-ancestors 'self'"}
    server = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "token": token}
    server |= {"tornado_settings": {"headers": headers}}
    page = {"strip_sources": True, "show_tracebacks": True, "theme": "light", "file_allowlist": ["^$"]}
    config: dict[str, dict] = {"Voila": server, "VoilaConfiguration": page}
    if sys.platform == "linux":  # what a session says over a port of the machine, every user of it could read
        config["KernelManager"] = {"transport": "ipc"}
    (folder / "voila.json").write_text(json.dumps(config), encoding="utf-8")
    # A kernel starts in the page's own folder; what people write from the page belongs where they called the command.
    change = f"import json\nimport os\nimport pima_widgets\nos.chdir({str(Path.cwd())!r})\n"
    text = f"{change}pima_widgets.open_app(**json.loads({json.dumps(call)!r}))"
    cell = {"cell_type": "code", "execution_count": None, "id": "panels", "metadata": {}, "outputs": [], "source": text}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path = folder / "pima.ipynb"
    path.write_text(json.dumps(book), encoding="utf-8")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
