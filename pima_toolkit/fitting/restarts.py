"""Restarts of the joint training, one after the other or side by side in processes; the same to the bit.

A process leaves its restart in the checkpoint folder, a temporary one where none was asked for, and from there it is
read back as one that was interrupted after its last epoch would be.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..data import Measurement
from ..errors import TrainingError
from .evidence.training import EvidenceTraining
from .inputs.spec import learn_specs
from .inputs.tensors import to_tensors
from .options import ModelOptions, TrainingSettings
from .parallel.workers import one_thread, run_tasks
from .run import Progress, TrainingRun
from .training import JointTraining

#: One restart.
Training = JointTraining | EvidenceTraining


def training(job: TrainingRun, restart: int) -> Training:
    """One restart, not begun, by the model's inference."""
    return EvidenceTraining(job, restart) if job.options.by_evidence else JointTraining(job, restart)


def responsibilities(run: Training) -> Tensor:
    """Responsibilities (specimen, cluster) that a restart ended with.

    Raises:
        TrainingError: If it was not run.
    """
    if run.gamma is None:
        raise TrainingError(f"restart {run.restart} has no responsibilities yet: run it first")
    return run.gamma


@dataclass(frozen=True)
class _Restart:
    """Work of a process: one restart, trained from plain data."""

    options: ModelOptions
    settings: TrainingSettings
    measurements: Mapping[str, Measurement]
    checkpoint: Path
    mark: str

    def __call__(self, task: int, tell: Callable[[Progress], bool]) -> None:
        device = self.settings.torch_device()
        specs = learn_specs(self.measurements, self.options.modalities)
        tensors = to_tensors(self.measurements, specs, device)
        job = TrainingRun(self.options, self.settings, specs, tensors, device, self.checkpoint, self.mark, tell)
        training(job, task).run()


def train_restarts(job: TrainingRun, measurements: Mapping[str, Measurement], processes: int | None) -> list[Training]:
    """Train all restarts; of the last one returned, ``interrupted`` and ``halted`` say whether more were wanted.

    Args:
        job: The training run.
        measurements: Measurements that its tensors were made of; only processes need them.
        processes: Restarts at a time, each in a process with one torch thread; None: one after the other in this
            process, with torch's own number of threads.
    """
    with ExitStack() as stack:
        if processes is not None:
            stack.enter_context(one_thread())
        if processes is not None and processes > 1 and job.settings.restarts > 1:
            folder = job.checkpoint
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pima-restarts-")))
            return _side_by_side(replace(job, checkpoint=folder), folder, measurements, processes)
        runs: list[Training] = []
        for restart in range(job.settings.restarts):
            runs.append(training(job, restart).run())
            if runs[-1].interrupted or runs[-1].halted:
                break
        return runs


def _side_by_side(
    job: TrainingRun, folder: Path, measurements: Mapping[str, Measurement], processes: int
) -> list[Training]:
    stopped = False

    def hear(news: Progress) -> bool:
        nonlocal stopped
        stopped = job.callback(news) is True or stopped
        return stopped

    work = _Restart(job.options, job.settings, measurements, folder, job.mark)
    try:
        for _ in run_tasks(work, range(job.settings.restarts), processes, hear):
            pass
    except KeyboardInterrupt:
        stopped = True
    begun = [training(job, restart) for restart in range(job.settings.restarts)]
    begun = [one for one in begun if one.begun]
    if not begun:  # stopped before the first epoch: there is nothing to keep
        raise KeyboardInterrupt
    for one in begun:
        one.halted = stopped
        one.run()
    return begun
