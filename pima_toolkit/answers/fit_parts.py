"""The two parts of a fit, made of a trained model: what answers are computed from, and what is remembered."""

from __future__ import annotations

import time
import warnings
from dataclasses import replace
from importlib.metadata import version
from typing import Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..data import says_synthetic
from ..errors import PimaWarning
from ..fitting.em.populations import SHRINKAGE
from ..fitting.evidence.training import EvidenceTraining
from ..fitting.inputs.tensors import Tensors
from ..fitting.restarts import responsibilities
from ..fitting.starts.number import PopulationNumber
from ..fitting.trained_model import TrainedModel
from ..metrics.agreement import compare_restarts
from ..metrics.tensile import is_stress_against_strain, tensile_quantities
from .conditions import mean_covariates
from .inference import OUT_OF_POPULATION, specimen_coords
from .mixture_information import mixture_covariances
from .posterior import answer_tensors
from .predictor import Predictor, Reference
from .record import HeldOutFigures, NumberFacts, TrainingRecord
from .remarks import typicality
from .tables import specimen_parameters
from .trust.calibration import held_out_calibration, training_calibration
from .trust.cautions import bound_cautions, cluster_cautions
from .trust.goodness_of_fit import quality
from .trust.held_out import described, judged


def fit_parts(model: TrainedModel, data: xr.Dataset) -> tuple[Predictor, TrainingRecord]:
    """Compute from a trained model all that its answers need, and write down how the training went.

    Args:
        model: The outcome of a training.
        data: What it was trained on, for the names of the specimens.

    Returns:
        What answers are computed from, and what is remembered of the training.

    Warns:
        PimaWarning: Where a cluster is no population, or a parameter is at its bound.
    """
    gamma = responsibilities(model.best)
    shares = gamma.cpu().numpy()
    for caution in cluster_cautions(shares) + bound_cautions(model.best.state.decoders, shares.sum(0)):
        warnings.warn(caution, PimaWarning, stacklevel=3)
    predictor, figures, strange = _predictor(model, gamma)
    return predictor, _record(model, data, predictor, gamma, figures, strange)


def _predictor(model: TrainedModel, gamma: Tensor) -> tuple[Predictor, dict[str, HeldOutFigures], int]:
    """Gather what answers are computed from, figures of specimens held out, and how many belong to none."""
    job, best, tensors = model.job, model.best, model.job.tensors
    decoders = best.state.decoders
    predictor = Predictor(
        options=job.options,
        specs=job.specs,
        state=best.state,
        encoders=model.single.encoders,
        covariance=mixture_covariances(
            decoders, tensors, gamma, shrinkage=SHRINKAGE if job.options.by_evidence else 0.0
        ),
        covariates=mean_covariates(job.options, tensors.curves, gamma),
        references={},
        calibration={
            name: training_calibration(decoder, tensors.curves[name], job.specs[name], gamma)
            for name, decoder in decoders.items()
        },
        belief=best.belief if isinstance(best, EvidenceTraining) else None,
    )
    predictor, strange = _with_references(predictor, tensors)
    if predictor.belief is None:
        return held_out_calibration(predictor, tensors, model.single.held_back), {}, strange
    predictor, figures = judged(predictor, tensors)
    return predictor, figures, strange


def _with_references(predictor: Predictor, tensors: Tensors) -> tuple[Predictor, int]:
    """Add how well the training specimens themselves are explained, each modality on its own; count the strange."""
    if not predictor.any_subset:
        # Stopped early: only specimens with all modalities can be answered for.
        full = torch.stack(list(tensors.present.values())).all(0)
        tensors = tensors.at(torch.nonzero(full).flatten())
    if len(tensors) == 0:
        return replace(predictor, references={name: Reference(np.zeros(1)) for name in predictor.options.modalities}), 0
    references = {}
    scores = answer_tensors(predictor, tensors).scores
    for name, score in scores.items():
        values = score.cpu().numpy()
        references[name] = Reference(np.sort(values[np.isfinite(values)]))
    predictor = replace(predictor, references=references)
    return predictor, int((typicality(predictor, scores)[0] < OUT_OF_POPULATION).sum())


def _record(
    model: TrainedModel,
    data: xr.Dataset,
    predictor: Predictor,
    gamma: Tensor,
    figures: dict[str, HeldOutFigures],
    strange: int,
) -> TrainingRecord:
    """Write down how the training went, and what it found of its own specimens."""
    job, best, tensors = model.job, model.best, model.job.tensors
    restart = model.restarts.index(best)
    agreement, agreeing = compare_restarts([responsibilities(run).cpu().numpy() for run in model.restarts], restart)
    specimens = specimen_parameters(predictor, tensors, gamma)
    if agreeing is not None:
        about = {"long_name": "share of the other restarts with the same cluster", "units": "1"}
        specimens = specimens.assign(restarts_agree=("specimen", agreeing, about))
    if isinstance(best, EvidenceTraining) and best.stranger is not None:
        about = {"long_name": "probability of belonging to no population", "units": "1"}
        specimens = specimens.assign(stranger=("specimen", best.stranger.cpu().numpy(), about))
    specimens = specimens.assign_coords(specimen_coords(job.specs, data))
    curves = [name for name in job.options.modalities if is_stress_against_strain(data, name)]
    if curves:
        quantities = tensile_quantities(data, curves)
        specimens = specimens.assign({str(name): one.variable for name, one in quantities.data_vars.items()})
        named = {str(name): one.variable for name, one in quantities.coords.items() if "specimen" not in one.dims}
        specimens = specimens.assign_coords(named)
    return TrainingRecord(
        settings=job.settings,
        specimens=specimens,
        history=best.history.dataset(),
        facts={
            "seconds": time.perf_counter() - model.began,
            "interrupted": model.interrupted,
            "restart": restart,
            "restarts": {"elbo": [run.merit for run in model.restarts], "agreement": agreement},
            "device": str(job.device),
            "bfloat16": job.settings.autocast(job.device),
            "versions": {name: version(name) for name in ("pima-toolkit", "torch", "numpy")},
            "specimens": len(tensors),
            "present": {name: int(flags.sum()) for name, flags in tensors.present.items()},
            "data": model.fingerprint,
            "title": str(data.attrs.get("title", "")),
            "synthetic": says_synthetic(data),
            "out_of_population": strange,
            "described": described(predictor, tensors, gamma),
            "held_out": figures,
            **_number(model.number),
            "beyond_quadratic": best.beyond if isinstance(best, EvidenceTraining) else {},
        },
        quality={
            name: quality(decoder, tensors.curves[name], gamma.double() * tensors.curves[name].present[:, None])
            for name, decoder in best.state.decoders.items()
        },
        curves=tensors.curves,
    )


def _number(found: PopulationNumber | None) -> dict[Literal["number"], NumberFacts]:
    """What spoke for the number of populations, where it was found; else nothing."""
    if found is None:
        return {}
    tried, icl = [one.clusters for one in found.mixtures], [one.icl for one in found.mixtures]
    return {"number": NumberFacts(tried=tried, icl=icl, possible=list(found.possible))}
