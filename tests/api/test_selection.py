"""How many clusters: the truth of three populations, and none where there is no structure."""

import json
from contextlib import contextmanager
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.api.selection import select_clusters
from pima_toolkit.data import read
from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.fitting.held_out import Candidates, held_out, specimen_elbo
from pima_toolkit.fitting.inputs.spec import schemas, wanted
from pima_toolkit.fitting.inputs.tensors import to_tensors
from pima_toolkit.fitting.options import TrainingSettings
from pima_toolkit.metrics.agreement import pairwise_agreement, share_of_same


def populations(apart, specimens=90, seed=0):
    """Lines and vectors of three populations, or of one."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 3
    slope = (np.array([2.0, 5.0, 8.0])[label] if apart else 5.0) + 0.15 * rng.standard_normal(specimens)
    t = np.linspace(0.0, 1.0, 8)
    stress = slope[:, None] * t + 0.05 * rng.standard_normal((specimens, 8))
    feature = (2 * np.eye(3)[label] - 1) * apart + 0.3 * rng.standard_normal((specimens, 3))
    return xr.Dataset(
        {
            "feature": (("specimen", "kind"), feature),
            "stress": (("specimen", "strain"), stress, {"units": "MPa"}),
        },
        coords={"strain": t, "label": ("specimen", label)},
    )


@pytest.fixture(scope="module")
def model():
    return pima.PIMA({"feature": pima.Neural(), "stress": pima.Physics("proportional")}, clusters=1, latent_dim=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("selection")


@pytest.fixture(scope="module")
def three(model, folder):
    options = {"clusters": [4, 3, 2], "restarts": 2, "epochs": 6, "progress": False}
    return select_clusters(model, populations(True), folder=folder, **options)


def test_three_populations_are_found(three):
    assert three.clusters == 3
    assert three.model.options.clusters == 3
    assert three.table.clusters.values.tolist() == [2, 3, 4]
    at = three.table.sel(clusters=3)
    assert at.stability == 1.0
    assert at.smallest == pytest.approx(30, abs=1)
    truth = populations(True).label
    assert pima.metrics.ari(truth, at.assigned[0]) == 1.0
    # two clusters cannot explain three populations
    two = three.table.sel(clusters=2)
    assert two.shortfall > 5 * two.shortfall_std_error
    assert any("With fewer, 2," in words for words in three.reasons)
    html = three._repr_html_()
    assert html.startswith("<b>3 clusters</b>")
    assert all(words.split(":")[0] in unescape(html) for words in three.reasons)
    assert repr(three).startswith("<Selection: 3 clusters>\n")


def test_the_plot_has_units_on_its_axes(three):
    left, right = three.plot().axes
    assert left.get_ylabel() == "held-out ELBO (nats per specimen)"
    assert "adjusted Rand index of restarts (1)" in right.get_ylabel()
    marked = [line.get_xdata()[0] for line in left.lines if line.get_label() == "suggested"]
    assert marked == [3]


def test_it_goes_on_from_its_folder(three, model, folder):
    """A result that is there is not made again, one that is gone or of other data is."""
    path = folder / "clusters-3" / "result-1.json"
    made = json.loads(path.read_text())
    path.unlink()
    options = {"restarts": 2, "epochs": 6, "progress": False, "folder": folder}
    again = select_clusters(model, populations(True), clusters=[3], processes=2, **options)
    remade = json.loads(path.read_text())
    assert remade | {"seconds": made["seconds"]} == made
    before = three.table.sel(clusters=[3])
    np.testing.assert_array_equal(again.table.held_out_elbo, before.held_out_elbo)
    kept = Candidates(model.options, TrainingSettings(), populations(True), 0.2, folder)
    assert kept.known((3, 1), made["mark"]) == json.loads(path.read_text())
    assert kept.known((3, 1), "of other data") is None
    path.write_text("{")
    assert kept.known((3, 1), made["mark"]) is None


def test_ctrl_c_ends_all_trainings_and_not_one(model, tmp_path, monkeypatch):
    heard = []

    @contextmanager
    def impatient(*_):
        def hear(news):
            heard.append(news)
            if len(heard) == 2:
                raise KeyboardInterrupt

        yield hear

    monkeypatch.setattr("pima_toolkit.api.selection._shown", impatient)
    with pytest.raises(KeyboardInterrupt):
        select_clusters(model, populations(True, 24), clusters=[1, 2], restarts=2, epochs=3, folder=tmp_path)
    assert len(heard) == 2
    assert not list(tmp_path.rglob("result-*.json"))


def test_results_belong_to_data_in_their_unit_and_to_all_options(model):
    """An expert's bounds have units: the same curves in another one are other data, whatever they are divided by."""
    data = populations(True, 24)
    small = data.assign(stress=data.stress * 1e-3)
    options = model.options

    def mark(data, options=options, share=0.2, **training):
        measurements = read(data, wanted(options.modalities))
        return Candidates(options, TrainingSettings(**training), measurements, share, None).mark("the same numbers")

    same = mark(data)
    assert mark(data, replace(options, clusters=5), restarts=4) == same
    others = [mark(small), mark(data, share=0.5), mark(data, seed=1), mark(data, replace(options, latent_dim=5))]
    assert len({same, *others}) == 5


