"""What all figures share: an empty one, its colours and markers, and how it is rendered.

Nothing here touches the global state of pyplot: a figure is an object, and saving it is all that ever renders it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Six of Okabe and Ito 2008, "Color universal design", then four darker ones, so that ten clusters have ten; any two
#: are told apart with any colour vision (at least 13 in CIELAB, by the model of Machado et al. 2009).
COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#332288", "#882255", "#117733", "#7F3C8D"),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
GREY = "0.55"


def colour_of(number: int) -> str:
    """Return the colour of a cluster, the same in every figure."""
    return COLOURS[number % len(COLOURS)]


def marker_of(number: int) -> str:
    """Return the marker of a cluster, the same in every figure; with its colour it repeats only after ninety."""
    return MARKERS[number % len(MARKERS)]


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure, width and height in inches, that shows itself in a notebook."""
    figure = require("matplotlib.figure", "plots").Figure(figsize=(width, height), layout="constrained")

    def png() -> bytes:
        buffer = io.BytesIO()
        draw(figure, buffer, format="png", dpi=100)
        return buffer.getvalue()

    # Without pyplot a notebook knows no picture of a Figure; this is the method it asks for.
    figure._repr_png_ = png
    return figure


def draw(figure: Figure, target: Path | io.BytesIO, **options: Any) -> None:
    """Render a figure; a label with dollar signs that are no formula is drawn as it is written.

    Args:
        figure: The figure.
        target: Where to.
        **options: Of matplotlib's ``savefig``.
    """
    try:
        figure.savefig(target, **options)
    except ValueError:  # what matplotlib's reader of formulas raises
        texts: list[Any] = figure.findobj(require("matplotlib.text", "plots").Text)
        if not any("$" in text.get_text() for text in texts):
            raise
        parser = require("matplotlib.mathtext", "plots").MathTextParser("path")
        for text in texts:
            try:
                parser.parse(text.get_text())
            except ValueError:
                text.set_parse_math(False)
        if isinstance(target, io.BytesIO):
            target.seek(0)
            target.truncate()
        figure.savefig(target, **options)
