"""Warnings of the toolkit as sentences of a panel, those of every thread by themselves."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from pima_toolkit.errors import PimaWarning

#: Number of a thread -> where its warnings go, the innermost block last.
_hearers: dict[int, list[list[str]]] = {}
_lock = threading.Lock()
_changed = ExitStack()


@contextmanager
def told_warnings() -> Iterator[list[str]]:
    """Gather what the toolkit warns of in the block, each sentence once; other warnings go where they went.

    Python has one way of showing warnings for all threads: it is changed while any block is open, and no longer.
    """
    told: list[str] = []
    own = threading.get_ident()
    with _lock:
        if not _hearers:
            _open()
        _hearers.setdefault(own, []).append(told)
    try:
        yield told
    finally:
        with _lock:
            _hearers[own].pop()
            if not _hearers[own]:
                del _hearers[own]
            if not _hearers:
                _changed.close()


def _open() -> None:
    _changed.enter_context(warnings.catch_warnings())
    warnings.simplefilter("always", PimaWarning)
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        heard = _hearers.get(threading.get_ident())
        if heard is None or not issubclass(category, PimaWarning):
            usual(message, category, *rest, **more)
        elif str(message) not in heard[-1]:
            heard[-1].append(str(message))

    warnings.showwarning = show
