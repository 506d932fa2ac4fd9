"""A broken plugin is named and left out; the others never notice."""

import importlib.metadata
import sys
import textwrap
import warnings

import pima_experts
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, PluginWarning
from pima_toolkit.plugins import manager as plugins
from pima_toolkit.plugins.manager import Manager

GOOD = """
    import pima_toolkit as pima

    class {cls}(pima.SympyExpert):
        name, formula = "{name}", "a * t**2"

    @pima.hookimpl
    def pima_experts():
        return [{cls}]
"""

#: module -> (its text, what the record says)
BROKEN = {
    "bad_import": ("import no_such_module_xyz", "ModuleNotFoundError: No module named 'no_such_module_xyz'"),
    "bad_exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "bad_syntax": ("def (", "SyntaxError"),
    "bad_version": (
        "PIMA_API = (2, 0)\n" + textwrap.dedent(GOOD).format(cls="V", name="v"),
        "needs plugin API 2.0, this pima_toolkit offers 1.1",
    ),
    "bad_version_text": (
        "PIMA_API = '1.0'\n" + textwrap.dedent(GOOD).format(cls="W", name="w"),
        "expected (major, minor)",
    ),
    "bad_arguments": (
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(config): return []",
        "PluginValidationError",
    ),
    "bad_hook": (
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_expert(): return []",
        "unknown hook 'pima_expert'",
    ),
    "bad_nothing": ("def pima_experts(): return []", "implements no hook"),
    "bad_raise": (
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): raise KeyError('boom')",
        "KeyError: 'boom'",
    ),
    "bad_list": (
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): return pima.SympyExpert",
        "expected a list",
    ),
    "bad_expert": (
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): return [int]",
        "the class int is not an expert",
    ),
    "bad_object": (
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): return [3]",
        "int 3 is not an expert",
    ),
    "bad_formula": (textwrap.dedent(GOOD).format(cls="F", name="f").replace("t**2", "t +"), "cannot be read"),
    "bad_taken": (
        textwrap.dedent(GOOD).format(cls="T", name="proportional"),
        "'proportional' is already taken by pima-experts",
    ),
    "bad_twice": (textwrap.dedent(GOOD).format(cls="T", name="t2").replace("[T]", "[T, T]"), "two of its experts"),
    "bad_abstract": (
        "import pima_toolkit as pima\nclass A(pima.Expert): name = 'a'\n@pima.hookimpl\ndef pima_experts(): return [A]",
        "cannot be made without arguments",
    ),
}


def entry(name, value, distribution="somebody", version="1.2"):
    """An entry point as an installed distribution has it."""

    class Distribution(importlib.metadata.Distribution):
        name = distribution

        def read_text(self, _):
            return None

        def locate_file(self, path):
            return path

    Distribution.version = version
    return importlib.metadata.EntryPoint(name, value, "pima_toolkit")._for(Distribution())


OURS = entry("pima-experts", "pima_experts", "pima-toolkit", "0.1.0")
BUILT_IN = {made().name for made in pima_experts.pima_experts()}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module that can be imported for the length of a test."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def module(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        written.append(name)
        return entry(name, name)

    yield module
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture
def fresh(monkeypatch):
    """A session of its own for functions that use the session's manager."""
    manager = Manager([OURS])
    monkeypatch.setattr(plugins, "_manager", manager)
    return manager


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_and_isolated(name, write):
    text, said = BROKEN[name]
    good = write("zz_good", GOOD.format(cls="Good", name="good"))
    with pytest.warns(PluginWarning) as caught:
        manager = Manager([write(name, text), good, OURS])
    assert [name in str(w.message) and "somebody 1.2" in str(w.message) for w in caught] == [True]
    record = manager.records[name]
    assert record.state == "broken"
    assert said in record.error
    assert "Traceback" in record.trace
    assert set(manager.given("pima_experts")) == BUILT_IN | {"good"}
    assert manager.records["zz_good"].state == manager.records["pima-experts"].state == "active"
    assert manager.get_plugin(name) is None


def test_all_of_them_at_once_leave_the_good_ones(write):
    entries = [write(name, text) for name, (text, _) in BROKEN.items()]
    with pytest.warns(PluginWarning) as caught:
        manager = Manager([*entries, OURS])
    assert len(caught) == len(BROKEN)
    assert set(manager.given("pima_experts")) == BUILT_IN


def test_a_class_in_place_of_a_module_is_told(write):
    write("klass", "class Plugin: pass")
    with pytest.warns(PluginWarning, match="Plugin is a class"):
        Manager([entry("klass", "klass:Plugin")])


def test_the_second_plugin_of_a_name_is_broken(write):
    first, second = write("first", GOOD.format(cls="A", name="a")), write("second", GOOD.format(cls="B", name="b"))
    with pytest.warns(PluginWarning, match="already taken by somebody"):
        manager = Manager([first, entry("first", "second", "stranger")])
    assert set(manager.given("pima_experts")) == {"a"}
    assert manager.records["first"].state == "active"
    assert manager.records["first (stranger)"].state == "broken"
    assert second.value == "second"


