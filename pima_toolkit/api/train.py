"""From a dataset to a trained model: read, train, keep the best restart, teach the cross-modal encoders, tabulate."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ..answers.conditions import mean_covariates
from ..answers.inference import OUT_OF_POPULATION, specimen_coords
from ..answers.posterior import answer_tensors
from ..answers.remarks import typicality
from ..answers.tables import cluster_covariance, specimen_table
from ..answers.trained import Reference, Trained
from ..answers.trust.calibration import held_out_calibration, training_calibration
from ..answers.trust.cautions import bound_cautions, cluster_cautions
from ..answers.trust.goodness_of_fit import Quality, quality
from ..data import check_dataset, specimen_labels
from ..errors import DataError, OptionError, PimaWarning, TrainingError
from ..fitting.inputs.domain import check_domain
from ..fitting.inputs.stored import Stored
from ..fitting.inputs.tensors import Tensors, learn_templates, presence_by_specimen, to_tensors
from ..fitting.options import ModelOptions, TrainingSettings
from ..fitting.parallel.distributed import Processes
from ..fitting.parallel.workers import check_processes
from ..fitting.potentials import CrossmodalTraining, fused_encoders, held_back
from ..fitting.progress import shown_progress
from ..fitting.restarts import train_restarts
from ..fitting.run import Callback, Progress, TrainingRun, mark_of
from ..fitting.state import fingerprint
from ..fitting.trackers import Tracker, check_tracker, values_of
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
) -> Trained:
    """See :meth:`pima_toolkit.PIMA.fit`."""
    began = time.perf_counter()
    device, among = settings.torch_device(), Processes.here()
    _check_processes(processes, among)
    _check_together(options, settings)
    check_tracker(tracker)
    check_dataset(data)
    templates = learn_templates(data, options.modalities)
    tensors = to_tensors(data, options.modalities, templates, device)
    _enough(options, data, tensors, among)
    check_domain(options.modalities, templates, tensors.curves)
    fingerprint_of_data = data_fingerprint(tensors)
    with shown_progress(progress and among.rank == 0, settings.restarts) as bar, ExitStack() as ending:
        if tracker is not None:
            ending.callback(tracker.close)

        def callback(state: Progress) -> bool:
            bar(state)
            if among.rank:
                return among.agreed(False)
            if tracker is not None:
                tracker.log(state.epoch, values_of(state))
            # Every callback hears of every epoch, also after one has asked to stop.
            answers = [call(state) is True for call in callbacks]
            return among.agreed(any(answers))

        job = TrainingRun(
            options,
            settings,
            templates,
            tensors,
            device,
            checkpoint,
            mark_of(options, settings, templates, fingerprint_of_data),
            callback,
            among,
        )
        if not among.alike(job.mark):
            raise TrainingError(
                f"the {among.count} processes have different data or options: give every one all specimens in the same"
                " order, the same model and the same seed; the work is shared out between them"
            )
        runs = train_restarts(job, data, processes)
        # The best by ELBO and priors, which nobody's labels have touched.
        best = max(runs, key=lambda run: run.merit)
        best.interrupted, best.halted = runs[-1].interrupted, runs[-1].halted
        encoders, interrupted, alone = None, best.interrupted, []
        whole = not (best.interrupted or best.halted) and len(options.modalities) > 1
        if whole and options.crossmodal == "dropout":
            encoders = fused_encoders(job, best.state.network, best.state.mixture)
        elif whole:
            posterior = job.encode(best.state.network, torch.autocast(device.type, enabled=False))
            crossmodal = CrossmodalTraining(job, best.state.mixture, posterior, best.gamma, best.restart).run()
            encoders, interrupted = crossmodal.encoders, crossmodal.interrupted
            for share, index in enumerate(held_back(job)):
                if interrupted:
                    break
                held = CrossmodalTraining(job, best.state.mixture, posterior, best.gamma, best.restart, share).run()
                interrupted = held.interrupted
                alone += [] if interrupted else [(held.encoders, index)]
    weighed = best.gamma.cpu().numpy()
    for caution in cluster_cautions(weighed) + bound_cautions(best.state.decoders, weighed.sum(0)):
        warnings.warn(caution, PimaWarning, stacklevel=3)
    covariance = {
        name: cluster_covariance(decoder, tensors, name, best.gamma) for name, decoder in best.state.decoders.items()
    }
    training = specimen_table(options, templates, best.state.decoders, covariance, tensors, best.gamma)
    about_restarts, agreeing = compare_restarts([run.gamma for run in runs], runs.index(best))
    if agreeing is not None:
        about = {"long_name": "share of the other restarts with the same cluster", "units": "1"}
        training = training.assign(restarts_agree=("specimen", agreeing, about))
    trained = Trained(
        options=options,
        settings=settings,
        templates=templates,
        state=best.state,
        encoders=encoders,
        covariance=covariance,
        covariates=mean_covariates(options, tensors.curves, best.gamma),
        references={},
        calibration={
            name: training_calibration(decoder, tensors.curves[name], templates[name], best.gamma)
            for name, decoder in best.state.decoders.items()
        },
        training=training,
        history=best.history.dataset(),
        notes={
            "seconds": time.perf_counter() - began,
            "interrupted": interrupted or best.halted,
            "restart": runs.index(best),
            "restarts": {"elbo": [run.merit for run in runs], "agreement": about_restarts},
            "device": str(device),
            "bfloat16": settings.autocast(device),
            "versions": {name: version(name) for name in ("pima-toolkit", "torch", "numpy")},
            "specimens": len(tensors),
            "present": {name: int(flags.sum()) for name, flags in tensors.present.items()},
            "data": fingerprint_of_data,
            "title": str(data.attrs.get("title", "")),
            "quality": {name: _quality(best, name) for name in best.state.decoders},
            "synthetic": bool(data.attrs.get("synthetic", False)),
        },
        curves=tensors.curves,
    )
    trained = held_out_calibration(_with_references(trained, tensors), tensors, alone)
    return replace(trained, training=training.assign_coords(specimen_coords(trained, data)))


def _check_processes(processes: int | None, among: Processes) -> None:
    if processes is None:
        return
    check_processes(processes)
    if among.several:
        raise OptionError(
            f"processes={processes} trains restarts side by side, but this training is one of {among.count} processes"
            " that train together: leave processes out"
        )


def _check_together(options: ModelOptions, settings: TrainingSettings) -> None:
    varying = [name for name, option in options.physics.items() if option.vary == "latent"]
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


def _enough(options: ModelOptions, data: xr.Dataset, tensors: Tensors, among: Processes) -> None:
    specimens = len(tensors)
    if specimens < 2:
        raise DataError("the dataset holds one specimen: populations need many, and at least two for anything at all")
    if specimens < options.clusters:
        raise DataError(
            f"{specimens} specimens cannot fill {options.clusters} clusters: ask for fewer clusters, or measure more"
        )
    if specimens < 2 * among.count:
        raise DataError(f"{specimens} specimens are too few for {among.count} processes, each needs two: use fewer")
    presence_by_specimen(tensors, specimen_labels(data))


def data_fingerprint(tensors: Tensors) -> str:
    """sha256 of the data as the training sees them."""
    return fingerprint(_arrays(tensors), [])


def _arrays(tensors: Tensors) -> dict[str, np.ndarray | Stored]:
    arrays = {f"inputs.{name}": x if isinstance(x, Stored) else x.cpu().numpy() for name, x in tensors.inputs.items()}
    arrays |= {f"present.{name}": flags.cpu().numpy() for name, flags in tensors.present.items()}
    for name, curves in tensors.curves.items():
        arrays[f"t.{name}"] = curves.t
        arrays[f"x.{name}"] = curves.x.cpu().numpy()
        if curves.observed is not None:
            arrays[f"observed.{name}"] = curves.observed.cpu().numpy()
    return arrays


def _quality(best: JointTraining, name: str) -> Quality:
    curves = best.job.tensors.curves[name]
    return quality(best.state.decoders[name], curves, best.gamma.double() * curves.present[:, None])


def _with_references(trained: Trained, tensors: Tensors) -> Trained:
    """How well the training specimens themselves are explained, each modality on its own."""
    if trained.encoders is None:
        # Stopped early: only specimens with all modalities can be answered for.
        full = torch.stack(list(tensors.present.values())).all(0)
        tensors = tensors.at(torch.nonzero(full).flatten())
    if len(tensors) == 0:
        return replace(trained, references={name: Reference(np.zeros(1)) for name in trained.options.modalities})
    references = {}
    scores = answer_tensors(trained, tensors).scores
    for name, score in scores.items():
        values = score.cpu().numpy()
        references[name] = Reference(np.sort(values[np.isfinite(values)]))
    trained = replace(trained, references=references)
    strange = int((typicality(trained, scores)[0] < OUT_OF_POPULATION).sum())
    return replace(trained, notes={**trained.notes, "out_of_population": strange})
