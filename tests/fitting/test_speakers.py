"""Speakers against closed forms, refits one by one, scikit-learn's answers, and the truth of simulated specimens."""

import io

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV

from pima_toolkit.errors import DataError, OptionError, ShapeError
from pima_toolkit.fitting.speakers.base import Lesson, Speaker, Targets, kept_together, whitening
from pima_toolkit.fitting.speakers.features import SideBySide, flattened, log_spectrum, moments
from pima_toolkit.fitting.speakers.linear import RIDGE, Linear, Spectrum, ridge
from pima_toolkit.fitting.speakers.table import SPEAKERS
from pima_toolkit.fitting.speakers.trees import Forest, Trees
from pima_toolkit.metrics.scores import calibration_error
from pima_toolkit.model.joint import Deviation, conditioned

SPEAKER_CASES = ("linear", "trees")


def targets(deviation, gamma=None, root=None, covariance=None, weights=None):
    """Targets of specimens that all have a curve; one population and unit scatter where nothing else is said."""
    gamma = np.ones((len(deviation), 1)) if gamma is None else gamma
    weights = gamma.mean(0) if weights is None else weights
    root = np.eye(deviation.shape[1]) if root is None else root
    return Targets(gamma, deviation, np.log(weights), root, np.ones(len(deviation), bool), covariance)


def linear_case(specimens, seed, parameters=2, features=6, left=0.3):
    """Features, and deviations of variance 1 of which all but ``left`` follows the features linearly."""
    slope = np.random.default_rng(5).normal(size=(features, parameters))
    slope *= np.sqrt((1 - left) / np.square(slope).sum(0))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(specimens, features))
    return x, x @ slope + np.sqrt(left) * rng.normal(size=(specimens, parameters))


def test_whitening_leaves_out_what_does_not_vary_whatever_the_units():
    rng = np.random.default_rng(0)
    root = np.diag([1e5, 1.0, 1e-5, 0.0]) @ np.vstack([rng.normal(size=(3, 4)), np.ones((1, 4))])
    root[1] = root[0] * 1e-5  # one direction less
    to = whitening(root)
    assert to.shape == (2, 4)
    np.testing.assert_allclose(to @ root @ root.T @ to.T, np.eye(2), atol=1e-9)
    assert (to[:, 3] == 0).all()
    assert whitening(np.zeros((2, 2))).shape == (0, 2)


@pytest.mark.parametrize("name", SPEAKER_CASES)
def test_what_is_said_is_the_prediction_with_its_error(name):
    """Conditioned on, the population's N(0, scatter) becomes N(prediction, left) in whitened coordinates."""
    x, eps = linear_case(120, 0)
    root = np.array([[3.0, 0.0], [1.0, 0.2]])
    learned = SPEAKERS.get(name).learn(x, targets(eps @ root.T, root=root), seed=0)
    assert (learned.left < 1).all()
    prior = Deviation.prior(torch.as_tensor(root @ root.T)[None])
    _, after = conditioned(learned.say(x[:5]), prior)
    to = torch.as_tensor(learned.whitening)
    np.testing.assert_allclose(after.mean[:, 0] @ to.T, learned.predict(x[:5])[0][:, 0], atol=1e-9)
    np.testing.assert_allclose(to @ after.covariance[0, 0] @ to.T, np.diag(learned.left), atol=1e-9)


def test_linear_reaches_the_error_of_the_truth():
    x, eps = linear_case(500, 1)
    learned = Linear().learn(x, targets(eps), seed=0)
    new, truth = linear_case(4000, 2)
    error = np.square(learned.predict(new)[0][:, 0] @ learned.whitening - truth).mean(0)  # whitening is a rotation here
    np.testing.assert_allclose(error, 0.3, rtol=0.06)
    np.testing.assert_allclose(learned.left, 0.3, rtol=0.15)


def refit(x, gamma, y, penalty):
    """Slopes and levels by one solve of all, the level of everybody without a penalty."""
    design = np.c_[x, np.ones(len(x)), gamma]
    cost = np.diag([*[penalty] * x.shape[1], 0.0, *[0.01] * gamma.shape[1]])
    return np.linalg.solve(design.T @ design + cost, design.T @ y)


def test_ridge_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 5)) + 2.0, rng.normal(size=(40, 2)) * 0.5
    y += x[:, :1]
    lesson = Lesson.of(targets(y), None)
    slope, level, _, _ = ridge(x, lesson, 0)
    model = RidgeCV(RIDGE, alpha_per_target=True).fit(x, lesson.deviation)
    np.testing.assert_allclose(slope, model.coef_.T, atol=1e-8)
    np.testing.assert_allclose(level[0], model.intercept_, atol=1e-8)


