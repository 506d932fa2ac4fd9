"""Find, check and isolate plugins.

The built-in experts come through the same entry point and hook as a stranger's. A plugin that fails anywhere (import,
version, hook, one of its experts) contributes nothing, is named in one warning, and leaves the others alone.

Environment: ``PIMA_BLOCK_PLUGINS=a,b`` leaves some out, ``PIMA_ONLY_PLUGINS=a`` all others, ``PIMA_STRICT_PLUGINS=1``
raises instead of warning, ``PIMA_TRACE_PLUGINS=1`` writes every step to standard error.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pluggy

from ..errors import ExpertError, PluginWarning
from ..experts.kinds.expert import Expert, Origin
from . import hooks
from .hooks import GROUP, PIMA_API

#: What may go wrong inside a stranger's module; sys.exit() is one of them, Ctrl-C is not.
FAILURES = (Exception, SystemExit)
OURS = "pima-toolkit"
SESSION = "this session"
FILE = "file"
_LOG = logging.getLogger("pima_toolkit.plugins")


@dataclass
class PluginRecord:
    """What became of one plugin.

    Args:
        name: Of its entry point.
        value: The module, or the file.
        distribution: Who brought it.
        version: Of the distribution.
        state: ``"active"``, ``"blocked"`` or ``"broken"``.
        error: One line, where broken.
        trace: The whole traceback, where there is one.
        hooks: Names of the hooks it implements.
        experts: Names of its experts.
    """

    name: str
    value: str
    distribution: str
    version: str
    state: str = "active"
    error: str | None = None
    trace: str | None = None
    hooks: list[str] = field(default_factory=list)
    experts: list[str] = field(default_factory=list)

    @property
    def origin(self) -> Origin:
        """What is written on its experts; of a file only its name, since the folder is nobody else's business."""
        name = Path(self.value).name if self.distribution == FILE else self.name
        return Origin(name, self.distribution, self.version)


