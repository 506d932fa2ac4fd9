"""`pima fit`: what lies in a run, what the same command does again, what it refuses."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.runs.options import build, choose

SHORT = ("--physics", "stress=proportional", "--clusters", 2, "--latent-dim", 2, "--epochs", 2)


def same_numbers(one, other):
    one, other = pima.runs.open_fit(one), pima.runs.open_fit(other)
    xr.testing.assert_identical(one.parameters, other.parameters)
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


def test_what_a_program_reads(command, specimens, tmp_path):
    result = command("fit", specimens, *SHORT, "-o", tmp_path / "run", "--json")
    said = json.loads(result.stdout)
    fit = pima.runs.open_fit(tmp_path / "run")
    assert said["state"] == "finished"
    assert not said["finished_before"]
    assert said["specimens"] == 48
    assert said["elbo"] == fit.elbo
    slope = said["clusters"][0]["parameters"]["slope"]
    assert slope["value"] == float(fit.parameters.value[0, 0])
    assert slope["unit"] == "MPa"
    assert set(said["files"]) == {"fit", "report", "options", "tables"}
    assert json.loads(command("fit", specimens, *SHORT, "-o", tmp_path / "run", "--json").stdout)["finished_before"]
    assert command("fit", specimens, *SHORT, "-o", tmp_path / "run", "--quiet").stdout == ""


def test_a_formula_on_the_command_line(command, specimens, tmp_path):
    formula = ("--physics", "stress=K * strain", "--clusters", 2, "--epochs", 1)
    result = command("fit", specimens, *formula, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    options = pima.runs.read_options(tmp_path / "run" / "options.toml")
    assert options["modalities"]["stress"]["expert"] == {"formula": "K * strain", "t": "strain"}
    assert pima.runs.open_fit(tmp_path / "run").parameters.parameter.values.tolist() == ["K"]


def test_laws_made_of_others_and_relations_are_named_in_options():
    """Read and built as the command does it, without training."""
    curves = xr.Dataset(
        {"stress": (("specimen", "strain"), np.arange(27.0).reshape(3, 9))}, coords={"strain": np.linspace(0, 1, 9)}
    )
    for text, fitted in {
        "elastic(70e3) + voce with rise < 300": ["sigma_y", "rise", "eps_c"],
        "peaks(1, gaussian, background=0)": ["b_0", "A_1", "mu_1", "w_1"],
        "K*strain**n with n < 0.5": ["K", "n"],
    }.items():
        options = {"model": {"clusters": 2}, "modalities": {"stress": {"expert": text}}}
        model, _ = build(choose(options, curves)[0])
        assert [p.name for p in model.options.modalities["stress"].expert.parameters] == fitted


def test_covariates_are_no_modalities(command, two_populations, tmp_path):
    """A variable that the formula asks for is not taken for something to learn."""
    data = two_populations().assign(rate=("specimen", np.linspace(1.0, 2.0, 48)))
    expert = "{formula = 'K * strain * rate', t = 'strain', covariates = ['rate']}"
    (tmp_path / "o.toml").write_text(f"[model]\nclusters = 2\n[modalities.stress]\nexpert = {expert}\n")
    path = pima.save_data(data, tmp_path / "d.nc")
    result = command("fit", path, "--options", tmp_path / "o.toml", "--epochs", 1, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "rate: what the expert of stress needs to know of each test" in result.stdout
    assert pima.runs.read_options(tmp_path / "run" / "options.toml")["modalities"]["rate"] == {"kind": "none"}


TOML = """
data = "mine.nc"
plugins = ["mine.py"]

[model]
clusters = 2

[modalities.stress]
expert = "of_this_test"
window = [0, 0.8]
priors = {mine = [3.0, 2.0]}

[modalities.feature]
kind = "none"

[training]
epochs = 1
"""
PLUGIN = """
import pima_toolkit as pima
from pima_toolkit.runs.options import build, choose

class Mine(pima.SympyExpert):
    "A line of the test's own."
    name, t, formula = "of_this_test", "t", "mine * t"
    parameters = (pima.Parameter("mine", unit="{y}"),)
    example = pima.Example(t=(0, 1), parameters={"mine": 3})

@pima.hookimpl
def pima_experts():
    return [Mine]
"""


def test_a_file_of_options_and_a_plugin_beside_it(command, two_populations, tmp_path, monkeypatch):
    """What a file names is looked for beside it, wherever the command is given; the command line comes first."""
    pima.save_data(two_populations(), tmp_path / "mine.nc")
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "options.toml").write_text(TOML)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = command("fit", "--options", "../options.toml", "--seed", 7)
    assert result.exit_code == 0, result.output
    run = tmp_path / "elsewhere" / "mine-run"  # called after the data
    options = pima.runs.read_options(run / "options.toml")
    assert options["modalities"]["feature"] == {"kind": "none"}
    assert options["modalities"]["stress"]["window"] == [0, 0.8]
    assert options["training"]["seed"] == 7
    assert options["plugins"] == [str(tmp_path / "mine.py")]
    plugins = json.loads((run / "run.json").read_text())["plugins"]
    assert [p["experts"] for p in plugins if "mine.py" in p["name"]] == [["of_this_test"]]
    fit = pima.runs.open_fit(run)
    assert fit.parameters.parameter.values.tolist() == ["mine"]
    assert fit.model.options.modalities["stress"].window == (0.0, 0.8)


def test_a_run_begun_with_other_versions_says_so(command, finished, specimens, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    about = json.loads((folder / "run.json").read_text())
    about = {**about, "state": "training", "versions": {**about["versions"], "torch": "2.6.0"}}
    (folder / "run.json").write_text(json.dumps(about))
    said = command("fit", specimens, *SHORT, "-o", folder).stdout
    assert "the run was begun with torch 2.6.0, now " in said
    assert "numbers may differ in the last digits" in said


@pytest.mark.slow
def test_a_run_stands_beside_simple_methods(command, specimens, tmp_path):
    short = ("--physics", "stress=proportional", "--clusters", 2, "--epochs", 2, "--baselines")
    shown = command("fit", specimens, *short, "-o", tmp_path / "run")
    assert "beside simple methods, stress: this fit misses specimens held out by" in shown.output
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for method in ("this fit", "extra trees", "ridge", "mean"):
        assert f"<td>{method}</td>" in report
    assert "extra trees" in pima.load(tmp_path / "run").report()
