"""The networks of one model, wired: an encoder for every modality, a decoder for every neural one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import OptionError
from .encoders.decoders import decoder
from .encoders.encoders import Encoder
from .fusion import fuse
from .gaussian import DiagonalGaussian
from .modality import Modality, Neural

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def check_decoder(module: nn.Module, name: str, shape: tuple[int, ...], latent_dim: int) -> None:
    """Refuse a module of another shape, which would be broadcast against the data and learn nonsense."""
    got = tuple(module.eval()(torch.zeros(2, latent_dim)).shape)
    module.train()
    if got != (2, *shape):
        raise OptionError(
            f"the decoder module of {name!r} returned the shape {got} for an input of shape (2, {latent_dim}): "
            f"expected {(2, *shape)}, channels first; end it with nn.Unflatten(1, {shape})"
        )


class Network(nn.Module):
    """Encoders, fusion and neural decoders (eqs. 4-8, 12).

    Args:
        modalities: Options by name.
        shapes: Shape of one specimen's encoder input by name.
        latent_dim: L.
        prior_expert: Multiply the posterior by N(0, I).
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        shapes: Mapping[str, Sequence[int]],
        latent_dim: int,
        *,
        prior_expert: bool = False,
    ) -> None:
        super().__init__()
        self.prior_expert = prior_expert
        # Index, not name, is the key: a torch module name may hold no dot.
        self.names = list(modalities)
        self.encoders = nn.ModuleList(
            Encoder(shapes[name], latent_dim, option.encoder if isinstance(option, Neural) else "conv")
            for name, option in modalities.items()
        )
        self.decoders = nn.ModuleList(
            decoder(shapes[name], latent_dim, option.decoder) if isinstance(option, Neural) else nn.Identity()
            for name, option in modalities.items()
        )
        for name, option in modalities.items():
            if isinstance(option, Neural) and isinstance(option.decoder, nn.Module):
                check_decoder(self.decoders[self.names.index(name)], name, tuple(shapes[name]), latent_dim)

    def embeddings(self, inputs: Mapping[str, Tensor]) -> dict[str, DiagonalGaussian]:
        """Compute q(Z given X_i) of every modality in ``inputs``, each of shape (specimen, latent)."""
        return {
            name: encoder(inputs[name])
            for name, encoder in zip(self.names, self.encoders, strict=True)
            if name in inputs
        }

    def posterior(self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> DiagonalGaussian:
        """Compute q(Z given X), shape (specimen, latent)."""
        return fuse(self.embeddings(inputs), present, prior_expert=self.prior_expert)

    def decode(self, name: str, z: Tensor) -> Tensor:
        """Compute the mean of a neural modality, shape (specimen, *shape), in units of its range."""
        return self.decoders[self.names.index(name)](z)


def build(
    seed: int,
    modalities: Mapping[str, Modality],
    shapes: Mapping[str, Sequence[int]],
    latent_dim: int,
    *,
    prior_expert: bool = False,
) -> Network:
    """Build a network with initial weights from ``seed``; the global random state stays."""
    with torch.random.fork_rng(devices=[]):
        # The processor's generator alone: torch.manual_seed would seed every GPU's too, which nothing here puts back.
        torch.default_generator.manual_seed(seed)
        return channels_last(Network(modalities, shapes, latent_dim, prior_expert=prior_expert))


def channels_last(network: M) -> M:
    """Lay two-dimensional convolutions out in memory as processors like them: faster, same numbers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data = module.weight.data.to(memory_format=torch.channels_last)
    return network
