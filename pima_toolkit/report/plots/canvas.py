"""What the figures of a report share: files, labels with units, the word on synthetic data.

Nothing here touches the global state of pyplot: a figure is an object, and saving it is all that ever renders it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ...data import closest, says_synthetic
from ...data.files import path_of, replacing
from ...drawing import draw
from ...errors import OptionError, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def leave_out(axes: NDArray[np.object_], number: int, columns: int) -> None:
    """Hide the panels from a number on; those above them get the values of the axis they share."""
    for index in range(number, len(axes)):
        axes[index].set_visible(False)
        axes[index - columns].tick_params(labelbottom=True)


def save_figure(
    figure: Figure,
    path: str | Path,
    *,
    dpi: float = 120,
    format: str | None = None,  # noqa: A002 - matplotlib's name
) -> Path:
    """Write a figure, whole or not at all; the same figure gives the same bytes, whenever it is drawn.

    Args:
        figure: The figure that a ``plot_*`` returned.
        path: The file; its suffix names the format: ``.png``, ``.svg``, ``.pdf``, or another that matplotlib knows.
        dpi: Dots per inch of what is drawn in pixels.
        format: The format, whatever the suffix is: ``"png"``, ``"svg"``, ``"pdf"``.

    Returns:
        The path.

    Raises:
        OptionError: If matplotlib knows no such format, or ``dpi`` is no positive number.
        StorageError: If it cannot be written.
    """
    path = path_of(path)
    known = sorted(figure.canvas.get_supported_filetypes())
    kind = (format or path.suffix.removeprefix(".")).lower()
    if kind not in known:
        raise OptionError(
            f"figures have no format {kind!r}: end the name in {closest('.' + kind, ['.' + k for k in known])}"
        )
    if isinstance(dpi, bool) or not isinstance(dpi, int | float) or not 1 <= dpi <= 5000:
        raise OptionError(f"dpi={dpi!r}: expected dots per inch, a number from 1 to 5000")
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with replacing(path) as temporary, require("matplotlib", "plots").rc_context({"svg.hashsalt": "pima"}):
        draw(figure, temporary, dpi=dpi, format=kind, metadata=dates.get(kind))
    return path


def signed(figure: Figure, *sources: xr.Dataset) -> Figure:
    """Write "synthetic data" into a figure drawn from a dataset that says so of itself, by a flag or in its title."""
    for source in sources:
        if says_synthetic(source):
            figure.text(
                0.995, 0.005, "synthetic data", ha="right", va="bottom", fontsize=8, style="italic", color="0.35"
            )
            break
    return figure


def axis_label(variable: xr.DataArray | None, name: str) -> str:
    """Write the text of an axis: ``long_name (units)``, or the name where the data have neither."""
    if variable is None:
        return name
    unit = str(variable.attrs.get("units", ""))
    return (
        f"{variable.attrs.get('long_name', name)} ({unit})"
        if unit not in ("", "1")
        else str(variable.attrs.get("long_name", name))
    )


def independent_of(data: xr.Dataset, curves: xr.DataArray) -> NDArray[np.float64]:
    """Return t of every specimen, (specimen, point), whether the grid is shared or each has its own."""
    name = curves.attrs.get("independent", curves.dims[1])
    named = name in data.coords or name in data
    t = data[name].values if named else np.arange(curves.shape[1])
    return np.broadcast_to(t.astype(np.float64), curves.shape)


def field_of_view(images: xr.DataArray, colour: bool, table: bool) -> str:
    """Write the size of one picture, in its own unit where the coordinates have one, else in pixels."""
    leading = 2 if table else 1
    dims = images.dims[leading : images.ndim - colour]
    sizes, units = [], []
    for dim in reversed(dims):
        points = images[dim].values if dim in images.coords else np.arange(images.sizes[dim])
        unit = images[dim].attrs.get("units") if dim in images.coords else None
        # n pixels span n steps, one more than lie between the first and the last centre
        span = abs(float(points[-1] - points[0])) * len(points) / max(len(points) - 1, 1) if unit else len(points)
        sizes.append(f"{span:.3g}")
        units.append(str(unit or "pixels"))
    return f"each {sizes[0]} {units[0]} × {sizes[1]} {units[1]}"
