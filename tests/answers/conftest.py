"""Fits that several files ask: one of lines and vectors, one of digits."""

import pytest

import pima_toolkit as pima


@pytest.fixture(scope="session")
def train(two_populations):
    return two_populations(96, seed=1)


@pytest.fixture(scope="session")
def test(two_populations):
    """Specimens of the same populations, not trained on."""
    return two_populations(80, seed=2)


@pytest.fixture(scope="session")
def fit(train, small_model):
    return small_model().fit(train, epochs=25, progress=False)


@pytest.fixture(scope="session")
def digits():
    data = pima.datasets.digits()
    return data.isel(specimen=data.label.values < 3).isel(specimen=slice(0, 150))


@pytest.fixture(scope="session")
def digits_fit(digits):
    model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=3, latent_dim=2)
    return model.fit(digits, epochs=10, progress=False)
