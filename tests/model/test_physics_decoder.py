"""p(X given c) of a curve, and its conditioning, against dense Gaussians of scipy and torch."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

import pima_toolkit as pima
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.physics import PhysicsDecoder

EXPERTS = ("affine", "power law")
GRIDS = ("shared", "masked", "own", "own and masked")
SPECIMENS, CLUSTERS, POINTS, SCALE = 5, 3, 9, 40.0


@functools.cache
def expert_of(name):
    if name == "power law":
        return pima.SympyExpert("K * strain**n", t="strain", bounds={"K": (0, None), "n": (0, 1)})
    return pima.get_expert(name)


@pytest.fixture(scope="module")
def power_law():
    return expert_of("power law")


def make(seed, expert="affine", grid="shared", scatter=1.0):
    rng = np.random.default_rng(seed)
    expert = expert_of(expert)
    t = np.linspace(0.02, 1.0, POINTS)
    if grid.startswith("own"):
        t = np.sort(rng.uniform(0, 1, (SPECIMENS, POINTS)), axis=1) + np.arange(POINTS) * 1e-3
    bounds = expert.bounds(t)
    size = len(expert.parameters)
    if expert.name == "linear_hardening":
        theta = np.stack([rng.uniform(50, 90, 3), rng.uniform(0.2, 0.7, 3), rng.uniform(0.05, 0.6, 3)], 1)
    elif expert.name != "affine":
        theta = np.stack([rng.uniform(30, 60, 3), rng.uniform(0.2, 0.8, 3)], 1)
    else:
        theta = rng.normal(0, 30, (CLUSTERS, size))
    half = torch.as_tensor(rng.normal(0, 0.3, (CLUSTERS, size, size)))
    observed = torch.as_tensor(rng.random((SPECIMENS, POINTS)) < 0.6) if "masked" in grid else None
    if observed is not None:
        observed[:, 0] = True
    x = torch.as_tensor(rng.normal(0.5, 0.5, (SPECIMENS, POINTS)))
    if observed is not None:
        x = torch.where(observed, x, 0.0)
    present = torch.ones(SPECIMENS, dtype=torch.bool)
    decoder = PhysicsDecoder(
        expert,
        bounds,
        SCALE,
        theta,
        scatter * half @ half.mT,
        torch.as_tensor(rng.uniform(0.01, 0.2, CLUSTERS)),
    )
    return decoder, Curves(x, t, observed, present)


def own_value(decoder, phi, t, c):
    theta = np.where(decoder.bounds.at_bound(decoder.theta[c]), decoder.theta[c], decoder.bounds.from_unbounded(phi))
    return decoder.expert.value_and_jacobian(t, theta[None])[0][0] / decoder.scale


def most_probable(decoder, curves, d, c):
    """The specimen's deviation u of highest posterior, S = L L^T and phi = phi_c + L u, by scipy."""
    t = curves.t[d] if curves.own_grids else curves.t
    seen = np.ones(POINTS, dtype=bool) if curves.observed is None else curves.observed[d].numpy()
    phi = decoder.bounds.to_unbounded(decoder.theta[c])
    root = np.linalg.cholesky(decoder.scatter[c].numpy())
    std = np.sqrt(decoder.variance[c].item())

    def residual(u):
        misfit = (curves.x[d].numpy() - own_value(decoder, phi + root @ u, t, c))[seen]
        return np.concatenate([misfit / std, u])

    return root @ least_squares(residual, np.zeros(len(phi)), xtol=1e-14, ftol=1e-14, gtol=1e-14).x


