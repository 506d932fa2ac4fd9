"""Folders of files as laboratories publish them, read by one call each, beside the same data as a dataset.

    PIMA_DATA=folder python benchmarks/raw_folders.py        # a minute

Every folder ``<name>/raw`` of PIMA_DATA that has ``<name>.nc`` beside it is read by ``pima.from_folder`` with the
arguments below, and compared with that file, value by value: equal (to the digits that files have), or not, and why.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from PIL import Image

import pima_toolkit as pima


@dataclass(frozen=True)
class Compared:
    """One variable of one folder: how many specimens were looked at, how many are equal, the largest difference."""

    what: str
    specimens: int
    equal: int
    largest: float
    why: str = ""


@dataclass(frozen=True)
class Case:
    """A folder, the call that reads it, and what is compared."""

    name: str
    folder: str
    compare: Callable[[xr.Dataset, xr.Dataset], Iterator[Compared]]
    arguments: dict[str, Any] = field(default_factory=dict)


def rows(what: str, pairs: Iterator[tuple[np.ndarray, np.ndarray]], digits: float, why: str = "") -> Compared:
    """Compare pairs of arrays, each to so many units; gaps must be gaps in both."""
    equal, count, largest = 0, 0, 0.0
    for one, other in pairs:
        one, other = np.asarray(one, float), np.asarray(other, float)
        count += 1
        if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
            largest = float("inf")
            continue
        difference = float(np.nanmax(np.abs(one - other), initial=0.0))
        largest = max(largest, difference)
        equal += difference <= digits
    return Compared(what, count, equal, largest, "" if equal == count else why)


def perovskite(read: xr.Dataset, stored: xr.Dataset) -> Iterator[Compared]:
    """One run of films: three colours, a picture, three fractions."""
    run = stored.isel(specimen=np.flatnonzero(stored.run.values == "20190606"))
    run = run.assign_coords(specimen=run.slot.values).sel(specimen=read.specimen.values)
    for name in ("red", "green", "blue"):
        yield rows(name, zip(read[name].values, run[name].values, strict=True), 0.0051)
    yield rows("time", iter([(read.time.values, 70.0 * np.arange(101))]), 1e-9)
    yield rows("picture", zip(255 * read.picture.values, run.picture.values, strict=True), 1e-3)
    fractions = np.stack([read[name].values for name in ("cs", "fa", "ma")], axis=1)
    yield rows("composition", zip(fractions, run.composition.values, strict=True), 1e-6)


def severson(read: xr.Dataset, stored: xr.Dataset) -> Iterator[Compared]:
    """Cells by the number in their part of the split: two cycles of discharge, and the life."""
    place = {f"{part}_{k + 1:02}": row for part in ("train", "test1", "test2")
             for k, row in enumerate(np.flatnonzero(stored.split.values == part))}  # fmt: skip
    there = stored.isel(specimen=[place[str(label)] for label in read.specimen.values])
    for name in ("discharge_10", "discharge_100"):
        yield rows(name, zip(read[name].values, there[name].values, strict=True), 5.1e-5)
    yield rows("cycle_life", zip(read.cycle_life.values, there.cycle_life.values, strict=True), 0.0)


def fegapd(read: xr.Dataset, stored: xr.Dataset) -> Iterator[Compared]:
    """Every seventh pattern as a file of its own, compositions in a table."""
    there = stored.isel(specimen=[int(str(label)[1:]) for label in read.specimen.values])
    yield rows("xrd", zip(read.xrd.values, there.xrd.values, strict=True), 1e-3)
    fractions = np.stack([read[name].values for name in ("fe", "ga", "pd")], axis=1)
    yield rows("composition", zip(fractions, there.composition.values, strict=True), 5.1e-5)


def fegapd_original(read: xr.Dataset, stored: xr.Dataset) -> Iterator[Compared]:
    """All patterns in one file without names: the first row is the angle, each other a place."""
    yield rows("xrd", zip(read.xrd.values, stored.xrd.values, strict=True), 1e-3)


def hyperelastic(read: xr.Dataset, stored: xr.Dataset) -> Iterator[Compared]:
    """Folders are materials, files are tests; the stored test of the same points is looked for."""
    for material in np.unique(stored.material.values):
        mine = stored.isel(specimen=np.flatnonzero(stored.material.values == material))
        curves = read[str(material)]
        axis = read[str(curves.attrs.get("independent", curves.dims[1]))]
        grids = np.broadcast_to(axis.values, curves.shape)
        pairs = []
        for x, y in zip(grids, curves.values, strict=True):
            keep = np.isfinite(y)
            if keep.any():
                order = np.argsort(x[keep])
                pairs.append(_nearest(x[keep][order], y[keep][order], mine))
        yield rows(str(material), iter(pairs), 2e-3, "another order of points that share a deformation")


def _nearest(x: np.ndarray, y: np.ndarray, tests: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The curve, and that of the stored tests which has as many points and is nearest."""
    best, least = np.full(y.size, np.nan), np.inf
    for t, s in zip(tests.deformation.values, tests.stress.values, strict=True):
        keep = np.isfinite(t) & np.isfinite(s)
        if keep.sum() == y.size:
            far = np.abs(s[keep] - y).max() + np.abs(t[keep] - x).max()
            if far < least:
                best, least = s[keep], far
    return y, best


