"""The physics part of the cluster panel: curves, sliders, the weighted fit, residuals, lmfit's report."""

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

#: Curves drawn of a selection.
_DRAWN = 200


class Refit:
    """Fit an expert to weighted specimens and show it; the widgets are put together by the panel.

    Args:
        fit: A fit with a physics modality.
        data: The specimens.
    """

    def __init__(self, fit: Fit, data: xr.Dataset) -> None:
        self.source, self.data = fit, data
        # Asked once: what a fit says of its clusters is computed, pictures decoded, whenever it is asked.
        self._clusters, self._experts_table = fit.clusters, fit.parameters
        self._responsibilities = fit.specimens["responsibilities"].values
        physics = fit.model.options.physics
        names = [name for name in physics if name in data]
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
        expert = self.source.model.options.physics[self.modality.value].expert
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
        longest = int(known.sum(1).argmax())  # some specimens have no curve, and no grid
        return self.expert.guess(self._inputs(slice(longest, longest + 1), seen), middle)

    def _inputs(self, specimens: object, points: object = slice(None)) -> ArrayLike | dict[str, ArrayLike]:
        """What the expert takes as t: the grid, or with covariates all inputs by name."""
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
        everyone = np.asarray(self._chosen if self._chosen else np.arange(len(self.curves.y)))
        everyone = everyone[self.curves.measured[everyone]]
        drawn = everyone[np.unique(np.linspace(0, max(len(everyone) - 1, 0), _DRAWN).astype(int))[: len(everyone)]]
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
        words = f"{len(everyone)} curves" + (" and the expert at the sliders" if self._live else "")
        self.chart.draw(np.vstack(lines_t), np.vstack(lines_y), styles, bands=bands, labels=labels, summary=words)
        self._draw_residuals(drawn, styles)

    def _curve(self, grid: NDArray[np.float64], theta: NDArray[np.float64]) -> NDArray[np.float64]:
        t: object = grid
        if self.expert.covariates:
            t = {self.expert.t: grid, **{name: float(self.data[name].mean()) for name in self.expert.covariates}}
        return self.expert.value_and_jacobian(t, theta)[0]

    def _bands(self, clusters: set[int]) -> list[dict[str, object]]:
        """The 90 % bands of the fit's own clusters."""
        about, name = self._clusters, self.modality.value
        t = about[self.curves.t_name].values
        edges = [about[f"{name}_{side}"].values for side in ("low", "high")]
        return [{"x": t, "low": edges[0][c], "high": edges[1][c], "colour": c} for c in sorted(clusters)]

    def _draw_residuals(self, drawn: NDArray[np.intp], styles: list[dict[str, object]]) -> None:
        """Measured minus the expert at the sliders, once there is something to compare with."""
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

    def fit(self, weight: NDArray[np.float64], what: str) -> Solution:
        """Fit the expert to weighted specimens, from the sliders' values; fixed ones are held.

        Args:
            weight: Shape (specimen,).
            what: Whom the fit is of, for the status line.

        Raises:
            DataError: If none of them has a curve.
        """
        used = np.flatnonzero((weight > 1e-6) & self.curves.measured)
        if not len(used):
            raise DataError(f"no specimen of {what} has a curve {self.modality.value!r}: there is nothing to fit")
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
        self._refits[what] = weight, solution
        self.sliders.set(solution.parameters[0])
        self.status.value = f'<span role="status">{escape(what)}: {escape(solution.advice[0])}</span>'
        self.outcome.value = solution._repr_html_() + self._lmfit(inputs, curves, weight[used], solution)
        return solution

    def _lmfit(self, inputs: object, y: NDArray[np.float64], weight: NDArray[np.float64], solution: Solution) -> str:
        """lmfit's own report of the same points from the same place, folded."""
        model = self.expert.to_lmfit()
        named = inputs if isinstance(inputs, dict) else {self.expert.t: inputs}
        rows = {k: np.broadcast_to(v if np.ndim(v) != 1 or len(v) == y.shape[1] else np.reshape(v, (-1, 1)), y.shape)
                for k, v in named.items()}  # fmt: skip
        seen = np.isfinite(y)
        flat = {k: np.ascontiguousarray(v)[seen] for k, v in rows.items()}
        parameters = model.make_params(
            **{p.name: float(v) for p, v in zip(self.expert.parameters, solution.parameters[0], strict=True)}
        )
        for name in self.sliders.fixed:
            parameters[name].set(vary=False)
        roots = np.sqrt(np.broadcast_to(weight[:, None], y.shape))[seen]
        result = model.fit(y[seen], parameters, weights=roots, **flat)
        note = "points counted as independent: where specimens differ these errors are too small"
        return f"<details><summary>lmfit report ({note})</summary><pre>{escape(result.fit_report())}</pre></details>"

    @property
    def heads(self) -> list[str]:
        """Column heads of :meth:`table`."""
        return [p.name for p in self.expert.reported]

    def table(self, grouping: Grouping) -> list[list[str]]:
        """Parameters of each group: of its last refit while its members stay, of the fit for untouched clusters."""
        experts, fitted = self._experts_table, self._responsibilities
        same = self.expert == self.source.model.options.physics[self.modality.value].expert
        rows = []
        for place, name in enumerate(grouping.names):
            weight, number = grouping.responsibilities[:, place], grouping.number[place]
            known = self._refits.get(name)
            if known is not None and np.array_equal(known[0], weight):
                solution = known[1]
                errors = solution.reported_std_errors
                values = [pima.value_with_error(v, None if errors is None else errors[0][q], solution.units[q])
                          for q, v in enumerate(solution.reported[0])]  # fmt: skip
            elif same and number < fitted.shape[1] and np.array_equal(fitted[:, number], weight):
                own = experts.isel(
                    cluster=number, parameter=experts["parameter_modality"].values == self.modality.value
                )
                values = [pima.value_with_error(float(v), float(e), str(u)) for v, e, u in
                          zip(own["value"], own["std_error"].values, own["unit"].values, strict=True)]  # fmt: skip
            else:
                values = ["refit" for _ in self.heads]
            rows.append(values)
        return rows
