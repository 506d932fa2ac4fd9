"""`pima demo`: the paper's two experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from .. import demo as studies
from ..errors import require

typer = require("typer", "the command line")
rich_console = require("rich.console", "the command line")
rich_table = require("rich.table", "the command line")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the figures; made where it is missing.")] = Path("demo-output"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer specimens and epochs: to see that it runs, not how well.")
    ] = False,
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
