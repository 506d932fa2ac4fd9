"""The progress bar: epochs, ELBO and occupancy, on the terminal or in the notebook."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import require

if TYPE_CHECKING:
    from .run import Progress

_NAMES = {
    "invariance": "clusters of pictures",
    "curveless": "clusters of specimens without curves",
    "joint": "training",
    "crossmodal": "cross-modal encoders",
    "calibration": "width of the bands",
}


@contextmanager
def shown_progress(show: bool, restarts: int) -> Iterator[Callable[[Progress], None]]:
    """A function to call after every epoch, drawing a bar with rich.

    A machine without rich, such as a bare cluster node, gets no bar.

    Args:
        show: Whether to draw at all.
        restarts: How many runs there will be.
    """
    if not show or importlib.util.find_spec("rich") is None:
        yield lambda _: None
        return
    rich = require("rich.progress", "progress bars")
    bar = rich.Progress(
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[facts]}"),
    )
    tasks: dict[tuple[str, int], object] = {}
    with bar:

        def update(progress: Progress) -> None:
            key = progress.phase, progress.restart
            if key not in tasks:
                name = _NAMES[progress.phase]
                if progress.phase == "calibration":
                    name = f"{name} {progress.restart + 1}"
                if restarts > 1 and progress.phase == "joint":
                    name = f"training {progress.restart + 1}/{restarts}"
                tasks[key] = bar.add_task(name, total=progress.epochs, facts="")
            label = "ELBO" if progress.phase == "joint" else "-loss"
            facts = f"{label} {progress.elbo:.4g}"
            if progress.phase in ("invariance", "joint"):
                shares = sorted(progress.occupancy, reverse=True)
                facts += "  clusters " + " ".join(f"{100 * share:.0f}%" for share in shares[:12])
            bar.update(tasks[key], completed=progress.epoch, facts=facts)

        yield update
