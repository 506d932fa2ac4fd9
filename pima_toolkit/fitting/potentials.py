r"""Second phase of training: one encoder per modality learns the posterior of all modalities together.

.. math:: \mathcal L_i = \mathrm{KL}\big(q(c\mid X)\,\|\,\tilde q(c\mid X_i)\big)
          + \sum_c q(c\mid X)\,\mathrm{KL}\big(q(Z\mid X)\,\|\,\tilde q(Z\mid X_i,c)\big)

For a physics modality c needs no network, :math:`p(c \mid X_i) \propto \pi_c\,p(X_i \mid c)` (eq. 19): only the second
term is learned.

Where parameters vary with the latent, specimens are predicted from the mean of Z, and each dimension of the second term
is multiplied by :math:`\tilde v_{ic} / v_c`, its variance over the cluster's, without a gradient: the mean then learns
from all specimens alike, and not the less from one the more the encoder doubts it. There, too, encoders trained without
a share of the specimens say of those how far to believe an answer about a specimen that nobody has seen
(answers/trust/calibration.py).

``crossmodal="gaussian"`` is the paper's single Gaussian, which reads the cluster off Z for every modality;
``crossmodal="dropout"`` needs no second phase: modalities were dropped while the fused posterior was trained.
Source: Trask et al. 2022, section 2.4, eq. (18), with a mixture instead of one Gaussian. Erratum: eq. (18) prints its
-1 inside the sum over dimensions. The weight: Seitzer, Tavakoli, Antic, Martius 2022, ICLR, with their beta = 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..model.gaussian import DiagonalGaussian
from ..model.mixture import GaussianMixture
from ..model.modality import Modality, Neural
from ..model.network import Network, channels_last
from .options import ModelOptions
from .run import Progress, TrainingRun
from .state import below, load_optimiser, optimiser_arrays, taking_over, write_arrays

#: Where parameters vary with the latent, encoders that answer nobody are trained without a share of the specimens each,
#: as many of these as hold back enough specimens to tell how wide a band must be.
_SHARES, _ENOUGH = 4, 300
#: Fewer specimens than this are too few to hold any back.
_FEWEST = 40
#: Specimens that are too few to learn from alone: one batch.
_SOME = 16


def held_back(job: TrainingRun) -> list[Tensor]:
    """Draw the specimens (specimen,) that each of the encoders which calibrate the bands does not learn from.

    Empty where nothing varies with the latent, or those it could learn from are very few.
    """
    specimens = len(job.tensors)
    if not job.options.varies or int(taught(job).sum()) < _FEWEST:
        return []
    order = torch.randperm(specimens, generator=torch.Generator().manual_seed(job.seed(0, 12)))
    count = min(_SHARES, -(-_ENOUGH * _SHARES // specimens))
    return [torch.sort(share).values.to(job.device) for share in order.tensor_split(_SHARES)[:count]]


def taught(job: TrainingRun) -> Tensor:
    """Select the specimens that encoders of single modalities learn from, bool (specimen,).

    Where parameters vary with the latent not those with one modality, unless there are hardly any others: what all
    know of them is what that one guessed.
    """
    several = torch.stack(list(job.tensors.present.values())).sum(0) > 1
    return several if job.options.varies and int(several.sum()) >= _SOME else torch.ones_like(several)


def single_encoders(
    options: ModelOptions, shapes: Mapping[str, tuple[int, ...]], mixture: GaussianMixture, seed: int
) -> nn.ModuleList:
    """Build untrained encoders of single modalities, in the model's order; the global random state stays.

    Args:
        options: The model.
        shapes: Shape of one specimen's encoder input by modality.
        mixture: The trained prior.
        seed: Seed of their first weights.
    """

    def one(name: str, option: Modality) -> nn.Module:
        kind = option.encoder if isinstance(option, Neural) else "conv"
        return options.potential.encoder(shapes[name], options.latent_dim, mixture, kind)

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the processor's alone, as in model/network.py
        encoders = nn.ModuleList(one(name, option) for name, option in options.modalities.items())
    return channels_last(encoders).to(mixture.mean.device)


def fused_encoders(job: TrainingRun, network: Network, mixture: GaussianMixture) -> nn.ModuleList:
    """Copy the encoders of the fused posterior, which dropped modalities have taught to stand alone."""
    encoders = single_encoders(job.options, {name: t.shape for name, t in job.specs.items()}, mixture, 0)
    for single, encoder in zip(encoders, network.encoders, strict=True):
        single.get_submodule("encoder").load_state_dict(encoder.state_dict())
    return encoders.eval()


class CrossmodalTraining:
    """Train the encoders of single modalities on fixed targets.

    Args:
        job: The training run.
        mixture: The trained prior.
        posterior: q(Z given X) of all specimens, all modalities together.
        responsibilities: q(c given X), (specimen, cluster).
        restart: Number of the joint training they come from.
        share: Number of the share of :func:`held_back` they do not learn from; None: they learn from all.
    """

    def __init__(
        self,
        job: TrainingRun,
        mixture: GaussianMixture,
        posterior: DiagonalGaussian,
        responsibilities: Tensor,
        restart: int = 0,
        share: int | None = None,
    ) -> None:
        self.job = job
        self.restart = restart
        self.posterior = posterior.detach()
        self.gamma = responsibilities.detach().float()
        self.variance = mixture.variance.float()
        self.share = share
        kept = taught(job).clone()
        if share is not None:
            kept[held_back(job)[share]] = False
        self.known = torch.nonzero(kept).flatten()
        shapes = {name: spec.shape for name, spec in job.specs.items()}
        self.encoders = single_encoders(job.options, shapes, mixture, job.seed(0, 10))
        self.batches, _, self.epochs = job.steps(len(self.known))
        self.forward = job.processes.computed(self.encoders, self._losses)
        self.parameters = list(self.encoders.parameters())
        self.optimiser = job.optimiser(self.parameters)
        self.done = 0
        self.interrupted = False

    @property
    def path(self) -> Path | None:
        """File that the encoders are kept in; None without checkpoints."""
        name = f"crossmodal-{self.restart}" if self.share is None else f"calibration-{self.restart}-{self.share}"
        return None if self.job.checkpoint is None else self.job.checkpoint / f"{name}.safetensors"

    def run(self) -> CrossmodalTraining:
        """Train, or go on from the checkpoint; an interrupt keeps what there is."""
        saved = self.job.resumed(self.path)
        if saved is not None:
            arrays, meta = saved
            with taking_over(self.path):
                self.encoders.load_state_dict(below("encoders.", arrays))
                load_optimiser("networks", self.optimiser, self.parameters, arrays)
                self.done = meta["done"]
        phase = ("crossmodal", 0) if self.share is None else ("calibration", self.share)
        occupancy = tuple(self.gamma.double().mean(0).tolist())
        try:
            while self.done < self.epochs:
                loss = self._epoch()
                self.done += 1
                self._save()
                progress = Progress(*phase, self.done, self.epochs, -loss, occupancy)
                if self.job.callback(progress) is True:
                    self.interrupted = self.done < self.epochs
                    break
        except KeyboardInterrupt:
            if self.job.processes.several:
                raise
            self.interrupted = True
        self.encoders.eval()
        return self

    def _epoch(self) -> float:
        job = self.job
        seed = job.seed(0, 11, self.done)
        generator = job.generator(seed)
        self.encoders.train()
        total = torch.zeros((), dtype=torch.float64, device=job.device)
        for k, index in enumerate(job.batches(self.batches, seed, self.known)):
            for group in self.optimiser.param_groups:
                group["lr"] = job.rate((self.done + k / self.batches) / self.epochs)
            inputs = job.augmented(index, generator)
            loss = self.forward(inputs, index).mean()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            total += loss.detach().double() * len(index)
        job.processes.averaged(self.encoders.buffers())
        return float(job.processes.total(total)[0]) / len(self.known)

    def _losses(self, inputs: Mapping[str, Tensor], index: Tensor) -> Tensor:
        """Loss of each specimen, summed over its modalities, (specimen,)."""
        losses = []
        for name, encoder in zip(self.job.parts, self.encoders, strict=True):
            with self.job.autocast():
                log_gamma, embedding = encoder(inputs[name])
            present = self.job.tensors.present[name][index]
            losses.append(torch.where(present, self._loss(name, index, log_gamma, embedding), 0.0))
        return sum(losses[1:], start=losses[0])

    def _loss(self, name: str, index: Tensor, log_gamma: Tensor, embedding: DiagonalGaussian) -> Tensor:
        gamma, known = self.gamma[index], self.posterior[index][:, None]
        if self.job.options.varies:
            each = known[..., None].kl(embedding[..., None])
            apart = (embedding.variance.detach() / self.variance * each).sum(-1)
        else:
            apart = known.kl(embedding)
        loss = (gamma * apart).sum(1)
        # Eq. (18) has no cluster of its own to learn: it reads one off Z.
        if name in self.job.options.neural and self.job.options.potential.by_cluster:
            loss = loss + (gamma * (gamma.clamp_min(1e-12).log() - log_gamma)).sum(1)
        return loss

    def _save(self) -> None:
        if self.path is None or self.job.processes.rank:
            return
        arrays = {f"encoders.{name}": tensor for name, tensor in self.encoders.state_dict().items()}
        arrays |= optimiser_arrays("networks", self.optimiser, self.parameters)
        write_arrays(self.path, arrays, {"fingerprint": self.job.mark, "done": self.done})
