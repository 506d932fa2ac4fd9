"""A Sphinx extension: formulas as MathML, by docutils' own converter, so that no script and no font is fetched."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

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


_SPACE = "{http://www.w3.org/1998/Math/MathML}"
_APPLY = "\u2061"
_ACCENTS = ("ˉ", "¯", "~", "˜", "ˆ", "^", "˙", "→")
ElementTree.register_namespace("", _SPACE.strip("{}"))


def readable(text: str) -> str:
    """A formula as docutils reads it rightly."""
    for pattern, replacement in _REWRITTEN:
        text = pattern.sub(replacement, text)
    return text


def polished(mathml: str) -> str:
    """What docutils writes, with accents that stay on their letter, norms of one size, and spaces about functions.

    Args:
        mathml: One ``<math>`` element; in it a letter with accent and index is a ``munderover``, the index under it.
    """
    root = ElementTree.fromstring(mathml.replace("&ApplyFunction;", _APPLY))  # noqa: S314 - our own text
    for node in root.iter():
        if node.tag == f"{_SPACE}munderover" and node[2].text in _ACCENTS:
            letter, index, accent = node
            node.tag = f"{_SPACE}msub"
            node[:] = [ElementTree.Element(f"{_SPACE}mover", accent="true"), index]
            node[0].extend([letter, accent])
        if node.tag == f"{_SPACE}mo" and node.text == "‖":
            node.attrib.update(stretchy="false", lspace="0", rspace="0")
    for node in root.iter():
        for applied in [child for child in node if child.text == _APPLY]:
            at = list(node).index(applied)
            if at + 1 < len(node) and (node[at + 1].text or "") != "(":
                node.insert(at + 1, ElementTree.Element(f"{_SPACE}mspace", width="0.17em"))
            if at > 1 and node[at - 2].tag != f"{_SPACE}mo":
                node.insert(at - 1, ElementTree.Element(f"{_SPACE}mspace", width="0.17em"))
    return ElementTree.tostring(root, encoding="unicode")


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
        translator.body.append(polished(tex2mathml(text, as_block=as_block)))
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
