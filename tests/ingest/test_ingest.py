"""A folder of files becomes a dataset: against the truth of a made-up folder, and against real curves written out."""

import json
import os

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data import Wanted, read
from pima_toolkit.errors import PimaWarning

N = 44  # specimens of the messy folder


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    """A messy folder of N specimens, the truth, and what is read."""
    folder = tmp_path_factory.mktemp("messy") / "Versuche 2024 ü"
    truth = pima.datasets.write_folder(folder, n=N, seed=0)
    with pytest.warns(PimaWarning, match="9 files could not be used: .*reading_log"):
        data = pima.from_folder(folder)
    return folder, truth, data


def test_a_tidy_folder_is_read_as_it_was_written(tmp_path):
    truth = pima.datasets.write_folder(tmp_path / "lab", n=4, mess=False)
    data = pima.from_folder(tmp_path / "lab")
    assert set(data.data_vars) == {"image", "stress"}
    assert data.specimen.values.tolist() == truth.specimen.values.tolist()
    assert data.stress.dims == ("specimen", "strain")
    assert (data.stress.units, data.strain.units) == ("MPa", "1")
    np.testing.assert_allclose(data.stress, truth.stress, rtol=1e-8)
    np.testing.assert_allclose(data.strain, truth.strain, rtol=1e-8)
    np.testing.assert_array_equal((data.image * 255).round(), truth.image)
    np.testing.assert_array_equal(data.laser_power, truth.laser_power)
    assert data.laser_power.units == "W"
    assert data.supplier.values.tolist() == truth.supplier.values.tolist()
    account = pima.reading_log(data)
    assert set(account.status) == {"used"}
    assert len(account) == 4 + 4 + 1


def test_a_messy_folder_holds_the_truth_wherever_it_can_be_read(messy):
    _, truth, data = messy
    assert sorted(data.specimen.values) == sorted(truth.specimen.values)
    data = data.sel(specimen=truth.specimen.values)
    present = {name: data[name].notnull().any(data[name].dims[1:]).values for name in ("image", "stress")}
    np.testing.assert_array_equal(present["image"], truth.image_usable)
    np.testing.assert_array_equal(present["stress"], truth.stress_usable)
    assert data.stress.attrs["independent"] == "strain"
    for d in np.flatnonzero(present["stress"]):
        n = int(data.stress[d].notnull().sum())
        strain, stress = data.strain.values[d, :n], data.stress.values[d, :n]
        assert n >= 79
        true = np.interp(strain, truth.strain, truth.stress[d])
        np.testing.assert_allclose(stress, true, rtol=1e-6, atol=1e-6)
    error = np.abs(data.image * 255 - truth.image).mean(("y", "x"))
    assert error[present["image"]].max() < 4  # JPEG of once and of double size; noise and turned pictures differ by 30
    np.testing.assert_allclose(data.relative_density, truth.relative_density)
    for name, physics in (("image", False), ("stress", True)):
        assert read(data, {name: Wanted(physics=physics)})[name].present.sum() == N - 5


def test_every_file_of_the_folder_is_in_the_account(messy):
    folder, truth, data = messy
    account = pima.reading_log(data)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(account.file[account.file != ""]) == files
    lost = account[account.status == "unusable"].set_index("file").note
    names = truth.specimen.values
    for file, why in {
        f"photos/{names[0]}.png": "is empty (0 bytes)",
        f"photos/{names[1]}.png": "truncated",
        f"photos/{names[2]}.png": "more than the 89 million that are read",
        f"photos/{names[3]}.png": "cannot identify image file",
        f"curves/{names[5]}.csv": "is empty (0 bytes)",
        f"curves/{names[6]}.csv": "no two columns of numbers",
        f"curves/{names[7]}.csv": "has as y the column 'crosshead', a length in mm; the others have a stress",
        f"curves/{names[8]}.csv": f"2 files are this measurement of '{names[8]}' and differ",
        f"curves/{names[8]}.txt": f"2 files are this measurement of '{names[8]}' and differ",
    }.items():
        assert why in lost.pop(file)
    assert lost.empty
    missing = account[account.status == "missing"]
    assert sorted(zip(missing.specimen, missing.modality, strict=True)) == sorted(
        [(names[d], "image") for d in range(5)] + [(names[d], "stress") for d in range(5, 10)]
    )
    ignored = account[account.status == "ignored"].set_index("file").note
    assert "byte for byte, as curves/L011.csv" in ignored["curves/L011 - Copy.csv"]
    assert {".DS_Store", "photos/Thumbs.db", "photos/._L020.png", "curves/~$L020.xlsx"} < set(ignored.index)


