"""`InputSpec`: what is learned once of each modality of a training set, saved, and applied to every later dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...data import Measurement, Scaling, Schema, Wanted, common_grid, encoder_input, needs_presence, residual_scale
from ...errors import OptionError
from ...experts import with_covariates
from ...model.modality import Modality, Neural, Physics
from .known import KnownTerms


@dataclass(frozen=True)
class InputSpec:
    """One modality as trained.

    Args:
        schema: Its names, units, coordinates and sizes.
        scaling: To the encoder's [0, 1].
        shape: Of one specimen's encoder input, channels first.
        presence: Whether the encoder has a presence channel.
        scale: Largest absolute value, in the modality's unit: residuals of an expert are divided by it.
        conditions: Smallest and largest value of each covariate in training by name, in its unit.
        window: Lower and upper t of the points that an expert is fitted to, in the unit of t; None: all.
        inputs: Names of the covariates that the law itself takes, the first of ``conditions``.
        known: What parameters depend on besides; None: nothing.
    """

    schema: Schema
    scaling: Scaling
    shape: tuple[int, ...]
    presence: bool
    scale: float
    conditions: Mapping[str, tuple[float, float]]
    window: tuple[float, float] | None = None
    inputs: tuple[str, ...] = ()
    known: KnownTerms | None = None

    @property
    def t(self) -> np.ndarray:
        """The grid that encoders see curves on, and that predicted curves are given on, without covariates."""
        return self.schema.grid

    @property
    def inputs_seen(self) -> dict[str, tuple[float, float]]:
        """Smallest and largest value of the covariates that the law itself takes."""
        return {name: self.conditions[name] for name in self.inputs}

    def grid(self, covariates: np.ndarray | None) -> np.ndarray:
        """Lay out the grid of predicted curves with covariates, as experts and decoders take it.

        Args:
            covariates: Of each curve in their units, (specimen, inputs - 1); None where there are none.

        Returns:
            Packed, (specimen, inputs * point); (point,) where there are no covariates.
        """
        return with_covariates(self.t, covariates)

    def axes(self, dims: Sequence[str]) -> list[int]:
        """Where dims of the data lie in an encoder input (specimen, channels, *spatial)."""
        spatial = [d for d in self.schema.dims if d != "channel"]
        return [2 + spatial.index(d) for d in dims]

    def encoder_input(self, measurement: Measurement) -> np.ndarray:
        """What the encoder sees of specimens in memory, float32 (specimen, *shape)."""
        return encoder_input(measurement, self.scaling, self.schema.t, self.presence)

    def outside(self, measurement: Measurement) -> np.ndarray:
        """Which specimens (specimen,) have a value or a covariate outside the range of training; bool."""
        out = self.scaling.outside(measurement)
        for name, (low, high) in self.conditions.items():
            out = out | (measurement.covariates[name] < low) | (measurement.covariates[name] > high)
        return out


def wanted(modalities: Mapping[str, Modality]) -> dict[str, Wanted]:
    """What a training set is asked for."""
    return {
        name: Wanted(True, option.covariates, option.expert.numbered, option.groups)
        if isinstance(option, Physics)
        else Wanted()
        for name, option in modalities.items()
    }


def schemas(specs: Mapping[str, InputSpec]) -> dict[str, Schema]:
    """What later datasets must fit."""
    return {name: spec.schema for name, spec in specs.items()}


def learn_specs(measurements: Mapping[str, Measurement], modalities: Mapping[str, Modality]) -> dict[str, InputSpec]:
    """Learn from a training set what new data must fit, and how they are brought to the networks.

    Args:
        measurements: All modalities of the training specimens.
        modalities: What the user says about each.

    Raises:
        OptionError: If an option does not suit the data: a window of too few points, flips of what has no sides.
        ExpertError: If the units of the data are not those of an expert.
    """
    specs = {}
    for name, option in modalities.items():
        measurement = measurements[name]
        schema = replace(measurement.schema, t=_grid(measurement, measurements))
        if measurement.ragged:
            schema = replace(schema, sizes=schema.grid.shape)
        known = {k: values[measurement.present] for k, values in measurement.covariates.items()}
        scaling, presence = Scaling.of(measurement), needs_presence(measurement)
        physics = isinstance(option, Physics)
        specs[name] = InputSpec(
            schema=schema,
            scaling=scaling,
            shape=encoder_input(_first(measurement), scaling, schema.t, presence).shape[1:],
            presence=presence,
            scale=residual_scale(measurement) if physics else 1.0,
            conditions={k: (float(values.min()), float(values.max())) for k, values in known.items()},
            window=option.window if physics else None,
            inputs=option.expert.covariates if physics else (),
            known=KnownTerms.learn(option, measurement) if physics else None,
        )
        if physics:
            inputs = {k: schema.covariate_units[k] for k in option.expert.covariates}
            units = {schema.t_name: schema.t_unit, **inputs}
            option.expert.check_units(measurement.grid, units, schema.unit)
            option.expert.check_quantity(schema.long_name, schema.t_long_name, stacklevel=8)
            _check_window(option, measurement)
        else:
            _check_augmentation(option, schema)
    return specs


def _first(measurement: Measurement) -> Measurement:
    """The first specimen, in memory."""
    one = measurement.take(np.arange(1))
    return replace(one, values=one.values[:])


def _grid(measurement: Measurement, everything: Mapping[str, Measurement]) -> np.ndarray | None:
    """The encoder's grid of a curve; ragged curves over one coordinate share theirs, since answers do too."""
    schema = measurement.schema
    if schema.kind != "curve":
        return schema.t
    if not measurement.ragged:
        return common_grid(measurement)
    rows = [m.grid[m.present] for m in everything.values() if m.ragged and m.schema.t_name == schema.t_name]
    t = np.concatenate(rows)
    return common_grid(replace(measurement, t=t, present=np.ones(len(t), dtype=bool)))


def _check_window(option: Physics, measurement: Measurement) -> None:
    if option.window is None or measurement.ragged:
        return
    t, schema = measurement.grid, measurement.schema
    lower, upper = option.window
    inside, needed = int(((t >= lower) & (t <= upper)).sum()), len(option.expert.parameters)
    if inside < needed:
        raise OptionError(
            f"window={option.window} of {schema.name!r} keeps {inside} points of {t[0]:g} to {t[-1]:g}"
            f" {schema.t_unit}: the expert {option.expert.name!r} needs at least {needed}"
        )


def _check_augmentation(option: Neural, schema: Schema) -> None:
    if schema.kind in ("scalar", "vector") and (option.flips or option.shift):
        raise OptionError(
            f"{schema.name!r} is a {schema.kind}, whose entries have no neighbours: flips and shift are for curves,"
            " images and volumes; leave them out"
        )
    unknown = [dim for dim in option.flips if dim not in schema.dims or dim == "channel"]
    if unknown:
        raise OptionError(
            f"flips={tuple(option.flips)} of {schema.name!r} names {unknown[0]!r}: its dims are {schema.dims}"
        )
