"""From a folder of files, with one command, and the same twice."""

import csv
import json

import numpy as np
import pytest
import tifffile

import pima_toolkit as pima
from pima_toolkit.datasets.folder import write_folder

OPTIONS = ("-p", "stress=linear_hardening", "-c", 2, "-l", 2, "--epochs", 2, "--set", "reading.images.size=16")


@pytest.fixture(scope="module")
def messy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "messy"
    write_folder(folder, 40)
    return folder


@pytest.fixture(scope="module")
def run(command, messy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = command("fit", messy, *OPTIONS, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_a_messy_folder_becomes_a_run_that_says_what_became_of_every_file(run, messy):
    with (run / "files.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    names = {p.relative_to(messy).as_posix() for p in messy.rglob("*") if p.is_file()}
    assert names == {r["file"] for r in rows if r["file"]}
    assert {"used", "unusable", "ignored", "missing"} == {r["status"] for r in rows}
    log = (run / "log.txt").read_text()
    assert "files could not be used" in log
    assert pima.open_data(run / "data.nc").sizes["y"] == 16
    assert "<html" in (run / "report.html").read_text()[:2000]


def test_the_same_command_twice_gives_the_same_numbers(command, run, messy, tmp_path):
    assert command("fit", messy, *OPTIONS, "-o", tmp_path / "again").exit_code == 0
    tables = sorted(p.relative_to(run) for p in run.rglob("*.csv"))
    assert len(tables) == 10
    for name in tables:
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes(), name


def test_a_finished_run_reads_no_file_again_and_sees_one_that_changed(command, run, messy, tmp_path):
    assert "nothing to do" in command("fit", messy, *OPTIONS, "-o", run).stdout
    curve = messy / "curves" / "L020.csv"
    if not curve.exists():
        curve = next(p for p in sorted((messy / "curves").iterdir()) if p.stat().st_size > 500)
    before = curve.read_bytes()
    try:
        curve.write_bytes(before + b"\n")
        changed = command("fit", messy, *OPTIONS, "-o", run)
        assert changed.exit_code == 1
        assert f"(the data: curves/{curve.name} is changed)" in changed.stderr
        assert "--update-data to start anew with these data" in changed.stderr
        other = command("fit", messy, *OPTIONS, "--set", "reading.images.grey=false", "-o", run)
        assert "reading.images.grey: not given there, False now" in other.stderr
    finally:
        curve.write_bytes(before)


def test_new_photographs_are_read_as_the_training_was(command, run, messy, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted((messy / "photos").glob("L03?.png")):
        (photos / path.name).write_bytes(path.read_bytes())
    assert len(list(photos.iterdir())) > 2
    result = command("infer", run, photos, "-o", tmp_path / "p.csv", "--json")
    assert result.exit_code == 0, result.output
    said = {row["specimen"]: row["responsibilities"] for row in json.loads(result.stdout)["specimens"]}
    data = pima.runs.training_data(run)
    same = [name for name in said if name in data.specimen.values]
    expected = pima.runs.open_fit(run).infer(data.sel(specimen=same)[["image"]])
    np.testing.assert_allclose([said[name] for name in same], expected.responsibilities.values, atol=0.02)


def test_what_a_fit_of_ragged_curves_makes_it_can_read(run):
    """Curves of the files end where each test ended; what the fit generates is on one grid."""
    fit = pima.runs.open_fit(run)
    assert pima.runs.training_data(run)["strain"].ndim == 2
    made = fit.generate(1, 5)
    assert made["strain"].ndim == 1
    assert (fit.infer(made).cluster == 1).all()


def test_a_table_names_the_files(command, tmp_path):
    truth = write_folder(tmp_path / "tidy", 12, mess=False)
    result = command("fit", tmp_path / "tidy" / "specimens.xlsx", *OPTIONS, "-o", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["specimens"] == truth.sizes["specimen"]


def test_specimens_without_any_modality_are_left_out_and_named(command, two_populations, tmp_path):
    data = two_populations()
    data["feature"][[3, 7]] = np.nan
    data["stress"][[3, 7, 8]] = np.nan
    path = pima.save_data(data, tmp_path / "gaps.nc")
    result = command("fit", path, "-p", "stress=proportional", "-c", 2, "--epochs", 1, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "2 specimens have none of the modalities and are left out: s003, s007" in result.stdout
    assert pima.runs.open_fit(tmp_path / "run").specimens.sizes["specimen"] == 46
    assert command("report", tmp_path / "run", "-o", tmp_path / "r.html").exit_code == 0


def test_new_files_are_read_to_the_last_option_as_the_run_read_its_own(command, tmp_path):
    """Crop, size, borders, a camera of 12 bits, geometry, a common grid: new files of old specimens are equal."""
    lab, new = tmp_path / "lab", tmp_path / "new"
    rng = np.random.default_rng(0)
    for k in range(8):
        for home in [lab] if k > 1 else [lab, new]:
            (home / "photos").mkdir(parents=True, exist_ok=True)
            (home / "tests").mkdir(exist_ok=True)
        top = 4095 if k > 1 else 3000  # the new ones alone do not show the depth of the camera
        pixels = (np.linspace(0, top, 30 * 20).reshape(20, 30) * rng.uniform(0.9, 1)).astype(np.uint16)
        pixels[-1, -1] = top
        x = np.linspace(0, 2 + 0.1 * k, 60)
        rows = "\n".join(f"{a:.6g};{(100 + 50 * k) * a:.6g}" for a in x)
        for home in [lab] if k > 1 else [lab, new]:
            tifffile.imwrite(home / f"photos/P{k}.tif", pixels)
            (home / f"tests/P{k}.csv").write_text(f"Extension [mm];Force [N]\n{rows}\n")
    table = "specimen;area [mm2];L0 [mm]\n" + "".join(f"P{k};20;50\n" for k in range(8))
    (lab / "settings.csv").write_text(table)
    (new / "settings.csv").write_text(table[: table.index("P2")])
    reading = ("--crop", "2,0,0,0", "--image-size", "12x12", "--image-fit", "pad", "--geometry", "--curve-grid", 15)
    model = ("--physics", "stress=proportional", "--neural", "image", "--clusters", 1, "--epochs", 2, "--latent-dim", 1)
    result = command("fit", lab, *reading, *model, "-o", tmp_path / "run", "--quiet")
    assert result.exit_code == 0, result.output
    fit = pima.runs.open_fit(tmp_path / "run")
    old = pima.runs.training_data(tmp_path / "run")
    read = pima.runs.new_data(tmp_path / "run", fit, new)
    same = ["P0", "P1"]
    assert read.specimen.values.tolist() == same
    np.testing.assert_array_equal(read.image.values, old.image.sel(specimen=same).values)
    assert old.image.attrs["bits"] == 12
    assert 0.5 < float(read.image.max()) < 0.75
    np.testing.assert_array_equal(read.stress.values, old.stress.sel(specimen=same).values)
    np.testing.assert_array_equal(read.strain, old.strain)
    answer = command("infer", tmp_path / "run", new, "-o", tmp_path / "answer.csv", "--json")
    assert answer.exit_code == 0, answer.output
    assert [row["specimen"] for row in json.loads(answer.stdout)["specimens"]] == same
