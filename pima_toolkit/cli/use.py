"""`pima infer`, `pima generate`, `pima report`: what a fit is good for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pima_toolkit as pima

from ..errors import require
from .options import FitPath, Json, Plugin, Quiet, Voice

typer = require("typer", "the command line")


def _opened(path: Path, plugin: list[Path] | None) -> pima.Fit:
    for file in plugin or []:
        pima.load_plugin(file)
    return pima.runs.open_fit(path)


def infer(
    fit: FitPath,
    data: Annotated[str, typer.Argument(help="Specimens: a dataset with any of the modalities.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File for the answer: .nc.")] = Path("predictions.nc"),
    predict: Annotated[list[str] | None, typer.Option("--predict", help="Modality to predict; all by default.")] = None,
    coverage: Annotated[float, typer.Option("--coverage", help="Share of new measurements a band holds.")] = 0.9,
    seed: Annotated[int, typer.Option("--seed", help="Of the samples behind neural predictions.")] = 0,
    plugin: Plugin = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what specimens are, and predict what was not measured of them."""
    voice = Voice(quiet, as_json)
    fitted = _opened(fit, plugin)
    source = pima.runs.read_source(Path(data))
    answer = fitted.infer(source.data, predict=predict, coverage=coverage, seed=seed)
    written = pima.save_data(answer, out)
    counts = [int((answer["cluster"] == c).sum()) for c in range(answer.sizes["cluster"])]
    strange = [str(s) for s in answer["specimen"].values[answer["out_of_population"].values]]
    voice.say(f"{answer.sizes['specimen']} specimens, in clusters of {', '.join(map(str, counts))}")
    if strange:
        voice.say(f"unlike every population: {', '.join(strange[:10])}{' ...' if len(strange) > 10 else ''}")
    voice.say(f"written: {written}")
    voice.end({"files": [written], "specimens": sum(counts), "clusters": counts, "out_of_population": strange})
