"""What every figure shares: size, colours, markers, labels with units, and the word on synthetic data.

Nothing here touches the global state of pyplot: a figure is an object, and saving it is all that ever renders it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import xarray as xr

from ..errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito 2008, "Color universal design"; yellow last, as it is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
GREY = "0.55"


def colour_of(number: int) -> str:
    """Colour of a cluster, the same in every figure."""
    return COLOURS[number % len(COLOURS)]


def marker_of(number: int) -> str:
    """Marker of a cluster, the same in every figure; colour and marker together repeat only after forty."""
    return MARKERS[number % len(MARKERS)]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, width and height in inches, that shows itself in a notebook."""
    figure = require("matplotlib.figure", "plots").Figure(figsize=(width, height), layout="constrained")

    def png() -> bytes:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()

    # Without pyplot a notebook knows no picture of a Figure; this is the method it asks for.
    figure._repr_png_ = png
    return figure


def signed(figure: Figure, *sources: xr.Dataset) -> Figure:
    """Write "synthetic" into a figure drawn from a dataset that says so of itself."""
    if any(source.attrs.get("synthetic") not in (None, False, 0, "", "false", "False") for source in sources):
        figure.text(0.995, 0.005, "synthetic data", ha="right", va="bottom", fontsize=8, style="italic", color="0.35")
    return figure


def axis_label(variable: xr.DataArray | None, name: str) -> str:
    """Text of an axis: ``long_name (units)``, or the name where the data do not say."""
    if variable is None:
        return name
    unit = str(variable.attrs.get("units", ""))
    return (
        f"{variable.attrs.get('long_name', name)} ({unit})"
        if unit not in ("", "1")
        else str(variable.attrs.get("long_name", name))
    )
