r"""What to test next: how much a curve under given conditions would tell of parameters, or tell two laws apart.

A curve of one more specimen says its own parameters with the information :math:`H = J^\top R^{-1} J / v`, J the law's
slopes there and R, v the noise; the specimen differs from its population by the scatter S. Of the population's
coefficients, whose effect on the specimen's parameters is D, it tells

.. math:: A = D^\top (S + H^{-1})^{-1} D = D^\top (1 + H S)^{-1} H D,

which adds to the inverse of their covariance. The best test is that after which the named parameters' standard errors
have fallen most, or, where none is named, the volume of the coefficients' ellipsoid (D-optimal); several are chosen one
after another. Two fits are best told apart where their curves differ most, as a share of all by which a curve may
scatter about either: the Mahalanobis distance. All is linear in the parameters at what is known today.

Source: Fedorov & Leonov 2013, Optimal Design for Nonlinear Response Models, chapters 2, 6 and 7; Atkinson & Fedorov
1975 (Biometrika 62, 57) for two laws.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, OptionError
from ..contract.bounds import Bounds
from ..contract.inputs import by_name, pack, variable
from ..contract.law import Law
from ..contract.numbers import numbers
from ..contract.parameters import resolve_unit
from ..noise.base import CurveNoise
from .curves import FittedCurves
from .dependence import SpecimenDesign
from .effects import per, scale_units
from .population import CurvePopulation

Array = NDArray[np.float64]

#: What there is to choose among: values by name, of the independent variable grids.
Conditions = Mapping[str, Sequence[ArrayLike] | NDArray[np.generic]]

#: Most combinations of conditions that are looked at.
_MOST = 100_000
#: What is known of a coefficient that nothing is known of, as a share of what the best candidate tells.
_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What one row of a fit knows: a population, or the parameters of a single curve.

    Args:
        law: The physics.
        bounds: Bounds of the fitted parameters.
        data: The curves it was fitted to.
        free: Which parameters were estimated, shape (P,).
        theta: Fitted parameters, shape (P,).
        covariance: Of the coefficients, the unbounded parameters first, shape (K, K); infinite where open.
        scatter: Of a new specimen's unbounded parameters about its population, shape (free, free).
        variance: Of the noise of a typical point.
        noise: Its model.
        population: None for a single curve.
    """

    law: Law
    bounds: Bounds
    data: FittedCurves
    free: NDArray[np.bool_]
    theta: Array
    covariance: Array
    scatter: Array
    variance: float
    noise: CurveNoise
    population: CurvePopulation | None

    @classmethod
    def of(
        cls,
        law: Law,
        data: FittedCurves,
        free: NDArray[np.bool_],
        theta: Array,
        covariance: Array,
        population: CurvePopulation | None,
        row: int,
    ) -> Knowledge:
        """Collect it from the parts of a solution.

        Args:
            law: The physics.
            data: The curves.
            free: Which parameters were estimated, shape (P,).
            theta: Fitted parameters, shape (P,).
            covariance: Of the fitted parameters, shape (P, P): what a single curve knows.
            population: Of several curves.
            row: Number of the row.

        Raises:
            ExpertError: If the row has no errors: there is nothing that a test could improve on.
        """
        weights = np.broadcast_to(data.points, data.observed.shape)[data.observed]
        typical = float(np.mean(1.0 / weights))
        if population is not None:
            effects = population.effects
            return cls(
                law, population.bounds, data, population.free, population.theta, effects.coefficient_covariance,
                effects.total, effects.variance * typical, population.noise, population,
            )  # fmt: skip
        if not data.single or np.isnan(covariance[np.ix_(free, free)]).any() or not free.any():
            raise ExpertError(
                f"row {row} of this fit has no errors, so that nothing can be planned by it: fit it to more points or"
                " specimens"
            )
        slope = data.bounds.slope(theta)[free]
        known = covariance[np.ix_(free, free)] / np.outer(slope, slope)
        size = int(free.sum())
        variance = float(np.asarray(data.variance)[row]) * typical
        return cls(law, data.bounds, data, free, theta, known, np.zeros((size, size)), variance, data.noises[row], None)

    @property
    def covariates(self) -> tuple[str, ...]:
        """Covariates that parameters depend on."""
        depends = self.data.depends
        return () if depends is None else depends.dependence.covariates

    @property
    def needed(self) -> tuple[str, ...]:
        """All that a test is described by, the law's independent variable first."""
        return tuple(dict.fromkeys((*self.law.inputs, *self.covariates)))

    def at(self, conditions: Mapping[str, ArrayLike]) -> tuple[Array, Array]:
        """Parameters under conditions, shape (P,), and their unbounded derivatives by coefficients, (free, K)."""
        if self.population is None:
            return self.theta, np.eye(int(self.free.sum()))
        depends = self.data.depends
        return self.population.at(np.zeros(0) if depends is None else self._terms(depends, conditions))

    def _terms(self, depends: SpecimenDesign, conditions: Mapping[str, ArrayLike]) -> Array:
        """Values of the terms minus their reference, shape (effects,)."""
        known = {name: np.array([float(np.asarray(conditions[name]))]) for name in self.covariates}
        return depends.dependence.values(known)[0] - depends.reference if known else np.zeros(0)

    def beyond(self, conditions: Mapping[str, ArrayLike]) -> bool:
        """Whether conditions, or the grid, lie outside those of the curves of the fit."""
        first, depends = self.law.inputs[0], self.data.depends
        measured = variable(self.law, self.data.grid)[(self.data.weight > 0.0).any(0)]
        grid = np.asarray(conditions[first])
        out = bool(grid.min() < measured.min() or grid.max() > measured.max())
        if depends is not None:
            terms = self._terms(depends, conditions)
            out |= bool(((terms < np.nanmin(depends.terms, 0)) | (terms > np.nanmax(depends.terms, 0))).any())
        given = by_name(self.law.inputs, self.data.t)
        for name in self.law.covariates:
            out |= not given[name].min() <= float(np.asarray(conditions[name])) <= given[name].max()
        return out

    def curve(self, conditions: Mapping[str, ArrayLike]) -> tuple[Array, Array, Array, Array]:
        """The curve of a test.

        Returns:
            Independent variable (T,); values (T,); slopes by the free unbounded parameters, (T, free); theirs by the
            coefficients, (free, K).
        """
        theta, design = self.at(conditions)
        grid = pack(self.law, {name: conditions[name] for name in self.law.inputs})
        value, jacobian = (part[0] for part in self.law.value_and_jacobian(grid, theta[None]))
        slopes = (jacobian * self.bounds.slope(theta))[:, self.free]
        if not np.isfinite(slopes).all() or not np.isfinite(value).all():
            raise ExpertError(f"the law {self.law.name!r} has no value or slope under {said(conditions)}: leave it out")
        return variable(self.law, grid), value, slopes, design

    def whitened(self, t: Array, value: Array, columns: Array) -> Array:
        """Columns along a curve, (T, any), in standard deviations of independent noise."""
        shape = self.noise.shape(t[None], np.ones((1, t.size), dtype=bool), value[None])
        return (columns if shape.whiten is None else shape.whiten(columns[None])[0]) / np.sqrt(self.variance)

    def told(self, conditions: Mapping[str, ArrayLike]) -> Array:
        """Information of one more curve about the coefficients, shape (K, K)."""
        t, value, slopes, design = self.curve(conditions)
        slopes = self.whitened(t, value, slopes)
        information = slopes.T @ slopes
        own = np.linalg.solve(np.eye(len(information)) + information @ self.scatter, information)
        whole = design.T @ own @ design
        return 0.5 * (whole + whole.T)


