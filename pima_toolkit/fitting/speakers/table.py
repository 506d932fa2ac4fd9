"""The speakers by name: the toolkit's own, and those of plugins by the hook ``pima_speakers``."""

from __future__ import annotations

from ...errors import OptionError
from ...plugins.registry import Registry
from .base import Speaker
from .linear import Linear, Spectrum
from .trees import Trees


def _checked(thing: object) -> Speaker:
    if isinstance(thing, Speaker):
        return thing
    raise OptionError(f"{thing!r} is no speaker: expected an instance of a subclass of pima_toolkit.Speaker")


#: Name to speaker.
SPEAKERS: Registry[Speaker] = Registry(
    "speaker",
    "pima_speakers",
    _checked,
    OptionError,
    ours={speaker.name: speaker for speaker in (Linear(), Spectrum(), Trees())},
)
