"""Parameters that vary with the latent: closed forms against Monte Carlo, autograd and the plain decoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from pima_toolkit.model.effects.latent import Trend
from pima_toolkit.model.evidence import Evidence
from pima_toolkit.model.gaussian import DiagonalGaussian

CLUSTERS, LATENT = 3, 2
GRIDS = ("shared", "masked", "own", "own and masked")


def at(decoder, z, d):
    """The decoder without a trend whose clusters stand where Z puts specimen d."""
    moved = torch.einsum("cpl,cl->cp", decoder.trend.slope, z[d] - decoder.trend.origin).numpy()
    theta = decoder.bounds.from_unbounded(decoder.bounds.to_unbounded(decoder.theta) + moved)
    return replace(decoder, theta=theta, trend=None)


@pytest.mark.parametrize("grid", GRIDS)
def test_at_a_known_z_the_evidence_is_the_likelihood_of_moved_parameters(varying, grid):
    posterior, _, decoder, curves = varying(1, "affine", grid)
    z = posterior.mean
    found = decoder.evidence(curves).expected(DiagonalGaussian(z, torch.zeros_like(z)))
    for d in range(len(curves)):
        expected = at(decoder, z, d).log_prob(curves)[d]
        torch.testing.assert_close(found[d], expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("grid", GRIDS)
def test_expected_evidence_is_the_mean_over_samples_of_z(varying, grid):
    posterior, _, decoder, curves = varying(2, "affine", grid)
    evidence = decoder.evidence(curves)
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack(
        [
            evidence.expected(
                DiagonalGaussian(
                    posterior.sample(torch.randn(posterior.mean.shape, generator=generator, dtype=torch.float64)),
                    torch.zeros_like(posterior.mean),
                )
            )
            for _ in range(4000)
        ]
    )
    error = draws.std(0) / np.sqrt(4000)
    assert ((evidence.expected(posterior) - draws.mean(0)).abs() <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("expert", ["affine", "linear_hardening"])
@pytest.mark.parametrize("grid", GRIDS)
def test_evidence_averaged_over_the_cluster_is_the_marginal_likelihood(varying, expert, grid):
    """Gaussian algebra: the integral of exp(quadratic) over p(Z given c) is N(X; E, J (S + A V A^T) J^T + v)."""
    _, _, decoder, curves = varying(3, expert, grid)
    evidence = decoder.evidence(curves)
    reach = decoder.trend.reach
    curvature = evidence.curvature.expand(len(curves), -1, -1, -1)
    inner = torch.eye(LATENT, dtype=torch.float64) + reach[..., None] * curvature
    solved = torch.linalg.solve(inner, (reach * evidence.linear)[..., None]).squeeze(-1)
    total = evidence.constant + 0.5 * (evidence.linear * solved).sum(-1) - 0.5 * torch.linalg.slogdet(inner)[1]
    torch.testing.assert_close(total, decoder.log_prob(curves), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("grid", ["shared", "own"])
def test_prior_of_the_others_and_a_curve_together_are_the_dense_conditional(varying, grid):
    """q(Z given a photograph) sets the specimen's prior; its curve then conditions the parameters exactly."""
    posterior, _, decoder, curves = varying(4, "affine", grid)
    prior = decoder.prior(posterior)
    said = decoder.condition(curves, prior)
    value, jacobian = decoder.predict(curves.t)
    for d in torch.nonzero(curves.present).flatten().tolist():
        for c in range(CLUSTERS):
            slope = decoder.trend.slope[c].numpy()
            mean = slope @ (posterior.mean[d] - decoder.trend.origin[c]).numpy()
            spread = slope @ np.diag(posterior.variance[d]) @ slope.T + decoder.scatter[c].numpy()
            row = d if curves.own_grids else 0
            J, residual = jacobian[c, row].numpy(), (curves.x[d] - value[c, row]).numpy()
            noise = decoder.variance[c].item() * np.eye(len(residual))
            covariance = J @ spread @ J.T + noise
            gain = spread @ J.T @ np.linalg.inv(covariance)
            found = said.log_prob[d, c].item()
            assert found == pytest.approx(multivariate_normal(J @ mean, covariance).logpdf(residual), rel=1e-6)
            np.testing.assert_allclose(said.deviation[c, d], mean + gain @ (residual - J @ mean), rtol=1e-5, atol=1e-6)
            own = said.covariance.expand(-1, len(curves), -1, -1)[c, d]
            np.testing.assert_allclose(own, spread - gain @ J @ spread, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("expert", ["affine", "linear_hardening"])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("scatter", [True, False])
def test_a_slope_of_nothing_gives_the_plain_decoder_back(varying, expert, grid, scatter):
    posterior, _, decoder, curves = varying(5, expert, grid, scatter)
    still = replace(decoder, trend=replace(decoder.trend, slope=torch.zeros_like(decoder.trend.slope)))
    plain = replace(decoder, trend=None)
    torch.testing.assert_close(still.log_prob(curves), plain.log_prob(curves), rtol=0, atol=0)
    torch.testing.assert_close(still.evidence(curves).expected(posterior), plain.log_prob(curves))
    torch.testing.assert_close(still.condition(curves).deviation, plain.condition(curves).deviation, rtol=0, atol=0)
    one, other = (part.marginal(np.linspace(0.1, 1, 7)) for part in (still, plain))
    torch.testing.assert_close(one.draws, other.draws, rtol=0, atol=0)
    torch.testing.assert_close(one.variance, other.variance, rtol=0, atol=0)


def test_the_encoders_get_the_exact_gradient(varying):
    posterior, _, decoder, curves = varying(6, "linear_hardening")
    evidence = decoder.evidence(curves)
    mean, variance = posterior.mean.clone().requires_grad_(), posterior.variance.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda m, v: evidence.expected(DiagonalGaussian(m, v)), (mean, variance))
    evidence.expected(DiagonalGaussian(mean, variance)).sum().backward()
    assert (mean.grad[curves.present].abs().sum(1) > 0).all()
    assert not mean.grad[~curves.present].any()


def test_one_z_per_cluster_and_one_for_all_agree(varying):
    posterior, _, decoder, curves = varying(7)
    tiled = DiagonalGaussian(*(v[:, None].expand(-1, CLUSTERS, -1) for v in (posterior.mean, posterior.variance)))
    evidence = decoder.evidence(curves)
    torch.testing.assert_close(evidence.expected(tiled), evidence.expected(posterior))
    for one, other in zip(decoder.prior(tiled), decoder.prior(posterior), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("grid", GRIDS)
def test_evidence_in_pieces_is_evidence_at_once(varying, grid):
    posterior, _, decoder, curves = varying(8, "linear_hardening", grid)
    whole = decoder.evidence(curves)
    pieces = [replace(decoder).evidence(curves[i : i + 5]) for i in range(0, len(curves), 5)]
    torch.testing.assert_close(Evidence.joined(pieces).expected(posterior), whole.expected(posterior))
    index = torch.tensor([3, 0, 7])
    torch.testing.assert_close(whole.at(index).expected(posterior[index]), whole.expected(posterior)[index])


def test_the_start_follows_the_leading_directions_of_the_scatter():
    half = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scatter = half @ half.mT
    for latent in (2, 3, 5):
        slope = Trend.start(scatter, latent).slope
        values = torch.linalg.eigvalsh(scatter).flip(-1)
        kept = min(latent, 3)
        torch.testing.assert_close(slope.square().sum(1)[:, :kept], values[:, :kept])
        assert not slope[..., kept:].any()
        if latent >= 3:
            torch.testing.assert_close(slope @ slope.mT, scatter)
