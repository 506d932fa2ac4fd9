"""One population by restricted likelihood: against dense matrices, textbooks, and the truth in drawn specimens."""

import numpy as np
import pytest
import scipy.optimize
import xarray as xr

from pima_toolkit import SympyExpert, get_expert
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import CurveInformation
from pima_toolkit.experts.solvers.random_effects import random_effects, restricted

TRUTH = np.array([1.0, 2.0])


def drawn(specimens, *, gaps=True, scatter=0.5, noise=0.3, seed=0):
    """Lines of specimens that differ: (X, y) of each, and what they say as information."""
    rng = np.random.default_rng(seed)
    t, curves = np.linspace(0, 1, 12), []
    for _ in range(specimens):
        keep = rng.random(12) < 0.7 if gaps else np.ones(12, dtype=bool)
        X = np.stack([np.ones(12), t], 1)[keep]
        curves.append((X, X @ (TRUTH + scatter * rng.standard_normal(2)) + noise * rng.standard_normal(keep.sum())))
    return curves, told(curves)


def told(curves):
    sums = [(y @ y, X.T @ y, X.T @ X, float(len(y))) for X, y in curves]
    squared, gradient, normal, points = (np.array(part) for part in zip(*sums, strict=True))
    return CurveInformation(np.zeros((len(curves), 2)), squared, gradient, normal, points, np.zeros(len(curves)))


def dense(curves, S, v, mean=None):
    """Twice the negative restricted log likelihood, the mean and its covariance, by whole matrices."""
    parts = [(X, y, v * np.eye(len(y)) + X @ S @ X.T) for X, y in curves]
    whole = sum(X.T @ np.linalg.solve(sigma, X) for X, y, sigma in parts)
    if mean is None:
        mean = np.linalg.solve(whole, sum(X.T @ np.linalg.solve(sigma, y) for X, y, sigma in parts))
    total = np.linalg.slogdet(whole)[1]
    for X, y, sigma in parts:
        residual = y - X @ mean
        total += np.linalg.slogdet(sigma)[1] + residual @ np.linalg.solve(sigma, residual)
    return total, mean, np.linalg.inv(whole)


def fitted(information, gamma=None, **options):
    gamma = np.ones(len(information)) if gamma is None else gamma
    return random_effects(information, gamma, np.zeros(2), np.ones(2), 1.0, **options)


def test_the_optimum_is_that_of_dense_matrices():
    curves, information = drawn(8)
    found = fitted(information)

    def objective(x):
        root = np.array([[np.exp(x[0]), 0.0], [x[1], np.exp(x[2])]])
        return dense(curves, root @ root.T, np.exp(x[3]))[0]

    options = {"maxiter": 4000, "xatol": 1e-7, "fatol": 1e-9}
    best = scipy.optimize.minimize(objective, [-0.5, 0.1, -0.5, -2.0], method="Nelder-Mead", options=options)
    value, mean, covariance = dense(curves, found.scatter, found.variance)
    assert value == pytest.approx(best.fun, abs=1e-5)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-8)
    np.testing.assert_allclose(found.model_covariance, covariance, rtol=1e-7)
    assert found.evidence == pytest.approx(value, abs=1e-7)
    other = mean + 0.1
    assert restricted(information, np.ones(8), other, np.ones(2), found) == pytest.approx(
        dense(curves, found.scatter, found.variance, other)[0], abs=1e-7
    )


def test_specimens_are_the_best_linear_predictions():
    """The conditional mean of a Gaussian, and its covariance with that of the mean, by whole matrices."""
    curves, information = drawn(8)
    found = fitted(information)
    S, C = found.scatter, found.model_covariance
    for n, (X, y) in enumerate(curves):
        sigma = found.variance * np.eye(len(y)) + X @ S @ X.T
        gain = S @ X.T @ np.linalg.inv(sigma)
        np.testing.assert_allclose(found.deviation[n], gain @ (y - X @ found.mean), rtol=1e-6)
        rest = np.eye(2) - gain @ X
        # The mean is made of this curve too: the error of the prediction counts that.
        expected = S - gain @ X @ S + rest @ C @ rest.T
        np.testing.assert_allclose(found.deviation_covariance[n], expected, rtol=1e-6)


