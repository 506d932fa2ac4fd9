"""The physics of a training: populations found in the curves alone, and the decoders and latent places they become."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError
from ...experts import CurveInformation, CurveNoise, by_name, fit_as_one, learned_noise
from ...model.curves import Curves
from ...model.mixture import GaussianMixture
from ...model.modality import Physics
from ...model.noise.pooled import PooledNoise
from ...model.noise.shaped import ShapedNoise
from ...model.physics import POPULATION_DRAWS, PhysicsDecoder
from ..em.effect_errors import with_errors
from ..em.members import members
from ..em.physics import update_physics
from ..em.populations import HEAD_START, Expectation, Populations, Rules
from ..inputs.spec import InputSpec
from ..run import TrainingRun
from ..starts.initialise import blank_decoder
from ..starts.populations import MeasuredCurves, PhysicsFit, find_populations, wide_fits

#: Starts of each curve's first fit, where the law is not linear.
STARTS = 6
#: Share of a two-sided bound, or of the unit, that a first fit keeps away from it.
MARGIN = 1e-6
#: Curves that are fitted together where one alone does not tell its parameters, and the standard deviation that
#: specimens are given then: of logarithms and logits, and of the others' own size.
POOLED, DIFFER = 400, 0.1
#: Rounds of EM with least squares, and the change of responsibilities that ends them.
ROUNDS, STILL = 60, 1e-9
#: Squared distance, in standard deviations of the noise summed over points and specimens, that no data tell.
INDISTINGUISHABLE = 0.01
#: Mean squared residual, in medians over the curves, from which a curve has no part in learning the noise.
STRANGE = 25.0
#: Largest standard deviation of the populations' latent places along an axis.
SPREAD = 3.0
#: Distance of a population from its nearest neighbour in its standard deviations, and its smallest variance.
DISTINCT, LEAST_VARIANCE = 4.0, 1e-2
#: Standard deviation of places along an axis that is none of the laws'.
_FREE = 1e-6


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
    measured = MeasuredCurves(expert, decoder.bounds, np.atleast_2d(curves.t), y, weights, starts, rules, pooled)
    if spec.known is not None and curves.terms is not None:
        places = np.array(spec.known.dependence.places, dtype=np.int64)
        measured = replace(measured, terms=np.nan_to_num(curves.terms), places=places, batch=curves.batch)
    if decoder.noise.curve_noise is None:
        return measured
    return replace(
        measured, rules=replace(rules, noise=ShapedNoise(_learned_shape(decoder.noise.curve_noise, measured)))
    )


def _learned_shape(shape: CurveNoise, measured: MeasuredCurves) -> CurveNoise:
    """Learn the numbers of a noise from all curves, each about parameters of its own under one wide population."""
    wide = wide_fits(replace(measured, rules=replace(measured.rules, noise=PooledNoise())))
    information, centre, spread, variance = wide
    # Curves that the law does not describe say nothing of the noise.
    each = information.squared / np.maximum(information.points - len(centre), 0.5)
    there = measured.there
    share = (there & (each <= STRANGE * np.median(each[there]))).astype(np.float64)
    at = measured.law, measured.bounds, measured.t, measured.y, measured.weights
    start = information.estimate[:, None]
    return learned_noise(shape, *at, centre, np.diag(3.0 * spread), variance, start, share=share)[0]


def _pooled(decoder: PhysicsDecoder, y: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit the law to many curves together; unbounded parameters (P,), and how far specimens may differ, (P,)."""
    expert, bounds = decoder.expert, decoder.bounds
    chosen = np.unique(np.linspace(0, len(y) - 1, min(POOLED, len(y))).astype(int))
    common = fit_as_one(expert, by_name(expert.inputs, t[chosen]), y[chosen])
    theta = bounds.clip(common.parameters, MARGIN)[0]
    bounded = np.isfinite(bounds.lower) | np.isfinite(bounds.upper)
    return bounds.to_unbounded(theta), DIFFER * np.where(bounded, 1.0, np.maximum(np.abs(theta), 1e-3))


def fit_physics(
    job: TrainingRun, seed: int, renewals: int, callback: Callable[[int, float, np.ndarray], bool]
) -> PhysicsFit:
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

    return find_populations(curves, job.options.clusters, seed=seed, renewals=renewals, callback=told)


def decoders_of(
    populations: Populations,
    options: Mapping[str, Physics],
    specs: Mapping[str, InputSpec],
    curves: Mapping[str, Curves],
    found: Expectation | None = None,
    information: Mapping[str, CurveInformation] | None = None,
) -> dict[str, PhysicsDecoder]:
    """Make the decoders that answers are computed with.

    Args:
        populations: Those of the fit.
        options: The modalities.
        specs: How they are read.
        curves: The training curves.
        found: What was found of the specimens, for populations that are not Gaussian; None: they are.
        information: What every curve says, for errors of what parameters depend on; None: without.
    """
    out = {}
    for name, option in options.items():
        law, device = populations.laws[name], curves[name].x.device
        decoder = blank_decoder(option, specs[name], curves[name], len(law.centre))
        decoder = replace(
            decoder,
            theta=decoder.bounds.from_unbounded(law.centre),
            scatter=torch.as_tensor(law.scatter, device=device),
            variance=torch.as_tensor(law.variance / specs[name].scale ** 2, device=device),
            noise=law.rules.noise,
            starts=STARTS,
            known=law.effects,
        )
        if found is not None and information is not None and law.effects is not None:
            at = information[name], law, found.responsibilities, found.conditional[name]
            decoder = replace(decoder, known=with_errors(*at))
        if found is not None and option.scattered:
            drawn = members(law, found.conditional[name], found.responsibilities, POPULATION_DRAWS)
            decoder = replace(decoder, members=torch.as_tensor(drawn, device=device))
        weight = np.exp(populations.log_weights) * float(curves[name].present.sum())
        out[name] = _at_bounds(decoder, law.centre, middle_grid(specs[name]), weight)
    return out


