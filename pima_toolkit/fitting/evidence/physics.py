"""The physics of a training: populations found in the curves alone, and the decoders and latent places they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from ...errors import DataError
from ...experts import by_name
from ...model.curves import Curves
from ...model.mixture import GaussianMixture
from ...model.modality import Physics
from ...model.noise.table import NOISE
from ...model.physics import PhysicsDecoder
from ..em.populations import Populations, Rules
from ..inputs.spec import InputSpec
from ..run import TrainingRun
from ..starts.initialise import blank_decoder
from ..starts.populations import MeasuredCurves, PhysicsFit, find_populations

#: Starts of each curve's first fit, where the law is not linear.
STARTS = 6
#: Share of a two-sided bound, or of the unit, that a first fit keeps away from it.
MARGIN = 1e-6
#: Curves that are fitted together where one alone does not tell its parameters, and the standard deviation that
#: specimens are given then: of logarithms and logits, and of the others' own size.
POOLED, DIFFER = 400, 0.1
#: Largest standard deviation of the populations' latent places along an axis, in those of one population.
SPREAD = 3.0


def measured_curves(option: Physics, spec: InputSpec, curves: Curves) -> MeasuredCurves:
    """Take the curves of a modality as own fits do.

    Raises:
        DataError: If no curve has as many points as the law has parameters.
    """
    decoder, expert = blank_decoder(option, spec, curves, 1), option.expert
    seen = curves.seen
    points = int(seen.sum(1).max()) if len(seen) else 0
    if points < len(expert.parameters):
        raise DataError(
            f"no curve of {spec.schema.name!r} has the {len(expert.parameters)} points that the expert "
            f"{expert.name!r} needs (window: {option.window}): use a wider window, or an expert of fewer "
            "parameters"
        )
    mask = seen.cpu().numpy()
    y = curves.x.cpu().numpy() * spec.scale
    weights = (decoder.noise.whiten(seen.double(), curves.along).square() * curves.counted).cpu().numpy()
    # One without its curve starts where the others do.
    there = np.flatnonzero(mask.any(1))
    t = curves.t[there] if curves.own_grids else curves.t
    count = 1 if len(expert.linear) == len(expert.parameters) else STARTS
    counted = None if curves.weights is None else curves.counted.cpu().numpy()[there]
    found = expert.starts(t, np.where(mask[there], y[there], np.nan), counted, count)
    found = decoder.bounds.to_unbounded(decoder.bounds.clip(found, MARGIN))
    starts = np.broadcast_to(np.median(found, axis=0), (len(y), *found.shape[1:])).copy()
    starts[there] = found
    rules = Rules(decoder.noise, spec.scale, option.scattered, option.known, decoder.bounds)
    pooled = None
    if expert.covariates:
        pooled = _pooled(decoder, np.where(mask, y, np.nan)[there], np.atleast_2d(curves.t)[there])
        starts = np.concatenate([np.broadcast_to(pooled[0], (len(y), 1, len(pooled[0]))), starts], axis=1)
    return MeasuredCurves(expert, decoder.bounds, np.atleast_2d(curves.t), y, weights, starts, rules, pooled)


def _pooled(decoder: PhysicsDecoder, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the law to many curves together; unbounded parameters (P,), and how far specimens may differ, (P,)."""
    expert, bounds = decoder.expert, decoder.bounds
    chosen = np.unique(np.linspace(0, len(y) - 1, min(POOLED, len(y))).astype(int))
    theta = bounds.clip(expert.fit(by_name(expert.inputs, t[chosen]), y[chosen]).parameters, MARGIN)[0]
    bounded = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    return bounds.to_unbounded(theta), DIFFER * np.where(bounded, 1.0, np.maximum(np.abs(theta), 1e-3))


def fit_physics(
    job: TrainingRun, seed: int, renewals: int, callback: Callable[[int, float, np.ndarray], bool]
) -> tuple[PhysicsFit, dict[str, MeasuredCurves]]:
    """Find the populations of a training's curves.

    Args:
        job: The training.
        seed: Of the starts.
        renewals: At most so many renewals of the own fits.
        callback: Told the number of each renewal, the penalised log likelihood (nats per specimen) and the shares of
            the populations, (C,); one that returns True ends it.
    """
    curves = {
        name: measured_curves(option, job.specs[name], job.tensors.curves[name])
        for name, option in job.options.physics.items()
    }
    count = len(job.tensors)

    def told(number: int, value: float, populations: Populations) -> bool:
        return callback(number, value / count, np.exp(populations.log_weights))

    return find_populations(curves, job.options.clusters, seed=seed, renewals=renewals, callback=told), curves


def decoders_of(
    populations: Populations,
    options: Mapping[str, Physics],
    specs: Mapping[str, InputSpec],
    curves: Mapping[str, Curves],
) -> dict[str, PhysicsDecoder]:
    """Make the decoders that answers are computed with."""
    out = {}
    for name, option in options.items():
        law, device = populations.laws[name], curves[name].x.device
        decoder = blank_decoder(option, specs[name], curves[name], len(law.centre))
        out[name] = replace(
            decoder,
            theta=decoder.bounds.from_unbounded(law.centre),
            scatter=torch.as_tensor(law.scatter, device=device),
            variance=torch.as_tensor(law.variance / specs[name].scale ** 2, device=device),
            noise=NOISE.get(option.noise),
        )
    return out


def placed(
    log_weights: np.ndarray, decoders: Mapping[str, PhysicsDecoder], specs: Mapping[str, InputSpec], latent_dim: int
) -> GaussianMixture:
    """Give each population its place in the latent space: distances there are those of the populations' curves.

    Classical scaling of the root mean squared distances between the curves at the populations' parameters, each
    modality in units of its scale; populations have unit variance.

    Args:
        log_weights: log pi, (C,).
        decoders: The physics.
        specs: How each modality is read: its grid.
        latent_dim: L; axes beyond the number of populations are zero.
    """
    clusters = len(log_weights)
    distance = np.zeros((clusters, clusters))
    for name, decoder in decoders.items():
        # With covariates: all populations under the same conditions, those in the middle of the training's.
        spec = specs[name]
        middle = np.array([[0.5 * (low + high) for low, high in spec.conditions.values()]])
        grid = spec.grid(middle).reshape(-1)
        value = decoder.expert.value_and_jacobian(grid, decoder.theta)[0] / decoder.scale
        distance += np.square(value[:, None] - value[None]).mean(-1)
    centring = np.eye(clusters) - 1.0 / clusters
    values, vectors = np.linalg.eigh(-0.5 * centring @ distance @ centring)
    order = np.argsort(-values, kind="stable")[:latent_dim]
    places = np.zeros((clusters, latent_dim))
    places[:, : len(order)] = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    # The largest coordinate of an axis is positive, so that the same data give the same map.
    signs = np.sign(places[np.abs(places).argmax(0), np.arange(latent_dim)])
    places *= np.where(signs == 0.0, 1.0, signs) * SPREAD / max(float(places.std(0).max()), 1e-12)
    device = next(iter(decoders.values())).scatter.device
    mean = torch.as_tensor(places, device=device)
    return GaussianMixture(torch.as_tensor(log_weights, device=device), mean, torch.ones_like(mean))
