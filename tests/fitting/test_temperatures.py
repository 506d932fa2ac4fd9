"""How far speakers are believed: scores by closed forms, noise that nobody believes, a known scatter found again."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm

from pima_toolkit.fitting.speakers import linear as linear_file
from pima_toolkit.fitting.speakers.base import Targets, kept_together
from pima_toolkit.fitting.speakers.linear import Linear
from pima_toolkit.fitting.temperatures import GRID, Heard, Misfit, Score, residual_scatter, temperatures
from pima_toolkit.model.joint import Deviation, Potential, join

NOISE = 0.2


def tensor(values):
    return torch.as_tensor(np.asarray(values), dtype=torch.float64)


def measured(eps, label, clusters, apart, seed):
    """Curves that measure the parameters ``apart * label + eps`` with the noise 0.2, and what they say."""
    rng = np.random.default_rng(seed)
    p = eps.shape[1]
    y = apart * label[:, None] + eps + NOISE * rng.normal(size=eps.shape)
    off = y[:, None] - apart * np.arange(clusters)[None, :, None]
    constant = -0.5 * (off**2).sum(2) / NOISE**2 - p * math.log(NOISE * math.sqrt(2 * math.pi))
    return y, Potential(tensor(constant), tensor(off / NOISE**2), tensor(np.eye(p) / NOISE**2)[None, None])


def population(clusters, parameters):
    """Equal weights and unit scatter."""
    weights = torch.full((clusters,), -math.log(clusters), dtype=torch.float64)
    return weights, Deviation.prior(torch.eye(parameters, dtype=torch.float64).expand(clusters, -1, -1))


def oracle(prediction, left, clusters=1, psi=None):
    """A speaker that says N(prediction, left) over N(0, 1) of each direction, and psi."""
    n, p = prediction.shape
    linear = np.repeat(prediction[:, None] / left, clusters, 1)
    constant = np.zeros((n, clusters)) if psi is None else psi
    return Potential(tensor(constant), tensor(linear), tensor((1 / left - 1) * np.eye(p))[None, None])


def related(n, seed, left=0.3, p=2):
    """Deviations of variance 1, and the part that can be predicted, with an error of variance ``left``."""
    rng = np.random.default_rng(seed)
    prediction = math.sqrt(1 - left) * rng.normal(size=(n, p))
    return prediction, prediction + math.sqrt(left) * rng.normal(size=(n, p))


def heard_of(speakers, curves, clusters=1, p=2):
    return Heard(speakers, curves, *population(clusters, p), torch.ones(len(curves), dtype=torch.bool))


def test_the_score_is_the_density_of_the_curve_given_the_speakers():
    prediction, eps = related(50, 0)
    y, curves = measured(eps, np.zeros(50), 1, 0.0, 1)
    heard = heard_of({"a": oracle(prediction, 0.3)}, curves)
    exact = norm(prediction, math.sqrt(0.3 + NOISE**2)).logpdf(y).sum(1)
    np.testing.assert_allclose(Score(heard, 0.0).of({"a": 1.0}), exact, atol=1e-9)
    np.testing.assert_allclose(Score(heard, 0.0).of({}), norm(0, math.sqrt(1 + NOISE**2)).logpdf(y).sum(1), atol=1e-9)


def test_the_score_of_a_mixture_weighs_populations_by_psi_alone():
    rng = np.random.default_rng(2)
    prediction, eps = related(40, 0)
    label = rng.integers(0, 2, 40)
    y, curves = measured(eps, label, 2, 3.0, 1)
    psi = rng.normal(size=(40, 2))
    heard = heard_of({"a": oracle(prediction, 0.3, 2, psi)}, curves, 2)
    tau = 0.4  # precision 1 + tau (1/left - 1), mean tau prediction / left over that
    precision = 1 + tau * (1 / 0.3 - 1)
    mean = tau * prediction / 0.3 / precision
    log_p = tau * psi - logsumexp(tau * psi, axis=1, keepdims=True)
    inside = [norm(mean + 3.0 * c, math.sqrt(1 / precision + NOISE**2)).logpdf(y).sum(1) for c in range(2)]
    exact = logsumexp(log_p + np.stack(inside, 1), axis=1)
    np.testing.assert_allclose(Score(heard, 0.0).of({"a": tau}), exact, atol=1e-9)
    heard = Heard(heard.speakers, curves, heard.log_weights, heard.prior, torch.arange(40) > 4)
    np.testing.assert_allclose(Score(heard, 0.0).of({"a": tau}), np.where(np.arange(40) > 4, exact, 0.0), atol=1e-9)


def test_what_is_doubted_is_half_of_another_density():
    """With probability ``doubt`` nothing said of parameters holds, and what is said of populations still does."""
    prediction, eps = related(40, 0)
    label = np.random.default_rng(2).integers(0, 2, 40)
    y, curves = measured(eps, label, 2, 3.0, 1)
    psi = np.random.default_rng(3).normal(size=(40, 2))
    silent = Potential(tensor(psi), tensor(np.zeros((40, 2, 2))), tensor(np.zeros((1, 1, 2, 2))))
    heard = heard_of({"a": oracle(prediction, 0.3, 2), "b": silent}, curves, 2)
    log_p = psi - logsumexp(psi, axis=1, keepdims=True)
    inside = [norm(prediction + 3.0 * c, math.sqrt(0.3 + NOISE**2)).logpdf(y).sum(1) for c in range(2)]
    without = [norm(3.0 * c, math.sqrt(1 + NOISE**2)).logpdf(y).sum(1) for c in range(2)]
    with_, alone = (logsumexp(log_p + np.stack(part, 1), axis=1) for part in (inside, without))
    exact = np.logaddexp(math.log(0.95) + with_, math.log(0.05) + alone)
    np.testing.assert_allclose(Score(heard).of({"a": 1.0, "b": 1.0}), exact, atol=1e-9)


def linearly(heard):
    """The same, of curves that are linear in their parameters."""
    return dataclasses.replace(heard, linear=True)


def test_a_misfit_is_the_squared_distance_of_the_predicted_curve_from_the_measured_one():
    """In units of the population's, whose curve is at deviation 0; a speaker at temperature 1 predicts its mean."""
    prediction, eps = related(50, 0)
    y, curves = measured(eps, np.zeros(50), 1, 0.0, 1)
    heard = linearly(heard_of({"a": oracle(prediction, 0.3)}, curves))
    unit = np.square(y).sum(1).mean()
    np.testing.assert_allclose(Misfit(heard).of({}), -np.square(y).sum(1) / unit, atol=1e-9)
    np.testing.assert_allclose(Misfit(heard).of({"a": 1.0}), -np.square(y - prediction).sum(1) / unit, atol=1e-9)
    known = torch.arange(50) > 4
    some = Misfit(Heard(heard.speakers, curves, heard.log_weights, heard.prior, known, linear=True))
    unit = np.square(y[5:]).sum(1).mean()
    np.testing.assert_allclose(some.of({}), np.where(known, -np.square(y).sum(1) / unit, 0.0), atol=1e-9)


