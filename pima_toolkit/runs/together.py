"""A run by several processes of this machine: started here, watched, and ended together.

Each process runs the same :func:`run` and finds the others by the variables that ``torchrun`` would set; over several
machines ``torchrun`` itself starts them. What the first process says, and why one of them failed, comes back by pipes.

``torch.multiprocessing.spawn`` does not listen: at the first process that fails, which often is one whose peer was
killed, it ends the others before they can say why, and of an error it brings the text of its traceback, not its class.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from .. import errors
from ..errors import OptionError, PimaError, TrainingError
from .folder import RunFolder, open_fit
from .run import RunResult, run

#: Seconds in which the others of a failed process may say why; a peer that broke off is nobody's reason.
_GRACE = 2.0


def run_together(
    processes: int,
    folder: str | Path,
    options: Mapping[str, object],
    *,
    overwrite: bool = False,
    update_data: bool = False,
    track: str | None = None,
    baselines: bool = False,
    progress: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> RunResult:
    """Train in a folder as :func:`run` does, by several processes that share the networks' work.

    Args:
        processes: How many; each takes its share of the processors.
        folder: Of the run.
        options: As :func:`read_options` gives them.
        overwrite: Start anew where there is a run already.
        update_data: Start anew where the data of the run have changed or grown since.
        track: ``"csv"`` or ``"tensorboard"``.
        baselines: Set the fit beside simple methods before the report.
        progress: Draw a progress bar.
        say: Called with each thing a person would want to know on the way.

    Returns:
        The outcome.

    Raises:
        OptionError: If ``processes`` is no number of at least two, or these are processes of ``torchrun`` already.
        PimaError: What one of the processes raised; all are ended then.
        TrainingError: If one of them was killed or broke.
    """
    if isinstance(processes, bool) or not isinstance(processes, int) or processes < 2:
        raise OptionError(
            f"processes={processes!r}: expected a whole number of at least 2; one process needs no option"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise OptionError("these are processes of torchrun already: leave --processes out")
    target = RunFolder(Path(folder).expanduser())
    # A run stopped by hand has a fit too, and goes on.
    finished = not overwrite and (target.about() or {}).get("state") == "finished"
    context = multiprocessing.get_context("spawn")
    port = _free_port()
    notes: list[str] = []
    workers, ears = [], []
    try:
        for rank in range(processes):
            ear, mouth = context.Pipe(duplex=False)
            said = {
                "overwrite": overwrite,
                "update_data": update_data,
                "track": track,
                "baselines": baselines,
                "progress": progress and rank == 0,
            }
            arguments = (rank, processes, port, mouth, folder, dict(options), said)
            workers.append(context.Process(target=_work, args=arguments, daemon=True))
            workers[-1].start()
            mouth.close()
            ears.append(ear)
        _watch(workers, ears, lambda text: (notes.append(text), say(text)))
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.terminate()
            worker.join()
    return RunResult(target, open_fit(target.path), finished, tuple(notes))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _work(
    rank: int,
    count: int,
    port: int,
    mouth: Connection,
    folder: str | Path,
    options: Mapping[str, object],
    more: Mapping[str, Any],
) -> None:
    """One process; it ends with code 1 after it has said why."""
    # What torchrun would say.
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    try:
        run(folder, options, **more, say=lambda text: mouth.send(("says", text)))
    except PimaError as error:
        mouth.send((type(error).__name__, str(error)))
        raise SystemExit(1) from None
    except Exception as error:
        mouth.send(("broke", f"{type(error).__name__}: {error}"))
        raise


def _watch(workers: Sequence[BaseProcess], ears: Sequence[Connection], say: Callable[[str], object]) -> None:
    """Pass on what is said until all are done.

    Raises:
        PimaError: What one of them raised.
        TrainingError: If one was killed or broke.
    """
    told: list[tuple[int, str, str]] = []
    open_ears = dict(zip(ears, range(len(ears)), strict=True))
    while open_ears:
        failed = any(worker.exitcode not in (None, 0) for worker in workers)
        ready = wait(list(open_ears), timeout=_GRACE if failed else 0.5)
        for ear in [one for one in open_ears if one in ready]:
            try:
                kind, text = ear.recv()
            except EOFError:
                del open_ears[ear]
                continue
            if kind == "says":
                say(text)
            else:
                told.append((open_ears[ear], kind, text))
        if failed and not ready:
            break
    else:  # all have said their last, and are about to end
        for worker in workers:
            worker.join()
    _raise_for(workers, told)


def _raise_for(workers: Sequence[BaseProcess], told: Sequence[tuple[int, str, str]]) -> None:
    of = f"of {len(workers)}"
    for rank, worker in enumerate(workers):
        if worker.exitcode is not None and worker.exitcode < 0:
            name = signal.Signals(-worker.exitcode).name
            raise TrainingError(
                f"process {rank} {of} was ended by {name}, perhaps for want of memory: the others were stopped; the "
                "same command goes on from the last epoch"
            )
    for _, kind, text in told:
        if kind != "broke":
            raise getattr(errors, kind)(text)
    for rank, _, text in told:
        raise TrainingError(f"process {rank} {of} broke ({text}): the others were stopped")
    for rank, worker in enumerate(workers):
        if worker.exitcode:
            raise TrainingError(f"process {rank} {of} ended with code {worker.exitcode}: the others were stopped")
