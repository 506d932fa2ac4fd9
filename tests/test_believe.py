"""The guide's page on when to believe a picture runs as printed, and what it says of the summary is so."""

import re

import numpy as np
import pytest


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
