"""Training from a dataset to the two parts of a fit: check, read, train, keep the best restart, tabulate."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from ..answers.conditions import mean_covariates
from ..answers.inference import OUT_OF_POPULATION, specimen_coords
from ..answers.mixture_information import mixture_covariances
from ..answers.posterior import answer_tensors
from ..answers.predictor import Predictor, Reference
from ..answers.record import HeldOutFigures, TrainingRecord
from ..answers.remarks import typicality
from ..answers.tables import specimen_parameters
from ..answers.trust.calibration import held_out_calibration, training_calibration
from ..answers.trust.cautions import bound_cautions, cluster_cautions
from ..answers.trust.goodness_of_fit import Quality, quality
from ..answers.trust.held_out import described, judged
from ..data import Measurement, closest, read, specimen_labels, unused_errors
from ..errors import OptionError, PimaWarning, TrainingError
from ..fitting.em.populations import SHRINKAGE
from ..fitting.evidence.training import EvidenceTraining
from ..fitting.inputs.spec import wanted
from ..fitting.inputs.tensors import Tensors
from ..fitting.options import ModelOptions, TrainingSettings
from ..fitting.parallel.distributed import Processes
from ..fitting.parallel.workers import check_processes
from ..fitting.potentials import CrossmodalTraining, fused_encoders, held_back
from ..fitting.prepared import prepare
from ..fitting.restarts import Training, train_restarts
from ..fitting.run import Callback, TrainingRun, mark_of
from ..fitting.trackers import Tracker, check_tracker, heard_by_all, shown_progress
from ..fitting.training import JointTraining
from ..metrics.agreement import compare_restarts


def train(
    options: ModelOptions,
    settings: TrainingSettings,
    data: xr.Dataset,
    *,
    checkpoint: Path | None,
    callbacks: Sequence[Callback],
    tracker: Tracker | None = None,
    progress: bool,
    processes: int | None = None,
) -> tuple[Predictor, TrainingRecord]:
    """Train a model on a dataset, see :meth:`pima_toolkit.PIMA.fit`.

    Returns:
        What answers are computed from, and what is remembered of the training.
    """
    began = time.perf_counter()
    device, group = settings.torch_device(), Processes.here()
    _check_processes(processes, group)
    _check_together(options, settings)
    check_tracker(tracker)
    asked = wanted(options.modalities)
    measurements = read(data, asked)
    for sentence in unused_errors(data, asked):
        warnings.warn(sentence, PimaWarning, stacklevel=3)
    prepared = prepare(measurements, specimen_labels(data), options, device, group.count)
    specs, tensors = prepared.specs, prepared.tensors
    measurements = _kept_for(processes, measurements)
    groups = _groups(data, settings.groups)
    # Of the options as they were asked for: what is learned from the data follows from them and the data, but for the
    # rounding of another machine.
    mark = mark_of(options, settings, specs, prepared.fingerprint, *([] if groups is None else groups.tolist()))
    options = prepared.options
    with shown_progress(progress and group.rank == 0, settings.restarts) as bar, ExitStack() as ending:
        if tracker is not None:
            ending.callback(tracker.close)
        callback = heard_by_all(bar, callbacks, tracker, group)
        job = TrainingRun(options, settings, specs, tensors, device, checkpoint, mark, callback, group, groups)
        if not group.alike(job.mark):
            raise TrainingError(
                f"the {group.count} processes have different data or options: give every one all specimens in the same"
                " order, the same model and the same seed; the work is shared out between them"
            )
        runs = train_restarts(job, measurements, processes)
        # The best by ELBO and priors, which nobody's labels have touched.
        best = max(runs, key=lambda run: run.merit)
        stopped = runs[-1].interrupted or runs[-1].halted
        alone = stopped or len(options.modalities) < 2 or isinstance(best, EvidenceTraining)
        single = _Single(None, (), False) if alone else _single_modalities(job, best)
    gamma = best.gamma.cpu().numpy()
    for caution in cluster_cautions(gamma) + bound_cautions(best.state.decoders, gamma.sum(0)):
        warnings.warn(caution, PimaWarning, stacklevel=3)
    predictor, figures, strange = _predictor(job, best, single)
    agreement, agreeing = compare_restarts([run.gamma.cpu().numpy() for run in runs], runs.index(best))
    specimens = specimen_parameters(predictor, tensors, best.gamma)
    if agreeing is not None:
        about = {"long_name": "share of the other restarts with the same cluster", "units": "1"}
        specimens = specimens.assign(restarts_agree=("specimen", agreeing, about))
    if isinstance(best, EvidenceTraining):
        about = {"long_name": "probability of belonging to no population", "units": "1"}
        specimens = specimens.assign(stranger=("specimen", best.stranger.cpu().numpy(), about))
    record = TrainingRecord(
        settings=settings,
        specimens=specimens.assign_coords(specimen_coords(specs, data)),
        history=best.history.dataset(),
        facts={
            "seconds": time.perf_counter() - began,
            "interrupted": stopped or single.interrupted,
            "restart": runs.index(best),
            "restarts": {"elbo": [run.merit for run in runs], "agreement": agreement},
            "device": str(device),
            "bfloat16": settings.autocast(device),
            "versions": {name: version(name) for name in ("pima-toolkit", "torch", "numpy")},
            "specimens": len(tensors),
            "present": {name: int(flags.sum()) for name, flags in tensors.present.items()},
            "data": prepared.fingerprint,
            "title": str(data.attrs.get("title", "")),
            "synthetic": bool(data.attrs.get("synthetic", False)),
            "out_of_population": strange,
            "described": described(predictor, tensors, best.gamma),
            "held_out": figures,
            "beyond_quadratic": best.beyond if isinstance(best, EvidenceTraining) else {},
        },
        quality={name: _quality(best, name) for name in best.state.decoders},
        curves=tensors.curves,
    )
    return predictor, record


# -- before training -----------------------------------------------------------------------------------------------


def _groups(data: xr.Dataset, name: str | None) -> np.ndarray | None:
    """Number of the group that each specimen belongs to, (specimen,); None where they are by themselves."""
    if name is None:
        return None
    if name not in data.variables or data[name].dims != ("specimen",):
        along = [str(k) for k, v in data.variables.items() if v.dims == ("specimen",)]
        raise OptionError(f"groups={name!r} is no coordinate along specimen: {closest(name, along)}")
    return np.unique(data[name].values.astype(str), return_inverse=True)[1].reshape(-1)


def _check_processes(processes: int | None, group: Processes) -> None:
    """Refuse restarts side by side in a training that several processes share."""
    if processes is None:
        return
    check_processes(processes)
    if group.several:
        raise OptionError(
            f"processes={processes} trains restarts side by side, but this training is one of {group.count} processes"
            " that train together: leave processes out"
        )


def _kept_for(processes: int | None, measurements: dict[str, Measurement]) -> dict[str, Measurement]:
    """What other processes make their tensors of; nothing without them, as it may be as large as the tensors."""
    return measurements if (processes or 1) > 1 else {}


def _check_together(options: ModelOptions, settings: TrainingSettings) -> None:
    """Refuse settings of the training that the model's inference does not know, or ``update`` cannot learn."""
    if options.by_evidence:
        for name, value in (("update", "adam"), ("start", "random")):
            if getattr(settings, name) == value:
                raise OptionError(
                    f'{name}="{value}" is the paper\'s way, and this model infers by evidence: leave {name} out, or use'
                    ' PIMA(inference="paper")'
                )
    varying = [name for name, option in options.physics.items() if option.varies]
    if varying and settings.update == "adam":
        raise OptionError(
            f'update="adam" learns one set of parameters per cluster, and {varying[0]!r} has vary="latent": '
            'use update="wls", or vary="none"'
        )
    with_priors = [name for name, option in options.physics.items() if option.priors]
    if with_priors and settings.update == "adam":
        raise OptionError(
            f'{with_priors[0]!r} has priors, which enter the least squares and not the gradients of update="adam":'
            ' leave update at "wls", or the priors out'
        )


