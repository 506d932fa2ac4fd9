"""Measurements as tensors on the device."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...data import Measurement, OnDisk
from ...errors import DataError
from ...experts import with_covariates
from ...model.curves import Curves
from .spec import InputSpec
from .stored import Stored

#: Arrays below this size come from the heap, and as much stays on its top when they are freed, bytes.
_KEPT = 256 * 2**20
#: Weights of points that differ from one by less than this are one.
_SAME = 1e-12
#: Numbers of the two settings in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Tell glibc to keep up to 256 MiB of freed memory for the next batch; other C libraries are left as they are.

    By itself glibc gives large arrays back to the system when they are freed, and the next step asks for them anew,
    page by page: on two cores that was a quarter of an epoch of MNIST (benchmarks/speed.py).
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


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


def to_tensors(
    measurements: Mapping[str, Measurement], specs: Mapping[str, InputSpec], device: torch.device | str
) -> Tensors:
    """Put measurements on the device, once.

    Args:
        measurements: Some or all modalities of the same specimens, by name.
        specs: What was learned of them in training; there may be more.
        device: Where the tensors go.
    """
    device = torch.device(device)
    inputs, present, curves, outside = {}, {}, {}, {}
    for name, measurement in measurements.items():
        spec = specs[name]
        if isinstance(measurement.values, OnDisk):
            inputs[name] = Stored(measurement, spec, device)
        else:
            inputs[name] = torch.as_tensor(spec.encoder_input(measurement), device=device)
        present[name] = torch.as_tensor(measurement.present, device=device)
        outside[name] = spec.outside(measurement)
        if spec.schema.physics:
            curves[name] = _curves(measurement, spec, device)
    return Tensors(inputs, present, curves, outside)


def _curves(measurement: Measurement, spec: InputSpec, device: torch.device) -> Curves:
    values, t, observed, weights = _window(measurement, spec)
    covariates = _columns({name: measurement.covariates[name] for name in spec.inputs}, len(measurement))
    # A specimen without the curve may lack them, but its expert must be finite all the same: any known one will do.
    known = _columns({name: np.array([low]) for name, (low, _) in spec.inputs_seen.items()}, 1)
    filled = np.where(np.isfinite(covariates), covariates, known)
    terms, batch = (None, None) if spec.known is None else spec.known.of(measurement)
    return Curves(
        torch.as_tensor(values / spec.scale, dtype=torch.float64, device=device),
        np.ascontiguousarray(with_covariates(t, filled), dtype=np.float64),
        None if observed is None else torch.as_tensor(observed, device=device),
        torch.as_tensor(measurement.present, device=device),
        covariates,
        None if weights is None else torch.as_tensor(weights, device=device),
        terms,
        batch,
    )


def _window(
    measurement: Measurement, spec: InputSpec
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Values, t, observed and weights inside the window of the fit."""
    values, t = measurement.values[:], measurement.grid
    observed, weights = measurement.observed, _weights(measurement, spec)
    if spec.window is None:
        return values, t, observed, weights
    lower, upper = spec.window
    inside = (t >= lower) & (t <= upper)
    if t.ndim == 1:
        observed, weights = (None if part is None else part[:, inside] for part in (observed, weights))
        return values[:, inside], t[inside], observed, weights
    seen = measurement.mask() & inside
    return np.where(seen, values, 0.0), t, seen, weights


def _weights(measurement: Measurement, spec: InputSpec) -> np.ndarray | None:
    """Weights of points, (specimen, point); one is that of the training's typical error. None: all are one."""
    if measurement.std is None or spec.schema.std is None:
        return None
    weights = np.square(spec.schema.std / measurement.std)
    # Errors that are all the same say nothing, and one matrix then serves all specimens.
    return None if np.allclose(weights, 1.0, rtol=0.0, atol=_SAME) else weights


def _columns(covariates: Mapping[str, np.ndarray], specimens: int) -> np.ndarray:
    """Covariates side by side, (specimen, covariate)."""
    return np.stack(list(covariates.values()), axis=1) if covariates else np.zeros((specimens, 0))


def presence_by_specimen(tensors: Tensors, labels: np.ndarray) -> None:
    """Refuse training specimens of which nothing was measured.

    Raises:
        DataError: Naming the specimens that have no modality.
    """
    none = ~torch.stack(list(tensors.present.values())).any(0).cpu().numpy()
    if none.any():
        named = ", ".join(str(label) for label in labels[none][:5])
        more = f" and {none.sum() - 5} more" if none.sum() > 5 else ""
        raise DataError(f"specimens {named}{more} have no modality at all: leave them out of the training set")
