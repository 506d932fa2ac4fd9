"""Pictures that stay on disk: the same numbers as in memory, block by block, in bounded memory."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data import read, streaming
from pima_toolkit.errors import DataError, OptionError, PimaWarning
from pima_toolkit.fitting.inputs import stored as stored_module
from pima_toolkit.fitting.inputs.spec import learn_specs, wanted
from pima_toolkit.fitting.inputs.stored import Stored
from pima_toolkit.fitting.inputs.tensors import to_tensors
from pima_toolkit.fitting.options import TrainingSettings
from pima_toolkit.fitting.run import TrainingRun
from pima_toolkit.fitting.starts import curveless
from pima_toolkit.model.network import build
from pima_toolkit.runs.source import dataset_fingerprint

SIZE = 12


@pytest.fixture(scope="module")
def pictures(two_populations):
    """Pictures of eight bits, some missing, beside the curves of two populations."""
    data = two_populations(specimens=50).drop_vars("feature")
    rng = np.random.default_rng(0)
    frame = 90 + 60 * data.label.values[:, None, None] + rng.integers(-40, 40, (50, SIZE, SIZE))
    image = (("specimen", "y", "x"), frame.astype(np.uint8), {"units": "1"})
    return data.assign(image=image, image_present=("specimen", np.arange(50) % 7 != 3))


@pytest.fixture
def on_disk(pictures, tmp_path, monkeypatch):
    """The same on disk, in blocks of eight specimens."""
    monkeypatch.setattr(streaming, "BLOCK_BYTES", 8 * SIZE * SIZE)
    path = pima.save_data(pictures, tmp_path / "pictures.zarr")
    data = xr.open_dataset(path, engine="zarr", consolidated=False, cache=False)
    assert streaming.on_disk(data, "image")
    return data


@pytest.fixture(scope="module")
def model():
    return pima.PIMA({"image": pima.Neural(), "stress": pima.Physics("proportional")}, clusters=2, latent_dim=2)


def tensors_of(model, data):
    measurements = read(data, wanted(model.options.modalities))
    specs = learn_specs(measurements, model.options.modalities)
    return specs, to_tensors(measurements, specs, "cpu")


def test_pictures_on_disk_are_the_tensors_they_would_be_in_memory(model, pictures, on_disk):
    specs, memory = tensors_of(model, pictures)
    others, disk = tensors_of(model, on_disk)
    assert specs["image"].scaling == others["image"].scaling
    assert isinstance(disk.inputs["image"], Stored)
    assert disk.block == 8
    assert disk.inputs["image"].shape == memory.inputs["image"].shape
    assert torch.equal(disk.present["image"], memory.present["image"])
    np.testing.assert_array_equal(disk.outside["image"], memory.outside["image"])
    shuffled = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    for index in (slice(3, 21), slice(None), shuffled, shuffled[:1]):
        assert torch.equal(disk.inputs["image"][index], memory.inputs["image"][index])
    assert torch.equal(disk.at(shuffled[:9]).inputs["image"][slice(2, 5)], memory.inputs["image"][shuffled[2:5]])


def test_a_block_stays_as_stored_until_it_is_in_a_batch(model, on_disk):
    _, tensors = tensors_of(model, on_disk)
    stored = tensors.inputs["image"]
    for start in range(0, 50, 8):
        assert stored[torch.tensor([start])].dtype == torch.float32
        assert len(stored.measurement.values._kept) <= 2
        assert {block.dtype for block in stored.measurement.values._kept.values()} == {np.dtype(np.uint8)}


def test_an_epoch_is_shuffled_block_by_block(model, on_disk):
    specs, tensors = tensors_of(model, on_disk)
    job = TrainingRun(model.options, TrainingSettings(), specs, tensors, torch.device("cpu"), None, "", print)
    first, again, other = (torch.cat(list(job.batches(5, seed))) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert sorted(first.tolist()) == list(range(50))
    turns = (first // 8).diff().count_nonzero()
    assert turns == 6  # seven blocks, each from its first to its last specimen before the next
    assert not torch.equal(first, first.sort().values)


def test_some_specimens_come_block_by_block_too(model, on_disk):
    specs, tensors = tensors_of(model, on_disk)
    job = TrainingRun(model.options, TrainingSettings(), specs, tensors, torch.device("cpu"), None, "", print)
    some = torch.arange(0, 50, 3)
    order = torch.cat(list(job.batches(4, 1, some)))
    assert torch.equal(order.sort().values, some)
    assert (order // 8).diff().count_nonzero() == 6
    assert not torch.equal(order, some)


def test_specimens_without_a_curve_start_the_same_and_a_few_at_a_time(pictures, on_disk, monkeypatch):
    monkeypatch.setattr(stored_module, "_LOOKED_AT", 8 * SIZE * SIZE)
    most = []

    def read(self, index):
        out = original(self, index)
        most.append(len(out))
        return out

    original = Stored.__getitem__
    without = xr.DataArray(np.arange(50) % 5 != 1, dims="specimen")
    found = []
    for data in (pictures, on_disk):
        data = data.assign(stress=data.stress.where(~without))
        modalities = {"image": pima.Neural(), "stress": pima.Physics("proportional")}
        job_model = pima.PIMA(modalities, clusters=2, latent_dim=2)
        specs, tensors = tensors_of(job_model, data)
        settings = TrainingSettings(precision="float32")
        job = TrainingRun(job_model.options, settings, specs, tensors, torch.device("cpu"), None, "", lambda _: None)
        network = build(0, modalities, {n: t.shape for n, t in specs.items()}, 2, prior_expert=False)
        first = curveless.CurvelessFirst(job, network, 0)
        with monkeypatch.context() as patch:
            patch.setattr(Stored, "__getitem__", read)
            out = first.features.everywhere(torch.nn.Identity(), first.asked)
        found.append(out)
    assert torch.allclose(*found, atol=1e-6)
    assert max(most) == 8


@pytest.mark.slow
def test_a_fit_and_its_answers(model, pictures, on_disk):
    settings = {"epochs": 3, "crossmodal_epochs": 2, "progress": False}
    fits = [model.fit(data, **settings) for data in (on_disk, on_disk, pictures)]
    first, again, memory = fits
    assert first.record.facts["data"] == memory.record.facts["data"]
    np.testing.assert_array_equal(first.specimens.responsibilities, again.specimens.responsibilities)
    np.testing.assert_array_equal(first.specimens.cluster, memory.specimens.cluster)
    np.testing.assert_allclose(first.parameters.value, memory.parameters.value, rtol=1e-3)
    seen = np.flatnonzero(pictures.image_present)
    asked = [data[["image", "image_present"]].isel(specimen=seen) for data in (pictures, on_disk)]
    here, there = (first.infer(data, predict="stress") for data in asked)
    for name in ("responsibilities", "stress", "typicality"):
        np.testing.assert_allclose(here[name], there[name], rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:population")  # of one epoch
def test_pictures_alone_that_stay_on_disk_are_told_what_they_miss(on_disk):
    alone = pima.PIMA({"image": pima.Neural()}, clusters=2, latent_dim=2)
    seen = []
    with pytest.warns(PimaWarning, match=r"'image' stays on disk, so clusters start .* data\.load\(\) first"):
        alone.fit(on_disk.isel(specimen=on_disk.image_present), epochs=1, callbacks=[seen.append], progress=False)
    assert {p.phase for p in seen} == {"joint"}


def test_what_is_wrong_with_pictures_on_disk_is_said(model, pictures, tmp_path):
    def opened(data, name):
        path = pima.save_data(data, tmp_path / name)
        return xr.open_dataset(path, engine="zarr", consolidated=False, cache=False)

    constant = opened(pictures.assign(image=pictures.image * 0 + 3), "constant.zarr")
    with pytest.raises(DataError, match="'image' is constant: every value is 3"):
        model.fit(constant, progress=False)
    absent = opened(pictures.assign(image_present=pictures.image_present & False), "absent.zarr")
    with pytest.raises(DataError, match="'image' is missing for every specimen"):
        model.fit(absent, progress=False)
    broken = pictures.assign(image=pictures.image.astype(float))
    broken.image.values[5, 0, 0] = np.nan
    with pytest.raises(DataError, match="NaN inside present specimens: s005"):
        model.fit(opened(broken, "broken.zarr"), progress=False)


def test_large_variables_of_a_zarr_folder_stay_on_disk(pictures, tmp_path, monkeypatch):
    path = pima.save_data(pictures, tmp_path / "pictures.zarr")
    assert not streaming.on_disk(pima.open_data(path, lazy=True), "image")
    monkeypatch.setattr("pima_toolkit.data.storage.LAZY_BYTES", 5000)
    data = pima.open_data(path, lazy=True)
    assert streaming.on_disk(data, "image")
    assert not streaming.on_disk(data, "stress")
    assert data.isel(specimen=slice(9)).image.encoding["preferred_chunks"]["specimen"] == 50
    xr.testing.assert_identical(data.load(), pima.open_data(path))
    with pytest.raises(OptionError, match=r"lazy=True needs a folder \.zarr"):
        pima.open_data(tmp_path / "pictures.nc", lazy=True)


def test_a_run_of_pictures_on_disk(pictures, tmp_path, monkeypatch):
    path = pima.save_data(pictures, tmp_path / "pictures.zarr")
    monkeypatch.setattr("pima_toolkit.data.storage.LAZY_BYTES", 5000)
    data = pima.open_data(path, lazy=True)
    assert dataset_fingerprint(data) == dataset_fingerprint(pima.open_data(path))
    options = {"data": str(path), "model": {"clusters": 2}, "training": {"epochs": 2}}
    options["modalities"] = {"stress": {"expert": "proportional"}}
    outcome = pima.runs.run(tmp_path / "run", options)
    assert any("the data stay on disk" in note for note in outcome.notes)
    assert set(outcome.fit.model.options.neural) == {"image"}
    assert outcome.folder.report.exists()


PROGRAM = """
import json, resource, sys
from torch import nn
import pima_toolkit as pima

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

