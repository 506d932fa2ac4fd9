"""Pixels out of files of pictures: PNG, JPEG, BMP, TIFF of 8 or 16 bits and several pages, NumPy arrays.

Everything becomes (page, y, x, channel), upright; a size is read from the header before the pixels are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...data.reading_log import Unusable
from ...errors import require

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".npy")
#: Largest picture, in pixels of all its pages; pillow warns from here on, a file of a few kB may hold more.
MOST_PIXELS = 89_000_000


def header_size(path: Path) -> tuple[int, int]:
    """(height, width) of a file's picture, upright, without reading its pixels.

    Raises:
        Unusable: If it is no picture, or a very large one.
    """
    with reading(path) as kind:
        if kind == "npy":
            return array_axes(np.load(path, mmap_mode="r", allow_pickle=False).shape)[1:3]
        if kind == "tiff":
            with require("tifffile", "TIFF files").TiffFile(path) as file:
                series = file.series[0]
                colours = series.shape[series.axes.index("S")] if "S" in series.axes else 1
                check_pixels(int(np.prod(series.shape)) // colours)
                height, width = (series.shape[series.axes.index(a)] for a in "YX")
                turned = orientation_of(file.pages[0]) in (5, 6, 7, 8)
        else:
            with require("PIL.Image", "photographs").open(path) as image:
                check_pixels(image.width * image.height)
                height, width = image.height, image.width
                turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def read_pages(path: Path) -> tuple[np.ndarray, list[str]]:
    """(page, y, x, channel) of a file in the numbers it holds, upright, and what was noticed.

    Raises:
        Unusable: If it is damaged or no picture.
    """
    with reading(path) as kind:
        if kind == "npy":
            raw = np.load(path, mmap_mode="r", allow_pickle=False)
            pages, notes = np.array(raw).reshape(array_axes(raw.shape)), []
        elif kind == "tiff":
            pages, notes = read_tiff(path)
        else:
            pages, notes = read_pillow(path)
    if pages.dtype.kind not in "biuf":
        raise Unusable(f"holds {pages.dtype} values, which are no brightness")
    if pages.shape[-1] in (2, 4):
        notes.append("transparency left out")
        pages = pages[..., :-1]
    return pages, notes


@contextlib.contextmanager
def reading(path: Path) -> Iterator[str]:
    """The kind of a picture's file; whatever its library raises on damaged bytes becomes one sentence."""
    if path.stat().st_size == 0:
        raise Unusable("is empty (0 bytes)")
    suffix = path.suffix.lower()
    try:
        yield "npy" if suffix == ".npy" else "tiff" if suffix in (".tif", ".tiff") else "pillow"
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
        axes = (1, *shape, 1)
    elif len(shape) == 3:
        axes = (1, *shape) if shape[-1] in (3, 4) else (*shape, 1)
    elif len(shape) == 4 and shape[-1] in (1, 2, 3, 4):
        axes = tuple(shape)
    else:
        raise Unusable(f"has shape {shape}, a picture is (y, x), (y, x, colour) or (page, y, x)")
    check_pixels(int(np.prod(axes[:3])))
    return axes


def orientation_of(page: object) -> int:
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


def levels_of(pixels: np.ndarray, kind: np.dtype, notes: list[str]) -> tuple[np.ndarray, bool]:
    """Whole numbers divided by the largest their type holds.

    Args:
        pixels: float32, as read.
        kind: Type they had in the file.
        notes: What was done is added here.

    Returns:
        The pixels, and whether they are levels of 0..1; other numbers stay what they are.

    Raises:
        Unusable: If some are not finite.
    """
    if kind == np.uint8 or kind == np.uint16:
        if kind == np.uint16:
            notes.append("16 bits")
        return pixels / np.float32(np.iinfo(kind).max), True
    if not np.isfinite(pixels).all():
        raise Unusable("holds NaN or infinite pixels")
    levels = bool(pixels.min() >= 0 and pixels.max() <= 1)
    if not levels:
        notes.append(f"values from {pixels.min():.4g} to {pixels.max():.4g} kept as they are")
    return pixels, levels


def resize(pages: np.ndarray, size: tuple[int, int], notes: list[str]) -> np.ndarray:
    """To (height, width), float32: the middle is cut out where the shape differs, then pixels are averaged.

    Args:
        pages: (page, y, x, channel), any kind of number; brought to float32 one channel at a time, as it may be large.
        size: (height, width).
        notes: What was done is added here.
    """
    height, width = pages.shape[1:3]
    if (height, width) == size:
        return pages.astype(np.float32)
    aspect = size[1] / size[0]
    inner_h, inner_w = min(height, max(1, round(width / aspect))), min(width, max(1, round(height * aspect)))
    top, left = (height - inner_h) // 2, (width - inner_w) // 2
    cut = f", of which the middle {inner_h} x {inner_w}" if (inner_h, inner_w) != (height, width) else ""
    notes.append(f"resized from {height} x {width}{cut}")
    pil = require("PIL.Image", "photographs")
    out = np.empty((len(pages), *size, pages.shape[-1]), dtype=np.float32)
    for page, c in np.ndindex(len(pages), pages.shape[-1]):
        channel = pages[page, top : top + inner_h, left : left + inner_w, c].astype(np.float32)
        # shrinking, pillow widens the filter: every pixel counts
        out[page, ..., c] = pil.fromarray(channel).resize(size[::-1], pil.Resampling.BILINEAR)
    return out
