"""`pima experts`: list the physics there is, show one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import pima_toolkit as pima

from ..errors import require

typer = require("typer", "the command line")
rich_console = require("rich.console", "the command line")
rich_markup = require("rich.markup", "the command line")
rich_table = require("rich.table", "the command line")

app = typer.Typer(no_args_is_help=True, help="The physics: experts built in and from plugins.")


@app.command("list")
def experts_list() -> None:
    """List every expert that `Physics("name")` knows, by field: what it is, its parameters and its inputs."""
    console = rich_console.Console(highlight=False)
    known = pima.experts.experts()
    names = [name for record in pima.experts.plugin_records().values() for name in record.experts]
    cards = [pima.experts.card_of(known[name]) for name in names]
    width = max(map(len, names), default=0)
    for field, group in itertools.groupby(cards, key=lambda card: card.field):
        table = rich_table.Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=width, no_wrap=True)
        table.add_column()
        for card in group:
            of = f"{', '.join(p.name for p in known[card.name].reported)} of {', '.join(known[card.name].inputs)}"
            table.add_row(card.name, f"{rich_markup.escape(card.summary)} [dim]{rich_markup.escape(of)}[/dim]")
        console.print(f"\n[bold]{rich_markup.escape(field)}[/bold]")
        console.print(table)
    console.print(f"\n{len(names)} experts. `pima experts show NAME`: equation, units, bounds, validity, source.")
    console.print("For curves without a law: principal_curves, which a fit learns from them.")


@app.command("show")
def experts_show(
    name: Annotated[str, typer.Argument(help="Name of the expert, as `pima experts list` shows it.")],
    figure: Annotated[
        Path | None, typer.Option(help="Draw it to this file: .svg, .png or .pdf; made or replaced.")
    ] = None,
) -> None:
    """Show one expert: equation, parameters with units and bounds, where it is valid, who found it."""
    expert = pima.get_expert(name)
    card = pima.experts.card_of(expert)
    console = rich_console.Console(highlight=False)

    def tell(head: str, text: str) -> None:
        if text:
            console.print(f"[bold]{head}[/bold] {rich_markup.escape(text)}".strip(), soft_wrap=True)

    tell(card.name, card.summary)
    tell("Fitted:", f"y = {card.formula}" if card.formula else "")
    tell("Equation:", card.equation)
    tell("Of:", ", ".join(expert.inputs))
    table = rich_table.Table()
    for head in ("parameter", "unit", "bounds", "meaning"):
        table.add_column(head, overflow="fold")
    for row in card.rows:
        table.add_row(*(rich_markup.escape(cell) for cell in row))
    console.print(table)
    tell("Note:", card.remarks)
    tell("Valid for:", card.valid_for)
    tell("Source:", card.source)
    tell("From:", "" if expert.origin is None else str(expert.origin))
    if any("{" in unit for _, unit, _, _ in card.rows):
        console.print("{y} and {t} stand for the units of the curve and of its independent variable.")
    if figure is not None:
        pima.save_figure(pima.plots.plot_expert(expert), figure, dpi=150)
        tell("Figure:", str(figure))
