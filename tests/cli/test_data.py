"""`pima data`: from a folder to a dataset, with every file accounted for; what a dataset holds."""

import json
import shutil

import numpy as np
import pytest

import pima_toolkit as pima


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab") / "tests 2024"
    pima.datasets.write_folder(folder, n=5, mess=False)
    (folder / "photos/L004.png").write_bytes(b"")
    (folder / "curves/L005.csv").unlink()
    (folder / "Thumbs.db").write_bytes(b"x")
    return folder


def test_a_folder_becomes_a_dataset(command, folder, tmp_path):
    options = ("--image-size", "24x16", "--curve-grid", 11, "--window", "0,0.2", "--crop", "2,0,0,0", "--grey")
    result = command("data", "from-folder", folder, "-o", tmp_path / "data.nc", *options)
    assert result.exit_code == 0, result.output
    data = pima.open_data(tmp_path / "data.nc")
    assert data.image.shape == (5, 24, 16)
    assert data.sizes["strain"] == 11
    np.testing.assert_allclose(data.strain[[0, -1]], [0, 0.2])
    assert float(data.strain[1]) < 0.01  # equal steps would leave no point in the elastic part
    for said in ("9 used, 1 could not be used, 1 left alone, 2 missing", "photos/L004.png", "is empty (0 bytes)"):
        assert said in result.stdout
    for said in ("Thumbs.db", "L005: stress", "has no file", "stress", "MPa", f"written: {tmp_path / 'data.nc'}"):
        assert said in result.stdout


def test_one_side_is_enough_for_a_square(command, folder, tmp_path):
    result = command("data", "from-folder", folder, "-o", tmp_path / "data.nc", "--image-size", 24, "--quiet")
    assert result.exit_code == 0, result.output
    assert pima.open_data(tmp_path / "data.nc").image.shape[1:3] == (24, 24)


def test_help_shows_the_file_with_options(command):
    shown = command("data", "from-folder", "--help").stdout
    assert "[modalities.stress]" in shown
    assert "--table specimens.xlsx" in shown


def test_show_says_what_a_dataset_holds(command, folder, tmp_path):
    command("data", "from-folder", folder, "-o", tmp_path / "data.zarr", "--quiet")
    shown = command("data", "show", tmp_path / "data.zarr", "--all")
    assert shown.exit_code == 0
    for said in ("5 specimens", "laser_power", "supplier", "strain 100", "Alba", "curves/L001.csv"):
        assert said in shown.stdout
    facts = json.loads(command("data", "show", tmp_path / "data.zarr", "--json").stdout)
    assert facts["specimens"] == 5
    assert facts["variables"]["image"] | {"range": ""} == {
        "role": "modality",
        "sizes": "y 152 x x 152",
        "unit": "1",
        "present": 4,
        "missing": 1,
        "range": "",
    }
    assert {row["status"] for row in facts["reading_log"]} == {"used", "unusable", "ignored", "missing"}


def test_a_file_with_options_says_the_same_as_options(command, folder, tmp_path):
    (tmp_path / "options.toml").write_text(
        'table = false\n[images]\nsize = [8, 8]\n[modalities.stress]\nkind = "curves"\ngrid = 7\n'
        '[modalities.picture]\nkind = "images"\nfiles = "photos/{id}.png"\nsize = 12\n'
    )
    result = command("data", "from-folder", folder, "-o", tmp_path / "data.nc", "--toml", tmp_path / "options.toml")
    assert result.exit_code == 0, result.output
    data = pima.open_data(tmp_path / "data.nc")
    assert data.picture.shape == (5, 12, 12)
    assert data.stress.shape == (5, 7)
    assert "laser_power" not in data.coords
    shape = ("--x", 1, "--y", "strain", "--true", "compression", "--unit", "stress=GPa", "--no-table", "--json")
    result = command("data", "from-folder", folder, "-o", tmp_path / "odd.nc", *shape)
    assert result.exit_code == 1  # true stress of a curve whose y is a strain
    assert "true='compression' needs stress against strain" in result.stderr


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--strict"], 1, "1 file could not be used: photos/L004.png: is empty"),
        (["--image-size", "big"], 2, "expected numbers, such as --image-size 64x64"),
        (["--unit", "MPa"], 2, "expected NAME=VALUE"),
        (["--toml", "nowhere.toml"], 1, "there is no nowhere.toml"),
        (["--table", "specimen.xlsx"], 1, "did you mean 'specimens.xlsx'"),
    ],
)
def test_wrong_options_are_one_sentence(command, folder, tmp_path, options, code, says):
    result = command("data", "from-folder", folder, "-o", tmp_path / "data.nc", *options)
    assert result.exit_code == code
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert not (tmp_path / "data.nc").exists()


