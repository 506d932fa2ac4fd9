"""The view of one answer of a fit: probabilities as bars, curves with bands, pictures, numbers, nearest specimens."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import ipywidgets as ipw
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

import pima_toolkit as pima

from .canvas import COLOURS, Chart
from .curves_and_pictures import curves_of, image_names, pictures_html
from .uploads import UploadReader

if TYPE_CHECKING:
    from pima_toolkit import Fit

#: How many numbers of a vector are listed.
_NUMBERS = 8


def bars_html(shares: ArrayLike, names: Sequence[str]) -> str:
    """Draw probabilities as bars, as HTML in the clusters' colours.

    Args:
        shares: Probability of each cluster, shape (cluster,), 0 to 1.
        names: Names of the clusters.
    """
    values = np.asarray(shares, dtype=np.float64)
    words = ", ".join(f"{name} {100 * v:.1f} %" for name, v in zip(names, values, strict=True))
    rows = "".join(
        f'<span>{escape(name)}</span><span style="border:1px solid rgba(128,128,128,.45);border-radius:2px">'
        f'<span class="pima-bar" style="display:block;height:14px;width:{100 * v:.2f}%;'
        f'background:{COLOURS[c % len(COLOURS)]}"></span></span>'
        f'<span style="text-align:right;font-variant-numeric:tabular-nums">{100 * v:.1f} %</span>'
        for c, (name, v) in enumerate(zip(names, values, strict=True))
    )
    style = "display:grid;grid-template-columns:max-content 1fr 60px;gap:4px 10px;align-items:center"
    style += ";line-height:1.3;padding-right:10px"
    return f'<div class="pima-bars" role="img" aria-label="populations: {escape(words)}" style="{style}">{rows}</div>'


def held_out(fit: Fit) -> list[str]:
    """Return what the summary of a fit says of specimens held out, sentence by sentence."""
    return [line for line in fit.summary().splitlines() if "held out" in line and not line.startswith("-")]


def belief_html(answer: xr.Dataset, checked: Sequence[str]) -> str:
    """Write whether an answer is to be believed: how usual its specimen is, and what was checked of the fit.

    Args:
        answer: What ``infer`` or ``decode`` says of one specimen.
        checked: Sentences on what was checked of the fit.
    """
    lines = list(checked)
    typicality = float(answer["typicality"].values[0]) if "typicality" in answer else float("nan")
    if np.isfinite(typicality):
        said = f"{100 * typicality:.0f} %" if typicality >= 0.01 else "less than 1 %"
        lines.insert(0, f"{said} of the training specimens are explained no better than this one.")
    remark = str(answer["remark"].values[0]) if "remark" in answer else ""
    alarm = f'<b class="pima-alarm">Do not rely on it: {escape(remark)}.</b>' if remark else ""
    return alarm + "".join(f"<div>{escape(line)}</div>" for line in lines)


class PredictionView:
    """The widgets that show one answer of a fit.

    Args:
        reader: Says which modalities are pictures and which are curves.
        data: The measured specimens, among them the nearest ones.
        names: Names of these specimens.
        populations: What the populations are called.
        checked: Sentences on what was checked of the fit.
    """

    def __init__(
        self, reader: UploadReader, data: xr.Dataset, names: list[str], populations: list[str], checked: list[str]
    ) -> None:
        self.reader, self.data, self.names, self.populations = reader, data, names, populations
        self._checked = checked
        self.curve = ipw.Dropdown(options=reader.curves, description="curve")
        self.curve.layout.display = "flex" if len(reader.curves) > 1 else "none"
        self.chart = Chart(height=320)
        self.chart.layout.display = "flex" if reader.curves else "none"
        self.chart.layout.width = "100%"
        self.bars, self.belief, self.pictures, self.numbers, self.near = (ipw.HTML() for _ in range(5))
        for name in ("bars", "belief", "pictures", "numbers", "near"):
            getattr(self, name).add_class(f"pima-{name}")
        self.bars.layout.width = "auto"
        self._y_range: list[float] = []
        self._last: tuple[xr.Dataset, xr.Dataset | None, NDArray[np.intp]] | None = None
        self.curve.observe(lambda _: self._draw(), "value")

    def hold(self, answers: xr.Dataset | None) -> None:
        """Hold the chart's range still.

        Args:
            answers: Answers that all fit into the range; None lets it follow each curve again.
        """
        name = self.curve.value
        if answers is None or name is None:
            self._y_range = []
            return
        parts = [answers[k].values for k in (name, f"{name}_low", f"{name}_high") if k in answers]
        low, high = min(float(np.nanmin(p)) for p in parts), max(float(np.nanmax(p)) for p in parts)
        pad = 0.05 * (high - low or abs(high) or 1.0)
        self._y_range = [low - pad, high + pad]

    def show(
        self, answer: xr.Dataset, given: xr.Dataset | None, near: NDArray[np.intp], distance: NDArray[np.float64]
    ) -> None:
        """Show an answer.

        Args:
            answer: What ``infer`` or ``decode`` says of one specimen.
            given: What was measured of it; None where nothing was.
            near: Numbers of the nearest measured specimens.
            distance: Their distances in the latent space.
        """
        self._last = answer, given, near
        gamma = answer["responsibilities"].values[0]
        self.bars.value = bars_html(gamma, self.populations)
        self.belief.value = belief_html(answer, self._checked if given is not None else [])
        self._draw()
        self._show_pictures(answer, given)
        self._show_numbers(answer, given)
        self._show_near(near, distance)

    def clear(self) -> None:
        """Show no answer."""
        self._last = None
        for box in (self.bars, self.belief, self.pictures, self.numbers, self.near):
            box.value = ""
        self.chart.draw(np.zeros(1), np.zeros((0, 1)), [], labels=("", ""), summary="no prediction")

    def _draw(self) -> None:
        if self._last is None or self.curve.value is None:
            return
        answer, given, near = self._last
        name, best = self.curve.value, int(self._last[0]["responsibilities"].values[0].argmax())
        read = curves_of(answer, name)
        # The data hold the long name of their coordinate, an answer does not.
        source = self.data if name in self.data.data_vars else answer
        words = curves_of(source.isel(specimen=slice(1)), name)
        lines = [(read.t[0], read.y[0], {"colour": best, "width": 2.5, "name": "predicted"})]
        if name in self.data.data_vars and len(near):
            others = curves_of(self.data.isel(specimen=near), name)
            style = {"colour": -1, "alpha": 0.35, "name": "nearest specimens"}
            lines = [*((t, y, style) for t, y in zip(others.t, others.y, strict=True)), *lines]
        second = answer.get(f"{name}_second")
        if second is not None and np.isfinite(second.values[0]).all():
            other = int(answer["responsibilities"].values[0].argsort()[-2])
            share = 100 * float(answer[f"{name}_second_probability"].values[0])
            label = f"or {self.populations[other]} ({share:.0f} %)"
            lines.append((read.t[0], second.values[0], {"colour": other, "width": 1.8, "dash": [2, 3], "name": label}))
        if given is not None and name in given.data_vars:
            own = curves_of(given, name)
            lines.append((own.t[0], own.y[0], {"colour": -1, "width": 1.8, "dash": [5, 3], "name": "measured"}))
        bands = []
        if f"{name}_low" in answer:
            low, high = (answer[f"{name}_{side}"].values[0] for side in ("low", "high"))
            bands = [{"x": read.t[0], "low": low, "high": high, "colour": best}]
        longest = max(len(t) for t, _, _ in lines)
        t, y = (np.vstack([np.pad(part, (0, longest - len(part)), constant_values=np.nan) for part in parts])
                for parts in ([line[0] for line in lines], [line[1] for line in lines]))  # fmt: skip
        with self.chart.hold_sync():
            self.chart.y_range = self._y_range
            self.chart.draw(
                t,
                y,
                [line[2] for line in lines],
                bands=bands,
                labels=(words.t_label, words.y_label),
                summary=f"{name}: {', '.join(dict.fromkeys(str(line[2]['name']) for line in reversed(lines)))}",
            )

    def _show_pictures(self, answer: xr.Dataset, given: xr.Dataset | None) -> None:
        parts = []
        for name in self.reader.pictures:
            images = [answer[name].isel(specimen=0)] if name in answer else []
            titles = [f"{name}, predicted"] if images else []
            if given is not None and name in given.data_vars:
                measured = given[name].isel(specimen=0).transpose(*self._dims(answer, given, name))
                if np.isfinite(measured.values.astype(np.float64)).all():
                    images, titles = [measured, *images], [f"{name}, measured", *titles]
            if images:
                both = np.stack([image.values.astype(np.float64) for image in images])
                parts.append(pictures_html(xr.DataArray(both, dims=("specimen", *images[0].dims)), titles, size=150))
        self.pictures.value = "".join(parts)

    @staticmethod
    def _dims(answer: xr.Dataset, given: xr.Dataset, name: str) -> tuple[str, ...]:
        return tuple(str(dim) for dim in (answer if name in answer else given)[name].dims if dim != "specimen")

    def _show_numbers(self, answer: xr.Dataset, given: xr.Dataset | None) -> None:
        """List modalities that are neither picture nor curve, and the specimen's own physical parameters."""
        rows = []
        shown = {*self.reader.pictures, *self.reader.curves}
        for name in self.reader.names:
            if name not in answer or name in shown:
                continue
            unit = str(answer[name].attrs.get("units", "1"))
            values = np.atleast_1d(answer[name].values[0]).ravel()
            text = ", ".join(f"{v:.4g}" for v in values[:_NUMBERS]) + (" …" if len(values) > _NUMBERS else "")
            own = ""
            if given is not None and name in given.data_vars:
                known = np.atleast_1d(given[name].values[0]).ravel()
                own = ", ".join(f"{v:.4g}" for v in known[:_NUMBERS]) + (" …" if len(known) > _NUMBERS else "")
            rows.append((name, text + ("" if unit == "1" else f" {unit}"), own))
        if "parameters" in answer:
            for k, name in enumerate(answer["parameter"].values):
                unit = str(answer["unit"].values[k])
                value, std = float(answer["parameters"][0, k]), float(answer["parameters_std"][0, k])
                rows.append((str(name), pima.value_with_error(value, std, unit), ""))
        heads = ("", "predicted", "measured") if any(own for *_, own in rows) else ("", "predicted")
        pad = 'style="padding:1px 14px 1px 0;text-align:left;line-height:1.5"'
        cells = "".join(
            f"<tr>{''.join(f'<td {pad}>{escape(cell)}</td>' for cell in row[: len(heads)])}</tr>" for row in rows
        )
        head = f"<tr>{''.join(f'<th {pad}>{word}</th>' for word in heads)}</tr>"
        self.numbers.value = f"<table>{head}{cells}</table>" if rows else ""

    def _show_near(self, near: NDArray[np.intp], distance: NDArray[np.float64]) -> None:
        titles = [f"{self.names[k]} · {d:.2f}" for k, d in zip(near, distance, strict=True)]
        pictures = [name for name in image_names(self.data) if name in self.reader.pictures]
        if pictures:
            self.near.value = pictures_html(self.data[pictures[0]].isel(specimen=near), titles)
        else:
            self.near.value = f"<ol>{''.join(f'<li>{escape(title)}</li>' for title in titles)}</ol>"