def test_a_curve_that_shows_nothing_of_a_parameter_misses_nothing_there():
    prediction, eps = related(30, 0)
    y, curves = measured(eps, np.zeros(30), 1, 0.0, 1)
    blind = tensor(np.diag([1.0, 0.0]))
    curves = Potential(curves.constant, curves.linear @ blind, curves.curvature @ blind)
    found = Misfit(linearly(heard_of({"a": oracle(prediction, 0.3)}, curves)))
    expected = np.square(y - prediction)[:, 0] / np.square(y)[:, 0].mean()
    np.testing.assert_allclose(found.of({"a": 1.0}), -expected, atol=1e-9)


def test_what_moves_curves_decides_and_what_does_not_is_nothing():
    """One speaker knows the direction that moves curves a hundred times as far, another the one that hardly does."""
    prediction, eps = related(200, 31)
    y, curves = measured(eps, np.zeros(200), 1, 0.0, 32)
    far = tensor(np.diag([10.0, 0.1]))
    curves = Potential(curves.constant, curves.linear @ far @ far, far @ curves.curvature @ far)
    none = np.zeros(200)
    speakers = {
        "near": oracle(np.stack([none, prediction[:, 1]], 1), 0.3),
        "far": oracle(np.stack([prediction[:, 0], none], 1), 0.3),
    }
    found = temperatures(linearly(heard_of(speakers, curves)))
    assert found.taus["far"] >= 0.8
    assert found.taus["near"] == 0.0
    share = 1.0 - np.square(y - prediction)[:, 0].mean() / np.square(y)[:, 0].mean()
    assert found.explained == pytest.approx(share, abs=0.02)
    assert 0 < found.explained_error < 0.1
    assert found.by_distance == ("near", "far")
    assert re.search(r"by itself it foretells [56]\d ± \d\S* % of how curves differ", found.sentences["far"])


