"""Who speaks of a specimen's curves without having seen them, and how far each is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from ...model.joint import Deviation, Potential, conditioned, silenced
from ...model.speaker import SpeakingNetwork, said
from ..inputs.spec import InputSpec
from ..inputs.stored import joined, looked_at
from ..inputs.tensors import Tensors
from ..options import ModelOptions
from ..speakers.base import Learned
from ..speakers.features import SideBySide
from ..speakers.table import SPEAKERS
from ..state import below
from ..temperatures import Heard, Temperatures, residual_scatter, temperatures
from .frame import Frame
from .network import heard

#: Name of the speaker that is a network.
NETWORK = "network"
#: Fewest specimens with a curve that a network is judged by, and most that plain regressions take seconds of.
FEWEST, MOST = 50, 5000
#: Most specimens of whose curves and pictures trees take seconds.
WOODED = 1000
#: Fewest pixels along an axis for a texture to have a spectrum.
TEXTURE = 32


@dataclass(frozen=True)
class Voice:
    """One speaker of one modality, or of several together.

    Args:
        speaker: ``"network"``, or a name in the table of speakers.
        hears: The modalities.
    """

    speaker: str
    hears: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a person calls it: ``linear of image``."""
        return f"{self.speaker} of {' and '.join(self.hears)}"


def voices(
    options: ModelOptions, specs: Mapping[str, InputSpec], present: Mapping[str, np.ndarray], known: np.ndarray,
    fold: np.ndarray,
) -> tuple[Voice, ...]:  # fmt: skip
    """Choose who speaks, by the size and kind of the data.

    Networks where there are at least 50 specimens to judge them by; plain regressions up to 5000: the linear one of
    every modality, that of the spectrum of pictures of at least 32 pixels, trees of vectors and scalars, up to 1000
    specimens of the others too; and of several modalities the linear one and trees together. Each only where in every
    fold enough specimens are left to learn from.

    Args:
        options: The model.
        specs: How each modality is read.
        present: Which specimens have each modality, bool (N,).
        known: Which have a curve, bool (N,).
        fold: Number of each specimen's fold, (N,).
    """
    specimens = int(known.sum())
    out = []
    for name in options.neural:
        kind, shape = specs[name].schema.kind, specs[name].shape
        if specimens >= FEWEST:
            out.append(Voice(NETWORK, (name,)))
        if specimens > MOST:
            continue
        out.append(Voice("linear", (name,)))
        if kind in SPEAKERS.get("spectrum").hears and min(shape[1:]) >= TEXTURE:
            out.append(Voice("spectrum", (name,)))
        if kind in ("vector", "scalar") or specimens <= WOODED:
            out.append(Voice("trees", (name,)))
    if len(options.neural) > 1 and specimens <= MOST:
        out += [Voice(speaker, tuple(options.neural)) for speaker in ("linear", "trees")]

    def taught(voice: Voice) -> int:
        heard = np.all([known, *(present[name] for name in voice.hears)], 0)
        return min(int((heard & (fold != k)).sum()) for k in range(max(int(fold.max()) + 1, 1)))

    def least(voice: Voice) -> int:
        return 1 if voice.speaker == NETWORK else SPEAKERS.get(voice.speaker).least

    return tuple(voice for voice in out if taught(voice) >= least(voice))


#: What a voice may be believed about, each as far as it is borne out.
POPULATIONS, PARAMETERS = "populations", "parameters"


def apart(name: str, potential: Potential) -> dict[str, Potential]:
    """Take apart what a voice says of populations and of parameters in them: one may be right and the other not."""
    nothing = torch.zeros_like(potential.constant)
    out = {}
    if potential.constant.shape[1] > 1:
        about = Potential(potential.constant, 0.0 * potential.linear, 0.0 * potential.curvature[:1, :1])
        out[f"{name}, of {POPULATIONS}"] = about
    if potential.linear.shape[-1]:
        out[f"{name}, of {PARAMETERS}"] = Potential(nothing, potential.linear, potential.curvature)
    return out


@dataclass(frozen=True)
class Regression:
    """A plain speaker that has learned.

    Args:
        scaling: From the modalities' features to one matrix.
        learned: What it says of its rows.
    """

    scaling: SideBySide
    learned: Learned


def features(voice: Voice, specs: Mapping[str, InputSpec], tensors: Tensors) -> dict[str, np.ndarray]:
    """What a plain speaker hears of all specimens, by modality, each (N, F); read from disk piece by piece."""
    speaker = SPEAKERS.get(voice.speaker)

    def heard_of(name: str) -> np.ndarray:
        inputs, kind = tensors.inputs[name], specs[name].schema.kind
        pieces = ([torch.from_numpy(speaker.hear(inputs[part], kind))] for part in looked_at(inputs) or [slice(0)])
        return joined(len(inputs), pieces)[0].numpy()

    return {name: heard_of(name) for name in voice.hears}


