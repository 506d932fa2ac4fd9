r"""Answers for new specimens from any subset of their modalities (§2.4).

.. math:: \log q(c \mid X_S) = \log\pi_c + \sum_{i\in S}\big[\log q(c \mid X_i) - \log\pi_c\big] + \mathrm{const}

with :math:`q(c\mid X_i) \propto \pi_c\,p(X_i\mid c)` for a physics modality (eq. 19) and the trained encoder for a
neural one. It is exact where modalities are independent given c; with ``vary="latent"`` they share Z inside a cluster
too, and it is an approximation (``combine="posterior"`` takes the fused posterior's own). The latent posterior of a
subset, per cluster, is the product of the encoders' Gaussians over the prior that all of them counted; with all
modalities present it is q(Z given X).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..data import ANSWER_NAMES, check_dataset, closest, specimen_labels
from ..errors import DataError, OptionError, TrainingError
from ..fitting.job import encode, physics_evidence, physics_log_prob
from ..fitting.stored import Stored, looked_at
from ..fitting.tensors import Tensors, to_tensors
from ..model.augment import mirrored
from ..model.curves import Curves
from ..model.encoders import averaged
from ..model.gaussian import DiagonalGaussian
from ..model.mixture import log_responsibilities
from .conditions import check_known
from .curves import curve_answers, parameter_answers
from .remarks import check_coverage, remarks, typicality, unanswered
from .trained import Trained

#: A specimen less typical than this is flagged; of specimens like the training ones about one in a thousand is.
OUT_OF_POPULATION = 1e-3
_CHUNK = 1024
_SAMPLES = 8


@dataclass(frozen=True)
class Answers:
    """Everything known about a batch of specimens, as tensors.

    Args:
        log_gamma: Log responsibilities, (specimen, cluster), float64.
        latent: q(Z given c, X_S), (specimen, cluster, latent).
        scores: How well each modality present is explained, by name; NaN where absent.
        others: By physics modality, what its specimens' other modalities say: q(Z given c, the others), (specimen,
            cluster, latent). Empty where single modalities have no encoders.
    """

    log_gamma: Tensor
    latent: DiagonalGaussian
    scores: dict[str, Tensor]
    others: dict[str, DiagonalGaussian]


def _float32(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, enabled=False)


@torch.no_grad()
def answer_tensors(trained: Trained, tensors: Tensors) -> Answers:
    """Responsibilities, latent posterior and scores of every specimen.

    Raises:
        TrainingError: If a subset is asked of a fit whose cross-modal encoders were never trained.
    """
    options, state = trained.options, trained.state
    device = state.mixture.mean.device
    names = list(options.modalities)
    present = torch.stack([tensors.present[name] for name in names], 1)
    full = present.all(1)
    fused_only = trained.encoders is None
    if fused_only and len(names) > 1 and not bool(full.all()):
        raise TrainingError(
            "this fit was stopped before its cross-modal encoders were trained, so it answers for specimens with all "
            f"modalities only ({', '.join(names)}): fit again with the same checkpoint folder to go on"
        )
    physics = {name: state.decoders[name].log_prob(tensors.curves[name]) for name in options.physics}
    scores = {name: _curve_score(trained, log_prob, tensors.curves[name]) for name, log_prob in physics.items()}
    log_pi = state.mixture.log_weights
    # The paper's encoders say the cluster of a curve too; else eq. 19 does, exactly.
    by_encoder = options.modalities if options.crossmodal != "mixture" and not fused_only else options.neural
    direct = [log_prob for name, log_prob in physics.items() if name not in by_encoder]
    total = log_pi + sum(direct, start=torch.zeros(len(tensors), 1, dtype=torch.float64, device=device))
    posterior = encode(state.network, tensors, _float32(device)).to(torch.float64)
    # A weight of almost nothing must not turn into evidence when it is divided by.
    floored = log_pi.clamp_min(float(np.log(1e-3 / options.clusters)))
    precision = torch.zeros(len(tensors), options.clusters, options.latent_dim, dtype=torch.float64, device=device)
    natural = torch.zeros_like(precision)
    own: dict[str, tuple[Tensor, Tensor]] = {}
    for k, name in enumerate(names):
        here = tensors.present[name][:, None]
        if fused_only:
            said = [(total, posterior[:, None])]
        else:
            said = _encode_one(trained, k, name, tensors.inputs[name])
            log_gamma, embedding = averaged(said)
            part = torch.where(here[..., None], 1.0 / embedding.variance.double(), 0.0)
            own[name] = part, part * embedding.mean.double()
            precision += part
            natural += own[name][1]
            if name in by_encoder:
                total = total + torch.where(here, log_gamma.double() - floored, 0.0)
        if name in options.neural:
            score = _reconstruction(trained, name, tensors.inputs[name], *said[0])  # not of its mirror image
            scores[name] = torch.where(here[:, 0], score, torch.nan)
    log_gamma = torch.log_softmax(total, 1)
    # A lone curve needs no network: eq. 19 is exact.
    if (fused_only and options.neural) or options.combine == "posterior":
        log_gamma = torch.where(full[:, None], _fused_rule(trained, tensors, posterior), log_gamma)
    count = present.sum(1)
    latent = _subset(precision, natural, count, state.mixture.components)
    others = {
        name: _subset(precision - own[name][0], natural - own[name][1], count - here.long(), state.mixture.components)
        for name, here in tensors.present.items()
        if name in options.physics and name in own
    }
    everything = full[:, None, None]
    latent = DiagonalGaussian(
        torch.where(everything, posterior.mean[:, None], latent.mean),
        torch.where(everything, posterior.variance[:, None], latent.variance),
    )
    return Answers(log_gamma, latent, scores, others)


def _fused_rule(trained: Trained, tensors: Tensors, posterior: DiagonalGaussian) -> Tensor:
    """Log responsibilities of the fused posterior, by the model's own rule."""
    options, mixture = trained.options, trained.state.mixture
    log_prior = mixture.expected_log_prob(posterior)
    if options.responsibilities != "exact":
        return log_responsibilities(mixture, log_prior)
    evidence = physics_evidence(trained.state.decoders, tensors, options.clusters)
    return log_responsibilities(mixture, options.beta * log_prior, physics_log_prob(evidence, posterior))


