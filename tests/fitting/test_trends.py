"""The M-step of parameters that vary with the latent: its closed form, its maximum, and a bound that never falls."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pima_toolkit as pima
from pima_toolkit.fitting.em.effects import update_trend
from pima_toolkit.fitting.em.physics import MixtureStatistics, update_physics
from pima_toolkit.fitting.em.steps import expected_log_prob
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.effects.latent import Trend
from pima_toolkit.model.gaussian import DiagonalGaussian
from pima_toolkit.model.mixture import log_responsibilities
from pima_toolkit.model.noise.table import NOISE
from pima_toolkit.model.physics import PhysicsDecoder

CLUSTERS, LATENT = 3, 2
GRIDS = ("shared", "masked", "own", "own and masked")


def updated(decoder, curves, gamma, *, scatter, noise, **options):
    """The M-step by the names of its options."""
    decoder = replace(decoder, noise=NOISE.get(noise))
    return update_physics(decoder, curves, gamma, scattered=scatter == "specimen", **options)[0]


def bound(posterior, mixture, decoder, curves, gamma, beta):
    """All terms of the ELBO that depend on clusters and experts, summed over specimens."""
    log_prior = mixture.expected_log_prob(posterior)
    joint = mixture.log_weights + beta * log_prior + decoder.evidence(curves).expected(posterior)
    return (gamma * (joint - gamma.clamp_min(1e-300).log())).sum()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("size", [1, 2, 4])
def test_evidence_does_not_depend_on_the_pieces_it_is_made_in(varying, monkeypatch, grid, size):
    posterior, _, decoder, curves = varying(3, "affine", grid, True)
    curves = replace(curves.at(torch.arange(5)), present=torch.tensor([True, True, True, True, False]))
    whole = decoder.evidence(curves).expected(posterior[:5])
    assert (whole[-1] == 0).all()
    chunks = Curves.chunks
    monkeypatch.setattr(Curves, "chunks", lambda self, most=size: chunks(self, size))
    pieces = decoder.evidence(curves).expected(posterior[:5])
    torch.testing.assert_close(pieces, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 100_000),
    st.sampled_from(["affine", "linear_hardening"]),
    st.sampled_from(GRIDS),
    st.sampled_from(["specimen", "none"]),
    st.sampled_from(["pooled", "cluster", "unit"]),
    st.sampled_from([1.0, 0.5]),
    st.booleans(),
)
def test_an_e_step_and_an_m_step_never_lower_the_bound(varying, seed, expert, grid, scatter, noise, beta, slope):
    posterior, mixture, decoder, curves = varying(seed, expert, grid, scatter == "specimen")
    gamma = torch.full((len(curves), CLUSTERS), 1 / CLUSTERS, dtype=torch.float64)
    before = bound(posterior, mixture, decoder, curves, gamma, beta)
    for _ in range(4):
        gamma = log_responsibilities(
            mixture, beta * mixture.expected_log_prob(posterior), decoder.evidence(curves).expected(posterior)
        ).exp()
        expected = bound(posterior, mixture, decoder, curves, gamma, beta)
        assert expected >= before - 1e-9 * before.abs()
        mixture = MixtureStatistics(CLUSTERS, LATENT).update(posterior, gamma).finish(mixture)
        decoder = updated(
            decoder,
            curves,
            gamma,
            scatter=scatter,
            noise=noise,
            slope=slope,
            posterior=posterior,
            components=mixture.components,
        )
        after = bound(posterior, mixture, decoder, curves, gamma, beta)
        assert after >= expected - 1e-9 * expected.abs()
        before = after
    if scatter == "none":
        assert not decoder.scatter.any()
    assert (torch.linalg.eigvalsh(decoder.scatter) > -1e-9 * (1 + decoder.scatter.abs().amax())).all()


def test_the_slope_on_a_shared_grid_is_the_regression_of_the_fitted_parameters(varying):
    r"""A = sum gamma phi_hat w^T [sum gamma (w w^T + D)]^-1, phi_hat the specimen's own least squares, w centred."""
    posterior, mixture, decoder, curves = varying(1)
    curves = replace(curves, present=torch.ones_like(curves.present))
    gamma = torch.as_tensor(np.random.default_rng(0).dirichlet([1.0] * CLUSTERS, len(curves)))
    components = MixtureStatistics(CLUSTERS, LATENT).update(posterior, gamma).finish(mixture).components
    found = update_trend(decoder, curves, gamma, posterior, components)[0]
    value, jacobian = found.predict(curves.t)
    for c in range(CLUSTERS):
        J, residual = jacobian[c, 0], curves.x - value[c, 0]
        fitted = torch.linalg.lstsq(J, residual.T).solution.T
        w = posterior.mean - components.mean[c]
        second = torch.einsum("n,nk,nl->kl", gamma[:, c], w, w) + torch.diag(gamma[:, c] @ posterior.variance)
        expected = torch.einsum("n,np,nl->pl", gamma[:, c], fitted, w) @ torch.linalg.inv(second)
        torch.testing.assert_close(found.trend.slope[c], expected, rtol=1e-6, atol=1e-6)
        # At the new origin the centred w has no say in the cluster's own parameters.
        mean = (gamma[:, c] @ fitted) / gamma[:, c].sum()
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_parameters_and_slope_are_the_maximum(varying, grid):
    posterior, mixture, decoder, curves = varying(2, grid=grid)
    gamma = torch.as_tensor(np.random.default_rng(1).dirichlet([1.0] * CLUSTERS, len(curves)))
    gamma = gamma * curves.present[:, None]
    best = update_trend(decoder, curves, gamma, posterior, mixture.components)[0]
    highest = expected_log_prob(best.evidence(curves), gamma, posterior)
    generator = torch.Generator().manual_seed(1)
    for _ in range(30):
        step = torch.randn(CLUSTERS, 2, 1 + LATENT, generator=generator, dtype=torch.float64)
        other = replace(
            best,
            theta=best.theta + step[..., 0].numpy(),
            trend=replace(best.trend, slope=best.trend.slope + step[..., 1:]),
        )
        assert (expected_log_prob(other.evidence(curves), gamma, posterior) < highest).all()


