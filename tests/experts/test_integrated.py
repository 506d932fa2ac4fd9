"""Curves that no quadratic describes, against numerical integration over their parameters."""

import numpy as np
import pytest
from scipy.special import logsumexp

import pima_toolkit as pima
from pima_toolkit.experts import integrated, own_fits
from pima_toolkit.fitting.em.populations import Population, condition

T = np.linspace(0.05, 1.0, 8)
#: Nats: so that several curves of few are beyond.
LITTLE = 0.1
#: A wave of unknown number: several optima. A growth that starts at once: the time it takes is at its bound. A kink.
WAVE = pima.SympyExpert("sin(k * t)", "t", parameters=[pima.Parameter("k")])
GROWTH = pima.SympyExpert(
    "a * (1 - exp(-t / s))", "t", parameters=[pima.Parameter("a"), pima.Parameter("s", lower=0.0)]
)
KINK = pima.SympyExpert("a + 2 * abs(t - c)", "t", parameters=[pima.Parameter("a"), pima.Parameter("c")])
#: Law, centres and roots of two populations, noise variances, parameters of six specimens.
CASES = {
    "several optima": (
        WAVE,
        [[6.0], [9.0]],
        [[[2.5]], [[2.0]]],
        [0.5, 0.3],
        [[2.0], [5.0], [6.5], [8.0], [9.0], [12.0]],
    ),
    "at a bound": (
        GROWTH,
        [[1.0, -2.0], [1.5, -3.0]],
        [[[0.5, 0.0], [0.3, 2.0]], [[0.4, 0.0], [-0.2, 1.5]]],
        [0.04, 0.06],
        [[1.0, -8.0], [1.3, -7.0], [0.8, -6.0], [1.0, -2.0], [1.6, -4.0], [0.2, -3.0]],
    ),
    "a kink": (
        KINK,
        [[0.0, 0.5], [0.2, 0.4]],
        [[[0.4, 0.0], [0.0, 0.3]], [[0.3, 0.1], [0.0, 0.3]]],
        [0.4, 0.3],
        [[0.0, 0.42], [0.3, 0.55], [-0.4, 0.7], [0.4, 0.3], [0.2, 0.31], [0.0, 0.93]],
    ),
}  # fmt: skip


def made(case, seed=0):
    law, centre, root, variance, phi = CASES[case]
    rng, bounds = np.random.default_rng(seed), law.bounds(T)
    centre, root, variance = np.array(centre), np.array(root), np.array(variance)
    clean = law.value_and_jacobian(T, bounds.from_unbounded(np.array(phi)))[0]
    y = clean + np.sqrt(variance[0]) * rng.standard_normal(clean.shape)
    weights = rng.uniform(0.7, 1.4, y.shape)
    weights[1, 3] = 0.0
    return law, bounds, y, weights, centre, root, variance


def plain(law, bounds, y, weights, centre, root, variance, which, t=T[None]):
    start = bounds.to_unbounded(bounds.clip(law.starts(T, y, count=6), 1e-6))
    return own_fits(law, bounds, t, y, weights, centre, root, which, 1.0 / variance[which], start)[0]


def population(centre, root, variance):
    scatter, size = root @ root.mT, centre.shape[1]
    return Population(centre, scatter, variance, scatter[0], np.zeros(size), np.eye(size), 1.0)


def quadrature(law, bounds, y, weights, centre, root, variance):
    """log p(y), mean and covariance of the parameters, and expected squares, on a fine grid."""
    size = len(centre)
    axis = np.linspace(-7.0, 7.0, 4001 if size == 1 else 401)
    u = np.stack(np.meshgrid(*[axis] * size, indexing="ij"), -1).reshape(-1, size)
    phi = centre + u @ root.T
    squared = ((y - law.value_and_jacobian(T, bounds.from_unbounded(phi))[0]) ** 2) @ weights
    seen = weights > 0
    log_joint = -0.5 * (squared / variance + seen.sum() * np.log(2 * np.pi * variance) - np.log(weights[seen]).sum())
    log_joint += -0.5 * ((u**2).sum(1) + size * np.log(2 * np.pi)) + size * np.log(axis[1] - axis[0])
    total = logsumexp(log_joint)
    p = np.exp(log_joint - total)
    mean = p @ phi
    return total, mean, (p[:, None] * (phi - mean)).T @ (phi - mean), p @ squared


