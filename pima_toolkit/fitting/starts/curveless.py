r"""Start of specimens without a curve: by what their pictures share with those of specimens that have one.

The physics says nothing of a specimen without a curve. Its picture, read by networks that have learned nothing yet,
would put it anywhere, and it would teach them to leave it there. So the features of the encoders first learn the
clusters :math:`q(c \mid X_\mathrm{physics})` of the other specimens from their pictures, vectors or volumes,

.. math:: \min \; -\sum_{d\,\text{with a curve}} \sum_c q_d(c) \log \tilde q\big(c \mid X_{d,\mathrm{neural}}\big),

and joint training holds on to what that says of the specimens without while it trains; its last E-step is free again.
As in starts/invariance.py a picture moved, turned, sheared or stretched a little is a picture of the same thing.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ...model.augment import deform
from ...model.network import Network
from ..run import Progress, TrainingRun
from .features import Features

#: Steps, and specimens in each.
_STEPS, _BATCH = 300, 128
_RATE = 1e-3


class CurvelessFirst:
    """Clusters of the specimens without any physics modality.

    Args:
        job: The training run; it has physics.
        network: The joint training's; the features of its neural encoders are learned here first.
        restart: Number of this restart, from 0.
    """

    def __init__(self, job: TrainingRun, network: Network, restart: int) -> None:
        self.job, self.restart, self.several = job.alone(), restart, job.processes.several
        self.halted = False
        present = job.tensors.present
        physics = torch.stack([present[name] for name in job.options.physics]).any(0)
        # Of a modality that no specimen with a curve has nothing can be learned here.
        names = [name for name in job.options.neural if int((present[name] & physics).sum()) > 1]
        self.asked = self.known = torch.zeros(0, dtype=torch.long, device=job.device)
        if names and job.options.clusters > 1:
            self.features = Features(job, network, names)
            seen = self.features.known
            self.asked, self.known = seen[~physics[seen]], seen[physics[seen]]

    @property
    def needed(self) -> bool:
        """Whether there are specimens without a curve about which those with one say something."""
        return len(self.asked) > 0

    def run(self, gamma: Tensor) -> Tensor:
        """Responsibilities (specimen, cluster), float64; NaN for specimens with a curve, or with nothing in common.

        Ctrl-C, or a callback that asks to stop, ends it early; ``halted`` tells.

        Args:
            gamma: What the physics says, of the same shape.
        """
        job = self.job
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(job.seed(self.restart, 7))  # of the processor alone
            head = nn.Linear(self.features.width, job.options.clusters)
        head.to(job.device)
        try:
            self._learn(head, gamma.float())
        except KeyboardInterrupt:
            if self.several:
                raise  # the others wait for this one
            self.halted = True
        out = torch.full_like(gamma, torch.nan)
        out[self.asked] = self.features.everywhere(head, self.asked).double().softmax(1)
        return out

    def _learn(self, head: nn.Module, gamma: Tensor) -> None:
        job = self.job
        parameters = [*self.features.parameters(), *head.parameters()]
        optimiser = torch.optim.AdamW(parameters, _RATE, weight_decay=job.settings.weight_decay, fused=True)
        batches = max(1, round(len(self.known) / _BATCH))
        epochs = math.ceil(_STEPS / batches)
        occupancy = tuple(gamma[self.known].mean(0).tolist())
        for epoch in range(epochs):
            seed = job.seed(self.restart, 8, epoch)
            generator = torch.Generator(job.device).manual_seed(seed)
            total = torch.zeros((), device=job.device)
            for k, index in enumerate(job.batches(batches, seed, self.known)):
                share = (epoch + k / batches) / epochs
                for group in optimiser.param_groups:
                    group["lr"] = _RATE * job.rate(share) / job.settings.learning_rate
                views = self._view(index, generator)
                with job.autocast():
                    features = self.features(views, index)
                loss = -(gamma[index] * head(features.float()).log_softmax(1)).sum(1).mean()
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                total += loss.detach() / batches
            progress = Progress("curveless", self.restart, epoch + 1, epochs, -float(total), occupancy)
            if job.callback(progress) is True:
                self.halted = True
                return

    def _view(self, index: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Inputs of these specimens, pictures deformed anew."""
        inputs = self.job.augmented(index, generator, self.features.names)
        pictures = [name for name in inputs if self.job.specs[name].schema.kind == "image"]
        return inputs | {name: deform(inputs[name], generator) for name in pictures}
