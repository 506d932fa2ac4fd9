"""A dataset as tensors on the device, and what a fit remembers of a modality to read new data the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ...data import (
    Measurement,
    Scaling,
    block_rows,
    blocks,
    common_grid,
    encoder_input,
    measure,
    needs_presence,
    residual_scale,
    stored,
    survey,
)
from ...errors import DataError, OptionError
from ...experts import with_covariates
from ...model.curves import Curves
from ...model.modality import Modality, Neural, Physics
from .stored import Stored


@dataclass(frozen=True)
class InputSpec:
    """One modality as trained.

    Args:
        measured: The modality's names, units, coordinates and sizes; it holds no specimens.
        scaling: To the encoder's [0, 1].
        shape: Of one specimen's encoder input, channels first.
        grid: The encoder's grid of a curve, in the unit of t.
        presence: Whether the encoder has a presence channel.
        scale: Largest absolute value, in the modality's unit: residuals of an expert are divided by it.
        conditions: Smallest and largest value of each covariate in training, numpy (2, inputs - 1), in their units.
    """

    measured: Measurement
    scaling: Scaling
    shape: tuple[int, ...]
    grid: np.ndarray | None
    presence: bool
    scale: float
    conditions: np.ndarray

    @property
    def t(self) -> np.ndarray:
        """The grid that predicted curves are given on, without covariates."""
        return self.grid

    def axes(self, dims: Sequence[str]) -> list[int]:
        """Where dims of the data lie in an encoder input (specimen, channels, *spatial)."""
        spatial = [d for d in self.measured.dims if d != "channel"]
        return [2 + spatial.index(d) for d in dims]

    def unusual(self, covariates: np.ndarray) -> np.ndarray:
        """Which specimens (specimen,) have a covariate (specimen, inputs - 1) outside the range of training; bool."""
        low, high = self.conditions
        return ((covariates < low) | (covariates > high)).any(1)


@dataclass(frozen=True)
class Tensors:
    """All modalities of N specimens on one device.

    Args:
        inputs: Encoder inputs by modality, float32, (specimen, channels, *spatial); also what neural decoders aim at.
            Those that do not fit into memory are :class:`Stored`.
        present: Bool (specimen,) by modality.
        curves: Measured curves of the physics modalities.
        outside: Bool (specimen,) by modality, numpy: values outside the range seen in training.
    """

    inputs: dict[str, Tensor | Stored]
    present: dict[str, Tensor]
    curves: dict[str, Curves]
    outside: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.present.values())))

    @property
    def block(self) -> int | None:
        """Specimens that are read from disk together; None where everything is in memory."""
        return next((x.rows for x in self.inputs.values() if isinstance(x, Stored)), None)

    def at(self, index: Tensor) -> Tensors:
        """The specimens of ``index``, on the device."""
        return Tensors(
            {name: x.at(index) if isinstance(x, Stored) else x[index] for name, x in self.inputs.items()},
            {name: flag[index] for name, flag in self.present.items()},
            {name: curves.at(index) for name, curves in self.curves.items()},
            {name: flag[index.cpu().numpy()] for name, flag in self.outside.items()},
        )


def _window(option: Physics, measured: Measurement) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Values, t and observed inside the window of the fit."""
    values, t, observed = measured.values, measured.t, measured.observed
    if option.window is None:
        return values, t, observed
    lower, upper = option.window
    inside = (t >= lower) & (t <= upper)
    if t.ndim == 1:
        if inside.sum() < len(option.expert.parameters):
            raise OptionError(
                f"window={option.window} of {measured.name!r} keeps {int(inside.sum())} points of {t[0]:g} to {t[-1]:g}"
                f" {measured.t_unit}: the expert {option.expert.name!r} needs at least {len(option.expert.parameters)}"
            )
        return values[:, inside], t[inside], None if observed is None else observed[:, inside]
    seen = measured.mask() & inside
    return np.where(seen, values, 0.0), t, seen


def _curves(option: Physics, measured: Measurement, template: InputSpec, device: torch.device) -> Curves:
    values, t, observed = _window(option, measured)
    covariates = _covariates(measured)
    # A specimen without the curve may lack them, but its expert must be finite all the same: any known one will do.
    filled = np.where(np.isfinite(covariates), covariates, template.conditions[0])
    return Curves(
        torch.as_tensor(values / template.scale, dtype=torch.float64, device=device),
        np.ascontiguousarray(with_covariates(t, filled), dtype=np.float64),
        None if observed is None else torch.as_tensor(observed, device=device),
        torch.as_tensor(measured.present, device=device),
        covariates,
    )


def _covariates(measured: Measurement) -> np.ndarray:
    """(specimen, inputs - 1)."""
    columns = list(measured.covariates.values())
    return np.stack(columns, axis=1) if columns else np.zeros((len(measured.values), 0))


