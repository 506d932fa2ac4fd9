"""One training run: its data, its random numbers, and the progress it reports.

Every epoch draws from its own seed, made of (seed, restart, phase, epoch), so that a run that was killed resumes to the
result of the uninterrupted one without any generator's state on disk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..model.augment import augment
from ..model.curves import Curves
from ..model.evidence import Evidence
from ..model.gaussian import DiagonalGaussian
from ..model.network import Network
from ..model.physics import PhysicsDecoder
from .inputs.spec import InputSpec
from .inputs.tensors import Tensors
from .options import ModelOptions, TrainingSettings
from .parallel.distributed import ALONE, Processes
from .passes import encode
from .state import Arrays, fingerprint, resume


@dataclass(frozen=True)
class Progress:
    """Progress of a training, given to callbacks after every epoch.

    Args:
        phase: ``"physics"``: populations of the curves; ``"held_out"``: networks that say of specimens held out what
            can be believed, a fold each; ``"joint"``: the training. In the paper's inference ``"joint"``,
            ``"crossmodal"``; before them ``"invariance"`` where pictures without physics find their
            first clusters, ``"curveless"`` where specimens without any curve do; after them ``"calibration"`` of bands
            where physics varies with the latent.
        restart: Number of the restart, from 0; in ``"held_out"`` of the fold, in the calibration of the share of the
            specimens that is held back.
        epoch: How many epochs are done.
        epochs: How many there will be at most.
        elbo: Mean ELBO of a specimen in nats; in the other phases minus the mean loss.
        occupancy: Share of the specimens in each cluster.
    """

    phase: str
    restart: int
    epoch: int
    epochs: int
    elbo: float
    occupancy: tuple[float, ...]

    @property
    def title(self) -> str:
        """What is going on, in words."""
        number = f" {self.restart + 1}" if self.phase in ("calibration", "held_out") else ""
        return PHASES[self.phase] + number


#: What every phase is, in words.
PHASES = {
    "physics": "populations of the curves",
    "held_out": "check on specimens held out, fold",
    "invariance": "clusters of pictures",
    "curveless": "clusters of specimens without curves",
    "joint": "training",
    "crossmodal": "cross-modal encoders",
    "calibration": "width of the bands",
}
#: Returns True to stop training after this epoch and keep the fit so far.
Callback = Callable[[Progress], object]


@dataclass(frozen=True)
class TrainingRun:
    """Everything one training run needs; nothing in it changes.

    Args:
        options: The model.
        settings: How it is trained.
        templates: What was learned of each modality.
        tensors: Every specimen.
        device: Where they are.
        checkpoint: Folder that is written after every epoch; None: nothing is written.
        mark: Fingerprint of data and options.
        callback: Told of every epoch.
        processes: Those that share the training.
        groups: Which specimens belong together, such as those of one batch, (specimen,); None: every one by itself.
    """

    options: ModelOptions
    settings: TrainingSettings
    specs: Mapping[str, InputSpec]
    tensors: Tensors
    device: torch.device
    checkpoint: Path | None
    mark: str
    callback: Callback
    processes: Processes = ALONE
    groups: np.ndarray | None = None

    @property
    def parts(self) -> list[str]:
        """Names of the modalities."""
        return list(self.options.modalities)

    def autocast(self) -> torch.autocast:
        """The precision the networks train in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.autocast(self.device))

    def seed(self, *key: int) -> int:
        """Make a seed for one purpose, independent of all others."""
        return int(np.random.SeedSequence([self.settings.seed, *key]).generate_state(1)[0])

    def resumed(self, path: Path | None) -> tuple[Arrays, dict] | None:
        """Read the checkpoint at ``path``; None where the first process finds none.

        Raises:
            TrainingError: If it belongs to other data or options.
        """
        if path is None or not self.processes.agreed(path.exists()):
            return None
        return resume(path, self.mark)

    def alone(self) -> TrainingRun:
        """Return the same run for a process that works on its own; all come to the same end."""
        return replace(self, processes=ALONE)

    @property
    def own(self) -> slice:
        """The specimens whose sums this process makes."""
        return self.processes.own(len(self.tensors))

    @cached_property
    def own_curves(self) -> dict[str, Curves]:
        """Curves of these specimens by modality."""
        curves = self.tensors.curves
        return {name: c[self.own] for name, c in curves.items()} if self.processes.several else dict(curves)

    def steps(self, specimens: int) -> tuple[int, int, int]:
        """Count batches an epoch, epochs and cross-modal epochs for this many specimens."""
        return self.settings.steps(specimens, vary=self.options.varies, processes=self.processes.count)

    def generator(self, seed: int) -> torch.Generator:
        """Make the generator of this process's random numbers in one epoch, on the device."""
        if self.processes.rank:
            seed = int(np.random.SeedSequence([seed, self.processes.rank]).generate_state(1)[0])
        return torch.Generator(self.device).manual_seed(seed)

    def batches(self, count: int, seed: int, specimens: Tensor | None = None) -> Iterator[Tensor]:
        """Yield a shuffled epoch of all or these specimens, in batches whose sizes differ by at most one.

        Of several processes each gets its part of every batch. Specimens on disk come block by block, blocks and the
        specimens in each shuffled.

        Args:
            count: How many batches.
            seed: Seed of the order.
            specimens: Specimens in ascending order; None: all.
        """
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.arange(len(self.tensors)) if specimens is None else specimens.cpu()
        if self.tensors.block is None:
            order = chosen[torch.randperm(len(chosen), generator=generator)]
        else:
            sizes = torch.unique_consecutive(chosen // self.tensors.block, return_counts=True)[1]
            blocks = chosen.split(sizes.tolist())
            shuffled = torch.randperm(len(blocks), generator=generator).tolist()
            order = torch.cat([blocks[k][torch.randperm(len(blocks[k]), generator=generator)] for k in shuffled])
        own = order.tensor_split(self.processes.count)[self.processes.rank]
        yield from own.to(self.device).tensor_split(count)

    def encode(self, network: Network, autocast: torch.autocast | None = None) -> DiagonalGaussian:
        """Compute q(Z given X) of all specimens, (specimen, latent); each process encodes its own."""
        autocast = autocast or self.autocast()
        own = encode(network, self.tensors, autocast, self.own)
        joined = (self.processes.joined(part, len(self.tensors)) for part in (own.mean, own.variance))
        return DiagonalGaussian(*joined)

    def evidence(self, decoders: Mapping[str, PhysicsDecoder]) -> list[Evidence]:
        """Compute the evidence of the curves about c and Z, by modality; each process asks its own specimens'."""
        return self.joined([decoder.evidence(self.own_curves[name]) for name, decoder in decoders.items()])

    def joined(self, own: list[Evidence]) -> list[Evidence]:
        """Join the evidence of each process's own specimens, by modality; without physics, one that says nothing."""
        if not own:
            return physics_evidence({}, self.tensors, self.options.clusters)
        return [self._joined(part, len(self.tensors)) for part in own] if self.processes.several else own

    def _joined(self, part: Evidence, specimens: int) -> Evidence:
        joined = self.processes.joined
        if part.linear is None or part.curvature is None:
            return Evidence(joined(part.constant, specimens))
        # One curvature serves all only where no process has a specimen without the curve.
        shared = part.constant.new_tensor(float(part.curvature.shape[0] == 1))
        if self.processes.total(shared)[0] == self.processes.count:
            curvature = part.curvature
        else:
            curvature = joined(part.curvature.expand(len(part.constant), -1, -1, -1), specimens)
        return Evidence(joined(part.constant, specimens), joined(part.linear, specimens), curvature, part.origin)

    def rate(self, share: float) -> float:
        """Learning rate at a share of the training: up from 1/25 over the first 30 %, then down to 0, by cosines."""
        peak = self.settings.learning_rate
        if share < 0.3:
            return peak * (0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * share / 0.3)))
        return peak * 0.5 * (1.0 + math.cos(math.pi * (share - 0.3) / 0.7))

    def optimiser(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Make Adam with decoupled weight decay."""
        settings = self.settings
        return torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)

    def augmented(
        self, index: Tensor, generator: torch.Generator, names: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """Take encoder inputs of a batch, of all or these modalities, flipped and shifted where that is allowed."""
        inputs = {}
        for name in self.parts if names is None else names:
            inputs[name] = self.tensors.inputs[name][index]
            option = self.options.neural.get(name)
            if option is not None and (option.flips or option.shift):
                axes = self.specs[name].axes(option.flips)
                inputs[name] = augment(inputs[name], axes, option.shift, generator)
        return inputs


def mark_of(
    options: ModelOptions, settings: TrainingSettings, specs: Mapping[str, InputSpec], data: str, *more: object
) -> str:
    """Fingerprint of all that a training depends on: the data, by theirs, and every option that changes it."""
    # Curves are divided by their scale, and an expert's text names neither its bounds nor its formula.
    scales = {name: spec.scale for name, spec in specs.items()}
    # Which version of a plugin brought it does not count where formula and parameters are the same.
    experts = {name: {**option.expert.to_dict(), "origin": None} for name, option in options.physics.items()}
    described = [{name: repr(option) for name, option in options.modalities.items()}, scales, experts]
    model = {
        name: getattr(options, name) for name in options.__dataclass_fields__ if name not in ("modalities", "combine")
    }
    training = {name: getattr(settings, name) for name in settings.__dataclass_fields__ if name != "restarts"}
    return fingerprint({}, [described, model, training, data, *more])


def physics_evidence(decoders: Mapping[str, PhysicsDecoder], tensors: Tensors, clusters: int) -> list[Evidence]:
    """Compute the evidence of the curves of each physics modality; without physics, one that says nothing."""
    if not decoders:
        device = next(iter(tensors.inputs.values())).device
        return [Evidence(torch.zeros(len(tensors), clusters, dtype=torch.float64, device=device))]
    return [decoder.evidence(tensors.curves[name]) for name, decoder in decoders.items()]


def physics_log_prob(evidence: Sequence[Evidence], posterior: DiagonalGaussian) -> Tensor:
    """Sum of E_q(Z)[log p(X_i given Z, c)] over the physics modalities a specimen has, (specimen, cluster), float64."""
    return sum((part.expected(posterior) for part in evidence[1:]), start=evidence[0].expected(posterior))
