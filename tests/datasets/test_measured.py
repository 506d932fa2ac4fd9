"""The loaders of measured data: where they look, what they refuse, and what the real files hold."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pima_toolkit import datasets
from pima_toolkit.data import Wanted, read, split
from pima_toolkit.datasets import _store
from pima_toolkit.errors import DataError, FileFormatError, MissingDependency, OptionError

SMALL = _store.PublishedFile("sub/small.npz", "a test", {"a": (-1, 2), "b": (3,)})
ARRAYS = {"a": np.ones((5, 2)), "b": np.arange(3)}
LOADERS: dict[str, Callable[..., xr.Dataset]] = {
    "mnist": datasets.mnist,
    "spinodoid": datasets.spinodoid,
    "304L": partial(datasets.metal_tension, "304L"),
    "6061": partial(datasets.metal_tension, "6061"),
}


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> Path:
    """No PIMA_DATA, an empty cache."""
    monkeypatch.delenv("PIMA_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_store, "cache_folder", lambda: tmp_path / "cache" / "pima_toolkit")
    return tmp_path


def save(path: Path, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


@pytest.fixture
def real():
    """Skips where the files are not."""
    if not os.environ.get("PIMA_DATA"):
        pytest.skip("PIMA_DATA is not set to the folder of measured data")


# --- finding ---------------------------------------------------------------------------------------------------------


def test_the_path_wins_then_the_folder_then_the_cache(nowhere, monkeypatch):
    cached = save(nowhere / "cache/pima_toolkit/sub/small.npz", **ARRAYS)
    assert SMALL.find() == cached
    folder = save(nowhere / "folder/sub/small.npz", **ARRAYS)
    monkeypatch.setenv("PIMA_DATA", str(nowhere / "folder"))
    assert SMALL.find() == folder
    given = save(nowhere / "given/small.npz", **ARRAYS)
    assert SMALL.find(given) == SMALL.find(given.parent) == given
    assert SMALL.find(nowhere / "folder") == folder
    monkeypatch.setenv("PIMA_DATA", str(nowhere / "empty"))
    assert SMALL.find() == cached


def test_a_wrong_path_is_not_searched_past(nowhere):
    save(nowhere / "cache/pima_toolkit/sub/small.npz", **ARRAYS)
    with pytest.raises(DataError, match=r"no file 'sub/small.npz' at path=.*give the file, or its folder"):
        SMALL.load(nowhere / "elsewhere")


@pytest.mark.parametrize("loader", ["spinodoid", "304L", "6061"])
def test_nowhere_says_what_to_do(nowhere, loader):
    with pytest.raises(DataError, match=r"is not here.*PIMA_DATA \(not set\).*github\.com.*npz of the arrays.*path="):
        LOADERS[loader]()


def test_an_unknown_alloy():
    with pytest.raises(OptionError, match=r"alloy='316L' is not there, expected one of '304L', '6061'"):
        datasets.metal_tension("316L")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": ARRAYS["a"]}, r"lacks the array 'b', expected a, b"),
        ({**ARRAYS, "b": np.arange(4)}, r"'b' has shape \(4,\), expected \(3,\)"),
        ({**ARRAYS, "a": np.ones(2)}, r"'a' has shape \(2,\), expected \(-1, 2\)"),
        ({**ARRAYS, "a": np.array([["x", None]] * 5, dtype=object)}, r"cannot be read as an npz .*pickle"),
    ],
)
def test_files_are_checked(nowhere, arrays, message):
    with pytest.raises(FileFormatError, match=message):
        SMALL.load(save(nowhere / "small.npz", **arrays))


def test_a_file_that_is_no_npz(nowhere):
    np.save(nowhere / "one.npy", np.ones(3))
    with pytest.raises(FileFormatError, match=r"is no npz, expected one of the arrays a, b"):
        SMALL.load(nowhere / "one.npy")
    (nowhere / "text.npz").write_text("hello")
    with pytest.raises(FileFormatError, match=r"is no npz"):
        SMALL.load(nowhere / "text.npz")
    cut = bytearray(save(nowhere / "cut.npz", **ARRAYS).read_bytes())
    cut[60:90] = bytes(30)
    (nowhere / "cut.npz").write_bytes(cut)
    with pytest.raises(FileFormatError, match=r"cannot be read as an npz"):
        SMALL.load(nowhere / "cut.npz")


def test_a_look_alike_of_mnist_is_refused(nowhere):
    zeros = {name: np.zeros(shape, np.uint8) for name, shape in datasets_mnist_arrays().items()}
    with pytest.raises(FileFormatError, match=r"MNIST's shapes but not its labels \(counts \[60000, 0"):
        datasets.mnist(path=save(nowhere / "mnist.npz", **zeros))


def datasets_mnist_arrays() -> dict[str, tuple[int, ...]]:
    return sys.modules["pima_toolkit.datasets.mnist"].STORED.arrays


# --- downloading -----------------------------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def served(nowhere):
    """A small file behind a local address; its PublishedFile with a right checksum, and the folder."""
    file = save(nowhere / "www/small.npz", **ARRAYS)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(file.parent)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield _store.PublishedFile(
        "small.npz",
        "a test",
        SMALL.arrays,
        url=f"http://127.0.0.1:{server.server_address[1]}/small.npz",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_is_checked_and_kept(served, nowhere):
    np.testing.assert_array_equal(served.load()["b"], ARRAYS["b"])
    (nowhere / "www/small.npz").unlink()
    assert served.find() == nowhere / "cache/pima_toolkit/small.npz"


def test_a_download_with_another_checksum_is_refused(served, nowhere):
    wrong = _store.PublishedFile(served.name, served.source, served.arrays, served.url, "0" * 64)
    with pytest.raises(DataError, match=r"could not be downloaded .*give path="):
        wrong.load()
    assert not (nowhere / "cache/pima_toolkit/small.npz").exists()


def test_no_network(served):
    gone = _store.PublishedFile(
        served.name, served.source, served.arrays, "http://127.0.0.1:9/small.npz", served.sha256
    )
    with pytest.raises(DataError, match=r"could not be downloaded"):
        gone.load()


@pytest.mark.parametrize("library", ["pooch", "platformdirs"])
def test_missing_libraries(served, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependency, match=f"pip install {library}"):
        served.load() if library == "pooch" else CACHE_FOLDER()


CACHE_FOLDER = _store.cache_folder


def test_the_cache_is_the_users():
    assert CACHE_FOLDER().name == "pima_toolkit"


# --- the real files --------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_mnist(real, check_stated):
    data = datasets.mnist(noise_variance=0.5, seed=1)
    check_stated(data)
    assert data["image"].shape == (70000, 28, 28)
    assert data["image"].dtype == np.float32
    assert (float(data["image"].min()), float(data["image"].max())) == (0, 1)
    assert data["label"].values[:5].tolist() == [5, 0, 4, 1, 9]
    assert dict(zip(*np.unique(data["split"], return_counts=True), strict=True)) == {"test": 10000, "train": 60000}
    residual = (data["line"] - data["label"] * data["t"]).values
    assert residual.var() == pytest.approx(0.5, rel=0.01)


@pytest.mark.data
def test_spinodoid(real, check_stated):
    data = datasets.spinodoid()
    check_stated(data)
    assert data["image"].shape == (321, 152, 152)
    assert data["stress"].shape == (321, 100)
    assert float(data["strain"][-1]) == pytest.approx(0.45)
    assert "rendered" in data.attrs["title"]
    assert "not a photograph" in data["image"].attrs["notes"]
    assert "states no unit" in data["stress"].attrs["units_note"]
    assert np.bincount(data["morphology"]).tolist() == [3] * 107
    kinds = dict(zip(*np.unique(data["topology"], return_counts=True), strict=True))
    assert kinds == {"lamellar": 33, "columnar": 108, "cubic": 180}
    angles = (data["theta"] > 0).sum("angle").values
    assert np.array_equal(angles - 1, [["lamellar", "columnar", "cubic"].index(k) for k in data["topology"].values])
    soft = data["stress"].sel(strain=0.1, method="nearest")[data["topology"] == "lamellar"].groupby("load_axis").mean()
    assert float(soft.sel(load_axis="z")) < 0.5 * float(soft.sel(load_axis="x"))  # across the layers is softest
    train, test = split(data, group="morphology")
    assert not set(train["morphology"].values) & set(test["morphology"].values)
    for name in ("image", "stress"):
        assert read(data, {name: Wanted(physics=name == "stress")})[name].present.all()


@pytest.mark.data
@pytest.mark.parametrize(("alloy", "count"), [("304L", 64), ("6061", 57)])
def test_metal_tension(real, check_stated, alloy, count):
    data = datasets.metal_tension(alloy)
    check_stated(data)
    assert data.sizes["specimen"] == count
    stress = data["stress"]
    assert (stress.attrs["units"], stress.attrs["independent"]) == ("MPa", "strain")
    assert np.array_equal(stress.isnull(), data["strain"].isnull())
    last = stress.notnull().sum("point") - 1
    np.testing.assert_array_equal(stress.isel(point=last), stress.max("point"))  # every curve ends at its peak
    m = read(data, {"stress": Wanted(physics=True)})["stress"]
    assert m.ragged
    assert m.schema.t_name == "strain"
    whole = datasets.metal_tension(alloy, until_peak=False)
    assert not whole["stress"].isnull().any()
    np.testing.assert_array_equal(whole["stress"].max("point"), stress.max("point"))


@pytest.mark.data
def test_metal_tension_conditions(real):
    steel, aluminium = datasets.metal_tension("304L"), datasets.metal_tension("6061")
    rates = dict(zip(*np.unique(steel["strain_rate"], return_counts=True), strict=True))
    assert rates == {1e-4: 15, 1e-2: 9, 500.0: 14, 1800.0: 14, 3600.0: 12}
    peaks = aluminium["stress"].max("point").groupby("temperature").mean()
    assert float(peaks.sel(temperature=23)) == pytest.approx(323, abs=3)
    assert float(peaks.sel(temperature=300)) == pytest.approx(90, abs=3)
    assert set(aluminium["direction"].values) == {"R11", "R22", "R33"}


@pytest.mark.data
@pytest.mark.parametrize("name", LOADERS)
def test_datasets_survive_a_file(real, name, tmp_path):
    data = LOADERS[name]().isel(specimen=slice(5))
    data.to_netcdf(tmp_path / "data.nc")
    with xr.open_dataset(tmp_path / "data.nc") as again:
        xr.testing.assert_equal(again.load(), data)