def learn_templates(data: xr.Dataset, modalities: Mapping[str, Modality]) -> dict[str, InputSpec]:
    """Read every modality of a training set and keep what new data must fit.

    Raises:
        DataError, ShapeError: If the data cannot be used; see :func:`pima_toolkit.data.measure`.
    """
    templates = {}
    everything, scalings = {}, {}
    for name, option in modalities.items():
        if isinstance(option, Physics):
            everything[name] = measure(data, name, physics=True, covariates=option.expert.covariates)
        elif stored(data, name):
            everything[name], scalings[name] = survey(data, name)
        else:
            everything[name] = measure(data, name, physics=False)
    for name, option in modalities.items():
        physics, measured = isinstance(option, Physics), everything[name]
        scaling = scalings.get(name) or Scaling.of(measured)
        grid = _grid(measured, everything)
        presence = needs_presence(measured)
        shape = encoder_input(measured.take(np.arange(1)), scaling, grid, presence).shape[1:]
        empty = measured.take(np.arange(0))
        if measured.ragged:
            empty = replace(empty, t=grid, values=np.zeros((0, len(grid))))
        templates[name] = InputSpec(
            measured=empty,
            scaling=scaling,
            shape=tuple(shape),
            grid=grid,
            presence=presence,
            scale=residual_scale(measured) if physics else 1.0,
            conditions=np.stack([f(_covariates(measured)[measured.present], axis=0) for f in (np.min, np.max)]),
        )
        if physics:
            units = {measured.t_name: measured.t_unit, **measured.covariate_units}
            option.expert.check_units(measured.t, units, measured.unit)
        else:
            _check_augmentation(name, option, measured)
    return templates


def _grid(measured: Measurement, everything: Mapping[str, Measurement]) -> np.ndarray | None:
    """The encoder's grid of a curve; ragged curves over one coordinate share theirs, since answers do too."""
    if measured.kind != "curve":
        return None
    if not measured.ragged:
        return common_grid(measured)
    rows = [m.t[m.present] for m in everything.values() if m.ragged and m.t_name == measured.t_name]
    t = np.concatenate(rows)
    return common_grid(replace(measured, t=t, present=np.ones(len(t), dtype=bool)))


def _check_augmentation(name: str, option: Neural, measured: Measurement) -> None:
    if measured.kind in ("scalar", "vector") and (option.flips or option.shift):
        raise OptionError(
            f"{name!r} is a {measured.kind}, whose entries have no neighbours: flips and shift are for curves, images "
            "and volumes; leave them out"
        )
    unknown = [dim for dim in option.flips if dim not in measured.dims or dim == "channel"]
    if unknown:
        raise OptionError(f"flips={tuple(option.flips)} of {name!r} names {unknown[0]!r}: its dims are {measured.dims}")


def to_tensors(
    data: xr.Dataset, modalities: Mapping[str, Modality], templates: Mapping[str, InputSpec], device: torch.device | str
) -> Tensors:
    """Put a dataset on the device, once; modalities it lacks are absent for every specimen."""
    device = torch.device(device)
    inputs, present, curves, outside = {}, {}, {}, {}
    on_disk = [name for name, option in modalities.items() if isinstance(option, Neural) and stored(data, name)]
    for name, option in modalities.items():
        template = templates[name]
        physics = isinstance(option, Physics)
        if name in on_disk:
            inputs[name] = Stored(data, template, block_rows(data, on_disk), device)
            present[name], outside[name] = _looked_through(data, template, device)
            continue
        measured = measure(data, name, physics=physics, like=template.measured)
        inputs[name] = torch.as_tensor(
            encoder_input(measured, template.scaling, template.grid, template.presence), device=device
        )
        present[name] = torch.as_tensor(measured.present, device=device)
        outside[name] = template.scaling.outside(measured.values, measured.mask())
        if physics:
            curves[name] = _curves(option, measured, template, device)
            outside[name] = outside[name] | template.unusual(_covariates(measured))
    return Tensors(inputs, present, curves, outside)


def _looked_through(data: xr.Dataset, template: InputSpec, device: torch.device) -> tuple[Tensor, np.ndarray]:
    """Who has a modality on disk, and whose values are outside the range of training, by one pass."""
    present, outside = [], []
    for block in blocks(data, template.measured.name):
        measured = measure(block, template.measured.name, physics=False, like=template.measured)
        present.append(measured.present)
        outside.append(template.scaling.outside(measured.values, measured.mask()))
    return torch.as_tensor(np.concatenate(present), device=device), np.concatenate(outside)


def presence_by_specimen(tensors: Tensors, labels: np.ndarray) -> None:
    """Every training specimen needs at least one modality.

    Raises:
        DataError: Naming the specimens that have none.
    """
    none = ~torch.stack(list(tensors.present.values())).any(0).cpu().numpy()
    if none.any():
        named = ", ".join(str(label) for label in labels[none][:5])
        more = f" and {none.sum() - 5} more" if none.sum() > 5 else ""
        raise DataError(f"specimens {named}{more} have no modality at all: leave them out of the training set")
