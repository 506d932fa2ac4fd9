"""From data and options to a run folder with everything in it; the same call goes on after a kill."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..api.pima import PIMA, Fit
from ..data import on_disk, reading_log, save_data
from ..errors import DataError, ExpertError, MissingDependency, OptionError, PimaWarning, ShapeError
from ..experts import load_plugin, plugin_records
from ..fitting.parallel.distributed import Processes, process_group
from ..fitting.run import Progress
from ..fitting.trackers import CSVTracker, TensorBoardTracker, Tracker
from ..report.sheets import write_csv
from .folder import RunFolder, open_fit
from .options import Options, build, check, choose, complete, differences
from .source import Source, changes, kept, listed, with_measurements

#: What ``track`` may be, and where it goes.
_TRACKERS: dict[str, Callable[[RunFolder], Tracker]] = {
    "csv": lambda target: CSVTracker(target.path / "track.csv"),
    "tensorboard": lambda target: TensorBoardTracker(target.path / "tensorboard"),
}
#: Specimens up to which a fit is set beside simple methods by itself: a minute at most.
_SIMPLE = 2000
_LIBRARIES = ("pima-toolkit", "torch", "numpy", "scipy", "numba", "sympy", "xarray")


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Args:
        folder: Its folder.
        fit: The fit.
        finished_before: Whether there was nothing left to do.
        notes: What was said on the way.
    """

    folder: RunFolder
    fit: Fit
    finished_before: bool
    notes: tuple[str, ...]


