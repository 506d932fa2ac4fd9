r"""The decoder of a neural modality: :math:`p(X_i \mid Z) = \mathcal N(\mathrm{decoder}(Z), \mathrm{noise\ variance})`.

Source: Trask et al. 2022, eq. (12), which prints the decoder's argument as X; it takes Z.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from .table import ENCODERS


def decoder(shape: Sequence[int], latent_dim: int, kind: str | nn.Module = "conv") -> nn.Module:
    """Build the network from (specimen, latent) to (specimen, *shape), the mean in units of the modality's range.

    Args:
        shape: Shape of one specimen, (channels, *spatial) or (features,).
        latent_dim: L.
        kind: A name in :data:`ENCODERS` that decodes, or a module with these shapes; a module is copied.

    Raises:
        OptionError: If ``kind`` is none of these.
    """
    return copy.deepcopy(kind) if isinstance(kind, nn.Module) else ENCODERS.get(kind).decoder(shape, latent_dim)
