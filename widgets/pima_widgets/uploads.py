"""A file somebody brings, read as one modality of a fit: a picture, or a curve."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, PimaError

if TYPE_CHECKING:
    from pima_toolkit import Fit

#: Endings of pictures; ``.npy`` is one too, unless it has two columns.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
#: Endings of curves.
CURVES = (".csv", ".txt", ".dat", ".xlsx")
ACCEPTED = ",".join((*PICTURES, *CURVES, ".npy"))


class UploadReader:
    """Reads files as what a fit was trained on: size, channels, grid and units.

    Args:
        fit: The fit.
        data: Specimens as it was trained on; the names of their dims are used.

    Attributes:
        names: Of the modalities.
        pictures: Names of the modalities that are pictures.
        curves: Names of those that are curves.
    """

    def __init__(self, fit: Fit, data: xr.Dataset) -> None:
        self.data = data
        # The centre of each population has the shape and units of every modality.
        self.like = fit.clusters
        self.physics = fit.model.options.physics
        own = {name: self.like[name].isel(cluster=0) for name in fit.model.options.modalities if name in data}
        self.names = list(own)
        self.pictures = [name for name, one in own.items() if len({*one.dims} - {"channel"}) == 2]
        self.curves = [name for name, one in own.items() if one.ndim == 1 and self._t(name) is not None]

    def _t(self, name: str) -> xr.DataArray | None:
        """The independent variable a modality is shown on."""
        one = self.like[name]
        found = [c for c in one.coords.values() if c.dims == one.dims[1:] and c.dtype.kind in "iuf"]
        return found[0] if found else None

    def is_picture(self, name: str, content: bytes) -> bool:
        """Whether a file holds a picture, by its ending; a ``.npy`` of two columns is a curve.

        Raises:
            DataError: If the ending is none of those that can be read.
        """
        ending = Path(name).suffix.lower()
        if ending == ".npy":
            try:
                shape = np.load(io.BytesIO(content), allow_pickle=False).shape
            except (OSError, ValueError, EOFError):
                raise DataError(f"{name} is no NumPy array of numbers") from None
            return not (len(shape) == 2 and shape[1] == 2)
        if ending not in PICTURES + CURVES:
            raise DataError(f"{name}: expected a picture or a curve, one of {ACCEPTED.replace(',', ' ')}")
        return ending in PICTURES

    def read(
        self, name: str, content: bytes, *, modality: str | None = None, levels: tuple[float, float] = (0.0, 1.0)
    ) -> xr.DataArray:
        """One file as a variable of one specimen.

        Args:
            name: Of the file; its ending says what it is.
            content: What is in it.
            modality: Which it is; by default the first of its kind.
            levels: What black and white are in the training data, where the file has levels of brightness.

        Returns:
            The variable, dims (specimen, ...), named after its modality.

        Raises:
            DataError: If it cannot be read, or the fit has no such modality.
        """
        picture = self.is_picture(name, content)
        kind, known = ("picture", self.pictures) if picture else ("curve", self.curves)
        if not known:
            raise DataError(f"{name} is a {kind}, and this fit has no modality that is one")
        chosen = modality if modality in known else known[0]
        spec = self._image(chosen) if picture else self._curve(chosen)
        with tempfile.TemporaryDirectory() as folder:
            safe = Path(name).name
            (Path(folder) / safe).write_bytes(content)
            try:
                data = pima.from_folder(folder, {chosen: spec}, table=False, strict=True, progress=False)
            except PimaError as error:
                raise DataError(f"{safe} cannot be read: {_reason(str(error))}") from None
        found = data[chosen]
        return self._levelled(found, chosen, levels) if picture else self._named(found, chosen, safe)

    def _image(self, name: str) -> pima.ImageFiles:
        one = self.like[name]
        size = [one.sizes[dim] for dim in one.dims if dim not in ("cluster", "channel")]
        return pima.ImageFiles(files="*", size=size, grey=one.sizes.get("channel", 1) != 3, views="first")

    def _curve(self, name: str) -> pima.CurveFiles:
        t = self._t(name)
        units = {axis: str(v.attrs.get("units", "1")) for axis, v in (("x", t), ("y", self.like[name]))}
        stated = {axis: unit for axis, unit in units.items() if unit not in ("", "1")}
        grid = None if name in self.physics else [float(v) for v in t.values]
        return pima.CurveFiles(files="*", grid=grid, units=stated)

    def _levelled(self, found: xr.DataArray, name: str, levels: tuple[float, float]) -> xr.DataArray:
        like = self.like[name]
        black, white = levels
        if found.attrs.get("units") == "1":
            found = (found * (white - black) + black).astype(np.float32)
        if "channel" in like.dims and "channel" not in found.dims:
            found = found.expand_dims(channel=1, axis=1)
        elif "channel" in found.dims and "channel" not in like.dims:
            found = found.isel(channel=0)
        dims = dict(zip([d for d in found.dims if d not in ("specimen", "channel")],
                        [d for d in like.dims if d not in ("cluster", "channel")], strict=True))  # fmt: skip
        return found.rename({old: new for old, new in dims.items() if old != new}).assign_attrs(like.attrs)

    def _named(self, found: xr.DataArray, name: str, file: str) -> xr.DataArray:
        t = self._t(name)
        point = next(dim for dim in found.dims if dim != "specimen")
        own = str(found.attrs.get("independent", point))
        if own not in (t.name, "t"):
            raise DataError(f"{file} holds a curve against {own!r}, this fit knows {name!r} against {t.name!r}")
        dim = next(dim for dim in self.data[name].dims if dim != "specimen")
        values = found.transpose("specimen", point).values
        grid = t.values if name not in self.physics else np.ravel(found[own].values)
        coords = {str(t.name): (dim, grid, {"units": str(t.attrs.get("units", "1"))})}
        attrs = {**self.like[name].attrs, "independent": str(t.name)}
        return xr.DataArray(values, dims=("specimen", dim), coords=coords, attrs=attrs, name=name)


def _reason(text: str) -> str:
    """The reader's sentence without what it says of whole folders."""
    return text.rpartition(" can be used: ")[2].partition(". Mend or remove")[0]


def levels_of(variable: xr.DataArray) -> tuple[float, float]:
    """What black and white most probably are in a modality of pictures: 0 and 1, 0 and 255, else its own range."""
    values = variable.values[np.isfinite(variable.values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    white = 1.0 if high <= 1.0 else 255.0 if 64.0 < high <= 255.0 else high
    return min(low, 0.0), white
