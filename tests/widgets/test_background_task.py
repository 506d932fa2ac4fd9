"""The background task: reports, stops, fails, and ends."""

import threading

import pytest
from pima_widgets.background_task import BackgroundTask, watch
from pima_widgets.panel import error_html


def test_a_task_returns_what_its_work_returns():
    task = BackgroundTask(lambda one: [one.report(k) for k in range(3)]).start()
    assert task.wait(10) == [False, False, False]
    assert task.reports == [0, 1, 2]
    assert task.state == "finished"
    assert not task.alive


def test_a_cancelled_task_keeps_what_it_reached():
    going = threading.Event()

    def work(task):
        for k in range(10_000):
            stop = task.report(k)
            going.set()
            if stop:
                return k
            threading.Event().wait(0.001)
        return None

    task = BackgroundTask(work).start()
    assert going.wait(10)
    task.cancel()
    assert task.stopping
    reached = task.wait(10)
    assert reached is not None
    assert reached == task.reports[-1]
    assert task.state == "stopped"


def test_an_error_is_kept_and_raised_by_whoever_waits():
    def work(task):
        raise ValueError("five is <right> out")

    task = BackgroundTask(work).start()
    with pytest.raises(ValueError, match="right"):
        task.wait(10)
    assert task.state == "failed"
    shown = error_html(task.error)
    assert "five is &lt;right&gt; out" in shown
    assert "<right>" not in shown
    assert "Traceback" in shown


def test_a_task_runs_once_and_waits_only_for_what_was_started():
    task = BackgroundTask(lambda one: None)
    with pytest.raises(RuntimeError, match="never started"):
        task.wait()
    task.start().wait(10)
    with pytest.raises(RuntimeError, match="started before"):
        task.start()


def test_the_watcher_shows_the_end_once_and_last():
    seen = []
    task = BackgroundTask(lambda one: [one.report(k) or threading.Event().wait(0.05) for k in range(12)]).start()
    watch(task, lambda one, ended: seen.append((len(one.reports), ended))).join(10)
    assert [ended for _, ended in seen].count(True) == 1
    assert seen[-1] == (12, True)
    assert len(seen) >= 2


def test_a_task_without_a_report_is_left_at_once_and_says_nothing_later():
    go_on = threading.Event()
    task = BackgroundTask(lambda task: go_on.wait(10) and "late").start()
    task.cancel()
    assert (task.wait(5), task.state, task.alive) == (None, "left", False)
    go_on.set()
    task._thread.join(10)
    assert (task.result, task.state) == (None, "left")
