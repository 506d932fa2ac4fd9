r"""The networks of a neural modality under evidence: one that speaks, and one that draws it again.

A network hears a picture and says :math:`\psi_c` about the population, a Gaussian about where in its population the
specimen's parameters lie, in coordinates in which populations scatter by about one, and a Gaussian about Z:

.. math:: \log f = \psi_c + \eta^\top\varepsilon - \tfrac12\varepsilon^\top\operatorname{diag}(\lambda)\,\varepsilon,
          \qquad \log f_Z = \eta_Z^\top Z - \tfrac12 Z^\top\operatorname{diag}(\lambda_Z)\,Z

How far it is believed is not the network's to say: see fitting/temperatures.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .encoders.decoders import decoder
from .encoders.encoders import exact, trunk
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
        latent_dim: L.
        kind: Of its network, as in :func:`~pima_toolkit.model.encoders.encoders.trunk`.
    """

    def __init__(
        self, shape: Sequence[int], clusters: int, parameters: int, latent_dim: int, kind: str | nn.Module
    ) -> None:
        super().__init__()
        self.trunk, width = trunk(shape, kind)
        self.sizes = [clusters, parameters, parameters, latent_dim, latent_dim]
        self.head = nn.Linear(width, sum(self.sizes))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """psi (N, C), eta and lambda (N, P), those of Z (N, L), of inputs (N, *shape); float64."""
        psi, eta, precision, eta_z, precision_z = exact(self.head, self.trunk(x)).double().split(self.sizes, 1)
        return psi, eta, functional.softplus(precision), eta_z, functional.softplus(precision_z)


def said(parts: Sequence[Tensor]) -> Potential:
    """What a :class:`RecognitionNetwork` says of population and deviation, as a potential."""
    psi, eta, precision = parts[:3]
    linear = eta[:, None].expand(-1, psi.shape[1], -1)
    return Potential(psi, linear, torch.diag_embed(precision)[:, None])


def about_latent(parts: Sequence[Tensor], prior: DiagonalGaussian) -> DiagonalGaussian:
    """q(Z given c and the picture), shape (N, C, L), from p(Z given c) of shape (C, L)."""
    eta, precision = parts[3][:, None], parts[4][:, None]
    after = 1.0 / prior.variance + precision
    return DiagonalGaussian((prior.mean / prior.variance + eta) / after, 1.0 / after)


class SpeakingNetwork(nn.Module):
    """A speaker and a decoder for every neural modality.

    Args:
        modalities: The neural ones, by name.
        shapes: Shape of one specimen's input by name.
        clusters: C.
        parameters: P.
        latent_dim: L.
    """

    def __init__(
        self,
        modalities: Mapping[str, Neural],
        shapes: Mapping[str, Sequence[int]],
        clusters: int,
        parameters: int,
        latent_dim: int,
    ) -> None:
        super().__init__()
        # Index, not name, is the key: a torch module name may hold no dot.
        self.names = list(modalities)
        self.speakers = nn.ModuleList(
            RecognitionNetwork(shapes[name], clusters, parameters, latent_dim, option.encoder)
            for name, option in modalities.items()
        )
        self.decoders = nn.ModuleList(
            decoder(shapes[name], latent_dim, option.decoder) for name, option in modalities.items()
        )
        for name, option in modalities.items():
            if isinstance(option.decoder, nn.Module):
                check_decoder(self.decoders[self.names.index(name)], name, tuple(shapes[name]), latent_dim)

    def speak(self, name: str, x: Tensor) -> tuple[Tensor, ...]:
        """What the network of a modality says of inputs (N, *shape); see :class:`RecognitionNetwork`."""
        return self.speakers[self.names.index(name)](x)

    def decode(self, name: str, z: Tensor) -> Tensor:
        """Compute the mean of a modality, shape (N, *shape), in units of its range, from Z (N, L)."""
        return self.decoders[self.names.index(name)](z)
