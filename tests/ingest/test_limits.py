"""Small files that announce much, or inflate to it, are refused by what they announce; an option raises the limits."""

import json
import struct
import time
import zipfile
from functools import partial

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data.limits import check_archive, check_limit
from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.errors import FileFormatError, OptionError
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve
from pima_toolkit.ingest.formats.images import ImageFiles, read_picture, read_size, resize
from pima_toolkit.ingest.formats.registry import read_tables

HEAD = "Strain [%];Stress [MPa]\n"
ROWS = "".join(f"{x / 10:.2f};{x + 0.1:.2f}\n" for x in range(20))


def workbook(path, cells):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for place, value in cells.items():
        book.active[place] = value
    book.save(path)


def curve_cells():
    return {"A1": "strain", "B1": "stress"} | {f"{c}{k}": float(k) for k in range(2, 12) for c in "AB"}


def test_a_limit_says_how_much_there_is_and_what_raises_it():
    check_limit(7, 7, "cells", Unusable)
    check_limit(14, 7, "cells", Unusable, limits=2)
    with pytest.raises(
        Unusable, match=r"^holds or announces 15 cells, more than the 14 that are read: .* curves=\{'limits': 3\}$"
    ):
        check_limit(15, 7, "cells", Unusable, limits=2, option="curves={{'limits': {}}}")


@pytest.mark.parametrize("limits", [0.5, -1, float("nan"), float("inf"), "2", True, None])
def test_a_factor_on_limits_is_a_number_of_at_least_one(limits):
    for made in (CurveFiles, ImageFiles):
        with pytest.raises(OptionError, match="limits is"):
            made(limits=limits)


def test_a_cell_far_below_the_others_is_named(tmp_path):
    workbook(tmp_path / "a.xlsx", curve_cells() | {"XFD20000": 1.0})
    with pytest.raises(Unusable, match=r"something in row 20000, below 19,988 empty rows.*curves=\{'limits': 2\}"):
        read_curve(tmp_path / "a.xlsx", CurveFiles())
    workbook(tmp_path / "b.xlsx", curve_cells() | {"XFD9000": None})  # formatted, empty
    np.testing.assert_array_equal(read_curve(tmp_path / "b.xlsx", CurveFiles()).x, np.arange(2.0, 12.0))


def test_a_workbook_that_inflates_by_more_than_numbers_do_is_not_opened(tmp_path):
    path = tmp_path / "a.xlsx"
    workbook(path, curve_cells())
    with zipfile.ZipFile(path) as file:
        members = {n: file.read(n) for n in file.namelist()}
    sheet = members["xl/worksheets/sheet1.xml"]
    members["xl/worksheets/sheet1.xml"] = sheet.replace(b"</sheetData>", b"<row/>\n\n" * 5_000_000 + b"</sheetData>")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(Unusable, match="bytes when inflated for each of its"):
        read_curve(path, CurveFiles())
    with zipfile.ZipFile(path) as file:
        check_archive(file, path.stat().st_size, partial(check_limit, error=Unusable, limits=10))


def announcing(path, shape, kind="<f8", held=64):
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + bytes(held))


@pytest.mark.parametrize(
    ("shape", "kind", "why"),
    [
        ((5 * 10**11, 2), "<f8", "announces shape .* and has 192"),
        ((4, 2), "<f8", None),
        ((2, 5), "<f8", "cut short"),
        ((0, 2), "<f8", "holds no number"),
        ((2, 2), "|O", "of object"),
        ((2, 2), "<U4", "of <U4"),
        ("(" * 90, "<f8", "is no NumPy array"),
        ("(-2, 2)", "<f8", "."),
    ],
)
def test_arrays_are_measured_before_they_are_read(tmp_path, shape, kind, why):
    announcing(tmp_path / "a.npy", shape, kind)
    if why is None:
        assert read_curve(tmp_path / "a.npy", CurveFiles()).read == 4
        return
    for read in (lambda p: read_curve(p, CurveFiles()), lambda p: read_size(p, ImageFiles())):
        with pytest.raises(Unusable, match=why):
            read(tmp_path / "a.npy")


