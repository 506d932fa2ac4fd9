r"""What parameters depend on: functions of covariates, and batches.

A specimen's unbounded parameters are those of its population, moved by what is known of the specimen,

.. math:: \phi_n = \mu + G\,(u_n - \bar u) + w_{g(n)} + b_n,

with :math:`u_n` the values of terms such as ``"temperature"`` or ``"log(rate)"``, :math:`\bar u` their means over the
specimens, and :math:`w` shared by the specimens of one batch. A term's text is read as every formula is, and never
executed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, ShapeError
from ..contract.law import Law
from ..contract.numbers import numbers
from ..formulas.derived import Quantity
from ..formulas.parser import names_in
from ..solvers.random_effects import Design

Array = NDArray[np.float64]

#: Terms by the parameter that depends on them.
DependsOn = Mapping[str, str | Sequence[str]]

#: Names that messages list.
_FEW = 5


@dataclass(frozen=True)
class Dependence:
    """Which fitted parameters depend on which terms; one *effect* for each pair.

    Args:
        names: The parameter of each effect.
        places: Its number among the fitted parameters.
        terms: The term of each effect, such as ``"log(rate)"``.
    """

    names: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    terms: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.terms)

    @classmethod
    def read(cls, law: Law, depends_on: DependsOn | None) -> Dependence:
        """Read what a person wrote, ``{"E": ["temperature"], "H": ["log(rate)"]}``.

        Args:
            law: Whose fitted parameters these are.
            depends_on: Terms by parameter; None: nothing.

        Raises:
            ExpertError: If it is no such table, or names what is no fitted parameter, or a term twice.
            FormulaError: If a term cannot be read.
        """
        if depends_on is None:
            return cls()
        if not isinstance(depends_on, Mapping):
            raise ExpertError(
                f"depends_on={depends_on!r} is no table: expected terms by parameter, such as"
                ' {"E": ["temperature", "log(rate)"]}'
            )
        known = [p.name for p in law.parameters]
        names, terms = [], []
        for name, texts in depends_on.items():
            if name not in known:
                reported = name in [p.name for p in law.reported]
                why = "is reported, but follows from fitted ones" if reported else "is none of its parameters"
                raise ExpertError(
                    f"depends_on names {name!r}, which {why}: the fitted parameters of {law.name!r} are"
                    f" {', '.join(known)}"
                )
            texts = [texts] if isinstance(texts, str) else list(texts)
            if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
                raise ExpertError(f"depends_on[{name!r}] must list terms as text, such as 'log(rate)', got {texts!r}")
            twice = sorted({text for text in texts if texts.count(text) > 1})
            if twice:
                raise ExpertError(f"depends_on[{name!r}] has the term {twice[0]!r} twice: give it once")
            for text in texts:
                if not names_in(text):
                    raise ExpertError(f"the term {text!r} of {name!r} is a constant: it must name a covariate")
                names.append(name)
                terms.append(text.strip())
        return cls(tuple(names), tuple(known.index(name) for name in names), tuple(terms))

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of all covariates in the terms, sorted."""
        return tuple(sorted(set().union(*(names_in(term) for term in self.terms)))) if self.terms else ()

    def only(self, number: int) -> Dependence:
        """One of the effects alone."""
        return Dependence((self.names[number],), (self.places[number],), (self.terms[number],))

    @property
    def needed(self) -> tuple[tuple[str, ...], ...]:
        """Names of the covariates in each effect's term, sorted."""
        return tuple(tuple(sorted(names_in(term))) for term in self.terms)

    @property
    def labels(self) -> tuple[str, ...]:
        """What to call each effect, such as ``"E ~ temperature"``."""
        return tuple(f"{name} ~ {term}" for name, term in zip(self.names, self.terms, strict=True))

    def values(self, covariates: Mapping[str, Array]) -> Array:
        """Values of the terms, shape (N, effects); NaN where a covariate is NaN.

        Args:
            covariates: By name, shape (N,) each.

        Raises:
            ExpertError: If a term has no finite value where its covariates have, such as the logarithm of zero.
        """
        count = len(next(iter(covariates.values()))) if covariates else 0
        out = np.full((count, len(self)), np.nan)
        for k, term in enumerate(self.terms):
            names = sorted(names_in(term))
            given = np.stack([covariates[name] for name in names], axis=-1)
            known = np.isfinite(given).all(-1)
            with np.errstate(all="ignore"):
                out[known, k] = _value(term, names, given[known])
            lost = np.flatnonzero(known & ~np.isfinite(out[:, k]))
            if len(lost):
                at = ", ".join(f"{name} = {value:g}" for name, value in zip(names, given[lost[0]], strict=True))
                raise ExpertError(
                    f"the term {term!r} of {self.names[k]!r} has no value at {at} (specimen number {lost[0]}): correct"
                    " the covariate, or use a term that is finite there"
                )
        return out

    def matrix(self, terms: Array, parameters: int) -> Array:
        """D, from coefficients to unbounded parameters, shape (N, P, P + effects).

        Args:
            terms: Values of the terms minus their reference, shape (N, effects).
            parameters: P.
        """
        out = np.zeros((len(terms), parameters, parameters + len(self)))
        out[:, np.arange(parameters), np.arange(parameters)] = 1.0
        for k, place in enumerate(self.places):
            out[:, place, parameters + k] = terms[:, k]
        return out


