"""Every kind of modality, alone and together, complete or not: fitted, asked, saved."""

import warnings

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import PimaWarning

N = 40


@pytest.fixture(autouse=True)
def _few_epochs_may_leave_clusters_alike():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PimaWarning)
        yield


@pytest.fixture(scope="module")
def label():
    return np.arange(N) % 2


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(0)


def noise(rng, *shape):
    return 0.1 * rng.standard_normal(shape)


@pytest.fixture(scope="module")
def kinds(rng, label):
    """One variable of every kind; all of them tell the two populations apart."""
    y = label.astype(float)
    t = np.linspace(0.0, 1.0, 12)
    stripe = np.zeros((2, 8, 9))
    stripe[0, 2:4], stripe[1, :, 5:8] = 1.0, 1.0
    ball = np.zeros((2, 8, 8, 8))
    ball[0, 2:5, 2:5, 2:5], ball[1, 4:, :3, :] = 1.0, 1.0
    return xr.Dataset(
        {
            "scalar": ("specimen", y + noise(rng, N), {"units": "kg"}),
            "vector": (("specimen", "feature"), y[:, None] * [1, -1, 2] + noise(rng, N, 3)),
            "spectrum": (("specimen", "wavelength"), np.sin((2 + 3 * y[:, None]) * t) + noise(rng, N, 12)),
            "channels": (("specimen", "wavelength", "channel"), y[:, None, None] + noise(rng, N, 12, 2)),
            "image": (("specimen", "y", "x"), stripe[label] + noise(rng, N, 8, 9), {"units": "lx"}),
            "photo": (("specimen", "y", "x", "channel"), stripe[label][..., None] * [1, 2] + noise(rng, N, 8, 9, 2)),
            "bytes": (("specimen", "y", "x"), (200 * stripe[label] + 5).astype(np.uint8)),
            "volume": (("specimen", "z", "y8", "x8"), ball[label] + noise(rng, N, 8, 8, 8)),
            "curve": (("specimen", "strain"), (2 + 3 * y[:, None]) * t + noise(rng, N, 12), {"units": "MPa"}),
        },
        coords={"wavelength": t + 1, "strain": t, "label": ("specimen", label), "feature": ["a", "b", "c"]},
    )


def fit_of(data, physics=("curve",), clusters=2, epochs=5, neural=None, **options):
    neural = neural or pima.Neural()
    modalities = {str(name): pima.Physics("proportional") if name in physics else neural for name in data.data_vars}
    return pima.PIMA(modalities, clusters, **{"latent_dim": 2, **options}).fit(data, epochs=epochs, progress=False)


def check(fit, data, tmp_path, accuracy=0.95):
    """The answers have the data's shape and unit, are right, and survive files."""
    answer = fit.infer(data)
    for name in data.data_vars:
        assert set(answer[name].dims) == set(data[name].dims), name
        assert answer[name].sizes == {d: data.sizes[d] for d in answer[name].dims}, name
        assert np.isfinite(answer[name]).all(), name
        assert answer[name].attrs["units"] == data[name].attrs.get("units", "1")
    if fit.model.options.clusters == 2:
        assert pima.metrics.cluster_accuracy(data.label, answer.cluster) >= accuracy
    xr.testing.assert_identical(pima.load(fit.save(tmp_path / "fit.pima")).infer(data), answer)
    made = fit.generate(0, n=3)
    walk = fit.traverse(0, steps=3)
    for name in data.data_vars:
        for table, leading in ((made, ("specimen",)), (walk, ("latent", "step")), (fit.clusters, ("cluster",))):
            assert set(table[name].dims) == {*leading, *data[name].dims[1:]}
            assert np.isfinite(table[name]).all()
    answer.to_netcdf(tmp_path / "answer.nc")
    with xr.open_dataset(tmp_path / "answer.nc") as back:
        np.testing.assert_array_equal(back.responsibilities, answer.responsibilities)
    return answer


