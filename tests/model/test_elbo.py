"""Every term of the ELBO against Monte Carlo and torch.distributions; the paper's objective written out."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MultivariateNormal, Normal

import pima_toolkit as pima
from pima_toolkit.experts import Bounds
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.elbo import Elbo, neural_log_prob
from pima_toolkit.model.gaussian import DiagonalGaussian
from pima_toolkit.model.mixture import GaussianMixture
from pima_toolkit.model.physics import PhysicsDecoder

N, C, L, T, PIXELS = 5, 3, 2, 6, 4
DRAWS = 100_000


def close_to_mean(found, draws):
    """Within five standard errors of the mean of draws (draw, ...)."""
    error = draws.std(0) / math.sqrt(len(draws)) + 1e-12
    assert ((found - draws.mean(0)).abs() < 5 * error).all(), (found, draws.mean(0), error)


class Problem:
    """Random numbers for every symbol of the ELBO."""

    def __init__(self, seed, scatter=True, noise=0.3, neural_noise=0.7):
        rng = np.random.default_rng(seed)
        draw = lambda *shape: torch.as_tensor(rng.standard_normal(shape))  # noqa: E731
        self.posterior = DiagonalGaussian(draw(N, L), draw(N, L).exp())
        self.mixture = GaussianMixture(draw(C).log_softmax(0), draw(C, L), draw(C, L).exp())
        self.log_gamma = draw(N, C).log_softmax(1)
        self.weight = draw(L, PIXELS)
        self.x = draw(N, PIXELS)
        self.neural_noise = neural_noise
        expert = pima.get_expert("affine")
        half = draw(C, 2, 2)
        self.curves = Curves(draw(N, T), np.linspace(0, 1, T), None, torch.ones(N, dtype=torch.bool))
        self.decoder = PhysicsDecoder(
            expert,
            Bounds.of(expert.parameters),
            2.5,
            rng.standard_normal((C, 2)),
            half @ half.mT if scatter else torch.zeros(C, 2, 2, dtype=torch.float64),
            torch.full((C,), noise, dtype=torch.float64),
        )
        self.generator = torch.Generator().manual_seed(seed)
        self.log_physics = self.decoder.log_prob(self.curves)

    def decode(self, z):
        return torch.tanh(z @ self.weight)

    def elbo(self, z, beta=1.0):
        present = torch.ones(N, dtype=torch.bool)
        neural = neural_log_prob(self.x, self.decode(z), self.neural_noise, present)
        return Elbo.of({"image": neural}, self.log_physics, self.posterior, self.mixture, self.log_gamma, beta=beta)

    def draws(self, count=DRAWS):
        q = Independent(Normal(self.posterior.mean, self.posterior.variance.sqrt()), 1)
        noise = torch.randn(count, N, L, generator=self.generator, dtype=torch.float64)
        z = self.posterior.mean + self.posterior.variance.sqrt() * noise
        c = torch.multinomial(self.log_gamma.exp(), count, replacement=True, generator=self.generator).T
        return q, z, c


@pytest.fixture
def problem():
    return Problem(1)


def test_neural_term_is_the_gaussian_of_torch(problem):
    z = problem.posterior.mean
    density = Independent(Normal(problem.decode(z), math.sqrt(0.7)), 1).log_prob(problem.x)
    term = problem.elbo(z).neural["image"]
    torch.testing.assert_close(term, density, rtol=1e-6, atol=1e-6)


def test_neural_term_is_zero_where_the_modality_is_absent(problem):
    present = torch.tensor([True, False, True, False, True])
    x = torch.where(present[:, None], problem.x, torch.nan)
    term = neural_log_prob(x, problem.decode(problem.posterior.mean), 1.0, present)
    assert (term[~present] == 0).all()
    assert (term[present] < 0).all()


def test_neural_term_sums_over_channels_and_pixels():
    x, mean = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    term = neural_log_prob(x, mean, 0.2, torch.ones(2, dtype=torch.bool))
    torch.testing.assert_close(term, Independent(Normal(mean, math.sqrt(0.2)), 3).log_prob(x))


def test_physics_term_equals_monte_carlo_over_clusters(problem):
    """E_c~gamma of log p(X given c), the covariance with scatter written out densely."""
    _, z, c = problem.draws()
    value, jacobian = problem.decoder.predict(problem.curves.t)
    sigma = jacobian[:, 0] @ problem.decoder.scatter @ jacobian[:, 0].mT + 0.3 * torch.eye(T, dtype=torch.float64)
    dense = torch.stack([MultivariateNormal(value[k, 0], sigma[k]).log_prob(problem.curves.x) for k in range(C)], 1)
    close_to_mean(problem.elbo(z[0]).physics, dense[torch.arange(N), c])


def test_latent_prior_term_equals_monte_carlo(problem):
    _, z, c = problem.draws()
    p = Normal(problem.mixture.mean[c], problem.mixture.variance[c].sqrt())
    close_to_mean(problem.elbo(z[0], beta=1.0).latent_prior, p.log_prob(z).sum(-1))
    close_to_mean(problem.elbo(z[0], beta=0.3).latent_prior, 0.3 * p.log_prob(z).sum(-1))


def test_cluster_terms_equal_torch_and_monte_carlo(problem):
    _, z, c = problem.draws()
    elbo = problem.elbo(z[0])
    close_to_mean(elbo.cluster_prior, Categorical(logits=problem.mixture.log_weights).log_prob(c))
    torch.testing.assert_close(elbo.cluster_entropy, Categorical(logits=problem.log_gamma).entropy())


def test_latent_entropy_term_equals_torch(problem):
    q, z, _ = problem.draws(10)
    torch.testing.assert_close(problem.elbo(z[0]).latent_entropy, q.entropy())
    torch.testing.assert_close(problem.elbo(z[0], beta=0.3).latent_entropy, 0.3 * q.entropy())


def test_total_equals_monte_carlo_of_its_definition(problem):
    """E_q(Z,c)[log p(X, Z, c) - log q(Z, c)], every density from torch."""
    q, z, c = problem.draws(2_000)
    mixture = problem.mixture
    joint = (
        Independent(Normal(problem.decode(z), math.sqrt(0.7)), 1).log_prob(problem.x)
        + problem.log_physics[torch.arange(N), c]
        + Normal(mixture.mean[c], mixture.variance[c].sqrt()).log_prob(z).sum(-1)
        + mixture.log_weights[c]
    )
    density = q.log_prob(z) + problem.log_gamma[torch.arange(N), c]
    found = torch.stack([problem.elbo(one).total for one in z])
    # Each draw of Z enters both sides, so only their difference is noise.
    close_to_mean(torch.zeros(N, dtype=torch.float64), joint - density - found)


def test_elbo_is_below_the_evidence(problem):
    """log p(X) by importance sampling from q bounds the mean ELBO from above."""
    q, z, _ = problem.draws(20_000)
    mixture = problem.mixture
    neural = Independent(Normal(problem.decode(z), math.sqrt(0.7)), 1).log_prob(problem.x)
    prior = (mixture.log_weights + problem.log_physics + mixture.log_prob(z)).logsumexp(-1)
    evidence = (neural + prior - q.log_prob(z)).logsumexp(0) - math.log(len(z))
    mean = torch.stack([problem.elbo(one).total for one in z[:1000]]).mean(0)
    assert (mean < evidence).all()


def test_terms_add_up_to_the_total(problem):
    elbo = problem.elbo(problem.posterior.mean)
    terms = elbo.terms()
    assert list(terms) == [
        "neural:image",
        "physics",
        "latent_prior",
        "cluster_prior",
        "latent_entropy",
        "cluster_entropy",
    ]
    torch.testing.assert_close(sum(terms.values()), elbo.total)


def test_a_certain_cluster_has_no_entropy_and_no_nan(problem):
    log_gamma = torch.full((N, C), -torch.inf, dtype=torch.float64)
    log_gamma[:, 0] = 0.0
    elbo = Elbo.of({}, problem.log_physics, problem.posterior, problem.mixture, log_gamma)
    assert (elbo.cluster_entropy == 0).all()
    assert torch.isfinite(elbo.total).all()


def test_paper_objective_is_l_d_of_section_2_3():
    """Written out longhand: squared errors, gamma-weighted sums, and no constants of the data's Gaussians."""
    problem = Problem(4, scatter=False, noise=1.0, neural_noise=1.0)
    z = problem.posterior.sample(torch.randn(N, L, generator=problem.generator, dtype=torch.float64))
    value, _ = problem.decoder.predict(problem.curves.t)
    gamma, mixture, q = problem.log_gamma.exp(), problem.mixture, problem.posterior
    longhand = []
    for d in range(N):
        total = -sum((problem.x[d, i] - problem.decode(z)[d, i]) ** 2 for i in range(PIXELS))
        for c in range(C):
            for n in range(T):
                residual = problem.curves.x[d, n] - value[c, 0, n]
                total -= gamma[d, c] * (math.log(1.0) + residual**2 / 1.0)
            for j in range(L):
                total -= gamma[d, c] * (
                    mixture.variance[c, j].log()
                    + q.variance[d, j] / mixture.variance[c, j]
                    + (q.mean[d, j] - mixture.mean[c, j]) ** 2 / mixture.variance[c, j]
                )
            total += 2 * gamma[d, c] * (mixture.log_weights[c].exp() / gamma[d, c]).log()
        total += sum(1 + q.variance[d, j].log() for j in range(L))
        longhand.append(total)
    # Data enter the neural term in float32.
    torch.testing.assert_close(problem.elbo(z).paper_objective(PIXELS + T), torch.stack(longhand), rtol=1e-6, atol=1e-5)
