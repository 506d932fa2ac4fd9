"""Panels in this process, without a browser: what a click calls is called, what it shows is read from the traits."""

import numpy as np
import pytest

import pima_toolkit as pima

pytest.importorskip("ipywidgets", reason="pip install ipywidgets")


@pytest.fixture(scope="session")
def specimens():
    """Digits of three kinds with their lines, one specimen in a row of coordinates."""
    data = pima.datasets.digits()
    return data.isel(specimen=data.label.values < 3).isel(specimen=slice(0, 90))


@pytest.fixture(scope="session")
def digits_fit(specimens):
    model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=3, latent_dim=2)
    return model.fit(specimens, epochs=6, crossmodal_epochs=4, progress=False)


@pytest.fixture
def lines(two_populations):
    """Lines of two populations, small and quick."""
    return two_populations(32, seed=4)


@pytest.fixture
def ragged(two_populations):
    """The same with a grid of their own for every specimen, the last points missing."""
    import xarray as xr

    data = two_populations(12, seed=5)
    t = np.tile(data.strain.values, (12, 1)) * np.linspace(0.9, 1.1, 12)[:, None]
    stress = data.stress.values.copy()
    stress[::3, -3:], t[::3, -3:] = np.nan, np.nan
    return xr.Dataset(
        {"stress": (("specimen", "point"), stress, {"units": "MPa", "independent": "strain"})},
        coords={"strain": (("specimen", "point"), t, {"units": "1"}), "specimen": data.specimen},
    )
