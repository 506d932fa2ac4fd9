"""Compiled loops over many curves: built once, from numba's cache, and called one at a time, on the threads that pay.

A loop takes an expert as a first-class function over a whole curve (``codegen.CURVE``): it is
compiled once per installation. The functions it calls live in its own file, since numba's cache notices a change there
and nowhere else.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable

import torch
from numba import float64, get_num_threads, prange, set_num_threads, types

from ...compiling import compiled
from ...errors import TrainingError
from .codegen import CURVE

_LOCK = threading.Lock()
#: Process that numba has launched its threads in; None before.
_THREADS_OF: int | None = None

#: Numbers in all Jacobians together from which threads pay.
_WORTH_THREADS = 200_000

# A forked process has none of torch's threads, and its first large operation would wait for them forever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def call_compiled(size: int, build: Callable[[], Callable], *arguments: object) -> tuple:
    """Call a driver; one at a time, since not every threading layer of numba may be entered twice.

    Small problems run on one thread: waking the others costs more, on a busy machine milliseconds.

    Args:
        size: Numbers in all Jacobians together.
        build: Makes the loop, compiled, on its first call.
        arguments: What the driver takes.

    Raises:
        TrainingError: In a process that was forked from one that has called a loop: its threads are not there.
    """
    if _THREADS_OF not in (None, os.getpid()):
        raise TrainingError(
            "this process was forked from one that has fitted, whose threads it does not have: start it anew, in"
            ' Python by multiprocessing.get_context("spawn"), or fork before the first fit'
        )
    with _LOCK:
        threads = torch.get_num_threads()
        available = _launched(threads)
        set_num_threads(min(threads, available) if size > _WORTH_THREADS else 1)
        try:
            return build()(*arguments)
        finally:
            set_num_threads(available)


@functools.cache
def _launched(threads: int) -> int:
    """Threads that numba has.

    Its first look at them launches them, which sets the number of OpenMP's threads in the whole process: torch's too,
    whatever it was asked for, and two processes of two threads on two cores wait for each other in every layer of a
    network. So it is put back.
    """
    global _THREADS_OF
    _THREADS_OF = os.getpid()
    available = get_num_threads()
    torch.set_num_threads(threads)
    return available


@functools.cache
def evaluator() -> Callable:
    """The loop of values and Jacobians over parameters and grids."""
    signature = types.void(CURVE, float64[:, ::1], float64[:, ::1], float64[:, :, ::1], float64[:, :, :, ::1])
    return compiled([signature], parallel=True)(_evaluate_rows)


def _evaluate_rows(curve, t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled: see the signature in evaluator
    G = t.shape[0]
    for q in prange(theta.shape[0] * G):
        r, g = q // G, q % G
        curve(t[g], theta[r], value[r, g], jacobian[r, g])
