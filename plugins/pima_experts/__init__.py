"""The built-in experts, by field. They come through the same door as anybody's plugin."""

from __future__ import annotations

import pima_toolkit

from .lines import Affine, Proportional
from .plasticity import LinearHardening

__all__ = ["Affine", "LinearHardening", "Proportional", "pima_experts"]

PIMA_API = (1, 0)


@pima_toolkit.hookimpl
def pima_experts() -> list[type[pima_toolkit.Expert]]:
    """The experts of this distribution."""
    return [Affine, LinearHardening, Proportional]
