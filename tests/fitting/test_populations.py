"""EM on what curves say of their own parameters: dense Gaussians, ascent, limits, strangers, known truth."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

import pima_toolkit as pima
from pima_toolkit.experts import CurveInformation, Priors
from pima_toolkit.fitting.em.populations import (
    WIDTHS,
    Population,
    Populations,
    Rules,
    alike,
    condition,
    expect,
    log_prior,
    maximise,
    root_of,
)
from pima_toolkit.fitting.starts.populations import MeasuredCurves, find_populations
from pima_toolkit.metrics import ari
from pima_toolkit.model.noise.table import NOISE

T = np.linspace(0.0, 1.0, 12)
J = np.stack([np.ones_like(T), T], 1)


def lines(seed, specimens=25, clusters=3, missing=True, centre=None):
    """Lines of populations, as information exact to rounding, and the curves and weights they come from."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(0, 3, (clusters, 2)) if centre is None else np.array(centre)
    label = rng.integers(0, clusters, specimens)
    phi = centre[label] + rng.multivariate_normal([0, 0], [[0.3, 0.1], [0.1, 0.2]], specimens)
    weights = rng.uniform(0.5, 2.0, (specimens, T.size))
    y = phi @ J.T + 0.2 / np.sqrt(weights) * rng.standard_normal(weights.shape)
    weights = np.where(rng.random(y.shape) < (0.6 if missing else 1.1), weights, 0.0)
    if missing:
        weights[0] = 0.0
        weights[1, 1:] = 0.0
    at = phi + 0.3 * rng.standard_normal(phi.shape)
    left = y - at @ J.T
    seen = weights > 0
    information = CurveInformation(
        at,
        (weights * left**2).sum(1),
        (weights * left) @ J,
        np.einsum("nt,tp,tq->npq", weights, J, J),
        seen.sum(1).astype(float),
        np.log(np.where(seen, weights, 1.0)).sum(1),
    )
    return information, y, weights, label, centre


def random_populations(seed, clusters=3, outside=0.03):
    rng = np.random.default_rng(seed + 1000)
    half = rng.normal(0, 0.5, (clusters, 2, 2))
    scatter = half @ half.mT + 0.01 * np.eye(2)
    law = Population(
        rng.normal(0, 3, (clusters, 2)),
        scatter,
        10 ** rng.uniform(-2, 0, clusters),
        scatter.mean(0),
        rng.normal(0, 1, 2),
        np.diag(rng.uniform(1, 9, 2)),
        10 ** rng.uniform(-2, 0),
    )
    weights = rng.dirichlet(np.ones(clusters))
    return Populations(np.log(weights), outside, {"y": law})


def dense(y, weights, mean, scatter, variance):
    """log N(y; J mean, J S J^T + v W^-1) of the measured points."""
    seen = weights > 0
    if not seen.any():
        return 0.0
    cover = J[seen] @ scatter @ J[seen].T + np.diag(variance / weights[seen])
    return multivariate_normal.logpdf(y[seen], J[seen] @ mean, cover)


def measured_at(phi, variance=0.01):
    """Information of lines whose parameters are known to within little noise."""
    left = np.sqrt(variance) * np.random.default_rng(9).standard_normal((len(phi), T.size))
    count = np.full(len(phi), float(T.size))
    normal = np.repeat((J.T @ J)[None], len(phi), axis=0)
    return CurveInformation(phi, (left**2).sum(1), left @ J, normal, count, 0.0 * count)


def tied(phi, label, diagonal=False):
    """Populations of labelled lines with one scatter, and the E-step there."""
    centre = np.stack([phi[label == c].mean(0) for c in range(2)])
    law = Population(
        centre, np.tile(np.eye(2), (2, 1, 1)), np.full(2, 0.01), np.eye(2), phi.mean(0), 9 * np.eye(2), 1.0
    )
    populations = Populations(np.log([0.5, 0.5]), 0.0, {"y": law})
    information = {"y": measured_at(phi)}
    for _ in range(5):
        found = expect(information, populations)
        populations = maximise(information, populations, found, tied=True, diagonal=diagonal)
    return information, populations, expect(information, populations)


