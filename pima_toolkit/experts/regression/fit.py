"""A fit as a person asks for it: checked input, one row per cluster, errors between specimens.

All curves of a cluster are fitted together first, which finds the place; where there are several, their population
follows from each curve's own fit (:mod:`~pima_toolkit.experts.regression.population`). In the common fit the solver
sees the curves reduced: one grid, a mean curve per cluster, and what of the cost no parameters change. That is exact in
every case: points measured at the same inputs are one point of their summed weight, whichever specimens they belong to,
whether these share a grid, have a few points missing, or have grids of their own that meet now and then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, ShapeError
from ..contract.bounds import Bounds
from ..contract.inputs import Inputs, by_name, pack, unpack, variable
from ..contract.law import Law
from ..contract.numbers import hidden_points, numbers
from ..noise.base import CurveNoise
from ..noise.table import NOISES, noise_named
from ..solvers.least_squares import solve
from ..solvers.optimum import Optimum
from ..solvers.starts import search, spread, starting_points
from ..solvers.statistics import CurveStatistics
from .coloured import fit_one_curve
from .covariance import Errors, errors_of, noise_variance, unidentified
from .curves import FittedCurves
from .dependence import DependsOn, SpecimenDesign, read_design
from .noise_choice import compare_noises
from .population import CurvePopulation, find_population
from .priors import Given, Priors
from .solution import Solution

Array = NDArray[np.float64]

#: Parameters tried before a law is said to have no value at a point.
_TRIED = 24
#: Rounds of a fit with priors: noise variance, linearised priors, solve.
_ROUNDS = 50


def fit(
    law: Law,
    t: Inputs,
    y: ArrayLike,
    weights: ArrayLike | None,
    start: ArrayLike | Mapping[str, float] | None,
    fixed: Mapping[str, float] | None,
    *,
    priors: Given | None = None,
    noise_std: ArrayLike | None = None,
    noise: str | CurveNoise = "constant",
    y_unit: str | None = None,
    t_unit: str | None = None,
    depends_on: DependsOn | None = None,
    groups: str | ArrayLike | None = None,
    covariates: Mapping[str, ArrayLike] | None = None,
) -> Solution:
    """Fit an expert to curves; the arguments are those of :meth:`~pima_toolkit.experts.kinds.expert.Expert.fit`."""
    units = {"y_unit": y_unit, "t_unit": t_unit}
    if noise_std is not None and noise != "constant":
        raise ExpertError(
            f"noise_std says how the points scatter, and noise={noise!r} is to learn it: give one of the two"
        )
    if isinstance(noise, str) and noise == "auto":
        if depends_on is not None or groups is not None:
            raise ExpertError(
                'noise="auto" compares noise models where parameters depend on nothing: fit without depends_on and'
                " groups first, then with them and the noise model that was chosen, by its name"
            )
        given = {"start": start, "fixed": fixed, "priors": priors, **units}
        return _with_the_best_noise(law, t, y, weights, **given)
    noise = noise_named(noise)
    problem, data, optimum, starts = _common(law, t, y, weights, start, fixed, priors, noise_std, **units)
    absolute, known = noise_std is not None, problem.priors
    depends = _depends(law, data, y, depends_on, groups, covariates)
    data, integrated = replace(data, noises=(noise,) * len(optimum.cost), depends=depends), None
    _check_held(problem, depends)
    if data.single and noise.numbers():

        def variance_of(at: Optimum, of: FittedCurves) -> Array:
            return noise_variance(law, at, of, known=False, priors=known)

        plain = replace(data, noises=(NOISES["constant"],))
        optimum, data, integrated = fit_one_curve(law, noise, optimum, starts, plain, known, variance_of)
        variance = variance_of(optimum, data)
    elif known is not None:
        optimum, variance = problem.posterior(optimum, starts, data, absolute=absolute)
    else:
        variance = noise_variance(law, optimum, data, known=absolute)
    data = replace(data, variance=variance, known=absolute, priors=known is not None)
    errors = errors_of(law, optimum, data, variance, known=absolute, priors=known)
    if data.single:
        if integrated is not None and known is None:
            covariance = np.where(np.isfinite(errors.covariance), integrated, errors.covariance)
            errors = replace(errors, covariance=covariance)
        return Solution(law, optimum, errors, data)
    options = {"known": absolute, "priors": known, "noise": noise}
    clusters = range(len(optimum.cost))
    populations = tuple(find_population(law, optimum, data, errors.covariance, c, **options) for c in clusters)
    data = replace(data, noises=tuple(noise if one is None else one.noise for one in populations))
    return Solution(law, *_of_populations(law, optimum, errors, data, populations), data, populations)


def _depends(
    law: Law,
    data: FittedCurves,
    y: ArrayLike,
    depends_on: DependsOn | None,
    groups: str | ArrayLike | None,
    covariates: Mapping[str, ArrayLike] | None,
) -> SpecimenDesign | None:
    """What the specimens' parameters depend on, checked."""
    if depends_on is None and groups is None:
        return None
    if data.single:
        raise ExpertError("one curve cannot tell what parameters depend on: give the curves of several specimens")
    there = data.observed.any(1) & (data.gamma > 0.0).any(1)
    depends = read_design(law, depends_on, groups, covariates, y, there, data.names)
    if depends is None:
        return None
    if depends.group is not None and not np.isin(data.gamma[there], (0.0, 1.0)).all():
        raise ExpertError(
            "groups need specimens that belong to their cluster or do not: give weights of 0 and 1, or leave groups out"
        )
    for c in range(data.gamma.shape[1]):
        depends.check(np.flatnonzero(there & (data.gamma[:, c] > 0.0)), c, data.gamma.shape[1])
    return depends


