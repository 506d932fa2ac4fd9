"""Noise models with numbers of their own in PIMA: dense covariance, learned from all curves, kept with the fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.stats import multivariate_normal

import pima_toolkit as pima
from pima_toolkit.errors import OptionError
from pima_toolkit.experts.noise.autocorrelated import AutocorrelatedNoise
from pima_toolkit.experts.noise.misfit import MisfitNoise
from pima_toolkit.experts.noise.proportional import ProportionalNoise
from pima_toolkit.fitting.em.physics import update_physics
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.noise.shaped import ShapedNoise
from pima_toolkit.model.physics import PhysicsDecoder

T = np.linspace(0.0, 1.0, 15)
SHAPES = {"autocorrelated": AutocorrelatedNoise(0.2), "misfit": MisfitNoise(2.0, 0.15)}


def covariance(shape, t):
    apart = np.abs(t[:, None] - t)
    if isinstance(shape, AutocorrelatedNoise):
        return np.exp(-apart / shape.length)
    return np.eye(len(t)) + shape.amplitude * np.exp(-0.5 * (apart / shape.length) ** 2)


def problem(shape, *, own_grids, gaps, weighed, scale=2.0):
    rng = np.random.default_rng(3)
    expert = pima.get_expert("affine")
    own = np.array([1.0, 2.0]) + 0.4 * rng.standard_normal((8, 2))
    x = expert.value_and_jacobian(T, own)[0] + 0.3 * rng.standard_normal((8, 15))
    observed = torch.as_tensor(rng.random((8, 15)) < 0.8) if gaps else None
    weights = torch.as_tensor(np.exp(rng.standard_normal((8, 15)))) if weighed else None
    curves = Curves(torch.as_tensor(x) / scale, np.tile(T, (8, 1)) if own_grids else T, observed, torch.arange(8) != 5)
    curves = replace(curves, x=torch.where(curves.seen, curves.x, 0.0), weights=weights)
    scatter = torch.tensor([[[0.2, 0.05], [0.05, 0.1]], [[0.1, 0.0], [0.0, 0.3]]]).double()
    theta, variance = np.array([[1.2, 1.9], [0.5, 2.5]]), torch.tensor([0.05, 0.2]).double()
    return PhysicsDecoder(expert, expert.bounds(T), scale, theta, scatter, variance, noise=ShapedNoise(shape)), curves


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("own_grids", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("case", SHAPES)
def test_the_likelihood_is_that_of_a_dense_gaussian(case, own_grids, gaps, weighed):
    shape = SHAPES[case]
    decoder, curves = problem(shape, own_grids=own_grids, gaps=gaps, weighed=weighed)
    found = decoder.log_prob(curves)
    value, jacobian = (part[:, 0].numpy() for part in decoder.predict(T))
    for c in range(2):
        for d in range(8):
            seen = curves.seen[d].numpy()
            expected = 0.0
            if seen.any():
                R = covariance(shape, T[seen])
                if weighed:
                    root = np.sqrt(curves.weights[d].numpy()[seen])
                    R = R / np.outer(root, root)
                J = jacobian[c][seen]
                whole = J @ decoder.scatter[c].numpy() @ J.T + float(decoder.variance[c]) * R
                expected = multivariate_normal(value[c][seen], whole).logpdf(curves.x[d].numpy()[seen])
            assert float(found[d, c]) == pytest.approx(float(expected), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("case", SHAPES)
def test_the_m_step_never_lowers_the_likelihood(case):
    decoder, curves = problem(SHAPES[case], own_grids=False, gaps=True, weighed=False)
    log_weights = torch.tensor([0.4, 0.6]).double().log()
    before = None
    for _ in range(5):
        joint = log_weights + decoder.log_prob(curves)
        likelihood = float(joint.logsumexp(1)[curves.present].sum())
        assert before is None or likelihood >= before - 1e-8 * abs(before)
        before = likelihood
        decoder, _ = update_physics(decoder, curves, joint.softmax(1), scattered=True)


def test_the_width_of_a_band_is_that_of_a_measured_point():
    decoder, _ = problem(MisfitNoise(2.0, 0.15), own_grids=False, gaps=False, weighed=False)
    torch.testing.assert_close(decoder.noise_variance(T)[:, 0, 0], 3.0 * decoder.variance)
    decoder = replace(decoder, noise=ShapedNoise(ProportionalNoise(0.5, 2.0)))
    value = decoder.expert.value_and_jacobian(T, decoder.theta)[0]
    expected = decoder.variance[:, None] * torch.as_tensor((0.5 + (value / 2.0) ** 2) / 1.5)
    torch.testing.assert_close(decoder.noise_variance(T)[:, 0], expected)


def two_kinds(kind, seed=3):
    """Specimens of two populations of a hardening law, with noise of a kind and gaps; and their labels."""
    law, rng = pima.get_expert("linear_hardening"), np.random.default_rng(seed)
    t, label = np.linspace(0.002, 0.1, 50), rng.integers(0, 2, 50)
    truth = np.array([[800.0, 0.035, 0.2], [900.0, 0.03, 0.1]])[label] * (1 + 0.03 * rng.standard_normal((50, 3)))
    y, white = law.value_and_jacobian(t, truth)[0], rng.standard_normal((50, 50))
    if kind == "robust":
        y = y + 0.4 * rng.standard_t(3, y.shape)
    elif kind == "proportional":
        y = y + white * np.hypot(0.1, 0.02 * y)
    else:
        R = np.exp(-np.abs(t[:, None] - t) / 0.01)
        y = y + 0.4 * white @ np.linalg.cholesky(R).T
    y[rng.random(y.shape) < 0.05] = np.nan
    return xr.Dataset({"stress": (("specimen", "strain"), y)}, coords={"strain": t}), label


def held(answers, data):
    """Share of the measured points in the band."""
    inside = (answers.stress_low <= data.stress) & (data.stress <= answers.stress_high)
    return float(inside.where(data.stress.notnull()).mean())


@pytest.mark.parametrize(
    ("kind", "number", "truth"), [("robust", "freedom_t", 3.0), ("autocorrelated", "length", 0.01)]
)
def test_a_fit_learns_its_noise_and_keeps_it(tmp_path, kind, number, truth):
    data, label = two_kinds(kind)
    fit = pima.PIMA({"stress": pima.Physics("linear_hardening", noise=kind)}, clusters=2).fit(data, progress=False)
    shape = fit.predictor.state.decoders["stress"].noise.curve_noise
    assert np.log(shape.numbers()[number] / truth) == pytest.approx(0.0, abs=0.3)
    answers = fit.infer(data)
    agreement = (answers.cluster.values == label).mean()
    assert max(agreement, 1 - agreement) == 1.0
    # Of one drawn set the share in the band is known to about .01.
    shares = [held(answers, data)]
    for seed in (4, 5):
        other, _ = two_kinds(kind, seed)
        model = pima.PIMA({"stress": pima.Physics("linear_hardening", noise=kind)}, clusters=2)
        shares.append(held(model.fit(other, progress=False).infer(other), other))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.06)
    E = fit.parameters.sel(parameter="E")
    order = np.argsort(E.value.values)
    assert (np.abs(E.value.values[order] - [800.0, 900.0]) < 3.5 * E.std_error.values[order]).all()
    fit.save(tmp_path / "fit.pima")
    again = pima.load(tmp_path / "fit.pima")
    assert again.predictor.state.decoders["stress"].noise.curve_noise == shape
    xr.testing.assert_allclose(again.infer(data), answers)


def test_a_wrong_noise_model_is_told_with_its_evidence():
    data, _ = two_kinds("autocorrelated")
    plain = pima.PIMA({"stress": pima.Physics("linear_hardening")}, clusters=2).fit(data, progress=False)
    assert "neighbouring residuals go together (lag-1 autocorrelation" in plain.summary()
    right = pima.PIMA({"stress": pima.Physics("linear_hardening", noise="autocorrelated")}, clusters=2)
    assert "neighbouring residuals" not in right.fit(data, progress=False).summary()


def test_the_paper_s_inference_has_no_own_fits_to_learn_from():
    with pytest.raises(OptionError, match=r"'stress' has a noise that is learned from every curve's own fit"):
        pima.PIMA({"stress": pima.Physics("voce", noise="robust")}, clusters=2, inference="paper")
