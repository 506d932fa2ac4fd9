"""Baselines: known truths found, nothing leaking between groups, bands that hold what they say, clear refusals."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.answers.baselines import methods
from pima_toolkit.answers.baselines.folds import deal
from pima_toolkit.answers.baselines.held_out import half_width
from pima_toolkit.answers.baselines.inputs import read_given, read_target
from pima_toolkit.answers.baselines.learned import learn
from pima_toolkit.answers.baselines.methods import KERNEL_PENALTIES, METHODS, PLS_COMPONENTS, WIDTHS

QUICK = ("mean", "k nearest", "ridge", "PLS")
NOISE = 0.1


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(methods, "TREES", 20)


def linear(specimens=100, seed=0, noise=NOISE, points=20):
    """Curves that are linear in three hidden numbers, which a picture shows linearly, and a vector exactly."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((specimens, 3))
    t = np.linspace(0.0, 1.0, points)
    stress = hidden @ np.stack([np.sin(2 * np.pi * t), t, t**2]) + noise * rng.standard_normal((specimens, points))
    picture = (hidden @ rng.standard_normal((3, 12 * 10))).reshape(specimens, 12, 10)
    return xr.Dataset(
        {
            "stress": (("specimen", "strain"), stress, {"units": "MPa", "long_name": "stress"}),
            "photo": (("specimen", "y", "x"), picture + 0.01 * rng.standard_normal(picture.shape)),
            "hidden": (("specimen", "number"), hidden),
            "energy": ("specimen", 1e6 + hidden[:, 0], {"units": "J"}),
        },
        coords={
            "strain": ("strain", t, {"units": "1"}),
            "specimen": [f"s{d:03d}" for d in range(specimens)],
            "oven": ("specimen", rng.choice(["left", "right"], specimens)),
            "first": ("specimen", hidden[:, 0]),
        },
    )


@pytest.fixture(scope="module")
def data():
    return linear()


@pytest.fixture(scope="module")
def table(data):
    return pima.baselines(data, target="stress", given=["photo"], methods=QUICK, predictions=True)


def test_a_linear_relation_is_found_to_its_noise_and_the_mean_misses_by_the_standard_deviation(data, table):
    rmse = dict(zip(table.baseline.values.tolist(), table.rmse.values, strict=True))
    spread = float(np.sqrt(data.stress.var("specimen").mean()))
    assert rmse["mean"] == pytest.approx(spread, rel=0.03)
    assert NOISE <= rmse["ridge"] < 1.1 * NOISE
    assert NOISE <= rmse["PLS"] < 1.1 * NOISE
    assert 2 * NOISE < rmse["k nearest"] < 0.6 * spread
    assert table.attrs["best"] in ("ridge", "PLS")
    assert table.rmse.attrs["units"] == "MPa"
    assert table.attrs["how"] == "'stress' predicted from 'photo': 100 specimens, 5 folds."
    assert table.attrs["left_out"] == ""
    assert f"{table.attrs['best']} has the least error of held-out specimens, 0.10" in table.attrs["reading"]
    assert "the training mean has" in table.attrs["reading"]


def test_the_scores_are_those_of_the_predictions(data, table):
    error = table.prediction - data.stress
    assert error.dims == ("baseline", "specimen", "strain")
    np.testing.assert_allclose(table.rmse, np.sqrt((error**2).mean(("specimen", "strain"))))
    for fold in range(5):
        inside = error.isel(specimen=table.held_out_fold.values == fold)
        np.testing.assert_allclose(table.rmse_by_fold.sel(fold=fold), np.sqrt((inside**2).mean(("specimen", "strain"))))
    best = float(table.rmse.min())
    np.testing.assert_allclose(table.rmse_above_best, table.rmse - best)
    squares = (error**2).mean("strain").values  # the jackknife over specimens, slow and plain
    for k, name in enumerate(QUICK):
        without = np.array([np.sqrt(np.delete(squares[k], n).mean()) for n in range(squares.shape[1])])
        jackknife = np.sqrt((len(without) - 1) * without.var())
        assert float(table.rmse_std_error.sel(baseline=name)) == pytest.approx(jackknife, rel=0.02)
    assert float(table.rmse_above_best_std_error.sel(baseline=table.attrs["best"])) == 0.0


def test_the_mean_is_that_of_the_other_folds(data, table):
    fold = table.held_out_fold.values
    for k in range(5):
        expected = data.stress.values[fold != k].mean(0)
        found = table.prediction.sel(baseline="mean").values[fold == k]
        np.testing.assert_allclose(found, np.tile(expected, (len(found), 1)))


