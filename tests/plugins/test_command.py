"""`pima plugins`: what it lists, checks and writes, and its exit codes."""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import pima_toolkit as pima
from pima_toolkit import cli
from pima_toolkit.cli.new_plugin import plugin_files, write_plugin
from pima_toolkit.errors import OptionError
from pima_toolkit.experts import Manager, use_manager
from pima_toolkit.testing import CHECKS

from .conftest import MODULES

EXAMPLE = Path(__file__).parents[2] / "plugins" / "pima-plugin-example"


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments], env={"COLUMNS": "220"})


@pytest.fixture
def session(installed, monkeypatch):
    """A session with the built-in experts and a sound plugin."""
    installed("sound-plugin")
    monkeypatch.setenv("PIMA_BLOCK_PLUGINS", "example")
    with use_manager(Manager(strict=True)) as manager:
        yield manager


def test_the_list_names_all_and_passes(session):
    shown = run("plugins", "list")
    assert shown.exit_code == 0, shown.output
    for word in ("sound-plugin", "active", "sound-plugin-dist", "1.2", "quadratic", "pima-experts"):
        assert word in shown.output
    records = {record["name"]: record for record in json.loads(run("plugins", "list", "--json").output)}
    assert records["sound-plugin"] == {
        "name": "sound-plugin",
        "value": "sound_plugin",
        "distribution": "sound-plugin-dist",
        "version": "1.2",
        "state": "active",
        "error": None,
        "hooks": ["pima_experts"],
        "experts": ["quadratic"],
    }


def test_the_list_fails_where_one_is_broken_and_shows_tracebacks_on_demand(installed, monkeypatch):
    installed("broken-raises")
    with use_manager(None):
        shown = run("plugins", "list")
    assert shown.exit_code == 1
    assert "KeyError: 'boom'" in shown.output
    assert "left out: broken-raises; all others work; --verbose shows the tracebacks" in shown.output
    assert "Traceback" not in shown.output
    with use_manager(None):
        shown = run("plugins", "list", "--verbose")
    assert shown.exit_code == 1
    assert 'raise KeyError("boom")' in shown.output
    with use_manager(None):
        records = json.loads(run("plugins", "list", "--json", "--verbose").output)
    assert any("Traceback" in (record["trace"] or "") for record in records)


def test_strict_is_one_sentence(installed, monkeypatch):
    installed("broken-raises")
    monkeypatch.setenv("PIMA_STRICT_PLUGINS", "1")
    with use_manager(None):
        shown = run("plugins", "list")
    assert shown.exit_code == 1
    assert shown.stderr.startswith("pima: plugin 'broken-raises' of broken-raises-dist 1.2 was left out: KeyError")


@pytest.mark.parametrize("target", ["sound-plugin", "sound_plugin", MODULES / "sound_plugin.py"])
def test_a_plugin_is_checked_by_name_module_or_file(session, target):
    shown = run("plugins", "check", target)
    assert shown.exit_code == 0, shown.output
    assert all(check.name in shown.output for check in CHECKS if not check.thorough)
    assert "expert 'quadratic' conforms: 20 of 20 checks that apply ran" in shown.output


def test_a_module_that_is_not_installed_is_checked_by_itself(installed, tmp_path):
    installed("sound-plugin")
    with use_manager(Manager([])):
        shown = run("plugins", "check", "sound_plugin")
        assert shown.exit_code == 0, shown.output
        assert "quadratic" not in pima.experts.experts(), "checking registers nothing"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nobody", "there is no plugin, file or module 'nobody'"),
        ("no-such.thing", "there is no plugin, file or module 'no-such.thing'"),
        ("nothing.py", "there is no plugin file 'nothing.py'"),
        ("example", "the plugin 'example' is blocked: see PIMA_BLOCK_PLUGINS"),
        ("json", "registered, but implements no hook"),
        (MODULES / "broken_raises.py", "broken_raises.py cannot be used: KeyError: 'boom'"),
        (MODULES / "broken_name.py", "'proportional' is already taken by pima-experts"),
        (MODULES / "broken_version.py", "needs plugin API 2.0"),
    ],
)
def test_what_cannot_be_checked_is_told(session, target, says):
    shown = run("plugins", "check", target)
    assert shown.exit_code == 1
    assert says in shown.stderr
    assert shown.stderr.startswith("pima: ")


def test_a_module_that_cannot_be_imported_is_told(session, tmp_path, monkeypatch):
    (tmp_path / "lame_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    shown = run("plugins", "check", "lame_module")
    assert shown.exit_code == 1
    assert "the module 'lame_module' cannot be imported: ZeroDivisionError" in shown.stderr


def test_a_plugin_without_experts_has_nothing_to_check(session, tmp_path):
    file = tmp_path / "empty.py"
    file.write_text("import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): return []")
    shown = run("plugins", "check", file)
    assert shown.exit_code == 1
    assert "has no experts: there is nothing to check" in shown.stderr


def test_the_example_is_what_the_generator_writes():
    files = plugin_files("pima-plugin-example", "hall_petch")
    left_over = {"__pycache__", ".pytest_cache", ".ruff_cache", "dist", "build"}
    there = {
        file.relative_to(EXAMPLE).as_posix(): file.read_text(encoding="utf-8")
        for file in EXAMPLE.rglob("*")
        if file.is_file() and not left_over & set(file.relative_to(EXAMPLE).parts)
    }
    assert there == files


def test_a_new_plugin_is_written_once(session, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run("plugins", "new", "pima-steel")
    assert shown.exit_code == 0, shown.output
    assert "pip install -e pima-steel" in shown.output
    written = {p.relative_to("pima-steel").as_posix() for p in Path("pima-steel").rglob("*") if p.is_file()}
    assert written == set(plugin_files("pima-steel"))
    text = (tmp_path / "pima-steel" / "pima_steel" / "__init__.py").read_text()
    assert "class Steel(pima.SympyExpert)" in text
    assert "$" not in "".join(plugin_files("pima-steel").values()), "nothing left to fill in"
    (made,) = pima.load_plugin(tmp_path / "pima-steel" / "pima_steel" / "__init__.py")
    assert made.name == "steel"
    before = (tmp_path / "pima-steel" / "README.md").read_bytes()
    shown = run("plugins", "new", "pima-iron", "--folder", "pima-steel")
    assert shown.exit_code == 1
    assert "is there already and not empty" in shown.stderr
    assert (tmp_path / "pima-steel" / "README.md").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [], "nothing half written stays"


def test_an_empty_folder_will_do_and_a_file_will_not(tmp_path):
    files = plugin_files("pima-steel")
    (tmp_path / "empty").mkdir()
    assert (write_plugin(files, tmp_path / "empty") / "pyproject.toml").is_file()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match="is there already"):
        write_plugin(files, tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="is there already"):
        write_plugin(files, tmp_path / "link")


@pytest.mark.parametrize(
    ("name", "expert", "says"),
    [
        ("Pima Steel", None, "a plugin cannot be called 'Pima Steel'"),
        ("../steel", None, "a plugin cannot be called"),
        ("steel_1", None, "use small letters, digits and single hyphens"),
        ("json", None, "a module cannot be called 'json'"),
        ("class", None, "try 'pima-class'"),
        ("pima-toolkit", None, "a module cannot be called 'pima_toolkit'"),
        ("pima-steel", "Steel!", "an expert cannot be called 'Steel!'"),
    ],
)
def test_names_that_cannot_be_are_told(name, expert, says):
    with pytest.raises(OptionError, match=says):
        plugin_files(name, expert)


def test_a_name_of_an_expert_that_is_taken_is_told(session, tmp_path):
    shown = run("plugins", "new", "pima-hollomon", "--folder", tmp_path / "one")
    assert shown.exit_code == 1
    assert "there is an expert 'hollomon' already, from pima-experts (pima-toolkit" in shown.stderr
    assert run("plugins", "new", "pima-hollomon", "--expert", "mine", "--folder", tmp_path / "one").exit_code == 0


def test_a_name_of_one_word_and_of_many():
    assert "tests/test_steel.py" in plugin_files("steel")
    files = plugin_files("pima-plugin-cast-iron")
    assert 'cast-iron = "pima_plugin_cast_iron"' in files["pyproject.toml"]
    assert "class CastIron" in files["pima_plugin_cast_iron/__init__.py"]


def test_info_names_versions_plugins_and_machine_and_no_path(installed, tmp_path, monkeypatch):
    installed("broken-import")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with use_manager(None):
        shown = run("info")
        told = json.loads(run("info", "--json").output)
    assert shown.exit_code == 0
    for name in ("pima-toolkit", "torch", "numpy"):
        assert f"  {name} {version(name)}\n" in shown.output
    assert "broken-import (broken-import-dist 1.2) broken (pima plugins list says why)" in shown.output
    assert "OMP_NUM_THREADS=1" in shown.output
    for private in (str(Path.home()), str(tmp_path), str(Path(pima.__file__).parents[1]), sys.prefix):
        assert private not in shown.output
    assert told["versions"]["python"] == platform.python_version()
    assert set(told) == {"versions", "plugins", "machine"}
