"""The command in this process, on a small dataset."""

import pytest
from typer.testing import CliRunner

import pima_toolkit as pima
from pima_toolkit import cli


@pytest.fixture(scope="session")
def command():
    """A function that runs `pima` with arguments; its result has exit_code, stdout, stderr.

    Fits are set beside simple methods, which takes seconds, only where a test asks for it.
    """

    def run(*arguments):
        if arguments[0] == "fit" and "--baselines" not in arguments:
            arguments = (*arguments, "--no-baselines")
        result = CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "200"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture(scope="session")
def specimens(two_populations, tmp_path_factory):
    """Path of a dataset: ``feature`` (vector) and ``stress`` (curve)."""
    return pima.save_data(two_populations(), tmp_path_factory.mktemp("data") / "specimens.nc")


@pytest.fixture(scope="session")
def finished(command, specimens, tmp_path_factory):
    """Folder of a finished run; tests only read it."""
    short = ("--physics", "stress=proportional", "--clusters", 2, "--latent-dim", 2, "--epochs", 2)
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = command("fit", specimens, *short, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder
