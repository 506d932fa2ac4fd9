"""Processes that train one model together: sums, shares and agreements between them.

PyTorch's own engines do the work: a process group that somebody else made (``torchrun`` with ``init_process_group``, or
``pima fit --processes``), and ``DistributedDataParallel`` for the networks' gradients. Every process holds all curves,
responsibilities and latent posteriors, a few numbers for each specimen; the networks' work and the sums of the M-steps
are shared out. What leads to a decision is added up first, so that all processes decide alike.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

Computed = TypeVar("Computed")


class _Computed(nn.Module):
    """A network whose forward is any computation with it: ``DistributedDataParallel`` knows no other method."""

    def __init__(self, network: nn.Module, compute: Callable[..., object]) -> None:
        super().__init__()
        self.network, self.compute = network, compute

    def forward(self, *arguments: object) -> object:
        return self.compute(*arguments)


@dataclass(frozen=True)
class Processes:
    """Number of this process, and how many there are.

    Args:
        rank: From 0; the first one writes files and speaks.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @staticmethod
    def here() -> Processes:
        """Return the processes of the group that was initialised; one alone where there is none."""
        if distributed.is_available() and distributed.is_initialized():
            return Processes(distributed.get_rank(), distributed.get_world_size())
        return Processes()

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def own(self, specimens: int) -> slice:
        """The consecutive specimens whose sums this process makes; shares differ by at most one."""
        return slice(self.rank * specimens // self.count, (self.rank + 1) * specimens // self.count)

    def total(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Sum tensors over all processes, by one all-reduce in float64; equal to the bit everywhere."""
        if not self.several:
            return tensors
        flat = torch.cat([tensor.detach().double().reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        return tuple(p.view(t.shape).to(t.dtype) for p, t in zip(parts, tensors, strict=True))

    def joined(self, own: Tensor, specimens: int) -> Tensor:
        """Join rows of all specimens, (specimen, ...), from those of :meth:`own`."""
        if not self.several:
            return own
        out = own.new_zeros(specimens, *own.shape[1:])
        out[self.own(specimens)] = own
        return self.total(out)[0]

    def averaged(self, tensors: Iterable[Tensor]) -> None:
        """Put the mean over all processes into floating tensors such as buffers; others stay."""
        some = [tensor for tensor in tensors if tensor.is_floating_point()]
        if self.several and some:
            for tensor, total in zip(some, self.total(*some), strict=True):
                tensor.copy_(total / self.count)

    def as_first(self, tensors: Iterable[Tensor]) -> None:
        """Put the first process's values into the tensors of all."""
        if self.several:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def agreed(self, answer: bool) -> bool:
        """Return the answer of the first process."""
        if not self.several:
            return answer
        flag = torch.tensor(int(answer), device=self._device)
        self.as_first([flag])
        return bool(flag)

    def alike(self, mark: str) -> bool:
        """Tell whether all processes give the same hexadecimal number; all get the same answer."""
        if not self.several:
            return True
        own = torch.tensor(list(bytes.fromhex(mark)), device=self._device)
        first = own.clone()
        self.as_first([first])
        return float(self.total((first != own).any())[0]) == 0.0

    @property
    def _device(self) -> str:
        return "cuda" if distributed.get_backend() == "nccl" else "cpu"

    def computed(self, network: nn.Module, compute: Callable[..., Computed]) -> Callable[..., Computed]:
        """``compute``, whose gradients to the parameters of ``network`` are averaged over all processes.

        Args:
            network: It starts everywhere as the first process's. Its buffers are left to :meth:`averaged`.
            compute: From tensors, or dicts of them, to tensors or dicts of them, always by the same operations.
        """
        if not self.several:
            return compute

        # Made when it is first asked: its hooks would hear of gradients before it, too (starts/invariance.py).
        @cache
        def engine() -> DistributedDataParallel:
            # A static graph: encoders of a physics modality have outputs that the cross-modal loss never asks for.
            with warnings.catch_warnings():
                # Newer versions of torch call it by another name, which older ones do not know.
                warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
                return DistributedDataParallel(_Computed(network, compute), broadcast_buffers=False, static_graph=True)

        return lambda *arguments: engine()(*arguments)


#: One process, as nearly always.
ALONE = Processes()
#: A process that the others have not heard of for so long is lost. Only the first one starts the clusters, meanwhile
#: they wait.
TIMEOUT = timedelta(hours=1)


@contextmanager
def process_group() -> Iterator[Processes]:
    """The processes that ``torchrun``'s environment names, joined for the block; one alone where it names none."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield Processes.here()
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    gpu = local < torch.cuda.device_count()
    if gpu:
        torch.cuda.set_device(local)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=TIMEOUT)
    try:
        yield Processes.here()
    finally:
        distributed.destroy_process_group()
