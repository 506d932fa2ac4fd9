"""The family of readers: each format gives what was written, in bounded memory; a stranger's stands among them."""

import tracemalloc
import types

import netCDF4
import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import DataError, PimaWarning, require
from pima_toolkit.experts import Manager, use_manager
from pima_toolkit.ingest import ColumnReader, Columns, PixelReader
from pima_toolkit.ingest.formats.registry import FORMATS, kind_by_name, kind_of, picture_size, read_columns, read_pixels
from pima_toolkit.plugins.manager import PluginRecord

ROWS = 20_000
STRAIN = np.round(np.linspace(0.0, 0.2, ROWS), 8)
TABLE = np.stack([STRAIN, np.round(200.0 * STRAIN, 6)], axis=1)
PICTURE = np.random.default_rng(0).integers(0, 255, (300, 200, 3), np.uint8)


def text(path):
    rows = "\n".join(f"{x};{y}" for x, y in TABLE)
    path.write_text(f"Strain (1);Stress [MPa]\n{rows}\n", encoding="utf-8")


def workbook(path):
    book = require("openpyxl", "a test").Workbook()
    for row in [["Strain (1)", "Stress [MPa]"], *TABLE[:2000].tolist()]:
        book.active.append(row)
    book.save(path)


def photograph(path):
    require("PIL.Image", "a test").fromarray(PICTURE).save(path)


def tiff(path):
    require("tifffile", "a test").imwrite(path, PICTURE)


def jcamp(path):
    """Pairs of x and y, as peak tables are written."""
    head = "##TITLE=a\n##JCAMP-DX=4.24\n##XUNITS=1/CM\n##YUNITS=ABSORBANCE\n##XYPOINTS=(XY..XY)\n"
    path.write_text(head + "".join(f"{x!r},{y!r}\n" for x, y in TABLE.tolist()) + "##END=\n", encoding="ascii")


WRITTEN = (("Strain", "Stress"), ("1", "MPa"))


#: Name of a format -> file name, how to write it, names and units expected (None: a picture), values expected, and the
#: most memory that reading may take, as a multiple of the values read.
def netcdf(path):
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("point", len(TABLE))
        for name, unit, column in zip(*WRITTEN, TABLE.T, strict=True):
            variable = file.createVariable(name, "f8", ("point",))
            variable[:] = column
            variable.units = unit


FORMAT_CASES = {
    "text": ("a.csv", text, WRITTEN, TABLE, 60),
    "workbook": ("a.xlsx", workbook, WRITTEN, TABLE[:2000], 120),
    "array_of_columns": ("a.npy", lambda path: np.save(path, TABLE), (("", ""), (None, None)), TABLE, 4),
    "named_arrays": ("a.nc", netcdf, WRITTEN, TABLE, 8),
    "jcamp": ("a.jdx", jcamp, (("wavenumber", "absorbance"), ("1/cm", None)), TABLE, 30),
    "photograph": ("a.png", photograph, None, PICTURE[None], 8),
    "tiff": ("a.tif", tiff, None, PICTURE[None], 8),
    "array_of_pixels": ("a.npy", lambda path: np.save(path, PICTURE), None, PICTURE[None], 4),
}


@pytest.fixture
def session():
    """Start without the plugins that are installed."""
    with use_manager(Manager([])) as manager:
        yield manager


def test_every_format_has_a_case():
    assert set(FORMAT_CASES) == {name for name in FORMATS.names() if FORMATS.source(name) is None}


@pytest.mark.parametrize("name", FORMAT_CASES)
def test_a_format_gives_what_was_written_in_bounded_memory(name, tmp_path, session):
    file, write, headers, expected, most = FORMAT_CASES[name]
    path = tmp_path / file
    write(path)
    reader = FORMATS.get(name)
    assert path.suffix in reader.suffixes
    assert reader.recognises(path)
    ask = read_pixels if headers is None else read_columns
    ask(path)  # libraries that load on first use are not counted
    tracemalloc.start()
    content = ask(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if headers is None:
        np.testing.assert_array_equal(content.pages, expected)
        assert picture_size(path) == PICTURE.shape[:2]
    else:
        assert (content.names, content.units) == headers
        np.testing.assert_array_equal(content.values, expected)
    assert peak < most * expected.nbytes


class Relaxation(ColumnReader):
    """Text files with a first line of their own."""

    suffixes = (".rlx", ".txt")

    def recognises(self, path):
        return path.read_text().startswith("RELAX")

    def read(self, path, sheet=None):  # noqa: ARG002
        values = np.array([list(map(float, line.split())) for line in path.read_text().splitlines()[1:]])
        return Columns(("time", "stress"), ("h", "MPa"), values)


def given(manager, reader, name="relaxation"):
    plugin = types.SimpleNamespace(pima_readers=pima.hookimpl(lambda: {name: reader}))
    manager.add_plugin(plugin, PluginRecord("stranger", "stranger", "stranger", "1"))


def relaxation_folder(folder):
    for k in range(1, 4):
        lines = "\n".join(f"{t} {k * t}" for t in range(1, 6))
        (folder / f"S{k}.rlx").write_text(f"RELAX\n{lines}\n")
    return folder


def test_a_strangers_format_is_read_like_ours(tmp_path, session):
    with pytest.raises(DataError, match="holds no pictures and no curves"):
        pima.from_folder(relaxation_folder(tmp_path))
    given(session, Relaxation)
    data = pima.from_folder(tmp_path)
    assert list(data.data_vars) == ["stress"]
    assert data["stress"].dims == ("specimen", "time")
    np.testing.assert_allclose(data["stress"].sel(specimen="S2"), 2.0 * np.arange(1, 6))
    assert data["time"].attrs["units"] == "h"


def test_a_strangers_reader_of_an_ending_of_ours_takes_the_files_it_recognises(tmp_path, session):
    given(session, Relaxation)
    (tmp_path / "a.txt").write_text("RELAX\n1 2\n2 3\n")
    (tmp_path / "b.txt").write_text("time strain\n1 2\n2 3\n")
    assert [read_columns(tmp_path / f"{n}.txt").units for n in "ab"] == [("h", "MPa"), (None, None)]
    assert kind_of(tmp_path / "b.txt") == kind_by_name("c.rlx") == "curves"


def test_a_reader_that_fails_costs_its_file_alone(tmp_path, session):
    given(session, Relaxation)
    relaxation_folder(tmp_path)
    (tmp_path / "S2.rlx").write_text("RELAX\none two\n")
    with pytest.warns(PimaWarning, match=r"S2\.rlx: cannot be read by the reader 'relaxation' of .*ValueError"):
        data = pima.from_folder(tmp_path)
    assert list(data.specimen.values) == ["S1", "S3"]


@pytest.mark.parametrize("wrong", [PixelReader, Columns, "text", type("Bare", (Relaxation,), {"suffixes": "txt"})])
def test_what_is_no_reader_is_refused(session, wrong):
    with pytest.raises(DataError, match=r"no reader|suffixes"):
        given(session, wrong)