def _value(term: str, names: Sequence[str], given: Array) -> Array:
    """Values of a term at covariates (N, names); of a lone name they are the covariate itself."""
    if list(names) == [term]:
        return given[:, 0]
    return Quantity(term, list(names)).value_and_gradient(given)[0] if len(given) else np.zeros(0)


@dataclass(frozen=True, eq=False)
class SpecimenDesign:
    """What N specimens' parameters depend on.

    Args:
        dependence: Which parameters depend on which terms.
        terms: Values minus the reference, shape (N, effects).
        reference: Means over the specimens, shape (effects,): where the population's parameters are said.
        units: Unit of each term, ``"1"`` for a formula.
        group: The batch of each specimen, shape (N,); -1 for a specimen without a curve. None: there are none.
        groups: What to call the batches.
        grouped_by: What to call the grouping, such as ``"batch"``.
    """

    dependence: Dependence
    terms: Array
    reference: Array
    units: tuple[str, ...]
    group: NDArray[np.int64] | None
    groups: NDArray[np.generic]
    grouped_by: str

    def design(self, members: NDArray[np.int64], free: NDArray[np.bool_]) -> tuple[Design, NDArray[np.int64]]:
        """The design of some specimens for the free parameters, and the numbers of the effects in it.

        Args:
            members: The specimens.
            free: Which parameters are estimated, shape (P,).
        """
        used = np.array([k for k, place in enumerate(self.dependence.places) if free[place]], dtype=np.int64)
        whole = self.dependence.matrix(self.terms[members], len(free))
        matrix = whole[:, free][:, :, np.concatenate([np.flatnonzero(free), len(free) + used])]
        if self.group is None:
            return Design(matrix), used
        return Design(matrix, np.unique(self.group[members], return_inverse=True)[1]), used

    def check(self, members: NDArray[np.int64], cluster: int, clusters: int) -> None:
        """Refuse a design whose effects cannot be told from these specimens.

        Raises:
            ExpertError: If there are too few specimens, or terms that do not vary, or not each by itself.
        """
        where = f" in cluster {cluster}" if clusters > 1 else ""
        for place in sorted(set(self.dependence.places)):
            numbers_ = [k for k, other in enumerate(self.dependence.places) if other == place]
            terms = self.terms[members][:, numbers_]
            name = self.dependence.names[numbers_[0]]
            texts = [self.dependence.terms[k] for k in numbers_]
            size = terms.std(0)
            for k, text in enumerate(texts):
                if size[k] <= 1e-9 * max(abs(float(self.reference[numbers_[k]])), 1e-300):
                    raise ExpertError(
                        f"{text!r} is the same for all {len(members)} specimens{where}: how {name!r} depends on it"
                        " cannot be told; leave the term out"
                    )
            centred = (terms - terms.mean(0)) / size
            if np.linalg.matrix_rank(centred, tol=1e-7 * np.sqrt(len(members))) < len(texts):
                raise ExpertError(
                    f"the terms {', '.join(map(repr, texts))} of {name!r} do not vary each by itself{where}: leave one"
                    " out, or measure specimens where they differ"
                )
            if len(members) < len(texts) + 2:
                raise ExpertError(
                    f"{name!r} has {len(texts)} effects and only {len(members)} specimens{where}: it takes at least"
                    f" {len(texts) + 2}"
                )


