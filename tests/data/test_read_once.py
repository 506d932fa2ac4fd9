"""Every public door reads each modality of a dataset once, whatever it does with it afterwards."""

from collections import Counter

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data import check

QUICK = {"epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    slope = np.repeat([1.0, 3.0], 12)
    strain = np.linspace(0.0, 1.0, 12)
    return xr.Dataset(
        {
            "stress": (("specimen", "strain"), slope[:, None] * strain + 0.05 * rng.standard_normal((24, 12))),
            "feature": ("specimen", slope + 0.1 * rng.standard_normal(24)),
        },
        coords={"strain": strain, "kind": ("specimen", slope.astype(int))},
    )


@pytest.fixture(scope="module")
def fit(data):
    modalities = {"stress": pima.Physics("proportional"), "feature": pima.Neural()}
    return pima.PIMA(modalities, clusters=2, latent_dim=2).fit(data, crossmodal_epochs=1, **QUICK)


@pytest.fixture
def readings(monkeypatch):
    """How often each modality is read."""
    counted = Counter()

    def reading(data, name, *rest, **more):
        counted[name] += 1
        return original(data, name, *rest, **more)

    original = check._measured
    monkeypatch.setattr(check, "_measured", reading)
    return counted


DOORS = {
    "fit": lambda fit, data: fit.model.fit(data, crossmodal_epochs=1, **QUICK),
    "restarts": lambda fit, data: fit.model.fit(data, restarts=2, crossmodal_epochs=1, **QUICK),
    "infer": lambda fit, data: fit.infer(data),
    "calibration": lambda fit, data: fit.calibration(data, labels="kind"),
    "select_clusters": lambda fit, data: pima.select_clusters(fit.model, data, clusters=[1, 2], restarts=2, **QUICK),
}


@pytest.mark.filterwarnings("ignore")  # of so short a training
@pytest.mark.parametrize("door", DOORS)
def test_each_modality_is_read_once(door, fit, data, readings):
    DOORS[door](fit, data)
    assert readings == {"stress": 1, "feature": 1}
