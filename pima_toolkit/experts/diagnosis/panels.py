"""The figures of a diagnosis, one panel for each of its checks, each under its sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ...drawing import COLOURS, GREY, new_figure
from . import checks
from .curves import PopulationCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

#: Points of a cloud, curves of a panel, specimens of an axis with names, lags.
_CLOUD, _LINES, _NAMED, _LAGS = 4000, 6, 12, 20
_BLUE, _RED = COLOURS[0], COLOURS[1]


def draw_overview(curves: PopulationCurves, words: Mapping[str, tuple[str, bool]]) -> Figure:
    """Draw all panels, each under its words; red where they say that something is wrong."""
    figure = new_figure(15.0, 3.5 * -(-len(words) // 4))
    axes = figure.subplots(-(-len(words) // 4), 4, squeeze=False).ravel()
    for axis, (name, (text, wrong)) in zip(axes, words.items(), strict=False):
        _panel(axis, curves, name, text, wrong=wrong, width=47)
    for axis in axes[len(words) :]:
        axis.set_visible(False)
    return figure


def draw_finding(curves: PopulationCurves, name: str, words: str) -> Figure:
    """Draw the panel of one check, that of parameters as a corner of every two."""
    if name == "parameters" and curves.scatter is not None and curves.free.sum() > 1:
        return _corner(curves, curves.scatter, words)
    figure = new_figure(6.4, 4.4)
    _panel(figure.subplots(), curves, name, words, wrong=False, width=78)
    return figure


def _panel(axis: Axes, curves: PopulationCurves, name: str, words: str, *, wrong: bool, width: int) -> None:
    PANELS[name](axis, curves)
    axis.set_title(textwrap.fill(words, width), fontsize=8.5, loc="left", color=_RED if wrong else "0.1")
    axis.spines[["top", "right"]].set_visible(False)


def _label(name: str, unit: str) -> str:
    return name.replace("_", " ") + ("" if unit == "1" else f" ({unit})")


def _cloud(axis: Axes, curves: PopulationCurves, x: Array) -> None:
    """Residuals of all points, at most so many, over something."""
    at = np.flatnonzero(curves.seen)
    at = at[:: max(1, -(-len(at) // _CLOUD))]
    axis.plot(x.ravel()[at], curves.standardised.ravel()[at], ".", color=GREY, markersize=2.5)
    axis.axhline(0.0, color="0.1", linewidth=0.8)
    axis.set_ylabel("residual (std)")


def _residuals_t(axis: Axes, curves: PopulationCurves) -> None:
    _cloud(axis, curves, curves.t)
    centres, mean, error = checks.stretches(curves)
    axis.errorbar(
        centres, mean, 2.0 * error, fmt="o-", color=_BLUE, markersize=3, linewidth=1.2, label="mean ± 2 errors"
    )
    axis.set_xlabel(_label(curves.law.t, curves.t_unit))
    axis.legend(fontsize=7, frameon=False)


def _residuals_prediction(axis: Axes, curves: PopulationCurves) -> None:
    value = np.where(curves.seen, curves.left.curve, 0.0)
    _cloud(axis, curves, value)
    v, z = value[curves.seen], curves.standardised[curves.seen]
    parts = np.array_split(np.argsort(v, kind="stable"), int(np.clip(len(v) // 10, 1, 12)))
    middle, std = ([f(part) for part in parts] for f in (lambda p: v[p].mean(), lambda p: np.sqrt(np.mean(z[p] ** 2))))
    axis.plot(middle, std, "o-", color=_BLUE, markersize=3, linewidth=1.2, label="std there")
    axis.plot(middle, -np.array(std), "o-", color=_BLUE, markersize=3, linewidth=1.2)
    axis.set_xlabel(_label("fitted curve", curves.y_unit))
    axis.legend(fontsize=7, frameon=False)


def _autocorrelation(axis: Axes, curves: PopulationCurves) -> None:
    sums, counts = np.zeros(_LAGS + 1), np.zeros(_LAGS + 1)
    for z, seen, t in zip(curves.standardised, curves.seen, curves.t, strict=True):
        row = z[seen][np.argsort(t[seen], kind="stable")]
        for lag in range(min(_LAGS + 1, len(row))):
            sums[lag] += row[: len(row) - lag] @ row[lag:]
            counts[lag] += len(row) - lag
    lags = np.flatnonzero(counts > 0)[1:]
    value = sums[lags] / counts[lags] / max(sums[0] / max(counts[0], 1.0), 1e-300)
    axis.vlines(lags, 0.0, value, color=_BLUE)
    axis.plot(lags, value, "o", color=_BLUE, markersize=3)
    for sign in (-2.0, 2.0):
        axis.plot(lags, sign / np.sqrt(counts[lags]), "--", color=GREY, linewidth=0.8)
    axis.axhline(0.0, color="0.1", linewidth=0.8)
    axis.set(xlabel="points apart", ylabel="autocorrelation", ylim=(min(-0.3, value.min(initial=0.0)), 1.0))


def _quantiles(axis: Axes, curves: PopulationCurves) -> None:
    z = np.sort(curves.standardised[curves.seen])
    expected = scipy.stats.norm.ppf((np.arange(len(z)) + 0.5) / len(z))
    axis.plot(expected, expected, color="0.1", linewidth=0.8)
    axis.plot(expected, z, ".", color=_BLUE, markersize=3)
    axis.set(xlabel="Gaussian quantile", ylabel="residual (std)")


def _ends(axis: Axes, curves: PopulationCurves) -> None:
    place = np.argsort(np.argsort(np.where(curves.seen, curves.t, np.inf), axis=1, kind="stable"), axis=1)
    share = place / np.maximum(curves.seen.sum(1, keepdims=True) - 1, 1)
    _cloud(axis, curves, share)
    for part, colour in zip(checks.end_points(curves), (_BLUE, _RED), strict=True):
        axis.plot(share[part], curves.standardised[part], ".", color=colour, markersize=3)
    axis.set_xlabel("share of the curve")


def _record(axis: Axes, curves: PopulationCurves) -> None:
    back = checks.returning(curves)
    for n in range(min(len(curves.y), _LINES)):
        at = np.flatnonzero(curves.seen[n])
        axis.plot(curves.t[n, at], curves.y[n, at], color=GREY, linewidth=0.7)
        same = at[1:][np.diff(curves.y[n, at]) == 0.0]
        axis.plot(curves.t[n, same], curves.y[n, same], "s", color=_RED, markersize=3)
        axis.plot(curves.t[n, back[n]], curves.y[n, back[n]], ".", color=_BLUE, markersize=3)
    axis.plot([], [], "s", color=_RED, markersize=3, label="same as the row before")
    axis.plot([], [], ".", color=_BLUE, markersize=3, label="on a way back")
    axis.legend(fontsize=7, frameon=False)
    axis.set(xlabel=_label(curves.law.t, curves.t_unit), ylabel=_label("measured", curves.y_unit))


def _individual_fits(axis: Axes, curves: PopulationCurves) -> None:
    squares, freedom = checks.own_squares(curves)
    worst = np.argsort(-squares / np.maximum(freedom, 1))[: _LINES // 2]
    for k, n in enumerate(worst):
        at = np.flatnonzero(curves.seen[n])
        at = at[np.argsort(curves.t[n, at], kind="stable")]
        axis.plot(curves.t[n, at], curves.y[n, at], ".", color=COLOURS[k], markersize=3, label=curves.names[n])
        axis.plot(curves.t[n, at], curves.left.curve[n, at], color=COLOURS[k], linewidth=1.0)
    title = "worst fitted" if len(curves.names) > 1 else None
    axis.legend(fontsize=7, frameon=False, title=title, title_fontsize=7)
    axis.set(xlabel=_label(curves.law.t, curves.t_unit), ylabel=_label("measured, fitted", curves.y_unit))


def _parameters(axis: Axes, curves: PopulationCurves) -> None:
    if curves.scatter is None or len(curves.names) < 3:
        _nothing(axis)
        return
    z = checks.apart(np.column_stack([curves.deviation, checks.sizes(curves)]))
    names = [*curves.parameters, "size"]
    place = np.arange(len(names)) + 0.3 * np.linspace(-1.0, 1.0, len(z))[:, None]
    axis.plot(place.ravel(), z.ravel(), "o", color=_BLUE, markersize=3)
    n, p = checks.largest(np.abs(z))
    axis.annotate(curves.names[n], (place[n, p], z[n, p]), xytext=(4, 2), textcoords="offset points", fontsize=7)
    axis.axhline(0.0, color="0.1", linewidth=0.8)
    axis.set_xticks(range(len(names)), names)
    axis.set_ylabel("off the others (std)")


def _corner(curves: PopulationCurves, scatter: Array, words: str) -> Figure:
    """Parameters of every two of the specimens, in their reported scale of own fits, with the population's ellipse."""
    free = np.flatnonzero(curves.free)
    names, theta = curves.parameters, curves.bounds.from_unbounded(curves.phi)[:, curves.free]
    size = len(free)
    figure = new_figure(1.0 + 1.9 * size, 1.4 + 1.8 * size)
    axes = figure.subplots(size, size, squeeze=False)
    z = np.abs(checks.apart(curves.deviation)).max(1)
    farthest = int(np.argmax(z))
    angle = np.linspace(0.0, 2.0 * np.pi, 100)
    for i in range(size):
        for j in range(size):
            axis = axes[i, j]
            if j > i:
                axis.set_visible(False)
                continue
            if i == j:
                axis.hist(theta[:, i], bins=int(np.clip(len(theta) // 3, 4, 20)), color=_BLUE)
            else:
                pair = free[[j, i]]
                values, vectors = np.linalg.eigh(scatter[np.ix_(pair, pair)])
                root = vectors * np.sqrt(np.maximum(values, 0.0) * scipy.stats.chi2.ppf(0.9, 2))
                phi = np.repeat(curves.centre[:1], len(angle), axis=0)
                phi[:, pair] += np.stack([np.cos(angle), np.sin(angle)], 1) @ root.T
                around = curves.bounds.from_unbounded(phi)
                axis.plot(around[:, pair[0]], around[:, pair[1]], "--", color=GREY, linewidth=0.9)
                axis.plot(theta[:, j], theta[:, i], "o", color=_BLUE, markersize=3)
                axis.plot(theta[farthest, j], theta[farthest, i], "o", color=_RED, markersize=4)
            axis.tick_params(labelsize=7, labelbottom=i == size - 1, labelleft=j == 0 and i > 0)
            axis.set_xlabel(names[j] if i == size - 1 else "", fontsize=8)
            axis.set_ylabel(names[i] if j == 0 and i > 0 else "", fontsize=8)
            axis.spines[["top", "right"]].set_visible(False)
    about = f"dashed: 90 % of the population; red: {curves.names[farthest]}"
    figure.suptitle(textwrap.fill(f"{words} ({about})", 60 if size < 3 else 85), fontsize=8.5, ha="left", x=0.02)
    return figure


def _predictive_check(axis: Axes, curves: PopulationCurves) -> None:
    rows, drawn = curves.drawn
    t, seen = curves.t[rows], curves.seen[rows]
    along = np.unique(t[seen])
    edges = np.quantile(along, np.linspace(0.0, 1.0, min(40, len(along)) + 1))
    cell = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, len(edges) - 2)
    bands, middle = [], []
    for k in range(len(edges) - 1):
        here = (cell == k) & seen
        if here.any():
            bands.append(np.quantile(drawn[:, here], [0.05, 0.5, 0.95]))
            middle.append(t[here].mean())
    low, half, high = np.array(bands).T
    axis.fill_between(middle, low, high, color=_BLUE, alpha=0.2, linewidth=0, label="90 % of the population")
    axis.plot(middle, half, color=_BLUE, linewidth=1.2)
    for n in rows:
        axis.plot(curves.t[n, curves.seen[n]], curves.y[n, curves.seen[n]], color="0.3", linewidth=0.5, alpha=0.7)
    axis.legend(fontsize=7, frameon=False)
    axis.set(xlabel=_label(curves.law.t, curves.t_unit), ylabel=_label("measured", curves.y_unit))


def _pit(axis: Axes, curves: PopulationCurves) -> None:
    u = checks.transformed(curves)
    of = "specimens"
    if u is None or len(u) < 5:
        u, of = scipy.stats.norm.cdf(curves.standardised[curves.seen]), "points"
    bins = int(np.clip(len(u) // 5, 4, 20))
    axis.hist(u, bins=np.linspace(0.0, 1.0, bins + 1).tolist(), color=_BLUE)
    axis.axhline(len(u) / bins, color="0.1", linewidth=0.8)
    axis.set(xlabel=f"probability integral transform of {of}", ylabel=of)


def _shrinkage(axis: Axes, curves: PopulationCurves) -> None:
    share = checks.shrunk(curves)
    if share is None:
        _nothing(axis)
        return
    axis.bar(range(len(share)), 100.0 * share, color=_BLUE)
    axis.axhline(100.0 * checks.SHRUNK, color=GREY, linestyle="--", linewidth=0.8)
    axis.set_xticks(range(len(share)), curves.parameters)
    axis.set(ylabel="shrinkage (%)", ylim=(0.0, 100.0))


def _influence(axis: Axes, curves: PopulationCurves) -> None:
    moved = checks.without_one(curves)
    if moved is None:
        _nothing(axis)
        return
    order = np.argsort(-np.abs(moved).max(1))[:_NAMED]
    for p, name in enumerate(curves.parameters):
        axis.plot(
            moved[order, p], np.arange(len(order)), "o", color=COLOURS[p % len(COLOURS)], markersize=4, label=name
        )
    axis.axvline(0.0, color="0.1", linewidth=0.8)
    for sign in (-1.0, 1.0):
        axis.axvline(sign * checks.MOVES, color=GREY, linestyle="--", linewidth=0.8)
    axis.set_yticks(range(len(order)), [curves.names[n] for n in order], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("population's change without it (errors)")
    axis.legend(fontsize=7, frameon=False)


def _influence_point(axis: Axes, curves: PopulationCurves) -> None:
    size = np.sqrt(checks.cook(curves))
    axis.plot(curves.t[curves.seen], size[curves.seen], ".", color=_BLUE, markersize=3)
    axis.axhline(checks.MOVES, color=GREY, linestyle="--", linewidth=0.8)
    axis.set(xlabel=_label(curves.law.t, curves.t_unit), ylabel="change without it (errors)", ylim=(0.0, None))


def _validity(axis: Axes, curves: PopulationCurves) -> None:
    centres, mean, error = checks.stretches(curves)
    fine = np.abs(mean) <= checks.OFF * error
    for flag, colour in ((fine, _BLUE), (~fine, _RED)):
        axis.errorbar(centres[flag], mean[flag], checks.OFF * error[flag], fmt="o", color=colour, markersize=3)
    axis.axhline(0.0, color="0.1", linewidth=0.8)
    axis.set(xlabel=_label(curves.law.t, curves.t_unit), ylabel=f"mean residual ± {checks.OFF:.0f} errors (std)")


def _nothing(axis: Axes) -> None:
    axis.text(0.5, 0.5, "too few specimens", ha="center", va="center", color=GREY, transform=axis.transAxes)
    axis.set(xticks=[], yticks=[])


#: The panel of every check.
PANELS: dict[str, Callable[[Axes, PopulationCurves], None]] = {
    "residuals_t": _residuals_t,
    "residuals_prediction": _residuals_prediction,
    "autocorrelation": _autocorrelation,
    "quantiles": _quantiles,
    "ends": _ends,
    "record": _record,
    "individual_fits": _individual_fits,
    "parameters": _parameters,
    "predictive_check": _predictive_check,
    "pit": _pit,
    "shrinkage": _shrinkage,
    "influence": _influence,
    "influence_point": _influence_point,
    "validity": _validity,
}
