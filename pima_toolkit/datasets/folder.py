"""A folder of files as a laboratory leaves it: photographs, curves and a table, tidy or messy. Synthetic throughout.

The specimens are those of `lattice`, two populations whose curves follow Gibson-Ashby laws and whose pictures show what
made the curves. The mess is what instruments, spreadsheets, cameras, copying and people do to files.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import OptionError, require
from .lattice import lattice

#: Fewest specimens of a messy folder: every kind of mess needs specimens of its own.
FEWEST_MESSY = 40
#: Settings of the printer in the table: laser power in W for either population, and suppliers.
_POWER = {"gyroid": (180.0, 6.0), "octet": (205.0, 6.0)}


def write_folder(path: str | os.PathLike[str], n: int = 200, seed: int = 0, mess: bool = True) -> xr.Dataset:
    """Write a folder of files to try `pima.from_folder` on: ``photos/``, ``curves/`` and ``specimens.xlsx``.

    Tidy, every specimen has ``photos/L001.png``, ``curves/L001.csv`` and a row of the table with its laser power, its
    supplier and its relative density. Messy, files come from several instruments and programs (delimiter, decimal
    comma, encoding, units, header, Excel, TIFF, JPEG with a turned camera, another resolution); curves end where the
    test ended, some with the unloading branch; a few files are empty, cut short, huge, doubled, of another quantity, or
    without a partner; and there is what operating systems leave behind.

    Args:
        path: The folder; made where it is missing, must be empty.
        n: Number of specimens, half of them of each population.
        seed: Seed of the specimens and of the mess.
        mess: Whether to make the mess.

    Returns:
        The truth: the dataset of `lattice` with the coordinate ``specimen`` as in the files' names, the settings of the
        table, and two booleans (specimen), ``image_usable`` and ``stress_usable``: what a careful reader can get.

    Raises:
        OptionError: If the folder holds something, or a messy one has fewer than 40 specimens.
        MissingDependency: If pillow, tifffile or openpyxl is missing.
    """
    folder = Path(path).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OptionError(f"{folder} is there already and not an empty folder: give another name")
    if mess and n < FEWEST_MESSY:
        raise OptionError(f"n is {n!r}, a messy folder needs at least {FEWEST_MESSY} specimens; or mess=False")
    truth = lattice(n, seed)
    names = [f"L{d + 1:03d}" for d in range(n)]
    if mess:
        names[11] = "Größe 12"
    rng = np.random.default_rng([seed, 1])
    power = np.array([rng.normal(*_POWER[str(label)]) for label in truth["label"].values]).round(1)
    truth = truth.assign_coords(
        specimen=names,
        laser_power=("specimen", power, {"units": "W", "long_name": "laser power"}),
        supplier=("specimen", rng.choice(["Alba", "Börde"], n), {"long_name": "supplier"}),
        image_usable=("specimen", np.ones(n, dtype=bool)),
        stress_usable=("specimen", np.ones(n, dtype=bool)),
    )
    (folder / "photos").mkdir(parents=True)
    (folder / "curves").mkdir()
    photo_styles, curve_styles = (rng.permutation(n) % 10 if mess else np.zeros(n, dtype=int) for _ in range(2))
    for d, name in enumerate(names):
        _write_photo(folder / "photos", name, truth["image"].values[d], int(photo_styles[d]))
        strain, stress = truth["strain"].values, truth["stress"].values[d]
        _write_curve(folder / "curves", name, strain, stress, int(curve_styles[d]), rng)
    _write_table(folder / "specimens.xlsx", truth)
    if mess:
        _make_mess(folder, names, truth)
    return truth


def _write_photo(folder: Path, name: str, image: np.ndarray, style: int) -> None:
    """One picture, by style: PNG, JPEG of a turned camera, 16-bit TIFF with a thumbnail, double size, NumPy."""
    pil = require("PIL.Image", "photographs")
    if style == 6:  # the camera lay on its side and says so
        exif = pil.Exif()
        exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
        turned = pil.fromarray(np.rot90(image))
        turned.save(folder / f"{name}.JPG", quality=95, subsampling=0, exif=exif)
    elif style == 7:
        tifffile = require("tifffile", "TIFF files")
        with tifffile.TiffWriter(folder / f"{name}.TIF") as file:
            file.write(image.astype(np.uint16) * 257, photometric="minisblack")
            file.write(np.ascontiguousarray(image[::8, ::8]), photometric="minisblack", subfiletype=1)
    elif style == 8:
        pil.fromarray(np.stack([image.repeat(2, 0).repeat(2, 1)] * 3, axis=-1)).save(
            folder / f"{name}.jpeg", quality=95
        )
    elif style == 9:
        np.save(folder / f"{name}.npy", image)
    else:
        pil.fromarray(image).save(folder / f"{name}.png")


def _write_curve(
    folder: Path, name: str, strain: np.ndarray, stress: np.ndarray, style: int, rng: np.random.Generator
) -> None:
    """One curve, by style: the plain CSV of three programs, a German one, UTF-16, a protocol, Excel."""
    if style == 0:
        _text(folder / f"{name}.csv", ["strain,stress [MPa]", *_rows(strain, stress, ",")])
        return
    end = int(rng.integers(80, strain.size + 1))
    strain, stress = strain[:end], stress[:end]
    percent = 100 * strain
    if style in (1, 2):  # a German spreadsheet
        lines = ["Dehnung [%];Spannung [MPa]", *(row.replace(".", ",") for row in _rows(percent, stress, ";"))]
        _text(folder / f"{name}.csv", lines, "cp1252" if style == 1 else "utf-8-sig")
    elif style == 3:
        _text(folder / f"{name}.TXT", ["Strain (%)\tStress (kPa)", *_rows(percent, 1e3 * stress, "\t")], "utf-16")
    elif style in (4, 5):  # a protocol before, units in a row of their own, unloading and a remark after
        head = [
            "Testing machine Ü-250",
            f"Specimen: {name}",
            "Rate: 0.001 1/s",
            "",
            "Time,Strain,Stress",
            "s,mm/mm,MPa",
        ]
        back = np.linspace(strain[-1], 0.8 * strain[-1], 12)[1:]
        down = np.linspace(stress[-1], 0.0, 12)[1:]
        x, y = np.concatenate([strain, back]), np.concatenate([stress, down])
        lines = [*head, *_rows(1e3 * x, x, ",", y), "", "End of test: operator stop"]
        _text(folder / f"{name}.csv", lines, "cp1252")
    elif style == 6:  # every reading twice, a sensor that dropped out
        lines = [row for row in _rows(strain, stress, " ") for _ in range(2)]
        lines[20] = lines[20].split()[0] + " NaN"
        _text(folder / f"{name}.dat", ["# strain stress/GPa", *_in_gpa(lines)])
    elif style == 7:
        _write_workbook(folder / f"{name}.xlsx", name, strain, stress)
    else:
        _text(folder / f"{name}.csv", ["strain,stress [MPa]", *_rows(strain, stress, ",")])


def _rows(x: np.ndarray, y: np.ndarray, delimiter: str, z: np.ndarray | None = None) -> list[str]:
    columns = [x, y] if z is None else [x, y, z]
    return [delimiter.join(f"{v:.9g}" for v in row) for row in zip(*columns, strict=True)]


def _in_gpa(lines: list[str]) -> list[str]:
    pairs = (line.split() for line in lines)
    return [f"{x} {y if y == 'NaN' else format(float(y) / 1e3, '.9g')}" for x, y in pairs]


def _text(path: Path, lines: list[str], encoding: str = "utf-8") -> None:
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))


def _write_workbook(path: Path, name: str, strain: np.ndarray, stress: np.ndarray) -> None:
    """An Excel file of two sheets, the curve on the second."""
    book = require("openpyxl", "Excel files").Workbook()
    book.active.title = "Protocol"
    for row in (["Specimen", name], ["Operator", "N. N."], ["Area [mm²]", 100.0]):
        book.active.append(row)
    sheet = book.create_sheet("Data")
    for row in (["Strain", "Stress"], ["%", "MPa"], *zip((100 * strain).tolist(), stress.tolist(), strict=True)):
        sheet.append(row)
    book.save(path)


def _write_table(path: Path, truth: xr.Dataset) -> None:
    book = require("openpyxl", "Excel files").Workbook()
    book.active.append(["Specimen", "Laser power [W]", "Relative density", "Supplier"])
    columns = ("specimen", "laser_power", "relative_density", "supplier")
    for row in zip(*(truth[c].values.tolist() for c in columns), strict=True):
        book.active.append(list(row))
    book.save(path)


def _remove(folder: Path, name: str) -> None:
    for file in [p for p in folder.iterdir() if p.stem == name]:
        file.unlink()


def _make_mess(folder: Path, names: list[str], truth: xr.Dataset) -> None:
    """Damage a few files, each in its own way; `truth` learns which specimens can no longer be read."""
    photos, curves = folder / "photos", folder / "curves"
    image_usable, stress_usable = truth["image_usable"].values, truth["stress_usable"].values
    for d in (0, 1, 2, 3, 4):
        _remove(photos, names[d])
        image_usable[d] = False
    (photos / f"{names[0]}.png").write_bytes(b"")
    (photos / f"{names[1]}.png").write_bytes(_png(truth["image"].values[1])[:2000])  # cut short
    (photos / f"{names[2]}.png").write_bytes(_png(np.zeros((12000, 12000), dtype=bool)))  # 144 million pixels
    _text(photos / f"{names[3]}.png", ["<html>404 not found</html>"])
    # names[4]: never photographed
    for d in (5, 6, 7, 8, 9):
        _remove(curves, names[d])
        stress_usable[d] = False
    (curves / f"{names[5]}.csv").write_bytes(b"")
    _text(curves / f"{names[6]}.csv", ["strain,stress [MPa]"])  # a header and nothing more
    _text(curves / f"{names[7]}.csv", ["strain,crosshead [mm]", *_rows(np.linspace(0, 1, 20), np.arange(20.0), ",")])
    for ending, factor in (("csv", 1.0), ("txt", 1.1)):  # two tests under one name
        rows = _rows(truth["strain"].values, factor * truth["stress"].values[8], ",")
        _text(curves / f"{names[8]}.{ending}", ["strain,stress [MPa]", *rows])
    # names[9]: never tested
    _remove(curves, names[10])
    rows = _rows(truth["strain"].values, truth["stress"].values[10], ",")
    for file in (f"{names[10]}.csv", f"{names[10]} - Copy.csv"):  # the same twice
        _text(curves / file, ["strain,stress [MPa]", *rows])
    for file in (folder / ".DS_Store", photos / "Thumbs.db", photos / "._L020.png", curves / "~$L020.xlsx"):
        file.write_bytes(b"\x00\x05\x16\x07")
    _text(folder / "readme first.docx", ["not a measurement"])


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    require("PIL.Image", "photographs").fromarray(image).save(buffer, "png")
    return buffer.getvalue()
