r"""How the networks learn: the evidence of all that was measured, and the curves' given the pictures.

.. math:: A(\text{all}) + \rho \sum_{\text{neural}} \mathbb E_q[\log p(X_i \mid Z)]
          - \mathbb E_q\Big[\sum_{\text{neural}} e_i - \log K_c\Big] + w\,[A(S \cup \text{physics}) - A(S)]

The last term is the log predictive score of the curves given the neural modalities S, a proper score. With
:math:`\rho < 1` the pixels of a picture count for less than independent measurements. The physics stays as it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import TrainingError
from ...model.elbo import neural_log_prob
from ...model.gaussian import DiagonalGaussian
from ...model.joint import Joint, Potential, expected, join, silenced
from ...model.mixture import GaussianMixture
from ...model.noise.reconstruction import LearnedNoise
from ...model.speaker import about_latent, said
from ..run import Progress, TrainingRun
from ..state import Arrays, History, below, load_optimiser, optimiser_arrays, write_arrays
from .frame import Frame
from .network import blank_network

#: Weight of the pictures' likelihood: their pixels are not independent measurements.
RECONSTRUCTION_WEIGHT = 0.01
#: Weight of the curves' predictive score.
PREDICTIVE_WEIGHT = 10.0
#: Share of the epochs in which populations keep the latent places that their laws gave them.
HELD = 0.5
#: Smallest and largest variance of a population along a latent axis.
LATENT_VARIANCE = 1e-2, 25.0
#: Longest gradient of a step.
LONGEST = 50.0
#: Steps of a training, and the fewest and most passes over the specimens that make them.
STEPS, EPOCHS = 800, (6, 60)


class NetworkLearning:
    """Train the networks on some of the specimens.

    Args:
        job: The training run.
        frame: The physics.
        curves: What the curves of all specimens say, in the frame.
        mixture: The populations' latent places.
        specimens: Those learned from, shape (n,), ascending.
        restart: Number of the restart.
        fold: Number of the fold whose specimens are held out; None: none is.
    """

    def __init__(
        self,
        job: TrainingRun,
        frame: Frame,
        curves: Potential,
        mixture: GaussianMixture,
        specimens: Tensor,
        restart: int,
        fold: int | None = None,
    ) -> None:
        self.job, self.frame, self.curves, self.mixture = job, frame, curves, mixture
        self.specimens, self.restart, self.fold = specimens, restart, fold
        shapes = {name: job.specs[name].shape for name in job.options.neural}
        self.key = (restart, 20 if fold is None else 21 + fold)
        self.network = blank_network(job.options, shapes, frame.size, job.seed(*self.key)).to(job.device)
        self.noise = dict.fromkeys(job.options.neural, 1.0)
        batch = min(job.settings.batch_size, max(16, len(specimens) // 8))
        self.batches = max(1, min(math.ceil(len(specimens) / batch), len(specimens) // (2 * job.processes.count)))
        least, most = EPOCHS
        self.epochs = job.settings.epochs or min(most, max(least, math.ceil(STEPS / self.batches)))
        self.forward = job.processes.computed(self.network, self._terms)
        self.parameters = list(self.network.parameters())
        self.optimiser = job.optimiser(self.parameters)
        self.history = History()
        self.done = 0
        self.halted = self.interrupted = False

    @property
    def path(self) -> Path | None:
        """File that the networks are kept in; None without checkpoints."""
        name = f"networks-{self.restart}" if self.fold is None else f"fold-{self.restart}-{self.fold}"
        return None if self.job.checkpoint is None else self.job.checkpoint / f"{name}.safetensors"

    def run(self) -> NetworkLearning:
        """Train, or go on from the checkpoint; an interrupt keeps what there is."""
        saved = self.job.resumed(self.path)
        if saved is not None:
            self._load(*saved)
        try:
            while self.done < self.epochs and not self.halted:
                self._epoch()
                self._save()
        except KeyboardInterrupt:
            if self.job.processes.several:
                raise
            self.interrupted = True
        self.network.eval()
        return self

    def _load(self, arrays: Arrays, meta: dict) -> None:
        device = self.job.device
        self.network.load_state_dict(below("network.", arrays))
        load_optimiser("networks", self.optimiser, self.parameters, arrays)
        self.mixture = GaussianMixture(
            *(arrays[f"mixture.{name}"].to(device) for name in ("log_weights", "mean", "variance"))
        )
        self.noise, self.done, self.history.rows = meta["noise"], meta["done"], meta["history"]

    def _save(self) -> None:
        if self.path is None or self.job.processes.rank:
            return
        arrays = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        arrays |= optimiser_arrays("networks", self.optimiser, self.parameters)
        for name in ("log_weights", "mean", "variance"):
            arrays[f"mixture.{name}"] = getattr(self.mixture, name)
        meta = {"noise": self.noise, "done": self.done, "history": self.history.rows}
        write_arrays(self.path, arrays, {"fingerprint": self.job.mark, **meta})

    def _epoch(self) -> None:
        began, job, options = time.perf_counter(), self.job, self.job.options
        seed = job.seed(*self.key, self.done)
        generator = job.generator(seed)
        self.network.train()
        clusters, latent = options.clusters, options.latent_dim
        sums: dict[str, Tensor] = {}
        zeros = torch.zeros(clusters, latent, dtype=torch.float64, device=job.device)
        weight, first, second = zeros[:, 0].clone(), zeros.clone(), zeros.clone()
        for k, index in enumerate(job.batches(self.batches, seed, self.specimens)):
            rate = job.rate((self.done + k / self.batches) / self.epochs)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            terms, gamma, latents = self.forward(index, generator)
            latents = DiagonalGaussian(*latents)
            bound = sum(terms.values()) - terms["predictive"]
            loss = -(bound + PREDICTIVE_WEIGHT * terms["predictive"]).mean()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, LONGEST)
            self.optimiser.step()
            with torch.no_grad():
                for name, term in terms.items():
                    sums[name] = sums.get(name, 0.0) + term.detach().sum()
                part = gamma[..., None]
                weight += gamma.sum(0)
                first += (part * latents.mean).sum(0)
                second += (part * (latents.variance + latents.mean.square())).sum(0)
        job.processes.averaged(self.network.buffers())
        weight, first, second, *totals = job.processes.total(weight, first, second, *sums.values())
        means = {name: float(total) / len(self.specimens) for name, total in zip(sums, totals, strict=True)}
        elbo = sum(means.values()) - means["predictive"]
        if not math.isfinite(elbo):
            raise TrainingError(
                f"training diverged in epoch {self.done + 1}: the bound is {elbo}; lower learning_rate "
                f"(it was {job.settings.learning_rate:g})"
            )
        self._learn(means, weight, first, second)
        self.done += 1
        shares = self.mixture.log_weights.exp().tolist()
        seconds = time.perf_counter() - began
        self.history.add(elbo=elbo, terms=means, consistency=0.0, occupancy=shares, reseeded=0, learning_rate=rate,
                         seconds=seconds)  # fmt: skip
        phase = ("joint", self.restart) if self.fold is None else ("held_out", self.fold)
        progress = Progress(*phase, self.done, self.epochs, elbo, tuple(shares))
        self.halted = job.callback(progress) is True

    def _terms(
        self, index: Tensor, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor, tuple[Tensor, Tensor]]:
        """Terms of the objective of a batch by name, (n,); responsibilities; mean and variance of q(Z given c, X)."""
        job, frame = self.job, self.frame
        names = list(job.options.neural)
        inputs = job.augmented(index, generator, names)
        present = {name: job.tensors.present[name][index] for name in names}
        with job.autocast():
            spoken = {name: self.network.speak(name, inputs[name]) for name in names}
        parts = {name: [part * present[name][:, None] for part in said_] for name, said_ in spoken.items()}
        curves = self.curves.at(index)
        everything = _sum(parts, {name: torch.ones_like(flags, dtype=torch.float64) for name, flags in present.items()})
        quiet = silenced(everything, frame.prior)
        joint = join(frame.log_weights, curves + quiet, frame.prior)
        gamma = joint.log_gamma.exp()
        latents = about_latent([torch.stack(p).sum(0) for p in zip(*parts.values(), strict=True)], self._places)
        chosen = torch.multinomial(gamma.detach().float(), 1, generator=generator)[:, 0]
        rows = torch.arange(len(index), device=index.device)
        noise = torch.randn(len(index), latents.mean.shape[-1], generator=generator, device=index.device)
        z = latents[rows, chosen].sample(noise.double()).float()
        with job.autocast():
            drawn = {name: self.network.decode(name, z) for name in names}
        terms = {
            f"neural:{name}": RECONSTRUCTION_WEIGHT
            * neural_log_prob(inputs[name], mean, self.noise[name], present[name]).double()
            for name, mean in drawn.items()
        }
        terms["evidence"] = joint.evidence
        terms["heard"] = -(gamma * expected(quiet, joint.deviation)).sum(1)
        terms["latent"] = -(gamma * latents.kl(self._places)).sum(1)
        terms["predictive"] = self._predictive(parts, present, everything, joint, curves, generator)
        return terms, gamma.detach(), (latents.mean.detach(), latents.variance.detach())

    @property
    def _places(self) -> DiagonalGaussian:
        return self.mixture.components

    def _predictive(
        self,
        parts: Mapping[str, list[Tensor]],
        present: Mapping[str, Tensor],
        everything: Potential,
        joint: Joint,
        curves: Potential,
        generator: torch.Generator,
    ) -> Tensor:
        """log p(curves given a subset of the neural modalities), (n,): of several a subset is drawn each time."""
        frame = self.frame
        if len(parts) == 1:
            # Silenced, the logarithm of E f is what was said of the population.
            return joint.evidence - (frame.log_weights + everything.constant).logsumexp(1)
        flags = torch.stack(list(present.values()), 1)
        drawn = torch.rand(flags.shape, generator=generator, device=flags.device)
        # At least the modality that was drawn first, each other one with even chances.
        first = drawn.masked_fill(~flags, -1.0).argmax(1, keepdim=True)
        used = (drawn > 0.5).scatter(1, first, True).double()
        some = _sum(parts, dict(zip(parts, used.unbind(1), strict=True)))
        after = join(frame.log_weights, curves + silenced(some, frame.prior), frame.prior).evidence
        return after - (frame.log_weights + some.constant).logsumexp(1)

    def _learn(self, means: Mapping[str, float], weight: Tensor, first: Tensor, second: Tensor) -> None:
        """M-step of latent places and of the noise of pictures."""
        job, mixture = self.job, self.mixture
        share = (weight + 1e-3)[:, None]
        mean = mixture.mean if self.done < HELD * self.epochs else first / share
        about = second / share - 2.0 * mean * first / share + mean.square()
        self.mixture = GaussianMixture(mixture.log_weights, mean, about.clamp(*LATENT_VARIANCE))
        for name in job.options.neural:
            known = job.tensors.present[name][self.specimens].double().mean().item()
            if known > 0.0:
                points = math.prod(job.specs[name].shape)
                log_prob = means[f"neural:{name}"] / RECONSTRUCTION_WEIGHT / known
                self.noise[name] = LearnedNoise().update(self.noise[name], log_prob, points)


def _sum(parts: Mapping[str, list[Tensor]], used: Mapping[str, Tensor]) -> Potential:
    """What several modalities say together, each weighed by a number for each specimen."""
    return said(
        [sum((part[k] * used[name][:, None] for name, part in parts.items()), start=torch.zeros(())) for k in range(3)]
    )
