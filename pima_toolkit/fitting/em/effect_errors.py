"""How sure the effects of what is known of specimens are: standard errors and degrees of freedom of their slopes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...experts import CurveInformation, standard_errors, strata_of
from ...model.effects.known import KnownEffects
from .populations import Conditional, Population, equations_of

#: Responsibility below which a specimen has no part in a population.
_LEAST = 1e-3


def with_errors(
    information: CurveInformation, law: Population, gamma: np.ndarray, conditional: Conditional
) -> KnownEffects | None:
    """Effects with the covariance of their slopes; which specimen belongs to which population is taken as found.

    Args:
        information: What every curve says.
        law: The populations.
        gamma: Responsibilities, (N, C).
        conditional: What curves say under each population.

    Source: Knapp & Hartung 2003, as in a fit of one population (:mod:`~pima_toolkit.experts.solvers.strata`).
    """
    effects = law.effects
    if effects is None or information.terms is None:
        return effects
    (C, P), k, G = law.centre.shape, len(effects.places), len(effects.batches)
    sums, told, score = equations_of(information, law, gamma, conditional)
    if G:
        sums.batches[0][:] += np.diag(1.0 / effects.batch_scatter)
    matrix, _ = sums.whole()
    kept = C * P + k
    covariance = np.asarray(_inverse(matrix)[:kept, :kept], dtype=np.float64)
    specimen, cluster = np.nonzero(gamma > _LEAST)
    design = np.zeros((len(specimen), P, kept))
    for p in range(P):
        design[np.arange(len(specimen)), p, cluster * P + p] = 1.0
    design[:, :, C * P :] = effects.matrix(information.terms[specimen])
    # A share of a specimen says as much less, as specimens of weight one that say it.
    share = gamma[specimen, cluster]
    A, d = share[:, None, None] * told[specimen, cluster], share[:, None] * score[specimen, cluster]
    group = None if not G or information.batch is None else information.batch[specimen]
    shared = None
    if group is not None:
        used = group >= 0
        design, A, d, group = design[used], A[used], d[used], group[used]
        shared = effects.batch_covariance
    ones = np.ones(len(A))
    strata = strata_of(np.eye(kept), covariance, covariance, design, A, d, ones, group, shared)
    error, freedom = standard_errors(strata)
    whole = covariance[C * P :, C * P :]
    ratio = error[C * P :] / np.sqrt(np.maximum(np.diagonal(whole), 1e-300))
    places = [slice(c * P, (c + 1) * P) for c in range(C)]
    more = [covariance[here, here] - _inverse(sums.centres[0][c]) for c, here in enumerate(places)]
    return replace(
        effects,
        covariance=whole * np.outer(ratio, ratio),
        freedom=freedom[C * P :],
        centre_covariance=np.stack(more),
        centre_freedom=np.array([freedom[here].min() for here in places]),
    )


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of an information matrix, whatever its units; zero in directions that nothing is said of."""
    size = np.sqrt(np.maximum(np.diagonal(matrix), 1e-300))
    return np.linalg.pinv(matrix / np.outer(size, size), rcond=1e-12, hermitian=True) / np.outer(size, size)
