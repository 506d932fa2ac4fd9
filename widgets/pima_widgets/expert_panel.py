"""Write a formula, see it on the data, fit it, keep it: `ExpertPanel(data)`."""

from __future__ import annotations

import keyword
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as ipw
import numpy as np

import pima_toolkit as pima
from pima_toolkit.errors import DataError, ExpertError, FormulaError

from .canvas import Chart
from .curves_and_pictures import PlottedCurves, curve_names, curves_of
from .formula_units import units_of
from .panel import Panel, heading, row
from .parameter_table import ParameterTable

if TYPE_CHECKING:
    import xarray as xr

#: How many specimens are drawn behind the formula.
_DRAWN = 60
_EXAMPLE = "K * {t}**n"


class ExpertPanel(Panel):
    """Panel to write a formula of one's own: live equation, parameters, curve on the data, fit, plugin file.

    Args:
        data: A dataset with curves, to see the formula on; without one a grid from 0 to 1 is drawn.
        modality: Name of the curve; the first by default.

    Attributes:
        expert: The :class:`pima_toolkit.SympyExpert` as typed; None while the formula has a fault.
        result: The :class:`pima_toolkit.Solution` of the last fit.
        selection: Name of the curve.

    Raises:
        DataError: If the dataset has no curves, or not this one.
    """

    title = "Expert"

    def __init__(self, data: xr.Dataset | None = None, modality: str | None = None) -> None:
        super().__init__()
        names = [] if data is None else curve_names(data)
        if data is not None and not names:
            raise DataError(f"the dataset has no curves to write a formula for; it has {list(data.data_vars)}")
        self.data = data
        self.curves: PlottedCurves | None = None
        self.modality = ipw.Dropdown(
            options=names, value=modality or (names[0] if names else None), description="curve"
        )
        self.modality.layout.display = "flex" if len(names) > 1 else "none"
        self.formula = ipw.Textarea(continuous_update=True, placeholder="K * t**n", rows=2, tooltip="formula")
        self.formula.layout.width = "min(560px, 100%)"
        self.formula.add_class("pima-formula")
        self.name = ipw.Text(value="my_law", description="name")
        self.equation = ipw.HTML()
        self.equation.add_class("pima-equation")
        self.fault = ipw.HTML()
        self.fault.add_class("pima-fault")
        self.table = ParameterTable()
        self.chart = Chart(height=330)
        self.outcome = ipw.HTML()
        self.outcome.add_class("pima-outcome")
        self.file = ipw.Text(value="my_law.py", description="file")
        self.fit_button = self.button("Fit", self.fit, style="primary", icon="play")
        self.guess_button = self.button("Guess", self.guess, hint="Start values from the data")
        self.register_button = self.button("Register", self.register, hint="Use it by its name in this session")
        self.save_button = self.button("Save as plugin", self.save, icon="save")
        self.children = [
            heading("Formula"),
            row(self.modality, self.formula),
            self.fault,
            self.equation,
            self.table,
            row(self.fit_button, self.guess_button, self.status),
            self.error,
            self.chart,
            self.outcome,
            row(self.name, self.register_button, self.file, self.save_button),
        ]
        self.modality.observe(self._read_curves, "value")
        self._read_curves()
        self.formula.observe(self._read_formula, "value")
        self.table.observe(self._draw, "revision")
        self.formula.value = _EXAMPLE.format(t=self.t)

    @classmethod
    def lacks(cls, data: xr.Dataset) -> str | None:
        """Return a sentence if the data have no curves, else None."""
        return None if curve_names(data) else "The data hold no curves, so there is nothing to write a formula for."

    @property
    def t(self) -> str:
        """Name of the independent variable."""
        return self.curves.t_name if self.curves is not None else "t"

    def _read_curves(self, _: object = None) -> None:
        self.curves = None
        if self.data is not None:
            read = curves_of(self.data, self.modality.value)
            # A specimen without a curve is neither drawn nor fitted.
            self.curves = read.only(read.measured) if read.measured.any() else None
        self.selection = self.modality.value
        if self.formula.value:
            self._read_formula()

    def _read_formula(self, _: object = None) -> None:
        """Read the formula anew; while it has a fault, the last curve stays."""
        text = self.formula.value
        try:
            read = pima.SympyExpert(text, t=self.t)
        except FormulaError as error:
            self.expert = None
            self.outcome.value = ""
            self._show_fault(text, error)
            return
        self.fault.value = ""
        self.equation.value = f'<div style="font-size:1.35em">{read.mathml}</div>'
        known = {one.name for one in self.table.rows}
        new = [p for p in read.parameters if p.name not in known]
        values = np.ones(len(read.parameters)) if not new else self._start_values(read)
        self.table.show(read.parameters, values.tolist(), editable=True, units=self._units())
        self._draw()

    def _units(self) -> dict[str, str]:
        """Find the units that follow from those of the data; empty where one is to be typed."""
        here = self.curves
        known = units_of(self.formula.value, self.t, here.t_unit if here else "1", here.y_unit if here else "1")
        return {name: unit or "" for name, unit in known.items()}

    def _expert_with_units(self) -> pima.SympyExpert:
        """Make the expert that is registered or saved.

        Raises:
            ExpertError: If a parameter has no unit.
        """
        without = [one.name for one in self.table.rows if not one.unit.value.strip()]
        if without:
            raise ExpertError(
                f"the unit of {', '.join(without)} does not follow from the formula and the units of the data: type it"
                " into the table, 1 for none"
            )
        return self._present_expert()

    def _show_fault(self, text: str, error: FormulaError) -> None:
        at = len(text) if error.position is None else error.position
        end = (text + "\n").index("\n", at)
        caret = "" if error.position is None else f"\n{' ' * (at - text.rfind(chr(10), 0, at) - 1)}^"
        pointed = f'<pre style="margin:0;line-height:1.2">{escape(text[:end])}{caret}{escape(text[end:])}</pre>'
        self.fault.value = f'{pointed}<div role="alert">{escape(str(error))}</div>'

    def _start_values(self, expert: pima.SympyExpert) -> np.ndarray:
        if self.curves is None:
            return np.ones(len(expert.parameters))
        t, y = self._thinned_points()
        return expert.guess(t, y)

    def _thinned_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Gather t and y of 2000 points at most, evenly spread over all points of all curves in the order of t."""
        t, y = self.curves.t.ravel(), self.curves.y.ravel()
        seen = np.isfinite(y)
        order = np.argsort(t[seen], kind="stable")
        keep = np.unique(np.linspace(0, order.size - 1, 2000).astype(int))
        return t[seen][order][keep], y[seen][order][keep]

    def _present_expert(self) -> pima.SympyExpert:
        """Make the expert with the bounds and units of the table.

        Raises:
            FormulaError: If the formula has a fault.
            ExpertError: If bounds are reversed or not numbers.
        """
        return pima.SympyExpert(
            self.formula.value,
            t=self.t,
            name=self.name.value.strip() or None,
            parameters=[one.parameter for one in self.table.rows],
        )

    def _draw(self, _: object = None) -> None:
        """Draw the data and the formula at the values of the table."""
        self.outcome.value = ""  # it was of another formula, or began elsewhere
        self.say("")
        with self.guarded(self.table):
            self.expert = self._present_expert()
            grid = np.linspace(0.0, 1.0, 200)
            lines, t, styles = [], grid, []
            labels = (self.t, "y")
            if self.curves is not None:
                chosen = np.unique(np.linspace(0, len(self.curves.y) - 1, _DRAWN).astype(int))
                t = np.linspace(self.curves.t.min(), self.curves.t.max(), self.curves.y.shape[1])
                lines, labels = list(self.curves.y[chosen]), (self.curves.t_label, self.curves.y_label)
                t = np.vstack([self.curves.t[chosen], t])
                styles = [{"colour": -1, "alpha": 0.35, "name": "specimens"}] * len(lines)
            own = t[-1] if t.ndim == 2 else t
            value, _ = self.expert.value_and_jacobian(own, self.table.values)
            styles = [*styles, {"colour": 1, "width": 2.5, "name": "formula"}]
            self.chart.draw(
                t, np.vstack([*lines, value]), styles, labels=labels, summary=f"{self.formula.value} on the data"
            )

    def guess(self) -> np.ndarray:
        """Put start values from the data into the table.

        Returns:
            The values, in the order of the parameters.

        Raises:
            DataError: If there are no data.
        """
        self._needs_data()
        start = self._start_values(self._present_expert())
        self.table.set(start)
        return start

    def fit(self) -> pima.Solution:
        """Fit the formula to all curves, from the values of the table; those ticked fixed are held.

        Returns:
            The solution.

        Raises:
            DataError: If there are no data.
            ExpertError: If the fit cannot be made.
        """
        self._needs_data()
        expert = self._present_expert()
        shared = bool((self.curves.t == self.curves.t[:1]).all())
        solution = expert.fit(
            self.curves.t[0] if shared else self.curves.t,
            self.curves.y,
            start=self.table.values,
            fixed=self.table.fixed,
            priors=self.table.priors,
            y_unit=self.curves.y_unit,
            t_unit=self.curves.t_unit,
        )
        self.table.set(solution.fitted[0])
        self.outcome.value = solution._repr_html_()
        self.say(solution.advice[0])
        self.result = solution
        return solution

    def _needs_data(self) -> None:
        if self.curves is None:
            raise DataError("there are no data to fit: make the panel with a dataset, ExpertPanel(data)")

    def register(self) -> pima.Expert:
        """Make the expert known by its name in this session, for ``Physics("name")`` and every panel.

        Returns:
            The expert.

        Raises:
            ExpertError: If a parameter has no unit.
        """
        expert = pima.register(self._expert_with_units())
        self.say(f'registered: pima.Physics("{expert.name}") knows it in this session')
        self.registered = expert
        return expert

    def save(self, path: str | Path | None = None) -> Path:
        """Write the expert as a plugin file, for ``pima.load_plugin`` and ``pima fit --plugin``.

        Args:
            path: The file; the one in the box by default. An existing file is not overwritten.

        Returns:
            The full path.

        Raises:
            ExpertError: If the file exists, a parameter has no unit, or the name cannot be a plugin's.
        """
        target = Path(path or self.file.value).expanduser().resolve()
        source = plugin_source(self._expert_with_units())
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(source)
        except FileExistsError:
            raise ExpertError(f"{target} exists already: give another file name") from None
        self.say(f"saved: pima.load_plugin({str(target)!r})")
        return target


def plugin_source(expert: pima.SympyExpert) -> str:
    """Write the source of a plugin file.

    Args:
        expert: An expert written as a formula.

    Returns:
        The text of a Python file.

    Raises:
        ExpertError: If the expert's name is no Python name.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", expert.name) or keyword.iskeyword(expert.name):
        raise ExpertError(f"the name {expert.name!r} cannot be a plugin's: use lower-case letters, digits and _")
    rows = []
    for p in expert.parameters:
        bounds = [
            f", {side}={value!r}" for side, value in (("lower", p.lower), ("upper", p.upper)) if np.isfinite(value)
        ]
        rows.append(f"        pima.Parameter({p.name!r}, unit={p.unit!r}{''.join(bounds)}),\n")
    kind = "".join(part.capitalize() for part in expert.name.split("_"))
    return (
        f'"""The expert {expert.name}."""\n\nimport pima_toolkit as pima\n\n\nclass {kind}(pima.SympyExpert):\n'
        f'    """{expert.name}: y = {expert.formula}."""\n\n    name = {expert.name!r}\n    t = {expert.t!r}\n'
        f"    formula = {expert.formula!r}\n    parameters = (\n{''.join(rows)}    )\n\n\n"
        f"@pima.hookimpl\ndef pima_experts():\n    return [{kind}]\n"
    )
