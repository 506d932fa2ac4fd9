r"""Plan of what to measure next: the information expected of a measurement not yet made, specimen by specimen.

.. math:: I_d = \underbrace{H(c \mid X_d) - \mathbb E_{x}\,H(c \mid X_d, x)}_{\text{which population it is}} +
          \underbrace{\sum_c \gamma_{cd}\,\tfrac12\log\det(\mathbf I + \mathrm{Cov}_c F_c)}_{\text{the physics of its
          population}}

The first term asks how much the measurement x, not yet made, would settle of the specimen's population; x is drawn from
each population, read as :meth:`~pima_toolkit.Fit.infer` would read it, and weighed by the responsibilities known so
far. The second is what one more curve of information F_c teaches of a population's parameters, whose covariance is
Cov_c: nearly P / (2 W_c), so small populations gain most. Both in nats. Specimens are ranked one by one, not as a set,
and a specimen unlike every population comes first whatever the model expects of it: there it does not know. A model of
one population expects the same of every specimen, and each reason says so; then the least typical come first.

Source: Lindley 1956; MacKay 1992, "Information-based objective functions for active data selection".
"""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from ...data import closest, read
from ...errors import DataError, OptionError
from ..conditions import own_cluster, population_grid
from ..generation import generate
from ..inference import expected
from ..predictor import Predictor

Array = NDArray[np.float64]

#: Draws of a measurement per population.
_DRAWS = 64
#: Nats below which a measurement is not worth a reason.
_LITTLE = 0.01


def next_measurements(
    predictor: Predictor, data: xr.Dataset, modality: str, *, n: int | None = None, seed: int = 0
) -> xr.Dataset:
    """Rank the specimens that lack a modality, see :meth:`pima_toolkit.Fit.next_measurements`."""
    names = list(predictor.options.modalities)
    if modality not in names:
        raise OptionError(f"modality={modality!r} is no modality of this fit: {closest(modality, names)}")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise OptionError(f"n={n!r}: expected a whole number of at least 1, or None for all")
    waiting = data.isel(specimen=np.flatnonzero(~measured(predictor, data, modality)))
    if waiting.sizes["specimen"] == 0:
        raise DataError(f"every specimen of the dataset has {modality!r}: there is nothing left to measure of it")
    others = [name for name in names if name != modality and name in waiting.data_vars]
    if not others:
        raise DataError(
            f"the dataset holds nothing of these specimens but {modality!r}: give what was measured of them, one of"
            f" {', '.join(name for name in names if name != modality)}"
        )
    answer = expected(predictor, waiting.drop_vars(modality, errors="ignore"), predict=(), seed=seed)
    gamma = answer["responsibilities"].values
    about_population = _population_gain(gamma, *_readings(predictor, modality, seed))
    about_physics = gamma @ physics_gain(predictor, modality)
    strange = answer["out_of_population"].values
    total = about_population + about_physics
    order = np.lexsort((np.arange(len(total)), answer["typicality"].values, -total, ~strange))[:n]
    information = {"units": "nat", "long_name": "expected information"}
    out = answer[["responsibilities", "cluster", "typicality", "out_of_population"]].assign(
        information=("specimen", total, information),
        about_population=("specimen", about_population, {**information, "long_name": "about its population"}),
        about_physics=("specimen", about_physics, {**information, "long_name": "about its population's parameters"}),
        reason=("specimen", _reasons(gamma, about_population, about_physics, strange)),
    )
    return out.isel(specimen=order).assign_attrs(modality=modality, seed=seed)


def measured(predictor: Predictor, data: xr.Dataset, modality: str) -> NDArray[np.bool_]:
    """Flag the specimens that have the modality, (specimen,).

    Raises:
        DataError, ShapeError: If the modality is there, and cannot be used.
    """
    return read(data, {modality: predictor.specs[modality].schema})[modality].present


