"""A stranger's package adds one of everything there is a place for, and each is used to its end."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import pima_toolkit as pima
from pima_toolkit import cli
from pima_toolkit.experts import Manager, use_manager
from pima_toolkit.fitting.speakers.base import Targets
from pima_toolkit.fitting.speakers.table import SPEAKERS
from pima_toolkit.model.joint import Deviation, conditioned

from ..test_architecture import private, public_names, source

PACKAGE = Path(__file__).parent / "stranger" / "lab_extras"
NAME = PACKAGE.name
GIVEN = ("experts", "noise_models", "encoders", "speakers", "readers", "report_sections")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The package, installed as pip does: a folder on the path, with the metadata of a distribution."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE, site / NAME)
    about = site / f"{NAME}-0.3.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-extras\nVersion: 0.3\n")
    (about / "entry_points.txt").write_text(f"[pima_toolkit]\nlab = {NAME}\n")
    sys.path.insert(0, str(site))
    with use_manager(Manager(strict=True)):
        yield NAME
    sys.path.remove(str(site))
    for module in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[module]


@pytest.fixture(scope="module")
def data(two_populations):
    return two_populations(24)


@pytest.fixture(scope="module")
def fit(lab, data):
    """A small fit with what the package adds, all by name."""
    modalities = {
        "feature": pima.Neural(encoder="one_layer", decoder="one_layer"),
        "stress": pima.Physics("softening", noise="growing"),
    }
    model = pima.PIMA(modalities, clusters=2, latent_dim=2)
    return model.fit(data, epochs=2, crossmodal_epochs=1, progress=False)


def test_it_uses_public_names_only():
    for file in PACKAGE.glob("*.py"):
        assert not list(private(source(f"plugins/{NAME}/{file.name}", file.read_text()), public_names))


def test_its_expert_is_fitted_by_name_and_comes_back_from_a_file(fit, tmp_path):
    assert list(fit.parameters.parameter.values) == ["E", "c"]
    again = pima.load(fit.save(tmp_path / "one.pima"))
    assert str(again.model.options.physics["stress"].expert.origin) == "lab (lab-extras 0.3)"


def test_its_networks_and_its_noise_answer_the_same_from_a_file(fit, data, tmp_path):
    again = pima.load(fit.save(tmp_path / "one.pima"))
    assert again.model.options.neural["feature"].encoder == "one_layer"
    assert again.model.options.physics["stress"].noise == "growing"
    before, after = fit.infer(data), again.infer(data)
    np.testing.assert_allclose(after.stress, before.stress)
    np.testing.assert_allclose(after.feature, before.feature)
    width = before.stress_high - before.stress_low
    assert (width[:, -1] > 1.3 * width[:, 0]).all(), "the noise grows along the curve"


def test_its_speaker_says_what_it_learned(lab):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 1))
    known = np.ones(400, bool)
    targets = Targets(np.ones((400, 1)), 2.0 * features, np.zeros(1), np.array([[2.0]]), known)
    learned = SPEAKERS.get("nearest").learn(features, targets, seed=0)
    again = type(learned).from_arrays(learned.arrays())
    potential = again.say(np.array([[0.5], [np.nan]]))
    population = Deviation.prior(torch.tensor([[[4.0]]], dtype=torch.float64))
    mean = conditioned(potential, population)[1].mean[:, 0, 0]
    np.testing.assert_allclose(mean, [1.0, 0.0], atol=0.05)


def test_its_reader_reads_a_folder_of_its_files(lab, tmp_path):
    (tmp_path / "wear").mkdir()
    for k in range(4):
        rows = [f"{t}|{(k + 1) * t / 10}" for t in range(12)]
        (tmp_path / "wear" / f"S{k}.abr").write_text("\n".join(["time [s]|depth [mm]", *rows]))
    read = pima.from_folder(tmp_path, progress=False)
    assert read.sizes["specimen"] == 4
    assert (read.wear.units, read.time.units) == ("mm", "s")
    np.testing.assert_allclose(read.wear.sel(specimen="S3"), 0.4 * read.time)
    assert set(pima.reading_log(read).status) == {"used"}


def test_its_section_is_in_the_report_and_on_the_page(fit, data, tmp_path):
    words = "24 specimens and no scratch."
    assert f"Wear of the grips\n{words}" in fit.report()
    page = fit.save_report(tmp_path / "report.html", data).read_text(encoding="utf-8")
    assert "Wear of the grips" in page
    assert words in page


def test_its_panel_opens_in_the_app(lab, data):
    widgets = pytest.importorskip("pima_widgets")
    before = dict(widgets.PANELS)
    try:
        importlib.import_module(f"{lab}.panel")
        app = pima.app(data)
        assert app.tabs.titles[-1] == "Count"
        assert app.panels["CountPanel"].children[-1].value == "24 specimens"
    finally:
        for name in set(widgets.PANELS) - set(before):
            del widgets.PANELS[name]


def test_the_list_of_plugins_names_all_it_gives(lab):
    shown = CliRunner().invoke(cli.app, ["plugins", "list", "--json"])
    assert shown.exit_code == 0, shown.output
    record = next(record for record in json.loads(shown.output) if record["name"] == "lab")
    given = {kind: record[kind] for kind in GIVEN}
    assert given == {
        "experts": ["softening"],
        "noise_models": ["growing"],
        "encoders": ["one_layer"],
        "speakers": ["nearest"],
        "readers": ["abrasion"],
        "report_sections": ["wear"],
    }
    shown = CliRunner().invoke(cli.app, ["plugins", "list"], env={"COLUMNS": "220"})
    assert "report sections wear" in shown.output
