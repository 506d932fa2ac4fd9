"""One cluster's curves, close up: what lmfit, comparisons and misfits need of the data a fit was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from ...data import specimen_labels
from ...errors import DataError, OptionError
from ...experts import CurveStatistics, lmfit_result, unpack
from ...fitting.inputs.tensors import to_tensors
from ...model.curves import Curves
from ...model.physics import PhysicsDecoder
from ..trained import Trained

if TYPE_CHECKING:
    from lmfit.model import ModelResult

#: A specimen of less responsibility than this adds nothing to a cluster that float64 would keep.
_NOTHING = 1e-12


def physics_name(trained: Trained, modality: str | None) -> str:
    """The physics modality that is meant.

    Raises:
        OptionError: If there is none of that name, or several to choose from.
    """
    names = list(trained.options.physics)
    if modality is None and len(names) == 1:
        return names[0]
    if modality in names:
        return str(modality)
    known = ", ".join(map(repr, names)) or "none"
    asked = "no modality was named" if modality is None else f"{modality!r} is no physics modality of this fit"
    raise OptionError(f"{asked}: expected modality= one of {known}")


def training_curves(trained: Trained, name: str, data: xr.Dataset | None) -> Curves:
    """The curves the fit was trained on; a loaded fit needs them anew.

    Args:
        trained: The fit.
        name: A physics modality.
        data: The training set; None where the fit still holds it.

    Raises:
        DataError: If the fit was loaded and no data are given, or they are not those it was trained on.
    """
    if data is None:
        if name not in trained.curves:
            raise DataError("a saved fit holds no measured curves: pass data=, the dataset it was trained on")
        return trained.curves[name]
    labels = trained.training.specimen.values if "specimen" in trained.training.coords else None
    same = data.sizes.get("specimen") == trained.training.sizes["specimen"]
    if not same or (labels is not None and not np.array_equal(specimen_labels(data), labels)):
        raise DataError(
            f"these are not the {trained.training.sizes['specimen']} specimens the fit was trained on, in their order:"
            " pass the training set itself"
        )
    device = trained.state.mixture.mean.device
    return to_tensors(data, {name: trained.options.modalities[name]}, trained.templates, device).curves[name]


def responsibilities(trained: Trained, curves: Curves) -> torch.Tensor:
    """Of the training specimens, (specimen, cluster), float64; 0 for those without the curve."""
    gamma = torch.as_tensor(trained.training.responsibilities.values, dtype=torch.float64, device=curves.x.device)
    return gamma * curves.present[:, None]


def reduced(
    curves: Curves, gamma: torch.Tensor, decoder: PhysicsDecoder
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, float]:
    """The curves of one cluster as one: inputs by name, mean curve, weight per point, sum of squares about the mean.

    Curves with grids or covariates of their own are put on the union of their points: nothing is interpolated.

    Args:
        curves: Of all specimens.
        gamma: Responsibilities of the cluster, (specimen,).
        decoder: Its expert names the inputs; its scale is the unit of the curves' values.
    """
    names = decoder.expert.inputs
    x, weight = curves.x.cpu() * decoder.scale, gamma.cpu()
    if not curves.own_grids:
        statistics = CurveStatistics(1, x.shape[1]).update(x, weight[:, None], curves.seen.cpu())
        seen = statistics.weight[0].numpy() > _NOTHING
        inputs = {name: t[seen] for name, t in zip(names, unpack(curves.t, len(names)), strict=True)}
        constant = float(statistics.constant)
        return inputs, statistics.mean[0].numpy()[seen], statistics.weight[0].numpy()[seen], constant
    seen = (curves.seen.cpu() & (weight > _NOTHING)[:, None]).numpy()
    each = np.stack([t[seen] for t in unpack(curves.t, len(names))], axis=1)
    points, place = np.unique(each, axis=0, return_inverse=True)
    place = place.reshape(-1)  # of numpy 2.0 a column
    values, w = x.numpy()[seen], np.broadcast_to(weight.numpy()[:, None], seen.shape)[seen]
    total = np.bincount(place, w, len(points))
    mean = np.bincount(place, w * values, len(points)) / total
    return dict(zip(names, points.T.copy(), strict=True)), mean, total, float(np.sum(w * (values - mean[place]) ** 2))


def to_lmfit(trained: Trained, cluster: int, modality: str | None, data: xr.Dataset | None) -> ModelResult:
    """See :meth:`pima_toolkit.Fit.to_lmfit`."""
    name = physics_name(trained, modality)
    clusters = trained.options.clusters
    if not isinstance(cluster, int | np.integer) or not 0 <= cluster < clusters:
        raise OptionError(f"cluster={cluster!r}: expected a whole number from 0 to {clusters - 1}")
    curves = training_curves(trained, name, data)
    decoder = trained.state.decoders[name]
    gamma = responsibilities(trained, curves)[:, cluster]
    inputs, mean, weight, constant = reduced(curves, gamma, decoder)
    held = decoder.bounds.at_bound(decoder.theta[cluster])
    if weight.sum() < np.count_nonzero(~held) + 1:
        raise DataError(
            f"cluster {cluster} holds {weight.sum():.3g} points of {name!r}: too few to fit {decoder.expert.name!r} to"
        )
    return lmfit_result(
        decoder.expert,
        inputs,
        mean,
        weight,
        std=float(decoder.variance[cluster].sqrt()) * decoder.scale,
        constant=constant,
        count=float(weight.sum()),
        start=decoder.theta[cluster],
        bounds=decoder.bounds,
        held=held,
    )
