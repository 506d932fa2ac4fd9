r"""Comparison of several laws on the same curves: which one predicts specimens it has not seen, and by how much.

Specimens are left out in k parts; each law is fitted to the others, with specimens that differ, and asked for the
likelihood of those left out,

.. math:: \log p(X_d \mid c) = \log \mathcal N\big(X_d;\, E(t; \theta_c),\; J_c S_c J_c^\top + v_c \mathbf I\big),

in which a specimen counts once: residuals of one curve that go together are explained by S, and do not pass for a
hundred independent proofs. The Bayesian information criterion is that of the same likelihood on all specimens, with the
parameters, S and v counted, and specimens, not points, as the sample: :math:`-2 \log L + k \log n`. Both are given the
responsibilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from ...errors import DataError, ExpertError, OptionError
from ...experts import Expert, get_expert, pack, solve, take_inputs, variable
from ...fitting.em.physics import update_physics
from ...model.curves import Curves
from ...model.noise.cluster import ClusterNoise
from ...model.physics import PhysicsDecoder
from ...units import value_with_error
from ..predictor import Predictor
from ..record import TrainingRecord
from .cluster_curves import physics_name, reduced, responsibilities, training_curves

#: EM steps of a fit, and the rise of the likelihood, in nats per specimen, that ends it.
_ITERATIONS, _STILL = 60, 1e-4
#: What a matrix without an inverse raises.
SINGULAR = (np.linalg.LinAlgError, torch.linalg.LinAlgError)  # pyright: ignore[reportPrivateImportUsage]
#: A specimen of less responsibility does not take part.
_LEAST = 1e-3
_STARTS = 8
#: Start of a specimen's own step in a bounded parameter's unbounded coordinate: at most so far.
_FAR = 2.0

Candidates = Sequence[str | Expert | type[Expert]]


def compare_experts(
    experts: Candidates,
    t: ArrayLike | Mapping[str, ArrayLike],
    y: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    folds: int = 5,
    seed: int = 0,
) -> xr.Dataset:
    """Compare several laws by how well each predicts curves it has not seen.

    Args:
        experts: Names, experts or classes of them.
        t: Independent variable, (T,) or (specimen, T); with covariates the inputs by name.
        y: Curves, (specimen, T); NaN where not measured.
        weights: Responsibilities, (specimen,) or (specimen, cluster); ones by default.
        folds: Parts of which each is left out once.
        seed: Of the division into parts.

    Returns:
        Along (expert, cluster): ``log_likelihood`` of the specimens left out (nats, sum), its ``difference`` to the
        best law and the ``difference_error`` of that, ``bic``, ``bic_difference``, ``parameters``; along cluster
        ``best``, and what it means in words in ``attrs["reading"]``. A law that cannot be fitted is a row of NaN, and
        ``reason`` says why.

    Raises:
        OptionError: If fewer than two laws are given, or the folds are no number.
        DataError: If there are fewer than four specimens, or a law lacks an input.
    """
    y = np.array(y, dtype=np.float64, ndmin=2)
    observed = np.isfinite(y)
    if not observed.any():
        raise DataError("there is nothing to compare laws on: no point of y is finite")
    scale = float(np.abs(y[observed]).max()) or 1.0
    gamma = np.ones((len(y), 1)) if weights is None else np.array(weights, dtype=np.float64).reshape(len(y), -1)
    if not (np.isfinite(gamma).all() and (gamma >= 0).all()):
        raise DataError("weights must be finite and not negative: use 0 for what should not count")
    laws = _laws(experts)
    if isinstance(t, Mapping):
        widest = max(laws, key=lambda law: len(law.inputs))
        names, packed = widest.inputs, pack(widest, t, y.shape)
    else:
        names, packed = (laws[0].inputs[0],), np.array(t, dtype=np.float64)
    curves = Curves(
        torch.from_numpy(np.where(observed, y, 0.0) / scale),
        packed,
        torch.from_numpy(observed),
        torch.from_numpy(observed.any(1)),
    )
    return _compare(laws, names, curves, torch.from_numpy(gamma), scale, folds, seed)


def compare(
    predictor: Predictor,
    record: TrainingRecord,
    experts: Candidates,
    modality: str | None,
    data: xr.Dataset | None,
    folds: int,
    seed: int,
) -> xr.Dataset:
    """Compare laws on the training specimens, see :meth:`pima_toolkit.Fit.compare`."""
    name = physics_name(predictor.options, modality)
    curves = training_curves(predictor, record, name, data)
    decoder = predictor.state.decoders[name]
    gamma = responsibilities(record, curves)
    laws, schema = _laws(experts, decoder.expert), predictor.specs[name].schema
    for law in laws:
        law.check_quantity(schema.long_name, schema.t_long_name, stacklevel=5)
    table = _compare(laws, decoder.expert.inputs, curves, gamma, decoder.scale, folds, seed)
    fitted = [law == decoder.expert for law in laws]
    own = {"long_name": "whether it is the law of the fit"}
    return table.assign_coords(fitted=("expert", fitted, own))


def _laws(experts: Candidates, fitted: Expert | None = None) -> list[Expert]:
    """List the laws to compare; that of a fit goes first where none of its name is given."""
    laws = [] if isinstance(experts, str | Expert) else [get_expert(expert) for expert in experts]
    if laws and fitted is not None and fitted.name not in [law.name for law in laws]:
        laws = [fitted, *laws]
    if len(laws) < 2:
        raise OptionError(f"experts={experts!r}: expected at least two laws to compare, ['linear_hardening', 'voce']")
    names = [law.name for law in laws]
    if len(set(names)) < len(names):
        raise OptionError(f"two of the laws have the same name: {', '.join(names)}")
    return laws


def _compare(
    laws: list[Expert],
    names: tuple[str, ...],
    curves: Curves,
    gamma: torch.Tensor,
    scale: float,
    folds: int,
    seed: int,
) -> xr.Dataset:
    if not isinstance(folds, int | np.integer) or folds < 2:
        raise OptionError(f"folds={folds!r}: expected a whole number of at least 2")
    if len(curves) < 4:
        raise DataError(f"{len(curves)} specimens are too few to leave some out: at least four are needed")
    clusters = gamma.shape[1]
    part = np.random.default_rng(seed).permutation(len(curves)) % min(int(folds), len(curves))
    shape = (len(laws), clusters)
    specimen = np.full((*shape, len(curves)), np.nan)
    bic, size, reason = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64), np.full(shape, "", dtype=object)
    for e, law in enumerate(laws):
        own = replace(curves, t=_inputs_of(law, names, curves.t))
        for c in range(clusters):
            weight = gamma[:, c] * curves.present
            use = (weight > _LEAST).cpu().numpy()
            try:
                specimen[e, c], bic[e, c], size[e, c] = _one(law, own, weight, use, part, scale)
            except (ExpertError, *SINGULAR) as error:
                reason[e, c] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                continue
            if not np.isfinite(bic[e, c]) and size[e, c]:
                reason[e, c] = "its likelihood is not finite at the best parameters found: check the law and its bounds"
                specimen[e, c] = np.nan
    return _table(laws, specimen, bic, size, reason.astype(str), gamma.cpu().numpy())


def _inputs_of(law: Expert, names: tuple[str, ...], t: np.ndarray) -> np.ndarray:
    """Pick the inputs that a law needs: the independent variable, whatever its name, and covariates by name."""
    missing = [name for name in law.covariates if name not in names]
    if missing:
        raise DataError(f"the expert {law.name!r} needs {', '.join(missing)}, which these data do not have")
    return take_inputs(names, t, (names[0], *law.covariates))


def _one(
    law: Expert, curves: Curves, weight: torch.Tensor, use: np.ndarray, part: np.ndarray, scale: float
) -> tuple[np.ndarray, float, int]:
    """Log-likelihood of every specimen when left out, BIC, and number of parameters, of one law and one cluster."""
    out = np.full(len(curves), np.nan)
    for k in np.unique(part[use]):
        train, test = np.flatnonzero(use & (part != k)), np.flatnonzero(use & (part == k))
        decoder = _fitted(law, curves.at(torch.as_tensor(train)), weight[train], scale)
        if decoder is not None:
            out[test] = decoder.log_prob(curves.at(torch.as_tensor(test)))[:, 0].cpu().numpy()
    everyone = np.flatnonzero(use)
    member, w = curves.at(torch.as_tensor(everyone)), weight[everyone]
    decoder = _fitted(law, member, w, scale)
    if decoder is None:
        return out, np.nan, 0
    free = int((~decoder.bounds.at_bound(decoder.theta[0])).sum())
    size = free + free * (free + 1) // 2 + 1
    total = float((w * decoder.log_prob(member)[:, 0]).sum())
    return out, -2.0 * total + size * float(w.sum().log()), size


def _fitted(law: Expert, curves: Curves, weight: torch.Tensor, scale: float) -> PhysicsDecoder | None:
    """Fit a law to specimens that differ, by EM from the best of several starts; None with less than two specimens."""
    effective = float(weight.sum() ** 2 / weight.square().sum()) if len(weight) else 0.0
    if effective < 2.0:
        return None
    along = np.broadcast_to(variable(law, curves.t), curves.x.shape)[curves.seen.cpu().numpy()]
    size = len(law.parameters)
    zero = torch.zeros(1, size, size, dtype=torch.float64, device=curves.x.device)
    decoder = PhysicsDecoder(
        law, law.bounds(np.unique(along)), scale, np.zeros((1, size)), zero, zero.new_ones(1), noise=ClusterNoise()
    )
    inputs, mean, w, constant = reduced(curves, weight, decoder)
    t = np.concatenate(list(inputs.values()))
    starts = law.starts(t, mean[None], w[None], _STARTS)
    solution = solve(law, t, mean[None], w[None], starts, decoder.bounds, constant=[constant])
    if solution.status[0] < 0:
        raise ExpertError(solution.advice[0])
    spread = (float(solution.cost[0]) + constant) / float(w.sum()) / scale**2
    decoder = replace(decoder, theta=solution.parameters, variance=zero.new_full((1,), max(spread, 1e-12)))
    decoder = _with_scatter(decoder, curves, weight)
    before, evidence = -np.inf, decoder.evidence(curves)
    for _ in range(_ITERATIONS):
        now = float((weight * evidence.constant[:, 0]).sum())
        if now - before < _STILL * float(weight.sum()):
            break
        before = now
        decoder, evidence = update_physics(decoder, curves, weight[:, None], scattered=True, evidence=evidence)
    return decoder


def _with_scatter(decoder: PhysicsDecoder, curves: Curves, weight: torch.Tensor) -> PhysicsDecoder:
    """Set scatter and noise to start from: the specimens' own Gauss-Newton steps, and what these leave."""
    own = decoder.condition(curves)
    normal = own.normal[0].expand(len(curves), -1, -1)
    size = torch.diagonal(normal, dim1=1, dim2=2).clamp_min(1e-300).sqrt()
    scaled = normal / (size[:, :, None] * size[:, None, :])
    step = (torch.linalg.pinv(scaled, rtol=1e-8, hermitian=True) @ (own.projected[0] / size)[..., None])[..., 0] / size
    bounded = np.isfinite(decoder.bounds.lower) | np.isfinite(decoder.bounds.upper)
    limit = torch.as_tensor(np.where(bounded, _FAR, np.inf), device=step.device)
    step = step.clamp(-limit, limit)
    left = own.squared[0] - 2.0 * (own.projected[0] * step).sum(1) + torch.einsum("np,npq,nq->n", step, normal, step)
    noise = float((weight * left.clamp_min(0.0)).sum() / (weight * curves.seen.sum(1)).sum())
    scatter = torch.einsum("n,np,nq->pq", weight, step, step)[None] / weight.sum()
    return replace(decoder, scatter=scatter, variance=torch.full_like(decoder.variance, max(noise, 1e-12)))


