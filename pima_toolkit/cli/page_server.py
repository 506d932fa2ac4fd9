"""The server of `pima app`, in a process of its own: ``python -m pima_toolkit.cli.page_server PAGE SECONDS``.

Voila, which is told by ``voila.json`` in the folder it is started in, and a look every few seconds: a session ends with
its page, the server after a time without a page, and with the command that started it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ..errors import require

#: What the command wrote for the server, in the folder it is started in.
WRITTEN = ("voila.json", "pima.ipynb")
#: Seconds between two looks.
EVERY = 3.0
#: Seconds without its page after which a session ends: a page that lost its connection takes it up again by then.
_GRACE = 12.0
#: Seconds that a page may take until it first connects: the session reads files before it has anything to show.
_OPENING = 900.0


class Watch:
    """What ends the sessions of a server, and the server.

    Args:
        app: Voila's application, not begun.
        seconds: Time without a page after which it ends; 0: never.
    """

    def __init__(self, app: Any, seconds: float) -> None:
        self.app, self.seconds = app, seconds
        self.parent = os.getppid()
        self.connected: set[str] = set()
        self.alone: dict[str, float] = {}
        self.last = time.monotonic()

    def listen(self) -> None:
        """Hear of every connection to a session, also of one that is over by the next look."""
        manager = self.app.kernel_manager
        tell = manager.notify_connect

        def told(number: str) -> None:
            self.connected.add(number)
            tell(number)

        manager.notify_connect = told

    async def look(self) -> None:
        """Look once."""
        now = time.monotonic()
        for session in self.app.kernel_manager.list_kernels():
            number = session["id"]
            if session["connections"]:
                self.alone.pop(number, None)
                self.last = now
                continue
            patience = _GRACE if number in self.connected else _OPENING
            if now - self.alone.setdefault(number, now) > patience:
                await self.app.kernel_manager.shutdown_kernel(number, now=True)
            elif number not in self.connected:
                self.last = now
        if os.getppid() != self.parent:
            self.app.ioloop.stop()
            for name in WRITTEN:  # nobody else does it any more
                Path(name).unlink(missing_ok=True)
        elif self.seconds and now - self.last > self.seconds:
            self.app.log.warning("no page is open: the server ends")
            self.app.ioloop.stop()


def main() -> None:
    """Serve until somebody or something ends it."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the command hears it too, and ends this
    app = require("voila.app", "pages of their own").Voila.instance()
    app.initialize(sys.argv[1:-1])
    watch = Watch(app, float(sys.argv[-1]))
    loop = require("tornado.ioloop", "pages of their own")
    loop.IOLoop.current().add_callback(watch.listen)  # when there is a manager of sessions
    loop.PeriodicCallback(watch.look, 1000.0 * EVERY).start()
    app.start()


if __name__ == "__main__":
    main()
