"""Training from a dataset to a trained model: check, read, train, keep the best restart, let modalities stand alone."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from ..data import Measurement, batches, closest, read, specimen_labels, unused_errors
from ..errors import OptionError, PimaWarning, TrainingError
from .evidence.number import check_countable, count_populations
from .inputs.spec import wanted
from .memory import check_memory
from .options import ModelOptions, TrainingSettings
from .parallel.distributed import Processes
from .parallel.workers import check_processes
from .potentials import CrossmodalTraining, fused_encoders, held_back
from .prepared import Prepared, prepare
from .restarts import Training, responsibilities, train_restarts
from .run import Callback, TrainingRun, mark_of
from .starts.number import PopulationNumber
from .temperatures import LEAST_SPECIMENS
from .trackers import Tracker, check_tracker, heard_by_all, shown_progress
from .training import JointTraining


@dataclass(frozen=True)
class StandIns:
    """Encoders that answer for a modality alone.

    Args:
        encoders: In the model's order; None where there are none.
        held_back: Further ones, each with the specimens that they have not learned from.
        interrupted: Whether their training was stopped by hand.
    """

    encoders: nn.ModuleList | None = None
    held_back: Sequence[tuple[nn.ModuleList, Tensor]] = ()
    interrupted: bool = False


@dataclass(frozen=True)
class TrainedModel:
    """Outcome of a training, with all that it was made of.

    Args:
        began: When it began, in seconds of ``time.perf_counter``.
        fingerprint: Hash of the data.
        job: The training run, with its data.
        restarts: Those that were begun, in order.
        single: What answers for a modality alone.
        number: How many populations there are, where that was to be found.
    """

    began: float
    fingerprint: str
    job: TrainingRun
    restarts: Sequence[Training]
    single: StandIns
    number: PopulationNumber | None = None

    @property
    def best(self) -> Training:
        """The restart that is kept: the best by ELBO and priors, which nobody's labels have touched."""
        return _best(self.restarts)

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped by hand before its end."""
        return _stopped(self.restarts) or self.single.interrupted


@dataclass(frozen=True)
class Ready:
    """A training that nothing stands against.

    Args:
        measurements: What other processes make their tensors of; empty where there are none, as it may be as large as
            the tensors.
        prepared: The data.
        settings: How it is trained; ``groups`` is the name of a coordinate or None.
        groups: Number of the group that each specimen belongs to, (specimen,); None where they are by themselves.
        mark: Fingerprint of data and options.
    """

    measurements: dict[str, Measurement]
    prepared: Prepared
    settings: TrainingSettings
    groups: np.ndarray | None
    mark: str


def make_ready(
    options: ModelOptions,
    settings: TrainingSettings,
    data: xr.Dataset,
    *,
    processes: int | None = None,
    find_clusters: bool = False,
) -> Ready:
    """Do all that comes before a training, or refuse it; the arguments are those of :func:`train`."""
    device, group = settings.torch_device(), Processes.here()
    _check_processes(processes, group)
    _check_together(options, settings)
    asked = wanted(options.modalities)
    measurements = read(data, asked)
    for sentence in unused_errors(data, asked):
        warnings.warn(sentence, PimaWarning, stacklevel=4)
    prepared = prepare(measurements, specimen_labels(data), options, device, group.count)
    check_memory(prepared, settings)
    if find_clusters:
        check_countable(prepared)
    if isinstance(settings.groups, str) and settings.groups == "auto":
        heard = options.by_evidence and bool(options.neural)
        settings = replace(settings, groups=batches(data, LEAST_SPECIMENS) if heard else None)
    groups = _groups(data, settings.groups)
    # Of the options as they were asked for: what is learned from the data follows from them and the data, but for the
    # rounding of another machine.
    asked_for = ["clusters to be found"] * find_clusters + ([] if groups is None else groups.tolist())
    mark = mark_of(options, settings, prepared.specs, prepared.fingerprint, *asked_for)
    return Ready(measurements if (processes or 1) > 1 else {}, prepared, settings, groups, mark)


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
    find_clusters: bool = False,
) -> TrainedModel:
    """Train a model on a dataset, see :meth:`pima_toolkit.PIMA.fit`.

    With ``find_clusters`` the number of populations is found in the curves before the training begins.
    """
    began = time.perf_counter()
    check_tracker(tracker)
    ready = make_ready(options, settings, data, processes=processes, find_clusters=find_clusters)
    prepared, settings, group = ready.prepared, ready.settings, Processes.here()
    number = None
    if find_clusters:
        number = count_populations(prepared, seed=settings.seed, more=True)
        prepared = replace(prepared, options=replace(prepared.options, clusters=number.clusters))
    with shown_progress(progress and group.rank == 0, settings.restarts) as bar, ExitStack() as ending:
        if tracker is not None:
            ending.callback(tracker.close)
        callback = heard_by_all(bar, callbacks, tracker, group)
        job = TrainingRun(
            prepared.options,
            settings,
            prepared.specs,
            prepared.tensors,
            settings.torch_device(),
            checkpoint,
            ready.mark,
            callback,
            processes=group,
            groups=ready.groups,
        )
        if not group.alike(job.mark):
            raise TrainingError(
                f"the {group.count} processes have different data or options: give every one all specimens in the same"
                " order, the same model and the same seed; the work is shared out between them"
            )
        runs = train_restarts(job, ready.measurements, processes)
        single, best = StandIns(), _best(runs)
        if isinstance(best, JointTraining) and len(options.modalities) > 1 and not _stopped(runs):
            single = _stand_ins(job, best)
    return TrainedModel(began, prepared.fingerprint, job, runs, single, number)


def _best(restarts: Sequence[Training]) -> Training:
    return max(restarts, key=lambda run: run.merit)


def _stopped(restarts: Sequence[Training]) -> bool:
    return restarts[-1].interrupted or restarts[-1].halted


# -- before training -----------------------------------------------------------------------------------------------


def _groups(data: xr.Dataset, name: str | None) -> np.ndarray | None:
    """Number of the group that each specimen belongs to, (specimen,); None where they are by themselves."""
    if name is None:
        return None
    if not isinstance(name, str) or name not in data.variables or data[name].dims != ("specimen",):
        along = [str(k) for k, v in data.variables.items() if v.dims == ("specimen",)]
        raise OptionError(
            f'groups={name!r} is no coordinate along specimen: {closest(str(name), along)}; or groups=None, or "auto"'
        )
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


# -- after the restarts --------------------------------------------------------------------------------------------


def _stand_ins(job: TrainingRun, best: JointTraining) -> StandIns:
    """Train the encoders of single modalities to answer as the best restart's fused posterior does."""
    mixture = best.state.mixture
    if job.options.potential.drops:
        return StandIns(fused_encoders(job, best.network, mixture))
    posterior = job.encode(best.network, torch.autocast(job.device.type, enabled=False))
    gamma = responsibilities(best)
    crossmodal = CrossmodalTraining(job, mixture, posterior, gamma, best.restart).run()
    interrupted, alone = crossmodal.interrupted, []
    for share, index in enumerate(held_back(job)):
        if interrupted:
            break
        held = CrossmodalTraining(job, mixture, posterior, gamma, best.restart, share).run()
        interrupted = held.interrupted
        alone += [] if interrupted else [(held.encoders, index)]
    return StandIns(crossmodal.encoders, alone, interrupted)
