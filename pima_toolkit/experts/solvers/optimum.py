"""The optimum a solver found for every row: parameters, and how the descent that found them ended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Status of a row -> what it means, and what to do about it.
ADVICE = {
    1: "converged: the cost no longer falls",
    2: "converged: the parameters no longer move",
    3: "converged: the gradient is zero, or every parameter is at a bound",
    0: "not converged within the iterations: give a start closer to the data, or raise max_iterations",
    -1: "the expert is not finite at any start: check the formula at the first and last t, and the bounds",
    -2: "no data: all weights of this row are zero, so its parameters are those it started from",
    -3: "fewer points than free parameters: the fit is one of many; fix a parameter or measure more points",
    -4: "no downhill step was found: the expert's derivatives are not finite near here; check the formula and the"
    " bounds",
}


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best parameters of C rows (clusters or specimens), P each.

    Args:
        parameters: Best parameters, shape (C, P), in the law's units.
        cost: Weighted sum of squares, shape (C,), in units of y squared times weight.
        status: Codes of :data:`ADVICE`, shape (C,); positive means converged.
        iterations: Of the best start, shape (C,).
        agreement: Share of the starts that ended at the best cost, shape (C,): low means local minima, or a parameter
            the data do not determine.
        at_bound: Whether a parameter sits on a bound, shape (C, P).
        held: Whether a parameter was held at its start, shape (P,).
    """

    parameters: NDArray[np.float64]
    cost: NDArray[np.float64]
    status: NDArray[np.int64]
    iterations: NDArray[np.int64]
    agreement: NDArray[np.float64]
    at_bound: NDArray[np.bool_]
    held: NDArray[np.bool_]

    @property
    def advice(self) -> list[str]:
        """One sentence per row: converged, or what to do."""
        return [ADVICE[int(s)] for s in self.status]

    @property
    def free(self) -> NDArray[np.bool_]:
        """Whether a parameter was estimated, neither held nor at a bound, shape (C, P)."""
        return ~(self.at_bound | self.held)
