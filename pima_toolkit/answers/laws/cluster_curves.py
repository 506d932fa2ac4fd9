"""Curves of one cluster, put together from the data a fit was trained on, for lmfit, comparisons and misfits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from ...data import read, specimen_labels
from ...errors import DataError, OptionError
from ...experts import CurveStatistics, by_name, lmfit_result
from ...fitting.inputs.tensors import to_tensors
from ...fitting.options import ModelOptions
from ...model.curves import Curves
from ...model.physics import PhysicsDecoder
from ..predictor import Predictor
from ..record import TrainingRecord

if TYPE_CHECKING:
    from lmfit.model import ModelResult

#: A specimen of less responsibility than this adds nothing to a cluster that float64 would keep.
_NOTHING = 1e-12


def physics_name(options: ModelOptions, modality: str | None) -> str:
    """Name of the physics modality that is meant.

    Args:
        options: The model's.
        modality: What a person named; None for the only one there is.

    Raises:
        OptionError: If there is none of that name, or several to choose from.
    """
    names = list(options.physics)
    if modality is None and len(names) == 1:
        return names[0]
    if modality in names:
        return str(modality)
    known = ", ".join(map(repr, names)) or "none"
    asked = "no modality was named" if modality is None else f"{modality!r} is no physics modality of this fit"
    raise OptionError(f"{asked}: expected modality= one of {known}")


def training_curves(predictor: Predictor, record: TrainingRecord, name: str, data: xr.Dataset | None) -> Curves:
    """Training curves of a physics modality; for a fit read from a file they are read from the data again.

    Args:
        predictor: How data are read.
        record: The training, which knows its specimens.
        name: A physics modality.
        data: The training set; None where the fit still holds it.

    Raises:
        DataError: If the fit was loaded and no data are given, or they are not those it was trained on.
    """
    if data is None:
        if name not in record.curves:
            raise DataError("a saved fit holds no measured curves: pass data=, the dataset it was trained on")
        return record.curves[name]
    labels = record.specimens.specimen.values if "specimen" in record.specimens.coords else None
    same = data.sizes.get("specimen") == record.specimens.sizes["specimen"]
    if not same or (labels is not None and not np.array_equal(specimen_labels(data), labels)):
        raise DataError(
            f"these are not the {record.specimens.sizes['specimen']} specimens the fit was trained on, in their order:"
            " pass the training set itself"
        )
    measurements = read(data, {name: predictor.specs[name].schema})
    return to_tensors(measurements, predictor.specs, predictor.device).curves[name]


def responsibilities(record: TrainingRecord, curves: Curves) -> torch.Tensor:
    """Responsibilities of the training specimens, (specimen, cluster), float64; 0 for those without the curve."""
    gamma = torch.as_tensor(record.specimens.responsibilities.values, dtype=torch.float64, device=curves.x.device)
    return gamma * curves.present[:, None]


def reduced(
    curves: Curves, gamma: torch.Tensor, decoder: PhysicsDecoder
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, float]:
    """Reduce the curves of one cluster to one: inputs by name, mean curve, weight per point, sum of squares about it.

    Curves with grids or covariates of their own are put on the union of their points: nothing is interpolated.

    Args:
        curves: Of all specimens.
        gamma: Responsibilities of the cluster, (specimen,).
        decoder: Its expert names the inputs; its scale is the unit of the curves' values.
    """
    names = decoder.expert.inputs
    x, weight = curves.x.cpu() * decoder.scale, gamma.cpu()
    if not curves.own_grids:
        statistics = CurveStatistics(1, x.shape[1]).update(x, weight[:, None], curves.counted.cpu())
        seen = statistics.weight[0].numpy() > _NOTHING
        inputs = {name: t[seen] for name, t in by_name(names, curves.t).items()}
        constant = float(statistics.constant)
        return inputs, statistics.mean[0].numpy()[seen], statistics.weight[0].numpy()[seen], constant
    seen = (curves.seen.cpu() & (weight > _NOTHING)[:, None]).numpy()
    each = np.stack([t[seen] for t in by_name(names, curves.t).values()], axis=1)
    points, place = np.unique(each, axis=0, return_inverse=True)
    place = place.reshape(-1)  # of numpy 2.0 a column
    values, w = x.numpy()[seen], (weight[:, None] * curves.counted.cpu()).numpy()[seen]
    total = np.bincount(place, w, len(points))
    mean = np.bincount(place, w * values, len(points)) / total
    return dict(zip(names, points.T.copy(), strict=True)), mean, total, float(np.sum(w * (values - mean[place]) ** 2))


def to_lmfit(
    predictor: Predictor, record: TrainingRecord, cluster: int, modality: str | None, data: xr.Dataset | None
) -> ModelResult:
    """Fit one cluster's curves by lmfit, see :meth:`pima_toolkit.Fit.to_lmfit`."""
    name = physics_name(predictor.options, modality)
    clusters = predictor.options.clusters
    if not isinstance(cluster, int | np.integer) or not 0 <= cluster < clusters:
        raise OptionError(f"cluster={cluster!r}: expected a whole number from 0 to {clusters - 1}")
    curves = training_curves(predictor, record, name, data)
    decoder = predictor.state.decoders[name]
    gamma = responsibilities(record, curves)[:, cluster]
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