def said(conditions: Mapping[str, ArrayLike]) -> str:
    """Conditions in words, ``temperature = 300, strain from 0 to 0.2``."""
    words = []
    for name, value in conditions.items():
        value = np.asarray(value)
        words.append(f"{name} from {value[0]:g} to {value[-1]:g}" if value.ndim else f"{name} = {float(value):g}")
    return ", ".join(words)


def check_count(n: int | None) -> None:
    """Refuse a number of tests that is none.

    Raises:
        OptionError: If it is no whole number of at least 1.
    """
    if n is not None and (isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1):
        raise OptionError(f"n={n!r}: expected a whole number of tests, at least 1, or None to rank every candidate")


def combinations(known: Knowledge, candidates: Conditions) -> list[dict[str, Array]]:
    """Every combination of the conditions that were given, with the grid of the data where none was.

    Raises:
        OptionError: If a name is missing, unknown or has no values, or there are very many.
    """
    first = known.law.inputs[0]
    if not isinstance(candidates, Mapping):
        example = (*known.needed, "temperature")[1]
        raise OptionError(
            f"candidates are a {type(candidates).__name__}: expected values by name,"
            f" such as {{{example!r}: [300, 400]}}"
        )
    missing = [name for name in known.needed[1:] if name not in candidates]
    unknown = [str(name) for name in candidates if name not in known.needed]
    if missing or unknown:
        wrong = [f"{', '.join(missing)} missing"] if missing else []
        wrong += [f"{', '.join(unknown)} unknown"] if unknown else []
        raise OptionError(
            f"a test of this fit is described by {', '.join(known.needed)} ({'; '.join(wrong)}): give values of each to"
            f" choose among; {first!r}, a list of grids, may be left out"
        )
    values: dict[str, list[Array]] = {}
    for name in known.needed:
        if name == first:
            grids = candidates.get(first, [np.unique(variable(known.law, known.data.grid))])
            values[name] = [np.atleast_1d(numbers(first, grid)) for grid in grids]
            if any(grid.ndim != 1 or grid.size < 2 for grid in values[name]):
                raise OptionError(
                    f"candidates[{first!r}] lists grids of the independent variable, each with two points or more, such"
                    f" as {{{first!r}: [np.linspace(0, 1, 50), np.linspace(0, 2, 50)]}}"
                )
        else:
            values[name] = list(np.atleast_1d(numbers(name, np.asarray(candidates[name]))))
        if not values[name] or not all(np.isfinite(value).all() for value in values[name]):
            raise OptionError(f"candidates[{name!r}] must have finite values to choose among")
    count = int(np.prod([len(value) for value in values.values()]))
    if count > _MOST:
        raise OptionError(f"the candidates make {count:,} combinations, more than the {_MOST:,} that are looked at")
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def next_test(
    known: Knowledge,
    candidates: Conditions,
    about: str | Sequence[str] | None,
    n: int | None,
    at: Mapping[str, float] | None,
) -> xr.Dataset:
    """Rank tests by what they tell of parameters; see :meth:`~pima_toolkit.Solution.next_test`."""
    tests = combinations(known, candidates)
    names, gradient, units = _asked(known, about, at)
    told = np.stack([known.told(test) for test in tests])
    start = _information(known.covariance, told)
    plan = _one_after_another(start, told, gradient, about is None, n)
    before = _errors(start, gradient)
    chosen = [tests[k] for k, _, _ in plan]
    errors = np.stack([_errors(matrix, gradient) for _, _, matrix in plan])
    how = "each by itself" if n is None else "each with those before"
    return xr.Dataset(
        {
            "gain": ("test", [gain for _, gain, _ in plan], {"units": "nat", "long_name": "expected information"}),
            "std_error": (("test", "about"), errors, {"long_name": f"expected standard error, {how}"}),
            "std_error_now": ("about", before, {"long_name": "standard error today"}),
        },
        coords={"test": np.arange(len(plan)), **_conditions(known, chosen),
                "about": names, "unit": ("about", units)},
        attrs={"method": f"linear design of experiments{', D-optimal' if about is None else ''}"},
    )  # fmt: skip


