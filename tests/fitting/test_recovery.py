"""Populations whose truth is known: parameters, scatter and noise are found, and their errors mean what they say."""

import warnings

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data import read
from pima_toolkit.errors import PimaWarning
from pima_toolkit.fitting.inputs.spec import learn_specs, wanted
from pima_toolkit.fitting.inputs.tensors import to_tensors
from pima_toolkit.fitting.starts.initialise import latent_partition, physics_first

TRUTH = {0: (200.0, 0.012, 0.10), 1: (120.0, 0.020, 0.35)}  # E in GPa, yield strain, h


def hardening_curves(specimens, seed, spread=0.04, noise=0.02, gaps=0.0, ragged=False):
    rng = np.random.default_rng(seed)
    expert = pima.get_expert("linear_hardening")
    label = rng.permutation(np.arange(specimens) % 2)
    own = np.array([TRUTH[int(c)] for c in label]) * np.exp(spread * rng.standard_normal((specimens, 3)))
    t = np.linspace(0.0, 0.05, 30)
    if ragged:
        end = rng.uniform(0.035, 0.05, specimens)
        t = np.linspace(0.0, 1.0, 30) * end[:, None]
    grids = np.array(np.broadcast_to(t, (specimens, 30)))
    stress = np.concatenate([expert.value_and_jacobian(g, p[None])[0] for g, p in zip(grids, own, strict=True)])
    stress = stress + noise * rng.standard_normal(stress.shape)
    stress[rng.random(stress.shape) < gaps] = np.nan
    truth = {"label": ("specimen", label), "E": ("specimen", own[:, 0])}
    if not ragged:
        variable = ("specimen", "strain"), stress, {"units": "GPa"}
        return xr.Dataset({"stress": variable}, coords={"strain": ("strain", t, {"units": "1"}), **truth})
    variable = ("specimen", "point"), stress, {"units": "GPa", "independent": "strain"}
    return xr.Dataset({"stress": variable}, coords={"strain": (("specimen", "point"), t, {"units": "1"}), **truth})


@pytest.mark.parametrize("how", ["shared", "gaps", "ragged"])
def test_two_generated_populations_are_recovered(how):
    data = hardening_curves(60, 3, gaps=0.2 * (how == "gaps"), ragged=how == "ragged")
    model = pima.PIMA({"stress": pima.Physics("linear_hardening")}, clusters=2, latent_dim=2)
    fit = model.fit(data, epochs=4, progress=False)
    assert pima.metrics.cluster_accuracy(data.label, fit.specimens.cluster) == 1.0
    value = fit.parameters.value
    order = np.argsort(-value.sel(parameter="E").values)
    assert fit.parameters.effective_specimens.values == pytest.approx([30, 30], abs=0.5)
    for c, cluster in enumerate(order):
        modulus, strain, h = TRUTH[c]
        mine = fit.parameters.sel(cluster=cluster)
        expected = {"E": modulus, "sigma_y": modulus * strain, "H": h * modulus}
        for name, truth in expected.items():
            found, error = float(mine.value.sel(parameter=name)), float(mine.std_error.sel(parameter=name))
            assert abs(found - truth) < 4 * error, (name, found, truth, error)
            assert error < 0.04 * truth
        # E differs by 4 % from specimen to specimen.
        assert float(mine.scatter_std.sel(parameter="E")) == pytest.approx(0.04 * modulus, rel=0.4)
        assert float(mine.noise_std[0]) == pytest.approx(0.02, rel=0.15)
    own = fit.specimens
    assert np.abs(own.value.sel(parameter="E") / data.E - 1).max() < 0.03
    assert list(own.unit.values) == ["GPa", "GPa", "GPa"]


def lines(rng, specimens, points=12):
    t = np.linspace(0, 1, points)
    slope = 3.0 + 0.4 * rng.standard_normal(specimens)
    y = slope[:, None] * t + 0.1 * rng.standard_normal((specimens, points))
    return xr.Dataset({"y": (("specimen", "t"), y)}, coords={"t": t})


