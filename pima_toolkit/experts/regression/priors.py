r"""Gaussian priors: knowledge of parameters before the curves are measured, as in Bayesian least squares.

A prior of mean m and standard deviation :math:`\tau` on q, a parameter, fitted or reported, or a formula of reported
ones, is one further observation of it; the posterior's mode minimises

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
from ..contract.parameters import NAME
from ..formulas.derived import Quantity

Array = NDArray[np.float64]

#: What a person gives: mean and standard deviation by name or formula, in its own unit.
Given = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Priors:
    """Gaussian priors of one expert.

    Args:
        expert: The physics.
        reported: Numbers of the reported parameters with a prior.
        fitted: Numbers of the fitted ones, where no reported parameter has their name.
        formulas: Formulas of reported parameters with a prior.
        mean: Means, in the order of these three, shape (K,).
        std: Standard deviations, shape (K,).
    """

    expert: Law
    reported: tuple[int, ...]
    fitted: tuple[int, ...]
    formulas: tuple[Quantity, ...]
    mean: Array
    std: Array

    @classmethod
    def read(cls, expert: Law, given: Given) -> Priors:
        """Check what a person gave.

        Raises:
            ExpertError: If a name is unknown, or a prior is not a pair of a finite mean and a positive finite number.
            FormulaError: If what is no name is no formula of reported parameters.
        """
        seen, fitted = [p.name for p in expert.reported], [p.name for p in expert.parameters]
        formulas = {name: Quantity(name, seen) for name in given if not NAME.fullmatch(name)}
        for name, pair in given.items():
            if name not in seen and name not in fitted and name not in formulas:
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
        order = [name for name in seen if name in given]
        own = [name for name in fitted if name in given and name not in seen]
        order += [*own, *formulas]
        numbers = np.array([[float(v) for v in given[name]] for name in order]).reshape(-1, 2)
        return cls(
            expert,
            tuple(seen.index(name) for name in order if name in seen),
            tuple(map(fitted.index, own)),
            tuple(formulas.values()),
            numbers[:, 0],
            numbers[:, 1],
        )

    def values(self, theta: Array) -> tuple[Array, Array]:
        """What has priors, (..., K), and its derivatives by the fitted ones, (..., K, P)."""
        theta = np.asarray(theta, dtype=np.float64)
        reported, slopes = self.expert.to_reported(theta), self.expert.reported_jacobian(theta)
        own = np.eye(theta.shape[-1])[list(self.fitted)]
        values = [reported[..., list(self.reported)], theta[..., list(self.fitted)]]
        parts = [slopes[..., list(self.reported), :], np.broadcast_to(own, (*theta.shape[:-1], *own.shape))]
        for formula in self.formulas:
            value, gradient = formula.value_and_gradient(reported)
            values.append(value[..., None])
            parts.append(np.einsum("...q,...qp->...p", gradient, slopes)[..., None, :])
        return np.concatenate(values, axis=-1), np.concatenate(parts, axis=-2)

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
