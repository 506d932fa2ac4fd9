"""Johnson-Cook from tests at several rates and temperatures: recovered, and predicted at each one's own test."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError

COOK = pima.SympyExpert(
    "(A + B*strain**n) * (1 + C*log(strain_rate)) * (1 - T**m)",
    t="strain",
    covariates=("strain_rate", "T"),
    name="cook",
    units={"A": "{y}", "B": "{y}"},
    bounds={"A": (0, None), "B": (0, None), "n": (0, 1), "C": (0, 1), "m": (0.1, 5)},
)
TRUE = np.array([[300.0, 500.0, 0.3, 0.015, 1.1], [350.0, 300.0, 0.5, 0.04, 0.8]])
STRAIN = np.linspace(0.0, 0.3, 12)


def cook(rate, temperature, theta):
    A, B, n, C, m = np.moveaxis(np.asarray(theta), -1, 0)[..., None]
    rate, temperature = np.asarray(rate)[..., None], np.asarray(temperature)[..., None]
    return (A + B * STRAIN**n) * (1 + C * np.log(rate)) * (1 - temperature**m)


def population(specimens, seed, scatter, noise=2.0):
    """Two alloys at five rates and four temperatures, and a vector that tells the alloys apart."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 2
    rate = 10.0 ** rng.choice([-3, -1, 0, 2, 3], specimens)
    temperature = rng.choice([0.0, 0.2, 0.4, 0.6], specimens)
    theta = TRUE[label] * (1 + scatter * rng.standard_normal((specimens, 5)) * [1, 1, 0.5, 0, 0])
    stress = cook(rate, temperature, theta) + noise * rng.standard_normal((specimens, STRAIN.size))
    feature = (label[:, None] - 0.5) * np.array([1.0, -1.0, 0.5, 0.0]) + 0.2 * rng.standard_normal((specimens, 4))
    return xr.Dataset(
        {
            "feature": (("specimen", "kind"), feature),
            "stress": (("specimen", "strain"), stress, {"units": "MPa"}),
            "T": ("specimen", temperature),
        },
        coords={
            "strain": STRAIN,
            "strain_rate": ("specimen", rate, {"units": "1/s"}),
            "label": ("specimen", label),
            "level": ("specimen", theta[:, 0] + theta[:, 1] * 0.1 ** theta[:, 2]),
        },
    )


def learn(data, scatter, inference=None, **options):
    """A short training."""
    modalities = {"feature": pima.Neural(), "stress": pima.Physics(COOK, scatter=scatter)}
    model = pima.PIMA(modalities, clusters=2, inference=inference)
    return model.fit(data, **{"epochs": 6, "crossmodal_epochs": 4, "progress": False, **options})


def alloys(fit, data):
    """Which cluster each alloy became, and the share of specimens that went there."""
    agree = fit.specimens.cluster.values == data.label.values
    return (np.array([0, 1]), agree.mean()) if agree.mean() > 0.5 else (np.array([1, 0]), 1 - agree.mean())


@pytest.fixture(scope="module")
def data():
    return population(70, 0, scatter=0.0)


@pytest.fixture(scope="module")
def fit(data):
    return learn(data, "none")


def test_the_parameters_of_both_alloys_are_recovered(fit, data):
    order, share = alloys(fit, data)
    assert share == 1.0
    experts = fit.parameters.isel(cluster=order)
    np.testing.assert_allclose(experts.value, TRUE, rtol=0.05)
    assert (np.abs(experts.value - TRUE) < 5 * experts.std_error).all()
    assert experts.unit.values.tolist() == ["MPa", "MPa", "1", "1", "1"]


@pytest.mark.slow
@pytest.mark.parametrize("vary", ["none", "latent"])
def test_so_are_those_of_specimens_that_differ(vary):
    data = population(60, 1, scatter=0.04)
    model = pima.PIMA({"feature": pima.Neural(), "stress": pima.Physics(COOK, vary=vary)}, clusters=2)
    fit = model.fit(data, epochs=6, crossmodal_epochs=4, progress=False)
    order, share = alloys(fit, data)
    assert share >= 0.98
    experts = fit.parameters.isel(cluster=order)
    # Rates and temperatures are confounded with the specimens' own strength: 5 standard errors, and a tenth.
    assert (np.abs(experts.value - TRUE) < 5 * experts.std_error).all()
    np.testing.assert_allclose(experts.value, TRUE, rtol=0.15)
    A, B, n = (fit.specimens.value.sel(parameter=name).values for name in "ABn")
    # In the cold the temperature's exponent cannot be mistaken for a specimen's own strength.
    cold = data["T"].values == 0.0
    middle = TRUE[data.label.values]
    middle = middle[:, 0] + middle[:, 1] * 0.1 ** middle[:, 2]
    assert np.corrcoef((A + B * 0.1**n - middle)[cold], (data.level.values - middle)[cold])[0, 1] > 0.9
    predicted = fit.infer(data[["feature", "T"]])
    inside = (data.stress >= predicted.stress_low) & (data.stress <= predicted.stress_high)
    assert float(inside.mean()) > 0.8


