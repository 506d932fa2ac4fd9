"""A law without values where curves were measured is refused before work starts; one of another name is not."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError

T = np.linspace(0.0, 0.05, 20)


def data(own=False):
    rng = np.random.default_rng(0)
    stress = 100.0 + 2000.0 * T + rng.standard_normal((12, 20))
    if own:
        found = xr.Dataset({"stress": (("specimen", "point"), stress)})
        found = found.assign_coords(strain=(("specimen", "point"), T + 1e-3 * np.arange(12)[::-1, None]))
        found.stress.attrs["independent"] = "strain"
        return found
    return xr.Dataset({"stress": (("specimen", "strain"), stress)}, coords={"strain": T})


def model(formula, t, **options):
    law = pima.SympyExpert(formula, t=t, name="law")
    return pima.PIMA({"stress": pima.Physics(law, **options)}, 1, latent_dim=1)


@pytest.mark.parametrize("own", [False, True])
def test_a_law_that_is_infinite_at_a_measured_point_is_refused(own):
    said = r"'law' is a law of 'grain_size', and the curves are over 'strain'; at strain = 0 it is not finite.*window"
    with pytest.raises(ExpertError, match=said):
        model("sigma_0 + k / sqrt(grain_size)", "grain_size").fit(data(own), epochs=1, progress=False)


def test_another_name_alone_and_a_window_are_allowed():
    assert (
        model("a + b*grain_size", "grain_size").fit(data(), epochs=1, progress=False).parameters.sizes["parameter"] == 2
    )
    model("sigma_0 + k / sqrt(x)", "x", window=(0.001, 0.05)).fit(data(), epochs=1, progress=False)
    # finite only for some parameters, which the law's own guess or the spread of starts finds
    model("a * sqrt(b + strain)", "strain").fit(data(), epochs=1, progress=False)
