"""The README is true: its programs run as printed, and the commands and datasets it names exist."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import xarray as xr

import pima_toolkit as pima

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs one block of the README as a program of its own, in an empty folder; its names come back."""
    monkeypatch.chdir(tmp_path)

    def as_printed(block):
        program = tmp_path / "readme.py"
        program.write_text(block, encoding="utf-8")
        return runpy.run_path(str(program))

    return as_printed


def test_first_screen_runs_as_printed(run, tmp_path):
    names = run(BLOCKS[0])
    answer, test, fit = names["answer"], names["test"], names["fit"]

    assert isinstance(answer, xr.Dataset)
    assert answer.stress.dims == ("specimen", "strain")
    assert answer.stress.attrs["units"] == "MPa"
    assert bool((answer.stress_low <= answer.stress_high).all())
    assert answer.responsibilities.dims == ("specimen", "cluster")
    assert answer.sizes["specimen"] == test.sizes["specimen"]
    assert float(abs(answer.responsibilities.sum("cluster") - 1).max()) < 1e-6
    assert fit.parameters.sizes["cluster"] == 2
    assert {"value", "std_error"} <= set(fit.parameters)
    labels = test["label"].values
    assert pima.metrics.cluster_accuracy(labels, answer["cluster"].values) > 0.85
    assert fit.generate(cluster=0, n=16).sizes["specimen"] == 16
    again = pima.load(tmp_path / "lattice.pima").infer(test[["image"]])
    for name in ("responsibilities", "stress", "stress_low", "stress_high"):
        xr.testing.assert_allclose(again[name], answer[name], rtol=1e-4, atol=1e-4)  # float32 networks


def test_formula_in_one_line(run):
    run(BLOCKS[1])


def test_plugin_authors_file(run):
    names = run(BLOCKS[2])
    (expert,) = names["pima_experts"]()
    assert [(p.name, p.unit) for p in expert.parameters] == [("sigma_0", "MPa"), ("k", "MPa*um**0.5")]
    pima.register(expert)
    assert isinstance(pima.Physics("my_hall_petch").expert, expert)


def test_the_covariates_and_the_number_of_experts_are_as_said(run):
    (text,) = re.findall(r"`(pima\.SympyExpert\(\"\(A \+ .*?\))`", README)
    johnson_cook = run(f"import pima_toolkit as pima\nexpert = {text}")["expert"]
    assert johnson_cook.covariates == ("strain_rate", "T")
    said = int(re.search(r"^(\d+) experts come with it", README, flags=re.MULTILINE)[1])
    built_in = [e for e in pima.experts.experts().values() if e.origin and e.origin.plugin == "pima-experts"]
    assert len(built_in) == said


def test_datasets_named_exist():
    named = set(re.findall(r"pima\.datasets\.(\w+)\(\)", README))
    assert named == set(pima.datasets.__all__) - {"write_folder"}  # that one writes files


def test_there_is_a_makefile_for_the_commands_named():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    for command in re.findall(r"^make (\w+)", README, flags=re.MULTILINE):
        assert f"\n{command}:" in makefile


def test_lines_of_installing_name_extras_and_files_that_exist():
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = README + (root / "docs" / "how-to" / "install.md").read_text(encoding="utf-8")
    extras = set(re.findall(r"(?:[.]|pima-toolkit)\[(\w+)\]", text)) | set(
        re.findall(r"^`\[(\w+)\]`", text, re.MULTILINE)
    )
    assert extras <= set(project["optional-dependencies"])
    lines = re.findall(r"^(?:uv )?pip install .*", text, flags=re.MULTILINE)
    assert len(lines) >= 4
    for file in {path for line in lines for path in re.findall(r"-c (\S+)", line)}:
        assert (root / file).is_file()
