"""Pixels out of files of pictures: PNG, JPEG, BMP, TIFF of 8 or 16 bits and several pages, NumPy arrays.

Everything becomes (page, y, x, channel), upright; a size is read from the header before the pixels are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...data.reading_log import Unusable
from ...errors import require
from .reader import PixelReader, Pixels

#: Largest picture, in pixels of all its pages; pillow warns from here on, a file of a few kB may hold more.
MOST_PIXELS = 89_000_000


class _Photograph(PixelReader):
    """PNG, JPEG and BMP, and what else pillow knows."""

    suffixes = (".png", ".jpg", ".jpeg", ".bmp")

    def size(self, path: Path) -> tuple[int, int]:
        with _reading(path), require("PIL.Image", "photographs").open(path) as image:
            check_pixels(image.width * image.height)
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return (image.width, image.height) if turned else (image.height, image.width)

    def read(self, path: Path) -> Pixels:
        with _reading(path):
            return _opaque(*read_pillow(path))


class _Tiff(PixelReader):
    """TIFF of 8 or 16 bits and several pages."""

    suffixes = (".tif", ".tiff")

    def size(self, path: Path) -> tuple[int, int]:
        with _reading(path), require("tifffile", "TIFF files").TiffFile(path) as file:
            series = file.series[0]
            colours = series.shape[series.axes.index("S")] if "S" in series.axes else 1
            check_pixels(int(np.prod(series.shape)) // colours)
            height, width = (series.shape[series.axes.index(a)] for a in "YX")
            return (width, height) if orientation_of(file.pages[0]) in (5, 6, 7, 8) else (height, width)

    def read(self, path: Path) -> Pixels:
        with _reading(path):
            return _opaque(*read_tiff(path))


class _PixelArray(PixelReader):
    """NumPy arrays (y, x), (y, x, colour) or (page, y, x)."""

    suffixes = (".npy",)

    def size(self, path: Path) -> tuple[int, int]:
        with _reading(path):
            return array_axes(np.load(path, mmap_mode="r", allow_pickle=False).shape)[1:3]

    def read(self, path: Path) -> Pixels:
        with _reading(path):
            raw = np.load(path, mmap_mode="r", allow_pickle=False)
            return _opaque(np.array(raw).reshape(array_axes(raw.shape)), [])


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
        if "Decompression" in type(error).__name__:
            check_pixels(MOST_PIXELS + 1)
        raise Unusable(f"is no picture or is damaged ({type(error).__name__}: {_without_path(error, path)})") from error


def _without_path(error: Exception, path: Path) -> str:
    return str(error).replace(f" {str(path)!r}", "").replace(str(path), "it")


def check_pixels(pixels: int) -> None:
    """Refuse a very large picture before its pixels take the memory."""
    if pixels > MOST_PIXELS:
        raise Unusable(f"has more than {MOST_PIXELS / 1e6:.0f} million pixels: shrink it with another program first")


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
    check_pixels(pages * y * x)
    return pages, y, x, channels


def orientation_of(page: Any) -> int:
    """The orientation mark of a TIFF page, 1 where it has none."""
    tag = page.tags.get(274)
    return int(tag.value) if tag is not None else 1


def read_tiff(path: Path) -> tuple[np.ndarray, list[str]]:
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
            return read_pillow(path)
        if page.photometric.name == "PALETTE":
            return read_pillow(path)
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


def read_pillow(path: Path) -> tuple[np.ndarray, list[str]]:
    """(page, y, x, channel) of PNG, JPEG, BMP and of what tifffile leaves; palettes and CMYK as colours."""
    pil = require("PIL.Image", "photographs")
    notes: list[str] = []
    with pil.open(path) as image:
        several = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        frames = []
        for k in range(several):
            image.seek(k)
            image.load()  # a TIFF is turned by this, and its shape with it
            frame = image
            if frame.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV", "PA"):
                frame = frame.convert("RGBA" if "transparency" in frame.info else "RGB")
            values = np.asarray(frame)
            frames.append(values if values.ndim == 3 else values[..., None])
        orientation = image.getexif().get(0x0112, 1)  # after reading: pillow has turned a TIFF by then, and says so
    if any(f.shape != frames[0].shape for f in frames):
        notes.append(f"first of {len(frames)} pages, which differ in size")
        frames = frames[:1]
    return upright(np.stack(frames), int(orientation), notes), notes
