"""The command `pima`: one file per group of commands, put together here.

Heavy libraries load when a command needs them, so that ``pima --help`` answers at once.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import pima_toolkit as pima

from ..errors import PimaError, PimaWarning, require
from . import baselines, data, demo, experts, export, fit, info, panels, plugins, use
from .signals import stop_by_signals

if TYPE_CHECKING:
    import typer
    import typer.core
else:
    typer = require("typer", "the command line")
    require("typer.core", "the command line")


class _Group(typer.core.TyperGroup):
    """Commands whose errors are sentences: exit code 1 for those raised on purpose, 130 for one that was stopped."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _sentence(warnings.showwarning)
                return super().invoke(ctx)
        except PimaError as error:
            typer.echo(f"pima: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("pima: stopped by hand; the same command goes on from what was written", err=True)
            raise typer.Exit(130) from None


def _sentence(usual: Callable[..., object]) -> Callable[..., None]:
    """Show warnings of the toolkit as sentences, without the line of code they come from; others as usual."""

    def show(message: Warning | str, category: type[Warning], *rest: object, **more: object) -> None:
        if issubclass(category, PimaWarning):
            typer.echo(f"pima: {message}", err=True)
        else:
            usual(message, category, *rest, **more)

    return show


app = typer.Typer(
    name="pima",
    cls=_Group,
    no_args_is_help=True,
    add_completion=False,
    help="Physics-informed multimodal autoencoders: populations, their physics, one measurement from another.",
)
app.command("demo")(demo.demo)
app.command("fit", epilog=fit.EXAMPLES)(fit.fit)
app.command("infer", epilog=use.INFER)(use.infer)
app.command("generate", epilog=use.GENERATE)(use.generate)
app.command("report")(export.report)
app.command("baselines", epilog=baselines.EXAMPLES)(baselines.baselines)
app.command("app", epilog=panels.APP)(panels.app)
app.command("export", epilog=export.EXPORT)(export.export)
app.command("info")(info.info)
app.add_typer(experts.app, name="experts")
app.add_typer(data.app, name="data")
app.add_typer(plugins.app, name="plugins")


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
    """Run the command; what the terminal's encoding lacks is written out instead of ending it."""
    stop_by_signals()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
