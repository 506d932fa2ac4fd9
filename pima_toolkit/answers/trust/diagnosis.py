"""A fit's curves looked at in every way, population by population."""

from __future__ import annotations

import xarray as xr

from ...data import population_names, specimen_labels
from ...experts import Diagnosis, diagnose
from ..inference import read_new
from ..posterior import answer_tensors
from ..predictor import Predictor
from ..record import TrainingRecord, named
from .goodness_of_fit import population_curves, some_members


def diagnosis_of(predictor: Predictor, record: TrainingRecord, data: xr.Dataset) -> Diagnosis:
    """Look for what speaks against a fit, see :meth:`pima_toolkit.Fit.diagnose`."""
    tensors = read_new(predictor, data)
    gamma = answer_tensors(predictor, tensors, scored=False).log_gamma.exp()
    labels, every = specimen_labels(data).astype(str), []
    called = population_names(named(record.specimens, record))
    for name, decoder in predictor.state.decoders.items():
        curves, schema = tensors.curves[name], predictor.specs[name].schema
        for c in range(gamma.shape[1]):
            member = some_members(gamma[:, c] * curves.present)
            if not len(member):
                continue
            units = {"y_unit": schema.unit, "t_unit": schema.t_unit}
            about = {"names": labels[member.cpu().numpy()].tolist(), "label": f"{name}, {called[c]}"}
            every.append(population_curves(decoder, curves.at(member), c, **about, **units))
    return diagnose(one for one in every if one.seen.sum(1).max() > one.free.sum())
