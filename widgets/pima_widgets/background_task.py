"""Work in the background: a thread that touches no widget, and another that copies its state to the widgets.

The kernel stays free while a model trains; a button can stop it, and what it reached is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

#: Copies of the state to the widgets in a second.
_RATE = 5.0


class BackgroundTask:
    """A function run in one daemon thread, which reports and can be asked to stop.

    Args:
        work: Takes the job; calls :meth:`report` now and then, and ends early where that returns True.

    Attributes:
        state: ``"new"``, ``"running"``, ``"finished"``, ``"stopped"`` (by :meth:`cancel`) or ``"failed"``.
        reports: What the work reported, in order.
        result: What the work returned; None until then.
        error: What it raised, or None.
    """

    def __init__(self, work: Callable[[BackgroundTask], object]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.state = "new"
        self.reports: list[Any] = []
        self.result: Any = None
        self.error: BaseException | None = None

    def report(self, what: object) -> bool:
        """Add a report, from within the work; True where the work should end."""
        self.reports.append(what)
        return self._stop.is_set()

    def start(self) -> BackgroundTask:
        """Begin; a job runs once.

        Raises:
            RuntimeError: If it was started before.
        """
        if self._thread is not None:
            raise RuntimeError("this job was started before: make a new one")
        self.state = "running"
        self._thread = threading.Thread(target=self._run, name="pima-job", daemon=True)
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            self.result = self._work(self)
        except BaseException as error:  # noqa: BLE001 - shown by the panel, raised again by `wait`
            self.error = error
            self.state = "failed"
        else:
            self.state = "stopped" if self._stop.is_set() else "finished"

    def cancel(self) -> None:
        """Ask the work to end; it does so at its next report."""
        self._stop.set()

    @property
    def asked(self) -> bool:
        """Whether the work was asked to end."""
        return self._stop.is_set()

    @property
    def alive(self) -> bool:
        """Whether the work is going on."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout: float | None = None) -> object:
        """Wait for the end and return the result; an error of the work is raised here.

        Args:
            timeout: Seconds at most; the result is None if the work goes on.

        Raises:
            RuntimeError: If the job was never started.
        """
        if self._thread is None:
            raise RuntimeError("this job was never started: call start() first")
        self._thread.join(timeout)
        if self.error is not None:
            raise self.error
        return self.result


def pump(job: BackgroundTask, show: Callable[[BackgroundTask, bool], None]) -> threading.Thread:
    """Copy a job's state to widgets until it ends, and once after.

    Args:
        job: The job, started.
        show: Takes the job and whether it has ended; the only one to write to its widgets.

    Returns:
        The thread, to be joined by who must see the last state.
    """

    def follow() -> None:
        while job.alive:
            show(job, False)
            job._thread.join(1.0 / _RATE)
        show(job, True)

    thread = threading.Thread(target=follow, name="pima-pump", daemon=True)
    thread.start()
    return thread