def _check_held(problem: _Problem, depends: SpecimenDesign | None) -> None:
    """Refuse effects on a parameter that is held."""
    for name in () if depends is None else depends.dependence.names:
        if name in problem.fixed:
            raise ExpertError(f"parameter {name!r} is held by fixed= and cannot depend on anything: leave one out")


def _with_the_best_noise(
    law: Law,
    t: Inputs,
    y: ArrayLike,
    weights: ArrayLike | None,
    *,
    y_unit: str | None,
    t_unit: str | None,
    **given: ArrayLike | Mapping | None,
) -> Solution:
    """Fit with the noise model that says best what was held out."""
    units = units_given(law, t, y, y_unit, t_unit)
    single = np.ndim(y) == 1
    values, grids = read_curves(law, t, y)
    gamma, points = responsibilities(weights, values.shape, single)
    if gamma.shape[1] > 1:
        raise ExpertError('noise="auto" compares noise models of one population: fit each cluster by itself')
    observed = np.isfinite(values) & (points > 0.0) & (gamma > 0.0)

    def refit(noise: CurveNoise, kept: NDArray[np.bool_], number: int | None) -> Solution:
        some = np.where(kept, values, np.nan)
        if number is None:
            return fit(law, by_name(law.inputs, grids), some, weights, noise=noise, **given, **units)
        grid = grids if grids.ndim == 1 else grids[number]
        own = points[0] if single else None
        return fit(law, by_name(law.inputs, grid), some[number], own, noise=noise, **given, **units)

    noise, table = compare_noises(law, values, observed, refit)
    found = fit(law, t, y, weights, noise=noise, **given, **units)
    return replace(found, noise_comparison=table)


def units_given(law: Law, t: Inputs, y: ArrayLike, y_unit: str | None, t_unit: str | None) -> dict[str, str]:
    """Units of the curves and of the independent variable, as given or as the arrays bring them."""
    along = t.get(law.t) if isinstance(t, Mapping) else t
    return {
        "y_unit": y_unit or str(getattr(y, "attrs", {}).get("units", "1")),
        "t_unit": t_unit or str(getattr(along, "attrs", {}).get("units", "1")),
    }


def names_given(law: Law, t: Inputs, y: ArrayLike) -> tuple[str, str]:
    """What the curves and the independent variable are called by the arrays, ``"engineering stress"``; else empty."""
    along = t.get(law.t) if isinstance(t, Mapping) else t
    own = y.coords[law.t] if isinstance(y, xr.DataArray) and law.t in y.coords else None
    called = [str(getattr(one, "attrs", {}).get("long_name", "")) for one in (y, along, own)]
    return called[0], called[1] or called[2]


