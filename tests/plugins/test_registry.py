"""A registry of a made-up kind: ours by table, strangers' by hook, whatever may go wrong."""

import textwrap

import pytest

import pima_toolkit as pima
from pima_toolkit.errors import OptionError, PluginError, PluginWarning
from pima_toolkit.plugins import manager as session
from pima_toolkit.plugins.manager import Manager, use_manager
from pima_toolkit.plugins.registry import Registry


def checked(thing):
    if not callable(thing):
        raise OptionError(f"{thing!r} is no lens: expected a function")
    return thing


@pytest.fixture
def lenses(monkeypatch):
    """Make registries in place of the toolkit's own readers, which stay as they are."""
    monkeypatch.setattr(session, "KINDS", dict(session.KINDS))

    def make():
        ours = {"convex": abs, "concave": "textwrap:dedent"}
        return Registry("lens", "pima_readers", checked, OptionError, ours=ours)

    return make


@pytest.fixture
def plugin(tmp_path):
    """Load a plugin from a file whose hook returns what the text says."""

    def load(name, returned, more=""):
        file = tmp_path / f"{name}.py"
        hook = "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_readers():\n"
        file.write_text(hook + textwrap.indent(returned, "    ") + "\n" + more)
        pima.load_plugin(file)

    return load


def test_ours_are_found_and_imported_when_asked_for(lenses):
    table = lenses()
    assert table.names() == ["convex", "concave"]
    assert table.get("convex") is abs
    assert table.get("concave") is textwrap.dedent
    assert table.all() == {"convex": abs, "concave": textwrap.dedent}
    assert "convex" in table
    assert "prism" not in table
    assert table.source("convex") is None


def test_a_stranger_adds_by_the_hook(lenses, plugin):
    with use_manager(Manager([])) as manager:
        table = lenses()
        plugin("lab", "return {'prism': max}")
        assert table.names() == ["convex", "concave", "prism"]
        assert table.get("prism") is max
        assert str(table.source("prism").origin).startswith("lab.py (file ")
        (record,) = manager.records.values()
        assert (record.given, record.experts) == ({"pima_readers": ["prism"]}, [])
        plugin("lab", "return {'mirror': min}")
        assert table.names() == ["convex", "concave", "mirror"], "a file loaded again replaces what it gave"
        manager.remove_plugin(record.name)
        assert table.names() == ["convex", "concave"]


def test_ours_are_found_without_loading_our_plugin(lenses, monkeypatch):
    def refuse():
        raise AssertionError("plugins were loaded")

    monkeypatch.setattr(session, "strangers", lambda: False)
    monkeypatch.setattr(session, "manager", refuse)
    table = lenses()
    assert table.all()
    with pytest.raises(OptionError, match="there is no lens"):
        table.get("prism")


def test_strangers_are_seen_before_and_after_plugins_are_loaded():
    with use_manager(Manager([])) as manager:
        assert not session.strangers()
        pima.register(pima.SympyExpert("a * t", name="mine"))
        assert session.strangers()
        assert list(manager.records) == ["this session"]


def test_a_stranger_that_is_installed_is_seen_without_loading_anything(installed):
    with use_manager(None):
        session.strangers()  # the answer is kept for a session, not for the next one
    installed("sound-plugin")
    with use_manager(None):
        assert session.strangers()
        assert session._manager is None


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("convx", r"^there is no lens 'convx'; did you mean 'convex'\? Known: concave, convex, prism\.$"),
        ("mirror", r"^there is no lens 'mirror'\. Known: concave, convex, prism\.$"),
    ],
)
def test_what_is_unknown_is_told(lenses, plugin, asked, says):
    with use_manager(Manager([])):
        table = lenses()
        plugin("lab", "return {'prism': max}")
        with pytest.raises(OptionError, match=says):
            table.get(asked)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        ("return [max]", r"pima_readers\(\) returned list, expected a table from names to lenss"),
        ("return {3: max}", "returned a table with the key 3, expected a name as text"),
        ("return {' ': max}", "returned a table with the key ' '"),
        ("return {'prism': 3}", "3 is no lens: expected a function"),
        ("return {'convex': max}", "the lens name 'convex' is already taken by pima-toolkit: choose another name"),
        ("return {'mine': max}", r"the lens name 'mine' is already taken by first\.py \(file \w{12}\)"),
        ("raise KeyError('boom')", "KeyError: 'boom'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
class TestWhatIsWrong:
    """The same sentence, whether the kind is known when the plugin is loaded or only later."""

    def test_at_once(self, lenses, plugin, returned, says):
        with use_manager(Manager([])):
            table = lenses()
            plugin("first", "return {'mine': min}")
            with pytest.raises(PluginError, match=rf"second\.py cannot be used: .*{says}"):
                plugin("second", returned)
            assert table.names() == ["convex", "concave", "mine"]

    def test_later(self, lenses, plugin, returned, says):
        session.KINDS.pop("pima_readers", None)
        expert = "@pima.hookimpl\ndef pima_experts(): return [pima.SympyExpert('a*t', name='{}')]"
        with use_manager(Manager([])) as manager:
            plugin("first", "return {'mine': min}", expert.format("one"))
            plugin("second", returned, expert.format("two"))
            assert list(pima.experts.experts()) == ["one", "two"]
            table = lenses()
            with pytest.warns(PluginWarning, match=rf"plugin 'second .*was left out: .*{says}") as caught:
                assert table.names() == ["convex", "concave", "mine"]
            assert len(caught) == 1
            assert list(pima.experts.experts()) == ["one"], "a plugin counts whole or not at all"
            assert [record.state for record in manager.records.values()] == ["active", "broken"]
            with pytest.raises(OptionError, match=r"Plugins left out: second \("):
                table.get("prism")

    def test_later_and_strictly(self, lenses, plugin, returned, says):
        session.KINDS.pop("pima_readers", None)
        with use_manager(Manager([], strict=True)):
            plugin("first", "return {'mine': min}")
            plugin("second", returned)
            table = lenses()
            with pytest.raises(PluginError, match=rf"was left out: .*{says}"):
                table.names()


def test_a_session_registers_and_replaces_its_own(lenses, plugin):
    def lens():
        return 1

    with use_manager(Manager([])) as manager:
        table = lenses()
        assert table.add(lens, "mine") is lens
        assert table.get("mine") is lens
        assert table.add(lens, "mine") is lens
        assert manager.records["this session"].given == {"pima_readers": ["mine"]}
        with pytest.raises(OptionError, match="the lens name 'convex' is already taken by pima-toolkit"):
            table.add(lens, "convex")
        with pytest.raises(OptionError, match=f"'mine' is already taken by the module {lens.__module__}"):
            table.add(max, "mine")
        with pytest.raises(OptionError, match="3 is no lens"):
            table.add(3, "three")
        plugin("lab", "return {'mine': max}")
        assert table.get("mine") is max, "what began in a cell and now is a file belongs to the file"


def test_a_hook_that_is_none_is_told():
    with pytest.raises(ValueError, match="no hook 'pima_telescopes'"):
        Registry("telescope", "pima_telescopes", checked, OptionError)
