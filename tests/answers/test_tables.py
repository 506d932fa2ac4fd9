"""Parameters per cluster and per specimen: errors against formulas, finite differences and changes of unit."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.answers.mixture_information import mixture_covariances
from pima_toolkit.answers.tables import shown_std
from pima_toolkit.data import read
from pima_toolkit.errors import PimaWarning
from pima_toolkit.fitting.inputs.spec import schemas
from pima_toolkit.fitting.inputs.tensors import to_tensors


def lines(specimens=40, seed=0, t_factor=1.0, y_factor=1.0):
    """Two populations of straight lines with intercepts, in any units."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 2
    t = np.linspace(0.0, 1.0, 10)
    slope = np.where(label, 3.0, 8.0) + 0.3 * rng.standard_normal(specimens)
    start = np.where(label, 1.0, -1.0) + 0.2 * rng.standard_normal(specimens)
    y = slope[:, None] * t + start[:, None] + 0.1 * rng.standard_normal((specimens, 10))
    return xr.Dataset(
        {"y": (("specimen", "t"), y * y_factor, {"units": "N"})},
        coords={"t": ("t", t * t_factor, {"units": "s"}), "label": ("specimen", label), "slope": ("specimen", slope)},
    )


def fit_lines(data, **options):
    return pima.PIMA({"y": pima.Physics("affine", **options)}, 2, latent_dim=1).fit(data, epochs=2, progress=False)


@pytest.fixture(scope="module")
def affine():
    data = lines()
    return fit_lines(data), data


def test_cluster_covariance_on_a_shared_grid_is_the_formula(affine):
    """(S_c + v (J^T J)^-1) / (W_c - 1) where populations are far apart: as of the mean of W_c numbers."""
    fit, data = affine
    predictor = fit.predictor
    decoder = predictor.state.decoders["y"]
    t = data.t.values
    J = np.stack([t, np.ones_like(t)], 1) / decoder.scale
    weight = fit.specimens.responsibilities.sum("specimen").values
    for c in range(2):
        expected = (decoder.scatter[c].numpy() + decoder.variance[c].item() * np.linalg.inv(J.T @ J)) / (weight[c] - 1)
        np.testing.assert_allclose(predictor.covariance["y"][c], expected, rtol=1e-4)
        np.testing.assert_allclose(fit.parameters.std_error.sel(cluster=c), np.sqrt(np.diag(expected)), rtol=1e-4)
        np.testing.assert_allclose(
            fit.parameters.scatter_std.sel(cluster=c), np.sqrt(np.diag(decoder.scatter[c].numpy())), rtol=1e-8
        )


def test_cluster_covariance_without_scatter_is_the_curve_clustered_sandwich():
    data = lines()
    fit = fit_lines(data, scatter="none")
    decoder = fit.predictor.state.decoders["y"]
    t, gamma = data.t.values, fit.specimens.responsibilities.values
    J = np.stack([t, np.ones_like(t)], 1)
    bread = np.linalg.inv(J.T @ J)
    for c in range(2):
        residual = data.y.values - decoder.theta[c] @ J.T
        score = gamma[:, c, None] * (residual @ J)
        expected = bread @ (score.T @ score) @ bread / gamma[:, c].sum() ** 2
        np.testing.assert_allclose(fit.predictor.covariance["y"][c], expected, rtol=1e-6)


def test_errors_are_the_same_in_every_unit(affine):
    """Newtons over seconds, or meganewtons over nanoseconds."""
    fit, _ = affine
    other = fit_lines(lines(t_factor=1e-9, y_factor=1e-6))
    factor = np.array([1e-6 / 1e-9, 1e-6])
    order = np.argsort(fit.parameters.value[:, 0].values), np.argsort(other.parameters.value[:, 0].values)
    for name in ("value", "std_error", "scatter_std"):
        mine, theirs = fit.parameters[name].values[order[0]], other.parameters[name].values[order[1]]
        np.testing.assert_allclose(theirs / factor, mine, rtol=1e-4, err_msg=name)


