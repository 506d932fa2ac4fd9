"""New specimens, walks and cluster centres."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

from pima_toolkit.errors import DataError, OptionError, ShapeError


def test_generated_specimens_have_the_moments_of_their_cluster(fit):
    made = fit.generate(1, n=4000, seed=2)
    centre = fit.clusters.sel(cluster=1)
    error = np.sqrt(centre.variance / 4000)
    assert (np.abs(made.latent_position.mean("specimen") - centre["mean"]) < 5 * error).all()
    np.testing.assert_allclose(made.latent_position.var("specimen"), centre.variance, rtol=0.15)
    slope = made.stress.isel(strain=-1)
    mine = fit.parameters.sel(cluster=1)
    assert float(slope.mean()) == pytest.approx(
        float(mine.value[0]), abs=5 * float(mine.scatter_std[0]) / np.sqrt(4000)
    )
    assert float(slope.std()) == pytest.approx(float(mine.scatter_std[0]), rel=0.1)
    np.testing.assert_allclose(made.stress, slope * made.strain, atol=1e-9)


def test_generated_specimens_look_like_their_population(fit, train):
    for c in range(2):
        made = fit.generate(c, n=200, seed=0)
        back = fit.infer(made[["stress"]])
        assert (back.cluster == c).mean() > 0.97
        label = int(train.label[fit.specimens.cluster.values == c][0])
        expected = train.feature.groupby(train.label).mean().sel(label=label)
        np.testing.assert_allclose(made.feature.mean("specimen"), expected, atol=0.15)


def test_same_seed_same_specimens(fit):
    one = fit.generate(0, n=5, seed=1)
    xr.testing.assert_identical(one, fit.generate(0, n=5, seed=1))
    assert not one.equals(fit.generate(0, n=5, seed=2))
    assert one.sizes["specimen"] == 5
    assert one.stress.attrs["units"] == "MPa"


@pytest.mark.parametrize("cluster", [2, -1, 0.5, "a", True, None])
def test_clusters_that_are_not_there(fit, cluster):
    for ask in (fit.generate, fit.traverse):
        with pytest.raises(OptionError, match=r"this fit has the clusters 0 to 1"):
            ask(cluster)


def test_numbers_of_specimens_and_steps_are_checked(fit):
    for n in (0, -3, 2.5, True):
        with pytest.raises(OptionError, match=r"n=.*whole number of at least 1"):
            fit.generate(0, n=n)
    with pytest.raises(OptionError, match=r"steps=1.*at least 2"):
        fit.traverse(0, steps=1)


def test_a_cluster_may_be_a_numpy_integer(fit):
    xr.testing.assert_identical(fit.generate(np.int64(1)), fit.generate(1))


def test_a_walk_passes_the_centre(fit):
    walk = fit.traverse(0, std=2.0, steps=5)
    assert walk.sizes["latent"] == 2
    np.testing.assert_allclose(walk.step, [-2, -1, 0, 1, 2])
    centre = fit.clusters.sel(cluster=0)
    for latent in range(2):
        np.testing.assert_allclose(walk.feature.isel(latent=latent, step=2), centre.feature, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(walk.responsibilities.sum("cluster"), 1.0)
    gamma = walk.responsibilities
    expected = (gamma * fit.clusters.stress).sum("cluster")
    np.testing.assert_allclose(walk.stress.transpose("latent", "step", "strain"), expected, rtol=1e-6, atol=1e-9)
    assert np.abs(walk.feature.diff("step")).max() > 1e-3


def test_clusters_hold_weights_centres_and_bands(fit, train):
    table = fit.clusters
    assert float(table.weight.sum()) == pytest.approx(1.0)
    np.testing.assert_allclose(table.weight, 0.5, atol=0.01)
    t = train.strain.values
    for c in range(2):
        mine = fit.parameters.sel(cluster=c)
        mean = float(mine.value[0]) * t
        std = np.sqrt((float(mine.scatter_std[0]) * t) ** 2 + float(mine.noise_std[0]) ** 2)
        row = table.sel(cluster=c)
        np.testing.assert_allclose(row.stress, mean, rtol=1e-9, atol=1e-12)
        tail = 0.5 * (1 - fit.predictor.nominal("stress", 0.9))
        np.testing.assert_allclose(row.stress_low, norm.ppf(tail, mean, std), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(row.stress_high, norm.ppf(1 - tail, mean, std), rtol=1e-6, atol=1e-9)
        members = train.stress[fit.specimens.cluster.values == c]
        inside = (members >= row.stress_low) & (members <= row.stress_high)
        assert 0.83 < float(inside.mean()) < 0.96


def test_latent_statistics_are_those_of_the_training_specimens(train, small_model):
    """By the paper's rules; by evidence a population's place follows from its law."""
    fit = small_model(inference="paper").fit(train, epochs=25, progress=False)
    answer = fit.infer(train, predict=())
    for c in range(2):
        mine = answer.posterior_mean[fit.specimens.cluster.values == c]
        spread = mine.var("specimen") + answer.posterior_variance[fit.specimens.cluster.values == c].mean("specimen")
        np.testing.assert_allclose(fit.clusters["mean"].sel(cluster=c), mine.mean("specimen"), atol=0.02)
        np.testing.assert_allclose(fit.clusters.variance.sel(cluster=c), spread, rtol=0.1)


def test_decoding_the_centres_gives_the_populations(fit):
    table = fit.clusters
    made = fit.decode(table["mean"].values)
    np.testing.assert_allclose(made.feature, table.feature, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made.responsibilities.sum("cluster"), 1.0)
    far = fit.decode(table["mean"].values + 40 * (table["mean"].values - table["mean"].values.mean(0)))
    best = far.responsibilities.values.argmax(1)
    for name in ("stress", "stress_low", "stress_high"):
        np.testing.assert_allclose(far[name], table[name].values[best], rtol=1e-6, atol=1e-9)
        assert far[name].attrs["units"] == "MPa"


def test_a_band_between_two_populations_is_the_mixtures(fit):
    between = fit.clusters["mean"].values.mean(0, keepdims=True)
    made = fit.decode(between, coverage=0.5)
    gamma, point = made.responsibilities.values[0], -1
    assert gamma.min() > 0.0
    mine, t = fit.parameters, float(made.strain[point])
    std = np.hypot(mine.scatter_std.values[:, 0] * t, mine.noise_std.values[:, 0])
    tail = 0.5 * (1 - fit.predictor.nominal("stress", 0.5))
    for side, share in (("low", tail), ("high", 1 - tail)):
        edge = float(made[f"stress_{side}"][0, point])
        assert gamma @ norm.cdf(edge, mine.value.values[:, 0] * t, std) == pytest.approx(share, abs=1e-6)


def test_positions_that_are_none_are_refused(fit):
    for position in ([0.0, 1.0], np.zeros((3, 5)), np.zeros((0, 2))):
        with pytest.raises(ShapeError, match=r"positions have shape .* expected \(n, 2\)"):
            fit.decode(position)
    with pytest.raises(ShapeError, match="positions are numbers"):
        fit.decode(object())
    with pytest.raises(DataError, match="positions hold NaN"):
        fit.decode([[0.0, np.nan]])
    with pytest.raises(OptionError, match="coverage=2"):
        fit.decode([[0.0, 0.0]], coverage=2)
