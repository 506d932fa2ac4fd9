"""One registry for every kind of thing that can be added: ours by table, strangers' by hook."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from ..errors import PimaError, require
from . import manager as session
from .manager import Kind, announce
from .records import Origin, PluginRecord

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Things of one kind by name.

    A room makes one, with its own in a table; what is written as ``"module:name"`` is imported when it is asked for::

        def _checked(thing: object) -> Callable[[Findings], Section | None]:
            if not callable(thing):
                raise OptionError(f"{thing!r} is no report section: expected a function from Findings to a Section")
            return thing

        SECTIONS = Registry(
            "report section",
            hook="pima_report_sections",
            check=_checked,
            error=OptionError,
            ours={
                "measured": "pima_toolkit.report.sections.measured:measured",
                "trust": "pima_toolkit.report.sections.trust:trust",
            },
        )

        SECTIONS.get("trust")  # the function
        SECTIONS.get("turst")  # OptionError: there is no report section 'turst'; did you mean 'trust'? Known: ...

    A stranger's plugin adds to it by the hook, and ``SECTIONS.get("corrosion")`` finds it::

        @pima_toolkit.hookimpl
        def pima_report_sections():
            return {"corrosion": corrosion}

    A plugin that gives what ``check`` refuses, or takes a name that somebody has, is left out whole with a
    PluginWarning that says why; nobody else suffers. Plugins are loaded when a registry is first asked.

    Args:
        kind: What people call a thing, in the singular; the plural has an s.
        hook: The hook that gives them, specified in ``plugins/hooks.py``.
        check: Takes a thing as a plugin gives it, returns it as it is used, and raises ``error`` where it is none.
        error: Class of the errors about these things.
        ours: The toolkit's own, name -> thing or ``"module:name"``; not put to ``check``. None where they come from
            plugins as a stranger's do, as the experts.
        named: Whether the things have a ``name`` of their own: the hook then returns a list in place of a table.
        mark: Writes on a thing which plugin it comes from; None where it is not written.

    Raises:
        ValueError: If there is no such hook.
    """

    def __init__(
        self,
        kind: str,
        hook: str,
        check: Callable[[object], Thing],
        error: type[PimaError],
        *,
        ours: Mapping[str, Thing | str] | None = None,
        named: bool = False,
        mark: Callable[[Thing, Origin], None] | None = None,
    ) -> None:
        self.kind = Kind(kind, hook, check, error, frozenset(ours or ()), named, mark)
        self._ours: dict[str, Any] | None = None if ours is None else dict(ours)
        announce(self.kind)

    def get(self, name: str, advice: str = "") -> Thing:
        """Find a thing by its name.

        Args:
            name: Its name.
            advice: What to tell where no known name is alike, in place of the full stop: ``"; a formula is ..."``.

        Raises:
            PimaError: Of the registry's class, if there is none; the message tells the nearest name and the known ones.
        """
        if not isinstance(name, str):
            raise self.kind.error(f"{name!r} is no name of a {self.kind.name}: expected a text")
        if name in (self._ours or ()):
            return self._own(name)
        given = self._given()
        if name in given:
            return given[name]
        known = sorted(self.names())
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        advice = f"; did you mean {close[0]!r}?" if close else advice or "."
        message = f"there is no {self.kind.name} {name!r}{advice} Known: {', '.join(known) or 'none'}."
        records = session.plugin_records().values() if self._asks_plugins() else ()
        lost = [record.name for record in records if record.state != "active"]
        raise self.kind.error(message + (f" Plugins left out: {', '.join(lost)}." if lost else ""))

    def names(self) -> list[str]:
        """Return all names: ours in the order of the table, then those of plugins in the order they were loaded."""
        return [*(self._ours or ()), *self._given()]

    def all(self) -> dict[str, Thing]:
        """Return name -> thing, in the order of :meth:`names`."""
        return {name: self._own(name) for name in self._ours or ()} | self._given()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in (self._ours or ()) or name in self._given())

    def add(self, thing: object, name: str | None = None) -> Thing:
        """Register a thing for this session; running a notebook cell again replaces its own.

        Args:
            thing: What a plugin would give.
            name: Its name, unless the things of this registry have their own.

        Returns:
            The thing as ``check`` returns it.

        Raises:
            PimaError: Of the registry's class, if it is no such thing, or somebody else has one of this name.
        """
        checked = self.kind.check(thing)
        session.manager().add(self.kind.hook, checked.name if name is None else name, checked)
        return checked

    def source(self, name: str) -> PluginRecord | None:
        """Return the record of the plugin that gave a thing; None for one of the toolkit's own table."""
        if self._ours is not None and name in self._ours:
            return None
        return session.manager().source(self.kind.hook, name)

    def _own(self, name: str) -> Thing:
        ours = self._ours or {}
        thing = ours[name]
        if isinstance(thing, str):
            module, _, attribute = thing.partition(":")
            thing = ours[name] = getattr(require(module, f"{self.kind.name}s"), attribute)
        return thing

    def _given(self) -> dict[str, Thing]:
        return session.manager().given(self.kind.hook) if self._asks_plugins() else {}

    def _asks_plugins(self) -> bool:
        """With a table of ours our own plugin gives nothing: the experts need not be imported to read a file."""
        return self._ours is None or session.strangers()