def read_design(
    law: Law,
    depends_on: DependsOn | None,
    groups: str | ArrayLike | None,
    covariates: Mapping[str, ArrayLike] | None,
    y: object,
    there: NDArray[np.bool_],
    labels: ArrayLike,
) -> SpecimenDesign | None:
    """Read covariates and batches of the specimens of a fit.

    Args:
        law: The physics.
        depends_on: Terms by parameter.
        groups: The batch of every specimen, (N,), or the name of a covariate or of a coordinate of ``y``.
        covariates: By name, one number for each specimen, (N,).
        y: The curves as given; an ``xarray.DataArray`` may bring covariates as coordinates.
        there: Which specimens have a curve, shape (N,): those must have every covariate.
        labels: What to call the specimens in messages, (N,).

    Returns:
        The design; None where parameters depend on nothing.

    Raises:
        ExpertError: If something is missing or cannot be used.
        ShapeError: If there is not one value for each specimen.
    """
    dependence = Dependence.read(law, depends_on)
    if not len(dependence) and groups is None:
        return None
    labels, values, units = np.asarray(labels), {}, {}
    for name in dependence.covariates:
        given = _given(name, covariates, y)
        if given is None:
            using = [
                label for label, term in zip(dependence.labels, dependence.terms, strict=True) if name in names_in(term)
            ]
            raise ExpertError(
                f"the covariate {name!r} of {using[0]!r} was not given: give covariates={{{name!r}: values}}, one"
                " number for each specimen, or make it a coordinate of y"
            )
        values[name] = numbers(name, given)
        units[name] = str(getattr(given, "attrs", {}).get("units", "1"))
        if values[name].shape != there.shape:
            raise ShapeError(
                f"the covariate {name!r} has the shape {values[name].shape}, expected ({len(there)},): one number for"
                " each specimen"
            )
        missing = there & ~np.isfinite(values[name])
        if missing.any():
            raise ExpertError(
                f"the covariate {name!r} is not known for specimens with a curve: {_some(labels[missing])}; fill it in,"
                " or leave these specimens out"
            )
    terms = dependence.values(values) if len(dependence) else np.zeros((len(there), 0))
    reference = terms[there].mean(0)
    terms = np.where(np.isfinite(terms), terms - reference, 0.0)
    group, names, what = _read_groups(groups, covariates, y, there, labels)
    return SpecimenDesign(
        dependence,
        terms,
        reference,
        tuple(units.get(term, "1") for term in dependence.terms),
        group,
        names,
        what,
    )


def _given(name: str, covariates: Mapping[str, ArrayLike] | None, y: object) -> ArrayLike | None:
    """What was given under a name, as a covariate or as a coordinate of the curves."""
    if covariates is not None and name in covariates:
        return covariates[name]
    if isinstance(y, xr.DataArray) and name in y.coords and y.coords[name].dims == y.dims[:1]:
        return y.coords[name]
    return None


def _read_groups(
    groups: str | ArrayLike | None,
    covariates: Mapping[str, ArrayLike] | None,
    y: object,
    there: NDArray[np.bool_],
    labels: NDArray[np.generic],
) -> tuple[NDArray[np.int64] | None, NDArray[np.generic], str]:
    if groups is None:
        return None, np.zeros(0), ""
    what = groups if isinstance(groups, str) else str(getattr(groups, "name", None) or "group")
    given = _given(groups, covariates, y) if isinstance(groups, str) else groups
    if given is None:
        raise ExpertError(
            f"groups={groups!r} names nothing that was given: give covariates={{{groups!r}: labels}}, one label for"
            " each specimen, or the labels themselves"
        )
    given = np.asarray(given)
    if given.shape != there.shape:
        raise ShapeError(f"groups have the shape {given.shape}, expected ({len(there)},): one label for each specimen")
    return (*number_groups(what, given, there, labels), what)


def number_groups(
    what: str, given: NDArray[np.generic], there: NDArray[np.bool_], labels: NDArray[np.generic]
) -> tuple[NDArray[np.int64], NDArray[np.generic]]:
    """Number the batches of specimens: number of each (N,), -1 for one without a curve; and the batches' names.

    Args:
        what: What to call the grouping in messages.
        given: Labels, shape (N,); numbers or texts.
        there: Which specimens have a curve, shape (N,).
        labels: What to call the specimens.

    Raises:
        ExpertError: If a specimen with a curve has no label, or batches cannot be told from specimens.
    """
    empty = np.array([value is None or value != value or str(value).strip() == "" for value in given.tolist()])
    if (there & empty).any():
        raise ExpertError(
            f"the {what} is not known for specimens with a curve: {_some(labels[there & empty])}; fill it in, or leave"
            " these specimens out"
        )
    names, number = np.unique(given[there], return_inverse=True)
    if len(names) < 2 or len(names) == int(there.sum()):
        each = "all specimens are of one" if len(names) < 2 else "every specimen is of its own"
        raise ExpertError(
            f"{each} {what}: how batches differ can be told from two or more, at least one of them of two specimens;"
            " leave groups out"
        )
    group = np.full(len(there), -1)
    group[there] = number
    return group, names


def _some(labels: NDArray[np.generic]) -> str:
    shown = [str(label) for label in labels[:_FEW]]
    return ", ".join(shown) + (f" and {len(labels) - _FEW} more" if len(labels) > _FEW else "")
