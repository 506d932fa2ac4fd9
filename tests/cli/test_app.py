"""`pima app` before it serves anything: help, refusals, and the settings that keep it to this machine."""

import json
import subprocess
import sys

from pima_toolkit.cli import panels


def test_its_help_names_every_option_and_shows_examples(command):
    said = command("app", "--help").stdout
    for word in ("RUN_OR_DATA", "--data", "--plugin", "--port", "--no-browser", "--timeout", "pima app run"):
        assert word in said


def test_what_cannot_be_shown_is_told_before_a_server_starts(command, finished, tmp_path):
    nothing = command("app", tmp_path / "nothing", "--no-browser")
    assert nothing.exit_code == 1
    assert f"there is no {tmp_path / 'nothing'}" in " ".join(nothing.stderr.split())
    broken = tmp_path / "broken.pima"
    broken.write_text("no fit")
    assert command("app", broken, "--no-browser").exit_code == 1
    alone = command("app", finished / "fit.pima", "--no-browser")
    assert alone.exit_code == 1
    assert "give them, --data PATH" in " ".join(alone.stderr.split())


def test_it_says_that_it_starts_and_ends_when_asked(command, finished, monkeypatch):
    def asked(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(panels.pima.runs, "open_fit", asked)
    said = command("app", finished, "--no-browser")
    assert said.exit_code == 0
    assert said.stdout.startswith("starting: ")
    assert said.stdout.endswith("\nended\n")
    assert "goes on" not in said.output


def test_without_a_server_it_says_what_to_install(command, specimens, monkeypatch):
    monkeypatch.setitem(sys.modules, "voila", None)  # as if it were not there
    said = command("app", specimens, "--no-browser")
    assert said.exit_code == 1
    assert "pip install voila" in " ".join(said.stderr.split())


def test_the_server_answers_this_machine_only_with_the_token_and_serves_no_files(tmp_path, monkeypatch):
    started = tmp_path / "o'clock"
    started.mkdir()
    monkeypatch.chdir(started)
    page = panels._write(tmp_path, {"source": 'it\'s "here"'}, "secret", 4321)
    settings = json.loads((tmp_path / "voila.json").read_text())
    policy = settings["Voila"].pop("tornado_settings")["headers"]["Content-Security-Policy"]
    assert policy.startswith("default-src 'self' ")
    assert "http" not in policy  # no other server
    assert settings["Voila"] == {"ip": "127.0.0.1", "port": 4321, "port_retries": 0, "token": "secret"}
    assert settings["VoilaConfiguration"]["file_allowlist"] == ["^$"]
    (cell,) = json.loads(page.read_text())["cells"]
    made = cell["source"].replace("pima_widgets.open_app(", "call = dict(").replace("import pima_widgets", "")
    # A kernel is a process that starts in the page's folder; what the page writes stays when the server ends.
    told = [sys.executable, "-c", f"{made}\nimport json, os\nprint(json.dumps([call, os.getcwd()]))"]
    shown = subprocess.run(told, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout) == [{"source": 'it\'s "here"'}, str(started)]
