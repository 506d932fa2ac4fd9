"""Laws that a fit learns from its training curves before anything else: principal curves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...data import Measurement
from ...errors import PimaError
from ...experts import Expert, LearnedInFit
from ...model.modality import Modality, Physics


def learn_laws(measurements: Mapping[str, Measurement], modalities: Mapping[str, Modality]) -> dict[str, Modality]:
    """Learn the laws that are learned from curves; modalities whose laws are known stay as they are.

    The same curves and options give the same law, up to rounding: a checkpoint's fingerprint needs those two alone.

    Args:
        measurements: The training specimens, by modality.
        modalities: What the user says about each.

    Returns:
        Modalities each of whose experts has parameters, in the same order.

    Raises:
        PimaError: If the curves are too few or too alike for what was asked; it names the modality.
    """
    return {
        name: replace(option, expert=_learned(option.expert, option, measurements[name]))
        if isinstance(option, Physics) and isinstance(option.expert, LearnedInFit)
        else option
        for name, option in modalities.items()
    }


def _learned(expert: LearnedInFit, option: Physics, measurement: Measurement) -> Expert:
    """Learn the law of one modality from what was measured of it inside the window."""
    seen, t, values = measurement.mask(), np.asarray(measurement.t), np.asarray(measurement.values)
    if option.window is not None:
        seen = seen & (t >= option.window[0]) & (t <= option.window[1])
    try:
        return expert.learned(t, np.where(seen, values, np.nan), measurement.schema.t_name or "t")
    except PimaError as error:
        raise type(error)(f"{measurement.schema.name!r}: {error}") from None
