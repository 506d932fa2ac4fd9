"""Force and extension become stress and strain by the dimensions of each specimen, and what lacks them is named."""

import math

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.ingest.geometry import dimensions_of

FORCE = np.array([0.0, 100.0, 250.0, 480.0, 500.0])
WAY = np.array([0.0, 0.1, 0.25, 0.6, 1.2])


def curve(path, head="", force="Force [N]", way="Extension [mm]", scale=1.0):
    rows = "\n".join(f"{w};{f}" for w, f in zip(WAY, FORCE * scale, strict=True))
    path.write_text(f"{head}{way};{force}\n{rows}\n", encoding="utf-8")


@pytest.fixture
def folder(tmp_path):
    for name in ("A1", "A2"):
        curve(tmp_path / f"{name}.csv")
    return tmp_path


def table(folder, text):
    (folder / "settings.csv").write_text(text, encoding="utf-8")


def read(folder, **options):
    return pima.from_folder(folder, curves={"geometry": True, **options}, progress=False)


def strain(data, k):
    """The grid of a specimen; one for all where they are alike."""
    return np.broadcast_to(data.strain, data.stress.shape)[k]


def test_area_and_gauge_length_of_the_table(folder):
    table(folder, "specimen;area [mm2];gauge length [mm]\nA1;20;50\nA2;25;40\n")
    data = read(folder)
    assert set(data.data_vars) == {"stress"}
    for k, (area, length) in enumerate([(20, 50), (25, 40)]):
        np.testing.assert_allclose(data.stress[k], FORCE / area)
        np.testing.assert_allclose(strain(data, k), WAY / length)
    assert (data.stress.attrs["units"], data.strain.attrs["units"]) == ("MPa", "1")
    details = pima.reading_details(data)
    assert details.y_unit.tolist() == ["N", "N"]
    assert details.y_unit_after.tolist() == ["MPa", "MPa"]
    assert "stress is force over 20 mm2" in details.note[0]


@pytest.mark.parametrize(
    ("columns", "values", "area"),
    [
        ("width [mm];thickness [mm]", "8;2.5", 20.0),
        ("Breite (cm);Dicke in mm", "0,8;2,5", 20.0),
        ("b0 [mm];a0 [mm]", "8;2.5", 20.0),
        ("a0 [mm²];t [s]", "20;3", 20.0),
        ("diameter [mm];final diameter [mm]", "5;3", math.pi * 25 / 4),
        ("Area [in²];x", "0.031;1", 0.031 * 25.4**2),
    ],
)
def test_a_cross_section_is_made_of_what_there_is(folder, columns, values, area):
    table(folder, f"specimen;{columns};gauge length [inch]\nA1;{values};2\nA2;{values};2\n")
    data = read(folder)
    np.testing.assert_allclose(data.stress[0], FORCE / area, rtol=1e-12)
    np.testing.assert_allclose(strain(data, 0), WAY / 50.8)


def test_units_of_the_force_are_those_of_the_file(folder):
    curve(folder / "A1.csv", force="Standardkraft [kN]", way="Traversenweg [m]")
    curve(folder / "A2.csv", force="Load [lbf]", way="Extension [in]")
    table(folder, "specimen;area [mm2];gauge length [mm]\nA1;20;50\nA2;20;50\n")
    data = read(folder)
    np.testing.assert_allclose(data.stress[0], 1e3 * FORCE / 20)
    np.testing.assert_allclose(strain(data, 0), 1e3 * WAY / 50)
    np.testing.assert_allclose(data.stress[1], 4.4482216152605 * FORCE / 20)
    np.testing.assert_allclose(strain(data, 1), 25.4 * WAY / 50)


def test_the_lines_above_the_numbers_state_dimensions(tmp_path):
    curve(tmp_path / "A1.csv", "Width;8.0;mm\nThickness: 2.5 mm\n# L0 = 50mm\nSpeed;2;mm/min\n\n")
    curve(tmp_path / "A2.csv", "Querschnittsfläche [mm²];25\nMesslänge;4.0;cm\n\n")
    data = read(tmp_path)
    np.testing.assert_allclose(data.stress, np.array([FORCE / 20, FORCE / 25]))
    np.testing.assert_allclose(strain(data, 0), WAY / 50)