def test_wrong_toml_is_one_sentence(command, folder, tmp_path):
    path = tmp_path / "a.toml"
    for text, says in (("tabel = 1", "did you mean 'table'"), ("table = ", "is no TOML file")):
        path.write_text(text)
        result = command("data", "from-folder", folder, "-o", tmp_path / "data.nc", "--toml", path)
        assert result.exit_code == 1
        assert says in result.stderr


def test_check_says_how_every_file_is_read(command, folder, tmp_path):
    lab = tmp_path / "lab"
    shutil.copytree(folder, lab)
    result = command("data", "check", lab, "--json")
    assert result.exit_code == 1  # a photograph is lost
    facts = json.loads(result.stdout)
    assert facts["reading_details"][0]["x"]
    assert facts["reading_details"][0]["points_kept"] == 100
    assert {row["status"] for row in facts["reading_log"]} == {"used", "unusable", "ignored", "missing"}
    (lab / "photos/L004.png").unlink()
    result = command("data", "check", lab, "--write")
    assert result.exit_code == 0, result.output
    written = (lab / "pima-reading.toml").read_text()
    for said in ("[modalities.stress]", 'kind = "curves"', "[modalities.image]", "specimens.xlsx"):
        assert said in written
    assert command("data", "check", lab).exit_code == 0
    result = command("data", "check", lab, "--write")
    assert result.exit_code == 1
    assert "is there already" in result.stderr


def test_check_tells_the_choices_where_nothing_can_be_used(command, tmp_path):
    text = "".join(f"Specimen P{k}\nStrain;Stress [MPa]\n0.0;0\n0.1;{k}\n0.2;{2 * k}\n" for k in (1, 2))
    (tmp_path / "batch.csv").write_text(text)
    result = command("data", "check", tmp_path, "--write")
    assert result.exit_code == 1
    assert "holds several tables, 'Specimen P1'" in result.stderr
    assert 'specimens="blocks"' in (tmp_path / "pima-reading.toml").read_text()
    with (tmp_path / "pima-reading.toml").open("a") as file:
        file.write('[curves]\nspecimens = "blocks"\n')
    result = command("data", "check", tmp_path)
    assert result.exit_code == 0, result.output
    assert "P2: Stress [MPa] against Strain" in " ".join(result.stdout.split())
    (tmp_path / "pima-reading.toml").unlink()
    out = tmp_path / "a.nc"
    assert command("data", "from-folder", tmp_path, "-o", out, "--specimens", "blocks").exit_code == 0
    assert pima.open_data(out).specimen.values.tolist() == ["P1", "P2"]


def test_options_of_reading_are_the_same_for_all_commands(command, tmp_path):
    """One definition: force and extension become stress and strain in from-folder, check and fit."""
    lab = tmp_path / "lab"
    lab.mkdir()
    x = np.linspace(0, 2, 30)
    for k in (1, 2, 3, 4):
        rows = "\n".join(f"{a:.6g};{b:.6g}" for a, b in zip(x, 300 * k * x, strict=True))
        (lab / f"A{k}.csv").write_text(f"Extension [mm];Force [N]\n{rows}\n")
    (lab / "settings.csv").write_text("specimen;area [mm2];L0 [mm]\n" + "".join(f"A{k};20;50\n" for k in (1, 2, 3, 4)))
    result = command("data", "from-folder", lab, "-o", tmp_path / "d.nc", "--geometry", "--true", "tension")
    assert result.exit_code == 0, result.output
    assert pima.open_data(tmp_path / "d.nc").stress.attrs["long_name"] == "true stress"
    checked = command("data", "check", lab, "--geometry", "--dimension", "gauge_length=100 mm", "--write")
    assert checked.exit_code == 0, checked.output
    assert "Force [N] in MPa" in checked.stdout
    assert float(pima.from_folder(lab).strain.max()) == pytest.approx(0.02)
    (lab / "pima-reading.toml").unlink()
    run = ("fit", lab, "--geometry", "--physics", "stress=proportional", "--clusters", 1, "--epochs", 2, "--quiet")
    fitted = command(*run, "-o", tmp_path / "run")
    assert fitted.exit_code == 0, fitted.output
    value = pima.load(tmp_path / "run/fit.pima").specimens["value"].values[:, 0]
    np.testing.assert_allclose(value, 300 * np.arange(1, 5) / 20 * 50, rtol=0.02)
    refused = command("fit", tmp_path / "d.nc", "--geometry", "-c", 1, "-o", tmp_path / "no")
    assert refused.exit_code == 1
    assert "options of reading (curves) are for a folder" in refused.stderr
