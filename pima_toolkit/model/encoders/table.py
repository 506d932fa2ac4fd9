"""The kinds of networks by name: the toolkit's own, and those of plugins by the hook ``pima_encoders``."""

from __future__ import annotations

from ...errors import OptionError
from ...plugins.registry import Registry
from .base import EncoderKind
from .conv import ConvKind
from .paper import PaperKind
from .pooled import PooledKind


def _checked(thing: object) -> EncoderKind:
    if isinstance(thing, EncoderKind):
        return thing
    raise OptionError(f"{thing!r} is no encoder: expected an instance of a subclass of pima_toolkit.EncoderKind")


#: Name, as ``Neural(encoder=..., decoder=...)`` knows it, to kind.
ENCODERS: Registry[EncoderKind] = Registry(
    "encoder",
    "pima_encoders",
    _checked,
    OptionError,
    ours={"conv": ConvKind(), "pooled": PooledKind(), "paper": PaperKind()},
)
