"""The curves and the pictures of a dataset, as the panels draw them."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pima_toolkit.errors import DataError, require


class PlottedCurves(NamedTuple):
    """The curves of one modality, all of one length.

    Args:
        t: Independent variable of every curve, shape (specimen, point). Where a curve is shorter its last value is
            repeated; where a specimen has no curve, and curves have grids of their own, it is NaN throughout.
        y: Shape (specimen, point), NaN where not measured.
        t_name: Name of the independent variable.
        t_label: Its axis label, with unit.
        y_label: Axis label of the curve, with unit.
        t_unit: Unit of t.
        y_unit: Unit of y.
    """

    t: NDArray[np.float64]
    y: NDArray[np.float64]
    t_name: str
    t_label: str
    y_label: str
    t_unit: str
    y_unit: str

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which specimens have a curve: at least one point, shape (specimen,)."""
        return np.any(np.isfinite(self.y), axis=1)

    def only(self, specimens: NDArray[np.bool_]) -> PlottedCurves:
        """Select the curves of some specimens.

        Args:
            specimens: Whether each is kept, shape (specimen,).
        """
        return self._replace(t=self.t[specimens], y=self.y[specimens])


def curve_names(data: xr.Dataset) -> list[str]:
    """List the variables that are curves: one dim besides specimen, with a numeric coordinate."""
    return [str(name) for name in data.data_vars if _independent(data, str(name)) is not None]


def image_names(data: xr.Dataset) -> list[str]:
    """List the variables that are pictures: two dims besides specimen and channel."""
    return [str(k) for k, v in data.data_vars.items() if "specimen" in v.dims and len({*v.dims} - {"channel"}) == 3]


def _independent(data: xr.Dataset, name: str) -> str | None:
    variable = data[name]
    if "specimen" not in variable.dims or variable.ndim != 2 or variable.dtype.kind not in "iuf":
        return None
    dim = next(d for d in variable.dims if d != "specimen")
    independent = str(variable.attrs.get("independent", dim))
    numeric = independent in data.coords and data[independent].dtype.kind in "iuf"
    return independent if numeric else None


def curves_of(data: xr.Dataset, name: str) -> PlottedCurves:
    """Read the curves of a variable, on a shared grid or on grids of their own.

    Args:
        data: The dataset.
        name: Name of the variable.

    Raises:
        DataError: If the variable is no curve.
    """
    if name not in data.data_vars or (independent := _independent(data, name)) is None:
        raise DataError(f"{name!r} is no curve of this dataset; its curves are {curve_names(data) or 'none'}")
    variable, coordinate = data[name].transpose("specimen", ...), data[independent]
    y = variable.values.astype(np.float64)
    t = np.array(np.broadcast_to(coordinate.values.astype(np.float64), y.shape))
    known = np.isfinite(t)
    last = np.max(np.where(known, t, -np.inf), axis=1, keepdims=True, initial=-np.inf)
    y = np.where(known, y, np.nan)
    t = np.where(known, t, np.where(np.isfinite(last), last, np.nan))
    units = [str(v.attrs.get("units", "1")) for v in (coordinate, variable)]
    labels = [_label(v, n, unit) for v, n, unit in zip((coordinate, variable), (independent, name), units, strict=True)]
    return PlottedCurves(t, y, independent, labels[0], labels[1], units[0], units[1])


def _label(variable: xr.DataArray, name: str, unit: str) -> str:
    words = str(variable.attrs.get("long_name", name))
    return words if unit in ("", "1") else f"{words} ({unit})"


def pictures_html(images: xr.DataArray, titles: list[str], *, size: int = 84) -> str:
    """Write pictures as HTML, in a row that wraps, on one grey scale; "no image" where nothing of one was measured.

    Args:
        images: Shape (specimen, y, x), or with a dim ``channel`` of 1 or 3.
        titles: One for each picture.
        size: Width of a picture, in CSS pixels.
    """
    image = require("PIL.Image", "pictures in panels")
    values = images.transpose("specimen", ..., "channel") if "channel" in images.dims else images
    values = values.values.astype(np.float64)
    measured = np.any(np.isfinite(values), axis=tuple(range(1, values.ndim)))
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    grey = np.clip(255 * (values - low) / (high - low or 1.0), 0, 255)
    grey = np.where(np.isfinite(grey), grey, 0).astype(np.uint8)
    parts = []
    for picture, title, is_measured in zip(grey, titles, measured, strict=True):
        words = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        box = f"width:{size}px;height:{size}px;"
        if not is_measured:
            style = f"{box}display:flex;align-items:center;justify-content:center;border:1px dashed;opacity:.7"
            parts.append(f'<span><span style="{style}">no image</span><small>{words}</small></span>')
            continue
        buffer = io.BytesIO()
        image.fromarray(picture[..., 0] if picture.ndim == 3 and picture.shape[-1] == 1 else picture).save(
            buffer, "PNG"
        )
        source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
        style = f"{box}object-fit:contain;image-rendering:pixelated;display:block"
        parts.append(f'<span><img src="{source}" alt="{words}" style="{style}"><small>{words}</small></span>')
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(parts)}</div>'
