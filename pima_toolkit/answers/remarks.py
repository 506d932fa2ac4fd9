"""Remarks on answers, in words: how typical specimens are, and answers that cannot be given."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import Tensor

from ..data import few, specimen_labels
from ..errors import OptionError, PimaWarning
from .predictor import Predictor

#: Of a specimen of which nothing was measured: its remark, and its cluster.
NOTHING, UNKNOWN = "nothing was measured of it", -1
#: Of one whose covariates alone are known, and move its parameters.
TOLD = "predicted from its covariates alone"


def check_coverage(coverage: float) -> None:
    """Refuse a coverage that is no share between 0 and 1.

    Raises:
        OptionError: If it is none, such as a percentage.
    """
    if not 0.0 < coverage < 1.0:
        meant = f"{coverage / 100:g}" if 1.0 < coverage < 100.0 else "0.9"
        raise OptionError(f"coverage={coverage:g}: expected a share between 0 and 1, such as {meant}")


def remarks(
    measured: NDArray[np.intp], strange: NDArray[np.bool_], beyond: NDArray[np.bool_], told: NDArray[np.bool_]
) -> list[str]:
    """Write a remark on each specimen, empty where there is none.

    Args:
        measured: How many modalities it has, (specimen,).
        strange: Whether it is unlike every population, (specimen,).
        beyond: Whether it has values beyond the training range, (specimen,).
        told: Whether its covariates say something of its parameters, (specimen,).
    """
    nothing = measured == 0
    flags = {
        NOTHING: nothing & ~told,
        TOLD: nothing & told,
        "unlike every population": strange,
        "values beyond the training range": beyond,
    }
    return ["; ".join(words for words, flag in flags.items() if flag[d]) for d in range(len(measured))]


def typicality(predictor: Predictor, scores: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Compute how typical each specimen is of the training specimens, and from how many modalities that is known.

    Args:
        predictor: The fit.
        scores: By modality, (specimen,), NaN where absent.

    Returns:
        Both (specimen,): the share of the training specimens explained no better by the modality that is least so, NaN
        where none is there; and the number of modalities.
    """
    typical = np.full((len(next(iter(scores.values()))), len(scores)), np.nan)
    for k, (name, score) in enumerate(scores.items()):
        known = ~torch.isnan(score).cpu().numpy()
        typical[known, k] = predictor.references[name].typicality(score.cpu().numpy()[known])
    seen = np.isfinite(typical).sum(1)
    worst = np.where(seen > 0, np.nanmin(np.where(np.isnan(typical), np.inf, typical), axis=1), np.nan)
    # The least typical of several modalities is less typical than one alone.
    return np.minimum(worst * np.maximum(seen, 1), 1.0), seen


def unanswered(answer: xr.Dataset, modalities: Iterable[str]) -> xr.Dataset:
    """Blank what an answer says of specimens of which nothing was measured: NaN, and no cluster.

    Args:
        answer: As computed, with ``remark``.
        modalities: Of the fit, for the warning.

    Warns:
        PimaWarning: Once, naming the specimens.
    """
    nothing = np.array([str(remark).startswith(NOTHING) for remark in answer["remark"].values], dtype=bool)
    if not nothing.any():
        return answer
    warnings.warn(
        f"{int(nothing.sum())} specimens have none of this fit's modalities ({', '.join(modalities)}): "
        f"{few(specimen_labels(answer)[nothing])}; their answers are NaN, their cluster {UNKNOWN}",
        PimaWarning,
        stacklevel=4,
    )
    known = xr.Variable("specimen", ~nothing)
    own = {k: v.variable for k, v in answer.data_vars.items() if v.dtype.kind == "f" and "specimen" in v.dims}
    out = answer.assign({k: v.where(known) for k, v in own.items()})
    # ``cluster`` is a variable along specimen with the name of a dim: as an array it would carry its old self along.
    cluster = answer["cluster"].variable
    return out.assign(cluster=xr.Variable("specimen", np.where(nothing, UNKNOWN, cluster.values), cluster.attrs))
