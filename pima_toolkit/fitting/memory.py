"""What a training will take of the memory, told before it begins."""

from __future__ import annotations

import math
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import OptionError, PimaWarning
from ..model.encoders.decoders import decoder
from ..model.encoders.encoders import Encoder
from .options import TrainingSettings
from .prepared import Prepared

#: Numbers of a batch of all modalities from which networks are looked at; a smaller one takes some hundred MB at most.
_SMALL = 2**20
#: Share of the free memory that a training may take before it is told.
_UNTOLD = 0.5
#: Numbers kept for every weight: itself, its gradient, two moments of Adam.
_PER_WEIGHT = 4
#: What a pass takes over what it leaves: gradients beside it, and the columns that convolutions are written out in.
_PASSING = 3.0


def check_memory(prepared: Prepared, settings: TrainingSettings) -> None:
    """Tell what a large training takes; refuse one that the whole machine has no room for.

    Args:
        prepared: Data and model.
        settings: How it is trained.

    Raises:
        OptionError: If it takes more than there is.
    """
    device = settings.torch_device()
    needed = _curves_bytes(prepared) + _networks_bytes(prepared, settings)
    free, whole = memory(device)
    if needed <= _UNTOLD * free:
        return
    told = (
        f"the training takes about {needed / 1e9:.1f} GB of memory beside the data, and {free / 1e9:.1f} of"
        f" {whole / 1e9:.1f} GB are free: lower batch_size (it is {settings.batch_size}), make pictures smaller or"
        " curves shorter"
    )
    if needed > whole:
        raise OptionError(told)
    warnings.warn(told, PimaWarning, stacklevel=5)


def memory(device: torch.device) -> tuple[float, float]:
    """Free and whole memory of a device, bytes; infinite where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)
    told = Path("/proc/meminfo")
    if told.exists():
        lines = dict(line.split(":", 1) for line in told.read_text(encoding="ascii").splitlines() if ":" in line)
        free, whole = (1024.0 * int(lines[name].split()[0]) for name in ("MemAvailable", "MemTotal"))
        return free, whole
    try:
        whole = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows, or a system without these names
        return math.inf, math.inf
    return whole, whole


def _curves_bytes(prepared: Prepared) -> float:
    """Bytes of curves while their laws are fitted: of each point its value, residual and derivatives."""
    out = 0.0
    for name, option in prepared.options.physics.items():
        size = len(option.expert.parameters)
        each = prepared.tensors.curves[name].x.shape[1] * (2 + size) + prepared.options.clusters * size**2
        out += 8.0 * each * len(prepared.tensors)
    return out


def _networks_bytes(prepared: Prepared, settings: TrainingSettings) -> float:
    """Bytes of the networks, of what a batch leaves in them for its gradient, and of all pictures drawn again."""
    neural, latent = prepared.options.neural, prepared.options.latent_dim
    shapes = {name: prepared.specs[name].shape for name in neural}
    batch = min(settings.batch_size, max(16, len(prepared.tensors) // 8))
    if batch * sum(map(math.prod, shapes.values())) < _SMALL:
        return 0.0
    out = 0.0
    with torch.random.fork_rng(devices=[]):
        for name, option in neural.items():
            drawing = decoder(shapes[name], latent, option.decoder)
            parts = [(Encoder(shapes[name], latent, option.encoder), shapes[name]), (drawing, (latent,))]
            for module, shape in [parts[0], *parts] if prepared.options.by_evidence else parts:
                out += 4.0 * _PER_WEIGHT * sum(p.numel() for p in module.parameters())
                out += _PASSING * batch * _kept_bytes(module, shape)
            out += 4.0 * len(prepared.tensors) * math.prod(shapes[name])
    return out


def _kept_bytes(module: nn.Module, shape: tuple[int, ...]) -> float:
    """Bytes that one specimen leaves in a module for the gradient."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.data_ptr()] = tensor.nelement() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept_by = module(torch.zeros(2, *shape, requires_grad=True))
    del kept_by  # until here the graph held what was counted, each at an address of its own
    return sum(kept.values()) / 2
