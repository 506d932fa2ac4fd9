"""Nothing of the user's is lost: every writer, a path that is a folder, a device, a link, a stop at any moment."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data.files import path_of, refused, replacing, safe_name, write_text
from pima_toolkit.errors import FileFormatError, OptionError, StorageError
from pima_toolkit.fitting.state import write_arrays
from pima_toolkit.fitting.trackers import CSVTracker
from pima_toolkit.report.export import write_answer
from pima_toolkit.report.sheets import write_csv, write_excel
from pima_toolkit.runs.folder import RunFolder

DATA = xr.Dataset({"y": ("specimen", np.arange(3.0))}, coords={"specimen": list("abc")})


@pytest.fixture(scope="module")
def fit():
    t = np.linspace(0.0, 1.0, 10)
    slope = 5.0 + np.random.default_rng(0).standard_normal(12)
    data = xr.Dataset({"y": (("specimen", "t"), slope[:, None] * t)}, coords={"t": t})
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pima.PIMA({"y": pima.Physics("proportional")}, 1).fit(data, progress=False)


def figure():
    made = pytest.importorskip("matplotlib.figure").Figure()
    made.subplots().plot([0, 1])
    return made


def show(path):
    from typer.testing import CliRunner

    from pima_toolkit.cli import app

    result = CliRunner().invoke(app, ["experts", "show", "voce", "--figure", str(path)])
    if result.exit_code:
        raise StorageError(result.output)


WRITERS = {
    "text": (".txt", lambda fit, path: write_text(path, "x")),
    "netcdf": (".nc", lambda fit, path: pima.save_data(DATA, path)),
    "zarr": (".zarr", lambda fit, path: pima.save_data(DATA, path)),
    "fit": (".pima", lambda fit, path: fit.save(path)),
    "report": (".html", lambda fit, path: fit.save_report(path)),
    "figure": (".png", lambda fit, path: pima.save_figure(figure(), path)),
    "csv": (".csv", lambda fit, path: write_csv(path, {"a": np.arange(3)})),
    "excel": (".xlsx", lambda fit, path: write_excel(path, {"a": {"b": np.arange(3)}})),
    "answer": (".csv", lambda fit, path: write_answer(DATA, path)),
    "arrays": (".safetensors", lambda fit, path: write_arrays(path, {}, {})),
    "tracker": (".csv", lambda fit, path: CSVTracker(path).close()),
    "expert": (".svg", lambda fit, path: show(path)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_no_writer_removes_a_folder(fit, tmp_path, name):
    suffix, write = WRITERS[name]
    path = tmp_path / f"mine{suffix}"
    path.mkdir()
    (path / "diary.txt").write_text("kept")
    with pytest.raises((StorageError, OptionError), match=r"(?i)is a (folder|directory)|cannot be|other things"):
        write(fit, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert (path / "diary.txt").read_text() == "kept"


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_replaces_what_is_its_own_and_leaves_nothing_else(fit, tmp_path, name):
    suffix, write = WRITERS[name]
    path = tmp_path / "new" / f"mine{suffix}"
    write(fit, path)
    write(fit, path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_export_goes_into_a_folder_and_never_over_a_file(fit, tmp_path):
    (tmp_path / "notes").write_text("kept")
    with pytest.raises(StorageError, match="is a file, expected a folder"):
        fit.export(tmp_path / "notes")
    (tmp_path / "tables/parameters.csv").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"parameters\.csv is a folder"):
        fit.export(str(tmp_path / "tables"), figures=())
    assert (tmp_path / "notes").read_text() == "kept"


def test_a_folder_of_zarr_with_something_else_in_it_is_not_replaced(tmp_path):
    path = pima.save_data(DATA, tmp_path / "a.zarr")
    pima.save_data(DATA, path)
    (path / "diary.txt").write_text("kept")
    with pytest.raises(OptionError, match=r"holds other things \(diary\.txt\)"):
        pima.save_data(DATA, path)
    assert (path / "diary.txt").read_text() == "kept"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("folder", [False, True])
def test_a_stop_while_writing_keeps_the_old(tmp_path, error, folder):
    path = tmp_path / "a.txt"
    if folder:
        path.mkdir()
        (path / "in").write_text("old")
    else:
        path.write_text("old")
    with pytest.raises(error), replacing(path, folder=folder) as temporary:  # noqa: PT012 - the block is what is stopped
        temporary.mkdir() if folder else temporary.write_text("half")
        raise error
    assert ((path / "in") if folder else path).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_stop_between_the_two_steps_of_replacing_a_folder_keeps_the_old(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "in").write_text("old")
    rename, done = Path.rename, []

    def stopped(self, target):
        done.append(target)
        if len(done) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt), replacing(path, folder=True) as temporary:
        temporary.mkdir()
    assert (path / "in").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_links_stay_links_and_devices_stay_devices(tmp_path):
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StorageError, match="is no file but a device"):
        write_text(tmp_path / "pipe", "x")


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "close it where it is open, as in Excel"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.EIO, "go elsewhere"),
    ],
)
def test_what_the_system_refuses_is_one_sentence_with_what_to_do(tmp_path, number, advice):
    with pytest.raises(StorageError, match=advice) as raised, refused(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert "\n" not in str(raised.value)


def test_long_names_are_written_too(tmp_path):
    path = tmp_path / ("ä" * 120 + ".txt")
    write_text(path, "x")
    assert path.read_text() == "x"
    with pytest.raises(StorageError, match="shorter name"):
        write_text(tmp_path / ("a" * 300), "x")


@pytest.mark.parametrize("path", [None, 7, "", "a\0b", b"", "~nobody_of_that_name/x"])
def test_what_is_no_path_is_said(path):
    with pytest.raises(OptionError, match="is no path"):
        path_of(path)


NAMES = [
    "stress",
    "../up",
    "/etc/passwd",
    "con",
    "NUL.txt",
    "a\nb",
    "\x1b[31m",
    "x" * 300,
    "ä" * 200,
    "",
    ".",
    "..",
    "a.",
]
NAMES += ["a/b", "a\\b", 'q"<>|?*', "Stress", "stress", " x ", "\ud800", "COM1", "\u202etxt", "C:\\x"]


def test_names_of_files_stay_in_their_folder_and_apart(tmp_path):
    taken: set[str] = set()
    made = [safe_name(name, taken) for name in NAMES]
    assert made[0] == "stress"
    assert len({name.lower() for name in made}) == len(NAMES)
    for name in made:
        path = tmp_path / f"{name}.csv"
        assert path.resolve().parent == tmp_path.resolve()
        assert name.isprintable()
        assert len(path.name.encode()) < 200
        path.write_text("x")
    assert len(list(tmp_path.iterdir())) == len(NAMES)
    assert safe_name("populations_Kraft (N)") == "populations_Kraft (N)"


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_names_that_no_file_can_hold_come_back(tmp_path, suffix):
    names = ["force/area", "..", "a b", "Ω", "con"] + (["A B"] if suffix == ".zarr" else [])
    data = xr.Dataset({n: (("specimen", "t/s"), np.full((2, 3), k)) for k, n in enumerate(names)})
    data = data.assign_coords({"t/s": np.arange(3.0)}).assign_attrs(note="kept")
    path = pima.save_data(data, tmp_path / f"a{suffix}")
    back = pima.open_data(path)
    xr.testing.assert_identical(back[names], data[names])
    assert back.attrs == {"note": "kept"}
    lost = xr.Dataset({"x": ("specimen", np.arange(3.0))}, attrs={"pima_names": '{"y": 3, "z": []}'})
    lost.to_netcdf(tmp_path / "b.nc") if suffix == ".nc" else lost.to_zarr(tmp_path / "b.zarr", zarr_format=2)
    with pytest.raises(FileFormatError, match="its note pima_names"):
        pima.open_data(tmp_path / f"b{suffix}")
    again = pima.save_data(lost, tmp_path / f"c{suffix}")  # not read as what it says
    assert "pima_names" not in pima.open_data(again).attrs


def test_figures_are_of_the_kind_and_size_that_is_asked_for(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    for dpi in (50, 200.0):
        path = pima.save_figure(figure(), str(tmp_path / "a.png"), dpi=dpi)
        with pil.open(path) as image:
            assert image.size == (round(6.4 * dpi), round(4.8 * dpi))
    path = pima.save_figure(figure(), tmp_path / "without_ending", format="svg")
    assert path.read_bytes().startswith(b"<?xml")
    for options in ({"format": "docx"}, {"dpi": 0}, {"dpi": "high"}, {"dpi": float("nan")}):
        with pytest.raises(OptionError):
            pima.save_figure(figure(), tmp_path / "a.png", **options)
    with pytest.raises(OptionError, match="no format 'xyz'"):
        pima.save_figure(figure(), tmp_path / "a.xyz")
    odd = figure()
    odd.axes[0].set_title(r"costs $\frac{$ a piece")
    assert pima.save_figure(odd, tmp_path / "b.png").read_bytes() != path.read_bytes()  # drawn as it is written


def test_a_run_tidies_up_what_is_its_own_alone(tmp_path):
    run = RunFolder(tmp_path)
    for name in (".env", ".gitignore", ".pima-unfinished-00.nc"):
        (tmp_path / name).write_text("x")
    with run.locked():
        pass
    assert {p.name for p in tmp_path.iterdir()} == {".env", ".gitignore", ".lock"}
