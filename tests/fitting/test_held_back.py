"""Encoders that have not seen every specimen, and the bands that they calibrate."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.answers.trust.calibration import held_out_calibration
from pima_toolkit.data import read
from pima_toolkit.fitting import potentials as crossmodal
from pima_toolkit.fitting.inputs.spec import schemas
from pima_toolkit.fitting.inputs.tensors import to_tensors
from pima_toolkit.fitting.passes import encode
from pima_toolkit.fitting.potentials import CrossmodalTraining, held_back
from pima_toolkit.fitting.run import TrainingRun
from pima_toolkit.model.gaussian import DiagonalGaussian


def model():
    physics = pima.Physics("proportional", vary="latent")
    return pima.PIMA({"feature": pima.Neural(), "stress": physics}, clusters=2, latent_dim=2, inference="paper")


@pytest.fixture(scope="module")
def varying(two_populations):
    """A job, and what its joint training found, of 48 specimens whose parameters vary with the latent."""
    data = two_populations()
    fit = model().fit(data, epochs=3, crossmodal_epochs=2, progress=False)
    predictor = fit.predictor
    tensors = to_tensors(read(data, schemas(predictor.specs)), predictor.specs, "cpu")
    job = TrainingRun(
        predictor.options, fit.settings, predictor.specs, tensors, torch.device("cpu"), None, "", lambda _: None
    )
    posterior = encode(predictor.state.network, tensors, torch.autocast("cpu", enabled=False))
    gamma = torch.as_tensor(fit.record.specimens.responsibilities.values)
    return job, predictor.state.mixture, posterior, gamma


def test_each_specimen_is_held_back_once(varying):
    shares = held_back(varying[0])
    assert [len(share) for share in shares] == [12, 12, 12, 12]
    assert torch.equal(torch.cat(shares).sort().values, torch.arange(48))
    assert all(torch.equal(a, b) for a, b in zip(shares, held_back(varying[0]), strict=True))


@pytest.mark.parametrize(("enough", "expected"), [(48, 4), (36, 3), (13, 2), (12, 1), (1, 1)])
def test_of_many_specimens_few_shares_are_enough(varying, monkeypatch, enough, expected):
    monkeypatch.setattr(crossmodal, "_ENOUGH", enough)
    assert len(held_back(varying[0])) == expected


def test_nothing_is_held_back_where_nothing_varies_or_specimens_are_few(two_populations, small_model, varying):
    job = varying[0]
    few = TrainingRun(
        job.options, job.settings, job.specs, job.tensors.at(torch.arange(39)), job.device, None, "", print
    )
    present = {**job.tensors.present, "stress": torch.arange(48) < 39}
    lone = replace(few, tensors=replace(job.tensors, present=present))
    plain = small_model().options
    none = TrainingRun(plain, job.settings, job.specs, job.tensors, job.device, None, "", print)
    for other in (few, lone, none):
        assert held_back(other) == []


def test_encoders_learn_nothing_from_specimens_held_back(varying):
    """Other targets for a share leave the weights of the encoders it was kept from, to the bit."""
    job, mixture, posterior, gamma = varying
    away = posterior.mean.clone()
    away[held_back(job)[0]] += 3.0

    def learned(mean, share):
        training = CrossmodalTraining(job, mixture, DiagonalGaussian(mean, posterior.variance), gamma, 0, share)
        return training.run().encoders.state_dict()

    for share, same in ((0, True), (1, False), (None, False)):
        one, other = learned(posterior.mean, share), learned(away, share)
        assert all(torch.equal(one[name], other[name]) for name in one) == same


def test_where_parameters_vary_a_lone_modality_is_no_teacher_of_itself(varying, small_model):
    """What all modalities of such a specimen know is what that one guessed; without variation all teach the cluster."""
    job, mixture, posterior, gamma = varying
    untested = torch.arange(48) % 3 == 0

    def taught(options, **present):
        tensors = replace(job.tensors, present={**job.tensors.present, **present})
        one = TrainingRun(options, job.settings, job.specs, tensors, job.device, None, "", lambda _: None)
        return CrossmodalTraining(one, mixture, posterior, gamma).known.tolist()

    everyone = list(range(48))
    assert taught(job.options) == everyone
    assert taught(job.options, stress=~untested) == [d for d in everyone if d % 3]
    assert taught(job.options, stress=torch.zeros(48, dtype=torch.bool)) == everyone
    # Of one specimen no batch norm learns, and hardly any encoder of a few.
    for few, known in ((1, everyone), (15, everyone), (16, everyone[:16])):
        assert taught(job.options, stress=torch.arange(48) < few) == known
    assert taught(small_model().options, stress=~untested) == everyone


def test_where_parameters_vary_the_mean_learns_from_all_specimens_alike(varying):
    """Its gradient is gamma (mean - target) / variance of the cluster, whatever variance the encoder names; that one is
    at rest where it is the expected square of the error."""
    job, mixture, posterior, gamma = varying
    training = CrossmodalTraining(job, mixture, posterior, gamma)
    index = torch.tensor([3, 0, 17])
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(3, 2, 2, generator=generator).requires_grad_()
    variance = (0.1 + 5.0 * torch.rand(3, 2, 2, generator=generator)).requires_grad_()
    training._loss("stress", index, torch.zeros(3, 2), DiagonalGaussian(mean, variance)).sum().backward()
    share, away = gamma[index].float()[..., None], mean.detach() - posterior.mean[index][:, None]
    torch.testing.assert_close(mean.grad, share * away / mixture.variance.float())
    square = away**2 + posterior.variance[index][:, None]
    expected = 0.5 * share * (1.0 - square / variance.detach()) / mixture.variance.float()
    torch.testing.assert_close(variance.grad, expected)


def test_bands_are_calibrated_on_them(varying, two_populations):
    """The bands hold 90 % of the points of held-back specimens, predicted by encoders that have not seen them."""
    job, mixture, posterior, gamma = varying
    data = two_populations()
    fit = model().fit(data, epochs=3, crossmodal_epochs=2, progress=False)
    runs = [CrossmodalTraining(job, mixture, posterior, gamma, 0, share).run() for share in range(4)]
    alone = [(run.encoders, index) for run, index in zip(runs, held_back(job), strict=True)]
    predictor = held_out_calibration(fit.predictor, job.tensors, alone)
    inside = []
    for encoders, index in alone:
        part = data.isel(specimen=index.numpy())
        answer = pima.Fit(replace(predictor, encoders=encoders), fit.record).infer(part[["feature"]], predict="stress")
        inside.append((part.stress >= answer.stress_low) & (part.stress <= answer.stress_high))
    assert np.concatenate(inside).mean() == pytest.approx(0.9, abs=0.01)
