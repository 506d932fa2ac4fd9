"""The noise models of curves by name."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import OptionError
from .autocorrelated import AutocorrelatedNoise
from .base import CurveNoise
from .constant import ConstantNoise
from .misfit import MisfitNoise
from .proportional import ProportionalNoise
from .robust import RobustNoise

#: Name, as ``expert.fit(noise=...)`` knows it, to a noise model that has learned nothing yet; the simplest first.
NOISES: Mapping[str, CurveNoise] = {
    noise.name: noise
    for noise in (ConstantNoise(), ProportionalNoise(), RobustNoise(), AutocorrelatedNoise(), MisfitNoise())
}


def noise_named(noise: str | CurveNoise) -> CurveNoise:
    """Find a noise model by its name; one that is one already stays as it is.

    Raises:
        OptionError: If there is none of the name.
    """
    if isinstance(noise, CurveNoise):
        return noise
    if not isinstance(noise, str) or noise not in NOISES:
        raise OptionError(f"noise={noise!r} is unknown: use one of {', '.join(map(repr, [*NOISES, 'auto']))}")
    return NOISES[noise]
