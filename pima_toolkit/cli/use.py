"""`pima infer` and `pima generate`: answers of a fit for specimens, and new specimens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pima_toolkit as pima

from ..data import population_names
from ..errors import OptionError, require
from .options import CommandOutput, FitPath, Json, Plugin, Quiet, opened

typer = require("typer", "the command line")

INFER = """
Examples:

  pima infer run new.nc -o predictions.csv

  pima infer lattice.pima photographs/ --predict stress --coverage 0.95 -o predictions.xlsx
"""
GENERATE = """
Example: pima generate run --cluster 0 -n 16 -o new.nc
"""
#: Specimens shown on the screen.
_SHOWN = 20


def _ending(path: Path | None) -> Path | None:
    """Refuse a file name before the work is done."""
    if path is not None and path.suffix.lower() not in (".nc", ".zarr", ".csv", ".xlsx"):
        raise typer.BadParameter(f"{path.name!r} ends in none of .nc, .zarr, .csv, .xlsx")
    return path


Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", callback=_ending, help="File for the answer: .nc, .zarr, .csv or .xlsx."),
]


def _share(coverage: float) -> float:
    """Refuse a percentage before anything is read, as ``infer`` would, without loading torch."""
    if not 0.0 < coverage < 1.0:
        meant = f"{coverage / 100:g}" if 1.0 < coverage < 100.0 else "0.9"
        raise OptionError(f"coverage={coverage:g}: expected a share between 0 and 1, such as {meant}")
    return coverage


def infer(
    fit: FitPath,
    data: Annotated[Path, typer.Argument(help="Specimens with any of the modalities: .nc, .zarr or a folder.")],
    out: Out = None,
    predict: Annotated[list[str] | None, typer.Option("--predict", help="Modality to predict; all by default.")] = None,
    coverage: Annotated[
        float, typer.Option("--coverage", callback=_share, help="Share of new measurements a band holds, such as 0.95.")
    ] = 0.9,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the samples behind neural predictions.", min=0)] = 0,
    plugin: Plugin = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what specimens are, and predict what was not measured of them."""
    output = CommandOutput(quiet, as_json)
    fitted = opened(fit, plugin)
    answer = fitted.infer(pima.runs.new_data(fit, fitted, data), predict=predict, coverage=coverage, seed=seed)
    written = [] if out is None else pima.runs.write_answer(answer, out, "predictions")
    specimens = [
        {
            "specimen": label,
            "cluster": int(cluster),
            "probability": float(gamma.max()),
            "responsibilities": gamma.tolist(),
            "out_of_population": bool(strange),
            "remark": str(remark),
        }
        for label, cluster, gamma, strange, remark in zip(
            answer["specimen"].values.tolist(),
            answer["cluster"].values,
            answer["responsibilities"].values,
            answer["out_of_population"].values,
            answer["remark"].values,
            strict=True,
        )
    ]
    names = population_names(answer)
    for row in specimens[:_SHOWN]:
        known = [names[row["cluster"]], f"{100 * row['probability']:.1f} %"] if row["cluster"] >= 0 else []
        output.say(f"{row['specimen']}: {', '.join(filter(None, [*known, row['remark']]))}")
    if len(specimens) > _SHOWN:
        output.say(f"... and {len(specimens) - _SHOWN} more")
    if out is None:
        output.say("predicted curves, pictures and parameters: -o FILE writes them")
    output.wrote(written)
    output.end({"specimens": specimens, "files": written})


def generate(
    fit: FitPath,
    cluster: Annotated[int, typer.Option("--cluster", "-c", help="Which population.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", callback=_ending, help="File: .nc, .zarr, .csv or .xlsx.")],
    n: Annotated[int, typer.Option("-n", help="How many specimens.")] = 16,
    seed: Annotated[int, typer.Option("--seed", help="Same seed: same specimens.", min=0)] = 0,
    plugin: Plugin = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make new specimens of one population."""
    output = CommandOutput(quiet, as_json)
    generated = opened(fit, plugin).generate(cluster, n, seed=seed)
    written = pima.runs.write_answer(generated, out)
    pictures = [str(k) for k, v in generated.data_vars.items() if v.ndim > 2]
    if pictures and out.suffix.lower() not in (".nc", ".zarr"):
        output.say(f"a table holds no pictures ({', '.join(pictures)}): write .nc for them")
    output.wrote(written)
    output.end({"specimens": n, "cluster": cluster, "files": written})
