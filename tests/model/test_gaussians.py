"""Gaussians and mixtures against torch.distributions, sums written out, and extreme numbers."""

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from pima_toolkit.errors import ShapeError
from pima_toolkit.model.gaussian import DiagonalGaussian
from pima_toolkit.model.mixture import GaussianMixture, log_responsibilities

SPECIMENS, CLUSTERS, LATENT = 7, 4, 3


def as_torch(gaussian):
    return Independent(Normal(gaussian.mean, gaussian.variance.sqrt()), 1)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture
def posterior(generator):
    draw = torch.randn(2, SPECIMENS, LATENT, generator=generator, dtype=torch.float64)
    return DiagonalGaussian(2 * draw[0], draw[1].exp())


@pytest.fixture
def mixture(generator):
    draw = torch.randn(3, CLUSTERS, LATENT, generator=generator, dtype=torch.float64)
    return GaussianMixture(draw[0, :, 0].log_softmax(0), 2 * draw[1], draw[2].exp())


def test_density_and_entropy_equal_torch(posterior, generator):
    z = torch.randn(SPECIMENS, LATENT, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(posterior.log_prob(z), as_torch(posterior).log_prob(z))
    torch.testing.assert_close(posterior.entropy(), as_torch(posterior).entropy())


def test_divergence_equals_torch_and_is_zero_from_itself(posterior):
    other = DiagonalGaussian(posterior.mean + 0.7, posterior.variance * 1.9)
    torch.testing.assert_close(posterior.kl(other), kl_divergence(as_torch(posterior), as_torch(other)))
    torch.testing.assert_close(posterior.kl(posterior), torch.zeros(SPECIMENS, dtype=torch.float64))


def test_sample_has_the_mean_and_variance_it_says(posterior, generator):
    z = posterior.sample(torch.randn(40_000, SPECIMENS, LATENT, generator=generator, dtype=torch.float64))
    error = (posterior.variance / 40_000).sqrt()
    assert ((z.mean(0) - posterior.mean).abs() < 5 * error).all()
    assert ((z.var(0) / posterior.variance - 1).abs() < 5 * math.sqrt(2 / 40_000)).all()


def test_expected_log_prob_equals_cross_entropy_of_torch(posterior, mixture):
    found = mixture.expected_log_prob(posterior)
    assert found.shape == (SPECIMENS, CLUSTERS)
    for c in range(CLUSTERS):
        q, p = as_torch(posterior), as_torch(mixture.components[c])
        torch.testing.assert_close(found[:, c], -kl_divergence(q, p.expand([SPECIMENS])) - q.entropy())


def test_mixture_density_equals_torch(mixture, generator):
    z = torch.randn(SPECIMENS, LATENT, generator=generator, dtype=torch.float64)
    torch_mixture = MixtureSameFamily(Categorical(logits=mixture.log_weights), as_torch(mixture.components))
    total = (mixture.log_weights + mixture.log_prob(z)).logsumexp(1)
    torch.testing.assert_close(total, torch_mixture.log_prob(z))


def test_responsibilities_are_bayes_rule(posterior, mixture, generator):
    log_physics = torch.randn(SPECIMENS, CLUSTERS, generator=generator, dtype=torch.float64)
    log_prior = mixture.expected_log_prob(posterior)
    found = log_responsibilities(mixture, log_prior, log_physics).exp()
    joint = mixture.log_weights.exp() * log_prior.exp() * log_physics.exp()
    torch.testing.assert_close(found, joint / joint.sum(1, keepdim=True))


def test_exact_responsibilities_are_the_best_of_all(posterior, mixture, generator):
    """No other q(c given X) has a higher ELBO: the rule "exact" is its optimum."""
    from pima_toolkit.model.elbo import Elbo

    log_physics = 3 * torch.randn(SPECIMENS, CLUSTERS, generator=generator, dtype=torch.float64)
    beta = 0.6

    def elbo(log_gamma):
        return Elbo.of({}, log_physics, posterior, mixture, log_gamma, beta=beta).total

    best = log_responsibilities(mixture, beta * mixture.expected_log_prob(posterior), log_physics)
    highest = elbo(best)
    for scale in (1e-3, 0.1, 1.0):
        noise = scale * torch.randn(200, SPECIMENS, CLUSTERS, generator=generator, dtype=torch.float64)
        for other in (best + noise).log_softmax(-1):
            assert (elbo(other) <= highest + 1e-12).all()
    paper = log_responsibilities(mixture, mixture.expected_log_prob(posterior))
    assert (elbo(paper) < highest - 1e-3).any()


def test_latent_rule_is_the_sampled_rule_averaged_in_the_log(posterior, mixture, generator):
    """E_q[log p(z given c)] by samples gives the same responsibilities."""
    z = posterior.sample(torch.randn(200_000, SPECIMENS, LATENT, generator=generator, dtype=torch.float64))
    draws = mixture.log_prob(z)
    error = draws.std(0) / math.sqrt(len(z))
    assert ((draws.mean(0) - mixture.expected_log_prob(posterior)).abs() < 5 * error).all()


@pytest.mark.parametrize("shift", [-1e9, -1e5, 0.0, 1e5, 1e9])
def test_responsibilities_at_extreme_likelihoods(mixture, shift):
    """Curves of many points have likelihoods of any size: only differences count, and nothing overflows."""
    log_physics = torch.tensor([[0.0, -1.0, -2.0, -1e7]], dtype=torch.float64) + shift
    mixture = GaussianMixture(mixture.log_weights.new_full((4,), -math.log(4)), mixture.mean, mixture.variance)
    log_gamma = log_responsibilities(mixture, torch.zeros(1, 4, dtype=torch.float64), log_physics)
    weights = torch.tensor([1.0, math.exp(-1), math.exp(-2), 0.0], dtype=torch.float64)
    torch.testing.assert_close(log_gamma.exp()[0], weights / weights.sum(), rtol=1e-6, atol=0)
    assert torch.isfinite(log_gamma).all()
    assert not torch.isnan((log_gamma.exp() * log_gamma).sum())


def test_a_cluster_of_zero_variance_nearly_does_not_break_the_sum():
    mixture = GaussianMixture(
        torch.tensor([math.log(0.5)] * 2, dtype=torch.float64),
        torch.tensor([[0.0], [1e4]], dtype=torch.float64),
        torch.tensor([[1e-4], [1e8]], dtype=torch.float64),
    )
    far = DiagonalGaussian(torch.tensor([[1e4], [0.0]]).double(), torch.full((2, 1), 1e-5).double())
    gamma = log_responsibilities(mixture, mixture.expected_log_prob(far)).exp()
    torch.testing.assert_close(gamma, torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double(), atol=1e-4, rtol=0)


def test_float32_posteriors_give_float64_responsibilities(posterior, mixture):
    small = posterior.to(torch.float32)
    found = log_responsibilities(mixture, mixture.expected_log_prob(small))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.exp().sum(1), torch.ones(SPECIMENS, dtype=torch.float64))


def test_a_posterior_of_another_latent_dimension_is_refused(posterior, mixture):
    with pytest.raises(ShapeError, match=r"2 latent dimensions.* mixture 3"):
        mixture.expected_log_prob(posterior[:, :2])