encoder = nn.Sequential(nn.AvgPool2d(64), nn.Flatten())
decoder = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)), nn.Upsample(scale_factor=64))
model = pima.PIMA(
    {"image": pima.Neural(encoder, decoder), "stress": pima.Physics("proportional")}, clusters=2, latent_dim=2
)
settings = {"epochs": 1, "batch_size": 8, "progress": False, "precision": "float32"}
data = pima.open_data(sys.argv[1], lazy=True)
model.fit(data.isel(specimen=slice(0, 24)).load(), **settings)  # libraries and compiled code are not counted
before = peak()
fit = model.fit(data, **settings)
print(json.dumps({"before": before, "after": peak(), "pictures": data.image.nbytes / 2**20}))
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_memory_does_not_grow_with_the_pictures(two_populations, tmp_path):
    """131 MB of pictures, 524 MB as the numbers that networks take, in 128 MiB beyond what a few of them need."""
    data = two_populations(specimens=500).drop_vars("feature")
    frame = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 255, (500, 64, 64), np.uint8), 8, 1), 8, 2)
    frame[:, :256] //= (1 + data.label.values[:, None, None]).astype(np.uint8)
    path = pima.save_data(data.assign(image=(("specimen", "y", "x"), frame)), tmp_path / "pictures.zarr")
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["pictures"] == 125
    assert found["after"] - found["before"] < 128