@pytest.mark.parametrize("expert", ["affine", "linear_hardening"])
@pytest.mark.parametrize("grid", GRIDS)
def test_the_update_does_not_depend_on_the_size_of_the_pieces(varying, monkeypatch, expert, grid):
    posterior, mixture, decoder, curves = varying(3, expert, grid)
    gamma = decoder.log_prob(curves).mul(1e-2).softmax(1)
    options = {"scatter": "specimen", "noise": "cluster", "posterior": posterior, "components": mixture.components}
    whole = updated(decoder, curves, gamma, **options)
    chunks = Curves.chunks
    for size in (1, 4):
        monkeypatch.setattr(Curves, "chunks", lambda self, size=size: chunks(self, size))
        pieces = updated(replace(decoder), curves, gamma, **options)
        np.testing.assert_allclose(pieces.theta, whole.theta, rtol=1e-8)
        torch.testing.assert_close(pieces.trend.slope, whole.trend.slope, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(pieces.scatter, whole.scatter, rtol=1e-7, atol=1e-8)
        torch.testing.assert_close(pieces.variance, whole.variance, rtol=1e-7, atol=1e-10)


def test_a_slope_that_is_held_at_nothing_leaves_the_plain_update(varying):
    posterior, mixture, decoder, curves = varying(4)
    still = replace(decoder, trend=replace(decoder.trend, slope=torch.zeros_like(decoder.trend.slope)))
    gamma = still.log_prob(curves).softmax(1)
    options = {"scatter": "specimen", "noise": "pooled"}
    found = updated(still, curves, gamma, slope=False, posterior=posterior, components=mixture.components, **options)
    plain = updated(replace(decoder, trend=None), curves, gamma, **options)
    np.testing.assert_allclose(found.theta, plain.theta, rtol=1e-8)
    torch.testing.assert_close(found.scatter, plain.scatter)
    torch.testing.assert_close(found.variance, plain.variance)
    assert not found.trend.slope.any()


def test_a_cluster_without_weight_keeps_its_slope(varying):
    posterior, mixture, decoder, curves = varying(5)
    gamma = torch.zeros(len(curves), CLUSTERS, dtype=torch.float64)
    gamma[:, 0] = 1.0
    found = update_trend(decoder, curves, gamma * curves.present[:, None], posterior, mixture.components)[0]
    torch.testing.assert_close(found.trend.slope[1:], decoder.trend.slope[1:], rtol=0, atol=0)
    assert not torch.equal(found.trend.slope[0], decoder.trend.slope[0])


def test_slope_scatter_and_noise_are_recovered_from_many_curves():
    """Known truth, Z known almost exactly: A, S and v come back within a few standard errors."""
    rng = np.random.default_rng(0)
    specimens, t = 3000, np.linspace(0.0, 1.0, 12)
    slope, spread, noise = np.array([[3.0, -1.0], [0.5, 2.0]]), np.array([[0.6, 0.2], [0.2, 0.4]]), 0.2
    z = rng.standard_normal((specimens, 2))
    phi = [8.0, 3.0] + z @ slope.T + rng.multivariate_normal([0, 0], spread, specimens)
    x = phi[:, :1] * t + phi[:, 1:] + noise * rng.standard_normal((specimens, 12))
    expert = pima.get_expert("affine")
    start = PhysicsDecoder(
        expert,
        expert.bounds(t),
        1.0,
        np.array([[1.0, 1.0]]),
        torch.eye(2, dtype=torch.float64)[None],
        torch.ones(1, dtype=torch.float64),
        Trend.start(torch.eye(2, dtype=torch.float64)[None], 2),
    )
    curves = Curves(torch.as_tensor(x), t, None, torch.ones(specimens, dtype=torch.bool))
    posterior = DiagonalGaussian(torch.as_tensor(z), torch.full((specimens, 2), 1e-8, dtype=torch.float64))
    gamma = torch.ones(specimens, 1, dtype=torch.float64)
    components = DiagonalGaussian(torch.zeros(1, 2).double(), torch.ones(1, 2).double())
    for _ in range(60):
        start = updated(
            start, curves, gamma, scatter="specimen", noise="pooled", posterior=posterior, components=components
        )
    np.testing.assert_allclose(start.theta[0], [8.0, 3.0], atol=0.06)
    np.testing.assert_allclose(start.trend.slope[0], slope, atol=0.06)
    np.testing.assert_allclose(start.scatter[0], spread, atol=0.06)
    assert start.variance.item() == pytest.approx(noise**2, rel=0.03)
