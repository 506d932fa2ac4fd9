"""The paper's own choices, kept as switches: one Gaussian for all clusters, modality dropout, a random start."""

from collections import Counter

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.data import read
from pima_toolkit.fitting.inputs.spec import schemas
from pima_toolkit.fitting.inputs.tensors import to_tensors
from pima_toolkit.fitting.passes import encode
from pima_toolkit.fitting.potentials import CrossmodalTraining
from pima_toolkit.fitting.run import TrainingRun
from pima_toolkit.fitting.starts.initialise import random_start
from pima_toolkit.model.encoders.encoders import Encoder, GaussianEncoder
from pima_toolkit.model.fusion import drop_modalities
from pima_toolkit.model.mixture import GaussianMixture, log_responsibilities

pytestmark = pytest.mark.filterwarnings("ignore::pima_toolkit.errors.PimaWarning")


@pytest.fixture(scope="module")
def data(two_populations):
    return two_populations()


@pytest.fixture(scope="module", params=["gaussian", "dropout"])
def fitted(request, data, small_model):
    return small_model(crossmodal=request.param).fit(data, epochs=20, crossmodal_epochs=40, progress=False)


def job_of(fit, data):
    predictor = fit.predictor
    tensors = to_tensors(read(data, schemas(predictor.specs)), predictor.specs, "cpu")
    return TrainingRun(predictor.options, fit.settings, predictor.specs, tensors, torch.device("cpu"), None, "", print)


def test_a_single_gaussian_says_the_cluster_by_where_it_lies():
    rng = np.random.default_rng(0)
    mixture = GaussianMixture(
        torch.log_softmax(torch.as_tensor(rng.standard_normal(4)), 0),
        torch.as_tensor(rng.standard_normal((4, 3))),
        torch.as_tensor(rng.uniform(0.2, 2.0, (4, 3))),
    )
    encoder = Encoder((5,), 3).eval()
    single = GaussianEncoder(encoder, mixture.log_weights, mixture.mean, mixture.variance).eval()
    x = torch.as_tensor(rng.standard_normal((6, 5)), dtype=torch.float32)
    log_gamma, embedding = single(x)
    plain = encoder(x)
    expected = log_responsibilities(mixture, mixture.expected_log_prob(plain))
    torch.testing.assert_close(log_gamma.double(), expected, atol=1e-5, rtol=1e-5)
    for c in range(4):
        assert torch.equal(embedding.mean[:, c], plain.mean)
        assert torch.equal(embedding.variance[:, c], plain.variance)


def test_the_loss_of_a_single_gaussian_is_eq_18(data, small_model):
    """With its -1 once per dimension; nothing is added for the cluster."""
    fit = small_model(crossmodal="gaussian").fit(data, epochs=1, progress=False)
    job, mixture = job_of(fit, data), fit.predictor.state.mixture
    posterior = encode(fit.predictor.state.network, job.tensors, torch.autocast("cpu", enabled=False))
    gamma = torch.as_tensor(fit.specimens.responsibilities.values)
    run = CrossmodalTraining(job, mixture, posterior, gamma)
    index = torch.tensor([3, 11, 40])
    run.encoders.eval()
    for k, name in enumerate(("feature", "stress")):
        with torch.no_grad():
            log_gamma, embedding = run.encoders[k](job.tensors.inputs[name][index])
            found = run._loss(name, index, log_gamma, embedding)
        mean, variance = posterior.mean[index].numpy(), posterior.variance[index].numpy()
        own_mean, own_variance = embedding.mean[:, 0].numpy(), embedding.variance[:, 0].numpy()
        ratio = variance / own_variance
        slow = 0.5 * (np.log(1.0 / ratio) - 1.0 + ratio + (own_mean - mean) ** 2 / own_variance).sum(1)
        np.testing.assert_allclose(found.numpy(), slow, rtol=2e-4, atol=1e-4)


def test_dropout_leaves_every_specimen_one_of_its_own_modalities():
    rng = np.random.default_rng(3)
    flags = torch.as_tensor(rng.random((6000, 3)) < 0.7)
    present = {name: flags[:, k] for k, name in enumerate("abc")}
    kept = torch.stack(list(drop_modalities(present, torch.Generator().manual_seed(0)).values()), 1)
    assert not (kept & ~flags).any()
    assert torch.equal(kept.any(1), flags.any(1))
    whole = flags.all(1)
    counts = Counter(tuple(row) for row in kept[whole].int().tolist())
    assert set(counts) == {(1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)}
    total = int(whole.sum())
    assert counts[1, 1, 1] / total == pytest.approx(1 / 2, abs=0.05)
    for alone in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        assert counts[alone] / total == pytest.approx(1 / 6, abs=0.04)
    again = torch.stack(list(drop_modalities(present, torch.Generator().manual_seed(0)).values()), 1)
    assert torch.equal(kept, again)


