"""Fits with what is known beforehand: Gaussian priors and known noise, against Bayesian linear regression."""

import numpy as np
import pytest

from pima_toolkit import SympyExpert, get_expert
from pima_toolkit.errors import ExpertError, ShapeError

AFFINE, HARDENING = get_expert("affine"), get_expert("linear_hardening")
T = np.linspace(0, 1, 30)
X = np.stack([T, np.ones_like(T)], 1)


def line(seed=0, noise=0.1):
    return 2 * T + 1 + noise * np.random.default_rng(seed).normal(size=T.size)


def test_known_noise_gives_absolute_errors():
    y = line()
    for std in (0.1, np.linspace(0.05, 0.3, T.size)):
        precision = np.broadcast_to(np.asarray(std, dtype=float) ** -2.0, T.shape)
        covariance = np.linalg.inv(X.T @ (precision[:, None] * X))
        found = AFFINE.fit(T, y, noise_std=std)
        np.testing.assert_allclose(found.covariance[0], covariance, rtol=1e-8)
        np.testing.assert_allclose(found.fitted[0], covariance @ X.T @ (precision * y), rtol=1e-8)
    doubled = AFFINE.fit(T, y, noise_std=0.2)
    once = AFFINE.fit(T, y, noise_std=0.1)
    np.testing.assert_allclose(doubled.parameters.std_error, 2 * once.parameters.std_error, rtol=1e-8)


def test_known_noise_of_every_point_of_every_curve_weighs_them():
    rng = np.random.default_rng(1)
    std = rng.uniform(0.05, 0.5, (8, T.size))
    y = 2 * T + 1 + std * rng.normal(size=std.shape)
    y[2, 5:9] = np.nan
    seen = np.isfinite(y)
    w = np.where(seen, std**-2.0, 0.0)
    normal = np.einsum("nt,tp,tq->pq", w, X, X)
    expected = np.linalg.solve(normal, np.einsum("nt,nt,tp->p", w, np.where(seen, y, 0), X))
    found = AFFINE.fit(T, y, noise_std=std)
    # Curves of one specimen: the population's scatter is next to nothing, and its mean next to the common fit.
    assert (np.abs(found.fitted[0] - expected) < 0.2 * np.sqrt(np.diag(np.linalg.inv(normal)))).all()
    np.testing.assert_allclose(found.naive_covariance[0], np.linalg.inv(normal), rtol=1e-8)
    own = AFFINE.fit(np.tile(T, (8, 1)), y, noise_std=std)
    np.testing.assert_allclose(own.fitted, found.fitted, rtol=1e-6)
    np.testing.assert_allclose(own.covariance, found.covariance, rtol=1e-4)


def test_a_line_with_known_noise_and_priors_is_bayesian_regression():
    y, tau = line(), np.array([0.03, 0.02])
    mean = np.array([2.3, 0.9])
    precision = X.T @ X / 0.1**2 + np.diag(tau**-2.0)
    expected = np.linalg.solve(precision, X.T @ y / 0.1**2 + mean / tau**2)
    priors = {"intercept": (0.9, 0.02), "slope": (2.3, 0.03)}
    found = AFFINE.fit(T, y, noise_std=0.1, priors=priors)
    np.testing.assert_allclose(found.fitted[0], expected, rtol=1e-8)
    np.testing.assert_allclose(found.covariance[0], np.linalg.inv(precision), rtol=1e-8)


def test_the_noise_is_estimated_where_data_and_prior_meet():
    y = line(noise=0.3)
    found = AFFINE.fit(T, y, priors={"slope": (3.0, 0.2)})
    residual = y - X @ found.fitted[0]
    pull = np.array([(3.0 - found.fitted[0, 0]) / 0.2**2, 0.0])
    variance = -(residual @ X[:, 0]) / pull[0]
    np.testing.assert_allclose(residual @ X[:, 1], 0, atol=1e-9)
    precision = X.T @ X / variance + np.diag([0.2**-2.0, 0])
    paid = np.trace(np.linalg.solve(precision, X.T @ X / variance))
    assert variance == pytest.approx(residual @ residual / (T.size - paid), rel=1e-5)
    np.testing.assert_allclose(found.covariance[0], np.linalg.inv(precision), rtol=1e-5)


def test_a_wide_prior_changes_nothing_and_a_narrow_one_everything():
    y = line()
    free = AFFINE.fit(T, y)
    wide = AFFINE.fit(T, y, priors={"slope": (100.0, 1e7)})
    np.testing.assert_allclose(wide.fitted, free.fitted, rtol=1e-8)
    np.testing.assert_allclose(wide.covariance, free.covariance, rtol=1e-6)
    narrow = AFFINE.fit(T, y, priors={"slope": (5.0, 1e-9)})
    held = AFFINE.fit(T, y, fixed={"slope": 5.0})
    np.testing.assert_allclose(narrow.fitted, held.fitted, rtol=1e-7)
    assert narrow.parameters.std_error.values[0, 0] == pytest.approx(1e-9, rel=1e-3)


