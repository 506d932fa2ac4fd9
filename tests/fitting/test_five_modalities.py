"""Five unlike measurements of the same specimens in one model: picture, vector, two curves with physics, volume."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima

pytestmark = pytest.mark.slow

CLUSTERS = 3
STIFFNESS = np.array([2.0, 4.0, 7.0])
OFFSET, SLOPE = np.array([5.0, 2.0, 9.0]), np.array([-3.0, 4.0, -1.0])


def five(specimens=90, seed=0):
    """Populations that each measurement tells apart; lengths of the ragged curve differ, some measurements lack."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % CLUSTERS
    noise = lambda *shape: rng.standard_normal((specimens, *shape))  # noqa: E731
    picture = 0.1 * noise(8, 8)
    volume = 0.1 * noise(6, 6, 6)
    for c, (y, x) in enumerate([(1, 1), (1, 4), (4, 2)]):
        picture[label == c, y : y + 3, x : x + 3] += 1.0
        volume[label == c, 2 * c : 2 * c + 2] += 1.0
    spectrum = np.eye(CLUSTERS)[label] + 0.25 * noise(CLUSTERS)
    strain = np.linspace(0.0, 1.0, 12)
    stiffness = STIFFNESS[label] * (1 + 0.03 * noise())
    stress = stiffness[:, None] * strain + 0.1 * noise(12)
    time = np.linspace(0.0, 1.0, 15) * rng.uniform(0.8, 1.2, (specimens, 1))
    offset = OFFSET[label] * (1 + 0.03 * noise())
    voltage = offset[:, None] + SLOPE[label][:, None] * time + 0.1 * noise(15)
    voltage[np.arange(15) >= rng.integers(10, 16, (specimens, 1))] = np.nan
    data = xr.Dataset(
        {
            "picture": (("specimen", "y", "x"), picture),
            "spectrum": (("specimen", "line"), spectrum),
            "stress": (("specimen", "strain"), stress, {"units": "MPa"}),
            "voltage": (("specimen", "point"), voltage, {"units": "V", "independent": "time"}),
            "volume": (("specimen", "z", "v", "u"), volume),
        },
        coords={
            "strain": ("strain", strain, {"units": "1"}),
            "time": (("specimen", "point"), time, {"units": "s"}),
            "label": ("specimen", label),
            "stiffness": ("specimen", stiffness),
            "offset": ("specimen", offset),
        },
    )
    # Each specimen lacks one of the five in turn, every third specimen none.
    lacks = np.where(np.arange(specimens) % 4 == 0, -1, np.arange(specimens) % 5)
    return {name: lacks != k for k, name in enumerate(data.data_vars)}, data


@pytest.fixture(scope="module")
def fitted():
    present, data = five()
    train = data.assign({n: data[n].where(xr.DataArray(flags, dims="specimen")) for n, flags in present.items()})
    model = pima.PIMA(
        {
            "picture": pima.Neural(),
            "spectrum": pima.Neural(noise="learned"),
            "stress": pima.Physics("proportional"),
            "voltage": pima.Physics("affine"),
            "volume": pima.Neural(),
        },
        clusters=CLUSTERS,
        latent_dim=2,
    )
    return model.fit(train, epochs=12, crossmodal_epochs=16, progress=False)


def test_the_populations_and_their_physics_are_found(fitted):
    found = fitted.specimens
    assert pima.metrics.cluster_accuracy(found.label, found.cluster) == 1.0
    match = pima.metrics.match_clusters(found.label.values, found.cluster.values)
    value, error = fitted.parameters.value, fitted.parameters.std_error
    truth = {"stress.slope": STIFFNESS, "voltage.slope": SLOPE, "intercept": OFFSET}
    assert set(value.parameter.values.tolist()) == set(truth)
    for cluster, label in match.items():
        for name, expected in truth.items():
            here = {"cluster": cluster, "parameter": name}
            wide = float(error.sel(here))
            assert abs(float(value.sel(here)) - expected[label]) < 4 * wide, (name, label)
            assert wide < 0.2


@pytest.mark.parametrize("name", ["picture", "spectrum", "stress", "voltage", "volume"])
def test_each_alone_names_the_cluster_and_predicts_the_others(fitted, name):
    _, fresh = five(60, seed=7)
    answer = fitted.infer(fresh[[name]])
    assert pima.metrics.cluster_accuracy(fresh.label, answer.cluster) > 0.9
    truth = fresh.stiffness.values[:, None] * fresh.strain.values
    plain = np.sqrt(((truth - truth.mean(0)) ** 2).mean())
    assert pima.metrics.rmse(truth, answer.stress.values) < 0.35 * plain
    time = answer.voltage.coords["time"].values
    truth = fresh.offset.values[:, None] + SLOPE[fresh.label.values][:, None] * time
    plain = np.sqrt(((truth - truth.mean(0)) ** 2).mean())
    assert pima.metrics.rmse(truth, answer.voltage.values) < 0.35 * plain
    for other in ("picture", "spectrum", "volume"):
        away = ((answer[other].values - fresh[other].values) ** 2).mean()
        assert away < 0.6 * ((fresh[other].values - fresh[other].values.mean(0)) ** 2).mean(), other
    assert (answer.stress_low <= answer.stress).all()
    assert (answer.stress <= answer.stress_high).all()


def test_all_five_together_are_surer_than_any_alone(fitted):
    _, fresh = five(60, seed=7)
    together = fitted.infer(fresh, predict=())
    assert pima.metrics.cluster_accuracy(fresh.label, together.cluster) == 1.0
    alone = fitted.infer(fresh[["spectrum"]], predict=())
    assert together.responsibilities.max("cluster").mean() >= alone.responsibilities.max("cluster").mean()