def test_a_missing_dimension_is_named_for_its_specimen(folder):
    curve(folder / "A3.csv")
    curve(folder / "A4.csv")
    rows = "A1;8;2.5;50\nA2;8;;50\nA3;8;2.5;\nA4;8;2.5;50\n"
    table(folder, f"specimen;width [mm];thickness [mm];gauge length [mm]\n{rows}")
    with pytest.warns(pima.PimaWarning, match=r"2 files could not be used"):
        data = read(folder)
    log = pima.reading_log(data).set_index("file").note
    assert "a width and no thickness" in log["A2.csv"]
    assert "cannot be made a strain: no gauge length in settings.csv" in log["A3.csv"]
    assert data.specimen.values.tolist() == ["A1", "A4"]


def test_a_dimension_without_a_unit_is_asked_for(folder):
    table(folder, "specimen;area;gauge length [mm]\nA1;20;50\nA2;20;50\n")
    with pytest.raises(DataError, match=r"area 'area' has no unit: .*area \[mm2\]"):
        read(folder)
    data = read(folder, geometry={"area": "area [mm2]"})
    np.testing.assert_allclose(data.stress[0], FORCE / 20)
    given = read(folder, geometry={"area": "0.2 cm2", "gauge_length": 50})
    np.testing.assert_allclose(given.stress[0], FORCE / 20)


def test_two_that_could_be_meant_are_asked_about(folder):
    table(folder, "specimen;area [mm2];gauge length [mm];Lc [mm]\nA1;20;50;75\nA2;20;50;75\n")
    with pytest.raises(DataError, match=r"several gauge lengths, 'gauge_length' = 50 mm, 'lc' = 75 mm"):
        read(folder)
    data = read(folder, geometry={"gauge_length": "Lc"})
    np.testing.assert_allclose(strain(data, 0), WAY / 75)


def test_width_times_thickness_and_an_area_that_differ_are_told(folder):
    table(folder, "specimen;area [mm2];width [mm];thickness [mm];L0 [mm]\nA1;20;8;2.4;50\nA2;20;8;2.5;50\n")
    notes = pima.reading_log(read(folder)).set_index("file").note
    assert "gives 19.2 mm2" in notes["A1.csv"]
    assert "gives" not in notes["A2.csv"]


def test_a_file_without_the_unit_of_its_force(folder):
    curve(folder / "A1.csv", force="Force")
    curve(folder / "A2.csv", force="Force")
    table(folder, "specimen;area [mm2];L0 [mm]\nA1;20;50\nA2;20;50\n")
    with pytest.raises(DataError, match="states no unit of force, which a stress is made of"):
        read(folder)
    data = read(folder, units={"force": "kN", "stress": "GPa"})
    np.testing.assert_allclose(data.stress[0], FORCE / 20)
    assert data.stress.attrs["units"] == "GPa"


def test_true_stress_follows(folder):
    table(folder, "specimen;area [mm2];gauge length [mm]\nA1;20;50\nA2;25;40\n")
    data = read(folder, true="tension")
    e, s = WAY / 50, FORCE / 20
    np.testing.assert_allclose(strain(data, 0), np.log1p(e))
    np.testing.assert_allclose(data.stress[0], s * (1 + e))


def test_several_specimens_in_a_file_have_their_own_dimensions(tmp_path):
    body = "\n".join(f"{w};{f}" for w, f in zip(WAY, FORCE, strict=True))
    blocks = [f"Specimen {n}\nExtension [mm];Force [N]\n{body}\n" for n in ("P1", "P2")]
    (tmp_path / "batch.csv").write_text("\n".join(blocks))
    table(tmp_path, "specimen;area [mm2];L0 [mm]\nP1;20;50\nP2;25;50\n")
    data = pima.from_folder(
        tmp_path, curves={"specimens": "blocks", "geometry": True}, table="settings.csv", progress=False
    )
    np.testing.assert_allclose(data.stress, np.array([FORCE / 20, FORCE / 25]))


