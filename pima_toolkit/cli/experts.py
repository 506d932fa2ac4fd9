"""`pima experts`: which physics there is."""

from __future__ import annotations

import pima_toolkit as pima

from ..errors import require

typer = require("typer", "the command line")
rich_console = require("rich.console", "the command line")
rich_table = require("rich.table", "the command line")

app = typer.Typer(no_args_is_help=True, help="The physics: experts built in and from plugins.")


@app.callback()
def before() -> None:
    """Keep `list` a name of its own, though it stands alone."""


@app.command("list")
def experts_list() -> None:
    """List every expert that `Physics("name")` knows, with its parameters and their units."""
    table = rich_table.Table()
    for name in ("name", "t", "parameters [unit]", "what it is"):
        table.add_column(name.replace("[", r"\["), overflow="fold")
    for name, expert in sorted(pima.experts.experts().items()):
        shown = ", ".join(rf"{p.name} \[{p.unit}]" for p in expert.shown)
        table.add_row(name, ", ".join(expert.inputs), shown, (expert.__doc__ or "").strip().partition("\n")[0])
    console = rich_console.Console()
    console.print(table)
    console.print(r"\[{y}] and \[{t}] stand for the units of the curve and of its independent variable.")
