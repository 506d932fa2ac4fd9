"""Formulas of the documentation site: what docutils makes of them, mended."""

import importlib.util
import re
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def mathml():
    pytest.importorskip("sphinx", reason="pip install sphinx")
    path = Path(__file__).parents[1] / "docs" / "mathml.py"
    spec = importlib.util.spec_from_file_location("mathml", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(mathml, text):
    return re.sub(r'\s*\n\s*| xmlns="[^"]*"', "", mathml.polished(mathml.tex2mathml(mathml.readable(text))))


def test_an_index_stands_beside_its_letter_with_an_accent(mathml):
    assert '<msub><mover accent="true"><mi>X</mi><mo stretchy="false">ˉ</mo></mover><mi>c</mi></msub>' in shown(
        mathml, r"{\bar X}_c"
    )
    assert "munderover" not in shown(mathml, r"\hat\sigma_c^2")


def test_a_sum_keeps_its_limits(mathml):
    assert "<munderover><mo" in shown(mathml, r"\sum_{n=1}^T x_n")


def test_both_bars_of_a_norm_have_one_size(mathml):
    assert shown(mathml, r"\lVert X_d\rVert^2").count('<mo stretchy="false" lspace="0" rspace="0">‖</mo>') == 2


def test_functions_stand_apart_from_their_neighbours(mathml):
    space = '<mspace width="0.17em" />'
    assert f"<mi>T</mi>{space}<mi>log</mi><mo>\u2061</mo>{space}<mn>2</mn>" in shown(mathml, r"T \log 2\pi v")
    assert space not in shown(mathml, r"\log(x)")
