"""Clusters against process settings: known answers, the null hypothesis, and words."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.metrics.association import associate, setting_table, summarise, weighted_quantiles


def hard(cluster, clusters=None):
    gamma = np.eye(clusters or max(cluster) + 1)[cluster]
    return xr.DataArray(gamma, dims=("specimen", "cluster"))


def settings(**columns):
    return xr.Dataset(coords={name: ("specimen", np.asarray(values)) for name, values in columns.items()})


def test_the_effect_of_a_number_is_that_of_kruskal_and_wallis():
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 3, 90)
    rate = rng.standard_normal(90) + 0.8 * cluster
    found = associate(hard(cluster), settings(rate=rate), permutations=999)
    H, p = stats.kruskal(*(rate[cluster == c] for c in range(3)))
    assert float(found.effect[0]) == pytest.approx(H / (90 - 1), rel=1e-10)
    assert found.kind.item() == "number"
    assert p < 1e-3
    assert float(found.p_value[0]) == pytest.approx(1 / 1000)


def test_the_effect_of_categories_is_goodman_and_kruskals_tau():
    cluster = np.array([0] * 10 + [1] * 10)
    alloy = np.array(["A"] * 8 + ["B"] * 2 + ["A"] * 3 + ["B"] * 7)
    found = associate(hard(cluster), settings(alloy=alloy), permutations=999)
    p = np.array([[0.8, 0.2], [0.3, 0.7]]) / 2
    margin = p.sum(0)
    tau = (np.square(p / 0.5).sum(1) @ [0.5, 0.5] - np.square(margin).sum()) / (1 - np.square(margin).sum())
    assert float(found.effect[0]) == pytest.approx(tau, rel=1e-10)
    exact = stats.fisher_exact([[8, 2], [3, 7]]).pvalue
    assert float(found.p_value[0]) == pytest.approx(exact, abs=0.02)


def test_a_number_of_few_values_counts_as_categories_so_that_no_order_is_needed():
    rate = np.tile([1.0, 2.0, 3.0], 20)
    cluster = (rate == 2.0).astype(int)  # the middle one: no rank correlation sees it
    found = associate(hard(cluster), settings(rate=rate), permutations=199)
    assert found.kind.item() == "category"
    assert float(found.effect[0]) > 0.4
    assert float(found.p_value[0]) == pytest.approx(1 / 200)


def test_under_the_null_hypothesis_p_is_uniform():
    rng = np.random.default_rng(1)
    gamma = xr.DataArray(rng.dirichlet([0.5, 0.5, 0.5], 40), dims=("specimen", "cluster"))
    columns = {f"setting{k}": rng.standard_normal(40) for k in range(100)}
    found = associate(gamma, settings(**columns), permutations=199)
    assert stats.kstest(found.p_value.values, "uniform").pvalue > 0.01
    assert (found.p_adjusted.values > 0.05).all()


def test_adjusted_p_values_are_holms():
    rng = np.random.default_rng(2)
    cluster = rng.integers(0, 2, 30)
    columns = {"a": rng.standard_normal(30) + 0.7 * cluster, "b": rng.standard_normal(30), "c": rng.standard_normal(30)}
    found = associate(hard(cluster), settings(**columns), permutations=999)
    p = found.p_value.values
    order = np.argsort(p)
    expected = np.maximum.accumulate(p[order] * np.array([3, 2, 1])).clip(max=1)
    np.testing.assert_allclose(found.p_adjusted.values[order], expected)


def test_same_seed_same_answer_and_missing_values_are_left_out():
    rng = np.random.default_rng(3)
    cluster = rng.integers(0, 2, 50)
    rate = rng.standard_normal(50)
    rate[:10] = np.nan
    alloy = np.where(np.arange(50) < 5, "", np.where(np.arange(50) % 2, "A", "B"))
    table = settings(rate=rate, alloy=alloy)
    first, second = (associate(hard(cluster), table, permutations=199) for _ in range(2))
    xr.testing.assert_identical(first, second)
    assert int(first.specimens.sel(setting="rate")) == 40
    assert int(first.specimens.sel(setting="alloy")) == 45


def test_what_names_each_specimen_or_never_varies_is_no_setting():
    table = settings(
        name=[f"s{k}" for k in range(12)], same=np.ones(12), date=np.arange(12).astype("M8[D]"), rate=np.arange(12.0)
    )
    assert list(setting_table(table)) == ["rate"]


def test_settings_in_words():
    gamma = hard(np.array([0] * 5 + [1] * 5))
    assert summarise(gamma, np.array([1.0, 2, 3, 4, 5, 7.5, 8, 9, 10, 11])) == [
        "median 3 (2 to 4)",
        "median 9 (8 to 10)",
    ]
    assert summarise(gamma, np.array(["A"] * 4 + ["B"] + ["B"] * 5)) == ["A: 80 %, B: 20 %", "B: 100 %"]
    assert summarise(gamma, np.array([0.5] * 5 + [2.0] * 5)) == ["0.5: 100 %", "2: 100 %"]
    assert summarise(hard(np.zeros(4, int), 2), np.array(["A", "B", "A", "B"]))[1] == "no specimens"
    many = np.array(list("ABCDEF") * 2)
    assert summarise(hard(np.zeros(12, int)), many)[0].endswith("2 more")


def test_weighted_quantiles_of_equal_weights_are_order_statistics():
    values = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    np.testing.assert_array_equal(weighted_quantiles(values, np.ones(5), (0.2, 0.5, 1.0)), [1, 3, 5])
    np.testing.assert_array_equal(weighted_quantiles(values, np.array([0, 0, 0, 1.0, 1.0]), (0.5, 0.9)), [2, 3])


def test_a_fit_tests_its_own_coordinates_and_draws_them(fit, train):
    found = fit.associations(permutations=199)
    assert set(found.setting.values) == {"label", "slope"}
    assert float(found.effect.sel(setting="label")) > 0.95
    figure = pima.plots.plot_settings(fit.specimens, found)
    assert len([axis for axis in figure.axes if axis.get_visible()]) == 2
    given = fit.associations(xr.Dataset(coords={"speed": ("specimen", np.arange(96.0))}), permutations=199)
    assert given.setting.values.tolist() == ["speed"]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda fit: fit.associations(names=["lable"]), DataError, "did you mean 'label'"),
        (lambda fit: fit.associations(permutations=5), OptionError, "at least 99"),
        (lambda fit: fit.associations(settings(rate=np.arange(4.0))), DataError, "of 4 specimens"),
        (
            lambda fit: pima.plots.plot_settings(
                fit.specimens, associate(hard([0, 1]), xr.Dataset(coords={"specimen": [0, 1]}))
            ),
            DataError,
            "no settings to draw",
        ),
    ],
)
def test_bad_input(fit, call, error, words):
    with pytest.raises(error, match=words):
        call(fit)


def test_public_names():
    assert pima.Fit.associations.__doc__.startswith("Whether the populations follow")


def batched(seed, within=False):
    """Populations that follow the batch, and a setting that has nothing to do with either but was set by batch."""
    rng = np.random.default_rng(seed)
    batch = np.repeat(np.arange(10), rng.integers(6, 15, 10))
    lean = rng.beta(0.4, 0.4, 10)[batch]
    cluster = (rng.random(len(batch)) < lean).astype(int)
    rate = rng.standard_normal(10)[batch]
    if within:
        rate = rate + rng.standard_normal(len(batch))
    return cluster, settings(rate=rate, batch=batch)


@pytest.mark.parametrize("within", [False, True])
def test_a_setting_that_changes_with_the_batch_is_no_finding(within):
    p = {"auto": [], None: []}
    for seed in range(60):
        cluster, found = batched(seed, within)
        if len(np.unique(cluster)) < 2 or len(np.unique(found.rate)) < 2:
            continue
        for groups, values in p.items():
            values.append(float(associate(hard(cluster), found, ["rate"], permutations=199, groups=groups).p_value[0]))
    false = {groups: np.mean(np.array(values) < 0.05) for groups, values in p.items()}
    assert false["auto"] <= stats.binom.ppf(0.999, 60, 0.05) / 60
    assert false[None] > (0.25 if within else 0.9)


def test_whole_batches_are_shuffled_or_specimens_inside_them():
    cluster, found = batched(1)
    rng = np.random.default_rng(0)
    found = found.assign_coords(temperature=("specimen", rng.standard_normal(len(cluster))))
    table = associate(hard(cluster), found, permutations=199)
    shuffled = dict(zip(table.setting.values, table.shuffled.values, strict=True))
    assert table.sel(setting="rate").kind.item() == "number"  # ten values are ten batches
    assert shuffled == {"rate": "batches", "batch": "specimens", "temperature": "within batches"}
    assert dict(zip(table.setting.values, table.units.values, strict=True))["rate"] == 10
    assert table.attrs["reading"] == (
        "Specimens of one batch count together (10 of them): rate changes with it, so that whole ones were shuffled;"
        " temperature changes within it, and was shuffled there."
    )
    np.testing.assert_allclose(table.q_value.values, stats.false_discovery_control(table.p_value.values))
    assert associate(hard(cluster), found, permutations=199, groups=None).attrs["reading"] == ""
    with pytest.raises(OptionError, match=r"groups='plates' is nothing along specimen.*'rate'"):
        associate(hard(cluster), found, groups="plates")


def test_few_batches_are_counted_one_by_one():
    """Four batches of two settings, populations that follow them exactly: one of three ways to deal them."""
    batch = np.repeat(np.arange(4), [5, 9, 7, 6])
    found = settings(rate=np.array([1.0, 1.0, 2.0, 2.0])[batch], batch=batch)
    table = associate(hard((batch > 1).astype(int)), found, ["rate"], permutations=9999)
    assert float(table.effect[0]) == pytest.approx(1.0)
    assert float(table.p_value[0]) == pytest.approx(1 / 3)


def test_what_follows_a_setting_inside_batches_is_found():
    rng = np.random.default_rng(4)
    batch = np.repeat(np.arange(8), 12)
    rate = rng.standard_normal(96) + 3.0 * rng.standard_normal(8)[batch]
    cluster = rate + 0.3 * rng.standard_normal(96) > np.array([np.median(rate[batch == b]) for b in range(8)])[batch]
    table = associate(hard(cluster.astype(int)), settings(rate=rate, batch=batch), ["rate"], permutations=999)
    assert float(table.p_value[0]) == pytest.approx(1 / 1000)
