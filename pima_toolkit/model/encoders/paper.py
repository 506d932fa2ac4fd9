"""``"paper"``: the networks of appendix A of Trask et al. 2022: two convolutions, no hidden layer; both ways."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .base import HIDDEN, EncoderKind
from .layers import convolutions, hidden, transposed, vector_decoder


class PaperKind(EncoderKind):
    """The networks of the paper, whatever the size of the input."""

    decodes = True

    def trunk(self, shape: Sequence[int]) -> tuple[nn.Module, int]:
        """Two convolutions; one hidden layer for vectors, which the paper has not."""
        if len(shape) == 1:
            return nn.Sequential(*hidden(shape[0])), HIDDEN
        layers, width = convolutions(shape, [8, 16] if len(shape) == 2 else [32, 64], None)
        return nn.Sequential(*layers), width

    def decoder(self, shape: Sequence[int], latent_dim: int) -> nn.Module:
        """Two transposed convolutions; a perceptron for vectors."""
        if len(shape) == 1:
            return vector_decoder(shape[0], latent_dim)
        return transposed(shape, latent_dim, [64, 32])
