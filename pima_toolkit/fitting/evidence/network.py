"""The networks of a training by evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...model.network import Network, build
from ..options import ModelOptions


def blank_network(options: ModelOptions, shapes: Mapping[str, Sequence[int]], seed: int) -> Network:
    """Build the untrained networks; a model of curves alone has none.

    Args:
        options: The model.
        shapes: Shape of one specimen's input by modality.
        seed: Of the first weights.
    """
    neural = {name: shapes[name] for name in options.neural}
    return build(seed, options.neural, neural, options.latent_dim)
