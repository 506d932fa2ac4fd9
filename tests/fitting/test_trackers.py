"""Numbers of every epoch where people look at them."""

import csv
import importlib.util
import sys

import pytest

import pima_toolkit as pima
from pima_toolkit import trackers
from pima_toolkit.errors import MissingDependency, OptionError, StorageError
from pima_toolkit.fitting.run import Progress


class Kept:
    """A tracker of one's own."""

    def __init__(self):
        self.rows, self.closed = [], 0

    def log(self, step, values):
        self.rows.append((step, dict(values)))

    def close(self):
        self.closed += 1


def rows_of(path):
    with path.open(newline="") as file:
        return [(int(row["step"]), row["name"], float(row["value"])) for row in csv.DictReader(file)]


def test_a_tracker_hears_of_every_epoch_and_is_closed_however_it_ends(two_populations, small_model, tmp_path):
    own = Kept()
    fit = small_model().fit(two_populations(), epochs=3, crossmodal_epochs=2, tracker=own, progress=False)
    joint = [(step, values["joint/elbo"]) for step, values in own.rows if "joint/elbo" in values]
    assert [step for step, _ in joint] == [1, 2, 3]
    assert [value for _, value in joint] == fit.history.elbo.values.tolist()
    assert [step for step, values in own.rows if "crossmodal/loss" in values] == [1, 2]
    assert own.rows[2][1]["joint/occupancy/0"] == pytest.approx(float(fit.history.occupancy[-1, 0]))
    assert own.closed == 1

    def stop(_):
        raise RuntimeError("a power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        small_model().fit(two_populations(), epochs=3, callbacks=[stop], tracker=own, progress=False)
    assert own.closed == 2


def test_the_loss_of_a_later_phase_and_restart():
    progress = Progress("crossmodal", 2, 5, 9, -1.5, (0.25, 0.75))
    assert trackers.values_of(progress) == {
        "crossmodal-2/loss": 1.5,
        "crossmodal-2/occupancy/0": 0.25,
        "crossmodal-2/occupancy/1": 0.75,
    }


def test_a_table_of_epochs_is_appended_to(tmp_path):
    path = tmp_path / "new" / "track.csv"
    for step in (1, 2):
        tracker = trackers.CSVTracker(path)
        tracker.log(step, {"joint/elbo": 0.1 * step, "joint/occupancy/0": 1.0})
        assert len(rows_of(path)) == 2 * step  # on disk before it is closed
        tracker.close()
    assert rows_of(path)[2:] == [(2, "joint/elbo", 0.2), (2, "joint/occupancy/0", 1.0)]
    with pytest.raises(StorageError):
        trackers.CSVTracker(tmp_path)


def test_a_run_keeps_a_table(two_populations, tmp_path):
    data = pima.save_data(two_populations(), tmp_path / "specimens.nc")
    options = {"data": str(data), "model": {"clusters": 2}, "training": {"epochs": 2}}
    options["modalities"] = {"stress": {"expert": "proportional"}}
    outcome = pima.runs.run(tmp_path / "run", options, track="csv")
    elbo = [value for _, name, value in rows_of(tmp_path / "run" / "track.csv") if name == "joint/elbo"]
    assert elbo == outcome.fit.history.elbo.values.tolist()
    with pytest.raises(OptionError, match="track='excel' is unknown: use one of 'csv', 'tensorboard'"):
        pima.runs.run(tmp_path / "other", options, track="excel")


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard itself
def test_curves_in_tensorboard(tmp_path):
    tracker = trackers.TensorBoardTracker(tmp_path)
    for step in (1, 2):
        tracker.log(step, {"joint/elbo": 0.5 * step})
    tracker.close()
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = events.EventAccumulator(str(tmp_path)).Reload().Scalars("joint/elbo")
    assert [(e.step, e.value) for e in found] == [(1, 0.5), (2, 1.0)]


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
@pytest.mark.filterwarnings("ignore")  # of mlflow itself
def test_metrics_in_mlflow(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker = trackers.MLflowTracker(uri, "lattice", "first", {"clusters": 2})
    for step in (1, 2):
        tracker.log(step, {"joint/elbo": 0.5 * step})
    tracker.close()
    client = pytest.importorskip("mlflow").MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name("lattice").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {"clusters": "2"}
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "joint/elbo")] == [(1, 0.5), (2, 1.0)]


@pytest.mark.parametrize(
    ("library", "make"),
    [
        ("tensorboard", lambda folder: trackers.TensorBoardTracker(folder)),
        ("mlflow", lambda folder: trackers.MLflowTracker()),
        ("wandb", lambda folder: trackers.WandbTracker()),
    ],
)
def test_a_library_that_is_missing_is_named(library, make, tmp_path, monkeypatch):
    loaded = [name for name in sys.modules if name.partition(".")[0] == library]
    for name in {library, *loaded}:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not there
    with pytest.raises(MissingDependency, match=f"pip install {library}"):
        make(tmp_path)


def test_what_is_no_tracker_is_refused(two_populations, small_model):
    with pytest.raises(OptionError, match="is no tracker: expected an object with log"):
        small_model().fit(two_populations(), tracker="csv", progress=False)