def test_curves_that_say_the_same_give_the_textbooks_interval():
    """The mean of N numbers: the sample's standard deviation over the root of N, N - 1 degrees of freedom."""
    curves, information = drawn(6, gaps=False)
    found = fitted(information)
    own = np.array([np.linalg.lstsq(X, y, rcond=None)[0] for X, y in curves])
    np.testing.assert_allclose(found.mean, own.mean(0), rtol=1e-8)
    np.testing.assert_allclose(found.covariance, np.cov(own.T) / 6, rtol=1e-6)
    std, freedom = found.contrast(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -2.0]]))
    both = np.column_stack([own, own @ [1.0, -2.0]])
    np.testing.assert_allclose(std, both.std(0, ddof=1) / np.sqrt(6), rtol=1e-6)
    np.testing.assert_allclose(freedom, 5.0, rtol=1e-8)


def test_a_parameter_that_few_curves_speak_about_has_few_degrees_of_freedom():
    curves, _ = drawn(6, gaps=False)
    curves[2:] = [(X[:1], y[:1]) for X, y in curves[2:]]  # t = 0: the slope is not in them
    found = fitted(told(curves), known=False)
    _, freedom = found.contrast(np.eye(2))
    assert freedom[0] > 4
    assert freedom[1] < 1.5


