"""Two processes that train one model: the same clusters, experts and accuracy as one; one that dies ends all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.errors import OptionError, StorageError, TrainingError
from pima_toolkit.fitting.parallel.distributed import ALONE, Processes

pytestmark = pytest.mark.slow

OPTIONS = {
    "modalities": {"stress": {"expert": "proportional"}, "feature": {"kind": "neural"}},
    "model": {"clusters": 2, "latent_dim": 2},
    "training": {"epochs": 6},
}


@pytest.fixture(scope="module")
def options(two_populations, tmp_path_factory):
    # An odd number of specimens: shares and batches differ.
    path = pima.save_data(two_populations(specimens=97), tmp_path_factory.mktemp("data") / "specimens.nc")
    return OPTIONS | {"data": str(path)}


@pytest.fixture(scope="module")
def alone(options, tmp_path_factory):
    return pima.runs.run(tmp_path_factory.mktemp("alone") / "run", options).fit


@pytest.fixture(scope="module")
def pair(options, tmp_path_factory):
    said = []
    folder = tmp_path_factory.mktemp("pair") / "run"
    return pima.runs.run_together(2, folder, options, say=said.append), said


def test_two_processes_find_what_one_finds(alone, pair):
    fit = pair[0].fit
    np.testing.assert_array_equal(fit.specimens.cluster, alone.specimens.cluster)
    np.testing.assert_allclose(fit.specimens.responsibilities, alone.specimens.responsibilities, atol=1e-3)
    np.testing.assert_allclose(fit.parameters.value, alone.parameters.value, rtol=1e-4)
    np.testing.assert_allclose(fit.parameters.scatter_std, alone.parameters.scatter_std, rtol=1e-3)
    np.testing.assert_allclose(fit.clusters.weight, alone.clusters.weight, atol=1e-4)
    assert fit.elbo == pytest.approx(alone.elbo, rel=0.05)


def test_the_first_process_alone_speaks_and_writes(pair):
    outcome, said = pair
    assert outcome.folder.about()["state"] == "finished"
    assert said.count("writing tables and the report") == 1
    epochs = [line for line in (outcome.folder.path / "log.txt").read_text().splitlines() if "joint 0 epoch" in line]
    assert len(epochs) == 6
    assert outcome.folder.report.exists()


def test_the_same_call_again_finds_the_run_finished(pair, options):
    again = pima.runs.run_together(2, pair[0].folder.path, options)
    assert again.finished_before
    np.testing.assert_array_equal(again.fit.parameters.value, pair[0].fit.parameters.value)


def test_a_process_that_dies_ends_the_run_with_its_error_and_the_same_call_goes_on(options, pair, tmp_path):
    """A killed worker; what was trained until then counts, and the end is that of the run nothing happened to."""
    folder = tmp_path / "run"

    def kill():
        log = folder / "log.txt"
        while not (log.exists() and "joint 0 epoch 2/" in log.read_text()):
            time.sleep(0.01)
        # The children of this process that run our worker; the last one started is the second rank.
        path = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
        with open(path) as children:  # noqa: PTH123 - a file of the kernel
            workers = [int(pid) for pid in children.read().split()]
        spawned = [pid for pid in workers if b"spawn_main" in _command(pid)]
        os.kill(max(spawned), signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(TrainingError, match="process 1 of 2 was ended by SIGKILL"):
        pima.runs.run_together(2, folder, options)
    killer.join()
    assert json.loads((folder / "run.json").read_text())["state"] == "training"
    # A run stopped by hand has a fit already, and is not finished for that.
    shutil.copy(pair[0].folder.fit_file, folder / "fit.pima")
    outcome = pima.runs.run_together(2, folder, options)
    assert not outcome.finished_before
    fit = outcome.fit
    np.testing.assert_array_equal(fit.parameters.value, pair[0].fit.parameters.value)
    np.testing.assert_array_equal(fit.specimens.responsibilities, pair[0].fit.specimens.responsibilities)


def _command(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
        return file.read()


VARY = {
    "stress": {"expert": "proportional", "vary": "latent"},
    "feature": {"kind": "neural"},
    "image": {"kind": "none"},
}
PICTURES = {"stress": {"kind": "none"}, "feature": {"kind": "neural"}, "image": {"kind": "neural"}}


@pytest.mark.parametrize("modalities", [VARY, PICTURES], ids=["vary", "pictures"])
def test_two_processes_start_from_pictures_and_train_what_varies(modalities, two_populations, tmp_path):
    """One process has a specimen without the curve, the other none; gradients before training are nobody else's."""
    data = two_populations(specimens=20)
    image = 0.2 * np.random.default_rng(0).random((20, 6, 6)) + data.label.values[:, None, None] * np.eye(6)
    data = data.assign(image=(("specimen", "y", "x"), image.astype(np.float32)))
    data["stress"] = data.stress.where(data.specimen != data.specimen[3])
    path = pima.save_data(data, tmp_path / "data.nc")
    training = {"epochs": 1, "crossmodal_epochs": 1}
    options = {"data": str(path), "modalities": modalities, "model": OPTIONS["model"], "training": training}
    fit = pima.runs.run_together(2, tmp_path / "run", options).fit
    assert np.isfinite(fit.elbo)
    np.testing.assert_allclose(fit.specimens.responsibilities.sum("cluster"), 1.0)
    assert pima.metrics.cluster_accuracy(data.label, fit.specimens.cluster) >= 0.9  # after one epoch


def test_an_error_of_a_process_is_the_error_of_the_run(options, pair, tmp_path):
    with pair[0].folder.locked(), pytest.raises(StorageError, match="in use by process"):
        pima.runs.run_together(2, pair[0].folder.path, options)


OWN_DATA = """
import sys
import torch
import pima_toolkit as pima
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=int(sys.argv[2]), world_size=2)
data = pima.datasets.digits(seed=0).isel(specimen=slice(int(sys.argv[2]), None, 20))
model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=2, latent_dim=2)
try:
    model.fit(data, epochs=1, progress=False)
except pima.errors.TrainingError as error:
    print(error)
torch.distributed.destroy_process_group()
"""


def test_processes_that_read_data_of_their_own_are_refused(tmp_path):
    command = [sys.executable, "-c", OWN_DATA, str(tmp_path / "meeting")]
    both = [subprocess.Popen([*command, rank], stdout=subprocess.PIPE, text=True) for rank in "01"]
    for process in both:
        said, _ = process.communicate(timeout=120)
        assert "the 2 processes have different data or options: give every one all specimens" in said


def test_numbers_of_processes_that_make_no_sense_are_refused(options, tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="at least 2"):
        pima.runs.run_together(1, tmp_path / "run", options)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="torchrun already"):
        pima.runs.run_together(2, tmp_path / "run", options)


def test_shares_cover_all_specimens_once():
    for count in (1, 2, 3, 7):
        rows = np.concatenate([np.arange(23)[Processes(rank, count).own(23)] for rank in range(count)])
        np.testing.assert_array_equal(rows, np.arange(23))


def test_one_process_alone_adds_nothing_up():
    numbers = torch.arange(3.0)
    assert ALONE.total(numbers)[0] is numbers
    assert ALONE.joined(numbers, 3) is numbers
    assert ALONE.agreed(True)
    assert Processes.here() == ALONE
