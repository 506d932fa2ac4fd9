"""The physics part of the cluster panel: curves, sliders, the fit to weighted specimens, residuals, lmfit's report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from html import escape
from typing import NamedTuple

import ipywidgets as ipw
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

import pima_toolkit as pima
from pima_toolkit import Expert, Fit, Solution
from pima_toolkit.errors import DataError
from pima_toolkit.experts import resolve_unit

from .canvas import Chart
from .curves_and_pictures import PlottedCurves, curves_of
from .grouping import Grouping
from .panel import row
from .parameter_table import ParameterTable

#: How many curves of a selection are drawn.
_DRAWN = 200


class GroupCurve(NamedTuple):
    """The law of one group as a curve with its 90 % band, each of shape (point,)."""

    t: NDArray[np.float64]
    middle: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def at(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the curve at other places; NaN beyond its ends."""
        return np.interp(t, self.t, self.middle, left=np.nan, right=np.nan)


class Refit:
    """Widgets that fit an expert to weighted specimens and show it; the panel puts them where it likes.

    Args:
        fit: A fit with a physics modality.
        data: The specimens.
        guarded: Shows an error of its block in the panel, beside a widget, see :meth:`.panel.Panel.guarded`.
    """

    def __init__(
        self, fit: Fit, data: xr.Dataset, guarded: Callable[[ipw.Widget], AbstractContextManager[None]]
    ) -> None:
        self._guarded = guarded
        self.model_fit, self.data = fit, data
        # Asked once: a fit computes these, and decodes pictures, each time it is asked.
        self._clusters, self._parameters = fit.clusters, fit.parameters
        self._responsibilities = fit.specimens["responsibilities"].values
        physics = fit.model.options.physics
        names = [name for name in physics if name in data and data[name].ndim == 2]  # a number is no curve
        self.modality = ipw.Dropdown(options=names, value=names[0], description="curve")
        self.modality.layout.display = "flex" if len(names) > 1 else "none"
        experts = pima.experts.experts()
        used = physics[names[0]].expert
        options = {used.name: used, **{name: one for name, one in sorted(experts.items()) if not one.covariates}}
        self.choice = ipw.Dropdown(options=list(options), value=used.name, description="expert")
        self._experts = options
        self.curves: PlottedCurves = curves_of(data, names[0])
        self.sliders = ParameterTable()
        self.chart, self.residuals = Chart(height=330), Chart(height=200)
        self.status, self.outcome = ipw.HTML(), ipw.HTML()
        self.outcome.add_class("pima-outcome")
        drawn, told = ipw.VBox([self.chart, self.residuals]), ipw.VBox([self.sliders, self.status, self.outcome])
        for box, width in ((drawn, "400px"), (told, "560px")):
            box.layout.flex, box.layout.min_width = f"1 1 {width}", "0"
        both = ipw.Box([drawn, told], layout=ipw.Layout(display="flex", flex_flow="row wrap", grid_gap="18px"))
        self.widget = ipw.VBox([row(self.modality, self.choice), both])
        self._shown: tuple[str, NDArray[np.float64]] | None = None
        self._refits: dict[str, tuple[NDArray[np.float64], Solution]] = {}
        self._chosen: list[int] = []
        self._grouping: Grouping | None = None
        self._live = False
        self.modality.observe(self._other_curve, "value")
        self.choice.observe(self._other_expert, "value")
        self.sliders.observe(self._moved, "revision")
        self._other_expert()

    @property
    def expert(self) -> Expert:
        """The expert chosen."""
        return self._experts[self.choice.value]

    def offer(self, expert: Expert) -> None:
        """Add an expert to the choices."""
        chosen = self.choice.value
        if expert.name == chosen and expert != self.expert:
            self._experts[expert.name] = expert
            self._other_expert()
        self._experts[expert.name] = expert
        self.choice.options = list(self._experts)
        self.choice.value = chosen

    def _other_curve(self, _: object) -> None:
        self.curves = curves_of(self.data, self.modality.value)
        expert = self.model_fit.model.options.physics[self.modality.value].expert
        self._experts[expert.name] = expert
        self.choice.options = list(dict.fromkeys([expert.name, *self._experts]))
        self.choice.value = expert.name
        self._other_expert()

    def _other_expert(self, _: object = None) -> None:
        self._refits.clear()
        self._forget_outcome()
        self._live = False
        start = self._guess()
        here = self.curves
        units = {p.name: resolve_unit(p.unit, here.y_unit, here.t_unit) for p in self.expert.parameters}
        written = type(self.expert).__init__ is pima.SympyExpert.__init__  # as a formula: it is made again with bounds
        self.sliders.show(
            self.expert.parameters, start.tolist(), editable=False, bounded=written, keep=False, units=units
        )
        if self._grouping is not None:
            self._draw()

    def _guess(self) -> NDArray[np.float64]:
        known = np.isfinite(self.curves.y)
        count, seen = known.sum(0), known.any(0)
        middle = np.where(known, self.curves.y, 0.0).sum(0)[seen] / count[seen]
        longest = int(known.sum(1).argmax())  # others may have no curve, and so no grid
        return self.expert.guess(self._inputs(slice(longest, longest + 1), seen), middle)

    def _inputs(self, specimens: object, points: object = slice(None)) -> ArrayLike | dict[str, ArrayLike]:
        """Return what the expert takes as t: the grid, or with covariates all inputs by name."""
        t = self.curves.t[specimens][:, points]
        if not self.expert.covariates:
            return t[0] if (t == t[:1]).all() else t
        named = {
            name: np.asarray(self.data[name].values, dtype=np.float64)[specimens] for name in self.expert.covariates
        }
        if isinstance(points, np.ndarray):  # one mean curve: its specimens' mean conditions
            named = {name: float(np.mean(self.data[name].values)) for name in self.expert.covariates}
            t = t[0]
        return {self.expert.t: t, **named}

    def _moved(self, _: object) -> None:
        self._live = True
        with self._guarded(self.sliders):
            self._draw()
            # What is typed and cannot be meant is told at once, not at the next fit.
            self._bounded(), self.sliders.priors

    def reset(self) -> None:
        """Forget refits and what was typed: start values from the data, the expert's own bounds, nothing held."""
        self._other_expert()

    def show(self, chosen: list[int], grouping: Grouping) -> None:
        """Draw the curves of the selection, or of all, with each group's law and band."""
        self._chosen, self._grouping = chosen, grouping
        if self._shown is not None:
            members, weight = self._shown
            now = indicator(chosen, len(weight))
            if members in grouping.names:
                now = grouping.responsibilities[:, grouping.place(members)]
            if not np.array_equal(now, weight):
                self._forget_outcome()
        self._draw()

    def _forget_outcome(self) -> None:
        """Take the last solution off the page: what it was fitted to has changed."""
        self._shown = None
        self.status.value = self.outcome.value = ""

    def _draw(self) -> None:
        if self._grouping is None:
            return
        shown = np.asarray(self._chosen if self._chosen else np.arange(len(self.curves.y)))
        shown = shown[self.curves.measured[shown]]
        drawn = shown[np.unique(np.linspace(0, max(len(shown) - 1, 0), _DRAWN).astype(int))[: len(shown)]]
        best, names, numbers = self._grouping.best, self._grouping.names, self._grouping.number
        laws = {int(place): law for place in np.unique(best[drawn]) if (law := self._law(int(place))) is not None}
        alpha = 0.6 if len(drawn) < 20 else 0.3
        styles: list[dict[str, object]] = [
            {"colour": numbers[best[d]], "alpha": alpha}
            | ({} if best[d] in laws else {"name": f"{names[best[d]]}, measured"})
            for d in drawn
        ]
        lines = [(self.curves.t[d], self.curves.y[d]) for d in drawn]
        bands = []
        for place, law in laws.items():
            lines.append((law.t, law.middle))
            number = {"colour": numbers[place], "marker": numbers[place]}
            styles.append({**number, "width": 2.5, "name": f"{names[place]}: law, 90 % band"})
            bands.append({"x": law.t, "low": law.low, "high": law.high, "colour": numbers[place]})
        if self._live:
            grid = self._grid()
            lines.append((grid, self._values(self._inputs_at(grid))))
            styles.append({"colour": -1, "width": 2.5, "dash": [6, 3], "name": f"{self.expert.name} at the sliders"})
        labels = (self.curves.t_label, self.curves.y_label)
        words = [f"{len(shown)} curves", *(f"the law of {names[place]} with its 90 % band" for place in laws)]
        self.chart.draw(
            *_stacked(lines), styles, bands=bands, labels=labels,
            summary=", ".join([*words, "the law at the sliders"] if self._live else words),
        )  # fmt: skip
        self._draw_residuals(drawn, laws, styles[: len(drawn)])

    def _law(self, place: int) -> GroupCurve | None:
        """Return the law of a group: of its last refit while its members stay, of the fit where it is as fitted."""
        weight, number = self._grouping.responsibilities[:, place], self._grouping.number[place]
        solution = self._refitted(self._grouping.names[place], weight)
        if solution is not None:
            grid = self._grid()
            of = "mean" if np.count_nonzero(weight) < 2 else "specimen"
            band = solution.band(self._inputs_at(grid), of=of).isel(cluster=0)
            return GroupCurve(grid, band["mean"].values, band["low"].values, band["high"].values)
        if not self._as_fitted(weight, number):
            return None
        parts = [self._clusters[f"{self.modality.value}{end}"].values[number] for end in ("", "_low", "_high")]
        return GroupCurve(self._clusters[self.curves.t_name].values, *parts)

    def _refitted(self, name: str, weight: NDArray[np.float64]) -> Solution | None:
        """Return the last refit of a group while its members stay."""
        then, solution = self._refits.get(name, (None, None))
        return solution if np.array_equal(then, weight) else None

    def _as_fitted(self, weight: NDArray[np.float64], number: int) -> bool:
        """Whether a group is a population of the fit that nobody has touched."""
        fitted = self._responsibilities
        return number < fitted.shape[1] and np.array_equal(fitted[:, number], weight)

    def _grid(self) -> NDArray[np.float64]:
        return np.linspace(np.nanmin(self.curves.t), np.nanmax(self.curves.t), max(self.curves.y.shape[1], 60))

    def _inputs_at(self, grid: NDArray[np.float64]) -> ArrayLike | dict[str, ArrayLike]:
        """Return what the expert takes along a grid; covariates at their means."""
        if not self.expert.covariates:
            return grid
        return {self.expert.t: grid, **{name: float(self.data[name].mean()) for name in self.expert.covariates}}

    def _values(self, inputs: ArrayLike | dict[str, ArrayLike]) -> NDArray[np.float64]:
        return self.expert.value_and_jacobian(inputs, self.sliders.values)[0]

    def _draw_residuals(
        self, drawn: NDArray[np.intp], laws: dict[int, GroupCurve], styles: list[dict[str, object]]
    ) -> None:
        """Draw what was measured minus the law: at the sliders once they were moved, else of each one's own group."""
        unit = "" if self.curves.y_unit == "1" else f" ({self.curves.y_unit})"
        law = f"{self.expert.name} at the sliders" if self._live else "law of the group"
        labels = (self.curves.t_label, f"measured − law{unit}")
        t, y = self.curves.t[drawn], self.curves.y[drawn]
        if self._live and len(drawn):
            inputs = self._inputs(drawn) if self.expert.covariates else t
            value = self._values(inputs).reshape(y.shape)
        else:
            best = self._grouping.best[drawn]
            value = np.full_like(t, np.nan)
            # With covariates a group's curve is that at their means, and nobody's own.
            for place, known in () if self.expert.covariates else laws.items():
                value[best == place] = known.at(t[best == place])
        some = bool(len(drawn)) and bool(np.isfinite(value).any())
        self.residuals.layout.display = None if some else "none"
        if not some:
            self.residuals.draw(np.zeros(1), np.zeros((0, 1)), [], labels=labels)
            return
        plain = [{key: style[key] for key in ("colour", "alpha")} for style in styles]
        summary = f"residuals of {len(drawn)} curves: what was measured minus the {law}"
        self.residuals.draw(t, y - value, plain, labels=labels, summary=summary)

    def fit(self, weight: NDArray[np.float64], members: str) -> Solution:
        """Fit the expert to weighted specimens, from the sliders' values; fixed ones are held.

        Args:
            weight: Weight of each specimen, 0 to 1, shape (specimen,).
            members: Name of the group or selection, for the status line.

        Raises:
            DataError: If no specimen with a weight has a curve.
        """
        used = np.flatnonzero((weight > 1e-6) & self.curves.measured)
        if not len(used):
            raise DataError(f"no specimen of {members} has a curve {self.modality.value!r}: there is nothing to fit")
        curves, inputs = self.curves.y[used], self._inputs(used)
        # Another group's optimum, or a bound typed since, may leave the start outside.
        start = np.clip(self.sliders.values, *np.transpose(self.sliders.bounds)) if self._live else None
        solution = self._bounded().fit(
            inputs,
            curves,
            weight[used],
            start=start,
            fixed=self.sliders.fixed,
            priors=self.sliders.priors,
            y_unit=self.curves.y_unit,
            t_unit=self.curves.t_unit,
        )
        self._refits[members], self._shown = (weight, solution), (members, weight)
        self.sliders.set(solution.fitted[0])
        self.status.value = f'<span role="status">{escape(members)}: {escape(solution.advice[0])}</span>'
        self.outcome.value = solution._repr_html_() + self._lmfit(inputs, curves, weight[used], solution)
        return solution

    def _bounded(self) -> Expert:
        """Return the expert with the bounds of the table."""
        own = self.expert.parameters
        asked = tuple(
            replace(p, lower=low, upper=high) for p, (low, high) in zip(own, self.sliders.bounds, strict=True)
        )
        if asked == own:
            return self.expert
        here = self.expert
        return type(here)(here.formula, here.t, covariates=here.covariates, name=here.name, parameters=asked)

    def _lmfit(self, inputs: object, y: NDArray[np.float64], weight: NDArray[np.float64], solution: Solution) -> str:
        """Write lmfit's own report on the same points, started at the solution, folded."""
        model = self._bounded().to_lmfit()
        named = inputs if isinstance(inputs, dict) else {self.expert.t: inputs}
        grids = {k: np.broadcast_to(v if np.ndim(v) != 1 or len(v) == y.shape[1] else np.reshape(v, (-1, 1)), y.shape)
                for k, v in named.items()}  # fmt: skip
        seen = np.isfinite(y)
        flat = {k: np.ascontiguousarray(v)[seen] for k, v in grids.items()}
        parameters = model.make_params(
            **{p.name: float(v) for p, v in zip(self.expert.parameters, solution.fitted[0], strict=True)}
        )
        for name in self.sliders.fixed:
            parameters[name].set(vary=False)
        roots = np.sqrt(np.broadcast_to(weight[:, None], y.shape))[seen]
        result = model.fit(y[seen], parameters, weights=roots, **flat)
        note = "points counted as independent: where specimens differ these errors are too small"
        return f"<details><summary>lmfit report ({note})</summary><pre>{escape(result.fit_report())}</pre></details>"

    @property
    def heads(self) -> list[str]:
        """The column heads of :meth:`table`: names of the reported parameters."""
        return [p.name for p in self.expert.reported]

    def table(self, grouping: Grouping) -> list[list[str]]:
        """Write the reported parameters of each group: of its last refit while its members stay, else of the fit.

        Args:
            grouping: The groups; one that is neither refitted nor an untouched cluster of the fit says "refit".

        Returns:
            A row for each group, a cell for each parameter.
        """
        same = self.expert == self.model_fit.model.options.physics[self.modality.value].expert
        rows = []
        for name, number, weight in zip(grouping.names, grouping.number, grouping.responsibilities.T, strict=True):
            solution = self._refitted(name, weight)
            if solution is not None:
                values = self._texts(solution.parameters.isel(cluster=0))
            elif same and self._as_fitted(weight, number):
                here = self._parameters["parameter_modality"].values == self.modality.value
                values = self._texts(self._parameters.isel(cluster=number, parameter=here))
            else:
                values = ["refit" for _ in self.heads]
            rows.append(values)
        return rows

    @staticmethod
    def _texts(parameters: xr.Dataset) -> list[str]:
        """Write each parameter as value ± error with its interval."""
        columns = (parameters[name].values for name in ("value", "std_error", "low", "high", "unit"))
        return [
            pima.value_with_error(float(value), float(error), str(unit)) + pima.interval_text(float(low), float(high))
            for value, error, low, high, unit in zip(*columns, strict=True)
        ]


def indicator(chosen: list[int], count: int) -> NDArray[np.float64]:
    """Return 1 for the chosen specimens and 0 for the others, shape (specimen,)."""
    weight = np.zeros(count)
    weight[chosen] = 1.0
    return weight


def _stacked(lines: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> tuple[NDArray, NDArray]:
    """Stack lines of several lengths, NaN where one has ended."""
    longest = max((len(t) for t, _ in lines), default=1)
    t, y = np.full((2, len(lines), longest), np.nan)
    for k, line in enumerate(lines):
        t[k, : len(line[0])], y[k, : len(line[1])] = line
    return t, y