def macfp(read: xr.Dataset, stored: xr.Dataset) -> Iterator[Compared]:
    """Mass over temperature of many laboratories; the stored curves are means over 5 K, interpolated where sparse."""
    pairs = []
    for label, t, m in [curve for name in ("mass", "fraction") for curve in _curves_of(read, name)]:
        t = t + (273.15 if t.max() < 1000 and t[0] < 200 else 0.0)
        share = m / np.interp(380.0, t, m)
        grid = stored.temperature.values
        mine = _means(t, share, grid)
        gas = re.search(r"_(N2|Ar|O2-\d+)_(\d+)K", str(label))
        if gas is None:
            continue
        same = (stored.gas.values == gas[1]) & (stored.heating_rate_nominal.values == float(gas[2]))
        same &= [str(lab).replace("+", "")[:3].casefold() == str(label)[:3].casefold() for lab in stored.lab.values]
        best, least = np.full(grid.size, np.nan), np.inf
        for row in np.flatnonzero(same):
            other = stored.mass_fraction.values[row]
            both = np.isfinite(mine) & np.isfinite(other)
            if both.sum() > 50 and (far := float(np.sqrt(np.mean((mine - other)[both] ** 2)))) < least:
                best, least = np.where(both, other, np.nan), far
        pairs.append((np.where(np.isnan(best), np.nan, mine), best))
    yield rows("mass_fraction", iter(pairs), 0.01)