@pytest.mark.parametrize("name", ["scalar", "vector", "spectrum", "channels", "image", "photo", "bytes", "volume"])
def test_every_kind_beside_a_curve(kinds, tmp_path, name):
    data = kinds[[name, "curve"]]
    fit = fit_of(data, epochs=25)
    answer = check(fit, data, tmp_path)
    # Decoded means are nearer to their own population's mean than to the other's.
    values = data[name].astype(float)
    means = values.groupby("label").mean()
    dims = [d for d in data[name].dims if d != "specimen"]
    away = ((answer[name] - means) ** 2).mean(dims) if dims else (answer[name] - means) ** 2
    near = away.idxmin("label") == data.label
    assert float(near.mean()) > 0.9
    assert set(map(str, fit.infer(data[[name]]).data_vars)) >= {name, "curve", "curve_low", "curve_high"}


@pytest.mark.slow
def test_all_kinds_at_once(kinds, tmp_path):
    check(fit_of(kinds, epochs=3), kinds, tmp_path)


@pytest.mark.parametrize("name", ["curve", "spectrum"])
def test_one_modality_alone(kinds, tmp_path, name):
    data = kinds[[name]]
    # With a noise of one range a short curve is worth no latent information: the noise must be learned.
    fit = fit_of(data, epochs=30, neural=pima.Neural(noise="learned"))
    answer = check(fit, data, tmp_path, accuracy=0.9)
    np.testing.assert_allclose(answer.responsibilities.sum("cluster"), 1.0)
    assert fit.predictor.encoders is None
    assert "out_of_population" in answer


@pytest.mark.slow
def test_images_alone_need_no_physics(digits, tmp_path):
    data = digits[["image"]]
    fit = pima.PIMA({"image": pima.Neural(noise="learned")}, 3, latent_dim=3).fit(data, epochs=30, progress=False)
    answer = fit.infer(data)
    assert pima.metrics.cluster_accuracy(data.label, answer.cluster) > 0.8
    error = np.sqrt(((answer.image - data.image) ** 2).mean())
    assert error < float(data.image.std())


@pytest.mark.parametrize("options", [{"clusters": 1}, {"latent_dim": 1}, {"clusters": 1, "latent_dim": 1}], ids=str)
def test_the_smallest_models(kinds, tmp_path, options):
    data = kinds[["vector", "curve"]]
    fit = fit_of(data, **options)
    answer = check(fit, data, tmp_path)
    assert answer.sizes["cluster"] == options.get("clusters", 2)
    assert answer.sizes["latent"] == options.get("latent_dim", 2)
    if "clusters" in options:
        assert (answer.responsibilities == 1.0).all()


def test_more_clusters_than_populations(kinds, tmp_path):
    check(fit_of(kinds[["vector", "curve"]], clusters=4), kinds[["vector", "curve"]], tmp_path)


@pytest.mark.parametrize("rule", ["exact", "latent", "sampled"])
@pytest.mark.parametrize("update", ["wls", "adam"])
def test_every_rule_and_update(kinds, tmp_path, rule, update):
    data = kinds[["vector", "curve"]]
    model = pima.PIMA({"vector": pima.Neural(), "curve": pima.Physics("affine")}, 2, 2, responsibilities=rule,
                      inference="paper")  # fmt: skip
    # The paper's own rule, from samples, may lose a cluster: what holds for all is that they run and answer.
    accuracy = 0.5 if rule == "sampled" else 0.9
    check(model.fit(data, epochs=6, update=update, em="online", progress=False), data, tmp_path, accuracy)


@pytest.mark.parametrize(
    "options", [{"prior_expert": True}, {"beta": 0.3}, {"consistency": 0.0}, {"combine": "posterior"}], ids=str
)
def test_every_option_of_the_model(kinds, tmp_path, options):
    data = kinds[["vector", "curve"]]
    check(fit_of(data, **options), data, tmp_path)