@pytest.mark.parametrize("case", CASES)
def test_evidence_and_moments_are_those_of_numerical_integration(case):
    law, bounds, y, weights, centre, root, variance = at = made(case)
    which = np.zeros(len(y), dtype=np.int64)
    before = plain(*at, which)
    asked = np.ones((len(y), 2), dtype=bool)
    after, far = integrated(
        law, bounds, T[None], y, weights, before, centre, root, 1.0 / variance, which, asked, beyond=LITTLE
    )
    assert (far > LITTLE).sum() >= 2, far
    law_of = population(centre, root, variance)
    found, was = condition(after, law_of), condition(before, law_of)
    laplace = []
    for n in range(len(y)):
        for c in range(2):
            log_prob, mean, covariance, squared = quadrature(
                law, bounds, y[n], weights[n], centre[c], root[c], variance[c]
            )
            if far[n] <= LITTLE:
                assert found.log_prob[n, c] == was.log_prob[n, c]
                continue
            assert found.log_prob[n, c] == pytest.approx(log_prob, abs=0.1)
            laplace.append(abs(was.log_prob[n, c] - log_prob))
            if c == which[n]:
                std = np.sqrt(np.diag(covariance))
                inside = np.sqrt(np.diag(root[c] @ root[c].T))
                np.testing.assert_allclose((centre[c] + found.deviation[n, c] - mean) / std, 0.0, atol=0.15)
                # At most the population's own.
                np.testing.assert_allclose(np.sqrt(np.diag(found.covariance[n, c])), np.minimum(std, inside), rtol=0.15)
                step = centre[c] + found.deviation[n, c] - after.estimate[n]
                expected = after.squared[n] - 2.0 * after.gradient[n] @ step + step @ after.normal[n] @ step
                expected += np.trace(after.normal[n] @ found.covariance[n, c])
                assert expected == pytest.approx(squared, rel=0.05)
    assert max(laplace) > 0.15, "the quadratics would have done as well"
    assert (np.linalg.eigvalsh(after.normal) > -1e-9).all()


def test_what_it_says_of_the_population_is_the_derivative_of_the_evidence():
    """By centre, scatter and noise: EM then climbs the true likelihood."""
    law, bounds, y, weights, centre, root, variance = made("at a bound")
    one, which = (centre[:1], root[:1], variance[:1]), np.zeros(len(y), dtype=np.int64)
    before = plain(law, bounds, y, weights, *one, which)
    asked = np.ones((len(y), 1), dtype=bool)
    after, far = integrated(
        law, bounds, T[None], y, weights, before, *one[:2], 1.0 / one[2], which, asked, beyond=LITTLE
    )
    n = int(far.argmax())

    def moved(parameter, by):
        change = {"centre": one[0] + by * np.array([0.0, 1.0]), "root": one[1] * (1.0 + by),
                  "variance": one[2] * (1.0 + by)}[parameter]  # fmt: skip
        now = dict(zip(("centre", "root", "variance"), one, strict=True)) | {parameter: change}
        exact = quadrature(law, bounds, y[n], weights[n], now["centre"][0], now["root"][0], now["variance"][0])[0]
        return [exact, *(condition(part, population(**now)).log_prob[n, 0] for part in (after, before))]

    wrong = []
    for parameter in ("centre", "root", "variance"):
        up, down = (np.array(moved(parameter, by)) for by in (1e-3, -1e-3))
        exact, matched, laplace = (up - down) / 2e-3
        assert matched == pytest.approx(exact, rel=0.1, abs=0.05), parameter
        wrong.append(abs(laplace - exact) / max(abs(exact), 0.5))
    assert max(wrong) > 0.2, "the quadratic would have done as well"


