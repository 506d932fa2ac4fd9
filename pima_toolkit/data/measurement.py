"""The form in which every later room takes data: `Measurement`, checked arrays, and the `Schema` describing them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from ..errors import DataError
from .streaming import OnDisk


@dataclass(frozen=True)
class Wanted:
    """What a modality is to be read as before anything is known of it.

    Args:
        physics: Whether an expert describes it: float64, gaps and own grids are allowed.
        covariates: Further inputs of that expert by name, and what its parameters depend on, one number per specimen.
        numbered: Whether that expert asks for no independent variable: a vector or a single number will do as well.
        batch: Name of what tells the batch of each specimen; None: there are no batches.
    """

    physics: bool = False
    covariates: tuple[str, ...] = ()
    numbered: bool = False
    batch: str | None = None


@dataclass(frozen=True, eq=False)
class Schema:
    r"""What describes a modality without any specimen: learned from the training set, saved with a fit.

    Args:
        name: The variable's name.
        kind: ``"curve"``, ``"image"``, ``"volume"``, ``"vector"`` or ``"scalar"``.
        physics: Whether an expert describes it.
        dims: Dims after ``specimen`` in the order of the values, ``channel`` first where there is one.
        sizes: Length of each dim.
        t: Grid of a curve in `t_unit`, float64 (T,), strictly increasing; of curves with grids of their own, equal
            steps from the smallest to the largest t of any. Of a vector or number that an expert describes 0, 1, 2 ...
            None for other kinds.
        t_name: Name of the independent variable, or None.
        t_unit: Its unit, ``"1"`` if not stated.
        unit: Unit of the values, ``"1"`` if not stated.
        long_name: For axes; the name if not stated.
        coords: Coordinates that lie along `dims` alone, to build answers with.
        covariate_units: Units of the covariates by their names.
        std: Typical measurement error of a curve whose training points came with theirs, in `unit`: the root of the
            inverse of the mean of 1 / std^2. None where no errors were given.
        batch: Name of what tells the batch of each specimen; None: there are no batches.
    """

    name: str
    kind: str
    physics: bool
    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    t: np.ndarray | None
    t_name: str | None
    t_unit: str
    unit: str
    long_name: str
    coords: dict[str, xr.DataArray]
    covariate_units: dict[str, str] = field(default_factory=dict)
    std: float | None = None
    batch: str | None = None

    @property
    def t_long_name(self) -> str:
        """What the independent variable is called; its name if not stated."""
        along = self.coords.get(str(self.t_name))
        return str(self.t_name if along is None else along.attrs.get("long_name", self.t_name))

    @property
    def grid(self) -> np.ndarray:
        """Grid of a curve, `t`.

        Raises:
            DataError: If it is no curve.
        """
        return self.curve_only(self.t)

    def curve_only(self, t: np.ndarray | None) -> np.ndarray:
        """Return a grid that only curves have, or refuse in a sentence what is none."""
        if t is None:
            raise DataError(f"{self.name!r} is no curve ({self.kind}), so it has no grid")
        return t

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of the covariates."""
        return tuple(self.covariate_units)


@dataclass(frozen=True, eq=False)
class Measurement:
    r"""One modality of N specimens as arrays that are finite, ordered and masked; made by `check.read`.

    Args:
        schema: What describes it.
        values: (specimen, \*sizes), in the schema's unit; float32 for neural modalities, float64 for physics. Missing
            is 0. :class:`OnDisk` where they do not fit into memory.
        present: (specimen,) bool: this specimen has this modality.
        observed: (specimen, T) bool for physics curves with gaps; None where every point of every present
            specimen was observed.
        t: Independent variable of a curve, float64, strictly increasing: (T,) if shared, else (specimen, T) whose
            padding repeats the last t. None for other kinds.
        covariates: What the expert of a physics curve needs to know of each test, or its parameters depend on, by name,
            float64 (specimen,); NaN only where the curve is absent.
        batch: Label of each specimen's batch, text (specimen,), empty where unknown; None: there are no batches.
        std: Measurement error of every point of a physics curve that came with errors, float64 (specimen, T), in the
            schema's unit, positive; where nothing was measured the typical one. None where none were given.
    """

    schema: Schema
    values: np.ndarray | OnDisk
    present: np.ndarray
    observed: np.ndarray | None = None
    t: np.ndarray | None = None
    covariates: dict[str, np.ndarray] = field(default_factory=dict)
    std: np.ndarray | None = None
    batch: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.present)

    @property
    def grid(self) -> np.ndarray:
        """Independent variable of a curve, `t`.

        Raises:
            DataError: If it is no curve.
        """
        return self.schema.curve_only(self.t)

    @property
    def ragged(self) -> bool:
        """Whether every specimen has a grid of its own."""
        return self.t is not None and self.t.ndim == 2

    def mask(self) -> np.ndarray:
        """Which values were measured: bool, `observed` or `present`, broadcastable to `values`."""
        if self.observed is not None:
            return self.observed
        return self.present.reshape(-1, *[1] * (len(self.values.shape) - 1))

    def lowest_and_highest(self) -> tuple[np.ndarray, np.ndarray]:
        """Smallest and largest measured value of each specimen, (specimen,); inf and -inf where it has none."""
        if isinstance(self.values, OnDisk):
            return self.values.lowest, self.values.highest
        flat = self.values.reshape(len(self), -1)
        seen = np.broadcast_to(self.mask(), self.values.shape).reshape(flat.shape)
        return flat.min(axis=1, where=seen, initial=np.inf), flat.max(axis=1, where=seen, initial=-np.inf)

    def take(self, index: np.ndarray | slice) -> Measurement:
        """The specimens of `index` (integers, a slice, or bool of shape (specimen,))."""
        return dataclasses.replace(
            self,
            values=self.values.take(index) if isinstance(self.values, OnDisk) else self.values[index],
            present=self.present[index],
            observed=None if self.observed is None else self.observed[index],
            t=self.t[index] if self.t is not None and self.ragged else self.t,
            covariates={name: values[index] for name, values in self.covariates.items()},
            std=None if self.std is None else self.std[index],
            batch=None if self.batch is None else self.batch[index],
        )
