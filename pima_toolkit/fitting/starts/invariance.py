r"""Start from pictures where they are all there is: by the invariance of what they show.

A picture of a thing, moved, turned, sheared or stretched a little, is a picture of the same thing, and so is most often
its neighbour in the latent space. After a short reconstruction many small heads h on shared features each maximise the
mutual information between the clusters of two such pictures,

.. math:: I_h = \sum_{cc'} P_{cc'} \log P_{cc'} - 2\lambda \sum_c \pi_c \log \pi_c, \qquad
          P = \tfrac1{2N} \sum_d \big[p_d\,{p'_d}^{\!\top} + p'_d\,p_d^\top\big], \quad \pi_c = \sum_{c'} P_{cc'}

(the mutual information itself at :math:`\lambda = 1`; a little more keeps clusters of about the same size), and the
head with the largest :math:`I_h` gives the responsibilities that joint training holds on to. Heads are chosen by this
measure of their own, never by labels.

That likes populations of about one size. Where one is much rarer than another, plain k-means may see what is there, in
the latent space of the reconstruction or of the pictures' principal components: of the three that stands in which
neighbours tell a specimen's cluster best, by the share of its entropy, :math:`I(c, c') / H(c)`, that a neighbour's
cluster takes away.

Source: Ji, Henriques and Vedaldi 2019, ICCV; latent neighbours as in Van Gansbeke et al. 2020, ECCV.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import PimaWarning, require
from ...model.augment import deform
from ...model.encoders.decoders import decoder
from ...model.encoders.encoders import LOG_VARIANCE_RANGE
from ...model.network import Network, channels_last
from ..inputs.stored import Stored
from ..run import Progress, TrainingRun
from .features import Features

#: Latent size of the short reconstruction, its noise variance, and its steps: enough that neighbours look alike.
_LATENT, _NOISE, _WARM_STEPS = 10, 0.03, 700
#: Heads, and how much more than the mutual information itself the balance of their clusters counts.
_HEADS, _BALANCE = 20, 1.5
#: Specimens in a step, steps, and the share of them after which only the best head goes on.
_BATCH, _STEPS, _CHOSEN = 1024, 900, 0.4
#: Each specimen's neighbours, sought among so many others.
_NEIGHBOURS, _SOUGHT = 10, 20_000
#: Cells along a side of a picture whose principal components are looked at.
_CELLS = 16
#: Probability of the cluster that k-means says.
_SURE = 0.95
#: Passes over small data end here.
_MOST_EPOCHS = 300


def picture_names(job: TrainingRun) -> list[str]:
    """List the neural modalities that are pictures in memory, of more than one specimen: they can be turned.

    Warns:
        PimaWarning: If there are pictures, but all on disk, where the neighbours of one would be read from anywhere.
    """
    pictures = [name for name in job.options.neural if job.specs[name].schema.kind == "image"]
    here = [name for name in pictures if not isinstance(job.tensors.inputs[name], Stored)]
    if pictures and not here:
        warnings.warn(
            f"{pictures[0]!r} stays on disk, so clusters start from what a reconstruction tells apart and not from the"
            " pictures' invariance, which finds better ones: data.load() first where memory allows",
            PimaWarning,
            stacklevel=2,
        )
    return [name for name in here if int(job.tensors.present[name].sum()) > 1]


def mutual_information(p: Tensor, q: Tensor, balance: float) -> Tensor:
    """Compute I_h, (head,), in nats, from two views' cluster probabilities (specimen, head, cluster)."""
    joint = torch.einsum("bhc,bhd->hcd", p, q) / len(p)
    joint = 0.5 * (joint + joint.transpose(1, 2))
    share = joint.sum(2)
    return torch.special.entr(share).sum(1) * 2.0 * balance - torch.special.entr(joint).sum((1, 2))


def told_by_neighbours(label: Tensor, neighbours: Tensor, clusters: int) -> float:
    """Share of the entropy of a specimen's cluster that a neighbour's takes away, 0 to 1.

    Args:
        label: Cluster of each specimen, (specimen,).
        neighbours: Numbers of the nearest others, (specimen, neighbour).
        clusters: C.
    """
    pairs = label[:, None].expand_as(neighbours) * clusters + label[neighbours]
    joint = torch.bincount(pairs.flatten(), minlength=clusters**2).double().reshape(clusters, clusters)
    joint = 0.5 * (joint + joint.T) / joint.sum()
    entropy = float(torch.special.entr(joint.sum(1)).sum())
    return (2.0 * entropy - float(torch.special.entr(joint).sum())) / entropy if entropy > 0.0 else 0.0


