"""What several tests say together: parameters with intervals, whether the tests agree, and curves of other tests."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import NDArray

from ...drawing import colour_of, new_figure
from ...errors import ExpertError, OptionError
from ...units import value_with_error
from ..contract.inputs import Inputs, pack, variable
from ..diagnosis.diagnosis import Diagnosis
from ..diagnosis.noise_evidence import NoiseEvidence, evidence_of
from ..kinds.expert import Expert
from ..noise.base import CurveNoise, CurveResiduals
from ..noise.blocks import BlockNoise
from ..noise.table import NOISES
from ..regression.coloured import residuals_at
from ..regression.intervals import check_level, said_of
from ..regression.solution import LEVEL, Solution
from .conflict import Agreement, Alone, fit_alone
from .joined import JoinedLaw, TestCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

#: Probability, over all tests together, from which on a conflict is more than noise.
_ALARM = 0.05
#: Ends of a band and their signs.
_ENDS = (("low", -1.0), ("high", 1.0))
#: Panels of a figure side by side.
_COLUMNS = 4
#: Points of a curve that is drawn.
_POINTS = 200


@dataclass(frozen=True, eq=False)
class TogetherSolution(Solution):
    """A fit of several tests with parameters in common: one row of parameters, as of one curve.

    Args:
        tests: What was measured.
        kind: Noise model of every test before it learned anything.
        refit: Fits some of the tests, by their names, as these were fitted.
    """

    expert: JoinedLaw
    tests: tuple[TestCurve, ...] = ()
    kind: CurveNoise = NOISES["constant"]
    refit: Callable[[Sequence[str]], TogetherSolution] | None = None

    def without(self, *tests: str) -> TogetherSolution:
        """Fit the other tests as these were fitted: ``solution.without("shear").predict(law, x)`` foretells one.

        Args:
            *tests: Names of tests.

        Raises:
            ExpertError: If there is no such test, or fewer than two are left.
        """
        for name in tests:
            self._number(name)
        if self.refit is None:
            raise ExpertError("this solution does not know how it was made: fit the tests again by fit_together")
        return self.refit([name for name in self.expert.tests if name not in tests])

    def _number(self, test: str) -> int:
        if test not in self.expert.tests:
            raise ExpertError(f"there is no test {test!r}: use {', '.join(map(repr, self.expert.tests))}")
        return self.expert.tests.index(test)

    @functools.cached_property
    def own(self) -> dict[str, Solution]:
        """Each test fitted by itself, by name; those left out that have too few points for that."""
        return {test.name: one.own for test, one in zip(self.tests, self._alone, strict=True) if one.own is not None}

    @functools.cached_property
    def _alone(self) -> tuple[Alone, ...]:
        flags = self.optimum.free[0], self.fixed
        parts = zip(self.tests, self.expert.own, strict=True)
        return tuple(fit_alone(test, self.kind, self.fitted[0], numbers, *flags) for test, numbers in parts)

    @functools.cached_property
    def conflict(self) -> xr.Dataset:
        """Whether the tests agree.

        Along (test, parameter), the shared ones: ``own``, ``own_std_error``, ``own_low`` and ``own_high``, the test's
        own optimum, and ``difference`` of the shared value from it. Along ``test``: ``statistic``, ``freedom`` and
        ``p_value`` of as large a rise of its sum of squares by noise alone, from its own optimum to the shared one;
        ``more_than_noise``, below 5 % for all tests together (Bonferroni); ``noise_std`` and ``misfit_std`` in the unit
        of the test; ``reason``, why one was not fitted by itself. ``p_value`` in ``attrs`` is that of sharing at all.
        """
        names = [p.name for p in self.expert.reported_by_all]
        own = np.full((4, len(self.tests), len(names)), np.nan)
        for k, (test, one) in enumerate(zip(self.tests, self._alone, strict=True)):
            reported = [p.name for p in test.law.reported]
            for column, name in enumerate(names):
                if one.own is not None and name in reported:
                    own[:, k, column] = [float(one.own[name][x]) for x in ("value", "std_error", "low", "high")]
        judged, together = Agreement(self._alone, self.data.known).judged()
        dims, std = ("test", "parameter"), np.array([self._noise_of(k) for k in range(len(self.tests))])
        shared = self.parameters.value.sel(parameter=names).values[0]
        table = {
            **{name: (dims, own[k]) for k, name in enumerate(("own", "own_std_error", "own_low", "own_high"))},
            "difference": (dims, shared - own[0]),
            "shared": ("parameter", shared),
            **{name: ("test", judged[:, k]) for k, name in enumerate(("statistic", "freedom", "p_value"))},
            "more_than_noise": ("test", judged[:, 2] * np.isfinite(judged[:, 2]).sum() < _ALARM),
            "noise_std": ("test", std[:, 0]),
            "misfit_std": ("test", std[:, 1]),
            "reason": ("test", [one.reason for one in self._alone]),
        }
        attrs = {**said_of(LEVEL, "each test by itself"), "p_value": together}
        return xr.Dataset(table, coords={"test": list(self.expert.tests), "parameter": names}, attrs=attrs)

    def _noise_of(self, k: int) -> tuple[float, float]:
        """Standard deviations of a test's noise and of its misfit, in its unit; of varying noise the typical one."""
        test, noise = self.tests[k], self.noise[0]
        if not isinstance(noise, BlockNoise):
            return float(np.sqrt(np.mean(np.square(0.0 if test.noise_std is None else test.noise_std)))), 0.0
        curve = test.law.value_and_jacobian(test.t, self.fitted[0, self.expert.own[k]])[0]
        variances = noise.typical(k, curve[np.isfinite(test.y)])
        return test.size * float(np.sqrt(variances[0])), test.size * float(np.sqrt(variances[1]))

    @property
    def _residuals(self) -> CurveResiduals:
        """What the common parameters leave, times the root of the weight, with no slopes: they are held."""
        return residuals_at(self.expert, self.data, self.fitted[0], np.zeros(self.fitted.shape[1], dtype=bool))

    @property
    def _block_noise(self) -> BlockNoise:
        """Noise of every test; where it was given, of variance one for the weights."""
        noise = self.noise[0]
        sizes = [test.y.size for test in self.tests]
        return noise if isinstance(noise, BlockNoise) else BlockNoise.of(noise, self.expert.tests, sizes)

    @functools.cached_property
    def noise_evidence(self) -> tuple[NoiseEvidence, ...]:
        """Figures of each test's residuals that are zero if its noise model is right, with their standard errors."""
        noise = self._block_noise
        blocks = enumerate(noise.blocks(self._residuals))
        return tuple(evidence_of(noise.judged(k, one.t[one.seen]), one) for k, one in blocks)

    @property
    def bic(self) -> float:
        """Bayesian information criterion, in nats times two: of laws of the same tests the lowest is the best.

        The numbers of the noise do not count: they are as many for every law.
        """
        weights = 0.5 * float(np.log(self.data.points[self.data.observed]).sum())
        likelihood = self._block_noise.log_likelihood(self._residuals) + weights
        return -2.0 * likelihood + float(self.optimum.free.sum() * np.log(self.data.count[0]))

    def predict(self, test: str | Expert, t: Inputs | None = None, *, level: float = LEVEL) -> xr.Dataset:
        """Curve and measurements of a test, of one that was made or of another of the same material.

        The noise of a test that was not made is that of the K others, in proportion to its curve: what the law misses
        there is taken for as large as what it missed, but for what fitting P parameters to K tests has hidden of that,
        (K + P) / (K - P) in its variance (Akaike 1970, Ann. Inst. Stat. Math. 22, 203), and Student's t of K degrees of
        freedom.

        Args:
            test: Name of a test, or the law of another; its parameters are among those of this fit, by name.
            t: Inputs of the law; those of the data by default.
            level: Share of the bands that hold the truth.

        Returns:
            Along the law's independent variable ``mean``, with ``mean_low`` and ``mean_high``, the band of the curve,
            and ``low`` and ``high``, that of measurements.

        Raises:
            ExpertError: If there is no such test, or a parameter of the law is not known.
            OptionError: If the inputs of another test are not given.
        """
        level = check_level(level)
        relative = [float(np.square(self._noise_of(k)).sum()) / one.size**2 for k, one in enumerate(self.tests)]
        if isinstance(test, str):
            k = self._number(test)
            law, own, unit = self.tests[k].law, self.expert.own[k], self.tests[k].y_unit
            t = self.tests[k].inputs if t is None else t
            noise, freedom = relative[k] * self.tests[k].size ** 2, float(self.data.count[0] - len(own))
        else:
            law, own, unit = test, self._numbers_in(test), self.tests[0].y_unit
            noise, freedom, paid = None, float(len(relative)), float(self.optimum.free[0, own].sum())
            relative = np.multiply(relative, (freedom + paid) / max(freedom - paid, 1.0))
        if t is None:
            raise OptionError(f"give t, the inputs of the law: {', '.join(law.inputs)}")
        grid = pack(law, t)
        value, slopes = law.value_and_jacobian(grid, self.fitted[0, own])
        noise = float(np.mean(relative) * np.mean(np.square(value))) if noise is None else noise
        spread = np.maximum(np.einsum("tp,pq,tq->t", slopes, self.covariance[0][np.ix_(own, own)], slopes), 0.0)
        half = float(scipy.stats.t.ppf(0.5 * (1.0 + level), max(freedom, 1.0)))
        dims, attrs = (law.t,), {"units": unit}
        wide = {"mean_": np.sqrt(spread), "": np.sqrt(spread + noise)}
        bands = {f"{name}{end}": (dims, value + s * half * w, attrs) for name, w in wide.items() for end, s in _ENDS}
        attrs_of = said_of(level, "linearised, Student's t")
        coords = {law.t: variable(law, grid)}
        return xr.Dataset({"mean": (dims, value, attrs), **bands}, coords=coords, attrs=attrs_of)

    def _numbers_in(self, law: Expert) -> list[int]:
        names = [p.name for p in self.expert.parameters]
        lost = [p.name for p in law.parameters if p.name not in names]
        if lost:
            raise ExpertError(f"{lost[0]!r} of expert {law.name!r} is not known: these tests tell {', '.join(names)}")
        return [names.index(p.name) for p in law.parameters]

    def sentences(self) -> list[str]:
        """Whether the tests agree: a sentence for each that does not, or one for all."""
        table, told = self.conflict, []
        for k in np.flatnonzero(table.more_than_noise.values):
            row = table.isel(test=k)
            parts = [
                f"{name} = {value_with_error(float(row.own[i]), float(row.own_std_error[i]))} instead of"
                f" {float(row.shared[i]):.5g}"
                for i, name in enumerate(table.parameter.values)
                if np.isfinite(row.own[i])
            ]
            alone = f"alone it has {', '.join(parts)}" if parts else "alone it fits better"
            told.append(f"{row.test.item()} disagrees by more than its noise (p = {float(row.p_value):.2g}): {alone}")
        compared = int(np.isfinite(table.p_value).sum())
        none = f"{compared} of {len(self.tests)} tests can be compared, and none disagrees by more than its noise"
        return told or [none]

    def report(self) -> str:
        """Parameters with errors and units, the noise of each test, whether they agree, and what to do, as text."""
        lines = [super().report(), "", "tests:"]
        for k, test in enumerate(self.tests):
            row, unit = self.conflict.isel(test=k), "" if test.y_unit == "1" else f" {test.y_unit}"
            missed = f", misfit {float(row.misfit_std):.3g}{unit}" if row.misfit_std > 0 else ""
            why = row.reason.item() or "the others tell nothing of it"
            told = f"p = {float(row.p_value):.2g}" if np.isfinite(row.p_value) else f"not compared: {why}"
            points = int(np.isfinite(test.y).sum())
            lines.append(f"  {test.name}: {points} points, noise {float(row.noise_std):.3g}{unit}{missed}, {told}")
        return "\n".join([*lines, *(f"  {sentence}" for sentence in self.sentences())])

    _HELP: ClassVar[str] = (
        ".own[test].diagnose().plot() draws what is left of a test fitted alone, and tells what helps"
    )

    def _fitted_to(self, c: int) -> str:  # noqa: ARG002 - there is one row
        return f"{len(self.tests)} tests"

    def _judgements(self, c: int) -> list[str]:  # noqa: ARG002 - there is one row
        pairs = zip(self.tests, self.noise_evidence, strict=True)
        return [f"{test.name}: {sentence}" for test, one in pairs for sentence in one.sentences()]

    def _repr_html_(self) -> str:
        sentences = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences())
        return f"{super()._repr_html_()}<ul>{sentences}</ul>"

    def diagnose(self) -> Diagnosis:
        """Refuse: each test has a diagnosis of its own.

        Raises:
            ExpertError: Always; it says which to ask for.
        """
        first = self.expert.tests[0]
        raise ExpertError(
            f"several tests are diagnosed one by one, solution.own[{first!r}].diagnose(), and .conflict says whether"
            " they agree"
        )

    def plot(self) -> Figure:
        """Draw every test: what was measured, the common curve with its band of measurements, and its own optimum."""
        columns = min(len(self.tests), _COLUMNS)
        rows = -(-len(self.tests) // columns)
        figure = new_figure(3.4 * columns, 2.9 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes[len(self.tests) :]:
            axis.set_visible(False)
        for axis, test in zip(axes, self.tests, strict=False):
            self._draw(axis, test)
        axes[0].legend(fontsize=8, frameon=False)
        return figure

    def _draw(self, axis: Axes, test: TestCurve) -> None:
        t = test.law.t
        if all(np.ptp(test.inputs[name]) == 0.0 for name in test.law.covariates):
            grid = {name: values[:1] for name, values in test.inputs.items()}
            grid |= {t: np.linspace(test.x.min(), test.x.max(), _POINTS)}
        else:
            order = np.argsort(test.x, kind="stable")
            grid = {name: values[order] for name, values in test.inputs.items()}
        x, band = grid[t], self.predict(test.name, grid)
        axis.fill_between(x, band.low, band.high, color=colour_of(0), alpha=0.2, lw=0)
        axis.plot(test.x, test.y, ".", color="0.1", ms=4, label="measured")
        axis.plot(x, band["mean"], color=colour_of(0), label="together")
        if (own := self.own.get(test.name)) is not None:
            alone = test.law.value_and_jacobian(grid, own.fitted[0])[0]
            axis.plot(x, alone, "--", color=colour_of(1), lw=1, label="alone")
        odd = bool(self.conflict.more_than_noise.sel(test=test.name))
        axis.set_title(test.name + (", disagrees" if odd else ""), fontsize=9, loc="left")
        axis.set_xlabel(t + ("" if test.t_unit == "1" else f" ({test.t_unit})"))
        axis.set_ylabel("measured" if test.y_unit == "1" else f"measured ({test.y_unit})")
        axis.spines[["top", "right"]].set_visible(False)
