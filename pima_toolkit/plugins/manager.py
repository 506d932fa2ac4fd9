"""Find, check and isolate plugins, and keep what they gave, one session at a time.

The built-in experts come through the same entry point and hook as a stranger's. A plugin that fails anywhere (import,
version, hook, one of the things it gives) contributes nothing, is named in one warning, and leaves the others alone.

The manager knows no kind of thing by itself: each room announces its own as a :class:`Kind` (through a
:class:`~pima_toolkit.plugins.registry.Registry`). Where a room is imported after the plugins were loaded, its hook is
called when the room first asks.

Environment: ``PIMA_BLOCK_PLUGINS=a,b`` leaves some out, ``PIMA_ONLY_PLUGINS=a`` all others, ``PIMA_STRICT_PLUGINS=1``
raises instead of warning, ``PIMA_TRACE_PLUGINS=1`` writes every step to standard error.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any, cast

import pluggy

from ..errors import PimaError, PluginError, PluginWarning
from ..faces import tells_new_names
from . import hooks
from .hooks import GROUP, PIMA_API
from .records import FILE, SESSION, Origin, PluginRecord

#: What may go wrong inside a stranger's module; sys.exit() is one of them, Ctrl-C is not.
FAILURES = (Exception, SystemExit)
OURS = "pima-toolkit"
_LOG = logging.getLogger("pima_toolkit.plugins")
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Kind:
    """One kind of thing that plugins give, as the manager needs to know it.

    Args:
        name: What people call it, in the singular: ``"noise model"``.
        hook: The hook that gives it: ``"pima_noise_models"``.
        check: Takes a thing as a plugin gives it and returns it as it is used; raises where it is none.
        error: Class of the errors about it.
        reserved: Names that no plugin may take: those of the toolkit's own table.
        named: Whether the things have a ``name`` of their own, so that the hook returns a list; else it returns a
            table from names to things.
        mark: Writes on a thing where it comes from; None where it is not written.
    """

    name: str
    hook: str
    check: Callable[[object], Any]
    error: type[PimaError]
    reserved: frozenset[str] = frozenset()
    named: bool = False
    mark: Callable[[Any, Origin], None] | None = None

    def things(self, given: object) -> dict[str, Any]:
        """Check what a hook returned.

        Args:
            given: A list or a table, as ``named`` says.

        Returns:
            Name -> thing.

        Raises:
            PimaError: Of the class ``error``, or whatever ``check`` raises.
        """
        if not self.named:
            if not isinstance(given, Mapping):
                raise self._unexpected(given, f"a table from names to {self.name}s")
            for name in given:
                if not isinstance(name, str) or not name.strip():
                    raise self.error(f"{self.hook}() returned a table with the key {name!r}, expected a name as text")
            return {name: self.check(thing) for name, thing in given.items()}
        if not isinstance(given, list | tuple):
            raise self._unexpected(given, f"a list of {self.name}s")
        things: dict[str, Any] = {}
        for thing in map(self.check, given):
            if thing.name in things:
                raise self.error(f"two of its {self.name}s have the name {thing.name!r}")
            things[thing.name] = thing
        return things

    def _unexpected(self, given: object, expected: str) -> PimaError:
        return self.error(f"{self.hook}() returned {type(given).__name__}, expected {expected}")

    def taken(self, name: str, by: str) -> PimaError:
        """Make the error about a name that somebody has already."""
        return self.error(f"the {self.name} name {name!r} is already taken by {by}: choose another name")


#: Every kind that a room has announced, by hook.
KINDS: dict[str, Kind] = {}


def announce(kind: Kind) -> None:
    """Make a kind of thing known, so that plugins may give it.

    Raises:
        ValueError: If there is no such hook.
    """
    if not hasattr(hooks, kind.hook):
        raise ValueError(f"there is no hook {kind.hook!r}: write its specification in plugins/hooks.py")
    KINDS[kind.hook] = kind


@dataclass(frozen=True)
class _Given:
    """A thing and the key of the record of the plugin that gave it."""

    thing: object
    owner: str


@tells_new_names
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
        self._given: dict[str, dict[str, _Given]] = {}
        entries = importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points
        blocked, only = _names("PIMA_BLOCK_PLUGINS"), _names("PIMA_ONLY_PLUGINS")
        # Our own first, so that no stranger takes a built-in's name.
        for entry in sorted(entries, key=lambda e: (_distribution(e)[0] != OURS, e.name, _distribution(e)[0])):
            self._load(entry, blocked=entry.name in blocked or bool(only and entry.name not in only))
        active = [record.name for record in self.records.values() if record.state == "active"]
        counts = [f"{len(given)} {KINDS[hook].name}s" for hook, given in self._given.items() if given]
        _LOG.info("Registered %s from %d plugins: %s", ", ".join(counts) or "nothing", len(active), ", ".join(active))

    def given(self, hook: str) -> dict[str, Any]:
        """Return what the active plugins and this session gave.

        Args:
            hook: The hook of an announced kind.

        Returns:
            Name -> thing, in the order in which they came.

        Raises:
            PluginError: In strict mode, if the hook is called now for the first time and a plugin turns out broken.
        """
        self._call_late(hook)
        return {name: given.thing for name, given in self._given[hook].items()}

    def source(self, hook: str, name: str) -> PluginRecord:
        """Return the record of the plugin that gave a thing."""
        self._call_late(hook)
        return self.records[self._given[hook][name].owner]

    def add_plugin(self, plugin: object, record: PluginRecord) -> None:
        """Register a plugin whole or not at all.

        Args:
            plugin: A module, or an object with hooks.
            record: Its record; its key is its name.

        Raises:
            PimaError: Whatever is wrong with it; nothing of it stays.
        """
        if inspect.isclass(plugin):
            raise PluginError(f"{plugin.__name__} is a class: a plugin is a module, or an instance of the class")
        _check_version(getattr(plugin, "PIMA_API", None))
        for hook in list(KINDS):
            self._call_late(hook)
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
                raise PluginError(f"unknown hook {unknown[0]!r}; known: {', '.join(sorted(known))}")
            if not record.hooks:
                raise PluginError(
                    "registered, but implements no hook: put @pima_toolkit.hookimpl above def pima_experts()"
                )
            made = {hook: self._made_by(plugin, KINDS[hook]) for hook in self._given}
        except FAILURES as error:
            if self.get_plugin(record.name) is not None:
                self.unregister(name=record.name)
            if isinstance(error, PimaError):
                raise
            raise PluginError(one_line(error)) from error
        self.records[record.name] = record
        record.given = {}
        for hook, things in made.items():
            self._take(things, KINDS[hook], record)
        gave = "; ".join(f"{KINDS[hook].name}s {', '.join(names)}" for hook, names in record.given.items())
        self._say(f"{record.name}: hooks {', '.join(record.hooks)}; {gave or 'gave nothing'}")

    def remove_plugin(self, name: str) -> None:
        """Take a plugin and all that it gave out again."""
        if self.get_plugin(name) is not None:
            self.unregister(name=name)
        self.records.pop(name, None)
        self._drop(name)

    def add(self, hook: str, name: str, thing: object) -> None:
        """Register one thing for this session; it may replace one of the same module, a cell's by the cell's.

        Args:
            hook: The hook of its kind.
            name: Its name.
            thing: The thing, checked already.

        Raises:
            PimaError: Of the kind's class, if the toolkit, a plugin or another module has a thing of this name.
        """
        self._call_late(hook)
        kind, given = KINDS[hook], self._given[hook]
        if name in kind.reserved:
            raise kind.taken(name, OURS)
        if name in given:
            there, owner = given[name].thing, given[name].owner
            if owner != SESSION or len({_module(there), _module(thing)} - {None}) > 1:
                raise kind.taken(
                    name, f"the module {_module(there)}" if owner == SESSION else str(self.records[owner].origin)
                )
        record = self.records.setdefault(SESSION, PluginRecord(SESSION, "", SESSION, ""))
        self._take({name: thing}, kind, record)
        self._say(f"{SESSION}: {kind.name} {name} of {_module(thing) or 'a formula'}")

    def _load(self, entry: importlib.metadata.EntryPoint, *, blocked: bool) -> None:
        distribution, version = _distribution(entry)
        record = PluginRecord(entry.name, entry.value, distribution, version)
        try:
            if entry.name in self.records:
                raise PluginError(f"the plugin name is already taken by {self.records[entry.name].distribution}")
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
            self._leave_out(record, error)

    def _leave_out(self, record: PluginRecord, error: BaseException) -> None:
        """Note that a plugin is broken, and warn; in strict mode raise."""
        about = f"{record.distribution} {record.version}"
        record.state, record.error = "broken", one_line(error)
        record.trace = "".join(traceback.format_exception(error))
        free = self.records.get(record.name, record) is record
        key = record.name if free else f"{record.name} ({record.distribution})"
        self.records[key] = record
        self._say(f"{key} of {about}: broken", {"error": record.trace})
        message = f"plugin {record.name!r} of {about} was left out: {record.error}"
        if self.strict:
            raise PluginError(message) from error
        warnings.warn(f"{message}; all others work", PluginWarning, stacklevel=2)

    def _call_late(self, hook: str) -> None:
        """Call a hook whose kind was announced after the plugins were loaded; a plugin that fails goes out whole."""
        with _LOCK:
            if hook in self._given:
                return
            kind, self._given[hook] = KINDS[hook], {}
            for record in list(self.records.values()):
                plugin = self.get_plugin(record.name)
                if record.state != "active" or plugin is None:
                    continue
                try:
                    self._take(self._made_by(plugin, kind), kind, record)
                except FAILURES as error:
                    self.unregister(name=record.name)
                    self._drop(record.name)
                    record.given = {}
                    self._leave_out(record, error)

    def _made_by(self, plugin: object, kind: Kind) -> dict[str, Any]:
        """Call one plugin's own hook, so that one that raises hurts nobody else.

        Returns:
            Name -> thing.

        Raises:
            PimaError: If what it gives is wrong, or a name is taken; and whatever the plugin raises.
        """
        made: dict[str, object] = {}
        for call in getattr(self.hook, kind.hook).get_hookimpls():
            if call.plugin is plugin:
                returned = call.function()
                self._say(f"{call.plugin_name}: {kind.hook}() returned {returned!r}")
                made |= kind.things(returned)
        for name in made:
            if name in kind.reserved:
                raise kind.taken(name, OURS)
            there = self._given[kind.hook].get(name)
            if there is not None and there.owner != SESSION:
                raise kind.taken(name, str(self.records[there.owner].origin))
        return made

    def _take(self, things: Mapping[str, object], kind: Kind, record: PluginRecord) -> None:
        """Keep things under their names; what began in a notebook cell and now is a plugin's belongs to the plugin."""
        given = self._given[kind.hook]
        for name, thing in things.items():
            if kind.mark is not None:
                kind.mark(thing, record.origin)
            if name in given:
                self.records[given[name].owner].given[kind.hook].remove(name)
            record.given.setdefault(kind.hook, []).append(name)
            given[name] = _Given(thing, record.name)

    def _drop(self, owner: str) -> None:
        for hook, given in self._given.items():
            self._given[hook] = {name: item for name, item in given.items() if item.owner != owner}

    def _optional(self, name: str, plugin: object) -> bool:
        """Tell whether a plugin says of a hook that older toolkits may not know it."""
        return all(impl.optionalhook for impl in getattr(self.hook, name).get_hookimpls() if impl.plugin is plugin)


