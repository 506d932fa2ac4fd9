"""The physics part of the cluster panel: curves, sliders, the fit to weighted specimens, residuals, lmfit's report."""

from __future__ import annotations

from html import escape

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


class Refit:
    """Widgets that fit an expert to weighted specimens and show it; the panel puts them where it likes.

    Args:
        fit: A fit with a physics modality.
        data: The specimens.
    """

    def __init__(self, fit: Fit, data: xr.Dataset) -> None:
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
        self.widget = ipw.VBox([row(self.modality, self.choice), self.chart, self.sliders, self.residuals])
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
        self._refits.clear()
        expert = self.model_fit.model.options.physics[self.modality.value].expert
        self._experts[expert.name] = expert
        self.choice.options = list(dict.fromkeys([expert.name, *self._experts]))
        self.choice.value = expert.name
        self._draw()

    def _other_expert(self, _: object = None) -> None:
        self._refits.clear()
        self._live = False
        start = self._guess()
        here = self.curves
        units = {p.name: resolve_unit(p.unit, here.y_unit, here.t_unit) for p in self.expert.parameters}
        self.sliders.show(self.expert.parameters, start.tolist(), editable=False, keep=False, units=units)
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
        self._draw()

    def show(self, chosen: list[int], grouping: Grouping) -> None:
        """Draw the curves of the selection, or of all, with each group's curve."""
        self._chosen, self._grouping = chosen, grouping
        self._draw()

    def _draw(self) -> None:
        if self._grouping is None:
            return
        shown = np.asarray(self._chosen if self._chosen else np.arange(len(self.curves.y)))
        shown = shown[self.curves.measured[shown]]
        drawn = shown[np.unique(np.linspace(0, max(len(shown) - 1, 0), _DRAWN).astype(int))[: len(shown)]]
        best = self._grouping.best
        t, y = self.curves.t[drawn], self.curves.y[drawn]
        alpha = 0.7 if len(drawn) < 20 else 0.4
        names, numbers = self._grouping.names, self._grouping.number
        styles: list[dict[str, object]] = [
            {"colour": numbers[best[d]], "alpha": alpha, "name": names[best[d]]} for d in drawn
        ]
        bands = self._bands({int(c) for c in self._grouping.number if c < self._clusters.sizes["cluster"]})
        lines_t, lines_y = [t], [y]
        if self._live:
            grid = np.linspace(np.nanmin(self.curves.t), np.nanmax(self.curves.t), y.shape[1])
            value = self._curve(grid, self.sliders.values)
            lines_t.append(grid[None])
            lines_y.append(value[None])
            styles.append({"colour": -1, "width": 2.5, "name": f"{self.expert.name} at the sliders"})
        labels = (self.curves.t_label, self.curves.y_label)
        words = f"{len(shown)} curves" + (" and the law at the sliders" if self._live else "")
        self.chart.draw(np.vstack(lines_t), np.vstack(lines_y), styles, bands=bands, labels=labels, summary=words)
        self._draw_residuals(drawn, styles)

    def _curve(self, grid: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        t: object = grid
        if self.expert.covariates:
            t = {self.expert.t: grid, **{name: float(self.data[name].mean()) for name in self.expert.covariates}}
        return self.expert.value_and_jacobian(t, theta)[0]

    def _bands(self, clusters: set[int]) -> list[dict[str, object]]:
        """Return the 90 % bands of the fit's own clusters, as the chart takes them."""
        name = self.modality.value
        t = self._clusters[self.curves.t_name].values
        low, high = (self._clusters[f"{name}_{side}"].values for side in ("low", "high"))
        return [{"x": t, "low": low[c], "high": high[c], "colour": c} for c in sorted(clusters)]

    def _draw_residuals(self, drawn: NDArray[np.intp], styles: list[dict[str, object]]) -> None:
        """Draw what was measured minus the expert at the sliders, once there is something to compare with."""
        labels = (self.curves.t_label, "residual" if self.curves.y_unit == "1" else f"residual ({self.curves.y_unit})")
        shown = self._live and len(drawn) > 0
        self.residuals.layout.display = None if shown else "none"
        if not shown:
            self.residuals.draw(np.zeros(1), np.zeros((0, 1)), [], labels=labels)
            return
        t = self.curves.t[drawn]
        inputs: object = t
        if self.expert.covariates:
            inputs = self._inputs(drawn)
        value = self.expert.value_and_jacobian(inputs, self.sliders.values[None])[0]
        value = value.reshape(value.shape[-2:])
        self.residuals.draw(t, self.curves.y[drawn] - value, styles[: len(drawn)], labels=labels, summary="residuals")

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
        start = self.sliders.values if self._live else None
        solution = self.expert.fit(
            inputs,
            curves,
            weight[used],
            start=start,
            fixed=self.sliders.fixed,
            y_unit=self.curves.y_unit,
            t_unit=self.curves.t_unit,
        )
        self._refits[members] = weight, solution
        self.sliders.set(solution.fitted[0])
        self.status.value = f'<span role="status">{escape(members)}: {escape(solution.advice[0])}</span>'
        self.outcome.value = solution._repr_html_() + self._lmfit(inputs, curves, weight[used], solution)
        return solution

    def _lmfit(self, inputs: object, y: NDArray[np.float64], weight: NDArray[np.float64], solution: Solution) -> str:
        """Write lmfit's own report on the same points, started at the solution, folded."""
        model = self.expert.to_lmfit()
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
        fitted = self._responsibilities
        same = self.expert == self.model_fit.model.options.physics[self.modality.value].expert
        rows = []
        for place, name in enumerate(grouping.names):
            weight, number = grouping.responsibilities[:, place], grouping.number[place]
            refit_weight, solution = self._refits.get(name, (None, None))
            if solution is not None and np.array_equal(refit_weight, weight):
                values = self._texts(solution.parameters.isel(cluster=0))
            elif same and number < fitted.shape[1] and np.array_equal(fitted[:, number], weight):
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