def test_the_same_seed_gives_the_same_table_and_another_other_folds(data):
    options = {"methods": ["ridge", "extra trees"], "folds": 3}
    small = data.isel(specimen=slice(0, 30))
    once, again, other = (pima.baselines(small, "stress", "hidden", seed=s, **options) for s in (1, 1, 2))
    xr.testing.assert_identical(once.drop_vars("seconds"), again.drop_vars("seconds"))
    assert not np.array_equal(once.held_out_fold, other.held_out_fold)


def test_own_folds_are_kept(data, table):
    again = pima.baselines(data, "stress", "photo", folds=table.held_out_fold, methods=QUICK)
    np.testing.assert_array_equal(again.held_out_fold, table.held_out_fold)
    np.testing.assert_allclose(again.rmse, table.rmse)
    np.testing.assert_allclose(again.coverage, table.coverage)
    named = data.assign_coords(mine=("specimen", 7 + table.held_out_fold.values))
    by_name = pima.baselines(named, "stress", "photo", folds="mine", methods="ridge")
    assert by_name.fold.values.tolist() == [7, 8, 9, 10, 11]
    assert float(by_name.rmse[0]) == float(table.rmse.sel(baseline="ridge"))


def test_specimens_of_a_negative_fold_only_train(data):
    fold = np.where(np.arange(100) < 70, -2, 0)
    found = pima.baselines(data, "stress", "hidden", folds=fold, methods=["mean", "ridge"], predictions=True)
    assert found.fold.values.tolist() == [0]
    np.testing.assert_array_equal(found.held_out_fold, np.where(fold < 0, -1, 0))
    assert found.prediction.isel(specimen=slice(0, 70)).isnull().all()
    np.testing.assert_allclose(found.prediction[0, 80], data.stress[:70].mean("specimen"))
    assert found.attrs["how"].endswith("100 specimens, one fold of your own, 70 specimens that always train.")
    assert float(found.rmse[1]) < 1.2 * NOISE