def test_a_prior_on_what_people_see():
    """The yield stress E eps_y of a bilinear curve: data and prior pull with equal force at the optimum."""
    t = np.linspace(0, 0.1, 60)
    y = HARDENING.value_and_jacobian(t, [800.0, 0.035, 0.2])[0] + 0.3 * np.random.default_rng(0).normal(size=60)
    found = HARDENING.fit(t, y, noise_std=0.3, priors={"sigma_y": (27.0, 0.1)})
    theta = found.fitted[0]
    value, jacobian = HARDENING.value_and_jacobian(t, theta)
    shown, slope = HARDENING.to_reported(theta)[1], HARDENING.reported_jacobian(theta)[1]
    data = jacobian.T @ (y - value) / 0.3**2
    np.testing.assert_allclose(data, -slope * (27.0 - shown) / 0.1**2, rtol=1e-5, atol=1e-6 * np.abs(data).max())
    assert found.parameters.std_error.values[0, 1] < 0.1
    assert 27.0 < found.parameters.value.values[0, 1] < HARDENING.fit(t, y).parameters.value.values[0, 1]


def test_curves_that_differ_count_by_how_they_differ():
    """A prior as wide as the curve-clustered error halves the variance; by the number of points it would not count."""
    rng = np.random.default_rng(0)
    y = (2 + 0.3 * rng.normal(size=(40, 1))) * T + 1 + 0.02 * rng.normal(size=(40, T.size))
    free = AFFINE.fit(T, y)
    std = free.parameters.std_error.values[0, 0]
    naive = np.sqrt(free.naive_covariance[0, 0, 0])
    assert std > 2 * naive
    found = AFFINE.fit(T, y, priors={"slope": (free.fitted[0, 0] + 2 * std, std)})
    moved = (found.fitted[0, 0] - free.fitted[0, 0]) / std
    assert 0.6 < moved < 1.4
    assert found.parameters.std_error.values[0, 0] == pytest.approx(std / np.sqrt(2), rel=0.15)


def test_a_prior_settles_what_the_data_leave_open():
    product = SympyExpert("a * b * t", bounds={"a": (0, None), "b": (0, None)})
    y = 6 * T + 0.01 * np.random.default_rng(0).normal(size=T.size)
    open_ = product.fit(T, y)
    assert open_.unidentified.tolist() == [[True, True]]
    assert np.isinf(open_.parameters.std_error.values).all()
    assert "not determined by these data: a, b" in str(open_)
    known = product.fit(T, y, priors={"a": (2.0, 0.1)})
    assert not known.unidentified.any()
    np.testing.assert_allclose(known.fitted[0], [2, 3], rtol=1e-2)
    assert known.parameters.std_error.values[0, 0] == pytest.approx(0.1, rel=1e-2)
    assert known.parameters.std_error.values[0, 1] == pytest.approx(0.15, rel=2e-2)


def test_a_prior_can_stand_for_a_point_where_the_noise_is_known():
    found = AFFINE.fit([1.0], [3.0], noise_std=0.1, priors={"slope": (2.0, 0.1)})
    np.testing.assert_allclose(found.fitted[0], [2, 1], atol=1e-8)
    np.testing.assert_allclose(found.parameters.std_error.values[0], [0.1, np.sqrt(0.02)], rtol=1e-6)


def test_replicates_keep_the_priors():
    rng = np.random.default_rng(3)
    y = 2 * T + 1 + 0.1 * rng.normal(size=(20, T.size))
    narrow = AFFINE.fit(T, y, priors={"slope": (2.0, 1e-4)}).bootstrap(20)
    assert float(narrow.std_error.sel(parameter="slope")[0]) < 1e-5
    assert float(narrow.std_error.sel(parameter="intercept")[0]) > 1e-3


WRONG = {
    "name": ({"priors": {"E": (1, 1)}}, ExpertError, "no parameter of 'affine': use slope, intercept"),
    "one number": ({"priors": {"slope": 1.0}}, ExpertError, "give its mean and standard deviation"),
    "negative": ({"priors": {"slope": (1.0, -1.0)}}, ExpertError, "give its mean and standard deviation"),
    "not finite": ({"priors": {"slope": (np.nan, 1.0)}}, ExpertError, "give its mean and standard deviation"),
    "no noise": ({"noise_std": 0.0}, ExpertError, "above zero and finite"),
    "noise shape": ({"noise_std": np.ones(7)}, ShapeError, "noise_std has the shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused(case):
    options, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        AFFINE.fit(T, line(), **options)
