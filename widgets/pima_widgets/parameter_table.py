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
    *(("", "66px"), ("", "44px"), ("value", "104px"), ("at least", "60px"), ("at most", "60px")),
    *(("prior", "84px"), ("unit", "54px"), ("", "56px")),
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
        editable: Whether the unit may be changed, as for a formula of one's own.
        bounded: Whether the bounds may be changed.
        unit: Unit that is in its box at first, empty where it is not known; by default the parameter's own.
    """

    def __init__(
        self,
        parameter: Parameter,
        value: float,
        changed: Callable[[], None],
        *,
        editable: bool,
        bounded: bool = True,
        unit: str | None = None,
    ) -> None:
        self.name = parameter.name
        self._proposed = parameter.unit if unit is None else unit
        self._quiet = False
        self._changed = changed
        self.label = ipw.HTML(f"<b>{parameter.name}</b>")
        self.slider = ipw.FloatSlider(continuous_update=True, readout=False, description="")
        self.number = ipw.FloatText(value=value)
        self.lower = ipw.Text(value=_bound_text(parameter.lower), placeholder="none")
        self.upper = ipw.Text(value=_bound_text(parameter.upper), placeholder="none")
        self.unit = ipw.Text(value=self._proposed, placeholder="unit?")
        self.prior = ipw.Text(placeholder="mean ± std", continuous_update=False)
        self.fixed = ipw.Checkbox(value=False, description="fixed", indent=False)
        boxes = (self.slider, self.number, self.lower, self.upper, self.prior, self.unit)
        self.widget = row(self.label, *boxes, self.fixed)
        _set_widths(self.widget)
        self.unit.disabled, self.lower.disabled, self.upper.disabled = not editable, not bounded, not bounded
        for widget, hint in zip(boxes, ("slider", "value", "lower bound", "upper bound", "prior", "unit"), strict=True):
            widget.tooltip = f"{hint} of {self.name}"
        self.fixed.tooltip = f"hold {self.name} fixed"
        self.set(value)
        self.slider.observe(lambda change: self._moved(change["new"], self.number), "value")
        self.number.observe(lambda change: self._moved(change["new"], self.slider), "value")
        for widget in (self.lower, self.upper, self.prior, self.unit, self.fixed):
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
            self.number.value = value
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
                # Digits that a slider cannot mean are left out; its step says which.
                digits = 2 - int(np.floor(np.log10(self.slider.step)))
                other.value = float(np.clip(round(value, digits), *self.bounds))
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

    @property
    def known(self) -> tuple[float, float] | None:
        """Mean and standard deviation of what is known beforehand; None where nothing is.

        Raises:
            ExpertError: If the box does not hold two numbers.
        """
        parts = self.prior.value.replace("+-", "±").split("±")
        try:
            return (float(parts[0]), float(parts[1])) if self.prior.value.strip() else None
        except (IndexError, ValueError):
            raise ExpertError(
                f"the prior of {self.name!r} is {self.prior.value!r}: expected mean ± standard deviation, such as"
                " 200 ± 10, or nothing"
            ) from None

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


def _bound_text(bound: float) -> str:
    """Write a bound with all its digits; nothing where there is none."""
    return repr(float(bound)).removesuffix(".0") if np.isfinite(bound) else ""


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
        bounded: bool = True,
        keep: bool = True,
        units: Mapping[str, str] | None = None,
    ) -> None:
        """Make the rows; those whose name was there before keep what was typed.

        Args:
            parameters: The parameters, in the order of the rows.
            values: Where new rows start.
            editable: Whether units may be changed.
            bounded: Whether bounds may be changed.
            keep: Whether rows of the same name stay as they are.
            units: Proposed units by name, empty where one must be typed; by default the parameters' own.
        """
        old = {one.name: one for one in self.rows} if keep else {}
        units = {p.name: p.unit for p in parameters} if units is None else units
        self.rows = [
            old.get(p.name) or ParameterRow(p, v, self._bump, editable=editable, bounded=bounded, unit=units[p.name])
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

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """The lower and the upper bound of every row."""
        return [one.bounds for one in self.rows]

    @property
    def priors(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of the parameters of which something is known beforehand."""
        return {one.name: known for one in self.rows if (known := one.known) is not None}

    def set(self, values: np.ndarray) -> None:
        """Set the values of all rows, as one change."""
        for one, value in zip(self.rows, values, strict=True):
            one.set(float(value))
        self._bump()