@pytest.mark.parametrize("size", [1, 2])
def test_residuals_left_out_are_those_of_refits(size):
    rng = np.random.default_rng(3)
    x, y, gamma = rng.normal(size=(40, 5)), rng.normal(size=(40, 1)), rng.dirichlet(np.ones(2), 40)
    y += 0.6 * x[:, :1]
    groups = np.arange(40) // size
    _, _, residual, _ = ridge(x, Lesson.of(targets(y, gamma), groups), 0)
    out = groups == 4
    tried = []
    for penalty in RIDGE:
        beta = refit(x[~out], gamma[~out], y[~out, 0], penalty)
        tried.append(y[out, 0] - np.c_[x, np.ones(40), gamma][out] @ beta)
    sign = np.sign(whitening(np.eye(1))[0, 0])
    assert any(np.allclose(sign * residual[out, 0], one) for one in tried)


@pytest.mark.parametrize("name", SPEAKER_CASES)
def test_groups_are_held_out_whole(name):
    """Ten specimens a group, alike in features and noise: only whole groups tell that nothing can be learned."""
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(20), 10)
    x = rng.normal(size=(20, 30))[groups] + 0.01 * rng.normal(size=(200, 30))
    eps = rng.normal(size=(20, 1))[groups]
    speaker = SPEAKERS.get(name)
    assert speaker.learn(x, targets(eps), 0).left[0] < 0.2
    with_groups = speaker.learn(x, targets(eps), 0, groups=groups)
    assert with_groups.left[0] > 0.7 * np.square(eps).mean()


def test_folds_keep_groups_together_and_are_of_one_size():
    groups = np.random.default_rng(0).integers(0, 37, 500)
    fold = kept_together(500, groups, 5, seed=1)
    assert all(len(set(fold[groups == g])) == 1 for g in range(37))
    assert np.ptp(np.bincount(fold)) < 20
    assert len(set(kept_together(4, None, 5, seed=1))) == 4


@pytest.mark.parametrize("outputs", [1, 3])
def test_trees_walk_as_scikit_learn_does(outputs):
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(150, 7)), rng.normal(size=(150, outputs))
    model = ExtraTreesRegressor(40, min_samples_leaf=2, random_state=1).fit(x, y[:, 0] if outputs == 1 else y)
    new = rng.normal(size=(1100, 7))
    np.testing.assert_array_equal(Forest.of(model.estimators_).predict(new), model.predict(new).reshape(1100, outputs))


@pytest.mark.parametrize("name", SPEAKERS.names())
def test_it_comes_back_from_arrays_and_is_the_same_every_time(name):
    x, eps = linear_case(60, 7)
    gamma = np.random.default_rng(0).dirichlet(np.ones(3), 60)
    learned = SPEAKERS.get(name).learn(x, targets(eps, gamma), seed=3)
    file = io.BytesIO()
    np.savez(file, **learned.arrays())
    file.seek(0)
    again = SPEAKERS.get(name).learned.from_arrays(np.load(file, allow_pickle=False))
    twice = SPEAKERS.get(name).learn(x, targets(eps, gamma), seed=3)
    said = learned.say(x)
    assert said.constant.abs().max() > 0 or name != "trees"
    for other in (again.say(x), twice.say(x)):
        for field in ("constant", "linear", "curvature"):
            assert torch.equal(getattr(said, field), getattr(other, field))
    with pytest.raises(DataError, match=r"lack left: expected those that its arrays\(\) returned"):
        type(learned).from_arrays({k: v for k, v in learned.arrays().items() if k != "left"})


@pytest.mark.parametrize("name", SPEAKER_CASES)
def test_it_is_silent_where_features_are_missing_and_learns_from_complete_specimens_alone(name):
    x, eps = linear_case(80, 8)
    gamma = np.random.default_rng(0).dirichlet(np.ones(2), 80)
    speaker = SPEAKERS.get(name)
    alone = speaker.learn(x, targets(eps, gamma, weights=np.ones(2) / 2), 0)
    more = targets(np.r_[eps, 1e6 * np.ones((4, 2))], np.r_[gamma, gamma[:4]], weights=np.ones(2) / 2)
    more.curve_known[-4:-2] = False
    wide = np.r_[x, x[:2], np.full((2, 6), np.nan)]
    learned = speaker.learn(wide, more, 0)
    for key, values in alone.arrays().items():
        np.testing.assert_array_equal(learned.arrays()[key], values)
    said = learned.say(wide)
    for part in (said.constant, said.linear, said.curvature):
        assert (part[-2:] == 0).all()
        torch.testing.assert_close(part[:80], getattr(alone.say(x), _name(said, part)).expand_as(part[:80]))


