"""Flips, shifts, deformations of a batch, drawn anew for each specimen and step, and all mirror images of an input."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


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


def deform(
    x: Tensor,
    generator: torch.Generator,
    *,
    rotation: float = 15.0,
    shear: float = 15.0,
    stretch: float = 0.12,
    shift: float = 0.1,
) -> Tensor:
    """Turn, shear, stretch and move each picture on its own, by amounts drawn uniformly up to the largest.

    Args:
        x: Pictures, shape (specimen, channels, y, x).
        generator: On the device of ``x``.
        rotation: Largest angle in degrees.
        shear: Largest shear in degrees.
        stretch: Largest change of the size along each axis, as a share of it.
        shift: Largest shift along each axis, as a share of its size; edges are repeated.

    Returns:
        The same shape, interpolated linearly.
    """
    drawn = 2.0 * torch.rand(6, len(x), generator=generator, device=x.device) - 1.0
    angle, slope = drawn[0] * math.radians(rotation), drawn[1] * math.tan(math.radians(shear))
    wide, high = 1.0 + stretch * drawn[2], 1.0 + stretch * drawn[3]
    cos, sin = angle.cos(), angle.sin()
    # Coordinates run from -1 to 1: a share of the size is twice that many of them.
    rows = [
        torch.stack([wide * cos, wide * (cos * slope - sin), 2.0 * shift * drawn[4]], 1),
        torch.stack([high * sin, high * (sin * slope + cos), 2.0 * shift * drawn[5]], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