def test_lines_and_those_that_nobody_asks_about_stay():
    line = pima.SympyExpert("a + b * t", "t")
    rng, bounds = np.random.default_rng(0), line.bounds(T)
    y, weights = rng.standard_normal((5, T.size)), np.ones((5, T.size))
    at = (np.zeros((1, 2)), np.eye(2)[None], np.ones(1))
    which = np.zeros(5, dtype=np.int64)
    before = plain(line, bounds, y, weights, *at, which)
    after, far = integrated(line, bounds, T[None], y, weights, before, *at[:2], at[2], which, np.ones((5, 1), bool))
    assert far.max() < 1e-9
    np.testing.assert_array_equal(after.shift, 0.0)
    np.testing.assert_array_equal(after.normal, before.normal)
    law, bounds, y, weights, centre, root, variance = at = made("a kink")
    which = np.zeros(len(y), dtype=np.int64)
    before, nobody = plain(*at, which), np.zeros((len(y), 2), dtype=bool)
    after, far = integrated(law, bounds, T[None], y, weights, before, centre, root, 1.0 / variance, which, nobody)
    np.testing.assert_array_equal(after.gradient, before.gradient)
    assert far.max() == 0.0


def test_of_too_many_those_furthest_off_are_integrated():
    law, bounds, y, weights, centre, root, variance = at = made("at a bound")
    which = np.zeros(len(y), dtype=np.int64)
    before, asked = plain(*at, which), np.ones((len(y), 2), dtype=bool)
    rest = (y, weights, before, centre, root, 1.0 / variance, which, asked)
    after, far = integrated(law, bounds, T[None], *rest, beyond=LITTLE, most=2)
    changed = np.flatnonzero((after.shift != 0.0).any(1))
    assert set(changed) == set(np.argsort(-far)[:2])


def test_own_grids_are_the_shared_one_and_nothing_is_random():
    law, bounds, y, weights, centre, root, variance = at = made("at a bound")
    which = np.zeros(len(y), dtype=np.int64)
    before, asked = plain(*at, which), np.ones((len(y), 2), dtype=bool)
    rest = (y, weights, before, centre, root, 1.0 / variance, which, asked)
    shared, again = (integrated(law, bounds, T[None], *rest, beyond=LITTLE)[0] for _ in range(2))
    own, _ = integrated(law, bounds, np.repeat(T[None], len(y), 0), *rest, beyond=LITTLE)
    for name in ("squared", "gradient", "normal", "shift"):
        np.testing.assert_array_equal(getattr(shared, name), getattr(again, name))
        np.testing.assert_allclose(getattr(own, name), getattr(shared, name), rtol=1e-9, atol=1e-9)
    some = shared.at([2, 0])
    np.testing.assert_array_equal(some.shift, shared.shift[[2, 0]])


def test_a_parameter_that_does_not_scatter_keeps_what_the_curve_says_of_it():
    law, bounds, y, weights, centre, root, variance = made("a kink")
    root = np.array([[[0.0, 0.0], [0.0, 0.3]]])
    which, one = np.zeros(len(y), dtype=np.int64), (centre[:1], root, variance[:1])
    before = plain(law, bounds, y, weights, *one, which)
    after, far = integrated(
        law,
        bounds,
        T[None],
        y,
        weights,
        before,
        *one[:2],
        1.0 / one[2],
        which,
        np.ones((len(y), 1), dtype=bool),
        beyond=LITTLE,
    )
    found = condition(after, population(*one))
    for n in np.flatnonzero(far > LITTLE):
        np.testing.assert_allclose(after.normal[n, 0, 0], before.normal[n, 0, 0])
        along = one_scatters(law, y[n], weights[n], centre[0], 0.3, variance[0])
        assert found.log_prob[n, 0] == pytest.approx(along, abs=0.1)
    assert (far > LITTLE).any()


def one_scatters(law, y, weights, centre, std, variance):
    """log p(y) where the second parameter alone scatters."""
    axis = np.linspace(-7.0, 7.0, 20_001)
    phi = np.stack([np.full_like(axis, centre[0]), centre[1] + std * axis], 1)
    squared = ((y - law.value_and_jacobian(T, phi)[0]) ** 2) @ weights
    seen = weights > 0
    log_joint = -0.5 * (squared / variance + seen.sum() * np.log(2 * np.pi * variance) - np.log(weights[seen]).sum())
    return logsumexp(log_joint - 0.5 * (axis**2 + np.log(2 * np.pi))) + np.log(axis[1] - axis[0])
