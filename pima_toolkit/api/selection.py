r"""Choice of the number of clusters, with a suggestion.

Curves with known physics are asked directly (:mod:`~pima_toolkit.fitting.starts.number`), in seconds. Other models are
trained with every number, and held-out ELBO and agreement of restarts decide: the suggestion is the smallest number
whose held-out ELBO is within one standard error of the best, each specimen and each restart compared with itself; of
several, one whose restarts agree. The standard error counts specimens and restarts,

.. math:: s^2 = \frac{\operatorname{var}_d(\Delta_d)}{N_\text{out}} + \frac{\operatorname{var}_r(\bar\Delta_r)}{R},

with :math:`\Delta` the difference to the best number.

Source: one standard error, Breiman et al. 1984; stability, von Luxburg 2010.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..answers.trust.cautions import AGREE, still_rising
from ..data import read, specimen_labels
from ..drawing import colour_of, new_figure
from ..errors import OptionError, require
from ..fitting.held_out import Candidates, Task
from ..fitting.inputs.spec import wanted
from ..fitting.inputs.tensors import presence_by_specimen
from ..fitting.options import TrainingSettings
from ..fitting.parallel.workers import check_processes, run_tasks
from ..fitting.prepared import data_fingerprint
from ..fitting.run import Progress
from ..metrics.agreement import pairwise_agreement
from ..report.plots.canvas import signed
from ..signatures import tells_misfits
from ..units import value_with_error
from .counting import counted, plot_number, reasons_of, table_of
from .pima import PIMA

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Selection:
    """Suggestion of :func:`select_clusters`, with its reasons and the table behind it.

    Args:
        table: Along ``clusters``, by curves: ``icl``, lower is better, ``above_best``, ``bic``, ``log_likelihood``,
            effective ``parameters``, ``shared_scatter``, ``smallest``, ``strangers``, and ``assigned`` (clusters,
            specimen).
            By training: ``held_out_elbo`` (clusters, restart), ``shortfall`` to the best and its
            ``shortfall_std_error``, ``stability``, the mean adjusted Rand index of every two restarts, and its lowest,
            ``smallest``, specimens in the smallest cluster, ``seconds``; ``assigned`` (clusters, restart, specimen).
        clusters: The suggestion.
        reasons: Why, in sentences.
        model: The model with that number of clusters, to fit.
    """

    table: xr.Dataset
    clusters: int
    reasons: tuple[str, ...]
    model: PIMA

    def plot(self) -> Figure:
        """Draw what decided against the number of clusters; the suggestion is marked."""
        if "icl" in self.table:
            return plot_number(self.table, self.clusters)
        return plot_selection(self.table, self.clusters)

    def __repr__(self) -> str:
        return "\n".join([f"<Selection: {_clusters(self.clusters)}>", *self.reasons])

    @property
    def possible(self) -> tuple[int, ...]:
        """The numbers that the suggestion cannot be told from, itself included."""
        return tuple(self.table.attrs.get("possible", (self.clusters,)))

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{escape(words)}</p>" for words in self.reasons)
        head, rows = self._counts() if "icl" in self.table else self._trainings()
        mark = "<b>{}</b>"
        body = ""
        for number, cells in rows:
            shown = [mark.format(escape(cell)) if number == self.clusters else escape(cell) for cell in cells]
            body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in shown) + "</tr>"
        title = "".join(f"<th>{escape(cell)}</th>" for cell in head)
        return f"<b>{_clusters(self.clusters)}</b>{words}<table><tr>{title}</tr>{body}</table>"

    def _counts(self) -> tuple[list[str], list[tuple[int, list[str]]]]:
        """Head and rows of the table by curves."""
        head = ["clusters", "ICL above the best", "smallest cluster", "belong to none"]
        rows = []
        for one in (self.table.isel(clusters=k) for k in range(self.table.sizes["clusters"])):
            cells = [
                f"{float(one['above_best']):.1f}",
                f"{float(one['smallest']):.1f} specimens",
                str(int(one["strangers"])),
            ]
            rows.append((int(one["clusters"]), [str(int(one["clusters"])), *cells]))
        return head, rows

    def _trainings(self) -> tuple[list[str], list[tuple[int, list[str]]]]:
        """Head and rows of the table by training."""
        head = ["clusters", "held-out ELBO (nats per specimen)", "below the best", "restarts agree", "smallest cluster"]
        rows, best = [], int(self.table.attrs["best"])
        for one in (self.table.isel(clusters=k) for k in range(self.table.sizes["clusters"])):
            number = int(one["clusters"])
            cells = [
                str(number),
                f"{float(one['held_out_elbo'].mean()):.5g}",
                "" if number == best else value_with_error(float(one["shortfall"]), float(one["shortfall_std_error"])),
                f"{float(one['stability']):.2f}",
                f"{float(one['smallest']):.1f} specimens",
            ]
            rows.append((number, cells))
        return head, rows


@tells_misfits
def select_clusters(
    model: PIMA,
    data: xr.Dataset,
    *,
    clusters: Iterable[int] = range(1, 7),
    by: str | None = None,
    restarts: int = 3,
    held_out: float = 0.2,
    seed: int = 0,
    processes: int = 1,
    folder: str | Path | None = None,
    progress: bool = True,
    **training: Any,
) -> Selection:
    """Find how many clusters the data hold.

    By curves with known physics: the best mixture of every number of populations is found in what the curves say of
    their specimens' parameters, and the integrated completed likelihood chooses, or says that it does not decide.
    Nothing is trained.

    By training: every number is trained ``restarts`` times, each with another start and another part of the specimens
    held out. The encoders of single modalities are not trained: they say nothing about this.

    Args:
        model: The model; its own number of clusters does not count.
        data: As for ``model.fit``.
        clusters: Numbers to try.
        by: ``"curves"`` or ``"training"``; by default curves where the model infers from them by evidence and no
            argument of training differs from its default.
        restarts: Trainings of each, at least 2: one alone cannot be compared.
        held_out: Share of the specimens that each restart holds out, at most a half.
        seed: Same seed, same answer, whatever ``processes`` is.
        processes: Trainings at a time, each in a process of its own with one torch thread.
        folder: Where every training's result is kept: the same call goes on from there after a kill.
        progress: Draw a progress bar.
        **training: As for ``model.fit``: ``epochs``, ``batch_size``, ``learning_rate`` ...

    Returns:
        The suggestion, the reasons, the table behind them, and the model to fit.

    Raises:
        OptionError: If an option is out of range.
        DataError: If the data cannot be used, or are too few.
        TrainingError: If a process ended before its work was done.
    """
    own = {"restarts": restarts != 3, "held_out": held_out != 0.2, "processes": processes != 1, "folder": bool(folder)}
    given = [*(name for name, differs in own.items() if differs), *training]
    tried = _numbers(clusters, restarts, held_out)
    if by not in (None, "curves", "training"):
        raise OptionError(f"by={by!r}: expected 'curves', 'training', or None to choose by the model")
    if by == "curves" and given:
        raise OptionError(f'{given[0]}= belongs to by="training": leave it out, or compare numbers by training')
    if by == "curves" or (by is None and model.options.by_evidence and not given):
        found = counted(model.options, data, tried, seed)
        table = table_of(found, data)
        reasons = tuple(reasons_of(found, data.sizes["specimen"]))
        return Selection(table, found.clusters, reasons, _with_clusters(model, found.clusters))
    check_processes(processes)
    known = {f.name for f in fields(TrainingSettings)} - {"seed", "restarts", "crossmodal_epochs"}
    for name in training:
        if name not in known:
            raise OptionError(f"{name!r} is no option of training here: there are {', '.join(sorted(known))}")
    settings = TrainingSettings(seed=seed, restarts=restarts, **training)
    measurements = read(data, wanted(model.options.modalities))
    candidates = Candidates(model.options, settings, measurements, held_out, None if folder is None else Path(folder))
    presence_by_specimen(candidates.tensors, specimen_labels(data))
    candidates.check(max(tried), restarts)
    mark = candidates.mark(data_fingerprint(candidates.tensors))
    # The largest first: they take longest, and no process should begin one when the others are done.
    tasks = [(c, r) for c in sorted(tried, reverse=True) for r in range(restarts)]
    results = {task: result for task in tasks if (result := candidates.known(task, mark)) is not None}
    waiting = [task for task in tasks if task not in results]
    with _shown(progress, len(tasks), len(results)) as bar:
        for k, result in run_tasks(candidates, [(task, mark) for task in waiting], processes, bar):
            if result is not None:
                results[waiting[k]] = result
            bar(None)
    table = _table(tried, restarts, results, data)
    return _selection(
        model, table, [results[tried[k], r]["history"] for k in range(len(tried)) for r in range(restarts)]
    )


def _clusters(number: int) -> str:
    return "1 cluster" if number == 1 else f"{number} clusters"


def _numbers(clusters: Iterable[int], restarts: int, held_out: float) -> list[int]:
    tried = list(clusters)
    if not tried or any(isinstance(c, bool) or not isinstance(c, int | np.integer) or c < 1 for c in tried):
        raise OptionError(f"clusters={clusters!r}: expected whole numbers of at least 1, such as range(1, 7)")
    if isinstance(restarts, bool) or not isinstance(restarts, int) or restarts < 2:
        raise OptionError(f"restarts={restarts!r}: expected a whole number of at least 2, one alone cannot be compared")
    if not 0.0 < held_out <= 0.5:
        raise OptionError(f"held_out={held_out!r}: expected a share above 0 and at most 0.5, such as 0.2")
    return sorted({int(c) for c in tried})


def _table(tried: list[int], restarts: int, results: dict[Task, dict], data: xr.Dataset) -> xr.Dataset:
    held = [[np.array(results[c, r]["held_out_elbo"]) for r in range(restarts)] for c in tried]
    mean = np.array([[one.mean() for one in row] for row in held])
    average = mean.mean(1)
    best = int(average.argmax())
    assigned = np.array([[results[c, r]["assigned"] for r in range(restarts)] for c in tried])
    agreement = [pairwise_agreement(list(rows))[np.tril_indices(restarts, -1)] for rows in assigned]
    weights = [[results[c, r]["weights"] for r in range(restarts)] for c in tried]
    seconds = [[results[c, r]["seconds"] for r in range(restarts)] for c in tried]
    nats, share, dims = {"units": "nat per specimen"}, {"units": "1"}, ("clusters", "restart")
    return xr.Dataset(
        {
            "held_out_elbo": (dims, mean, {"long_name": "held-out ELBO", **nats}),
            "shortfall": ("clusters", average[best] - average, {"long_name": "below the best", **nats}),
            "shortfall_std_error": ("clusters", [_std_error(held[best], row) for row in held], nats),
            "stability": ("clusters", [a.mean() for a in agreement], {"long_name": "adjusted Rand index", **share}),
            "stability_lowest": ("clusters", [a.min() for a in agreement], share),
            "smallest": ("clusters", [min(map(min, row)) for row in weights], {"units": "specimens"}),
            "seconds": (dims, np.array(seconds), {"units": "s"}),
            "assigned": ((*dims, "specimen"), assigned),
        },
        coords={"clusters": tried, "restart": np.arange(restarts), "specimen": specimen_labels(data)},
        attrs={"best": tried[best]} | {k: data.attrs[k] for k in ("title", "synthetic") if k in data.attrs},
    )


def _std_error(best: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Standard error of the mean difference, by specimens and by restarts; 0 for the best itself."""
    differences = [a - b for a, b in zip(best, other, strict=True)]
    every = np.concatenate(differences)
    means = np.array([one.mean() for one in differences])
    return float(np.sqrt(every.var(ddof=1) / len(every) + means.var(ddof=1) / len(means)))


