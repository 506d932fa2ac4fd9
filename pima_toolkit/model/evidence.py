r"""Evidence of curves about cluster and latent position: a quadratic function of Z for each cluster.

Along its line :math:`E_c + J (\phi - \phi_c)` a curve whose parameters follow the latent (effects/latent.py) is a
quadratic function of Z, and what it adds to the evidence lower bound has a closed form: with
:math:`w = \mathrm{mean}_d - \mathrm{origin}_c`, :math:`D = \operatorname{diag} \mathrm{variance}_d` and
:math:`\Sigma = J S_c J^\top + v \mathbf I`,

.. math:: \mathbb E_{q(Z)}[\log p(X \mid Z, c)] = \log\mathcal N(X; E_c + J A_c w, \Sigma)
          - \tfrac12 \operatorname{tr}(A_c^\top J^\top \Sigma^{-1} J A_c D)
          = \log\mathcal N(X; E_c, \Sigma) + h^\top w - \tfrac12\big(w^\top H w + \operatorname{tr} H D\big),

:math:`h = A_c^\top J^\top\Sigma^{-1} r` and :math:`H = A_c^\top J^\top \Sigma^{-1} J A_c`: once an epoch for
the curves, and L x L sums at every step of the networks, whose encoders it sends a gradient to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .effects.latent import by_cluster
from .gaussian import DiagonalGaussian


@dataclass(frozen=True)
class Evidence:
    """log p(X given Z, c) of curves as a quadratic function of Z.

    Args:
        constant: At Z = origin_c, shape (specimen, cluster), nats, float64; 0 for specimens without the modality.
        linear: h, shape (specimen, cluster, latent), or None where the parameters do not vary with Z.
        curvature: H, shape (specimen or 1, cluster, latent, latent).
        origin: Shape (cluster, latent).
    """

    constant: Tensor
    linear: Tensor | None = None
    curvature: Tensor | None = None
    origin: Tensor | None = None

    def at(self, index: Tensor | slice) -> Evidence:
        """Take the specimens of ``index``."""
        if self.linear is None or self.curvature is None:
            return Evidence(self.constant[index])
        curvature = self.curvature if self.curvature.shape[0] == 1 else self.curvature[index]
        return Evidence(self.constant[index], self.linear[index], curvature, self.origin)

    def expected(self, latent: DiagonalGaussian) -> Tensor:
        """Compute E_q(Z)[log p(X given Z, c)], shape (specimen, cluster), nats, float64, with gradient to q(Z)."""
        if self.linear is None or self.curvature is None or self.origin is None:
            return self.constant
        mean, variance = by_cluster(latent)
        away = mean - self.origin
        turned = torch.einsum("nclk,nck->ncl", self.curvature.expand(len(away), -1, -1, -1), away)
        bent = (torch.diagonal(self.curvature, dim1=-2, dim2=-1) * variance).sum(-1)
        return self.constant + ((self.linear - 0.5 * turned) * away).sum(-1) - 0.5 * bent

    @staticmethod
    def joined(pieces: Sequence[Evidence]) -> Evidence:
        """Join the evidence of consecutive specimens."""
        constant = torch.cat([p.constant for p in pieces])
        linear = [p.linear for p in pieces if p.linear is not None]
        curvature = [p.curvature for p in pieces if p.curvature is not None]
        if not linear:
            return Evidence(constant)
        # A last piece of one specimen has one curvature, too: without the curve, it is not that of the others.
        if not all(len(part) == 1 and torch.equal(part, curvature[0]) for part in curvature):
            curvature = [torch.cat([h.expand(len(g), -1, -1, -1) for g, h in zip(linear, curvature, strict=True)])]
        return Evidence(constant, torch.cat(linear), curvature[0], pieces[0].origin)