class Manager(pluggy.PluginManager):
    """The plugins of one session.

    Args:
        entry_points: What to load; every entry point of the group by default.
        strict: Raise at the first broken plugin; by default as ``PIMA_STRICT_PLUGINS`` says.
    """

    def __init__(
        self, entry_points: Iterable[importlib.metadata.EntryPoint] | None = None, *, strict: bool | None = None
    ) -> None:
        super().__init__(GROUP)
        self.add_hookspecs(hooks)
        self.strict = _switch("PIMA_STRICT_PLUGINS") if strict is None else strict
        if _switch("PIMA_TRACE_PLUGINS"):
            self.trace.root.setwriter(lambda line: sys.stderr.write(line))
        self._say = self.trace.root.get("plugins")
        self.records: dict[str, PluginRecord] = {}
        self._experts: dict[str, tuple[Expert, str]] = {}
        found = importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points
        blocked, only = _names("PIMA_BLOCK_PLUGINS"), _names("PIMA_ONLY_PLUGINS")
        # Our own first, so that no stranger takes a built-in's name.
        for entry in sorted(found, key=lambda e: (_distribution(e)[0] != OURS, e.name, _distribution(e)[0])):
            self._load(entry, blocked=entry.name in blocked or bool(only and entry.name not in only))
        active = [record.name for record in self.records.values() if record.state == "active"]
        _LOG.info("Registered %d experts from %d plugins: %s", len(self._experts), len(active), ", ".join(active))

    def experts(self) -> dict[str, Expert]:
        """The experts of the active plugins and of this session, by name."""
        return {name: expert for name, (expert, _) in sorted(self._experts.items())}

    def source(self, name: str) -> PluginRecord:
        """Which plugin brought an expert."""
        return self.records[self._experts[name][1]]

    def add_plugin(self, plugin: object, record: PluginRecord) -> None:
        """Register a plugin whole or not at all.

        Args:
            plugin: A module, or an object with hooks.
            record: Its record; its key is its name.

        Raises:
            ExpertError: Whatever is wrong with it; nothing of it stays.
        """
        if inspect.isclass(plugin):
            raise ExpertError(f"{plugin.__name__} is a class: a plugin is a module, or an instance of the class")
        _check_version(getattr(plugin, "PIMA_API", None))
        try:
            self.register(plugin, name=record.name)
            record.hooks = sorted(caller.name for caller in self.get_hookcallers(plugin) or [])
            known = [
                name
                for name, caller in vars(self.hook).items()
                if isinstance(caller, pluggy.HookCaller) and caller.has_spec()
            ]
            unknown = [name for name in record.hooks if name not in known and not self._optional(name, plugin)]
            if unknown:
                raise ExpertError(f"unknown hook {unknown[0]!r}; known: {', '.join(sorted(known))}")
            if not record.hooks:
                raise ExpertError(
                    "registered, but implements no hook: put @pima_toolkit.hookimpl above def pima_experts()"
                )
            made = self._made_by(plugin)
            for expert in made:
                if expert.name in self._experts and self._experts[expert.name][1] != SESSION:
                    raise _taken(expert, str(self.source(expert.name).origin))
        except FAILURES as error:
            if self.get_plugin(record.name) is not None:
                self.unregister(name=record.name)
            if isinstance(error, ExpertError):
                raise
            raise ExpertError(one_line(error)) from error
        for expert in made:
            mark(expert, record.origin)
            # What began in a notebook cell and now is a file belongs to the file.
            if expert.name in self._experts:
                self.records[SESSION].experts.remove(expert.name)
        record.experts = [expert.name for expert in made]
        self.records[record.name] = record
        self._say(f"{record.name}: hooks {', '.join(record.hooks)}; experts {', '.join(record.experts) or 'none'}")
        self._experts.update({expert.name: (expert, record.name) for expert in made})

    def remove_plugin(self, name: str) -> None:
        """Take a plugin and its experts out again."""
        if self.get_plugin(name) is not None:
            self.unregister(name=name)
        self.records.pop(name, None)
        self._experts = {key: value for key, value in self._experts.items() if value[1] != name}

    def add_expert(self, expert: Expert) -> None:
        """Register one expert for this session; it may replace one of the same module, a cell's by the cell's.

        Raises:
            ExpertError: If a plugin or another module has an expert of this name.
        """
        if expert.name in self._experts:
            there, owner = self._experts[expert.name]
            if owner != SESSION or len({_module(there), _module(expert)} - {None}) > 1:
                by = f"the module {_module(there)}" if owner == SESSION else str(self.records[owner].origin)
                raise _taken(expert, by)
        record = self.records.setdefault(SESSION, PluginRecord(SESSION, "", SESSION, ""))
        if expert.name not in record.experts:
            record.experts.append(expert.name)
        mark(expert, record.origin)
        self._say(f"{SESSION}: expert {expert.name} of {_module(expert) or 'a formula'}")
        self._experts[expert.name] = (expert, SESSION)

    def _load(self, entry: importlib.metadata.EntryPoint, *, blocked: bool) -> None:
        distribution, version = _distribution(entry)
        record = PluginRecord(entry.name, entry.value, distribution, version)
        try:
            if entry.name in self.records:
                raise ExpertError(f"the plugin name is already taken by {self.records[entry.name].distribution}")
            if blocked:
                record.state = "blocked"
                self.records[entry.name] = record
                self._say(f"{entry.name} of {distribution} {version}: blocked")
                return
            began = time.perf_counter()
            plugin = entry.load()
            took = 1e3 * (time.perf_counter() - began)
            self._say(f"{entry.name} of {distribution} {version}: {entry.value} imported in {took:.0f} ms")
            self.add_plugin(plugin, record)
        except FAILURES as error:
            record.state, record.error = "broken", one_line(error)
            record.trace = "".join(traceback.format_exception(error))
            key = entry.name if entry.name not in self.records else f"{entry.name} ({distribution})"
            self.records[key] = record
            self._say(f"{key} of {distribution} {version}: broken", {"error": record.trace})
            message = f"plugin {entry.name!r} of {distribution} {version} was left out: {record.error}"
            if self.strict:
                raise ExpertError(message) from error
            warnings.warn(f"{message}; all others work", PluginWarning, stacklevel=2)

    def _made_by(self, plugin: object) -> list[Expert]:
        """The experts of one plugin; only its own hook is called, so one that raises hurts nobody else."""
        calls = [impl for impl in self.hook.pima_experts.get_hookimpls() if impl.plugin is plugin]
        made = []
        for call in calls:
            listed = call.function()
            self._say(f"{call.plugin_name}: pima_experts() returned {listed!r}")
            if not isinstance(listed, list | tuple):
                raise ExpertError(f"pima_experts() returned {type(listed).__name__}, expected a list of experts")
            made += [instance(item) for item in listed]
        names = [expert.name for expert in made]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ExpertError(f"two of its experts have the name {twice[0]!r}")
        return made

    def _optional(self, name: str, plugin: object) -> bool:
        """Whether a plugin says of a hook that older toolkits may not know it."""
        return all(impl.optionalhook for impl in getattr(self.hook, name).get_hookimpls() if impl.plugin is plugin)