def fit_as_one(law: Law, t: Inputs, y: ArrayLike, noise_std: ArrayLike | None = None) -> Optimum:
    """Fit one curve of the law to all curves at once, whatever populations they are of: where a search may begin.

    Its parameters are no population's mean, and it has no errors.

    Args:
        law: The physics.
        t: As in :meth:`~pima_toolkit.experts.kinds.expert.Expert.fit`.
        y: Curves, (N, T); NaN where not measured.
        noise_std: Known standard deviation of the noise, in the unit of the curves: one number, (T,) or (N, T).

    Returns:
        The best parameters, one row.

    Raises:
        ExpertError: If there is nothing to fit, or too little of it.
        ShapeError: If the arrays do not fit together.
    """
    return _common(law, t, y, None, None, None, None, noise_std)[2]


def _common(
    law: Law,
    t: Inputs,
    y: ArrayLike,
    weights: ArrayLike | None,
    start: ArrayLike | Mapping[str, float] | None,
    fixed: Mapping[str, float] | None,
    priors: Given | None,
    noise_std: ArrayLike | None,
    *,
    y_unit: str | None = None,
    t_unit: str | None = None,
) -> tuple[_Problem, FittedCurves, Optimum, Array]:
    """Check what a person gave, and fit all curves of each cluster together, without priors; with the starts."""
    y_unit, t_unit = units_given(law, t, y, y_unit, t_unit).values()
    single, called = np.ndim(y) == 1, names_given(law, t, y)
    names = _names(y)
    y, t = read_curves(law, t, y)
    if y.ndim != 2 or not t.ndim or variable(law, t).shape not in {y.shape[1:], y.shape}:
        raise ShapeError(
            f"y has the shape {y.shape} and t {t.shape}: expected y (T,) or (specimen, T), and t (T,) or as y"
        )
    if not np.isfinite(t).all():
        raise ShapeError("t holds NaN or infinite values: repeat the last t where a curve is shorter, with y NaN there")
    if np.isinf(y).any():
        raise ExpertError("y holds infinite values: use NaN where a point was not measured")
    law.check_units(variable(law, t), {law.t: t_unit}, y_unit)
    law.check_quantity(*called, stacklevel=6)
    gamma, points = responsibilities(weights, y.shape, single)
    if noise_std is not None:
        points = points * precision(noise_std, y.shape)
    observed = np.isfinite(y) & (points > 0)
    known = Priors.read(law, priors) if priors else None
    problem = _Problem(law, t, np.where(observed, y, 0.0), observed * points, fixed or {}, known)
    _check_amount(problem, observed, gamma, spare=noise_std is not None)
    optimum, starts, reduced = problem.solve(gamma, start)
    data = FittedCurves(
        t=t,
        y=problem.y,
        observed=observed,
        gamma=gamma,
        points=points,
        single=single,
        y_unit=y_unit,
        t_unit=t_unit,
        names=np.arange(len(y)) if names is None else names,
        **reduced,
    )
    return problem, data, optimum, starts


def read_curves(law: Law, t: Inputs, y: ArrayLike) -> tuple[Array, Array]:
    """Curves (N, T), NaN where they or their t are masked, and the packed grid they are on.

    Raises:
        ExpertError: If they hold dates, or anything else that is no number.
        ShapeError: If they do not fit together.
    """
    curves = np.atleast_2d(numbers("y", y))
    along = t.get(law.t) if isinstance(t, Mapping) else t
    hidden = hidden_points(along) if along is not None else None
    if hidden is None:
        return curves, pack(law, t, curves.shape)
    if np.shape(hidden)[-1:] == curves.shape[-1:]:
        curves = np.where(hidden, np.nan, curves)
    shown = np.where(hidden, np.nan, numbers(law.t, along))
    if not np.isfinite(shown).any():
        raise ExpertError(f"{law.t} is masked everywhere: nothing was measured")
    # Where t is not known nothing was measured: any value will do.
    shown = np.where(np.isfinite(shown), shown, np.nanmin(shown))
    return curves, pack(law, {**t, law.t: shown} if isinstance(t, Mapping) else shown, curves.shape)


def _names(y: object) -> Array | None:
    """Names of the specimens that the curves were given with, as an ``xarray.DataArray`` brings them."""
    if not isinstance(y, xr.DataArray) or y.ndim != 2 or y.dims[0] not in y.coords:
        return None
    return np.asarray(y.coords[y.dims[0]].values)