def test_a_speaker_that_is_right_of_most_is_believed():
    """It is far off for four specimens in a hundred."""
    prediction, eps = related(300, 21)
    _, curves = measured(eps, np.zeros(300), 1, 0.0, 22)
    prediction[:12] += 8.0
    assert temperatures(heard_of({"a": oracle(prediction, 0.3)}, curves)).taus["a"] >= 0.7


def test_a_shy_speaker_is_believed_more_than_it_says():
    _, eps = related(400, 23)
    label = np.random.default_rng(24).integers(0, 2, 400)
    _, curves = measured(eps, label, 2, 3.0, 25)
    shy = (np.eye(2)[label] - 0.5) * 1.5  # odds of e^1.5 of one who is right 19 times in 20, which are e^3
    wrong = np.random.default_rng(26).uniform(size=400) < 0.05
    shy[wrong] *= -1
    speaker = Potential(tensor(shy), tensor(np.zeros((400, 2, 2))), tensor(np.zeros((1, 1, 2, 2))))
    assert 1.5 <= temperatures(heard_of({"a": speaker}, curves, 2)).taus["a"] <= 3.0


def test_what_is_true_is_believed_and_noise_beside_it_is_not():
    n = 400
    prediction, eps = related(n, 3)
    _, curves = measured(eps, np.zeros(n), 1, 0.0, 4)
    noise = oracle(0.5 * np.random.default_rng(5).normal(size=(n, 2)), 0.8)
    sure = oracle(prediction + 0.5 * np.random.default_rng(6).normal(size=(n, 2)), 0.1)  # its error is 0.55
    found = temperatures(heard_of({"noise": noise, "true": oracle(prediction, 0.3)}, curves))
    assert found.taus["noise"] == 0
    assert found.taus["true"] >= 0.8
    optimum = math.log((1 + NOISE**2) / (0.3 + NOISE**2))  # two directions, half a logarithm each
    assert found.gain == pytest.approx(optimum, abs=2 * found.error)
    assert found.gain > 10 * found.error
    assert found.sentences["true"].startswith(f"believed at {found.taus['true']:g} of what it says; by itself +")
    assert "not believed: it says nothing of the curves that is confirmed" in found.sentences["noise"]
    found = temperatures(heard_of({"sure": sure}, curves))
    assert 0.05 <= found.taus["sure"] <= 0.4
    found = temperatures(heard_of({"true": oracle(prediction, 0.3), "again": oracle(prediction, 0.3)}, curves))
    assert sum(found.taus.values()) == pytest.approx(1.0, abs=0.2)
    assert set(found.taus.values()) <= set(GRID)


def test_two_that_know_different_things_are_believed_together():
    n = 400
    prediction, eps = related(n, 7)
    _, curves = measured(eps, np.zeros(n), 1, 0.0, 8)
    halves = [prediction * keep for keep in ([1.0, 0.0], [0.0, 1.0])]
    lefts = [np.array([0.3, 1.0]), np.array([1.0, 0.3])]
    speakers = {
        str(i): Potential(
            tensor(np.zeros((n, 1))), tensor(half / left)[:, None], tensor(np.diag(1 / left - 1))[None, None]
        )
        for i, (half, left) in enumerate(zip(halves, lefts, strict=True))
    }
    found = temperatures(heard_of(speakers, curves))
    assert min(found.taus.values()) >= 0.7


def test_errors_are_those_of_groups():
    """Ten copies of each specimen are no more specimens."""
    prediction, eps = related(40, 9)
    _, curves = measured(eps, np.zeros(40), 1, 0.0, 10)
    heard = heard_of({"a": oracle(prediction, 0.3)}, curves)
    copies = heard.at(torch.arange(40).repeat(10))
    once, copied = temperatures(heard), temperatures(copies, np.tile(np.arange(40), 10))
    assert copied.taus == once.taus
    assert copied.gain == pytest.approx(once.gain)
    assert copied.error == pytest.approx(once.error)
    assert temperatures(copies).error < 0.4 * once.error