def _curves_of(read: xr.Dataset, name: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Label, x and y of each specimen that has a curve."""
    axis = read[str(read[name].attrs.get("independent", read[name].dims[1]))]
    for label, t, y in zip(
        read.specimen.values, np.broadcast_to(axis, read[name].shape), read[name].values, strict=True
    ):
        if (keep := np.isfinite(t) & np.isfinite(y)).any():
            yield str(label), t[keep], y[keep]


def _means(t: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Means of y around the points of a grid in equal steps, interpolated where there are none, NaN outside."""
    place = np.round((t - grid[0]) / (grid[1] - grid[0])).astype(int)
    inside = (place >= 0) & (place < grid.size)
    sums, n = (np.bincount(place[inside], w, grid.size) for w in (y[inside], None))
    there = n > 0
    out = np.interp(grid, grid[there], sums[there] / n[there])
    return np.where((grid >= t[0]) & (grid <= t[-1]), out, np.nan)


def pvcracks(read: xr.Dataset, stored: xr.Dataset) -> Iterator[Compared]:
    """Numbers of a table of 27 cells, and the six pictures that are there, made smaller as the stored ones were."""
    there = stored.isel(specimen=[int(str(label)) for label in read.specimen.values])
    names = {"rs": "series_resistance", "rsh": "shunt_resistance", "i": "photocurrent", "is": "saturation_current"}
    for short, name in (names | {"n": "ideality", "pmp": "maximum_power"}).items():
        yield rows(name, zip(read[short].values, there[name].values, strict=True), 1e-9)
    picture = next(str(n) for n, v in read.data_vars.items() if v.ndim == 3)
    log = pima.reading_log(read)
    files = dict(log.loc[(log.status == "used") & (log.modality == picture), ["specimen", "file"]].values)
    small = [_shrunk(files[str(label)]) for label in read.specimen.values]
    yield rows("picture", zip(small, there.electroluminescence.values, strict=True), 1.01)  # grey is rounded twice


def _shrunk(file: str) -> np.ndarray:
    """A picture of pvcracks, read at its own size and made smaller by Lanczos' filter, as the stored ones were."""
    folder = Path(os.environ["PIMA_DATA"]) / "pvcracks" / "raw"
    with Image.open(folder / file) as header:
        size = header.size[::-1]
    spec = {"kind": "images", "files": file, "size": size, "grey": True}
    read = pima.from_folder(folder, {"picture": spec}, table=False, progress=False)
    pixels = Image.fromarray(np.round(255 * read.picture.values[0]).astype(np.uint8))
    return np.asarray(pixels.resize((96, 96), Image.Resampling.LANCZOS))


CASES = (
    Case(
        "perovskite",
        "films_20190606",
        perovskite,
        {
            "modalities": {
                **{name: {"kind": "curves", "files": "??.csv", "y": name} for name in ("red", "green", "blue")},
                "picture": {"kind": "images", "files": "??.png", "size": [24, 48]},
            },
            "table": "films.csv",
        },
    ),
    Case(
        "severson",
        "cells",
        severson,
        {
            "modalities": {
                f"discharge_{k}": {"kind": "curves", "files": "t*_??.csv", "y": f"Capacity cycle {k}"}
                for k in (10, 100)
            },
            "table": "cells.csv",
        },
    ),
    Case("fegapd", "patterns", fegapd, {"modalities": {"xrd": "curves"}}),
    Case(
        "fegapd",
        "original",
        fegapd_original,
        {"modalities": {"xrd": {"kind": "curves", "files": "*XRD.txt", "specimens": "rows"}}, "table": False},
    ),
    Case("hyperelastic", "", hyperelastic),
    Case(
        "macfp",
        "",
        macfp,
        {
            "modalities": {
                "mass": {"kind": "curves", "files": "**/{id}.csv", "x": 1, "y": 2},
                "fraction": {"kind": "curves", "files": "PMMA/UMD/{id}.csv", "x": 1, "y": 2},  # in g/g, not in mg
            }
        },
    ),
    Case(
        "pvcracks",
        "",
        pvcracks,
        {"table": "ELdata_module_209.csv", "images": {"size": 96, "grey": True, "fit": "stretch"}},
    ),
)


def main() -> None:
    """Read every folder, show what is equal."""
    home = os.environ.get("PIMA_DATA")
    if not home:
        sys.exit("PIMA_DATA is not set: give the folder that holds perovskite/, severson/ and the others")
    sys.stdout.write(f"{'folder':30} {'variable':22} {'specimens':>9} {'equal':>6} {'largest difference':>19}  why\n")
    for case in CASES:
        folder = Path(home) / case.name / "raw" / case.folder
        stored = xr.load_dataset(Path(home) / case.name / f"{case.name}.nc")
        shown = "/".join(filter(None, (case.name, "raw", case.folder)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", pima.PimaWarning)
                read = pima.from_folder(folder, **case.arguments, progress=False)
        except pima.PimaError as error:
            sys.stdout.write(f"{shown:30} not read: {error}\n")
            continue
        lost = pima.reading_log(read)
        lost = lost[lost.status == "unusable"]
        for one in case.compare(read, stored):
            sys.stdout.write(
                f"{shown:30} {one.what:22} {one.specimens:9} {one.equal:6} {one.largest:19.3g}  {one.why}\n"
            )
        if len(lost):
            sys.stdout.write(f"{'':30} {len(lost)} not used, such as {lost.file.iloc[0]}: {lost.note.iloc[0]}\n")


if __name__ == "__main__":
    main()
