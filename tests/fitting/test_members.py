"""What a new specimen of a population may be: moments, limits, and populations that are not Gaussian."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.fitting.em.members import members
from pima_toolkit.fitting.em.populations import SHRINKAGE, Conditional, Population, root_of
from pima_toolkit.fitting.starts.populations import MeasuredCurves, find_populations
from pima_toolkit.model.physics import PhysicsDecoder


def told(seed, specimens=60, clusters=2, size=3):
    rng = np.random.default_rng(seed)
    half = 0.3 * rng.standard_normal((specimens, clusters, size, size))
    deviation = rng.standard_normal((specimens, clusters, size)) ** 3
    pooled = np.diag(rng.uniform(0.5, 2.0, size))
    law = Population(
        rng.standard_normal((clusters, size)), np.repeat(pooled[None], clusters, 0), np.ones(clusters), pooled,
        np.zeros(size), np.eye(size), 1.0,
    )  # fmt: skip
    found = Conditional(np.zeros((specimens, clusters)), deviation, half @ half.mT)
    return law, found, rng.dirichlet(np.ones(clusters + 1), specimens)[:, :clusters]


@pytest.mark.parametrize("seed", range(3))
def test_their_moments_are_those_that_em_gives_the_population(seed):
    law, found, gamma = told(seed)
    drawn = members(law, found, gamma, 2**14)
    for c in range(2):
        weight = gamma[:, c].sum() + SHRINKAGE
        second = np.einsum("n,np,nq->pq", gamma[:, c], found.deviation[:, c], found.deviation[:, c])
        second += np.einsum("n,npq->pq", gamma[:, c], found.covariance[:, c]) + SHRINKAGE * law.pooled
        scale = np.sqrt(np.diag(second / weight))
        off = drawn[c].T @ drawn[c] / len(drawn[c]) - second / weight
        np.testing.assert_allclose(off / np.outer(scale, scale), 0.0, atol=0.02)
        mean = (gamma[:, c] @ found.deviation[:, c]) / weight
        np.testing.assert_allclose((drawn[c].mean(0) - mean) / scale, 0.0, atol=0.01)
    np.testing.assert_array_equal(members(law, found, gamma, 256), members(law, found, gamma, 256))


def test_a_population_that_nobody_belongs_to_is_the_common_gaussian():
    law, found, gamma = told(3)
    drawn = members(law, found, 0.0 * gamma, 4096)
    np.testing.assert_allclose(drawn[0].T @ drawn[0] / 4096, law.pooled, atol=0.03)
    quantiles = np.quantile(drawn[0] / np.sqrt(np.diag(law.pooled)), [0.05, 0.5, 0.95], axis=0)
    np.testing.assert_allclose(quantiles.T, np.tile([-1.645, 0.0, 1.645], (3, 1)), atol=0.03)


def sigmoids(seed, specimens=120):
    """Curves of which one in four has its step before the first point: start and height undo each other."""
    rng, t = np.random.default_rng(seed), np.linspace(0.0, 4.0, 40)
    parameters = [pima.Parameter("a"), pima.Parameter("b"), pima.Parameter("m"), pima.Parameter("w", lower=0.0)]
    law = pima.SympyExpert("a + b / (1 + exp(-(t - m) / w))", "t", parameters=parameters)
    early = np.arange(specimens) % 4 == 0
    middle = np.where(early, -2.0 - rng.exponential(1.0, specimens), 2.0) + 0.1 * rng.standard_normal(specimens)
    height = np.where(early, 10.0 * np.exp(-middle), 40.0 + 4.0 * rng.standard_normal(specimens))
    start = np.where(early, 60.0 - height, 20.0) + 2.0 * rng.standard_normal(specimens)
    phi = np.stack([start, height, middle, np.log(np.where(early, 1.0, 0.3))], 1)
    bounds = law.bounds(t)
    clean = law.value_and_jacobian(t, bounds.from_unbounded(phi))[0]
    y = clean + 0.5 * rng.standard_normal(clean.shape)
    starts = bounds.to_unbounded(bounds.clip(law.starts(t, y, count=6), 1e-6))
    return law, bounds, t, MeasuredCurves(law, bounds, t[None], y, np.ones_like(y), starts), clean


def test_the_median_and_the_band_are_those_of_the_curves_where_a_gaussian_is_not():
    law, bounds, t, curves, clean = sigmoids(0)
    fit = find_populations({"y": curves}, 1, renewals=30)
    of = fit.populations.laws["y"]
    drawn = members(of, fit.found.conditional["y"], fit.found.responsibilities, 256)[0]
    gaussian = np.random.default_rng(0).standard_normal((2000, 4)) @ root_of(of.scatter[0]).T

    def quantiles(deviation):
        theta = bounds.from_unbounded(of.centre[0] + deviation)
        return np.quantile(law.value_and_jacobian(t, theta)[0], [0.1, 0.5, 0.9], axis=0)

    truth = np.quantile(clean, [0.1, 0.5, 0.9], axis=0)
    off, before = (np.sqrt(np.mean((quantiles(d) - truth) ** 2, axis=1)) for d in (drawn, gaussian))
    assert (off < [6.0, 3.0, 6.0]).all(), off
    assert (off < 0.5 * before).all(), before


def test_a_decoder_answers_by_its_members_keeps_and_mixes_them():
    law, bounds, t, *_ = sigmoids(1, 40)
    spread = torch.eye(4).double()[None].repeat(2, 1, 1)
    theta = bounds.from_unbounded(np.array([[20.0, 40.0, 2.0, -1.0], [10.0, 40.0, 1.0, -1.0]]))
    plain = PhysicsDecoder(law, bounds, 2.0, theta, spread, torch.ones(2).double())
    drawn = torch.as_tensor(np.random.default_rng(0).standard_normal((2, 64, 4)) ** 3)
    decoder = replace(plain, members=drawn)
    said = decoder.marginal(t).draws
    for c in range(2):
        phi = bounds.to_unbounded(theta[c]) + drawn[c].numpy()
        expected = np.sort(law.value_and_jacobian(t, bounds.from_unbounded(phi))[0] / 2.0, axis=0).T
        np.testing.assert_allclose(said[c, 0].numpy(), expected)
    again = plain.with_arrays(decoder.arrays())
    torch.testing.assert_close(again.marginal(t).draws, said)
    # What is known of a specimen is a Gaussian, whatever its population is.
    known = torch.zeros(2, 1, 4).double(), 0.01 * spread[:, None]
    torch.testing.assert_close(decoder.marginal(t, known).draws, plain.marginal(t, known).draws)
    other = replace(decoder, members=-drawn)
    mixed = decoder.where(torch.tensor([True, False]), other)
    torch.testing.assert_close(mixed.members, torch.stack([drawn[0], -drawn[1]]))
    assert plain.with_arrays(plain.arrays()).members is None
