"""Pictures without physics: the measure of a head, the deformations, clusters found and held, resumed and stopped."""

import math

import numpy as np
import pytest
import torch
import xarray as xr
from sklearn.metrics import mutual_info_score

import pima_toolkit as pima
from pima_toolkit.fitting.starts import invariance
from pima_toolkit.fitting.starts.invariance import mutual_information, told_by_neighbours
from pima_toolkit.metrics import ari
from pima_toolkit.model.augment import deform
from pima_toolkit.model.elbo import neural_log_prob
from pima_toolkit.model.noise.reconstruction import RECONSTRUCTION, RECONSTRUCTION_FLOOR


@pytest.fixture(scope="module", autouse=True)
def short():
    """Shapes as plain as these take a fraction of the steps that handwriting does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(invariance, "_WARM_STEPS", 60)
        patch.setattr(invariance, "_STEPS", 60)
        yield


def shapes(specimens=96, seed=0):
    """Rings and crosses, faint or bright, anywhere within a pixel of the middle of a noisy 8x8 frame."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 2
    picture = 0.15 * rng.random((specimens, 8, 8))
    ring, cross = np.ones((5, 5)), np.zeros((5, 5))
    ring[1:4, 1:4] = 0.0
    cross[2], cross[:, 2] = 1.0, 1.0
    for d, (y, x) in enumerate(rng.integers(1, 3, (specimens, 2))):
        picture[d, y : y + 5, x : x + 5] += rng.uniform(0.4, 0.8) * (ring if label[d] else cross)
    return xr.Dataset({"image": (("specimen", "y", "x"), picture.astype(np.float32))}, {"label": ("specimen", label)})


def test_the_measure_of_a_head_is_the_mutual_information_of_two_views():
    rng = np.random.default_rng(1)
    p, q = (rng.dirichlet(np.ones(3), (50, 2)) for _ in range(2))
    for head in range(2):
        joint = np.mean([np.outer(a, b) + np.outer(b, a) for a, b in zip(p[:, head], q[:, head], strict=True)], 0) / 2
        rows, columns = joint.sum(1), joint.sum(0)
        slow = sum(joint[i, j] * math.log(joint[i, j] / (rows[i] * columns[j])) for i in range(3) for j in range(3))
        found = mutual_information(torch.tensor(p), torch.tensor(q), 1.0)[head]
        assert float(found) == pytest.approx(slow, rel=1e-12)
        # The balance adds so many entropies of the clusters' shares.
        more = mutual_information(torch.tensor(p), torch.tensor(q), 1.5)[head] - found
        assert float(more) == pytest.approx(-(rows * np.log(rows)).sum(), rel=1e-12)


def test_clusters_that_follow_the_picture_have_all_the_information_there_is():
    sure = torch.eye(4, dtype=torch.float64).repeat(5, 1)[:, None]
    assert float(mutual_information(sure, sure, 1.0)[0]) == pytest.approx(math.log(4))
    collapsed = torch.eye(4, dtype=torch.float64)[[0] * 20][:, None]
    assert float(mutual_information(collapsed, collapsed, 1.0)[0]) == pytest.approx(0.0, abs=1e-12)


def test_what_a_neighbour_tells_is_the_mutual_information_over_the_entropy():
    rng = np.random.default_rng(0)
    label = torch.as_tensor(rng.integers(0, 3, 40))
    neighbours = torch.as_tensor(rng.integers(0, 40, (40, 5)))
    own, other = label.repeat_interleave(5), label[neighbours].flatten()
    both_ways = torch.cat([own, other]).numpy(), torch.cat([other, own]).numpy()
    expected = mutual_info_score(*both_ways) / mutual_info_score(both_ways[0], both_ways[0])
    assert told_by_neighbours(label, neighbours, 3) == pytest.approx(expected)
    assert told_by_neighbours(torch.zeros(40, dtype=torch.long), neighbours, 3) == 0.0


@pytest.mark.parametrize("pair", [(0, 1), (3, 4)])
def test_a_population_of_one_in_ten_is_found(pair):
    """Where plain k-means finds it, too; heads alone split the many into halves."""
    digits = pima.datasets.digits(seed=0)
    many, few = (np.flatnonzero(digits.label.values == k) for k in pair)
    data = digits.isel(specimen=np.sort(np.concatenate([many, few[:20]])))
    fit = pima.PIMA({"image": pima.Neural()}, clusters=2).fit(data[["image"]], progress=False)
    assert ari(data.label.values, fit.specimens.cluster.values) > 0.9


