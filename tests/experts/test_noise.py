"""Noise models of curves: likelihood of a dense covariance, numbers found again, one interface for all fits."""

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError
from pima_toolkit.experts import NOISES, CurveResiduals, noisy_fits, own_fits
from pima_toolkit.experts.noise.autocorrelated import AutocorrelatedNoise
from pima_toolkit.experts.noise.constant import ConstantNoise
from pima_toolkit.experts.noise.misfit import MisfitNoise
from pima_toolkit.experts.noise.proportional import ProportionalNoise
from pima_toolkit.experts.noise.robust import RobustNoise

LAW = pima.get_expert("linear_hardening")
TRUTH = np.array([800.0, 0.035, 0.2])
T = np.linspace(0.001, 0.1, 60)


def dense(noise, t, curve):
    """Covariance of a noise model over its variance, written out."""
    apart = np.abs(t[:, None] - t)
    if isinstance(noise, AutocorrelatedNoise):
        return np.exp(-apart / noise.length)
    if isinstance(noise, MisfitNoise):
        return np.eye(len(t)) + noise.amplitude * np.exp(-0.5 * (apart / noise.length) ** 2)
    if isinstance(noise, ProportionalNoise):
        return np.diag((noise.additive + (curve / noise.size) ** 2) / (noise.additive + 1.0))
    return np.eye(len(t))


#: A noise model with numbers for each kind; robust noise has no covariance to write out, and its own tests.
NOISE_CASES = {
    "constant": ConstantNoise(),
    "proportional": ProportionalNoise(0.3, 20.0),
    "autocorrelated": AutocorrelatedNoise(0.02),
    "misfit": MisfitNoise(3.0, 0.01),
}


def grids(*, own_grids, gaps, rng):
    t = np.sort(rng.uniform(0.001, 0.1, (5, 25)), axis=1) if own_grids else np.linspace(0.001, 0.1, 25)[None]
    seen = rng.random((5, 25)) < 0.7 if gaps else np.ones((5, 25), dtype=bool)
    return t, seen