@pytest.mark.parametrize("scatter", ["specimen", "none"])
def test_standard_errors_are_calibrated(scatter):
    """Over repeated experiments the standard error is the spread of the estimate, specimens' differences included."""
    rng = np.random.default_rng(0)
    model = pima.PIMA({"y": pima.Physics("proportional", scatter=scatter)}, clusters=1, latent_dim=1)
    found, errors = [], []
    for _ in range(20):
        experts = model.fit(lines(rng, 40), epochs=1, progress=False).parameters
        found.append(experts.value.item())
        errors.append(experts.std_error.item())
    pull = (np.array(found) - 3.0) / np.array(errors)
    assert 0.6 < pull.std() < 1.5
    assert abs(pull.mean()) < 4 / np.sqrt(20)
    assert np.mean(errors) == pytest.approx(0.4 / np.sqrt(40), rel=0.2)


def test_own_parameters_cover_the_truth_as_often_as_their_errors_say():
    rng = np.random.default_rng(1)
    t = np.linspace(0, 1, 10)
    slope = 3.0 + 0.4 * rng.standard_normal(150)
    y = slope[:, None] * t + 0.5 * rng.standard_normal((150, 10))
    data = xr.Dataset({"y": (("specimen", "t"), y)}, coords={"t": t})
    fit = pima.PIMA({"y": pima.Physics("proportional")}, 1, latent_dim=1).fit(data, epochs=1, progress=False)
    own = fit.specimens.isel(parameter=0)
    pull = (own.value - slope) / own.std_error
    assert 0.85 < float(pull.std()) < 1.15
    # Shrunk towards the population: closer to the truth than each curve's own least squares.
    alone = (y * t).sum(1) / (t * t).sum()
    assert float(((own.value - slope) ** 2).mean()) < 0.8 * ((alone - slope) ** 2).mean()


def start(data, clusters, seed=0, **options):
    modalities = {"stress": pima.Physics("linear_hardening", **options)}
    measurements = read(data, wanted(modalities))
    specs = learn_specs(measurements, modalities)
    return physics_first(to_tensors(measurements, specs, "cpu"), modalities, specs, clusters, seed)


@pytest.mark.parametrize("scatter", ["specimen", "none"])
def test_physics_first_finds_the_populations_before_any_network(scatter):
    data = hardening_curves(40, 5)
    mixture, gamma = start(data, 2, scatter=scatter)
    assert pima.metrics.cluster_accuracy(data.label, gamma.argmax(1).numpy()) == 1.0
    assert (gamma.max(1).values > 0.99).all()
    np.testing.assert_allclose(gamma.sum(1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(sorted(mixture.decoders["stress"].theta[:, 0]), [120, 200], rtol=0.05)


def test_physics_first_gives_specimens_without_a_curve_the_weights():
    data = hardening_curves(40, 5)
    data.stress[[3, 8]] = np.nan
    mixture, gamma = start(data, 2)
    np.testing.assert_allclose(gamma[[3, 8]], mixture.log_weights.exp().expand(2, 2), rtol=1e-6)


@pytest.mark.slow
def test_physics_first_is_the_same_for_the_same_seed():
    data = hardening_curves(30, 6)
    one, again = start(data, 3, seed=4), start(data, 3, seed=4)
    np.testing.assert_array_equal(one[1], again[1])
    np.testing.assert_array_equal(one[0].decoders["stress"].theta, again[0].decoders["stress"].theta)


def test_curves_all_alike_need_no_luck():
    """Noise-free copies: fewer different curves than starts can tell apart, and no warning from below."""
    data = hardening_curves(30, 7, spread=0.0, noise=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", PimaWarning)
        model = pima.PIMA({"stress": pima.Physics("linear_hardening")}, clusters=3, latent_dim=1)
        fit = model.fit(data, epochs=2, progress=False)
    assert pima.metrics.cluster_accuracy(data.label, np.where(fit.specimens.cluster == 0, 0, 1)) >= 0.5
    assert np.isfinite(fit.elbo)
    best = fit.parameters.value.sel(parameter="E", cluster=fit.specimens.cluster).values
    np.testing.assert_allclose(best, data.E, rtol=1e-3)


def test_latent_partition_finds_clouds():
    rng = np.random.default_rng(0)
    label = np.arange(200) % 3
    means = 4.0 * np.eye(3)[label] + 0.3 * rng.standard_normal((200, 3))
    gamma = latent_partition(means, 3, 0)
    assert pima.metrics.cluster_accuracy(label, gamma.argmax(1)) == 1.0