def _of_populations(
    law: Law, common: Optimum, errors: Errors, data: FittedCurves, populations: tuple[CurvePopulation | None, ...]
) -> tuple[Optimum, Errors]:
    """Put the populations' parameters and errors in the place of those of the curves' common fit."""
    theta, covariance = common.parameters.copy(), errors.covariance.copy()
    open_ = errors.unidentified.copy()
    for c, population in enumerate(populations):
        if population is None:
            continue
        theta[c], free = population.theta, population.free
        lost = common.free[c] & ~free
        covariance[c] = population.covariance
        covariance[c][lost, lost] = np.inf
        std = np.sqrt(np.maximum(np.diagonal(covariance[c]), 0.0))
        open_[c] = common.free[c] & unidentified(lost, std, theta[c], data.bounds)
    value = law.value_and_jacobian(data.grid, theta)[0]
    cost = np.sum(data.weight * np.square(np.where(data.weight > 0.0, data.mean - value, 0.0)), axis=1)
    optimum = replace(common, parameters=theta, cost=cost)
    return optimum, replace(errors, covariance=covariance, unidentified=open_)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Curves to be fitted together, without priors or with them.

    Args:
        law: The physics.
        t: Packed grid, (V T,) or (N, V T).
        y: Curves (N, T), finite.
        weight: Of every point, (N, T).
        fixed: Parameters that are held, by name.
        priors: Priors, or None.
    """

    law: Law
    t: Array
    y: Array
    weight: Array
    fixed: Mapping[str, float]
    priors: Priors | None

    @property
    def held(self) -> NDArray[np.bool_]:
        """Flags of the parameters that are held, (P,)."""
        return _held(self.law, self.fixed)

    def solve(
        self, gamma: Array, start: ArrayLike | Mapping[str, float] | None
    ) -> tuple[Optimum, Array, dict[str, Array | Bounds]]:
        """One fit per column of gamma without errors and priors, its starts, and the reduced curves it is a fit of."""
        grid, mean, weight, constant = reduce(self.law, self.t, self.y, self.weight, gamma)
        bounds = self.law.bounds(variable(self.law, grid))
        starts = _starts(self.law, grid, mean, weight, start, bounds, self.held)
        self._check_domain(grid, weight, starts, bounds)
        for name, value in self.fixed.items():
            starts[..., _number(self.law, name)] = float(value)
        reduced = {"grid": grid, "mean": mean, "weight": weight, "constant": constant, "bounds": bounds}
        options = {"fixed": self.held, "constant": constant, "project": True}
        return solve(self.law, grid, mean, weight, starts, bounds, **options), starts, reduced

    def _check_domain(self, grid: Array, weight: Array, starts: Array, bounds: Bounds) -> None:
        """Refuse points at which the law is not finite, whatever its parameters: a power of what is below zero."""
        law, along = self.law, variable(self.law, grid)
        middle = bounds.from_unbounded(np.zeros((1, len(law.parameters))))
        tried = np.concatenate([starts.reshape(-1, len(law.parameters)), spread(middle, bounds, _TRIED, along)[0]])
        with np.errstate(all="ignore"):
            value = law.value_and_jacobian(grid, tried)[0]
        lost = (weight > 0.0).any(0) & ~np.isfinite(value).any(0)
        why = law.why_not_finite(np.atleast_2d(grid)[0], tried[0]) if lost.any() else ""
        if why:
            raise ExpertError(why)
        if lost.any() and not lost.all():
            raise ExpertError(
                f"expert {law.name!r} is not finite at {law.t} = {along[lost][0]:g}, whatever its parameters"
                f" ({int(lost.sum())} of {len(lost)} points): leave such points out, NaN in y, or use a law of what was"
                " measured"
            )

    def posterior(self, first: Optimum, starts: Array, data: FittedCurves, *, absolute: bool) -> tuple[Optimum, Array]:
        """Find the mode of the posterior and the noise variance at it, from the fit without priors."""
        reduced = {name: getattr(data, name) for name in ("grid", "mean", "weight", "constant", "bounds")}
        optimum, agreement = first, first.agreement
        starts = np.concatenate([first.parameters[:, None], starts], axis=1)
        variance = noise_variance(self.law, first, data, known=absolute, priors=self.priors)
        for iteration in range(_ROUNDS):
            before = optimum.parameters
            optimum = self._penalised(optimum, starts, reduced, variance)
            agreement = optimum.agreement if iteration == 0 else agreement
            starts = optimum.parameters[:, None]
            last, variance = variance, noise_variance(self.law, optimum, data, known=absolute, priors=self.priors)
            still = np.abs(optimum.parameters - before) <= 1e-9 * np.abs(before)
            if still.all() and (np.abs(variance - last) <= 1e-6 * last).all():
                break
        return replace(optimum, agreement=agreement), variance

    def _penalised(
        self, about: Optimum, starts: Array, reduced: Mapping[str, Array | Bounds], variance: Array
    ) -> Optimum:
        """A fit with the priors linearised about another; its cost is that of the curves alone."""
        rows, target = self.priors.rows(about.parameters)
        unit = np.sqrt(variance)[:, None]
        prior = rows * unit[..., None], target * unit
        grid, mean, weight, constant, bounds = (reduced[n] for n in ("grid", "mean", "weight", "constant", "bounds"))
        optimum = solve(
            self.law,
            grid,
            mean,
            weight,
            starts,
            bounds,
            fixed=self.held,
            constant=constant,
            prior=prior,
            project=starts.shape[1] > 1,
        )
        value = self.law.value_and_jacobian(grid, optimum.parameters)[0]
        return replace(optimum, cost=np.sum(weight * np.square(np.where(weight > 0.0, mean - value, 0.0)), axis=1))


def _check_amount(problem: _Problem, observed: NDArray[np.bool_], gamma: Array, *, spare: bool) -> None:
    """Refuse what says too little; with known noise a prior is worth a point (``spare``)."""
    if not observed.any():
        raise ExpertError("there is nothing to fit: no point of y is both finite and of a weight above zero")
    empty = np.flatnonzero(gamma.T @ observed.sum(1) == 0)
    if empty.size:
        raise ExpertError(
            f"cluster {empty[0]} has no data: all its weights are zero; leave the cluster out, or give it a specimen"
        )
    law = problem.law
    needed = len(law.parameters) - len(problem.fixed)
    needed -= len(problem.priors.mean) if spare and problem.priors is not None else 0
    for c in range(gamma.shape[1]):
        count = int(observed[gamma[:, c] > 0].sum())
        if count < needed:
            raise ExpertError(
                f"expert {law.name!r} has {needed} free parameters but only {count} points were measured:"
                f" measure more, or hold a"
                " parameter by fixed={name: value}"
            )


def _number(law: Law, name: str) -> int:
    names = [p.name for p in law.parameters]
    if name not in names:
        raise ExpertError(f"expert {law.name!r} has no fitted parameter {name!r}; it has {', '.join(names)}")
    return names.index(name)


def _held(law: Law, fixed: Mapping[str, float]) -> NDArray[np.bool_]:
    held = np.zeros(len(law.parameters), dtype=bool)
    for name, value in fixed.items():
        if not np.isfinite(value):
            raise ExpertError(f"parameter {name!r} cannot be held at {value}: give a finite number")
        number = _number(law, name)
        lower, upper = law.parameters[number].lower, law.parameters[number].upper
        if not lower <= value <= upper:
            raise ExpertError(
                f"parameter {name!r} cannot be held at {value:g}, outside its bounds {lower:g} to {upper:g}"
            )
        held[number] = True
    return held


def _starts(
    law: Law,
    grid: Array,
    mean: Array,
    weight: Array,
    start: ArrayLike | Mapping[str, float] | None,
    bounds: Bounds,
    held: NDArray[np.bool_],
) -> Array:
    """Starts (C, S, P): the expert's own, or the given one first with the expert's own after it."""
    C = len(mean)
    P = len(law.parameters)
    # Several starts, and a wider search with thousands of curves, are cheap for compiled experts only.
    compiled = law.compiled_curve() is not None
    own = starting_points(law, grid, mean, weight, 8 if compiled or start is None else 1)
    if start is None:
        wide = compiled and not law.guesses
        return np.concatenate([own, search(law, grid, mean, weight, bounds, held)], axis=1) if wide else own
    if isinstance(start, Mapping):
        starts = own[:, :1].copy()
        for name, value in start.items():
            starts[..., _number(law, name)] = float(value)
    else:
        try:
            starts = np.array(np.broadcast_to(np.asarray(start, dtype=np.float64), (C, P)))[:, None]
        except ValueError:
            raise ShapeError(f"start has the shape {np.shape(start)}, expected ({P},) or ({C}, {P})") from None
    outside = ~((starts >= bounds.lower) & (starts <= bounds.upper))
    if outside.any():
        c, _, i = np.argwhere(outside)[0]
        raise ExpertError(
            f"the start {starts[c, 0, i]:g} of parameter {law.parameters[i].name!r} is outside its bounds"
            f" {bounds.lower[i]:g} to"
            f" {bounds.upper[i]:g}: start inside, or leave start out"
        )
    return np.concatenate([starts, own], axis=1)


Array = NDArray[np.float64]


def responsibilities(weights: ArrayLike | None, shape: tuple[int, int], single: bool) -> tuple[Array, Array]:
    """Responsibilities (N, C) and weights per point (1, T) of what a person gave as weights.

    Raises:
        ExpertError: If they are negative or not finite.
        ShapeError: If their shape does not fit.
    """
    N, T = shape
    if weights is None:
        return np.ones((N, 1)), np.ones((1, T))
    w = numbers("weights", weights, masked=0.0)
    if not (np.isfinite(w).all() and (w >= 0).all()):
        raise ExpertError("weights must be finite and not negative: use 0 for what should not count")
    if single and w.shape == (T,):
        return np.ones((1, 1)), w[None]
    if w.shape == (N,):
        return w[:, None], np.ones((1, T))
    if w.ndim == 2 and w.shape[0] == N and w.shape[1] >= 1:
        return w, np.ones((1, T))
    expected = f"({T},), one per point" if single else f"({N},), one per specimen, or ({N}, clusters)"
    raise ShapeError(f"weights have the shape {w.shape}, expected {expected}")


def precision(noise_std: ArrayLike, shape: tuple[int, int]) -> Array:
    """Weights of points of known noise, their inverse variance, (1, T) or (N, T).

    Raises:
        ExpertError: If a standard deviation is not above zero and finite.
        ShapeError: If they are not one number, one per point (T,), or one per point of each curve (N, T).
    """
    # Where it is masked it is not known: such a point cannot be weighed.
    std = numbers("noise_std", noise_std, masked=np.inf)
    hidden = hidden_points(noise_std)
    std = std if hidden is None else np.where(hidden, 1.0, std)
    if not (np.isfinite(std).all() and (std > 0).all()):
        raise ExpertError("noise_std must be above zero and finite: it is the standard deviation of each point's noise")
    if std.shape not in {(), shape[1:], shape}:
        raise ShapeError(f"noise_std has the shape {std.shape}, expected one number, ({shape[1]},) or {shape}")
    weight = std**-2 if hidden is None else np.where(hidden, 0.0, std**-2)
    return np.broadcast_to(weight, shape if std.shape == shape else (1, shape[1])).copy()


def reduce(law: Law, t: Array, y: Array, weight: Array, gamma: Array) -> tuple[Array, Array, Array, Array]:
    """Reduce curves to their sufficient statistics.

    Args:
        law: Whose inputs these are.
        t: Packed grid, (V T,) shared or (N, V T).
        y: Curves, (N, T), finite where the weight is above zero.
        weight: Of every point, (N, T), 0 where it does not count.
        gamma: Responsibilities, (N, C).

    Returns:
        One packed grid of T' points (V T',), mean curves (C, T'), their weights (C, T'), and the constant of the cost
        (C,).
    """
    if t.ndim == 1:
        parts = (torch.from_numpy(part) for part in (y, gamma, weight))
        statistics = CurveStatistics(gamma.shape[1], y.shape[1]).update(*parts)
        return t, statistics.mean.numpy(), statistics.weight.numpy(), statistics.constant.numpy()
    specimen, point = np.nonzero(weight > 0)
    inputs = np.stack([part[specimen, point] for part in unpack(t, len(law.inputs))])
    grid, which = np.unique(inputs if len(inputs) > 1 else inputs[0], axis=-1, return_inverse=True)
    which, size = which.reshape(-1), grid.shape[-1]
    values = y[specimen, point]
    mean, total, constant = np.empty((gamma.shape[1], size)), np.empty((gamma.shape[1], size)), np.zeros(gamma.shape[1])
    for c in range(gamma.shape[1]):
        w = gamma[specimen, c] * weight[specimen, point]
        total[c] = np.bincount(which, w, size)
        mean[c] = np.bincount(which, w * values, size) / np.where(total[c] > 0, total[c], 1.0)
        constant[c] = w @ np.square(values - mean[c, which])
    return grid.reshape(-1), mean, total, constant
