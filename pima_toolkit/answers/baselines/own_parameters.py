"""The target's curves fitted by a law, each by itself: no specimen knows of another, nothing is to be held out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import OptionError
from ...experts import Expert, solve
from .inputs import Target

Array = NDArray[np.float64]


def own_parameters(law: Expert, target: Target) -> Array:
    """Fit every curve by itself; unbounded parameters (N, P), zero for specimens without the curve.

    Raises:
        OptionError: If the target is no curve, or the law needs more than its curve.
        ExpertError: If the units do not suit the law.
    """
    measured = target.measured
    if measured is None or measured.t is None:
        raise OptionError(
            f"the expert {law.name!r} describes a curve, and the target {target.name!r} is a {target.kind}: leave the"
            " expert out"
        )
    if law.covariates:
        names = ", ".join(law.covariates)
        raise OptionError(
            f"the expert {law.name!r} needs {names} besides the curve, so that no curve can be fitted by itself: leave"
            f" the expert out, and name {names} in given"
        )
    law.check_units(measured.t, {law.t: measured.schema.t_unit}, target.unit)
    there, bounds = measured.present, law.bounds(measured.t)
    y = np.where(measured.mask(), np.asarray(measured.values, dtype=np.float64), np.nan)[there]
    theta = solve(law, measured.t[there] if measured.ragged else measured.t, y, bounds=bounds).parameters
    phi = np.zeros((len(there), len(law.parameters)))
    phi[there] = bounds.to_unbounded(theta)
    return phi
