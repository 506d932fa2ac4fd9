r"""Experts learned by Adam, as the paper did: ``update="adam"``.

Only the curve :math:`E(t;\theta_c)` carries gradient; :math:`\Sigma_c` keeps its value within an epoch, and the closed
forms set it between epochs. Kept to measure what the weighted least squares of eq. 17 adds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from ...model.curves import Curves
from ...model.gaussian import LOG_2PI
from ...model.physics import PhysicsDecoder


class AdamExperts:
    """Unbounded parameters of every physics modality under one Adam.

    Args:
        decoders: Where they start.
        rate: Learning rate.
    """

    def __init__(self, decoders: Mapping[str, PhysicsDecoder], rate: float) -> None:
        self.phi = {
            name: nn.Parameter(torch.as_tensor(d.bounds.to_unbounded(d.theta), device=d.scatter.device))
            for name, d in decoders.items()
        }
        self.parameters = list(self.phi.values())
        self.optimiser = torch.optim.Adam(self.parameters, rate)
        self.fixed: dict[str, PhysicsDecoder] = {}
        self.start: dict[str, Tensor] = {}

    def begin(self, decoders: Mapping[str, PhysicsDecoder]) -> None:
        """Take over scatter and noise of this epoch, and the parameters at which each specimen's line is drawn."""
        self.fixed = dict(decoders)
        self.start = {name: phi.detach().clone() for name, phi in self.phi.items()}

    def log_prob(self, curves: Mapping[str, Curves], index: Tensor) -> Tensor:
        """Sum of log p(X_i given c) of a batch, (specimen, cluster), with gradient to the parameters."""
        return sum(
            (self._one(name, decoder, curves[name].at(index)) for name, decoder in self.fixed.items()),
            start=torch.zeros((), dtype=torch.float64, device=index.device),
        )

    def _one(self, name: str, decoder: PhysicsDecoder, curves: Curves) -> Tensor:
        phi = self.phi[name]
        with torch.no_grad():
            conditioned = decoder.condition(curves)
            identity = torch.eye(phi.shape[1], dtype=phi.dtype, device=phi.device)
            variance = decoder.variance[:, None]
            growth = identity + decoder.scatter[:, None] @ conditioned.normal / variance[..., None, None]
            constant = torch.linalg.slogdet(growth)[1] + decoder.log_det(curves)
        seen = curves.seen.to(curves.x.dtype)
        if decoder.one_line:
            squared, projected = self._residuals(decoder, curves, phi)
        else:
            # Along each specimen's own line r = r_0 - J (phi - phi_0): the sums at phi_0 are all it takes.
            step = (phi - self.start[name])[:, None]
            turned = (conditioned.normal @ step[..., None]).squeeze(-1)
            squared = conditioned.squared - 2.0 * (conditioned.projected * step).sum(-1) + (turned * step).sum(-1)
            projected = conditioned.projected - turned
        deviation = (conditioned.covariance @ projected[..., None]).squeeze(-1) / variance[..., None]
        quadratic = (squared - (projected * deviation).sum(-1)) / variance
        log_prob = -0.5 * (quadratic + seen.sum(1) * (LOG_2PI + variance.log()) + constant)
        return torch.where(curves.present[:, None], log_prob.T, 0.0)

    @staticmethod
    def _residuals(decoder: PhysicsDecoder, curves: Curves, phi: Tensor) -> tuple[Tensor, Tensor]:
        """||r||^2 (cluster, specimen) and J^T r (cluster, specimen, P) where one line serves all specimens."""
        theta = decoder.bounds.tensor_from_unbounded(phi)[:, None]
        value = decoder.expert.predict(torch.as_tensor(curves.t, device=phi.device), theta) / decoder.scale
        with torch.no_grad():
            _, jacobian = decoder.predict(curves.t)
        residual = decoder.noise.whiten(curves.x - value, curves.along)
        weighted = residual * curves.counted
        jacobian = decoder.noise.whiten(jacobian.movedim(-1, 0), curves.along).movedim(0, -1)
        return (weighted * residual).sum(-1), torch.einsum(
            "cntp,cnt->cnp", jacobian.expand(-1, len(curves), -1, -1), weighted
        )

    def step(self, rate: float) -> None:
        """One Adam step at this learning rate; call after ``backward``."""
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def decoders(self) -> dict[str, PhysicsDecoder]:
        """Return the decoders with the learned parameters."""
        return {
            name: replace(d, theta=d.bounds.from_unbounded(self.phi[name].detach().cpu().numpy()))
            for name, d in self.fixed.items()
        }