@pytest.mark.parametrize(("second", "expected"), [([1.0, 1.0], 80.0), ([0.3, 4.0], 10.0)], ids=["alike", "unlike"])
def test_scatter_is_shrunk_the_more_the_more_alike_populations_look(second, expected):
    rng = np.random.default_rng(0)
    label = np.arange(120) % 2
    std = np.where(label[:, None] == 0, [1.0, 1.0], second)
    phi = 20.0 * label[:, None] + std * rng.standard_normal((120, 2))
    assert alike(*tied(phi, label)).laws["y"].shrinkage == expected


def test_a_diagonal_scatter_has_the_standard_deviations_of_the_whole_one():
    rng = np.random.default_rng(1)
    label = np.arange(60) % 2
    phi = 20.0 * label[:, None] + rng.standard_normal((60, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    whole, straight = (tied(phi, label, diagonal)[1].laws["y"].pooled for diagonal in (False, True))
    assert whole[0, 1] > 0.5
    assert straight[0, 1] == 0.0
    # What curves leave open is little here: both are the specimens' own second moments.
    np.testing.assert_allclose(np.diag(straight), np.diag(whole), rtol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_of_a_line_the_evidence_is_the_dense_gaussian_s(seed):
    information, y, weights, *_ = lines(seed)
    populations = random_populations(seed)
    law = populations.laws["y"]
    found = condition(information, law)
    for n in range(len(y)):
        for c in range(3):
            expected = dense(y[n], weights[n], law.centre[c], law.scatter[c], law.variance[c])
            assert found.log_prob[n, c] == pytest.approx(expected, rel=1e-8, abs=1e-8)
            H = np.einsum("t,tp,tq->pq", weights[n], J, J) / law.variance[c]
            V = np.linalg.inv(H + np.linalg.inv(law.scatter[c]))
            b = V @ J.T @ (weights[n] * (y[n] - J @ law.centre[c])) / law.variance[c]
            np.testing.assert_allclose(found.deviation[n, c], b, rtol=1e-7, atol=1e-10)
            np.testing.assert_allclose(found.covariance[n, c], V, rtol=1e-7, atol=1e-10)


def test_strangers_are_no_more_than_their_share_and_the_bound_is_the_best():
    """Half of the curves lie far away: of the posteriors with one stranger in twenty, no other has a higher bound."""
    information, *_ = lines(3, specimens=40, clusters=1)
    populations = random_populations(3, clusters=1, outside=0.05)
    law = replace(populations.laws["y"], centre=populations.laws["y"].centre + 8.0)
    populations = replace(populations, laws={"y": law})
    found = expect({"y": information}, populations)
    assert found.stranger.mean() == pytest.approx(0.05, rel=1e-6)
    inside = condition(information, law).log_prob[:, 0] + np.log(0.95)
    noise = law.background_variance
    _, y, weights, *_ = lines(3, specimens=40, clusters=1)
    outside = np.array([
        np.logaddexp.reduce([dense(y[n], weights[n], law.middle, k * law.width, noise) for k in WIDTHS])
        + np.log(0.05 / len(WIDTHS)) for n in range(40)
    ])  # fmt: skip

    def bound(stranger):
        q = np.clip(stranger, 1e-300, 1.0 - 1e-16)
        return (q * (outside - np.log(q)) + (1.0 - q) * (inside - np.log1p(-q))).sum()

    assert found.evidence.sum() == pytest.approx(bound(found.stranger), rel=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(200):
        other = found.stranger * np.exp(0.5 * rng.standard_normal(40))
        other = np.clip(other * 2.0 / other.sum(), 0.0, 1.0)
        if other.mean() <= 0.05 + 1e-12:
            assert bound(other) <= found.evidence.sum() + 1e-6


def test_the_background_is_the_mean_over_its_widths():
    information, y, weights, _, centre = lines(5)
    populations = random_populations(5)
    law = replace(populations.laws["y"], centre=centre, variance=np.full(3, 0.04))
    populations = replace(populations, laws={"y": law})
    found = expect({"y": information}, populations)
    assert found.stranger.mean() < 0.05  # it is not held to its share
    noise = law.background_variance
    for n in range(len(y)):
        inside = [w + dense(y[n], weights[n], law.centre[c], law.scatter[c], law.variance[c])
                  for c, w in enumerate(populations.log_weights)]  # fmt: skip
        outside = [dense(y[n], weights[n], law.middle, k * law.width, noise) for k in WIDTHS]
        total = np.logaddexp(
            np.logaddexp.reduce(inside) + np.log(0.97), np.logaddexp.reduce(outside) + np.log(0.03 / len(WIDTHS))
        )
        assert found.evidence[n] == pytest.approx(total, rel=1e-8)
    np.testing.assert_allclose(found.responsibilities.sum(1) + found.stranger, 1.0, rtol=1e-10)
    assert found.stranger[0] == pytest.approx(0.03)  # nothing was measured of it
    np.testing.assert_allclose(found.responsibilities[0], 0.97 * np.exp(populations.log_weights), rtol=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    noise=st.sampled_from(["pooled", "cluster", "unit"]),
    scattered=st.booleans(),
    prior=st.booleans(),
    outside=st.sampled_from([0.0, 0.03]),
)
def test_no_step_lowers_the_penalised_likelihood(seed, noise, scattered, prior, outside):
    information, *_ = lines(seed)
    populations = random_populations(seed, outside=outside)
    # Priors of a line are linear in its parameters, so that its least squares are exact.
    line = pima.get_expert("affine")
    priors = Priors.read(line, {line.parameters[0].name: (1.0, 0.1)}) if prior else None
    rules = Rules(NOISE.get(noise), 2.0, scattered, priors, line.bounds(T))
    law = replace(populations.laws["y"], rules=rules)
    if not scattered:
        law = replace(law, scatter=np.zeros_like(law.scatter), pooled=np.zeros_like(law.pooled))
    populations = replace(populations, laws={"y": law})
    before = -np.inf
    for _ in range(6):
        found = expect({"y": information}, populations)
        value = found.evidence.sum() + log_prior(populations)
        assert value >= before - 1e-9 * abs(value)
        before = value
        populations = maximise({"y": information}, populations, found)


def test_without_scatter_a_step_is_least_squares_of_all_curves():
    """Eq. 17: nothing stalls as the scatter vanishes."""
    information, y, weights, *_ = lines(2, clusters=1)
    populations = random_populations(2, clusters=1, outside=0.0)
    law = replace(
        populations.laws["y"], scatter=np.full((1, 2, 2), 0.0), pooled=np.zeros((2, 2)), width=1e12 * np.eye(2)
    )
    populations = replace(populations, laws={"y": law})
    found = expect({"y": information}, populations)
    fresh = maximise({"y": information}, populations, found)
    root = np.sqrt(weights).ravel()
    expected, *_ = np.linalg.lstsq(root[:, None] * np.tile(J, (len(y), 1)), root * y.ravel(), rcond=None)
    np.testing.assert_allclose(fresh.laws["y"].centre[0], expected, rtol=1e-6)


def test_em_finds_what_the_lines_were_drawn_from():
    information, _, _, label, centre = lines(
        7, specimens=600, missing=False, centre=[[0.0, 0.0], [4.0, 0.0], [0.0, 5.0]]
    )
    law = random_populations(7).laws["y"]
    law = replace(law, centre=centre + 0.3, middle=centre.mean(0), width=np.diag([9.0, 9.0]))
    populations = Populations(np.log(np.full(3, 1 / 3)), 0.0, {"y": law})
    for _ in range(200):
        populations = maximise({"y": information}, populations, expect({"y": information}, populations))
    found, law = expect({"y": information}, populations), populations.laws["y"]
    assert ari(label, found.responsibilities.argmax(1)) > 0.9
    np.testing.assert_allclose(law.centre, centre, atol=0.15)
    np.testing.assert_allclose(law.scatter.mean(0), [[0.3, 0.1], [0.1, 0.2]], atol=0.06)
    assert law.variance[0] == pytest.approx(0.04, rel=0.1)


def test_two_crossed_populations_are_not_preferred_among_thirty_curves():
    """Side by side, 4 standard deviations apart: of thirty, two thin populations that cross are often likelier."""
    t = np.linspace(0.0, 1.0, 12)
    law = pima.SympyExpert("a + b*t + c*t**2", "t")
    bounds, found = law.bounds(t[None]), []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        label = (rng.random(30) < 0.4).astype(int)
        phi = rng.standard_normal((30, 3)) + 4.0 * np.array([1, -1, 1]) / np.sqrt(3) * label[:, None]
        y = np.polynomial.polynomial.polyval(t, phi.T) + 0.02 * rng.standard_normal((30, 12))
        starts = bounds.to_unbounded(law.starts(t, y, count=2))
        fit = find_populations({"y": MeasuredCurves(law, bounds, t[None], y, np.ones_like(y), starts)}, 2, seed=seed)
        found.append(ari(label, fit.found.among_populations.argmax(1)))
    # By the likelihood alone .87.
    assert np.mean(found) > 0.89


def test_scatter_is_neither_shrunk_twice_nor_lost():
    """Information with a gradient, about estimates that a narrow prior pulled in: the true scatter is still found."""
    information, _, _, _, centre = lines(8, specimens=800, clusters=1, missing=False)
    law = random_populations(8, clusters=1).laws["y"]
    law = replace(law, scatter=1e-4 * np.eye(2)[None], pooled=1e-4 * np.eye(2), width=9.0 * np.eye(2), middle=centre[0])
    populations = Populations(np.zeros(1), 0.0, {"y": law})
    for _ in range(400):
        populations = maximise({"y": information}, populations, expect({"y": information}, populations), tied=True)
    np.testing.assert_allclose(populations.laws["y"].scatter[0], [[0.3, 0.1], [0.1, 0.2]], atol=0.06)


def hardening():
    limits = [pima.Parameter(name, lower=0.0) for name in ("E", "s", "h")]
    return pima.SympyExpert("s * tanh(E * t / s) + h * t", "t", parameters=limits)


def tension_tests(law, phi, rng, cut=0):
    """Tension tests with unit noise 0.5 at logarithms of parameters, some of them ended early."""
    t = np.linspace(0.0, 0.1, 60)
    y = law.value_and_jacobian(t, np.exp(phi))[0] + 0.5 * rng.standard_normal((len(phi), t.size))
    weights = np.ones_like(y)
    for n in rng.choice(len(phi) - 5, cut, replace=False):
        weights[n, rng.integers(8, 25) :] = 0.0
    bounds, seen = law.bounds(t), np.where(weights > 0, y, np.nan)
    starts = bounds.to_unbounded(bounds.clip(law.starts(t, seen, count=6), 1e-6))
    return MeasuredCurves(law, bounds, t[None], np.where(weights > 0, y, 0.0), weights, starts)


@pytest.mark.parametrize("cut", [0, 24], ids=["whole", "a tenth cut short"])
def test_five_strangers_are_found_and_disturb_nobody(cut):
    rng, law = np.random.default_rng(0), hardening()
    label = rng.integers(0, 3, 240)
    centre = np.log([2000.0, 40.0, 150.0]) + np.arange(3)[:, None] * np.array([0.3, 0.35, 0.0])
    strangers = np.log([2000.0, 40.0, 150.0]) + rng.uniform(-2, 3, (5, 3))
    phi = np.concatenate([centre[label] + 0.06 * rng.standard_normal((240, 3)), strangers])
    fit = find_populations({"stress": tension_tests(law, phi, rng, cut)}, 3)
    assert ari(label, fit.found.responsibilities[:240].argmax(1)) > 0.98
    assert (fit.found.stranger[240:] > 0.5).all()
    assert (fit.found.stranger[:240] > 0.5).sum() <= 2
    order = np.argsort(fit.populations.laws["stress"].centre[:, 1])
    np.testing.assert_allclose(fit.populations.laws["stress"].centre[order], centre, atol=0.04)
    std = np.sqrt(np.einsum("cpp->cp", fit.populations.laws["stress"].scatter))
    np.testing.assert_allclose(std, 0.06, rtol=0.35)


def test_two_laws_of_the_same_specimens_add_what_they_say():
    """Each alone leaves two of three populations together."""
    rng, t = np.random.default_rng(3), np.linspace(0.0, 1.0, 20)
    label = np.repeat([0, 1, 2], 30)
    law = pima.SympyExpert("a + b * t", "t")
    curves = {}
    for name, level in {"one": np.array([0.0, 4.0, 4.0]), "two": np.array([0.0, 0.0, 4.0])}.items():
        phi = np.stack([level[label], np.ones(90)], 1) + 0.2 * rng.standard_normal((90, 2))
        y = phi @ np.stack([np.ones_like(t), t]) + 0.1 * rng.standard_normal((90, 20))
        starts = law.starts(t, y, count=2)
        curves[name] = MeasuredCurves(law, law.bounds(t), t[None], y, np.ones_like(y), starts)
    fit = find_populations(curves, 3)
    assert ari(label, fit.found.responsibilities.argmax(1)) == 1.0
    alone = find_populations({"one": curves["one"]}, 2)
    assert ari(label, alone.found.responsibilities.argmax(1)) < 0.9


def test_the_same_seed_gives_the_same_answer():
    rng, law = np.random.default_rng(1), hardening()
    phi = np.log([2000.0, 40.0, 150.0]) + 0.3 * (np.arange(60) % 2)[:, None] + 0.05 * rng.standard_normal((60, 3))
    curves = {"stress": tension_tests(law, phi, rng)}
    one, other = (find_populations(curves, 2, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.found.responsibilities, other.found.responsibilities)
    assert one.objective == other.objective


def test_roots_of_singular_scatter():
    scatter = np.array([[[4.0, 2.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    root = root_of(scatter)
    np.testing.assert_allclose(root @ root.mT, scatter, atol=1e-12)


@pytest.mark.parametrize(("formula", "beyond"), [("a + b*t", False), ("a + b*abs(t - c)", True)])
def test_curves_that_no_quadratic_describes_are_told(formula, beyond):
    """A line is quadratic in its parameters; a kink that may lie between any two points is not."""
    names = [pima.Parameter(name) for name in ("a", "b", "c")[: 3 if beyond else 2]]
    law, t = pima.SympyExpert(formula, "t", parameters=names), np.linspace(0.0, 1.0, 9)
    rng = np.random.default_rng(0)
    phi = np.array([1.0, 2.0, 0.5])[: len(names)] + 0.2 * rng.standard_normal((40, len(names)))
    y = law.value_and_jacobian(t, phi)[0] + 0.3 * rng.standard_normal((40, 9))
    starts = phi[:, None]
    curves = {"y": MeasuredCurves(law, law.bounds(t), t[None], y, np.ones_like(y), starts)}
    far = find_populations(curves, 1).beyond["y"]
    assert (np.median(far) > 0.02 and far.max() > 0.5) if beyond else far.max() < 1e-6
