"""What a report shows of a fit, gathered from its answers: the one place where answers become :class:`Findings`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
import xarray as xr
from torch.nn import Module

from ..answers.baselines.beside import THIS_FIT
from ..answers.effects import batches, effects
from ..answers.generation import clusters
from ..answers.inference import infer
from ..answers.portraits import portraits
from ..answers.predictor import Predictor
from ..answers.record import BesideFigures, HeldOutFigures, TrainingRecord, named
from ..answers.tables import cluster_parameters
from ..answers.trust.cautions import BAND, SURE, cautions, how_stable, sentences
from ..answers.trust.planning import measured, next_measurements
from ..errors import DataError
from ..experts import card_of, law_of
from ..fitting.options import PAPER_ONLY
from ..metrics.association import associate
from ..model.modality import Modality, Physics
from ..report.findings import (
    BesideSimpleMethods,
    DescribedCurves,
    Findings,
    HowMade,
    ModalityFindings,
    PredictedCurves,
)
from .program import program


def gather(
    predictor: Predictor,
    record: TrainingRecord,
    data: xr.Dataset | None = None,
    new: xr.Dataset | None = None,
    *,
    settings: bool = False,
) -> Findings:
    """Ask a fit for everything that a report shows.

    Args:
        predictor: The trained model.
        record: Its training.
        data: The training data; without them there are no pictures, no latent map and nothing to measure next.
        new: Other specimens, to predict.
        settings: Whether to test the populations against the process settings, which takes seconds of many specimens.

    Raises:
        DataError: If ``data`` are not the training specimens.
    """
    if data is not None:
        _check_same_specimens(record, data)
    facts = record.facts
    tested = associations_of(record) if settings else None
    modalities = {name: _modality(predictor, record, name) for name in predictor.options.modalities}
    pictures = [name for name, modality in modalities.items() if modality.kind == "image"]
    return Findings(
        title=str(facts["title"] or ""),
        synthetic=bool(facts["synthetic"]),
        seed=record.settings.seed,
        seconds=float(facts["seconds"]),
        device=str(facts["device"]),
        modalities=modalities,
        parameters=named(cluster_parameters(predictor, record), record),
        specimens=named(record.specimens, record),
        populations=named(clusters(predictor), record),
        portraits=portraits_of(record, tested) if tested is not None else None,
        history=record.history,
        cautions=sentences(cautions(predictor, record)),
        restarts=how_stable(record),
        sure=SURE,
        made=_making(predictor, record),
        how=_how(predictor, record),
        believed=_believed(predictor),
        effects=effects(predictor) if any(option.depends_on for option in predictor.options.physics.values()) else None,
        batches=batches(predictor) if any(option.groups for option in predictor.options.physics.values()) else None,
        associations=tested,
        data=data,
        pictured={} if data is None else {name: measured(predictor, data, name) for name in pictures},
        answer=None if data is None else named(infer(predictor, data), record),
        next_measurements={} if data is None else _next_measurements(predictor, record, data),
        new=new,
        predictions=None if new is None else named(infer(predictor, new), record),
    )


def associations_of(
    record: TrainingRecord,
    settings: xr.Dataset | None = None,
    names: Sequence[str] | None = None,
    *,
    permutations: int = 9999,
    groups: str | None = "auto",
) -> xr.Dataset:
    """Test the populations against the process settings, see :meth:`pima_toolkit.Fit.associations`."""
    specimens = record.specimens.drop_vars("cluster")
    settings = specimens if settings is None else settings
    if groups == "auto" and record.settings.groups in settings.variables:
        groups = record.settings.groups
    return associate(specimens["responsibilities"], settings, names, permutations=permutations, groups=groups)


def portraits_of(record: TrainingRecord, tested: xr.Dataset | None = None) -> xr.Dataset:
    """Describe the populations, see :meth:`pima_toolkit.Fit.portraits`, with the test of settings if there is one."""
    return portraits(record, associations_of(record) if tested is None else tested)


def _check_same_specimens(record: TrainingRecord, data: xr.Dataset) -> None:
    expected = record.specimens["specimen"].values
    given = data["specimen"].values if "specimen" in data.dims else np.zeros(0)
    if not np.array_equal(expected, given):
        raise DataError(
            f"data are not what this fit was trained on ({len(given)} specimens, expected {len(expected)} with the same"
            " labels in the same order): give the training data, and others as `new`"
        )


def _modality(predictor: Predictor, record: TrainingRecord, name: str) -> ModalityFindings:
    option, spec = predictor.options.modalities[name], predictor.specs[name]
    kind, unit = spec.schema.kind, spec.schema.unit
    present = record.facts["present"][name]
    if not isinstance(option, Physics):
        size = " × ".join(map(str, spec.schema.sizes)) or "1"
        return ModalityFindings(kind, unit, size, present)
    size = str(len(spec.t))
    if kind == "curve":
        size = f"{len(spec.t)} points of {spec.schema.t_name}, {spec.t[0]:.4g} to {spec.t[-1]:.4g}"
        size += "" if spec.schema.t_unit == "1" else f" {spec.schema.t_unit}"
    law = law_of(name, option.expert)
    shares = predictor.calibration[name]
    described, held_out, beside = (record.facts.get(f, {}).get(name) for f in ("described", "held_out", "beside"))
    return ModalityFindings(
        kind,
        unit,
        size,
        present,
        expert=option.expert.name,
        origin=None if option.expert.origin is None else str(option.expert.origin),
        law=law,
        latex=option.expert.latex if law else "",
        mathml=getattr(getattr(option.expert, "inner", None) or option.expert, "mathml", ""),
        source=card_of(option.expert).source,
        band=float(np.interp(BAND, shares, np.linspace(0.0, 1.0, len(shares)))),
        described=None if described is None else DescribedCurves(**described),
        predicted=None if held_out is None else _predicted(held_out),
        beside=None if beside is None else _beside(beside),
    )


def _predicted(figures: HeldOutFigures) -> PredictedCurves:
    return PredictedCurves(
        figures["specimens"], figures["rmse"], figures["mean_curve"], figures["without"], figures["coverage"]
    )


def _beside(figures: BesideFigures) -> BesideSimpleMethods:
    errors = {THIS_FIT: figures["rmse"], **figures["methods"]}
    return BesideSimpleMethods(dict(sorted(errors.items(), key=lambda pair: pair[1])), figures["reading"])


def _believed(predictor: Predictor) -> dict[str, dict[str, str]]:
    """How far each voice is believed, by the modalities that are heard; nothing where nothing was held out."""
    belief = predictor.belief
    if belief is None or not belief.out_of_fold:
        return {}
    return {" and ".join(names): part.temperatures.sentences for names, part in belief.parts.items()}


def _how(predictor: Predictor, record: TrainingRecord) -> HowMade:
    belief = predictor.belief
    judges = None if belief is None or not belief.out_of_fold else belief.judges
    return HowMade(
        inference=str(predictor.options.inference),
        number_found="number" in record.facts,
        folds=0 if judges is None else len(judges.log_weights),
        groups=record.settings.groups or "",
        versions=record.facts["versions"],
        program=program(predictor, record),
    )


def _next_measurements(predictor: Predictor, record: TrainingRecord, data: xr.Dataset) -> dict[str, xr.Dataset]:
    """The ranking for each modality that some specimens lack; none where there is only one modality."""
    if not predictor.any_subset:
        return {}
    count = record.facts["specimens"]
    lacking = [name for name, present in record.facts["present"].items() if present < count]
    return {name: next_measurements(predictor, data, name) for name in lacking}


def _making(predictor: Predictor, record: TrainingRecord) -> list[tuple[str, str]]:
    """Versions, time, data, options and settings, in words."""
    facts, options, settings = record.facts, predictor.options, record.settings
    rows = [
        ("software", ", ".join(f"{name} {number}" for name, number in facts["versions"].items())),
        ("time", f"{facts['seconds']:.0f} s on {facts['device']}"),
        ("training data", f"sha256 {facts['data']}"),
    ]
    rows += [(name, _in_words(option)) for name, option in options.modalities.items()]
    idle = {"modalities", *(PAPER_ONLY if options.by_evidence else ())}
    for one in (options, settings):
        rows += [(_title(f.name), _plain(getattr(one, f.name))) for f in fields(one) if f.name not in idle]
    return rows


def _title(name: str) -> str:
    return name.replace("_", " ")


def _in_words(option: Modality) -> str:
    """A modality's options as people say them: ``neural; encoder conv, decoder conv, noise unit``."""
    named = {f.name: getattr(option, f.name) for f in fields(option) if f.name != "expert"}
    head = f"expert {option.expert.name}" if isinstance(option, Physics) else "neural"
    given = {name: value for name, value in named.items() if value not in (None, ())}
    return f"{head}; " + ", ".join(f"{name} {_plain(value)}" for name, value in given.items())


def _plain(value: object) -> str:
    """An option's value without the signs of a programming language."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_plain(part)}" for name, part in value.items())
    if isinstance(value, tuple | list):
        numbers = len(value) == 2 and all(isinstance(part, int | float) for part in value)
        return (" to " if numbers else " and ").join(map(_plain, value))
    if isinstance(value, float):
        return f"{value:g}"
    return type(value).__name__ if isinstance(value, Module) else str(value)
