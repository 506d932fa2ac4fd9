r"""What is known of specimens moves their parameters: covariates, and the batch that a specimen is of.

.. math:: \phi_n = \phi_c + o_n + b_n, \qquad o_n = G\,(u_n - \bar u) + w_{g(n)}, \qquad w_g \sim \mathcal N(0, T)

in the unbounded parameters: the same in every cluster. Everything that is said of a specimen's *deviation* is said of
:math:`b_n`, what is not known of it beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KnownEffects:
    """Effects of k terms and of G batches on P unbounded parameters.

    Args:
        places: Number of the parameter that each term moves, shape (k,).
        reach: Root mean square of each term over the training specimens, about its reference, shape (k,).
        slopes: Change of the parameter by one unit of the term, shape (k,).
        batches: w of each batch, shape (G, P).
        batch_covariance: W, how unsure that is, shape (G, P, P).
        batch_scatter: Diagonal of T, shape (P,); zero without batches.
        covariance: Of the slopes, shape (k, k).
        freedom: Degrees of freedom of their errors, shape (k,).
        centre_covariance: What not knowing the effects adds to the covariance of each cluster's parameters, shape
            (C, P, P); none before it is found, (0, P, P).
        centre_freedom: Degrees of freedom of each cluster's parameters, with batches counted, shape (C,).
    """

    places: NDArray[np.int64]
    reach: Array
    slopes: Array
    batches: Array
    batch_covariance: Array
    batch_scatter: Array
    covariance: Array
    freedom: Array
    centre_covariance: Array
    centre_freedom: Array

    @classmethod
    def start(
        cls, places: NDArray[np.int64], terms: Array, slopes: Array, batches: int, scatter: Array
    ) -> KnownEffects:
        """Effects before any are found.

        Args:
            places: As above.
            terms: Values minus their reference, shape (N, k).
            slopes: Shape (k,).
            batches: G.
            scatter: Diagonal of T to start from, shape (P,).
        """
        k, P = len(places), len(scatter)
        spread = np.diag(scatter)
        return cls(
            places=np.asarray(places, dtype=np.int64),
            reach=np.sqrt(np.mean(np.square(terms), axis=0)) if len(terms) else np.ones(k),
            slopes=slopes,
            batches=np.zeros((batches, P)),
            batch_covariance=np.repeat(spread[None], batches, axis=0),
            batch_scatter=scatter if batches else np.zeros(P),
            covariance=np.full((k, k), np.nan),
            freedom=np.ones(k),
            centre_covariance=np.zeros((0, P, P)),
            centre_freedom=np.zeros(0),
        )

    def matrix(self, terms: Array) -> Array:
        """U with o_n = U_n slopes, but for batches, shape (N, P, k)."""
        out = np.zeros((len(terms), len(self.batch_scatter), len(self.places)))
        out[:, self.places, np.arange(len(self.places))] = terms
        return out

    def offset(self, terms: Array | None, batch: NDArray[np.int64] | None) -> Array:
        """How far specimens are off their cluster by what is known of them, o of shape (N, P).

        Args:
            terms: Values minus their reference, shape (N, k); NaN where a covariate is not known: it counts as at its
                reference, which only specimens without a curve may.
            batch: Number of each specimen's batch, shape (N,); -1 for one that no training specimen was of.
        """
        P = len(self.batch_scatter)
        out = np.zeros((len(terms) if terms is not None else 0 if batch is None else len(batch), P))
        if terms is not None and len(self.places):
            out += self.matrix(np.where(np.isfinite(terms), terms, 0.0)) @ self.slopes
        if batch is not None and len(self.batches):
            out += np.where((batch >= 0)[:, None], self.batches[batch], 0.0)
        return out

    def unsure(self, batch: NDArray[np.int64]) -> Array:
        """How unsure each specimen's batch leaves that, shape (N, P, P): an unknown one by all that batches differ."""
        new = np.diag(self.batch_scatter)
        if not len(self.batches):
            return np.broadcast_to(new, (len(batch), *new.shape))
        return np.where((batch >= 0)[:, None, None], self.batch_covariance[batch], new)

    def lerp(self, other: KnownEffects, share: float) -> KnownEffects:
        """Effects between these and others."""
        return replace(
            self,
            slopes=(1.0 - share) * self.slopes + share * other.slopes,
            batches=(1.0 - share) * self.batches + share * other.batches,
            batch_covariance=(1.0 - share) * self.batch_covariance + share * other.batch_covariance,
            batch_scatter=(1.0 - share) * self.batch_scatter + share * other.batch_scatter,
        )

    def arrays(self) -> dict[str, Tensor]:
        """All of it by name, for files; :meth:`from_arrays` is the way back."""
        return {f"known.{f.name}": torch.as_tensor(getattr(self, f.name)) for f in fields(self)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Tensor]) -> KnownEffects | None:
        """Make it again from :meth:`arrays`; None where they are not there."""
        names = [f.name for f in fields(KnownEffects)]
        if not all(f"known.{name}" in arrays for name in names):
            return None
        return KnownEffects(*(arrays[f"known.{name}"].cpu().numpy().copy() for name in names))
