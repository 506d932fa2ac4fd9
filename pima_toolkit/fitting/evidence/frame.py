"""Coordinates in which all that is said of a specimen's parameters adds up, and the curves' part of it.

Directions in which the specimens of a population differ, each in units of the pooled scatter: potentials of every law,
network and regressor are of size one there, whatever the units of the parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ...model.curves import Curves
from ...model.joint import Deviation, Potential
from ...model.physics import Deviations, PhysicsDecoder

#: Share of a direction's variance in the largest, below which specimens do not differ along it.
LEAST = 1e-10


@dataclass(frozen=True)
class Frame:
    """Coordinates of the deviation from each population, and what is known of it before anything is measured.

    Args:
        decoders: The laws, by modality, in the order in which their parameters stand one below the other.
        log_weights: log pi, shape (C,), float64.
    """

    decoders: Mapping[str, PhysicsDecoder]
    log_weights: Tensor

    @cached_property
    def scatter(self) -> Tensor:
        """S_c of all laws together, block by block, shape (C, P, P)."""
        return torch.stack(
            [
                torch.block_diag(*(decoder.scatter[c] for decoder in self.decoders.values()))
                for c in range(len(self.log_weights))
            ]
        )

    @cached_property
    def root(self) -> Tensor:
        """Deviation = root @ coordinates: a square root of the pooled scatter, shape (P, R)."""
        pooled = torch.einsum("c,cpq->pq", self.log_weights.exp(), self.scatter)
        size = torch.diagonal(pooled).clamp_min(0.0).sqrt()
        unit = torch.where(size > 0.0, size, 1.0)
        values, vectors = torch.linalg.eigh(pooled / (unit[:, None] * unit))
        kept = values > LEAST * values.max().clamp_min(1e-300)
        scaled = vectors[:, kept] * values[kept].sqrt()
        # Turned back where nothing is left out: the axes are then the parameters', as nearly as may be, and those of
        # folds are alike.
        return unit[:, None] * (scaled @ vectors.T if bool(kept.all()) else scaled)

    @cached_property
    def inverse(self) -> Tensor:
        """Coordinates = inverse @ deviation, shape (R, P)."""
        return torch.linalg.pinv(self.root)

    @property
    def size(self) -> int:
        """R, the number of coordinates."""
        return self.root.shape[1]

    @cached_property
    def prior(self) -> Deviation:
        """The deviation in each population, in these coordinates."""
        return Deviation.prior(self.inverse @ self.scatter @ self.inverse.T)

    @property
    def linear(self) -> bool:
        """Whether every curve is a linear function of its parameters."""
        return all(decoder.one_line for decoder in self.decoders.values())

    def prior_of(self, other: Frame) -> tuple[Tensor, Tensor]:
        """The deviation in each population of another fit of the same laws, in these coordinates.

        Returns:
            Mean (C, R) and root (C, R, R).
        """
        shift = torch.stack([other.centre(c) - self.centre(c) for c in range(len(self.log_weights))])
        root = Deviation.prior(self.inverse @ other.scatter @ self.inverse.T).root[0]
        return shift @ self.inverse.T, root

    def block(self, name: str) -> Tensor:
        """Rows of :attr:`root` that are the parameters of a modality, shape (P of it, R)."""
        at = 0
        for other, decoder in self.decoders.items():
            size = decoder.theta.shape[1]
            if other == name:
                return self.root[at : at + size]
            at += size
        raise KeyError(name)

    def of(self, name: str, curves: Curves) -> Potential:
        """What the curves of a modality say, memory bounded; nothing for a specimen without one."""
        decoder, block = self.decoders[name], self.block(name)
        pieces = [_potential(decoder, block, piece) for _, piece in curves.chunks()]
        if all(piece.curvature.shape[0] == 1 for piece in pieces):
            curvature = pieces[0].curvature
        else:
            curvature = torch.cat([piece.curvature.expand(len(piece), -1, -1, -1) for piece in pieces])
        return Potential(
            torch.cat([piece.constant for piece in pieces]), torch.cat([piece.linear for piece in pieces]), curvature
        )

    def curves(self, curves: Mapping[str, Curves]) -> Potential:
        """What the curves of all laws say together."""
        parts = [self.of(name, curves[name]) for name in self.decoders]
        return sum(parts[1:], start=parts[0])

    def moved(self, said: Potential, other: Frame, curves: Mapping[str, Curves]) -> Potential:
        """What was said in another frame, in the coordinates of this one; psi stays.

        Args:
            said: About deviations from the populations of ``other``.
            other: That frame: the same laws, other parameters.
            curves: Of the specimens it was said of, by modality: what is known of each moves the populations.
        """
        shift = torch.stack([self.centre(c) - other.centre(c) for c in range(len(self.log_weights))])[None]
        if any(decoder.known is not None for decoder in self.decoders.values()):
            shift = shift + (self._offset(curves) - other._offset(curves))[:, None]
        turn, away = other.inverse @ self.root, shift @ other.inverse.T
        bent = (said.curvature @ away[..., None]).squeeze(-1)
        return Potential(said.constant, (said.linear - bent) @ turn, turn.T @ said.curvature @ turn)

    def _offset(self, curves: Mapping[str, Curves]) -> Tensor:
        """How far specimens are off the populations by what is known of them, those of all laws, (specimen, P)."""
        parts = []
        for name, decoder in self.decoders.items():
            offset = decoder.offset(curves[name])
            like = self.log_weights.new_zeros(len(curves[name]), decoder.theta.shape[1])
            parts.append(like if offset is None else offset)
        return torch.cat(parts, 1)

    def deviations(self, name: str, deviation: Deviation) -> Deviations:
        """A deviation in the parameters of one modality."""
        block = self.block(name)
        covariance = block @ deviation.covariance @ block.T
        return Deviations((deviation.mean @ block.T).movedim(1, 0), covariance.movedim(1, 0))

    def centre(self, c: int) -> Tensor:
        """Unbounded parameters of a population, those of all laws, (P,)."""
        phi = [decoder.bounds.to_unbounded(decoder.theta[c]) for decoder in self.decoders.values()]
        return torch.cat([torch.as_tensor(part, device=self.log_weights.device) for part in phi])


def _potential(decoder: PhysicsDecoder, block: Tensor, curves: Curves) -> Potential:
    zero = torch.zeros_like(decoder.scatter)[:, None]
    told = decoder.condition(curves, (zero[..., 0], zero))
    variance, here = decoder.variance[:, None, None], curves.present
    linear = ((told.projected / variance) @ block).movedim(0, 1)
    curvature = (block.T @ (told.normal / variance[..., None]) @ block).movedim(0, 1)
    if not bool(here.all()):
        linear = torch.where(here[:, None, None], linear, 0.0)
        curvature = torch.where(here[:, None, None, None], curvature, 0.0)
    return Potential(told.log_prob, linear, curvature)