class InvarianceFirst:
    """Clusters of pictures alone.

    Args:
        job: The training run; it has pictures and no physics.
        network: The joint training's; the features of its picture encoders are learned here first.
        restart: Number of this restart, from 0.
    """

    def __init__(self, job: TrainingRun, network: Network, restart: int) -> None:
        self.job, self.restart, self.several = job.alone(), restart, job.processes.several
        self.names = picture_names(job)
        self.features = Features(job, network, self.names)
        self.known = self.features.known
        self.halted = False
        self.leading = 0
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(job.seed(restart, 4))  # of the processor alone, as in model/network.py
            self.latent = nn.Linear(self.features.width, 2 * _LATENT)
            self.decoders = nn.ModuleList(decoder(job.specs[name].shape, _LATENT) for name in self.names)
            self.heads = nn.Linear(self.features.width, _HEADS * job.options.clusters)
        for module in (self.latent, self.decoders, self.heads):
            channels_last(module).to(job.device)

    def run(self) -> Tensor:
        """Responsibilities (specimen, cluster), float64; NaN for specimens without a picture.

        Ctrl-C, or a callback that asks to stop, ends it early; ``halted`` tells.
        """
        if self.job.options.clusters == 1:
            gamma = torch.ones(len(self.known), 1, dtype=torch.float64, device=self.job.device)
        else:
            plain = []
            try:
                self._reconstruct()
                mean = self.features.everywhere(self.latent, self.known)[:, :_LATENT]
                neighbours = self._neighbours(mean)
                plain = [self._plain(mean), self._plain(self._components())]
                self._separate(neighbours)
            except KeyboardInterrupt:
                if self.several:
                    raise  # the others wait for this one
                self.halted = True
            gamma = self._responsibilities()
            if plain and not self.halted:
                gamma = max((gamma, *plain), key=lambda g: told_by_neighbours(g.argmax(1), neighbours, g.shape[1]))
        out = torch.full(
            (len(self.job.tensors), gamma.shape[1]), torch.nan, dtype=torch.float64, device=self.job.device
        )
        out[self.known] = gamma
        return out

    # -- pieces ----------------------------------------------------------------------------------------------------

    def _view(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """Features of the specimens' pictures, each moved, turned, sheared and stretched anew."""
        inputs = self.job.augmented(index, generator, self.names)
        views = {name: deform(x, generator) for name, x in inputs.items()}
        with self.job.autocast():
            return self.features(views, index).float()

    def _epochs(self, steps: int, batch: int) -> tuple[int, int]:
        """Count batches an epoch, and epochs."""
        batches = max(1, round(len(self.known) / batch))
        return batches, min(_MOST_EPOCHS, math.ceil(steps / batches))

    def _optimiser(self, *modules: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam([p for m in modules for p in m.parameters()], 1e-3, fused=True)

    def _pace(self, optimiser: torch.optim.Optimizer, share: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = 0.6 * self.job.rate(share)

    def _tell(self, epoch: int, epochs: int, value: float, occupancy: list[float]) -> bool:
        """Report an epoch; return whether the callback asks to stop."""
        progress = Progress("invariance", self.restart, epoch, epochs, value, tuple(occupancy))
        self.halted = self.halted or self.job.callback(progress) is True
        return self.halted

    # -- stages ----------------------------------------------------------------------------------------------------

    def _reconstruct(self) -> None:
        """Train a short variational autoencoder: its latent space tells neighbours."""
        job = self.job
        optimiser = self._optimiser(self.features, self.latent, self.decoders)
        batches, epochs = self._epochs(_WARM_STEPS, max(16, min(256, len(self.known) // 8)))
        for epoch in range(epochs):
            seed = job.seed(self.restart, 2, epoch)
            generator = torch.Generator(job.device).manual_seed(seed)
            for k, index in enumerate(job.batches(batches, seed, self.known)):
                self._pace(optimiser, (epoch + k / batches) / epochs)
                mean, log_variance = self.latent(self._view(index, generator)).chunk(2, -1)
                log_variance = log_variance.clamp(*LOG_VARIANCE_RANGE)
                noise = torch.randn(mean.shape, generator=generator, device=job.device)
                z = mean + (0.5 * log_variance).exp() * noise
                loss = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
                for name, decode in zip(self.names, self.decoders, strict=True):
                    with job.autocast():
                        picture = decode(z)
                    squared = (job.tensors.inputs[name][index] - picture.float()).square().flatten(1).sum(1)
                    loss = loss + torch.where(job.tensors.present[name][index], squared / (2.0 * _NOISE), 0.0)
                optimiser.zero_grad(set_to_none=True)
                loss.mean().backward()
                optimiser.step()

    def _components(self) -> Tensor:
        """Leading principal components of the pictures, averaged in cells, (specimen, component)."""
        rows = []
        for name in self.names:
            pictures = self.job.tensors.inputs[name][self.known]
            height, width = (min(_CELLS, n) for n in pictures.shape[2:])
            rows.append(functional.adaptive_avg_pool2d(pictures.float(), (height, width)).flatten(1))
        x = torch.cat(rows, 1).double()
        x = x - x.mean(0)
        values, vectors = torch.linalg.eigh(x.T @ x)
        return x @ vectors[:, values.argsort(descending=True)[:_LATENT]]

    def _plain(self, mean: Tensor) -> Tensor:
        """Responsibilities by k-means of places, (specimen, cluster), float64."""
        clusters = self.job.options.clusters
        kmeans = require("sklearn.cluster", "populations of pictures").KMeans
        seed = self.job.seed(self.restart, 9) % 2**31
        label = kmeans(clusters, n_init=10, random_state=seed).fit_predict(mean.double().cpu().numpy())
        sure = functional.one_hot(torch.as_tensor(label, dtype=torch.long, device=mean.device), clusters)
        return _SURE * sure.double() + (1.0 - _SURE) / clusters

    def _neighbours(self, mean: Tensor) -> Tensor:
        """Find each specimen's nearest others in the latent space, as positions in ``known``, (specimen, neighbour)."""
        order = torch.randperm(len(mean), generator=torch.Generator().manual_seed(self.job.seed(self.restart, 5)))
        sought = torch.sort(order[:_SOUGHT]).values.to(mean.device)
        others = mean[sought]
        count = min(_NEIGHBOURS, len(sought) - 1)
        length = others.square().sum(1)
        nearest = []
        for start in range(0, len(mean), 2000):
            here = mean[start : start + 2000]
            distance = torch.addmm(length[None], here, others.T, alpha=-2.0)
            itself = torch.arange(start, start + len(here), device=mean.device)[:, None] == sought[None]
            nearest.append(distance.masked_fill_(itself, torch.inf).topk(count, largest=False).indices)
        return sought[torch.cat(nearest)]

    def _separate(self, neighbours: Tensor) -> None:
        """Train all heads, later the leading one alone."""
        job, clusters = self.job, self.job.options.clusters
        optimiser = self._optimiser(self.features, self.heads)
        batches, epochs = self._epochs(_STEPS, max(min(len(self.known), 128), min(_BATCH, len(self.known) // 4)))
        for epoch in range(epochs):
            chosen = epoch >= _CHOSEN * epochs
            seed = job.seed(self.restart, 6, epoch)
            generator = torch.Generator(job.device).manual_seed(seed)
            total = torch.zeros(_HEADS, device=job.device)
            occupancy = torch.zeros(_HEADS, clusters, device=job.device)
            for k, part in enumerate(job.batches(batches, seed, torch.arange(len(self.known)))):
                self._pace(optimiser, (epoch + k / batches) / epochs)
                pick = torch.randint(neighbours.shape[1], (len(part), 1), generator=generator, device=job.device)
                index = torch.cat([self.known[part], self.known[neighbours[part].gather(1, pick)[:, 0]]])
                p, q = self.heads(self._view(index, generator)).unflatten(1, (_HEADS, clusters)).softmax(2).chunk(2)
                information = mutual_information(p, q, _BALANCE)
                loss = -(information[self.leading] if chosen else information.mean())
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                total += information.detach() / batches
                occupancy += p.detach().mean(0) / batches
            if not chosen:
                self.leading = int(total.argmax())
            if self._tell(epoch + 1, epochs, float(total[self.leading]), occupancy[self.leading].tolist()):
                break

    def _responsibilities(self) -> Tensor:
        logits = self.features.everywhere(self.heads, self.known).unflatten(1, (_HEADS, self.job.options.clusters))
        return logits[:, self.leading].double().softmax(1)
