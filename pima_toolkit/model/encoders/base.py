"""The contract of a kind of network: from one modality to features, and from the latent space back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from ...errors import OptionError

#: Features of a hidden layer.
HIDDEN = 128


class EncoderKind(ABC):
    """Recipe for the networks of a neural modality, from the shape of its data; a subclass is the whole of a kind.

    A kind that also decodes sets ``decodes = True`` and has :meth:`decoder`.
    """

    #: Whether ``Neural(decoder=...)`` may name this kind.
    decodes: ClassVar[bool] = False

    @abstractmethod
    def trunk(self, shape: Sequence[int]) -> tuple[nn.Module, int]:
        """Build the network from one modality to features.

        Args:
            shape: Shape of one specimen, ``(channels, *spatial)``, or (features,) of a vector.

        Returns:
            A network from ``(specimen, *shape)`` to (specimen, features), and its number of features.
        """

    def decoder(self, shape: Sequence[int], latent_dim: int) -> nn.Module:  # noqa: ARG002 - for those who have one
        """Build the network back from the latent space.

        Args:
            shape: Shape of one specimen, ``(channels, *spatial)``, or (features,) of a vector.
            latent_dim: L.

        Returns:
            A network from (specimen, latent) to ``(specimen, *shape)``, in units of the modality's range.

        Raises:
            OptionError: If the kind has none.
        """
        raise OptionError(
            f"{type(self).__name__} has no decoder, although it says decodes = True: write one, or leave decodes out"
        )
