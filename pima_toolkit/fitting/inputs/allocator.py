"""Memory that a batch frees stays with the process, for the next batch.

glibc gives large arrays back to the system when they are freed, and the next step asks for them anew, page by page: on
two cores that was a quarter of an epoch of MNIST (benchmarks/speed.py).
"""

from __future__ import annotations

import ctypes
import sys

#: Arrays below this size come from the heap, and as much stays on its top when they are freed, bytes.
_KEPT = 256 * 2**20
#: Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Tell glibc to keep up to 256 MiB of freed memory; other C libraries are left as they are."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
