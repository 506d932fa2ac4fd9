"""Closed-form M-steps: streaming equals full batch, the bound never falls, theta equals scipy's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

import pima_toolkit as pima
from pima_toolkit.fitting.em.physics import UPDATES, MixtureStatistics, update_physics
from pima_toolkit.fitting.parallel.distributed import ALONE
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.gaussian import DiagonalGaussian
from pima_toolkit.model.mixture import GaussianMixture, log_responsibilities
from pima_toolkit.model.noise.table import NOISE

EXPERTS = ("affine", "linear_hardening")
GRIDS = ("shared", "masked", "own", "own and masked")


def updated(decoder, curves, gamma, *, scatter, noise, **options):
    """The M-step by the names of its options."""
    decoder = replace(decoder, noise=NOISE.get(noise))
    return update_physics(decoder, curves, gamma, scattered=scatter == "specimen", **options)[0]


def update_theta(decoder, curves, gamma):
    return UPDATES["wls"].move(decoder, curves, gamma, ALONE, None)[0]


# -- statistics ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    mean = torch.as_tensor(rng.normal(100.0, 2.0, (500, 3)))
    return DiagonalGaussian(mean, torch.as_tensor(rng.uniform(0.1, 2, (500, 3)))), torch.as_tensor(
        rng.dirichlet([0.5] * 4, 500)
    )


def full_batch(posterior, gamma):
    """Eq. 16 as printed, all specimens at once."""
    weight = gamma.sum(0)
    mean = gamma.T @ posterior.mean / weight[:, None]
    spread = posterior.variance[:, None] + (posterior.mean[:, None] - mean) ** 2
    variance = torch.einsum("nc,ncl->cl", gamma, spread) / weight[:, None]
    return GaussianMixture((weight / len(gamma)).log(), mean, variance)


def assert_same_mixture(found, expected, tolerance=1e-10):
    for name in ("log_weights", "mean", "variance"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("size", [1, 7, 64, 499, 500])
def test_streaming_equals_the_full_batch(batch, size):
    posterior, gamma = batch
    statistics = MixtureStatistics(4, 3)
    for part in torch.randperm(500, generator=torch.Generator().manual_seed(size)).split(size):
        statistics.update(posterior[part], gamma[part])
    assert_same_mixture(statistics.finish(), full_batch(posterior, gamma))


def test_merging_equals_the_full_batch(batch):
    posterior, gamma = batch
    parts = [MixtureStatistics(4, 3).update(posterior[i::3], gamma[i::3]) for i in range(3)]
    assert_same_mixture(parts[0].merge(parts[1]).merge(parts[2]).finish(), full_batch(posterior, gamma))


def test_weights_add_up_to_one_and_an_empty_cluster_keeps_its_place(batch):
    posterior, gamma = batch
    gamma = gamma.clone()
    gamma[:, 2] = 0.0
    gamma = gamma / gamma.sum(1, keepdim=True)
    previous = GaussianMixture(
        torch.zeros(4).double(), torch.full((4, 3), 9.0).double(), torch.full((4, 3), 2.5).double()
    )
    found = MixtureStatistics(4, 3).update(posterior, gamma).finish(previous)
    assert found.log_weights.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    assert (found.mean[2] == 9.0).all()
    assert (found.variance[2] == 2.5).all()
    assert torch.isfinite(found.log_weights).all()


def test_the_mixture_is_the_maximum(batch):
    """No small change of means, variances or weights raises the expected log-likelihood."""
    posterior, gamma = batch
    best = MixtureStatistics(4, 3).update(posterior, gamma).finish()

    def value(mixture):
        return (gamma * (mixture.expected_log_prob(posterior) + mixture.log_weights)).sum()

    highest = value(best)
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        step = 0.05 * torch.randn(3, 4, 3, generator=generator, dtype=torch.float64)
        other = GaussianMixture(
            (best.log_weights + step[0, :, 0]).log_softmax(0), best.mean + step[1], best.variance * step[2].exp()
        )
        assert value(other) < highest


@pytest.mark.parametrize("expert", EXPERTS)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("scatter", ["specimen", "none"])
def test_physics_update_whatever_the_size_of_the_pieces(random_problem, monkeypatch, expert, grid, scatter):
    _, _, decoder, curves = random_problem(1, expert, grid, scatter=scatter == "specimen")
    gamma = decoder.log_prob(curves).mul(1e-2).softmax(1)
    whole = updated(decoder, curves, gamma, scatter=scatter, noise="cluster", update=UPDATES["adam"])
    solved = update_theta(decoder, curves, gamma).theta
    # The sums agree to 1e-10; a solver that stops at a change of the cost of 1e-12 says no more of a kinked curve.
    digits = 1e-10 if expert == "affine" else 1e-7
    chunks = Curves.chunks
    for size in (1, 3):
        monkeypatch.setattr(Curves, "chunks", lambda self, size=size: chunks(self, size))
        pieces = updated(decoder, curves, gamma, scatter=scatter, noise="cluster", update=UPDATES["adam"])
        torch.testing.assert_close(pieces.scatter, whole.scatter, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(pieces.variance, whole.variance, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(update_theta(decoder, curves, gamma).theta, solved, rtol=digits, atol=digits)


# -- the bound never falls -----------------------------------------------------------------------------------------


def bound(posterior, mixture, decoder, curves, gamma, beta):
    """All terms of the ELBO that depend on clusters and experts, summed over specimens."""
    log_prior = mixture.expected_log_prob(posterior)
    joint = mixture.log_weights + beta * log_prior + decoder.log_prob(curves)
    return (gamma * (joint - gamma.clamp_min(1e-300).log())).sum()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 100_000),
    st.sampled_from(EXPERTS),
    st.sampled_from(GRIDS),
    st.sampled_from(["specimen", "none"]),
    st.sampled_from(["pooled", "cluster", "unit"]),
    st.sampled_from([1.0, 0.5]),
)
def test_an_e_step_and_an_m_step_never_lower_the_bound(random_problem, seed, expert, grid, scatter, noise, beta):
    posterior, mixture, decoder, curves = random_problem(seed, expert, grid, scatter=scatter == "specimen")
    gamma = torch.full((len(curves), 3), 1 / 3, dtype=torch.float64)
    before = bound(posterior, mixture, decoder, curves, gamma, beta)
    for _ in range(4):
        gamma = log_responsibilities(
            mixture, beta * mixture.expected_log_prob(posterior), decoder.log_prob(curves)
        ).exp()
        expected = bound(posterior, mixture, decoder, curves, gamma, beta)
        assert expected >= before - 1e-9 * before.abs()
        mixture = MixtureStatistics(3, 2).update(posterior, gamma).finish(mixture)
        decoder = updated(decoder, curves, gamma, scatter=scatter, noise=noise)
        after = bound(posterior, mixture, decoder, curves, gamma, beta)
        assert after >= expected - 1e-9 * expected.abs()
        before = after
    if scatter == "none":
        assert not decoder.scatter.any()
    assert (torch.linalg.eigvalsh(decoder.scatter) > -1e-12).all()


# -- theta ---------------------------------------------------------------------------------------------------------


def scipy_theta(decoder, curves, gamma, c):
    """Eq. 17 on the raw data: every observed point of every present specimen, weighted by gamma."""
    seen = curves.present[:, None].expand_as(curves.x)
    if curves.observed is not None:
        seen = seen & curves.observed
    seen = seen.numpy()
    grids = curves.t if curves.own_grids else np.tile(curves.t, (len(curves), 1))
    t, y = grids[seen], curves.x.numpy()[seen]
    root = np.sqrt(np.broadcast_to(gamma[:, c : c + 1].numpy(), seen.shape)[seen])

    def residual(theta):
        return root * (decoder.expert.value_and_jacobian(t, theta[None])[0][0] / decoder.scale - y)

    fits = [
        least_squares(
            residual, start, bounds=(decoder.bounds.lower, decoder.bounds.upper), xtol=1e-14, ftol=1e-14, gtol=1e-14
        )
        for start in (decoder.theta[c], decoder.theta.mean(0))
    ]
    return min(fits, key=lambda fit: fit.cost)


@pytest.fixture(scope="module")
def power_law():
    """A smooth expert that is not linear in its parameters."""
    return pima.SympyExpert("K * strain**n", t="strain", bounds={"K": (0, None), "n": (0, 1)})


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("expert", ["affine", "power law"])
def test_theta_without_scatter_is_scipys_on_the_raw_data(random_problem, power_law, grid, expert):
    _, _, decoder, curves = random_problem(5, "affine", grid, specimens=30, scatter=False)
    if expert == "power law":
        rng = np.random.default_rng(2)
        truth = np.stack([rng.uniform(50, 70, 30), rng.uniform(0.2, 0.5, 30)], 1)
        grids = curves.t if curves.own_grids else np.tile(curves.t, (30, 1))
        x = np.stack([power_law.value_and_jacobian(t, p[None])[0][0] for t, p in zip(grids, truth, strict=True)])
        x = torch.as_tensor(x / decoder.scale + rng.normal(0, 0.02, x.shape)) * curves.present[:, None]
        curves = replace(curves, x=x if curves.observed is None else torch.where(curves.observed, x, 0.0))
        decoder = replace(
            decoder,
            expert=power_law,
            bounds=power_law.bounds(curves.t),
            theta=np.array([[40.0, 0.3], [60, 0.5], [80, 0.8]]),
        )
    gamma = torch.as_tensor(np.random.default_rng(1).dirichlet([1.0] * 3, 30)) * curves.present[:, None]
    for _ in range(30):
        decoder = update_theta(decoder, curves, gamma)
    for c in range(3):
        fit = scipy_theta(decoder, curves, gamma, c)
        np.testing.assert_allclose(decoder.theta[c], fit.x, rtol=1e-5, atol=1e-5)


def test_theta_on_a_shared_grid_does_not_depend_on_scatter(random_problem):
    """Sigma_c maps the columns of J into themselves, so generalised and ordinary least squares coincide."""
    _, _, decoder, curves = random_problem(6)
    gamma = torch.ones(len(curves), 3, dtype=torch.float64) * curves.present[:, None]
    ordinary = update_theta(replace(decoder, scatter=torch.zeros_like(decoder.scatter)), curves, gamma)
    np.testing.assert_allclose(update_theta(decoder, curves, gamma).theta, ordinary.theta, rtol=1e-8)


@pytest.mark.parametrize("grid", ["masked", "own"])
def test_theta_with_scatter_is_generalised_least_squares(random_problem, grid):
    """Each specimen weighted by the inverse of its own covariance, written out densely."""
    _, _, decoder, curves = random_problem(7, grid=grid)
    gamma = torch.as_tensor(np.random.default_rng(3).dirichlet([1.0] * 3, len(curves))) * curves.present[:, None]
    found = update_theta(decoder, curves, gamma).theta
    _, jacobian = decoder.predict(curves.t)
    for c in range(3):
        left, right = np.zeros((2, 2)), np.zeros(2)
        for d in torch.nonzero(curves.present).flatten().tolist():
            seen = np.ones(11, bool) if curves.observed is None else curves.observed[d].numpy()
            J = jacobian[c, d if curves.own_grids else 0].numpy()[seen]
            sigma = J @ decoder.scatter[c].numpy() @ J.T + decoder.variance[c].item() * np.eye(len(J))
            weighted = gamma[d, c].item() * np.linalg.solve(sigma, J).T
            left += weighted @ J
            right += weighted @ curves.x[d].numpy()[seen]
        np.testing.assert_allclose(found[c], np.linalg.solve(left, right), rtol=1e-7)


@pytest.mark.parametrize("grid", ["masked", "own"])
def test_theta_does_not_depend_on_the_units(random_problem, grid):
    """Curves in pascal over nanoseconds: one generalised least-squares step is all a straight line needs."""
    _, _, decoder, curves = random_problem(11, grid=grid)
    gamma = torch.as_tensor(np.random.default_rng(3).dirichlet([1.0] * 3, len(curves))) * curves.present[:, None]
    found = update_theta(decoder, curves, gamma).theta
    per_unit = np.array([1e6 / 1e-9, 1e6])
    units = torch.diag(torch.as_tensor(per_unit))
    other = replace(
        decoder, scale=decoder.scale * 1e6, theta=decoder.theta * per_unit, scatter=units @ decoder.scatter @ units
    )
    np.testing.assert_allclose(
        update_theta(other, replace(curves, t=curves.t * 1e-9), gamma).theta / per_unit, found, rtol=1e-7
    )


def test_a_cluster_without_weight_keeps_its_physics(random_problem):
    _, _, decoder, curves = random_problem(8)
    gamma = torch.zeros(len(curves), 3, dtype=torch.float64)
    gamma[:, 0] = 1.0
    found = updated(decoder, curves, gamma, scatter="specimen", noise="cluster")
    np.testing.assert_array_equal(found.theta[1:], decoder.theta[1:])
    assert torch.equal(found.scatter[1:], decoder.scatter[1:])
    assert torch.equal(found.variance[1:], decoder.variance[1:])
    assert not np.allclose(found.theta[0], decoder.theta[0])


def test_scatter_and_noise_are_found_where_they_are_known():
    """Many lines whose slopes and intercepts vary with a known covariance, noise known."""
    rng = np.random.default_rng(4)
    covariance = np.array([[4.0, 1.0], [1.0, 0.5]])
    own = rng.multivariate_normal([10.0, 3.0], covariance, 4000)
    t = np.linspace(0, 1, 15)
    expert = pima.get_expert("affine")
    y = own[:, :1] * t + own[:, 1:] + 0.3 * rng.standard_normal((4000, 15))
    from pima_toolkit.model.physics import PhysicsDecoder

    decoder = PhysicsDecoder(
        expert, expert.bounds(t), 20.0, np.zeros((1, 2)), torch.eye(2).double()[None], torch.ones(1).double()
    )
    curves = Curves(torch.as_tensor(y / 20), t, None, torch.ones(4000, dtype=torch.bool))
    gamma = torch.ones(4000, 1, dtype=torch.float64)
    for _ in range(60):
        decoder = updated(decoder, curves, gamma, scatter="specimen", noise="pooled")
    np.testing.assert_allclose(decoder.theta[0], own.mean(0), atol=0.02)
    np.testing.assert_allclose(decoder.scatter[0], np.cov(own.T), rtol=0.05)
    assert np.sqrt(decoder.variance.item()) * 20 == pytest.approx(0.3, rel=0.02)
    unit = updated(decoder, curves, gamma, scatter="none", noise="unit")
    assert torch.equal(unit.variance, decoder.variance)
