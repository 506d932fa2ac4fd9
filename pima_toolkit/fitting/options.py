"""Options of a fit: two frozen dataclasses that validate themselves."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch

from ..data import ANSWER_NAMES
from ..errors import OptionError
from ..model.modality import Modality, Neural, Physics
from ..model.noise.table import NOISE
from ..model.potentials import POTENTIALS, CrossmodalRule
from ..model.rules import RULES, ResponsibilityRule

#: Options of the model that only the paper's inference knows.
PAPER_ONLY = ("responsibilities", "consistency", "beta", "prior_expert", "combine", "crossmodal")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise OptionError(message)


def _whole(options: object, name: str, least: int) -> None:
    """Check a whole number; one of numpy's, such as ``labels.max() + 1``, becomes Python's."""
    value = getattr(options, name)
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least
    _check(whole, f"{name}={value!r}: expected a whole number of at least {least}")
    object.__setattr__(options, name, int(value))


def _number(options: object, name: str, expected: str, low: float, high: float = math.inf) -> None:
    """Check a number from ``low`` to ``high``, a positive one where ``low`` is the smallest there is."""
    value = getattr(options, name)
    plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    _check(plain and low <= value <= high and value < math.inf, f"{name}={value!r}: expected {expected}")
    object.__setattr__(options, name, float(value))


def _one_of(options: object, name: str, allowed: Collection[str]) -> None:
    value = getattr(options, name)
    known = isinstance(value, str) and value in allowed
    _check(known, f"{name}={value!r} is unknown: use one of {', '.join(map(repr, allowed))}")


#: Smallest positive number.
_POSITIVE = np.finfo(float).tiny


@dataclass(frozen=True)
class ModelOptions:
    """Options of the model; :class:`pima_toolkit.PIMA` explains each."""

    modalities: Mapping[str, Modality]
    clusters: int
    latent_dim: int = 3
    responsibilities: str = "exact"
    consistency: float = 10.0
    beta: float = 1.0
    prior_expert: bool = False
    combine: str = "product"
    crossmodal: str = "mixture"
    inference: str | None = None

    def __post_init__(self) -> None:
        _check(bool(self.modalities), "modalities is empty: name at least one, such as {'image': pima.Neural()}")
        for name, option in self.modalities.items():
            _check(
                name not in ANSWER_NAMES,
                f"a modality cannot be called {name!r}, answers have a part of that name: rename the variable",
            )
            _check(
                isinstance(option, Neural | Physics),
                f"modality {name!r} is {option!r}: expected pima.Neural() or pima.Physics(expert)",
            )
        _whole(self, "clusters", 1)
        _whole(self, "latent_dim", 1)
        for name, allowed in (
            ("responsibilities", RULES),
            ("combine", ("product", "posterior")),
            ("crossmodal", POTENTIALS),
        ):
            value = getattr(self, name)
            _check(
                isinstance(value, str) and value in allowed,
                f"{name}={value!r} is unknown: use one of {', '.join(map(repr, allowed))}",
            )
        _number(self, "consistency", "a number of at least 0", 0.0)
        _number(self, "beta", "a positive number", _POSITIVE)
        _check(
            self.potential.by_cluster or not self.varies,
            f'crossmodal={self.crossmodal!r} knows one Gaussian for all clusters, and vary="latent" asks for one in '
            'each: leave crossmodal at "mixture"',
        )

        _check(
            not (self.potential.drops and self.prior_expert),
            'crossmodal="dropout" answers with the encoders of the fused posterior, and prior_expert=True multiplies'
            " that by N(0, I), which no encoder knows of: leave one of them out",
        )

        self._check_inference()

    def _check_inference(self) -> None:
        """Settle ``inference=None``, and refuse options of the paper's inference beside the other."""
        given = [f.name for f in fields(self) if f.name in PAPER_ONLY and getattr(self, f.name) != f.default]
        able = bool(self.physics) and not self.varies
        if self.inference is None:
            object.__setattr__(self, "inference", "evidence" if able and not given else "paper")
        _check(
            self.inference in ("evidence", "paper"),
            f"inference={self.inference!r} is unknown: use one of 'evidence', 'paper'",
        )
        if self.inference == "paper":
            shaped = [name for name, option in self.physics.items() if NOISE.get(option.noise).curve_noise is not None]
            _check(
                not shaped,
                f"{shaped and shaped[0]!r} has a noise that is learned from every curve's own fit, which"
                ' inference="paper" does not make: use noise="pooled", or leave out what belongs to the paper\'s'
                " inference",
            )
            depending = [name for name, option in self.physics.items() if option.depends_on or option.groups]
            _check(
                not depending,
                f'parameters of {depending and depending[0]!r} depend on covariates or batches, which inference="paper"'
                " does not know: leave depends_on and groups out, or what belongs to the paper's inference",
            )
            return
        _check(
            not given,
            f'{given and given[0]} belongs to the paper\'s inference: leave it out, or use inference="paper"',
        )
        _check(
            able,
            'inference="evidence" needs a curve with known physics, whose parameters do not follow the latent:'
            ' leave out vary="latent" (what other modalities say of parameters is heard anyway), or use'
            ' inference="paper"',
        )

    @property
    def by_evidence(self) -> bool:
        """Whether modalities are believed as far as held-out specimens bear them out; else by the paper's rules."""
        return self.inference == "evidence"

    @property
    def rule(self) -> ResponsibilityRule:
        """The rule for responsibilities."""
        return RULES[self.responsibilities]

    @property
    def potential(self) -> CrossmodalRule:
        """The rule for answers from a single modality."""
        return POTENTIALS[self.crossmodal]

    @property
    def physics(self) -> dict[str, Physics]:
        """The physics modalities."""
        return {name: option for name, option in self.modalities.items() if isinstance(option, Physics)}

    @property
    def varies(self) -> bool:
        """Whether the parameters of any physics modality vary with the latent."""
        return any(option.varies for option in self.physics.values())

    @property
    def neural(self) -> dict[str, Neural]:
        """The neural modalities."""
        return {name: option for name, option in self.modalities.items() if isinstance(option, Neural)}


