"""The figure of an expert, and the page of all of them."""

import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError

ROOT = Path(__file__).parents[2]


def lines_of(figure):
    return [line for line in figure.axes[0].lines if len(line.get_xdata())]


def test_what_is_seen_is_changed_by_a_fifth():
    """Linear hardening: the fitted parameters are (E, yield strain, H / E), and the seen ones E, yield stress, H."""
    figure = pima.plots.plot_expert("linear_hardening")
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("strain", "stress (MPa)")
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert texts == ["$E$ = 800 MPa", r"$\sigma_{y}$ = 32 MPa", "$H$ = 160 MPa"]
    *thin, thick = lines_of(figure)
    strain = thick.get_xdata()
    np.testing.assert_allclose(thick.get_ydata(), np.where(strain < 0.04, 800 * strain, 32 + 160 * (strain - 0.04)))
    assert len(thin) == 6
    more, yields = thin[2].get_ydata(), 38.4 / 800
    np.testing.assert_allclose(more, np.where(strain < yields, 800 * strain, 38.4 + 160 * (strain - yields)), rtol=1e-9)
    assert figure.get_suptitle() == "linear_hardening"
    assert axis.get_title().startswith(r"$\sigma = E")


def test_logarithmic_axes_units_and_covariates():
    figure = pima.plots.plot_expert("paris")
    axis = figure.axes[0]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert axis.get_xlabel() == "stress intensity range (MPa·m$^{0.5}$)"
    assert pima.plots.plot_expert("arrhenius").axes[0].get_xscale() == "linear", "less than a decade"
    assert pima.plots.plot_expert("gibson_ashby_modulus").get_suptitle() == "gibson_ashby_modulus, E_s = 70000"


def test_it_draws_into_given_axes_and_what_mathematics_cannot_write():
    axis = Figure().subplots()
    figure = pima.plots.plot_expert(pima.SympyExpert("a * t if t < b else a * b", name="kink"), ax=axis)
    assert figure is axis.figure
    assert axis.get_title() == "kink:  a * t if t < b else a * b"
    assert len(lines_of(figure)) == 5


def test_unknown_experts_are_told():
    with pytest.raises(ExpertError, match="did you mean 'voce'"):
        pima.plots.plot_expert("voice")


def test_the_catalogue_page_has_a_section_and_a_figure_each(tmp_path):
    spec = importlib.util.spec_from_file_location("catalogue_page", ROOT / "docs" / "catalogue.py")
    page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(page)
    names = ["voce", "paris", "johnson_cook", "pseudo_voigt", "vft"]
    text = page.write_catalogue(tmp_path, names).read_text(encoding="utf-8")
    assert [line[4:] for line in text.splitlines() if line.startswith("### ")] == names
    assert text.count("*Valid for:* ") == text.count("*Source:* ") == text.count("| parameter |") == 5
    for name in names:
        assert f"![{name}](experts/{name}.svg)" in text
        assert ET.parse(tmp_path / "experts" / f"{name}.svg").getroot().tag.endswith("svg")  # noqa: S314 - ours
    assert "| `sigma_s` | {y} | sigma_s >= sigma_y | saturation stress |" in text
    before = (tmp_path / "experts" / "voce.svg").read_bytes()
    page.write_catalogue(tmp_path, ["voce"])
    assert (tmp_path / "experts" / "voce.svg").read_bytes() == before, "the same file every time"
