"""`pima baselines`: how well simple methods predict one modality from others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pima_toolkit as pima

from ..errors import require
from ..units import two_digits, value_with_error
from .options import CommandOutput, Json, Plugin, Quiet

typer = require("typer", "the command line")
rich_table = require("rich.table", "the command line")
rich_box = require("rich.box", "the command line")

EXAMPLES = """
Examples:

  pima baselines tests.nc --target stress --given photo

  pima baselines specimens/ --target stress --given photo --given oven --groups plate --expert voce
"""


def baselines(
    data: Annotated[Path, typer.Argument(help="Dataset (.nc, .zarr), or a folder of files.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="What to predict.", show_default=False)],
    given: Annotated[
        list[str], typer.Option("--given", "-g", help="What from: modality or setting; repeat it.", show_default=False)
    ],
    groups: Annotated[str | None, typer.Option("--groups", help="Coordinate whose equal values stay together.")] = None,
    folds: Annotated[str, typer.Option("--folds", help="How many, or the coordinate that holds your own.")] = "5",
    expert: Annotated[str | None, typer.Option("--expert", help="Law of the target curve.")] = None,
    method: Annotated[list[str] | None, typer.Option("--method", help="Method to try; all by default.")] = None,
    seed: Annotated[int, typer.Option("--seed", "-s", help="Same seed, same table.", min=0)] = 0,
    plugin: Plugin = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Predict one modality from others by simple methods, on held-out specimens: what a model has to beat."""
    output = CommandOutput(quiet, as_json)
    for file in plugin or []:
        pima.load_plugin(file)
    read = pima.runs.read_source(data).data
    number = int(folds) if folds.lstrip("-").isdigit() else folds
    found = pima.baselines(
        read, target, given, groups=groups, folds=number, seed=seed, expert=expert, methods=method or None
    )
    unit = str(found["rmse"].attrs["units"])
    shown = rich_table.Table(box=rich_box.SIMPLE_HEAD)
    for name in ("baseline", "RMSE, held out", "above the best", "in the 90 % band", "width of the band", "seconds"):
        shown.add_column(name, justify="left" if name == "baseline" else "right")
    rows = []
    for name in found["baseline"].values.tolist():
        one = found.sel(baseline=name)
        row = {str(k): v.item() for k, v in one.data_vars.items() if not v.dims}
        rows.append({"baseline": name, **row, "rmse_by_fold": one["rmse_by_fold"].values.tolist()})
        above = value_with_error(row["rmse_above_best"], row["rmse_above_best_std_error"])
        shown.add_row(
            name,
            value_with_error(row["rmse"], row["rmse_std_error"], unit),
            "" if name == found.attrs["best"] else above,
            f"{100 * row['coverage']:.1f} %",
            two_digits(row["band_width"]),
            f"{row['seconds']:.1f}",
        )
    if not output.silent:
        output.console.print(shown)
    for words in ("how", "left_out", "reading"):
        if found.attrs[words]:
            output.say(found.attrs[words])
    output.end({"baselines": rows, **found.attrs})