def test_a_modality_alone_names_its_cluster(fitted, data, two_populations):
    fresh = two_populations(80, seed=5)
    for names in (["feature"], ["stress"], ["feature", "stress"]):
        answer = fitted.infer(fresh[names], predict="stress")
        assert pima.metrics.cluster_accuracy(fresh.label, answer.cluster) > 0.9, names
    curve = fitted.infer(fresh[["feature"]], predict="stress").stress
    truth = fresh.slope.values[:, None] * fresh.strain.values
    assert pima.metrics.rmse(truth, curve.values) < 0.5 * pima.metrics.rmse(truth, 0 * truth + truth.mean(0))


def test_a_curve_alone_is_read_by_the_encoder_as_in_the_paper(fitted, data):
    predictor = fitted.predictor
    job = job_of(fitted, data)
    with torch.no_grad():
        log_gamma, embedding = predictor.encoders[1](job.tensors.inputs["stress"])
    answer = fitted.infer(data[["stress"]], predict=())
    floored = predictor.state.mixture.log_weights
    expected = torch.softmax(floored + log_gamma.double() - floored, 1)
    np.testing.assert_allclose(answer.responsibilities, expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(answer.posterior_mean, embedding.mean[:, 0].numpy(), atol=1e-5)


def test_dropout_answers_with_the_encoders_of_the_fused_posterior(data, small_model):
    fit = small_model(crossmodal="dropout").fit(data, epochs=2, progress=False)
    predictor = fit.predictor
    x = job_of(fit, data).tensors.inputs
    with torch.no_grad():
        for single, name, encoder in zip(predictor.encoders, x, predictor.state.network.eval().encoders, strict=True):
            assert torch.equal(single(x[name])[1].mean[:, 0], encoder(x[name]).mean)


def test_a_saved_fit_keeps_the_choices(fitted, data, tmp_path):
    again = pima.load(fitted.save(tmp_path / "fit.pima"))
    assert again.model.options == fitted.model.options
    for names in (["feature"], ["stress"]):
        one, other = fitted.infer(data[names]), again.infer(data[names])
        np.testing.assert_allclose(one.responsibilities, other.responsibilities, atol=1e-9)


def test_a_random_start_draws_the_centres_and_follows_eq_15(data, small_model):
    fit = small_model().fit(data, epochs=1, progress=False)
    job, predictor = job_of(fit, data), fit.predictor
    posterior = encode(predictor.state.network, job.tensors, torch.autocast("cpu", enabled=False))
    decoders, gamma = random_start(
        job.tensors, predictor.options.modalities, job.specs, posterior, predictor.state.mixture, seed=4
    )
    centres = np.random.default_rng(4).standard_normal((2, 2))
    mean, variance = posterior.mean.double().numpy()[:, None], posterior.variance.double().numpy()[:, None]
    width = predictor.state.mixture.variance.numpy()
    log = -0.5 * (np.log(2 * np.pi * width) + (variance + (mean - centres) ** 2) / width).sum(-1)
    slow = np.exp(log) * np.exp(predictor.state.mixture.log_weights.numpy())
    np.testing.assert_allclose(gamma, slow / slow.sum(1, keepdims=True), rtol=1e-5)
    slopes = decoders["stress"].theta[:, 0]
    assert slopes[0] != slopes[1]
    assert (slopes > data.slope.min().item() - 0.2).all()
    assert (slopes < data.slope.max().item() + 0.2).all()


@pytest.mark.parametrize("update", ["wls", "adam"])
def test_the_papers_own_recipe_runs_whole(data, small_model, update):
    """Latent responsibilities, theta by Adam, a random start, one Gaussian: no accuracy is promised."""
    model = small_model(responsibilities="latent", crossmodal="gaussian", consistency=0.0)
    fit = model.fit(data, epochs=3, start="random", update=update, em="epoch", progress=False)
    other = model.fit(data, epochs=3, start="random", update=update, em="epoch", seed=1, progress=False)
    assert np.isfinite(fit.elbo)
    assert not np.array_equal(fit.parameters.value, other.parameters.value)
    np.testing.assert_allclose(fit.infer(data[["feature"]]).responsibilities.sum("cluster"), 1.0)


@pytest.mark.parametrize("crossmodal", ["gaussian", "dropout"])
def test_one_gaussian_for_all_clusters_cannot_tell_what_varies_in_each(crossmodal):
    physics = pima.Physics("proportional", vary="latent")
    with pytest.raises(pima.errors.OptionError, match=r'vary="latent" asks for one in each: leave crossmodal at'):
        pima.PIMA({"feature": pima.Neural(), "stress": physics}, 2, crossmodal=crossmodal)


def test_dropout_knows_no_prior_expert():
    with pytest.raises(pima.errors.OptionError, match=r"no encoder knows of: leave one of them out"):
        pima.PIMA({"feature": pima.Neural()}, 2, crossmodal="dropout", prior_expert=True)
