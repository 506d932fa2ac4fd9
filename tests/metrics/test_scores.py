"""Each closed form against the slow obvious method, scikit-learn, or numbers done by hand."""

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score

from pima_toolkit.errors import DataError, ShapeError
from pima_toolkit.metrics import scores as metrics

# pairs of groupings of the same specimens, up to 5 labels and 5 clusters
groupings = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 4), min_size=n, max_size=n), st.lists(st.integers(0, 4), min_size=n, max_size=n)
    )
)


def accuracy_by_trying_all(labels, clusters):
    """Eq. (21) as printed: the best over every one-to-one assignment of 5 clusters to 5 labels."""
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    return max(np.mean(labels == np.asarray(order)[clusters]) for order in itertools.permutations(range(5)))


@given(groupings)
def test_accuracy_is_the_best_assignment(pair):
    assert metrics.cluster_accuracy(*pair) == pytest.approx(accuracy_by_trying_all(*pair))


@given(groupings)
def test_information_and_rand_index_agree_with_sklearn(pair):
    assert metrics.nmi(*pair) == pytest.approx(normalized_mutual_info_score(*pair), abs=1e-9)
    assert metrics.ari(*pair) == pytest.approx(adjusted_rand_score(*pair), abs=1e-9)


@given(groupings)
def test_confusion_counts_every_specimen(pair):
    labels, clusters = pair
    table = metrics.confusion(labels, clusters)
    square = confusion_matrix(labels, clusters, labels=range(5))
    np.testing.assert_array_equal(table.values, square[np.ix_(table.label.values, table.cluster.values)])
    assert int(table.sum()) == len(labels)


def test_accuracy_with_text_labels_and_more_clusters_than_labels():
    labels, clusters = ["gyroid"] * 4 + ["octet"] * 4, [2, 2, 2, 0, 1, 1, 1, 1]
    assert metrics.cluster_accuracy(labels, clusters) == 7 / 8
    assert metrics.match_clusters(labels, clusters) == {2: "gyroid", 1: "octet"}


def test_rmse_and_coverage_ignore_what_was_not_measured():
    truth = np.array([[1.0, 2.0, np.nan], [4.0, 5.0, 6.0]])
    predicted = np.array([[1.0, 4.0, np.nan], [4.0, 5.0, 6.0]])
    assert metrics.rmse(truth, predicted) == pytest.approx(np.sqrt(4 / 5))
    assert metrics.coverage(truth, predicted - 1, predicted + 1) == pytest.approx(4 / 5)


def test_arrays_are_matched_by_dims_and_coordinates():
    truth = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("specimen", "strain"), coords={"specimen": ["a", "b"]})
    assert metrics.rmse(truth, truth.T + 1.0) == pytest.approx(1.0)
    with pytest.raises(ShapeError, match="not the same specimens"):
        metrics.rmse(truth, truth.assign_coords(specimen=["a", "c"]))
    with pytest.raises(ShapeError, match="the same modality"):
        metrics.rmse(truth, truth.rename(strain="time"))


def test_a_true_band_covers_what_it_says():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 50))
    edge = np.full_like(truth, 1.6449)
    assert metrics.coverage(truth, -edge, edge) == pytest.approx(0.9, abs=0.01)


def test_calibration_error_by_hand():
    # eight answers at confidence 0.75, six of them right: calibrated; then all wrong clusters at 0.95
    responsibilities = np.tile([0.75, 0.25], (8, 1))
    labels = [0] * 6 + [1] * 2
    assert metrics.calibration_error(responsibilities, labels) == pytest.approx(0.0)
    sure = np.tile([0.95, 0.05], (4, 1))
    assert metrics.calibration_error(sure, [0, 0, 1, 1]) == pytest.approx(0.45)


def test_calibration_error_of_sampled_truth_vanishes():
    rng = np.random.default_rng(1)
    first = rng.uniform(size=20_000)
    labels = (rng.uniform(size=first.size) > first).astype(int)
    responsibilities = xr.DataArray(np.stack([1 - first, first]), dims=("cluster", "specimen"))
    assert metrics.calibration_error(responsibilities, 1 - labels) < 0.015


def test_occupancy_and_entropy():
    responsibilities = np.array([[1.0, 0.0], [0.5, 0.5]])
    np.testing.assert_allclose(metrics.occupancy(responsibilities), [0.75, 0.25])
    np.testing.assert_allclose(metrics.entropy(responsibilities), [0.0, np.log(2)])


def test_latent_order_is_one_where_latent_space_follows_the_slopes():
    slopes = np.array([1.0, 2.0, 3.5, 8.0])
    curves = ("strain", "cluster"), np.linspace(0, 1, 5)[:, None] * slopes
    clusters = xr.Dataset({"mean": (("cluster", "latent"), slopes[:, None]), "stress": curves})
    assert metrics.latent_order(clusters, "stress") == pytest.approx(1.0)


def test_latent_order_agrees_with_scipy_distances():
    rng = np.random.default_rng(2)
    mean, curves = rng.normal(size=(6, 3)), rng.normal(size=(6, 20))
    clusters = xr.Dataset({"mean": (("cluster", "latent"), mean), "stress": (("cluster", "strain"), curves)})
    expected = spearmanr(pdist(mean), pdist(curves)).statistic
    assert metrics.latent_order(clusters, "stress") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: metrics.cluster_accuracy([0, 1], [0]), ShapeError, "one of each per specimen"),
        (lambda: metrics.confusion([[0, 1]], [[0, 1]]), ShapeError, "one per specimen"),
        (lambda: metrics.nmi([], []), DataError, "at least one specimen"),
        (lambda: metrics.rmse([1.0], [1.0, 2.0]), ShapeError, "same specimens and points"),
        (lambda: metrics.rmse([np.nan], [1.0]), DataError, "every value is NaN"),
        (lambda: metrics.rmse([1.0], [np.nan]), DataError, "NaN at measured points"),
        (lambda: metrics.coverage([1.0], [2.0], [0.0]), DataError, "low, then high"),
        (lambda: metrics.entropy([[0.5, 0.1]]), DataError, "sum to one"),
        (lambda: metrics.calibration_error([0.5, 0.5], [0, 1]), ShapeError, "(specimen, cluster)"),
        (lambda: metrics.latent_order(xr.Dataset({"mean": ("cluster", [0.0])}), "stres"), DataError, "'stres'"),
    ],
)
def test_errors_say_what_to_do(call, error, says):
    with pytest.raises(error, match=says.replace("(", r"\(").replace(")", r"\)")):
        call()
