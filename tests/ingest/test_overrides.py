"""``pima-reading.toml``: written from what was read, edited, and followed by every reading of the folder."""

import json

import numpy as np
import pytest
from PIL import Image

import pima_toolkit as pima
from pima_toolkit.errors import DataError, FileFormatError, OptionError, PimaWarning
from pima_toolkit.ingest import overrides, remembered
from pima_toolkit.runs.source import read_as, together

X = np.round(np.linspace(0, 0.1, 9), 4)


@pytest.fixture
def lab(tmp_path):
    folder = tmp_path / "lab"
    (folder / "curves").mkdir(parents=True)
    for k in (1, 2, 3, 4):
        rows = "".join(f"{a},{100 * k * a:.6g},{a * 7:.6g}\n" for a in X)
        (folder / f"curves/P{k}.csv").write_text(f"Strain,Stress [MPa],Load [kN]\n{rows}")
    (folder / "films.csv").write_text("id,power\n" + "".join(f"P{k},{k / 2}\n" for k in (1, 2, 3, 4)))
    return folder


def test_what_was_read_of_each_file(lab):
    details = pima.reading_details(pima.from_folder(lab))
    assert details.specimen.tolist() == ["P1", "P2", "P3", "P4"]
    row = details.iloc[0]
    assert (row.place, row.x, row.x_unit, row.x_unit_after) == ("lines 2 to 10", "Strain", "", "1")
    assert (row.y, row.y_unit, row.y_unit_after, row.points_read, row.points_kept) == ("Stress", "MPa", "MPa", 9, 9)
    with pytest.raises(DataError, match="has no reading log"):
        pima.reading_details(pima.from_folder(lab).drop_attrs())


def test_details_travel_with_the_dataset(lab, tmp_path):
    data = pima.from_folder(lab)
    again = pima.open_data(pima.save_data(data, tmp_path / "a.nc"))
    assert pima.reading_details(again).equals(pima.reading_details(data))
    assert pima.reading_log(again).columns.tolist() == ["file", "specimen", "modality", "status", "note"]


def test_what_is_written_reads_the_same(lab):
    data = pima.from_folder(lab)
    arguments = overrides.arguments_of(data)
    assert arguments == {
        "table": "films.csv",
        "modalities": {"stress": {"kind": "curves", "x": "Strain", "y": "Stress"}},
    }
    (lab / overrides.NAME).write_text(overrides.as_text(arguments, ["a note"]))
    again = pima.from_folder(lab)
    assert again.drop_attrs().identical(data.drop_attrs())
    note = pima.reading_log(again).set_index("file").note[overrides.NAME]
    assert note == "how to read: table, modalities"


def test_options_and_single_files(lab):
    (lab / "curves/P3.csv").write_text("Strain,Stress,Load\n" + "".join(f"{100 * a},{0.3 * a:.6g},{a}\n" for a in X))
    (lab / overrides.NAME).write_text(
        'table = false\n[curves]\ngrid = 5\n[files."curves/P3.csv"]\nunits = { Strain = "%", Stress = "GPa" }\n'
        '[files."P4.csv"]\nskip = true\n[files."*/P1.csv"]\nspecimen = "first"\n'
    )
    data = pima.from_folder(lab)
    assert sorted(data.specimen.values.tolist()) == ["P2", "P3", "first"]
    assert data.sizes["strain"] == 5
    np.testing.assert_allclose(data.stress.sel(specimen="P3"), 300 * data.strain, rtol=1e-6)
    assert "power" not in data.coords
    log = pima.reading_log(data).set_index("file")
    assert log.status["curves/P4.csv"] == "ignored"
    assert "unit of 'Strain' given as %" in log.note["curves/P3.csv"]
    assert pima.from_folder(lab, curves={"grid": 7}).sizes["strain"] == 7
    with pytest.warns(PimaWarning, match="P3.csv: states no unit of x"):
        assert "power" in pima.from_folder(lab, overrides=False).coords


def test_how_a_folder_was_read_travels_with_the_dataset(lab, tmp_path):
    assert remembered(pima.from_folder(lab)) == {}
    (lab / overrides.NAME).write_text("[curves]\ngrid = 5\n[images]\ncrop = [0, 1, 0, 0]\n")
    for name, brightest in (("P1", 4095), ("P2", 900)):
        Image.fromarray(np.full((6, 5), brightest, dtype=np.uint16)).save(lab / "curves" / f"{name}.png")
    data = pima.from_folder(lab)
    expected = {"curves": {"grid": 5}, "images": {"crop": [0, 1, 0, 0], "bits": 12}}
    assert remembered(data) == expected
    stress = '[curves]\ngrid = 5\n[modalities.stress]\nkind = "curves"\ny = "Stress"\nfiles = "curves/*.csv"\n'
    (lab / overrides.NAME).write_text(stress)
    assert remembered(pima.from_folder(lab)) == {"curves": {"grid": 5, "y": "Stress"}}
    path = pima.save_data(data, tmp_path / "data.nc")
    assert read_as(path) == expected
    assert read_as(tmp_path / "none.nc") == {}
    path.write_bytes(b"x")
    with pytest.raises(FileFormatError, match=r"data.nc is damaged"):
        read_as(path)
    merged = together(expected, {"images": {"bits": 10}, "table": False})
    assert merged == {"curves": {"grid": 5}, "images": {"crop": [0, 1, 0, 0], "bits": 10}, "table": False}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tabel = 1\n", "has the option 'tabel': .*did you mean 'table'"),
        ('[files."P1.csv"]\nskipp = true\n', "has the option 'skipp': .*did you mean 'skip'"),
        ('[files."P9.csv"]\nskip = true\n', "names 'P9.csv', which is no file of the folder"),
        ('[files."P1.csv"]\ncrop = [0, 1, 0, 0]\n', "gives 'crop' for curves/P1.csv, which does not suit curves"),
        ("[files]\na = 3\n", 'files."a" is 3, expected a table'),
        ("a = = 2", "is no TOML file"),
    ],
)
def test_what_is_wrong_in_the_file_is_said(lab, text, says):
    (lab / overrides.NAME).write_text(text)
    with pytest.raises(OptionError, match=says):
        pima.from_folder(lab)


def test_a_file_elsewhere_must_be_there(lab, tmp_path):
    with pytest.raises(OptionError, match=r"there is no .*none.toml: `pima data check"):
        pima.from_folder(lab, overrides=tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text("[curves]\ny = 'Load'\n")
    assert "force" in pima.from_folder(lab, overrides=tmp_path / "a.toml")


def test_a_unit_for_a_column_that_is_not_there(lab):
    (lab / overrides.NAME).write_text('[files."P1.csv"]\nunits = { Strian = "%" }\n')
    with pytest.warns(PimaWarning, match="P1.csv: has no column 'Strian' to give a unit"):
        pima.from_folder(lab)


def test_reading_details_are_plain_json(lab):
    rows = pima.reading_details(pima.from_folder(lab)).to_dict(orient="records")
    assert json.loads(json.dumps(rows)) == rows
