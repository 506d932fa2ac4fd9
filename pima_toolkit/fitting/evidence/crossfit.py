"""What networks and regressions say of specimens that they have not learned from.

Specimens are dealt out to folds, groups kept together. Inside a fold all that is learned from curves is learned again
from its training specimens, but for the start, so that populations keep their order; what is then said of the others is
written in the coordinates of the whole fit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ...model.joint import Potential, join
from ...model.speaker import said
from ..em.populations import Populations, expect, maximise
from ..run import TrainingRun
from ..speakers.base import Targets, kept_together
from ..speakers.features import SideBySide
from ..speakers.table import SPEAKERS
from ..starts.populations import PhysicsFit
from ..temperatures import LEAST_GROUPS, LEAST_SPECIMENS
from .belief import NETWORK, Regression, Voice, presence
from .frame import Frame
from .learning import NetworkLearning
from .network import heard
from .physics import decoders_of, placed

#: Folds of a few thousand specimens; of more two halves, each heard by what learned from the other.
FOLDS, MANY = 4, 4000
#: Folds of few specimens: small ones, so that enough are left to learn from.
MANY_FOLDS = 10
#: EM steps from the whole fit's populations to those of a fold, and to those of the last EM.
STEPS = 10


def folds(known: np.ndarray, groups: np.ndarray | None, few: int, seed: int) -> np.ndarray:
    """Number of each specimen's fold, (N,); none, -1, where specimens or groups are too few for any claim.

    Args:
        known: Which specimens have a curve, bool (N,).
        groups: Group of each specimen, or None.
        few: Fewer specimens with a curve than this are held out one group (of at most 20) at a time.
        seed: Of the order.
    """
    count = int(known.sum())
    together = count if groups is None else len(np.unique(groups[known]))
    if count < LEAST_SPECIMENS or together < LEAST_GROUPS:
        return np.full(len(known), -1)
    number = MANY_FOLDS if count < few else FOLDS if len(known) <= MANY else 2
    return kept_together(len(known), groups, number, seed)


def relearned(fit: PhysicsFit, index: np.ndarray) -> Populations:
    """The populations of some of the specimens, from those of all: EM at fixed information."""
    some = {name: part.at(index) for name, part in fit.information.items()}
    populations = fit.populations
    for _ in range(STEPS):
        populations = maximise(some, populations, expect(some, populations))
    return populations


def targets(frame: Frame, curves: Potential, known: Tensor) -> Targets:
    """What the curves say, as regressions learn it, in the frame."""
    joint = join(frame.log_weights, curves, frame.prior)
    gamma = joint.log_gamma.exp()
    deviation = torch.einsum("nc,ncp->np", gamma, joint.deviation.mean.expand(*gamma.shape, -1))
    # What populations are confused with is doubt of the deviation, too.
    mean = joint.deviation.mean.expand(*gamma.shape, -1) - deviation[:, None]
    second = joint.deviation.covariance + mean[..., None] * mean[..., None, :]
    covariance = torch.einsum("nc,ncpq->npq", gamma, second)
    parts = (gamma, deviation, frame.log_weights, torch.eye(frame.size), known, covariance)
    return Targets(*(part.cpu().numpy() for part in parts))


def regression(
    job: TrainingRun, voice: Voice, values: Mapping[str, np.ndarray], found: Targets, index: np.ndarray
) -> tuple[Regression, np.ndarray]:
    """Teach a plain speaker some specimens.

    Args:
        job: The training.
        voice: The speaker.
        values: What it hears of all specimens, see :func:`features`.
        found: What the curves say.
        index: Those that it learns from.

    Returns:
        What it learned, and the matrix of all specimens' features, (N, F).
    """
    present = presence(job.tensors)
    kinds = {name: job.specs[name].schema.kind for name in voice.hears}
    scaling = SideBySide.learn(
        {name: x[index] for name, x in values.items()}, {name: flags[index] for name, flags in present.items()}, kinds
    )
    matrix = scaling.matrix(values, present)
    seed = job.seed(0, 30) % 2**31
    theirs = None if job.groups is None else job.groups[index]
    learned = SPEAKERS.get(voice.speaker).learn(matrix[index], found.at(index), seed, theirs)
    return Regression(scaling, learned), matrix


class CrossFit:
    """Hear every specimen by voices that have not met it.

    Args:
        job: The training.
        fit: The physics.
        frame: Its frame.
        voices: Who speaks.
        known: Which specimens have a curve, bool (N,).
        fold: Number of each specimen's fold, (N,).
        restart: Number of the restart.
        heard_by: By voice, what plain speakers hear of all specimens.
    """

    def __init__(
        self,
        job: TrainingRun,
        fit: PhysicsFit,
        frame: Frame,
        voices: tuple[Voice, ...],
        known: Tensor,
        fold: np.ndarray,
        restart: int,
        heard_by: Mapping[str, Mapping[str, np.ndarray]],
    ) -> None:
        self.job, self.fit, self.frame, self.voices, self.heard_by = job, fit, frame, voices, heard_by
        self.known, self.fold, self.restart = known, fold, restart
        self.halted = self.interrupted = False
        # The physics of each fold, which the specimens held out had no part in.
        self.frames: list[Frame] = []

    def run(self) -> dict[str, Potential]:
        """Train fold by fold; what each voice says of every specimen, in the frame, by voice."""
        clusters, size, N = self.job.options.clusters, self.frame.size, len(self.fold)
        like = self.frame.log_weights
        out = {
            voice.name: Potential(
                like.new_zeros(N, clusters), like.new_zeros(N, clusters, size), like.new_zeros(N, 1, size, size)
            )
            for voice in self.voices
        }
        for k in range(int(self.fold.max()) + 1):
            self._fold(k, out)
            if self.halted or self.interrupted:
                break
        return out

    def _fold(self, k: int, out: dict[str, Potential]) -> None:
        job = self.job
        train, left = np.flatnonzero(self.fold != k), np.flatnonzero(self.fold == k)
        populations = relearned(self.fit, train)
        decoders = decoders_of(populations, job.options.physics, job.specs, job.tensors.curves)
        frame = Frame(decoders, torch.as_tensor(populations.log_weights, device=job.device))
        if frame.size != self.frame.size:
            frame = self.frame
        self.frames.append(frame)
        curves = frame.curves(job.tensors.curves)
        learning = None
        if any(voice.speaker == NETWORK for voice in self.voices):
            mixture = placed(populations.log_weights, decoders, job.specs, job.options.latent_dim)
            chosen = torch.as_tensor(train, device=job.device)
            learning = NetworkLearning(job, frame, curves, mixture, chosen, self.restart, k).run()
            self.halted, self.interrupted = learning.halted, learning.interrupted
            if self.halted or self.interrupted:
                return
        found = targets(frame, curves, self.known)
        rows = torch.as_tensor(left, device=job.device)
        autocast = torch.autocast(job.device.type, enabled=False)
        for voice in self.voices:
            if voice.speaker == NETWORK and learning is not None:
                some = job.tensors.at(rows)
                parts = heard(learning.network, voice.hears[0], job.options, job.specs, some, autocast)
                theirs = said(parts)
            else:
                learned, matrix = regression(job, voice, self.heard_by[voice.name], found, train)
                theirs = learned.learned.say(matrix[left])
            some_curves = {name: part.at(rows) for name, part in job.tensors.curves.items()}
            theirs = self.frame.moved(theirs, frame, some_curves)
            for whole, part in zip(_parts(out[voice.name]), _parts(theirs), strict=True):
                whole[rows] = part.to(whole.device).expand(len(rows), *part.shape[1:])


def _parts(potential: Potential) -> tuple[Tensor, Tensor, Tensor]:
    return potential.constant, potential.linear, potential.curvature
