"""Compiled loops over many curves: built once, from numba's cache, and run on the threads that pay.

A loop takes the first and the last row it is for, and an expert as a first-class function over a whole curve
(``codegen.CURVE``): it is compiled once per installation. The functions it calls live in its own file, since numba's
cache notices a change there and nowhere else. Threads are Python's, the loops let go of its lock: numba's own parallel
loops take twice as long to compile, set the number of torch's threads, and wait for ever in a forked process.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from numba import float64, int64, types

from ...compiling import compiled
from .codegen import CURVE

#: Numbers in all Jacobians together from which threads pay.
_WORTH_THREADS = 200_000
#: Pieces of the rows for each thread: some rows take longer than others.
_PIECES = 4

# A forked process has none of torch's threads, and its first large operation would wait for them forever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def call_compiled(build: Callable[[], Callable], rows: int, numbers: int, *arguments: object) -> None:
    """Run a loop over rows, on as many threads as torch has where there is much to do.

    Args:
        build: Makes the loop, compiled, on its first call.
        rows: How many there are; each is worked on by itself, so that the answer does not depend on threads.
        numbers: Numbers in all Jacobians together.
        arguments: What the loop takes after its first and its last row.
    """
    loop = build()
    threads = min(torch.get_num_threads(), rows) if numbers > _WORTH_THREADS else 1
    if threads == 1:
        loop(0, rows, *arguments)
        return
    edges = [rows * k // (_PIECES * threads) for k in range(_PIECES * threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(loop, *ends, *arguments) for ends in itertools.pairwise(edges)]:
            done.result()


@functools.cache
def evaluator() -> Callable:
    """The loop of values and Jacobians over parameters and grids."""
    three, four = float64[:, :, ::1], float64[:, :, :, ::1]
    signature = types.void(int64, int64, CURVE, float64[:, ::1], float64[:, ::1], three, four)
    return compiled([signature], nogil=True)(_evaluate_rows)


def _evaluate_rows(begin, end, curve, t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled: see the signature in evaluator
    G = t.shape[0]
    for q in range(begin, end):
        r, g = q // G, q % G
        curve(t[g], theta[r], value[r, g], jacobian[r, g])
