"""A table of an expert's parameters, rows of sliders, bounds and check boxes, for the panels that fit an expert."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ipywidgets as ipw
import numpy as np
import traitlets

from pima_toolkit import Parameter
from pima_toolkit.errors import ExpertError

from .panel import row

#: Heads and widths of the columns; the slider takes the width that a narrow page leaves.
_COLUMNS = (
    *(("", "62px"), ("", "60px"), ("value", "108px"), ("lower bound", "72px"), ("upper bound", "76px")),
    *(("unit", "68px"), ("", "56px")),
)
_SLIDER = 1
#: How many steps a slider has, about.
_STEPS = 400


def _set_widths(line: ipw.Box) -> None:
    line.layout.grid_gap = "4px"
    for k, (widget, (_, width)) in enumerate(zip(line.children, _COLUMNS, strict=True)):
        widget.layout.width = width
        widget.layout.min_width = "0"
        if k == _SLIDER:
            widget.layout.flex, widget.layout.max_width = f"1 1 {width}", "220px"


class ParameterRow:
    """Row of one parameter: value by slider or number, bounds, unit, and whether it is held fixed.

    Args:
        parameter: Name, unit and bounds.
        value: Where the parameter starts.
        changed: Called after every change.
        editable: Whether bounds and unit may be changed, as for a formula of one's own.
        unit: Unit that is in its box at first, empty where it is not known; by default the parameter's own.
    """

    def __init__(
        self,
        parameter: Parameter,
        value: float,
        changed: Callable[[], None],
        *,
        editable: bool,
        unit: str | None = None,
    ) -> None:
        self.name = parameter.name
        self._proposed = parameter.unit if unit is None else unit
        self._quiet = False
        self._changed = changed
        self.label = ipw.HTML(f"<b>{parameter.name}</b>")
        self.slider = ipw.FloatSlider(continuous_update=True, readout=False, description="")
        self.number = ipw.FloatText(value=value)
        self.lower = ipw.Text(value="" if parameter.lower == -np.inf else f"{parameter.lower:g}", placeholder="none")
        self.upper = ipw.Text(value="" if parameter.upper == np.inf else f"{parameter.upper:g}", placeholder="none")
        self.unit = ipw.Text(value=self._proposed, placeholder="unit?")
        self.fixed = ipw.Checkbox(value=False, description="fixed", indent=False)
        self.widget = row(self.label, self.slider, self.number, self.lower, self.upper, self.unit, self.fixed)
        _set_widths(self.widget)
        self.lower.disabled = self.upper.disabled = self.unit.disabled = not editable
        for widget, hint in ((self.lower, "lower bound"), (self.upper, "upper bound"), (self.unit, "unit")):
            widget.tooltip = f"{hint} of {self.name}"
        self.set(value)
        self.slider.observe(lambda change: self._moved(change["new"], self.number), "value")
        self.number.observe(lambda change: self._moved(change["new"], self.slider), "value")
        for widget in (self.lower, self.upper, self.unit, self.fixed):
            widget.observe(lambda _: self._changed(), "value")

    def set(self, value: float) -> None:
        """Set the value, and the slider's range around it."""
        self._quiet = True
        try:
            low, high, step = self._range(value)
            with self.slider.hold_sync():
                # In this order no bound ever passes the other.
                self.slider.min, self.slider.max = -np.inf, np.inf
                self.slider.value = value
                self.slider.min, self.slider.max = low, high
                self.slider.step = step
            self.number.value = float(f"{value:.6g}")
        finally:
            self._quiet = False

    def _range(self, value: float) -> tuple[float, float, float]:
        """Choose the slider's ends and step; the value lies on a step, since the page moves it to the nearest one."""
        lower, upper = self.bounds
        reach = 2 * abs(value) or 1.0
        low = lower if np.isfinite(lower) else value - reach
        high = upper if np.isfinite(upper) and upper - low <= 20 * reach else max(value + reach, low + reach)
        low, high = min(low, value), max(high, value)
        step = (high - low) / _STEPS
        if value > low:
            step = (value - low) / max(round((value - low) / step), 1)
        return low, low + step * max(int((high - low) / step + 1e-9), 1), step

    def _moved(self, value: float, other: ipw.Widget) -> None:
        # A page that opens sends the slider's value back, rounded in its last digit: that is no movement.
        same = other is self.number and abs(value - self.value) < self.slider.step / 4
        if self._quiet or same:
            return
        self._quiet = True
        try:
            if other is self.slider:
                self.set(value)
            else:
                other.value = float(f"{value:.6g}")
        finally:
            self._quiet = False
        self._changed()

    @property
    def value(self) -> float:
        """The present value."""
        return float(self.number.value)

    @property
    def bounds(self) -> tuple[float, float]:
        """The lower and the upper bound, infinite where there is none.

        Raises:
            ExpertError: If a bound is not a number.
        """
        bounds = []
        for box, empty in ((self.lower, -np.inf), (self.upper, np.inf)):
            try:
                bounds.append(float(box.value) if box.value.strip() else empty)
            except ValueError:
                raise ExpertError(
                    f"a bound of {self.name!r} is {box.value!r}: expected a number, or nothing for no bound"
                ) from None
        return bounds[0], bounds[1]

    def propose(self, unit: str) -> None:
        """Set another unit, unless one was typed."""
        typed = self.unit.value != self._proposed
        self._proposed = unit
        if not typed:
            self.unit.value = unit

    @property
    def parameter(self) -> Parameter:
        """The parameter with its present unit and bounds; the unit is "1" where none is known."""
        lower, upper = self.bounds
        return Parameter(self.name, unit=self.unit.value.strip() or "1", lower=lower, upper=upper)


class ParameterTable(ipw.VBox):
    """Rows of parameters under a row of column heads.

    Attributes:
        revision: Rises by one with every change; to be observed.
    """

    revision = traitlets.Int(0)

    def __init__(self) -> None:
        self.rows: list[ParameterRow] = []
        super().__init__()
        self.add_class("pima-parameters")

    def show(
        self,
        parameters: tuple[Parameter, ...],
        values: list[float],
        *,
        editable: bool,
        keep: bool = True,
        units: Mapping[str, str] | None = None,
    ) -> None:
        """Make the rows; those whose name was there before keep what was typed.

        Args:
            parameters: The parameters, in the order of the rows.
            values: Where new rows start.
            editable: Whether bounds and units may be changed.
            keep: Whether rows of the same name stay as they are.
            units: Proposed units by name, empty where one must be typed; by default the parameters' own.
        """
        old = {one.name: one for one in self.rows} if keep else {}
        units = {p.name: p.unit for p in parameters} if units is None else units
        self.rows = [
            old.get(p.name) or ParameterRow(p, v, self._bump, editable=editable, unit=units[p.name])
            for p, v in zip(parameters, values, strict=True)
        ]
        for one in self.rows:
            one.propose(units[one.name])
        heads = [ipw.HTML(f'<small style="opacity:.75">{text}</small>') for text, _ in _COLUMNS]
        top = row(*heads)
        _set_widths(top)
        self.children = [top, *(one.widget for one in self.rows)]

    def _bump(self) -> None:
        self.revision += 1

    @property
    def values(self) -> np.ndarray:
        """The present values, in the order of the rows."""
        return np.array([one.value for one in self.rows])

    @property
    def fixed(self) -> dict[str, float]:
        """The parameters held fixed and their values."""
        return {one.name: one.value for one in self.rows if one.fixed.value}

    def set(self, values: np.ndarray) -> None:
        """Set the values of all rows, as one change."""
        for one, value in zip(self.rows, values, strict=True):
            one.set(float(value))
        self._bump()
