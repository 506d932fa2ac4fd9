"""The joint posterior of population and deviation against numerical integration, autograd, and its own limits."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from pima_toolkit.model.joint import Deviation, Potential, conditioned, expected, join, silenced

C, P, N = 3, 2, 4


def some(seed: int = 0, strength: float = 1.0) -> tuple[Potential, Deviation, torch.Tensor]:
    """A random potential, a random prior, and weights."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    half = normal(N, C, P, 1)  # of rank one: a direction stays open
    prior = Deviation(0.3 * normal(N, C, P), normal(C, P, P)[None])
    return Potential(normal(N, C), strength * normal(N, C, P), half @ half.mT), prior, normal(C).log_softmax(0)


def integrated(potential: Potential, prior: Deviation) -> np.ndarray:
    """log E f by a grid of 400 x 400 points in standard deviations of the prior, (N, C)."""
    u = np.linspace(-9.0, 9.0, 400)
    grid = np.stack(np.meshgrid(u, u, indexing="ij"), -1).reshape(-1, P)
    log_w = -0.5 * (grid**2).sum(1) - np.log(2 * np.pi) + 2 * np.log(u[1] - u[0])
    out = np.empty((N, C))
    for n in range(N):
        for c in range(C):
            delta = prior.mean[n, c].numpy() + grid @ prior.root[0, c].numpy().T
            value = potential.constant[n, c].item() + delta @ potential.linear[n, c].numpy()
            value -= 0.5 * np.einsum("kp,pq,kq->k", delta, potential.curvature[n, c].numpy(), delta)
            out[n, c] = logsumexp(value + log_w)
    return out


def test_the_normaliser_is_the_integral():
    potential, prior, weights = some()
    log_norm, _ = conditioned(potential, prior)
    exact = integrated(potential, prior)
    np.testing.assert_allclose(log_norm, exact, atol=1e-6)
    joint = join(weights, potential, prior)
    whole = weights.numpy() + exact
    np.testing.assert_allclose(joint.evidence, logsumexp(whole, axis=1), atol=1e-6)
    np.testing.assert_allclose(joint.log_gamma, whole - logsumexp(whole, axis=1, keepdims=True), atol=1e-6)


def test_moments_are_derivatives_of_the_normaliser():
    potential, prior, _ = some(1)
    linear = potential.linear.clone().requires_grad_()
    log_norm, deviation = conditioned(Potential(potential.constant, linear, potential.curvature), prior)
    (mean,) = torch.autograd.grad(log_norm.sum(), linear, create_graph=True)
    torch.testing.assert_close(deviation.mean, mean)
    for p in range(P):
        (row,) = torch.autograd.grad(mean[..., p].sum(), linear, retain_graph=True)
        torch.testing.assert_close(deviation.covariance[..., p, :], row)


def test_the_order_of_modalities_does_not_matter_and_silence_changes_nothing():
    one, prior, weights = some(2)
    two, three = some(3)[0], some(4)[0]
    a = join(weights, one + two + three, prior)
    b = join(weights, three + (two + one) + Potential.silent(N, C, P, prior.mean), prior)
    torch.testing.assert_close(a.evidence, b.evidence)
    torch.testing.assert_close(a.deviation.mean, b.deviation.mean)
    # One after the other: what is known after one potential is the prior of the next.
    first, after = conditioned(one, prior)
    second, last = conditioned(two, after)
    both, at_once = conditioned(one + two, prior)
    torch.testing.assert_close(first + second, both)
    torch.testing.assert_close(last.covariance, at_once.covariance)
    torch.testing.assert_close(last.mean, at_once.mean)


def test_no_belief_gives_the_priors_answer():
    potential, prior, weights = some(5)
    joint = join(weights, potential * 0.0, prior)
    torch.testing.assert_close(joint.log_gamma, weights.expand(N, C))
    torch.testing.assert_close(joint.evidence, torch.zeros(N, dtype=torch.float64))
    torch.testing.assert_close(joint.deviation.mean, prior.mean)
    torch.testing.assert_close(joint.deviation.covariance, prior.covariance.expand(N, C, P, P))


def test_what_is_said_of_the_deviation_does_not_decide_the_population():
    potential, prior, weights = some(6, strength=5.0)
    prior = Deviation(torch.zeros_like(prior.mean), prior.root)
    joint = join(weights, silenced(potential, prior), prior)
    torch.testing.assert_close(joint.log_gamma, (weights + potential.constant).log_softmax(1))
    torch.testing.assert_close(joint.deviation.mean, join(weights, potential, prior).deviation.mean)


def test_the_expected_potential_against_draws():
    potential, prior, weights = some(7)
    deviation = join(weights, potential, prior).deviation
    draws = torch.randn(200_000, P, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    delta = deviation.mean[0, 1] + draws @ deviation.root[0, 1].T
    value = potential.constant[0, 1] + delta @ potential.linear[0, 1]
    value = value - 0.5 * ((delta @ potential.curvature[0, 1]) * delta).sum(1)
    assert expected(potential, deviation)[0, 1].item() == pytest.approx(value.mean().item(), abs=0.02)


def test_blocks_of_independent_laws_give_independent_answers():
    one, prior, weights = some(8)
    two, other, _ = some(9)
    root = torch.zeros(1, C, 2 * P, 2 * P, dtype=torch.float64)
    root[..., :P, :P], root[..., P:, P:] = prior.root, other.root
    stacked = Deviation(torch.cat([prior.mean, other.mean], -1), root)
    both = join(weights, Potential.stacked([one, two]), stacked)
    apart = conditioned(one, prior), conditioned(two, other)
    torch.testing.assert_close(both.log_gamma, (weights + apart[0][0] + apart[1][0]).log_softmax(1))
    torch.testing.assert_close(both.deviation.mean[..., :P], apart[0][1].mean)
    torch.testing.assert_close(both.deviation.covariance[..., P:, P:], apart[1][1].covariance)


def test_a_population_without_scatter_hears_nothing_of_deviations():
    potential, _, weights = some(10)
    prior = Deviation.prior(torch.zeros(C, P, P, dtype=torch.float64))
    joint = join(weights, potential, prior)
    torch.testing.assert_close(joint.log_gamma, (weights + potential.constant).log_softmax(1))
    assert not joint.deviation.mean.any()
