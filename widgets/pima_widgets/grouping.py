"""The groups of specimens as a person edits them: move, merge, split, rename. No widgets here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pima_toolkit.errors import OptionError, require

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grouping:
    """Groups of specimens; every change returns a new grouping.

    Args:
        responsibilities: Probability that a specimen belongs to a group, shape (specimen, group); rows sum to one.
        names: Names of the groups.
        number: Number of the cluster that each group was in the fit, by which it keeps its colour; new groups go on
            counting.
    """

    responsibilities: Array
    names: tuple[str, ...]
    number: tuple[int, ...]

    @classmethod
    def of(cls, responsibilities: ArrayLike, names: Sequence[str]) -> Grouping:
        """Take over the populations of a fit.

        Args:
            responsibilities: Shape (specimen, cluster).
            names: What the populations are called.
        """
        return cls(np.array(responsibilities, dtype=np.float64), tuple(names), tuple(range(len(names))))

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
        return Grouping(gamma, grown.names, grown.number)

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
        rest = [k for k in range(len(self.names)) if k != b]
        return Grouping(gamma[:, rest], tuple(self.names[k] for k in rest), tuple(self.number[k] for k in rest))

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
        return Grouping(gamma, grown.names, grown.number)

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
        return Grouping(self.responsibilities, tuple(names), self.number)

    def _with_new(self, name: str) -> Grouping:
        base, count = name.strip() or "new group", 2
        name = base
        while name in self.names:
            name, count = f"{base} {count}", count + 1
        gamma = np.concatenate([self.responsibilities, np.zeros((len(self.responsibilities), 1))], 1)
        return Grouping(gamma, (*self.names, name), (*self.number, max(self.number) + 1))
