"""Flips and shifts of a batch, drawn anew for every specimen and step, and all mirror images of an input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def augment(x: Tensor, flips: Sequence[int], shift: float, generator: torch.Generator) -> Tensor:
    """Mirror and move each specimen on its own.

    Args:
        x: Shape (specimen, channels, *spatial).
        flips: Axes that may be mirrored, each with probability one half.
        shift: Largest shift along every spatial axis as a share of its size; the edge is repeated.
        generator: On the device of ``x``.

    Returns:
        The same shape.
    """
    count = x.shape[0]
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        mirrored = torch.zeros(count, 1, dtype=torch.bool, device=x.device)
        if axis in flips:
            mirrored = torch.rand(count, 1, generator=generator, device=x.device) < 0.5
        move = torch.zeros(count, 1, dtype=torch.long, device=x.device)
        reach = int(shift * size)
        if reach:
            move = torch.randint(-reach, reach + 1, (count, 1), generator=generator, device=x.device)
        elif axis not in flips:
            continue
        source = (torch.arange(size, device=x.device) + move).clamp(0, size - 1)
        source = torch.where(mirrored, size - 1 - source, source)
        shape = [count] + [1] * (x.ndim - 1)
        shape[axis] = size
        x = x.gather(axis, source.view(shape).expand(x.shape))
    return x


def mirrored(x: Tensor, flips: Sequence[int]) -> list[Tensor]:
    """The input itself and all its mirror images: 2, 4, ... views, each of the shape of ``x``.

    Args:
        x: Shape (specimen, channels, *spatial).
        flips: Axes that may be mirrored.
    """
    views = [x]
    for axis in flips:
        views += [view.flip(axis) for view in views]
    return views