def by_least_squares(
    decoders: Mapping[str, PhysicsDecoder],
    options: Mapping[str, Physics],
    curves: Mapping[str, Curves],
    log_weights: Tensor,
    gamma: Tensor,
    heard: Tensor | float = 0.0,
) -> tuple[dict[str, PhysicsDecoder], Tensor, Tensor]:
    """Run EM on with the paper's least squares (eq. 17) where specimens of a population do not differ.

    Own fits then have nothing to say beyond the population's, and the weighted curves can be solved outright.

    Args:
        decoders: By modality.
        options: Their options.
        curves: Of all specimens.
        log_weights: log pi, (C,).
        gamma: Responsibilities, (N, C).
        heard: What else is known of each specimen's population, (N, C), nats.

    Returns:
        Decoders, log weights and responsibilities.
    """
    decoders = dict(decoders)
    tied = [name for name, option in options.items() if not option.scattered]
    for _ in range(ROUNDS if tied else 0):
        for name in tied:
            decoders[name] = update_physics(decoders[name], curves[name], gamma, scattered=False)[0]
        joint = log_weights + heard + sum(decoder.log_prob(curves[name]) for name, decoder in decoders.items())
        before, gamma = gamma, joint.softmax(1)
        log_weights = ((gamma.sum(0) + HEAD_START) / (len(gamma) + HEAD_START * gamma.shape[1])).log()
        if float((gamma - before).abs().max()) < STILL:
            break
    return decoders, log_weights, gamma


def middle_grid(spec: InputSpec) -> np.ndarray:
    """Grid of a modality under conditions in the middle of the training's, packed, (inputs * point,)."""
    middle = np.array([[0.5 * (low + high) for low, high in spec.inputs_seen.values()]])
    return spec.grid(middle).reshape(-1)


def _at_bounds(decoder: PhysicsDecoder, centre: np.ndarray, grid: np.ndarray, weight: np.ndarray) -> PhysicsDecoder:
    """Put parameters on their bounds that curves cannot tell from them, and let them scatter no more.

    In logarithms and logits a bound is infinitely far, and steps towards it never arrive.

    Args:
        decoder: As found.
        centre: Its unbounded parameters, (C, P).
        grid: Where curves are compared.
        weight: Specimens of each population, (C,).
    """
    bounds, std = decoder.bounds, np.sqrt(np.maximum(np.einsum("cpp->cp", decoder.scatter.cpu().numpy()), 0.0))
    theta, scatter = decoder.theta.copy(), decoder.scatter.clone()
    noise = (decoder.variance.cpu().numpy() * decoder.scale**2)[:, None]
    for bound, side in ((bounds.lower, 1.0), (bounds.upper, -1.0)):
        for p in np.flatnonzero(np.isfinite(bound)):
            there, away = theta.copy(), centre.copy()
            there[:, p] = bound[p]
            # One standard deviation away from the bound: most of the population is as near.
            away[:, p] += side * std[:, p]
            with np.errstate(all="ignore"):
                curve = decoder.expert.value_and_jacobian(grid, there)[0]
                apart = np.square(curve - decoder.expert.value_and_jacobian(grid, bounds.from_unbounded(away))[0])
                lost = weight * (apart / noise).sum(-1)
            stuck = np.isfinite(lost) & (lost < INDISTINGUISHABLE)
            theta[stuck, p] = bound[p]
            scatter[torch.as_tensor(stuck), p, :] = 0.0
            scatter[torch.as_tensor(stuck), :, p] = 0.0
    return replace(decoder, theta=theta, scatter=scatter)


def placed(
    log_weights: np.ndarray, decoders: Mapping[str, PhysicsDecoder], specs: Mapping[str, InputSpec], latent_dim: int
) -> GaussianMixture:
    """Give each population its place in the latent space: distances there are those of the populations' curves.

    Classical scaling of the root mean squared distances between the curves at the populations' parameters, each
    modality in units of its scale. Along these axes neighbours lie four standard deviations apart, or so near that
    their curves tell them hardly apart; along the others, which are left to what pictures show, variances are one.

    Args:
        log_weights: log pi, (C,).
        decoders: The physics.
        specs: How each modality is read: its grid.
        latent_dim: L; axes beyond the number of populations are zero.
    """
    clusters = len(log_weights)
    distance = np.zeros((clusters, clusters))
    for name, decoder in decoders.items():
        # With covariates: all populations under the same conditions.
        with np.errstate(all="ignore"):
            value = decoder.expert.value_and_jacobian(middle_grid(specs[name]), decoder.theta)[0] / decoder.scale
        # A law may have no value at the end of a grid.
        value = value[:, np.isfinite(value).all(0)]
        if value.size:
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
    apart = torch.cdist(mean, mean).fill_diagonal_(math.inf).amin(1, keepdim=True)
    narrow = (apart / DISTINCT).square().clamp(LEAST_VARIANCE, 1.0)
    variance = torch.where(mean.std(0, correction=0) > _FREE, narrow, torch.ones_like(mean))
    return GaussianMixture(torch.as_tensor(log_weights, device=device), mean, variance)
