"""Work in the background: one thread that works and touches no widget, and one that copies its state to the widgets.

The kernel stays free while a model trains; a button can stop it, and what it reached is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Copies of the state to the widgets per second.
_RATE = 5.0


class BackgroundTask:
    """A function run in a daemon thread, which reports and can be asked to stop.

    Args:
        work: Takes the task; calls :meth:`report` now and then, and ends early where that returns True.

    Attributes:
        state: ``"new"``, ``"running"``, ``"finished"``, ``"stopped"`` (by :meth:`cancel`), ``"left"`` (by it, before
            there was anything to keep) or ``"failed"``.
        reports: What the work reported, in order.
        result: What the work returned; None until then.
        error: What it raised, or None.
        told: What the work says besides, sentence by sentence.
    """

    def __init__(self, work: Callable[[BackgroundTask], object]) -> None:
        self._work = work
        self._stop, self._over, self._ending = threading.Event(), threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self.state = "new"
        self.reports: list[Any] = []
        self.result: Any = None
        self.error: BaseException | None = None
        self.told: list[str] = []

    def report(self, progress: object) -> bool:
        """Add a report, from within the work.

        Args:
            progress: Kept in :attr:`reports`.

        Returns:
            Whether the work should end.
        """
        self.reports.append(progress)
        return self._stop.is_set()

    def start(self) -> BackgroundTask:
        """Begin; a task runs once.

        Returns:
            The task itself.

        Raises:
            RuntimeError: If it was started before.
        """
        if self._thread is not None:
            raise RuntimeError("this task was started before: make a new one")
        self.state = "running"
        self._thread = threading.Thread(target=self._run, name="pima-task", daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        result = error = None
        try:
            result = self._work(self)
        except BaseException as raised:  # noqa: BLE001 - shown by the panel, raised again by `wait`
            error = raised
        self._end("failed" if error else "stopped" if self._stop.is_set() else "finished", result, error)

    def _end(self, state: str, result: object = None, error: BaseException | None = None) -> None:
        with self._ending:
            if not self._over.is_set():
                self.state, self.result, self.error = state, result, error
                self._over.set()

    def cancel(self) -> None:
        """Ask the work to end; it does so at its next report. Before its first there is nothing to wait for."""
        self._stop.set()
        if self._thread is not None and not self.reports:
            self._end("left")

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to end."""
        return self._stop.is_set()

    @property
    def alive(self) -> bool:
        """Whether the work is going on."""
        return self._thread is not None and not self._over.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end, and say nothing of how it ended.

        Args:
            timeout: Seconds at most.

        Raises:
            RuntimeError: If the task was never started.
        """
        if self._thread is None:
            raise RuntimeError("this task was never started: call start() first")
        self._over.wait(timeout)

    def wait(self, timeout: float | None = None) -> object:
        """Wait for the end and return the result.

        Args:
            timeout: Seconds at most; the result is None if the work goes on.

        Raises:
            RuntimeError: If the task was never started.
            BaseException: What the work raised.
        """
        self.join(timeout)
        if self.error is not None:
            raise self.error
        return self.result


def watch(task: BackgroundTask, show: Callable[[BackgroundTask, bool], None]) -> threading.Thread:
    """Copy a task's state to widgets until it ends, and once after, in a thread of its own.

    Args:
        task: The task, started.
        show: Takes the task and whether it has ended; while the task runs nothing else writes the widgets it writes.

    Returns:
        The thread, to be joined by who must see the last state.
    """

    def copy() -> None:
        while task.alive:
            show(task, False)
            task.join(1.0 / _RATE)
        show(task, True)

    thread = threading.Thread(target=copy, name="pima-watch", daemon=True)
    thread.start()
    return thread
