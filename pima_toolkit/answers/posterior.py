r"""Posterior of each specimen from the modalities it has, as tensors (Trask et al. 2022, section 2.4).

.. math:: \log q(c \mid X_S) = \log\pi_c + \sum_{i\in S}\big[\log q(c \mid X_i) - \log\pi_c\big] + \mathrm{const}

with :math:`q(c\mid X_i) \propto \pi_c\,p(X_i\mid c)` for a physics modality (eq. 19) and the trained encoder for a
neural one. It is exact where modalities are independent given c; with ``vary="latent"`` they share Z inside a cluster
too, and it is an approximation (``combine="posterior"`` takes the fused posterior's own). The latent posterior of a
subset, per cluster, is the product of the encoders' Gaussians over the prior that all of them counted; with all
modalities present it is q(Z given X).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..errors import TrainingError
from ..fitting.evidence.belief import speak, told
from ..fitting.evidence.frame import Frame
from ..fitting.evidence.network import embedded
from ..fitting.inputs.stored import Stored
from ..fitting.inputs.tensors import Tensors, keep_freed_memory
from ..fitting.passes import encode, encode_alone, reconstruction_error
from ..fitting.run import physics_evidence, physics_log_prob
from ..model.curves import Curves
from ..model.encoders.encoders import averaged
from ..model.gaussian import DiagonalGaussian
from ..model.joint import conditioned, join
from ..model.physics import Deviations
from ..model.speaker import about_latent
from .predictor import Predictor


@dataclass(frozen=True)
class Posterior:
    """Posterior of a batch of specimens, and how well it explains them, as tensors.

    Args:
        log_gamma: Log responsibilities, (specimen, cluster), float64.
        latent: q(Z given c, X_S), (specimen, cluster, latent).
        scores: How well each modality present is explained, by name; NaN where absent. Empty if not asked for.
        others: By physics modality, what its specimens' other modalities say: q(Z given c, the others), (specimen,
            cluster, latent), or of the deviation itself. Empty where single modalities have no encoders.
    """

    log_gamma: Tensor
    latent: DiagonalGaussian
    scores: dict[str, Tensor]
    others: dict[str, DiagonalGaussian | Deviations]


def _float32(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, enabled=False)


@torch.no_grad()
def answer_tensors(
    predictor: Predictor, tensors: Tensors, *, scored: bool = True, autocast: torch.autocast | None = None
) -> Posterior:
    """Responsibilities, latent posterior and scores of every specimen.

    Args:
        predictor: The fit.
        tensors: The specimens.
        scored: Whether to say how well each is explained, which asks the decoders too.
        autocast: Precision of the networks; float32 by default.

    Raises:
        TrainingError: If a subset is asked of a fit whose cross-modal encoders were never trained.
    """
    keep_freed_memory()
    options, state = predictor.options, predictor.state
    device = state.mixture.mean.device
    autocast = autocast or _float32(device)
    names = list(options.modalities)
    present = torch.stack([tensors.present[name] for name in names], 1)
    full = present.all(1)
    fused_only = not predictor.any_subset
    if fused_only and len(names) > 1 and not bool(full.all()):
        raise TrainingError(
            "this fit was stopped before its cross-modal encoders were trained, so it answers for specimens with all "
            f"modalities only ({', '.join(names)}): fit again with the same checkpoint folder to go on"
        )
    physics = {name: state.decoders[name].log_prob(tensors.curves[name]) for name in options.physics}
    scores = {}
    if scored:
        scores = {name: _curve_score(predictor, log_prob, tensors.curves[name]) for name, log_prob in physics.items()}
    log_pi = state.mixture.log_weights
    if options.by_evidence:
        return _by_evidence(predictor, tensors, physics, scores, scored, autocast)
    # The paper's encoders say the cluster of a curve too; else eq. 19 does, exactly.
    by_encoder = options.neural if options.potential.by_cluster or fused_only else options.modalities
    direct = [log_prob for name, log_prob in physics.items() if name not in by_encoder]
    total = log_pi + sum(direct, start=torch.zeros(len(tensors), 1, dtype=torch.float64, device=device))
    posterior = None
    if fused_only or bool(full.any()):
        posterior = encode(state.network, tensors, autocast).to(torch.float64)
    # A weight of almost nothing must not turn into evidence when it is divided by.
    floored = log_pi.clamp_min(float(np.log(1e-3 / options.clusters)))
    precision = torch.zeros(len(tensors), options.clusters, options.latent_dim, dtype=torch.float64, device=device)
    natural = torch.zeros_like(precision)
    own: dict[str, tuple[Tensor, Tensor]] = {}
    for k, name in enumerate(names):
        here = tensors.present[name][:, None]
        if not bool(here.any()):
            scores |= {name: torch.full_like(total[:, 0], torch.nan)} if scored else {}
            own |= {} if fused_only else {name: (total.new_zeros(()), total.new_zeros(()))}
            continue
        if fused_only:
            views = [(total, posterior[:, None])]
        else:
            option = options.neural.get(name)
            flips = predictor.specs[name].axes(option.flips) if option is not None else []
            views = encode_alone(predictor.encoders[k], tensors.inputs[name], flips, autocast)
            log_gamma, embedding = averaged(views)
            part = torch.where(here[..., None], 1.0 / embedding.variance.double(), 0.0)
            own[name] = part, part * embedding.mean.double()
            precision += part
            natural += own[name][1]
            if name in by_encoder:
                total = total + torch.where(here, log_gamma.double() - floored, 0.0)
        if scored and name in options.neural:
            # Not of its mirror image.
            score = _reconstruction(predictor, name, tensors.inputs[name], *views[0], autocast)
            scores[name] = torch.where(here[:, 0], score, torch.nan)
    log_gamma = torch.log_softmax(total, 1)
    # A lone curve needs no network: eq. 19 is exact.
    if posterior is not None and ((fused_only and options.neural) or options.combine == "posterior"):
        log_gamma = torch.where(full[:, None], _fused_rule(predictor, tensors, posterior), log_gamma)
    count = present.sum(1)
    latent = _subset(precision, natural, count, state.mixture.components)
    others = {
        name: _subset(precision - own[name][0], natural - own[name][1], count - here.long(), state.mixture.components)
        for name, here in tensors.present.items()
        if name in options.physics and name in own
    }
    if posterior is not None:
        everything = full[:, None, None]
        latent = DiagonalGaussian(
            torch.where(everything, posterior.mean[:, None], latent.mean),
            torch.where(everything, posterior.variance[:, None], latent.variance),
        )
    return Posterior(log_gamma, latent, scores, others)


def _by_evidence(
    predictor: Predictor,
    tensors: Tensors,
    physics: dict[str, Tensor],
    scores: dict[str, Tensor],
    scored: bool,
    autocast: torch.autocast,
) -> Posterior:
    """Answer from all that is said of a specimen, as far as held-out specimens bear it out."""
    options, state = predictor.options, predictor.state
    mixture, specimens = state.mixture, len(tensors)
    places = DiagonalGaussian(*(part.expand(specimens, -1, -1) for part in (mixture.mean, mixture.variance)))
    if not options.neural:
        log_gamma = (mixture.log_weights + sum(physics.values())).log_softmax(1)
        return Posterior(log_gamma, places, scores, {})
    frame = Frame(state.decoders, mixture.log_weights)
    present = {name: tensors.present[name] for name in options.neural}
    said = speak(predictor.belief, state.network, options, predictor.specs, tensors, autocast)
    heard = told(predictor.belief, frame, said, present)
    curves = {name: frame.of(name, tensors.curves[name]) for name in options.physics}
    everything = sum(list(curves.values())[1:], start=next(iter(curves.values())))
    joint = join(mixture.log_weights, replace(everything, constant=everything.constant + heard.psi), heard.deviation)
    own = {name: embedded(state.network, name, tensors, autocast) for name in options.neural}
    for name in options.neural if scored else ():
        place = about_latent([own[name]], [present[name]], mixture.components)
        inputs, float32 = tensors.inputs[name], _float32(predictor.device)
        score = _reconstruction(predictor, name, inputs, joint.log_gamma, place, float32)
        scores[name] = torch.where(present[name], score, torch.nan)
    latent = about_latent(list(own.values()), list(present.values()), mixture.components)
    others = {}
    for name in curves:
        rest = [part for other, part in curves.items() if other != name]
        known = conditioned(sum(rest[1:], start=rest[0]), heard.deviation)[1] if rest else heard.deviation
        others[name] = frame.deviations(name, known)
    return Posterior(joint.log_gamma, latent, scores, others)


def _fused_rule(predictor: Predictor, tensors: Tensors, posterior: DiagonalGaussian) -> Tensor:
    """Log responsibilities of the fused posterior, by the model's own rule."""
    options, mixture = predictor.options, predictor.state.mixture
    log_prior = mixture.expected_log_prob(posterior)
    log_physics = torch.zeros_like(log_prior)
    if options.rule.asks_curves:
        evidence = physics_evidence(predictor.state.decoders, tensors, options.clusters)
        log_physics = physics_log_prob(evidence, posterior)
    return options.rule.joint(mixture, log_prior, log_physics, options.beta).log_softmax(1)