def test_a_picture_that_is_not_deformed_stays_and_each_deformation_does_what_it_says():
    x = torch.rand(3, 2, 9, 7, generator=torch.Generator().manual_seed(0))
    still = dict.fromkeys(("rotation", "shear", "stretch", "shift"), 0.0)
    generator = torch.Generator().manual_seed(1)
    torch.testing.assert_close(deform(x, generator, **still), x)
    ramp = torch.linspace(0.0, 1.0, 21).expand(400, 1, 21, 21)
    middle = lambda y: y[:, 0, 10, 10]  # noqa: E731
    # A shift of at most a tenth of 21 columns moves a ramp of 1 / 20 a column by at most 0.105, and uses it.
    moved = middle(deform(ramp, generator, **{**still, "shift": 0.1})) - 0.5
    assert 0.09 < float(moved.abs().max()) <= 0.1051
    assert abs(float(moved.mean())) < 0.02
    # The slope along x of a turned ramp is its cosine; of a stretched one, at most 12 % away.
    slope = lambda y: (y[:, 0, 10, 12] - y[:, 0, 10, 8]) / 0.2  # noqa: E731
    turned = slope(deform(ramp, generator, **{**still, "rotation": 15.0}))
    assert math.cos(math.radians(15)) - 1e-4 <= float(turned.min()) < 0.98
    stretched = slope(deform(ramp, generator, **{**still, "stretch": 0.12}))
    assert 0.8799 <= float(stretched.min()) < 0.9 < 1.1 < float(stretched.max()) <= 1.1201
    # Sheared, the ramp along x also climbs along y, by at most the tangent.
    climb = deform(ramp, generator, **{**still, "shear": 15.0})
    assert float((climb[:, 0, 12, 10] - climb[:, 0, 8, 10]).abs().max()) / 0.2 <= math.tan(math.radians(15)) + 1e-4


def test_learned_noise_is_the_mean_squared_error():
    x, mean = torch.rand(6, 1, 4, 5), torch.rand(6, 1, 4, 5)
    term = neural_log_prob(x, mean, 0.3, torch.ones(6, dtype=torch.bool)).double().mean()
    assert RECONSTRUCTION["learned"].update(0.3, float(term), 20) == pytest.approx(
        float((x - mean).square().mean()), rel=1e-5
    )
    assert RECONSTRUCTION["learned"].update(
        0.3, float(neural_log_prob(x, x, 0.3, torch.ones(6, dtype=torch.bool)).mean()), 20
    ) == (RECONSTRUCTION_FLOOR)


@pytest.fixture(scope="module")
def data():
    found = shapes()
    rng = np.random.default_rng(2)
    vector = (found.label.values[:, None] - 0.5) + 0.3 * rng.standard_normal((96, 3))
    found["feature"] = ("specimen", "kind"), vector
    # Some specimens have no picture: their clusters must come from the rest.
    found["image"] = found.image.where(xr.DataArray(np.arange(96) % 12 != 5, dims="specimen"))
    return found


def model(**options):
    modalities = {"image": pima.Neural(), "feature": pima.Neural()}
    return pima.PIMA(modalities, clusters=2, latent_dim=2, **options)


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    seen = []
    fit = model().fit(data, epochs=4, checkpoint=folder, callbacks=[seen.append], progress=False)
    return fit, folder, seen


def test_shapes_are_told_apart_wherever_they_are(fitted, data):
    fit, _, seen = fitted
    assert pima.metrics.cluster_accuracy(data.label, fit.specimens.cluster) > 0.95
    fresh = shapes(60, seed=9)
    assert pima.metrics.cluster_accuracy(fresh.label, fit.infer(fresh, predict=()).cluster) > 0.95
    first = [p for p in seen if p.phase == "invariance"]
    assert seen[: len(first)] == first  # all before joint training
    assert [p.epoch for p in first] == list(range(1, first[0].epochs + 1))
    assert first[-1].elbo == pytest.approx(2 * math.log(2), abs=0.3)  # I_h of two even clusters at balance 1.5
    assert sum(first[-1].occupancy) == pytest.approx(1.0, abs=1e-5)


def test_a_run_that_was_killed_after_the_first_clusters_goes_on_from_them(fitted, data, kill, tmp_path):
    fit, _, _ = fitted

    with pytest.raises(SystemExit):
        model().fit(data, epochs=4, checkpoint=tmp_path, callbacks=[kill], progress=False)
    seen = []
    again = model().fit(data, epochs=4, checkpoint=tmp_path, callbacks=[seen.append], progress=False)
    assert "invariance" not in {p.phase for p in seen}
    np.testing.assert_array_equal(fit.specimens.responsibilities, again.specimens.responsibilities)


@pytest.mark.filterwarnings("ignore::pima_toolkit.errors.PimaWarning")
def test_stopping_while_first_clusters_are_sought_keeps_what_there_is(fitted, data, stop_early, tmp_path):
    """The same call again does not hold on to clusters that were half found."""
    seen = []
    fit = model().fit(data, epochs=4, checkpoint=tmp_path, callbacks=[seen.append, stop_early], progress=False)
    assert [p.phase for p in seen] == ["invariance"] * 3
    assert fit.interrupted
    assert fit.specimens.responsibilities.shape == (96, 2)
    again = model().fit(data, epochs=4, checkpoint=tmp_path, progress=False)
    assert not again.interrupted
    np.testing.assert_array_equal(fitted[0].specimens.responsibilities, again.specimens.responsibilities)


@pytest.mark.filterwarnings("ignore::pima_toolkit.errors.PimaWarning")
def test_a_lone_picture_has_no_neighbours_and_starts_nothing(data):
    lone = data.isel(specimen=slice(24))
    lone = lone.assign(image=lone.image.where(xr.DataArray(np.arange(24) == 3, dims="specimen")))
    seen = []
    fit = model().fit(lone, epochs=2, crossmodal_epochs=1, callbacks=[seen.append], progress=False)
    assert {p.phase for p in seen} == {"joint", "crossmodal"}
    assert np.isfinite(fit.elbo)
