"""Encoder inputs that stay on disk and are read as they are needed: a block of specimens at a time, as it is stored.

A picture of eight bits stays one until it is in a batch. Batches come from a shuffled block before they come from the
next (fitting/run.py), so that every block is read about once an epoch, from its beginning to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...data import Measurement, OnDisk
from .spec import InputSpec

#: Numbers of encoder inputs that are in memory at once where a network only looks.
_LOOKED_AT = 2**20
#: Specimens that are encoded at once where everything is in memory anyway.
_AT_ONCE = 4096


class Stored:
    """Encoder inputs (specimen, channels, *spatial) of one modality, float32, indexed like a tensor.

    Args:
        measurement: The modality, with its values on disk.
        spec: The modality as trained.
        device: Where batches go.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, measurement: Measurement, spec: InputSpec, device: torch.device) -> None:
        self.measurement, self.spec, self.device = measurement, spec, device

    def __len__(self) -> int:
        return len(self.measurement)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor that these inputs would be in memory."""
        return len(self), *self.spec.shape

    @property
    def rows(self) -> int:
        """Specimens that are read together."""
        values = self.measurement.values
        return values.rows if isinstance(values, OnDisk) else len(values)

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        rows = index if isinstance(index, slice) else index.cpu().numpy()
        some = replace(self.measurement, values=self.measurement.values[rows], present=self.measurement.present[rows])
        return torch.from_numpy(self.spec.encoder_input(some)).to(self.device)

    def at(self, index: Tensor) -> Stored:
        """The specimens of ``index``, still on disk."""
        return Stored(self.measurement.take(index.cpu().numpy()), self.spec, self.device)

    def blocks(self) -> Iterator[np.ndarray]:
        """All of it, piece by piece."""
        for part in looked_at(self):
            yield self[part].cpu().numpy()


def joined(specimens: int, pieces: Iterable[Sequence[Tensor]]) -> list[Tensor]:
    """What was found of consecutive specimens, a piece of each tensor at a time, as whole tensors.

    They are made with the first piece: small results kept one by one among large inputs that come and go would take
    bites out of the memory these leave, until none of it is large enough for the next.

    Args:
        specimens: Of all pieces together, not none.
        pieces: Tensors of shape (some specimens, ...), the same number in every piece.
    """
    out: list[Tensor] = []
    done = 0
    for piece in pieces:
        out = out or [part.new_empty(specimens, *part.shape[1:]) for part in piece]
        for whole, part in zip(out, piece, strict=True):
            whole[done : done + len(part)] = part
        done += len(piece[0])
    return out


def looked_at(*inputs: Tensor | Stored, most: int = _AT_ONCE) -> list[slice]:
    """Consecutive specimens, few enough at a time that memory stays bounded."""
    sizes = [max(1, _LOOKED_AT // int(np.prod(x.shape[1:]))) for x in inputs if isinstance(x, Stored)]
    step = min([most, *sizes])
    return [slice(i, i + step) for i in range(0, len(inputs[0]), step)]
