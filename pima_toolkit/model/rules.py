"""The rules for responsibilities q(c given X): what counts for the cluster of a specimen, and what has a gradient.

Source: Trask et al. 2022, eq. (15). Erratum: the printed rule forgets that a physics modality depends on c.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from .mixture import GaussianMixture, log_responsibilities


class ResponsibilityRule(ABC):
    """One way to responsibilities; chosen by ``responsibilities``."""

    #: Whether the curves of a specimen count directly; where they do not, its cluster is read off Z alone.
    asks_curves: ClassVar[bool] = False

    def joint(self, mixture: GaussianMixture, log_prior: Tensor, log_physics: Tensor, beta: float) -> Tensor:  # noqa: ARG002
        """Logarithm of what clusters are weighed by in the E-step, not normalised, (specimen, cluster), float64.

        Args:
            mixture: The prior.
            log_prior: E_q(Z)[log p(Z given c)], (specimen, cluster).
            log_physics: Sum of E_q(Z)[log p(X_i given Z, c)] over the physics modalities, likewise.
            beta: Weight of the latent terms.
        """
        return mixture.log_weights + log_prior

    @abstractmethod
    def batch(self, mixture: GaussianMixture, log_prior: Tensor, log_physics: Tensor, beta: float, z: Tensor) -> Tensor:
        """Log responsibilities of a batch, (specimen, cluster), normalised, as the networks learn by them.

        Args:
            mixture: The prior.
            log_prior: E_q(Z)[log p(Z given c)], (specimen, cluster).
            log_physics: Sum of E_q(Z)[log p(X_i given Z, c)] over the physics modalities, likewise.
            beta: Weight of the latent terms.
            z: A sample of q(Z given X), (specimen, latent).
        """


class Exact(ResponsibilityRule):
    """``"exact"``: the ELBO's optimum in q(c given X). No gradient goes through it: at an optimum there is none."""

    asks_curves = True

    def joint(self, mixture: GaussianMixture, log_prior: Tensor, log_physics: Tensor, beta: float) -> Tensor:
        """Prior of the cluster, of Z in it, and the curves."""
        return mixture.log_weights + beta * log_prior + log_physics

    def batch(
        self,
        mixture: GaussianMixture,
        log_prior: Tensor,
        log_physics: Tensor,
        beta: float,
        z: Tensor,  # noqa: ARG002 - the whole of q(Z) counts
    ) -> Tensor:
        """All three, normalised."""
        return log_responsibilities(mixture, beta * log_prior, log_physics).detach()


class Latent(ResponsibilityRule):
    """``"latent"``: p(c given Z) integrated over q(Z given X)."""

    def batch(
        self,
        mixture: GaussianMixture,
        log_prior: Tensor,
        log_physics: Tensor,  # noqa: ARG002
        beta: float,  # noqa: ARG002
        z: Tensor,  # noqa: ARG002
    ) -> Tensor:
        """Prior of the cluster, and of Z in it."""
        return log_responsibilities(mixture, log_prior)


class Sampled(ResponsibilityRule):
    """``"sampled"``: p(c given a sample of Z) while the networks learn; integrated over q(Z) in the E-step."""

    def batch(
        self,
        mixture: GaussianMixture,
        log_prior: Tensor,  # noqa: ARG002
        log_physics: Tensor,  # noqa: ARG002
        beta: float,  # noqa: ARG002
        z: Tensor,
    ) -> Tensor:
        """Prior of the cluster, and of this Z in it."""
        return log_responsibilities(mixture, mixture.log_prob(z))


#: Name, as ``PIMA(responsibilities=...)`` knows it, to rule.
RULES: Mapping[str, ResponsibilityRule] = {"exact": Exact(), "latent": Latent(), "sampled": Sampled()}