def test_a_curve_is_predicted_at_its_own_test(fit, data):
    """The same picture, so to speak, at rates and temperatures that were never combined in training."""
    order, _ = alloys(fit, data)
    picture = data.feature.isel(specimen=[0] * 3 + [1] * 3).values
    rate, temperature = np.array([0.03, 7.0, 500.0] * 2), np.array([0.1, 0.5, 0.3] * 2)
    new = xr.Dataset(
        {"feature": (("specimen", "kind"), picture), "T": ("specimen", temperature)},
        coords={"strain_rate": ("specimen", rate, {"units": "1/s"})},
    )
    answer = fit.infer(new)
    np.testing.assert_array_equal(answer.cluster, order[[0, 0, 0, 1, 1, 1]])
    expected = cook(rate, temperature, TRUE[[0, 0, 0, 1, 1, 1]])
    sure = answer.responsibilities.max("cluster").values > 0.99
    assert sure.any()
    np.testing.assert_allclose(answer.stress.values[sure], expected[sure], rtol=0.03)
    assert (answer.stress_low <= answer.stress).all()
    assert answer.stress.attrs["at"] == "strain_rate, T of each specimen"
    assert not answer.outside_range.sel(modality="stress").any()
    hotter = fit.infer(new.assign(T=("specimen", np.full(6, 0.8))))
    assert hotter.outside_range.sel(modality="stress").all()


def test_a_measured_curve_is_explained_at_its_own_test(fit, data):
    answer = fit.infer(data.drop_vars("feature"))
    assert (answer.cluster.values == fit.specimens.cluster.values).all()
    inside = (data.stress >= answer.stress_low) & (data.stress <= answer.stress_high)
    assert 0.85 < float(inside.mean()) < 0.95
    assert not answer.out_of_population.any()
    # Told a wrong temperature, the same curve is no longer one of these.
    wrong = fit.infer(data.drop_vars("feature").assign(T=0.6 - data["T"]).isel(specimen=data["T"].values != 0.3))
    assert wrong.out_of_population.mean() > 0.9


def test_what_is_unknown_is_asked_for(fit, data):
    new = data[["feature"]].drop_vars(["strain_rate"])
    with pytest.raises(
        DataError, match=r"'stress' depends on the covariate 'strain_rate'.*specimens 0, 1, 2, 3, 4 and"
    ):
        fit.infer(new)
    some = data[["feature", "T"]].assign_coords(strain_rate=data.strain_rate.where(data.specimen != 3))
    with pytest.raises(DataError, match=r"specimens 3: add it"):
        fit.infer(some)
    answer = fit.infer(new, predict=["feature"])
    assert "stress" not in answer
    assert np.isfinite(answer.responsibilities).all()
    np.testing.assert_allclose(answer.responsibilities, fit.infer(some, predict=()).responsibilities)
    with pytest.raises(DataError, match="needs the covariate 'T'"):
        fit.infer(data.drop_vars("T"))


def test_populations_are_shown_at_their_mean_or_where_asked(fit, data):
    mean = fit.clusters
    for c in range(2):
        mine = data.isel(specimen=fit.specimens.cluster.values == c)
        rate, temperature = float(mine.strain_rate.mean()), float(mine["T"].mean())
        at = {"strain_rate": rate, "T": temperature}
        expected, _ = COOK.value_and_jacobian({"strain": STRAIN, **at}, fit.parameters.value.values[c])
        np.testing.assert_allclose(mean.stress[c], expected, rtol=1e-6)
        new = fit.generate(c, 3)
        np.testing.assert_allclose(new.stress, np.tile(expected, (3, 1)), rtol=1e-6)
        assert f"strain_rate = {rate:.4g} 1/s (mean of the cluster)" in new.stress.attrs["at"]
        asked = fit.generate(c, 2, at={"strain_rate": 100.0})
        expected, _ = COOK.value_and_jacobian(
            {"strain": STRAIN, **at, "strain_rate": 100.0}, fit.parameters.value.values[c]
        )
        np.testing.assert_allclose(asked.stress, np.tile(expected, (2, 1)), rtol=1e-6)
        assert asked.stress.attrs["at"].startswith("strain_rate = 100 1/s; T = ")
        walk = fit.traverse(c, steps=3, std=0.0, at={"strain_rate": 100.0})
        sure = walk.responsibilities.sel(cluster=c).values > 0.999
        np.testing.assert_allclose(walk.stress.values[sure], np.tile(expected, (sure.sum(), 1)), rtol=1e-3)
        assert asked.strain_rate.values.tolist() == [100.0, 100.0]
        assert asked.strain_rate.attrs["units"] == "1/s"
        assert (fit.infer(new).cluster == c).all(), "what was generated can be read back"
    assert "at" not in fit.generate(0, 2).feature.attrs


