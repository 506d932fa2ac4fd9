"""EM that knows covariates and batches never falls, finds the truth, says how sure it is; decoders agree with it."""

from dataclasses import replace

import numpy as np
import pytest
import scipy
import torch

from pima_toolkit import SympyExpert
from pima_toolkit.fitting.em.effect_errors import with_errors
from pima_toolkit.fitting.em.populations import expect, log_prior, maximise
from pima_toolkit.fitting.starts.populations import MeasuredCurves, find_populations
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.effects.known import KnownEffects
from pima_toolkit.model.physics import PhysicsDecoder

LAW = SympyExpert("a * t / (b + t)", bounds={"a": (0, None), "b": (0, None)})
T = np.linspace(0.05, 3.0, 20)
SLOPES = np.array([0.3, -0.1])


def measured(N, G, seed, *, between=0.1, apart=0.2):
    """Two populations nearer to each other than a covariate moves them; and the numbers of the batches."""
    rng = np.random.default_rng(seed)
    u, batch = rng.standard_normal(N), rng.integers(0, G, N)
    phi = np.log([2.0, 0.7]) + apart * (np.arange(N) % 2)[:, None] + 0.05 * rng.standard_normal((N, 2))
    phi += u[:, None] * SLOPES + between * rng.standard_normal((G, 2))[batch]
    y = LAW.value_and_jacobian(T, np.exp(phi))[0] + 0.02 * rng.standard_normal((N, T.size))
    bounds = LAW.bounds(T)
    starts = bounds.to_unbounded(LAW.starts(T, y, None, 3))
    terms = np.repeat((u - u.mean())[:, None], 2, axis=1)
    options = {"terms": terms, "places": np.array([0, 1]), "batch": batch}
    return MeasuredCurves(LAW, bounds, T[None], y, np.ones_like(y), starts, **options)


@pytest.fixture(scope="module")
def fit():
    return find_populations({"y": measured(80, 8, 2, apart=0.25)}, 2)


def test_populations_show_where_covariates_are_known(fit):
    labels, truth = fit.found.responsibilities.argmax(1), np.arange(80) % 2
    right = max((labels == truth).mean(), (labels != truth).mean())
    effects = fit.populations.laws["y"].effects
    np.testing.assert_allclose(effects.slopes, SLOPES, atol=0.02)
    np.testing.assert_allclose(np.sqrt(effects.batch_scatter), 0.1, atol=0.06)
    plain = replace(measured(80, 8, 2, apart=0.25), terms=None, places=None, batch=None)
    labels = find_populations({"y": plain}, 2).found.responsibilities.argmax(1)
    assert right > 0.95
    assert right > max((labels == truth).mean(), (labels != truth).mean()) + 0.1


def test_no_step_lowers_the_bound_at_fixed_information(fit):
    rng = np.random.default_rng(0)
    law = fit.populations.laws["y"]
    effects = replace(
        law.effects, slopes=np.zeros(2), batches=np.zeros((8, 2)), batch_scatter=np.full(2, 0.3),
        batch_covariance=np.repeat(0.3 * np.eye(2)[None], 8, axis=0),
    )  # fmt: skip
    law = replace(law, centre=law.centre + 0.3 * rng.standard_normal((2, 2)), effects=effects)
    populations, values = replace(fit.populations, laws={"y": law}, outside=0.0), []
    for _ in range(40):
        found = expect(fit.information, populations)
        values.append(float(found.evidence.sum()) + log_prior(populations))
        populations = maximise(fit.information, populations, found)
    assert np.diff(values).min() > -1e-8
    np.testing.assert_allclose(populations.laws["y"].effects.slopes, law.effects.slopes + SLOPES, atol=0.03)


@pytest.mark.slow
def test_intervals_of_slopes_hold_what_they_say():
    held = []
    for seed in range(25):
        curves = measured(40, 5, seed, apart=0.4)
        fit = find_populations({"y": curves}, 2, background=False)
        law, found = fit.populations.laws["y"], fit.found
        effects = with_errors(fit.information["y"], law, found.responsibilities, found.conditional["y"])
        error = np.sqrt(np.diagonal(effects.covariance))
        held.append(np.abs(effects.slopes - SLOPES) < scipy.stats.t.ppf(0.95, effects.freedom) * error)
        assert (effects.centre_freedom < 8.0).all()  # batches, not specimens
    assert abs(np.mean(held) - 0.9) < 0.1


def test_a_decoder_counts_deviations_from_what_is_known():
    """A law linear in its parameters: the likelihood of a dense Gaussian whose mean knows each specimen."""
    line = SympyExpert("a * t + b")
    rng, N = np.random.default_rng(2), 5
    t = np.linspace(0.0, 1.0, 6)
    J = np.stack([t, np.ones(6)], 1)
    known = KnownEffects.start(np.array([0]), np.ones((N, 1)), np.array([0.7]), 2, np.array([0.2, 0.3]))
    batches = rng.standard_normal((2, 2))
    known = replace(known, batches=batches, batch_covariance=np.stack([0.1 * np.eye(2), 0.05 * np.eye(2)]))
    theta, S, v = np.array([[1.0, -0.5], [2.0, 0.3]]), np.array([[0.4, 0.1], [0.1, 0.3]]), 0.04
    decoder = PhysicsDecoder(
        line, line.bounds(t), 2.0, theta, torch.as_tensor(np.repeat(S[None], 2, 0)), torch.full((2,), v).double(),
        known=known,
    )  # fmt: skip
    y, terms, batch = rng.standard_normal((N, 6)), rng.standard_normal((N, 1)), np.array([0, 1, -1, 0, 1])
    here = torch.ones(N, dtype=torch.bool)
    curves = Curves(torch.as_tensor(y / 2.0), t, None, here, terms=terms, batch=batch)
    log_prob = decoder.log_prob(curves).numpy()
    for n in range(N):
        W = np.diag([0.2, 0.3]) if batch[n] < 0 else known.batch_covariance[batch[n]]
        off = np.array([0.7 * terms[n, 0], 0.0]) + (0.0 if batch[n] < 0 else batches[batch[n]])
        for c in range(2):
            covariance = v * np.eye(6) + J @ (S + W) @ J.T / 4.0
            mean = J @ (theta[c] + off) / 2.0
            expected = scipy.stats.multivariate_normal(mean, covariance).logpdf(y[n] / 2.0)
            assert log_prob[n, c] == pytest.approx(expected, abs=1e-5)
    again = decoder.with_arrays(decoder.arrays())
    np.testing.assert_array_equal(again.log_prob(curves), decoder.log_prob(curves))
    assert torch.equal(decoder.log_prob(curves.at(torch.tensor([3, 1]))), decoder.log_prob(curves)[[3, 1]])


def test_unknown_terms_and_batches_say_nothing():
    known = KnownEffects.start(np.array([1]), np.ones((3, 1)), np.array([2.0]), 1, np.array([0.5, 0.25]))
    known = replace(known, batches=np.array([[1.0, -1.0]]), batch_covariance=np.zeros((1, 2, 2)))
    offset = known.offset(np.array([[0.5], [np.nan]]), np.array([0, -1]))
    np.testing.assert_allclose(offset, [[1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(known.unsure(np.array([0, -1])), [np.zeros((2, 2)), np.diag([0.5, 0.25])])
