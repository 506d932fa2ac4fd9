r"""Choosing the number of clusters: likelihood of held-out specimens, and agreement between restarts.

Every candidate number of clusters is trained several times. Each restart draws its own start and holds out another part
of the specimens, whose mean ELBO under the trained model,

.. math:: \frac1{N_\text{out}}\sum_{d\,\text{out}} \Big[\sum_{\text{neural}} \mathbb E_{q(Z)}\log p(X_i \mid Z)
          + \sum_c \gamma_c \log p(X_\text{physics} \mid c) + \dots\Big],

has the terms of the training's own objective (model/elbo.py), seen from specimens it has not learned from: here a
cluster too many gains nothing. All specimens, those held out too, are then assigned by q(c given X), and the
assignments of the restarts are compared.

Source: held-out likelihood, Smyth 2000, Statistics and Computing 10, 63; stability, von Luxburg 2010.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from ..data import Measurement
from ..data.files import write_text
from ..errors import DataError
from ..model.elbo import neural_log_prob
from .inputs.laws import learn_laws
from .inputs.spec import InputSpec, learn_specs
from .inputs.stored import looked_at
from .inputs.tensors import Tensors, to_tensors
from .objective import objective
from .options import ModelOptions, TrainingSettings
from .passes import encode
from .restarts import training
from .run import Progress, TrainingRun, mark_of, physics_evidence, physics_log_prob
from .state import State, fingerprint
from .training import JointTraining

#: Samples of Z behind the neural terms of a held-out specimen.
_SAMPLES, _CHUNK = 8, 1024

#: (number of clusters, restart)
Task = tuple[int, int]


@torch.no_grad()
def specimen_elbo(
    state: State, options: ModelOptions, tensors: Tensors, autocast: torch.autocast, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Compute the ELBO of every specimen under a trained model, and its responsibilities.

    Args:
        state: The model.
        options: Options it was trained with.
        tensors: Specimens, trained on or not.
        autocast: Precision of the networks.
        seed: Seed of the samples of Z, which all specimens share.

    Returns:
        ELBO (specimen,) in nats, and responsibilities (specimen, cluster), float64.
    """
    mixture = state.mixture
    if options.by_evidence:
        joint = mixture.log_weights + sum(
            decoder.log_prob(tensors.curves[name]) for name, decoder in state.decoders.items()
        )
        return joint.logsumexp(1), joint.softmax(1)
    state.network.eval()
    posterior = encode(state.network, tensors, autocast)
    evidence = physics_evidence(state.decoders, tensors, len(mixture.log_weights))
    log_physics = physics_log_prob(evidence, posterior)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(_SAMPLES, posterior.mean.shape[1], generator=generator).to(posterior.mean.device)
    total, shares = posterior.mean.new_zeros(()), posterior.mean.new_zeros(())
    for one in noise:
        z = posterior.sample(one)
        neural = {name: _neural(state, name, tensors, z, autocast) for name in options.neural}
        elbo, _, log_gamma = objective(options, mixture, neural, log_physics, posterior, z, None)
        total = total + elbo.total.double() / _SAMPLES
        shares = shares + log_gamma.exp() / _SAMPLES
    return total, shares


def _neural(state: State, name: str, tensors: Tensors, z: Tensor, autocast: torch.autocast) -> Tensor:
    pieces = []
    for part in looked_at(tensors.inputs[name], most=_CHUNK):
        with autocast:
            decoded = state.network.decode(name, z[part])
        pieces.append(
            neural_log_prob(tensors.inputs[name][part], decoded, state.noise[name], tensors.present[name][part])
        )
    return torch.cat(pieces)


def held_out(specimens: int, share: float, seed: int, restart: int) -> tuple[Tensor, Tensor]:
    """Draw specimens to train on and others to hold out, different in each restart: (train,), (out,), sorted.

    Args:
        specimens: How many there are.
        share: Share of the specimens to hold out.
        seed: Seed of the shuffle, the same for every number of clusters.
        restart: Number of the part; after all parts it begins again.
    """
    folds = max(2, round(1.0 / share))
    order = torch.randperm(specimens, generator=torch.Generator().manual_seed(seed))
    parts = order.tensor_split(folds)
    out = parts[restart % folds]
    kept = torch.ones(specimens, dtype=torch.bool)
    kept[out] = False
    return torch.nonzero(kept).flatten(), torch.sort(out).values


