"""Stacks of layers that the toolkit's own kinds of networks are made of, for inputs of one, two or three dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from .base import HIDDEN

_CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
_CONV_TRANSPOSE = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
#: Channels that a decoder begins with.
_INNER = 32


def conv_widths(spatial: Sequence[int]) -> list[int]:
    """Channels of each stride-2 stage: two as in the paper for small inputs, more until about ten cells are left."""
    stages = max(2, math.ceil(math.log2(max(spatial) / 10.0)))
    if len(spatial) == 1:
        return [8, 16, 32, 32, 32][:stages] + [32] * (stages - 5)
    if stages == 2:
        return [32, 64] if len(spatial) == 2 else [16, 32]
    return [16, 32, 64] + [64] * (stages - 3)


def halved(spatial: Sequence[int], stages: int) -> list[tuple[int, ...]]:
    """Sizes before and after each stride-2 stage, outermost first."""
    sizes = [tuple(spatial)]
    for _ in range(stages):
        sizes.append(tuple(-(-n // 2) for n in sizes[-1]))
    return sizes


def hidden(width: int) -> list[nn.Module]:
    """One hidden layer of ``HIDDEN`` features after ``width``."""
    return [nn.Linear(width, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ELU(inplace=True)]


def convolutions(shape: Sequence[int], widths: Sequence[int], pooled: int | None) -> tuple[list[nn.Module], int]:
    """Stride-2 convolutions of the given widths, and the number of features after them.

    Args:
        shape: Shape of one specimen, (channels, *spatial).
        widths: Channels of each stage.
        pooled: Cells along each dim that features are averaged to at the end; None: they stay as they are.
    """
    channels, spatial = shape[0], shape[1:]
    rank = len(spatial)
    layers: list[nn.Module] = []
    for out_channels in widths:
        layers += [_CONV[rank](channels, out_channels, 3, 2, 1), _NORM[rank](out_channels), nn.ELU(inplace=True)]
        channels = out_channels
    last = halved(spatial, len(widths))[-1]
    if pooled is not None:
        layers.append(_POOL[rank](pooled))
        last = (pooled,) * rank
    layers.append(nn.Flatten())
    return layers, channels * math.prod(last)


def transposed(shape: Sequence[int], latent_dim: int, widths: Sequence[int]) -> nn.Module:
    """Stride-2 transposed convolutions from the latent space to (specimen, *shape).

    Args:
        shape: Shape of one specimen, (channels, *spatial).
        latent_dim: L.
        widths: Channels after each stage.
    """
    channels, spatial = shape[0], shape[1:]
    convolution = _CONV_TRANSPOSE[len(spatial)]
    sizes = halved(spatial, len(widths))[::-1]
    inner = _INNER
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, inner * math.prod(sizes[0])),
        nn.Unflatten(1, (inner, *sizes[0])),
    ]
    for width, size in zip(widths, sizes[1:], strict=True):
        # An even size needs one more row than 2m - 1; an odd one does not.
        extra = tuple(1 - n % 2 for n in size)
        layers += [convolution(inner, width, 3, 2, 1, output_padding=extra), nn.ReLU(inplace=True)]
        inner = width
    layers.append(convolution(inner, channels, 3, 1, 1))
    return nn.Sequential(*layers)


def vector_decoder(features: int, latent_dim: int) -> nn.Module:
    """A multilayer perceptron from the latent space to a vector."""
    return nn.Sequential(nn.Linear(latent_dim, HIDDEN), nn.ELU(inplace=True), nn.Linear(HIDDEN, features))
