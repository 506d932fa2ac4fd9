"""Independent pieces of work in processes of their own, one torch thread each, the same answer however many there are.

Processes are spawned, so that none inherits threads or locks. A piece that raises ends everything with its error, and
so does a process that dies: nothing is waited for that cannot come.

``concurrent.futures.ProcessPoolExecutor`` would be shorter and cannot do it: of a process that dies it does not tell
the signal, an error waits until the other tasks have ended (before Python 3.14 nothing public ends them, and a training
may take hours), and a task cannot send news and be asked to stop on the way.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, NoReturn, Protocol, TypeVar

import torch

from ... import errors
from ...errors import OptionError, PimaError, TrainingError
from ...experts import load_plugin, plugin_records
from ...plugins.records import FILE

#: What work is done with, what it tells meanwhile, what comes of it.
Task = TypeVar("Task", contravariant=True)
News = TypeVar("News", covariant=True)
Result = TypeVar("Result", covariant=True)
#: Seconds that a process has to end once it was told to.
_PATIENCE = 10.0


class Work(Protocol[Task, News, Result]):
    """A function done with each task; it travels to the processes whole, so it holds plain data and no open files."""

    def __call__(self, task: Task, tell: Callable[[News], bool], /) -> Result:
        """Do one task.

        Args:
            task: Plain data.
            tell: Hand news to whoever waits; True: stop as soon as it can be.
        """


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread inside, as every process has: sums of floats depend on how many share them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_processes(processes: object) -> None:
    """Refuse what is no number of processes.

    Raises:
        OptionError: If it is none.
    """
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 1:
        raise OptionError(f"processes={processes!r}: expected a whole number of at least 1")


def run_tasks(
    work: Work[Task, News, Result], tasks: Sequence[Task], processes: int, hear: Callable[[News], bool]
) -> Iterator[tuple[int, Result]]:
    """Do every task.

    Args:
        work: Function to call with each.
        tasks: Plain data each; those first in the list are begun first.
        processes: How many at a time; 1: in this process.
        hear: Gets what work tells; one that returns True stops everything.

    Yields:
        Number of the task and its result, in the order in which they are done; once stopped, only those begun.

    Raises:
        PimaError: If a task raised one; it is that one.
        TrainingError: If a process died, or a task raised anything else; the message holds what it said.
    """
    if min(processes, len(tasks)) <= 1:
        stop = False

        def tell(news: News) -> bool:
            nonlocal stop
            stop = hear(news) or stop
            return stop

        with one_thread():
            for k, task in enumerate(tasks):
                yield k, work(task, tell)
                if stop:
                    return
        return
    pool = _Pool(work, min(processes, len(tasks)))
    try:
        yield from pool.run(tasks, hear)
    finally:
        pool.end()


class _Pool:
    """Processes that wait for tasks."""

    def __init__(self, work: Work[Any, Any, Any], processes: int) -> None:
        try:
            packed = bytes(ForkingPickler.dumps(work))
        except Exception as error:  # noqa: BLE001 - what is said of a lambda or a local class has no common base
            raise OptionError(
                f"the model cannot be handed to other processes ({error}): define its modules and experts at the top of"
                " a file that can be imported, or leave processes out"
            ) from None
        context = multiprocessing.get_context("spawn")
        plugins = [r.value for r in plugin_records().values() if r.distribution == FILE and r.state == "active"]
        self.workers: dict[Connection, BaseProcess] = {}
        try:
            for _ in range(processes):
                here, there = context.Pipe()
                process = context.Process(target=_serve, args=(there, plugins), daemon=True)
                process.start()
                there.close()
                self.workers[here] = process
            for connection in self.workers:
                self._send(connection, packed)
        except BaseException:
            self.end()
            raise

    def run(self, tasks: Sequence[Any], hear: Callable[[Any], bool]) -> Iterator[tuple[int, Any]]:
        waiting = list(enumerate(tasks))[::-1]
        busy: dict[Connection, int] = {}
        for connection in self.workers:
            busy[connection], task = waiting.pop()
            self._send(connection, task)
        while busy:
            ready = wait(list(busy))
            for connection in [one for one in busy if one in ready]:
                try:
                    kind, content = connection.recv()
                except (EOFError, OSError):
                    self._died(connection)
                if kind == "news":
                    if hear(content):
                        waiting.clear()
                        for other in busy:
                            self._send(other, "stop")
                    continue
                if kind == "error":
                    raise _error(*content)
                yield busy.pop(connection), content
                if waiting:
                    busy[connection], task = waiting.pop()
                    self._send(connection, task)

    def _send(self, connection: Connection, content: object) -> None:
        try:
            connection.send(content)
        except (BrokenPipeError, ConnectionResetError):
            self._died(connection)

    def _died(self, connection: Connection) -> NoReturn:
        process = self.workers[connection]
        process.join(_PATIENCE)
        code = process.exitcode
        why = f"by signal {-code}; memory may be short" if code is not None and code < 0 else f"with exit code {code}"
        raise TrainingError(
            f"a process of the training ended {why}, before its work was done: see what it printed, and in a script"
            " put the call under if __name__ == '__main__':; the same call with the same folder goes on"
        )

    def end(self) -> None:
        """Let the processes go, busy or not."""
        for connection, process in self.workers.items():
            connection.close()
            process.terminate()
        for process in self.workers.values():
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()


def _error(name: str, message: str, trace: str) -> PimaError:
    """Rebuild the error a process raised: one of ours as it was, anything else with the lines it came from."""
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, PimaError):
        return kind(message)
    return TrainingError(f"a process of the training failed with {name}: {message}\n{trace}")


def _serve(connection: Connection, plugins: Sequence[str]) -> None:
    """Body of a process: the work, then one task after the other until the other end closes."""
    # Ctrl-C in a terminal reaches every process; the first one decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    stop = False

    def tell(news: object) -> bool:
        nonlocal stop
        connection.send(("news", news))
        while connection.poll():
            stop = connection.recv() == "stop" or stop
        return stop

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            packed = connection.recv()  # first of all: who sends it waits until it is taken
            for plugin in plugins:
                load_plugin(plugin)
            work = ForkingPickler.loads(packed)
        except EOFError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a plugin or a class that is gone says is told
            connection.send(("error", _told(error)))
            return
        while True:
            task = connection.recv()
            if task == "stop":
                continue
            try:
                connection.send(("done", work(task, tell)))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits must hear of it
                connection.send(("error", _told(error)))
                return


def _told(error: Exception) -> tuple[str, str, str]:
    return type(error).__name__, str(error), traceback.format_exc()
