"""Streaming statistics equal the full batch, and the reduced problem equals the raw one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pima_toolkit.errors import ShapeError
from pima_toolkit.experts import CurveStatistics


def raw(x, gamma, observed):
    """The slow and obvious way: weight (C, T), mean (C, T), constant (C,)."""
    weight = np.einsum("nc,nt->ct", gamma, observed)
    safe = np.where(weight > 0, weight, 1)
    mean = np.where(weight > 0, np.einsum("nc,nt,nt->ct", gamma, observed, x) / safe, 0)
    constant = np.einsum("nc,nt,nct->c", gamma, observed, (x[:, None] - mean[None]) ** 2)
    return weight, mean, constant


def some(n, C, T, seed, gaps=True, offset=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, T)) + offset
    gamma = rng.dirichlet(np.ones(C), n)
    gamma[rng.uniform(size=n) < 0.1] = 0
    observed = rng.uniform(size=(n, T)) < 0.7 if gaps else np.ones((n, T), bool)
    return x, gamma, observed


def close(statistics, expected, scale=1.0):
    weight, mean, constant = expected
    np.testing.assert_allclose(statistics.weight.numpy(), weight, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(statistics.mean.numpy(), mean, rtol=1e-10, atol=1e-10 * scale)
    np.testing.assert_allclose(statistics.constant.numpy(), constant, rtol=1e-9, atol=1e-10 * scale)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 9), st.integers(1, 17), st.integers(0, 999), st.booleans())
def test_any_batches_equal_one(n, C, T, size, seed, gaps):
    x, gamma, observed = some(n, C, T, seed, gaps)
    spoilt = np.where(observed, x, np.nan)
    streaming, left, right = (CurveStatistics(C, T) for _ in range(3))
    for first in range(0, n, size):
        part = slice(first, first + size)
        batch = torch.from_numpy(spoilt[part]), torch.from_numpy(gamma[part]), torch.from_numpy(observed[part])
        streaming.update(*batch)
        (left if (first // size) % 2 else right).update(*batch)
    close(streaming, raw(x, gamma, observed))
    close(left.merge(right), raw(x, gamma, observed))


def test_without_gaps_no_mask_is_needed():
    x, gamma, observed = some(50, 3, 7, 0, gaps=False)
    statistics = CurveStatistics(3, 7).update(torch.from_numpy(x), torch.from_numpy(gamma))
    close(statistics, raw(x, gamma, observed))


def test_the_constant_survives_a_large_offset():
    """A difference of two large sums would lose all digits here."""
    x, gamma, observed = some(200, 2, 5, 1, gaps=False, offset=1e7)
    statistics = CurveStatistics(2, 5)
    for first in range(0, 200, 30):
        part = slice(first, first + 30)
        statistics.update(torch.from_numpy(x[part]), torch.from_numpy(gamma[part]))
    _, _, constant = raw(x - 1e7, gamma, observed)
    np.testing.assert_allclose(statistics.constant.numpy(), constant, rtol=1e-7)


def test_the_reduced_sum_of_squares_is_the_raw_one():
    x, gamma, observed = some(80, 3, 9, 2)
    statistics = CurveStatistics(3, 9).update(*(torch.from_numpy(a) for a in (x, gamma, observed)))
    curve = np.random.default_rng(3).normal(size=(3, 9))
    full = np.einsum("nc,nt,nct->c", gamma, observed, (x[:, None] - curve[None]) ** 2)
    reduced = (statistics.weight.numpy() * (statistics.mean.numpy() - curve) ** 2).sum(1)
    np.testing.assert_allclose(reduced + statistics.constant.numpy(), full, rtol=1e-12)


def test_float32_batches_are_summed_in_float64():
    x, gamma, observed = some(500, 2, 4, 4, gaps=False)
    x32, gamma32 = x.astype(np.float32), gamma.astype(np.float32)
    statistics = CurveStatistics(2, 4)
    for n in range(500):
        statistics.update(torch.from_numpy(x32[n : n + 1]), torch.from_numpy(gamma32[n : n + 1]))
    close(statistics, raw(x32.astype(float), gamma32.astype(float), observed))


def test_empty_batches_change_nothing_and_gradients_do_not_leak():
    statistics = CurveStatistics(2, 3).update(torch.zeros(0, 3), torch.zeros(0, 2))
    assert not statistics.weight.any()
    statistics.update(torch.ones(1, 3, requires_grad=True), torch.ones(1, 2, requires_grad=True))
    assert not statistics.mean.requires_grad


def test_shapes_are_checked():
    statistics = CurveStatistics(2, 3)
    with pytest.raises(ShapeError, match="2 clusters and 3 points"):
        statistics.update(torch.ones(4, 3), torch.ones(4, 3))
    with pytest.raises(ShapeError, match="observed"):
        statistics.update(torch.ones(4, 3), torch.ones(4, 2), torch.ones(4, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match="merge"):
        statistics.merge(CurveStatistics(2, 4))
