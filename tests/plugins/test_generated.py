"""A plugin as generated: built, installed, its own tests passed, its expert found. Nothing about it is pretended."""

import json
import os
import subprocess
import sys

import pytest

import pima_toolkit as pima
from pima_toolkit.cli.new_plugin import KINDS, plugin_files, write_plugin
from pima_toolkit.errors import OptionError
from pima_toolkit.testing import check_expert


@pytest.mark.slow
def test_a_generated_plugin_installs_passes_its_tests_and_is_found(tmp_path):
    source = write_plugin(plugin_files("pima-cast-iron"), tmp_path / "source")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*pip, "--target", str(site), str(source)], check=True, timeout=300)
    assert (site / "pima_cast_iron" / "__init__.py").is_file()

    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, sys.path)])}
    # Only the toolkit's own pytest plugin: what else happens to be installed is not under test.
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PIMA_STRICT_PLUGINS": "1"}
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rA",
        "-p",
        "no:cacheprovider",
        "-p",
        "pima_toolkit.testing.pytest_plugin",
    ]
    shown = subprocess.run(
        [*tests, str(source / "tests")], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "PASSED" in shown.stdout
    assert "test_pima_toolkit_finds_it" in shown.stdout
    assert "not installed" not in shown.stdout, "it was found, not skipped"

    code = "from pima_toolkit.cli import main\nmain()"
    shown = subprocess.run(
        [sys.executable, "-c", code, "plugins", "list", "--json"], env=env, capture_output=True, text=True, timeout=300
    )
    assert shown.returncode == 0, shown.stderr
    record = next(r for r in json.loads(shown.stdout) if r["name"] == "cast-iron")
    assert (record["distribution"], record["version"]) == ("pima-cast-iron", "0.1.0")
    assert record["experts"] == ["cast_iron"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_expert_of_every_kind_conforms(kind, tmp_path):
    folder = write_plugin(plugin_files("pima-soft", kind=kind), tmp_path / kind)
    with pima.experts.use_manager(pima.experts.Manager([])):
        (expert,) = pima.load_plugin(folder / "pima_soft" / "__init__.py")
        report = check_expert(expert)
    assert report.passed, str(report)
    assert KINDS[kind] in (folder / "README.md").read_text()


def test_another_kind_is_refused():
    with pytest.raises(OptionError, match="no template for an expert of kind 'spice': expected one of formula, ode"):
        plugin_files("pima-soft", kind="spice")