_manager: Manager | None = None


def manager() -> Manager:
    """Return the plugins of this session, loaded on first use."""
    global _manager
    with _LOCK:
        if _manager is None:
            _manager = Manager()
        return _manager


def strangers() -> bool:
    """Tell whether this session has, or may load, plugins that are not the toolkit's own."""
    with _LOCK:
        if _manager is not None:
            return any(record.distribution != OURS for record in _manager.records.values())
    return _strangers_installed()


@functools.cache
def _strangers_installed() -> bool:
    """Look at all installed distributions, which takes milliseconds: once a session, not once for every file read."""
    return any(_distribution(entry)[0] != OURS for entry in importlib.metadata.entry_points(group=GROUP))


@contextmanager
def use_manager(new: Manager | None) -> Iterator[Manager | None]:
    """Let another manager be the session's for the length of a ``with``: tests, and checks of one plugin by itself.

    Args:
        new: The manager to use; None for one that discovers plugins anew when it is first needed.
    """
    global _manager
    with _LOCK:
        before, _manager = _manager, new
        _strangers_installed.cache_clear()
    try:
        yield new
    finally:
        with _LOCK:
            _manager = before
            _strangers_installed.cache_clear()


def plugin_records() -> dict[str, PluginRecord]:
    """Return what became of every plugin: active, blocked or broken, by name."""
    return dict(manager().records)