def test_strict_raises_and_names(write, monkeypatch):
    text, said = BROKEN["bad_import"]
    bad = write("bad_import", text)
    with pytest.raises(ExpertError, match=f"bad_import.*{said}"):
        Manager([bad], strict=True)
    monkeypatch.setenv("PIMA_STRICT_PLUGINS", "1")
    with pytest.raises(ExpertError, match="bad_import"):
        Manager([bad])


def test_plugins_can_be_blocked_or_chosen(write, monkeypatch):
    entries = [write("first", GOOD.format(cls="A", name="a")), write("second", GOOD.format(cls="B", name="b"))]
    monkeypatch.setenv("PIMA_BLOCK_PLUGINS", "first, other")
    manager = Manager(entries)
    assert set(manager.given("pima_experts")) == {"b"}
    assert manager.records["first"].state == "blocked"
    assert "first" not in sys.modules, "a blocked plugin is not even imported"
    monkeypatch.delenv("PIMA_BLOCK_PLUGINS")
    monkeypatch.setenv("PIMA_ONLY_PLUGINS", "first")
    assert set(Manager(entries).given("pima_experts")) == {"a"}


def test_records_say_who_brought_what(write):
    manager = Manager([write("first", GOOD.format(cls="A", name="a")), OURS])
    record = manager.source("pima_experts", "a")
    assert (record.name, record.distribution, record.version) == ("first", "somebody", "1.2")
    assert record.hooks == ["pima_experts"]
    assert manager.source("pima_experts", "affine").distribution == "pima-toolkit"


def test_get_expert_takes_names_experts_and_classes(fresh):
    line = pima.get_expert("proportional")
    assert pima.get_expert(line) is line
    assert pima.get_expert(type(line)) == line


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("liner_hardening", "did you mean 'linear_hardening'.*affine, .*linear_hardening, .*proportional"),
        ("K * t**n", "SympyExpert"),
        ("xyz", "Known: affine"),
        (3, "not an expert"),
        (int, "the class int is not an expert"),
    ],
)
def test_unknown_experts_say_what_there_is(fresh, asked, words):
    with pytest.raises(ExpertError, match=words):
        pima.get_expert(asked)


def test_bounds_in_words_are_one_for_each_reported_parameter():
    class Short(pima.SympyExpert):
        name, formula, reported_bounds = "short", "a * t + b", ("a >= b",)

    with pytest.raises(ExpertError, match="'short' has 1 reported_bounds: write one text for each of its 2 reported"):
        pima.get_expert(Short)


def test_unknown_experts_name_the_plugins_left_out(write, monkeypatch):
    monkeypatch.setenv("PIMA_BLOCK_PLUGINS", "first")
    monkeypatch.setattr(plugins, "_manager", Manager([write("first", GOOD.format(cls="A", name="a")), OURS]))
    with pytest.raises(ExpertError, match="Plugins left out: first"):
        pima.get_expert("a")


def test_a_notebook_cell_registers_and_replaces(fresh):
    @pima.register
    class Mine(pima.SympyExpert):
        name, formula = "mine", "a*t"

    assert pima.get_expert("mine") == Mine()
    pima.register(pima.SympyExpert("a*t**2", name="mine"))
    assert pima.get_expert("mine").formula == "a*t**2"
    with pytest.raises(ExpertError, match="already taken by pima-experts"):
        pima.register(pima.SympyExpert("a*t", name="affine"))
    with pytest.raises(ExpertError, match="not an expert"):
        pima.register(int)


def test_a_file_is_a_plugin_and_can_be_edited(fresh, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(textwrap.dedent(GOOD).format(cls="A", name="a"))
    (made,) = pima.load_plugin(file)
    assert pima.get_expert("a") == made
    file.write_text(textwrap.dedent(GOOD).format(cls="A", name="b"))
    pima.load_plugin(str(file))
    assert "b" in fresh.given("pima_experts")
    assert "a" not in fresh.given("pima_experts")
    file.write_text("import no_such_module_xyz")
    with pytest.raises(ExpertError, match=r"mine.py cannot be used: ModuleNotFoundError"):
        pima.load_plugin(file)
    assert "b" in fresh.given("pima_experts"), "the last working version stays"
    file.write_text(textwrap.dedent(GOOD).format(cls="A", name="affine"))
    with pytest.raises(ExpertError, match="already taken"):
        pima.load_plugin(file)
    assert "b" in fresh.given("pima_experts")


def test_files_that_are_none_are_told(fresh, tmp_path):
    with pytest.raises(ExpertError, match="no plugin file"):
        pima.load_plugin(tmp_path / "nothing.py")
    (tmp_path / "text.txt").write_text("")
    with pytest.raises(ExpertError, match=r"end in \.py"):
        pima.load_plugin(tmp_path / "text.txt")


def test_the_installed_plugins_load_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        manager = Manager(strict=True)
    assert manager.source("pima_experts", "proportional").name == "pima-experts"