def test_of_too_few_nothing_is_claimed():
    prediction, eps = related(90, 9)
    _, curves = measured(eps, np.zeros(90), 1, 0.0, 10)
    heard = heard_of({"a": oracle(prediction, 0.3)}, curves)
    few = temperatures(heard, np.arange(90) % 4)
    assert few.taus == {"a": 0.0}
    assert not few.claims
    assert few.sentences["a"] == "not believed: 4 groups with a curve are too few to judge by, at least 5 needed"
    nine = temperatures(heard.at(torch.arange(9)))
    assert nine.taus == {"a": 0.0}
    assert nine.sentences["a"] == "not believed: 9 specimens with a curve are too few to judge by, at least 10 needed"
    assert temperatures(heard.at(torch.arange(9)), np.arange(9) % 6).taus == {"a": 0.0}
    # What helps in every one of six groups is believed.
    assert temperatures(heard, np.arange(90) % 6).taus["a"] > 0.5
    none = Heard(heard.speakers, curves, heard.log_weights, heard.prior, torch.zeros(90, dtype=torch.bool))
    assert not temperatures(none).claims
    assert torch.equal(residual_scatter(none, {"a": 1.0}), heard.prior.covariance[0])
    assert temperatures(heard).claims


def test_many_specimens_are_sought_on_some_and_judged_on_all():
    prediction, eps = related(5000, 11, p=1)
    _, curves = measured(eps, np.zeros(5000), 1, 0.0, 12)
    heard = heard_of({"a": oracle(prediction, 0.3)}, curves, p=1)
    found = temperatures(heard)
    assert found.taus["a"] >= 0.8
    assert found.gain == pytest.approx(
        float((Score(heard, 0.0).of(found.taus) - Score(heard, 0.0).of({})).mean()), rel=0.02
    )
    assert found == temperatures(heard)


@pytest.mark.parametrize("clusters", [1, 2])
def test_the_scatter_that_is_left_is_found(clusters):
    """Each population has its own; pictures that are too sure or too timid do not mislead it."""
    n, apart = 3000, 8.0
    rng = np.random.default_rng(13)
    label = rng.integers(0, clusters, n)
    root = np.array([[[0.5, 0.0], [0.2, 0.4]], [[0.3, 0.0], [0.0, 0.7]]])[:clusters]
    left = root @ root.transpose(0, 2, 1)
    prediction = rng.normal(size=(n, 2)) * 0.7
    eps = prediction + np.einsum("npq,nq->np", root[label], rng.normal(size=(n, 2)))
    _, curves = measured(eps, label, clusters, apart, 14)
    weights, _ = population(clusters, 2)
    prior = Deviation.prior(tensor(np.eye(2) * 0.49 + left))
    told = oracle(prediction, 0.02, clusters, np.zeros((n, clusters)))  # m is then the prediction, nearly
    heard = Heard({"a": told}, curves, weights, prior, torch.ones(n, dtype=torch.bool))
    np.testing.assert_allclose(residual_scatter(heard, {"a": 1.0}), left, atol=0.04)
    nothing = residual_scatter(heard, {})
    np.testing.assert_allclose(nothing, prior.covariance[0], atol=0.08)
    # Never more than the total, in any direction.
    for found in (residual_scatter(heard, {"a": 1.0}), nothing):
        assert torch.linalg.eigvalsh(prior.covariance[0] - found).min() > -1e-9


def test_a_direction_without_scatter_stays_without():
    prediction, eps = related(200, 15)
    prediction[:, 1] = eps[:, 1] = 0
    _, curves = measured(eps, np.zeros(200), 1, 0.0, 16)
    prior = Deviation.prior(tensor(np.diag([1.0, 0.0]))[None])
    heard = Heard({"a": oracle(prediction, 0.3)}, curves, tensor([0.0]), prior, torch.ones(200, dtype=torch.bool))
    found = residual_scatter(heard, {"a": 1.0})[0]
    assert found[0, 0] == pytest.approx(0.3, rel=0.25)
    assert (found[1].abs() < 1e-12).all()


