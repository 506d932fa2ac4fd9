r"""Start from the physics (eq. 17 before any network), else from reconstruction and a Gaussian mixture.

The expert is fitted to every specimen alone; a Gaussian mixture and a few k-means++ partitions of the unbounded
parameters are starting points of EM on the physics mixture itself,

.. math:: p(X) = \sum_c \pi_c \prod_{i\,\text{physics}} \mathcal N\big(X_i; E_i(t;\theta_{ic}), \Sigma_{ic}\big),

and the start with the best likelihood gives the responsibilities that joint training begins with. Runs are chosen by
likelihood, never by labels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...errors import DataError, require
from ...experts import Bounds, solve
from ...model.curves import Curves
from ...model.evidence import Evidence
from ...model.gaussian import DiagonalGaussian
from ...model.mixture import GaussianMixture, log_responsibilities
from ...model.modality import Modality, Physics
from ...model.noise.base import VARIANCE_FLOOR
from ...model.noise.table import NOISE
from ...model.physics import PhysicsDecoder
from ..em.physics import update_physics
from ..em.steps import log_prior
from ..inputs.spec import InputSpec
from ..inputs.tensors import Tensors
from ..threads import one_thread
from .pooled import pooled_fits

#: Specimens used to choose among starts; the chosen one goes on with all.
_SCREENED = 4000
_STARTS = 8
#: EM iterations of every start before the best is chosen.
_SCREENING = 25


@dataclass(frozen=True)
class OwnFits:
    """The expert fitted to every specimen's curve alone.

    Args:
        theta: Shape (specimen, P), physical units; NaN for specimens without the curve.
        phi: The same as unbounded parameters.
        variance: Mean squared residual of all curves, in units of scale squared.
    """

    theta: np.ndarray
    phi: np.ndarray
    variance: float


def fit_each(expert_option: Physics, spec: InputSpec, curves: Curves) -> OwnFits:
    """Fit the expert to every curve (eq. 17 with one specimen per cluster); with covariates by :func:`pooled_fits`."""
    expert = expert_option.expert
    if expert.covariates:
        blank = blank_decoder(expert_option, spec, curves, 1)
        phi, variance = pooled_fits(blank, curves)
        theta = np.full_like(phi, np.nan)
        known = np.isfinite(phi).all(1)
        theta[known] = blank.bounds.from_unbounded(phi[known])
        return OwnFits(theta, phi, variance)
    x = curves.x.cpu().numpy() * spec.scale
    weights, points = curves.counted.cpu().numpy(), curves.seen.sum(1).cpu().numpy()
    # A curve with fewer points than parameters says too little about its own.
    enough = points >= len(expert.parameters)
    if not enough.any():
        raise DataError(
            f"no curve of {spec.schema.name!r} has the {len(expert.parameters)} points that the expert "
            f"{expert.name!r} needs (window: {expert_option.window}): use a wider window, or an expert of fewer "
            "parameters"
        )
    theta = np.full((len(x), len(expert.parameters)), np.nan)
    bounds = expert.bounds(_finite_grid(curves))
    t = curves.t[enough] if curves.own_grids else curves.t
    gaps = np.where(weights[enough] > 0, x[enough], np.nan)
    start = bounds.clip(expert.guess(t, gaps, None if curves.weights is None else weights[enough]))[:, None, :]
    solution = solve(expert, t, x[enough], weights[enough], start, bounds)
    theta[enough] = solution.parameters
    variance = max(float(solution.cost.sum() / points[enough].sum() / spec.scale**2), VARIANCE_FLOOR)
    phi = np.full_like(theta, np.nan)
    phi[enough] = _within_reach(bounds, theta[enough])
    return OwnFits(theta, phi, variance)


def _finite_grid(curves: Curves) -> np.ndarray:
    """One grid that spans all specimens', without covariates, for bounds derived from the data."""
    return np.unique(curves.along[curves.seen.cpu().numpy()]) if curves.own_grids else curves.along


def blank_decoder(option: Physics, spec: InputSpec, curves: Curves, clusters: int) -> PhysicsDecoder:
    """Make a decoder of the right shapes, its parameters in the middle of their bounds."""
    bounds = option.expert.bounds(_finite_grid(curves))
    size = len(option.expert.parameters)
    device = curves.x.device
    return PhysicsDecoder(
        expert=option.expert,
        bounds=bounds,
        scale=spec.scale,
        theta=np.tile(bounds.from_unbounded(np.zeros(size)), (clusters, 1)),
        scatter=torch.zeros(clusters, size, size, dtype=torch.float64, device=device),
        variance=torch.ones(clusters, dtype=torch.float64, device=device),
        priors=option.known,
        noise=NOISE.get(option.noise),
    )


