"""Sections of a report: each from plain tables, the same words in the text and on the page, strangers' among ours."""

import html
import re
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data.reading_log import Entry, write_reading_log
from pima_toolkit.errors import OptionError, PluginWarning
from pima_toolkit.experts import Manager, use_manager
from pima_toolkit.metrics.association import associate
from pima_toolkit.report import DescribedCurves, Findings, HowMade, ModalityFindings, PredictedCurves, Section, Table
from pima_toolkit.report.html import save_report
from pima_toolkit.report.sections import SECTIONS, sections_of
from pima_toolkit.report.text import text_report

#: Responsibilities of six specimens, of which the last is in doubt.
GAMMA = np.array([[0.99, 0.01], [0.98, 0.02], [0.95, 0.05], [0.01, 0.99], [0.02, 0.98], [0.41, 0.59]])
NAMES = [f"s{k}" for k in range(6)]
UNIT = {"units": "1"}


@pytest.fixture
def session():
    """Start without the plugins that are installed, and forget at the end what a test adds."""
    with use_manager(Manager([])):
        yield


def by_hand() -> Findings:
    """Findings of a fit that never was: two populations, a picture and a curve."""
    strain = np.linspace(0.0, 0.1, 11)
    slope = np.array([100.0, 200.0])
    curve = slope[:, None] * strain
    parameters = xr.Dataset(
        {
            "value": (("cluster", "parameter"), slope[:, None]),
            "std_error": (("cluster", "parameter"), [[3.1], [np.nan]]),
            "low": (("cluster", "parameter"), [[95.0], [np.nan]]),
            "high": (("cluster", "parameter"), [[105.0], [np.nan]]),
            "scatter_std": (("cluster", "parameter"), [[12.0], [0.0]]),
            "at_bound": (("cluster", "parameter"), [[False], [True]]),
            "unidentified": (("cluster", "parameter"), [[False], [True]]),
            "noise_std": (("cluster", "curve"), [[0.5], [0.25]]),
            "misfit": (("cluster", "curve"), [[0.2], [np.nan]]),
            "misfit_ratio": (("cluster", "curve"), [[1.5], [np.nan]]),
            "agreement": (("cluster", "curve"), [[1.0], [np.nan]]),
            "effective_specimens": ("cluster", GAMMA.sum(0)),
        },
        coords={
            "cluster": [0, 1],
            "curve": ["stress"],
            "parameter": ["slope"],
            "unit": ("parameter", ["MPa"]),
            "parameter_modality": ("parameter", ["stress"]),
            "description": ("parameter", ["steepness of the line"]),
        },
        attrs={"level": 0.9, "method": "information of the mixture, Student's t"},
    )
    specimens = xr.Dataset(
        {"responsibilities": (("specimen", "cluster"), GAMMA), "cluster": ("specimen", GAMMA.argmax(1))},
        coords={"specimen": NAMES, "alloy": ("specimen", list("AAABBB"))},
    )
    bands = {"": curve, "_low": 0.9 * curve, "_high": 1.1 * curve}
    populations = xr.Dataset(
        {
            "weight": ("cluster", [0.5, 0.5]),
            "mean": (("cluster", "latent"), [[-1.0, 0.0], [1.0, 0.0]]),
            "variance": (("cluster", "latent"), np.full((2, 2), 0.1)),
            "image": (("cluster", "y", "x"), np.random.default_rng(0).random((2, 8, 8))),
            **{f"stress{end}": (("cluster", "strain"), band, {"units": "MPa"}) for end, band in bands.items()},
        },
        coords={"cluster": [0, 1], "strain": ("strain", strain, UNIT)},
    )
    history = xr.Dataset({"elbo": ("epoch", [-5.0, -2.5])}, coords={"epoch": [1, 2]})
    return Findings(
        title="Bars",
        synthetic=True,
        seed=7,
        seconds=3.2,
        device="cpu",
        modalities={
            "image": ModalityFindings("image", "1", "8 × 8", 5),
            "stress": ModalityFindings(
                "curve",
                "MPa",
                "11 points of strain, 0 to 0.1",
                6,
                expert="proportional",
                origin="lab-plugin (lab 1.2)",
                law="stress = slope * strain",
                latex=r"\mathrm{slope} \varepsilon",
                band=0.87,
            ),
        },
        parameters=parameters,
        specimens=specimens,
        populations=populations,
        history=history,
        cautions=["Clusters 1 hold few specimens."],
        restarts="One run only.",
        sure=0.9,
        made=[("software", "pima_toolkit 0.1.0"), ("seed", "7")],
        how=HowMade("evidence", False, 0, "", {"pima-toolkit": "0.1.0", "torch": "2.6.0+cpu"}, "import pima_toolkit"),
    )