def mark(expert: Expert, origin: Origin) -> None:
    """Write on an expert where it comes from, once; experts are immutable in all that counts for being equal."""
    if expert.origin is None:
        object.__setattr__(expert, "origin", origin)


def _taken(expert: Expert, by: str) -> ExpertError:
    return ExpertError(f"the expert name {expert.name!r} is already taken by {by}: choose another name")


def _module(expert: Expert) -> str | None:
    """The module an expert of this session was written in; None for one without a class of its own."""
    name = type(expert).__module__
    return None if name.partition(".")[0] == "pima_toolkit" else name


def _switch(variable: str) -> bool:
    return os.environ.get(variable, "0") not in {"", "0"}


def _names(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()}


def _distribution(entry: importlib.metadata.EntryPoint) -> tuple[str, str]:
    dist = entry.dist
    return (dist.name, dist.version) if dist is not None else ("?", "?")


def one_line(error: BaseException) -> str:
    """An error as one line; the kind is named where it is not one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ExpertError) and text else f"{type(error).__name__}: {text}"[:500]


def _check_version(needed: object) -> None:
    if needed is None:
        return
    if not (isinstance(needed, tuple) and len(needed) == 2 and all(isinstance(n, int) for n in needed)):
        raise ExpertError(f"PIMA_API is {needed!r}, expected (major, minor) such as {PIMA_API}")
    if needed[0] != PIMA_API[0] or needed[1] > PIMA_API[1]:
        raise ExpertError(
            f"needs plugin API {needed[0]}.{needed[1]}, this pima_toolkit offers {PIMA_API[0]}.{PIMA_API[1]}"
        )


def instance(item: object) -> Expert:
    """An expert from a class or an instance.

    Raises:
        ExpertError: If it is neither, or has no usable name.
    """
    if inspect.isclass(item) and issubclass(item, Expert):
        try:
            item = item()
        except TypeError as error:
            raise ExpertError(f"the expert class {item.__name__} cannot be made without arguments: {error}") from error
    if not isinstance(item, Expert):
        what = f"the class {item.__name__}" if inspect.isclass(item) else f"{type(item).__name__} {item!r}"
        raise ExpertError(
            f"{what[:80]} is not an expert: expected a subclass of pima_toolkit.Expert, or an instance of one"
        )
    name = getattr(item, "name", None)
    if not isinstance(name, str) or not name.strip():
        raise ExpertError(f"the expert {type(item).__name__} has no name: write name = '...' in the class")
    if not getattr(item, "parameters", ()):
        raise ExpertError(f"the expert {name!r} has no parameters")
    return item
