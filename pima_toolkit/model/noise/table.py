"""The noise models of curves by name: the toolkit's own, and those of plugins by the hook ``pima_noise_models``."""

from __future__ import annotations

from ...errors import OptionError
from ...experts import NOISES
from ...plugins.registry import Registry
from .base import NoiseModel
from .cluster import ClusterNoise
from .pooled import PooledNoise
from .shaped import ShapedNoise
from .unit import UnitNoise


def _checked(thing: object) -> NoiseModel:
    if isinstance(thing, NoiseModel):
        return thing
    raise OptionError(f"{thing!r} is no noise model: expected an instance of a subclass of pima_toolkit.NoiseModel")


#: Name, as ``Physics(noise=...)`` knows it, to noise model.
NOISE: Registry[NoiseModel] = Registry(
    "noise model",
    "pima_noise_models",
    _checked,
    OptionError,
    ours={
        "pooled": PooledNoise(),
        "cluster": ClusterNoise(),
        "unit": UnitNoise(),
        **{name: ShapedNoise(shape) for name, shape in NOISES.items() if shape.numbers()},
    },
)
