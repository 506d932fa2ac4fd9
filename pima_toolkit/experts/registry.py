"""Experts by name: the installed ones, those of this session, those of a file, those of a saved fit."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import TypeVar

from ..errors import ExpertError, FileFormatError, PluginWarning
from ..plugins.hooks import hookimpl
from ..plugins.manager import FAILURES, FILE, OURS, SESSION, Manager, PluginRecord, instance, mark, one_line
from .contract.parameters import Parameter
from .kinds.expert import Expert, Origin
from .kinds.formula_expert import RestrictedExpert, SympyExpert
from .kinds.lmfit_expert import LmfitExpert

__all__ = [
    "Manager",
    "PluginRecord",
    "expert_from_dict",
    "experts",
    "get_expert",
    "hookimpl",
    "load_plugin",
    "manager",
    "plugin_records",
    "register",
    "use_manager",
]

Registered = TypeVar("Registered", bound="Expert | type[Expert]")

_manager: Manager | None = None
_LOCK = threading.RLock()


def manager() -> Manager:
    """The plugins of this session, loaded on first use."""
    global _manager
    with _LOCK:
        if _manager is None:
            _manager = Manager()
        return _manager


@contextmanager
def use_manager(new: Manager | None) -> Iterator[Manager | None]:
    """Let another manager be the session's for the length of a ``with``: tests, and checks of one plugin by itself.

    Args:
        new: The manager to use; None for one that discovers plugins anew when it is first needed.
    """
    global _manager
    with _LOCK:
        before, _manager = _manager, new
    try:
        yield new
    finally:
        with _LOCK:
            _manager = before


def experts() -> dict[str, Expert]:
    """Every installed expert by name.

    Returns:
        Name -> expert, sorted.
    """
    return manager().experts()


def plugin_records() -> dict[str, PluginRecord]:
    """What became of every plugin: active, blocked or broken, by name."""
    return dict(manager().records)


def get_expert(expert: str | Expert | type[Expert]) -> Expert:
    """Find an expert.

    Args:
        expert: The name of an installed one, an expert, or an expert class.

    Returns:
        The expert.

    Raises:
        ExpertError: If no installed expert has this name; the message lists the known ones.
    """
    if not isinstance(expert, str):
        made = instance(expert)
        if made.origin is None and type(made) is not SympyExpert:
            # The installed one where it is the same: it knows which plugin it comes from.
            there = experts().get(made.name)
            return there if there == made else made
        return made
    known = experts()
    if expert in known:
        return known[expert]
    close = difflib.get_close_matches(expert, known, n=1, cutoff=0.5)
    advice = f"; did you mean {close[0]!r}?" if close else "."
    if not close and any(c in expert for c in "*/+("):
        advice = "; a formula is written SympyExpert('...', t='...')."
    broken = [r.name for r in manager().records.values() if r.state != "active"]
    left_out = f" Plugins left out: {', '.join(broken)}." if broken else ""
    raise ExpertError(f"there is no expert {expert!r}{advice} Known: {', '.join(known) or 'none'}.{left_out}")


def register(expert: Registered) -> Registered:
    """Make an expert known by name in this session, from a notebook cell; also a class decorator.

    Args:
        expert: An expert or an expert class; running the cell again replaces it.

    Returns:
        The argument.

    Raises:
        ExpertError: If it is no expert, or a plugin or another module has one of this name.
    """
    manager().add_expert(instance(expert))
    return expert


class _FromText(SourceFileLoader):
    """Compiles the text, never the bytecode beside it, which a second edit within a second would leave stale."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_plugin(path: str | os.PathLike[str]) -> list[Expert]:
    """Load a plugin from a Python file, without packaging; loading it again replaces it. The file's code is run.

    Args:
        path: The file.

    Returns:
        Its experts.

    Raises:
        ExpertError: If there is no such file, or the plugin is broken; nothing of it stays.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file():
        raise ExpertError(f"there is no plugin file {str(path)!r}: give the path of a .py file")
    name = f"{file.stem} ({file})"
    record = PluginRecord(name, str(file), FILE, hashlib.sha256(file.read_bytes()).hexdigest()[:12])
    module_name = f"_pima_plugin_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    if file.suffix != ".py":
        raise ExpertError(f"{file.name} is not a Python file: its name must end in .py")
    spec = importlib.util.spec_from_file_location(module_name, file, loader=_FromText(module_name, str(file)))
    current = manager()
    before = current.get_plugin(name), current.records.get(name), sys.modules.get(module_name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
        current.remove_plugin(name)
        current.add_plugin(module, record)
    except FAILURES as error:
        del sys.modules[module_name]
        if before[2] is not None:
            sys.modules[module_name] = before[2]
        if before[0] is not None and current.get_plugin(name) is None:
            current.add_plugin(before[0], before[1])
        raise ExpertError(f"plugin file {file.name} cannot be used: {one_line(error)}") from error
    return [current.experts()[expert] for expert in record.experts]


def expert_from_dict(values: dict[str, object], *, installed: Mapping[str, Expert] | None = None) -> Expert:
    """Read back what :meth:`Expert.to_dict` wrote; text goes through the formula's whitelist, never through ``eval``.

    Args:
        values: The table.
        installed: Experts by name to take instead of the installed ones.

    Returns:
        An expert equal to the one saved. A PluginWarning says when its plugin has another version now.

    Raises:
        FileFormatError: If it is no such table.
        ExpertError: If it needs an expert that is not installed, or that has changed since; it names the plugin.
        FormulaError: If its formula cannot be read.
    """
    if isinstance(values, dict) and values.get("kind") == "restricted":
        return _restricted(values, installed)
    if (
        not isinstance(values, dict)
        or values.get("kind") not in {"formula", "installed", "lmfit"}
        or not isinstance(values.get("name"), str)
    ):
        raise FileFormatError(
            f"a saved expert must be a table with kind 'formula', 'installed' or 'lmfit' and a name, got"
            f" {str(values)[:80]}"
        )
    parameters = values.get("parameters")
    covariates = values.get("covariates", [])
    named = isinstance(covariates, list) and all(isinstance(name, str) for name in covariates)
    if not isinstance(parameters, list) or not isinstance(values.get("t"), str) or not named:
        raise FileFormatError(f"the saved expert {values['name']!r} lacks its parameters or its variable")
    read, origin = tuple(Parameter.from_dict(p) for p in parameters), _read_origin(values.get("origin"))
    if values["kind"] == "lmfit":
        limits = {p.name: (p.lower, p.upper) for p in read}
        return LmfitExpert(values["model"], values["t"], name=values["name"], bounds=limits, **values["options"])
    if values["kind"] == "formula":
        if not isinstance(values.get("formula"), str):
            raise FileFormatError(f"the saved expert {values['name']!r} lacks its formula")
        made = SympyExpert(values["formula"], values["t"], covariates=covariates, name=values["name"], parameters=read)
        if origin is not None:
            mark(made, origin)
        return made
    try:
        expert = get_expert(values["name"]) if installed is None else installed[values["name"]]
    except (ExpertError, KeyError) as error:
        raise ExpertError(
            f"this was saved with the expert {values['name']!r}{_of(origin)}, which is not installed:"
            f" {_how_to_get(origin)}. {error}"
        ) from None
    same = (
        expert.parameters == read
        and getattr(expert, "formula", None) == values.get("formula")
        and expert.inputs == (values["t"], *covariates)
    )
    if not same:
        raise ExpertError(
            f"the installed expert {expert.name!r}{_of(expert.origin)} is not the one this was saved with (its formula"
            f" or parameters changed): {_how_to_get(origin)}"
        )
    if origin is not None and origin != expert.origin and OURS not in (origin.distribution, _distribution(expert)):
        warnings.warn(
            f"this was saved with the expert {expert.name!r}{_of(origin)}, and is read with that{_of(expert.origin)};"
            f" formula and parameters are the same",
            PluginWarning,
            stacklevel=2,
        )
    return expert


def _read_origin(values: object) -> Origin | None:
    if values is None:
        return None
    names = ("plugin", "distribution", "version")
    if not isinstance(values, dict) or not all(isinstance(values.get(name), str) for name in names):
        raise FileFormatError(f"the origin of a saved expert must be a table with {', '.join(names)}, got {values!r}")
    return Origin(*(values[name] for name in names))


def _distribution(expert: Expert) -> str | None:
    return None if expert.origin is None else expert.origin.distribution


def _of(origin: Origin | None) -> str:
    return "" if origin is None else f" of {origin}"


def _how_to_get(origin: Origin | None) -> str:
    """What brings an expert back."""
    if origin is None:
        return "install its plugin, or register it again"
    if origin.distribution == SESSION:
        return "run the cell or program that registers it with pima.register"
    if origin.distribution == FILE:
        return f"load it with pima.load_plugin({origin.plugin!r})"
    return f"pip install {origin.distribution}=={origin.version}"


def _restricted(values: dict[str, object], installed: Mapping[str, Expert] | None) -> RestrictedExpert:
    """An expert some of whose parameters are given, see ``SympyExpert.fixed`` and ``SympyExpert.tied``."""
    fixed, tied = values.get("fixed"), values.get("tied")
    numbers = isinstance(fixed, dict) and all(isinstance(v, int | float) for v in fixed.values())
    if not numbers or not isinstance(tied, dict) or not all(isinstance(v, str) for v in tied.values()):
        raise FileFormatError(f"a saved expert lacks what its parameters are fixed at or tied to: {str(values)[:80]}")
    base = expert_from_dict(values.get("base"), installed=installed)
    if not isinstance(base, SympyExpert):
        raise FileFormatError(f"a saved expert restricts {base.name!r}, which is no formula")
    return RestrictedExpert(base, fixed=fixed, tied=tied)
