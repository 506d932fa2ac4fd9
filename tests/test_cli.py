"""The command `pima`: what it prints, what it writes, how it fails."""

import re
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

import pima_toolkit as pima
from pima_toolkit import cli
from pima_toolkit.cli import demo
from pima_toolkit.errors import DataError
from pima_toolkit.report import plots


def run(*arguments):
    return CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"})


def test_version_and_help():
    assert run("--version").output.strip() == f"pima_toolkit {version('pima-toolkit')}"
    shown = run("--help")
    assert shown.exit_code == 0
    assert "demo" in shown.output
    assert "experts" in shown.output


def test_help_does_not_load_torch():
    code = "import sys\nfrom pima_toolkit import cli\nassert not {'torch', 'numba', 'sympy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_experts_list_has_every_expert_under_its_field():
    shown = run("experts", "list")
    assert shown.exit_code == 0
    lines = [line.strip() for line in shown.output.splitlines()]
    assert lines.index("Straight lines") < lines.index("Foams and lattices in compression")
    for name, expert in pima.experts.experts().items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert f"{', '.join(p.name for p in expert.reported)} of {', '.join(expert.inputs)}" in line
    assert f"{len(pima.experts.experts())} experts" in shown.output


def test_experts_show_says_everything_about_one(tmp_path):
    figure = tmp_path / "made" / "voce.svg"
    shown = run("experts", "show", "voce", "--figure", str(figure))
    assert shown.exit_code == 0
    for word in ("sigma_y + rise", "sigma_s >= sigma_y", "{y}", "Valid for:", "Voce 1948", "pima-experts", str(figure)):
        assert word in shown.output
    assert figure.read_text(encoding="utf-8").startswith("<?xml")
    assert [file.name for file in figure.parent.iterdir()] == ["voce.svg"]
    unknown = run("experts", "show", "voice")
    assert unknown.exit_code == 1
    assert "did you mean 'voce'" in unknown.stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("the data are not there: put them there"), 1, "pima: the data are not there: put them there\n"),
        (KeyboardInterrupt(), 130, "pima: stopped by hand; the same command goes on from what was written\n"),
    ],
    ids=["error", "Ctrl-C"],
)
def test_an_error_is_one_sentence(monkeypatch, capsys, error, code, said):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(demo, "run_study", fail)
    monkeypatch.setattr(sys, "argv", ["pima", "demo"])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == code
    assert capsys.readouterr().err == said


def test_a_figure_is_written_whole_or_not_at_all(tmp_path):
    figure = plots.plot_confusion([0, 1], [0, 1])
    path = pima.save_figure(figure, tmp_path / "one.png")
    before = path.read_bytes()

    def stopped(part, **_):
        with open(part, "wb") as file:  # noqa: PTH123 - a file cut short
            file.write(b"half")
        raise KeyboardInterrupt

    figure.savefig = stopped
    with pytest.raises(KeyboardInterrupt):
        pima.save_figure(figure, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["one.png"]


@pytest.mark.slow
def test_quick_demo(tmp_path):
    shown = run("demo", "--quick", "--out", str(tmp_path / "figures"))
    assert shown.exit_code == 0, shown.output
    assert len(list((tmp_path / "figures").glob("*.png"))) == 12
    accuracies = [float(x) for x in re.findall(r"(?:image and curve|image only|curve only)\W+([\d.]+)", shown.output)]
    assert len(accuracies) == 6
    assert min(accuracies[0], accuracies[3]) > 90
    assert "synthetic" in shown.output
    assert "94.74" in shown.output
