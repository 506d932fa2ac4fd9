"""Plugins installed as real ones are: a folder on the path with modules and the metadata of distributions."""

import sys
from pathlib import Path

import pytest

MODULES = Path(__file__).parent / "broken"

#: entry point -> what the record says, or None where only conformance is broken
BROKEN = {
    "broken-import": "ModuleNotFoundError: No module named 'no_such_module_xyz'",
    "broken-version": "needs plugin API 2.0, this pima_toolkit offers 1.1",
    "broken-arguments": "PluginValidationError",
    "broken-hook": "unknown hook 'pima_expert'; known: pima_encoders, pima_experts, pima_noise_models, pima_readers",
    "broken-name": "'proportional' is already taken by pima-experts (pima-toolkit ",
    "broken-raises": "KeyError: 'boom'",
    "broken-class": "Plugin is a class: a plugin is a module, or an instance of the class",
    "broken-expert": None,
}


def install(folder, *names, version="1.2"):
    """Make distributions of modules in ``broken/``, each with its entry point, on a folder for the path."""
    for name in names:
        module = name.replace("-", "_")
        (folder / f"{module}.py").write_text((MODULES / f"{module}.py").read_text())
        about = folder / f"{module}_dist-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: {version}\n")
        value = f"{module}:Plugin" if name == "broken-class" else module
        (about / "entry_points.txt").write_text(f"[pima_toolkit]\n{name} = {value}\n")
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install plugins for the length of a test in this process; the session's manager stays as it was."""
    before = set(sys.modules)

    def make(*names, version="1.2"):
        folder = tmp_path / f"site-{version}"
        folder.mkdir(exist_ok=True)
        monkeypatch.syspath_prepend(install(folder, *names, version=version))

    yield make
    for name in set(sys.modules) - before:
        if name.startswith(("broken_", "sound_")):
            del sys.modules[name]