def test_gaps_and_own_grids_lose_information(affine):
    """Fewer points: larger errors, by the inverse information of what was observed, written out densely."""
    fit, data = affine
    rng = np.random.default_rng(1)
    gappy = data.assign(y=data.y.where(rng.random(data.y.shape) < 0.5))
    predictor = fit.predictor
    decoder = predictor.state.decoders["y"]
    tensors = to_tensors(read(gappy, schemas(predictor.specs)), predictor.specs, "cpu")
    gamma = torch.tensor(fit.specimens.responsibilities.values)
    weight = gamma.sum(0).numpy()
    found = mixture_covariances({"y": decoder}, tensors, gamma, shrinkage=10.0)["y"]
    t = data.t.values
    J = np.stack([t, np.ones_like(t)], 1) / decoder.scale
    seen = np.isfinite(gappy.y.values)
    for c in range(2):
        information = np.zeros((2, 2))
        for d in range(40):
            mine = J[seen[d]]
            sigma = mine @ decoder.scatter[c].numpy() @ mine.T + decoder.variance[c].item() * np.eye(len(mine))
            information += gamma[d, c].item() * mine.T @ np.linalg.solve(sigma, mine)
        expected = np.linalg.inv(information) * weight[c] / (weight[c] - 1)
        np.testing.assert_allclose(found[c], expected, rtol=0.05)
        assert (np.diag(found[c]) > np.diag(predictor.covariance["y"][c])).all()


def test_own_parameters_are_the_clusters_plus_the_deviation(affine):
    fit, data = affine
    decoder = fit.predictor.state.decoders["y"]
    t = data.t.values
    J = np.stack([t, np.ones_like(t)], 1)
    v = decoder.variance[0].item() * decoder.scale**2
    for d in (0, 1, 17):
        c = int(fit.specimens.cluster[d])
        S = decoder.scatter[c].numpy()
        V = np.linalg.inv(np.linalg.inv(S) + J.T @ J / v)
        own = decoder.theta[c] + V @ J.T @ (data.y.values[d] - J @ decoder.theta[c]) / v
        np.testing.assert_allclose(fit.specimens.value[d], own, rtol=1e-6)
        np.testing.assert_allclose(fit.specimens.std_error[d], np.sqrt(np.diag(V)), rtol=1e-6)
    assert np.corrcoef(fit.specimens.value[:, 0], data.slope)[0, 1] > 0.99


def test_specimens_without_the_curve_have_no_parameters_of_it(two_populations, small_model):
    data = two_populations(30)
    data.stress[4] = np.nan
    fit = small_model().fit(data, epochs=3, progress=False)
    assert np.isnan(fit.specimens.value[4]).all()
    assert np.isnan(fit.specimens.std_error[4]).all()
    assert np.isfinite(fit.specimens.value[5]).all()
    assert fit.specimens.responsibilities[4].sum() == pytest.approx(1.0)


def test_without_scatter_own_parameters_are_the_clusters():
    fit = fit_lines(lines(), scatter="none")
    table = fit.specimens
    best = fit.parameters.sel(cluster=xr.DataArray(table.cluster.values, dims="specimen"))
    np.testing.assert_allclose(table.value, best.value, rtol=1e-12)
    np.testing.assert_allclose(table.std_error, best.std_error, rtol=1e-12)
    assert (fit.parameters.scatter_std == 0).all()


def test_shown_errors_are_the_delta_method(two_populations):
    """E, sigma_y and H from E, eps_y and h: by finite differences of what is shown."""
    expert = pima.get_expert("linear_hardening")
    t = np.linspace(0, 0.05, 30)
    rng = np.random.default_rng(0)
    own = np.array([200.0, 0.02, 0.2]) * np.exp(0.05 * rng.standard_normal((40, 3)))
    stress = expert.value_and_jacobian(t, own)[0] + 0.01 * rng.standard_normal((40, 30))
    data = xr.Dataset({"stress": (("specimen", "strain"), stress, {"units": "GPa"})}, coords={"strain": t})
    fit = pima.PIMA({"stress": pima.Physics("linear_hardening")}, 1, latent_dim=1).fit(data, epochs=1, progress=False)
    decoder = fit.predictor.state.decoders["stress"]
    phi = decoder.bounds.to_unbounded(decoder.theta[0])
    step = 1e-6
    jacobian = np.stack(
        [
            (
                expert.to_reported(decoder.bounds.from_unbounded(phi + e))
                - expert.to_reported(decoder.bounds.from_unbounded(phi - e))
            )
            / (2 * step)
            for e in step * np.eye(3)
        ],
        1,
    )
    covariance = fit.predictor.covariance["stress"][0]
    expected = np.sqrt(np.diag(jacobian @ covariance @ jacobian.T))
    np.testing.assert_allclose(fit.parameters.std_error[0], expected, rtol=1e-4)
    assert list(fit.parameters.parameter.values) == ["E", "sigma_y", "H"]
    assert list(fit.parameters.unit.values) == ["GPa", "GPa", "GPa"]
    np.testing.assert_allclose(fit.parameters.value[0], expert.to_reported(decoder.theta[0]))