def _curve_score(predictor: Predictor, log_prob: Tensor, curves: Curves) -> Tensor:
    """Log density of a curve under the mixture per observed point, (specimen,); NaN where absent."""
    points = curves.seen.sum(1).clamp_min(1)
    # As of a curve of weights one: one that is measured less precisely is not less typical.
    density = (predictor.state.mixture.log_weights + log_prob).logsumexp(1) - 0.5 * curves.log_weight
    score = density / points
    return torch.where(curves.present, score, torch.nan)


def _subset(precision: Tensor, natural: Tensor, count: Tensor, prior: DiagonalGaussian) -> DiagonalGaussian:
    """Product of the encoders' Gaussians over the prior counted once too often for each after the first."""
    extra = (count - 1).clamp_min(0).double()[:, None, None]
    own = 1.0 / prior.variance
    corrected = precision - extra * own
    # An encoder vaguer than the prior would leave less than the prior knows: then the prior's width, the plain mean.
    usable = corrected >= own
    none = (count == 0)[:, None, None]
    mean = torch.where(
        usable,
        (natural - extra * own * prior.mean) / torch.where(usable, corrected, 1.0),
        natural / precision.clamp_min(1e-300),
    )
    variance = 1.0 / torch.where(usable, corrected, own.expand_as(corrected))
    return DiagonalGaussian(torch.where(none, prior.mean, mean), torch.where(none, prior.variance, variance))


def _reconstruction(
    predictor: Predictor,
    name: str,
    x: Tensor | Stored,
    log_gamma: Tensor,
    embedding: DiagonalGaussian,
    autocast: torch.autocast,
) -> Tensor:
    """Minus the log mean squared error of a neural modality seen through its own encoder, (specimen,)."""
    best = log_gamma.argmax(1).clamp_max(embedding.mean.shape[1] - 1)
    z = embedding.mean[torch.arange(len(x), device=x.device), best].float()
    errors = reconstruction_error(predictor.state.network, name, x, z, autocast)
    return -errors.double().clamp_min(1e-12).log()
