"""The command `pima`: try the toolkit, and see which physics it knows.

Heavy libraries load when a command needs them, so that ``pima --help`` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pima_toolkit as pima

from . import demo as studies
from .errors import PimaError, require

typer = require("typer", "the command line")
rich_console = require("rich.console", "the command line")
rich_table = require("rich.table", "the command line")

app = typer.Typer(
    name="pima",
    no_args_is_help=True,
    add_completion=False,
    help="Physics-informed multimodal autoencoders: populations, their physics, one measurement from another.",
)
experts_app = typer.Typer(no_args_is_help=True, help="The physics: experts built in and from plugins.")
app.add_typer(experts_app, name="experts")


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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the figures; made where it is missing.")] = Path("demo-output"),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer specimens: to see that it runs, not how well.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split and the training.", min=0)] = 0,
) -> None:
    """Run the paper's two experiments on data that need no download: lattices and digits. About two minutes."""
    console = rich_console.Console()
    outcomes = []
    for study in studies.STUDIES:
        console.rule(f"{study.name}: {study.clusters} clusters, {study.latent_dim} latent dimensions")
        console.print(f"[dim]{study.remark}[/dim]")
        outcomes.append(studies.run_study(study, out, quick, seed, progress=console.is_terminal))

    table = rich_table.Table(title="Clustering accuracy in %, learned without labels, on specimens held out")
    for name in ("data", "specimens", "from", "here", "the paper"):
        table.add_column(name, justify="right" if name in ("specimens", "here") else "left")
    for outcome in outcomes:
        study = outcome.study
        rows = zip(("image and curve", "image only", "curve only"), outcome.accuracies, study.paper, strict=True)
        for row, (source, accuracy, paper) in enumerate(rows):
            first = (study.name, str(outcome.specimens)) if row == 0 else ("", "")
            table.add_row(*first, source, f"{accuracy:.2f}", paper, end_section=row == 2)
    console.print(table)
    console.print("The paper's figures are for its own data of the same kind (arXiv:2202.03242), for orientation:")
    for outcome in outcomes:
        console.print(f"  {outcome.study.name}: {outcome.study.remark}.", soft_wrap=True)
    for outcome in outcomes:
        console.print(f"{outcome.study.name}: {outcome.seconds:.0f} s, {len(outcome.figures)} figures:")
        for path in outcome.figures:
            console.print(f"  {path}", soft_wrap=True, highlight=False)


@experts_app.command("list")
def experts_list() -> None:
    """List every expert that `Physics("name")` knows, with its parameters and their units."""
    table = rich_table.Table()
    for name in ("name", "t", "parameters [unit]", "what it is"):
        table.add_column(name.replace("[", r"\["), overflow="fold")
    for name, expert in sorted(pima.experts.experts().items()):
        shown = ", ".join(rf"{p.name} \[{p.unit}]" for p in expert.shown)
        table.add_row(name, expert.t, shown, (expert.__doc__ or "").strip().partition("\n")[0])
    console = rich_console.Console()
    console.print(table)
    console.print(r"\[{y}] and \[{t}] stand for the units of the curve and of its independent variable.")


def main() -> None:
    """Run the command; an error the toolkit raises on purpose is one sentence, not a traceback."""
    try:
        app()
    except PimaError as error:
        typer.echo(f"pima: {error}", err=True)
        sys.exit(1)
