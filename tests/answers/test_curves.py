"""Quantiles and moments of mixtures against scipy, Monte Carlo, and the distribution function itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from pima_toolkit.answers.curves import mixture_moments, mixture_quantile


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