@pytest.mark.parametrize("own_grids", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("case", NOISE_CASES)
def test_whitening_and_determinant_are_those_of_the_dense_covariance(case, own_grids, gaps):
    noise, rng = NOISE_CASES[case], np.random.default_rng(2)
    t, seen = grids(own_grids=own_grids, gaps=gaps, rng=rng)
    curve = rng.normal(10.0, 3.0, (5, 25))
    residual, slopes = rng.normal(size=(5, 25)), rng.normal(size=(5, 25, 3))
    residual, slopes = np.where(seen, residual, 0.0), np.where(seen[..., None], slopes, 0.0)
    shape = noise.shape(t, seen, curve)
    left = CurveResiduals(t, seen, curve, residual, slopes, np.ones(5))
    r, J = left.whitened(shape)
    for n in range(5):
        here = seen[n]
        R = dense(noise, np.broadcast_to(t, (5, 25))[n, here], curve[n, here])
        inverse = np.linalg.inv(R)
        assert r[n] @ r[n] == pytest.approx(residual[n, here] @ inverse @ residual[n, here], rel=1e-9)
        np.testing.assert_allclose(J[n].T @ r[n], slopes[n, here].T @ inverse @ residual[n, here], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(J[n].T @ J[n], slopes[n, here].T @ inverse @ slopes[n, here], rtol=1e-8, atol=1e-9)
        assert shape.log_det[n] == pytest.approx(np.linalg.slogdet(R)[1], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("case", NOISE_CASES)
def test_own_fits_and_their_evidence_are_those_of_the_dense_covariance(case, gaps):
    """The most probable parameters found by scipy on dense whitened residuals, and the Gaussian about them."""
    noise, rng, law = (
        NOISE_CASES[case],
        np.random.default_rng(4),
        pima.SympyExpert("a + b * exp(-c * t)", t="t", bounds={"b": (0, None), "c": (0, None)}),
    )
    bounds = law.bounds(T)
    centre, root = bounds.to_unbounded(np.array([20.0, 5.0, 30.0])), np.diag([1.0, 0.1, 0.2])
    t, seen = grids(own_grids=True, gaps=gaps, rng=rng)
    own = centre + rng.standard_normal((5, 3)) @ root
    value = np.stack([law.value_and_jacobian(*pair)[0] for pair in zip(t, bounds.from_unbounded(own), strict=True)])
    y = np.where(seen, value + 0.4 * rng.standard_normal(value.shape), np.nan)
    weights = np.where(seen, np.exp(0.5 * rng.standard_normal(value.shape)), 0.0)
    variance, which = 0.16, np.zeros(5, dtype=np.int64)
    at = law, bounds, t, np.nan_to_num(y), weights, centre[None], root[None], which, np.full(5, 1 / variance)
    found, _ = noisy_fits(noise, *at)
    evidence = found.marginal(centre, root @ root.T, variance)
    for n in range(5):
        here = seen[n]
        grid, w = t[n, here], weights[n, here]

        def curve(u, grid=grid):
            return law.value_and_jacobian(grid, bounds.from_unbounded(centre + root @ u)[None])[0][0]

        def covariance(u, grid=grid, w=w, curve=curve):
            return variance * dense(noise, grid, curve(u)) / np.sqrt(np.outer(w, w))

        u = np.linalg.solve(root, found.estimate[n] - centre)
        # The shape of a noise that follows the curve is held while the curve is fitted.
        held = covariance(u)
        lower = np.linalg.cholesky(held)
        best = scipy.optimize.least_squares(
            lambda x, n=n, here=here, lower=lower, curve=curve: np.concatenate(
                [np.linalg.solve(lower, y[n, here] - curve(x)), x]
            ),
            u,
            xtol=1e-14,
        ).x
        np.testing.assert_allclose(u, best, atol=2e-3)
        slopes = np.stack([(curve(u + e) - curve(u - e)) / 2e-5 for e in 1e-5 * np.eye(3)], axis=1)
        whole = scipy.stats.multivariate_normal(curve(u) - slopes @ u, slopes @ slopes.T + held)
        assert evidence[n] == pytest.approx(float(whole.logpdf(y[n, here])), abs=2e-2)


def test_constant_noise_is_the_plain_own_fit():
    bounds, rng = LAW.bounds(T), np.random.default_rng(1)
    centre, root = bounds.to_unbounded(TRUTH), 0.1 * np.eye(3)
    y = LAW.value_and_jacobian(T, TRUTH)[0] + rng.standard_normal((3, 60))
    which = np.zeros(3, dtype=np.int64)
    at = LAW, bounds, T[None], y, np.ones_like(y), centre[None], root[None], which, np.ones(3)
    plain, noisy = own_fits(*at)[0], noisy_fits(ConstantNoise(), *at)[0]
    for name in ("estimate", "squared", "normal", "log_weight"):
        np.testing.assert_array_equal(getattr(noisy, name), getattr(plain, name))


def test_robust_fits_are_where_the_t_likelihood_is_highest():
    noise, rng = RobustNoise(3.0, 0.4), np.random.default_rng(5)
    bounds = LAW.bounds(T)
    centre, root = bounds.to_unbounded(TRUTH), np.diag([0.1, 0.1, 0.2])
    y = LAW.value_and_jacobian(T, TRUTH)[0] + 0.4 * rng.standard_t(3, (4, 60))
    weights = np.exp(0.3 * rng.standard_normal((4, 60)))
    which, precision = np.zeros(4, dtype=np.int64), np.full(4, 1.0 / (0.16 * 1.5))
    found, _ = noisy_fits(noise, LAW, bounds, T[None], y, weights, centre[None], root[None], which, precision)
    for n in range(4):

        def cost(u, n=n):
            curve = LAW.value_and_jacobian(T, bounds.from_unbounded(centre + root @ u))[0]
            scale = 0.4 / np.sqrt(weights[n])
            return 0.5 * u @ u - (scipy.stats.t.logpdf((y[n] - curve) / scale, 3.0) - np.log(scale)).sum()

        u = np.linalg.solve(root, found.estimate[n] - centre)
        best = scipy.optimize.minimize(cost, u, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9})
        assert cost(u) <= best.fun + 1e-3
        # The quadratic has the height of the likelihood at the estimate.
        height = 0.5 * u @ u - cost(u)
        assert found.log_prob(found.estimate[n][None], np.array([1.0 / precision[0]]))[n, 0] == pytest.approx(height)


def simulated(kind, rng, specimens=6, points=60):
    """Curves of a population with noise of a kind, and what its numbers are."""
    t = np.linspace(0.001, 0.1, points)
    theta = TRUTH * (1 + 0.05 * rng.standard_normal((specimens, 3)))
    value = LAW.value_and_jacobian(t, theta)[0]
    white = rng.standard_normal(value.shape)
    apart = np.abs(t[:, None] - t)
    if kind == "proportional":
        return t, value + white * np.hypot(0.05, 0.02 * value), {"additive": (0.05 / 0.02) ** 2 / np.mean(value**2)}
    if kind == "robust":
        return t, value + 0.3 * rng.standard_t(3, value.shape), {"freedom_t": 3.0, "scale": 0.3}
    if kind == "autocorrelated":
        return t, value + 0.3 * white @ np.linalg.cholesky(np.exp(-apart / 0.01)).T, {"length": 0.01}
    smooth = np.linalg.cholesky(4.0 * np.exp(-0.5 * (apart / 0.008) ** 2) + np.eye(points))
    return t, value + 0.2 * white @ smooth.T, {"amplitude": 4.0, "length": 0.008}


@pytest.mark.parametrize("kind", ["proportional", "robust", "autocorrelated", "misfit"])
def test_the_numbers_of_the_noise_are_found_again(kind):
    t, y, truth = simulated(kind, np.random.default_rng(11), specimens=25)
    solution = LAW.fit(t, y, noise=kind)
    found = solution.noise[0].numbers()
    for name, value in truth.items():
        assert np.log(found[name] / value) == pytest.approx(0.0, abs=0.5 if name == "additive" else 0.3)
    table = solution.parameters
    truth = LAW.to_reported(TRUTH)
    assert (np.abs(table.value.values[0] - truth) < 3.5 * table.std_error.values[0]).all()
    assert not any("neighbouring" in sentence for sentence in solution.noise_evidence[0].sentences())


@pytest.mark.parametrize("kind", ["proportional", "robust", "autocorrelated", "misfit"])
def test_gaps_change_nothing_but_what_they_leave_out(kind):
    """Points that are NaN, of any value and weight zero, or left out altogether are the same."""
    t, y, _ = simulated(kind, np.random.default_rng(3), specimens=1)
    gap = np.zeros(60, dtype=bool)
    gap[[3, 20, 21, 40]] = True
    fits = [
        LAW.fit(t, np.where(gap, np.nan, y[0]), noise=kind),
        LAW.fit(t, np.where(gap, 1e3, y[0]), np.where(gap, 0.0, 1.0), noise=kind),
        LAW.fit(t[~gap], y[0, ~gap], noise=kind),
    ]
    for other in fits[1:]:
        np.testing.assert_allclose(other.fitted, fits[0].fitted, rtol=1e-5)
        np.testing.assert_allclose(other.parameters.std_error, fits[0].parameters.std_error, rtol=1e-3)


def test_one_curve_is_fitted_by_generalised_least_squares():
    """A line under Ornstein-Uhlenbeck noise: the closed form with the covariance that was learned."""
    line, rng = pima.get_expert("affine"), np.random.default_rng(8)
    t = np.sort(rng.uniform(0, 1, 50))
    y = 2.0 * t + 1.0 + 0.1 * np.linalg.cholesky(np.exp(-np.abs(t[:, None] - t) / 0.1)) @ rng.standard_normal(50)
    solution = line.fit(t, y, noise="autocorrelated")
    R = np.exp(-np.abs(t[:, None] - t) / solution.noise[0].numbers()["length"])
    J = line.value_and_jacobian(t, np.zeros(2))[1]
    inverse = np.linalg.inv(J.T @ np.linalg.solve(R, J))
    best = inverse @ J.T @ np.linalg.solve(R, y)
    np.testing.assert_allclose(solution.fitted[0], best, rtol=1e-7)
    left = y - J @ best
    variance = left @ np.linalg.solve(R, left) / 48
    np.testing.assert_allclose(solution.naive_covariance[0], variance * inverse, rtol=1e-6)
    # The length is not known: the mean over its 90 % interval, written out, and how far the best line moves.
    lengths, weights, covariances, moves = np.exp(np.linspace(np.log(0.005), np.log(3.0), 400)), [], [], []
    for length in lengths:
        R = np.exp(-np.abs(t[:, None] - t) / length)
        whole = np.linalg.inv(J.T @ np.linalg.solve(R, J))
        line_of = whole @ J.T @ np.linalg.solve(R, y)
        left = y - J @ line_of
        square = left @ np.linalg.solve(R, left) / 48
        weights.append(-0.5 * (np.linalg.slogdet(R)[1] - np.linalg.slogdet(whole)[1] + 48 * np.log(square)))
        covariances.append(square * whole)
        moves.append(line_of - best)
    weights = np.exp(np.array(weights) - np.max(weights))
    weights = np.where(weights > np.exp(-0.5 * 2.71), weights, 0.0)
    weights /= weights.sum()
    expected = np.einsum("k,kpq->pq", weights, np.array(covariances) + np.einsum("kp,kq->kpq", moves, moves))
    np.testing.assert_allclose(solution.covariance[0], expected, rtol=0.15)
    assert "autocorrelated noise" in solution.parameters.attrs["method"]
    with pytest.raises(ExpertError, match="a profile of one curve takes points for independent"):
        solution.profile()


def test_the_length_is_where_the_restricted_likelihood_is_highest():
    rng = np.random.default_rng(12)
    t = np.linspace(0, 1, 40)
    J = np.stack([t, np.ones(40)], axis=1)
    y = np.linalg.cholesky(np.exp(-np.abs(t[:, None] - t) / 0.15)) @ rng.standard_normal(40)
    left = CurveResiduals(t[None], np.ones((1, 40), dtype=bool), 0 * y[None], y[None], J[None], np.ones(1))
    found = AutocorrelatedNoise().update(left).length

    def cost(log_length):
        R = np.exp(-np.abs(t[:, None] - t) / np.exp(log_length))
        normal = J.T @ np.linalg.solve(R, J)
        r = y - J @ np.linalg.solve(normal, J.T @ np.linalg.solve(R, y))
        return np.linalg.slogdet(R)[1] + np.linalg.slogdet(normal)[1] + 38 * np.log(r @ np.linalg.solve(R, r))

    best = scipy.optimize.minimize_scalar(cost, bounds=(np.log(0.01), np.log(3.0)), method="bounded").x
    assert np.log(found) == pytest.approx(best, abs=5e-3)


def test_integrated_errors_of_white_noise_are_the_plain_ones():
    rng = np.random.default_rng(0)
    J, r = rng.standard_normal((1, 30, 2)), rng.standard_normal((1, 30))
    left = CurveResiduals(np.arange(30.0)[None], np.ones((1, 30), bool), np.zeros((1, 30)), r, J, np.ones(1))
    covariance = ConstantNoise().integrated(left)
    inverse = np.linalg.inv(J[0].T @ J[0])
    least = r[0] - J[0] @ inverse @ J[0].T @ r[0]
    np.testing.assert_allclose(covariance, inverse * (least @ least) / 28)


def test_outliers_move_a_robust_fit_little():
    rng = np.random.default_rng(6)
    y = LAW.value_and_jacobian(T, TRUTH)[0] + 0.2 * rng.standard_normal(60)
    clean = LAW.fit(T, y).parameters.value.values
    y[[10, 30, 31, 50]] += [15.0, 20.0, 18.0, -15.0]
    plain, robust = LAW.fit(T, y), LAW.fit(T, y, noise="robust")
    error = robust.parameters.std_error.values
    assert (np.abs(robust.parameters.value.values - clean) < 2 * error).all()
    assert (error < 0.5 * plain.parameters.std_error.values).all()
    assert any("some points are far off" in sentence for sentence in plain.noise_evidence[0].sentences())
    assert "some points are far off" in str(plain)
    assert "robust noise" in robust.report()


@pytest.mark.parametrize("kind", ["constant", "robust", "autocorrelated"])
def test_auto_finds_the_noise_of_several_specimens(kind):
    t, y, _ = simulated("robust" if kind == "constant" else kind, np.random.default_rng(21), specimens=6)
    if kind == "constant":
        rng = np.random.default_rng(22)
        y = LAW.value_and_jacobian(t, TRUTH * (1 + 0.05 * rng.standard_normal((6, 3))))[0]
        y = y + 0.3 * rng.standard_normal(y.shape)
    solution = LAW.fit(t, y, noise="auto")
    assert solution.noise[0].name == kind
    table = solution.noise_comparison
    assert table.attrs["chosen"] == kind
    assert list(table.noise.values) == list(NOISES)
    assert float(table.difference.max()) == 0.0
    assert solution.noise[0].numbers() == LAW.fit(t, y, noise=kind).noise[0].numbers()


def test_auto_holds_out_points_of_one_curve():
    t, y, _ = simulated("robust", np.random.default_rng(2), specimens=1, points=100)
    assert LAW.fit(t, y[0], noise="auto").noise[0].name == "robust"
    white = LAW.value_and_jacobian(T, TRUTH)[0] + 0.3 * np.random.default_rng(102).standard_normal(60)
    assert LAW.fit(T, white, noise="auto").noise[0].name == "constant"
    with pytest.raises(ExpertError, match="cannot be compared on a curve of 7 points"):
        LAW.fit(T[:7], white[:7], noise="auto")


def test_the_score_of_held_out_points_is_a_conditional_density():
    """Under a flat prior on a line log p(test | train) is log p(all) less log p(train)."""
    from pima_toolkit.experts.regression.noise_choice import held_out_points

    line, rng = pima.get_expert("affine"), np.random.default_rng(8)
    t = np.sort(rng.uniform(0, 1, 30))
    y = 2.0 * t + 1.0 + 0.1 * np.linalg.cholesky(np.exp(-np.abs(t[:, None] - t) / 0.1)) @ rng.standard_normal(30)
    test = np.arange(0, 30, 5)
    train = np.setdiff1d(np.arange(30), test)
    kept = np.where(np.isin(np.arange(30), train), y, np.nan)
    solution = line.fit(t, kept, noise="autocorrelated")
    R = np.exp(-np.abs(t[:, None] - t) / solution.noise[0].numbers()["length"])
    whole = float(solution.data.variance[0]) * R
    J = line.value_and_jacobian(t, np.zeros(2))[1]
    wide = whole + 1e3 * J @ J.T  # a flat prior on the line
    zero = np.zeros(30)
    direct = scipy.stats.multivariate_normal(zero, wide).logpdf(y)
    direct -= scipy.stats.multivariate_normal(zero[train], wide[np.ix_(train, train)]).logpdf(y[train])
    assert held_out_points(line, solution, y, test, train) == pytest.approx(float(direct), abs=1e-3)


def test_evidence_against_a_noise_model_is_zero_where_it_is_right():
    rng = np.random.default_rng(14)
    for kind in ("autocorrelated", "misfit"):
        t, y, _ = simulated(kind, rng, specimens=8)
        plain = LAW.fit(t, y)
        right = LAW.fit(t, y, noise=kind)
        assert plain.noise_evidence[0].autocorrelation > 0.2
        assert abs(right.noise_evidence[0].autocorrelation) < 4 * right.noise_evidence[0].autocorrelation_error
        assert any("neighbouring residuals go together" in text for text in plain.noise_evidence[0].sentences())
    t, y, _ = simulated("proportional", rng, specimens=8)
    assert any("residuals grow with the curve" in text for text in LAW.fit(t, y).noise_evidence[0].sentences())
    exact = LAW.fit(T, LAW.value_and_jacobian(T, TRUTH)[0])
    assert exact.noise_evidence[0].sentences() == []


def test_what_cannot_be_is_refused():
    y = LAW.value_and_jacobian(T, TRUTH)[0]
    with pytest.raises(OptionError, match=r"noise='pink' is unknown: use one of 'constant', .*'auto'"):
        LAW.fit(T, y, noise="pink")
    with pytest.raises(ExpertError, match="noise_std says how the points scatter"):
        LAW.fit(T, y, noise_std=0.1, noise="robust")
    with pytest.raises(ExpertError, match="compares noise models of one population"):
        LAW.fit(T, np.tile(y, (4, 1)), weights=np.full((4, 2), 0.5), noise="auto")


@pytest.mark.parametrize("kind", ["robust", "autocorrelated"])
def test_priors_and_held_parameters_go_with_a_noise_model(kind):
    t, y, _ = simulated(kind, np.random.default_rng(9), specimens=1)
    free = LAW.fit(t, y[0], noise=kind)
    held = LAW.fit(t, y[0], fixed={"h": 0.2}, noise=kind)
    assert held.fitted[0, 2] == 0.2
    tight = LAW.fit(t, y[0], priors={"E": (700.0, 0.1)}, noise=kind)
    assert abs(float(tight["E"].value) - 700.0) < 1.0
    wide = LAW.fit(t, y[0], priors={"E": (700.0, 1e6)}, noise=kind)
    np.testing.assert_allclose(wide.fitted, free.fitted, rtol=1e-3)


def test_a_parameter_may_leave_its_bound_when_the_noise_is_learned():
    t, e = np.linspace(0, 1, 25), np.zeros(25)
    draw = np.random.default_rng(29).normal(size=25)
    for i in range(1, 25):
        e[i] = 0.8 * e[i - 1] + 0.1 * draw[i - 1]
    law = pima.SympyExpert("a + b*t", t="t", bounds={"b": (0, None)})
    assert law.fit(t, 1 + e).at_bound.tolist() != law.fit(t, 1 + e, noise="autocorrelated").at_bound.tolist()