def run(
    folder: str | Path,
    options: Mapping[str, Any],
    *,
    overwrite: bool = False,
    update_data: bool = False,
    track: str | None = None,
    baselines: bool = False,
    progress: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> RunResult:
    """Fit in a folder, or go on with the fit that was begun there.

    Args:
        folder: Of the run; made where it is missing.
        options: As :func:`read_options` gives them; ``data`` names the dataset.
        overwrite: Start anew where there is a run already.
        update_data: Start anew where the data of the run have changed or grown since; options stay bound.
        track: Keep the numbers of every epoch too: ``"csv"`` in track.csv, ``"tensorboard"`` in tensorboard/.
        baselines: Set the fit beside simple methods, as :meth:`pima_toolkit.Fit.check` does, before the report.
        progress: Draw a progress bar.
        say: Called with each thing a person would want to know on the way.

    Returns:
        The outcome; of a finished run, with the same data and options, at once.

    Raises:
        OptionError: If an option is wrong, or the folder holds a run with other data or options.
        DataError: If the data cannot be used.
        StorageError: If the folder is in use, or cannot be written.
    """
    if track not in (None, *_TRACKERS):
        raise OptionError(f"track={track!r} is unknown: use one of {', '.join(map(repr, _TRACKERS))}")
    with process_group() as among:
        return _run(
            among,
            folder,
            options,
            overwrite,
            update_data,
            track,
            baselines,
            progress,
            (lambda _: None) if among.rank else say,
        )


def _run(
    among: Processes,
    folder: str | Path,
    options: Mapping[str, Any],
    overwrite: bool,
    update_data: bool,
    track: str | None,
    baselines: bool,
    progress: bool,
    say: Callable[[str], object],
) -> RunResult:
    began = time.perf_counter()
    target = RunFolder(Path(folder).expanduser())
    check(options)
    if "data" not in options:
        raise OptionError("say which data: pima fit DATA, or data = 'specimens.nc' in the options file")
    for plugin in options.get("plugins", []):
        load_plugin(plugin)
    notes: list[str] = []

    def tell(text: str) -> None:
        notes.append(text)
        say(text)

    with _warnings_to(tell):
        source = target.source(options, progress)
        chosen, sentences = choose(options, source.data)
        effective = complete({**chosen, "data": str(source.path)})
        model, training = build(effective)
        read, (source, lost) = source, with_measurements(source, effective["modalities"])
    if among.rank:
        return _help(among, target, model, source, training)
    made = target.prepare()
    with target.locked():
        before = target.about() if target.begun and not overwrite else None
        if overwrite or (update_data and _outdated(target, before, source, effective, say)):
            _clear(target, model, source, training)
            before = None
        if before is not None:
            _same(target, before, source, effective)
            if before["state"] == "finished":
                among.agreed(True)
                return RunResult(target, open_fit(target.path), True, ())
            say(f"going on with the run in {target.path}")
        about = {"state": "training", **_made_with(source)}
        for sentence in [*sentences, *_noticed(lost, before, about)]:
            tell(sentence)
        target.write(about, effective)
        _keep(target, read)
        target.log(f"{'going on' if before else 'begun'}: {source.path}, {source.data.sizes['specimen']} specimens")
        for note in notes:
            target.log(note)
        known = len(notes)
        among.agreed(False)
        with _nothing_left(target, made, before is None), _warnings_to(tell):
            fit = model.fit(
                source.data,
                checkpoint=target.checkpoint,
                callbacks=[lambda state: target.log(_line(state))],
                tracker=_TRACKERS[track](target) if track else None,
                progress=progress,
                **training,
            )
            _beside_simple_methods(fit, source if baselines else None, tell)
            fit.save(target.fit_file)
            say("writing tables and the report")
            for sentence in _tables_and_report(target, fit, source):
                tell(sentence)
        for note in notes[known:]:
            target.log(note)
        state = "stopped" if fit.interrupted else "finished"
        target.write({**about, "state": state, "seconds": round(time.perf_counter() - began, 1)})
        target.log(state)
    return RunResult(target, fit, False, tuple(notes))


def _help(among: Processes, target: RunFolder, model: PIMA, source: Source, training: Mapping[str, Any]) -> RunResult:
    """Train beside the first process, which alone writes to the folder and knows whether it is finished."""
    if among.agreed(False):
        return RunResult(target, open_fit(target.path), True, ())
    with _warnings_to(lambda _: None):
        fit = model.fit(source.data, checkpoint=target.checkpoint, progress=False, **training)
    return RunResult(target, fit, False, ())


def _keep(target: RunFolder, source: Source) -> None:
    """Keep a dataset made from files, and what became of every file: a run that goes on need not read them again."""
    if not source.from_files:
        return
    files = reading_log(source.data)
    write_csv(target.path / "files.csv", {str(name): files[name].to_numpy() for name in files})
    if not kept(target.data_file, source):
        save_data(source.data, target.data_file)


def _beside_simple_methods(fit: Fit, source: Source | None, tell: Callable[[str], object]) -> None:
    """Set what was predicted of specimens held out beside simple methods on the same folds; of many only say how."""
    names = fit.record.facts.get("held_out", {})
    if source is None or not names or any(on_disk(source.data, name) for name in fit.model.options.neural):
        return
    number = source.data.sizes["specimen"]
    if number > _SIMPLE:
        tell(f"simple methods are not set beside a fit of {number} specimens unless asked for: pima baselines")
        return
    for name in names:
        tell(f"beside simple methods, {name}: {fit.check(source.data, name).attrs['reading']}")


def _tables_and_report(target: RunFolder, fit: Fit, source: Source) -> Iterator[str]:
    """Tables and report; a machine that lacks the libraries for one of them keeps the fit, and yields a sentence."""
    # A fit stopped by hand does not know specimens that lack a modality.
    data = None if fit.interrupted else source.data
    if data is not None and any(on_disk(data, name) for name in fit.model.options.neural):
        yield "the data stay on disk: tables and report are without predictions and pictures of the specimens"
        data = None
    try:
        fit.export(target.tables, data, figures=())
        fit.save_report(target.report, data)
    except MissingDependency as error:
        yield f"not everything was written: {error}"


def _outdated(
    target: RunFolder, before: Mapping | None, source: Source, options: Options, say: Callable[[str], object]
) -> bool:
    """Whether there is a run whose data have changed since, which is said.

    Raises:
        OptionError: If its options are others.
    """
    if before is None or before["data"]["fingerprint"] == source.fingerprint:
        return False
    _same(target, before, source, options, data_bound=False)
    say(f"the data have changed ({_changes(before, source)}): starting anew")
    return True


def _clear(target: RunFolder, model: PIMA, source: Source, training: Mapping[str, Any]) -> None:
    """Remove what a run left, for one that can begin.

    Raises:
        PimaError: If it cannot; what was there stays.
    """
    if target.begun:
        model.check(source.data, **training)
    target.clear()


@contextmanager
def _nothing_left(target: RunFolder, made: bool, fresh: bool) -> Iterator[None]:
    """Leave nothing of a run that was refused before its first epoch.

    Args:
        target: Its folder.
        made: Whether the folder was made for it.
        fresh: Whether no epoch of an earlier call is in it.
    """
    try:
        yield
    except (DataError, OptionError, ShapeError, ExpertError, MissingDependency):
        if fresh and not target.begun:
            target.clear(with_data=True)
            if made:
                target.discard()
        raise


def _changes(before: Mapping, source: Source) -> str:
    """What is different in the data of a run, in words."""
    old = before["data"]["path"]
    if old != str(source.path):
        return f"{old} there, {source.path} now"
    return "; ".join(changes(before["data"].get("files", {}), source.files)) or "changed since"


def _same(target: RunFolder, before: Mapping, source: Source, options: Options, *, data_bound: bool = True) -> None:
    """Refuse to mix two runs in one folder; ``data_bound`` whether the data are to be the same."""
    told = differences(target.options(), options)
    other = data_bound and before["data"]["fingerprint"] != source.fingerprint
    if other:
        told.insert(0, f"the data: {_changes(before, source)}")
    if told:
        more = f"; and {len(told) - 6} more" if len(told) > 6 else ""
        way = ", --update-data to start anew with these data," if other and len(told) == 1 else ""
        raise OptionError(
            f"{target.path} holds a run with other data or options ({'; '.join(told[:6])}{more}): give another folder "
            f"with -o,{way} or --overwrite to start anew"
        )


def _made_with(source: Source) -> dict:
    plugins = [r for r in plugin_records().values() if r.state == "active" and r.experts]
    return {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            "path": str(source.path),
            "fingerprint": source.fingerprint,
            "specimens": int(source.data.sizes["specimen"]),
            "files": {name: list(about) for name, about in source.files.items()},
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        "plugins": [{"name": r.name, "version": r.version, "experts": sorted(r.experts)} for r in plugins],
    }


def _noticed(lost: Sequence[str], before: Mapping | None, about: Mapping) -> Iterator[str]:
    if lost:
        yield f"{len(lost)} specimens have none of the modalities and are left out: {listed(lost)}"
    if before is not None:
        yield from _changed(before["versions"], about["versions"])


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    changed = [f"{name} {old.get(name)}, now {value}" for name, value in new.items() if old.get(name) != value]
    if changed:
        yield f"the run was begun with {'; '.join(changed)}: its numbers may differ in the last digits"


def _line(state: Progress) -> str:
    return f"{state.phase} {state.restart} epoch {state.epoch}/{state.epochs}: {state.elbo:.6g}"


@contextmanager
def _warnings_to(tell: Callable[[str], object]) -> Iterator[None]:
    """Hand warnings of the toolkit to ``tell``, each as it comes."""

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, PimaWarning):
            tell(str(message))
        else:
            old(message, category, *rest, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", PimaWarning)
        old, warnings.showwarning = warnings.showwarning, show
        yield