def test_named_arrays_are_measured_before_they_are_read(tmp_path):
    netcdf, scipy = pytest.importorskip("netCDF4"), pytest.importorskip("scipy.io")
    x = np.arange(5.0)
    with netcdf.Dataset(tmp_path / "a.h5", "w") as file:
        file.createDimension("row", 5)
        file.createDimension("many", 4 * 10**6)
        for name, dim in (("x", "row"), ("y", "row"), ("z", "many")):  # nothing was ever written into the last
            file.createVariable(name, "f8", (dim,), zlib=True, chunksizes=(5,) if dim == "row" else (10**6,))
        file["x"][:], file["y"][:] = x, 2 * x
    scipy.savemat(tmp_path / "a.mat", {"x": x, "y": 2 * x, "z": np.zeros(4 * 10**6)}, do_compression=True)
    for name in ("a.h5", "a.mat"):
        with pytest.raises(Unusable, match=r"bytes when inflated for each of its .*, curves=\{'limits': \d+\}$"):
            read_tables(tmp_path / name)
        (table,) = read_tables(tmp_path / name, limits=1e4)
        np.testing.assert_array_equal(table.values, np.column_stack([x, 2 * x]))
    with netcdf.Dataset(tmp_path / "b.h5", "w") as file:
        file.createDimension("row", 5)
        file.createDimension("many", 10**8)
        for name in ("x", "y"):
            file.createVariable(name, "f8", ("row",))[:] = x
        file.createVariable("z", "f8", ("many",), zlib=True, chunksizes=(10**6,))
    (table,) = read_tables(tmp_path / "b.h5")
    assert table.notes == ("1 very large array left out: z",)


def test_a_picture_that_inflates_by_more_than_photographs_do(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    pil.new("RGB", (7000, 7000)).save(tmp_path / "a.png")
    with pytest.raises(Unusable, match=r"bytes when inflated for each of its .*images=\{'limits': \d+\}$"):
        read_size(tmp_path / "a.png", ImageFiles())
    assert read_size(tmp_path / "a.png", ImageFiles(limits=100)) == (7000, 7000)


def test_pages_and_pixels_have_limits_that_an_option_raises(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2100, 2, 2), np.uint8))
    with pytest.raises(Unusable, match=r"2,100 pages, more than the 2,048 that are read.*images=\{'limits': 2\}"):
        read_size(tmp_path / "a.npy", ImageFiles())
    assert read_picture(tmp_path / "a.npy", ImageFiles(limits=2), (2, 2)).pixels.shape == (2100, 1, 2, 2)
    np.save(tmp_path / "b.npy", np.zeros((100, 0), np.uint8))
    with pytest.raises(Unusable, match="holds no number"):
        read_size(tmp_path / "b.npy", ImageFiles())


@pytest.mark.parametrize("size", ["64x64", (64,), (64, 64.5), 0, (1, 2, 3), "64"])
def test_a_size_that_is_none_is_said(size):
    with pytest.raises(OptionError, match="size is"):
        ImageFiles(size=size)


def test_resizing_in_bands_is_resizing_at_once(monkeypatch):
    pil = pytest.importorskip("PIL.Image")
    page = np.random.default_rng(0).random((157, 83)).astype(np.float32)
    monkeypatch.setattr("pima_toolkit.ingest.formats.images._BAND", 900)
    for size in ((31, 17), (64, 64), (300, 200), (1, 1), (157, 20)):
        inner_h, inner_w = (
            min(157, max(1, round(83 * size[0] / size[1]))),
            min(83, max(1, round(157 * size[1] / size[0]))),
        )
        top, left = (157 - inner_h) // 2, (83 - inner_w) // 2
        inner = page[top : top + inner_h, left : left + inner_w]
        whole = np.asarray(pil.fromarray(inner).resize(size[::-1], pil.Resampling.BILINEAR))
        np.testing.assert_allclose(resize(page[None, ..., None], size, [])[0, ..., 0], whole, atol=2e-6)


