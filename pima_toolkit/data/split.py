"""Training and test specimens, by a seed, with groups kept together."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..errors import DataError, OptionError
from ..signatures import tells_misfits
from .check import check_dataset
from .names import closest


@tells_misfits
def split(
    data: xr.Dataset, test: float = 0.2, seed: int = 0, group: str | None = None
) -> tuple[xr.Dataset, xr.Dataset]:
    """Split the specimens in two at random; each part keeps the order of the data.

    Args:
        data: Dataset with a ``specimen`` dim.
        test: Share of the specimens for the second part, between 0 and 1. At least one specimen (or group) goes to
            each.
        seed: Seed of the choice.
        group: Name of a coordinate of dims ("specimen",) whose equal values stay in one part: curves of one
            morphology, specimens of one build plate. The share is met as nearly as whole groups allow.

    Returns:
        (train, test)

    Raises:
        OptionError: If `test` is not between 0 and 1, or `group` is no coordinate of the specimens.
        DataError: If there are fewer than two specimens or groups, or a specimen has no group.
    """
    check_dataset(data)
    if isinstance(test, bool) or not isinstance(test, (float, int, np.floating, np.integer)) or not 0 < test < 1:
        raise OptionError(f"test is {test!r}, expected a share of the specimens between 0 and 1, such as 0.2")
    specimens = data.sizes["specimen"]
    codes = np.arange(specimens) if group is None else group_codes(data, group)
    groups = int(codes.max()) + 1
    if groups < 2:
        what = "specimen" if group is None else f"group in {group!r}"
        raise DataError(f"there is one {what}, and a split needs two at least: use more data, or another group")
    order = np.random.default_rng(seed).permutation(groups)
    reached = np.cumsum(np.bincount(codes, minlength=groups)[order])[:-1]  # the last group always stays in training
    count = int(np.abs(reached - test * specimens).argmin()) + 1
    chosen = np.isin(codes, order[:count])
    return data.isel(specimen=np.flatnonzero(~chosen)), data.isel(specimen=np.flatnonzero(chosen))


def group_codes(data: xr.Dataset, group: str, option: str = "group") -> np.ndarray:
    """Number the distinct values of a coordinate 0, 1, 2 ..., (specimen,).

    Args:
        data: Dataset with a ``specimen`` dim.
        group: Name of the coordinate.
        option: What the option that names it is called, for messages.

    Raises:
        OptionError: If it is no coordinate of the specimens.
        DataError: If a specimen has no value.
    """
    if group not in data.variables or data[group].dims != ("specimen",):
        known = [k for k, v in data.variables.items() if v.dims == ("specimen",)]
        raise OptionError(f"{option}={group!r} is no coordinate with dims ('specimen',): {closest(group, known)}")
    codes, _ = data[group].to_series().factorize()
    if (codes < 0).any():
        raise DataError(
            f"group {group!r} is missing for {int((codes < 0).sum())} of {codes.size} specimens: fill it, or drop them"
        )
    return codes
