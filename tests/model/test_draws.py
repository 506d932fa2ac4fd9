"""Draws that are the same every time, against the moments and quantiles of the Gaussian."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from pima_toolkit.model.draws import drawn, standard_draws, symmetric_root


def covariance(seed, size=3):
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((size, size)) * 10.0 ** rng.uniform(-4, 4, (size, 1))
    return torch.as_tensor(half @ half.T)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_standard_draws_have_the_quantiles_of_the_normal(size):
    draws = standard_draws(256, size)
    assert torch.equal(draws, standard_draws(256, size))
    torch.testing.assert_close(draws.mean(0), torch.zeros(size, dtype=torch.float64), atol=1e-12, rtol=0)
    for p in (0.05, 0.25, 0.5, 0.9):
        below = (draws < norm.ppf(p)).double().mean(0)
        np.testing.assert_allclose(below, p, atol=1.5 / 128)
    np.testing.assert_allclose(torch.cov(draws.T).reshape(size, size), np.eye(size), atol=0.12)


def test_the_root_is_one_also_of_parameters_of_very_different_size():
    for seed in range(20):
        given = covariance(seed)
        root = symmetric_root(given)
        scale = given.diagonal().sqrt()
        torch.testing.assert_close(root @ root.mT / scale / scale[:, None], given / scale / scale[:, None])


def test_what_is_constant_is_drawn_so():
    given = covariance(0)
    given[1], given[:, 1] = 0.0, 0.0
    draws = drawn(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64), given, 64)
    assert (draws[:, 1] == 2.0).all()
    assert torch.isfinite(draws).all()


def test_a_rounding_of_the_covariance_deals_no_other_draws():
    """Equal eigenvalues, whose eigenvectors turn at a touch."""
    rng = np.random.default_rng(1)
    even = 0.09 * torch.eye(3, dtype=torch.float64)
    before = drawn(torch.zeros(3, dtype=torch.float64), even, 64)
    for _ in range(10):
        touch = torch.as_tensor(1e-12 * rng.standard_normal((3, 3)))
        after = drawn(torch.zeros(3, dtype=torch.float64), even + touch + touch.T, 64)
        torch.testing.assert_close(after, before, atol=1e-9, rtol=0)


def test_the_median_of_anything_linear_is_its_value_at_the_centre():
    centre = torch.tensor([0.3, -2.0, 5.0], dtype=torch.float64)
    draws = drawn(centre, covariance(2), 128)
    rng = np.random.default_rng(0)
    for _ in range(10):
        slope = torch.as_tensor(rng.standard_normal(3))
        values = (draws @ slope).sort().values
        assert 0.5 * (values[63] + values[64]).item() == pytest.approx((centre @ slope).item(), rel=1e-9, abs=1e-9)
