"""The guide's page on when to believe a picture runs as printed, and what it says of the summary is so."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_page_runs_and_the_summary_begins_as_it_says(guide, capsys):
    text, names = guide("believe")
    promised = re.findall(r"^(?:Checked on|Training curves of) .*$", text, re.MULTILINE)
    assert len(promised) == 2
    for said, line in zip(names["fit"].summary().splitlines(), promised, strict=False):
        pattern = re.sub(r"\b[A-EN]\b", "[0-9.e+-]+", re.escape(line))
        assert re.fullmatch(pattern, said)
    answer, new = names["answer"], names["new"]
    assert float(np.sqrt(((answer.line - new.line) ** 2).mean())) < 0.5 * float(new.line.std())
    assert "stranger" in capsys.readouterr().out


def test_the_page_lists_every_caution_of_the_code_and_no_other():
    page = (ROOT / "docs" / "how-to" / "believe.md").read_text(encoding="utf-8")
    table = page.split("## When not to believe a fit")[1].split("\n\n")[2]
    listed = [row.split("|")[1].strip() for row in table.splitlines()[2:]]
    tree = ast.parse((ROOT / "pima_toolkit" / "answers" / "trust" / "cautions.py").read_text(encoding="utf-8"))
    said = [_words(node) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.Constant)]
    for words in listed:
        assert any(words in sentence for sentence in said), f"no caution says {words!r}"
    cautions = [call.args[0] for call in ast.walk(tree) if isinstance(call, ast.Call) and _calls(call, "Caution")]
    for sentence in (_words(one) for one in cautions if isinstance(one, ast.JoinedStr | ast.Constant)):
        where_noise = sentence.strip(", :.") == ""  # residuals speak in their own words
        assert where_noise or any(words in sentence for words in listed), f"the page does not list {sentence!r}"


def _words(text):
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))


def _calls(call, name):
    return isinstance(call.func, ast.Name) and call.func.id == name