def with_data() -> Findings:
    rng = np.random.default_rng(1)
    pictures = rng.random((6, 8, 8))
    pictures[1] = np.nan
    data = xr.Dataset(
        {
            "image": (("specimen", "y", "x"), pictures),
            "stress": (("specimen", "strain"), rng.random((6, 11)), {"units": "MPa"}),
        },
        coords={"specimen": NAMES, "strain": ("strain", np.linspace(0.0, 0.1, 11), UNIT)},
    )
    ranked = xr.Dataset(
        {"information": ("specimen", [0.4]), "reason": ("specimen", ["population 0 or 1: a measurement would tell"])},
        coords={"specimen": ["s1"]},
    )
    there = np.isfinite(pictures).all((1, 2))
    return replace(
        by_hand(),
        data=data,
        pictured={"image": there},
        answer=answer(NAMES, GAMMA),
        next_measurements={"image": ranked},
    )


def answer(names, gamma):
    """What ``infer`` says of specimens, the last of which is unlike every population."""
    count = len(names)
    strange = np.arange(count) == count - 1
    curve = np.random.default_rng(2).random((count, 11))
    bands = {"stress": curve, "stress_low": curve - 0.1, "stress_high": curve + 0.1}
    return xr.Dataset(
        {
            "responsibilities": (("specimen", "cluster"), gamma),
            "cluster": ("specimen", gamma.argmax(1)),
            "posterior_mean": (("specimen", "latent"), np.random.default_rng(3).random((count, 2))),
            "typicality": ("specimen", np.where(strange, 1e-5, 0.5)),
            "out_of_population": ("specimen", strange),
            "remark": ("specimen", np.where(strange, "unlike every population", "")),
            **{name: (("specimen", "strain"), band, {"units": "MPa"}) for name, band in bands.items()},
        },
        coords={"specimen": list(names), "strain": ("strain", np.linspace(0.0, 0.1, 11), UNIT)},
    )


def with_new() -> Findings:
    new = xr.Dataset({"image": (("specimen", "y", "x"), np.zeros((2, 8, 8)))}, coords={"specimen": ["n0", "n1"]})
    return replace(by_hand(), new=new, predictions=answer(["n0", "n1"], GAMMA[-2:]))


def with_settings() -> Findings:
    findings = by_hand()
    specimens = findings.specimens.drop_vars("cluster")
    tested = associate(specimens["responsibilities"], specimens, permutations=99)
    return replace(findings, associations=tested)


def with_checks() -> Findings:
    findings = by_hand()
    stress = replace(
        findings.modalities["stress"],
        described=DescribedCurves(own=0.51, population=1.27, mean_curve=float("nan")),
        predicted=PredictedCurves(specimens=5, rmse=1.42, mean_curve=float("nan"), average=2.35, coverage=0.874),
    )
    voices = {"network of image, of populations": "believed at 0.4 of what it says", "linear of image": "not believed"}
    how = replace(findings.how, folds=5)
    return replace(findings, modalities={**findings.modalities, "stress": stress}, believed={"image": voices}, how=how)


def with_tensile() -> Findings:
    findings = by_hand()
    value = np.column_stack([[70.0 + k for k in range(6)], np.full(6, np.nan)])
    dims = ("specimen", "tensile_quantity")
    about = np.array([["10 to 40 %", f"it ends at {k + 3} MPa"] for k in range(6)])
    table = findings.specimens.assign(
        tensile_value=(dims, value),
        tensile_std_error=(dims, np.where(np.isfinite(value), 0.5, np.nan)),
        tensile_about=(dims, about),
    ).assign_coords(tensile_quantity=["E", "Rm"], tensile_unit=("tensile_quantity", ["GPa", "MPa"]))
    return replace(findings, specimens=table)