def dense(decoder, curves, d, c, away=0.0):
    """Residual, Jacobian in the unbounded parameters by finite differences, and covariance of one specimen.

    The line touches the curve at the cluster's parameters plus ``away``.
    """
    t = curves.t[d] if curves.own_grids else curves.t
    phi = decoder.bounds.to_unbounded(decoder.theta[c]) + away
    step = 1e-6 * np.maximum(np.abs(phi), 1)
    jacobian = np.stack(
        [
            (own_value(decoder, phi + s, t, c) - own_value(decoder, phi - s, t, c)) / (2 * s.sum())
            for s in np.diag(step)
        ],
        axis=1,
    )
    seen = np.ones(POINTS, dtype=bool) if curves.observed is None else curves.observed[d].numpy()
    residual = (curves.x[d].numpy() - own_value(decoder, phi, t, c) + jacobian @ (away + np.zeros(len(phi))))[seen]
    jacobian = jacobian[seen]
    covariance = jacobian @ decoder.scatter[c].numpy() @ jacobian.T + decoder.variance[c].item() * np.eye(seen.sum())
    return residual, jacobian, covariance


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("expert", EXPERTS)
def test_log_prob_is_the_dense_multivariate_normal(expert, grid):
    """An expert that is not linear is compared along each specimen's own line, at its most probable parameters."""
    decoder, curves = make(1, expert, grid)
    found = decoder.log_prob(curves)
    for d in range(SPECIMENS):
        for c in range(CLUSTERS):
            away = 0.0 if expert == "affine" else most_probable(decoder, curves, d, c)
            residual, _, covariance = dense(decoder, curves, d, c, away)
            expected = multivariate_normal(np.zeros(len(residual)), covariance).logpdf(residual)
            assert found[d, c].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)
            torch_expected = torch.distributions.MultivariateNormal(
                torch.zeros(len(residual), dtype=torch.float64), torch.as_tensor(covariance)
            ).log_prob(torch.as_tensor(residual))
            assert found[d, c].item() == pytest.approx(torch_expected.item(), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("expert", EXPERTS)
def test_deviation_is_the_dense_conditioning(expert, grid):
    """b = S J^T Sigma^-1 r and V = S - S J^T Sigma^-1 J S: the Gaussian conditional of the specimen's parameters."""
    decoder, curves = make(2, expert, grid)
    said = decoder.condition(curves)
    covariances = said.covariance.expand(-1, SPECIMENS, -1, -1)
    for d in range(SPECIMENS):
        for c in range(CLUSTERS):
            away = 0.0 if expert == "affine" else most_probable(decoder, curves, d, c)
            residual, jacobian, covariance = dense(decoder, curves, d, c, away)
            S = decoder.scatter[c].numpy()
            gain = S @ jacobian.T @ np.linalg.inv(covariance)
            np.testing.assert_allclose(said.deviation[c, d], gain @ residual, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(covariances[c, d], S - gain @ jacobian @ S, rtol=1e-3, atol=1e-5)
            if expert != "affine":
                np.testing.assert_allclose(said.deviation[c, d], away, rtol=1e-3, atol=1e-4)


def test_own_fits_are_close_to_the_integral_over_all_own_parameters(power_law):
    """log of the integral of N(x; E(t; phi), v) N(phi; phi_c, S) over phi, on a fine grid: within a few hundredths."""
    rng = np.random.default_rng(0)
    t = np.linspace(0.05, 1, POINTS)
    bounds = power_law.bounds(t)
    theta, S, v = np.array([[50.0, 0.4]]), np.array([[0.02, 0.005], [0.005, 0.05]]), 0.02**2
    decoder = PhysicsDecoder(power_law, bounds, SCALE, theta, torch.as_tensor(S)[None], torch.tensor([v]).double())
    centre = bounds.to_unbounded(theta)[0]
    own = bounds.from_unbounded(centre + rng.multivariate_normal([0, 0], S, 6))
    x = power_law.value_and_jacobian(t, own)[0] / SCALE + np.sqrt(v) * rng.standard_normal((6, POINTS))
    found = decoder.log_prob(Curves(torch.as_tensor(x), t, None, torch.ones(6, dtype=torch.bool)))[:, 0]
    axis = np.linspace(-6, 6, 401)
    u = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    values = power_law.value_and_jacobian(t, bounds.from_unbounded(centre + u @ np.linalg.cholesky(S).T))[0] / SCALE
    missed = []
    for d in range(6):
        log_joint = norm.logpdf(x[d], values, np.sqrt(v)).sum(1) + norm.logpdf(u).sum(1)
        integral = logsumexp(log_joint) + 2 * np.log(axis[1] - axis[0])
        assert found[d].item() == pytest.approx(integral, abs=0.1)
        residual, _, covariance = dense(decoder, _one(x[d], t), 0, 0)
        missed.append(abs(multivariate_normal(np.zeros(POINTS), covariance).logpdf(residual) - integral))
    assert max(missed) > 0.2, "the line at the cluster's parameters would have done as well"


@pytest.mark.parametrize("own", [False, True], ids=["shared grid", "own grids"])
def test_the_law_s_own_starts_find_the_optimum_that_is_far_from_every_population(own):
    """Steps at other times than the population's: from there each looks flat."""
    parameters = [pima.Parameter("b"), pima.Parameter("m"), pima.Parameter("w", lower=0.0)]
    law, t = pima.SympyExpert("b / (1 + exp(-(t - m) / w))", "t", parameters=parameters), np.linspace(0.0, 10.0, 60)
    bounds, rng = law.bounds(t), np.random.default_rng(0)
    truth = np.stack([np.full(6, 10.0), np.array([2.0, 4.0, 5.0, 6.0, 7.0, 8.0]), np.log(np.full(6, 0.1))], 1)
    x = law.value_and_jacobian(t, bounds.from_unbounded(truth))[0] + 0.1 * rng.standard_normal((6, 60))
    theta, S = np.array([[10.0, 2.0, 0.1], [9.0, 1.0, 0.1]]), torch.diag(torch.tensor([1.0, 16.0, 0.1]).double())
    plain = PhysicsDecoder(law, bounds, 1.0, theta, S[None].repeat(2, 1, 1), torch.full((2,), 0.01).double())
    observed = torch.ones(7, 60, dtype=torch.bool)
    observed[6] = False
    present = observed.any(1)
    x = torch.as_tensor(np.concatenate([x, np.zeros((1, 60))]))
    curves = Curves(x, np.tile(t, (7, 1)) if own else t, observed, present)
    found, before = replace(plain, starts=6).condition(curves), plain.condition(curves)
    for c in range(2):
        off = bounds.to_unbounded(theta[c]) + found.deviation[c, :6].numpy() - truth
        np.testing.assert_allclose(off[:, 1], 0.0, atol=0.1)
    assert (found.log_prob >= before.log_prob - 0.1).all()
    assert (found.log_prob > before.log_prob + 100.0).any(), "the populations' starts would have done as well"
    assert plain.with_arrays(replace(plain, starts=6).arrays()).starts == 6


def _one(x, t):
    return Curves(torch.as_tensor(x)[None], t, None, torch.ones(1, dtype=torch.bool))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(GRIDS), st.floats(-6, 6), st.floats(-10, 2))
def test_log_prob_is_right_from_tiny_to_huge_scatter_and_noise(seed, grid, log_scatter, log_noise):
    decoder, curves = make(seed, "affine", grid, scatter=10.0**log_scatter)
    decoder = replace(decoder, variance=torch.full_like(decoder.variance, 10.0**log_noise))
    found = decoder.log_prob(curves)
    _, jacobian = decoder.predict(curves.t)
    for d in range(2):
        for c in range(CLUSTERS):
            residual, _, _ = dense(decoder, curves, d, c)
            seen = np.ones(POINTS, bool) if curves.observed is None else curves.observed[d].numpy()
            J = jacobian[c, d if curves.own_grids else 0].numpy()[seen]
            v = decoder.variance[c].item()
            # The eigenvectors of J S J^T carry the determinant and the quadratic form without forming an inverse.
            half = J @ np.linalg.cholesky(decoder.scatter[c].numpy() + 1e-300 * np.eye(J.shape[1]))
            vectors, singular, _ = np.linalg.svd(half, full_matrices=True)
            spread = np.zeros(len(residual))
            spread[: len(singular)] = singular**2
            along = vectors.T @ residual
            expected = -0.5 * (along**2 / (spread + v) + np.log(2 * np.pi * (spread + v))).sum()
            assert found[d, c].item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_scatter_to_nothing_is_scatter_none(grid):
    decoder, curves = make(3, "linear_hardening", grid)
    none = replace(decoder, scatter=torch.zeros_like(decoder.scatter))
    expected = none.log_prob(curves)
    value, _ = none.predict(curves.t)
    seen = torch.ones_like(curves.x) if curves.observed is None else curves.observed.double()
    density = torch.distributions.Normal(value, none.variance.sqrt()[:, None, None]).log_prob(curves.x)
    torch.testing.assert_close(expected, (density * seen).sum(-1).T)
    gaps = []
    for tiny in (1e-4, 1e-8, 1e-12):
        said = replace(decoder, scatter=tiny * decoder.scatter).condition(curves)
        gaps.append((said.log_prob - expected).abs().max().item())
        assert said.deviation.abs().max() < 1e3 * tiny
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-8


def test_absent_specimens_say_nothing():
    decoder, curves = make(4)
    present = torch.tensor([True, False, True, True, False])
    found = decoder.log_prob(replace(curves, present=present))
    assert (found[~present] == 0).all()
    torch.testing.assert_close(found[present], decoder.log_prob(curves)[present])


def test_a_fully_masked_mask_is_no_mask():
    decoder, curves = make(5)
    everything = replace(curves, observed=torch.ones_like(curves.x, dtype=torch.bool))
    tiled = replace(curves, t=np.tile(curves.t, (SPECIMENS, 1)))
    for other in (everything, tiled, replace(tiled, observed=everything.observed)):
        torch.testing.assert_close(decoder.log_prob(other), decoder.log_prob(curves), rtol=1e-10, atol=1e-10)


def test_masked_points_may_hold_anything_the_fit_has_put_there():
    """Unobserved values are 0 by contract; the answer equals that of the shorter curve."""
    decoder, curves = make(6, "affine", "masked")
    d = 2
    seen = curves.observed[d]
    short = Curves(curves.x[d : d + 1, seen], curves.t[seen.numpy()], None, torch.ones(1, dtype=torch.bool))
    torch.testing.assert_close(decoder.log_prob(curves)[d : d + 1], decoder.log_prob(short))


def test_a_parameter_at_its_bound_leaves_the_scatter():
    """Its slope is zero: it neither deviates nor adds variance, and nothing is NaN."""
    decoder, curves = make(7, "linear_hardening")
    theta = decoder.theta.copy()
    theta[:, 2] = 0.0
    said = replace(decoder, theta=theta).condition(curves)
    assert torch.isfinite(said.log_prob).all()
    assert (said.normal[..., 2, :] == 0).all()
    _, jacobian = replace(decoder, theta=theta).predict(curves.t)
    assert (jacobian[..., 2] == 0).all()
    assert (jacobian[..., :2].abs().amax((0, 1, 2)) > 0).all()


def test_marginal_is_the_diagonal_of_the_covariance():
    decoder, curves = make(8, "affine")
    said = decoder.marginal(curves.t)
    assert said.gaussian
    for c in range(CLUSTERS):
        _, _, covariance = dense(decoder, curves, 0, c)
        np.testing.assert_allclose(said.variance[c, 0], np.diag(covariance), rtol=1e-5)
        truth = decoder.expert.value_and_jacobian(curves.t, decoder.theta[c : c + 1])[0][0]
        np.testing.assert_allclose(said.median[c, 0] * SCALE, truth)


@pytest.mark.parametrize("expert", ["power law", "linear_hardening"])
def test_marginal_of_an_expert_that_is_not_linear_is_that_of_many_specimens(expert):
    decoder, curves = make(8, expert)
    said = decoder.marginal(curves.t)
    rng = np.random.default_rng(0)
    for c in range(CLUSTERS):
        own = rng.multivariate_normal(decoder.bounds.to_unbounded(decoder.theta[c]), decoder.scatter[c].numpy(), 40_000)
        many = decoder.expert.value_and_jacobian(curves.t, decoder.bounds.from_unbounded(own))[0] / SCALE
        noisy = many + decoder.variance[c].item() ** 0.5 * rng.standard_normal(many.shape)
        width = np.subtract(*np.quantile(noisy, [0.95, 0.05], axis=0))
        np.testing.assert_allclose(said.median[c, 0], np.median(many, 0), atol=0.02 * width.max())
        this = torch.eye(CLUSTERS, dtype=torch.float64)[[c]]
        for p in (0.05, 0.25, 0.95):
            found = said.quantile(this, p)[0]
            np.testing.assert_allclose((noisy < found.numpy()).mean(0), p, atol=0.015)
    again = decoder.marginal(curves.t)
    assert torch.equal(said.draws, again.draws)
    assert torch.equal(said.variance, again.variance)


@pytest.fixture(scope="module")
def exponentials():
    """A population of exp(a t) of which a scatters by 1.5: medians e^(2 t), means a hundred times that at t = 2."""
    expert = pima.SympyExpert("exp(a * t)", t="t")
    t = np.linspace(0.0, 3.0, 7)
    spread = torch.tensor([[[1.5**2]]], dtype=torch.float64)
    return PhysicsDecoder(expert, expert.bounds(t), 1.0, np.array([[2.0]]), spread, torch.tensor([1e-6]).double()), t


def test_a_population_of_exponentials_has_the_median_and_band_of_the_log_normal(exponentials):
    decoder, t = exponentials
    said, own = decoder.marginal(t), torch.ones(1, 1, dtype=torch.float64)
    np.testing.assert_allclose(said.median[0, 0], np.exp(2.0 * t), rtol=1e-3)
    np.testing.assert_array_equal(said.centre(own)[0], said.median[0, 0])
    for p in (0.05, 0.2, 0.8, 0.95):
        # The noise counts at t = 0, where nothing scatters; from the logarithm on, the draws' spacing.
        found = said.quantile(own, p)[0].numpy()
        assert found[0] == pytest.approx(norm.ppf(p, 1.0, 1e-3), abs=1e-9)
        np.testing.assert_allclose((np.log(found[1:]) / t[1:] - 2.0) / 1.5, norm.ppf(p), atol=0.03)
    mean = np.exp(2.0 * t + 0.5 * (1.5 * t) ** 2)
    assert mean[-1] > 1e4 * said.median[0, 0, -1]


def test_one_specimen_that_is_known_better_has_the_median_of_its_own_draws(exponentials):
    decoder, t = exponentials
    centre = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)[None, :, None]
    spread = torch.tensor([0.1, 0.5, 2.0], dtype=torch.float64).square()[None, :, None, None]
    said = decoder.marginal(t, (centre, spread))
    np.testing.assert_allclose(said.median[0].log(), (2.0 + centre[0]) * torch.as_tensor(t), atol=0.01)
    weights = torch.ones(3, 1, dtype=torch.float64)
    z = (said.quantile(weights, 0.95)[:, 1:].log() / torch.as_tensor(t[1:]) - 2.0 - centre[0]) / spread[
        0, :, :, 0
    ].sqrt()
    np.testing.assert_allclose(z, norm.ppf(0.95), atol=0.05)