@pytest.mark.parametrize("noise_model", ["pooled", "cluster", "unit"])
@pytest.mark.parametrize("scatter", ["specimen", "none"])
def test_every_option_of_physics(kinds, tmp_path, noise_model, scatter):
    data = kinds[["curve"]]
    model = pima.PIMA({"curve": pima.Physics("proportional", scatter, noise_model)}, 2, latent_dim=1)
    fit = model.fit(data, epochs=2, progress=False)
    # With a noise as large as the largest value nothing can be told apart.
    check(fit, data, tmp_path, accuracy=0.5 if noise_model == "unit" else 0.95)
    noise_std = fit.parameters.noise_std.sel(curve="curve").values
    if noise_model == "unit":
        np.testing.assert_allclose(noise_std, np.abs(data.curve).max())
    else:
        np.testing.assert_allclose(noise_std, 0.1, rtol=0.3)
        assert (noise_std[0] == noise_std[1]) == (noise_model == "pooled")
    assert bool((fit.parameters.scatter_std > 0).any()) == (scatter == "specimen")


def test_learned_noise_is_the_mean_squared_error(kinds):
    """In units of the range: 0.1 of noise on a picture that goes from about 0 to 1."""
    model = pima.PIMA({"image": pima.Neural(noise="learned"), "curve": pima.Physics("proportional")}, 2, latent_dim=2)
    fit = model.fit(kinds[["image", "curve"]], epochs=40, progress=False)
    spread = float(kinds.image.max() - kinds.image.min())
    assert np.sqrt(fit.predictor.state.noise["image"]) * spread == pytest.approx(0.1, rel=0.4)


def test_flips_and_shifts_keep_the_answer(kinds, tmp_path):
    data = kinds[["image", "curve"]]
    model = pima.PIMA({"image": pima.Neural(flips=("x",), shift=0.1), "curve": pima.Physics("proportional")}, 2, 2)
    check(model.fit(data, epochs=6, progress=False), data, tmp_path)


# -- physics in every form -------------------------------------------------------------------------------------------


def ragged_curves(label, rng, presence=None):
    end = rng.uniform(0.6, 1.0, N)
    count = rng.integers(9, 15, N)
    strain = np.full((N, 14), np.nan)
    stress = np.full((N, 14), np.nan)
    for d in range(N):
        strain[d, : count[d]] = np.linspace(0.0, end[d], count[d])
        stress[d, : count[d]] = (2 + 3 * label[d]) * strain[d, : count[d]] + noise(rng, count[d])
    if presence is not None:
        strain[~presence], stress[~presence] = np.nan, np.nan
    return xr.Dataset(
        {"stress": (("specimen", "point"), stress, {"units": "MPa", "independent": "strain"})},
        coords={"strain": (("specimen", "point"), strain, {"units": "1"}), "label": ("specimen", label)},
    )


def test_ragged_physics(label, rng, tmp_path, kinds):
    data = ragged_curves(label, rng).assign(vector=kinds.vector)
    fit = fit_of(data, physics=("stress",))
    answer = fit.infer(data)
    assert pima.metrics.cluster_accuracy(label, answer.cluster) == 1.0
    assert answer.stress.dims == ("specimen", "strain")
    assert float(answer.strain.min()) == 0.0
    assert float(answer.strain.max()) == pytest.approx(float(data.strain.max()))
    np.testing.assert_allclose(answer.stress[:, -1] / answer.strain[-1], 2 + 3 * label, atol=0.4)
    np.testing.assert_allclose(np.sort(fit.parameters.value.values.ravel()), [2, 5], atol=0.1)
    xr.testing.assert_identical(pima.load(fit.save(tmp_path / "fit.pima")).infer(data), answer)
    one = fit.infer(data.isel(specimen=[3]))
    xr.testing.assert_allclose(one, answer.isel(specimen=[3]), rtol=1e-5, atol=1e-6)


