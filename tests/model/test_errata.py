"""One test for each slip in the paper: what is right holds, what is printed does not."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

import pima_toolkit as pima
from pima_toolkit.fitting.em.physics import MixtureStatistics
from pima_toolkit.model.elbo import Elbo
from pima_toolkit.model.gaussian import DiagonalGaussian
from pima_toolkit.model.mixture import GaussianMixture, log_responsibilities
from pima_toolkit.model.network import build
from pima_toolkit.model.predictive import mixture_moments

double = {"dtype": torch.float64}


@pytest.fixture
def mixture():
    return GaussianMixture(
        torch.tensor([0.2, 0.5, 0.3], **double).log(),
        torch.tensor([[0.0, 1.0], [2.0, -1.0], [-1.5, 0.5]], **double),
        torch.tensor([[0.5, 1.5], [2.0, 0.3], [1.0, 0.8]], **double),
    )


@pytest.fixture
def posterior():
    return DiagonalGaussian(torch.tensor([[0.4, 0.2]], **double), torch.tensor([[0.7, 0.4]], **double))


def test_equations_1_and_22_the_bound_needs_the_joint_with_c(mixture, posterior):
    """With exact q(Z, c given X) the bound with log p(X, Z, c) is the evidence; with log p(X, Z) it is above it."""
    one = GaussianMixture(mixture.log_weights, mixture.mean[:1].expand(3, 2), mixture.variance[:1].expand(3, 2))
    log_physics = torch.tensor([[-1.0, -3.0, 0.5]], **double)
    log_gamma = log_responsibilities(one, one.expected_log_prob(posterior), log_physics)
    # One latent Gaussian for all clusters and no neural modality: q(Z) = p(Z) makes the bound tight.
    exact = DiagonalGaussian(one.mean[:1], one.variance[:1])
    elbo = Elbo.of({}, log_physics, exact, one, log_gamma)
    evidence = (one.log_weights + log_physics).logsumexp(1)
    torch.testing.assert_close(elbo.total, evidence)
    printed = elbo.total - elbo.cluster_prior - elbo.physics + evidence
    assert (printed > evidence + 0.1).all()


def test_equation_12_the_decoder_takes_z():
    """The neural decoder is a function of the latent position alone, (specimen, latent) -> (specimen, *shape)."""
    network = build(0, {"image": pima.Neural(), "other": pima.Neural()}, {"image": (1, 6, 6), "other": (4,)}, 3)
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    assert network.decode("image", z).shape == (5, 1, 6, 6)
    assert network.decode("other", z).shape == (5, 4)
    with pytest.raises(RuntimeError):
        network.decode("image", torch.zeros(5, 1, 6, 6))


def test_equation_14_the_variance_of_a_mixture_adds_the_squared_means():
    weights = torch.tensor([[0.3, 0.7]], **double)
    mean = torch.tensor([1.0, 4.0], **double)[:, None, None]
    variance = torch.tensor([0.25, 2.0], **double)[:, None, None]
    density = lambda x: 0.3 * norm.pdf(x, 1, 0.5) + 0.7 * norm.pdf(x, 4, math.sqrt(2))  # noqa: E731
    first = quad(lambda x: x * density(x), -20, 30, points=[1, 4])[0]
    second = quad(lambda x: x * x * density(x), -20, 30, points=[1, 4])[0]
    centre, spread = mixture_moments(weights, mean, variance)
    assert centre.item() == pytest.approx(first, rel=1e-8)
    assert spread.item() == pytest.approx(second - first**2, rel=1e-8)
    assert (weights[0] * (variance - mean.square()).flatten()).sum() - first**2 < 0, "as printed: negative"


def test_equation_18_minus_one_per_dimension(posterior):
    """The divergence of a Gaussian from itself is zero whatever the number of latent dimensions."""
    other = DiagonalGaussian(posterior.mean - 1, 3 * posterior.variance)
    ratio = other.variance / posterior.variance
    squared = (other.mean - posterior.mean).square() / other.variance
    right = 0.5 * (ratio.log() - 1 + 1 / ratio + squared).sum(-1)
    torch.testing.assert_close(posterior.kl(other), right)
    printed = 0.5 * (ratio.log() - 2 + 1 / ratio + squared).sum(-1)
    assert (printed - right).abs().min() > 0.5


def test_equation_27_the_gap_is_subtracted(mixture, posterior):
    """ELBO = evidence - KL: any q(c) but the exact one lies below, by its divergence from it."""
    log_physics = torch.tensor([[-1.0, -3.0, 0.5]], **double)
    best = log_responsibilities(mixture, mixture.expected_log_prob(posterior), log_physics)
    other = torch.tensor([[0.5, 0.3, 0.2]], **double).log()
    gap = kl_divergence(Categorical(logits=other), Categorical(logits=best))
    found = [Elbo.of({}, log_physics, posterior, mixture, log_gamma).total for log_gamma in (best, other)]
    assert (gap > 0.1).all()
    torch.testing.assert_close(found[1], found[0] - gap)


def test_equation_28_lemma_b1_the_ratio_of_the_variances():
    """Integral of f log g, by quadrature."""
    f, g = norm(0.3, 0.8), norm(-0.5, 1.7)
    integral = quad(lambda x: f.pdf(x) * g.logpdf(x), -12, 12)[0]

    def gaussian(mean, variance):
        return DiagonalGaussian(torch.tensor([mean], **double), torch.tensor([variance], **double))

    found = gaussian(0.3, 0.64).expected_log_prob(gaussian(-0.5, 2.89)).item()
    assert found == pytest.approx(integral, rel=1e-8)
    inverted = -0.5 * (math.log(2 * math.pi * 2.89) + 2.89 / 0.64 + 0.64 / 2.89)
    assert abs(inverted - integral) > 1


def test_equation_30_lemma_b3_the_logarithm_of_pi(mixture, posterior):
    """The cluster term is E_q(c)[log p(c)], a number below zero, where the printed sum of q(c) pi_c is above."""
    gamma = torch.tensor([[0.5, 0.3, 0.2]], **double)
    elbo = Elbo.of({}, torch.zeros(1, 3, **double), posterior, mixture, gamma.log())
    right = 0.5 * math.log(0.2) + 0.3 * math.log(0.5) + 0.2 * math.log(0.3)
    assert elbo.cluster_prior.item() == pytest.approx(right, rel=1e-12)
    assert (gamma * mixture.log_weights.exp()).sum() > 0 > elbo.cluster_prior.item()


def test_algorithm_1_the_bracket_of_the_running_mean(posterior):
    """Streaming means equal the mean of all; the printed recursion M <- W_old M + gamma mean / W_new does not."""
    rng = np.random.default_rng(0)
    mean = torch.as_tensor(rng.standard_normal((12, 2)) + 5)
    gamma = torch.as_tensor(rng.dirichlet([1.0, 1.0], 12))
    q = DiagonalGaussian(mean, torch.ones_like(mean))
    full = (gamma.T @ mean) / gamma.sum(0)[:, None]
    statistics = MixtureStatistics(2, 2)
    old, running, printed = torch.zeros(2, **double), torch.zeros(2, 2, **double), torch.zeros(2, 2, **double)
    for part in torch.arange(12).split(5):
        statistics.update(q[part], gamma[part])
        new = old + gamma[part].sum(0)
        added = gamma[part].T @ mean[part]
        running = (old[:, None] * running + added) / new[:, None]
        printed = old[:, None] * printed + added / new[:, None]
        old = new
    torch.testing.assert_close(statistics.finish().mean, full, rtol=1e-12, atol=0)
    torch.testing.assert_close(running, full, rtol=1e-12, atol=0)
    assert (printed - full).abs().min() > 1


def test_equation_15_forgets_that_a_physics_modality_depends_on_c(mixture, posterior):
    """q(c given X) of the joint p(Z, X, c) has the curve's likelihood in it: checked against the exact posterior of c
    given a known Z."""
    z = torch.tensor([[0.3, -0.2]], **double)
    log_physics = torch.tensor([[-2.0, 1.0, 0.0]], **double)
    known = MixtureSameFamily(
        Categorical(logits=mixture.log_weights),
        Independent(Normal(mixture.mean, mixture.variance.sqrt()), 1),
    )
    joint = mixture.log_weights + mixture.log_prob(z)
    torch.testing.assert_close(joint.logsumexp(1), known.log_prob(z))
    joint = (joint + log_physics).exp()
    found = log_responsibilities(mixture, mixture.log_prob(z), log_physics).exp()
    torch.testing.assert_close(found, joint / joint.sum())
    assert (log_responsibilities(mixture, mixture.log_prob(z)).exp() - found).abs().max() > 0.1
