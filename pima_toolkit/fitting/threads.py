"""One thread for many small problems: more of them wait for each other longer than they work."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ..errors import require

#: Numbers of a problem from which threads pay.
_LARGE = 2_000_000


def one_thread(size: int = 0) -> AbstractContextManager:
    """Hold the linear algebra and the loops of scikit-learn to one thread while it lasts.

    The answer then does not depend on how many there are, in the last bits of its sums.

    Args:
        size: Numbers of the problem; a large one keeps its threads.
    """
    if size >= _LARGE:
        return nullcontext()
    return require("threadpoolctl", "starting clusters").threadpool_limits(1)