def repeats(groups=20, each=5, seed=0):
    """Groups of specimens with nearly the same vector and the same number, which has nothing to do with the vector."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), each)
    vector = rng.standard_normal((groups, 4))[group] + 1e-3 * rng.standard_normal((len(group), 4))
    return xr.Dataset(
        {"vector": (("specimen", "k"), vector), "number": ("specimen", rng.standard_normal(groups)[group])},
        coords={"plate": ("specimen", group), "fours": ("specimen", group % 4)},
    )


def test_neighbours_of_the_same_group_teach_only_where_groups_are_divided():
    data = repeats()
    free = pima.baselines(data, "number", "vector", methods=["mean", "k nearest"])
    kept = pima.baselines(data, "number", "vector", groups="plate", methods=["mean", "k nearest"])
    assert float(free.rmse.sel(baseline="k nearest")) < 0.05
    assert float(kept.rmse.sel(baseline="k nearest")) > 0.9 * float(kept.rmse.sel(baseline="mean"))
    fold = kept.held_out_fold.groupby(kept.held_out_fold.copy(data=data.plate.values))
    assert all(len(np.unique(part)) == 1 for _, part in fold)
    assert "5 folds of whole groups of 'plate' (20)" in kept.attrs["how"]
    assert kept.rmse_std_error.attrs["long_name"] == "its standard error over groups"
    # Twenty groups say less than a hundred specimens would.
    assert float(kept.rmse_std_error[0]) > 1.5 * float(free.rmse_std_error[0])


def test_few_groups_are_left_out_one_by_one():
    data = repeats()
    found = pima.baselines(data, "number", "vector", groups="fours", methods="mean")
    np.testing.assert_array_equal(found.held_out_fold, data.fours)
    assert "4 folds, each one group of 'fours'" in found.attrs["how"]


def test_units_are_dealt_whole_and_evenly():
    sizes = np.array([9, 1, 1, 1, 4, 4, 3, 3, 2, 2])
    units = np.repeat(np.arange(10), sizes)
    part = deal(units, 3, np.random.default_rng(0))
    assert all(len(np.unique(part[units == u])) == 1 for u in range(10))
    assert sorted(np.bincount(part).tolist()) == [10, 10, 10]


def test_gaps_are_left_out_of_scores_and_absent_specimens_out_of_everything(data):
    gappy = data[["stress", "hidden"]].copy(deep=True)
    gone = np.random.default_rng(3).random(gappy.stress.shape) < 0.2
    gappy["stress"] = gappy.stress.where(~gone)
    gappy["stress"][5] = np.nan
    gappy["hidden"][6] = np.nan
    found = pima.baselines(gappy, "stress", "hidden", methods=["mean", "ridge"], predictions=True)
    assert found.attrs["left_out"] == (
        "2 of 100 specimens are left out (s005, s006): 1 have no 'stress', 1 have no 'hidden'"
    )
    assert found.held_out_fold.values[[5, 6]].tolist() == [-1, -1]
    assert found.prediction.notnull().all("strain").sum() == 2 * 98
    error = (found.prediction - gappy.stress).where(found.held_out_fold >= 0)
    np.testing.assert_allclose(found.rmse, np.sqrt((error**2).mean(("specimen", "strain"))))
    train = (found.held_out_fold != 0) & (found.held_out_fold >= 0)
    first = int(np.flatnonzero(found.held_out_fold.values == 0)[0])
    np.testing.assert_allclose(found.prediction[0, first], gappy.stress[train.values].mean("specimen"))
    whole = pima.baselines(data, "stress", "hidden", methods=["mean", "ridge"])
    assert float(whole.rmse[1]) < float(found.rmse[1]) < 0.7 * float(found.rmse[0])


@pytest.mark.parametrize("specimens", [40, 400])
def test_bands_hold_nine_of_ten_points(specimens):
    inside = [
        pima.baselines(linear(specimens, seed), "stress", "hidden", methods=["mean", "ridge"]).coverage.values
        for seed in range(6)
    ]
    np.testing.assert_allclose(np.mean(inside, axis=0), 0.9, atol=0.025)
    width = pima.baselines(linear(specimens), "stress", "hidden", methods="ridge").band_width
    assert float(width[0]) == pytest.approx(2 * 1.645 * NOISE, rel=0.25)


def test_half_a_width_is_an_order_statistic():
    residuals = np.arange(1.0, 20.0)[:, None] * [1.0, 10.0]
    seen = np.ones((19, 2), dtype=bool)
    np.testing.assert_array_equal(half_width(residuals, seen), [18.0, 180.0])
    seen[4:, 0] = False  # of four residuals the largest is the most that can be said
    np.testing.assert_array_equal(half_width(residuals, seen), [4.0, 180.0])
    seen[:, 0] = False
    np.testing.assert_array_equal(half_width(residuals, seen), [180.0, 180.0])


def test_a_scalar_keeps_its_digits_and_settings_are_used(data):
    found = pima.baselines(data, "energy", ["first", "oven"], methods=["mean", "ridge"])
    assert float(found.rmse[0]) == pytest.approx(float(data.first.std()), rel=0.03)
    assert float(found.rmse[1]) < 1e-4  # of a number of a million, whose single precision is 0.06
    assert found.attrs["given"] == "first, oven"
    only = pima.baselines(data, "energy", "oven", methods=["mean", "ridge"], predictions=True)
    assert only.prediction.dims == ("baseline", "specimen")
    assert float(only.rmse[1]) > 0.95 * float(only.rmse[0])
    turned = pima.baselines(data, "first", "energy", methods=["ridge"])
    assert float(turned.rmse[0]) < 1e-4


def test_a_category_decides():
    rng = np.random.default_rng(0)
    kind = rng.choice(["steel", "brass", "lead"], 60)
    level = np.select([kind == "steel", kind == "brass"], [3.0, 2.0], 1.0)
    data = xr.Dataset(
        {"hardness": ("specimen", level + 0.01 * rng.standard_normal(60))}, coords={"kind": ("specimen", kind)}
    )
    found = pima.baselines(data, "hardness", "kind")
    assert found.baseline.values.tolist() == ["mean", "k nearest", "ridge", "PLS", "extra trees"]
    assert (found.rmse.values[1:] < 0.012).all()


def test_a_vector_and_curves_with_grids_of_their_own():
    rng = np.random.default_rng(1)
    slope, length = rng.uniform(1.0, 3.0, 40), rng.integers(10, 20, 40)
    t = np.where(np.arange(20) < length[:, None], np.arange(20) * rng.uniform(0.9, 1.1, 40)[:, None], np.nan)
    data = xr.Dataset(
        {
            "force": (("specimen", "point"), slope[:, None] * t, {"independent": "time", "units": "N"}),
            "pair": (("specimen", "k"), np.stack([slope, -slope], 1)),
            "gain": ("specimen", slope),
        },
        coords={"time": (("specimen", "point"), t, {"units": "s"}), "k": ["up", "down"]},
    )
    found = pima.baselines(data, "force", "gain", methods=["mean", "k nearest"], predictions=True)
    assert "the curves of 'force' were brought to one grid of 20 points" in found.attrs["how"]
    assert found.prediction.dims == ("baseline", "specimen", "time")
    assert found.time.attrs["units"] == "s"
    assert float(found.rmse[1]) < 0.3 * float(found.rmse[0])
    turned = pima.baselines(data, "pair", "force", methods=["mean", "PLS"], predictions=True)
    assert turned.prediction.k.values.tolist() == ["up", "down"]
    assert float(turned.rmse[1]) < 0.5 * float(turned.rmse[0])


def test_pictures_are_averaged_in_blocks_of_at_most_32():
    picture = np.random.default_rng(0).random((3, 2, 70, 20))
    data = xr.Dataset({"photo": (("specimen", "channel", "y", "x"), picture)})
    pooled = read_given(data, "photo").values.reshape(3, 2, 24, 20)
    expected = [picture[:, :, 3 * k : 3 * k + 3].mean(2) for k in range(24)]  # the last block is a single row
    np.testing.assert_allclose(pooled, np.stack(expected, axis=2), rtol=1e-6)


def test_pictures_on_disk_are_read_in_blocks(data, tmp_path):
    lazy = pima.open_data(pima.save_data(data, tmp_path / "data.zarr"), lazy=True)
    found = pima.baselines(lazy, "energy", "photo", methods="ridge")
    there = pima.baselines(data, "energy", "photo", methods="ridge")
    np.testing.assert_allclose(found.rmse, there.rmse, rtol=1e-5)


def test_modalities_count_alike_whatever_their_unit(data):
    names = ["stress", "photo", "hidden", "energy"]
    target = read_target(data, "first")
    given = [read_given(data, name) for name in names]
    learned = learn(target, given, np.arange(80), np.arange(80, 100), None, 0)
    assert np.square(learned.scores).sum() / 80 == pytest.approx(len(names))
    louder = data.assign(photo=1e3 * data.photo)
    once, again = (pima.baselines(d, "stress", ["photo", "hidden"], methods=QUICK) for d in (data, louder))
    np.testing.assert_allclose(once.rmse, again.rmse, rtol=1e-4)


def test_nothing_is_learned_from_held_out_specimens(data):
    target, photo = read_target(data, "stress"), read_given(data, "photo")
    changed = replace(target, values=np.where(np.arange(100)[:, None] < 80, target.values, 1e3))
    other = replace(photo, values=np.where(np.arange(100)[:, None] < 90, photo.values, 1e3))
    made = []
    for y, x in ((target, photo), (changed, photo), (target, other)):
        learned = learn(y, [x], np.arange(80), np.arange(80, 100), None, 0)
        names = ("k nearest", "ridge", "PLS", "extra trees")
        made.append(np.stack([METHODS[name](learned)[0]()[:10] for name in names]))
    np.testing.assert_array_equal(made[1], made[0])
    np.testing.assert_allclose(made[2], made[0], atol=1e-12)


def test_partial_least_squares_is_that_of_its_library(data):
    cross = pytest.importorskip("sklearn.cross_decomposition")
    target = read_target(data, "stress")
    learned = learn(target, [read_given(data, "photo")], np.arange(80), np.arange(80, 100), None, 0)
    made = METHODS["PLS"](learned)
    assert len(made) == PLS_COMPONENTS
    for k in (1, 3):
        model = cross.PLSRegression(k, scale=False).fit(learned.scores, learned.target_scores)
        expected = learned.curves(model.predict(learned.held_scores))
        np.testing.assert_allclose(made[k - 1](), expected, atol=1e-10)


def textures(seed=0, specimens=80):
    """Stripes anywhere, their number across the picture known to the curve alone."""
    rng = np.random.default_rng(seed)
    period, phase = rng.uniform(2.0, 8.0, specimens), rng.uniform(0.0, 2.0 * np.pi, specimens)
    x = np.arange(32) / 32
    wave = np.sin(2.0 * np.pi * period[:, None] * x + phase[:, None])
    photo = wave[:, None, :] + 0.1 * rng.standard_normal((specimens, 32, 32))
    t = np.linspace(0.0, 1.0, 10)
    curve = period[:, None] * t + 0.05 * rng.standard_normal((specimens, 10))
    return xr.Dataset({"photo": (("specimen", "y", "x"), photo), "stress": (("specimen", "t"), curve)}, coords={"t": t})


def test_a_texture_is_heard_by_its_spectrum():
    found = pima.baselines(textures(), "stress", "photo", methods=["mean", "ridge", "spectrum"])
    rmse = found.rmse.to_series()
    assert rmse["spectrum"] < 0.5 * rmse["ridge"]
    assert rmse["ridge"] > 0.7 * rmse["mean"]
    assert 0.8 < float(found.coverage.sel(baseline="spectrum")) < 0.98


def test_the_spectrum_is_kernel_ridge_regression_of_its_library():
    kernel, pairwise = (pytest.importorskip(f"sklearn.{name}") for name in ("kernel_ridge", "metrics.pairwise"))
    data = textures()
    learned = learn(read_target(data, "stress"), [read_given(data, "photo")], np.arange(60), np.arange(60, 80), None, 0)
    spread = np.square(learned.spectra[:, None] - learned.spectra[None]).sum(-1)
    median = np.median(spread[np.triu_indices(60, 1)])
    made = METHODS["spectrum"](learned)
    for width, penalty in ((0, 3), (2, 8)):
        gamma = 0.5 / (WIDTHS[width] ** 2 * median)
        K, k = (pairwise.rbf_kernel(x, learned.spectra, gamma) for x in (learned.spectra, learned.held_spectra))
        centre = np.eye(60) - 1.0 / 60  # a level without penalty is a kernel that is centred
        K, k = centre @ K @ centre, (k - K.mean(0)) @ centre
        model = kernel.KernelRidge(alpha=KERNEL_PENALTIES[penalty], kernel="precomputed").fit(K, learned.target_scores)
        number = width * len(KERNEL_PENALTIES) + penalty
        np.testing.assert_allclose(made[number](), learned.curves(model.predict(k)), atol=1e-6)


def test_small_pictures_have_no_spectrum(data):
    assert read_given(data, "photo").spectrum is None
    with pytest.raises(pima.errors.OptionError, match="needs a picture of at least 32 pixels"):
        pima.baselines(data, "stress", "photo", methods="spectrum")


def test_what_says_nothing_leaves_the_mean(data):
    same = data.assign(flat=("specimen", np.where(np.arange(100) < 99, 1.0, 2.0)))
    fold = np.where(np.arange(100) < 99, np.arange(100) % 5, -1)
    fold[99] = 0  # the one that differs is held out first: nothing is to be learned then
    found = pima.baselines(same, "stress", "flat", folds=fold)
    np.testing.assert_allclose(found.rmse_by_fold.sel(fold=0), found.rmse_by_fold.values[0, 0])
    noise = data.assign(noise=(("specimen", "k"), np.random.default_rng(5).standard_normal((100, 3))))
    found = pima.baselines(noise, "stress", "noise", methods=QUICK)
    assert float(found.rmse.max()) < 1.15 * float(found.rmse.sel(baseline="mean"))


def test_populations_of_a_law_are_found_and_told_apart_by_what_is_given():
    rng = np.random.default_rng(0)
    label, t = np.arange(60) % 3, np.linspace(0.0, 1.0, 12)
    slope = np.array([1.0, 3.0, 6.0])[label] + 0.05 * rng.standard_normal(60)
    told = np.eye(3)[label] + 0.05 * rng.standard_normal((60, 3))
    data = xr.Dataset(
        {
            "stress": (("specimen", "strain"), slope[:, None] * t + 0.02 * rng.standard_normal((60, 12))),
            "told": (("specimen", "k"), told),
        },
        coords={"strain": t},
    )
    data["stress"][3, 6:] = np.nan
    found = pima.baselines(data, "stress", "told", expert="proportional", methods=["mean", "law populations"])
    spread = 0.05 * np.sqrt(np.mean(t**2))
    assert float(found.rmse[1]) == pytest.approx(np.hypot(spread, 0.02), rel=0.3)
    assert float(found.rmse[0]) > 1.0
    assert "each curve fitted by 'proportional'" in found.attrs["how"]
    everything = pima.baselines(data, "stress", "told", folds=2, expert=pima.get_expert("proportional"))
    assert everything.baseline.values[-1] == "law populations"


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"target": "stres"}, pima.errors.DataError, "target='stres' is no modality.*did you mean 'stress'"),
        ({"given": ["foto"]}, pima.errors.DataError, "given='foto' is no modality.*did you mean 'photo'"),
        ({"given": []}, pima.errors.OptionError, "given is empty: name what 'stress' is to be predicted from"),
        ({"given": ["photo", "stress"]}, pima.errors.OptionError, "'stress' is both target and given"),
        ({"given": ["photo", "photo"]}, pima.errors.OptionError, "given holds a name twice"),
        ({"target": "photo", "given": "stress"}, pima.errors.ShapeError, "expected a curve, a vector or a scalar"),
        ({"given": "label"}, pima.errors.DataError, "100 categories for 100 specimens.*says nothing about others"),
        ({"given": "always"}, pima.errors.DataError, "'always' is the same for every specimen"),
        ({"given": "day"}, pima.errors.DataError, "a date to days since the first one"),
        ({"groups": "ovn"}, pima.errors.OptionError, "groups='ovn' is no coordinate.*did you mean 'oven'"),
        ({"groups": "always"}, pima.errors.DataError, "groups='always' is same for every specimen"),
        ({"folds": 1}, pima.errors.OptionError, "folds=1: expected a whole number of at least 2"),
        ({"folds": "fould"}, pima.errors.OptionError, "folds='fould' is no coordinate of whole numbers"),
        ({"folds": [0, 1]}, pima.errors.OptionError, "one whole number for each of the 100 specimens"),
        ({"folds": np.zeros(100, dtype=int)}, pima.errors.DataError, "at least two folds are needed"),
        ({"folds": np.full(100, -1)}, pima.errors.DataError, "at least two folds are needed"),
        (
            {"folds": np.arange(100) % 3, "groups": "oven"},
            pima.errors.DataError,
            "divide groups of 'oven' .left, right",
        ),
        ({"folds": (np.arange(100) > 1) * 1}, pima.errors.DataError, "2 specimens are left to learn from"),
        ({"methods": "rigde"}, pima.errors.OptionError, "'rigde' is no method.*did you mean 'ridge'"),
        ({"methods": []}, pima.errors.OptionError, "methods is empty"),
        ({"methods": "law populations"}, pima.errors.OptionError, "needs a law: name one"),
        ({"target": "energy", "expert": "voce"}, pima.errors.OptionError, "describes a curve.*is a scalar"),
        ({"expert": "no_such_law"}, pima.errors.ExpertError, "no_such_law"),
        ({"expert": "johnson_cook"}, pima.errors.OptionError, "needs strain_rate.* besides the curve"),
        ({"target": "lost"}, pima.errors.DataError, "'lost' is missing for every specimen"),
        ({"target": "rare"}, pima.errors.DataError, "4 specimens have 'rare', 'photo' together, too few"),
    ],
)
def test_what_cannot_be_done_is_said(data, options, error, says):
    numbers = np.arange(100)
    bad = data.assign(
        lost=("specimen", np.full(100, np.nan)), rare=("specimen", np.where(numbers < 4, numbers, np.nan))
    ).assign_coords(
        label=("specimen", [f"n{n}" for n in numbers]),
        always=("specimen", ["same"] * 100),
        day=("specimen", np.datetime64("2024-01-01", "ns") + numbers),
    )
    with pytest.raises(error, match=says):
        pima.baselines(bad, **{"target": "stress", "given": ["photo"], **options})


def test_neighbours_and_populations_average_what_was_measured(data):
    gone = np.random.default_rng(3).random(data.stress.shape) < 0.3
    gone[:, 4] = True
    target = read_target(data.assign(stress=data.stress.where(~gone)), "stress")
    learned = learn(target, [read_given(data, "hidden")], np.arange(80), np.arange(80, 100), None, 0)
    weight, which = np.array([[1.0, 3.0], [2.0, 0.0]]), np.array([[0, 7], [5, 9]])
    found, dense = learned.averages(weight, which), learned.averages(np.eye(80)[which[:, 0]])
    y = np.where(gone, np.nan, data.stress.values)
    for h in range(2):
        for t in range(20):
            known = [(w, y[n, t]) for w, n in zip(weight[h], which[h], strict=True) if w > 0 and np.isfinite(y[n, t])]
            expected = np.average([v for _, v in known], weights=[w for w, _ in known]) if known else learned.mean[t]
            assert found[h, t] == pytest.approx(expected)
    np.testing.assert_allclose(dense, np.where(gone[[0, 5]], learned.mean, data.stress.values[[0, 5]]))
    assert learned.mean[4] == pytest.approx((learned.mean[3] + learned.mean[5]) / 2)  # nobody was measured there