def test_two_ragged_curves_over_one_strain(label, rng):
    """Stress and width over the same strain; one of them missing where the grid would have been widest."""
    data = ragged_curves(label, rng)
    width = (1 - 0.3 * data.strain + 0.01 * rng.standard_normal(data.strain.shape)).where(
        data.strain.max("point") < 0.95
    )
    data["width"] = ("specimen", "point"), width.values, {"independent": "strain", "units": "mm"}
    model = pima.PIMA({"stress": pima.Physics("proportional"), "width": pima.Physics("affine")}, 2, latent_dim=1)
    fit = model.fit(data, epochs=2, progress=False)
    answer = fit.infer(data)
    assert answer.stress.sizes["specimen"] == answer.width.sizes["specimen"] == N
    assert np.isfinite(answer.stress).all()
    assert np.isfinite(answer.width).all()
    assert pima.metrics.cluster_accuracy(label, answer.cluster) == 1.0


def test_masked_curves(kinds, rng, tmp_path):
    curve = kinds.curve.where(rng.random(kinds.curve.shape) < 0.6)
    data = kinds[["vector"]].assign(curve=curve)
    fit = fit_of(data)
    answer = fit.infer(data)
    assert pima.metrics.cluster_accuracy(data.label, answer.cluster) == 1.0
    assert np.isfinite(answer.curve).all()
    assert float(np.sqrt(((answer.curve - kinds.curve) ** 2).mean())) < 0.15
    xr.testing.assert_identical(pima.load(fit.save(tmp_path / "fit.pima")).infer(data), answer)
    # Complete curves are answered by a fit that has seen gaps only.
    assert pima.metrics.cluster_accuracy(kinds.label, fit.infer(kinds[["curve"]]).cluster) == 1.0


def test_several_physics_modalities(kinds, tmp_path):
    t = kinds.strain
    force = (1 - 2 * kinds.label) * t + 1 + noise(np.random.default_rng(3), N, 12)
    data = kinds[["curve", "vector"]].assign(force=force.transpose("specimen", "strain").assign_attrs(units="N"))
    model = pima.PIMA(
        {"curve": pima.Physics("proportional"), "vector": pima.Neural(), "force": pima.Physics("affine")}, 2, 2
    )
    fit = model.fit(data, epochs=4, progress=False)
    answer = fit.infer(data[["curve"]])
    assert pima.metrics.cluster_accuracy(data.label, answer.cluster) == 1.0
    assert np.abs(answer.force - (1 - 2 * data.label) * t - 1).max() < 0.3
    assert answer.force.attrs["units"] == "N"
    check(fit, data, tmp_path)


def test_a_window_fits_only_what_is_inside(kinds):
    """Beyond 0.5 the curve is another: inside the window the slope is the truth."""
    data = kinds[["curve"]].copy(deep=True)
    data["curve"] = data.curve + 30 * (data.strain - 0.5).clip(min=0)
    data["curve"].attrs["units"] = "MPa"
    model = lambda window: pima.PIMA({"curve": pima.Physics("proportional", window=window)}, 2, latent_dim=1)  # noqa: E731
    inside = model((0.0, 0.5)).fit(data, epochs=1, progress=False)
    np.testing.assert_allclose(np.sort(inside.parameters.value.values.ravel()), [2, 5], atol=0.25)
    outside = model(None).fit(data, epochs=1, progress=False)
    assert (outside.parameters.value > 6).all()
    answer = inside.infer(data)
    assert answer.curve.sizes["strain"] == 12
    assert pima.metrics.cluster_accuracy(data.label, answer.cluster) == 1.0


def test_a_window_of_ragged_curves(label, rng):
    data = ragged_curves(label, rng)
    data["stress"] = data.stress + 30 * (data.strain - 0.5).clip(min=0)
    data["stress"].attrs = {"units": "MPa", "independent": "strain"}
    model = pima.PIMA({"stress": pima.Physics("proportional", window=(0.0, 0.5))}, 2, latent_dim=1)
    fit = model.fit(data, epochs=1, progress=False)
    np.testing.assert_allclose(np.sort(fit.parameters.value.values.ravel()), [2, 5], atol=0.25)


