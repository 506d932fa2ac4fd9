r"""Errors of populations' parameters that know that it is uncertain which specimen belongs to which population.

The covariance is the inverse information of the mixture's likelihood, not that of the specimens sorted by their
responsibilities: where populations overlap, a specimen that one population may as well leave to another tells both
less. With u the derivatives of a specimen's log likelihood in population c by all parameters and B minus the second
ones,

.. math:: I = \sum_n \Big[\sum_c \gamma_{nc} B_{nc}
          - \Big(\sum_c \gamma_{nc}\, u_{nc} u_{nc}^\top - s_n s_n^\top\Big)\Big], \qquad
          s_n = \sum_c \gamma_{nc}\, u_{nc},

the complete data's information less what is missing. The parameters are the populations' means :math:`\phi_c` and
scatters :math:`S_c` in all modalities with physics together, and the shares :math:`\pi`. A curve speaks in its
information form: score d and information A about the mean, as in :func:`~pima_toolkit.model.physics.scores`, so that

.. math:: u_\phi = d, \quad u_{S,k} = \tfrac12\big(d^\top E_k d - \operatorname{tr} A E_k\big), \quad
          u_{\pi} = e_c - \pi

with :math:`E_k` the symmetric matrices that S is made of. What neural modalities say of a specimen's population stands
in its responsibilities and is taken as given.

The scatter of each population is shrunk to a common one in training; that prior counts as so many specimens here too,
about how far a population's is from the common one.
Scatter fitted by likelihood is too small by one specimen in so many, and the covariance is enlarged by as much. Where
specimens do not differ (``scatter="none"``) the residuals of a curve go together, and the sandwich
:math:`I^{-1} \big[\sum s_n s_n^\top\big] I^{-1}` holds whatever they do.

Source: Louis 1982, Journal of the Royal Statistical Society B 44, 226.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fitting.em.steps import MINIMUM_WEIGHT, prior_rows
from ..fitting.inputs.tensors import Tensors
from ..model.curves import Curves
from ..model.physics import PhysicsDecoder, scores

#: Least share of the complete data's information that is left of it in any direction.
_LEAST = 0.02
#: Numbers that a block of specimens may take, for each matrix of theirs.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class _Layout:
    """Places of the parameters of each cluster: means of all modalities, then scatters.

    Args:
        means: By modality, the places of the fitted parameters.
        scatters: By modality, the places of the scatter's entries; none where specimens do not differ.
        basis: By modality, the matrices those entries belong to, (K, P, P).
        size: Number of places.
    """

    means: Mapping[str, slice]
    scatters: Mapping[str, slice]
    basis: Mapping[str, np.ndarray]
    size: int

    def block(self, clusters: int) -> int:
        """Specimens whose matrices fit into memory at once."""
        largest = max((matrices.size for matrices in self.basis.values()), default=1)
        return max(16, _BLOCK // max(clusters * max(largest, self.size**2), 1))

    @staticmethod
    def of(decoders: Mapping[str, PhysicsDecoder]) -> _Layout:
        """Lay out the decoders' parameters one after another."""
        means, scatters, basis, place = {}, {}, {}, 0
        for name, decoder in decoders.items():
            size = decoder.theta.shape[1]
            means[name] = slice(place, place + size)
            place += size
        for name, decoder in decoders.items():
            size = decoder.theta.shape[1]
            rows, columns = np.tril_indices(size)
            # A parameter that is fixed at its bound differs between no specimens: its scatter is zero, and no unknown.
            moves = (decoder.total.diagonal(dim1=-2, dim2=-1) > 0.0).any(0).cpu().numpy()
            both = moves[rows] & moves[columns]
            rows, columns = rows[both], columns[both]
            matrices = np.zeros((len(rows), size, size))
            matrices[np.arange(len(rows)), rows, columns] = 1.0
            matrices = np.maximum(matrices, matrices.transpose(0, 2, 1))
            basis[name] = matrices
            scatters[name] = slice(place, place + len(matrices))
            place += len(matrices)
        return _Layout(means, scatters, basis, place)


