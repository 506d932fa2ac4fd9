"""The networks of a training by evidence: what they say of specimens, and where they place them in Z."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...model.augment import mirrored
from ...model.gaussian import DiagonalGaussian
from ...model.network import channels_last
from ...model.speaker import SpeakingNetwork
from ..inputs.spec import InputSpec
from ..inputs.stored import joined, looked_at
from ..inputs.tensors import Tensors
from ..options import ModelOptions


def blank_network(
    options: ModelOptions, shapes: Mapping[str, Sequence[int]], parameters: int, seed: int, *, draws: bool = True
) -> SpeakingNetwork:
    """Build the untrained networks of the neural modalities; the global random state stays.

    Args:
        options: The model.
        shapes: Shape of one specimen's input by modality.
        parameters: Directions in which the specimens of a population differ.
        seed: Of the first weights.
        draws: Whether pictures are to be drawn again, too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the processor's alone, as in model/network.py
        network = SpeakingNetwork(options.neural, shapes, options.clusters, parameters, options.latent_dim, draws=draws)
    channels_last(network)
    return network


@torch.no_grad()
def heard(
    network: SpeakingNetwork,
    name: str,
    options: ModelOptions,
    specs: Mapping[str, InputSpec],
    tensors: Tensors,
    autocast: torch.autocast,
) -> list[Tensor]:
    """What the network of a modality says of all specimens, zero of those without it; memory bounded.

    Where a picture may be mirrored, what is said of it and its mirror images is averaged.

    Returns:
        The parts of :class:`~pima_toolkit.model.speaker.RecognitionNetwork`, float64.
    """
    network.eval()
    x, axes = tensors.inputs[name], specs[name].axes(options.neural[name].flips)

    def speak(rows: slice) -> list[Tensor]:
        with autocast:
            views = [network.speak(name, view) for view in mirrored(x[rows], axes)]
        return [torch.stack(parts).mean(0) for parts in zip(*views, strict=True)]

    parts = joined(len(x), map(speak, looked_at(x)))
    here = tensors.present[name][:, None]
    return [torch.where(here, part, 0.0) for part in parts]


@torch.no_grad()
def embedded(network: SpeakingNetwork, name: str, tensors: Tensors, autocast: torch.autocast) -> DiagonalGaussian:
    """q(Z given X_i) of all specimens, (N, L), of any value for those without the modality; memory bounded.

    Of each as it is, not of its mirror images: it is to be drawn as it is.
    """
    network.eval()
    x = tensors.inputs[name]

    def embed(rows: slice) -> list[Tensor]:
        with autocast:
            embedding = network.embed(name, x[rows])
        return [embedding.mean, embedding.variance]

    return DiagonalGaussian(*joined(len(x), map(embed, looked_at(x))))
