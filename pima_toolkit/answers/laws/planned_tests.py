"""Plan of further tests for a fit's populations: each law is fitted to the training curves as a law alone is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ...errors import DataError, OptionError
from ...experts import NOISES, Conditions, Expert, Solution, by_name, get_expert
from ..predictor import Predictor
from ..record import TrainingRecord
from .cluster_curves import physics_name, responsibilities, training_curves


def next_test(
    predictor: Predictor,
    record: TrainingRecord,
    candidates: Conditions,
    modality: str | None,
    data: xr.Dataset | None,
    cluster: int,
    versus: int | str | Expert | None,
    about: str | Sequence[str] | None,
    n: int | None,
    at: Mapping[str, float] | None,
) -> xr.Dataset:
    """Rank tests of one more specimen, see :meth:`pima_toolkit.Fit.next_test`."""
    name = physics_name(predictor.options, modality)
    law = predictor.state.decoders[name].expert
    own = _fitted(law, predictor, record, name, data)
    is_law = isinstance(versus, str | Expert)
    other = _fitted(get_expert(versus), predictor, record, name, data) if is_law else versus
    return own.next_test(candidates, about=about, n=n, at=at, cluster=cluster, versus=other)


def _fitted(law: Expert, predictor: Predictor, record: TrainingRecord, name: str, data: xr.Dataset | None) -> Solution:
    """A law fitted to the training curves of every population, with what parameters depend on in this fit.

    Raises:
        DataError: If parameters depend on something and the data are not given.
        OptionError: If the law has other inputs or parameters than those that the fit's options are about.
    """
    physics, decoder, schema = (
        predictor.options.physics[name],
        predictor.state.decoders[name],
        predictor.specs[name].schema,
    )
    if law.inputs != decoder.expert.inputs:
        raise OptionError(
            f"the law {law.name!r} has the inputs {', '.join(law.inputs)}, that of the fit"
            f" {', '.join(decoder.expert.inputs)}: tests that tell them apart are described by the same"
        )
    curves = training_curves(predictor, record, name, data)
    depends = {key: list(terms) for key, terms in (physics.depends_on or {}).items()}
    wanted = [*physics.dependence.covariates, *([physics.groups] if physics.groups else [])]
    if wanted and data is None:
        raise DataError(f"parameters depend on {', '.join(wanted)}: pass data=, the dataset this fit was trained on")
    y = np.where(curves.seen.cpu().numpy(), curves.x.cpu().numpy() * decoder.scale, np.nan)
    return law.fit(
        by_name(law.inputs, curves.t),
        y,
        responsibilities(record, curves).cpu().numpy(),
        noise=physics.noise if physics.noise in NOISES else "constant",
        y_unit=schema.unit,
        t_unit=schema.t_unit,
        depends_on={key: terms for key, terms in depends.items() if key in [p.name for p in law.parameters]} or None,
        groups=None if physics.groups is None or data is None else data[physics.groups].values,
        covariates=None if data is None else {key: data[key].values for key in physics.dependence.covariates},
    )
