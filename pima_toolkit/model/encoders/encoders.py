r"""Unimodal encoders: a network from one modality to a Gaussian in the latent space.

.. math:: q(Z \mid X_i) = \mathcal N(\mathrm{mean}_i, \operatorname{diag} \mathrm{variance}_i)

The network follows from the shape of the data: convolutions in one, two or three dimensions, or a multilayer
perceptron for vectors. Source: Trask et al. 2022, eq. (4) and appendix A.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import OptionError
from ..gaussian import DiagonalGaussian
from .table import ENCODERS

#: Log variances are kept in this range: e^-10 is far below any cluster's spread, e^6 is no information at all.
LOG_VARIANCE_RANGE = (-10.0, 6.0)


def trunk(shape: Sequence[int], kind: str | nn.Module) -> tuple[nn.Module, int]:
    """Build the network from one modality to features.

    Args:
        shape: Shape of one specimen: (channels, *spatial), or (features,) for a vector.
        kind: A name in :data:`ENCODERS`, or a module that maps (specimen, *shape) to (specimen, features); a module is
            copied, never trained in place.

    Returns:
        The network and its number of features.

    Raises:
        OptionError: If ``kind`` is none of these, or the module returns something else.
    """
    if isinstance(kind, nn.Module):
        network = copy.deepcopy(kind)
        with torch.no_grad():
            out = network.eval()(torch.zeros(2, *shape))
        if not isinstance(out, Tensor) or out.ndim != 2 or out.shape[0] != 2:
            got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
            raise OptionError(
                f"the encoder module returned {got} for an input of shape (2, {', '.join(map(str, shape))}): "
                "expected features of shape (2, features); end it with nn.Flatten()"
            )
        return network.train(), out.shape[1]
    return ENCODERS.get(kind).trunk(shape)


def exact(head: nn.Linear, features: Tensor) -> Tensor:
    """Apply the last layer in float32 also under autocast: three digits are too few for a mean and a log variance."""
    with torch.autocast(features.device.type, enabled=False):
        return head(features.float())


class Encoder(nn.Module):
    """q(Z given X_i) of one modality.

    Args:
        shape: Shape of one specimen's input, (channels, *spatial) or (features,).
        latent_dim: L.
        kind: Kind of network, as in :func:`trunk`.
    """

    def __init__(self, shape: Sequence[int], latent_dim: int, kind: str | nn.Module = "conv") -> None:
        super().__init__()
        self.trunk, width = trunk(shape, kind)
        self.head = nn.Linear(width, 2 * latent_dim)

    def forward(self, x: Tensor) -> DiagonalGaussian:
        """Embed inputs of shape (specimen, *shape); the result has shape (specimen, latent), float32."""
        mean, log_variance = exact(self.head, self.trunk(x)).chunk(2, -1)
        return DiagonalGaussian(mean, log_variance.clamp(*LOG_VARIANCE_RANGE).exp())


class ClusterEncoder(nn.Module):
    r"""q(Z, c given X_i), a mixture, since an ambiguous photograph belongs to two clusters.

    .. math:: \tilde q(Z, c \mid X_i) = \tilde q(c \mid X_i)\,
              \mathcal N(Z; \mathrm{mean}_c + \delta_{ic}(X_i), \operatorname{diag} \mathrm{variance}_{ic}(X_i))

    Args:
        shape: Shape of one specimen's input.
        mean: Cluster means, shape (cluster, latent); the offsets are learned from these.
        variance: Cluster variances, shape (cluster, latent).
        kind: Kind of network, as in :func:`trunk`.
    """

    mean: Tensor
    log_variance: Tensor

    def __init__(self, shape: Sequence[int], mean: Tensor, variance: Tensor, kind: str | nn.Module = "conv") -> None:
        super().__init__()
        self.trunk, width = trunk(shape, kind)
        self.clusters, self.latent_dim = mean.shape
        self.head = nn.Linear(width, self.clusters * (1 + 2 * self.latent_dim))
        self.register_buffer("mean", mean.float())
        self.register_buffer("log_variance", variance.float().log())

    def forward(self, x: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        """Log responsibilities (specimen, cluster), and q(Z given c, X_i) of shape (specimen, cluster, latent)."""
        out = exact(self.head, self.trunk(x))
        logits, rest = out[:, : self.clusters], out[:, self.clusters :]
        offset, log_ratio = rest.unflatten(1, (2, self.clusters, self.latent_dim)).unbind(1)
        variance = (self.log_variance + log_ratio).clamp(*LOG_VARIANCE_RANGE).exp()
        return logits.log_softmax(-1), DiagonalGaussian(self.mean + offset, variance)


def averaged(views: Sequence[tuple[Tensor, DiagonalGaussian]]) -> tuple[Tensor, DiagonalGaussian]:
    r"""Average the answers of :class:`ClusterEncoder` for K views of the same specimens.

    .. math:: \tilde q(c) = \tfrac1K \sum_k \tilde q_k(c),\qquad
              \mathrm{mean}_c = \tfrac1K \sum_k \mathrm{mean}_{kc},\qquad
              \mathrm{variance}_c = \tfrac1K \sum_k \big(\mathrm{variance}_{kc} + \mathrm{mean}_{kc}^2\big)
              - \mathrm{mean}_c^2

    Args:
        views: Log responsibilities (specimen, cluster) and q(Z given c) (specimen, cluster, latent) of each view.
    """
    if len(views) == 1:
        return views[0]
    log_gamma = torch.stack([view[0] for view in views]).logsumexp(0) - math.log(len(views))
    means = torch.stack([view[1].mean for view in views])
    variances = torch.stack([view[1].variance for view in views])
    return log_gamma, DiagonalGaussian(means.mean(0), variances.mean(0) + means.var(0, correction=0))


class GaussianEncoder(nn.Module):
    """One Gaussian for all clusters, the paper's q~(Z given X_i) of eq. (18); it answers as :class:`ClusterEncoder`.

    Args:
        encoder: From one modality to a Gaussian.
        log_weights: log pi_c, shape (cluster,).
        mean: Cluster means, shape (cluster, latent).
        variance: Cluster variances, shape (cluster, latent).
    """

    log_weights: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, encoder: Encoder, log_weights: Tensor, mean: Tensor, variance: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        for name, value in (("log_weights", log_weights), ("mean", mean), ("variance", variance)):
            self.register_buffer(name, value.float())

    def forward(self, x: Tensor) -> tuple[Tensor, DiagonalGaussian]:
        """Log p(c given Z) integrated over it (specimen, cluster), and the Gaussian, once for every cluster."""
        embedding = self.encoder(x)[:, None]
        log_prior = embedding.expected_log_prob(DiagonalGaussian(self.mean, self.variance))
        shape = (-1, len(self.mean), -1)
        return (self.log_weights + log_prior).log_softmax(-1), DiagonalGaussian(
            embedding.mean.expand(shape), embedding.variance.expand(shape)
        )
