"""Quantiles and moments of mixtures, of Gaussians and of draws, against scipy, Monte Carlo, and the function itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from pima_toolkit.model.predictive import Predictive, mixture_moments, mixture_quantile


def draw(seed, specimens=4, clusters=3, points=5, own=True):
    rng = np.random.default_rng(seed)
    weights = torch.as_tensor(rng.dirichlet([0.7] * clusters, specimens))
    shape = clusters, specimens if own else 1, points
    return weights, torch.as_tensor(rng.normal(0, 5, shape)), torch.as_tensor(10.0 ** rng.uniform(-6, 2, shape))


@pytest.mark.parametrize("probability", [1e-6, 0.05, 0.5, 0.95, 1 - 1e-6])
def test_one_component_is_the_normal_quantile(probability):
    _, mean, variance = draw(0, clusters=1)
    found = mixture_quantile(torch.ones(4, 1, dtype=torch.float64), mean, variance, probability)
    np.testing.assert_allclose(found, norm.ppf(probability, mean[0], variance[0].sqrt()), rtol=1e-10, atol=1e-10)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.001, 0.999), st.booleans())
def test_the_distribution_function_at_the_quantile_is_the_probability(seed, probability, own):
    weights, mean, variance = draw(seed, own=own)
    found = mixture_quantile(weights, mean, variance, probability).numpy()
    # A hair around the quantile brackets the probability, also where the distribution has a step in all but name.
    hair = 1e-9 * (1 + np.abs(found))

    def distribution(x):
        return np.einsum("nc,cnt->nt", weights, norm.cdf(x, mean, variance.sqrt()))

    assert (distribution(found - hair) <= probability + 1e-9).all()
    assert (distribution(found + hair) >= probability - 1e-9).all()


def test_quantiles_and_moments_equal_monte_carlo():
    rng = np.random.default_rng(1)
    weights, mean, variance = draw(2, specimens=1, points=3)
    c = rng.choice(3, 200_000, p=weights[0].numpy())
    x = mean[c, 0].numpy() + variance[c, 0].sqrt().numpy() * rng.standard_normal((200_000, 3))
    centre, spread = mixture_moments(weights, mean, variance)
    np.testing.assert_allclose(centre[0], x.mean(0), atol=5 * x.std(0).max() / np.sqrt(200_000))
    np.testing.assert_allclose(spread[0], x.var(0), rtol=0.05)
    for probability in (0.05, 0.5, 0.95):
        found = mixture_quantile(weights, mean, variance, probability)[0].numpy()
        below = (x < found).mean(0)
        np.testing.assert_allclose(below, probability, atol=5 * np.sqrt(0.25 / 200_000))


def test_components_without_weight_do_not_widen_the_search():
    weights = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    mean = torch.tensor([2.0, 1e200], dtype=torch.float64)[:, None, None]
    found = mixture_quantile(weights, mean, torch.ones(2, 1, 1, dtype=torch.float64), 0.95)
    assert found.item() == pytest.approx(norm.ppf(0.95, 2, 1), rel=1e-9)


def test_two_narrow_peaks_have_a_band_that_holds_both():
    """Mean and 1.6 std would say otherwise: the band of a bimodal prediction reaches from peak to peak."""
    weights = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    mean = torch.tensor([0.0, 10.0], dtype=torch.float64)[:, None, None]
    variance = torch.full((2, 1, 1), 1e-4, dtype=torch.float64)
    low, high = (mixture_quantile(weights, mean, variance, p).item() for p in (0.05, 0.95))
    assert low == pytest.approx(0.0, abs=0.05)
    assert high == pytest.approx(10.0, abs=0.05)
    centre, spread = mixture_moments(weights, mean, variance)
    assert centre.item() + 1.645 * spread.sqrt().item() < 7


# -- populations of draws ----------------------------------------------------------------------------------------------


def of_draws(seed, specimens=4, clusters=3, points=5, count=64, own=True, log_noise=(-3, 1)):
    rng = np.random.default_rng(seed)
    weights = torch.as_tensor(rng.dirichlet([0.7] * clusters, specimens))
    shape = clusters, specimens if own else 1, points
    draws = rng.normal(0, 5, (*shape, 1)) + rng.standard_t(2, (*shape, count))
    variance = torch.as_tensor(10.0 ** rng.uniform(*log_noise, (clusters, 1, points)))
    return weights, Predictive(torch.as_tensor(np.sort(draws, -1)), variance)


def distribution(weights, said, x):
    """F at x, every draw of every population one after the other."""
    std = said.variance.sqrt().numpy()[..., None]
    return (
        np.einsum("nc,cntk->nt", weights.numpy(), norm.cdf(np.asarray(x)[None, ..., None], said.draws, std))
        / (said.draws.shape[-1])
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.001, 0.999), st.booleans(), st.sampled_from([2, 64, 256]))
def test_quantiles_and_probabilities_of_draws_are_those_of_the_distribution_function(seed, probability, own, count):
    weights, said = of_draws(seed, own=own, count=count)
    found = said.quantile(weights, probability).numpy()
    hair = 1e-6 * said.variance.sqrt().amin(0).numpy()
    assert (distribution(weights, said, found - hair) <= probability + 1e-8).all()
    assert (distribution(weights, said, found + hair) >= probability - 1e-8).all()
    x = torch.as_tensor(np.random.default_rng(seed).normal(0, 8, (4, 5)))
    np.testing.assert_allclose(said.probability(weights, x), distribution(weights, said, x), atol=1e-8)


def test_bands_of_draws_equal_monte_carlo_with_noise():
    rng = np.random.default_rng(1)
    weights, said = of_draws(2, specimens=1, count=128)
    size = 200_000
    c, k = rng.choice(3, size, p=weights[0].numpy()), rng.integers(0, 128, size)
    noise = said.variance.sqrt()[c, 0].numpy() * rng.standard_normal((size, 5))
    x = said.draws[c, 0, :, k].numpy() + noise
    for probability in (0.05, 0.5, 0.95):
        below = (x < said.quantile(weights, probability)[0].numpy()).mean(0)
        np.testing.assert_allclose(below, probability, atol=5 * np.sqrt(0.25 / size))


def test_the_prediction_is_the_mean_of_the_medians():
    weights, said = of_draws(3, own=False)
    medians = np.median(said.draws.numpy(), -1)
    np.testing.assert_allclose(said.centre(weights), np.einsum("nc,cnt->nt", weights, medians.repeat(4, 1)))


def test_each_specimen_has_a_probability_of_its_own():
    weights, said = of_draws(4)
    each = torch.tensor([0.05, 0.5, 0.9, 0.99], dtype=torch.float64)
    found = said.quantile(weights, each)
    for d in range(4):
        torch.testing.assert_close(found[d], said[d : d + 1].quantile(weights[d : d + 1], float(each[d]))[0])


def test_one_long_tail_leaves_the_rest_alone():
    """A draw in a hundred at 1e200, or infinite, and a population without weight: neither moves what is below."""
    weights, said = of_draws(5, count=128, log_noise=(-6, -4))
    said = Predictive(said.draws - said.draws.mean(-1, keepdim=True), said.variance)
    weights[:, 0] = 0.0
    weights = weights / weights.sum(1, keepdim=True)
    wild = said.draws.clone()
    wild[0] = torch.inf
    wild[1, ..., -1], wild[2, ..., -1] = torch.inf, 1e200
    other = Predictive(wild, said.variance)
    for probability in (0.05, 0.5, 0.8):
        torch.testing.assert_close(other.quantile(weights, probability), said.quantile(weights, probability))
    torch.testing.assert_close(other.centre(weights), said.centre(weights))
    assert (other.quantile(weights, 0.9999) > 1e100).all()
    open_ended = Predictive(wild[1:2], said.variance[1:2])
    alone = torch.ones(4, 1, dtype=torch.float64)
    assert (open_ended.quantile(alone, 0.999) == torch.inf).all()
    assert (Predictive(-wild[1:2].flip(-1), said.variance[1:2]).quantile(alone, 0.001) == -torch.inf).all()


def test_nothing_and_everything_reach_to_infinity():
    weights, said = of_draws(6)
    assert (said.quantile(weights, 0.0) == -torch.inf).all()
    assert (said.quantile(weights, 1.0) == torch.inf).all()


def test_draws_at_one_place_are_the_gaussian():
    weights, mean, variance = draw(7)
    said = Predictive(mean[..., None].expand(-1, -1, -1, 64), variance)
    for probability in (0.01, 0.5, 0.95):
        found, expected = said.quantile(weights, probability), mixture_quantile(weights, mean, variance, probability)
        hair = 1e-7 * variance.sqrt().amax(0)
        # Where the distribution is flat between two populations, any place between them will do.
        levels = [distribution(weights, said, part) for part in (found, expected)]
        near = ((found - expected).abs() <= hair).numpy()
        assert (near | (np.abs(levels[0] - levels[1]) < 1e-8)).all()


def test_between_the_points_of_a_grid_draws_are_interpolated():
    _, said = of_draws(8, own=False)
    grid = np.linspace(0.0, 1.0, 5)
    t = np.array([[-1.0, 0.0, 0.125, 0.6], [0.25, 1.0, 1.5, 0.9]])
    found = said.at(grid, t)
    for n in range(2):
        for k in (0, 40):
            expected = np.interp(t[n], grid, said.draws[1, 0, :, k])
            np.testing.assert_allclose(found.draws[1, n, :, k], expected, rtol=1e-12)
        np.testing.assert_allclose(found.variance[2, n], np.interp(t[n], grid, said.variance[2, 0]), rtol=1e-12)
