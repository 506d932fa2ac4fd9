"""What every curve says of its own specimen's parameters: closed forms, slow obvious code, nothing from nothing."""

import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import pima_toolkit as pima
from pima_toolkit.experts import own_fits

T = np.linspace(0.05, 2.0, 15)
GROWTH = pima.SympyExpert(
    "a * t / (b + t)", "t", parameters=[pima.Parameter("a", lower=0.0), pima.Parameter("b", lower=0.0)]
)
LINE = pima.SympyExpert("a + b * t", "t")


class TorchGrowth(pima.TorchExpert):
    """The law of ``GROWTH`` without a compiled form."""

    name, t, parameters = "torch_growth", "t", GROWTH.parameters

    def simulate(self, t, theta):
        return theta[..., :1] * t / (theta[..., 1:] + t)


def curves(law, centre, root, noise, specimens=20, seed=0):
    rng = np.random.default_rng(seed)
    phi = centre + rng.standard_normal((specimens, len(centre))) @ root.T
    bounds = law.bounds(T)
    y = law.value_and_jacobian(T, bounds.from_unbounded(phi))[0] + noise * rng.standard_normal((specimens, T.size))
    return bounds, y


def fitted(law, y, weights, centre, root, variance, start=None, t=T[None], **options):
    specimens = len(y)
    start = np.tile(centre, (specimens, 1, 1)) if start is None else start
    which, precision = np.zeros(specimens, dtype=np.int64), np.full(specimens, 1 / variance)
    return own_fits(law, law.bounds(T), t, y, weights, centre[None], root[None], which, precision, start, **options)


def test_a_line_is_ridge_regression_and_its_likelihood_exact():
    centre, root = np.array([1.0, -2.0]), np.array([[0.5, 0.0], [0.3, 0.2]])
    _, y = curves(LINE, centre, root, 0.1)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, y.shape)
    found, cost = fitted(LINE, y, weights, centre, root, 0.01)
    J = np.stack([np.ones_like(T), T], 1)
    for n in range(len(y)):
        H, prior = J.T @ (weights[n][:, None] * J), np.linalg.inv(root @ root.T)
        best = np.linalg.solve(H / 0.01 + prior, J.T @ (weights[n] * y[n]) / 0.01 + prior @ centre)
        np.testing.assert_allclose(found.estimate[n], best, rtol=1e-8)
        np.testing.assert_allclose(found.normal[n], H, rtol=1e-10)
        off = best - centre
        assert cost[n] == pytest.approx(
            (weights[n] * (y[n] - J @ best) ** 2).sum() / 0.01 + off @ prior @ off, rel=1e-8
        )
    anywhere = np.array([[0.2, 3.0], [1.5, -1.0]])
    expected = [
        [multivariate_normal.logpdf(y[n], J @ phi, np.diag(0.02 / weights[n])) for phi in anywhere]
        for n in range(len(y))
    ]
    np.testing.assert_allclose(found.log_prob(anywhere, np.array([0.02, 0.02])), expected, rtol=1e-9)


def test_measurement_errors_are_weights():
    """Weights 1 / std^2 and noise variance one: the likelihood of independent errors of these sizes."""
    _, y = curves(LINE, np.zeros(2), np.eye(2), 0.1, specimens=5)
    std = np.random.default_rng(3).uniform(0.05, 0.3, y.shape)
    found, _ = fitted(LINE, y, 1 / std**2, np.zeros(2), np.eye(2), 1.0)
    at = np.array([[0.3, 0.1]])
    expected = [multivariate_normal.logpdf(y[n], 0.3 + 0.1 * T, np.diag(std[n] ** 2)) for n in range(len(y))]
    np.testing.assert_allclose(found.log_prob(at, np.ones(1))[:, 0], expected, rtol=1e-9)


def test_compiled_and_batched_fits_agree():
    centre, root = np.log([2.0, 0.7]), np.array([[0.3, 0.0], [0.1, 0.4]])
    _, y = curves(GROWTH, centre, root, 0.02)
    weights = (np.random.default_rng(2).random(y.shape) < 0.7).astype(float)
    start = centre + np.random.default_rng(4).normal(0, 0.5, (len(y), 3, 2))
    one, cost = fitted(GROWTH, y, weights, centre, root, 4e-4, start)
    other, same = fitted(TorchGrowth(), y, weights, centre, root, 4e-4, start)
    np.testing.assert_allclose(one.estimate, other.estimate, rtol=1e-5)
    np.testing.assert_allclose(one.normal, other.normal, rtol=1e-4)
    np.testing.assert_allclose(cost, same, rtol=1e-7)
    own = np.broadcast_to(T, y.shape).copy()
    for law in (GROWTH, TorchGrowth()):
        apart, _ = fitted(law, y, weights, centre, root, 4e-4, start, t=own)
        np.testing.assert_allclose(apart.estimate, one.estimate, rtol=1e-5)


