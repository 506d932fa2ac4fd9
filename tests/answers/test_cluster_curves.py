"""One cluster by lmfit: its parameters, its chi-square, and what is refused."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError

T = np.linspace(0, 0.05, 30)
EXPERT = pima.get_expert("linear_hardening")


def hardening(specimens=40, gaps=False, own=False, seed=0):
    """Two populations that overlap."""
    rng = np.random.default_rng(seed)
    centre = np.where(np.arange(specimens)[:, None] % 2, [200.0, 0.02, 0.1], [170.0, 0.021, 0.12])
    theta = centre * np.exp(0.03 * rng.standard_normal((specimens, 3)))
    stress = EXPERT.value_and_jacobian(T, theta)[0] + 0.3 * rng.standard_normal((specimens, 30))
    if gaps:
        stress[rng.random(stress.shape) < 0.2] = np.nan
    coords = {"strain": T, "specimen": np.arange(specimens)}
    data = xr.Dataset({"stress": (("specimen", "strain"), stress, {"units": "GPa"})}, coords=coords)
    if own:
        grids = T + 1e-4 * np.arange(specimens)[:, None]
        data = data.rename(strain="point").drop_vars("point")
        data = data.assign_coords(strain=(("specimen", "point"), grids))
        data.stress.attrs["independent"] = "strain"
    return data


def fitted(data, scatter="none"):
    model = pima.PIMA({"stress": pima.Physics("linear_hardening", scatter=scatter)}, 2, latent_dim=1)
    return model.fit(data, epochs=12, progress=False)


@pytest.fixture(scope="module")
def plain():
    data = hardening()
    return fitted(data), data


@pytest.mark.parametrize("kind", ["plain", "gaps", "own"])
def test_lmfit_finds_the_clusters_parameters_and_counts_every_point(kind):
    data = hardening(gaps=kind == "gaps", own=kind == "own")
    fit = fitted(data)
    gamma = fit.specimens.responsibilities.values
    assert ((gamma > 0.01) & (gamma < 0.99)).any()
    for c in range(2):
        result = fit.to_lmfit(c)
        row = fit.parameters.sel(cluster=c)
        # Own grids are solved by a step an epoch, shared ones outright.
        found = [result.params[str(name)].value for name in row.parameter.values]
        np.testing.assert_allclose(found, row.value, rtol=1e-2 if kind == "own" else 1e-6)
        theta = [result.params[name].value for name in ("E", "eps_y", "h")]
        t = data.strain.values
        value = EXPERT.value_and_jacobian(t, np.array(theta))[0]
        residual = (data.stress.values - value) / float(row.noise_std.sel(curve="stress"))
        chi_square = np.nansum(gamma[:, c, None] * residual**2)
        assert result.chisqr == pytest.approx(chi_square, rel=1e-6)
        count = (gamma[:, c] * np.isfinite(data.stress.values).sum(1)).sum()
        assert result.ndata == round(count)
        assert result.redchi == pytest.approx(1, abs=0.15)


def test_scaled_errors_are_those_of_independent_points(plain):
    fit, data = plain
    gamma = fit.specimens.responsibilities.values
    ours = EXPERT.fit(T, data.stress.values, weights=gamma)
    for c in range(2):
        covariance = fit.to_lmfit(c).covar
        np.testing.assert_allclose(covariance, ours.naive_covariance[c], rtol=2e-3)


def test_it_reports_has_intervals_and_plots(plain):
    mpl.use("Agg")
    fit, _ = plain
    result = fit.to_lmfit(1, "stress")
    assert "sigma_y" in result.fit_report()
    interval = dict(result.conf_interval(p_names=["E"], sigmas=[1])["E"][:1] + result.conf_interval()["E"][-1:])
    assert all(np.isfinite(list(interval.values())))
    figure = result.plot()
    assert len(figure.axes) == 2


def test_a_parameter_at_its_bound_is_held_so_that_the_others_have_errors():
    rng = np.random.default_rng(0)
    stress = EXPERT.value_and_jacobian(T, np.array([200.0, 0.02, 0.0]))[0] * (1 - np.maximum(T - 0.02, 0))
    stress = stress + 0.01 * rng.standard_normal((20, 30))
    data = xr.Dataset({"stress": (("specimen", "strain"), stress)}, coords={"strain": T})
    model = pima.PIMA({"stress": pima.Physics("linear_hardening", scatter="none")}, 1, latent_dim=1)
    with pytest.warns(pima.PimaWarning, match="sits at a bound"):
        fit = model.fit(data, epochs=1, progress=False)
    result = fit.to_lmfit(0)
    assert result.params["h"].vary is False
    assert result.params["sigma_y"].stderr > 0


def test_a_loaded_fit_needs_its_data(plain, tmp_path):
    fit, data = plain
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    with pytest.raises(DataError, match="a saved fit holds no measured curves: pass data="):
        loaded.to_lmfit(0)
    with pytest.raises(DataError, match="these are not the 40 specimens the fit was trained on"):
        loaded.to_lmfit(0, data=data.isel(specimen=slice(0, 30)))
    named = data.assign_coords(specimen=np.arange(40) + 1)
    with pytest.raises(DataError, match="these are not the 40 specimens"):
        loaded.to_lmfit(0, data=named)
    np.testing.assert_allclose(loaded.to_lmfit(0, data=data).covar, fit.to_lmfit(0).covar, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cluster": 2}, "cluster=2: expected a whole number from 0 to 1"),
        ({"cluster": "a"}, "cluster='a': expected a whole number"),
        ({"cluster": 0, "modality": "strain"}, "'strain' is no physics modality of this fit: .* 'stress'"),
    ],
)
def test_what_does_not_exist_is_refused(plain, arguments, message):
    with pytest.raises(OptionError, match=message):
        plain[0].to_lmfit(**arguments)


def test_several_modalities_need_a_name(two_populations):
    data = two_populations(30)
    data = data.assign(force=(data.stress * 3).assign_attrs(units="N"))
    model = pima.PIMA({"stress": pima.Physics("proportional"), "force": pima.Physics("affine")}, 2, latent_dim=1)
    fit = model.fit(data, epochs=1, progress=False)
    with pytest.raises(OptionError, match="no modality was named: expected modality= one of 'stress', 'force'"):
        fit.to_lmfit(0)
    assert set(fit.to_lmfit(0, "force").params) == {"slope", "intercept"}
    few = pima.Fit(fit.predictor, fit.record)
    few.record.specimens.responsibilities[:, 1] = 0.0
    with pytest.raises(DataError, match="cluster 1 holds 0 points of 'force': too few to fit 'affine' to"):
        few.to_lmfit(1, "force")