def _selection(model: PIMA, table: xr.Dataset, histories: list[list[float]]) -> Selection:
    numbers = table["clusters"].values
    shortfall, error = table["shortfall"].values, table["shortfall_std_error"].values
    stable = table["stability"].values >= AGREE
    close = np.flatnonzero(shortfall <= error)
    chosen = int(next((k for k in close if stable[k]), close[0]))
    best = int(np.flatnonzero(numbers == table.attrs["best"])[0])
    reasons = []
    if chosen == best:
        reasons.append(f"Specimens held out are explained best by {_clusters(numbers[chosen])}.")
    else:
        reasons.append(
            f"Specimens held out are explained by {_clusters(numbers[chosen])} as well as by any number:"
            f" {value_with_error(shortfall[chosen], error[chosen], 'nats')} per specimen below {numbers[best]}, the"
            " best."
        )
    for k, side in ((chosen - 1, "fewer"), (chosen + 1, "more")):
        if 0 <= k < len(numbers) and shortfall[k] > error[k]:
            reasons.append(
                f"With {side}, {numbers[k]}, it is {value_with_error(shortfall[k], error[k], 'nats')} worse than the"
                " best."
            )
    if numbers[chosen] > 1:
        value = float(table["stability"][chosen])
        verdict = "agree" if stable[chosen] else "disagree"
        reasons.append(f"Its restarts {verdict}: adjusted Rand index {value:.2f}, where 1 is the same clusters.")
    if not stable[chosen]:
        reasons.append(
            "Do not rely on it: where restarts find other clusters each time, there may be no distinct populations."
        )
    skipped = [int(numbers[k]) for k in close if k < chosen]
    if skipped:
        reasons.append(f"As good but not stable: {', '.join(map(str, skipped))}.")
    if numbers[chosen] == 1:
        reasons.append("The data hold no populations that help to explain other specimens.")
    if chosen == len(numbers) - 1 and len(numbers) > 1:
        reasons.append(f"It is the largest number tried: try more, clusters=range({numbers[chosen]}, ...).")
    if sum(still_rising(np.array(one)) > 0 for one in histories) * 2 > len(histories):
        reasons.append("Most trainings ended while their ELBO was still rising: give more epochs.")
    return Selection(table, int(numbers[chosen]), tuple(reasons), _with_clusters(model, int(numbers[chosen])))


