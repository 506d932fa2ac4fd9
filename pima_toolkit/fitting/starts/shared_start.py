"""Where training starts when several processes train: found by the first one, the same for all."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..run import TrainingRun
from .initialise import PhysicsMixture, blank_decoder, physics_first


def shared_physics_first(job: TrainingRun, seed: int) -> tuple[PhysicsMixture, Tensor]:
    """As :func:`physics_first`, which the first process alone does; the others wait for what it finds.

    Args:
        job: What to train on; it has physics.
        seed: Of the starts.
    """
    options, tensors, templates = job.options, job.tensors, job.templates
    if job.processes.rank == 0:
        mixture, gamma = physics_first(tensors, options.modalities, templates, options.clusters, seed)
        if not job.processes.several:
            return mixture, gamma
    else:
        blank = {
            name: blank_decoder(option, templates[name], tensors.curves[name], options.clusters)
            for name, option in options.physics.items()
        }
        weights = torch.zeros(options.clusters, dtype=torch.float64, device=job.device)
        mixture, gamma = PhysicsMixture(weights, blank), weights.new_zeros(len(tensors), options.clusters)
    gamma, log_weights = gamma.contiguous(), mixture.log_weights.contiguous()
    job.processes.as_first([gamma, log_weights])
    decoders = {}
    for name, decoder in mixture.decoders.items():
        theta = torch.tensor(decoder.theta, device=job.device)
        scatter, variance = decoder.scatter.contiguous(), decoder.variance.contiguous()
        job.processes.as_first([theta, scatter, variance])
        decoders[name] = replace(decoder, theta=theta.cpu().numpy(), scatter=scatter, variance=variance)
    return PhysicsMixture(log_weights, decoders), gamma
