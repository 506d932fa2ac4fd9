r"""Parameters of single specimens whose curves alone do not determine them.

One test at one strain rate says nothing of how the rate matters, so an expert with covariates cannot be fitted to every
specimen alone. All specimens together are fitted first, then as one population whose specimens differ, by EM; each
specimen's own parameters are its most probable ones there,

.. math:: \hat\phi_d = \phi + \arg\max_b \; p(X_d \mid \phi + b)\, \mathcal N(b; 0, S),

which stay at the population's where its curve says nothing (empirical Bayes, Robbins 1956).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...experts import by_name, fit_as_one
from ...model.curves import Curves
from ...model.noise.base import VARIANCE_FLOOR
from ...model.noise.pooled import PooledNoise
from ...model.physics import PhysicsDecoder
from ..em.physics import update_physics

#: Specimens that are pooled, EM iterations on them, and the share of a two-sided box kept free at its bounds: a
#: parameter at its bound would stay there.
_POOLED, _ITERATIONS, _MARGIN = 400, 15, 0.02
#: Standard deviation between specimens where EM starts: of logarithms and logits, and of the others' own size.
_SPREAD = 0.3


def pooled_fits(blank: PhysicsDecoder, curves: Curves) -> tuple[np.ndarray, float]:
    """Find the most probable parameters of every specimen under one population.

    Args:
        blank: A decoder of one cluster, for its expert, bounds and scale.
        curves: Curves of all specimens, on grids of their own.

    Returns:
        Unbounded parameters, shape (specimen, P), NaN for specimens without the curve, and the noise variance in units
        of scale squared.

    Raises:
        ExpertError: If all curves together hold fewer points than the expert has parameters.
    """
    expert, bounds = blank.expert, blank.bounds
    have = np.flatnonzero(curves.present.cpu().numpy())
    chosen = have[np.unique(np.linspace(0, len(have) - 1, min(_POOLED, len(have))).astype(int))]
    some = curves.at(torch.as_tensor(chosen, device=curves.x.device))
    y = np.where(some.seen.cpu().numpy(), some.x.cpu().numpy() * blank.scale, np.nan)
    known = None if some.weights is None else np.where(some.seen.cpu(), some.weights.cpu(), 1.0) ** -0.5
    common = fit_as_one(expert, by_name(expert.inputs, some.t), y, noise_std=known)
    theta = bounds.clip(common.parameters, _MARGIN)
    bounded = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    size = np.where(bounded, 1.0, np.maximum(np.abs(theta[0]), 1e-3))
    squared = (y - expert.value_and_jacobian(some.t, theta)[0][0]) ** 2
    residual = np.nanmean(squared if known is None else squared / known**2) / blank.scale**2
    decoder = replace(
        blank,
        theta=theta,
        scatter=torch.diag_embed(torch.as_tensor((_SPREAD * size) ** 2, device=blank.scatter.device))[None],
        variance=torch.full_like(blank.variance, max(float(residual), VARIANCE_FLOOR)),
        noise=PooledNoise(),
    )
    everyone = torch.ones(len(some), 1, dtype=torch.float64, device=some.x.device)
    evidence = decoder.evidence(some)
    for _ in range(_ITERATIONS):
        decoder, evidence = update_physics(decoder, some, everyone, scattered=True, evidence=evidence)
    deviation = torch.cat([decoder.condition(piece).deviation[0] for _, piece in curves.chunks()]).cpu().numpy()
    phi = bounds.to_unbounded(decoder.theta) + deviation
    phi[~curves.present.cpu().numpy()] = np.nan
    return phi, float(decoder.variance[0])
