"""Datasets on disk: what is read is what was written, nothing half-written, nothing executed."""

import json

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data.files import replacing
from pima_toolkit.errors import DataError, FileFormatError, OptionError, StorageError


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    stress = rng.random((3, 50))
    stress[1, 40:] = np.nan
    return xr.Dataset(
        {
            "image": (("specimen", "y", "x"), rng.integers(0, 255, (3, 30, 20), dtype=np.uint8)),
            "stress": (("specimen", "strain"), stress, {"units": "MPa"}),
            "image_present": ("specimen", np.array([True, False, True])),
            "duration": ("specimen", np.array([1.5, 2.0, np.nan]), {"units": "s"}),
        },
        coords={
            "specimen": ["a", "b ü", "c"],
            "strain": np.linspace(0, 1, 50),
            "supplier": ("specimen", np.array(["x", None, "yy"], dtype=object)),
        },
        attrs={"title": "A", "none": None, "flag": True, "sizes": [1, 2], "long": "ü" * 200_000},
    )


@pytest.mark.parametrize("name", ["data.nc", "new folder/data.zarr"])
def test_what_is_read_is_what_was_written(data, tmp_path, name):
    path = pima.save_data(data, tmp_path / name)
    read = pima.open_data(path)
    expected = data.assign_coords(supplier=("specimen", ["x", "", "yy"]))
    expected.attrs |= {"none": "None", "flag": "True", "sizes": np.array([1, 2])}
    xr.testing.assert_identical(read, expected)
    for variable in ("specimen", "supplier"):
        assert read[variable].dtype.kind == "U"
    assert read.duration.dtype == float
    again = pima.open_data(pima.save_data(read.isel(specimen=[0, 2]), path))  # over the earlier one
    xr.testing.assert_identical(again, expected.isel(specimen=[0, 2]))
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_variables_of_a_folder_come_in_one_order(data, tmp_path):
    """A folder has none of its own, and the order of modalities decides what random numbers each gets."""
    turned = data[list(data.data_vars)[::-1]]
    assert list(pima.open_data(pima.save_data(turned, tmp_path / "data.zarr")).data_vars) == sorted(data.data_vars)


@pytest.mark.parametrize("name", ["data.nc", "data.zarr"])
def test_a_failed_write_leaves_what_was_there(data, tmp_path, name, monkeypatch):
    path = pima.save_data(data, tmp_path / name)

    def full(self, to, **_):
        to.mkdir() if name.endswith("zarr") else to.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    monkeypatch.setattr(xr.Dataset, "to_zarr", full)
    with pytest.raises(StorageError, match=r"could not be written .*No space left.*what stood there before still does"):
        pima.save_data(data.isel(specimen=[0]), path)
    monkeypatch.undo()
    assert pima.open_data(path).sizes["specimen"] == 3
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a") as part:  # noqa: PT012
        part.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_no_file_can_hold_is_refused(data, tmp_path):
    with pytest.raises(DataError, match=r"'thing' holds objects \(dict\)"):
        pima.save_data(data.assign(thing=("specimen", np.array([{}, "a", None], dtype=object))), tmp_path / "a.nc")
    with pytest.raises(DataError, match="multi-index"):
        pima.save_data(data.stack(both=("y", "x")), tmp_path / "a.nc")
    with pytest.raises(DataError, match=r"is DataArray, expected an xarray.Dataset"):
        pima.save_data(data.stress, tmp_path / "a.nc")
    reserved = data.assign(stress=data.stress.assign_attrs(_FillValue=[1.0, 2.0]))
    with pytest.raises(DataError, match=r"\.nc files cannot hold this dataset"):
        pima.save_data(reserved, tmp_path / "a.nc")
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_are_refused(data, tmp_path):
    with pytest.raises(OptionError, match=r"'data.csv' ends neither in .nc"):
        pima.save_data(data, tmp_path / "data.csv")
    for name in ("photos.zarr", "photos.nc"):
        (tmp_path / name).mkdir()
        with pytest.raises(OptionError, match="a folder that holds other things"):
            pima.save_data(data, tmp_path / name)
    with pytest.raises(FileFormatError, match="is no Zarr folder"):
        pima.open_data(tmp_path / "photos.zarr")


def test_files_that_are_no_data(data, tmp_path):
    pima.save_data(data, tmp_path / "specimens.nc")
    with pytest.raises(FileFormatError, match=r"specimen.nc does not exist.*did you mean 'specimens.nc'"):
        pima.open_data(tmp_path / "specimen.nc")
    (tmp_path / "text.nc").write_text("no data")
    with pytest.raises(FileFormatError, match=r"text.nc cannot be read"):
        pima.open_data(tmp_path / "text.nc")
    content = (tmp_path / "specimens.nc").read_bytes()
    (tmp_path / "cut.nc").write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError, match=r"cut.nc cannot be read"):
        pima.open_data(tmp_path / "cut.nc")


def test_nothing_is_unpickled(data, tmp_path):
    path = pima.save_data(data, tmp_path / "data.zarr")
    file = path / "specimen" / ".zarray"
    about = json.loads(file.read_text())
    file.write_text(json.dumps(about | {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(FileFormatError, match=r"holds pickled objects \(specimen/.zarray\)"):
        pima.open_data(path)
    file.write_text("{")
    with pytest.raises(FileFormatError, match=r"is damaged: specimen/.zarray is no JSON"):
        pima.open_data(path)
