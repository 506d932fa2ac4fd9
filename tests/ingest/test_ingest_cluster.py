"""The files of a folder, read by the workers of a dask cluster: the same to the bit."""

import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import OptionError, PimaWarning


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of dask itself
def test_a_messy_folder_read_by_a_cluster_is_the_same_to_the_bit(tmp_path):
    distributed = pytest.importorskip("distributed", reason="pip install 'dask[distributed]'")
    pima.datasets.write_folder(tmp_path / "lab", n=40, seed=0)
    with pytest.warns(PimaWarning, match="could not be used"):
        here = pima.from_folder(tmp_path / "lab", progress=False)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        pytest.warns(PimaWarning, match="could not be used"),
    ):
        there = pima.from_folder(tmp_path / "lab", client=client, progress=False)
    xr.testing.assert_identical(here, there)  # the account of every file too
    for name in here.data_vars:
        assert here[name].values.tobytes() == there[name].values.tobytes()


def test_what_is_no_client_is_refused(tmp_path):
    pima.datasets.write_folder(tmp_path / "lab", n=2, mess=False)
    with pytest.raises(OptionError, match="is no dask client: expected dask"):
        pima.from_folder(tmp_path / "lab", client="localhost:8786")