def test_without_structure_one_cluster_is_suggested(model):
    found = select_clusters(model, populations(False), clusters=[1, 3], restarts=2, epochs=4, progress=False)
    assert float(found.table.stability.sel(clusters=3)) < 1.0
    assert found.clusters == 1
    assert any("no populations that help" in words for words in found.reasons)


@pytest.mark.parametrize("inference", ["evidence", "paper"])
def test_the_score_of_a_specimen_is_that_of_the_training_objective(inference):
    """That of curves alone has a closed form: here with its terms written out."""
    data = populations(True, 24)[["stress"]]
    model = pima.PIMA({"stress": pima.Physics("proportional")}, clusters=3, latent_dim=2, inference=inference)
    fit = model.fit(data, epochs=2, progress=False)
    predictor = fit.predictor
    tensors = to_tensors(read(data, schemas(predictor.specs)), predictor.specs, "cpu")
    elbo, gamma = specimen_elbo(predictor.state, predictor.options, tensors, torch.autocast("cpu", enabled=False))
    mixture, entropy = predictor.state.mixture, 0.0
    joint = mixture.log_weights + predictor.state.decoders["stress"].log_prob(tensors.curves["stress"])
    if inference == "paper":
        posterior = predictor.state.network.posterior(tensors.inputs, tensors.present).detach()
        joint, entropy = joint + mixture.expected_log_prob(posterior), posterior.entropy()
    # with the optimum's responsibilities the sum over clusters is a log-sum-exp
    torch.testing.assert_close(elbo, joint.logsumexp(1) + entropy, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(gamma, joint.softmax(1), rtol=1e-5, atol=1e-6)


def test_every_restart_holds_out_other_specimens():
    parts = [held_out(23, 0.2, 7, restart) for restart in range(6)]
    for train, out in parts:
        assert sorted([*train.tolist(), *out.tolist()]) == list(range(23))
    assert sorted(d for _, out in parts[:5] for d in out.tolist()) == list(range(23))
    assert parts[5][1].tolist() == parts[0][1].tolist()


def test_agreement_knows_no_names():
    one, two = np.array([0, 0, 1, 1, 2]), np.array([2, 2, 0, 0, 1])
    np.testing.assert_array_equal(pairwise_agreement([one, two]), np.ones((2, 2)))
    three = np.array([0, 0, 1, 2, 2])
    np.testing.assert_array_equal(share_of_same([one, two, three], 0), [1.0, 1.0, 1.0, 0.5, 1.0])


def test_bad_input_is_refused_before_any_training(model):
    data = populations(True, 12)
    for options, words in (
        ({"clusters": []}, "clusters="),
        ({"clusters": [0, 2]}, "whole numbers of at least 1"),
        ({"restarts": 1}, "at least 2, one alone cannot be compared"),
        ({"held_out": 0.9}, "held_out=0.9: expected a share above 0"),
        ({"processes": 0}, "processes=0"),
        ({"processes": None}, "processes=None"),
        ({"epoch": 3}, "'epoch' is no option of training here"),
    ):
        with pytest.raises(OptionError, match=words):
            select_clusters(model, data, **options)
    with pytest.raises(DataError, match=r"12 specimens, of which \d are held out, cannot fill 40 clusters"):
        select_clusters(model, data, clusters=[40], by="training")
    with pytest.raises(DataError, match="12 specimens cannot fill 40 clusters"):
        select_clusters(model, data, clusters=[40])
    rare = data.copy(deep=True)
    rare.stress[1:] = np.nan
    with pytest.raises(DataError, match="'stress' is known of too few specimens"):
        select_clusters(model, rare, clusters=[2], by="training")