def test_the_account_says_what_was_done(messy):
    account = pima.reading_log(messy[2])
    notes = " | ".join(account.note[account.status == "used"])
    for said in (
        *(
            "decimal commas",
            "strain from % to 1",
            "stress from kPa to MPa",
            "stress from GPa to MPa",
            "sheet 'Data' of 2",
        ),
        *("11 points after the farthest x left out (unloading)", "1 row of text", "1 point without a value left out"),
        *("turned as its camera says", "16 bits", "resized from 304 x 304", "first of 2 kinds of pages"),
        f"table of {N} specimens: laser_power, relative_density, supplier; found by itself",
    ):
        assert said in notes


def test_the_same_whatever_the_number_of_threads_and_from_disk(messy, tmp_path):
    folder, _, data = messy
    with pytest.warns(PimaWarning):
        alone = pima.from_folder(folder, workers=1)
    xr.testing.assert_identical(alone, data)
    for name in ("a.nc", "a.zarr"):
        read = pima.open_data(pima.save_data(data, tmp_path / name))
        xr.testing.assert_identical(read, data)
        assert pima.reading_log(read.isel(specimen=[0])).equals(pima.reading_log(data))


@pytest.mark.data
def test_the_real_curves_come_back(tmp_path):
    if not os.environ.get("PIMA_DATA"):
        pytest.skip("PIMA_DATA is not set to the folder of measured data")
    truth = pima.datasets.spinodoid().isel(specimen=slice(0, 321, 8))
    for d, stress in enumerate(truth.stress.values):
        rows = [f"{100 * e:.7g};{s:.9g}".replace(".", ",") for e, s in zip(truth.strain.values, stress, strict=True)]
        (tmp_path / f"{d}.csv").write_text("\n".join(["Stauchung [%];Spannung [MPa]", *rows]), encoding="cp1252")
    data = pima.from_folder(tmp_path)
    assert data.stress.sizes == truth.stress.sizes
    np.testing.assert_allclose(data.stress, truth.stress, rtol=1e-6)
    np.testing.assert_allclose(data.strain, truth.strain, atol=1e-7)


@pytest.mark.data
def test_real_curves_on_grids_of_their_own_come_back(tmp_path):
    if not os.environ.get("PIMA_DATA"):
        pytest.skip("PIMA_DATA is not set to the folder of measured data")
    truth = pima.datasets.metal_tension("304L").isel(specimen=slice(0, 64, 6))
    ksi = 6.894757293168361
    for d in range(truth.sizes["specimen"]):
        n = int(truth.stress[d].notnull().sum())
        rows = np.stack([truth.strain.values[d, :n], truth.stress.values[d, :n] / ksi], axis=1)
        np.savetxt(tmp_path / f"bar {d}.txt", rows, header="Strain (in/in)  Stress (ksi)", fmt="%.9g")
    data = pima.from_folder(tmp_path, {"stress": pima.CurveFiles(units={"stress": "MPa"})})
    assert data.stress.units == "MPa"
    ours = read(data, {"stress": Wanted(physics=True)})["stress"]
    for d in range(truth.sizes["specimen"]):
        n = int(truth.stress[d].notnull().sum())
        np.testing.assert_allclose(ours.values[d, : ours.mask()[d].sum()].max(), np.nanmax(truth.stress[d]), rtol=1e-6)
        assert ours.t[d, 0] == pytest.approx(float(truth.strain[d, 0]))
        assert ours.t[d, ours.mask()[d].sum() - 1] == pytest.approx(float(truth.strain[d, n - 1]))


def test_plain_dicts_say_the_same_as_objects(messy):
    folder = messy[0]
    options = (
        '{"image": {"kind": "images", "size": [16, 24]}, "stress": {"kind": "curves", "grid": 9, "window": [0, 0.2]}}'
    )
    with pytest.warns(PimaWarning):
        one = pima.from_folder(folder, json.loads(options))
    described = {"image": pima.ImageFiles(size=(16, 24)), "stress": pima.CurveFiles(grid=9, window=(0, 0.2))}
    with pytest.warns(PimaWarning):
        other = pima.from_folder(folder, described)
    with pytest.warns(PimaWarning):
        third = pima.from_folder(folder, images={"size": [16, 24]}, curves={"grid": 9, "window": [0, 0.2]})
    xr.testing.assert_identical(one, other)
    xr.testing.assert_identical(one[["image", "stress"]].drop_attrs(), third[["image", "stress"]].drop_attrs())
    assert one.image.shape == (N, 16, 24)
    assert one.sizes["strain"] == 9
    np.testing.assert_allclose(one.strain[[0, -1]], [0, 0.2])