def _within_reach(bounds: Bounds, theta: np.ndarray) -> np.ndarray:
    """Map to unbounded parameters (specimen, P); those at a bound lie one unit beyond the furthest that is not."""
    phi = bounds.to_unbounded(theta)
    stuck = bounds.at_bound(theta)
    for p in range(phi.shape[1]):
        free = phi[~stuck[:, p], p]
        low, high = (free.min() - 1.0, free.max() + 1.0) if free.size else (-7.0, 7.0)
        phi[:, p] = np.clip(phi[:, p], low, high)
    return phi


def start_decoder(option: Physics, spec: InputSpec, curves: Curves, own: OwnFits, gamma: np.ndarray) -> PhysicsDecoder:
    """Make a decoder from the moments of the specimens' own fits under given responsibilities."""
    blank = blank_decoder(option, spec, curves, gamma.shape[1])
    bounds = blank.bounds
    known = np.isfinite(own.phi).all(1)
    phi, weight = own.phi[known], gamma[known] + 1e-12
    weight = weight / weight.sum(0)
    # Fits that ran to a bound lie far out in the unbounded parameters: they must not carry the mean away.
    low, high = np.quantile(phi, [0.02, 0.98], axis=0)
    phi = np.clip(phi, low, high)
    centre = weight.T @ phi
    away = phi[None] - centre[:, None]
    scatter = np.einsum("nc,cnp,cnq->cpq", weight, away, away)
    if not option.scattered:
        scatter = np.zeros_like(scatter)
        value, _ = option.expert.value_and_jacobian(curves.t, bounds.from_unbounded(centre))
        value = torch.as_tensor(value / spec.scale, device=curves.x.device)
        squared = (curves.x - (value if curves.own_grids else value[:, None])).square()
        part = torch.as_tensor(gamma, device=curves.x.device)
        variance = float(torch.einsum("nc,cnt->", part, squared * curves.counted) / curves.seen.sum())
    else:
        variance = own.variance
    return replace(
        blank,
        theta=bounds.from_unbounded(centre),
        scatter=torch.as_tensor(scatter, device=curves.x.device),
        variance=torch.full_like(blank.variance, blank.noise.start(variance)),
    )


@dataclass(frozen=True)
class PhysicsMixture:
    """Mixture of the physics modalities alone."""

    log_weights: Tensor
    decoders: dict[str, PhysicsDecoder]

    def evidence(self, curves: Mapping[str, Curves]) -> dict[str, Evidence]:
        """Evidence of the curves of each modality about the cluster."""
        return {name: decoder.evidence(curves[name]) for name, decoder in self.decoders.items()}

    def log_joint(self, evidence: Mapping[str, Evidence]) -> Tensor:
        """log pi_c + sum_i log p(X_i given c), shape (specimen, cluster)."""
        return self.log_weights + sum(part.constant for part in evidence.values())


