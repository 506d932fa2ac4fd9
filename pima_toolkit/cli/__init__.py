"""The command `pima`: one file per group of commands, put together here.

Heavy libraries load when a command needs them, so that ``pima --help`` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import pima_toolkit as pima

from ..errors import PimaError, require
from . import demo, experts

typer = require("typer", "the command line")

app = typer.Typer(
    name="pima",
    no_args_is_help=True,
    add_completion=False,
    help="Physics-informed multimodal autoencoders: populations, their physics, one measurement from another.",
)
app.command("demo")(demo.demo)
app.add_typer(experts.app, name="experts")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pima_toolkit {pima.__version__}")
        raise typer.Exit


@app.callback()
def before(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Read the options that stand before a command."""


def main() -> None:
    """Run the command; an error the toolkit raises on purpose is one sentence, not a traceback."""
    try:
        app()
    except PimaError as error:
        typer.echo(f"pima: {error}", err=True)
        sys.exit(1)
