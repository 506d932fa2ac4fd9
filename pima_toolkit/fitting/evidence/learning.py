r"""How the networks learn: the evidence of all that was measured, and the curves' given the pictures.

.. math:: A(\text{all}) - \mathbb E_q\Big[\sum_{\text{neural}} e_i - \log K_c\Big]
          + w\,[A(S \cup \text{physics}) - A(S)]

The last term is the log predictive score of the curves given the neural modalities S, a proper score. The physics
stays as it is, and so do the latent places that it gives to populations. Beside this, encoders and decoders of their
own learn to draw what was measured, in the places that responsibilities tell, by the bound

.. math:: \sum_{\text{neural}} \rho_i\, \mathbb E_q[\log p(X_i \mid Z)]
          - \sum_c \gamma_c \operatorname{KL}\big(q(Z \mid c, X) \,\|\, p(Z \mid c)\big).

Nothing of it comes back into what is said of curves: what draws a picture well need not tell its curve.
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
from ...model.joint import Joint, Potential, expected, join, silenced
from ...model.mixture import GaussianMixture
from ...model.noise.reconstruction import LearnedNoise
from ...model.speaker import about_latent, said
from ..run import Progress, TrainingRun
from ..state import Arrays, History, below, load_optimiser, optimiser_arrays, taking_over, write_arrays
from .frame import Frame
from .network import blank_network

#: Pixels are not independent measurements, the less the more of them a picture has: the weight of its likelihood is
#: this over the root of their number.
DRAWING_WEIGHT = 2.5
#: Weight of the curves' predictive score.
PREDICTIVE_WEIGHT = 10.0
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
        mixture: The populations' latent places, where they stay.
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
        # What is held out is what was said: only the networks of the whole fit learn to draw.
        self.draws = fold is None
        network = blank_network(job.options, shapes, frame.size, job.seed(*self.key), draws=self.draws)
        self.network = network.to(job.device)
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
            with taking_over(self.path):
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
        self.network.load_state_dict(below("network.", arrays))
        load_optimiser("networks", self.optimiser, self.parameters, arrays)
        self.noise, self.done, self.history.rows = meta["noise"], meta["done"], meta["history"]

    def _save(self) -> None:
        if self.path is None or self.job.processes.rank:
            return
        arrays = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        arrays |= optimiser_arrays("networks", self.optimiser, self.parameters)
        meta = {"noise": self.noise, "done": self.done, "history": self.history.rows}
        write_arrays(self.path, arrays, {"fingerprint": self.job.mark, **meta})

    def _epoch(self) -> None:
        began, job, options = time.perf_counter(), self.job, self.job.options
        seed = job.seed(*self.key, self.done)
        generator = job.generator(seed)
        self.network.train()
        sums: dict[str, Tensor] = {}
        weight = torch.zeros(options.clusters, dtype=torch.float64, device=job.device)
        for k, index in enumerate(job.batches(self.batches, seed, self.specimens)):
            rate = job.rate((self.done + k / self.batches) / self.epochs)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            terms, gamma = self.forward(index, generator)
            bound = sum(terms.values()) - terms["predictive"]
            loss = -(bound + PREDICTIVE_WEIGHT * terms["predictive"]).mean()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            # Apart: a long gradient of what draws must not shorten the other's, which folds are trained without.
            drawing = [*self.network.encoders.parameters(), *self.network.decoders.parameters()]
            for part in filter(None, (list(self.network.speakers.parameters()), drawing)):
                nn.utils.clip_grad_norm_(part, LONGEST)
            self.optimiser.step()
            with torch.no_grad():
                for name, term in terms.items():
                    sums[name] = sums.get(name, 0.0) + term.detach().sum()
                weight += gamma.sum(0)
        job.processes.averaged(self.network.buffers())
        weight, *totals = job.processes.total(weight, *sums.values())
        means = {name: float(total) / len(self.specimens) for name, total in zip(sums, totals, strict=True)}
        elbo = sum(means.values()) - means["predictive"]
        if not math.isfinite(elbo):
            raise TrainingError(
                f"training diverged in epoch {self.done + 1}: the bound is {elbo}; lower learning_rate "
                f"(it was {job.settings.learning_rate:g})"
            )
        if self.draws:
            self._learn_noise(means)
        self.done += 1
        shares = (weight / weight.sum()).tolist()
        seconds = time.perf_counter() - began
        self.history.add(elbo=elbo, terms=means, consistency=0.0, occupancy=shares, reseeded=0, learning_rate=rate,
                         seconds=seconds)  # fmt: skip
        phase = ("joint", self.restart) if self.fold is None else ("held_out", self.fold)
        progress = Progress(*phase, self.done, self.epochs, elbo, tuple(shares))
        self.halted = job.callback(progress) is True

    def _terms(self, index: Tensor, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of the objective of a batch by name, (n,), and responsibilities."""
        job, frame = self.job, self.frame
        names = list(job.options.neural)
        inputs = job.augmented(index, generator, names)
        present = {name: job.tensors.present[name][index] for name in names}
        with job.autocast():
            spoken = {name: self.network.speak(name, inputs[name]) for name in names}
        parts = {name: [part * present[name][:, None] for part in one] for name, one in spoken.items()}
        curves = self.curves.at(index)
        everything = _sum(parts, {name: torch.ones_like(flags, dtype=torch.float64) for name, flags in present.items()})
        quiet = silenced(everything, frame.prior)
        joint = join(frame.log_weights, curves + quiet, frame.prior)
        gamma = joint.log_gamma.exp()
        terms = self._drawn(inputs, present, gamma.detach(), generator) if self.draws else {}
        terms["evidence"] = joint.evidence
        terms["heard"] = -(gamma * expected(quiet, joint.deviation)).sum(1)
        terms["predictive"] = self._predictive(parts, present, everything, joint, curves, generator)
        return terms, gamma.detach()

    def _drawn(
        self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor], gamma: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Terms of the bound on what was measured without physics, by name, (n,)."""
        job, places = self.job, self.mixture.components
        with job.autocast():
            own = [self.network.embed(name, x) for name, x in inputs.items()]
        latents = about_latent(own, list(present.values()), places)
        chosen = torch.multinomial(gamma.float(), 1, generator=generator)[:, 0]
        rows = torch.arange(len(gamma), device=gamma.device)
        noise = torch.randn(len(gamma), latents.mean.shape[-1], generator=generator, device=gamma.device)
        z = latents[rows, chosen].sample(noise.double()).float()
        with job.autocast():
            means = {name: self.network.decode(name, z) for name in inputs}
        terms = {
            f"neural:{name}": self._weight(name)
            * neural_log_prob(inputs[name], mean, self.noise[name], present[name]).double()
            for name, mean in means.items()
        }
        terms["latent"] = -(gamma * latents.kl(places)).sum(1)
        return terms

    def _weight(self, name: str) -> float:
        return min(1.0, DRAWING_WEIGHT / math.sqrt(math.prod(self.job.specs[name].shape)))

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

    def _learn_noise(self, means: Mapping[str, float]) -> None:
        """Noise of pictures about what is drawn, from the means of the terms."""
        job = self.job
        for name in job.options.neural:
            known = job.tensors.present[name][self.specimens].double().mean().item()
            if known > 0.0:
                log_prob = means[f"neural:{name}"] / self._weight(name) / known
                self.noise[name] = LearnedNoise().update(self.noise[name], log_prob, math.prod(job.specs[name].shape))


def _sum(parts: Mapping[str, list[Tensor]], used: Mapping[str, Tensor]) -> Potential:
    """What several modalities say together, each weighed by a number for each specimen."""
    return said(
        [sum((part[k] * used[name][:, None] for name, part in parts.items()), start=torch.zeros(())) for k in range(3)]
    )