def test_a_parameter_at_its_bound_is_flagged_and_has_no_error():
    """Ideal plasticity: no hardening at all, so H sits at zero."""
    expert = pima.get_expert("linear_hardening")
    t = np.linspace(0, 0.05, 30)
    rng = np.random.default_rng(0)
    own = np.array([200.0, 0.02, 0.0]) * np.exp(0.05 * rng.standard_normal((40, 3)))
    stress = expert.value_and_jacobian(t, own)[0] * (1 - 0.1 * np.maximum(t - 0.02, 0) / 0.03)
    stress = stress + 0.01 * rng.standard_normal((40, 30))
    data = xr.Dataset({"stress": (("specimen", "strain"), stress, {"units": "GPa"})}, coords={"strain": t})
    model = pima.PIMA({"stress": pima.Physics("linear_hardening", scatter="none")}, 1, latent_dim=1)
    with pytest.warns(PimaWarning, match=r"stress, population 0.*h sits at a bound"):
        fit = model.fit(data, epochs=1, progress=False)
    row = fit.parameters.sel(cluster=0)
    assert row.at_bound.values.tolist() == [False, False, True]
    assert np.isnan(row.std_error.sel(parameter="H"))
    assert np.isfinite(row.std_error.sel(parameter=["E", "sigma_y"])).all()
    assert "at its bound" in fit.report()


def test_an_empty_cluster_has_no_errors(affine):
    fit, data = affine
    predictor = fit.predictor
    tensors = to_tensors(read(data, schemas(predictor.specs)), predictor.specs, "cpu")
    gamma = torch.zeros(40, 2, dtype=torch.float64)
    gamma[:, 0] = 1.0
    covariance = mixture_covariances(predictor.state.decoders, tensors, gamma)["y"]
    assert np.isfinite(covariance[0]).all()
    assert np.isnan(covariance[1]).all()
    decoder = predictor.state.decoders["y"]
    std = shown_std(decoder, decoder.theta, covariance)
    assert np.isfinite(std[0]).all()
    assert np.isnan(std[1]).all()


def test_effective_specimens_are_the_sums_of_the_responsibilities(affine):
    fit, _ = affine
    np.testing.assert_allclose(fit.parameters.effective_specimens, fit.specimens.responsibilities.sum("specimen"))
    assert float(fit.parameters.effective_specimens.sum()) == pytest.approx(40)


def test_noise_is_given_in_the_unit_of_the_curve(affine):
    fit, _ = affine
    np.testing.assert_allclose(fit.parameters.noise_std.sel(curve="y"), 0.1, rtol=0.2)


def test_parameters_of_two_modalities_are_told_apart(two_populations):
    data = two_populations(40)
    data = data.assign(force=(data.stress * 3).assign_attrs(units="N"))
    model = pima.PIMA({"stress": pima.Physics("proportional"), "force": pima.Physics("affine")}, 2, latent_dim=1)
    fit = model.fit(data, epochs=2, progress=False)
    assert list(fit.parameters.parameter.values) == ["stress.slope", "force.slope", "intercept"]
    assert list(fit.parameters.unit.values) == ["MPa", "N", "N"]
    assert list(fit.parameters.parameter_modality.values) == ["stress", "force", "force"]
    ratio = fit.parameters.value.sel(parameter="force.slope") / fit.parameters.value.sel(parameter="stress.slope")
    np.testing.assert_allclose(ratio, 3.0, rtol=0.05)
    assert fit.parameters.noise_std.dims == ("cluster", "curve")


def test_without_physics_the_tables_are_empty_and_whole(two_populations):
    data = two_populations(40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PimaWarning)
        fit = pima.PIMA({"feature": pima.Neural()}, 2, latent_dim=2).fit(data, epochs=4, progress=False)
    assert fit.parameters.sizes == {"cluster": 2, "parameter": 0, "curve": 0}
    assert fit.specimens.sizes["parameter"] == 0
    assert "2 populations" in fit.report()


def test_the_report_says_what_a_reader_needs(affine):
    fit, _ = affine
    text = fit.report()
    for words in (
        "40 specimens, 2 populations, 1 latent dimension, seed 0",
        "expert affine",
        "population 0: 20.0 specimens (50 %)",
    ):
        assert words in text
    line = next(row for row in text.splitlines() if row.strip().startswith("slope"))
    assert " ± " in line
    assert "N/s" in line
    assert "specimens differ by" in line
    assert "noise of y: 0.1" in text


def test_a_cluster_of_few_specimens_is_not_to_be_trusted(affine):
    fit, _ = affine
    few = fit.record.specimens.copy(deep=True)
    few.responsibilities[:, 1] = 0.0
    few.responsibilities[:3, 1] = 1.0
    text = pima.Fit(fit.predictor, replace(fit.record, specimens=few)).report()
    assert "Fewer than five specimens are in population 1" in text