def physics_em(
    mixture: PhysicsMixture,
    curves: Mapping[str, Curves],
    options: Mapping[str, Physics],
    *,
    iterations: int,
    tolerance: float = 1e-6,
) -> tuple[PhysicsMixture, Tensor, float]:
    """Run EM of the physics mixture until its likelihood stands still.

    Returns:
        The mixture, responsibilities (specimen, cluster), and the log-likelihood, with the priors', in nats.
    """
    before = -np.inf
    evidence = mixture.evidence(curves)
    for _ in range(iterations):
        log_joint = mixture.log_joint(evidence)
        likelihood = float(log_joint.logsumexp(1).sum() + sum(log_prior(d).sum() for d in mixture.decoders.values()))
        gamma = log_joint.softmax(1)
        if likelihood - before <= tolerance * abs(likelihood):
            break
        before = likelihood
        weight = gamma.sum(0).clamp_min(1e-6)
        updated = {
            name: update_physics(
                decoder,
                curves[name],
                gamma,
                scattered=options[name].scattered,
                evidence=evidence[name],
            )
            for name, decoder in mixture.decoders.items()
        }
        mixture = PhysicsMixture((weight / weight.sum()).log(), {name: pair[0] for name, pair in updated.items()})
        evidence = {name: pair[1] for name, pair in updated.items()}
    return mixture, gamma, likelihood


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Search on one thread, without scikit-learn's warnings of starts that have not settled or have too few points.

    Clusters that end empty or alike are told of once, by a warning of our own.
    """
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore", require("sklearn.exceptions", "starting clusters").ConvergenceWarning)
        yield


@_undisturbed()
def _partitions(phi: np.ndarray, clusters: int, seed: int) -> list[np.ndarray]:
    """Make responsibilities (specimen, cluster) of several starts, from parameters (specimen, P)."""
    cluster = require("sklearn.cluster", "starting clusters")
    mixture = require("sklearn.mixture", "starting clusters")
    low, high = np.quantile(phi, [0.01, 0.99], axis=0)
    phi = np.clip(phi, low, high)
    spread = phi.std(0)
    phi = (phi - phi.mean(0))[:, spread > 0] / spread[spread > 0]
    if phi.shape[1] == 0 or clusters == 1:
        return [np.full((len(phi), clusters), 1.0 / clusters)]
    eye = np.eye(clusters)
    starts = [
        mixture.GaussianMixture(clusters, n_init=5, reg_covar=1e-4, random_state=seed).fit(phi).predict_proba(phi)
    ]
    for k in range(_STARTS):
        means = cluster.KMeans(clusters, init="k-means++", n_init=1, random_state=seed + k)
        # Not quite hard, so that no cluster starts with an empty covariance.
        starts.append(0.9 * eye[means.fit_predict(phi)] + 0.1 / clusters)
    return starts


def physics_first(
    tensors: Tensors,
    modalities: Mapping[str, Modality],
    specs: Mapping[str, InputSpec],
    clusters: int,
    seed: int,
) -> tuple[PhysicsMixture, Tensor]:
    """Find responsibilities and experts from the physics modalities alone.

    Returns:
        The mixture of best likelihood, and responsibilities of shape (specimen, cluster); specimens without any
        physics modality have those of the weights pi.
    """
    options = {name: option for name, option in modalities.items() if isinstance(option, Physics)}
    own = {name: fit_each(option, specs[name], tensors.curves[name]) for name, option in options.items()}
    phi = np.concatenate([fits.phi for fits in own.values()], axis=1)
    known = np.flatnonzero(np.isfinite(phi).all(1))
    if len(known) < clusters:
        # Several physics modalities, hardly any specimen with all of them: fill gaps with the middle.
        phi = np.where(np.isfinite(phi), phi, np.nanmedian(phi, axis=0))
        known = np.arange(len(phi))
    screened = known
    if len(known) > _SCREENED:
        screened = np.sort(np.random.default_rng(seed).choice(known, _SCREENED, replace=False))
    some = {
        name: curves.at(torch.as_tensor(screened, device=curves.x.device)) for name, curves in tensors.curves.items()
    }
    fits = {name: replace(f, theta=f.theta[screened], phi=f.phi[screened]) for name, f in own.items()}
    tried = []
    for gamma in _partitions(phi[screened], clusters, seed):
        weights = torch.as_tensor(gamma.mean(0) + 1e-9, device=next(iter(some.values())).x.device)
        start = PhysicsMixture(
            (weights / weights.sum()).log(),
            {n: start_decoder(options[n], specs[n], some[n], fits[n], gamma) for n in options},
        )
        mixture, _, likelihood = physics_em(start, some, options, iterations=_SCREENING)
        tried.append((likelihood, mixture))
    # A start that ran into NaN must not win because nothing compares as larger.
    _, best = max(tried, key=lambda one: np.nan_to_num(one[0], nan=-np.inf))
    mixture, gamma, _ = physics_em(best, tensors.curves, options, iterations=100)
    return mixture, gamma


def random_start(
    tensors: Tensors,
    modalities: Mapping[str, Modality],
    specs: Mapping[str, InputSpec],
    posterior: DiagonalGaussian,
    mixture: GaussianMixture,
    seed: int,
) -> tuple[dict[str, PhysicsDecoder], Tensor]:
    """Start at random, as the paper does: cluster centres from N(0, I) before any network has learned anything.

    Args:
        tensors: The data.
        modalities: Options by name.
        specs: Input specifications by name.
        posterior: q(Z given X) of the untrained networks, (specimen, latent).
        mixture: The prior, whose centres are drawn anew.
        seed: Seed of the draw.

    Returns:
        Experts with the moments of the specimens' own fits under the responsibilities, and these, by eq. (15).
    """
    centres = torch.as_tensor(
        np.random.default_rng(seed).standard_normal(mixture.mean.shape), device=mixture.mean.device
    )
    mixture = replace(mixture, mean=centres)
    gamma = log_responsibilities(mixture, mixture.expected_log_prob(posterior)).exp()
    decoders = {}
    for name, option in modalities.items():
        if isinstance(option, Physics):
            curves = tensors.curves[name]
            own = fit_each(option, specs[name], curves)
            decoders[name] = start_decoder(option, specs[name], curves, own, gamma.cpu().numpy())
    return decoders, gamma


@_undisturbed()
def latent_partition(means: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Find responsibilities by a Gaussian mixture with restarts on latent means (specimen, latent), without physics."""
    mixture = require("sklearn.mixture", "starting clusters")
    rng = np.random.default_rng(seed)
    sample = means if len(means) <= 20_000 else means[rng.choice(len(means), 20_000, replace=False)]
    fitted = mixture.GaussianMixture(clusters, n_init=10, reg_covar=1e-4, random_state=seed).fit(sample)
    return fitted.predict_proba(means)