def test_whole_responsibilities_count_specimens():
    """A specimen of weight two is two specimens alike; one of weight zero is none."""
    _, information = drawn(8)
    twice = information.at([0, 0, 1, 2, 3, 4, 5, 6])
    one, other = fitted(twice), fitted(information, np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(other.mean, one.mean, atol=2e-4)
    np.testing.assert_allclose(other.scatter, one.scatter, atol=2e-3)


def test_soft_responsibilities_against_the_covariances_written_out():
    _, information = drawn(7)
    gamma = np.array([1.0, 0.9, 0.2, 0.7, 1.0, 0.4, 0.05])
    found = fitted(information, gamma)
    c = np.array([0.3, 1.0])
    A, C = found.information, found.model_covariance
    r = A @ C @ c
    D = C @ np.einsum("n,npq->pq", gamma**2, A) @ C
    omega = np.diag(gamma**2 * (r @ C @ c))
    for n in range(7):
        for m in range(7):
            omega[n, m] -= gamma[n] * gamma[m] * ((gamma[n] + gamma[m]) * r[n] @ C @ r[m] - r[n] @ D @ r[m])
    std, freedom = found.contrast(c[None])
    told_ = np.square(found.contributions @ c).sum()
    assert std[0] ** 2 == pytest.approx(c @ D @ c * told_ / np.trace(omega), rel=1e-8)
    assert freedom[0] == pytest.approx(np.trace(omega) ** 2 / np.trace(omega @ omega), rel=1e-8)


def test_an_adjusted_scatter_is_never_zero():
    _, information = drawn(4, scatter=0.0)
    plain, adjusted = fitted(information), fitted(information, adjusted=True)
    assert np.diag(plain.scatter).min() < 1e-6
    assert np.diag(adjusted.scatter).min() > 1e-3


def test_without_noise_nothing_is_lost():
    """Scatter a million times the noise: the mean is the specimens' own, and its error their scatter."""
    curves, information = drawn(5, gaps=False, noise=1e-7)
    found = fitted(information)
    own = np.array([np.linalg.lstsq(X, y, rcond=None)[0] for X, y in curves])
    np.testing.assert_allclose(found.contrast(np.eye(2))[0], own.std(0, ddof=1) / np.sqrt(5), rtol=1e-5)
    np.testing.assert_allclose(found.mean + found.deviation, own, rtol=1e-6)


T = np.linspace(0.05, 3.0, 40)
SATURATING = SympyExpert("a * t / (b + t)", bounds={"a": (0, None), "b": (0, None)})


def population(specimens, scatter, seed, noise=0.02):
    rng = np.random.default_rng(seed)
    own = np.array([2.0, 0.7]) * np.exp(scatter * rng.standard_normal((specimens, 2)))
    return SATURATING.value_and_jacobian(T, own)[0] + noise * rng.standard_normal((specimens, T.size)), own


@pytest.mark.slow
@pytest.mark.parametrize(("specimens", "scatter"), [(2, 0.2), (4, 0.05)])
def test_intervals_hold_what_they_say(specimens, scatter):
    """A law that is not linear, 150 sets; so do the specimens' own, and the prediction band of a new one."""
    held, own_held, new_held = [], [], []
    for seed in range(150):
        y, own = population(specimens, scatter, seed)
        solution = SATURATING.fit(T, y, start=[2.0, 0.7])
        table, specimen = solution.parameters, solution.specimens
        held.append((table.low.values[0] < [2.0, 0.7]) & (table.high.values[0] > [2.0, 0.7]))
        own_held.append(((specimen.low.values < own) & (specimen.high.values > own)).mean(0))
        if seed < 30:
            band, new = solution.band(of="specimen"), population(50, scatter, 1000 + seed)[0]
            new_held.append(((band.low.values < new) & (band.high.values > new)).mean())
    assert (np.abs(np.mean(held, axis=0) - 0.9) < 0.07).all()
    assert (np.abs(np.mean(own_held, axis=0) - 0.9) < 0.07).all()
    assert 0.84 < np.mean(new_held) < 0.96


def test_a_result_speaks_names():
    y, own = population(4, 0.1, 0)
    named = xr.DataArray(y, dims=("specimen", "t"), coords={"specimen": list("abcd")}, attrs={"units": "MPa"})
    solution = SATURATING.fit(T, named, t_unit="s")
    row = solution["b"]
    assert float(row.low) < float(row.value) < float(row.high)
    assert solution.parameters.attrs == {"level": 0.9, "method": "REML over specimens, Hartung-Knapp, Student's t"}
    assert solution.specimens.specimen.values.tolist() == list("abcd")
    np.testing.assert_allclose(solution.specimens.value, own, rtol=0.1)
    assert {"value", "std_error", "low", "high", "at_bound"} <= set(solution.parameters.to_dataframe().columns)
    wide = solution.confidence("a", level=0.99)
    assert wide.parameter.values.tolist() == ["a"]
    assert wide.attrs["level"] == 0.99
    assert float(wide.high[0, 0]) > float(solution["a"].high)
    # Symmetric in the logarithm: the parameter is positive.
    assert float(row.low * row.high) == pytest.approx(float(row.value) ** 2)
    with pytest.raises(ExpertError, match="reports no parameter 'c': use a, b"):
        solution["c"]
    with pytest.raises(ExpertError, match="one curve was fitted"):
        _ = SATURATING.fit(T, y[0]).specimens
    text = solution.report()
    assert "90% interval: REML over specimens" in text
    assert f"({float(row.low):.4g} to {float(row.high):.4g})" in text


def test_profile_and_bootstrap_check_the_interval():
    y, _ = population(12, 0.15, 3)
    solution = SATURATING.fit(T, y)
    for other in (solution.profile(), solution.bootstrap(300)):
        width = np.log(other.high / other.low) / np.log(solution.parameters.high / solution.parameters.low)
        np.testing.assert_allclose(width, 1.0, atol=0.2)
        assert other.attrs["level"] == 0.9
    line = get_expert("affine").fit(T, y)
    np.testing.assert_allclose(line.profile().low, line.parameters.low, rtol=2e-2)


def test_a_population_of_one_specimen_has_no_errors():
    y, _ = population(3, 0.1, 1)
    alone = SATURATING.fit(T, y[:1])
    assert np.isinf(alone.parameters.std_error).all()
    assert alone.parameters.low.values.tolist() == [[0.0, 0.0]]
    assert np.isnan(alone.specimens.value).all()