def told_apart(
    known: Knowledge,
    other: Knowledge,
    candidates: Conditions,
    n: int | None,
) -> xr.Dataset:
    """Rank tests by how well they tell two fits apart; see :meth:`~pima_toolkit.Solution.next_test`.

    Raises:
        ExpertError: If the other fit's tests are described by something else.
    """
    if set(known.needed) != set(other.needed):
        raise ExpertError(
            f"tests of the two fits are described by {', '.join(known.needed)} and by {', '.join(other.needed)}: fit"
            " both with the same covariates"
        )
    tests = combinations(known, candidates)
    distance = np.array([_distance(known, other, test) for test in tests])
    order = np.argsort(-distance, kind="stable")[:n]
    return xr.Dataset(
        {
            "separation": ("test", distance[order], {"long_name": "distance of the curves in standard deviations"}),
            "gain": ("test", 0.5 * np.square(distance[order]), {"units": "nat", "long_name": "expected evidence"}),
        },
        coords={"test": np.arange(len(order)), **_conditions(known, [tests[k] for k in order])},
        attrs={"method": "Mahalanobis distance of the curves"},
    )


def _distance(known: Knowledge, other: Knowledge, test: Mapping[str, ArrayLike]) -> float:
    """Mahalanobis distance of two fits' curves of one new specimen."""
    (t, value, slopes, design), (_, theirs, their_slopes, their_design) = known.curve(test), other.curve(test)
    columns = np.concatenate([(value - theirs)[:, None], slopes, their_slopes], 1)
    # The noise of a measurement is that of the fit which has less of it: what a wrong law misses is no noise.
    best, at = (known, value) if known.variance <= other.variance else (other, theirs)
    columns = best.whitened(t, at, columns)
    difference, slopes, their_slopes = columns[:, 0], *np.split(columns[:, 1:], [slopes.shape[1]], axis=1)
    covariance = np.eye(difference.size)
    for fit, along, how in ((known, slopes, design), (other, their_slopes, their_design)):
        finite = np.where(np.isfinite(fit.covariance), fit.covariance, 0.0)
        covariance += along @ (fit.scatter + how @ finite @ how.T) @ along.T
    return float(np.sqrt(difference @ scipy.linalg.solve(covariance, difference, assume_a="pos")))