def test_the_estimate_is_where_the_penalised_gradient_vanishes():
    centre, root = np.log([2.0, 0.7]), np.array([[0.3, 0.0], [0.1, 0.4]])
    _, y = curves(GROWTH, centre, root, 0.02)
    found, _ = fitted(GROWTH, y, np.ones_like(y), centre, root, 4e-4)
    pull = np.linalg.solve(root @ root.T, (found.estimate - centre).T).T
    np.testing.assert_allclose(found.gradient / 4e-4, pull, atol=1e-3 * np.abs(pull).max())


@pytest.mark.parametrize("law", [GROWTH, TorchGrowth()], ids=["compiled", "batched"])
def test_a_point_without_weight_is_nothing_even_where_the_law_has_no_value(law):
    centre, root = np.log([2.0, 0.7]), 0.3 * np.eye(2)
    _, y = curves(GROWTH, centre, root, 0.02, specimens=4)
    weights = np.ones_like(y)
    weights[:, 3] = 0.0
    t = T.copy()
    t[3] = np.nan
    y[:, 3] = np.inf
    found, _ = fitted(law, y, weights, centre, root, 4e-4, t=t[None])
    kept = np.delete(np.arange(T.size), 3)
    start, which = np.tile(centre, (4, 1, 1)), np.zeros(4, dtype=np.int64)
    prior = centre[None], root[None], which, np.full(4, 2500.0), start
    other, _ = own_fits(law, law.bounds(T), T[None, kept], y[:, kept], weights[:, kept], *prior)
    np.testing.assert_allclose(found.estimate, other.estimate, rtol=1e-6)
    np.testing.assert_array_equal(found.points, other.points)


@pytest.mark.parametrize("law", [GROWTH, TorchGrowth()], ids=["compiled", "batched"])
def test_a_warm_fit_moves_on_where_its_first_steps_are_too_long(law):
    """From far away on a slope that is nearly flat: few steps, but those are taken."""
    centre, root = np.log([2.0, 0.7]), 2.0 * np.eye(2)
    _, y = curves(GROWTH, centre, 0.1 * np.eye(2), 0.02, specimens=6)
    start = np.tile(np.log([2.0, 300.0]), (6, 1, 1))
    at = (law, y, np.ones_like(y), centre, root, 4e-4, start)
    costs = [fitted(*at, steps=steps)[1] for steps in (0, 1, 2, 60)]
    for before, after in itertools.pairwise(costs[:3]):
        assert (after < before).all()
    _, best = fitted(*at[:-1], np.tile(centre, (6, 1, 1)))
    np.testing.assert_allclose(costs[3], best, rtol=1e-6)


def test_parameters_that_cannot_be_told_apart_are_fitted_at_any_noise():
    """Their sum is known to the last digit, their difference not at all: no pivot is left of it."""
    both = pima.SympyExpert("(a + b) * t", "t")
    y = np.outer([1.0, 2.0, 3.0], T)
    for variance in (1e-4, 1e-20, 1e-30, 1e-40):
        found, _ = fitted(both, y, np.ones_like(y), np.zeros(2), np.eye(2), variance)
        np.testing.assert_allclose(found.estimate.sum(1), [1.0, 2.0, 3.0], rtol=1e-4)
        assert (np.abs(found.estimate) < 10.0).all()


def test_what_a_curve_leaves_open_comes_from_the_population():
    """One point says nothing about the slope at it; no curve at all says nothing."""
    centre, root = np.array([1.0, -2.0]), np.diag([0.5, 0.2])
    _, y = curves(LINE, centre, root, 0.01, specimens=3)
    weights = np.zeros_like(y)
    weights[0, 4] = 1.0
    t = T - T[4]
    found, cost = fitted(LINE, y, weights, centre, root, 1e-4, t=t[None])
    assert found.estimate[0, 0] == pytest.approx(y[0, 4], abs=1e-3)
    assert found.estimate[0, 1] == centre[1]
    assert np.linalg.matrix_rank(found.normal[0]) == 1
    np.testing.assert_array_equal(found.estimate[1:], np.tile(centre, (2, 1)))
    assert not found.normal[1:].any()
    np.testing.assert_array_equal(found.log_prob(np.array([[5.0, 5.0]]), np.array([0.3]))[1:], 0.0)
    np.testing.assert_array_equal(cost[1:], 0.0)


