"""A figure rendered, whatever its labels hold: names of specimens and modalities may have dollar signs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
