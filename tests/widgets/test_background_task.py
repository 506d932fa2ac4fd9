"""The background job: reports, stops, fails, and ends."""

import threading

import pytest
from pima_widgets.background_task import BackgroundTask, pump
from pima_widgets.panel import error_html


def test_a_job_returns_what_its_work_returns():
    job = BackgroundTask(lambda j: [j.report(k) for k in range(3)]).start()
    assert job.wait(10) == [False, False, False]
    assert job.reports == [0, 1, 2]
    assert job.state == "finished"
    assert not job.alive


def test_a_cancelled_job_keeps_what_it_reached():
    going = threading.Event()

    def work(job):
        for k in range(10_000):
            stop = job.report(k)
            going.set()
            if stop:
                return k
            threading.Event().wait(0.001)
        return None

    job = BackgroundTask(work).start()
    assert going.wait(10)
    job.cancel()
    assert job.asked
    reached = job.wait(10)
    assert reached is not None
    assert reached == job.reports[-1]
    assert job.state == "stopped"


def test_an_error_is_kept_and_raised_by_whoever_waits():
    def work(job):
        raise ValueError("five is <right> out")

    job = BackgroundTask(work).start()
    with pytest.raises(ValueError, match="right"):
        job.wait(10)
    assert job.state == "failed"
    shown = error_html(job.error)
    assert "five is &lt;right&gt; out" in shown
    assert "<right>" not in shown
    assert "Traceback" in shown


def test_a_job_runs_once_and_waits_only_for_what_was_started():
    job = BackgroundTask(lambda j: None)
    with pytest.raises(RuntimeError, match="never started"):
        job.wait()
    job.start().wait(10)
    with pytest.raises(RuntimeError, match="started before"):
        job.start()


def test_the_pump_shows_the_end_once_and_last():
    seen = []
    job = BackgroundTask(lambda j: [j.report(k) or threading.Event().wait(0.05) for k in range(12)]).start()
    pump(job, lambda j, ended: seen.append((len(j.reports), ended))).join(10)
    assert [ended for _, ended in seen].count(True) == 1
    assert seen[-1] == (12, True)
    assert len(seen) >= 2
