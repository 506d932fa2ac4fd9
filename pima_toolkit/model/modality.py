"""Options of a modality: neural, or physics. Names become objects here and nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from ..errors import OptionError
from ..experts import Dependence, Expert, LearnedInFit, Priors, get_expert
from ..plugins.registry import Registry
from ..signatures import tells_misfits
from .encoders.table import ENCODERS
from .noise.reconstruction import RECONSTRUCTION
from .noise.table import NOISE


def _one_of(name: str, value: object, allowed: Collection[str] | Registry) -> None:
    if not isinstance(value, str) or value not in allowed:
        known = allowed.names() if isinstance(allowed, Registry) else allowed
        raise OptionError(f"{name}={value!r} is unknown: use one of {', '.join(map(repr, known))}")


@tells_misfits
@dataclass(frozen=True)
class Neural:
    """A modality without known physics: a network encodes and decodes it.

    Args:
        encoder: ``"conv"``; ``"pooled"``, the same with its features averaged over the whole frame, for textures, of
            which it matters what is seen and not where; ``"paper"`` (appendix A of Trask et al. 2022); the name of one
            that a plugin brings; or a torch module from ``(specimen, channels, *spatial)`` to (specimen, features).
        decoder: ``"conv"``, ``"paper"``, one of a plugin, or a torch module from (specimen, latent) to
            ``(specimen, channels, *spatial)``, with channels 1 where the data name none; vectors (specimen, features).
        noise: ``"unit"``: noise variance 1 in units of the data's range, as in the paper; ``"learned"``: the mean
            squared error of each epoch.
        flips: Dims that may be mirrored, drawn anew for every specimen and step: ``("x",)`` for a photograph with a
            left-right symmetry. Only where the mirrored picture is one you could have taken: answers about its specimen
            are then those of the picture and its mirror images together.
        shift: Largest shift along every dim as a share of its size, drawn likewise; edges are repeated.

    Raises:
        OptionError: If an option is not one of these.
    """

    encoder: str | nn.Module = "conv"
    decoder: str | nn.Module = "conv"
    noise: str = "unit"
    flips: tuple[str, ...] = ()
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.encoder, nn.Module):
            _one_of("encoder", self.encoder, ENCODERS)
        if not isinstance(self.decoder, nn.Module) and not (
            self.decoder in ENCODERS and ENCODERS.get(self.decoder).decodes
        ):
            _one_of("decoder", self.decoder, [name for name, kind in ENCODERS.all().items() if kind.decodes])
        _one_of("noise", self.noise, RECONSTRUCTION)
        if isinstance(self.flips, str):
            object.__setattr__(self, "flips", (self.flips,))
        if not 0.0 <= self.shift < 0.5:
            raise OptionError(f"shift={self.shift} is not a share of the size: expected 0 <= shift < 0.5, such as 0.05")


@tells_misfits
@dataclass(frozen=True)
class Physics:
    """A modality with known physics: an expert E(t; theta_c) with its own parameters in each cluster.

    Args:
        expert: A registered name (``"linear_hardening"``), how one is made of others (``"elastic(E) + voce"``,
            ``"peaks(3, gaussian)"``), an :class:`Expert`, or a class of one; of curves that nobody has a law for
            ``"principal_curves"``: their mean and leading principal curves, learned when a fit begins; a vector or a
            single number is described by the same.
        scatter: ``"specimen"``: specimens of one population differ in their parameters; ``"none"``: the paper's
            decoder, where they differ by independent noise only.
        noise: ``"pooled"``: one noise variance for all clusters; ``"cluster"``: one each; ``"unit"``: variance 1 in
            units of the largest absolute value; ``"proportional"``, ``"robust"``, ``"autocorrelated"`` or ``"misfit"``
            as in :meth:`Expert.fit`, their numbers learned from all curves, one variance for all clusters; or the name
            of a noise model that a plugin brings.
        window: Lower and upper t of the fit, in the data's unit; points outside are not used.
        vary: ``"none"``: what is known of a specimen beyond its cluster is its own curve, as in the paper;
            ``"latent"``: its parameters follow its place in the latent space, so that a photograph speaks about its own
            specimen (model/effects/latent.py).
        priors: Prior knowledge of every cluster's parameters, fitted or reported, or of formulas of reported ones: mean
            and standard deviation of a Gaussian, ``{"E": (200e3, 10e3), "sigma_y/E": (1e-3, 1e-4)}``.
        depends_on: What fitted parameters depend on besides the population: covariates of the dataset, or formulas of
            them, by parameter, ``{"E": ["temperature"], "H": ["log(rate)"]}``. Linear in each parameter's unbounded
            coordinate, the logarithm of a positive one, and the same in every population.
        groups: Name of what tells the batch of each specimen, such as ``"batch"``: specimens of one batch share what
            their parameters are off by.
        components: With ``"principal_curves"``, the law that a fit learns from its training curves: the number of
            principal curves; None: as many as it takes to say points that were left out.

    Raises:
        OptionError: If an option is not one of these.
        ExpertError: If the expert is unknown, or a prior is not of its parameters.
    """

    expert: Expert
    scatter: str = "specimen"
    noise: str = "pooled"
    window: tuple[float, float] | None = None
    vary: str = "none"
    priors: Mapping[str, tuple[float, float]] | None = None
    depends_on: Mapping[str, tuple[str, ...]] | None = None
    groups: str | None = None

    def __init__(
        self,
        expert: str | Expert | type[Expert],
        scatter: str = "specimen",
        noise: str = "pooled",
        window: tuple[float, float] | None = None,
        vary: str = "none",
        priors: Mapping[str, tuple[float, float]] | None = None,
        components: int | None = None,
        depends_on: Mapping[str, str | Sequence[str]] | None = None,
        groups: str | None = None,
    ) -> None:
        _one_of("scatter", scatter, ("specimen", "none"))
        _one_of("noise", noise, NOISE)
        _one_of("vary", vary, ("none", "latent"))
        if window is not None and not (len(window) == 2 and window[0] < window[1]):
            raise OptionError(
                f"window={window} is not a range: expected (lower, upper) with lower < upper, in units of t"
            )
        known = get_expert(expert)
        if components is not None:
            if not isinstance(known, LearnedInFit):
                raise OptionError(
                    f"components={components!r} is how many principal curves a fit learns, and the expert"
                    f" {known.name!r} has its own parameters: leave components out, or use"
                    ' Physics("principal_curves", components=...)'
                )
            known = LearnedInFit(components)
        object.__setattr__(self, "expert", known)
        if priors:
            if isinstance(known, LearnedInFit):
                raise OptionError(
                    "priors of principal curves can be given once they are learned, before that nobody knows what they"
                    " are: Physics(pima.principal_curves(t, curves), priors=...)"
                )
            Priors.read(self.expert, priors)
            priors = {name: (float(mean), float(std)) for name, (mean, std) in priors.items()}
        object.__setattr__(self, "priors", priors or None)
        object.__setattr__(self, "scatter", scatter)
        object.__setattr__(self, "noise", noise)
        object.__setattr__(self, "vary", vary)
        self._set_dependence(depends_on, groups)
        object.__setattr__(self, "window", None if window is None else (float(window[0]), float(window[1])))

    def _set_dependence(self, depends_on: Mapping[str, str | Sequence[str]] | None, groups: str | None) -> None:
        """Check and keep what parameters depend on."""
        if groups is not None and not (isinstance(groups, str) and groups.strip()):
            raise OptionError(f"groups={groups!r}: expected the name of a variable of the dataset, such as 'batch'")
        if depends_on or groups:
            for name, value in (("scatter", self.scatter), ("vary", self.vary)):
                if value != {"scatter": "specimen", "vary": "none"}[name]:
                    raise OptionError(
                        f'{name}="{value}" and depends_on or groups do not go together: parameters that depend on what'
                        " is known of specimens differ between them in other ways too; leave one out"
                    )
        if depends_on and isinstance(self.expert, LearnedInFit):
            raise OptionError(
                "depends_on names parameters, and those of principal curves are learned in the fit: learn them first,"
                " Physics(pima.principal_curves(t, curves), depends_on=...)"
            )
        found = Dependence.read(self.expert, depends_on) if depends_on else None
        terms = None
        if found is not None and depends_on is not None:
            pairs = list(zip(found.names, found.terms, strict=True))
            terms = {name: tuple(term for other, term in pairs if other == name) for name in depends_on}
        object.__setattr__(self, "depends_on", terms)
        object.__setattr__(self, "groups", groups)

    @property
    def dependence(self) -> Dependence:
        """Which parameters depend on which terms."""
        return Dependence.read(self.expert, self.depends_on) if self.depends_on else Dependence()

    @property
    def covariates(self) -> tuple[str, ...]:
        """All covariates that a specimen with the curve must have: the law's own first, then those of the terms."""
        own = self.expert.covariates
        return (*own, *(name for name in self.dependence.covariates if name not in own))

    @property
    def known(self) -> Priors | None:
        """The priors as an object; None without any."""
        return Priors.read(self.expert, self.priors) if self.priors else None

    @property
    def scattered(self) -> bool:
        """Whether specimens of one cluster differ in their parameters."""
        return self.scatter == "specimen"

    @property
    def varies(self) -> bool:
        """Whether the parameters follow the latent."""
        return self.vary == "latent"


Modality = Neural | Physics
