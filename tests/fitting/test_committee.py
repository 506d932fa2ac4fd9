"""Encoders that have not seen every specimen: who learns from whom, and what they say together."""

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.fitting import crossmodal
from pima_toolkit.fitting.crossmodal import CrossmodalTraining, held_back
from pima_toolkit.fitting.job import Job, encode
from pima_toolkit.fitting.tensors import to_tensors
from pima_toolkit.model.encoders import Committee, cluster_encoder, encoder_members
from pima_toolkit.model.gaussian import DiagonalGaussian


@pytest.fixture(scope="module")
def varying(two_populations):
    """A job, and what its joint training found, of 48 specimens whose parameters vary with the latent."""
    model = pima.PIMA(
        {"feature": pima.Neural(), "stress": pima.Physics("proportional", vary="latent")}, clusters=2, latent_dim=2
    )
    data = two_populations()
    trained = model.fit(data, epochs=3, crossmodal_epochs=2, progress=False)._trained
    tensors = to_tensors(data, trained.options.modalities, trained.templates, "cpu")
    job = Job(
        trained.options, trained.settings, trained.templates, tensors, torch.device("cpu"), None, "", lambda _: None
    )
    posterior = encode(trained.state.network, tensors, torch.autocast("cpu", enabled=False))
    gamma = torch.as_tensor(trained.training.responsibilities.values)
    return job, trained.state.mixture, posterior, gamma


def test_every_specimen_is_kept_from_one_member_in_equal_shares(varying):
    members, left_out = held_back(varying[0])
    assert members == 4
    assert torch.bincount(left_out).tolist() == [12, 12, 12, 12]
    assert torch.equal(left_out, held_back(varying[0])[1])


def test_of_many_specimens_one_encoder_misses_every_tenth(varying, monkeypatch):
    monkeypatch.setattr(crossmodal, "_FEW", 47)
    members, left_out = held_back(varying[0])
    assert members == 1
    assert torch.bincount(left_out)[0] == 5


def test_nothing_is_held_back_where_nothing_varies_or_specimens_are_few(two_populations, small_model, varying):
    job = varying[0]
    few = Job(job.options, job.settings, job.templates, job.tensors.at(torch.arange(39)), job.device, None, "", print)
    plain = small_model().options
    none = Job(plain, job.settings, job.templates, job.tensors, job.device, None, "", print)
    for other in (few, none):
        assert held_back(other) == (1, None)


def test_a_member_learns_nothing_from_specimens_kept_from_it(varying):
    """Other targets for those of member 0 leave its weights as they are, to the bit, and change the others'."""
    job, mixture, posterior, gamma = varying
    _, left_out = held_back(job)
    away = torch.where((left_out == 0)[:, None], posterior.mean + 3.0, posterior.mean)
    found = [
        CrossmodalTraining(job, mixture, DiagonalGaussian(mean, posterior.variance), gamma).run().encoders
        for mean in (posterior.mean, away)
    ]
    for one, other in zip(*found, strict=True):
        same = [
            all(torch.equal(a, b) for a, b in zip(m.parameters(), n.parameters(), strict=True))
            for m, n in zip(encoder_members(one), encoder_members(other), strict=True)
        ]
        assert same == [True, False, False, False]


def test_a_committee_says_the_mean_of_its_members():
    torch.manual_seed(0)
    mean, variance = torch.randn(3, 2), torch.rand(3, 2) + 0.1
    committee = cluster_encoder((5,), mean, variance, "conv", 4).eval()
    assert isinstance(committee, Committee)
    x = torch.randn(6, 5)
    log_gamma, found = committee(x)
    said = [member(x) for member in committee.members]
    torch.testing.assert_close(log_gamma.exp(), torch.stack([s[0].exp() for s in said]).mean(0))
    torch.testing.assert_close(log_gamma.exp().sum(1), torch.ones(6))
    # Moments of the mixture of the members' Gaussians, by sampling.
    generator = torch.Generator().manual_seed(1)
    draws = torch.cat([s[1].sample(torch.randn(20_000, 6, 3, 2, generator=generator)) for s in said])
    np.testing.assert_allclose(found.mean.detach(), draws.mean(0).detach(), atol=0.05)
    np.testing.assert_allclose(found.variance.detach(), draws.var(0).detach(), rtol=0.05)


def test_a_committee_of_one_is_its_member():
    alone = cluster_encoder((5,), torch.zeros(2, 3), torch.ones(2, 3), "conv", 1).eval()
    assert encoder_members(alone) == [alone]
    x = torch.randn(4, 5)
    log_gamma, found = Committee([alone]).eval()(x)
    torch.testing.assert_close(log_gamma, alone(x)[0])
    torch.testing.assert_close(found.variance, alone(x)[1].variance)