class _Sums:
    """Sums over specimens that the information is made of, all clusters' parameters and then the shares.

    Args:
        layout: Places within a cluster.
        shares: pi, shape (cluster,).
    """

    def __init__(self, layout: _Layout, shares: np.ndarray) -> None:
        self.layout, self.shares = layout, shares
        whole = len(shares) * layout.size + len(shares) - 1
        #: The complete data's information as expected: what counts as much is measured by it.
        self.complete = np.zeros((whole, whole))
        #: The complete data's information as observed.
        self.observed = np.zeros((whole, whole))
        #: Sum of gamma u u^T, and of s s^T.
        self.separate, self.squares = np.zeros((whole, whole)), np.zeros((whole, whole))
        #: What is known beforehand, as information.
        self.known = np.zeros((whole, whole))

    def places(self, part: slice, cluster: int) -> slice:
        """Where a part of a cluster's parameters stands among all."""
        return slice(cluster * self.layout.size + part.start, cluster * self.layout.size + part.stop)

    def add(self, told: Mapping[str, tuple[np.ndarray, np.ndarray]], gamma: np.ndarray) -> None:
        """Add specimens: scores (n, cluster, P) and information (n, cluster, P, P) by modality, responsibilities."""
        n, clusters = gamma.shape
        u = np.zeros((n, clusters, self.layout.size))
        for name, (score, information) in told.items():
            self._add_modality(name, score, information, gamma, u)
        tail = slice(clusters * self.layout.size, len(self.complete))
        shown = (np.eye(clusters) - self.shares)[:, 1:]
        for c in range(clusters):
            own = np.concatenate([u[:, c], np.broadcast_to(shown[c], (n, clusters - 1))], axis=1)
            place = np.r_[slice(c * self.layout.size, (c + 1) * self.layout.size), tail]
            self.separate[np.ix_(place, place)] += (gamma[:, c, None] * own).T @ own
        belongs = gamma.sum(1, keepdims=True)
        s = np.concatenate([(gamma[..., None] * u).reshape(n, -1), gamma[:, 1:] - belongs * self.shares[1:]], axis=1)
        self.squares += s.T @ s
        weight = float(belongs.sum()) * (np.diag(self.shares[1:]) - np.outer(self.shares[1:], self.shares[1:]))
        self.complete[tail, tail] += weight
        self.observed[tail, tail] += weight

    def _add_modality(self, name: str, d: np.ndarray, A: np.ndarray, gamma: np.ndarray, u: np.ndarray) -> None:
        E = self.layout.basis[name]
        u[:, :, self.layout.means[name]] = d
        turned = np.einsum("kpq,ncq->nckp", E, d)
        quadratic = np.einsum("ncp,nckp->nck", d, turned)
        u[:, :, self.layout.scatters[name]] = 0.5 * (quadratic - np.einsum("ncpq,kqp->nck", A, E))
        for c in range(gamma.shape[1]):
            mean, scatter = (self.places(part[name], c) for part in (self.layout.means, self.layout.scatters))
            information = np.einsum("n,npq->pq", gamma[:, c], A[:, c])
            self.complete[mean, mean] += information
            self.observed[mean, mean] += information
            if not len(E):
                continue
            AE = np.einsum("npq,kqr->nkpr", A[:, c], E).reshape(len(A), len(E), -1)
            EA = np.einsum("npq,kqr->nkrp", A[:, c], E).reshape(len(A), len(E), -1)
            trace = 0.5 * np.einsum("n,nkl->kl", gamma[:, c], AE @ EA.transpose(0, 2, 1))
            self.complete[scatter, scatter] += trace
            moved = np.einsum("npq,nkq->nkp", A[:, c], turned[:, c])
            bent = np.einsum("n,nkl->kl", gamma[:, c], turned[:, c] @ moved.transpose(0, 2, 1))
            self.observed[scatter, scatter] += bent - trace
            cross = np.einsum("n,nkp->pk", gamma[:, c], moved)
            self.observed[mean, scatter] += cross
            self.observed[scatter, mean] += cross.T

    def know(self, part: slice, cluster: int, information: np.ndarray) -> None:
        """Add what is known of a cluster's parameters beforehand, as information."""
        here = self.places(part, cluster)
        self.known[here, here] += information

    def tie(self, part: slice, information: np.ndarray) -> None:
        """Add what is known of how far the clusters' parameters are from a common one that is not known itself.

        Args:
            part: The places.
            information: Of each cluster's about the common one, (cluster, K, K).
        """
        share = np.linalg.pinv(information.sum(0), hermitian=True)
        for c, own in enumerate(information):
            self.know(part, c, own)
            for k, other in enumerate(information):
                self.known[self.places(part, c), self.places(part, k)] -= own @ share @ other

    def covariance(self, robust: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inverse information, and for the places of ``robust`` the sandwich; which places say anything at all."""
        whole = self.complete + self.known
        says = np.diagonal(whole) > 0.0
        size = np.sqrt(np.where(says, np.diagonal(whole), 1.0))
        unit = np.outer(size, size)
        complete = whole / unit + np.diag(np.where(says, 0.0, 1.0))
        values, vectors = np.linalg.eigh(complete)
        values = np.maximum(values, 1e-10 * values[-1])
        back = vectors / np.sqrt(values)
        observed = self.observed + self.known - self.separate + self.squares
        left, turn = np.linalg.eigh(back.T @ (observed / unit) @ back)
        # The optimum is found to a few digits, and so is what is left of a direction that is nearly lost.
        inverse = back @ (turn / np.maximum(left, _LEAST)) @ turn.T @ back.T
        if robust.any():
            sandwich = inverse @ ((self.squares + self.known) / unit) @ inverse
            inverse = np.where(np.logical_and.outer(robust, robust), sandwich, inverse)
        return inverse / unit, says


@torch.no_grad()
def mixture_covariances(
    decoders: Mapping[str, PhysicsDecoder], tensors: Tensors, gamma: Tensor, *, shrinkage: float = 0.0
) -> dict[str, np.ndarray]:
    """Covariance of each cluster's unbounded parameters, (cluster, P, P) by modality; NaN where the data say nothing.

    Args:
        decoders: The physics of every modality that has some.
        tensors: The training specimens.
        gamma: Their responsibilities, (specimen, cluster), float64.
        shrinkage: Specimens that the common scatter counts for in each cluster's own.
    """
    if not decoders:
        return {}
    layout = _Layout.of(decoders)
    responsibilities = gamma.double().cpu().numpy()
    clusters = responsibilities.shape[1]
    weight = responsibilities.sum(0)
    sums = _Sums(layout, np.maximum(weight, 1e-300) / max(float(weight.sum()), 1e-300))
    curves = next(iter(tensors.curves.values()))
    step = layout.block(clusters)
    for first in range(0, len(responsibilities), step):
        rows = torch.arange(first, min(first + step, len(responsibilities)), device=curves.x.device)
        told = {name: _told(decoder, tensors.curves[name].at(rows)) for name, decoder in decoders.items()}
        sums.add(told, responsibilities[first : first + step])
    robust = np.zeros(len(sums.complete), dtype=bool)
    for name, decoder in decoders.items():
        rows, _ = prior_rows(decoder)
        priors, scatter = (rows.mT @ rows).cpu().numpy(), decoder.total.cpu().numpy()
        for c in range(clusters):
            sums.know(layout.means[name], c, priors[c])
            robust[sums.places(layout.means[name], c)] = not len(layout.basis[name])
        if len(layout.basis[name]) and shrinkage > 0.0:
            told = np.stack([_shrunk(layout.basis[name], own, shrinkage) for own in scatter])
            sums.tie(layout.scatters[name], told)
    covariance, says = sums.covariance(robust)
    out = {}
    for name, decoder in decoders.items():
        there = tensors.curves[name].present.cpu().numpy()
        own = (responsibilities * there[:, None]).sum(0)
        size = decoder.theta.shape[1]
        out[name] = np.full((clusters, size, size), np.nan)
        for c in np.flatnonzero(own >= MINIMUM_WEIGHT).tolist():
            here = sums.places(layout.means[name], c)
            inner = np.ix_(says[here], says[here])
            enlarged = own[c] / max(own[c] - 1.0, 1.0) if len(layout.basis[name]) else 1.0
            out[name][c][inner] = covariance[here, here][inner] * max(enlarged, 1.0)
        if decoder.known is not None and len(decoder.known.centre_covariance):
            out[name] = out[name] + decoder.known.centre_covariance
    return out


def _told(decoder: PhysicsDecoder, curves: Curves) -> tuple[np.ndarray, np.ndarray]:
    """Score (specimen, cluster, P) and information (specimen, cluster, P, P) of each curve; 0 where there is none."""
    information, score = scores(decoder, decoder.condition(curves), decoder.total[:, None])
    there = curves.present[:, None, None].double()
    A = information.expand(-1, len(curves), -1, -1).movedim(0, 1) * there[..., None]
    return (score.movedim(0, 1) * there).cpu().numpy(), A.cpu().numpy()


def _shrunk(basis: np.ndarray, scatter: np.ndarray, specimens: float) -> np.ndarray:
    """Information of so many specimens' parameters themselves about the scatter's entries, (K, K)."""
    moves = basis.any(axis=(0, 1))
    basis, scatter = basis[:, moves][:, :, moves], scatter[np.ix_(moves, moves)]
    size = np.sqrt(np.maximum(np.diagonal(scatter), 1e-150))
    inverse = np.linalg.inv(scatter / np.outer(size, size) + 1e-9 * np.eye(len(scatter))) / np.outer(size, size)
    turned = np.einsum("pq,kqr->kpr", inverse, basis)
    return 0.5 * specimens * np.einsum("kpr,lrp->kl", turned, turned)