def _readings(predictor: Predictor, modality: str, seed: int) -> tuple[Array, Array]:
    """Draw measurements from each population, and read what they say of the population.

    Returns:
        log q(c' given x) - log pi_c', shape (cluster, draw, cluster'), and log pi, shape (cluster',).
    """
    log_pi = predictor.state.mixture.log_weights.cpu().numpy().astype(np.float64)
    rng = np.random.default_rng(seed)
    out = []
    for c in range(predictor.options.clusters):
        drawn = generate(predictor, c, _DRAWS, seed=int(rng.integers(2**31)))[[modality]]
        if modality in predictor.options.physics:
            decoder = predictor.state.decoders[modality]
            std = float(decoder.variance[c]) ** 0.5 * decoder.scale
            noisy = drawn[modality].values + std * rng.standard_normal(drawn[modality].shape)
            drawn[modality] = drawn[modality].copy(data=noisy)
        gamma = expected(predictor, drawn, predict=())["responsibilities"].values
        out.append(np.log(np.maximum(gamma, 1e-300)))
    return np.stack(out) - log_pi, log_pi


def _population_gain(gamma: Array, evidence: Array, log_pi: Array) -> Array:
    """Expected fall of the entropy of c, (specimen,), in nats; never negative in expectation."""
    before = _entropy(gamma)
    log_gamma = np.log(np.maximum(gamma, 1e-300))
    after = np.zeros(len(gamma))
    for c in range(len(log_pi)):
        for reading in evidence[c]:
            posterior = log_gamma + reading
            posterior -= posterior.max(1, keepdims=True)
            posterior = np.exp(posterior)
            after += gamma[:, c] * _entropy(posterior / posterior.sum(1, keepdims=True)) / len(evidence[c])
    # A finite number of draws may leave a specimen that is already certain a hair below zero.
    return np.maximum(before - after, 0.0)


def _entropy(p: Array) -> Array:
    return -np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0.0), axis=1)


def physics_gain(predictor: Predictor, modality: str) -> Array:
    """Information of one more curve about each population's parameters, (cluster,), nats; 0 if it is no curve."""
    gain = np.zeros(predictor.options.clusters)
    if modality not in predictor.options.physics:
        return gain
    decoder = predictor.state.decoders[modality]
    jacobian = own_cluster(decoder.predict(population_grid(predictor, modality))[1])
    for c in range(len(gain)):
        J = jacobian[c, 0].cpu().numpy()
        noise = torch.eye(len(J), dtype=torch.float64) * float(decoder.variance[c])
        spread = J @ decoder.total[c].cpu().numpy() @ J.T + noise.numpy()
        information = J.T @ np.linalg.solve(spread, J)
        covariance = predictor.covariance[modality][c]
        known = np.isfinite(np.diagonal(covariance))
        if not known.any():
            continue
        inner = np.ix_(known, known)
        gain[c] = 0.5 * np.linalg.slogdet(np.eye(int(known.sum())) + covariance[inner] @ information[inner])[1]
    return gain


def _reasons(gamma: Array, population: Array, physics: Array, strange: NDArray[np.bool_]) -> list[str]:
    """Give the reason to measure each specimen, a sentence each."""
    reasons = []
    for d, share in enumerate(100 * gamma):
        ranked = np.argsort(-share, kind="stable")
        if strange[d]:
            reasons.append("unlike every population: a measurement shows whether it is a new one, or a bad record")
        elif gamma.shape[1] == 1:
            reasons.append("one population: every specimen is expected to teach the same, the least typical come first")
        elif max(population[d], physics[d]) < _LITTLE:
            reasons.append(f"little to learn: it is in population {ranked[0]}, which is well known")
        elif population[d] >= physics[d]:
            doubt = " or ".join(f"{c} ({share[c]:.0f} %)" for c in ranked[:2])
            reasons.append(f"population {doubt}: a measurement would tell")
        else:
            reasons.append(f"in population {ranked[0]}, whose parameters one more curve makes surer")
    return reasons
