"""The result of fitting an expert: parameters, how sure they are, and what to do when something is wrong."""

from __future__ import annotations

import functools
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...errors import ExpertError, OptionError
from ...faces import tells_new_names
from ...units import interval_text, value_with_error
from ..contract.inputs import Inputs, variable
from ..contract.law import Law
from ..diagnosis.curves import PopulationCurves
from ..diagnosis.diagnosis import Diagnosis, diagnose
from ..diagnosis.noise_evidence import NoiseEvidence
from ..noise.base import CurveNoise
from ..solvers.noisy_fits import residuals_of
from ..solvers.optimum import Optimum
from .covariance import Errors
from .curves import FittedCurves
from .effects import batches_table, effects_table, terms_at
from .intervals import band, bootstrap, chosen, coords, freedom, interval, profiles, reported_units, said_of
from .next_test import Conditions, Knowledge, check_count, next_test, told_apart
from .population import CurvePopulation
from .quantities import CurveQuantity, derive

#: Level of the intervals that tables and texts give.
LEVEL = 0.9
#: A specimen is looked at with the row that it belongs to by at least this share of its largest responsibility.
_MEMBER = 0.99


@tells_new_names
@dataclass(frozen=True, eq=False)
class Solution:
    """A fit of C rows (clusters) with P fitted and Q reported parameters.

    ``solution["E"]`` is one parameter's row of :attr:`parameters`.

    Args:
        expert: The physics.
        optimum: The best parameters, and how the solver found them.
        errors: How sure they are.
        data: The curves it was fitted to.
        populations: Of several curves, the population of each cluster; None for one of a single specimen. Empty where
            one curve was fitted.
        noise_comparison: With ``noise="auto"`` the noise models that were compared, by held-out likelihood; else None.
    """

    expert: Law
    optimum: Optimum
    errors: Errors
    data: FittedCurves
    populations: tuple[CurvePopulation | None, ...] = ()
    noise_comparison: xr.Dataset | None = None

    @functools.cached_property
    def parameters(self) -> xr.Dataset:
        """The reported parameters by name, along (cluster, parameter), with units.

        ``value``; ``std_error``; ``low`` and ``high``, the interval of the level and by the method that ``attrs`` name;
        ``at_bound``; ``unidentified``, what the data leave open; of several curves ``scatter_std``, the standard
        deviation between specimens. Of several curves the value is that of the middle specimen: the mean over specimens
        of the unbounded parameters. ``.to_dataframe()`` makes a table of pandas.
        """
        return self.confidence()

    @functools.cached_property
    def specimens(self) -> xr.Dataset:
        """Every specimen's own reported parameters, along (specimen, parameter), by the specimens' names.

        ``value``, ``std_error``, ``low`` and ``high``, from its own curve and the population together; ``cluster``, the
        population of the largest responsibility. NaN where a specimen has no curve or its cluster no population.

        Raises:
            ExpertError: If one curve was fitted: its parameters are the solution's.
        """
        if self.data.single:
            raise ExpertError("one curve was fitted: its parameters are those of the solution itself, .parameters")
        N, Q = len(self.data.gamma), len(self.expert.reported)
        best = self.data.gamma.argmax(1)
        table = np.full((4, N, Q), np.nan)
        for c, population in enumerate(self.populations):
            if population is None:
                continue
            own = population.specimens(LEVEL)
            here = best[population.members] == c
            rows = population.members[here]
            table[:, rows] = [part[here] for part in (own.value, own.std_error, own.low, own.high)]
        dims = ("specimen", "parameter")
        units = reported_units(self.expert, self.data)
        return xr.Dataset(
            {
                "value": (dims, table[0]),
                "std_error": (dims, table[1], {"long_name": "standard error"}),
                "low": (dims, table[2]),
                "high": (dims, table[3]),
                "cluster": ("specimen", best),
            },
            coords={
                "specimen": self.data.names,
                "parameter": [p.name for p in self.expert.reported],
                "unit": ("parameter", units),
            },
            attrs=said_of(LEVEL, "empirical Bayes: own curve and population, Student's t"),
        )

    @functools.cached_property
    def effects(self) -> xr.Dataset:
        """What fitted parameters depend on, along (cluster, effect), such as ``"E ~ temperature"``.

        ``value``, ``std_error``, ``low``, ``high``, ``p_value`` of no effect and ``freedom``, its degrees of freedom:
        the change of the parameter's ``scale``, the logarithm of a positive one, by one unit of the ``term``.
        ``slope``: of the parameter itself, at the ``reference`` where :attr:`parameters` are said, the terms' means.

        Raises:
            ExpertError: If the fit was made without ``depends_on``.
        """
        return effects_table(self.expert, self.data, self.populations, LEVEL)

    @functools.cached_property
    def batches(self) -> xr.Dataset:
        """How the batches of ``groups`` differ, in each fitted parameter's ``scale`` as in :attr:`effects`.

        ``std`` between batches and ``p_value`` of none, along (cluster, parameter); ``effect`` of each batch with
        ``effect_std``, along (cluster, group, parameter).

        Raises:
            ExpertError: If the fit was made without ``groups``.
        """
        return batches_table(self.expert, self.data, self.populations)

    @property
    def noise(self) -> tuple[CurveNoise, ...]:
        """Noise model of each row's curves, with its numbers as learned."""
        return self.data.noises

    @functools.cached_property
    def noise_evidence(self) -> tuple[NoiseEvidence, ...]:
        """Figures of each row's residuals that are zero if its noise model is right, with their standard errors."""
        return tuple(self._curves_of(c).noise_evidence for c in range(len(self.cost)))

    def diagnose(self) -> Diagnosis:
        """Look for what speaks against this fit, from residuals along t to the influence of single points.

        Returns:
            The findings, worst first, each with a sentence, its evidence, a remedy where there is one, and a figure:
            ``print(solution.diagnose())``, ``.to_dataframe()``, ``.plot()``, ``.plot("residuals_t")``. On curves with
            which nothing is wrong it gives an alarm in 5 % of cases.

        Raises:
            ExpertError: If no curve has more points than the law has parameters.
        """
        clusters = range(len(self.cost))
        counted = [c for c in clusters if self.data.gamma[:, c].any()]
        every = [self._curves_of(c) for c in counted]
        return diagnose(one for one in every if one.seen.sum(1).max(initial=0) > one.free.sum())

    def _curves_of(self, c: int) -> PopulationCurves:
        """The curves of a row as a diagnosis looks at them: those that belong to it before any other."""
        data, noise, theta = self.data, self.noise[c], self.fitted[c]
        population = self.populations[c] if self.populations else None
        free, rows = self.optimum.free[c], np.flatnonzero(data.gamma[:, c] > _MEMBER * data.gamma.max(1))
        mine = np.arange(len(rows))
        if population is not None:
            free, mine = population.free, np.flatnonzero(np.isin(population.members, rows))
            rows = population.members[mine]
        at = np.tile(data.bounds.to_unbounded(theta), (len(rows), 1))
        phi, centre, scatter = at.copy(), at.copy(), None
        if population is not None:
            at[:, free] = population.information.estimate[mine]
            centre[:, free] = population.steadied.centre[mine]
            phi[:, free] = centre[:, free] + population.steadied.deviation[mine]
            scatter = population.scatter + population.between
        weights = (data.observed * data.points).astype(np.float64)[rows]
        t = data.t[None] if data.t.ndim == 1 else data.t[rows]
        held = np.where(free, np.nan, theta)[None].repeat(len(rows), 0)
        share = np.ones(len(rows)) if data.single else data.gamma[rows, c]
        left = residuals_of(self.expert, data.bounds, t, data.y[rows], weights, at, share, held=held, free=free)
        variance = float(np.asarray(data.variance)[c]) if population is None else population.effects.variance
        return PopulationCurves(
            law=self.expert,
            bounds=data.bounds,
            packed=t,
            y=data.y[rows],
            weights=weights,
            variance=variance,
            left=left,
            phi=phi,
            held=held,
            free=free,
            noise=noise,
            names=[str(data.names[n]) for n in rows],
            centre=centre,
            scatter=scatter,
            label=f"fit {c}" if len(self.cost) > 1 else "",
            y_unit=data.y_unit,
            t_unit=data.t_unit,
        )

    def __getitem__(self, name: str) -> xr.Dataset:
        """The row of one reported parameter, as in :attr:`parameters`; without the cluster where there is one only."""
        names = [p.name for p in self.expert.reported]
        if name not in names:
            raise ExpertError(f"expert {self.expert.name!r} reports no parameter {name!r}: use {', '.join(names)}")
        row = self.parameters.sel(parameter=name)
        return row.isel(cluster=0) if row.sizes["cluster"] == 1 else row

    @property
    def fitted(self) -> NDArray[np.float64]:
        """Best fitted parameters, shape (C, P), in the order and the units of ``expert.parameters``."""
        return self.optimum.parameters

    @property
    def cost(self) -> NDArray[np.float64]:
        """Weighted sum of squares, shape (C,), in units of y squared times weight."""
        return self.optimum.cost

    @property
    def status(self) -> NDArray[np.int64]:
        """Codes of how the solver ended, shape (C,); positive means converged. :attr:`advice` says them in words."""
        return self.optimum.status

    @property
    def iterations(self) -> NDArray[np.int64]:
        """Iterations of the best start, shape (C,)."""
        return self.optimum.iterations

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of the starts that ended at the best cost, shape (C,).

        A low one means local minima, or a parameter the data do not determine.
        """
        return self.optimum.agreement

    @property
    def at_bound(self) -> NDArray[np.bool_]:
        """Whether a fitted parameter sits on a bound, shape (C, P)."""
        return self.optimum.at_bound

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Whether a fitted parameter was held, shape (P,)."""
        return self.optimum.held

    @property
    def advice(self) -> list[str]:
        """One sentence per row: converged, or what to do."""
        return self.optimum.advice

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance of the fitted parameters, shape (C, P, P); rows of held parameters are 0.

        Of several curves that of the population's mean.
        """
        return self.errors.covariance

    @property
    def naive_covariance(self) -> NDArray[np.float64]:
        """Covariance of the fitted parameters as if every point were independent, shape (C, P, P)."""
        return self.errors.naive_covariance

    @property
    def unidentified(self) -> NDArray[np.bool_]:
        """Whether the data leave a free parameter open, shape (C, P).

        It can be moved together with others without any change of the curve, or its standard error is wider than its
        bounds are apart, or a hundred times its distance to its only bound.
        """
        return self.errors.unidentified

    @property
    def y_unit(self) -> str:
        """Unit of the curves."""
        return self.data.y_unit

    @property
    def t_unit(self) -> str:
        """Unit of the independent variable."""
        return self.data.t_unit

    @property
    def units(self) -> list[str]:
        """Units of the reported parameters, with those of the data put in."""
        return reported_units(self.expert, self.data)

    def confidence(self, *parameters: str, level: float = LEVEL, at: Mapping[str, float] | None = None) -> xr.Dataset:
        """The table of :attr:`parameters` with intervals of any level.

        Of several curves: population mean by restricted maximum likelihood over the specimens' own estimates, Hartung
        and Knapp's correction, Student's t, symmetric in each parameter's unbounded coordinate, such as the logarithm
        of a positive one. Of one curve: least squares, linearised, Student's t, cut at the bounds.

        Args:
            *parameters: Names of reported parameters; all by default.
            level: Share of such intervals that hold the truth.
            at: Covariates that parameters depend on, by name; by default they are said at the terms' means.

        Raises:
            ExpertError: If there is no such parameter, or ``at`` does not give the covariates of ``depends_on``.
        """
        law, C, Q = self.expert, len(self.cost), len(self.expert.reported)
        terms = terms_at(self.data, at)
        ends, method = interval(law, self.optimum, self.errors, self.data, self.populations, level, terms)
        theta = self.fitted
        if terms is not None:
            there = [theta[c] if one is None else one.at(terms)[0] for c, one in enumerate(self.populations)]
            theta = np.stack(there)
        jacobian = law.reported_jacobian(theta)
        made_of = jacobian != 0
        # A reported parameter is at its bound where a fitted one that it alone is made of is.
        own = made_of & (made_of.sum(-2, keepdims=True) == 1)
        dims = ("cluster", "parameter")
        table = {
            "value": (dims, ends.value),
            "std_error": (dims, ends.std_error, {"long_name": "standard error"}),
            "low": (dims, ends.low, {"long_name": "lower end of the interval"}),
            "high": (dims, ends.high, {"long_name": "upper end of the interval"}),
            "at_bound": (dims, (own & self.at_bound[:, None, :]).any(-1)),
            "unidentified": (dims, (made_of & self.unidentified[:, None, :]).any(-1), {"long_name": "not determined"}),
        }
        if not self.data.single:
            spread, batch = np.full((C, Q), np.nan), np.full((C, Q), np.nan)
            for c, population in enumerate(self.populations):
                if population is not None:
                    turned = jacobian[c] * self.data.bounds.slope(theta[c])
                    for out, covariance in ((spread, population.scatter), (batch, population.between)):
                        variance = np.einsum("qp,pr,qr->q", turned, covariance, turned)
                        out[c] = np.sqrt(np.maximum(variance, 0.0))
            grouped = self.data.depends is not None and self.data.depends.group is not None
            of = "specimens of one batch" if grouped else "specimens"
            table["scatter_std"] = (dims, spread, {"long_name": f"standard deviation between {of}"})
            if grouped:
                table["batch_std"] = (dims, batch, {"long_name": "standard deviation between batches"})
        picked = chosen(law, parameters)
        return xr.Dataset(table, coords=coords(law, self.data), attrs=said_of(level, method)).isel(parameter=picked)

    def profile(self, *parameters: str, level: float = LEVEL) -> xr.Dataset:
        """Intervals by profile likelihood, which need not be symmetric: a check of :attr:`parameters`.

        Of one curve through lmfit's ``conf_interval``; of several, of the population's likelihood.

        Args:
            *parameters: Names of reported parameters; all by default.
            level: Share of such intervals that hold the truth.

        Returns:
            ``value``, ``low``, ``high`` (cluster, parameter); NaN where a parameter is held or at a bound.

        Raises:
            ExpertError: If there is no such parameter, or one curve was fitted with priors.
            MissingDependency: If lmfit is not installed and one curve was fitted.
        """
        return profiles(self.expert, self.optimum, self.errors, self.data, self.populations, parameters, level)

    def bootstrap(self, n: int = 200, seed: int = 0, *, level: float = LEVEL) -> xr.Dataset:
        """Populations of specimens drawn with replacement: a check of :attr:`parameters` without a formula of errors.

        Args:
            n: Replicates; 200 for standard errors.
            seed: Of the draws.
            level: Share of such intervals that hold the truth. The interval is Student's with the replicates' standard
                deviation: quantiles of the replicates of two or three specimens hold half of what they say.

        Returns:
            Along (cluster, parameter), the reported ones: ``value``, ``std_error``, ``low``, ``high``; ``replicates``.

        Raises:
            ExpertError: If there is one curve only.
        """
        return bootstrap(self.expert, self.optimum, self.data, self.populations, n, seed, level)

    def band(self, t: Inputs | None = None, *, level: float = LEVEL, of: str = "mean") -> xr.Dataset:
        """The fitted curves with pointwise bands.

        Args:
            t: Where, shape (T,); with covariates all inputs by name. The grid of the data by default.
            level: Share of such bands that hold a point of the curve.
            of: ``"mean"``: confidence band of the curve at the population's parameters; ``"specimen"``: prediction band
                of a new specimen's measurements, with how specimens differ and noise.

        Returns:
            ``mean``, ``low``, ``high`` (cluster, t), with units; ``outside_range`` (t,), where nothing was measured.

        Raises:
            ExpertError: If a specimen's band is asked of one curve.
        """
        return band(self.expert, self.optimum, self.errors, self.data, self.populations, t, level, of)

    def derive(
        self,
        quantities: Mapping[str, str | CurveQuantity],
        units: Mapping[str, str] | None = None,
        *,
        at: Mapping[str, float] | None = None,
    ) -> xr.Dataset:
        """Further quantities with propagated errors, such as ``{"energy": "sigma_y**2 / (2*E)"}``.

        Args:
            quantities: By the name it shall have, a formula of the reported parameters, or a measure of the curve:
                ``pima.quantities.offset_yield()``, ``resilience()``, ``toughness()``, ``ultimate()``.
            units: Units of the formulas.
            at: Values of covariates, for measures of the curve.

        Returns:
            ``value``, ``std_error``, ``low`` and ``high`` (cluster, quantity), with ``unit``, level and method;
            ``reason``, why there is no value.

        Raises:
            FormulaError: If a formula cannot be read, or names what is not reported.
            ExpertError: If the solution has no errors, or a measure does not go with the law.
        """
        reach = float(np.max(variable(self.expert, self.data.grid)))
        return derive(
            self.expert,
            self.fitted,
            self.covariance,
            quantities,
            units,
            reach=reach,
            y_unit=self.y_unit,
            t_unit=self.t_unit,
            at=at,
            freedom=freedom(self.optimum, self.data),
            level=LEVEL,
        )

    def next_test(
        self,
        candidates: Conditions,
        *,
        about: str | Sequence[str] | None = None,
        n: int | None = None,
        at: Mapping[str, float] | None = None,
        cluster: int = 0,
        versus: Solution | int | None = None,
    ) -> xr.Dataset:
        """Rank tests of one more specimen by how much they should tell: of parameters, or of two laws or populations.

        Args:
            candidates: What to choose among, values of every condition by name, in all combinations:
                ``{"temperature": [300, 350, 400]}``. Under the name of the independent variable a list of grids, for
                how far to test; by default that of the data.
            about: Names of reported parameters, and of effects such as ``"E ~ temperature"``; by default everything
                that was estimated, together.
            n: How many tests to plan, one after another, each knowing of those before; by default every candidate is
                ranked by itself.
            at: Conditions under which parameters are asked about; the terms' means by default.
            cluster: Row of the fit.
            versus: What to tell this row apart from instead: another fit of the same curves, by another law, or the
                number of another row, another population.

        Returns:
            Along ``test``, best first, the conditions and the expected ``gain`` in nats. About parameters ``std_error``
            (test, about), expected after the test, and ``std_error_now`` (about,): where an error no longer falls,
            there are enough. With ``versus`` the ``separation`` of the curves, in standard deviations of one specimen.
            ``outside_range``: conditions that the fit has not seen, where its law and its slopes are believed.

        Raises:
            OptionError: If conditions are missing, unknown or no numbers.
            ExpertError: If the row has no errors, or ``about`` names what was not estimated.
        """
        check_count(n)
        known = self._knowledge(cluster)
        if versus is None:
            return next_test(known, candidates, about, n, at)
        if about is not None or at is not None:
            raise OptionError("give about= and at= to learn of parameters, or versus= to tell fits apart, not both")
        if isinstance(versus, int):
            return told_apart(known, self._knowledge(versus), candidates, n)
        return told_apart(known, versus._knowledge(cluster if len(versus.cost) > 1 else 0), candidates, n)

    def _knowledge(self, row: int) -> Knowledge:
        if not 0 <= row < len(self.cost):
            raise OptionError(f"there is no row {row} in a fit of {len(self.cost)}: they are counted from 0")
        population = self.populations[row] if self.populations else None
        of_row = self.optimum.free[row], self.fitted[row], self.covariance[row]
        return Knowledge.of(self.expert, self.data, *of_row, population, row)

    def _rows(self) -> list[list[str]]:
        """Texts of each fit's parameters, ``value ± error``; a value that is held stands alone."""
        values, errors = self.parameters.value.values, self.parameters.std_error.values
        return [
            [
                f"{value:.6g}" if error == 0 else value_with_error(value, error)  # an error of zero: it was held
                for value, error in zip(row, row_errors, strict=True)
            ]
            for row, row_errors in zip(values, errors, strict=True)
        ]

    def __str__(self) -> str:
        names = [p.name for p in self.expert.reported]
        lines = [f"{self.expert.name}, {len(self.cost)} fit{'s' if len(self.cost) != 1 else ''}"]
        rows = self._rows()
        for c, row in enumerate(rows[:20]):
            head = f"  [{c}]" if len(rows) > 1 else " "
            texts = [
                f"{name} = {text}" + ("" if unit == "1" else f" {unit}")
                for name, text, unit in zip(names, row, self.units, strict=True)
            ]
            lines.append(f"{head} {', '.join(texts)}")
            lines += [f"      {note}" for note in self._notes(c)]
        if len(rows) > 20:
            lines.append(f"  ... and {len(rows) - 20} more")
        return "\n".join(lines)

    def report(self) -> str:
        """Formula, parameters with errors and units, how sure the fit is, and what to do, as text."""
        lines = [f"{self.expert.name}: {len(self.cost)} fit{'s' if len(self.cost) != 1 else ''}"]
        if law := law_of(f"y({', '.join(self.expert.inputs)})", self.expert):
            lines.append(f"  {law}")
        if self.expert.quantity:
            lines.append(f"  taken for {self.expert.quantity}; nothing is converted")
        names = [p.name for p in self.expert.reported]
        for c, row in enumerate(self._rows()):
            lines += ["", f"[{c}] {self._fitted_to(c)}; {self.agreement[c]:.0%} of the starts agree; {self.advice[c]}"]
            ends = self._ends(c)
            for name, text, unit, end in zip(names, row, self.units, ends, strict=True):
                lines.append(f"  {name:<12} {text}{'' if unit == '1' else f' {unit}'}{end}")
            lines += [f"  {note}" for note in self._notes(c) if note != self.advice[c]]
        if any(one.sentences() for one in self.noise_evidence):
            lines.append(f"  {self._HELP}")
        lines += self._effect_lines()
        if any(noise.numbers() for noise in self.noise):
            lines += ["", *(f"[{c}] {noise}: {noise.words}" for c, noise in enumerate(self.noise))]
        lines += ["", f"value ± standard error, {self._method}"]
        return "\n".join(lines)

    _HELP: ClassVar[str] = ".diagnose().plot() draws what is left of the curves, and tells what helps"

    def _fitted_to(self, c: int) -> str:
        """What a row was fitted to, in words."""
        return "one curve" if self.data.single else f"{self.data.effective[c]:.1f} effective specimens"

    def _effect_lines(self) -> list[str]:
        """Lines of the report about covariates and batches."""
        depends, lines = self.data.depends, []
        if depends is None:
            return lines
        clusters = range(len(self.cost))
        if len(depends.dependence):
            table = self.effects
            means = dict(zip(depends.dependence.terms, depends.reference, strict=True))
            lines += ["", f"parameters are said at {', '.join(f'{k} = {v:.5g}' for k, v in means.items())}; effects:"]
            for c in clusters:
                for k, label in enumerate(depends.dependence.labels):
                    one = table.isel(cluster=c, effect=k)
                    text, unit = value_with_error(float(one.value), float(one.std_error)), str(one.unit.values)
                    end = interval_text(float(one.low), float(one.high))
                    p = f"p = {float(one.p_value):.2g}"
                    lines.append(
                        f"  [{c}] {label:<20} {text}{'' if unit == '1' else f' {unit}'} of {one.scale.values}"
                        f" {end}, {p}"
                    )
        if depends.group is not None:
            table = self.batches
            lines += ["", f"standard deviation between {len(depends.groups)} batches ({depends.grouped_by}):"]
            for c in clusters:
                for k, p in enumerate(self.expert.parameters):
                    if np.isfinite(std := float(table["std"][c, k])):
                        scale, test = table.scale.values[k], float(table.p_value[c, k])
                        lines.append(f"  [{c}] {p.name:<20} {std:.3g} of {scale}, p = {test:.2g}")
        return lines

    @property
    def _method(self) -> str:
        about = self.parameters.attrs
        return f"{about['level']:.0%} interval: {about['method']}"

    def _ends(self, c: int) -> list[str]:
        """Texts of each interval of a row, such as ``(68.1 to 71.4)``; empty where there is none."""
        table = self.parameters.isel(cluster=c)
        ends = zip(table.low.values, table.high.values, table.std_error.values, strict=True)
        return [interval_text(low, high) if 0 < error < np.inf else "" for low, high, error in ends]

    def _notes(self, c: int) -> list[str]:
        notes = [] if self.status[c] > 0 else [self.advice[c]]
        bound = [p.name for p, at in zip(self.expert.parameters, self.at_bound[c], strict=True) if at]
        if bound:
            notes.append(f"at a bound: {', '.join(bound)}")
        lost = [p.name for p, flag in zip(self.expert.parameters, self.unidentified[c], strict=True) if flag]
        if lost:
            notes.append(f"not determined by these data: {', '.join(lost)}; hold it by fixed=, or give a prior")
        if self.status[c] > 0 and self.agreement[c] < 0.5:
            notes.append(
                f"only {self.agreement[c]:.0%} of the starts agree: a parameter may not be determined by these data"
            )
        return notes + self._judgements(c)

    def _judgements(self, c: int) -> list[str]:
        """What the residuals of a row say against its noise model."""
        return self.noise_evidence[c].sentences()

    def _repr_html_(self) -> str:
        heads = [
            html.escape(p.name if unit == "1" else f"{p.name} [{unit}]")
            for p, unit in zip(self.expert.reported, self.units, strict=True)
        ]
        body = []
        for c, row in enumerate(self._rows()[:100]):
            notes = html.escape("; ".join(self._notes(c)))
            ends = self._ends(c)
            cells = "".join(f"<td>{html.escape(text + end)}</td>" for text, end in zip(row, ends, strict=True))
            number = c if len(self.cost) > 1 else ""
            body.append(f"<tr><th>{number}</th>{cells}<td>{notes}</td></tr>")
        header = "".join(f"<th>{head}</th>" for head in heads)
        caption = html.escape(f"{self.expert.name}, {self._method}")
        return (
            f"<table><caption>{caption}</caption><thead><tr><th></th>{header}<th></th></tr></thead>"
            f"<tbody>{''.join(body)}</tbody></table>"
        )


def law_of(name: str, expert: Law) -> str:
    """Write the law of a curve as people type it, with the formulas of reported parameters; empty where it has none.

    Args:
        name: What the curve is called, the left-hand side.
        expert: The physics; one that holds a formula inside, as lmfit's models do, has the law of that.
    """
    formula = getattr(getattr(expert, "inner", None) or expert, "formula", "")
    if not formula:
        return ""
    reported = zip((p.name for p in expert.reported), expert.reported_formulas, strict=False)
    also = [f"{parameter} = {text}" for parameter, text in reported if parameter != text]
    return f"{name} = {formula}" + (f", with {', '.join(also)}" if also else "")
