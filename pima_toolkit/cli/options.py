"""What the commands share: how options are read from the command line, and how they end."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Annotated, Any

import pima_toolkit as pima

from ..errors import OptionError, printable, require

typer = require("typer", "the command line")
rich_console = require("rich.console", "the command line")
rich_text = require("rich.text", "the command line")

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print a summary as JSON, and nothing else.")]
Plugin = Annotated[
    list[Path] | None, typer.Option("--plugin", help="Python file with experts of your own; its code is run.")
]
Folder = Annotated[Path, typer.Argument(help="Folder of pictures and curves.", show_default=False)]
FitPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, or a saved fit (.pima).", show_default=False)
]


def number_or_auto(text: str | None) -> int | str | None:
    """Read a whole number, or the word ``auto``."""
    if text is None or text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number, and not 'auto'") from None


def opened(path: Path, plugin: list[Path] | None) -> pima.Fit:
    """A fit for the commands that use one."""
    for file in plugin or []:
        pima.load_plugin(file)
    return pima.runs.open_fit(path)


def named(texts: list[str] | None, option: str, example: str) -> dict[str, str]:
    """``["stress=affine"]`` as a table.

    Raises:
        BadParameter: If one has no name or no value.
    """
    out = {}
    for text in texts or []:
        name, sign, value = text.partition("=")
        if not (name.strip() and sign and value.strip()):
            raise typer.BadParameter(f"{option} {text!r}: expected NAME=VALUE, such as {option} {example}")
        out[name.strip()] = value.strip()
    return out


def setting(text: str) -> dict:
    """``"training.patience=5"`` as nested tables, the value as in TOML; what is no TOML value is text.

    Raises:
        OptionError: If the key is none.
    """
    key, sign, value = text.partition("=")
    if not sign:
        raise OptionError(f"--set {text!r}: expected KEY=VALUE, such as --set training.patience=5")
    try:
        read: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        read = value.strip()
    for part in reversed(key.strip().split(".")):
        read = {part: read}
    return read


class CommandOutput:
    """What a command says: to people on standard error, or on standard output where that is not for machines.

    Args:
        quiet: Say nothing.
        as_json: Keep standard output for one JSON object.
    """

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self.silent = quiet or as_json
        self.as_json = as_json
        self.console = rich_console.Console(highlight=False)

    @property
    def progress(self) -> bool:
        """Whether a person watches."""
        return self.console.is_terminal and not self.silent

    def say(self, text: str) -> None:
        """Print a line, as it is."""
        if not self.silent:
            self.console.print(printable(text), markup=False, soft_wrap=True)

    def wrote(self, paths: list[Path]) -> None:
        """Name the files."""
        for path in paths:
            self.say(f"written: {path}")

    def end(self, summary: dict) -> None:
        """Print the summary where it was asked for."""
        if self.as_json:
            typer.echo(json.dumps(plain(summary), indent=1, allow_nan=False))


def cell_of(value: object) -> Any:
    """What a cell of a table shows: a text as it is, without markup, that steers no terminal."""
    return rich_text.Text(printable(str(value)))


def plain(value: object) -> object:
    """A value as JSON knows it: numbers that are not finite become null, paths text."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool | None) else str(value)
