"""The covariates that curves are shown at: a specimen's own, a population's mean, or those a person asks for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..data import closest, few
from ..errors import DataError, OptionError
from ..fitting.options import ModelOptions
from ..model.curves import Curves
from .predictor import Predictor

#: Covariates by name that a person asks curves to be shown at, ``{"strain_rate": 100.0}``; others are the means.
At = Mapping[str, float] | None


def known_names(options: ModelOptions) -> list[str]:
    """Name the covariates that parameters of a model depend on, each once."""
    return list(dict.fromkeys(name for option in options.physics.values() for name in option.dependence.covariates))


def known_offset(predictor: Predictor, name: str, at: At) -> Tensor | None:
    """How far a specimen is off its population under conditions that a person asks for, (1, P); None: at the reference.

    Args:
        predictor: The fit.
        name: A physics modality.
        at: Covariates by name; a term that is not given by them is at its reference.
    """
    known, decoder = predictor.specs[name].known, predictor.state.decoders[name]
    given = {k: np.array([float(v)]) for k, v in (at or {}).items()}
    if known is None or decoder.known is None or not set(known.dependence.covariates) & set(given):
        return None
    terms = np.zeros((1, len(known.dependence)))
    for k, names in enumerate(known.dependence.needed):
        if set(names) <= set(given):
            filled = {n: given.get(n, np.ones(1)) for n in known.dependence.covariates}
            terms[0, k] = known.dependence.only(k).values(filled)[0, 0] - known.reference[k]
    return torch.as_tensor(decoder.known.offset(terms, None), device=predictor.device)


def covariate_names(options: ModelOptions) -> list[str]:
    """Name the covariates of all experts of a model, each once."""
    return list(dict.fromkeys(name for option in options.physics.values() for name in option.expert.covariates))


def mean_covariates(options: ModelOptions, curves: Mapping[str, Curves], gamma: Tensor) -> dict[str, np.ndarray]:
    """Responsibility-weighted mean of every covariate over the specimens it is known of, (cluster,) by name."""
    out = {}
    for name, option in options.physics.items():
        columns = curves[name].covariates
        if columns is None:  # of an expert that takes none
            continue
        for covariate, values in zip(option.expert.covariates, columns.T, strict=True):
            known = np.isfinite(values)
            weight = gamma.cpu().numpy()[known] + 1e-12  # an empty cluster has the mean of all
            out[covariate] = values[known] @ (weight / weight.sum(0))
    return out


def check_at(options: ModelOptions, at: At) -> None:
    """Refuse covariates to show curves at that no expert takes, or that are no numbers.

    Args:
        options: The model's.
        at: Covariates by name.

    Raises:
        OptionError: If a name is no covariate of this fit, or a value no finite number.
    """
    known = list(dict.fromkeys(covariate_names(options) + known_names(options)))
    if at is not None and not isinstance(at, Mapping):
        raise OptionError(f"at={at!r}: expected a table of covariates, such as {{'temperature': 300}}")
    for name, value in (at or {}).items():
        if name not in known:
            advice = f"its covariates: {closest(name, known)}" if known else "its experts have no covariates"
            raise OptionError(f"at names {name!r}, which no expert of this fit takes; {advice}")
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise OptionError(f"at[{name!r}] is {value!r}: expected one finite number")


def population_grid(predictor: Predictor, name: str, cluster: int | None = None, at: At = None) -> np.ndarray:
    """Grid of a modality's predicted curves, with the covariates of a population, or of each.

    Args:
        predictor: The fit.
        name: A physics modality.
        cluster: Which population; None for all.
        at: Covariates by name instead of the populations' means.

    Returns:
        Packed, (inputs * point,), or (cluster, inputs * point) for all; (point,) for an expert without covariates.
    """
    means = {**predictor.covariates, **{k: np.full(predictor.options.clusters, v) for k, v in (at or {}).items()}}
    columns = [means[covariate] for covariate in predictor.options.physics[name].expert.covariates]
    grid = predictor.specs[name].grid(np.stack(columns, axis=1) if columns else None)
    return grid if cluster is None or grid.ndim == 1 else grid[cluster]


def position_grid(predictor: Predictor, name: str, gamma: np.ndarray, at: At = None) -> np.ndarray:
    """Grid of a modality's curves at latent positions, with covariates.

    Args:
        predictor: The fit.
        name: A physics modality.
        gamma: Responsibilities at the positions, (n, cluster): a covariate that is not in ``at`` is the mean of the
            populations' means with these weights.
        at: Covariates by name.

    Returns:
        Packed, (inputs * point,) where all positions share it, else (n, inputs * point).
    """
    wanted, asked = predictor.options.physics[name].expert.covariates, at or {}
    if set(wanted) <= set(asked):
        row = np.array([[float(asked[covariate]) for covariate in wanted]]) if wanted else None
        grid = predictor.specs[name].grid(row)
        return grid if grid.ndim == 1 else grid[0]
    means = {k: gamma @ v for k, v in predictor.covariates.items()} | {
        k: np.full(len(gamma), v) for k, v in asked.items()
    }
    return predictor.specs[name].grid(np.stack([means[covariate] for covariate in wanted], axis=1))


def own_cluster(values: Tensor) -> Tensor:
    """Take each cluster's curve on the cluster's own grid.

    Args:
        values: Every cluster's curve on every cluster's grid, (cluster, cluster, ...), or on one, (cluster, 1, ...).

    Returns:
        Shape (cluster, 1, ...).
    """
    every = torch.arange(len(values), device=values.device)
    return values if values.shape[1] == 1 else values[every, every][:, None]


def covariate_units(predictor: Predictor) -> dict[str, str]:
    """Units of the covariates by name."""
    specs = [predictor.specs[name] for name in predictor.options.physics]
    return {k: u for spec in specs for k, u in spec.schema.covariate_units.items()}


def shown_at(predictor: Predictor, name: str, cluster: int | None = None, at: At = None) -> dict[str, str]:
    """Attributes that say at which covariates a population's curve was computed; none where there are none.

    Args:
        predictor: The fit.
        name: A modality.
        cluster: Which population; None for all.
        at: What a person asked for.
    """
    parts, units = [], covariate_units(predictor)
    for covariate in predictor.options.physics[name].expert.covariates if name in predictor.options.physics else ():
        means = predictor.covariates[covariate] if cluster is None else predictor.covariates[covariate][[cluster]]
        asked = (at or {}).get(covariate)
        values = ", ".join(f"{value:.4g}" for value in means) if asked is None else f"{asked:g}"
        unit = "" if units[covariate] == "1" else f" {units[covariate]}"
        parts.append(f"{covariate} = {values}{unit}{' (mean of the cluster)' if asked is None else ''}")
    option = predictor.options.physics.get(name)
    more = () if option is None else option.covariates[len(option.expert.covariates) :]
    for covariate in more:
        if covariate in (at or {}):
            unit = "" if units[covariate] == "1" else f" {units[covariate]}"
            parts.append(f"{covariate} = {(at or {})[covariate]:g}{unit}")
    return {"at": "; ".join(parts)} if parts else {}


def covariate_coords(
    predictor: Predictor, specimens: int, cluster: int, at: At
) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """Coordinates that hold the covariates of generated specimens, without those that are modalities themselves."""
    units = covariate_units(predictor)
    return {
        name: ("specimen", np.full(specimens, (at or {}).get(name, means[cluster])), {"units": units[name]})
        for name, means in predictor.covariates.items()
        if name not in predictor.options.modalities
    }


def check_known(predictor: Predictor, name: str, curves: Curves, labels: np.ndarray) -> None:
    """Refuse to predict curves of specimens whose covariates are unknown.

    Raises:
        DataError: If a specimen lacks one; the message names the first.
    """
    option = predictor.options.physics[name]
    columns = {}
    if curves.covariates is not None:
        columns = dict(zip(option.expert.covariates, curves.covariates.T, strict=True))
    if curves.terms is not None:
        for names, values in zip(option.dependence.needed, curves.terms.T, strict=True):
            columns |= dict.fromkeys(names, values)
    for covariate, values in columns.items():
        unknown = ~np.isfinite(values)
        if unknown.any():
            raise DataError(
                f"{name!r} depends on the covariate {covariate!r}, which is not given for specimens"
                f" {few(labels[unknown])}: add it,"
                f" data = data.assign_coords({covariate}=('specimen', values)), or leave {name!r} out of predict"
            )
