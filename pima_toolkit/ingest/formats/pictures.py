"""Pixels out of files of pictures: PNG, JPEG, BMP, TIFF of 8 or 16 bits and several pages, NumPy arrays.

Everything becomes (page, y, x, channel), upright; a size is read from the header before the pixels are.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...data.limits import check_inflation, check_limit
from ...data.reading_log import Unusable
from ...errors import require
from .arrays import open_array
from .reader import PixelReader, Pixels

#: Largest picture, in pixels of all its pages; pillow warns from here on, a file of a few kB may hold more.
MOST_PIXELS = 89_000_000
#: Bytes of all its pages when decoded.
_MOST_DECODED = 400_000_000
#: Bytes that it may take when read, decoded and as an array, whatever it takes on disk.
_UNASKED = 300_000_000
#: Pages of one file.
_MOST_PAGES = 2048
#: Pixels that pillow hands over at once.
_STRIP = 4_000_000
_OPTION = "images={{'limits': {}}}"
_check = partial(check_limit, error=Unusable, option=_OPTION)


class _Photograph(PixelReader):
    """PNG, JPEG and BMP, and what else pillow knows."""

    suffixes = (".png", ".jpg", ".jpeg", ".bmp")

    def size(self, path: Path) -> tuple[int, int]:
        with _reading(path), _opened(path, self.limits) as image:
            # Not the PNG's own getexif, which decodes all of it first to look for a mark behind the pixels.
            turned = require("PIL.Image", "photographs").Image.getexif(image).get(0x0112, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)

    def read(self, path: Path) -> Pixels:
        with _reading(path):
            return _opaque(*read_pillow(path, self.limits))


class _Tiff(PixelReader):
    """TIFF of 8 or 16 bits and several pages."""

    suffixes = (".tif", ".tiff")

    def size(self, path: Path) -> tuple[int, int]:
        with _reading(path), require("tifffile", "TIFF files").TiffFile(path) as file:
            _check(len(file.pages), _MOST_PAGES, "pages", limits=self.limits)
            series = file.series[0]
            colours = series.shape[series.axes.index("S")] if "S" in series.axes else 1
            pixels = math.prod(series.shape) // max(colours, 1)
            check_pixels(pixels, series.dtype.itemsize * colours, path, self.limits)
            height, width = (series.shape[series.axes.index(a)] for a in "YX")
            return (width, height) if orientation_of(file.pages[0]) in (5, 6, 7, 8) else (height, width)

    def read(self, path: Path) -> Pixels:
        with _reading(path):
            return _opaque(*read_tiff(path, self.limits))


class _PixelArray(PixelReader):
    """NumPy arrays (y, x), (y, x, colour) or (page, y, x)."""

    suffixes = (".npy",)

    def size(self, path: Path) -> tuple[int, int]:
        with _reading(path):
            return self._axes(path, self._numbers(path))[1:3]

    def read(self, path: Path) -> Pixels:
        with _reading(path):
            raw = self._numbers(path)
            axes = self._axes(path, raw)
            return _opaque(np.array(raw).reshape(axes), [])

    def _numbers(self, path: Path) -> np.ndarray:
        return open_array(path, 4 * MOST_PIXELS, "numbers", self.limits, _OPTION)

    def _axes(self, path: Path, raw: np.ndarray) -> tuple[int, int, int, int]:
        pages, y, x, channels = array_axes(raw.shape)
        check_pixels(pages * y * x, channels * raw.dtype.itemsize, path, self.limits)
        _check(pages, _MOST_PAGES, "pages", limits=self.limits)
        return pages, y, x, channels


PHOTOGRAPH, TIFF, ARRAY = _Photograph(), _Tiff(), _PixelArray()


def _opaque(pages: np.ndarray, notes: list[str]) -> Pixels:
    """Pixels (page, y, x, channel) without their transparency.

    Raises:
        Unusable: If they are no real numbers.
    """
    if pages.dtype.kind not in "biuf":
        raise Unusable(f"holds {pages.dtype} values, which are no brightness")
    if pages.shape[-1] in (2, 4):
        notes.append("transparency left out")
        pages = pages[..., :-1]
    return Pixels(pages, tuple(notes))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Make one sentence of whatever a library raises on damaged bytes."""
    if path.stat().st_size == 0:
        raise Unusable("is empty (0 bytes)")
    try:
        yield
    except (Unusable, ImportError, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:  # the system's; pillow's own have no number
            raise
        raise Unusable(f"is no picture or is damaged ({_without_path(error, path)})") from error
    except Exception as error:  # pillow, tifffile, zlib and struct have no common base
        if type(error).__name__ == "DecompressionBombError":  # pillow's own limit, twice ours
            raise Unusable(
                f"has more than {2 * MOST_PIXELS / 1e6:.0f} million pixels: shrink it with another program first"
            ) from error
        raise Unusable(f"is no picture or is damaged ({type(error).__name__}: {_without_path(error, path)})") from error


def _without_path(error: Exception, path: Path) -> str:
    return str(error).replace(f" {str(path)!r}", "").replace(str(path), "it")


def check_pixels(pixels: int, depth: int, path: Path, limits: float, *, held: int = 0) -> None:
    """Refuse a very large picture before its pixels take the memory.

    Args:
        pixels: Of all its pages.
        depth: Bytes of a pixel.
        path: The file.
        limits: Factor on what is allowed.
        held: Bytes of a pixel that are held beside them while the file is decoded.

    Raises:
        Unusable: If there are too many.
    """
    if pixels == 0:
        raise Unusable("has no pixels")
    _check(pixels, MOST_PIXELS, "pixels", limits=limits)
    _check(pixels * depth, _MOST_DECODED, "bytes of pixels", limits=limits)
    check_inflation(pixels * (depth + held), path.stat().st_size, partial(_check, limits=limits), unasked=_UNASKED)


@contextlib.contextmanager
def _opened(path: Path, limits: float) -> Iterator[Any]:
    """A picture that pillow has opened and not yet decoded, not larger than the limits."""
    with require("PIL.Image", "photographs").open(path) as image:
        several = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        _check(several, _MOST_PAGES, "pages", limits=limits)
        depth = len(image.getbands()) * (4 if image.mode in "IF" else 2 if "16" in image.mode else 1)
        held = 4 if depth == 3 else depth  # pillow keeps colours in four bytes
        check_pixels(several * image.width * image.height, depth, path, limits, held=held)
        yield image


def array_axes(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(page, y, x, channel) of an array of two to four dims; a last dim of 3 or 4 holds colours."""
    if len(shape) == 2:
        pages, y, x, channels = 1, *shape, 1
    elif len(shape) == 3:
        pages, y, x, channels = (1, *shape) if shape[-1] in (3, 4) else (*shape, 1)
    elif len(shape) == 4 and shape[-1] in (1, 2, 3, 4):
        pages, y, x, channels = shape
    else:
        raise Unusable(f"has shape {shape}, a picture is (y, x), (y, x, colour) or (page, y, x)")
    return pages, y, x, channels


def orientation_of(page: Any) -> int:
    """The orientation mark of a TIFF page, 1 where it has none."""
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else 1


def read_tiff(path: Path, limits: float = 1.0) -> tuple[np.ndarray, list[str]]:
    """(page, y, x, channel) of the first series of a TIFF file: thumbnails are series of their own."""
    tifffile = require("tifffile", "TIFF files")
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages[0]
        notes = [f"first of {len(file.series)} kinds of pages"] if len(file.series) > 1 else []
        try:
            values = series.asarray()
        except ValueError as error:  # a compression that tifffile leaves to another library; pillow has its own
            if "imagecodecs" not in str(error):
                raise
            return read_pillow(path, limits)
        if page.photometric.name == "PALETTE":
            return read_pillow(path, limits)
        axes = series.axes
        if page.photometric.name == "MINISWHITE":
            values = values.max() - values if values.dtype.kind == "f" else np.iinfo(values.dtype).max - values
            notes.append("inverted, 0 was white")
        orientation = orientation_of(page)
    colour = axes.index("S") if "S" in axes else None
    order = [k for k, a in enumerate(axes) if a not in "YXS"] + [axes.index("Y"), axes.index("X")]
    values = values.transpose(*order, *([] if colour is None else [colour]))
    values = values.reshape(-1, *values.shape[len(order) - 2 : len(order)], 1 if colour is None else values.shape[-1])
    return upright(values, orientation, notes), notes


def upright(pages: np.ndarray, orientation: int, notes: list[str]) -> np.ndarray:
    """(page, y, x, channel) as the camera's orientation mark (EXIF 274) says it is to be seen."""
    if orientation in (5, 6, 7, 8):
        pages = pages.transpose(0, 2, 1, 3)
    if orientation in (3, 4, 7, 8):
        pages = pages[:, ::-1]
    if orientation in (2, 3, 6, 7):
        pages = pages[:, :, ::-1]
    if orientation != 1:
        notes.append("turned as its camera says")
    return pages


def _array_of(image: Any) -> np.ndarray:
    """(y, x, channel) of a decoded picture, a strip at a time: pillow writes all it hands over into bytes first."""
    rows = max(1, _STRIP // image.width)
    strips = (
        np.asarray(image.crop((0, y, image.width, min(y + rows, image.height)))) for y in range(0, image.height, rows)
    )
    first = next(strips)
    if len(first) == image.height:
        return first if first.ndim == 3 else first[..., None]
    out = np.empty((image.height, *first.shape[1:]), dtype=first.dtype)
    out[: len(first)] = first
    for k, strip in enumerate(strips, 1):
        out[k * rows : k * rows + len(strip)] = strip
    return out if out.ndim == 3 else out[..., None]


def read_pillow(path: Path, limits: float = 1.0) -> tuple[np.ndarray, list[str]]:
    """(page, y, x, channel) of PNG, JPEG, BMP and of what tifffile leaves; palettes and CMYK as colours."""
    notes: list[str] = []
    with _opened(path, limits) as image:
        several = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        frames = []
        for k in range(several):
            image.seek(k)
            image.load()  # a TIFF is turned by this, and its shape with it
            frame = image
            if frame.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "PA"):
                frame = frame.convert("RGBA" if "transparency" in frame.info else "RGB")
            frames.append(_array_of(frame))
        orientation = image.getexif().get(0x0112, 1)  # after reading: pillow has turned a TIFF by then, and says so
    if any(f.shape != frames[0].shape for f in frames):
        notes.append(f"first of {len(frames)} pages, which differ in size")
        frames = frames[:1]
    pages = frames[0][None] if len(frames) == 1 else np.stack(frames)
    return upright(pages, int(orientation), notes), notes