def test_what_to_measure_next_is_told_for_tests_at_the_populations_conditions(fit, data):
    waiting = data.drop_vars("stress").isel(specimen=slice(6))
    told = fit.next_measurements(waiting, "stress")
    assert np.isfinite(told.information).all()
    assert (told.about_physics > 0).all()


def test_where_they_are_shown_is_checked(fit):
    with pytest.raises(OptionError, match="at names 'rate', which no expert of this fit takes"):
        fit.generate(0, at={"rate": 1.0})
    with pytest.raises(OptionError, match=r"at\['T'\] is nan: expected one finite number"):
        fit.traverse(0, at={"T": np.nan})


def test_a_saved_fit_answers_alike(fit, data, tmp_path):
    loaded = pima.load(fit.save(tmp_path / "cook.pima"))
    xr.testing.assert_allclose(loaded.infer(data), fit.infer(data))
    xr.testing.assert_identical(loaded.generate(1, 2), fit.generate(1, 2))
    xr.testing.assert_identical(loaded.clusters, fit.clusters)
    with pytest.raises(DataError, match="depends on the covariate 'T'"):
        loaded.infer(data[["feature"]])


def test_gaps_own_grids_windows_and_missing_curves(data):
    """Covariates go with everything else a curve may be."""
    rng = np.random.default_rng(0)
    stretched = STRAIN * rng.uniform(0.9, 1.0, (data.sizes["specimen"], 1))
    exact = [
        COOK.value_and_jacobian({"strain": s, "strain_rate": float(r), "T": float(k)}, TRUE[c])[0]
        for s, r, k, c in zip(stretched, data.strain_rate, data["T"], data.label, strict=True)
    ]
    own = data.copy(deep=True).drop_vars("stress").assign(stress=(("specimen", "point"), np.array(exact)))
    own = own.assign_coords(strain=(("specimen", "point"), stretched))
    own.stress.attrs.update(units="MPa", independent="strain")
    own["stress"][3, 7:] = np.nan
    own["stress"][5:8] = np.nan
    own["strain_rate"][5:7] = np.nan
    model = pima.PIMA(
        {"feature": pima.Neural(), "stress": pima.Physics(COOK, scatter="none", window=(0.0, 0.25))}, clusters=2
    )
    fit = model.fit(own, epochs=4, crossmodal_epochs=2, progress=False)
    order, share = alloys(fit, own)
    assert share > 0.97
    np.testing.assert_allclose(fit.parameters.value.isel(cluster=order), TRUE, rtol=1e-3)
    assert np.isfinite(fit.infer(own.isel(specimen=slice(7, 9))).stress).all()


def test_gradients_learn_them_too(data):
    """``update="adam"`` goes through the torch form."""
    fit = learn(data, "none", "paper", update="adam", epochs=2, crossmodal_epochs=1)
    order, _ = alloys(fit, data)
    np.testing.assert_allclose(fit.parameters.value.isel(cluster=order), TRUE, rtol=0.1)


def test_a_position_is_decoded_at_the_covariates_asked_for(fit):
    centre = fit.clusters["mean"].values
    asked = fit.decode(centre, at={"strain_rate": 100.0, "T": 0.2})
    by_hand = np.stack([cook(100.0, 0.2, theta) for theta in fit.parameters.value.values])
    np.testing.assert_allclose(asked.stress, asked.responsibilities.values @ by_hand, rtol=1e-9)
    usual = fit.decode(centre)
    for k, gamma in enumerate(asked.responsibilities.values):
        at = {name: float(gamma @ fit.predictor.covariates[name]) for name in ("strain_rate", "T")}
        np.testing.assert_allclose(usual.stress[k], fit.decode(centre, at=at).stress[k], rtol=1e-9)
