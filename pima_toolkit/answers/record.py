"""All that is remembered of a training: its settings, its specimens, how it went, and what was found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import xarray as xr

from ..fitting.options import TrainingSettings
from ..model.curves import Curves


@dataclass(frozen=True)
class TrainingRecord:
    """The memory of a training. No answer for new specimens depends on it.

    Args:
        settings: How the model was trained.
        specimens: The training specimens: responsibilities, clusters and parameters, see
            :attr:`pima_toolkit.Fit.specimens`.
        history: One row per epoch.
        facts: What a report tells: ``seconds``, ``interrupted``, ``restart`` (the best one's number), ``restarts``
            (``elbo``, ``agreement``), ``device``, ``bfloat16``, ``versions``, ``specimens`` (how many), ``present``
            (how many have each modality), ``data`` (sha256), ``title``, ``synthetic``, ``out_of_population`` (how many
            training specimens are unlike every cluster).
        quality: How well each law fits its clusters, by physics modality, as
            :func:`pima_toolkit.answers.trust.goodness_of_fit.quality` says; empty in a fit of a file older than that.
        curves: The measured curves, by physics modality; empty in a fit read from a file.
    """

    settings: TrainingSettings
    specimens: xr.Dataset
    history: xr.Dataset
    facts: Mapping[str, object]
    quality: Mapping[str, Mapping[str, list]] = field(default_factory=dict)
    curves: Mapping[str, Curves] = field(default_factory=dict)
