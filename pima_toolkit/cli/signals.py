"""Signals that stop a command: each as Ctrl-C does, which keeps what there is, and never in the middle of a library.

An exception that is raised while a library holds state of its own in C is lost in a callback, or breaks that state. So
the first signal waits until such a library is left; Ctrl-C once more does not wait.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

#: Libraries that are not to be left in the middle, and Python's own code that forgets what is raised in it.
_FRAGILE = ("numba", "llvmlite", "netCDF4", "xarray.backends", "zarr", "numcodecs", "weakref", "_weakrefset")
#: Seconds between two looks.
_WAIT = 0.05


def stop_by_signals() -> None:
    """Let SIGINT, SIGTERM and SIGHUP stop the command; one that is ignored, as under ``nohup``, stays so."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop once; a terminal that closes tells it several times."""
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_IGN)
    if number == getattr(signal, "SIGHUP", None):
        for stream in (1, 2):
            if os.isatty(stream):  # the terminal is gone
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    _interrupt(number, frame)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, now or when no fragile library is on the stack any more."""
    if hasattr(signal, "setitimer") and _is_fragile(frame):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _WAIT)
        return
    raise KeyboardInterrupt


def _is_fragile(frame: FrameType | None) -> bool:
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name == "__del__" or any(name == one or name.startswith(f"{one}.") for one in _FRAGILE):
            return True
        frame = frame.f_back
    return False