def test_a_parameter_between_bounds_is_drawn_between_them(power_law):
    t = np.array([1.0, np.e])
    bounds = power_law.bounds(t)
    spread = torch.tensor([[[1e-12, 0.0], [0.0, 25.0]]], dtype=torch.float64)
    decoder = PhysicsDecoder(power_law, bounds, 1.0, np.array([[1.0, 0.3]]), spread, torch.tensor([1e-8]).double())
    draws = decoder.marginal(t).draws[0, 0]
    exponent = draws[1].log()
    assert (exponent > 0).all()
    assert (exponent < 1).all()
    assert np.median(exponent) == pytest.approx(0.3, abs=1e-3)
    assert (exponent > 0.99).any()
    # At its bound it does not move at all.
    still = replace(decoder, theta=np.array([[1.0, 1.0]])).marginal(t).draws[0, 0, 1]
    np.testing.assert_allclose(still, np.e, rtol=1e-4)


@pytest.mark.parametrize("grid", ["shared", "own"])
def test_draws_do_not_depend_on_order_company_or_what_else_counts(grid):
    decoder, curves = make(8, "power law", grid)
    rng = np.random.default_rng(0)
    centre = torch.as_tensor(0.1 * rng.standard_normal((CLUSTERS, SPECIMENS, 2)))
    half = torch.as_tensor(0.3 * rng.standard_normal((CLUSTERS, SPECIMENS, 2, 2)))
    spread = half @ half.mT
    weights = torch.as_tensor(rng.dirichlet([1.0] * CLUSTERS, SPECIMENS))
    weights[0] = torch.tensor([1.0, 0.0, 0.0])

    def answer(rows):
        t = curves.t[rows] if grid == "own" else curves.t
        used = weights[rows].T > 1e-9
        said = decoder.marginal(t, (centre[:, rows], spread[:, rows]), used)
        return torch.stack([said.centre(weights[rows]), said.quantile(weights[rows], 0.05)])

    every = answer(np.arange(SPECIMENS))
    for rows in ([4, 0, 2, 1, 3], [3], [0, 4]):
        torch.testing.assert_close(answer(rows), every[:, rows], rtol=1e-12, atol=1e-12)
    t = curves.t
    whole = decoder.marginal(t, (centre, spread))
    torch.testing.assert_close(whole.centre(weights), every[0], rtol=1e-12, atol=1e-12)