def test_a_population_without_scatter_is_its_own_estimate():
    centre = np.log([2.0, 0.7])
    _, y = curves(GROWTH, centre, 0.2 * np.eye(2), 0.02)
    found, _ = fitted(GROWTH, y, np.ones_like(y), centre, np.zeros((2, 2)), 4e-4)
    np.testing.assert_array_equal(found.estimate, np.tile(centre, (len(y), 1)))
    thin, _ = fitted(GROWTH, y, np.ones_like(y), centre, np.diag([0.2, 0.0]), 4e-4)
    np.testing.assert_array_equal(thin.estimate[:, 1], centre[1])
    assert (thin.estimate[:, 0] != centre[0]).all()


def test_a_parameter_at_its_bound_stays_and_says_nothing():
    centre, root = np.log([2.0, 0.7]), 0.3 * np.eye(2)
    _, y = curves(GROWTH, centre, root, 0.02)
    found, _ = fitted(GROWTH, y, np.ones_like(y), centre, root, 4e-4, theta=np.array([[2.0, 0.0]]))
    assert not found.normal[:, 1].any()
    assert not found.normal[:, :, 1].any()


def test_every_curve_is_fitted_by_itself():
    centre, root = np.log([2.0, 0.7]), 0.3 * np.eye(2)
    _, y = curves(GROWTH, centre, root, 0.02)
    all_together, _ = fitted(GROWTH, y, np.ones_like(y), centre, root, 4e-4)
    for n in (0, 7):
        alone, _ = fitted(GROWTH, y[n : n + 1], np.ones((1, T.size)), centre, root, 4e-4)
        np.testing.assert_array_equal(alone.estimate[0], all_together.estimate[n])


def test_the_best_of_several_starts_is_kept_and_a_hopeless_one_does_no_harm():
    centre, root = np.log([2.0, 0.7]), 0.3 * np.eye(2)
    _, y = curves(GROWTH, centre, root, 0.02, specimens=6)
    start = np.stack([np.full((6, 2), np.nan), np.tile(centre, (6, 1)), np.tile(centre + 3.0, (6, 1))], 1)
    found, cost = fitted(GROWTH, y, np.ones_like(y), centre, root, 4e-4, start)
    _, alone = fitted(GROWTH, y, np.ones_like(y), centre, root, 4e-4, start[:, 1:2])
    assert np.isfinite(found.estimate).all()
    assert (cost <= alone * (1 + 1e-9)).all()


STEEP = pima.SympyExpert(
    "a + b / (1 + exp(-(t - m) / w))", "t",
    parameters=[pima.Parameter("a"), pima.Parameter("b"), pima.Parameter("m"), pima.Parameter("w", lower=0.0)],
)  # fmt: skip


class BatchedSteep:
    """The law of ``STEEP`` without its compiled form."""

    def compiled_curve(self):
        return None

    def __getattr__(self, name):
        return getattr(STEEP, name)


@pytest.mark.parametrize("law", [STEEP, BatchedSteep()], ids=["compiled", "batched"])
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_step_steeper_than_numbers_can_say_still_tells_its_levels(law):
    """exp overflows, and its slope is inf / inf: the value is right, and so is what it says of both levels."""
    start = np.array([0.0, 1.0, 1.0, np.log(1e-4)])
    _, jacobian = STEEP.value_and_jacobian(T, np.array([0.0, 1.0, 1.0, 1e-4]))
    assert not np.isfinite(jacobian).all()
    y = np.where(T > 1.0, 3.0, 2.0)[None]
    found, cost = fitted(law, y, np.ones_like(y), start, np.diag([5.0, 5.0, 0.1, 0.1]), 1e-4)
    assert all(np.isfinite(part).all() for part in (found.estimate, found.gradient, found.normal, cost))
    np.testing.assert_allclose(found.estimate[0, :2], [2.0, 1.0], atol=1e-4)
    high = float((T > 1.0).sum())
    np.testing.assert_allclose(found.normal[0, :2, :2], [[T.size, high], [high, high]], atol=1e-6)
