"""All that is remembered of a training: its settings, its specimens, how it went, and what was found on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict

import numpy as np
import xarray as xr

from ..errors import OptionError
from ..fitting.options import TrainingSettings
from ..model.curves import Curves


class Restarts(TypedDict):
    """Comparison of all restarts.

    Args:
        elbo: ELBO of each with the priors of parameters, nats per specimen.
        agreement: Adjusted Rand index of every two, as rows.
    """

    elbo: list[float]
    agreement: list[list[float]]


class HeldOutFigures(TypedDict):
    """How well the curves of a modality are predicted from the others, on specimens held out.

    Args:
        specimens: How many there were.
        rmse: Root mean squared error over their points, in the modality's unit.
        mean_curve: That of the mean of the other training curves; NaN where specimens have grids of their own.
        without: That of the populations' average, with the other modalities unheard.
        coverage: Share of the points inside the model's own 90 % band, before it is widened or narrowed to hold 90 %.
    """

    specimens: int
    rmse: float
    mean_curve: float
    without: float
    coverage: float


class DescribedFigures(TypedDict):
    """How well the training curves of a modality are described, root mean squared errors in its unit.

    Args:
        own: By each specimen's own parameters.
        population: By its likeliest population's curve.
        mean_curve: By the mean of the other curves; NaN where specimens have grids of their own.
    """

    own: float
    population: float
    mean_curve: float


class BesideFigures(TypedDict):
    """How well the curves of a modality are predicted beside simple methods, on the same specimens held out.

    Args:
        methods: Root mean squared errors of the simple methods, by name, in the modality's unit.
        rmse: That of the fit.
        best: The best of the simple methods.
        above_best: By how much the fit's error is above that of the best.
        above_best_std_error: Standard error of that, paired.
        reading: The result in words.
    """

    methods: dict[str, float]
    rmse: float
    best: str
    above_best: float
    above_best_std_error: float
    reading: str


class NumberFacts(TypedDict):
    """How the number of populations was found.

    Args:
        tried: Numbers of populations.
        icl: Integrated completed likelihood of each, lower is better.
        possible: Those that it cannot be told from, itself included.
    """

    tried: list[int]
    icl: list[float]
    possible: list[int]


class Facts(TypedDict):
    """Plain facts of a training, which a report tells and a saved fit keeps as JSON.

    Args:
        seconds: How long it took.
        interrupted: Whether it was stopped by hand before its end.
        restart: Number of the best restart.
        restarts: Comparison of the restarts.
        device: Where it ran.
        bfloat16: Whether its networks ran in that precision.
        versions: By name of the software.
        specimens: How many there were.
        present: How many of them have each modality.
        data: sha256 of the data.
        title: Title of the dataset, empty where it has none.
        synthetic: Whether the data were generated, not measured.
        out_of_population: How many training specimens are unlike every cluster.
        described: How well training curves are described, by modality.
        beyond_quadratic: By modality, share of the training curves that say more of their parameters than the quadratic
            they are described by: at bounds and kinks, or with several optima.
        held_out: How well curves are predicted, by modality; empty where nothing was held out.
        beside: How well beside simple methods, by modality; where that was asked for.
        number: How the number of populations was found; where it was not given.
        names: What people call the populations; where they were named.
    """

    seconds: float
    interrupted: bool
    restart: int
    restarts: NotRequired[Restarts]
    device: str
    bfloat16: bool
    versions: dict[str, str]
    specimens: int
    present: dict[str, int]
    data: str
    title: str
    synthetic: bool
    out_of_population: NotRequired[int]
    described: NotRequired[dict[str, DescribedFigures]]
    beyond_quadratic: NotRequired[dict[str, float]]
    held_out: NotRequired[dict[str, HeldOutFigures]]
    beside: NotRequired[dict[str, BesideFigures]]
    number: NotRequired[NumberFacts]
    names: NotRequired[list[str]]


@dataclass(frozen=True)
class TrainingRecord:
    """The memory of a training. No answer for new specimens depends on it.

    Args:
        settings: How the model was trained.
        specimens: The training specimens: responsibilities, clusters and parameters, see
            :attr:`pima_toolkit.Fit.specimens`.
        history: One row per epoch.
        facts: Plain facts that a report tells.
        quality: How well each law fits its clusters, by physics modality, as
            :func:`pima_toolkit.answers.trust.goodness_of_fit.quality` says; empty in a fit of a file older than that.
        curves: The measured curves, by physics modality; empty in a fit read from a file.
    """

    settings: TrainingSettings
    specimens: xr.Dataset
    history: xr.Dataset
    facts: Facts
    quality: Mapping[str, Mapping[str, list]] = field(default_factory=dict)
    curves: Mapping[str, Curves] = field(default_factory=dict)


def checked_names(names: Sequence[str], clusters: int) -> list[str]:
    """Names of the populations as they are kept.

    Raises:
        OptionError: If there is not one for each population, or two are alike or empty.
    """
    given = [names] if isinstance(names, str) else list(names)
    usable = all(isinstance(name, str) and name.strip() for name in given)
    if len(given) != clusters or not usable or len(set(given)) < clusters:
        raise OptionError(
            f"names={given}: expected {clusters} names, one for each population in the order of their numbers, none"
            " empty and no two alike"
        )
    return given


def named(table: xr.Dataset, record: TrainingRecord) -> xr.Dataset:
    """A table with the names of the populations, where some were given.

    ``population`` stands along ``cluster``, and ``belongs_to`` along ``specimen``, empty for one that is of none.
    """
    names = np.array(record.facts.get("names", []), dtype=object)
    if not len(names):
        return table
    if "cluster" in table.dims:
        table = table.assign_coords(population=("cluster", names))
    if "cluster" in table.variables and table["cluster"].dims == ("specimen",):
        best = table["cluster"].values
        table = table.assign_coords(belongs_to=("specimen", np.where(best < 0, "", names[best])))
    return table