def test_a_formula_that_is_not_linear(label, rng, tmp_path):
    t = np.linspace(0.05, 1.0, 12)
    y = (3 + 2 * label[:, None]) * t ** np.where(label, 0.3, 0.7)[:, None] + noise(rng, N, 12) / 5
    data = xr.Dataset(
        {"curve": (("specimen", "strain"), y, {"units": "MPa"})}, coords={"strain": t, "label": ("specimen", label)}
    )
    power = pima.SympyExpert("K * strain**n", t="strain", units={"K": "{y}"}, bounds={"K": (0, None), "n": (0, 1)})
    fit = pima.PIMA({"curve": pima.Physics(power)}, 2, latent_dim=1).fit(data, epochs=2, progress=False)
    check(fit, data, tmp_path)
    order = np.argsort(fit.parameters.value.sel(parameter="K").values)
    np.testing.assert_allclose(fit.parameters.value.sel(parameter="K")[order], [3, 5], rtol=0.05)
    np.testing.assert_allclose(fit.parameters.value.sel(parameter="n")[order], [0.7, 0.3], rtol=0.1)
    assert list(fit.parameters.unit.values) == ["MPa", "1"]


# -- missing ---------------------------------------------------------------------------------------------------------


def test_modalities_missing_in_training(kinds):
    """A third has no picture, another third no curve: all are fitted and answered."""
    data = kinds[["image", "curve"]].copy(deep=True)
    data.image[0:12] = np.nan
    data.curve[14:27] = np.nan
    fit = fit_of(data, epochs=10)
    assert fit.specimens.sizes["specimen"] == N
    answer = fit.infer(data)
    assert pima.metrics.cluster_accuracy(data.label, answer.cluster) > 0.9
    assert np.isfinite(answer.image).all()
    assert np.isfinite(answer.curve).all()
    whole = fit.infer(kinds[["image", "curve"]])
    assert pima.metrics.cluster_accuracy(kinds.label, whole.cluster) > 0.95


def test_pictures_of_integers_are_absent_by_a_flag(kinds):
    data = kinds[["bytes", "curve"]].assign(bytes_present=("specimen", np.arange(N) % 3 > 0))
    model = pima.PIMA({"bytes": pima.Neural(), "curve": pima.Physics("proportional")}, 2, latent_dim=2)
    fit = model.fit(data, epochs=4, progress=False)
    other = data.copy(deep=True)
    other.bytes[::3] = 77
    xr.testing.assert_identical(fit.infer(other), fit.infer(data))
    with pytest.warns(pima.PimaWarning, match="their answers are NaN"):
        answer = fit.infer(data[["bytes", "bytes_present"]])
    there = data.bytes_present.values
    np.testing.assert_array_equal(answer.cluster == -1, ~there)
    np.testing.assert_array_equal(answer.responsibilities.isnull().all("cluster"), ~there)
    assert pima.metrics.cluster_accuracy(data.label[there], answer.cluster[there]) > 0.95


def test_absent_values_do_not_matter_in_training(kinds):
    """What stands where a flag says "absent" changes nothing: the same fit to the bit."""
    data = kinds[["bytes", "curve"]].assign(bytes_present=("specimen", np.arange(N) % 3 > 0))
    other = data.copy(deep=True)
    other.bytes[::3] = 255 - other.bytes[::3]
    model = pima.PIMA({"bytes": pima.Neural(), "curve": pima.Physics("proportional")}, 2, latent_dim=2)
    one, two = (model.fit(d, epochs=2, progress=False) for d in (data, other))
    xr.testing.assert_identical(one.infer(data), two.infer(data))


