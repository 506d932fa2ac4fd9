"""Experts by gradient: the same likelihood as the closed form, and its derivative."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.fitting.em.gradient import AdamExperts
from pima_toolkit.model.physics import scores


@pytest.mark.parametrize("scatter", [True, False])
@pytest.mark.parametrize("grid", ["shared", "masked", "own", "own and masked"])
@pytest.mark.parametrize("expert", ["affine", "linear_hardening"])
def test_likelihood_is_that_of_the_closed_form(random_problem, expert, grid, scatter):
    _, _, decoder, curves = random_problem(3, expert, grid, scatter=scatter)
    experts = AdamExperts({"y": decoder}, 1e-3)
    experts.begin({"y": decoder})
    index = torch.tensor([4, 0, 9, 13])
    found = experts.log_prob({"y": curves}, index)
    torch.testing.assert_close(found.detach(), decoder.log_prob(curves)[index], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("grid", ["shared", "masked", "own"])
def test_gradient_is_that_of_the_closed_form(random_problem, grid):
    """By central differences of the decoder's own likelihood; of a linear expert the covariance does not move."""
    _, _, decoder, curves = random_problem(4, "affine", grid)
    experts = AdamExperts({"y": decoder}, 1e-3)
    experts.begin({"y": decoder})
    experts.log_prob({"y": curves}, torch.arange(len(curves))).sum().backward()
    gradient = experts.phi["y"].grad
    for c in range(3):
        for p in range(2):
            step = np.zeros((3, 2))
            step[c, p] = 1e-4
            ends = [replace(decoder, theta=decoder.theta + s * step).log_prob(curves).sum().item() for s in (1, -1)]
            assert gradient[c, p].item() == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("grid", ["shared", "masked", "own"])
def test_gradient_of_a_kinked_expert_is_the_score_along_its_own_lines(random_problem, grid):
    _, _, decoder, curves = random_problem(4, "linear_hardening", grid)
    experts = AdamExperts({"y": decoder}, 1e-3)
    experts.begin({"y": decoder})
    experts.log_prob({"y": curves}, torch.arange(len(curves))).sum().backward()
    _, score = scores(decoder, decoder.condition(curves), decoder.total[:, None])
    torch.testing.assert_close(experts.phi["y"].grad, score[:, curves.present].sum(1), rtol=1e-6, atol=1e-6)


def test_steps_go_uphill_and_only_theta_moves(random_problem):
    _, _, decoder, curves = random_problem(5, "affine")
    experts = AdamExperts({"y": decoder}, 0.1)
    before = decoder.log_prob(curves).sum()
    for _ in range(50):
        experts.begin({"y": decoder})
        (-experts.log_prob({"y": curves}, torch.arange(len(curves))).sum()).backward()
        experts.step(0.1)
    after = experts.decoders()["y"]
    assert after.log_prob(curves).sum() > before
    assert not np.allclose(after.theta, decoder.theta)
    assert torch.equal(after.scatter, decoder.scatter)
    assert torch.equal(after.variance, decoder.variance)


def test_adam_and_least_squares_end_at_the_same_physics(two_populations, small_model):
    data = two_populations(40)
    fits = [
        small_model(inference="paper")
        .fit(data, epochs=30, update=update, progress=False)
        .parameters.value.values.ravel()
        for update in ("wls", "adam")
    ]
    np.testing.assert_allclose(np.sort(fits[1]), np.sort(fits[0]), rtol=0.02)
    assert pima.get_expert("proportional").parameters[0].name == "slope"
