"""Numbers of order one, and back: what the networks see.

Encoders see values brought to [0, 1] by one minimum and one maximum per modality, taken over the training set. A hot
pixel of a single picture does not set them.
Experts never see scaled values: only residuals are divided by `residual_scale`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .grids import union_grid
from .measurement import Measurement

#: Kinds of modalities that have pixels.
PICTURES = ("image", "volume")
#: Usual ranges of a picture beyond which a value is none of its subject's but a fault.
FAULTY = 10.0
#: Values of pictures that networks see: a range below and above those of the training set.
SEEN = -1.0, 2.0


@dataclass(frozen=True)
class Scaling:
    r"""The affine map of one modality to [0, 1].

    .. math:: u = (x - \mathrm{minimum}) / (\mathrm{maximum} - \mathrm{minimum})

    Attributes:
        minimum: Smallest value of the training set, in the data's unit.
        maximum: Largest value of the training set, in the data's unit.
    """

    minimum: float
    maximum: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.minimum) and np.isfinite(self.maximum) and self.minimum < self.maximum):
            raise DataError(
                f"a scaling needs a finite minimum below its maximum, got {self.minimum} and {self.maximum}: the "
                "values are constant or not finite"
            )

    @classmethod
    def of(cls, measured: Measurement) -> Scaling:
        """The scaling of a training set; values not observed do not count, nor pictures with faulty pixels."""
        lowest, highest = measured.lowest_and_highest()
        if measured.schema.kind in PICTURES:
            lowest, highest = lowest[np.isfinite(lowest)], highest[np.isfinite(highest)]
            low, high = np.median(lowest), np.median(highest)
            if high > low:
                lowest = lowest[lowest >= low - FAULTY * (high - low)]
                highest = highest[highest <= high + FAULTY * (high - low)]
        return cls(float(lowest.min()), float(highest.max()))

    def to_unit(self, x: np.ndarray) -> np.ndarray:
        """Data's unit -> [0, 1]; any shape, numpy or torch. Values outside the training range are kept."""
        return (x - self.minimum) / (self.maximum - self.minimum)

    def from_unit(self, u: np.ndarray) -> np.ndarray:
        """[0, 1] -> data's unit; any shape, numpy or torch."""
        return u * (self.maximum - self.minimum) + self.minimum

    def outside(self, measured: Measurement) -> np.ndarray:
        """Specimens with a measured value outside the training range, (specimen,) bool."""
        lowest, highest = measured.lowest_and_highest()
        return (lowest < self.minimum) | (highest > self.maximum)


def residual_scale(measured: Measurement) -> float:
    """Largest absolute observed value, in the data's unit: what residuals of an expert are divided by.

    Only a factor and no shift, so that ``E * t`` stays ``E * t``.
    """
    return float(np.abs(measured.values[:]).max(where=measured.mask(), initial=0.0))


def common_grid(measured: Measurement) -> np.ndarray:
    """The grid on which the encoder of a curve sees every specimen.

    The shared grid; for ragged curves equal steps from the smallest to the largest t of any specimen, as many points as
    the longest curve has, at most 256.

    Returns:
        (T',) float64, in the unit of t, strictly increasing.

    Raises:
        DataError: If it is no curve.
    """
    return union_grid(measured.grid[measured.present]) if measured.ragged else measured.grid


def needs_presence(measured: Measurement) -> bool:
    """Whether an encoder trained on this needs a channel that says where the curve was observed."""
    return measured.ragged or measured.observed is not None


def encoder_input(
    measured: Measurement, scaling: Scaling, grid: np.ndarray | None = None, presence: bool | None = None
) -> np.ndarray:
    r"""What an encoder sees.

    Values are brought to [0, 1] by `scaling`; specimens and points that were not observed are 0. Pixels far outside the
    training range are no farther than it is wide. Curves with gaps or
    grids of their own get a second channel, 1 where the curve was observed, else 0. On another grid than its own a
    curve is interpolated, gaps included, never extrapolated: outside its range of t the channel is 0.

    Args:
        measured: The modality.
        scaling: That of the training set.
        grid: For curves, (T',) in the unit of t: `common_grid` of the training set. None: the modality's own.
        presence: Whether to add the channel; at inference ``needs_presence`` of the training set, so that the number
            of channels stays. None: `needs_presence` of this one. Without the channel gaps are bridged by straight
            lines and the ends held.

    Returns:
        float32, (specimen, channel, \*spatial); (specimen, feature) for vectors and scalars.
    """
    values = scaling.to_unit(measured.values[:]).astype(np.float32, copy=False)
    if measured.schema.kind in PICTURES:
        values = np.clip(values, *SEEN, out=values)
    if measured.schema.kind in ("scalar", "vector"):
        return np.where(measured.present[:, None], values.reshape(len(values), -1), np.float32(0))
    if measured.schema.kind != "curve" or "channel" in measured.schema.dims:
        values[~measured.present] = 0
        return values if "channel" in measured.schema.dims else values[:, None]
    if presence is None:
        presence = needs_presence(measured)
    grid = common_grid(measured) if grid is None else grid
    on_grid = not measured.ragged and np.array_equal(measured.grid, grid)
    seen = np.broadcast_to(measured.mask(), values.shape)
    if not on_grid or (measured.observed is not None and not presence):
        values, seen = _interpolate(measured, values, seen, grid, hold=not presence)
    values = np.where(seen, values, np.float32(0))
    return np.stack([values, seen.astype(np.float32)], axis=1) if presence else values[:, None]


def _interpolate(
    measured: Measurement, values: np.ndarray, seen: np.ndarray, grid: np.ndarray, hold: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Every specimen's observed points on `grid`; also which points of it lie inside the specimen's range of t."""
    out = np.zeros((len(values), grid.size), dtype=np.float32)
    inside = np.zeros(out.shape, dtype=bool)
    slack = 1e-9 * (grid[-1] - grid[0])
    t = np.broadcast_to(measured.grid, values.shape)
    for d in np.flatnonzero(measured.present):
        own_t, own = t[d, seen[d]], values[d, seen[d]]
        out[d] = np.interp(grid, own_t, own)
        inside[d] = True if hold else (grid >= own_t[0] - slack) & (grid <= own_t[-1] + slack)
    return out, inside
