"""The groups of specimens as a person edits them: move, merge, split, rename, annotate. No widgets here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from pima_toolkit.errors import DataError, OptionError, require

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grouping:
    """Groups of specimens; every change returns a new grouping.

    Args:
        responsibilities: Probability that a specimen belongs to a group, shape (specimen, group); rows sum to one.
        names: Names of the groups.
        number: Number of the cluster that each group was in the fit, by which it keeps its colour; new groups go on
            counting.
        notes: What a person says of each group; empty where nothing was said.
        counted: How many numbers were given so far: a number that became free is not given again.
    """

    responsibilities: Array
    names: tuple[str, ...]
    number: tuple[int, ...]
    notes: tuple[str, ...]
    counted: int

    @classmethod
    def of(cls, responsibilities: ArrayLike, names: Sequence[str]) -> Grouping:
        """Take over the populations of a fit.

        Args:
            responsibilities: Shape (specimen, cluster).
            names: What the populations are called.
        """
        gamma = np.array(responsibilities, dtype=np.float64)
        return cls(gamma, tuple(names), tuple(range(len(names))), ("",) * len(names), len(names))

    def table(self, specimens: xr.DataArray) -> xr.Dataset:
        """Tabulate every specimen's group, the note on it, and its responsibilities: all there is to say.

        Args:
            specimens: The coordinate of the specimens, with those beside it.
        """
        best = self.best
        beside = {name: one for name, one in specimens.coords.items() if name not in ("group", "note", "probability")}
        text = [np.array(words, dtype=object) for words in (self.names, self.notes)]
        return xr.Dataset(
            {
                "group": ("specimen", text[0][best]),
                "note": ("specimen", text[1][best]),
                "probability": (("specimen", "of_group"), self.responsibilities),
            },
            coords={
                **beside,
                "of_group": text[0],
                "number": ("of_group", list(self.number)),
                "note_of_group": ("of_group", text[1]),
            },
            attrs={"counted": self.counted},
        )

    @classmethod
    def read(cls, table: xr.Dataset, specimens: ArrayLike) -> Grouping:
        """Read groups from the table that :meth:`table` wrote.

        Args:
            table: The table.
            specimens: Names of the specimens, which must be those of the table.

        Raises:
            DataError: If it is no such table, or of other specimens.
        """
        lacking = {"probability", "of_group", "number", "note_of_group"} - {*map(str, table.variables)}
        if lacking:
            raise DataError(f"no groups of specimens can be read: there is no {', '.join(sorted(lacking))}")
        if not np.array_equal(table["specimen"].values.astype(str), np.asarray(specimens).astype(str)):
            raise DataError("the groups are of other specimens than these: they are left as they were")
        names, notes = (tuple(map(str, table[name].values)) for name in ("of_group", "note_of_group"))
        gamma = table["probability"].transpose("specimen", "of_group").values.astype(np.float64)
        number = tuple(map(int, table["number"].values))
        return cls(gamma, names, number, notes, int(table.attrs.get("counted", max(number) + 1)))

    def numbered_like(self, responsibilities: ArrayLike) -> Grouping:
        """Number each group as the cluster that shares most of its specimens, so that it has that one's colour.

        Args:
            responsibilities: Of the clusters of a fit, shape (specimen, cluster).
        """
        other = np.asarray(responsibilities, dtype=np.float64)
        assign = require("scipy.optimize", "groups of another fit").linear_sum_assignment
        mine, theirs = assign(-(self.responsibilities.T @ other))
        known = dict(zip(mine.tolist(), theirs.tolist(), strict=True))
        count = len(self.names)
        number = tuple(known.get(k, other.shape[1] + k) for k in range(count))
        return replace(self, number=number, counted=other.shape[1] + count)

    @property
    def best(self) -> NDArray[np.intp]:
        """The group each specimen most probably belongs to, as its place in ``names``, shape (specimen,)."""
        return self.responsibilities.argmax(1)

    def place(self, name: str) -> int:
        """Find a group.

        Args:
            name: Name of the group.

        Returns:
            Its place in ``names``.

        Raises:
            OptionError: If there is no group of that name.
        """
        if name not in self.names:
            raise OptionError(f"there is no group {name!r}: there are {', '.join(map(repr, self.names))}")
        return self.names.index(name)

    def move(self, specimens: Sequence[int], to: str) -> Grouping:
        """Put specimens into a group, for certain; into a new one if the name is new.

        Args:
            specimens: Numbers of the specimens.
            to: Name of the group.

        Raises:
            OptionError: If no specimens are given.
        """
        if len(specimens) == 0:
            raise OptionError("no specimens are selected: draw a lasso around some in the map, or click one")
        grown = self if to in self.names else self._with_new(to)
        gamma = grown.responsibilities.copy()
        gamma[list(specimens)] = 0.0
        gamma[list(specimens), grown.place(to)] = 1.0
        return replace(grown, responsibilities=gamma)

    def merge(self, first: str, second: str) -> Grouping:
        """Make one group of two.

        Args:
            first: Name of a group, which the new one keeps.
            second: Name of another group.

        Raises:
            OptionError: If they are the same, or there is no such group.
        """
        a, b = self.place(first), self.place(second)
        if a == b:
            raise OptionError("a group cannot be merged with itself: choose two")
        gamma = self.responsibilities.copy()
        gamma[:, a] += gamma[:, b]
        notes = list(self.notes)
        notes[a] = "; ".join(filter(None, (notes[a], notes[b])))
        rest = [k for k in range(len(self.names)) if k != b]
        names, number = tuple(self.names[k] for k in rest), tuple(self.number[k] for k in rest)
        return Grouping(gamma[:, rest], names, number, tuple(notes[k] for k in rest), self.counted)

    def split(self, name: str, features: ArrayLike, seed: int = 0) -> Grouping:
        """Divide a group in two, by a mixture of two Gaussians.

        Args:
            name: Name of the group; the larger part keeps it.
            features: Numbers to tell specimens apart by, shape (specimen, feature); NaN in a row leaves the specimen
                where it is.
            seed: Seed of the mixture's starts.

        Raises:
            OptionError: If fewer than four specimens can be told apart.
        """
        place = self.place(name)
        features = np.asarray(features, dtype=np.float64)
        known = np.isfinite(features).all(1)
        members = np.flatnonzero((self.best == place) & known)
        if len(members) < 4:
            raise OptionError(f"{name!r} has {len(members)} specimens to tell apart: at least 4 are needed for a split")
        values = features[members]
        spread = values.std(0)
        if not (spread > 0).any():
            raise OptionError(f"the specimens of {name!r} are all alike: there is nothing to split by")
        scaled = ((values - values.mean(0)) / np.where(spread > 0, spread, 1.0))[:, spread > 0]
        mixture = require("sklearn.mixture", "splitting a group").GaussianMixture(2, n_init=5, random_state=seed)
        shares = mixture.fit(scaled).predict_proba(scaled)
        # The larger part keeps the name.
        second = shares[:, int(np.argmin(shares.sum(0)))]
        grown = self._with_new(f"{name} b")
        gamma = grown.responsibilities.copy()
        gamma[members, -1] = gamma[members, place] * second
        gamma[members, place] *= 1.0 - second
        return replace(grown, responsibilities=gamma)

    def rename(self, old: str, new: str) -> Grouping:
        """Give a group another name.

        Args:
            old: Its name.
            new: The name it gets.

        Raises:
            OptionError: If the new name is empty or taken.
        """
        place, new = self.place(old), new.strip()
        if not new or (new != old and new in self.names):
            raise OptionError(f"{new!r} cannot be the name of {old!r}: it is {'taken' if new else 'empty'}")
        names = list(self.names)
        names[place] = new
        return replace(self, names=tuple(names))

    def annotate(self, name: str, note: str) -> Grouping:
        """Say something of a group.

        Args:
            name: Name of the group.
            note: What is said; empty takes it back.
        """
        notes = list(self.notes)
        notes[self.place(name)] = note.strip()
        return replace(self, notes=tuple(notes))

    def _with_new(self, name: str) -> Grouping:
        base, count = name.strip() or "new group", 2
        name = base
        while name in self.names:
            name, count = f"{base} {count}", count + 1
        gamma = np.concatenate([self.responsibilities, np.zeros((len(self.responsibilities), 1))], 1)
        names, number, notes = (*self.names, name), (*self.number, self.counted), (*self.notes, "")
        return Grouping(gamma, names, number, notes, self.counted + 1)
