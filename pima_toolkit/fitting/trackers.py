"""Numbers of every epoch, where people look at them: a progress bar, a file, TensorBoard, MLflow, Weights & Biases.

A tracker is any object with ``log(step, values)`` and ``close()``; those here are thin, and what they need beyond this
package is imported when one is made.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..data.files import refused
from ..errors import OptionError, require

if TYPE_CHECKING:
    from .parallel.distributed import Processes
    from .run import Callback, Progress


@runtime_checkable
class Tracker(Protocol):
    """Takes down numbers while a model is trained."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take down the numbers of one epoch.

        Args:
            step: The epoch, from 1, counted anew in every phase.
            values: By name, such as ``"joint/elbo"`` in nats for a specimen and ``"joint/occupancy/0"``.
        """

    def close(self) -> None:
        """Write what is left; called when training ends, however it ends."""


class CSVTracker:
    """A table with the columns step, name and value; each row is written at once, and a later run appends.

    Args:
        path: The file; folders above it are made.

    Raises:
        StorageError: If it cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        with refused(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Rows of an epoch go together: no half of one stays in a buffer when the process is killed.
            self._file = self.path.open("a", encoding="utf-8", newline="")
            self._rows = csv.writer(self._file)
            if self._file.tell() == 0:
                self._rows.writerow(["step", "name", "value"])
                self._file.flush()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row for each number."""
        with refused(self.path):
            self._rows.writerows([step, name, repr(float(value))] for name, value in values.items())
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class TensorBoardTracker:
    """Curves in TensorBoard: ``tensorboard --logdir FOLDER``.

    Args:
        folder: Folder of the event files.

    Raises:
        MissingDependency: If tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        require("tensorboard", "curves in TensorBoard")
        self._writer = require("torch.utils.tensorboard", "curves in TensorBoard").SummaryWriter(str(folder))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class MLflowTracker:
    """Metrics of one MLflow run.

    Args:
        uri: Address of the store, such as ``"sqlite:///mlflow.db"`` or a server's; by default MLflow's own.
        experiment: Name of the experiment.
        run: Name of the run.
        parameters: Written down once, such as the options of the fit.

    Raises:
        MissingDependency: If mlflow is not installed.
    """

    def __init__(
        self,
        uri: str | None = None,
        experiment: str = "pima",
        run: str | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> None:
        self._client = require("mlflow", "runs in MLflow").MlflowClient(uri)
        known = self._client.get_experiment_by_name(experiment)
        which = self._client.create_experiment(experiment) if known is None else known.experiment_id
        self._run = self._client.create_run(which, run_name=run).info.run_id
        for name, value in (parameters or {}).items():
            self._client.log_param(self._run, name, value)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a value to each metric."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, float(value), step=step)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._run)


class WandbTracker:
    """A run of Weights & Biases.

    Args:
        settings: Arguments of ``wandb.init``, such as ``project="lattice"`` or ``mode="offline"``.

    Raises:
        MissingDependency: If wandb is not installed.
    """

    def __init__(self, **settings: object) -> None:
        self._run = require("wandb", "runs in Weights & Biases").init(**settings)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve; the epoch is one of the values, since phases count their own."""
        self._run.log({**values, "epoch": step})

    def close(self) -> None:
        """Upload what is left."""
        self._run.finish()


def values_of(progress: Progress) -> dict[str, float]:
    """Name the numbers of an epoch; those of a later restart have its number in the name of the phase."""
    phase = progress.phase + (f"-{progress.restart}" if progress.restart else "")
    values = {f"{phase}/elbo" if progress.phase == "joint" else f"{phase}/loss": progress.elbo}
    if progress.phase != "joint":
        values = {name: -value for name, value in values.items()}
    return values | {f"{phase}/occupancy/{c}": share for c, share in enumerate(progress.occupancy)}


def check_tracker(tracker: object) -> None:
    """Refuse what is no tracker before any work starts.

    Raises:
        OptionError: If it lacks ``log`` or ``close``.
    """
    if tracker is not None and not isinstance(tracker, Tracker):
        raise OptionError(
            f"tracker={tracker!r} is no tracker: expected an object with log(step, values) and close(), such as "
            "pima.trackers.CSVTracker('track.csv')"
        )


@contextmanager
def shown_progress(show: bool, restarts: int) -> Iterator[Callable[[Progress], None]]:
    """Give a function to call after every epoch, which draws a bar with rich.

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
                name = progress.title
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


def heard_by_all(
    bar: Callback, callbacks: Sequence[Callback], tracker: Tracker | None, group: Processes
) -> Callable[[Progress], bool]:
    """Make one callback of the bar, the tracker and the user's own; it returns True where training shall stop.

    Args:
        bar: Hears first, in every process.
        callbacks: The user's; each hears of every epoch, and one that returns True stops the training of all processes.
        tracker: Takes down the numbers, in the first process alone.
        group: The processes that train together.
    """

    def callback(state: Progress) -> bool:
        bar(state)
        if group.rank:
            return group.agreed(False)
        if tracker is not None:
            tracker.log(state.epoch, values_of(state))
        # Every callback hears of every epoch, also after one has asked to stop.
        answers = [call(state) is True for call in callbacks]
        return group.agreed(any(answers))

    return callback
