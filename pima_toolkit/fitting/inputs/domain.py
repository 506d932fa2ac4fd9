"""Whether a law has values where its curves were measured: one of 1/sqrt(x) has none at 0, whatever its parameters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...errors import ExpertError
from ...experts import spread
from ...model.curves import Curves
from ...model.modality import Modality, Physics
from .spec import InputSpec

#: Curves that are looked at, and parameters that are tried on each beside the law's own guess.
_CURVES, _TRIED = 16, 8


def check_domain(
    modalities: Mapping[str, Modality], specs: Mapping[str, InputSpec], curves: Mapping[str, Curves]
) -> None:
    """Refuse a law that is not finite at a measured point for any of the parameters it could start from.

    Args:
        modalities: The model's.
        specs: How its data are read.
        curves: The training curves of its physics modalities.

    Raises:
        ExpertError: Naming the law, its variable and the data's, and the point.
    """
    for name, option in modalities.items():
        if isinstance(option, Physics):
            _check(name, option, specs[name], curves[name])


def _check(name: str, option: Physics, spec: InputSpec, curves: Curves) -> None:
    expert, points = option.expert, curves.x.shape[1]
    seen = curves.seen.cpu().numpy()
    enough = np.flatnonzero(seen.sum(1) >= len(expert.parameters))
    if not enough.size:
        return
    rows = enough[np.unique(np.linspace(0, len(enough) - 1, _CURVES).astype(int))]
    if curves.own_grids:  # what is infinite is so at an end, more often than not
        t = np.where(seen, curves.t[:, :points], np.nan)[enough]
        rows = np.union1d(rows, enough[[np.nanargmin(t) // points, np.nanargmax(t) // points]])
    seen, x = seen[rows], curves.x.cpu().numpy()[rows] * spec.scale
    grids = curves.t[rows] if curves.own_grids else np.tile(curves.t, (len(rows), 1))
    known = np.isfinite(grids).all(1)
    grids, seen, x = grids[known], seen[known], x[known]
    if not len(grids):
        return
    along = grids[:, :points]
    bounds = expert.bounds(along[seen])
    middle = bounds.from_unbounded(np.zeros((1, len(expert.parameters))))
    with np.errstate(all="ignore"):
        guess = expert.guess(grids, np.where(seen, x, np.nan))
        tried = np.concatenate([guess[np.isfinite(guess).all(1)], spread(middle, bounds, _TRIED, along[seen])[0]])
        values, _ = expert.value_and_jacobian(grids, tried)
    lost = seen & ~np.isfinite(values).any(0)
    if lost.any():
        variable, point = spec.schema.t_name, along[lost][0]
        other = "" if expert.t == variable else f", and the curves are over {variable!r}"
        raise ExpertError(
            f"{name!r}: the expert {expert.name!r} is a law of {expert.t!r}{other}; at {variable} = {point:g} it is not"
            " finite, whatever its parameters: use a law of what was measured, or leave such points out,"
            f" Physics({expert.name!r}, window=(low, high))"
        )
