"""`ImageFiles`: how files of pictures become one modality, (specimen, [channel,] [z,] y, x), float32 in 0..1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path

import numpy as np
import xarray as xr

from ...data.limits import check_factor
from ...data.names import closest
from ...data.reading_log import Unusable, count
from ...errors import DataError, OptionError, require
from ...signatures import tells_misfits
from .registry import picture_size, read_pixels

#: Longest side of pictures for which no size is asked: a network on more is slow and sees no more.
LONGEST_SIDE = 256
#: Most memory for one modality, in bytes.
MOST_BYTES = 4 * 2**30
#: What may be done to pictures of another shape.
_FITS = ("cut", "pad", "stretch")
#: Pixels of a picture that are resized at once.
_BAND = 4_000_000
#: Colours that differ by less than this (of 1) in all pictures are taken for grey: JPEG rounds.
_COLOURLESS = 0.02


@tells_misfits
@dataclass(frozen=True)
class ImageFiles:
    """One modality of pictures; every option has a default that suits a folder of photographs.

    Attributes:
        files: Column of the table, name of a sub-folder, or pattern from the folder such as ``"photos/{id}_*.png"``.
            Several, such as ``["front", "back"]``: views of each specimen, in that order. None: the folder's pictures.
        size: (height, width) in pixels, or one number for both. None: the size that most pictures have, shrunk to at
            most 256 pixels on the longer side.
        crop: (top, bottom, left, right) to cut off: pixels, or if all are below 1 shares of height and width.
        grey: True: grey; False: colour, three channels; None: colour if any picture has some.
        views: What several pictures of a specimen, or pages of a file, become: ``"channel"`` (a dim of the picture),
            ``"volume"`` (slices along z), ``"first"`` (the rest is left out).
        bits: Depth of the camera, such as 12, where files of 16 bits hold fewer: brightness 1 is 2^bits - 1. None: 16,
            or 10, 12 or 14 where the brightest pixel of all files is exactly that.
        fit: How a picture of another shape than ``size`` is brought to it: ``"cut"`` takes the largest middle of that
            shape, ``"pad"`` adds borders of the mean brightness of its rim, ``"stretch"`` changes its proportions.
        limits: Factor on what a file and a modality may hold (pixels, pages, memory), for files that you trust.
    """

    files: str | Sequence[str] | None = None
    size: int | Sequence[int] | None = None
    crop: Sequence[float] | None = None
    grey: bool | None = None
    views: str = "channel"
    bits: int | None = None
    fit: str = "cut"
    limits: float = 1.0

    def __post_init__(self) -> None:
        check_factor(self.limits)
        if self.fit not in _FITS:
            raise OptionError(f"fit is {self.fit!r}: {closest(self.fit, _FITS)}")
        if self.views not in ("channel", "volume", "first"):
            raise OptionError(f"views is {self.views!r}, expected 'channel', 'volume' or 'first'")
        if self.bits is not None and (isinstance(self.bits, bool) or not 8 <= self.bits <= 16):
            raise OptionError(f"bits is {self.bits!r}, expected the camera's depth, 8 to 16")
        if isinstance(self.size, str) or (
            self.size is not None and not all(isinstance(v, Integral) for v in np.ravel(np.asarray(self.size, object)))
        ):
            raise OptionError(
                f"size is {self.size!r}, expected (height, width) in pixels, such as (64, 64), or one number"
            )
        shape = self.shape
        if shape is not None and (len(shape) != 2 or min(shape) < 1):
            raise OptionError(f"size is {self.size!r}, expected (height, width) in pixels")
        if self.crop is not None and (len(self.crop) != 4 or min(self.crop) < 0):
            raise OptionError(f"crop is {self.crop!r}, expected (top, bottom, left, right), each at least 0")

    @property
    def shape(self) -> tuple[int, ...] | None:
        """(height, width) that is asked for, None where nothing is."""
        if self.size is None:
            return None
        if isinstance(self.size, int | np.integer):
            return (int(self.size),) * 2
        return tuple(int(v) for v in self.size)


@dataclass(frozen=True, eq=False)
class ReadPicture:
    """One file or specimen as read.

    Attributes:
        pixels: (view, channel, y, x).
        levels: Whether they are levels of 0..1.
        notes: What was noticed.
        brightest: Largest number in a file of 16 bits; 0 for other files.
    """

    pixels: np.ndarray
    levels: bool
    notes: tuple[str, ...]
    brightest: int = 0


def read_size(path: Path, spec: ImageFiles) -> tuple[int, int]:
    """(height, width) of a file's picture after turning and cropping, from its header.

    Raises:
        Unusable: If it is no picture, a very large one, or the crop leaves none of it.
    """
    height, width = picture_size(path, spec.limits)
    top, bottom, left, right = _crop_pixels(spec, height, width)
    return height - top - bottom, width - left - right


def common_size(sizes: Sequence[tuple[int, int]], spec: ImageFiles) -> tuple[int, int]:
    """(height, width) of the modality: what is asked for, or what most files have, at most 256 a side."""
    if spec.shape is not None:
        height, width = spec.shape
        return height, width
    values, counts = np.unique(np.array(sizes), axis=0, return_counts=True)
    height, width = values[counts.argmax()]
    shrink = min(1.0, LONGEST_SIDE / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def read_picture(path: Path, spec: ImageFiles, size: tuple[int, int]) -> ReadPicture:
    """A file's pages, turned, cropped and resized; grey has one channel, colour three.

    Raises:
        Unusable: If the file is damaged, no picture, or holds NaN.
    """
    pixels = read_pixels(path, spec.limits)
    pages, notes = pixels.pages, list(pixels.notes)
    if spec.views == "first" and len(pages) > 1:
        notes.append(f"first of {len(pages)} pages")
        pages = pages[:1]
    height, width = pages.shape[1:3]
    brightest = int(pages.max()) if pages.dtype == np.uint16 else 0
    top, bottom, left, right = _crop_pixels(spec, height, width)
    pages = pages[:, top : height - bottom, left : width - right]
    if spec.crop is not None:
        notes.append(f"cropped from {height} x {width} to {pages.shape[1]} x {pages.shape[2]}")
    pixels, levels = levels_of(resize(pages, size, notes, spec.fit), pages.dtype, notes)
    if spec.grey and pixels.shape[-1] == 3:
        pixels = pixels @ np.array([[0.299], [0.587], [0.114]], dtype=np.float32)
        notes.append("colour made grey (Rec. 601)")
    return ReadPicture(np.ascontiguousarray(np.moveaxis(pixels, -1, 1)), levels, tuple(notes), brightest)


def in_depth_of_camera(pictures: Mapping[str, ReadPicture], spec: ImageFiles) -> tuple[dict[str, ReadPicture], int]:
    """Pictures whose files of 16 bits hold those of a camera of fewer, brought to 0..1 together; others as they are.

    Twelve bits in sixteen look black beside a photograph of eight. A brightest pixel of exactly 4095 in all files is a
    saturated camera of 12 bits; any other value below that may be a dark picture, so it is told and kept.

    Args:
        pictures: By file.
        spec: The options.

    Returns:
        The pictures, and the depth where it is not that of the files; 0 where it is.

    Raises:
        OptionError: If a file has more than the bits asked for.
    """
    most = max((p.brightest for p in pictures.values()), default=0)
    if most == 0:
        return dict(pictures), 0
    bits = spec.bits
    if bits is not None and most >= 2**bits:
        raise OptionError(f"bits is {bits}, and a picture has the brightness {most}, more than {2**bits - 1}")
    if bits is None:
        bits = next((b for b in (10, 12, 14) if most == 2**b - 1), 16)
    note = f"{bits} of its 16 bits used, the brightest pixel of all is {most}"
    if bits == 16 and most < 2**14 and spec.bits is None:
        note = f"the brightest pixel of all files of 16 bits is {most}: dark, or a camera of fewer bits (bits=12)"
    elif bits == 16:
        return dict(pictures), 0
    factor = np.float32(65535 / (2**bits - 1))
    scaled = {
        name: replace(p, pixels=p.pixels * factor, notes=(*p.notes, note)) if p.brightest else p
        for name, p in pictures.items()
    }
    return scaled, bits if bits < 16 else 0


def combine_views(pictures: Sequence[ReadPicture]) -> ReadPicture:
    """Several files of one specimen as views, in their order."""
    if len(pictures) == 1:
        return pictures[0]
    channels = max(p.pixels.shape[1] for p in pictures)
    pixels = [np.broadcast_to(p.pixels, (len(p.pixels), channels, *p.pixels.shape[2:])) for p in pictures]
    notes = tuple(dict.fromkeys(note for p in pictures for note in p.notes))
    return ReadPicture(np.concatenate(pixels), all(p.levels for p in pictures), notes)


def check_memory(specimens: int, views: int, size: tuple[int, int], modality: str, limits: float = 1.0) -> None:
    """Refuse a modality that would not fit into memory, before the pictures are read.

    Args:
        specimens: How many.
        views: Pictures of each.
        size: (height, width) of each.
        modality: Its name.
        limits: Factor on the memory.

    Raises:
        DataError: If it would take more than 4 GiB.
    """
    needed = specimens * views * size[0] * size[1] * 4
    if needed > MOST_BYTES * limits:
        side = int(max(size) * (MOST_BYTES / needed) ** 0.5)
        raise DataError(
            f"{modality!r} would take {needed / 2**30:.1f} GiB as {specimens} x {views} pictures of {size[0]} x "
            f"{size[1]} pixels: ask for less, size=({side}, {side}) or smaller, or raise the limits, "
            f"images={{'limits': {math.ceil(needed / MOST_BYTES)}}}"
        )


def combine(pictures: Sequence[ReadPicture | None], spec: ImageFiles, modality: str) -> tuple[xr.DataArray, str]:
    """All pictures of a modality as one variable, float32; None is a specimen without (NaN).

    Args:
        pictures: In the order of the specimens, with equal numbers of views.
        spec: The options.
        modality: The variable's name.

    Returns:
        The variable, dims (specimen, y, x), with ``channel`` for colours or views, with ``z`` for volumes; and what was
        done to all of them, for the reading log.
    """
    there = [p for p in pictures if p is not None]
    colour = any(p.pixels.shape[1] == 3 for p in there)
    if colour and spec.grey is None:
        colour = max(float(np.ptp(p.pixels, axis=1).max()) for p in there) > _COLOURLESS
    channels = 3 if colour or spec.grey is False else 1
    views, height, width = len(there[0].pixels), *there[0].pixels.shape[2:]
    values = np.full((len(pictures), views, channels, height, width), np.nan, dtype=np.float32)
    for k, picture in enumerate(pictures):
        if picture is not None:
            pixels = picture.pixels
            if channels < pixels.shape[1]:
                pixels = pixels.mean(axis=1, keepdims=True)
            values[k] = pixels
    attrs = {"long_name": "brightness"} | ({"units": "1"} if there[0].levels else {})
    if spec.views == "volume" and views > 1:
        dims, values = ("specimen", "channel", "z", "y", "x"), np.moveaxis(values, 2, 1)
        if channels == 1:
            dims, values = ("specimen", "z", "y", "x"), values[:, 0]
    elif views * channels == 1:
        dims, values = ("specimen", "y", "x"), values[:, 0, 0]
    else:
        dims, values = ("specimen", "channel", "y", "x"), values.reshape(len(values), -1, height, width)
    kind = "colour" if channels == 3 else "grey"
    done = f"{kind}, {height} x {width}" + (f", {count(views, 'view')}" if views > 1 else "")
    return xr.DataArray(values, dims=dims, name=modality, attrs=attrs), done


def _crop_pixels(spec: ImageFiles, height: int, width: int) -> tuple[int, int, int, int]:
    if spec.crop is None:
        return 0, 0, 0, 0
    crop = np.asarray(spec.crop, dtype=float)
    if crop.max() < 1:
        crop = crop * [height, height, width, width]
    top, bottom, left, right = (round(float(v)) for v in crop)
    if top + bottom >= height or left + right >= width:
        raise Unusable(f"has {height} x {width} pixels, of which crop={tuple(spec.crop)} leaves none")
    return top, bottom, left, right


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


def _padded(pages: np.ndarray, aspect: float) -> np.ndarray:
    """Pages (page, y, x, channel) with borders, of the mean of their own rim, to a proportion width / height."""
    height, width = pages.shape[1:3]
    new_h, new_w = max(height, round(width / aspect)), max(width, round(height * aspect))
    out = np.empty((len(pages), new_h, new_w, pages.shape[-1]), dtype=np.float32)
    top, left = (new_h - height) // 2, (new_w - width) // 2
    for page, c in np.ndindex(len(pages), pages.shape[-1]):
        one = pages[page, ..., c]
        out[page, ..., c] = np.concatenate([one[0], one[-1], one[:, 0], one[:, -1]]).mean(dtype=np.float64)
        out[page, top : top + height, left : left + width, c] = one
    return out


def resize(pages: np.ndarray, size: tuple[int, int], notes: list[str], fit: str = "cut") -> np.ndarray:
    """To (height, width), float32: brought to that shape, then pixels are averaged.

    Args:
        pages: (page, y, x, channel), any kind of number; brought to float32 one channel at a time, as it may be large.
        size: (height, width).
        notes: What was done is added here.
        fit: What is done where the shape differs: see `ImageFiles`.
    """
    height, width = pages.shape[1:3]
    if (height, width) == size:
        return pages.astype(np.float32)
    aspect = size[1] / size[0]
    inner_h, inner_w = min(height, max(1, round(width / aspect))), min(width, max(1, round(height * aspect)))
    top, left, cut = (height - inner_h) // 2, (width - inner_w) // 2, ""
    if (inner_h, inner_w) != (height, width) and fit == "cut":
        cut = f", of which the middle {inner_h} x {inner_w}"
    elif (inner_h, inner_w) != (height, width):
        top, left, inner_h, inner_w = 0, 0, height, width
        cut = ", stretched"
        if fit == "pad":
            pages = _padded(pages, aspect)
            inner_h, inner_w = pages.shape[1:3]
            cut = f", with borders to {inner_h} x {inner_w}"
    notes.append(f"resized from {height} x {width}{cut}")
    pil = require("PIL.Image", "photographs")
    out = np.empty((len(pages), *size, pages.shape[-1]), dtype=np.float32)
    scale = inner_h / size[0]
    reach = math.ceil(max(scale, 1.0)) + 1  # rows beyond its own that a row is made of
    rows = max(1, int(_BAND / (inner_w * max(scale, 1.0))))
    for page, c in np.ndindex(len(pages), pages.shape[-1]):
        inner = pages[page, top : top + inner_h, left : left + inner_w, c]
        for start in range(0, size[0], rows):  # a band at a time: as floats a photograph takes a gigabyte
            stop = min(start + rows, size[0])
            first = max(0, math.floor(start * scale) - reach)
            band = inner[first : math.ceil(stop * scale) + reach].astype(np.float32)
            box = (0.0, start * scale - first, inner_w, min(stop * scale - first, len(band)))
            # shrinking, pillow widens the filter: every pixel counts
            made = pil.fromarray(band).resize((size[1], stop - start), pil.Resampling.BILINEAR, box=box)
            out[page, start:stop, :, c] = made
    return out
