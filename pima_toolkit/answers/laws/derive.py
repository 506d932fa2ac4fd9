"""Further quantities of every cluster, computed from its parameters, with propagated errors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ...experts import CurveQuantity, derive
from ..predictor import Predictor
from ..record import TrainingRecord
from ..tables import LEVEL, weight_with
from .cluster_curves import physics_name


def derive_quantities(
    predictor: Predictor,
    record: TrainingRecord,
    quantities: Mapping[str, str | CurveQuantity],
    units: Mapping[str, str] | None,
    modality: str | None,
    at: Mapping[str, float] | None,
) -> xr.Dataset:
    """Derive quantities from every cluster's parameters, see :meth:`pima_toolkit.Fit.derive`."""
    name = physics_name(predictor.options, modality)
    decoder, spec = predictor.state.decoders[name], predictor.specs[name]
    # A parameter at its bound has slope 0: it is taken as known.
    slope = np.where(decoder.bounds.at_bound(decoder.theta), 0.0, decoder.bounds.slope(decoder.theta))
    known = np.isfinite(predictor.covariance[name]).any((1, 2), keepdims=True)
    inner = np.where(np.isfinite(predictor.covariance[name]), predictor.covariance[name], 0.0)
    covariance = np.where(known, slope[:, :, None] * inner * slope[:, None, :], np.nan)
    return derive(
        decoder.expert,
        decoder.theta,
        covariance,
        quantities,
        units,
        reach=float(np.max(spec.t)),
        y_unit=spec.schema.unit,
        t_unit=spec.schema.t_unit,
        at=at,
        freedom=np.maximum(weight_with(record, name) - 1.0, 1.0),
        level=LEVEL,
    )
