"""Answers from a single modality: the kinds of encoder that ``crossmodal`` chooses among.

Source: Trask et al. 2022, section 2.4 and eq. (18), with a mixture instead of one Gaussian.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import nn

from .encoders.encoders import ClusterEncoder, Encoder, GaussianEncoder
from .mixture import GaussianMixture


class CrossmodalRule(ABC):
    """One way to answer from a single modality."""

    #: Whether its encoders have a Gaussian in each cluster; where they have one for all, the cluster is read off Z, for
    #: curves too, and nothing in them learns it.
    by_cluster: ClassVar[bool] = False
    #: Whether modalities are dropped while the fused posterior is trained, whose encoders then answer without a second
    #: phase.
    drops: ClassVar[bool] = False

    @abstractmethod
    def encoder(
        self, shape: Sequence[int], latent_dim: int, mixture: GaussianMixture, kind: str | nn.Module
    ) -> nn.Module:
        """An untrained encoder of one modality.

        Args:
            shape: Of one specimen's input.
            latent_dim: L.
            mixture: The trained prior.
            kind: Of its network, as in :func:`~pima_toolkit.model.encoders.encoders.trunk`.

        Returns:
            A network from (specimen, *shape) to log responsibilities (specimen, cluster) and a Gaussian in each cluster
            (specimen, cluster, latent).
        """


class Mixture(CrossmodalRule):
    """``"mixture"``: a Gaussian in each cluster, since an ambiguous photograph belongs to two."""

    by_cluster = True

    def encoder(
        self,
        shape: Sequence[int],
        latent_dim: int,  # noqa: ARG002 - the mixture's own
        mixture: GaussianMixture,
        kind: str | nn.Module,
    ) -> nn.Module:
        """An encoder that starts at the clusters."""
        return ClusterEncoder(shape, mixture.mean, mixture.variance, kind)


class SingleGaussian(CrossmodalRule):
    """``"gaussian"``: the paper's single Gaussian for all clusters, which reads the cluster off Z."""

    def encoder(
        self, shape: Sequence[int], latent_dim: int, mixture: GaussianMixture, kind: str | nn.Module
    ) -> nn.Module:
        """An encoder of the fused posterior's kind, read by the mixture."""
        encoder = Encoder(shape, latent_dim, kind)
        return GaussianEncoder(encoder, mixture.log_weights, mixture.mean, mixture.variance)


class Dropout(CrossmodalRule):
    """``"dropout"``: the encoders of the fused posterior, which dropped modalities have taught to stand alone."""

    drops = True

    def encoder(
        self, shape: Sequence[int], latent_dim: int, mixture: GaussianMixture, kind: str | nn.Module
    ) -> nn.Module:
        """An encoder that takes over the weights of the fused posterior's."""
        return SingleGaussian().encoder(shape, latent_dim, mixture, kind)


#: Name, as ``PIMA(crossmodal=...)`` knows it, to rule.
POTENTIALS: Mapping[str, CrossmodalRule] = {"mixture": Mixture(), "gaussian": SingleGaussian(), "dropout": Dropout()}
