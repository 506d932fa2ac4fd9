"""Numbers of every epoch and several processes, asked for on the command line."""

import csv

from typer.testing import CliRunner

import pima_toolkit as pima
from pima_toolkit import cli

SHORT = ("--physics", "stress=proportional", "--clusters", 2, "--latent-dim", 2, "--epochs", 2)


def test_a_table_of_every_epoch(command, specimens, tmp_path):
    result = command("fit", specimens, *SHORT, "--track", "csv", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    with (tmp_path / "run" / "track.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["name"] == "joint/elbo"]
    history = pima.runs.open_fit(tmp_path / "run").history
    assert [float(row["value"]) for row in rows] == history.elbo.values.tolist()


def test_what_cannot_be_is_refused_before_any_work(specimens, tmp_path):
    for more, words in (
        (("--processes", "0"), "processes=0"),
        (("--processes", "1"), "at least 2"),
        (("--track", "excel"), "'csv', 'tensorboard'"),
    ):
        arguments = [str(a) for a in ("fit", specimens, *SHORT, *more, "-o", tmp_path / "run")]
        result = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"})
        assert result.exit_code == 1
        assert words in result.stderr
        assert not (tmp_path / "run").exists()
