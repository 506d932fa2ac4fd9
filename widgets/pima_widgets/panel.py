"""What every panel shares: plain objects out, a status line, errors as sentences, and a button that copies code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import ipywidgets as ipw
import traitlets

from .background_task import error_html

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pima_toolkit import Expert, Fit

_STATIC = Path(__file__).parent / "static"


class CopyButton(anywidget.AnyWidget):
    """A button that puts its text on the clipboard."""

    _esm = (_STATIC / "copy.js").read_text(encoding="utf-8")
    text = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("Copy as code").tag(sync=True)


class Panel(ipw.VBox):
    """A panel: widgets in a column, and plain objects to go on with.

    Attributes:
        result: What the panel made last: a fit, a solution, an answer; None until then. Observable.
        selection: What is selected; its meaning is the panel's. Observable.
        expert: The expert at hand, or None. Observable.
    """

    result: Fit | Any = traitlets.Any(None, allow_none=True)
    selection = traitlets.Any(None, allow_none=True)
    expert: Expert | None = traitlets.Any(None, allow_none=True)

    def __init__(self, **options: object) -> None:
        self.status = ipw.HTML()
        self.status.add_class("pima-status")
        self.status.layout.flex = "1 1 auto"
        self.error = ipw.HTML()
        self.error.add_class("pima-error")
        super().__init__(**options)
        self.add_class("pima-panel")

    def say(self, words: str) -> None:
        """Put a sentence into the status line."""
        self.status.value = f'<span role="status">{escape(words)}</span>'

    def fail(self, error: BaseException) -> None:
        """Show an error as a sentence, its traceback folded."""
        self.error.value = error_html(error)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What a click does: an error is shown in the panel. A method called from code raises it instead."""
        self.error.value = ""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the person who clicked must see it
            self.fail(error)

    def button(
        self, text: str, does: Callable[[], object], *, style: str = "", hint: str = "", icon: str = ""
    ) -> ipw.Button:
        """A button that calls a method of this panel.

        Args:
            text: On the button.
            does: Called without arguments; its errors are shown.
            style: ``"primary"``, ``"warning"``, ... or none.
            hint: Shown when the pointer rests on it.
            icon: Name of a Font Awesome icon.
        """
        made = ipw.Button(description=text, button_style=style, tooltip=hint or text, icon=icon)
        made.layout.width = "max-content"

        def clicked(_: ipw.Button) -> None:
            with self.guarded():
                does()

        made.on_click(clicked)
        return made


def heading(text: str) -> ipw.HTML:
    """A heading within a panel."""
    return ipw.HTML(f'<b class="pima-heading">{escape(text)}</b>')


def row(*widgets: ipw.Widget) -> ipw.Box:
    """Widgets side by side, wrapped where the page is narrow."""
    return ipw.Box(
        list(widgets), layout=ipw.Layout(display="flex", flex_flow="row wrap", align_items="center", grid_gap="6px")
    )