def _name(said, part):
    return next(name for name in ("constant", "linear", "curvature") if getattr(said, name) is part)


@pytest.mark.parametrize(("name", "worst"), [("linear", 0.03), ("trees", 0.06)])
def test_probabilities_of_populations_are_calibrated_on_new_specimens(name, worst):
    weights = np.array([0.5, 0.3, 0.2])

    def draw(n, seed):
        rng = np.random.default_rng(seed)
        label = rng.choice(3, n, p=weights)
        return rng.normal(size=(n, 4)) + 1.5 * np.eye(3, 4)[label], label

    x, label = draw(600, 0)
    learned = SPEAKERS.get(name).learn(x, targets(np.zeros((600, 1)), np.eye(3)[label], weights=weights), 0)
    new, truth = draw(4000, 1)
    p = (learned.say(new).constant + torch.as_tensor(np.log(weights))).softmax(1).numpy()
    bayes = np.log(weights) + 1.5 * new[:, :3]
    assert (p.argmax(1) == truth).mean() > (bayes.argmax(1) == truth).mean() - 0.03
    assert calibration_error(p, truth) < worst


def test_a_population_that_nobody_belongs_to_keeps_its_weight():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 100)
    x = rng.normal(size=(100, 2)) + 3 * label[:, None]
    learned = Linear().learn(x, targets(np.zeros((100, 1)), np.eye(3)[label], weights=np.array([0.4, 0.4, 0.2])), 0)
    psi = learned.say(x).constant
    np.testing.assert_allclose(psi[:, 2], 0.0, atol=1e-12)
    p = (psi + torch.as_tensor(learned.log_weights)).exp()
    np.testing.assert_allclose(p.sum(1), 1.0)
    assert (p[:, :2].argmax(1).numpy() == label).mean() > 0.95