def with_files() -> Findings:
    findings = with_data()
    units = {"x_unit": "mm", "x_unit_after": "1", "y_unit": "N", "y_unit_after": "MPa"}
    told = {"place": "lines 2 to 25", "x": "Way", "y": "Force", "points_read": 24, "points_kept": 20, **units}
    rows = [
        Entry("s0.csv", "s0", "stress", "used", "", told),
        Entry("settings.csv", "", "", "used", "table of 6 specimens"),
    ]
    data = findings.data.copy()
    write_reading_log(data, rows)
    return replace(findings, data=data)


def with_effects() -> Findings:
    """Findings of a slope that falls with temperature, and differs from heat to heat."""
    effects = xr.Dataset(
        {
            "value": ("effect", [-0.002]),
            "std_error": ("effect", [0.0004]),
            "low": ("effect", [-0.0028]),
            "high": ("effect", [-0.0012]),
            "p_value": ("effect", [0.0013]),
        },
        coords={
            "effect": ["slope ~ temperature"],
            "scale": ("effect", ["log(slope)"]),
            "unit": ("effect", ["1/K"]),
            "term": ("effect", ["temperature"]),
            "reference": ("effect", [351.5]),
        },
        attrs={"level": 0.9, "method": "EM on every curve's own fit, Knapp-Hartung, Student's t"},
    )
    batches = xr.Dataset(
        {"std": ("parameter", [0.0812, np.nan]), "effect": (("group", "parameter"), np.zeros((3, 2)))},
        coords={"parameter": ["slope", "offset"], "scale": ("parameter", ["log(slope)", "offset"])},
        attrs={"grouped_by": "heat"},
    )
    return replace(by_hand(), effects=effects, batches=batches)


#: Section -> findings and words that it says of them; with None it says nothing.
SECTION_CASES = {
    "checked": [
        (by_hand, None),
        (with_checks, ["What was checked", "stress | 5 | 1.42 MPa | – | 2.35 MPa | 87.4 %", "at 0 (not at all)"]),
        (
            with_checks,
            ["stress | 0.51 MPa | 1.27 MPa | –", "image | network of image, of populations | believed at 0.4"],
        ),
    ],
    "measured": [
        (by_hand, ["What was measured", "the law proportional of lab-plugin (lab 1.2)", "stress = slope * strain"]),
        (by_hand, ["8 × 8", "5 of 6", "11 points of strain, 0 to 0.1", "LaTeX: ", "synthetic"]),
    ],
    "populations": [
        (by_hand, ["Populations", "population 0: 3.4 specimens (56 %)", "100.0 ± 3.1 MPa", "12 MPa"]),
        (by_hand, ["200 ± ? MPa", "at its bound", "not determined by these curves", "steepness of the line"]),
        (by_hand, ["0.5 MPa", "0.2 MPa (1.5 times its standard error)", "100 %"]),
    ],
    "tensile": [
        (by_hand, None),
        (with_tensile, ["What every test report has", "Rm [MPa]", "population 0 | 71 ± 1 (3)"]),
        (with_tensile, ["s1 | 71.00 ± 0.50 | –"]),
        (with_tensile, ["Rm | 0 of 6", "it ends at 3 MPa (6: s0, s1, s2, s3, s4 and 1 more)"]),
    ],
    "files": [
        (by_hand, None),
        (with_files, ["How the files were read", "s0.csv | Force [N] in MPa against Way [mm] in 1, lines 2 to 25"]),
        (with_files, ["20 of 24 points", "settings.csv | table of settings | table of 6 specimens"]),
    ],
    "dependence": [
        (by_hand, None),
        (with_effects, ["What parameters depend on", "slope ~ temperature", "log(slope)", "0.0013", "= 351.5"]),
        (with_effects, ["-0.00200 ± 0.00040 1/K", "one of 3 batches (heat)", "0.0812"]),
    ],
    "latent_map": [(by_hand, None), (with_data, ["Latent map", "lie together"])],
    "settings": [(by_hand, None), (with_settings, ["Populations and settings", "alloy", "Holm", "99 times"])],
    "trust": [
        (by_hand, ["5 of 6 specimens belong to one population", "One run only.", "band held 87.0 %", "s5", "59 %"]),
        (with_data, ["specimens unlike every population", "1.0e-05", "2 epochs at an ELBO of -2.5 nats"]),
    ],
    "next_measurements": [
        (by_hand, None),
        (with_data, ["Worth measuring next: image", "Of 1 specimens without image", "0.400", "would tell"]),
    ],
    "predictions": [
        (by_hand, None),
        (with_new, ["Predictions for 2 new specimens", "n1", "1e-05", "unlike every population"]),
    ],
    "methods": [
        (by_hand, ["Methods, to paste", "6 specimens, generated, with image (5) and stress (6), were analysed"]),
        (by_hand, ["The law of stress is proportional, stress = slope * strain.", "[1] N. Trask"]),
        (with_checks, ["What image tells of the curves was weighed", "in 5 folds", "was missed by 1.42 MPa"]),
    ],
    "making": [(by_hand, ["How it was made", "pima_toolkit 0.1.0", "give the same numbers", "torch==2.6.0\n"])],
}


