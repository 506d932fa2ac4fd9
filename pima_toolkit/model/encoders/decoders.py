r"""The decoder of a neural modality: :math:`p(X_i \mid Z) = \mathcal N(\mathrm{decoder}(Z), \mathrm{noise\ variance})`.

Source: Trask et al. 2022, eq. (12), which prints the decoder's argument as X; it takes Z.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

from torch import nn

from ...errors import OptionError
from .encoders import HIDDEN, conv_widths, halved

_CONV_TRANSPOSE = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def decoder(shape: Sequence[int], latent_dim: int, kind: str | nn.Module = "conv") -> nn.Module:
    """Network from (specimen, latent) to (specimen, *shape), the mean of a neural modality in units of its range.

    Args:
        shape: Of one specimen, (channels, *spatial) or (features,).
        latent_dim: L.
        kind: ``"conv"``, ``"paper"`` (appendix A), or a module with these shapes.

    Raises:
        OptionError: If ``kind`` is none of these.
    """
    if isinstance(kind, nn.Module):
        return copy.deepcopy(kind)
    if kind not in ("conv", "paper"):
        raise OptionError(f'decoder={kind!r} is unknown: use "conv", "paper" or a torch module')
    if len(shape) == 1:
        return nn.Sequential(nn.Linear(latent_dim, HIDDEN), nn.ELU(inplace=True), nn.Linear(HIDDEN, shape[0]))
    channels, spatial = shape[0], shape[1:]
    rank = len(spatial)
    widths = [64, 32] if kind == "paper" else conv_widths(spatial)[::-1]
    if len(widths) > 2:
        # Most of the work is done at full size: half the channels there take a third of the time.
        widths = [max(8, 64 >> k) for k in range(len(widths))]
    sizes = halved(spatial, len(widths))[::-1]
    inner = 32
    layers: list[nn.Module] = [
        nn.Linear(latent_dim, inner * math.prod(sizes[0])),
        nn.Unflatten(1, (inner, *sizes[0])),
    ]
    convolution = _CONV_TRANSPOSE[rank]
    for width, size in zip(widths, sizes[1:], strict=True):
        # An even size needs one more row than 2m - 1; an odd one does not.
        extra = tuple(1 - n % 2 for n in size)
        layers += [convolution(inner, width, 3, 2, 1, output_padding=extra), nn.ReLU(inplace=True)]
        inner = width
    layers.append(convolution(inner, channels, 3, 1, 1))
    return nn.Sequential(*layers)
