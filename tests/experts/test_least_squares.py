"""The batched solver against scipy, one row at a time, and its own rules."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from pima_toolkit import SympyExpert, get_expert
from pima_toolkit.errors import ShapeError
from pima_toolkit.experts import Bounds, solve

MODELS = {
    "K * t**n": ({"K": (0, None), "n": (0, 1)}, [500.0, 0.3]),
    "A*exp(-t/tau) + c": ({"tau": (1e-3, 10)}, [3.0, 0.2, 1.0]),
    "L / (1 + exp(-k*(t - t0)))": ({"L": (0, None), "k": (0, 100), "t0": (0, 1)}, [2.0, 12.0, 0.4]),
    "A*exp(-(t - mu)**2/(2*w**2)) + b": ({"mu": (0, 1), "w": (0.02, 1)}, [2.0, 0.4, 0.1, 0.3]),
    "E * (min(t, e) + h*max(t - e, 0))": ({"E": (0, None), "e": (0.05, 0.95), "h": (0, 1)}, [800.0, 0.35, 0.2]),
}


def noisy(text, rows=6, points=40, seed=0):
    bounds, truth = MODELS[text]
    expert, rng = SympyExpert(text, bounds=bounds), np.random.default_rng(seed)
    t = np.linspace(0, 1, points)
    theta = np.array(truth) * rng.uniform(0.9, 1.1, (rows, len(truth)))
    y = expert.value_and_jacobian(t, theta)[0]
    return expert, t, y + 0.02 * np.abs(y).max() * rng.normal(size=y.shape), rng.uniform(0.5, 2, y.shape), theta


def by_scipy(expert, t, y, w, start, bounds):
    """The slow and obvious way."""
    result = scipy.optimize.least_squares(
        lambda x: np.sqrt(w) * (expert.value_and_jacobian(t, x)[0] - y),
        np.clip(start, bounds.lower + 1e-9, bounds.upper - 1e-9),
        jac=lambda x: np.sqrt(w)[:, None] * expert.value_and_jacobian(t, x)[1],
        bounds=(bounds.lower, bounds.upper),
        x_scale=np.maximum(np.abs(start), 1e-3),
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    return result.x, 2 * result.cost


@pytest.mark.parametrize("text", MODELS)
def test_finds_what_scipy_finds(text):
    expert, t, y, w, truth = noisy(text)
    bounds = expert.bounds(t)
    solution = solve(expert, t, y, w)
    assert (solution.status > 0).all(), solution.advice
    for c in range(len(y)):
        _, cost = by_scipy(expert, t, y[c], w[c], truth[c], bounds)
        assert solution.cost[c] <= cost * (1 + 1e-7)
        x, cost = by_scipy(expert, t, y[c], w[c], solution.parameters[c], bounds)
        assert cost == pytest.approx(solution.cost[c], rel=1e-7)
        np.testing.assert_allclose(x, solution.parameters[c], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("text", MODELS)
def test_own_grids_equal_one_row_at_a_time(text):
    expert, _, _, w, truth = noisy(text)
    t = np.sort(np.random.default_rng(3).uniform(0, 1, w.shape), axis=1)
    y = np.stack([expert.value_and_jacobian(t[n], truth[n])[0] for n in range(len(t))]) + 0.01
    start = np.repeat(truth[:, None], 2, axis=1) * [[[1.05]], [[0.97]]][0]
    bounds = expert.bounds(np.linspace(0, 1, 40))
    together = solve(expert, t, y, w, start, bounds)
    for n in range(len(t)):
        alone = solve(expert, t[n], y[n : n + 1], w[n : n + 1], start[n : n + 1], bounds)
        np.testing.assert_array_equal(alone.parameters[0], together.parameters[n])
        assert alone.cost[0] == together.cost[n]


def test_many_rows_of_a_line_are_linear_regression():
    expert, rng = get_expert("affine"), np.random.default_rng(0)
    t = np.linspace(0, 1, 20)
    y = rng.normal(size=(3000, 2)) @ np.stack([t, np.ones_like(t)]) + rng.normal(size=(3000, 20))
    y[rng.uniform(size=y.shape) < 0.2] = np.nan
    solution = solve(expert, t, y)
    guess = expert.guess(t, y)
    for n in range(0, 3000, 97):
        seen = np.isfinite(y[n])
        slope, intercept = np.polyfit(t[seen], y[n, seen], 1)
        np.testing.assert_allclose(solution.parameters[n], [slope, intercept], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(guess[n], [slope, intercept], rtol=1e-8, atol=1e-8)


def test_weights_of_zero_and_missing_points_count_for_nothing():
    expert, t, y, w, _ = noisy("K * t**n")
    w[:, 7:11] = 0
    spoilt, missing = y.copy(), y.copy()
    spoilt[:, 7:11] = 1e9
    missing[:, 7:11] = np.nan
    reference = solve(expert, t, y, w, start=expert.starts(t, y, w))
    for other in (spoilt, missing):
        found = solve(expert, t, other, w, start=expert.starts(t, y, w))
        np.testing.assert_array_equal(found.parameters, reference.parameters)
    np.testing.assert_array_equal(expert.guess(t, missing, w), expert.guess(t, spoilt, w))


def test_answers_do_not_depend_on_neighbours_or_repetition():
    expert, t, y, w, _ = noisy("A*exp(-(t - mu)**2/(2*w**2)) + b", rows=40)
    start = expert.starts(t, y, w)
    together = solve(expert, t, y, w, start)
    again = solve(expert, t, y, w, start)
    np.testing.assert_array_equal(together.parameters, again.parameters)
    turned = solve(expert, t, y[::-1], w[::-1], start[::-1])
    np.testing.assert_array_equal(together.parameters, turned.parameters[::-1])


def test_arrays_given_are_not_changed():
    expert, t, y, w, _ = noisy("K * t**n")
    start = expert.starts(t, y, w)
    copies = [a.copy() for a in (t, y, w, start)]
    solve(expert, t, y, w, start)
    for before, after in zip(copies, (t, y, w, start), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_bound_in_the_way_is_kept_and_told():
    expert, t, y, w, _ = noisy("K * t**n")
    solution = solve(expert, t, y, w, bounds=Bounds([0, 0.5], [np.inf, 1]))
    assert (solution.parameters[:, 1] == 0.5).all()
    assert solution.at_bound.tolist() == [[False, True]] * len(y)
    for c in range(len(y)):
        _, cost = by_scipy(expert, t, y[c], w[c], np.array([400, 0.6]), Bounds([0, 0.5], [np.inf, 1]))
        assert solution.cost[c] <= cost * (1 + 1e-6)


def test_held_parameters_stay():
    expert, t, y, w, _ = noisy("K * t**n")
    start = np.tile([450.0, 0.25], (len(y), 1, 1))
    solution = solve(expert, t, y, w, start, fixed=[False, True])
    assert (solution.parameters[:, 1] == 0.25).all()
    basis = t**0.25
    np.testing.assert_allclose(solution.parameters[:, 0], (w * y) @ basis / (w @ basis**2), rtol=1e-9)


def test_each_trouble_has_a_status_and_advice():
    expert, t, y, w, _ = noisy("K * t**n")
    w[0] = 0
    w[1, 1:] = 0
    start = expert.starts(t, y, w)
    start[0, 0] = [123.0, 0.5]
    solution = solve(expert, t, y, w, start)
    assert solution.status[:2].tolist() == [-2, -3]
    assert solution.parameters[0].tolist() == [123.0, 0.5], "a row without data keeps its first start"
    assert "no data" in solution.advice[0]
    assert "fix a parameter" in solution.advice[1]
    assert (solution.status[2:] > 0).all()
    short = solve(expert, t, y[2:], w[2:], np.tile([1.0, 0.99], (len(y) - 2, 1, 1)), max_iterations=1)
    assert (short.status == 0).all()
    assert "max_iterations" in short.advice[0]
    pole = SympyExpert("a / (t - b)")
    broken = solve(pole, np.linspace(0, 1, 5), np.ones((1, 5)), start=np.zeros((1, 1, 2)))
    assert broken.status[0] == -1
    assert "not finite" in broken.advice[0]
    assert broken.agreement[0] == 0


def test_agreement_tells_local_minima():
    expert = SympyExpert("A * sin(w*t)", bounds={"w": (0.1, 60)})
    t = np.linspace(0, 1, 60)
    y = np.sin(20 * t)[None]
    wide = np.stack([np.ones(12), np.linspace(1, 59, 12)], -1)[None]
    assert solve(expert, t, y, start=wide).agreement[0] < 0.6
    assert solve(expert, t, y, start=np.array([[[1, 19.0], [1, 20.5], [0.8, 21.0]]])).agreement[0] == 1


WRONG = {
    "t too short": (lambda a: a | {"t": np.zeros(3)}, "t has the shape"),
    "t not finite": (lambda a: a | {"t": np.full(40, np.nan)}, "NaN or infinite"),
    "weights": (lambda a: a | {"weights": np.ones((2, 3))}, "weights have the shape"),
    "negative weights": (lambda a: a | {"weights": -np.ones((6, 40))}, "not negative"),
    "start": (lambda a: a | {"start": np.ones((6, 2))}, r"expected \(6, starts, 2\)"),
    "bounds": (lambda a: a | {"bounds": Bounds([0], [1])}, "the bounds are of 1"),
    "fixed": (lambda a: a | {"fixed": [True]}, "fixed has the shape"),
    "constant": (lambda a: a | {"constant": [1.0]}, "constant has the shape"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arrays_that_do_not_fit_are_told(case):
    expert, t, y, w, _ = noisy("K * t**n")
    change, words = WRONG[case]
    with pytest.raises(ShapeError, match=words):
        solve(expert, **change({"t": t, "y": y, "weights": w, "start": np.ones((6, 1, 2)), "bounds": None}))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    text=st.sampled_from(sorted(MODELS)),
    seed=st.integers(0, 10_000),
    factor=st.floats(1e-6, 1e6),
)
def test_costs_scale_with_units_and_never_rise(text, seed, factor):
    """y in other units: the same fit. And no start ends above where it began."""
    expert, t, y, w, _ = noisy(text, rows=2, seed=seed)
    start = expert.starts(t, y, w, 3)
    solution = solve(expert, t, y, w, start)
    for c in range(2):
        first = np.sum(w[c] * (expert.value_and_jacobian(t, start[c])[0] - y[c]) ** 2, axis=1)
        assert solution.cost[c] <= first.min() * (1 + 1e-12)
    scaled = solve(expert, t, y, w * factor, start)
    np.testing.assert_allclose(scaled.cost, solution.cost * factor, rtol=1e-6)