def _table(
    laws: list[Expert],
    specimen: np.ndarray,
    bic: np.ndarray,
    size: np.ndarray,
    reason: np.ndarray,
    gamma: np.ndarray,
) -> xr.Dataset:
    """Lay out the table; a law that failed is a row of NaN with its reason, and no part of the comparison."""
    weight = np.where(np.isfinite(specimen), gamma.T, 0.0)
    clean = np.nan_to_num(specimen)
    complete = np.any(weight > 0, axis=2)
    total = np.where(complete, (weight * clean).sum(2), np.nan)
    usable = np.all(complete | (reason != ""), axis=0) & np.any(complete, axis=0)
    best = np.where(usable, np.argmax(np.where(complete, total, -np.inf), axis=0), -1)
    difference, error = np.full(total.shape, np.nan), np.full(total.shape, np.nan)
    for c in np.flatnonzero(usable):
        here = complete[:, c]
        apart = clean[here, c] - clean[best[c], c]
        w = weight[here, c]
        mean = (w * apart).sum(1) / w.sum(1)
        n = w.sum(1) ** 2 / np.square(w).sum(1)
        difference[here, c] = (w * apart).sum(1)
        error[here, c] = np.sqrt(np.square(w * (apart - mean[:, None])).sum(1) * n / np.maximum(n - 1, 1e-9))
    names = [law.name for law in laws]
    dims, nats = ("expert", "cluster"), {"units": "nat"}
    table = xr.Dataset(
        {
            "log_likelihood": (dims, total, {**nats, "long_name": "log-likelihood of specimens left out"}),
            "difference": (dims, difference, {**nats, "long_name": "log-likelihood less that of the best law"}),
            "difference_error": (dims, error, {**nats, "long_name": "standard error of the difference"}),
            "bic": (dims, bic, {"long_name": "Bayesian information criterion, small is good"}),
            "bic_difference": (dims, bic - _least(bic), {"long_name": "BIC less that of its best law"}),
            "parameters": (dims, size, {"long_name": "parameters, scatter and noise"}),
            "best": ("cluster", [names[k] if k >= 0 else "" for k in best]),
            "reason": (dims, reason, {"long_name": "why a law could not be compared"}),
        },
        coords={"expert": names, "cluster": np.arange(total.shape[1])},
    )
    return table.assign_attrs(reading="\n".join(_reading(table)))


