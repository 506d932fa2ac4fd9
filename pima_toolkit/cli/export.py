"""`pima report` and `pima export`: a fit written for people, and for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import xarray as xr

import pima_toolkit as pima

from ..errors import require
from .options import CommandOutput, FitPath, Json, Plugin, Quiet, opened

typer = require("typer", "the command line")

EXPORT = """
Example: pima export run -o tables --format csv,xlsx --figures svg,pdf
"""
Data = Annotated[
    Path | None, typer.Option("--data", help="The training data, where they are not where the run found them.")
]


def _data(fit: Path, data: Path | None, output: CommandOutput) -> xr.Dataset | None:
    """Read the training data, from the path that is given or from where the run found them."""
    if data is not None:
        return pima.runs.read_source(data).data
    kept = pima.runs.training_data(fit)
    if kept is None:
        output.say("the training data are not there or have changed: no pictures, no predictions (--data gives them)")
    return kept


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def report(
    fit: FitPath,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the report as HTML here, too.")] = None,
    data: Data = None,
    plugin: Plugin = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show the populations, their physics with errors and units, and what to be careful about."""
    output = CommandOutput(quiet, as_json)
    fitted = opened(fit, plugin)
    output.say(fitted.report())
    written = []
    if out is not None:
        measured = None if fitted.interrupted else _data(fit, data, output)
        written = [fitted.save_report(out, measured)]
    output.wrote(written)
    output.end({**pima.runs.fit_summary(fitted), "files": written})


def export(
    fit: FitPath,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder; made where it is missing.", show_default=False)],
    formats: Annotated[str, typer.Option("--format", help="Formats of tables, with commas: csv, xlsx, nc.")] = "csv",
    figures: Annotated[
        str, typer.Option("--figures", help="Formats of figures, with commas: svg, pdf, png; '' for none.")
    ] = "svg",
    data: Data = None,
    plugin: Plugin = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the fit as tables and figures: parameters, specimens, populations, predictions with bands."""
    output = CommandOutput(quiet, as_json)
    fitted = opened(fit, plugin)
    measured = None if fitted.interrupted else _data(fit, data, output)
    written = fitted.export(out, measured, formats=_list(formats), figures=_list(figures))
    output.wrote(written)
    output.end({"files": written})
