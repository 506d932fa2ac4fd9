"""HDF5, NetCDF and MATLAB files whose arrays have names: groups, records, axes, units, and what they state beside."""

import netCDF4
import numpy as np
import pytest
import scipy.io
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest.formats.registry import kind_of, read_tables

X = np.linspace(0, 2, 40)
FORCE = 300 * X


def hdf5(path, groups=("",), **stated):
    """Force and extension in each group, as NetCDF-4, which is HDF5."""
    with netCDF4.Dataset(path, "w") as file:
        file.setncatts(stated)
        for name in groups:
            group = file.createGroup(name) if name else file
            group.createDimension("row", X.size)
            group.createDimension("one", 1)
            for title, unit, values in (("Extension", "mm", X), ("Force", "N", FORCE)):
                variable = group.createVariable(title, "f8", ("row", "one"), fill_value=-1.0)
                variable[:] = values[:, None]
                variable.units = unit
            single = group.createVariable("thickness", "f8")
            single[:] = 2.5
            single.units = "mm"


def test_arrays_of_one_length_are_a_table(tmp_path):
    hdf5(tmp_path / "A1.h5", width="8.0 mm", operator="N. N.")
    (table,) = read_tables(tmp_path / "A1.h5")
    assert (table.names, table.units) == (("Extension", "Force"), ("mm", "N"))
    np.testing.assert_array_equal(table.values, np.column_stack([X, FORCE]))
    assert table.stated == {"width": (8.0, "mm"), "thickness": (2.5, "mm")}
    assert table.place == "arrays at the top"


def test_a_folder_of_them_with_what_they_state(tmp_path):
    for k in (1, 2):
        hdf5(tmp_path / f"A{k}.h5", width="8.0 mm", gauge_length=f"{25 * k} mm")
    data = pima.from_folder(tmp_path, curves={"geometry": True}, progress=False)
    np.testing.assert_allclose(data.stress[1], FORCE / 20)
    np.testing.assert_allclose(data.strain[1], X / 50)


def test_groups_are_several_tables(tmp_path):
    hdf5(tmp_path / "batch.h5", ("P1", "P2"))
    assert [table.title for table in read_tables(tmp_path / "batch.h5")] == ["P1", "P2"]
    assert [table.title for table in read_tables(tmp_path / "batch.h5", "P2")] == ["P2"]
    data = pima.from_folder(tmp_path, curves={"specimens": "blocks"}, progress=False)
    assert data.specimen.values.tolist() == ["P1", "P2"]
    with pytest.raises(pima.PimaError, match="holds several"):
        pima.from_folder(tmp_path, progress=False)


def test_gaps_and_scaled_numbers(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("time", 5)
        time = file.createVariable("time", "f8", ("time",))
        time[:] = np.arange(5)
        time.units = "seconds since 2024-01-01 00:00:00"
        mass = file.createVariable("mass", "i2", ("time",), fill_value=-99)
        mass.scale_factor = 0.5
        mass.units = "mg"
        mass[:] = np.ma.masked_equal([10, 20, -1, 30, 40], -1)
    (table,) = read_tables(tmp_path / "a.nc")
    assert table.units == ("seconds", "mg")
    np.testing.assert_array_equal(table.values[:, 1], [10, 20, np.nan, 30, 40])


def test_rows_over_an_axis(tmp_path):
    xr.Dataset(
        {"absorbance": (("scan", "wavelength"), np.arange(12.0).reshape(3, 4))},
        coords={"wavelength": ("wavelength", [1.0, 2.0, 3.0, 4.0], {"units": "nm"})},
    ).to_netcdf(tmp_path / "plate.nc")
    (table,) = read_tables(tmp_path / "plate.nc")
    assert table.names == ("wavelength", "absorbance 1", "absorbance 2", "absorbance 3")
    data = pima.from_folder(tmp_path, curves={"specimens": "columns"}, progress=False)
    assert data.sizes["specimen"] == 3


def test_records(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.h5", "w") as file:
        kind = np.dtype([("strain", "f8"), ("stress", "f8")])
        file.createCompoundType(kind, "reading")
        file.createDimension("row", 4)
        rows = file.createVariable("readings", file.cmptypes["reading"], ("row",))
        rows[:] = np.array([(0, 0), (1, 5), (2, 7), (3, 9)], dtype=kind)
    (table,) = read_tables(tmp_path / "a.h5")
    assert table.names == ("strain", "stress")
    np.testing.assert_array_equal(table.values[:, 1], [0, 5, 7, 9])


def test_matlab_before_and_from_version_7_3(tmp_path):
    scipy.io.savemat(tmp_path / "old.mat", {"strain": X / 50, "stress": FORCE[:, None], "width": 8.0, "who": "me"})
    scipy.io.savemat(tmp_path / "struct.mat", {"test": {"strain": X, "stress": FORCE}, "other": {"a": 1.0}})
    with netCDF4.Dataset(tmp_path / "plain.h5", "w") as file:
        file.createDimension("one", 1)
        file.createDimension("row", X.size)
        for name, values in (("strain", X / 50), ("stress", FORCE)):
            file.createVariable(name, "f8", ("one", "row"))[:] = values[None]
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512)
    (tmp_path / "new.mat").write_bytes(head + (tmp_path / "plain.h5").read_bytes())
    for name, title in (("old", ""), ("new", ""), ("struct", "test")):
        (table,) = read_tables(tmp_path / f"{name}.mat")
        assert (table.names, table.title) == (("strain", "stress"), title)
        np.testing.assert_array_equal(table.values[:, 1], FORCE)
    assert read_tables(tmp_path / "old.mat")[0].stated == {"width": (8.0, "")}


def test_a_dataset_of_this_toolkit_is_no_measurement(tmp_path):
    hdf5(tmp_path / "A1.h5")
    data = pima.from_folder(tmp_path, progress=False)
    pima.save_data(data, tmp_path / "all.nc")
    assert kind_of(tmp_path / "all.nc") is None
    again = pima.from_folder(tmp_path, progress=False)
    assert again.sizes["specimen"] == 1


@pytest.mark.parametrize("name", ["a.h5", "a.nc", "a.mat"])
def test_what_is_damaged_or_something_else_is_refused(tmp_path, name):
    for content, why in (
        (b"", "is empty"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 600, "damaged"),
        (b"hello " * 200, "damaged"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(Unusable, match=why):
            read_tables(tmp_path / name)


def test_arrays_that_are_no_curve(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.h5", "w") as file:
        file.createDimension("row", 4)
        file.createVariable("lonely", "f8", ("row",))[:] = np.arange(4)
    with pytest.raises(Unusable, match=r"no two arrays of numbers of one length side by side \(/lonely \(4,\)\)"):
        read_tables(tmp_path / "a.h5")
