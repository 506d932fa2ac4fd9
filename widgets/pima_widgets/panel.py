"""The base of every panel: its contract with the app, a status line, errors as sentences, buttons, and layout."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import ipywidgets as ipw
import traitlets

from .told_warnings import told_warnings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import xarray as xr

    from pima_toolkit import Expert, Fit

_STATIC = Path(__file__).parent / "static"


class CopyButton(anywidget.AnyWidget):
    """A button that puts its text on the clipboard."""

    _esm = (_STATIC / "copy.js").read_text(encoding="utf-8")
    text = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("Copy as code").tag(sync=True)


class Panel(ipw.VBox):
    """A column of widgets, and plain objects to go on with.

    To write a panel, subclass this, set ``title``, call ``super().__init__()`` and put widgets into ``children``, among
    them ``self.status`` and ``self.error``. The app makes it as ``MyPanel(data)``, or, with ``needs_fit = True``, anew
    for every fit as ``MyPanel(fit, data, answer=answer)``, where ``answer`` is ``fit.infer(data, predict=())``. What
    the others are to know is put into ``new_fit``, ``picked`` or ``registered``; what they made arrives in
    :meth:`adopt`, :meth:`follow` and :meth:`offer`, which do nothing unless overridden.

    Attributes:
        title: Text of the panel's tab.
        needs_fit: Whether the panel shows a fit; then its tab waits for one.
        result: What the panel made last: a fit, a solution, an answer; None until then. Observable.
        selection: What is selected; its meaning is the panel's. Observable.
        expert: The expert at hand, or None. Observable.
        new_fit: The fit made here last, for the app to show in every panel. Observable.
        picked: Numbers of the specimens picked here, for the other panels to follow. Observable.
        registered: The expert registered here last, for the other panels to offer. Observable.
        revision: Rises by one whenever :meth:`edits` has something new. Observable.
    """

    title: ClassVar[str] = ""
    needs_fit: ClassVar[bool] = False
    result: Fit | Any = traitlets.Any(None, allow_none=True)
    selection = traitlets.Any(None, allow_none=True)
    expert: Expert | None = traitlets.Any(None, allow_none=True)
    new_fit: Fit | None = traitlets.Any(None, allow_none=True)
    picked = traitlets.List(traitlets.Int())
    registered: Expert | None = traitlets.Any(None, allow_none=True)
    revision = traitlets.Int(0)

    def __init__(self, **options: object) -> None:
        self.status = ipw.HTML()
        self.status.add_class("pima-status")
        self.status.layout.flex = "1 1 auto"
        self.error = ipw.HTML()
        self.error.add_class("pima-error")
        self.error.layout.flex = "1 1 100%"  # in a row, a line of its own
        super().__init__(**options)
        self.add_class("pima-panel")

    @classmethod
    def lacks(cls, data: xr.Dataset) -> str | None:  # noqa: ARG003 - for panels that look at them
        """Return a sentence, shown in the tab instead, if the panel can show nothing of these data; else None.

        Args:
            data: The specimens.
        """
        return None

    def adopt(self, fit: Fit) -> None:
        """Begin with a fit that was made elsewhere; called once, where the app is opened with one.

        Args:
            fit: A fit that can answer for the data.
        """

    def follow(self, specimens: list[int]) -> None:
        """Show what was picked in another panel.

        Args:
            specimens: Numbers of the specimens; empty where the selection was cleared.
        """

    def offer(self, expert: Expert) -> None:
        """Let an expert be chosen that was registered in another panel.

        Args:
            expert: The expert.
        """

    def edits(self) -> xr.Dataset | None:
        """Return what a person made here that no fit can tell again; None where there is nothing.

        The app keeps it with its session, and hands it to the panel of the next fit.
        """
        return None

    def take(self, edits: xr.Dataset) -> None:
        """Go on from what :meth:`edits` of a panel of this kind returned.

        Args:
            edits: What it returned, or what was read from the file it was kept in.

        Raises:
            DataError: If it is of other specimens.
        """

    def say(self, words: str) -> None:
        """Put a sentence into the status line."""
        self.status.value = f'<span role="status">{escape(words)}</span>'

    def fail(self, error: BaseException, beside: ipw.Widget | None = None) -> None:
        """Show an error as a sentence, its traceback folded.

        Args:
            error: The error.
            beside: What it comes from; the sentence moves into the row that holds it.
        """
        self.error.value = error_html(error)
        here = None if beside is None else _holder(self, beside)
        if here not in (None, self, before := _holder(self, self.error)):
            if before is not None:
                before.children = [one for one in before.children if one is not self.error]
            here.children = [*here.children, self.error]

    @contextmanager
    def guarded(self, beside: ipw.Widget | None = None) -> Iterator[None]:
        """Show an error of the block in the panel, as after a click; methods called from code raise theirs instead.

        Args:
            beside: What was clicked or typed into.
        """
        self.error.value = ""
        with told_warnings() as told:
            try:
                yield
            except Exception as error:  # noqa: BLE001 - whatever it is, the person who clicked must see it
                self.fail(error, beside)
        self.error.value += notes_html(told)

    def button(
        self, text: str, does: Callable[[], object], *, style: str = "", hint: str = "", icon: str = ""
    ) -> ipw.Button:
        """Make a button that calls a method of this panel.

        Args:
            text: On the button.
            does: Called without arguments; its errors are shown in the panel.
            style: ``"primary"``, ``"warning"``, ... or none.
            hint: Shown when the pointer rests on it.
            icon: Name of a Font Awesome icon.
        """
        made = ipw.Button(description=text, button_style=style, tooltip=hint or text, icon=icon)
        made.layout.width = "max-content"

        def clicked(_: ipw.Button) -> None:
            with self.guarded(made):
                does()

        made.on_click(clicked)
        return made


def notes_html(told: Sequence[str]) -> str:
    """Write sentences to know about, a line each; nothing where there are none."""
    return "".join(f'<div role="note">{escape(words)}</div>' for words in told)


def _holder(of: ipw.Widget, wanted: ipw.Widget) -> ipw.Widget | None:
    """Return the box, at any depth, that holds a widget; None where there is none."""
    for one in getattr(of, "children", ()):
        if one is wanted:
            return of
        if (found := _holder(one, wanted)) is not None:
            return found
    return None


def error_html(error: BaseException) -> str:
    """Write an error as a bold sentence, with the traceback folded."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    kind = escape(type(error).__name__)
    return (
        f'<div role="alert"><b>{escape(str(error)) or kind}</b>'
        f"<details><summary>{kind}: traceback</summary><pre>{escape(trace)}</pre></details></div>"
    )


def heading(text: str) -> ipw.HTML:
    """Make a heading within a panel."""
    return ipw.HTML(f'<b class="pima-heading">{escape(text)}</b>')


def row(*widgets: ipw.Widget) -> ipw.Box:
    """Put widgets side by side, wrapped where the page is narrow."""
    return ipw.Box(
        list(widgets), layout=ipw.Layout(display="flex", flex_flow="row wrap", align_items="center", grid_gap="6px")
    )