def test_a_fit_from_hardly_any_shared_specimens(kinds):
    """Pictures of half the specimens, curves of the other half, four with both."""
    data = kinds[["image", "curve"]].copy(deep=True)
    data.image[:18] = np.nan
    data.curve[22:] = np.nan
    answer = fit_of(data, epochs=10).infer(data)
    assert np.isfinite(answer.curve).all()
    np.testing.assert_allclose(answer.responsibilities.sum("cluster"), 1.0)
    assert pima.metrics.cluster_accuracy(data.label[:22], answer.cluster[:22]) == 1.0


def test_two_physics_modalities_that_never_meet(kinds):
    data = kinds[["curve"]].assign(other=(2 * kinds.curve).assign_attrs(units="N")).copy(deep=True)
    data.curve[:20] = np.nan
    data.other[20:] = np.nan
    model = pima.PIMA({"curve": pima.Physics("proportional"), "other": pima.Physics("proportional")}, 2, latent_dim=1)
    fit = model.fit(data, epochs=3, progress=False)
    assert np.isfinite(fit.parameters.value).all()
    assert np.isfinite(fit.infer(data).responsibilities).all()


# -- types -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def black_and_white(kinds):
    """A picture of zeros and ones, which every type can hold, its model, and the answers of float64."""
    exact = (kinds[["image"]] > 0.5).astype("float64").assign(curve=kinds.curve)
    model = pima.PIMA({"image": pima.Neural(), "curve": pima.Physics("proportional")}, 2, latent_dim=2)
    return exact, model, model.fit(exact, epochs=1, progress=False).infer(exact)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int16", "uint8", ">f4", ">f8", ">i4", "bool"])
def test_every_type_of_number_gives_the_same_answer(black_and_white, dtype):
    exact, model, expected = black_and_white
    other = exact.assign(image=exact.image.astype(dtype))
    xr.testing.assert_identical(model.fit(other, epochs=1, progress=False).infer(other), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", ">f8", ">i2"])
def test_every_type_of_curve_works(kinds, dtype):
    data = (kinds[["curve"]] * 100).round().astype(dtype)
    data = data.assign_coords(label=kinds.label, strain=kinds.strain.astype(">f4"))
    fit = fit_of(data, epochs=1)
    np.testing.assert_allclose(np.sort(fit.parameters.value.values.ravel()), [200, 500], rtol=0.05)


def test_read_only_data_are_fine(kinds):
    data = kinds[["image", "curve"]].copy(deep=True)
    for name in data.variables:
        data[name].values.setflags(write=False)
    assert np.isfinite(fit_of(data, epochs=1).elbo)


def test_data_on_disk_are_read(kinds, tmp_path):
    kinds[["image", "curve"]].to_netcdf(tmp_path / "data.nc")
    with xr.open_dataset(tmp_path / "data.nc") as data:
        fit = fit_of(data, epochs=2)
        xr.testing.assert_identical(fit.infer(data), fit.infer(kinds[["image", "curve"]]))


def test_no_labels_no_coordinates_no_units(kinds):
    bare = xr.Dataset(
        {
            "vector": (("specimen", "feature"), kinds.vector.values),
            "curve": (("specimen", "strain"), kinds.curve.values),
        },
        coords={"strain": kinds.strain.values},
    )
    fit = fit_of(bare)
    answer = fit.infer(bare)
    assert pima.metrics.cluster_accuracy(kinds.label, answer.cluster) == 1.0
    assert answer.curve.attrs["units"] == "1"
    assert "specimen" not in answer.coords


def test_specimens_of_several_levels(kinds):
    """A MultiIndex of batch and number is carried to the answers."""
    data = kinds[["vector", "curve"]].assign_coords(
        batch=("specimen", np.arange(N) // 10), number=("specimen", np.arange(N) % 10)
    )
    data = data.set_index(specimen=["batch", "number"])
    fit = fit_of(data, epochs=2)
    answer = fit.infer(data)
    np.testing.assert_array_equal(answer.batch, np.arange(N) // 10)
    assert float(answer.sel(batch=2, number=3).responsibilities.sum()) == pytest.approx(1.0)
