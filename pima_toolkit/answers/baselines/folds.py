"""Parts of the specimens that are held out in turn, with groups kept together, and parts of what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...data import closest, few
from ...data.split import group_codes
from ...errors import DataError, OptionError

Codes = NDArray[np.int64]

#: Folds between these numbers are each other's inner parts: what was learned without two of them serves twice.
_PAIRS = (5, 10)
#: Inner parts where they are dealt anew.
_INNER = 5
#: Fewest specimens to learn from.
_LEAST = 3


@dataclass(frozen=True, eq=False)
class Folds:
    """Who is held out when.

    Args:
        number: Fold in which each specimen is held out, shape (N,); negative for one that only trains.
        units: Specimens of equal number belong together (a group) or are alone, shape (N,).
        words: How the folds were made.
        grouped: Whether groups were named.
        own: Whether the folds are somebody's own.
        seed: Of what is dealt.
    """

    number: Codes
    units: Codes
    words: str
    grouped: bool
    own: bool
    seed: int

    @property
    def labels(self) -> list[int]:
        """Numbers of the folds, ascending."""
        return np.unique(self.number[self.number >= 0]).tolist()

    @property
    def always(self) -> int:
        """How many specimens train in every fold."""
        return int((self.number < 0).sum())

    @property
    def counted(self) -> str:
        """What standard errors count."""
        return "groups" if self.grouped else "specimens"

    @property
    def paired(self) -> bool:
        """Whether the folds are each other's inner parts."""
        return _PAIRS[0] <= len(self.labels) <= _PAIRS[1]

    def training(self, fold: int) -> Codes:
        """Specimens that are learned from while one fold is held out."""
        return np.flatnonzero(self.number != fold)

    def inner(self, fold: int) -> list[Codes]:
        """Parts of a fold's training specimens that are held out in turn for what is chosen, and for bands.

        The other folds where there are five to ten, else five parts dealt anew, groups kept together.
        """
        if self.paired:
            return [np.flatnonzero(self.number == other) for other in self.labels if other != fold]
        train = self.training(fold)
        codes = self.units[train]
        if self.own and not self.grouped and len(self.labels) > _PAIRS[1]:  # they may be groups
            codes = np.where(self.number < 0, self.number.max() + 1 + np.arange(len(self.number)), self.number)[train]
        if len(np.unique(codes)) < 2:  # a single group can only be divided by specimens
            codes = train
        part = deal(codes, min(_INNER, len(np.unique(codes))), np.random.default_rng([self.seed, fold + 1]))
        return [train[part == k] for k in range(int(part.max()) + 1)]


def make_folds(
    data: xr.Dataset, use: NDArray[np.bool_], folds: int | str | ArrayLike, groups: str | None, seed: int
) -> Folds:
    """Make the folds of the specimens that are used.

    Args:
        data: Dataset of all specimens.
        use: Which are used, shape (specimen,).
        folds: How many; or somebody's own, whole numbers of shape (specimen,) or the name of a coordinate that holds
            them, negative for specimens that always train.
        groups: Name of a coordinate whose equal values stay together; with at most twice as many groups as folds each
            group is a fold.
        seed: Of the division.

    Raises:
        OptionError: If ``folds`` or ``groups`` are none.
        DataError: If fewer than two folds are possible, too few specimens are left to learn from, or folds of one's own
            divide a group.
    """
    used = data.isel(specimen=np.flatnonzero(use))
    count = int(use.sum())
    units = np.arange(count) if groups is None else group_codes(used, groups, "groups")
    several = len(np.unique(units))
    if several < 2:
        value = used[str(groups)].values[0]
        raise DataError(f"groups={groups!r} is {value} for every specimen: two groups at least are needed for folds")
    own = False
    if isinstance(folds, bool) or not isinstance(folds, int | np.integer):
        own, number = True, _own(data, folds)[use]
        _check_own(used, number, units, groups)
        parts = len(np.unique(number[number >= 0]))
        words = f"{parts} folds of your own" if parts > 1 else "one fold of your own"
    elif folds < 2:
        raise OptionError(f"folds={folds}: expected a whole number of at least 2, or a fold number for each specimen")
    elif groups is None:
        parts = min(int(folds), several)
        number, words = deal(units, parts, np.random.default_rng(seed)), f"{parts} folds"
    elif several <= 2 * folds:
        number, words = units, f"{several} folds, each one group of {groups!r}"
    else:
        number = deal(units, int(folds), np.random.default_rng(seed))
        words = f"{folds} folds of whole groups of {groups!r} ({several})"
    made = Folds(number.astype(np.int64), units, words, groups is not None, own, seed)
    for fold in made.labels:
        if len(made.training(fold)) < _LEAST:
            raise DataError(
                f"while fold {fold} is held out, {len(made.training(fold))} specimens are left to learn from: at least"
                f" {_LEAST} are needed; use other folds"
            )
    return made


def deal(units: Codes, parts: int, rng: np.random.Generator) -> Codes:
    """Deal whole units at random into parts of nearly equal size, the largest units first; (N,) from 0."""
    names, which, sizes = np.unique(units, return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, part = np.zeros(parts, dtype=np.int64), np.empty(len(names), dtype=np.int64)
    for unit in order:
        part[unit] = filled.argmin()
        filled[part[unit]] += sizes[unit]
    return part[which]


def _own(data: xr.Dataset, folds: str | ArrayLike) -> Codes:
    """Fold numbers of somebody else, (specimen,)."""
    if isinstance(folds, str):
        known = [str(k) for k, v in data.variables.items() if v.dims == ("specimen",) and v.dtype.kind in "iu"]
        if folds not in known:
            raise OptionError(
                f"folds={folds!r} is no coordinate of whole numbers for each specimen: {closest(folds, known)}"
            )
        return data[folds].values.astype(np.int64)
    number = np.asarray(folds)
    if number.shape != (data.sizes["specimen"],) or number.dtype.kind not in "iu":
        raise OptionError(
            f"folds has the shape {number.shape} and the type {number.dtype.name}: expected a number of folds, or one"
            f" whole number for each of the {data.sizes['specimen']} specimens"
        )
    return number.astype(np.int64)


def _check_own(used: xr.Dataset, number: Codes, units: Codes, groups: str | None) -> None:
    there = np.unique(number)
    if (there < 0).all() or len(there) < 2:
        raise DataError(
            f"folds holds the number {few(there)} alone for the specimens that are used: at least two folds are needed,"
            " or one beside specimens of a negative number, which always train"
        )
    if groups is None:
        return
    divided = [u for u in np.unique(units) if len(np.unique(number[units == u])) > 1]
    if divided:
        names = few(used[groups].values[units == u][0] for u in divided)
        raise DataError(
            f"the folds divide groups of {groups!r} ({names}): a specimen would be predicted from others of its group;"
            " use folds of whole groups, or leave groups out"
        )