@dataclass
class Candidates:
    """Work done with each (number of clusters, restart); plain data, so that it can go to other processes.

    Args:
        options: The model; its own number of clusters does not count.
        settings: How it is trained.
        measurements: All modalities of all specimens.
        share: Share of the specimens to hold out.
        folder: Where results are kept, and checkpoints while they are made; None: nowhere.
    """

    options: ModelOptions
    settings: TrainingSettings
    measurements: Mapping[str, Measurement]
    share: float
    folder: Path | None

    def __getstate__(self) -> dict[str, object]:
        """Data that travel to another process: not the tensors, which it makes itself."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def learned(self) -> ModelOptions:
        """The model with laws that are learned from curves learned from all specimens, the same for every candidate."""
        return replace(self.options, modalities=learn_laws(self.measurements, self.options.modalities))

    @cached_property
    def specs(self) -> dict[str, InputSpec]:
        """Input specifications learned from all specimens, so that every candidate measures in the same units."""
        return learn_specs(self.measurements, self.learned.modalities)

    @cached_property
    def tensors(self) -> Tensors:
        """All specimens, on the device."""
        return to_tensors(self.measurements, self.specs, self.settings.torch_device())

    def path(self, task: Task) -> Path | None:
        """File that the result is kept in; None where nothing is kept."""
        clusters, restart = task
        return None if self.folder is None else self.folder / f"clusters-{clusters}" / f"result-{restart}.json"

    def mark(self, data: str) -> str:
        """Fingerprint of all that results depend on: the data, by theirs, and every option that changes them."""
        return mark_of(replace(self.options, clusters=1), self.settings, self.specs, data, self.share)

    def known(self, task: Task, mark: str) -> dict | None:
        """Return the result of an earlier call, if it is of the same data and options."""
        path = self.path(task)
        if path is None or not path.exists():
            return None
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # damaged, so made anew
            return None
        return result if result.get("mark") == mark else None

    def check(self, most: int, restarts: int) -> None:
        """Check that every part can be trained on.

        Raises:
            DataError: If specimens are too few for the largest number of clusters, or a modality too rare.
        """
        for restart in range(restarts):
            train, out = held_out(len(self.tensors), self.share, self.settings.seed, restart)
            if len(train) < max(most, 2) or len(out) == 0:
                raise DataError(
                    f"{len(self.tensors)} specimens, of which {len(out)} are held out, cannot fill {most} clusters: try"
                    " fewer clusters, or measure more"
                )
            for name, present in self.tensors.present.items():
                if int(present[train.to(present.device)].sum()) < 2:
                    raise DataError(
                        f"{name!r} is known of too few specimens to hold out a part of them: leave it out of the"
                        " modalities, or hold out less"
                    )

    def __call__(self, work: tuple[Task, str], tell: Callable[[tuple[Task, Progress]], bool]) -> dict | None:
        """Train and judge one; None where it was stopped."""
        task, mark = work
        clusters, restart = task
        began = perf_counter()
        options = replace(self.learned, clusters=clusters)
        if options.by_evidence:
            # Populations are found in the curves alone, and curves held out are what they are judged by.
            options = replace(options, modalities=options.physics)
        device = self.settings.torch_device()
        train, out = (part.to(device) for part in held_out(len(self.tensors), self.share, self.settings.seed, restart))
        path = self.path(task)
        own = fingerprint({}, [mark, clusters])
        job = TrainingRun(
            options,
            self.settings,
            self.specs,
            self.tensors.at(train),
            device,
            None if path is None else path.parent,
            own,
            lambda progress: tell((task, progress)),
        )
        run = training(job, restart).run()
        if run.interrupted:  # a fit would keep what there is; here it is the end of all trainings
            raise KeyboardInterrupt
        if run.halted:
            return None
        elbo, gamma = specimen_elbo(run.state, options, self.tensors, torch.autocast(device.type, enabled=False))
        result = {
            "mark": mark,
            "held_out_elbo": elbo[out].tolist(),
            "assigned": gamma.argmax(1).tolist(),
            "weights": gamma.sum(0).tolist(),
            "history": [row["elbo"] for row in run.history.rows],
            "seconds": perf_counter() - began,
        }
        if path is not None:
            write_text(path, json.dumps(result))
        if isinstance(run, JointTraining) and run.path is not None:
            run.path.unlink(missing_ok=True)
        return result
