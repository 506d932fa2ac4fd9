"""Work in processes: the same answer, and never a wait for what cannot come."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError, TrainingError
from pima_toolkit.experts import solve
from pima_toolkit.fitting.parallel.workers import _error, _told, run_tasks

#: What the processes do, by the name of the task; a file of its own, which they can import.
WORK = """
import os, signal
from pima_toolkit.errors import DataError

def work(task, tell):
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    for step in range(10**9 if task == "for ever" else task):
        if tell((task, step)):
            raise DataError("stopped as it was told")
    return task * task
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work_of_a_test.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    return pytest.importorskip("work_of_a_test").work


def test_in_one_process_tasks_are_done_in_turn(work):
    heard = []
    assert dict(run_tasks(work, [2, 0, 1], 1, heard.append)) == {0: 4, 1: 0, 2: 1}
    assert heard == [(2, 0), (2, 1), (1, 0)]
    with pytest.raises(DataError, match="stopped as it was told"):
        list(run_tasks(work, [3], 1, lambda news: news == (3, 1)))


def test_a_process_hears_that_it_should_stop_and_its_error_is_heard(work):
    with pytest.raises(DataError, match=r"^stopped as it was told$"):
        list(run_tasks(work, ["for ever", 0], 2, lambda news: True))


def test_a_process_that_dies_ends_the_run(work):
    with pytest.raises(TrainingError, match=r"ended by signal 9; memory may be short, before its work was done"):
        list(run_tasks(work, ["for ever", "die"], 2, lambda news: False))


def test_an_error_that_is_none_of_ours_comes_with_its_lines():
    try:
        {}["missing"]
    except KeyError as error:
        told = _error(*_told(error))
    assert isinstance(told, TrainingError)
    assert "failed with KeyError: 'missing'" in str(told)
    assert "in test_an_error_that_is_none_of_ours" in str(told)


def test_what_cannot_travel_is_refused_before_a_process_starts():
    with pytest.raises(OptionError, match=r"cannot be handed to other processes \(.*lambda"):
        list(run_tasks(lambda task, tell: None, [1, 2], 2, lambda news: False))


@pytest.mark.slow
def test_restarts_side_by_side_are_those_in_turn_to_the_bit(two_populations, small_model, tmp_path):
    data = two_populations(32, seed=3)
    options = {"epochs": 2, "restarts": 2, "progress": False}
    heard = []
    turn = small_model().fit(data, processes=1, **options)
    side = small_model().fit(data, processes=2, checkpoint=tmp_path, callbacks=[heard.append], **options)
    xr.testing.assert_identical(turn.specimens, side.specimens)
    xr.testing.assert_identical(turn.history.drop_vars("seconds"), side.history.drop_vars("seconds"))
    xr.testing.assert_identical(turn.infer(data), side.infer(data))
    xr.testing.assert_identical(turn.stability, side.stability)
    assert {(p.restart, p.epoch) for p in heard if p.phase == "joint"} == {(0, 1), (0, 2), (1, 1), (1, 2)}
    # the best is kept, and the agreement is that of their clusters
    about = side.stability
    assert side.elbo == pytest.approx(float(about.elbo.max()))
    assert about.attrs["best"] == int(np.argmax(about.elbo.values))


def test_processes_are_a_number(two_populations, small_model):
    for wrong in (0, 1.5, True):
        with pytest.raises(OptionError, match=r"processes=.*: expected a whole number of at least 1"):
            small_model().fit(two_populations(32), processes=wrong)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_forked_after_a_fit_fits_as_well(monkeypatch):
    monkeypatch.setattr("pima_toolkit.experts.formulas.compiled._WORTH_THREADS", 0)
    line = pima.get_expert("affine")
    t, y = np.linspace(0.0, 1.0, 5), np.linspace(1.0, 3.0, 5) + np.eye(3, 5)
    expected = solve(line, t, y).parameters
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    ear, mouth = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.write(mouth, solve(line, t, y).parameters.tobytes())
        finally:
            os._exit(0)
    os.waitpid(process, 0)
    np.testing.assert_array_equal(np.frombuffer(os.read(ear, 1000)).reshape(expected.shape), expected)
    for end in (ear, mouth):
        os.close(end)


FORKED = """
import os, signal
import torch
import pima_toolkit as pima
law, many = pima.Physics("affine"), torch.ones(2000, 2000)
torch.set_num_threads(2)
many.exp().sum()  # launches the threads, which the next process does not have
if os.fork() == 0:
    signal.alarm(20)
    os._exit(0 if float(many.exp().sum()) > 0 else 1)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_process_forked_from_one_with_threads_does_not_wait_for_them():
    quiet = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    done = subprocess.run(quiet, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n", done.stderr
