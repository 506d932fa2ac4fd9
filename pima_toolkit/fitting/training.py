"""Joint training (Algorithm 1): EM in closed form for clusters and experts and Adam for the networks, in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..model.effects.latent import Trend
from ..model.elbo import neural_log_prob
from ..model.evidence import Evidence
from ..model.fusion import drop_modalities
from ..model.gaussian import DiagonalGaussian
from ..model.mixture import GaussianMixture
from ..model.network import build
from ..model.noise.reconstruction import RECONSTRUCTION
from ..model.physics import PhysicsDecoder
from .em.gradient import AdamExperts
from .em.health import duplicate_clusters, empty_clusters, reseed
from .em.physics import UPDATES, EpochStatistics, update_mixture, update_physics
from .em.steps import log_prior as parameter_prior
from .inputs.tensors import keep_freed_memory
from .objective import objective, physics_of_z, released, with_held
from .run import Progress, TrainingRun, physics_log_prob
from .starts.initialise import blank_decoder
from .starts.start import first_start
from .state import Arrays, History, State, load_optimiser, optimiser_arrays, taking_over, write_arrays

#: Share of the epochs in which parameters that vary with the latent keep the slope they started with.
_HELD = 0.2


class JointTraining:
    """First phase of training: networks, clusters and experts together.

    Args:
        job: The training run.
        restart: Number of this restart, from 0.
    """

    def __init__(self, job: TrainingRun, restart: int) -> None:
        keep_freed_memory()
        self.job, self.restart = job, restart
        options, tensors = job.options, job.tensors
        self.batches, self.epochs, _ = job.steps(len(tensors))
        shapes = {name: spec.shape for name, spec in job.specs.items()}
        self.network = build(
            job.seed(restart, 0), options.modalities, shapes, options.latent_dim, prior_expert=options.prior_expert
        ).to(job.device)
        clusters, latent = options.clusters, options.latent_dim
        standard = torch.zeros(clusters, latent, dtype=torch.float64, device=job.device)
        mixture = GaussianMixture(standard[:, 0] - math.log(clusters), standard, torch.ones_like(standard))
        decoders = {
            name: self._vary(name, blank_decoder(option, job.specs[name], tensors.curves[name], clusters))
            for name, option in options.physics.items()
        }
        self.state = State(self.network, mixture, decoders, dict.fromkeys(options.neural, 1.0))
        self.forward = job.processes.computed(self.network, self._forward)
        self.history = History()
        self.done = 0
        self.stopped = False
        self.parameters = list(self.network.parameters())
        self.optimiser = job.optimiser(self.parameters)
        # What the curves say under the decoders of the last M-step, by modality.
        self.evidence = job.joined([])
        self.posterior: DiagonalGaussian | None = None
        self.gamma: Tensor | None = None
        # Responsibilities that were found before training and are held meanwhile, (specimen, cluster); NaN elsewhere.
        self.held: Tensor | None = None
        self.update = UPDATES[job.settings.update]
        self.experts: AdamExperts | None = None
        self.halted = False
        self.interrupted = False

    @property
    def path(self) -> Path | None:
        """File that this restart is kept in; None without checkpoints."""
        folder = self.job.checkpoint
        return None if folder is None else folder / f"restart-{self.restart}.safetensors"

    @property
    def begun(self) -> bool:
        """Whether there is something of it to go on with."""
        return self.path is not None and self.path.exists()

    @property
    def merit(self) -> float:
        """Number that restarts are chosen by: the last epoch's ELBO with the parameters' priors, nats per specimen."""
        if not self.history.rows:
            return -math.inf
        known = sum(float(parameter_prior(decoder).sum()) for decoder in self.state.decoders.values())
        return self.history.rows[-1]["elbo"] + known / len(self.job.tensors)

    def run(self) -> JointTraining:
        """Train, or go on from the checkpoint; an interrupt keeps what there is, in the middle of an epoch too."""
        saved = self.job.resumed(self.path)
        if saved is not None and saved[1].get("halted") and not self.halted:
            saved = None  # stopped while first clusters were sought: half of a search is no start
        if saved is None:
            self._initialise()
        else:
            with taking_over(self.path):
                self._load(*saved)
        self.evidence = self.job.evidence(self.state.decoders)
        if saved is None:
            self._make_experts()
            self._save()
        try:
            while self.done < self.epochs and not (self.stopped or self.halted):
                self._epoch()
                self._save()
        except KeyboardInterrupt:
            if self.job.processes.several:
                raise  # the others are anywhere in an epoch
            self.interrupted = True
        # A last E- and M-step, with nothing held, so that clusters and experts belong to the final networks.
        self.held = None
        self._e_and_m_step(self.job.encode(self.network), seeds=False)
        return self

    def _load(self, arrays: Arrays, meta: dict) -> None:
        self.state.load(arrays)
        self._make_experts()
        if self.experts is not None:
            # To the bit: bounded parameters come back from theta a rounding apart.
            for name, phi in self.experts.phi.items():
                phi.data.copy_(arrays[f"phi.{name}"])
        for prefix, optimiser, parameters in self._optimisers():
            load_optimiser(prefix, optimiser, parameters, arrays)
        self.history.rows, self.done, self.stopped = meta["history"], meta["done"], meta["stopped"]
        if self.done == 0 or self.job.settings.em == "online":
            self.gamma = arrays["gamma"].to(self.job.device)
        if "anchor" in arrays:
            self.held = arrays["anchor"].to(self.job.device)

    def _vary(self, name: str, decoder: PhysicsDecoder) -> PhysicsDecoder:
        if not self.job.options.physics[name].varies:
            return decoder
        return replace(decoder, trend=Trend.start(decoder.scatter, self.job.options.latent_dim))

    def _make_experts(self) -> None:
        if self.update.learner is not None and self.state.decoders:
            self.experts = self.update.learner(self.state.decoders, self.job.settings.learning_rate)

    def _optimisers(self) -> Iterator[tuple[str, torch.optim.Optimizer, list[nn.Parameter]]]:
        yield "networks", self.optimiser, self.parameters
        if self.experts is not None:
            yield "experts", self.experts.optimiser, self.experts.parameters

    # -- before the first epoch ------------------------------------------------------------------------------------

    def _initialise(self) -> None:
        start = first_start(self.job, self.network, self.state.mixture, self.restart, self._reconstruct)
        self.gamma, self.held, self.halted = start.gamma, start.held, start.halted
        self.state.decoders |= {name: self._vary(name, decoder) for name, decoder in start.decoders.items()}

    def _reconstruct(self) -> DiagonalGaussian:
        """Train a few epochs under a standard normal prior; return q(Z given X) of all specimens."""
        for epoch in range(max(3, self.epochs // 8)):
            self._network_step(self.job.seed(self.restart, 2, epoch), self.job.rate(0.3), consistency=0.0)
        return self.job.encode(self.network)

    # -- one epoch -------------------------------------------------------------------------------------------------

    def _epoch(self) -> None:
        began = time.perf_counter()
        job = self.job
        reseeded: list[int] = []
        if job.settings.em == "epoch" or self.done == 0:
            # Late seeds would not have the time to settle.
            seeds = self.done <= self.epochs // 2
            reseeded = self._e_and_m_step(job.encode(self.network), seeds=seeds)
        rate = job.rate(self.done / self.epochs)
        record = self._network_step(job.seed(self.restart, 3, self.done), None, consistency=job.options.consistency)
        if job.settings.em == "online":
            early = self.done < self.epochs // 2 and self._may_seed
            if early and (empty_clusters(self.gamma) or duplicate_clusters(self.gamma)):
                reseeded = self._e_and_m_step(job.encode(self.network), seeds=True)
            else:
                self._m_step_of_experts(self.gamma, self.posterior)
        if not math.isfinite(record["elbo"]):
            raise TrainingError(
                f"training diverged in epoch {self.done + 1}: the ELBO is {record['elbo']}; lower learning_rate "
                f"(it was {job.settings.learning_rate:g})"
            )
        self.done += 1
        occupancy = self.state.mixture.log_weights.exp().tolist()
        self.history.add(
            **record,
            occupancy=occupancy,
            reseeded=len(reseeded),
            learning_rate=rate,
            seconds=time.perf_counter() - began,
        )
        progress = Progress("joint", self.restart, self.done, self.epochs, record["elbo"], tuple(occupancy))
        self.halted = job.callback(progress) is True
        self.stopped = self._stands_still()

    @property
    def _may_seed(self) -> bool:
        # Without physics every specimen is held, and a cluster that nobody is held in has no claim to any.
        return self.held is None or bool(self.job.options.physics)

    def _stands_still(self) -> bool:
        patience = self.job.settings.patience
        values = [row["elbo"] for row in self.history.rows]
        return patience is not None and len(values) > patience and max(values[-patience:]) <= max(values[:-patience])

    def _e_step(self, posterior: DiagonalGaussian) -> tuple[Tensor, Tensor]:
        """Responsibilities (specimen, cluster) and log evidence (specimen,) under the present parameters."""
        options, mixture = self.job.options, self.state.mixture
        log_prior, log_physics = mixture.expected_log_prob(posterior), physics_log_prob(self.evidence, posterior)
        joint = options.rule.joint(mixture, log_prior, log_physics, options.beta)
        return with_held(joint.log_softmax(1), self.held).exp(), joint.logsumexp(1)

    def _e_and_m_step(self, posterior: DiagonalGaussian, *, seeds: bool) -> list[int]:
        """Make one E-step and one M-step over all specimens; return the clusters seeded anew."""
        reseeded: list[int] = []
        if self.done > 0:
            self.gamma, evidence = self._e_step(posterior)
            if seeds and self._may_seed:
                if self.held is not None:
                    # Who is held somewhere is no seed.
                    evidence = evidence.masked_fill(~self.held.isnan().any(1), torch.inf)
                self.gamma, reseeded = reseed(self.gamma, evidence)
                self.held = released(self.held, reseeded)
        own = self.job.own
        self.state.mixture = update_mixture(self.state.mixture, posterior[own], self.gamma[own], self.job.processes)
        self._m_step_of_experts(self.gamma, posterior)
        return reseeded

    def _m_step_of_experts(self, gamma: Tensor, posterior: DiagonalGaussian) -> None:
        job = self.job
        # Regressed on encoders that know nothing yet, the slope would vanish, and nothing would bring it back: the
        # encoders learn the directions it starts with first.
        slope = self.done >= _HELD * self.epochs
        own: list[Evidence] = []
        for k, (name, option) in enumerate(job.options.physics.items()):
            self.state.decoders[name], evidence = update_physics(
                self.state.decoders[name],
                job.own_curves[name],
                gamma[job.own],
                scattered=option.scattered,
                update=self.update,
                slope=slope,
                posterior=posterior[job.own],
                components=self.state.mixture.components,
                processes=job.processes,
                # Adam has moved the parameters since.
                evidence=self.evidence[k].at(job.own) if self.experts is None else None,
            )
            own.append(evidence)
        self.evidence = job.joined(own)

    def _network_step(self, seed: int, rate: float | None, *, consistency: float) -> dict:
        """Make one pass of Adam over all specimens; return the bound's terms. ``rate`` None follows the schedule."""
        job, state, options = self.job, self.state, self.job.options
        generator = job.generator(seed)
        self.network.train()
        sums: dict[str, Tensor] = {}
        online = job.settings.em == "online" and rate is None
        collected = EpochStatistics(len(job.tensors), options.clusters, options.latent_dim, job.device)
        experts = self.experts if rate is None else None
        if experts is not None:
            experts.begin(state.decoders)
        for k, index in enumerate(job.batches(self.batches, seed)):
            share = (self.done + k / self.batches) / self.epochs
            for group in self.optimiser.param_groups:
                group["lr"] = job.rate(share) if rate is None else rate
            inputs = job.augmented(index, generator)
            present = {name: flag[index] for name, flag in job.tensors.present.items()}
            used = drop_modalities(present, generator) if options.potential.drops else present
            noise = torch.randn(len(index), options.latent_dim, generator=generator, device=job.device)
            mean, variance, z, decoded = self.forward(inputs, used, noise)
            posterior = DiagonalGaussian(mean, variance)
            neural = {
                name: neural_log_prob(inputs[name], mean, state.noise[name], present[name])
                for name, mean in decoded.items()
            }
            evidence = [part.at(index) for part in self.evidence] if experts is None else []
            if experts is None:
                log_physics = physics_log_prob(evidence, posterior)
            else:
                log_physics = experts.log_prob(job.tensors.curves, index)
            held = None if self.held is None else self.held[index]
            elbo, gap, log_gamma = objective(options, state.mixture, neural, log_physics, posterior, z, held)
            loss = (consistency * gap - elbo.total).mean()
            loss = loss - max(consistency - 1.0, 0.0) * physics_of_z(evidence, log_physics, log_gamma)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            if experts is not None:
                job.processes.averaged(phi.grad for phi in experts.parameters)
                experts.step(self.optimiser.param_groups[0]["lr"])
            for name, term in {**elbo.terms(), "consistency": gap}.items():
                sums[name] = sums.get(name, 0.0) + term.detach().double().sum()
            if online:
                collected.add(index, posterior.detach(), log_gamma.detach().exp())
        job.processes.averaged(self.network.buffers())
        if experts is not None:
            state.decoders = experts.decoders()
        if online:
            statistics, self.posterior, self.gamma = collected.over(job.processes)
            state.mixture = statistics.finish(state.mixture)
        # The only wait for the device in an epoch.
        totals = job.processes.total(*sums.values())
        means = {name: float(total) / len(job.tensors) for name, total in zip(sums, totals, strict=True)}
        self._learn_noise(means)
        gap = means.pop("consistency")
        return {"elbo": sum(means.values()), "terms": means, "consistency": gap}

    def _forward(
        self, inputs: Mapping[str, Tensor], present: Mapping[str, Tensor], noise: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, Tensor]]:
        """Compute mean and variance of q(Z given X), a sample of Z, and its reconstruction by each neural decoder."""
        with self.job.autocast():
            posterior = self.network.posterior(inputs, present)
            z = posterior.sample(noise)
            decoded = {name: self.network.decode(name, z) for name in self.job.options.neural}
        return posterior.mean, posterior.variance, z, decoded

    def _learn_noise(self, means: Mapping[str, float]) -> None:
        """Update the noise variance of each neural modality from its term of the epoch's ELBO."""
        for name, option in self.job.options.neural.items():
            rule = RECONSTRUCTION[option.noise]
            present = self.job.tensors.present[name].double().mean().item()
            points = math.prod(self.job.specs[name].shape)
            self.state.noise[name] = rule.update(self.state.noise[name], means[f"neural:{name}"] / present, points)

    def _save(self) -> None:
        if self.path is None or self.job.processes.rank:
            return
        arrays = self.state.arrays()
        for prefix, optimiser, parameters in self._optimisers():
            arrays |= optimiser_arrays(prefix, optimiser, parameters)
        if self.experts is not None:
            arrays |= {f"phi.{name}": phi for name, phi in self.experts.phi.items()}
        if self.gamma is not None:
            arrays["gamma"] = self.gamma
        if self.held is not None:
            arrays["anchor"] = self.held
        meta = {"fingerprint": self.job.mark, "history": self.history.rows, "done": self.done, "stopped": self.stopped}
        write_arrays(self.path, arrays, meta | {"halted": self.halted and self.done == 0})