def _with_clusters(model: PIMA, clusters: int) -> PIMA:
    """The same model with another number of clusters."""
    options = {f.name: getattr(model.options, f.name) for f in fields(model.options)}
    return PIMA(**{**options, "clusters": clusters})


def plot_selection(table: xr.Dataset, clusters: int) -> Figure:
    """Draw a selection, see :meth:`Selection.plot`."""
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    numbers = table["clusters"].values
    for restart in range(table.sizes["restart"]):
        own = table["held_out_elbo"].values[:, restart]
        left.plot(numbers, own, ".", color=colour_of(1), alpha=0.6, label="restarts" if restart == 0 else None)
    mean, error = table["held_out_elbo"].mean("restart").values, table["shortfall_std_error"].values
    about = {"color": colour_of(0), "marker": "o", "capsize": 3}
    left.errorbar(numbers, mean, error, label="mean ± std error of the difference to the best", **about)
    left.set(xlabel="populations", ylabel="held-out ELBO (nats per specimen)")
    right.plot(numbers, table["stability"].values, color=colour_of(0), marker="o", label="mean")
    right.plot(numbers, table["stability_lowest"].values, color=colour_of(1), marker="v", label="lowest")
    right.set(xlabel="populations", ylabel="adjusted Rand index of restarts (1)")
    right.set_ylim(min(-0.05, right.get_ylim()[0]), 1.05)
    for axis in (left, right):
        axis.axvline(clusters, color="0.6", linestyle="--", linewidth=1, zorder=0, label="suggested")
        axis.set_xticks(numbers)
        axis.legend(fontsize=8, frameon=False)
    return signed(figure, table)


@contextmanager
def _shown(show: bool, total: int, done: int) -> Iterator[Callable[[tuple[Task, Progress] | None], bool]]:
    """Draw a progress bar with rich; the function hears of every epoch, and with None of a training that is done."""
    if not show or importlib.util.find_spec("rich") is None:
        yield lambda _: False
        return
    rich = require("rich.progress", "progress bars")
    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn())
    with rich.Progress(*columns, rich.TimeRemainingColumn(), rich.TextColumn("{task.fields[facts]}")) as bar:
        task = bar.add_task("choosing clusters", total=total, completed=done, facts="")

        def update(news: tuple[Task, Progress] | None) -> bool:
            if news is None:
                bar.advance(task)
            else:
                (clusters, restart), one = news
                facts = f"{clusters} clusters, run {restart + 1}: epoch {one.epoch}/{one.epochs}, ELBO {one.elbo:.4g}"
                bar.update(task, facts=facts)
            return False

        yield update
