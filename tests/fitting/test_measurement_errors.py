"""Errors given with the curves: precise points count more, all through the training and its answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data import Wanted, read
from pima_toolkit.fitting.em.gradient import AdamExperts
from pima_toolkit.fitting.em.physics import update_physics
from pima_toolkit.fitting.inputs.spec import learn_specs
from pima_toolkit.fitting.inputs.tensors import to_tensors
from pima_toolkit.fitting.starts.initialise import fit_each
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.physics import PhysicsDecoder

T = np.linspace(0.1, 2.0, 9)
LAWS = {"line": pima.get_expert("affine"), "power": pima.SympyExpert("K * t**n", "t", bounds={"K": (0, None)})}
EACH_WAY = pytest.mark.parametrize(
    ("law", "scattered", "own_grids"),
    [
        ("line", True, False),
        ("line", False, False),
        ("line", True, True),
        ("power", True, False),
        ("power", False, True),
    ],
)


def problem(law, scattered, own_grids, seed=0):
    rng, law = np.random.default_rng(seed), LAWS[law]
    theta = np.array([[2.0, 0.5], [3.0, 0.8]])
    x = law.value_and_jacobian(T, theta[np.arange(16) % 2] * np.exp(0.1 * rng.standard_normal((16, 2))))[0]
    x = torch.as_tensor(x + 0.05 * rng.standard_normal(x.shape))
    scatter = 0.02 * torch.eye(2).double().expand(2, 2, 2) * scattered
    decoder = PhysicsDecoder(law, law.bounds(T), 1.0, theta, scatter, torch.full((2,), 0.003).double())
    curves = Curves(x, np.tile(T, (16, 1)) if own_grids else T, None, torch.ones(16, dtype=torch.bool))
    return decoder, curves, torch.as_tensor(rng.dirichlet([1.0, 1.0], 16))


@EACH_WAY
def test_weights_of_one_change_nothing(law, scattered, own_grids):
    decoder, curves, gamma = problem(law, scattered, own_grids)
    even = replace(curves, weights=torch.ones_like(curves.x))
    torch.testing.assert_close(decoder.log_prob(even), decoder.log_prob(curves), rtol=1e-9, atol=1e-9)
    (one, said), (other, expected) = (
        update_physics(decoder, given, gamma, scattered=scattered) for given in (even, curves)
    )
    torch.testing.assert_close(said.constant, expected.constant, rtol=1e-9, atol=1e-9)
    for name, values in one.arrays().items():
        torch.testing.assert_close(values, other.arrays()[name], rtol=1e-9, atol=1e-9)


@EACH_WAY
def test_points_of_huge_error_are_as_good_as_missing(law, scattered, own_grids):
    decoder, curves, gamma = problem(law, scattered, own_grids)
    kept = torch.arange(9) % 2 == 0
    vague = replace(curves, weights=torch.where(kept, 1.0, 1e-14).double().expand(16, 9))
    gone = replace(curves, observed=kept.expand(16, 9), x=torch.where(kept, curves.x, 0.0))
    # In density they are a number that is the same for both clusters, whose noise is the same.
    one, other = decoder.condition(vague), decoder.condition(gone)
    torch.testing.assert_close(one.log_prob.diff(dim=1), other.log_prob.diff(dim=1), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(one.deviation, other.deviation, rtol=1e-6, atol=1e-8)
    vaguely, _ = update_physics(decoder, vague, gamma, scattered=scattered)
    without, _ = update_physics(decoder, gone, gamma, scattered=scattered)
    np.testing.assert_allclose(vaguely.theta, without.theta, rtol=1e-6)


@EACH_WAY
def test_adam_learns_by_the_same_likelihood(law, scattered, own_grids):
    decoder, curves, _ = problem(law, scattered, own_grids)
    curves = replace(curves, weights=torch.as_tensor(np.exp(np.random.default_rng(1).standard_normal((16, 9)))))
    adam = AdamExperts({"x": decoder}, 1e-3)
    adam.begin({"x": decoder})
    found = adam.log_prob({"x": curves}, torch.arange(16))
    torch.testing.assert_close(found.detach(), decoder.log_prob(curves), rtol=1e-9, atol=1e-9)


def heteroscedastic(specimens=40, seed=0, rough=40.0):
    """Two populations of lines; half of the points of every curve, others for every specimen, are rough."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 2
    truth = np.array([[2.0, 1.0], [2.6, 1.4]])[label] + 0.05 * rng.standard_normal((specimens, 2))
    std = np.where(rng.random((specimens, T.size)) < 0.5, 0.02 * rough, 0.02)
    stress = truth[:, :1] * T + truth[:, 1:] + std * rng.standard_normal(std.shape)
    data = xr.Dataset(
        {
            "stress": (("specimen", "t"), stress, {"units": "MPa"}),
            "stress_std": (("specimen", "t"), std, {"units": "MPa"}),
        },
        coords={"t": T, "label": ("specimen", label)},
    )
    return data, truth


def fitted(data, inference, **options):
    model = pima.PIMA({"stress": pima.Physics("affine", **options)}, clusters=2, latent_dim=1, inference=inference)
    return model.fit(data, epochs=2, progress=False, precision="float32", device="cpu")