def _curve_score(trained: Trained, log_prob: Tensor, curves: Curves) -> Tensor:
    """Log density of a curve under the mixture per observed point, (specimen,); NaN where absent."""
    points = curves.x.new_tensor(curves.x.shape[1]) if curves.observed is None else curves.observed.sum(1)
    score = (trained.state.mixture.log_weights + log_prob).logsumexp(1) / points.clamp_min(1)
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


def _encode_one(trained: Trained, k: int, name: str, x: Tensor | Stored) -> list[tuple[Tensor, DiagonalGaussian]]:
    """What one modality says by itself of the specimens, and by its mirror images where it may be mirrored."""
    encoder, option = trained.encoders[k].eval(), trained.options.neural.get(name)
    axes = trained.templates[name].axes(option.flips) if option is not None else []
    pieces = [[encoder(view) for view in mirrored(x[rows], axes)] for rows in looked_at(x)]
    said = []
    for view in zip(*pieces, strict=True):
        mean, variance = (torch.cat([getattr(p[1], part) for p in view]) for part in ("mean", "variance"))
        said.append((torch.cat([p[0] for p in view]), DiagonalGaussian(mean, variance)))
    return said


def _reconstruction(
    trained: Trained, name: str, x: Tensor | Stored, log_gamma: Tensor, embedding: DiagonalGaussian
) -> Tensor:
    """Minus the log mean squared error of a neural modality seen through its own encoder, (specimen,)."""
    network = trained.state.network.eval()
    best = log_gamma.argmax(1).clamp_max(embedding.mean.shape[1] - 1)
    z = embedding.mean[torch.arange(len(x), device=x.device), best].float()
    errors = [
        (network.decode(name, z[rows]) - x[rows]).square().flatten(1).mean(1) for rows in looked_at(x, most=_CHUNK)
    ]
    return -torch.cat(errors).double().clamp_min(1e-12).log()


