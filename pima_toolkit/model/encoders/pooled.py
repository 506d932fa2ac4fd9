"""``"pooled"``: the convolutions of ``"conv"``, their features averaged over the whole frame: for textures."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .base import HIDDEN, EncoderKind
from .layers import conv_widths, convolutions, hidden


class PooledKind(EncoderKind):
    """It sees what is in the frame and not where."""

    def trunk(self, shape: Sequence[int]) -> tuple[nn.Module, int]:
        """Convolutions averaged over the frame, and one hidden layer; for vectors the perceptron of ``"conv"``."""
        if len(shape) == 1:
            return nn.Sequential(*hidden(shape[0]), *hidden(HIDDEN)), HIDDEN
        layers, width = convolutions(shape, conv_widths(shape[1:]), 1)
        return nn.Sequential(*layers, *hidden(width)), HIDDEN
