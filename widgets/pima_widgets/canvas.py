"""What is drawn on a canvas in the page: a map of specimens to select in, and a chart of curves.

Each draws its traits and nothing else, so a page that is opened later, or loaded anew, shows the same picture. Arrays
travel as bytes, float32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anywidget
import ipywidgets as ipw
import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from pima_toolkit.report import COLOURS, MARKERS, population_names

if TYPE_CHECKING:
    import xarray as xr

    from pima_toolkit import Fit

_STATIC = Path(__file__).parent / "static"
_AXES = (_STATIC / "axes.js").read_text(encoding="utf-8")
_CSS = (_STATIC / "pima.css").read_text(encoding="utf-8")


def _script(name: str) -> str:
    shared = f"const COLOURS = {json.dumps(COLOURS)}, MARKERS = {json.dumps(MARKERS)};\n"
    return shared + _AXES + (_STATIC / name).read_text(encoding="utf-8")


def _bytes(values: ArrayLike) -> bytes:
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


class LatentMap(anywidget.AnyWidget):
    """Map of specimens in two latent dimensions, to be selected by lasso, click or keyboard.

    Attributes:
        selection: Numbers of the selected specimens, in order.
        spot: Where the empty map was clicked last, in latent coordinates; empty at first.
        shown: What part of the plane is shown: left, right, lower and upper end; empty for all specimens.
    """

    _esm = _script("latent_map.js")
    _css = _CSS
    x = traitlets.Bytes(b"").tag(sync=True)
    y = traitlets.Bytes(b"").tag(sync=True)
    values = traitlets.Bytes(b"").tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    numeric = traitlets.Bool(False).tag(sync=True)
    groups = traitlets.List(traitlets.Unicode()).tag(sync=True)
    numbers = traitlets.List(traitlets.Int()).tag(sync=True)
    colour_label = traitlets.Unicode("population").tag(sync=True)
    ellipses = traitlets.List(traitlets.Dict()).tag(sync=True)
    x_label = traitlets.Unicode("latent dimension 0").tag(sync=True)
    y_label = traitlets.Unicode("latent dimension 1").tag(sync=True)
    height = traitlets.Int(420).tag(sync=True)
    selection = traitlets.List(traitlets.Int()).tag(sync=True)
    spot = traitlets.List(traitlets.Float()).tag(sync=True)
    shown = traitlets.List(traitlets.Float()).tag(sync=True)

    def place(self, position: ArrayLike, names: Sequence[object], *, labels: tuple[str, str]) -> None:
        """Put specimens on the map.

        Args:
            position: Shape (specimen, 2), dimensionless.
            names: Names of the specimens.
            labels: Labels of the two axes.
        """
        position = np.asarray(position, dtype=np.float64)
        with self.hold_sync():
            self.x, self.y = _bytes(position[:, 0]), _bytes(position[:, 1])
            self.names = [str(name) for name in names]
            self.x_label, self.y_label = labels
            self.shown = []

    def paint(
        self,
        values: ArrayLike,
        label: str,
        groups: Sequence[str] | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        """Colour the specimens.

        Args:
            values: Shape (specimen,): numbers, or with ``groups`` places in that list; NaN is grey.
            label: What the colour means, with its unit.
            groups: Names of the groups, for categories.
            numbers: Number of each group, by which it has its colour and marker; by default its place in the list.
        """
        with self.hold_sync():
            self.values = _bytes(values)
            self.numeric = groups is None
            self.groups = [str(name) for name in groups or ()]
            self.numbers = list(range(len(self.groups)) if numbers is None else numbers)
            self.colour_label = label


class LatentView:
    """The map of a fit's specimens and the two boxes that choose its axes; the panels put them where they like.

    Args:
        fit: Its populations are drawn as ellipses of two standard deviations.
        answer: What the fit says of the specimens, ``fit.infer(data)``.
        names: Names of the specimens.
        height: Height of the map, in CSS pixels.
    """

    def __init__(self, fit: Fit, answer: xr.Dataset, names: list[str], *, height: int = 420) -> None:
        self.names = names
        self.position: NDArray[np.float64] = answer["posterior_mean"].transpose("specimen", "latent").values
        clusters = fit.clusters
        #: What the populations are called.
        self.populations = population_names(clusters)
        self.mean: NDArray[np.float64] = clusters["mean"].values
        self._std = np.sqrt(clusters["variance"].values)
        latent = self.position.shape[1]
        axes = [(f"latent dimension {k}", k) for k in range(latent)]
        self.x_axis = ipw.Dropdown(options=axes, value=0, description="across")
        self.y_axis = ipw.Dropdown(options=axes, value=min(1, latent - 1), description="up")
        for box in (self.x_axis, self.y_axis):
            box.layout.width = "200px"
            box.layout.display = "flex" if latent > 1 else "none"
            box.observe(lambda _: self.place(), "value")
        self.map = LatentMap(height=height)
        self.place()

    @property
    def shown(self) -> list[int]:
        """The two dimensions shown."""
        return [self.x_axis.value, self.y_axis.value]

    def place(self) -> None:
        """Put specimens and populations on the map."""
        across, up = self.shown
        with self.map.hold_sync():
            self.map.place(
                self.position[:, [across, up]],
                self.names,
                labels=(f"latent dimension {across}", f"latent dimension {up}"),
            )
            self.map.ellipses = [
                {
                    "x": float(self.mean[c, across]),
                    "y": float(self.mean[c, up]),
                    "cluster": c,
                    "label": self.populations[c].removeprefix("population "),
                    "x_std": float(self._std[c, across]),
                    "y_std": float(self._std[c, up]),
                }
                for c in range(len(self.mean))
            ]


class Chart(anywidget.AnyWidget):
    """Chart of curves, with bands under them."""

    _esm = _script("chart.js")
    _css = _CSS
    x = traitlets.Bytes(b"").tag(sync=True)
    y = traitlets.Bytes(b"").tag(sync=True)
    shape = traitlets.List(traitlets.Int(), [0, 0]).tag(sync=True)
    styles = traitlets.List(traitlets.Dict()).tag(sync=True)
    bands = traitlets.List(traitlets.Dict()).tag(sync=True)
    x_label = traitlets.Unicode("").tag(sync=True)
    y_label = traitlets.Unicode("").tag(sync=True)
    x_range = traitlets.List(traitlets.Float()).tag(sync=True)
    y_range = traitlets.List(traitlets.Float()).tag(sync=True)
    summary = traitlets.Unicode("").tag(sync=True)
    height = traitlets.Int(320).tag(sync=True)

    def draw(
        self,
        x: ArrayLike,
        y: ArrayLike,
        styles: Sequence[Mapping[str, object]],
        *,
        bands: Sequence[Mapping[str, object]] = (),
        labels: tuple[str, str],
        summary: str = "",
    ) -> None:
        """Draw curves.

        Args:
            x: Shape (T,), or (curve, T); NaN breaks a line.
            y: Shape (curve, T).
            styles: One for each curve, or the last for all that follow: ``colour`` (number of a cluster, -1 for that
                of the text), ``marker`` (likewise), ``width``, ``alpha``, ``dash``, ``name`` (in the legend, once).
            bands: Each has ``x``, ``low`` and ``high`` of equal lengths, and ``colour``.
            labels: Labels of the two axes, with units.
            summary: The picture in words, for those who cannot see it.
        """
        y = np.atleast_2d(np.asarray(y, dtype=np.float64))
        x = np.broadcast_to(np.asarray(x, dtype=np.float64), y.shape)
        plain = [
            {
                key: value if key == "colour" else np.asarray(value, dtype=np.float64).tolist()
                for key, value in band.items()
            }
            for band in bands
        ]
        with self.hold_sync():
            self.x, self.y, self.shape = _bytes(x), _bytes(y), list(y.shape)
            self.styles = [dict(style) for style in styles]
            self.bands = plain
            self.x_label, self.y_label = labels
            self.summary = summary