def infer(
    trained: Trained,
    data: xr.Dataset,
    *,
    predict: Sequence[str] | str | None = None,
    seed: int = 0,
    coverage: float = 0.9,
) -> xr.Dataset:
    """See :meth:`pima_toolkit.Fit.infer`."""
    out = expected(trained, data, predict=predict, seed=seed, coverage=coverage)
    return unanswered(out, trained.options.modalities)


def expected(
    trained: Trained,
    data: xr.Dataset,
    *,
    predict: Sequence[str] | str | None = None,
    seed: int = 0,
    coverage: float = 0.9,
) -> xr.Dataset:
    """As :func:`infer`; of a specimen of which nothing was measured, what the populations alone make one expect."""
    check_dataset(data)
    names = list(trained.options.modalities)
    wanted = names if predict is None else [predict] if isinstance(predict, str) else list(predict)
    for name in wanted:
        if name not in names:
            raise OptionError(f"predict names {name!r}, which is no modality of this fit: {closest(name, names)}")
    check_coverage(coverage)
    if not any(name in data.data_vars for name in names):
        raise DataError(
            f"the dataset holds none of this fit's modalities ({', '.join(names)}): it has {list(data.data_vars)}"
        )
    device = trained.state.mixture.mean.device
    tensors = to_tensors(data, trained.options.modalities, trained.templates, device)
    answers = answer_tensors(trained, tensors)
    out = _table(trained, data, tensors, answers)
    for name in wanted:
        if name in trained.options.physics:
            check_known(trained, name, tensors.curves[name], specimen_labels(data))
            out = out.assign(predict_curves(trained, name, tensors, answers, coverage))
        else:
            out = out.assign(predict_neural(trained, name, answers, seed))
    if any(name in trained.options.physics for name in wanted):
        out = out.assign(parameter_answers(trained, tensors, answers.log_gamma.exp(), answers.others))
    return out


def _table(trained: Trained, data: xr.Dataset, tensors: Tensors, answers: Answers) -> xr.Dataset:
    names = list(trained.options.modalities)
    gamma = answers.log_gamma.exp()
    weight = gamma[..., None]
    mean = (weight * answers.latent.mean).sum(1)
    variance = (weight * (answers.latent.variance + answers.latent.mean.square())).sum(1) - mean.square()
    typical, seen = typicality(trained, answers.scores)
    outside = np.stack([tensors.outside[name] for name in names], 1)
    said = remarks(seen, typical < OUT_OF_POPULATION, outside.any(1))
    out = xr.Dataset(
        {
            "responsibilities": (
                ("specimen", "cluster"),
                gamma.cpu().numpy(),
                {"long_name": "probability of the cluster", "units": "1"},
            ),
            "cluster": ("specimen", gamma.argmax(1).cpu().numpy(), {"long_name": "most probable cluster"}),
            "posterior_mean": (("specimen", "latent"), mean.cpu().numpy(), {"units": "1"}),
            "posterior_variance": (("specimen", "latent"), variance.cpu().numpy(), {"units": "1"}),
            "typicality": (
                "specimen",
                typical,
                {"long_name": "share of training specimens explained no better", "units": "1"},
            ),
            "out_of_population": ("specimen", typical < OUT_OF_POPULATION, {"long_name": "unlike every cluster"}),
            "outside_range": (("specimen", "modality"), outside, {"long_name": "values beyond the training range"}),
            "remark": (
                "specimen",
                said,
                {"long_name": "what to know of the answer"},
            ),
        },
        coords={"modality": names},
    )
    return out.assign_coords(specimen_coords(trained, data))


