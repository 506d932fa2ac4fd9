"""Features of specimens by the encoders of some neural modalities, side by side: where clusters are sought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ...model.network import Network
from ..inputs.stored import joined, looked_at
from ..run import TrainingRun


class Features(nn.Module):
    """Trunks of the joint training's own encoders, which begin that training with what they learn here.

    Args:
        job: The training run.
        network: The joint training's.
        names: Neural modalities.
    """

    def __init__(self, job: TrainingRun, network: Network, names: Sequence[str]) -> None:
        super().__init__()
        self.job, self.names = job, list(names)
        encoders = [network.encoders[network.names.index(name)] for name in self.names]
        self.trunks = nn.ModuleList(encoder.get_submodule("trunk") for encoder in encoders)
        with torch.no_grad():
            probes = [torch.zeros(2, *job.specs[name].shape, device=job.device) for name in self.names]
            widths = [trunk.eval()(probe).shape[1] for trunk, probe in zip(self.trunks, probes, strict=True)]
        self.trunks.train()
        self.width = sum(widths)
        #: Specimens that have one of them at least, (specimen,).
        self.known = torch.nonzero(torch.stack([job.tensors.present[name] for name in self.names]).any(0)).flatten()

    def forward(self, inputs: Mapping[str, Tensor], index: Tensor) -> Tensor:
        """Features of the specimens ``index`` from their inputs, (specimen, width); zero where a modality lacks."""
        parts = []
        for name, trunk in zip(self.names, self.trunks, strict=True):
            present = self.job.tensors.present[name][index]
            parts.append(trunk(inputs[name]) * present[:, None])
        return torch.cat(parts, 1)

    @torch.no_grad()
    def everywhere(self, head: nn.Module, index: Tensor) -> Tensor:
        """Outputs of a head for the specimens ``index`` as they are, in eval mode, (specimen, outputs), float32."""
        inputs = [self.job.tensors.inputs[name] for name in self.names]

        def outputs(rows: Tensor) -> list[Tensor]:
            with self.job.autocast():
                features = self({name: x[rows] for name, x in zip(self.names, inputs, strict=True)}, rows)
            return [head(features.float())]

        self.trunks.eval()
        out = joined(len(index), map(outputs, index.split(looked_at(*inputs)[0].stop)))
        self.trunks.train()
        return out[0]
