"""A Sphinx extension: formulas as MathML, by docutils' own converter, so that no script and no font is fetched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

#: What docutils reads otherwise than LaTeX, and how to say it so that both agree: sizes of brackets and fractions are
#: left out; it takes the 12 of a fraction written without braces for a twelve.
_REWRITTEN = (
    (re.compile(r"\\[bB]igg?[lr]?(?![A-Za-z])"), ""),
    (re.compile(r"\\[lr]Vert(?![A-Za-z])"), r"\\|"),
    (re.compile(r"\\[td]?frac(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\frac\s*(\d)\s*(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\frac\s*(\d)(?=\s*[{\\])"), r"\\frac{\1}"),
)


def readable(text: str) -> str:
    """A formula as docutils reads it rightly."""
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return text


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula inside a line."""
    _write(translator, node, as_block=False)


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own."""
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    _write(translator, node, as_block=True)
    translator.body.append("</div>\n")


def _write(translator: HTML5Translator, node: nodes.Node, *, as_block: bool) -> None:
    """The formula as MathML.

    Raises:
        SkipNode: Always: the text of the node is written.
    """
    text = readable(node.astext())
    try:
        translator.body.append(tex2mathml(text, as_block=as_block))
    except MathError as error:
        logger.warning("this formula cannot be shown: %s: %s", text, error, location=node)
        translator.body.append(translator.encode(text))


def _skipping(visit: object) -> object:
    def visit_and_skip(translator: HTML5Translator, node: nodes.Node) -> None:
        visit(translator, node)
        raise nodes.SkipNode

    return visit_and_skip


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(_skipping(visit_inline), None), block_renderers=(_skipping(visit_block), None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