def specimen_coords(trained: Trained, data: xr.Dataset) -> dict[str, xr.DataArray]:
    """The coordinates that say which specimens these are, without those along a modality's own dims."""
    own = {dim for template in trained.templates.values() for dim in template.measured.dims}
    kept = {str(k): v for k, v in data.coords.items() if "specimen" in v.dims and not own & set(v.dims)}
    # A coordinate of an answer's own name, such as an older fit's ``cluster``, must not take the answer's place.
    return {f"given_{k}" if k in ANSWER_NAMES - {"specimen"} else k: v for k, v in kept.items()}


def modality_array(trained: Trained, name: str, values: np.ndarray, *leading: str) -> xr.DataArray:
    """Values of a modality as a labelled array with units; the leading dims are named, the others its own."""
    template = trained.templates[name]
    measured = template.measured
    attrs = {"units": measured.unit, "long_name": measured.long_name}
    if name in trained.options.physics:
        label = {"units": measured.t_unit, "long_name": measured.t_name}
        dim = measured.t_name if measured.t_name not in measured.coords else measured.dims[0]
        t = xr.DataArray(template.t, dims=dim, attrs=label)
        return xr.DataArray(values, dims=(*leading, dim), coords={measured.t_name: t}, attrs=attrs)
    # A channel axis that the data do not name is dropped, a scalar's feature axis too.
    shape = values.shape[: len(leading)] + measured.values.shape[1:]
    return xr.DataArray(values.reshape(shape), dims=(*leading, *measured.dims), coords=measured.coords, attrs=attrs)


def predict_curves(
    trained: Trained, name: str, tensors: Tensors, answers: Answers, coverage: float
) -> dict[str, xr.DataArray]:
    """Mean and pointwise band of a physics modality: denoised where observed, else predicted."""
    covariates = trained.options.physics[name].expert.covariates
    out = {}
    found = curve_answers(trained, name, tensors, answers.log_gamma.exp(), answers.others.get(name), coverage)
    for suffix, values in zip(("", "_low", "_high"), found, strict=True):
        out[name + suffix] = modality_array(trained, name, values, "specimen")
        if covariates:
            out[name + suffix].attrs["at"] = f"{', '.join(covariates)} of each specimen"
    for suffix, tail in (("_low", 0.5 * (1.0 - coverage)), ("_high", 0.5 * (1.0 + coverage))):
        out[name + suffix].attrs["long_name"] += f", {100 * tail:g} % quantile of a new measurement"
    return out


@torch.no_grad()
def predict_neural(trained: Trained, name: str, answers: Answers, seed: int) -> dict[str, xr.DataArray]:
    """Mean of a neural modality over samples of (c, Z).

    All specimens share the random numbers, so the answer does not depend on their order or number; c is drawn by its
    quantiles, which leaves less noise than chance would.
    """
    device = answers.log_gamma.device
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(_SAMPLES, trained.options.latent_dim, generator=generator, dtype=torch.float64).to(device)
    cumulative = answers.log_gamma.exp().cumsum(1)
    network = trained.state.network.eval()
    total: Tensor | float = 0.0
    for k in range(_SAMPLES):
        share = torch.full_like(cumulative[:, :1], (k + 0.5) / _SAMPLES)
        cluster = torch.searchsorted(cumulative, share).squeeze(1).clamp_max(trained.options.clusters - 1)
        chosen = answers.latent[torch.arange(len(cluster), device=device), cluster]
        z = chosen.sample(noise[k]).float()
        decoded = torch.cat([network.decode(name, z[i : i + _CHUNK]) for i in range(0, len(z), _CHUNK)])
        total = total + decoded / _SAMPLES
    values = trained.templates[name].scaling.from_unit(total.cpu().numpy())
    return {name: modality_array(trained, name, values, "specimen")}
