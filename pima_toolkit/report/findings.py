"""Everything that a report, an export or a text shows of a fit, as plain xarray, numbers and sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from numpy.typing import NDArray


@dataclass(frozen=True)
class DescribedCurves:
    """How well the training curves of a modality are described: root mean squared errors, in its unit.

    Args:
        own: By each specimen's own parameters.
        population: By the curve of its likeliest population.
        mean_curve: By the mean of the other curves; NaN where specimens have grids of their own.
    """

    own: float
    population: float
    mean_curve: float


@dataclass(frozen=True)
class PredictedCurves:
    """How well the curves of a modality are predicted from the other modalities, on specimens held out.

    Args:
        specimens: How many there were.
        rmse: Root mean squared error over their points, in the modality's unit.
        mean_curve: That of the mean of the other curves; NaN where specimens have grids of their own.
        average: That of the populations' average, with the other modalities unheard.
        coverage: Share of the points inside the model's own 90 % band, before it is widened or narrowed.
    """

    specimens: int
    rmse: float
    mean_curve: float
    average: float
    coverage: float


@dataclass(frozen=True)
class BesideSimpleMethods:
    """How well the curves of a modality are predicted beside simple methods, on the same specimens held out.

    Args:
        rmse: Root mean squared errors by name, the fit's and theirs, in the modality's unit.
        reading: The result in words.
    """

    rmse: Mapping[str, float]
    reading: str


@dataclass(frozen=True)
class ModalityFindings:
    """One modality, as a report describes it.

    Args:
        kind: ``"curve"``, ``"image"``, ``"volume"``, ``"vector"`` or ``"scalar"``.
        unit: Its unit, ``"1"`` for none.
        size: The size of one measurement in words: ``16 × 16``, or ``51 points of strain, 0 to 0.2``.
        present: Number of training specimens that have it.
        expert: Name of the expert that describes it; None for a neural network.
        origin: The plugin that brought the expert, in words; None where the expert is the user's own.
        law: The expert's law as people type it; empty where it has none.
        latex: The same law as LaTeX.
        mathml: Its right-hand side as MathML; empty where it has none.
        source: Who found the law, and where it is written; empty where nobody says.
        band: Share of the training points that the model's own 90 % band held; NaN without an expert.
        described: How well its training curves are described; None without an expert.
        predicted: How well its curves are predicted; None where nothing was held out.
        beside: How well beside simple methods; None where that was not asked for.
    """

    kind: str
    unit: str
    size: str
    present: int
    expert: str | None = None
    origin: str | None = None
    law: str = ""
    latex: str = ""
    mathml: str = ""
    source: str = ""
    band: float = float("nan")
    described: DescribedCurves | None = None
    predicted: PredictedCurves | None = None
    beside: BesideSimpleMethods | None = None

    def in_unit(self, value: float) -> str:
        """An error with its unit, in the digits of the summary; a dash where there is none."""
        if math.isnan(value):
            return "–"
        return f"{value:.3g}" + ("" if self.unit == "1" else f" {self.unit}")


@dataclass(frozen=True)
class HowMade:
    """How a fit was made, for a paragraph on methods and for who makes it again.

    Args:
        inference: ``"evidence"`` or ``"paper"``, as in :class:`pima_toolkit.PIMA`.
        number_found: Whether the number of populations was found in the curves.
        folds: Folds of specimens held out; 0 where none were.
        groups: What says which specimens were held out together; empty where each was by itself.
        versions: Of the software, by name.
        program: Lines of Python that make the fit again.
    """

    inference: str
    number_found: bool
    folds: int
    groups: str
    versions: Mapping[str, str]
    program: str


@dataclass(frozen=True)
class Findings:
    """Answers of a fit, gathered by :func:`pima_toolkit.api.findings.gather` and ready to be laid out.

    Args:
        title: Name of the training data; empty where they have none.
        synthetic: Whether the training data are generated, not measured.
        seed: Seed of the training.
        seconds: How long the training took.
        device: Where it ran.
        modalities: Descriptions by name, in the order of the model.
        parameters: As :attr:`pima_toolkit.Fit.parameters`.
        specimens: As :attr:`pima_toolkit.Fit.specimens`.
        populations: As :attr:`pima_toolkit.Fit.clusters`.
        history: As :attr:`pima_toolkit.Fit.history`.
        cautions: Sentences on what to be careful about, the serious first; never empty.
        restarts: A sentence on how far restarts agree.
        sure: A specimen counts as assigned where the probability of its cluster is at least this.
        made: Rows (what, value): versions, time, options and settings in words.
        how: The same as plain values, and as a program.
        believed: By modalities heard together (``"image and settings"``), then by voice, a sentence on how far what it
            says of curves is believed, and why; empty where nothing was held out.
        effects: As :attr:`pima_toolkit.Fit.effects`; None where parameters depend on no covariate.
        batches: As :attr:`pima_toolkit.Fit.batches`; None where there are none.
        associations: As :meth:`pima_toolkit.Fit.associations`; None where settings were not tested.
        portraits: As :meth:`pima_toolkit.Fit.portraits`; None where settings were not tested.
        data: The training data; None where they were not given. The next three go with them.
        pictured: Which training specimens have a picture, (specimen,), by modality.
        answer: As :meth:`pima_toolkit.Fit.infer` of the training data.
        next_measurements: As :meth:`pima_toolkit.Fit.next_measurements`, by modality, for those that are not complete.
        new: Other specimens; None where none were given.
        predictions: As :meth:`pima_toolkit.Fit.infer` of those.
    """

    title: str
    synthetic: bool
    seed: int
    seconds: float
    device: str
    modalities: Mapping[str, ModalityFindings]
    parameters: xr.Dataset
    specimens: xr.Dataset
    populations: xr.Dataset
    history: xr.Dataset
    cautions: list[str]
    restarts: str
    sure: float
    made: list[tuple[str, str]]
    how: HowMade
    believed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    effects: xr.Dataset | None = None
    batches: xr.Dataset | None = None
    associations: xr.Dataset | None = None
    portraits: xr.Dataset | None = None
    data: xr.Dataset | None = None
    pictured: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    answer: xr.Dataset | None = None
    next_measurements: Mapping[str, xr.Dataset] = field(default_factory=dict)
    new: xr.Dataset | None = None
    predictions: xr.Dataset | None = None

    @property
    def physics(self) -> list[str]:
        """Names of the modalities that an expert describes."""
        return [name for name, modality in self.modalities.items() if modality.expert is not None]

    @property
    def curves(self) -> list[str]:
        """Names of the curves among those: a vector or a number that an expert describes is no curve."""
        return [name for name in self.physics if self.modalities[name].kind == "curve"]

    @property
    def images(self) -> list[str]:
        """Names of the pictures, which a network describes."""
        return [name for name, one in self.modalities.items() if one.expert is None and one.kind == "image"]
