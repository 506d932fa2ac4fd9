r"""What specimens of a population may be, where its parameters are not Gaussian: drawn from those that were seen.

Scatter is Gaussian in EM, where everything has to be closed. Of real specimens it is often not: some lie far out along
a ridge, where two parameters undo each other, and the Gaussian that holds them all is mostly where no specimen is. So
what a new specimen may be is drawn from the posterior mean of a Dirichlet process,

.. math:: p(b \mid c) = \frac{1}{W_c + \kappa}\Big[\sum_n \gamma_{nc}\, N(b; b_{nc}, V_{nc})
          + \kappa\, N(b; 0, S_{\text{pool}})\Big], \qquad W_c = \sum_n \gamma_{nc},

whose second moment is the population's scatter itself, as EM shrinks it: a population of few specimens is the Gaussian.

Source: Ferguson 1973, Dirichlet processes; Mentre & Mallet 1994, populations of parameters without an assumed shape.
"""

from __future__ import annotations

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from .populations import Conditional, Population, root_of

Array = NDArray[np.float64]


def members(law: Population, told: Conditional, responsibilities: Array, count: int) -> Array:
    """Draw specimens of every population, the same ones every time.

    Args:
        law: The populations.
        told: What every curve says of its own deviation under each population.
        responsibilities: Of the populations, shape (N, C); a stranger has none.
        count: K, a power of two fills best.

    Returns:
        Deviations of unbounded parameters from the population's, shape (C, K, P).
    """
    clusters, P = law.centre.shape
    uniform = np.clip(scipy.stats.qmc.Sobol(P + 1, seed=0).random(count), 1e-9, 1.0 - 1e-9)
    normal, place = scipy.special.ndtri(uniform[:, 1:]), uniform[:, 0]
    out = np.empty((clusters, count, P))
    for c in range(clusters):
        deviation, covariance = told.deviation[:, c], told.covariance[:, c]
        # Neighbours beside each other: the draws then fill the population evenly.
        axis = np.linalg.eigh(law.scatter[c])[1][:, -1]
        order = np.argsort(deviation @ axis, kind="stable")
        mass = np.append(responsibilities[order, c], law.shrinkage).cumsum()
        chosen = np.searchsorted(mass, place * mass[-1])
        # The last is the Gaussian that populations are shrunk to.
        centre = np.concatenate([deviation[order], np.zeros((1, P))])[chosen]
        spread = np.concatenate([covariance[order], law.pooled[None]])[chosen]
        out[c] = centre + (root_of(spread) @ normal[..., None])[..., 0]
    return out
