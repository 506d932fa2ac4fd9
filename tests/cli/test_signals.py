"""Signals stop a command as Ctrl-C does, and wait for libraries that an exception in their midst would break."""

import os
import signal
import threading
import time
import types

import pytest

from pima_toolkit.cli.signals import stop_by_signals

NAMES = ["SIGINT", "SIGTERM", "SIGHUP"]
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no such signals")


@pytest.fixture
def handlers():
    """The command's handlers, while a test runs."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in [*NAMES, "SIGALRM"]}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_by_signals()
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.mark.parametrize("name", NAMES)
def test_a_signal_stops_and_waits_for_a_library_to_be_left(handlers, name):
    def work(end, done, clock=time.monotonic):
        while clock() < end:
            pass
        done.append(True)

    library = types.ModuleType("llvmlite.binding.of_this_test")
    work = types.FunctionType(work.__code__, vars(library), argdefs=work.__defaults__)
    done, number = [], getattr(signal, name)
    threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
    with pytest.raises(KeyboardInterrupt):
        _ = work(time.monotonic() + 0.3, done), time.sleep(10)
    assert done == [True]
    if name != "SIGINT":
        os.kill(os.getpid(), number)  # a terminal tells it again while the fit is saved