class _FromText(SourceFileLoader):
    """Compiles the text, never the bytecode beside it, which a second edit within a second would leave stale."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_file(path: str | os.PathLike[str]) -> PluginRecord:
    """Load a plugin from a Python file, without packaging; loading it again replaces it. The file's code is run.

    Args:
        path: The file.

    Returns:
        Its record.

    Raises:
        PluginError: If there is no such file, or the plugin is broken; nothing of it stays.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise PluginError(f"there is no plugin file {str(path)!r}: give the path of a .py file")
    name = f"{file.stem} ({file})"
    record = PluginRecord(name, str(file), FILE, hashlib.sha256(file.read_bytes()).hexdigest()[:12])
    module_name = f"_pima_plugin_{hashlib.sha256(os.fsencode(file)).hexdigest()[:16]}"
    if file.suffix != ".py":
        raise PluginError(f"{file.name} is not a Python file: its name must end in .py")
    loader = _FromText(module_name, str(file))
    spec = cast(ModuleSpec, importlib.util.spec_from_file_location(module_name, file, loader=loader))
    current = manager()
    before = current.get_plugin(name), current.records.get(name), sys.modules.get(module_name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        loader.exec_module(module)
        current.remove_plugin(name)
        current.add_plugin(module, record)
    except FAILURES as error:
        del sys.modules[module_name]
        if before[2] is not None:
            sys.modules[module_name] = before[2]
        if before[0] is not None and before[1] is not None and current.get_plugin(name) is None:
            current.add_plugin(before[0], before[1])
        raise PluginError(f"plugin file {file.name} cannot be used: {one_line(error)}") from error
    return record


def one_line(error: BaseException) -> str:
    """Tell an error in one line; its class is named where it is not one of ours."""
    text = " ".join(str(error).split())
    return text if isinstance(error, PimaError) and text else f"{type(error).__name__}: {text}"[:500]


def _module(thing: object) -> str | None:
    """The module a thing of this session was written in; None for one without a class or function of its own."""
    name = getattr(thing, "__module__", type(thing).__module__)
    return None if name.partition(".")[0] == "pima_toolkit" else name


def _switch(variable: str) -> bool:
    return os.environ.get(variable, "0") not in {"", "0"}


def _names(variable: str) -> set[str]:
    return {name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()}


def _distribution(entry: importlib.metadata.EntryPoint) -> tuple[str, str]:
    dist = entry.dist
    return (dist.name, dist.version) if dist is not None else ("?", "?")


def _check_version(needed: object) -> None:
    if needed is None:
        return
    if not (isinstance(needed, tuple) and len(needed) == 2 and all(isinstance(n, int) for n in needed)):
        raise PluginError(f"PIMA_API is {needed!r}, expected (major, minor) such as {PIMA_API}")
    if needed[0] != PIMA_API[0] or needed[1] > PIMA_API[1]:
        raise PluginError(
            f"needs plugin API {needed[0]}.{needed[1]}, this pima_toolkit offers {PIMA_API[0]}.{PIMA_API[1]}"
        )