def presence(tensors: Tensors) -> dict[str, np.ndarray]:
    """Which specimens have each modality, bool (N,)."""
    return {name: flags.cpu().numpy() for name, flags in tensors.present.items()}


@dataclass(frozen=True)
class Believed:
    """How far each voice is believed that hears a part of the modalities.

    Args:
        temperatures: By voice; those of other parts are not there.
        scatter: Covariance of the deviation about what is heard, in the frame, shape (C, R, R).
    """

    temperatures: Temperatures
    scatter: Tensor


@dataclass(frozen=True)
class Judges:
    """The populations of K folds, in the frame of the whole fit.

    Args:
        fold: The fold that held each specimen out, (N,).
        log_weights: log pi, (K, C).
        mean: Mean deviation of each population, (K, C, R).
        root: Root of its covariance, (K, C, R, R).
    """

    fold: Tensor
    log_weights: Tensor
    mean: Tensor
    root: Tensor

    @staticmethod
    def of(frame: Frame, fold: np.ndarray, frames: Sequence[Frame]) -> Judges:
        """Write the populations of folds in the coordinates of a frame."""
        parts = [frame.prior_of(other) for other in frames]
        device = frame.log_weights.device
        return Judges(
            torch.as_tensor(fold, device=device),
            torch.stack([other.log_weights for other in frames]),
            torch.stack([mean for mean, _ in parts]),
            torch.stack([root for _, root in parts]),
        )


@dataclass
class Belief:
    """All that was learned of modalities without physics, and of how far to believe it.

    Args:
        voices: Who speaks.
        regressions: The plain ones, by name.
        out_of_fold: What each voice said of training specimens that it had not learned from, in the frame; empty where
            nothing was held out: networks are then believed about populations, and nothing speaks for it.
        curves: What their curves say.
        known: Which of them have a curve and are no strangers, bool (N,): those that teach and judge.
        groups: Group of each, (N,); None where they are by themselves.
        judges: What was known before of specimens held out, by folds that they had no part in; None: by the whole fit.
        parts: How far voices are believed, by the modalities that a specimen has, in the model's order.
    """

    voices: tuple[Voice, ...]
    regressions: Mapping[str, Regression]
    out_of_fold: Mapping[str, Potential]
    curves: Potential
    known: Tensor
    groups: np.ndarray | None
    judges: Judges | None = None
    parts: dict[tuple[str, ...], Believed] = field(default_factory=dict)

    def heard(self, frame: Frame, names: Sequence[str]) -> Heard:
        """What was said out of fold by those who hear no more than these modalities."""
        able = [voice.name for voice in self.voices if set(voice.hears) <= set(names)]
        some = {about: part for name in able for about, part in apart(name, self.out_of_fold[name]).items()}
        if self.judges is None:
            return Heard(some, self.curves, frame.log_weights, frame.prior, self.known, frame.linear)
        fold = self.judges.fold
        prior = Deviation(self.judges.mean[fold], self.judges.root[fold])
        return Heard(some, self.curves, self.judges.log_weights[fold], prior, self.known, frame.linear)

    def of(self, frame: Frame, names: Sequence[str]) -> Believed:
        """How far to believe those who hear these modalities; judged when it is asked for the first time."""
        key = tuple(names)
        if key not in self.parts:
            scatter = frame.prior.covariance[0]
            if self.out_of_fold:
                out_of_fold = self.heard(frame, key)
                found = temperatures(out_of_fold, self.groups)
                if any(found.taus.values()):
                    scatter = residual_scatter(out_of_fold, found.taus)
            else:
                able = [voice for voice in self.voices if set(voice.hears) <= set(names)]
                taus = {f"{v.name}, of {POPULATIONS}": float(v.speaker == NETWORK) for v in able}
                found = Temperatures.unjudged(taus, 0, self.groups is not None)
            self.parts[key] = Believed(found, scatter)
        return self.parts[key]

    def arrays(self) -> tuple[dict[str, Tensor], dict]:
        """Return all that a file must hold, arrays by name and plain facts for JSON; :meth:`from_arrays` reads them."""
        out = {"known": self.known, **_named("curves", self.curves)}
        if self.groups is not None:
            out["groups"] = torch.as_tensor(np.unique(self.groups, return_inverse=True)[1].reshape(-1))
        if self.judges is not None:
            out |= {f"judges.{f.name}": getattr(self.judges, f.name) for f in fields(Judges)}
        for k, voice in enumerate(self.voices):
            if voice.name in self.out_of_fold:
                out |= _named(f"said.{k}", self.out_of_fold[voice.name])
            if voice.name in self.regressions:
                regression = self.regressions[voice.name]
                parts = {"scaling": regression.scaling.arrays(), "learned": regression.learned.arrays()}
                out |= {
                    f"{part}.{k}.{name}": torch.as_tensor(values)
                    for part, named in parts.items()
                    for name, values in named.items()
                }
        for k, believed in enumerate(self.parts.values()):
            out[f"scatter.{k}"] = believed.scatter
        about = {
            "voices": [[voice.speaker, list(voice.hears)] for voice in self.voices],
            "parts": [[list(names), asdict(believed.temperatures)] for names, believed in self.parts.items()],
        }
        return out, about

    @staticmethod
    def from_arrays(arrays: Mapping[str, Tensor], about: Mapping) -> Belief:
        """Make it again from :meth:`arrays`."""
        who = tuple(Voice(speaker, tuple(hears)) for speaker, hears in about["voices"])
        said_, regressions = {}, {}
        for k, voice in enumerate(who):
            if f"said.{k}.constant" in arrays:
                said_[voice.name] = _read(f"said.{k}", arrays)
            learned = {n: a.numpy() for n, a in below(f"learned.{k}.", arrays).items()}
            if learned:
                scaling = {n: a.numpy() for n, a in below(f"scaling.{k}.", arrays).items()}
                regressions[voice.name] = Regression(
                    SideBySide.from_arrays(voice.hears, scaling),
                    SPEAKERS.get(voice.speaker).learned.from_arrays(learned),
                )
        parts = {}
        for k, (names, told_) in enumerate(about["parts"]):
            read = {
                "alone": {name: tuple(pair) for name, pair in told_["alone"].items()},
                "by_distance": tuple(told_["by_distance"]),
            }
            parts[tuple(names)] = Believed(Temperatures(**{**told_, **read}), arrays[f"scatter.{k}"])
        groups = arrays["groups"].numpy() if "groups" in arrays else None
        judges = Judges(**below("judges.", arrays)) if "judges.fold" in arrays else None
        return Belief(who, regressions, said_, _read("curves", arrays), arrays["known"], groups, judges, parts)


