r"""The networks of a neural modality under evidence: one that speaks, and an encoder and a decoder that draw it again.

The one that speaks hears a picture and says :math:`\psi_c` about the population, and a Gaussian about where in its
population the specimen's parameters lie, in coordinates in which populations scatter by about one:

.. math:: \log f = \psi_c + \eta^\top\varepsilon - \tfrac12\varepsilon^\top\operatorname{diag}(\lambda)\,\varepsilon

How far it is believed is not the network's to say: see fitting/temperatures.py. What it takes to draw a picture again
is another question: the encoder's q(Z given X) shares nothing with it, and says nothing of the curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .encoders.base import HIDDEN
from .encoders.decoders import decoder
from .encoders.encoders import Encoder, exact, trunk
from .gaussian import DiagonalGaussian
from .joint import Potential
from .modality import Neural
from .network import check_decoder


class RecognitionNetwork(nn.Module):
    """A network from one modality to what it says of a specimen.

    Args:
        shape: Shape of one specimen's input.
        clusters: C.
        parameters: P, directions in which the specimens of a population differ; 0 where they do not.
        kind: Of its network, as in :func:`~pima_toolkit.model.encoders.encoders.trunk`.
    """

    def __init__(self, shape: Sequence[int], clusters: int, parameters: int, kind: str | nn.Module) -> None:
        super().__init__()
        self.trunk, width = trunk(shape, kind)
        self.sizes = [clusters, parameters, parameters]
        self.head = nn.Linear(width, sum(self.sizes))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """psi (N, C), eta and lambda (N, P), of inputs (N, *shape); float64."""
        psi, eta, precision = exact(self.head, self.trunk(x)).double().split(self.sizes, 1)
        return psi, eta, functional.softplus(precision)


def said(parts: Sequence[Tensor]) -> Potential:
    """What a :class:`RecognitionNetwork` says of population and deviation, as a potential."""
    psi, eta, precision = parts
    linear = eta[:, None].expand(-1, psi.shape[1], -1)
    return Potential(psi, linear, torch.diag_embed(precision)[:, None])


def drawing(shape: Sequence[int], latent_dim: int, kind: str | nn.Module) -> nn.Module:
    """A decoder behind two hidden layers: populations beside each other in Z may look like anything.

    Args:
        shape: Shape of one specimen.
        latent_dim: L.
        kind: As in :func:`~pima_toolkit.model.encoders.decoders.decoder`; a module is taken as it is.
    """
    if isinstance(kind, nn.Module):
        return decoder(shape, latent_dim, kind)
    between = nn.Linear(latent_dim, HIDDEN), nn.ELU(), nn.Linear(HIDDEN, HIDDEN), nn.ELU()
    return nn.Sequential(*between, decoder(shape, HIDDEN, kind))


def about_latent(
    embeddings: Sequence[DiagonalGaussian], present: Sequence[Tensor], prior: DiagonalGaussian
) -> DiagonalGaussian:
    """q(Z given c and all that is embedded), shape (N, C, L): the product of p(Z given c) and of each that is there.

    Args:
        embeddings: Of each modality, shape (N, L).
        present: Which specimens have it, bool (N,) each.
        prior: p(Z given c), shape (C, L).
    """
    precision, natural = 1.0 / prior.variance, prior.mean / prior.variance
    for embedding, here in zip(embeddings, present, strict=True):
        own = torch.where(here[:, None], 1.0 / embedding.variance.double(), 0.0)
        mean = torch.where(here[:, None], embedding.mean.double(), 0.0)
        precision, natural = precision + own[:, None], natural + (own * mean)[:, None]
    return DiagonalGaussian(natural / precision, 1.0 / precision)


class SpeakingNetwork(nn.Module):
    """For every neural modality what speaks, and what draws it.

    Args:
        modalities: The neural ones, by name.
        shapes: Shape of one specimen's input by name.
        clusters: C.
        parameters: P.
        latent_dim: L.
        draws: Whether encoders and decoders are there: what only speaks needs none.
    """

    def __init__(
        self,
        modalities: Mapping[str, Neural],
        shapes: Mapping[str, Sequence[int]],
        clusters: int,
        parameters: int,
        latent_dim: int,
        *,
        draws: bool = True,
    ) -> None:
        super().__init__()
        # Index, not name, is the key: a torch module name may hold no dot.
        self.names = list(modalities)
        self.speakers = nn.ModuleList(
            RecognitionNetwork(shapes[name], clusters, parameters, option.encoder)
            for name, option in modalities.items()
        )
        drawn = modalities.items() if draws else ()
        self.encoders = nn.ModuleList(Encoder(shapes[name], latent_dim, option.encoder) for name, option in drawn)
        self.decoders = nn.ModuleList(drawing(shapes[name], latent_dim, option.decoder) for name, option in drawn)
        for name, option in drawn:
            if isinstance(option.decoder, nn.Module):
                check_decoder(self.decoders[self.names.index(name)], name, tuple(shapes[name]), latent_dim)

    def speak(self, name: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network of a modality says of inputs (N, *shape); see :class:`RecognitionNetwork`."""
        return self.speakers[self.names.index(name)](x)

    def embed(self, name: str, x: Tensor) -> DiagonalGaussian:
        """q(Z given X_i) of inputs (N, *shape), shape (N, L)."""
        return self.encoders[self.names.index(name)](x)

    def decode(self, name: str, z: Tensor) -> Tensor:
        """Compute the mean of a modality, shape (N, *shape), in units of its range, from Z (N, L)."""
        return self.decoders[self.names.index(name)](z)