def _least(bic: np.ndarray) -> np.ndarray:
    """Smallest BIC of each cluster among the laws that have one, (cluster,); NaN where none has."""
    return np.where(np.isfinite(bic).any(0), np.min(np.where(np.isfinite(bic), bic, np.inf), axis=0), np.nan)


def _reading(table: xr.Dataset) -> list[str]:
    """Say what the table means, a sentence for each cluster."""
    out = []
    for c in range(table.sizes["cluster"]):
        one = table.isel(cluster=c)
        best = str(one.best.item())
        failed = {str(n): str(r) for n, r in zip(one.expert.values, one.reason.values, strict=True) if r}
        out += [f"population {c}: {name} could not be compared: {reason}" for name, reason in failed.items()]
        if not best:
            out.append(f"population {c}: too few specimens to leave some out and still fit every law.")
            continue
        others = one.sel(expert=[name for name in one.expert.values if name not in (best, *failed)])
        if not others.sizes["expert"]:
            out.append(f"population {c}: {best} is the only law that could be fitted.")
            continue
        next_best = others.isel(expert=int(np.argmax(others.difference.values)))
        gap, error, name = -float(next_best.difference), float(next_best.difference_error), next_best.expert.item()
        if gap > 2 * error:
            verdict = "more than chance explains"
        else:
            verdict = "which chance may explain: these specimens do not tell the two apart"
        simplest = str(one.expert.values[int(np.nanargmin(one.bic.values))])
        agrees = "BIC agrees" if simplest == best else f"BIC prefers {simplest}"
        out.append(
            f"population {c}: {best} predicts specimens it has not seen best, ahead of {name} by"
            f" {value_with_error(gap, error, 'nats')}, {verdict}; {agrees}."
        )
    return out
