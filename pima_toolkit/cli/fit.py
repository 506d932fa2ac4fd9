"""`pima fit`: from data to a run folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pima_toolkit as pima

from ..errors import OptionError, require
from .options import CommandOutput, Json, Plugin, Quiet, named, number_or_auto, setting
from .reading_options import with_reading

typer = require("typer", "the command line")

EXAMPLES = """
Examples:

  pima fit lattice.nc --physics stress=linear_hardening --neural image --clusters 2 -o run

  pima fit tests-2024/ --geometry --physics stress=voce --clusters 2

  pima fit specimens/ --physics "stress=K*strain**n" --clusters 3 --set training.patience=10

  pima fit --options run/options.toml -o again     (repeats a run exactly)

The same command again goes on where it was stopped or killed; a finished run stays as it is.
"""


@with_reading
def fit(
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Dataset (.nc, .zarr), or a folder of files.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; DATA-run beside you by default.")
    ] = None,
    physics: Annotated[
        list[str] | None,
        typer.Option(
            "--physics",
            "-p",
            metavar="NAME=EXPERT",
            help="Physics of a curve, by names or as a formula.",
        ),
    ] = None,
    neural: Annotated[
        list[str] | None, typer.Option("--neural", "-n", metavar="NAME", help="A neural modality.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="NAME", help="A variable to leave out.")
    ] = None,
    clusters: Annotated[
        str | None,
        typer.Option(
            "--clusters",
            "-c",
            metavar="INTEGER|auto",
            callback=number_or_auto,
            help="Number of populations, or auto: found in the curves.",
        ),
    ] = None,
    latent_dim: Annotated[int | None, typer.Option("--latent-dim", "-l", help="Latent dimensions.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", "-s", help="Same seed, same machine: same numbers.")] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes over the data.")] = None,
    restarts: Annotated[int | None, typer.Option("--restarts", help="Runs, of which the best is kept.")] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", help="Processes of this machine that train one model together.")
    ] = None,
    track: Annotated[
        str | None, typer.Option("--track", help="Numbers of every epoch too: csv or tensorboard.")
    ] = None,
    baselines: Annotated[
        bool, typer.Option(help="Set predictions of specimens held out beside simple methods, in the report.")
    ] = True,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")] = None,
    options: Annotated[Path | None, typer.Option("--options", help="TOML file with options.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any option, as in TOML: training.patience=5."),
    ] = None,
    plugin: Plugin = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start anew where there is a run already.")] = False,
    update_data: Annotated[
        bool, typer.Option("--update-data", help="Start anew where the data of the run have changed or grown.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
    reading: dict | None = None,
) -> None:
    """Fit a model to data, in a folder with everything: options, fit, tables, report."""
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    output = CommandOutput(quiet or not first, as_json and first)
    wanted = {} if options is None else pima.runs.read_options(options)
    modalities = {name: {"kind": "physics", "expert": e} for name, e in named(physics, "--physics", "y=affine").items()}
    modalities |= {name: {"kind": "neural"} for name in neural or []}
    modalities |= {name: {"kind": "none"} for name in without or []}
    model = {"clusters": clusters, "latent_dim": latent_dim}
    training = {"seed": seed, "epochs": epochs, "restarts": restarts, "device": device}
    given = {
        "modalities": modalities,
        "model": {k: v for k, v in model.items() if v is not None},
        "training": {k: v for k, v in training.items() if v is not None},
    }
    for over in (given, {"reading": reading} if reading else {}, *map(setting, settings or [])):
        wanted = pima.runs.merge(wanted, over)
    if data is not None:
        wanted["data"] = data
    if reading and str(wanted.get("data", "")).lower().endswith((".nc", ".zarr")):
        raise OptionError(
            f"{wanted['data']} is a dataset, which is read as it is: options of reading ({', '.join(reading)}) are for "
            "a folder of files"
        )
    if plugin:
        wanted["plugins"] = [str(path.resolve()) for path in plugin]
    folder = out or Path(f"{Path(str(wanted.get('data', 'pima'))).stem or 'pima'}-run")
    said = {
        "overwrite": overwrite,
        "update_data": update_data,
        "track": track,
        "baselines": baselines,
        "progress": output.progress,
        "say": output.say,
    }
    outcome = (
        pima.runs.run(folder, wanted, **said)
        if processes is None
        else pima.runs.run_together(processes, folder, wanted, **said)
    )
    if outcome.finished_before:
        output.say(f"{folder} is finished, with the same data and options: nothing to do (--overwrite starts anew)")
    else:
        output.say(outcome.fit.report())
        output.say(f"\neverything is in {folder}; to read: {outcome.folder.report}")
    output.end(pima.runs.summary(outcome))
    if outcome.fit.interrupted:
        output.say("stopped by hand: the fit so far is kept, the same command goes on")
        raise typer.Exit(130)