def test_stress_and_strain_stay_what_they_are(tmp_path):
    curve(tmp_path / "A1.csv", force="Stress [MPa]", way="Strain [%]")
    data = read(tmp_path)
    np.testing.assert_allclose(data.stress[0], FORCE)


def test_options_that_are_none(folder):
    with pytest.raises(OptionError, match=r"geometry names 'aera': .*did you mean 'area'"):
        read(folder, geometry={"aera": "A0"})
    with pytest.raises(OptionError, match="geometry is 'yes', expected True"):
        read(folder, geometry="yes")
    with pytest.raises(OptionError, match="without a unit: write 20 mm"):
        read(folder, geometry={"width": "20"})


def dataset():
    coords = {
        "specimen": ["a", "b", "c"],
        "displacement": ("displacement", WAY, {"units": "mm"}),
        "diameter": ("specimen", [5.0, 6.0, np.nan], {"units": "mm"}),
        "gauge_length": ("specimen", [50.0, 40.0, 50.0], {"units": "mm"}),
    }
    force = xr.DataArray(
        np.array([FORCE, 2 * FORCE, FORCE]), dims=("specimen", "displacement"), coords=coords, attrs={"units": "N"}
    )
    return xr.Dataset({"force": force})


def test_a_dataset_by_its_coordinates():
    with pytest.warns(pima.PimaWarning, match=r"'force' is NaN for c: c has a force that cannot be made a stress"):
        data = pima.geometry(dataset())
    assert set(data.data_vars) == {"stress"}
    assert data.stress.attrs["independent"] == "strain"
    np.testing.assert_allclose(data.stress[1], 2 * FORCE / (math.pi * 9))
    np.testing.assert_allclose(strain(data, 1), WAY / 40)
    assert np.isnan(data.stress[2]).all()


def test_a_dataset_by_what_is_given():
    data = pima.geometry(dataset(), area="0.2 cm2", gauge_length=50, true="compression")
    e = WAY / 50
    np.testing.assert_allclose(strain(data, 2), -np.log1p(-e))
    np.testing.assert_allclose(data.stress[2], FORCE / 20 * (1 - e))
    with pytest.raises(OptionError, match="no curve 'forse'"):
        pima.geometry(dataset(), "forse")
    with pytest.raises(DataError, match="no curve of a force"):
        pima.geometry(data)


def test_a_width_alone_is_no_area():
    known = dimensions_of(True, {"width": (8.0, "mm")}, {})
    assert (known.area, known.lacking[0]) == (None, "a width and no thickness")
    both = dimensions_of(True, {"width": (8.0, "mm"), "thickness": (2.0, "mm"), "diameter": (9.0, "mm")}, {})
    assert both.area is None
    assert "are both stated" in both.lacking[0]


def test_a_single_file_may_have_its_own(folder):
    """What one specimen lacks is said in the folder's file of options."""
    table(folder, "specimen;area [mm2];gauge length [mm]\nA1;20;50\nA2;;50\n")
    (folder / "pima-reading.toml").write_text(
        '[curves]\ngeometry = true\n\n[files."A2.csv"]\ngeometry = { width = "10 mm", thickness = "2.5 mm" }\n'
    )
    data = pima.from_folder(folder, progress=False)
    np.testing.assert_allclose(data.stress, np.array([FORCE / 20, FORCE / 25]))


def test_a_height_is_the_length_of_what_is_pressed_if_no_other_is_stated(folder):
    table(folder, "specimen;diameter [mm];height [mm]\nA1;5;12\nA2;5;12\n")
    np.testing.assert_allclose(strain(read(folder), 0), WAY / 12)
    table(folder, "specimen;diameter [mm];height [mm];L0 [mm]\nA1;5;200;50\nA2;5;200;50\n")
    np.testing.assert_allclose(strain(read(folder), 0), WAY / 50)


def test_the_way_of_the_machine_is_told(folder):
    for name in ("A1", "A2"):
        curve(folder / f"{name}.csv", way="Crosshead [mm]")
    table(folder, "specimen;area [mm2];L0 [mm]\nA1;20;50\nA2;20;50\n")
    assert "the strain holds its compliance" in pima.reading_log(read(folder)).note[0]
