"""One look of trained networks at all specimens, few at a time: what does not fit into memory is read once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..model.augment import mirrored
from ..model.gaussian import DiagonalGaussian
from ..model.network import Network
from ..model.speaker import SpeakingNetwork
from .inputs.stored import Stored, joined, looked_at
from .inputs.tensors import Tensors

#: Pictures that are drawn again at once.
_CHUNK = 1024


@torch.no_grad()
def encode(network: Network, tensors: Tensors, autocast: torch.autocast, part: slice = slice(None)) -> DiagonalGaussian:
    """Compute q(Z given X) in eval mode of all specimens, or of ``part``; (specimen, latent), memory bounded."""
    training = network.training
    network.eval()
    first, last, _ = part.indices(len(tensors))
    pieces = (slice(max(rows.start, first), min(rows.stop, last)) for rows in looked_at(*tensors.inputs.values()))

    def encoded(rows: slice) -> list[Tensor]:
        with autocast:
            posterior = network.posterior(
                {name: x[rows] for name, x in tensors.inputs.items()},
                {name: present[rows] for name, present in tensors.present.items()},
            )
        return [posterior.mean, posterior.variance]

    out = joined(last - first, (encoded(rows) for rows in pieces if rows.start < rows.stop))
    network.train(training)
    return DiagonalGaussian(*out)


@torch.no_grad()
def encode_alone(
    encoder: nn.Module, x: Tensor | Stored, flips: Sequence[int], autocast: torch.autocast
) -> list[tuple[Tensor, DiagonalGaussian]]:
    """Encode one modality by itself, and its mirror images where it may be mirrored.

    Args:
        encoder: Of a single modality, from (specimen, *shape) to log responsibilities and a Gaussian in each cluster.
        x: Encoder inputs (specimen, *shape).
        flips: Axes that may be mirrored.
        autocast: Precision of the network.

    Returns:
        Of the input as it is, then of each mirror image: log responsibilities (specimen, cluster) and q(Z given c)
        (specimen, cluster, latent).
    """
    encoder.eval()

    def encoded(rows: slice) -> list[Tensor]:
        with autocast:
            views = [encoder(view) for view in mirrored(x[rows], flips)]
        return [part for log_gamma, embedding in views for part in (log_gamma, embedding.mean, embedding.variance)]

    parts = joined(len(x), map(encoded, looked_at(x)))
    return [(parts[k], DiagonalGaussian(parts[k + 1], parts[k + 2])) for k in range(0, len(parts), 3)]


@torch.no_grad()
def reconstruction_error(
    network: Network | SpeakingNetwork, name: str, x: Tensor | Stored, z: Tensor, autocast: torch.autocast
) -> Tensor:
    """Mean squared error (specimen,) of a neural modality drawn again from positions, in units of its range squared.

    Args:
        network: Has the decoder.
        name: The modality.
        x: What was measured, (specimen, *shape).
        z: Latent positions (specimen, latent), float32.
        autocast: Precision of the network.
    """
    network.eval()

    def error(rows: slice) -> list[Tensor]:
        with autocast:
            decoded = network.decode(name, z[rows])
            return [(decoded - x[rows]).square().flatten(1).mean(1)]

    return joined(len(x), map(error, looked_at(x, most=_CHUNK)))[0]
