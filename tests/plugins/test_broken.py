"""Eight broken plugins, found through their entry points: each is named and isolated, the others never notice."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import pima_toolkit as pima
from pima_toolkit import cli
from pima_toolkit.errors import ExpertError, PluginWarning
from pima_toolkit.experts import Manager, use_manager

from .conftest import BROKEN, install

LEFT_OUT = [name for name, said in BROKEN.items() if said is not None]


def run(*arguments):
    return CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"})


@pytest.mark.parametrize("name", LEFT_OUT)
def test_it_is_named_and_isolated(name, installed):
    installed("sound-plugin", name)
    with pytest.warns(PluginWarning, match=rf"plugin '{name}' of {name}-dist 1\.2 was left out") as caught:
        manager = Manager()
    assert len(caught) == 1
    record = manager.records[name]
    assert (record.state, record.distribution, record.version) == ("broken", f"{name}-dist", "1.2")
    assert BROKEN[name] in record.error
    assert "Traceback" in record.trace
    assert record.experts == []
    assert manager.get_plugin(name) is None
    assert {"quadratic", "proportional", "linear_hardening"} <= set(manager.given("pima_experts"))
    assert "half" not in manager.given("pima_experts")
    assert {manager.records[other].state for other in ("sound-plugin", "pima-experts")} == {"active"}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_strict_raises_and_names_it(name, installed, monkeypatch):
    installed(name)
    monkeypatch.setenv("PIMA_STRICT_PLUGINS", "1")
    with pytest.raises(ExpertError, match=f"plugin '{name}' of {name}-dist 1.2 was left out"):
        Manager()


def test_an_expert_that_does_not_conform_is_found_by_the_checks_only(installed):
    installed("sound-plugin", "broken-expert")
    with use_manager(Manager(strict=True)) as manager:
        assert manager.records["broken-expert"].state == "active"
        shown = run("plugins", "check", "broken-expert")
        assert shown.exit_code == 1
        assert "'two_minds' does not conform" in shown.output
        assert "torch_equals_compiled" in shown.output
        assert "predict differs from the compiled values" in shown.output
        shown = run("plugins", "check", "sound-plugin")
        assert shown.exit_code == 0, shown.output
        assert "'quadratic' conforms" in shown.output


#: The sound plugin fits beside the broken ones; then the same is asked strictly.
FIT = """
import os
import pima_toolkit as pima
print(pima.get_expert("quadratic").fit([1, 2, 3], [2, 8, 18]).fitted[0, 0])
os.environ["PIMA_STRICT_PLUGINS"] = "1"
pima.experts.Manager()
"""


@pytest.mark.slow
def test_all_at_once_in_a_process_of_its_own(tmp_path):
    """The command line lists them all, fails, and the sound one fits."""
    install(tmp_path, *BROKEN, "sound-plugin")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    code = "from pima_toolkit.cli import main\nmain()"
    shown = subprocess.run(
        [sys.executable, "-c", code, "plugins", "list", "--json"], env=env, capture_output=True, text=True, timeout=300
    )
    assert shown.returncode == 1, shown.stderr
    records = {record["name"]: record for record in json.loads(shown.stdout)}
    assert {name for name, record in records.items() if record["state"] == "broken"} == set(LEFT_OUT)
    assert records["sound-plugin"]["experts"] == ["quadratic"]
    assert shown.stderr == "", "what a warning would say is in the list"
    shown = subprocess.run([sys.executable, "-c", FIT], env=env, capture_output=True, text=True, timeout=300)
    assert float(shown.stdout) == pytest.approx(2)
    assert shown.returncode == 1
    said, _, raised = shown.stderr.partition("Traceback")
    assert said.count("was left out") == len(LEFT_OUT)
    assert "PluginError: plugin 'broken-arguments' of broken-arguments-dist 1.2 was left out" in raised


def test_without_hookimpl_it_is_told(installed, tmp_path):
    installed("sound-plugin")
    file = tmp_path / "forgot.py"
    file.write_text("def pima_experts(): return []")
    with use_manager(Manager([])), pytest.raises(ExpertError, match="registered, but implements no hook: put @pima"):
        pima.load_plugin(file)


def test_a_hook_of_a_later_toolkit_may_be_optional(tmp_path):
    file = tmp_path / "later.py"
    text = "import pima_toolkit as pima\n@pima.hookimpl{}\ndef pima_telescopes(): return []\n"
    text += "@pima.hookimpl\ndef pima_experts(): return [pima.SympyExpert('a*t', name='later')]"
    with use_manager(Manager([])):
        file.write_text(text.format(""))
        with pytest.raises(ExpertError, match="unknown hook 'pima_telescopes'"):
            pima.load_plugin(file)
        file.write_text(text.format("(optionalhook=True)"))
        assert [expert.name for expert in pima.load_plugin(file)] == ["later"]