@pytest.fixture(scope="module", params=["evidence", "paper"])
def fits(request):
    data, truth = heteroscedastic()
    return data, truth, fitted(data, request.param), fitted(data.drop_vars("stress_std"), request.param)


def missed(fit, data, truth):
    return np.sqrt(np.square(fit.infer(data).parameters.values - truth).mean())


def test_the_truth_is_recovered_better_with_them(fits):
    data, truth, known, unknown = fits
    assert missed(known, data, truth) < 0.05
    assert missed(known, data, truth) < 0.4 * missed(unknown, data.drop_vars("stress_std"), truth)
    assert (np.sort(known.infer(data).cluster.groupby(data.label.rename("truth")).mean()) == [0, 1]).all()
    centres = np.sort(known.parameters.value.values, axis=0)
    np.testing.assert_allclose(centres, [[2.0, 1.0], [2.6, 1.4]], atol=0.06)


def test_the_noise_is_that_of_a_typical_point(fits):
    data, _, known, _ = fits
    typical = np.mean(data.stress_std.values**-2.0) ** -0.5
    np.testing.assert_allclose(known.parameters.noise_std, typical, rtol=0.1)


def test_a_fit_answers_with_and_without_them_and_remembers_them_in_a_file(fits, tmp_path):
    _, _, known, _ = fits
    new, truth = heteroscedastic(seed=5)
    known.save(tmp_path / "fit.pima")
    again = pima.load(tmp_path / "fit.pima")
    xr.testing.assert_allclose(again.infer(new), known.infer(new), rtol=1e-6)
    with_, without = known.infer(new), known.infer(new.drop_vars("stress_std"))
    assert missed(again, new, truth) < 0.5 * missed(again, new.drop_vars("stress_std"), truth)
    assert np.isfinite(without.parameters).all()
    # Ten times as rough everywhere: the same curves say less of the parameters.
    vaguer = known.infer(new.assign(stress_std=10 * new.stress_std))
    assert (vaguer.parameters_std > with_.parameters_std).mean() > 0.95


def test_rough_points_are_as_good_as_missing(fits):
    data, _, known, unknown = fits
    gone = data.drop_vars("stress_std").assign(stress=data.stress.where(data.stress_std < 0.1))
    expected = fitted(gone, unknown.model.options.inference)
    np.testing.assert_allclose(
        known.parameters.value.sortby(known.parameters.value[:, 0]),
        expected.parameters.value.sortby(expected.parameters.value[:, 0]),
        atol=0.01,
    )


@pytest.mark.parametrize("inference", ["evidence", "paper"])
def test_errors_that_are_all_the_same_change_nothing(inference):
    data, _ = heteroscedastic(12, rough=1.0)
    one, other = fitted(data, inference), fitted(data.drop_vars("stress_std"), inference)
    xr.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-9)
    xr.testing.assert_allclose(one.infer(data), other.infer(data.drop_vars("stress_std")), rtol=1e-9)


@pytest.mark.parametrize("inference", ["evidence", "paper"])
@pytest.mark.parametrize("options", [{"scatter": "none"}, {"noise": "cluster"}, {"window": (0.2, 1.9)}], ids=str)
def test_gaps_and_options_go_with_them(options, inference):
    data, _ = heteroscedastic()
    data["stress"][::3, 2] = np.nan
    data["stress_std"][::3, 2] = np.nan
    fit = fitted(data, inference, **options)
    centres = np.sort(fit.parameters.value.values, axis=0)
    np.testing.assert_allclose(centres, [[2.0, 1.0], [2.6, 1.4]], atol=0.08)


def test_every_curve_s_first_fit_is_weighted():
    data, _ = heteroscedastic(6)
    modalities = {"stress": pima.Physics("affine")}
    measured = read(data, {"stress": Wanted(physics=True)})
    specs = learn_specs(measured, modalities)
    curves = to_tensors(measured, specs, "cpu").curves["stress"]
    own = fit_each(modalities["stress"], specs["stress"], curves)
    for n in range(6):
        rows = np.stack([T, np.ones_like(T)], 1) / data.stress_std.values[n][:, None]
        best = np.linalg.lstsq(rows, data.stress.values[n] / data.stress_std.values[n], rcond=None)[0]
        np.testing.assert_allclose(own.theta[n], best, rtol=1e-6)
    std = specs["stress"].schema.std / specs["stress"].scale
    assert own.variance == pytest.approx(std**2, rel=0.6)


def test_covariates_go_with_them():
    data, _ = heteroscedastic(24)
    rate = np.tile([0.5, 1.0, 2.0], 8)
    stress = 2.0 * rate[:, None] ** 0.1 * T + data.stress_std.values * np.random.default_rng(2).standard_normal((24, 9))
    data = data.assign(stress=(("specimen", "t"), stress, {"units": "MPa"})).assign_coords(rate=("specimen", rate))
    law = pima.SympyExpert("E * t * rate**m", t="t", covariates=("rate",), bounds={"E": (0, None), "m": (-1, 1)})
    model = pima.PIMA({"stress": pima.Physics(law)}, clusters=1, latent_dim=1, inference="paper")
    fit = model.fit(data, epochs=1, progress=False, device="cpu")
    np.testing.assert_allclose(fit.parameters.value.values[0], [2.0, 0.1], rtol=0.05)