# -- during training -----------------------------------------------------------------------------------------------


class _Single(NamedTuple):
    """Encoders that answer for a modality alone.

    Args:
        encoders: In the model's order; None where there are none.
        held_back: Further ones, each with the specimens that they have not learned from.
        interrupted: Whether their training was stopped by hand.
    """

    encoders: nn.ModuleList | None
    held_back: Sequence[tuple[nn.ModuleList, Tensor]]
    interrupted: bool


def _single_modalities(job: TrainingRun, best: JointTraining) -> _Single:
    """Train the encoders of single modalities to answer as the best restart's fused posterior does."""
    state = best.state
    if job.options.potential.drops:
        return _Single(fused_encoders(job, state.network, state.mixture), (), False)
    posterior = job.encode(state.network, torch.autocast(job.device.type, enabled=False))
    crossmodal = CrossmodalTraining(job, state.mixture, posterior, best.gamma, best.restart).run()
    interrupted, alone = crossmodal.interrupted, []
    for share, index in enumerate(held_back(job)):
        if interrupted:
            break
        held = CrossmodalTraining(job, state.mixture, posterior, best.gamma, best.restart, share).run()
        interrupted = held.interrupted
        alone += [] if interrupted else [(held.encoders, index)]
    return _Single(crossmodal.encoders, alone, interrupted)


# -- after training ------------------------------------------------------------------------------------------------


def _predictor(job: TrainingRun, best: Training, single: _Single) -> tuple[Predictor, dict[str, HeldOutFigures], int]:
    """Gather what answers are computed from, figures of specimens held out, and how many are unlike every cluster."""
    tensors, decoders, gamma = job.tensors, best.state.decoders, best.gamma
    predictor = Predictor(
        options=job.options,
        specs=job.specs,
        state=best.state,
        encoders=single.encoders,
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
        return held_out_calibration(predictor, tensors, single.held_back), {}, strange
    predictor, figures = judged(predictor, tensors)
    return predictor, figures, strange


def _quality(best: Training, name: str) -> Quality:
    curves = best.job.tensors.curves[name]
    return quality(best.state.decoders[name], curves, best.gamma.double() * curves.present[:, None])


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
