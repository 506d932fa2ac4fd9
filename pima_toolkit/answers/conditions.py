"""The covariates that curves are shown at: a specimen's own, a population's mean, or those a person asks for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from ..data import closest, few
from ..errors import DataError, OptionError
from ..experts import with_covariates
from ..fitting.settings import ModelOptions
from ..model.curves import Curves
from .trained import Trained


def mean_covariates(curves: Curves, gamma: Tensor) -> np.ndarray:
    """Responsibility-weighted mean over the specimens that have the curve, (cluster, inputs - 1)."""
    here = curves.present.cpu().numpy()
    # An empty cluster has the mean of all.
    weight = gamma.cpu().numpy()[here] + 1e-12
    return (weight / weight.sum(0)).T @ curves.covariates[here]


def check_at(options: ModelOptions, at: Mapping[str, float] | None) -> None:
    """What a person asked curves to be shown at.

    Raises:
        OptionError: If a name is no covariate of this fit, or a value no finite number.
    """
    known = sorted({name for option in options.physics.values() for name in option.expert.covariates})
    for name, value in (at or {}).items():
        if name not in known:
            said = f"its covariates: {closest(name, known)}" if known else "its experts have no covariates"
            raise OptionError(f"at names {name!r}, which no expert of this fit takes; {said}")
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise OptionError(f"at[{name!r}] is {value!r}: expected one finite number")


def population_grid(
    trained: Trained, name: str, cluster: int | None = None, at: Mapping[str, float] | None = None
) -> np.ndarray:
    """The grid of a modality's predicted curves with the covariates of a population, or of each.

    Args:
        trained: The fit.
        name: A physics modality.
        cluster: Which population; None for all.
        at: Covariates by name instead of the populations' means.

    Returns:
        Packed, (inputs * point,), or (cluster, inputs * point) for all; (point,) for an expert without covariates.
    """
    covariates = trained.covariates[name].copy()
    for k, covariate in enumerate(trained.options.physics[name].expert.covariates):
        covariates[:, k] = (at or {}).get(covariate, covariates[:, k])
    grid = with_covariates(trained.templates[name].t, covariates)
    return grid if cluster is None or grid.ndim == 1 else grid[cluster]


def own_cluster(values: Tensor) -> Tensor:
    """Of curves (cluster, grid, point) each cluster's on its own grid, (cluster, 1, point); those of one grid as is."""
    return values if values.shape[1] == 1 else values.diagonal(dim1=0, dim2=1).permute(1, 0)[:, None]


def shown_at(
    trained: Trained, name: str, cluster: int | None = None, at: Mapping[str, float] | None = None
) -> dict[str, str]:
    """Attributes that say at which covariates a population's curve was computed; none where there are none.

    Args:
        trained: The fit.
        name: A modality.
        cluster: Which population; None for all.
        at: What a person asked for.
    """
    if name not in trained.options.physics or not trained.options.physics[name].expert.covariates:
        return {}
    parts = []
    for k, covariate in enumerate(trained.options.physics[name].expert.covariates):
        unit = trained.templates[name].measured.covariate_units[covariate]
        means = trained.covariates[name][:, k] if cluster is None else trained.covariates[name][[cluster], k]
        asked = covariate in (at or {})
        values = f"{at[covariate]:g}" if asked else ", ".join(f"{value:.4g}" for value in means)
        source = "" if asked else " (mean of the cluster's specimens)"
        parts.append(f"{covariate} = {values}{'' if unit == '1' else f' {unit}'}{source}")
    return {"at": "; ".join(parts)}


def check_known(trained: Trained, name: str, curves: Curves, labels: np.ndarray) -> None:
    """A curve can be predicted only for a test whose covariates are known.

    Raises:
        DataError: Naming the first specimens that lack one.
    """
    for k, covariate in enumerate(trained.options.physics[name].expert.covariates):
        unknown = ~np.isfinite(curves.covariates[:, k])
        if unknown.any():
            raise DataError(
                f"{name!r} depends on the covariate {covariate!r}, which is not given for specimens"
                f" {few(labels[unknown])}: add it,"
                f" data = data.assign_coords({covariate}=('specimen', values)), or leave {name!r} out of predict"
            )