def _asked(
    known: Knowledge, about: str | Sequence[str] | None, at: Mapping[str, float] | None
) -> tuple[list[str], Array, list[str]]:
    """What the plan is about: names, derivatives by the coefficients (Q, K), units."""
    law, data = known.law, known.data
    reported = [p.name for p in law.reported]
    theta, design = known.theta, np.eye(int(known.free.sum()), len(known.covariance))
    if at is not None:
        if set(at) != set(known.covariates):
            raise ExpertError(
                f"at={dict(at)!r} must give the covariates that parameters depend on, and no other:"
                f" {', '.join(known.covariates) or 'there are none, fit with depends_on'}"
            )
        theta, design = known.at(at)
    slopes = (law.reported_jacobian(theta) * known.bounds.slope(theta))[:, known.free] @ design
    rows = dict(zip(reported, slopes, strict=True))
    units = dict(zip(reported, (resolve_unit(p.unit, data.y_unit, data.t_unit) for p in law.reported), strict=True))
    if known.population is not None and data.depends is not None:
        size, scales = int(known.free.sum()), scale_units(law, known.bounds, data.y_unit, data.t_unit)
        for k, used in enumerate(known.population.used):
            label, place = data.depends.dependence.labels[used], data.depends.dependence.places[used]
            rows[label] = np.eye(len(known.covariance))[size + k]
            units[label] = per(scales[place], data.depends.units[used])
    names = [about] if isinstance(about, str) else list(rows) if about is None else list(about)
    lost = [name for name in names if name not in rows]
    if lost:
        raise ExpertError(f"about names {lost[0]!r}, which this fit does not tell: use {', '.join(map(repr, rows))}")
    dead = [name for name in names if not rows[name].any()]
    if dead and about is not None:
        raise ExpertError(f"{dead[0]!r} was not estimated by this fit, held or at a bound: no test changes it")
    names = [name for name in names if rows[name].any()]
    return names, np.stack([rows[name] for name in names]), [units[name] for name in names]


def _information(covariance: Array, told: Array) -> Array:
    """Inverse of what is known of the coefficients, (K, K); next to nothing of those that are open."""
    best = np.maximum(np.einsum("nkk->nk", told).max(0), 1e-300)
    out = np.diag(_NOTHING * best)
    known = np.isfinite(np.diagonal(covariance)) & (np.diagonal(covariance) > 0.0)
    some = covariance[np.ix_(known, known)]
    size = np.sqrt(np.diagonal(some))
    out[np.ix_(known, known)] += np.linalg.pinv(some / np.outer(size, size), hermitian=True) / np.outer(size, size)
    return out


def _errors(information: Array, gradient: Array) -> Array:
    """Standard errors of linear functions of the coefficients, shape (Q,)."""
    return np.sqrt(np.maximum(np.einsum("qk,kq->q", gradient, np.linalg.solve(information, gradient.T)), 0.0))


def _one_after_another(
    start: Array, told: Array, gradient: Array, whole: bool, n: int | None
) -> list[tuple[int, float, Array]]:
    """Number of each test, its gain in nats, and all that is known with it, (K, K); see :func:`next_test`."""

    def gains(information: Array) -> Array:
        after = information + told
        if whole:
            return 0.5 * (np.linalg.slogdet(after)[1] - np.linalg.slogdet(information)[1])
        variance = np.einsum(
            "qk,nkq->nq", gradient, np.linalg.solve(after, np.broadcast_to(gradient.T, (len(told), *gradient.T.shape)))
        )
        return (np.log(_errors(information, gradient)) - 0.5 * np.log(variance)).sum(1)

    if n is None:
        gain = gains(start)
        return [(int(k), float(gain[k]), start + told[k]) for k in np.argsort(-gain, kind="stable")]
    plan, information = [], start
    for _ in range(n):
        gain = gains(information)
        k = int(gain.argmax())
        information = information + told[k]
        plan.append((k, float(gain[k]), information))
    return plan


def _conditions(known: Knowledge, tests: Sequence[Mapping[str, ArrayLike]]) -> dict[str, tuple]:
    """Coordinates that describe tests: each condition, and from where to where along the independent variable."""
    first, depends = known.law.inputs[0], known.data.depends
    ends = [np.asarray(test[first]) for test in tests]
    unit = {"units": known.data.t_unit}
    out: dict[str, tuple] = {
        f"{first}_from": ("test", [grid.min() for grid in ends], unit),
        f"{first}_to": ("test", [grid.max() for grid in ends], unit),
        "points": ("test", [grid.size for grid in ends]),
    }
    beyond = {"long_name": "beyond what the fit has seen"}
    out["outside_range"] = ("test", [known.beyond(test) for test in tests], beyond)
    units = {} if depends is None else dict(zip(depends.dependence.terms, depends.units, strict=True))
    for name in known.needed[1:]:
        attrs = {"units": units[name]} if units.get(name, "1") != "1" else {}
        out[name] = ("test", [float(np.asarray(test[name])) for test in tests], attrs)
    return out
