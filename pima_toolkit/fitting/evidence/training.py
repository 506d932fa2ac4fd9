"""One restart of a training by evidence: the physics, then the networks and regressions that are to stand in for it."""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import Tensor

from ...experts import BEYOND
from ..em.populations import Expectation, Populations, expect, maximise
from ..run import Progress, TrainingRun
from ..starts.initialise import blank_decoder
from ..starts.populations import RENEWALS, SETTLED, PhysicsFit, change
from ..state import History, State
from .belief import FEWEST, NETWORK, Belief, Judges, features, presence, told, voices
from .crossfit import STEPS, CrossFit, folds, regression, targets
from .frame import Frame
from .learning import NetworkLearning
from .network import blank_network
from .physics import by_least_squares, decoders_of, fit_physics, placed

#: Steps of the last EM with one scatter for all populations: it may have to shrink far.
TIED_STEPS = 100


class EvidenceTraining:
    """Populations, laws and latent places of a training, and what they say of its specimens.

    Args:
        job: The training run.
        restart: Number of this restart, from 0.
    """

    def __init__(self, job: TrainingRun, restart: int) -> None:
        self.job, self.restart = job, restart
        options = job.options
        decoders = {
            name: blank_decoder(option, job.specs[name], job.tensors.curves[name], options.clusters)
            for name, option in options.physics.items()
        }
        weights = np.full(options.clusters, -math.log(options.clusters))
        size = sum(decoder.theta.shape[1] for decoder in decoders.values())
        self.state = State(
            blank_network(options, self._shapes, size, job.seed(restart, 0)),
            placed(weights, decoders, job.specs, options.latent_dim),
            decoders,
            dict.fromkeys(options.neural, 1.0),
        )
        self.belief: Belief | None = None
        # Share of the curves whose likelihood is not the quadratic that stands for it, by modality.
        self.beyond: dict[str, float] = {}
        self.history = History()
        self.gamma: Tensor | None = None
        self.stranger: Tensor | None = None
        self.likelihood = -math.inf
        self.halted = False
        self.interrupted = False

    @property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: self.job.specs[name].shape for name in self.job.options.neural}

    @property
    def begun(self) -> bool:
        """Whether there is something of it to go on with: the physics is found again in seconds."""
        return True

    @property
    def merit(self) -> float:
        """Number that restarts are chosen by: the penalised log likelihood of the curves, nats per specimen."""
        return self.likelihood

    def run(self) -> EvidenceTraining:
        """Train, or go on from the checkpoint; an interrupt keeps what there is."""
        fit = self._physics()
        if self.job.options.neural:
            self._others(fit)
        return self

    def _physics(self) -> PhysicsFit:
        """Find the populations in the curves; the same again after a kill, in seconds."""
        job, began = self.job, time.perf_counter()
        alone = not job.options.neural
        most = (job.settings.epochs if alone else None) or RENEWALS

        def renewed(number: int, value: float, shares: np.ndarray) -> bool:
            nonlocal began
            now = time.perf_counter()
            if alone:
                self.history.add(
                    elbo=value, terms={"physics": value}, consistency=0.0, occupancy=shares.tolist(), reseeded=0,
                    learning_rate=0.0, seconds=now - began,
                )  # fmt: skip
            began, self.likelihood = now, value
            phase = "joint" if alone else "physics"
            progress = Progress(phase, self.restart, number + 1, most, value, tuple(shares.tolist()))
            stop = job.callback(progress) is True
            self.halted = self.halted or stop
            return stop

        fit = fit_physics(job, job.seed(self.restart, 1) % 2**31, most, renewed)
        self.beyond = {name: float((part > BEYOND).mean()) for name, part in fit.beyond.items()}
        self.interrupted = fit.interrupted
        self._take(fit, fit.populations, fit.found)
        return fit

    def _take(
        self, fit: PhysicsFit, populations: Populations, found: Expectation, heard: np.ndarray | None = None
    ) -> None:
        """Take populations over as those of the fit."""
        job, curves = self.job, self.job.tensors.curves
        self.gamma = torch.as_tensor(found.among_populations, device=job.device)
        self.stranger = torch.as_tensor(found.stranger, device=job.device)
        decoders = decoders_of(populations, job.options.physics, job.specs, curves, found, fit.information)
        log_weights = torch.as_tensor(populations.log_weights, device=job.device)
        psi = 0.0 if heard is None else torch.as_tensor(heard, device=job.device)
        self.state.decoders, log_weights, self.gamma = by_least_squares(
            decoders, job.options.physics, curves, log_weights, self.gamma, psi
        )
        self.state.mixture = placed(log_weights.cpu().numpy(), self.state.decoders, job.specs, job.options.latent_dim)

    def _others(self, fit: PhysicsFit) -> None:
        """Train what speaks of the curves without them, and find how far to believe it."""
        job = self.job
        frame = self._frame
        # Strangers teach nothing and judge nobody: they belong to no population that a picture could tell.
        present = torch.stack([curves.present for curves in job.tensors.curves.values()]).any(0)
        known = present & torch.as_tensor(fit.found.stranger <= 0.5, device=job.device)
        teaching = known.cpu().numpy()
        fold = folds(teaching, job.groups, FEWEST, job.seed(self.restart, 40) % 2**31)
        who = voices(job.options, job.specs, presence(job.tensors), teaching, fold)
        heard_by = {v.name: features(v, job.specs, job.tensors) for v in who if v.speaker != NETWORK}
        said, frames = {}, []
        if job.settings.crossfit and not self.stopped:
            cross = CrossFit(job, fit, frame, who, known, fold, self.restart, heard_by)
            said, frames = cross.run(), cross.frames
            self.halted, self.interrupted = cross.halted, cross.interrupted
        if self.stopped:
            who, said = (), {}  # stopped before anything could be judged: nothing but curves is heard
        belief = Belief(who, {}, said, frame.curves(job.tensors.curves), known, job.groups)
        judges = None
        if frames and said:
            belief.judges = Judges.of(frame, fold, frames)
            frame = self._last_em(fit, belief, frame)
            judges = Judges.of(frame, fold, frames)
        curves = frame.curves(job.tensors.curves)
        found, everyone = targets(frame, curves, known), np.arange(len(job.tensors))
        regressions = {
            voice.name: regression(job, voice, heard_by[voice.name], found, everyone)[0]
            for voice in who
            if voice.speaker != NETWORK
        }
        chosen = torch.arange(len(job.tensors), device=job.device)
        learning = NetworkLearning(job, frame, curves, self.state.mixture, chosen, self.restart)
        if not self.stopped:
            learning.run()
            self.halted, self.interrupted = learning.halted, learning.interrupted
            if self.stopped:
                # Half of a training is not what was judged.
                who = tuple(voice for voice in who if voice.speaker != NETWORK)
        self.state.network, self.state.mixture, self.state.noise = learning.network, learning.mixture, learning.noise
        self.history = learning.history
        self.belief = Belief(who, regressions, belief.out_of_fold, curves, known, job.groups, judges)
        here = {name: job.tensors.present[name] for name in job.options.neural}
        for row in _patterns(here):
            names = [name for name, has in zip(here, row, strict=True) if has]
            for part in [names] if len(names) < 2 else [names, *([name] for name in names)]:
                self.belief.of(frame, part)

    @property
    def stopped(self) -> bool:
        """Whether somebody ended it before its end."""
        return self.halted or self.interrupted

    @property
    def _frame(self) -> Frame:
        return Frame(self.state.decoders, self.state.mixture.log_weights)

    def _last_em(self, fit: PhysicsFit, belief: Belief, frame: Frame) -> Frame:
        """EM of the physics with what was said out of fold; training responsibilities are not a network's memory."""
        job = self.job
        present = {name: job.tensors.present[name] for name in job.options.neural}
        psi = told(belief, frame, belief.out_of_fold, present).psi.cpu().numpy()
        populations, found = settled(fit, psi)
        self._take(fit, populations, found, psi)
        fresh = self._frame
        if fresh.size != frame.size:
            # A direction in which nothing scatters any more: what was said is in other coordinates.
            self._take(fit, fit.populations, fit.found)
            return frame
        everyone = job.tensors.curves
        belief.out_of_fold = {name: fresh.moved(part, frame, everyone) for name, part in belief.out_of_fold.items()}
        belief.parts.clear()
        return fresh


def settled(fit: PhysicsFit, heard: np.ndarray) -> tuple[Populations, Expectation]:
    """Run EM at fixed information with what else is known of each specimen's population, (N, C), nats.

    First with one scatter for all populations, which they are shrunk to afterwards: the one found without that
    knowledge holds what populations overlap by.
    """
    populations, found = fit.populations, expect(fit.information, fit.populations, heard)
    if not heard.any():
        return populations, found
    for tied, most in ((True, TIED_STEPS), (False, STEPS)):
        for _ in range(most):
            fresh = maximise(fit.information, populations, found, tied=tied)
            moved = change(populations, fresh)
            populations, found = fresh, expect(fit.information, fresh, heard)
            if moved < SETTLED:
                break
    return populations, found


def _patterns(present: dict[str, Tensor]) -> list[list[bool]]:
    return torch.unique(torch.stack(list(present.values()), 1), dim=0).tolist()
