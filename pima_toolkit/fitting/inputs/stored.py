"""Encoder inputs that stay on disk and are read as they are needed: a block of specimens at a time, as it is stored.

A picture of eight bits stays one until it is in a batch. Batches come from a shuffled block before they come from the
next (fitting/job.py), so that every block is read about once an epoch, from its beginning to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ...data import alone, encoder_input, measure

if TYPE_CHECKING:
    from .tensors import InputSpec

#: Numbers of encoder inputs that are in memory at once where a network only looks.
_LOOKED_AT = 2**20
#: Specimens that are encoded at once where everything is in memory anyway.
_AT_ONCE = 4096


class Stored:
    """Encoder inputs (specimen, channels, *spatial) of one modality, float32, indexed like a tensor.

    Args:
        data: Dataset with the variable.
        template: The modality as trained.
        rows: Specimens of a block; at most two blocks are in memory.
        device: Where batches go.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, data: xr.Dataset, template: InputSpec, rows: int, device: torch.device) -> None:
        self.data = alone(data, template.measured.name)
        self.template, self.rows, self.device = template, rows, device
        self._kept: dict[int, xr.Dataset] = {}

    def __len__(self) -> int:
        return self.data.sizes["specimen"]

    @property
    def shape(self) -> tuple[int, ...]:
        """As of a tensor."""
        return len(self), *self.template.shape

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        rows = np.arange(len(self))[index] if isinstance(index, slice) else index.cpu().numpy()
        out = np.empty((len(rows), *self.template.shape), dtype=np.float32)
        block = rows // self.rows
        # Those in memory first, lest they make room for others.
        for k in sorted(np.unique(block).tolist(), key=lambda k: (k not in self._kept, k)):
            here = np.flatnonzero(block == k)
            part = self._block(k).isel(specimen=rows[here] - k * self.rows)
            template = self.template
            measured = measure(part, template.measured.name, physics=False, like=template.measured)
            out[here] = encoder_input(measured, template.scaling, template.grid, template.presence)
        return torch.from_numpy(out).to(self.device)

    def _block(self, k: int) -> xr.Dataset:
        if k not in self._kept:
            while len(self._kept) > 1:
                del self._kept[next(iter(self._kept))]
            self._kept[k] = self.data.isel(specimen=slice(k * self.rows, (k + 1) * self.rows)).load()
        return self._kept[k]

    def at(self, index: Tensor) -> Stored:
        """The specimens of ``index``, still on disk."""
        return Stored(self.data.isel(specimen=index.cpu().numpy()), self.template, self.rows, self.device)

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
