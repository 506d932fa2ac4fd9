"""`pima fit`: what lies in a run, what the same command does again, what it refuses."""

import json

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima

SHORT = ("--physics", "stress=proportional", "--clusters", 2, "--latent-dim", 2, "--epochs", 2)


def same_numbers(one, other):
    one, other = pima.runs.open_fit(one), pima.runs.open_fit(other)
    xr.testing.assert_identical(one.experts, other.experts)
    xr.testing.assert_identical(one.specimens, other.specimens)
    xr.testing.assert_identical(one.clusters, other.clusters)


def test_a_run_holds_everything_that_made_it(finished, specimens):
    names = {p.name for p in finished.iterdir()}
    assert {"options.toml", "run.json", "checkpoint", "fit.pima", "log.txt"} <= names
    about = json.loads((finished / "run.json").read_text())
    assert about["state"] == "finished"
    assert about["data"]["specimens"] == 48
    assert about["versions"]["numpy"] == np.__version__
    assert "proportional" in about["plugins"][0]["experts"]
    options = pima.runs.read_options(finished / "options.toml")
    assert options["data"] == str(specimens)
    assert options["modalities"]["stress"]["expert"] == "proportional"
    assert options["modalities"]["feature"]["kind"] == "neural"
    assert options["training"]["learning_rate"] == 5e-3
    assert "feature: a vector, taken as neural" in (finished / "log.txt").read_text()


def test_the_options_of_a_run_repeat_it_exactly(command, finished, tmp_path):
    result = command("fit", "--options", finished / "options.toml", "-o", tmp_path / "again")
    assert result.exit_code == 0, result.output
    same_numbers(finished, tmp_path / "again")
    assert (tmp_path / "again" / "options.toml").read_bytes() == (finished / "options.toml").read_bytes()


def test_a_finished_run_stays_as_it_is(command, finished, specimens):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.name != ".lock" and p.is_file()}
    result = command("fit", specimens, *SHORT, "-o", finished)
    assert result.exit_code == 0
    assert "is finished, with the same data and options: nothing to do" in result.stdout
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--seed", 1), "training.seed: 0 there, 1 now"),
        (("--epochs", 3, "--set", "model.beta=2.0"), "model.beta: 1.0 there, 2.0 now; training.epochs: 2 there, 3 now"),
        (("--without", "feature"), "modalities.feature.kind: neural there, none now"),
        (("--set", "training.patience=5"), "training.patience: not given there, 5 now"),
    ],
)
def test_other_options_in_the_same_folder_are_refused(command, finished, specimens, more, words):
    result = command("fit", specimens, *SHORT, *more, "-o", finished)
    assert result.exit_code == 1
    assert f"holds a run with other data or options ({words}" in result.stderr


def test_other_data_in_the_same_folder_are_refused_and_the_same_elsewhere_are_not(
    command, finished, specimens, tmp_path
):
    data = pima.open_data(specimens)
    moved = pima.save_data(data, tmp_path / "moved.nc")
    assert command("fit", moved, *SHORT, "-o", finished).exit_code == 0
    data["stress"][3, 4] += 1e-9
    other = command("fit", pima.save_data(data, tmp_path / "other.nc"), *SHORT, "-o", finished)
    assert other.exit_code == 1
    assert "the data: " in other.stderr
    assert "other.nc now" in other.stderr