def _named(prefix: str, potential: Potential) -> dict[str, Tensor]:
    return {f"{prefix}.{f.name}": getattr(potential, f.name) for f in fields(Potential)}


def _read(prefix: str, arrays: Mapping[str, Tensor]) -> Potential:
    return Potential(*(arrays[f"{prefix}.{f.name}"] for f in fields(Potential)))


@dataclass(frozen=True)
class Told:
    """What modalities without physics tell of specimens, as far as they are believed.

    Args:
        psi: Log evidence about the population, (N, C), nats.
        deviation: The deviation in each population before any curve is seen, in the frame.
    """

    psi: Tensor
    deviation: Deviation


def told(belief: Belief, frame: Frame, said_by: Mapping[str, Potential], present: Mapping[str, Tensor]) -> Told:
    """Add up what is said, each specimen by the voices that hear what it has.

    Args:
        belief: How far each is believed.
        frame: The physics.
        said_by: By voice, of the same specimens, in the frame.
        present: Which specimens have each modality without physics, bool (N,), in the model's order.
    """
    parts = {about: part for name, whole in said_by.items() for about, part in apart(name, whole).items()}
    flags = torch.stack(list(present.values()), 1)
    psi = frame.log_weights.new_zeros(len(flags), len(frame.log_weights))
    mean = psi.new_zeros(*psi.shape, frame.size)
    root = frame.prior.root.expand(len(flags), -1, -1, -1).clone()
    for pattern in torch.unique(flags, dim=0).tolist():
        names = [name for name, has in zip(present, pattern, strict=True) if has]
        rows = torch.nonzero((flags == flags.new_tensor(pattern)).all(1)).flatten()
        if not names:
            continue
        believed = belief.of(frame, names)
        total = Potential.silent(len(rows), psi.shape[1], frame.size, psi)
        for about, tau in believed.temperatures.taus.items():
            if tau > 0.0:
                total = total + parts[about].at(rows) * tau
        quiet = silenced(total, frame.prior)
        psi[rows] = total.constant
        mean[rows] = conditioned(quiet, frame.prior)[1].mean.expand(len(rows), -1, -1)
        root[rows] = Deviation.prior(believed.scatter).root.expand(len(rows), -1, -1, -1)
    return Told(psi, Deviation(mean, root))


def speak(
    belief: Belief,
    network: SpeakingNetwork,
    options: ModelOptions,
    specs: Mapping[str, InputSpec],
    tensors: Tensors,
    autocast: torch.autocast,
) -> dict[str, Potential]:
    """Ask every voice about specimens: what each says, in the frame, by voice."""
    out = {}
    for voice in belief.voices:
        if voice.speaker == NETWORK:
            out[voice.name] = said(heard(network, voice.hears[0], options, specs, tensors, autocast))
            continue
        regression = belief.regressions[voice.name]
        matrix = regression.scaling.matrix(features(voice, specs, tensors), presence(tensors))
        out[voice.name] = regression.learned.say(matrix).at(slice(None))
    return out
