"""Start of the joint training: responsibilities, experts, and which responsibilities it holds on to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...model.gaussian import DiagonalGaussian
from ...model.mixture import GaussianMixture
from ...model.network import Network
from ...model.physics import PhysicsDecoder
from ..run import TrainingRun
from .curveless import CurvelessFirst
from .initialise import PhysicsMixture, blank_decoder, latent_partition, physics_first, random_start
from .invariance import InvarianceFirst, picture_names


@dataclass(frozen=True)
class Start:
    """Start of one restart.

    Args:
        gamma: Responsibilities, (specimen, cluster).
        decoders: Experts by physics modality.
        held: Responsibilities to hold on to while training, (specimen, cluster), NaN where there are none.
        halted: Whether somebody asked to stop on the way.
    """

    gamma: Tensor
    decoders: Mapping[str, PhysicsDecoder] = field(default_factory=dict)
    held: Tensor | None = None
    halted: bool = False


def first_start(
    job: TrainingRun,
    network: Network,
    mixture: GaussianMixture,
    restart: int,
    reconstruct: Callable[[], DiagonalGaussian],
) -> Start:
    """Start from the physics; without it, from what pictures have in common; without those, from a latent mixture.

    Args:
        job: The training run.
        network: The joint training's, untrained; the encoders of pictures may learn on the way.
        mixture: The prior, likewise.
        restart: Number of this restart, from 0.
        reconstruct: Trains the network to reconstruct and gives q(Z given X) of all specimens.
    """
    options = job.options
    seed = job.seed(restart, 1) % 2**31
    if job.settings.start == "random":
        decoders, gamma = random_start(job.tensors, options.modalities, job.specs, job.encode(network), mixture, seed)
        return Start(gamma, decoders)
    if options.physics:
        physics, gamma = shared_physics_first(job, seed)
        first = CurvelessFirst(job, network, restart)
        if not first.needed:
            return Start(gamma, physics.decoders)
        held = _as_first(job, network, first.run(gamma))
        return Start(torch.where(held.isnan(), gamma, held), physics.decoders, held, first.halted)
    if picture_names(job):
        pictures = InvarianceFirst(job, network, restart)
        held = _as_first(job, network, pictures.run())
        return Start(held.nan_to_num(1.0 / options.clusters), held=held, halted=pictures.halted)
    partition = latent_partition(reconstruct().mean.double().cpu().numpy(), options.clusters, seed)
    gamma = torch.as_tensor(partition, device=job.device)
    job.processes.as_first([gamma])
    return Start(gamma)


def shared_physics_first(job: TrainingRun, seed: int) -> tuple[PhysicsMixture, Tensor]:
    """Let the first process do :func:`physics_first`; the others wait for what it finds.

    Args:
        job: The training run; it has physics.
        seed: Seed of the starts.
    """
    options, tensors, specs = job.options, job.tensors, job.specs
    if job.processes.rank == 0:
        mixture, gamma = physics_first(tensors, options.modalities, specs, options.clusters, seed)
        if not job.processes.several:
            return mixture, gamma
    else:
        blank = {
            name: blank_decoder(option, specs[name], tensors.curves[name], options.clusters)
            for name, option in options.physics.items()
        }
        weights = torch.zeros(options.clusters, dtype=torch.float64, device=job.device)
        mixture, gamma = PhysicsMixture(weights, blank), weights.new_zeros(len(tensors), options.clusters)
    gamma, log_weights = gamma.contiguous(), mixture.log_weights.contiguous()
    job.processes.as_first([gamma, log_weights])
    decoders = {}
    for name, decoder in mixture.decoders.items():
        arrays = {name: array.to(job.device, copy=True).contiguous() for name, array in decoder.arrays().items()}
        job.processes.as_first(arrays.values())
        decoders[name] = decoder.with_arrays(arrays)
    return PhysicsMixture(log_weights, decoders), gamma


def _as_first(job: TrainingRun, network: Network, held: Tensor) -> Tensor:
    """Go on with the first process's result, where every process found its own, on its own copy of the network."""
    job.processes.as_first([held, *network.state_dict().values()])
    return held
