"""A run that was killed, stopped, starved of disk or is in use: nothing lost, one sentence, the same numbers."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

import pima_toolkit as pima
from pima_toolkit.errors import StorageError

OPTIONS = ("--physics", "stress=proportional", "--clusters", 2, "--latent-dim", 2, "--epochs", 8)
ENTRY = "from pima_toolkit.cli import main; main()"
ENVIRONMENT = {**os.environ, "PYTHONPATH": ":".join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}


def begin(*arguments):
    """The command in a process of its own."""

    def prepare():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs, and their children, ignore Ctrl-C

    command = [sys.executable, "-c", ENTRY, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT, preexec_fn=prepare, **pipes)


def until(process, folder, words, seconds=60):
    """Wait for words in the log of a run."""
    log = folder / "log.txt"
    for _ in range(seconds * 500):
        if log.exists() and words in log.read_text():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    raise AssertionError(f"{words!r} never came")


@pytest.fixture(scope="module")
def whole(command, specimens, tmp_path_factory):
    """The run that nothing happened to."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert command("fit", specimens, *OPTIONS, "-o", folder).exit_code == 0
    return folder


def assert_same(folder, whole):
    assert json.loads((folder / "run.json").read_text())["state"] == "finished"
    tables = sorted(p.name for p in (whole / "tables").iterdir())
    assert sorted(p.name for p in (folder / "tables").iterdir()) == tables
    assert len(tables) >= 6
    for name in tables:
        assert (folder / "tables" / name).read_bytes() == (whole / "tables" / name).read_bytes(), name
    hidden = {p.name for p in folder.rglob(".*")}
    assert hidden <= {".lock"}


@pytest.mark.slow
def test_a_killed_fit_goes_on_with_the_same_command_to_the_same_numbers(command, specimens, whole, tmp_path):
    folder = tmp_path / "run"
    process = begin("fit", specimens, *OPTIONS, "-o", folder)
    until(process, folder, "joint 0 epoch 2/")  # other moments, and other signals, are drawn in benchmarks/kills.py
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert json.loads((folder / "run.json").read_text())["state"] == "training"
    again = command("fit", specimens, *OPTIONS, "-o", folder)
    assert again.exit_code == 0, again.output
    assert f"going on with the run in {folder}" in again.stdout
    assert_same(folder, whole)


@pytest.mark.slow
def test_ctrl_c_keeps_the_fit_so_far_and_the_same_command_goes_on(command, specimens, whole, tmp_path):
    folder = tmp_path / "run"
    process = begin("fit", specimens, *OPTIONS, "-o", folder)
    until(process, folder, "joint 0 epoch 3/")
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "stopped by hand: the fit so far is kept, the same command goes on" in said
    assert pima.runs.open_fit(folder).interrupted
    assert json.loads((folder / "run.json").read_text())["state"] == "stopped"
    assert command("infer", folder, specimens).exit_code == 0
    assert "Training was stopped by hand" in command("report", folder, "-o", tmp_path / "r.html").stdout
    again = command("fit", specimens, *OPTIONS, "-o", folder)
    assert again.exit_code == 0, again.output
    assert_same(folder, whole)