def out_of_fold(speaker, features, lesson, seed, group=None):
    """What a speaker says of each fifth, of the specimens or of the groups, when it has learned from the rest."""
    fold = kept_together(len(features), group, 5, seed)

    def heard(k):
        inside = fold != k
        theirs = None if group is None else group[inside]
        return speaker.learn(features[inside], lesson.at(inside), seed, theirs).say(features[fold == k])

    parts = [heard(k) for k in range(5)]
    order = torch.as_tensor(np.argsort(np.concatenate([np.flatnonzero(fold == k) for k in range(5)])))
    curvature = torch.cat([part.curvature.expand(len(part), -1, -1, -1) for part in parts])[order]
    constant, linear = (torch.cat([getattr(p, name) for p in parts])[order] for name in ("constant", "linear"))
    return Potential(constant, linear, curvature)


def lesson_of(curves, clusters, p):
    weights, prior = population(clusters, p)
    joint = join(weights, curves, prior)
    gamma, mean = joint.log_gamma.exp().numpy(), joint.deviation.mean.numpy()
    deviation = (gamma[..., None] * mean).sum(1)
    return Targets(gamma, deviation, weights.numpy(), np.eye(p), np.ones(len(gamma), bool))


def believed_on_noise(clusters, seeds, apart=3.0, linear=False, groups=0):
    """How many fits believe noise; with groups, deviations and pictures are alike in each, half of their variance."""
    believed = 0
    for seed in range(seeds):
        rng = np.random.default_rng([17, seed])
        label = rng.integers(0, clusters, 100)
        eps, pictures = rng.normal(size=(100, 2)), rng.normal(size=(100, 20))
        group = np.arange(100) % groups if groups else None
        if groups:
            eps, pictures = (
                math.sqrt(0.5) * (own + rng.normal(size=(groups, own.shape[1]))[group]) for own in (eps, pictures)
            )
        _, curves = measured(eps, label, clusters, apart, [18, seed])
        speaker = {"linear": out_of_fold(Linear(), pictures, lesson_of(curves, clusters, 2), seed, group)}
        heard = dataclasses.replace(heard_of(speaker, curves, clusters), linear=linear)
        believed += any(temperatures(heard, group).taus.values())
    return believed


@pytest.mark.slow
@pytest.mark.parametrize("linear", [True, False])
def test_noise_is_believed_in_one_fit_of_twenty_at_most_with_one_population(linear):
    assert believed_on_noise(1, 200, linear=linear) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("groups", [5, 8])
def test_noise_is_believed_in_one_fit_of_twenty_at_most_with_few_groups(groups):
    assert believed_on_noise(1, 200, linear=True, groups=groups) <= 10


@pytest.mark.slow
def test_noise_is_believed_in_one_fit_of_twenty_at_most_with_three(monkeypatch):
    monkeypatch.setattr(linear_file, "LOGISTIC", np.array([0.1]))  # one strength, or none: the sooner
    assert believed_on_noise(3, 200) <= 10


def test_what_is_learned_is_believed():
    """Pictures of which the deviation follows to three quarters, by a regression from 100 of them."""
    rng = np.random.default_rng(19)
    x = rng.normal(size=(150, 5))
    eps = x[:, :2] * math.sqrt(0.75) + 0.5 * rng.normal(size=(150, 2))
    _, curves = measured(eps, np.zeros(150), 1, 0.0, 20)
    lesson = lesson_of(curves, 1, 2)
    speakers = {
        "linear": out_of_fold(Linear(), x, lesson, 0),
        "noise": out_of_fold(Linear(), rng.normal(size=(150, 20)), lesson, 0),
    }
    heard = heard_of(speakers, curves)
    found = temperatures(heard)
    assert found.taus["linear"] >= 0.7
    assert found.taus["noise"] == 0
    optimum = math.log((1 + NOISE**2) / (0.25 + NOISE**2))
    assert found.gain == pytest.approx(optimum, abs=0.1 + 2 * found.error)
    scatter = residual_scatter(heard, found.taus)[0]
    np.testing.assert_allclose(torch.diagonal(scatter), 0.25, rtol=0.35)
