"""`Measured`: one modality of a dataset as plain arrays, the form in which every later room takes data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import xarray as xr


@dataclass(frozen=True, eq=False)
class Measurement:
    r"""One modality of a dataset as plain arrays; made by `measure`.

    Attributes:
        name: The variable's name.
        kind: ``"curve"``, ``"image"``, ``"volume"``, ``"vector"`` or ``"scalar"``.
        dims: Dims after ``specimen`` in the order of `values`, ``channel`` first where there is one.
        values: (specimen, \*shape), in `unit`; float32 for neural modalities, float64 for physics. Missing is 0.
        present: (specimen,) bool: this specimen has this modality.
        observed: (specimen, T) bool for physics curves with gaps; None where every point of every present
            specimen was observed.
        t: Independent variable of a curve in `t_unit`, float64, strictly increasing: (T,) if shared, else
            (specimen, T) whose padding repeats the last t. None for other kinds.
        t_name: Name of the independent variable, or None.
        t_unit: Its unit, ``"1"`` if not stated.
        unit: Unit of `values`, ``"1"`` if not stated.
        long_name: For axes; the name if not stated.
        coords: Coordinates that lie along `dims` alone, to build answers with.
        covariates: What the expert of a physics curve needs to know of each test, by name, float64 (specimen,); NaN
            only where the curve is absent.
        covariate_units: Their units by name.
    """

    name: str
    kind: str
    dims: tuple[str, ...]
    values: np.ndarray
    present: np.ndarray
    observed: np.ndarray | None
    t: np.ndarray | None
    t_name: str | None
    t_unit: str
    unit: str
    long_name: str
    coords: dict[str, xr.DataArray]
    covariates: dict[str, np.ndarray] = field(default_factory=dict)
    covariate_units: dict[str, str] = field(default_factory=dict)

    @property
    def ragged(self) -> bool:
        """Whether every specimen has a grid of its own."""
        return self.t is not None and self.t.ndim == 2

    def mask(self) -> np.ndarray:
        """Which values were measured: bool, `observed` or `present`, broadcastable to `values`."""
        if self.observed is not None:
            return self.observed
        return self.present.reshape(-1, *[1] * (self.values.ndim - 1))

    def take(self, index: np.ndarray) -> Measurement:
        """The specimens of `index` (integers, a slice, or bool of shape (specimen,))."""
        return dataclasses.replace(
            self,
            values=self.values[index],
            present=self.present[index],
            observed=None if self.observed is None else self.observed[index],
            t=self.t[index] if self.t is not None and self.t.ndim == 2 else self.t,
            covariates={name: values[index] for name, values in self.covariates.items()},
        )
