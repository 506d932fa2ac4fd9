"""One restart of a training by evidence: populations in the curves alone where nothing else was measured."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..run import Progress, TrainingRun
from ..starts.initialise import blank_decoder
from ..starts.populations import RENEWALS
from ..state import History, State, write_arrays
from .network import blank_network
from .physics import decoders_of, fit_physics, placed


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
        self.state = State(
            blank_network(options, {name: spec.shape for name, spec in job.specs.items()}, job.seed(restart, 0)),
            placed(weights, decoders, job.specs, options.latent_dim),
            decoders,
            dict.fromkeys(options.neural, 1.0),
        )
        self.history = History()
        self.gamma: Tensor | None = None
        self.stranger: Tensor | None = None
        self.halted = False
        self.interrupted = False

    @property
    def path(self) -> Path | None:
        """File that this restart is kept in; None without checkpoints."""
        folder = self.job.checkpoint
        return None if folder is None else folder / f"restart-{self.restart}.safetensors"

    @property
    def merit(self) -> float:
        """Number that restarts are chosen by: the penalised log likelihood, nats per specimen."""
        return self.history.rows[-1]["elbo"] if self.history.rows else -math.inf

    def run(self) -> EvidenceTraining:
        """Train, or take what the checkpoint holds; an interrupt keeps the populations of the last renewal."""
        saved = self.job.resumed(self.path)
        if saved is not None:
            arrays, meta = saved
            self.state.load(arrays)
            self.history.rows = meta["history"]
            self.gamma, self.stranger = (arrays[name].to(self.job.device) for name in ("gamma", "stranger"))
            return self
        self._find()
        if not (self.halted or self.interrupted):
            self._save()
        return self

    def _find(self) -> None:
        job, began = self.job, time.perf_counter()

        def told(number: int, value: float, shares: np.ndarray) -> bool:
            nonlocal began
            now = time.perf_counter()
            self.history.add(
                elbo=value,
                terms={"physics": value},
                consistency=0.0,
                occupancy=shares.tolist(),
                reseeded=0,
                learning_rate=0.0,
                seconds=now - began,
            )
            began = now
            progress = Progress(
                "joint", self.restart, number + 1, job.settings.epochs or RENEWALS, value, tuple(shares.tolist())
            )
            self.halted = job.callback(progress) is True
            return self.halted

        found, _ = fit_physics(job, job.seed(self.restart, 1) % 2**31, told)
        options, populations = job.options, found.populations
        self.state.decoders = decoders_of(populations, options.physics, job.specs, job.tensors.curves)
        self.state.mixture = placed(populations.log_weights, self.state.decoders, job.specs, options.latent_dim)
        self.gamma = torch.as_tensor(found.found.among_populations, device=job.device)
        self.stranger = torch.as_tensor(found.found.stranger, device=job.device)
        self.interrupted = found.interrupted

    def _save(self) -> None:
        if self.path is None or self.job.processes.rank:
            return
        arrays = {**self.state.arrays(), "gamma": self.gamma, "stranger": self.stranger}
        write_arrays(self.path, arrays, {"fingerprint": self.job.mark, "history": self.history.rows})
