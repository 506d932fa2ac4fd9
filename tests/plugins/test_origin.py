"""Which plugin gave me this? Said by every expert, by saved fits, and by the log."""

import json
import logging
import zipfile

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, FileFormatError, PluginWarning
from pima_toolkit.experts import Manager, Origin, expert_from_dict, use_manager

SOUND = {"plugin": "sound-plugin", "distribution": "sound-plugin-dist", "version": "1.2"}


@pytest.fixture
def sound(installed):
    installed("sound-plugin")
    with use_manager(Manager()) as manager:
        yield manager


def without(manager):
    """The same session where the plugin is not installed."""
    manager.remove_plugin("sound-plugin")


def test_every_expert_knows_its_plugin(sound):
    assert pima.get_expert("quadratic").origin == Origin(**SOUND)
    assert str(pima.get_expert("quadratic").origin) == "sound-plugin (sound-plugin-dist 1.2)"
    assert pima.get_expert("proportional").origin.distribution == "pima-toolkit"
    assert pima.SympyExpert("a * t").origin is None
    assert sound.source("pima_experts", "quadratic").origin == Origin(**SOUND)


def test_a_class_of_a_plugin_is_recognised(sound):
    made = type(pima.get_expert("quadratic"))()
    assert made.origin is None
    assert pima.Physics(type(made)).expert.origin == Origin(**SOUND)
    assert pima.Physics(made).expert.origin == Origin(**SOUND)
    assert made == pima.get_expert("quadratic"), "where it comes from does not make it another expert"


def test_the_session_and_files_are_origins_too(sound, tmp_path):
    pima.register(pima.SympyExpert("a * t", name="mine"))
    assert str(pima.get_expert("mine").origin) == "this session"
    file = tmp_path / "lab.py"
    file.write_text(
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): return [pima.SympyExpert('a*t', name='lab')]"
    )
    (expert,) = pima.load_plugin(file)
    assert (expert.origin.plugin, expert.origin.distribution, len(expert.origin.version)) == ("lab.py", "file", 12)
    assert str(tmp_path) not in json.dumps(expert.to_dict())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, r"'quadratic' of sound-plugin \(sound-plugin-dist 1\.2\).*pip install sound-plugin-dist==1\.2"),
        ({"plugin": "lab.py", "distribution": "file"}, r"load it with pima\.load_plugin\('lab\.py'\)"),
        ({"plugin": "this session", "distribution": "this session"}, r"of this session, .*pima\.register"),
    ],
)
def test_a_missing_plugin_is_named(sound, change, says):
    saved = pima.get_expert("quadratic").to_dict()
    saved["origin"] = {**saved["origin"], **change}
    without(sound)
    with pytest.raises(ExpertError, match=says):
        expert_from_dict(saved)


def test_an_old_file_without_origin_still_loads_and_fails_well(sound):
    saved = pima.get_expert("quadratic").to_dict()
    del saved["origin"]
    assert expert_from_dict(saved) == pima.get_expert("quadratic")
    without(sound)
    with pytest.raises(ExpertError, match="install its plugin, or register it again"):
        expert_from_dict(saved)


def test_another_version_says_so(sound):
    saved = pima.get_expert("quadratic").to_dict()
    saved["origin"]["version"] = "1.1"
    with pytest.warns(PluginWarning, match=r"sound-plugin-dist 1\.1\), and is read with that of .*1\.2\)"):
        assert expert_from_dict(saved) == pima.get_expert("quadratic")
    saved["formula"] = "a * t**3"
    with pytest.raises(ExpertError, match=r"formula or parameters changed\): pip install sound-plugin-dist==1\.1"):
        expert_from_dict(saved)


def test_another_version_of_the_toolkit_is_no_news(sound):
    """Formulas are compared all the same; a word at every load after every upgrade would teach to ignore it."""
    saved = pima.get_expert("proportional").to_dict()
    saved["origin"]["version"] = "0.0.1"
    assert expert_from_dict(saved) == pima.get_expert("proportional")


def test_a_formula_of_a_plugin_needs_no_plugin(sound):
    saved = {**pima.SympyExpert("a * t", name="mine").to_dict(), "origin": SOUND}
    assert expert_from_dict(saved).origin == Origin(**SOUND)


def test_origins_that_are_none_are_told(sound):
    saved = pima.get_expert("quadratic").to_dict()
    for wrong in ("sound", {"plugin": "sound"}, {**SOUND, "version": 1}):
        with pytest.raises(FileFormatError, match="origin of a saved expert must be a table"):
            expert_from_dict({**saved, "origin": wrong})


def test_a_saved_fit_records_it(sound, two_populations, small_model, tmp_path):
    fit = small_model("quadratic").fit(two_populations(24), epochs=1, crossmodal_epochs=1, progress=False)
    path = fit.save(tmp_path / "one.pima")
    with zipfile.ZipFile(path) as file:
        about = json.loads(file.read("about.json"))
    (stress,) = (saved for name, saved in about["modalities"] if name == "stress")
    assert stress["expert"]["origin"] == SOUND
    assert "stress [MPa]: curve, physics, the law quadratic of sound-plugin (sound-plugin-dist 1.2)" in fit.report()
    again = pima.load(path)
    np.testing.assert_allclose(again.parameters.value.values, fit.parameters.value.values)
    assert again.model.options.physics["stress"].expert.origin == Origin(**SOUND)
    without(sound)
    with pytest.raises(ExpertError, match=r"saved with the expert 'quadratic' of sound-plugin .*not installed"):
        pima.load(path)


def test_a_saved_fit_says_when_its_plugin_has_another_version(sound, two_populations, small_model, tmp_path, installed):
    fit = small_model("quadratic").fit(two_populations(24), epochs=1, crossmodal_epochs=1, progress=False)
    path = fit.save(tmp_path / "one.pima")
    record = sound.records["sound-plugin"]
    plugin = sound.get_plugin("sound-plugin")
    without(sound)
    record.version = "2.0"
    sound.add_plugin(plugin, record)
    with pytest.warns(PluginWarning, match=r"1\.2\), and is read with that of sound-plugin \(sound-plugin-dist 2\.0\)"):
        pima.load(path)


def test_the_log_counts_and_the_trace_tells_every_step(installed, monkeypatch, capsys, caplog):
    installed("sound-plugin", "broken-raises")
    with caplog.at_level(logging.INFO, "pima_toolkit.plugins"), pytest.warns(PluginWarning):
        manager = Manager()
    assert f"Registered {len(manager.given('pima_experts'))} experts from " in caplog.text
    assert "sound-plugin" in caplog.text
    assert capsys.readouterr().err == "", "silent unless asked"
    monkeypatch.setenv("PIMA_TRACE_PLUGINS", "1")
    monkeypatch.setenv("PIMA_BLOCK_PLUGINS", "example")
    with pytest.warns(PluginWarning):
        Manager()
    told = capsys.readouterr().err
    for words in (
        "sound-plugin of sound-plugin-dist 1.2: sound_plugin imported in ",
        "sound-plugin: pima_experts() returned [<class 'sound_plugin.Quadratic'>]",
        "sound-plugin: hooks pima_experts; experts quadratic",
        "broken-raises of broken-raises-dist 1.2: broken",
        "KeyError: 'boom'",
    ):
        assert words in told