def words_of(section: Section) -> str:
    tables = [cell for table in section.tables for row in [table.head, *table.rows] for cell in row]
    formulas = [word for one in section.formulas for word in (one.typed, f"LaTeX: {one.latex}")]
    return " | ".join(
        [section.title, *section.words, *formulas, section.program, *tables, *map(words_of, section.parts)]
    )


@pytest.mark.parametrize("name", SECTIONS.names())
def test_a_section_says_what_it_should_and_draws_its_figures(name):
    for findings, words in SECTION_CASES[name]:
        section = SECTIONS.get(name)(findings())
        if words is None:
            assert section is None
            continue
        for part in words:
            assert part in words_of(section)
        for picture in [*section.figures, *(figure for part in section.parts for figure in part.figures)]:
            assert len(picture.words) > 10
            assert picture.draw()._repr_png_().startswith(b"\x89PNG")


def test_several_modalities_to_measure_are_one_section():
    findings = with_data()
    (ranked,) = findings.next_measurements.values()
    both = replace(findings, next_measurements={"image": ranked, "stress": ranked})
    section = SECTIONS.get("next_measurements")(both)
    assert [part.title for part in section.parts] == ["Worth measuring next: image", "Worth measuring next: stress"]


@pytest.mark.parametrize("findings", [by_hand, with_data, with_new, with_settings, with_checks, with_effects])
def test_the_text_and_the_page_say_the_same(findings, tmp_path):
    text = text_report(findings())
    page = html.unescape(save_report(findings(), tmp_path / "r.html").read_text(encoding="utf-8"))
    for section in sections_of(findings()):
        for piece in re.split(r" \| ", words_of(section)):
            assert piece.lower() in page.lower()
    numbers = r"\d+\.\d+(?:e-?\d+)?"
    assert set(re.findall(numbers, text)) <= set(re.findall(numbers, page))
    assert text.endswith(findings().cautions[-1])
    assert text.startswith("PIMA fit of Bars\n(synthetic data, generated, not measured)\n6 specimens, 2 populations")


def test_a_table_without_lines_has_its_columns_side_by_side(session):
    section = Section("Wear", tables=[Table(["pin", "loss"], [["a", "12 µm"], ["long", "3 µm"]], more=4)])
    SECTIONS.add(lambda findings: section, "wear")
    assert "\nWear\n  pin   loss\n  a     12 µm\n  long  3 µm\n  and 4 more\n" in text_report(by_hand())


def test_a_section_that_fails_costs_nobody_the_report(session):
    def broken(findings):
        return 1 / 0

    SECTIONS.add(broken, "broken")
    with pytest.warns(PluginWarning, match="the report section 'broken' of .* was left out: ZeroDivisionError"):
        text = text_report(by_hand())
    assert "How it was made" in text
    SECTIONS.add(lambda findings: "a text", "broken")
    with pytest.warns(PluginWarning, match="expected a Section or None"):
        text_report(by_hand())
    with pytest.raises(OptionError, match="is no report section"):
        SECTIONS.add("a text", "other")


