"""Specimens without a curve: their first clusters read off their pictures, held, resumed and stopped."""

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data import read
from pima_toolkit.fitting import training
from pima_toolkit.fitting.em.health import reseed
from pima_toolkit.fitting.inputs.spec import learn_specs, wanted
from pima_toolkit.fitting.inputs.tensors import to_tensors
from pima_toolkit.fitting.objective import released
from pima_toolkit.fitting.options import TrainingSettings
from pima_toolkit.fitting.run import TrainingRun
from pima_toolkit.fitting.starts import curveless
from pima_toolkit.model.network import build

WITHOUT = 72


def blobs(specimens=96, without=WITHOUT, seed=0):
    """Three kinds of picture, a bright bar up, across or down a diagonal, and lines of slope 1, 2, 3; many lack one."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 3
    kinds = np.stack([np.zeros((8, 8)) for _ in range(3)])
    kinds[0, :, 3:5], kinds[1, 3:5], kinds[2][np.eye(8, dtype=bool)] = 0.5, 0.5, 0.9
    picture = kinds[label] + 0.25 * rng.random((specimens, 8, 8))
    t = np.linspace(0.0, 1.0, 6)
    line = (1 + label)[:, None] * t + 0.1 * rng.standard_normal((specimens, 6))
    line[rng.permutation(specimens)[:without]] = np.nan
    vector = np.eye(3)[label] + 0.3 * rng.standard_normal((specimens, 3))
    return xr.Dataset(
        {
            "image": (("specimen", "y", "x"), picture.astype(np.float32)),
            "feature": (("specimen", "kind"), vector),
            "line": (("specimen", "t"), line),
        },
        {"t": t, "label": ("specimen", label)},
    )


@pytest.fixture(scope="module")
def data():
    return blobs()


def model(neural="image"):
    modalities = {neural: pima.Neural(), "line": pima.Physics("proportional")}
    return pima.PIMA(modalities, clusters=3, latent_dim=2, inference="paper")


def fit(data, neural="image", **options):
    return model(neural).fit(data[[neural, "line", "label"]], epochs=6, progress=False, **options)


@pytest.fixture(scope="module")
def fitted(data):
    seen = []
    return fit(data, callbacks=[seen.append]), seen


def right(fit, data):
    """Share of the specimens without a line that are in the cluster whose slope is that of their kind."""
    rank = np.argsort(np.argsort(fit.clusters.line.isel(t=-1).values))
    without = data.line.isnull().all("t").values
    assert without.sum() == WITHOUT
    return float((rank[fit.specimens.cluster.values] == data.label.values)[without].mean())


@pytest.mark.parametrize("neural", ["image", "feature"])
def test_specimens_without_a_curve_join_those_they_look_like(data, fitted, neural):
    found = fitted[0] if neural == "image" else fit(data, neural)
    assert right(found, data) > 0.93
    fresh = blobs(60, without=0, seed=7)
    predicted = found.infer(fresh[[neural]], predict="line").line
    truth = (1 + fresh.label.values)[:, None] * fresh.t.values
    assert pima.metrics.rmse(truth, predicted.values) < 0.4 * pima.metrics.rmse(
        truth, np.broadcast_to(truth.mean(0), truth.shape)
    )


def test_it_comes_before_training_and_only_where_a_curve_is_missing(data, fitted):
    _, seen = fitted
    first = [p for p in seen if p.phase == "curveless"]
    assert seen[: len(first)] == first
    assert [p.epoch for p in first] == list(range(1, first[0].epochs + 1))
    assert first[0].elbo < first[-1].elbo < 0.0  # minus the loss
    seen = []
    fit(blobs(30, without=0), callbacks=[seen.append])
    assert "curveless" not in {p.phase for p in seen}


def test_one_curve_is_nobody_to_learn_from():
    data, seen = blobs(30, without=0), []
    data = data.assign(line=data.line.where(xr.DataArray(np.arange(30) == 4, dims="specimen")))
    with pytest.warns(pima.PimaWarning):
        found = fit(data, callbacks=[seen.append])
    assert {p.phase for p in seen} == {"joint", "crossmodal"}
    assert np.isfinite(found.elbo)


def test_a_run_that_was_killed_afterwards_goes_on_holding_them(data, fitted, kill, tmp_path):
    with pytest.raises(SystemExit):
        fit(data, checkpoint=tmp_path, callbacks=[kill])
    seen = []
    again = fit(data, checkpoint=tmp_path, callbacks=[seen.append])
    assert "curveless" not in {p.phase for p in seen}
    np.testing.assert_array_equal(fitted[0].specimens.responsibilities, again.specimens.responsibilities)


@pytest.mark.filterwarnings("ignore::pima_toolkit.errors.PimaWarning")
def test_stopping_in_the_middle_keeps_what_there_is_and_starts_again(data, fitted, stop_early, tmp_path):
    seen = []
    half = fit(data, checkpoint=tmp_path, callbacks=[seen.append, stop_early])
    assert [p.phase for p in seen] == ["curveless"] * 3
    assert half.interrupted
    again = fit(data, checkpoint=tmp_path)
    assert not again.interrupted
    np.testing.assert_array_equal(fitted[0].specimens.responsibilities, again.specimens.responsibilities)


def test_clusters_seeded_anew_are_held_no_more():
    anchor = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.4, 0.4], [torch.nan] * 3, [0.0, 0.0, 1.0]], dtype=torch.float64)
    assert released(anchor, []) is anchor
    assert released(None, [1]) is None
    expected = [[1.0, 0.0, 0.0], [1 / 3, 0.0, 2 / 3], [np.nan] * 3, [0.0, 0.0, 1.0]]
    np.testing.assert_allclose(released(anchor, [1]), expected)
    np.testing.assert_allclose(released(anchor, [0])[0], np.nan)


def first_of(data, names, clusters=3):
    """The phase as a training would make it, and the job's."""
    modalities = {name: pima.Neural() for name in names} | {"line": pima.Physics("proportional")}
    options = pima.PIMA(modalities, clusters=clusters, latent_dim=2).options
    measurements = read(data, wanted(modalities))
    specs = learn_specs(measurements, modalities)
    tensors = to_tensors(measurements, specs, "cpu")
    job = TrainingRun(options, TrainingSettings(), specs, tensors, torch.device("cpu"), None, "", lambda _: None)
    network = build(0, modalities, {n: t.shape for n, t in specs.items()}, 2, prior_expert=False)
    return curveless.CurvelessFirst(job, network, 0)