@dataclass(frozen=True)
class TrainingSettings:
    """Options of the training; :meth:`pima_toolkit.PIMA.fit` explains each."""

    seed: int = 0
    epochs: int | None = None
    crossmodal_epochs: int | None = None
    batch_size: int = 256
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    em: str = "online"
    update: str = "wls"
    restarts: int = 1
    patience: int | None = None
    start: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    crossfit: bool = True
    groups: str | None = None

    def __post_init__(self) -> None:
        _whole(self, "seed", 0)
        for name in ("epochs", "crossmodal_epochs", "patience"):
            if getattr(self, name) is not None:
                _whole(self, name, 1)
        _whole(self, "batch_size", 2)
        _whole(self, "restarts", 1)
        _number(self, "learning_rate", "a positive number of at most 1, such as 0.005", _POSITIVE, 1.0)
        most = 1.0 / self.learning_rate  # beyond, weights turn their signs at every step
        _number(self, "weight_decay", f"a number of at least 0 and at most {most:g}", 0.0, most)
        for name, allowed in (
            ("em", ("epoch", "online")),
            ("update", ("wls", "adam")),
            ("start", ("auto", "random")),
            ("precision", ("auto", "float32", "bfloat16")),
        ):
            value = getattr(self, name)
            _check(
                isinstance(value, str) and value in allowed,
                f"{name}={value!r} is unknown: use one of {', '.join(map(repr, allowed))}",
            )
        self.torch_device()

    @classmethod
    def among(cls, arguments: Mapping[str, Any]) -> TrainingSettings:
        """The settings among arguments of a fit, which takes more."""
        own = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in arguments.items() if name in own})

    def torch_device(self) -> torch.device:
        """Device that it runs on: for ``"auto"`` the first GPU, or the CPU where there is none."""
        if isinstance(self.device, str) and self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except (RuntimeError, TypeError, ValueError):
            raise OptionError(f'device={self.device!r} is unknown: use "auto", "cpu" or "cuda"') from None
        _check(
            device.type != "cuda" or torch.cuda.is_available(),
            f'device={self.device!r}, but torch sees no GPU here: use "auto" or "cpu"',
        )
        return device

    def autocast(self, device: torch.device) -> bool:
        """Whether the networks train in bfloat16: where asked for, or where the machine has units for it."""
        if self.precision == "auto":
            if device.type == "cuda":
                return torch.cuda.is_bf16_supported(including_emulation=False)
            # torch has no public question for this; where the private one is gone, float32 is the safe answer.
            return device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        return self.precision == "bfloat16"

    def steps(self, specimens: int, *, vary: bool = False, processes: int = 1) -> tuple[int, int, int]:
        """Batches an epoch, epochs, cross-modal epochs for this many specimens.

        A batch holds at most ``batch_size`` specimens and at most an eighth of all (at least 16), so that small data
        get enough steps; unless given, epochs make about 400 steps, between 8 and 60, and twice as
        many for the cross-modal encoders, which have no decoder to pay for; eight times as many where physics varies
        with the latent, of which an encoder has more to tell than a cluster's number. No batch holds a single specimen,
        of which batch norm knows no variance: of an odd number in twos, one batch holds three. Several processes share
        a batch, each with at least two.
        """
        batch = min(self.batch_size, max(16, specimens // 8))
        batches = max(1, min(math.ceil(specimens / batch), specimens // (2 * processes)))
        epochs = self.epochs or min(60, max(8, math.ceil(400 / batches)))
        most, steps = (400, 3200) if vary else (100, 800)
        crossmodal = self.crossmodal_epochs or self.epochs or min(most, max(10, math.ceil(steps / batches)))
        return batches, epochs, crossmodal