@pytest.mark.parametrize(
    "sign", ["_", "(", "a[", " ", ".", "1", "#", "1,", "= ", "\u00a0", "unit ", '"', "/ ", "1 234"]
)
def test_a_hundred_thousand_signs_anywhere_take_no_time(tmp_path, sign):
    """Patterns that try every way to part a text would take minutes to hours."""
    long = sign * (100_000 // len(sign))
    path = tmp_path / "a.csv"
    path.write_text(HEAD + ROWS)
    read_curve(path, CurveFiles())  # what is loaded once
    for text in (
        f"a{long}b\n{HEAD}{ROWS}",
        f"Strain{long}unit: %!\n{HEAD}{ROWS}",
        f"Strain [%];Stress{long}.\n{ROWS}",
        f"Strain [%];Stress [{long}]\n{ROWS}",
        f"Strain;Stress\n%;{long}\n{ROWS}",
        f"{HEAD}{ROWS}{long};3\n4.0;41\n",
        f"Specimen {long}\n{HEAD}{ROWS}Specimen {long}x\n{HEAD}{ROWS}",
    ):
        path.write_text(text, encoding="utf-8")
        start = time.process_time()
        said = ""
        try:
            read_curve(path, CurveFiles())
        except Unusable as error:
            said = str(error)
        assert len(said) < 1000
        assert time.process_time() - start < 4.0


def test_a_row_of_a_million_is_refused_before_it_is_taken_apart(tmp_path):
    for k, sign in enumerate(",;\t |"):
        path = tmp_path / f"a{k}.csv"
        path.write_text(f"0{sign}" * 60_000 + "\n")
        with pytest.raises(Unusable, match="more than the 50,000 that are read"):
            read_curve(path, CurveFiles())


@pytest.mark.parametrize("chunks", [[10**10], [1], [5 * 10**8]])
def test_a_zarr_folder_that_announces_what_it_does_not_hold(tmp_path, chunks):
    pytest.importorskip("zarr")
    path = tmp_path / "a.zarr"
    (path / "x").mkdir(parents=True)
    (path / ".zgroup").write_text(json.dumps({"zarr_format": 2}))
    told = {"zarr_format": 2, "shape": [10**9], "chunks": chunks, "dtype": "<f8", "compressor": None, "fill_value": 0.0}
    (path / "x/.zarray").write_text(json.dumps(told | {"order": "C", "filters": None}))
    (path / "x/.zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["specimen"]}))
    with pytest.raises(FileFormatError, match=r"a\.zarr holds or announces .* pima\.open_data\(path, limits="):
        pima.open_data(path)


def test_a_zarr_folder_with_links_is_not_followed(tmp_path):
    pytest.importorskip("zarr")
    pima.save_data(xr.Dataset({"x": ("specimen", np.arange(3.0))}), tmp_path / "a.zarr")
    (tmp_path / "a.zarr/x").rename(tmp_path / "elsewhere")
    (tmp_path / "a.zarr/x").symlink_to("../elsewhere", target_is_directory=True)
    with pytest.raises(FileFormatError, match=r"holds a link \(x\)"):
        pima.open_data(tmp_path / "a.zarr")


def test_a_netcdf_file_that_announces_what_it_does_not_hold(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    for name, size in (("a.nc", 5 * 10**8), ("b.nc", 5 * 10**6)):
        with netcdf.Dataset(tmp_path / name, "w") as file:
            file.createDimension("specimen", size)
            file.createVariable("x", "f8", ("specimen",), zlib=True, chunksizes=(10**6,))
    with pytest.raises(FileFormatError, match=r"a\.nc holds or announces"):
        pima.open_data(tmp_path / "a.nc")
    assert pima.open_data(tmp_path / "b.nc")["x"].size == 5 * 10**6