def refused_at(command, folder, specimens, name, limit):
    """The system itself refuses to write a file of more than ``limit`` bytes; Python is told so by an error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        refused = command("fit", specimens, *OPTIONS, "-o", folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1, refused.stderr
    words = f"{name} could not be written (File too large); what stood there before still does: free some"
    assert words in refused.stderr


@pytest.mark.slow
def test_a_disk_that_is_full_from_the_first_epoch(command, specimens, whole, tmp_path):
    folder = tmp_path / "run"
    size = (whole / "checkpoint" / "networks-0.safetensors").stat().st_size
    refused_at(command, folder, specimens, "networks-0.safetensors", size // 2)
    assert (folder / "options.toml").read_bytes() == (whole / "options.toml").read_bytes()
    again = command("fit", specimens, *OPTIONS, "-o", folder)
    assert again.exit_code == 0, again.output
    assert_same(folder, whole)


@pytest.mark.slow
def test_a_disk_that_is_full_after_training(command, specimens, whole, tmp_path):
    """First there is no room for the fit, then for the fit and not for the report."""
    folder = tmp_path / "run"
    shutil.copytree(whole / "checkpoint", folder / "checkpoint")
    shutil.copy(whole / "options.toml", folder)
    about = json.loads((whole / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**about, "state": "training"}))
    refused_at(command, folder, specimens, "fit.pima", (whole / "fit.pima").stat().st_size // 2)
    refused_at(command, folder, specimens, "report.html", (whole / "report.html").stat().st_size - 1000)
    pima.runs.open_fit(folder)
    again = command("fit", specimens, *OPTIONS, "-o", folder)
    assert again.exit_code == 0, again.output
    assert_same(folder, whole)


HOLD = """
import sys, time
from pathlib import Path
from pima_toolkit.runs import RunFolder
folder = RunFolder(Path(sys.argv[1]))
folder.prepare()
with folder.locked():
    print("in", flush=True)
    time.sleep(60)
"""


def test_a_folder_in_use_is_refused_and_a_dead_process_holds_nothing(command, specimens, tmp_path):
    folder = tmp_path / "run"
    short = ("fit", specimens, *OPTIONS[:-1], 1, "-o", folder)
    holder = subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert holder.stdout.readline() == "in\n"
    refused = command(*short)
    assert refused.exit_code == 1
    assert f"is in use by process {holder.pid}: wait for it, stop it, or give another folder" in refused.stderr
    holder.kill()
    holder.communicate()
    assert (folder / ".lock").read_text() == f"{holder.pid}\n"  # what a killed process leaves
    assert command(*short).exit_code == 0


def test_a_place_that_cannot_be_written(command, specimens, tmp_path):
    (tmp_path / "file").write_text("in the way")
    refused = command("fit", specimens, *OPTIONS, "-o", tmp_path / "file" / "run")
    assert refused.exit_code == 1
    assert "run could not be written (Not a directory)" in refused.stderr
    refused = command("fit", specimens, *OPTIONS, "-o", tmp_path / "file")
    assert refused.exit_code == 1
    assert "file is a file, expected the folder of a run" in refused.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(command, specimens, tmp_path):
    tmp_path.chmod(0o500)
    refused = command("fit", specimens, *OPTIONS, "-o", tmp_path / "run")
    tmp_path.chmod(0o700)
    assert refused.exit_code == 1
    assert "could not be written (Permission denied)" in refused.stderr


def test_a_disk_that_fills_while_the_lock_is_taken_or_the_log_written(tmp_path, monkeypatch):
    folder = pima.runs.RunFolder(tmp_path)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "open", full)
    with pytest.raises(StorageError, match=r"log.txt could not be written \(No space left on device\)"):
        folder.log("a line")
    with pytest.raises(StorageError, match=r"\.lock could not be written"), folder.locked():
        pass


def test_other_files_in_the_folder_are_left_alone(command, specimens, tmp_path):
    short = ("fit", specimens, *OPTIONS[:-1], 1, "-o", tmp_path)
    (tmp_path / "thesis.docx").write_text("years")
    refused = command(*short)
    assert refused.exit_code == 1
    assert "holds other files (thesis.docx) and no run: give a new folder" in refused.stderr
    (tmp_path / "thesis.docx").unlink()
    assert command(*short).exit_code == 0
    (tmp_path / "notes.txt").write_text("mine")
    assert command(*short, "--seed", 3, "--overwrite").exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert pima.runs.read_options(tmp_path / "options.toml")["training"]["seed"] == 3


def test_options_bind_only_once_there_is_an_epoch(command, specimens, tmp_path):
    """A run refused before it trained must not ask for the mistake again."""
    wrong = ("fit", specimens, "--physics", "stress=proportional", "--epochs", 1, "-o", tmp_path / "run")
    refused = command(*wrong, "--clusters", 49)
    assert refused.exit_code == 1
    assert "48 specimens cannot fill 49 clusters" in refused.stderr
    assert command(*wrong, "--clusters", 2).exit_code == 0