def test_grids_of_their_own_and_a_shared_one_say_the_same():
    decoder, curves = make(8, "power law")
    shared = decoder.marginal(curves.t)
    own = decoder.marginal(np.tile(curves.t, (2, 1)))
    assert own.draws.shape[1] == 2
    torch.testing.assert_close(own.draws, shared.draws.expand(-1, 2, -1, -1))
    torch.testing.assert_close(own.variance, shared.variance.expand(-1, 2, -1))


def test_many_curves_go_through_in_pieces():
    decoder, curves = make(9)
    many = Curves(curves.x.repeat(2000, 1), curves.t, None, torch.ones(10_000, dtype=torch.bool))
    found = decoder.log_prob(many)
    assert len(many.chunks()) == 3
    torch.testing.assert_close(found, decoder.log_prob(curves).repeat(2000, 1), rtol=1e-10, atol=1e-10)


def test_units_do_not_leak_into_the_parameters():
    """The same curve in other units of y and t has the same likelihood up to the change of variables: none, because
    residuals are divided by the largest value."""
    decoder, curves = make(10, "affine")
    theta = decoder.theta * [1e-3 / 60.0, 1e-3]
    other = replace(decoder, scale=decoder.scale * 1e-3, theta=theta)
    kilo = replace(curves, t=curves.t * 60.0)
    units = torch.diag(torch.tensor([1e-3 / 60.0, 1e-3], dtype=torch.float64))
    other = replace(other, scatter=units @ decoder.scatter @ units)
    torch.testing.assert_close(other.log_prob(kilo), decoder.log_prob(curves))
