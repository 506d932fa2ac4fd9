"""Whatever is wrong on the command line or in a file: one clear sentence, a code, nothing trained, nothing left."""

import json
import zipfile

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.fitting import trained_model

GOOD = ("--physics", "stress=proportional", "--clusters", 2, "--epochs", 1)


@pytest.fixture(autouse=True)
def _no_training(monkeypatch):
    def never(*job):
        raise AssertionError("training began")

    monkeypatch.setattr(trained_model, "train_restarts", never)


@pytest.fixture
def refused(command, tmp_path):
    """Run a command that must fail: its sentence on standard error, with nothing on standard output."""

    def run(*arguments, code=1, leaves_nothing=True):
        result = command(*(["fit", *arguments, "-o", tmp_path / "run"] if arguments[0] not in USES else arguments))
        assert result.exit_code == code, result.output
        if code == 1:
            assert result.stderr.startswith("pima: ")
            assert result.stderr.count("\n") == 1
            assert len(result.stderr) < 700
        assert "Traceback" not in result.output
        assert not (leaves_nothing and (tmp_path / "run" / "run.json").exists())
        return " ".join(result.stderr.split())

    return run


USES = ("infer", "generate", "report", "export")
OPTIONS = {
    "unknown modality": (("--neural", "fature"), "the data have no modality 'fature'", "did you mean 'feature'?"),
    "unknown curve": (("--physics", "stres=affine"), "no modality 'stres'", "did you mean 'stress'?"),
    "unknown expert": (("--physics", "stress=proportionel"), "no expert 'proportionel'; did you mean 'proportional'?"),
    "a broken formula": (("--physics", "stress=K*strain**"), "K*strain**"),
    "a formula that would run": (("--physics", "stress=__import__('os').system('x')*strain"), "__import__"),
    "physics of a vector": (("--physics", "feature=affine"), "'feature' has no coordinate"),
    "no clusters wanted": (("--clusters", 0), "clusters=0: expected a whole number of at least 1"),
    "unknown device": (("--device", "gpu"), 'device=\'gpu\' is unknown: use "auto", "cpu" or "cuda"'),
    "all left out": (("--without", "feature", "--without", "stress"), "modalities is empty"),
    "an unknown option": (("--set", "training.patiens=5"), "training.patiens is no option", "did you mean 'patience'?"),
    "an unknown table": (("--set", "trainin.seed=5"), "trainin is no option", "did you mean 'training'?"),
    "a word for a number": (
        ("--set", "training.batch_size=big"),
        "training.batch_size = 'big': expected a whole number",
    ),
    "a fraction for a whole": (("--set", "model.latent_dim=2.5"), "model.latent_dim = 2.5: expected a whole number"),
    "a number for true": (("--set", "model.prior_expert=1"), "model.prior_expert = 1: expected true or false"),
    "true for a number": (("--set", "training.learning_rate=true"), "learning_rate = True: expected a number"),
    "a word for a list": (
        ("--set", "modalities.stress.window=all"),
        "modalities.stress.window = 'all': expected a list",
    ),
    "an unknown choice": (("--set", "training.em=often"), "em='often' is unknown: use one of 'epoch', 'online'"),
    "no value": (("--set", "training.seed"), "--set 'training.seed': expected KEY=VALUE"),
    "an unknown kind": (
        ("--set", "modalities.feature.kind=newral"),
        "feature.kind = 'newral'",
        "did you mean 'neural'?",
    ),
    "an option of the other kind": (("--set", "modalities.stress.flips=['x']"), "modalities.stress.flips is no option"),
    "no such plugin": (("--plugin", "nowhere.py"), "no plugin file", "nowhere.py"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options(refused, specimens, name):
    arguments, *words = OPTIONS[name]
    said = refused(specimens, *GOOD, *arguments)
    for word in words:
        assert word in said, said


def test_more_clusters_than_specimens(refused, specimens):
    # Only training knows how many specimens are left: the folder is begun, and open to other options.
    said = refused(specimens, *GOOD, "--clusters", 49, leaves_nothing=False)
    assert "48 specimens cannot fill 49 clusters: ask for fewer clusters, or measure more" in said


FILES = {
    "syntax": ("clusters = = 2", "options.toml is not TOML", "line 1, column"),
    "a later line": ("[model]\nclusters = 2\nlatent_dim 3", "(at line 3"),
    "a key twice": ("[model]\nclusters = 2\nclusters = 3", "is not TOML: Cannot overwrite a value"),
    "an unknown key": ("[model]\nclustrs = 2", "options.toml: model.clustrs is no option", "did you mean 'clusters'?"),
    "an unknown table": ("[modle]\nclusters = 2", "options.toml: modle is no option", "did you mean 'model'?"),
    "text for a number": ("[model]\nclusters = 'two'", "model.clusters = 'two': expected a whole number"),
    "a key where a table is": ("model = 2", "model = 2: expected a table"),
    "a modality that is text": ("modalities = {stress = 'affine'}", "modalities.stress = 'affine': expected a table"),
    "physics without expert": ("[modalities.stress]\nkind = 'physics'", "modalities.stress.expert is missing"),
    "a formula's unknown key": (
        "[modalities.stress]\nexpert = {formula = 'K*strain', bound = {}}",
        "modalities.stress.expert.bound is no option",
        "did you mean 'bounds'?",
    ),
    "an expert without formula": ("[modalities.stress]\nexpert = {t = 'strain'}", "stress.expert.formula is missing"),
    "bounds that are none": (
        "[modalities.stress]\nexpert = {formula = 'K*strain', bounds = {K = [0]}}",
        "expert.bounds.K = [0]: expected two numbers",
    ),
    "unknown reading": ("[reading]\nimage = 1", "reading.image is no option", "did you mean 'images'?"),
    "data as a number": ("data = 3", "data = 3: expected text"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_options(refused, specimens, tmp_path, name):
    text, *words = FILES[name]
    path = tmp_path / "options.toml"
    path.write_text(text)
    arguments = ("--clusters", 2) if "[modalities" in text else GOOD
    said = refused(specimens, *arguments, "--options", path)
    for word in words:
        assert word in said, said


def test_files_of_options_that_are_none(refused, specimens, tmp_path):
    assert "cannot be read (No such file" in refused(specimens, "--options", tmp_path / "nowhere.toml")
    assert "cannot be read (Is a directory)" in refused(specimens, "--options", tmp_path)
    (tmp_path / "latin.toml").write_bytes("data = 'Größe'".encode("latin-1"))
    assert "is not text in UTF-8" in refused(specimens, "--options", tmp_path / "latin.toml")


def test_data(refused, tmp_path):
    xr.Dataset({"T": ("time", [1.0, 2.0])}).to_netcdf(tmp_path / "weather.nc")
    assert "the dataset has no 'specimen' dim (its dims: time)" in refused(tmp_path / "weather.nc", *GOOD)
    (tmp_path / "text.nc").write_text("not a dataset")
    assert "text.nc cannot be read" in refused(tmp_path / "text.nc", *GOOD)
    assert "there is no " in refused(tmp_path / "nowhere.nc", *GOOD)
    (tmp_path / "empty").mkdir()
    assert "empty is empty" in refused(tmp_path / "empty", *GOOD)
    assert "say which data: pima fit DATA" in refused(*GOOD)
    assert "say how many populations to look for: --clusters 2" in refused(_one(tmp_path), "--neural", "feature")


def _one(folder):
    values = np.random.default_rng(0).standard_normal((6, 3))
    return pima.save_data(xr.Dataset({"feature": (("specimen", "kind"), values)}), folder / "one.nc")


def test_usage_is_code_2(refused, specimens, finished):
    assert "No such option" in refused(specimens, "--cluster", 2, code=2)
    assert "Invalid value for '--clusters'" in refused(specimens, "--clusters", "two", code=2)
    assert "expected NAME=VALUE" in refused(specimens, "--physics", "linear_hardening", code=2)
    assert "ends in none of .nc" in refused("infer", finished, specimens, "-o", "answer.txt", code=2)
    assert "Missing option '--cluster'" in refused("generate", finished, "-o", "a.nc", code=2)
    assert "Missing argument" in refused("report", code=2)


def test_runs_and_fits(refused, command, finished, specimens, tmp_path):
    nowhere = tmp_path / "nowhere.pima"
    assert "nowhere.pima does not exist: expected a folder that `pima fit` wrote" in refused("report", nowhere)
    assert "is no run: expected a folder that `pima fit` wrote" in refused("infer", tmp_path, specimens)
    (tmp_path / "text.pima").write_text("nonsense")
    assert "text.pima is not a saved fit or is damaged" in refused("report", tmp_path / "text.pima")
    whole = (finished / "fit.pima").read_bytes()
    (tmp_path / "cut.pima").write_bytes(whole[: len(whole) // 2])
    assert "cut.pima is not a saved fit or is damaged" in refused("export", tmp_path / "cut.pima", "-o", tmp_path / "e")
    with zipfile.ZipFile(tmp_path / "other.pima", "w") as file:
        file.writestr("about.json", json.dumps({"format": "another"}))
    assert "other.pima is not a saved fit" in refused("generate", tmp_path / "other.pima", "-c", 0, "-o", "x.nc")
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "run.json").write_text((finished / "run.json").read_text())
    assert "has no fit yet: it was not trained to its end, the same `pima fit` goes on" in refused("report", unfinished)
    assert "cluster=2: this fit has the clusters 0 to 1" in refused("generate", finished, "-c", 2, "-o", "x.nc")
    assert "n=0: expected a whole number" in refused("generate", finished, "-c", 0, "-n", 0, "-o", "x.nc")
    said = refused("infer", finished, specimens, "--predict", "stres")
    assert "predict names 'stres'" in said
    # Before anything is read: there is no such data.
    said = refused("infer", finished, "nowhere.nc", "--coverage", 95)
    assert "coverage=95: expected a share between 0 and 1, such as 0.95" in said
    assert "formats names 'ods'" in refused("export", finished, "-o", tmp_path / "e", "--format", "csv,ods")


def test_a_run_whose_files_are_damaged(refused, finished, specimens, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "checkpoint" / "restart-0.safetensors").write_bytes(b"")
    (folder / "options.toml").write_text("[[[")
    for text, words in (
        ("{", "run.json is damaged"),
        ('{"format": "pima_toolkit run", "version": "1"}', "run.json version is '1' and not a whole number"),
        ('{"format": "pima_toolkit run", "version": 1, "state": 7}', "run.json state is 7 and not a text"),
        ('{"format": "pima_toolkit run", "version": 1, "state": "finished"}', "run.json lacks the field data"),
        ('{"format": "another", "version": 1}', "was not written by this pima_toolkit, or by a newer one"),
        ('{"format": "pima_toolkit run", "version": 99}', "or by a newer one"),
        ((finished / "run.json").read_text(), "options.toml is damaged"),
    ):
        (folder / "run.json").write_text(text)
        assert words in refused(specimens, *GOOD, leaves_nothing=False)