def test_a_section_of_a_plugin_is_in_the_report_and_needs_public_names_only(session, tmp_path):
    path = tmp_path / "corrosion_plugin.py"
    path.write_text(
        "from pima_toolkit import hookimpl\n"
        "from pima_toolkit.report import Findings, Section\n"
        "def corrosion(findings: Findings) -> Section | None:\n"
        "    return Section('Corrosion', [f'{findings.specimens.sizes[\"specimen\"]} specimens without rust.'])\n"
        "@hookimpl\n"
        "def pima_report_sections():\n"
        "    return {'corrosion': corrosion}\n"
    )
    pima.load_plugin(path)
    text = text_report(by_hand())
    assert "\nCorrosion\n6 specimens without rust.\n" in text
    assert text.index("How it was made") < text.index("Corrosion")
    page = save_report(by_hand(), tmp_path / "r.html").read_text(encoding="utf-8")
    assert ">Corrosion</h2>" in page


def test_no_tensor_is_needed_to_write_a_report():
    """All of the room but the figure of an expert, which asks the expert for its curve."""
    code = "import importlib, pkgutil, sys, pima_toolkit.report as report\n"
    code += "for file in pkgutil.walk_packages(report.__path__, 'pima_toolkit.report.'):\n"
    code += "    file.name.endswith('expert_plot') or importlib.import_module(file.name)\n"
    code += "print({'torch', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def judged():
    """A fit by evidence of lines and of pictures that tell their populations, and its training data."""
    rng = np.random.default_rng(0)
    label, t = np.arange(40) % 2, np.linspace(0.0, 1.0, 8)
    slope = 2.0 + 3.0 * label + 0.2 * rng.standard_normal(40)
    line = slope[:, None] * t + 0.05 * rng.standard_normal((40, 8))
    picture = label[:, None, None] + 0.3 * rng.standard_normal((40, 4, 4))
    data = xr.Dataset(
        {"line": (("specimen", "t"), line, {"units": "MPa"}), "picture": (("specimen", "y", "x"), picture)},
        coords={"t": t, "batch": ("specimen", np.arange(40) // 4), "specimen": [f"s{d:02d}" for d in range(40)]},
    )
    model = pima.PIMA({"picture": pima.Neural(), "line": pima.Physics("proportional")}, 2, inference="evidence")
    return model.fit(data, groups="batch", epochs=2, progress=False), data


def test_what_was_checked_stands_first_with_the_fit_s_own_figures(judged, tmp_path):
    fit, data = judged
    text = fit.report()
    page = html.unescape(fit.save_report(tmp_path / "r.html", data).read_text(encoding="utf-8"))
    assert text.index("What was checked") < text.index("What was measured")
    assert page.index("</nav>") < page.index(">What was checked</h2>") < page.index(">What was measured</h2>")
    held_out, described = fit.record.facts["held_out"]["line"], fit.record.facts["described"]["line"]
    (belief,) = fit.predictor.belief.parts.values()
    assert any(belief.temperatures.taus.values())
    for shown in (text, page):
        for value in (*described.values(), *(held_out[name] for name in ("rmse", "mean_curve", "without"))):
            assert f"{value:.3g} MPa" in shown
        assert f"{100 * held_out['coverage']:.1f} %" in shown
        for voice, words in belief.temperatures.sentences.items():
            assert voice in shown
            assert words in shown
    again = pima.load(fit.save(tmp_path / "fit.pima")).report()
    assert again[again.index("What was checked") :] == text[text.index("What was checked") :]


def test_where_nothing_was_held_out_nobody_is_called_believed(judged):
    fit, data = judged
    unchecked = fit.model.fit(data, epochs=1, crossfit=False, progress=False).report()
    assert "What was checked" in unchecked
    assert "training curves: missed by" in unchecked
    assert "held out: predicted" not in unchecked
    assert "believed at" not in unchecked


def test_nothing_warns_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text_report(with_data())
