"""Docstrings begin with a verb or a noun, and neither they nor comments cite what a reader cannot get."""

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("pima_toolkit", "plugins", "widgets", "benchmarks", "docs", "tests")
#: First words that leave a reader waiting for what it is about.
RIDDLES = {"Of", "See", "As"}
#: Notes the project was planned in, which nobody has who has the code.
UNPUBLISHED = re.compile(r"\b(MODEL|EXPERTS|WIDGETS_AND_PLUGINS|EVIDENCE|ARCHITECTURE|PLAN)(\.md\b|,? §)")
#: A section needs the work it is a section of.
PUBLISHED = re.compile(r"\bTrask\b|\bthe paper|\b1[5-9]\d\d,|\b20\d\d,")
#: Sentences that still break a rule, by room. The list only gets shorter.
OPEN: dict[str, int] = {}


class Words(NamedTuple):
    line: int
    text: str
    is_docstring: bool


def words_of(text):
    """The docstrings and comments of a program; comments that follow each other are one."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node)
            if said:
                yield Words(node.body[0].lineno, said, True)
    last = None
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            said = token.string.lstrip("#: ")
            if last is not None and token.start[0] == last[1] + 1:
                last = (last[0], token.start[0], f"{last[2]} {said}")
            else:
                if last is not None:
                    yield Words(last[0], last[2], False)
                last = (token.start[0], token.start[0], said)
    if last is not None:
        yield Words(last[0], last[2], False)


def problems(text):
    """Lines that break a rule, and how."""
    for line, said, is_docstring in words_of(text):
        first = re.match(r"\w+", said)
        if is_docstring and first and first[0] in RIDDLES:
            yield line, f"begins with {first[0]!r}: say what it is or does first"
        if named := UNPUBLISHED.search(said):
            yield line, f"cites {named[0]!r}, which the repository lacks: write the reason, or cite the paper"
        elif "§" in said and not PUBLISHED.search(said):
            yield line, "cites a section and not of what"


def room_of(path):
    """Folder of the second level: ``pima_toolkit/model``, ``tests/data``; a file beside them is its own."""
    return "/".join(path.parts[:2])


def files():
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file.name != "test_english.py" and "_build" not in file.parts:
                yield file.relative_to(ROOT)


def test_docstrings_and_comments_read_at_first_sight():
    told = {}
    for file in files():
        for line, problem in problems((ROOT / file).read_text(encoding="utf-8")):
            told.setdefault(room_of(file), []).append(f"{file}:{line}: {problem}")
    new = [sentence for room, sentences in told.items() if len(sentences) > OPEN.get(room, 0) for sentence in sentences]
    assert not new, "\n" + "\n".join(new)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('def f():\n    """Of these the largest."""\n', "'Of'"),
        ('"""See :func:`g`."""\n', "'See'"),
        ('class A:\n    """As the other."""\n', "'As'"),
        ("x = 1  # exact (MODEL.md §4)\n", "'MODEL.md'"),
        ("# The bound never falls\n# (MODEL §7).\n", "'MODEL §'"),
        ('"""What each specimen is (§2.4)."""\n', "not of what"),
    ],
)
def test_a_riddle_is_found(text, problem):
    (found,) = problems(text)
    assert problem in found[1]


@pytest.mark.parametrize(
    "text",
    [
        '"""Seen points."""\n# Of the two the larger: comments may.\n',
        '"""Fuse.\n\nSource: Trask et al. 2022, §2.4."""\n',
        '"""A line.\n\nSource: Rayleigh 1877, The Theory of Sound, vol. 1, §45."""\n',
    ],
)
def test_plain_words_pass(text):
    assert not list(problems(text))
