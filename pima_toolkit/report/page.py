"""The parts of a report, and a page of them as one HTML file: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.files import replacing
from ..drawing import draw
from ..errors import encodable, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Rows of a table of specimens; of more, the report says how many there are.
ROWS = 40
#: CSS pixels of an inch of a figure: the text in it is then about as large as the text around it.
_PIXELS = 88


@dataclass
class Picture:
    """A figure of a report, drawn only where a page shows it.

    Args:
        draw: Makes the figure.
        words: What the figure shows, also for who cannot see it.
    """

    draw: Callable[[], Figure]
    words: str


@dataclass
class TypesetLaw:
    """A law, which a page shows typeset where it can, and beneath it as one types it.

    Args:
        name: What stands left of the equals sign.
        typed: The whole formula as people type it.
        latex: Its right-hand side as LaTeX.
        mathml: Its right-hand side as MathML; empty where there is none.
    """

    name: str
    typed: str
    latex: str
    mathml: str = ""


@dataclass
class Table:
    """Rows of a report, ready to print.

    Args:
        head: Column names.
        rows: Cells, as text.
        more: How many further rows there would be.
        lines: The same rows as lines of a text report; columns side by side where there are none.
    """

    head: list[str]
    rows: list[list[str]]
    more: int = 0
    lines: list[str] = field(default_factory=list)


@dataclass
class Section:
    """One part of a report.

    Args:
        title: Heading.
        words: Paragraphs.
        tables: Tables after them.
        figures: Pictures, after those; a text report leaves them out.
        parts: Sections within this one.
        formulas: Formulas, after the paragraphs.
        program: Lines to copy, after those.
    """

    title: str
    words: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Picture] = field(default_factory=list)
    parts: list[Section] = field(default_factory=list)
    formulas: list[TypesetLaw] = field(default_factory=list)
    program: str = ""


def _embedded(picture: Picture) -> dict[str, object]:
    """A picture as the page holds it: its data URI, its words, and its width in CSS pixels."""
    figure = picture.draw()
    buffer = io.BytesIO()
    draw(figure, buffer, format="png", dpi=130)
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"source": source, "words": picture.words, "width": round(_PIXELS * figure.get_figwidth())}


def write_page(path: Path, *, title: str, subtitle: str, cautions: Sequence[str], sections: Sequence[Section]) -> Path:
    """Write a page, whole or not at all.

    Args:
        path: The file; ``.html`` is added where it has no ending.
        title: Heading.
        subtitle: The line under it.
        cautions: Sentences shown before everything else.
        sections: The parts.

    Returns:
        The file written.
    """
    jinja = require("jinja2", "the HTML report")
    loader = jinja.PackageLoader("pima_toolkit.report", "templates")
    environment = jinja.Environment(loader=loader, autoescape=True, undefined=jinja.StrictUndefined)
    environment.filters |= {"embedded": _embedded, "heading": lambda title: title[:1].upper() + title[1:]}
    text = environment.get_template("report.html").render(
        title=title, subtitle=subtitle, cautions=cautions, sections=sections
    )
    path = path.with_suffix(".html") if path.suffix == "" else path
    with replacing(path) as temporary:
        temporary.write_text(encodable(text), encoding="utf-8")
    return path
