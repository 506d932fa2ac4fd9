"""Uploaded files, each read as one modality of a fit: a picture, or a curve."""

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

#: Endings of pictures; a ``.npy`` is a picture too, unless it has two columns.
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
#: Endings of curves.
CURVES = (".csv", ".txt", ".dat", ".xlsx")
ACCEPTED = ",".join((*PICTURES, *CURVES, ".npy"))


class UploadReader:
    """Reader of files as the measurements a fit was trained on: size, channels, grid and units.

    Args:
        fit: The fit.
        data: Specimens of the same kind as those of the training; the names of their dims are used.

    Attributes:
        names: Names of the modalities.
        pictures: Names of the modalities that are pictures.
        curves: Names of the modalities that are curves.
    """

    def __init__(self, fit: Fit, data: xr.Dataset) -> None:
        self.data = data
        # The centres of the populations have the shape and units of every modality.
        self.centres = fit.clusters
        self.physics = fit.model.options.physics
        examples = {name: self.centres[name].isel(cluster=0) for name in fit.model.options.modalities if name in data}
        self.names = list(examples)
        self.pictures = [name for name, one in examples.items() if len({*one.dims} - {"channel"}) == 2]
        self.curves = [name for name, one in examples.items() if one.ndim == 1 and self._t(name) is not None]

    def _t(self, name: str) -> xr.DataArray | None:
        """Return the independent variable of a modality, None if it has none."""
        centre = self.centres[name]
        coordinates = (c for c in centre.coords.values() if c.dims == centre.dims[1:] and c.dtype.kind in "iuf")
        return next(coordinates, None)

    def is_picture(self, name: str, content: bytes) -> bool:
        """Tell by its ending whether a file holds a picture; a ``.npy`` of two columns is a curve.

        Args:
            name: Name of the file.
            content: The bytes in it.

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
        """Read one file as a variable of one specimen.

        Args:
            name: Name of the file; its ending says what it is.
            content: The bytes in it.
            modality: Name of the modality; by default the first one that is a picture or a curve, as the file is.
            levels: Values of black and white in the training data, for files that have levels of brightness.

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
        read = data[chosen]
        return self._levelled(read, chosen, levels) if picture else self._named(read, chosen, safe)

    def _image(self, name: str) -> pima.ImageFiles:
        centre = self.centres[name]
        size = [centre.sizes[dim] for dim in centre.dims if dim not in ("cluster", "channel")]
        return pima.ImageFiles(files="*", size=size, grey=centre.sizes.get("channel", 1) != 3, views="first")

    def _curve(self, name: str) -> pima.CurveFiles:
        t = self._t(name)
        units = {axis: str(v.attrs.get("units", "1")) for axis, v in (("x", t), ("y", self.centres[name]))}
        stated = {axis: unit for axis, unit in units.items() if unit not in ("", "1")}
        grid = None if name in self.physics else [float(v) for v in t.values]
        return pima.CurveFiles(files="*", grid=grid, units=stated)

    def _levelled(self, picture: xr.DataArray, name: str, levels: tuple[float, float]) -> xr.DataArray:
        """Give a picture the brightness, channels and dims of the training data."""
        centre = self.centres[name]
        black, white = levels
        if picture.attrs.get("units") == "1":
            picture = (picture * (white - black) + black).astype(np.float32)
        if "channel" in centre.dims and "channel" not in picture.dims:
            picture = picture.expand_dims(channel=1, axis=1)
        elif "channel" in picture.dims and "channel" not in centre.dims:
            picture = picture.isel(channel=0)
        dims = dict(zip([d for d in picture.dims if d not in ("specimen", "channel")],
                        [d for d in centre.dims if d not in ("cluster", "channel")], strict=True))  # fmt: skip
        return picture.rename({old: new for old, new in dims.items() if old != new}).assign_attrs(centre.attrs)

    def _named(self, curve: xr.DataArray, name: str, file: str) -> xr.DataArray:
        """Give a curve the dims and the name of the independent variable of the training data."""
        t = self._t(name)
        point = next(dim for dim in curve.dims if dim != "specimen")
        own = str(curve.attrs.get("independent", point))
        if own not in (t.name, "t"):
            raise DataError(f"{file} holds a curve against {own!r}, this fit knows {name!r} against {t.name!r}")
        dim = next(dim for dim in self.data[name].dims if dim != "specimen")
        values = curve.transpose("specimen", point).values
        grid = t.values if name not in self.physics else np.ravel(curve[own].values)
        coords = {str(t.name): (dim, grid, {"units": str(t.attrs.get("units", "1"))})}
        attrs = {**self.centres[name].attrs, "independent": str(t.name)}
        return xr.DataArray(values, dims=("specimen", dim), coords=coords, attrs=attrs, name=name)


def _reason(text: str) -> str:
    """Cut the sentence of ``from_folder`` down to what it says of one file."""
    return text.rpartition(" can be used: ")[2].partition(". Mend or remove")[0]


def levels_of(variable: xr.DataArray) -> tuple[float, float]:
    """Guess the values of black and white in a modality of pictures: 0 and 1, 0 and 255, else its own range.

    Args:
        variable: The pictures.

    Returns:
        Black and white.
    """
    values = variable.values[np.isfinite(variable.values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    white = 1.0 if high <= 1.0 else 255.0 if 64.0 < high <= 255.0 else high
    return min(low, 0.0), white
