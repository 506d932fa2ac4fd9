"""The figure of an expert: its curve, and what each parameter does to it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ...drawing import colour_of, new_figure
from ...errors import require
from ...experts import Bounds, Example, Expert, Parameter, card_of, example_of, get_expert, latex_name, resolve_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

#: Change of a parameter that is drawn, points of a curve, and Newton steps from reported to fitted parameters.
_CHANGE, _POINTS, _NEWTON = 0.2, 400, 20


def plot_expert(expert: str | Expert | type[Expert], ax: Axes | None = None) -> Figure:
    """Draw the curve of an expert's example; thin beside it, 20 % more (solid) and less (dashed) of each parameter.

    Args:
        expert: The expert, or its name.
        ax: Axes to draw into; a new figure by default.

    Returns:
        The figure.

    Raises:
        ExpertError: If there is no such expert, or no example can be made for it.
    """
    expert = get_expert(expert)
    example = replace(example_of(expert), points=_POINTS)
    t, theta = example.inputs(expert), example.theta(expert.parameters)
    parameters, values, changed = _changes(expert, theta, expert.bounds(example.grid))
    with np.errstate(all="ignore"):
        curve, *others = (expert.value_and_jacobian(t, some)[0] for some in (theta, *changed))

    figure = new_figure(6.6, 3.9) if ax is None else cast("Figure", ax.figure)
    axis = figure.subplots() if ax is None else ax
    for i, p in enumerate(parameters):
        for style, ys in zip(("-", "--"), others, strict=True):
            axis.plot(example.grid, np.where(np.isfinite(ys[i]), ys[i], np.nan), style, color=colour_of(i), lw=0.9)
        unit = _unit(resolve_unit(p.unit, example.y_unit, example.t_unit))
        axis.plot([], [], color=colour_of(i), label=f"${latex_name(p.name)}$ = {values[i]:.4g}{unit and ' ' + unit}")
    axis.plot(example.grid, curve, color="0.1", linewidth=2.2)
    _scales(axis, curve, example)
    axis.set_xlabel(_axis_text(expert.t, example.t_unit))
    axis.set_ylabel(_axis_text(example.y, example.y_unit))
    head = "solid +20 %, dashed −20 %"
    axis.legend(title=head, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9, title_fontsize=9)
    given = ", ".join(f"{name} = {value:g}" for name, value in example.covariates.items())
    name, equation = expert.name + (f", {given}" if given else ""), _equation(expert)
    if ax is None:
        figure.suptitle(name, fontsize=11, weight="bold")
        axis.set_title(equation, fontsize=11, pad=8)
    else:
        axis.set_title(f"{name}:  {equation}" if equation else name, fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _changes(expert: Expert, theta: Array, bounds: Bounds) -> tuple[tuple[Parameter, ...], Array, list[Array]]:
    """Choose the parameters to change one by one.

    Reported parameters are changed where the fitted ones follow from them, by Newton's method; else fitted parameters.

    Returns:
        The parameters, their values (P,), and the fitted parameters for more and for less of each, both (P, P).
    """
    P = theta.size
    moved = [theta * (1 + change * np.eye(P)) for change in (_CHANGE, -_CHANGE)]
    if len(expert.reported) < P or np.linalg.matrix_rank(expert.reported_jacobian(theta)[:P]) < P:
        return expert.parameters, theta, [bounds.clip(some) for some in moved]
    values = expert.to_reported(theta)[:P]
    solved = []
    for change in (_CHANGE, -_CHANGE):
        fitted, goal = np.tile(theta, (P, 1)), values * (1 + change * np.eye(P))
        for _ in range(_NEWTON):
            rest = goal - expert.to_reported(fitted)[:, :P]
            fitted = fitted + np.linalg.solve(expert.reported_jacobian(fitted)[:, :P], rest[..., None])[..., 0]
        solved.append(bounds.clip(fitted))
    return expert.reported[:P], values, solved


def _scales(axis: Axes, curve: Array, example: Example) -> None:
    """Set few ticks, and limits with room around the curve itself; a thin line may leave the figure."""
    ticker = require("matplotlib.ticker", "plots")
    low, high = float(np.min(curve)), float(np.max(curve))
    room = 0.25 * (high - low) or 1.0
    axis.xaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    if not example.log:
        axis.set_ylim(max(low - room, -0.02 * high) if low >= 0 else low - room, high + room)
        return
    axis.set(yscale="log", ylim=(low / 3, high * 3))
    if example.t[1] >= 10 * example.t[0]:
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_formatter(ticker.NullFormatter())


def _unit(unit: str) -> str:
    """A unit with its powers raised: ``MPa·m^0.5``; nothing for 1."""
    raised = re.sub(r"\*\*\(([^()]*)\)|\*\*([\w.+-]+)", lambda m: f"$^{{{m[1] or m[2]}}}$", unit)
    return "" if unit == "1" else raised.replace("*", "·")


def _axis_text(name: str, unit: str) -> str:
    return name.replace("_", " ") + (f" ({_unit(unit)})" if unit != "1" else "")


def _equation(expert: Expert) -> str:
    """Write the equation as matplotlib can: as mathematics, else the formula as text, else nothing."""
    card = card_of(expert)
    if not card.equation:
        return ""
    written = "$" + card.equation.replace(r"\frac", r"\dfrac") + "$"
    try:
        require("matplotlib.mathtext", "plots").MathTextParser("path").parse(written)
    except ValueError:  # piecewise formulas need cases, which it does not know
        return card.formula
    return written
