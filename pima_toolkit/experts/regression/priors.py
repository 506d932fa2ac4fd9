r"""Gaussian priors: knowledge of parameters before the curves are measured, as in Bayesian least squares.

A prior of mean m and standard deviation :math:`\tau` on a parameter q, fitted or reported, is one further observation
of it; the posterior's mode minimises

.. math:: \frac{1}{s^2}\sum_n w_n (E(t_n;\theta) - y_n)^2 + \sum_k \Big(\frac{q_k(\theta) - m_k}{\tau_k}\Big)^2

with the variance :math:`s^2` of the noise estimated from the residuals at that point (or given), and its covariance is
:math:`[J^T W J / s^2 + \sum_k \nabla q_k \nabla q_k^T / \tau_k^2]^{-1}`. Curves of one population that differ say less
than their number of points: for several, :math:`s^2` is multiplied by the mean ratio of the curve-clustered variance of
the scores to the naive one, so that data and prior meet at their true weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import ExpertError
from ..contract.law import Law

Array = NDArray[np.float64]

#: What a person gives: mean and standard deviation by name, in the parameter's own unit.
Given = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Priors:
    """Gaussian priors of one expert.

    Args:
        expert: The physics.
        reported: Numbers of the reported parameters with a prior.
        fitted: Numbers of the fitted ones, where no reported parameter has their name.
        mean: Means, those of the reported first, shape (K,).
        std: Standard deviations, shape (K,).
    """

    expert: Law
    reported: tuple[int, ...]
    fitted: tuple[int, ...]
    mean: Array
    std: Array

    @classmethod
    def read(cls, expert: Law, given: Given) -> Priors:
        """Check what a person gave.

        Raises:
            ExpertError: If a name is unknown, or a prior is not a pair of a finite mean and a positive finite number.
        """
        seen, fitted = [p.name for p in expert.reported], [p.name for p in expert.parameters]
        for name, pair in given.items():
            if name not in seen and name not in fitted:
                known = ", ".join(dict.fromkeys(seen + fitted))
                raise ExpertError(
                    f"there is a prior for {name!r}, which is no parameter of {expert.name!r}: use {known}"
                )
            try:
                mean, std = (float(value) for value in pair)
            except (TypeError, ValueError):
                mean = std = np.nan
            if not (np.isfinite(mean) and np.isfinite(std) and std > 0):
                raise ExpertError(
                    f"the prior of {name!r} is {pair!r}: give its mean and standard deviation, in the parameter's unit,"
                    " such as (200e3, 10e3)"
                )
        order = sorted(given, key=lambda name: (name not in seen, (seen + fitted).index(name)))
        numbers = np.array([[float(v) for v in given[name]] for name in order]).reshape(-1, 2)
        return cls(
            expert,
            tuple(seen.index(name) for name in order if name in seen),
            tuple(fitted.index(name) for name in order if name not in seen),
            numbers[:, 0],
            numbers[:, 1],
        )

    def values(self, theta: Array) -> tuple[Array, Array]:
        """The parameters with priors, (..., K), and their derivatives by the fitted ones, (..., K, P)."""
        theta = np.asarray(theta, dtype=np.float64)
        own = np.eye(theta.shape[-1])[list(self.fitted)]
        own = np.broadcast_to(own, (*theta.shape[:-1], *own.shape))
        value = np.concatenate(
            [self.expert.to_reported(theta)[..., list(self.reported)], theta[..., list(self.fitted)]], axis=-1
        )
        slope = np.concatenate([self.expert.reported_jacobian(theta)[..., list(self.reported), :], own], axis=-2)
        return value, slope

    def rows(self, theta: Array) -> tuple[Array, Array]:
        """The priors as equations ``rows theta = target`` about theta (..., P), each of unit variance.

        Returns:
            Shapes (..., K, P) and (..., K).
        """
        value, slope = self.values(theta)
        target = self.mean - value + np.einsum("...kp,...p->...k", slope, theta)
        return slope / self.std[:, None], target / self.std

    def log_prob(self, theta: Array) -> Array:
        """Logarithm of the prior's density up to a constant, shape (...)."""
        return -0.5 * np.square((self.values(theta)[0] - self.mean) / self.std).sum(-1)