def test_what_tells_populations_apart_is_not_taken_for_what_varies_within():
    """Population centres far apart on one feature hide a slope of one inside each, unless it is centred."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 600)
    eps = rng.normal(size=(600, 1))
    x = 20.0 * label[:, None] + eps + 0.3 * rng.normal(size=(600, 1))
    learned = Linear().learn(x, targets(eps, np.eye(3)[label]), 0)
    best = 0.09 / 1.09
    np.testing.assert_allclose(learned.left, best, rtol=0.2)
    own = learned.predict(x)[0][np.arange(600), label]
    assert np.square(own * learned.whitening[0, 0] - eps).mean() == pytest.approx(best, rel=0.2)


@pytest.mark.parametrize("name", SPEAKER_CASES)
def test_what_curves_leave_open_does_not_shrink_what_is_learned(name):
    """Curves of much noise draw deviations to zero: with their covariance the error about the truth is known again."""
    x, eps = linear_case(2000, 9, parameters=1, features=2)
    noise = np.where(np.arange(2000) % 2 == 0, 0.1, 1.0)[:, None]
    share = 1.0 / (1.0 + noise)
    b = share * (eps + np.sqrt(noise) * np.random.default_rng(2).normal(size=eps.shape))
    learned = SPEAKERS.get(name).learn(x, targets(b, covariance=(1 - share)[:, :, None]), 0)
    new, truth = linear_case(4000, 10, parameters=1, features=2)
    error = np.square(learned.predict(new)[0][:, 0] * learned.whitening[0, 0] - truth).mean()
    assert error < (0.33 if name == "linear" else 0.45)
    assert learned.left[0] == pytest.approx(error, rel=0.1 if name == "linear" else 0.2)


def test_a_direction_that_no_curve_tells_is_not_spoken_of():
    x, eps = linear_case(50, 11)
    covariance = np.tile(np.diag([0.0, 1.0]), (50, 1, 1))
    learned = Linear().learn(x, targets(eps * [1.0, 0.0], covariance=covariance), 0)
    curvature = learned.say(x).curvature[0, 0]
    assert curvature[0, 0] > 0.5
    assert curvature[1, 1] == 0


def textures(n, seed):
    """Random pictures whose grain grows with a deviation, (n, 1, 32, 32)."""
    rng = np.random.default_rng(seed)
    eps = rng.normal(size=n)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.fftfreq(32)))
    noise = np.fft.fft2(rng.normal(size=(n, 32, 32)))
    grain = np.exp(-np.square(k * (4 + 0.8 * eps)[:, None, None]))
    x = np.fft.ifft2(noise * grain).real
    return (x / x.std((1, 2), keepdims=True))[:, None], eps[:, None]


def test_a_texture_speaks_by_its_spectrum():
    x, eps = textures(150, 0)
    left = {s.name: s.learn(s.hear(x, "image"), targets(eps), 0).left[0] for s in (Linear(), Spectrum())}
    assert left["spectrum"] < 0.35
    assert left["linear"] > 0.8


def test_a_spectrum_does_not_hear_where():
    x = np.random.default_rng(0).normal(size=(3, 2, 20, 17))
    np.testing.assert_allclose(log_spectrum(np.roll(x, (3, 5), (2, 3))), log_spectrum(x), atol=1e-9)
    assert log_spectrum(np.ones((2, 1, 128, 128))).shape == (2, 41 * 81)
    assert np.isfinite(log_spectrum(np.zeros((2, 1, 8, 8, 8)))).all()
    with pytest.raises(ShapeError, match="have no spectrum"):
        log_spectrum(np.ones((2, 3)))


def test_features_are_means_over_cells_of_bounded_number():
    x = np.random.default_rng(0).normal(size=(2, 1, 64, 96))
    np.testing.assert_allclose(flattened(x).reshape(2, 32, 32), x.reshape(2, 32, 2, 32, 3).mean((2, 4)))
    assert flattened(np.ones((2, 3, 64, 64, 64))).shape == (2, 3 * 11**3)
    assert flattened(np.ones((2, 20, 64, 64))).shape == (2, 20 * 14**2)
    assert flattened(np.ones((2, 1, 1000))).shape == (2, 256)
    assert flattened(np.ones((2, 2, 5, 4))).shape == (2, 40)
    assert flattened(torch.ones(3)).shape == (3, 1)
    heard = Trees().hear(x, "image")
    assert heard.shape == (2, 66)
    np.testing.assert_allclose(heard[:, 64:], np.stack([x.mean((1, 2, 3)), x.std((1, 2, 3))], 1))
    assert moments(np.ones((4, 3))).shape == (4, 0)
    with pytest.raises(ShapeError, match="have 4 axes: expected one to three"):
        flattened(np.ones((1, 1, 2, 2, 2, 2)))


def test_modalities_stand_side_by_side_with_one_variance_each():
    rng = np.random.default_rng(0)
    features = {"picture": 40 + 7 * rng.normal(size=(30, 50)), "settings": rng.normal(size=(30, 3)) * [1e6, 1.0, 0.0]}
    present = {"picture": np.ones(30, bool), "settings": np.arange(30) > 4}
    features["settings"][:5] = 1e9  # what stands where nothing was measured
    learned = SideBySide.learn(features, present, {"picture": "image", "settings": "vector"})
    x = learned.matrix(features, present)
    assert np.isnan(x[:5]).all()
    assert np.isfinite(x[5:]).all()
    assert np.nanvar(x[:, 50:], 0) == pytest.approx([0.5, 0.5, 0.0])
    everywhere = learned.matrix(features, {**present, "settings": np.ones(30, bool)})
    assert everywhere[:, :50].var(0).sum() == pytest.approx(1.0)
    again = SideBySide.from_arrays(learned.names, learned.arrays())
    np.testing.assert_array_equal(again.matrix(features, present), x)


def test_nothing_is_learned_from_what_is_the_same_everywhere():
    eps = np.random.default_rng(0).normal(size=(30, 1))
    gamma = np.random.default_rng(1).dirichlet(np.ones(2), 30)
    for name in SPEAKER_CASES:
        said = SPEAKERS.get(name).learn(np.ones((30, 4)), targets(eps, gamma), 0).say(np.ones((2, 4)))
        assert said.constant.abs().max() < 0.1
        assert said.linear.abs().max() < 0.5


def test_what_does_not_fit_is_refused():
    x, eps = linear_case(20, 0)
    with pytest.raises(ShapeError, match=r"deviation of the targets has the shape \(4, 2\), expected \(20, 2\)"):
        targets(eps[:4], np.ones((20, 1)))
    with pytest.raises(ShapeError, match="do not belong to targets of 20: expected one row for each specimen"):
        Linear().learn(x[:4], targets(eps), 0)
    with pytest.raises(DataError, match=r"'linear' learns from at least 8 specimens with a curve .*, and there are 3"):
        Linear().learn(np.where(np.arange(20)[:, None] < 3, x, np.nan), targets(eps), 0)
    with pytest.raises(ShapeError, match=r"expected \(specimens, 6\) as in training"):
        Linear().learn(x, targets(eps), 0).say(x[:, :3])
    with pytest.raises(OptionError, match=r"is no speaker: expected an instance of a subclass of pima_toolkit.Speaker"):
        SPEAKERS.kind.check(Linear)
    assert {s.name: s for s in SPEAKERS.all().values()} == SPEAKERS.all()
    assert all(isinstance(s, Speaker) for s in SPEAKERS.all().values())