def test_only_who_shares_a_modality_with_those_that_have_curves_is_asked(data):
    curve, number = ~data.line.isnull().all("t"), xr.DataArray(np.arange(96), dims="specimen")
    apart = data.assign(image=data.image.where(curve), feature=data.feature.where(~curve))
    assert not first_of(apart, ["image", "feature"]).needed
    some = data.assign(image=data.image.where(curve | (number < 30)), feature=data.feature.where(~curve))
    first = first_of(some, ["image", "feature"])
    assert first.features.names == ["image"]
    expected = np.flatnonzero(~curve.values & (number.values < 30))
    np.testing.assert_array_equal(first.asked, expected)
    gamma = torch.eye(3, dtype=torch.float64)[torch.as_tensor(data.label.values)]
    found = first.run(gamma)
    np.testing.assert_array_equal(np.flatnonzero(found.isfinite().all(1)), expected)
    np.testing.assert_allclose(found[expected].sum(1), 1.0)
    assert (found[expected].argmax(1).numpy() == data.label.values[expected]).mean() > 0.8
    assert not first_of(data, ["image"], clusters=1).needed


def test_who_is_held_somewhere_is_no_seed(data, monkeypatch):
    seeds = []

    def note(gamma, evidence):
        out, clusters = reseed(gamma, evidence)
        seeds.extend(torch.nonzero((out != gamma).any(1) & (out.max(1).values == 1.0)).flatten().tolist())
        return out, clusters

    monkeypatch.setattr(training, "reseed", note)
    many = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, 8, latent_dim=2, inference="paper")
    with pytest.warns(pima.PimaWarning, match="cluster"):
        many.fit(data, epochs=4, progress=False)
    assert seeds
    assert not data.line.isnull().all("t").values[seeds].any()


def test_without_it_training_would_leave_them_anywhere(data, monkeypatch):
    """What the phase is for: the same fit without it."""
    monkeypatch.setattr(curveless.CurvelessFirst, "needed", False)
    assert right(fit(data), data) < 0.9
