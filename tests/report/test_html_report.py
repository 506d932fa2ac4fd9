"""The HTML report: what it says, that it is whole, and how it looks in a real browser."""

import html
import re

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import DataError
from pima_toolkit.experts import law_of
from pima_toolkit.units import value_with_error


@pytest.fixture(scope="module")
def partly():
    """Digits, some without their line, with a setting that follows the digit and one that does not."""
    data = pima.datasets.digits()
    data = data.isel(specimen=data.label.values < 3).isel(specimen=slice(0, 120))
    line = data.line.values.copy()
    line[10:20] = np.nan
    rng = np.random.default_rng(0)
    operator = np.array(["Ada & co", "<b>Bo</b>"])[rng.integers(0, 2, 120)]
    return data.assign(line=(data.line.dims, line, data.line.attrs)).assign_coords(operator=("specimen", operator))


@pytest.fixture(scope="module")
def partly_fit(partly):
    model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=3, latent_dim=2)
    return model.fit(partly, epochs=8, progress=False)


@pytest.fixture(scope="module")
def report(partly_fit, partly, tmp_path_factory):
    new = pima.datasets.digits().isel(specimen=slice(300, 304))[["image"]]
    return partly_fit.save_report(tmp_path_factory.mktemp("report") / "report.html", partly, new)


def test_it_says_what_the_tables_say(report, partly_fit):
    text = report.read_text(encoding="utf-8")
    slope = partly_fit.parameters.sel(parameter="slope")
    for c in range(3):
        assert f"Population {c}: {float(slope.effective_specimens[c]):.1f} specimens" in text
        assert value_with_error(float(slope.value[c]), float(slope.std_error[c])) in text
    assert "110 of 120" in text
    assert "Neural(" not in text.replace("pima.Neural(", ""), "only the lines to run are in Python"
    assert "neural; encoder conv, decoder conv, noise unit" in text
    assert "One run only" in text
    assert "These need not be the specimens in doubt" in text
    assert str(partly_fit.record.facts["data"]) in text
    assert pima.__version__ in text
    for title in ("What was measured", "Populations", "Latent map", "Populations and settings", "How far to trust it"):
        assert f">{title}</h2>" in text
    assert ">Worth measuring next: line</h2>" in text
    assert ">Predictions for 4 new specimens</h2>" in text


def test_text_from_the_data_is_never_markup(report):
    text = report.read_text(encoding="utf-8")
    assert "<b>Bo" not in text
    assert "&lt;b&gt;Bo&lt;/b&gt;" in text


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(report):
    text = report.read_text(encoding="utf-8")
    assert "<script" not in text
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'src="([^"]{0,30})', text))
    assert "http://" not in text.replace("http://www.w3.org", "")


def test_without_the_data_it_shows_the_populations_alone(fit, tmp_path):
    path = fit.save_report(tmp_path / "short")
    assert path.name == "short.html"
    text = path.read_text(encoding="utf-8")
    assert "Latent map" not in text
    assert "Populations" in text
    assert [p.name for p in tmp_path.iterdir()] == ["short.html"]


def test_the_same_fit_gives_the_same_report(fit, train, tmp_path):
    first, second = (fit.save_report(tmp_path / f"{k}.html", train).read_bytes() for k in range(2))
    assert first == second


def test_other_specimens_are_refused_as_training_data(fit, test, tmp_path):
    with pytest.raises(DataError, match="not what this fit was trained on"):
        fit.save_report(tmp_path / "x.html", test)
    assert not list(tmp_path.iterdir())


def test_it_opens_and_prints_in_a_browser(report, browser):
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    trouble, asked = [], []
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert not trouble
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    widths = page.eval_on_selector_all("img", "all => all.map(i => [i.naturalWidth, i.getBoundingClientRect().width])")
    assert len(widths) >= 6
    assert all(natural > 100 and 50 < shown <= 1100 for natural, shown in widths)
    assert page.eval_on_selector_all("img", "all => all.every(i => i.alt.length > 10)")
    # no table wider than the page, no cell cut off
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.eval_on_selector("p.formula math", "m => m.getBoundingClientRect().width > 20")
    page.get_by_role("link", name="How it was made").click()
    assert page.evaluate("window.scrollY") > 500
    narrow = browser.new_page(viewport={"width": 400, "height": 800})
    narrow.goto(report.as_uri())
    assert narrow.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page[^s]", printed)) <= 12
    page.close()
    narrow.close()


@pytest.mark.slow
def test_a_model_without_physics_has_a_report_too(digits, tmp_path):
    model = pima.PIMA({"image": pima.Neural(noise="learned")}, clusters=2, latent_dim=2)
    fit = model.fit(digits[["image"]].isel(specimen=slice(0, 60)), epochs=2, progress=False)
    text = fit.save_report(tmp_path / "r.html", digits[["image"]].isel(specimen=slice(0, 60))).read_text(
        encoding="utf-8"
    )
    assert "Bands of" not in text
    assert "standard error" not in text


def test_a_setting_given_as_a_coordinate_is_in_the_report(report):
    text = report.read_text(encoding="utf-8")
    row = re.search(r"<th scope=\"row\">label</th>(.*?)</tr>", text, re.S).group(1)
    assert re.search(r"<td>\d+ %</td>", row)


def test_the_law_is_there_as_people_type_it():
    expert = pima.get_expert("linear_hardening")
    law = law_of("stress", expert)
    assert law.startswith(f"stress = {expert.formula}, with sigma_y = ")
    assert "\\" not in law
    assert law_of("stress", pima.get_expert("affine")) == f"stress = {pima.get_expert('affine').formula}"


def test_the_law_is_in_the_report(partly_fit, report):
    (law,) = (law_of(name, option.expert) for name, option in partly_fit.predictor.options.physics.items())
    assert law
    assert law in partly_fit.report()
    assert law in html.unescape(report.read_text(encoding="utf-8"))
